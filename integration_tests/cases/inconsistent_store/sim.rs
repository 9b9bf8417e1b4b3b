//! A store in simulated time, and the output that a platform received from it: the clock stands still during a sync,
//! and moves when the test moves it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::fake_store::{Data, FakeStore, Options, RecordedRequest, Stamp, resource};
use crate::harness::command::Command;
use crate::harness::files::{configured, configured_stream};
use crate::harness::json as raw;
use crate::harness::order::ReadCheck;
use crate::harness::run::Run;
use crate::harness::setup::{SignIn, config, start};

/// A stream of few fields whose rows all have a date; most tests read it.
pub(crate) const STREAM: &str = "attribute_groups";

pub(crate) const SECOND: i64 = 1000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

/// A store, one stream of it, and the platform's side.
pub(crate) struct Sim {
    pub(crate) store: FakeStore,
    pub(crate) stream: &'static str,
    /// Config of the next sync.
    pub(crate) config: Value,
    catalog: Value,
    mode: &'static str,
    /// A field whose values may break the schema, because another test checks them.
    pub(crate) misfit: Option<&'static str>,
    /// Content of `--state` of the next sync.
    pub(crate) state: String,
    /// Number of records of each row.
    pub(crate) times: BTreeMap<i64, usize>,
    /// The last record of each row.
    latest: BTreeMap<i64, raw::Fields>,
}

/// One sync.
pub(crate) struct Sync {
    pub(crate) run: Run,
    /// Ids of its records in ascending order.
    pub(crate) ids: Vec<i64>,
    /// The requests for lists of the stream.
    pub(crate) requests: Vec<RecordedRequest>,
}

impl Sync {
    /// Returns the warnings.
    pub(crate) fn warnings(&self) -> Vec<&str> {
        self.run.warnings()
    }

    /// Returns the requests, for the message of a failing assertion.
    pub(crate) fn asked(&self) -> String {
        let lines: Vec<String> =
            self.requests.iter().map(|seen| format!("{} -> {} rows", seen.target, seen.rows)).collect();
        format!("{}\n{}", lines.join("\n"), self.run.transcript())
    }

    /// Checks for at most pages + ranges + 3 requests, from the listed rows.
    pub(crate) fn assert_few_requests(&self, page: usize, context: &str) {
        let rows: usize = self.requests.iter().map(|seen| seen.rows).sum();
        let ranges: BTreeSet<&str> =
            self.requests.iter().filter_map(|seen| seen.param("id")?.split("lte:").nth(1)).collect();
        let bound = rows.div_ceil(page) + ranges.len() + 3;
        let made = self.requests.len();
        assert!(made <= bound, "{context}: {made} requests, at most {bound}\n{}", self.asked());
    }
}

impl Sim {
    /// Creates a store whose `Date` header shows its own clock, read incrementally from 2000 on.
    pub(crate) fn new(stream: &'static str, options: Options, data: Data) -> Sim {
        Sim::in_mode("incremental", stream, options, data)
    }

    /// Creates the same in a given mode.
    pub(crate) fn in_mode(mode: &'static str, stream: &'static str, options: Options, data: Data) -> Sim {
        let store = start(SignIn::Token, Options { date_from_store: true, ..options }, data);
        let config = config(SignIn::Token, &store);
        let catalog = configured(&[(stream, mode)]);
        let (state, times, latest) = (String::new(), BTreeMap::new(), BTreeMap::new());
        Sim { store, stream, config, catalog, mode, misfit: None, state, times, latest }
    }

    /// Sets a field of the config.
    pub(crate) fn configure(&mut self, key: &str, value: Value) {
        self.config[key] = value;
    }

    /// Reads with nested collections, which `discover` declares.
    pub(crate) fn expand(&mut self, collections: &Value) {
        self.configure("expand", collections.clone());
        let run = Command::new("discover").config(&self.config).run();
        let streams = run.catalog()["streams"].as_array().unwrap();
        let stream = streams.iter().find(|stream| stream["name"] == self.stream).unwrap().clone();
        self.catalog = json!({"streams": [configured_stream(stream, self.mode)]});
    }

    /// Sets a finished state with only this cursor, as the Python connector writes it.
    pub(crate) fn set_cursor(&mut self, at: &str) {
        let descriptor = json!({"name": self.stream});
        let state = json!({"stream_descriptor": descriptor, "stream_state": {"updated_at": at}});
        self.state = json!([{"type": "STREAM", "stream": state}]).to_string();
    }

    /// Runs one sync, which must end COMPLETE.
    pub(crate) fn sync(&mut self) -> Sync {
        let sync = self.attempt(None);
        let run = &sync.run;
        assert_eq!((run.code, run.statuses(self.stream).last()), (Some(0), Some(&"COMPLETE")), "{}", sync.asked());
        sync
    }

    /// Runs one sync that is killed after this many bytes of output, unless it ends before.
    pub(crate) fn killed(&mut self, bytes: usize) -> Sync {
        self.attempt(Some(bytes))
    }

    /// Runs one sync with any result.
    pub(crate) fn tried(&mut self) -> Sync {
        self.attempt(None)
    }

