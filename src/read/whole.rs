//! A sync that one answer holds: a picture of one moment, so its newest date becomes the cursor.

use std::collections::BTreeMap;

use super::judge::{Judge, Verdict, id_of};
use super::reader::{Reader, Stop};
use super::recent::Recent;
use super::rows::Rows;
use super::saved::{MOST_UNDATED, Saved};
use crate::cart::query::Window;
use crate::record::{self, Updated};
use crate::timestamp::Timestamp;

/// Delivers what is to be delivered of an answer that holds all there is, and gives back the state.
/// `filter` is what the store was asked for, `past` where the cursor may lie.
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
    let undated = undated_by_content(&rows, reader.prefix_length());
    let verdicts: Vec<Verdict> = rows
        .rows
        .iter()
        .map(|row| {
            let same = |id: i64| base.undated.as_ref().is_some_and(|known| known.get(&id) == undated.get(&id));
            match judge.judge(row) {
                Verdict::Deliver if row.updated == Updated::Undated && id_of(row.key).is_some_and(same) => {
                    Verdict::Known
                }
                verdict => verdict,
            }
        })
        .collect();
    let present: Vec<(Option<i64>, Timestamp)> = rows
        .rows
        .iter()
        .zip(&verdicts)
        .filter_map(|(row, verdict)| match (row.updated, verdict) {
            (Updated::At(instant), Verdict::Deliver | Verdict::Known) => Some((id_of(row.key), instant)),
            _ => None,
        })
        .collect();
    let newest = present.iter().map(|&(_, instant)| instant).filter(|&instant| past.contains(instant)).max();
    let cursor = base.cursor.max(newest);
    let mut recent = Recent::before(cursor);
    for &(id, instant) in &present {
        if let Some(id) = id {
            recent.add(id, instant);
        }
    }
    if *filter != Window::default() && verdicts.contains(&Verdict::Outside) {
        reader.warn_dates().await?;
    }
    let records = rows.retain(|index, _| verdicts[index] == Verdict::Deliver);
    let mut posting = reader.ledger.post(records).await?;
    posting.entries.tally.judged(&verdicts);
    posting.send(rows.lines, records);
    // Where none is expected and none came, the next sync asks for what has changed alone.
    let expected = reader.stream.undated_rows || !undated.is_empty();
    let remember = expected && *filter == Window::default() && undated.len() <= MOST_UNDATED;
    Ok(Saved { cursor, recent, undated: remember.then_some(undated), walk: None, full: base.full })
}

/// The undated rows by key, with a hash of what is delivered of them: no date tells when they change.
fn undated_by_content(rows: &Rows, prefix: usize) -> BTreeMap<i64, u64> {
    let undated = rows.rows.iter().enumerate().filter(|(_, row)| row.updated == Updated::Undated);
    undated.filter_map(|(index, row)| Some((id_of(row.key)?, record::hash(rows.data(index, prefix))))).collect()
}
