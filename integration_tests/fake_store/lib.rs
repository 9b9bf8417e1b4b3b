//! A fake Cart.com store for tests: a real HTTP/1.1 server over a store that the test can change.
//!
//! It is written from public facts about the API alone. It has the data ([`Data`]), the switches ([`Options`]), the
//! faults ([`Fault`]), the request log ([`RecordedRequest`]) and the server. It must not use anything of the connector:
//! no file of this folder names the crate under test, so that a misreading of the API in the connector cannot be
//! repeated here. Only tests of the fake store itself are here.
//!
//! ```ignore
//! let store = FakeStore::start(Options::default(), Data::sample(1, 500));
//! let url = store.url(); // token: good-token
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a store that cannot serve ends the program that asked for it"
)]

mod answer;
mod cache;
mod connection;
mod data;
mod fault;
mod keys;
mod limit;
mod list;
mod main_fields;
mod nested;
mod numbers;
mod options;
mod other_fields;
mod query;
mod quirks;
mod resources;
mod route;
mod rows;
mod sample;
mod seen;
mod shuffle;
mod sign;
mod texts;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "without_tls.rs"]
mod tls;
mod value;
mod zone;

use std::convert::Infallible;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

pub use answer::{SERVER_FAULT, error_body};
pub use connection::Late;
pub use data::{Data, Row, Stamp};
pub use fault::{ConnectionFault, Fault};
pub use limit::{Limit, RetryAfter};
pub use options::{
    AbsenceHook, ConnectionHook, DateReading, Envelope, FaultHook, Fraction, Live, NextPage, Options, Router, Tls,
    Token,
};
pub use quirks::{EmptyList, NoKey, Quirks, Spoil, SpoilHook, Total};
pub use resources::{Field, Resource, Role, Type, all_scopes, number_all_keys, resource, resources};
pub use sample::BULK;
pub use seen::RecordedRequest;
pub use sign::signature;
pub use tls::Secured;
pub use zone::{Clock, next_tick, sql_round, utc_ms};

use answer::Answer;
use cache::Cache;
use connection::Connection;
use fault::{ConnectionPlan, ConnectionPlanCell, FakeBody, FaultIo, Resettable};
use limit::Meter;
use route::State;
use seen::{Log, Place};

/// State that the server thread and the handle share.
struct Shared {
    state: Mutex<State>,
    log: Log,
    base: String,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running fake store. Dropping it stops the server.
pub struct FakeStore {
    shared: Arc<Shared>,
    addr: SocketAddr,
    ca_file: Option<PathBuf>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FakeStore {
    /// Starts a server on a free port of 127.0.0.1.
    pub fn start(options: Options, data: Data) -> FakeStore {
        FakeStore::start_on(0, options, data)
    }

    /// Starts a server on this port.
    pub fn start_on(port: u16, options: Options, data: Data) -> FakeStore {
        let listener = std::net::TcpListener::bind((options.address, port)).expect("a port of this machine");
        listener.set_nonblocking(true).expect("a socket");
        let addr = listener.local_addr().expect("a socket");
        let secured = options.tls.as_ref().map(Secured::new);
        let ca_file = secured.as_ref().map(|s| s.ca_file().to_owned());
        let base = match secured {
            Some(_) => format!("https://localhost:{}", addr.port()),
            None => format!("http://{addr}"),
        };
        let state = State { data, options, meter: Meter::new(), cache: Cache::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), log: Log::default(), base });
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("fake-store".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(async {
                    let listener = TcpListener::from_std(listener).expect("a socket");
                    tokio::select! {
                        () = accept(listener, served, secured) => {}
                        _ = stopped => {}
                    }
                });
                runtime.shutdown_background();
            })
            .expect("a thread");
        FakeStore { shared, addr, ca_file, stop: Some(stop), thread: Some(thread) }
    }

    /// Returns `http://127.0.0.1:PORT`, or `https://localhost:PORT` with TLS.
    pub fn url(&self) -> String {
        self.shared.base.clone()
    }

    /// Returns the address of the socket.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the certificate of the server's own authority (PEM), with TLS.
    pub fn ca_file(&self) -> Option<&Path> {
        self.ca_file.as_deref()
    }

    /// Reads or changes the data. No request is answered meanwhile; do not call the store from inside.
    pub fn data<R>(&self, f: impl FnOnce(&mut Data) -> R) -> R {
        f(&mut self.shared.state().data)
    }

    /// Changes the switches. No request is answered meanwhile; do not call the store from inside.
    pub fn options<R>(&self, f: impl FnOnce(&mut Options) -> R) -> R {
        f(&mut self.shared.state().options)
    }

    /// Returns the request log, in order of arrival.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.log.all()
    }

    /// Clears the request log; numbers start at 1 again.
    pub fn clear_requests(&self) {
        self.shared.log.clear();
    }

    /// Clears the cache and the call count.
    pub fn reset_limits(&self) {
        let mut state = self.shared.state();
        state.meter = Meter::new();
        state.cache = Cache::default();
    }

    /// Returns the base URL of a store or of the router.
    pub fn router_base(&self) -> String {
        format!("{}/api/v1/", self.url())
    }

    /// Returns a row as the API lists it now.
    pub fn json(&self, resource: &str, id: i64) -> Option<String> {
        let state = self.shared.state();
        let clock = state.options.clock(state.data.now_ms);
        state.data.json(resource, id, &clock)
    }
}

