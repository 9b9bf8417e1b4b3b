//! Correct responses are accepted in every form, and only the row with invalid UTF-8 is left out.

use crate::cases::inconsistent_store::response_case::{End, Trial, each_way, rows_of, slack, small_pages, strike};
use crate::fake_store::{Fault, Options, RecordedRequest, Tls};

/// A resource with small rows, so that many rows are few bytes.
const SMALL: &str = "custom_field_values";

fn trial(options: Options, mode: &'static str, in_flight: u32, what: &str) -> Trial {
    let data = rows_of(&[("orders", 110), ("customers", 30)]);
    Trial::new(options, data, &["orders", "customers"], mode, in_flight).called(what)
}

fn secured() -> Options {
    Options { tls: Some(Tls::default()), ..small_pages() }
}

/// Sends every response in this way: all rows arrive, without more requests than usual.
fn always(options: fn() -> Options, fault: &Fault, what: &str) {
    each_way(|mode, in_flight| {
        let requests = |options: Options| {
            let trial = trial(options, mode, in_flight, what);
            let mut destination = trial.destination();
            trial.read(&mut destination, End::Complete);
            let first = trial.store.requests().len();
            if mode == "incremental" {
                trial.store.data(|data| data.ids("orders").iter().step_by(5).for_each(|&id| data.touch("orders", id)));
                trial.read(&mut destination, End::Complete);
            }
            (first, trial.store.requests().len())
        };
        let usual = requests(options());
        let fault = fault.clone();
        let hook = Box::new(move |_: &RecordedRequest| Some(fault.clone()));
        let odd = requests(Options { fault: Some(hook), ..options() });
        for (usual, odd, syncs) in [(usual.0, odd.0, 1), (usual.1, odd.1, 2)] {
            let more = odd.abs_diff(usual);
            assert!(
                more <= slack(2 * syncs, in_flight),
                "{what}, {mode}, {in_flight} in flight: {odd}, usually {usual}"
            );
        }
    });
}

/// Sends one response in this way, which is requested again; if all are, the stream is incomplete until they are not.
fn once_and_always(options: fn() -> Options, fault: &Fault, what: &str) {
    each_way(|mode, in_flight| {
        for request in [1, 3] {
            let trial = trial(options(), mode, in_flight, what);
            let mut destination = trial.destination();
            let hook = strike("orders", move |number| number == request, fault.clone());
            trial.store.options(|options| options.fault = Some(Box::new(hook)));
            trial.read(&mut destination, End::Complete);
        }
        for request in [1, 3] {
            let trial = trial(options(), mode, in_flight, what).retrying(3);
            let mut destination = trial.destination();
            let hook = strike("orders", move |number| number >= request, fault.clone());
            trial.store.options(|options| options.fault = Some(Box::new(hook)));
            trial.read(&mut destination, End::Incomplete("orders"));
            trial.end_faults();
            trial.read(&mut destination, End::Complete);
        }
    });
}

#[test]
fn a_body_that_ends_with_the_connection_is_accepted_with_and_without_tls() {
    always(secured, &Fault::Unclosed { missing: 0 }, "no close_notify");
    always(small_pages, &Fault::Unclosed { missing: 0 }, "no length");
}

#[test]
fn a_body_that_is_cut_with_the_connection_is_requested_again() {
    for missing in [1, 2, 700] {
        once_and_always(secured, &Fault::Unclosed { missing }, &format!("no close_notify, {missing} bytes missing"));
    }
}

#[test]
fn a_203_is_accepted() {
    always(small_pages, &Fault::Status(203), "203");
}

#[test]
fn a_204_and_a_206_are_requested_again() {
    for status in [204, 206] {
        once_and_always(small_pages, &Fault::Status(status), &format!("{status}"));
    }
}

#[test]
fn bytes_after_a_gzip_member_are_not_part_of_the_body() {
    for (what, tail) in [("zeros", &[0; 512][..]), ("a line end", b"\r\n"), ("a comment", b"<!-- proxy 7 -->")] {
        always(small_pages, &Fault::Gzip { members: 1, tail }, what);
    }
}

#[test]
fn a_body_of_several_gzip_members_is_complete() {
    always(small_pages, &Fault::Gzip { members: 3, tail: b"" }, "three members");
    always(small_pages, &Fault::Gzip { members: 2, tail: &[0; 8] }, "two members and zeros");
}

