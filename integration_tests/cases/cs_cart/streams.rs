//! Full refresh of every stream, in both editions and several versions: the records are the rows of the store.

use serde_json::{Value, json};

use super::store::{KINDS, catalog, config, config_with, read, read_full, records, requests, sample, streams_of, told};
use super::syncs::Syncs;
use crate::fake_cs_cart::{Columns, Edition, Envelope, FakeCsCart, Judge, Note, Options, Sample, Version};
use crate::harness::order::ReadCheck;
use crate::harness::shop::Shop;

/// Reads all streams of a store and compares them with it.
fn assert_equal(context: &str, options: Options, sample: &Sample, settings: &Value) -> Syncs {
    let streams: Vec<(&str, &str)> =
        streams_of(options.edition).into_iter().map(|name| (name, "full_refresh")).collect();
    let mut syncs = Syncs::of(context, (options, sample), &streams, settings);
    let run = syncs.sync();
    for (name, _) in &streams {
        assert_eq!(run.statuses(name).last(), Some(&"COMPLETE"), "{context} {name}");
        assert!(!run.records(name).is_empty(), "{context}: {name} has rows");
    }
    assert!(run.warnings().is_empty(), "{context}: {:?}", run.warnings());
    syncs
}

#[test]
fn every_stream_of_every_edition_and_version_equals_the_store() {
    for (edition, version) in KINDS {
        let options = Options { edition, version, ..Options::default() };
        let context = format!("{edition:?} {version:?}");
        let syncs = assert_equal(&context, options, &Sample::new(3, 60), &json!({}));
        assert_eq!(syncs.store.counters().most_at_once, 1, "{context}: one request at a time");
    }
}

#[test]
fn small_pages_list_the_same_rows() {
    for edition in [Edition::Ultimate, Edition::MultiVendor] {
        for rows in [1, 7] {
            let options = Options { edition, ..Options::default() };
            let context = format!("{edition:?}, {rows} rows per request");
            assert_equal(&context, options, &Sample::new(4, 30), &json!({ "rows_per_request": rows }));
        }
    }
}

#[test]
fn several_requests_at_a_time_list_the_same_rows() {
    let options = Options { latency: std::time::Duration::from_millis(5), ..Options::default() };
    let settings = json!({ "rows_per_request": 10, "max_requests_in_flight": 4 });
    let syncs = assert_equal("4 in flight", options, &Sample::new(5, 90), &settings);
    let at_once = syncs.store.counters().most_at_once;
    assert!((2..=4).contains(&at_once), "{at_once} at once");
}

#[test]
fn both_readings_of_the_documentation_are_accepted() {
    let all = streams_of(Edition::Ultimate).into_iter().chain(["payments"]).map(str::to_owned);
    let keyed = Options { keyed: all.collect(), ..Options::default() };
    let arrays = Options { keyed: [].into(), ..Options::default() };
    let search = Options { envelope: Envelope::Search, numeric_total: true, ..Options::default() };
    let empty_past_the_end = Options { repeats_last_page: [].into(), ..Options::default() };
    let integers = Options { columns: Columns::Integers, ..Options::default() };
    let numbers = Options { columns: Columns::Numbers, numeric_total: true, ..Options::default() };
    let in_a_folder = Options { folder: "/shop/en".to_owned(), ..Options::default() };
    let days_first = Options { day_first: true, whole_hours: true, gzip: false, ..Options::default() };
    let variants = [
        ("keyed", keyed),
        ("arrays", arrays),
        ("search", search),
        ("an empty page past the end", empty_past_the_end),
        ("integers", integers),
        ("numbers", numbers),
        ("a folder", in_a_folder),
        ("days first", days_first),
    ];
    for (context, options) in variants {
        assert_equal(context, options, &Sample::new(6, 30), &json!({ "rows_per_request": 10 }));
    }
}

#[test]
fn a_store_without_url_rewriting_is_read_through_its_script() {
    let options = Options { rewrite: false, ..Options::default() };
    let settings = json!({ "rewrite": false, "rows_per_request": 10 });
    let syncs = assert_equal("api.php", options, &Sample::new(1, 30), &settings);
    for seen in syncs.store.requests() {
        assert!(seen.target.starts_with("/api.php?_d=2.0"), "{}", seen.target);
    }
}

