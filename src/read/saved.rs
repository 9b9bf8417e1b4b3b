//! The state of one stream: what it says, and its JSON.
//!
//! ```text
//! {}                                                              nothing read yet, or a full refresh
//! {"updated_at": T}                                               finished
//! {"updated_at": T, "recent": {…}}                                finished, rows of the overlap remembered
//! {"updated_at": T, "undated": {"7": "9f…"}}                      finished, a small table with undated rows
//! {"updated_at": T, …, "walk": {"from": T, "until": T, "left": [[after, end], …], …}}    interrupted
//! {"full": true, …, "walk": {…}}                                 an interrupted full refresh
//! ```
//!
//! `docs/state.md` says what each part means. A part that cannot be understood counts as absent, which
//! can only bring rows again; a cursor that cannot be understood is an error.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::recent::Recent;
use crate::timestamp::Timestamp;

/// A range of keys that is still to be read: greater than the first, at most the second. `None` means
/// no bound on that side.
pub(super) type Range = (Option<i64>, Option<i64>);

/// Most undated rows that are remembered by content; about 25 bytes each in the state.
pub(super) const MOST_UNDATED: usize = 500;

/// The state of a stream.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Saved {
    /// Every change up to this instant was delivered, but for commits that became visible late.
    pub cursor: Option<Timestamp>,
    /// Rows at and shortly before the cursor, as they were delivered.
    pub recent: Recent,
    /// Undated rows of a small table by key, with a hash of their content.
    pub undated: Option<BTreeMap<i64, u64>>,
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
    /// The first instant it no longer reads: the `end_date` of the config.
    pub before: Option<Timestamp>,
    /// What the cursor becomes when it is finished.
    pub until: Timestamp,
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
}

impl Default for Saved {
    fn default() -> Self {
        Self { cursor: None, recent: Recent::before(None), undated: None, walk: None, full: false }
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
        let undated = state.get("undated").and_then(Value::as_object).and_then(|rows| {
            let row = |(key, hash): (&String, &Value)| {
                Some((key.parse().ok()?, u64::from_str_radix(hash.as_str()?, 16).ok()?))
            };
            rows.iter().map(row).collect()
        });
        Ok(Self {
            cursor,
            recent: Recent::from_json(state.get("recent"), cursor),
            undated,
            walk: state.get("walk").and_then(Interrupted::parse),
            full: state.get("full") == Some(&Value::Bool(true)),
        })
    }

    /// The state as it goes out.
    #[must_use]
    pub(super) fn to_json(&self) -> Value {
        let mut state = Map::new();
        if let Some(cursor) = self.cursor {
            state.insert("updated_at".to_owned(), json!(cursor.to_string()));
        }
        if let Some(recent) = self.recent.to_json() {
            state.insert("recent".to_owned(), recent);
        }
        if let Some(undated) = &self.undated {
            let rows = undated.iter().map(|(key, hash)| (key.to_string(), json!(format!("{hash:016x}"))));
            state.insert("undated".to_owned(), Value::Object(rows.collect()));
        }
        if self.full {
            state.insert("full".to_owned(), json!(true));
        }
        if let Some(walk) = &self.walk {
            state.insert("walk".to_owned(), walk.to_json());
        }
        Value::Object(state)
    }
}

impl Interrupted {
    fn parse(walk: &Value) -> Option<Self> {
        let date = |name: &str| Timestamp::parse(walk.get(name)?.as_str()?.as_bytes()).ok();
        let until = date("until")?;
        let bound = |value: &Value| match value {
            Value::Null => Some(None),
            number => number.as_i64().map(Some),
        };
        let range = |pair: &Value| match pair.as_array()?.as_slice() {
            [after, end] => Some((bound(after)?, bound(end)?)),
            _ => None,
        };
        Some(Self {
            from: date("from")?,
            before: date("before"),
            until,
            left: walk.get("left")?.as_array()?.iter().map(range).collect::<Option<_>>()?,
            top: bound(walk.get("top")?)?,
            recent: Recent::from_json(walk.get("recent"), Some(until)),
            counted: walk.get("counted").and_then(Value::as_u64),
            read: walk.get("read").and_then(Value::as_u64).unwrap_or(0),
            undated: walk.get("undated") == Some(&Value::Bool(true)),
        })
    }

    fn to_json(&self) -> Value {
        let mut walk = json!({
            "from": self.from.to_string(),
            "until": self.until.to_string(),
            "left": self.left.iter().map(|&(after, end)| json!([after, end])).collect::<Vec<_>>(),
            "top": self.top,
            "read": self.read,
        });
        if let Some(recent) = self.recent.to_json() {
            walk["recent"] = recent;
        }
        if let Some(before) = self.before {
            walk["before"] = json!(before.to_string());
        }
        if self.undated {
            walk["undated"] = json!(true);
        }
        if let Some(counted) = self.counted {
            walk["counted"] = json!(counted);
        }
        walk
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
            r#"{"recent":{"2021-07-01T13:59:28.457Z":[1,[5,9]]},"updated_at":"2021-07-01T13:59:28.457Z"}"#,
            r#"{"undated":{"-1":"00000000000000ff","7":"9f00000000000000"},"updated_at":"2021-07-01T13:59:28.457Z"}"#,
            r#"{"updated_at":"2021-07-01T13:59:28.457Z","walk":{"counted":9,"from":"2021-07-01T13:57:28.457Z","left":[[null,5],[7,9]],"read":4,"recent":{"2021-07-02T00:00:00Z":[2]},"top":9,"until":"2021-07-02T00:00:00Z"}}"#,
        ] {
            let state: Value = serde_json::from_str(text).unwrap();
            assert_eq!(Saved::parse(&state).unwrap().to_json().to_string(), text);
        }
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
