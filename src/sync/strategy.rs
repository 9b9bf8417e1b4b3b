//! Chooses how a stream is read, by its row in the table, and emits what a complete read of a stream finds.

use std::collections::HashSet;
use std::sync::Arc;

use super::checkpoint::{Checkpoint, Job, Range};
use super::context::{Between, FetchedPage, HiddenRows, StreamContext, StreamError};
use super::dated::DatedStream;
use super::joint::{self, Partner};
use super::position::Position;
use super::rows::{Row, Rows};
use super::stream_output::StatePolicy;
use super::stream_sync::{self, FinishedSync};
use super::{key_lists, last_page_first, one_response, windowed};
use crate::record::Key;
use crate::stream::Strategy;
use crate::timestamp::Timestamp;

/// Reads one stream to its end and returns its final state. `job` is the job of a full refresh.
pub(super) async fn run(
    context: &Arc<StreamContext>,
    checkpoint: Checkpoint,
    full_refresh: bool,
    job: Option<Job>,
    partner: Option<Partner>,
) -> Result<FinishedSync, StreamError> {
    if context.stream.strategy == Strategy::Keyset {
        return Box::pin(stream_sync::run(context, checkpoint, full_refresh, job)).await;
    }
    if context.stream.strategy == Strategy::DateWalk {
        let stream = DatedStream { context: Arc::clone(context), checkpoint, full_refresh, job };
        return Box::pin(joint::run(stream, partner)).await;
    }
    let parts = parts(context);
    let mut read = FullRead::new(context, checkpoint);
    match context.stream.strategy {
        Strategy::KeyLists => Box::pin(key_lists::run(&mut read, &parts)).await?,
        Strategy::LastPageFirst => Box::pin(last_page_first::run(&mut read, None)).await?,
        Strategy::DateWindows => Box::pin(windowed::run(&mut read, &parts)).await?,
        _ => Box::pin(one_response::run(&mut read)).await?,
    }
    read.finished(job)
}

/// Returns the parts in which the stream is requested: `None` alone for all of it.
pub(super) fn parts(context: &StreamContext) -> Vec<Option<String>> {
    let parts = context.client.parts(context.stream.requested());
    if parts.is_empty() { vec![None] } else { parts.into_iter().map(Some).collect() }
}

/// A read of all rows of a stream without dates of changes.
#[derive(Debug)]
pub(super) struct FullRead<'r> {
    pub context: &'r Arc<StreamContext>,
    /// The state of which each checkpoint is made.
    base: Checkpoint,
    /// Rows that the store cannot send and whose keys are not known, by the keys before and after them.
    between: Vec<Between>,
    /// Dates of rows that the store cannot send and whose keys are not known.
    unread_dates: Vec<Timestamp>,
    /// Rows that the store counts and does not list.
    hidden: Vec<HiddenRows>,
}

impl<'r> FullRead<'r> {
    fn new(context: &'r Arc<StreamContext>, checkpoint: Checkpoint) -> Self {
        // The rows that an interrupted read could not get are part of its result.
        let unread = if checkpoint.position.is_some() { checkpoint.unread.clone() } else { Vec::new() };
        let base = Checkpoint { full: true, unread, ..checkpoint };
        Self { context, base, between: Vec::new(), unread_dates: Vec::new(), hidden: Vec::new() }
    }

    /// Returns the position at which an interrupted read stopped.
    pub(super) fn position(&self) -> Option<&Position> {
        self.base.position.as_ref()
    }

    /// Records rows that the store cannot send.
    pub(super) fn add_unread(&mut self, range: Range) {
        self.base.unread.push(range);
    }

    /// Records a row that the store cannot send and whose key is not known, by the keys before and after it.
    pub(super) fn add_between(&mut self, before: Option<i64>, after: Option<i64>) {
        let between = (before.map(|key| key.to_string()), after.map(|key| key.to_string()));
        // A deletion can move the row to a place that is still to be read.
        if !self.between.contains(&between) {
            self.between.push(between);
        }
    }

    /// Records rows of a date that the store cannot send.
    pub(super) fn add_unread_date(&mut self, date: Timestamp) {
        self.unread_dates.push(date);
    }

    /// Records rows that the store counts and does not list.
    pub(super) fn add_hidden(&mut self, rows: HiddenRows) {
        self.hidden.push(rows);
    }

    /// Returns true if no rows are missing that a state cannot list.
    fn has_no_gaps(&self) -> bool {
        self.between.is_empty()
            && self.unread_dates.is_empty()
            && self.hidden.is_empty()
            && self.context.rows_without_key() == 0
    }

    /// Emits the rows for which `keep` returns true, and the state that covers them. The slot of the request is
    /// released at the end: the next request may need it.
    pub(super) async fn emit(
        &mut self,
        answer: FetchedPage,
        keep: impl FnMut(usize, &Row) -> bool,
        position: Position,
    ) -> Result<(), StreamError> {
        let FetchedPage { page: mut rows, slot, .. } = answer;
        let (came, records) = (rows.len(), rows.retain(keep));
        let mut batch = self.context.output.begin_batch(records).await?;
        batch.inner.stats.repeated += (came - records) as u64;
        self.base.position = Some(position);
        // A row whose place is not known would be missing after a continuation.
        match self.has_no_gaps() {
            true => batch.send_with_state(rows.lines, records, StatePolicy::WhenDue, || self.base.to_json()),
            false => batch.send(rows.lines, records),
        }
        drop(slot);
        Ok(())
    }

    /// Emits the rows whose keys are not in `keys` yet, and adds the keys, without a state.
    pub(super) async fn emit_new(&self, answer: FetchedPage, keys: &mut HashSet<Key>) -> Result<(), StreamError> {
        let FetchedPage { page: mut rows, slot, .. } = answer;
        let records = rows.retain(|_, row| keys.insert(row.key));
        self.context.output.begin_batch(records).await?.send(rows.lines, records);
        drop(slot);
        Ok(())
    }

    /// Emits a state at a position, if one is due.
    pub(super) async fn pass(&mut self, position: Position) -> Result<(), StreamError> {
        let batch = self.context.output.begin_batch(0).await?;
        self.base.position = Some(position);
        if self.has_no_gaps() {
            batch.send_state(StatePolicy::WhenDue, || self.base.to_json());
        }
        Ok(())
    }

    /// Emits all rows of a response, without a state.
    pub(super) async fn emit_all(&self, rows: Rows) -> Result<(), StreamError> {
        let records = rows.len();
        self.context.output.begin_batch(records).await?.send(rows.lines, records);
        Ok(())
    }

    /// Returns the result of the read.
    fn finished(self, job: Option<Job>) -> Result<FinishedSync, StreamError> {
        let rows_without_key = self.context.rows_without_key();
        let is_complete = self.base.unread.is_empty() && self.has_no_gaps();
        let Self { context, base, between, unread_dates, hidden } = self;
        let skipped_rows = (!is_complete).then(|| StreamError::RowsSkipped {
            unread: base.unread.clone(),
            between,
            dates: unread_dates,
            hidden,
            rows_without_key,
            not_utf8: context.is_not_utf8(),
        });
        // Each sync reads all rows: there is nothing from which the next one continues.
        let checkpoint = Checkpoint::default().refreshed(job, is_complete);
        Ok(FinishedSync { checkpoint, skipped_rows })
    }
}
