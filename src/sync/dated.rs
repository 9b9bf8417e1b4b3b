//! Reads streams from one date of creation to the next (`date_walk`): a stream, or a stream together with the rows
//! inside its rows, from the same requests.
//!
//! 1. Rows that the store could not send before are requested again.
//! 2. The newest change becomes the next cursor. It is determined before the walk: a row that changes after the walk passed it
//!    is then newer than the cursor, and the next sync reads it. If the cursor of the last sync is ahead of the store's
//!    clock, changes are read from an earlier one.
//! 3. The walk reads all rows, or those that changed since the previous cursor.
//! 4. Rows that the walk can miss are read by their keys, or by the date of their change.
//!
//! `lane` has what is different for each stream: which rows are emitted, and the state. `newest` determines the next
//! cursor, `by_key` reads lists of keys.

mod by_key;
mod lane;
mod newest;
mod one_by_one;

use std::sync::Arc;

use super::checkpoint::{Checkpoint, Job};
use super::climb::FAR_FUTURE;
use super::context::{FetchedPage, StreamContext, StreamError};
use super::date_walk::{Accepted, Answer, DateWalk, Gap, Limits, RowFacts, Step, Window};
use super::id_set::IdSet;
use super::key_lists::{ListSize, list_query};
use super::position::{DatesPosition, Position};
use super::query::{DateRange, Order, Query};
use super::row_filter::id_of;
use super::rows::{Row, Rows};
use super::sent_rows::OVERLAP_SECONDS;
use super::stream_sync::FinishedSync;
use crate::record::RecordWriter;
use crate::timestamp::Timestamp;
pub(super) use lane::Lane;
use newest::{Found, Newest};

/// Maximum number of requests for a page that counts rows and lists none.
const MOST_EMPTY_PAGES: u32 = 4;

/// A stream to read: its context, the state from which the sync begins, and the job of a full refresh.
#[derive(Debug)]
pub(super) struct DatedStream {
    pub context: Arc<StreamContext>,
    pub checkpoint: Checkpoint,
    pub full_refresh: bool,
    pub job: Option<Job>,
}

/// Reads a stream, or a stream and the one inside its rows (the second one). Returns a result for each.
pub(super) async fn run(streams: Vec<DatedStream>) -> Result<Vec<FinishedSync>, StreamError> {
    let Some(requests) = requests(&streams).map(Arc::new) else { return Ok(Vec::new()) };
    let jobs: Vec<Option<Job>> = streams.iter().map(|stream| stream.job).collect();
    let full_refresh = streams.first().is_some_and(|stream| stream.full_refresh);
    let lanes = streams.into_iter().map(Lane::new).collect();
    let writer = requests.writer();
    let list_size = ListSize::new(i64::try_from(requests.page_size()).unwrap_or(i64::MAX));
    let mut read = DatedRead {
        requests,
        lanes,
        full_refresh,
        writer,
        walked: IdSet::default(),
        is_counted: false,
        is_narrowed: false,
        is_short: false,
        list_size,
        skip_until: None,
    };
    let outcome = read.run().await;
    if let Err(stream_error) = &outcome {
        read.checkpoint(stream_error).await?;
    }
    outcome?;
    Ok(read.lanes.into_iter().zip(jobs).map(|(lane, job)| lane.finished(full_refresh, job)).collect())
}

/// Returns the context of the requests.
fn requests(streams: &[DatedStream]) -> Option<StreamContext> {
    match streams {
        [one] if one.context.stream.nested_in.is_some() => one.context.of_parent(),
        [one] => Some(one.context.requesting()),
        [outer, inner, ..] => Some(outer.context.with_inner(inner.context.as_inner()?)),
        [] => None,
    }
}

/// Returns true if two states are at the same place, so that both streams can continue with the same requests.
pub(super) fn are_together(one: &Checkpoint, other: &Checkpoint) -> bool {
    let place = |checkpoint: &Checkpoint| match &checkpoint.position {
        Some(Position::Dates(position)) => Some((position.since, position.until, position.reached)),
        _ => None,
    };
    let is_exact = |checkpoint: &Checkpoint| checkpoint.sent_rows.sent().is_exact();
    let has_begun = |checkpoint: &Checkpoint| checkpoint.cursor.is_some();
    one.position.is_some() == other.position.is_some()
        && place(one) == place(other)
        && has_begun(one) == has_begun(other)
        && is_exact(one)
        && is_exact(other)
}

