//! What the store's date filter means.
//!
//! The API documents filters on dates without saying how a store compares them: one may keep local time, ignore
//! the zone of a filter, or apply today's offset to every date, and then hides rows that a filter should list.
//! So each sync checks the filter by rows that it knows: those at the cursor of the sync before must come back.
//! Where they do not, rows are requested from further back, and compared here.

use super::ends::End;
use super::judge::id_of;
use super::questions;
use super::reader::{Fetched, Reader, Stop};
use super::recent::CursorRow;
use super::rows::Row;
use super::saved::Saved;
use crate::cart::Query;
use crate::cart::query::{PAGE_SIZE, Window};
use crate::record::Updated;
use crate::streams::CURSOR;
use crate::timestamp::Timestamp;

/// Hours that are tried, one after the other: none (the same request once more), the change of a clock, two of
/// them, the furthest zone from Greenwich, and the two zones that are furthest apart.
const HOURS: [i64; 5] = [0, 1, 2, 14, 26];

/// Hours by which bounds that the user gave are requested wider: no two zones are further apart.
pub(super) const WIDEST: i64 = 26;

/// From this many hours on, a store confuses zones and not one change of a clock, and will do so next time.
const LASTING: i64 = 14;

/// A first answer whose filter was checked.
#[derive(Debug)]
pub(super) struct Checked {
    /// The answer: the newest rows first. Nothing if the store cannot send the newest row.
    pub answer: Option<Fetched>,
    /// The date filter that was requested.
    pub asked: Window,
    /// The first instant that is delivered.
    pub from: Timestamp,
    /// Hours by which later syncs look further back.
    pub look_back: i64,
}

/// What the known rows say about a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    /// It lists what it should.
    Right,
    /// It hides a row at the cursor, which shows how far back it has to begin.
    Hides,
    /// It hides the newest row: how many older ones are hidden as well nothing shows.
    HidesNewest,
}

/// The requested window for rows that are delivered from `from` on: bounds of the user are wider by
/// [`WIDEST`] hours, since a store may read them in another zone.
pub(super) fn widened(reader: &Reader, from: Timestamp, hours: i64) -> Window {
    let hours = if from <= reader.start { WIDEST } else { hours };
    Window {
        from: Some(from.minus_seconds(hours * 3600)),
        before: reader.end.and_then(|end| end.plus_seconds(WIDEST * 3600)),
        ..Window::default()
    }
}

/// Requests the newest rows of a window; nothing if the store cannot send the newest of them.
///
/// # Errors
/// [`Stop`]
pub(super) async fn newest(reader: &Reader, window: &Window) -> Result<Option<Fetched>, Stop> {
    let query = Query::new(reader.stream.name, PAGE_SIZE).sort("-updated_at").window(CURSOR, window);
    let answer = questions::if_readable(reader.fetch(&query, &mut reader.copier()).await)?;
    // Its place is given back at once: questions about it follow, and there may be no other place.
    Ok(answer.map(|answer| Fetched { place: None, ..answer }))
}

/// Checks the answer to a filter that begins at `from`, by the rows that `base` remembers, and requests rows
/// from further back until they are listed. Reads without a filter where no filter lists them.
///
/// # Errors
/// [`Stop`]
pub(super) async fn check(reader: &Reader, base: &Saved, from: Timestamp, first: Checked) -> Result<Checked, Stop> {
    let mut checked = first;
    let found = find(reader, base, from, &checked).await?;
    if found != Finding::Right {
        let known = base.look_back;
        let is_next = |hours: &i64| *hours == 0 || *hours > known && (found == Finding::Hides || *hours == WIDEST);
        let mut hours = HOURS.into_iter().filter(is_next);
        loop {
            checked.answer = None;
            let Some(next) = hours.next() else {
                checked.asked = Window::default();
                checked.answer = newest(reader, &checked.asked).await?;
                reader.warn_hidden(WIDEST).await?;
                return Ok(checked);
            };
            let back = next.max(known);
            checked.asked = widened(reader, from, back);
            checked.answer = newest(reader, &checked.asked).await?;
            if find(reader, base, from, &checked).await? == Finding::Right {
                if next > 0 {
                    reader.warn_hidden(back).await?;
                }
                checked.look_back = if back >= LASTING { back } else { 0 };
                break;
            }
        }
    }
    let is_anew = is_shown_anew(base, &checked);
    if !is_anew && !is_shifted(base, &checked) {
        return Ok(checked);
    }
    // The clock was changed since: rows of the last hour may be hidden.
    let wider = widened(reader, from, checked.look_back.max(1));
    if checked.asked.from > wider.from {
        checked.answer = None;
        checked.answer = newest(reader, &wider).await?;
        checked.asked = wider;
    }
    // Rows that are shown an hour earlier than they were are new all the same.
    let from = if is_anew { from.minus_seconds(3600).max(reader.start) } else { from };
    Ok(Checked { from, ..checked })
}

