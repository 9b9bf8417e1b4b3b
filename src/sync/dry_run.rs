//! `read --dry-run`: what a read would take, from one request a stream. Nothing is delivered and no state changes.
//!
//! A stream that would be read for its changes is asked as a read asks first, for its newest changes, so that rows
//! that were sent before are not counted; any other is asked for one row, and the store's count is the answer.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::checkpoint::Checkpoint;
use super::context::{StreamContext, StreamError};
use super::date_filter;
use super::query::DateRange;
use super::row_filter::{Decision, RowFilter};
use super::rows::Rows;
use super::sent_rows::OVERLAP_SECONDS;
use super::stream_output::StreamOutput;
use super::{SyncContext, columns, context, state_of};
use crate::airbyte::state::StoredState;
use crate::airbyte::{Closed, ConfiguredCatalog, ConfiguredStream, Emitter, SyncMode};
use crate::output::forecast::{CallLimit, Forecast, StreamForecast};
use crate::output::progress::Progress;
use crate::panic_hook;
use crate::timestamp::Timestamp;
use crate::user_error::UserError;

/// Calls of a read of several pages beyond these pages: for the newest changes, and to be sure of the end.
const FURTHER_CALLS: u64 = 2;
/// The same on a first sync and in a full refresh, which also look for rows without `updated_at`.
const FURTHER_CALLS_AT_FIRST: u64 = 3;

/// Asks the store what each stream would take, and prints it. True if every stream is known.
///
/// # Errors
/// [`Closed`] if stdout is gone.
pub async fn run(
    sync_context: SyncContext,
    catalog: ConfiguredCatalog,
    states: Vec<StoredState>,
    as_json: bool,
    emitter: &Emitter,
) -> Result<bool, Closed> {
    let (sync_context, states) = (Arc::new(sync_context), Arc::new(states));
    let mut asked = JoinSet::new();
    let streams = catalog.streams.len();
    for (index, configured) in catalog.streams.into_iter().enumerate() {
        let (sync_context, states, emitter) = (Arc::clone(&sync_context), Arc::clone(&states), emitter.clone());
        asked.spawn(async move { (index, one(&sync_context, configured, &states, &emitter).await) });
    }
    let mut found: Vec<Option<StreamForecast>> = vec![None; streams];
    let mut is_known = true;
    while let Some(done) = asked.join_next().await {
        let Ok((index, outcome)) = done else {
            is_known = false;
            let user_error = UserError::panic(&panic_hook::last_location());
            emitter.error(None, user_error.kind, &user_error.message, user_error.internal.as_deref()).await?;
            continue;
        };
        let forecast = outcome?;
        is_known &= forecast.error.is_none();
        if let Some(forecast_slot) = found.get_mut(index) {
            *forecast_slot = Some(forecast);
        }
    }
    let usage = sync_context.client.usage();
    let forecast = Forecast {
        streams: found.into_iter().flatten().collect(),
        limit: CallLimit { allowed: usage.allowed, in_use: usage.in_use },
    };
    emitter.send(if as_json { forecast.json() } else { forecast.table() }.into_bytes()).await?;
    Ok(is_known)
}

