//! Server: one thread for each connection, which reads requests and writes responses, correct or faulty.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::answer::{Answer, status_text};
use super::fault::{Fault, WARNING};
use super::options::DateHeader;
use super::route::{State, parameter, parse};
use super::seen::{Log, RecordedRequest};

/// Maximum size of a request's head in bytes: far more than any test sends.
const LONGEST_HEAD: u64 = 1 << 20;

/// State that the threads and the handle share.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Request log.
    pub(crate) log: Log,
    stopped: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
}

impl Shared {
    /// Creates the state of a server.
    pub(crate) fn new(state: State) -> Shared {
        Shared {
            state: Mutex::new(state),
            log: Log::default(),
            stopped: AtomicBool::new(false),
            connections: Mutex::default(),
        }
    }

    /// Locks the data and the switches.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the server: its listener and all its connections.
    pub(crate) fn stop(&self, address: std::net::SocketAddr) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(address);
        for connection in self.connections.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Waits, at most until the server is stopped.
    fn sleep(&self, time: Duration) {
        /// Maximum time in which a stop is noticed.
        const STEP: Duration = Duration::from_millis(50);
        let end = Instant::now() + time;
        while !self.is_stopped() {
            match end.checked_duration_since(Instant::now()) {
                Some(rest) if !rest.is_zero() => std::thread::sleep(rest.min(STEP)),
                _ => break,
            }
        }
    }
}

/// Accepts connections until the server is stopped.
pub(crate) fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for number in 1.. {
        let Ok((stream, _)) = listener.accept() else {
            continue;
        };
        if shared.is_stopped() {
            return;
        }
        let _ = stream.set_nodelay(true);
        if let Ok(copy) = stream.try_clone() {
            shared.connections.lock().unwrap_or_else(PoisonError::into_inner).push(copy);
        }
        let shared = Arc::clone(shared);
        let serve = move || {
            let peer = stream.peer_addr().ok();
            // The client reports errors of the connection.
            let _ = serve(&stream, number, &shared);
            // The connection ends with its last handle.
            let mut connections = shared.connections.lock().unwrap_or_else(PoisonError::into_inner);
            connections.retain(|other| other.peer_addr().is_ok_and(|address| Some(address) != peer));
        };
        std::thread::Builder::new().name("fake-cs-cart".to_owned()).spawn(serve).expect("a thread");
    }
}

/// State of a connection after a response.
#[derive(PartialEq, Eq)]
enum Next {
    Continue,
    Close,
}

fn serve(stream: &TcpStream, number: usize, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(mut seen) = read_request(&mut reader, number, shared)? {
        let place = shared.log.arrived(&mut seen);
        let wants_close = seen.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let next = respond(stream, &seen, shared, |answer| {
            shared.log.answered(place, answer.status, answer.rows, answer.body.len());
        });
        shared.log.done();
        if next? == Next::Close || wants_close {
            break;
        }
    }
    Ok(())
}

