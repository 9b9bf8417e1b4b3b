//! Runs and checks a cell of the table: a read during the fault and, if rows are missing,
//! one afterwards.

use std::net::Ipv4Addr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::row::{FaultLocation, Row, Stay};
use crate::fake_store::{Data, FakeStore, Options, RecordedRequest, Tls};
use crate::harness::command::Command;
use crate::harness::destination::Destination;
use crate::harness::files::configured;
use crate::harness::order::ReadCheck;
use crate::harness::run::Run;
use crate::harness::setup::{Chance, SignIn, config_with, is_every_case_wanted, no_state, start};
use crate::scenarios::stores::scattered;

/// The streams with faults: one read by key, and one read page by page because its key is a string.
const STRUCK: [&str; 2] = ["orders", "microstores"];
/// A stream without faults.
const SPARED: &str = "products";
/// Rows of the streams with faults: some pages of [`PAGE`].
const ROWS: u64 = 70;
/// Rows of a page.
const PAGE: usize = 10;

/// The position of a fault in a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    First,
    Middle,
    Last,
}

/// One cell.
struct Cell<'r> {
    row: &'r Row,
    stay: Stay,
    begin: Begin,
    struck: &'static str,
}

/// Number of cells of a row that are always tested.
const FEW: usize = 3;

/// Runs the cells of a row concurrently, since most of the time is spent waiting: all of them if every case is wanted,
/// otherwise a third of them. Which third depends on the length of the row's name.
pub(crate) fn prove(row: &Row) {
    let mut cells = cells(row);
    if !is_every_case_wanted() && cells.len() > FEW {
        cells = cells.into_iter().skip(row.name.len() % 3).step_by(3).collect();
    }
    thread::scope(|scope| {
        let running: Vec<_> = cells.iter().map(|cell| (cell, scope.spawn(|| cell.prove()))).collect();
        for (cell, running) in running {
            assert!(running.join().is_ok(), "{}: {:?} {:?} {}", row.name, cell.stay, cell.begin, cell.struck);
        }
    });
}

/// Returns the number of cells of a row, for the table.
pub(crate) fn count(row: &Row) -> usize {
    cells(row).len()
}

fn cells(row: &Row) -> Vec<Cell<'_>> {
    let mut cells = Vec::new();
    let [by_key, by_page] = STRUCK;
    if matches!(row.place, FaultLocation::Name) {
        return vec![Cell { row, stay: Stay::Permanent, begin: Begin::First, struck: by_key }];
    }
    if matches!(row.place, FaultLocation::Flood(_)) {
        // Each of them uses as much memory as a response may.
        let cell = |stay| Cell { row, stay, begin: Begin::Middle, struck: by_key };
        return vec![cell(Stay::Once), cell(Stay::Permanent)];
    }
    for stay in Stay::ALL {
        let begins: &[Begin] =
            if stay == Stay::AtRandom { &[Begin::First] } else { &[Begin::First, Begin::Middle, Begin::Last] };
        cells.extend(begins.iter().map(|&begin| Cell { row, stay, begin, struck: by_key }));
    }
    if matches!(row.place, FaultLocation::Answer(_)) {
        for stay in [Stay::Once, Stay::AtRandom, Stay::Permanent] {
            cells.push(Cell { row, stay, begin: Begin::Middle, struck: by_page });
        }
    }
    cells
}

/// Creates a store with hooks for faults.
fn store(options: Options) -> FakeStore {
    let mut data = scattered(STRUCK[0], ROWS, 1);
    for (stream, rows) in [(STRUCK[1], ROWS), (SPARED, 25)] {
        let other = scattered(stream, rows, 2);
        for row in other.rows(stream) {
            data.insert(stream, row.clone());
        }
    }
    start(SignIn::Token, options, data)
}

fn options() -> Options {
    Options { max_count: Some(PAGE), ..Options::default() }
}

fn catalog(struck: &str) -> Value {
    configured(&[(struck, "incremental"), (SPARED, "incremental")])
}

/// Returns the number of requests of a read without faults, and of connections if each request has its own.
fn requests(struck: &'static str) -> (usize, usize) {
    static KNOWN: [OnceLock<(usize, usize)>; 2] = [const { OnceLock::new() }; 2];
    let known = &KNOWN[usize::from(struck == STRUCK[1])];
    *known.get_or_init(|| {
        let store = store(options());
        let config = config_with(&store, &json!({"max_requests_in_flight": 1}));
        let run = Command::new("read").config(&config).catalog(&catalog(struck)).state(&no_state()).run();
        assert_eq!(run.code, Some(0), "{}", run.transcript());
        let seen = store.requests();
        (seen.iter().filter(|seen| seen.resource == struck).count(), seen.len())
    })
}

