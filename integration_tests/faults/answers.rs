//! Responses that fail in the middle of a read: each is requested again, and no row is lost.

use crate::fake_store::{Fault, Options, RecordedRequest};
use crate::harness::files::configured;
use crate::harness::order::assert_read_is_well_formed;
use crate::harness::setup::{SignIn, config, config_with, minutes, no_state, read, start};

#[test]
fn every_transient_fault_is_retried() {
    let mut faults = vec![
        Fault::ResetBeforeHeaders,
        Fault::ResetAfterHeaders,
        Fault::CutBody { after: 700 },
        Fault::CutGzip,
        Fault::html(200),
        Fault::html(503),
        Fault::server_error(),
    ];
    let count = faults.len();
    // Every second request fails, so that each fault meets another page.
    let fault = move |seen: &RecordedRequest| if seen.n.is_multiple_of(2) { faults.pop() } else { None };
    let options = Options { max_count: Some(10), fault: Some(Box::new(fault)), ..Options::default() };
    let store = start(SignIn::Token, options, minutes("orders", 1, 100));
    let catalog = configured(&[("orders", "incremental")]);
    let config = config_with(&store, &serde_json::json!({"max_requests_in_flight": 1}));
    let run = read(&config, &catalog, &no_state());
    assert_eq!(run.code, Some(0), "{}", run.transcript());
    assert_read_is_well_formed(&run, &catalog);
    let mut came = run.ids("orders");
    came.sort_unstable();
    assert_eq!(came, (1..=100).collect::<Vec<i64>>());
    let retried = run.logs().iter().filter(|(_, text)| text.contains("retrying")).count();
    assert_eq!(retried, count, "{}", run.transcript());
}

#[test]
fn a_response_with_a_repeated_row_is_not_complete() {
    // Two rows counted, two listed, and one of them missing: a join in the store's database can cause it.
    let fault = |seen: &RecordedRequest| {
        let row = r#"{"id":1,"updated_at":"2024-11-18T05:00:00-06:00"}"#;
        let body = format!(r#"{{"total_count":2,"orders":[{row},{row}]}}"#).into_bytes();
        (seen.n == 1).then_some(Fault::Answer { status: 200, headers: Vec::new(), body })
    };
    let options = Options { fault: Some(Box::new(fault)), ..Options::default() };
    let store = start(SignIn::Token, options, minutes("orders", 1, 2));
    let catalog = configured(&[("orders", "incremental")]);
    let run = read(&config(SignIn::Token, &store), &catalog, &no_state());
    let mut came = run.ids("orders");
    came.sort_unstable();
    assert_eq!((run.code, came), (Some(0), vec![1, 2]), "{}", run.transcript());
}

#[test]
fn a_row_whose_date_cannot_be_read_is_delivered() {
    let body = br#"{"total_count":1,"orders":[{"id":1,"updated_at":"yesterday"}]}"#.to_vec();
    let fault = move |_: &RecordedRequest| Some(Fault::Answer { status: 200, headers: Vec::new(), body: body.clone() });
    let options = Options { fault: Some(Box::new(fault)), ..Options::default() };
    let store = start(SignIn::Token, options, minutes("orders", 1, 1));
    let run = read(&config(SignIn::Token, &store), &configured(&[("orders", "incremental")]), &no_state());
    assert_eq!((run.code, run.ids("orders")), (Some(0), vec![1]), "{}", run.transcript());
    assert!(run.warnings().iter().any(|text| text.contains("updated_at")), "{:?}", run.warnings());
}
