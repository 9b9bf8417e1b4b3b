//! Answers that are not as the documentation shows them: other orders, warnings of PHP, `false` instead of a row, and
//! answers that are cut off.

use serde_json::json;

use super::store::{config, config_with, full, read, read_full, records, requests, sample, told};
use super::syncs::Syncs;
use crate::fake_cs_cart::{Edition, FakeCsCart, Fault, Judge, Options, RecordedRequest, Sample, WARNING};
use crate::harness::order::ReadCheck;
use crate::harness::setup::only_error;
use crate::harness::shop::Shop;

/// Returns a store of 60 orders that gets these faults.
fn faulty(fault: impl FnMut(&RecordedRequest) -> Option<Fault> + Send + 'static) -> FakeCsCart {
    sample(Options { fault: Some(Box::new(fault)), ..Options::default() })
}

/// Returns a body in which a string, if it is there, is replaced by another.
fn replaced(body: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    String::from_utf8(body).unwrap().replace(from, to).into_bytes()
}

#[test]
fn a_sort_that_the_store_replaced_ends_the_stream() {
    type Change = fn(Vec<u8>) -> Vec<u8>;
    let cases: [(&str, Change, &str); 4] = [
        ("orders", |body| replaced(body, "\"sort_by\":\"date\"", "\"sort_by\":\"status\""), "status"),
        ("products", |body| replaced(body, "\"sort_by\":\"timestamp\"", "\"sort_by\":\"popularity\""), "popularity"),
        ("users", |body| replaced(body, "\"sort_by\":\"id\"", "\"sort_by\":\"name\""), "name"),
        ("shipments", |body| replaced(body, "\"sort_order\":\"asc\"", "\"sort_order\":\"desc\""), "desc"),
    ];
    for (stream, change, named) in cases {
        let store = faulty(move |seen| (seen.object == stream).then_some(Fault::Changed(change)));
        let run = read(&config_with(&store, &json!({ "rows_per_request": 10 })), &full(stream), "[]");
        ReadCheck::for_shop(Shop::CsCart, &run, &full(stream)).assert();
        assert_eq!((run.code, run.statuses(stream).last()), (Some(1), Some(&"INCOMPLETE")), "{}", run.transcript());
        let error = only_error(&run);
        assert!(error.contains("sort") && (error + &run.errors()[0].internal_message).contains(named), "{stream}");
        assert!(run.records(stream).is_empty(), "rows of a list in another order may be missing");
        assert!(store.requests().len() < 9, "{}", told(&store));
    }
}

#[test]
fn a_warning_of_php_before_the_body_is_read_again_and_then_reported() {
    for stream in ["orders", "products", "users", "shipments", "categories", "usergroups", "carts"] {
        // Once, as where a warning depends on the load.
        let mut warned = false;
        let store = faulty(move |_| (!std::mem::replace(&mut warned, true)).then_some(Fault::Warning));
        let start = store.moment();
        let run = read_full(&store, stream);
        assert_eq!(run.code, Some(0), "{stream}: {}", run.transcript());
        let verdict = Judge::full(stream).sync(&store.history(), start, &records(&run, stream));
        assert!(verdict.is_right() && verdict.required > 0, "{stream}: {verdict}");

        // Always, as in a shop that shows its errors.
        let store = sample(Options { warning: Some(WARNING.to_owned()), ..Options::default() });
        let run = read(&config_with(&store, &json!({ "_retry_seconds": 1 })), &full(stream), "[]");
        assert_eq!((run.statuses(stream).last(), run.records(stream).len()), (Some(&"INCOMPLETE"), 0), "{stream}");
        let error = only_error(&run);
        assert!(error.contains("JSON") || error.contains("web page"), "{stream}: {error}");
        assert!(store.requests().len() > 1 && store.requests().len() < 60, "{stream}: {}", told(&store));
    }
}

#[test]
fn an_order_that_is_deleted_while_the_answer_is_made_is_false_and_skipped() {
    for rows in [3, 10, 50] {
        for mode in ["full_refresh", "incremental"] {
            let options = Options { edition: Edition::Ultimate, ..Options::default() };
            let streams = [("orders", mode), ("order_items", mode)];
            let settings = json!({ "rows_per_request": rows });
            let mut syncs = Syncs::of("false", (options, &Sample::new(7, 60)), &streams, &settings);
            // Of each second page all orders but one go away, so that a page has fewer rows than it is full.
            let mut pages = 0;
            syncs.store.options(|options| {
                options.between = Some(Box::new(move |data, seen| {
                    let is_page = seen.object == "orders" && seen.param("get_orders_data").is_some();
                    pages += usize::from(is_page);
                    if is_page && pages % 2 == 1 && pages < 7 {
                        let first = data.orders.keys().into_iter().take((pages + 1) * rows / 2 + 1);
                        let ids: Vec<i64> = first.collect();
                        ids[1..].iter().step_by(2).for_each(|id| _ = data.delete("orders", *id));
                    }
                }));
            });
            let run = syncs.sync();
            assert!(run.warnings().is_empty(), "{:?}", run.warnings());
            syncs.still();
            syncs.sync();
        }
    }
}

