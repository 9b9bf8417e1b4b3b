//! Decides which rows are delivered. Pure.

use super::query::DateRange;
use super::rows::{Row, Rows};
use super::sent_rows::SentRows;
use crate::record::{CursorValue, Key};
use crate::timestamp::Timestamp;

/// The decision about a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It is delivered.
    Emit,
    /// It was delivered by an earlier sync, with this very content.
    AlreadySent,
    /// It lies outside the requested dates.
    OutOfRange,
    /// It was changed after an interrupted walk began; the pass that follows delivers it.
    Deferred,
}

/// The rule for one walk.
#[derive(Clone, Debug)]
pub(super) struct RowFilter {
    /// Dates that are delivered.
    pub date_range: DateRange,
    /// Rows changed after this instant are left to a later pass of the same run.
    pub later_than: Option<Timestamp>,
    /// True if rows without a date are delivered: on a stream's first sync, in a full refresh, and in a stream that is
    /// read completely at every sync.
    pub include_missing_dates: bool,
    /// Rows that were delivered before.
    pub known: SentRows,
}

impl RowFilter {
    /// The hash of each row that is not dated before `floor`, and what happens to it.
    pub(super) fn decide_rows(
        &self,
        rows: &Rows,
        floor: Option<Timestamp>,
        prefix_length: usize,
    ) -> (Vec<u64>, Vec<Decision>) {
        let hashes = rows.hashes(floor, prefix_length);
        let decisions = rows.rows.iter().zip(&hashes).map(|(row, &hash)| self.decide(row, hash)).collect();
        (hashes, decisions)
    }

    /// What happens to one row; `hash` is that of its content.
    pub(super) fn decide(&self, row: &Row, hash: u64) -> Decision {
        let is_known = || id_of(row.key).is_some_and(|id| self.known.knows(id, row.updated, hash));
        let instant = match row.updated {
            CursorValue::At(instant) => instant,
            // A date that cannot be read cannot be compared; the row is not held back for it.
            CursorValue::Invalid => return Decision::Emit,
            CursorValue::Missing if !self.include_missing_dates => return Decision::OutOfRange,
            CursorValue::Missing => return if is_known() { Decision::AlreadySent } else { Decision::Emit },
        };
        if !self.date_range.contains(instant) {
            Decision::OutOfRange
        } else if self.later_than.is_some_and(|last| instant > last) {
            Decision::Deferred
        } else if is_known() {
            Decision::AlreadySent
        } else {
            Decision::Emit
        }
    }
}

/// The key as a number, or the hash of a key that is no number.
pub(super) fn id_of(key: Key) -> Option<i64> {
    match key {
        Key::Number(id) => Some(id),
        Key::Other(hash) => Some(hash.cast_signed()),
        Key::Missing => None,
    }
}
