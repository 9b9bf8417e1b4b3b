//! The keyset walk: reads a stream in the order of its keys, in several ranges at once.
//!
//! Page numbers move while a store changes, and many rows share one timestamp; keys do neither. Deleting or changing
//! a row moves no other row here, so no row is skipped or read twice. Every response is checked against its request,
//! since the API ignores parameters it does not know.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::checkpoint::{Checkpoint, Range, WalkCheckpoint};
use super::context::{StreamContext, StreamError, is_not_found};
use super::list_end::End;
use super::probes;
use super::query::{DateRange, Order, Query};
use super::row_filter::{Decision, RowFilter, id_of};
use super::rows::{Row, Rows, check_keys};
use super::sent_hashes::RangeCheck;
use super::sent_rows::{Retention, SentRows};
use super::stream_output::StatePolicy;
use crate::record::{CursorValue, RecordWriter};
use crate::timestamp::Timestamp;

/// Number of first pages whose emitted rows are kept, in case the store ignores ranges of keys and is read by page
/// numbers instead. The first pages of the first ranges show whether it does.
const TRIAL_PAGES: usize = 16;

/// Maximum number of consecutive rows that are skipped because the store cannot send them. A few damaged rows may
/// have neighbouring keys; if more fail, there is another fault.
pub(super) const MOST_UNREADABLE: u64 = 5;

/// Number of keys after the last one read in which to look for a row that the store cannot send. Three requests find
/// one within a few keys, and report at most five.
const NARROWING: [i64; 3] = [1, 3, 8];

/// Minimum number of pages in a part of a range. With one, a third of all requests would return pages that are not
/// full; with more, slots stay unused at the end of a stream.
const FEWEST_PAGES: u64 = 2;

/// Fraction of a page (1/10) that is left empty, because some keys have more rows than the average. For 1,000 rows
/// with a fifth of the keys deleted in runs of up to six, it is about four times the standard deviation.
const SLACK: u64 = 10;

/// Pages of a range for which its parts may together need one request more than the range alone: a tenth.
const PAGES_PER_EXTRA: u64 = 10;

/// Maximum number of ends of ranges that are requested again if rows are missing: more than the ranges of a walk.
const MOST_ENDS: usize = 1000;

/// The rows that a walk reads and emits.
#[derive(Debug)]
pub(super) struct KeysetPlan {
    /// Date filter to request; the default for none.
    pub filter: DateRange,
    /// Decides which rows are emitted.
    pub row_filter: RowFilter,
    /// The state before this walk; each checkpoint contains it.
    pub base: Checkpoint,
    /// The progress of the walk; `left` has the ranges to read.
    pub walk: WalkCheckpoint,
    /// Rows of the greatest keys, in descending order, if a recent response has them.
    pub page: Option<MaxKeyPage>,
    /// Ranges to compare rows with. If set, no rows are emitted.
    pub check: Option<RangeCheck>,
}

/// The page of the greatest keys.
#[derive(Debug)]
pub(super) struct MaxKeyPage {
    /// Its rows, in descending order.
    pub rows: Rows,
    /// True if it has all rows.
    pub is_all: bool,
}

/// Rows emitted by a walk that had to stop, with the hash of their content.
pub(super) type EmittedRows = Vec<(Row, u64)>;

/// A finished walk.
#[derive(Debug)]
pub(super) struct FinishedWalk {
    /// The walk, with no ranges left.
    pub walk: WalkCheckpoint,
    /// Unread ends of ranges, also of those that an interrupted run has read.
    pub ends: Vec<Range>,
    /// Rows read that the count from the start of the walk may not have, because they changed later.
    pub uncounted: u64,
    /// Result of the comparison.
    pub check: Option<RangeCheck>,
    /// Rows of the first pages that were emitted.
    pub delivered: EmittedRows,
    /// Newest date within the requested dates.
    pub newest: Option<Timestamp>,
}

/// A running walk.
#[derive(Debug)]
struct KeysetWalk {
    context: Arc<StreamContext>,
    filter: DateRange,
    row_filter: RowFilter,
    base: Checkpoint,
    is_compare_only: bool,
    /// Earliest date of a row whose content is compared or remembered.
    floor: Option<Timestamp>,
    walk_state: Mutex<WalkState>,
    ranges_added: mpsc::UnboundedSender<usize>,
}

