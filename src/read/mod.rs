//! The read: where both sides meet. A configured catalog and the states become streams that are read
//! side by side; each ends COMPLETE or INCOMPLETE, whatever the others do.
//!
//! In reading order: `sync` (which walks a stream needs), `left_out` (rows that could not be had before), `filter` (what
//! the date filter means), `key_walk` and
//! `page_walk` (how rows are read), `whole` (when one answer holds all rows), `receipt` (what was read against what
//! is counted), `questions` (single requests), `ends` (whether a list is at its end), `judge` (which rows are
//! delivered), `rows` (one answer), `recent`, `sent_rows`, `saved` and `saved_parts` (what a state says), `columns`
//! (which columns a walk reads), `ledger` (what was sent), `reader` (what they share), `dry_run`
//! (what a read would take).

mod columns;
mod dry_run;
mod ends;
mod filter;
#[doc(hidden)]
pub mod fuzzing;
mod judge;
mod key_walk;
mod ledger;
mod left_out;
mod page_walk;
mod questions;
mod reader;
mod receipt;
mod recent;
mod rows;
mod saved;
mod saved_parts;
mod sent_rows;
mod sync;
mod whole;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::airbyte::state::StreamState;
use crate::airbyte::{Closed, ConfiguredCatalog, ConfiguredStream, Emitter, Level, StreamStatus, SyncMode};
use crate::cart::Client;
use crate::failure::Failure;
use crate::output::board::{Board, Calls, Receipt};
use crate::output::run_summary::Summary;
use crate::panics;
use crate::streams::{self, Stream};
use crate::timestamp::Timestamp;
use crate::view::View;
pub use dry_run::run as dry_run;
use ledger::{Ledger, Resumed, Tally, When};
use reader::Reader;
pub use reader::Stop;
pub use recent::OVERLAP_SECONDS;
use saved::{Job, Saved};
pub(crate) use saved::{Outline, outline};
use sync::Finished;

/// Shorter waits, such as before a second attempt, are not worth a word in the receipt.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// What a read needs besides the catalog and the states.
#[derive(Debug)]
pub struct Setting {
    /// The store.
    pub client: Arc<Client>,
    /// The first instant of change that is read.
    pub start: Timestamp,
    /// The first that is not.
    pub end: Option<Timestamp>,
    /// What is asked of the records.
    pub view: View,
    /// Shows a person how far it is.
    pub board: Arc<Board>,
    /// Notes what the document of `--summary` says.
    pub summary: Arc<Summary>,
    /// Turns true when the process is asked to end.
    pub stopping: watch::Receiver<bool>,
}

/// Reads all configured streams. True if every one is complete.
///
/// # Errors
/// [`Closed`] if stdout is gone.
pub async fn run(
    setting: Setting,
    catalog: ConfiguredCatalog,
    states: Vec<StreamState>,
    emitter: &Emitter,
) -> Result<bool, Closed> {
    let setting = Arc::new(setting);
    let states = Arc::new(states);
    setting.board.plan(catalog.streams.iter().map(|configured| configured.stream.name.as_str()));
    let count = |client: &Arc<Client>| {
        let client = Arc::clone(client);
        move || calls(&client)
    };
    setting.summary.plan(&catalog, count(&setting.client));
    setting.board.count_calls(count(&setting.client));
    let mut streams = JoinSet::new();
    for configured in catalog.streams {
        let (setting, states, emitter) = (Arc::clone(&setting), Arc::clone(&states), emitter.clone());
        streams.spawn(async move { read_one(&setting, &configured, &states, &emitter).await });
    }
    let mut complete = true;
    while let Some(done) = streams.join_next().await {
        match done {
            Ok(stream_complete) => complete &= stream_complete?,
            Err(_) => {
                complete = false;
                let failure = Failure::panic(&panics::place());
                emitter.error(None, failure.kind, &failure.message, failure.internal.as_deref()).await?;
            }
        }
    }
    Ok(complete)
}

