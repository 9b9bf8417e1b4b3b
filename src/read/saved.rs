//! The state of one stream: what it says, and its JSON.
//!
//! ```text
//! {}                                                              nothing read yet, or a full refresh
//! {"updated_at": T, "previous": T, "at_cursor": […], "sent": …}   finished
//! {"updated_at": T, …, "whole": true}                             finished, a small table with undated rows
//! {"updated_at": T, …, "unread": [[after, end], …]}               finished, some rows could not be had
//! {"updated_at": T, …, "walk": {"from": T, "until": T, "left": [[after, end], …], …}}    interrupted
//! {"full": true, …, "walk": {…}}                                  an interrupted full refresh
//! ```
//!
//! `docs/state.md` says what each part means. A part that cannot be understood counts as absent, which
//! can only bring rows again; a cursor that cannot be understood is an error.

use serde_json::{Map, Value, json};

use super::recent::{Recent, Span};
use crate::timestamp::Timestamp;

/// A range of keys that is still to be read: greater than the first, at most the second. `None` means
/// no bound on that side.
pub(super) type Range = (Option<i64>, Option<i64>);

/// Joins ranges that overlap: a row that could not be had may be met again by a later sync.
pub(super) fn joined(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_unstable();
    let mut joined: Vec<Range> = Vec::new();
    for (after, end) in ranges {
        match joined.last_mut() {
            Some(last) if last.1.is_none_or(|last| after.is_none_or(|after| after < last)) => {
                last.1 = last.1.zip(end).map(|(one, other)| one.max(other));
            }
            _ => joined.push((after, end)),
        }
    }
    joined
}

/// The state of a stream.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Saved {
    /// Every change up to this instant was delivered, but for commits that became visible late.
    pub cursor: Option<Timestamp>,
    /// The cursor before this one: where to go back to when the store's clock was ahead.
    pub previous: Option<Timestamp>,
    /// Rows at and shortly before the cursor, as they were delivered.
    pub recent: Recent,
    /// Whether the stream is read completely at every sync, without a date filter: it fits into one answer and
    /// has rows without a date.
    pub whole: bool,
    /// Hours before the cursor from which rows are requested, because the store's date filter hides some that
    /// it should list.
    pub look_back: i64,
    /// Ranges of keys whose rows the store could not send.
    pub unread: Vec<Range>,
    /// Rows without a key, which cannot be delivered.
    pub keyless: u64,
    /// Whether the store's `total_count` was found to be wrong.
    pub miscounts: bool,
    /// A walk that did not finish.
    pub walk: Option<Interrupted>,
    /// Whether it is the checkpoint of a full refresh, which goes on from no other state.
    pub full: bool,
}

/// A walk that did not finish.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Interrupted {
    /// The first instant it reads.
    pub from: Timestamp,
    /// The first instant that its requests ask for, where that is not `from`.
    pub asked_from: Option<Timestamp>,
    /// The first instant it no longer reads: the `end_date` of the config.
    pub before: Option<Timestamp>,
    /// What the cursor becomes when it is finished; `None` where no row shows a date.
    pub until: Option<Timestamp>,
    /// What is still to be read.
    pub left: Vec<Range>,
    /// The greatest key when it began, where the store tells it.
    pub top: Option<i64>,
    /// What will be remembered when it is finished.
    pub recent: Recent,
    /// Rows the store counted when it began.
    pub counted: Option<u64>,
    /// Rows read so far.
    pub read: u64,
    /// Whether it reads without a date filter, for the rows that have no date.
    pub undated: bool,
    /// Ranges of keys whose rows the store could not send.
    pub unread: Vec<Range>,
}

impl Default for Saved {
    fn default() -> Self {
        Self {
            cursor: None,
            previous: None,
            recent: Recent::before(None),
            whole: false,
            look_back: 0,
            unread: Vec::new(),
            keyless: 0,
            miscounts: false,
            walk: None,
            full: false,
        }
    }
}

