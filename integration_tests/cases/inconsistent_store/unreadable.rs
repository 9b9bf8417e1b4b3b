//! Only the row that the store cannot send is left out: all other rows and changes are emitted. The row is named, stays
//! in the state, and is tried again.

use std::collections::BTreeSet;

use super::reading::{DATED, PAGE, ROWS, Way, asked, dated, end_faults, killed, resumable, ways};
use crate::fake_store::{FakeStore, Options};
use crate::harness::run::{ErrorTrace, Run};

/// Maximum additional requests to isolate one row: 2·log2(1000) + 4.
const ISOLATING: usize = 23;

/// Maximum number of rows in a named range.
const A_FEW: u64 = 5;

/// Why a row cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Breaking {
    /// Every response that would have it is a 500.
    ServerError,
    /// It has a byte that is not UTF-8.
    NotUtf8,
}

impl Breaking {
    fn strike(self, options: &mut Options, way: Way, id: i64) {
        let rows = match self {
            Breaking::ServerError => &mut options.quirks.unreadable,
            Breaking::NotUtf8 => &mut options.quirks.not_utf8,
        };
        rows.insert((way.stream.to_owned(), id));
    }
}

/// A store with unreadable rows.
struct Case<'b> {
    way: Way,
    rows: i64,
    page: Option<usize>,
    bad: &'b [i64],
    breaking: Breaking,
}

/// Panics unless the error names the id, a small range with it, or, if pages are numbered, a neighbour.
fn assert_named(way: Way, error: &ErrorTrace, id: i64) {
    let digits = |c: char| !c.is_ascii_digit();
    let numbers: Vec<i64> = error.message.split(digits).filter_map(|text| text.parse().ok()).collect();
    let in_range = |pair: &[i64]| pair[0] <= id && id <= pair[1] && pair[0].abs_diff(pair[1]) <= A_FEW;
    let is_neighbour = |number: &i64| way.stream == "microstores" && number.abs_diff(id) <= 1;
    let named = numbers.contains(&id) || numbers.windows(2).any(in_range) || numbers.iter().any(is_neighbour);
    assert!(named, "{id} is not named: {}", error.message);
}

fn requests(store: &FakeStore) -> usize {
    store.requests().len()
}

impl Case<'_> {
    fn store(&self) -> FakeStore {
        self.way.store(self.rows, |options| {
            options.max_count = self.page;
            for &id in self.bad {
                self.breaking.strike(options, self.way, id);
            }
        })
    }

    fn context(&self, what: &str) -> String {
        format!("{:?} of {} rows, {what}", self.bad, self.rows)
    }

    fn good(&self, store: &FakeStore) -> BTreeSet<i64> {
        let all = self.way.all(store);
        all.into_iter().filter(|id| !self.bad.contains(id)).collect()
    }

    fn assert_reported(&self, run: &Run, store: &FakeStore, what: &str) {
        let context = self.context(&format!("{what}\n{:#?}", asked(store)));
        let error = self.way.assert_incomplete(run, &context);
        self.bad.iter().for_each(|&id| assert_named(self.way, &error, id));
        if self.breaking == Breaking::NotUtf8 {
            let reported = format!("{} {}", error.message, error.internal_message);
            assert!(reported.contains("UTF-8") && !reported.contains("not JSON"), "{reported}");
        }
    }

    /// Runs the first sync, one with changes, an unchanged one, and one of the healed store. `most` is the maximum
    /// number of requests to isolate the rows.
    fn prove(&self, most: usize) {
        let way = self.way;
        let sound = way.store(self.rows, |options| options.max_count = self.page);
        way.assert_all_read(&way.first_read(&sound), &sound, "all readable");

        let store = self.store();
        let mut destination = way.destination();
        let first = way.first_read(&store);
        let made = requests(&store);
        let missing: Vec<i64> = self.good(&store).difference(&way.keys(&first)).take(5).copied().collect();
        assert!(missing.is_empty(), "{way:?} {}: {missing:?} …\n{}", self.context("missing"), first.transcript());
        assert_eq!(way.keys(&first), self.good(&store), "{way:?} {}", self.context("first"));
        self.assert_reported(&first, &store, "first");
        assert!(
            made <= requests(&sound) + most,
            "{way:?} {}: {made} requests, {} without; {most} more allowed: {:#?}",
            self.context("first"),
            requests(&sound),
            asked(&store)
        );
        destination.take(&first);

        if way.mode == "incremental" {
            let changed: Vec<i64> = self.good(&store).into_iter().step_by(13).take(5).collect();
            store.data(|data| {
                data.tick(3_600_000);
                changed.iter().for_each(|&id| data.touch(way.stream, id));
            });
            let second = way.read(&store, &destination.state_list());
            assert_eq!(way.keys(&second), changed.into_iter().collect(), "{way:?} {}", self.context("changes"));
            self.assert_reported(&second, &store, "changes");
            self.assert_tried_once(&store, "changes");
            destination.take(&second);
            let unchanged = way.read(&store, &destination.state_list());
            assert_eq!(way.keys(&unchanged), BTreeSet::new(), "{way:?} {}", self.context("unchanged"));
            self.assert_reported(&unchanged, &store, "unchanged");
            self.assert_tried_once(&store, "unchanged");
            destination.take(&unchanged);
        }

        end_faults(&store);
        store.options(|options| options.max_count = self.page);
        let healed = way.read(&store, &destination.state_list());
        assert_eq!(healed.code, Some(0), "{way:?} {}\n{}", self.context("healed"), healed.transcript());
        destination.take(&healed);
        let context = self.context(&format!("healed\n{:#?}\n{}", asked(&store), healed.transcript()));
        way.assert_arrived(&destination, &store, &context);
        if way.mode == "incremental" {
            assert_eq!(way.keys(&healed), self.bad.iter().copied().collect(), "{way:?} {}", self.context("healed"));
            let last = way.read(&store, &destination.state_list());
            assert_eq!((last.code, last.records(way.stream).len(), requests(&store)), (Some(0), 0, 1), "{way:?}");
        }
    }

    /// Checks that known unreadable rows are tried with one request each, and nothing else fails: unless the row is the
    /// newest one, which is in every request for changes.
    fn assert_tried_once(&self, store: &FakeStore, what: &str) {
        let newest = self.way.first() + self.rows - 1;
        if self.breaking == Breaking::ServerError && !self.bad.contains(&newest) {
            let failed = store.requests().iter().filter(|seen| seen.status == 500).count();
            assert!((1..=self.bad.len()).contains(&failed), "{} {:#?}", self.context(what), asked(store));
        }
    }
}

