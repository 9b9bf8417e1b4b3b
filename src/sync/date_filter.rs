//! Checks how the store's date filter behaves.
//!
//! The API documents filters on dates without describing how a store compares them: one may keep local time, ignore
//! the zone of a filter, or apply today's offset to every date, and then hides rows that a filter should list. So
//! each sync checks the filter with known rows: those at the cursor of the previous sync must be listed. If they are
//! not, rows are requested from an earlier date and filtered here.

use super::checkpoint::Checkpoint;
use super::context::{FetchedPage, StreamContext, StreamError};
use super::list_end::End;
use super::probes;
use super::query::{DateRange, Order};
use super::row_filter::id_of;
use super::rows::Row;
use super::sent_rows::CursorRow;
use crate::record::CursorValue;
use crate::timestamp::Timestamp;

/// Hours to look back that are tried, one after another: none (the same request again), one and two changes of a
/// clock, the zone furthest from Greenwich, and the two zones that are furthest apart.
const HOURS: [i64; 5] = [0, 1, 2, 14, 26];

/// Hours added to both sides of the user's dates in requests: no two zones are further apart.
pub(super) const WIDEST: i64 = 26;

/// Minimum hours from which later syncs look back as well: the store then confuses zones, which is permanent, unlike
/// one change of a clock.
const LASTING: i64 = 14;

/// A first response whose filter was checked.
#[derive(Debug)]
pub(super) struct CheckedPage {
    /// The response: the newest rows first. `None` if the store cannot send the newest row.
    pub answer: Option<FetchedPage>,
    /// The date filter that was requested.
    pub asked: DateRange,
    /// First instant from which rows are emitted.
    pub from: Timestamp,
    /// Hours by which later syncs look further back.
    pub look_back_hours: i64,
}

/// Result of a check of a filter with known rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FilterCheck {
    /// It lists the known rows.
    Complete,
    /// It hides a row at the cursor. This row shows how far back the filter has to begin.
    HidesRows,
    /// It hides the newest row. The number of hidden older rows is unknown.
    HidesNewest,
}

/// Returns the date range to request for rows emitted from `from` on. The user's dates are widened by [`WIDEST`]
/// hours, since a store may read them in another zone.
pub(super) fn widen(context: &StreamContext, from: Timestamp, hours: i64) -> DateRange {
    let hours = if from <= context.start { WIDEST } else { hours };
    DateRange {
        from: Some(from.minus_seconds(hours * 3600)),
        before: context.end.and_then(|end| end.plus_seconds(WIDEST * 3600)),
        ..DateRange::default()
    }
}

/// Requests the newest rows of a date range; returns `None` if the store cannot send the newest of them.
pub(super) async fn newest(
    context: &StreamContext,
    date_range: &DateRange,
) -> Result<Option<FetchedPage>, StreamError> {
    let query = context.page_query().sort(Order::DateDescending).date_range(date_range);
    let answer = probes::if_readable(context.fetch(&query, &mut context.writer()).await)?;
    // Its slot is released at once: requests about it follow, and there may be no other slot.
    Ok(answer.map(|answer| FetchedPage { slot: None, ..answer }))
}

/// Checks the response to a filter that begins at `from` with the rows that `base` remembers, and requests rows from
/// earlier dates until these rows are listed. Reads without a filter if no filter lists them.
pub(super) async fn check(
    context: &StreamContext,
    base: &Checkpoint,
    from: Timestamp,
    first: CheckedPage,
) -> Result<CheckedPage, StreamError> {
    let mut checked = first;
    let found = find(context, base, from, &mut checked).await?;
    if found != FilterCheck::Complete {
        let known = base.look_back_hours;
        let is_next =
            |hours: &i64| *hours == 0 || *hours > known && (found == FilterCheck::HidesRows || *hours == WIDEST);
        let mut hours = HOURS.into_iter().filter(is_next);
        loop {
            checked.answer = None;
            let Some(next) = hours.next() else {
                checked.asked = DateRange::default();
                checked.answer = newest(context, &checked.asked).await?;
                context.warn_hidden(WIDEST).await?;
                return Ok(checked);
            };
            let back = next.max(known);
            checked.asked = widen(context, from, back);
            checked.answer = newest(context, &checked.asked).await?;
            if find(context, base, from, &mut checked).await? == FilterCheck::Complete {
                if next > 0 {
                    context.warn_hidden(back).await?;
                }
                checked.look_back_hours = if back >= LASTING { back } else { 0 };
                break;
            }
        }
    }
    let is_anew = is_shown_anew(base, &checked);
    if !is_anew && !is_shifted(base, &checked) {
        return Ok(checked);
    }
    // The clock was changed since: rows of the last hour may be hidden.
    let wider = widen(context, from, checked.look_back_hours.max(1));
    if checked.asked.from > wider.from {
        checked.answer = None;
        checked.answer = newest(context, &wider).await?;
        checked.asked = wider;
    }
    // Rows shown an hour earlier than before are still new.
    let from = if is_anew { from.minus_seconds(3600).max(context.start) } else { from };
    Ok(CheckedPage { from, ..checked })
}

