//! Selected columns: a configured catalog that declares fewer fields. Only these are requested and emitted,
//! always with the key and the cursor, even if the store sends more.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use source_cart::streams::STREAMS;

use crate::fake_store::{Data, Options};
use crate::harness::command::Command;
use crate::harness::files::{configured, configured_all, configured_stream};
use crate::harness::json::Fields;
use crate::harness::order::assert_read_is_well_formed;
use crate::harness::run::Run;
use crate::harness::setup::{SignIn, config, config_with, minutes, no_state, read, start};

/// Returns a catalog of one stream with only these fields.
fn selecting(stream: &str, keep: impl Fn(&str) -> bool) -> Value {
    let mut catalog = configured(&[(stream, "incremental")]);
    let properties = catalog["streams"][0]["stream"]["json_schema"]["properties"].as_object_mut().unwrap();
    properties.retain(|name, _| keep(name));
    catalog
}

#[test]
fn only_selected_fields_are_requested_and_the_state_is_the_same() {
    let options = || Options { max_count: Some(20), ..Options::default() };
    let store = start(SignIn::Token, options(), minutes("orders", 1, 50));
    let config = config(SignIn::Token, &store);
    let complete = read(&config, &configured(&[("orders", "incremental")]), &no_state());
    assert!(store.requests().iter().all(|seen| seen.param("fields").is_none()));
    store.clear_requests();

    let catalog = selecting("orders", |name| ["grand_total", "email"].contains(&name));
    let run = read(&config, &catalog, &no_state());
    assert_eq!(run.code, Some(0), "{}", run.transcript());
    assert!(store.requests().iter().all(|seen| {
        let fields: BTreeSet<&str> = seen.param("fields").unwrap_or_default().split(',').collect();
        fields == BTreeSet::from(["grand_total", "id", "updated_at"])
    }));
    let fields: BTreeSet<String> =
        run.records("orders").iter().flat_map(|record| record.fields()).map(|(name, _)| name).collect();
    assert_eq!(fields, ["grand_total", "id", "updated_at"].map(str::to_owned).into());
    // Sent rows are remembered by content, which differs with other columns; the rest is the same.
    let state = |run: &crate::harness::run::Run| {
        let mut state = run.last_state("orders").unwrap().clone();
        state["sent"] = json!(null);
        state
    };
    assert_eq!((run.records("orders").len(), state(&run)), (50, state(&complete)));
    assert!(run.stdout.len() * 5 < complete.stdout.len(), "{} of {} bytes", run.stdout.len(), complete.stdout.len());
    let again = read(&config, &catalog, &run.last_state_list());
    assert_eq!(again.records("orders").len(), 0);
}

#[test]
fn all_fields_none_and_nearly_all_request_everything() {
    let store = start(SignIn::Token, Options::default(), minutes("products", 1, 5));
    let config = config(SignIn::Token, &store);
    let mut bare = configured(&[("products", "incremental")]);
    bare["streams"][0]["stream"]["json_schema"] = json!({});
    // A longer list would not fit into a query string: fields that are not selected are dropped later.
    let nearly_all = selecting("products", |name| name != "e_product_password");
    let mut missing = bare.clone();
    missing["streams"][0]["stream"].as_object_mut().unwrap().remove("json_schema");
    for (catalog, fewer) in [(configured(&[("products", "incremental")]), 0), (bare, 0), (missing, 0), (nearly_all, 1)]
    {
        let run = read(&config, &catalog, &no_state());
        assert_eq!((run.code, run.records("products").len()), (Some(0), 5));
        let all = STREAMS.iter().find(|stream| stream.name == "products").unwrap();
        let all = &(all.fields)().schema;
        for record in run.records("products") {
            assert_eq!(record.fields().len(), all["properties"].as_object().unwrap().len() - fewer);
            assert_eq!(record.field("e_product_password").is_none(), fewer == 1);
        }
    }
    assert!(store.requests().iter().all(|seen| seen.param("fields").is_none()));
}

#[test]
fn the_older_catalog_of_the_python_connector_works_as_a_selection() {
    let store = start(SignIn::Token, Options::default(), minutes("orders", 1, 5));
    // It declares a field that orders lack, and lacks `location_id`.
    let mut catalog = selecting("orders", |name| name != "location_id");
    catalog["streams"][0]["stream"]["json_schema"]["properties"]["weigh_unit"] = json!({"type": ["null", "string"]});
    let run = read(&config(SignIn::Token, &store), &catalog, &no_state());
    assert_read_is_well_formed(&run, &catalog);
    assert_eq!((run.code, run.records("orders").len()), (Some(0), 5));
    let asked = store.requests()[0].param("fields").unwrap_or_default().to_owned();
    assert!(
        asked.contains("grand_total") && !asked.contains("location_id") && !asked.contains("weigh_unit"),
        "{asked}"
    );
}

