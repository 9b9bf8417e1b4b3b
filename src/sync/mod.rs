//! The read: where both sides meet. A configured catalog and the states become streams that are read
//! side by side; each ends COMPLETE or INCOMPLETE, whatever the others do.
//!
//! In reading order: `sync` (which walks a stream needs), `skipped_rows` (rows that could not be had before), `filter` (what
//! the date filter means), `keyset` and
//! `paged` (how rows are read), `reads_all_rows` (when one answer holds all rows), `count_check` (what was read against what
//! is counted), `probes` (single requests), `ends` (whether a list is at its end), `row_filter` (which rows are
//! delivered), `rows` (one answer), `sent_rows`, `sent_hashes`, `checkpoint` and `checkpoint_fields` (what a state says), `columns`
//! (which columns a walk reads), `output` (what was sent), `context` (what they share), `dry_run`
//! (what a read would take).

mod all_rows;
mod checkpoint;
mod checkpoint_fields;
mod columns;
mod context;
mod count_check;
mod date_filter;
mod dry_run;
#[doc(hidden)]
pub mod fuzzing;
mod keyset;
mod list_end;
mod newest_rows;
mod paged;
mod probes;
pub mod query;
mod row_filter;
mod rows;
mod sent_hashes;
mod sent_rows;
pub mod shop;
mod single_page;
mod skipped_rows;
pub mod stream;
mod stream_output;
mod stream_sync;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::airbyte::state::StoredState;
use crate::airbyte::{Closed, ConfiguredCatalog, ConfiguredStream, Emitter, Level, StreamStatus, SyncMode};
use crate::output::progress::{Calls, Progress, StreamSummary};
use crate::output::run_summary::RunSummary;
use crate::panic_hook;
use crate::record_options::RecordOptions;
use crate::timestamp::Timestamp;
use crate::user_error::UserError;
use checkpoint::{Checkpoint, Job};
pub(crate) use checkpoint::{StateOverview, overview};
use context::StreamContext;
pub use context::StreamError;
pub use dry_run::run as dry_run;
pub use sent_rows::OVERLAP_SECONDS;
use shop::Shop;
use stream::Stream;
use stream_output::{Resumed, StatePolicy, StreamOutput, SyncStats};
use stream_sync::FinishedSync;

/// Shorter waits, such as before a second attempt, are not worth a word in the receipt.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// What a read needs besides the catalog and the states.
#[derive(Debug)]
pub struct SyncContext {
    /// The store.
    pub client: Arc<dyn Shop>,
    /// The first instant of change that is read.
    pub start: Timestamp,
    /// The first that is not.
    pub end: Option<Timestamp>,
    /// What is asked of the records.
    pub record_options: RecordOptions,
    /// Shows a person how far it is.
    pub progress: Arc<Progress>,
    /// Notes what the document of `--summary` says.
    pub summary: Arc<RunSummary>,
    /// Turns true when the process is asked to end.
    pub shutdown: watch::Receiver<bool>,
}

/// Reads all configured streams. True if every one is complete.
///
/// # Errors
/// [`Closed`] if stdout is gone.
pub async fn run(
    sync_context: SyncContext,
    catalog: ConfiguredCatalog,
    states: Vec<StoredState>,
    emitter: &Emitter,
) -> Result<bool, Closed> {
    let sync_context = Arc::new(sync_context);
    let states = Arc::new(states);
    sync_context.progress.plan(catalog.streams.iter().map(|configured| configured.stream.name.as_str()));
    let count = |client: &Arc<dyn Shop>| {
        let client = Arc::clone(client);
        move || calls(&*client)
    };
    sync_context.summary.plan(&catalog, count(&sync_context.client));
    sync_context.progress.count_calls(count(&sync_context.client));
    let mut streams = JoinSet::new();
    for configured in catalog.streams {
        let (sync_context, states, emitter) = (Arc::clone(&sync_context), Arc::clone(&states), emitter.clone());
        streams.spawn(async move { read_one(&sync_context, &configured, &states, &emitter).await });
    }
    let mut complete = true;
    while let Some(done) = streams.join_next().await {
        match done {
            Ok(stream_complete) => complete &= stream_complete?,
            Err(_) => {
                complete = false;
                let user_error = UserError::panic(&panic_hook::last_location());
                emitter.error(None, user_error.kind, &user_error.message, user_error.internal.as_deref()).await?;
            }
        }
    }
    Ok(complete)
}