#[derive(Debug)]
struct WalkState {
    /// Ranges to read, by their number.
    ranges: BTreeMap<usize, Range>,
    next_range: usize,
    walk: WalkCheckpoint,
    delivered: EmittedRows,
    uncounted: u64,
    check: Option<RangeCheck>,
    newest: Option<Timestamp>,
    pages: usize,
    /// True if the page of the greatest keys counted only the rows it listed, while another sign showed more.
    is_counted_out: bool,
}

/// Reads all ranges that are left, and returns the walk with no ranges left.
///
/// # Errors
/// [`StreamError`], with the rows emitted so far if the store ignores ranges of keys.
pub(super) async fn run(
    context: &Arc<StreamContext>,
    plan: KeysetPlan,
) -> Result<FinishedWalk, (StreamError, EmittedRows)> {
    let (ranges_added, mut added) = mpsc::unbounded_channel();
    let ranges: BTreeMap<usize, Range> = plan.walk.left.iter().copied().enumerate().collect();
    let first: Vec<usize> = ranges.keys().copied().collect();
    let floors = [plan.row_filter.known.floor(), plan.walk.sent_rows.floor()];
    let is_compare_only = plan.check.is_some();
    let walk_state = WalkState {
        next_range: ranges.len(),
        ranges,
        walk: plan.walk,
        delivered: Vec::new(),
        uncounted: 0,
        check: plan.check,
        newest: None,
        pages: 0,
        is_counted_out: false,
    };
    let walk = Arc::new(KeysetWalk {
        context: Arc::clone(context),
        filter: plan.filter,
        row_filter: plan.row_filter,
        base: plan.base,
        is_compare_only,
        floor: floors.into_iter().flatten().min(),
        walk_state: Mutex::new(walk_state),
        ranges_added,
    });
    if let Some(page) = plan.page {
        walk.begin(page).await.map_err(|stream_error| (stream_error, Vec::new()))?;
    }
    if let Err(stream_error) = read_ranges(&walk, first, &mut added).await {
        if let Err(stream_error) = walk.checkpoint(&stream_error).await {
            return Err((stream_error, Vec::new()));
        }
        let delivered = std::mem::take(&mut walk.walk_state().delivered);
        return Err((stream_error, delivered));
    }
    let mut walk_state = walk.walk_state();
    let (ends, check) = (std::mem::take(&mut walk_state.walk.ends), walk_state.check.take());
    let delivered = std::mem::take(&mut walk_state.delivered);
    let (newest, uncounted) = (walk_state.newest, walk_state.uncounted);
    Ok(FinishedWalk {
        walk: WalkCheckpoint { left: Vec::new(), ..walk_state.walk.clone() },
        ends,
        uncounted,
        check,
        delivered,
        newest,
    })
}

/// Reads the ranges with these numbers, and those that are added meanwhile, each in a task. The first error stops all.
async fn read_ranges(
    walk: &Arc<KeysetWalk>,
    first: Vec<usize>,
    added: &mut mpsc::UnboundedReceiver<usize>,
) -> Result<(), StreamError> {
    let mut workers = JoinSet::new();
    for range in first {
        workers.spawn(Arc::clone(walk).read(range));
    }
    loop {
        // Only a running worker adds a range, so an empty set means the end.
        while let Ok(range) = added.try_recv() {
            workers.spawn(Arc::clone(walk).read(range));
        }
        let done = tokio::select! {
            Some(range) = added.recv() => {
                workers.spawn(Arc::clone(walk).read(range));
                continue;
            }
            done = workers.join_next() => done,
        };
        match done {
            None if added.is_empty() => return Ok(()),
            None | Some(Ok(Ok(()))) => {}
            Some(Ok(Err(stream_error))) => {
                workers.shutdown().await;
                return Err(stream_error);
            }
            Some(Err(panic)) => {
                workers.shutdown().await;
                std::panic::resume_unwind(panic.into_panic());
            }
        }
    }
}