#[test]
fn one_unreadable_row_of_3000_is_the_only_one_missing() {
    for way in dated() {
        let most = if way.in_flight == 1 { ISOLATING } else { ISOLATING + 8 };
        Case { way, rows: 3_000, page: None, bad: &[101_234], breaking: Breaking::ServerError }.prove(most);
    }
}

#[test]
fn one_unreadable_row_is_the_only_one_missing_at_every_position() {
    for way in ways() {
        // Single requests ask for the oldest and the newest row, so each of these has to be isolated in its
        // own order.
        for (nth, most) in [(0, 2 * ISOLATING), (17, ISOLATING), (38, ISOLATING), (ROWS - 1, 4 * ISOLATING)] {
            // If keys are not numbers, both ways to read meet the row, in each pass over the pages.
            let most = if way.stream == "microstores" { most + ISOLATING } else { most };
            let most = if way.in_flight == 1 { most } else { most + 8 };
            Case { way, rows: ROWS, page: Some(PAGE), bad: &[way.first() + nth], breaking: Breaking::ServerError }
                .prove(most);
        }
    }
}

#[test]
fn an_unreadable_row_of_a_single_page_stream_is_the_only_one_missing() {
    for way in ways() {
        for nth in [0, 7, 14] {
            let bad = [way.first() + nth];
            Case { way, rows: 15, page: None, bad: &bad, breaking: Breaking::ServerError }.prove(4 * ISOLATING);
        }
    }
}

#[test]
fn several_unreadable_rows_are_the_only_ones_missing() {
    for way in dated() {
        for bad in [[101_234, 101_235], [101_234, 101_260], [100_100, 102_500]] {
            let most = 2 * ISOLATING + if way.in_flight == 1 { 0 } else { 16 };
            Case { way, rows: 3_000, page: None, bad: &bad, breaking: Breaking::ServerError }.prove(most);
        }
    }
}

#[test]
fn a_row_that_is_not_utf8_is_the_only_one_missing() {
    for way in dated() {
        let most = if way.in_flight == 1 { ISOLATING } else { ISOLATING + 8 };
        Case { way, rows: 3_000, page: None, bad: &[101_234], breaking: Breaking::NotUtf8 }.prove(most);
    }
    for way in ways() {
        let bad = [way.first() + 38];
        Case { way, rows: ROWS, page: Some(PAGE), bad: &bad, breaking: Breaking::NotUtf8 }.prove(ISOLATING + 8);
    }
}

#[test]
fn an_unreadable_row_is_the_only_one_missing_after_a_kill() {
    for way in resumable() {
        for nth in [3, 70, 140] {
            for bytes in [90_000, 180_000] {
                let bad = [way.first() + nth];
                let case = Case { way, rows: 2 * ROWS, page: Some(PAGE), bad: &bad, breaking: Breaking::ServerError };
                let store = case.store();
                let mut destination = killed(way, &store, bytes);
                let run = way.read(&store, &destination.state_list());
                case.assert_reported(&run, &store, "after the kill");
                destination.take(&run);
                let comparison = store.data(|data| destination.compare(data, way.stream, way.stream, None, None));
                let missing: Vec<i64> = comparison.missing.iter().chain(&comparison.missing_undated).copied().collect();
                assert_eq!(missing, bad, "{way:?} {}\n{}", case.context("after the kill"), run.transcript());
                way.assert_contract(&mut destination, &run, &store, &case.context("after the kill"));
            }
        }
    }
}

#[test]
fn a_change_of_the_unreadable_row_itself_delays_no_other_row() {
    for way in DATED.into_iter().filter(|way| way.mode == "incremental") {
        let bad = way.first() + 38;
        let case = Case { way, rows: ROWS, page: Some(PAGE), bad: &[bad], breaking: Breaking::ServerError };
        let store = way.store(ROWS, |_| {});
        let first = way.first_read(&store);
        way.assert_all_read(&first, &store, "all readable");
        // From now on it cannot be read, and is among the changes.
        store.options(|options| Breaking::ServerError.strike(options, way, bad));
        let changed: BTreeSet<i64> = [5, 30, 39, 60].map(|nth| way.first() + nth).into();
        store.data(|data| {
            data.tick(3_600_000);
            changed.iter().chain([&bad]).for_each(|&id| data.touch(way.stream, id));
        });
        let mut destination = way.destination();
        destination.take(&first);
        let second = way.read(&store, &destination.state_list());
        assert_eq!(way.keys(&second), changed, "{way:?}\n{:#?}\n{}", asked(&store), second.transcript());
        case.assert_reported(&second, &store, "changed itself");
        way.assert_contract(&mut destination, &second, &store, "changed itself");
    }
}
