//! Copies one record from the store's JSON to the output, in a single pass. Fits the values of its top-level fields to
//! the schema, and reads its key and its `updated_at`.
//!
//! What is changed:
//! - Dates are converted to UTC. Dates that mean "never" become null.
//! - If a date or number is declared, `""` becomes null.
//! - If a number is declared, a number in quotes becomes a number. If a string is declared, a number becomes a string.
//! - White space between tokens is removed.
//! - If configured, sensitive fields become null. Records in nested collections follow the same rules.
//! - Fields that are not selected are dropped.
//!
//! All other bytes stay the same. This module does not decide whether a record is emitted.

mod content;
mod date;
mod nested;
mod schema;
mod template;
mod text_values;

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use crate::json::{self, Kind, NotJson, Scanner};
use crate::timestamp::Timestamp;
pub use content::content_hash;
use date::Date;
pub use schema::RecordSchema;
use schema::{ARRAY, BOOLEAN, Field, INTEGER, NULL, NUMBER, OBJECT, TEXT, declared, label};
use template::Template;

/// The key of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A 64-bit integer.
    Number(i64),
    /// Hash of the JSON of any other value.
    Other(u64),
    /// Absent or null.
    Missing,
}

/// The `updated_at` of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorValue {
    /// An instant.
    At(Timestamp),
    /// Null, empty, absent, or a date that means "never": no date filter of the store finds the row (API documentation,
    /// query syntax).
    Missing,
    /// Not a date and time with an offset.
    Invalid,
}

/// Key and cursor of a record, read while it was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordMeta {
    /// Key.
    pub key: Key,
    /// `updated_at`; [`CursorValue::Missing`] in streams without it.
    pub updated: CursorValue,
    /// Offset that `updated_at` was written with, in minutes east of UTC, if it is an instant.
    pub offset: Option<i16>,
    /// Date of the row's creation in UNIX seconds, 0 for never; `None` in streams without it.
    pub created: Option<i64>,
}

/// A fact about a field that is logged once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldIssue {
    /// The store sends a field that no schema declares.
    Undeclared(String),
    /// The store sends a field that no schema declares; it is dropped, since not all fields are selected.
    Dropped(String),
    /// The store sends more undeclared fields than are kept by name; contains a hash of the name of one.
    Further(u64),
    /// A record has a requested nested collection; contains the entry of `expand` that requests it.
    Filled(String),
    /// A record lacks a requested nested collection; contains the entry of `expand` that requests it.
    Unfilled(String),
    /// A value does not have the declared type; contains the field, the declared type and the received type.
    TypeMismatch(String, String, &'static str),
    /// A date that means "never", such as `0001-01-01T00:00:00`, is emitted as null.
    PlaceholderDate(String),
}

/// Reason why an element of the list could not be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotARecord {
    /// Invalid JSON.
    Json(NotJson),
    /// JSON, but not an object.
    NotAnObject,
}

impl From<NotJson> for NotARecord {
    fn from(fault: NotJson) -> Self {
        Self::Json(fault)
    }
}

/// Copies the records of one stream. It remembers the order of the previous record's fields, so that most names need
/// one comparison and no lookup. It also remembers a recent record, so that fields with the same bytes are not parsed
/// again.
#[derive(Debug)]
pub struct RecordWriter {
    record_schema: Arc<RecordSchema>,
    undeclared: Vec<Field>,
    order: Vec<usize>,
    reported: Vec<bool>,
    /// Declared fields whose dates that mean "never" were reported.
    reported_dates: Vec<bool>,
    issues: Vec<FieldIssue>,
    /// Writers of the records inside fields, by the index of the field.
    nested: BTreeMap<usize, Self>,
    /// Of these fields, those that the current record has.
    filled: Vec<usize>,
    /// For each declared field, true if it was reported as filled, and as unfilled.
    reported_filled: Vec<(bool, bool)>,
    /// Hashes of the names beyond [`MAX_UNDECLARED`].
    further: HashSet<u64>,
    /// The values of the current record's key fields after the first one.
    further_keys: Vec<Key>,
    template: Template,
    /// The members of the current value that must not be emitted.
    members: Vec<Range<usize>>,
}

