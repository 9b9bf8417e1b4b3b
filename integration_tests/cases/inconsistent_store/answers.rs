//! A response is accepted only if it belongs to the request: rows of other streams, links to other resources, lists
//! under unknown names, and responses that a connection delivers late.

use std::sync::{Arc, OnceLock};
use std::thread;

use crate::cases::inconsistent_store::reading::{ROWS, by_key};
use crate::cases::inconsistent_store::response_case::{End, Trial, each_way, rows_of, slack, small_pages, strike};
use crate::fake_store::{Data, Envelope, Fault, Late, NextPage, Options, RecordedRequest, resource, resources};
use crate::scenarios::run::seeds;

/// Streams whose rows have similar fields, among them those of the first report.
const PAIRS: [(&str, &str); 8] = [
    ("customers", "orders"),
    ("orders", "customers"),
    ("order_items", "order_payments"),
    ("order_payments", "order_items"),
    ("products", "categories"),
    ("categories", "products"),
    ("stores", "users"),
    ("users", "stores"),
];

/// Returns responses that do not belong to the request.
fn wrong_answers(other: &'static str) -> [(&'static str, Fault); 3] {
    [
        ("the list of another stream", Fault::AnswerOf { resource: other, list: None }),
        ("rows of another stream under an unknown name", Fault::AnswerOf { resource: other, list: Some("data") }),
        ("a link to another resource", Fault::NextPageOf(other)),
    ]
}

fn trial(pair: (&'static str, &'static str), mode: &'static str, in_flight: u32, what: &str) -> Trial {
    let data = rows_of(&[(pair.0, 130), (pair.1, 90)]);
    Trial::new(small_pages(), data, &[pair.0, pair.1], mode, in_flight).called(&format!("{pair:?}, {what}"))
}

/// Changes 39 rows of the first stream and, later, three of the other.
fn change(trial: &Trial) {
    trial.store.data(|data| {
        data.tick(600_000);
        for (stream, rows) in [(trial.streams[0], 39), (trial.streams[1], 3)] {
            let ids = data.ids(stream);
            ids.iter().step_by(3).take(rows).for_each(|&id| data.touch(stream, id));
        }
    });
}

fn set(trial: &Trial, numbers: impl Fn(usize) -> bool + Send + 'static, fault: &Fault) {
    let fault = strike(trial.streams[0], numbers, fault.clone());
    trial.store.options(|options| options.fault = Some(Box::new(fault)));
}

/// One wrong response, to this request of a first sync and to the same one of a sync after changes: all rows arrive.
fn once(trial: &Trial, request: usize, fault: &Fault) {
    let mut destination = trial.destination();
    set(trial, move |number| number == request, fault);
    trial.read(&mut destination, End::Complete);
    if trial.mode == "full_refresh" {
        return;
    }
    change(trial);
    set(trial, move |number| number == request, fault);
    trial.read(&mut destination, End::Complete);
    trial.end_faults();
    let last = trial.read(&mut destination, End::Complete);
    // Rows without `updated_at` are sent by every sync.
    let dated = trial.streams.iter().filter(|stream| resource(stream).unwrap().has_updated_at);
    assert_eq!(dated.map(|stream| last.records(stream).len()).sum::<usize>(), 0, "{}", trial.what);
}

/// Wrong responses from this request on: no other stream's row is sent, the stream is incomplete, and a sync of the
/// healed store returns the rest.
fn from_this_request_on(trial: &Trial, request: usize, fault: &Fault) {
    let mut destination = trial.destination();
    set(trial, move |number| number >= request, fault);
    trial.read(&mut destination, End::Incomplete(trial.streams[0]));
    trial.end_faults();
    trial.read(&mut destination, End::Complete);
    if trial.mode == "incremental" {
        change(trial);
        set(trial, |_| true, fault);
        trial.read(&mut destination, End::Incomplete(trial.streams[0]));
        trial.end_faults();
        trial.read(&mut destination, End::Complete);
    }
}

#[test]
fn orders_in_a_response_to_customers_are_never_emitted() {
    each_way(|mode, in_flight| {
        for (what, fault) in &wrong_answers("orders")[..2] {
            for request in [1, 2, 4, 7] {
                let what = format!("{what}, request {request}");
                once(&trial(PAIRS[0], mode, in_flight, &what), request, fault);
            }
            for request in [1, 4] {
                let what = format!("{what}, from request {request}");
                from_this_request_on(&trial(PAIRS[0], mode, in_flight, &what).retrying(6), request, fault);
            }
        }
    });
}

#[test]
fn the_first_response_of_a_first_sync_is_checked_against_its_request() {
    // The sizes of the report, with pages of 1000.
    each_way(|mode, in_flight| {
        for (what, fault) in &wrong_answers("orders")[..2] {
            for times in [1, 2] {
                let data = rows_of(&[("customers", 3_000), ("orders", 900)]);
                let trial =
                    Trial::new(Options::default(), data, &["customers", "orders"], mode, in_flight).called(what);
                set(&trial, move |number| number <= times, fault);
                trial.read(&mut trial.destination(), End::Complete);
            }
        }
    });
}

