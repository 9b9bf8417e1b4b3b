//! Every version of every row, as the API would have shown it.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::context::Context;
use super::data::{CartKey, Data};
use super::objects::{self, small};
use super::options::{Account, Edition, Options, Version};
use super::query::Query;
use super::rows::Cart;
use super::table::{Moment, Note, Table, Version as RowVersion};

/// Key of a row of a stream: its numbers, in the order of the stream's key.
pub type Key = Vec<i64>;

/// A version of a row of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    /// Moment of the change.
    pub moment: Moment,
    /// Kind of the change.
    pub note: Note,
    /// Row as the API shows it, or `None` if it is deleted or cannot be listed.
    pub row: Option<Value>,
    /// Time and storefront of each line of a cart; empty in other rows.
    pub lines: Vec<(i64, i64)>,
}

/// Data of a store with everything that it was before.
#[derive(Clone, Debug)]
pub struct History {
    data: Data,
    edition: Edition,
    version: Version,
}

impl Truth {
    /// Returns the time of the newest line of a cart; 0 in other rows.
    pub(crate) fn newest(&self) -> i64 {
        self.lines.iter().map(|(time, _)| *time).max().unwrap_or(0)
    }
}

impl History {
    /// Copies the data of a store.
    pub(crate) fn new(data: &Data, options: &Options) -> History {
        History { data: data.clone(), edition: options.edition, version: options.version }
    }

    /// Returns the last moment.
    pub fn moment(&self) -> Moment {
        self.data.moment()
    }

    /// Describes the versions of a row, for the message of a test: one line each, with the values of some fields.
    pub fn story(&self, stream: &str, key: &[i64], fields: &[&str]) -> String {
        let versions = self.versions(stream).remove(key).unwrap_or_default();
        let line = |truth: &Truth| {
            let value = |name: &&str| truth.row.as_ref().map(|row| format!(" {name}={}", row[*name]));
            let values: String = fields.iter().filter_map(value).collect();
            let gone = if truth.row.is_none() { " gone" } else { "" };
            format!("step {} at {} ({:?}):{gone}{values}", truth.moment.step, truth.moment.at, truth.note)
        };
        versions.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Returns true for CS-Cart, false for Multi-Vendor.
    pub fn is_ultimate(&self) -> bool {
        self.edition == Edition::Ultimate
    }

    /// Returns the versions of all rows of a stream, oldest first.
    ///
    /// # Panics
    ///
    /// If there is no stream of this name.
    pub fn versions(&self, stream: &str) -> BTreeMap<Key, Vec<Truth>> {
        let writer = Writer::new(self);
        match stream {
            "orders" => writer.orders(),
            "order_items" => items(&writer.orders(), "products"),
            "products" => writer.all("products", &self.data.products, |data, id, row| data.products.seed(id, row)),
            "users" => writer.all("users", &self.data.users, |data, id, row| data.users.seed(id, row)),
            "shipments" => writer.all("shipments", &self.data.shipments, |data, id, row| data.shipments.seed(id, row)),
            "carts" => writer.carts(),
            "cart_items" => items(&writer.carts(), "products"),
            other => {
                let object = objects::object(other).unwrap_or_else(|| panic!("no stream {other}")).name;
                let table = small::table(object);
                let empty = Table::default();
                let rows = self.data.small.get(table).unwrap_or(&empty);
                writer.all(object, rows, |data, id, row| data.small(table).seed(id, row))
            }
        }
    }
}

/// Writes earlier versions of rows.
struct Writer<'h> {
    history: &'h History,
    options: Options,
    /// Data in which the versions are put one after the other.
    scratch: RefCell<Data>,
}