impl RecordWriter {
    /// Returns a writer for records of this schema.
    pub fn new(record_schema: Arc<RecordSchema>) -> Self {
        let reported = vec![false; record_schema.fields.len()];
        let inside = |(index, field): (usize, &Field)| Some((index, Self::new(Arc::clone(field.inside.as_ref()?))));
        let nested = record_schema.fields.iter().enumerate().filter_map(inside).collect();
        Self {
            record_schema,
            undeclared: Vec::new(),
            order: Vec::new(),
            reported_dates: reported.clone(),
            reported_filled: vec![(false, false); reported.len()],
            reported,
            issues: Vec::new(),
            nested,
            filled: Vec::new(),
            further: HashSet::new(),
            further_keys: Vec::new(),
            template: Template::default(),
            members: Vec::new(),
        }
    }

    /// Returns the issues found since the last call, at most one per field and kind.
    pub fn take_issues(&mut self) -> Vec<FieldIssue> {
        std::mem::take(&mut self.issues)
    }

    /// Returns the number of undeclared fields.
    pub fn undeclared(&self) -> usize {
        self.undeclared.len()
    }

    /// Returns the names of the undeclared fields, without the first `first`.
    pub fn undeclared_from(&self, first: usize) -> impl Iterator<Item = &str> {
        self.undeclared.iter().skip(first).map(|field| &*field.name)
    }

    /// Returns true if the last record has so many undeclared fields, more than one per three declared ones, that it
    /// must be from another resource.
    pub fn looks_foreign(&self) -> bool {
        let declared = self.order.iter().filter(|&&index| index < self.record_schema.fields.len()).count();
        self.undeclared.len() * 3 > declared
    }

    /// Forgets all but the first `first` undeclared fields: the response with the others was not used.
    pub fn forget(&mut self, first: usize) {
        if self.undeclared.len() > first {
            let names: Vec<String> = self.undeclared.drain(first..).map(|field| field.name).collect();
            let kept = self.record_schema.fields.len() + first;
            self.reported.truncate(kept);
            self.nested.retain(|&index, _| index < kept);
            self.order.clear();
            self.template = Template::default();
            let is_forgotten = |issue: &FieldIssue| match issue {
                FieldIssue::Undeclared(name) | FieldIssue::Dropped(name) => names.contains(name),
                _ => false,
            };
            self.issues.retain(|issue| !is_forgotten(issue));
        }
    }

    /// Copies the next object to `out`, on one line.
    ///
    /// # Errors
    /// [`NotARecord`] if the next value is not an object. `out` may then contain a part of it.
    pub fn copy(&mut self, scanner: &mut Scanner<'_>, out: &mut Vec<u8>) -> Result<RecordMeta, NotARecord> {
        // Compiled twice, so that streams without dropped fields do not pay for the checks.
        if self.record_schema.has_drops() {
            self.record::<true>(scanner, out)
        } else {
            self.record::<false>(scanner, out)
        }
    }

    /// Copies the next object. `SELECTS` is true if fields may have to be dropped.
    // Not inlined, so that each of the two versions gets all registers.
    #[inline(never)]
    fn record<const SELECTS: bool>(
        &mut self,
        scanner: &mut Scanner<'_>,
        out: &mut Vec<u8>,
    ) -> Result<RecordMeta, NotARecord> {
        if scanner.peek() != Some(b'{') {
            scanner.value()?;
            return Err(NotARecord::NotAnObject);
        }
        let mut meta = RecordMeta { key: Key::Missing, updated: CursorValue::Missing, offset: None, created: None };
        self.begin_keys();
        // Bytes from `pending` on are copied unchanged, as late as possible and many at a time.
        let (began, mut pending) = (scanner.position(), scanner.position());
        let noting = self.template.begin();
        scanner.take(b'{');
        drop_space(scanner, &mut pending, out);
        if scanner.take(b'}') {
            out.extend_from_slice(scanner.since(pending));
            return Ok(meta);
        }
        let mut position = 0;
        loop {
            let (start, left) = (scanner.position(), pending);
            if !noting {
                position = self.template.follow(scanner, position);
                // The white space after the comma may differ from the template's.
                drop_space(scanner, &mut pending, out);
            }
            let (begin, written, uncopied) = (scanner.position(), out.len(), pending);
            let field = self.field(scanner, position, &mut pending, out)?;
            let is_dropped = SELECTS && self.get(field).is_dropped;
            if noting {
                self.template.note(start, left, !is_dropped && self.is_verbatim(field));
            }
            if is_dropped {
                // The bytes before the name are copied: their comma then separates the fields around the dropped one.
                out.truncate(written);
                out.extend_from_slice(&scanner.since(uncopied)[..begin - uncopied]);
                pending = scanner.position();
                let (kind, _) = scanner.value()?;
                self.dropped_value(kind, scanner.since(pending), field, &mut meta);
                pending = scanner.position();
            } else {
                self.value::<SELECTS>(scanner, field, &mut pending, out, &mut meta)?;
            }
            position += 1;
            drop_space(scanner, &mut pending, out);
            if scanner.take(b'}') {
                if is_dropped && out.last() == Some(&b',') {
                    out.pop();
                }
                out.extend_from_slice(scanner.since(pending));
                self.end_keys(&mut meta, out);
                self.note_collections();
                self.template.end(noting.then(|| (scanner.since(began), began)));
                return Ok(meta);
            }
            scanner.require(b',')?;
            pending = if is_dropped { scanner.position() } else { pending };
            drop_space(scanner, &mut pending, out);
        }
    }