#[test]
fn streams_with_similar_fields_are_distinguished() {
    thread::scope(|scope| {
        for pair in &PAIRS[1..] {
            scope.spawn(move || {
                for (what, fault) in &wrong_answers(pair.1)[..2] {
                    for (request, mode, in_flight) in [(1, "incremental", 8), (3, "full_refresh", 1)] {
                        once(&trial(*pair, mode, in_flight, &format!("{what}, once")), request, fault);
                    }
                    from_this_request_on(
                        &trial(*pair, "incremental", 1, &format!("{what}, for ever")).retrying(6),
                        1,
                        fault,
                    );
                }
            });
        }
    });
}

#[test]
fn lists_with_one_name_are_distinguished_by_the_fields_of_their_rows() {
    for pair in [("order_addresses", "addresses"), ("addresses", "order_addresses")] {
        each_way(|mode, in_flight| {
            for request in [1, 2, 4, 7] {
                // Without a link, which would name the resource.
                let options = Options { next_page: NextPage::Absent, ..small_pages() };
                let data = rows_of(&[(pair.0, 130), (pair.1, 130)]);
                let trial = Trial::new(options, data, &[pair.0, pair.1], mode, in_flight);
                let fault = Fault::AnswerOf { resource: pair.1, list: None };
                once(&trial.called(&format!("{pair:?}, request {request}")), request, &fault);
            }
        });
    }
}

#[test]
fn a_wrong_response_before_and_after_a_kill_loses_no_row() {
    for (seed, pair) in PAIRS.into_iter().enumerate() {
        let in_flight = if seed % 2 == 0 { 1 } else { 8 };
        for (what, fault) in wrong_answers(pair.1) {
            let trial = trial(pair, "incremental", in_flight, &format!("{what}, with kills"));
            let mut destination = trial.destination();
            for requests in [3, 5, 7] {
                set(&trial, move |number| number % 3 == 2, &fault);
                trial.read_killed(&mut destination, requests + seed % 3);
            }
            set(&trial, |number| number == 2, &fault);
            trial.read(&mut destination, End::Complete);
            change(&trial);
            set(&trial, |number| number == 1, &fault);
            trial.read_killed(&mut destination, 2);
            trial.end_faults();
            trial.read(&mut destination, End::Complete);
        }
    }
}

#[test]
fn a_link_to_another_resource_is_noticed() {
    each_way(|mode, in_flight| {
        for pair in [PAIRS[0], PAIRS[2]] {
            let (what, fault) = &wrong_answers(pair.1)[2];
            for request in [1, 2, 3] {
                once(&trial(pair, mode, in_flight, &format!("{what}, once")), request, fault);
            }
            from_this_request_on(&trial(pair, mode, in_flight, &format!("{what}, for ever")).retrying(6), 1, fault);
        }
    });
}

#[test]
fn a_link_in_any_correct_form_is_accepted_without_extra_requests() {
    each_way(|mode, in_flight| {
        let requests = |next_page: NextPage| {
            let trial = trial(PAIRS[0], mode, in_flight, &format!("{next_page:?}"));
            trial.store.options(|options| options.next_page = next_page);
            trial.read(&mut trial.destination(), End::Complete);
            trial.store.requests().len()
        };
        let documented = requests(NextPage::Documented);
        for next_page in [
            NextPage::Null,
            NextPage::Relative,
            NextPage::RawValues,
            NextPage::OtherHost("other.example".to_owned()),
            NextPage::OtherHost("https://other.example/store".to_owned()),
        ] {
            let more = requests(next_page.clone()).abs_diff(documented);
            assert!(more <= slack(2, in_flight), "{next_page:?}, {mode}, {in_flight} in flight: {more} more");
        }
    });
}

#[test]
fn an_unknown_list_name_with_rows_of_this_stream_is_accepted_without_extra_requests() {
    each_way(|mode, in_flight| {
        for pair in PAIRS.into_iter().step_by(2) {
            let requests = |envelope| {
                let trial = trial(pair, mode, in_flight, &format!("{envelope:?}"));
                trial.store.options(|options| options.envelope = envelope);
                trial.read(&mut trial.destination(), End::Complete);
                trial.store.requests().len()
            };
            let more = requests(Envelope::Named("data")).abs_diff(requests(Envelope::Short));
            assert!(more <= slack(2, in_flight), "{pair:?}, {mode}, {in_flight} in flight: {more} more");
        }
    });
}

