//! HTTP over TLS: connections that are used again, through a proxy where the environment names one, and
//! bodies as they arrive. What is asked, and what an answer means, is for the client.

use std::future::Future;
use std::io::{self, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::{self, Client};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};
use tower_service::Service;
use url::Url;

/// Who asks.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("source-cart/", env!("CARGO_PKG_VERSION")));
/// Connecting takes one round trip and a TLS handshake; ten seconds allow for a lost packet or two.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Silence on an open connection. A store that computes a page of 1000 wide rows may be silent for
/// many seconds; a minute is what front ends commonly allow.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Idle connections are kept for two windows, so that waiting for the budget costs no handshake.
const KEEP_ALIVE: Duration = Duration::from_secs(25);
/// After this long without a byte the system asks whether the other side is still there, as often, three times.
const PROBE: Duration = Duration::from_secs(15);
/// What was sent and is not acknowledged for this long breaks the connection.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
/// What one read of a connection may take: two TLS records. hyper's own bound is 408 KiB, which each of
/// eight connections fills, twice at times. The headers of an answer have to fit as well; most servers send
/// no more than 8 KiB of them.
pub(super) const READ: usize = 32 * 1024;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Making a connection.
    connect: Duration,
    /// Silence, before the head of an answer and in its body.
    idle: Duration,
    /// A request with its answer.
    whole: Duration,
}

impl Limits {
    /// The usual limits, none longer than `whole`.
    pub(super) fn within(whole: Duration) -> Self {
        Self { connect: CONNECT_TIMEOUT.min(whole), idle: IDLE_TIMEOUT.min(whole), whole }
    }
}

/// Sends requests to one store.
#[derive(Debug)]
pub(super) struct Http {
    client: Client<Connector, Empty<Bytes>>,
    limits: Limits,
}

impl Http {
    /// Keeps at most `connections` open while idle. Goes through the proxy that the environment names
    /// (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`), except without TLS: then what is sent must not leave this
    /// machine, and a proxy may be anywhere.
    pub(super) fn new(tls: ClientConfig, encrypted: bool, connections: usize, limits: Limits) -> Self {
        let tls = Arc::new(tls);
        let mut http = HttpConnector::new();
        // Whether a target without TLS is allowed was decided where the config was read.
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_keepalive(Some(PROBE));
        http.set_keepalive_interval(Some(PROBE));
        http.set_keepalive_retries(Some(3));
        #[cfg(target_os = "linux")]
        http.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        let proxy = HttpsConnector::from((http.clone(), Arc::clone(&tls)));
        let route = Route { http, proxy, proxies: encrypted.then(|| Arc::new(Matcher::from_env())) };
        let connector = Connector { route: HttpsConnector::from((route, tls)), timeout: limits.connect };
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEEP_ALIVE)
            .pool_max_idle_per_host(connections)
            .http1_max_buf_size(READ)
            .build(connector);
        Self { client, limits }
    }

    /// Sends a GET and waits for the head of the answer. Redirects are not followed.
    ///
    /// # Errors
    /// [`Fault`] if none came.
    pub(super) async fn get(&self, url: &Url, headers: HeaderMap) -> Result<Answer, Fault> {
        let Limits { idle, whole, .. } = self.limits;
        let deadline = Instant::now() + whole;
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = Uri::try_from(url.as_str()).map_err(fault)?;
        *request.headers_mut() = headers;
        let headers = request.headers_mut();
        // Most answers are cached on the server; this asks for fresh ones (API documentation, caching).
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(USER_AGENT, AGENT);
        let response = timeout_at(deadline.min(Instant::now() + idle), self.client.request(request)).await;
        let (head, body) = response.map_err(late).map_err(fault)?.map_err(fault)?.into_parts();
        let packed = head.headers.get(CONTENT_ENCODING).is_some_and(|coding| {
            coding.to_str().is_ok_and(|coding| ["gzip", "x-gzip"].iter().any(|name| coding.eq_ignore_ascii_case(name)))
        });
        let unpacking = packed.then(|| Unpacking { packed: Bytes::new(), decoder: MultiGzDecoder::new(Vec::new()) });
        Ok(Answer { status: head.status, headers: head.headers, body, unpacking, idle, deadline })
    }
}

/// An answer whose body is still to come.
#[derive(Debug)]
pub(super) struct Answer {
    /// The HTTP status.
    pub(super) status: StatusCode,
    /// The headers, as they came.
    pub(super) headers: HeaderMap,
    body: Incoming,
    unpacking: Option<Unpacking>,
    idle: Duration,
    deadline: Instant,
}

#[derive(Debug)]
struct Unpacking {
    /// What came and is not unpacked.
    packed: Bytes,
    decoder: MultiGzDecoder<Vec<u8>>,
}

