//! Reads a store that sends wrong responses or fails partly, and checks the result: COMPLETE means complete, no row of
//! another stream is emitted, and a healed store returns the rest.

use std::collections::BTreeMap;
use std::thread;

use serde_json::{Value, json};

use crate::fake_store::{Data, FakeStore, Fault, Options, RecordedRequest, resources};
use crate::harness::command::Command;
use crate::harness::destination::Destination;
use crate::harness::files::{configured, discovered_stream};
use crate::harness::order::ReadCheck;
use crate::harness::run::Run;
use crate::harness::setup::{SignIn, config_with, is_every_case_wanted, start};
use crate::scenarios::stores::scattered;

/// A store, and the way to read it.
pub(crate) struct Trial {
    pub(crate) store: FakeStore,
    pub(crate) streams: Vec<&'static str>,
    pub(crate) mode: &'static str,
    pub(crate) in_flight: u32,
    /// The ten minutes of retries are scaled to this many seconds.
    pub(crate) retry_seconds: u32,
    /// True if a row may be emitted twice in a run: contradictions can restart a read.
    pub(crate) repeats: bool,
    /// Description of the case for failing assertions.
    pub(crate) what: String,
}

/// The expected end of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// All streams are complete.
    Complete,
    /// This stream is incomplete, and the others are complete.
    Incomplete(&'static str),
    /// A stream that is COMPLETE has all its rows.
    Either,
}

