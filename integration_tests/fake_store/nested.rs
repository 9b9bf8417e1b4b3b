//! Rows with their nested collections, and the paths below a single row.
//!
//! Subject: "Query syntax": `expand`, `/{id}`, `/{id}/filled`, `/{id}/{nested}`, `/select_many`, and
//! `includelookups=1` of subscriptions.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use super::answer::{Answer, Envelope as Out, error};
use super::data::{Data, Row};
use super::list::{array_key, expanded, kept};
use super::options::Options;
pub(super) use super::resources::Nested;
use super::resources::{Resource, resource};
use super::seen::RecordedRequest;
use super::zone::Clock;

/// The rows of one nested collection, by parent.
type Children<'a> = HashMap<i64, Vec<&'a Row>>;

/// Writes the rows of one response.
pub(super) struct Writer<'a> {
    data: &'a Data,
    of: &'static Resource,
    clock: &'a Clock,
    keep: Option<&'a [&'a str]>,
    nested: Vec<(&'a Nested, Option<(&'static Resource, Children<'a>)>)>,
    lookups: bool,
}

impl<'a> Writer<'a> {
    /// Looks up the children of all listed rows at once.
    pub(super) fn new(
        data: &'a Data,
        of: &'static Resource,
        clock: &'a Clock,
        keep: Option<&'a [&'a str]>,
        nested: Vec<&'a Nested>,
        lookups: bool,
        rows: &[&Row],
    ) -> Writer<'a> {
        let parents: HashSet<i64> =
            if nested.is_empty() { HashSet::new() } else { rows.iter().map(|r| r.id).collect() };
        let nested = nested.into_iter().map(|n| (n, children(data, n, &parents))).collect();
        Writer { data, of, clock, keep, nested, lookups }
    }

    /// Writes one row.
    pub(super) fn write(&self, row: &Row, out: &mut String) {
        let start = out.len();
        self.data.write_row(self.of, row, self.clock, self.keep, out);
        for (nested, children) in &self.nested {
            if out.len() > start + 1 {
                out.push(',');
            }
            let _ = write!(out, "\"{}\":", nested.name);
            match children {
                Some((child, by_parent)) => {
                    out.push('[');
                    for (at, row) in by_parent.get(&row.id).into_iter().flatten().enumerate() {
                        if at > 0 {
                            out.push(',');
                        }
                        self.data.write_row(child, row, self.clock, None, out);
                        out.push('}');
                    }
                    out.push(']');
                }
                None => made_up(nested.name, row.id, out),
            }
        }
        out.push('}');
        if self.lookups {
            self.fill_lookups(row, start, out);
        }
    }

    /// Replaces nulls of a subscription by objects.
    fn fill_lookups(&self, row: &Row, start: usize, out: &mut String) {
        for (name, path, key) in [
            ("cart_info", "carts", "saved_cart_id"),
            ("customer", "customers", "customer_id"),
            ("shipping_address", "order_addresses", "shipping_address_id"),
            ("customer_payment_method", "customer_payment_methods", "customer_payment_method_id"),
        ] {
            let Some((_, field)) = self.of.field(key) else {
                continue;
            };
            let id = self.data.raw(self.of, row, field).and_then(|raw| raw.parse::<i64>().ok());
            let object = id.and_then(|id| self.data.json(path, id, self.clock));
            let empty = format!("\"{name}\":null");
            if let (Some(object), Some(at)) = (object, out[start..].find(&empty)) {
                let at = start + at;
                out.replace_range(at..at + empty.len(), &format!("\"{name}\":{object}"));
            }
        }
    }
}

fn children<'a>(data: &'a Data, nested: &Nested, parents: &HashSet<i64>) -> Option<(&'static Resource, Children<'a>)> {
    let (path, key) = nested.child?;
    let child = resource(path)?;
    let (_, field) = child.field(key)?;
    let mut by_parent: Children<'a> = HashMap::new();
    for row in data.table(path).values() {
        let parent = data.raw(child, row, field).and_then(|raw| raw.parse::<i64>().ok());
        if let Some(parent) = parent.filter(|p| parents.contains(p)) {
            by_parent.entry(parent).or_default().push(row);
        }
    }
    Some((child, by_parent))
}

