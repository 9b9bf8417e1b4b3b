//! The guarded page walk: for streams whose key is no number, and for stores that do not honour the
//! key walk.
//!
//! Where the answers are sorted by `updated_at`, the walk goes from date to date: a row that is changed
//! meanwhile moves behind it and is met again, and a checkpoint claims what lies before the date that
//! is reached. Pages are counted only among rows that share a date, and where nothing is sorted. There
//! the count of the store and the number of different rows must agree at the end of a pass that nothing moved
//! under, or the pass is made again, a bounded number of times. Rows that come twice are sent once;
//! their keys are kept for that, about 40 bytes a row, the one thing here that grows with a stream.

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

/// Passes over rows that move before it is given up.
const MOST_PASSES: u32 = 6;

/// What is to be walked.
#[derive(Debug)]
pub(super) struct PagedPlan {
    /// The date filter that the store is asked for.
    pub filter: DateRange,
    /// What is delivered.
    pub row_filter: RowFilter,
    /// What the cursor becomes; rows of the overlap before it are remembered.
    pub until: Option<Timestamp>,
    /// What was delivered already.
    pub delivered: EmittedRows,
    /// Rows that an earlier answer counted under this filter.
    pub counted: Option<u64>,
    /// The state before the walk, if checkpoints may advance its cursor.
    pub base: Option<Checkpoint>,
}

/// Pages of rows that were met before, changed, after which the walk from date to date is given up:
/// the store changes faster than it is read. Beyond the pages of the whole stream, times four.
const SPARE_PAGES: u64 = 40;

/// Answers in a row without a new row after which a pass ends, whatever the store counts: it may count a
/// billion and send the same page for ever. A pass that ends so is short of its count, and is made again.
const IDLE_PAGES: u32 = 10;

/// What one pass over all pages saw.
#[derive(Default)]
struct Pass {
    total: Option<u64>,
    keys: HashSet<Key>,
    /// Rows without a key.
    rows_without_key: u64,
    /// Whether rows moved on the way.
    moved: bool,
    /// Whether the count changed on the way.
    is_recounted: bool,
    /// Answers that held rows.
    pages: u64,
    /// Answers since the last one that held a row which no other of the pass had held.
    idle: u32,
    /// Whether the store cut the first page, as it seems.
    is_cut: bool,
    /// Rows that the store cannot send.
    unread: Vec<Between>,
}

struct PagedWalk<'r> {
    context: &'r Arc<StreamContext>,
    plan: PagedPlan,
    seen: HashMap<Key, CursorValue>,
    sent_rows: SentRows,
    /// The earliest date that is still to be read, while answers come sorted.
    anchor: Option<Timestamp>,
    /// Pages of the whole stream, as counted at first.
    first_pages: Option<u64>,
    /// Places of rows that the store cannot send, counted from 0.
    unreadable: BTreeSet<u64>,
    /// Rows that the store cannot send.
    unread: Vec<Between>,
}

/// Walks, and gives back what is remembered of the rows near the cursor.
///
/// # Errors
/// [`StreamError`]; [`StreamError::RowsSkipped`] if the store cannot send some of the rows, when all others were delivered.
pub(super) async fn run(context: &Arc<StreamContext>, plan: PagedPlan) -> Result<SentRows, StreamError> {
    let sent_rows = SentRows::before(plan.until);
    let seen = plan.delivered.iter().map(|(row, _)| (row.key, row.updated)).collect();
    let mut walk = PagedWalk {
        context,
        anchor: plan.filter.from,
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
        return Ok(walk.sent_rows);
    }
    // Which keys they have is not known, so that no state can name them: the state stays where it was.
    Err(StreamError::RowsSkipped {
        unread: Vec::new(),
        between: walk.unread,
        rows_without_key: 0,
        not_utf8: context.is_not_utf8(),
    })
}