#[test]
fn a_page_of_nothing_but_false_is_not_the_end() {
    let settings = json!({ "rows_per_request": 5 });
    let sizes = Sample { incomplete: 0, ..Sample::new(8, 40) };
    let streams = [("orders", "full_refresh"), ("order_items", "full_refresh")];
    let mut syncs = Syncs::of("only false", (Options::default(), &sizes), &streams, &settings);
    let mut pages = 0;
    syncs.store.options(|options| {
        options.between = Some(Box::new(move |data, seen| {
            pages += usize::from(seen.object == "orders" && seen.param("get_orders_data").is_some());
            if pages == 2 {
                // All orders of the second page: the walk continues at the date of the last one of the first.
                for id in 4..=9 {
                    data.delete("orders", id);
                }
            }
        }));
    });
    let run = syncs.sync();
    assert!(run.records("orders").len() >= 33, "{}", told(&syncs.store));
}

#[test]
fn answers_that_are_cut_off_are_requested_again_and_nothing_comes_twice() {
    let faults: [fn() -> Fault; 4] = [
        || Fault::CutBody { after: 700 },
        || Fault::ResetBeforeHeaders,
        || Fault::ResetAfterHeaders,
        || Fault::error(503, "busy"),
    ];
    for fault in faults {
        let settings = json!({ "rows_per_request": 10, "_retry_seconds": 5 });
        let streams = ["orders", "order_items", "products", "users", "shipments", "carts", "categories"];
        let streams = streams.map(|name| (name, "full_refresh"));
        let mut syncs = Syncs::of("cut off", (Options::default(), &Sample::new(1, 40)), &streams, &settings);
        syncs.store.options(|options| {
            options.fault = Some(Box::new(move |seen: &RecordedRequest| (seen.n % 3 == 1).then(fault)));
        });
        syncs.sync();
    }
}

#[test]
fn a_total_that_is_wrong_or_missing_hides_no_row() {
    type Change = fn(Vec<u8>) -> Vec<u8>;
    let changes: [(&str, Change); 2] = [
        ("missing", |body| {
            let text = String::from_utf8(body).unwrap();
            let Some((before, after)) = text.split_once("\"total_items\":\"") else { return text.into_bytes() };
            let (_, after) = after.split_once('"').unwrap();
            format!("{before}\"other\":\"0\"{after}").into_bytes()
        }),
        ("too large", |body| {
            let text = String::from_utf8(body).unwrap();
            text.replace("\"total_items\":\"", "\"total_items\":\"9").into_bytes()
        }),
    ];
    for (what, change) in changes {
        for stream in ["orders", "products", "users", "shipments", "carts", "categories"] {
            let store = faulty(move |_| Some(Fault::Changed(change)));
            let start = store.moment();
            let run = read(&config_with(&store, &json!({ "rows_per_request": 10 })), &full(stream), "[]");
            let verdict = Judge::full(stream).sync(&store.history(), start, &records(&run, stream));
            // Where rows can be counted only by it, the stream may end INCOMPLETE, but never COMPLETE without a row.
            assert!(run.code != Some(0) || verdict.is_right(), "{stream}, {what}: {verdict}\n{}", run.transcript());
            // Windows of carts are halved down to the second where the count stays larger than the list.
            let most = if stream == "carts" { 1_500 } else { 300 };
            assert!(store.requests().len() < most, "{stream}, {what}: {}", told(&store));
        }
    }
}

#[test]
fn an_answer_of_another_kind_is_an_error_that_names_what_came() {
    type Body = fn(Vec<u8>) -> Vec<u8>;
    let bodies: [(Body, &str); 4] = [
        (|_| b"{\"message\":\"hello\"}".to_vec(), "message"),
        (|_| b"[]".to_vec(), "JSON"),
        (|_| b"null".to_vec(), "JSON"),
        (|_| b"<html><body>Welcome to our shop</body></html>".to_vec(), "JSON"),
    ];
    for (body, named) in bodies {
        for stream in ["orders", "usergroups"] {
            let store = faulty(move |_| Some(Fault::Changed(body)));
            let run = read(&config_with(&store, &json!({ "_retry_seconds": 1 })), &full(stream), "[]");
            if (stream, body(Vec::new()).as_slice()) == ("usergroups", b"[]") {
                assert_eq!(run.code, Some(0), "an empty list: {}", run.transcript());
                continue;
            }
            assert_eq!(run.statuses(stream).last(), Some(&"INCOMPLETE"), "{stream}: {}", run.transcript());
            let error = &run.errors()[0];
            let told = format!("{} {}", error.message, error.internal_message);
            assert!(told.contains(named), "{stream}, {named}: {told}");
            assert!(!told.contains("Welcome"), "text of the page is not repeated: {told}");
        }
    }
}