    /// Reads a name and its colon; returns the index of the field.
    // Inlined in both versions of `record`: a call for each field would cost more than most fields do.
    #[inline(always)]
    fn field(
        &mut self,
        scanner: &mut Scanner<'_>,
        position: usize,
        pending: &mut usize,
        out: &mut Vec<u8>,
    ) -> Result<usize, NotJson> {
        if let Some(&expected) = self.order.get(position)
            && scanner.take_all(&self.get(expected).label)
        {
            drop_space(scanner, pending, out);
            return Ok(expected);
        }
        let from = scanner.position();
        let name = scanner.text()?;
        let mut repaired_label = None;
        if scanner.had_lone_surrogate() {
            out.extend_from_slice(&scanner.since(*pending)[..from - *pending]);
            let start = out.len();
            json::write_compact(scanner.since(from), out);
            // This label never occurs in a record, so the name is repaired each time.
            repaired_label = Some([&out[start..], b":"].concat());
            *pending = scanner.position();
        }
        // Parsers of the record see the name without escapes.
        let plain = if name.contains(&b'\\') { unescaped(name) } else { None };
        let raw = name;
        let name = plain.as_ref().map_or(raw, |plain| plain.as_bytes());
        drop_space(scanner, pending, out);
        scanner.require(b':')?;
        drop_space(scanner, pending, out);
        let declared = self.record_schema.fields.len();
        let known = match self.record_schema.by_name.get(name) {
            Some(&index) => Some(index),
            None => self.undeclared.iter().position(|field| field.name.as_bytes() == name).map(|at| declared + at),
        };
        let index = known.or_else(|| self.beyond(name)).unwrap_or_else(|| self.declare(name, repaired_label, raw));
        if let Some(slot) = self.order.get_mut(position) {
            *slot = index;
        } else if self.order.len() == position && position < MAX_FIELD_ORDER {
            self.order.push(index);
        }
        Ok(index)
    }

    /// Returns the field to use for an undeclared name beyond [`MAX_UNDECLARED`]: the last known one that is dropped,
    /// or emitted, like this one.
    #[cold]
    fn beyond(&mut self, name: &[u8]) -> Option<usize> {
        if self.undeclared.len() < MAX_UNDECLARED || self.record_schema.redacted_inside.contains_key(name) {
            return None;
        }
        let is_dropped = self.record_schema.drops(name);
        let is_alike = |field: &Field| field.is_dropped == is_dropped && field.inside.is_none();
        let at = self.undeclared.iter().rposition(is_alike)?;
        let hash = hash(name);
        if !is_dropped && self.further.len() < MAX_FURTHER_FIELDS && self.further.insert(hash) {
            self.issues.push(FieldIssue::Further(hash));
        }
        Some(self.record_schema.fields.len() + at)
    }

    /// Adds an undeclared field and returns its index. Its label is `repaired_label`, or else the name as the record
    /// has it, `raw`.
    #[cold]
    fn declare(&mut self, name: &[u8], repaired_label: Option<Vec<u8>>, raw: &[u8]) -> usize {
        let text = String::from_utf8_lossy(name).into_owned();
        let is_dropped = self.record_schema.drops(name);
        let shown = text.chars().filter(|c| !c.is_control()).take(60).collect();
        if !self.record_schema.is_never_sent(name) {
            self.issues.push(if is_dropped { FieldIssue::Dropped(shown) } else { FieldIssue::Undeclared(shown) });
        }
        let index = self.record_schema.fields.len() + self.undeclared.len();
        let inside = self.record_schema.redacted_inside.get(name).cloned();
        if let Some(inside) = &inside {
            self.nested.insert(index, Self::new(Arc::clone(inside)));
        }
        let label = repaired_label.unwrap_or_else(|| label(raw));
        self.undeclared.push(Field { is_dropped, inside, ..Field::new(text, label) });
        self.reported.push(true);
        index
    }