impl PagedWalk<'_> {
    /// Returns true if as many rows came as were counted before the walk, or as are counted now.
    async fn is_all(&self) -> Result<bool, StreamError> {
        let came = self.seen.len() as u64;
        if self.plan.counted.is_none_or(|counted| came >= counted) || self.context.end_detector.is_count_wrong() {
            return Ok(true);
        }
        let query = self.context.query(1).date_range(&self.plan.filter);
        Ok(probes::count(self.context, query).await?.is_none_or(|counted| came >= counted))
    }

    /// Goes from date to date. False if the store turns out not to sort; true at the end.
    async fn by_date(&mut self) -> Result<bool, StreamError> {
        // Sorted by date, and within one date by key, so that the pages of a tie hold still.
        let mut writer = self.context.writer();
        let mut filter = self.plan.filter;
        let mut pages = 0;
        loop {
            let query = self.context.page_query().sort(Order::DateThenKey).date_range(&filter);
            let answer = match self.context.fetch(&query, &mut writer).await {
                // Counting rows passes over the one that the store cannot send.
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
                // The row that was reached matches this filter, and an answer without it is not believed; nor is
                // one without rows that nothing counts.
                let is_begun = self.anchor.is_some();
                return Ok(if is_begun { filter.from.is_none() } else { rows.envelope.total == Some(0) });
            };
            pages += 1;
            let page_count = rows.envelope.total.unwrap_or(0) / rows.len() as u64;
            if pages > 4 * page_count.max(self.pages_at_first(page_count)) + SPARE_PAGES {
                return Err(StreamError::Unstable);
            }
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
            // One date fills the page: its rows are read by number, and then what is newer.
            let tie = DateRange { from: Some(reached), after: None, until: Some(reached), ..filter };
            self.read_until_stable(Order::DateThenKey, tie, &mut writer).await?;
            filter = DateRange { from: None, after: Some(reached), ..filter };
        }
    }

    fn pages_at_first(&mut self, now: u64) -> u64 {
        *self.first_pages.get_or_insert(now)
    }

    /// Goes from page to page.
    async fn by_number(&mut self) -> Result<(), StreamError> {
        self.anchor = None;
        self.unread.clear();
        let order = if self.context.stream.has_updated_at { Order::Date } else { Order::Key };
        let mut writer = self.context.writer();
        self.read_until_stable(order, self.plan.filter, &mut writer).await
    }

    /// Makes passes over all pages of a window until nothing moved under one.
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
            // A count that is known to be wrong says nothing by changing.
            pass.moved |= pass.is_recounted && !self.context.end_detector.is_count_wrong();
            let listed = (pass.keys.len() + pass.unread.len()) as u64 + pass.rows_without_key;
            shortfall = pass.total.filter(|&counted| !pass.moved && listed < counted).map(|counted| (counted, listed));
            // One row gone and one come between two pages leave the count as it was. Only an answer
            // that holds everything, or two passes that saw the same rows, show that nothing moved.
            let is_counted = self.plan.counted.is_none_or(|counted| listed >= counted) || filter != self.plan.filter;
            let confirmed = (pass.pages <= 1 && is_counted) || before.as_ref() == Some(&pass.keys);
            if !pass.moved && shortfall.is_none() && confirmed {
                self.unread.append(&mut pass.unread);
                return Ok(());
            }
            before = Some(pass.keys);
        }
        // Where nothing moved, further passes could only find what ties in another order had hidden.
        Err(match shortfall {
            Some((counted, listed)) => StreamError::CountMismatch { counted, listed },
            None => StreamError::Unstable,
        })
    }

    /// One pass over all pages.
    async fn pass(&mut self, order: Order, filter: &DateRange, writer: &mut RecordWriter) -> Result<Pass, StreamError> {
        let mut pass = Pass::default();
        let (mut came, mut offset, mut limit) = (0, 0, self.context.page_size());
        let mut last_key = None;
        let (mut was_announced, mut was_counted_out) = (false, false);
        loop {
            let size = self.size_at(offset, limit);
            let page = offset / size as u64 + 1;
            let query = self.context.query(size).sort(order).page(page).date_range(filter);
            let answer = match self.context.fetch(&query, writer).await {
                Ok(answer) => answer,
                Err(StreamError::Request(error)) if offset > 0 && is_not_found(&error) => {
                    // Where no count confirms the end, a page that was announced and is not there means
                    // that rows moved, or worse.
                    pass.moved |= pass.total.is_none() && was_announced;
                    break;
                }
                Err(StreamError::Request(error)) if error.is_unreadable() => {
                    let in_a_row = (0..MOST_UNREADABLE)
                        .take_while(|back| self.unreadable.contains(&offset.wrapping_sub(back + 1)));
                    if in_a_row.count() as u64 == MOST_UNREADABLE {
                        return Err(StreamError::Request(error));
                    }
                    self.context.note_unreadable(&error);
                    self.unreadable.insert(offset);
                    pass.unread.push((last_key.clone(), None));
                    // No state may claim it.
                    self.plan.base = None;
                    (offset, came) = (offset + 1, came + 1);
                    continue;
                }
                Err(stream_error) => return Err(stream_error),
            };
            let rows = answer.page;
            if pass.pages == 0 {
                pass.total = rows.envelope.total;
            }
            pass.is_recounted |= pass.total != rows.envelope.total;
            if let Some(between) = pass.unread.last_mut().filter(|between| between.1.is_none()) {
                between.1 = self.key_of(&rows, 0);
            }
            last_key = self.key_of(&rows, rows.rows.len().wrapping_sub(1)).or(last_key);
            // A store that cuts pages counts them in its own size, so that a cut page begins elsewhere: the same place is
            // read again in that size.
            let is_last = rows.envelope.total.is_some_and(|total| offset + rows.listed() >= total);
            let is_elsewhere = page > 1 && !pass.unread.is_empty() && !is_last;
            let shorter = usize::try_from(rows.listed()).unwrap_or(limit);
            if is_elsewhere && (1..rows.asked.min(limit)).contains(&shorter) {
                limit = shorter;
                pass.is_cut = true;
                self.emit_page(rows).await?;
                drop(answer.slot);
                continue;
            }
            came += rows.listed();
            pass.rows_without_key += rows.rows_without_key as u64;
            let before = pass.keys.len();
            pass.idle += 1;
            pass.keys.extend(rows.rows.iter().map(|row| row.key));
            let is_new = pass.keys.len() > before;
            if is_new {
                pass.idle = 0;
                if was_counted_out {
                    self.context.warn_wrong_count().await?;
                }
            }
            pass.pages += u64::from(!rows.rows.is_empty());
            let is_counted_out = rows.envelope.total.is_some_and(|total| came >= total);
            // The signs of the whole pass, not of this page alone.
            let is_full = rows.rows.len() >= rows.asked && !pass.is_cut;
            let is_clear =
                is_counted_out && !rows.envelope.more && !is_full && !self.context.end_detector.is_count_wrong();
            let is_unpromised = rows.envelope.total.is_none() || is_counted_out;
            let ended = rows.rows.is_empty() || is_clear || pass.idle == IDLE_PAGES || (!is_new && is_unpromised);
            // The first page shows whether pages are cut.
            let is_cut = page == 1 && !ended && rows.listed() < rows.asked as u64;
            offset += if is_cut { rows.listed() } else { rows.asked as u64 };
            if is_cut {
                limit = usize::try_from(rows.listed()).unwrap_or(limit);
            }
            pass.is_cut |= is_cut;
            (was_announced, was_counted_out) = (rows.envelope.more, is_counted_out);
            self.emit_page(rows).await?;
            drop(answer.slot);
            if ended {
                break;
            }
        }
        Ok(pass)
    }

    /// The largest page that begins at a place, and holds no row that the store cannot send beside others.
    fn size_at(&self, offset: u64, limit: usize) -> usize {
        let free =
            self.unreadable.range(offset..).next().and_then(|&unreadable| usize::try_from(unreadable - offset).ok());
        let limit = free.map_or(limit, |free| limit.min(free.max(1)));
        (1..=limit).rev().find(|&size| offset.is_multiple_of(size as u64)).unwrap_or(1)
    }

    /// The key of a row as text.
    fn key_of(&self, rows: &Rows, index: usize) -> Option<String> {
        let row: serde_json::Value = serde_json::from_slice(rows.data(index, self.context.prefix_length())).ok()?;
        match row.get(self.context.stream.key)? {
            serde_json::Value::String(key) => Some(key.clone()),
            key => Some(key.to_string()),
        }
    }

    /// Sends what is to be delivered of a page and was not sent before.
    async fn emit_page(&mut self, mut rows: Rows) -> Result<(), StreamError> {
        let (mut known, mut outside, mut repeated) = (0, 0, 0);
        let floor = [self.plan.row_filter.known.floor(), self.sent_rows.floor()].into_iter().flatten().min();
        let (hashes, decisions) = self.plan.row_filter.judge(&rows, floor, self.context.prefix_length());
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
        // Everything before the anchor was delivered; what ties with it may not have been. The state at
        // the end goes further than any on the way.
        let reached = self.anchor.filter(|&anchor| self.plan.until.is_some_and(|until| anchor < until));
        match &self.plan.base {
            Some(base) if reached.is_some() && reached > base.cursor => {
                let checkpoint = Checkpoint {
                    cursor: reached,
                    sent_rows: SentRows::before(None),
                    reads_all_rows: false,
                    ..base.clone()
                };
                batch.send_with_state(rows.lines, records, StatePolicy::WhenDue, || checkpoint.to_json());
            }
            _ => batch.send(rows.lines, records),
        }
        Ok(())
    }
}
