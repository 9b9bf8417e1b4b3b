//! Single requests about a stream: its newest change, its greatest key and its number of rows. Emits no rows.

use super::context::{FetchedPage, StreamContext, StreamError, is_not_found};
use super::keyset::MOST_UNREADABLE;
use super::list_end::End;
use super::query::{DateRange, Order, Query};
use super::row_filter::id_of;
use super::rows::{Row, Rows};
use crate::record::{CursorValue, Key};
use crate::timestamp::Timestamp;

/// Number of rows to request to find the first one of an order: enough to notice a store that ignores the order.
pub(crate) const SAMPLE: usize = 10;

/// The greatest key of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MaxKey {
    /// The key.
    Known(i64),
    /// The store does not sort by key, or the keys are not numbers.
    Unknown,
    /// There are no rows now, although there were some a moment ago.
    Gone,
}

impl MaxKey {
    /// Returns the key, if it is known.
    pub(crate) fn known(self) -> Option<i64> {
        match self {
            Self::Known(id) => Some(id),
            Self::Unknown | Self::Gone => None,
        }
    }
}

/// Returns the newest change within the date range. A store may apply the bounds in another time zone and list no row
/// within the range; then the newest rows of a wider range are requested.
pub(crate) async fn newest_change(
    context: &StreamContext,
    date_range: &DateRange,
    wider: &DateRange,
) -> Result<Option<Timestamp>, StreamError> {
    let newest =
        |count, date_range: &DateRange| context.query(count).sort(Order::DateDescending).date_range(date_range);
    let answer = if_readable(context.fetch(&newest(1, date_range), &mut context.writer()).await)?;
    let found = answer.and_then(|answer| newest_within(&answer.page, date_range));
    if found.is_some() || date_range.before.is_none() {
        return Ok(found);
    }
    let answer = if_readable(context.fetch(&newest(context.page_size(), wider), &mut context.writer()).await)?;
    Ok(answer.and_then(|answer| newest_within(&answer.page, date_range)))
}

/// Returns the newest change within the date range that the store can send, if it cannot send the newest one.
pub(crate) async fn newest_readable(
    context: &StreamContext,
    date_range: &DateRange,
) -> Result<Option<(Timestamp, Option<Timestamp>)>, StreamError> {
    for page in 2..=1 + MOST_UNREADABLE {
        let query = context.query(1).sort(Order::DateDescending).page(page).date_range(date_range);
        match context.fetch(&query, &mut context.writer()).await {
            Ok(answer) => return Ok(newest_within(&answer.page, date_range).map(|newest| (newest, answer.date))),
            Err(StreamError::Request(error)) if error.is_unreadable() => {}
            Err(StreamError::Request(error)) if is_not_found(&error) => return Ok(None),
            Err(stream_error) => return Err(stream_error),
        }
    }
    Ok(None)
}

/// Returns the newest row, whatever its date.
pub(crate) async fn newest_row(context: &StreamContext) -> Result<Option<Row>, StreamError> {
    let query = context.query(1).sort(Order::DateDescending);
    let answer = if_readable(context.fetch(&query, &mut context.writer()).await)?;
    Ok(answer.and_then(|answer| answer.page.rows.first().copied()))
}

/// Returns the row with this key, if it still exists.
pub(crate) async fn row(context: &StreamContext, key: i64) -> Result<Option<Row>, StreamError> {
    let range = (key.checked_sub(1), Some(key));
    let query = context.query(1).keys(range.0, range.1);
    let answer = if_readable(context.fetch(&query, &mut context.writer()).await)?;
    Ok(answer.and_then(|answer| answer.page.rows.iter().find(|row| id_of(row.key) == Some(key)).copied()))
}

/// Returns the number of rows that match, if the store reports it.
pub(crate) async fn count(context: &StreamContext, query: Query) -> Result<Option<u64>, StreamError> {
    let answer = if_readable(context.fetch(&query, &mut context.writer()).await)?;
    Ok(answer.and_then(|answer| if answer.slot.is_none() { Some(0) } else { answer.page.envelope.total }))
}

