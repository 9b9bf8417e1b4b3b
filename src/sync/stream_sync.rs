//! The sync of one stream: chooses the walks, their order and the state after them.
//!
//! 1. Rows left by an interrupted walk are read first, and rows that the store could not send before are tried again.
//! 2. Then one request lists the newest changes; on a first sync and in a full refresh it lists the newest rows,
//!    whatever their date. If the response has all rows, the sync is finished.
//! 3. If not, it has shown the newest change; the keyset walk reads everything, and the cursor becomes that change.
//!    Rows that change during the walk have newer dates, so the next sync reads them.
//!
//! A store that does not answer as documented is read by page numbers instead (`paged`).

use std::sync::Arc;

use super::all_rows::{self, FirstOfWalk, ReadPlan};
use super::checkpoint::{Checkpoint, Job, Range, WalkCheckpoint, joined};
use super::comparison;
use super::context::{FetchedPage, StreamContext, StreamError, is_not_found};
use super::count_check::CountCheck;
use super::date_filter::{self, CheckedPage};
use super::deletions;
use super::keyset;
use super::list_end::End;
use super::newest_rows::{MissingDates, NewestRows};
use super::probes::{self, MaxKey, SAMPLE};
use super::query::{DateRange, Order};
use super::row_filter::{Decision, RowFilter};
use super::rows::Rows;
use super::sent_rows::{OVERLAP_SECONDS, Retention, SentRows};
use super::single_page;
use super::skipped_rows;
use super::store_clock::ClockReading;
use super::stream_output::StatePolicy;
use crate::timestamp::Timestamp;

/// A finished sync.
#[derive(Debug)]
pub(crate) struct FinishedSync {
    /// State after the sync.
    pub checkpoint: Checkpoint,
    /// Rows that were skipped.
    pub skipped_rows: Option<StreamError>,
}

/// Reads one stream to its end and returns its final state. `job` is the job of a full refresh.
pub(crate) async fn run(
    context: &Arc<StreamContext>,
    checkpoint: Checkpoint,
    full_refresh: bool,
    job: Option<Job>,
) -> Result<FinishedSync, StreamError> {
    let stream_sync = StreamSync { context, full_refresh };
    let mut checkpoint = if !context.stream.has_updated_at {
        Checkpoint { unread: Box::pin(stream_sync.without_dates()).await?, ..Checkpoint::default() }
    } else {
        if checkpoint.has_wrong_count {
            context.end_detector.mark_count_wrong();
        }
        let checkpoint = skipped_rows::retry(context, stream_sync.date_range(context.start), checkpoint).await?;
        match Box::pin(stream_sync.resume(checkpoint)).await? {
            (base, true) => base,
            (base, false) => Box::pin(stream_sync.changes(base)).await?,
        }
    };
    checkpoint.rows_without_key = checkpoint.rows_without_key.max(context.rows_without_key());
    checkpoint.has_wrong_count = context.end_detector.is_count_wrong();
    let skipped_rows =
        (!checkpoint.unread.is_empty() || checkpoint.rows_without_key > 0).then(|| StreamError::RowsSkipped {
            unread: checkpoint.unread.clone(),
            between: Vec::new(),
            dates: Vec::new(),
            hidden: Vec::new(),
            rows_without_key: checkpoint.rows_without_key,
            not_utf8: context.is_not_utf8(),
        });
    let mut checkpoint = match context.stream.has_updated_at {
        true if full_refresh => checkpoint.refreshed(job, skipped_rows.is_none()),
        true => checkpoint,
        false => Checkpoint::default(),
    };
    if skipped_rows.is_none() {
        deletions::report(context, &mut checkpoint).await?;
    }
    Ok(FinishedSync { checkpoint, skipped_rows })
}

struct StreamSync<'r> {
    context: &'r Arc<StreamContext>,
    full_refresh: bool,
}