impl KeysetWalk {
    fn walk_state(&self) -> MutexGuard<'_, WalkState> {
        // Every change is complete when the lock is released.
        self.walk_state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn query(&self, count: usize, (after, end): Range) -> Query {
        self.context.query(count).sort(Order::Key).keys(after, end).date_range(&self.filter)
    }

    /// Reads one range to its end.
    async fn read(self: Arc<Self>, number: usize) -> Result<(), StreamError> {
        let mut writer = self.context.writer();
        // The range of the previous response and its count, if it counted only the rows it listed while another sign
        // showed more.
        let mut counted_out: Option<(Range, u64)> = None;
        // If the page of the greatest keys did, and there are rows below it, one of its figures was wrong.
        let mut is_unclear = number == 0 && self.walk_state().is_counted_out;
        loop {
            let Some(range) = self.walk_state().ranges.get(&number).copied() else { return Ok(()) };
            let query = self.query(self.context.page_size(), range).in_range(number);
            let answer = match self.context.fetch_range(&query, range, &mut writer).await {
                Err(StreamError::Request(error)) if error.is_unreadable() => {
                    self.context.note_unreadable(&error);
                    self.skip(number, range, StreamError::Request(error), &mut writer).await?;
                    continue;
                }
                answer => answer?,
            };
            let (mut rows, mut slot) = (answer.page, answer.slot);
            let last = check_keys(&rows.rows, range).map_err(StreamError::UnexpectedResponse)?;
            let ends = &self.context.end_detector;
            if let Some(before) = counted_out.filter(|_| !self.are_new(&rows)) {
                // The request needs a slot and some memory.
                drop(slot.take());
                rows.lines.attach_guard(());
                if !self.has_grown(before, &rows).await? {
                    self.context.warn_wrong_count().await?;
                }
            }
            let end = match ends.of(&rows) {
                // There are no keys after the last one of a range.
                _ if rows.rows.is_empty() || last.is_some() && last == range.1 => End::Reached,
                End::Reached if std::mem::take(&mut is_unclear) => End::Unclear,
                end => end,
            };
            if end == End::More {
                ends.followed(&rows);
            }
            counted_out = rows.envelope.total.filter(|_| rows.is_counted_out()).map(|total| (range, total));
            let (came, total, ended) = (rows.listed(), rows.envelope.total, end == End::Reached);
            let rest = if ended { None } else { last.map(|last| (Some(last), range.1)) };
            // If counts are wrong, an empty response has proven the end.
            if ended && !ends.is_count_wrong() && (last.is_none() || last != range.1) {
                let mut walk_state = self.walk_state();
                if walk_state.walk.ends.len() < MOST_ENDS {
                    walk_state.walk.ends.push((last, range.1));
                }
            }
            self.emit_page(number, rows, rest).await?;
            // Before the slot of this request is released, so that only slots free for others are counted.
            if let (false, Some(last), Some(end), Some(total)) = (ended, last, range.1, total)
                && total > came
            {
                self.split(&query, number, last, end, total - came, came);
            }
            drop(slot);
            if ended {
                return Ok(());
            }
        }
    }

    /// Returns true if the count of a range has grown by these rows: they became visible after it.
    async fn has_grown(&self, (range, total): (Range, u64), rows: &Rows) -> Result<bool, StreamError> {
        let now = probes::count(&self.context, self.query(1, range)).await?;
        Ok(now.is_some_and(|now| now >= total.saturating_add(rows.listed())))
    }

    /// Returns true if all rows of a response changed since the walk began. They may be new in its range.
    fn are_new(&self, rows: &Rows) -> bool {
        let until = self.walk_state().walk.until;
        let is_new = |row: &Row| matches!(row.updated, CursorValue::At(at) if until.is_some_and(|until| at > until));
        rows.rows.iter().all(is_new)
    }

