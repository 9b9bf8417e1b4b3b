//! `read --dry-run`: an estimate of the next read from one request for each stream, without reading anything else.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cases::deletions::declaring_deletions;
use crate::fake_store::{Data, FakeStore, Fault, Limit, Options, RecordedRequest, Stamp, Token};
use crate::harness::command::{Command, Signal};
use crate::harness::files::{Files, TOKEN, configured};
use crate::harness::run::Output;
use crate::harness::setup::{SignIn, config, config_with, minutes, read, start};

fn asked(store: &FakeStore, config: &Value, streams: &[(&str, &str)], state: &str, more: &[&str]) -> Output {
    let command = Command::new("read").config(config).catalog(&configured(streams)).state(state).arg("--dry-run");
    store.clear_requests();
    more.iter().fold(command, |command, option| command.arg(option)).output()
}

/// Returns the JSON document of a dry run that succeeds.
fn forecast(store: &FakeStore, config: &Value, streams: &[(&str, &str)], state: &str) -> Value {
    let output = asked(store, config, streams, state, &["--json"]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Returns rows, pages and calls of the first stream.
fn numbers(forecast: &Value) -> (u64, u64, u64) {
    let stream = &forecast["streams"][0];
    let number = |key: &str| stream[key].as_u64().unwrap_or_else(|| panic!("{forecast}"));
    (number("rows"), number("pages"), number("calls"))
}

#[test]
fn a_dry_run_predicts_what_the_read_requests() {
    let mut data = minutes("orders", 1, 3500);
    for id in 1..=20 {
        data.insert_lean("order_statuses", id, Stamp::Null, Stamp::Null);
        data.insert_lean("product_lists", id, Stamp::Null, Stamp::Null);
    }
    let store = start(SignIn::Token, Options::default(), data);
    let config = config(SignIn::Token, &store);
    let streams = [("orders", "incremental"), ("product_lists", "full_refresh")];
    let reported = forecast(&store, &config, &streams, "[]");
    assert_eq!(store.requests().len(), 2, "one request a stream: {:?}", store.requests());
    let (rows, pages, calls) = numbers(&reported);
    assert_eq!((rows, pages), (3500, 4));
    assert_eq!(reported["streams"][1]["rows"], 20);
    assert_eq!(reported["total"]["rows"], 3520);

    store.clear_requests();
    let run = read(&config, &configured(&streams), "[]");
    assert_eq!(run.records("orders").len() as u64, rows);
    let made = store.requests().iter().filter(|seen| seen.resource == "orders").count() as u64;
    assert!(made.abs_diff(calls) <= 2, "{calls} calls were predicted, {made} were made");

    // Nothing changed: one call and no rows, although the read looks back.
    let state = run.last_state_list();
    let reported = forecast(&store, &config, &streams, &state);
    assert_eq!((numbers(&reported), reported["streams"][1]["rows"].as_u64()), ((0, 1, 1), Some(20)));
    // Some rows changed.
    store.data(|data| {
        data.now_ms += 3_600_000;
        let at = data.now_ms;
        for id in 1..=7 {
            data.set_updated_at("orders", id, Stamp::At(at));
        }
    });
    let reported = forecast(&store, &config, &streams, &state);
    assert_eq!(numbers(&reported), (7, 1, 1));
    assert_eq!(store.requests().len(), 2);
    let run = read(&config, &configured(&streams), &state);
    assert_eq!(run.records("orders").len(), 7);
    // A full refresh reads all rows anyway.
    let reported = forecast(&store, &config, &[("orders", "full_refresh")], &state);
    assert_eq!(numbers(&reported).0, 3500);
}

#[test]
fn the_search_for_deleted_rows_is_part_of_the_estimate() {
    let store = start(SignIn::Token, Options::default(), minutes("orders", 1, 2_500));
    let usual = config(SignIn::Token, &store);
    let detecting = config_with(&store, &json!({"detect_deletions": ["orders"]}));
    let catalog = |mode: &str| declaring_deletions(configured(&[("orders", mode)]));
    let calls = |config: &Value, catalog: &Value, state: &str| {
        let output = Command::new("read").config(config).catalog(catalog).state(state).arg("--dry-run").arg("--json");
        let output = output.output();
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        numbers(&serde_json::from_slice(&output.stdout).unwrap()).2
    };
    let made = |config: &Value, state: &str| {
        store.clear_requests();
        let run = read(config, &catalog("incremental"), state);
        (store.requests().len() as u64, run.last_state_list())
    };
    let incremental = catalog("incremental");
    let (_, without) = made(&usual, "[]");
    let (_, known) = made(&detecting, "[]");
    // On the first sync, on an unchanged one, and on the one that lists all ids.
    for (state, more) in [("[]", 1), (&known, 1), (&without, 3)] {
        let [usually, detected] = [&usual, &detecting].map(|config| calls(config, &incremental, state));
        assert_eq!(detected, usually + more, "{state}");
        let [usually, detected] = [&usual, &detecting].map(|config| made(config, state).0);
        assert_eq!(detected, usually + more, "{state}");
    }
    // A full refresh, a catalog that does not declare the mark, and a list with all rows need no search.
    let undeclared = configured(&[("orders", "incremental")]);
    for (catalog, state) in [(&catalog("full_refresh"), "[]"), (&undeclared, "[]"), (&undeclared, &known)] {
        assert_eq!(calls(&detecting, catalog, state), calls(&usual, catalog, state));
    }
    store.data(|data| (100..=2_500).for_each(|id| assert!(data.delete("orders", id))));
    assert_eq!((calls(&detecting, &incremental, "[]"), made(&detecting, "[]").0), (1, 1));
}

#[test]
fn the_rest_of_an_interrupted_read_is_estimated() {
    let options = Options { latency: Duration::from_millis(20), max_count: Some(50), ..Options::default() };
    let store = start(SignIn::Token, options, minutes("orders", 1, 3000));
    let config = config_with(&store, &json!({"max_requests_in_flight": 1}));
    let streams = [("orders", "incremental")];
    let command = Command::new("read").config(&config).catalog(&configured(&streams));
    let cut = command.signal_when(Signal::Term, || store.requests().len() > 40).run();
    let came = cut.records("orders").len() as u64;
    assert!(came > 0 && came < 3000, "{came}");
    let reported = forecast(&store, &config, &streams, &cut.last_state_list());
    assert_eq!((numbers(&reported).0, store.requests().len()), (3000 - came, 1));
}

#[test]
fn the_time_is_that_of_the_calls_at_the_stores_call_limit() {
    let options = Options { limit: Some(Limit::new(20)), ..Options::default() };
    let store = start(SignIn::Token, options, minutes("orders", 1, 17_500));
    let half = config_with(&store, &json!({"call_limit_percent": 50}));
    let reported = forecast(&store, &half, &[("orders", "incremental")], "[]");
    let (_, pages, calls) = numbers(&reported);
    assert_eq!((pages, reported["call_limit"]["allowed"].as_u64()), (18, Some(20)));
    let in_use = reported["call_limit"]["in_use"].as_u64().unwrap();
    assert!((1..=10).contains(&in_use), "{reported}");
    assert_eq!(reported["total"]["seconds"].as_u64(), Some((calls * 10).div_ceil(in_use)), "{reported}");
    // A store that does not report its limit.
    let options = Options { call_limit_header: false, ..Options::default() };
    let store = start(SignIn::Token, options, minutes("orders", 1, 5));
    let reported = forecast(&store, &config(SignIn::Token, &store), &[("orders", "incremental")], "[]");
    assert_eq!((&reported["total"]["seconds"], &reported["call_limit"]["allowed"]), (&Value::Null, &Value::Null));
}

#[test]
fn stdout_has_only_the_table_and_no_file_is_changed() {
    let options = Options {
        tokens: vec![Token::new(TOKEN, &["read_orders"])],
        limit: Some(Limit::new(50)),
        ..Options::default()
    };
    let store = start(SignIn::Token, options, Data::sample(1, 30));
    let files = Files::new();
    let (out, state) = (files.path("out").display().to_string(), files.path("state.json").display().to_string());
    let more = ["--output", &out, "--format", "csv", "--state-out", &state];
    let streams = [("orders", "incremental"), ("order_statuses", "full_refresh")];
    let output = asked(&store, &config(SignIn::Token, &store), &streams, "[]", &more);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    let table = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["stream", "mode", "rows", "pages", "calls", "time"], "{table}");
    assert_eq!(
        (rows[1][..3].to_vec(), rows[2][..3].to_vec()),
        (vec!["orders", "incremental", "30"], vec!["order_statuses", "full", "9"])
    );
    assert_eq!((rows[3][0], rows[3][1], rows.len()), ("total", "39", 5), "{table}");
    assert!(rows[4].join(" ").starts_with("Call limit: 50 per 10 s"), "{table}");
    assert!(!files.path("out").exists() && !files.path("state.json").exists());
    // The command line of a schedule, before its first run.
    let command = Command::new("read").config(&config(SignIn::Token, &store)).arg("--streams").arg("orders");
    let command = command.arg("--state").arg(&state).arg("--state-out").arg(&state);
    assert_eq!(command.arg("--dry-run").output().code, Some(0));

    // A stream that cannot be requested is unknown, the others are not; stderr has the reason.
    let streams = [("products", "incremental"), ("orders", "incremental")];
    let output = asked(&store, &config(SignIn::Token, &store), &streams, "[]", &[]);
    assert_eq!(output.code, Some(1), "a scope has to be added");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("products  incremental     -") && table.contains("orders    incremental    30"), "{table}");
    assert!(
        output.stderr.starts_with("error: products: ") && output.stderr.contains("`read_catalog`"),
        "{}",
        output.stderr
    );
    let output = asked(&store, &config(SignIn::Token, &store), &streams, "[]", &["--json"]);
    let reported: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(reported["streams"][0]["error"].as_str().unwrap().contains("`read_catalog`"), "{reported}");
    assert_eq!((&reported["total"]["rows"], &reported["streams"][1]["error"]), (&Value::Null, &Value::Null));
}

#[test]
fn an_outage_exits_with_75_and_an_unusable_config_with_1() {
    let fault = |_: &RecordedRequest| Some(Fault::html(503));
    let options = Options { fault: Some(Box::new(fault)), ..Options::default() };
    let store = start(SignIn::Token, options, Data::sample(1, 3));
    let quick = config_with(&store, &json!({"_retry_seconds": 1}));
    let output = asked(&store, &quick, &[("orders", "incremental")], "[]", &[]);
    assert_eq!(output.code, Some(75), "{}", output.stderr);
    let files = Files::new();
    fs::write(files.path("config.json"), "{}").unwrap();
    let command = Command::new("read").arg("--config").arg(&files.path("config.json").display().to_string());
    let output = command.arg("--streams").arg("orders").arg("--dry-run").output();
    assert_eq!((output.code, output.stdout.len()), (Some(1), 0));
    assert!(output.stderr.starts_with("error: "), "{}", output.stderr);
    // A dry run reads nothing, so there is nothing to summarise.
    let output = Command::new("read")
        .arg("--config")
        .arg("c")
        .arg("--streams")
        .arg("all")
        .arg("--dry-run")
        .arg("--summary")
        .arg("s")
        .output();
    assert_eq!(output.code, Some(2));
}
