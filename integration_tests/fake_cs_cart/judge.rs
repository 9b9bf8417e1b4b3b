//! Compares the records of syncs with every version that the rows had meanwhile.
//!
//! A sync is right if it misses no row that was there from its start to its end, if each record is a version that
//! existed in that time, and if no row comes twice. An incremental sync has to emit the changes that a change date
//! shows; the others may come or not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::history::{History, Key, PARENT, Truth};
use super::table::{Moment, Note};

mod compare;

use compare::{integer, is_same};

/// Reasons for which a row may be missing, stale or doubled: no reader of the API can promise it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Excuse {
    /// A user whose type changed between the reads of two types.
    TypeChanged,
    /// A cart took over older lines at sign-in and lost its newer ones.
    Merged,
    /// Carts of one user in two stores that share a second, where the sign-in may not list the stores.
    HiddenByStore,
    /// A row that the server cannot encode, and that the sync reports.
    Unreadable,
}

/// Findings of one sync.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Number of records.
    pub records: usize,
    /// Number of rows that had to come, or to be there from earlier syncs.
    pub required: usize,
    /// Rows that are missing.
    pub missing: Vec<Key>,
    /// Rows whose last record is older than a change that the sync had to see, or equals no version.
    pub stale: Vec<Key>,
    /// Rows that came twice.
    pub doubled: Vec<Key>,
    /// Rows that came although the stream does not include them.
    pub unexpected: Vec<Key>,
    /// Rows that came as an earlier sync had emitted them. Allowed, but not on an unchanged store.
    pub repeated: Vec<Key>,
    /// Rows that are missing, stale or doubled for a known reason.
    pub excused: Vec<(Key, Excuse)>,
}

impl Verdict {
    /// Returns true if nothing is missing, stale, doubled or unexpected.
    pub fn is_right(&self) -> bool {
        [&self.missing, &self.stale, &self.doubled, &self.unexpected].iter().all(|keys| keys.is_empty())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} records for {} rows; missing {:?}; stale {:?}; doubled {:?}; unexpected {:?}; excused {:?}",
            self.records, self.required, self.missing, self.stale, self.doubled, self.unexpected, self.excused
        )
    }
}

/// Compares the syncs of one stream with the store.
///
/// Its settings are those of the sync. The records of an attempt that was killed count up to its last state.
#[derive(Clone, Debug)]
pub struct Judge {
    stream: String,
    is_incremental: bool,
    incomplete: bool,
    user_types: String,
    start_date: Option<i64>,
    storefronts: Option<BTreeSet<i64>>,
    sees_stores: bool,
    unreadable: BTreeSet<Key>,
    /// Last record of each row, and the number of its sync.
    destination: BTreeMap<Key, Value>,
}

impl Judge {
    /// Creates a comparison for full refreshes of a stream. Each sync is compared by itself.
    pub fn full(stream: &str) -> Judge {
        Judge {
            stream: stream.to_owned(),
            is_incremental: false,
            incomplete: false,
            user_types: "C".to_owned(),
            start_date: None,
            storefronts: None,
            sees_stores: true,
            unreadable: BTreeSet::new(),
            destination: BTreeMap::new(),
        }
    }

    /// Creates a comparison for a sequence of incremental syncs of a stream into one destination.
    pub fn incremental(stream: &str) -> Judge {
        Judge { is_incremental: true, ..Judge::full(stream) }
    }

    /// Expects incomplete orders.
    #[must_use]
    pub fn with_incomplete(mut self) -> Judge {
        self.incomplete = true;
        self
    }

    /// Expects users of these types, such as `CV`; without it, `C`.
    #[must_use]
    pub fn user_types(mut self, types: &str) -> Judge {
        types.clone_into(&mut self.user_types);
        self
    }

    /// Expects orders and products changed at or after this time.
    #[must_use]
    pub fn start_date(mut self, seconds: i64) -> Judge {
        self.start_date = Some(seconds);
        self
    }

    /// Expects orders and carts of these storefronts.
    #[must_use]
    pub fn storefronts(mut self, ids: &[i64]) -> Judge {
        self.storefronts = Some(ids.iter().copied().collect());
        self
    }

    /// Excuses carts that only a list for each store shows.
    #[must_use]
    pub fn without_view_stores(mut self) -> Judge {
        self.sees_stores = false;
        self
    }

    /// Excuses rows that the server cannot encode.
    #[must_use]
    pub fn unreadable(mut self, keys: &[&[i64]]) -> Judge {
        self.unreadable = keys.iter().map(|key| key.to_vec()).collect();
        self
    }