impl StreamSync<'_> {
    /// Returns the first instant from which a sync with this state emits rows.
    fn from(&self, cursor: Option<Timestamp>) -> Timestamp {
        cursor.map_or(self.context.start, |cursor| cursor.minus_seconds(OVERLAP_SECONDS).max(self.context.start))
    }

    fn date_range(&self, from: Timestamp) -> DateRange {
        DateRange { from: Some(from), before: self.context.end, ..DateRange::default() }
    }

    /// Returns the dates of the rows that a sync from this state emits.
    fn emitted(&self, base: &Checkpoint, from: Timestamp) -> DateRange {
        // If rows sent are remembered one by one, a row with an older date is recognized as new.
        let are_compared = base.reads_all_rows && !base.is_old();
        self.date_range(if are_compared { self.context.start } else { from })
    }

    /// Finishes what an interrupted run left. The returned state has no walk; with `true`, the sync is complete as
    /// well.
    async fn resume(&self, checkpoint: Checkpoint) -> Result<(Checkpoint, bool), StreamError> {
        let mut base = Checkpoint { full: self.full_refresh, walk: None, ..checkpoint.clone() };
        let Some(mut walk) = checkpoint.walk else { return Ok((base, false)) };
        // With other dates in the config, the rows read so far may be the wrong ones.
        if walk.from != self.from(checkpoint.cursor) || walk.before != self.context.end {
            return Ok((base, false));
        }
        self.context.output.resume(walk.counted.map(|counted| counted.saturating_sub(walk.read))).await?;
        let resumed = Some(walk.clone());
        walk = skipped_rows::retry_walk(self.context, self.date_range(walk.from), walk).await?;
        let (until, unfiltered) = (walk.until, walk.include_missing_dates);
        let filter = match date_filter::widen(self.context, walk.from, checkpoint.look_back_hours) {
            _ if unfiltered => DateRange::default(),
            usual => DateRange { from: walk.requested_from.or(usual.from), ..usual },
        };
        if unfiltered {
            all_rows::add_new_keys(self.context, &mut walk, &filter).await?;
        }
        let row_filter = RowFilter {
            date_range: self.emitted(&base, walk.from),
            later_than: until,
            include_missing_dates: unfiltered,
            known: base.sent_rows.clone(),
        };
        let (page, check) = (None, None);
        let plan = keyset::KeysetPlan { filter, row_filter: row_filter.clone(), base: base.clone(), walk, page, check };
        let (what, emitted) = match keyset::run(self.context, plan).await {
            Ok(mut walked) => {
                let emitted = std::mem::take(&mut walked.delivered);
                // Emitted at once, so that a kill during the next pass does not undo it.
                let walk = WalkCheckpoint { ends: walked.ends.clone(), ..walked.walk.clone() };
                let done = Checkpoint { walk: Some(walk), ..base.clone() };
                self.send_state(done).await?;
                let all = self.count_all(&base, &filter, walked.walk.max_key).await?;
                let count_check = CountCheck { context: self.context, filter, row_filter, base: &base, all, resumed };
                match count_check.verify(walked).await {
                    Ok(walk) => {
                        let is_wrong = self.context.end_detector.is_count_wrong()
                            || walk.counted.is_some_and(|counted| walk.read > counted);
                        if is_wrong && base.cursor.is_none() && !unfiltered && !self.context.stream.may_lack_updated_at
                        {
                            self.confirm_no_missing_dates(&base).await?;
                        }
                        base = after(&base, until, walk);
                        // Without any date there is nothing that a further pass could request.
                        return Ok((base, until.is_none()));
                    }
                    Err(StreamError::UnexpectedResponse(what)) => (what, emitted),
                    Err(stream_error) => return Err(stream_error),
                }
            }
            Err((StreamError::UnexpectedResponse(what), emitted)) => (what, emitted),
            Err((stream_error, _)) => return Err(stream_error),
        };
        // The rows read so far are read again, with all changes since.
        self.context.output.note_emitted(&emitted);
        self.context.warn_keys(what).await?;
        Ok((base, false))
    }

    /// Returns the number of all rows, to verify the date filter of a first sync that was interrupted. Rows added since
    /// have greater keys.
    async fn count_all(
        &self,
        base: &Checkpoint,
        filter: &DateRange,
        max_key: Option<i64>,
    ) -> Result<Option<u64>, StreamError> {
        match base.cursor.is_none() && *filter != DateRange::default() && max_key.is_some() {
            true => probes::count(self.context, self.context.query(1).keys(None, max_key)).await,
            false => Ok(None),
        }
    }

    /// Emits a state at once.
    async fn send_state(&self, checkpoint: Checkpoint) -> Result<(), StreamError> {
        self.context.output.begin_batch(0).await?.send_state(StatePolicy::Now, || checkpoint.to_json());
        Ok(())
    }

    /// Requests the newest rows, and checks how the store's clock and date filter behave. Returns `None` if no row
    /// can match.
    async fn first_page(&self, base: &mut Checkpoint) -> Result<Option<CheckedPage>, StreamError> {
        // On a first sync the rows are unknown, so the first request has no filter: rows without `updated_at`
        // match none.
        let is_unfiltered = |base: &Checkpoint| base.cursor.is_none() || base.reads_all_rows;
        let mut unfiltered = is_unfiltered(base);
        let mut from = self.from(base.cursor);
        if self.date_range(from).is_empty() {
            return Ok(None);
        }
        let filter = |unfiltered, from, hours| match unfiltered {
            true => DateRange::default(),
            false => date_filter::widen(self.context, from, hours),
        };
        let mut asked = filter(unfiltered, from, base.look_back_hours);
        let mut answer = date_filter::newest(self.context, &asked).await?;
        let clock = answer.as_ref().and_then(|answer| answer.date);
        let reading = clock.and_then(ClockReading::new);
        let set_back = reading.and_then(|reading| reading.set_back_since(base.clock_ahead));
        if let Some(reading) = reading {
            base.clock_ahead = reading.to_save(base.clock_ahead);
        }
        if let Some(clock) = clock
            && let Some((ahead, earlier)) = base.go_back(clock, set_back)
        {
            self.context.warn_ahead(ahead, clock, earlier).await?;
            from = self.from(base.cursor);
            let was_unfiltered = unfiltered;
            unfiltered = is_unfiltered(base);
            asked = filter(unfiltered, from, base.look_back_hours);
            if !was_unfiltered {
                drop(answer.take());
                answer = date_filter::newest(self.context, &asked).await?;
            }
        }
        let first = CheckedPage { answer, asked, from, look_back_hours: base.look_back_hours };
        if unfiltered {
            return Ok(Some(self.confirm_empty(base, first).await?));
        }
        date_filter::check(self.context, base, from, first).await.map(Some)
    }

    /// Repeats the request if an unfiltered response is empty although the stream had rows before.
    async fn confirm_empty(&self, base: &Checkpoint, first: CheckedPage) -> Result<CheckedPage, StreamError> {
        let looks_incomplete = |answer: &FetchedPage| answer.page.listed() == 0 && !base.sent_rows.sent().is_empty();
        if !first.answer.as_ref().is_some_and(looks_incomplete) {
            return Ok(first);
        }
        Ok(CheckedPage { answer: date_filter::newest(self.context, &first.asked).await?, ..first })
    }

    /// Reads the changes since the state.
    async fn changes(&self, mut base: Checkpoint) -> Result<Checkpoint, StreamError> {
        let Some(CheckedPage { answer, asked, from, look_back_hours }) = self.first_page(&mut base).await? else {
            return Ok(base);
        };
        base.look_back_hours = look_back_hours;
        let first = base.cursor.is_none();
        let unfiltered = asked == DateRange::default();
        let date_range = self.emitted(&base, from);
        let include_missing_dates = first || base.reads_all_rows;
        let row_filter =
            RowFilter { date_range, later_than: None, include_missing_dates, known: base.sent_rows.clone() };
        let Some(FetchedPage { page: mut rows, date: clock, .. }) = answer else {
            return Box::pin(self.after_unreadable(base, row_filter, asked)).await;
        };
        // A row dated in the future must not become the cursor: no row would be read until that date.
        let past = DateRange { until: clock, ..date_range };
        if self.is_complete_page(&mut rows, &asked, &row_filter).await? {
            // The content of a row does not affect whether it is outside the dates.
            let wanted = rows.rows.iter().filter(|row| row_filter.decide(row, 0) != Decision::OutOfRange);
            self.estimate(Some(wanted.count() as u64)).await?;
            return single_page::emit(self.context, rows, base, &row_filter, (&asked, &past)).await;
        }
        let widened = date_filter::widen(self.context, from, look_back_hours);
        let newest = NewestRows::new(rows, from, &date_range, &past);
        let until = self.cursor_after_walk(&newest, &past, &widened).await?;
        let missing_dates = match first && !self.context.stream.may_lack_updated_at && newest.sorted {
            true => self.missing_dates(&newest, until).await?,
            false => MissingDates::Unknown,
        };
        if newest.is_before && missing_dates == MissingDates::Absent {
            // The newest row of the stream is older than the requested dates.
            return Ok(base);
        }
        let is_unfiltered = match missing_dates {
            MissingDates::Unknown => unfiltered,
            MissingDates::Present => true,
            MissingDates::Absent | MissingDates::CountsTell => false,
        };
        let filter = match asked {
            _ if is_unfiltered => asked,
            _ if unfiltered => widened,
            asked => asked,
        };
        let needs_check = missing_dates == MissingDates::CountsTell;
        let walk = WalkPlan {
            row_filter,
            filter,
            from,
            until,
            counted: newest.counted.filter(|_| filter == asked),
            all: newest.counted.filter(|_| unfiltered && !is_unfiltered),
            sorted: newest.sorted,
            seen: newest.keys((!is_unfiltered).then_some(&filter)),
            missing_date_check: needs_check
                .then(|| MissingDateCheck { date_span: newest.date_span, unfiltered: newest.keys(None) }),
        };
        Box::pin(self.walk(base, walk)).await
    }

    /// Returns the date that becomes the cursor after a walk over all rows.
    async fn cursor_after_walk(
        &self,
        newest: &NewestRows,
        past: &DateRange,
        widened: &DateRange,
    ) -> Result<Option<Timestamp>, StreamError> {
        // Even in an unsorted page, the newest date is a change from before the walk. The cursor may then be too old,
        // which only makes the next sync read more rows.
        let until = match newest.in_range {
            // The response had only rows without `updated_at`, or rows outside the date range: request one inside it.
            None if newest.sorted && !newest.is_before => probes::newest_change(self.context, past, widened).await?,
            in_range => in_range,
        };
        // If all rows are dated after the store's clock, the cursor is the clock.
        Ok(until.or(past.until.filter(|_| newest.is_dated)))
    }

    /// Looks for rows without `updated_at`, on a first sync of a stream that rarely has them.
    async fn missing_dates(&self, newest: &NewestRows, until: Option<Timestamp>) -> Result<MissingDates, StreamError> {
        if newest.has_missing_dates {
            if !self.full_refresh {
                self.context.warn_missing_dates().await?;
            }
            return Ok(MissingDates::Present);
        }
        // Two equal counts can show that there are none, unless the newest row is older than the requested dates.
        if !newest.is_before && newest.counted.is_some() && until.is_some() {
            return Ok(MissingDates::CountsTell);
        }
        let is_present = self.any_missing_dates(newest.date_span).await?;
        Ok(if is_present { MissingDates::Present } else { MissingDates::Absent })
    }

    /// Returns true if there are rows without `updated_at`, or if they cannot be ruled out. `date_span` has the
    /// oldest and the newest date of the newest rows.
    async fn any_missing_dates(&self, date_span: Option<(Timestamp, Timestamp)>) -> Result<bool, StreamError> {
        let found = probes::any_missing_dates(self.context, date_span).await?;
        if found == Some(true) && !self.full_refresh {
            self.context.warn_missing_dates().await?;
        }
        Ok(found != Some(false))
    }

    /// Continues the sync if the store cannot send the newest row.
    async fn after_unreadable(
        &self,
        base: Checkpoint,
        row_filter: RowFilter,
        asked: DateRange,
    ) -> Result<Checkpoint, StreamError> {
        let newest = probes::newest_readable(self.context, &row_filter.date_range).await?;
        let until = newest.map(|(newest, clock)| clock.map_or(newest, |clock| newest.min(clock)));
        let from = row_filter.date_range.from.unwrap_or(self.context.start);
        let seen = Vec::new();
        let walk = WalkPlan {
            row_filter,
            filter: asked,
            from,
            until,
            counted: None,
            all: None,
            sorted: true,
            seen,
            missing_date_check: None,
        };
        Box::pin(self.walk(base, walk)).await
    }

    /// Reads all rows of a filter in the order of their keys.
    async fn walk(&self, base: Checkpoint, mut walk: WalkPlan) -> Result<Checkpoint, StreamError> {
        // The response with the greatest key is the first page of the walk, unless rows remembered by ranges must be
        // compared before it.
        let is_exact = base.sent_rows.sent().is_exact();
        let rows = if is_exact { self.context.page_size() } else { SAMPLE };
        let mut max_key = all_rows::max_key(self.context, walk.sorted, rows, &walk.filter, &walk.seen).await?;
        let mut is_ruled_out = false;
        if let Some(check) = walk.missing_date_check.take() {
            is_ruled_out = self.is_ruled_out(&mut max_key, &check, &walk);
            if !is_ruled_out && self.any_missing_dates(check.date_span).await? {
                drop(max_key);
                let (filter, seen) = (DateRange::default(), check.unfiltered);
                let walk = WalkPlan { filter, seen, counted: walk.all, all: None, ..walk };
                return Box::pin(self.walk(base, walk)).await;
            }
        }
        let WalkPlan { filter, until, all, row_filter, from, counted, seen, .. } = walk;
        let is_unfiltered = filter == DateRange::default();
        if let Some(tracker) = self.context.output.deletions().filter(|_| base.cursor.is_none()) {
            tracker.begin_walk(is_unfiltered);
        }
        let (max_key, page, counted) = all_rows::first_of_walk(self.context, max_key, &seen, counted);
        if max_key.is_none() && self.context.capabilities.key_ranges && page.is_unsorted {
            self.context.warn_sort().await?;
        }
        self.estimate(counted).await?;
        let begun = WalkCheckpoint {
            include_missing_dates: is_unfiltered,
            before: self.context.end,
            requested_from: filter.from.filter(|&asked| asked != from),
            ..keyset::from_the_start(max_key, from, until, counted)
        };
        // Its memory is free again before rows are compared.
        let page = page.page.filter(|_| is_exact);
        let begun = if is_exact {
            begun
        } else {
            match comparison::run(self.context, &base, &row_filter, filter, begun.clone()).await? {
                Some(left) if left.left.is_empty() => return Ok(after(&base, until, left)),
                Some(left) => left,
                None => begun,
            }
        };
        let advancing = (!is_unfiltered && !self.full_refresh).then(|| base.clone());
        let read = ReadPlan { base: &base, filter, row_filter, walk: begun, page, all, counted, advancing };
        let (finished, newest) = Box::pin(all_rows::read(self.context, read)).await?;
        // More rows than counted are new ones, or the count was wrong.
        if is_ruled_out && (self.context.end_detector.is_count_wrong() || Some(finished.read) > all) {
            self.confirm_no_missing_dates(&base).await?;
        }
        Ok(after(&base, until.or(newest), finished))
    }

    /// Returns true if counts show that all rows have `updated_at`.
    fn is_ruled_out(&self, max_key: &mut Option<(MaxKey, Rows)>, check: &MissingDateCheck, walk: &WalkPlan) -> bool {
        let Some((_, page)) = max_key else { return false };
        let is_ruled_out = probes::counts_agree(self.context, page, &check.unfiltered, walk.until, walk.all);
        if !is_ruled_out {
            // Free the memory first: the next request may need it.
            page.lines.attach_guard(());
        }
        is_ruled_out
    }

    /// Looks for rows without `updated_at` after the counts that had ruled them out turned out to be wrong.
    async fn confirm_no_missing_dates(&self, base: &Checkpoint) -> Result<(), StreamError> {
        if probes::any_missing_dates(self.context, None).await? != Some(true) {
            return Ok(());
        }
        // The next sync starts over, and knows that the counts are wrong.
        self.send_state(Checkpoint { has_wrong_count: true, ..base.clone() }).await?;
        Err(StreamError::WrongCount)
    }

    /// Returns true if the response to the request for the newest rows has all rows.
    async fn is_complete_page(
        &self,
        rows: &mut Rows,
        asked: &DateRange,
        row_filter: &RowFilter,
    ) -> Result<bool, StreamError> {
        let is_counted = rows.envelope.total.is_some_and(|total| total <= rows.listed()) && !rows.envelope.more;
        match self.context.end_detector.of(rows) {
            _ if !rows.keys_differ() => Ok(false),
            End::Reached => Ok(true),
            _ if self.context.capabilities.is_one_response() => Ok(true),
            End::More => {
                self.context.end_detector.followed(rows);
                Ok(false)
            }
            End::Unclear if !is_counted => {
                let is_wrong = rows.envelope.total.is_some_and(|total| total < rows.listed());
                if is_wrong {
                    self.context.warn_wrong_count().await?;
                }
                Ok(false)
            }
            // The count in the response agrees with the rows that the last sync sent.
            End::Unclear if self.are_known(rows, row_filter) => Ok(true),
            // A full page whose count is its own size: a further page shows whether there is more.
            End::Unclear => {
                // Free the memory of the full page first: the request needs some.
                rows.lines.attach_guard(());
                // Of the size that the store has sent: the page may have been made smaller.
                let query = self.context.query(rows.asked).sort(Order::DateDescending).page(2).date_range(asked);
                match self.context.fetch(&query, &mut self.context.writer()).await {
                    Ok(answer) if answer.page.listed() > 0 => {
                        // The count was right if it has grown since.
                        let listed = rows.listed() + answer.page.listed();
                        if answer.page.envelope.total.is_none_or(|total| total < listed) {
                            self.context.warn_wrong_count().await?;
                        }
                        Ok(false)
                    }
                    Ok(_) => Ok(true),
                    Err(StreamError::Request(error)) if is_not_found(&error) => Ok(true),
                    Err(stream_error) => Err(stream_error),
                }
            }
        }
    }

    /// Returns true if no row of a response would be emitted.
    fn are_known(&self, rows: &Rows, row_filter: &RowFilter) -> bool {
        let (_, decisions) = row_filter.decide_rows(rows, row_filter.known.floor(), self.context.prefix_length());
        decisions.iter().all(|decision| matches!(decision, Decision::AlreadySent | Decision::OutOfRange))
    }

    /// Records the store's own count, and estimates.
    async fn estimate(&self, counted: Option<u64>) -> Result<(), StreamError> {
        if let Some(counted) = counted {
            self.context.output.count(counted).await?;
        }
        Ok(())
    }

    /// Reads a stream without dates: all rows at each sync. Returns the rows that the store could not send.
    async fn without_dates(&self) -> Result<Vec<Range>, StreamError> {
        let query = self.context.page_query().sort(Order::Key);
        let filter = DateRange::default();
        let row_filter = RowFilter {
            date_range: filter,
            later_than: None,
            include_missing_dates: true,
            known: SentRows::of(Retention::Nothing),
        };
        let answer = probes::if_readable(self.context.fetch(&query, &mut self.context.writer()).await)?;
        let (mut counted, mut seen) = (None, Vec::new());
        if let Some(FetchedPage { page: rows, slot, .. }) = answer {
            let is_end = self.context.end_detector.of(&rows) == End::Reached;
            self.estimate(rows.envelope.total.or_else(|| is_end.then_some(rows.len() as u64))).await?;
            if (is_end || self.context.capabilities.is_one_response()) && rows.keys_differ() {
                let records = rows.len();
                let batch = self.context.output.begin_batch(records).await?;
                batch.note(&rows.rows, &vec![Decision::Emit; records]);
                batch.send(rows.lines, records);
                return Ok(Vec::new());
            }
            if rows.envelope.total.is_some_and(|total| total < rows.listed()) {
                self.context.warn_wrong_count().await?;
            }
            (counted, seen) = (rows.envelope.total, probes::ids(&rows));
            drop(rows);
            drop(slot);
        }
        let max_key = all_rows::max_key(self.context, true, self.context.page_size(), &filter, &seen).await?;
        let (max_key, FirstOfWalk { page, .. }, counted) =
            all_rows::first_of_walk(self.context, max_key, &seen, counted);
        // The dates of these rows are not read, so any value will do.
        let never = Timestamp::from_millis(0);
        let begun = keyset::from_the_start(max_key, never, None, counted);
        let walk = WalkCheckpoint { sent_rows: SentRows::of(Retention::Nothing), ..begun };
        let base = &Checkpoint::default();
        let read = ReadPlan { base, filter, row_filter, walk, page, all: None, counted, advancing: None };
        Ok(Box::pin(all_rows::read(self.context, read)).await?.0.unread)
    }
}

