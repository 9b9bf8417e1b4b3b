//! Assertions of Airbyte's retired connector acceptance tests on `spec`, `discover` and `read`, and a check of the
//! files in `acceptance/`, which their successors use. Assertions of other tests are not repeated here.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cases::docs::path;
use crate::fake_store::{Data, FakeStore, Options};
use crate::harness::command::Command;
use crate::harness::files::{TOKEN, configured, discovered};
use crate::harness::order::assert_read_is_well_formed;
use crate::harness::setup::{DATED, SignIn, config, no_state, read, start};

fn connection_specification() -> Value {
    Command::new("spec").run().spec()["connectionSpecification"].clone()
}

/// Calls `see` with every schema below `schema` and its path.
fn walk(schema: &Value, at: &str, see: &mut impl FnMut(&str, &Value)) {
    see(at, schema);
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        walk(field, &format!("{at}/{name}"), see);
    }
    for (number, variant) in schema["oneOf"].as_array().into_iter().flatten().enumerate() {
        walk(variant, &format!("{at}/oneOf/{number}"), see);
    }
    if schema["items"].is_object() {
        walk(&schema["items"], &format!("{at}/items"), see);
    }
}

/// Returns the types of a schema except `null`.
fn types(schema: &Value) -> Vec<&str> {
    let types = schema["type"].as_array().map_or_else(|| vec![&schema["type"]], |types| types.iter().collect());
    types.into_iter().filter_map(Value::as_str).filter(|name| *name != "null").collect()
}

#[test]
fn each_property_of_the_spec_has_a_form_that_the_platform_can_show() {
    walk(&connection_specification(), "", &mut |at, schema| {
        for keyword in ["$ref", "not", "anyOf", "allOf", "patternProperties", "prefixItems", "if", "dependentSchemas"] {
            assert!(schema.get(keyword).is_none(), "{at} has {keyword}");
        }
        assert_eq!(types(schema).len(), 1, "{at} has one type");
        assert!(schema.get("additionalProperties").is_none_or(|more| more == &json!(true)), "{at}");
        match types(schema)[0] {
            "object" => assert!(
                schema["properties"].as_object().is_some_and(|fields| !fields.is_empty()) || schema["oneOf"].is_array(),
                "{at} is an object without properties"
            ),
            "array" => assert!(
                schema["items"]["enum"].is_array() || types(&schema["items"]).len() == 1,
                "{at} is an array of one simple type"
            ),
            _ => {}
        }
        if let Some(values) = schema["enum"].as_array() {
            let different: BTreeSet<String> = values.iter().map(Value::to_string).collect();
            assert_eq!(different.len(), values.len(), "{at} has a value twice");
        }
        // A day is a valid date as well, which `format` does not allow.
        assert!(schema["format"] != "date-time" || schema["pattern"].is_string(), "{at}: a date has a pattern");
    });
}

#[test]
fn the_order_of_the_specs_properties_is_unique_in_each_object() {
    walk(&connection_specification(), "", &mut |at, schema| {
        let fields = schema["properties"].as_object();
        let orders: Vec<i64> = fields.into_iter().flatten().filter_map(|(_, field)| field["order"].as_i64()).collect();
        assert_eq!(orders.len(), fields.map_or(0, serde_json::Map::len), "{at}: each property has its place");
        assert_eq!(orders.iter().collect::<BTreeSet<_>>().len(), orders.len(), "{at}");
    });
}

#[test]
fn the_ways_to_sign_in_are_distinguished_by_one_constant() {
    let credentials = &connection_specification()["properties"]["credentials"];
    assert_eq!(credentials["type"], "object");
    let mut seen = BTreeSet::new();
    for variant in credentials["oneOf"].as_array().unwrap() {
        let fields = variant["properties"].as_object().unwrap();
        let constants: Vec<(&String, &Value)> =
            fields.iter().filter(|(_, field)| field.get("const").is_some()).collect();
        assert_eq!(constants.len(), 1, "{variant}");
        let (name, field) = constants[0];
        assert_eq!((name.as_str(), field.get("enum")), ("auth_type", None));
        assert!(field.get("default").is_none_or(|usual| *usual == field["const"]), "{field}");
        assert!(variant["required"].as_array().unwrap().contains(&json!("auth_type")));
        assert!(seen.insert(field["const"].to_string()));
    }
    assert_eq!(seen.len(), 2);
}

