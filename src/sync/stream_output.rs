//! The output of a stream in a run: what was emitted, when a STATE is due, and the figures for the last LOG.
//!
//! Records of a stream are emitted only here, in the order in which its state covers them. Sends no request.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};

use super::checkpoint::CURSOR_FIELD;
use super::deletion_tracker::DeletionTracker;
use super::keyset::EmittedRows;
use super::row_filter::Decision;
use super::rows::Row;
use crate::airbyte::emit::SendPermit;
use crate::airbyte::message::record_prefix;
use crate::airbyte::{Closed, Emitter, Level, LineBatch, RecordBatch, StateMessage, StreamStatus};
use crate::output::progress::Progress;
use crate::output::run_summary::StreamFigures;
use crate::output::wait_time::WaitTime;
use crate::record::{CursorValue, FieldIssue, Key, MAX_FURTHER_FIELDS};

/// Records after which a state is emitted: one full page, so that a kill costs about a page.
const CHECKPOINT_RECORDS: u64 = 1000;
/// Pages after which a state is emitted, even if they had no new rows: a walk over known rows must not start over
/// after each kill.
const CHECKPOINT_PAGES: u32 = 10;
/// The same while nothing was emitted: a sync of an unchanged store emits only its final state, even if a hundred
/// thousand rows share the newest date.
const CHECKPOINT_PAGES_OF_NOTHING: u32 = 100;
/// With small pages a state is emitted when it is at most this part (1/8) of the output since the last one.
const CHECKPOINT_PART: usize = 8;

/// Times closer than this are the same: they were computed from two readings of the clock.
const SAME_MOMENT_MILLIS: u64 = 100;

/// Maximum warnings about fields per stream and run: far more than a store differs by, and few enough not to hide the
/// rest of the log if every row has other fields.
const WARNINGS: usize = 200;

/// The output of a stream.
#[derive(Debug)]
pub(super) struct StreamOutput {
    name: Arc<str>,
    /// The length of a RECORD line before its data.
    prefix_length: usize,
    emitter: Emitter,
    progress: Arc<Progress>,
    inner: Mutex<OutputState>,
    /// Requests sent. This and the waits do not use the lock of `inner`, which is held while records wait for a slow
    /// stdout.
    sent: AtomicU64,
    waits: StdMutex<WaitTime>,
    /// The known ids, if deleted rows are reported. Each state has them.
    deletions: OnceLock<DeletionTracker>,
    /// Rows that the run emitted before it began to read the stream again.
    emitted: OnceLock<HashMap<Key, CursorValue>>,
}

/// The state of the output; locked while records are emitted.
#[derive(Debug, Default)]
pub(super) struct OutputState {
    running: bool,
    since_state: u64,
    pages_since_state: u32,
    bytes_since_state: usize,
    last_state: Option<Value>,
    /// The last time that RATE_LIMITED reported.
    limited_until: Option<u64>,
    issues: HashSet<FieldIssue>,
    /// Warnings about fields that were logged, and those that were not.
    logged: usize,
    withheld: usize,
    /// Entries of `expand` whose collections some record has, and those that some record does not have.
    filled: BTreeSet<String>,
    unfilled: BTreeSet<String>,
    warned: HashSet<&'static str>,
    /// Figures for the last LOG.
    pub stats: SyncStats,
}

/// Figures of a stream in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SyncStats {
    /// Rows that the store counted in the range at first.
    pub counted: Option<u64>,
    /// Records emitted: rows, and marks of deleted ones.
    pub delivered: u64,
    /// Marks of deleted rows emitted.
    pub deleted: u64,
    /// Rows read that an earlier run emitted, as stored in the state.
    pub known: u64,
    /// Rows read that are outside the requested dates.
    pub outside: u64,
    /// Rows changed after the interrupted walk began, which the next pass emits.
    pub later: u64,
    /// Rows read twice because others moved.
    pub repeated: u64,
    /// Requests with a response.
    pub requests: u64,
    /// Failed attempts that were repeated.
    pub retries: u64,
    /// Set if the run finishes a walk that an earlier one began.
    pub resumed: Option<Resumed>,
}

/// The store's counts in a run that finishes an interrupted walk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Resumed {
    /// Rows that the walk had left, if the state has the count.
    pub left: Option<u64>,
    /// Rows of the pass that followed.
    pub since: Option<u64>,
}

impl SyncStats {
    /// Returns the number of rows emitted.
    pub(super) fn rows(&self) -> u64 {
        self.delivered.saturating_sub(self.deleted)
    }

    /// Counts the rows that were read and not emitted.
    pub(crate) fn count_skipped(&mut self, decisions: &[Decision]) {
        for decision in decisions {
            match decision {
                Decision::Emit => {}
                Decision::AlreadySent => self.known += 1,
                Decision::OutOfRange => self.outside += 1,
                Decision::Deferred => self.later += 1,
            }
        }
    }
}

