//! The configured catalog: which streams to read, and how. Read from what `read` is given, where
//! `discover`'s own output will do as well, and written for those who have none. Unknown keys are ignored.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::message;

/// The streams to read.
#[derive(Debug)]
pub struct ConfiguredCatalog {
    /// In the order given.
    pub streams: Vec<ConfiguredStream>,
}

/// One stream to read.
#[derive(Debug)]
pub struct ConfiguredStream {
    /// The stream, as `discover` described it or less.
    pub stream: Stream,
    /// How to read it.
    pub sync_mode: SyncMode,
    /// The platform's number of the generation of rows that is read.
    pub generation_id: Option<i64>,
    /// The platform's number of the job that reads it.
    pub sync_id: Option<i64>,
}

/// What a configured catalog says of a stream.
#[derive(Debug, Deserialize)]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// The schema, perhaps with fewer fields than `discover` gave; some launchers send `{}`.
    #[serde(default)]
    pub json_schema: Value,
}

/// How a stream is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncMode {
    /// Everything, each time.
    FullRefresh,
    /// What has changed since the state.
    Incremental,
}

impl ConfiguredCatalog {
    /// A catalog of these streams with all their fields.
    pub fn of<'n>(streams: impl Iterator<Item = (&'n str, SyncMode)>) -> Self {
        let configured = |(name, sync_mode): (&str, SyncMode)| ConfiguredStream {
            stream: Stream { name: name.to_owned(), json_schema: Value::Null },
            sync_mode,
            generation_id: None,
            sync_id: None,
        };
        Self { streams: streams.map(configured).collect() }
    }

    /// The same streams, each read whole.
    #[must_use]
    pub fn in_full(mut self) -> Self {
        for stream in &mut self.streams {
            stream.sync_mode = SyncMode::FullRefresh;
            // Who asks for everything on the command line wants it now, whatever was read for the same job.
            stream.sync_id = None;
        }
        self
    }
}

/// One JSON document of the file: a configured catalog, a catalog, or a message.
#[derive(Deserialize)]
struct Document {
    #[serde(rename = "type")]
    kind: Option<Value>,
    catalog: Option<Box<Document>>,
    streams: Option<Vec<Entry>>,
}

/// A stream of either kind of catalog: wrapped with a mode, or as `discover` describes it.
#[derive(Deserialize)]
struct Entry {
    stream: Option<Stream>,
    sync_mode: Option<SyncMode>,
    name: Option<String>,
    #[serde(default)]
    json_schema: Value,
    supported_sync_modes: Option<Vec<String>>,
    #[serde(default)]
    generation_id: Value,
    #[serde(default)]
    sync_id: Value,
}

impl Entry {
    fn configured(self) -> Result<ConfiguredStream, &'static str> {
        let generation_id = self.generation_id.as_i64();
        // Platforms number jobs from 1; a launcher without jobs may write 0, again and again.
        let sync_id = self.sync_id.as_i64().filter(|&id| id > 0);
        match (self.stream, self.name, self.sync_mode) {
            (Some(stream), _, Some(sync_mode)) => Ok(ConfiguredStream { stream, sync_mode, generation_id, sync_id }),
            (Some(_), _, None) => Err("missing field `sync_mode`"),
            (None, Some(name), chosen) => {
                let can = |modes: &Vec<String>| modes.iter().any(|mode| mode == "incremental");
                let usual = match self.supported_sync_modes.as_ref().is_none_or(can) {
                    true => SyncMode::Incremental,
                    false => SyncMode::FullRefresh,
                };
                let stream = Stream { name, json_schema: self.json_schema };
                let sync_mode = chosen.unwrap_or(usual);
                Ok(ConfiguredStream { stream, sync_mode, generation_id, sync_id })
            }
            (None, None, _) => Err("missing field `stream`"),
        }
    }
}

/// Reads a configured catalog, a catalog as `discover` gives it (each stream is then read incrementally
/// where it can be), or the output of `discover` itself: a CATALOG message, with others around it.
///
/// # Errors
/// A clause that names the place and the fault.
pub fn parse(text: &[u8]) -> Result<ConfiguredCatalog, String> {
    // A fault may quote the file: the clause stays short, and on one line.
    read(text).map_err(|fault| fault.chars().filter(|character| !character.is_control()).take(300).collect())
}

