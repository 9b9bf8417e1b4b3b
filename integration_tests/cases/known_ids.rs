//! The known ids of `detect_deletions` together with other features: failed and interrupted full refreshes, repeated
//! jobs, dates that a store interprets differently, dates in the future, and the first sync with the setting.

use chrono_tz::Pacific;
use serde_json::{Value, json};

use crate::cases::deletions::{Synced, declaring_deletions, deleted};
use crate::fake_store::{Data, DateReading, Fault, Options, Stamp, utc_ms};
use crate::harness::command::Command;
use crate::harness::destination::DELETED;
use crate::harness::files::configured;
use crate::harness::setup::{minutes, read};

/// Refuses every request.
fn refuse(synced: &Synced) {
    synced.store.options(|options| {
        options.fault = Some(Box::new(|_| Some(Fault::error(403, "Forbidden", "no"))));
    });
}

fn accept(synced: &Synced) {
    synced.store.options(|options| options.fault = None);
}

#[test]
fn a_full_refresh_that_fails_keeps_the_known_ids_of_the_incremental_syncs() {
    let mut synced = Synced::new("orders", minutes("orders", 1, 1_500));
    synced.quiet_sync();
    synced.delete("orders", [5]);
    refuse(&synced);
    let full = declaring_deletions(configured(&[("orders", "full_refresh")]));
    let failed = read(&synced.config, &full, &synced.destination.state_list());
    assert_eq!(failed.code, Some(1), "{}", failed.transcript());
    synced.destination.take(&failed);
    accept(&synced);
    let run = synced.quiet_sync();
    assert_eq!((deleted(&run, "orders"), run.records("orders").len()), (vec![5], 1), "{}", run.transcript());
    synced.assert_equal("orders");
}

#[test]
fn an_incremental_sync_that_fails_keeps_the_known_ids_of_an_interrupted_full_refresh() {
    let mut synced = Synced::new("orders", minutes("orders", 1, 6_000));
    synced.quiet_sync();
    synced.delete("orders", [5]);
    let full = declaring_deletions(configured(&[("orders", "full_refresh")]));
    let command = Command::new("read").config(&synced.config).catalog(&full).state(&synced.destination.state_list());
    let interrupted = command.kill_after_bytes(4_000_000).run();
    let state = interrupted.last_state("orders").unwrap().clone();
    assert!(state["full"] == true && state["kept"]["known"]["ids"].is_string(), "{state}");
    refuse(&synced);
    let failed = read(&synced.config, &synced.catalog, &interrupted.last_state_list());
    assert_eq!(failed.code, Some(1), "{}", failed.transcript());
    assert_eq!(failed.last_state("orders"), Some(&state));
    accept(&synced);
    let run = read(&synced.config, &synced.catalog, &failed.last_state_list());
    assert_eq!(deleted(&run, "orders"), [5], "{}", run.transcript());
}

#[test]
fn a_job_that_is_repeated_with_the_setting_knows_no_ids() {
    let mut synced = Synced::new("orders", minutes("orders", 1, 1_500));
    let on = synced.config["detect_deletions"].take();
    let mut full = declaring_deletions(configured(&[("orders", "full_refresh")]));
    (full["streams"][0]["generation_id"], full["streams"][0]["sync_id"]) = (json!(3), json!(7));
    let first = read(&synced.config, &full, "[]");
    synced.config["detect_deletions"] = on;
    let again = read(&synced.config, &full, &first.last_state_list());
    assert!(again.records("orders").is_empty(), "{}", again.transcript());
    synced.destination.take(&again);
    // A new row, so that an id is known.
    synced.store.data(|data| {
        data.tick(60_000);
        data.add("orders");
    });
    let run = synced.quiet_sync();
    assert_eq!(run.records("orders").len(), 1, "{}", run.transcript());
    assert!(run.transcript().contains("the ids of 1501 rows were listed"), "{}", run.transcript());
    synced.delete("orders", [6]);
    assert_eq!(deleted(&synced.quiet_sync(), "orders"), [6]);
}

