//! The client: sends one list request and gives back the whole page, read. When it is sent, and what is tried
//! again, is `pending_request`'s; what a page means is for the caller.

use std::time::SystemTime;

use hyper::StatusCode;
use hyper::header::{DATE, HeaderMap, LOCATION, RETRY_AFTER};
use tokio::time::Instant;
use url::Url;

use super::auth::Auth;
use super::error::{Error, TransportErrorKind};
use super::error_mapping;
use super::http::{self, Http, Timeouts};
use super::memory::MemoryPermit;
use super::page::{ElementSink, Envelope, ListNames, PageParser};
use super::pending_request::{Dispatcher, PageResponse, RequestObserver, ResponseMeta, SendOnce};
use super::proxy::Proxy;
use super::query::Query;
use super::rate_limiter::{CallLimit, RateLimiter, Usage};
use super::retry::{self, RetryPolicy};
use crate::buffer_pool::BufferPool;

/// Largest body after decompression. A page of 1000 products is about 5 MB; a compressed bomb ends here.
const BODY_LIMIT: usize = 64 * 1024 * 1024;
/// Largest size of the lines that are made of a body: a little more than the body, unless its rows are tiny
/// and many more than were asked for.
const LINES_LIMIT: usize = 2 * BODY_LIMIT;
/// Bytes of a body that are waited for before they are read: some rows at least, and few enough to stay
/// in the processor's cache.
const PARSE_CHUNK: usize = 64 * 1024;
/// Room for a window and the piece that makes it full. A value larger than this makes it grow.
const BODY_BUFFER_SIZE: usize = PARSE_CHUNK + http::READ_BUFFER;
/// A client of one store.
#[derive(Debug)]
pub struct Client {
    http: Http,
    base: Url,
    auth: Auth,
    dispatcher: Dispatcher,
    body_buffers: BufferPool<BODY_BUFFER_SIZE>,
}

impl Client {
    /// A client for `base` (`https://host/api/v1/`), with at most `in_flight` pages in memory.
    ///
    /// # Errors
    /// A clause, if the TLS settings or the proxy of the environment cannot be used.
    pub fn new(
        base: Url,
        auth: Auth,
        rate_limiter: RateLimiter,
        in_flight: usize,
        retry_policy: RetryPolicy,
    ) -> Result<Self, String> {
        let extra = std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty());
        let tls = super::tls::config(extra.as_ref().map(std::path::Path::new))
            .map_err(|error| format!("SSL_CERT_FILE: {error}"))?;
        // Without TLS what is sent must not leave this machine, and a proxy may be anywhere.
        let proxy = if base.scheme() == "https" { Proxy::from_env(&base)? } else { None };
        let http = Http::new(tls, proxy, in_flight, Timeouts::within(retry_policy.timeout));
        Ok(Self {
            http,
            base,
            auth,
            dispatcher: Dispatcher::new(rate_limiter, in_flight, retry_policy),
            body_buffers: BufferPool::default(),
        })
    }

    /// The store's host and, if it is not the usual one, port.
    #[must_use]
    pub fn host(&self) -> String {
        host_of(&self.base)
    }

    /// How long a request may be retried.
    #[must_use]
    pub fn retry_policy(&self) -> RetryPolicy {
        self.dispatcher.retry_policy
    }

    /// Returns what was used of the call limit so far.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.dispatcher.usage()
    }

    /// Places for further requests like this one side by side.
    #[must_use]
    pub fn free_slots(&self, query: &Query) -> usize {
        self.dispatcher.free_slots(query)
    }

    /// Returns true while it seems that one row of this resource breaks every answer that would hold it: short
    /// requests then cost least.
    #[must_use]
    pub fn is_bisecting(&self, query: &Query) -> bool {
        self.dispatcher.is_bisecting(query)
    }

    /// Asks for one page and gives its rows to `sink`, which is told to start again when an attempt
    /// fails. Where the page cannot be had as it was asked for, a shorter one is given: [`PageResponse::count`].
    ///
    /// # Errors
    /// [`Error`] when the fault does not pass, or not within the patience.
    pub async fn get(
        &self,
        query: &Query,
        names: ListNames<'_>,
        observer: &impl RequestObserver,
        sink: &mut impl ElementSink,
    ) -> Result<PageResponse<Envelope>, Error> {
        self.dispatcher.get(self, (query, names), observer, sink).await
    }
}

