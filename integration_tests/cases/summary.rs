//! `read --summary FILE`: one document at the end of each run, successful or not, and exit codes that distinguish an
//! outage from an error that someone must fix.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::fake_store::{Data, FakeStore, Fault, Limit, Options, RecordedRequest, RetryAfter, Token};
use crate::harness::command::{Command, Signal};
use crate::harness::files::{Files, TOKEN, configured};
use crate::harness::json::instant;
use crate::harness::run::{Run, forms};
use crate::harness::setup::{SignIn, config, config_with, minutes, start};

/// Returns the document, which must be valid and without secrets.
pub(crate) fn document(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap();
    for form in forms(TOKEN) {
        assert!(!text.contains(&form), "{text}");
    }
    let document: Value = serde_json::from_str(&text).unwrap();
    let schema: Value = serde_json::from_str(include_str!("../../docs/reference/summary.schema.json")).unwrap();
    let faults: Vec<String> = jsonschema::draft7::new(&schema)
        .unwrap()
        .iter_errors(&document)
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect();
    assert!(faults.is_empty(), "{faults:?}\n{text}");
    let at = |name: &str| instant(document[name].as_str().unwrap()).unwrap();
    assert!(at("started_at") <= at("ended_at"), "{text}");
    assert_eq!(document["version"], env!("CARGO_PKG_VERSION"));
    document
}

/// Returns a read with a summary.
fn reading<'a>(config: &Value, catalog: &Value, path: &Path) -> Command<'a> {
    let command = Command::new("read").config(config).catalog(catalog);
    command.arg("--summary").arg(&path.display().to_string())
}

fn sent(store: &FakeStore, resource: &str) -> usize {
    store.requests().iter().filter(|seen| seen.resource == resource).count()
}

#[test]
fn a_complete_run_is_summarised() {
    let mut asked = 0;
    let fault = move |seen: &RecordedRequest| {
        asked += usize::from(seen.resource == "orders");
        (asked == 2 && seen.resource == "orders").then(Fault::server_error)
    };
    let mut data = minutes("orders", 1, 1500);
    data.insert_lean(
        "order_statuses",
        1,
        crate::fake_store::Stamp::At(data.now_ms),
        crate::fake_store::Stamp::At(data.now_ms),
    );
    let options = Options {
        fault: Some(Box::new(fault)),
        limit: Some(Limit { retry_after: RetryAfter::Seconds, ..Limit::new(50) }),
        ..Options::default()
    };
    let store = start(SignIn::Token, options, data);
    let files = Files::new();
    let path = files.path("summary.json");
    let config = config_with(&store, &json!({"_retry_seconds": 20}));
    let catalog = configured(&[("orders", "incremental"), ("order_statuses", "full_refresh")]);
    let run = reading(&config, &catalog, &path).run();
    assert_eq!(run.code, Some(0), "{}", run.transcript());
    let first = document(&path);
    assert_eq!((&first["exit_code"], &first["error"]), (&json!(0), &Value::Null));
    let orders = &first["streams"][0];
    assert_eq!(orders["stream"], "orders");
    assert_eq!((&orders["sync_mode"], &orders["status"]), (&json!("incremental"), &json!("complete")));
    assert_eq!((&orders["rows"], &orders["retries"]), (&json!(1500), &json!(1)));
    assert_eq!(orders["requests"], json!(sent(&store, "orders")), "{first}");
    assert!(orders["waited_seconds"].as_f64().unwrap() > 0.0, "it waited before the second attempt");
    assert_eq!(orders["cursor_before"], Value::Null);
    assert_eq!(orders["cursor_after"], run.last_state("orders").unwrap()["updated_at"]);
    assert_eq!(orders["error"], Value::Null);
    assert_eq!(first["streams"][1]["rows"], 1);
    let calls = &first["calls"];
    assert_eq!(calls["made"], json!(store.requests().len()));
    assert_eq!((&calls["allowed"], &calls["refused"]), (&json!(50), &json!(0)));

    // The next run reports its start, and replaces the document.
    let state = run.last_state_list();
    let again = reading(&config, &catalog, &path).state(&state).run();
    let second = document(&path);
    assert_eq!((again.code, &second["streams"][0]["rows"]), (Some(0), &json!(0)));
    assert_eq!(second["streams"][0]["cursor_before"], orders["cursor_after"]);
    assert_eq!(second["streams"][0]["cursor_after"], orders["cursor_after"]);
    assert_eq!(
        fs::read_dir(path.parent().unwrap())
            .unwrap()
            .filter(|entry| { entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".summary") })
            .count(),
        0,
        "nothing else is left"
    );
}

