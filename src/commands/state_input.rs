//! The states of a read: the files of `--state` and `--state-out`, and warnings about them.

use std::path::Path;

use super::config_input;
use crate::airbyte::state::{self, States, StoredState};
use crate::airbyte::{ConfiguredCatalog, ConfiguredStream};
use crate::connector::Connector;
use crate::files;
use crate::output::OutputError;
use crate::output::state_file::{LockedStateFile, StateFile};
use crate::suggest::suggestions;
use crate::user_error::UserError;

/// Maximum unknown streams that are reported one by one.
const MAX_REPORTED: usize = 10;

/// Reads a state file.
pub(super) fn read(path: &Path) -> Result<States, UserError> {
    let text = config_input::file("state", path)?;
    state::parse(text).map_err(|error| UserError::states(&error))
}

/// Returns the states of `--state`. The file may be missing if it is also the one of `--state-out`.
pub(super) fn given(state: Option<&Path>, state_out: Option<&Path>) -> Result<States, UserError> {
    let is_new = |path: &Path| {
        matches!(path.try_exists(), Ok(false)) && state_out.is_some_and(|state_out| files::are_same(path, state_out))
    };
    state.filter(|path| !is_new(path)).map_or_else(|| Ok(States::default()), read)
}

/// Returns the states of `--state`, and the file of `--state-out` with them. It keeps the states of streams that
/// this read does not read.
pub(super) fn open(
    state: Option<&Path>,
    locked: Option<LockedStateFile>,
    catalog: &ConfiguredCatalog,
    connector: &Connector,
) -> Result<(States, Option<StateFile>), UserError> {
    let given = given(state, locked.as_ref().map(LockedStateFile::path))?;
    let Some(locked) = locked else { return Ok((given, None)) };
    let path = locked.path().to_owned();
    let no_state_file = || UserError::no_state_file(&path.display().to_string());
    let old = match locked.is_there() {
        true if state.is_some_and(|state| files::are_same(state, &path)) => {
            States { has_other_messages: given.has_other_messages, ..States::default() }
        }
        true => read(&path).map_err(|_| no_state_file())?,
        false => States::default(),
    };
    if is_something_else(&old, connector) {
        return Err(no_state_file());
    }
    let is_read = |name: &str| {
        let read = |configured: &ConfiguredStream| is_same_stream(&configured.stream.name, name, connector);
        catalog.streams.iter().any(read)
    };
    let is_kept = |old: &StoredState| {
        !is_read(&old.name) && !given.list.iter().any(|state| is_same_stream(&state.name, &old.name, connector))
    };
    let kept = old.list.into_iter().filter(is_kept);
    let state_file = StateFile::start(locked, given.list.iter().cloned().chain(kept))
        .map_err(|error| OutputError::StateFile(path.clone(), error.into()))?;
    Ok((given, Some(state_file)))
}

/// Returns true if both names are names of one stream.
pub(super) fn is_same_stream(one: &str, other: &str, connector: &Connector) -> bool {
    let name = |name| connector.find(name).map(|stream| stream.name);
    one == other || (name(one).is_some() && name(one) == name(other))
}

/// Returns true if the file is not a state file: it has other messages, or names and none of a stream.
pub(super) fn is_something_else(states: &States, connector: &Connector) -> bool {
    let is_unknown = |state: &StoredState| connector.find(&state.name).is_none();
    states.has_other_messages || (!states.list.is_empty() && states.list.iter().all(is_unknown))
}

/// Returns warnings about states that no stream uses.
pub(super) fn warnings(states: &States, connector: &Connector) -> Vec<String> {
    if states.list.is_empty() && states.has_other_messages {
        return vec![
            "The state file contains no STATE message, so all streams are read from the start date. Set `--state` to a file with the STATE messages of an earlier read.".to_owned(),
        ];
    }
    let unknown = states.list.iter().map(|state| state.name.as_str()).filter(|name| connector.find(name).is_none());
    let reported = unknown.take(MAX_REPORTED).map(|name| {
        // A name of the file is cut to one short line.
        let shown: String = name.chars().filter(|character| !character.is_control()).take(60).collect();
        let known = connector.streams.iter().map(|stream| stream.name);
        let meant = match suggestions(&name.to_lowercase(), known).first() {
            Some(suggestion) => format!(" Did you mean `{suggestion}`?"),
            None => String::new(),
        };
        format!("The state file contains a state of `{shown}`, which is not a stream. It is ignored.{meant}")
    });
    reported.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cart::CART;

    #[test]
    fn unused_states_are_reported_with_a_suggestion() {
        let reported = |text: &str| warnings(&state::parse(text.into()).unwrap(), &CART);
        for text in ["", "[]", r#"{"orders":{}}"#, r#"{"customers_cart":{}}"#] {
            assert!(reported(text).is_empty(), "{text}");
        }
        for (name, meant) in [("ordrs", "orders"), ("Orders", "orders"), ("ORDER_ITEMS", "order_items")] {
            let reported = reported(&format!(r#"{{"{name}":{{}}}}"#));
            assert!(
                reported[0].contains(&format!("`{name}`")) && reported[0].contains(&format!("mean `{meant}`?")),
                "{reported:?}"
            );
        }
        assert!(reported(r#"{"type":"LOG","log":{}}"#)[0].contains("no STATE"));
    }
}
