//! Reads a list in the order of its dates, without page numbers. Pure.
//!
//! Each request begins at the date of the last row that was read, inclusive, and takes the first page. So rows that are
//! added, deleted or changed elsewhere move no row past a request. Rows of the last second that come twice are marked.
//! Three things need more:
//! - A second with more rows than a page: `second` reads it by keys, since rows move between the pages of a second.
//! - A page that cannot be read: the time is halved until one second is left, which `second` reads. A smaller page
//!   would be the wrong way: it contains the same first row.
//! - A page that is full of elements that are not rows is full anyway: rows follow it.
//!
//! A store that ignores the dates or the order of a request is detected.

mod second;

use std::cmp::{max, min};
use std::collections::HashMap;

use super::climb::FAR_FUTURE;
use second::SecondRead;

/// Length of the first window after a page that cannot be read, if no page was read before (seconds).
const FIRST_SPAN: i64 = 86_400;

/// Maximum number of gaps one after the other, with no row read between them. Where more rows fail, there is another
/// fault than damaged rows.
const MOST_GAPS: usize = 50;

/// A range of seconds, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// First second.
    pub from: i64,
    /// Last second.
    pub until: i64,
}

impl Window {
    /// Returns the seconds from `from` to `until`. An end of 0 would be the present for a store that takes 0 as
    /// missing, so such a window ends at 1.
    pub(super) fn new(from: i64, until: i64) -> Self {
        Self { from, until: if until == 0 { 1 } else { until } }
    }

    /// Returns the smallest window that has a second.
    pub(super) fn second(second: i64) -> Self {
        Self::new(second, second)
    }

    pub(super) fn contains(self, date: i64) -> bool {
        (self.from..=self.until).contains(&date)
    }
}

/// Maximum sizes of requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Rows of a page.
    pub rows: usize,
    /// Keys of a list.
    pub keys: usize,
}

/// A request that the walk needs next. Report its response to [`DateWalk::answered`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Request a page of complete rows, the oldest first and those of one second by key. All dates, also missing ones,
    /// if there is no window.
    Rows { window: Option<Window>, rows: usize, page: u64 },
    /// Request the keys and dates of all rows in the window, in one response.
    Short(Window),
    /// Request the complete rows with these keys, and with a date in the window if there is one.
    Keys { keys: Vec<i64>, window: Option<Window> },
    /// All rows were read.
    Done,
}

/// Facts about a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RowFacts {
    /// Date that the list is sorted by (UNIX seconds).
    pub date: i64,
    /// Key.
    pub key: i64,
    /// Hash of the content. A row that comes again with another one is new.
    pub hash: u64,
}

/// A response to a [`Step`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer<'a> {
    /// A list.
    Rows {
        /// The elements in their order; `None` for one that is not a row, such as `false` for a row that was deleted
        /// during the request.
        elements: &'a [Option<RowFacts>],
        /// Maximum number of elements that was requested in the end: the number may have been reduced for a weak store below
        /// the step says. Ignored for short rows.
        requested: usize,
    },
    /// A response that cannot be read, also when requested again.
    Unreadable,
}

/// Rows that the store cannot send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    /// The row with this key.
    Row { key: i64, date: i64 },
    /// Rows with this date, whose keys are not known.
    Second(i64),
}

/// The result of a response.
#[derive(Debug, Default)]
pub(super) struct Accepted {
    /// For each element, true if it is a row to emit: not one that came before.
    pub is_new: Vec<bool>,
    /// Rows that are now known to be unreadable.
    pub gaps: Vec<Gap>,
}

/// A response that does not fit its request: the store ignores a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unexpected {
    /// A row has another date than requested.
    #[error("it lists a row dated {date}, outside the requested {} to {} (UNIX seconds)", window.from, window.until)]
    OutsideWindow {
        /// The requested dates.
        window: Window,
        /// Date of the row.
        date: i64,
    },
    /// The rows are not sorted by date.
    #[error("it lists a row dated {second} after one dated {first} (UNIX seconds), although sorted by date")]
    Unsorted {
        /// Date of a row.
        first: i64,
        /// Earlier date of the row after it.
        second: i64,
    },
    /// A row has another key than requested.
    #[error("it lists a row with the key {0}, which was not requested")]
    OtherKey(i64),
    /// Many rows one after the other cannot be read.
    #[error("{0} rows one after the other cannot be read")]
    TooManyGaps(usize),
}

/// A walk over all rows of a list, in the order of their dates.
#[derive(Debug)]
pub(super) struct DateWalk {
    limits: Limits,
    position: Option<i64>,
    /// Rows dated `position` that were read.
    seen: HashMap<i64, u64>,
    /// Key of the last row that was read.
    last_key: Option<i64>,
    /// End of a window that could not be read and of which only a part is requested now.
    unreadable_until: Option<i64>,
    /// Length of a window that may have fewer rows than a page (seconds).
    span: i64,
    second: Option<SecondRead>,
    /// Number of gaps since the last row that was read.
    gaps: usize,
    is_done: bool,
}

impl DateWalk {
    /// Returns a walk that begins with the rows dated `position`, or with all rows if there is none.
    pub(super) fn new(position: Option<i64>, limits: Limits) -> Self {
        let limits = Limits { rows: limits.rows.max(1), keys: limits.keys.max(1) };
        Self {
            limits,
            position,
            seen: HashMap::new(),
            last_key: None,
            unreadable_until: None,
            span: FIRST_SPAN,
            second: None,
            gaps: 0,
            is_done: false,
        }
    }

    /// Returns the position for a checkpoint: all rows with earlier dates have been reported as new or as gaps.
    pub(super) fn position(&self) -> Option<i64> {
        self.position
    }

