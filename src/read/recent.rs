//! Rows near the cursor that were sent, so that the overlap of the next sync does not send them again, and so
//! that the next sync can tell whether the date filter still means what it did.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::rows::Row;
use super::sent_rows::SentRows;
use crate::record::Updated;
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
pub(super) enum Span {
    /// None: a full refresh starts from nothing.
    Nothing,
    /// Rows dated at or after the overlap of this cursor.
    Overlap(Timestamp),
    /// Every row, of a stream that is read completely at every sync; the cursor will be this.
    Everything(Option<Timestamp>),
}

/// Rows that were sent.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Recent {
    span: Span,
    sent: SentRows,
    at_cursor: Vec<CursorRow>,
    /// What earlier builds remembered: ids by date.
    old: Option<OldRecent>,
    /// Whether further rows are not remembered: they are already.
    is_complete: bool,
}

/// Closed ranges of ids by `updated_at`, as earlier builds wrote them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct OldRecent(BTreeMap<Timestamp, Vec<(i64, i64)>>);

impl Recent {
    /// Remembers no row yet, and rows of this span from now on.
    #[must_use]
    pub(super) fn of(span: Span) -> Self {
        Self { span, sent: SentRows::default(), at_cursor: Vec::new(), old: None, is_complete: false }
    }

    /// Remembers rows of the overlap before this cursor; none without a cursor.
    #[must_use]
    pub(super) fn before(cursor: Option<Timestamp>) -> Self {
        Self::of(cursor.map_or(Span::Nothing, Span::Overlap))
    }

    /// The earliest date of a row whose content is compared or remembered; `None` if there is no such row.
    #[must_use]
    pub(super) fn floor(&self) -> Option<Timestamp> {
        match self.span {
            Span::Nothing => None,
            Span::Overlap(cursor) => Some(cursor.minus_seconds(OVERLAP_SECONDS)),
            Span::Everything(_) => Some(Timestamp::EARLIEST),
        }
    }

    /// Remembers a row that was sent, or that was known already, by the hash of its content.
    pub(super) fn add(&mut self, id: i64, row: &Row, hash: u64) {
        let Some(floor) = self.floor().filter(|_| !self.is_complete) else { return };
        match row.updated {
            Updated::At(date) if date >= floor => {
                self.sent.add(id, hash);
                let cursor = match self.span {
                    Span::Overlap(cursor) | Span::Everything(Some(cursor)) => cursor,
                    Span::Nothing | Span::Everything(None) => return,
                };
                if date <= cursor && date >= cursor.minus_seconds(OVERLAP_SECONDS) {
                    self.note(CursorRow { key: id, date, offset: row.offset });
                }
            }
            Updated::At(_) => {}
            Updated::Undated if matches!(self.span, Span::Everything(_)) => self.sent.add(id, hash),
            // No date filter finds a row without a date. One whose date cannot be read is sent each time it comes.
            Updated::Undated | Updated::Unreadable => {}
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
    #[must_use]
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
    #[must_use]
    pub(super) fn knows(&self, id: i64, updated: Updated, hash: u64) -> bool {
        let Some(floor) = self.floor() else { return false };
        match updated {
            Updated::At(date) if date >= floor => {
                self.sent.contains(hash) || self.old.as_ref().is_some_and(|old| old.contains(id, date))
            }
            Updated::Undated if matches!(self.span, Span::Everything(_)) => self.sent.contains(hash),
            _ => false,
        }
    }

    /// What is remembered of the content of rows.
    #[must_use]
    pub(super) fn sent(&self) -> &SentRows {
        &self.sent
    }

    /// The newest remembered rows that are not newer than the cursor, at most four.
    #[must_use]
    pub(super) fn at_cursor(&self) -> &[CursorRow] {
        &self.at_cursor
    }

    /// Returns true if an earlier build wrote this memory.
    #[must_use]
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

    /// Reads what [`Recent::write`] or an earlier build wrote. What cannot be understood counts as absent,
    /// which can only bring rows again.
    #[must_use]
    pub(super) fn parse(state: &Value, span: Span) -> Self {
        let row = |row: &Value| {
            let date = Timestamp::parse(row.get(1)?.as_str()?.as_bytes()).ok()?;
            let offset = row.get(2).and_then(Value::as_i64).and_then(|offset| i16::try_from(offset).ok());
            Some(CursorRow { key: row.get(0)?.as_i64()?, date, offset })
        };
        let rows = state.get("at_cursor").and_then(Value::as_array);
        Self {
            span,
            sent: state.get("sent").and_then(SentRows::from_json).unwrap_or_default(),
            at_cursor: rows.into_iter().flatten().filter_map(row).take(MOST_CURSOR_ROWS).collect(),
            old: state.get("recent").and_then(OldRecent::parse),
            is_complete: false,
        }
    }
}

impl OldRecent {
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
