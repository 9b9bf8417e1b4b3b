//! The rows inside the rows of a response, such as the lines of an order. Each becomes a record of a stream of its own,
//! with the fields of its parent that identify it.

use super::rows::{Row, Rows};
use crate::airbyte::LineBatch;
use crate::airbyte::message::RECORD_SUFFIX;
use crate::http::Envelope;
use crate::json::{self, Scanner, members};
use crate::record::{Key, RecordMeta, RecordWriter};
use crate::stream::Nested;

/// The nested rows of a response.
#[derive(Debug, Default)]
pub(super) struct NestedRows {
    /// The rows.
    pub rows: Rows,
    /// For each of them, the index of the row that contains it.
    pub parents: Vec<usize>,
}

/// Collects the nested rows of one response while it arrives.
#[derive(Debug)]
pub(super) struct NestedSink<'c> {
    nested: &'static Nested,
    lines: LineBatch,
    rows: Vec<Row>,
    parents: Vec<usize>,
    /// Rows without a key.
    rows_without_key: usize,
    prefix: &'c [u8],
    writer: &'c mut RecordWriter,
    /// A nested row with the fields of its parent.
    buffer: Vec<u8>,
}

impl<'c> NestedSink<'c> {
    /// Returns a sink that writes to `lines`. `prefix` is written before the data of each line.
    pub(super) fn new(
        nested: &'static Nested,
        lines: LineBatch,
        prefix: &'c [u8],
        writer: &'c mut RecordWriter,
    ) -> Self {
        let (rows, parents, buffer) = (Vec::new(), Vec::new(), Vec::new());
        Self { nested, lines, rows, parents, rows_without_key: 0, prefix, writer, buffer }
    }

    /// Returns the nested rows of the complete response.
    pub(super) fn into_rows(self, asked: usize) -> NestedRows {
        let envelope = Envelope::default();
        let Self { lines, rows, parents, rows_without_key, .. } = self;
        NestedRows {
            rows: Rows {
                lines,
                rows,
                envelope,
                rows_without_key,
                skipped: Vec::new(),
                is_short: false,
                nested: None,
                asked,
            },
            parents,
        }
    }

    /// Discards all rows.
    pub(super) fn restart(&mut self) {
        self.lines.clear();
        self.rows.clear();
        self.parents.clear();
        self.rows_without_key = 0;
        self.writer.forget(0);
    }

    /// Returns the memory that the lines use, in bytes.
    pub(super) fn memory_used(&self) -> usize {
        self.lines.len()
    }

    /// Adds the rows inside `parent`, a complete JSON object. `index` is the index of the parent in the response,
    /// `created` the date of its creation.
    pub(super) fn add(&mut self, parent: &[u8], index: usize, created: Option<i64>) {
        let mut inherited: Vec<Option<&[u8]>> = vec![None; self.nested.inherited.len()];
        let mut field = None;
        for (name, value) in members(parent) {
            if name == self.nested.field.as_bytes() {
                field = Some(value);
            } else if let Some(place) = self.nested.inherited.iter().position(|known| known.as_bytes() == name) {
                inherited[place] = Some(value);
            }
        }
        let Some(field) = field else { return };
        for row in elements(field).into_iter().filter(|row| row.starts_with(b"{")) {
            self.buffer.clear();
            self.buffer.push(b'{');
            let fields = self.nested.inherited.iter().zip(&inherited);
            for (name, value) in fields.filter_map(|(name, value)| Some((name.as_bytes(), (*value)?))) {
                put(&mut self.buffer, name, value);
            }
            for (name, value) in members(row) {
                if !self.nested.inherited.iter().any(|known| known.as_bytes() == name) {
                    put(&mut self.buffer, name, value);
                }
            }
            self.buffer.push(b'}');
            self.write(index, created);
        }
    }

