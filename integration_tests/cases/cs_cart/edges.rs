//! Values as they are emitted: numbers, dates, empty lists, keys, and rows at the edges of tables.

use serde_json::json;

use super::store::{config_with, full, read, read_full, records, sample};
use super::syncs::Syncs;
use crate::fake_cs_cart::{Columns, Data, Edition, Note, Options, Sample};

#[test]
fn strings_that_are_numbers_become_numbers_with_their_digits() {
    for columns in [Columns::Text, Columns::Integers, Columns::Numbers] {
        let store = sample(Options { columns, ..Options::default() });
        store.data(|data| {
            data.change_order(3, Note::Stamped, |order| {
                (order.status, order.lines[0].price, order.lines[0].amount) = ('P', 1_050, 3);
                order.lines.truncate(1);
                order.shipping_cost = 0;
            });
        });
        let run = read_full(&store, "orders");
        let order = run.records("orders").into_iter().find(|record| record.field("order_id").unwrap() == "3").unwrap();
        assert_eq!(order.field("total").unwrap(), "31.50", "{columns:?}");
        assert_eq!(order.field("status").unwrap(), "\"P\"");
        assert_eq!(order.field("promotions").unwrap(), "null", "an empty list where an object is declared");
        let line = read_full(&store, "order_items");
        let line = line.records("order_items").into_iter().find(|record| record.field("order_id").unwrap() == "3");
        let line = line.unwrap();
        assert_eq!((line.field("price").unwrap(), line.field("amount").unwrap()), ("10.50".to_owned(), "3".to_owned()));
        assert!(line.field("item_id").unwrap().starts_with('"'), "{}", line.line);
        assert_eq!(line.field("updated_at"), order.field("updated_at"), "a line changes with its order");
    }
}

#[test]
fn seconds_become_dates_and_zero_is_null() {
    let store = sample(Options::default());
    store.data(|data| {
        for id in [3, 4] {
            data.change_order(id, Note::Silent, |order| {
                (order.status, order.timestamp, order.updated_at) = ('P', 1_700_000_000, if id == 3 { 0 } else { 1 });
            });
        }
    });
    let orders = records(&read_full(&store, "orders"), "orders");
    let of = |id: i64| orders.iter().find(|order| order["order_id"] == id).unwrap();
    assert_eq!((&of(3)["timestamp"], &of(3)["updated_at"]), (&json!("2023-11-14T22:13:20Z"), &json!(null)));
    assert_eq!(of(4)["updated_at"], "1970-01-01T00:00:01Z");
    let users = records(&read_full(&store, "users"), "users");
    assert!(
        users.iter().any(|user| user["last_login"].is_null())
            && users.iter().any(|user| user["last_login"].is_string())
    );
}

#[test]
fn parts_of_a_key_that_the_store_does_not_send_are_zero() {
    for (edition, version, absent) in [
        (Edition::Ultimate, crate::fake_cs_cart::Version::V4_3_9, "storefront_id"),
        (Edition::MultiVendor, crate::fake_cs_cart::Version::V4_20, "company_id"),
    ] {
        let store = sample(Options { edition, version, ..Options::default() });
        for stream in ["carts", "cart_items"] {
            let carts = records(&read_full(&store, stream), stream);
            assert!(!carts.is_empty() && carts.iter().all(|cart| cart[absent] == 0), "{stream} {edition:?}: {absent}");
        }
    }
}

#[test]
fn rows_at_the_first_and_last_second_are_read() {
    let sample = Sample::new(1, 30);
    let mut data = sample.data(Edition::Ultimate);
    for (id, time) in [(1, 0), (2, 1), (29, 4_000_000_000), (30, 4_102_444_800)] {
        data.change_order(id, Note::Silent, |order| (order.status, order.timestamp) = ('P', time));
    }
    for (id, time) in [(1, 0), (2, 1), (19, 4_000_000_000), (20, 4_102_444_800)] {
        data.change_product(id, Note::Silent, |product| product.timestamp = time);
    }
    let streams = [("orders", "full_refresh"), ("order_items", "full_refresh"), ("products", "full_refresh")];
    for rows in [1, 4] {
        let settings = json!({ "rows_per_request": rows });
        let mut syncs = Syncs::with("first and last second", (Options::default(), data.clone()), &streams, &settings);
        let run = syncs.sync();
        assert!(records(&run, "orders").iter().any(|order| order["order_id"] == 30), "the last one");
    }
}

#[test]
fn one_row_of_everything_is_read() {
    for edition in [Edition::Ultimate, Edition::MultiVendor] {
        let sizes = Sample {
            products: 1,
            users: 1,
            carts: 1,
            shipments: 1,
            messages: 1,
            companies: 1,
            incomplete: 0,
            ..Sample::new(1, 1)
        };
        let names = super::store::streams_of(edition);
        let streams: Vec<(&str, &str)> = names.iter().map(|name| (*name, "full_refresh")).collect();
        let mut syncs = Syncs::of("one row", (Options { edition, ..Options::default() }, &sizes), &streams, &json!({}));
        let run = syncs.sync();
        for name in ["orders", "products", "users", "carts", "shipments", "call_requests", "product_reviews"] {
            assert_eq!(run.records(name).len(), 1, "{edition:?} {name}");
        }
    }
}

#[test]
fn pages_that_are_exactly_full_are_read_to_their_end() {
    // Rows that fill one page, two pages, and one more or less.
    for number in [9, 10, 11, 19, 20, 21] {
        let sizes = Sample {
            products: number,
            users: number,
            carts: number,
            shipments: number,
            messages: number,
            incomplete: 0,
            ..Sample::new(2, number)
        };
        let streams = ["orders", "products", "users", "carts", "shipments", "call_requests", "product_reviews"];
        let streams = streams.map(|name| (name, "full_refresh"));
        for repeats in [true, false] {
            let mut options = Options::default();
            if !repeats {
                options.repeats_last_page.clear();
            }
            let context = format!("{number} rows, the last page again: {repeats}");
            Syncs::of(&context, (options, &sizes), &streams, &json!({ "rows_per_request": 10 })).sync();
        }
    }
}

#[test]
fn an_undeclared_field_is_emitted_and_reported_once() {
    let store = sample(Options::default());
    store.data(|data: &mut Data| {
        data.change_small("taxes", 2, |row| row.set("brand_new", crate::fake_cs_cart::Cell::Int(7)));
    });
    let run = read(&config_with(&store, &json!({})), &full("taxes"), "[]");
    assert_eq!(run.code, Some(0), "{}", run.transcript());
    let warnings = run.warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("brand_new"), "{warnings:?}");
}
