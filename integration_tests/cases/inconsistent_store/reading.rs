//! Reads one stream from a contradictory store, and checks the result.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::fake_store::{Data, FakeStore, Options, RecordedRequest, Spoil, SpoilHook, Stamp, resource};
use crate::harness::command::Command;
use crate::harness::destination::Destination;
use crate::harness::files::configured;
use crate::harness::order::ReadCheck;
use crate::harness::run::{ErrorTrace, Run};
use crate::harness::setup::{SignIn, config_with, is_every_case_wanted, no_state, some_of, start};

/// Rows of a page in the stores of most tests.
pub(crate) const PAGE: usize = 20;
/// Rows of the stream in the stores of most tests: three pages and some.
pub(crate) const ROWS: i64 = 75;

/// A stream in a mode, with a maximum number of concurrent requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) stream: &'static str,
    pub(crate) mode: &'static str,
    pub(crate) in_flight: u32,
}

/// A way to read.
const fn way(stream: &'static str, mode: &'static str, in_flight: u32) -> Way {
    Way { stream, mode, in_flight }
}

/// A stream whose rows all have dates, in each mode.
pub(crate) const DATED: [Way; 4] = [
    way("orders", "incremental", 1),
    way("orders", "incremental", 8),
    way("orders", "full_refresh", 1),
    way("orders", "full_refresh", 8),
];

/// All rows with dates; some without; none with dates; a string key, so that pages are numbered.
pub(crate) const WAYS: [Way; 8] = [
    way("orders", "incremental", 1),
    way("orders", "incremental", 8),
    way("orders", "full_refresh", 1),
    way("orders", "full_refresh", 8),
    way("products", "incremental", 1),
    way("products", "full_refresh", 8),
    way("coupon_codes", "full_refresh", 1),
    way("microstores", "full_refresh", 1),
];

/// Returns the ways of [`DATED`] for a test with many reads: all if every case is wanted, otherwise one.
pub(crate) fn dated() -> impl Iterator<Item = Way> {
    DATED.into_iter().filter(|way| is_wanted(*way))
}

/// Returns the ways of [`WAYS`] for a test with many reads: all if every case is wanted, otherwise one for each stream with
/// dates, and one for numbered pages.
pub(crate) fn ways() -> impl Iterator<Item = Way> {
    WAYS.into_iter().filter(|way| is_wanted(*way))
}

fn is_wanted(way: Way) -> bool {
    let few = [("orders", "incremental", 8), ("products", "incremental", 1), ("microstores", "full_refresh", 1)];
    is_every_case_wanted() || few.contains(&(way.stream, way.mode, way.in_flight))
}

/// Returns the ways that read by key.
pub(crate) fn by_key() -> impl Iterator<Item = Way> {
    ways().filter(|way| way.stream != "microstores")
}

/// Returns the ways whose state survives a kill.
pub(crate) fn resumable() -> impl Iterator<Item = Way> {
    ways().filter(|way| ["orders", "products"].contains(&way.stream))
}

impl Way {
    /// Returns the smallest key of [`Way::data`]: large, so that no other number in a message looks like a key.
    pub(crate) fn first(self) -> i64 {
        resource(self.stream).unwrap().first_id().max(100_000)
    }

    /// Returns rows a minute apart, the last one the newest. Every seventh product has no date.
    pub(crate) fn data(self, rows: i64) -> Data {
        let mut data = Data::empty();
        let begin = data.now_ms - rows * 60_000;
        for row in 0..rows {
            let at = Stamp::At(begin + row * 60_000);
            let updated = if self.stream == "products" && row % 7 == 3 { Stamp::Null } else { at };
            data.insert_lean(self.stream, self.first() + row, updated, at);
        }
        data
    }

    /// Returns a store with this many rows.
    pub(crate) fn store(self, rows: i64, quirk: impl FnOnce(&mut Options)) -> FakeStore {
        let mut options = Options { max_count: Some(PAGE), ..Options::default() };
        quirk(&mut options);
        start(SignIn::Token, options, self.data(rows))
    }

    /// Returns the config, with short waits.
    pub(crate) fn config(self, store: &FakeStore) -> Value {
        let waits = json!({"_retry_seconds": 3, "_timeout_seconds": 2});
        let mut config = config_with(store, &waits);
        config["max_requests_in_flight"] = self.in_flight.into();
        config
    }

    /// Returns the configured catalog.
    pub(crate) fn catalog(self) -> Value {
        configured(&[(self.stream, self.mode)])
    }

