//! Handles a sync whose rows all fit in one response. It shows one moment, so its newest date becomes the cursor.

use super::checkpoint::Checkpoint;
use super::context::{StreamContext, StreamError};
use super::query::DateRange;
use super::row_filter::{Decision, RowFilter, id_of};
use super::rows::{Row, Rows};
use super::sent_rows::{Retention, SentRows};
use crate::record::CursorValue;
use crate::timestamp::Timestamp;

/// Emits the accepted rows of a response that has all rows, and returns the state. `filter` is the requested date
/// filter, `past` the range in which the cursor may be.
pub(crate) async fn emit(
    context: &StreamContext,
    mut rows: Rows,
    base: Checkpoint,
    row_filter: &RowFilter,
    (filter, past): (&DateRange, &DateRange),
) -> Result<Checkpoint, StreamError> {
    let is_unfiltered = *filter == DateRange::default();
    let has_missing_dates = rows.has_missing_dates();
    // If rows without `updated_at` are not expected and there are none, the next sync requests changes only.
    let reads_all_rows = is_unfiltered && (context.stream.may_lack_updated_at || has_missing_dates);
    let floor = if reads_all_rows { Some(Timestamp::EARLIEST) } else { past_floor(&rows, &base, row_filter, past) };
    let floor = floor.into_iter().chain(row_filter.known.floor()).min();
    let (hashes, mut decisions) = row_filter.decide_rows(&rows, floor, context.prefix_length());
    context.output.restore(&rows.rows, &mut decisions);
    let cursor = cursor_after(&rows, &base, row_filter, past);
    let retention = match cursor {
        _ if reads_all_rows => Retention::Everything(cursor),
        Some(cursor) => Retention::Overlap(cursor),
        None => Retention::Nothing,
    };
    let mut sent_rows = SentRows::of(retention);
    for ((row, decision), &hash) in rows.rows.iter().zip(&decisions).zip(&hashes) {
        // The next sync compares rows of all dates, and a row before the dates of this one must not count as new then.
        // A row after them must: it was never emitted.
        let is_before = reads_all_rows && is_before(row, row_filter);
        let is_known = matches!(decision, Decision::Emit | Decision::AlreadySent) || is_before;
        if let (true, Some(id)) = (is_known, id_of(row.key)) {
            sent_rows.add(id, row, hash);
        }
    }
    if cursor == base.cursor && !decisions.contains(&Decision::Emit) {
        sent_rows.keep(&base.sent_rows);
    }
    if !is_unfiltered && rows.rows.iter().any(|row| row.is_outside(filter)) {
        context.warn_dates().await?;
    }
    let records = rows.retain(|index, _| decisions[index] == Decision::Emit);
    let mut batch = context.output.begin_batch(records).await?;
    batch.inner.stats.count_skipped(&decisions);
    match context.output.deletions().filter(|_| is_unfiltered) {
        Some(tracker) => tracker.note_all(&rows.rows, &decisions),
        None => batch.note(&rows.rows, &decisions),
    }
    batch.send(rows.lines, records);
    let previous = if cursor == base.cursor { base.previous } else { base.cursor.or(base.previous) };
    Ok(Checkpoint { cursor, previous, sent_rows, reads_all_rows, walk: None, ..base })
}

/// Returns the newest emitted date that is not later than the store's clock, and never earlier than the previous
/// cursor.
fn cursor_after(rows: &Rows, base: &Checkpoint, row_filter: &RowFilter, past: &DateRange) -> Option<Timestamp> {
    let dates = rows.rows.iter().filter_map(|row| match row.updated {
        CursorValue::At(instant) if row_filter.date_range.contains(instant) => Some(instant),
        _ => None,
    });
    let dates: Vec<Timestamp> = dates.collect();
    let newest = dates.iter().copied().filter(|&instant| past.contains(instant)).max();
    // All rows are dated after the store's clock: the cursor is the clock.
    let clock = past.until.filter(|_| !dates.is_empty());
    base.cursor.max(newest.or(clock))
}

/// Returns true if a row is dated before the requested dates.
fn is_before(row: &Row, row_filter: &RowFilter) -> bool {
    let from = row_filter.date_range.from;
    matches!(row.updated, CursorValue::At(instant) if from.is_some_and(|from| instant < from))
}

fn past_floor(rows: &Rows, base: &Checkpoint, row_filter: &RowFilter, past: &DateRange) -> Option<Timestamp> {
    SentRows::before(cursor_after(rows, base, row_filter, past)).floor()
}