fn read(text: &[u8]) -> Result<ConfiguredCatalog, String> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut reader = serde_json::Deserializer::from_slice(text);
    let mut found = None;
    loop {
        let document: Document = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let path = error.path().to_string();
            if path == "." { error.inner().to_string() } else { format!("at {path}: {}", error.inner()) }
        })?;
        let is_message = document.kind.as_ref().is_some_and(Value::is_string);
        found = document.catalog.and_then(|catalog| catalog.streams).or(document.streams).or(found);
        match reader.end() {
            Ok(()) => break,
            Err(trailing) if !is_message => return Err(trailing.to_string()),
            Err(_) => {}
        }
    }
    let entries = found.ok_or("missing field `streams`")?;
    let configured =
        |(place, entry): (usize, Entry)| entry.configured().map_err(|fault| format!("at streams[{place}]: {fault}"));
    Ok(ConfiguredCatalog { streams: entries.into_iter().enumerate().map(configured).collect::<Result<_, _>>()? })
}

/// One stream of a configured catalog that is written.
#[derive(Debug, Serialize)]
pub struct Written<'a> {
    /// How it is read.
    pub sync_mode: SyncMode,
    /// What a destination does with it: the usual choice for the way it is read.
    pub destination_sync_mode: &'static str,
    /// Path of the cursor field; empty if there is none.
    pub cursor_field: Vec<&'a str>,
    /// Paths of the key fields.
    pub primary_key: Vec<[&'a str; 1]>,
    /// The stream, as `discover` describes it.
    pub stream: message::Stream<'a>,
}

impl<'a> Written<'a> {
    /// A stream to be read in this way.
    #[must_use]
    pub fn new(stream: message::Stream<'a>, sync_mode: SyncMode) -> Self {
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

/// A configured catalog as one JSON document. Each stream has a line of its own, so that one can be
/// taken out with any editor.
#[must_use]
pub fn written(streams: &[Written<'_>]) -> Vec<u8> {
    let lines: Vec<String> = streams.iter().map(|stream| serde_json::to_string(stream).unwrap_or_default()).collect();
    format!("{{\"streams\":[\n{}\n]}}\n", lines.join(",\n")).into_bytes()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use super::*;

    #[test]
    fn the_least_that_launchers_send_is_enough() {
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
            let usual = [SyncMode::Incremental, SyncMode::FullRefresh, SyncMode::Incremental, SyncMode::FullRefresh];
            assert_eq!(modes, usual, "{text}");
            assert_eq!(catalog.streams[0].stream.name, "orders");
            assert!(catalog.streams[0].stream.json_schema["properties"]["id"].is_object());
            assert!(catalog.in_full().streams.iter().all(|stream| stream.sync_mode == SyncMode::FullRefresh));
        }
    }

    #[test]
    fn faults_name_their_place() {
        let bad = |text: &str| parse(text.as_bytes()).unwrap_err();
        assert!(
            bad(r#"{"streams":[{"stream":{"name":"orders"},"sync_mode":"INVALID"}]}"#)
                .starts_with("at streams[0].sync_mode")
        );
        assert!(bad(r#"{"streams":[{"stream":{},"sync_mode":"incremental"}]}"#).contains("missing field `name`"));
        assert_eq!(bad(r#"{"streams":[{"stream":{"name":"x"}}]}"#), "at streams[0]: missing field `sync_mode`");
        assert_eq!(bad(r#"{"streams":[{"name":"x"},{}]}"#), "at streams[1]: missing field `stream`");
        assert!(bad("{}").contains("missing field `streams`"));
        assert!(bad(r#"{"type":"LOG","log":{}}"#).contains("missing field `streams`"));
        assert!(bad("").contains("EOF"));
        assert!(bad(r#"{"streams":[]} x"#).contains("trailing"));
        assert!(bad(r#"{"streams":[]} {"streams":[]}"#).contains("trailing"));
        assert!(bad(r#"{"type":"CATALOG","catalog":{"streams":[]}} x"#).contains("expected value"));
        assert!(bad("[]").contains("invalid length 0"), "{}", bad("[]"));
    }
}