/// Panics unless the stream errors in the document are the TRACE errors of the run.
fn assert_same_errors(document: &Value, run: &Run) {
    for error in run.errors() {
        let found = match &error.stream {
            None => &document["error"],
            Some(name) => {
                let streams = document["streams"].as_array().unwrap();
                &streams.iter().find(|stream| stream["stream"] == name.as_str()).unwrap()["error"]
            }
        };
        assert_eq!(*found, json!({"type": error.failure_type, "message": error.message}));
    }
    assert_eq!(document["exit_code"], json!(run.code));
}

#[test]
fn a_failed_stream_has_its_reason_and_the_others_are_complete() {
    let options = Options { tokens: vec![Token::new(TOKEN, &["read_orders"])], ..Options::default() };
    let store = start(SignIn::Token, options, Data::sample(1, 20));
    let files = Files::new();
    let path = files.path("summary.json");
    let mut catalog =
        configured(&[("products", "incremental"), ("orders", "incremental"), ("customers", "incremental")]);
    catalog["streams"][2]["stream"]["name"] = json!("custmers");
    let run = reading(&config(SignIn::Token, &store), &catalog, &path).run();
    assert_eq!(run.code, Some(1), "a scope has to be added: {}", run.transcript());
    let document = document(&path);
    assert_same_errors(&document, &run);
    let streams = document["streams"].as_array().unwrap();
    let of = |key: &str| streams.iter().map(|stream| stream[key].clone()).collect::<Vec<_>>();
    assert_eq!(of("status"), ["incomplete", "complete", "incomplete"]);
    assert_eq!(streams[0]["error"]["type"], "config_error");
    assert_eq!(streams[0]["requests"], json!(sent(&store, "products")), "a request that fails is one too");
    assert_eq!(streams[2]["rows"], Value::Null, "it was never requested");
}

#[test]
fn an_outage_exits_with_75_and_an_outage_with_an_error_to_fix_with_1() {
    let fault = |seen: &RecordedRequest| (seen.resource == "orders").then(|| Fault::html(503));
    let options = Options {
        fault: Some(Box::new(fault)),
        tokens: vec![Token::new(TOKEN, &["read_orders"])],
        ..Options::default()
    };
    let store = start(SignIn::Token, options, Data::sample(1, 5));
    let config = config_with(&store, &json!({"_retry_seconds": 1}));
    let files = Files::new();
    let path = files.path("summary.json");
    for (streams, code) in
        [(vec!["orders"], 75), (vec!["orders", "order_statuses"], 75), (vec!["orders", "products"], 1)]
    {
        let streams: Vec<(&str, &str)> = streams.into_iter().map(|name| (name, "incremental")).collect();
        let run = reading(&config, &configured(&streams), &path).run();
        assert_eq!(run.code, Some(code), "{}", run.transcript());
        let document = document(&path);
        assert_same_errors(&document, &run);
        let orders = &document["streams"][0];
        assert_eq!(orders["error"]["type"], "transient_error");
        assert!(orders["retries"].as_u64().unwrap() > 0, "{document}");
    }
}

#[test]
fn an_interrupted_run_reports_its_progress() {
    let store = start(SignIn::Token, Options::default(), minutes("orders", 1, 400));
    store.options(|options| {
        options.latency = std::time::Duration::from_millis(20);
        options.max_count = Some(10);
    });
    let files = Files::new();
    let path = files.path("summary.json");
    let config = config_with(&store, &json!({"max_requests_in_flight": 1}));
    let catalog = configured(&[("orders", "incremental"), ("order_statuses", "full_refresh")]);
    let command = reading(&config, &catalog, &path).signal_when(Signal::Term, || store.requests().len() > 12);
    let run = command.run();
    assert_eq!(run.code, Some(75), "{}", run.transcript());
    let document = document(&path);
    assert_same_errors(&document, &run);
    let orders = &document["streams"][0];
    assert_eq!((&orders["status"], &orders["rows"]), (&json!("incomplete"), &json!(run.records("orders").len())));
    assert!(orders["error"]["message"].as_str().unwrap().contains("interrupted"));
}

