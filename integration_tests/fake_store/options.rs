//! The switches of the fake store.
//!
//! The default is the documented behaviour with one good token, no call limit and no TLS. Where the public
//! documentation is silent or working clients disagree, a switch offers each reading.

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
pub use super::tls::Tls;
use super::zone::Clock;
pub use super::zone::{DateReading, Fraction};

/// One single-store token ("Authentication").
#[derive(Clone, Debug)]
pub struct Token {
    /// What the client sends in `X-AC-Auth-Token`.
    pub value: String,
    /// The scopes it was given, such as `read_people`.
    pub scopes: Vec<String>,
}

impl Token {
    /// A token with some scopes.
    pub fn new(value: &str, scopes: &[&str]) -> Token {
        Token { value: value.to_owned(), scopes: scopes.iter().map(|s| (*s).to_owned()).collect() }
    }

    /// A token with every read scope.
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

/// The form of `next_page` and `previous_page` ("Query syntax": list envelope).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextPage {
    /// An absolute URL of this host, parameters as they were sent, absent where there is no such page.
    Documented,
    /// As documented, but `null` instead of absent.
    Null,
    /// Neither of them, whatever follows.
    Absent,
    /// Path and query only.
    Relative,
    /// An absolute URL of another host (`other.example` or `https://other.example`).
    OtherHost(String),
    /// Always there, and always the URL of this very request.
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
    /// This one, whatever is listed: sources contradict each other for some resources.
    Named(&'static str),
}

/// A hook that runs before each list answer is computed, under the same lock.
pub type Live = Box<dyn FnMut(&mut Data, &RecordedRequest) + Send>;

/// A hook that decides whether a request is answered wrongly.
pub type FaultHook = Box<dyn FnMut(&RecordedRequest) -> Option<Fault> + Send>;

/// A hook that decides whether a connection, counted from 1, goes wrong.
pub type ConnectionHook = Box<dyn FnMut(usize) -> Option<ConnectionFault> + Send>;

/// A hook that decides whether, after so many connections, nobody listens for a while; asked again after it.
pub type AbsenceHook = Box<dyn FnMut(usize) -> Option<Duration> + Send>;

/// All switches.
pub struct Options {
    /// The tokens of the store.
    pub tokens: Vec<Token>,
    /// `Some`: this server is the Central API Router, and tokens mean nothing.
    pub router: Option<Router>,
    /// HTTPS with an authority of its own. Read once, at the start.
    pub tls: Option<Tls>,
    /// The zone of printed times and of filter values without an offset.
    pub zone: Tz,
    /// The form of fractions of a second.
    pub fraction: Fraction,
    /// What is kept of a moment, and what a date in a filter means.
    pub dates: DateReading,
    /// The page size when `count` is not given.
    pub default_count: usize,
    /// Larger pages are cut to this size.
    pub max_count: Option<usize>,
    /// Larger pages are refused with 400.
    pub refuse_count_above: Option<usize>,
    /// Whether lists have `total_count`.
    pub total_count: bool,
    /// The form of the links to other pages.
    pub next_page: NextPage,
    /// The name of the array in a list.
    pub envelope: Envelope,
    /// Null sorts behind all values, as in some databases, and not before them, as in SQL Server.
    pub nulls_last: bool,
    /// Lists are in key order whatever `sort` says.
    pub ignore_sort: bool,
    /// Conditions on the key are not applied.
    pub ignore_id_filter: bool,
    /// Conditions on dates are not applied.
    pub ignore_date_filter: bool,
    /// Every page is the first.
    pub ignore_page: bool,
    /// Every field is sent, whatever `fields` names.
    pub ignore_fields: bool,
    /// Nested collections are never filled.
    pub ignore_expand: bool,
    /// The status of an answer to a condition that cannot be read.
    pub bad_filter_status: u16,
    /// `Some`: rows that the sort does not tell apart come in another order at every request.
    pub unstable_ties: Option<u64>,
    /// Whether answers are compressed for clients that accept it.
    pub gzip: bool,
    /// How long a request without `Cache-Control: no-cache` gets an old body. 0: never.
    pub cache_seconds: u64,
    /// The call limit.
    pub limit: Option<Limit>,
    /// Without a limit: whether answers carry `X-AC-Call-Limit: made/50` nevertheless.
    pub call_limit_header: bool,
    /// How long every answer takes.
    pub latency: Duration,
    /// Rows that count in `total_count` and take a place in a page, but are never listed.
    pub hidden: BTreeSet<(String, i64)>,
    /// Contradictions about the end of the data, the keys and the pages.
    pub quirks: Quirks,
    /// The live mode.
    pub live: Option<Live>,
    /// Called first for every request.
    pub fault: Option<FaultHook>,
    /// Called for every connection.
    pub connection_fault: Option<ConnectionHook>,
    /// Called before a connection is waited for. Such a server needs an address of its own, or another
    /// may take its port meanwhile.
    pub absence: Option<AbsenceHook>,
    /// The address that is listened on. Read once, at the start.
    pub address: Ipv4Addr,
    /// Whether a connection carries more than one request. Read at each connection.
    pub keep_alive: bool,
    /// `Some`: some answers are those to the request before, on the same connection.
    pub late: Option<Late>,
    /// The character U+F8FF, in any body, is the byte 0xE9: `é` in Latin-1, and not UTF-8.
    pub latin1: bool,
    /// Every second request prints numeric keys as decimals: `1.0` for `1`.
    pub decimal_keys: bool,
    /// Every request is answered with 301 and this `Location`.
    pub redirect_to: Option<String>,
    /// Whether the `Date` header shows `Data::now_ms` (which stands still) instead of the
    /// real time.
    pub date_from_store: bool,
    /// Whether answers have a `Date` header. Read at each connection as well.
    pub date_header: bool,
    /// By how many seconds the `Date` header is ahead; negative: behind.
    pub date_ahead_seconds: i64,
    /// `Some`: the keys of every object in a row, at every depth, come in another order in each answer.
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
    /// The clock that reads and writes dates at this moment.
    pub(super) fn clock(&self, now_ms: i64) -> Clock {
        Clock { zone: self.zone, fraction: self.fraction, reading: self.dates, now_ms }
    }
}
