//! Runs and checks a scenario.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::fake_store::{Data, FakeStore, Fraction, Options, RecordedRequest, Stamp, utc_ms};
use crate::harness::destination::Destination;
use crate::harness::files::{START, configured};
use crate::harness::order::ReadCheck;
use crate::harness::run::Run;
use crate::harness::setup::{Chance, SignIn, assert_no_signature, config, no_state, read, start};

/// An event in the store before a request is answered.
pub(crate) type Change = Box<dyn FnMut(&mut Data, &RecordedRequest) + Send>;

/// A store at the start of a scenario.
pub(crate) struct Setup {
    /// Its rows.
    pub(crate) data: Data,
    /// Its quirks.
    pub(crate) options: Options,
    /// The events while it is read.
    pub(crate) live: Option<Change>,
}

impl Setup {
    /// Creates a store that works as documented and does not change.
    pub(crate) fn still(data: Data) -> Setup {
        Setup { data, options: Options { max_count: Some(20), ..Options::default() }, live: None }
    }

    /// Adds an event before each request.
    pub(crate) fn changing(self, live: impl FnMut(&mut Data, &RecordedRequest) + Send + 'static) -> Setup {
        Setup { live: Some(Box::new(live)), ..self }
    }

    /// Starts it, with this sign-in.
    pub(crate) fn start(self, sign_in: SignIn) -> FakeStore {
        let Setup { data, mut options, live } = self;
        options.live = live;
        start(sign_in, options, data)
    }

    /// Adds quirks.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Options)) -> Setup {
        change(&mut self.options);
        self
    }
}

/// The expected end of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// No row is missing, and there is no warning about the store.
    Complete,
    /// No row is missing, and one warning describes the store.
    CompleteWithWarning,
    /// No row is missing if a read is COMPLETE; while rows move, it may be INCOMPLETE, with an error.
    CompleteOrIncomplete,
    /// The stream ends INCOMPLETE with an error, and its state does not change.
    Incomplete,
}

/// A scenario.
pub(crate) struct Scenario {
    /// Name of the test.
    pub(crate) name: &'static str,
    /// Description for the table.
    pub(crate) what: &'static str,
    /// The streams it reads.
    pub(crate) streams: &'static [&'static str],
    /// Creates the store from a seed.
    pub(crate) setup: fn(u64) -> Setup,
    /// The expected end.
    pub(crate) outcome: Outcome,
    /// True if requests are checked against the maximum of pages + ranges + 3 for each stream.
    pub(crate) bounded: bool,
}

/// Returns the seeds of each scenario: 1 to `SCENARIO_SEEDS`, or only `SCENARIO_SEED`. Without them it is 1, so that
/// `cargo test` is short; `.ci/seeds` runs more.
pub(crate) fn seeds() -> std::ops::RangeInclusive<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    number("SCENARIO_SEED").map_or_else(|| 1..=number("SCENARIO_SEEDS").unwrap_or(1), |seed| seed..=seed)
}

impl Scenario {
    /// Runs the scenario from every seed.
    pub(crate) fn prove(&self) {
        for seed in seeds() {
            // By the name as well, so that one seed has both sign-ins, and one request at a time as well as several.
            let draw = seed + self.name.len() as u64;
            let sign_in = if draw.is_multiple_of(2) { SignIn::Router } else { SignIn::Token };
            let in_flight = if draw.is_multiple_of(3) { 1 } else { 8 };
            for mode in ["incremental", "full_refresh"] {
                let context = format!("{} seed {seed} {mode} {sign_in:?} {in_flight} in flight", self.name);
                Case { scenario: self, mode, context }.prove((self.setup)(seed), sign_in, in_flight);
            }
        }
    }
}

struct Case<'s> {
    scenario: &'s Scenario,
    mode: &'static str,
    context: String,
}

/// Rows of a stream and their dates.
type Dates = BTreeMap<i64, Option<i64>>;

