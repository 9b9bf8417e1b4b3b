//! Page sizes by resource: the memory that a row needs, and the number of rows per page if the store cannot send
//! as many as requested. No I/O.
//!
//! A page that fails may be too large, or contain one row that makes every page with it fail. After a timeout or a
//! rejected request, the size is assumed to be the cause, and all requests of the resource become shorter at once.
//! After other failures, only the failed sequence of requests becomes shorter at first. If shorter pages with the
//! same rows succeed, the size was the cause, and all requests of the resource become shorter.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::request::{Divisibility, Request};

/// Assumed memory of a row before the first page was read, in bytes.
const ROW_AT_FIRST: usize = 1024;
/// Number of successful pages of one size after which the double size is tried. The store may have recovered; if
/// not, only one request in about five fails.
const GOOD_PAGES: u32 = 5;

/// The known page sizes of all resources.
#[derive(Debug, Default)]
pub(super) struct PageSizes(Mutex<HashMap<String, Known>>);

#[derive(Debug, Default)]
struct Known {
    /// Memory of a row, in bytes: the mean row size of each page, received or as output; the largest so far.
    row: Option<usize>,
    /// True if a single row could be read while a page could not.
    is_row_readable: bool,
    /// Total number of rows of the resource, as the response with the single row reported it.
    counted: Option<u64>,
    /// The shorter page size for all requests of the resource.
    short: Option<Short>,
    /// The shorter page sizes for single sequences of requests, by [`Request::sequence`].
    bisections: HashMap<String, Bisection>,
}

/// A page size that is shorter than the requested size.
#[derive(Clone, Copy, Debug)]
struct Short {
    /// Number of rows per page.
    count: usize,
    /// Number of successful pages of this size.
    good: u32,
    /// The size before pages began to shrink; `None` if they had the requested size.
    before: Option<usize>,
}

/// A failed sequence of requests that continues with shorter pages, to find an unreadable row.
#[derive(Clone, Copy, Debug)]
struct Bisection {
    /// Number of rows per page.
    count: usize,
    /// Number of rows of the failed page.
    failed: usize,
    /// Number of rows in the pages that succeeded since.
    passed: usize,
}

