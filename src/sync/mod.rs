//! Reads the streams: requests the rows of a configured stream, emits those that are new, and emits the new state.
//! Names no shop.
//!
//! A walk is one pass over the rows of a stream. The files, in reading order:
//! - `shop` and `query`: the interface that a shop implements, and a request.
//! - `context`: the data that all files below share; `warnings`: its warnings about the store; `stream_output`: emits
//!   records and states of a stream.
//! - `stream_sync`: chooses the walks that a stream needs; `all_rows`: a walk over all rows.
//! - `keyset`, `paged` and `single_page`: the ways to read rows: by ranges of keys, by page numbers, in one response.
//! - `comparison`: compares rows with ranges of emitted ones.
//! - `strategy`: chooses one of the ways; `one_response`, `key_lists`, `last_page_first`, `dated` and `windowed` are
//!   further ones, `date_walk` and `date_windows` decide what the last two request, `nested_rows` and `joint` read rows
//!   inside the rows of another stream. `ahead`: requests that are sent while earlier rows are processed.
//! - `newest_rows` and `probes`: requests about a stream, such as for its newest rows or its greatest key.
//! - `date_walk`: reads rows in the order of their dates where a store sorts by them and a date never changes.
//! - `climb`: finds the newest change where a store cannot sort by it.
//! - `skipped_rows`: reads rows again that the store could not send before.
//! - `date_filter`, `list_end`, `count_check` and `store_clock`: check the store's date filter, the end of a list, the
//!   number of rows, and the clock.
//! - `deletions` with `bisection`, `deletion_tracker`, `known_ids` and `id_set`: rows that the store deleted.
//! - `rows` and `row_filter`: the rows of one response, and which of them are emitted.
//! - `checkpoint` with `checkpoint_fields`, `position`, `sent_rows` and `sent_hashes`: the state of a stream.
//!   `columns`: hashes of the columns and rows that a walk reads.
//! - `dry_run`: the estimate of a read.

mod ahead;
mod all_rows;
mod bisection;
mod checkpoint;
mod checkpoint_fields;
mod climb;
mod columns;
mod comparison;
mod context;
mod count_check;
mod date_filter;
mod date_walk;
mod date_windows;
mod dated;
mod deletion_tracker;
mod deletions;
mod dry_run;
#[doc(hidden)]
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod id_set;
mod joint;
mod key_lists;
mod keyset;
mod known_ids;
mod last_page_first;
mod list_end;
mod nested_rows;
mod newest_rows;
mod one_response;
mod paged;
mod position;
mod probes;
pub mod query;
mod row_filter;
mod rows;
mod sent_hashes;
mod sent_rows;
pub mod shop;
mod single_page;
mod skipped_rows;
mod store_clock;
mod strategy;
mod stream_output;
mod stream_sync;
mod warnings;
mod windowed;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::airbyte::state::StoredState;
use crate::airbyte::{Closed, ConfiguredStream, Emitter, Level, StreamStatus, SyncMode};
use crate::output::progress::{Progress, StreamSummary};
use crate::output::run_summary::RunSummary;
use crate::panic_hook;
use crate::record_options::RecordOptions;
use crate::stream::{DELETED, Stream};
use crate::timestamp::Timestamp;
use checkpoint::{Checkpoint, Job};
pub(crate) use checkpoint::{CheckpointError, StateOverview, overview};
use columns::Selected;
use context::StreamContext;
pub use context::{HiddenRows, StreamError};
pub use deletion_tracker::KnownBytes;
use deletion_tracker::{Begin, DeletionTracker};
pub(crate) use dry_run::run as dry_run;
pub use joint::JointReads;
pub use sent_rows::OVERLAP_SECONDS;
use shop::Shop;
use stream_output::{Resumed, StatePolicy, StreamOutput, SyncStats};
use stream_sync::FinishedSync;

/// Minimum wait that is reported. Shorter ones, such as before a second attempt, are not worth a message.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// Inputs of a read other than its streams and their states.
#[derive(Debug)]
pub struct SyncContext {
    /// The client of the store.
    pub client: Arc<dyn Shop>,
    /// Rows updated before this time are not read.
    pub start: Timestamp,
    /// Rows updated at this time or later are not read.
    pub end: Option<Timestamp>,
    /// Options of the configuration for records.
    pub record_options: RecordOptions,
    /// Maximum share of a stream's rows that may be deleted between two syncs (percent).
    pub max_deleted_percent: u32,
    /// The streams that are read from the same requests.
    pub joint: JointReads,
    /// The size of the known ids of all streams.
    pub known_bytes: Arc<KnownBytes>,
    /// Shows the progress of the read.
    pub progress: Arc<Progress>,
    /// Collects what `--summary` reports.
    pub summary: Arc<RunSummary>,
    /// Becomes true when the process receives a signal to end.
    pub shutdown: watch::Receiver<bool>,
}

