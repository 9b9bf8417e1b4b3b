//! `state show`, `state reset` and `state set`: what a state file says, for people, and how they change it. A file is
//! changed as a read does it: as a whole, and by one process at a time.

use std::path::Path;

use crate::airbyte::state::{States, StoredState};
use crate::cli::StateAction;
use crate::config;
use crate::output::state_file::{ClaimError, LockedStateFile};
use crate::state_input;
use crate::streams;
use crate::sync::{StateOverview, overview};
use crate::timestamp::Timestamp;
use crate::user_error::{UserError, unknown_stream_text};

/// Does what is asked, and returns what is to be said.
///
/// # Errors
/// [`UserError`] that says what cannot be done.
pub(crate) fn run(action: &StateAction) -> Result<String, UserError> {
    match action {
        StateAction::Show { file } => state_input::read(file).map(|states| table(&states)),
        StateAction::Reset { file, streams } => change(file, |states| reset(states, streams)),
        StateAction::Set { file, stream, date } => {
            let cursor = cursor(stream, date)?;
            change(file, |states| Ok(set(states, stream, cursor)))
        }
    }
}

/// Takes the file, changes its states and writes it.
fn change(file: &Path, change: impl FnOnce(&mut States) -> Result<String, UserError>) -> Result<String, UserError> {
    let name = file.display().to_string();
    let locked = LockedStateFile::new(file).map_err(|fault| match fault {
        ClaimError::Busy => UserError::busy_state(&name),
        ClaimError::Unwritable(clause) => UserError::unchanged_state(&name, &clause),
    })?;
    let mut states = if locked.is_there() { state_input::read(file)? } else { States::default() };
    if state_input::is_something_else(&states) {
        return Err(UserError::no_state_file(&name));
    }
    let message = change(&mut states)?;
    locked.write(&states.list).map_err(|error| UserError::unchanged_state(&name, &error.to_string()))?;
    Ok(message)
}

/// Removes the states of these streams; all of them are there, or none is removed.
fn reset(states: &mut States, streams: &[String]) -> Result<String, UserError> {
    let mut message = String::new();
    for stream in streams {
        let is_it = |state: &StoredState| state.name == *stream;
        if !states.list.iter().any(is_it) {
            let names: Vec<&str> = states.list.iter().map(|state| state.name.as_str()).collect();
            return Err(UserError::no_such_state(stream, &names));
        }
        message.push_str(&format!("{stream}: state removed; the next read starts from the start date.\n"));
    }
    states.list.retain(|state| !streams.contains(&state.name));
    Ok(message)
}

/// Replaces the state of a stream, under whatever name it has.
fn set(states: &mut States, stream: &str, cursor: Timestamp) -> String {
    let state = format!(r#"{{"updated_at":"{cursor}"}}"#).into();
    match states.list.iter_mut().find(|known| state_input::are_one(&known.name, stream)) {
        Some(known) => known.state = state,
        None => states.list.push(StoredState { name: stream.to_owned(), state }),
    }
    format!("{stream}: the next read continues from {cursor}.\n")
}

/// The date to set. A day alone means its midnight in UTC, as in the configuration.
fn cursor(stream: &str, date: &str) -> Result<Timestamp, UserError> {
    match streams::find(stream) {
        None => return Err(UserError::no_set_stream(&unknown_stream_text(stream))),
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

/// A table of the states.
fn table(states: &States) -> String {
    let row = |state: &StoredState| {
        let (cursor, left) = match overview(&state.state) {
            Ok(StateOverview { cursor, left }) => (cursor.unwrap_or_else(|| "-".to_owned()), left),
            Err(fault) => ("-".to_owned(), format!("not usable: {fault}")),
        };
        // The file may hold anything; the table stays one line a stream.
        let name: String = state.name.chars().filter(|character| !character.is_control()).take(60).collect();
        [name, cursor, left, state.state.len().to_string()]
    };
    let head = ["stream", "cursor", "rows left", "bytes"].map(str::to_owned);
    let rows: Vec<[String; 4]> = std::iter::once(head).chain(states.list.iter().map(row)).collect();
    let mut widths = [0; 4];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let [name, date, left, bytes] = widths;
    let line = |[a, b, c, d]: &[String; 4]| format!("{a:name$}  {b:date$}  {c:left$}  {d:>bytes$}\n");
    rows.iter().map(line).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use super::*;
    use crate::airbyte::state;

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
        let set = |stream: &str, date: &str| cursor(stream, date).map(|cursor| cursor.to_string());
        assert_eq!(set("orders", "2024-06-01").unwrap(), "2024-06-01T00:00:00Z");
        assert_eq!(set("customers_cart", " 2024-06-01T08:00:00-05:00 ").unwrap(), "2024-06-01T13:00:00Z");
        for (stream, date) in [("ordrs", "2024-06-01"), ("coupon_codes", "2024-06-01"), ("orders", "yesterday")] {
            assert!(set(stream, date).is_err(), "{stream} {date}");
        }
    }
}
