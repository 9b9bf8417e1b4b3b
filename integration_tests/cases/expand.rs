//! Nested collections of the config: in the schema, in the requests, in the records.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::fake_store::{Data, FakeStore, Fault, Options, RecordedRequest, resources};
use crate::harness::command::Command;
use crate::harness::files::{configured_stream, discovered};
use crate::harness::json;
use crate::harness::order::{assert_read_is_well_formed, is_utc_instant};
use crate::harness::run::Run;
use crate::harness::setup::{SignIn, config, no_state, read, start};

/// Returns all collections in the specification.
fn choices() -> Value {
    let run = Command::new("spec").run();
    run.spec().pointer("/connectionSpecification/properties/expand/items/enum").unwrap().clone()
}

/// Returns the config with collections, and the catalog that `discover` makes of it.
fn expanding(sign_in: SignIn, store: &FakeStore, expand: &Value, mode: &str) -> (Value, Value) {
    let mut config = config(sign_in, store);
    config["expand"] = expand.clone();
    let run = Command::new("discover").config(&config).run();
    assert_eq!(run.code, Some(0), "{}", run.transcript());
    let streams: Vec<Value> = run.catalog()["streams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stream| {
            let known = stream["supported_sync_modes"].as_array().unwrap().contains(&mode.into());
            configured_stream(stream.clone(), if known { mode } else { "full_refresh" })
        })
        .collect();
    (config, json!({ "streams": streams }))
}

/// Returns the records of a stream by key.
fn by_id(run: &Run, stream: &str) -> BTreeMap<String, String> {
    let records = run.records(stream).into_iter();
    records.map(|record| (record.field("id").unwrap(), record.data().unwrap().to_owned())).collect()
}

/// Returns the elements of a nested collection of a record.
fn elements(raw: &str) -> Vec<String> {
    let list: Vec<Box<serde_json::value::RawValue>> = serde_json::from_str(raw).unwrap();
    list.into_iter().map(|element| element.get().to_owned()).collect()
}

#[test]
fn every_collection_has_the_same_records_as_its_own_stream() {
    for (sign_in, ignore_id_filter) in [(SignIn::Token, false), (SignIn::Router, false), (SignIn::Token, true)] {
        let options = Options { ignore_id_filter, max_count: Some(30), ..Options::default() };
        let store = start(sign_in, options, Data::sample(4, 60));
        let (config, catalog) = expanding(sign_in, &store, &choices(), "full_refresh");
        let run = read(&config, &catalog, &no_state());
        assert_eq!(run.code, Some(0), "{}", run.transcript());
        assert_read_is_well_formed(&run, &catalog);
        let mut compared = 0;
        for of in resources() {
            for nested in &of.nested {
                let own = nested.child.map(|(child, _)| by_id(&run, child)).unwrap_or_default();
                for record in run.records(of.path) {
                    let raw = record.field(nested.name).unwrap_or_else(|| panic!("{}.{}", of.path, nested.name));
                    for element in elements(&raw).into_iter().filter(|_| nested.child.is_some()) {
                        let element = json::object(&element).unwrap();
                        // The collection's own stream has collections itself.
                        let mut own = json::object(&own[&element["id"]]).unwrap();
                        own.retain(|name, _| element.contains_key(name));
                        assert_eq!(element, own, "{}.{}", of.path, nested.name);
                        compared += 1;
                    }
                }
            }
        }
        assert!(compared > 300, "{compared}");
        for seen in store.requests() {
            let of = resources().iter().find(|of| of.path == seen.resource).unwrap();
            let names: Vec<&str> = seen.param("expand").into_iter().flat_map(|names| names.split(',')).collect();
            let mut documented: Vec<&str> = of.nested.iter().map(|nested| nested.name).collect();
            documented.sort_unstable();
            assert_eq!(names, documented, "{}", seen.target);
            let count: usize = seen.param("count").unwrap().parse().unwrap();
            assert!(names.is_empty() || count <= 250, "{}", seen.target);
        }
    }
}

