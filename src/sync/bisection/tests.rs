//! Tests of the search against a list of keys that counts and lists as a store does, and of the stated bounds.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const PAGE: u64 = 1_000;

/// Maximum keys of a list for a proof.
const PROOFS: u64 = 100;

/// A list of keys that counts and lists as a store does, and counts its requests.
struct Store {
    ids: IdSet,
    requests: u64,
}

impl Store {
    fn of(&self, (after, end): Range) -> u64 {
        let rank = |id: Option<i64>| id.map_or(0, |id| self.ids.rank(id));
        rank(end) - rank(after)
    }

    /// Returns the keys that are known and missing, and those that are listed and unknown.
    fn find(&mut self, known: &IdSet, page: u64) -> (BTreeSet<i64>, BTreeSet<i64>) {
        let (mut missing, mut unknown) = (BTreeSet::new(), BTreeSet::new());
        let Some(greatest) = known.max() else { return (missing, unknown) };
        self.requests += 1;
        let mut search = Bisection::new(known, self.of((None, Some(greatest))), page);
        while let Some(step) = search.next() {
            match step {
                Step::Count(range) => {
                    self.requests += 1;
                    search.counted(self.of(range)).unwrap();
                }
                Step::List((after, end)) => {
                    self.requests += self.of((after, end)).div_ceil(page).max(1);
                    missing.extend(known.missing_from(&self.ids, after, end.unwrap()));
                    unknown.extend(self.ids.missing_from(known, after, end.unwrap()));
                }
            }
        }
        self.requests += (missing.len() as u64).div_ceil(PROOFS);
        (missing, unknown)
    }
}

/// Finds deletions; returns the number of requests.
fn requests(known: &IdSet, deleted: &BTreeSet<i64>, page: u64) -> u64 {
    let mut ids = known.clone();
    for &id in deleted {
        ids.remove(id);
    }
    let mut store = Store { ids, requests: 0 };
    let (missing, unknown) = store.find(known, page);
    assert_eq!((&missing, unknown.len()), (deleted, 0));
    store.requests
}

/// The two bounds of the documentation.
fn documented(known: u64, deleted: u64, page: u64) -> u64 {
    let halvings = if known <= page { 0 } else { f64::log2(known as f64 / page as f64).ceil() as u64 };
    (deleted * halvings + 2 * deleted + 2).min(known.div_ceil(page) + deleted.div_ceil(PROOFS) + 2)
}

fn known() -> impl Strategy<Value = BTreeSet<i64>> {
    prop_oneof![
        prop::collection::btree_set(0i64..50_000, 0..2_000),
        (0i64..2_000).prop_map(|rows| (1..=rows).collect()),
        prop::collection::btree_set(any::<i64>(), 0..200),
    ]
}

proptest! {
    #[test]
    fn all_deletions_are_found_within_the_bounds(
        known in known(),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        page in 1u64..300,
    ) {
        let all: Vec<i64> = known.iter().copied().collect();
        let deleted: BTreeSet<i64> =
            picks.iter().filter(|_| !all.is_empty()).map(|pick| all[pick.index(all.len())]).collect();
        let used = requests(&known.iter().copied().collect(), &deleted, page);
        let (rows, gone) = (known.len() as u64, deleted.len() as u64);
        let most = most_requests(rows, gone, page, PROOFS);
        prop_assert!(used <= most && most <= documented(rows, gone, page), "{used} {most} {}", documented(rows, gone, page));
        prop_assert!(gone > 0 || used <= 1, "an unchanged stream costs one request");
    }

    #[test]
    fn rows_that_were_not_known_are_found_where_counts_differ(
        known in known(),
        added in prop::collection::btree_set(0i64..50_000, 1..10),
        page in 1u64..300,
    ) {
        let ids: IdSet = known.iter().copied().collect();
        let greatest = ids.max().unwrap_or(i64::MIN);
        let new: BTreeSet<i64> = added.into_iter().filter(|id| !ids.contains(*id) && *id < greatest).collect();
        let all: IdSet = known.iter().chain(&new).copied().collect();
        let (missing, unknown) = Store { ids: all, requests: 0 }.find(&ids, page);
        prop_assert_eq!((missing.len(), unknown), (0, new));
    }

    #[test]
    fn any_counts_end_the_search(known in known(), counts in prop::collection::vec(any::<u64>(), 1..30)) {
        let ids: IdSet = known.into_iter().collect();
        let mut counts = counts.into_iter().cycle();
        let mut search = Bisection::new(&ids, counts.next().unwrap(), 10);
        for _ in 0..100_000 {
            match search.next() {
                None => return Ok(()),
                Some(Step::List(_)) => {}
                Some(Step::Count(_)) if search.counted(counts.next().unwrap()).is_err() => return Ok(()),
                Some(Step::Count(_)) => {}
            }
        }
        prop_assert!(false, "no end");
    }
}

#[test]
fn ten_deletions_among_a_million_rows_take_at_most_122_requests() {
    let known: IdSet = (1..=1_000_000).collect();
    for seed in 0..20_i64 {
        let deleted: BTreeSet<i64> = (0..10).map(|n| 1 + (n * 99_991 + seed * 7_919_003) % 1_000_000).collect();
        assert_eq!(deleted.len(), 10);
        let used = requests(&known, &deleted, PAGE);
        assert!(used <= 122, "{used}");
    }
    assert_eq!(documented(1_000_000, 10, PAGE), 122);
    assert_eq!(requests(&known, &BTreeSet::new(), PAGE), 1);
}

#[test]
fn many_deletions_are_found_by_listing_all_keys() {
    let known: IdSet = (1..=50_000).collect();
    let deleted: BTreeSet<i64> = (1..=50_000).step_by(50).collect();
    assert_eq!(requests(&known, &deleted, PAGE), 1 + 49 + 10);
}

#[test]
fn a_half_with_more_rows_than_the_whole_is_a_contradiction() {
    let known: IdSet = (1..=4_000).collect();
    let counted = |whole: u64, half: u64| {
        let mut search = Bisection::new(&known, whole, PAGE);
        assert_eq!(search.next(), Some(Step::Count((None, Some(2_000)))));
        search.counted(half)
    };
    assert_eq!(counted(3_999, 3_999), Ok(()));
    assert_eq!(counted(3_999, 4_000), Err(Contradiction));
}
