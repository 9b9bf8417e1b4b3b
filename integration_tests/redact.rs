//! `redact_sensitive_fields`: what the table marks goes out as null, and nothing else changes.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use source_cart::streams::STREAMS;

use crate::fake_store::{Data, Options};
use crate::harness::files::configured_all;
use crate::harness::json::Fields;
use crate::harness::order::assert_read_is_well_formed;
use crate::harness::run::Run;
use crate::setup::{SignIn, config_with, no_state, read, start};

/// Every value under this name, at any depth.
fn values<'v>(value: &'v Value, name: &str, found: &mut Vec<&'v Value>) {
    match value {
        Value::Array(elements) => elements.iter().for_each(|element| values(element, name, found)),
        Value::Object(fields) => {
            for (field, value) in fields {
                if field == name {
                    found.push(value);
                }
                values(value, name, found);
            }
        }
        _ => {}
    }
}

#[test]
fn sensitive_fields_are_null_and_all_others_as_they_were() {
    let mut data = Data::sample(3, 30);
    for stream in STREAMS {
        for id in data.ids(stream.name) {
            for field in stream.sensitive {
                data.set_field(stream.name, id, field, "\"kept secret\"");
            }
        }
    }
    let store = start(SignIn::Token, Options::default(), data);
    let catalog = configured_all("full_refresh");
    let plain = read(&config_with(&store, &json!({})), &catalog, &no_state());
    let redacted = read(&config_with(&store, &json!({"redact_sensitive_fields": true})), &catalog, &no_state());
    assert_eq!((plain.code, redacted.code), (Some(0), Some(0)));
    assert!(plain.data("users").iter().any(|record| record.contains("kept secret")), "off unless it is asked for");
    assert_read_is_well_formed(&redacted, &catalog);
    let text = String::from_utf8_lossy(&redacted.stdout).into_owned();
    assert!(!text.contains("kept secret"));
    for stream in STREAMS {
        let by_key = |run: &Run| -> BTreeMap<String, Fields> {
            let records = run.records(stream.name).into_iter();
            records.map(|record| (record.field(stream.key).unwrap(), record.fields())).collect()
        };
        let mut expected = by_key(&plain);
        for record in expected.values_mut() {
            record.extend(stream.sensitive.iter().map(|field| ((*field).to_owned(), "null".to_owned())));
        }
        assert_eq!(by_key(&redacted), expected, "{}", stream.name);
    }
}

#[test]
fn sensitive_fields_are_null_inside_nested_collections_too() {
    let mut data = Data::sample(3, 30);
    for id in data.ids("order_payments") {
        data.set_field("order_payments", id, "token", "\"tok_1\"");
    }
    let store = start(SignIn::Token, Options::default(), data);
    let expand = json!(["orders.payments", "order_payments.fields", "categories.products"]);
    let mut seen = 0;
    for redact in [false, true] {
        let config = config_with(&store, &json!({"redact_sensitive_fields": redact, "expand": expand}));
        let run = read(&config, &configured_all("full_refresh"), &no_state());
        for (stream, inside, fields) in [
            ("orders", "payments", ["token", "cardholder_name"]),
            ("order_payments", "fields", ["value", "value"]),
            ("categories", "products", ["e_product_password", "e_product_generic_password"]),
        ] {
            for record in run.records(stream) {
                let record: Value = serde_json::from_str(record.data().unwrap()).unwrap();
                for field in fields {
                    let mut found = Vec::new();
                    values(&record[inside], field, &mut found);
                    seen += found.len();
                    assert_eq!(found.iter().all(|value| value.is_null()), redact || found.is_empty(), "{record}");
                }
            }
        }
    }
    assert!(seen > 100, "{seen}");
}