    /// Skips the first row of a range, which the store cannot send: the row after it is requested by its position,
    /// and shows between which keys the missing row is.
    async fn skip(
        &self,
        number: usize,
        range: Range,
        stream_error: StreamError,
        writer: &mut RecordWriter,
    ) -> Result<(), StreamError> {
        for page in 2..=1 + MOST_UNREADABLE {
            let query = self.query(1, range).page(page);
            let answer = match self.context.fetch(&query, writer).await {
                Ok(answer) => answer.page,
                Err(StreamError::Request(error)) if error.is_unreadable() => continue,
                // The missing row is the last one.
                Err(StreamError::Request(error)) if is_not_found(&error) => Rows::default(),
                Err(stream_error) => return Err(stream_error),
            };
            check_keys(&answer.rows, range).map_err(StreamError::UnexpectedResponse)?;
            let next = answer.rows.first().and_then(|row| id_of(row.key)).and_then(|id| id.checked_sub(1));
            if next.is_some() && next == range.0 {
                return Err(StreamError::UnexpectedResponse("its page numbers do not follow the order of the keys"));
            }
            let unread = match (range.0, next.or(range.1)) {
                (Some(after), None) if page == 2 => self.narrow(after, writer).await?,
                unread => unread,
            };
            let mut walk_state = self.walk_state();
            walk_state.walk.unread.push(unread);
            // As many rows as were skipped by position.
            walk_state.walk.read += page - 1;
            match next {
                Some(next) => drop(walk_state.ranges.insert(number, (Some(next), range.1))),
                None => drop(walk_state.ranges.remove(&number)),
            }
            return Ok(());
        }
        Err(stream_error)
    }

    /// Looks for the key of a row that the store cannot send and that has no row after it. It is found if the keys
    /// are close to each other.
    async fn narrow(&self, after: i64, writer: &mut RecordWriter) -> Result<Range, StreamError> {
        let mut below = after;
        for step in NARROWING {
            let Some(end) = after.checked_add(step) else { break };
            match self.context.fetch(&self.query(1, (Some(below), Some(end))), writer).await {
                Ok(answer) if answer.page.rows.is_empty() => below = end,
                Err(StreamError::Request(error)) if is_not_found(&error) => below = end,
                Err(StreamError::Request(error)) if error.is_unreadable() => return Ok((Some(below), Some(end))),
                // It was added since, or another row was.
                Ok(_) | Err(StreamError::Request(_)) => break,
                Err(stream_error) => return Err(stream_error),
            }
        }
        Ok((Some(after), None))
    }

    /// Processes the page of the greatest keys. The rest of the first range is below them, and above them if a
    /// greater key was seen before.
    async fn begin(&self, MaxKeyPage { rows, is_all }: MaxKeyPage) -> Result<(), StreamError> {
        let key = |row: Option<&Row>| row.and_then(|row| id_of(row.key));
        let (greatest, lowest) = (key(rows.rows.first()), key(rows.rows.last()));
        let below = lowest.and_then(|lowest| lowest.checked_sub(1)).filter(|_| !is_all);
        {
            let mut walk_state = self.walk_state();
            let max_key = walk_state.walk.max_key;
            if max_key > greatest {
                let range = walk_state.next_range;
                walk_state.next_range += 1;
                walk_state.ranges.insert(range, (greatest, max_key));
                // The receiver exists as long as the walk.
                let _sent = self.ranges_added.send(range);
            }
            walk_state.is_counted_out = !is_all && rows.is_counted_out();
            if is_all && let Some(lowest) = lowest {
                walk_state.walk.ends.push((None, Some(lowest - 1)));
            }
        }
        self.emit_page(0, rows, below.map(|below| (None, Some(below)))).await
    }

