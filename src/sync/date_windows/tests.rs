//! Tests of the windows against groups of dated lines that change before every request.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// Time of the list at the start of a test.
const NOW: i64 = 1_700_000_000;

/// Rows per request.
const ROWS: usize = 10;

/// Maximum number of requests one after the other that fail although all rows can be sent.
const MOST_FAILED: usize = 3;

/// Number of requests before which the list changes in tests of random changes.
const MOST_CHANGED: usize = 120;

/// User and part of the store.
type Key = (i64, usize);

#[derive(Clone, Debug)]
struct Row {
    /// Dates of its lines.
    lines: Vec<i64>,
    is_damaged: bool,
}

/// A change before a request.
#[derive(Clone, Debug)]
enum Change {
    Add(i64, usize),
    /// A line is added.
    AddLine(prop::sample::Index),
    /// All lines are written again.
    Save(prop::sample::Index),
    /// A line is removed; a row without lines is gone.
    RemoveLine(prop::sample::Index),
    Delete(prop::sample::Index),
    /// The next response cannot be read.
    Fail,
}

#[derive(Clone, Debug)]
struct Store {
    rows: BTreeMap<Key, Row>,
    now: i64,
    requests: u64,
    fails: bool,
    /// True if rows come in another order with each request.
    shuffles: bool,
    /// Number of responses one after the other that could not be read.
    failed: usize,
    /// Number of parts that can be requested; rows of all parts hide each other in any case.
    limits: Limits,
    /// Maximum number of rows that a weak store can send.
    most: usize,
    /// Rows that are there since the start, with all dates that their lines had.
    kept: BTreeMap<Key, BTreeSet<i64>>,
}

impl Store {
    fn new(rows: BTreeMap<Key, Row>, parts: usize, kinds: usize) -> Self {
        let kept = rows.iter().map(|(key, row)| (*key, row.lines.iter().copied().collect())).collect();
        let limits = Limits { rows: ROWS, parts, kinds };
        Self { rows, now: NOW, requests: 0, fails: false, shuffles: true, failed: 0, limits, most: usize::MAX, kept }
    }

    /// Returns a store with one row of one line at each date.
    fn dated(dates: impl IntoIterator<Item = i64>) -> Self {
        let row = |date| Row { lines: vec![date], is_damaged: false };
        Self::new((1..).zip(dates).map(|(user, date)| ((user, 0), row(date))).collect(), 0, 0)
    }

    fn pick(&mut self, pick: &prop::sample::Index) -> Option<(Key, &mut Row)> {
        let count = self.rows.len();
        self.rows.iter_mut().nth(if count > 0 { pick.index(count) } else { 0 }).map(|(key, row)| (*key, row))
    }

    fn apply(&mut self, change: &Change) {
        let now = self.now;
        match change {
            Change::Add(user, part) => {
                self.rows.entry((*user, *part)).or_insert(Row { lines: vec![now], is_damaged: false });
            }
            Change::AddLine(pick) => self.pick(pick).into_iter().for_each(|(_, row)| row.lines.push(now)),
            Change::Save(pick) => self.pick(pick).into_iter().for_each(|(_, row)| row.lines.fill(now)),
            Change::RemoveLine(pick) => {
                let key = self.pick(pick).map(|(key, row)| (key, row.lines.pop(), row.lines.is_empty()));
                key.into_iter().filter(|(.., is_empty)| *is_empty).for_each(|(key, ..)| self.delete(key));
            }
            Change::Delete(pick) => {
                let key = self.pick(pick).map(|(key, _)| key);
                key.into_iter().for_each(|key| self.delete(key));
            }
            // Not for ever: a store that never answers has no end.
            Change::Fail => self.fails = self.failed < MOST_FAILED,
        }
        for (key, dates) in &mut self.kept {
            dates.extend(self.rows.get(key).into_iter().flat_map(|row| &row.lines));
        }
    }

    fn delete(&mut self, key: Key) {
        self.rows.remove(&key);
        self.kept.remove(&key);
    }

