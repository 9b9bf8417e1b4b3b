//! Switches of the store.
//!
//! The defaults are a root administrator on a CS-Cart store of version 4.20 that answers at once. Where the facts leave
//! something open, a switch offers each variant.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::data::Data;
use super::fault::Fault;
use super::json::Columns;
use super::seen::RecordedRequest;

/// CS-Cart or Multi-Vendor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Edition {
    /// CS-Cart: one or several storefronts, each with a company.
    #[default]
    Ultimate,
    /// Multi-Vendor.
    MultiVendor,
}

/// Version of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 4.3.9 of 2016: no complete rows in lists, no storefronts.
    V4_3_9,
    /// 4.11: complete rows in lists, but no `updated_at`.
    V4_11,
    /// 4.13: `updated_at` and its filters.
    V4_13,
    /// 4.20: users need a type.
    #[default]
    V4_20,
}

impl Version {
    /// Returns the versions of the API that it has.
    pub fn api_versions(self) -> &'static [&'static str] {
        match self {
            Version::V4_3_9 => &["1.0", "2.0"],
            Version::V4_11 | Version::V4_13 => &["1.0", "2.0", "2.1", "4.0"],
            Version::V4_20 => &["1.0", "2.0", "2.1", "4.0", "4.1"],
        }
    }

    /// Returns the version of the API that a path without one has.
    pub fn default_api_version(self) -> &'static str {
        if self == Version::V4_3_9 { "2.0" } else { "2.1" }
    }
}

/// Rights of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Everything.
    Root,
    /// An administrator with these privileges, such as `view_orders`.
    Limited(BTreeSet<String>),
    /// A user of a vendor.
    Vendor(i64),
    /// An account that is switched off.
    Disabled,
}

/// An account that may sign in.
#[derive(Clone, Debug)]
pub struct Account {
    /// User name.
    pub email: String,
    /// API key.
    pub key: String,
    /// Rights.
    pub rights: Rights,
    /// Its user, which is the only administrator that a limited one sees.
    pub user_id: i64,
}

impl Account {
    /// Creates the root administrator of the sample store.
    pub fn root() -> Account {
        Account { email: EMAIL.to_owned(), key: KEY.to_owned(), rights: Rights::Root, user_id: 1 }
    }

    /// Creates an administrator with some privileges, with the same sign-in.
    pub fn limited(privileges: &[&str]) -> Account {
        let privileges = privileges.iter().map(|name| (*name).to_owned()).collect();
        Account { rights: Rights::Limited(privileges), ..Account::root() }
    }
}

/// E-mail of the administrator of a sample store.
pub const EMAIL: &str = "admin@example.com";

/// API key of the administrator of a sample store.
pub const KEY: &str = "0123456789abcdefghijklmnopqrstuv";

/// `Date` header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateHeader {
    /// Store's clock.
    #[default]
    Store,
    /// Store's clock, some seconds late; early if negative.
    Late(i64),
    /// Store's clock, as it was at the last multiple of so many seconds: a cache set it.
    Cached(i64),
    /// Clock of this machine.
    Real,
    /// No header.
    Absent,
}

/// Form of lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Envelope {
    /// Rows as an array (or keyed, see `keyed`) and `params`.
    #[default]
    Params,
    /// Rows and `search`.
    Search,
    /// Rows alone.
    Absent,
}

/// A limit of a weak host: answers with more rows fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeakHost {
    /// Maximum number of rows in an answer.
    pub rows: usize,
    /// True if only complete orders count.
    pub only_complete: bool,
    /// Status of a failure.
    pub status: u16,
}

/// A limit of the rows of a page, whatever a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageCap {
    /// Maximum number of rows of a page.
    pub rows: usize,
    /// True if a page begins where a page of the requested size would: the rows after the limit are on no page.
    pub counts_requested: bool,
    /// True if a request for all rows is limited as well.
    pub is_for_all: bool,
}

/// A hook that runs before each answer is computed, under the same lock.
pub type Live = Box<dyn FnMut(&mut Data, &RecordedRequest) + Send>;

