//! `check` and the scopes of a token: one request per scope, and the missing scopes by name.

use source_cart::streams::STREAMS;

use crate::fake_store::{Data, Fault, Options, Token};
use crate::harness::command::Command;
use crate::harness::files::TOKEN;
use crate::harness::run::Run;
use crate::harness::setup::{SignIn, config, start};

fn check(options: Options) -> (Run, usize) {
    let store = start(SignIn::Token, options, Data::sample(1, 5));
    let run = Command::new("check").config(&config(SignIn::Token, &store)).run();
    assert_eq!(run.code, Some(0));
    (run, store.requests().len())
}

fn with_scopes(scopes: &[&str]) -> Options {
    Options { tokens: vec![Token::new(TOKEN, scopes)], ..Options::default() }
}

/// Returns the scopes that `check` tests. `tools` is not among them: only one page has it.
fn tried() -> Vec<&'static str> {
    STREAMS.iter().filter(|stream| stream.is_scope_probe).map(|stream| stream.scope.name()).collect()
}

#[test]
fn each_scope_is_tested_once_with_few_requests() {
    let mut scopes = tried();
    assert_eq!(scopes.len(), 8);
    scopes.sort_unstable();
    scopes.dedup();
    assert_eq!(scopes.len(), 8);
    for stream in STREAMS {
        assert!(scopes.contains(&stream.scope.name()) || stream.scope.name() == "tools", "{}", stream.name);
    }
}

#[test]
fn any_one_scope_is_enough_and_the_missing_ones_are_named() {
    for scope in tried() {
        let (run, requests) = check(with_scopes(&[scope]));
        let (status, message) = run.connection_status();
        assert_eq!((status, requests), ("SUCCEEDED", 8), "{scope}: {message}");
        for other in tried() {
            assert_eq!(message.contains(&format!("`{other}` (")), other != scope, "{scope}: {message}");
        }
        assert_eq!(run.warnings(), [message]);
    }
}

#[test]
fn no_scope_at_all_fails_and_names_the_scopes() {
    let (run, requests) = check(with_scopes(&["import"]));
    let (status, message) = run.connection_status();
    assert_eq!((status, requests), ("FAILED", 8));
    assert!(tried().iter().all(|scope| message.contains(scope)), "{message}");
}

#[test]
fn a_resource_that_the_store_does_not_have_is_not_a_missing_scope() {
    let fault = |seen: &crate::fake_store::RecordedRequest| (seen.resource == "blogs").then(|| Fault::html(404));
    let (run, _) = check(Options { fault: Some(Box::new(fault)), ..Options::default() });
    let (status, message) = run.connection_status();
    assert_eq!(status, "SUCCEEDED");
    assert!(message.contains("does not have blogs (HTTP 404)") && !message.contains("lacks"), "{message}");
}

#[test]
fn a_fault_that_is_not_about_a_scope_ends_the_check() {
    let redirect = || Fault::Answer {
        status: 302,
        headers: vec![("Location".to_owned(), "https://other.example/".to_owned())],
        body: Vec::new(),
    };
    let fault = move |_: &crate::fake_store::RecordedRequest| Some(redirect());
    let (run, requests) = check(Options { fault: Some(Box::new(fault)), ..Options::default() });
    assert_eq!((run.connection_status().0, requests), ("FAILED", 1));
}

#[test]
fn a_check_fails_only_if_no_scope_works() {
    for (first, check_result) in [(2, "SUCCEEDED"), (1, "FAILED")] {
        let fault = move |seen: &crate::fake_store::RecordedRequest| (seen.n >= first).then(|| Fault::html(400));
        let (run, requests) = check(Options { fault: Some(Box::new(fault)), ..Options::default() });
        assert_eq!((run.connection_status().0, requests), (check_result, 8), "{}", run.transcript());
    }
}
