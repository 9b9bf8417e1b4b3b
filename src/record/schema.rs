//! The schema of a stream's records, compiled once for all writers of records.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use crate::json::MemberNames;

pub(super) const NULL: u8 = 1;
pub(super) const TEXT: u8 = 1 << 1;
pub(super) const INTEGER: u8 = 1 << 2;
pub(super) const NUMBER: u8 = 1 << 3;
pub(super) const BOOLEAN: u8 = 1 << 4;
pub(super) const ARRAY: u8 = 1 << 5;
pub(super) const OBJECT: u8 = 1 << 6;
pub(super) const ANYTHING: u8 = u8::MAX;

/// Schema of a stream's records, compiled for copying them.
#[derive(Debug)]
pub struct RecordSchema {
    pub(super) fields: Vec<Field>,
    pub(super) by_name: HashMap<Vec<u8>, usize>,
    pub(super) key: usize,
    /// The key fields after the first one, in the order of the primary key.
    pub(super) further_keys: Vec<usize>,
    pub(super) cursor: Option<usize>,
    /// The field with the date of the row's creation.
    pub(super) created: Option<usize>,
    /// True if dates are UNIX seconds, and an empty array stands for an absent object.
    pub(super) has_text_values: bool,
    /// Names of fields that are dropped whatever is selected.
    pub(super) never_sent: HashSet<Vec<u8>>,
    /// Fields whose text is emitted as null.
    pub(super) never_text: Vec<usize>,
    /// Names of members that are dropped at any depth.
    pub(super) never_inside: MemberNames,
    /// Names of the selected fields; `None` selects all.
    pub(super) selected: Option<HashSet<Vec<u8>>>,
    /// Entries of `expand` that request a collection, by the index of its field.
    pub(super) entries: HashMap<usize, String>,
    /// Schemas of records inside undeclared fields in which some values are set to null, by the name of the field.
    pub(super) redacted_inside: HashMap<Vec<u8>, Arc<RecordSchema>>,
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    /// Name, without escapes.
    pub(super) name: String,
    /// `"name":`, as it is written in a record.
    pub(super) label: Vec<u8>,
    /// Declared types, as bits.
    pub(super) accepts: u8,
    /// True if declared as `date-time`.
    pub(super) is_date: bool,
    /// True if it is always set to null.
    pub(super) is_redacted: bool,
    /// True if it is not selected.
    pub(super) is_dropped: bool,
    /// Schema of the records in it, for a nested collection.
    pub(super) inside: Option<Arc<RecordSchema>>,
}

impl Field {
    /// Returns a field that accepts any type and is copied unchanged.
    pub(super) fn new(name: String, label: Vec<u8>) -> Self {
        Self { name, label, accepts: ANYTHING, is_date: false, is_redacted: false, is_dropped: false, inside: None }
    }
}

