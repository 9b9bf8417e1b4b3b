//! Rows near the cursor that were sent, so that the overlap of the next sync does not send them again, and so
//! that the next sync can tell whether the date filter still means what it did.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::rows::Row;
use super::sent_hashes::SentHashes;
use crate::record::CursorValue;
use crate::timestamp::Timestamp;

/// How far before its cursor a later sync looks for changes that became visible late. Commits have
/// been allowed for that are a minute late; this is twice that.
pub const OVERLAP_SECONDS: i64 = 120;

/// Rows at the cursor that are remembered by key and date. One may be deleted or changed before the next sync,
/// seldom all of them.
const MOST_CURSOR_ROWS: usize = 4;

/// A row at or shortly before the cursor, as it was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CursorRow {
    /// Its key.
    pub key: i64,
    /// Its `updated_at`.
    pub date: Timestamp,
    /// The UTC offset it was shown with, in minutes.
    pub offset: Option<i16>,
}

/// Which rows are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retention {
    /// None: a full refresh starts from nothing.
    Nothing,
    /// Rows dated at or after the overlap of this cursor.
    Overlap(Timestamp),
    /// Every row, of a stream that is read completely at every sync; the cursor will be this.
    Everything(Option<Timestamp>),
}

/// Rows that were sent.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SentRows {
    retention: Retention,
    sent: SentHashes,
    at_cursor: Vec<CursorRow>,
    /// What earlier builds remembered: ids by date.
    old: Option<LegacySentRows>,
    /// Whether further rows are not remembered: they are already.
    is_complete: bool,
}

/// Closed ranges of ids by `updated_at`, as earlier builds wrote them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct LegacySentRows(BTreeMap<Timestamp, Vec<(i64, i64)>>);

impl SentRows {
    /// Remembers no row yet, and rows of this span from now on.
    pub(super) fn of(retention: Retention) -> Self {
        Self { retention, sent: SentHashes::default(), at_cursor: Vec::new(), old: None, is_complete: false }
    }

    /// Remembers rows of the overlap before this cursor; none without a cursor.
    pub(super) fn before(cursor: Option<Timestamp>) -> Self {
        Self::of(cursor.map_or(Retention::Nothing, Retention::Overlap))
    }

    /// The earliest date of a row whose content is compared or remembered; `None` if there is no such row.
    pub(super) fn floor(&self) -> Option<Timestamp> {
        match self.retention {
            Retention::Nothing => None,
            Retention::Overlap(cursor) => Some(cursor.minus_seconds(OVERLAP_SECONDS)),
            Retention::Everything(_) => Some(Timestamp::EARLIEST),
        }
    }

    /// Remembers a row that was sent, or that was known already, by the hash of its content.
    pub(super) fn add(&mut self, id: i64, row: &Row, hash: u64) {
        let Some(floor) = self.floor().filter(|_| !self.is_complete) else { return };
        match row.updated {
            CursorValue::At(date) if date >= floor => {
                self.sent.add(id, hash);
                let cursor = match self.retention {
                    Retention::Overlap(cursor) | Retention::Everything(Some(cursor)) => cursor,
                    Retention::Nothing | Retention::Everything(None) => return,
                };
                if date <= cursor && date >= cursor.minus_seconds(OVERLAP_SECONDS) {
                    self.note(CursorRow { key: id, date, offset: row.offset });
                }
            }
            CursorValue::At(_) => {}
            CursorValue::Missing if matches!(self.retention, Retention::Everything(_)) => self.sent.add(id, hash),
            // No date filter finds a row without a date. One whose date cannot be read is sent each time it comes.
            CursorValue::Missing | CursorValue::Invalid => {}
        }
    }

    fn note(&mut self, row: CursorRow) {
        let at = self.at_cursor.partition_point(|known| (known.date, known.key) > (row.date, row.key));
        if at < MOST_CURSOR_ROWS && !self.at_cursor.contains(&row) {
            self.at_cursor.insert(at, row);
            self.at_cursor.truncate(MOST_CURSOR_ROWS);
        }
    }

    /// Remembers no further rows: all that the walk will meet are remembered.
    pub(super) fn complete(self) -> Self {
        Self { is_complete: true, ..self }
    }