#[test]
fn a_list_without_an_envelope_is_read_where_one_answer_has_all_rows() {
    let options = Options { envelope: Envelope::Absent, ..Options::default() };
    let store = sample(options);
    for stream in ["categories", "statuses", "features", "options", "taxes", "shippings", "languages", "usergroups"] {
        let run = read_full(&store, stream);
        assert_eq!(run.code, Some(0), "{stream}: {}", run.transcript());
        let verdict = Judge::full(stream).sync(&store.history(), store.moment(), &records(&run, stream));
        assert!(verdict.is_right() && verdict.required > 0, "{stream}: {verdict}");
    }
}

#[test]
fn an_empty_store_is_complete() {
    for (edition, version) in KINDS {
        let options = Options { edition, version, ..Options::default() };
        let store = FakeCsCart::start(options, crate::fake_cs_cart::Data::empty());
        let catalog = super::store::everything(edition);
        let run = read(&config(&store), &catalog, "[]");
        ReadCheck::for_shop(Shop::CsCart, &run, &catalog).assert();
        assert_eq!(run.code, Some(0), "{edition:?} {version:?}: {}", run.transcript());
        assert!(run.messages.iter().all(|message| message.kind() != "RECORD"), "{edition:?} {version:?}");
    }
}

/// Streams with the maximum number of requests of a full refresh of the store with 120 orders: 115 of them are listed,
/// in pages of 50.
const BUDGETS: &[(&str, usize)] = &[
    ("orders", 6),
    ("order_items", 6),
    ("products", 3),
    ("users", 1),
    ("shipments", 5),
    ("call_requests", 1),
    ("product_reviews", 1),
    ("categories", 1),
    ("stores", 1),
    ("statuses", 1),
    ("features", 1),
    ("options", 1),
    ("taxes", 1),
    ("shippings", 1),
    ("usergroups", 1),
    ("languages", 1),
];

#[test]
fn no_stream_makes_a_needless_request() {
    let store = FakeCsCart::sample(Options::default(), &Sample::new(1, 120));
    for (stream, most) in BUDGETS {
        store.clear_requests();
        let run = read_full(&store, stream);
        assert_eq!(run.code, Some(0), "{stream}: {}", run.transcript());
        assert!(store.requests().len() <= *most, "{stream}: {}", told(&store));
    }
}

#[test]
fn orders_and_their_items_come_from_the_same_requests() {
    let store = FakeCsCart::sample(Options::default(), &Sample::new(1, 120));
    for mode in ["full_refresh", "incremental"] {
        let count = |streams: &[(&str, &str)]| {
            store.clear_requests();
            let run = read(&config(&store), &catalog(streams), "[]");
            assert_eq!(run.code, Some(0), "{}", run.transcript());
            (store.requests().len(), run.records("orders").len(), run.records("order_items").len())
        };
        let (alone, orders, _) = count(&[("orders", mode)]);
        let (items_alone, _, items) = count(&[("order_items", mode)]);
        let both = count(&[("orders", mode), ("order_items", mode)]);
        assert!(alone > 0 && orders > 0 && items > orders, "{mode}");
        assert_eq!(both, (alone.max(items_alone), orders, items), "{mode}: {}", told(&store));
    }
}

#[test]
fn carts_take_few_requests_and_their_items_one_more_for_each() {
    for edition in [Edition::Ultimate, Edition::MultiVendor] {
        // One company: no cart hides another one.
        let sample = Sample { companies: 1, ..Sample::new(1, 120) };
        let store = FakeCsCart::sample(Options { edition, ..Options::default() }, &sample);
        let run = read_full(&store, "carts");
        assert_eq!(run.code, Some(0), "{}", run.transcript());
        let (carts, for_carts) = (run.records("carts").len(), store.requests().len());
        assert!(carts == store.data(|data| data.carts.len()) && for_carts <= 4, "{edition:?}: {}", told(&store));
        store.clear_requests();
        let run = read_full(&store, "cart_items");
        assert_eq!(run.code, Some(0), "{}", run.transcript());
        let lines: usize = store.data(|data| data.carts.iter().map(|(_, cart)| cart.lines.len()).sum());
        assert_eq!(run.records("cart_items").len(), lines, "{edition:?}");
        assert!(store.requests().len() <= for_carts + carts, "{edition:?}: {}", told(&store));
    }
}