#[test]
fn discover_extends_the_schema_of_the_named_stream_only() {
    let store = start(SignIn::Token, Options::default(), Data::empty());
    let (_, catalog) = expanding(SignIn::Token, &store, &json!(["orders.items"]), "incremental");
    for (wide, plain) in catalog["streams"].as_array().unwrap().iter().zip(discovered()["streams"].as_array().unwrap())
    {
        let (wide, plain) = (&wide["stream"], plain);
        if wide["name"] != "orders" {
            assert_eq!(wide, plain);
            continue;
        }
        let mut properties = wide["json_schema"]["properties"].clone();
        let items = properties.as_object_mut().unwrap().remove("items").unwrap();
        assert_eq!(properties, plain["json_schema"]["properties"]);
        assert_eq!((&items["type"], &items["items"]["type"]), (&json!(["null", "array"]), &json!(["null", "object"])));
        let own = crate::harness::files::discovered_stream("order_items").unwrap();
        assert_eq!(items["items"]["properties"], own["json_schema"]["properties"]);
    }
}

#[test]
fn nested_records_are_converted_and_lookups_fill_objects() {
    let mut data = Data::sample(4, 30);
    let subscription = data.ids("subscriptions")[0];
    for (key, table) in [("saved_cart_id", "carts"), ("customer_id", "customers")] {
        let id = data.ids(table)[0].to_string();
        data.set_field("subscriptions", subscription, key, &id);
    }
    data.set_field("order_items", 1, "price", "\"12.50\"");
    data.set_field("order_items", 1, "delivery_date", "\"\"");
    let store = start(SignIn::Token, Options::default(), data);
    let (config, catalog) =
        expanding(SignIn::Token, &store, &json!(["subscriptions.lookups", "orders.items"]), "incremental");
    let run = read(&config, &catalog, &no_state());
    assert_read_is_well_formed(&run, &catalog);
    let looked_up = by_id(&run, "subscriptions")[&subscription.to_string()].clone();
    let looked_up: Value = serde_json::from_str(&looked_up).unwrap();
    for object in ["cart_info", "customer"] {
        assert!(is_utc_instant(looked_up[object]["updated_at"].as_str().unwrap()), "{looked_up}");
    }
    assert!(store.requests().iter().any(|seen| seen.param("includelookups") == Some("1")));
    let order = json::object(&by_id(&run, "orders")["100000"]).unwrap();
    let item = json::object(&elements(&order["items"])[0]).unwrap();
    assert_eq!((item["price"].as_str(), item["delivery_date"].as_str()), ("12.50", "null"));
    assert_eq!(order.get("payments"), None, "a collection that is not requested is missing");
}

#[test]
fn an_incremental_sync_returns_changed_rows_with_their_collections_and_the_next_one_nothing() {
    let store = start(SignIn::Token, Options::default(), Data::sample(4, 600));
    let (config, catalog) =
        expanding(SignIn::Token, &store, &json!(["orders.items", "orders.payments"]), "incremental");
    let catalog = {
        let orders = catalog["streams"].as_array().unwrap().iter().find(|entry| entry["stream"]["name"] == "orders");
        json!({ "streams": [orders.unwrap()] })
    };
    let first = read(&config, &catalog, &no_state());
    assert_read_is_well_formed(&first, &catalog);
    assert_eq!(first.records("orders").len(), 600);
    store.data(|data| {
        data.tick(600_000);
        data.touch("orders", 100_123);
    });
    let second = read(&config, &catalog, &first.last_state_list());
    let brought: Vec<String> = second.records("orders").iter().map(|record| record.field("items").unwrap()).collect();
    assert_eq!((second.ids("orders"), elements(&brought[0]).len()), (vec![100_123], 2));
    let third = read(&config, &catalog, &second.last_state_list());
    assert_eq!(third.records("orders").len(), 0);
}

