//! Files that the commands are given: what is wrong with one is told in a sentence, and nothing is read.

use crate::fake_store::{Data, Options};
use crate::harness::command::Command;
use crate::harness::files::configured;
use crate::setup::{SignIn, config, nobody, only_error, start};

/// The error of a `read` that must not have asked the store for anything.
fn refused(command: Command<'_>) -> String {
    let run = command.run();
    assert_eq!(run.code, Some(1), "{}", run.transcript());
    assert_eq!(run.errors()[0].failure_type, "config_error");
    assert_eq!(run.messages.len(), 1);
    only_error(&run)
}

#[test]
fn a_config_that_cannot_be_used_is_an_error_of_read() {
    let catalog = configured(&[("orders", "incremental")]);
    let with = |text: &str| refused(Command::new("read").file("config", text).catalog(&catalog));
    assert!(with("{").contains("not valid JSON (line 1, column"), "{}", with("{"));
    assert!(with("[]").contains("must be one JSON object"));
    assert!(with("").contains("not valid JSON"));
    let both = with(r#"{"start_date": "x", "end_date": 5}"#);
    assert!(
        both.contains("`credentials` are missing") && both.contains("`start_date`") && both.contains("`end_date`"),
        "{both}"
    );
}

#[test]
fn files_that_are_missing_or_no_files_are_named() {
    let missing = refused(Command::new("read").config(&nobody()).arg("--catalog").arg("/no/such/catalog.json"));
    assert_eq!(
        missing,
        "The catalog file `/no/such/catalog.json` does not exist; give `--catalog` a readable JSON file."
    );
    let directory = refused(Command::new("read").config(&nobody()).arg("--catalog").arg("/"));
    assert_eq!(directory, "The catalog file `/` is a directory; give `--catalog` a readable JSON file.");
    let catalog = configured(&[("orders", "incremental")]);
    let state =
        refused(Command::new("read").config(&nobody()).catalog(&catalog).arg("--state").arg("/no/such/state.json"));
    assert!(state.starts_with("The state file `/no/such/state.json` does not exist"), "{state}");
}

#[test]
fn the_config_can_come_from_standard_input() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 10));
    let text = config(SignIn::Token, &store).to_string();
    let run = Command::new("check").arg("--config").arg("-").stdin(text.as_str()).run();
    assert_eq!((run.code, run.connection_status().0), (Some(0), "SUCCEEDED"));
    let read = || Command::new("read").arg("--config").arg("-").catalog(&configured(&[("orders", "incremental")]));
    let run = read().stdin(text.as_str()).run();
    assert_eq!((run.code, run.records("orders").len()), (Some(0), 10));

    let mut wide = nobody();
    wide["expand"] = serde_json::json!(["orders.items"]);
    let wide = Command::new("discover").arg("--config").arg("-").stdin(wide.to_string()).run();
    let orders = wide.catalog()["streams"].as_array().unwrap().iter().find(|stream| stream["name"] == "orders");
    assert!(orders.unwrap()["json_schema"]["properties"]["items"].is_object());

    assert!(refused(read().stdin("")).contains("not valid JSON"));
    assert_eq!(
        refused(read().stdin([0xff])),
        "The config on standard input is not UTF-8 text; give `--config -` one JSON object there, or name a file."
    );
}

#[test]
fn a_catalog_that_is_none_is_an_error() {
    let with = |text: &str| refused(Command::new("read").config(&nobody()).file("catalog", text));
    assert!(with("{}").contains("missing field `streams`"));
    let invalid = with(
        r#"{"streams":[{"stream":{"name":"orders","json_schema":{}},"sync_mode":"INVALID","destination_sync_mode":"append"}]}"#,
    );
    insta::assert_snapshot!(invalid);
}

#[test]
fn a_state_that_means_nothing_is_an_error() {
    let catalog = configured(&[("orders", "incremental")]);
    let with = |text: &str| refused(Command::new("read").config(&nobody()).catalog(&catalog).state(text));
    insta::assert_snapshot!([with("5"), with("{\"orders\": 5}"), with("{")].join("\n"));
}

#[test]
fn one_streams_unusable_state_ends_that_stream_only() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 10));
    let catalog = configured(&[("orders", "incremental"), ("order_items", "incremental")]);
    let run = Command::new("read")
        .config(&config(SignIn::Token, &store))
        .catalog(&catalog)
        .state(r#"{"orders": {"updated_at": "yesterday"}, "order_items": {}}"#)
        .run();
    assert_eq!(run.code, Some(1));
    assert_eq!(run.statuses("orders"), ["STARTED", "INCOMPLETE"]);
    assert_eq!(run.statuses("order_items"), ["STARTED", "RUNNING", "COMPLETE"]);
    insta::assert_snapshot!(only_error(&run));
}

#[test]
fn an_unknown_stream_ends_incomplete_and_the_others_are_read() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 10));
    let mut catalog = configured(&[("orders", "incremental"), ("order_items", "incremental")]);
    catalog["streams"][0]["stream"]["name"] = "ordres".into();
    let run = Command::new("read").config(&config(SignIn::Token, &store)).catalog(&catalog).run();
    assert_eq!(run.code, Some(1));
    assert_eq!(run.statuses("ordres"), ["STARTED", "INCOMPLETE"]);
    assert_eq!(run.statuses("order_items").last(), Some(&"COMPLETE"));
    insta::assert_snapshot!(only_error(&run));
}

#[test]
fn the_least_that_launchers_send_is_enough() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 10));
    let catalog = r#"{"streams":[{"stream":{"name":"orders","json_schema":{}},"sync_mode":"incremental","x":1}]}"#;
    for state in ["", "null", "{}", "[]"] {
        let run =
            Command::new("read").config(&config(SignIn::Token, &store)).file("catalog", catalog).state(state).run();
        assert_eq!((run.code, run.records("orders").len()), (Some(0), 10), "{state}");
    }
    let none = Command::new("read").config(&config(SignIn::Token, &store)).file("catalog", r#"{"streams":[]}"#).run();
    assert_eq!((none.code, none.messages.len()), (Some(0), 0));
}