impl PageSizes {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        // Each change is complete before the lock is released, so the data is valid even after a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, query: &impl Request, look: impl FnOnce(&mut Known) -> T) -> T {
        let mut known = self.lock();
        match known.get_mut(query.resource()) {
            Some(known) => look(known),
            None => look(known.entry(query.resource().to_owned()).or_default()),
        }
    }

    /// Returns the memory that a row of the resource needs, in bytes, or a default if it is not known yet.
    pub(super) fn row(&self, query: &impl Request) -> usize {
        self.with(query, |known| known.row).unwrap_or(ROW_AT_FIRST)
    }

    /// Records that a page needed `bytes` bytes of memory.
    pub(super) fn learn(&self, query: &impl Request, bytes: usize) {
        // The number of rows of a complete list is unknown.
        let Some(row) = bytes.checked_div(query.count()) else { return };
        self.with(query, |known| known.row = known.row.max(Some(row)));
    }

    /// Returns true if a single row could be read while a page could not.
    pub(super) fn is_any_row_readable(&self, query: &impl Request) -> bool {
        self.with(query, |known| known.is_row_readable)
    }

    /// Records that a single row could be read, and the total number of rows that the response reported.
    pub(super) fn prove(&self, query: &impl Request, counted: Option<u64>) {
        self.with(query, |known| (known.is_row_readable, known.counted) = (true, counted));
    }

    /// Returns the maximum number of rows that a page of this size can contain.
    pub(super) fn max_rows(&self, query: &impl Request) -> usize {
        let counted = self.with(query, |known| known.counted).and_then(|counted| usize::try_from(counted).ok());
        // With a count of one, the page could not be halved.
        counted.filter(|&counted| counted > 1).map_or(query.count(), |counted| query.count().min(counted))
    }

    /// Returns true while it is unknown if a page of this sequence was too large or contains an unreadable row.
    pub(super) fn is_bisecting(&self, query: &impl Request) -> bool {
        self.with(query, |known| known.bisections.contains_key(&query.sequence()))
    }

    /// Returns true if [`Self::is_bisecting`] holds for any sequence of the resource.
    pub(super) fn is_any_bisecting(&self, query: &impl Request) -> bool {
        self.with(query, |known| !known.bisections.is_empty())
    }

    /// Returns the request with the number of rows reduced to the currently known page size.
    pub(super) fn fit_count<R: Request>(&self, query: &R) -> R {
        let count = self.with(query, |known| {
            let bisection = known.bisections.get(&query.sequence()).map(|bisection| bisection.count);
            bisection.into_iter().chain(known.short.map(|short| short.count)).min()
        });
        match count {
            Some(count) if count < query.count() && query.divisibility() != Divisibility::Never => {
                query.shortened(count)
            }
            _ => query.clone(),
        }
    }

    /// Records that a page of this size succeeded after a page of `failed` rows failed. `may_be_row` is true if a
    /// single row may be the cause.
    pub(super) fn shrink(&self, query: &impl Request, failed: usize, may_be_row: bool) {
        let count = query.count();
        self.with(query, |known| {
            if may_be_row {
                known.bisections.insert(query.sequence(), Bisection { count, failed, passed: count });
            } else {
                let before = known.short.and_then(|short| short.before);
                known.short = Some(Short { count, good: 1, before });
                known.bisections.remove(&query.sequence());
            }
        });
    }

    /// Records that a page succeeded that was sent as `shortened` instead of `asked`.
    pub(super) fn keep<R: Request>(&self, shortened: &R, asked: &R) {
        self.with(asked, |known| {
            let sequence = asked.sequence();
            if let Some(bisection) =
                known.bisections.get_mut(&sequence).filter(|bisection| shortened.count() == bisection.count)
            {
                bisection.passed += bisection.count;
                if bisection.passed >= bisection.failed {
                    known.short = Some(Short { count: bisection.count, good: 2, before: None });
                    known.bisections.remove(&sequence);
                }
                return;
            }
            let Some(short) = known.short.as_mut().filter(|short| shortened.count() == short.count) else { return };
            short.good += 1;
            if short.good == GOOD_PAGES {
                let count = 2 * short.count;
                let next = Short { count, good: 0, before: Some(short.count) };
                known.short = (count < asked.count()).then_some(next);
            }
        });
    }

    /// Records that a single row is unreadable, so that the page size was not the cause. Restores the former page size.
    pub(super) fn restore(&self, query: &impl Request) {
        self.with(query, |known| {
            if known.bisections.remove(&query.sequence()).is_none() {
                let before = known.short.and_then(|short| short.before);
                known.short = before.map(|count| Short { count, good: 0, before: Some(count) });
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::request::tests::KeysAfter;
    use super::*;

    fn count(sizes: &PageSizes, query: &KeysAfter) -> usize {
        sizes.fit_count(query).count()
    }

    #[test]
    fn a_page_that_shrank_grows_after_five_good_ones() {
        let (sizes, query) = (PageSizes::default(), KeysAfter::new("orders", 1000));
        sizes.shrink(&query.shortened(250), 500, false);
        assert_eq!((count(&sizes, &query), count(&sizes, &KeysAfter::new("orders", 4))), (250, 4));
        assert_eq!(count(&sizes, &KeysAfter::new("products", 1000)), 1000);
        for expected in [250, 250, 250, 500, 500, 500, 500, 500, 1000] {
            sizes.keep(&sizes.fit_count(&query), &query);
            assert_eq!(count(&sizes, &query), expected);
        }
    }

    #[test]
    fn a_row_that_cannot_be_had_leaves_pages_as_they_were() {
        let (sizes, query) = (PageSizes::default(), KeysAfter::new("orders", 1000));
        for size in [125, 62, 1] {
            sizes.shrink(&query.shortened(size), 1000, false);
        }
        sizes.restore(&query);
        assert_eq!(count(&sizes, &query), 1000);
        sizes.shrink(&query.shortened(250), 500, false);
        for _ in 0..4 {
            sizes.keep(&sizes.fit_count(&query), &query);
        }
        sizes.shrink(&query.shortened(125), 250, false);
        sizes.shrink(&query.shortened(3), 7, false);
        sizes.restore(&query);
        assert_eq!(count(&sizes, &query), 250);
    }

    #[test]
    fn only_the_sequence_that_failed_is_shortened_until_the_size_is_at_fault() {
        let (sizes, one, other) = (
            PageSizes::default(),
            KeysAfter { sequence: "1", ..KeysAfter::new("orders", 1000) },
            KeysAfter::new("orders", 1000),
        );
        sizes.shrink(&one.shortened(125), 250, true);
        assert_eq!((count(&sizes, &one), count(&sizes, &other), sizes.is_bisecting(&one)), (125, 1000, true));
        // The unreadable row is in the second half.
        sizes.shrink(&one.shortened(3), 7, true);
        sizes.keep(&sizes.fit_count(&one), &one);
        assert_eq!((count(&sizes, &one), count(&sizes, &other)), (3, 1000), "six rows of the seven passed");
        sizes.restore(&one);
        assert_eq!((count(&sizes, &one), sizes.is_bisecting(&one)), (1000, false));
        // All rows of the failed page arrived in two pages.
        sizes.shrink(&one.shortened(125), 250, true);
        sizes.keep(&sizes.fit_count(&one), &one);
        assert_eq!((count(&sizes, &one), count(&sizes, &other), sizes.is_bisecting(&one)), (125, 125, false));
    }

    #[test]
    fn the_largest_row_counts() {
        let (sizes, query) = (PageSizes::default(), KeysAfter::new("orders", 10));
        assert_eq!(sizes.row(&query), ROW_AT_FIRST);
        for (bytes, row) in [(500, 50), (2000, 200), (100, 200)] {
            sizes.learn(&query, bytes);
            assert_eq!(sizes.row(&query), row);
        }
    }
}
