//! Rows that an earlier sync had to leave out: tried again at the start of each sync.

use super::ends::End;
use super::judge::{Judge, Verdict, id_of};
use super::questions::{self, SAMPLE};
use super::reader::{Reader, Stop};
use super::recent::Recent;
use super::rows::check_keys;
use super::saved::{Range, Saved};
use crate::cart::Query;
use crate::cart::query::{PAGE_SIZE, Window};

/// Tries again, with one request each, what the store could not send in an earlier sync. `window` holds the dates that
/// are wanted.
///
/// # Errors
/// [`Stop`]
pub(super) async fn retry(reader: &Reader, window: Window, mut saved: Saved) -> Result<Saved, Stop> {
    if saved.cursor.is_none() && saved.walk.is_none() {
        // All rows are read in any case.
        saved.unread.clear();
    }
    let keyless = match saved.keyless {
        0 => 0,
        before => {
            let key = reader.stream.key;
            let name = reader.stream.name;
            let all = questions::count(reader, Query::new(name, SAMPLE).sort(key)).await?;
            let keyed = questions::count(reader, Query::new(name, 1).keys(key, Some(i64::MIN), None)).await?;
            all.zip(keyed).map_or(before, |(all, keyed)| all.saturating_sub(keyed)).max(reader.keyless())
        }
    };
    if keyless < saved.keyless {
        // A row was given a key. Which one it is nothing tells, so that all are read once more.
        let (full, kept, columns) = (saved.full, saved.kept, saved.columns);
        return Ok(Saved { full, kept, columns, keyless, ..Saved::default() });
    }
    let mut still = Vec::new();
    for range in std::mem::take(&mut saved.unread) {
        if let Some(rest) = retry_range(reader, window, range, &mut saved.recent).await? {
            still.push(rest);
        }
    }
    Ok(Saved { unread: still, keyless, ..saved })
}

/// Reads the rows of a range that could not be had. Gives back what is still missing of it.
async fn retry_range(
    reader: &Reader,
    window: Window,
    mut range: Range,
    recent: &mut Recent,
) -> Result<Option<Range>, Stop> {
    let key = reader.stream.key;
    let judge = Judge { window, later_than: None, undated: true, known: recent.clone() };
    loop {
        let query = Query::new(reader.stream.name, PAGE_SIZE).sort(key).keys(key, range.0, range.1).once();
        let answer = match reader.fetch_range(&query, range, &mut reader.copier()).await {
            Ok(answer) => answer,
            Err(Stop::Request(error)) => {
                reader.note_unreadable(&error);
                return Ok(Some(range));
            }
            Err(stop) => return Err(stop),
        };
        let mut rows = answer.page;
        if check_keys(&rows.rows, range).is_err() {
            // It is no answer to this request, and says nothing of the range.
            return Ok(Some(range));
        }
        let last = rows.rows.last().and_then(|row| id_of(row.key));
        let is_end = rows.rows.is_empty() || last == range.1 || reader.ends.of(&rows) == End::Reached;
        let hashes = rows.hashes(judge.known.floor(), reader.prefix_length());
        let verdicts: Vec<Verdict> = rows.rows.iter().zip(&hashes).map(|(row, &hash)| judge.judge(row, hash)).collect();
        for ((row, verdict), &hash) in rows.rows.iter().zip(&verdicts).zip(&hashes) {
            if let (Verdict::Deliver, Some(id)) = (verdict, id_of(row.key)) {
                // What changed since the cursor is met once more by the sync that follows.
                recent.add(id, row, hash);
            }
        }
        let records = rows.retain(|index, _| verdicts[index] == Verdict::Deliver);
        reader.ledger.post(records).await?.send(rows.lines, records);
        if is_end {
            return Ok(None);
        }
        range.0 = last;
    }
}
