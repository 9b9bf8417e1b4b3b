//! A request that fails does not delay others: the resources that a waiting retry uses, the streams that wait after a
//! refusal, the time that a store is retried, and the report of `check` about one scope that fails.
//!
//! Tests check the order in which requests arrive, never a clock.

use std::time::Duration;

use serde_json::json;

use crate::cases::inconsistent_store::response_case::{End, Trial, each_way, rows_of, small_pages, strike};
use crate::fake_store::{Data, FakeStore, Fault, Limit, Options, RecordedRequest, resource, resources};
use crate::harness::command::Command;
use crate::harness::run::Run;
use crate::harness::setup::{SignIn, config, config_with, start};

/// Streams that fail, in the order of the catalog, before the one that works.
const EIGHT: [&str; 8] =
    ["customers", "addresses", "order_items", "order_payments", "order_statuses", "products", "categories", "quotes"];

fn failing(streams: &'static [&'static str], fault: Fault) -> Options {
    let hook = move |seen: &RecordedRequest| streams.contains(&seen.resource.as_str()).then(|| fault.clone());
    Options { fault: Some(Box::new(hook)), ..small_pages() }
}

fn refusal(status: u16, headers: &[(&str, &str)]) -> Fault {
    let headers = headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Fault::Answer {
        status,
        headers,
        body: br#"{"status_code":429,"message":"Too Many Requests","details":""}"#.to_vec(),
    }
}

/// Returns the numbers of the first and last request to a stream.
fn first_and_last(trial: &Trial, stream: &str) -> (usize, usize) {
    let requests = trial.requests(stream);
    (requests.first().map_or(usize::MAX, |seen| seen.n), requests.last().map_or(0, |seen| seen.n))
}

/// Returns true if a stream was reported to wait for the call limit.
fn was_paused(run: &Run, stream: &str) -> bool {
    run.statuses(stream).contains(&"RATE_LIMITED")
}

/// Returns the position of a stream's last status in the output.
fn ended_at(run: &Run, stream: &str) -> usize {
    let ends = |message: &crate::harness::message::Message| {
        message.stream() == Some(stream) && matches!(message.status(), Some("COMPLETE" | "INCOMPLETE"))
    };
    run.messages.iter().position(ends).unwrap_or(usize::MAX)
}

/// Returns the number of repeated requests, according to the log.
fn repeated(run: &Run) -> usize {
    run.logs().iter().filter(|(_, text)| text.contains("; retrying ")).count()
}

#[test]
fn a_stream_that_works_is_read_while_eight_others_wait() {
    each_way(|mode, in_flight| {
        for (what, fault) in [("503", Fault::html(503)), ("resets", Fault::ResetBeforeHeaders)] {
            let streams: Vec<&str> = EIGHT.into_iter().chain(["orders"]).collect();
            let rows: Vec<(&str, u64)> = streams.iter().map(|&stream| (stream, 90)).collect();
            let trial =
                Trial::new(failing(&EIGHT, fault), rows_of(&rows), &streams, mode, in_flight).called(what).retrying(10);
            let mut destination = trial.destination();
            let run = trial.read(&mut destination, End::Either);
            assert_eq!(run.statuses("orders").last(), Some(&"COMPLETE"), "{}\n{}", trial.what, run.transcript());
            let (first, last) = first_and_last(&trial, "orders");
            for stream in EIGHT {
                assert_eq!(run.statuses(stream).last(), Some(&"INCOMPLETE"), "{} {stream}", trial.what);
                let before = trial.requests(stream).iter().filter(|seen| seen.n < first).count();
                assert!(before <= 4, "{}: {before} attempts at {stream} before the first at orders", trial.what);
                let gave_up = first_and_last(&trial, stream).1;
                assert!(last < gave_up, "{}: orders ended with {last}, {stream} gave up with {gave_up}", trial.what);
            }
            trial.end_faults();
            trial.read(&mut destination, End::Complete);
        }
    });
}