    /// Keeps what `before` remembers as well: a sync that did not move the cursor may not have been shown
    /// those rows.
    pub(super) fn keep(&mut self, before: &Self) {
        self.sent.extend(&before.sent);
        for row in &before.at_cursor {
            self.note(*row);
        }
        self.old = before.old.clone();
    }

    /// Returns true if this row was sent with this very content. Always false when rows are remembered by
    /// ranges of ids only.
    pub(super) fn knows(&self, id: i64, updated: CursorValue, hash: u64) -> bool {
        let Some(floor) = self.floor() else { return false };
        match updated {
            CursorValue::At(date) if date >= floor => {
                self.sent.contains(hash) || self.old.as_ref().is_some_and(|old| old.contains(id, date))
            }
            CursorValue::Missing if matches!(self.retention, Retention::Everything(_)) => self.sent.contains(hash),
            _ => false,
        }
    }

    /// What is remembered of the content of rows.
    pub(super) fn sent(&self) -> &SentHashes {
        &self.sent
    }

    /// The newest remembered rows that are not newer than the cursor, at most four.
    pub(super) fn at_cursor(&self) -> &[CursorRow] {
        &self.at_cursor
    }

    /// Returns true if an earlier build wrote this memory.
    pub(super) fn is_old(&self) -> bool {
        self.old.is_some()
    }

    /// Adds the fields `sent` and `at_cursor` to a state.
    pub(super) fn write(&self, state: &mut serde_json::Map<String, Value>) {
        if let Some(sent) = self.sent.to_json() {
            state.insert("sent".to_owned(), sent);
        }
        if !self.at_cursor.is_empty() {
            let rows = self.at_cursor.iter().map(|row| json!([row.key, row.date.to_string(), row.offset]));
            state.insert("at_cursor".to_owned(), rows.collect());
        }
        if let Some(old) = &self.old {
            state.insert("recent".to_owned(), old.to_json());
        }
    }

    /// Reads what [`SentRows::write`] or an earlier build wrote. What cannot be understood counts as absent,
    /// which can only bring rows again.
    pub(super) fn parse(state: &Value, retention: Retention) -> Self {
        let row = |row: &Value| {
            let date = Timestamp::parse(row.get(1)?.as_str()?.as_bytes()).ok()?;
            let offset = row.get(2).and_then(Value::as_i64).and_then(|offset| i16::try_from(offset).ok());
            Some(CursorRow { key: row.get(0)?.as_i64()?, date, offset })
        };
        let rows = state.get("at_cursor").and_then(Value::as_array);
        Self {
            retention,
            sent: state.get("sent").and_then(SentHashes::from_json).unwrap_or_default(),
            at_cursor: rows.into_iter().flatten().filter_map(row).take(MOST_CURSOR_ROWS).collect(),
            old: state.get("recent").and_then(LegacySentRows::parse),
            is_complete: false,
        }
    }
}

impl LegacySentRows {
    /// Reads `{"2021-07-01T13:59:28Z": [1, [5, 9]]}`. The other old form, a number of rows and their sum, says
    /// nothing about single rows and is not used any more: such rows come once more.
    fn parse(value: &Value) -> Option<Self> {
        let mut ids: BTreeMap<Timestamp, Vec<(i64, i64)>> = BTreeMap::new();
        for (date, ranges) in value.as_object()? {
            let (Ok(date), Some(ranges)) = (Timestamp::parse(date.as_bytes()), ranges.as_array()) else { continue };
            for range in ranges {
                let (first, last) = match range {
                    Value::Array(pair) => (pair.first().and_then(Value::as_i64), pair.get(1).and_then(Value::as_i64)),
                    id => (id.as_i64(), id.as_i64()),
                };
                if let (Some(first), Some(last)) = (first, last) {
                    ids.entry(date).or_default().push((first, last));
                }
            }
        }
        (!ids.is_empty()).then_some(Self(ids))
    }

    fn contains(&self, id: i64, date: Timestamp) -> bool {
        self.0.get(&date).is_some_and(|ranges| ranges.iter().any(|&(first, last)| (first..=last).contains(&id)))
    }

    fn to_json(&self) -> Value {
        let dates = self.0.iter().map(|(date, ranges)| {
            let ids =
                ranges.iter().map(|&(first, last)| if first == last { json!(first) } else { json!([first, last]) });
            (date.to_string(), ids.collect())
        });
        Value::Object(dates.collect())
    }
}
