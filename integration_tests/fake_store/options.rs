//! The switches of the fake store.
//!
//! The default is the documented behaviour with one valid token, no call limit and no TLS. Where the public
//! documentation says nothing or working clients disagree, a switch offers each variant.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use chrono_tz::Tz;

use super::connection::Late;
use super::data::Data;
use super::fault::{ConnectionFault, Fault};
use super::limit::Limit;
use super::quirks::Quirks;
use super::resources::all_scopes;
use super::seen::RecordedRequest;
use super::zone::Clock;
pub use super::zone::{DateReading, Fraction};

/// One single-store token ("Authentication").
#[derive(Clone, Debug)]
pub struct Token {
    /// The value of `X-AC-Auth-Token`.
    pub value: String,
    /// Its scopes, such as `read_people`.
    pub scopes: Vec<String>,
}

impl Token {
    /// Creates a token with some scopes.
    pub fn new(value: &str, scopes: &[&str]) -> Token {
        Token { value: value.to_owned(), scopes: scopes.iter().map(|s| (*s).to_owned()).collect() }
    }

    /// Creates a token with every read scope.
    pub fn full(value: &str) -> Token {
        Token { value: value.to_owned(), scopes: all_scopes() }
    }
}

/// The one account that the Central API Router knows.
#[derive(Clone, Debug)]
pub struct Router {
    /// The store's site id (`PSID`).
    pub site_id: String,
    /// The provisioning user.
    pub user: String,
    /// The key of the signature.
    pub secret: String,
}

/// The certificate that the server shows.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The names it is valid for (IP addresses too).
    pub host_names: Vec<String>,
    /// True if it has expired.
    pub expired: bool,
}

impl Default for Tls {
    fn default() -> Tls {
        Tls { host_names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()], expired: false }
    }
}

/// The form of `next_page` and `previous_page` ("Query syntax": list envelope).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextPage {
    /// An absolute URL of this host, with the parameters as sent; absent if there is no such page.
    Documented,
    /// As documented, but `null` instead of absent.
    Null,
    /// Neither of them, even if there are more pages.
    Absent,
    /// Path and query only.
    Relative,
    /// An absolute URL of another host (`other.example` or `https://other.example`).
    OtherHost(String),
    /// Always present, and always the URL of this request.
    SameForEver,
    /// As documented, with the values not percent-encoded.
    RawValues,
}

/// The name of the array in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// The short names seen in working clients (`items` for `/order_items`).
    Short,
    /// The path, as the newest `OpenAPI` prints it.
    Path,
    /// This name for all resources: sources contradict each other for some.
    Named(&'static str),
}

/// A hook that runs before each list answer is computed, under the same lock.
pub type Live = Box<dyn FnMut(&mut Data, &RecordedRequest) + Send>;

/// A hook that decides whether a request gets a fault.
pub type FaultHook = Box<dyn FnMut(&RecordedRequest) -> Option<Fault> + Send>;

/// A hook that decides whether a connection, counted from 1, gets a fault.
pub type ConnectionHook = Box<dyn FnMut(usize) -> Option<ConnectionFault> + Send>;

/// A hook that decides whether, after a number of connections, the server stops listening for a while; called again
/// then.
pub type AbsenceHook = Box<dyn FnMut(usize) -> Option<Duration> + Send>;

