//! The sync of one stream: which walks, in which order, and what the state says afterwards.
//!
//! 1. What an interrupted walk left is read first.
//! 2. Then one request asks for the newest changes; on a first sync and in a full refresh for the newest
//!    rows whatever their date. If it holds all there is, that was the sync.
//! 3. If not, it has shown the newest change; the key walk reads everything, and the cursor becomes
//!    that change. What changes behind the walk is newer, so the next sync brings it.
//!
//! A store that does not answer as documented is read by the page walk instead.

use std::sync::Arc;

use super::judge::{Judge, Verdict, id_of};
use super::key_walk;
use super::ledger::When;
use super::page_walk;
use super::questions::{self, SAMPLE, Top};
use super::reader::{Reader, Stop};
use super::recent::{OVERLAP_SECONDS, Recent};
use super::rows::Rows;
use super::saved::{Interrupted, Saved};
use super::whole;
use crate::cart::Query;
use crate::cart::query::{PAGE_SIZE, Window};
use crate::streams::CURSOR;
use crate::timestamp::Timestamp;

/// Reads one stream to its end and gives back its final state.
///
/// # Errors
/// [`Stop`]
pub(crate) async fn run(reader: &Arc<Reader>, saved: Saved, full_refresh: bool) -> Result<Saved, Stop> {
    let sync = Sync { reader, full_refresh };
    if !reader.stream.dated {
        sync.without_dates().await?;
        return Ok(Saved::default());
    }
    let base = sync.resume(saved).await?;
    let finished = sync.changes(base).await?;
    Ok(if full_refresh { Saved::default() } else { finished })
}

struct Sync<'r> {
    reader: &'r Arc<Reader>,
    full_refresh: bool,
}

