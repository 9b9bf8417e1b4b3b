//! The account of one stream in one run: what went out, what a STATE may claim, what the last LOG says.
//!
//! Lines of a stream leave through here only, in the order in which the state knows of them. Nothing
//! here asks the store.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::{Mutex, MutexGuard};

use super::row_filter::Decision;
use crate::airbyte::emit::SendPermit;
use crate::airbyte::message::state_line;
use crate::airbyte::{Closed, Emitter, Level, LineBatch, StreamStatus};
use crate::output::progress::Progress;
use crate::output::run_summary::StreamFigures;
use crate::output::wait_time::WaitTime;
use crate::record::{FieldIssue, MAX_FURTHER_FIELDS};
use crate::streams::CURSOR;

/// Records after which a checkpoint goes out: one full page, so that a kill costs about a page.
const CHECKPOINT_RECORDS: u64 = 1000;
/// Pages after which a checkpoint goes out, whatever they held: rows that are only looked at must not
/// be looked at from the start again after each kill.
const CHECKPOINT_PAGES: u32 = 10;
/// The same while nothing was delivered: a sync of an unchanged store sends its final state alone, also
/// where an import has tied a hundred thousand rows.
const CHECKPOINT_PAGES_OF_NOTHING: u32 = 100;
/// Where pages are small, a checkpoint goes out when it takes at most this part of the output.
const CHECKPOINT_PART: usize = 8;

/// Moments closer than this are the same: they were computed from two readings of the clock.
const SAME_MOMENT_MILLIS: u64 = 100;

/// Warnings about fields that a stream logs in one run: far more than a store differs by, and few enough not to bury
/// the rest of the log where each row has other fields.
const WARNINGS: usize = 200;

/// The account.
#[derive(Debug)]
pub(super) struct StreamOutput {
    name: String,
    emitter: Emitter,
    progress: Arc<Progress>,
    inner: Mutex<OutputState>,
    /// Requests sent. This and the waits are noted without the lock of the entries, which is held while lines wait
    /// for a slow stdout: a request does not wait for that.
    sent: AtomicU64,
    waits: StdMutex<WaitTime>,
}

/// The entries; locked while lines leave.
#[derive(Debug, Default)]
pub(super) struct OutputState {
    running: bool,
    since_state: u64,
    pages_since_state: u32,
    bytes_since_state: usize,
    last_state: Option<Value>,
    /// The last moment that RATE_LIMITED named.
    limited_until: Option<u64>,
    issues: HashSet<FieldIssue>,
    /// Warnings about fields that were logged, and those that were one too many.
    logged: usize,
    withheld: usize,
    /// Entries of `expand` whose collections some record has, and those that some record lacks.
    filled: BTreeSet<String>,
    unfilled: BTreeSet<String>,
    warned: HashSet<&'static str>,
    /// What happened, for the last LOG.
    pub stats: SyncStats,
}

/// What a run did for a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SyncStats {
    /// Rows that the store counted in the range when it was first asked.
    pub counted: Option<u64>,
    /// Rows delivered.
    pub delivered: u64,
    /// Rows that came but were delivered before, as remembered in the state.
    pub known: u64,
    /// Rows that came but lie outside the dates asked for.
    pub outside: u64,
    /// Rows changed after the interrupted walk began, which the pass after it brings.
    pub later: u64,
    /// Rows that came a second time because others moved.
    pub repeated: u64,
    /// Requests that brought an answer.
    pub requests: u64,
    /// Attempts that failed and were made again.
    pub retries: u64,
    /// Set if the run finishes a walk that an earlier one began.
    pub resumed: Option<Resumed>,
}

/// The rows of a run that finishes an interrupted walk, as the store counted them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Resumed {
    /// Those that the walk had left, if its state knew how many there were.
    pub left: Option<u64>,
    /// Those of the pass that followed.
    pub since: Option<u64>,
}

impl SyncStats {
    /// Counts the rows that came and were not delivered.
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

/// A place for lines in the output, held together with the entries, so that what is entered and what
/// leaves cannot come apart: between taking it and sending nothing waits.
#[derive(Debug)]
pub(super) struct PendingBatch<'l> {
    name: &'l str,
    progress: &'l Progress,
    permit: SendPermit<'l>,
    /// The entries.
    pub inner: MutexGuard<'l, OutputState>,
}

