//! The client of a CS-Cart store: the HTTP client with CS-Cart's URLs, headers and responses.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderValue};

use super::auth::Auth;
use super::error_mapping;
use super::page::PageParser;
use super::query::{Settled, part_of_owner};
use super::settings::Settings;
use super::streams::{self, STREAMS};
use super::throttle::Pauses;
use crate::http::error::SetupError;
use crate::http::{self, Api, CallLimit, ElementSink, Error, PageMeta, ReadPage, RetryPolicy};
use crate::stream::{Strategy, Stream};
use crate::sync::query::Query;
use crate::sync::shop::{Capabilities, ListRequests, Shop};

/// Statuses after which a smaller page may succeed: an error of PHP (500), and a gateway or host that stopped a request
/// (502, 504, 508).
const SIZE_STATUSES: &[u16] = &[500, 502, 504, 508];

/// The client of one store.
#[derive(Debug)]
pub struct Client {
    http: http::Client<CsCartApi>,
    identity: String,
    rows_per_request: usize,
    user_types: Vec<String>,
    storefront_ids: Vec<u64>,
    include_incomplete_orders: bool,
    language: String,
}

impl Client {
    /// Returns a client for a store.
    ///
    /// # Errors
    /// [`SetupError`] if the certificates or the proxy of the environment cannot be used.
    pub fn new(settings: Settings, retry_policy: RetryPolicy) -> Result<Self, SetupError> {
        let settled = Settled::of(&settings);
        let auth = Auth::new(settings.email, settings.api_key);
        let identity = auth.identity();
        let api = CsCartApi { auth, settled, latest: AtomicI64::new(0) };
        let retry_policy = RetryPolicy { size_statuses: SIZE_STATUSES, ..retry_policy };
        let in_flight = settings.concurrency.max(1);
        Ok(Self {
            http: http::Client::new(settings.base, api, Pauses::default(), in_flight, retry_policy)?,
            identity,
            rows_per_request: settings.rows_per_request.max(1),
            user_types: settings.user_types,
            storefront_ids: settings.storefront_ids,
            include_incomplete_orders: settings.include_incomplete_orders,
            language: settings.language,
        })
    }
}

impl Shop for Client {
    fn streams(&self) -> &'static [Stream] {
        STREAMS
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            key_ranges: false,
            page_numbers: true,
            lists_may_be_missing: false,
            key_counts: false,
            total_field: Some("total_items"),
            page_size: self.rows_per_request,
            nested_page_size: self.rows_per_request,
            // The size of a page without `items_per_page` is a setting of the store.
            default_page_size: 0,
        }
    }

    fn requests(&self) -> &dyn ListRequests {
        &self.http
    }

    fn identity(&self) -> String {
        format!("{} {}", self.http.host(), self.identity)
    }

    fn parts(&self, stream: &Stream) -> Vec<String> {
        match stream.strategy {
            Strategy::KeyLists => self.user_types.clone(),
            Strategy::DateWindows => self.storefront_ids.iter().map(u64::to_string).collect(),
            _ => Vec::new(),
        }
    }

    fn owners(&self, stream: &Stream) -> Option<&'static Stream> {
        // CS-Cart keys the rows of a response by user: of a user with carts in two stores, it lists only one cart.
        if stream.strategy == Strategy::DateWindows { streams::find(streams::OWNERS) } else { None }
    }

    fn kinds(&self, stream: &Stream) -> &'static [&'static str] {
        streams::parameters(stream).kinds
    }

    fn has_backdated_rows(&self, stream: &Stream) -> bool {
        // An order with a date of the past shows it as its change date until its status changes for the first time.
        self.include_incomplete_orders && streams::parameters(stream).has_incomplete
    }

    fn selection(&self, stream: &'static Stream) -> Option<String> {
        let parameters = streams::parameters(stream.requested());
        let is_of_storefronts = parameters.has_storefronts || stream.strategy == Strategy::DateWindows;
        let settings = [
            (stream.strategy == Strategy::KeyLists).then(|| format!("{:?}", self.user_types)),
            is_of_storefronts.then(|| format!("{:?}", self.storefront_ids)),
            parameters.has_incomplete.then(|| self.include_incomplete_orders.to_string()),
            parameters.has_language.then(|| self.language.clone()),
        ];
        let settings: Vec<String> = settings.into_iter().flatten().collect();
        (!settings.is_empty()).then(|| settings.join(" "))
    }

    fn part_of_owner(&self, id: i64) -> String {
        part_of_owner(id)
    }
}

/// Writes requests to a store, and reads its responses.
#[derive(Debug)]
struct CsCartApi {
    auth: Auth,
    settled: Settled,
    /// The latest time of the store's clock in a response, in UNIX seconds.
    latest: AtomicI64,
}

impl Api for CsCartApi {
    type Request = Query;
    type Throttle = Pauses;
    type Page<'r> = Page<'r>;

    const AGENT: HeaderValue = HeaderValue::from_static(concat!("source-cs-cart/", env!("CARGO_PKG_VERSION")));

    fn target(&self, query: &Query) -> String {
        let clock = unix_seconds(SystemTime::now());
        self.settled.target(query, clock.max(self.latest.load(Ordering::Relaxed)))
    }

    fn headers(&self, _: &str) -> HeaderMap {
        self.auth.headers()
    }

    fn call_limit(&self, _: &HeaderMap) -> Option<CallLimit> {
        // The API has no call limit.
        None
    }

    fn note_date(&self, date: SystemTime) {
        self.latest.fetch_max(unix_seconds(date), Ordering::Relaxed);
    }

    fn status(&self, query: &Query, status: StatusCode, body: &[u8], signed: &HeaderMap) -> Error {
        error_mapping::status(query, status, body, signed)
    }

    fn page<'r>(&'r self, query: &'r Query) -> Page<'r> {
        Page { parser: PageParser::answering(query).requiring(self.settled.required_field(query)), query }
    }
}

/// Returns a time in UNIX seconds; 0 for one before 1970.
fn unix_seconds(time: SystemTime) -> i64 {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(seconds).unwrap_or_default()
}

/// The parser of a page, with the request that the page belongs to.
#[derive(Debug)]
struct Page<'r> {
    parser: PageParser<'r>,
    query: &'r Query,
}

impl ReadPage for Page<'_> {
    fn feed(&mut self, chunk: &[u8], last: bool, sink: &mut dyn ElementSink) -> Result<usize, Error> {
        self.parser.feed(chunk, last, sink).map_err(|fault| error_mapping::body(self.query, fault))
    }

    fn finish(self, _: &mut dyn ElementSink) -> Result<PageMeta, Error> {
        self.parser.finish().map_err(|fault| error_mapping::body(self.query, fault))
    }
}
