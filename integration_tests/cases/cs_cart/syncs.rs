//! Syncs of one store into one destination, each in one attempt or in several that are killed, compared with everything
//! that the store had meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::store::{assert_requests_are_sound, catalog, config, reading, told};
use crate::fake_cs_cart::{Data, FakeCsCart, History, Judge, Moment, Options, RecordedRequest, Sample, Truth, Verdict};
use crate::harness::destination::Destination;
use crate::harness::order::ReadCheck;
use crate::harness::run::Run;
use crate::harness::setup::Chance;
use crate::harness::shop::Shop;

/// Maximum number of requests of an attempt. A read that needs more does not end.
const MOST_REQUESTS: usize = 3_000;

/// A store, and the syncs of some of its streams.
pub(super) struct Syncs {
    /// The store.
    pub(super) store: FakeCsCart,
    /// The config.
    pub(super) config: Value,
    /// True if a sync ends COMPLETE only. With broken rows it ends INCOMPLETE.
    pub(super) is_complete: bool,
    /// The name of the scenario and its seed, for messages.
    context: String,
    catalog: Value,
    destination: Destination,
    judges: BTreeMap<String, Judge>,
}

impl Syncs {
    /// Starts a store with rows of a sample, to be read with these settings.
    pub(super) fn of(
        context: &str,
        (options, sample): (Options, &Sample),
        streams: &[(&str, &str)],
        settings: &Value,
    ) -> Syncs {
        let data = sample.data(options.edition);
        Syncs::with(context, (options, data), streams, settings)
    }

    /// Starts a store with these rows.
    pub(super) fn with(
        context: &str,
        (options, data): (Options, Data),
        streams: &[(&str, &str)],
        settings: &Value,
    ) -> Syncs {
        let store = FakeCsCart::start(options, data);
        let mut config = config(&store);
        for (key, value) in settings.as_object().unwrap() {
            config[key] = value.clone();
        }
        let catalog = catalog(streams);
        let judge = |(name, mode): &(&str, &str)| {
            let judge = if *mode == "incremental" { Judge::incremental(name) } else { Judge::full(name) };
            ((*name).to_owned(), judge)
        };
        Syncs {
            store,
            config,
            is_complete: true,
            context: context.to_owned(),
            destination: Destination::with_catalog(false, &catalog),
            catalog,
            judges: streams.iter().map(judge).collect(),
        }
    }

    /// Expects what a setting says.
    pub(super) fn judged(mut self, change: impl Fn(Judge) -> Judge) -> Syncs {
        self.judges = self.judges.into_iter().map(|(name, judge)| (name, change(judge))).collect();
        self
    }

    /// Keeps records after the last state of a killed run, as a destination may.
    pub(super) fn keeping_uncovered(mut self, keeps: bool) -> Syncs {
        self.destination.keep_uncovered = keeps;
        self
    }

    /// Reads once, and compares every stream with the store.
    pub(super) fn sync(&mut self) -> Run {
        let start = self.start();
        let run = self.attempt(None);
        self.compare(start, std::slice::from_ref(&run));
        run
    }

    /// Reads until an attempt is not killed, and compares every stream with the store. The first `kills` attempts are
    /// killed after at most `bytes` of their output. Returns the number of attempts.
    pub(super) fn sync_with_kills(&mut self, chance: &mut Chance, (kills, bytes): (usize, u64)) -> usize {
        let start = self.start();
        let mut runs: Vec<Run> = Vec::new();
        loop {
            let limit = (runs.len() < kills).then(|| usize::try_from(chance.below(bytes)).unwrap());
            let run = self.attempt(limit);
            let was_killed = run.interrupted;
            runs.push(run);
            if !was_killed {
                break;
            }
        }
        self.compare(start, &runs);
        runs.len()
    }

    /// Reads once more. The store must not have changed: incremental streams have no record and one state.
    pub(super) fn sync_unchanged(&mut self) {
        let run = self.sync();
        for (name, mode) in self.streams() {
            if mode == "incremental" {
                let records = run.records(&name);
                let first = records.first().map(|record| record.line.chars().take(300).collect::<String>());
                let context = &self.context;
                assert_eq!(first, None, "{context}: {} of {name}, unchanged\n{}", records.len(), told(&self.store));
                assert_eq!(run.states(&name).len(), 1, "{context}: {name}\n{}", run.transcript());
            }
        }
    }

    /// Reads the store while it changes, then without changes until there is nothing to emit.
    pub(super) fn sync_during(&mut self, live: Change) {
        self.store.options(|options| options.live = Some(live));
        self.sync();
        self.still();
        self.sync();
        self.sync_unchanged();
    }

    /// Stops the changes before requests.
    pub(super) fn still(&mut self) {
        self.store.options(|options| (options.live, options.between) = (None, None));
    }

    /// Returns the committed state of a stream.
    pub(super) fn state(&self, stream: &str) -> Value {
        self.destination.state(stream).unwrap_or(Value::Null)
    }

    fn streams(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let entries = self.catalog["streams"].as_array().unwrap().iter();
        entries.map(|entry| (text(&entry["stream"]["name"]), text(&entry["sync_mode"]))).collect()
    }

    /// Begins a sync: the platform overwrites what a full refresh reads. Returns the moment.
    fn start(&mut self) -> Moment {
        for (name, mode) in self.streams() {
            if mode == "full_refresh" {
                self.destination.truncate(&name);
            }
        }
        self.store.moment()
    }

