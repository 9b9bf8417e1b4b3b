//! Reads a stream by page numbers, with checks: for streams with keys that are not numbers, and for stores that
//! ignore ranges of keys.
//!
//! If the responses are sorted by `updated_at`, the walk goes from date to date: a row that changes during the walk
//! moves to a later page and is read again, and a checkpoint covers the rows before the date reached. Page numbers
//! are used only among rows that share a date, and if the store does not sort. Then the store's count and the number
//! of different rows must agree at the end of a pass in which no row moved; otherwise the pass is repeated, a limited
//! number of times. Rows that are read twice are emitted once. Their keys are kept for this, about 40 bytes per row:
//! the only memory here that grows with a stream.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::checkpoint::Checkpoint;
use super::context::{Between, StreamContext, StreamError, is_not_found};
use super::keyset::{EmittedRows, MOST_UNREADABLE};
use super::list_end::End;
use super::probes;
use super::query::{DateRange, Order};
use super::row_filter::{Decision, RowFilter, id_of};
use super::rows::Rows;
use super::sent_rows::SentRows;
use super::stream_output::StatePolicy;
use crate::record::{CursorValue, Key, RecordWriter};
use crate::timestamp::Timestamp;

/// Maximum number of passes over rows that move.
const MOST_PASSES: u32 = 6;

/// The rows that a walk reads and emits.
#[derive(Debug)]
pub(super) struct PagedPlan {
    /// Date filter to request.
    pub filter: DateRange,
    /// Decides which rows are emitted.
    pub row_filter: RowFilter,
    /// The cursor after the walk. Rows of the overlap before it are remembered.
    pub until: Option<Timestamp>,
    /// Rows emitted before.
    pub delivered: EmittedRows,
    /// Rows that an earlier response counted under this filter.
    pub counted: Option<u64>,
    /// The state before the walk, if checkpoints may advance its cursor.
    pub base: Option<Checkpoint>,
}

/// Maximum number of pages with rows that were read before and changed since; then the walk from date to date ends,
/// since the store changes faster than it is read. Added to four times the pages of the stream.
const SPARE_PAGES: u64 = 40;

/// Maximum number of consecutive responses without a new row in a pass. The count cannot end it: a store may count a
/// billion rows and send the same page without end. Such a pass has fewer rows than the count, so it is repeated.
const IDLE_PAGES: u32 = 10;

/// Facts collected in one pass over all pages.
#[derive(Default)]
struct Pass {
    total: Option<u64>,
    keys: HashSet<Key>,
    /// Rows without a key.
    rows_without_key: u64,
    /// True if rows moved during the pass.
    moved: bool,
    /// True if the count changed during the pass.
    is_recounted: bool,
    /// Responses with rows.
    pages: u64,
    /// Responses since the last one with a row that is new in this pass.
    idle: u32,
    /// True if the store seems to have cut the first page.
    is_cut: bool,
    /// Rows that the store cannot send.
    unread: Vec<Between>,
}

impl Pass {
    /// Notes the store's count of the rows, and whether it changed.
    fn note_count(&mut self, rows: &Rows) {
        if self.pages == 0 {
            self.total = rows.envelope.total;
        }
        self.is_recounted |= self.total != rows.envelope.total;
    }

    /// Adds the rows of a page; returns true if one of them is new in this pass.
    fn add(&mut self, rows: &Rows) -> bool {
        let before = self.keys.len();
        self.keys.extend(rows.rows.iter().map(|row| row.key));
        self.rows_without_key += rows.rows_without_key as u64;
        self.pages += u64::from(!rows.rows.is_empty());
        let is_new = self.keys.len() > before;
        self.idle = if is_new { 0 } else { self.idle + 1 };
        is_new
    }
}

/// The progress of a pass in the list.
#[derive(Default)]
struct Position {
    /// Position of the next row, counted from 0.
    offset: u64,
    /// Maximum rows per page.
    limit: usize,
    /// Number of rows that were listed or skipped.
    came: u64,
    /// Key of the last row that was read.
    last_key: Option<String>,
    /// True if the last response named a further page.
    was_announced: bool,
    /// True if, after the last response, as many rows were listed as counted.
    was_counted_out: bool,
}