#[test]
fn rows_that_a_store_counts_before_the_start_date_are_searched_once() {
    let data = minutes("orders", 1, 9_000);
    let start = data.now_ms - 3_000 * 60_000;
    let start = chrono::DateTime::from_timestamp_millis(start).unwrap().to_rfc3339();
    let options = Options { zone: Pacific::Auckland, dates: DateReading::OffsetIgnored, ..Options::default() };
    let mut synced = Synced::with("orders", data, options, &json!({"start_date": start}));
    // The first one warns of rows outside the dates.
    synced.sync();
    synced.sync();
    let run = synced.sync();
    assert_eq!((run.code, run.records("orders").len()), (Some(0), 0), "{}", run.transcript());
    assert_eq!(synced.targets().len(), 2, "{:#?}", synced.targets());
    synced.delete("orders", [1, 6_100, 8_000]);
    assert_eq!(deleted(&synced.sync(), "orders"), [6_100, 8_000]);
}

#[test]
fn a_tombstone_is_later_than_a_date_in_the_future_that_was_sent_before_detection_began() {
    let mut data = minutes("orders", 1, 1_500);
    data.set_updated_at("orders", 3, Stamp::At(utc_ms("2090-01-01T00:00:00Z")));
    let mut synced = Synced::new("orders", data);
    let on = synced.config["detect_deletions"].take();
    synced.quiet_sync();
    synced.config["detect_deletions"] = on;
    assert!(synced.quiet_sync().records("orders").is_empty());
    synced.delete("orders", [3]);
    let run = synced.quiet_sync();
    assert_eq!(deleted(&run, "orders"), [3]);
    let mark = run.records("orders")[0].data_value();
    assert!(mark["updated_at"].as_str().unwrap() >= "2090", "{} {}", mark["updated_at"], mark[DELETED]);
}

#[test]
fn rows_without_a_date_are_not_sent_again_when_detection_begins() {
    let mut data = Data::empty();
    (1..=1_500).for_each(|id| data.insert_lean("orders", id, Stamp::Null, Stamp::Null));
    let mut synced = Synced::new("orders", data);
    let on = synced.config["detect_deletions"].take();
    synced.sync();
    assert!(synced.sync().records("orders").is_empty());
    synced.config["detect_deletions"] = on;
    let run = synced.sync();
    assert!(run.records("orders").is_empty(), "{}", run.transcript());
    synced.delete("orders", [5]);
    assert_eq!(deleted(&synced.sync(), "orders"), [5]);
}

#[test]
fn an_end_date_that_is_set_back_for_one_sync_forgets_no_id() {
    let data = minutes("orders", 1, 3_000);
    let end = data.now_ms - 27 * 60 * 60_000;
    let end = chrono::DateTime::from_timestamp_millis(end).unwrap().to_rfc3339();
    let mut synced = Synced::new("orders", data);
    synced.quiet_sync();
    synced.config["end_date"] = json!(end);
    assert!(synced.quiet_sync().records("orders").is_empty());
    synced.config["end_date"] = Value::Null;
    synced.delete("orders", [2_990]);
    let run = synced.quiet_sync();
    assert_eq!((deleted(&run, "orders"), run.records("orders").len()), (vec![2_990], 1), "{}", run.transcript());
}

#[test]
fn a_row_that_comes_back_is_emitted_again_where_the_date_filter_is_ignored() {
    let mut synced = Synced::new("orders", minutes("orders", 1, 100));
    synced.store.options(|options| options.ignore_date_filter = true);
    synced.quiet_sync();
    let row = synced.store.data(|data| data.row("orders", 30).unwrap().clone());
    synced.delete("orders", [30]);
    assert_eq!(deleted(&synced.sync(), "orders"), [30]);
    synced.store.data(|data| data.insert("orders", row));
    assert_eq!(synced.sync().ids("orders"), [30]);
    synced.assert_equal("orders");
}
