//! `${NAME}` in the strings of a config: replaced from the environment, never shown.

use serde_json::{Value, json};

use crate::fake_store::{Data, Options, Token};
use crate::harness::command::Command;
use crate::harness::files::{ROUTER_SECRET, START, TOKEN, configured, router_config, store_config};
use crate::harness::setup::{SignIn, only_error, start};

/// A value of the environment that must not appear; the harness searches every output for it.
const HIDDEN: &str = "Hidden-Value-0123456789";

fn check(config: &Value, environment: &[(&str, &str)]) -> (String, String) {
    let command = environment.iter().fold(Command::new("check"), |command, (key, value)| command.env(key, value));
    let run = command.file("config", &config.to_string()).secret(HIDDEN).secret(&HIDDEN.to_lowercase()).run();
    assert_eq!(run.code, Some(0));
    let (status, message) = run.connection_status();
    (status.to_owned(), message.to_owned())
}

#[test]
fn both_sign_ins_work_with_all_values_from_the_environment() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 5));
    let config = store_config("${CART_STORE}", "${CART_TOKEN}", "${SINCE}");
    let environment = [("CART_STORE", store.url()), ("CART_TOKEN", TOKEN.to_owned()), ("SINCE", START.to_owned())];
    let environment: Vec<(&str, &str)> = environment.iter().map(|(key, value)| (*key, value.as_str())).collect();
    assert_eq!(check(&config, &environment).0, "SUCCEEDED");
    let read = environment.iter().fold(Command::new("read").arg("--debug"), |run, (key, value)| run.env(key, value));
    let run = read.file("config", &config.to_string()).catalog(&configured(&[("orders", "full_refresh")])).run();
    assert_eq!((run.code, run.records("orders").len()), (Some(0), 5));

    let router = start(SignIn::Router, Options::default(), Data::sample(1, 5));
    let config = router_config(&router.router_base(), "${USER_NAME}", "${SECRET}", "${SITE}", START);
    let environment = [("USER_NAME", "myUser"), ("SECRET", ROUTER_SECRET), ("SITE", "12345")];
    assert_eq!(check(&config, &environment).0, "SUCCEEDED");
}

#[test]
fn a_missing_variable_is_named_with_its_field() {
    let config = store_config("${STORE}", "${CART_TOKEN}", START);
    let (status, message) = check(&config, &[("STORE", "mystore.americommerce.com")]);
    assert_eq!(status, "FAILED");
    insta::assert_snapshot!(message);
    let run = Command::new("read").config(&config).arg("--streams").arg("orders").run();
    assert_eq!(run.code, Some(1));
    assert!(only_error(&run).contains("`store_name` uses the environment variable `STORE`"));
}

#[test]
fn the_value_of_a_variable_is_never_shown_even_in_the_wrong_field() {
    let mut config = store_config("${X}", TOKEN, "${X}");
    config["end_date"] = "${X}".into();
    config["expand"] = json!(["${X}", "orders.${X}", "${X}.items"]);
    let first = check(&config, &[("X", HIDDEN)]);
    config["credentials"]["auth_type"] = "${X}".into();
    let second = check(&config, &[("X", HIDDEN)]);
    let spaced = check(&store_config("${X} y", TOKEN, START), &[("X", HIDDEN)]);
    insta::assert_snapshot!([first, second, spaced].map(|(_, message)| message).join("\n"));
}

#[test]
fn discover_needs_only_the_variables_that_it_uses() {
    let mut config = store_config("${STORE}", "${CART_TOKEN}", START);
    let plain = Command::new("discover").run();
    let run = Command::new("discover").file("config", &config.to_string()).run();
    assert_eq!((run.code, run.stdout == plain.stdout), (Some(0), true));
    config["expand"] = json!(["${WHAT}"]);
    let run = Command::new("discover").file("config", &config.to_string()).env("WHAT", "orders.items").run();
    let orders = run.catalog()["streams"].as_array().unwrap().iter().find(|stream| stream["name"] == "orders").cloned();
    assert!(orders.unwrap()["json_schema"]["properties"]["items"].is_object());
    let run = Command::new("discover").file("config", &config.to_string()).run();
    assert_eq!(run.code, Some(1));
    assert!(only_error(&run).starts_with("`expand[0]` uses the environment variable `WHAT`, which is not set"));
}

#[test]
fn a_token_may_contain_dollar_signs() {
    let options = Options { tokens: vec![Token::full("$pa$$word${X}")], ..Options::default() };
    let store = start(SignIn::Token, options, Data::sample(1, 5));
    let config = store_config(&store.url(), "$pa$$word$${X}", START);
    assert_eq!(check(&config, &[("X", HIDDEN)]).0, "SUCCEEDED");
}
