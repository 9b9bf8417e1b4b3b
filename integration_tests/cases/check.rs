//! `check`: exactly one result, exit code 0, and a message that says what to do.

use serde_json::json;

use crate::fake_store::{Data, FakeStore, Fault, Options, Tls, Token};
use crate::harness::command::Command;
use crate::harness::files::{ROUTER_SECRET, START, TOKEN, router_config, store_config};
use crate::harness::setup::{SignIn, config, config_with, start};

/// Returns the result, without the port.
fn check_result(
    config: &serde_json::Value,
    environment: &[(&str, &str)],
    store: Option<&FakeStore>,
) -> (String, String) {
    let command =
        environment.iter().fold(Command::new("check").config(config), |command, (key, value)| command.env(key, value));
    let run = command.run();
    assert_eq!(run.code, Some(0), "{}", run.transcript());
    let (status, message) = run.connection_status();
    let port = store.map_or_else(|| "none".to_owned(), |store| store.addr().port().to_string());
    (status.to_owned(), message.replace(&port, "PORT"))
}

fn fails(config: &serde_json::Value, store: &FakeStore) -> String {
    let (status, message) = check_result(config, &[], Some(store));
    assert_eq!(status, "FAILED", "{message}");
    message
}

#[test]
fn a_valid_config_succeeds_with_both_sign_ins_and_few_requests() {
    for sign_in in [SignIn::Token, SignIn::Router] {
        let store = start(sign_in, Options::default(), Data::sample(1, 20));
        assert_eq!(check_result(&config(sign_in, &store), &[], Some(&store)), ("SUCCEEDED".to_owned(), String::new()));
        assert_eq!(store.requests().len(), 8, "one request a scope");
        assert!(store.requests().iter().all(|seen| seen.param("count") == Some("1")));
    }
}

#[test]
fn with_fail_the_exit_code_says_whether_the_connection_works() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 3));
    let code = |config: &serde_json::Value| Command::new("check").config(config).arg("--fail").run().code;
    assert_eq!(code(&config(SignIn::Token, &store)), Some(0));
    assert_eq!(code(&store_config(&store.url(), "wrong-token", START)), Some(1));
    assert_eq!(code(&json!({})), Some(1), "a configuration that cannot be used works no better");
}

#[test]
fn the_suggested_streams_are_those_of_the_metadata() {
    let metadata = include_str!("../../metadata.yaml");
    let (_, list) = metadata.split_once("suggestedStreams:\n    streams:\n").unwrap();
    let named: Vec<&str> = list.lines().map_while(|line| line.trim_start().strip_prefix("- ")).collect();
    assert_eq!(named, source_cart::streams::SUGGESTED);
}

#[test]
fn a_store_without_rows_succeeds() {
    let store = start(SignIn::Token, Options::default(), Data::empty());
    assert_eq!(check_result(&config(SignIn::Token, &store), &[], Some(&store)).0, "SUCCEEDED");
}

#[test]
fn a_wrong_token_fails() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 5));
    let message = fails(&store_config(&store.url(), "wrong-token", START), &store);
    insta::assert_snapshot!(message);
}

#[test]
fn a_wrong_signature_fails() {
    let store = start(SignIn::Router, Options::default(), Data::sample(1, 5));
    let message = fails(&router_config(&store.router_base(), "myUser", "another-secret", "12345", START), &store);
    assert!(
        message.contains("rejected the credentials (HTTP 401)") && message.contains("router credentials"),
        "{message}"
    );
    let message = fails(&router_config(&store.router_base(), "myUser", ROUTER_SECRET, "99", START), &store);
    assert!(message.contains("rejected the credentials"), "{message}");
}

#[test]
fn a_missing_scope_is_named_and_the_rest_works() {
    let options = Options { tokens: vec![Token::new(TOKEN, &["read_orders"])], ..Options::default() };
    let store = start(SignIn::Token, options, Data::sample(1, 5));
    let run = Command::new("check").config(&config(SignIn::Token, &store)).run();
    let (status, message) = run.connection_status();
    assert_eq!(status, "SUCCEEDED");
    insta::assert_snapshot!(message);
    assert_eq!(run.warnings(), [message]);
}

#[test]
fn a_host_where_nobody_listens_fails() {
    let (status, message) = check_result(&store_config("http://127.0.0.1:9", TOKEN, START), &[], None);
    assert_eq!(status, "FAILED");
    insta::assert_snapshot!(message);
}

#[test]
fn a_host_that_does_not_exist_fails() {
    let (status, message) = check_result(&store_config("no-such-store.invalid", TOKEN, START), &[], None);
    assert_eq!(status, "FAILED");
    insta::assert_snapshot!(message);
}

#[test]
fn a_redirect_is_not_followed_and_the_right_host_is_named() {
    let other = start(SignIn::Token, Options::default(), Data::empty());
    let options = Options { redirect_to: Some(format!("{}/api/v1/orders", other.url())), ..Options::default() };
    let store = start(SignIn::Token, options, Data::empty());
    let message = fails(&config(SignIn::Token, &store), &store);
    insta::assert_snapshot!(message.replace(&other.addr().port().to_string(), "OTHER"));
    assert_eq!(other.requests().len(), 0, "the token must not travel");
}

