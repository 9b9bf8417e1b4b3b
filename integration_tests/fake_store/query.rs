//! Conditions and sort orders.
//!
//! Subject: "Query syntax". `field=op:value`, the words AND and OR between two conditions on one field, `OR ` before
//! the value to join that field's first condition with OR, AND binding tighter than OR, no parentheses. Parameters
//! that are not a field are ignored. Null matches nothing.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::data::{Data, Row, Stamp};
use super::options::Options;
use super::resources::{Field, Resource, Role, Type};
use super::value::{Value, plain};
use super::zone::Clock;

/// A condition's operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Eq,
    Not,
    Like,
    StartWith,
    Gt,
    Gte,
    Lt,
    Lte,
}

const OPS: &[(&str, Op)] = &[
    ("eq", Op::Eq),
    ("not", Op::Not),
    ("like", Op::Like),
    ("startwith", Op::StartWith),
    ("gt", Op::Gt),
    ("gte", Op::Gte),
    ("lt", Op::Lt),
    ("lte", Op::Lte),
];

/// One condition.
struct Term {
    /// True if it starts a new alternative.
    or: bool,
    field: &'static Field,
    op: Op,
    value: Value,
    /// The value as a plain number, for keys and stamps.
    plain: Option<i64>,
    text: String,
}

/// All conditions of a request.
pub(super) struct Filter {
    terms: Vec<Term>,
    /// Rows without a key.
    keyless: BTreeSet<i64>,
    /// Rows that no condition on a date lists.
    not_in_dates: BTreeSet<i64>,
}

/// The reason why a condition cannot be parsed.
pub(super) struct Unreadable(pub(super) String);

impl Filter {
    /// Parses the conditions of a query.
    pub(super) fn parse(
        of: &'static Resource,
        query: &[(String, String)],
        options: &Options,
        clock: &Clock,
    ) -> Result<Filter, Unreadable> {
        let (mut terms, mut alternatives) = (Vec::new(), Vec::new());
        let mut done: Vec<&str> = Vec::new();
        let by_day = options.quirks.lte_cuts_to_day;
        for (name, _) in query {
            let Some((_, field)) = of.field(name) else {
                continue;
            };
            if field.ty == Type::Nested || done.contains(&name.as_str()) {
                continue;
            }
            if (options.ignore_id_filter && field.role == Role::Key)
                || (options.ignore_date_filter && field.ty == Type::Date)
            {
                continue;
            }
            done.push(name);
            // A parameter given twice is one value with a comma, as such web servers parse it.
            let values: Vec<&str> = query.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect();
            let value = values.join(",");
            match value.strip_prefix("OR ") {
                Some(value) => parse_terms(of, field, value, (true, by_day), clock, &mut alternatives)?,
                None => parse_terms(of, field, &value, (false, by_day), clock, &mut terms)?,
            }
        }
        terms.append(&mut alternatives);
        Ok(Filter { terms, keyless: options.quirks.keyless_of(of), not_in_dates: options.quirks.not_in_dates_of(of) })
    }

    /// Returns true if there is a condition.
    pub(super) fn is_given(&self) -> bool {
        !self.terms.is_empty()
    }

    /// Returns true if a row is listed.
    pub(super) fn matches(&self, data: &Data, of: &Resource, row: &Row, clock: &Clock) -> bool {
        let (mut any, mut all) = (false, true);
        for (at, term) in self.terms.iter().enumerate() {
            if term.or && at > 0 {
                any |= all;
                all = true;
            }
            let has_value = match term.field.role {
                Role::Key => !self.keyless.contains(&row.id),
                _ => term.field.ty != Type::Date || !self.not_in_dates.contains(&row.id),
            };
            all = all && has_value && term.test(data, of, row, clock);
        }
        any || all
    }
}

