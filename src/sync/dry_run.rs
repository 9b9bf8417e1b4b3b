//! The estimate of `read --dry-run` for a stream, from one request. No row is emitted and no state changes.
//!
//! For an incremental read, the request is the first one of that read, for the newest changes, so that rows emitted
//! before are not counted. For any other read it is a request for one row, with the store's count. One more request
//! counts the ids of a stream whose next read lists them all, because deleted rows are detected from then on.

use std::sync::Arc;

use super::checkpoint::Checkpoint;
use super::context::{StreamContext, StreamError};
use super::date_filter;
use super::deletion_tracker::Begin;
use super::query::DateRange;
use super::row_filter::{Decision, RowFilter};
use super::rows::Rows;
use super::sent_rows::OVERLAP_SECONDS;
use super::stream_output::StreamOutput;
use super::{StreamFailure, SyncContext, context, new_tracker, state_of, strategy};
use crate::airbyte::state::StoredState;
use crate::airbyte::{ConfiguredStream, Emitter, SyncMode};
use crate::output::forecast::StreamForecast;
use crate::output::progress::Progress;
use crate::timestamp::Timestamp;

/// Calls of a read of several pages in addition to its pages: for the newest changes, and to confirm the end.
const FURTHER_CALLS: u64 = 2;
/// The same on a first sync and in a full refresh, which also look for rows without `updated_at`.
const FURTHER_CALLS_AT_FIRST: u64 = 3;

/// Returns the estimate for a stream.
pub(crate) async fn run(
    sync_context: &SyncContext,
    configured: &ConfiguredStream,
    states: &[StoredState],
    emitter: &Emitter,
) -> Result<StreamForecast, StreamFailure> {
    let need = need(sync_context, configured, states, emitter).await?;
    Ok(StreamForecast {
        rows: need.rows,
        pages: need.pages(),
        calls: need.calls(),
        ..StreamForecast::unknown(&configured.stream.name, configured.sync_mode)
    })
}

/// Rows and calls that a stream needs.
struct Need {
    rows: Option<u64>,
    /// Rows to read, including those that are not emitted.
    looked_at: Option<u64>,
    page_size: u64,
    /// Calls in addition to the pages, if there are several.
    further: u64,
    /// Calls for rows that the store could not send before.
    retried: u64,
    /// Calls for rows that are requested one by one.
    one_by_one: u64,
    /// Calls that look for deleted rows, if there are none.
    deletions: u64,
}

impl Need {
    fn pages(&self) -> Option<u64> {
        Some(self.looked_at?.div_ceil(self.page_size))
    }

    fn calls(&self) -> Option<u64> {
        let calls = match self.pages()? {
            // A request without a result also counts.
            0 | 1 => 1,
            pages => pages + self.further,
        };
        Some(calls + self.retried + self.one_by_one + self.deletions)
    }
}

async fn need(
    sync_context: &SyncContext,
    configured: &ConfiguredStream,
    states: &[StoredState],
    emitter: &Emitter,
) -> Result<Need, StreamFailure> {
    let name = &configured.stream.name;
    let Some(stream) = sync_context.client.find(name) else { return Err(StreamFailure::UnknownStream) };
    let parsed = state_of(states, name, stream).map_or_else(|| Ok(Default::default()), Checkpoint::parse);
    let (before, mut notes) = parsed.map_err(StreamFailure::InvalidState)?;
    let state_is_full = before.full;
    let full_refresh = configured.sync_mode == SyncMode::FullRefresh || !stream.has_updated_at;
    let selected = sync_context.selected(stream, configured);
    // The read itself reports issues of the state.
    let checkpoint = before.begin(full_refresh, selected, &mut notes);
    let output = StreamOutput::new(name, emitter.clone(), Arc::new(Progress::default()));
    let Some(context) = context(sync_context, configured, stream, &output) else {
        return Err(StreamFailure::bad_schema());
    };
    // Rows inside those of another stream are not counted; their requests are those of the other stream.
    let parent = context.of_parent();
    let page_size = match sync_context.record_options.nested(stream, &configured.stream.json_schema) {
        Some(_) => context.capabilities.nested_page_size,
        None => parent.as_ref().unwrap_or(&context).page_size(),
    };
    let is_first = checkpoint.cursor.is_none();
    let retried = checkpoint.unread.len() as u64 + if checkpoint.rows_without_key > 0 { 2 } else { 0 };
    let counted = match &parent {
        Some(parent) => counted(parent, &DateRange::default()).await.map(|(_, parents)| (None, parents)),
        None => rows(&context, &checkpoint).await,
    };
    let failure = |error| StreamFailure::Stopped(stream, error);
    let (rows, looked_at) = counted.map_err(failure)?;
    let is_one_by_one = stream.nested_in.as_ref().is_some_and(|nested| nested.one_by_one);
    let begin = Begin {
        state: state_of(states, name, stream),
        full_refresh: configured.sync_mode == SyncMode::FullRefresh,
        state_is_full,
        is_finished: false,
        from_nothing: is_first && checkpoint.walk.is_none(),
    };
    let deletions = deletion_calls(sync_context, configured, &context, begin, (&checkpoint, looked_at));
    Ok(Need {
        rows,
        looked_at,
        page_size: page_size as u64,
        further: if is_first && stream.has_updated_at { FURTHER_CALLS_AT_FIRST } else { FURTHER_CALLS },
        retried,
        one_by_one: looked_at.filter(|_| is_one_by_one).unwrap_or(0),
        deletions: deletions.await.map_err(failure)?,
    })
}