impl Drop for FakeStore {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(mut listener: TcpListener, shared: Arc<Shared>, secured: Option<Secured>) {
    let mut accepted = 0;
    loop {
        let absence = || shared.state().options.absence.as_mut().and_then(|absence| absence(accepted));
        if let Some(mut pause) = absence() {
            let address = listener.local_addr().expect("a socket");
            drop(listener);
            loop {
                tokio::time::sleep(pause).await;
                let Some(again) = absence() else { break };
                pause = again;
            }
            listener = TcpListener::bind(address).await.expect("the port it had before");
        }
        let Ok((tcp, _)) = listener.accept().await else {
            continue;
        };
        accepted += 1;
        let _ = tcp.set_nodelay(true);
        let shared = Arc::clone(&shared);
        let fault = shared.state().options.connection_fault.as_mut().and_then(|fault| fault(accepted));
        let acceptor = match (&fault, &secured) {
            (Some(ConnectionFault::Certificate(tls)), Some(secured)) => Some(secured.other(tls)),
            (Some(ConnectionFault::Stranger), _) => Some(Secured::new(&Tls::default()).acceptor),
            (_, secured) => secured.as_ref().map(|secured| secured.acceptor.clone()),
        };
        tokio::spawn(async move {
            match (fault, acceptor) {
                (Some(ConnectionFault::Reset), _) => drop(tcp.set_zero_linger()),
                (Some(ConnectionFault::Closed), _) => {}
                (Some(ConnectionFault::Silent), _) => std::future::pending().await,
                (Some(ConnectionFault::Noise), _) => noise(tcp).await,
                (_, None) => serve(tcp, shared, accepted).await,
                (_, Some(acceptor)) => {
                    if let Ok(tls) = acceptor.accept(tcp).await {
                        serve(tls, shared, accepted).await;
                    }
                }
            }
        });
    }
}

/// Waits for the first bytes, so that a fault can be chosen for the connection before any protocol.
async fn noise(mut tcp: TcpStream) {
    let _ = tcp.read(&mut [0; 1024]).await;
    let _ = tcp.write_all(b"\x00\x01\x02 no protocol \xff\xfe\r\n\r\n").await;
    let _ = tcp.shutdown().await;
}

async fn serve<S: AsyncRead + AsyncWrite + Resettable + Unpin + Send + 'static>(
    stream: S,
    shared: Arc<Shared>,
    number: usize,
) {
    let connection = Arc::new(Connection::new(number));
    let plan: ConnectionPlanCell = Arc::default();
    let io = TokioIo::new(FaultIo::new(stream, Arc::clone(&plan)));
    let served = Arc::clone(&shared);
    let service = service_fn(move |request| {
        let (shared, plan, connection) = (Arc::clone(&served), Arc::clone(&plan), Arc::clone(&connection));
        async move { Ok::<_, Infallible>(respond(&request, &shared, &plan, &connection).await) }
    });
    let (keep_alive, date_header) = {
        let options = &shared.state().options;
        (options.keep_alive, options.date_header)
    };
    let mut http = hyper::server::conn::http1::Builder::new();
    http.keep_alive(keep_alive).auto_date_header(date_header);
    // The client reports errors of the connection.
    let _ = http.timer(TokioTimer::new()).header_read_timeout(None).serve_connection(io, service).await;
}

