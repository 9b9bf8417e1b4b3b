//! The data of the store: its rows and its clock.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::resources::{Field, Resource, Role, resource, resources};
use super::rows::{Gen, Spot, hash_text, mix, quote};
use super::zone::{Clock, Fraction, next_tick, sql_round, utc_ms};

/// A stored `updated_at` or `created_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// Epoch milliseconds.
    At(i64),
    /// `null`.
    Null,
    /// `""`.
    Empty,
    /// The field is left out.
    Absent,
    /// This string. It is compared as a date if it is one, and as null otherwise.
    Odd(&'static str),
}

impl Stamp {
    /// Returns the milliseconds, if it is a time.
    pub fn ms(self) -> Option<i64> {
        if let Stamp::At(ms) = self { Some(ms) } else { None }
    }

    /// Returns the time in ticks as a filter sees it, if it is one.
    pub(super) fn ticks(self, clock: &Clock) -> Option<i64> {
        match self {
            Stamp::At(ms) => Some(clock.ticks(ms)),
            Stamp::Odd(text) => clock.parse(text),
            _ => None,
        }
    }

    fn rounded(self) -> Stamp {
        if let Stamp::At(ms) = self { Stamp::At(sql_round(ms)) } else { self }
    }
}

/// One row.
///
/// A row without `fields` has the values that `Data::make` gives it, computed when it is listed. Large tables consist
/// of such rows.
#[derive(Clone, Debug)]
pub struct Row {
    /// Key.
    pub id: i64,
    /// Time of the last change.
    pub updated_at: Stamp,
    /// Time of creation.
    pub created_at: Stamp,
    /// Name and raw JSON of every other field.
    pub fields: Vec<(String, String)>,
}

/// The data of one store.
pub struct Data {
    /// The store's clock in epoch milliseconds. It moves only when a test moves it.
    pub now_ms: i64,
    /// The zone in which `make` prints dates other than the two time stamps.
    pub zone: chrono_tz::Tz,
    tables: BTreeMap<&'static str, BTreeMap<i64, Row>>,
    /// The largest key that each table ever had: a database never assigns a key twice.
    largest: BTreeMap<&'static str, i64>,
    touches: u64,
}

impl Data {
    /// Creates a store with all documented resources and no rows. Its clock is 2024-11-18 12:00 UTC.
    pub fn empty() -> Data {
        Data {
            now_ms: utc_ms("2024-11-18T12:00:00Z"),
            zone: chrono_tz::America::Chicago,
            tables: resources().iter().map(|r| (r.path, BTreeMap::new())).collect(),
            largest: BTreeMap::new(),
            touches: 0,
        }
    }

    /// Adds a row, or replaces the row with the same key. Time stamps are rounded as the database does.
    pub fn insert(&mut self, resource: &str, mut row: Row) {
        row.updated_at = row.updated_at.rounded();
        row.created_at = row.created_at.rounded();
        let largest = self.largest.entry(known(resource).path).or_insert(row.id);
        *largest = row.id.max(*largest);
        self.table_mut(resource).insert(row.id, row);
    }

    /// Returns a row.
    pub fn row(&self, resource: &str, id: i64) -> Option<&Row> {
        self.table(resource).get(&id)
    }

    /// Returns all rows in key order.
    pub fn rows(&self, resource: &str) -> Vec<&Row> {
        self.table(resource).values().collect()
    }

    /// Returns all keys in order.
    pub fn ids(&self, resource: &str) -> Vec<i64> {
        self.table(resource).keys().copied().collect()
    }

    /// Deletes a row without a trace. Returns false if there was none.
    pub fn delete(&mut self, resource: &str, id: i64) -> bool {
        self.table_mut(resource).remove(&id).is_some()
    }

