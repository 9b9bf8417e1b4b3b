//! Single requests about a stream: its newest change, its greatest key, how many rows it counts.
//! Nothing here delivers a row.

use super::judge::id_of;
use super::reader::{Reader, Stop};
use super::rows::Rows;
use crate::cart::Query;
use crate::cart::query::{PAGE_SIZE, Window};
use crate::record::{Key, Updated};
use crate::streams::CURSOR;
use crate::timestamp::Timestamp;

/// Rows asked for to learn which comes first: enough that a store which ignores the order is noticed.
pub(crate) const SAMPLE: usize = 10;

/// The greatest key of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Top {
    /// It is this one.
    Known(i64),
    /// The store does not sort by key, or the keys are no numbers.
    Unknown,
    /// No row is left, where there were some a moment ago.
    Gone,
}

impl Top {
    /// The key, if it is known.
    pub(crate) fn known(self) -> Option<i64> {
        match self {
            Self::Known(id) => Some(id),
            Self::Unknown | Self::Gone => None,
        }
    }
}

/// The newest change within the window.
///
/// # Errors
/// [`Stop`]
pub(crate) async fn newest_change(reader: &Reader, window: &Window) -> Result<Option<Timestamp>, Stop> {
    let query = Query::new(reader.stream.name, 1).sort("-updated_at").window(CURSOR, window);
    let answer = reader.fetch(&query, &mut reader.copier()).await?;
    Ok(newest_within(&answer.page, window))
}

/// The newest change within the window that an answer shows.
pub(crate) fn newest_within(rows: &Rows, window: &Window) -> Option<Timestamp> {
    let dates = rows.rows.iter().filter_map(|row| match row.updated {
        Updated::At(instant) if window.contains(instant) => Some(instant),
        _ => None,
    });
    dates.max()
}

/// Whether there are rows without a date, none of which came at the new end of the order. They sort
/// before all dates or behind all of them, whichever the database does, so the old end tells. `ends` are
/// the oldest and the newest date of the new end; `None` where the answers show no order, since then
/// nothing tells.
///
/// # Errors
/// [`Stop`]
pub(crate) async fn are_undated(reader: &Reader, ends: Option<(Timestamp, Timestamp)>) -> Result<Option<bool>, Stop> {
    let query = Query::new(reader.stream.name, SAMPLE).sort(CURSOR);
    let rows = reader.fetch(&query, &mut reader.copier()).await?.page;
    if rows.has_undated() {
        return Ok(Some(true));
    }
    let (Some((oldest, newest)), Some((first, _))) = (ends, rows.ends()) else { return Ok(None) };
    let in_order = rows.is_oldest_first() && first <= oldest && first < newest;
    Ok(in_order.then_some(false))
}

/// The greatest key, `None` if there is no row, and the answer that told, in descending order. `count`
/// rows are asked for; `seen` are keys of an answer just before.
///
/// # Errors
/// [`Stop`]
pub(crate) async fn top(
    reader: &Reader,
    count: usize,
    filter: &Window,
    seen: &[i64],
) -> Result<Option<(Top, Rows)>, Stop> {
    let key = reader.stream.key;
    let query = Query::new(reader.stream.name, count).sort(&format!("-{key}")).window(CURSOR, filter);
    let mut page = reader.fetch(&query, &mut reader.copier()).await?.page;
    let number = |key| if let Key::Number(id) = key { Some(id) } else { None };
    let Some(keys) = page.rows.iter().map(|row| number(row.key)).collect::<Option<Vec<i64>>>() else {
        return Ok(Some((Top::Unknown, page)));
    };
    let Some(&greatest) = keys.first() else {
        return Ok(page.envelope.total.is_some_and(|total| total > 0).then_some((Top::Unknown, page)));
    };
    // Rows seen a moment ago may have been deleted since, so a few that this answer should hold and does
    // not are no contradiction.
    let lowest = keys.last().copied().unwrap_or(greatest);
    let absent = |id: &&i64| **id >= lowest && keys.binary_search_by(|key| id.cmp(&key)).is_err();
    if !keys.is_sorted_by(|greater, smaller| greater > smaller) || seen.iter().filter(absent).count() > SAMPLE {
        return Ok(Some((Top::Unknown, page)));
    }
    if keys.len() > 1 || page.is_end() {
        return Ok(Some((Top::Known(seen.iter().copied().fold(greatest, i64::max)), page)));
    }
    // One row shows no order: whether it is the greatest is asked. Rows that came meanwhile are few. The
    // room of a whole page is given back first, since the question may need some.
    page.lines.hold(());
    let query = Query::new(reader.stream.name, SAMPLE).keys(key, Some(greatest), None).window(CURSOR, filter);
    let beyond = reader.fetch(&query, &mut reader.copier()).await?.page;
    let few = beyond.is_end() || beyond.envelope.total.is_some_and(|total| total <= SAMPLE as u64);
    Ok(Some((if few { Top::Known(greatest) } else { Top::Unknown }, page)))
}

/// How many rows the store counts up to the key `top`, if it tells; with `until`, without those that it
/// lists as changed later: these explain themselves.
///
/// # Errors
/// [`Stop`]
pub(crate) async fn still_counted(
    reader: &Reader,
    filter: &Window,
    until: Option<Timestamp>,
    top: Option<i64>,
) -> Result<Option<u64>, Stop> {
    let Some(until) = until else {
        let query = Query::new(reader.stream.name, 1).keys(reader.stream.key, None, top).window(CURSOR, filter);
        return Ok(reader.fetch(&query, &mut reader.copier()).await?.page.envelope.total);
    };
    let all = Query::new(reader.stream.name, PAGE_SIZE)
        .sort("-updated_at")
        .keys(reader.stream.key, None, top)
        .window(CURSOR, filter);
    let answer = reader.fetch(&all, &mut reader.copier()).await?.page;
    let later = answer.rows.iter().filter(|row| matches!(row.updated, Updated::At(at) if at > until)).count();
    // Where more than a page was changed meanwhile, no count can tell any more.
    let reaches_back = answer.is_end() || later < answer.len();
    let told = answer.envelope.total.filter(|_| answer.is_newest_first() && reaches_back);
    Ok(told.map(|total| total.saturating_sub(later as u64)))
}

/// The keys of an answer, as numbers.
pub(crate) fn ids(rows: &Rows) -> Vec<i64> {
    rows.rows.iter().filter_map(|row| id_of(row.key)).collect()
}
