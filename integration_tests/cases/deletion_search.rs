//! The search for deleted rows: stores that hide rows from it or answer it in an unusual way, kills, and what it costs.

use serde_json::{Value, json};

use super::deletions::{Synced, deleted};
use crate::fake_store::{Data, EmptyList, Fault, Options, RecordedRequest, Stamp, Total, utc_ms};
use crate::harness::command::Command;
use crate::harness::destination::DELETED;
use crate::harness::run::Run;
use crate::harness::setup::{minutes, read};

/// Returns true for a request of the search: it has a condition on ids.
fn is_search(seen: &RecordedRequest) -> bool {
    seen.param("id").is_some()
}

/// Returns the list of states with known ids that did not fit.
fn with_too_many_ids(states: &str) -> String {
    let mut states: Value = serde_json::from_str(states).unwrap();
    let known = &mut states[0]["stream"]["stream_state"]["known"];
    *known = json!({"scope": known["scope"], "too_large": true});
    states.to_string()
}

/// Returns the committed known ids.
fn known(synced: &Synced) -> Value {
    synced.destination.state("orders").unwrap()["known"].clone()
}

#[test]
fn a_kill_at_any_line_loses_no_deletion() {
    let mut synced = Synced::new("orders", minutes("orders", 1, 1_500));
    synced.quiet_sync();
    synced.delete("orders", [3, 700, 701, 1_400]);
    let before = synced.destination.clone();
    let whole = synced.quiet_sync().stdout;
    let ends = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    for (line, bytes) in ends.enumerate() {
        synced.destination = before.clone();
        synced.destination.keep_uncovered = line % 2 == 0;
        let command = Command::new("read").config(&synced.config).catalog(&synced.catalog);
        let run = command.state(&synced.destination.state_list()).kill_after_bytes(bytes).run();
        synced.destination.take(&run);
        synced.quiet_sync();
        synced.assert_equal("orders");
        assert!(synced.quiet_sync().records("orders").is_empty(), "killed after {bytes} bytes");
    }
}

#[test]
fn a_count_that_fits_again_is_forgotten_as_a_refused_one() {
    let mut synced = Synced::new("orders", minutes("orders", 1, 900));
    synced.quiet_sync();
    let rows = synced
        .store
        .data(|data| data.ids("orders").iter().map(|id| data.row("orders", *id).unwrap().clone()).collect::<Vec<_>>());
    synced.delete("orders", [5]);
    // The list of ids has one row; the count is right.
    let hidden = rows.clone();
    synced.store.options(|options| {
        options.live = Some(Box::new(move |data, seen| {
            let is_list = seen.param("sort") == Some("id");
            for row in hidden.iter().filter(|row| row.id > 5) {
                if is_list {
                    data.delete("orders", row.id);
                } else if data.row("orders", row.id).is_none() {
                    data.insert("orders", row.clone());
                }
            }
        }));
    });
    assert_eq!(synced.sync().warnings().len(), 1);
    assert!(known(&synced)["refused"].is_array());
    synced.store.options(|options| options.live = None);
    synced.store.data(|data| {
        for row in rows.into_iter().filter(|row| row.id >= 5) {
            if data.row("orders", row.id).is_none() {
                data.insert("orders", row);
            }
        }
    });
    synced.quiet_sync();
    assert!(known(&synced)["refused"].is_null());
    // The count is the refused one, for another reason.
    synced.delete("orders", [6]);
    assert_eq!(deleted(&synced.quiet_sync(), "orders"), [6]);
    synced.assert_equal("orders");
}

#[test]
fn a_refused_count_is_forgotten_when_deletions_are_found() {
    let mut synced = Synced::new("orders", minutes("orders", 1, 900));
    synced.quiet_sync();
    let rows: Vec<_> = synced.store.data(|data| data.rows("orders").into_iter().cloned().collect());
    synced.delete("orders", 1..=200);
    assert_eq!(synced.sync().warnings().len(), 1);
    synced.store.data(|data| {
        for row in rows.into_iter().filter(|row| (51..=200).contains(&row.id)) {
            data.insert("orders", row);
        }
    });
    assert_eq!(deleted(&synced.quiet_sync(), "orders").len(), 50);
    // The count of the last sync is the refused one.
    for first in [51, 101, 151] {
        synced.delete("orders", first..first + 50);
        assert_eq!(deleted(&synced.quiet_sync(), "orders").len(), 50, "from {first}");
    }
    synced.assert_equal("orders");
}

