//! `state`: prints or changes a state file. Like a read, it locks the file and replaces it in one step.

use std::path::Path;

use super::{CommandResult, state_input};
use crate::airbyte::Emitter;
use crate::airbyte::state::{States, StoredState};
use crate::cli::StateAction;
use crate::config;
use crate::connector::Connector;
use crate::output::state_file::{ClaimError, LockedStateFile};
use crate::output::table::aligned;
use crate::sync::{StateOverview, overview};
use crate::timestamp::Timestamp;
use crate::user_error::{UserError, unknown_stream_text};

/// Prints or changes a state file.
pub(crate) async fn run(action: &StateAction, connector: &'static Connector, emitter: &Emitter) -> CommandResult {
    let text = match action {
        StateAction::Show { file } => state_input::read(file).map(|states| table(&states)),
        StateAction::Reset { file, streams } => {
            change(file, connector, |states| reset(states, streams, connector.executable))
        }
        StateAction::Set { file, stream, date } => {
            let cursor = cursor(stream, date, connector);
            cursor.and_then(|cursor| change(file, connector, |states| Ok(set(states, stream, cursor, connector))))
        }
    };
    emitter.text(text?).await?;
    Ok(true)
}

/// Locks a file, changes its states and writes it. Returns the text to print.
fn change(
    file: &Path,
    connector: &Connector,
    change: impl FnOnce(&mut States) -> Result<String, UserError>,
) -> Result<String, UserError> {
    let name = file.display().to_string();
    let locked = LockedStateFile::new(file).map_err(|fault| match fault {
        ClaimError::Busy => UserError::busy_state(&name),
        ClaimError::Unwritable(reason) => UserError::unchanged_state(&name, &reason),
    })?;
    let mut states = if locked.is_there() { state_input::read(file)? } else { States::default() };
    if state_input::is_something_else(&states, connector) {
        return Err(UserError::no_state_file(&name));
    }
    let message = change(&mut states)?;
    locked.write(&states.list).map_err(|error| UserError::unchanged_state(&name, &error.into()))?;
    Ok(message)
}

/// Removes the states of these streams. If one of them is missing, none is removed.
fn reset(states: &mut States, streams: &[String], executable: &str) -> Result<String, UserError> {
    let mut message = String::new();
    for stream in streams {
        let is_it = |state: &StoredState| state.name == *stream;
        if !states.list.iter().any(is_it) {
            let names: Vec<&str> = states.list.iter().map(|state| state.name.as_str()).collect();
            return Err(UserError::no_such_state(stream, &names, executable));
        }
        message.push_str(&format!("{stream}: state removed; the next read starts from the start date.\n"));
    }
    states.list.retain(|state| !streams.contains(&state.name));
    Ok(message)
}

/// Replaces the state of a stream, under any name of the stream.
fn set(states: &mut States, stream: &str, cursor: Timestamp, connector: &Connector) -> String {
    let state = format!(r#"{{"updated_at":"{cursor}"}}"#).into();
    match states.list.iter_mut().find(|known| state_input::is_same_stream(&known.name, stream, connector)) {
        Some(known) => known.state = state,
        None => states.list.push(StoredState { name: stream.to_owned(), state }),
    }
    format!("{stream}: the next read continues from {cursor}.\n")
}

/// Parses a date. A day means its midnight in UTC, as in the configuration.
fn cursor(stream: &str, date: &str, connector: &Connector) -> Result<Timestamp, UserError> {
    match connector.find(stream) {
        None => return Err(UserError::no_set_stream(&unknown_stream_text(stream, connector.streams))),
        Some(found) if !found.has_updated_at => {
            return Err(UserError::no_set_stream(&format!(
                "`{stream}` has no dates: it is read in full each time, and needs no state."
            )));
        }
        Some(_) => {}
    }
    let text = date.trim();
    config::instant(text).map_err(|_| UserError::no_set_date(text))
}

/// Returns a table of the states.
fn table(states: &States) -> String {
    let row = |state: &StoredState| {
        let (cursor, left) = match overview(&state.state) {
            Ok(StateOverview { cursor, left }) => (cursor.unwrap_or_else(|| "-".to_owned()), left),
            Err(fault) => ("-".to_owned(), format!("not usable: {fault}")),
        };
        // The file may contain anything; the table has one line per stream.
        let name: String = state.name.chars().filter(|character| !character.is_control()).take(60).collect();
        vec![name, cursor, left, state.state.len().to_string()]
    };
    let head = ["stream", "cursor", "rows left", "bytes"].map(str::to_owned).to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(states.list.iter().map(row)).collect();
    aligned(&rows, &[3])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::airbyte::state;
    use crate::cart::CART;

    #[test]
    fn the_table_says_how_far_each_stream_is() {
        let walk = r#""walk":{"from":"2021-07-01T00:00:00Z","until":"2021-07-02T00:00:00Z","left":[[5,9]],"top":9,"read":3,"counted":12}"#;
        let text = format!(
            r#"{{"orders":{{"updated_at":"2021-07-01T13:59:28Z","unread":[[1,2]]}},"products":{{{walk}}},
            "customers_cart":{{"full":true,"kept":{{"updated_at":"2021-07-01T13:59:28Z"}},{walk}}},
            "pages":{{}},"stores":{{"updated_at":7}}}}"#
        );
        insta::assert_snapshot!(table(&state::parse(text.into_bytes()).unwrap()));
    }

    #[test]
    fn a_date_is_one_and_the_stream_has_dates() {
        let set = |stream: &str, date: &str| cursor(stream, date, &CART).map(|cursor| cursor.to_string());
        assert_eq!(set("orders", "2024-06-01").unwrap(), "2024-06-01T00:00:00Z");
        assert_eq!(set("customers_cart", " 2024-06-01T08:00:00-05:00 ").unwrap(), "2024-06-01T13:00:00Z");
        for (stream, date) in [("ordrs", "2024-06-01"), ("coupon_codes", "2024-06-01"), ("orders", "yesterday")] {
            assert!(set(stream, date).is_err(), "{stream} {date}");
        }
    }
}