impl SyncContext {
    /// Returns the hashes of the columns and rows of a stream that are read.
    fn selected(&self, stream: &'static Stream, configured: &ConfiguredStream) -> Selected {
        Selected::of(&*self.client, &self.record_options, stream, &configured.stream.json_schema)
    }
}

/// The reason why a stream is not complete.
#[derive(Debug)]
pub(crate) enum StreamFailure {
    /// No stream has this name.
    UnknownStream,
    /// Its state cannot be used.
    InvalidState(CheckpointError),
    /// It stopped, or had to skip rows.
    Stopped(&'static Stream, StreamError),
    /// A bug in this program; the string is for its maintainers.
    Panicked(String),
}

impl StreamFailure {
    /// Returns the failure of a stream whose task panicked.
    fn panicked() -> Self {
        Self::Panicked(panic_hook::last_location())
    }

    fn bad_schema() -> Self {
        Self::Panicked("a schema of the table is not JSON".to_owned())
    }
}

/// Returns the state of a stream: the one with the configured name, or else with another name of the stream.
fn state_of<'s>(states: &'s [StoredState], name: &str, stream: &Stream) -> Option<&'s str> {
    let is_named = |state: &&StoredState| state.name == name;
    let is_other = |state: &&StoredState| state.name == stream.name || stream.aliases.contains(&state.name.as_str());
    states.iter().find(is_named).or_else(|| states.iter().find(is_other)).map(|state| &*state.state)
}

/// Reads a stream and emits everything except its last status and error.
pub(crate) async fn read(
    sync_context: &SyncContext,
    configured: &ConfiguredStream,
    states: &[StoredState],
    emitter: &Emitter,
) -> Result<Result<(), StreamFailure>, Closed> {
    let name = &configured.stream.name;
    emitter.status(name, StreamStatus::Started, None).await?;
    let Some(stream) = sync_context.client.find(name) else { return Ok(Err(StreamFailure::UnknownStream)) };
    // Dropped on each way out, so that the other stream does not wait for this one.
    let partner = sync_context.joint.partner(stream);
    let parsed = state_of(states, name, stream).map_or_else(|| Ok(Default::default()), Checkpoint::parse);
    let (before, mut notes) = match parsed {
        Ok(parsed) => parsed,
        Err(fault) => return Ok(Err(StreamFailure::InvalidState(fault))),
    };
    let output = StreamOutput::new(name, emitter.clone(), Arc::clone(&sync_context.progress));
    let Some(context) = context(sync_context, configured, stream, &output) else {
        return Ok(Err(StreamFailure::bad_schema()));
    };
    let followed = Arc::clone(&output);
    sync_context.summary.follow(name, before.cursor.map(|cursor| cursor.to_string()), move || followed.figures());
    log_ignored_settings(sync_context, configured, stream, emitter).await?;
    let full_refresh = configured.sync_mode == SyncMode::FullRefresh || !stream.has_updated_at;
    let job = configured.generation_id.zip(configured.sync_id).map(|(generation, sync)| Job { generation, sync });
    let job = job.filter(|_| configured.sync_mode == SyncMode::FullRefresh && stream.is_resumable());
    let selected = sync_context.selected(stream, configured);
    let (is_finished, finished) = (before.is_finished_by(job), before.clone());
    let checkpoint = before.clone().begin(full_refresh, selected, &mut notes);
    let begin = Begin {
        state: state_of(states, name, stream),
        full_refresh: configured.sync_mode == SyncMode::FullRefresh,
        state_is_full: before.full,
        is_finished,
        from_nothing: checkpoint.cursor.is_none() && checkpoint.walk.is_none(),
    };
    track_deletions(sync_context, configured, &context, begin).await?;
    for note in notes.into_iter().filter(|_| stream.is_resumable()) {
        emitter.log(Level::Warn, &note.about(name)).await?;
    }

    let running = async move {
        if is_finished {
            return Ok(FinishedSync { checkpoint: finished, skipped_rows: None });
        }
        strategy::run(&context, checkpoint, full_refresh, job, partner).await
    };
    let outcome = in_task(stream, name.clone(), Box::pin(running)).await?;
    output.report_at_end().await?;
    // A full refresh has no cursor.
    let finished = outcome.as_ref().ok().filter(|_| !full_refresh);
    let cursors = (before.cursor, finished.and_then(|finished| finished.checkpoint.cursor));
    let stats = output.inner().await.stats.clone();
    add_summary(sync_context, &output, &stats, cursors);
    emit_last_state(&output, &before, &outcome).await?;
    emitter.log(Level::Info, &summary_line(&output, &stats, cursors)).await?;
    Ok(match outcome {
        Ok(FinishedSync { skipped_rows: Some(error), .. }) => Err(StreamFailure::Stopped(stream, error)),
        Ok(FinishedSync { skipped_rows: None, .. }) => Ok(()),
        Err(failure) => Err(failure),
    })
}

