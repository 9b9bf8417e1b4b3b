//! `read --dry-run`: what a read would take, from one request a stream. Nothing is delivered and no state changes.
//!
//! A stream that would be read for its changes is asked as a read asks first, for its newest changes, so that rows
//! that were sent before are not counted; any other is asked for one row, and the store's count is the answer.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::filter;
use super::judge::{Judge, Verdict};
use super::ledger::Ledger;
use super::reader::{Reader, Stop};
use super::recent::OVERLAP_SECONDS;
use super::rows::Rows;
use super::saved::Saved;
use super::{Setting, columns, reader, state_of};
use crate::airbyte::state::StreamState;
use crate::airbyte::{Closed, ConfiguredCatalog, ConfiguredStream, Emitter, SyncMode};
use crate::cart::Query;
use crate::cart::query::{PAGE_SIZE, Window};
use crate::failure::Failure;
use crate::output::board::Board;
use crate::output::forecast::{CallLimit, Forecast, StreamForecast};
use crate::panics;
use crate::streams::{self, CURSOR};
use crate::timestamp::Timestamp;

/// Calls of a read of several pages beyond these pages: for the newest changes, and to be sure of the end.
const FURTHER_CALLS: u64 = 2;
/// The same on a first sync and in a full refresh, which also look for rows without `updated_at`.
const FURTHER_CALLS_AT_FIRST: u64 = 3;

/// Asks the store what each stream would take, and prints it. True if every stream is known.
///
/// # Errors
/// [`Closed`] if stdout is gone.
pub async fn run(
    setting: Setting,
    catalog: ConfiguredCatalog,
    states: Vec<StreamState>,
    as_json: bool,
    emitter: &Emitter,
) -> Result<bool, Closed> {
    let (setting, states) = (Arc::new(setting), Arc::new(states));
    let mut asked = JoinSet::new();
    let streams = catalog.streams.len();
    for (place, configured) in catalog.streams.into_iter().enumerate() {
        let (setting, states, emitter) = (Arc::clone(&setting), Arc::clone(&states), emitter.clone());
        asked.spawn(async move { (place, one(&setting, configured, &states, &emitter).await) });
    }
    let mut found: Vec<Option<StreamForecast>> = vec![None; streams];
    let mut is_known = true;
    while let Some(done) = asked.join_next().await {
        let Ok((place, outcome)) = done else {
            is_known = false;
            let failure = Failure::panic(&panics::place());
            emitter.error(None, failure.kind, &failure.message, failure.internal.as_deref()).await?;
            continue;
        };
        let forecast = outcome?;
        is_known &= forecast.error.is_none();
        if let Some(slot) = found.get_mut(place) {
            *slot = Some(forecast);
        }
    }
    let usage = setting.client.usage();
    let forecast = Forecast {
        streams: found.into_iter().flatten().collect(),
        limit: CallLimit { allowed: usage.allowed, in_use: usage.in_use },
    };
    emitter.send(if as_json { forecast.json() } else { forecast.table() }.into_bytes()).await?;
    Ok(is_known)
}

/// Asks about one stream; a failure is said on stderr and is in the forecast.
async fn one(
    setting: &Setting,
    configured: ConfiguredStream,
    states: &[StreamState],
    emitter: &Emitter,
) -> Result<StreamForecast, Closed> {
    let name = configured.stream.name.clone();
    let sync_mode = configured.sync_mode;
    let unknown = StreamForecast { stream: name.clone(), sync_mode, rows: None, pages: None, calls: None, error: None };
    match need(setting, &configured, states, emitter).await {
        Ok(need) => Ok(StreamForecast { rows: need.rows, pages: need.pages(), calls: need.calls(), ..unknown }),
        Err(failure) => {
            emitter.error(Some(&name), failure.kind, &failure.message, failure.internal.as_deref()).await?;
            Ok(StreamForecast { error: Some(emitter.masked(&failure.message)), ..unknown })
        }
    }
}

/// What a stream needs.
struct Need {
    rows: Option<u64>,
    /// Rows that have to be looked at for them.
    looked_at: Option<u64>,
    page_size: u64,
    /// Calls beyond the pages, where there is more than one.
    further: u64,
    /// Calls for what the store could not send before.
    retried: u64,
}

impl Need {
    fn pages(&self) -> Option<u64> {
        Some(self.looked_at?.div_ceil(self.page_size))
    }

    fn calls(&self) -> Option<u64> {
        let calls = match self.pages()? {
            // A request that finds nothing is one too.
            0 | 1 => 1,
            pages => pages + self.further,
        };
        Some(calls + self.retried)
    }
}

