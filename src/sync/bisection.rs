//! Finds the ranges of keys in which the store's rows differ from the known ones, with few requests. Pure.
//!
//! A range whose count equals the number of known keys is left alone. Any other one is split at its median key: the
//! store counts the first half, and the rest of the count is the second half's. Ranges of at most a page, and those
//! for which further counts would cost more than their pages, are listed.

use super::checkpoint::Range;
use super::id_set::IdSet;

/// A request that the search needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Count the rows of this range, and report the number to [`Bisection::counted`].
    Count(Range),
    /// List the keys of this range.
    List(Range),
}

/// A count that the store cannot have: more rows in a part of a range than in the range.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Contradiction;

/// A range of keys with two different numbers of rows.
#[derive(Clone, Copy, Debug)]
struct Part {
    /// Exclusive first bound.
    after: Option<i64>,
    /// Inclusive last bound.
    end: i64,
    /// Number of known keys.
    known: u64,
    /// Number of rows that the store counts.
    counted: u64,
}

/// A search for ranges that differ.
#[derive(Debug)]
pub(super) struct Bisection<'s> {
    ids: &'s IdSet,
    page: u64,
    parts: Vec<Part>,
    /// The part whose first half is counted now, and the last key of that half.
    halved: Option<(Part, i64)>,
}

/// Returns the number of times that `known` keys are halved until a page of `page` rows has them.
fn halvings(known: u64, page: u64) -> u64 {
    u64::from(known.div_ceil(page).next_power_of_two().trailing_zeros())
}

/// Returns the largest number of requests that finding and proving `deleted` deletions among `known` rows takes:
/// the count of all rows, the search, and the proofs in lists of `proofs` keys.
#[cfg(test)]
pub(super) fn most_requests(known: u64, deleted: u64, page: u64, proofs: u64) -> u64 {
    let search = deleted.saturating_mul(halvings(known, page) + 1).min(known.div_ceil(page));
    1 + search + deleted.div_ceil(proofs)
}

impl Part {
    /// Returns the number of requests for pages with all keys of the range.
    fn pages(&self, page: u64) -> u64 {
        self.known.max(self.counted).div_ceil(page)
    }

    /// Returns true if its keys are to be listed: they fit on a page, or each difference costs more counts.
    fn is_listed(&self, page: u64) -> bool {
        let counts = self.known.abs_diff(self.counted).saturating_mul(halvings(self.known, page) + 1);
        self.known <= page || counts > self.pages(page)
    }
}

impl<'s> Bisection<'s> {
    /// Returns a search among these keys, for a store that counts `counted` rows up to the greatest of them and lists
    /// `page` rows per request.
    pub(super) fn new(ids: &'s IdSet, counted: u64, page: u64) -> Self {
        let all = ids.max().map(|end| Part { after: None, end, known: ids.len(), counted });
        Self { ids, page, parts: all.into_iter().collect(), halved: None }
    }

    /// Returns the next request; `None` at the end.
    pub(super) fn next(&mut self) -> Option<Step> {
        loop {
            let part = self.parts.pop()?;
            if part.known == part.counted {
                continue;
            }
            // The median is within the range, so it exists.
            let before = part.after.map_or(0, |after| self.ids.rank(after));
            let median = self.ids.select(before + part.known.div_ceil(2) - u64::from(part.known > 0));
            return Some(match median.filter(|_| !part.is_listed(self.page)) {
                Some(median) => {
                    self.halved = Some((part, median));
                    Step::Count((part.after, Some(median)))
                }
                None => Step::List((part.after, Some(part.end))),
            });
        }
    }

    /// Takes the result of the last [`Step::Count`].
    ///
    /// # Errors
    /// [`Contradiction`] if the half has more rows than the range had: rows were added meanwhile, or the store does
    /// not filter by key.
    pub(super) fn counted(&mut self, counted: u64) -> Result<(), Contradiction> {
        let Some((part, median)) = self.halved.take() else { return Ok(()) };
        let first = part.known.div_ceil(2);
        let rest = part.counted.checked_sub(counted).ok_or(Contradiction)?;
        self.parts.push(Part { after: Some(median), end: part.end, known: part.known - first, counted: rest });
        self.parts.push(Part { after: part.after, end: median, known: first, counted });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