    /// Returns a row with every documented field, made from the resource and id; both time stamps are now. It is not
    /// inserted.
    pub fn make(&mut self, resource: &str, id: i64) -> Row {
        let now = Stamp::At(sql_round(self.now_ms));
        Row { id, updated_at: now, created_at: now, fields: self.made_fields(known(resource), id) }
    }

    /// Makes a row with the next key and inserts it.
    pub fn add(&mut self, resource: &str) -> i64 {
        let id = self.next_id(resource);
        let row = self.make(resource, id);
        self.insert(resource, row);
        id
    }

    /// Inserts a row whose fields are made when it is listed.
    pub fn insert_lean(&mut self, resource: &str, id: i64, updated_at: Stamp, created_at: Stamp) {
        self.insert(resource, Row { id, updated_at, created_at, fields: Vec::new() });
    }

    /// Changes one visible field and sets `updated_at` to now, after the clock moved by one tick.
    pub fn touch(&mut self, resource: &str, id: i64) {
        let known = known(resource);
        let full = self.fields(resource, id);
        self.now_ms = next_tick(self.now_ms);
        self.touches += 1;
        let (now, text) = (self.now_ms, format!("touched {}", self.touches));
        let number = self.touches.to_string();
        let Some(row) = self.table_mut(resource).get_mut(&id) else {
            panic!("touch: no {resource} {id}");
        };
        row.fields = full;
        row.updated_at = Stamp::At(now);
        let textual = known.field(known.touch_field).is_some_and(|(_, f)| f.ty == super::resources::Type::Text);
        let mut raw = String::new();
        if textual {
            quote(&text, &mut raw);
        } else {
            raw = number;
        }
        set(&mut row.fields, known.touch_field, raw);
    }

    /// Sets one field to raw JSON, without changing `updated_at`.
    pub fn set_field(&mut self, resource: &str, id: i64, name: &str, raw: &str) {
        let full = self.fields(resource, id);
        if let Some(row) = self.table_mut(resource).get_mut(&id) {
            row.fields = full;
            set(&mut row.fields, name, raw.to_owned());
        }
    }

    /// Sets `updated_at`.
    pub fn set_updated_at(&mut self, resource: &str, id: i64, at: Stamp) {
        if let Some(row) = self.table_mut(resource).get_mut(&id) {
            row.updated_at = at.rounded();
        }
    }

    /// Sets `created_at`.
    pub fn set_created_at(&mut self, resource: &str, id: i64, at: Stamp) {
        if let Some(row) = self.table_mut(resource).get_mut(&id) {
            row.created_at = at.rounded();
        }
    }

    /// Moves the clock.
    pub fn tick(&mut self, ms: i64) {
        self.now_ms += ms;
    }

    /// Returns the key after the largest one that ever existed.
    pub fn next_id(&self, resource: &str) -> i64 {
        let known = known(resource);
        self.largest.get(known.path).map_or_else(|| known.first_id(), |id| id + 1)
    }

    /// Returns all fields of a row except the key and the time stamps, also those computed when it is listed.
    pub fn fields(&self, resource: &str, id: i64) -> Vec<(String, String)> {
        match self.row(resource, id) {
            Some(row) if !row.fields.is_empty() => row.fields.clone(),
            _ => self.made_fields(known(resource), id),
        }
    }

    /// Returns the row as the API lists it, with times in the given zone and form.
    pub fn json(&self, resource: &str, id: i64, clock: &Clock) -> Option<String> {
        let row = self.row(resource, id)?;
        let mut out = String::new();
        self.write_row(known(resource), row, clock, None, &mut out);
        out.push('}');
        Some(out)
    }

    /// Returns the table of a resource.
    pub(super) fn table(&self, resource: &str) -> &BTreeMap<i64, Row> {
        self.tables.get(resource).unwrap_or_else(|| panic!("no resource {resource}"))
    }

    fn table_mut(&mut self, resource: &str) -> &mut BTreeMap<i64, Row> {
        self.tables.get_mut(resource).unwrap_or_else(|| panic!("no resource {resource}"))
    }

