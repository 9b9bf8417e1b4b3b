//! Bugs of the connector: a panic in any part ends in a TRACE error and a non-zero exit code.
//!
//! Builds with the feature `failpoints` panic where `SOURCE_CART_TEST_PANIC` says. The panic's message is the token, so
//! the harness, which searches all output for the token, notices if that message is shown.

use serde_json::Value;

use crate::fake_store::{FakeStore, Options};
use crate::harness::command::Command;
use crate::harness::files::{TOKEN, configured};
use crate::harness::run::Run;
use crate::harness::setup::{SignIn, config, minutes};

/// Returns a run in which `place` panics.
fn panicking(place: &str, command: &str) -> Run {
    let store = FakeStore::start(Options { max_count: Some(20), ..Options::default() }, minutes("orders", 1, 90));
    let catalog = configured(&[("orders", "incremental"), ("products", "full_refresh")]);
    let mut run = Command::new(command);
    if command != "spec" {
        run = run.config(&config(SignIn::Token, &store));
    }
    if command == "read" {
        run = run.catalog(&catalog);
    }
    // Neither the panic's message nor the output of the standard library may appear.
    run.env("SOURCE_CART_TEST_PANIC", &format!("{place}: {TOKEN}")).env("RUST_BACKTRACE", "full").run()
}

/// Panics unless there is one TRACE error about a bug, and one line on stderr with its location.
fn assert_reported(run: &Run, stream: Option<&str>) {
    let errors = run.errors();
    assert_eq!(errors.len(), 1, "{}", run.transcript());
    assert_eq!(errors[0].failure_type, "system_error");
    assert!(errors[0].message.contains("because of a bug"), "{}", errors[0].message);
    assert!(errors[0].internal_message.contains("src/panic_hook.rs:"), "{}", errors[0].internal_message);
    assert_eq!(errors[0].stream.as_deref(), stream);
    let reported: Vec<&str> = run.stderr.lines().filter(|line| !line.starts_with("source-cart: stdout")).collect();
    assert!(reported.len() == 1 && reported[0].contains("src/panic_hook.rs:"), "{}", run.stderr);
}

#[test]
fn in_the_main_thread() {
    for command in ["spec", "check", "discover", "read"] {
        let run = panicking("main", command);
        assert_reported(&run, None);
        assert_eq!(run.code, Some(1), "{command}");
    }
}

#[test]
fn in_one_stream_and_the_others_are_read() {
    let run = panicking("orders", "read");
    assert_reported(&run, Some("orders"));
    assert_eq!(run.code, Some(1));
    assert_eq!(run.statuses("orders").last(), Some(&"INCOMPLETE"));
    assert_eq!(run.statuses("products").last(), Some(&"COMPLETE"));
    assert!(run.last_state("orders").is_some_and(Value::is_object), "a state to go on from");
}

#[test]
fn in_the_writer_whose_last_line_is_complete() {
    let run = panicking("writer", "read");
    assert_reported(&run, None);
    assert_eq!(run.code, Some(74), "the output is not complete");
    assert_eq!(run.messages.last().map(|message| message.kind()), Some("TRACE"));
}
