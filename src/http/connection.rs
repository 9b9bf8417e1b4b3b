//! HTTP over TLS: connections that are used again, through a proxy where the environment names one, and
//! bodies as they arrive. What is asked, and what an answer means, is for the client.

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

/// Who asks.
const AGENT_NAME: HeaderValue =
    HeaderValue::from_static(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")));
/// Connecting takes one round trip and a TLS handshake; ten seconds allow for a lost packet or two.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The part of that time in which a proxy has to open its tunnel: less than all of it, so that a proxy that does not
/// answer is told from a store that does not.
const TUNNEL_SHARE: f64 = 0.9;
/// Silence on an open connection. A store that computes a page of 1000 wide rows may be silent for
/// many seconds; a minute is what front ends commonly allow.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Idle connections are kept for two windows, so that waiting for the budget costs no handshake.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(25);
/// After this long without a byte the system asks whether the other side is still there, as often, three times.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// What was sent and is not acknowledged for this long breaks the connection.
#[cfg(target_os = "linux")]
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);
/// What one read of a connection may take: two TLS records. hyper's own bound is 408 KiB, which each of
/// eight connections fills, twice at times. The headers of an answer have to fit as well; most servers send
/// no more than 8 KiB of them.
pub(super) const READ_BUFFER: usize = 32 * 1024;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// Making a connection.
    connect: Duration,
    /// Silence, before the head of an answer and in its body.
    idle: Duration,
    /// A request with its answer.
    whole: Duration,
}

impl Timeouts {
    /// The usual limits, none longer than `whole`.
    pub(super) fn within(whole: Duration) -> Self {
        Self { connect: CONNECT_TIMEOUT.min(whole), idle: IDLE_TIMEOUT.min(whole), whole }
    }
}

/// Sends requests to one store.
#[derive(Debug)]
pub(super) struct Http {
    client: Client<Connector, Empty<Bytes>>,
    timeouts: Timeouts,
}

impl Http {
    /// Keeps at most `connections` open while idle. All of them go through `proxy`, if there is one.
    pub(super) fn new(tls: ClientConfig, proxy: Option<Proxy>, connections: usize, timeouts: Timeouts) -> Self {
        let tls = Arc::new(tls);
        let mut http = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        // Whether a target without TLS is allowed was decided where the config was read.
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_keepalive(Some(KEEPALIVE_INTERVAL));
        http.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
        http.set_keepalive_retries(Some(3));
        #[cfg(target_os = "linux")]
        http.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT));
        let to_proxy = HttpsConnector::from((http.clone(), Arc::clone(&tls)));
        let tunnel_timeout = timeouts.connect.mul_f64(TUNNEL_SHARE);
        let connector = ProxyConnector { http, to_proxy, proxy: proxy.map(Arc::new), tunnel_timeout };
        let connector = Connector { connector: HttpsConnector::from((connector, tls)), timeout: timeouts.connect };
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .pool_max_idle_per_host(connections)
            .http1_max_buf_size(READ_BUFFER)
            .build(connector);
        Self { client, timeouts }
    }

    /// Sends a GET and waits for the head of the answer. Redirects are not followed.
    ///
    /// # Errors
    /// [`HttpError`] if none came.
    pub(super) async fn get(&self, url: &Url, headers: HeaderMap) -> Result<Response, HttpError> {
        let Timeouts { idle, whole, .. } = self.timeouts;
        let deadline = Instant::now() + whole;
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = Uri::try_from(url.as_str()).map_err(http_error)?;
        *request.headers_mut() = headers;
        let headers = request.headers_mut();
        // Most answers are cached on the server; this asks for fresh ones (API documentation, caching).
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(USER_AGENT, AGENT_NAME);
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

/// An answer whose body is still to come.
#[derive(Debug)]
pub(super) struct Response {
    /// The HTTP status.
    pub(super) status: StatusCode,
    /// The headers, as they came.
    pub(super) headers: HeaderMap,
    connection: CaptureConnection,
    /// Whether the headers say how long the body is, or that it says so itself.
    framed: bool,
    body: Incoming,
    body_decoder: Option<GzipBody>,
    idle: Duration,
    deadline: Instant,
}

/// gzip being unpacked: one member, or several. What follows a member and is none is passed over.
#[derive(Debug)]
struct GzipBody {
    /// What came and is not unpacked.
    compressed: Bytes,
    decoder: GzDecoder<Vec<u8>>,
    /// Whether a member came before this one, and nothing has come of this one yet.
    follows: bool,
    /// Whether this one has taken nothing yet.
    fresh: bool,
    /// Whether the rest is passed over.
    over: bool,
}

impl Default for GzipBody {
    fn default() -> Self {
        Self { compressed: Bytes::new(), decoder: GzDecoder::new(Vec::new()), follows: false, fresh: true, over: false }
    }
}

impl GzipBody {
    /// Unpacks some of what came.
    fn decompress(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        // One write unpacks no more than the decoder's own 32 KiB, however far these bytes expand.
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

    /// Unpacks what is left at the end of the body.
    fn finish(mut self, out: &mut Vec<u8>) -> io::Result<()> {
        match self.decoder.try_finish() {
            Err(error) if !self.follows => return Err(error),
            _ => out.append(self.decoder.get_mut()),
        }
        Ok(())
    }
}

impl Response {
    /// Appends the next piece of the body, unpacked, to `out`; gives how many bytes: at most [`READ_BUFFER`], and
    /// none only at the end of the body.
    ///
    /// # Errors
    /// [`HttpError`] if the body is cut, stays out, or is no gzip where it says so.
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

    /// Allows so much more time for the answer.
    pub(super) fn extend(&mut self, time: Duration) {
        self.deadline += time;
    }

    /// Uses the connection for no further request.
    pub(super) fn poison(&self) {
        if let Some(connection) = self.connection.connection_metadata().as_ref() {
            connection.poison();
        }
    }

    /// The next bytes as they came.
    async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        loop {
            let frame = timeout_at(self.deadline.min(Instant::now() + self.idle), self.body.frame()).await;
            match frame.map_err(timed_out).map_err(http_error)? {
                None => return Ok(None),
                Some(Err(error)) => {
                    let error = http_error(error);
                    // Some servers end TLS without a word. Whether the body is whole is then seen in its text.
                    return if !self.framed && error.is_early_end() { Ok(None) } else { Err(error) };
                }
                // Trailers mean nothing here.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(chunk) if !chunk.is_empty() => return Ok(Some(chunk)),
                    _ => {}
                },
            }
        }
    }
}

