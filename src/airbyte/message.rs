//! Outbound messages: one JSON object a line, borrowed and written only.
//!
//! ```text
//! {"type":"LOG","log":{"level":"INFO","message":"…"}}
//! {"type":"SPEC","spec":{"connectionSpecification":{…},"documentationUrl":"…"}}
//! {"type":"CONNECTION_STATUS","connectionStatus":{"status":"SUCCEEDED","message":"…"}}
//! {"type":"CATALOG","catalog":{"streams":[…]}}
//! {"type":"TRACE","trace":{"type":"STREAM_STATUS","emitted_at":1,"stream_status":{…}}}
//! {"type":"RECORD","record":{"stream":"orders","emitted_at":1,"data":{…}}}
//! {"type":"STATE","state":{"type":"STREAM","stream":{…},"sourceStats":{"recordCount":2.0}}}
//! ```
//!
//! `namespace` is left out everywhere: an API has none, and the platform takes `""` for another one.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::json::Scanner;

/// One line of output.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the names are the protocol's own; its schema says what they mean")]
pub enum Message<'a> {
    Log {
        log: Log<'a>,
    },
    Spec {
        spec: &'a RawValue,
    },
    ConnectionStatus {
        #[serde(rename = "connectionStatus")]
        connection_status: ConnectionStatus<'a>,
    },
    Catalog {
        catalog: Catalog<'a>,
    },
    Trace {
        trace: Trace<'a>,
    },
    State {
        state: State<'a>,
    },
}

/// Severity of a LOG message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the protocol's own levels")]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
}

/// A line for the job's log.
#[derive(Debug, Serialize)]
pub struct Log<'a> {
    /// Severity.
    pub level: Level,
    /// The text.
    pub message: &'a str,
}

/// The outcome of `check`.
#[derive(Debug, Serialize)]
pub struct ConnectionStatus<'a> {
    /// `SUCCEEDED` or `FAILED`.
    pub status: &'static str,
    /// What to do, or what to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<&'a str>,
}

/// The outcome of `discover`.
#[derive(Debug, Serialize)]
pub struct Catalog<'a> {
    /// The streams, in the order of the table.
    pub streams: Vec<Stream<'a>>,
}

/// One stream of the catalog.
#[derive(Debug, Serialize)]
pub struct Stream<'a> {
    /// Its name.
    pub name: &'a str,
    /// The schema of its records.
    pub json_schema: Box<RawValue>,
    /// How it can be read.
    pub supported_sync_modes: &'static [&'static str],
    /// True if the source chooses the cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_defined_cursor: Option<bool>,
    /// Path of the cursor field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_cursor_field: Option<[&'a str; 1]>,
    /// Paths of the key fields.
    pub source_defined_primary_key: [[&'a str; 1]; 1],
    /// True if a broken read can go on from a checkpoint. The protocol allows it only next to a cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_resumable: Option<bool>,
}

/// A TRACE message's content.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the names are the protocol's own")]
pub enum Trace<'a> {
    Error { emitted_at: u64, error: TraceError<'a> },
    Estimate { emitted_at: u64, estimate: Estimate<'a> },
    StreamStatus { emitted_at: u64, stream_status: StreamStatusBody<'a> },
}

/// Who can mend a failure; the platform does not retry a `config_error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureType {
    /// A fault of this program, or of the store in a way that is not expected to pass.
    SystemError,
    /// Only the user can mend it.
    ConfigError,
    /// It may pass.
    TransientError,
}

/// A failure, told to the user.
#[derive(Debug, Serialize)]
pub struct TraceError<'a> {
    /// For the user: what, where, what to do.
    pub message: &'a str,
    /// For whoever looks closer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal_message: Option<&'a str>,
    /// Who can mend it.
    pub failure_type: FailureType,
    /// The stream it ended, if it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_descriptor: Option<Descriptor<'a>>,
}

/// A stream's name in a message.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Descriptor<'a> {
    /// The name the configured catalog uses.
    pub name: &'a str,
}

/// How many rows a stream is expected to bring.
#[derive(Debug, Serialize)]
pub struct Estimate<'a> {
    /// The stream.
    pub name: &'a str,
    /// Always `STREAM`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Rows.
    pub row_estimate: u64,
}

/// Where a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the protocol's own names")]
pub enum StreamStatus {
    Started,
    Running,
    Complete,
    Incomplete,
}

/// A change of a stream's status.
#[derive(Debug, Serialize)]
pub struct StreamStatusBody<'a> {
    /// The stream.
    pub stream_descriptor: Descriptor<'a>,
    /// Its new status.
    pub status: StreamStatus,
    /// Why it is running but brings nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasons: Option<[Reason; 1]>,
}

/// The only reason the protocol knows.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the protocol's own names")]
pub enum Reason {
    RateLimited { rate_limited: RateLimited },
}

/// Until when.
#[derive(Debug, Serialize)]
pub struct RateLimited {
    /// Milliseconds since the epoch.
    pub quota_reset: u64,
}