#[test]
fn a_request_is_repeated_over_another_connection() {
    each_way(|mode, in_flight| {
        for (what, fault) in wrong_answers("orders") {
            let trial = trial(PAIRS[0], mode, in_flight, what);
            // The request that gets the fault is remembered here: concurrent requests may be recorded in another order.
            let struck = Arc::new(OnceLock::new());
            let (remembered, mut hook) = (Arc::clone(&struck), strike("customers", |number| number == 3, fault));
            trial.store.options(|options| {
                options.fault = Some(Box::new(move |seen| {
                    hook(seen).inspect(|_| {
                        let _ = remembered.set(seen.clone());
                    })
                }));
            });
            trial.read(&mut trial.destination(), End::Complete);
            let all = trial.store.requests();
            let struck = struck.get().unwrap();
            let is_again = |seen: &&RecordedRequest| seen.n > struck.n && seen.target == struck.target;
            assert!(all.iter().any(|seen| is_again(&seen)), "{}: the same request again", trial.what);
            // With several concurrent requests, another one may have used the connection before this response was read
            // to its end; its own response is checked separately.
            let mut later = all.iter().filter(|seen| seen.n > struck.n && (in_flight == 1 || is_again(seen)));
            let used_again = later.any(|seen| seen.connection == struck.connection);
            assert!(!used_again, "{}: connection {} was used again", trial.what, struck.connection);
        }
    });
}

#[test]
fn correct_responses_keep_their_connection() {
    for mode in ["incremental", "full_refresh"] {
        let trial = trial(PAIRS[0], mode, 1, "nothing goes wrong");
        trial.read(&mut trial.destination(), End::Complete);
        let connections = trial.store.requests().iter().map(|seen| seen.connection).max();
        assert_eq!(connections, Some(1), "{}", trial.what);
    }
}

/// Gives the first row of a list the key 1.
fn with_another_key(body: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8(body).unwrap();
    let (before, rest) = text.split_once("\"id\":").unwrap();
    let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap();
    format!("{before}\"id\":1{}", &rest[end..]).into_bytes()
}

#[test]
fn one_response_with_keys_of_another_range_is_requested_again() {
    for way in by_key() {
        let store = way.store(ROWS, |_| {});
        let mut is_first = true;
        store.options(|options| {
            options.fault = Some(Box::new(move |seen| {
                let is_range =
                    seen.param("sort") == Some("id") && seen.param("id").is_some_and(|id| id.contains("gt:"));
                let is_wrong = is_range && std::mem::take(&mut is_first);
                is_wrong.then(|| Fault::Changed { headers: Vec::new(), change: with_another_key })
            }));
        });
        let run = way.first_read(&store);
        way.assert_all_read(&run, &store, "one response of another range");
        // The stream is not read by page numbers because of it.
        assert!(!run.warnings().iter().any(|text| text.contains("by key")), "{way:?} {:?}", run.warnings());
    }
}

/// Returns true if the responses to two requests can be distinguished: lists of one name may look the same.
fn look_different(one: &str, other: &str) -> bool {
    one != other && resource(one).unwrap().key != resource(other).unwrap().key
}

#[test]
fn a_late_response_is_not_used_and_its_connection_is_closed() {
    for seed in seeds() {
        let mut met = 0;
        for out_of_step in [false, true] {
            for mode in ["incremental", "full_refresh"] {
                met += late(seed, out_of_step, mode, if seed % 2 == 0 { 1 } else { 8 });
            }
        }
        assert!(met > 0, "seed {seed}: nothing was late");
    }
}

/// Reads all streams of a store where one response in ten is the previous one, and returns the number of those that
/// belong to another resource.
fn late(seed: u64, out_of_step: bool, mode: &'static str, in_flight: u32) -> u32 {
    let options =
        Options { max_count: Some(10), late: Some(Late { seed, one_in: 10, out_of_step }), ..Options::default() };
    let streams: Vec<&'static str> = resources().iter().map(|of| of.path).collect();
    let trial = Trial::new(options, Data::sample(seed, 30), &streams, mode, in_flight);
    let trial =
        trial.with_repeats().retrying(60).called(&format!("seed {seed}, late answers, out of step: {out_of_step}"));
    let mut destination = trial.destination();
    if seed.is_multiple_of(3) {
        trial.read_killed(&mut destination, 40);
    }
    trial.store.clear_requests();
    trial.read(&mut destination, End::Either);
    let all = trial.store.requests();
    let mut met = 0;
    for seen in &all {
        let Some(earlier) = seen.answered_as.and_then(|earlier| all.iter().find(|other| other.n == earlier)) else {
            continue;
        };
        if look_different(&seen.resource, &earlier.resource) {
            met += 1;
            let used_again = all.iter().find(|other| other.n > seen.n && other.connection == seen.connection);
            // With several concurrent requests, another one may have used the connection before this response was read
            // to its end; its own response is checked separately.
            assert!(
                used_again.is_none() || trial.in_flight > 1,
                "{}: {} was answered as {}, and then over the same connection {:?}",
                trial.what,
                seen.target,
                earlier.target,
                used_again.map(|other| &other.target)
            );
        }
    }
    trial.end_faults();
    trial.read(&mut destination, End::Complete);
    met
}