    /// Compares the records of a sync, in order, with the store. `start` is the moment before the sync; its end is the
    /// moment of `history`.
    ///
    /// # Panics
    ///
    /// If a record has no key.
    pub fn sync(&mut self, history: &History, start: Moment, records: &[Value]) -> Verdict {
        if !self.is_incremental {
            self.destination.clear();
        }
        let mut came: BTreeMap<Key, Vec<&Value>> = BTreeMap::new();
        for record in records {
            came.entry(self.key(record)).or_default().push(record);
        }
        let is_again = |key: &Key, all: &Vec<&Value>| self.destination.get(key).is_some_and(|had| all.contains(&had));
        let repeated = came.iter().filter(|(key, all)| is_again(key, all)).map(|(key, _)| key.clone()).collect();
        for (key, records) in &came {
            if let Some(last) = records.last() {
                self.destination.insert(key.clone(), (*last).clone());
            }
        }
        let rows = history.versions(&self.stream);
        let hidden = if self.sees_stores { BTreeSet::new() } else { hidden_carts(history) };
        let mut comparison = Comparison {
            judge: self,
            start,
            is_split: self.storefronts.is_some() && !history.is_ultimate(),
            hidden,
            verdict: Verdict { records: records.len(), repeated, ..Verdict::default() },
        };
        for (key, versions) in &rows {
            comparison.row(key, versions, came.get(key).map_or(&[], Vec::as_slice));
        }
        for key in came.keys().filter(|key| !rows.contains_key(*key)) {
            comparison.verdict.unexpected.push(key.clone());
        }
        comparison.verdict
    }

    fn key(&self, record: &Value) -> Key {
        let number = |name: &str| integer(record.get(name)).unwrap_or_else(|| panic!("no {name} in {record}"));
        let optional = |name: &str| integer(record.get(name)).unwrap_or(0);
        match self.stream.as_str() {
            "orders" => vec![number("order_id")],
            "order_items" => vec![number("order_id"), number("item_id")],
            "products" => vec![number("product_id")],
            "users" => vec![number("user_id")],
            "shipments" => vec![number("shipment_id")],
            "carts" => vec![number("user_id"), optional("company_id")],
            "cart_items" => vec![number("user_id"), optional("company_id"), number("item_id")],
            other => vec![number(super::objects::small::key_of(other))],
        }
    }

    /// Returns true if the stream includes a version of a row.
    fn includes(&self, truth: &Truth) -> bool {
        let Some(row) = &truth.row else {
            return false;
        };
        let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
        match self.stream.as_str() {
            "orders" => self.includes_order(row),
            "order_items" => row.get(PARENT).is_some_and(|order| self.includes_order(order)),
            "products" => {
                let updated = integer(row.get("updated_timestamp")).unwrap_or(0);
                row.get("category_ids").and_then(Value::as_array).is_some_and(|ids| !ids.is_empty())
                    && self.start_date.is_none_or(|start| updated >= start)
            }
            "users" => self.user_types.contains(text("user_type")),
            "carts" | "cart_items" => {
                self.storefronts.as_ref().is_none_or(|all| truth.lines.iter().any(|(_, of)| all.contains(of)))
            }
            "statuses" => text("type") == "O",
            "options" => integer(row.get("product_id")) == Some(0),
            _ => true,
        }
    }

    fn includes_order(&self, order: &Value) -> bool {
        let number = |name: &str| integer(order.get(name)).unwrap_or(0);
        let changed = Some(number("updated_at")).filter(|time| *time > 0).unwrap_or_else(|| number("timestamp"));
        (self.incomplete || order["status"] != "N")
            && self.start_date.is_none_or(|start| changed >= start)
            && self.storefronts.as_ref().is_none_or(|all| all.contains(&number("storefront_id")))
    }

    /// Returns true if a record may come for a version of a row.
    fn tolerates(&self, truth: &Truth) -> bool {
        let is_bounded_or_typed = ["products", "statuses"].contains(&self.stream.as_str());
        self.includes(truth) || (is_bounded_or_typed && truth.row.is_some())
    }
}

/// Comparison of one sync.
struct Comparison<'j> {
    judge: &'j Judge,
    start: Moment,
    /// True if the rows of a stream are read once for each storefront.
    is_split: bool,
    hidden: BTreeSet<Key>,
    verdict: Verdict,
}

