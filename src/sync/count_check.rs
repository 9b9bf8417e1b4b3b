//! Compares the rows read with the store's counts.
//!
//! A count with the conditions of the walk misses the same rows as the walk: a row without a key matches no condition
//! on keys, and a row that a date filter hides is not counted under that filter. So the counts here omit those
//! conditions, one at a time.

use std::sync::Arc;

use super::checkpoint::{Checkpoint, Range, WalkCheckpoint};
use super::context::{StreamContext, StreamError};
use super::keyset::{self, FinishedWalk};
use super::probes::{self, SAMPLE};
use super::query::{DateRange, Order};
use super::row_filter::RowFilter;
use super::sent_rows::OVERLAP_SECONDS;
use crate::record::CursorValue;
use crate::timestamp::Timestamp;

/// The conditions of a walk, for the comparison.
#[derive(Debug)]
pub(super) struct CountCheck<'r> {
    /// The stream.
    pub context: &'r Arc<StreamContext>,
    /// The date filter of the walk.
    pub filter: DateRange,
    /// Decides which rows the walk emits.
    pub row_filter: RowFilter,
    /// The state before the walk.
    pub base: &'r Checkpoint,
    /// Rows that the store counted without any condition, if it was requested.
    pub all: Option<u64>,
    /// The interrupted walk that this walk continued, as it was left. The counts from its start are old.
    pub resumed: Option<WalkCheckpoint>,
}