/// A running read.
#[derive(Debug)]
struct DatedRead {
    requests: Arc<StreamContext>,
    lanes: Vec<Lane>,
    full_refresh: bool,
    writer: RecordWriter,
    /// Keys of the rows that the walk has read, where their dates of creation may change.
    walked: IdSet,
    is_counted: bool,
    /// True while a row is looked for that the store cannot send.
    is_narrowed: bool,
    /// True if the store sends complete rows only one by one.
    is_short: bool,
    /// Number of keys of the next list of keys.
    list_size: ListSize,
    /// First date of creation that is read, for a walk over all rows whose other dates decide nothing.
    skip_until: Option<i64>,
}

impl DatedRead {
    async fn run(&mut self) -> Result<(), StreamError> {
        self.retry_unread().await?;
        let resumed = self.lanes.first().and_then(Lane::resumed);
        let walk = match resumed {
            Some(position) => {
                self.requests.output.resume(None).await?;
                self.lanes.iter_mut().for_each(Lane::resume);
                position
            }
            None => match self.begin().await? {
                Some(position) => position,
                None => return Ok(()),
            },
        };
        if self.lanes.iter().any(Lane::must_compare) {
            self.compare(walk.since).await?;
        }
        self.walk(walk.since, walk.reached).await?;
        self.after_walk(walk.since, walk.until).await
    }

    /// Determines the dates of a new walk. Returns `None` if no row changed since the last one.
    async fn begin(&mut self) -> Result<Option<DatesPosition>, StreamError> {
        let (Found { newest, clock }, cursor) = self.newest_since().await?;
        let until = match newest {
            // No row has changed since the store keeps dates of changes.
            Newest::At(None) if cursor.is_none() && !self.full_refresh => self.newest_creation(clock).await?,
            Newest::At(until) => until,
            Newest::Unsupported => {
                let text = format!(
                    "the store is too old for incremental syncs: its rows have no `{}`, so every sync reads all of them.",
                    self.requests.stream.cursor_field
                );
                for lane in self.lanes.iter().filter(|_| !self.full_refresh) {
                    lane.context.output.warn_once("unsupported", &text).await?;
                }
                let start = self.lanes.iter().map(|lane| lane.context.start.unix_seconds()).min();
                self.skip_until = start.filter(|_| !self.requests.stream.created_may_change);
                None
            }
        };
        let since = cursor.filter(|_| !matches!(newest, Newest::Unsupported));
        let since = since.map(|cursor| cursor.minus_seconds(OVERLAP_SECONDS).unix_seconds());
        if self.requests.client.has_backdated_rows(self.requests.stream) {
            let greatest = self.greatest_key().await?;
            self.lanes.iter_mut().for_each(|lane| lane.greatest = greatest.max(lane.greatest));
        }
        self.lanes.iter_mut().for_each(|lane| lane.begin(since, until));
        Ok(self.lanes.first().and_then(|lane| lane.position(None)))
    }

    /// Returns the newest change, and the cursor from which changes are read: the one of the state, or an earlier one if
    /// the store's clock was ahead when it was saved.
    async fn newest_since(&mut self) -> Result<(Found, Option<Timestamp>), StreamError> {
        let cursor = self.cursor();
        let found = self.newest(cursor).await?;
        let Some(clock) = found.clock else { return Ok((found, cursor)) };
        for lane in &mut self.lanes {
            lane.go_back(clock).await?;
        }
        let earlier = self.cursor();
        // The search began at the cursor, unless the store sorts by changes.
        let is_again = earlier != cursor && !self.requests.stream.sorts_by_change;
        Ok((if is_again { self.newest(earlier).await? } else { found }, earlier))
    }

    /// Returns the earliest cursor of the streams; `None` if one of them has none.
    fn cursor(&self) -> Option<Timestamp> {
        self.lanes.iter().map(Lane::cursor).min().flatten()
    }