#[test]
fn a_row_that_is_not_utf_8_is_the_only_one_missing_and_is_named() {
    each_way(|mode, in_flight| {
        for (rows, place) in [(15, 7), (3_000, 0), (3_000, 1_234), (3_000, 2_999)] {
            let what = format!("row {place} of {rows} is not UTF-8");
            let trial = Trial::new(
                Options::default(),
                rows_of(&[(SMALL, rows), ("orders", 40)]),
                &[SMALL, "orders"],
                mode,
                in_flight,
            )
            .called(&what)
            .retrying(6);
            trial.read(&mut trial.destination(), End::Complete);
            let usual = trial.requests(SMALL).len();

            let bad = trial.store.data(|data| {
                let id = data.ids(SMALL)[place];
                data.set_field(SMALL, id, "value", "\"caf\u{f8ff}\"");
                id
            });
            trial.store.options(|options| options.latin1 = true);
            trial.store.clear_requests();
            let mut destination = trial.destination();
            let run = trial.read(&mut destination, End::Incomplete(SMALL));
            let missing = |destination: &crate::harness::destination::Destination| {
                trial.store.data(|data| destination.compare(data, SMALL, SMALL, None, None)).missing
            };
            assert_eq!(missing(&destination), [bad], "{}\n{}", trial.what, run.transcript());
            let error = &run.errors()[0].message;
            assert!(error.contains("not UTF-8") && error.contains(&bad.to_string()), "{}: {error}", trial.what);
            let more = trial.requests(SMALL).len().saturating_sub(usual);
            // The last row is in the response with the largest key, so it is isolated in that order, too.
            let most = if place == 2_999 { 2 * 24 } else { 24 };
            assert!(
                more <= most + slack(1, in_flight),
                "{}: {more} requests more than the {usual} usual: 2 log2(1000) + 4",
                trial.what
            );

            // Changes of other rows arrive although it remains.
            if mode == "incremental" {
                trial.store.data(|data| {
                    data.tick(600_000);
                    data.ids(SMALL)
                        .into_iter()
                        .filter(|&id| id != bad)
                        .step_by(3)
                        .take(4)
                        .for_each(|id| data.touch(SMALL, id));
                });
                let run = trial.read(&mut destination, End::Incomplete(SMALL));
                assert_eq!(missing(&destination), [bad], "{}\n{}", trial.what, run.transcript());
                assert!(run.records(SMALL).len() >= 4, "{}\n{}", trial.what, run.transcript());
            }
            trial.end_faults();
            trial.read(&mut destination, End::Complete);
        }
    });
}

#[test]
fn a_row_that_is_not_utf_8_is_named_after_a_kill() {
    for in_flight in [1, 8] {
        let options = Options { latin1: true, max_count: Some(100), ..Options::default() };
        let trial = Trial::new(options, rows_of(&[(SMALL, 900)]), &[SMALL], "incremental", in_flight)
            .called("not UTF-8, with kills")
            .retrying(6);
        let bad = trial.store.data(|data| {
            let id = data.ids(SMALL)[450];
            data.set_field(SMALL, id, "value", "\"caf\u{f8ff}\"");
            id
        });
        let mut destination = trial.destination();
        for requests in [4, 8, 12] {
            trial.read_killed(&mut destination, requests);
        }
        let run = trial.read(&mut destination, End::Incomplete(SMALL));
        let comparison = trial.store.data(|data| destination.compare(data, SMALL, SMALL, None, None));
        assert_eq!(comparison.missing, [bad], "{}", run.transcript());
        trial.end_faults();
        trial.read(&mut destination, End::Complete);
    }
}

#[test]
fn ids_written_as_1_and_as_1_0_are_one_row() {
    each_way(|mode, in_flight| {
        for kill in [false, true] {
            let options = Options { decimal_keys: true, ..small_pages() };
            let trial = trial(options, mode, in_flight, "decimal keys");
            let mut destination = trial.destination();
            if kill {
                trial.read_killed(&mut destination, 5);
            }
            trial.read(&mut destination, End::Complete);
            if mode == "incremental" {
                // The first request of a run is printed in the other way than that of the previous run.
                for first in [1, 0] {
                    while trial.store.requests().len() % 2 != first {
                        ask_something(&trial).unwrap();
                    }
                    let run = trial.read(&mut destination, End::Complete);
                    let came: usize = trial.streams.iter().map(|stream| run.records(stream).len()).sum();
                    assert_eq!(came, 0, "{}: nothing changed\n{}", trial.what, run.transcript());
                }
                trial.store.data(|data| {
                    data.tick(600_000);
                    data.ids("orders").iter().step_by(9).take(3).for_each(|&id| data.touch("orders", id));
                });
                let run = trial.read(&mut destination, End::Complete);
                assert_eq!(run.records("orders").len(), 3, "{}\n{}", trial.what, run.transcript());
            }
        }
    });
}

/// Sends a request that only counts.
fn ask_something(trial: &Trial) -> std::io::Result<()> {
    use std::io::{Read as _, Write as _};
    let mut tcp = std::net::TcpStream::connect(trial.store.addr())?;
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    tcp.read_to_end(&mut Vec::new()).map(|_| ())
}
