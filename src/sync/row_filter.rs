//! Decides which rows are emitted. Pure.

use super::query::DateRange;
use super::rows::{Row, Rows};
use super::sent_rows::SentRows;
use crate::record::{CursorValue, Key};
use crate::timestamp::Timestamp;

/// The decision about a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// The row is emitted.
    Emit,
    /// An earlier sync emitted the row with the same content.
    AlreadySent,
    /// The row's date is outside the requested dates.
    OutOfRange,
    /// The row changed after an interrupted walk began; the next pass emits it.
    Deferred,
}

/// Decides which rows of one walk are emitted.
#[derive(Clone, Debug)]
pub(super) struct RowFilter {
    /// Dates of the rows to emit.
    pub date_range: DateRange,
    /// Rows changed after this instant are left to a later pass of the same run.
    pub later_than: Option<Timestamp>,
    /// True if rows without `updated_at` are emitted: in a stream's first sync, in a full refresh, and in a stream that
    /// is read completely by every sync.
    pub include_missing_dates: bool,
    /// Rows that earlier syncs emitted.
    pub known: SentRows,
}

impl RowFilter {
    /// Returns the hash of each row (0 for rows dated before `floor`, which need none), and the decision about it.
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

    /// Returns the decision about a row; `hash` is the hash of its content.
    pub(super) fn decide(&self, row: &Row, hash: u64) -> Decision {
        let is_known = || id_of(row.key).is_some_and(|id| self.known.knows(id, row.updated, hash));
        let instant = match row.updated {
            CursorValue::At(instant) => instant,
            CursorValue::Missing if !self.include_missing_dates => return Decision::OutOfRange,
            // An invalid date cannot be compared. The row is emitted, so that none is lost.
            CursorValue::Missing | CursorValue::Invalid => {
                return if is_known() { Decision::AlreadySent } else { Decision::Emit };
            }
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

/// Returns a key as a number: its hash if it is not a number, `None` if there is no key.
pub(super) fn id_of(key: Key) -> Option<i64> {
    match key {
        Key::Number(id) => Some(id),
        Key::Other(hash) => Some(hash.cast_signed()),
        Key::Missing => None,
    }
}
