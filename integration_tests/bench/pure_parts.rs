//! The pure parts for the benchmarks and the instruction count: always with the same bytes.
//!
//! The rows are made from the schemas alone: every declared field in the order of the schema, most with a common
//! value and some with a unique one, dates in local time with an offset, as the API sends them.

use std::hint::black_box;
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;
use source_cart::airbyte::message::{RECORD_SUFFIX, record_prefix, state_line};
use source_cart::airbyte::state;
use source_cart::cart::page::PageParser;
use source_cart::http::ElementSink;
use source_cart::json::Scanner;
use source_cart::record::{NotARecord, RecordSchema, RecordWriter};
use source_cart::streams;
use source_cart::timestamp::Timestamp;

/// Rows per page, as the connector requests them.
pub(crate) const ROWS: usize = 1000;
/// Bytes passed to the parser at a time, as the client does.
const WINDOW: usize = 64 * 1024;
/// Times parsed and written per run.
pub(crate) const INSTANTS: usize = 1000;

/// A page of a stream, and the parts needed to parse it.
pub(crate) struct Page {
    /// Body of the response.
    pub(crate) body: Vec<u8>,
    record_schema: Arc<RecordSchema>,
    list: &'static str,
    prefix: Vec<u8>,
}

impl Page {
    /// Returns the page of a stream of the table.
    pub(crate) fn of(name: &str) -> Page {
        let Some(stream) = streams::find(name) else { panic!("no stream {name}") };
        let schema = &(stream.fields)().schema;
        let body = format!("{{\"total_count\":{ROWS},\"{}\":[{}]}}", stream.list, rows(schema).join(","));
        Page {
            body: body.into_bytes(),
            record_schema: Arc::new(RecordSchema::new(schema, stream.key(), Some("updated_at"))),
            list: stream.list,
            prefix: record_prefix(name),
        }
    }
}

/// Returns rows whose fields are drawn by a reproducible generator (SplitMix64).
fn rows(schema: &Value) -> Vec<String> {
    let mut seed = 7u64;
    let mut draw = |bound: u64| {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 31)) % bound
    };
    let properties: Vec<(&String, &Value)> =
        schema.get("properties").and_then(Value::as_object).into_iter().flatten().collect();
    let mut row = |number: usize| {
        let field = |(name, property): &(&String, &Value)| {
            let types = property["type"].to_string();
            let is_usual = draw(3) > 0;
            let value = if name.as_str() == "id" {
                (number * 3).to_string()
            } else if property["format"] == "date-time" {
                format!(
                    "\"2021-{:02}-{:02}T{:02}:15:{:02}.{:03}-06:00\"",
                    draw(12) + 1,
                    draw(28) + 1,
                    draw(24),
                    draw(60),
                    draw(1000)
                )
            } else if types.contains("string") {
                if is_usual {
                    "\"\"".to_owned()
                } else {
                    format!("\"A text of some words, \\\"quoted\\\" at times, {}\"", draw(1_000_000))
                }
            } else if types.contains("boolean") {
                (draw(8) == 0).to_string()
            } else if types.contains("number") {
                if is_usual { "0.0000".to_owned() } else { format!("{}.{:04}", draw(5000), draw(10_000)) }
            } else if types.contains("integer") {
                if is_usual { "0".to_owned() } else { draw(100_000).to_string() }
            } else {
                "null".to_owned()
            };
            format!("\"{name}\":{value}")
        };
        format!("{{{}}}", properties.iter().map(field).collect::<Vec<_>>().join(","))
    };
    (0..ROWS).map(&mut row).collect()
}

struct LineBatch<'p> {
    writer: RecordWriter,
    prefix: &'p [u8],
    out: Vec<u8>,
}

impl ElementSink for LineBatch<'_> {
    fn restart(&mut self) {
        self.out.clear();
    }

    fn element(&mut self, scanner: &mut Scanner<'_>) -> Result<(), NotARecord> {
        let start = self.out.len();
        self.out.extend_from_slice(self.prefix);
        if let Err(reason) = self.writer.copy(scanner, &mut self.out) {
            self.out.truncate(start);
            return Err(reason);
        }
        self.out.extend_from_slice(RECORD_SUFFIX);
        Ok(())
    }
}

/// Converts a page to lines, in chunks as they come from the socket. Returns the length of the lines.
#[inline(never)]
pub(crate) fn page_to_lines(page: &Page) -> usize {
    let names = [page.list];
    let mut reading = PageParser::new(&names);
    let out = Vec::with_capacity(2 * page.body.len());
    let mut lines = LineBatch { writer: RecordWriter::new(Arc::clone(&page.record_schema)), prefix: &page.prefix, out };
    let (mut from, mut to) = (0, 0);
    while to < page.body.len() {
        to = page.body.len().min(to + WINDOW);
        match reading.feed(&page.body[from..to], to == page.body.len(), &mut lines) {
            Ok(done) => from += done,
            Err(fault) => panic!("{fault:?}"),
        }
    }
    assert!(reading.finish(&mut lines).is_ok());
    black_box(lines.out.len())
}

/// Converts local times with an offset to UTC.
#[inline(never)]
pub(crate) fn instants_to_utc(texts: &[String]) -> usize {
    let mut out = Vec::with_capacity(32 * texts.len());
    for text in texts {
        if let Ok(instant) = Timestamp::parse(text.as_bytes()) {
            instant.write_to(&mut out);
        }
    }
    black_box(out.len())
}

/// Returns the input of [`instants_to_utc`].
pub(crate) fn instants() -> Vec<String> {
    let text = |n: usize| {
        format!("20{:02}-{:02}-{:02}T{:02}:{:02}:07.{:03}-05:00", n % 30, n % 12 + 1, n % 28 + 1, n % 24, n % 60, n)
    };
    (0..INSTANTS).map(text).collect()
}

/// Parses a state file, and writes each state as a line.
#[inline(never)]
pub(crate) fn state_to_line(text: &[u8]) -> usize {
    let states = state::parse(text.to_vec()).unwrap_or_default();
    let line = |state: &state::StoredState| {
        let raw = RawValue::from_string(state.state.to_string()).unwrap_or_else(|_| RawValue::NULL.to_owned());
        state_line(&state.name, &raw, 1000).len()
    };
    black_box(states.list.iter().map(line).sum())
}

/// Returns a state of about the maximum size: a thousand rows that are remembered one by one.
pub(crate) fn state_text() -> Vec<u8> {
    let row =
        |n: usize| format!("\"2024-11-17T23:{:02}:{:02}.{:03}Z\":[{}]", n / 60 % 60, n % 60, n % 1000, 50_000 + 2 * n);
    let recent = (0..900).map(row).collect::<Vec<_>>().join(",");
    format!(
        "[{{\"type\":\"STREAM\",\"stream\":{{\"stream_descriptor\":{{\"name\":\"orders\"}},\"stream_state\":{{\"updated_at\":\"2024-11-17T23:59:59Z\",\"recent\":{{{recent}}}}}}}}}]"
    )
    .into_bytes()
}
