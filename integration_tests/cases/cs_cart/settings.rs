//! Settings that select rows: one that changes while a read is interrupted, and one that a store does not know.

use serde_json::{Value, json};

use super::store::{config_with, full, read, records, sorted, told};
use crate::fake_cs_cart::{Edition, FakeCsCart, Fault, Judge, Options, RecordedRequest, Sample, Version};
use crate::harness::setup::only_error;

/// A read that is refused at a request, and continues with another value of a setting.
struct Change<'s> {
    stream: &'s str,
    key: &'s str,
    mode: &'s str,
    before: Value,
    after: Value,
    /// Returns true for requests of which all after the first `most` are refused.
    counted: fn(&RecordedRequest) -> bool,
    most: usize,
}

impl Change<'_> {
    fn prove(&self) {
        let (stream, counted, most) = (self.stream, self.counted, self.most);
        let mut requests = 0;
        let fault = move |seen: &RecordedRequest| {
            requests += usize::from(counted(seen));
            (requests > most).then(|| Fault::error(403, "denied"))
        };
        let sizes = Sample { users: 900, carts: 200, incomplete: 20, ..Sample::new(3, 150) };
        let options = Options { edition: Edition::MultiVendor, fault: Some(Box::new(fault)), ..Options::default() };
        let store = FakeCsCart::sample(options, &sizes);
        let catalog = super::store::catalog(&[(stream, self.mode)]);
        let run = read(&config_with(&store, &self.before), &catalog, "[]");
        let state = run.last_state(stream).unwrap_or_default();
        let is_interrupted = state.get("position").is_some();
        assert!(is_interrupted, "{stream}: {state}\n{}\n{}", run.transcript(), told(&store));
        store.options(|options| options.fault = None);
        // With the same settings it continues.
        let requests = |state: &str| {
            store.clear_requests();
            let run = read(&config_with(&store, &self.before), &catalog, state);
            assert!(run.code == Some(0) && run.warnings().is_empty(), "{stream}: {}", run.transcript());
            store.requests().len()
        };
        assert!(requests(&run.last_state_list()) < requests("[]"), "{stream}: {state}");
        // With others it starts over, and says so.
        let other = read(&config_with(&store, &self.after), &catalog, &run.last_state_list());
        assert_eq!(other.code, Some(0), "{stream}: {}", other.transcript());
        let expected = read(&config_with(&store, &self.after), &catalog, "[]");
        let (came, expected) = (sorted(&other, stream, self.key), sorted(&expected, stream, self.key));
        assert!(came == expected, "{stream}: {}\n{}", other.transcript(), told(&store));
        let warnings = other.warnings();
        assert!(warnings.len() == 1 && warnings[0].contains("settings"), "{stream}: {warnings:?}");
    }
}

#[test]
fn another_type_of_users_begins_an_interrupted_read_again() {
    Change {
        stream: "users",
        key: "user_id",
        mode: "full_refresh",
        before: json!({ "user_types": ["V", "C"] }),
        after: json!({ "user_types": ["A", "V", "C"] }),
        counted: |seen| seen.param("user_type") == Some("C") && seen.param("user_ids[]").is_some(),
        most: 2,
    }
    .prove();
}

#[test]
fn another_storefront_begins_an_interrupted_read_again() {
    Change {
        stream: "carts",
        key: "user_id",
        mode: "full_refresh",
        before: json!({ "storefront_ids": [2], "rows_per_request": 10 }),
        after: json!({ "storefront_ids": [1, 2], "rows_per_request": 10 }),
        counted: |seen| seen.object == "carts" && seen.param("time_from").is_some(),
        most: 12,
    }
    .prove();
}

#[test]
fn incomplete_orders_and_storefronts_begin_an_interrupted_walk_again() {
    let is_page: fn(&RecordedRequest) -> bool = |seen| seen.param("sort_order") == Some("asc");
    for mode in ["incremental", "full_refresh"] {
        Change {
            stream: "orders",
            key: "order_id",
            mode,
            before: json!({ "rows_per_request": 10 }),
            after: json!({ "rows_per_request": 10, "include_incomplete_orders": true }),
            counted: is_page,
            most: 2,
        }
        .prove();
        Change {
            stream: "order_items",
            key: "order_id",
            mode,
            before: json!({ "rows_per_request": 10, "storefront_ids": [2] }),
            after: json!({ "rows_per_request": 10 }),
            counted: is_page,
            most: 2,
        }
        .prove();
    }
}

#[test]
fn another_language_begins_an_interrupted_read_again() {
    Change {
        stream: "products",
        key: "product_id",
        mode: "full_refresh",
        before: json!({ "rows_per_request": 4 }),
        after: json!({ "rows_per_request": 4, "language": "de" }),
        counted: |seen| seen.object == "products" && seen.param("sort_order") == Some("asc"),
        most: 2,
    }
    .prove();
}

#[test]
fn storefronts_end_the_streams_of_a_store_that_does_not_know_them() {
    for edition in [Edition::Ultimate, Edition::MultiVendor] {
        for stream in ["orders", "order_items", "carts", "cart_items"] {
            let options = Options { edition, version: Version::V4_3_9, ..Options::default() };
            let store = FakeCsCart::sample(options, &Sample::new(1, 60));
            let config = config_with(&store, &json!({ "storefront_ids": [2] }));
            let run = read(&config, &full(stream), "[]");
            assert_eq!((run.code, run.statuses(stream).last()), (Some(1), Some(&"INCOMPLETE")), "{stream}");
            assert!(run.records(stream).is_empty(), "{stream} {edition:?}: {}", run.transcript());
            let error = &run.errors()[0];
            assert!(only_error(&run).contains("storefront_ids"), "{stream} {edition:?}: {}", error.message);
            assert_eq!(error.failure_type, "config_error", "{stream} {edition:?}: {}", error.message);
            assert!(store.requests().len() < 5, "{stream} {edition:?}: {}", told(&store));
        }
    }
}

#[test]
fn only_orders_of_the_given_storefronts_are_read() {
    for version in [Version::V4_11, Version::V4_13, Version::V4_20] {
        let store = FakeCsCart::sample(Options { version, ..Options::default() }, &Sample::new(1, 60));
        let run = read(&config_with(&store, &json!({ "storefront_ids": [2] })), &full("orders"), "[]");
        assert_eq!(run.code, Some(0), "{version:?}: {}", run.transcript());
        let judge = Judge::full("orders").storefronts(&[2]);
        let verdict = judge.clone().sync(&store.history(), store.moment(), &records(&run, "orders"));
        assert!(verdict.is_right() && verdict.required > 0, "{version:?}: {verdict}");
    }
}
