//! One record: copied from the store's JSON to the output in a single pass, fitted to its schema at
//! top level, with its key and its `updated_at` read on the way.
//!
//! What is rewritten: dates to UTC, `""` to null where a date or number is declared, numbers in
//! quotes to numbers where a number is declared, white space. All else leaves as the bytes that came.
//! Nothing here decides whether a record is sent.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::json::{self, Kind, NotJson, Scanner};
use crate::timestamp::{Timestamp, Unreadable};

const NULL: u8 = 1;
const TEXT: u8 = 1 << 1;
const INTEGER: u8 = 1 << 2;
const NUMBER: u8 = 1 << 3;
const BOOLEAN: u8 = 1 << 4;
const ARRAY: u8 = 1 << 5;
const OBJECT: u8 = 1 << 6;
const ANYTHING: u8 = u8::MAX;

/// What a schema says of the records of one stream, compiled for [`Copier`].
#[derive(Debug)]
pub struct Shape {
    fields: Vec<Field>,
    by_name: HashMap<Vec<u8>, usize>,
    key: usize,
    cursor: Option<usize>,
}

#[derive(Clone, Debug)]
struct Field {
    name: String,
    /// `"name":`, as it stands in the text of a record.
    label: Vec<u8>,
    accepts: u8,
    is_date: bool,
}

/// The key of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A whole number within 64 bits.
    Number(i64),
    /// Any other value; a hash of its text.
    Other(u64),
    /// Absent or null.
    Missing,
}

/// The `updated_at` of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Updated {
    /// An instant.
    At(Timestamp),
    /// Null, empty or absent: the row matches no date filter of the store (API documentation, query syntax).
    Undated,
    /// A text that is no instant.
    Unreadable,
}

/// What was read of a record while it was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its key.
    pub key: Key,
    /// Its `updated_at`; [`Updated::Undated`] in streams that have none.
    pub updated: Updated,
}

/// Something about a field that the user should hear of once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Finding {
    /// The store sends a field that no schema declares.
    Undeclared(String),
    /// A value does not fit the declared type: field, what was declared, what came.
    Misfit(String, String, &'static str),
}

/// Why an element of the list could not be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotARecord {
    /// The text is not JSON.
    Json(NotJson),
    /// The element is JSON, but no object.
    NotAnObject,
}

impl From<NotJson> for NotARecord {
    fn from(fault: NotJson) -> Self {
        Self::Json(fault)
    }
}

impl Shape {
    /// Compiles the top level of a JSON schema. Types the schema does not name accept anything.
    #[must_use]
    pub fn new(schema: &Value, key: &str, cursor: Option<&str>) -> Self {
        let mut shape = Self { fields: Vec::new(), by_name: HashMap::new(), key: usize::MAX, cursor: None };
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            let index = shape.fields.len();
            if name == key {
                shape.key = index;
            }
            if Some(name.as_str()) == cursor {
                shape.cursor = Some(index);
            }
            shape.by_name.insert(name.clone().into_bytes(), index);
            shape.fields.push(Field {
                name: name.clone(),
                label: label(name.as_bytes()),
                accepts: accepted(property),
                is_date: property.get("format").and_then(Value::as_str) == Some("date-time"),
            });
        }
        shape
    }

    /// The names of the declared fields, in the order of the schema.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.name.as_str())
    }
}

fn label(name: &[u8]) -> Vec<u8> {
    [b"\"", name, b"\":"].concat()
}

fn accepted(property: &Value) -> u8 {
    let bit = |name: &Value| match name.as_str() {
        Some("null") => NULL,
        Some("string") => TEXT,
        Some("integer") => INTEGER,
        Some("number") => NUMBER | INTEGER,
        Some("boolean") => BOOLEAN,
        Some("array") => ARRAY,
        Some("object") => OBJECT,
        _ => ANYTHING,
    };
    match property.get("type") {
        Some(Value::Array(names)) => names.iter().fold(0, |mask, name| mask | bit(name)),
        Some(name) => bit(name),
        None => ANYTHING,
    }
}

fn declared(accepts: u8, is_date: bool) -> String {
    let names = [
        (TEXT, if is_date { "date-time" } else { "string" }),
        (NUMBER, "number"),
        (INTEGER, if accepts & NUMBER == 0 { "integer" } else { "" }),
        (BOOLEAN, "boolean"),
        (ARRAY, "array"),
        (OBJECT, "object"),
    ];
    let named: Vec<&str> =
        names.iter().filter(|(bit, name)| accepts & bit != 0 && !name.is_empty()).map(|(_, name)| *name).collect();
    let or_null = if accepts & NULL == 0 { " (never null)" } else { "" };
    format!("{}{or_null}", named.join(" or "))
}

