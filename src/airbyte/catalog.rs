//! The configured catalog: which streams to read, and in which sync mode. It is parsed for `read`, which also accepts
//! the output of `discover`, and written for `catalog`. Unknown keys are ignored.

use serde::Serialize;
use serde_json::Value;

use super::input_error::NotJson;
use super::message;
use crate::json::value_kind;

/// The streams to read.
#[derive(Debug)]
pub struct ConfiguredCatalog {
    /// In the order of the file.
    pub streams: Vec<ConfiguredStream>,
}

/// One stream to read.
#[derive(Debug, PartialEq)]
pub struct ConfiguredStream {
    /// Name and selected schema.
    pub stream: Stream,
    /// Its sync mode.
    pub sync_mode: SyncMode,
    /// The platform's number for the generation of rows.
    pub generation_id: Option<i64>,
    /// The platform's number for the job.
    pub sync_id: Option<i64>,
}

/// A stream of a configured catalog.
#[derive(Debug, PartialEq)]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// The selected fields: those of `discover` or fewer. Some launchers send `{}`.
    pub json_schema: Value,
}

/// The sync mode of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncMode {
    /// All rows, each time.
    FullRefresh,
    /// Rows changed since the state.
    Incremental,
}

impl ConfiguredCatalog {
    /// Returns a catalog of these streams with all their fields.
    pub fn of<'n>(streams: impl Iterator<Item = (&'n str, SyncMode)>) -> Self {
        let configured = |(name, sync_mode): (&str, SyncMode)| ConfiguredStream {
            stream: Stream { name: name.to_owned(), json_schema: Value::Null },
            sync_mode,
            generation_id: None,
            sync_id: None,
        };
        Self { streams: streams.map(configured).collect() }
    }

    /// Returns the catalog with full refresh for all streams.
    pub fn as_full_refresh(mut self) -> Self {
        for stream in &mut self.streams {
            stream.sync_mode = SyncMode::FullRefresh;
            // The command line asks for all rows now, whatever was read for the same job before.
            stream.sync_id = None;
        }
        self
    }
}