impl RecordSchema {
    /// Compiles the top level of a JSON schema. Types the schema does not name accept anything.
    pub fn new(schema: &Value, key: &str, cursor: Option<&str>) -> Self {
        let mut record_schema = Self {
            fields: Vec::new(),
            by_name: HashMap::new(),
            key: usize::MAX,
            further_keys: Vec::new(),
            cursor: None,
            created: None,
            has_text_values: false,
            never_sent: HashSet::new(),
            never_text: Vec::new(),
            never_inside: MemberNames::default(),
            selected: None,
            entries: HashMap::new(),
            redacted_inside: HashMap::new(),
        };
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            let index = record_schema.fields.len();
            if name == key {
                record_schema.key = index;
            }
            if Some(name.as_str()) == cursor {
                record_schema.cursor = Some(index);
            }
            record_schema.by_name.insert(name.clone().into_bytes(), index);
            record_schema.fields.push(Field {
                accepts: accepted(property),
                is_date: property.get("format").and_then(Value::as_str) == Some("date-time"),
                ..Field::new(name.clone(), label(name.as_bytes()))
            });
        }
        record_schema
    }

    /// Sets the key fields after the first one. In each record, `0` stands for those that are absent or null.
    pub fn further_keys(mut self, names: &[&str]) -> Self {
        self.further_keys = names.iter().filter_map(|name| self.by_name.get(name.as_bytes()).copied()).collect();
        self
    }

    /// Sets the field with the date of a row's creation.
    pub fn created(mut self, name: Option<&str>) -> Self {
        self.created = name.and_then(|name| self.by_name.get(name.as_bytes()).copied());
        self
    }

    /// Reads dates as UNIX seconds, with 0 for never, and an empty array as null where an object is declared.
    pub fn text_values(mut self, has_text_values: bool) -> Self {
        self.has_text_values = has_text_values;
        self
    }

    /// Drops these fields from every record, and members whose names follow `**.` at any depth. The text of a field
    /// whose name is followed by `=text` is emitted as null.
    pub fn never_send(mut self, paths: &[&str]) -> Self {
        for path in paths {
            match (path.strip_prefix("**."), path.strip_suffix("=text")) {
                (Some(name), _) => self.never_inside.add(name.as_bytes()),
                (None, Some(name)) => self.never_text.extend(self.by_name.get(name.as_bytes())),
                (None, None) => _ = self.never_sent.insert(path.as_bytes().to_vec()),
            }
        }
        for field in &mut self.fields {
            let name = field.name.as_bytes();
            field.is_dropped |= self.never_sent.contains(name) || self.never_inside.contains(name);
        }
        self
    }

    /// Returns true if a field of this name must never be emitted.
    pub(super) fn is_never_sent(&self, name: &[u8]) -> bool {
        self.never_sent.contains(name) || self.never_inside.contains(name)
    }

    /// Returns true if records may have fields to drop.
    pub(super) fn has_drops(&self) -> bool {
        self.selected.is_some() || !self.never_sent.is_empty() || !self.never_inside.is_empty()
    }

    /// Sets these fields to null.
    pub fn redact(&mut self, names: &[impl AsRef<str>]) {
        let is_named = |field: &&mut Field| names.iter().any(|name| name.as_ref() == field.name);
        for field in self.fields.iter_mut().filter(is_named) {
            field.is_redacted = true;
        }
    }

    /// Sets the schema of the records in a field, which is one record or a list. `entry` is the entry of `expand` that
    /// requests them.
    pub fn nest(&mut self, name: &str, inside: Self, entry: String) {
        if let Some(&index) = self.by_name.get(name.as_bytes()) {
            self.fields[index].inside = Some(Arc::new(inside));
            self.entries.insert(index, entry);
        }
    }

    /// Sets fields of the records in a field to null that nobody requested, should the store send it.
    pub fn redact_inside(&mut self, name: &str, inside: Self) {
        match self.by_name.get(name.as_bytes()) {
            Some(&index) => self.fields[index].inside = Some(Arc::new(inside)),
            None => _ = self.redacted_inside.insert(name.as_bytes().to_vec(), Arc::new(inside)),
        }
    }

    /// Returns true if records are copied unchanged: no field is declared, and none is set to null.
    pub fn is_plain(&self) -> bool {
        self.fields.is_empty() && self.redacted_inside.is_empty() && self.selected.is_none()
    }

    /// Drops all fields but these.
    pub fn select<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        let names: HashSet<Vec<u8>> = names.map(|name| name.as_bytes().to_vec()).collect();
        for field in &mut self.fields {
            field.is_dropped |= !names.contains(field.name.as_bytes());
        }
        self.selected = Some(names);
    }

    /// Returns true if a field of this name is dropped.
    pub(super) fn drops(&self, name: &[u8]) -> bool {
        self.is_never_sent(name) || self.selected.as_ref().is_some_and(|names| !names.contains(name))
    }
}

pub(super) fn label(name: &[u8]) -> Vec<u8> {
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

pub(super) fn declared(accepts: u8, is_date: bool) -> String {
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