/// Returns the use of the call limit at the moment.
fn calls(client: &dyn Shop) -> Calls {
    let usage = client.usage();
    Calls {
        made: usage.made,
        refused: usage.refused,
        foreign: usage.foreign,
        allowed: usage.allowed,
        in_use: usage.in_use,
        others: usage.others,
        window: client.retry_policy().backoff.window,
    }
}

/// The state to begin with: the one that bears the configured name, or another name of the stream.
fn state_of<'s>(states: &'s [StoredState], name: &str, stream: &Stream) -> Option<&'s str> {
    let is_named = |state: &&StoredState| state.name == name;
    let is_other = |state: &&StoredState| state.name == stream.name || stream.aliases.contains(&state.name.as_str());
    states.iter().find(is_named).or_else(|| states.iter().find(is_other)).map(|state| &*state.state)
}

async fn read_one(
    sync_context: &SyncContext,
    configured: &ConfiguredStream,
    states: &[StoredState],
    emitter: &Emitter,
) -> Result<bool, Closed> {
    let name = &configured.stream.name;
    sync_context.progress.begin(name);
    sync_context.summary.begin(name);
    let complete = read_stream(sync_context, configured, states, emitter).await;
    sync_context.progress.end(name, matches!(complete, Ok(true)));
    sync_context.summary.end(name, complete);
    complete
}

async fn read_stream(
    sync_context: &SyncContext,
    configured: &ConfiguredStream,
    states: &[StoredState],
    emitter: &Emitter,
) -> Result<bool, Closed> {
    let name = &configured.stream.name;
    emitter.status(name, StreamStatus::Started, None).await?;
    let Some(stream) = sync_context.client.find(name) else {
        return fail(emitter, name, &UserError::unknown_stream(name)).await;
    };
    let (before, mut notes) =
        match state_of(states, name, stream).map_or_else(|| Ok(Default::default()), Checkpoint::parse) {
            Ok(parsed) => parsed,
            Err(fault) => return fail(emitter, name, &UserError::bad_state(name, &fault)).await,
        };
    let output = StreamOutput::new(name.clone(), emitter.clone(), Arc::clone(&sync_context.progress));
    let Some(context) = context(sync_context, configured, stream, &output) else {
        return fail(emitter, name, &UserError::panic("a schema of the table is not JSON")).await;
    };
    let followed = Arc::clone(&output);
    sync_context.summary.follow(name, before.cursor.map(|cursor| cursor.to_string()), move || followed.figures());
    for entry in sync_context.record_options.unselected(stream, &configured.stream.json_schema) {
        let text = format!(
            "{name}: `{entry}` in `expand` is not requested, since the catalog does not select its column. To get it, take the stream's schema from `discover` with this config."
        );
        emitter.log(Level::Info, &text).await?;
    }
    if configured.sync_mode == SyncMode::Incremental && !stream.has_updated_at {
        let text =
            format!("{name}: the rows have no update date, so all of them are read each time, as in a full refresh.");
        emitter.log(Level::Info, &text).await?;
    }
    let full_refresh = configured.sync_mode == SyncMode::FullRefresh || !stream.has_updated_at;
    let job = configured.generation_id.zip(configured.sync_id).map(|(generation, sync)| Job { generation, sync });
    let job = job.filter(|_| configured.sync_mode == SyncMode::FullRefresh && stream.has_updated_at);
    let columns = columns::of(&sync_context.record_options, stream, &configured.stream.json_schema);
    let (is_finished, finished) = (before.is_finished_by(job), before.clone());
    let checkpoint = before.clone().begin(full_refresh, columns.as_deref(), &mut notes);
    for note in notes.into_iter().filter(|_| stream.has_updated_at) {
        emitter.log(Level::Warn, &note.about(name)).await?;
    }

    // In a task of its own, so that a panic ends this stream alone, and with a status.
    let running = tokio::spawn(async move {
        panic_hook::failpoint(context.output.name());
        if is_finished {
            return Ok(FinishedSync { checkpoint: finished, skipped_rows: None });
        }
        stream_sync::run(&context, checkpoint, full_refresh, job).await
    });
    let host = sync_context.client.host();
    let (outcome, lost) = match running.await {
        Ok(Ok(FinishedSync { checkpoint, skipped_rows })) => {
            let user_error = skipped_rows.map(|stream_error| UserError::stopped(name, stream, &stream_error, &host));
            (Ok((checkpoint, user_error)), false)
        }
        Ok(Err(StreamError::Closed)) => return Err(Closed),
        Ok(Err(stream_error)) => (
            Err(UserError::stopped(name, stream, &stream_error, &host)),
            matches!(stream_error, StreamError::CountMismatch { .. }),
        ),
        Err(_) => (Err(UserError::panic(&panic_hook::last_location())), false),
    };
    output.report_at_end().await?;
    let stats = output.inner().await.stats.clone();
    let cursor = |cursor: Option<Timestamp>| cursor.map(|cursor| cursor.to_string());
    sync_context.progress.add_summary(StreamSummary {
        stream: name.clone(),
        rows: stats.delivered,
        pages: stats.requests,
        requests: output.sent(),
        waited: output.waited(),
        // A full refresh reads from no cursor.
        cursor: (
            cursor(before.cursor),
            outcome.as_ref().ok().and_then(|(finished, _)| cursor(finished.cursor.filter(|_| !full_refresh))),
        ),
    });
    match outcome {
        Ok((finished, user_error)) => {
            let state = finished.to_json();
            output.begin_batch(0).await?.send_with_state(Vec::new().into(), 0, StatePolicy::Final, || state.clone());
            let cursor = finished.cursor.filter(|_| !full_refresh);
            emitter.log(Level::Info, &summary_line(&output, &stats, before.cursor, cursor)).await?;
            if let Some(user_error) = user_error {
                return fail(emitter, name, &user_error).await;
            }
            emitter.status(name, StreamStatus::Complete, None).await?;
            Ok(true)
        }
        Err(user_error) => {
            // Loss takes the stream back to where it was; any other failure keeps the last checkpoint.
            let needs_state = lost || output.inner().await.last_state().is_none();
            if needs_state {
                // What was read of a walk is doubtful as well.
                let state = if lost { Checkpoint { walk: None, ..before.clone() } } else { before.clone() }.to_json();
                output
                    .begin_batch(0)
                    .await?
                    .send_with_state(Vec::new().into(), 0, StatePolicy::Final, || state.clone());
            }
            emitter.log(Level::Info, &summary_line(&output, &stats, before.cursor, None)).await?;
            fail(emitter, name, &user_error).await
        }
    }
}