/// Asks about one stream; a failure is said on stderr and is in the forecast.
async fn one(
    sync_context: &SyncContext,
    configured: ConfiguredStream,
    states: &[StoredState],
    emitter: &Emitter,
) -> Result<StreamForecast, Closed> {
    let name = configured.stream.name.clone();
    let sync_mode = configured.sync_mode;
    let unknown = StreamForecast { stream: name.clone(), sync_mode, rows: None, pages: None, calls: None, error: None };
    match need(sync_context, &configured, states, emitter).await {
        Ok(need) => Ok(StreamForecast { rows: need.rows, pages: need.pages(), calls: need.calls(), ..unknown }),
        Err(user_error) => {
            emitter.error(Some(&name), user_error.kind, &user_error.message, user_error.internal.as_deref()).await?;
            Ok(StreamForecast { error: Some(emitter.masked(&user_error.message)), ..unknown })
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
    sync_context: &SyncContext,
    configured: &ConfiguredStream,
    states: &[StoredState],
    emitter: &Emitter,
) -> Result<Need, UserError> {
    let name = &configured.stream.name;
    let Some(stream) = sync_context.client.find(name) else { return Err(UserError::unknown_stream(name)) };
    let parsed = state_of(states, name, stream).map_or_else(|| Ok(Default::default()), Checkpoint::parse);
    let (checkpoint, mut notes) = parsed.map_err(|fault| UserError::bad_state(name, &fault))?;
    let full_refresh = configured.sync_mode == SyncMode::FullRefresh || !stream.has_updated_at;
    let columns = columns::of(&sync_context.record_options, stream, &configured.stream.json_schema);
    // What is to be said of the state, the read says.
    let checkpoint = checkpoint.begin(full_refresh, columns.as_deref(), &mut notes);
    let output = StreamOutput::new(name.clone(), emitter.clone(), Arc::new(Progress::default()));
    let Some(context) = context(sync_context, configured, stream, &output) else {
        return Err(UserError::panic("a schema of the table is not JSON"));
    };
    let page_size = match sync_context.record_options.parameter(stream, &configured.stream.json_schema) {
        Some(_) => context.capabilities.nested_page_size,
        None => context.page_size(),
    };
    let is_first = checkpoint.cursor.is_none();
    let retried = checkpoint.unread.len() as u64 + if checkpoint.rows_without_key > 0 { 2 } else { 0 };
    let (rows, looked_at) = match rows(&context, &checkpoint).await {
        Ok(found) => found,
        Err(stream_error) => return Err(UserError::stopped(name, stream, &stream_error, &sync_context.client.host())),
    };
    Ok(Need {
        rows,
        looked_at,
        page_size: page_size as u64,
        further: if is_first && stream.has_updated_at { FURTHER_CALLS_AT_FIRST } else { FURTHER_CALLS },
        retried,
    })
}

/// Returns how many rows a read from this state delivers, and how many it looks at for them.
async fn rows(context: &StreamContext, checkpoint: &Checkpoint) -> Result<(Option<u64>, Option<u64>), StreamError> {
    let from =
        checkpoint.cursor.map_or(context.start, |cursor| cursor.minus_seconds(OVERLAP_SECONDS).max(context.start));
    let date_range = DateRange { from: Some(from), before: context.end, ..DateRange::default() };
    if !context.stream.has_updated_at {
        return counted(context, &DateRange::default()).await;
    }
    if date_range.is_empty() {
        return Ok((Some(0), Some(0)));
    }
    // With other dates in the config an interrupted walk is not gone on with.
    if let Some(walk) = checkpoint.walk.as_ref().filter(|walk| walk.from == from && walk.before == context.end) {
        let left = walk.counted.map(|counted| counted.saturating_sub(walk.read));
        let Some(until) = walk.until else { return Ok((left, left)) };
        let since = DateRange { from: None, after: Some(until), before: context.end, ..DateRange::default() };
        let (changed, _) = counted(context, &since).await?;
        let all = left.zip(changed).map(|(left, changed)| left + changed);
        return Ok((all, all));
    }
    if checkpoint.cursor.is_none() && !checkpoint.reads_all_rows {
        // Where rows without a date are usual, no date filter counts them.
        let filter = if context.stream.may_lack_updated_at { DateRange::default() } else { date_range };
        return counted(context, &filter).await;
    }
    changes(context, checkpoint, date_range).await
}

/// Returns what the store counts, as both numbers.
async fn counted(context: &StreamContext, filter: &DateRange) -> Result<(Option<u64>, Option<u64>), StreamError> {
    let query = context.query(1).date_range(filter);
    let answer = context.fetch(&query, &mut context.writer()).await?;
    let total = total(&answer.page);
    Ok((total, total))
}

/// Requests the newest changes, and leaves out those that were sent before.
async fn changes(
    context: &StreamContext,
    checkpoint: &Checkpoint,
    date_range: DateRange,
) -> Result<(Option<u64>, Option<u64>), StreamError> {
    let from = date_range.from.unwrap_or(Timestamp::EARLIEST);
    let asked = if checkpoint.reads_all_rows {
        DateRange::default()
    } else {
        date_filter::widen(context, from, checkpoint.look_back_hours)
    };
    let Some(mut answer) = date_filter::newest(context, &asked).await? else { return Ok((None, None)) };
    let rows = &mut answer.page;
    let known = checkpoint.sent_rows.sent().len();
    let total = total(rows);
    if total.is_some_and(|total| total > rows.listed()) || rows.envelope.more {
        return Ok((total.map(|total| total.saturating_sub(known)), total));
    }
    let date_range =
        if checkpoint.reads_all_rows { DateRange { from: Some(context.start), ..date_range } } else { date_range };
    let row_filter = RowFilter {
        date_range,
        later_than: None,
        include_missing_dates: checkpoint.reads_all_rows,
        known: checkpoint.sent_rows.clone(),
    };
    let (_, decisions) = row_filter.judge(rows, row_filter.known.floor(), context.prefix_length());
    let delivered = decisions.iter().filter(|&&decision| decision == Decision::Emit);
    Ok((Some(delivered.count() as u64), Some(rows.listed())))
}

/// How many rows match a request, if its answer shows it.
fn total(rows: &Rows) -> Option<u64> {
    rows.envelope.total.or_else(|| (!rows.envelope.more && rows.listed() < rows.asked as u64).then_some(rows.listed()))
}