impl SendOnce for Client {
    async fn send_once(
        &self,
        query: &Query,
        names: ListNames<'_>,
        memory: &mut MemoryPermit,
        sink: &mut impl ElementSink,
    ) -> (Result<Envelope, Error>, Option<ResponseMeta>) {
        let url = match self.base.join(&query.target()) {
            Ok(url) => url,
            Err(error) => {
                return (Err(error_mapping::broken(query, TransportErrorKind::Connect, error.to_string())), None);
            }
        };
        let path_and_query = url.query().map_or_else(|| url.path().to_owned(), |rest| format!("{}?{rest}", url.path()));
        let signed = self.auth.headers(&path_and_query);
        let mut answer = match self.http.get(&url, signed.clone()).await {
            Ok(answer) => answer,
            Err(fault) => return (Err(error_mapping::transport(query, &fault)), None),
        };
        let status = answer.status;
        let mut meta = ResponseMeta { status: Some(status.as_u16()), ..ResponseMeta::of(&answer.headers) };
        if status.is_redirection() {
            let location = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
            let target = location.and_then(|location| self.base.join(location).ok());
            let host = target.map(|target| host_of(&target)).filter(|host| *host != self.host());
            let resource = query.resource().to_owned();
            return (Err(Error::Redirect { resource, status: status.as_u16(), host }), Some(meta));
        }
        // 203 is a 200 whose content a front end may have changed, such as its compression.
        if !matches!(status, StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION) {
            let mut body = Vec::new();
            // The sentence of an error is short; what follows it is of no interest.
            while body.len() <= PARSE_CHUNK && answer.read(&mut body).await.is_ok_and(|read| read > 0) {}
            meta.bytes = body.len();
            return (Err(error_mapping::status(query, status, &body, &signed)), Some(meta));
        }
        let page = self.page((query, names), (&mut answer, &mut meta.bytes, memory), sink).await;
        if matches!(page, Err(Error::Body { .. } | Error::NotUtf8 { .. })) {
            // It may have been the answer to another request, and the next one over it too.
            answer.poison();
        }
        (page, Some(meta))
    }
}

impl Client {
    /// Reads a page while it arrives; `length` counts its bytes.
    async fn page(
        &self,
        (query, names): (&Query, ListNames<'_>),
        (answer, length, memory): (&mut http::Response, &mut usize, &mut MemoryPermit),
        sink: &mut impl ElementSink,
    ) -> Result<Envelope, Error> {
        let mut parser = PageParser::answering(query, names);
        let mut buffer = self.body_buffers.take();
        let mut due = PARSE_CHUNK;
        let fault = |fault| error_mapping::body(query, fault);
        loop {
            let read = answer.read(&mut buffer).await.map_err(|fault| error_mapping::transport(query, &fault))?;
            if read == 0 {
                break;
            }
            *length += read;
            if *length > BODY_LIMIT {
                return Err(Error::TooLarge { resource: query.resource().to_owned(), limit: BODY_LIMIT });
            }
            if buffer.len() >= due {
                let done = parser.feed(&buffer, false, sink).map_err(fault)?;
                buffer.drain(..done);
                if !memory.fits(sink.memory_used()) {
                    // Known at once, so that other pages like it wait before they are requested.
                    self.dispatcher.sizes.learn(query, sink.memory_used());
                    let (from, closed) = (Instant::now(), |_| error_mapping::closing(query));
                    memory.grow(sink.memory_used()).await.map_err(closed)?;
                    // The store is not late while it is not read.
                    answer.extend(from.elapsed());
                }
                // Millions of tiny rows take far more room as lines than in the body.
                if sink.memory_used() > LINES_LIMIT {
                    return Err(Error::TooLarge { resource: query.resource().to_owned(), limit: LINES_LIMIT });
                }
                // A value larger than the window is not looked at again with every piece.
                due = PARSE_CHUNK.max(2 * buffer.len());
            }
        }
        parser.feed(&buffer, true, sink).map_err(fault)?;
        self.body_buffers.give_back(buffer);
        let page_meta = parser.finish_with_meta(sink).map_err(fault)?;
        sink.verify(&page_meta).map_err(|problem| error_mapping::refused(query, problem))?;
        self.dispatcher.sizes.learn(query, (*length).max(sink.memory_used()));
        Ok(page_meta.envelope)
    }
}

impl ResponseMeta {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let date = text(DATE.as_str());
        Self {
            limit: text("x-ac-call-limit").and_then(CallLimit::parse),
            retry_after: text(RETRY_AFTER.as_str())
                .and_then(|value| retry::retry_after(value, date, SystemTime::now())),
            date: date.and_then(|date| httpdate::parse_http_date(date.trim()).ok()),
            ..Self::default()
        }
    }
}

fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::super::page::{Discard, PageMeta};
    use super::super::pending_request::{RequestEvent, RequestObserver};
    use super::*;
    use crate::json::Scanner;
    use crate::record::NotARecord;
    use crate::secret::Secret;

    struct IgnoreEvents;

    impl RequestObserver for IgnoreEvents {
        async fn on_event(&self, _: RequestEvent<'_>) {}
    }

    /// Believes no list of an unknown name.
    struct Doubting;

    impl ElementSink for Doubting {
        fn restart(&mut self) {}

        fn element(&mut self, scanner: &mut Scanner<'_>) -> Result<(), NotARecord> {
            Discard.element(scanner)
        }

        fn verify(&mut self, answer: &PageMeta) -> Result<(), String> {
            if answer.list_name_known { Ok(()) } else { Err("not mine".to_owned()) }
        }
    }

    /// A client of a server that gives these answers, and the connection that each request came over.
    async fn client(answers: Vec<(u16, &'static [u8])>) -> (Client, tokio::task::JoinHandle<Vec<u32>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = Url::parse(&format!("http://{}/api/v1/", listener.local_addr().unwrap())).unwrap();
        let serving = tokio::spawn(async move {
            let (mut answers, mut connections, mut number) = (answers.into_iter().peekable(), Vec::new(), 0);
            while answers.peek().is_some() {
                let (mut tcp, _) = listener.accept().await.unwrap();
                number += 1;
                while answers.peek().is_some() && tcp.read(&mut [0; 2048]).await.is_ok_and(|read| read > 0) {
                    let (status, body) = answers.next().unwrap();
                    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
                    tcp.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
                    connections.push(number);
                }
            }
            connections
        });
        let retry_policy = RetryPolicy::READ.at_most(Some(Duration::from_secs(10)), None);
        let rate_limiter = RateLimiter::new(100, retry_policy.backoff.window);
        let auth = Auth::Token(Secret::new("token".to_owned()));
        (Client::new(base, auth, rate_limiter, 1, retry_policy).unwrap(), serving)
    }

    const NAMES: ListNames<'_> = ListNames { own: &["orders"], foreign: &["orders", "customers"] };
    const RIGHT: &[u8] = br#"{"total_count":1,"orders":[{"id":1}]}"#;

    #[tokio::test]
    async fn after_a_faulty_answer_the_connection_is_not_used_again() {
        for wrong in [
            &br#"{"total_count":1,"customers":[{"id":1}]}"#[..],
            br#"{"total_count":1,"orders":[]}"#,
            br#"{"orders":[{"id":1}],"next_page":"/api/v1/customers?page=2"}"#,
            br#"{"rows":[{"id":1}]}"#,
            b"{\"orders\":[\"\xe9\"]}",
        ] {
            let (client, serving) = client(vec![(200, RIGHT), (200, wrong), (200, RIGHT)]).await;
            let query = Query::new("orders", 1000);
            for _ in 0..2 {
                let answer = client.get(&query, NAMES, &IgnoreEvents, &mut Doubting).await;
                assert!(answer.is_ok(), "{}: {answer:?}", String::from_utf8_lossy(wrong));
            }
            assert_eq!(serving.await.unwrap(), [1, 1, 2], "{}", String::from_utf8_lossy(wrong));
        }
    }

    #[tokio::test]
    async fn partial_responses_are_retried_and_203_is_accepted() {
        let (client, serving) = client(vec![(206, b"{"), (203, RIGHT)]).await;
        let answer = client.get(&Query::new("orders", 1000), NAMES, &IgnoreEvents, &mut Discard).await.unwrap();
        assert_eq!((answer.count, answer.page.total), (1000, Some(1)));
        assert_eq!(serving.await.unwrap(), [1, 1]);
    }
}