#[test]
fn a_run_that_fails_before_its_first_request_has_its_reason() {
    let files = Files::new();
    let path = files.path("summary.json");
    let catalog = configured(&[("orders", "incremental")]);
    let mut wrong = crate::harness::setup::nobody();
    // For every possible place.
    wrong["start_date"] = json!(TOKEN);
    let run = reading(&wrong, &catalog, &path).run();
    assert_eq!(run.code, Some(1));
    let reported = document(&path);
    assert_same_errors(&reported, &run);
    assert_eq!(reported["error"]["type"], "config_error");
    assert_eq!((&reported["calls"], &reported["streams"]), (&Value::Null, &json!([])));
}

#[test]
fn a_run_with_a_closed_stdout_reports_it() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 3000));
    let files = Files::new();
    let path = files.path("summary.json");
    let catalog = configured(&[("orders", "incremental"), ("products", "incremental")]);
    let run = reading(&config(SignIn::Token, &store), &catalog, &path).close_stdout_after_bytes(50_000).run();
    assert_eq!(run.code, Some(74), "{}", run.stderr);
    let document = document(&path);
    assert_eq!((&document["exit_code"], &document["error"]["type"]), (&json!(74), &json!("system_error")));
    assert!(document["error"]["message"].as_str().unwrap().starts_with("Stdout cannot be written"), "{document}");
    assert!(document["calls"]["made"].as_u64().unwrap() > 0);
    assert_ne!(document["streams"][0]["status"], "complete");
}

#[test]
fn a_summary_that_cannot_be_written_is_an_error_before_anything_is_read() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 3));
    let files = Files::new();
    let catalog = configured(&[("orders", "incremental")]);
    for path in [files.path("none/summary.json"), files.path("")] {
        let run = reading(&config(SignIn::Token, &store), &catalog, &path).run();
        let errors = run.errors();
        assert_eq!((run.code, errors.len()), (Some(1), 1), "{}", run.transcript());
        assert_eq!(errors[0].failure_type, "config_error");
        assert!(errors[0].message.contains("cannot be written") && errors[0].message.contains("`--summary`"));
    }
    // A file that is read or written as well is not changed.
    let other = files.write("other.json", "{}");
    for option in ["--state", "--state-out"] {
        let command = reading(&config(SignIn::Token, &store), &catalog, &other);
        let run = command.arg(option).arg(&other.display().to_string()).run();
        assert!(run.code == Some(1) && run.errors()[0].message.contains("`--summary`"), "{}", run.transcript());
        assert_eq!(fs::read_to_string(&other).unwrap(), "{}");
    }
    assert_eq!(store.requests().len(), 0);
    // Without the option, no document is written.
    let before = fs::read_dir(files.path("")).unwrap().count();
    let run = Command::new("read").config(&config(SignIn::Token, &store)).catalog(&catalog).run();
    assert_eq!((run.code, fs::read_dir(files.path("")).unwrap().count()), (Some(0), before));
}

#[test]
fn the_document_has_exactly_the_fields_of_its_schema() {
    // A field that is described and never written, or the reverse, would mislead readers of the page.
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 3));
    let files = Files::new();
    let path = files.path("summary.json");
    let (mut catalog, mut config) = (configured(&[("orders", "incremental")]), config(SignIn::Token, &store));
    // The number of deleted rows is only there where they are detected; an empty schema declares their mark as well.
    config["detect_deletions"] = json!(["orders"]);
    catalog["streams"][0]["stream"]["json_schema"] = json!({});
    reading(&config, &catalog, &path).run();
    let document = document(&path);
    let schema: Value = serde_json::from_str(include_str!("../../docs/reference/summary.schema.json")).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&document), keys(&schema["properties"]));
    assert_eq!(keys(&document["streams"][0]), keys(&schema["properties"]["streams"]["items"]["properties"]));
    for property in schema["properties"].as_object().unwrap().values() {
        assert!(property["description"].is_string(), "{property}");
    }
}
