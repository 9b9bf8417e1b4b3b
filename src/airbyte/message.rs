//! Outbound messages: one JSON object per line.
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
//! RECORD lines are assembled from strings ([`record_prefix`]). A STATE is sent to the writer together with the records
//! that it covers ([`StateMessage`]). Every other message is a [`Message`]. No message has a `namespace`: an API has
//! none, and the platform would use `""` as the name of one.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::value::RawValue;

/// A message other than RECORD and STATE.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the names are the protocol's own; its schema documents them")]
pub enum Message {
    Log {
        log: Log,
    },
    Spec {
        spec: Box<RawValue>,
    },
    ConnectionStatus {
        #[serde(rename = "connectionStatus")]
        connection_status: ConnectionStatus,
    },
    Catalog {
        catalog: Catalog,
    },
    Trace {
        trace: Trace,
    },
}

/// Severity of a LOG message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the protocol's own levels")]
pub enum Level {
    Debug,
    Info,
    Warn,
}

/// A line of the job's log.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the protocol's own names")]
pub struct Log {
    pub level: Level,
    pub message: String,
}

/// The result of `check`.
#[derive(Debug, Serialize)]
pub struct ConnectionStatus {
    /// Success or failure.
    pub status: CheckStatus,
    /// Text for the user: the reason of a failure, or a note about a success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Success or failure of `check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the protocol's own names")]
pub enum CheckStatus {
    Succeeded,
    Failed,
}

/// The result of `discover`.
#[derive(Debug, Serialize)]
pub struct Catalog {
    /// All streams, in the order of the table.
    pub streams: Vec<Stream>,
}

/// A stream of the catalog.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the protocol's own names")]
pub struct Stream {
    pub name: &'static str,
    /// Schema of a record's data.
    pub json_schema: Box<RawValue>,
    pub supported_sync_modes: &'static [&'static str],
    /// True if the source chooses the cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_defined_cursor: Option<bool>,
    /// Path of the cursor field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_cursor_field: Option<[&'static str; 1]>,
    /// Paths of the key fields.
    pub source_defined_primary_key: Vec<[&'static str; 1]>,
    /// True if an interrupted read can continue from a checkpoint. The protocol allows it only next to a cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_resumable: Option<bool>,
}

/// The content of a TRACE message.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the protocol's own names")]
pub enum Trace {
    Error { emitted_at: u64, error: TraceError },
    Estimate { emitted_at: u64, estimate: Estimate },
    StreamStatus { emitted_at: u64, stream_status: StreamStatusBody },
}

/// Who can fix an error. The platform does not retry after a `config_error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureType {
    /// An error of this program, or a permanent error of the store.
    SystemError,
    /// Only the user can fix it.
    ConfigError,
    /// A temporary error.
    TransientError,
}

/// An error, reported to the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TraceError {
    /// Text for the user: what failed, where, and what to do.
    pub message: String,
    /// Technical details, for the person who investigates the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal_message: Option<String>,
    /// Who can fix it.
    pub failure_type: FailureType,
    /// The stream that the error ended, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_descriptor: Option<Descriptor>,
    /// True if the stream ended because of a signal. Not part of the message: a terminal shows one line for all
    /// streams.
    #[serde(skip)]
    pub is_interruption: bool,
}

impl TraceError {
    /// Returns the name of the stream that the error ended, if any.
    pub fn stream(&self) -> Option<&str> {
        self.stream_descriptor.as_ref().map(|descriptor| descriptor.name.as_str())
    }
}

/// A stream's name in a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Descriptor<Name = String> {
    /// The name that the configured catalog uses.
    pub name: Name,
}

/// The expected number of rows of a stream.
#[derive(Debug, Serialize)]
pub struct Estimate {
    /// The stream.
    pub name: String,
    /// Always `STREAM`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Expected number of rows.
    pub row_estimate: u64,
}

/// The status of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
pub struct StreamStatusBody {
    /// The stream.
    pub stream_descriptor: Descriptor,
    /// Its new status.
    pub status: StreamStatus,
    /// The reason why a running stream emits no records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasons: Option<[Reason; 1]>,
}

/// A reason of a status. The protocol defines only this one.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the protocol's own names")]
pub enum Reason {
    RateLimited { rate_limited: RateLimited },
}

/// The end of a wait for the call limit.
#[derive(Debug, Serialize)]
pub struct RateLimited {
    /// The end of the wait, in milliseconds since the epoch.
    pub quota_reset: u64,
}

impl Message {
    /// Returns a TRACE error, emitted now.
    pub fn error(error: TraceError) -> Self {
        Self::Trace { trace: Trace::Error { emitted_at: now(), error } }
    }

    /// Returns the message as a line, with its line feed.
    pub fn line(&self) -> Vec<u8> {
        to_line(self)
    }
}

fn to_line(message: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}

/// A STATE message: a checkpoint of one stream.
#[derive(Debug)]
pub struct StateMessage {
    /// The stream.
    pub stream: Arc<str>,
    /// The state, a JSON object.
    pub state: Box<RawValue>,
    /// Records of the stream since its last state.
    pub records: u64,
}

impl StateMessage {
    /// Returns the message as a line, with its line feed.
    pub fn line(&self) -> Vec<u8> {
        state_line(&self.stream, &self.state, self.records)
    }
}

#[derive(Serialize)]
struct StateLine<'a> {
    r#type: &'static str,
    state: StateBody<'a>,
}

#[derive(Serialize)]
struct StateBody<'a> {
    r#type: &'static str,
    stream: StreamState<'a>,
    #[serde(rename = "sourceStats")]
    source_stats: SourceStats,
}

#[derive(Serialize)]
struct StreamState<'a> {
    stream_descriptor: Descriptor<&'a str>,
    stream_state: &'a RawValue,
}

#[derive(Serialize)]
struct SourceStats {
    /// A number with a fraction, as the protocol requires.
    #[serde(rename = "recordCount")]
    record_count: f64,
}

/// Returns a STATE line; `records` is the number of records of the stream since its last state.
pub fn state_line(stream: &str, state: &RawValue, records: u64) -> Vec<u8> {
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 records since the last state")]
    let source_stats = SourceStats { record_count: records as f64 };
    let stream = StreamState { stream_descriptor: Descriptor { name: stream }, stream_state: state };
    to_line(&StateLine { r#type: "STATE", state: StateBody { r#type: "STREAM", stream, source_stats } })
}

/// Returns the part of a RECORD line before its data. All prefixes of a stream have the same length: `emitted_at` has
/// 13 digits until the year 2286.
pub fn record_prefix(stream: &str) -> Vec<u8> {
    let name = serde_json::to_string(stream).unwrap_or_default();
    format!(r#"{{"type":"RECORD","record":{{"stream":{name},"emitted_at":{},"data":"#, now()).into_bytes()
}

/// The part of a RECORD line after its data.
pub const RECORD_SUFFIX: &[u8] = b"}}\n";

/// Returns the current time in milliseconds since the epoch.
pub fn now() -> u64 {
    millis(SystemTime::now())
}

/// Returns a time in milliseconds since the epoch.
pub fn millis(moment: SystemTime) -> u64 {
    moment.duration_since(UNIX_EPOCH).ok().and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or(0)
}
