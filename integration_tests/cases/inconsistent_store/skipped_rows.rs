//! Rows that a sync had to skip and the next one requests again: the response is checked against that request, and a
//! repaired row is emitted once, with and without a cursor.

use std::collections::BTreeSet;

use super::reading::{DATED, PAGE, ROWS, Way, asked, end_faults, resumable};
use crate::fake_store::{FakeStore, Fault, Options, RecordedRequest, Spoil, Stamp};
use crate::harness::destination::Destination;
use crate::harness::setup::{SignIn, start};

/// Position of the damaged row among the keys.
const DAMAGED: i64 = 38;

/// Runs a first read of a store that cannot send one row. Returns the store, the records received and the row's key.
fn with_one_left_out(way: Way) -> (FakeStore, Destination, i64) {
    let bad = way.first() + DAMAGED;
    let store = way.store(ROWS, |options| {
        options.quirks.unreadable.extend([(way.stream.to_owned(), bad)]);
    });
    let mut destination = way.destination();
    let first = way.first_read(&store);
    way.assert_incomplete(&first, "damaged");
    destination.take(&first);
    (store, destination, bad)
}

/// Returns true if a request tries the skipped row again: its key range ends at the row.
fn is_retry(seen: &RecordedRequest, bad: i64) -> bool {
    seen.param("id").is_some_and(|keys| keys.ends_with(&format!("lte:{bad}")))
}

fn json_answer(body: &str) -> Fault {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Fault::Answer { status: 200, headers, body: body.as_bytes().to_vec() }
}

