//! HTTP over TLS: pooled connections, an optional proxy, and bodies that are read while they arrive. The client
//! decides what to request and how to interpret a response.

use std::future::Future;
use std::io::{self, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use flate2::write::GzDecoder;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue,
    TRANSFER_ENCODING, USER_AGENT,
};
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::dns::{GaiAddrs, GaiResolver, Name};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{CaptureConnection, HttpConnector, capture_connection};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};
use tower_service::Service;
use url::Url;

use super::error::ProxyFailure;
use super::proxy::Proxy;

/// Time limit for opening a connection. It takes one round trip and a TLS handshake; ten seconds allow for one or
/// two lost packets.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Share of [`CONNECT_TIMEOUT`] in which a proxy must open its tunnel. It is less than 1, so that the error shows
/// if the proxy did not respond or the store did not.
const TUNNEL_SHARE: f64 = 0.9;
/// Time limit for receiving no data on an open connection. A store may need many seconds to prepare a page of 1000
/// wide rows; load balancers commonly allow one minute.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Time to keep an idle connection: a little more than two windows of the call limit, so that a wait for the rate
/// limiter does not cost another handshake.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(25);
/// Time without data after which TCP sends a keepalive probe, and the interval between probes. After three
/// unanswered probes the connection is closed.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// Time after which sent data without an acknowledgement closes the connection.
#[cfg(target_os = "linux")]
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of bytes per read from a connection: two TLS records. hyper's default is about 408 KiB for each
/// connection, which uses too much memory. The response headers must fit too; most servers send at most 8 KiB.
pub(super) const READ_BUFFER: usize = 32 * 1024;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Time limits of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// Time limit for opening a connection.
    connect: Duration,
    /// Time limit for receiving no data, before the response headers and in the body.
    idle: Duration,
    /// Time limit for a request and its complete response.
    whole: Duration,
}

impl Timeouts {
    /// Returns the default limits, each at most `whole`.
    pub(super) fn within(whole: Duration) -> Self {
        Self { connect: CONNECT_TIMEOUT.min(whole), idle: IDLE_TIMEOUT.min(whole), whole }
    }
}

/// Sends requests to one store.
#[derive(Debug)]
pub(super) struct Http {
    client: Client<Connector, Empty<Bytes>>,
    /// Value of the `User-Agent` header.
    agent: HeaderValue,
    timeouts: Timeouts,
}

impl Http {
    /// Creates a client that keeps at most `connections` idle connections open. All connections go through `proxy`, if
    /// there is one. `agent` is the value of the `User-Agent` header.
    pub(super) fn new(
        tls: ClientConfig,
        proxy: Option<Proxy>,
        agent: HeaderValue,
        connections: usize,
        timeouts: Timeouts,
    ) -> Self {
        let tls = Arc::new(tls);
        let mut http = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        // The config parser has already decided if a target without TLS is allowed.
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_keepalive(Some(KEEPALIVE_INTERVAL));
        http.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
        http.set_keepalive_retries(Some(3));
        #[cfg(target_os = "linux")]
        http.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT));
        let to_proxy = HttpsConnector::from((http.clone(), Arc::clone(&tls)));
        let tunnel_timeout = timeouts.connect.mul_f64(TUNNEL_SHARE);
        let connector =
            ProxyConnector { http, to_proxy, proxy: proxy.map(Arc::new), agent: agent.clone(), tunnel_timeout };
        let connector = Connector { connector: HttpsConnector::from((connector, tls)), timeout: timeouts.connect };
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .pool_max_idle_per_host(connections)
            .http1_max_buf_size(READ_BUFFER)
            .build(connector);
        Self { client, agent, timeouts }
    }

    /// Sends a GET request and waits for the response headers. Redirects are not followed.
    ///
    /// # Errors
    /// [`HttpError`] if no response arrives.
    pub(super) async fn get(&self, url: &Url, headers: HeaderMap) -> Result<Response, HttpError> {
        let Timeouts { idle, whole, .. } = self.timeouts;
        let deadline = Instant::now() + whole;
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = Uri::try_from(url.as_str()).map_err(http_error)?;
        *request.headers_mut() = headers;
        let headers = request.headers_mut();
        // The server caches most responses; this requests fresh ones (API documentation, caching).
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(USER_AGENT, self.agent.clone());
        let connection = capture_connection(&mut request);
        let response = timeout_at(deadline.min(Instant::now() + idle), self.client.request(request)).await;
        let (head, body) = response.map_err(timed_out).map_err(http_error)?.map_err(http_error)?.into_parts();
        let compressed = head.headers.get(CONTENT_ENCODING).is_some_and(|coding| {
            coding.to_str().is_ok_and(|coding| ["gzip", "x-gzip"].iter().any(|name| coding.eq_ignore_ascii_case(name)))
        });
        let body_decoder = compressed.then(GzipBody::default);
        let framed = [CONTENT_LENGTH, TRANSFER_ENCODING].iter().any(|name| head.headers.contains_key(name));
        let (status, headers) = (head.status, head.headers);
        Ok(Response { status, headers, connection, framed, body, body_decoder, idle, deadline })
    }
}