/// Copies the records of one reader of a stream. It remembers the order of the fields of the record
/// before, so that a field's name is compared once and never looked up.
#[derive(Debug)]
pub struct Copier {
    shape: Arc<Shape>,
    undeclared: Vec<Field>,
    order: Vec<usize>,
    reported: Vec<bool>,
    findings: Vec<Finding>,
}

impl Copier {
    /// A copier for records of this shape.
    #[must_use]
    pub fn new(shape: Arc<Shape>) -> Self {
        let reported = vec![false; shape.fields.len()];
        Self { shape, undeclared: Vec::new(), order: Vec::new(), reported, findings: Vec::new() }
    }

    /// What was noticed since the last call, each field at most once per copier and kind.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }

    /// Copies the object that comes next to `out`, on one line.
    ///
    /// # Errors
    /// [`NotARecord`] if no object comes next; `out` may then hold part of it.
    pub fn copy(&mut self, scanner: &mut Scanner<'_>, out: &mut Vec<u8>) -> Result<Facts, NotARecord> {
        if scanner.peek() != Some(b'{') {
            scanner.value()?;
            return Err(NotARecord::NotAnObject);
        }
        let mut facts = Facts { key: Key::Missing, updated: Updated::Undated };
        // Bytes from `pending` on are copied as they are, at the latest possible moment.
        let mut pending = scanner.position();
        scanner.take(b'{');
        drop_space(scanner, &mut pending, out);
        if scanner.take(b'}') {
            out.extend_from_slice(scanner.since(pending));
            return Ok(facts);
        }
        let mut place = 0;
        loop {
            let field = self.field(scanner, place, &mut pending, out)?;
            self.value(scanner, field, &mut pending, out, &mut facts)?;
            place += 1;
            drop_space(scanner, &mut pending, out);
            if scanner.take(b'}') {
                out.extend_from_slice(scanner.since(pending));
                return Ok(facts);
            }
            scanner.expect(b',')?;
            drop_space(scanner, &mut pending, out);
        }
    }

    /// Takes a name and its colon; gives the index of the field.
    #[inline]
    fn field(
        &mut self,
        scanner: &mut Scanner<'_>,
        place: usize,
        pending: &mut usize,
        out: &mut Vec<u8>,
    ) -> Result<usize, NotJson> {
        if let Some(&expected) = self.order.get(place)
            && scanner.take_all(&self.get(expected).label)
        {
            drop_space(scanner, pending, out);
            return Ok(expected);
        }
        let name = scanner.text()?;
        drop_space(scanner, pending, out);
        scanner.expect(b':')?;
        drop_space(scanner, pending, out);
        let declared = self.shape.fields.len();
        let known = match self.shape.by_name.get(name) {
            Some(&index) => Some(index),
            None => self.undeclared.iter().position(|field| field.label == label(name)).map(|at| declared + at),
        };
        let index = known.unwrap_or_else(|| {
            let text = String::from_utf8_lossy(name).into_owned();
            self.findings.push(Finding::Undeclared(text.clone()));
            self.undeclared.push(Field { name: text, label: label(name), accepts: ANYTHING, is_date: false });
            self.reported.push(true);
            declared + self.undeclared.len() - 1
        });
        if let Some(slot) = self.order.get_mut(place) {
            *slot = index;
        } else if self.order.len() == place {
            self.order.push(index);
        }
        Ok(index)
    }

    #[inline]
    fn get(&self, index: usize) -> &Field {
        let declared = self.shape.fields.len();
        if index < declared { &self.shape.fields[index] } else { &self.undeclared[index - declared] }
    }