impl Saved {
    /// Reads a state.
    ///
    /// # Errors
    /// A clause, if its `updated_at` is there and is no date.
    pub(super) fn parse(state: &Value) -> Result<Self, String> {
        let cursor = match state.get("updated_at") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if text.is_empty() => None,
            Some(Value::String(text)) => Some(Timestamp::parse_earliest(text.trim().as_bytes()).map_err(|_| {
                let shown: String = text.chars().filter(|character| !character.is_control()).take(40).collect();
                format!("`updated_at` (`{shown}`) is not a date and time")
            })?),
            Some(_) => return Err("`updated_at` is not a text".to_owned()),
        };
        // Earlier builds named the rows without a date under `undated`.
        let whole = state.get("whole") == Some(&json!(true)) || state.get("undated").is_some_and(Value::is_object);
        let span = match cursor {
            _ if whole => Span::Everything(cursor),
            Some(cursor) => Span::Overlap(cursor),
            None if state.get("sent").is_some() => Span::Everything(None),
            None => Span::Nothing,
        };
        Ok(Self {
            cursor,
            previous: date(state, "previous"),
            recent: Recent::parse(state, span),
            whole,
            look_back: state
                .get("look_back")
                .and_then(Value::as_i64)
                .filter(|hours| (0..=26).contains(hours))
                .unwrap_or(0),
            unread: ranges(state, "unread").unwrap_or_default(),
            keyless: state.get("keyless").and_then(Value::as_u64).unwrap_or(0),
            miscounts: state.get("miscounts") == Some(&json!(true)),
            walk: state.get("walk").and_then(Interrupted::parse),
            full: state.get("full") == Some(&Value::Bool(true)),
        })
    }

    /// Returns true if an earlier build wrote it, which did not remember all rows of a stream that is read
    /// completely.
    #[must_use]
    pub(super) fn is_old(&self) -> bool {
        self.recent.is_old() || (self.cursor.is_some() && self.recent.sent().is_empty())
    }

    /// The state as it is emitted.
    #[must_use]
    pub(super) fn to_json(&self) -> Value {
        let mut state = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                state.insert(name.to_owned(), value);
            }
        };
        put("updated_at", self.cursor.map(|cursor| json!(cursor.to_string())));
        put("previous", self.previous.map(|previous| json!(previous.to_string())));
        put("whole", self.whole.then_some(json!(true)));
        put("look_back", (self.look_back > 0).then(|| json!(self.look_back)));
        put("unread", (!self.unread.is_empty()).then(|| json!(self.unread)));
        put("keyless", (self.keyless > 0).then(|| json!(self.keyless)));
        put("miscounts", self.miscounts.then_some(json!(true)));
        put("full", self.full.then_some(json!(true)));
        put("walk", self.walk.as_ref().map(Interrupted::to_json));
        self.recent.write(&mut state);
        Value::Object(state)
    }
}

fn date(state: &Value, name: &str) -> Option<Timestamp> {
    Timestamp::parse(state.get(name)?.as_str()?.as_bytes()).ok()
}

/// Reads `[[after, end], …]`; `None` if any part is something else.
fn ranges(state: &Value, name: &str) -> Option<Vec<Range>> {
    let bound = |value: &Value| match value {
        Value::Null => Some(None),
        number => number.as_i64().map(Some),
    };
    let range = |pair: &Value| match pair.as_array()?.as_slice() {
        [after, end] => Some((bound(after)?, bound(end)?)),
        _ => None,
    };
    state.get(name)?.as_array()?.iter().map(range).collect()
}

impl Interrupted {
    fn parse(walk: &Value) -> Option<Self> {
        let until = match walk.get("until")? {
            Value::Null => None,
            _ => Some(date(walk, "until")?),
        };
        Some(Self {
            from: date(walk, "from")?,
            asked_from: date(walk, "asked_from"),
            before: date(walk, "before"),
            until,
            left: ranges(walk, "left")?,
            top: match walk.get("top")? {
                Value::Null => None,
                number => Some(number.as_i64()?),
            },
            recent: Recent::parse(walk, until.map_or(Span::Everything(None), Span::Overlap)),
            counted: walk.get("counted").and_then(Value::as_u64),
            read: walk.get("read").and_then(Value::as_u64).unwrap_or(0),
            undated: walk.get("undated") == Some(&Value::Bool(true)),
            unread: ranges(walk, "unread").unwrap_or_default(),
        })
    }