#[test]
fn a_failing_stream_of_large_rows_holds_no_memory() {
    each_way(|mode, in_flight| {
        const LARGE: &str = "products";
        const SMALL: &str = "custom_field_values";
        let mut data = rows_of(&[(LARGE, 1_100), (SMALL, 20_000)]);
        let text = format!("\"{}\"", "x".repeat(10_000));
        for id in data.ids(LARGE) {
            data.set_field(LARGE, id, "long_description_2", &text);
        }
        // One page shows how large the rows are, and from then on that stream fails. Until then the small rows are
        // slow, so that many are left.
        let mut pages = 0;
        let hook = move |seen: &RecordedRequest| {
            if seen.resource == SMALL {
                return (pages < 2).then_some(Fault::Trickle { bytes_per_second: 50_000 });
            }
            pages += usize::from(seen.param("count") == Some("1000"));
            (pages > 1).then(|| Fault::html(503))
        };
        let options = Options { fault: Some(Box::new(hook)), ..Options::default() };
        let trial = Trial::new(options, data, &[LARGE, SMALL], mode, in_flight).called("rows of 10 kB").retrying(20);
        let mut destination = trial.destination();
        trial.read(&mut destination, End::Incomplete(LARGE));
        let failed = trial.requests(LARGE).into_iter().find(|seen| seen.status == 503).unwrap().n;
        let (_, last) = first_and_last(&trial, SMALL);
        let (_, gave_up) = first_and_last(&trial, LARGE);
        assert!(failed < last, "{}: the small rows were read before the large ones failed", trial.what);
        assert!(last < gave_up, "{}: request {last} before {gave_up}, the last attempt", trial.what);
        trial.end_faults();
        trial.read(&mut destination, End::Complete);
    });
}

#[test]
fn a_kill_while_most_streams_fail_loses_no_row() {
    each_way(|mode, in_flight| {
        let streams: Vec<&str> = EIGHT.into_iter().chain(["orders"]).collect();
        let rows: Vec<(&str, u64)> = streams.iter().map(|&stream| (stream, 60)).collect();
        let mut met = [0; EIGHT.len()];
        let hook = move |seen: &RecordedRequest| {
            let met = &mut met[EIGHT.iter().position(|stream| *stream == seen.resource)?];
            *met += 1;
            (*met > 3).then(|| Fault::html(503))
        };
        let options = Options { fault: Some(Box::new(hook)), ..small_pages() };
        let trial = Trial::new(options, rows_of(&rows), &streams, mode, in_flight).called("with kills").retrying(6);
        let mut destination = trial.destination();
        for requests in [6, 14, 30] {
            trial.read_killed(&mut destination, requests);
        }
        trial.end_faults();
        trial.read(&mut destination, End::Complete);
    });
}

#[test]
fn a_refused_request_waits_alone_if_the_header_shows_free_calls() {
    each_way(|mode, in_flight| {
        let options = Options {
            // Retries of 20 s instead of 600 shorten the expected window by the same factor.
            limit: Some(Limit { window: Duration::from_secs(10) * 20 / 600, ..Limit::new(5_000) }),
            ..failing(&["products"], refusal(429, &[("Retry-After", "5"), ("X-AC-Call-Limit", "30/5000")]))
        };
        let data = rows_of(&[("products", 40), ("orders", 1_200)]);
        let trial = Trial::new(options, data, &["products", "orders"], mode, in_flight).called("429").retrying(20);
        let mut destination = trial.destination();
        let run = trial.read(&mut destination, End::Incomplete("products"));
        assert!(trial.requests("orders").len() >= 60, "{}", trial.what);
        assert!(!was_paused(&run, "orders"), "{}: orders waited\n{}", trial.what, run.transcript());
        assert!(ended_at(&run, "orders") < ended_at(&run, "products"), "{}\n{}", trial.what, run.transcript());
        // The wait is reported for the stream that was refused, and for no other.
        let refusals: Vec<&str> = run
            .logs()
            .iter()
            .map(|(_, text)| *text)
            .filter(|text| text.contains("429") || text.contains("call limit"))
            .collect();
        let named = refusals.iter().all(|text| text.contains("products"));
        assert!(named && !refusals.is_empty(), "{}: {refusals:?}\n{}", trial.what, run.transcript());
        trial.end_faults();
        trial.read(&mut destination, End::Complete);
    });
}

#[test]
fn a_refusal_without_free_calls_makes_all_requests_wait() {
    for calls in [None, Some("5000/5000")] {
        let headers: Vec<(&str, &str)> =
            [("Retry-After", "1")].into_iter().chain(calls.map(|calls| ("X-AC-Call-Limit", calls))).collect();
        let data = rows_of(&[("products", 40), ("orders", 400)]);
        let hook = strike("products", |number| number == 1, refusal(429, &headers));
        let options = Options { fault: Some(Box::new(hook)), ..small_pages() };
        let trial = Trial::new(options, data, &["products", "orders"], "incremental", 8).retrying(60);
        let run = trial.read(&mut trial.destination(), End::Complete);
        assert!(was_paused(&run, "orders"), "{calls:?}\n{}", run.transcript());
    }
}