/// Returns the records of a stream by key.
fn by_key(run: &Run, stream: &str, key: &str) -> BTreeMap<String, Fields> {
    run.records(stream).into_iter().map(|record| (record.field(key).unwrap(), record.fields())).collect()
}

#[test]
fn unselected_fields_are_emitted_in_no_stream_even_if_the_store_sends_them() {
    let mut data = Data::sample(3, 20);
    for stream in STREAMS {
        for id in data.ids(stream.name) {
            data.set_field(stream.name, id, "unheard_of", "1");
            data.set_field(stream.name, id, "heard_of", "{\"a\":[1]}");
        }
    }
    let store = start(SignIn::Token, Options { ignore_fields: true, max_count: Some(7), ..Options::default() }, data);
    let config = config(SignIn::Token, &store);
    let all = configured_all("full_refresh");
    let complete = read(&config, &all, &no_state());
    for odd in [0, 1] {
        let mut catalog = all.clone();
        for entry in catalog["streams"].as_array_mut().unwrap() {
            let properties = entry["stream"]["json_schema"]["properties"].as_object_mut().unwrap();
            let kept = properties.keys().skip(odd).step_by(2).cloned().collect::<BTreeSet<String>>();
            properties.retain(|name, _| kept.contains(name));
            properties.insert("heard_of".to_owned(), json!({}));
        }
        let run = read(&config, &catalog, &no_state());
        assert_eq!(run.code, Some(0), "{}", run.transcript());
        let mut dropped = 0;
        for (stream, entry) in STREAMS.iter().zip(catalog["streams"].as_array().unwrap()) {
            assert_eq!(entry["stream"]["name"], stream.name);
            let selected = &entry["stream"]["json_schema"]["properties"];
            let is_sent = |name: &str| {
                selected.get(name).is_some() || name == stream.key() || (stream.has_updated_at && name == "updated_at")
            };
            let mut expected = by_key(&complete, stream.name, stream.key());
            for record in expected.values_mut() {
                let before = record.len();
                record.retain(|name, _| is_sent(name));
                dropped += before - record.len();
            }
            assert!(!expected.is_empty(), "{}", stream.name);
            assert_eq!(by_key(&run, stream.name, stream.key()), expected, "{}", stream.name);
            let reported = |words: &str| {
                let begins = format!("{}: ", stream.name);
                run.warnings().iter().filter(|text| text.starts_with(&begins) && text.contains(words)).count()
            };
            assert_eq!((reported("They are left out"), reported("`unheard_of`"), reported("`heard_of`")), (1, 1, 1));
        }
        assert!(dropped > 5000, "{dropped}");
    }
}

#[test]
fn the_header_of_csv_is_the_selection() {
    let store = start(SignIn::Token, Options::default(), minutes("orders", 1, 2));
    let catalog = selecting("orders", |name| ["grand_total", "customer_id"].contains(&name));
    let command = Command::new("read").config(&config(SignIn::Token, &store)).catalog(&catalog);
    let output = command.arg("--format").arg("csv").output();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut header: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    header.sort_unstable();
    assert_eq!((text.lines().count(), header), (3, vec!["_extra", "customer_id", "grand_total", "id", "updated_at"]));
}

#[test]
fn a_collection_that_is_not_selected_is_not_requested() {
    let store = start(SignIn::Token, Options::default(), Data::sample(4, 300));
    let mut config = config_with(&store, &json!({"expand": ["orders.items", "orders.payments"]}));
    let discover = Command::new("discover").config(&config).run();
    let orders = discover.catalog()["streams"].as_array().unwrap().iter().find(|stream| stream["name"] == "orders");
    let mut orders = configured_stream(orders.unwrap().clone(), "incremental");
    let read_with = |orders: &Value, config: &Value| {
        store.clear_requests();
        let run = read(config, &json!({"streams": [orders]}), &no_state());
        assert_eq!((run.code, run.records("orders").len()), (Some(0), 300), "{}", run.transcript());
        assert_eq!(run.warnings(), Vec::<&str>::new());
        run
    };
    let properties = orders["stream"]["json_schema"]["properties"].as_object_mut().unwrap();
    properties.remove("items");
    let run = read_with(&orders, &config);
    assert!(run.records("orders").iter().all(|record| record.field("items").is_none()));
    assert!(run.records("orders").iter().all(|record| record.field("payments").is_some()));
    assert!(store.requests().iter().all(|seen| seen.param("expand") == Some("payments")));

    orders["stream"]["json_schema"]["properties"].as_object_mut().unwrap().remove("payments");
    let run = read_with(&orders, &config);
    assert!(run.records("orders").iter().all(|record| record.field("payments").is_none()));
    let requests = store.requests();
    assert!(requests.iter().all(|seen| seen.param("expand").is_none()));
    config.as_object_mut().unwrap().remove("expand");
    read_with(&configured(&[("orders", "incremental")])["streams"][0], &config);
    assert_eq!(requests.len(), store.requests().len(), "pages are as large as without collections");
}
