//! The client of one server: sends a list request and reads the response. `pending_request` decides when it is sent,
//! and what is sent again; the [`Api`] decides how a request is written and what a response means.

use std::fmt;
use std::time::SystemTime;

use hyper::StatusCode;
use hyper::header::{DATE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use tokio::time::Instant;
use url::Url;

use super::connection::{self, Http, Timeouts};
use super::error::{Error, SetupError, TransportErrorKind};
use super::error_mapping;
use super::memory::MemoryPermit;
use super::page::{ElementSink, Envelope, ReadPage};
use super::pending_request::{Dispatcher, PageResponse, RequestObserver, ResponseMeta, SendOnce};
use super::proxy::Proxy;
use super::request::Request;
use super::retry::{self, RetryPolicy};
use super::throttle::{CallLimit, Throttle, Usage};
use crate::buffer_pool::BufferPool;

/// Maximum size of a body after decompression, in bytes. A page of 1000 products is about 5 MB. The limit stops
/// decompression bombs.
const BODY_LIMIT: usize = 64 * 1024 * 1024;
/// Maximum size of the output lines made from one body, in bytes. Lines are normally only a little longer than the
/// body. The limit is reached only if the server sends far more rows than requested, and they are tiny.
const LINES_LIMIT: usize = 2 * BODY_LIMIT;
/// Number of body bytes to collect before parsing them: enough for several rows, and few enough for the CPU cache.
const PARSE_CHUNK: usize = 64 * 1024;
/// Initial size of the body buffer, in bytes: one parse chunk plus one read. The buffer grows if a single value is
/// larger.
const BODY_BUFFER_SIZE: usize = PARSE_CHUNK + connection::READ_BUFFER;

/// Describes one API to the client: its requests, headers, limits and responses.
pub trait Api: fmt::Debug + Send + Sync {
    /// A request to the API.
    type Request: Request;
    /// The rate limiter, which decides when requests are sent.
    type Throttle: Throttle;
    /// The parser for the body of a response.
    type Page<'r>: ReadPage
    where
        Self: 'r;

    /// Value of the `User-Agent` header: the name of the connector and its version.
    const AGENT: HeaderValue;

    /// Returns the URL of a request relative to the base URL, with its parameters, exactly as it is sent.
    fn target(&self, request: &Self::Request) -> String;

    /// Returns the authentication headers of a request. Their values are marked as sensitive.
    fn headers(&self, path_and_query: &str) -> HeaderMap;

    /// Returns the call count that the response headers report, if any.
    fn call_limit(&self, headers: &HeaderMap) -> Option<CallLimit>;

    /// Records the time of the store's clock in a response, for an API whose requests depend on it.
    fn note_date(&self, date: SystemTime) {
        let _ = date;
    }

    /// Returns the error for a response that is neither a page nor a redirect. `signed` contains the authentication
    /// headers that were sent.
    fn status(&self, request: &Self::Request, status: StatusCode, body: &[u8], signed: &HeaderMap) -> Error;

    /// Returns a parser for the response to a request.
    fn page<'r>(&'r self, request: &'r Self::Request) -> Self::Page<'r>;
}

/// Sends list requests to one server and reads the responses.
#[derive(Debug)]
pub struct Client<A: Api> {
    http: Http,
    base: Url,
    api: A,
    dispatcher: Dispatcher<A::Throttle>,
    body_buffers: BufferPool<BODY_BUFFER_SIZE>,
}

impl<A: Api> Client<A> {
    /// Creates a client for the API at `base`, which must end with a slash. At most `in_flight` pages are in
    /// memory at the same time.
    ///
    /// # Errors
    /// [`SetupError`] if the certificates or the proxy of the environment cannot be used.
    pub fn new(
        base: Url,
        api: A,
        throttle: A::Throttle,
        in_flight: usize,
        retry_policy: RetryPolicy,
    ) -> Result<Self, SetupError> {
        let extra = std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty());
        let tls = super::tls::config(extra.as_ref().map(std::path::Path::new))?;
        // Unencrypted requests must not leave this machine, and a proxy may be on another one.
        let proxy = if base.scheme() == "https" { Proxy::from_env(&base)? } else { None };
        let http = Http::new(tls, proxy, A::AGENT, in_flight, Timeouts::within(retry_policy.timeout));
        let dispatcher = Dispatcher::new(throttle, in_flight, retry_policy);
        Ok(Self { http, base, api, dispatcher, body_buffers: BufferPool::default() })
    }

    /// Returns the server's host name, and its port if it is not the default port.
    pub fn host(&self) -> String {
        host_of(&self.base)
    }

    /// Returns the policy for retries.
    pub fn retry_policy(&self) -> RetryPolicy {
        self.dispatcher.retry_policy
    }

    /// Returns the number of calls used so far.
    pub fn usage(&self) -> Usage {
        self.dispatcher.usage()
    }

    /// Returns the number of further requests like this one that can start now.
    pub fn free_slots(&self, request: &A::Request) -> usize {
        self.dispatcher.free_slots(request)
    }

    /// Returns true while the client searches for a row of this resource that makes every page with it fail. Short
    /// requests then cost least.
    pub fn is_bisecting(&self, request: &A::Request) -> bool {
        self.dispatcher.is_bisecting(request)
    }

    /// Requests one page and passes its rows to `sink`. Before each attempt, `sink` is reset. If the server cannot send
    /// as many rows as requested, the page has fewer: see [`PageResponse::count`].
    ///
    /// # Errors
    /// [`Error`] if the failure is permanent, or lasts longer than the retry policy allows.
    pub async fn get(
        &self,
        request: &A::Request,
        observer: &dyn RequestObserver,
        sink: &mut dyn ElementSink,
    ) -> Result<PageResponse<Envelope>, Error> {
        self.dispatcher.get(self, request, observer, sink).await
    }
}