async fn need(
    setting: &Setting,
    configured: &ConfiguredStream,
    states: &[StreamState],
    emitter: &Emitter,
) -> Result<Need, Failure> {
    let name = &configured.stream.name;
    let Some(stream) = streams::find(name) else { return Err(Failure::unknown_stream(name)) };
    let parsed = state_of(states, name, stream).map_or_else(|| Ok(Default::default()), Saved::parse);
    let (saved, mut notes) = parsed.map_err(|fault| Failure::bad_state(name, &fault))?;
    let full_refresh = configured.sync_mode == SyncMode::FullRefresh || !stream.dated;
    let columns = columns::of(&setting.view, stream, &configured.stream.json_schema);
    // What is to be said of the state, the read says.
    let saved = saved.begin(full_refresh, columns.as_deref(), &mut notes);
    let ledger = Ledger::new(name.clone(), emitter.clone(), Arc::new(Board::default()));
    let Some(reader) = reader(setting, configured, stream, &ledger) else {
        return Err(Failure::panic("a schema of the table is not JSON"));
    };
    let page_size = match setting.view.parameter(stream, &configured.stream.json_schema) {
        Some((parameter, names)) => Query::new(stream.name, PAGE_SIZE).nested(parameter, &names).count(),
        None => PAGE_SIZE,
    };
    let is_first = saved.cursor.is_none();
    let retried = saved.unread.len() as u64 + if saved.keyless > 0 { 2 } else { 0 };
    let (rows, looked_at) = match rows(&reader, &saved).await {
        Ok(found) => found,
        Err(stop) => return Err(Failure::stopped(name, stream, &stop, &setting.client.host())),
    };
    Ok(Need {
        rows,
        looked_at,
        page_size: page_size as u64,
        further: if is_first && stream.dated { FURTHER_CALLS_AT_FIRST } else { FURTHER_CALLS },
        retried,
    })
}

/// Returns how many rows a read from this state delivers, and how many it looks at for them.
async fn rows(reader: &Reader, saved: &Saved) -> Result<(Option<u64>, Option<u64>), Stop> {
    let from = saved.cursor.map_or(reader.start, |cursor| cursor.minus_seconds(OVERLAP_SECONDS).max(reader.start));
    let window = Window { from: Some(from), before: reader.end, ..Window::default() };
    if !reader.stream.dated {
        return counted(reader, &Window::default()).await;
    }
    if window.is_empty() {
        return Ok((Some(0), Some(0)));
    }
    // With other dates in the config an interrupted walk is not gone on with.
    if let Some(walk) = saved.walk.as_ref().filter(|walk| walk.from == from && walk.before == reader.end) {
        let left = walk.counted.map(|counted| counted.saturating_sub(walk.read));
        let Some(until) = walk.until else { return Ok((left, left)) };
        let since = Window { from: None, after: Some(until), before: reader.end, ..Window::default() };
        let (changed, _) = counted(reader, &since).await?;
        let all = left.zip(changed).map(|(left, changed)| left + changed);
        return Ok((all, all));
    }
    if saved.cursor.is_none() && !saved.whole {
        // Where rows without a date are usual, no date filter counts them.
        let filter = if reader.stream.undated_rows { Window::default() } else { window };
        return counted(reader, &filter).await;
    }
    changes(reader, saved, window).await
}

/// Returns what the store counts, as both numbers.
async fn counted(reader: &Reader, filter: &Window) -> Result<(Option<u64>, Option<u64>), Stop> {
    let query = Query::new(reader.stream.name, 1).window(CURSOR, filter);
    let answer = reader.fetch(&query, &mut reader.copier()).await?;
    let total = total(&answer.page);
    Ok((total, total))
}

/// Requests the newest changes, and leaves out those that were sent before.
async fn changes(reader: &Reader, saved: &Saved, window: Window) -> Result<(Option<u64>, Option<u64>), Stop> {
    let from = window.from.unwrap_or(Timestamp::EARLIEST);
    let asked = if saved.whole { Window::default() } else { filter::widened(reader, from, saved.look_back) };
    let Some(mut answer) = filter::newest(reader, &asked).await? else { return Ok((None, None)) };
    let rows = &mut answer.page;
    let known = saved.recent.sent().len();
    let total = total(rows);
    if total.is_some_and(|total| total > rows.listed()) || rows.envelope.more {
        return Ok((total.map(|total| total.saturating_sub(known)), total));
    }
    let window = if saved.whole { Window { from: Some(reader.start), ..window } } else { window };
    let judge = Judge { window, later_than: None, undated: saved.whole, known: saved.recent.clone() };
    let hashes = rows.hashes(judge.known.floor(), reader.prefix_length());
    let delivered = rows.rows.iter().zip(&hashes).filter(|(row, hash)| judge.judge(row, **hash) == Verdict::Deliver);
    Ok((Some(delivered.count() as u64), Some(rows.listed())))
}

/// How many rows match a request, if its answer shows it.
fn total(rows: &Rows) -> Option<u64> {
    rows.envelope.total.or_else(|| (!rows.envelope.more && rows.listed() < rows.asked as u64).then_some(rows.listed()))
}
