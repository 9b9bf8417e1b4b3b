//! Reads a list without a stable order by windows of time, from old to new. Pure.
//!
//! For rows that are groups of dated lines: a row is in a window if any of its lines is, and the dates of lines only
//! grow. Each window is read in one response, so no order of the rows is needed, and a row that changes meanwhile moves
//! to a window that is still to be read. The last window has no end.
//!
//! A window counts if the response has all rows that the store counts. Otherwise:
//! - More rows than requested: a shorter window is requested. A window of one second, and the last one once it begins
//!   after the start of the walk, are requested with more rows: in a busy store, the last one would fill up again.
//! - Fewer rows than counted: the store hides rows, for example those of the same user in another part of the store.
//!   The parts are requested one by one, or shorter windows if there are none.
//! - A response that cannot be read: half the window is requested, and for one second its parts.
//! - Rows of one second that nothing else separates are requested by their position ([`pages`]). What remains is
//!   reported as a gap.
//!
//! A row may be in several windows, so the caller keeps the keys of the rows that it has emitted: about 16 bytes for
//! each if it keeps hashes. It may emit the rows of every response, also of one that does not count.

use std::cmp::{max, min};

use self::pages::{Outcome, Pages};
use super::climb::FAR_FUTURE;
use super::date_walk::Window;

mod pages;

/// Number of rows that a response may have in excess of the last count: those that were added meanwhile. Doubled with
/// each attempt.
const SPARE_ROWS: u64 = 20;

/// Maximum number of requests for one window with more rows each time.
const MOST_ATTEMPTS: u32 = 5;

/// Maximum number of reads of one second with fewer rows than counted. A row that is deleted between the count and the
/// list looks as if it was hidden, but not each time.
const MOST_REPEATS: u32 = 3;

/// Maximum number of last windows. After one that cannot be used, the walk continues to the present with windows that
/// have an end; the rows that change meanwhile are left for the next one, which may not be usable either. After the
/// maximum, all windows have an end, so that rows dated in the future are read as well.
const MOST_LAST: u32 = 10;

/// Maximum number of gaps one after the other. Where more windows fail, there is another fault than damaged rows.
const MOST_GAPS: u32 = 50;

/// Limits of a walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Rows per request.
    pub rows: usize,
    /// Number of parts that the store has, such as storefronts; rows of one part hide none of another. 0 if they are
    /// not known.
    pub parts: usize,
    /// Number of kinds of rows that can be requested one by one, such as registered users and guests. 0 if there are
    /// none.
    pub kinds: usize,
}

/// A part of the rows of a window; all of them by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    /// Number of the part of the store, from 0.
    pub part: Option<usize>,
    /// Number of the kind of rows, from 0.
    pub kind: Option<usize>,
}

/// A request that the walk needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Request page `page`, counted from 1, of `rows` rows each with a line in the window, in any order. Report the
    /// response to [`DateWindows::answered`].
    Rows { window: Window, rows: usize, part: Part, page: u64 },
    /// All windows were read.
    Done,
}

/// A response to a [`Step::Rows`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer<'a> {
    /// A list.
    Rows {
        /// The date that each element shows, that of any of its lines; `None` if it shows none.
        dates: &'a [Option<i64>],
        /// The key of each row, or a hash of it.
        keys: &'a [u64],
        /// Number of rows that the store counts.
        total: Option<u64>,
        /// Maximum number of elements that was requested in the end: the number may have been reduced for a weak store below
        /// the step says.
        requested: usize,
    },
    /// A response that cannot be read, also when requested again.
    Unreadable,
}

/// The reason why rows are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The store cannot send them.
    Unreadable,
    /// The store counts them and does not list them.
    Hidden,
    /// They are more rows of one second than the store can send.
    TooMany,
}

/// Rows that may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// Dates of the rows.
    pub window: Window,
    /// Reason.
    pub cause: Cause,
}

/// A store of which rows cannot be read by windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unexpected {
    /// The response has no number of rows.
    #[error("it does not count the rows")]
    NoTotal,
    /// All rows have other dates than requested.
    #[error("it lists only rows dated outside the requested {} to {} (UNIX seconds)", .0.from, .0.until)]
    OutsideWindow(Window),
    /// Many windows one after the other cannot be read.
    #[error("{0} date ranges one after the other cannot be read")]
    TooManyGaps(u32),
}