/// A response whose headers were received. Its body is read with [`Response::read`].
#[derive(Debug)]
pub(super) struct Response {
    /// The HTTP status.
    pub(super) status: StatusCode,
    /// The response headers, unchanged.
    pub(super) headers: HeaderMap,
    connection: CaptureConnection,
    /// True if the headers contain `Content-Length` or `Transfer-Encoding`, so that a cut body can be detected.
    framed: bool,
    body: Incoming,
    body_decoder: Option<GzipBody>,
    idle: Duration,
    deadline: Instant,
}

/// Decompresses a gzip body of one or more members. Ignores bytes after a member that are not another member.
#[derive(Debug)]
struct GzipBody {
    /// Received bytes that are not decompressed yet.
    compressed: Bytes,
    decoder: GzDecoder<Vec<u8>>,
    /// True if a complete member came before the current one, and the current one has produced no output yet.
    follows: bool,
    /// True if the current member has consumed no input yet.
    fresh: bool,
    /// True if the rest of the body is ignored.
    over: bool,
}

impl Default for GzipBody {
    fn default() -> Self {
        Self { compressed: Bytes::new(), decoder: GzDecoder::new(Vec::new()), follows: false, fresh: true, over: false }
    }
}

impl GzipBody {
    /// Decompresses some of the received bytes and appends the result to `out`.
    fn decompress(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        // One write produces at most 32 KiB, the decoder's internal buffer, however much the data expands.
        match self.decoder.write(&self.compressed) {
            Ok(0) if self.fresh => return Err(io::Error::from(io::ErrorKind::WriteZero)),
            Ok(0) => match self.decoder.try_finish() {
                Err(_) if self.follows => self.over = true,
                Err(error) => return Err(error),
                Ok(()) => {
                    out.append(self.decoder.get_mut());
                    (self.decoder, self.follows, self.fresh) = (GzDecoder::new(Vec::new()), true, true);
                }
            },
            Ok(taken) => {
                drop(self.compressed.split_to(taken));
                self.fresh = false;
                self.follows &= self.decoder.get_ref().is_empty();
                out.append(self.decoder.get_mut());
            }
            Err(_) if self.follows => self.over = true,
            Err(error) => return Err(error),
        }
        if self.over {
            self.compressed.clear();
        }
        Ok(())
    }

    /// Decompresses the remaining bytes at the end of the body and appends the result to `out`.
    fn finish(mut self, out: &mut Vec<u8>) -> io::Result<()> {
        match self.decoder.try_finish() {
            Err(error) if !self.follows => return Err(error),
            _ => out.append(self.decoder.get_mut()),
        }
        Ok(())
    }
}