/// A hook that decides if a request gets a fault.
pub type FaultHook = Box<dyn FnMut(&RecordedRequest) -> Option<Fault> + Send>;

/// All switches.
pub struct Options {
    /// CS-Cart or Multi-Vendor.
    pub edition: Edition,
    /// Version of the server.
    pub version: Version,
    /// Accounts.
    pub accounts: Vec<Account>,
    /// Folder of the store, such as `/shop`; empty for the root of the host.
    pub folder: String,
    /// False if the web server does not rewrite URLs: only `api.php?_d=` works.
    pub rewrite: bool,
    /// True if requests without TLS are refused, as `api_https_only` does.
    pub https_only: bool,
    /// Every request is answered with 301 and this `Location`, with the path and query after it.
    pub redirect_to: Option<String>,
    /// Objects of add-ons that are not installed.
    pub absent: BTreeSet<String>,
    /// Number of rows of a page if the request names none.
    pub default_page: usize,
    /// A limit of the rows of a page. The API has none.
    pub page_cap: Option<PageCap>,
    /// Types of columns.
    pub columns: Columns,
    /// True if `total_items` is a number.
    pub numeric_total: bool,
    /// Form of lists.
    pub envelope: Envelope,
    /// Objects whose lists are keyed by id or code.
    pub keyed: BTreeSet<String>,
    /// Objects that show the last page again past the end. Lists cut in PHP are never among them.
    pub repeats_last_page: BTreeSet<String>,
    /// True if rows with equal sort keys are shuffled in each answer where the order is not total.
    pub shuffle_ties: bool,
    /// `sort_by` of products without one.
    pub products_sort: &'static str,
    /// True if `updated_in_hours` ignores the fraction.
    pub whole_hours: bool,
    /// True if dates are read as `d/m/Y` and not `m/d/Y`.
    pub day_first: bool,
    /// Seconds by which the store's clock moves before each answer.
    pub seconds_per_request: i64,
    /// `Date` header.
    pub date: DateHeader,
    /// Changes the data before each answer.
    pub live: Option<Live>,
    /// Changes the data after the rows of a list of complete orders are chosen and before they are filled, one by one.
    /// Other lists are a single statement.
    pub between: Option<Live>,
    /// Chooses faults.
    pub fault: Option<FaultHook>,
    /// Text before each JSON body: PHP warnings.
    pub warning: Option<String>,
    /// A limit of a weak host.
    pub weak: Option<WeakHost>,
    /// Delay of every answer.
    pub latency: Duration,
    /// Additional delay for each row.
    pub latency_per_row: Duration,
    /// True if bodies are compressed for clients that accept it.
    pub gzip: bool,
    /// Maximum length of a request's target; longer ones are answered with 414.
    pub longest_target: usize,
    /// Address to listen on. Read once, at the start.
    pub address: Ipv4Addr,
}

/// Default length limit of common web servers, in bytes.
const LONGEST_TARGET: usize = 8190;

impl Default for Options {
    fn default() -> Options {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Options {
            edition: Edition::default(),
            version: Version::default(),
            accounts: vec![Account::root()],
            folder: String::new(),
            rewrite: true,
            https_only: false,
            redirect_to: None,
            absent: BTreeSet::new(),
            default_page: 50,
            page_cap: None,
            columns: Columns::Text,
            numeric_total: false,
            envelope: Envelope::Params,
            keyed: set(&["payments", "shippings", "languages", "usergroups"]),
            repeats_last_page: set(&[
                "users",
                "shipments",
                "categories",
                "vendors",
                "stores",
                "call_requests",
                "discussions",
                "product_reviews",
            ]),
            shuffle_ties: true,
            products_sort: "timestamp",
            whole_hours: false,
            day_first: false,
            seconds_per_request: 0,
            date: DateHeader::Store,
            live: None,
            between: None,
            fault: None,
            warning: None,
            weak: None,
            latency: Duration::ZERO,
            latency_per_row: Duration::ZERO,
            gzip: true,
            longest_target: LONGEST_TARGET,
            address: Ipv4Addr::LOCALHOST,
        }
    }
}
