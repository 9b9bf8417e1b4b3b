//! Access to private functions for the fuzz targets, and for the test that replays their inputs. It has no logic of
//! its own, and the executable does not include it.

use std::sync::Arc;

use serde_json::Value;

use super::checkpoint::Checkpoint;
use super::known_ids::KnownIds;
use super::rows::RowSink;
use crate::cart::CART;
use crate::cart::page::{PageError, PageParser};
use crate::config::Config;
use crate::http::Envelope;
use crate::raw_config::{FieldError, RawConfig};
use crate::record::{CursorValue, Key, RecordSchema, RecordWriter};
use crate::record_options::RecordOptions;
use crate::secret::Secret;
use crate::stream::Stream;

/// Parses a configuration file; returns the secrets in it.
///
/// # Errors
/// The messages that describe its errors.
pub fn config(text: &[u8]) -> Result<Vec<Secret>, Vec<String>> {
    let sentences = |faults: Vec<FieldError>| faults.iter().map(ToString::to_string).collect();
    Config::parse(text, CART.settings).map(|config| config.shop.store.secrets()).map_err(sentences)
}

/// Parses the state of one stream, and returns it as it would be emitted again.
///
/// # Errors
/// The clause that describes its error.
pub fn state(state: &Value) -> Result<Value, String> {
    Checkpoint::parse(&state.to_string()).map(|(checkpoint, _)| checkpoint.to_json()).map_err(|error| error.to_string())
}

/// The known ids of a state.
#[derive(Debug, PartialEq)]
pub struct Known {
    /// The store, sign-in and dates for which they were collected.
    pub scope: String,
    /// Number of ids.
    pub rows: u64,
    /// The first of them.
    pub ids: Vec<i64>,
    /// The known ids as they would be written again.
    pub written: Value,
}

/// Parses the known ids of a state, and lists at most `listed` of them; returns `None` if there are none or they are
/// invalid.
pub fn known_ids(state: &str, listed: usize) -> Option<Known> {
    let mut known = KnownIds::parse(state)?;
    let ids = known.ids();
    let (rows, ids) = (ids.len(), ids.iter().take(listed).collect());
    Some(Known { scope: known.scope.clone(), rows, ids, written: known.compressed() })
}

/// Returns the options of a config for records; invalid options count as absent.
pub fn record_options(config: &Value) -> RecordOptions {
    let fields = RawConfig::parse(config.to_string().as_bytes(), CART.settings.names);
    fields.ok().and_then(|fields| RecordOptions::parse(&fields, CART.streams).ok()).unwrap_or_default()
}

/// Returns the schema of the records of a stream, and its record writer.
pub fn records(record_options: &RecordOptions, stream: &Stream) -> (Value, RecordSchema) {
    (record_options.schema(stream), record_options.record_schema(stream, &Value::Null))
}

/// A parsed page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its RECORD lines.
    pub lines: Vec<u8>,
    /// The parsed fields of each row.
    pub rows: Vec<(Key, CursorValue)>,
    /// The envelope of the list.
    pub envelope: Envelope,
}

/// Parses a body that arrives in parts, as the client does, into lines that begin with `prefix`.
///
/// # Errors
/// [`PageError`] if the body has no list.
pub fn page<'b>(
    parts: impl Iterator<Item = &'b [u8]>,
    names: &[&str],
    prefix: &[u8],
    record_schema: &Arc<RecordSchema>,
) -> Result<Page, PageError> {
    let mut writer = RecordWriter::new(Arc::clone(record_schema));
    let mut sink = RowSink::new(Default::default(), prefix, &mut writer);
    let (mut reading, mut chunk) = (PageParser::new(names), Vec::new());
    for part in parts {
        chunk.extend_from_slice(part);
        let done = reading.feed(&chunk, false, &mut sink)?;
        chunk.drain(..done);
    }
    reading.feed(&chunk, true, &mut sink)?;
    let envelope = reading.finish(&mut sink)?;
    let rows = sink.into_rows(envelope, 1000);
    let facts = rows.rows.iter().map(|row| (row.key, row.updated)).collect();
    Ok(Page { lines: rows.lines.to_vec(), rows: facts, envelope: rows.envelope })
}
