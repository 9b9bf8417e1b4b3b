//! The client of one server: sends a list request and reads the response. `pending_request` decides when it is sent,
//! and what is sent again; the [`Api`] decides how a request is written and what a response means.

use std::fmt;
use std::time::SystemTime;

use hyper::StatusCode;
use hyper::header::{DATE, HeaderMap, LOCATION, RETRY_AFTER};
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

/// Largest body after decompression. A page of 1000 products is about 5 MB; a compressed bomb ends here.
const BODY_LIMIT: usize = 64 * 1024 * 1024;
/// Largest size of the lines that are made of a body: a little more than the body, unless its rows are tiny
/// and many more than were asked for.
const LINES_LIMIT: usize = 2 * BODY_LIMIT;
/// Bytes of a body that are collected before they are parsed: some rows at least, and few enough to stay
/// in the processor's cache.
const PARSE_CHUNK: usize = 64 * 1024;
/// Size of the buffer: a chunk, and the read that completes it. A value larger than this makes it grow.
const BODY_BUFFER_SIZE: usize = PARSE_CHUNK + connection::READ_BUFFER;

/// One API, as the client needs to know it.
pub trait Api: fmt::Debug + Send + Sync {
    /// A request of it.
    type Request: Request;
    /// Decides when its requests are sent.
    type Throttle: Throttle;
    /// Reads the body of a response.
    type Page<'r>: ReadPage
    where
        Self: 'r;

    /// The URL of a request below the base, with its parameters, exactly as it is sent.
    fn target(&self, request: &Self::Request) -> String;

    /// The headers that sign in a request; their values are marked as sensitive.
    fn headers(&self, path_and_query: &str) -> HeaderMap;

    /// The calls that a response counts, if it does.
    fn call_limit(&self, headers: &HeaderMap) -> Option<CallLimit>;

    /// The error of a response that is neither a page nor a redirect; `signed` are the headers of the sign-in.
    fn status(&self, request: &Self::Request, status: StatusCode, body: &[u8], signed: &HeaderMap) -> Error;

    /// Reads the response to a request.
    fn page<'r>(&'r self, request: &'r Self::Request) -> Self::Page<'r>;
}

/// The client of one server.
#[derive(Debug)]
pub struct Client<A: Api> {
    http: Http,
    base: Url,
    api: A,
    dispatcher: Dispatcher<A::Throttle>,
    body_buffers: BufferPool<BODY_BUFFER_SIZE>,
}

impl<A: Api> Client<A> {
    /// A client for the API at `base`, which ends with a slash, with at most `in_flight` pages in memory.
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
        // Without TLS what is sent must not leave this machine, and a proxy may be anywhere.
        let proxy = if base.scheme() == "https" { Proxy::from_env(&base)? } else { None };
        let http = Http::new(tls, proxy, in_flight, Timeouts::within(retry_policy.timeout));
        let dispatcher = Dispatcher::new(throttle, in_flight, retry_policy);
        Ok(Self { http, base, api, dispatcher, body_buffers: BufferPool::default() })
    }

    /// The server's host and, if it is not the usual one, port.
    pub fn host(&self) -> String {
        host_of(&self.base)
    }

    /// How long a request may be retried.
    pub fn retry_policy(&self) -> RetryPolicy {
        self.dispatcher.retry_policy
    }

    /// The calls used so far.
    pub fn usage(&self) -> Usage {
        self.dispatcher.usage()
    }

    /// How many further requests like this one can run at the same time.
    pub fn free_slots(&self, request: &A::Request) -> usize {
        self.dispatcher.free_slots(request)
    }

    /// Returns true while one row of this resource seems to break every response that contains it: short requests
    /// then cost least.
    pub fn is_bisecting(&self, request: &A::Request) -> bool {
        self.dispatcher.is_bisecting(request)
    }

    /// Requests one page and passes its rows to `sink`, which is told to start again when an attempt fails. If the
    /// page cannot be had with as many rows as requested, it has fewer: [`PageResponse::count`].
    ///
    /// # Errors
    /// [`Error`] if the fault is permanent, or lasts longer than the retry policy allows.
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
            // The sentence of an error is short; what follows it is of no interest.
            while body.len() <= PARSE_CHUNK && answer.read(&mut body).await.is_ok_and(|read| read > 0) {}
            meta.bytes = body.len();
            return (Err(self.api.status(request, status, &body, &signed)), Some(meta));
        }
        let page = self.page(request, (&mut answer, &mut meta.bytes, memory), sink).await;
        if matches!(page, Err(Error::Body { .. } | Error::NotUtf8 { .. })) {
            // It may have been the answer to another request, and the next one over it too.
            answer.poison();
        }
        (page, Some(meta))
    }
}

impl<A: Api> Client<A> {
    /// Reads a page while it arrives; `length` counts its bytes.
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
                    // Known at once, so that other pages like it wait before they are requested.
                    self.dispatcher.sizes.learn(request, sink.memory_used());
                    let (from, closed) = (Instant::now(), |_| error_mapping::closing(request.resource()));
                    memory.grow(sink.memory_used()).await.map_err(closed)?;
                    // The store is not late while it is not read.
                    answer.extend(from.elapsed());
                }
                // Millions of tiny rows take far more room as lines than in the body.
                if sink.memory_used() > LINES_LIMIT {
                    return Err(Error::TooLarge { resource: request.resource().to_owned(), limit: LINES_LIMIT });
                }
                // A value larger than the window is not looked at again with every piece.
                due = PARSE_CHUNK.max(2 * buffer.len());
            }
        }
        parser.feed(&buffer, true, sink)?;
        self.body_buffers.give_back(buffer);
        let page_meta = parser.finish(sink)?;
        sink.verify(&page_meta).map_err(|problem| error_mapping::refused(request.resource(), problem))?;
        self.dispatcher.sizes.learn(request, (*length).max(sink.memory_used()));
        Ok(page_meta.envelope)
    }

    /// What the headers of a response say about calls and time.
    fn meta(&self, headers: &HeaderMap) -> ResponseMeta {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let date = text(DATE);
        ResponseMeta {
            limit: self.api.call_limit(headers),
            retry_after: text(RETRY_AFTER).and_then(|value| retry::retry_after(value, date, SystemTime::now())),
            date: date.and_then(|date| httpdate::parse_http_date(date.trim()).ok()),
            ..ResponseMeta::default()
        }
    }
}

fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