    /// Takes the value of a field and fits it.
    #[inline]
    fn value(
        &mut self,
        scanner: &mut Scanner<'_>,
        index: usize,
        pending: &mut usize,
        out: &mut Vec<u8>,
        facts: &mut Facts,
    ) -> Result<(), NotJson> {
        let from = scanner.position();
        let (kind, spaced) = scanner.value()?;
        let raw = scanner.since(from);
        let field = self.get(index);
        let (accepts, is_date) = (field.accepts, field.is_date);
        let fits = match kind {
            Kind::Null => accepts & NULL != 0,
            Kind::Boolean => accepts & BOOLEAN != 0,
            Kind::Integer => accepts & INTEGER != 0,
            Kind::Decimal => accepts & NUMBER != 0 || (accepts & INTEGER != 0 && is_whole(raw)),
            Kind::Array => accepts & ARRAY != 0,
            Kind::Object => accepts & OBJECT != 0,
            Kind::Text => accepts & TEXT != 0 && !is_date,
        };
        let mut misfit = !fits;
        if kind == Kind::Text && !fits {
            let inside = &raw[1..raw.len() - 1];
            let rewritten = fit_text(inside, accepts, is_date);
            misfit = rewritten.is_none();
            if let Some(value) = &rewritten {
                out.extend_from_slice(&scanner.since(*pending)[..from - *pending]);
                match value {
                    Fitted::Null => out.extend_from_slice(b"null"),
                    Fitted::Number => out.extend_from_slice(inside),
                    Fitted::Instant(instant) => {
                        out.push(b'"');
                        instant.write_to(out);
                        out.push(b'"');
                    }
                }
                *pending = scanner.position();
            }
            if self.shape.cursor == Some(index) {
                facts.updated = match rewritten {
                    Some(Fitted::Instant(instant)) => Updated::At(instant),
                    Some(_) => Updated::Undated,
                    None => Updated::Unreadable,
                };
            }
        } else if self.shape.cursor == Some(index) {
            facts.updated = if kind == Kind::Null { Updated::Undated } else { Updated::Unreadable };
        }
        if self.shape.key == index {
            facts.key = key_of(kind, raw);
        }
        if spaced {
            out.extend_from_slice(&scanner.since(*pending)[..from - *pending]);
            json::write_compact(raw, out);
            *pending = scanner.position();
        }
        if misfit && !std::mem::replace(&mut self.reported[index], true) {
            let came = match kind {
                Kind::Null => "null",
                Kind::Boolean => "a boolean",
                Kind::Integer => "an integer",
                Kind::Decimal => "a decimal number",
                Kind::Array => "an array",
                Kind::Object => "an object",
                Kind::Text if is_date => "a text that is no date and time with an offset",
                Kind::Text => "a text",
            };
            let field = self.get(index);
            self.findings.push(Finding::Misfit(field.name.clone(), declared(accepts, is_date), came));
        }
        Ok(())
    }
}

/// What a text becomes where its own type is not declared.
enum Fitted {
    Null,
    Number,
    Instant(Timestamp),
}

fn fit_text(inside: &[u8], accepts: u8, is_date: bool) -> Option<Fitted> {
    let number_declared = accepts & (INTEGER | NUMBER) != 0;
    if inside.is_empty() {
        return (accepts & NULL != 0 && (is_date || number_declared)).then_some(Fitted::Null);
    }
    if is_date {
        return match Timestamp::parse(inside) {
            Ok(instant) => Some(Fitted::Instant(instant)),
            Err(Unreadable::Form | Unreadable::NoOffset) => None,
        };
    }
    let fits = number_declared && json::is_number(inside) && (accepts & NUMBER != 0 || is_whole(inside));
    fits.then_some(Fitted::Number)
}

/// True for a number without exponent whose fraction, if any, is zero: `25.0000` is a whole number
/// that keeps the scale of the store's column.
fn is_whole(raw: &[u8]) -> bool {
    let mut parts = raw.splitn(2, |&byte| byte == b'.');
    let whole = parts.next().unwrap_or_default();
    let fraction = parts.next().unwrap_or_default();
    whole.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-') && fraction.iter().all(|&byte| byte == b'0')
}

fn key_of(kind: Kind, raw: &[u8]) -> Key {
    if kind == Kind::Null {
        return Key::Missing;
    }
    let digits = if kind == Kind::Text { &raw[1..raw.len() - 1] } else { raw };
    let number = std::str::from_utf8(digits).ok().and_then(|text| text.parse::<i64>().ok());
    match number {
        Some(number) if kind == Kind::Integer || kind == Kind::Text => Key::Number(number),
        _ => Key::Other(hash(raw)),
    }
}

