//! The fields of the schemas: every documented field is declared, each has one type, and its values have that type.

use std::collections::BTreeMap;

use serde_json::Value;
use source_cart::streams::STREAMS;

use crate::fake_store::{Data, Options};
use crate::harness::command::Command;
use crate::harness::files::{configured, discovered_stream};
use crate::harness::setup::{SignIn, config, no_state, nobody, read, start};

/// Returns the documented fields by resource.
fn documented() -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut fields: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut resource = "";
    for line in
        include_str!("../fixtures/openapi_fields.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let names = match line.split_once(':') {
            Some((name, names)) => {
                assert!(!fields.contains_key(name), "{name} twice");
                resource = name;
                names
            }
            None => line,
        };
        fields.entry(resource).or_default().extend(names.split_whitespace());
    }
    fields
}

#[test]
fn no_documented_field_is_missing() {
    let documented = documented();
    for stream in STREAMS {
        let schema = &discovered_stream(stream.name).unwrap()["json_schema"];
        // The current description lacks webhooks; their page lists the fields.
        let Some(fields) = documented.get(stream.name) else {
            assert_eq!(stream.name, "webhooks");
            continue;
        };
        for field in fields {
            let nested = (stream.fields)().collections.iter().any(|collection| collection.name == *field);
            assert!(nested || schema["properties"].get(field).is_some(), "{}.{field}", stream.name);
        }
    }
    assert!(documented.keys().all(|name| STREAMS.iter().any(|stream| stream.name == *name)));
}

/// Collects the paths in a schema with more than one type besides null.
fn unions(path: &str, schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Array(items) => items.iter().for_each(|item| unions(path, item, found)),
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get("type")
                && types.iter().filter(|name| *name != "null").count() != 1
            {
                found.push(path.to_owned());
            }
            for name in ["anyOf", "oneOf", "allOf"] {
                if object.get(name).is_some_and(Value::is_array) {
                    found.push(format!("{path}/{name}"));
                }
            }
            for (name, inner) in object {
                unions(&format!("{path}/{name}"), inner, found);
            }
        }
        _ => {}
    }
}

#[test]
fn no_field_has_two_types() {
    // With all collections, so that each schema is checked in all places where it is nested.
    let spec = Command::new("spec").run();
    let mut config = nobody();
    config["expand"] = spec.spec().pointer("/connectionSpecification/properties/expand/items/enum").unwrap().clone();
    let catalog = Command::new("discover").config(&config).run();
    let mut found = Vec::new();
    for stream in catalog.catalog()["streams"].as_array().unwrap() {
        unions(stream["name"].as_str().unwrap(), &stream["json_schema"], &mut found);
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn values_of_two_types_become_one_type_and_none_is_lost() {
    let cases = [
        ("order_items", "shipping_total", "number", ["12.50", "\"12.50\"", "12.50"]),
        ("order_items", "shipping_total", "number", ["0", "\"0\"", "0"]),
        ("order_items", "selected_shipping_method_id", "string", ["12", "\"12\"", "\"12\""]),
        ("order_addresses", "postal_code", "string", ["78701", "\"78701\"", "\"78701\""]),
        ("order_addresses", "postal_code", "string", ["10.50", "\"10.50\"", "\"10.50\""]),
        ("products", "product_rating_dimension_group_override_id", "string", ["0", "\"0\"", "\"0\""]),
        ("mailing_lists", "welcome_email_template_id", "string", ["7", "\"7\"", "\"7\""]),
    ];
    for (stream, field, kind, [number, text, expected]) in cases {
        let schema = &discovered_stream(stream).unwrap()["json_schema"]["properties"][field];
        assert_eq!(schema["type"][1], kind, "{stream}.{field}");
        let mut data = Data::sample(2, 20);
        let ids = data.ids(stream);
        data.set_field(stream, ids[0], field, number);
        data.set_field(stream, ids[1], field, text);
        data.set_field(stream, ids[2], field, "null");
        data.set_field(stream, ids[3], field, "true");
        data.set_field(stream, ids[4], field, "[1]");
        let store = start(SignIn::Token, Options::default(), data);
        let run = read(&config(SignIn::Token, &store), &configured(&[(stream, "full_refresh")]), &no_state());
        let sent = |id: i64| {
            let record = run.records(stream).into_iter().find(|record| record.field("id").unwrap() == id.to_string());
            record.unwrap().field(field).unwrap()
        };
        let values: Vec<String> = ids[..5].iter().map(|id| sent(*id)).collect();
        assert_eq!(values, [expected, expected, "null", "true", "[1]"], "{stream}.{field}");
        // Values that cannot be converted are emitted unchanged and reported once.
        let reported = run.warnings();
        assert_eq!(reported.len(), 1, "{reported:?}");
        assert!(reported[0].starts_with(&format!("{stream}: `{field}` is declared as {kind}, but")), "{reported:?}");
    }
    assert_eq!(discovered_stream("microstores").unwrap()["json_schema"]["properties"]["id"]["type"], "integer");
}
