//! The position of an unfinished walk in a state, for walks other than the one by ranges of keys.
//!
//! ```text
//! {"keys": {"part": "C", "after": 900}}                      by lists of keys
//! {"dates": {"from": T, "until": T, "since": 9, "reached": 7, "edge": "…", "sent": …}}    from date to date
//! {"windows": {"part": "1", "reached": 7}}                    by windows of time
//! {"page_walk": {"left": 350, "size": 50, "least": 301, "greatest": 412}}    from the last page to the first
//! ```

use serde_json::{Map, Value, json};

use super::id_set::IdSet;
use super::sent_hashes::SentHashes;
use super::sent_rows::{Retention, SentRows};
use crate::timestamp::Timestamp;

/// The position of an unfinished walk.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Position {
    /// A walk by lists of keys.
    Keys(KeysPosition),
    /// A walk from the last page to the first.
    Pages(PagesPosition),
    /// A walk from date to date.
    Dates(Box<DatesPosition>),
    /// A walk by windows of time.
    Windows(WindowsPosition),
}

/// The position of a walk by windows of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WindowsPosition {
    /// The part of the stream that is read.
    pub part: Option<String>,
    /// Rows that are only in windows before this UNIX second were read.
    pub reached: i64,
}

/// The position of a walk from date to date.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DatesPosition {
    /// First instant to read.
    pub from: Timestamp,
    /// First instant after the dates to read.
    pub before: Option<Timestamp>,
    /// The cursor after the walk; `None` if there is none.
    pub until: Option<Timestamp>,
    /// Only rows changed at this UNIX second or later are requested.
    pub since: Option<i64>,
    /// All rows created before this UNIX second were read.
    pub reached: Option<i64>,
    /// Rows created in this second that were emitted.
    pub edge: SentHashes,
    /// Greatest key when the walk began, where new rows may show an earlier date.
    pub greatest: Option<i64>,
    /// Keys that the walk has read, above the greatest one before the last walk.
    pub walked: IdSet,
    /// Rows that are remembered after the walk.
    pub sent_rows: SentRows,
}

/// The position of a walk by lists of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeysPosition {
    /// The part of the stream that is read.
    pub part: Option<String>,
    /// Rows with keys up to this one were read; `None` if the part is complete.
    pub after: Option<i64>,
}

/// The position of a walk from the last page to the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PagesPosition {
    /// The part of the stream that is read.
    pub part: Option<String>,
    /// Number of the first rows that are still to be read.
    pub left: u64,
    /// Rows per page.
    pub size: usize,
    /// Least key that was read.
    pub least: i64,
    /// Greatest key that was read.
    pub greatest: i64,
}

impl Position {
    /// Parses a position; returns `None` if it is not valid, so that the read starts over.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let (kind, fields) = value.as_object()?.iter().next()?;
        let number = |name: &str| fields.get(name).and_then(Value::as_i64);
        let part = fields.get("part").and_then(Value::as_str).map(str::to_owned);
        match kind.as_str() {
            "keys" => Some(Self::Keys(KeysPosition { part, after: number("after") })),
            "page_walk" => Some(Self::Pages(PagesPosition {
                part,
                left: u64::try_from(number("left")?).ok()?,
                size: usize::try_from(number("size")?).ok().filter(|&size| size > 0)?,
                least: number("least")?,
                greatest: number("greatest")?,
            })),
            "windows" => Some(Self::Windows(WindowsPosition { part, reached: number("reached")? })),
            "dates" => {
                let date = |name: &str| Timestamp::parse(fields.get(name)?.as_str()?.as_bytes()).ok();
                let until = date("until");
                let retention = until.map_or(Retention::Nothing, Retention::Overlap);
                Some(Self::Dates(Box::new(DatesPosition {
                    from: date("from")?,
                    before: date("before"),
                    until,
                    since: number("since"),
                    reached: number("reached"),
                    edge: fields.get("edge").and_then(SentHashes::from_json).unwrap_or_default(),
                    greatest: number("greatest"),
                    walked: fields.get("walked").and_then(IdSet::from_json).unwrap_or_default(),
                    sent_rows: SentRows::parse(fields, retention),
                })))
            }
            _ => None,
        }
    }

    /// Returns the position as JSON.
    pub(super) fn to_json(&self) -> Value {
        let mut fields = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                fields.insert(name.to_owned(), value);
            }
        };
        let text = |date: Option<Timestamp>| date.map(|date| json!(date.to_string()));
        let kind = match self {
            Self::Windows(WindowsPosition { part, reached }) => {
                put("part", part.as_ref().map(|part| json!(part)));
                put("reached", Some(json!(reached)));
                "windows"
            }
            Self::Dates(position) => {
                put("from", text(Some(position.from)));
                put("before", text(position.before));
                put("until", text(position.until));
                put("since", position.since.map(|since| json!(since)));
                put("reached", position.reached.map(|reached| json!(reached)));
                put("edge", position.edge.to_json());
                put("greatest", position.greatest.map(|greatest| json!(greatest)));
                put("walked", position.walked.to_json());
                position.sent_rows.write(&mut fields);
                "dates"
            }
            Self::Keys(KeysPosition { part, after }) => {
                put("part", part.as_ref().map(|part| json!(part)));
                put("after", after.map(|after| json!(after)));
                "keys"
            }
            Self::Pages(PagesPosition { part, left, size, least, greatest }) => {
                put("part", part.as_ref().map(|part| json!(part)));
                put("left", Some(json!(left)));
                put("size", Some(json!(size)));
                put("least", Some(json!(least)));
                put("greatest", Some(json!(greatest)));
                "page_walk"
            }
        };
        json!({ kind: fields })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dates() -> Position {
        let at = Timestamp::from_unix_seconds;
        let mut edge = SentHashes::default();
        edge.add(5, 77);
        let edge = SentHashes::from_json(&edge.to_json().unwrap()).unwrap();
        Position::Dates(Box::new(DatesPosition {
            from: at(100),
            before: None,
            until: Some(at(900)),
            since: Some(780),
            reached: Some(0),
            edge,
            greatest: Some(77),
            walked: [78, 79, 1_000_000].into_iter().collect(),
            sent_rows: SentRows::before(Some(at(900))),
        }))
    }

    #[test]
    fn a_position_is_read_as_it_was_written() {
        for part in [None, Some("C".to_owned())] {
            let (left, size, least, greatest) = (350, 50, 301, 412);
            for position in [
                Position::Keys(KeysPosition { part: part.clone(), after: Some(900) }),
                Position::Keys(KeysPosition { part: part.clone(), after: None }),
                dates(),
                Position::Windows(WindowsPosition { part: part.clone(), reached: -5 }),
                Position::Pages(PagesPosition { part: part.clone(), left, size, least, greatest }),
            ] {
                assert_eq!(Position::parse(&position.to_json().to_string()), Some(position));
            }
        }
    }

    #[test]
    fn what_is_no_position_starts_over() {
        for text in ["", "[]", "{}", r#"{"keys":[]}"#, r#"{"page_walk":{"left":-1,"size":0}}"#, r#"{"other":{}}"#] {
            let parsed = Position::parse(text);
            assert!(
                parsed.is_none() || matches!(parsed, Some(Position::Keys(KeysPosition { after: None, .. }))),
                "{text}"
            );
        }
    }
}