    /// Emits the accepted rows of a page and records the progress, both in one step. `rest` is the rest of the range,
    /// `None` at its end.
    async fn emit_page(&self, number: usize, mut rows: Rows, rest: Option<Range>) -> Result<(), StreamError> {
        let (hashes, mut decisions) = self.row_filter.decide_rows(&rows, self.floor, self.context.prefix_length());
        self.context.output.restore(&rows.rows, &mut decisions);
        if self.filter != DateRange::default() && rows.rows.iter().any(|row| row.is_outside(&self.filter)) {
            self.context.warn_dates().await?;
        }
        let records = if self.is_compare_only {
            rows.retain(|_, _| false)
        } else {
            rows.retain(|index, _| decisions[index] == Decision::Emit)
        };
        let mut batch = self.context.output.begin_batch(records).await?;
        let mut walk_state = self.walk_state();
        match rest {
            Some(rest) => drop(walk_state.ranges.insert(number, rest)),
            None => drop(walk_state.ranges.remove(&number)),
        }
        walk_state.walk.read += rows.len() as u64;
        let is_trial_page = walk_state.pages < TRIAL_PAGES;
        walk_state.pages += 1;
        if !self.is_compare_only {
            batch.inner.stats.count_skipped(&decisions);
            batch.note(&rows.rows, &decisions);
        }
        for ((row, decision), &hash) in rows.rows.iter().zip(&decisions).zip(&hashes) {
            if *decision == Decision::Emit && is_trial_page && !self.is_compare_only {
                walk_state.delivered.push((*row, hash));
            }
            walk_state.uncounted += u64::from(!self.is_counted(&walk_state.walk, row));
            let Some(id) = id_of(row.key) else { continue };
            if let Some(check) = &mut walk_state.check
                && self.row_filter.known.remembers(row.updated)
            {
                check.add(id, hash);
            }
            if matches!(decision, Decision::Emit | Decision::AlreadySent) {
                if let CursorValue::At(instant) = row.updated {
                    walk_state.newest = walk_state.newest.max(Some(instant));
                }
                walk_state.walk.sent_rows.add(id, row, hash);
            }
        }
        if !self.is_compare_only {
            batch.send_with_state(rows.lines, records, StatePolicy::WhenDue, || self.state(&walk_state));
        }
        Ok(())
    }

    /// Returns false for a row that the count from the start of the walk may not have: it may have moved into the dates
    /// since.
    fn is_counted(&self, walk: &WalkCheckpoint, row: &Row) -> bool {
        let is_later = matches!(row.updated, CursorValue::At(at) if walk.until.is_some_and(|until| at > until));
        let is_compared = !walk.is_part || self.row_filter.known.remembers(row.updated);
        is_compared && !(is_later && self.filter != DateRange::default())
    }

    /// Emits the state of the rows emitted, so that a stream that stops loses no progress.
    async fn checkpoint(&self, stream_error: &StreamError) -> Result<(), StreamError> {
        if self.is_compare_only || matches!(stream_error, StreamError::Closed | StreamError::UnexpectedResponse(_)) {
            return Ok(());
        }
        let batch = self.context.output.begin_batch(0).await?;
        let walk_state = self.walk_state();
        if batch.inner.has_uncovered_records() {
            batch.send_state(StatePolicy::Now, || self.state(&walk_state));
        }
        Ok(())
    }

    fn state(&self, walk_state: &WalkState) -> Value {
        let mut left: Vec<Range> = walk_state.ranges.values().copied().collect();
        left.sort_unstable();
        let walk = Some(WalkCheckpoint { left, ..walk_state.walk.clone() });
        Checkpoint { walk, has_wrong_count: self.context.end_detector.is_count_wrong(), ..self.base.clone() }.to_json()
    }

    /// Splits the rest of a range into parts for the requests that may run at the same time.
    fn split(&self, query: &Query, number: usize, last: i64, end: i64, rows_left: u64, page: u64) {
        let free = self.context.client.requests().free_slots(query) as u64;
        let mut bounds = part_bounds((last, end), rows_left, page, free + 1);
        if bounds.is_empty() {
            return;
        }
        bounds.push(end);
        let mut walk_state = self.walk_state();
        if let Some(range) = walk_state.ranges.get_mut(&number) {
            range.1 = bounds.first().copied();
        }
        for pair in bounds.windows(2) {
            let range = walk_state.next_range;
            walk_state.next_range += 1;
            walk_state.ranges.insert(range, (Some(pair[0]), Some(pair[1])));
            // The receiver exists as long as any worker.
            let _sent = self.ranges_added.send(range);
        }
    }
}