/// Returns the number of calls that look for deleted rows, if there are none. `looked_at` is the number of rows that
/// are read.
async fn deletion_calls(
    sync_context: &SyncContext,
    configured: &ConfiguredStream,
    context: &StreamContext,
    begin: Begin<'_>,
    (checkpoint, looked_at): (&Checkpoint, Option<u64>),
) -> Result<u64, StreamError> {
    let (stream, page) = (context.stream, context.page_size() as u64);
    let is_detected = sync_context.record_options.reports_deletions(stream, &configured.stream.json_schema);
    // A list of all rows shows by itself which ones are missing.
    let lists_all = !stream.has_updated_at
        || checkpoint.reads_all_rows
        || begin.from_nothing && looked_at.is_some_and(|rows| rows < page);
    if !is_detected || begin.full_refresh || lists_all {
        return Ok(0);
    }
    let tracker = new_tracker(sync_context, configured, context, begin);
    if tracker.is_built() {
        return Ok(u64::from(!tracker.known().is_too_large));
    }
    // All ids are listed once.
    let (rows, _) = counted(context, &tracker.filter()).await?;
    Ok(rows.map_or(1, |rows| rows.div_ceil(page).max(1)))
}

/// Returns the number of rows that a read from this state emits, and the number that it reads.
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
    // With other dates in the config an interrupted walk is not continued.
    if let Some(walk) = checkpoint.walk.as_ref().filter(|walk| walk.from == from && walk.before == context.end) {
        let left = walk.counted.map(|counted| counted.saturating_sub(walk.read));
        let Some(until) = walk.until else { return Ok((left, left)) };
        let since = DateRange { from: None, after: Some(until), before: context.end, ..DateRange::default() };
        let (changed, _) = counted(context, &since).await?;
        let all = left.zip(changed).map(|(left, changed)| left + changed);
        return Ok((all, all));
    }
    if checkpoint.cursor.is_none() && !checkpoint.reads_all_rows {
        // If rows without `updated_at` are common, no date filter counts them.
        let filter = if context.stream.may_lack_updated_at { DateRange::default() } else { date_range };
        return counted(context, &filter).await;
    }
    changes(context, checkpoint, date_range).await
}

/// Returns the store's count of all parts of the stream as both numbers.
async fn counted(context: &StreamContext, filter: &DateRange) -> Result<(Option<u64>, Option<u64>), StreamError> {
    let mut all = Some(0);
    for part in strategy::parts(context) {
        let query = context.query(1).date_range(filter).part(part.as_deref());
        let answer = context.fetch(&query, &mut context.writer()).await?;
        all = all.zip(total(&answer.page)).map(|(all, total)| all + total);
    }
    Ok((all, all))
}

/// Requests the newest changes, without those that were emitted before.
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
    let (_, decisions) = row_filter.decide_rows(rows, row_filter.known.floor(), context.prefix_length());
    let delivered = decisions.iter().filter(|&&decision| decision == Decision::Emit);
    Ok((Some(delivered.count() as u64), Some(rows.listed())))
}

/// Returns the number of rows that match a request, if the response shows it.
fn total(rows: &Rows) -> Option<u64> {
    rows.envelope.total.or_else(|| (!rows.envelope.more && rows.listed() < rows.asked as u64).then_some(rows.listed()))
}
