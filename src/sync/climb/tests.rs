//! Tests of the climb against a list of rows that changes before every request.

use proptest::prelude::*;

use super::*;

/// Time of the list at the start of a test.
const NOW: i64 = 1_700_000_000;

/// Maximum number of requests: eight, and one for each time that the years to 2100 can be halved.
const MOST_REQUESTS: usize = 8 + 33;

#[derive(Clone, Copy, Debug)]
struct Row {
    created: i64,
    changed: i64,
    /// A response that contains this row cannot be read.
    is_damaged: bool,
    /// The row is deleted during each request, after it was selected.
    is_missing: bool,
}

impl Row {
    fn new(created: i64, changed: i64) -> Self {
        Self { created, changed, is_damaged: false, is_missing: false }
    }
}

/// A change before a request.
#[derive(Clone, Debug)]
enum Change {
    /// A row is added.
    Add,
    /// A row is added with a date in the past or the future.
    AddDated(i64),
    Edit(prop::sample::Index),
    Delete(prop::sample::Index),
}

#[derive(Debug)]
struct Store {
    rows: Vec<Row>,
    now: i64,
    /// Distance of the `Date` header from the store's time (seconds).
    date_lag: Option<i64>,
}

impl Store {
    fn new(rows: Vec<Row>) -> Self {
        Self { rows, now: NOW, date_lag: Some(0) }
    }

    fn apply(&mut self, change: &Change) {
        self.now += 1;
        let now = self.now;
        match change {
            Change::Add => self.rows.push(Row::new(now, now)),
            Change::AddDated(date) => self.rows.push(Row::new(*date, *date)),
            Change::Edit(pick) if !self.rows.is_empty() => {
                let place = pick.index(self.rows.len());
                self.rows[place].changed = now;
            }
            Change::Delete(pick) if !self.rows.is_empty() => drop(self.rows.remove(pick.index(self.rows.len()))),
            Change::Edit(_) | Change::Delete(_) => {}
        }
    }

    fn newest(&self) -> Option<i64> {
        self.rows.iter().map(|row| row.changed).max()
    }

    /// Returns the elements of a list; `None` if it cannot be read.
    fn list(&self, from: i64, count: usize) -> Option<Vec<Option<i64>>> {
        let mut rows: Vec<&Row> = self.rows.iter().filter(|row| row.changed >= from).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.created));
        rows.truncate(count);
        let is_damaged = rows.iter().any(|row| row.is_damaged && !row.is_missing);
        (!is_damaged).then(|| rows.iter().map(|row| (!row.is_missing).then_some(row.changed)).collect())
    }
}

#[derive(Debug)]
struct Outcome {
    newest: Option<i64>,
    requests: usize,
    /// Greatest change date in the list at any time during the climb.
    greatest: Option<i64>,
}

/// Runs a climb; `changes` are applied one before each request, as long as there are any.
fn climb(store: &mut Store, cursor: Option<i64>, changes: &[Change]) -> Outcome {
    let mut climb = Climb::new(cursor);
    let (mut requests, mut greatest, mut changes) = (0, store.newest(), changes.iter());
    loop {
        match climb.next() {
            Step::Done(newest) => return Outcome { newest, requests, greatest },
            Step::Request { from, rows } => {
                if let Some(change) = changes.next() {
                    store.apply(change);
                }
                greatest = max(greatest, store.newest());
                requests += 1;
                assert!(requests <= MOST_REQUESTS, "no end: {climb:?}");
                let date = store.date_lag.map(|lag| store.now - lag);
                let listed = store.list(from, rows);
                let answer = listed.as_deref().map_or(Answer::Unreadable, Answer::Rows);
                climb.answered(answer, date).unwrap();
            }
        }
    }
}

/// Returns `count` rows, whose change dates do not depend on their age.
fn mixed(count: i64) -> Vec<Row> {
    (0..count).map(|n| Row::new(NOW - 2 * count + n, NOW - 1 - n * 7_919 % count)).collect()
}

#[test]
fn an_unchanged_list_takes_one_request() {
    let mut store = Store::new(mixed(500));
    let outcome = climb(&mut store, Some(NOW - 1), &[]);
    assert_eq!((outcome.newest, outcome.requests), (Some(NOW - 1), 1));
    let outcome = climb(&mut Store::new(Vec::new()), None, &[]);
    assert_eq!((outcome.newest, outcome.requests), (None, 1));
}

#[test]
fn many_changed_rows_take_few_requests() {
    let outcome = climb(&mut Store::new(mixed(100_003)), None, &[]);
    assert_eq!(outcome.newest, Some(NOW - 1));
    assert!(outcome.requests <= 8, "{}", outcome.requests);
}

#[test]
fn the_time_is_halved_where_the_oldest_rows_changed_last() {
    let rows = (0..5_000).map(|n| Row::new(NOW - 90_000 - n, NOW - 9_000 + n)).collect();
    let outcome = climb(&mut Store::new(rows), Some(NOW - 9_500), &[]);
    assert_eq!(outcome.newest, Some(NOW - 4_001));
    assert!(outcome.requests <= 41, "{}", outcome.requests);
}

#[test]
fn a_row_that_cannot_be_read_counts_as_a_row() {
    let mut rows = mixed(300);
    let newest = rows.iter_mut().max_by_key(|row| row.changed).unwrap();
    newest.is_damaged = true;
    let outcome = climb(&mut Store::new(rows), None, &[]);
    assert_eq!(outcome.newest, Some(NOW - 1));
}

