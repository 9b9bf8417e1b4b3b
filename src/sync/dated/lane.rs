//! One of the streams of a read from date to date: decides which rows are emitted, and keeps the state.

use std::collections::HashMap;
use std::sync::Arc;

use super::DatedStream;
use crate::record::{CursorValue, Key};
use crate::sync::checkpoint::{Checkpoint, Job, Range, joined};
use crate::sync::context::{StreamContext, StreamError};
use crate::sync::id_set::IdSet;
use crate::sync::position::{DatesPosition, Position};
use crate::sync::query::DateRange;
use crate::sync::row_filter::{Decision, RowFilter, id_of};
use crate::sync::rows::{Row, Rows};
use crate::sync::sent_hashes::{RangeCheck, SentHashes};
use crate::sync::sent_rows::{OVERLAP_SECONDS, SentRows};
use crate::sync::stream_output::StatePolicy;
use crate::sync::stream_sync::FinishedSync;
use crate::timestamp::Timestamp;

/// The part of a read that belongs to one stream.
#[derive(Debug)]
pub(in crate::sync) struct Lane {
    pub context: Arc<StreamContext>,
    /// The state before the sync.
    base: Checkpoint,
    filter: RowFilter,
    /// Rows that are remembered after the walk.
    sent_rows: SentRows,
    /// The cursor after the walk.
    until: Option<Timestamp>,
    since: Option<i64>,
    /// The date that the walk has reached.
    reached: Option<i64>,
    /// Rows created at that date that were emitted: key and hash of the content.
    edge: HashMap<Key, u64>,
    /// The same for the date reached before: the first rows of a page have it.
    last_edge: HashMap<Key, u64>,
    /// The date at which an interrupted walk continues, and the rows with this date that were emitted before.
    resumed_edge: Option<(i64, SentHashes)>,
    /// Greatest key before the walk.
    pub greatest: Option<i64>,
    /// Ranges of keys of rows that the store cannot send.
    pub unread: Vec<Range>,
    /// Dates of rows that the store cannot send and whose keys are not known.
    pub unread_dates: Vec<Timestamp>,
    /// Keys of the rows that the walk has read, above the greatest one before the last sync.
    walked: IdSet,
    /// True while rows are read by their keys that no walk has read.
    is_backdated: bool,
    mode: Mode,
    /// True while the state must not contain a position of the walk.
    is_outside_walk: bool,
    /// True while rows are read that the store could not send in an earlier sync.
    is_retry: bool,
    /// Those that were emitted: key and hash of the content. The walk lists them again if they changed near the cursor.
    retried: HashMap<i64, u64>,
    /// True if a row was read.
    has_read: bool,
}

/// The use of the rows that are read.
#[derive(Debug)]
enum Mode {
    /// They are emitted.
    Emit,
    /// They are compared with remembered ranges of keys.
    Compare(RangeCheck),
    /// Those in ranges that have changed are emitted.
    EmitChanged(Vec<Range>),
}

impl Lane {
    pub(super) fn new(stream: DatedStream) -> Self {
        let DatedStream { context, checkpoint, full_refresh, .. } = stream;
        let base = Checkpoint { full: full_refresh, ..checkpoint };
        let filter = RowFilter {
            date_range: DateRange { from: Some(context.start), before: context.end, ..DateRange::default() },
            later_than: None,
            include_missing_dates: true,
            known: base.sent_rows.clone(),
        };
        Self {
            context,
            filter,
            sent_rows: SentRows::before(None),
            until: None,
            since: None,
            reached: None,
            edge: HashMap::new(),
            last_edge: HashMap::new(),
            resumed_edge: None,
            greatest: base.greatest,
            unread: Vec::new(),
            unread_dates: Vec::new(),
            walked: IdSet::default(),
            is_backdated: false,
            mode: Mode::Emit,
            is_outside_walk: true,
            is_retry: false,
            retried: HashMap::new(),
            has_read: false,
            base,
        }
    }

    pub(super) fn cursor(&self) -> Option<Timestamp> {
        self.base.cursor
    }

    /// Returns to an earlier cursor, with a warning, if the one of the state is ahead of the store's clock.
    pub(super) async fn go_back(&mut self, clock: Timestamp) -> Result<(), StreamError> {
        if let Some((ahead, earlier)) = self.base.go_back(clock, None) {
            self.context.warn_ahead(ahead, clock, earlier).await?;
        }
        Ok(())
    }

    /// Returns the first instant from which rows are emitted.
    fn from(&self, since: Option<i64>) -> Timestamp {
        let own = self.base.cursor.filter(|_| since.is_some());
        own.map_or(self.context.start, |cursor| cursor.minus_seconds(OVERLAP_SECONDS).max(self.context.start))
    }

