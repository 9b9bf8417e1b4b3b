//! Handles a sync whose rows all fit in one response. It shows one moment, so its newest date becomes the cursor.

use super::judge::{Judge, Verdict, id_of};
use super::reader::{Reader, Stop};
use super::recent::{Recent, Span};
use super::rows::Rows;
use super::saved::Saved;
use crate::cart::query::Window;
use crate::record::Updated;
use crate::timestamp::Timestamp;

/// Delivers what is to be delivered of an answer that holds all there is, and gives back the state.
/// `filter` is the requested date filter, `past` where the cursor may lie.
///
/// # Errors
/// [`Stop`]
pub(crate) async fn deliver(
    reader: &Reader,
    mut rows: Rows,
    base: Saved,
    judge: &Judge,
    (filter, past): (&Window, &Window),
) -> Result<Saved, Stop> {
    let is_unfiltered = *filter == Window::default();
    let has_undated = rows.has_undated();
    // Where rows without a date are not expected and none came, the next sync asks for changes only.
    let whole = is_unfiltered && (reader.stream.undated_rows || has_undated);
    let floor = if whole { Some(Timestamp::EARLIEST) } else { past_floor(&rows, &base, judge, past) };
    let hashes = rows.hashes(floor.into_iter().chain(judge.known.floor()).min(), reader.prefix_length());
    let verdicts: Vec<Verdict> = rows.rows.iter().zip(&hashes).map(|(row, &hash)| judge.judge(row, hash)).collect();
    let cursor = cursor_after(&rows, &base, judge, past);
    let span = match cursor {
        _ if whole => Span::Everything(cursor),
        Some(cursor) => Span::Overlap(cursor),
        None => Span::Nothing,
    };
    let mut recent = Recent::of(span);
    for ((row, verdict), &hash) in rows.rows.iter().zip(&verdicts).zip(&hashes) {
        // In a stream that is read completely, a row that is not wanted must not be wanted at every sync.
        let is_known = matches!(verdict, Verdict::Deliver | Verdict::Known) || whole;
        if let (true, Some(id)) = (is_known, id_of(row.key)) {
            recent.add(id, row, hash);
        }
    }
    if cursor == base.cursor && !verdicts.contains(&Verdict::Deliver) {
        recent.keep(&base.recent);
    }
    if !is_unfiltered && rows.rows.iter().any(|row| row.is_outside(filter)) {
        reader.warn_dates().await?;
    }
    let records = rows.retain(|index, _| verdicts[index] == Verdict::Deliver);
    let mut posting = reader.ledger.post(records).await?;
    posting.entries.tally.judged(&verdicts);
    posting.send(rows.lines, records);
    let previous = if cursor == base.cursor { base.previous } else { base.cursor.or(base.previous) };
    Ok(Saved { cursor, previous, recent, whole, walk: None, ..base })
}

/// The newest delivered date that is not ahead of the store's clock, never earlier than the cursor before.
fn cursor_after(rows: &Rows, base: &Saved, judge: &Judge, past: &Window) -> Option<Timestamp> {
    let dates = rows.rows.iter().filter_map(|row| match row.updated {
        Updated::At(instant) if judge.window.contains(instant) => Some(instant),
        _ => None,
    });
    let dates: Vec<Timestamp> = dates.collect();
    let newest = dates.iter().copied().filter(|&instant| past.contains(instant)).max();
    // The store's clock is behind all of its rows: the clock is as far as the cursor may go.
    let clock = past.until.filter(|_| !dates.is_empty());
    base.cursor.max(newest.or(clock))
}

fn past_floor(rows: &Rows, base: &Saved, judge: &Judge, past: &Window) -> Option<Timestamp> {
    Recent::before(cursor_after(rows, base, judge, past)).floor()
}
