//! The store of the benchmarks: serves the requests of both connectors over TLS, with bytes prepared in advance.
//!
//! `integration_tests/bench/bench.py` starts it and controls it on standard input, with one line per command and one
//! per reply:
//!
//! ```text
//! set data=seven gzip=0 latency_ms=0 limit=0 rows=0    {"tables":{"orders":[rows,bytes],…}}
//! stats                                         {"requests":…,"refused":…,"bytes":…}, and resets them
//! ```
//!
//! `data` is `seven` (streams), `one` (stream of 200 pages) or `long` (a stream of `rows` rows, made when they are
//! requested).
//!
//! The first line it prints is `PORT PATH-OF-ITS-AUTHORITY`. It accepts requests without a token, since the published
//! Python connector sends none.

mod long;
mod tables;
mod tls;

use std::io::{self, BufRead as _, Write as _};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use long::Long;
use tables::{Listed, Part, Table, Wanted};
use tls::{Connection, Listening, exit_code, say};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// Length of a window of the call limit.
const WINDOW: Duration = Duration::from_secs(10);

/// Seven streams of 100,000 rows in all, 236 MB as JSON.
const SEVEN: &[(&str, usize)] = &[
    ("customers", 10_000),
    ("addresses", 8_000),
    ("orders", 20_000),
    ("order_items", 14_400),
    ("order_payments", 6_000),
    ("order_statuses", 100),
    ("products", 41_500),
];

/// One stream of 200 pages.
const ONE: &[(&str, usize)] = &[("addresses", 200_000)];

#[derive(Default)]
struct Setting {
    tables: Vec<Table>,
    long: Option<Long>,
    data: String,
    gzip: bool,
    latency: Duration,
    limit: u64,
}

#[derive(Default)]
struct Window {
    began: Option<Instant>,
    number: u128,
    made: u64,
}

#[derive(Default)]
struct Store {
    setting: RwLock<Arc<Setting>>,
    window: Mutex<Window>,
    requests: AtomicU64,
    refused: AtomicU64,
    bytes: AtomicU64,
    base: String,
}

fn main() -> ExitCode {
    exit_code(run())
}

fn run() -> io::Result<()> {
    let listening = Listening::start()?;
    let store = Arc::new(Store { base: format!("https://localhost:{}", listening.port), ..Store::default() });
    let served = Arc::clone(&store);
    let _runtime = listening.serve(move |tcp, acceptor| serve(tcp, acceptor, Arc::clone(&served)))?;
    say(&listening.address())?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.split_whitespace();
        match words.next() {
            Some("set") => say(&store.set(words).map_err(io::Error::other)?)?,
            Some("stats") => say(&store.stats())?,
            _ => return Err(io::Error::other(format!("`{line}` is unknown"))),
        }
    }
    Ok(())
}

/// Serves the requests of one connection, one after the other.
async fn serve(tcp: TcpStream, acceptor: TlsAcceptor, store: Arc<Store>) -> io::Result<()> {
    let mut connection = Connection::open(tcp, &acceptor).await?;
    while let Some(request) = connection.next_request().await? {
        let setting = Arc::clone(&store.setting.read().unwrap_or_else(PoisonError::into_inner));
        if !setting.latency.is_zero() {
            tokio::time::sleep(setting.latency).await;
        }
        let (mut head, parts) = store.answer(&request, &setting);
        let length: usize = parts.iter().map(|part| part.bytes().len()).sum();
        store.bytes.fetch_add(length as u64, Ordering::Relaxed);
        head.push_str(&format!("content-length: {length}\r\n\r\n"));
        connection.write(head.as_bytes()).await?;
        for part in &parts {
            connection.write(part.bytes()).await?;
        }
        connection.flush().await?;
    }
    Ok(())
}