impl Response {
    /// Appends the next decompressed part of the body to `out`. Returns the number of bytes: at most [`READ_BUFFER`],
    /// and 0 only at the end of the body.
    ///
    /// # Errors
    /// [`HttpError`] if the body is cut, does not arrive in time, or is not valid gzip although its header says so.
    pub(super) async fn read(&mut self, out: &mut Vec<u8>) -> Result<usize, HttpError> {
        let length = out.len();
        while out.len() == length {
            if let Some(body_decoder) = &mut self.body_decoder
                && !body_decoder.compressed.is_empty()
            {
                body_decoder.decompress(out).map_err(http_error)?;
                continue;
            }
            let Some(chunk) = self.chunk().await? else {
                if let Some(body_decoder) = self.body_decoder.take() {
                    body_decoder.finish(out).map_err(http_error)?;
                }
                break;
            };
            match &mut self.body_decoder {
                Some(body_decoder) if body_decoder.over => {}
                Some(body_decoder) => body_decoder.compressed = chunk,
                None => out.extend_from_slice(&chunk),
            }
        }
        Ok(out.len() - length)
    }

    /// Moves the deadline of the response by `time`.
    pub(super) fn extend(&mut self, time: Duration) {
        self.deadline += time;
    }

    /// Prevents the connection from being used for another request.
    pub(super) fn poison(&self) {
        if let Some(connection) = self.connection.connection_metadata().as_ref() {
            connection.poison();
        }
    }

    /// Returns the next received bytes, not decompressed; `None` at the end of the body.
    async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        loop {
            let frame = timeout_at(self.deadline.min(Instant::now() + self.idle), self.body.frame()).await;
            match frame.map_err(timed_out).map_err(http_error)? {
                None => return Ok(None),
                Some(Err(error)) => {
                    let error = http_error(error);
                    // Some servers close a TLS connection without `close_notify`. The parser then checks that the
                    // body is complete.
                    return if !self.framed && error.is_early_end() { Ok(None) } else { Err(error) };
                }
                // Trailers are ignored.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(chunk) if !chunk.is_empty() => return Ok(Some(chunk)),
                    _ => {}
                },
            }
        }
    }
}

/// The reason why no response, or only a part of it, arrived.
#[derive(Debug)]
pub(super) struct HttpError(BoxError);

impl HttpError {
    /// Returns the error and its causes, outermost first. None of their messages contains the URL.
    pub(super) fn causes(&self) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
        std::iter::successors(Some(&*self.0 as &(dyn std::error::Error + 'static)), |&error| error.source())
    }

    /// Returns the proxy error, if the proxy did not open a tunnel.
    pub(super) fn tunnel_error(&self) -> Option<&TunnelError> {
        self.causes().find_map(|error| error.downcast_ref())
    }

    /// Returns true if a time limit was exceeded.
    pub(super) fn is_timeout(&self) -> bool {
        self.causes().any(|error| {
            error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
                || error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_timeout)
        })
    }

    /// Returns true if the connection was closed while more data was expected.
    fn is_early_end(&self) -> bool {
        self.causes().any(is_early_end)
    }

    /// Returns true if no connection could be opened.
    pub(super) fn is_connect(&self) -> bool {
        self.0.downcast_ref::<legacy::Error>().is_some_and(legacy::Error::is_connect)
    }

    /// Returns true if the host name has no address.
    pub(super) fn is_name(&self) -> bool {
        self.causes().any(|error| error.is::<NameError>())
    }

    /// Returns true if a certificate was rejected.
    pub(super) fn is_certificate(&self) -> bool {
        self.causes().filter_map(tls_error).any(is_certificate)
    }

    /// Returns true if TLS failed.
    pub(super) fn is_tls(&self) -> bool {
        // A server may close the connection during the handshake without a TLS error.
        self.causes().any(|error| tls_error(error).is_some()) || (self.is_connect() && self.is_early_end())
    }
}

/// Returns the TLS error inside an error. It is nested in one or more [`io::Error`]s.
fn tls_error<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => tls_error(error.get_ref()?),
        None => error.downcast_ref(),
    }
}