/// The window that is read now.
#[derive(Debug)]
struct WindowRead {
    window: Window,
    rows: usize,
    /// Parts to read, the next one last; empty while all rows are requested at once.
    parts: Vec<Part>,
    /// Number of rows that the store counts in all parts, if it is known.
    total: Option<u64>,
    /// Number of rows that the parts have listed.
    listed: u64,
    attempts: u32,
    repeats: u32,
    has_gap: bool,
    /// The pages of the second or the part, while they are read one by one.
    pages: Option<Pages>,
}

impl WindowRead {
    fn new(window: Window, rows: usize) -> Self {
        let parts = Vec::new();
        Self { window, rows, parts, total: None, listed: 0, attempts: 0, repeats: 0, has_gap: false, pages: None }
    }

    fn is_second(&self) -> bool {
        self.window.until <= Window::second(self.window.from).until
    }
}

/// A walk over all rows of a list, by windows of time.
#[derive(Debug)]
pub(super) struct DateWindows {
    limits: Limits,
    /// Time of the store when the walk began, or later: windows up to this time have an end.
    started: i64,
    /// Latest time of the store that is known.
    now: i64,
    position: i64,
    /// Length of the next window (seconds).
    span: i64,
    /// End of a window that cannot be read and of which only a part is requested now.
    narrowed_until: Option<i64>,
    read: WindowRead,
    last_windows: u32,
    gaps: u32,
    is_done: bool,
}

impl DateWindows {
    /// Returns a walk over the rows with lines dated `position` or later. `started` is the time of the store.
    pub(super) fn new(position: Option<i64>, started: i64, limits: Limits) -> Self {
        let limits = Limits { rows: limits.rows.max(1), ..limits };
        let position = position.unwrap_or(0);
        Self {
            limits,
            started,
            now: started,
            position,
            span: i64::MAX,
            narrowed_until: None,
            read: WindowRead::new(Window::new(position, max(position, FAR_FUTURE)), limits.rows),
            last_windows: 0,
            gaps: 0,
            is_done: false,
        }
    }

    /// Returns the position for a checkpoint: rows whose lines were all earlier have been read or reported.
    pub(super) fn position(&self) -> i64 {
        self.position
    }

    /// Returns the next request.
    pub(super) fn next(&self) -> Step {
        if self.is_done {
            return Step::Done;
        }
        let part = self.read.parts.last().copied().unwrap_or_default();
        let (rows, page) = self.read.pages.as_ref().map_or((self.read.rows, 1), Pages::next);
        Step::Rows { window: self.read.window, rows, part, page }
    }

    /// Takes the response to the last request, and returns the rows that are now known to be missing. `date` is the
    /// time of the store, if the response has it.
    ///
    /// # Errors
    /// [`Unexpected`] if the store cannot be read by windows.
    pub(super) fn answered(&mut self, answer: Answer<'_>, date: Option<i64>) -> Result<Option<Gap>, Unexpected> {
        self.now = max(self.now, date.unwrap_or(self.now));
        let gap = match answer {
            _ if self.is_done => None,
            Answer::Unreadable => self.unreadable(),
            Answer::Rows { dates, keys, total, requested } => {
                let total = total.ok_or(Unexpected::NoTotal)?;
                let (window, requested) = (self.read.window, u64::try_from(requested).unwrap_or(u64::MAX));
                let shown = || dates.iter().flatten();
                // A row may show the date of another line. Not all of so many rows do.
                let is_outside = shown().next().is_some() && shown().all(|&date| !window.contains(date));
                if total > requested && is_outside && self.read.pages.is_none() {
                    return Err(Unexpected::OutsideWindow(window));
                }
                let listed = u64::try_from(dates.len()).unwrap_or(u64::MAX);
                if let Some(pages) = &mut self.read.pages {
                    let outcome = pages.listed(keys, total, requested);
                    outcome.and_then(|outcome| self.end_pages(outcome))
                } else if self.is_full((listed, total), requested) {
                    self.full(listed, requested)
                } else if total > requested {
                    self.too_many(total, requested)
                } else if listed < total {
                    self.hidden(total)
                } else {
                    self.complete(listed)
                }
            }
        };
        self.gaps = if gap.is_some() { self.gaps + 1 } else { self.gaps };
        if self.gaps > MOST_GAPS { Err(Unexpected::TooManyGaps(self.gaps)) } else { Ok(gap) }
    }

