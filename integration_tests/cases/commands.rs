//! `spec`, `discover`, `--version`: commands without a store.

use serde_json::{Value, json};

use crate::harness::command::Command;
use crate::harness::files::{START, TOKEN, discovered, store_config};
use crate::harness::setup::nobody;

#[test]
fn spec_prints_one_message_as_in_the_snapshot() {
    let run = Command::new("spec").run();
    assert_eq!((run.code, run.messages.len(), run.stderr.as_str()), (Some(0), 1, ""));
    insta::assert_json_snapshot!(run.spec());
}

#[test]
fn the_specification_accepts_what_the_documentation_shows() {
    let run = Command::new("spec").run();
    let schema = jsonschema::validator_for(&run.spec()["connectionSpecification"]).unwrap();
    let mut config = store_config("mystore.americommerce.com", TOKEN, START);
    assert!(schema.is_valid(&config));
    config["end_date"] = "2022-01-01T00:00:00Z".into();
    config["call_limit_percent"] = 50.into();
    assert!(schema.is_valid(&config));
    config["start_date"] = "yesterday".into();
    assert!(!schema.is_valid(&config));
}

#[test]
fn secrets_are_marked_and_have_no_pattern() {
    let run = Command::new("spec").run();
    let variants =
        run.spec()["connectionSpecification"]["properties"]["credentials"]["oneOf"].as_array().unwrap().clone();
    let secret = |variant: usize, name: &str| variants[variant]["properties"][name].clone();
    for property in [secret(0, "access_token"), secret(1, "user_secret")] {
        assert_eq!(property["airbyte_secret"], Value::Bool(true));
        assert_eq!(property.get("pattern"), None);
    }
}

#[test]
fn discover_is_as_in_the_snapshot_with_and_without_a_config() {
    let with = Command::new("discover").config(&nobody()).run();
    let without = Command::new("discover").run();
    assert_eq!((with.code, without.code), (Some(0), Some(0)));
    assert_eq!(with.stdout, without.stdout);
    let empty = Command::new("discover").file("config", "{}").run();
    assert_eq!(empty.stdout, without.stdout);
    // The schemas have their own files; the snapshot has the rest.
    let mut catalog = discovered().clone();
    for stream in catalog["streams"].as_array_mut().unwrap() {
        let fields = stream["json_schema"]["properties"].as_object().unwrap().len();
        stream["json_schema"] = format!("{fields} fields").into();
    }
    insta::assert_json_snapshot!(catalog);
}

#[test]
fn keys_and_cursors_are_in_the_schemas_and_keys_are_never_null() {
    for stream in discovered()["streams"].as_array().unwrap() {
        let name = stream["name"].as_str().unwrap();
        let properties = &stream["json_schema"]["properties"];
        assert_eq!(stream["json_schema"]["additionalProperties"], Value::Bool(true), "{name}");
        let key = stream["source_defined_primary_key"][0][0].as_str().unwrap();
        let types = &properties[key]["type"];
        assert!(types.is_string() || types == &json!(["string", "integer"]), "{name}.{key} must not be nullable");
        if let Some(cursor) = stream["default_cursor_field"][0].as_str() {
            assert_eq!(properties[cursor]["airbyte_type"], "timestamp_with_timezone", "{name}.{cursor}");
        }
        for (field, property) in properties.as_object().unwrap() {
            assert!(
                property["description"].as_str().is_some_and(|text| text.len() > 11),
                "{name}.{field} has no description"
            );
            assert!(
                field == key || property["type"].as_array().is_some_and(|types| types.contains(&"null".into())),
                "{name}.{field}"
            );
            if property["format"] == "date-time" {
                assert_eq!(property["airbyte_type"], "timestamp_with_timezone", "{name}.{field}");
            }
        }
    }
}

#[test]
fn version_and_help_go_to_stdout() {
    let version = Command::new("--version").output();
    assert_eq!(version.code, Some(0));
    assert_eq!(String::from_utf8(version.stdout).unwrap(), concat!("source-cart ", env!("CARGO_PKG_VERSION"), "\n"));
    let help = Command::new("--help").output();
    assert_eq!(help.code, Some(0));
    assert!(String::from_utf8(help.stdout).unwrap().contains("discover"));
}

#[test]
fn every_command_accepts_debug() {
    assert_eq!(Command::new("spec").arg("--debug").run().code, Some(0));
    assert_eq!(Command::new("discover").arg("--debug").run().code, Some(0));
}