/// Returns the number of rows without a key, if the store counts. The first rows in the order of keys may show them, and
/// no condition on keys lists them.
pub(crate) async fn rows_without_key(context: &StreamContext) -> Result<Option<u64>, StreamError> {
    let all = || count(context, context.query(SAMPLE).sort(Order::Key));
    let before = all().await?;
    let keyed = count(context, context.query(1).keys(Some(i64::MIN), None)).await?;
    // A row that was deleted between the two counts had a key.
    let all = if before > keyed { before.min(all().await?) } else { before };
    Ok(all.zip(keyed).map(|(all, keyed)| all.saturating_sub(keyed)))
}

/// Returns `None` instead of a response that the store cannot send because one of its rows is damaged.
pub(crate) fn if_readable(answer: Result<FetchedPage, StreamError>) -> Result<Option<FetchedPage>, StreamError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(StreamError::Request(error)) if error.is_unreadable() => Ok(None),
        Err(stream_error) => Err(stream_error),
    }
}

/// Returns the newest date within the range in a response.
pub(crate) fn newest_within(rows: &Rows, date_range: &DateRange) -> Option<Timestamp> {
    let dates = rows.rows.iter().filter_map(|row| match row.updated {
        CursorValue::At(instant) if date_range.contains(instant) => Some(instant),
        _ => None,
    });
    dates.max()
}

/// Returns true if there are rows without `updated_at`, and `None` if that is unknown. Call it if the newest rows all
/// have `updated_at`. The database sorts rows without it before or after all dates, so the oldest rows show them.
/// `date_span` has the oldest and the newest date of the newest rows; `None` if the responses have no order, since then
/// they prove nothing.
pub(crate) async fn any_missing_dates(
    context: &StreamContext,
    date_span: Option<(Timestamp, Timestamp)>,
) -> Result<Option<bool>, StreamError> {
    let query = context.query(SAMPLE).sort(Order::Date);
    let Some(FetchedPage { page: rows, .. }) = if_readable(context.fetch(&query, &mut context.writer()).await)? else {
        return Ok(None);
    };
    if rows.has_missing_dates() {
        return Ok(Some(true));
    }
    let (Some((oldest, newest)), Some((first, _))) = (date_span, rows.date_span()) else { return Ok(None) };
    let in_order = rows.is_oldest_first() && first <= oldest && first < newest;
    Ok(in_order.then_some(false))
}

/// Returns true if as many rows match the date filter as there were before, so that all rows have `updated_at`. Rows
/// added since are not counted: they have the greatest keys and the newest dates. If their date is `until`, only the
/// key identifies them; `shown` are the keys of the previous response. Counting one too many costs one more request.
pub(crate) fn counts_agree(
    context: &StreamContext,
    page: &Rows,
    shown: &[i64],
    until: Option<Timestamp>,
    all: Option<u64>,
) -> bool {
    let greatest = shown.iter().copied().max();
    let is_newer = |row: &&Row| match (row.updated, id_of(row.key)) {
        (CursorValue::At(at), _) if Some(at) > until => true,
        (CursorValue::At(at), Some(id)) => Some(id) > greatest || (Some(at) == until && !shown.contains(&id)),
        _ => true,
    };
    let newer = page.rows.iter().filter(is_newer).count() as u64;
    let matching = page.envelope.total.map(|total| total.saturating_sub(newer));
    matching.is_some() && matching == all && !context.end_detector.is_count_wrong()
}