    /// Returns the rows of a response with the date of any of their lines, and the count; `None` if it cannot be read.
    fn list(&mut self, window: Window, rows: usize, part: Part, page: u64) -> Option<(Vec<(Key, i64)>, u64)> {
        self.requests += 1;
        let is_kind =
            |user: i64| part.kind.is_none_or(|kind| usize::try_from(user).unwrap() % self.limits.kinds == kind);
        let is_listed = |(user, store): Key| part.part.is_none_or(|part| part == store) && is_kind(user);
        let all = self
            .rows
            .iter()
            .filter(|(key, row)| is_listed(**key) && row.lines.iter().any(|line| window.contains(*line)));
        // The database finds them in any order.
        let mut all: Vec<(&Key, &Row)> = all.collect();
        let salt = if self.shuffles { self.requests as i64 * 104_729 } else { 0 };
        let place = |key: &Key| key.0.wrapping_mul(7_919).wrapping_add(salt).rem_euclid(97);
        all.sort_by_key(|(key, _)| (place(key), **key));
        let total = all.len() as u64;
        let skipped = usize::try_from(page - 1).unwrap() * rows;
        all = all.into_iter().skip(skipped).take(rows.min(self.most)).collect();
        let mut users = BTreeMap::new();
        for (key, row) in &all {
            users.insert(key.0, (**key, *row));
        }
        if std::mem::take(&mut self.fails) {
            self.failed += 1;
            return None;
        }
        self.failed = 0;
        if users.values().any(|(_, row)| row.is_damaged) {
            return None;
        }
        let date = |row: &Row| row.lines.iter().copied().rfind(|line| window.contains(*line)).unwrap();
        Some((users.into_values().map(|(key, row)| (key, date(row))).collect(), total))
    }
}

#[derive(Debug, Default)]
struct Outcome {
    keys: BTreeSet<Key>,
    gaps: Vec<Gap>,
    steps: Vec<Step>,
    position: i64,
}

impl Outcome {
    fn lost(&self, store: &Store) -> Vec<Key> {
        let is_reported = |_: &Key, dates: &BTreeSet<i64>| {
            self.gaps.iter().any(|gap| dates.range(gap.window.from..=gap.window.until).next().is_some())
        };
        let kept = store.kept.iter().filter(|(key, dates)| !self.keys.contains(key) && !is_reported(key, dates));
        kept.map(|(key, _)| *key).collect()
    }
}

/// Runs a walk to its end, or for `most` requests. Before each request a second passes and `change` is called.
fn walk(store: &mut Store, position: Option<i64>, most: usize, mut change: impl FnMut(&mut Store, usize)) -> Outcome {
    let mut walk = DateWindows::new(position, store.now, store.limits);
    let mut outcome = Outcome::default();
    while outcome.steps.len() < most {
        let step = walk.next();
        let Step::Rows { window, rows, part, page } = step else { break };
        store.now += 1;
        change(store, outcome.steps.len());
        let listed = store.list(window, rows, part, page);
        let gap = match &listed {
            Some((rows_listed, total)) => {
                outcome.keys.extend(rows_listed.iter().map(|(key, _)| *key));
                let dates: Vec<_> = rows_listed.iter().map(|(_, date)| Some(*date)).collect();
                let requested = rows.min(store.most);
                let keys: Vec<u64> =
                    rows_listed.iter().map(|((user, part), _)| *user as u64 * 10 + *part as u64).collect();
                let answer = Answer::Rows { dates: &dates, keys: &keys, total: Some(*total), requested };
                walk.answered(answer, Some(store.now)).unwrap()
            }
            None => walk.answered(Answer::Unreadable, Some(store.now)).unwrap(),
        };
        outcome.gaps.extend(gap);
        outcome.steps.push(step);
        assert!(outcome.steps.len() < 1_500, "no end: {walk:?}");
    }
    outcome.position = walk.position();
    outcome
}

fn unchanged(store: &mut Store) -> Outcome {
    walk(store, None, usize::MAX, |_, _| {})
}

fn window(from: i64, until: i64) -> Window {
    Window { from, until }
}

fn step(from: i64, until: i64, rows: usize, part: Option<usize>) -> Step {
    Step::Rows { window: Window { from, until }, rows, part: Part { part, kind: None }, page: 1 }
}

#[test]
fn a_short_list_is_read_in_one_response() {
    let mut store = Store::dated((0..9).map(|n| NOW - n));
    assert_eq!(unchanged(&mut store).steps, [step(0, FAR_FUTURE, ROWS, None)]);
    // A full page could be a part of the list that is counted as all of it.
    let mut store = Store::dated((0..10).map(|n| NOW - n));
    assert_eq!(unchanged(&mut store).steps, [step(0, FAR_FUTURE, ROWS, None), step(0, FAR_FUTURE, ROWS + 1, None)]);
}

