//! The states that a read is given: the file of `--state`, and what is to be said of it before anything is read.

use std::path::Path;

use crate::airbyte::state::{self, States, StoredState};
use crate::commands;
use crate::streams::{self, STREAMS};
use crate::suggest::suggestions;
use crate::user_error::UserError;

/// Names of unknown streams that are told one by one.
const MOST_TOLD: usize = 10;

/// Reads a state file.
///
/// # Errors
/// [`UserError`] that names the file, or says what in it cannot be understood.
pub(crate) fn read(path: &Path) -> Result<States, UserError> {
    let text = commands::file("state", path)?;
    state::parse(text).map_err(|fault| UserError::states(&fault))
}

/// Returns true if both names are those of one stream.
#[must_use]
pub(crate) fn are_one(one: &str, other: &str) -> bool {
    let name = |name| streams::find(name).map(|stream| stream.name);
    one == other || (name(one).is_some() && name(one) == name(other))
}

/// Returns true if the file is something else: it holds other messages, or names, and not one is that of a stream.
#[must_use]
pub(crate) fn is_something_else(states: &States) -> bool {
    let is_unknown = |state: &StoredState| streams::find(&state.name).is_none();
    states.has_other_messages || (!states.list.is_empty() && states.list.iter().all(is_unknown))
}

/// Returns what is to be warned of: states that no stream will use.
#[must_use]
pub(crate) fn warnings(states: &States) -> Vec<String> {
    if states.list.is_empty() && states.has_other_messages {
        return vec![
            "The state file contains no STATE message, so all streams are read from the start date. Set `--state` to a file with the STATE messages of an earlier read.".to_owned(),
        ];
    }
    let unknown = states.list.iter().map(|state| state.name.as_str()).filter(|name| streams::find(name).is_none());
    let reported = unknown.take(MOST_TOLD).map(|name| {
        // A name of the file is shown short, on one line.
        let shown: String = name.chars().filter(|character| !character.is_control()).take(60).collect();
        let known = STREAMS.iter().map(|stream| stream.name);
        let meant = match suggestions(&name.to_lowercase(), known).first() {
            Some(suggestion) => format!(" Did you mean `{suggestion}`?"),
            None => String::new(),
        };
        format!("The state file contains a state of `{shown}`, which is not a stream. It is ignored.{meant}")
    });
    reported.collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use super::*;

    #[test]
    fn unused_states_are_reported_with_a_suggestion() {
        let reported = |text: &str| warnings(&state::parse(text.into()).unwrap());
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