/// The reason why a file is not a catalog. Its message is a clause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// It is not JSON.
    #[error(transparent)]
    NotJson(#[from] NotJson),
    /// It is empty.
    #[error("it is empty")]
    Empty,
    /// It is not an object; contains its type.
    #[error("it is {0}")]
    NotAnObject(&'static str),
    /// There is more text after the catalog.
    #[error("more follows the JSON object")]
    MoreFollows,
    /// It has no `streams`.
    #[error("it has no `streams`")]
    NoStreams,
    /// `streams` is not a list; contains its type.
    #[error("its `streams` are {0}")]
    StreamsNotAList(&'static str),
    /// An entry of `streams` is not valid.
    #[error("entry {number} of `streams` {error}")]
    Entry {
        /// The position of the entry, from 1.
        number: usize,
        /// The reason.
        #[source]
        error: EntryError,
    },
}

/// The reason why an entry of `streams` is not valid. Its message is the rest of a sentence that begins with the entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// It is not an object; contains its type.
    #[error("must be an object, not {0}")]
    NotAnObject(&'static str),
    /// It has another sync mode; contains the mode, cut to one short line.
    #[error("has the unknown `sync_mode` `{0}`")]
    UnknownSyncMode(String),
    /// Its sync mode is not a string; contains the type.
    #[error("has a `sync_mode` that is {0}, not a string")]
    SyncModeNotAString(&'static str),
    /// It has no sync mode.
    #[error("has no `sync_mode`")]
    NoSyncMode,
    /// Its stream is not an object; contains the type.
    #[error("has a `stream` that is {0}, not an object")]
    StreamNotAnObject(&'static str),
    /// Its stream has no name.
    #[error("has no `stream.name`")]
    NoStreamName,
    /// It has neither a stream nor, as in the output of `discover`, a name.
    #[error("has no `stream` or `name`")]
    NoStream,
    /// The name of its stream is not a string; contains the type.
    #[error("has a name that is {0}, not a string")]
    NameNotAString(&'static str),
}

/// Parses an entry of `streams`: a stream with a sync mode, or a stream as `discover` prints it.
fn configured(entry: &mut Value) -> Result<ConfiguredStream, EntryError> {
    let Value::Object(fields) = entry else { return Err(EntryError::NotAnObject(value_kind(entry))) };
    let sync_mode = match fields.get("sync_mode") {
        None | Some(Value::Null) => None,
        Some(Value::String(mode)) if mode == "full_refresh" => Some(SyncMode::FullRefresh),
        Some(Value::String(mode)) if mode == "incremental" => Some(SyncMode::Incremental),
        Some(Value::String(mode)) => return Err(EntryError::UnknownSyncMode(printable(mode))),
        Some(other) => return Err(EntryError::SyncModeNotAString(value_kind(other))),
    };
    let generation_id = fields.get("generation_id").and_then(Value::as_i64);
    // Platforms number jobs from 1; a launcher without jobs may write 0, again and again.
    let sync_id = fields.get("sync_id").and_then(Value::as_i64).filter(|&id| id > 0);
    match fields.get_mut("stream") {
        None | Some(Value::Null) => {
            let can = |modes: &Vec<Value>| modes.iter().any(|mode| mode == "incremental");
            let is_incremental = fields.get("supported_sync_modes").and_then(Value::as_array).is_none_or(can);
            let default_mode = if is_incremental { SyncMode::Incremental } else { SyncMode::FullRefresh };
            let stream = stream(entry).map_err(|error| match error {
                EntryError::NoStreamName => EntryError::NoStream,
                other => other,
            })?;
            Ok(ConfiguredStream { stream, sync_mode: sync_mode.unwrap_or(default_mode), generation_id, sync_id })
        }
        Some(stream_fields) => {
            let stream = stream(stream_fields)?;
            let sync_mode = sync_mode.ok_or(EntryError::NoSyncMode)?;
            Ok(ConfiguredStream { stream, sync_mode, generation_id, sync_id })
        }
    }
}

/// Returns a string of the file cut to one line of at most 240 characters, so that an error has at most 300.
fn printable(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(240).collect()
}

/// Parses the description of a stream.
fn stream(value: &mut Value) -> Result<Stream, EntryError> {
    let Value::Object(fields) = value else { return Err(EntryError::StreamNotAnObject(value_kind(value))) };
    match fields.get("name") {
        Some(Value::String(name)) => {
            let name = name.clone();
            Ok(Stream { name, json_schema: fields.remove("json_schema").unwrap_or_default() })
        }
        None | Some(Value::Null) => Err(EntryError::NoStreamName),
        Some(other) => Err(EntryError::NameNotAString(value_kind(other))),
    }
}

/// Parses a configured catalog, a catalog as `discover` prints it (each stream is then incremental if it supports
/// that), or the output of `discover` itself: a CATALOG message, with others around it.
///
/// # Errors
/// [`CatalogError`] if the text is none of these.
pub fn parse(text: &[u8]) -> Result<ConfiguredCatalog, CatalogError> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut found = None;
    let mut is_message = true;
    for document in serde_json::Deserializer::from_slice(text).into_iter::<Value>() {
        if !is_message {
            return Err(CatalogError::MoreFollows);
        }
        let mut document = document.map_err(NotJson::from)?;
        if !document.is_object() {
            return Err(CatalogError::NotAnObject(value_kind(&document)));
        }
        // A message of `discover`, among others.
        is_message = document.get("type").is_some_and(Value::is_string);
        let catalog = document.get_mut("catalog").filter(|catalog| catalog.is_object());
        let streams = match catalog.and_then(|catalog| catalog.get_mut("streams")) {
            Some(streams) => Some(streams.take()),
            None => document.get_mut("streams").map(Value::take),
        };
        found = streams.filter(|streams| !streams.is_null()).or(found);
    }
    let mut entries = match found {
        Some(Value::Array(entries)) => entries,
        Some(other) => return Err(CatalogError::StreamsNotAList(value_kind(&other))),
        None if text.trim_ascii().is_empty() => return Err(CatalogError::Empty),
        None => return Err(CatalogError::NoStreams),
    };
    let configured = |(index, entry): (usize, &mut Value)| {
        configured(entry).map_err(|error| CatalogError::Entry { number: index + 1, error })
    };
    Ok(ConfiguredCatalog { streams: entries.iter_mut().enumerate().map(configured).collect::<Result<_, _>>()? })
}

/// An entry of the configured catalog that `catalog` prints.
#[derive(Debug, Serialize)]
pub struct CatalogEntry {
    /// The sync mode.
    pub sync_mode: SyncMode,
    /// The destination's treatment of the rows: the usual one for the sync mode.
    pub destination_sync_mode: &'static str,
    /// Path of the cursor field; empty if there is none.
    pub cursor_field: Vec<&'static str>,
    /// Paths of the key fields.
    pub primary_key: Vec<[&'static str; 1]>,
    /// The stream, as `discover` prints it.
    pub stream: message::Stream,
}

impl CatalogEntry {
    /// Returns an entry for a stream in this sync mode.
    pub fn new(stream: message::Stream, sync_mode: SyncMode) -> Self {
        Self {
            sync_mode,
            destination_sync_mode: match sync_mode {
                SyncMode::FullRefresh => "overwrite",
                SyncMode::Incremental => "append_dedup",
            },
            cursor_field: stream.default_cursor_field.into_iter().flatten().collect(),
            primary_key: stream.source_defined_primary_key.to_vec(),
            stream,
        }
    }
}

/// Returns a configured catalog as one JSON document. Each stream is on its own line, so that it can be removed in
/// an editor.
pub fn to_json(streams: &[CatalogEntry]) -> String {
    let lines: Vec<String> = streams.iter().map(|stream| serde_json::to_string(stream).unwrap_or_default()).collect();
    format!("{{\"streams\":[\n{}\n]}}\n", lines.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minimum_that_launchers_send_is_enough() {
        let catalog = parse(
            br#"{"streams":[{"stream":{"name":"orders","json_schema":{},"namespace":null,"x":1},"sync_mode":"incremental",
                "destination_sync_mode":"append"},{"stream":{"name":"products"},"sync_mode":"full_refresh"}]}"#,
        )
        .unwrap();
        assert_eq!(catalog.streams.len(), 2);
        assert_eq!(catalog.streams[0].sync_mode, SyncMode::Incremental);
    }

    #[test]
    fn the_output_of_discover_means_incremental_where_the_stream_can() {
        let bare = r#"{"streams":[{"name":"orders","json_schema":{"properties":{"id":{}}},"supported_sync_modes":["full_refresh","incremental"]},
            {"name":"stores","supported_sync_modes":["full_refresh"]},{"name":"products"},{"name":"pages","sync_mode":"full_refresh"}]}"#;
        let log = r#"{"type":"LOG","log":{"level":"INFO","message":"x"}}"#;
        let message = format!(r#"{{"type":"CATALOG","catalog":{bare}}}"#);
        for text in [
            bare.to_owned(),
            message.clone(),
            format!("{log}\n{message}\n"),
            format!("{message}\n{log}\n{log}\n"),
            format!("\u{feff}{log}\n\n{message}\n{log}\n"),
            format!(r#"{{"catalog":{bare}}}"#),
        ] {
            let catalog = parse(text.as_bytes()).unwrap();
            let modes: Vec<SyncMode> = catalog.streams.iter().map(|stream| stream.sync_mode).collect();
            let default_mode =
                [SyncMode::Incremental, SyncMode::FullRefresh, SyncMode::Incremental, SyncMode::FullRefresh];
            assert_eq!(modes, default_mode, "{text}");
            assert_eq!(catalog.streams[0].stream.name, "orders");
            assert!(catalog.streams[0].stream.json_schema["properties"]["id"].is_object());
            assert!(catalog.as_full_refresh().streams.iter().all(|stream| stream.sync_mode == SyncMode::FullRefresh));
        }
    }

    #[test]
    fn errors_name_the_entry() {
        let bad = |text: &str| parse(text.as_bytes()).unwrap_err().to_string();
        for (text, fault) in [
            (
                r#"{"streams":[{"stream":{"name":"orders"},"sync_mode":"INVALID"}]}"#,
                "entry 1 of `streams` has the unknown `sync_mode` `INVALID`",
            ),
            (r#"{"streams":[{"stream":{},"sync_mode":"incremental"}]}"#, "entry 1 of `streams` has no `stream.name`"),
            (r#"{"streams":[{"stream":{"name":"x"}}]}"#, "entry 1 of `streams` has no `sync_mode`"),
            (r#"{"streams":[{"name":"x"},{}]}"#, "entry 2 of `streams` has no `stream` or `name`"),
            (r#"{"streams":[{"stream":5}]}"#, "entry 1 of `streams` has a `stream` that is a number, not an object"),
            (r#"{"streams":[{"name":[]}]}"#, "entry 1 of `streams` has a name that is a list, not a string"),
            (
                r#"{"streams":[{"name":"x","sync_mode":1}]}"#,
                "entry 1 of `streams` has a `sync_mode` that is a number, not a string",
            ),
            (r#"{"streams":[true]}"#, "entry 1 of `streams` must be an object, not a boolean"),
            (r#"{"streams":{}}"#, "its `streams` are an object"),
            ("{}", "it has no `streams`"),
            (r#"{"streams":null}"#, "it has no `streams`"),
            (r#"{"type":"LOG","log":{}}"#, "it has no `streams`"),
            ("", "it is empty"),
            ("\n ", "it is empty"),
            ("[]", "it is a list"),
            ("5", "it is a number"),
            ("{\n\"streams\":", "it is not valid JSON at line 2, column 10"),
            (r#"{"streams":[]} {"streams":[]}"#, "more follows the JSON object"),
            (r#"{"streams":[]} x"#, "more follows the JSON object"),
            (r#"{"type":"CATALOG","catalog":{"streams":[]}} x"#, "it is not valid JSON at line 1, column 45"),
        ] {
            assert_eq!(bad(text), fault, "{text}");
        }
    }
}