#[test]
fn a_long_list_is_read_from_old_to_new() {
    let mut store = Store::dated([0, 1].into_iter().chain((0..400).map(|n| NOW - n * n * 60)).chain([NOW + 900]));
    let outcome = unchanged(&mut store);
    assert_eq!((outcome.keys.len(), outcome.gaps), (403, Vec::new()));
    let windows = outcome.steps.iter().map(|step| match step {
        Step::Rows { window, .. } => window.from,
        Step::Done => panic!(),
    });
    assert!(windows.is_sorted(), "each window begins where the last one ended, or earlier than it would end");
    assert!(outcome.steps.len() < 150, "{} requests for 41 full ones", outcome.steps.len());
}

#[test]
fn a_busy_store_has_an_end() {
    let mut store = Store::dated((0..300).map(|n| NOW - 40 * n));
    // Users change 23 rows per second; all rows are newer than the start of the walk before it ends.
    let outcome = walk(&mut store, None, usize::MAX, |store, request| {
        for n in 0..23 {
            let key = ((request * 23 + n) % 300) as i64 + 1;
            store.rows.get_mut(&(key, 0)).unwrap().lines = vec![store.now];
            store.kept.get_mut(&(key, 0)).unwrap().insert(store.now);
        }
    });
    assert_eq!((outcome.lost(&store), outcome.gaps), (Vec::new(), Vec::new()));
    assert!(outcome.steps.len() < 80, "{}", outcome.steps.len());
    let last = outcome.steps.last().unwrap();
    assert!(
        matches!(last, Step::Rows { window: Window { until: FAR_FUTURE, .. }, rows, .. } if *rows > 200),
        "{last:?}"
    );
}

#[test]
fn more_rows_than_the_last_count_are_requested_again() {
    let mut walk = DateWindows::new(Some(NOW + 1), NOW, Limits { rows: ROWS, parts: 0, kinds: 0 });
    let mut answered = |total: u64| {
        let Step::Rows { rows, .. } = walk.next() else { return None };
        let dates: Vec<_> = (0..total).map(|_| Some(NOW + 1)).take(rows).collect();
        let answer = Answer::Rows { dates: &dates, keys: &[], total: Some(total), requested: rows };
        assert_eq!(walk.answered(answer, None), Ok(None));
        Some(rows)
    };
    assert_eq!([50, 75, 100, 100].map(&mut answered), [Some(10), Some(70), Some(115), None]);
}

#[test]
fn one_second_is_requested_with_more_rows() {
    let mut store = Store::dated([NOW - 50; 35].into_iter().chain([NOW - 51, NOW - 49]));
    let outcome = unchanged(&mut store);
    assert_eq!((outcome.keys.len(), outcome.gaps), (37, Vec::new()));
    assert!(outcome.steps.contains(&step(NOW - 50, NOW - 50, 55, None)));
}

#[test]
fn one_second_that_is_too_much_for_a_weak_store_is_requested_in_parts() {
    let rows = (1..=16).map(|user| ((user, user as usize % 4), Row { lines: vec![NOW - 50], is_damaged: false }));
    let mut store = Store::new(rows.collect(), 4, 0);
    store.most = 5;
    let outcome = unchanged(&mut store);
    assert_eq!((outcome.keys.len(), outcome.gaps), (16, Vec::new()));
    store.limits.parts = 2;
    store.rows.retain(|key, _| key.1 < 2);
    store.kept.retain(|key, _| key.1 < 2);
    store.most = 3;
    let outcome = unchanged(&mut store);
    assert_eq!((outcome.keys.len(), outcome.gaps), (8, Vec::new()));
}

/// Returns rows of which the users 3 and 4 have one in each of two parts.
fn two_parts(distance: i64) -> BTreeMap<Key, Row> {
    let row = |date| Row { lines: vec![date], is_damaged: false };
    let second = [((3, 1), row(NOW - 30 - distance)), ((4, 1), row(NOW - 40 - distance))];
    (1..7).map(|user| ((user, 0), row(NOW - 10 * user))).chain(second).collect()
}

