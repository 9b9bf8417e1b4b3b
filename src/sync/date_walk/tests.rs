//! Tests of the walk against a list of rows that changes before every request, and of the requests it sends.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use proptest::prelude::*;

use super::*;

/// Time of the list at the start of a test.
const NOW: i64 = 1_700_000_000;

/// Text that cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    None,
    /// Only in fields that short rows do not have.
    Inside,
    Everywhere,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    date: i64,
    version: u64,
    damage: Damage,
    /// The row is deleted during each request for complete rows, after it was selected.
    is_missing: bool,
    /// The row passes the filter of the walk.
    is_listed: bool,
}

impl Row {
    fn new(date: i64) -> Self {
        Self { date, version: 0, damage: Damage::None, is_missing: false, is_listed: true }
    }
}

/// A change before a request.
#[derive(Clone, Debug)]
enum Change {
    Add,
    /// A row is added in the second of another one.
    AddNear(prop::sample::Index),
    Edit(prop::sample::Index),
    Delete(prop::sample::Index),
    /// A row joins the filter.
    Join(prop::sample::Index),
    /// The next response cannot be read.
    Fail,
}

#[derive(Clone, Debug)]
struct Store {
    rows: BTreeMap<i64, Row>,
    last_key: i64,
    now: i64,
    fails: bool,
    /// Maximum number of rows that a weak store can send.
    most: usize,
    /// Rows that are there and listed with the same date since the start.
    kept: BTreeSet<i64>,
}

impl Store {
    fn new(rows: impl IntoIterator<Item = Row>) -> Self {
        let rows: BTreeMap<i64, Row> = (1..).zip(rows).collect();
        let kept = rows.iter().filter(|(_, row)| row.is_listed && !row.is_missing).map(|(key, _)| *key).collect();
        let last_key = rows.len() as i64;
        Self { rows, last_key, now: NOW, fails: false, most: usize::MAX, kept }
    }

    fn dated(dates: impl IntoIterator<Item = i64>) -> Self {
        Self::new(dates.into_iter().map(Row::new))
    }

    fn pick(&self, pick: &prop::sample::Index) -> Option<i64> {
        let keys: Vec<i64> = self.rows.keys().copied().collect();
        (!keys.is_empty()).then(|| keys[pick.index(keys.len())])
    }

    fn add(&mut self, date: i64) {
        // The keys of deleted rows are not used again.
        self.last_key += 1;
        self.rows.insert(self.last_key, Row::new(date));
    }

    fn apply(&mut self, change: &Change) {
        self.now += 1;
        match change {
            Change::Add => self.add(self.now),
            Change::AddNear(pick) => {
                let date = self.pick(pick).map_or(self.now, |key| self.rows[&key].date);
                self.add(date);
            }
            Change::Edit(pick) => {
                let row = self.pick(pick).and_then(|key| self.rows.get_mut(&key));
                row.into_iter().for_each(|row| row.version += 1);
            }
            Change::Delete(pick) => {
                let key = self.pick(pick);
                if let Some(key) = key {
                    self.rows.remove(&key);
                    self.kept.remove(&key);
                }
            }
            Change::Join(pick) => {
                let row = self.pick(pick).and_then(|key| self.rows.get_mut(&key));
                row.into_iter().for_each(|row| row.is_listed = true);
            }
            Change::Fail => self.fails = true,
        }
    }

    /// Returns the elements of the response; `None` if it cannot be read.
    fn list(&self, step: &Step) -> Option<Vec<Option<RowFacts>>> {
        // A store takes an end of 0 as the present.
        let end = |window: &Window| if window.until == 0 { self.now } else { window.until };
        let is_in = |window: &Window, row: &Row| window.from <= row.date && row.date <= end(window);
        let mut rows: Vec<(i64, Row)> = self.rows.iter().map(|(key, row)| (*key, *row)).collect();
        rows.retain(|(_, row)| row.is_listed);
        rows.sort_by_key(|(key, row)| (row.date, *key));
        let is_short = matches!(step, Step::Short(_));
        let (rows, damage): (Vec<_>, _) = match step {
            Step::Rows { window, rows: count, page } => {
                rows.retain(|(_, row)| window.as_ref().is_none_or(|window| is_in(window, row)));
                let count = (*count).min(self.most);
                let skipped = usize::try_from(page - 1).unwrap() * count;
                (rows.into_iter().skip(skipped).take(count).collect(), Damage::Inside)
            }
            Step::Short(window) => {
                rows.retain(|(_, row)| is_in(window, row));
                (rows, Damage::Everywhere)
            }
            Step::Keys { keys, window } => {
                rows.retain(|(key, row)| keys.contains(key) && window.as_ref().is_none_or(|window| is_in(window, row)));
                (rows.into_iter().take(self.most).collect(), Damage::Inside)
            }
            Step::Done => return None,
        };
        let is_damaged = |row: &Row| row.damage == Damage::Everywhere || row.damage == damage;
        // A single row is requested again before it is given up.
        let fails = self.fails && !matches!(step, Step::Keys { keys, window: Some(_) } if keys.len() == 1);
        if fails || rows.iter().any(|(_, row)| is_damaged(row) && (is_short || !row.is_missing)) {
            return None;
        }
        let facts = |(key, row): (i64, Row)| {
            let hash = (key as u64) << 20 | row.version;
            (is_short || !row.is_missing).then_some(RowFacts { date: row.date, key, hash })
        };
        Some(rows.into_iter().map(facts).collect())
    }
}

