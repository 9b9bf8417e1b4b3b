//! `read`: opens the files that the command line names, then reads the streams (`all_streams`) or estimates the read
//! (`dry_run`).

mod all_streams;
mod dry_run;

use std::collections::HashMap;
use std::sync::Arc;

use super::{CommandResult, client, config_input, state_input, warn};
use crate::airbyte::state::States;
use crate::airbyte::{self, Closed, ConfiguredCatalog, ConfiguredStream, Emitter, Level, TraceError};
use crate::cli::{ReadArguments, StreamSource, streams_arg};
use crate::connector::Connector;
use crate::http::RetryPolicy;
use crate::output::{Columns, OutputOptions, ReadOutput};
use crate::record_options::RecordOptions;
use crate::shutdown;
use crate::sync::{JointReads, StreamError, StreamFailure, SyncContext};
use crate::user_error::UserError;

/// Reads the selected streams.
pub(crate) async fn run(
    arguments: ReadArguments,
    output: &ReadOutput,
    connector: &'static Connector,
    emitter: &Emitter,
) -> CommandResult {
    let options = arguments.to.options();
    // Before a file is checked for writing, which replaces it with a copy.
    arguments.check_paths()?;
    output.destination.check_summary(&options).map_err(UserError::from)?;
    output.summary.try_file().map_err(UserError::from)?;
    let config = config_input::config(arguments.with.config.as_deref(), &arguments.overrides, connector)?;
    emitter.hide(config.shop.store.secrets());
    let catalog = catalog(&arguments.source, connector)?;
    let catalog = if arguments.full_refresh { catalog.as_full_refresh() } else { catalog };
    let states = if options.dry_run {
        state_input::given(arguments.state.as_deref(), options.state_out.as_deref())?
    } else {
        open_output(&arguments, &options, output, &catalog, &config.record_options, connector)?
    };
    let retry_policy = if options.dry_run { RetryPolicy::CHECK } else { RetryPolicy::READ };
    let client = client(&config, retry_policy)?;
    // The first line of the log, now that nothing stops the read.
    emitter.log(Level::Info, connector.version).await?;
    warn(&config.warnings, emitter).await?;
    warn(&state_input::warnings(&states, connector), emitter).await?;
    if catalog.streams.is_empty() {
        emitter.log(Level::Warn, "The catalog selects no streams, so nothing is read.").await?;
    }
    let joint = JointReads::of(&*client, &catalog);
    let context = SyncContext {
        client,
        joint,
        start: config.shop.start,
        end: config.shop.end,
        record_options: config.record_options,
        max_deleted_percent: config.shop.max_deleted_percent,
        known_bytes: Arc::default(),
        progress: Arc::clone(&output.progress),
        summary: Arc::clone(&output.summary),
        shutdown: shutdown::requested(),
    };
    let complete = if options.dry_run {
        dry_run::run(context, catalog, states.list, arguments.to.json, connector, emitter).await?
    } else {
        all_streams::run(context, catalog, states.list, connector, emitter).await?
    };
    Ok(complete)
}

/// Returns the streams to read, from the catalog file or from `--streams`.
fn catalog(source: &StreamSource, connector: &Connector) -> Result<ConfiguredCatalog, UserError> {
    let Some(path) = &source.catalog else { return Ok(streams_arg::catalog(&source.streams)) };
    let text = config_input::file("catalog", path)?;
    let catalog = airbyte::catalog::parse(&text).map_err(|error| UserError::catalog(&error))?;
    streams_arg::once(catalog, connector)
}

/// Opens the files that the read writes to, and returns the states of `--state`.
fn open_output(
    arguments: &ReadArguments,
    options: &OutputOptions,
    output: &ReadOutput,
    catalog: &ConfiguredCatalog,
    record_options: &RecordOptions,
    connector: &'static Connector,
) -> Result<States, UserError> {
    options.check(catalog)?;
    // Locked before it is read: nobody may change it in between.
    let locked = options.state_out.as_deref().map(|path| output.destination.lock_state_file(path)).transpose()?;
    let (given, state_file) = state_input::open(arguments.state.as_deref(), locked, catalog, connector)?;
    let columns = catalog.streams.iter().filter_map(|ConfiguredStream { stream, .. }| {
        let columns = record_options.columns(connector.find(&stream.name)?, &stream.json_schema);
        Some((stream.name.clone(), Columns::new(columns)))
    });
    let columns: HashMap<String, Columns> = columns.collect();
    output.destination.open(options, columns, state_file, |name| connector.find(name).is_some())?;
    Ok(given)
}

/// Returns the error to emit for a stream.
fn trace_error(name: &str, failure: &StreamFailure, host: &str, connector: &Connector) -> TraceError {
    let user_error = match failure {
        StreamFailure::UnknownStream => UserError::unknown_stream(name, connector.streams),
        StreamFailure::InvalidState(fault) => UserError::bad_state(name, fault),
        StreamFailure::Stopped(stream, error) => UserError::stopped(name, stream, error, host, connector),
        StreamFailure::Panicked(detail) => UserError::panic(detail),
    };
    let is_interruption = matches!(failure, StreamFailure::Stopped(_, StreamError::Interrupted));
    TraceError { is_interruption, ..user_error.into_trace(Some(name)) }
}

/// Emits the error of a task that panicked outside a stream.
async fn report_panic(emitter: &Emitter) -> Result<(), Closed> {
    let user_error = UserError::panic(&crate::panic_hook::last_location());
    emitter.error(user_error.into_trace(None)).await
}
