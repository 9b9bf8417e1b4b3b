//! Pages that are too large for the store are requested in smaller ones, and in larger ones again when that works.

use std::collections::BTreeSet;

use super::reading::{DATED, ROWS, WAYS, Way, asked, count_of, resumable, ways};
use super::sim::{STREAM, Sim};
use crate::fake_store::{FakeStore, Fault, NextPage, Options, RecordedRequest, Stamp, Total};
use crate::harness::command::Command;
use crate::harness::order::ReadCheck;
use crate::harness::run::Run;
use crate::harness::setup::{SignIn, minutes, start};
use crate::scenarios::kills::{Kill, read_until_complete};

/// Rows of the store in the issue, and the largest page that it can return.
const MANY: i64 = 3_000;
const SERVED: usize = 250;

/// A timeout that no working page reaches, also on a busy machine, and a longer time for retries; in seconds.
const PATIENT: (u32, u32) = (4, 60);

/// Fails requests for more than `most` rows.
fn above(most: usize, fault: impl Fn() -> Fault + Send + 'static) -> impl FnOnce(&mut Options) {
    move |options| {
        options.max_count = None;
        options.fault = Some(Box::new(move |seen| (count_of(seen) > most).then(&fault)));
    }
}

fn bad_request() -> Fault {
    Fault::error(400, "Bad Request", "The value of count is too large.")
}

/// Returns the requested page sizes, without the single requests of one and of ten rows.
fn sizes(store: &FakeStore) -> BTreeSet<usize> {
    store.requests().iter().map(count_of).filter(|&count| count > 10).collect()
}

/// Returns the maximum number of requests of a read whose pages work at `passing` rows of 1,000: those pages, the
/// ranges and 3; two for each halving, and for each attempt at a larger page after five that worked, times the
/// concurrent requests; and one probe with `count=1` for each of these.
fn most_requests(way: Way, store: &FakeStore, rows: i64, passing: usize) -> usize {
    let pages = usize::try_from(rows).unwrap().div_ceil(passing);
    let requests = store.requests();
    let ranges: BTreeSet<&str> = requests.iter().filter_map(|seen| seen.param("id")?.split("lte:").nth(1)).collect();
    let halvings = usize::try_from((1000 / passing).ilog2()).unwrap();
    let larger = pages / 5 + 1;
    pages + ranges.len() + 3 + 2 * (halvings + larger) * usize::try_from(way.in_flight).unwrap() + 1 + larger
}

/// Reads with another timeout and another time for retries, in seconds.
fn read_with(way: Way, store: &FakeStore, state: &str, (timeout, retry): (u32, u32)) -> Run {
    let mut config = way.config(store);
    config["_timeout_seconds"] = timeout.into();
    config["_retry_seconds"] = retry.into();
    store.clear_requests();
    let run = Command::new("read").config(&config).catalog(&way.catalog()).state(state).run();
    ReadCheck::new(&run, &way.catalog()).assert();
    run
}

fn assert_halved(way: Way, fault: impl Fn() -> Fault + Send + 'static, context: &str) {
    let store = way.store(MANY, above(SERVED, fault));
    let run = read_with(way, &store, "[]", PATIENT);
    way.assert_all_read(&run, &store, context);
    let bound = most_requests(way, &store, MANY, SERVED);
    let made = store.requests().len();
    // A stream whose keys are not numbers is read in two passes.
    assert!(
        made <= bound || way.stream == "microstores",
        "{way:?} {context}: {made} requests, bound {bound}: {:#?}",
        asked(&store)
    );
    if way.mode == "incremental" {
        let again = read_with(way, &store, &run.last_state_list(), PATIENT);
        assert_eq!((again.code, again.records(way.stream).len()), (Some(0), 0), "{way:?} {context}, unchanged");
    }
}

#[test]
fn a_page_that_times_out_at_the_gateway_is_halved() {
    ways().for_each(|way| assert_halved(way, || Fault::html(504), "504"));
}

#[test]
fn a_page_that_is_a_server_error_is_halved() {
    ways().for_each(|way| assert_halved(way, Fault::server_error, "500"));
}

#[test]
fn a_page_that_is_refused_is_halved() {
    ways().for_each(|way| assert_halved(way, bad_request, "400"));
}

#[test]
fn a_page_without_a_response_is_halved() {
    // One by key and one by page: every failure takes the full timeout.
    for way in [DATED[0], WAYS[6]] {
        assert_halved(way, || Fault::Hang, "no answer");
    }
}

#[test]
fn pages_are_halved_until_they_work() {
    for (most, way) in [(1, DATED[0]), (3, DATED[2]), (15, WAYS[6]), (999, DATED[1])] {
        let store = way.store(ROWS, above(most, || Fault::html(504)));
        // Many sizes fail, one after the other.
        let run = read_with(way, &store, "[]", PATIENT);
        way.assert_all_read(&run, &store, &format!("{most} rows at most"));
    }
}

#[test]
fn pages_are_halved_with_kills() {
    for way in resumable() {
        let store = way.store(MANY, above(SERVED, || Fault::html(504)));
        let (config, catalog) = (way.config(&store), way.catalog());
        let mut destination = way.destination();
        read_until_complete(&store, &config, &catalog, &mut destination, || Kill::Bytes(2_000_000));
        way.assert_arrived(&destination, &store, "with kills");
    }
}