/// A free slot in the output, with the lock on its state: records and the state that covers them cannot be separated,
/// since nothing waits between taking the slot and sending.
#[derive(Debug)]
pub(super) struct PendingBatch<'l> {
    output: &'l StreamOutput,
    permit: SendPermit<'l>,
    /// The state of the output.
    pub inner: MutexGuard<'l, OutputState>,
}

impl StreamOutput {
    /// Returns the output of a stream that starts now.
    pub(super) fn new(name: &str, emitter: Emitter, progress: Arc<Progress>) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            prefix_length: record_prefix(name).len(),
            emitter,
            progress,
            inner: Mutex::default(),
            sent: AtomicU64::default(),
            waits: StdMutex::default(),
            deletions: OnceLock::new(),
            emitted: OnceLock::new(),
        })
    }

    /// Returns the stream's name in messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the figures so far; `None` while records are emitted.
    pub(super) fn figures(&self) -> Option<StreamFigures> {
        let inner = self.inner.try_lock().ok()?;
        let stats = &inner.stats;
        let cursor = inner.last_state.as_ref().and_then(|state| state.get(CURSOR_FIELD)?.as_str());
        Some(StreamFigures {
            rows: stats.rows(),
            deleted: self.deletions().map(|_| stats.deleted),
            requests: self.sent(),
            retries: stats.retries,
            waited: self.waited(),
            cursor: cursor.map(str::to_owned),
        })
    }

    /// Adds these known ids to every state.
    pub(super) fn track_deletions(&self, tracker: DeletionTracker) {
        // Once per stream.
        let _first = self.deletions.set(tracker);
    }

    /// Returns the known ids, if deleted rows are reported.
    pub(super) fn deletions(&self) -> Option<&DeletionTracker> {
        self.deletions.get()
    }

    /// Records rows that this run emitted before it began to read the stream again.
    pub(super) fn note_emitted(&self, rows: &EmittedRows) {
        // A stream begins anew at most once.
        let _first = self.emitted.set(rows.iter().map(|(row, _)| (row.key, row.updated)).collect());
    }

    /// Emits rows again that were reported as deleted, and no row twice that the run emitted before it began again.
    pub(super) fn restore(&self, rows: &[Row], decisions: &mut [Decision]) {
        if let Some(emitted) = self.emitted.get() {
            for (row, decision) in rows.iter().zip(decisions.iter_mut()) {
                if *decision == Decision::Emit && emitted.get(&row.key) == Some(&row.updated) {
                    *decision = Decision::AlreadySent;
                }
            }
        }
        if let Some(tracker) = self.deletions() {
            tracker.restore(rows, decisions);
        }
    }

    /// Returns the emitter.
    pub(super) fn emitter(&self) -> &Emitter {
        &self.emitter
    }

    /// Locks the state of the output.
    pub(super) async fn inner(&self) -> MutexGuard<'_, OutputState> {
        self.inner.lock().await
    }

    /// Waits for a free slot for `records` records; emits RUNNING before the first.
    pub(super) async fn begin_batch(&self, records: usize) -> Result<PendingBatch<'_>, Closed> {
        let mut inner = self.inner.lock().await;
        if records > 0 && !inner.running {
            self.emitter.status(&self.name, StreamStatus::Running, None).await?;
            inner.running = true;
        }
        Ok(PendingBatch { output: self, permit: self.emitter.reserve().await?, inner })
    }

    /// Reports that the stream waits for the call limit until `quota_reset` (milliseconds since the epoch).
    pub(super) async fn rate_limited(&self, quota_reset: u64) -> Result<(), Closed> {
        // Locked, so that it cannot come between a page's state and the end of the stream.
        let mut inner = self.inner.lock().await;
        let until = SystemTime::UNIX_EPOCH + Duration::from_millis(quota_reset);
        self.waits(until.duration_since(SystemTime::now()).unwrap_or_default());
        self.progress.wait(&self.name, until);
        // Several requests of the stream wait for the same time; it is reported once.
        if inner.limited_until.is_some_and(|reported| quota_reset <= reported + SAME_MOMENT_MILLIS) {
            return Ok(());
        }
        inner.limited_until = Some(quota_reset);
        if !inner.running {
            self.emitter.status(&self.name, StreamStatus::Running, None).await?;
            inner.running = true;
        }
        self.emitter.status(&self.name, StreamStatus::Running, Some(quota_reset)).await
    }

    /// Records a wait that starts now.
    fn waits(&self, time: Duration) {
        let now = Instant::now();
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).begin(now, now + time);
    }

    /// Records a request that is sent now.
    pub(super) fn sends(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).sent(Instant::now());
        self.progress.send(&self.name);
    }

    /// Returns the requests sent, including repeated ones.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Returns the time spent waiting for the call limit or before another attempt. Overlapping waits count once.
    pub(super) fn waited(&self) -> Duration {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).total(Instant::now())
    }

    /// Reports that an attempt failed and another one follows. `how` describes how the next one differs, or is empty.
    pub(super) async fn retries(&self, attempt: u32, why: &str, delay: Duration, how: &str) -> Result<(), Closed> {
        self.waits(delay);
        self.inner.lock().await.stats.retries += 1;
        self.progress.retry(&self.name, why, delay);
        // One failure is common; if the next attempt fails too, it may be an outage.
        let level = if attempt < 2 { Level::Info } else { Level::Warn };
        let (name, next) = (&self.name, attempt + 1);
        self.emitter.log(level, &format!("{name}: {why}; retrying {}{how} (attempt {next}).", within(delay))).await
    }

    /// Records that the run finishes a walk that an earlier one began, with `left` rows left, if known.
    pub(super) async fn resume(&self, left: Option<u64>) -> Result<(), Closed> {
        self.inner.lock().await.stats.resumed = Some(Resumed { left, since: None });
        let Some(left) = left else { return Ok(()) };
        self.progress.expect(&self.name, left);
        self.emitter.estimate(&self.name, left).await
    }

    /// Records the store's count of the rows, once, and reports it.
    pub(super) async fn count(&self, counted: u64) -> Result<(), Closed> {
        let stats = &mut self.inner.lock().await.stats;
        if let Some(Resumed { left, since }) = &mut stats.resumed {
            // The pass after the walk: the platform has an estimate of what was left, if that was known.
            if since.is_none() {
                *since = Some(counted);
                self.progress.expect(&self.name, left.unwrap_or_default() + counted);
            }
            return Ok(());
        }
        if stats.counted.is_some() {
            return Ok(());
        }
        stats.counted = Some(counted);
        self.progress.expect(&self.name, counted);
        self.emitter.estimate(&self.name, counted).await
    }

    /// Logs a warning about the store once per run and stream.
    pub(super) async fn warn_once(&self, what: &'static str, text: &str) -> Result<(), Closed> {
        if self.inner.lock().await.warned.insert(what) {
            self.emitter.log(Level::Warn, &format!("{}: {text}", self.name)).await?;
        }
        Ok(())
    }

    /// Logs issues of fields, each once per run and stream.
    pub(super) async fn report(&self, issues: Vec<FieldIssue>) -> Result<(), Closed> {
        let name = &self.name;
        for issue in issues {
            let text = match issue.clone() {
                FieldIssue::Filled(entry) => {
                    self.inner.lock().await.filled.insert(entry);
                    continue;
                }
                FieldIssue::Unfilled(entry) => {
                    self.inner.lock().await.unfilled.insert(entry);
                    continue;
                }
                FieldIssue::Further(_) => {
                    let inner = &mut *self.inner.lock().await;
                    inner.withheld += usize::from(inner.issues.insert(issue));
                    continue;
                }
                FieldIssue::Dropped(field) => {
                    let text = format!(
                        "the store sent fields that are not in the schema, such as `{field}`. They are left out, because the catalog does not select all fields."
                    );
                    self.warn_once("dropped", &text).await?;
                    continue;
                }
                FieldIssue::Undeclared(field) => format!(
                    "{name}: the store sent the field `{field}`, which is not in the schema; it is in the records, but a platform drops it. Report it to this connector's project."
                ),
                FieldIssue::TypeMismatch(field, declared, came) => format!(
                    "{name}: `{field}` is declared as {declared}, but the store sent {came}; such values are emitted unchanged. Report it to this connector's project."
                ),
                FieldIssue::PlaceholderDate(field) => format!(
                    "{name}: the store sent placeholder dates in `{field}`, such as `-`, `0001-01-01T00:00:00` or one after the year 9999; they are emitted as null."
                ),
            };
            let is_logged = {
                let inner = &mut *self.inner.lock().await;
                if !inner.issues.insert(issue) {
                    continue;
                }
                let is_logged = inner.logged < WARNINGS;
                *(if is_logged { &mut inner.logged } else { &mut inner.withheld }) += 1;
                is_logged
            };
            if is_logged {
                self.emitter.log(Level::Warn, &text).await?;
            }
        }
        Ok(())
    }

    /// Logs issues of fields that are known only at the end of the run.
    pub(super) async fn report_at_end(&self) -> Result<(), Closed> {
        let mut texts = Vec::new();
        {
            let inner = self.inner.lock().await;
            // A single row may have no nested rows.
            let rows = inner.stats.rows();
            if rows > 1 {
                texts.extend(inner.unfilled.difference(&inner.filled).map(|entry| {
                    format!("none of {rows} rows has the nested data of `{entry}` in `expand`. Check in the store whether they have it; if they do, remove the entry from `expand` and report it.")
                }));
            }
            if inner.withheld > 0 {
                let least = if inner.withheld < MAX_FURTHER_FIELDS { "" } else { "at least " };
                texts.push(format!("{least}{} more warnings about fields are not shown.", inner.withheld));
            }
        }
        for text in texts {
            self.emitter.log(Level::Warn, &format!("{}: {text}", self.name)).await?;
        }
        Ok(())
    }
}