#[derive(Debug, Default)]
struct Outcome {
    /// Keys and hashes of the rows to emit, in their order.
    emitted: Vec<(i64, u64)>,
    gaps: Vec<Gap>,
    steps: Vec<Step>,
    position: Option<i64>,
}

impl Outcome {
    fn keys(&self) -> BTreeSet<i64> {
        self.emitted.iter().map(|(key, _)| *key).collect()
    }

    fn is_reported(&self, key: i64, row: &Row) -> bool {
        self.gaps.iter().any(|gap| match gap {
            Gap::Row { key: named, .. } => *named == key,
            Gap::Second(second) => row.date == *second || (*second, row.date) == (0, 1),
        })
    }

    /// Returns the rows that were there all the time and are neither emitted nor reported.
    fn lost(&self, store: &Store) -> Vec<i64> {
        let keys = self.keys();
        let is_lost = |key: &i64| !keys.contains(key) && !self.is_reported(*key, &store.rows[key]);
        store.kept.iter().copied().filter(is_lost).collect()
    }
}

/// Runs a walk to its end, or for `most` requests; the changes are applied one before each request.
fn walk(store: &mut Store, position: Option<i64>, changes: &[Change], most: usize) -> Outcome {
    let mut walk = DateWalk::new(position, Limits { rows: 8, keys: 6 });
    let (mut outcome, mut changes) = (Outcome::default(), changes.iter());
    while outcome.steps.len() < most {
        let step = walk.next();
        if step == Step::Done {
            break;
        }
        if let Some(change) = changes.next() {
            store.apply(change);
        }
        let listed = store.list(&step);
        store.fails = false;
        let count = match &step {
            Step::Rows { rows, .. } => *rows,
            Step::Keys { keys, .. } => keys.len(),
            Step::Short(_) | Step::Done => 0,
        };
        let answer = match &listed {
            Some(elements) => Answer::Rows { elements, requested: count.min(store.most) },
            None => Answer::Unreadable,
        };
        let accepted = walk.answered(answer).unwrap();
        for (element, is_new) in listed.iter().flatten().zip(accepted.is_new) {
            outcome.emitted.extend(element.filter(|_| is_new).map(|row| (row.key, row.hash)));
        }
        outcome.gaps.extend(accepted.gaps);
        outcome.steps.push(step);
        assert!(outcome.steps.len() < 20_000, "no end: {walk:?}");
    }
    outcome.position = walk.position();
    outcome
}

fn rows_step(from: i64, until: i64) -> Step {
    Step::Rows { window: Some(Window { from, until }), rows: 8, page: 1 }
}

#[test]
fn a_walk_begins_without_a_window_and_continues_at_the_last_date() {
    let mut store = Store::dated((0..20).map(|n| NOW + n));
    let outcome = walk(&mut store, None, &[], usize::MAX);
    let pages = [NOW + 7, NOW + 14].map(|from| rows_step(from, FAR_FUTURE));
    assert_eq!(outcome.steps[0], Step::Rows { window: None, rows: 8, page: 1 });
    assert_eq!(outcome.steps[1..], pages);
    assert_eq!((outcome.emitted.len(), outcome.keys().len()), (20, 20));
}

#[test]
fn rows_dated_zero_and_in_the_future_are_read() {
    let dates = (0..9).map(|_| 0).chain([1, 5]).chain((0..9).map(|n| NOW + n)).chain([NOW + 90_000_000, FAR_FUTURE]);
    let outcome = walk(&mut Store::dated(dates), None, &[], usize::MAX);
    assert_eq!((outcome.emitted.len(), outcome.keys().len(), outcome.gaps), (22, 22, Vec::new()));
}