/// Returns the use of the call limit at the moment.
fn calls(client: &Client) -> Calls {
    let usage = client.usage();
    Calls {
        made: usage.made,
        refused: usage.refused,
        foreign: usage.foreign,
        allowed: usage.allowed,
        in_use: usage.in_use,
        others: usage.others,
        window: client.patience().waits.window,
    }
}

/// The state to begin with: the one that bears the configured name, or another name of the stream.
fn state_of<'s>(states: &'s [StreamState], name: &str, stream: &Stream) -> Option<&'s str> {
    let is_named = |state: &&StreamState| state.name == name;
    let is_other = |state: &&StreamState| state.name == stream.name || stream.aliases.contains(&state.name.as_str());
    states.iter().find(is_named).or_else(|| states.iter().find(is_other)).map(|state| &*state.state)
}

async fn read_one(
    setting: &Setting,
    configured: &ConfiguredStream,
    states: &[StreamState],
    emitter: &Emitter,
) -> Result<bool, Closed> {
    let name = &configured.stream.name;
    setting.board.begin(name);
    setting.summary.begin(name);
    let complete = read_stream(setting, configured, states, emitter).await;
    setting.board.end(name, matches!(complete, Ok(true)));
    setting.summary.end(name, complete);
    complete
}

async fn read_stream(
    setting: &Setting,
    configured: &ConfiguredStream,
    states: &[StreamState],
    emitter: &Emitter,
) -> Result<bool, Closed> {
    let name = &configured.stream.name;
    emitter.status(name, StreamStatus::Started, None).await?;
    let Some(stream) = streams::find(name) else {
        return fail(emitter, name, &Failure::unknown_stream(name)).await;
    };
    let (before, mut notes) = match state_of(states, name, stream).map_or_else(|| Ok(Default::default()), Saved::parse)
    {
        Ok(parsed) => parsed,
        Err(fault) => return fail(emitter, name, &Failure::bad_state(name, &fault)).await,
    };
    let ledger = Ledger::new(name.clone(), emitter.clone(), Arc::clone(&setting.board));
    let Some(reader) = reader(setting, configured, stream, &ledger) else {
        return fail(emitter, name, &Failure::panic("a schema of the table is not JSON")).await;
    };
    let followed = Arc::clone(&ledger);
    setting.summary.follow(name, before.cursor.map(|cursor| cursor.to_string()), move || followed.figures());
    for entry in setting.view.unselected(stream, &configured.stream.json_schema) {
        let text = format!(
            "{name}: `{entry}` in `expand` is not requested, since the catalog does not select its column. To get it, take the stream's schema from `discover` with this config."
        );
        emitter.log(Level::Info, &text).await?;
    }
    if configured.sync_mode == SyncMode::Incremental && !stream.dated {
        let text =
            format!("{name}: the rows have no update date, so all of them are read each time, as in a full refresh.");
        emitter.log(Level::Info, &text).await?;
    }
    let full_refresh = configured.sync_mode == SyncMode::FullRefresh || !stream.dated;
    let job = configured.generation_id.zip(configured.sync_id).map(|(generation, sync)| Job { generation, sync });
    let job = job.filter(|_| configured.sync_mode == SyncMode::FullRefresh && stream.dated);
    let columns = columns::of(&setting.view, stream, &configured.stream.json_schema);
    let (is_finished, finished) = (before.is_finished_by(job), before.clone());
    let saved = before.clone().begin(full_refresh, columns.as_deref(), &mut notes);
    for note in notes.into_iter().filter(|_| stream.dated) {
        emitter.log(Level::Warn, &note.about(name)).await?;
    }

    // In a task of its own, so that a panic ends this stream alone, and with a status.
    let running = tokio::spawn(async move {
        panics::rehearse(reader.ledger.name());
        if is_finished {
            return Ok(Finished { saved: finished, left_out: None });
        }
        sync::run(&reader, saved, full_refresh, job).await
    });
    let host = setting.client.host();
    let (outcome, lost) = match running.await {
        Ok(Ok(Finished { saved, left_out })) => {
            let failure = left_out.map(|stop| Failure::stopped(name, stream, &stop, &host));
            (Ok((saved, failure)), false)
        }
        Ok(Err(Stop::Closed)) => return Err(Closed),
        Ok(Err(stop)) => (Err(Failure::stopped(name, stream, &stop, &host)), matches!(stop, Stop::Lost { .. })),
        Err(_) => (Err(Failure::panic(&panics::place())), false),
    };
    ledger.report_rest().await?;
    let tally = ledger.entries().await.tally.clone();
    let cursor = |cursor: Option<Timestamp>| cursor.map(|cursor| cursor.to_string());
    setting.board.account(Receipt {
        stream: name.clone(),
        rows: tally.delivered,
        pages: tally.requests,
        requests: ledger.sent(),
        waited: ledger.waited(),
        // A full refresh reads from no cursor.
        cursor: (
            cursor(before.cursor),
            outcome.as_ref().ok().and_then(|(finished, _)| cursor(finished.cursor.filter(|_| !full_refresh))),
        ),
    });
    match outcome {
        Ok((finished, failure)) => {
            let state = finished.to_json();
            ledger.post(0).await?.send_with(Vec::new().into(), 0, When::Final, || state.clone());
            let cursor = finished.cursor.filter(|_| !full_refresh);
            emitter.log(Level::Info, &account(&ledger, &tally, before.cursor, cursor)).await?;
            if let Some(failure) = failure {
                return fail(emitter, name, &failure).await;
            }
            emitter.status(name, StreamStatus::Complete, None).await?;
            Ok(true)
        }
        Err(failure) => {
            // Loss takes the stream back to where it was; any other failure keeps the last checkpoint.
            let needs_state = lost || ledger.entries().await.last_state().is_none();
            if needs_state {
                // What was read of a walk is doubtful as well.
                let state = if lost { Saved { walk: None, ..before.clone() } } else { before.clone() }.to_json();
                ledger.post(0).await?.send_with(Vec::new().into(), 0, When::Final, || state.clone());
            }
            emitter.log(Level::Info, &account(&ledger, &tally, before.cursor, None)).await?;
            fail(emitter, name, &failure).await
        }
    }
}