/// Runs a sync in its own task, so that a panic ends only this stream, with a status.
async fn in_task(
    stream: &'static Stream,
    name: String,
    running: impl Future<Output = Result<FinishedSync, StreamError>> + Send + 'static,
) -> Result<Result<FinishedSync, StreamFailure>, Closed> {
    let task = tokio::spawn(async move {
        panic_hook::failpoint(&name);
        running.await
    });
    match task.await {
        Ok(Ok(finished)) => Ok(Ok(finished)),
        Ok(Err(StreamError::Closed)) => Err(Closed),
        Ok(Err(error)) => Ok(Err(StreamFailure::Stopped(stream, error))),
        Err(_) => Ok(Err(StreamFailure::panicked())),
    }
}

/// Logs the settings of the stream that have no effect.
async fn log_ignored_settings(
    sync_context: &SyncContext,
    configured: &ConfiguredStream,
    stream: &Stream,
    emitter: &Emitter,
) -> Result<(), Closed> {
    let name = &configured.stream.name;
    for entry in sync_context.record_options.unselected(stream, &configured.stream.json_schema) {
        let text = format!(
            "{name}: `{entry}` in `expand` is ignored, because the catalog does not select its column. To get it, update the catalog from `discover` with this config."
        );
        emitter.log(Level::Info, &text).await?;
    }
    if configured.sync_mode == SyncMode::Incremental && !stream.has_updated_at {
        let text = format!("{name}: the rows have no update date, so every sync reads all of them.");
        emitter.log(Level::Info, &text).await?;
    }
    Ok(())
}

/// Emits the last state of a stream, if its sync has not emitted it. `before` is the state before the sync.
async fn emit_last_state(
    output: &Arc<StreamOutput>,
    before: &Checkpoint,
    outcome: &Result<FinishedSync, StreamFailure>,
) -> Result<(), Closed> {
    let give_back = || {
        if let Some(tracker) = output.deletions() {
            tracker.give_back();
        }
    };
    let last_state = match outcome {
        Ok(finished) => Some(finished.checkpoint.to_json()),
        // Rows are missing: the stream returns to its old state, and the walk's progress is discarded.
        Err(StreamFailure::Stopped(_, StreamError::CountMismatch { .. })) => {
            give_back();
            Some(Checkpoint { walk: None, ..before.clone() }.to_json())
        }
        // After any other failure the last state is valid.
        Err(_) => output.inner().await.last_state().is_none().then(|| {
            give_back();
            before.to_json()
        }),
    };
    if let Some(state) = last_state {
        output.begin_batch(0).await?.send_state(StatePolicy::Final, || state);
    }
    Ok(())
}

/// Adds a stream to the table that a terminal shows after the read. `cursors` are those before and after the sync.
fn add_summary(
    sync_context: &SyncContext,
    output: &StreamOutput,
    stats: &SyncStats,
    (from, to): (Option<Timestamp>, Option<Timestamp>),
) {
    let text = |cursor: Option<Timestamp>| cursor.map(|cursor| cursor.to_string());
    sync_context.progress.add_summary(StreamSummary {
        stream: output.name().to_owned(),
        rows: stats.rows(),
        pages: stats.requests,
        requests: output.sent(),
        waited: output.waited(),
        cursor: (text(from), text(to)),
    });
}

/// Lets the output of a stream keep the ids of its rows, so that deleted rows are found, if the configuration says so.
async fn track_deletions(
    sync_context: &SyncContext,
    configured: &ConfiguredStream,
    context: &StreamContext,
    begin: Begin<'_>,
) -> Result<(), Closed> {
    let (stream, output, selection) = (context.stream, &context.output, &configured.stream.json_schema);
    if !sync_context.record_options.detects_deletions(stream) {
        return Ok(());
    }
    if !sync_context.record_options.reports_deletions(stream, selection) {
        if begin.full_refresh {
            return Ok(());
        }
        let text = format!(
            "deleted rows are not detected, because the catalog does not declare `{DELETED}`. Refresh the schema of this stream: run `discover` with this config."
        );
        return output.warn_once("deletions", &text).await;
    }
    // A stream without `updated_at` has nothing that an incremental sync could continue from a full refresh.
    if begin.full_refresh && !stream.has_updated_at {
        return Ok(());
    }
    let tracker = new_tracker(sync_context, configured, context, begin);
    if tracker.was_other_scope {
        let text = "the known ids in the state are of another store, sign-in or `start_date`; they are not used, and rows deleted since the last sync are not reported.";
        output.warn_once("deletions", text).await?;
    }
    output.track_deletions(tracker);
    Ok(())
}

