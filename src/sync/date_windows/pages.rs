//! Reads the rows of one second by their position in the list, to separate those that the store can send.
//!
//! For rows that no shorter window and no part separates. The pages begin with one row. After each page that can be
//! read the next one has twice as many rows, and a page that cannot be read, or that lists fewer rows than it has, is
//! requested again with half of them.
//!
//! Rows of one second have no order, so a row may move to a page that was read before. The pages are read again until
//! the number of different rows is the number that the store counts, less those that cannot be read, or until two passes
//! find the same rows in the same order. No row is added to a second of the past, so while the count is the same, the
//! rows are the same.

use std::collections::HashSet;

use super::Cause;

/// Maximum number of reads of all pages. If each read has any rows in any order, eight leave out one row in 3000.
const MOST_PASSES: u32 = 8;

/// Maximum number of rows one after the other that cannot be read. Where more fail, there is another fault.
const MOST_UNREAD: u64 = 20;

/// The pages of one second, or of a part of its rows.
#[derive(Debug)]
pub(super) struct Pages {
    /// Why the rows are not read in one response.
    cause: Cause,
    /// Maximum number of rows of a page.
    most: u64,
    /// Number of rows before the next page.
    position: u64,
    /// Number of rows of the next page: a power of two that divides the position.
    size: u64,
    /// Number of rows that the store counts, if it is known.
    total: Option<u64>,
    /// Keys of the rows that were listed.
    keys: HashSet<u64>,
    /// The keys of this pass in their order; `None` for a row that cannot be read.
    found: Vec<Option<u64>>,
    /// Those of the pass before.
    found_before: Vec<Option<u64>>,
    /// Number of rows of this pass that cannot be read.
    unread: u64,
    /// The smallest number of them in any pass.
    least_unread: u64,
    /// Those since the last page that can be read.
    unread_in_a_row: u64,
    passes: u32,
}

/// The result of reading all pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All rows were listed; the number of them.
    Complete(u64),
    /// Rows may be missing.
    Missing(Cause),
}

impl Pages {
    pub(super) fn new(cause: Cause, most: usize) -> Self {
        Self {
            cause,
            most: count(most).max(1),
            position: 0,
            size: 1,
            total: None,
            keys: HashSet::new(),
            found: Vec::new(),
            found_before: Vec::new(),
            unread: 0,
            least_unread: u64::MAX,
            unread_in_a_row: 0,
            passes: 0,
        }
    }

    /// Returns the number of rows of the next page, and its number, counted from 1.
    pub(super) fn next(&self) -> (usize, u64) {
        (usize::try_from(self.size).unwrap_or(usize::MAX), self.position / self.size + 1)
    }

    /// Takes a page that cannot be read. Returns the result after the last page.
    pub(super) fn unreadable(&mut self) -> Option<Outcome> {
        if self.size > 1 {
            self.size /= 2;
            return None;
        }
        self.cause = Cause::Unreadable;
        self.found.push(None);
        self.unread += 1;
        self.unread_in_a_row += 1;
        if self.unread_in_a_row >= MOST_UNREAD {
            return Some(Outcome::Missing(Cause::Unreadable));
        }
        self.position += 1;
        self.end_page()
    }

    /// Takes the keys of the rows of a page of at most `requested` rows, and the number of all rows. Returns the result
    /// after the last page.
    pub(super) fn listed(&mut self, keys: &[u64], total: u64, requested: u64) -> Option<Outcome> {
        if self.total.replace(total).is_some_and(|before| before != total) {
            // Rows were deleted, and others moved to pages that were read.
            self.keys.clear();
            self.least_unread = u64::MAX;
            return self.begin_pass();
        }
        self.keys.extend(keys);
        self.unread_in_a_row = 0;
        let size = self.size.min(requested).max(1);
        let expected = size.min(total.saturating_sub(self.position));
        if keys.is_empty() && expected > 0 {
            // The list ends here, whatever the store counts.
            return Some(Outcome::Missing(self.cause));
        }
        if count(keys.len()) < expected && size > 1 {
            self.size = size.next_power_of_two() / 2;
            return None;
        }
        self.found.extend(keys.iter().copied().map(Some));
        self.position += size;
        self.size = self.size.saturating_mul(2);
        self.end_page()
    }

    /// Returns true if a page listed rows.
    pub(super) fn has_rows(&self) -> bool {
        !self.keys.is_empty()
    }

    fn end_page(&mut self) -> Option<Outcome> {
        let Some(total) = self.total.filter(|&total| self.position >= total) else {
            // A page begins where the pages before it end.
            let divisor = 1 << self.position.trailing_zeros().min(62);
            self.size = self.size.min(divisor).min(1 << self.most.ilog2());
            return None;
        };
        let known = count(self.keys.len());
        if self.unread == 0 && known == total {
            return Some(Outcome::Complete(total));
        }
        self.least_unread = self.least_unread.min(self.unread);
        // If the rows move, several pages may have had the same unreadable row.
        let is_confirmed = self.least_unread == 1 || self.found == self.found_before;
        if known + self.least_unread >= total && is_confirmed {
            return Some(Outcome::Missing(self.cause));
        }
        self.begin_pass()
    }

    fn begin_pass(&mut self) -> Option<Outcome> {
        self.passes += 1;
        self.found_before = std::mem::take(&mut self.found);
        (self.position, self.size, self.unread, self.unread_in_a_row) = (0, 1, 0, 0);
        (self.passes >= MOST_PASSES).then_some(Outcome::Missing(self.cause))
    }
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}
