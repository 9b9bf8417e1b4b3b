//! `discover`: prints the catalog of streams.

use std::path::Path;

use serde_json::value::to_raw_value;

use super::{CommandResult, config_input, warn};
use crate::airbyte::Emitter;
use crate::airbyte::message::{Catalog, Message, Stream as CatalogStream};
use crate::connector::Connector;
use crate::record_options::RecordOptions;
use crate::stream::Stream;

/// Prints the catalog; of the configuration only the record options are used.
pub(crate) async fn run(config: Option<&Path>, connector: &'static Connector, emitter: &Emitter) -> CommandResult {
    let (record_options, warnings) = config_input::record_options(config, connector)?;
    warn(&warnings, emitter).await?;
    let streams = connector.streams.iter().filter_map(|stream| described(stream, &record_options)).collect();
    emitter.message(Message::Catalog { catalog: Catalog { streams } }).await?;
    Ok(true)
}

/// Returns the description of a stream; `None` if its schema is not valid.
pub(super) fn described(stream: &'static Stream, record_options: &RecordOptions) -> Option<CatalogStream> {
    let modes: &[&str] = if stream.has_updated_at { &["full_refresh", "incremental"] } else { &["full_refresh"] };
    // The text of the schema file keeps its order of fields.
    let json_schema = if record_options.changes_schema(stream) {
        to_raw_value(&record_options.schema(stream)).ok()?
    } else {
        (stream.fields)().schema_text.clone()
    };
    Some(CatalogStream {
        name: stream.name,
        json_schema,
        supported_sync_modes: modes,
        // A resumable full refresh has a cursor too, which only the connector reads.
        source_defined_cursor: (stream.has_updated_at || stream.is_resumable()).then_some(true),
        default_cursor_field: stream.has_updated_at.then_some([stream.cursor_field]),
        source_defined_primary_key: stream.primary_key.iter().map(|&name| [name]).collect(),
        is_resumable: stream.is_resumable().then_some(true),
    })
}