/// Returns the minutes, as `HH:MM` in UTC, this many seconds from now.
fn minutes_ahead(seconds: i64) -> Vec<String> {
    let now = chrono::Utc::now();
    (-2..=2)
        .map(|minute| (now + chrono::Duration::seconds(seconds + 60 * minute)).format("%H:%M").to_string())
        .collect()
}

#[test]
fn a_retry_after_beyond_the_retry_time_ends_immediately_and_names_the_time() {
    let date = httpdate::fmt_http_date(std::time::SystemTime::now() + std::time::Duration::from_secs(3_600));
    for (status, retry_after) in [(429, "3600"), (503, "3600"), (429, date.as_str())] {
        each_way(|mode, in_flight| {
            for begin in [1, 3] {
                // If all fail, and if one fails in the middle.
                let fault = refusal(status, &[("Retry-After", retry_after)]);
                let hook = strike("orders", move |number| number >= begin, fault);
                let options = Options { fault: Some(Box::new(hook)), ..small_pages() };
                let data = rows_of(&[("orders", 90), ("customers", 30)]);
                let what = format!("{status}, Retry-After: {retry_after}, from request {begin}");
                let trial =
                    Trial::new(options, data, &["orders", "customers"], mode, in_flight).called(&what).retrying(6);
                let mut destination = trial.destination();
                let run = trial.read(&mut destination, End::Either);
                assert_eq!(run.statuses("orders").last(), Some(&"INCOMPLETE"), "{}", trial.what);
                let refused = trial.requests("orders").iter().filter(|seen| seen.status == status).count();
                // Requests that were in flight together are refused together.
                let most = if begin == 1 { 2 } else { 1 + in_flight as usize };
                assert!(refused <= most, "{}: asked {refused} times", trial.what);
                let message = &run.errors()[0].message;
                let reported = minutes_ahead(3_600).iter().any(|minute| message.contains(minute.as_str()));
                assert!(reported, "{}: until when? {message}", trial.what);
                trial.end_faults();
                trial.read(&mut destination, End::Complete);
            }
        });
    }
}

#[test]
fn a_retry_after_within_the_retry_time_is_respected() {
    each_way(|mode, in_flight| {
        let hook = strike("orders", |number| number == 1 || number == 3, refusal(429, &[("Retry-After", "1")]));
        let options = Options { fault: Some(Box::new(hook)), ..small_pages() };
        let trial = Trial::new(options, rows_of(&[("orders", 90)]), &["orders"], mode, in_flight).retrying(60);
        let run = trial.read(&mut trial.destination(), End::Complete);
        assert!(was_paused(&run, "orders"), "{}", run.transcript());
    });
}

/// Minimum attempts in ten minutes, and maximum attempts in one minute, if each wait is twice the previous one, up to
/// half a minute, with jitter.
const TEN_MINUTES: usize = 12;
const A_MINUTE: usize = 10;

#[test]
fn a_web_page_from_the_first_request_on_ends_within_a_minute() {
    each_way(|mode, in_flight| {
        let streams = ["orders", "customers", "products"];
        let data = || rows_of(&[("orders", 90), ("customers", 30), ("products", 30)]);
        let hook = |_: &RecordedRequest| Some(Fault::html(200));
        let options = Options { fault: Some(Box::new(hook)), ..small_pages() };
        let trial = Trial::new(options, data(), &streams, mode, in_flight).called("a web page").retrying(6);
        let mut destination = trial.destination();
        let run = trial.read(&mut destination, End::Either);
        assert_eq!(run.code, Some(75), "{}", run.transcript());
        for stream in streams {
            let attempts = trial.requests(stream).len();
            assert!(attempts <= A_MINUTE, "{}: {attempts} attempts at {stream}", trial.what);
        }
        trial.end_faults();
        trial.read(&mut destination, End::Complete);
    });
}

#[test]
fn maintenance_pages_are_retried_for_the_full_retry_time() {
    each_way(|mode, in_flight| {
        // A 503 from the first request on, as a page or as JSON, and a web page after a success.
        for (what, fault, begin) in [
            ("503 as a page", Fault::html(503), 1),
            ("503 as JSON", Fault::error(503, "Down", ""), 1),
            ("a web page later", Fault::html(200), 2),
        ] {
            let hook = strike("orders", move |number| number >= begin, fault);
            let options = Options { fault: Some(Box::new(hook)), ..small_pages() };
            let trial =
                Trial::new(options, rows_of(&[("orders", 90)]), &["orders"], mode, in_flight).called(what).retrying(6);
            let mut destination = trial.destination();
            trial.read(&mut destination, End::Incomplete("orders"));
            let attempts = trial.requests("orders").len();
            assert!(attempts >= TEN_MINUTES, "{}: {attempts} attempts", trial.what);
            trial.end_faults();
            trial.read(&mut destination, End::Complete);
        }
    });
}