/// Returns the known ids at the start of a sync.
fn new_tracker(
    sync_context: &SyncContext,
    configured: &ConfiguredStream,
    context: &StreamContext,
    begin: Begin<'_>,
) -> DeletionTracker {
    let stream = context.stream;
    let scope = deletion_tracker::scope(&sync_context.client.identity(), sync_context.start);
    let filter = date_filter::widen(context, context.start, 0);
    let columns = sync_context.record_options.columns(stream, &configured.stream.json_schema);
    let is_null = |name: &&String| ![stream.key(), stream.cursor_field, DELETED].contains(&name.as_str());
    let nulls: String = columns
        .iter()
        .filter(is_null)
        .map(|name| format!(",{}:null", serde_json::Value::from(name.as_str())))
        .collect();
    DeletionTracker::new(
        begin,
        &scope,
        filter,
        !stream.has_updated_at,
        (sync_context.max_deleted_percent, nulls),
        Arc::clone(&sync_context.known_bytes),
    )
}

/// Returns the context of a stream; `None` if its schema is not valid.
fn context(
    sync_context: &SyncContext,
    configured: &ConfiguredStream,
    stream: &'static Stream,
    output: &Arc<StreamOutput>,
) -> Option<Arc<StreamContext>> {
    let selection = &configured.stream.json_schema;
    let context = StreamContext::new(
        stream,
        Arc::clone(&sync_context.client),
        Arc::clone(output),
        (sync_context.start, sync_context.end),
        Arc::new(sync_context.record_options.record_schema(stream, selection)),
        (sync_context.record_options.nested(stream, selection), sync_context.record_options.fields(stream, selection)),
        sync_context.shutdown.clone(),
    );
    Some(Arc::new(match stream.nested_in {
        None => context,
        Some(_) => {
            let options = &sync_context.record_options;
            context.with_parent_schema(options.record_schema(stream.requested(), &serde_json::Value::Null))
        }
    }))
}

/// Returns the last LOG of a stream: its figures. `cursors` are those before and after the sync.
fn summary_line(
    output: &StreamOutput,
    stats: &SyncStats,
    (from, to): (Option<Timestamp>, Option<Timestamp>),
) -> String {
    let (name, delivered) = (output.name(), stats.rows());
    let rows = row_word(delivered);
    let mut text = match (stats.resumed, stats.counted) {
        // Rows left and rows of the next pass add up to the rows emitted.
        (Some(Resumed { left: Some(left), since: None }), _) => {
            format!("{name}: resumed; {delivered} {rows} read (the store counted {left} left)")
        }
        (Some(Resumed { left: Some(left), since: Some(since) }), _) => format!(
            "{name}: resumed; {delivered} {rows} read (the store counted {left} left, and {since} in the next pass)"
        ),
        (Some(Resumed { left: None, .. }), _) => format!("{name}: resumed; {delivered} {rows} read"),
        (None, Some(counted)) => {
            format!("{name}: {delivered} {rows} read (the store counted {counted})")
        }
        (None, None) => format!("{name}: {delivered} {rows} read"),
    };
    let skipped = format!("unchanged {} skipped", row_word(stats.known));
    let dropped = if stats.repeated == 1 { "duplicate dropped" } else { "duplicates dropped" };
    for (number, what) in [
        (stats.deleted, "deleted"),
        (stats.known, skipped.as_str()),
        (stats.outside, "dropped (outside the requested dates)"),
        (stats.later, "left to the next pass"),
        (stats.repeated, dropped),
    ] {
        if number > 0 {
            text.push_str(&format!(", {number} {what}"));
        }
    }
    let (sent, waited) = (output.sent(), output.waited());
    let requests = if sent == 1 { "request" } else { "requests" };
    text.push_str(&format!("; {sent} {requests}"));
    if waited >= SHORTEST_WAIT {
        text.push_str(&format!("; waited {:.0} s", waited.as_secs_f64().ceil()));
    }
    match (from, to) {
        (Some(from), Some(to)) => text.push_str(&format!("; cursor {from} to {to}.")),
        (None, Some(to)) => text.push_str(&format!("; cursor {to}.")),
        _ => text.push('.'),
    }
    text
}

/// Returns the word for this number of rows.
fn row_word(number: u64) -> &'static str {
    if number == 1 { "row" } else { "rows" }
}
