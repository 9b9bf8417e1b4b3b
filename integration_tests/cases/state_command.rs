//! `state show`, `state reset` and `state set`: their output, and their effect on the next read.

use std::fs;

use serde_json::json;

use crate::cases::deletions::{declaring_deletions, deleted};
use crate::fake_store::Options;
use crate::harness::command::Command;
use crate::harness::files::{Files, configured};
use crate::harness::run::Output;
use crate::harness::setup::{SignIn, config, config_with, minutes, only_error, start};

fn state(arguments: &[&str]) -> Output {
    arguments.iter().fold(Command::new("state"), |command, argument| command.arg(argument)).output()
}

#[test]
fn a_state_is_shown_set_and_reset_and_the_next_read_follows() {
    let store = start(SignIn::Token, Options::default(), minutes("orders", 1, 100));
    let files = Files::new();
    let path = files.path("state.json").display().to_string();
    let read = || {
        let command = Command::new("read").config(&config(SignIn::Token, &store)).arg("--streams").arg("orders");
        let run = command.arg("--state").arg(&path).arg("--state-out").arg(&path).run();
        assert_eq!(run.code, Some(0), "{}", run.transcript());
        run.records("orders").len()
    };
    let said = |arguments: &[&str]| {
        let output = state(arguments);
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
        String::from_utf8(output.stdout).unwrap()
    };
    // A missing file is created.
    assert_eq!(
        said(&["set", &path, "orders", "2024-11-18"]),
        "orders: the next read continues from 2024-11-18T00:00:00Z.\n"
    );
    said(&["set", &path, "orders", "2024-11-18T11:30:00Z"]);
    said(&["set", &path, "pages", "2024-06-01T00:00:00+02:00"]);
    assert_eq!(read(), 32, "two minutes of overlap");
    let shown = said(&["show", &path]);
    let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["stream", "cursor", "rows", "left", "bytes"]);
    assert_eq!(lines[1][..3], ["orders", "2024-11-18T11:59:00Z", "-"]);
    assert_eq!(lines[2], ["pages", "2024-05-31T22:00:00Z", "-", "37"]);

    said(&["reset", &path, "orders"]);
    assert_eq!(said(&["show", &path]).lines().count(), 2);
    assert_eq!(read(), 100);
    let list: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 2, "it stays a JSON list");
}

#[test]
fn a_state_that_is_reset_or_set_has_no_known_ids_and_the_next_read_reports_no_deletion() {
    let store = start(SignIn::Token, Options::default(), minutes("orders", 1, 1_500));
    let config = config_with(&store, &json!({"detect_deletions": ["orders"]}));
    let catalog = declaring_deletions(configured(&[("orders", "incremental")]));
    let files = Files::new();
    let path = files.path("state.json").display().to_string();
    let read = || {
        let command = Command::new("read").config(&config).catalog(&catalog).arg("--state").arg(&path);
        let run = command.arg("--state-out").arg(&path).run();
        assert!(run.code == Some(0) && run.warnings().is_empty(), "{}", run.transcript());
        run
    };
    let change = |arguments: &[&str]| {
        assert!(fs::read_to_string(&path).unwrap().contains("\"known\""));
        assert_eq!(state(arguments).code, Some(0));
        assert!(!fs::read_to_string(&path).unwrap().contains("\"known\""));
    };
    let delete = |id: i64| store.data(|data| assert!(data.delete("orders", id), "{id}"));
    assert_eq!(read().records("orders").len(), 1_500);
    delete(5);
    change(&["reset", &path, "orders"]);
    let run = read();
    assert_eq!((deleted(&run, "orders"), run.records("orders").len()), (vec![], 1_499));
    delete(6);
    assert_eq!(deleted(&read(), "orders"), [6]);
    // The cursor alone: the ids are listed again.
    delete(7);
    change(&["set", &path, "orders", "2024-11-18T12:00:00Z"]);
    let run = read();
    assert!(deleted(&run, "orders").is_empty(), "{}", run.transcript());
    assert!(run.transcript().contains("the ids of 1497 rows were listed"), "{}", run.transcript());
    delete(8);
    assert_eq!(deleted(&read(), "orders"), [8]);
}

#[test]
fn an_impossible_change_changes_nothing() {
    let files = Files::new();
    let text = "[\n{\"orders\":{\"updated_at\":\"2024-01-01T00:00:00Z\"}}\n]\n";
    let path = files.write("state.json", text).display().to_string();
    let rows = files.write("rows.jsonl", r#"{"type":"RECORD","record":{}}"#).display().to_string();
    let absent = files.path("absent.json").display().to_string();
    let reported = |arguments: &[&str]| {
        let run = arguments.iter().fold(Command::new("state"), |command, argument| command.arg(argument)).run();
        assert_eq!((run.code, run.errors()[0].failure_type.as_str()), (Some(1), "config_error"));
        only_error(&run)
    };
    for (arguments, sentence) in [
        (vec!["show", absent.as_str()], "does not exist"),
        (vec!["reset", &absent, "orders"], "no state of `orders`"),
        (vec!["reset", &path, "orders", "ordrs"], "Did you mean `orders`?"),
        (vec!["set", &path, "ordrs", "2024-01-01"], "There is no stream `ordrs`"),
        (vec!["set", &path, "coupon_codes", "2024-01-01"], "has no dates"),
        (vec!["set", &path, "orders", "yesterday"], "`yesterday` is not a date"),
        (vec!["set", &path, "orders", "2024-01-01T00:00:00"], "with its zone"),
        (vec!["set", &rows, "orders", "2024-01-01"], "is not a state file"),
    ] {
        let reported = reported(&arguments);
        assert!(reported.contains(sentence), "{arguments:?}: {reported}");
    }
    let lock = fs::File::create(files.path("state.json.lock")).unwrap();
    lock.lock().unwrap();
    assert!(reported(&["set", &path, "orders", "2024-01-01"]).starts_with("Another sync is using the state file"));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert!(!files.path("absent.json").exists());
}