impl StreamOutput {
    /// An empty account for the stream of this name.
    #[must_use]
    pub(super) fn new(name: String, emitter: Emitter, progress: Arc<Progress>) -> Arc<Self> {
        let (inner, sent, waits) = (Mutex::default(), AtomicU64::default(), StdMutex::default());
        Arc::new(Self { name, emitter, progress, inner, sent, waits })
    }

    /// The name that messages bear.
    #[must_use]
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns what was read so far; nothing while lines leave.
    #[must_use]
    pub(super) fn figures(&self) -> Option<StreamFigures> {
        let inner = self.inner.try_lock().ok()?;
        let stats = &inner.stats;
        let cursor = inner.last_state.as_ref().and_then(|state| state.get(CURSOR)?.as_str());
        Some(StreamFigures {
            rows: stats.delivered,
            requests: self.sent(),
            retries: stats.retries,
            waited: self.waited(),
            cursor: cursor.map(str::to_owned),
        })
    }

    /// Where messages go.
    #[must_use]
    pub(super) fn emitter(&self) -> &Emitter {
        &self.emitter
    }

    /// Looks at the entries.
    pub(super) async fn inner(&self) -> MutexGuard<'_, OutputState> {
        self.inner.lock().await
    }

    /// Takes a place in the output for `records` records; says RUNNING before the first.
    ///
    /// # Errors
    /// [`Closed`] if stdout is gone.
    pub(super) async fn begin_batch(&self, records: usize) -> Result<PendingBatch<'_>, Closed> {
        let mut inner = self.inner.lock().await;
        if records > 0 && !inner.running {
            self.emitter.status(&self.name, StreamStatus::Running, None).await?;
            inner.running = true;
        }
        Ok(PendingBatch { name: &self.name, progress: &self.progress, permit: self.emitter.reserve().await?, inner })
    }

    /// Says that the stream waits for the call limit until `quota_reset` (milliseconds since the epoch).
    ///
    /// # Errors
    /// [`Closed`] if stdout is gone.
    pub(super) async fn rate_limited(&self, quota_reset: u64) -> Result<(), Closed> {
        // Under the lock, so that it cannot come between a page's state and the end of the stream.
        let mut inner = self.inner.lock().await;
        let until = SystemTime::UNIX_EPOCH + Duration::from_millis(quota_reset);
        self.waits(until.duration_since(SystemTime::now()).unwrap_or_default());
        self.progress.wait(&self.name, until);
        // Several requests of the stream wait for the same moment; it is said once.
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

    /// Notes a wait that begins now.
    fn waits(&self, time: Duration) {
        let now = Instant::now();
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).begin(now, now + time);
    }

    /// Notes a request that is sent now.
    pub(super) fn sends(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).sent(Instant::now());
        self.progress.send(&self.name);
    }

    /// Returns the requests that were sent, each attempt of them.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Returns the time spent waiting for the call limit or before another attempt. Concurrent requests wait at the
    /// same time, which counts once.
    pub(super) fn waited(&self) -> Duration {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).total(Instant::now())
    }

    /// Says that an attempt failed, why, and that another one follows: `how` is empty or says with what.
    ///
    /// # Errors
    /// [`Closed`] if stdout is gone.
    pub(super) async fn retries(&self, attempt: u32, why: &str, delay: Duration, how: &str) -> Result<(), Closed> {
        self.waits(delay);
        self.inner.lock().await.stats.retries += 1;
        self.progress.retry(&self.name, why, delay);
        // One failure is nothing unusual; where the next attempt fails as well, it may be an outage.
        let level = if attempt < 2 { Level::Info } else { Level::Warn };
        let (name, next) = (&self.name, attempt + 1);
        self.emitter.log(level, &format!("{name}: {why}; retrying {}{how} (attempt {next}).", within(delay))).await
    }

    /// Says that the run finishes a walk that an earlier one began. `left` is how many rows it had left, if that
    /// is known.
    ///
    /// # Errors
    /// [`Closed`] if stdout is gone.
    pub(super) async fn resume(&self, left: Option<u64>) -> Result<(), Closed> {
        self.inner.lock().await.stats.resumed = Some(Resumed { left, since: None });
        let Some(left) = left else { return Ok(()) };
        self.progress.expect(&self.name, left);
        self.emitter.estimate(&self.name, left).await
    }

    /// Enters the store's own count of the rows, once, and tells it.
    ///
    /// # Errors
    /// [`Closed`] if stdout is gone.
    pub(super) async fn count(&self, counted: u64) -> Result<(), Closed> {
        let stats = &mut self.inner.lock().await.stats;
        if let Some(Resumed { left, since }) = &mut stats.resumed {
            // The pass after the walk: the platform has an estimate of what was left, unless nothing told it.
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
    ///
    /// # Errors
    /// [`Closed`] if stdout is gone.
    pub(super) async fn warn_once(&self, what: &'static str, text: &str) -> Result<(), Closed> {
        if self.inner.lock().await.warned.insert(what) {
            self.emitter.log(Level::Warn, &format!("{}: {text}", self.name)).await?;
        }
        Ok(())
    }

    /// Reports what was noticed about fields, each once per run and stream.
    ///
    /// # Errors
    /// [`Closed`] if stdout is gone.
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

    /// Reports what can be said of fields only at the end of the run.
    ///
    /// # Errors
    /// [`Closed`] if stdout is gone.
    pub(super) async fn report_at_end(&self) -> Result<(), Closed> {
        let mut texts = Vec::new();
        {
            let inner = self.inner.lock().await;
            // A single row may have nothing to nest.
            let rows = inner.stats.delivered;
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

/// Returns a delay in words.
fn within(delay: Duration) -> String {
    match delay.as_secs_f64() {
        seconds if delay.is_zero() || seconds < 0.05 => "at once".to_owned(),
        seconds if seconds < 1.0 => format!("in {seconds:.1} s"),
        seconds => format!("in {seconds:.0} s"),
    }
}

impl PendingBatch<'_> {
    /// Sends lines that hold `records` records, with no state.
    pub(super) fn send(mut self, lines: LineBatch, records: usize) {
        self.inner.since_state += records as u64;
        self.inner.stats.delivered += records as u64;
        self.inner.pages_since_state += 1;
        self.progress.deliver(self.name, records as u64);
        self.permit.send(lines);
    }

    /// Sends lines that hold `records` records and, when it is time, the state that `state` makes.
    pub(super) fn send_with_state(
        mut self,
        mut lines: LineBatch,
        records: usize,
        when: StatePolicy,
        state: impl FnOnce() -> Value,
    ) {
        self.progress.deliver(self.name, records as u64);
        let inner = &mut *self.inner;
        inner.since_state += records as u64;
        inner.stats.delivered += records as u64;
        inner.pages_since_state += 1;
        inner.bytes_since_state += lines.len();
        let pages = if inner.stats.delivered == 0 { CHECKPOINT_PAGES_OF_NOTHING } else { CHECKPOINT_PAGES };
        let due = inner.since_state >= CHECKPOINT_RECORDS || inner.pages_since_state >= pages;
        let state = state();
        let is_time = match when {
            StatePolicy::Final => true,
            // The platform loses its count over two equal states of a stream in one run.
            _ if inner.last_state.as_ref() == Some(&state) => false,
            StatePolicy::Now => true,
            StatePolicy::WhenDue => due || inner.bytes_since_state >= CHECKPOINT_PART * state.to_string().len(),
        };
        if is_time {
            inner.append_state(self.name, state, &mut lines);
        }
        self.permit.send(lines);
    }
}

/// When a state goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StatePolicy {
    /// When enough has gone out since the last one.
    WhenDue,
    /// With these lines, if it says anything new.
    Now,
    /// In any case: the platform waits for a state behind the last change of status.
    Final,
}

impl OutputState {
    fn append_state(&mut self, name: &str, state: Value, lines: &mut LineBatch) {
        let Ok(raw) = serde_json::value::to_raw_value(&state) else { return };
        let raw: &RawValue = &raw;
        lines.append(state_line(name, raw, self.since_state));
        self.last_state = Some(state);
        self.since_state = 0;
        self.pages_since_state = 0;
        self.bytes_since_state = 0;
    }

    /// The last state that went out in this run.
    #[must_use]
    pub(super) fn last_state(&self) -> Option<&Value> {
        self.last_state.as_ref()
    }

    /// Whether records went out since the last state.
    #[must_use]
    pub(super) fn has_uncovered_records(&self) -> bool {
        self.since_state > 0
    }
}