impl Position {
    /// Returns true if a page after the first begins at another row than requested: a store that cuts pages numbers
    /// them by its own page size. The same position is then read again with that size. This only matters after a
    /// skipped row: without one, all pages have the size of the first.
    fn is_elsewhere(&self, pass: &Pass, rows: &Rows) -> bool {
        let is_last = rows.envelope.total.is_some_and(|total| self.offset + rows.listed() >= total);
        let shorter = usize::try_from(rows.listed()).unwrap_or(self.limit);
        !pass.unread.is_empty() && !is_last && (1..rows.asked.min(self.limit)).contains(&shorter)
    }

    /// Limits the following pages to the size of this one.
    fn limit_to(&mut self, rows: &Rows) {
        self.limit = usize::try_from(rows.listed()).unwrap_or(self.limit);
    }
}

struct PagedWalk<'r> {
    context: &'r Arc<StreamContext>,
    plan: PagedPlan,
    seen: HashMap<Key, CursorValue>,
    sent_rows: SentRows,
    /// Earliest date still to be read, while responses are sorted.
    anchor: Option<Timestamp>,
    /// True if each response so far has listed a row of the date that it was requested from. Otherwise a store that
    /// applies another zone to the filter may have left out rows after that date.
    is_contiguous: bool,
    /// All rows with an earlier date were emitted. A state may have it as its cursor.
    proven: Option<Timestamp>,
    /// Number of pages of the stream, as first counted.
    first_pages: Option<u64>,
    /// Positions of rows that the store cannot send, counted from 0.
    unreadable: BTreeSet<u64>,
    /// Rows that the store cannot send.
    unread: Vec<Between>,
}

/// Reads the rows, and returns the rows near the cursor that are remembered, and the number of rows listed.
///
/// # Errors
/// [`StreamError`]; [`StreamError::RowsSkipped`] if the store cannot send some of the rows and all others were
/// emitted.
pub(super) async fn run(context: &Arc<StreamContext>, plan: PagedPlan) -> Result<(SentRows, u64), StreamError> {
    let sent_rows = SentRows::before(plan.until);
    let seen = plan.delivered.iter().map(|(row, _)| (row.key, row.updated)).collect();
    let mut walk = PagedWalk {
        context,
        anchor: plan.filter.from,
        is_contiguous: true,
        proven: None,
        first_pages: None,
        plan,
        seen,
        sent_rows,
        unreadable: BTreeSet::new(),
        unread: Vec::new(),
    };
    for (row, hash) in &walk.plan.delivered {
        if let Some(id) = id_of(row.key) {
            walk.sent_rows.add(id, row, *hash);
        }
    }
    let sorted = context.stream.has_updated_at
        && walk.plan.filter.from.is_some()
        && walk.by_date().await?
        && walk.is_all().await?;
    if !sorted {
        walk.by_number().await?;
    }
    if walk.unread.is_empty() {
        let listed = walk.seen.len() as u64;
        return Ok((walk.sent_rows, listed));
    }
    // Their keys are unknown, so a state cannot list them: the state does not change.
    Err(StreamError::RowsSkipped {
        unread: Vec::new(),
        dates: Vec::new(),
        hidden: Vec::new(),
        between: walk.unread,
        rows_without_key: 0,
        not_utf8: context.is_not_utf8(),
    })
}