impl Comparison<'_> {
    /// Compares the records of one row with its versions.
    fn row(&mut self, key: &Key, versions: &[Truth], came: &[&Value]) {
        let alive = self.alive(versions);
        let judge = self.judge;
        let was_there = versions.first().is_some_and(|first| first.moment.step <= self.start.step);
        let is_required = was_there && alive.iter().all(|truth| judge.includes(truth));
        self.verdict.required += usize::from(is_required);
        let mut faults: Vec<fn(&mut Verdict) -> &mut Vec<Key>> = Vec::new();
        if (1..came.len()).any(|at| came[..at].iter().any(|earlier| self.is_doubled(came[at], earlier))) {
            faults.push(|verdict| &mut verdict.doubled);
        }
        if !came.is_empty() && !alive.iter().any(|truth| judge.tolerates(truth)) {
            faults.push(|verdict| &mut verdict.unexpected);
        }
        match judge.destination.get(key) {
            None if is_required => faults.push(|verdict| &mut verdict.missing),
            Some(record) if (is_required || !came.is_empty()) && !self.is_current(versions, record) => {
                faults.push(|verdict| &mut verdict.stale);
            }
            _ => {}
        }
        if faults.is_empty() {
            return;
        }
        match self.excuse(key, alive) {
            Some(excuse) => self.verdict.excused.push((key.clone(), excuse)),
            None => faults.into_iter().for_each(|list| list(&mut self.verdict).push(key.clone())),
        }
    }

    /// Returns the versions from the one at the start to the last.
    fn alive<'v>(&self, versions: &'v [Truth]) -> &'v [Truth] {
        let before = versions.partition_point(|truth| truth.moment.step <= self.start.step);
        &versions[before.saturating_sub(1)..]
    }

    fn is_doubled(&self, record: &Value, earlier: &Value) -> bool {
        let is_other = self.is_split && record.get("storefront_id") != earlier.get("storefront_id");
        !is_other && (!self.judge.is_incremental || record == earlier)
    }

    /// Returns true if a record equals a version that the sync could still emit at its start, or a later one.
    fn is_current(&self, versions: &[Truth], record: &Value) -> bool {
        let before = versions.partition_point(|truth| truth.moment.step <= self.start.step).saturating_sub(1);
        let is_shown = |at: &usize| *at == 0 || versions[*at].note == Note::Stamped;
        let oldest = match self.judge.is_incremental {
            true => (0..=before).rev().find(is_shown).unwrap_or(0),
            false => before,
        };
        let (ignored, needed) = fields(&self.judge.stream);
        let has_needed = |row: &Value| needed.iter().all(|name| row.get(name).is_none() || record.get(name).is_some());
        let rows = versions[oldest..].iter().filter_map(|truth| truth.row.as_ref());
        rows.clone().any(|row| has_needed(row) && is_same(row, record, ignored))
    }

    fn excuse(&self, key: &Key, alive: &[Truth]) -> Option<Excuse> {
        let stream = self.judge.stream.as_str();
        let is_cart = stream == "carts" || stream == "cart_items";
        let cart: Key = key.iter().take(2).copied().collect();
        if self.judge.unreadable.contains(key) {
            return Some(Excuse::Unreadable);
        }
        if stream == "users" {
            let mut types = alive.iter().filter_map(|truth| truth.row.as_ref()?.get("user_type"));
            let first = types.next();
            return types.any(|other| Some(other) != first).then_some(Excuse::TypeChanged);
        }
        let merged = alive.iter().position(|truth| truth.note == Note::Merged && truth.moment.step > self.start.step);
        let loses = |from: usize| alive[from..].windows(2).any(|pair| pair[1].newest() < pair[0].newest());
        if is_cart && merged.is_some_and(loses) {
            return Some(Excuse::Merged);
        }
        (is_cart && self.hidden.contains(&cart)).then_some(Excuse::HiddenByStore)
    }
}

/// Returns the fields of a stream that differ from answer to answer, and those that every record must have.
fn fields(stream: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match stream {
        "orders" => (&[], &["order_id", "timestamp", "status", "total", "updated_at", "notes"]),
        "order_items" => (&[], &["order_id", "item_id", "product_id", "amount", "price"]),
        "products" => (&[], &["product_id", "timestamp", "updated_timestamp", "price", "amount"]),
        "users" => (&[], &["user_id", "user_type", "status"]),
        // Columns of an arbitrary line, and of the account, which has a history of its own.
        "carts" => (
            &["date", "storefront_id", "firstname", "lastname", "email", "phone", "user_data", "products"],
            &["user_id", "cart_products", "total"],
        ),
        "cart_items" => (&["extra", "product"], &["item_id", "product_id", "amount", "price"]),
        "shipments" => (&["group_key", "one_full"], &["shipment_id", "order_id", "tracking_number"]),
        _ => (&[], &[]),
    }
}

/// Returns the carts of users who have carts in two stores with lines of the same second.
fn hidden_carts(history: &History) -> BTreeSet<Key> {
    let mut seconds: BTreeMap<(i64, i64), BTreeSet<Key>> = BTreeMap::new();
    for (key, versions) in history.versions("carts") {
        for (time, _) in versions.iter().flat_map(|truth| &truth.lines) {
            seconds.entry((key[0], *time)).or_default().insert(key.clone());
        }
    }
    seconds.into_values().filter(|keys| keys.len() > 1).flatten().collect()
}
