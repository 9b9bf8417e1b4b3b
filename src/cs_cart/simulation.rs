//! Reads of a store that changes before every request, compared with the history of the store.

mod carts;
mod faults;
mod full;
mod incremental;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fake_cs_cart::{EMAIL, FakeCsCart, KEY, Options, Sample};
use serde_json::Value;
use tokio::sync::watch;
use url::Url;

use super::{CS_CART, Client, Settings};
use crate::airbyte::emit::{self, Passthrough};
use crate::airbyte::state::StoredState;
use crate::airbyte::{ConfiguredCatalog, Level, SyncMode};
use crate::http::RetryPolicy;
use crate::output::run_summary::RunSummary;
use crate::raw_config::RawConfig;
use crate::record_options::RecordOptions;
use crate::secret::Secret;
use crate::sync::shop::Shop;
use crate::sync::{self, JointReads, SyncContext};
use crate::timestamp::Timestamp;

/// Time after which a read is taken for one without an end: a hundred times what it takes on a busy machine.
const LONGEST: Duration = Duration::from_secs(60);

/// A store, and the settings with which it is read.
struct Setup {
    store: FakeCsCart,
    settings: Settings,
    start: i64,
    redact: bool,
}

/// The output of a read.
#[derive(Debug, Default)]
struct Output {
    text: String,
    records: BTreeMap<String, Vec<Value>>,
    /// The last state of each stream.
    states: BTreeMap<String, String>,
    /// Number of records up to the last state of each stream.
    covered: BTreeMap<String, usize>,
    failures: BTreeMap<String, String>,
}

impl Output {
    fn records(&self, stream: &str) -> &[Value] {
        self.records.get(stream).map_or(&[], Vec::as_slice)
    }

    /// Returns the records up to the last state of a stream.
    fn covered(&self, stream: &str) -> &[Value] {
        &self.records(stream)[..self.covered.get(stream).copied().unwrap_or(0)]
    }

    fn parse(text: String, failures: BTreeMap<String, String>) -> Self {
        let mut output = Self { failures, ..Self::default() };
        for line in text.lines() {
            // The last line of a read that was killed may be cut.
            let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
            match message["type"].as_str() {
                Some("RECORD") => {
                    let stream = message["record"]["stream"].as_str().unwrap().to_owned();
                    output.records.entry(stream).or_default().push(message["record"]["data"].clone());
                }
                Some("STATE") => {
                    let stream = &message["state"]["stream"];
                    let name = stream["stream_descriptor"]["name"].as_str().unwrap().to_owned();
                    output.states.insert(name.clone(), stream["stream_state"].to_string());
                    output.covered.insert(name.clone(), output.records(&name).len());
                }
                _ => {}
            }
        }
        Self { text, ..output }
    }
}

/// Keeps what is written, up to a number of bytes.
#[derive(Clone)]
struct Kept(Arc<Mutex<Vec<u8>>>, usize);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut kept = self.0.lock().unwrap();
        let left = self.1.saturating_sub(kept.len());
        if left == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        }
        let taken = bytes.len().min(left);
        kept.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Setup {
    fn new(options: Options, sample: &Sample) -> Self {
        let store = FakeCsCart::sample(options, sample);
        let settings = Settings {
            base: Url::parse(&format!("{}/", store.url())).unwrap(),
            email: EMAIL.to_owned(),
            api_key: Secret::new(KEY.to_owned()),
            rewrite: true,
            user_types: vec!["C".to_owned()],
            include_incomplete_orders: false,
            storefront_ids: Vec::new(),
            language: "en".to_owned(),
            rows_per_request: 10,
            concurrency: 1,
        };
        Self { store, settings, start: 0, redact: false }
    }

    /// Reads streams once. The output is cut off after `bytes`.
    async fn read_up_to(
        &self,
        streams: &[&str],
        mode: SyncMode,
        states: &BTreeMap<String, String>,
        bytes: usize,
    ) -> Output {
        let client: Arc<dyn Shop> = {
            let retry_policy = RetryPolicy::READ.at_most(Some(Duration::from_millis(1500)), None);
            Arc::new(Client::new(self.settings.clone(), retry_policy).unwrap())
        };
        let kept = Kept(Arc::default(), bytes);
        let (emitter, writer) =
            emit::start(Box::new(Passthrough(kept.clone())), Level::Debug, || unreachable!("nothing panics"));
        let catalog = ConfiguredCatalog::of(streams.iter().map(|name| (*name, mode)));
        let (_running, shutdown) = watch::channel(false);
        let config = RawConfig::parse(
            format!("{{\"redact_sensitive_fields\": {}}}", self.redact).as_bytes(),
            CS_CART.settings.names,
        )
        .unwrap();
        let context = Arc::new(SyncContext {
            joint: JointReads::of(&*client, &catalog),
            start: Timestamp::from_unix_seconds(self.start),
            end: None,
            record_options: RecordOptions::parse(&config, client.streams()).unwrap(),
            max_deleted_percent: 10,
            known_bytes: Arc::default(),
            progress: Arc::default(),
            summary: Arc::new(RunSummary::new(None)),
            shutdown,
            client,
        });
        let stored =
            |(name, state): (&String, &String)| StoredState { name: name.clone(), state: state.as_str().into() };
        let states: Arc<Vec<StoredState>> = Arc::new(states.iter().map(stored).collect());
        let mut reads = tokio::task::JoinSet::new();
        for configured in catalog.streams {
            let (context, states, emitter) = (Arc::clone(&context), Arc::clone(&states), emitter.clone());
            reads.spawn(async move {
                let read = sync::read(&context, &configured, &states, &emitter).await;
                (configured.stream.name.clone(), read)
            });
        }
        let mut failures = BTreeMap::new();
        while let Some(read) = self.next(&mut reads).await {
            match read.unwrap() {
                (name, Ok(Err(failure))) => drop(failures.insert(name, format!("{failure:?}"))),
                (name, Err(closed)) => drop(failures.insert(name, closed.to_string())),
                (_, Ok(Ok(()))) => {}
            }
        }
        drop(emitter);
        let _written = writer.finish();
        let text = String::from_utf8_lossy(&kept.0.lock().unwrap()).into_owned();
        Output::parse(text, failures)
    }

    /// Waits for the end of a read. One that does not end shows its last requests.
    async fn next<T: 'static>(&self, reads: &mut tokio::task::JoinSet<T>) -> Option<Result<T, tokio::task::JoinError>> {
        let next = tokio::time::timeout(LONGEST, reads.join_next()).await;
        next.unwrap_or_else(|_| {
            let requests = self.store.requests();
            let last: Vec<&str> = requests.iter().rev().take(40).map(|request| request.target.as_str()).collect();
            panic!("{} requests, the last ones first: {last:#?}", requests.len())
        })
    }

    async fn read(&self, streams: &[&str], mode: SyncMode, states: &BTreeMap<String, String>) -> Output {
        self.read_up_to(streams, mode, states, usize::MAX).await
    }

    async fn read_full(&self, streams: &[&str]) -> Output {
        self.read(streams, SyncMode::FullRefresh, &BTreeMap::new()).await
    }
}