/// What the rows remembered from the last sync say about this answer.
async fn find(reader: &Reader, base: &Saved, from: Timestamp, checked: &Checked) -> Result<Finding, Stop> {
    let Some(Fetched { page: rows, date: answered, is_missing, .. }) = &checked.answer else {
        return Ok(Finding::Right);
    };
    let at_cursor = if *is_missing { &[] } else { base.recent.at_cursor() };
    let listed = |key: i64| rows.rows.iter().find(|row| id_of(row.key) == Some(key));
    let is_unchanged = |known: &CursorRow| listed(known.key).is_some_and(|row| row.updated == Updated::At(known.date));
    if at_cursor.iter().any(is_unchanged) {
        return Ok(Finding::Right);
    }
    let is_short = reader.ends.of(rows) != End::Reached;
    // What was changed after the answer was made need not be in it.
    let is_since = |date: Timestamp| answered.is_some_and(|answered| date > answered);
    if let Some(known) = at_cursor.iter().find(|known| listed(known.key).is_none()) {
        match questions::row(reader, known.key).await? {
            // Newer rows fill the answer, so that it tells nothing of older ones.
            Some(_) if is_short => return is_listed(reader, known, &checked.asked).await,
            Some(Row { updated: Updated::At(date), offset, .. })
                if !is_since(date) && (date >= from || offset != known.offset) =>
            {
                return Ok(Finding::Hides);
            }
            _ => {}
        }
    }
    // It is gone, or was changed meanwhile.
    let shows_changes =
        rows.rows.iter().any(|row| matches!(row.updated, Updated::At(date) if Some(date) > base.cursor));
    if !at_cursor.is_empty() && (is_short || shows_changes) {
        return Ok(Finding::Right);
    }
    // None of them is left as it was: the newest row of all must come.
    let Some(newest) = questions::newest_row(reader).await? else { return Ok(Finding::Right) };
    let Updated::At(date) = newest.updated else { return Ok(Finding::Right) };
    let must_come = date >= from && !is_since(date) && !rows.rows.iter().any(|row| row.key == newest.key);
    Ok(if must_come { Finding::HidesNewest } else { Finding::Right })
}

/// Asks whether the filter lists a known row, where the first answer is too short to show it.
async fn is_listed(reader: &Reader, known: &CursorRow, asked: &Window) -> Result<Finding, Stop> {
    let query = Query::new(reader.stream.name, 1)
        .keys(reader.stream.key, known.key.checked_sub(1), Some(known.key))
        .window(CURSOR, asked);
    let answer = questions::if_readable(reader.fetch(&query, &mut reader.copier()).await)?;
    let is_hidden = answer.is_some_and(|answer| answer.page.rows.is_empty());
    Ok(if is_hidden { Finding::Hides } else { Finding::Right })
}

/// Returns true if the store shows offsets that it did not show at the last sync: its clock was changed.
fn is_shifted(base: &Saved, checked: &Checked) -> bool {
    let (Some(Fetched { page: rows, date: clock, .. }), known) = (&checked.answer, base.recent.at_cursor()) else {
        return false;
    };
    let is_new = |row: &Row| {
        let Updated::At(date) = row.updated else { return false };
        Some(date) > base.cursor && clock.is_none_or(|clock| date <= clock)
    };
    !known.is_empty() && rows.rows.iter().any(|row| is_new(row) && known.iter().all(|known| known.offset != row.offset))
}

/// Returns true if a row of the last sync is shown with another offset now: the store applies one offset to all
/// dates, and shows those that were remembered an hour earlier or later than before.
fn is_shown_anew(base: &Saved, checked: &Checked) -> bool {
    let Some(Fetched { page: rows, .. }) = &checked.answer else { return false };
    let is_anew = |row: &Row| {
        let known = base.recent.at_cursor().iter().find(|known| id_of(row.key) == Some(known.key));
        known.is_some_and(|known| row.offset.is_some() && known.offset != row.offset)
    };
    rows.rows.iter().any(is_anew)
}
