//! What was read, compared with what the store counts.
//!
//! A count that shares the conditions of the walk shares its blind spots: a row without a key matches no
//! condition on keys, and a row that a date filter hides is not counted under that filter. So the counts here
//! leave those conditions out, one at a time.

use std::sync::Arc;

use super::judge::Judge;
use super::key_walk::{self, Walked};
use super::questions::{self, SAMPLE};
use super::reader::{Reader, Stop};
use super::recent::OVERLAP_SECONDS;
use super::saved::{Interrupted, Range, Saved};
use crate::cart::Query;
use crate::cart::query::Window;
use crate::record::Updated;
use crate::streams::CURSOR;
use crate::timestamp::Timestamp;

/// What a walk was, for the comparison.
#[derive(Debug)]
pub(super) struct Receipt<'r> {
    /// The stream.
    pub reader: &'r Arc<Reader>,
    /// The date filter of the walk.
    pub filter: Window,
    /// The rule of delivery of the walk.
    pub judge: Judge,
    /// The state before the walk.
    pub base: &'r Saved,
    /// Rows that the store counted without any condition, if it was asked so.
    pub all: Option<u64>,
    /// Whether the walk went on from an interrupted one: then what was counted at its start is old.
    pub is_resumed: bool,
}

impl Receipt<'_> {
    /// Compares, looks again for what is missing, and gives back the walk.
    ///
    /// # Errors
    /// [`Stop::Lost`] if the store counts more rows than it lists.
    pub(super) async fn settle(self, walked: Walked) -> Result<Interrupted, Stop> {
        let Walked { walk, tails, .. } = walked;
        if self.reader.ends.is_count_wrong() {
            // Each list was read until a request listed nothing, and no count can say more.
            return Ok(walk);
        }
        let is_unfiltered = self.filter == Window::default();
        if is_unfiltered && walk.top.is_none() && walk.read > 0 {
            // Without an upper bound new rows would be counted as lost ones; a walk that met none at all
            // has no such excuse.
            return Ok(walk);
        }
        let is_short = walk.counted.is_some_and(|counted| walk.read < counted);
        if !is_short && !self.is_resumed {
            return if self.is_all(&walk).await? { Ok(walk) } else { self.look_again(walk, tails).await };
        }
        // Rows deleted meanwhile explain it. The first rows in the order of keys show those without a key, and
        // their count knows no condition on keys.
        let sample =
            Query::new(self.reader.stream.name, SAMPLE).sort(self.reader.stream.key).window(CURSOR, &self.filter);
        // Fewer than were counted before is believed the second time: a connection that gives each answer late gives
        // that of an earlier request first.
        for _ in 0..2 {
            let total = questions::count(self.reader, sample.clone()).await?;
            if total.is_none_or(|total| total > walk.read) {
                return self.look_again(walk, tails).await;
            }
        }
        Ok(walk)
    }

    /// Returns true unless a date filter left rows out: those it lists and those it leaves out must be all.
    async fn is_all(&self, walk: &Interrupted) -> Result<bool, Stop> {
        let (Some(all), Some(from)) = (self.all, self.filter.from) else { return Ok(true) };
        if walk.read >= all {
            return Ok(true);
        }
        let name = self.reader.stream.name;
        let outside = Window { before: Some(from), ..Window::default() };
        let mut known = walk.read;
        match questions::count(self.reader, Query::new(name, 1).window(CURSOR, &outside)).await? {
            Some(earlier) => known += earlier,
            None => return Ok(true),
        }
        if let Some(before) = self.filter.before.filter(|_| known < all) {
            let outside = Window { from: Some(before), ..Window::default() };
            known += questions::count(self.reader, Query::new(name, 1).window(CURSOR, &outside)).await?.unwrap_or(all);
        }
        if known >= all {
            return Ok(true);
        }
        // Rows deleted meanwhile explain it.
        let now = questions::count(self.reader, Query::new(name, 1)).await?;
        Ok(now.is_none_or(|now| now <= known))
    }

    /// Looks for rows that the store counts and that did not come.
    async fn look_again(&self, walk: Interrupted, tails: Vec<Range>) -> Result<Interrupted, Stop> {
        let until = walk.until.filter(|_| self.filter != Window::default());
        // Rows changed meanwhile may have come into a window of dates, and are left out of the count.
        let Some(now) = questions::still_counted(self.reader, &self.filter, until, walk.top).await? else {
            return Ok(walk);
        };
        if now <= walk.read {
            return self.find_keyless(walk, until).await;
        }
        // An answer may have ended too early, and said that it was all.
        let walk = self.walk_again(walk, tails, self.filter).await?;
        if now <= walk.read {
            return Ok(walk);
        }
        let (Some(until), true) = (until, walk.recent.sent().is_exact()) else {
            return Err(Stop::Lost { counted: now, listed: walk.read });
        };
        // Rows that became visible behind the walk are among the newest: they are fetched before anything is
        // called lost.
        let from = Some(until.minus_seconds(OVERLAP_SECONDS).max(walk.from));
        let late = Window { from, until: Some(until), ..self.filter };
        let (listed, delivered) = (walk.read, self.reader.ledger.entries().await.tally.delivered);
        let top = walk.top;
        let walk = self.walk_again(walk, vec![(None, top)], late).await?;
        let listed = listed + self.reader.ledger.entries().await.tally.delivered - delivered;
        if now > listed {
            return Err(Stop::Lost { counted: now, listed });
        }
        Ok(walk)
    }

    /// Notes rows without a key: they are counted where no condition on keys is given.
    async fn find_keyless(&self, walk: Interrupted, until: Option<Timestamp>) -> Result<Interrupted, Stop> {
        let Some(all) = questions::still_counted(self.reader, &self.filter, until, None).await? else {
            return Ok(walk);
        };
        if all <= walk.read {
            return Ok(walk);
        }
        let lost = Stop::Lost { counted: all, listed: walk.read };
        let Some(top) = walk.top else { return Err(lost) };
        // Rows that came since have greater keys.
        let query = Query::new(self.reader.stream.name, SAMPLE).keys(self.reader.stream.key, Some(top), None);
        let beyond = match self.reader.fetch(&query.window(CURSOR, &self.filter), &mut self.reader.copier()).await {
            Ok(answer) => answer.page,
            // It counts rows and lists none.
            Err(Stop::Request(_)) => return Err(lost),
            Err(stop) => return Err(stop),
        };
        // Those changed after the walk began are not among `all`.
        let newer = match until {
            Some(until) => {
                beyond.rows.iter().filter(|row| matches!(row.updated, Updated::At(at) if at <= until)).count() as u64
            }
            None => beyond.envelope.total.unwrap_or(beyond.listed()),
        };
        self.reader.note_keyless(all.saturating_sub(newer).saturating_sub(walk.read));
        Ok(walk)
    }

    async fn walk_again(&self, walk: Interrupted, left: Vec<Range>, filter: Window) -> Result<Interrupted, Stop> {
        if left.is_empty() {
            return Ok(walk);
        }
        let judge = Judge { known: walk.recent.clone(), ..self.judge.clone() };
        let walk = Interrupted { left, ..walk };
        let plan = key_walk::Plan { filter, judge, base: self.base.clone(), walk, page: None, check: None };
        Ok(key_walk::run(self.reader, plan).await.map_err(|(stop, _)| stop)?.walk)
    }
}