/// Returns the last key of each part except the last, for a range of keys `(after, end]` with `rows` rows, split into
/// at most `most` parts with pages of `page` rows.
///
/// Each part ends with a page that is not full, which costs a request. So a part has a few pages at least, and is
/// expected to nearly fill them: the number of deleted keys varies, and rows beyond the last page would need one more
/// request. The rows left out there go to the last part. If its last page has no space for them, fewer parts are made.
fn part_bounds((after, end): (i64, i64), rows: u64, page: u64, most: u64) -> Vec<i64> {
    let (span, page) = (after.abs_diff(end), page.max(1));
    let (pages, slack) = (rows.div_ceil(page), if span == rows { 0 } else { page / SLACK });
    let space = pages.saturating_mul(page) - rows;
    let affordable = space.checked_div(slack).map_or(most, |parts| 1 + parts + pages / PAGES_PER_EXTRA);
    let parts = most.min(rows.div_ceil(page.saturating_mul(FEWEST_PAGES))).min(affordable);
    if parts < 2 || span < parts {
        return Vec::new();
    }
    let rows_of_part = pages.div_ceil(parts).saturating_mul(page) - slack;
    let keys = u128::from(span) * u128::from(rows_of_part) / u128::from(rows);
    // At least one key, and never more than the span, so that it fits.
    let keys = u64::try_from(keys).unwrap_or(span).max(1);
    (1..parts)
        .map_while(|part| keys.checked_mul(part).filter(|&keys| keys < span))
        .map(|keys| after.wrapping_add_unsigned(keys))
        .collect()
}

/// Returns a new walk: from the first key to the greatest one, or without an end if that is not known.
pub(super) fn from_the_start(
    max_key: Option<i64>,
    from: Timestamp,
    until: Option<Timestamp>,
    counted: Option<u64>,
) -> WalkCheckpoint {
    // If no row has a date, all rows are remembered: they cannot be distinguished from new ones in another way.
    let sent_rows = SentRows::of(until.map_or(Retention::Everything(None), Retention::Overlap));
    let left = vec![(None, max_key)];
    WalkCheckpoint {
        from,
        requested_from: None,
        before: None,
        until,
        left,
        max_key,
        sent_rows,
        counted,
        read: 0,
        include_missing_dates: false,
        unread: Vec::new(),
        ends: Vec::new(),
        is_part: false,
    }
}

#[cfg(test)]
mod tests {
    use super::part_bounds;

    #[test]
    fn parts_of_keys_without_gaps_are_full_pages() {
        assert_eq!(part_bounds((0, 10_000), 10_000, 1000, 5), [2000, 4000, 6000, 8000]);
        assert_eq!(part_bounds((100, 7_100), 7_000, 1000, 3), [3100, 6100]);
        // Two, two and one page.
        assert_eq!(part_bounds((0, 4_100), 4_100, 1000, 3), [2000, 4000]);
    }

    #[test]
    fn parts_of_keys_with_gaps_leave_space_in_their_last_page() {
        // Two keys per row: 1,900 rows in two pages.
        assert_eq!(part_bounds((0, 7_800), 3_900, 1000, 2), [3800]);
        assert_eq!(part_bounds((0, 11_400), 5_700, 1000, 9), [3800, 7600]);
    }

    #[test]
    fn a_range_whose_pages_are_full_is_not_split_into_parts_that_need_more_requests() {
        assert!(part_bounds((0, 16_000), 8_000, 1000, 8).is_empty());
        assert_eq!(part_bounds((0, 15_900), 7_950, 1000, 8), Vec::<i64>::new());
        // One request more for 18 pages.
        assert_eq!(part_bounds((0, 36_000), 18_000, 1000, 8), [17_800]);
        assert_eq!(part_bounds((0, 396_000), 198_000, 1000, 8).len(), 7);
    }

    #[test]
    fn what_is_too_small_is_not_split() {
        assert!(part_bounds((0, 2_000), 2_000, 1000, 8).is_empty());
        assert!(part_bounds((0, 1), 5_000, 1000, 8).is_empty());
        assert!(part_bounds((0, 9_000), 9_000, 1000, 1).is_empty());
        assert!(part_bounds((5, 5), 0, 0, 8).is_empty());
    }

    #[test]
    fn bounds_lie_within_the_range_whatever_is_counted() {
        for (after, end) in [(i64::MIN, i64::MAX), (-5, 3), (0, i64::MAX), (i64::MAX - 9, i64::MAX)] {
            for rows in [1, 9, 1_000, 123_456, u64::MAX] {
                for page in [1, 7, 1_000, u64::MAX] {
                    let bounds = part_bounds((after, end), rows, page, 8);
                    assert!(bounds.len() < 8);
                    assert!(bounds.is_sorted() && bounds.iter().all(|&bound| after < bound && bound < end));
                }
            }
        }
    }
}
