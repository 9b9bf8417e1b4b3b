//! Single requests about a stream: its newest change, its greatest key, how many rows it counts.
//! Nothing here delivers a row.

use super::ends::End;
use super::judge::id_of;
use super::key_walk::MOST_UNREADABLE;
use super::reader::{Fetched, Reader, Stop, is_not_found};
use super::rows::{Row, Rows};
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

/// The newest change within the window. A store may read the bounds of a window in another zone and list none that
/// lies within: then the newest rows of the wider one tell.
///
/// # Errors
/// [`Stop`]
pub(crate) async fn newest_change(reader: &Reader, window: &Window, wider: &Window) -> Result<Option<Timestamp>, Stop> {
    let newest =
        |count, window: &Window| Query::new(reader.stream.name, count).sort("-updated_at").window(CURSOR, window);
    let answer = if_readable(reader.fetch(&newest(1, window), &mut reader.copier()).await)?;
    let found = answer.and_then(|answer| newest_within(&answer.page, window));
    if found.is_some() || window.before.is_none() {
        return Ok(found);
    }
    let answer = if_readable(reader.fetch(&newest(PAGE_SIZE, wider), &mut reader.copier()).await)?;
    Ok(answer.and_then(|answer| newest_within(&answer.page, window)))
}

/// The newest change within the window that the store can send, where it cannot send the newest of all.
///
/// # Errors
/// [`Stop`]
pub(crate) async fn newest_readable(
    reader: &Reader,
    window: &Window,
) -> Result<Option<(Timestamp, Option<Timestamp>)>, Stop> {
    for page in 2..=1 + MOST_UNREADABLE {
        let query = Query::new(reader.stream.name, 1).sort("-updated_at").page(page).window(CURSOR, window);
        match reader.fetch(&query, &mut reader.copier()).await {
            Ok(answer) => return Ok(newest_within(&answer.page, window).map(|newest| (newest, answer.date))),
            Err(Stop::Request(error)) if error.is_unreadable() => {}
            Err(Stop::Request(error)) if is_not_found(&error) => return Ok(None),
            Err(stop) => return Err(stop),
        }
    }
    Ok(None)
}

/// The newest row, whatever its date.
///
/// # Errors
/// [`Stop`]
pub(crate) async fn newest_row(reader: &Reader) -> Result<Option<Row>, Stop> {
    let query = Query::new(reader.stream.name, 1).sort("-updated_at");
    let answer = if_readable(reader.fetch(&query, &mut reader.copier()).await)?;
    Ok(answer.and_then(|answer| answer.page.rows.first().copied()))
}

/// The row with this key, if it is still there.
///
/// # Errors
/// [`Stop`]
pub(crate) async fn row(reader: &Reader, key: i64) -> Result<Option<Row>, Stop> {
    let range = (key.checked_sub(1), Some(key));
    let query = Query::new(reader.stream.name, 1).keys(reader.stream.key, range.0, range.1);
    let answer = if_readable(reader.fetch(&query, &mut reader.copier()).await)?;
    Ok(answer.and_then(|answer| answer.page.rows.iter().find(|row| id_of(row.key) == Some(key)).copied()))
}

/// How many rows match, if the store tells.
///
/// # Errors
/// [`Stop`]
pub(crate) async fn count(reader: &Reader, query: Query) -> Result<Option<u64>, Stop> {
    let answer = if_readable(reader.fetch(&query, &mut reader.copier()).await)?;
    Ok(answer.and_then(|answer| if answer.place.is_none() { Some(0) } else { answer.page.envelope.total }))
}

/// Returns nothing in place of an answer that the store cannot give because a row in it is damaged.
pub(crate) fn if_readable(answer: Result<Fetched, Stop>) -> Result<Option<Fetched>, Stop> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(Stop::Request(error)) if error.is_unreadable() => Ok(None),
        Err(stop) => Err(stop),
    }
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
    let Some(Fetched { page: rows, .. }) = if_readable(reader.fetch(&query, &mut reader.copier()).await)? else {
        return Ok(None);
    };
    if rows.has_undated() {
        return Ok(Some(true));
    }
    let (Some((oldest, newest)), Some((first, _))) = (ends, rows.ends()) else { return Ok(None) };
    let in_order = rows.is_oldest_first() && first <= oldest && first < newest;
    Ok(in_order.then_some(false))
}