    fn to_json(&self) -> Value {
        let mut walk = Map::new();
        walk.insert("from".to_owned(), json!(self.from.to_string()));
        walk.insert("until".to_owned(), json!(self.until.map(|until| until.to_string())));
        walk.insert("left".to_owned(), json!(self.left));
        walk.insert("top".to_owned(), json!(self.top));
        walk.insert("read".to_owned(), json!(self.read));
        if let Some(asked) = self.asked_from {
            walk.insert("asked_from".to_owned(), json!(asked.to_string()));
        }
        if let Some(before) = self.before {
            walk.insert("before".to_owned(), json!(before.to_string()));
        }
        if self.undated {
            walk.insert("undated".to_owned(), json!(true));
        }
        if let Some(counted) = self.counted {
            walk.insert("counted".to_owned(), json!(counted));
        }
        if !self.unread.is_empty() {
            walk.insert("unread".to_owned(), json!(self.unread));
        }
        self.recent.write(&mut walk);
        Value::Object(walk)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use super::*;

    #[test]
    fn every_state_round_trips() {
        for text in [
            r#"{}"#,
            r#"{"updated_at":"2021-07-01T13:59:28.457Z"}"#,
            r#"{"at_cursor":[[7,"2021-07-01T13:59:28.457Z",-300]],"previous":"2021-06-30T00:00:00Z","sent":"AAAAAAAA","updated_at":"2021-07-01T13:59:28.457Z"}"#,
            r#"{"recent":{"2021-07-01T13:59:28.457Z":[1,[5,9]]},"updated_at":"2021-07-01T13:59:28.457Z"}"#,
            r#"{"look_back":14,"unread":[[5,6],[9,null]],"updated_at":"2021-07-01T13:59:28.457Z","whole":true}"#,
            r#"{"updated_at":"2021-07-01T13:59:28.457Z","walk":{"counted":9,"from":"2021-07-01T13:57:28.457Z","left":[[null,5],[7,9]],"read":4,"sent":"AAAAAAAB","top":9,"until":"2021-07-02T00:00:00Z"}}"#,
            r#"{"keyless":1,"walk":{"from":"2021-07-01T13:57:28.457Z","left":[[null,5]],"read":4,"top":null,"undated":true,"until":null}}"#,
        ] {
            let state: Value = serde_json::from_str(text).unwrap();
            assert_eq!(Saved::parse(&state).unwrap().to_json().to_string(), text);
        }
    }

    #[test]
    fn ranges_that_overlap_are_joined() {
        let one = (Some(5), Some(6));
        assert_eq!(joined(vec![one, (Some(9), None), one, (Some(9), Some(11))]), [one, (Some(9), None)]);
        assert_eq!(joined(vec![(Some(6), Some(7)), one]), [one, (Some(6), Some(7))]);
        assert_eq!(joined(vec![(Some(5), Some(9)), (None, Some(6))]), [(None, Some(9))]);
    }

    #[test]
    fn the_python_connectors_state_is_understood() {
        let saved = Saved::parse(&json!({"updated_at": "2021-07-01T08:59:28.457-05:00"})).unwrap();
        assert_eq!(saved.cursor.unwrap().to_string(), "2021-07-01T13:59:28.457Z");
        let saved = Saved::parse(&json!({"updated_at": "2021-07-01T13:59:28"}));
        assert_eq!(saved.unwrap().cursor.unwrap().to_string(), "2021-06-30T23:59:28Z", "the earliest it can mean");
        assert_eq!(Saved::parse(&json!({"__ab_full_refresh_sync_complete": true})).unwrap(), Saved::default());
    }

    #[test]
    fn a_damaged_walk_is_no_walk_and_a_damaged_cursor_an_error() {
        for walk in [json!(1), json!({}), json!({"from": "x", "until": "2021-07-02T00:00:00Z", "left": [], "top": 1})] {
            let saved = Saved::parse(&json!({"updated_at": "2021-07-01T00:00:00Z", "walk": walk})).unwrap();
            assert!(saved.walk.is_none() && saved.cursor.is_some());
        }
        assert!(Saved::parse(&json!({"updated_at": 5})).is_err());
        assert!(Saved::parse(&json!({"updated_at": "yesterday"})).is_err());
    }
}