    /// Returns the position of an interrupted walk. With other dates in the config, the rows read so far may be the
    /// wrong ones.
    pub(super) fn resumed(&self) -> Option<DatesPosition> {
        let Some(Position::Dates(position)) = &self.base.position else { return None };
        let is_same = position.from == self.from(position.since) && position.before == self.context.end;
        is_same.then(|| (**position).clone())
    }

    /// Continues an interrupted walk.
    pub(super) fn resume(&mut self) {
        let Some(Position::Dates(position)) = self.base.position.take() else { return };
        let DatesPosition { since, until, reached, edge, greatest, walked, sent_rows, .. } = *position;
        self.unread = std::mem::take(&mut self.base.unread);
        self.begin(since, until);
        // The one before the interruption: rows added since then may be behind the walk.
        self.greatest = greatest.or(self.greatest);
        self.walked = walked;
        self.sent_rows = sent_rows;
        self.reached = reached;
        self.resumed_edge = reached.map(|reached| (reached, edge));
    }

    /// Begins a walk over the rows changed at `since` or later. `until` is the cursor after it.
    pub(super) fn begin(&mut self, since: Option<i64>, until: Option<Timestamp>) {
        self.base.position = None;
        if since.is_none() {
            // The walk tries all rows.
            self.base.unread.clear();
        }
        (self.since, self.until, self.walked) = (since, until, IdSet::default());
        let cursor = self.base.cursor.max(until);
        self.sent_rows = SentRows::before(cursor);
        self.filter.date_range.from = Some(self.from(since));
        self.is_outside_walk = false;
    }

    /// Returns the position of the walk for a state.
    pub(super) fn position(&self, reached: Option<i64>) -> Option<DatesPosition> {
        let mut edge = SentHashes::default();
        for (&key, &hash) in &self.edge {
            if let Some(id) = id_of(key) {
                edge.add(id, hash);
            }
        }
        (!self.is_outside_walk).then(|| DatesPosition {
            from: self.from(self.since),
            before: self.context.end,
            until: self.until,
            since: self.since,
            reached,
            edge,
            greatest: self.greatest,
            walked: self.walked.clone(),
            sent_rows: self.sent_rows.clone(),
        })
    }

    /// Returns true if rows near the cursor must be compared before rows are emitted.
    pub(super) fn must_compare(&self) -> bool {
        self.since.is_some() && !self.base.sent_rows.sent().is_exact()
    }

    pub(super) fn begin_comparison(&mut self) {
        self.mode = Mode::Compare(self.base.sent_rows.sent().check());
        self.is_outside_walk = true;
    }

    pub(super) fn end_comparison(&mut self) {
        let Mode::Compare(check) = std::mem::replace(&mut self.mode, Mode::Emit) else { return };
        self.mode = Mode::EmitChanged(check.changed().0);
        // The rows of the comparison are remembered already.
        let sent_rows = std::mem::replace(&mut self.sent_rows, SentRows::before(None));
        self.sent_rows = sent_rows.complete();
        self.edge.clear();
    }

    /// Ends the walk: further rows belong to no position.
    pub(super) fn end_walk(&mut self) {
        self.is_outside_walk = true;
        self.edge.clear();
    }

    /// Returns the keys of rows that the store could not send in an earlier sync.
    pub(super) fn keys_to_retry(&self) -> Vec<i64> {
        if self.base.cursor.is_none() || self.base.position.is_some() {
            // All rows are read anyway.
            return Vec::new();
        }
        let bounds = self.base.unread.iter().filter_map(|&(after, end)| after.zip(end));
        bounds.flat_map(|(after, end)| after.saturating_add(1)..=end).collect()
    }

    pub(super) fn begin_retry(&mut self) {
        self.is_retry = true;
    }

    pub(super) fn end_retry(&mut self) {
        self.is_retry = false;
        // Those that still cannot be sent are in `unread` by now.
        self.base.unread.clear();
    }

    /// Returns the greatest key before the last sync.
    pub(super) fn greatest_before(&self) -> Option<i64> {
        self.base.greatest
    }

    /// Begins to read rows that changed at `since` or later. A store may list older ones as well.
    pub(super) fn begin_moved(&mut self, since: Timestamp) {
        self.filter.date_range.from = self.filter.date_range.from.max(Some(since));
        // An earlier run can have emitted those near the cursor.
        self.filter.known = self.sent_rows.clone();
    }

    /// Returns true if a row with this key is not new: it is not above the greatest key before the last sync, or this
    /// walk or the last one has read it.
    pub(super) fn has_walked(&self, key: i64) -> bool {
        let is_new = self.base.greatest.is_some_and(|greatest| key > greatest);
        !is_new || self.walked.contains(key) || self.base.above.contains(key)
    }