    /// Returns the command that reads, for tests that interrupt it.
    pub(crate) fn command<'a>(self, store: &FakeStore, state: &str) -> Command<'a> {
        store.clear_requests();
        Command::new("read").config(&self.config(store)).catalog(&self.catalog()).state(state)
    }

    /// Reads to the end.
    pub(crate) fn read(self, store: &FakeStore, state: &str) -> Run {
        let run = self.command(store, state).run();
        ReadCheck::new(&run, &self.catalog()).assert();
        run
    }

    /// Reads without a state.
    pub(crate) fn first_read(self, store: &FakeStore) -> Run {
        self.read(store, &no_state())
    }

    /// Returns an empty destination.
    pub(crate) fn destination(self) -> Destination {
        Destination::with_catalog(false, &self.catalog())
    }

    /// Returns the keys that a run emitted; panics if one was emitted twice.
    pub(crate) fn keys(self, run: &Run) -> BTreeSet<i64> {
        let of = resource(self.stream).unwrap();
        let mut keys = BTreeSet::new();
        for record in run.records(self.stream) {
            let raw = record.field(of.pk).unwrap();
            let key = of.parse_key(raw.trim_matches('"')).unwrap_or_else(|| panic!("{self:?}: key {raw}"));
            assert!(keys.insert(key), "{self:?}: {key} came twice\n{}", run.transcript());
        }
        keys
    }

    /// Returns the keys of all rows in the store.
    pub(crate) fn all(self, store: &FakeStore) -> BTreeSet<i64> {
        store.data(|data| data.ids(self.stream).into_iter().collect())
    }

    /// Checks for COMPLETE, exit code 0, and these keys, each once.
    pub(crate) fn assert_complete(self, run: &Run, expected: &BTreeSet<i64>, context: &str) {
        let keys = self.keys(run);
        let missing: Vec<&i64> = expected.difference(&keys).collect();
        assert!(
            missing.is_empty(),
            "{self:?} {context}: {} of {} rows are missing: {:?} …\n{}",
            missing.len(),
            expected.len(),
            &missing[..missing.len().min(5)],
            run.transcript()
        );
        assert_eq!(&keys, expected, "{self:?} {context}: rows too many\n{}", run.transcript());
        let status = run.statuses(self.stream).last().copied();
        assert_eq!((run.code, status), (Some(0), Some("COMPLETE")), "{self:?} {context}\n{}", run.transcript());
    }

    /// Checks that all rows of the store were read, with COMPLETE.
    pub(crate) fn assert_all_read(self, run: &Run, store: &FakeStore, context: &str) {
        let context = format!("{context}\nrequests: {:#?}", asked(store));
        self.assert_complete(run, &self.all(store), &context);
    }

    /// Checks for INCOMPLETE, the exit code of an error, and one error that names the stream. Returns the error.
    pub(crate) fn assert_incomplete(self, run: &Run, context: &str) -> ErrorTrace {
        let status = run.statuses(self.stream).last().copied();
        assert_eq!(
            (run.code, status),
            (run.code_of_errors(), Some("INCOMPLETE")),
            "{self:?} {context}\n{}",
            run.transcript()
        );
        let errors = run.errors();
        assert_eq!(errors.len(), 1, "{self:?} {context}\n{}", run.transcript());
        assert_eq!(errors[0].stream.as_deref(), Some(self.stream), "{self:?} {context}\n{}", run.transcript());
        errors[0].clone()
    }

    /// Checks that no row is missing in a destination that got the output of every run.
    pub(crate) fn assert_arrived(self, destination: &Destination, store: &FakeStore, context: &str) {
        let comparison = store.data(|data| destination.compare(data, self.stream, self.stream, None, None));
        comparison.assert_clean_with_missing_dates(&format!("{self:?} {context}"));
    }

    /// Checks the contract: after a run that exits with 0 no row is missing; any other run names the stream, and the
    /// next sync of the healed store returns the rest.
    pub(crate) fn assert_contract(self, destination: &mut Destination, run: &Run, store: &FakeStore, context: &str) {
        destination.take(run);
        if run.code == Some(0) {
            self.assert_arrived(destination, store, &format!("{context}, exit code 0\n{}", run.transcript()));
        } else {
            self.assert_incomplete(run, context);
        }
        end_faults(store);
        let healed = self.read(store, &destination.state_list());
        assert_eq!(healed.code, Some(0), "{self:?} {context}, healed\n{}", healed.transcript());
        destination.take(&healed);
        self.assert_arrived(destination, store, &format!("{context}, healed"));
    }

