//! `detect_deletions`: rows that the store deleted are reported, each proven by its id, and no other row is.

use serde_json::{Value, json};

use crate::fake_store::{Data, FakeStore, Fault, Options, RecordedRequest, Stamp, Token, utc_ms};
use crate::harness::command::Command;
use crate::harness::destination::{DELETED, Destination};
use crate::harness::files::{Files, TOKEN, configured};
use crate::harness::message::Message;
use crate::harness::order::ReadCheck;
use crate::harness::run::Run;
use crate::harness::setup::{SignIn, config, config_with, minutes, no_state, read, start};

/// Declares the mark of deleted rows in every stream of a catalog, as `discover` does with the setting.
pub(crate) fn declaring_deletions(mut catalog: Value) -> Value {
    for entry in catalog["streams"].as_array_mut().unwrap() {
        entry["stream"]["json_schema"]["properties"][DELETED] =
            json!({"type": ["null", "string"], "format": "date-time"});
    }
    catalog
}

/// A store that is read with this setting, and what a destination has of it.
pub(crate) struct Synced {
    pub(crate) store: FakeStore,
    pub(crate) config: Value,
    pub(crate) catalog: Value,
    pub(crate) destination: Destination,
}

impl Synced {
    pub(crate) fn new(stream: &str, data: Data) -> Synced {
        Synced::with(stream, data, Options::default(), &json!({}))
    }

    pub(crate) fn with(stream: &str, data: Data, options: Options, more: &Value) -> Synced {
        let store = start(SignIn::Token, options, data);
        let mut config = config_with(&store, &json!({"detect_deletions": [stream]}));
        for (key, value) in more.as_object().unwrap() {
            config[key] = value.clone();
        }
        let catalog = declaring_deletions(configured(&[(stream, "incremental")]));
        let destination = Destination::with_catalog(false, &catalog);
        Synced { store, config, catalog, destination }
    }

    /// Reads once. The log of requests has those of this read.
    pub(crate) fn sync(&mut self) -> Run {
        self.store.clear_requests();
        let run = read(&self.config, &self.catalog, &self.destination.state_list());
        ReadCheck::new(&run, &self.catalog).assert();
        self.destination.take(&run);
        run
    }

    /// Reads once, without a warning.
    pub(crate) fn quiet_sync(&mut self) -> Run {
        let run = self.sync();
        assert!(run.code == Some(0) && run.warnings().is_empty(), "{}", run.transcript());
        run
    }

    /// Selects only these columns.
    pub(crate) fn select(&mut self, columns: &[&str]) {
        let declared = self.catalog["streams"][0]["stream"]["json_schema"]["properties"].as_object_mut().unwrap();
        declared.retain(|name, _| columns.contains(&name.as_str()));
    }

    pub(crate) fn delete(&self, stream: &str, ids: impl IntoIterator<Item = i64>) {
        self.store.data(|data| ids.into_iter().for_each(|id| assert!(data.delete(stream, id), "{id}")));
    }

    pub(crate) fn assert_equal(&self, stream: &str) {
        self.store.data(|data| self.destination.compare(data, stream, stream, None, None)).assert_equal(stream);
    }

    pub(crate) fn targets(&self) -> Vec<String> {
        self.store.requests().into_iter().map(|seen| seen.target).collect()
    }
}