    /// Returns the keys above the greatest one before the last sync that this walk or the last one has read.
    pub(super) fn walked(&self) -> impl Iterator<Item = i64> + '_ {
        self.walked.iter().chain(self.base.above.iter())
    }

    /// Returns true if a row that was requested, or the rows inside it, are to be read. Notes its key if it has to be
    /// known later.
    pub(super) fn wants(&mut self, row: &Row, is_noted: bool) -> bool {
        let Some(key) = id_of(row.key) else { return true };
        if self.is_backdated {
            return !self.has_walked(key);
        }
        let is_above = self.base.greatest.or(self.greatest).is_some_and(|greatest| key > greatest);
        let is_walk = !matches!(self.mode, Mode::Compare(_)) && !self.is_retry;
        if is_noted && is_above && is_walk && !self.is_outside(row) {
            self.walked.insert(key);
        }
        true
    }

    /// Returns true if a row is not emitted because of its dates.
    pub(super) fn is_outside(&self, row: &Row) -> bool {
        // The content of a row does not affect it.
        self.filter.decide(&effective(row), 0) == Decision::OutOfRange
    }

    /// Begins to read new rows whatever their dates.
    pub(super) fn begin_backdated(&mut self) {
        self.is_backdated = true;
        self.filter.date_range.from = Some(self.context.start);
    }

    pub(super) fn end_backdated(&mut self) {
        self.is_backdated = false;
    }

    /// Emits the accepted rows among those that are new in this walk, and the state that covers them. All rows created
    /// before `reached` were read.
    pub(super) async fn emit(
        &mut self,
        mut rows: Rows,
        is_new: &[bool],
        reached: Option<i64>,
    ) -> Result<(), StreamError> {
        let prefix_length = self.context.prefix_length();
        let floor = [self.filter.known.floor(), self.sent_rows.floor()].into_iter().flatten().min();
        let hashes = rows.hashes(floor, prefix_length);
        self.reach(reached);
        let mut repeated = 0;
        let mut decisions = Vec::with_capacity(rows.rows.len());
        for (index, &new) in (0..rows.rows.len()).zip(is_new) {
            let row = effective(&rows.rows[index]);
            let id = id_of(row.key);
            let mut decision = if new { Some(self.decide(&row, hashes[index])) } else { None };
            if decision == Some(Decision::Emit) && !self.is_first(&rows, index, &row, hashes[index]) {
                decision = None;
            }
            repeated += u64::from(decision.is_none());
            if let (Some(Decision::Emit | Decision::AlreadySent), Some(id)) = (decision, id) {
                self.sent_rows.add(id, &row, hashes[index]);
                if self.is_retry {
                    self.retried.insert(id, hashes[index]);
                }
            }
            decisions.push(decision);
        }
        self.has_read |= !decisions.is_empty();
        let is_comparison = matches!(self.mode, Mode::Compare(_));
        let records = rows.retain(|index, _| !is_comparison && decisions.get(index) == Some(&Some(Decision::Emit)));
        let mut batch = self.context.output.begin_batch(records).await?;
        if !is_comparison {
            let known: Vec<Decision> = decisions.into_iter().flatten().collect();
            batch.inner.stats.count_skipped(&known);
            batch.inner.stats.repeated += repeated;
        }
        match self.state(reached) {
            Some(state) => batch.send_with_state(rows.lines, records, StatePolicy::WhenDue, || state.to_json()),
            None => batch.send(rows.lines, records),
        }
        Ok(())
    }

    /// Returns what to do with a row.
    fn decide(&self, row: &Row, hash: u64) -> Decision {
        match self.filter.decide(row, hash) {
            Decision::Emit if self.was_retried(row, hash) => Decision::AlreadySent,
            decision => decision,
        }
    }

    /// Returns true if the row was emitted among those that the store could not send in an earlier sync.
    fn was_retried(&self, row: &Row, hash: u64) -> bool {
        id_of(row.key).is_some_and(|id| self.retried.get(&id) == Some(&hash))
    }

    /// Returns the date that the walk has reached.
    pub(super) fn reached(&self) -> Option<i64> {
        self.reached
    }

    /// Emits a state, if one is due: all rows created before `reached` were read.
    pub(super) async fn pass(&mut self, reached: Option<i64>) -> Result<(), StreamError> {
        self.reach(reached);
        let Some(state) = self.state(reached) else { return Ok(()) };
        self.context.output.begin_batch(0).await?.send_state(StatePolicy::WhenDue, || state.to_json());
        Ok(())
    }

    /// Continues at another date: the next page begins with the rows of this date.
    fn reach(&mut self, reached: Option<i64>) {
        if self.reached != reached {
            self.last_edge = std::mem::take(&mut self.edge);
            self.reached = reached;
        }
    }

    /// Returns true if a row is emitted for the first time in this walk.
    fn is_first(&mut self, rows: &Rows, index: usize, row: &Row, hash: u64) -> bool {
        let id = id_of(row.key);
        match (&mut self.mode, id, row.updated) {
            (Mode::Compare(check), Some(id), CursorValue::At(date))
                if self.filter.known.floor().is_some_and(|floor| date >= floor) =>
            {
                check.add(id, hash);
            }
            (Mode::EmitChanged(changed), Some(id), _) => {
                let is_in =
                    |&(after, end): &Range| after.is_none_or(|after| id > after) && end.is_none_or(|end| id <= end);
                if !changed.iter().any(is_in) {
                    return false;
                }
            }
            _ => {}
        }
        let is_at_edge = self.reached.is_some() && row.created == self.reached;
        let resumed = self.resumed_edge.as_ref().filter(|(reached, _)| row.created == Some(*reached));
        if !is_at_edge && resumed.is_none() && !self.last_edge.contains_key(&row.key) {
            return true;
        }
        let hash = rows.hash(index, self.context.prefix_length());
        // The next page begins with the rows of this date.
        let was_resumed = resumed.is_some_and(|(_, edge)| edge.contains(hash));
        let before = if is_at_edge { self.edge.insert(row.key, hash) } else { None };
        let before = before.or_else(|| self.last_edge.get(&row.key).copied());
        // A full refresh emits each row once. What changed since is newer than the cursor.
        let was_sent = before.is_some_and(|before| before == hash || self.base.full);
        !was_sent && !was_resumed
    }

    /// Returns true if rows are missing that a state cannot list: the next sync reads the same ones.
    fn has_gaps(&self) -> bool {
        !self.unread_dates.is_empty() || self.context.rows_without_key() > 0
    }

    /// Returns the state of the walk at a date; `None` if there is none.
    fn state(&self, reached: Option<i64>) -> Option<Checkpoint> {
        if !matches!(self.mode, Mode::Emit) || self.has_gaps() {
            return None;
        }
        let position = self.position(reached)?;
        let unread = joined(self.base.unread.iter().chain(&self.unread).copied().collect());
        Some(Checkpoint { position: Some(Position::Dates(Box::new(position))), unread, ..self.base.clone() })
    }

    /// Emits the state of the rows emitted.
    pub(super) async fn send_progress(&self) -> Result<(), StreamError> {
        let Some(state) = self.state(self.reached) else { return Ok(()) };
        let batch = self.context.output.begin_batch(0).await?;
        if batch.inner.has_uncovered_records() {
            batch.send_state(StatePolicy::Now, || state.to_json());
        }
        Ok(())
    }

    /// Returns the keys above the greatest one before the walk that were read.
    fn above(&self) -> IdSet {
        let is_above = |key: &i64| self.greatest.is_some_and(|greatest| *key > greatest);
        self.walked().filter(is_above).collect()
    }

    /// Returns the result of the sync.
    pub(super) fn finished(self, full_refresh: bool, job: Option<Job>) -> FinishedSync {
        let (rows_without_key, has_gaps, above) = (self.context.rows_without_key(), self.has_gaps(), self.above());
        let Self { context, base, mut sent_rows, until, unread, unread_dates, greatest, has_read, .. } = self;
        let cursor = base.cursor.max(until);
        if cursor == base.cursor && !has_read {
            sent_rows.keep(&base.sent_rows);
        }
        let previous = if cursor == base.cursor { base.previous } else { base.cursor.or(base.previous) };
        let unread = joined(base.unread.iter().chain(&unread).copied().collect());
        let is_complete = unread.is_empty() && !has_gaps;
        let skipped_rows = (!is_complete).then(|| StreamError::RowsSkipped {
            unread: unread.clone(),
            between: Vec::new(),
            dates: unread_dates.clone(),
            hidden: Vec::new(),
            rows_without_key,
            not_utf8: context.is_not_utf8(),
        });
        let checkpoint = match has_gaps {
            false => Checkpoint { cursor, previous, sent_rows, unread, greatest, above, position: None, ..base },
            true => Checkpoint { position: None, unread, ..base },
        };
        let checkpoint = if full_refresh { checkpoint.refreshed(job, is_complete) } else { checkpoint };
        FinishedSync { checkpoint, skipped_rows }
    }
}

/// Returns a row with the date of its creation in place of a missing date of its change: rows from before a store kept
/// dates of changes have none until they change.
fn effective(row: &Row) -> Row {
    match (row.updated, row.created) {
        (CursorValue::Missing, Some(created)) if created > 0 => {
            Row { updated: CursorValue::At(Timestamp::from_unix_seconds(created)), offset: Some(0), ..*row }
        }
        _ => *row,
    }
}