    /// Runs one attempt, killed after `bytes` of its output, and checks it.
    fn attempt(&mut self, bytes: Option<usize>) -> Run {
        self.store.clear_requests();
        let command = reading(&self.config, &self.catalog, &self.destination.state_list());
        let run = match bytes {
            Some(bytes) => command.kill_after_bytes(bytes).run(),
            None => command.kill_when(|| self.store.counters().requests > MOST_REQUESTS).run(),
        };
        let context = &self.context;
        assert!(bytes.is_some() || !run.interrupted, "{context}: no end\n{}\n{}", run.transcript(), told(&self.store));
        let check = ReadCheck::for_shop(Shop::CsCart, &run, &self.catalog);
        if run.interrupted {
            check.cut().assert();
        } else {
            check.assert();
        }
        assert_requests_are_sound(&self.store);
        if !run.interrupted && self.is_complete {
            assert_eq!(run.code, Some(0), "{context}\n{}\n{}", run.transcript(), told(&self.store));
        }
        self.destination.take(&run);
        run
    }

    fn compare(&mut self, start: Moment, runs: &[Run]) {
        let history = self.store.history();
        for (name, mode) in self.streams() {
            let kept: Vec<Vec<Value>> = runs.iter().map(|run| self.kept(run, &name)).collect();
            let judge = self.judges.get_mut(&name).unwrap();
            for (run, records) in runs.iter().zip(&kept).filter(|_| runs.len() > 1) {
                let verdict = judge.clone().sync(&history, start, records);
                assert!(
                    verdict.doubled.is_empty(),
                    "{}: {name} in a run: {verdict}\n{}",
                    self.context,
                    run.transcript()
                );
            }
            let mut verdict = judge.sync(&history, start, &last_of_each(&self.catalog, &name, kept));
            if name == "products" && mode == "incremental" {
                let moved = moved_products(&history, start);
                verdict.stale.retain(|key| !moved.contains(key));
                verdict.missing.retain(|key| !moved.contains(key));
            }
            let (context, last) = (&self.context, runs.last().unwrap());
            let told =
                || format!("{}\n{}\n{}", versions(&history, &name, &verdict), last.transcript(), told(&self.store));
            assert!(verdict.is_right(), "{context}: {name} in {} attempts: {verdict}\n{}", runs.len(), told());
        }
    }

    /// Returns the records of a run that the destination keeps.
    fn kept(&self, run: &Run, stream: &str) -> Vec<Value> {
        let of_stream = run.messages.iter().filter(|message| message.stream() == Some(stream));
        let messages: Vec<_> = of_stream.collect();
        let states = messages.iter().rposition(|message| message.kind() == "STATE");
        let end = if self.destination.keep_uncovered { messages.len() } else { states.map_or(0, |place| place + 1) };
        let records = messages[..end].iter().filter(|message| message.kind() == "RECORD");
        records.map(|message| message.data_value()).collect()
    }
}

/// Returns the products whose creation date moved after a moment: the walk may have passed them, and then they are in
/// the next sync.
fn moved_products(history: &History, start: Moment) -> BTreeSet<Vec<i64>> {
    let date = |truth: &Truth| truth.row.as_ref().map(|row| row["timestamp"].clone());
    let has_moved = |versions: &Vec<Truth>| {
        versions.windows(2).any(|pair| pair[1].moment.step > start.step && date(&pair[0]) != date(&pair[1]))
    };
    history.versions("products").into_iter().filter(|(_, versions)| has_moved(versions)).map(|(key, _)| key).collect()
}

/// Returns the moments of the versions of a wrong row, for the message of a failing assertion.
fn versions(history: &History, stream: &str, verdict: &Verdict) -> String {
    let wrong = verdict.stale.iter().chain(&verdict.missing).chain(&verdict.doubled).next();
    let versions = history.versions(stream);
    let of_row = wrong.and_then(|key| versions.get(key)).into_iter().flatten();
    let lines = of_row.map(|truth| {
        let row = truth.row.as_ref().map_or_else(|| "deleted".to_owned(), |row| row.to_string());
        let row: String = row.chars().take(600).collect();
        format!("step {} at {} {:?}: {row}", truth.moment.step, truth.moment.at, truth.note)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns the records of several runs without those whose row came again in a later run: only within a run nothing
/// may come twice.
fn last_of_each(catalog: &Value, stream: &str, runs: Vec<Vec<Value>>) -> Vec<Value> {
    let mut entries = catalog["streams"].as_array().unwrap().iter();
    let entry = entries.rfind(|entry| entry["stream"]["name"] == stream).unwrap();
    let names = entry["primary_key"].as_array().unwrap().iter().map(|path| path[0].as_str().unwrap());
    // The storefront of a cart of Multi-Vendor is the one of any of its lines.
    let fields: Vec<&str> = names.filter(|name| *name != "storefront_id").collect();
    let key = |record: &Value| fields.iter().map(|name| record[*name].to_string()).collect::<Vec<_>>();
    let mut later: BTreeSet<Vec<String>> = BTreeSet::new();
    let mut kept: Vec<Vec<Value>> = Vec::new();
    for mut records in runs.into_iter().rev() {
        records.retain(|record| !later.contains(&key(record)));
        later.extend(records.iter().map(key));
        kept.push(records);
    }
    kept.into_iter().rev().flatten().collect()
}

/// An event in the store before a request is answered.
pub(super) type Change = Box<dyn FnMut(&mut Data, &RecordedRequest) + Send>;

/// Returns a hook that calls `change` before the request with this number of the object.
pub(super) fn before(
    object: &'static str,
    number: usize,
    mut change: impl FnMut(&mut Data) + Send + 'static,
) -> Change {
    let mut requests = 0;
    Box::new(move |data, seen| {
        requests += usize::from(seen.object == object);
        if requests == number && seen.object == object {
            change(data);
        }
    })
}
