//! The guarded page walk: for streams whose key is no number, and for stores that do not honour the
//! key walk.
//!
//! Where the answers are sorted by `updated_at`, the walk goes from date to date: a row that is changed
//! meanwhile moves behind it and is met again, and a checkpoint claims what lies before the date that
//! is reached. Pages are counted only among rows that share a date, and where nothing is sorted. There
//! `total_count` and the number of different rows must agree at the end of a pass that nothing moved
//! under, or the pass is made again, a bounded number of times. Rows that come twice are sent once;
//! their keys are kept for that, about 40 bytes a row, the one thing here that grows with a stream.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::ends::End;
use super::judge::{Judge, Verdict, id_of};
use super::key_walk::{Delivered, MOST_UNREADABLE};
use super::ledger::When;
use super::questions;
use super::reader::{Between, Reader, Stop, is_not_found};
use super::recent::Recent;
use super::rows::Rows;
use super::saved::Saved;
use crate::cart::Query;
use crate::cart::query::{PAGE_SIZE, Window};
use crate::record::{Copier, Key, Updated};
use crate::streams::CURSOR;
use crate::timestamp::Timestamp;

/// Passes over rows that move before it is given up.
const MOST_PASSES: u32 = 6;

/// What is to be walked.
#[derive(Debug)]
pub(super) struct Plan {
    /// The date filter that the store is asked for.
    pub filter: Window,
    /// What is delivered.
    pub judge: Judge,
    /// What the cursor becomes; rows of the overlap before it are remembered.
    pub until: Option<Timestamp>,
    /// What was delivered already.
    pub delivered: Delivered,
    /// Rows that an earlier answer counted under this filter.
    pub counted: Option<u64>,
    /// The state before the walk, if checkpoints may advance its cursor.
    pub base: Option<Saved>,
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
    keyless: u64,
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

struct PageWalk<'r> {
    reader: &'r Arc<Reader>,
    plan: Plan,
    seen: HashMap<Key, Updated>,
    recent: Recent,
    /// The earliest date that is still to be read, while answers come sorted.
    anchor: Option<Timestamp>,
    /// Pages of the whole stream, as counted at first.
    first_pages: Option<u64>,
    /// Places of rows that the store cannot send, counted from 0.
    damaged: BTreeSet<u64>,
    /// Rows that the store cannot send.
    unread: Vec<Between>,
}

/// Walks, and gives back what is remembered of the rows near the cursor.
///
/// # Errors
/// [`Stop`]; [`Stop::LeftOut`] if the store cannot send some of the rows, when all others were delivered.
pub(super) async fn run(reader: &Arc<Reader>, plan: Plan) -> Result<Recent, Stop> {
    let recent = Recent::before(plan.until);
    let seen = plan.delivered.iter().map(|(row, _)| (row.key, row.updated)).collect();
    let mut walk = PageWalk {
        reader,
        anchor: plan.filter.from,
        first_pages: None,
        plan,
        seen,
        recent,
        damaged: BTreeSet::new(),
        unread: Vec::new(),
    };
    for (row, hash) in &walk.plan.delivered {
        if let Some(id) = id_of(row.key) {
            walk.recent.add(id, row, *hash);
        }
    }
    let sorted =
        reader.stream.dated && walk.plan.filter.from.is_some() && walk.by_date().await? && walk.is_all().await?;
    if !sorted {
        walk.by_number().await?;
    }
    if walk.unread.is_empty() {
        return Ok(walk.recent);
    }
    // Which keys they have is not known, so that no state can name them: the state stays where it was.
    Err(Stop::LeftOut { unread: Vec::new(), between: walk.unread, keyless: 0, not_text: reader.is_not_text() })
}