/// Returns responses to other requests than the one for the skipped row.
fn foreign_answers() -> [(&'static str, Fault); 5] {
    let orders = |rows: &str| json_answer(&format!("{{\"total_count\":1,\"orders\":[{rows}]}}"));
    [
        ("another stream", Fault::AnswerOf { resource: "customers", list: None }),
        ("another stream, under an unknown name", Fault::AnswerOf { resource: "customers", list: Some("data") }),
        ("a range before it", orders("{\"id\":5,\"updated_at\":\"2024-06-01T10:00:00Z\"}")),
        ("a range after it", orders("{\"id\":99999999,\"updated_at\":\"2024-06-01T10:00:00Z\"}")),
        ("keys that are no numbers", orders("{\"id\":\"A-7\",\"updated_at\":\"2024-06-01T10:00:00Z\"}")),
    ]
}

#[test]
fn an_answer_to_another_request_heals_no_row_that_was_left_out() {
    for way in DATED.into_iter().filter(|way| way.mode == "incremental") {
        for (what, fault) in foreign_answers() {
            let (store, mut destination, bad) = with_one_left_out(way);
            end_faults(&store);
            store.data(|data| {
                let at = Stamp::At(data.now_ms);
                data.insert_lean("customers", bad, at, at);
            });
            store.options(|options| {
                options.fault = Some(Box::new(move |seen| is_retry(seen, bad).then(|| fault.clone())));
            });
            let second = way.read(&store, &destination.state_list());
            let error = way.assert_incomplete(&second, what);
            assert!(error.message.contains(&bad.to_string()), "{way:?} {what}: {}", error.message);
            assert_eq!(way.keys(&second), BTreeSet::new(), "{way:?} {what}: {:#?}", asked(&store));
            destination.take(&second);

            end_faults(&store);
            let third = way.read(&store, &destination.state_list());
            way.assert_complete(&third, &[bad].into(), what);
            destination.take(&third);
            way.assert_arrived(&destination, &store, what);
        }
    }
}

#[test]
fn one_answer_without_the_row_that_was_left_out_does_not_forget_it() {
    for way in DATED.into_iter().filter(|way| way.mode == "incremental") {
        for body in [r#"{"total_count":0,"orders":[]}"#, r#"{"total_count":0,"data":[]}"#, r#"{"orders":[]}"#] {
            let (store, mut destination, bad) = with_one_left_out(way);
            end_faults(&store);
            let mut left = 1;
            store.options(|options| {
                options.fault = Some(Box::new(move |seen| {
                    let strikes = left > 0 && is_retry(seen, bad);
                    left -= i32::from(strikes);
                    strikes.then(|| json_answer(body))
                }));
            });
            let second = way.read(&store, &destination.state_list());
            way.assert_complete(&second, &[bad].into(), body);
            destination.take(&second);
            way.assert_arrived(&destination, &store, body);
        }
    }
}

#[test]
fn one_answer_with_half_of_the_rows_that_were_left_out_forgets_none() {
    for way in DATED.into_iter().filter(|way| way.mode == "incremental") {
        let bad = way.first() + DAMAGED;
        let store = way.store(ROWS, |options| {
            options.quirks.unreadable.extend([bad, bad + 1].map(|id| (way.stream.to_owned(), id)));
        });
        let mut destination = way.destination();
        let first = way.first_read(&store);
        way.assert_incomplete(&first, "damaged");
        destination.take(&first);
        end_faults(&store);
        let mut left = 1;
        store.options(|options| {
            options.quirks.spoil = Some(Box::new(move |seen, rows| {
                let strikes = left > 0 && rows == 2 && is_retry(seen, bad + 1);
                left -= i32::from(strikes);
                strikes.then_some(Spoil::Halved)
            }));
        });
        let second = way.read(&store, &destination.state_list());
        way.assert_complete(&second, &[bad, bad + 1].into(), "half of them");
        destination.take(&second);
        way.assert_arrived(&destination, &store, "half of them");
    }
}

#[test]
fn a_row_that_is_left_out_again_stays_in_the_state_after_pages_of_changes() {
    for way in DATED.into_iter().filter(|way| way.mode == "incremental") {
        let (store, mut destination, bad) = with_one_left_out(way);
        // More than a page: the sync walks over the changes, and the row is not among them.
        store.data(|data| {
            data.tick(3_600_000);
            for id in data.ids(way.stream).into_iter().filter(|&id| id != bad).take(PAGE + 3) {
                data.touch(way.stream, id);
            }
        });
        let second = way.read(&store, &destination.state_list());
        let error = way.assert_incomplete(&second, "left out again");
        assert!(error.message.contains(&bad.to_string()), "{way:?}: {}", error.message);
        assert_eq!(way.keys(&second).len(), PAGE + 3, "{way:?}: {:#?}", asked(&store));
        destination.take(&second);

        end_faults(&store);
        let third = way.read(&store, &destination.state_list());
        way.assert_complete(&third, &[bad].into(), "healed");
        destination.take(&third);
        way.assert_arrived(&destination, &store, "healed");
    }
}

#[test]
fn a_row_that_was_left_out_and_is_deleted_costs_two_requests_once() {
    for way in DATED.into_iter().filter(|way| way.mode == "incremental") {
        let (store, mut destination, bad) = with_one_left_out(way);
        end_faults(&store);
        assert!(store.data(|data| data.delete(way.stream, bad)));
        for requests in [3, 1] {
            let run = way.read(&store, &destination.state_list());
            way.assert_complete(&run, &BTreeSet::new(), "deleted");
            assert_eq!(store.requests().len(), requests, "{way:?}: {:#?}", asked(&store));
            destination.take(&run);
        }
    }
}

#[test]
fn a_healed_row_that_has_changed_comes_once() {
    for way in resumable().filter(|way| way.mode == "incremental") {
        let (store, mut destination, bad) = with_one_left_out(way);
        end_faults(&store);
        // It is among the changes, too, which the same sync asks for.
        store.data(|data| {
            data.tick(3_600_000);
            data.touch(way.stream, bad);
        });
        let second = way.read(&store, &destination.state_list());
        way.assert_complete(&second, &[bad].into(), "healed and changed");
        destination.take(&second);
        way.assert_arrived(&destination, &store, "healed and changed");
    }
}

/// A store of rows without any date, so that no sync leaves a cursor.
fn without_dates(way: Way, rows: i64) -> FakeStore {
    let mut data = way.data(rows);
    data.ids(way.stream).into_iter().for_each(|id| data.set_updated_at(way.stream, id, Stamp::Null));
    start(SignIn::Token, Options { max_count: Some(PAGE), ..Options::default() }, data)
}

#[test]
fn a_damaged_row_of_a_stream_without_a_cursor_comes_once_when_it_is_healed() {
    for way in resumable() {
        // In a stream of one answer and of several; the first row, and one between.
        for (rows, nth) in [(ROWS, 0), (ROWS, DAMAGED), (10, 0), (10, 5)] {
            let bad = way.first() + nth;
            let context = format!("row {nth} of {rows}");
            let store = without_dates(way, rows);
            store.options(|options| {
                options.quirks.unreadable.extend([(way.stream.to_owned(), bad)]);
            });
            let mut destination = way.destination();
            let first = way.first_read(&store);
            let error = way.assert_incomplete(&first, &context);
            assert!(error.message.contains(&bad.to_string()), "{way:?} {context}: {}", error.message);
            let mut others = way.all(&store);
            others.remove(&bad);
            assert_eq!(way.keys(&first), others, "{way:?} {context}: {:#?}", asked(&store));
            destination.take(&first);

            end_faults(&store);
            // `keys` panics where a row comes twice.
            let second = way.read(&store, &destination.state_list());
            let came = way.keys(&second);
            assert_eq!((second.code, came.contains(&bad)), (Some(0), true), "{way:?} {context}: {:#?}", asked(&store));
            destination.take(&second);
            way.assert_arrived(&destination, &store, &context);
        }
    }
}

#[test]
fn a_damaged_row_of_a_stream_without_a_cursor_costs_no_request_of_its_own() {
    // Each sync of such a stream reads all rows, and the damaged one with them.
    for way in resumable().filter(|way| way.mode == "incremental" && way.in_flight == 1) {
        for (rows, nth) in [(ROWS, DAMAGED), (10, 5)] {
            let store = without_dates(way, rows);
            store.options(|options| {
                options.quirks.unreadable.extend([(way.stream.to_owned(), way.first() + nth)]);
            });
            let mut destination = way.destination();
            destination.take(&way.first_read(&store));
            end_faults(&store);
            let healed = way.read(&store, &destination.state_list());
            assert_eq!(healed.code, Some(0), "{way:?} {rows}\n{}", healed.transcript());
            let requests = asked(&store);
            destination.take(&healed);
            way.assert_arrived(&destination, &store, "healed");

            let anew = way.first_read(&store);
            assert_eq!(anew.code, Some(0), "{way:?} {rows}\n{}", anew.transcript());
            let bound = store.requests().len();
            assert!(requests.len() <= bound, "{way:?} {rows}: more than {bound}: {requests:#?}");
        }
    }
}