    fn attempt(&mut self, kill: Option<usize>) -> Sync {
        self.store.clear_requests();
        let mut command = Command::new("read").config(&self.config).catalog(&self.catalog).state(&self.state);
        if let Some(bytes) = kill {
            command = command.kill_after_bytes(bytes);
        }
        let run = command.run();
        let mut check = ReadCheck::new(&run, &self.catalog);
        if let Some(field) = self.misfit {
            check = check.misfit(self.stream, field);
        }
        if run.interrupted {
            check = check.cut();
        }
        check.assert();
        self.take(&run);
        let mut ids = run.ids(self.stream);
        ids.sort_unstable();
        let requests = self.store.requests().into_iter().filter(|seen| seen.resource == self.stream).collect();
        Sync { run, ids, requests }
    }

    /// Keeps the records that a STATE covers, and that STATE.
    fn take(&mut self, run: &Run) {
        let mut pending = Vec::new();
        for message in run.messages.iter().filter(|message| message.stream() == Some(self.stream)) {
            match message.kind() {
                "RECORD" => pending.push(message),
                "STATE" => {
                    for record in pending.drain(..) {
                        let id = record.id().unwrap();
                        *self.times.entry(id).or_default() += 1;
                        self.latest.insert(id, record.fields());
                    }
                    if self.mode == "incremental" || run.interrupted {
                        self.state = format!("[{}]", message.state_text().unwrap());
                    }
                }
                _ => {}
            }
        }
    }

    /// Returns the rows of the store that were never emitted, or changed since.
    pub(crate) fn lost(&self) -> Vec<i64> {
        let field = resource(self.stream).unwrap().touch_field;
        let ids = self.store.data(|data| data.ids(self.stream));
        let wanting = |id: &i64| {
            let row = raw::object(&self.store.json(self.stream, *id).unwrap()).unwrap();
            self.latest.get(id).is_none_or(|latest| latest.get(field) != row.get(field))
        };
        ids.into_iter().filter(wanting).collect()
    }

    /// Panics if a row is missing or outdated.
    pub(crate) fn assert_nothing_lost(&self, context: &str) {
        let lost = self.lost();
        let shown = &lost[..lost.len().min(10)];
        assert!(lost.is_empty(), "{context}: {} of {} rows lost: {shown:?}", lost.len(), self.rows());
    }

    /// Panics unless a sync emits nothing, warns about nothing, and takes one request.
    pub(crate) fn assert_unchanged(&mut self, context: &str) {
        let sync = self.sync();
        assert_eq!(sync.ids.len(), 0, "{context}: records of an unchanged store\n{}", sync.asked());
        assert_eq!(sync.warnings(), Vec::<&str>::new(), "{context}");
        assert_eq!(sync.run.states(self.stream).len(), 1, "{context}\n{}", sync.asked());
        assert_eq!(sync.requests.len(), 1, "{context}: requests of an unchanged store\n{}", sync.asked());
    }

    /// Returns the number of rows in the store.
    pub(crate) fn rows(&self) -> usize {
        self.store.data(|data| data.ids(self.stream).len())
    }

    /// Returns the number of records for each row of the store.
    pub(crate) fn records_per_row(&self) -> f64 {
        let records: usize = self.times.values().sum();
        f64::from(u32::try_from(records).unwrap()) / f64::from(u32::try_from(self.rows().max(1)).unwrap())
    }

    /// Returns the `stream_state` of the last STATE.
    pub(crate) fn stream_state(&self) -> Value {
        let list: Value = serde_json::from_str(&self.state).unwrap();
        list[0]["stream"]["stream_state"].clone()
    }

    /// Returns the cursor of the last STATE in milliseconds.
    pub(crate) fn cursor(&self) -> Option<i64> {
        raw::instant(self.stream_state()["updated_at"].as_str()?)
    }

    /// Returns the `updated_at` that the store shows for a row, in milliseconds.
    pub(crate) fn shown(&self, id: i64) -> Option<i64> {
        let row = raw::object(&self.store.json(self.stream, id)?)?;
        raw::instant(&raw::string(row.get("updated_at")?)?)
    }

    /// Returns the store's clock.
    pub(crate) fn now(&self) -> i64 {
        self.store.data(|data| data.now_ms)
    }

    /// Sets the store's clock.
    pub(crate) fn set_now(&self, ms: i64) {
        self.store.data(|data| data.now_ms = ms);
    }
}

/// Adds `rows` rows to a store, `step` milliseconds apart, the last one at `last`.
pub(crate) fn add_rows(data: &mut Data, stream: &str, rows: i64, step: i64, last: i64) {
    for row in 0..rows {
        let at = Stamp::At(last - (rows - 1 - row) * step);
        let id = data.next_id(stream);
        data.insert_lean(stream, id, at, at);
    }
}

/// Returns a store with rows every half hour of the last month, and its clock at `now`.
pub(crate) fn month(stream: &str, now: i64) -> Data {
    let mut data = Data::empty();
    data.now_ms = now;
    add_rows(&mut data, stream, 1_440, 30 * MINUTE, now - HOUR);
    data
}