/// A checkpoint of one stream.
#[derive(Debug, Serialize)]
pub struct State<'a> {
    /// Always `STREAM`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Whose state.
    pub stream: StreamState<'a>,
    /// What it covers.
    #[serde(rename = "sourceStats")]
    pub source_stats: SourceStats,
}

/// A stream and its state.
#[derive(Debug, Serialize)]
pub struct StreamState<'a> {
    /// The stream.
    pub stream_descriptor: Descriptor<'a>,
    /// Its state, of any shape.
    pub stream_state: &'a RawValue,
}

/// Counts that go with a state.
#[derive(Debug, Serialize)]
pub struct SourceStats {
    /// Records of the stream since its last state; the protocol has a number with a fraction here.
    #[serde(rename = "recordCount")]
    pub record_count: f64,
}

impl<'a> Message<'a> {
    /// A TRACE error of no stream.
    #[must_use]
    pub fn user_error(failure_type: FailureType, message: &'a str, internal_message: Option<&'a str>) -> Self {
        let error = TraceError { message, internal_message, failure_type, stream_descriptor: None };
        Self::Trace { trace: Trace::Error { emitted_at: now(), error } }
    }

    /// The message as a line, with its line feed.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

/// A STATE line.
#[must_use]
pub fn state_line(stream: &str, state: &RawValue, records: u64) -> Vec<u8> {
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 records since the last state")]
    let source_stats = SourceStats { record_count: records as f64 };
    let stream = StreamState { stream_descriptor: Descriptor { name: stream }, stream_state: state };
    Message::State { state: State { kind: "STREAM", stream, source_stats } }.line()
}

/// What stands before the data of a RECORD line.
#[must_use]
pub fn record_prefix(stream: &str) -> Vec<u8> {
    let name = serde_json::to_string(stream).unwrap_or_default();
    format!(r#"{{"type":"RECORD","record":{{"stream":{name},"emitted_at":{},"data":"#, now()).into_bytes()
}

/// What stands behind the data of a RECORD line.
pub const RECORD_SUFFIX: &[u8] = b"}}\n";

/// What a RECORD line begins with, and no other.
const RECORD_OPENING: &[u8] = br#"{"type":"RECORD","record":{"stream":"#;

/// What a STATE line begins with, and no other.
const STATE_OPENING: &[u8] = br#"{"type":"STATE""#;

/// Stream and data of a line that [`record_prefix`] and [`RECORD_SUFFIX`] enclose; `None` for any other.
/// The stream is as it stands in JSON, without the quotes.
#[must_use]
pub fn record_parts(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut scanner = Scanner::new(line.strip_prefix(RECORD_OPENING)?);
    let stream = scanner.text().ok()?;
    if !scanner.take_all(br#","emitted_at":"#) {
        return None;
    }
    scanner.value().ok()?;
    if !scanner.take_all(br#","data":"#) {
        return None;
    }
    let start = RECORD_OPENING.len() + scanner.position();
    Some((stream, line.get(start..line.len().checked_sub(RECORD_SUFFIX.len())?)?))
}

/// The STATE line that ends a batch of lines, if one does.
#[must_use]
pub fn closing_state(lines: &[u8]) -> Option<&[u8]> {
    let inner = lines.strip_suffix(b"\n")?;
    let start = memchr::memrchr(b'\n', inner).map_or(0, |end| end + 1);
    lines.get(start..).filter(|line| line.starts_with(STATE_OPENING))
}

/// Milliseconds since the epoch.
#[must_use]
pub fn now() -> u64 {
    millis(SystemTime::now())
}

/// A moment in milliseconds since the epoch.
#[must_use]
pub fn millis(moment: SystemTime) -> u64 {
    moment.duration_since(UNIX_EPOCH).ok().and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or(0)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_record_line_comes_apart_as_it_was_put_together() {
        for (stream, data) in [("orders", r#"{"id":1,"x":"}}"}"#), ("a\"b,\"data\":", "{}")] {
            let line = [record_prefix(stream), data.as_bytes().to_vec(), RECORD_SUFFIX.to_vec()].concat();
            let name = serde_json::to_string(stream).unwrap();
            let parts = record_parts(&line).unwrap();
            assert_eq!(parts, (&name.as_bytes()[1..name.len() - 1], data.as_bytes()));
        }
        let state = state_line("orders", &RawValue::from_string("{}".to_owned()).unwrap(), 1);
        assert_eq!(record_parts(&state), None);
        assert_eq!(record_parts(b"{\"type\":\"RECORD\",\"record\":{\"stream\":\"x\""), None);
    }

    #[test]
    fn a_state_after_records_is_found_and_nothing_else_is_taken_for_one() {
        let state = state_line("orders", &RawValue::from_string("{}".to_owned()).unwrap(), 1);
        let record = [record_prefix("orders"), b"{}".to_vec(), RECORD_SUFFIX.to_vec()].concat();
        assert_eq!(closing_state(&state), Some(state.as_slice()));
        assert_eq!(closing_state(&[record.clone(), state.clone()].concat()), Some(state.as_slice()));
        assert_eq!(closing_state(&[state, record.clone()].concat()), None);
        assert_eq!(closing_state(&record), None);
        assert_eq!(closing_state(b""), None);
    }
}
