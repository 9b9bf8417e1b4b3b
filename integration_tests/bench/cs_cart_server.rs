//! The CS-Cart store of the benchmarks: the fake store with TLS, with every response kept and repeated.
//!
//! The fake store makes each response, so its content is that of the tests. A store that does not change sends the same
//! bytes for the same request, so they are made once: what is measured is the client, and not the fake store.
//!
//! `integration_tests/bench/cs_cart.py` starts it and controls it on standard input, with one line per command and one
//! per reply:
//!
//! ```text
//! set orders=2000 carts=200 stores=2 gzip=0 latency_ms=0 changes=0 seed=1   {"orders":…,"carts":…}: the rows listed
//! stats                                                {"requests":…,"refused":0,"bytes":…}, and resets them
//! begin                                                {}: a sync begins
//! still                                                {}: the store stops changing
//! compare full|incremental STREAM FILE                 {"records":…,"missing":…,…}: the records of the sync, one a line
//! ```
//!
//! With `changes`, the store changes before each request, up to so many times: orders are placed, edited and deleted,
//! products edited, carts filled, emptied and bought.
//!
//! The first line it prints is `PORT PATH-OF-ITS-AUTHORITY E-MAIL API-KEY`.

mod tls;

use std::collections::HashMap;
use std::io::{self, BufRead as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use fake_cs_cart::{EMAIL, FakeCsCart, Judge, KEY, Moment, Options, Sample, Schedule, Verdict};
use serde_json::Value;
use tls::{Connection, Listening, exit_code, say};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// Weights of the changes: orders, products, users, carts, shipments, messages.
const WEIGHTS: [i64; 6] = [5, 2, 0, 5, 0, 0];

/// A store with its settings.
struct Setting {
    fake: FakeCsCart,
    /// Responses by the head of their request, if the store does not change.
    answers: Option<Mutex<HashMap<String, Arc<[u8]>>>>,
    latency: Duration,
}

#[derive(Default)]
struct Front {
    setting: RwLock<Option<Arc<Setting>>>,
    requests: AtomicU64,
    bytes: AtomicU64,
}

fn main() -> ExitCode {
    exit_code(run())
}

fn run() -> io::Result<()> {
    let listening = Listening::start()?;
    let front = Arc::new(Front::default());
    let served = Arc::clone(&front);
    let _runtime = listening.serve(move |tcp, acceptor| serve(tcp, acceptor, Arc::clone(&served)))?;
    say(&format!("{} {EMAIL} {KEY}", listening.address()))?;
    let mut syncs = Syncs::default();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let reply = match words.as_slice() {
            ["set", settings @ ..] => front.set(settings).inspect(|_| syncs = Syncs::default()),
            ["stats"] => Ok(front.stats()),
            ["begin"] => front.store().map(|store| {
                syncs.start = Some(store.fake.moment());
                "{}".to_owned()
            }),
            ["still"] => front.store().map(|store| {
                store.fake.options(|options| options.live = None);
                "{}".to_owned()
            }),
            ["compare", mode, stream, file] => {
                front.store().and_then(|store| syncs.compare(&store, mode, stream, file))
            }
            _ => Err(format!("`{line}` is unknown")),
        };
        say(&reply.map_err(io::Error::other)?)?;
    }
    Ok(())
}

/// Serves the requests of one connection, one after the other.
async fn serve(tcp: TcpStream, acceptor: TlsAcceptor, front: Arc<Front>) -> io::Result<()> {
    let mut connection = Connection::open(tcp, &acceptor).await?;
    let mut behind = None;
    while let Some(request) = connection.next_request().await? {
        let store = front.store().map_err(io::Error::other)?;
        if !store.latency.is_zero() {
            tokio::time::sleep(store.latency).await;
        }
        let answer = store.answer(request, &mut behind).await?;
        front.requests.fetch_add(1, Ordering::Relaxed);
        front.bytes.fetch_add(answer.len() as u64, Ordering::Relaxed);
        connection.write(&answer).await?;
        connection.flush().await?;
    }
    Ok(())
}

impl Front {
    fn store(&self) -> Result<Arc<Setting>, String> {
        let setting = self.setting.read().unwrap_or_else(PoisonError::into_inner);
        setting.as_ref().map(Arc::clone).ok_or_else(|| "there is no store yet".to_owned())
    }