#[test]
fn an_unknown_certificate_fails_and_ssl_cert_file_fixes_it() {
    let options = Options { tls: Some(Tls::default()), ..Options::default() };
    let store = start(SignIn::Token, options, Data::sample(1, 5));
    let config = store_config(&store.url(), TOKEN, START);
    let message = fails(&config, &store);
    insta::assert_snapshot!(message);
    let ca = store.ca_file().unwrap().to_str().unwrap().to_owned();
    assert_eq!(check_result(&config, &[("SSL_CERT_FILE", &ca)], Some(&store)).0, "SUCCEEDED");
    let (status, message) = check_result(&config, &[("SSL_CERT_FILE", "/nonexistent/ca.pem")], Some(&store));
    assert_eq!(status, "FAILED");
    assert!(message.contains("SSL_CERT_FILE") && message.contains("/nonexistent/ca.pem"), "{message}");
}

#[test]
fn an_expired_certificate_fails() {
    let tls = Tls { expired: true, ..Tls::default() };
    let store = start(SignIn::Token, Options { tls: Some(tls), ..Options::default() }, Data::empty());
    let ca = store.ca_file().unwrap().to_str().unwrap().to_owned();
    let (status, message) =
        check_result(&store_config(&store.url(), TOKEN, START), &[("SSL_CERT_FILE", &ca)], Some(&store));
    assert_eq!(status, "FAILED");
    assert!(message.contains("certificate"), "{message}");
}

#[test]
fn a_store_that_is_down_fails_within_the_retry_time() {
    let options = Options { fault: Some(Box::new(|_| Some(Fault::html(503)))), ..Options::default() };
    let store = start(SignIn::Token, options, Data::empty());
    let message = fails(&config(SignIn::Token, &store), &store);
    insta::assert_snapshot!(message);
    assert_eq!(store.requests().len(), 3 + 7, "three attempts at one resource, one at each of the others");
}

#[test]
fn a_scope_that_fails_is_reported_and_the_rest_works() {
    // The first that is tested, and one in the middle.
    for (failing, scope, how) in [
        ("customer_types", "read_people", "HTTP 500"),
        ("product_statuses", "read_catalog", "HTTP 500"),
        ("blogs", "read_content", "HTTP 400"),
    ] {
        let status = if how.ends_with("400") { 400 } else { 500 };
        let fault = move |seen: &crate::fake_store::RecordedRequest| {
            (seen.resource == failing).then(|| Fault::error(status, "", ""))
        };
        let store = start(SignIn::Token, Options { fault: Some(Box::new(fault)), ..Options::default() }, Data::empty());
        let run = Command::new("check").config(&config_with(&store, &json!({"_retry_seconds": 5}))).run();
        let (status, message) = run.connection_status();
        assert_eq!((run.code, status), (Some(0), "SUCCEEDED"), "{}", run.transcript());
        assert!(message.contains(&format!("`{scope}` ({how} on `{failing}`)")), "{message}");
        assert_eq!(run.warnings(), [message]);
    }
}

#[test]
fn a_web_page_instead_of_the_api_fails() {
    let options = Options { fault: Some(Box::new(|_| Some(Fault::html(404)))), ..Options::default() };
    let store = start(SignIn::Token, options, Data::empty());
    let message = fails(&config(SignIn::Token, &store), &store);
    insta::assert_snapshot!(message);
}

#[test]
fn a_bad_config_fails_with_each_fault() {
    let run = Command::new("check").config(&json!({"credentials": {"auth_type": "NEW"}, "start_date": "soon"})).run();
    assert_eq!(run.code, Some(0));
    let (status, message) = run.connection_status();
    assert_eq!(status, "FAILED");
    insta::assert_snapshot!(message);
}

#[test]
fn a_check_without_any_response_ends() {
    let options = Options { fault: Some(Box::new(|_| Some(Fault::Hang))), ..Options::default() };
    let store = start(SignIn::Token, options, Data::empty());
    for more in [json!({"_retry_seconds": 2}), json!({"_retry_seconds": 20, "_timeout_seconds": 1})] {
        let run = Command::new("check").config(&config_with(&store, &more)).run();
        assert_eq!((run.code, run.messages.len()), (Some(0), 1), "{}", run.transcript());
        let (status, message) = run.connection_status();
        assert!(status == "FAILED" && message.contains("did not answer"), "{message}");
    }
    assert!(store.requests().len() <= 1 + 3 + 7, "one attempt, then three, and one at each other resource");
}

#[test]
fn a_store_too_slow_for_all_scopes_is_reported_and_succeeds() {
    let slow = |seen: &crate::fake_store::RecordedRequest| (seen.n > 1).then_some(Fault::Hang);
    let store = start(SignIn::Token, Options { fault: Some(Box::new(slow)), ..Options::default() }, Data::empty());
    let run = Command::new("check").config(&config_with(&store, &json!({"_retry_seconds": 2}))).run();
    let (status, message) = run.connection_status();
    assert_eq!((run.code, status), (Some(0), "SUCCEEDED"), "{}", run.transcript());
    assert!(message.contains("accepts the credentials, but is so slow"), "{message}");
}

#[test]
fn no_retry_after_makes_a_check_wait_longer_than_its_limit() {
    let fault = |_: &crate::fake_store::RecordedRequest| {
        let headers = vec![("Retry-After".to_owned(), "315360000".to_owned())];
        Some(Fault::Answer { status: 429, headers, body: Vec::new() })
    };
    let store = start(SignIn::Token, Options { fault: Some(Box::new(fault)), ..Options::default() }, Data::empty());
    let message = fails(&config(SignIn::Token, &store), &store);
    assert!(message.contains("asked to wait until 20"), "{message}");
    assert_eq!(store.requests().len(), 1, "ten years are more than there is");
}
