//! Pages that use all the memory for pages: a request does not wait for memory that the page before it still uses.
//!
//! With rows of 9 kB, a page of 1,000 rows uses all the memory, and a request for ten rows needs some as well. A read
//! that waits for itself hangs, which the harness reports.

use super::reading::{DATED, Way, asked};
use crate::fake_store::{Data, FakeStore, Options, Stamp};
use crate::harness::command::Command;
use crate::harness::order::ReadCheck;
use crate::harness::run::Run;
use crate::harness::setup::{SignIn, no_state, start};

/// Bytes of the text in each row.
const LARGE: usize = 9_000;
/// Rows of a full page.
const PAGE: i64 = 1_000;
/// Rows of one date that a state cannot remember one by one.
const MANY: i64 = 4_100;

/// Both modes, with one request at a time and with eight.
const TWO: [Way; 2] = [DATED[0], DATED[3]];

/// So many rows a minute apart; those with the least keys, up to `large`, are large.
fn rows_of(way: Way, rows: i64, large: usize) -> Data {
    let mut data = way.data(rows);
    let text = format!("\"{}\"", "x".repeat(LARGE));
    let ids = data.ids(way.stream);
    ids.into_iter().take(large).for_each(|id| data.set_field(way.stream, id, "admin_comments", &text));
    data
}

fn store_of(data: Data) -> FakeStore {
    // Without compression, which would take most of the time; rows of one date in the order of their keys.
    start(SignIn::Token, Options { gzip: false, unstable_ties: None, ..Options::default() }, data)
}

/// Reads with time-outs that no page of 9 MB reaches, however busy the machine is.
fn read(way: Way, store: &FakeStore, state: &str, end_date: Option<&str>) -> Run {
    let mut config = way.config(store);
    config["_timeout_seconds"] = 100.into();
    config["_retry_seconds"] = 200.into();
    if let Some(end_date) = end_date {
        config["end_date"] = end_date.into();
    }
    store.clear_requests();
    let run = Command::new("read").config(&config).catalog(&way.catalog()).state(state).run();
    ReadCheck::new(&run, &way.catalog()).assert();
    run
}

#[test]
fn the_page_of_the_greatest_keys_gives_its_room_to_the_question_about_rows_without_a_date() {
    for way in TWO {
        let mut data = rows_of(way, PAGE + 100, usize::MAX);
        // Among the oldest, so that two counts differ and no answer so far shows it.
        data.set_updated_at(way.stream, way.first() + 3, Stamp::Null);
        let store = store_of(data);
        way.assert_all_read(&read(way, &store, &no_state(), None), &store, "one row without a date");
    }
}

#[test]
fn a_full_page_that_may_be_all_gives_its_room_to_the_request_for_a_further_one() {
    for way in TWO {
        let store = store_of(rows_of(way, PAGE, usize::MAX));
        way.assert_all_read(&read(way, &store, &no_state(), None), &store, "one full page");
        let further = store.requests().iter().filter(|seen| seen.param("page") == Some("2")).count();
        assert_eq!(further, 1, "{way:?}: {:#?}", asked(&store));
    }
}

#[test]
fn a_page_of_rows_outside_the_dates_gives_its_room_to_the_question_for_a_row_within() {
    for way in TWO {
        let store = store_of(rows_of(way, PAGE + 100, usize::MAX));
        let run = read(way, &store, &no_state(), Some("2001-01-01T00:00:00Z"));
        way.assert_complete(&run, &[].into(), "nothing within the dates");
    }
}

#[test]
fn the_page_of_the_greatest_keys_gives_its_room_to_a_comparison_by_ranges() {
    for way in [DATED[0], DATED[1]] {
        // The first page of a tie is large; the others would only take time.
        let mut data = rows_of(way, MANY, 1_000);
        let newest = Stamp::At(data.now_ms - 60_000);
        data.ids(way.stream).into_iter().for_each(|id| data.set_updated_at(way.stream, id, newest));
        let store = store_of(data);
        let first = read(way, &store, &no_state(), None);
        way.assert_all_read(&first, &store, "first");
        let changed = way.first() + MANY / 2;
        store.data(|data| data.set_field(way.stream, changed, "ip", "\"10.0.0.1\""));
        let second = read(way, &store, &first.last_state_list(), None);
        assert_eq!(second.code, Some(0), "{way:?}\n{}", second.transcript());
        assert!(way.keys(&second).contains(&changed), "{way:?}: {:#?}", asked(&store));
    }
}

#[test]
fn a_page_of_changes_gives_its_room_to_the_question_about_a_row_at_the_cursor() {
    let way = DATED[0];
    let store = store_of(way.data(PAGE));
    let first = read(way, &store, &no_state(), None);
    way.assert_all_read(&first, &store, "first");
    // Rows of 90 kB do not fit on one page, and one of them needs memory as well. The row at the cursor is on a
    // later page.
    let text = format!("\"{}\"", "x".repeat(10 * LARGE));
    store.data(|data| {
        data.tick(3_600_000);
        for id in data.ids(way.stream).into_iter().take(800) {
            data.touch(way.stream, id);
            data.set_field(way.stream, id, "admin_comments", &text);
        }
    });
    let second = read(way, &store, &first.last_state_list(), None);
    assert_eq!((second.code, way.keys(&second).len()), (Some(0), 800), "{way:?}\n{}", second.transcript());
}