impl Answer {
    /// Appends the next piece of the body, unpacked, to `out`; gives how many bytes: at most [`READ`], and
    /// none only at the end of the body.
    ///
    /// # Errors
    /// [`Fault`] if the body is cut, stays out, or is no gzip where it says so.
    pub(super) async fn read(&mut self, out: &mut Vec<u8>) -> Result<usize, Fault> {
        let length = out.len();
        while out.len() == length {
            if let Some(Unpacking { packed, decoder }) = &mut self.unpacking
                && !packed.is_empty()
            {
                // One write unpacks no more than the decoder's own 32 KiB, however far these bytes expand.
                let taken = decoder.write(packed).map_err(fault)?;
                if taken == 0 {
                    return Err(fault(io::Error::from(io::ErrorKind::WriteZero)));
                }
                drop(packed.split_to(taken));
                out.append(decoder.get_mut());
                continue;
            }
            let Some(piece) = self.piece().await? else {
                if let Some(mut unpacking) = self.unpacking.take() {
                    unpacking.decoder.try_finish().map_err(fault)?;
                    out.append(unpacking.decoder.get_mut());
                }
                break;
            };
            match &mut self.unpacking {
                Some(unpacking) => unpacking.packed = piece,
                None => out.extend_from_slice(&piece),
            }
        }
        Ok(out.len() - length)
    }

    /// The next bytes as they came.
    async fn piece(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            let frame = timeout_at(self.deadline.min(Instant::now() + self.idle), self.body.frame()).await;
            match frame.map_err(late).map_err(fault)? {
                None => return Ok(None),
                Some(Err(error)) => return Err(fault(error)),
                // Trailers mean nothing here.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) if !piece.is_empty() => return Ok(Some(piece)),
                    _ => {}
                },
            }
        }
    }
}

/// Why no answer came, or not the whole of it.
#[derive(Debug)]
pub(super) struct Fault(BoxError);

impl Fault {
    /// The error and its causes, from the outside in. None of their texts holds the URL.
    pub(super) fn causes(&self) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
        std::iter::successors(Some(&*self.0 as &(dyn std::error::Error + 'static)), |&error| error.source())
    }

    /// Whether it took too long.
    pub(super) fn is_timeout(&self) -> bool {
        self.causes().any(|error| {
            error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
                || error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_timeout)
        })
    }

    /// Whether there was no connection.
    pub(super) fn is_connect(&self) -> bool {
        self.0.downcast_ref::<legacy::Error>().is_some_and(legacy::Error::is_connect)
    }
}

fn fault(error: impl Into<BoxError>) -> Fault {
    Fault(error.into())
}

fn late(_: Elapsed) -> io::Error {
    io::Error::from(io::ErrorKind::TimedOut)
}

/// Makes connections, within the time that one may take.
#[derive(Clone, Debug)]
struct Connector {
    route: HttpsConnector<Route>,
    timeout: Duration,
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<MaybeHttpsStream<TokioIo<TcpStream>>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.route.poll_ready(context)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let connecting = timeout(self.timeout, self.route.call(target));
        Box::pin(async move { connecting.await.map_err(late)? })
    }
}

/// The way to a host: straight, or through a tunnel of a proxy. TLS with the host is not part of it.
#[derive(Clone, Debug)]
struct Route {
    http: HttpConnector,
    /// Reaches the proxy itself, which may speak TLS.
    proxy: HttpsConnector<HttpConnector>,
    proxies: Option<Arc<Matcher>>,
}

impl Service<Uri> for Route {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.http.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let Some(proxy) = self.proxies.as_ref().and_then(|proxies| proxies.intercept(&target)) else {
            let connecting = self.http.call(target);
            return Box::pin(async move { Ok(MaybeHttpsStream::Http(connecting.await?)) });
        };
        let headers = HeaderMap::from_iter([(USER_AGENT, AGENT)]);
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.proxy.clone()).with_headers(headers);
        if let Some(auth) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(auth.clone());
        }
        let connecting = tunnel.call(target);
        Box::pin(async move { Ok(connecting.await?) })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(3600);

    /// Asks a server that says only this and then keeps the connection; gives what went wrong.
    async fn asked(says: &'static [u8], encrypted: bool, limits: Limits) -> Fault {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = if encrypted { "https" } else { "http" };
        let url = Url::parse(&format!("{scheme}://{}/", listener.local_addr().unwrap())).unwrap();
        let server = std::thread::spawn(move || {
            let (mut tcp, _) = listener.accept().unwrap();
            // What comes before the request is no answer to it.
            let _ = tcp.read(&mut [0; 1024]).unwrap();
            tcp.write_all(says).unwrap();
            // Until the other side gives up.
            let _ = tcp.read_to_end(&mut Vec::new());
        });
        let http = Http::new(super::super::tls::config(None).unwrap(), encrypted, 1, limits);
        let asking = async {
            match http.get(&url, HeaderMap::new()).await {
                Err(fault) => fault,
                Ok(mut answer) => {
                    let mut body = Vec::new();
                    loop {
                        if let Err(fault) = answer.read(&mut body).await {
                            break fault;
                        }
                    }
                }
            }
        };
        let fault = timeout(Duration::from_secs(60), asking).await.unwrap();
        drop(http);
        server.join().unwrap();
        fault
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn each_limit_ends_what_it_is_for() {
        const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{";
        let usual = Limits { connect: LONG, idle: LONG, whole: LONG };
        for (what, says, encrypted, limits) in [
            ("connect", &b""[..], true, Limits { connect: SHORT, ..usual }),
            ("idle, before the head", &b""[..], false, Limits { idle: SHORT, ..usual }),
            ("idle, in the body", HEAD, false, Limits { idle: SHORT, ..usual }),
            ("whole, before the head", &b""[..], false, Limits { whole: SHORT, ..usual }),
            ("whole, in the body", HEAD, false, Limits { whole: SHORT, ..usual }),
        ] {
            assert!(asked(says, encrypted, limits).await.is_timeout(), "{what}");
        }
    }
}