#[test]
fn a_second_that_fills_a_page_is_read_by_keys() {
    let mut store = Store::dated([NOW - 5, NOW - 5].into_iter().chain([NOW; 20]).chain([NOW + 9]));
    let outcome = walk(&mut store, None, &[], usize::MAX);
    let second = Window { from: NOW, until: NOW };
    let keys = |keys: [i64; 6]| Step::Keys { keys: keys.to_vec(), window: None };
    assert_eq!(
        outcome.steps[2..],
        [
            Step::Short(second),
            keys([11, 12, 13, 14, 15, 16]),
            keys([17, 18, 19, 20, 21, 22]),
            rows_step(NOW + 1, FAR_FUTURE),
        ]
    );
    assert_eq!((outcome.emitted.len(), outcome.keys().len()), (23, 23));
}

#[test]
fn a_deleted_row_hides_no_other_one_of_a_full_second() {
    for row in 0..60 {
        let mut store = Store::dated([NOW; 60]);
        let changes: Vec<_> = (0..30).map(|n| Change::Delete(index((row * 7 + n * 11) % (60 - n), 60 - n))).collect();
        let outcome = walk(&mut store, None, &changes, usize::MAX);
        assert_eq!(outcome.lost(&store), Vec::<i64>::new());
    }
}

/// Returns an index that picks `place` of `count`.
fn index(place: usize, count: usize) -> prop::sample::Index {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    loop {
        let index = any::<prop::sample::Index>().new_tree(&mut runner).unwrap().current();
        if index.index(count) == place {
            return index;
        }
    }
}

#[test]
fn a_page_of_deleted_rows_is_full() {
    let mut store = Store::dated((0..30).map(|n| NOW + n));
    for key in [6, 7, 8, 14, 15] {
        store.rows.get_mut(&key).unwrap().is_missing = true;
    }
    let outcome = walk(&mut store, None, &[], usize::MAX);
    assert_eq!(outcome.keys().len(), 25);
    // Also where no element is a row.
    store.rows.values_mut().take(20).for_each(|row| row.is_missing = true);
    let outcome = walk(&mut store, None, &[], usize::MAX);
    assert_eq!((outcome.keys(), outcome.gaps), ((21..=30).collect(), Vec::new()));
}

#[test]
fn a_damaged_row_is_named_and_the_others_are_emitted() {
    for damage in [Damage::Inside, Damage::Everywhere] {
        for damaged in [1, 2, 11, 29, 30] {
            let mut store = Store::dated((0..30).map(|n| NOW + n * 1_000));
            store.rows.get_mut(&damaged).unwrap().damage = damage;
            let outcome = walk(&mut store, None, &[], usize::MAX);
            let date = store.rows[&damaged].date;
            assert_eq!(outcome.gaps, [Gap::Row { key: damaged, date }], "{damage:?}");
            assert_eq!((outcome.emitted.len(), outcome.keys().len()), (29, 29));
            assert!(outcome.steps.len() < 70, "{damage:?} {damaged}: {}", outcome.steps.len());
        }
    }
}

#[test]
fn damaged_rows_of_one_second_are_named() {
    for damage in [Damage::Inside, Damage::Everywhere] {
        let mut store = Store::dated([NOW - 9].into_iter().chain([NOW; 40]).chain([NOW + 1]));
        for key in [2, 17, 18, 41] {
            store.rows.get_mut(&key).unwrap().damage = damage;
        }
        let outcome = walk(&mut store, None, &[], usize::MAX);
        let named = outcome.gaps.iter().map(|gap| match gap {
            Gap::Row { key, date: NOW } => *key,
            _ => panic!("{gap:?}"),
        });
        assert_eq!(named.collect::<BTreeSet<_>>(), [2, 17, 18, 41].into(), "{damage:?}");
        assert_eq!((outcome.emitted.len(), outcome.keys().len()), (38, 38));
    }
}

#[test]
fn rows_that_cannot_be_named_are_reported_by_their_second() {
    let mut store = Store::dated((0..10).map(|n| NOW + n));
    let mut damaged = store.rows.remove(&5).unwrap();
    damaged.damage = Damage::Everywhere;
    store.rows.insert(500, damaged);
    store.kept = store.rows.keys().copied().collect();
    let outcome = walk(&mut store, None, &[], usize::MAX);
    assert_eq!((outcome.gaps, outcome.emitted.len()), (vec![Gap::Second(damaged.date)], 9));
}

