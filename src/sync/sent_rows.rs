//! Rows near the cursor that were emitted. With them, the overlap of the next sync does not emit these rows again,
//! and the next sync can check whether the date filter still behaves as before.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::rows::Row;
use super::sent_hashes::SentHashes;
use crate::record::CursorValue;
use crate::timestamp::Timestamp;

/// Seconds before its cursor from which a later sync looks for changes that became visible late. Commits up to a
/// minute late are expected; this is twice that.
pub const OVERLAP_SECONDS: i64 = 120;

/// Maximum number of rows at the cursor that are remembered by key and date. One may be deleted or changed before the
/// next sync, but rarely all of them.
const MOST_CURSOR_ROWS: usize = 4;

/// A row at or shortly before the cursor, as the store showed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CursorRow {
    /// Its key.
    pub key: i64,
    /// Its `updated_at`.
    pub date: Timestamp,
    /// UTC offset of `updated_at` as shown, in minutes.
    pub offset: Option<i16>,
}

/// The rows to remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retention {
    /// No rows: a full refresh starts over.
    Nothing,
    /// Rows dated at or after the overlap of this cursor.
    Overlap(Timestamp),
    /// All rows, of a stream that is read completely at every sync. The value is its next cursor.
    Everything(Option<Timestamp>),
}

/// Rows that were emitted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SentRows {
    retention: Retention,
    sent: SentHashes,
    at_cursor: Vec<CursorRow>,
    /// Rows remembered by earlier builds: ids by date.
    old: Option<LegacySentRows>,
    /// True if no further rows are remembered, because all of them are already.
    is_complete: bool,
}

/// Closed ranges of ids by `updated_at`, as earlier builds wrote them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct LegacySentRows(BTreeMap<Timestamp, Vec<(i64, i64)>>);

impl SentRows {
    /// Returns an empty memory for rows of this retention.
    pub(super) fn of(retention: Retention) -> Self {
        Self { retention, sent: SentHashes::default(), at_cursor: Vec::new(), old: None, is_complete: false }
    }

    /// Returns an empty memory for rows of the overlap before this cursor; for no rows without a cursor.
    pub(super) fn before(cursor: Option<Timestamp>) -> Self {
        Self::of(cursor.map_or(Retention::Nothing, Retention::Overlap))
    }

    /// Returns the earliest date of a row whose content is compared or remembered; `None` if there is no such row.
    pub(super) fn floor(&self) -> Option<Timestamp> {
        match self.retention {
            Retention::Nothing => None,
            Retention::Overlap(cursor) => Some(cursor.minus_seconds(OVERLAP_SECONDS)),
            Retention::Everything(_) => Some(Timestamp::EARLIEST),
        }
    }

    /// Returns true if a row with this `updated_at` is remembered when it is emitted.
    pub(super) fn remembers(&self, updated: CursorValue) -> bool {
        match updated {
            CursorValue::At(date) => self.floor().is_some_and(|floor| date >= floor),
            // Such a row matches no date filter.
            CursorValue::Missing | CursorValue::Invalid => matches!(self.retention, Retention::Everything(_)),
        }
    }

    /// Remembers a row that was emitted now or earlier, by the hash of its content.
    pub(super) fn add(&mut self, id: i64, row: &Row, hash: u64) {
        if self.is_complete || !self.remembers(row.updated) {
            return;
        }
        self.sent.add(id, hash);
        let (Retention::Overlap(cursor) | Retention::Everything(Some(cursor))) = self.retention else { return };
        if let CursorValue::At(date) = row.updated
            && date <= cursor
            && date >= cursor.minus_seconds(OVERLAP_SECONDS)
        {
            self.note(CursorRow { key: id, date, offset: row.offset });
        }
    }

    fn note(&mut self, row: CursorRow) {
        let at = self.at_cursor.partition_point(|known| (known.date, known.key) > (row.date, row.key));
        if at < MOST_CURSOR_ROWS && !self.at_cursor.contains(&row) {
            self.at_cursor.insert(at, row);
            self.at_cursor.truncate(MOST_CURSOR_ROWS);
        }
    }

    /// Stops remembering rows: all rows that the walk will read are remembered already.
    pub(super) fn complete(self) -> Self {
        Self { is_complete: true, ..self }
    }

    /// Also keeps the rows that `before` remembers: a sync that did not move the cursor may not have read those rows.
    pub(super) fn keep(&mut self, before: &Self) {
        self.sent.extend(&before.sent);
        for row in &before.at_cursor {
            self.note(*row);
        }
        self.old = before.old.clone();
    }

    /// Returns a memory of these rows and of those emitted later. If they are too many to be remembered one by one, it
    /// has only the later ones.
    pub(super) fn with(&self, later: &Self) -> Self {
        let mut both = self.clone();
        if both.floor().is_some() && both.sent.extend(&later.sent) { both } else { later.clone() }
    }

    /// Returns true if this row was emitted with the same content. Always false if rows are remembered only by ranges
    /// of ids.
    pub(super) fn knows(&self, id: i64, updated: CursorValue, hash: u64) -> bool {
        let is_old = |date| self.old.as_ref().is_some_and(|old| old.contains(id, date));
        let is_sent = || self.sent.contains(hash) || matches!(updated, CursorValue::At(date) if is_old(date));
        self.remembers(updated) && is_sent()
    }

    /// Returns the hashes of the content of rows.
    pub(super) fn sent(&self) -> &SentHashes {
        &self.sent
    }

    /// Returns the newest remembered rows that are not newer than the cursor, at most four.
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

    /// Parses the output of [`SentRows::write`] or of an earlier build. An invalid part counts as absent, which can
    /// only cause rows to be emitted again.
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
    /// Parses `{"2021-07-01T13:59:28Z": [1, [5, 9]]}`. The other old form, a number of rows and their sum, does not
    /// identify single rows and is ignored: such rows are emitted again.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Key;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text.as_bytes()).unwrap()
    }

    /// Returns a memory with the overlap before `cursor` that has rows of these ids, all with this date.
    fn remembered(cursor: &str, date: &str, ids: std::ops::Range<i64>) -> SentRows {
        let mut rows = SentRows::before(Some(at(cursor)));
        for id in ids {
            let row = Row {
                key: Key::Number(id),
                updated: CursorValue::At(at(date)),
                offset: None,
                created: None,
                block: 0,
                end: 0,
            };
            rows.add(id, &row, id.cast_unsigned());
        }
        rows
    }

    #[test]
    fn rows_of_an_earlier_sync_stay_known_beside_those_of_this_one() {
        let earlier = remembered("2024-01-01T12:00:00Z", "2024-01-01T11:59:00Z", 1..3);
        let now = remembered("2024-01-01T13:00:00Z", "2024-01-01T12:59:00Z", 3..5);
        let knows =
            |rows: &SentRows, id: i64, date: &str| rows.knows(id, CursorValue::At(at(date)), id.cast_unsigned());
        let both = earlier.with(&now);
        assert!(knows(&both, 1, "2024-01-01T11:59:00Z") && knows(&both, 4, "2024-01-01T12:59:00Z"));
        assert!(!knows(&both, 5, "2024-01-01T12:59:00Z"));
        // Without a cursor before, nothing was remembered; beyond the limit, no row of this sync may come twice.
        assert_eq!(SentRows::before(None).with(&now), now);
        let many = remembered("2024-01-01T12:00:00Z", "2024-01-01T11:59:00Z", 10..4_009);
        assert_eq!(many.with(&now), now);
    }
}