#[test]
fn the_last_page_again_ends_the_walk() {
    for stream in ["shipments", "call_requests", "product_reviews", "users"] {
        let sizes = Sample { shipments: 30, messages: 30, users: 30, ..Sample::new(1, 30) };
        let store = FakeCsCart::sample(Options::default(), &sizes);
        let run = read(&config_with(&store, &json!({ "rows_per_request": 10 })), &full(stream), "[]");
        assert_eq!((run.code, run.records(stream).len()), (Some(0), 30), "{}", run.transcript());
        assert!(requests(&store, stream).len() <= 6, "{stream}: {}", told(&store));
    }
    let store = FakeCsCart::sample(Options::default(), &Sample { companies: 30, ..Sample::new(1, 30) });
    let run = read(&config(&store), &full("stores"), "[]");
    assert_eq!((run.code, run.records("stores").len()), (Some(0), 30), "{}", run.transcript());
}

#[test]
fn a_row_without_a_key_is_counted_and_comes_when_it_has_one() {
    /// Removes the first key of these that is a string.
    fn keyless(body: Vec<u8>, keys: &[&str]) -> Vec<u8> {
        let text = String::from_utf8(body).unwrap();
        let keys = keys.iter().map(|key| format!("\"{key}\":\""));
        let Some((place, name)) = keys.filter_map(|key| Some((text.find(&key)?, key))).min() else {
            return text.into_bytes();
        };
        let (before, after) = (&text[..place], text[place + name.len()..].split_once('"').unwrap().1);
        format!("{before}{}null{after}", name.trim_end_matches('"')).into_bytes()
    }
    type Change = fn(Vec<u8>) -> Vec<u8>;
    let order: Change = |body| keyless(body, &["order_id"]);
    let product: Change = |body| keyless(body, &["product_id"]);
    let user: Change = |body| keyless(body, &["user_id"]);
    let shipment: Change = |body| keyless(body, &["shipment_id"]);
    for (stream, mode, change) in [
        ("orders", "incremental", order),
        ("orders", "full_refresh", order),
        ("order_items", "incremental", order),
        ("products", "incremental", product),
        ("users", "full_refresh", user),
        ("carts", "full_refresh", user),
        ("cart_items", "full_refresh", user),
        ("shipments", "full_refresh", shipment),
    ] {
        let store = faulty(move |seen| seen.id.is_empty().then_some(Fault::Changed(change)));
        let catalog = super::store::catalog(&[(stream, mode)]);
        let start = store.moment();
        let run = read(&config(&store), &catalog, "[]");
        ReadCheck::for_shop(Shop::CsCart, &run, &catalog).assert();
        let context = format!("{stream}, {mode}: {}\n{}", run.transcript(), told(&store));
        assert_eq!((run.code, run.statuses(stream).last()), (Some(1), Some(&"INCOMPLETE")), "{context}");
        assert!(only_error(&run).contains("no `"), "{context}");
        assert!(!run.records(stream).is_empty(), "{context}");
        store.options(|options| options.fault = None);
        let rest = read(&config(&store), &catalog, &run.last_state_list());
        assert_eq!(rest.code, Some(0), "{stream}, {mode}: {}", rest.transcript());
        let verdict = Judge::full(stream).sync(&store.history(), start, &records(&rest, stream));
        assert!(verdict.is_right(), "{stream}, {mode}: {verdict}");
    }
}

#[test]
fn both_streams_of_the_same_requests_say_that_a_row_has_no_key() {
    let store = faulty(|_| Some(Fault::Changed(|body| replaced(body, "\"order_id\":\"7\"", "\"order_id\":null"))));
    for mode in ["incremental", "full_refresh"] {
        let catalog = super::store::catalog(&[("orders", mode), ("order_items", mode)]);
        let run = read(&config(&store), &catalog, "[]");
        for stream in ["orders", "order_items"] {
            assert_eq!(run.statuses(stream).last(), Some(&"INCOMPLETE"), "{stream}: {}", run.transcript());
        }
        assert!(run.errors().iter().all(|error| error.message.contains("no `")), "{}", run.transcript());
    }
}