/// A nested collection that is not a resource of its own.
fn made_up(name: &str, parent: i64, out: &mut String) {
    let _ = match name {
        _ if parent % 3 == 0 => write!(out, "[]"),
        "additional_emails" => write!(
            out,
            "[{{\"customer_additional_email_id\":{parent},\"customer_id\":{parent},\"email\":\"more{parent}@example.com\"}}]"
        ),
        "customer_store_locations" => {
            write!(out, "[{{\"id\":{parent},\"store_location_id\":1,\"customer_id\":{parent}}}]")
        }
        "categories" => write!(out, "[{{\"id\":{},\"is_primary\":true,\"name\":\"Lamps\"}}]", 1 + parent % 10),
        "reward_points" => write!(
            out,
            "[{{\"id\":{parent},\"customer_id\":{parent},\"transaction_type\":\"Earned\",\"points_earned\":10,\
             \"points_remaining\":2.5000,\"note\":\"\",\"order_id\":null,\"status\":\"Active\",\"expires_at\":null}}]"
        ),
        "fields" => write!(
            out,
            "[{{\"id\":{parent},\"order_payment_id\":{parent},\"name\":\"PO\",\"type\":\"Text\",\"value\":\"4711\",\
             \"is_encrypted\":false,\"is_masked\":false}}]"
        ),
        _ => write!(out, "[{{\"name\":\"{name}\",\"value\":\"{parent}\"}}]"),
    };
}

/// Responds to the paths below `/{resource}/`.
pub(super) fn below(
    of: &'static Resource,
    rest: &[&str],
    seen: &RecordedRequest,
    options: &Options,
    data: &Data,
) -> Answer {
    let clock = options.clock(data.now_ms);
    let keep = kept(seen, options);
    if rest == ["select_many"] {
        let Some(ids) = seen.param("ids").filter(|ids| !ids.is_empty()) else {
            return error(400, "Bad Request", "This method requires one or more resource IDs to be specified");
        };
        let rows: Vec<&Row> = ids.split(',').filter_map(|id| data.row(of.path, of.parse_key(id.trim())?)).collect();
        let writer = Writer::new(data, of, &clock, keep.as_deref(), expanded(of, seen), false, &rows);
        let mut out = Out::new();
        if options.total_count {
            out.number("total_count", rows.len());
        }
        return out.array(array_key(of, options), &rows, |row, text| {
            writer.write(row, text);
        });
    }
    let Some(row) = of.parse_key(rest[0]).and_then(|id| data.row(of.path, id)) else {
        return error(404, "Not Found", "No resource found");
    };
    match rest {
        [_] => one(of, row, expanded(of, seen), keep.as_deref(), seen, data, &clock),
        [_, "filled"] => one(of, row, of.nested.iter().collect(), keep.as_deref(), seen, data, &clock),
        [_, name] => match of.nested.iter().find(|n| n.name == *name) {
            Some(nested) => nested_list(nested, row, options, data, &clock),
            None => error(404, "NotFound", "No resource matches the URL specified."),
        },
        _ => error(404, "NotFound", "No resource matches the URL specified."),
    }
}

fn one(
    of: &'static Resource,
    row: &Row,
    nested: Vec<&Nested>,
    keep: Option<&[&str]>,
    seen: &RecordedRequest,
    data: &Data,
    clock: &Clock,
) -> Answer {
    let lookups = of.path == "subscriptions" && seen.param("includelookups") == Some("1");
    let mut text = String::new();
    Writer::new(data, of, clock, keep, nested, lookups, &[row]).write(row, &mut text);
    Answer { rows: 1, ..Answer::json(200, text) }
}

fn nested_list(nested: &Nested, row: &Row, options: &Options, data: &Data, clock: &Clock) -> Answer {
    let mut out = Out::new();
    match children(data, nested, &HashSet::from([row.id])) {
        Some((child, mut by_parent)) => {
            let rows = by_parent.remove(&row.id).unwrap_or_default();
            if options.total_count {
                out.number("total_count", rows.len());
            }
            out.array(nested.name, &rows, |row, text| {
                data.write_row(child, row, clock, None, text);
                text.push('}');
            })
        }
        None => {
            let mut array = String::new();
            made_up(nested.name, row.id, &mut array);
            Answer::json(200, format!("{{\"{}\":{array}}}", nested.name))
        }
    }
}
