//! One message of the source: its line as it was printed, and the parsed value.
//!
//! The line is kept because a parsed number has lost its digits: `1886.0000` becomes `1886.0`. The data of records is
//! most of what is read and is parsed where it is looked at.

use std::ops::Range;
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::json::{self, Fields};

/// Stands for the `data` of a record in the parsed value: as the protocol wants it, an object with a field.
const ANY_DATA: &str = r#"{"-":0}"#;

/// One line of the output, already validated against the schema of the protocol.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// The line as it was printed, without the newline.
    pub(crate) line: String,
    /// The same as a value; the `data` of a record is [`ANY_DATA`].
    pub(crate) value: Value,
    /// Where the `data` of a record is in the line.
    data: Option<Range<usize>>,
}

/// Borrows the raw parts of a line.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    record: Option<RecordBody<'a>>,
    #[serde(borrow)]
    state: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RecordBody<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Message {
    /// Parses and validates one line.
    pub(crate) fn parse(line: &str) -> Result<Message, String> {
        let data = place_of_data(line);
        let without_data = data.as_ref().map(|data| format!("{}{ANY_DATA}{}", &line[..data.start], &line[data.end..]));
        let value: Value = serde_json::from_str(without_data.as_deref().unwrap_or(line))
            .map_err(|error| format!("not one JSON message ({error}): {line}"))?;
        // Listing the faults takes far longer than finding out that there are none.
        if !validator().is_valid(&value) {
            let faults = validator().iter_errors(&value);
            let problems: Vec<String> = faults.map(|error| format!("{error} at {}", error.instance_path())).collect();
            return Err(format!("breaks the protocol ({}): {line}", problems.join("; ")));
        }
        // A JSON schema takes 5.0 for an integer; readers with typed models do not.
        let emitted = &value["record"]["emitted_at"];
        if !emitted.is_null() && !emitted.is_u64() {
            return Err(format!("emitted_at is not printed as an integer: {line}"));
        }
        Ok(Message { line: line.to_owned(), value, data })
    }

    /// The type of the message: RECORD, STATE, ...
    pub(crate) fn kind(&self) -> &str {
        self.value["type"].as_str().unwrap_or_default()
    }

    /// The type of a TRACE: ERROR, ESTIMATE, ...
    pub(crate) fn trace_kind(&self) -> Option<&str> {
        self.value.get("trace")?.get("type")?.as_str()
    }

    /// The stream that the message is about, if it is about one.
    pub(crate) fn stream(&self) -> Option<&str> {
        let value = &self.value;
        let trace = &value["trace"];
        let stream = match self.kind() {
            "RECORD" => &value["record"]["stream"],
            "STATE" => &value["state"]["stream"]["stream_descriptor"]["name"],
            "TRACE" if !trace["estimate"].is_null() => &trace["estimate"]["name"],
            "TRACE" if !trace["error"].is_null() => &trace["error"]["stream_descriptor"]["name"],
            _ => &trace["stream_status"]["stream_descriptor"]["name"],
        };
        stream.as_str()
    }

    /// The status of a `STREAM_STATUS`; a RUNNING that gives a reason is called after the reason.
    pub(crate) fn status(&self) -> Option<&str> {
        let status = self.value.get("trace")?.get("stream_status")?;
        let reason = status.get("reasons").and_then(|reasons| reasons.get(0)?.get("type"));
        reason.or_else(|| status.get("status"))?.as_str()
    }

    /// The raw text of a RECORD's `data`.
    pub(crate) fn data(&self) -> Option<&str> {
        Some(&self.line[self.data.clone()?])
    }

    /// A RECORD's `data` as a value.
    pub(crate) fn data_value(&self) -> Value {
        serde_json::from_str(self.data().unwrap()).unwrap()
    }

    /// The fields of a RECORD, each with its raw text.
    pub(crate) fn fields(&self) -> Fields {
        self.data().and_then(json::object).unwrap_or_default()
    }

    /// The raw text of one field of a RECORD.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        json::field(self.data()?, name)
    }

    /// The `id` of a RECORD, if it is written as an integer.
    pub(crate) fn id(&self) -> Option<i64> {
        self.field("id")?.parse().ok()
    }

    /// The raw text of a STATE's `state`.
    pub(crate) fn state_text(&self) -> Option<&str> {
        let envelope: Envelope<'_> = serde_json::from_str(&self.line).ok()?;
        Some(envelope.state?.get())
    }

    /// The `stream_state` of a STATE.
    pub(crate) fn stream_state(&self) -> Option<&Value> {
        self.value.get("state")?.get("stream")?.get("stream_state")
    }
}

/// Returns where the `data` of a record is, if it is an object with fields.
fn place_of_data(line: &str) -> Option<Range<usize>> {
    let envelope: Envelope<'_> = serde_json::from_str(line).ok()?;
    let data = envelope.record?.data.get();
    let start = data.as_ptr() as usize - line.as_ptr() as usize;
    let fields = data.strip_prefix('{')?.strip_suffix('}')?;
    (!fields.trim().is_empty()).then(|| start..start + data.len())
}

/// The schema of the protocol, compiled once.
fn validator() -> &'static jsonschema::Validator {
    static VALIDATOR: OnceLock<jsonschema::Validator> = OnceLock::new();
    VALIDATOR.get_or_init(|| {
        let schema = serde_json::from_str(include_str!("../fixtures/protocol.schema.json")).unwrap();
        jsonschema::draft7::new(&schema).unwrap()
    })
}