#[test]
fn a_host_that_does_not_exist_ends_within_a_minute() {
    each_way(|mode, in_flight| {
        let streams = ["orders", "customers", "products"];
        let trial = Trial::new(small_pages(), Data::empty(), &streams, mode, in_flight).retrying(20);
        let mut config = trial.config();
        config["credentials"]["store_name"] = json!("no-such-store.invalid");
        let run = Command::new("read").config(&config).catalog(&trial.catalog()).run();
        assert_eq!(run.code, Some(75), "{}", run.transcript());
        let repeated = repeated(&run);
        assert!(repeated <= streams.len() * A_MINUTE, "{}: {repeated} repeats\n{}", trial.what, run.transcript());
        assert!(run.errors().iter().all(|error| error.message.contains("no-such-store.invalid")), "{:?}", run.errors());
    });
}

#[test]
fn streams_of_a_store_that_is_down_end_together() {
    each_way(|mode, in_flight| {
        let attempts = |streams: &[&'static str]| {
            let options = Options { fault: Some(Box::new(|_| Some(Fault::html(503)))), ..small_pages() };
            let trial =
                Trial::new(options, Data::sample(1, 5), streams, mode, in_flight).called("all down").retrying(4);
            let run = trial.read(&mut trial.destination(), End::Either);
            assert_eq!(run.code, Some(75), "{}", run.transcript());
            assert!(streams.iter().all(|stream| run.statuses(stream).last() == Some(&"INCOMPLETE")), "{}", trial.what);
            trial
        };
        let one = attempts(&["orders"]).store.requests().len();
        // If they ended one after the other, more than one request in flight would take minutes.
        let all: Vec<&'static str> =
            resources().iter().map(|of| of.path).take(if in_flight == 1 { 12 } else { 70 }).collect();
        let trial = attempts(&all);
        let requests = trial.store.requests().len();
        assert!(requests <= all.len() * (one + 3), "{}: {requests} requests, {one} for one stream", trial.what);
        let ends: Vec<(usize, usize)> =
            all.iter().map(|stream| first_and_last(&trial, stream)).filter(|(_, last)| *last > 0).collect();
        let latest_begin = ends.iter().map(|(first, _)| *first).max().unwrap();
        let earliest_end = ends.iter().map(|(_, last)| *last).min().unwrap();
        assert!(
            latest_begin < earliest_end,
            "{}: a stream begins with request {latest_begin}, another gave up with {earliest_end}",
            trial.what
        );
        let mut destination = trial.destination();
        trial.end_faults();
        trial.read(&mut destination, End::Complete);
    });
}

/// Returns the resources that `check` requests, one for each scope.
fn probes() -> Vec<String> {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 5));
    let run = Command::new("check").config(&config(SignIn::Token, &store)).run();
    assert_eq!(run.connection_status().0, "SUCCEEDED");
    store.requests().into_iter().map(|seen| seen.resource).collect()
}

fn check(store: &FakeStore) -> (String, String) {
    let run = Command::new("check").config(&config_with(store, &json!({"_retry_seconds": 3}))).run();
    assert_eq!(run.code, Some(0), "{}", run.transcript());
    let (status, message) = run.connection_status();
    (status.to_owned(), message.to_owned())
}

#[test]
fn check_succeeds_if_one_scope_of_eight_answers_500_and_names_it() {
    for probe in probes() {
        let struck = probe.clone();
        let hook = move |seen: &RecordedRequest| (seen.resource == struck).then(Fault::server_error);
        let options = Options { fault: Some(Box::new(hook)), ..Options::default() };
        let store = start(SignIn::Token, options, Data::sample(1, 5));
        let (status, message) = check(&store);
        assert_eq!(status, "SUCCEEDED", "{probe}: {message}");
        let scopes = &resource(&probe).unwrap().scopes;
        assert!(scopes.iter().any(|scope| message.contains(scope)), "{probe}: {scopes:?} are not in: {message}");
        assert!(message.contains("500"), "{probe}: {message}");
    }
}

#[test]
fn check_fails_if_every_scope_answers_500() {
    let options = Options { fault: Some(Box::new(|_| Some(Fault::server_error()))), ..Options::default() };
    let store = start(SignIn::Token, options, Data::sample(1, 5));
    assert_eq!(check(&store).0, "FAILED");
}
