//! Records of an API that sends values as text, as PHP does: dates as UNIX seconds, and an empty array for an object
//! without members. Also composite keys, and members that must not be emitted at any depth.

use super::schema::{ARRAY, NULL, OBJECT, TEXT};
use super::{CursorValue, Key, RecordMeta, RecordWriter, drop_value, hash, key_of};
use crate::json::{Kind, NotJson, Scanner};
use crate::timestamp::Timestamp;

/// Maximum length of UNIX seconds in digits: they reach beyond the year 9999.
const MOST_DIGITS: usize = 12;

/// 10000-01-01T00:00:00Z in UNIX seconds. From then on, a year has more than four digits.
const YEAR_10000: i64 = 253_402_300_800;

impl RecordWriter {
    /// Reads a value, and notes the members that must not be emitted at any depth.
    // Inlined in both versions of `record`, where most values are read.
    #[inline(always)]
    pub(super) fn scan<const SELECTS: bool>(&mut self, scanner: &mut Scanner<'_>) -> Result<(Kind, bool), NotJson> {
        if SELECTS { scanner.value_with(&self.record_schema.never_inside, &mut self.members) } else { scanner.value() }
    }

    /// Prepares for the key fields of the next record.
    pub(super) fn begin_keys(&mut self) {
        if !self.record_schema.further_keys.is_empty() {
            self.further_keys.clear();
            self.further_keys.resize(self.record_schema.further_keys.len(), Key::Missing);
        }
    }

    /// Combines the key fields of a record, and appends the ones that it lacks. `out` ends with the record's `}`.
    pub(super) fn end_keys(&mut self, meta: &mut RecordMeta, out: &mut Vec<u8>) {
        if self.further_keys.is_empty() || meta.key == Key::Missing {
            return;
        }
        let mut text = Vec::new();
        add_to_text(meta.key, &mut text);
        for (key, &index) in self.further_keys.iter().zip(&self.record_schema.further_keys) {
            if *key == Key::Missing {
                // The same key as of a row that says `0`: both mean that there is none.
                out.pop();
                out.push(b',');
                out.extend_from_slice(&self.record_schema.fields[index].label);
                out.extend_from_slice(b"0}");
            }
            add_to_text(if *key == Key::Missing { Key::Number(0) } else { *key }, &mut text);
        }
        meta.key = Key::Other(hash(&text));
    }

    /// Reads the date of creation from a field that is not emitted: the walk needs it.
    pub(super) fn dropped_value(&self, kind: Kind, raw: &[u8], index: usize, meta: &mut RecordMeta) {
        if self.record_schema.created == Some(index) {
            meta.created = seconds_of(kind, raw);
        }
    }

    /// Writes a value that the API may have sent as text. Returns false if the value needs no special treatment.
    pub(super) fn text_value(
        &mut self,
        scanner: &Scanner<'_>,
        (kind, from): (Kind, usize),
        index: usize,
        pending: &mut usize,
        out: &mut Vec<u8>,
        meta: &mut RecordMeta,
    ) -> bool {
        let raw = scanner.since(from);
        let field = self.get(index);
        let (accepts, is_date) = (field.accepts, field.is_date);
        if is_date && let Some(seconds) = seconds_of(kind, raw) {
            let date = (seconds != 0).then(|| Timestamp::from_unix_seconds(seconds));
            if self.record_schema.cursor == Some(index) {
                (meta.updated, meta.offset) = (date.map_or(CursorValue::Missing, CursorValue::At), date.map(|_| 0));
            }
            if self.record_schema.created == Some(index) {
                meta.created = Some(seconds);
            }
            drop_value(scanner, from, pending, out);
            match date {
                Some(date) => {
                    out.push(b'"');
                    date.write_to(out);
                    out.push(b'"');
                }
                None => out.extend_from_slice(b"null"),
            }
            return true;
        }
        if let Some(at) = self.record_schema.further_keys.iter().position(|&key| key == index) {
            let is_absent = kind == Kind::Null || raw == b"\"\"";
            self.further_keys[at] = if is_absent { Key::Number(0) } else { key_of(kind, raw) };
            if is_absent {
                drop_value(scanner, from, pending, out);
                out.push(b'0');
            }
            return is_absent;
        }
        let is_hidden = kind == Kind::Text && self.record_schema.never_text.contains(&index);
        if is_hidden || is_empty(kind, raw) && accepts & (ARRAY | OBJECT | NULL | TEXT) == OBJECT | NULL {
            drop_value(scanner, from, pending, out);
            out.extend_from_slice(b"null");
            return true;
        }
        false
    }
}

/// Appends a key, so that different keys have different texts.
fn add_to_text(key: Key, text: &mut Vec<u8>) {
    match key {
        Key::Number(number) => text.extend_from_slice(number.to_string().as_bytes()),
        Key::Other(hash) => text.extend_from_slice(format!("#{hash}").as_bytes()),
        Key::Missing => {}
    }
    text.push(b'/');
}

/// Returns the UNIX seconds in a value, as a number or a string of digits.
fn seconds_of(kind: Kind, raw: &[u8]) -> Option<i64> {
    let digits = match kind {
        Kind::Integer => raw,
        Kind::Text => &raw[1..raw.len() - 1],
        _ => return None,
    };
    let is_number = (1..=MOST_DIGITS).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let seconds = is_number.then(|| digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')));
    seconds.filter(|&seconds| seconds < YEAR_10000)
}

/// Returns true for an array without elements and for an empty string.
fn is_empty(kind: Kind, raw: &[u8]) -> bool {
    match kind {
        Kind::Array => raw[1..raw.len() - 1].iter().all(u8::is_ascii_whitespace),
        Kind::Text => raw.len() == 2,
        _ => false,
    }
}