    #[inline]
    fn get(&self, index: usize) -> &Field {
        let declared = self.record_schema.fields.len();
        if index < declared { &self.record_schema.fields[index] } else { &self.undeclared[index - declared] }
    }

    /// Returns true if the field's value is copied without inspection.
    fn is_verbatim(&self, index: usize) -> bool {
        let schema = &self.record_schema;
        let is_key = schema.key == index || schema.further_keys.contains(&index);
        let is_date = schema.cursor == Some(index) || schema.created == Some(index);
        !is_key && !is_date && self.get(index).inside.is_none()
    }

    /// Reads the value of a field and fits it to the declared type.
    // Inlined in both versions of `record`: a call for each field would cost more than most fields do.
    #[inline(always)]
    fn value<const SELECTS: bool>(
        &mut self,
        scanner: &mut Scanner<'_>,
        index: usize,
        pending: &mut usize,
        out: &mut Vec<u8>,
        meta: &mut RecordMeta,
    ) -> Result<(), NotJson> {
        let from = scanner.position();
        let field = self.get(index);
        let (accepts, is_date, is_redacted) = (field.accepts, field.is_date, field.is_redacted);
        if field.inside.is_some() {
            self.filled.push(index);
            if !is_redacted && matches!(scanner.peek(), Some(b'[' | b'{')) {
                out.extend_from_slice(&scanner.since(*pending)[..from - *pending]);
                self.inside(scanner, index, out)?;
                *pending = scanner.position();
                return Ok(());
            }
        }
        let (kind, spaced) = self.scan::<SELECTS>(scanner)?;
        let raw = scanner.since(from);
        if is_redacted {
            drop_value(scanner, from, pending, out);
            out.extend_from_slice(b"null");
            return Ok(());
        }
        if self.record_schema.has_text_values && self.text_value(scanner, (kind, from), index, pending, out, meta) {
            return Ok(());
        }
        let mut fits = is_of_type(kind, raw, accepts, is_date);
        if kind == Kind::Text && !fits {
            fits = self.rewrite_text(scanner, index, from, pending, out, meta);
        } else if self.record_schema.cursor == Some(index) {
            meta.updated = if kind == Kind::Null { CursorValue::Missing } else { CursorValue::Invalid };
            meta.offset = None;
        }
        if self.record_schema.key == index {
            meta.key = key_of(kind, raw);
        }
        if SELECTS && !self.members.is_empty() {
            drop_value(scanner, from, pending, out);
            json::write_without(raw, from, spaced, &self.record_schema.never_inside, &mut self.members, out);
        } else if spaced {
            drop_value(scanner, from, pending, out);
            json::write_compact(raw, out);
        }
        if fits {
            return Ok(());
        }
        if accepts & TEXT != 0 && !is_date && matches!(kind, Kind::Integer | Kind::Decimal) {
            drop_value(scanner, from, pending, out);
            out.push(b'"');
            out.extend_from_slice(raw);
            out.push(b'"');
        } else if !std::mem::replace(&mut self.reported[index], true) {
            self.report_mismatch(index, kind);
        }
        Ok(())
    }

    /// Converts a string to the declared type; returns false if it is emitted unchanged. Stores a cursor in `meta` in
    /// both cases.
    #[inline(always)]
    fn rewrite_text(
        &mut self,
        scanner: &Scanner<'_>,
        index: usize,
        from: usize,
        pending: &mut usize,
        out: &mut Vec<u8>,
        meta: &mut RecordMeta,
    ) -> bool {
        let raw = scanner.since(from);
        let inside = &raw[1..raw.len() - 1];
        let field = self.get(index);
        let fitted = fit_text(inside, field.accepts, field.is_date);
        if self.record_schema.cursor == Some(index) {
            (meta.updated, meta.offset) = match fitted {
                _ if date::is_placeholder(inside) => (CursorValue::Missing, None),
                Some(Fitted::Instant(instant, offset)) => (CursorValue::At(instant), Some(offset)),
                Some(_) => (CursorValue::Missing, None),
                None => (CursorValue::Invalid, None),
            };
        }
        let Some(fitted) = fitted else { return false };
        if matches!(fitted, Fitted::Never) && !std::mem::replace(&mut self.reported_dates[index], true) {
            self.issues.push(FieldIssue::PlaceholderDate(self.record_schema.fields[index].name.clone()));
        }
        drop_value(scanner, from, pending, out);
        match fitted {
            Fitted::Null | Fitted::Never => out.extend_from_slice(b"null"),
            Fitted::Number => out.extend_from_slice(inside),
            Fitted::Instant(instant, _) => {
                out.push(b'"');
                instant.write_to(out);
                out.push(b'"');
            }
        }
        true
    }