#[test]
fn a_second_of_which_nothing_can_be_read_is_reported() {
    let mut store = Store::dated([NOW; 50].into_iter().chain([NOW + 5]));
    store.rows.values_mut().take(50).for_each(|row| row.damage = Damage::Everywhere);
    let outcome = walk(&mut store, None, &[], usize::MAX);
    assert_eq!((outcome.keys(), outcome.gaps), ([51].into(), vec![Gap::Second(NOW)]));
}

#[test]
fn a_list_of_which_nothing_can_be_read_ends_with_an_error() {
    let mut walk = DateWalk::new(None, Limits { rows: 50, keys: 50 });
    let error = (0..10_000).find_map(|_| walk.answered(Answer::Unreadable).err());
    assert_eq!(error, Some(Unexpected::TooManyGaps(51)));
}

#[test]
fn an_edit_in_the_last_second_is_emitted() {
    let mut store = Store::dated([NOW; 8].into_iter().enumerate().map(|(n, date)| date + n as i64).chain([NOW + 7]));
    let edit = [Change::Fail, Change::Edit(index(7, 9))];
    let mut walk_all = DateWalk::new(None, Limits { rows: 8, keys: 6 });
    let mut emitted = Vec::new();
    for change in &edit {
        let step = walk_all.next();
        if matches!(change, Change::Edit(_)) {
            store.apply(change);
        }
        let elements = store.list(&step).unwrap();
        let accepted = walk_all.answered(Answer::Rows { elements: &elements, requested: 8 }).unwrap();
        let rows = elements.iter().flatten().zip(accepted.is_new).filter(|(_, is_new)| *is_new);
        emitted.extend(rows.map(|(row, _)| row.key));
    }
    assert_eq!(emitted, [1, 2, 3, 4, 5, 6, 7, 8, 8, 9]);
}

#[test]
fn smaller_pages_than_requested_lose_nothing() {
    for most in 1..8 {
        let mut store = Store::dated((0..20).map(|n| NOW + n / 3).chain([NOW + 50; 11]));
        store.most = most;
        store.rows.get_mut(&4).unwrap().damage = Damage::Everywhere;
        let outcome = walk(&mut store, None, &[], usize::MAX);
        assert_eq!(outcome.gaps, [Gap::Row { key: 4, date: NOW + 1 }]);
        assert_eq!((outcome.emitted.len(), outcome.keys().len()), (30, 30));
    }
}

#[test]
fn a_store_that_ignores_a_part_of_the_request_is_detected() {
    let row = |key, date| Some(RowFacts { date, key, hash: 0 });
    let answered = |position: Option<i64>, elements: &[Option<RowFacts>]| {
        let mut walk = DateWalk::new(position, Limits { rows: 3, keys: 2 });
        walk.answered(Answer::Rows { elements, requested: 3 }).map(|_| ())
    };
    let window = Window { from: NOW, until: FAR_FUTURE };
    let outside = Err(Unexpected::OutsideWindow { window, date: NOW - 1 });
    assert_eq!(answered(Some(NOW), &[row(1, NOW - 1), row(2, NOW)]), outside);
    let unsorted = Err(Unexpected::Unsorted { first: NOW + 1, second: NOW });
    assert_eq!(answered(Some(NOW), &[row(1, NOW + 1), None, row(2, NOW)]), unsorted);

    let mut walk = DateWalk::new(None, Limits { rows: 2, keys: 2 });
    walk.answered(Answer::Rows { elements: &[row(1, 7), row(2, 7)], requested: 2 }).unwrap();
    let window = Window { from: 7, until: 7 };
    let all = [row(1, 7), row(2, 7), row(3, 8)];
    let outside = Unexpected::OutsideWindow { window, date: 8 };
    assert_eq!(walk.answered(Answer::Rows { elements: &all, requested: 0 }).unwrap_err(), outside);
    walk.answered(Answer::Rows { elements: &[row(1, 7), row(3, 7)], requested: 0 }).unwrap();
    let other = walk.answered(Answer::Rows { elements: &[row(9, 7)], requested: 1 });
    assert_eq!(other.unwrap_err(), Unexpected::OtherKey(9));
}

#[test]
fn no_window_ends_at_zero() {
    let mut store = Store::dated([0, 0, 1, 2, 3].into_iter().chain([0; 9]));
    store.rows.get_mut(&3).unwrap().damage = Damage::Everywhere;
    let outcome = walk(&mut store, None, &[], usize::MAX);
    let windows = outcome.steps.iter().filter_map(|step| match step {
        Step::Rows { window, .. } | Step::Keys { window, .. } => *window,
        Step::Short(window) => Some(*window),
        Step::Done => None,
    });
    assert!(windows.clone().count() > 3 && windows.clone().all(|window| window.until > 0));
    assert_eq!((outcome.lost(&store), outcome.keys().len()), (Vec::new(), 13));
}