#[test]
fn rows_that_come_back_are_read_in_as_many_pages_as_the_store_needs() {
    let mut synced = Synced::new("orders", minutes("orders", 1, 1_500));
    synced.quiet_sync();
    let rows =
        synced.store.data(|data| (100..160).map(|id| data.row("orders", id).unwrap().clone()).collect::<Vec<_>>());
    synced.delete("orders", 100..160);
    assert_eq!(deleted(&synced.quiet_sync(), "orders").len(), 60);
    synced.store.data(|data| rows.into_iter().for_each(|row| data.insert("orders", row)));
    synced.store.options(|options| options.max_count = Some(25));
    assert_eq!(synced.quiet_sync().ids("orders"), (100..160).collect::<Vec<_>>());
    synced.assert_equal("orders");
    // The proofs, too.
    synced.delete("orders", 200..240);
    assert_eq!(deleted(&synced.quiet_sync(), "orders"), (200..240).collect::<Vec<_>>());
    synced.assert_equal("orders");
    assert!(synced.quiet_sync().records("orders").is_empty());
}

#[test]
fn a_row_that_comes_back_during_the_search_is_emitted_once() {
    let mut synced = Synced::new("orders", minutes("orders", 1, 1_500));
    synced.quiet_sync();
    synced.delete("orders", [1_499]);
    assert_eq!(deleted(&synced.quiet_sync(), "orders"), [1_499]);
    // After the pass has read the changes, of which it is one.
    synced.store.options(|options| {
        options.live = Some(Box::new(move |data, seen| {
            if is_search(seen) && data.row("orders", 1_499).is_none() {
                let row = data.make("orders", 1_499);
                data.insert("orders", row);
            }
        }));
    });
    assert_eq!(synced.quiet_sync().ids("orders"), [1_499]);
    synced.store.options(|options| options.live = None);
    assert!(synced.quiet_sync().records("orders").is_empty());
    synced.assert_equal("orders");
}

#[test]
fn a_stream_with_too_many_ids_costs_no_further_request() {
    let mut synced = Synced::new("orders", minutes("orders", 1, 1_500));
    synced.quiet_sync();
    let states = with_too_many_ids(&synced.destination.state_list());
    synced.delete("orders", [5]);
    synced.store.data(|data| data.touch("orders", 9));
    synced.store.clear_requests();
    let run = read(&synced.config, &synced.catalog, &states);
    assert!(run.code == Some(0) && run.warnings().is_empty(), "{}", run.transcript());
    // The rows of the overlap are known by their content, not by their ids.
    assert_eq!((run.ids("orders"), synced.targets().len()), (vec![9], 1), "{:?}", synced.targets());
    assert_eq!(run.last_state("orders").unwrap()["known"]["too_large"], true);
    assert!(run.last_state("orders").unwrap()["known"].get("ids").is_none());
}

#[test]
fn a_stream_whose_ids_do_not_fit_says_so_once_and_is_read_without_them() {
    // Each id needs a bitmap of its own: 22 bytes.
    let mut data = Data::empty();
    let begin = utc_ms("2024-01-01T00:00:00Z");
    for row in 1..=36_500_i64 {
        let at = Stamp::At(begin + row * 10_000);
        data.insert_lean("order_items", row << 32, at, at);
    }
    let mut synced = Synced::new("order_items", data);
    synced.select(&["id", "updated_at", DELETED]);
    let first = synced.sync();
    assert_eq!((first.code, first.records("order_items").len()), (Some(0), 36_500), "{}", first.transcript());
    let warnings = first.warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("do not fit in the state (1 MiB"), "{warnings:?}");
    assert_eq!(first.last_state("order_items").unwrap()["known"]["too_large"], true);
    let second = synced.quiet_sync();
    assert_eq!((second.records("order_items").len(), synced.targets().len()), (0, 1), "{:?}", synced.targets());
    // The same when detection begins with a list of ids.
    let mut states: Value = serde_json::from_str(&synced.destination.state_list()).unwrap();
    states[0]["stream"]["stream_state"].as_object_mut().unwrap().remove("known");
    let listed = read(&synced.config, &synced.catalog, &states.to_string());
    assert!(listed.warnings().len() == 1 && listed.records("order_items").is_empty(), "{:?}", listed.warnings());
    assert_eq!(listed.last_state("order_items").unwrap()["known"]["too_large"], true);
}