/// A walk over all rows of a filter.
struct WalkPlan {
    row_filter: RowFilter,
    filter: DateRange,
    from: Timestamp,
    until: Option<Timestamp>,
    /// Rows that a recent response counted under this filter.
    counted: Option<u64>,
    /// Rows that it counted without a filter.
    all: Option<u64>,
    /// True if responses are in the requested order.
    sorted: bool,
    /// Keys in a recent response.
    seen: Vec<i64>,
    /// Set while it is unknown whether there are rows without `updated_at`.
    missing_date_check: Option<MissingDateCheck>,
}

/// Data for finding out whether there are rows without `updated_at`.
struct MissingDateCheck {
    /// Oldest and newest date of the newest rows.
    date_span: Option<(Timestamp, Timestamp)>,
    /// Keys in a recent response, whatever the dates.
    unfiltered: Vec<i64>,
}

/// Returns the state after a finished walk.
fn after(base: &Checkpoint, until: Option<Timestamp>, walk: WalkCheckpoint) -> Checkpoint {
    let cursor = base.cursor.max(until);
    let mut sent_rows = walk.sent_rows;
    if cursor == base.cursor && walk.read == 0 {
        sent_rows.keep(&base.sent_rows);
    }
    let previous = if cursor == base.cursor { base.previous } else { base.cursor.or(base.previous) };
    let unread = joined(base.unread.iter().chain(&walk.unread).copied().collect());
    Checkpoint { cursor, previous, sent_rows, unread, reads_all_rows: false, walk: None, ..base.clone() }
}