    /// Starts another store. Settings that are not named have their defaults.
    fn set(&self, words: &[&str]) -> Result<String, String> {
        let (mut orders, mut carts, mut stores, mut seed) = (2000, 200, 2, 1);
        let (mut gzip, mut latency_ms, mut changes) = (0, 0, 0);
        for word in words {
            let (name, value) = word.split_once('=').ok_or_else(|| format!("`{word}` has no value"))?;
            let number: u64 = value.parse().map_err(|_| format!("`{word}` is not a number"))?;
            match name {
                "orders" => orders = number,
                "carts" => carts = number,
                "stores" => stores = number,
                "seed" => seed = number,
                "gzip" => gzip = number,
                "latency_ms" => latency_ms = number,
                "changes" => changes = number,
                _ => return Err(format!("`{word}` is unknown")),
            }
        }
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let live = (changes > 0).then(|| {
            let changes = i64::try_from(changes).unwrap_or(i64::MAX);
            Schedule { changes, weights: WEIGHTS, ..Schedule::new(seed) }.live()
        });
        let options = Options { gzip: gzip != 0, live, ..Options::default() };
        let sample = Sample { carts: size(carts), companies: size(stores), ..Sample::new(seed, size(orders)) };
        let fake = FakeCsCart::sample(options, &sample);
        let rows = fake.data(|data| {
            let listed = data.orders.iter().filter(|(_, order)| order.status != 'N' && !order.is_parent).count();
            format!("{{\"orders\":{listed},\"carts\":{}}}", data.carts.iter().count())
        });
        let answers = (changes == 0).then(Mutex::default);
        let setting = Setting { fake, answers, latency: Duration::from_millis(latency_ms) };
        *self.setting.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(setting));
        self.stats();
        Ok(rows)
    }

    /// Returns the requests since the last call.
    fn stats(&self) -> String {
        let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        format!("{{\"requests\":{},\"refused\":0,\"bytes\":{}}}", take(&self.requests), take(&self.bytes))
    }
}

impl Setting {
    /// Returns the response to a request: the one from before, or one of the fake store.
    async fn answer(&self, request: String, behind: &mut Option<BufReader<TcpStream>>) -> io::Result<Arc<[u8]>> {
        let known = self
            .answers
            .as_ref()
            .and_then(|answers| answers.lock().unwrap_or_else(PoisonError::into_inner).get(&request).map(Arc::clone));
        if let Some(answer) = known {
            return Ok(answer);
        }
        let connection = match behind {
            Some(connection) => connection,
            None => behind.insert(connect(self.fake.address()).await?),
        };
        let answer: Arc<[u8]> = forward(&request, connection).await?.into();
        if let Some(answers) = &self.answers {
            answers.lock().unwrap_or_else(PoisonError::into_inner).insert(request, Arc::clone(&answer));
        }
        Ok(answer)
    }
}

async fn connect(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    Ok(BufReader::new(tcp))
}

/// Passes a request on, and returns the response.
async fn forward(request: &str, connection: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    connection.write_all(request.as_bytes()).await?;
    let (mut answer, mut length) = (Vec::new(), 0);
    loop {
        let start = answer.len();
        if connection.read_until(b'\n', &mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = String::from_utf8_lossy(&answer[start..]).to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let start = answer.len();
    answer.resize(start + length, 0);
    connection.read_exact(&mut answer[start..]).await?;
    Ok(answer)
}

/// The syncs since a store was started.
#[derive(Default)]
struct Syncs {
    /// Moment at which the last one began.
    start: Option<Moment>,
    /// Comparisons of incremental syncs, by stream.
    incremental: HashMap<String, Judge>,
}

impl Syncs {
    /// Compares the records of the last sync with the store.
    fn compare(&mut self, store: &Setting, mode: &str, stream: &str, file: &str) -> Result<String, String> {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
        let records: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
        let records = records.map_err(|error| format!("{file}: {error}"))?;
        let start = self.start.ok_or("no sync has begun")?;
        let history = store.fake.history();
        let verdict = match mode {
            "incremental" => {
                let judge = self.incremental.entry(stream.to_owned()).or_insert_with(|| Judge::incremental(stream));
                judge.sync(&history, start, &records)
            }
            _ => Judge::full(stream).sync(&history, start, &records),
        };
        Ok(counts(&verdict))
    }
}

fn counts(verdict: &Verdict) -> String {
    let Verdict { records, required, missing, stale, doubled, unexpected, repeated, excused } = verdict;
    format!(
        "{{\"records\":{records},\"required\":{required},\"missing\":{},\"stale\":{},\"doubled\":{},\
         \"unexpected\":{},\"repeated\":{},\"excused\":{}}}",
        missing.len(),
        stale.len(),
        doubled.len(),
        unexpected.len(),
        repeated.len(),
        excused.len()
    )
}