    /// Records that a value of a field does not have the declared type.
    #[cold]
    fn report_mismatch(&mut self, index: usize, kind: Kind) {
        let field = self.get(index);
        let came = match kind {
            Kind::Null => "null",
            Kind::Boolean => "a boolean",
            Kind::Integer => "an integer",
            Kind::Decimal => "a decimal number",
            Kind::Array => "an array",
            Kind::Object => "an object",
            Kind::Text if field.is_date => "a string that is not a date and time with an offset",
            Kind::Text => "a string",
        };
        let issue = FieldIssue::TypeMismatch(field.name.clone(), declared(field.accepts, field.is_date), came);
        self.issues.push(issue);
    }
}

/// Maximum number of field positions that are remembered: several times as many as the widest resource has.
const MAX_FIELD_ORDER: usize = 1000;

/// Maximum number of undeclared names that are kept: far more than any resource has, and few enough to search them for
/// each field of a record that was made to be slow.
const MAX_UNDECLARED: usize = 200;

/// Maximum number of names beyond `MAX_UNDECLARED` that are counted: a MiB of hashes in the worst case.
pub const MAX_FURTHER_FIELDS: usize = 50_000;

/// Returns a name without its escapes; `None` if they are not valid Unicode.
fn unescaped(name: &[u8]) -> Option<String> {
    serde_json::from_slice(&[b"\"", name, b"\""].concat()).ok()
}

/// Returns true if a value has a declared type without a change.
#[inline(always)]
fn is_of_type(kind: Kind, raw: &[u8], accepts: u8, is_date: bool) -> bool {
    match kind {
        Kind::Null => accepts & NULL != 0,
        Kind::Boolean => accepts & BOOLEAN != 0,
        Kind::Integer => accepts & INTEGER != 0,
        Kind::Decimal => accepts & NUMBER != 0 || (accepts & INTEGER != 0 && is_whole(raw)),
        Kind::Array => accepts & ARRAY != 0,
        Kind::Object => accepts & OBJECT != 0,
        Kind::Text => accepts & TEXT != 0 && !is_date,
    }
}

/// A string converted to the declared type.
enum Fitted {
    Null,
    Number,
    /// With the offset it was written with.
    Instant(Timestamp, i16),
    /// A date that means "never".
    Never,
}

fn fit_text(inside: &[u8], accepts: u8, is_date: bool) -> Option<Fitted> {
    let number_declared = accepts & (INTEGER | NUMBER) != 0;
    if inside.is_empty() {
        return (accepts & NULL != 0 && (is_date || number_declared)).then_some(Fitted::Null);
    }
    if is_date {
        return match Date::read(inside) {
            Date::At(instant, offset) => Some(Fitted::Instant(instant, offset)),
            Date::Never => (accepts & NULL != 0).then_some(Fitted::Never),
            Date::Unreadable => None,
        };
    }
    let fits = number_declared && json::is_json_number(inside) && (accepts & NUMBER != 0 || is_whole(inside));
    fits.then_some(Fitted::Number)
}

/// Returns true for a number without an exponent whose fraction is zero or absent: `25.0000` is an integer with the
/// scale of the store's column.
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
    let digits = match kind {
        Kind::Text => &raw[1..raw.len() - 1],
        Kind::Integer | Kind::Decimal => raw,
        _ => return Key::Other(hash(raw)),
    };
    // `1` and `1.00` are the same key.
    let whole = match digits.iter().position(|&byte| byte == b'.') {
        Some(point) if json::is_json_number(digits) && is_whole(digits) => &digits[..point],
        _ => digits,
    };
    let number = std::str::from_utf8(whole).ok().and_then(|text| text.parse::<i64>().ok());
    number.map_or_else(|| Key::Other(hash(raw)), Key::Number)
}

/// Returns the 64-bit FNV-1a hash: the same on every machine and in every version, since hashes are part of the state.
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Copies the pending bytes before a value that has just been parsed and began at `from`, and skips the value.
#[inline(always)]
fn drop_value(scanner: &Scanner<'_>, from: usize, pending: &mut usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&scanner.since(*pending)[..from - *pending]);
    *pending = scanner.position();
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
mod tests;