    /// Writes the row in the buffer.
    fn write(&mut self, index: usize, created: Option<i64>) {
        let (block, lines) = self.lines.begin_line();
        let start = lines.len();
        lines.extend_from_slice(self.prefix);
        // The buffer has one object, made of parts that were parsed.
        let written = self.writer.copy(&mut Scanner::new(&self.buffer), lines);
        let Ok(RecordMeta { key, updated, offset, .. }) = written else {
            lines.truncate(start);
            return;
        };
        if key == Key::Missing {
            lines.truncate(start);
            self.rows_without_key += 1;
            return;
        }
        lines.extend_from_slice(RECORD_SUFFIX);
        let end = lines.len();
        self.rows.push(Row { key, updated, offset, created, block, end });
        self.parents.push(index);
    }
}

/// Appends a member of an object.
fn put(buffer: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    if buffer.len() > 1 {
        buffer.push(b',');
    }
    buffer.push(b'"');
    buffer.extend_from_slice(name);
    buffer.extend_from_slice(b"\":");
    json::write_compact(value, buffer);
}

/// Returns the elements of a JSON array, or the values of an object.
fn elements(list: &[u8]) -> Vec<&[u8]> {
    if list.starts_with(b"{") {
        return members(list).into_iter().map(|(_, value)| value).collect();
    }
    let mut scanner = Scanner::new(list);
    let mut elements = Vec::new();
    scanner.take(b'[');
    loop {
        scanner.skip_space();
        scanner.take(b',');
        scanner.skip_space();
        let from = scanner.position();
        if scanner.value().is_err() {
            return elements;
        }
        elements.push(scanner.since(from));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::record::{CursorValue, RecordSchema};

    static LINES: Nested = Nested { parent: "rows", field: "lines", inherited: &["id", "changed"], one_by_one: false };

    fn rows(parents: &[&str]) -> (Vec<String>, NestedRows) {
        let schema = json!({"properties": {
            "id": {"type": "integer"}, "line": {"type": "integer"},
            "changed": {"type": ["null", "string"], "format": "date-time"},
        }});
        let schema = RecordSchema::new(&schema, "id", Some("changed")).further_keys(&["line"]).text_values(true);
        let mut writer = RecordWriter::new(Arc::new(schema));
        let mut sink = NestedSink::new(&LINES, LineBatch::default(), b"<", &mut writer);
        for (index, parent) in parents.iter().enumerate() {
            sink.add(parent.as_bytes(), index, Some(7));
        }
        let nested = sink.into_rows(1);
        let data = |index| String::from_utf8(nested.rows.data(index, 1).to_vec()).unwrap();
        ((0..nested.rows.rows.len()).map(data).collect(), nested)
    }

    #[test]
    fn each_nested_row_has_the_fields_of_its_parent() {
        let (lines, nested) = rows(&[
            r#"{"id":"1","lines":{"5":{"line":"5","id":"9","a":[1, 2]},"6":{"line":"6"}},"changed":"60"}"#,
            r#"{"lines":[],"id":"2"}"#,
            r#"{ "id" : 3 , "lines" : [ {"line":5} , false, {} ] }"#,
            r#"{"id":"4","lines":false}"#,
        ]);
        let date = r#""changed":"1970-01-01T00:01:00Z""#;
        assert_eq!(
            lines,
            [
                format!(r#"{{"id":1,{date},"line":5,"a":[1,2]}}"#),
                format!(r#"{{"id":1,{date},"line":6}}"#),
                r#"{"id":3,"line":5}"#.to_owned(),
                r#"{"id":3,"line":0}"#.to_owned(),
            ]
        );
        assert_eq!(nested.parents, [0, 0, 2, 2]);
        let keys: std::collections::HashSet<Key> = nested.rows.rows.iter().map(|row| row.key).collect();
        assert_eq!(keys.len(), 4);
        assert!(matches!(nested.rows.rows[0].updated, CursorValue::At(_)));
        assert!(nested.rows.rows.iter().all(|row| row.created == Some(7)));
    }
}
