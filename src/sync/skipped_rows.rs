//! Rows that an earlier sync had to skip: they are requested again at the start of each sync.

use super::checkpoint::{Checkpoint, Range, WalkCheckpoint};
use super::context::{StreamContext, StreamError};
use super::list_end::End;
use super::probes;
use super::query::{DateRange, Order};
use super::row_filter::{Decision, RowFilter, id_of};
use super::rows::check_keys;
use super::sent_rows::SentRows;
use crate::timestamp::Timestamp;

/// Requests the rows again that the store could not send in an earlier sync. `date_range` has the requested dates.
pub(super) async fn retry(
    context: &StreamContext,
    date_range: DateRange,
    mut checkpoint: Checkpoint,
) -> Result<Checkpoint, StreamError> {
    if checkpoint.cursor.is_none() && checkpoint.walk.is_none() {
        // All rows are read anyway.
        checkpoint.unread.clear();
    }
    let rows_without_key = match checkpoint.rows_without_key {
        0 => 0,
        before => probes::rows_without_key(context).await?.unwrap_or(before).max(context.rows_without_key()),
    };
    if rows_without_key < checkpoint.rows_without_key {
        // A row without a key has one now. It is unknown which row, so all rows are read again.
        let (full, kept, selected) = (checkpoint.full, checkpoint.kept, checkpoint.selected);
        return Ok(Checkpoint { full, kept, selected, rows_without_key, ..Checkpoint::default() });
    }
    let (unread, sent_rows) = (std::mem::take(&mut checkpoint.unread), &mut checkpoint.sent_rows);
    let unread = retry_ranges(context, (date_range, None), unread, sent_rows).await?;
    Ok(Checkpoint { unread, rows_without_key, ..checkpoint })
}

/// Requests the rows again that an interrupted walk had to skip. Rows that changed after it began are left to the next
/// pass. `date_range` has the requested dates.
pub(super) async fn retry_walk(
    context: &StreamContext,
    date_range: DateRange,
    mut walk: WalkCheckpoint,
) -> Result<WalkCheckpoint, StreamError> {
    let unread = std::mem::take(&mut walk.unread);
    walk.unread = retry_ranges(context, (date_range, walk.until), unread, &mut walk.sent_rows).await?;
    Ok(walk)
}

/// Reads ranges of skipped rows, and returns those that are still missing. Rows that changed after the given time are
/// not emitted.
async fn retry_ranges(
    context: &StreamContext,
    dates: (DateRange, Option<Timestamp>),
    ranges: Vec<Range>,
    sent_rows: &mut SentRows,
) -> Result<Vec<Range>, StreamError> {
    let mut still = Vec::new();
    for range in ranges {
        if let Some(rest) = retry_range(context, dates, range, sent_rows).await? {
            still.push(rest);
        }
    }
    Ok(still)
}

/// Reads a range of skipped rows. Returns the part that is still missing. Sends one request, and a second one if the
/// store does not list the last row of the range.
async fn retry_range(
    context: &StreamContext,
    (date_range, later_than): (DateRange, Option<Timestamp>),
    mut range: Range,
    sent_rows: &mut SentRows,
) -> Result<Option<Range>, StreamError> {
    let row_filter = RowFilter { date_range, later_than, include_missing_dates: true, known: sent_rows.clone() };
    let mut was_end = false;
    loop {
        let query = context.page_query().sort(Order::Key).keys(range.0, range.1).no_retry();
        let answer = match context.fetch_range(&query, range, &mut context.writer()).await {
            Ok(answer) => answer,
            Err(StreamError::Request(error)) => {
                context.note_unreadable(&error);
                return Ok(Some(range));
            }
            Err(stream_error) => return Err(stream_error),
        };
        let mut rows = answer.page;
        if check_keys(&rows.rows, range).is_err() {
            // It does not answer this request, and shows nothing about the range.
            return Ok(Some(range));
        }
        let last = rows.rows.last().and_then(|row| id_of(row.key)).or(range.0);
        // The rows after the last one may have been deleted. One response does not prove that; a second one is accepted
        // as proof.
        let says_end = rows.rows.is_empty() || context.end_detector.of(&rows) == End::Reached;
        let is_end = (says_end && was_end) || (range.1.is_some() && last == range.1);
        was_end = says_end;
        let (hashes, mut decisions) = row_filter.decide_rows(&rows, row_filter.known.floor(), context.prefix_length());
        context.output.restore(&rows.rows, &mut decisions);
        for ((row, decision), &hash) in rows.rows.iter().zip(&decisions).zip(&hashes) {
            if let (Decision::Emit, Some(id)) = (decision, id_of(row.key)) {
                // Rows that changed since the cursor are read again by the sync that follows.
                sent_rows.add(id, row, hash);
            }
        }
        let records = rows.retain(|index, _| decisions[index] == Decision::Emit);
        let batch = context.output.begin_batch(records).await?;
        batch.note(&rows.rows, &decisions);
        batch.send(rows.lines, records);
        if is_end {
            return Ok(None);
        }
        range.0 = last;
    }
}