/// Returns true if as many rows match the date filter as there were before, so that none is without a date: not
/// counting those that came meanwhile, which have the greatest keys and the newest dates.
/// Within one moment only the key tells a row that came meanwhile; `shown` are the keys of the answer before. One
/// too many costs a question.
pub(crate) fn counts_agree(
    reader: &Reader,
    page: &Rows,
    shown: &[i64],
    until: Option<Timestamp>,
    all: Option<u64>,
) -> bool {
    let greatest = shown.iter().copied().max();
    let is_newer = |row: &&Row| match (row.updated, id_of(row.key)) {
        (Updated::At(at), _) if Some(at) > until => true,
        (Updated::At(at), Some(id)) => Some(id) > greatest || (Some(at) == until && !shown.contains(&id)),
        _ => true,
    };
    let newer = page.rows.iter().filter(is_newer).count() as u64;
    let matching = page.envelope.total.map(|total| total.saturating_sub(newer));
    matching.is_some() && matching == all && !reader.ends.is_count_wrong()
}

/// The greatest key, `None` if there is no row, and the answer that told, in descending order. `count`
/// rows are asked for, or fewer; `seen` are keys of an answer just before.
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
    let order = format!("-{key}");
    let query = |count| Query::new(reader.stream.name, count).sort(&order).window(CURSOR, filter);
    let count = if reader.client.is_on_trial(&query(count)) { count.min(SAMPLE) } else { count };
    let query = query(count);
    let Some(Fetched { mut page, .. }) = if_readable(reader.fetch(&query, &mut reader.copier()).await)? else {
        return Ok(Some((Top::Unknown, Rows::default())));
    };
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
    if keys.len() > 1 || reader.ends.of(&page) == End::Reached {
        return Ok(Some((Top::Known(seen.iter().copied().fold(greatest, i64::max)), page)));
    }
    // One row shows no order: whether it is the greatest is asked. Rows that came meanwhile are few. The
    // room of a whole page is given back first, since the question may need some.
    page.lines.hold(());
    let query = Query::new(reader.stream.name, SAMPLE).keys(key, Some(greatest), None).window(CURSOR, filter);
    let beyond = if_readable(reader.fetch(&query, &mut reader.copier()).await)?;
    let few = beyond.is_some_and(|Fetched { page, .. }| {
        reader.ends.of(&page) == End::Reached || page.envelope.total.is_some_and(|total| total <= SAMPLE as u64)
    });
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
        return count(
            reader,
            Query::new(reader.stream.name, 1).keys(reader.stream.key, None, top).window(CURSOR, filter),
        )
        .await;
    };
    let all = Query::new(reader.stream.name, PAGE_SIZE)
        .sort("-updated_at")
        .keys(reader.stream.key, None, top)
        .window(CURSOR, filter);
    let Some(Fetched { page: answer, .. }) = if_readable(reader.fetch(&all, &mut reader.copier()).await)? else {
        return Ok(None);
    };
    let later = answer.rows.iter().filter(|row| matches!(row.updated, Updated::At(at) if at > until)).count();
    // Where more than a page was changed meanwhile, no count can tell any more.
    let reaches_back = reader.ends.of(&answer) == End::Reached || later < answer.len();
    let told = answer.envelope.total.filter(|_| answer.is_newest_first() && reaches_back);
    Ok(told.map(|total| total.saturating_sub(later as u64)))
}

/// The keys of an answer, as numbers.
pub(crate) fn ids(rows: &Rows) -> Vec<i64> {
    rows.rows.iter().filter_map(|row| id_of(row.key)).collect()
}