/// The ids of the rows that a run reports as deleted.
pub(crate) fn deleted(run: &Run, stream: &str) -> Vec<i64> {
    let marks = run.records(stream).into_iter().map(Message::data_value);
    let mut ids: Vec<i64> =
        marks.filter(|data| data[DELETED].is_string()).map(|data| data["id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn deleted_rows_are_reported_once_with_the_key_and_the_time() {
    let mut synced = Synced::new("orders", minutes("orders", 1, 1_500));
    let first = synced.quiet_sync();
    assert!(deleted(&first, "orders").is_empty());
    assert_eq!(first.last_state("orders").unwrap()["known"]["ids"].as_str().map(str::len), Some(36), "a run of ids");
    synced.delete("orders", [7, 1_400]);
    let second = synced.quiet_sync();
    assert_eq!(deleted(&second, "orders"), [7, 1_400]);
    assert_eq!(second.records("orders").len(), 2);
    let cursor = second.last_state("orders").unwrap()["updated_at"].as_str().unwrap().to_owned();
    for record in second.records("orders") {
        let data = record.data_value();
        let data = data.as_object().unwrap();
        assert!(data["updated_at"].as_str().unwrap() >= cursor.as_str(), "{data:?}");
        let is_filled = |name: &&String| !data[*name].is_null();
        assert_eq!(data.keys().filter(is_filled).count(), 3, "all else is null: {data:?}");
        assert_eq!(
            data.len(),
            synced.catalog["streams"][0]["stream"]["json_schema"]["properties"].as_object().unwrap().len()
        );
    }
    assert!(second.transcript().contains("2 deleted"), "{}", second.transcript());
    synced.assert_equal("orders");
    assert!(synced.quiet_sync().records("orders").is_empty());
}

#[test]
fn an_unchanged_stream_costs_one_request_more_and_no_byte_without_the_setting() {
    let mut synced = Synced::new("orders", minutes("orders", 1, 1_500));
    synced.quiet_sync();
    assert_eq!(synced.quiet_sync().states("orders").len(), 1);
    let targets = synced.targets();
    assert_eq!(targets.len(), 2, "{targets:?}");
    let start = "updated_at=gte%3A1999-12-30T22%3A00%3A00Z";
    assert!(
        targets[1].ends_with(&format!("orders?count=1&id=lte%3A1500&{start}&fields=id%2Cupdated_at")),
        "{targets:?}"
    );
    synced.config.as_object_mut().unwrap().remove("detect_deletions");
    synced.delete("orders", [7]);
    let without = synced.quiet_sync();
    assert_eq!((synced.targets().len(), without.records("orders").len()), (1, 0));
    assert!(without.last_state("orders").unwrap().get("known").is_none());
}

#[test]
fn deletions_among_many_rows_are_found_with_few_requests() {
    let mut synced = Synced::new("orders", minutes("orders", 1, 16_000));
    synced.quiet_sync();
    let gone = [1, 8_000, 8_001, 15_999, 16_000];
    synced.delete("orders", gone);
    let run = synced.quiet_sync();
    assert_eq!(deleted(&run, "orders"), gone);
    // One for the changes; d deletions among n rows: d * log2(n / 1000) + 2 * d + 2.
    let targets = synced.targets();
    assert!(targets.len() <= 1 + 5 * 4 + 2 * 5 + 2, "{targets:#?}");
    synced.assert_equal("orders");
}

#[test]
fn a_row_that_comes_back_is_emitted_again() {
    let mut synced = Synced::new("orders", minutes("orders", 1, 1_200));
    synced.quiet_sync();
    // In the overlap, and long before it.
    let rows = synced.store.data(|data| [1_200, 1_199, 30].map(|id| data.row("orders", id).unwrap().clone()));
    synced.delete("orders", [1_200, 1_199, 30]);
    assert_eq!(deleted(&synced.quiet_sync(), "orders"), [30, 1_199, 1_200]);
    synced.assert_equal("orders");
    synced.store.data(|data| rows.into_iter().for_each(|row| data.insert("orders", row)));
    let restored = synced.quiet_sync();
    assert!(deleted(&restored, "orders").is_empty());
    synced.assert_equal("orders");
    assert!(synced.quiet_sync().records("orders").is_empty(), "known again");
    // A key that is used again is a changed row.
    synced.delete("orders", [30]);
    synced.store.data(|data| {
        data.tick(60_000);
        let row = data.make("orders", 30);
        data.insert("orders", row);
    });
    assert_eq!(synced.quiet_sync().ids("orders"), [30]);
    synced.assert_equal("orders");
}

#[test]
fn a_mass_deletion_is_refused_until_the_setting_allows_it() {
    let mut synced = Synced::new("orders", minutes("orders", 1, 1_500));
    synced.quiet_sync();
    synced.delete("orders", 1..=100);
    for sync in 0..2 {
        let run = synced.sync();
        assert_eq!((run.code, run.records("orders").len()), (Some(0), 0), "{}", run.transcript());
        let warnings = run.warnings();
        assert!(warnings.len() == 1 && warnings[0].contains("`max_deleted_percent` (now 5)"), "{warnings:?}");
        assert!(warnings[0].contains("counts 1400 of 1500") && warnings[0].contains("more than 75"), "{warnings:?}");
        assert_eq!(synced.targets().len(), 2, "nothing is listed, sync {sync}");
    }
    // The count changes, and is refused again.
    synced.delete("orders", [101]);
    assert_eq!(synced.sync().warnings().len(), 1);
    synced.config["max_deleted_percent"] = 10.into();
    let run = synced.quiet_sync();
    assert_eq!(deleted(&run, "orders"), (1..=101).collect::<Vec<_>>());
    synced.assert_equal("orders");
}

#[test]
fn half_of_a_small_stream_is_a_mass_deletion() {
    let mut synced = Synced::new("orders", minutes("orders", 1, 10));
    synced.quiet_sync();
    synced.delete("orders", 1..=6);
    let run = synced.sync();
    assert!(run.warnings().len() == 1 && run.records("orders").is_empty(), "{}", run.transcript());
    // Five of ten are not.
    synced.store.data(|data| {
        let row = data.make("orders", 1);
        data.insert("orders", row);
    });
    synced.quiet_sync();
    synced.assert_equal("orders");
}

#[test]
fn a_list_that_hides_rows_is_refused_too() {
    let mut synced = Synced::new("orders", minutes("orders", 1, 900));
    synced.quiet_sync();
    synced.delete("orders", [5]);
    // The count is right, and the list of ids has one row only.
    let mut hidden = Vec::new();
    synced.store.options(|options| {
        options.live = Some(Box::new(move |data, seen| {
            if seen.param("sort") == Some("id") {
                hidden.extend((6..=900).filter_map(|id| data.row("orders", id).cloned()));
                for id in 6..=900 {
                    data.delete("orders", id);
                }
            } else {
                hidden.drain(..).for_each(|row| data.insert("orders", row));
            }
        }));
    });
    let run = synced.sync();
    assert!(run.warnings().len() == 1 && run.records("orders").is_empty(), "{}", run.transcript());
    // The count is the same: nothing is listed.
    let run = synced.sync();
    assert!(run.warnings().len() == 1 && synced.targets().len() == 2, "{:?}", synced.targets());
    synced.store.options(|options| options.live = None);
    synced.store.data(|data| data.tick(1_000));
    synced.delete("orders", [6]);
    assert_eq!(deleted(&synced.quiet_sync(), "orders"), [5, 6]);
    synced.assert_equal("orders");
}

#[test]
fn counts_and_lists_that_are_wrong_once_delete_nothing() {
    let mut synced = Synced::new("orders", minutes("orders", 1, 1_500));
    synced.quiet_sync();
    let mut lies = 1;
    synced.store.options(|options| {
        options.fault = Some(Box::new(move |seen: &RecordedRequest| {
            let is_count = seen.param("count") == Some("1") && seen.param("id").is_some();
            let lie = is_count && lies > 0;
            lies -= u32::from(lie);
            lie.then(|| Fault::Changed {
                headers: Vec::new(),
                change: |body| String::from_utf8(body).unwrap().replace("1500", "1480").into_bytes(),
            })
        }));
    });
    let run = synced.quiet_sync();
    assert!(run.records("orders").is_empty() && synced.targets().len() > 2, "{:?}", synced.targets());
    synced.store.options(|options| options.fault = None);
    // A row that is missing in a list, and there again when it is requested by its id.
    let row = synced.store.data(|data| data.row("orders", 77).unwrap().clone());
    synced.delete("orders", [5]);
    synced.store.options(|options| {
        options.live = Some(Box::new(move |data, seen| match seen.param("id") {
            Some(id) if id.contains("eq:77") => data.insert("orders", row.clone()),
            Some(_) => {
                data.delete("orders", 77);
            }
            None => {}
        }));
    });
    let run = synced.quiet_sync();
    assert_eq!(deleted(&run, "orders"), [5]);
    assert!(synced.targets().last().unwrap().contains("eq%3A77"), "{:?}", synced.targets());
    synced.store.options(|options| options.live = None);
    synced.assert_equal("orders");
    assert!(synced.quiet_sync().records("orders").is_empty());
}

#[test]
fn a_row_that_is_counted_and_not_listed_is_not_deleted() {
    let mut synced = Synced::new("orders", minutes("orders", 1, 1_500));
    synced.quiet_sync();
    synced.delete("orders", [5]);
    synced.store.options(|options| drop(options.hidden.replace(("orders".to_owned(), 7))));
    let run = synced.quiet_sync();
    assert!(run.records("orders").is_empty() && run.transcript().contains("could not be confirmed"));
    synced.store.options(|options| options.hidden.clear());
    assert_eq!(deleted(&synced.quiet_sync(), "orders"), [5]);
    synced.assert_equal("orders");
}

#[test]
fn a_store_that_does_not_answer_by_key_deletes_nothing() {
    let mut synced = Synced::new("orders", minutes("orders", 1, 1_500));
    synced.quiet_sync();
    synced.delete("orders", [5]);
    synced.store.options(|options| options.ignore_id_filter = true);
    let run = synced.sync();
    assert!(deleted(&run, "orders").is_empty() && run.code == Some(0), "{}", run.transcript());
    assert!(run.warnings().iter().any(|text| text.contains("deleted rows are not detected")), "{:?}", run.warnings());
    synced.store.options(|options| options.ignore_id_filter = false);
    assert_eq!(deleted(&synced.quiet_sync(), "orders"), [5]);
}

#[test]
fn known_ids_of_another_store_sign_in_or_start_date_delete_nothing() {
    let other = start(SignIn::Token, Options::default(), minutes("orders", 1, 1_000));
    let router = start(SignIn::Router, Options::default(), minutes("orders", 1, 1_000));
    let mut other_site = config(SignIn::Router, &router);
    other_site["credentials"]["user_name"] = json!("myUser");
    let two_tokens = || Options { tokens: vec![Token::full(TOKEN), Token::full("other-token")], ..Options::default() };
    type Change<'a> = (&'a str, Box<dyn Fn(&mut Value) + 'a>);
    let changes: [Change<'_>; 4] = [
        ("host", Box::new(|config| config["credentials"]["store_name"] = json!(other.url()))),
        ("token", Box::new(|config| config["credentials"]["access_token"] = json!("other-token"))),
        ("start_date", Box::new(|config| config["start_date"] = json!("2024-11-18T00:00:00Z"))),
        (
            "sign-in",
            Box::new(|config| {
                config["credentials"] = other_site["credentials"].clone();
                config["_router_url"] = other_site["_router_url"].clone();
            }),
        ),
    ];
    for (what, change) in changes {
        let mut synced = Synced::with("orders", minutes("orders", 1, 1_020), two_tokens(), &json!({}));
        synced.quiet_sync();
        synced.delete("orders", 1..=20);
        change(&mut synced.config);
        let run = synced.sync();
        assert_eq!(run.code, Some(0), "{what}\n{}", run.transcript());
        assert!(deleted(&run, "orders").is_empty(), "{what}");
        assert!(run.warnings().iter().any(|text| text.contains("another store")), "{what}: {:?}", run.warnings());
        let next = synced.quiet_sync();
        assert!(next.records("orders").is_empty(), "{what}: {}", next.transcript());
    }
}

#[test]
fn a_missing_scope_deletes_nothing() {
    let mut synced = Synced::new("orders", minutes("orders", 1, 1_500));
    synced.quiet_sync();
    let before = synced.destination.state_list();
    synced.delete("orders", [5]);
    synced.store.options(|options| options.tokens = vec![Token::new(TOKEN, &["read_people"])]);
    let run = synced.sync();
    assert!(run.code == Some(1) && run.records("orders").is_empty(), "{}", run.transcript());
    let known = |list: &str| serde_json::from_str::<Value>(list).unwrap()[0]["stream"]["stream_state"]["known"].clone();
    assert_eq!(known(&synced.destination.state_list()), known(&before));
    synced.store.options(|options| options.tokens = vec![Token::full(TOKEN)]);
    assert_eq!(deleted(&synced.quiet_sync(), "orders"), [5]);
}

#[test]
fn a_failure_while_deletions_are_searched_keeps_the_rows_of_the_pass() {
    let mut synced =
        Synced::with("orders", minutes("orders", 1, 1_500), Options::default(), &json!({"_retry_seconds": 1}));
    synced.quiet_sync();
    synced.delete("orders", [5]);
    synced.store.data(|data| data.touch("orders", 9));
    synced.store.options(|options| {
        options.fault = Some(Box::new(|seen: &RecordedRequest| {
            seen.param("id").is_some().then(|| Fault::error(403, "Forbidden", "no"))
        }));
    });
    let run = synced.sync();
    assert_eq!((run.code, run.ids("orders")), (Some(1), vec![9]), "{}", run.transcript());
    assert_eq!(run.statuses("orders").last(), Some(&"INCOMPLETE"));
    synced.store.options(|options| options.fault = None);
    let run = synced.quiet_sync();
    assert_eq!((deleted(&run, "orders"), run.records("orders").len()), (vec![5], 1));
    synced.assert_equal("orders");
}

#[test]
fn a_catalog_that_does_not_declare_the_mark_gets_none() {
    let mut synced = Synced::new("orders", minutes("orders", 1, 1_500));
    let declaring = synced.catalog.clone();
    synced.quiet_sync();
    synced.delete("orders", [5]);
    synced.catalog = configured(&[("orders", "incremental")]);
    let run = synced.sync();
    assert!(run.records("orders").is_empty() && run.code == Some(0));
    assert!(run.warnings().len() == 1 && run.warnings()[0].contains("Refresh the schema"), "{:?}", run.warnings());
    assert_eq!(synced.targets().len(), 1);
    // Detection begins again: with a list of ids, and without tombstones.
    synced.catalog = declaring;
    let run = synced.quiet_sync();
    assert!(run.records("orders").is_empty() && run.transcript().contains("the ids of 1499 rows were listed"));
    synced.delete("orders", [6]);
    assert_eq!(deleted(&synced.quiet_sync(), "orders"), [6]);
    // A catalog without fields declares all.
    synced.delete("orders", [7]);
    synced.catalog["streams"][0]["stream"]["json_schema"] = json!({});
    let run = read(&synced.config, &synced.catalog, &synced.destination.state_list());
    assert_eq!(deleted(&run, "orders"), [7]);
}

#[test]
fn discover_declares_the_mark_only_where_deletions_are_detected() {
    let store = start(SignIn::Token, Options::default(), Data::empty());
    let config = config_with(&store, &json!({"detect_deletions": ["orders"]}));
    let run = Command::new("discover").config(&config).run();
    for stream in run.catalog()["streams"].as_array().unwrap() {
        let is_declared = stream["json_schema"]["properties"].get(DELETED).is_some();
        assert_eq!(is_declared, stream["name"] == "orders", "{}", stream["name"]);
    }
}

#[test]
fn detection_begins_with_a_list_of_ids() {
    let mut synced = Synced::new("orders", minutes("orders", 1, 2_500));
    let on = synced.config["detect_deletions"].take();
    synced.quiet_sync();
    synced.delete("orders", [5]);
    synced.config["detect_deletions"] = on;
    let run = synced.quiet_sync();
    assert!(run.records("orders").is_empty() && run.transcript().contains("the ids of 2499 rows were listed"));
    assert_eq!(synced.targets().len(), 4, "{:?}", synced.targets());
    synced.delete("orders", [6, 2_500]);
    assert_eq!(deleted(&synced.quiet_sync(), "orders"), [6, 2_500]);
    assert_eq!(synced.quiet_sync().records("orders").len(), 0);
}

#[test]
fn rows_outside_the_dates_are_counted_and_not_reported() {
    let data = minutes("orders", 1, 3_000);
    let begin = data.now_ms - 3_000 * 60_000;
    let date = |row: i64| chrono::DateTime::from_timestamp_millis(begin + row * 60_000).unwrap().to_rfc3339();
    // 26 hours more are requested on both sides: rows 1 to 440 are further away, and so are those after 2,660.
    let dates = json!({"start_date": date(2_000), "end_date": date(2_400)});
    let mut synced = Synced::with("orders", data, Options::default(), &dates);
    let first = synced.quiet_sync();
    assert_eq!(first.records("orders").len(), 400);
    // In the margin before, in the dates, after them, and far outside.
    synced.delete("orders", [1_990, 2_100, 2_410, 100]);
    assert_eq!(deleted(&synced.quiet_sync(), "orders"), [2_100]);
    assert!(synced.quiet_sync().records("orders").is_empty());
    // It leaves the dates, and is not deleted.
    synced.store.data(|data| {
        data.now_ms += 200 * 3_600_000;
        data.touch("orders", 2_200);
    });
    let run = synced.quiet_sync();
    assert!(run.records("orders").is_empty(), "{}", run.transcript());
    assert!(synced.quiet_sync().records("orders").is_empty());
    assert_eq!(synced.targets().len(), 2, "it is not known any more: {:?}", synced.targets());
}

#[test]
fn a_stream_that_is_read_completely_needs_no_further_request() {
    let mut data = minutes("order_statuses", 1, 30);
    (1..=5).for_each(|id| data.set_updated_at("order_statuses", id, Stamp::Null));
    let mut synced = Synced::new("order_statuses", data);
    synced.quiet_sync();
    assert!(synced.quiet_sync().records("order_statuses").is_empty());
    assert_eq!(synced.targets().len(), 1, "{:?}", synced.targets());
    let rows = synced.store.data(|data| [2, 20].map(|id| data.row("order_statuses", id).unwrap().clone()));
    synced.delete("order_statuses", [2, 20]);
    assert_eq!(deleted(&synced.quiet_sync(), "order_statuses"), [2, 20]);
    assert_eq!(synced.targets().len(), 2, "the list, and the proof: {:?}", synced.targets());
    synced.assert_equal("order_statuses");
    synced.store.data(|data| rows.into_iter().for_each(|row| data.insert("order_statuses", row)));
    assert_eq!(synced.quiet_sync().records("order_statuses").len(), 2, "they are back, with the content of before");
    synced.assert_equal("order_statuses");
}

#[test]
fn a_stream_without_dates_reports_deletions_in_incremental_mode() {
    for rows in [40, 2_300] {
        let mut data = Data::empty();
        (1..=rows).for_each(|id| data.insert_lean("coupon_codes", id, Stamp::Absent, Stamp::Absent));
        let mut synced = Synced::new("coupon_codes", data);
        assert_eq!(synced.quiet_sync().records("coupon_codes").len(), usize::try_from(rows).unwrap());
        let unchanged = synced.targets().len();
        synced.delete("coupon_codes", [3, rows]);
        let run = synced.quiet_sync();
        assert_eq!(deleted(&run, "coupon_codes"), [3, rows]);
        assert_eq!(synced.targets().len(), unchanged + 1, "{:?}", synced.targets());
        synced.assert_equal("coupon_codes");
        assert!(deleted(&synced.quiet_sync(), "coupon_codes").is_empty());
    }
}

#[test]
fn a_full_refresh_reports_none_and_an_incremental_sync_continues_from_it() {
    let mut synced = Synced::new("orders", minutes("orders", 1, 1_500));
    synced.quiet_sync();
    synced.delete("orders", [5]);
    let incremental =
        std::mem::replace(&mut synced.catalog, declaring_deletions(configured(&[("orders", "full_refresh")])));
    let state = synced.destination.state_list();
    synced.destination.truncate("orders");
    let run = read(&synced.config, &synced.catalog, &state);
    synced.destination.take(&run);
    assert!(deleted(&run, "orders").is_empty() && run.records("orders").len() == 1_499);
    synced.delete("orders", [6]);
    synced.catalog = incremental;
    assert_eq!(deleted(&synced.quiet_sync(), "orders"), [6], "5 was deleted before the full refresh");
    synced.assert_equal("orders");
}

#[test]
fn an_interrupted_full_refresh_keeps_the_known_ids_of_the_incremental_syncs() {
    let mut synced = Synced::new("orders", minutes("orders", 1, 6_000));
    synced.quiet_sync();
    synced.delete("orders", [5]);
    let full = declaring_deletions(configured(&[("orders", "full_refresh")]));
    let command = Command::new("read").config(&synced.config).catalog(&full).state(&synced.destination.state_list());
    let run = command.kill_after_bytes(4_000_000).run();
    let state = run.last_state("orders").unwrap();
    assert!(state["full"] == true && state["kept"]["known"]["ids"].is_string(), "{state}");
    let incremental = read(&synced.config, &synced.catalog, &run.last_state_list());
    assert_eq!(deleted(&incremental, "orders"), [5], "{}", incremental.transcript());
}

#[test]
fn a_state_that_was_reset_or_is_damaged_reports_none() {
    let mut synced = Synced::new("orders", minutes("orders", 1, 1_500));
    synced.quiet_sync();
    synced.delete("orders", [5]);
    let good: Value = serde_json::from_str(&synced.destination.state_list()).unwrap();
    for known in
        [json!(null), json!({}), json!({"scope": good[0]["stream"]["stream_state"]["known"]["scope"], "ids": "AAAA"})]
    {
        let mut state = good.clone();
        state[0]["stream"]["stream_state"]["known"] = known;
        let run = read(&synced.config, &synced.catalog, &state.to_string());
        assert!(run.records("orders").is_empty() && run.code == Some(0), "{}", run.transcript());
        assert!(run.transcript().contains("the ids of 1499 rows were listed"));
    }
    let run = read(&synced.config, &synced.catalog, &no_state());
    assert!(deleted(&run, "orders").is_empty() && run.records("orders").len() == 1_499);
}

#[test]
fn the_state_of_many_ids_is_emitted_less_often() {
    // Each id needs a bitmap of its own: in the end the known ids take 176 KB.
    let mut data = Data::empty();
    for row in 0..6_000_i64 {
        let at = Stamp::At(utc_ms("2024-11-01T00:00:00Z") + row * 60_000);
        data.insert_lean("order_items", (row * 977 % 6_007 + 1) << 32, at, at);
    }
    let mut synced = Synced::new("order_items", data);
    synced.select(&["id", "updated_at", DELETED]);
    let run = synced.quiet_sync();
    let (mut bytes, mut states) = (0, 0);
    for line in String::from_utf8(run.stdout).unwrap().lines() {
        if line.starts_with("{\"type\":\"STATE\"") {
            let message: Value = serde_json::from_str(line).unwrap();
            let state = &message["state"]["stream"]["stream_state"];
            let known = state["known"]["ids"].as_str().unwrap().len();
            let is_last = state.get("walk").is_none();
            assert!(is_last || bytes >= 8 * known, "{bytes} bytes before a state with {known}");
            (bytes, states) = (0, states + 1);
        } else {
            bytes += line.len();
        }
    }
    assert!(states < 4, "{states} states for six pages");
}

#[test]
fn the_summary_and_the_csv_have_the_deleted_rows() {
    let mut synced = Synced::new("orders", minutes("orders", 1, 1_500));
    synced.quiet_sync();
    synced.delete("orders", [5]);
    let files = Files::new();
    let path = files.path("summary.json");
    let output = Command::new("read")
        .config(&synced.config)
        .catalog(&synced.catalog)
        .state(&synced.destination.state_list())
        .arg("--summary")
        .arg(&path.display().to_string())
        .arg("--format")
        .arg("csv")
        .output();
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let summary = crate::cases::summary::document(&path);
    assert_eq!((&summary["streams"][0]["deleted"], &summary["streams"][0]["rows"]), (&json!(1), &json!(0)));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines();
    assert!(lines.next().unwrap().ends_with(&format!(",{DELETED},_extra")), "{text}");
    let row = lines.next().unwrap();
    assert!(row.starts_with("5,") && row.ends_with("Z,"), "{row}");
}