    fn made_fields(&self, of: &Resource, id: i64) -> Vec<(String, String)> {
        let plain = of.fields.iter().filter(|f| f.role == Role::Plain);
        plain
            .map(|f| {
                let mut raw = String::new();
                self.write_made(of, id, f, &mut raw);
                (f.name.to_owned(), raw)
            })
            .collect()
    }

    fn write_made(&self, of: &Resource, id: i64, field: &Field, out: &mut String) {
        match field.gen_value {
            Gen::Fixed(raw) => out.push_str(raw),
            Gen::With(make) => {
                let clock = Clock::new(self.zone, Fraction::Documented);
                let hash = mix(mix(hash_text(of.path) ^ id as u64) ^ hash_text(field.name));
                make(&Spot { id, hash, clock: &clock, name: field.name }, out);
            }
        }
    }

    /// Returns the raw JSON of one plain field, if the row has it.
    pub(super) fn raw<'r>(&self, of: &Resource, row: &'r Row, field: &Field) -> Option<std::borrow::Cow<'r, str>> {
        if row.fields.is_empty() {
            let mut raw = String::new();
            self.write_made(of, row.id, field, &mut raw);
            return Some(raw.into());
        }
        row.fields.iter().find(|(name, _)| name == field.name).map(|(_, raw)| raw.as_str().into())
    }

    /// Writes a row as a JSON object without the closing brace, so that nested collections can follow.
    pub(super) fn write_row(&self, of: &Resource, row: &Row, clock: &Clock, keep: Option<&[&str]>, out: &mut String) {
        let kept = |name: &str| keep.is_none_or(|keep| keep.contains(&name));
        out.push('{');
        let start = out.len();
        let name = |out: &mut String, name: &str| {
            if out.len() > start {
                out.push(',');
            }
            out.push('"');
            out.push_str(name);
            out.push_str("\":");
        };
        let stamp = |out: &mut String, field: &Field, at: Stamp| {
            if at == Stamp::Absent || !kept(field.name) {
                return;
            }
            name(out, field.name);
            match at {
                Stamp::At(ms) => {
                    out.push('"');
                    clock.write(ms, out);
                    out.push('"');
                }
                Stamp::Empty => out.push_str("\"\""),
                Stamp::Odd(text) => quote(text, out),
                _ => out.push_str("null"),
            }
        };
        // The row's own fields, each before the documented field that comes next.
        let mut own = row.fields.iter().peekable();
        for field in &of.fields {
            match field.role {
                Role::Key if kept(field.name) => {
                    name(out, field.name);
                    if of.text_key {
                        out.push_str(&of.key_json(row.id));
                    } else {
                        let _ = write!(out, "{}", row.id);
                    }
                }
                Role::Key => {}
                Role::Updated => stamp(out, field, row.updated_at),
                Role::Created => stamp(out, field, row.created_at),
                Role::Plain if row.fields.is_empty() => {
                    if kept(field.name) {
                        name(out, field.name);
                        self.write_made(of, row.id, field, out);
                    }
                }
                Role::Plain => {
                    if let Some((own_name, raw)) = own.next_if(|(own_name, _)| own_name == field.name)
                        && kept(own_name)
                    {
                        name(out, own_name);
                        out.push_str(raw);
                    }
                }
            }
        }
        // Fields that are not documented, or not in documented order.
        for (own_name, raw) in own {
            if kept(own_name) {
                name(out, own_name);
                out.push_str(raw);
            }
        }
    }
}

fn known(path: &str) -> &'static Resource {
    resource(path).unwrap_or_else(|| panic!("no resource {path}"))
}

fn set(fields: &mut Vec<(String, String)>, name: &str, raw: String) {
    match fields.iter_mut().find(|(n, _)| n == name) {
        Some((_, old)) => *old = raw,
        None => fields.push((name.to_owned(), raw)),
    }
}