#[test]
fn secrets_are_marked_as_secrets_and_nothing_else_is() {
    walk(&connection_specification(), "", &mut |at, schema| {
        let name = at.rsplit('/').next().unwrap();
        let secret = ["token", "secret", "password", "key"].iter().any(|end| name.ends_with(end));
        assert_eq!(schema["airbyte_secret"] == true, secret, "{at}");
    });
}

#[test]
fn the_catalog_is_valid() {
    const FORMATS: [&str; 2] = ["date", "date-time"];
    let streams = discovered()["streams"].as_array().unwrap();
    let names: BTreeSet<&str> = streams.iter().map(|stream| stream["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), streams.len(), "names are unique");
    for stream in streams {
        let (name, schema) = (stream["name"].as_str().unwrap(), &stream["json_schema"]);
        let text = schema.to_string();
        for keyword in ["\"$ref\"", "\"allOf\"", "\"not\""] {
            assert!(!text.contains(keyword), "{name} has {keyword}");
        }
        assert!(!stream["supported_sync_modes"].as_array().unwrap().is_empty(), "{name}");
        for key in stream["source_defined_primary_key"].as_array().unwrap() {
            let types = types(&schema["properties"][key[0].as_str().unwrap()]);
            assert!(types.iter().all(|name| !["object", "array"].contains(name)), "{name}: the key is a scalar");
        }
        assert!(!stream["source_defined_primary_key"].as_array().unwrap().is_empty(), "{name} has a key");
        for (field, property) in schema["properties"].as_object().unwrap() {
            assert!(!types(property).is_empty(), "{name}.{field} has a type");
            let format = property.get("format").map(|format| format.as_str().unwrap());
            assert!(format.is_none_or(|format| FORMATS.contains(&format)), "{name}.{field}: {format:?}");
        }
    }
}

#[test]
fn two_full_refreshes_return_the_same_records_and_a_later_emitted_at() {
    let store = start(SignIn::Token, Options::default(), Data::sample(9, 120));
    let (config, catalog) = (config(SignIn::Token, &store), configured(&DATED.map(|name| (name, "full_refresh"))));
    let runs = [read(&config, &catalog, &no_state()), read(&config, &catalog, &no_state())];
    let [first, second] = runs.each_ref().map(|run| {
        assert_read_is_well_formed(run, &catalog);
        DATED.map(|stream| {
            let mut data: Vec<String> = run.data(stream).into_iter().map(str::to_owned).collect();
            data.sort_unstable();
            data
        })
    });
    assert!(first == second && first.iter().all(|data| !data.is_empty()));
    let times = runs.each_ref().map(|run| {
        let text = String::from_utf8(run.stdout.clone()).unwrap();
        let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        records.filter_map(|line| line["record"]["emitted_at"].as_i64()).collect::<Vec<i64>>()
    });
    assert!(times[0].iter().max().unwrap() <= times[1].iter().min().unwrap(), "emitted_at does not go back");
}

#[test]
fn from_each_checkpoint_the_rest_is_read_and_nothing_older() {
    let options = Options { max_count: Some(10), ..Options::default() };
    let store = start(SignIn::Token, options, Data::sample(9, 120));
    let (config, catalog) = (config(SignIn::Token, &store), configured(&[("orders", "incremental")]));
    let complete = read(&config, &catalog, &no_state());
    assert_read_is_well_formed(&complete, &catalog);
    let all: BTreeSet<i64> = complete.ids("orders").into_iter().collect();
    let mut before = BTreeSet::new();
    let mut checkpoints = Vec::new();
    for message in complete.messages.iter().filter(|message| message.stream() == Some("orders")) {
        match message.kind() {
            "RECORD" => drop(before.insert(message.field("id").unwrap().parse::<i64>().unwrap())),
            "STATE" => checkpoints.push((message.stream_state().unwrap().clone(), before.clone())),
            _ => {}
        }
    }
    assert!(checkpoints.len() >= 2, "{}", complete.transcript());
    // The acceptance tests try at most ten.
    for (state, before) in checkpoints.into_iter().take(10) {
        let given =
            json!([{"type": "STREAM", "stream": {"stream_descriptor": {"name": "orders"}, "stream_state": state}}]);
        let rest = read(&config, &catalog, &given.to_string());
        assert_read_is_well_formed(&rest, &catalog);
        let came: BTreeSet<i64> = rest.ids("orders").into_iter().collect();
        assert_eq!(before.union(&came).copied().collect::<BTreeSet<i64>>(), all, "after {state}");
        if state.get("walk").is_none() {
            assert_eq!(came.len(), 0, "after the last state nothing is left");
        }
    }
}

#[test]
fn a_second_read_returns_the_changes_and_nothing_older_than_its_state() {
    // Order statuses of the sample have no dates.
    let dated = ["customers", "addresses", "orders", "order_items", "order_payments", "products"];
    let store = start(SignIn::Token, Options::default(), Data::sample(9, 120));
    let (config, catalog) = (config(SignIn::Token, &store), configured(&dated.map(|name| (name, "incremental"))));
    let first = read(&config, &catalog, &no_state());
    store.data(|data| {
        data.tick(600_000);
        for stream in dated {
            let id = data.ids(stream)[0];
            data.touch(stream, id);
        }
    });
    let second = read(&config, &catalog, &first.last_state_list());
    assert_read_is_well_formed(&second, &catalog);
    for stream in dated {
        let cursor = first.last_state(stream).unwrap()["updated_at"].as_str().unwrap().to_owned();
        let records = second.records(stream);
        assert_eq!(records.len(), 1, "{stream}");
        let came: String = serde_json::from_str(&records[0].field("updated_at").unwrap()).unwrap();
        // Both are UTC in the same format.
        assert!(came > cursor, "{stream}: {came} after {cursor}");
    }
}

/// Returns a file of `acceptance/` with the address of this store.
fn file(name: &str, store: &FakeStore) -> Value {
    let text = std::fs::read_to_string(path("integration_tests/acceptance").join(name)).unwrap();
    serde_json::from_str(&text.replace("http://127.0.0.1:8080", &store.url())).unwrap()
}

#[test]
fn the_files_of_the_acceptance_tests_match_their_names() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 100));
    let (config, invalid) = (file("sample_config.json", &store), file("invalid_config.json", &store));
    assert_eq!(config["credentials"]["access_token"], TOKEN);
    let schema = jsonschema::validator_for(&connection_specification()).unwrap();
    assert!(schema.is_valid(&config) && schema.is_valid(&invalid));
    assert_eq!(Command::new("check").config(&config).run().connection_status().0, "SUCCEEDED");
    assert_eq!(Command::new("check").config(&invalid).run().connection_status().0, "FAILED");

    let catalog = file("configured_catalog.json", &store);
    let mut names = Vec::new();
    for stream in catalog["streams"].as_array().unwrap() {
        let name = stream["stream"]["name"].as_str().unwrap();
        let known = discovered()["streams"].as_array().unwrap().iter().find(|known| known["name"] == name).unwrap();
        for key in ["supported_sync_modes", "default_cursor_field", "source_defined_primary_key"] {
            assert_eq!(stream["stream"][key], known[key], "{name}");
        }
        names.push(name);
    }

    let sample = read(&config, &catalog, &file("sample_state.json", &store).to_string());
    assert_eq!(sample.code, Some(0), "{}", sample.transcript());
    let abnormal = read(&config, &catalog, &file("abnormal_state.json", &store).to_string());
    assert_eq!(abnormal.code, Some(0), "{}", abnormal.transcript());
    for name in names {
        assert!(!sample.records(name).is_empty(), "{name} has records since the sample state");
        assert!(abnormal.records(name).is_empty(), "{name} has records of the far future");
        assert_eq!(abnormal.states(name).len(), 1, "{name}");
    }
}