impl PageWalk<'_> {
    /// Returns true if as many rows came as were counted before the walk, or as are counted now.
    async fn is_all(&self) -> Result<bool, Stop> {
        let came = self.seen.len() as u64;
        if self.plan.counted.is_none_or(|counted| came >= counted) || self.reader.ends.is_count_wrong() {
            return Ok(true);
        }
        let query = Query::new(self.reader.stream.name, 1).window(CURSOR, &self.plan.filter);
        Ok(questions::count(self.reader, query).await?.is_none_or(|counted| came >= counted))
    }

    /// Goes from date to date. False if the store turns out not to sort; true at the end.
    async fn by_date(&mut self) -> Result<bool, Stop> {
        // Sorted by date, and within one date by key, so that the pages of a tie hold still.
        let date_order = format!("{CURSOR},{}", self.reader.stream.key);
        let mut copier = self.reader.copier();
        let mut filter = self.plan.filter;
        let mut pages = 0;
        loop {
            let query = Query::new(self.reader.stream.name, PAGE_SIZE).sort(&date_order).window(CURSOR, &filter);
            let answer = match self.reader.fetch(&query, &mut copier).await {
                // Counting rows passes over the one that the store cannot send.
                Err(Stop::Request(error)) if error.is_unreadable() => return Ok(false),
                answer => answer?,
            };
            let rows = answer.page;
            let honoured = rows.rows.iter().all(|row| matches!(row.updated, Updated::At(at) if filter.contains(at)));
            if !honoured || !rows.is_oldest_first() {
                return Ok(false);
            }
            let ended = self.reader.ends.of(&rows) == End::Reached;
            let Some(Updated::At(reached)) = rows.rows.last().map(|row| row.updated) else {
                // The row that was reached matches this filter, and an answer without it is not believed; nor is
                // one without rows that nothing counts.
                let is_begun = self.anchor.is_some();
                return Ok(if is_begun { filter.from.is_none() } else { rows.envelope.total == Some(0) });
            };
            pages += 1;
            let whole = rows.envelope.total.unwrap_or(0) / rows.len() as u64;
            if pages > 4 * whole.max(self.pages_at_first(whole)) + SPARE_PAGES {
                return Err(Stop::Restless);
            }
            self.anchor = Some(reached);
            self.commit(rows).await?;
            drop(answer.place);
            if ended {
                return Ok(true);
            }
            if filter.from != Some(reached) {
                filter = Window { from: Some(reached), after: None, ..filter };
                continue;
            }
            // One date fills the page: its rows are read by number, and then what is newer.
            let tie = Window { from: Some(reached), after: None, until: Some(reached), ..filter };
            self.settle(&date_order, tie, &mut copier).await?;
            filter = Window { from: None, after: Some(reached), ..filter };
        }
    }

    fn pages_at_first(&mut self, now: u64) -> u64 {
        *self.first_pages.get_or_insert(now)
    }

    /// Goes from page to page.
    async fn by_number(&mut self) -> Result<(), Stop> {
        self.anchor = None;
        self.unread.clear();
        let sort = if self.reader.stream.dated { CURSOR } else { self.reader.stream.key };
        let mut copier = self.reader.copier();
        self.settle(sort, self.plan.filter, &mut copier).await
    }

    /// Makes passes over all pages of a window until nothing moved under one.
    async fn settle(&mut self, sort: &str, filter: Window, copier: &mut Copier) -> Result<(), Stop> {
        let mut shortfall = None;
        let mut before: Option<HashSet<Key>> = None;
        self.damaged.clear();
        for _ in 0..MOST_PASSES {
            let mut pass = self.pass(sort, &filter, copier).await?;
            // A count that is known to be wrong says nothing by changing.
            pass.moved |= pass.is_recounted && !self.reader.ends.is_count_wrong();
            let listed = (pass.keys.len() + pass.unread.len()) as u64 + pass.keyless;
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
            Some((counted, listed)) => Stop::Lost { counted, listed },
            None => Stop::Restless,
        })
    }

    /// One pass over all pages.
    async fn pass(&mut self, sort: &str, filter: &Window, copier: &mut Copier) -> Result<Pass, Stop> {
        let mut pass = Pass::default();
        let (mut came, mut offset, mut limit) = (0, 0, PAGE_SIZE);
        let mut last_key = None;
        let (mut was_announced, mut was_counted_out) = (false, false);
        loop {
            let size = self.size_at(offset, limit);
            let page = offset / size as u64 + 1;
            let query = Query::new(self.reader.stream.name, size).sort(sort).page(page).window(CURSOR, filter);
            let answer = match self.reader.fetch(&query, copier).await {
                Ok(answer) => answer,
                Err(Stop::Request(error)) if offset > 0 && is_not_found(&error) => {
                    // Where no count confirms the end, a page that was announced and is not there means
                    // that rows moved, or worse.
                    pass.moved |= pass.total.is_none() && was_announced;
                    break;
                }
                Err(Stop::Request(error)) if error.is_unreadable() => {
                    let in_a_row =
                        (0..MOST_UNREADABLE).take_while(|back| self.damaged.contains(&offset.wrapping_sub(back + 1)));
                    if in_a_row.count() as u64 == MOST_UNREADABLE {
                        return Err(Stop::Request(error));
                    }
                    self.reader.note_unreadable(&error);
                    self.damaged.insert(offset);
                    pass.unread.push((last_key.clone(), None));
                    // No state may claim it.
                    self.plan.base = None;
                    (offset, came) = (offset + 1, came + 1);
                    continue;
                }
                Err(stop) => return Err(stop),
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
                self.commit(rows).await?;
                drop(answer.place);
                continue;
            }
            came += rows.listed();
            pass.keyless += rows.keyless as u64;
            let before = pass.keys.len();
            pass.idle += 1;
            pass.keys.extend(rows.rows.iter().map(|row| row.key));
            let is_new = pass.keys.len() > before;
            if is_new {
                pass.idle = 0;
                if was_counted_out {
                    self.reader.miscounted().await?;
                }
            }
            pass.pages += u64::from(!rows.rows.is_empty());
            let is_counted_out = rows.envelope.total.is_some_and(|total| came >= total);
            // The signs of the whole pass, not of this page alone.
            let is_full = rows.rows.len() >= rows.asked && !pass.is_cut;
            let is_clear = is_counted_out && !rows.envelope.more && !is_full && !self.reader.ends.is_count_wrong();
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
            self.commit(rows).await?;
            drop(answer.place);
            if ended {
                break;
            }
        }
        Ok(pass)
    }

    /// The largest page that begins at a place, and holds no row that the store cannot send beside others.
    fn size_at(&self, offset: u64, limit: usize) -> usize {
        let free = self.damaged.range(offset..).next().and_then(|&damaged| usize::try_from(damaged - offset).ok());
        let limit = free.map_or(limit, |free| limit.min(free.max(1)));
        (1..=limit).rev().find(|&size| offset.is_multiple_of(size as u64)).unwrap_or(1)
    }

    /// The key of a row as text.
    fn key_of(&self, rows: &Rows, index: usize) -> Option<String> {
        let row: serde_json::Value = serde_json::from_slice(rows.data(index, self.reader.prefix_length())).ok()?;
        match row.get(self.reader.stream.key)? {
            serde_json::Value::String(key) => Some(key.clone()),
            key => Some(key.to_string()),
        }
    }

    /// Sends what is to be delivered of a page and was not sent before.
    async fn commit(&mut self, mut rows: Rows) -> Result<(), Stop> {
        let (mut known, mut outside, mut repeated) = (0, 0, 0);
        let floor = [self.plan.judge.known.floor(), self.recent.floor()].into_iter().flatten().min();
        let hashes = rows.hashes(floor, self.reader.prefix_length());
        let judge = &self.plan.judge;
        let verdicts: Vec<Verdict> = rows.rows.iter().zip(&hashes).map(|(row, &hash)| judge.judge(row, hash)).collect();
        let is_foreign = rows.rows.iter().any(|row| row.is_outside(&self.plan.filter));
        let fresh: Vec<bool> = rows
            .rows
            .iter()
            .zip(&verdicts)
            .zip(&hashes)
            .map(|((row, verdict), &hash)| {
                match verdict {
                    Verdict::Known => known += 1,
                    Verdict::Outside | Verdict::Later => outside += 1,
                    Verdict::Deliver => {}
                }
                let is_new = self.seen.insert(row.key, row.updated) != Some(row.updated);
                if *verdict == Verdict::Deliver && !is_new {
                    repeated += 1;
                }
                if is_new
                    && matches!(verdict, Verdict::Deliver | Verdict::Known)
                    && let Some(id) = id_of(row.key)
                {
                    self.recent.add(id, row, hash);
                }
                is_new && *verdict == Verdict::Deliver
            })
            .collect();
        if self.plan.filter != Window::default() && is_foreign {
            self.reader.warn_dates().await?;
        }
        let records = rows.retain(|index, _| fresh[index]);
        let mut posting = self.reader.ledger.post(records).await?;
        let tally = &mut posting.entries.tally;
        tally.known += known;
        tally.outside += outside;
        tally.repeated += repeated;
        // Everything before the anchor was delivered; what ties with it may not have been. The state at
        // the end goes further than any on the way.
        let reached = self.anchor.filter(|&anchor| self.plan.until.is_some_and(|until| anchor < until));
        match &self.plan.base {
            Some(base) if reached.is_some() && reached > base.cursor => {
                let saved = Saved { cursor: reached, recent: Recent::before(None), whole: false, ..base.clone() };
                posting.send_with(rows.lines, records, When::Due, || saved.to_json());
            }
            _ => posting.send(rows.lines, records),
        }
        Ok(())
    }
}