fn parse_terms(
    of: &Resource,
    field: &'static Field,
    value: &str,
    (mut or, by_day): (bool, bool),
    clock: &Clock,
    terms: &mut Vec<Term>,
) -> Result<(), Unreadable> {
    let mut rest = value;
    loop {
        let and_at = rest.find(" AND ").map(|at| (at, 5, false));
        let or_at = rest.find(" OR ").map(|at| (at, 4, true));
        let next = [and_at, or_at].into_iter().flatten().min();
        let (one, after) = match next {
            Some((at, len, next_or)) => (&rest[..at], Some((&rest[at + len..], next_or))),
            None => (rest, None),
        };
        let mut term = parse_term(of, field, one, or, clock)?;
        if by_day && term.op == Op::Lte {
            term.cut_to_day(clock);
        }
        terms.push(term);
        match after {
            Some((following, next_or)) => (rest, or) = (following, next_or),
            None => return Ok(()),
        }
    }
}

fn parse_term(of: &Resource, field: &'static Field, text: &str, or: bool, clock: &Clock) -> Result<Term, Unreadable> {
    let named =
        text.split_once(':').and_then(|(op, rest)| OPS.iter().find(|(name, _)| *name == op).map(|(_, op)| (*op, rest)));
    let (op, text) = named.unwrap_or((Op::Eq, text));
    let textual = matches!(op, Op::Like | Op::StartWith) || (field.role == Role::Key && of.text_key);
    let value = if textual {
        Value::Text(text.to_lowercase())
    } else {
        Value::parse(field.ty, text, clock)
            .ok_or_else(|| Unreadable(format!("The value '{text}' is not valid for {}.", field.name)))?
    };
    let plain = if field.role == Role::Plain { None } else { value.whole() };
    Ok(Term { or, field, op, value, plain, text: text.to_lowercase() })
}

impl Term {
    /// Compares with the start of the day instead of the time.
    fn cut_to_day(&mut self, clock: &Clock) {
        if let Value::Date(ticks) = self.value {
            let day = clock.day_start(ticks);
            self.value = Value::Date(day);
            self.plain = self.plain.map(|_| day);
        }
    }

    fn test(&self, data: &Data, of: &Resource, row: &Row, clock: &Clock) -> bool {
        if matches!(self.op, Op::Like | Op::StartWith) {
            let Some(text) = text_of(data, of, row, self.field, clock) else {
                return false;
            };
            return if self.op == Op::Like { text.contains(&self.text) } else { text.starts_with(&self.text) };
        }
        let order = match self.plain {
            Some(operand) => plain_of(row, self.field, clock).map(|value| value.cmp(&operand)),
            None => value_of(data, of, row, self.field, clock).compare(&self.value),
        };
        let Some(order) = order else { return false };
        match self.op {
            Op::Eq => order == Ordering::Equal,
            Op::Not => order != Ordering::Equal,
            Op::Gt => order == Ordering::Greater,
            Op::Gte => order != Ordering::Less,
            Op::Lt => order == Ordering::Less,
            Op::Lte => order != Ordering::Greater,
            Op::Like | Op::StartWith => false,
        }
    }
}

fn stamp_value(at: Stamp, clock: &Clock) -> Value {
    at.ticks(clock).map_or(Value::Null, Value::Date)
}

/// Returns a key or time stamp as a plain number.
fn plain_of(row: &Row, field: &Field, clock: &Clock) -> Option<i64> {
    match field.role {
        Role::Updated => row.updated_at.ticks(clock),
        Role::Created => row.created_at.ticks(clock),
        _ => Some(row.id),
    }
}

fn value_of(data: &Data, of: &Resource, row: &Row, field: &Field, clock: &Clock) -> Value {
    match field.role {
        Role::Key if of.text_key => Value::Text(plain(&of.key_json(row.id)).to_lowercase()),
        Role::Key => Value::integer(row.id),
        Role::Updated => stamp_value(row.updated_at, clock),
        Role::Created => stamp_value(row.created_at, clock),
        Role::Plain => data.raw(of, row, field).map_or(Value::Null, |raw| Value::of_json(field.ty, &raw, clock)),
    }
}

fn text_of(data: &Data, of: &Resource, row: &Row, field: &Field, clock: &Clock) -> Option<String> {
    match field.role {
        Role::Key => Some(plain(&of.key_json(row.id)).to_lowercase()),
        Role::Updated => row.updated_at.ms().map(|ms| clock.text(ms).to_lowercase()),
        Role::Created => row.created_at.ms().map(|ms| clock.text(ms).to_lowercase()),
        Role::Plain => {
            let raw = data.raw(of, row, field)?;
            (raw != "null").then(|| plain(&raw).to_lowercase())
        }
    }
}