#[test]
fn a_collection_that_the_store_omits_is_reported_once() {
    let store = start(SignIn::Token, Options { ignore_expand: true, ..Options::default() }, Data::sample(4, 300));
    let (config, catalog) = expanding(SignIn::Token, &store, &json!(["orders.items", "carts.items"]), "incremental");
    let run = read(&config, &catalog, &no_state());
    assert_eq!((run.code, run.records("orders").len()), (Some(0), 300));
    let mut reported: Vec<&str> = run.warnings().into_iter().filter(|text| text.contains("`expand`")).collect();
    reported.sort_unstable();
    assert_eq!(reported.len(), 2, "{reported:?}");
    for (text, stream) in reported.iter().zip(["carts", "orders"]) {
        assert!(text.starts_with(&format!("{stream}: none of ")), "{text}");
        assert!(text.contains(&format!(" rows has the nested data of `{stream}.items` in `expand`")), "{text}");
    }
}

/// Returns the warnings of a read of subscriptions with lookups from a store with these rows.
fn warnings_about(rows: &[&str]) -> Vec<String> {
    let body = format!(r#"{{"total_count":{},"subscriptions":[{}]}}"#, rows.len(), rows.join(","));
    let answer = move |_: &RecordedRequest| {
        Some(Fault::Answer { status: 200, headers: Vec::new(), body: body.clone().into_bytes() })
    };
    let store = start(SignIn::Token, Options { fault: Some(Box::new(answer)), ..Options::default() }, Data::empty());
    let (config, mut catalog) = expanding(SignIn::Token, &store, &json!(["subscriptions.lookups"]), "full_refresh");
    catalog["streams"].as_array_mut().unwrap().retain(|entry| entry["stream"]["name"] == "subscriptions");
    let run = read(&config, &catalog, &no_state());
    assert_eq!((run.code, run.records("subscriptions").len()), (Some(0), rows.len()), "{}", run.transcript());
    run.warnings().into_iter().map(str::to_owned).collect()
}

#[test]
fn a_row_without_an_optional_collection_causes_no_warning() {
    let full = r#"{"id":1,"updated_at":"2021-01-01T00:00:00Z","cart_info":{"id":1},"customer":{"id":1}}"#;
    let bare = r#"{"id":2,"updated_at":"2021-01-01T00:00:00Z"}"#;
    let other = r#"{"id":3,"updated_at":"2021-01-01T00:00:00Z"}"#;
    for rows in [&[full, bare][..], &[full], &[bare], &[full, bare, other]] {
        assert_eq!(warnings_about(rows), Vec::<String>::new(), "{rows:?}");
    }
    let reported = warnings_about(&[bare, other]);
    assert_eq!(reported.len(), 1, "{reported:?}");
    assert!(reported[0].contains("`subscriptions.lookups` in `expand`"), "the entry of the config: {reported:?}");
}

#[test]
fn a_wrong_name_is_an_error_of_every_command_and_the_right_ones_are_named() {
    let store = start(SignIn::Token, Options::default(), Data::empty());
    let mut config = config(SignIn::Token, &store);
    config["expand"] = json!(["orders.item"]);
    let discover = Command::new("discover").config(&config).run();
    assert_eq!((discover.code, discover.messages.len()), (Some(1), 1));
    let error = &discover.errors()[0];
    assert_eq!(error.failure_type, "config_error");
    assert!(error.message.contains("`orders.item`") && error.message.contains("`orders.items`"), "{}", error.message);
    let check = Command::new("check").config(&config).run();
    assert_eq!(check.connection_status(), ("FAILED", error.message.as_str()));
    let catalog = json!({"streams": []});
    assert_eq!(read(&config, &catalog, &no_state()).errors()[0].message, error.message);
    assert_eq!(store.requests().len(), 0);
}