impl<A: Api> SendOnce for Client<A> {
    type Request = A::Request;

    async fn send_once(
        &self,
        request: &A::Request,
        memory: &mut MemoryPermit,
        sink: &mut dyn ElementSink,
    ) -> (Result<Envelope, Error>, Option<ResponseMeta>) {
        let url = match self.base.join(&self.api.target(request)) {
            Ok(url) => url,
            Err(error) => {
                return (
                    Err(error_mapping::broken(request.resource(), TransportErrorKind::Connect, error.to_string())),
                    None,
                );
            }
        };
        let path_and_query = url.query().map_or_else(|| url.path().to_owned(), |rest| format!("{}?{rest}", url.path()));
        let signed = self.api.headers(&path_and_query);
        let mut answer = match self.http.get(&url, signed.clone()).await {
            Ok(answer) => answer,
            Err(fault) => return (Err(error_mapping::transport(request.resource(), &fault)), None),
        };
        let status = answer.status;
        let mut meta = ResponseMeta { status: Some(status.as_u16()), ..self.meta(&answer.headers) };
        if status.is_redirection() {
            let location = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
            let target = location.and_then(|location| self.base.join(location).ok());
            let host = target.map(|target| host_of(&target)).filter(|host| *host != self.host());
            let resource = request.resource().to_owned();
            return (Err(Error::Redirect { resource, status: status.as_u16(), host }), Some(meta));
        }
        // 203 is a 200 whose content a front end may have changed, such as its compression.
        if !matches!(status, StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION) {
            let mut body = Vec::new();
            // An error message is short. The rest of the body is not needed.
            while body.len() <= PARSE_CHUNK && answer.read(&mut body).await.is_ok_and(|read| read > 0) {}
            meta.bytes = body.len();
            return (Err(self.api.status(request, status, &body, &signed)), Some(meta));
        }
        let page = self.page(request, (&mut answer, &mut meta.bytes, memory), sink).await;
        if matches!(page, Err(Error::Body { .. } | Error::NotUtf8 { .. })) {
            // This may be the response to another request, and the next response on the connection may be wrong too.
            answer.poison();
        }
        (page, Some(meta))
    }
}

impl<A: Api> Client<A> {
    /// Parses a page while it arrives. `length` counts the bytes of the body.
    async fn page(
        &self,
        request: &A::Request,
        (answer, length, memory): (&mut connection::Response, &mut usize, &mut MemoryPermit),
        sink: &mut dyn ElementSink,
    ) -> Result<Envelope, Error> {
        let mut parser = self.api.page(request);
        let mut buffer = self.body_buffers.take();
        let mut due = PARSE_CHUNK;
        loop {
            let read =
                answer.read(&mut buffer).await.map_err(|fault| error_mapping::transport(request.resource(), &fault))?;
            if read == 0 {
                break;
            }
            *length += read;
            if *length > BODY_LIMIT {
                return Err(Error::TooLarge { resource: request.resource().to_owned(), limit: BODY_LIMIT });
            }
            if buffer.len() >= due {
                let done = parser.feed(&buffer, false, sink)?;
                buffer.drain(..done);
                if !memory.fits(sink.memory_used()) {
                    // Record the size now, so that requests for similar pages wait for memory before they are sent.
                    self.dispatcher.sizes.learn(request, sink.memory_used());
                    let (from, closed) = (Instant::now(), |_| error_mapping::closing(request.resource()));
                    memory.grow(sink.memory_used()).await.map_err(closed)?;
                    // The time spent waiting for memory does not count against the server.
                    answer.extend(from.elapsed());
                }
                // Millions of tiny rows need far more memory as lines than in the body.
                if sink.memory_used() > LINES_LIMIT {
                    return Err(Error::TooLarge { resource: request.resource().to_owned(), limit: LINES_LIMIT });
                }
                // Double the threshold, so that a value larger than one chunk is not parsed again with every read.
                due = PARSE_CHUNK.max(2 * buffer.len());
            }
        }
        parser.feed(&buffer, true, sink)?;
        self.body_buffers.give_back(buffer);
        let page_meta = parser.finish(sink)?;
        sink.verify(&page_meta).map_err(|mismatch| error_mapping::refused(request.resource(), mismatch.to_string()))?;
        self.dispatcher.sizes.learn(request, (*length).max(sink.memory_used()));
        Ok(page_meta.envelope)
    }

    /// Returns the call count, `Retry-After` and date from the headers of a response.
    fn meta(&self, headers: &HeaderMap) -> ResponseMeta {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let sent = text(DATE);
        let date = sent.and_then(|date| httpdate::parse_http_date(date.trim()).ok());
        if let Some(date) = date {
            self.api.note_date(date);
        }
        ResponseMeta {
            limit: self.api.call_limit(headers),
            retry_after: text(RETRY_AFTER).and_then(|value| retry::retry_after(value, sent, SystemTime::now())),
            date,
            ..ResponseMeta::default()
        }
    }
}

fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