    /// Walks over the rows that changed at `since` or later, or over all rows, and emits them.
    async fn walk(&mut self, since: Option<i64>, reached: Option<i64>) -> Result<(), StreamError> {
        let limit = self.requests.page_size();
        let mut walk = DateWalk::new(reached, Limits { rows: limit, keys: limit });
        loop {
            let step = walk.next();
            let Some(query) = self.query(&step, since) else { return Ok(()) };
            let Some((answer, requested)) = self.fetch(&query).await? else {
                let accepted = walk.answered(Answer::Unreadable).map_err(unexpected)?;
                self.is_narrowed = accepted.gaps.is_empty();
                self.skip(&accepted);
                continue;
            };
            let elements = facts(&answer.page, &step, self.requests.prefix_length())?;
            let accepted = walk.answered(Answer::Rows { elements: &elements, requested }).map_err(unexpected)?;
            self.skip(&accepted);
            if let Some(date) = self.skip_until.filter(|_| since.is_none()) {
                walk.skip_until(date);
            }
            self.is_narrowed &= !matches!(step, Step::Rows { window, .. } if is_open(window));
            if self.is_short(&answer) && !matches!(step, Step::Short(_)) {
                self.emit_complete(answer, &accepted.is_new, walk.position()).await?;
            } else {
                self.emit(answer, &accepted.is_new, walk.position()).await?;
            }
        }
    }

    /// Returns the request of a step; `None` at the end.
    fn query(&self, step: &Step, since: Option<i64>) -> Option<Query> {
        // A row is not given up after one failure.
        let is_narrowed = |is_one: bool| self.is_narrowed && !is_one;
        let query = match step {
            Step::Rows { window, rows, page } => {
                let query = self.requests.query(*rows).sort(Order::Created).page(*page).divided_by_size();
                within(query.narrowed(is_narrowed(*rows == 1)), *window)
            }
            Step::Short(window) => within(Query::all(self.requests.stream).short(), Some(*window)),
            Step::Keys { keys, window } => {
                within(list_query(&self.requests, keys).narrowed(is_narrowed(keys.len() == 1)), *window)
            }
            Step::Done => return None,
        };
        Some(query.date_range(&changed_since(since)))
    }

    /// Requests a list. Returns the response and the number of rows that were requested in the end; `None` if the store
    /// cannot send it.
    async fn fetch(&mut self, query: &Query) -> Result<Option<(FetchedPage, usize)>, StreamError> {
        for _ in 0..MOST_EMPTY_PAGES {
            let answer = match self.requests.fetch(query, &mut self.writer).await {
                Ok(answer) => answer,
                Err(StreamError::Request(error)) if error.is_unreadable() => {
                    self.lanes.iter().for_each(|lane| lane.context.note_unreadable(&error));
                    return Ok(None);
                }
                Err(stream_error) => return Err(stream_error),
            };
            let listed = answer.page.rows.len() + answer.page.skipped.len();
            let total = answer.page.envelope.total.filter(|_| query.page_number() == 1);
            if query.is_all() && total.is_some_and(|total| total > listed as u64) {
                // The store limits a list that is to be complete.
                return Ok(None);
            }
            let total = total.filter(|_| !query.is_all());
            let is_cut = total.is_some_and(|total| total > listed as u64) && listed < answer.page.asked;
            if is_cut && listed == 0 {
                continue;
            }
            if !std::mem::replace(&mut self.is_counted, true)
                && let Some(total) = total.filter(|_| self.requests.stream == self.lanes[0].context.stream)
            {
                self.lanes[0].context.output.count(total).await?;
            }
            // A store that sends fewer rows than requested, and counts more, has more.
            let requested = if is_cut { listed } else { answer.page.asked };
            return Ok(Some((answer, requested)));
        }
        Err(StreamError::UnexpectedResponse("it counts rows and lists none"))
    }

    /// Records rows that the store cannot send.
    fn skip(&mut self, accepted: &Accepted) {
        for gap in &accepted.gaps {
            self.lanes.iter_mut().for_each(|lane| match *gap {
                Gap::Row { key, .. } => lane.unread.push((key.checked_sub(1), Some(key))),
                Gap::Second(second) => lane.unread_dates.push(Timestamp::from_unix_seconds(second)),
            });
        }
    }