impl PagedWalk<'_> {
    /// Returns true if the number of rows equals the count before the walk, or the count now.
    async fn is_all(&self) -> Result<bool, StreamError> {
        let came = self.seen.len() as u64;
        if self.plan.counted.is_none_or(|counted| came >= counted) || self.context.end_detector.is_count_wrong() {
            return Ok(true);
        }
        let query = self.context.query(1).date_range(&self.plan.filter);
        Ok(probes::count(self.context, query).await?.is_none_or(|counted| came >= counted))
    }

    /// Reads from date to date. Returns false if the store does not sort, true at the end.
    async fn by_date(&mut self) -> Result<bool, StreamError> {
        // Sorted by date, and within one date by key, so that rows of one date stay on their pages.
        let mut writer = self.context.writer();
        let mut filter = self.plan.filter;
        let mut pages = 0;
        loop {
            let query = self.context.page_query().sort(Order::DateThenKey).date_range(&filter);
            let answer = match self.context.fetch(&query, &mut writer).await {
                // Requests that only count do not fail on a row that the store cannot send.
                Err(StreamError::Request(error)) if error.is_unreadable() => return Ok(false),
                answer => answer?,
            };
            let rows = answer.page;
            let honoured =
                rows.rows.iter().all(|row| matches!(row.updated, CursorValue::At(at) if filter.contains(at)));
            if !honoured || !rows.is_oldest_first() {
                return Ok(false);
            }
            let ended = self.context.end_detector.of(&rows) == End::Reached;
            let Some(CursorValue::At(reached)) = rows.rows.last().map(|row| row.updated) else {
                // The row at the anchor matches this filter, so a response without it is not accepted. Nor is an
                // empty response without a count.
                let is_begun = self.anchor.is_some();
                return Ok(if is_begun { filter.from.is_none() } else { rows.envelope.total == Some(0) });
            };
            pages += 1;
            let page_count = rows.envelope.total.unwrap_or(0) / rows.len() as u64;
            if pages > 4 * page_count.max(self.pages_at_first(page_count)) + SPARE_PAGES {
                return Err(StreamError::Unstable);
            }
            // At the dates of the config there may be no row.
            let is_start = filter.from == self.plan.filter.from;
            let is_listed = |date| rows.rows.iter().any(|row| row.updated == CursorValue::At(date));
            self.is_contiguous &= is_start || filter.from.is_none_or(is_listed);
            self.proven = Some(reached).filter(|_| self.is_contiguous && !is_start && filter.from.is_some());
            self.anchor = Some(reached);
            self.emit_page(rows).await?;
            drop(answer.slot);
            if ended {
                return Ok(true);
            }
            if filter.from != Some(reached) {
                filter = DateRange { from: Some(reached), after: None, ..filter };
                continue;
            }
            // All rows of the page share one date: they are read by page number, and then the rows with later dates.
            let tie = DateRange { from: Some(reached), after: None, until: Some(reached), ..filter };
            self.read_until_stable(Order::DateThenKey, tie, &mut writer).await?;
            filter = DateRange { from: None, after: Some(reached), ..filter };
        }
    }

    fn pages_at_first(&mut self, now: u64) -> u64 {
        *self.first_pages.get_or_insert(now)
    }

    /// Reads page by page.
    async fn by_number(&mut self) -> Result<(), StreamError> {
        (self.anchor, self.proven) = (None, None);
        self.unread.clear();
        let order = if self.context.stream.has_updated_at { Order::Date } else { Order::Key };
        let mut writer = self.context.writer();
        self.read_until_stable(order, self.plan.filter, &mut writer).await
    }

    /// Repeats passes over all pages of a date range until no row moved during one.
    async fn read_until_stable(
        &mut self,
        order: Order,
        filter: DateRange,
        writer: &mut RecordWriter,
    ) -> Result<(), StreamError> {
        let mut shortfall = None;
        let mut before: Option<HashSet<Key>> = None;
        self.unreadable.clear();
        for _ in 0..MOST_PASSES {
            let mut pass = self.pass(order, &filter, writer).await?;
            // A change of a count that is known to be wrong has no meaning.
            pass.moved |= pass.is_recounted && !self.context.end_detector.is_count_wrong();
            let listed = (pass.keys.len() + pass.unread.len()) as u64 + pass.rows_without_key;
            shortfall = pass.total.filter(|&counted| !pass.moved && listed < counted).map(|counted| (counted, listed));
            // One row deleted and one added between two pages leave the count as it was. Only a response with all
            // rows, or two passes with the same rows, show that no row moved.
            let is_counted = self.plan.counted.is_none_or(|counted| listed >= counted) || filter != self.plan.filter;
            let confirmed = (pass.pages <= 1 && is_counted) || before.as_ref() == Some(&pass.keys);
            if !pass.moved && shortfall.is_none() && confirmed {
                self.unread.append(&mut pass.unread);
                return Ok(());
            }
            before = Some(pass.keys);
        }
        // If no row moved, further passes could only find rows hidden by a different order within one date.
        Err(match shortfall {
            Some((counted, listed)) => StreamError::CountMismatch { counted, listed },
            None => StreamError::Unstable,
        })
    }

    /// Makes one pass over all pages.
    async fn pass(&mut self, order: Order, filter: &DateRange, writer: &mut RecordWriter) -> Result<Pass, StreamError> {
        let mut pass = Pass::default();
        let mut position = Position { limit: self.context.page_size(), ..Position::default() };
        loop {
            let size = self.size_at(position.offset, position.limit);
            let page = position.offset / size as u64 + 1;
            let query = self.context.query(size).sort(order).page(page).date_range(filter);
            let answer = match self.context.fetch(&query, writer).await {
                Ok(answer) => answer,
                Err(error) => match self.continues_after(error, &mut pass, &mut position)? {
                    true => continue,
                    false => break,
                },
            };
            let rows = answer.page;
            pass.note_count(&rows);
            if let Some(between) = pass.unread.last_mut().filter(|between| between.1.is_none()) {
                between.1 = self.key_of(&rows, 0);
            }
            let last_key = self.key_of(&rows, rows.rows.len().wrapping_sub(1));
            position.last_key = last_key.or(position.last_key);
            if page > 1 && position.is_elsewhere(&pass, &rows) {
                position.limit_to(&rows);
                pass.is_cut = true;
                self.emit_page(rows).await?;
                drop(answer.slot);
                continue;
            }
            position.came += rows.listed();
            let is_new = pass.add(&rows);
            if is_new && position.was_counted_out {
                self.context.warn_wrong_count().await?;
            }
            let is_counted_out = rows.envelope.total.is_some_and(|total| position.came >= total);
            let ended = self.is_end(&pass, &rows, is_counted_out, is_new);
            // The first page shows whether pages are cut.
            let is_cut = page == 1 && !ended && rows.listed() < rows.asked as u64;
            position.offset += if is_cut { rows.listed() } else { rows.asked as u64 };
            if is_cut {
                position.limit_to(&rows);
            }
            pass.is_cut |= is_cut;
            (position.was_announced, position.was_counted_out) = (rows.envelope.more, is_counted_out);
            self.emit_page(rows).await?;
            drop(answer.slot);
            if ended {
                break;
            }
        }
        Ok(pass)
    }

    /// Returns true if a pass continues after a failed request: it then skips the row that the store cannot send.
    /// Returns false if there are no further pages.
    ///
    /// # Errors
    /// The error, if it ends the walk.
    fn continues_after(
        &mut self,
        error: StreamError,
        pass: &mut Pass,
        position: &mut Position,
    ) -> Result<bool, StreamError> {
        let offset = position.offset;
        match error {
            StreamError::Request(error) if offset > 0 && is_not_found(&error) => {
                // Without a count that confirms the end, a missing page that was announced means that rows moved, or a
                // worse fault.
                pass.moved |= pass.total.is_none() && position.was_announced;
                Ok(false)
            }
            StreamError::Request(error) if error.is_unreadable() => {
                let in_a_row =
                    (0..MOST_UNREADABLE).take_while(|back| self.unreadable.contains(&offset.wrapping_sub(back + 1)));
                if in_a_row.count() as u64 == MOST_UNREADABLE {
                    return Err(StreamError::Request(error));
                }
                self.context.note_unreadable(&error);
                self.unreadable.insert(offset);
                pass.unread.push((position.last_key.clone(), None));
                // No state may cover it.
                self.plan.base = None;
                (position.offset, position.came) = (offset + 1, position.came + 1);
                Ok(true)
            }
            error => Err(error),
        }
    }

    /// Returns true if the pass ends with this page. `is_counted_out` is true if as many rows were listed as counted,
    /// `is_new` if the page has a row that is new in this pass.
    fn is_end(&self, pass: &Pass, rows: &Rows, is_counted_out: bool, is_new: bool) -> bool {
        // The signs of the full pass, not of this page only.
        let is_full = rows.rows.len() >= rows.asked && !pass.is_cut;
        let is_clear = is_counted_out && !rows.envelope.more && !is_full && !self.context.end_detector.is_count_wrong();
        let is_unpromised = rows.envelope.total.is_none() || is_counted_out;
        rows.rows.is_empty() || is_clear || pass.idle == IDLE_PAGES || (!is_new && is_unpromised)
    }

    /// Returns the largest page that begins at a position and contains no row that the store cannot send.
    fn size_at(&self, offset: u64, limit: usize) -> usize {
        let free =
            self.unreadable.range(offset..).next().and_then(|&unreadable| usize::try_from(unreadable - offset).ok());
        let limit = free.map_or(limit, |free| limit.min(free.max(1)));
        (1..=limit).rev().find(|&size| offset.is_multiple_of(size as u64)).unwrap_or(1)
    }

    /// Returns the key of a row as a string.
    fn key_of(&self, rows: &Rows, index: usize) -> Option<String> {
        let row: serde_json::Value = serde_json::from_slice(rows.data(index, self.context.prefix_length())).ok()?;
        match row.get(self.context.stream.key())? {
            serde_json::Value::String(key) => Some(key.clone()),
            key => Some(key.to_string()),
        }
    }

    /// Emits the rows of a page that the filter accepts and that were not emitted before.
    async fn emit_page(&mut self, mut rows: Rows) -> Result<(), StreamError> {
        let (mut known, mut outside, mut repeated) = (0, 0, 0);
        let floor = [self.plan.row_filter.known.floor(), self.sent_rows.floor()].into_iter().flatten().min();
        let (hashes, mut decisions) = self.plan.row_filter.decide_rows(&rows, floor, self.context.prefix_length());
        self.context.output.restore(&rows.rows, &mut decisions);
        let is_foreign = rows.rows.iter().any(|row| row.is_outside(&self.plan.filter));
        let fresh: Vec<bool> = rows
            .rows
            .iter()
            .zip(&decisions)
            .zip(&hashes)
            .map(|((row, decision), &hash)| {
                match decision {
                    Decision::AlreadySent => known += 1,
                    Decision::OutOfRange | Decision::Deferred => outside += 1,
                    Decision::Emit => {}
                }
                let is_new = self.seen.insert(row.key, row.updated) != Some(row.updated);
                if *decision == Decision::Emit && !is_new {
                    repeated += 1;
                }
                if is_new
                    && matches!(decision, Decision::Emit | Decision::AlreadySent)
                    && let Some(id) = id_of(row.key)
                {
                    self.sent_rows.add(id, row, hash);
                }
                is_new && *decision == Decision::Emit
            })
            .collect();
        if self.plan.filter != DateRange::default() && is_foreign {
            self.context.warn_dates().await?;
        }
        let records = rows.retain(|index, _| fresh[index]);
        let mut batch = self.context.output.begin_batch(records).await?;
        let stats = &mut batch.inner.stats;
        stats.known += known;
        stats.outside += outside;
        stats.repeated += repeated;
        batch.note(&rows.rows, &decisions);
        // The state at the end covers more than any state on the way.
        let reached = self.proven.filter(|&proven| self.plan.until.is_some_and(|until| proven < until));
        match &self.plan.base {
            Some(base) if reached.is_some() && reached > base.cursor => {
                let checkpoint = Checkpoint {
                    cursor: reached,
                    sent_rows: SentRows::before(None),
                    reads_all_rows: false,
                    rows_without_key: base.rows_without_key.max(self.context.rows_without_key()),
                    ..base.clone()
                };
                batch.send_with_state(rows.lines, records, StatePolicy::WhenDue, || checkpoint.to_json());
            }
            _ => batch.send(rows.lines, records),
        }
        Ok(())
    }
}
