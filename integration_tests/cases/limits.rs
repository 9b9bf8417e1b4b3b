//! The call limit: it is respected, waits are reported, and no row is lost because of it.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::fake_store::{Data, FakeStore, Fault, Limit, Options, RetryAfter};
use crate::harness::files::{configured, configured_all};
use crate::harness::order::assert_read_is_well_formed;
use crate::harness::run::Run;
use crate::harness::setup::{DATED, SignIn, config, config_with, minutes, no_state, read, start};

/// Returns the times that RATE_LIMITED named, and when each was emitted, in milliseconds since the epoch.
fn waits(run: &Run, stream: &str) -> Vec<(u64, u64)> {
    let of_stream = |message: &&crate::harness::message::Message| message.stream() == Some(stream);
    let wait = |message: &crate::harness::message::Message| {
        let trace = &message.value["trace"];
        let reset = trace["stream_status"]["reasons"][0]["rate_limited"]["quota_reset"].as_u64()?;
        Some((trace["emitted_at"].as_u64()?, reset))
    };
    run.traces().into_iter().filter(of_stream).filter_map(wait).collect()
}

fn refused(store: &FakeStore) -> usize {
    store.requests().iter().filter(|seen| seen.status == 429).count()
}

fn main_streams(mode: &str) -> serde_json::Value {
    let selection: Vec<(&str, &str)> = DATED.iter().map(|&name| (name, mode)).collect();
    configured(&selection)
}

#[test]
fn the_full_limit_is_used_and_waits_are_reported_once() {
    // Seven streams of one request each, and five calls per window. Two are sent at once, three more one at a time,
    // since others may call, and the rest in the next window.
    let options = Options { limit: Some(Limit::new(5)), ..Options::default() };
    let store = start(SignIn::Token, options, Data::sample(1, 20));
    let catalog = main_streams("incremental");
    let run = read(&config(SignIn::Token, &store), &catalog, &no_state());
    assert_eq!(run.code, Some(0), "{}", run.transcript());
    assert_read_is_well_formed(&run, &catalog);
    assert_eq!((store.requests().len(), refused(&store)), (DATED.len(), 0));
    let waiting: Vec<Vec<(u64, u64)>> =
        DATED.iter().map(|stream| waits(&run, stream)).filter(|waits| !waits.is_empty()).collect();
    assert_eq!(waiting.len(), DATED.len() - 2, "those that were not admitted at once");
    for waits in waiting {
        // A call that finds a new window shows that its end is another.
        assert!((1..=2).contains(&waits.len()), "once per window: {waits:?}");
        assert!(waits.iter().all(|(said, ends)| ends > said), "the moment lies ahead: {waits:?}");
        assert!(waits.windows(2).all(|two| two[1].1 > two[0].1), "the same moment is said once: {waits:?}");
    }
}

#[test]
fn call_limit_percent_is_a_hard_maximum() {
    // One call per window: 20 % of five.
    let options = Options { limit: Some(Limit::new(5)), ..Options::default() };
    let store = start(SignIn::Token, options, Data::sample(1, 20));
    let run = read(
        &config_with(&store, &json!({"call_limit_percent": 20})),
        &configured(&[("orders", "incremental"), ("products", "incremental")]),
        &no_state(),
    );
    assert_eq!((run.code, refused(&store)), (Some(0), 0), "{}", run.transcript());
    let mut begun: Vec<_> = store.requests().iter().map(|seen| seen.at).collect();
    begun.sort_unstable();
    assert_eq!(begun.len(), 2);
    assert!(begun[1].duration_since(begun[0]).as_millis() > 9900, "one of five in each window");
}

#[test]
fn a_refusal_is_waited_for_in_every_form() {
    for retry_after in
        [Some("1"), Some("0.5"), Some("-3"), Some("Tue, 13 Sep 2022 10:00:00 GMT"), Some("soon"), Some("0")]
    {
        let refusals = AtomicUsize::new(0);
        let fault = move |_: &_| {
            let body = br#"{"status_code":429,"message":"Too Many Requests","details":""}"#.to_vec();
            let headers = retry_after.map(|value| ("Retry-After".to_owned(), value.to_owned())).into_iter().collect();
            (refusals.fetch_add(1, Ordering::SeqCst) == 1).then_some(Fault::Answer { status: 429, headers, body })
        };
        let options = Options { max_count: Some(20), fault: Some(Box::new(fault)), ..Options::default() };
        let store = start(SignIn::Token, options, minutes("orders", 1, 70));
        let catalog = configured(&[("orders", "incremental")]);
        let run = read(&config(SignIn::Token, &store), &catalog, &no_state());
        assert_read_is_well_formed(&run, &catalog);
        assert_eq!((run.code, run.records("orders").len()), (Some(0), 70), "{retry_after:?}");
        assert_eq!(waits(&run, "orders").len(), 1, "{retry_after:?}");
        assert_eq!(refused(&store), 1, "{retry_after:?}");
    }
}

#[test]
fn without_the_header_the_limit_is_learned_from_refusals() {
    let limit = Limit { header: false, retry_after: RetryAfter::Seconds, ..Limit::new(12) };
    let options = Options { max_count: Some(20), limit: Some(limit), ..Options::default() };
    let store = start(SignIn::Token, options, minutes("orders", 1, 280));
    let catalog = configured(&[("orders", "incremental")]);
    let run = read(&config(SignIn::Token, &store), &catalog, &no_state());
    assert_read_is_well_formed(&run, &catalog);
    assert_eq!((run.code, run.records("orders").len()), (Some(0), 280), "{}", run.transcript());
    // Those in flight when the limit was reached; afterwards the limit is known.
    assert!((1..=8).contains(&refused(&store)), "{} refusals", refused(&store));
}

#[test]
fn the_limit_percent_and_the_concurrent_requests_are_configurable() {
    let options = Options { limit: Some(Limit::new(10)), max_count: Some(20), ..Options::default() };
    let store = start(SignIn::Token, options, minutes("orders", 1, 60));
    let config = config_with(&store, &json!({"call_limit_percent": 100, "max_requests_in_flight": 1}));
    let run = read(&config, &configured(&[("orders", "incremental")]), &no_state());
    assert_eq!((run.code, run.records("orders").len(), refused(&store)), (Some(0), 60, 0));
    assert_eq!(waits(&run, "orders"), [], "five requests fit into ten");
}

#[test]
fn all_streams_share_one_rate_limiter_and_one_concurrency_limit() {
    // The store responds slowly and counts its concurrent requests.
    let options = Options { latency: std::time::Duration::from_millis(30), max_count: Some(20), ..Options::default() };
    let store = start(SignIn::Token, options, Data::sample(2, 200));
    let config = config_with(&store, &json!({"max_requests_in_flight": 3}));
    let run = read(&config, &configured_all("incremental"), &no_state());
    assert_eq!(run.code, Some(0), "{}", run.transcript());
    let mut begun: Vec<_> = store.requests().iter().map(|seen| seen.at).collect();
    begun.sort_unstable();
    // A fourth request cannot start before the first of three has its response.
    for four in begun.windows(4) {
        let apart = four[3].duration_since(four[0]);
        assert!(apart >= std::time::Duration::from_millis(29), "four requests within {apart:?}");
    }
}