impl Writer<'_> {
    fn new(history: &History) -> Writer<'_> {
        let options = Options { edition: history.edition, version: history.version, ..Options::default() };
        Writer { history, options, scratch: RefCell::new(history.data.clone()) }
    }

    fn write(&self, object: &'static str, id: (i64, i64), query: &[(&str, &str)], one: bool) -> Option<Value> {
        let query: Vec<(String, String)> =
            query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (query, account, cache) = (Query::new(&query), Account::root(), RefCell::new(HashMap::new()));
        let scratch = self.scratch.borrow();
        let context = Context {
            options: &self.options,
            data: &scratch,
            object,
            query: &query,
            n: 0,
            company: Some(id.1).filter(|company| *company > 0),
            api: "2.0",
            account: &account,
            cache: &cache,
        };
        let of = objects::object(object)?;
        let mut out = context.writer();
        let is_there = if one { (of.write_one)(&context, id.0, &mut out) } else { (of.write)(&context, id, &mut out) };
        is_there.then(|| serde_json::from_str(&out.text).expect("JSON"))
    }

    fn all<R: Clone>(
        &self,
        object: &'static str,
        table: &Table<i64, R>,
        seed: impl Fn(&mut Data, i64, R),
    ) -> BTreeMap<Key, Vec<Truth>> {
        let row = |id: i64, version: RowVersion<R>| {
            let shown = version.row.and_then(|row| {
                seed(&mut self.scratch.borrow_mut(), id, row);
                self.write(object, (id, 0), &[], false)
            });
            Truth { moment: version.moment, note: version.note, row: shown, lines: Vec::new() }
        };
        let versions = |id: i64| table.versions(id).into_iter().map(|version| row(id, version)).collect();
        table.all_keys().into_iter().map(|id| (vec![id], versions(id))).collect()
    }

    fn orders(&self) -> BTreeMap<Key, Vec<Truth>> {
        let table = &self.history.data.orders;
        let row = |id: i64, version: RowVersion<super::rows::Order>| {
            let shown = version.row.filter(|order| !order.is_parent).and_then(|order| {
                self.scratch.borrow_mut().orders.seed(id, order);
                self.write("orders", (id, 0), &[], true)
            });
            Truth { moment: version.moment, note: version.note, row: shown, lines: Vec::new() }
        };
        let versions = |id: i64| table.versions(id).into_iter().map(|version| row(id, version)).collect();
        table.all_keys().into_iter().map(|id| (vec![id], versions(id))).collect()
    }

    fn carts(&self) -> BTreeMap<Key, Vec<Truth>> {
        let table = &self.history.data.carts;
        let row = |key: CartKey, version: RowVersion<Cart>| {
            let of = |cart: &Cart| cart.lines.iter().map(|line| (line.timestamp, line.storefront_id)).collect();
            let lines = version.row.as_ref().map_or_else(Vec::new, of);
            let shown = version.row.and_then(|cart| {
                self.scratch.borrow_mut().carts.seed(key, cart);
                self.write("carts", key, &[], true)
            });
            Truth { moment: version.moment, note: version.note, row: shown, lines }
        };
        let versions = |key: CartKey| table.versions(key).into_iter().map(|version| row(key, version)).collect();
        table.all_keys().into_iter().map(|key| (vec![key.0, key.1], versions(key))).collect()
    }
}

/// Returns the versions of the lines inside rows, whose key is the one of the row and `item_id`.
fn items(rows: &BTreeMap<Key, Vec<Truth>>, list: &str) -> BTreeMap<Key, Vec<Truth>> {
    let mut all: BTreeMap<Key, Vec<Truth>> = BTreeMap::new();
    for (key, versions) in rows {
        let mut ids: Vec<i64> = versions.iter().flat_map(|truth| lines(truth, list)).map(|(id, _)| id).collect();
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            let line = |truth: &Truth| Truth {
                row: lines(truth, list).into_iter().find(|(known, _)| *known == id).map(|(_, line)| line),
                ..truth.clone()
            };
            let mut item = key.clone();
            item.push(id);
            all.insert(item, versions.iter().map(line).collect());
        }
    }
    all
}

fn lines(truth: &Truth, list: &str) -> Vec<(i64, Value)> {
    let lines: Vec<Value> = match truth.row.as_ref().and_then(|row| row.get(list)) {
        Some(Value::Object(lines)) => lines.values().cloned().collect(),
        Some(Value::Array(lines)) => lines.clone(),
        _ => Vec::new(),
    };
    let id = |line: &Value| line.get("item_id").and_then(Value::as_str).and_then(|id| id.parse().ok());
    // The columns that decide if an order is read.
    let deciding = ["status", "timestamp", "updated_at", "storefront_id"];
    let column = |name: &&str| Some(((*name).to_owned(), truth.row.as_ref()?.get(*name)?.clone()));
    let parent = Value::Object(deciding.iter().filter_map(column).collect());
    let with_parent = |mut line: Value| {
        if let Value::Object(fields) = &mut line {
            fields.insert(PARENT.to_owned(), parent.clone());
        }
        line
    };
    lines.into_iter().filter_map(|line| Some((id(&line)?, with_parent(line)))).collect()
}

/// Name under which a line has the deciding columns of its row. No record has it.
pub(crate) const PARENT: &str = "(parent)";
