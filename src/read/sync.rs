//! The sync of one stream: which walks, in which order, and what the state says afterwards.
//!
//! 1. What an interrupted walk left is read first.
//! 2. Then one request asks for the newest changes. If it holds all there is, that was the sync.
//! 3. If not, it has shown the newest change; the key walk reads everything, and the cursor becomes
//!    that change. What changes behind the walk is newer, so the next sync brings it.
//!
//! A store that does not answer as documented is read by the page walk instead.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::judge::{Judge, Verdict, id_of};
use super::key_walk::{self, Delivered};
use super::page_walk;
use super::reader::{Reader, Stop};
use super::recent::{OVERLAP_SECONDS, Recent};
use super::rows::Rows;
use super::saved::{Interrupted, MOST_UNDATED, Saved};
use crate::cart::Query;
use crate::cart::query::{PAGE_SIZE, Window};
use crate::record::{self, Key, Updated};
use crate::streams::CURSOR;
use crate::timestamp::Timestamp;

/// Rows asked for to learn the greatest key: enough that a store which ignores the order is noticed.
const TOP_SAMPLE: usize = 10;

/// Reads one stream to its end and gives back its final state.
///
/// # Errors
/// [`Stop`]
pub(super) async fn run(reader: &Arc<Reader>, saved: Saved, full_refresh: bool) -> Result<Saved, Stop> {
    let sync = Sync { reader, full_refresh };
    if !reader.stream.dated {
        sync.undated_stream().await?;
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
        Window { from: Some(from), before: self.reader.end, until }
    }

    fn query(&self, count: usize) -> Query {
        Query::new(self.reader.stream.name, count)
    }

    /// Finishes what an interrupted run left. The state that is given back has no walk.
    async fn resume(&self, saved: Saved) -> Result<Saved, Stop> {
        // A full refresh goes on from its own checkpoints only: any other state means "from the start".
        let saved = if self.full_refresh && !saved.full { Saved::default() } else { saved };
        let mut base = Saved { full: self.full_refresh, walk: None, ..saved.clone() };
        let Some(mut walk) = saved.walk else { return Ok(base) };
        // With other dates in the config, what was read may not be what is wanted now.
        if walk.from != self.from(saved.cursor) || walk.left.iter().any(|&(_, end)| end.is_none()) {
            return Ok(base);
        }
        let until = walk.until;
        let unfiltered = walk.undated;
        let filter = if unfiltered { Window::default() } else { self.window(walk.from, Some(until)) };
        if unfiltered
            && let Some(top) = self.top(&filter, &[]).await?
            && top > walk.top
        {
            // Rows without a date that came since are in no date filter of the pass that follows.
            walk.left.push((Some(walk.top), Some(top)));
            walk.top = top;
            walk.counted = None;
        }
        let judge = Judge {
            window: self.window(walk.from, None),
            later_than: Some(until),
            undated: unfiltered,
            known: base.recent.clone(),
        };
        let plan = key_walk::Plan { filter, judge: judge.clone(), base: base.clone(), walk, silent: false };
        match key_walk::run(self.reader, plan).await {
            Ok(walk) => {
                let recent = self.receipt(walk, &filter, &base, judge).await?;
                base.cursor = Some(until);
                base.recent = recent;
                base.undated = None;
            }
            // The walk is not honoured any more: what follows reads everything from the old state.
            Err((Stop::Distrust(what), _)) => self.warn(what).await?,
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
        let unfiltered = self.reader.stream.undated_rows && (first || base.undated.is_some());
        let filter = if unfiltered { Window::default() } else { window };
        let judge = Judge { window, later_than: None, undated: unfiltered || first, known: base.recent.clone() };

        let newest = self.query(PAGE_SIZE).sort("-updated_at").window(CURSOR, &filter);
        let answer = self.reader.fetch(&newest, &mut self.reader.copier()).await?;
        let rows = answer.page;
        self.count(&rows).await?;
        if rows.is_end() && rows.keys_differ() {
            return self.whole(rows, base, &judge, &filter).await;
        }
        let counted = rows.envelope.total;
        let ids: Vec<i64> = rows.rows.iter().filter_map(|row| id_of(row.key)).collect();
        let trusted = rows.is_newest_first();
        let until = self.newest_change(&rows, &window, trusted).await?;
        drop(rows);
        drop(answer.place);

        if !trusted {
            return self
                .by_pages("it does not sort by `updated_at`", base, judge, filter, until.unwrap_or(from), Vec::new())
                .await;
        }
        let until = until.unwrap_or(from);
        let top = match self.top(&filter, &ids).await {
            Ok(Some(top)) => top,
            Ok(None) => return Ok(Saved { undated: None, ..base }),
            Err(Stop::Distrust(what)) => return self.by_pages(what, base, judge, filter, until, Vec::new()).await,
            Err(stop) => return Err(stop),
        };
        if !base.recent.is_exact()
            && counted == Some(base.recent.rows())
            && self.is_unchanged(&base, filter, from, top).await?
        {
            return Ok(base);
        }
        let walk = Interrupted { undated: unfiltered, ..key_walk::from_the_start(top, from, until, counted) };
        let plan = key_walk::Plan { filter, judge: judge.clone(), base: base.clone(), walk, silent: false };
        match key_walk::run(self.reader, plan).await {
            Ok(walk) => {
                let recent = self.receipt(walk, &filter, &base, judge).await?;
                Ok(Saved { cursor: base.cursor.max(Some(until)), recent, undated: None, walk: None, full: base.full })
            }
            Err((Stop::Distrust(what), delivered)) => self.by_pages(what, base, judge, filter, until, delivered).await,
            Err((stop, _)) => Err(stop),
        }
    }

    /// Enters the store's own count, and estimates.
    async fn count(&self, rows: &Rows) -> Result<(), Stop> {
        let ledger = &self.reader.ledger;
        let counted = rows.envelope.total.or_else(|| rows.is_end().then_some(rows.len() as u64));
        let first = {
            let mut entries = ledger.entries().await;
            let first = entries.tally.counted.is_none();
            entries.tally.counted = entries.tally.counted.or(counted);
            first
        };
        if let (true, Some(counted)) = (first, counted) {
            ledger.emitter().estimate(ledger.name(), counted).await?;
        }
        Ok(())
    }

    /// One answer that holds all there is: a picture of one moment, so its newest date is the cursor.
    async fn whole(&self, mut rows: Rows, base: Saved, judge: &Judge, filter: &Window) -> Result<Saved, Stop> {
        let prefix = self.reader.prefix_length();
        let undated: BTreeMap<i64, u64> = rows
            .rows
            .iter()
            .enumerate()
            .filter(|(_, row)| row.updated == Updated::Undated)
            .filter_map(|(index, row)| Some((id_of(row.key)?, record::hash(rows.data(index, prefix)))))
            .collect();
        let remembered = base.undated.as_ref();
        let verdicts: Vec<Verdict> = rows
            .rows
            .iter()
            .map(|row| {
                let id = id_of(row.key);
                let same = |id: &i64| remembered.is_some_and(|known| known.get(id) == undated.get(id));
                match judge.judge(row) {
                    Verdict::Deliver if row.updated == Updated::Undated && id.as_ref().is_some_and(same) => {
                        Verdict::Known
                    }
                    verdict => verdict,
                }
            })
            .collect();
        let newest = rows
            .rows
            .iter()
            .zip(&verdicts)
            .filter_map(|(row, verdict)| match (row.updated, verdict) {
                (Updated::At(instant), Verdict::Deliver | Verdict::Known) => Some(instant),
                _ => None,
            })
            .max();
        let cursor = base.cursor.max(newest);
        let mut recent = Recent::before(cursor);
        for (row, verdict) in rows.rows.iter().zip(&verdicts) {
            if let (Updated::At(instant), Verdict::Deliver | Verdict::Known, Some(id)) =
                (row.updated, verdict, id_of(row.key))
            {
                recent.add(id, instant);
            }
        }
        if *filter != Window::default() && verdicts.contains(&Verdict::Outside) {
            self.reader
                .ledger
                .warn_once("dates", "the store does not filter by `updated_at` as documented; rows outside the dates asked for are dropped here, which costs time.")
                .await?;
        }
        let records = rows.retain(|index, _| verdicts[index] == Verdict::Deliver);
        let mut posting = self.reader.ledger.post(records).await?;
        for verdict in &verdicts {
            match verdict {
                Verdict::Known => posting.entries.tally.known += 1,
                Verdict::Outside => posting.entries.tally.outside += 1,
                Verdict::Deliver | Verdict::Later => {}
            }
        }
        posting.send(rows.lines, records);
        let remember = self.reader.stream.undated_rows && *filter == Window::default() && undated.len() <= MOST_UNDATED;
        Ok(Saved { cursor, recent, undated: remember.then_some(undated), walk: None, full: base.full })
    }

    /// The newest change within the window, as far as the answer to the first request shows it.
    async fn newest_change(&self, rows: &Rows, window: &Window, sorted: bool) -> Result<Option<Timestamp>, Stop> {
        let within = |rows: &Rows| {
            let dates = rows.rows.iter().filter_map(|row| match row.updated {
                Updated::At(instant) if window.contains(instant) => Some(instant),
                _ => None,
            });
            dates.max()
        };
        let newest = within(rows);
        if newest.is_some() || !sorted {
            return Ok(newest);
        }
        // Only undated rows came, or rows outside the window: ask for one inside it.
        let query = self.query(1).sort("-updated_at").window(CURSOR, window);
        let answer = self.reader.fetch(&query, &mut self.reader.copier()).await?;
        Ok(within(&answer.page))
    }

    /// The greatest key, `None` if there is no row. `ids` are keys already seen.
    async fn top(&self, filter: &Window, ids: &[i64]) -> Result<Option<i64>, Stop> {
        let descending = format!("-{}", self.reader.stream.key);
        let query = self.query(TOP_SAMPLE).sort(&descending).window(CURSOR, filter);
        let answer = self.reader.fetch(&query, &mut self.reader.copier()).await?;
        if answer.page.rows.is_empty() && answer.page.envelope.total.is_some_and(|total| total > 0) {
            return Err(Stop::Distrust("it lists nothing when sorted by key"));
        }
        let mut keys = Vec::with_capacity(TOP_SAMPLE);
        for row in &answer.page.rows {
            match row.key {
                Key::Number(id) => keys.push(id),
                Key::Other(_) | Key::Missing => return Err(Stop::Distrust("it sends keys that are not whole numbers")),
            }
        }
        if !keys.is_sorted_by(|greater, smaller| greater > smaller) {
            return Err(Stop::Distrust("it does not sort by key"));
        }
        // Rows seen a moment ago may have been deleted since, so a greater one is no contradiction
        // unless the answer is a full sample below it.
        let greatest = keys.first().copied();
        if keys.len() == TOP_SAMPLE && ids.iter().filter(|&&id| Some(id) > greatest).count() > TOP_SAMPLE {
            return Err(Stop::Distrust("it does not sort by key"));
        }
        Ok(greatest.max(ids.iter().copied().max()).filter(|_| greatest.is_some()))
    }

    /// Whether the rows of the overlap are still those that were delivered, where only their number
    /// and sum are remembered.
    async fn is_unchanged(&self, base: &Saved, filter: Window, from: Timestamp, top: i64) -> Result<bool, Stop> {
        let judge = Judge { window: filter, later_than: None, undated: false, known: Recent::before(None) };
        let mut walk = key_walk::from_the_start(top, from, from, None);
        walk.recent = Recent::before(base.cursor);
        let plan = key_walk::Plan { filter, judge, base: base.clone(), walk, silent: true };
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
        // Rows deleted meanwhile, or changed and so out of the window, explain it; one more count tells.
        let unfiltered = *filter == Window::default();
        let still = if unfiltered { *filter } else { Window { until: Some(walk.until), ..*filter } };
        let query = self.query(1).keys(self.reader.stream.key, None, Some(walk.top)).window(CURSOR, &still);
        let answer = self.reader.fetch(&query, &mut self.reader.copier()).await?;
        let Some(now) = answer.page.envelope.total.filter(|&now| now > walk.read) else { return Ok(walk.recent) };
        drop(answer);
        if unfiltered || !walk.recent.is_exact() {
            return Err(Stop::Lost { counted: now.min(counted), listed: walk.read });
        }
        // Rows that became visible behind the walk are among the newest: they are fetched before
        // anything is called lost.
        let late = Window { from: Some(walk.until.minus_seconds(OVERLAP_SECONDS).max(walk.from)), ..still };
        let mut again = key_walk::from_the_start(walk.top, walk.from, walk.until, None);
        let known = walk.recent.clone();
        again.recent = walk.recent.clone();
        let before = self.reader.ledger.entries().await.tally.delivered;
        let plan = key_walk::Plan {
            filter: late,
            judge: Judge { known, ..judge },
            base: base.clone(),
            walk: again,
            silent: false,
        };
        let again = key_walk::run(self.reader, plan).await.map_err(|(stop, _)| stop)?;
        let found = self.reader.ledger.entries().await.tally.delivered - before;
        if now > walk.read + found {
            return Err(Stop::Lost { counted: now, listed: walk.read + found });
        }
        Ok(again.recent)
    }

    /// Reads by pages, since the key walk cannot be used.
    async fn by_pages(
        &self,
        why: &'static str,
        base: Saved,
        judge: Judge,
        filter: Window,
        until: Timestamp,
        delivered: Delivered,
    ) -> Result<Saved, Stop> {
        self.warn(why).await?;
        let unfiltered = filter == Window::default();
        let filter = if unfiltered { filter } else { Window { until: Some(until), ..filter } };
        let advancing = (!unfiltered && !self.full_refresh).then(|| base.clone());
        let plan = page_walk::Plan { filter, judge, until: Some(until), delivered, base: advancing };
        let recent = page_walk::run(self.reader, plan).await?;
        Ok(Saved { cursor: base.cursor.max(Some(until)), recent, undated: None, walk: None, full: base.full })
    }

    async fn warn(&self, why: &'static str) -> Result<(), Stop> {
        let text = format!(
            "the store does not answer a read by key as documented ({why}); it is read page by page instead, which is slower."
        );
        Ok(self.reader.ledger.warn_once("keys", &text).await?)
    }

    /// A stream without dates: everything, each time.
    async fn undated_stream(&self) -> Result<(), Stop> {
        let key = self.reader.stream.key;
        let answer = self.reader.fetch(&self.query(PAGE_SIZE).sort(key), &mut self.reader.copier()).await?;
        let rows = answer.page;
        self.count(&rows).await?;
        if rows.is_end() && rows.keys_differ() {
            let records = rows.len();
            self.reader.ledger.post(records).await?.send(rows.lines, records);
            return Ok(());
        }
        let counted = rows.envelope.total;
        let ids: Vec<i64> = rows.rows.iter().filter_map(|row| id_of(row.key)).collect();
        drop(rows);
        drop(answer.place);
        let judge = Judge { window: Window::default(), later_than: None, undated: true, known: Recent::before(None) };
        let filter = Window::default();
        let (why, delivered) = match self.top(&filter, &ids).await {
            Ok(None) => return Ok(()),
            Ok(Some(top)) => {
                let zero = Timestamp::from_millis(0);
                let walk = key_walk::from_the_start(top, zero, zero, counted);
                let plan = key_walk::Plan { filter, judge: judge.clone(), base: Saved::default(), walk, silent: false };
                match key_walk::run(self.reader, plan).await {
                    Ok(walk) => {
                        self.receipt(walk, &filter, &Saved::default(), judge).await?;
                        return Ok(());
                    }
                    Err((Stop::Distrust(why), delivered)) => (why, delivered),
                    Err((stop, _)) => return Err(stop),
                }
            }
            Err(Stop::Distrust(why)) => (why, Vec::new()),
            Err(stop) => return Err(stop),
        };
        self.warn(why).await?;
        let plan = page_walk::Plan { filter, judge, until: None, delivered, base: None };
        page_walk::run(self.reader, plan).await?;
        Ok(())
    }
}