    /// Emits the new rows of a response, and releases its slot: the next request may need it.
    async fn emit(&mut self, answer: FetchedPage, is_new: &[bool], reached: Option<i64>) -> Result<(), StreamError> {
        let FetchedPage { page: mut rows, slot, .. } = answer;
        let stream = self.requests.stream;
        let mut new_rows: Vec<(Row, bool)> = Vec::with_capacity(rows.rows.len());
        for (element, &is_new) in rows.elements().into_iter().zip(is_new) {
            if let Some(row) = element {
                // An edit can move a row to a date that is still to be read. It is newer than the cursor, so the next
                // sync reads it.
                let has_moved = |id: i64| is_new && stream.created_may_change && !self.walked.insert(id);
                new_rows.push((*row, is_new && !id_of(row.key).is_some_and(has_moved)));
            }
        }
        let is_noted = self.requests.client.has_backdated_rows(stream);
        let wanted =
            |lane: &mut Lane| new_rows.iter().map(|(row, is_new)| *is_new && lane.wants(row, is_noted)).collect();
        let wanted: Vec<Vec<bool>> = self.lanes.iter_mut().map(wanted).collect();
        let nested = rows.nested.take();
        let has_outer = self.lanes.first().is_some_and(|lane| lane.context.stream == stream);
        let mut lanes = self.lanes.iter_mut().zip(&wanted);
        if has_outer && let Some((lane, wanted)) = lanes.next() {
            lane.emit(rows, wanted, reached).await?;
        }
        if let (Some((lane, wanted)), Some(nested)) = (lanes.next(), nested) {
            let is_new: Vec<bool> = nested.parents.iter().map(|&parent| wanted.get(parent) == Some(&true)).collect();
            lane.emit(nested.rows, &is_new, reached).await?;
        }
        drop(slot);
        Ok(())
    }

    /// Reads the rows that the walk can have missed.
    async fn after_walk(&mut self, since: Option<i64>, until: Option<Timestamp>) -> Result<(), StreamError> {
        self.lanes.iter_mut().for_each(Lane::end_walk);
        if since.is_none()
            && self.requests.stream.created_may_change
            && let Some(until) = until
        {
            // An edit during the walk can have moved a row to a date that was passed. The others are not emitted again.
            // It may have become visible late.
            let since = until.minus_seconds(OVERLAP_SECONDS);
            self.lanes.iter_mut().for_each(|lane| lane.begin_moved(since));
            self.walk(Some(since.unix_seconds()), None).await?;
        }
        if since.is_some() {
            self.read_backdated().await?;
        }
        Ok(())
    }

    /// Compares the rows near the cursor with those that were emitted, if these are remembered by ranges of keys.
    async fn compare(&mut self, since: Option<i64>) -> Result<(), StreamError> {
        self.lanes.iter_mut().for_each(Lane::begin_comparison);
        self.walk(since, None).await?;
        self.walked = IdSet::default();
        self.lanes.iter_mut().for_each(Lane::end_comparison);
        Ok(())
    }

    /// Emits the states of the rows emitted, so that a read that stops loses no progress.
    async fn checkpoint(&mut self, stream_error: &StreamError) -> Result<(), StreamError> {
        if matches!(stream_error, StreamError::Closed) {
            return Ok(());
        }
        for lane in &self.lanes {
            lane.send_progress().await?;
        }
        Ok(())
    }
}

/// Returns true if a window has no end, so that its page is one of those of a walk without unreadable rows.
fn is_open(window: Option<Window>) -> bool {
    window.is_none_or(|window| window.until >= FAR_FUTURE)
}

/// Returns a request for rows created in a window.
fn within(query: Query, window: Option<Window>) -> Query {
    match window {
        Some(Window { from, until }) => query.created(from, until),
        None => query,
    }
}

/// Returns the date filter for rows changed at a second or later.
fn changed_since(since: Option<i64>) -> DateRange {
    DateRange { from: since.map(Timestamp::from_unix_seconds), ..DateRange::default() }
}

fn unexpected(error: super::date_walk::Unexpected) -> StreamError {
    StreamError::UnexpectedList(error.to_string())
}

/// Returns what the walk needs to know of the elements of a response. The content is hashed where the walk compares it:
/// at the first and the last date of a page, and in lists of keys.
fn facts(rows: &Rows, step: &Step, prefix_length: usize) -> Result<Vec<Option<RowFacts>>, StreamError> {
    let dates = (rows.rows.first().and_then(|row| row.created), rows.rows.last().and_then(|row| row.created));
    let mut index = 0;
    let mut fact = |row: &Row| {
        let date =
            row.created.ok_or(StreamError::UnexpectedResponse("it lists rows without the date of their creation"))?;
        let key = id_of(row.key).ok_or(StreamError::UnexpectedResponse("it lists rows without a key"))?;
        let is_compared = match step {
            Step::Rows { .. } => Some(date) == dates.0 || Some(date) == dates.1,
            // Only its key and date were kept.
            Step::Short(_) => false,
            Step::Keys { .. } | Step::Done => true,
        };
        let hash = if is_compared { rows.hash(index, prefix_length) } else { 0 };
        index += 1;
        Ok(RowFacts { date, key, hash })
    };
    rows.elements().into_iter().map(|element| element.map(&mut fact).transpose()).collect()
}