#[test]
fn rows_hidden_by_rows_of_the_same_user_are_read_by_parts() {
    let mut store = Store::new(two_parts(0), 2, 0);
    let outcome = unchanged(&mut store);
    assert_eq!((outcome.keys.len(), outcome.gaps), (8, Vec::new()));
    let [all, first, second] = [None, Some(0), Some(1)].map(|part| step(0, FAR_FUTURE, ROWS, part));
    assert_eq!(outcome.steps, [all, first, second]);
}

#[test]
fn without_parts_rows_of_one_second_that_hide_each_other_are_read_one_by_one() {
    let outcome = unchanged(&mut Store::new(two_parts(3), 0, 0));
    assert_eq!((outcome.keys.len(), outcome.gaps), (8, Vec::new()));
    let mut rows = two_parts(3);
    rows.get_mut(&(4, 1)).unwrap().lines = vec![NOW - 40];
    let outcome = unchanged(&mut Store::new(rows, 0, 0));
    assert_eq!((outcome.keys.len(), outcome.gaps), (8, Vec::new()));
}

#[test]
fn rows_that_are_in_no_part_are_read_by_shorter_windows() {
    let mut rows = two_parts(5);
    rows.insert((9, 7), Row { lines: vec![NOW - 3], is_damaged: false });
    let outcome = unchanged(&mut Store::new(rows, 2, 0));
    assert_eq!((outcome.keys.len(), outcome.gaps), (9, Vec::new()));
}

#[test]
fn a_second_with_a_damaged_row_is_reported_and_the_others_are_read() {
    for damaged in [1, 2, 30, 59, 60] {
        let mut store = Store::dated((0..60).map(|n| NOW - 6_000 + n * 100));
        store.rows.get_mut(&(damaged, 0)).unwrap().is_damaged = true;
        let outcome = unchanged(&mut store);
        let date = NOW - 6_000 + (damaged - 1) * 100;
        let gap = Gap { window: window(date, date), cause: Cause::Unreadable };
        assert_eq!((outcome.keys.len(), outcome.gaps), (59, vec![gap]), "{damaged}");
        assert!(outcome.steps.len() < 110, "{}", outcome.steps.len());
    }
}

#[test]
fn a_damaged_row_is_isolated_by_parts_and_kinds() {
    let rows = (1..=9).map(|user| ((user, user as usize % 3), Row { lines: vec![NOW - 50], is_damaged: user == 4 }));
    let outcome = unchanged(&mut Store::new(rows.collect(), 3, 2));
    let gap = Gap { window: window(NOW - 50, NOW - 50), cause: Cause::Unreadable };
    assert_eq!((outcome.keys.len(), outcome.gaps), (8, vec![gap]));
}

#[test]
fn a_damaged_row_that_is_in_no_part_is_reported() {
    let rows = (1..=4).map(|user| ((user, user as usize % 3), Row { lines: vec![NOW - 50], is_damaged: user == 2 }));
    let outcome = unchanged(&mut Store::new(rows.collect(), 2, 0));
    let gap = Gap { window: window(NOW - 50, NOW - 50), cause: Cause::Unreadable };
    assert_eq!((outcome.keys.len(), outcome.gaps), (3, vec![gap]));
}

#[test]
fn readable_rows_of_one_second_with_damaged_ones_are_read_one_by_one() {
    for damaged in [vec![1], vec![20], vec![4, 5], vec![2, 9, 17]] {
        let mut store = Store::dated([NOW - 50; 20]);
        store.shuffles = false;
        for user in &damaged {
            store.rows.get_mut(&(*user, 0)).unwrap().is_damaged = true;
        }
        let outcome = unchanged(&mut store);
        let gap = Gap { window: window(NOW - 50, NOW - 50), cause: Cause::Unreadable };
        assert_eq!((outcome.keys.len(), outcome.gaps), (20 - damaged.len(), vec![gap]), "{damaged:?}");
    }
}

#[test]
fn rows_dated_in_the_future_are_read_although_one_of_them_is_damaged() {
    let mut store = Store::dated((0..8).map(|n| NOW + 5_000_000 + n * 100));
    store.rows.get_mut(&(4, 0)).unwrap().is_damaged = true;
    let outcome = unchanged(&mut store);
    assert_eq!((outcome.keys.len(), outcome.lost(&store)), (7, Vec::new()));
    assert!(outcome.steps.len() < 200, "{}", outcome.steps.len());
}