/// All switches.
pub struct Options {
    /// The tokens of the store.
    pub tokens: Vec<Token>,
    /// If set, this server is the Central API Router, and tokens are ignored.
    pub router: Option<Router>,
    /// HTTPS with an own authority. Read once, at the start.
    pub tls: Option<Tls>,
    /// The zone of printed times and of filter values without an offset.
    pub zone: Tz,
    /// The form of fractions of a second.
    pub fraction: Fraction,
    /// The precision of stored times, and the meaning of a date in a filter.
    pub dates: DateReading,
    /// The page size when `count` is not given.
    pub default_count: usize,
    /// Larger pages are cut to this size.
    pub max_count: Option<usize>,
    /// Larger pages are refused with 400.
    pub refuse_count_above: Option<usize>,
    /// True if lists have `total_count`.
    pub total_count: bool,
    /// The form of the links to other pages.
    pub next_page: NextPage,
    /// The name of the array in a list.
    pub envelope: Envelope,
    /// True if null sorts after all values, as in some databases, not before them, as in SQL Server.
    pub nulls_last: bool,
    /// True if lists are in key order, ignoring `sort`.
    pub ignore_sort: bool,
    /// True if conditions on the key are ignored.
    pub ignore_id_filter: bool,
    /// True if conditions on dates are ignored.
    pub ignore_date_filter: bool,
    /// True if every page is the first one.
    pub ignore_page: bool,
    /// True if every field is sent, ignoring `fields`.
    pub ignore_fields: bool,
    /// True if nested collections are never filled.
    pub ignore_expand: bool,
    /// The status of the response to a condition that cannot be parsed.
    pub bad_filter_status: u16,
    /// If set, rows that are equal for the sort come in another order in every response.
    pub unstable_ties: Option<u64>,
    /// True if responses are compressed for clients that accept it.
    pub gzip: bool,
    /// Maximum age of a cached body for a request without `Cache-Control: no-cache`. 0: never cached.
    pub cache_seconds: u64,
    /// The call limit.
    pub limit: Option<Limit>,
    /// True if responses have `X-AC-Call-Limit: used/50` even without a limit.
    pub call_limit_header: bool,
    /// Delay of every response.
    pub latency: Duration,
    /// Rows that count in `total_count` and use a place in a page, but are never listed.
    pub hidden: BTreeSet<(String, i64)>,
    /// Contradictions about the end of the data, the keys and the pages.
    pub quirks: Quirks,
    /// The live mode.
    pub live: Option<Live>,
    /// Called first for every request.
    pub fault: Option<FaultHook>,
    /// Called for every connection.
    pub connection_fault: Option<ConnectionHook>,
    /// Called before the server waits for a connection. Such a server needs its own address, or another one
    /// may take its port meanwhile.
    pub absence: Option<AbsenceHook>,
    /// The address to listen on. Read once, at the start.
    pub address: Ipv4Addr,
    /// True if a connection serves more than one request. Read for each connection.
    pub keep_alive: bool,
    /// If set, some responses are those to the previous request of the same connection.
    pub late: Option<Late>,
    /// The character U+F8FF, in any body, is the byte 0xE9: `é` in Latin-1, and not UTF-8.
    pub latin1: bool,
    /// Every second request prints numeric keys as decimals: `1.0` for `1`.
    pub decimal_keys: bool,
    /// Every request is answered with 301 and this `Location`.
    pub redirect_to: Option<String>,
    /// True if the `Date` header has `Data::now_ms` (which stands still) instead of the
    /// real time.
    pub date_from_store: bool,
    /// True if responses have a `Date` header. Read for each connection as well.
    pub date_header: bool,
    /// Seconds by which the `Date` header is ahead; negative if it is late.
    pub date_ahead_seconds: i64,
    /// If set, the keys of every object in a row, at every depth, come in another order in each response.
    pub shuffled_keys: Option<u64>,
    /// The `PSID` that `/store/sitemonitor.aspx` prints.
    pub site_id: String,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            tokens: vec![Token::full("good-token")],
            router: None,
            tls: None,
            zone: chrono_tz::America::Chicago,
            fraction: Fraction::Documented,
            dates: DateReading::Documented,
            default_count: 100,
            max_count: None,
            refuse_count_above: None,
            total_count: true,
            next_page: NextPage::Documented,
            envelope: Envelope::Short,
            nulls_last: false,
            ignore_sort: false,
            ignore_id_filter: false,
            ignore_date_filter: false,
            ignore_page: false,
            ignore_fields: false,
            ignore_expand: false,
            bad_filter_status: 400,
            unstable_ties: Some(1),
            gzip: true,
            cache_seconds: 30,
            limit: None,
            call_limit_header: false,
            latency: Duration::ZERO,
            hidden: BTreeSet::new(),
            quirks: Quirks::default(),
            live: None,
            fault: None,
            connection_fault: None,
            absence: None,
            address: Ipv4Addr::LOCALHOST,
            keep_alive: true,
            late: None,
            latin1: false,
            decimal_keys: false,
            redirect_to: None,
            date_from_store: false,
            date_header: true,
            date_ahead_seconds: 0,
            shuffled_keys: None,
            site_id: "12345".to_owned(),
        }
    }
}

impl Options {
    /// Returns the clock that reads and writes dates now.
    pub(super) fn clock(&self, now_ms: i64) -> Clock {
        Clock { zone: self.zone, fraction: self.fraction, reading: self.dates, now_ms }
    }
}