/// A reader of one stream; nothing if its schema cannot be read.
fn reader(
    setting: &Setting,
    configured: &ConfiguredStream,
    stream: &'static Stream,
    ledger: &Arc<Ledger>,
) -> Option<Arc<Reader>> {
    let selection = &configured.stream.json_schema;
    Some(Arc::new(Reader::new(
        stream,
        Arc::clone(&setting.client),
        Arc::clone(ledger),
        (setting.start, setting.end),
        setting.view.shape(stream, selection)?,
        (setting.view.parameter(stream, selection), setting.view.fields(stream, selection)),
        setting.stopping.clone(),
    )))
}

async fn fail(emitter: &Emitter, name: &str, failure: &Failure) -> Result<bool, Closed> {
    emitter.status(name, StreamStatus::Incomplete, None).await?;
    emitter.error(Some(name), failure.kind, &failure.message, failure.internal.as_deref()).await?;
    Ok(false)
}

/// The last LOG of a stream: a receipt.
fn account(ledger: &Ledger, tally: &Tally, from: Option<Timestamp>, to: Option<Timestamp>) -> String {
    let (name, delivered) = (ledger.name(), tally.delivered);
    let mut text = match (tally.resumed, tally.counted) {
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
        (tally.known, "unchanged rows skipped"),
        (tally.outside, "dropped, outside the dates asked for"),
        (tally.later, "left to the pass that followed"),
        (tally.repeated, "came twice and were sent once"),
    ] {
        if number > 0 {
            text.push_str(&format!(", {number} {what}"));
        }
    }
    let (sent, waited) = (ledger.sent(), ledger.waited());
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