/// The sort order of a list.
pub(super) struct Sort {
    keys: Vec<(&'static Field, bool)>,
    /// Seed for the order of equal rows; `None` leaves them in key order.
    ties: Option<u64>,
    nulls_last: bool,
    /// Rows without a key.
    keyless: BTreeSet<i64>,
}

/// The value that a row is sorted by.
pub(super) type SortKey = (Vec<Directed>, u64);

/// A value, true if its order is reversed, and true if null sorts after all values.
#[derive(PartialEq, Eq)]
pub(super) struct Directed(Value, bool, bool);

impl PartialOrd for Directed {
    fn partial_cmp(&self, other: &Directed) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Directed {
    fn cmp(&self, other: &Directed) -> Ordering {
        let is_null = |value: &Value| matches!(value, Value::Null);
        let order = match (is_null(&self.0), is_null(&other.0)) {
            (true, false) | (false, true) if self.2 => other.0.cmp(&self.0),
            _ => self.0.cmp(&other.0),
        };
        if self.1 { order.reverse() } else { order }
    }
}

impl Sort {
    /// Parses `sort=a,-b`. Names that are not a field are ignored. Without `sort`, the order is that of the keys.
    pub(super) fn parse(of: &'static Resource, text: Option<&str>, ties: Option<u64>, options: &Options) -> Sort {
        let mut keys: Vec<(&'static Field, bool)> = Vec::new();
        for part in text.unwrap_or("").split(',') {
            let part = part.trim();
            let (name, descending) = part.strip_prefix('-').map_or((part, false), |name| (name, true));
            if let Some((_, field)) = of.field(name)
                && field.ty != Type::Nested
            {
                keys.push((field, descending));
            }
        }
        // After the key, no rows are equal.
        if let Some(at) = keys.iter().position(|(f, _)| f.role == Role::Key) {
            keys.truncate(at + 1);
        }
        let ties = if keys.is_empty() { None } else { ties };
        Sort { keys, ties, nulls_last: options.nulls_last, keyless: options.quirks.keyless_of(of) }
    }

    /// Returns null for the key of a row that has none, otherwise the value.
    fn of_key<T>(&self, row: &Row, field: &Field, value: Option<T>) -> Option<T> {
        value.filter(|_| field.role != Role::Key || !self.keyless.contains(&row.id))
    }

    fn tie(&self, row: &Row) -> u64 {
        self.ties.map_or(0, |seed| super::rows::mix(seed ^ super::rows::mix(row.id as u64)))
    }

    /// Returns true if `plain_key` is the complete sort key: no sort, a key or time stamp, or one of them and then the
    /// key.
    pub(super) fn is_plain(&self, of: &Resource) -> bool {
        let plain = |f: &Field| f.role != Role::Plain && !(f.role == Role::Key && of.text_key);
        match self.keys.as_slice() {
            [] => true,
            [(one, _)] => plain(one),
            [(one, _), (two, _)] => plain(one) && two.role == Role::Key && plain(two),
            _ => false,
        }
    }

    /// Returns the sort key of a row if `is_plain`, without an allocation.
    pub(super) fn plain_key(&self, row: &Row, clock: &Clock) -> [i64; 2] {
        let directed = |(field, descending): &(&Field, bool)| {
            let value = self.of_key(row, field, plain_of(row, field, clock)).unwrap_or(if self.nulls_last {
                i64::MAX
            } else {
                i64::MIN
            });
            if *descending { !value } else { value }
        };
        match self.keys.as_slice() {
            [] => [row.id, 0],
            [one] => [directed(one), (self.tie(row) >> 1) as i64],
            [one, two, ..] => [directed(one), directed(two)],
        }
    }

    /// Returns the sort key of a row.
    pub(super) fn key(&self, data: &Data, of: &Resource, row: &Row, clock: &Clock) -> SortKey {
        let values = self.keys.iter().map(|(f, down)| {
            let value = self.of_key(row, f, Some(value_of(data, of, row, f, clock)));
            Directed(value.unwrap_or(Value::Null), *down, self.nulls_last)
        });
        (values.collect(), self.tie(row))
    }
}