    /// Continues at a date without the rows before it, once those that have no date (0) were read.
    pub(super) fn skip_until(&mut self, date: i64) {
        let is_before = self.position.is_some_and(|position| (1..date).contains(&position));
        if is_before && self.second.is_none() && !self.is_done {
            self.unreadable_until = self.unreadable_until.filter(|&end| end > date);
            self.move_to(date);
        }
    }

    /// Returns the next request.
    pub(super) fn next(&self) -> Step {
        match &self.second {
            _ if self.is_done => Step::Done,
            Some(second) => second.next(),
            None => Step::Rows { window: self.window(), rows: self.limits.rows, page: 1 },
        }
    }

    /// Takes the response to the last request.
    ///
    /// # Errors
    /// [`Unexpected`] if the response has other rows than requested, or in another order.
    pub(super) fn answered(&mut self, answer: Answer<'_>) -> Result<Accepted, Unexpected> {
        let has_rows = matches!(answer, Answer::Rows { elements, .. } if elements.iter().flatten().next().is_some());
        let accepted = match &mut self.second {
            None => self.page_answered(answer)?,
            Some(second) => {
                let accepted = second.answered(answer)?;
                self.leave_second();
                accepted
            }
        };
        self.gaps = if has_rows { 0 } else { self.gaps } + accepted.gaps.len();
        if self.gaps > MOST_GAPS { Err(Unexpected::TooManyGaps(self.gaps)) } else { Ok(accepted) }
    }

    /// Continues after a second that was read.
    fn leave_second(&mut self) {
        if let Some(second) = self.second.take_if(|second| second.is_done()) {
            self.last_key = second.greatest_key().or(self.last_key);
            self.unreadable_until = None;
            self.move_to(second.window().until.saturating_add(1));
        }
    }

    /// Returns the dates of the next page.
    fn window(&self) -> Option<Window> {
        let from = self.position?;
        let until = match self.unreadable_until {
            Some(end) => from.saturating_add(min(end.saturating_sub(from) / 2, self.span)),
            None => max(from, FAR_FUTURE),
        };
        Some(Window::new(from, until))
    }

    fn page_answered(&mut self, answer: Answer<'_>) -> Result<Accepted, Unexpected> {
        let window = self.window();
        let Answer::Rows { elements, requested } = answer else {
            self.narrow();
            return Ok(Accepted::default());
        };
        check_dates(elements, window)?;
        check_order(elements)?;
        let is_new = |element: &Option<RowFacts>| element.is_some_and(|row| self.seen.get(&row.key) != Some(&row.hash));
        let is_new = elements.iter().map(is_new).collect();
        let rows = || elements.iter().flatten();
        let is_full = requested > 0 && elements.len() >= requested;
        if let Some(last) = rows().last() {
            self.last_key = Some(last.key);
        }
        match (rows().next(), rows().last()) {
            _ if !is_full => self.end_window(window),
            (Some(first), Some(last)) => {
                self.span = last.date.saturating_sub(self.position.unwrap_or(first.date)).max(1);
                if self.position != Some(last.date) {
                    self.move_to(last.date);
                }
                self.seen.extend(rows().filter(|row| row.date == last.date).map(|row| (row.key, row.hash)));
                if first.date == last.date {
                    self.read_second(last.date);
                }
            }
            // The rows were deleted during the request, and the next ones are not known.
            _ => self.narrow(),
        }
        Ok(Accepted { is_new, gaps: Vec::new() })
    }

    /// Ends a window that had fewer rows than a page.
    fn end_window(&mut self, window: Option<Window>) {
        match window {
            Some(window) if window.until < FAR_FUTURE => {
                self.span = self.span.saturating_mul(2);
                self.move_to(window.until.saturating_add(1));
                // The row that could not be read is gone.
                self.unreadable_until = self.unreadable_until.filter(|&end| end > window.until);
            }
            _ => self.is_done = true,
        }
    }

    /// Requests a part of the window next, since its page cannot be read.
    fn narrow(&mut self) {
        // All dates are from 0 on.
        let window = self.window().unwrap_or(Window { from: 0, until: FAR_FUTURE });
        self.position = Some(window.from);
        if window.until <= Window::second(window.from).until {
            self.read_second(window.from);
        } else {
            self.unreadable_until = Some(window.until);
        }
    }

    /// Reads one second in another way.
    fn read_second(&mut self, second: i64) {
        let seen = std::mem::take(&mut self.seen);
        self.second = Some(SecondRead::new(Window::second(second), self.limits, seen, self.last_key));
    }

    /// Continues at a later date.
    fn move_to(&mut self, date: i64) {
        self.position = Some(date);
        self.seen.clear();
    }
}

/// Returns an error if a row has a date outside the window.
fn check_dates(elements: &[Option<RowFacts>], window: Option<Window>) -> Result<(), Unexpected> {
    let Some(window) = window else { return Ok(()) };
    let outside = elements.iter().flatten().find(|row| !window.contains(row.date));
    outside.map_or(Ok(()), |row| Err(Unexpected::OutsideWindow { window, date: row.date }))
}

/// Returns an error if the dates are not ascending.
fn check_order(elements: &[Option<RowFacts>]) -> Result<(), Unexpected> {
    let dates: Vec<i64> = elements.iter().flatten().map(|row| row.date).collect();
    let pair = dates.windows(2).find(|pair| pair[0] > pair[1]);
    pair.map_or(Ok(()), |pair| Err(Unexpected::Unsorted { first: pair[0], second: pair[1] }))
}

#[cfg(test)]
mod tests;