    /// Returns true if the window begins after the start of the walk. Such a window has no end.
    fn is_last(&self) -> bool {
        self.read.window.from > self.started
    }

    fn unreadable(&mut self) -> Option<Gap> {
        if let Some(pages) = &mut self.read.pages {
            let outcome = pages.unreadable();
            return outcome.and_then(|outcome| self.end_pages(outcome));
        }
        if self.is_last() {
            return self.end_last(Cause::Unreadable);
        }
        if self.read.is_second() {
            return self.split(Cause::Unreadable, None);
        }
        self.narrowed_until = Some(min(self.read.window.until, self.started));
        self.begin_window();
        None
    }

    /// Returns true if a page is full and its count shows no further rows.
    fn is_full(&self, (listed, total): (u64, u64), requested: u64) -> bool {
        let is_reduced = requested < u64::try_from(self.read.rows).unwrap_or(u64::MAX);
        // A weak store that cannot send more rows is believed that there are no others.
        listed >= requested && total <= listed && (total < listed || !is_reduced)
    }

    /// Requests one row more than the `listed` ones: a store may count only the rows of the page, so a full page does not
    /// prove that there are no others.
    fn full(&mut self, listed: u64, requested: u64) -> Option<Gap> {
        if self.read.attempts > 0 {
            return self.too_many(listed.saturating_add(1), requested);
        }
        self.read.rows = usize::try_from(listed.saturating_add(1)).unwrap_or(usize::MAX);
        self.read.attempts += 1;
        None
    }

    /// Requests more rows, or a shorter window.
    fn too_many(&mut self, total: u64, requested: u64) -> Option<Gap> {
        let is_reduced = requested < u64::try_from(self.read.rows).unwrap_or(u64::MAX);
        let is_in_parts = !self.read.parts.is_empty();
        let may_raise = self.read.is_second() || self.is_last() || is_in_parts;
        if may_raise && !is_reduced && self.read.attempts < MOST_ATTEMPTS {
            let rows = total.saturating_add(SPARE_ROWS << self.read.attempts);
            self.read.rows = usize::try_from(rows).unwrap_or(usize::MAX);
            self.read.attempts += 1;
            None
        } else if self.read.is_second() {
            self.split(Cause::TooMany, Some(total))
        } else {
            self.shorten(Cause::TooMany)
        }
    }

    /// Requests the parts of a window in which rows are hidden, or a shorter one.
    fn hidden(&mut self, total: u64) -> Option<Gap> {
        if self.read.parts.is_empty() && self.limits.parts > 1 {
            self.begin_parts(Some(total));
            return None;
        }
        self.not_separable(Cause::Hidden)
    }

    /// Requests a shorter window, since the parts of this one do not have all rows. One second is read again.
    fn not_separable(&mut self, cause: Cause) -> Option<Gap> {
        if !self.read.is_second() {
            return self.shorten(cause);
        }
        if self.read.repeats + 1 < MOST_REPEATS {
            let Window { from, until } = self.read.window;
            let repeats = self.read.repeats + 1;
            self.read = WindowRead { repeats, ..WindowRead::new(Window { from, until }, self.read.rows) };
            return None;
        }
        self.begin_pages(cause)
    }

    /// Requests the rows of one second, or of a part of it, by their position.
    fn begin_pages(&mut self, cause: Cause) -> Option<Gap> {
        self.read.pages = Some(Pages::new(cause, self.limits.rows));
        None
    }

    /// Takes the result of all pages.
    fn end_pages(&mut self, outcome: Outcome) -> Option<Gap> {
        if self.read.pages.take().is_some_and(|pages| pages.has_rows()) {
            self.gaps = 0;
        }
        let cause = match outcome {
            Outcome::Complete(listed) => return self.complete(listed),
            Outcome::Missing(cause) => cause,
        };
        let gap = Gap { window: self.read.window, cause };
        if self.read.parts.pop().is_none() {
            self.end_window(u64::MAX);
            return Some(gap);
        }
        // One gap for all parts, since rows that are in no part may be missing as well.
        let is_first = !std::mem::replace(&mut self.read.has_gap, true);
        self.end_part();
        is_first.then_some(gap)
    }

