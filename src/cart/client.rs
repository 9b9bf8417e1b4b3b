//! The client of a Cart.com store: the HTTP client with Cart.com's URLs, headers and responses.

use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderValue};
use url::Url;

use super::auth::Auth;
use super::error_mapping;
use super::page::{ListNames, PageParser};
use super::query::{self, DEFAULT_PAGE_SIZE, NESTED_PAGE_SIZE, PAGE_SIZE};
use super::rate_limiter::RateLimiter;
use super::streams::{LIST_NAMES, STREAMS};
use crate::http::error::SetupError;
use crate::http::{self, Api, CallLimit, ElementSink, Error, PageMeta, ReadPage, RetryPolicy};
use crate::stream::Stream;
use crate::sync::query::Query;
use crate::sync::shop::{Capabilities, ListRequests, Shop};

/// Header with the number of calls made and allowed (API documentation, API limits).
const CALL_LIMIT: &str = "x-ac-call-limit";

/// The client of one store.
#[derive(Debug)]
pub struct Client {
    http: http::Client<CartApi>,
    identity: String,
}

impl Client {
    /// Returns a client for `base` (`https://host/api/v1/`), with at most `in_flight` requests or unemitted pages at
    /// a time.
    ///
    /// # Errors
    /// [`SetupError`] if the certificates or the proxy of the environment cannot be used.
    pub fn new(
        base: Url,
        auth: Auth,
        rate_limiter: RateLimiter,
        in_flight: usize,
        retry_policy: RetryPolicy,
    ) -> Result<Self, SetupError> {
        let identity = auth.identity();
        let http = http::Client::new(base, CartApi { auth }, rate_limiter, in_flight, retry_policy)?;
        Ok(Self { http, identity })
    }
}

impl Shop for Client {
    fn streams(&self) -> &'static [Stream] {
        STREAMS
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            key_ranges: true,
            page_numbers: true,
            lists_may_be_missing: true,
            key_counts: true,
            total_field: Some("total_count"),
            page_size: PAGE_SIZE,
            nested_page_size: NESTED_PAGE_SIZE,
            default_page_size: DEFAULT_PAGE_SIZE,
        }
    }

    fn requests(&self) -> &dyn ListRequests {
        &self.http
    }

    fn identity(&self) -> String {
        format!("{} {}", self.http.host(), self.identity)
    }
}

/// Writes requests to a store, and reads its responses.
#[derive(Debug)]
struct CartApi {
    auth: Auth,
}

impl Api for CartApi {
    type Request = Query;
    type Throttle = RateLimiter;
    type Page<'r> = Page<'r>;

    const AGENT: HeaderValue = HeaderValue::from_static(concat!("source-cart/", env!("CARGO_PKG_VERSION")));

    fn target(&self, query: &Query) -> String {
        query::target(query)
    }

    fn headers(&self, path_and_query: &str) -> HeaderMap {
        self.auth.headers(path_and_query)
    }

    fn call_limit(&self, headers: &HeaderMap) -> Option<CallLimit> {
        headers.get(CALL_LIMIT).and_then(|value| value.to_str().ok()).and_then(CallLimit::parse)
    }

    fn status(&self, query: &Query, status: StatusCode, body: &[u8], signed: &HeaderMap) -> Error {
        error_mapping::status(query, status, body, signed)
    }

    fn page<'r>(&'r self, query: &'r Query) -> Page<'r> {
        let names = ListNames { own: vec![query.stream.list, query.stream.name], foreign: &LIST_NAMES };
        Page { parser: PageParser::answering(query, names), query }
    }
}

/// The parser of a page, with the request that the page belongs to.
#[derive(Debug)]
struct Page<'r> {
    parser: PageParser<'r>,
    query: &'r Query,
}

impl ReadPage for Page<'_> {
    fn feed(&mut self, chunk: &[u8], last: bool, sink: &mut dyn ElementSink) -> Result<usize, Error> {
        let fed = self.parser.feed(chunk, last, sink);
        fed.map_err(|fault| error_mapping::body(self.query, fault, self.parser.total()))
    }

    fn finish(self, sink: &mut dyn ElementSink) -> Result<PageMeta, Error> {
        let total = self.parser.total();
        self.parser.finish_with_meta(sink).map_err(|fault| error_mapping::body(self.query, fault, total))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::super::streams::find;
    use super::*;
    use crate::http::{Discard, IgnoreEvents, ResponseMismatch};
    use crate::json::Scanner;
    use crate::record::NotARecord;
    use crate::secret::Secret;

    /// Accepts only lists with a known name.
    struct Doubting;

    impl ElementSink for Doubting {
        fn restart(&mut self) {}

        fn element(&mut self, scanner: &mut Scanner<'_>) -> Result<(), NotARecord> {
            Discard.element(scanner)
        }

        fn verify(&mut self, answer: &PageMeta) -> Result<(), ResponseMismatch> {
            if answer.list_name_known { Ok(()) } else { Err(ResponseMismatch::OtherFields) }
        }
    }

    /// Returns a client of a server that sends these responses, and a task that returns the number of the connection
    /// of each request.
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
            let query = Query::new(find("orders").unwrap(), 1000);
            for _ in 0..2 {
                let answer = client.requests().list(&query, &IgnoreEvents, &mut Doubting).await;
                assert!(answer.is_ok(), "{}: {answer:?}", String::from_utf8_lossy(wrong));
            }
            assert_eq!(serving.await.unwrap(), [1, 1, 2], "{}", String::from_utf8_lossy(wrong));
        }
    }

    #[tokio::test]
    async fn partial_responses_are_retried_and_203_is_accepted() {
        let (client, serving) = client(vec![(206, b"{"), (203, RIGHT)]).await;
        let answer = client
            .requests()
            .list(&Query::new(find("orders").unwrap(), 1000), &IgnoreEvents, &mut Discard)
            .await
            .unwrap();
        assert_eq!((answer.count, answer.page.total), (1000, Some(1)));
        assert_eq!(serving.await.unwrap(), [1, 1]);
    }
}
