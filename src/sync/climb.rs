//! Finds the newest change of a stream before a walk, with the dates of the store only. Pure.
//!
//! A row that changes after the walk has passed it must be newer than the next cursor, or no sync would read it again.
//! So the cursor is determined before the walk. The store selects rows by their change date but does not sort by it:
//! the rows changed since the newest known change are requested, the newest created ones first, until none is left.
//! Each response leaves about a tenth of the rows for the next one. Where it does not, or where a response cannot be
//! read, the time in which the newest change may be is halved.
//!
//! Any result is safe that is not later than a change made during the walk. An earlier one only makes the next sync
//! read more rows.

use std::cmp::{max, min};

/// Last second of a time without an end (2100-01-01). Without an explicit end, stores take the present as the end, and
/// rows with later dates would not be listed.
pub(super) const FAR_FUTURE: i64 = 4_102_444_800;

/// Number of rows per request. More rows leave fewer for the next request; complete rows are expensive for a store.
const ROWS: usize = 10;

/// Maximum number of requests for [`ROWS`] rows. Six are enough for a million rows whose change dates do not depend on
/// their age; where the oldest rows changed last, each would pass ten rows only.
const MOST_ROUNDS: u32 = 8;

/// A request that the climb needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Request the first `rows` complete rows that changed at `from` or later, the newest created ones first. Report
    /// the response to [`Climb::answered`].
    Request { from: i64, rows: usize },
    /// The end, with the newest change as a cursor. `None` if no row has changed since the start and the climb began
    /// without a cursor.
    Done(Option<i64>),
}

/// A response to a [`Step::Request`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer<'a> {
    /// The change date of each element of the list; `None` for an element that is not a row, such as `false` for a row
    /// that was deleted during the request.
    Rows(&'a [Option<i64>]),
    /// The list cannot be read. An empty list can always be read, so there is at least one row.
    Unreadable,
}

/// A row that changed before the requested time: the store does not select rows by their change date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it lists a row changed at {changed} among those changed since {from} (UNIX seconds)")]
pub(super) struct FilterIgnored {
    /// First second of the request.
    pub from: i64,
    /// Change date of the row.
    pub changed: i64,
}

/// A search for the newest change.
#[derive(Debug)]
pub(super) struct Climb {
    start: Option<i64>,
    /// Newest change that a row shows.
    shown: Option<i64>,
    /// A time at or after which at least one row has changed.
    reached: i64,
    /// A time since which no row had changed when it was requested.
    empty_from: i64,
    /// Number of requests for [`ROWS`] rows that are left.
    rounds: u32,
    /// Earliest date of a response.
    date: Option<i64>,
    is_done: bool,
}

impl Climb {
    /// Returns a search for changes after `cursor`, or for all changes if there is none.
    pub(super) fn new(cursor: Option<i64>) -> Self {
        let reached = cursor.unwrap_or(0);
        let empty_from = max(FAR_FUTURE, reached).saturating_add(1);
        Self { start: cursor, shown: cursor, reached, empty_from, rounds: MOST_ROUNDS, date: None, is_done: false }
    }

    /// Returns the next request, or the result.
    pub(super) fn next(&self) -> Step {
        if self.is_done {
            return Step::Done(self.result());
        }
        if self.rounds > 0 {
            return Step::Request { from: self.reached.saturating_add(1), rows: ROWS };
        }
        Step::Request { from: self.middle(), rows: 1 }
    }

    /// Takes the response to the last request. `date` is the store's time when it was sent, from its `Date` header; a
    /// cache may have sent it, so it may be too early.
    ///
    /// # Errors
    /// [`FilterIgnored`] if the store lists rows that were not requested.
    pub(super) fn answered(&mut self, answer: Answer<'_>, date: Option<i64>) -> Result<(), FilterIgnored> {
        let Step::Request { from, .. } = self.next() else { return Ok(()) };
        self.date = [self.date, date].into_iter().flatten().min();
        match answer {
            Answer::Rows([]) => self.empty_from = from,
            Answer::Rows(changes) => {
                let early = changes.iter().flatten().copied().find(|&changed| changed < from);
                if let Some(changed) = early {
                    return Err(FilterIgnored { from, changed });
                }
                let newest = changes.iter().flatten().copied().max();
                self.shown = max(self.shown, newest);
                // A row that is deleted by now had also changed since.
                self.reached = max(from, newest.unwrap_or(from));
                self.rounds = self.rounds.saturating_sub(1);
            }
            Answer::Unreadable => {
                self.reached = from;
                self.rounds = 0;
            }
        }
        self.is_done = self.empty_from.saturating_sub(self.reached) <= 1;
        Ok(())
    }

    /// Returns the middle of the time in which the newest change may be.
    fn middle(&self) -> i64 {
        max(self.reached.midpoint(self.empty_from), self.reached.saturating_add(1))
    }

    /// Returns the newest change, but no later than the store's time: changes that follow are earlier than a date in
    /// the future.
    fn result(&self) -> Option<i64> {
        let has_changes = self.reached > self.start.unwrap_or(0);
        let newest = match self.date {
            Some(date) => has_changes.then(|| min(self.reached, date)),
            // Without the store's time, a row that cannot be read may have any date.
            None => self.shown,
        };
        max(self.start, newest)
    }
}

#[cfg(test)]
mod tests;