async fn respond(
    request: &Request<hyper::body::Incoming>,
    shared: &Shared,
    plan: &ConnectionPlanCell,
    connection: &Connection,
) -> Response<FakeBody> {
    let headers = request.headers().iter();
    let headers = headers.map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned()));
    let mut seen = RecordedRequest::new(
        request.method().as_str(),
        &request.uri().to_string(),
        headers.collect(),
        connection.number,
    );
    let place = shared.log.arrived(&mut seen);
    let (fault, latency) = {
        let mut state = shared.state();
        (state.options.fault.as_mut().and_then(|fault| fault(&seen)), state.options.latency)
    };
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let mut next = ConnectionPlan::Pass;
    let mut pace = None;
    let mut cut_gzip = false;
    let mut endless = None;
    let mut change = None;
    let mut wrong_length = None;
    let mut other = None;
    let mut links_of = None;
    let mut status = None;
    let mut gzip_as = None;
    let mut unclosed = None;
    match fault {
        None => {}
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Answer { status, headers, body }) => {
            set_plan(plan, ConnectionPlan::Pass);
            let mut answer = Answer { status, headers, body, rows: 0 };
            if !answer.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("date")) {
                answer = shared.state().dated(answer);
            }
            return finish(answer, place, shared, None);
        }
        Some(Fault::Raw(bytes)) => {
            shared.log.answered(place, raw_status(&bytes), 0);
            set_plan(plan, ConnectionPlan::Raw { bytes, announced: true });
            return Response::new(FakeBody::at_once(Vec::new()));
        }
        Some(Fault::ResetBeforeHeaders) => {
            set_plan(plan, ConnectionPlan::Reset);
            return Response::new(FakeBody::at_once(Vec::new()));
        }
        Some(Fault::CutBody { after }) => next = ConnectionPlan::Cut { after, reset: false },
        Some(Fault::ResetAfterHeaders) => next = ConnectionPlan::Cut { after: 0, reset: true },
        Some(Fault::Trickle { bytes_per_second }) => pace = Some(bytes_per_second),
        Some(Fault::CutGzip) => cut_gzip = true,
        Some(Fault::Endless { slowly }) => endless = Some(slowly),
        Some(Fault::Changed { headers, change: of_body }) => change = Some((headers, of_body)),
        Some(Fault::WrongLength(by)) => wrong_length = Some(by),
        Some(Fault::AnswerOf { resource, list }) => other = Some((resource, list)),
        Some(Fault::NextPageOf(resource)) => links_of = Some(resource),
        Some(Fault::Status(number)) => status = Some(number),
        Some(Fault::Gzip { members, tail }) => gzip_as = Some((members, tail)),
        Some(Fault::Unclosed { missing }) => unclosed = Some(missing),
    }
    let plain = endless.is_some()
        || change.is_some()
        || wrong_length.is_some()
        || unclosed.is_some()
        || gzip_as.is_some()
        || status == Some(204);
    set_plan(plan, next);
    let (mut answer, gzip) = {
        let mut state = shared.state();
        let answer = match other {
            Some((resource, list)) => state.answer_of(resource, list, &seen, &shared.base),
            None => state.answer(&seen, &shared.base),
        };
        let (answer, earlier) = connection.exchange(answer, &seen, state.options.late.as_ref());
        if let Some(earlier) = earlier {
            shared.log.answered_as(place, earlier);
        }
        (answer, state.options.gzip)
    };
    if let Some(resource) = links_of {
        answer = answer.with_links_of(&seen.resource, resource);
    }
    if let Some(status) = status {
        answer = answer.with_status(status);
    }
    if let Some((members, tail)) = gzip_as {
        let size = answer.body.len().div_ceil(members.max(1)).max(1);
        answer.body = answer.body.chunks(size).map(compress).chain([tail.to_vec()]).collect::<Vec<_>>().concat();
        answer = answer.with("content-encoding", "gzip").with("vary", "Accept-Encoding");
    }
    let accepts = seen.header("accept-encoding").is_some_and(|v| v.contains("gzip"));
    if cut_gzip || (gzip && accepts && !plain && !answer.body.is_empty()) {
        answer.body = compress(&answer.body);
        if cut_gzip {
            answer.body.truncate(answer.body.len() / 2);
        }
        answer = answer.with("content-encoding", "gzip").with("vary", "Accept-Encoding");
    }
    if let Some(by) = wrong_length {
        let length = i64::try_from(answer.body.len()).unwrap_or(0) + by;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
        shared.log.answered(place, answer.status, answer.rows);
        set_plan(plan, ConnectionPlan::Raw { bytes: [head.into_bytes(), answer.body].concat(), announced: true });
        return Response::new(FakeBody::at_once(Vec::new()));
    }
    if let Some(missing) = unclosed {
        shared.log.answered(place, answer.status, answer.rows);
        set_plan(plan, ConnectionPlan::Raw { bytes: answer.without_length(missing), announced: false });
        return Response::new(FakeBody::at_once(Vec::new()));
    }
    if let Some((headers, of_body)) = change {
        answer.body = of_body(answer.body);
        answer.headers.retain(|(name, _)| !headers.iter().any(|(new, _)| new.eq_ignore_ascii_case(name)));
        answer.headers.extend(headers);
    }
    if let Some(slowly) = endless {
        answer.body.pop();
        shared.log.answered(place, answer.status, answer.rows);
        return Response::new(FakeBody::endless(answer.body, slowly));
    }
    finish(answer, place, shared, pace)
}

fn set_plan(plan: &ConnectionPlanCell, next: ConnectionPlan) {
    *plan.lock().unwrap_or_else(PoisonError::into_inner) = next;
}

fn finish(answer: Answer, place: Place, shared: &Shared, pace: Option<u32>) -> Response<FakeBody> {
    shared.log.answered(place, answer.status, answer.rows);
    let body = match pace {
        Some(per_second) => FakeBody::slow(answer.body, per_second),
        None => FakeBody::at_once(answer.body),
    };
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(name.as_str(), value.as_bytes());
    }
    response.body(body).expect("an answer that HTTP can carry")
}

/// Returns the status in the first line of a raw response.
fn raw_status(bytes: &[u8]) -> u16 {
    let line = String::from_utf8_lossy(&bytes[..bytes.len().min(32)]).into_owned();
    line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|code| code.parse().ok()).unwrap_or(0)
}

fn compress(body: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(body).and_then(|()| out.finish()).expect("memory")
}