#[test]
fn the_settings_select_rows() {
    let options = || Options { edition: Edition::MultiVendor, ..Options::default() };
    let sample = Sample { incomplete: 30, ..Sample::new(2, 60) };
    let check = |stream: &str, settings: &Value, change: &dyn Fn(Judge) -> Judge| {
        let context = format!("{stream} with {settings}");
        let mut syncs = Syncs::of(&context, (options(), &sample), &[(stream, "full_refresh")], settings);
        syncs = syncs.judged(change);
        assert!(!syncs.sync().records(stream).is_empty(), "{context}");
    };
    check("users", &json!({ "user_types": ["A", "V"] }), &|judge| judge.user_types("AV"));
    check("users", &json!({ "user_types": ["C", "A", "V"] }), &|judge| judge.user_types("CAV"));
    check("orders", &json!({ "include_incomplete_orders": true }), &Judge::with_incomplete);
    check("order_items", &json!({ "include_incomplete_orders": true }), &Judge::with_incomplete);
    for stream in ["orders", "order_items", "carts", "cart_items"] {
        check(stream, &json!({ "storefront_ids": [1] }), &|judge| judge.storefronts(&[1]));
        check(stream, &json!({ "storefront_ids": [1, 2] }), &|judge| judge.storefronts(&[1, 2]));
    }
    // Half of the year: some rows are before it, some after it.
    let start = sample.from + 200 * 86_400;
    let date = chrono::DateTime::from_timestamp(start, 0).unwrap().format("%Y-%m-%dT%H:%M:%SZ").to_string();
    for stream in ["orders", "order_items", "products"] {
        check(stream, &json!({ "start_date": date }), &|judge| judge.start_date(start));
    }
}

#[test]
fn names_come_in_the_language_of_the_config() {
    let store = sample(Options::default());
    for (language, suffix) in [(json!({}), ""), (json!({ "language": "de" }), " (de)")] {
        for (stream, name) in [("products", "product"), ("categories", "category")] {
            let run = read(&config_with(&store, &language), &super::store::full(stream), "[]");
            let named = records(&run, stream);
            assert!(!named.is_empty());
            for record in named {
                let text = record[name].as_str().unwrap();
                assert_eq!(text.strip_suffix(" (de)").map_or("", |_| " (de)"), suffix, "{text}");
            }
        }
    }
}

#[test]
fn an_old_store_takes_one_request_for_each_order() {
    let store = sample(Options { version: Version::V4_3_9, ..Options::default() });
    let run = read(&config(&store), &catalog(&[("orders", "full_refresh"), ("order_items", "full_refresh")]), "[]");
    assert_eq!(run.code, Some(0), "{}", run.transcript());
    let orders = run.records("orders").len();
    let details = requests(&store, "orders").iter().filter(|seen| !seen.id.is_empty()).count();
    assert!(orders > 40 && details == orders, "{details} for {orders}: {}", told(&store));
    for record in records(&run, "orders") {
        assert!(record["products"].is_object() && record["b_city"] == "Boston", "the whole order: {record}");
    }
}

#[test]
fn an_old_store_sends_no_order_from_before_the_start_date() {
    for version in [Version::V4_3_9, Version::V4_11] {
        for mode in ["full_refresh", "incremental"] {
            let sizes = Sample { ties: 0, incomplete: 0, ..Sample::new(1, 200) };
            let store = FakeCsCart::sample(Options { version, ..Options::default() }, &sizes);
            // Orders without a date are read as well.
            store.data(|data| {
                for id in [1, 2] {
                    data.change_order(id, Note::Silent, |order| order.timestamp = 0);
                }
            });
            let settings = json!({ "start_date": "2024-05-18T00:00:00Z", "rows_per_request": 10 });
            let streams = [("orders", mode), ("order_items", mode)];
            let run = read(&config_with(&store, &settings), &catalog(&streams), "[]");
            let context = format!("{version:?}, {mode}: {}\n{}", run.transcript(), told(&store));
            assert_eq!(run.code, Some(0), "{context}");
            let orders = run.records("orders").len();
            assert!((80..=120).contains(&orders), "{orders}, {context}");
            assert!(super::store::column(&run, "orders", "order_id").contains(&1), "{context}");
            let seen = requests(&store, "orders");
            let details = seen.iter().filter(|seen| !seen.id.is_empty()).count();
            assert_eq!(details, if version == Version::V4_3_9 { orders } else { 0 }, "{context}");
            // Of those before the start date, only the first page is read.
            let listed: usize = seen.iter().filter(|seen| seen.id.is_empty()).map(|seen| seen.rows).sum();
            assert!(listed < orders + 60, "{listed} listed, {context}");
        }
    }
}