impl CountCheck<'_> {
    /// Compares the counts, requests missing rows again, and returns the walk.
    ///
    /// # Errors
    /// [`StreamError::CountMismatch`] if the store counts more rows than it lists.
    pub(super) async fn verify(&self, walked: FinishedWalk) -> Result<WalkCheckpoint, StreamError> {
        let FinishedWalk { mut walk, ends, uncounted, .. } = walked;
        // Rows added since have greater keys than the walk read. Without a greatest key from its start, the last key
        // that it read limits the counts.
        let last_read = ends.iter().filter(|(_, end)| end.is_none()).filter_map(|(last, _)| *last).max();
        walk.max_key = walk.max_key.or(last_read);
        let dates = self.row_filter.date_range;
        if self.context.end_detector.is_count_wrong() {
            // Each list was read until a response was empty since the count was found to be wrong; no count can show
            // more.
            return self.walk_again(walk, ends, self.filter, dates).await;
        }
        let is_unfiltered = self.filter == DateRange::default();
        // The first rows in the order of keys show rows without a key, and their count has no condition on keys.
        let sample = self.context.query(SAMPLE).sort(Order::Key).date_range(&self.filter);
        // Rows became visible or were deleted meanwhile, or the count is wrong, or a response ended too early. Other
        // changes can hide that from all later counts, so the ends of the ranges are read again before any of them.
        // If all rows were within the dates at the start, none has moved into them.
        let is_all = self.all.is_some() && self.all == walk.counted;
        let surely_counted = walk.read.saturating_sub(if is_all { 0 } else { uncounted });
        let mut is_doubtful = walk.counted.is_some_and(|counted| surely_counted < counted)
            || walk.counted.or(self.all).is_some_and(|counted| walk.read > counted);
        let mut total = None;
        if !is_doubtful && self.resumed.is_some() && !walk.is_part {
            total = probes::count(self.context, sample.clone()).await?;
            is_doubtful = total.is_none_or(|total| total > surely_counted);
        }
        if is_doubtful {
            total = None;
            walk = self.walk_again(walk, ends, self.filter, dates).await?;
        }
        if walk.is_part {
            // The comparison has counted all rows.
            return Ok(walk);
        }
        if is_unfiltered && walk.max_key.is_none() && walk.read > 0 {
            // Without an upper bound, new rows would be counted as lost ones. If the walk read no rows at all, that
            // does not explain the difference.
            return Ok(walk);
        }
        let is_short = walk.counted.is_some_and(|counted| walk.read < counted);
        if !is_short && self.resumed.is_none() {
            return self.check_filter(walk).await;
        }
        // Deleted rows may explain it.
        if total.is_none() {
            total = probes::count(self.context, sample.clone()).await?;
        }
        if total.is_none_or(|total| total > walk.read) {
            return self.look_again(walk, total).await;
        }
        // A lower count than before is accepted only if a second response agrees: on a connection that delays every
        // response by one request, the first is that of an earlier request. Rows added in between have greater keys.
        // Under a date filter, a row with a greater key may be a lost one, whose date changed.
        let again = if is_unfiltered { sample.keys(None, walk.max_key) } else { sample };
        let total = probes::count(self.context, again).await?;
        if total.is_none_or(|total| total > walk.read) {
            return self.look_again(walk, total.filter(|_| !is_unfiltered)).await;
        }
        if self.resumed.is_some() { self.check_filter(walk).await } else { Ok(walk) }
    }

    /// Reads the rows that the date filter omits although their dates are within it, if there are any.
    async fn check_filter(&self, walk: WalkCheckpoint) -> Result<WalkCheckpoint, StreamError> {
        let Some(all) = self.counted_in_full(&walk).await? else { return Ok(walk) };
        match self.omits_rows(walk.read).await? {
            true => self.read_hidden(walk, all).await,
            false => self.look_again(walk, None).await,
        }
    }

    /// Returns true if the date filter does not even count the rows that are missing, unlike a row without a key.
    pub(super) async fn omits_rows(&self, read: u64) -> Result<bool, StreamError> {
        let counted = probes::count(self.context, self.context.query(1).date_range(&self.filter)).await?;
        Ok(counted.is_some_and(|counted| counted <= read))
    }

    /// Returns `None` if the rows that the date filter lists and those it omits add up to all rows, or if it omits
    /// none. Otherwise returns the number of all rows.
    pub(super) async fn counted_in_full(&self, walk: &WalkCheckpoint) -> Result<Option<u64>, StreamError> {
        let (Some(all), Some(from)) = (self.all, self.filter.from) else { return Ok(None) };
        if walk.read >= all {
            return Ok(None);
        }
        let range = DateRange { before: Some(from), ..DateRange::default() };
        let Some(mut outside) = probes::count(self.context, self.context.query(1).date_range(&range)).await? else {
            return Ok(None);
        };
        if let Some(before) = self.filter.before.filter(|_| walk.read + outside < all) {
            let range = DateRange { from: Some(before), ..DateRange::default() };
            outside += probes::count(self.context, self.context.query(1).date_range(&range)).await?.unwrap_or(all);
        }
        if walk.read + outside >= all {
            return Ok(None);
        }
        // Deleted rows may explain it.
        let now = probes::count(self.context, self.context.query(1).keys(None, walk.max_key)).await?;
        let now = now.filter(|&now| now > walk.read.saturating_add(outside));
        if now.is_none() {
            self.context.note_rows_without_key(probes::rows_without_key(self.context).await?.unwrap_or(0));
        }
        Ok(now)
    }

    /// Reads all rows without the date filter, which hides rows that it should list. Rows may be emitted twice.
    async fn read_hidden(&self, walk: WalkCheckpoint, counted: u64) -> Result<WalkCheckpoint, StreamError> {
        let (all, max_key) = (vec![(None, walk.max_key)], walk.max_key);
        // If it is interrupted, the next run reads without the filter, too.
        let walk = WalkCheckpoint {
            counted: Some(counted),
            read: 0,
            include_missing_dates: true,
            requested_from: None,
            ..walk
        };
        let walk = self.walk_again(walk, all, DateRange::default(), self.row_filter.date_range).await?;
        let listed = walk.read;
        if listed < counted {
            // Deleted rows may explain it.
            let now = probes::count(self.context, self.context.query(1).keys(None, max_key)).await?;
            if let Some(counted) = now.filter(|&now| now > listed) {
                return Err(StreamError::CountMismatch { counted, listed });
            }
        }
        Ok(walk)
    }

    /// Requests the rows again that the store counts and did not list. `total` is a recent count under the date filter
    /// and without a condition on keys, if there is one.
    async fn look_again(&self, walk: WalkCheckpoint, total: Option<u64>) -> Result<WalkCheckpoint, StreamError> {
        let until = walk.until.filter(|_| self.filter != DateRange::default());
        // Rows changed since may have moved into the date range, and are left out of the count. Without a condition on
        // keys it has all rows: if they were read, no other count is needed.
        let all = match until {
            None => total.filter(|_| walk.max_key.is_some()),
            Some(_) => match probes::still_counted(self.context, &self.filter, until, None, total).await? {
                Some(all) if all > walk.read => Some(all),
                // Or more rows changed than one response lists, so that no count is reliable.
                _ => return Ok(walk),
            },
        };
        let Some(now) = probes::still_counted(self.context, &self.filter, until, walk.max_key, None).await? else {
            return Ok(walk);
        };
        if now <= walk.read {
            return self.find_rows_without_key(walk, until, all).await;
        }
        let (Some(until), true) = (until, walk.sent_rows.sent().is_exact()) else {
            let listed = walk.read;
            return self.read_finished(walk, (now, listed)).await;
        };
        // Rows that became visible after the walk passed their keys are among the newest: they are read before any
        // row is reported as lost.
        let from = Some(until.minus_seconds(OVERLAP_SECONDS).max(walk.from));
        let late = |dates: DateRange| DateRange { from, until: Some(until), ..dates };
        let (read, delivered) = (walk.read, self.context.output.inner().await.stats.delivered);
        let max_key = walk.max_key;
        // The connector compares the dates as well: a store that ignores the filter lists all rows once more.
        let (filter, dates) = (late(self.filter), late(self.row_filter.date_range));
        let walk = self.walk_again(walk, vec![(None, max_key)], filter, dates).await?;
        let listed = read + self.context.output.inner().await.stats.delivered - delivered;
        if now <= listed {
            return Ok(walk);
        }
        self.read_finished(WalkCheckpoint { read, ..walk }, (now, listed)).await
    }

    /// Reads the ranges again that were finished before an interruption: the store may list more of their rows now. This
    /// run has not emitted rows of these ranges.
    async fn read_finished(
        &self,
        walk: WalkCheckpoint,
        (counted, listed): (u64, u64),
    ) -> Result<WalkCheckpoint, StreamError> {
        // Rows that it had to skip may have been emitted at the start of this run.
        let resumed = self.resumed.as_ref().filter(|resumed| resumed.unread.is_empty());
        let (Some(resumed), true) = (resumed, walk.sent_rows.sent().is_exact()) else {
            return Err(StreamError::CountMismatch { counted, listed });
        };
        let finished = resumed.finished();
        let walk = WalkCheckpoint { read: walk.read.saturating_sub(resumed.read), counted: None, ..walk };
        let walk = self.walk_again(walk, finished, self.filter, self.row_filter.date_range).await?;
        match walk.read {
            listed if counted > listed => Err(StreamError::CountMismatch { counted, listed }),
            _ => Ok(walk),
        }
    }

    /// Records rows without a key: they are counted only without a condition on keys, as in `counted`.
    async fn find_rows_without_key(
        &self,
        walk: WalkCheckpoint,
        until: Option<Timestamp>,
        counted: Option<u64>,
    ) -> Result<WalkCheckpoint, StreamError> {
        let counted = match counted {
            None => probes::still_counted(self.context, &self.filter, until, None, None).await?,
            counted => counted,
        };
        let Some(all) = counted else { return Ok(walk) };
        if all <= walk.read {
            return Ok(walk);
        }
        let lost = StreamError::CountMismatch { counted: all, listed: walk.read };
        let Some(max_key) = walk.max_key else { return Err(lost) };
        // Rows added since have greater keys.
        let query = self.context.query(SAMPLE).keys(Some(max_key), None);
        let beyond = match self.context.fetch(&query.date_range(&self.filter), &mut self.context.writer()).await {
            Ok(answer) => answer.page,
            // It counts rows but lists none.
            Err(StreamError::Request(_)) => return Err(lost),
            Err(stream_error) => return Err(stream_error),
        };
        // `all` does not have the rows that changed after the walk began.
        let newer = match until {
            Some(until) => {
                beyond.rows.iter().filter(|row| matches!(row.updated, CursorValue::At(at) if at <= until)).count()
                    as u64
            }
            None => beyond.envelope.total.unwrap_or(beyond.listed()),
        };
        drop(beyond);
        let read = walk.read;
        // No later sync may read these rows: they became visible late, or the last page was cut.
        let walk = if newer > 0 {
            let late = |dates: DateRange| DateRange { until, ..dates };
            let (filter, dates) = (late(self.filter), late(self.row_filter.date_range));
            self.walk_again(walk, vec![(Some(max_key), None)], filter, dates).await?
        } else {
            walk
        };
        let mut rows_without_key = all.saturating_sub(newer).saturating_sub(read);
        if rows_without_key > 0 {
            // A row that was counted may have been deleted since.
            let now = probes::still_counted(self.context, &self.filter, until, None, None).await?.unwrap_or(all);
            rows_without_key = rows_without_key.min(now.saturating_sub(newer).saturating_sub(read));
        }
        self.context.note_rows_without_key(rows_without_key);
        Ok(walk)
    }

    /// Reads ranges of keys once more, and emits their rows that have a date in `date_range` and were not emitted.
    async fn walk_again(
        &self,
        walk: WalkCheckpoint,
        left: Vec<Range>,
        filter: DateRange,
        date_range: DateRange,
    ) -> Result<WalkCheckpoint, StreamError> {
        if left.is_empty() {
            return Ok(walk);
        }
        // A comparison remembers all rows, also those that are not emitted yet.
        let known = match walk.is_part {
            true => self.row_filter.known.clone(),
            false => self.row_filter.known.with(&walk.sent_rows),
        };
        let row_filter = RowFilter { known, date_range, ..self.row_filter.clone() };
        let walk = WalkCheckpoint { left, ..walk };
        let plan = keyset::KeysetPlan { filter, row_filter, base: self.base.clone(), walk, page: None, check: None };
        Ok(keyset::run(self.context, plan).await.map_err(|(stream_error, _)| stream_error)?.walk)
    }
}