#[test]
fn a_store_without_counts_or_with_wrong_ones_deletes_nothing() {
    for wrong in [false, true] {
        let mut synced = Synced::new("orders", minutes("orders", 1, 1_500));
        synced.quiet_sync();
        synced.delete("orders", [5]);
        synced.store.data(|data| (1_000..1_200).for_each(|id| data.touch("orders", id)));
        synced.store.options(|options| match wrong {
            true => (options.quirks.total, options.max_count) = (Total::OfPage, Some(50)),
            false => options.total_count = false,
        });
        let run = synced.sync();
        assert!(run.code == Some(0) && deleted(&run, "orders").is_empty(), "{}", run.transcript());
        let said = if wrong { "the store's count is wrong" } else { "a response has no count" };
        assert!(run.warnings().iter().any(|text| text.contains(said)), "{:?}", run.warnings());
        synced.store.options(|options| *options = Options { tokens: options.tokens.clone(), ..Options::default() });
        if !wrong {
            assert_eq!(deleted(&synced.quiet_sync(), "orders"), [5]);
            synced.assert_equal("orders");
        }
    }
}

#[test]
fn a_store_that_answers_404_for_no_rows_reports_the_last_row_as_deleted() {
    let mut synced =
        Synced::with("orders", minutes("orders", 1, 1), Options::default(), &json!({"max_deleted_percent": 100}));
    // A later sync of one row is not a complete list.
    synced.quiet_sync();
    synced.store.options(|options| options.quirks.empty_list = EmptyList::FilteredIs404);
    synced.delete("orders", [1]);
    let run = synced.quiet_sync();
    assert_eq!(deleted(&run, "orders"), [1], "{}\n{:?}", run.transcript(), synced.targets());
    synced.assert_equal("orders");
}

#[test]
fn a_list_of_ids_that_the_store_cannot_send_is_a_warning() {
    let mut synced =
        Synced::with("orders", minutes("orders", 1, 1_500), Options::default(), &json!({"_retry_seconds": 3}));
    synced.quiet_sync();
    synced.delete("orders", [5]);
    synced.store.options(|options| options.quirks.unreadable.extend([("orders".to_owned(), 9)]));
    let run = synced.sync();
    assert!(run.code == Some(0) && run.records("orders").is_empty(), "{}", run.transcript());
    assert!(run.warnings().iter().any(|text| text.contains("cannot send a list of ids")), "{:?}", run.warnings());
    synced.store.options(|options| options.quirks.unreadable.clear());
    assert_eq!(deleted(&synced.quiet_sync(), "orders"), [5]);
}

#[test]
fn a_sync_that_leaves_rows_out_searches_no_deletions() {
    let mut synced =
        Synced::with("orders", minutes("orders", 1, 1_500), Options::default(), &json!({"_retry_seconds": 3}));
    synced.quiet_sync();
    synced.delete("orders", [5]);
    synced.store.data(|data| data.touch("orders", 9));
    synced.store.options(|options| options.quirks.unreadable.extend([("orders".to_owned(), 9)]));
    let run = synced.sync();
    assert!(run.code == Some(1) && run.records("orders").is_empty(), "{}", run.transcript());
    synced.store.options(|options| options.quirks.unreadable.clear());
    assert_eq!(deleted(&synced.quiet_sync(), "orders"), [5]);
    synced.assert_equal("orders");
}

#[test]
fn rows_without_a_date_are_known_where_they_are_common() {
    for is_on_from_the_start in [true, false] {
        let mut data = minutes("products", 1, 1_500);
        (1..=40).for_each(|id| data.set_updated_at("products", id, Stamp::Null));
        let mut synced = Synced::new("products", data);
        let setting = synced.config["detect_deletions"].clone();
        if !is_on_from_the_start {
            synced.config["detect_deletions"].take();
        }
        synced.quiet_sync();
        synced.config["detect_deletions"] = setting;
        let listed = synced.quiet_sync().transcript().contains("the ids of 1500 rows were listed");
        assert_eq!(listed, !is_on_from_the_start);
        synced.delete("products", [7, 900]);
        assert_eq!(deleted(&synced.quiet_sync(), "products"), [7, 900]);
    }
}