impl Sync<'_> {
    /// The first instant that a sync from this state reads.
    fn from(&self, cursor: Option<Timestamp>) -> Timestamp {
        cursor.map_or(self.reader.start, |cursor| cursor.minus_seconds(OVERLAP_SECONDS).max(self.reader.start))
    }

    fn window(&self, from: Timestamp, until: Option<Timestamp>) -> Window {
        Window { from: Some(from), before: self.reader.end, until, ..Window::default() }
    }

    /// Finishes what an interrupted run left. The state that is given back has no walk.
    async fn resume(&self, saved: Saved) -> Result<Saved, Stop> {
        // A full refresh goes on from its own checkpoints only: any other state means "from the start".
        let saved = if self.full_refresh && !saved.full { Saved::default() } else { saved };
        let mut base = Saved { full: self.full_refresh, walk: None, ..saved.clone() };
        let Some(mut walk) = saved.walk else { return Ok(base) };
        // With other dates in the config, what was read may not be what is wanted now.
        if walk.from != self.from(saved.cursor) || walk.before != self.reader.end {
            return Ok(base);
        }
        let until = walk.until;
        let unfiltered = walk.undated;
        let filter = if unfiltered { Window::default() } else { self.window(walk.from, Some(until)) };
        if unfiltered && let Some(old) = walk.top {
            // Rows without a date that came since are in no date filter of the pass that follows.
            let top = questions::top(self.reader, SAMPLE, &filter, &[]).await?;
            walk.top = top.and_then(|(top, _)| top.known()).map(|new| new.max(old));
            walk.counted = None;
            if walk.top != Some(old) {
                walk.left.push((Some(old), walk.top));
            }
        }
        let judge = Judge {
            window: self.window(walk.from, None),
            later_than: Some(until),
            undated: unfiltered,
            known: base.recent.clone(),
        };
        let plan = key_walk::Plan { filter, judge: judge.clone(), base: base.clone(), walk, page: None, silent: false };
        match key_walk::run(self.reader, plan).await {
            Ok(walk) => {
                // Said at once, so that a kill in the pass that follows does not undo it.
                let done = Saved { walk: Some(walk.clone()), ..base.clone() }.to_json();
                self.reader.ledger.post(0).await?.send_with(Vec::new().into(), 0, When::Now, || done);
                base.recent = self.receipt(walk, &filter, &base, judge).await?;
                base.cursor = Some(until);
                base.undated = None;
            }
            // The walk is not honoured any more: what follows reads everything from the old state.
            Err((Stop::Distrust(what), _)) => self.reader.warn_keys(what).await?,
            Err((stop, _)) => return Err(stop),
        }
        Ok(base)
    }

    /// Brings what has changed since the state.
    async fn changes(&self, base: Saved) -> Result<Saved, Stop> {
        let from = self.from(base.cursor);
        let window = self.window(from, None);
        if window.is_empty() {
            return Ok(base);
        }
        let first = base.cursor.is_none();
        // At first nothing is known of the rows, so the first question leaves none out: rows without a
        // date match no filter.
        let asked = if first || base.undated.is_some() { Window::default() } else { window };
        let judge = Judge {
            window,
            later_than: None,
            undated: first || asked == Window::default(),
            known: base.recent.clone(),
        };

        let newest = Query::new(self.reader.stream.name, PAGE_SIZE).sort("-updated_at").window(CURSOR, &asked);
        let answer = self.reader.fetch(&newest, &mut self.reader.copier()).await?;
        let rows = answer.page;
        // A row dated in the future must not become the cursor, or nothing would come until then.
        let past = Window { until: answer.date.and_then(Timestamp::from_system), ..window };
        if rows.is_whole() {
            self.estimate(Some(rows.rows.iter().filter(|row| judge.judge(row) != Verdict::Outside).count() as u64))
                .await?;
            return whole::deliver(self.reader, rows, base, &judge, (&asked, &past)).await;
        }
        let (mut counted, sorted) = (rows.envelope.total, rows.is_newest_first());
        let (in_hand, ends, undated) = (questions::newest_within(&rows, &past), rows.ends(), rows.has_undated());
        // Its place and its room are given back before the next question: there may be no others.
        let Rows { rows: seen, lines, .. } = rows;
        drop(lines);
        drop(answer.place);
        // Unsorted, the newest of this page is a change from before the walk all the same: a cursor
        // that is too old, which only makes the next sync look at more.
        let until = match in_hand {
            // Only undated rows came, or rows outside the window: one inside it is asked for.
            None if sorted => questions::newest_change(self.reader, &past).await?,
            newest => newest,
        };
        let until = until.unwrap_or(from);
        let mut unfiltered = asked == Window::default();
        if first && !self.reader.stream.undated_rows && sorted {
            let undated = if undated { Some(true) } else { questions::are_undated(self.reader, ends).await? };
            unfiltered = undated != Some(false);
            if undated == Some(true) && !self.full_refresh {
                self.reader.warn_undated().await?;
            }
        }
        let filter = if unfiltered { Window::default() } else { window };

        let seen: Vec<i64> =
            seen.iter().filter(|row| unfiltered || row.is_within(&filter)).filter_map(|row| id_of(row.key)).collect();
        // The answer that tells the greatest key is the first page of the walk, unless a look at the rows
        // that are remembered by their sum comes before it.
        let known = base.recent.is_exact();
        let top = match sorted {
            true => questions::top(self.reader, if known { PAGE_SIZE } else { SAMPLE }, &filter, &seen).await?,
            false => Some((Top::Unknown, Rows::default())),
        };
        if let Some((_, page)) = top.as_ref().filter(|_| filter != asked) {
            counted = page.envelope.total;
        }
        self.estimate(counted).await?;
        // Rows were listed a moment ago; where none is any more, the walk and the count behind it tell
        // whether they are gone.
        let (top, page) = top.unwrap_or((Top::Gone, Rows::default()));
        if top == Top::Unknown {
            self.reader.warn_sort().await?;
        }
        let top = top.known();
        let page = (known && top.is_some()).then_some(page);
        if !known && counted == Some(base.recent.rows()) && self.is_unchanged(&base, filter, from, top).await? {
            return Ok(base);
        }
        let begun = key_walk::from_the_start(top, from, until, counted);
        let walk = Interrupted { undated: unfiltered, before: self.reader.end, ..begun };
        let plan = key_walk::Plan { filter, judge: judge.clone(), base: base.clone(), walk, page, silent: false };
        let recent = match key_walk::run(self.reader, plan).await {
            Ok(walk) => self.receipt(walk, &filter, &base, judge).await?,
            Err((Stop::Distrust(what), delivered)) => {
                self.reader.warn_keys(what).await?;
                let advancing = (!unfiltered && !self.full_refresh).then(|| base.clone());
                let plan = page_walk::Plan { filter, judge, until: Some(until), delivered, base: advancing };
                page_walk::run(self.reader, plan).await?
            }
            Err((stop, _)) => return Err(stop),
        };
        Ok(Saved { cursor: base.cursor.max(Some(until)), recent, undated: None, walk: None, full: base.full })
    }

    /// Enters the store's own count, and estimates.
    async fn estimate(&self, counted: Option<u64>) -> Result<(), Stop> {
        if let Some(counted) = counted {
            self.reader.ledger.count(counted).await?;
        }
        Ok(())
    }

    /// Whether the rows of the overlap are still those that were delivered, where only their number
    /// and sum are remembered.
    async fn is_unchanged(
        &self,
        base: &Saved,
        filter: Window,
        from: Timestamp,
        top: Option<i64>,
    ) -> Result<bool, Stop> {
        let judge = Judge { window: filter, later_than: None, undated: false, known: Recent::before(None) };
        let mut walk = key_walk::from_the_start(top, from, from, None);
        walk.recent = Recent::before(base.cursor);
        let plan = key_walk::Plan { filter, judge, base: base.clone(), walk, page: None, silent: true };
        match key_walk::run(self.reader, plan).await {
            Ok(walk) => {
                let same = walk.recent.agrees(&base.recent);
                if same {
                    self.reader.ledger.entries().await.tally.known += walk.read;
                }
                Ok(same)
            }
            Err((Stop::Distrust(_), _)) => Ok(false),
            Err((stop, _)) => Err(stop),
        }
    }

    /// Holds what was read against what the store counted; gives back what is to be remembered.
    async fn receipt(&self, walk: Interrupted, filter: &Window, base: &Saved, judge: Judge) -> Result<Recent, Stop> {
        let Some(counted) = walk.counted.filter(|&counted| walk.read < counted) else { return Ok(walk.recent) };
        let unfiltered = *filter == Window::default();
        if unfiltered && walk.top.is_none() && walk.read > 0 {
            // Without an upper bound new rows would be counted as lost ones; a walk that met none at all
            // has no such excuse.
            return Ok(walk.recent);
        }
        // Rows deleted meanwhile explain it; one more count tells. Rows changed meanwhile may have come
        // into a window of dates, and are left out of it.
        let until = (!unfiltered).then_some(walk.until);
        let now = questions::still_counted(self.reader, filter, until, walk.top).await?;
        let Some(now) = now.filter(|&now| now > walk.read) else { return Ok(walk.recent) };
        if unfiltered || !walk.recent.is_exact() {
            return Err(Stop::Lost { counted: now.min(counted), listed: walk.read });
        }
        // Rows that became visible behind the walk are among the newest: they are fetched before
        // anything is called lost.
        let from = Some(walk.until.minus_seconds(OVERLAP_SECONDS).max(walk.from));
        let late = Window { from, until: Some(walk.until), ..*filter };
        let mut again = key_walk::from_the_start(walk.top, walk.from, walk.until, None);
        again.recent = walk.recent.clone();
        let before = self.reader.ledger.entries().await.tally.delivered;
        let judge = Judge { known: walk.recent, ..judge };
        let plan = key_walk::Plan { filter: late, judge, base: base.clone(), walk: again, page: None, silent: false };
        let again = key_walk::run(self.reader, plan).await.map_err(|(stop, _)| stop)?;
        let listed = walk.read + self.reader.ledger.entries().await.tally.delivered - before;
        if now > listed {
            return Err(Stop::Lost { counted: now, listed });
        }
        Ok(again.recent)
    }

    /// A stream without dates: everything, each time.
    async fn without_dates(&self) -> Result<(), Stop> {
        let key = self.reader.stream.key;
        let query = Query::new(self.reader.stream.name, PAGE_SIZE).sort(key);
        let answer = self.reader.fetch(&query, &mut self.reader.copier()).await?;
        let rows = answer.page;
        self.estimate(rows.envelope.total.or_else(|| rows.is_end().then_some(rows.len() as u64))).await?;
        if rows.is_whole() {
            let records = rows.len();
            self.reader.ledger.post(records).await?.send(rows.lines, records);
            return Ok(());
        }
        let (counted, seen) = (rows.envelope.total, questions::ids(&rows));
        drop(rows);
        drop(answer.place);
        let filter = Window::default();
        let judge = Judge { window: filter, later_than: None, undated: true, known: Recent::before(None) };
        let top = questions::top(self.reader, PAGE_SIZE, &filter, &seen).await?;
        let (top, page) = top.unwrap_or((Top::Gone, Rows::default()));
        let page = top.known().is_some().then_some(page);
        let top = top.known();
        // No date is read of these rows, so that any will do.
        let never = Timestamp::from_millis(0);
        let walk = key_walk::from_the_start(top, never, never, counted);
        let plan = key_walk::Plan { filter, judge: judge.clone(), base: Saved::default(), walk, page, silent: false };
        match key_walk::run(self.reader, plan).await {
            Ok(walk) => {
                self.receipt(walk, &filter, &Saved::default(), judge).await?;
            }
            Err((Stop::Distrust(what), delivered)) => {
                self.reader.warn_keys(what).await?;
                let plan = page_walk::Plan { filter, judge, until: None, delivered, base: None };
                page_walk::run(self.reader, plan).await?;
            }
            Err((stop, _)) => return Err(stop),
        }
        Ok(())
    }
}