/// Returns a delay as a string.
fn within(delay: Duration) -> String {
    match delay.as_secs_f64() {
        seconds if delay.is_zero() || seconds < 0.05 => "at once".to_owned(),
        seconds if seconds < 1.0 => format!("in {seconds:.1} s"),
        seconds => format!("in {seconds:.0} s"),
    }
}

impl PendingBatch<'_> {
    /// Adds the rows of this batch to the known ids.
    pub(super) fn note(&self, rows: &[Row], decisions: &[Decision]) {
        if let Some(tracker) = self.output.deletions() {
            tracker.note(rows, decisions);
        }
    }

    /// Sends `records` records without a state.
    pub(super) fn send(mut self, lines: LineBatch, records: usize) {
        self.count(records);
        self.emit(lines, None);
    }

    /// Sends `records` records and, if one is due, the state returned by `state`. With known ids, which are large, it
    /// waits until they are a small part of the output.
    pub(super) fn send_with_state(
        mut self,
        lines: LineBatch,
        records: usize,
        when: StatePolicy,
        state: impl FnOnce() -> Value,
    ) {
        self.count(records);
        let inner = &mut *self.inner;
        inner.bytes_since_state += lines.len();
        let pages = if inner.stats.delivered == 0 { CHECKPOINT_PAGES_OF_NOTHING } else { CHECKPOINT_PAGES };
        let due = inner.since_state >= CHECKPOINT_RECORDS || inner.pages_since_state >= pages;
        let tracker = self.output.deletions();
        let known = tracker.map_or(0, DeletionTracker::size);
        if known > 0 && when == StatePolicy::WhenDue && inner.bytes_since_state < CHECKPOINT_PART * known {
            return self.emit(lines, None);
        }
        let mut state = state();
        if let Some(tracker) = tracker {
            tracker.write(&mut state);
        }
        let is_due = match when {
            StatePolicy::Final => true,
            // The platform miscounts if a stream emits two equal states in one run.
            _ if inner.last_state.as_ref() == Some(&state) => false,
            StatePolicy::Now => true,
            StatePolicy::WhenDue => due || inner.bytes_since_state >= CHECKPOINT_PART * state.to_string().len(),
        };
        let state = if is_due { inner.take_state(&self.output.name, state) } else { None };
        self.emit(lines, state);
    }

    /// Sends the state returned by `state`, if one is due, without records.
    pub(super) fn send_state(self, when: StatePolicy, state: impl FnOnce() -> Value) {
        self.send_with_state(LineBatch::default(), 0, when, state);
    }

    fn count(&mut self, records: usize) {
        self.output.progress.deliver(&self.output.name, records as u64);
        self.inner.since_state += records as u64;
        self.inner.stats.delivered += records as u64;
        self.inner.pages_since_state += 1;
    }

    fn emit(self, lines: LineBatch, state: Option<StateMessage>) {
        let StreamOutput { name, prefix_length, .. } = self.output;
        self.permit.send(RecordBatch { stream: Arc::clone(name), prefix_length: *prefix_length, lines, state });
    }
}

/// Decides when a state is emitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StatePolicy {
    /// After enough records or pages since the last one.
    WhenDue,
    /// With these records, if it differs from the last one.
    Now,
    /// Always: the platform waits for a state after the last change of status.
    Final,
}

impl OutputState {
    /// Returns the message of a state that is emitted now.
    fn take_state(&mut self, name: &Arc<str>, state: Value) -> Option<StateMessage> {
        let raw = serde_json::value::to_raw_value(&state).ok()?;
        let message = StateMessage { stream: Arc::clone(name), state: raw, records: self.since_state };
        self.last_state = Some(state);
        self.since_state = 0;
        self.pages_since_state = 0;
        self.bytes_since_state = 0;
        Some(message)
    }

    /// Returns the last state of this run.
    pub(super) fn last_state(&self) -> Option<&Value> {
        self.last_state.as_ref()
    }

    /// Returns true if records were emitted since the last state.
    pub(super) fn has_uncovered_records(&self) -> bool {
        self.since_state > 0
    }
}