/// Returns true if an [`io::Error`], or one nested in it, says that the connection ended early.
fn is_early_end(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| {
        error.kind() == io::ErrorKind::UnexpectedEof || error.get_ref().is_some_and(|inner| is_early_end(inner))
    })
}

fn is_certificate(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)
}

fn http_error(error: impl Into<BoxError>) -> HttpError {
    HttpError(error.into())
}

fn timed_out(_: Elapsed) -> io::Error {
    io::Error::from(io::ErrorKind::TimedOut)
}

/// Resolves a host name to addresses, with an error type that identifies a failed lookup.
#[derive(Clone, Debug)]
struct Resolver(GaiResolver);

/// The error of a host name that has no address.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct NameError(#[from] io::Error);

impl Service<Name> for Resolver {
    type Response = GaiAddrs;
    type Error = NameError;
    type Future = Pin<Box<dyn Future<Output = Result<GaiAddrs, NameError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), NameError>> {
        self.0.poll_ready(context).map_err(NameError)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let found = self.0.call(name);
        Box::pin(async { Ok(found.await?) })
    }
}

/// Opens connections within a time limit.
#[derive(Clone, Debug)]
struct Connector {
    connector: HttpsConnector<ProxyConnector>,
    timeout: Duration,
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<MaybeHttpsStream<TokioIo<TcpStream>>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let connecting = timeout(self.timeout, self.connector.call(target));
        Box::pin(async move { connecting.await.map_err(timed_out)? })
    }
}

/// Connects to a host, directly or through a tunnel of a proxy. TLS with the host is added by [`Connector`].
#[derive(Clone, Debug)]
struct ProxyConnector {
    http: HttpConnector<Resolver>,
    /// Connects to the proxy itself, which may use TLS.
    to_proxy: HttpsConnector<HttpConnector<Resolver>>,
    proxy: Option<Arc<Proxy>>,
    agent: HeaderValue,
    tunnel_timeout: Duration,
}

impl Service<Uri> for ProxyConnector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.http.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let Some(proxy) = self.proxy.clone() else {
            let connecting = self.http.call(target);
            return Box::pin(async move { Ok(MaybeHttpsStream::Http(connecting.await?)) });
        };
        let headers = HeaderMap::from_iter([(USER_AGENT, self.agent.clone())]);
        let mut tunnel = Tunnel::new(proxy.uri.clone(), self.to_proxy.clone()).with_headers(headers);
        if let Some(auth) = &proxy.auth {
            tunnel = tunnel.with_auth(auth.clone());
        }
        let connecting = timeout(self.tunnel_timeout, tunnel.call(target));
        Box::pin(async move {
            let (failure_kind, cause) = match connecting.await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => {
                    let failure_kind = match &error {
                        TunnelFault::ProxyAuthRequired => ProxyFailure::SignIn,
                        TunnelFault::TunnelUnsuccessful => ProxyFailure::Refused,
                        _ => ProxyFailure::Unreachable,
                    };
                    (failure_kind, http_error(error))
                }
                Err(elapsed) => (ProxyFailure::Unreachable, http_error(timed_out(elapsed))),
            };
            let failure_kind = if cause.is_certificate() { ProxyFailure::Certificate } else { failure_kind };
            let (address, variable) = (proxy.address.clone(), proxy.variable);
            Err(TunnelError { address, variable, failure_kind, cause: cause.0 }.into())
        })
    }
}

/// The error that hyper returns if a tunnel is not opened. hyper does not export a name for this type.
type TunnelFault = <Tunnel<HttpsConnector<HttpConnector<Resolver>>> as Service<Uri>>::Error;

/// The error of a proxy that did not open a tunnel to the store.
#[derive(Debug, thiserror::Error)]
#[error("no tunnel through the proxy {address}")]
pub(super) struct TunnelError {
    /// Host and port of the proxy.
    pub(super) address: String,
    /// The environment variable that sets the proxy.
    pub(super) variable: &'static str,
    /// The kind of failure.
    pub(super) failure_kind: ProxyFailure,
    #[source]
    cause: BoxError,
}

#[cfg(test)]
mod tests;