/// A reader of one stream; nothing if its schema cannot be read.
fn context(
    sync_context: &SyncContext,
    configured: &ConfiguredStream,
    stream: &'static Stream,
    output: &Arc<StreamOutput>,
) -> Option<Arc<StreamContext>> {
    let selection = &configured.stream.json_schema;
    Some(Arc::new(StreamContext::new(
        stream,
        Arc::clone(&sync_context.client),
        Arc::clone(output),
        (sync_context.start, sync_context.end),
        sync_context.record_options.record_schema(stream, selection)?,
        (
            sync_context.record_options.parameter(stream, selection).map(|(_, names)| names),
            sync_context.record_options.fields(stream, selection),
        ),
        sync_context.shutdown.clone(),
    )))
}

async fn fail(emitter: &Emitter, name: &str, user_error: &UserError) -> Result<bool, Closed> {
    emitter.status(name, StreamStatus::Incomplete, None).await?;
    emitter.error(Some(name), user_error.kind, &user_error.message, user_error.internal.as_deref()).await?;
    Ok(false)
}

/// The last LOG of a stream: a receipt.
fn summary_line(output: &StreamOutput, stats: &SyncStats, from: Option<Timestamp>, to: Option<Timestamp>) -> String {
    let (name, delivered) = (output.name(), stats.delivered);
    let mut text = match (stats.resumed, stats.counted) {
        // What was left and what the pass after it found add up to what came.
        (Some(Resumed { left: Some(left), since: None }), _) => {
            format!("{name}: resumed; the store counted {left} rows left; {delivered} delivered")
        }
        (Some(Resumed { left: Some(left), since: Some(since) }), _) => format!(
            "{name}: resumed; the store counted {left} rows left and {since} in the pass that followed; {delivered} delivered"
        ),
        (Some(Resumed { left: None, .. }), _) => format!("{name}: resumed; {delivered} rows delivered"),
        (None, Some(counted)) => {
            format!("{name}: the store counted {counted} rows in the range; {delivered} delivered")
        }
        (None, None) => format!("{name}: {delivered} rows delivered"),
    };
    for (number, what) in [
        (stats.known, "unchanged rows skipped"),
        (stats.outside, "dropped, outside the dates asked for"),
        (stats.later, "left to the pass that followed"),
        (stats.repeated, "came twice and were sent once"),
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