/// Runs a test incrementally with eight requests in flight; if every case is wanted, in both modes, with one and with
/// eight, all concurrently.
pub(crate) fn each_way(test: impl Fn(&'static str, u32) + Sync) {
    let test = &test;
    let mut ways = vec![("incremental", 8)];
    if is_every_case_wanted() {
        ways.extend([("incremental", 1), ("full_refresh", 1), ("full_refresh", 8)]);
    }
    thread::scope(|scope| {
        let start = |&(mode, in_flight): &(&'static str, u32)| scope.spawn(move || test(mode, in_flight));
        let running: Vec<_> = ways.iter().map(start).collect();
        let failed: Vec<_> =
            ways.into_iter().zip(running).filter_map(|(way, running)| running.join().err().map(|_| way)).collect();
        assert!(failed.is_empty(), "{failed:?}");
    });
}

/// Returns rows of some streams, with dates within two hours and ids that overlap.
pub(crate) fn rows_of(streams: &[(&'static str, u64)]) -> Data {
    let mut data = Data::empty();
    for (place, &(stream, rows)) in streams.iter().enumerate() {
        for row in scattered(stream, rows, place as u64 + 1).rows(stream) {
            data.insert(stream, row.clone());
        }
    }
    data
}

/// Returns the number of additional requests that a read of the same rows may take: the number of ranges of a stream
/// depends on the free slots at that time, and with one slot there is no choice.
pub(crate) fn slack(streams: usize, in_flight: u32) -> usize {
    if in_flight == 1 { 0 } else { streams * in_flight as usize }
}

/// Returns options with small pages, so that a few rows are several pages.
pub(crate) fn small_pages() -> Options {
    Options { max_count: Some(20), ..Options::default() }
}

/// Adds a hook after the existing ones: the first one with a fault for a request is used.
pub(crate) fn add_fault(
    options: &mut Options,
    mut hook: impl FnMut(&RecordedRequest) -> Option<Fault> + Send + 'static,
) {
    let mut before = options.fault.take();
    options.fault = Some(Box::new(move |seen| before.as_mut().and_then(|before| before(seen)).or_else(|| hook(seen))));
}

/// Returns a hook that adds a fault to the requests to one stream with these numbers, counted from 1.
pub(crate) fn strike(
    stream: &'static str,
    numbers: impl Fn(usize) -> bool + Send + 'static,
    fault: Fault,
) -> impl FnMut(&RecordedRequest) -> Option<Fault> + Send + 'static {
    let mut number = 0;
    move |seen| {
        number += usize::from(seen.resource == stream);
        (seen.resource == stream && numbers(number)).then(|| fault.clone())
    }
}

impl Trial {
    pub(crate) fn new(
        options: Options,
        data: Data,
        streams: &[&'static str],
        mode: &'static str,
        in_flight: u32,
    ) -> Trial {
        let store = start(SignIn::Token, options, data);
        let what = format!("{mode}, {in_flight} in flight");
        Trial { store, streams: streams.to_vec(), mode, in_flight, retry_seconds: 30, repeats: false, what }
    }

    /// Sets another scale of waits.
    pub(crate) fn retrying(self, retry_seconds: u32) -> Trial {
        Trial { retry_seconds, ..self }
    }

    /// Allows a row to be emitted twice in a run.
    pub(crate) fn with_repeats(self) -> Trial {
        Trial { repeats: true, ..self }
    }

    /// Sets the description.
    pub(crate) fn called(self, what: &str) -> Trial {
        let what = format!("{what}, {}", self.what);
        Trial { what, ..self }
    }

    pub(crate) fn catalog(&self) -> Value {
        let known = |stream: &str| {
            let modes = &discovered_stream(stream).unwrap()["supported_sync_modes"];
            modes.as_array().unwrap().iter().any(|mode| mode == self.mode)
        };
        let mode = |stream: &str| if known(stream) { self.mode } else { "full_refresh" };
        configured(&self.streams.iter().map(|&stream| (stream, mode(stream))).collect::<Vec<_>>())
    }

    /// Returns an empty destination for its streams.
    pub(crate) fn destination(&self) -> Destination {
        Destination::with_catalog(false, &self.catalog())
    }

    pub(crate) fn config(&self) -> Value {
        let more = json!({"max_requests_in_flight": self.in_flight, "_retry_seconds": self.retry_seconds});
        config_with(&self.store, &more)
    }

    fn command(&self, state: &str) -> Command<'_> {
        let command = Command::new("read").config(&self.config()).catalog(&self.catalog()).state(state);
        match self.store.ca_file() {
            Some(ca) => command.env("SSL_CERT_FILE", ca.to_str().unwrap()),
            None => command,
        }
    }

    /// Reads once, checks the output, and gives it to the destination.
    pub(crate) fn read(&self, destination: &mut Destination, end: End) -> Run {
        let run = self.command(&destination.state_list()).run();
        destination.take(&run);
        for stream in &self.streams {
            self.assert_no_repeats(&run, stream);
            let incomplete = run.statuses(stream).last() != Some(&"COMPLETE");
            let expected = match end {
                End::Complete => false,
                End::Incomplete(name) => *stream == name,
                End::Either => incomplete,
            };
            assert_eq!(incomplete, expected, "{} {stream}, incomplete\n{}", self.what, run.transcript());
            if incomplete {
                self.assert_own_rows(&run, stream);
            } else {
                // The destination has each row of the run.
                self.assert_all_read(destination, stream, &run);
            }
        }
        ReadCheck::new(&run, &self.catalog()).assert();
        run
    }

    /// Reads until this many requests arrived at the store, and is killed there.
    pub(crate) fn read_killed(&self, destination: &mut Destination, requests: usize) {
        let before = self.store.requests().len();
        let reached = || self.store.requests().len() >= before + requests;
        let run = self.command(&destination.state_list()).kill_when(reached).run();
        destination.take(&run);
        for stream in &self.streams {
            self.assert_no_repeats(&run, stream);
            self.assert_own_rows(&run, stream);
        }
    }

    /// Removes all faults of the store.
    pub(crate) fn end_faults(&self) {
        self.store.options(|options| {
            options.fault = None;
            options.late = None;
            options.latin1 = false;
        });
    }

    /// Checks that all rows of a run are rows of the stream's resource. The store does not change.
    fn assert_own_rows(&self, run: &Run, stream: &str) {
        let mut brought = Destination::with_catalog(true, &self.catalog());
        brought.take(run);
        let comparison = self.store.data(|data| brought.compare(data, stream, stream, None, None));
        let wrong = [comparison.stale, comparison.changed, comparison.gone].concat();
        assert!(
            wrong.is_empty(),
            "{}: of `{stream}` are foreign or old: {} rows or fields, such as {:?}\n{}",
            self.what,
            wrong.len(),
            &wrong[..wrong.len().min(5)],
            run.transcript()
        );
    }

    /// Checks that a run emitted each row once, or always the same.
    fn assert_no_repeats(&self, run: &Run, stream: &str) {
        let mut seen = BTreeMap::new();
        let key = resources().iter().find(|of| of.path == stream).unwrap().pk;
        for record in run.records(stream) {
            let data = record.data_value();
            let id = data[key].to_string().trim_end_matches(".0").to_owned();
            if let Some(mut before) = seen.insert(id.clone(), data.clone()) {
                // `1` and `1.0` are one key.
                let mut data = data;
                before[key].take();
                data[key].take();
                let fine = self.repeats && before == data;
                assert!(fine, "{}: `{stream}` {id} came twice\n{}", self.what, run.transcript());
            }
        }
    }

    /// Checks that the destination has all rows of a stream.
    pub(crate) fn assert_all_read(&self, destination: &Destination, stream: &str, run: &Run) {
        let comparison = self.store.data(|data| destination.compare(data, stream, stream, None, None));
        let context = format!("{} says COMPLETE\n{}", self.what, run.transcript());
        comparison.assert_clean_with_missing_dates(&context);
        assert!(comparison.gone.is_empty(), "{context}: {stream} holds foreign rows: {:?}", comparison.gone);
    }

    /// Returns the requests to a stream, in order of arrival.
    pub(crate) fn requests(&self, stream: &str) -> Vec<RecordedRequest> {
        self.store.requests().into_iter().filter(|seen| seen.resource == stream).collect()
    }
}
