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

/// Rows asked for to learn the greatest key: enough that a store which ignores the order is noticed.
const TOP_SAMPLE: usize = 10;

/// The greatest key of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Top {
    /// It is this one.
    Known(i64),
    /// The store does not sort by key, or the keys are no numbers.
    Unknown,
}

impl Top {
    /// The key, if it is known.
    pub(crate) fn known(self) -> Option<i64> {
        match self {
            Self::Known(id) => Some(id),
            Self::Unknown => None,
        }
    }
}

/// The newest change within the window, as far as the first answer shows it. `sorted` says whether
/// that answer came newest first.
///
/// # Errors
/// [`Stop`]
pub(crate) async fn newest_change(
    reader: &Reader,
    rows: &Rows,
    window: &Window,
    sorted: bool,
) -> Result<Option<Timestamp>, Stop> {
    let newest = newest_within(rows, window);
    if newest.is_some() || !sorted {
        return Ok(newest);
    }
    // Only undated rows came, or rows outside the window: one inside it is asked for.
    let query = Query::new(reader.stream.name, 1).sort("-updated_at").window(CURSOR, window);
    let answer = reader.fetch(&query, &mut reader.copier()).await?;
    Ok(newest_within(&answer.page, window))
}

fn newest_within(rows: &Rows, window: &Window) -> Option<Timestamp> {
    let dates = rows.rows.iter().filter_map(|row| match row.updated {
        Updated::At(instant) if window.contains(instant) => Some(instant),
        _ => None,
    });
    dates.max()
}

/// The greatest key, `None` if there is no row. `seen` are keys of an answer just before.
///
/// # Errors
/// [`Stop`]
pub(crate) async fn top(reader: &Reader, filter: &Window, seen: &[i64]) -> Result<Option<Top>, Stop> {
    let key = reader.stream.key;
    let query = Query::new(reader.stream.name, TOP_SAMPLE).sort(&format!("-{key}")).window(CURSOR, filter);
    let page = reader.fetch(&query, &mut reader.copier()).await?.page;
    let number = |key| if let Key::Number(id) = key { Some(id) } else { None };
    let Some(keys) = page.rows.iter().map(|row| number(row.key)).collect::<Option<Vec<i64>>>() else {
        return Ok(Some(Top::Unknown));
    };
    let Some(&greatest) = keys.first() else {
        return Ok(page.envelope.total.is_some_and(|total| total > 0).then_some(Top::Unknown));
    };
    // Rows seen a moment ago may have been deleted since, so a few greater ones are no contradiction.
    let greater = seen.iter().filter(|&&id| id > greatest).count();
    if !keys.is_sorted_by(|greater, smaller| greater > smaller) || greater > TOP_SAMPLE {
        return Ok(Some(Top::Unknown));
    }
    if keys.len() > 1 || page.is_end() {
        return Ok(Some(Top::Known(seen.iter().copied().fold(greatest, i64::max))));
    }
    // One row shows no order: whether it is the greatest is asked. Rows that came meanwhile are few.
    let query = Query::new(reader.stream.name, TOP_SAMPLE).keys(key, Some(greatest), None).window(CURSOR, filter);
    let page = reader.fetch(&query, &mut reader.copier()).await?.page;
    let few = page.is_end() || page.envelope.total.is_some_and(|total| total <= TOP_SAMPLE as u64);
    Ok(Some(if few { Top::Known(greatest) } else { Top::Unknown }))
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
