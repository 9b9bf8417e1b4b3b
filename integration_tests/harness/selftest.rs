//! Tests the harness with prepared output: each assertion passes for correct output and fails for wrong output.

use std::time::Duration;

use serde_json::{Value, json};

use super::command::{Command, Signal};
use super::destination::Destination;
use super::files::{Files, ROUTER_SECRET, TOKEN, configured_stream, router_config, store_config};
use super::json::{Declared, arrived, decimal, instant, same};
use super::message::Message;
use super::order::{ReadCheck, assert_read_is_well_formed, is_utc_instant};
use super::run::{Output, Run};
use crate::fake_store::{Data, Row, Stamp};

/// 2021-07-01T13:59:28.457Z.
const JULY: i64 = 1_625_147_968_457;
/// The same time as a string.
const JULY_TEXT: &str = "2021-07-01T13:59:28.457Z";

fn record(stream: &str, data: &str) -> String {
    format!(r#"{{"type":"RECORD","record":{{"stream":"{stream}","data":{data},"emitted_at":1625147968457}}}}"#)
}

fn state(stream: &str, state: &str, count: &str) -> String {
    format!(
        r#"{{"type":"STATE","state":{{"type":"STREAM","stream":{{"stream_descriptor":{{"name":"{stream}"}},"stream_state":{state}}},"sourceStats":{{"recordCount":{count}}}}}}}"#
    )
}

fn status(stream: &str, status: &str) -> String {
    let (status, reasons) = match status {
        "RATE_LIMITED" => {
            ("RUNNING", r#","reasons":[{"type":"RATE_LIMITED","rate_limited":{"quota_reset":1625147969000}}]"#)
        }
        other => (other, ""),
    };
    format!(
        r#"{{"type":"TRACE","trace":{{"type":"STREAM_STATUS","emitted_at":1625147968457.0,"stream_status":{{"stream_descriptor":{{"name":"{stream}"}},"status":"{status}"{reasons}}}}}}}"#
    )
}

fn failure(stream: &str) -> String {
    format!(
        r#"{{"type":"TRACE","trace":{{"type":"ERROR","emitted_at":1625147968457.0,"error":{{"message":"The store is broken.","internal_message":"500","failure_type":"system_error","stream_descriptor":{{"name":"{stream}"}}}}}}}}"#
    )
}

fn estimate(stream: &str, rows: u64) -> String {
    format!(
        r#"{{"type":"TRACE","trace":{{"type":"ESTIMATE","emitted_at":1625147968457.0,"estimate":{{"name":"{stream}","type":"STREAM","row_estimate":{rows}}}}}}}"#
    )
}

fn log(level: &str, text: &str) -> String {
    json!({"type": "LOG", "log": {"level": level, "message": text}}).to_string()
}

fn row_1() -> String {
    format!(
        r#"{{"id":1,"total":1886.0000,"note":null,"paid_at":null,"updated_at":"{JULY_TEXT}","created_at":"{JULY_TEXT}"}}"#
    )
}

fn try_run(lines: &[String], code: i32) -> Result<Run, String> {
    let stdout = lines.iter().flat_map(|line| [line.as_str(), "\n"]);
    let output = Output { code: Some(code), stdout: stdout.collect::<String>().into_bytes(), ..Output::default() };
    Run::new(output, &[TOKEN.to_owned(), ROUTER_SECRET.to_owned()])
}

fn run(lines: &[String], code: i32) -> Run {
    try_run(lines, code).unwrap()
}

fn orders() -> Value {
    json!({
        "name": "orders",
        "json_schema": {"type": "object", "properties": {
            "id": {"type": "integer"},
            "total": {"type": ["null", "number"]},
            "note": {"type": ["null", "string"]},
            "paid_at": {"type": ["null", "string"], "format": "date-time"},
            "updated_at": {"type": ["null", "string"], "format": "date-time"},
            "created_at": {"type": ["null", "string"], "format": "date-time"},
        }},
        "supported_sync_modes": ["full_refresh", "incremental"],
        "source_defined_cursor": true,
        "default_cursor_field": ["updated_at"],
        "source_defined_primary_key": [["id"]],
        "is_resumable": true,
    })
}

fn catalog() -> Value {
    json!({"streams": [configured_stream(orders(), "incremental")]})
}

fn good_lines() -> Vec<String> {
    vec![
        log("INFO", "reading"),
        status("orders", "STARTED"),
        estimate("orders", 2),
        status("orders", "RUNNING"),
        record("orders", &row_1()),
        state("orders", r#"{"updated_at":"2021-07-01T00:00:00Z","walk":{"left":[[1,null]]}}"#, "1.0"),
        status("orders", "RATE_LIMITED"),
        record("orders", r#"{"id":2,"updated_at":null}"#),
        state("orders", &format!(r#"{{"updated_at":"{JULY_TEXT}"}}"#), "1.0"),
        status("orders", "COMPLETE"),
    ]
}

fn violations(lines: &[String], code: i32) -> Vec<String> {
    let (run, catalog) = (run(lines, code), catalog());
    ReadCheck::new(&run, &catalog).violations()
}

/// Asserts that the expected violation is found, and no other.
fn assert_violation(lines: &[String], code: i32, expected: &str) {
    let found = violations(lines, code);
    assert!(
        !found.is_empty() && found.iter().all(|text| text.contains(expected)),
        "expected {expected:?}, found {found:?}"
    );
}

/// Returns the correct lines, with some of them replaced.
fn changed(at: std::ops::Range<usize>, with: &[String]) -> Vec<String> {
    let mut lines = good_lines();
    lines.splice(at, with.iter().cloned());
    lines
}

#[test]
fn every_kind_of_message_is_accepted() {
    let lines = [
        r#"{"type":"SPEC","spec":{"documentationUrl":"https://example.org","connectionSpecification":{"type":"object","properties":{"a":{}},"required":["a"]}}}"#,
        r#"{"type":"CONNECTION_STATUS","connectionStatus":{"status":"SUCCEEDED"}}"#,
        r#"{"type":"CONNECTION_STATUS","connectionStatus":{"status":"FAILED","message":"no"}}"#,
        r#"{"type":"TRACE","trace":{"type":"ANALYTICS","emitted_at":1,"analytics":{"type":"a","value":"b"}}}"#,
        r#"{"type":"RECORD","record":{"stream":"a","namespace":null,"data":{"b":1},"emitted_at":1,"meta":{"changes":[{"field":"b","change":"NULLED","reason":"SOURCE_SERIALIZATION_ERROR"}]}}}"#,
    ];
    for line in lines {
        assert_eq!(Message::parse(line).err(), None);
    }
    for line in good_lines().into_iter().chain([failure("orders")]) {
        assert_eq!(Message::parse(&line).err(), None);
    }
    let catalog = json!({"type": "CATALOG", "catalog": {"streams": [orders()]}});
    assert_eq!(Message::parse(&catalog.to_string()).err(), None);
}

#[test]
fn messages_that_the_platform_would_drop_or_refuse_are_rejected() {
    let lines = [
        "plain text",
        r#"["RECORD"]"#,
        r#"{"type":"DEBUG","message":"x"}"#,
        r#"{"type":"RECORD"}"#,
        r#"{"type":"RECORD","record":{"stream":"a","data":{},"emitted_at":1}}"#,
        r#"{"type":"RECORD","record":{"stream":"a","data":null,"emitted_at":1}}"#,
        r#"{"type":"RECORD","record":{"stream":"a","data":{"b":1}}}"#,
        r#"{"type":"RECORD","record":{"stream":"a","data":{"b":1},"emitted_at":1.0}}"#,
        r#"{"type":"RECORD","record":{"stream":"a","data":{"b":1},"emitted_at":1.5}}"#,
        r#"{"type":"RECORD","record":{"stream":"a","namespace":"","data":{"b":1},"emitted_at":1}}"#,
        r#"{"type":"RECORD","record":{"stream":"a","data":{"b":1},"emitted_at":1}} {}"#,
        r#"{"type":"STATE","state":{"data":{"a":{}}}}"#,
        r#"{"type":"STATE","state":{"type":"LEGACY","data":{"a":{}}}}"#,
        r#"{"type":"STATE","state":{"type":"STREAM","stream":{"stream_descriptor":{"name":"a"},"stream_state":{}}}}"#,
        r#"{"type":"STATE","state":{"type":"STREAM","stream":{"stream_descriptor":{"name":"a"},"stream_state":{}},"sourceStats":{}}}"#,
        r#"{"type":"STATE","state":{"type":"STREAM","stream":{"stream_descriptor":{"name":"a"},"stream_state":null},"sourceStats":{"recordCount":0.0}}}"#,
        r#"{"type":"STATE","state":{"type":"STREAM","stream":{"stream_descriptor":{"name":"a","namespace":""},"stream_state":{}},"sourceStats":{"recordCount":0.0}}}"#,
        r#"{"type":"LOG","log":{"level":"WARNING","message":"x"}}"#,
        r#"{"type":"TRACE","trace":{"type":"ERROR","error":{"message":"x","failure_type":"system_error"}}}"#,
        r#"{"type":"TRACE","trace":{"emitted_at":1,"error":{"message":"x","failure_type":"system_error"}}}"#,
        r#"{"type":"TRACE","trace":{"type":"ERROR","emitted_at":1,"error":{"message":"x","failure_type":"user_error"}}}"#,
        r#"{"type":"TRACE","trace":{"type":"ESTIMATE","emitted_at":1,"estimate":{"name":"a","type":"SYNC"}}}"#,
        r#"{"type":"TRACE","trace":{"type":"STREAM_STATUS","emitted_at":1,"stream_status":{"stream_descriptor":{"name":"a"},"status":"DONE"}}}"#,
        r#"{"type":"TRACE","trace":{"type":"STREAM_STATUS","emitted_at":1,"stream_status":{"stream_descriptor":{"name":"a"},"status":"COMPLETE","reasons":[{"type":"RATE_LIMITED"}]}}}"#,
        r#"{"type":"CONNECTION_STATUS","connectionStatus":{"status":"FAILED"}}"#,
        r#"{"type":"CATALOG","catalog":{"streams":[{"name":"a","json_schema":{},"supported_sync_modes":["full_refresh"]}]}}"#,
        r#"{"type":"CATALOG","catalog":{"streams":[{"name":"a","json_schema":{"type":"object","properties":{"b":{"type":"string"}}},"supported_sync_modes":[]}]}}"#,
        r#"{"type":"CATALOG","catalog":{"streams":[{"name":"a","json_schema":{"type":"object","properties":{"b":{"type":"string"}}},"supported_sync_modes":["full_refresh"],"is_resumable":true}]}}"#,
    ];
    for line in lines {
        assert!(Message::parse(line).is_err(), "accepted: {line}");
    }
}

#[test]
fn accessors_find_what_was_said() {
    let mut lines = good_lines();
    lines.push(failure("orders"));
    lines.push(log("WARN", "careful"));
    let run = run(&lines, 1);
    assert_eq!(run.ids("orders"), [1, 2]);
    assert_eq!(run.data("orders")[1], r#"{"id":2,"updated_at":null}"#);
    let first = run.records("orders")[0];
    assert_eq!(first.field("total").as_deref(), Some("1886.0000"));
    assert_eq!(run.statuses("orders"), ["STARTED", "RUNNING", "RATE_LIMITED", "COMPLETE"]);
    assert_eq!(run.estimate("orders"), Some(2));
    assert_eq!(run.logs(), [("INFO", "reading"), ("WARN", "careful")]);
    assert_eq!(run.warnings(), ["careful"]);
    assert_eq!(run.errors()[0].failure_type, "system_error");
    assert_eq!(run.errors()[0].stream.as_deref(), Some("orders"));
    assert_eq!(run.errors()[0].message, "The store is broken.");
    assert_eq!(run.errors()[0].internal_message, "500");
    assert_eq!(run.last_state("orders"), Some(&json!({"updated_at": JULY_TEXT})));
    let list: Value = serde_json::from_str(&run.last_state_list()).unwrap();
    assert_eq!(list.as_array().map(Vec::len), Some(1));
    assert_eq!(list[0]["stream"]["stream_state"], json!({"updated_at": JULY_TEXT}));
    assert!(run.records("products").is_empty());
    assert_eq!(run.signal, None);
    assert!(!run.interrupted);
}

#[test]
fn bodies_of_the_short_commands() {
    let lines = [
        r#"{"type":"SPEC","spec":{"connectionSpecification":{"type":"object","properties":{"a":{}}}}}"#.to_owned(),
        r#"{"type":"CONNECTION_STATUS","connectionStatus":{"status":"FAILED","message":"no"}}"#.to_owned(),
        json!({"type": "CATALOG", "catalog": {"streams": [orders()]}}).to_string(),
    ];
    let run = run(&lines, 0);
    assert_eq!(run.spec()["connectionSpecification"]["type"], "object");
    assert_eq!(run.connection_status(), ("FAILED", "no"));
    assert_eq!(run.catalog()["streams"][0]["name"], "orders");
}

#[test]
fn a_secret_in_the_output_is_found() {
    for secret in [TOKEN, ROUTER_SECRET] {
        let lines = [log("INFO", &format!("sent {secret} to the store"))];
        assert!(try_run(&lines, 0).unwrap_err().contains("secret"));
        let output = Output { stderr: format!("sent {secret}"), ..Output::default() };
        let error = Run::new(output, &[secret.to_owned()]).unwrap_err();
        assert!(error.contains("stderr"), "{error}");
    }
}

#[test]
fn half_a_line_is_an_error_unless_the_run_was_cut() {
    let output = |interrupted| Output {
        stdout: format!("{}\n{{\"type\":\"REC", log("INFO", "a")).into_bytes(),
        interrupted,
        ..Output::default()
    };
    assert!(Run::new(output(false), &[]).is_err());
    assert_eq!(Run::new(output(true), &[]).unwrap().messages.len(), 1);
}

#[test]
fn a_good_read_is_well_formed() {
    assert_read_is_well_formed(&run(&good_lines(), 0), &catalog());
    let empty = [status("orders", "STARTED"), state("orders", "{}", "0.0"), status("orders", "COMPLETE")];
    assert_read_is_well_formed(&run(&empty, 0), &catalog());
    let failed = changed(8..10, &[failure("orders"), status("orders", "INCOMPLETE")]);
    assert_read_is_well_formed(&run(&failed, 1), &catalog());
}

#[test]
fn a_cut_read_needs_no_end() {
    let catalog = catalog();
    for end in 0..good_lines().len() {
        let run = run(&good_lines()[..end], 137);
        ReadCheck::new(&run, &catalog).cut().assert();
    }
}

#[test]
fn violations_of_the_order_are_found() {
    let none: [String; 0] = [];
    let orders = |text: &str| status("orders", text);
    assert_violation(&changed(1..2, &none), 0, "STARTED");
    assert_violation(&changed(2..2, &[orders("STARTED")]), 0, "2 times STARTED");
    assert_violation(&changed(3..4, &none), 0, "before RUNNING");
    assert_violation(&changed(4..4, &[orders("RUNNING")]), 0, "RUNNING twice");
    assert_violation(&changed(9..9, &[orders("RUNNING")]), 0, "no STATE between");
    assert_violation(&changed(9..9, &[record("orders", &row_1())]), 0, "COMPLETE with 1 RECORDs");
    assert_violation(&changed(10..10, &[state("orders", r#"{"a":1}"#, "0.0")]), 0, "after COMPLETE");
    assert_violation(&changed(9..10, &[failure("orders")]), 1, "terminal statuses []");
    assert_violation(&changed(10..10, &[failure("orders")]), 0, "COMPLETE with a");
    assert_violation(&changed(9..10, &[orders("INCOMPLETE")]), 1, "without a TRACE error");
    assert!(!violations(&changed(10..10, &[orders("COMPLETE")]), 0).is_empty());
}

#[test]
fn violations_of_the_states_are_found() {
    let last = format!(r#"{{"updated_at":"{JULY_TEXT}"}}"#);
    let with = |count: &str| changed(8..9, &[state("orders", &last, count)]);
    assert_violation(&with("2.0"), 0, "recordCount 2.0 after 1");
    assert_violation(&with("1"), 0, "not printed as a float");
    let again = changed(9..9, &[state("orders", &last, "0.0")]);
    assert_violation(&again, 0, "twice");
    let bare = [status("orders", "STARTED"), status("orders", "COMPLETE")];
    let found = violations(&bare, 0);
    assert!(found.contains(&"orders: no STATE".to_owned()), "{found:?}");
}

#[test]
fn violations_of_the_exit_code_are_found() {
    assert!(!violations(&good_lines(), 1).is_empty());
    let failed = changed(8..10, &[failure("orders"), status("orders", "INCOMPLETE")]);
    assert_violation(&failed, 0, "exit code Some(0)");
}

#[test]
fn violations_of_the_records_are_found() {
    let with = |data: &str| changed(7..8, &[record("orders", data)]);
    assert_violation(&with(r#"{"id":"2"}"#), 0, "is not of type");
    assert_violation(&with(r#"{"id":2,"total":"12"}"#), 0, "is not of type");
    assert_violation(&with(r#"{"id":2,"paid_at":""}"#), 0, "is no date-time");
    assert_violation(&with(r#"{"id":2,"paid_at":"2021-07-01T08:59:28-05:00"}"#), 0, "is no date-time");
    assert_violation(&with(r#"{"note":"x"}"#), 0, "the key field id is null");
    assert_violation(&with(r#"{"id":2,"surprise":1}"#), 0, "undeclared field");
    let mut reported = with(r#"{"id":2,"surprise":1}"#);
    reported.push(log("WARN", "unknown field surprise"));
    assert_read_is_well_formed(&run(&reported, 0), &catalog());

    let (odd, catalog) = (run(&with(r#"{"id":2,"total":"x"}"#), 0), catalog());
    ReadCheck::new(&odd, &catalog).misfit("orders", "total").assert();
    let other = ReadCheck::new(&odd, &catalog).misfit("orders", "note");
    assert_eq!(other.violations().len(), 1);
}

#[test]
fn messages_that_do_not_belong_are_found() {
    let stranger = changed(2..2, &[record("products", r#"{"id":1}"#)]);
    assert_violation(&stranger, 0, "products is not in the catalog");
    let check = r#"{"type":"CONNECTION_STATUS","connectionStatus":{"status":"SUCCEEDED"}}"#;
    assert_violation(&changed(2..2, &[check.to_owned()]), 0, "does not belong");
}

#[test]
fn only_utc_instants_pass() {
    for good in [JULY_TEXT, "2024-02-29T00:00:00Z"] {
        assert!(is_utc_instant(good), "{good}");
    }
    let bad = [
        "2021-07-01T08:59:28.457-05:00",
        "2021-07-01T13:59:28.45Z",
        "2021-07-01T13:59:28",
        "2021-07-01 13:59:28Z",
        "2021-02-29T00:00:00Z",
        "2021-07-01T25:00:00Z",
        "",
    ];
    for text in bad {
        assert!(!is_utc_instant(text), "{text}");
    }
}

#[test]
fn raw_values_are_compared_digit_by_digit() {
    assert!(same("1886.0000", "1886.0000"));
    assert!(!same("1886.0000", "1886.0"));
    assert!(!same("12345678901234567890", "12345678901234567891"));
    assert!(same(r#"{"a":[1.0,"é"],"b":null}"#, r#"{ "b": null, "a": [1.0, "\u00e9"] }"#));
    assert!(!same(r#"{"a":[1.0]}"#, r#"{"a":[1.00]}"#));
    assert!(!same(r#"{"a":1}"#, r#"{"a":1,"b":2}"#));
    assert!(!same("[1]", "[1,2]"));
    assert!(!same("null", "\"\""));
}

#[test]
fn documented_coercions_are_allowed_where_they_are_declared() {
    use Declared::{Instant, Number, Other, Text, Unknown};
    let local = r#""2021-07-01T08:59:28.4571234-05:00""#;
    let utc = format!("\"{JULY_TEXT}\"");
    assert!(arrived(local, &utc, Instant));
    assert!(arrived(local, &utc, Unknown));
    assert!(!arrived(local, &utc, Other));
    assert!(!arrived(local, r#""2021-07-01T13:59:28.458Z""#, Unknown));
    assert!(!arrived(local, "null", Instant));
    for declared in [Instant, Number, Unknown] {
        assert!(arrived("\"\"", "null", declared));
    }
    assert!(!arrived("\"\"", "null", Other));
    assert!(arrived("\"\"", "\"\"", Other));
    assert!(arrived("\" 12.50\"", "12.50", Number));
    assert!(!arrived("\"12.50\"", "12.51", Number));
    assert!(!arrived("\"12.50\"", "12.50", Other));
    assert!(!arrived("12.50", "12.5", Number));
    assert!(arrived("\"soon\"", "\"soon\"", Instant));
    for declared in [Text, Unknown] {
        assert!(arrived("12.50", "\"12.50\"", declared) && arrived("-7", "\"-7\"", declared));
        assert!(!arrived("12.50", "\"12.5\"", declared) && !arrived("true", "\"true\"", declared));
    }
    assert!(arrived("\"soon\"", "\"soon\"", Text) && !arrived("7", "\"7\"", Other) && !arrived("7", "\"7\"", Number));
}

#[test]
fn decimals_are_normalised() {
    let same = ["12.50", "+012.5", "1.25e1", " 125E-1 ", "12.500"];
    for text in same {
        assert_eq!(decimal(text), Some((false, "125".to_owned(), -1)), "{text:?}");
    }
    assert_eq!(decimal("-0.0"), decimal("0"));
    assert_eq!(decimal("100"), Some((false, "1".to_owned(), 2)));
    assert_ne!(decimal("-1"), decimal("1"));
    for text in ["", "-", "1.2.3", "1e", "x", "0x1"] {
        assert_eq!(decimal(text), None, "{text:?}");
    }
    assert_eq!(instant(JULY_TEXT), Some(JULY));
}

fn row(id: i64, at: Stamp) -> Row {
    let fields = [("total", "1886.0000"), ("note", "null"), ("paid_at", "\"\"")];
    Row {
        id,
        updated_at: at,
        created_at: Stamp::At(JULY),
        fields: fields.into_iter().map(|(name, raw)| (name.to_owned(), raw.to_owned())).collect(),
    }
}

fn store(rows: Vec<Row>) -> Data {
    let mut data = Data::empty();
    for row in rows {
        data.insert("orders", row);
    }
    data
}

/// Returns a destination after these runs, each with its lines of stdout.
fn destination(keep_uncovered: bool, runs: &[&[String]]) -> Destination {
    let mut destination = Destination::with_catalog(keep_uncovered, &catalog());
    for lines in runs {
        destination.take(&run(lines, 0));
    }
    destination
}

fn covered(data: &str) -> [String; 2] {
    [record("orders", data), state("orders", &format!(r#"{{"updated_at":"{JULY_TEXT}"}}"#), "1.0")]
}

#[test]
fn a_faithful_destination_is_clean() {
    let store = store(vec![row(1, Stamp::At(JULY))]);
    let destination = destination(false, &[&covered(&row_1())]);
    let comparison = destination.compare(&store, "orders", "orders", None, None);
    comparison.assert_clean_with_missing_dates("one row");
    assert!(comparison.gone.is_empty());
    assert_eq!(destination.len("orders"), 1);
    assert_eq!(destination.state("orders"), Some(json!({"updated_at": JULY_TEXT})));
    let list: Value = serde_json::from_str(&destination.state_list()).unwrap();
    assert_eq!(list[0]["stream"]["stream_state"], json!({"updated_at": JULY_TEXT}));
}

#[test]
fn a_destination_takes_whole_lines_and_covered_records() {
    let stdout = format!("{}\n{}", record("orders", &row_1()), good_lines()[8]);
    for (keep, end, expected) in [(false, 0, 0), (true, 0, 1), (false, 1, 1), (true, 1, 1)] {
        let mut destination = Destination::new(keep);
        destination.take_bytes(&[stdout.as_bytes(), &b"\n"[..end]].concat());
        assert_eq!(destination.len("orders"), expected, "{keep} {end}");
        assert_eq!(destination.state("orders").is_some(), end == 1);
        if end == 0 {
            assert_eq!(destination.state_list(), "[]");
        }
    }
    let mut destination = Destination::new(true);
    destination.take_bytes(stdout.as_bytes());
    destination.truncate("orders");
    assert_eq!(destination.len("orders"), 0);
}

#[test]
fn a_state_covers_its_own_stream_only() {
    let lines = [record("orders", &row_1()), state("products", "{}", "0.0")];
    assert_eq!(destination(false, &[&lines]).len("orders"), 0);
}

/// Returns the differences between a table with one record and these rows of the store.
fn problems(data: &str, rows: Vec<Row>, from: Option<i64>, end: Option<i64>) -> Vec<String> {
    let store = store(rows);
    let destination = destination(false, &[&covered(data)]);
    let comparison = destination.compare(&store, "orders", "orders", from, end);
    comparison.problems()
}

#[test]
fn missing_and_stale_rows_are_found() {
    let two = || vec![row(1, Stamp::At(JULY)), row(2, Stamp::At(JULY))];
    assert_eq!(problems(&row_1(), two(), None, None), ["1 missing: [2]"]);
    let found = problems(&row_1(), vec![row(1, Stamp::At(JULY + 3))], None, None);
    assert!(found.len() == 1 && found[0].starts_with("1 stale"), "{found:?}");

    let later = vec![row(1, Stamp::At(JULY)), row(2, Stamp::At(JULY + 10))];
    assert!(problems(&row_1(), later.clone(), None, Some(JULY + 10)).is_empty());
    assert_eq!(problems(&row_1(), later, None, Some(JULY + 11)).len(), 1);
    let earlier = vec![row(1, Stamp::At(JULY)), row(2, Stamp::At(JULY - 10))];
    assert!(problems(&row_1(), earlier.clone(), Some(JULY - 9), None).is_empty());
    assert_eq!(problems(&row_1(), earlier, Some(JULY - 10), None), ["1 missing: [2]"]);
}

#[test]
fn rows_out_of_range_and_deleted_rows_are_told_apart() {
    let now = || vec![row(1, Stamp::At(JULY))];
    assert_eq!(problems(&row_1(), now(), Some(JULY + 1), None), ["1 extra: [1]"]);
    assert_eq!(problems(&row_1(), now(), None, Some(JULY)), ["1 extra: [1]"]);
    // The row was in range when it was read, and has changed since.
    let changed = vec![row(1, Stamp::At(JULY + 20))];
    assert!(problems(&row_1(), changed, None, Some(JULY + 1)).is_empty());

    let destination = destination(false, &[&covered(&row_1())]);
    let comparison = destination.compare(&store(Vec::new()), "orders", "orders", None, None);
    comparison.assert_clean("deleted");
    assert_eq!(comparison.gone, ["1"]);
}

#[test]
fn rows_without_updated_at_are_compared_separately() {
    for stamp in [Stamp::Null, Stamp::Empty, Stamp::Absent] {
        let store = store(vec![row(1, Stamp::At(JULY)), row(2, stamp)]);
        let comparison = destination(false, &[&covered(&row_1())]).compare(&store, "orders", "orders", None, None);
        assert!(comparison.problems().is_empty(), "{comparison:?}");
        assert_eq!(comparison.missing_undated, [2]);
    }
    let data = row_1().replacen(&format!("\"{JULY_TEXT}\""), "null", 1);
    assert!(problems(&data, vec![row(1, Stamp::Null)], None, None).is_empty());
    assert!(problems(&data, vec![row(1, Stamp::Empty)], None, None).is_empty());
    assert_eq!(problems(&row_1(), vec![row(1, Stamp::Null)], None, None).len(), 1);
}

#[test]
fn changed_values_are_found() {
    let one = || vec![row(1, Stamp::At(JULY))];
    let pairs = [
        ("1886.0000", "1886.0"),
        ("\"note\":null", "\"note\":\"\""),
        ("\"paid_at\":null", "\"paid_at\":\"2021-07-01T00:00:00Z\""),
        ("\"note\":null", "\"note\":null,\"more\":1"),
        ("\"note\":null,", ""),
    ];
    for (from, to) in pairs {
        let data = row_1().replace(from, to);
        let found = problems(&data, one(), None, None);
        assert!(found.len() == 1 && found[0].contains(" changed: "), "{to}: {found:?}");
    }
    let created = row_1().replace(&format!("\"created_at\":\"{JULY_TEXT}\""), "\"created_at\":null");
    assert_eq!(problems(&created, one(), None, None).len(), 1);
}

#[test]
fn a_coarse_store_is_compared_coarsely() {
    let store = store(vec![row(1, Stamp::At(JULY))]);
    let data = row_1().replace(".457Z", "Z");
    let mut destination = destination(false, &[&covered(&data)]);
    let stale = destination.compare(&store, "orders", "orders", None, None);
    assert_eq!(stale.stale.len(), 1);
    destination.resolution_ms = 1000;
    destination.compare(&store, "orders", "orders", None, None).assert_clean("seconds");
}

#[test]
fn doubled_records_count_within_one_run() {
    let store = store(vec![row(1, Stamp::At(JULY))]);
    let once = covered(&row_1());
    let again = [once[0].clone(), once[0].clone(), once[1].clone()];
    let comparison = |runs: &[&[String]]| destination(false, runs).compare(&store, "orders", "orders", None, None);
    comparison(&[&once, &once]).assert_clean("two runs");
    assert_eq!(comparison(&[&again]).doubled.len(), 1);
}

#[test]
fn states_that_go_backwards_are_found() {
    let states = |text: &str| [state("orders", text, "0.0")];
    let early = states(r#"{"updated_at":"2021-07-01T13:59:28Z"}"#);
    let late = states(&format!(r#"{{"updated_at":"{JULY_TEXT}"}}"#));
    let walk = states(r#"{"updated_at":"2020-01-01T00:00:00Z","walk":{"left":[[0,null]]}}"#);
    let backwards = |runs: &[&[String]]| {
        let store = store(Vec::new());
        let destination = destination(true, runs);
        destination.compare(&store, "orders", "orders", None, None).backwards.len()
    };
    assert_eq!(backwards(&[&early, &late, &walk, &late]), 0);
    assert_eq!(backwards(&[&late, &early]), 1);
    // A stream whose rows are missing returns to its state before the run.
    let returning = |last: &str| [late.clone(), early.clone(), [status("orders", last)]].concat();
    assert_eq!(backwards(&[&early, &returning("INCOMPLETE")]), 0);
    assert_eq!(backwards(&[&early, &returning("COMPLETE")]), 1);
    assert_eq!(backwards(&[&returning("INCOMPLETE")]), 1);
}

#[test]
fn a_key_of_another_name_is_taken_from_the_catalog() {
    const RESOURCE: &str = "external_image_whitelist";
    const KEY: &str = "external_image_whitelist_sites_id";
    let mut store = Data::empty();
    store.insert(RESOURCE, row(1, Stamp::At(JULY)));
    let data = row_1().replace("\"id\"", &format!("\"{KEY}\""));
    let mut stream = orders();
    stream["source_defined_primary_key"] = json!([[KEY]]);
    let mut destination = Destination::with_catalog(false, &json!({"streams": [stream]}));
    destination.take(&run(&covered(&data), 0));
    let comparison = destination.compare(&store, "orders", RESOURCE, None, None);
    comparison.assert_clean_with_missing_dates("other key");
    assert!(comparison.gone.is_empty());
}

#[test]
fn every_resource_of_the_store_can_be_compared() {
    let mut store = Data::empty();
    for resource in ["orders", "microstores", "coupon_codes", "order_statuses"] {
        let id = store.add(resource);
        let comparison = Destination::new(true).compare(&store, resource, resource, None, None);
        let missing = [comparison.missing, comparison.missing_undated].concat();
        assert_eq!(missing, [id], "{resource}");
    }
}

#[test]
fn a_row_whose_fields_are_made_when_listed_is_compared_completely() {
    let mut store = Data::empty();
    store.insert_lean("orders", 7, Stamp::At(JULY), Stamp::Null);
    let data = format!(r#"{{"id":7,"updated_at":"{JULY_TEXT}","created_at":null}}"#);
    let comparison = destination(false, &[&covered(&data)]).compare(&store, "orders", "orders", None, None);
    assert!(comparison.changed.len() > 10, "{comparison:?}");
}

#[test]
fn configs_have_the_shape_of_the_spec() {
    let store = store_config("http://127.0.0.1:1", TOKEN, "2020-01-01T00:00:00Z");
    assert_eq!(store["credentials"]["access_token"], TOKEN);
    let router = router_config("http://127.0.0.1:1/api/v1/", "u", ROUTER_SECRET, "s", "x");
    assert_eq!(router["credentials"]["user_secret"], ROUTER_SECRET);
    assert_eq!(router["_router_url"], "http://127.0.0.1:1/api/v1/");
    assert_eq!(catalog()["streams"][0]["destination_sync_mode"], "append_dedup");
}

fn shell(script: &str) -> Command<'static> {
    Command::of_program("sh").arg("-c").arg(script)
}

#[test]
fn a_process_runs_in_an_empty_environment() {
    let script = r#"test -z "$HOME" && test -n "$PATH" && printf '{"type":"LOG","log":{"level":"INFO","message":"%s"}}\n' "$GIVEN"; exit 3"#;
    let run = shell(script).env("GIVEN", "hello").run();
    assert_eq!(run.logs(), [("INFO", "hello")]);
    assert_eq!((run.code, run.signal), (Some(3), None));
}

#[test]
fn files_reach_the_process_and_their_secrets_are_watched() {
    let config = store_config("http://127.0.0.1:1", "another-token", "x");
    let quiet = shell(r#"test -s "$1" && test "$(cat "$3")" = "[]""#);
    let run = quiet.config(&config).state("[]").run();
    assert_eq!(run.code, Some(0), "{}", run.transcript());
    let output = shell(r#"cat "$1" >&2"#).config(&config).output();
    assert!(Run::new(output, &["another-token".to_owned()]).is_err());
    let reported = std::panic::catch_unwind(|| shell("echo another-token >&2").config(&config).run());
    assert!(reported.is_err());
    let reported = std::panic::catch_unwind(|| shell("echo given >&2").secret("given").run());
    assert!(reported.is_err());
    let (files, catalog) = (Files::new(), catalog());
    let path = files.write("a.json", "{}");
    assert_eq!(std::fs::read_to_string(path).unwrap(), "{}");
    let run = shell(r#"grep -q orders "$1""#).catalog(&catalog).run();
    assert_eq!(run.code, Some(0));
}

/// A shell script that prints the same message without end.
const CHATTER: &str = r#"while :; do echo '{"type":"LOG","log":{"level":"INFO","message":"again"}}'; done"#;

#[test]
fn a_process_is_killed_after_so_many_bytes() {
    let run = shell(CHATTER).kill_after_bytes(100_001).run();
    assert_eq!((run.code, run.signal), (None, Some(9)));
    assert!(run.interrupted);
    assert_eq!(run.stdout.len(), 100_001);
    let short = shell("exit 0").kill_after_bytes(10).run();
    assert!(!short.interrupted);
    assert_eq!(short.code, Some(0));
}

#[test]
fn a_process_is_killed_when_a_condition_holds() {
    let files = Files::new();
    let mark = files.write("mark", "");
    let script = format!("echo here > {}; sleep 100", mark.display());
    let here = || std::fs::read_to_string(&mark).is_ok_and(|text| text.contains("here"));
    // A child process that sleeps would keep the pipes open, so the process itself must sleep.
    let run = shell(&script.replace("sleep", "exec sleep")).kill_when(here).run();
    assert_eq!(run.signal, Some(9));
    assert!(run.interrupted);
}

#[test]
fn a_process_is_signalled_and_read_to_its_end() {
    for (signal, name) in [(Signal::Term, "TERM"), (Signal::Int, "INT")] {
        let script = format!("trap 'echo >&2 last; exit 7' {name}; {CHATTER}");
        let run = shell(&script).signal_after_bytes(signal, 1000).run();
        assert_eq!(run.code, Some(7), "{}", run.stderr);
        assert!(run.interrupted && run.stderr.contains("last"));
        assert!(run.stdout.len() >= 1000);
    }
    let run = shell("exec sleep 100").signal_when(Signal::Term, || true).run();
    assert_eq!(run.signal, Some(15));
}

#[test]
fn stdout_is_closed_early() {
    let run = shell(CHATTER).close_stdout_after_bytes(1000).run();
    assert_eq!(run.stdout.len(), 1000);
    assert!(run.interrupted);
    assert_ne!(run.code, Some(0));
}

#[test]
fn a_slow_reader_loses_nothing() {
    let script = r#"for i in 1 2 3; do echo '{"type":"LOG","log":{"level":"INFO","message":"a"}}'; done"#;
    let run = shell(script).read_slowly(40, Duration::from_millis(1)).run();
    assert_eq!(run.messages.len(), 3);
}

#[test]
fn failed_assertions_panic() {
    use std::panic::catch_unwind;
    assert!(catch_unwind(|| assert_read_is_well_formed(&run(&good_lines(), 1), &catalog())).is_err());
    assert!(catch_unwind(|| run(&good_lines(), 0).connection_status().0.len()).is_err());
    let comparison = |rows| {
        let destination = destination(false, &[&covered(&row_1())]);
        destination.compare(&store(rows), "orders", "orders", None, None)
    };
    let missing = comparison(vec![row(1, Stamp::At(JULY)), row(2, Stamp::At(JULY))]);
    assert!(catch_unwind(|| missing.assert_clean("missing")).is_err());
    let undated = comparison(vec![row(1, Stamp::At(JULY)), row(2, Stamp::Null)]);
    undated.assert_clean("undated");
    assert!(catch_unwind(|| undated.assert_clean_with_missing_dates("undated")).is_err());
}