    /// Checks that a first read of a documented store took at most pages + ranges + `more` requests.
    pub(crate) fn assert_few_requests(self, store: &FakeStore, more: usize, context: &str) {
        let page = store.options(|options| options.max_count.unwrap_or(1000));
        let requests = store.requests();
        let ranges: BTreeSet<&str> =
            requests.iter().filter_map(|seen| seen.param("id")?.split("lte:").nth(1)).collect();
        let rows = store.data(|data| data.ids(self.stream).len());
        let bound = rows.div_ceil(page) + ranges.len() + more;
        assert!(
            requests.len() <= bound,
            "{self:?} {context}: {} requests, bound {bound} with {} ranges: {:#?}",
            requests.len(),
            ranges.len(),
            asked(store)
        );
    }
}

/// Returns the requests since the last read began: target, status, rows.
pub(crate) fn asked(store: &FakeStore) -> Vec<String> {
    store.requests().iter().map(|seen| format!("{} {} {}", seen.target, seen.status, seen.rows)).collect()
}

/// Removes all contradictions and faults.
pub(crate) fn end_faults(store: &FakeStore) {
    let max_count = store.options(|options| options.max_count);
    store.options(|options| {
        let token = options.tokens.clone();
        *options = Options { max_count, tokens: token, ..Options::default() };
    });
}

/// Makes the responses with these numbers faulty, counted from 1 among those that list rows.
pub(crate) fn at_answers(spoil: Spoil, numbers: impl Fn(usize) -> bool + Send + 'static) -> SpoilHook {
    let mut number = 0;
    Box::new(move |_, rows| {
        number += usize::from(rows > 0);
        (rows > 0 && numbers(number)).then_some(spoil)
    })
}

/// Reads once for each response with rows in a read of the correct store; that response is faulty, once.
/// From the response number `from` on, all reads must be COMPLETE, with no row missing.
pub(crate) fn once_at_every_answer(way: Way, rows: i64, spoil: Spoil, from: usize, quirk: impl Fn(&mut Options)) {
    let sound = way.store(rows, &quirk);
    way.assert_all_read(&way.first_read(&sound), &sound, "nothing spoilt");
    let requests = sound.requests();
    let answers = requests.iter().filter(|seen| seen.rows > 0).count();
    assert!(answers >= from, "{way:?}: {answers} answers");
    for number in some_of(from..=answers) {
        let store = way.store(rows, &quirk);
        store.options(|options| options.quirks.spoil = Some(at_answers(spoil, move |n| n == number)));
        let run = way.first_read(&store);
        let context = format!("{spoil:?} answer {number} of {answers}");
        way.assert_all_read(&run, &store, &context);
        let most = requests.len() * 2 + 4;
        assert!(store.requests().len() <= most, "{way:?} {context}: more than {most}: {:#?}", asked(&store));
    }
}

/// Reads once for each response of a correct read; all responses from that one on are faulty.
pub(crate) fn for_good_from_every_answer(way: Way, rows: i64, spoil: Spoil, quirk: impl Fn(&mut Options)) {
    let sound = way.store(rows, &quirk);
    way.assert_all_read(&way.first_read(&sound), &sound, "nothing spoilt");
    let answers = sound.requests().iter().filter(|seen| seen.rows > 0).count();
    for number in some_of(1..=answers) {
        let store = way.store(rows, &quirk);
        store.options(|options| options.quirks.spoil = Some(at_answers(spoil, move |n| n >= number)));
        let context = format!("{spoil:?} from answer {number} of {answers} on");
        let run = way.first_read(&store);
        if number == 1 {
            way.assert_incomplete(&run, &context);
        }
        way.assert_contract(&mut way.destination(), &run, &store, &context);
    }
}

/// Returns the destination after a first read that was killed after this many bytes of output.
pub(crate) fn killed(way: Way, store: &FakeStore, bytes: usize) -> Destination {
    let run = way.command(store, &no_state()).kill_after_bytes(bytes).run();
    ReadCheck::new(&run, &way.catalog()).cut().assert();
    let mut destination = way.destination();
    destination.take(&run);
    destination
}

/// Returns the value of `count`.
pub(crate) fn count_of(seen: &RecordedRequest) -> usize {
    seen.param("count").and_then(|text| text.parse().ok()).unwrap_or(100)
}