/// FNV-1a, 64 bits: the same on every machine and in every version, since hashes enter the state.
#[must_use]
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[inline]
fn drop_space(scanner: &mut Scanner<'_>, pending: &mut usize, out: &mut Vec<u8>) {
    if let Some(b' ' | b'\n' | b'\r' | b'\t') = scanner.peek() {
        out.extend_from_slice(scanner.since(*pending));
        scanner.skip_space();
        *pending = scanner.position();
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use serde_json::json;

    use super::*;

    fn shape() -> Arc<Shape> {
        let schema = json!({"type": "object", "properties": {
            "id": {"type": "integer"},
            "name": {"type": ["null", "string"]},
            "total": {"type": ["null", "number"]},
            "count": {"type": ["null", "integer"]},
            "open": {"type": ["null", "boolean"]},
            "due": {"type": ["null", "string"], "format": "date-time"},
            "updated_at": {"type": ["null", "string"], "format": "date-time"},
            "items": {"type": ["null", "array"]},
            "loose": {"type": ["null", "integer", "string"]},
        }});
        Arc::new(Shape::new(&schema, "id", Some("updated_at")))
    }

    fn copy(text: &str) -> (String, Facts, Vec<Finding>) {
        let mut copier = Copier::new(shape());
        let mut out = Vec::new();
        let mut scanner = Scanner::new(text.as_bytes());
        let facts = copier.copy(&mut scanner, &mut out).unwrap();
        assert_eq!(scanner.position(), text.len());
        (String::from_utf8(out).unwrap(), facts, copier.take_findings())
    }

    #[test]
    fn what_fits_leaves_as_it_came() {
        let text = r#"{"id":7,"name":"\"a\" \n é","total":1886.0000,"count":25,"open":true,"due":null,"items":[{"x":1e400}],"loose":"00"}"#;
        let (out, facts, findings) = copy(text);
        assert_eq!(out, text);
        assert_eq!(facts, Facts { key: Key::Number(7), updated: Updated::Undated });
        assert_eq!(findings, []);
    }

    #[test]
    fn dates_become_utc_and_empty_texts_null() {
        let (out, facts, findings) =
            copy(r#"{"id":1,"due":"","updated_at":"2014-03-19T13:31:47.923-05:00","total":"","count":"","name":""}"#);
        assert_eq!(
            out,
            r#"{"id":1,"due":null,"updated_at":"2014-03-19T18:31:47.923Z","total":null,"count":null,"name":""}"#
        );
        assert_eq!(facts.updated, Updated::At(Timestamp::parse(b"2014-03-19T18:31:47.923Z").unwrap()));
        assert_eq!(findings, []);
    }

    #[test]
    fn numbers_in_quotes_become_numbers_with_their_digits() {
        let (out, _, findings) = copy(r#"{"id":"12","total":"10.00","count":"5","loose":"5"}"#);
        assert_eq!(out, r#"{"id":12,"total":10.00,"count":5,"loose":"5"}"#);
        assert_eq!(findings, []);
    }

    #[test]
    fn a_misfit_goes_out_as_it_is_and_is_told_once() {
        let mut copier = Copier::new(shape());
        let mut out = Vec::new();
        for _ in 0..2 {
            let text = r#"{"id":1,"total":"ten","count":2.5,"name":5,"due":"2014-01-01","open":0,"count":1.0}"#;
            copier.copy(&mut Scanner::new(text.as_bytes()), &mut out).unwrap();
            assert!(String::from_utf8_lossy(&out).ends_with(text));
        }
        let fields: Vec<String> = copier
            .take_findings()
            .into_iter()
            .map(|finding| match finding {
                Finding::Misfit(field, declared, came) => format!("{field}: {declared} / {came}"),
                Finding::Undeclared(field) => field,
            })
            .collect();
        assert_eq!(
            fields,
            [
                "total: number / a text",
                "count: integer / a decimal number",
                "name: string / an integer",
                "due: date-time / a text that is no date and time with an offset",
                "open: boolean / an integer",
            ]
        );
    }

    #[test]
    fn an_undeclared_field_goes_out_and_is_named_once() {
        let mut copier = Copier::new(shape());
        let mut out = Vec::new();
        for id in 0..3 {
            let text = format!(r#"{{"sub":"x","id":{id},"n\u0065w":1}}"#);
            copier.copy(&mut Scanner::new(text.as_bytes()), &mut out).unwrap();
        }
        assert_eq!(
            copier.take_findings(),
            [Finding::Undeclared("sub".into()), Finding::Undeclared("n\\u0065w".into())]
        );
    }

    #[test]
    fn a_record_stays_on_one_line() {
        let (out, facts, _) =
            copy("{\n  \"id\" : 3 ,\n  \"updated_at\" : \"2014-03-19T13:31:47Z\",\n  \"items\": [\n 1 ]\n}");
        assert_eq!(out, r#"{"id":3,"updated_at":"2014-03-19T13:31:47Z","items":[1]}"#);
        assert_eq!(facts.key, Key::Number(3));
    }

    #[test]
    fn keys_that_are_no_whole_numbers_are_told_apart() {
        assert_eq!(copy(r#"{"id":9223372036854775807}"#).1.key, Key::Number(i64::MAX));
        assert!(matches!(copy(r#"{"id":9223372036854775808}"#).1.key, Key::Other(_)));
        assert!(matches!(copy(r#"{"id":1.5}"#).1.key, Key::Other(_)));
        assert!(matches!(copy(r#"{"id":"abc"}"#).1.key, Key::Other(_)));
        assert_eq!(copy(r#"{"id":null}"#).1.key, Key::Missing);
        assert_eq!(copy(r#"{"name":"x"}"#).1.key, Key::Missing);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let mut copier = Copier::new(shape());
        let mut out = Vec::new();
        assert_eq!(copier.copy(&mut Scanner::new(b"5"), &mut out), Err(NotARecord::NotAnObject));
        assert_eq!(copier.copy(&mut Scanner::new(b"{\"id\":1"), &mut out), Err(NotARecord::Json(NotJson(7))));
        assert!(copier.copy(&mut Scanner::new(b"{\"id\":01}"), &mut out).is_err());
    }
}