/// Reads one request, or nothing if the client closed the connection.
fn read_request(
    reader: &mut BufReader<&TcpStream>,
    connection: usize,
    shared: &Shared,
) -> io::Result<Option<RecordedRequest>> {
    let mut head = Vec::new();
    loop {
        let mut limited = reader.by_ref().take(LONGEST_HEAD);
        if limited.read_until(b'\n', &mut head)? == 0 || head.len() as u64 >= LONGEST_HEAD {
            return Ok(None);
        }
        if head.ends_with(b"\r\n\r\n") {
            break;
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default().to_owned();
    let header = |line: &str| {
        line.split_once(':').map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
    };
    let headers: Vec<(String, String)> = lines.filter_map(header).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    io::copy(&mut reader.by_ref().take(length.unwrap_or(0)), &mut io::sink())?;
    let folder = shared.state().options.folder.clone();
    Ok(Some(recorded(method, target, headers, connection, &folder)))
}

fn recorded(
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    connection: usize,
    folder: &str,
) -> RecordedRequest {
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let parameter = parameter(&target);
    let parsed = path.strip_prefix(folder).and_then(|path| parse(path, parameter.as_deref())).unwrap_or_default();
    RecordedRequest {
        n: 0,
        method,
        version: parsed.version,
        object: parsed.object,
        id: parsed.id,
        company_id: parsed.parent.map(|(_, id)| id),
        query: query.into_iter().filter(|(name, _)| name != "_d").collect(),
        headers,
        connection,
        status: 0,
        rows: 0,
        bytes: 0,
        at: Instant::now(),
        target,
    }
}

fn respond(stream: &TcpStream, seen: &RecordedRequest, shared: &Shared, log: impl FnOnce(&Answer)) -> io::Result<Next> {
    let fault = {
        let mut state = shared.state();
        state.options.fault.as_mut().and_then(|fault| fault(seen))
    };
    match &fault {
        Some(Fault::Hang) => {
            // Reads until the client or the server ends it.
            io::copy(&mut &*stream, &mut io::sink())?;
            return Ok(Next::Close);
        }
        Some(Fault::ResetBeforeHeaders) => return reset(stream),
        Some(Fault::Slow(time)) => shared.sleep(*time),
        _ => {}
    }
    let (mut answer, date, gzip, delay) = {
        let mut state = shared.state();
        let answer = match &fault {
            Some(Fault::Answer { status, headers, body }) => {
                Answer { status: *status, headers: headers.clone(), body: body.clone(), rows: 0 }
            }
            _ => state.answer(seen),
        };
        let options = &state.options;
        let per_row = options.latency_per_row * u32::try_from(answer.rows).unwrap_or(u32::MAX);
        (answer, date_header(options.date, state.data.now), options.gzip, options.latency + per_row)
    };
    match &fault {
        Some(Fault::Empty) => answer.body.clear(),
        Some(Fault::Warning) => answer.body = [WARNING.as_bytes(), &answer.body].concat(),
        Some(Fault::Changed(change)) => answer.body = change(std::mem::take(&mut answer.body)),
        _ => {}
    }
    log(&answer);
    shared.sleep(delay);
    let accepts = seen.header("accept-encoding").is_some_and(|value| value.contains("gzip"));
    if gzip && accepts && answer.body.len() > 1000 {
        answer.body = compress(&answer.body);
        answer = answer.with("content-encoding", "gzip").with("vary", "Accept-Encoding");
    }
    let head = head(&answer, date.as_deref());
    match fault {
        Some(Fault::CutBody { after }) => {
            let end = after.min(answer.body.len());
            write(stream, &[head.as_bytes(), &answer.body[..end]].concat())?;
            Ok(Next::Close)
        }
        Some(Fault::ResetAfterHeaders) => {
            write(stream, head.as_bytes())?;
            reset(stream)
        }
        Some(Fault::Trickle { bytes_per_second }) => {
            write(stream, head.as_bytes())?;
            trickle(stream, &answer.body, bytes_per_second, shared)?;
            Ok(Next::Continue)
        }
        _ => {
            write(stream, &[head.as_bytes(), &answer.body].concat())?;
            Ok(Next::Continue)
        }
    }
}

fn write(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)
}

fn reset(stream: &TcpStream) -> io::Result<Next> {
    // Closing a socket that does not linger resets the connection; the copy in the list of connections is closed too.
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
    Ok(Next::Close)
}

fn trickle(stream: &TcpStream, body: &[u8], per_second: u32, shared: &Shared) -> io::Result<()> {
    // Twenty pieces a second, or one byte at a time if that is more.
    let per_second = per_second.max(1);
    let size = (per_second as usize / 20).max(1);
    for piece in body.chunks(size) {
        shared.sleep(Duration::from_secs_f64(piece.len() as f64 / f64::from(per_second)));
        write(stream, piece)?;
    }
    Ok(())
}

/// Returns the value of the `Date` header.
fn date_header(form: DateHeader, now: i64) -> Option<String> {
    let at = |seconds: i64| SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let time = match form {
        DateHeader::Store => at(now),
        DateHeader::Late(seconds) => at(now - seconds),
        DateHeader::Cached(every) => at(now - now.rem_euclid(every.max(1))),
        DateHeader::Real => SystemTime::now(),
        DateHeader::Absent => return None,
    };
    Some(httpdate::fmt_http_date(time))
}

fn head(answer: &Answer, date: Option<&str>) -> String {
    let status = answer.status;
    let mut head = format!("HTTP/1.1 {status} {}\r\nServer: Apache\r\n", status_text(status));
    if let Some(date) = date {
        head.push_str(&format!("Date: {date}\r\n"));
    }
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", answer.body.len()));
    head
}

fn compress(body: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(body).and_then(|()| out.finish()).expect("memory")
}
