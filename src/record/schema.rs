//! What a schema says of the records of one stream, compiled once for all who copy them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

pub(super) const NULL: u8 = 1;
pub(super) const TEXT: u8 = 1 << 1;
pub(super) const INTEGER: u8 = 1 << 2;
pub(super) const NUMBER: u8 = 1 << 3;
pub(super) const BOOLEAN: u8 = 1 << 4;
pub(super) const ARRAY: u8 = 1 << 5;
pub(super) const OBJECT: u8 = 1 << 6;
pub(super) const ANYTHING: u8 = u8::MAX;

/// What a schema says of the records of one stream, compiled for the copying of records.
#[derive(Debug)]
pub struct RecordSchema {
    pub(super) fields: Vec<Field>,
    pub(super) by_name: HashMap<Vec<u8>, usize>,
    pub(super) key: usize,
    pub(super) cursor: Option<usize>,
    /// The names of the fields that are sent, if not all are.
    pub(super) selected: Option<HashSet<Vec<u8>>>,
    /// The entries of `expand` that request a collection, by the index of its field.
    pub(super) entries: HashMap<usize, String>,
    /// Records inside undeclared fields, by the name of the field, of which some values are sent as null.
    pub(super) redacted_inside: HashMap<Vec<u8>, Arc<RecordSchema>>,
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    /// Its name.
    pub(super) name: String,
    /// `"name":`, as it stands in the text of a record.
    pub(super) label: Vec<u8>,
    /// The types that are declared, as bits.
    pub(super) accepts: u8,
    /// Declared as an instant.
    pub(super) is_date: bool,
    /// Goes out as null, whatever came.
    pub(super) is_redacted: bool,
    /// Is not sent.
    pub(super) is_dropped: bool,
    /// What the records inside look like, in a nested collection.
    pub(super) inside: Option<Arc<RecordSchema>>,
}

impl Field {
    /// A field that accepts anything and is copied as it is.
    pub(super) fn new(name: String, label: Vec<u8>) -> Self {
        Self { name, label, accepts: ANYTHING, is_date: false, is_redacted: false, is_dropped: false, inside: None }
    }
}

impl RecordSchema {
    /// Compiles the top level of a JSON schema. Types the schema does not name accept anything.
    #[must_use]
    pub fn new(schema: &Value, key: &str, cursor: Option<&str>) -> Self {
        let mut record_schema = Self {
            fields: Vec::new(),
            by_name: HashMap::new(),
            key: usize::MAX,
            cursor: None,
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

    /// Sets these fields to null.
    pub fn redact(&mut self, names: &[impl AsRef<str>]) {
        let is_named = |field: &&mut Field| names.iter().any(|name| name.as_ref() == field.name);
        for field in self.fields.iter_mut().filter(is_named) {
            field.is_redacted = true;
        }
    }

    /// Fits the records inside a field, which holds one or a list of them, as those of a stream. `entry` is what
    /// the config says to request them.
    pub fn nest(&mut self, name: &str, inside: Self, entry: String) {
        if let Some(&index) = self.by_name.get(name.as_bytes()) {
            self.fields[index].inside = Some(Arc::new(inside));
            self.entries.insert(index, entry);
        }
    }

    /// Empties fields of the records inside a field that nobody requested, should the store send it.
    pub fn redact_inside(&mut self, name: &str, inside: Self) {
        match self.by_name.get(name.as_bytes()) {
            Some(&index) => self.fields[index].inside = Some(Arc::new(inside)),
            None => _ = self.redacted_inside.insert(name.as_bytes().to_vec(), Arc::new(inside)),
        }
    }

    /// Returns true if records are copied as they are: no field is declared, none is emptied.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.fields.is_empty() && self.redacted_inside.is_empty() && self.selected.is_none()
    }

    /// Drops all fields but these.
    pub fn select<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        let names: HashSet<Vec<u8>> = names.map(|name| name.as_bytes().to_vec()).collect();
        for field in &mut self.fields {
            field.is_dropped = !names.contains(field.name.as_bytes());
        }
        self.selected = Some(names);
    }

    /// Returns true if a field of this name is dropped.
    pub(super) fn drops(&self, name: &[u8]) -> bool {
        self.selected.as_ref().is_some_and(|names| !names.contains(name))
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
