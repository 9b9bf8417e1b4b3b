//! 404 for a list: an empty list, or a resource that does not exist.

use std::collections::BTreeSet;

use serde_json::json;

use super::reading::{ROWS, WAYS, asked, at_answers, by_key, dated, killed, once_at_every_answer, resumable, ways};
use crate::fake_store::{EmptyList, Fault, Options, Spoil, Stamp};
use crate::harness::command::Command;
use crate::harness::setup::no_state;

/// The details of the API's response to an unknown path.
const NO_RESOURCE: &str = "No resource matches the URL specified.";

fn filtered(options: &mut Options) {
    options.quirks.empty_list = EmptyList::FilteredIs404;
}

fn always(options: &mut Options) {
    options.quirks.empty_list = EmptyList::Is404;
}

#[test]
fn an_empty_stream_that_answers_404_is_empty_with_a_warning() {
    for way in ways() {
        let store = way.store(0, always);
        let first = way.first_read(&store);
        way.assert_complete(&first, &BTreeSet::new(), "empty");
        assert!(first.warnings().iter().any(|text| text.contains("404")), "{way:?}: {:?}", first.warnings());
        // Twice, and one for the checks of this folder.
        assert!(store.requests().len() <= 3, "{way:?}: {:#?}", asked(&store));
        // The next sync finds it empty again, and later the new rows.
        let second = way.read(&store, &first.last_state_list());
        way.assert_complete(&second, &BTreeSet::new(), "empty again");
        store.data(|data| {
            let at = Stamp::At(data.now_ms - 60_000);
            (0..3).for_each(|row| data.insert_lean(way.stream, way.first() + row, at, at));
        });
        let third = way.read(&store, &second.last_state_list());
        way.assert_all_read(&third, &store, "no longer empty");
    }
}

#[test]
fn a_404_that_says_that_no_resource_matches_is_an_error() {
    for way in ways() {
        let store = way.store(0, |options| {
            options.fault = Some(Box::new(|_| Some(Fault::error(404, "NotFound", NO_RESOURCE))));
        });
        let run = way.first_read(&store);
        way.assert_incomplete(&run, "no such resource");
        way.assert_contract(&mut way.destination(), &run, &store, "no such resource");
    }
}

#[test]
fn a_404_for_the_first_page_is_accepted_only_twice() {
    for way in ways() {
        for rows in [15, ROWS] {
            let store = way.store(rows, |options| {
                options.quirks.spoil = Some(at_answers(Spoil::NotFound, |number| number == 1));
            });
            way.assert_all_read(&way.first_read(&store), &store, "404 once");
        }
    }
}

#[test]
fn a_404_for_one_page_of_many_is_not_the_end() {
    for way in ways() {
        once_at_every_answer(way, ROWS, Spoil::NotFound, 1, |_| {});
    }
}

#[test]
fn pages_that_answer_404_from_some_time_on_are_never_complete_with_loss() {
    for way in WAYS.into_iter().filter(|way| way.in_flight == 1) {
        for from in 2..=5 {
            let store = way.store(ROWS, |options| {
                options.quirks.spoil = Some(at_answers(Spoil::NotFound, move |number| number >= from));
            });
            let run = way.first_read(&store);
            way.assert_contract(&mut way.destination(), &run, &store, &format!("404 from answer {from} on"));
        }
    }
}

#[test]
fn ranges_of_keys_without_rows_that_answer_404_are_empty() {
    for way in by_key() {
        for form in [filtered, always] {
            let store = way.store(ROWS, form);
            // A few rows with much larger keys than the others, so that most ranges between them are empty.
            store.data(|data| {
                for row in 0..3 {
                    let at = Stamp::At(data.now_ms - 60_000);
                    data.insert_lean(way.stream, way.first() + 1_000_000 + row, at, at);
                }
            });
            let first = way.first_read(&store);
            way.assert_all_read(&first, &store, "empty ranges");
            way.assert_few_requests(&store, 4, "empty ranges");
        }
    }
}

#[test]
fn ranges_of_keys_without_rows_that_answer_404_are_empty_after_a_kill() {
    for way in resumable() {
        let store = way.store(2 * ROWS, filtered);
        let mut destination = killed(way, &store, 90_000);
        // Only the newest rows remain.
        let left: Vec<i64> = store.data(|data| data.ids(way.stream));
        store.data(|data| left.iter().take(100).for_each(|&id| assert!(data.delete(way.stream, id))));
        let run = way.read(&store, &destination.state_list());
        assert_eq!(run.code, Some(0), "{way:?}\n{}", run.transcript());
        destination.take(&run);
        way.assert_arrived(&destination, &store, "after the kill");
    }
}

#[test]
fn a_date_filter_that_matches_nothing_and_answers_404_is_empty() {
    for way in dated() {
        for form in [filtered, always] {
            for rows in [10, ROWS] {
                let store = way.store(rows, form);
                // All rows are older than the start date.
                let mut config = way.config(&store);
                config["start_date"] = json!("2024-11-18T12:00:00Z");
                let run = Command::new("read").config(&config).catalog(&way.catalog()).state(&no_state()).run();
                way.assert_complete(&run, &BTreeSet::new(), "nothing since the start date");
                assert!(store.requests().len() <= 5, "{way:?} {rows} rows: {:#?}", asked(&store));
            }
        }
    }
}

#[test]
fn a_sync_without_changes_that_gets_404_is_complete() {
    for way in WAYS.into_iter().filter(|way| way.mode == "incremental") {
        for rows in [10, ROWS] {
            let store = way.store(rows, filtered);
            let first = way.first_read(&store);
            way.assert_all_read(&first, &store, "at first");
            // The rows at the cursor are deleted, so the date filter matches nothing.
            store.data(|data| {
                let ids = data.ids(way.stream);
                ids.iter().rev().take(5).for_each(|&id| assert!(data.delete(way.stream, id)));
                data.tick(3_600_000);
            });
            let second = way.read(&store, &first.last_state_list());
            way.assert_complete(&second, &BTreeSet::new(), "nothing changed");
            // One without the filter, and one for the checks of this folder.
            assert!(store.requests().len() <= 3, "{way:?}: {:#?}", asked(&store));
            let changed = store.data(|data| {
                let id = data.ids(way.stream)[3];
                data.touch(way.stream, id);
                id
            });
            let third = way.read(&store, &second.last_state_list());
            way.assert_complete(&third, &BTreeSet::from([changed]), "one changed");
        }
    }
}

#[test]
fn a_documented_empty_stream_costs_one_request() {
    for way in ways() {
        let store = way.store(0, |_| {});
        let first = way.first_read(&store);
        way.assert_complete(&first, &BTreeSet::new(), "empty");
        assert_eq!((store.requests().len(), first.warnings().len()), (1, 0), "{way:?}: {:#?}", asked(&store));
    }
}