impl Cell<'_> {
    fn prove(&self) {
        let (of_stream, of_all) = requests(self.struck);
        let about_connections =
            matches!(self.row.place, FaultLocation::Connection(_) | FaultLocation::Secured(_) | FaultLocation::Absence);
        let total = if about_connections { of_all } else { of_stream };
        let store = store(Options {
            tls: matches!(self.row.place, FaultLocation::Secured(_) | FaultLocation::SecuredAnswer(_))
                .then(Tls::default),
            address: if matches!(self.row.place, FaultLocation::Absence) { own_address() } else { Ipv4Addr::LOCALHOST },
            keep_alive: !about_connections,
            ..options()
        });
        self.strike(&store, total);
        let run = self.read(&store, &no_state());
        let mut destination = Destination::with_catalog(false, &catalog(self.struck));
        destination.take(&run);
        let whole = self.check_outcome(&run);
        store.options(|options| {
            options.fault = None;
            options.connection_fault = None;
            options.absence = None;
        });
        for stream in whole {
            self.compare(&store, &destination, stream, &run);
        }
        if run.code != Some(0) && !matches!(self.row.place, FaultLocation::Name) {
            let again = self.read(&store, &destination.state_list());
            assert_eq!(again.code, Some(0), "{}", again.transcript());
            destination.take(&again);
            for stream in [self.struck, SPARED] {
                self.compare(&store, &destination, stream, &again);
            }
        }
    }

    /// Sets the hook with the fault.
    fn strike(&self, store: &FakeStore, total: usize) {
        let (stay, mut chance) = (self.stay, Chance::new(self.row.name.len() as u64 * 31 + total as u64));
        let begin = match self.begin {
            Begin::First => 1,
            Begin::Middle => total / 2 + 1,
            Begin::Last => total,
        };
        let mut strikes = move |number: usize| match stay {
            Stay::Once => number == begin,
            Stay::Thrice => (begin..begin + 3).contains(&number),
            Stay::AtRandom => chance.below(5) == 0,
            Stay::Permanent => number >= begin,
        };
        let struck = self.struck;
        store.options(|options| match self.row.place {
            FaultLocation::Answer(fault) | FaultLocation::Flood(fault) | FaultLocation::SecuredAnswer(fault) => {
                let mut number = 0;
                options.fault = Some(Box::new(move |seen: &RecordedRequest| {
                    number += usize::from(seen.resource == struck);
                    (seen.resource == struck && strikes(number)).then(|| fault(seen))
                }));
            }
            FaultLocation::Connection(fault) | FaultLocation::Secured(fault) => {
                options.connection_fault = Some(Box::new(move |number| strikes(number).then(fault)));
            }
            FaultLocation::Absence => {
                // Long enough to be met once, or several times, or until the hook is removed; the schedule
                // is shortened with the retry time.
                let absence = Duration::from_millis(if stay == Stay::Thrice { 600 } else { 60 });
                let mut absent = None;
                options.absence = Some(Box::new(move |accepted| {
                    let due = match stay {
                        Stay::Permanent => accepted + 1 >= begin,
                        _ if absent == Some(accepted) => false,
                        Stay::AtRandom => strikes(accepted),
                        Stay::Once | Stay::Thrice => accepted + 1 == begin,
                    };
                    absent = Some(accepted);
                    due.then_some(absence)
                }));
            }
            FaultLocation::Name => {}
        });
    }

    fn read(&self, store: &FakeStore, state: &str) -> Run {
        // A permanent fault should end soon; a transient one must be outlasted on a slow machine too.
        let retry = if self.stay == Stay::Permanent { 3 } else { 15 };
        let in_flight = if self.stay == Stay::AtRandom { 4 } else { 1 };
        let timeout = if matches!(self.row.place, FaultLocation::Flood(_)) { 100 } else { 2 };
        let more = json!({"_retry_seconds": retry, "_timeout_seconds": timeout, "max_requests_in_flight": in_flight});
        let mut config = config_with(store, &more);
        if matches!(self.row.place, FaultLocation::Name) {
            config["credentials"]["store_name"] = json!("no-such-store.invalid");
        }
        let mut command = Command::new("read").config(&config).catalog(&catalog(self.struck)).state(state);
        if let Some(ca) = store.ca_file() {
            command = command.env("SSL_CERT_FILE", ca.to_str().unwrap());
        }
        command.run()
    }

    /// Checks the end of a run, and returns the streams that are complete.
    fn check_outcome(&self, run: &Run) -> Vec<&'static str> {
        ReadCheck::new(run, &catalog(self.struck)).assert();
        let (kind, may_be_complete) = self.row.expected(self.stay);
        // A 404 to a list with conditions may mean that no row matches them; counts show whether it does.
        let may_be_complete = may_be_complete || self.row.name == "http_404";
        // A shorter page may end before the byte at which a body is cut.
        let may_be_complete = may_be_complete || self.row.name == "cut_body";
        let is_complete = |stream: &&'static str| run.statuses(stream).last() == Some(&"COMPLETE");
        let whole: Vec<&'static str> = [self.struck, SPARED].into_iter().filter(|stream| is_complete(stream)).collect();
        let every = whole.len() == 2;
        assert_eq!((run.code == Some(0), run.code), (every, run.code_of_errors()), "{}", run.transcript());
        assert!(may_be_complete || !every, "{}", run.transcript());
        for error in run.errors() {
            assert_eq!(Some(error.failure_type.as_str()), kind, "{}", run.transcript());
        }
        assert_eq!(run.errors().len(), 2 - whole.len(), "{}", run.transcript());
        if matches!(
            self.row.place,
            FaultLocation::Answer(_) | FaultLocation::Flood(_) | FaultLocation::SecuredAnswer(_)
        ) {
            assert!(whole.contains(&SPARED), "the other stream\n{}", run.transcript());
        }
        whole
    }

    fn compare(&self, store: &FakeStore, destination: &Destination, stream: &str, run: &Run) {
        let comparison = store.data(|data: &mut Data| destination.compare(data, stream, stream, None, None));
        comparison.assert_clean_with_missing_dates(&format!(
            "{} {:?} {:?}\n{}",
            self.row.name,
            self.stay,
            self.begin,
            run.transcript()
        ));
    }
}

/// Returns an address that no other server of these tests listens on, so that its port is not reused.
fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    Ipv4Addr::new(127, 83, 0, NEXT.fetch_add(1, Ordering::SeqCst))
}