    /// Takes a list with all rows of the window or the part.
    fn complete(&mut self, listed: u64) -> Option<Gap> {
        self.gaps = if listed > 0 { 0 } else { self.gaps };
        if self.read.parts.pop().is_none() {
            self.end_window(listed);
            return None;
        }
        self.read.listed = self.read.listed.saturating_add(listed);
        self.end_part()
    }

    /// Continues with the next part, or ends the window after the last one.
    fn end_part(&mut self) -> Option<Gap> {
        self.read.attempts = 0;
        if !self.read.parts.is_empty() {
            return None;
        }
        match self.read.total {
            // Rows that are in no part.
            Some(total) if self.read.listed < total && !self.read.has_gap => self.not_separable(Cause::Hidden),
            // All parts can be read, but not all rows.
            None if !self.read.has_gap => self.not_separable(Cause::Unreadable),
            _ => {
                self.end_window(self.read.listed);
                None
            }
        }
    }

    /// Requests the parts of a second, the kinds of rows of a part, or the pages of a kind. `total` is the number of
    /// rows in all of them, if it is known.
    fn split(&mut self, cause: Cause, total: Option<u64>) -> Option<Gap> {
        let Some(part) = self.read.parts.last().copied() else {
            if self.limits.parts > 1 || self.limits.kinds > 1 {
                self.begin_parts(total);
                return None;
            }
            return self.begin_pages(cause);
        };
        if part.kind.is_some() || self.limits.kinds < 2 {
            return self.begin_pages(cause);
        }
        self.read.parts.pop();
        self.read.parts.extend((0..self.limits.kinds).rev().map(|kind| Part { kind: Some(kind), ..part }));
        self.read.attempts = 0;
        None
    }

    fn begin_parts(&mut self, total: Option<u64>) {
        self.read.total = total;
        self.read.rows = self.limits.rows;
        self.read.attempts = 0;
        self.read.parts = match self.limits.parts {
            0 | 1 => (0..self.limits.kinds).rev().map(|kind| Part { part: None, kind: Some(kind) }).collect(),
            parts => (0..parts).rev().map(|part| Part { part: Some(part), kind: None }).collect(),
        };
    }

    /// Requests a shorter window next.
    fn shorten(&mut self, cause: Cause) -> Option<Gap> {
        if self.is_last() {
            return self.end_last(cause);
        }
        let Window { from, until } = self.read.window;
        let seconds = min(until, self.started).saturating_sub(from).saturating_add(1);
        self.span = max(seconds / 2, 1);
        self.begin_window();
        None
    }

    /// Continues to the present with windows that have an end. After the last attempt it continues so to the last date;
    /// rows that change meanwhile may be missing then.
    fn end_last(&mut self, cause: Cause) -> Option<Gap> {
        self.last_windows += 1;
        let gap = (self.last_windows > MOST_LAST).then_some(Gap { window: self.read.window, cause });
        self.started = if gap.is_some() { FAR_FUTURE } else { max(self.now, self.position) };
        if cause == Cause::Unreadable {
            self.narrowed_until = Some(self.started);
        } else {
            self.span = max((self.started - self.position) / 2, 1);
        }
        self.begin_window();
        gap
    }

    /// Ends a window with `listed` rows and begins the next one.
    fn end_window(&mut self, listed: u64) {
        let until = self.read.window.until;
        if until >= FAR_FUTURE {
            self.is_done = true;
            return;
        }
        self.position = until.saturating_add(1);
        self.narrowed_until = self.narrowed_until.filter(|&end| end > until);
        let rows = u64::try_from(self.limits.rows).unwrap_or(u64::MAX);
        if listed.saturating_mul(2) <= rows {
            self.span = self.span.saturating_mul(2);
        }
        self.begin_window();
    }

    fn begin_window(&mut self) {
        let (from, started) = (self.position, self.started);
        let end = from.saturating_add(self.span - 1);
        let until = match self.narrowed_until {
            Some(narrowed) => min(end, from.saturating_add(narrowed.saturating_sub(from) / 2)),
            None if end > started => max(from, FAR_FUTURE),
            None => end,
        };
        self.read = WindowRead::new(Window::new(from, until), self.limits.rows);
    }
}

#[cfg(test)]
mod tests;