#[test]
fn a_store_that_cannot_be_read_by_windows_is_detected() {
    let new = || DateWindows::new(None, NOW, Limits { rows: 2, parts: 0, kinds: 0 });
    let no_total = new().answered(Answer::Rows { dates: &[Some(NOW)], keys: &[], total: None, requested: 2 }, None);
    assert_eq!(no_total, Err(Unexpected::NoTotal));

    let mut walk = new();
    let all = Answer::Rows { dates: &[Some(NOW), Some(NOW)], keys: &[], total: Some(9), requested: 2 };
    assert_eq!(walk.answered(all, None), Ok(None));
    assert_eq!(walk.answered(all, None), Err(Unexpected::OutsideWindow(window(0, (NOW + 1) / 2 - 1))));

    let mut walk = new();
    let mut requests = 0;
    let error = loop {
        requests += 1;
        if let Err(error) = walk.answered(Answer::Unreadable, None) {
            break error;
        }
    };
    assert_eq!((error, requests < 3_000), (Unexpected::TooManyGaps(51), true), "{requests}");
}

fn rows() -> impl Strategy<Value = BTreeMap<Key, Row>> {
    let date = prop_oneof![
        1 => Just(0),
        4 => (0..6i64).prop_map(|n| NOW - 100 + n),
        8 => (0..2_000_000i64).prop_map(|n| NOW - n),
        1 => (0..9_000i64).prop_map(|n| NOW + n),
    ];
    let row = (prop::collection::vec(date, 1..4), prop::bool::weighted(0.02))
        .prop_map(|(lines, is_damaged)| Row { lines, is_damaged });
    prop::collection::btree_map((1..60i64, 0..3usize), row, 0..70)
}

fn change() -> impl Strategy<Value = Change> {
    let pick = any::<prop::sample::Index>;
    prop_oneof![
        2 => (1..60i64, 0..3usize).prop_map(|(user, part)| Change::Add(user, part)),
        3 => pick().prop_map(Change::AddLine),
        6 => pick().prop_map(Change::Save),
        2 => pick().prop_map(Change::RemoveLine),
        2 => pick().prop_map(Change::Delete),
        1 => Just(Change::Fail),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn all_rows_of_an_unchanged_list_are_read(rows in rows(), parts in 0..2usize, kinds in 0..3usize) {
        let mut store = Store::new(rows, parts * 3, kinds);
        let outcome = unchanged(&mut store);
        prop_assert_eq!(outcome.lost(&store), Vec::<Key>::new());
        // In a stable order all rows that can be sent are there, also those dated in the future.
        store.shuffles = false;
        let outcome = unchanged(&mut store);
        let is_damaged = store.rows.values().any(|row| row.is_damaged);
        for gap in &outcome.gaps {
            match gap.cause {
                Cause::Unreadable => prop_assert!(is_damaged),
                Cause::Hidden => prop_assert!(parts == 0 && gap.window.until == FAR_FUTURE, "{:?}", gap),
                Cause::TooMany => prop_assert!(false, "{:?}", gap),
            }
        }
        let readable = store.rows.iter().filter(|(_, row)| !row.is_damaged).map(|(key, _)| *key);
        prop_assert_eq!(readable.filter(|key| !outcome.keys.contains(key)).collect::<Vec<_>>(), Vec::<Key>::new());
    }

    #[test]
    fn no_row_of_a_changing_list_is_lost(
        rows in rows(),
        parts in 0..2usize,
        kinds in 0..3usize,
        changes in prop::collection::vec(prop::collection::vec(change(), 0..6), 1..60),
        most in prop_oneof![3 => Just(usize::MAX), 1 => 1..20usize],
        requests in prop_oneof![1 => Just(usize::MAX), 1 => 0..60usize],
    ) {
        let mut store = Store::new(rows, parts * 3, kinds);
        store.most = most;
        // The list changes before each request, until it rests: a walk of one request per second does not overtake rows
        // that hide each other in every second.
        let change = |store: &mut Store, request: usize| {
            let changes = &changes[request % changes.len()];
            changes.iter().filter(|_| request < MOST_CHANGED).for_each(|change| store.apply(change));
        };
        let mut outcome = walk(&mut store, None, requests, change);
        if outcome.steps.len() == requests {
            let rest = walk(&mut store, Some(outcome.position), usize::MAX, change);
            outcome.keys.extend(rest.keys);
            outcome.gaps.extend(rest.gaps);
        }
        prop_assert_eq!(outcome.lost(&store), Vec::<Key>::new());
    }
}
