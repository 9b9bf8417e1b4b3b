//! Whether a row that came is delivered. Pure.

use super::recent::Recent;
use super::rows::Row;
use crate::cart::query::Window;
use crate::record::{Key, Updated};
use crate::timestamp::Timestamp;

/// What happens to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is delivered.
    Deliver,
    /// It was delivered by an earlier sync, with this very content.
    Known,
    /// It lies outside the requested dates.
    Outside,
    /// It was changed after an interrupted walk began; the pass that follows delivers it.
    Later,
}

/// The rule for one walk.
#[derive(Clone, Debug)]
pub(super) struct Judge {
    /// Dates that are delivered.
    pub window: Window,
    /// Rows changed after this instant are left to a later pass of the same run.
    pub later_than: Option<Timestamp>,
    /// Whether rows without a date are delivered: on a stream's first sync, in a full refresh, and in a
    /// stream that is read completely at every sync.
    pub undated: bool,
    /// What was delivered before.
    pub known: Recent,
}

impl Judge {
    /// Judges one row; `hash` is that of its content.
    #[must_use]
    pub(super) fn judge(&self, row: &Row, hash: u64) -> Verdict {
        let is_known = || id_of(row.key).is_some_and(|id| self.known.knows(id, row.updated, hash));
        let instant = match row.updated {
            Updated::At(instant) => instant,
            // A date that cannot be read cannot be compared; the row is not held back for it.
            Updated::Unreadable => return Verdict::Deliver,
            Updated::Undated if !self.undated => return Verdict::Outside,
            Updated::Undated => return if is_known() { Verdict::Known } else { Verdict::Deliver },
        };
        if !self.window.contains(instant) {
            Verdict::Outside
        } else if self.later_than.is_some_and(|last| instant > last) {
            Verdict::Later
        } else if is_known() {
            Verdict::Known
        } else {
            Verdict::Deliver
        }
    }
}

/// The key as a number; the hash of a key that is none.
#[must_use]
pub(super) fn id_of(key: Key) -> Option<i64> {
    match key {
        Key::Number(id) => Some(id),
        Key::Other(hash) => Some(hash.cast_signed()),
        Key::Missing => None,
    }
}