fn row() -> impl Strategy<Value = Row> {
    let date = prop_oneof![
        1 => Just(0),
        8 => (0..12i64).prop_map(|n| NOW - 100 + n),
        8 => (0..2_000_000i64).prop_map(|n| NOW - n),
        1 => (0..90_000_000i64).prop_map(|n| NOW + n),
    ];
    let damage = prop_oneof![40 => Just(Damage::None), 1 => Just(Damage::Inside), 1 => Just(Damage::Everywhere)];
    (date, damage, prop::bool::weighted(0.05), prop::bool::weighted(0.9))
        .prop_map(|(date, damage, is_missing, is_listed)| Row { date, version: 0, damage, is_missing, is_listed })
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let full = (prop::collection::vec(row(), 0..30), 0..40usize).prop_map(|(mut rows, count)| {
        // Imports: many rows of one second.
        rows.extend(std::iter::repeat_n(Row::new(NOW - 95), count));
        rows
    });
    prop_oneof![prop::collection::vec(row(), 0..80), full]
}

fn change() -> impl Strategy<Value = Change> {
    let pick = any::<prop::sample::Index>;
    prop_oneof![
        2 => Just(Change::Add),
        2 => pick().prop_map(Change::AddNear),
        3 => pick().prop_map(Change::Edit),
        5 => pick().prop_map(Change::Delete),
        2 => pick().prop_map(Change::Join),
        1 => Just(Change::Fail),
    ]
}

/// Returns the number of rows in the fullest second.
fn fullest(store: &Store) -> usize {
    let mut seconds: HashMap<i64, usize> = HashMap::new();
    store.rows.values().for_each(|row| *seconds.entry(row.date).or_default() += 1);
    seconds.into_values().max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn all_rows_of_an_unchanged_list_are_emitted_once_or_named(rows in rows()) {
        let mut store = Store::new(rows);
        let outcome = walk(&mut store, None, &[], usize::MAX);
        prop_assert_eq!(outcome.lost(&store), Vec::<i64>::new());
        prop_assert_eq!(outcome.emitted.len(), outcome.keys().len(), "a row was emitted twice");
        let damaged = store.rows.iter().filter(|(_, row)| row.damage != Damage::None && row.is_listed && !row.is_missing);
        let damaged: BTreeSet<i64> = damaged.map(|(key, _)| *key).collect();
        let is_everywhere = |row: &Row| row.damage == Damage::Everywhere;
        for gap in &outcome.gaps {
            let is_right = match gap {
                Gap::Row { key, .. } => damaged.contains(key),
                Gap::Second(second) => {
                    store.rows.values().any(|row| row.date.max(1) == (*second).max(1) && is_everywhere(row))
                }
            };
            prop_assert!(is_right, "{:?} is not damaged", gap);
        }
        let most = 10 + store.rows.len() + (damaged.len() + 1) * (90 + 5 * fullest(&store));
        prop_assert!(outcome.steps.len() < most, "{} requests", outcome.steps.len());
    }

    #[test]
    fn no_row_of_a_changing_list_is_lost(
        rows in rows(),
        changes in prop::collection::vec(change(), 0..80),
        most in prop_oneof![3 => Just(usize::MAX), 1 => 1..9usize],
    ) {
        let mut store = Store::new(rows);
        store.most = most;
        let outcome = walk(&mut store, None, &changes, usize::MAX);
        prop_assert_eq!(outcome.lost(&store), Vec::<i64>::new());
        let versions: HashSet<(i64, u64)> = outcome.emitted.iter().copied().collect();
        prop_assert_eq!(versions.len(), outcome.emitted.len(), "a row was emitted twice");
    }

    #[test]
    fn a_walk_can_be_resumed_after_any_request(
        rows in rows(),
        changes in prop::collection::vec(change(), 0..80),
        requests in 0..30usize,
    ) {
        let mut store = Store::new(rows);
        let (before, after) = changes.split_at(changes.len().min(requests));
        let mut outcome = walk(&mut store, None, before, requests);
        let rest = walk(&mut store, outcome.position, after, usize::MAX);
        outcome.emitted.extend(rest.emitted);
        outcome.gaps.extend(rest.gaps);
        prop_assert_eq!(outcome.lost(&store), Vec::<i64>::new());
    }
}
