//! Records as rows of comma-separated values (RFC 4180, lines ended by a line feed).
//!
//! There is a column for each declared field, in the order of the schema, and a last one, `_extra`, for undeclared
//! fields, as one JSON object. Null and missing values are empty, an empty string is `""`; numbers keep the store's
//! digits; nested values stay JSON.

use std::collections::HashMap;

use crate::json::{Kind, NotJson, Scanner};

/// The column of undeclared fields.
const EXTRA: &str = "_extra";

/// The columns of a stream.
#[derive(Debug)]
pub(crate) struct Columns {
    names: Vec<String>,
    /// Columns by the field's name as it is written in JSON.
    by_name: HashMap<Vec<u8>, usize>,
    /// For each column, the type and position of its value in the current record.
    values: Vec<Option<(Kind, usize, usize)>>,
    has_header: bool,
}

impl Columns {
    /// Returns columns for these fields.
    pub(crate) fn new(names: Vec<String>) -> Self {
        let text = |name: &String| serde_json::to_string(name).unwrap_or_default();
        let inside = |text: String| text.trim_matches('"').as_bytes().to_vec();
        let by_name = names.iter().enumerate().map(|(index, name)| (inside(text(name)), index)).collect();
        Self { values: vec![None; names.len()], names, by_name, has_header: false }
    }

    /// Appends the line of names, the first time it is called.
    pub(crate) fn header_once(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_header, true) {
            return;
        }
        for name in &self.names {
            field(name.as_bytes(), out);
            out.push(b',');
        }
        out.extend_from_slice(EXTRA.as_bytes());
        out.push(b'\n');
    }

    /// Appends the row of a record, a JSON object. Appends nothing if it is not JSON.
    pub(crate) fn row(&mut self, record: &[u8], out: &mut Vec<u8>) -> Result<(), NotJson> {
        self.values.fill(None);
        let mut extra = Vec::new();
        let mut scanner = Scanner::new(record);
        scanner.require(b'{')?;
        while !scanner.take(b'}') {
            let start = scanner.position();
            let name = scanner.text()?;
            scanner.require(b':')?;
            let from = scanner.position();
            let (kind, _) = scanner.value()?;
            match self.by_name.get(name) {
                // If a name occurs twice, the last value is used, as everywhere in JSON.
                Some(&column) => self.values[column] = Some((kind, from, scanner.position())),
                None => {
                    extra.push(if extra.is_empty() { b'{' } else { b',' });
                    extra.extend_from_slice(scanner.since(start));
                }
            }
            if scanner.peek() != Some(b'}') {
                scanner.require(b',')?;
            }
        }
        for value in &self.values {
            if let Some((kind, from, to)) = *value {
                cell(kind, &record[from..to], out);
            }
            out.push(b',');
        }
        if !extra.is_empty() {
            extra.push(b'}');
            field(&extra, out);
        }
        out.push(b'\n');
        Ok(())
    }
}

/// Appends one value.
fn cell(kind: Kind, raw: &[u8], out: &mut Vec<u8>) {
    match kind {
        Kind::Null => {}
        Kind::Boolean | Kind::Integer | Kind::Decimal => out.extend_from_slice(raw),
        Kind::Array | Kind::Object => field(raw, out),
        Kind::Text => {
            let inside = &raw[1..raw.len() - 1];
            if !inside.contains(&b'\\') {
                return field(inside, out);
            }
            match serde_json::from_slice::<String>(raw) {
                Ok(text) => field(text.as_bytes(), out),
                // Half of a surrogate pair is not a character: the text stays as the store wrote it.
                Err(_) => field(inside, out),
            }
        }
    }
}

/// Appends a string, in quotes where it needs them. An empty string is quoted, so that it differs from null.
fn field(text: &[u8], out: &mut Vec<u8>) {
    if !text.is_empty() && !text.iter().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    for &byte in text {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(record: &str) -> String {
        let mut columns = Columns::new(["id", "total", "note", "items"].map(str::to_owned).to_vec());
        let mut out = Vec::new();
        columns.row(record.as_bytes(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_header_is_written_once() {
        let mut out = Vec::new();
        let mut columns = Columns::new(vec!["id".to_owned(), "a,b".to_owned()]);
        columns.header_once(&mut out);
        columns.header_once(&mut out);
        assert_eq!(out, b"id,\"a,b\",_extra\n");
    }

    #[test]
    fn values_keep_their_digits_and_null_is_not_the_empty_text() {
        assert_eq!(row(r#"{"id":1,"total":1886.0000,"note":null}"#), "1,1886.0000,,,\n");
        let digits = "123456789012345678901234567890.10";
        assert_eq!(row(&format!(r#"{{"note":"","total":{digits},"id":-1}}"#)), format!("-1,{digits},\"\",,\n"));
        assert_eq!(row("{}"), ",,,,\n");
        assert_eq!(row(r#"{"id":true,"id":false}"#), "false,,,,\n");
    }

    #[test]
    fn texts_are_quoted_where_they_must_be_and_never_changed() {
        let note = |json: &str| row(&format!(r#"{{"note":{json}}}"#));
        assert_eq!(note(r#""a b""#), ",,a b,,\n");
        assert_eq!(note(r#""a,b""#), ",,\"a,b\",,\n");
        assert_eq!(note(r#""say \"hi\"""#), ",,\"say \"\"hi\"\"\",,\n");
        assert_eq!(note(r#""two\r\nlines""#), ",,\"two\r\nlines\",,\n");
        assert_eq!(note(r#""Gr\u00fc\u00dfe \ud83d\ude00""#), ",,Grüße 😀,,\n");
        assert_eq!(note(r#""half \ud83d""#), ",,half \\ud83d,,\n", "what is no character stays as it was written");
    }

    #[test]
    fn nested_values_stay_json_and_undeclared_fields_are_kept() {
        assert_eq!(row(r#"{"items":[{"id":1.50}]}"#), ",,,\"[{\"\"id\"\":1.50}]\",\n");
        assert_eq!(
            row(r#"{"new":1.0,"id":7,"other":"x,\"y\""}"#),
            "7,,,,\"{\"\"new\"\":1.0,\"\"other\"\":\"\"x,\\\"\"y\\\"\"\"\"}\"\n"
        );
    }
}