#[test]
fn a_list_of_ids_does_not_count_rows_outside_the_dates_as_sent() {
    let data = minutes("orders", 1, 3_000);
    let begin = data.now_ms - 3_000 * 60_000;
    let date = |row: i64| chrono::DateTime::from_timestamp_millis(begin + row * 60_000).unwrap().to_rfc3339();
    let dates = json!({"start_date": date(2_000), "end_date": date(2_400)});
    let mut synced = Synced::with("orders", data, Options::default(), &dates);
    let setting = synced.config["detect_deletions"].take();
    synced.quiet_sync();
    synced.config["detect_deletions"] = setting;
    // 26 hours more on both sides: rows 440 to 3,000.
    assert!(synced.quiet_sync().transcript().contains("the ids of 2560 rows were listed"));
    synced.delete("orders", [1_990, 2_100, 2_410, 100]);
    assert_eq!(deleted(&synced.quiet_sync(), "orders"), [2_100]);
}

#[test]
fn a_tombstone_is_dated_after_every_version_that_was_sent() {
    let options = Options { date_from_store: true, date_ahead_seconds: -7_200, ..Options::default() };
    let mut synced = Synced::with("orders", minutes("orders", 1, 1_500), options, &json!({}));
    let first = synced.quiet_sync();
    let date = |run: &Run, id: &str| {
        let record =
            run.records("orders").into_iter().find(|record| record.field("id").as_deref() == Some(id)).unwrap();
        record.field("updated_at").unwrap().trim_matches('"').to_owned()
    };
    synced.delete("orders", [1_500, 5]);
    let second = synced.quiet_sync();
    assert_eq!(deleted(&second, "orders"), [5, 1_500]);
    for id in ["5", "1500"] {
        assert!(date(&second, id) >= date(&first, "1500"), "{id}: {}", second.transcript());
    }
}

#[test]
fn responses_that_list_other_rows_prove_nothing() {
    let mut synced = Synced::new("orders", minutes("orders", 1, 1_500));
    synced.quiet_sync();
    synced.delete("orders", [5]);
    synced.store.options(|options| {
        options.fault = Some(Box::new(|seen: &RecordedRequest| {
            let is_proof = seen.param("id").is_some_and(|id| id.contains("eq:"));
            is_proof.then(|| Fault::Changed {
                headers: Vec::new(),
                change: |_| br#"{"total_count":2,"orders":[{"id":750},{"id":751}]}"#.to_vec(),
            })
        }));
    });
    let run = synced.sync();
    assert!(run.code == Some(0) && run.records("orders").is_empty(), "{}", run.transcript());
    assert!(run.warnings().iter().any(|text| text.contains("by several keys")), "{:?}", run.warnings());
    synced.store.options(|options| options.fault = None);
    let run = synced.quiet_sync();
    assert_eq!(deleted(&run, "orders"), [5]);
    assert!(run.records("orders").iter().all(|record| record.field(DELETED).is_some()));
}

#[test]
fn an_empty_response_to_a_request_by_id_proves_nothing() {
    let mut statuses = minutes("order_statuses", 1, 30);
    (1..=5).for_each(|id| statuses.set_updated_at("order_statuses", id, Stamp::Null));
    for (stream, data) in [("orders", minutes("orders", 1, 1_500)), ("order_statuses", statuses)] {
        let mut synced = Synced::new(stream, data);
        synced.quiet_sync();
        synced.delete(stream, [20]);
        synced.store.options(|options| {
            options.fault = Some(Box::new(|seen: &RecordedRequest| {
                let is_proof = seen.param("id").is_some_and(|id| id.contains("eq:"));
                let change = |_| br#"{"total_count":0}"#.to_vec();
                is_proof.then(|| Fault::Changed { headers: Vec::new(), change })
            }));
        });
        let run = synced.quiet_sync();
        assert!(run.records(stream).is_empty(), "{}", run.transcript());
        assert!(run.transcript().contains("could not be confirmed"), "{}", run.transcript());
        synced.store.options(|options| options.fault = None);
        assert_eq!(deleted(&synced.quiet_sync(), stream), [20]);
        synced.assert_equal(stream);
    }
}