/// Why no answer came, or not the whole of it.
#[derive(Debug)]
pub(super) struct HttpError(BoxError);

impl HttpError {
    /// The error and its causes, from the outside in. None of their texts holds the URL.
    pub(super) fn causes(&self) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
        std::iter::successors(Some(&*self.0 as &(dyn std::error::Error + 'static)), |&error| error.source())
    }

    /// The proxy that opened no tunnel, if that is why.
    pub(super) fn tunnel_error(&self) -> Option<&TunnelError> {
        self.causes().find_map(|error| error.downcast_ref())
    }

    /// Whether it took too long.
    pub(super) fn is_timeout(&self) -> bool {
        self.causes().any(|error| {
            error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
                || error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_timeout)
        })
    }

    /// Whether the connection ended where more was expected, without any other fault.
    fn is_early_end(&self) -> bool {
        self.causes().any(is_early_end)
    }

    /// Returns true if there was no connection.
    pub(super) fn is_connect(&self) -> bool {
        self.0.downcast_ref::<legacy::Error>().is_some_and(legacy::Error::is_connect)
    }

    /// Returns true if the host name has no address.
    pub(super) fn is_name(&self) -> bool {
        self.causes().any(|error| error.is::<NameError>())
    }

    /// Returns true if a certificate was refused.
    pub(super) fn is_certificate(&self) -> bool {
        self.causes().filter_map(tls_error).any(is_certificate)
    }

    /// Returns true if no secure connection could be made.
    pub(super) fn is_tls(&self) -> bool {
        // A server that ends the handshake without a word gives no other sign.
        self.causes().any(|error| tls_error(error).is_some()) || (self.is_connect() && self.is_early_end())
    }
}

/// The TLS error in an error; it lies inside of one [`io::Error`] or several.
fn tls_error<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => tls_error(error.get_ref()?),
        None => error.downcast_ref(),
    }
}

/// Returns true if an [`io::Error`], or one inside of it, says that the connection ended.
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

/// Finds the addresses of a host.
#[derive(Clone, Debug)]
struct Resolver(GaiResolver);

/// The host has no address.
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

/// Makes connections, within the time that one may take.
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

/// The way to a host: straight, or through a tunnel of a proxy. TLS with the host is not part of it.
#[derive(Clone, Debug)]
struct ProxyConnector {
    http: HttpConnector<Resolver>,
    /// Reaches the proxy itself, which may speak TLS.
    to_proxy: HttpsConnector<HttpConnector<Resolver>>,
    proxy: Option<Arc<Proxy>>,
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
        let headers = HeaderMap::from_iter([(USER_AGENT, AGENT_NAME)]);
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

/// What hyper says of a tunnel that was not opened. It has no other name for it.
type TunnelFault = <Tunnel<HttpsConnector<HttpConnector<Resolver>>> as Service<Uri>>::Error;

/// The proxy opened no tunnel to the store.
#[derive(Debug, thiserror::Error)]
#[error("no tunnel through the proxy {address}")]
pub(super) struct TunnelError {
    /// Host and port of the proxy.
    pub(super) address: String,
    /// The variable that names it.
    pub(super) variable: &'static str,
    /// What kind of fault.
    pub(super) failure_kind: ProxyFailure,
    #[source]
    cause: BoxError,
}

#[cfg(test)]
mod tests;