#[test]
fn a_row_that_was_deleted_during_the_request_does_not_end_the_climb() {
    let mut rows = mixed(300);
    for row in &mut rows {
        row.is_missing = row.created > NOW - 400;
    }
    rows[0].changed = NOW - 1;
    let outcome = climb(&mut Store::new(rows), None, &[]);
    assert_eq!(outcome.newest, Some(NOW - 1));
}

#[test]
fn a_date_in_the_future_is_replaced_by_the_time_of_the_store() {
    let mut store = Store::new(mixed(300));
    store.rows.push(Row::new(NOW + 5_000, NOW + 5_000));
    let outcome = climb(&mut store, Some(NOW - 900), &[]);
    assert_eq!(outcome.newest, Some(NOW));
    store.date_lag = Some(600);
    assert_eq!(climb(&mut store, Some(NOW - 900), &[]).newest, Some(NOW - 600));
    // A cached header does not make the cursor earlier.
    assert_eq!(climb(&mut store, Some(NOW - 9), &[]).newest, Some(NOW - 9));
}

#[test]
fn without_the_time_of_the_store_only_dates_of_rows_count() {
    let mut store = Store::new(mixed(20));
    store.rows.iter_mut().for_each(|row| row.is_damaged = true);
    store.date_lag = None;
    assert_eq!(climb(&mut store, Some(NOW - 900), &[]).newest, Some(NOW - 900));
    store.rows.iter_mut().for_each(|row| row.is_damaged = false);
    assert_eq!(climb(&mut store, Some(NOW - 900), &[]).newest, Some(NOW - 1));
}

#[test]
fn a_list_of_which_nothing_can_be_read_ends_at_the_time_of_the_store() {
    let mut climb = Climb::new(None);
    let mut requests = 0;
    while let Step::Request { .. } = climb.next() {
        requests += 1;
        climb.answered(Answer::Unreadable, Some(NOW)).unwrap();
    }
    assert_eq!((climb.next(), requests <= MOST_REQUESTS), (Step::Done(Some(NOW)), true));
}

#[test]
fn the_earliest_time_of_the_store_counts() {
    let mut climb = Climb::new(None);
    climb.answered(Answer::Rows(&[Some(NOW + 60)]), Some(NOW)).unwrap();
    climb.answered(Answer::Rows(&[]), Some(NOW + 2)).unwrap();
    assert_eq!(climb.next(), Step::Done(Some(NOW)));
}

#[test]
fn a_store_that_ignores_the_change_date_is_detected() {
    let mut climb = Climb::new(Some(NOW));
    let answer = Answer::Rows(&[Some(NOW + 4), None, Some(NOW)]);
    assert_eq!(climb.answered(answer, Some(NOW)), Err(FilterIgnored { from: NOW + 1, changed: NOW }));
}

#[test]
fn rows_without_a_change_date_are_no_changes() {
    let rows = (0..30).map(|n| Row::new(NOW - n, 0)).collect();
    assert_eq!(climb(&mut Store::new(rows), None, &[]).newest, None);
}

fn row() -> impl Strategy<Value = Row> {
    let age = prop_oneof![Just(0), 1..40i64, 1..2_000_000i64];
    let date = prop_oneof![9 => age.prop_map(|age| NOW - age), 1 => 1..100_000i64];
    let future = prop_oneof![30 => Just(0), 1 => 1..90_000i64];
    (date.clone(), date, future, prop::bool::weighted(0.1), prop::bool::weighted(0.1)).prop_map(
        |(created, changed, future, is_damaged, is_missing)| Row {
            created,
            changed: changed.max(created) + future,
            is_damaged,
            is_missing,
        },
    )
}

fn change() -> impl Strategy<Value = Change> {
    let pick = any::<prop::sample::Index>;
    prop_oneof![
        3 => Just(Change::Add),
        1 => (0..NOW + 90_000).prop_map(Change::AddDated),
        5 => pick().prop_map(Change::Edit),
        2 => pick().prop_map(Change::Delete),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_newest_change_is_found(
        rows in prop::collection::vec(row(), 0..150),
        cursor in prop::option::of(NOW - 1_000_000..=NOW),
    ) {
        let mut store = Store::new(rows);
        let newest = climb(&mut store, cursor, &[]).newest;
        let expected = store.newest().map(|newest| min(newest, NOW));
        prop_assert_eq!(newest, max(expected, cursor));
    }

    #[test]
    fn no_later_change_is_older_than_the_result(
        rows in prop::collection::vec(row(), 0..150),
        cursor in prop::option::of(NOW - 1_000_000..=NOW),
        changes in prop::collection::vec(change(), 0..60),
        lag in 0..100i64,
    ) {
        let mut store = Store::new(rows);
        store.date_lag = Some(lag);
        let kept = store.rows.clone();
        let outcome = climb(&mut store, cursor, &changes);
        // A change made from now on has the time of the store.
        prop_assert!(outcome.newest.is_none_or(|newest| newest <= store.now));
        prop_assert!(outcome.newest <= max(outcome.greatest, cursor));
        if !changes.iter().any(|change| matches!(change, Change::Delete(_))) {
            // All these rows are still there, changed at these times or later.
            let greatest = kept.iter().map(|row| min(row.changed, NOW - lag)).max();
            prop_assert!(outcome.newest >= greatest);
        }
    }
}