/// Returns the greatest key and the response with it, in descending order; `None` if there are no rows. Requests at
/// most `count` rows; `seen` are keys of a recent response.
pub(crate) async fn max_key(
    context: &StreamContext,
    count: usize,
    filter: &DateRange,
    seen: &[i64],
) -> Result<Option<(MaxKey, Rows)>, StreamError> {
    let query = |count| context.query(count).sort(Order::KeyDescending).date_range(filter);
    let count = if context.client.requests().is_bisecting(&query(count)) { count.min(SAMPLE) } else { count };
    let query = query(count);
    let Some(FetchedPage { mut page, .. }) = if_readable(context.fetch(&query, &mut context.writer()).await)? else {
        return Ok(Some((MaxKey::Unknown, Rows::default())));
    };
    let number = |key| if let Key::Number(id) = key { Some(id) } else { None };
    let Some(keys) = page.rows.iter().map(|row| number(row.key)).collect::<Option<Vec<i64>>>() else {
        return Ok(Some((MaxKey::Unknown, page)));
    };
    let Some(&greatest) = keys.first() else {
        return Ok(page.envelope.total.is_some_and(|total| total > 0).then_some((MaxKey::Unknown, page)));
    };
    // Rows listed a moment ago may have been deleted since, so a few missing from this response are not a
    // contradiction.
    let lowest = keys.last().copied().unwrap_or(greatest);
    let absent = |id: &&i64| **id >= lowest && keys.binary_search_by(|key| id.cmp(&key)).is_err();
    if !keys.is_sorted_by(|greater, smaller| greater > smaller) || seen.iter().filter(absent).count() > SAMPLE {
        return Ok(Some((MaxKey::Unknown, page)));
    }
    if keys.len() > 1 || context.end_detector.of(&page) == End::Reached {
        return Ok(Some((MaxKey::Known(seen.iter().copied().fold(greatest, i64::max)), page)));
    }
    // One row shows no order, so a request checks that it is the greatest. Few rows are added meanwhile. The memory
    // of a full page is freed first, since the request may need some.
    page.lines.attach_guard(());
    let query = context.query(SAMPLE).keys(Some(greatest), None).date_range(filter);
    let beyond = if_readable(context.fetch(&query, &mut context.writer()).await)?;
    let few = beyond.is_some_and(|FetchedPage { page, .. }| {
        context.end_detector.of(&page) == End::Reached
            || page.envelope.total.is_some_and(|total| total <= SAMPLE as u64)
    });
    Ok(Some((if few { MaxKey::Known(greatest) } else { MaxKey::Unknown }, page)))
}

/// Returns the number of rows that the store counts with a key of at most `max_key`, if it reports it; with `until`,
/// without those that it lists as changed later, since these are known to be missing. A response that counts fewer rows
/// than `expected` is requested again: one response does not prove that rows were deleted.
pub(crate) async fn still_counted(
    context: &StreamContext,
    filter: &DateRange,
    until: Option<Timestamp>,
    max_key: Option<i64>,
    expected: Option<u64>,
) -> Result<Option<u64>, StreamError> {
    let rows = if until.is_some() { context.page_query().sort(Order::DateDescending) } else { context.query(1) };
    let query = rows.keys(None, max_key).date_range(filter);
    let mut answer = if_readable(context.fetch(&query, &mut context.writer()).await)?;
    let is_lower = |page: &Rows| page.envelope.total.is_some_and(|total| Some(total) < expected);
    // Rows were listed a moment ago.
    if answer.as_ref().is_some_and(|answer| answer.is_missing || is_lower(&answer.page)) {
        // Its slot may be the only one.
        drop(answer.take());
        answer = if_readable(context.fetch(&query, &mut context.writer()).await)?;
    }
    let Some(FetchedPage { page: answer, is_missing, .. }) = answer else { return Ok(None) };
    let Some(until) = until else { return Ok(if is_missing { Some(0) } else { answer.envelope.total }) };
    let later = answer.rows.iter().filter(|row| matches!(row.updated, CursorValue::At(at) if at > until)).count();
    // If more than a page of rows changed since, no count is reliable.
    let reaches_back = context.end_detector.of(&answer) == End::Reached || later < answer.len();
    let reported = answer.envelope.total.filter(|_| answer.is_newest_first() && reaches_back);
    Ok(reported.map(|total| total.saturating_sub(later as u64)))
}

/// Returns the keys of a response, as numbers.
pub(crate) fn ids(rows: &Rows) -> Vec<i64> {
    rows.rows.iter().filter_map(|row| id_of(row.key)).collect()
}