impl Case<'_> {
    fn prove(&self, setup: Setup, sign_in: SignIn, in_flight: u32) {
        let store = setup.start(sign_in);
        let mut config = config(sign_in, &store);
        config["max_requests_in_flight"] = in_flight.into();
        let selection: Vec<(&str, &str)> = self.scenario.streams.iter().map(|&name| (name, self.mode)).collect();
        let catalog = configured(&selection);
        let mut destination = Destination::with_catalog(false, &catalog);
        if store.options(|options| options.fraction) == Fraction::None {
            destination.resolution_ms = 1000;
        }
        let start = Some(utc_ms(START));

        // While rows change: those that existed at the start arrive, in that version or a later one.
        let before = self.dates(&store);
        let first = read(&config, &catalog, &no_state());
        self.check_run(&first, &catalog, &store);
        destination.take(&first);
        if first.code == Some(0) {
            self.assert_begun_with(&before, &first, &store);
        }
        if self.scenario.outcome == Outcome::Incomplete {
            return self.assert_incomplete(&first, &store, &config, &catalog);
        }

        // Afterwards, more changes and a read without changes: all rows are there in their last version.
        store.options(|options| options.live = None);
        store.data(|data| {
            data.tick(5_000);
            let mut chance = Chance::new(77);
            for stream in self.scenario.streams {
                if let Some(id) = chance.pick(&data.ids(stream)) {
                    data.touch(stream, id);
                }
            }
        });
        store.clear_requests();
        let state = if self.mode == "incremental" { destination.state_list() } else { no_state() };
        if self.mode == "full_refresh" {
            for stream in self.scenario.streams {
                destination.truncate(stream);
            }
        }
        let second = read(&config, &catalog, &state);
        self.check_run(&second, &catalog, &store);
        assert_eq!(second.code, Some(0), "{}\n{}", self.context, second.transcript());
        destination.take(&second);
        for stream in self.scenario.streams {
            let comparison = store.data(|data| destination.compare(data, stream, stream, start, None));
            comparison.assert_clean_with_missing_dates(&format!("{} {stream}", self.context));
        }

        if self.mode == "incremental" {
            let third = read(&config, &catalog, &destination.state_list());
            self.check_run(&third, &catalog, &store);
            for stream in self.scenario.streams {
                assert_eq!(
                    third.records(stream).len(),
                    0,
                    "{} {stream}: an unchanged store\n{}",
                    self.context,
                    third.transcript()
                );
                // A walk over many small pages emits checkpoints on the way.
                let pages_are_tiny = store.options(|options| options.max_count.is_some_and(|count| count < 10));
                assert!(
                    third.states(stream).len() == 1 || pages_are_tiny,
                    "{} {stream}\n{}",
                    self.context,
                    third.transcript()
                );
            }
        }
    }

    fn dates(&self, store: &FakeStore) -> BTreeMap<&'static str, Dates> {
        store.data(|data| {
            let rows = |stream: &str| {
                data.ids(stream)
                    .into_iter()
                    .map(|id| (id, data.row(stream, id).and_then(|row| row.updated_at.ms())))
                    .collect()
            };
            self.scenario.streams.iter().map(|&stream| (stream, rows(stream))).collect()
        })
    }

    /// Checks that a read follows the protocol, and that it sent no unnecessary requests.
    fn check_run(&self, run: &Run, catalog: &Value, store: &FakeStore) {
        ReadCheck::new(run, catalog).assert();
        assert_no_signature(run, store);
        let allowed = match self.scenario.outcome {
            Outcome::Complete => run.warnings().is_empty(),
            _ => self.scenario.streams.iter().all(|stream| {
                let mine = |text: &&&str| text.starts_with(&format!("{stream}: the store"));
                run.warnings().iter().filter(mine).count() <= 3
            }),
        };
        assert!(allowed, "{}: warnings {:?}", self.context, run.warnings());
        if matches!(self.scenario.outcome, Outcome::Complete | Outcome::CompleteWithWarning) {
            assert_eq!(run.code, Some(0), "{}\n{}", self.context, run.transcript());
        }
        if self.scenario.bounded {
            self.assert_few_requests(store);
        }
        store.clear_requests();
    }

    /// Checks for at most pages + ranges + 3 requests for each stream, and one more if rows changed meanwhile.
    fn assert_few_requests(&self, store: &FakeStore) {
        let requests = store.requests();
        let page = store.options(|options| options.max_count.unwrap_or(1000));
        for stream in self.scenario.streams {
            let mine: Vec<&RecordedRequest> = requests.iter().filter(|seen| seen.resource == *stream).collect();
            // The page of the largest keys is a page of the walk; it is requested in descending order.
            let is_page = |seen: &&&RecordedRequest| match seen.param("sort") {
                Some("id") => true,
                Some("-id") => seen.param("count") == Some("1000"),
                _ => false,
            };
            let walked: Vec<&&RecordedRequest> = mine.iter().filter(is_page).collect();
            let rows: usize = walked.iter().map(|seen| seen.rows).sum();
            let ranges: BTreeSet<&str> =
                walked.iter().filter_map(|seen| seen.param("id")?.split("lte:").nth(1)).collect();
            // If a page is one row, whether it is the largest takes its own request.
            // Rows that were added during the walk are read at its end, in a request of their own.
            let is_added = |seen: &&&&RecordedRequest| {
                seen.param("sort") == Some("id")
                    && seen.param("id").is_some_and(|id| id.starts_with("gt:") && !id.contains("lte:"))
            };
            let added = walked.iter().filter(is_added).count().min(1);
            // A count that is lower than a moment ago is requested again.
            let repeated = mine.windows(2).filter(|pair| pair[0].target == pair[1].target).count();
            // If rows changed meanwhile, the store counts them once more.
            let counted = mine.iter().filter(|seen| seen.param("count") == Some("1")).count().min(1);
            // If rows were deleted or moved into the dates meanwhile, the ends of the ranges are read again.
            let is_checked =
                mine.iter().any(|seen| seen.param("count") == Some("10") && seen.param("sort") == Some("id"));
            let ends = if is_checked { ranges.len() } else { 0 };
            let bound =
                rows.div_ceil(page) + ranges.len() + 3 + usize::from(page == 1) + added + repeated + counted + ends;
            assert!(
                mine.len() <= bound,
                "{} {stream}: {} requests, bound {bound}: {:#?}",
                self.context,
                mine.len(),
                mine.iter().map(|seen| &seen.target).collect::<Vec<_>>()
            );
        }
    }

    /// Checks that every row that existed when the sync started, and still exists, was emitted by it, in its version at
    /// that time or a later one.
    fn assert_begun_with(&self, before: &BTreeMap<&'static str, Dates>, run: &Run, store: &FakeStore) {
        for (stream, rows) in before {
            let mut delivered: BTreeMap<i64, Option<i64>> = BTreeMap::new();
            for record in run.records(stream) {
                let value: Value = serde_json::from_str(record.data().unwrap()).unwrap();
                let at = value["updated_at"]
                    .as_str()
                    .map(|text| chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis());
                delivered.insert(value["id"].as_i64().unwrap(), at);
            }
            for (id, date) in rows {
                let Some(now) = store.data(|data| data.row(stream, *id).map(|row| row.updated_at.ms())) else {
                    continue;
                };
                // An import may have set a date back; that version is a later one anyway.
                let earliest = (*date).min(now);
                let fraction_lost = 1000; // A store may print whole seconds only.
                let fresh = delivered
                    .get(id)
                    .is_some_and(|at| at.is_none_or(|at| earliest.is_none_or(|date| at + fraction_lost > date)));
                let wanted = date.is_none_or(|date| date >= utc_ms(START));
                assert!(
                    fresh || !wanted,
                    "{} {stream} {id}: was there at the start ({date:?}, now {now:?}), and was not delivered ({:?})\n{}\n{:#?}",
                    self.context,
                    delivered.get(id),
                    run.transcript(),
                    store.requests().iter().map(|seen| format!("{} {}", seen.target, seen.rows)).collect::<Vec<_>>()
                );
            }
        }
    }

    fn assert_incomplete(&self, run: &Run, store: &FakeStore, config: &Value, catalog: &Value) {
        for stream in self.scenario.streams {
            assert_eq!(run.statuses(stream).last(), Some(&"INCOMPLETE"), "{}", self.context);
            // What the state covers was delivered: it has no cursor, and a walk has ranges left or counts missing rows.
            let state = run.last_state(stream).unwrap();
            let walk = &state["walk"];
            let left = walk["left"].as_array().is_some_and(|left| !left.is_empty());
            let is_short = walk["counted"].as_u64().is_some_and(|counted| walk["read"].as_u64() < Some(counted));
            let is_unfinished = (left || is_short) && state.get("updated_at").is_none();
            assert!(*state == json!({}) || is_unfinished, "{}: {state}", self.context);
        }
        assert_eq!(run.code, Some(1), "{}", self.context);
        // The row can be the only one of a range.
        let says_why = |text: &str| text.contains("rows are missing") || text.contains("but lists none");
        assert!(run.errors().iter().all(|error| says_why(&error.message)), "{:?}", run.errors());
        // Once the store lists all rows that it counts, the next sync emits them.
        store.options(|options| options.hidden.clear());
        let mut destination = Destination::with_catalog(false, catalog);
        destination.take(run);
        let again = read(config, catalog, &destination.state_list());
        assert_eq!(again.code, Some(0), "{}", again.transcript());
        destination.take(&again);
        for stream in self.scenario.streams {
            let comparison = store.data(|data| destination.compare(data, stream, stream, None, None));
            comparison.assert_clean_with_missing_dates(&format!("{} {stream}", self.context));
        }
    }
}

/// Returns a date of a row.
pub(crate) fn at(ms: i64) -> Stamp {
    Stamp::At(ms)
}