/// Checks a response with the rows remembered from the last sync.
async fn find(
    context: &StreamContext,
    base: &Checkpoint,
    from: Timestamp,
    CheckedPage { answer, asked, .. }: &mut CheckedPage,
) -> Result<FilterCheck, StreamError> {
    let Some(FetchedPage { page: rows, date: answered, is_missing, .. }) = answer else {
        return Ok(FilterCheck::Complete);
    };
    let at_cursor = if *is_missing { &[] } else { base.sent_rows.at_cursor() };
    let listed = |key: i64| rows.rows.iter().find(|row| id_of(row.key) == Some(key));
    let is_unchanged =
        |known: &CursorRow| listed(known.key).is_some_and(|row| row.updated == CursorValue::At(known.date));
    if at_cursor.iter().any(is_unchanged) {
        return Ok(FilterCheck::Complete);
    }
    // Free the memory of a full page first: the requests need some.
    rows.lines.attach_guard(());
    let listed = |key: i64| rows.rows.iter().find(|row| id_of(row.key) == Some(key));
    let is_short = context.end_detector.of(rows) != End::Reached;
    // A row changed after the response was created may be missing from it.
    let is_since = |date: Timestamp| answered.is_some_and(|answered| date > answered);
    // A row that was changed after the end date is rightly missing.
    let is_before_end = |date: Timestamp| context.end.is_none_or(|end| date < end);
    if let Some(known) = at_cursor.iter().find(|known| listed(known.key).is_none()) {
        let must_come = |row: &Row| {
            let is_wanted = |date| is_before_end(date) && (date >= from || row.offset != known.offset);
            matches!(row.updated, CursorValue::At(date) if !is_since(date) && is_wanted(date))
        };
        match probes::row(context, known.key).await?.filter(must_come) {
            // Newer rows fill the response, so it shows nothing about older ones.
            Some(_) if is_short => return is_listed(context, known, asked).await,
            Some(_) => return Ok(FilterCheck::HidesRows),
            None => {}
        }
    }
    // It was deleted, or changed since.
    let shows_changes =
        rows.rows.iter().any(|row| matches!(row.updated, CursorValue::At(date) if Some(date) > base.cursor));
    if !at_cursor.is_empty() && (is_short || shows_changes) {
        return Ok(FilterCheck::Complete);
    }
    // All of them changed: the newest row of the stream must be listed.
    let Some(newest) = probes::newest_row(context).await? else { return Ok(FilterCheck::Complete) };
    let CursorValue::At(date) = newest.updated else { return Ok(FilterCheck::Complete) };
    let must_come =
        date >= from && is_before_end(date) && !is_since(date) && !rows.rows.iter().any(|row| row.key == newest.key);
    Ok(if must_come { FilterCheck::HidesNewest } else { FilterCheck::Complete })
}

/// Requests a known row under the filter, if the first response is too short to show it.
async fn is_listed(context: &StreamContext, known: &CursorRow, asked: &DateRange) -> Result<FilterCheck, StreamError> {
    let query = context.query(1).keys(known.key.checked_sub(1), Some(known.key)).date_range(asked);
    let answer = probes::if_readable(context.fetch(&query, &mut context.writer()).await)?;
    let is_hidden = answer.is_some_and(|answer| answer.page.rows.is_empty());
    Ok(if is_hidden { FilterCheck::HidesRows } else { FilterCheck::Complete })
}

/// Returns true if the store shows UTC offsets that it did not show at the last sync: its clock was changed.
fn is_shifted(base: &Checkpoint, checked: &CheckedPage) -> bool {
    let (Some(FetchedPage { page: rows, date: clock, .. }), known) = (&checked.answer, base.sent_rows.at_cursor())
    else {
        return false;
    };
    let is_new = |row: &Row| {
        let CursorValue::At(date) = row.updated else { return false };
        Some(date) > base.cursor && clock.is_none_or(|clock| date <= clock)
    };
    !known.is_empty() && rows.rows.iter().any(|row| is_new(row) && known.iter().all(|known| known.offset != row.offset))
}

/// Returns true if a row of the last sync has another UTC offset now: the store applies one offset to all dates, and
/// shows the remembered ones an hour earlier or later than before.
fn is_shown_anew(base: &Checkpoint, checked: &CheckedPage) -> bool {
    let Some(FetchedPage { page: rows, .. }) = &checked.answer else { return false };
    let is_anew = |row: &Row| {
        let known = base.sent_rows.at_cursor().iter().find(|known| id_of(row.key) == Some(known.key));
        known.is_some_and(|known| row.offset.is_some() && known.offset != row.offset)
    };
    rows.rows.iter().any(is_anew)
}