#[test]
fn a_page_larger_than_the_size_limit_is_halved() {
    // 1,200 rows of 80 kB: 76 MiB per page.
    for way in [DATED[0], DATED[3]] {
        let mut data = way.data(1_200);
        let long = format!("\"{}\"", "x".repeat(80_000));
        data.ids(way.stream).into_iter().for_each(|id| data.set_field(way.stream, id, "admin_comments", &long));
        let store = start(SignIn::Token, Options { gzip: false, ..Options::default() }, data);
        let run = read_with(way, &store, "[]", (120, 240));
        way.assert_all_read(&run, &store, "80 kB a row");
        let bound = most_requests(way, &store, 1_200, 500);
        let made = store.requests().len();
        assert!(made <= bound, "{way:?}: {made} requests, bound {bound}: {:#?}", asked(&store));
    }
}

#[test]
fn a_stream_that_fails_at_every_size_is_not_split() {
    for way in ways() {
        for (fault, what) in [(Fault::html(504), "504"), (Fault::server_error(), "500"), (bad_request(), "400")] {
            let store = way.store(ROWS, above(0, move || fault.clone()));
            let run = way.first_read(&store);
            way.assert_incomplete(&run, what);
            assert_eq!(sizes(&store), BTreeSet::from([1000]), "{way:?} {what}: count=1 does not pass either");
            way.assert_contract(&mut way.destination(), &run, &store, what);
        }
    }
}

#[test]
fn a_failure_unrelated_to_the_page_makes_no_page_smaller() {
    for way in [DATED[0], DATED[3], WAYS[6]] {
        for (status, what) in [(429, "Too Many Requests"), (502, "Bad Gateway"), (503, "Service Unavailable")] {
            // After a 429 no request is sent for a window of ten seconds, so one of them has to be enough.
            if status == 429 && way.mode != "incremental" {
                continue;
            }
            let fault = move || Fault::error(status, what, "");
            // A few times, then the fault ends.
            let store = way.store(MANY, |options| {
                options.max_count = None;
                let mut left = 3;
                options.fault = Some(Box::new(move |seen: &RecordedRequest| {
                    let strikes = count_of(seen) > SERVED && left > 0;
                    left -= i32::from(strikes);
                    strikes.then(fault)
                }));
            });
            way.assert_all_read(&way.first_read(&store), &store, what);
            assert_eq!(sizes(&store), BTreeSet::from([1000]), "{way:?} {what}");
            // Permanently, which takes the full retry time.
            if way.mode != "incremental" {
                continue;
            }
            let store = way.store(MANY, above(SERVED, fault));
            let run = way.first_read(&store);
            way.assert_incomplete(&run, what);
            assert_eq!(sizes(&store), BTreeSet::from([1000]), "{way:?} {what}");
            way.assert_contract(&mut way.destination(), &run, &store, what);
        }
    }
}

#[test]
fn one_failure_makes_no_page_smaller() {
    for way in [DATED[0], DATED[3], WAYS[6]] {
        for number in 1..=4 {
            let store = way.store(MANY, |options| {
                options.max_count = None;
                options.fault = Some(Box::new(move |seen| (seen.n == number).then(|| Fault::html(504))));
            });
            way.assert_all_read(&way.first_read(&store), &store, &format!("request {number}"));
            assert_eq!(sizes(&store), BTreeSet::from([1000]), "{way:?}, request {number}");
        }
    }
}

#[test]
fn pages_grow_again_when_larger_ones_work() {
    let [way, ..] = DATED;
    let rows = 8_000;
    let store = way.store(rows, |options| {
        options.max_count = None;
        let mut left = 4;
        options.fault = Some(Box::new(move |seen: &RecordedRequest| {
            let strikes = count_of(seen) > SERVED && left > 0;
            left -= i32::from(strikes);
            strikes.then(|| Fault::html(504))
        }));
    });
    way.assert_all_read(&way.first_read(&store), &store, "the store recovers");
    let counts: Vec<usize> = store.requests().iter().map(count_of).filter(|&count| count > 10).collect();
    let smallest = counts.iter().position(|&count| count == SERVED);
    let smallest = smallest.unwrap_or_else(|| panic!("no page of {SERVED}: {counts:?}"));
    assert!(counts[smallest..].contains(&1000), "{counts:?}");
    // Five pages that work at 250 and five at 500 come before the first of 1,000; a fault in between restarts the
    // count.
    let good = counts[smallest..].iter().take_while(|&&count| count < 1000).count();
    assert!((10..=17).contains(&good), "{counts:?}");
}

#[test]
fn changes_are_emitted_while_pages_fail() {
    for way in DATED.into_iter().filter(|way| way.mode == "incremental") {
        let store = way.store(MANY, |_| {});
        store.options(|options| options.max_count = None);
        let first = way.first_read(&store);
        // An import: more changes than fit in a page that works.
        store.data(|data| {
            data.tick(3_600_000);
            let at = Stamp::At(data.now_ms);
            (0..700).for_each(|row| data.set_updated_at(way.stream, way.first() + row, at));
        });
        store.options(above(SERVED, || Fault::html(504)));
        let second = way.read(&store, &first.last_state_list());
        let changed: BTreeSet<i64> = (0..700).map(|row| way.first() + row).collect();
        way.assert_complete(&second, &changed, "700 changes");
    }
}

#[test]
fn a_full_page_that_was_made_smaller_is_followed_by_another_one() {
    for rows in [500, 800, 1_000, 1_200] {
        let mut sim = Sim::new(STREAM, Options::default(), minutes(STREAM, 1, rows));
        sim.store.options(|options| {
            options.refuse_count_above = Some(500);
            options.quirks.total = Total::OfPage;
            options.next_page = NextPage::Absent;
        });
        let sync = sim.sync();
        sim.assert_nothing_lost(&format!("{rows} rows\n{}", sync.asked()));
    }
}
