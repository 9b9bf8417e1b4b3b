//! Counts that are wrong, and pages without an end: neither ends a stream early, nor keeps it from ending.

use serde_json::{Value, json};

use super::store::{config_with, full, read, records, requests, told};
use crate::fake_cs_cart::{
    Account, Edition, Envelope, FakeCsCart, Fault, Judge, Options, PageCap, RecordedRequest, Sample,
};
use crate::harness::setup::only_error;

/// Number of requests after which a read that does not end is refused.
const MOST_REQUESTS: usize = 300;

/// Streams whose pages have a count.
const COUNTED: [(Edition, &str); 6] = [
    (Edition::Ultimate, "users"),
    (Edition::Ultimate, "shipments"),
    (Edition::Ultimate, "stores"),
    (Edition::Ultimate, "call_requests"),
    (Edition::Ultimate, "product_reviews"),
    (Edition::MultiVendor, "vendors"),
];

/// Starts a store with so many rows of these streams.
fn store_of(options: Options, rows: usize) -> FakeCsCart {
    let sizes = Sample { users: rows, shipments: rows, messages: rows, companies: rows, ..Sample::new(1, 60) };
    FakeCsCart::sample(options, &sizes)
}

/// Returns a body with another count.
fn counting(body: Vec<u8>, count: impl Fn(usize) -> usize) -> Vec<u8> {
    let text = String::from_utf8(body).unwrap();
    let Some((before, after)) = text.split_once("\"total_items\":\"") else { return text.into_bytes() };
    let (_, after) = after.split_once('"').unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap();
    let rows = answer.as_object().unwrap().values().find_map(Value::as_array).map_or(0, Vec::len);
    format!("{before}\"total_items\":\"{}\"{after}", count(rows)).into_bytes()
}

/// Reads a stream, and asserts that every row was read.
fn assert_complete(context: &str, store: &FakeCsCart, stream: &str, rows_per_request: usize) {
    let (start, settings) = (store.moment(), json!({ "rows_per_request": rows_per_request }));
    let run = read(&config_with(store, &settings), &full(stream), "[]");
    let verdict = Judge::full(stream).sync(&store.history(), start, &records(&run, stream));
    assert!(verdict.is_right() && verdict.required > 0, "{context}: {verdict}\n{}", told(store));
    assert_eq!(run.code, Some(0), "{context}: {}", run.transcript());
}

#[test]
fn a_total_that_is_too_small_hides_no_row() {
    type Change = fn(Vec<u8>) -> Vec<u8>;
    let changes: [(&str, Change); 3] = [
        ("3", |body| counting(body, |_| 3)),
        ("the rows of the page", |body| counting(body, |rows| rows)),
        ("20", |body| counting(body, |_| 20)),
    ];
    for (what, change) in changes {
        for (edition, stream) in COUNTED {
            for rows in [30, 34] {
                let fault = Some(Box::new(move |_: &RecordedRequest| Some(Fault::Changed(change))) as _);
                let store = store_of(Options { edition, fault, ..Options::default() }, rows);
                assert_complete(&format!("{stream}, {rows} rows, total {what}"), &store, stream, 10);
                assert!(requests(&store, stream).len() <= 20, "{stream}: {}", told(&store));
            }
        }
    }
}

#[test]
fn carts_of_a_page_that_is_counted_as_all_there_is_are_not_all() {
    fn of_page(body: Vec<u8>) -> Vec<u8> {
        counting(body, |rows| rows)
    }
    let fault = |seen: &RecordedRequest| (seen.object == "carts").then_some(Fault::Changed(of_page));
    let options = Options { edition: Edition::MultiVendor, fault: Some(Box::new(fault)), ..Options::default() };
    let store = FakeCsCart::sample(options, &Sample { carts: 34, ..Sample::new(1, 60) });
    assert_complete("carts", &store, "carts", 10);
    assert!(store.requests().len() <= 60, "{}", told(&store));
}

#[test]
fn a_store_that_limits_its_pages_hides_no_row() {
    for counts_requested in [false, true] {
        for (edition, stream) in COUNTED {
            let page_cap = Some(PageCap { rows: 25, counts_requested, is_for_all: false });
            let store = store_of(Options { edition, page_cap, ..Options::default() }, 210);
            let context = format!("{stream}, {page_cap:?}");
            assert_complete(&context, &store, stream, 50);
            assert!(requests(&store, stream).len() <= 24, "{context}: {}", told(&store));
        }
    }
}

#[test]
fn a_store_that_limits_the_rows_of_a_second_hides_none() {
    for stream in ["orders", "products"] {
        let page_cap = Some(PageCap { rows: 25, counts_requested: false, is_for_all: true });
        let sizes = Sample { ties: 100, products: 60, incomplete: 0, ..Sample::new(1, 60) };
        let store = FakeCsCart::sample(Options { page_cap, ..Options::default() }, &sizes);
        assert_complete(stream, &store, stream, 10);
    }
}

/// Returns a fault of requests for all rows. After [`MOST_REQUESTS`] every request is refused.
fn no_complete_answer(seen: &RecordedRequest) -> Option<Fault> {
    let is_all = seen.param("items_per_page") == Some("0");
    let is_endless = seen.n > MOST_REQUESTS;
    if is_endless { Some(Fault::error(401, "")) } else { is_all.then_some(Fault::Empty) }
}

#[test]
fn a_list_without_pages_ends() {
    for rows in [2, 3, 50] {
        let fault = Some(Box::new(no_complete_answer) as _);
        let store = FakeCsCart::sample(Options { fault, ..Options::default() }, &Sample::new(1, 60));
        assert_complete(&format!("{rows} rows"), &store, "usergroups", rows);
        assert!(store.requests().len() <= 50, "{rows}: {}", told(&store));
    }
}

#[test]
fn pages_without_a_count_end_where_the_last_one_is_repeated() {
    for rows in [2, 3, 4, 5, 6] {
        let fault = Some(Box::new(no_complete_answer) as _);
        let options = Options { envelope: Envelope::Absent, fault, ..Options::default() };
        let store = FakeCsCart::sample(options, &Sample::new(1, 60));
        // Rows of one rank come in another order each time.
        for number in 1..=3 {
            store.clear_requests();
            assert_complete(&format!("{rows} rows, read {number}"), &store, "categories", rows);
        }
    }
}

#[test]
fn a_privilege_is_named_only_where_it_is_missing() {
    fn one_more(body: Vec<u8>) -> Vec<u8> {
        counting(body, |rows| if rows == 0 { 0 } else { rows + 1 })
    }
    let cases = [(Edition::MultiVendor, true), (Edition::Ultimate, true), (Edition::Ultimate, false)];
    for (edition, may_list_stores) in cases {
        let accounts = vec![if may_list_stores { Account::root() } else { Account::limited(&["view_users"]) }];
        let fault = |seen: &RecordedRequest| (seen.object == "carts").then_some(Fault::Changed(one_more));
        let options = Options { edition, accounts, fault: Some(Box::new(fault)), ..Options::default() };
        let store = FakeCsCart::sample(options, &Sample { carts: 4, ..Sample::new(1, 20) });
        let run = read(&config_with(&store, &json!({})), &full("carts"), "[]");
        assert_eq!(run.statuses("carts").last(), Some(&"INCOMPLETE"), "{}", run.transcript());
        let error = only_error(&run);
        assert!(error.contains("counts") && error.contains("`carts`"), "{error}");
        assert_eq!(error.contains("view_stores"), !may_list_stores, "{edition:?}: {error}");
    }
}