impl Store {
    /// Changes the settings; those that are not named are set to 0.
    fn set<'w>(&self, words: impl Iterator<Item = &'w str>) -> Result<String, String> {
        let mut next = Setting { data: "seven".to_owned(), ..Setting::default() };
        let mut rows = 0;
        for word in words {
            let (name, value) = word.split_once('=').ok_or_else(|| format!("`{word}` has no value"))?;
            let number = || value.parse::<u64>().map_err(|_| format!("`{word}` is not a number"));
            match name {
                "data" => next.data = value.to_owned(),
                "gzip" => next.gzip = number()? != 0,
                "latency_ms" => next.latency = Duration::from_millis(number()?),
                "limit" => next.limit = number()?,
                "rows" => rows = usize::try_from(number()?).unwrap_or(usize::MAX),
                _ => return Err(format!("`{word}` is unknown")),
            }
        }
        let mut slot = self.setting.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::take(&mut *slot);
        if old.data == next.data
            && let Ok(old) = Arc::try_unwrap(old)
        {
            next.tables = old.tables;
        }
        if next.data == "long" {
            next.long = Some(Long::new(rows));
        } else if next.tables.is_empty() {
            let plan = if next.data == "one" { ONE } else { SEVEN };
            next.tables = side_by_side(plan.to_vec(), |(path, rows)| Table::render(path, rows));
        }
        if next.gzip {
            next.tables = side_by_side(next.tables, |mut table| {
                table.pack();
                table
            });
        }
        let prepared = next.tables.iter().map(|table| (table.path, table.rows(), table.bytes()));
        let long = next.long.iter().map(|long| (Long::PATH, long.rows(), long.bytes()));
        let tables: Vec<String> =
            prepared.chain(long).map(|(path, rows, bytes)| format!("\"{path}\":[{rows},{bytes}]")).collect();
        *slot = Arc::new(next);
        *self.window.lock().unwrap_or_else(PoisonError::into_inner) = Window::default();
        self.stats();
        Ok(format!("{{\"tables\":{{{}}}}}", tables.join(",")))
    }

    /// Returns the requests since the last call.
    fn stats(&self) -> String {
        let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        format!(
            "{{\"requests\":{},\"refused\":{},\"bytes\":{}}}",
            take(&self.requests),
            take(&self.refused),
            take(&self.bytes)
        )
    }

    /// Returns the head of a response without its length, and its body.
    fn answer<'s>(&self, request: &str, setting: &'s Setting) -> (String, Vec<Part<'s>>) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut headers = String::from("content-type: application/json; charset=utf-8\r\n");
        headers.push_str(&format!("date: {}\r\n", httpdate::fmt_http_date(std::time::SystemTime::now())));
        if setting.limit > 0 {
            let (number, left) = self.call();
            headers.push_str(&format!("x-ac-call-limit: {}/{}\r\n", number.min(setting.limit), setting.limit));
            if number > setting.limit {
                self.refused.fetch_add(1, Ordering::Relaxed);
                headers.push_str(&format!("retry-after: {}\r\n", left.as_millis().div_ceil(1000)));
                let body = br#"{"status_code":429,"message":"Too Many Requests","details":""}"#;
                return (format!("HTTP/1.1 429 Too Many Requests\r\n{headers}"), vec![Part::Slice(body)]);
            }
        }
        let target = request.split(' ').nth(1).unwrap_or_default();
        let lower = request.to_ascii_lowercase();
        let accepts = lower.lines().any(|line| line.starts_with("accept-encoding:") && line.contains("gzip"));
        let gzip = setting.gzip && accepts;
        match self.list(target, setting, gzip) {
            Ok(Some(parts)) => {
                if gzip {
                    headers.push_str("content-encoding: gzip\r\nvary: accept-encoding\r\n");
                }
                (format!("HTTP/1.1 200 OK\r\n{headers}"), parts)
            }
            Ok(None) => (format!("HTTP/1.1 404 Not Found\r\n{headers}"), vec![Part::Slice(b"{\"status_code\":404}")]),
            Err(problem) => {
                let _ = writeln!(io::stderr(), "{target}: {problem}");
                let body = format!("{{\"status_code\":400,\"message\":\"{problem}\"}}");
                (format!("HTTP/1.1 400 Bad Request\r\n{headers}"), vec![Part::Made(body.into_bytes())])
            }
        }
    }

    /// Returns the number of this call in its window, and the rest of the window. Windows follow each other from the
    /// first call.
    fn call(&self) -> (u64, Duration) {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = window.began.get_or_insert_with(Instant::now).elapsed().as_nanos();
        let number = passed / WINDOW.as_nanos();
        if number != window.number {
            window.number = number;
            window.made = 0;
        }
        window.made += 1;
        let left = WINDOW.as_nanos() - passed % WINDOW.as_nanos();
        (window.made, Duration::from_nanos(u64::try_from(left).unwrap_or_default()))
    }

    fn list<'s>(&self, target: &str, setting: &'s Setting, gzip: bool) -> Result<Option<Vec<Part<'s>>>, String> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let name = path.strip_prefix("/api/v1/").unwrap_or_default();
        let long = setting.long.as_ref().filter(|_| name == Long::PATH).map(|long| long as &dyn Listed);
        let prepared = setting.tables.iter().find(|table| table.path == name).map(|table| table as &dyn Listed);
        let Some(table) = long.or(prepared) else { return Ok(None) };
        let mut wanted = Wanted { matching: 0..table.rows(), descending: false, count: 100, page: 1 };
        let mut by_date = 0..table.rows();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let number = || value.parse::<usize>().map_err(|_| format!("{name} is not a number"));
            match name.as_ref() {
                "count" => wanted.count = number()?.max(1),
                "page" => wanted.page = number()?.max(1),
                "sort" => wanted.descending = value.starts_with('-'),
                "id" => {
                    let [after, end] = bounds(&value, &["gt:", "lte:"], |text| text.parse().ok())?;
                    wanted.matching = table.by_key(after, end);
                }
                "updated_at" => {
                    let moment = |text: &str| Some(chrono::DateTime::parse_from_rfc3339(text).ok()?.timestamp_millis());
                    let [after, from, before, until] = bounds(&value, &["gt:", "gte:", "lt:", "lte:"], moment)?;
                    let from = after.map(|after| after + 1).max(from).unwrap_or(i64::MIN);
                    by_date = table.by_date(from, before.unwrap_or(until.map_or(i64::MAX, |until| until + 1)));
                }
                "fields" => return Err("columns cannot be chosen here".to_owned()),
                _ => {}
            }
        }
        let start = wanted.matching.start.max(by_date.start);
        wanted.matching = start..wanted.matching.end.min(by_date.end).max(start);
        let link = |page: usize| {
            let others: Vec<&str> = query.split('&').filter(|part| !part.starts_with("page=")).collect();
            format!("{}{path}?{}&page={page}", self.base, others.join("&"))
        };
        Ok(table.body(&wanted, gzip, &link))
    }
}

/// Parses `gt:5 AND lte:9`: the value of each of `names`.
fn bounds<const N: usize>(
    text: &str,
    names: &[&str; N],
    read: impl Fn(&str) -> Option<i64>,
) -> Result<[Option<i64>; N], String> {
    let mut found = [None; N];
    for condition in text.split(" AND ") {
        let place = names.iter().position(|name| condition.starts_with(name));
        let value = place.and_then(|place| read(&condition[names[place].len()..]).map(|value| (place, value)));
        let (place, value) = value.ok_or_else(|| format!("`{condition}` cannot be read"))?;
        found[place] = Some(value);
    }
    Ok(found)
}

/// Maps each item on its own thread, and keeps the order.
fn side_by_side<T: Send, U: Send>(all: Vec<T>, each: impl Fn(T) -> U + Sync) -> Vec<U> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = all.into_iter().map(|one| scope.spawn(|| each(one))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}
