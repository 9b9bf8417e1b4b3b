//! How large pages may be, by resource: what a row takes, and how many rows a page may have where the store
//! cannot give as many as were asked for. Pure.
//!
//! A page that fails may be too large, or hold one row that breaks every answer. Time-outs and refusals are taken
//! for its size, at once and for all requests. Of other failures it is found out: where shorter pages pass that hold
//! the same rows together, the size was at fault; until then only the sequence of requests that failed is shortened.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::request::Request;

/// What a row takes until one was seen.
const ROW_AT_FIRST: usize = 1024;
/// Good pages of one size after which the double is tried: the store may have recovered, and what a page that
/// is too large costs is then spread over five.
const GOOD_PAGES: u32 = 5;

/// What is known of the pages of all resources.
#[derive(Debug, Default)]
pub(super) struct PageSizes(Mutex<HashMap<String, Known>>);

#[derive(Debug, Default)]
struct Known {
    /// The largest size of a row so far, as it came or as it is kept, as the mean of a page.
    row: Option<usize>,
    /// Whether one row could be had while a page could not.
    is_row_readable: bool,
    /// Rows of the resource, as that answer counted them.
    counted: Option<u64>,
    /// For all requests.
    short: Option<Short>,
    /// For sequences of requests, by [`Request::sequence`].
    bisections: HashMap<String, Bisection>,
}

/// Pages that are shorter than what is asked for.
#[derive(Clone, Copy, Debug)]
struct Short {
    /// Rows of a page.
    count: usize,
    /// Good pages of this size.
    good: u32,
    /// The size before pages began to shrink; none where they were as long as asked for.
    before: Option<usize>,
}

/// A sequence of requests that failed, and is continued with shorter pages.
#[derive(Clone, Copy, Debug)]
struct Bisection {
    /// Rows of a page.
    count: usize,
    /// Rows of the page that failed.
    failed: usize,
    /// Rows of the pages that passed since.
    passed: usize,
}

impl PageSizes {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        // Every change to it is complete when the lock is given back.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, query: &impl Request, look: impl FnOnce(&mut Known) -> T) -> T {
        let mut known = self.lock();
        match known.get_mut(query.resource()) {
            Some(known) => look(known),
            None => look(known.entry(query.resource().to_owned()).or_default()),
        }
    }

    /// What a row of the resource takes in memory, as far as it is known.
    pub(super) fn row(&self, query: &impl Request) -> usize {
        self.with(query, |known| known.row).unwrap_or(ROW_AT_FIRST)
    }

    /// A page took so many bytes.
    pub(super) fn learn(&self, query: &impl Request, bytes: usize) {
        let row = bytes / query.count().max(1);
        self.with(query, |known| known.row = known.row.max(Some(row)));
    }

    /// Whether one row could be had while a page could not.
    pub(super) fn is_any_row_readable(&self, query: &impl Request) -> bool {
        self.with(query, |known| known.is_row_readable)
    }

    /// One row could be had, of as many as the answer counted.
    pub(super) fn prove(&self, query: &impl Request, counted: Option<u64>) {
        self.with(query, |known| (known.is_row_readable, known.counted) = (true, counted));
    }

    /// The most rows that a page of this size may hold.
    pub(super) fn max_rows(&self, query: &impl Request) -> usize {
        let counted = self.with(query, |known| known.counted).and_then(|counted| usize::try_from(counted).ok());
        // A count of one would leave nothing to halve.
        counted.filter(|&counted| counted > 1).map_or(query.count(), |counted| query.count().min(counted))
    }

    /// Returns true while it is not known whether a page of this sequence was too large or holds a row that cannot
    /// be had.
    pub(super) fn is_bisecting(&self, query: &impl Request) -> bool {
        self.with(query, |known| known.bisections.contains_key(&query.sequence()))
    }

    /// The same for any sequence of the resource.
    pub(super) fn is_any_bisecting(&self, query: &impl Request) -> bool {
        self.with(query, |known| !known.bisections.is_empty())
    }

    /// The request, for no more rows than can be had.
    pub(super) fn fit_count<R: Request>(&self, query: &R) -> R {
        let count = self.with(query, |known| {
            let bisection = known.bisections.get(&query.sequence()).map(|bisection| bisection.count);
            bisection.into_iter().chain(known.short.map(|short| short.count)).min()
        });
        match count {
            Some(count) if count < query.count() => query.shortened(count),
            _ => query.clone(),
        }
    }

    /// A page of this size could be had where one of `failed` rows could not. `may_be_row` says whether one row of
    /// it may be at fault.
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

    /// A page could be had that was `shortened` before it was asked for.
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

    /// One row could not be had: it was at fault, and not the size.
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
        // The row that breaks the answer lies in the second half.
        sizes.shrink(&one.shortened(3), 7, true);
        sizes.keep(&sizes.fit_count(&one), &one);
        assert_eq!((count(&sizes, &one), count(&sizes, &other)), (3, 1000), "six rows of the seven passed");
        sizes.restore(&one);
        assert_eq!((count(&sizes, &one), sizes.is_bisecting(&one)), (1000, false));
        // All rows of the page that failed came in two pages.
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
