//! One stream being read: what all ways of reading it share, and how it can stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, watch};

use super::ends::Ends;
use super::ledger::Ledger;
use super::rows::{Expected, Rows, Taking};
use super::saved::Range;
use crate::airbyte::message::{millis, record_prefix};
use crate::airbyte::{Closed, Level};
use crate::cart::{self, Client, ListNames, Notice, Query, Watch};
use crate::failure::in_short;
use crate::record::{Copier, Shape};
use crate::streams::{LIST_NAMES, Stream};
use crate::timestamp::Timestamp;

/// Why a stream stopped before it was complete.
#[derive(Debug)]
pub enum Stop {
    /// Stdout is gone.
    Closed,
    /// The process was asked to end.
    Interrupted,
    /// A request failed for good.
    Request(cart::Error),
    /// The store does not answer the key walk as documented; the clause says in what. Caught, and
    /// answered by the page walk.
    Distrust(&'static str),
    /// The store counts more rows than it lists.
    Lost {
        /// Rows the store counts.
        counted: u64,
        /// Rows it listed.
        listed: u64,
    },
    /// Counts that had ruled out rows without a date turned out to be wrong, and there are such rows.
    Miscounted,
    /// The rows moved for as long as the page walk was willing to follow them.
    Restless,
    /// Rows were left out; all others were delivered, and the state says which are missing.
    LeftOut {
        /// Ranges of keys whose rows the store could not send: greater than the first, at most the second.
        unread: Vec<(Option<i64>, Option<i64>)>,
        /// Rows that the store could not send, by the keys before and after them.
        between: Vec<Between>,
        /// Rows without a key.
        keyless: u64,
        /// Whether an answer with one of the rows is not UTF-8 text.
        not_text: bool,
    },
}

/// The keys of the rows before and after one, where there are such rows.
pub(crate) type Between = (Option<String>, Option<String>);

impl From<Closed> for Stop {
    fn from(Closed: Closed) -> Self {
        Self::Closed
    }
}

/// One stream being read.
#[derive(Debug)]
pub(super) struct Reader {
    /// The row of the table.
    pub stream: &'static Stream,
    /// The store.
    pub client: Arc<Client>,
    /// Where everything goes out.
    pub ledger: Arc<Ledger>,
    /// The first instant of change that is read.
    pub start: Timestamp,
    /// The first that is not.
    pub end: Option<Timestamp>,
    shape: Arc<Shape>,
    /// The parameter that asks for nested collections, if any are wanted.
    nested: Option<(&'static str, String)>,
    /// The fields that are asked for, if not all are wanted.
    fields: Option<String>,
    stopping: watch::Receiver<bool>,
    prefix_length: usize,
    /// What was learned about the ends of this stream's lists.
    pub ends: Ends,
    /// The most rows without a key that one answer held.
    keyless: AtomicU64,
    /// Whether the store answers 404 where a list is empty.
    is_empty_missing: AtomicBool,
    /// Whether any answer of this run listed a row.
    has_listed: AtomicBool,
    /// Rows that answers without conditions counted: the most of this run, until a second answer said fewer.
    counted: AtomicU64,
    /// Whether a row could not be had because its text is not UTF-8.
    not_text: AtomicBool,
}

/// An answer of the store, read.
#[derive(Debug)]
pub(super) struct Fetched {
    /// Its rows.
    pub page: Rows,
    /// Its place among the requests in flight, until the rows were passed on.
    pub place: Option<OwnedSemaphorePermit>,
    /// The store's clock when it answered, if it told.
    pub date: Option<Timestamp>,
    /// Whether the store answered that there is no such list, which counts as an empty one.
    pub is_missing: bool,
    /// Whether an answer to the same question just before counted more rows.
    pub was_counted_higher: bool,
}

impl Fetched {
    /// Returns true if the answer looks like one that was cut.
    fn is_doubtful(&self) -> bool {
        self.was_counted_higher || (self.page.listed() == 0 && self.page.envelope.total.is_none())
    }
}

impl Reader {
    /// A reader of one stream, which stops when `stopping` turns true.
    #[must_use]
    pub(super) fn new(
        stream: &'static Stream,
        client: Arc<Client>,
        ledger: Arc<Ledger>,
        (start, end): (Timestamp, Option<Timestamp>),
        shape: Shape,
        (nested, fields): (Option<(&'static str, String)>, Option<String>),
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let prefix_length = record_prefix(ledger.name()).len();
        Self {
            stream,
            client,
            ledger,
            start,
            end,
            shape: Arc::new(shape),
            nested,
            fields,
            stopping,
            prefix_length,
            ends: Ends::default(),
            keyless: AtomicU64::new(0),
            is_empty_missing: AtomicBool::new(false),
            has_listed: AtomicBool::new(false),
            counted: AtomicU64::new(0),
            not_text: AtomicBool::new(false),
        }
    }

    /// A copier for one sequence of requests.
    #[must_use]
    pub(super) fn copier(&self) -> Copier {
        Copier::new(Arc::clone(&self.shape))
    }

    /// The length of what stands before the data in each line.
    #[must_use]
    pub(super) fn prefix_length(&self) -> usize {
        self.prefix_length
    }

    /// The most rows without a key that one answer held.
    #[must_use]
    pub(super) fn keyless(&self) -> u64 {
        self.keyless.load(Ordering::Relaxed)
    }

    /// Returns true if a row could not be had because its text is not UTF-8.
    #[must_use]
    pub(super) fn is_not_text(&self) -> bool {
        self.not_text.load(Ordering::Relaxed)
    }

    /// Notes why a row could not be had.
    pub(super) fn note_unreadable(&self, error: &cart::Error) {
        if error.is_not_text() {
            self.not_text.store(true, Ordering::Relaxed);
        }
    }

    /// Notes that the store has rows without a key.
    pub(super) fn note_keyless(&self, rows: u64) {
        self.keyless.fetch_max(rows, Ordering::Relaxed);
    }

    /// Requests one page and reads it. A list that is not found counts as empty where the resource itself is
    /// found: the API documents 404 for pages out of bounds, and a store may answer so where nothing matches.
    ///
    /// # Errors
    /// [`Stop`] if the request failed for good, or the process is to end.
    pub(super) async fn fetch(&self, query: &Query, copier: &mut Copier) -> Result<Fetched, Stop> {
        self.fetch_expecting(query, Expected::Anything, copier).await
    }

    /// The same, for rows in the order of their keys, within a range.
    ///
    /// # Errors
    /// [`Stop`]; [`Stop::Distrust`] if the keys are others, in a second answer as well.
    pub(super) async fn fetch_range(&self, query: &Query, range: Range, copier: &mut Copier) -> Result<Fetched, Stop> {
        self.fetch_expecting(query, Expected::Keys(range), copier).await
    }

    async fn fetch_expecting(&self, query: &Query, expected: Expected, copier: &mut Copier) -> Result<Fetched, Stop> {
        match self.send(query, expected, copier).await {
            // A list that is empty and not counted looks like one that was cut, and so does one that counts fewer
            // rows than an answer before: it is believed the second time.
            Ok(answer) if answer.is_doubtful() => {
                drop(answer);
                let again = self.send(query, expected, copier).await?;
                if let (false, Some(total)) = (query.is_filtered(), again.page.envelope.total) {
                    self.counted.store(total, Ordering::Relaxed);
                }
                Ok(again)
            }
            Err(Stop::Request(error)) if is_not_found(&error) && query.page_number() == 1 => {
                self.confirm_empty(query, expected, error, copier).await
            }
            other => other,
        }
    }

    /// Finds out whether a list that was not found is an empty one.
    async fn confirm_empty(
        &self,
        query: &Query,
        expected: Expected,
        error: cart::Error,
        copier: &mut Copier,
    ) -> Result<Fetched, Stop> {
        let empty = |date| {
            Ok(Fetched { page: Rows::default(), place: None, date, is_missing: true, was_counted_higher: false })
        };
        if !query.is_filtered() {
            // A host that is no store answers 404 as well, but says that no resource matches.
            if error.knows_no_resource() {
                return Err(Stop::Request(error));
            }
            match self.send(query, expected, copier).await {
                Err(Stop::Request(again)) if is_not_found(&again) && !again.knows_no_resource() => {}
                other => return other,
            }
            // A stream that listed rows a moment ago is not empty.
            if self.has_listed.load(Ordering::Relaxed) {
                return Err(Stop::Request(error));
            }
            let text = "the store answers 404 for this resource, twice; it is taken to be empty.";
            self.ledger.warn_once("empty", text).await?;
            return empty(None);
        }
        let mut date = None;
        if !self.is_empty_missing.load(Ordering::Relaxed) {
            match self.send(&Query::new(self.stream.name, 1), Expected::Anything, copier).await {
                Ok(answer) => date = answer.date,
                Err(Stop::Request(_)) => return Err(Stop::Request(error)),
                Err(stop) => return Err(stop),
            }
            self.is_empty_missing.store(true, Ordering::Relaxed);
        }
        if expected == Expected::Anything {
            return empty(date);
        }
        // The rest of a walk hangs on it: asked twice.
        match self.send(query, expected, copier).await {
            Err(Stop::Request(again)) if is_not_found(&again) => empty(date),
            other => other,
        }
    }

    async fn send(&self, query: &Query, expected: Expected, copier: &mut Copier) -> Result<Fetched, Stop> {
        let mut query = query.clone();
        if let Some((parameter, names)) = &self.nested {
            query = query.nested(parameter, names);
        }
        if let Some(names) = &self.fields {
            query = query.fields(names);
        }
        if self.ends.is_count_wrong() {
            query = query.distrust_count();
        }
        let own = [self.stream.list, self.stream.name];
        let names = ListNames { own: &own, foreign: &LIST_NAMES };
        let prefix = record_prefix(self.ledger.name());
        let mut stopping = self.stopping.clone();
        let (page, place, date, probed) = {
            let mut taking = Taking::new(self.ledger.emitter().lines(), &prefix, copier).expecting(expected);
            let mut answer = tokio::select! {
                answer = self.client.get(&query, names, self, &mut taking) => answer.map_err(Stop::Request)?,
                _ = stopping.wait_for(|stop| *stop) => return Err(Stop::Interrupted),
            };
            let mut page = taking.into_rows(answer.page, answer.count);
            page.lines.hold(answer.room.take());
            (page, answer.place, answer.date, answer.counted)
        };
        self.note_keyless(page.keyless as u64);
        if page.listed() > 0 {
            self.has_listed.store(true, Ordering::Relaxed);
        }
        self.ledger.entries().await.tally.requests += 1;
        let findings = copier.take_findings();
        if !findings.is_empty() {
            self.ledger.report(findings).await?;
        }
        // Only an answer that looks like the whole list can hide rows by its count.
        let was_counted_higher = match page.envelope.total {
            Some(total) if !query.is_filtered() && query.trusts_count() => {
                let most = total.max(probed.unwrap_or(0));
                let before = self.counted.fetch_max(most, Ordering::Relaxed).max(most);
                total < before && page.listed() >= total
            }
            _ => false,
        };
        let date = date.and_then(Timestamp::from_system);
        Ok(Fetched { page, place: Some(place), date, is_missing: false, was_counted_higher })
    }
}

/// Returns true if the store answered 404.
pub(super) fn is_not_found(error: &cart::Error) -> bool {
    error.status() == Some(404)
}

/// Warnings about the store's ways, each once per run and stream.
impl Reader {
    /// The date filter is not honoured.
    ///
    /// # Errors
    /// [`Closed`] if stdout is gone.
    pub(crate) async fn warn_dates(&self) -> Result<(), Closed> {
        let text = "the store does not filter by `updated_at` as documented; rows outside the dates asked for are dropped here, which costs time.";
        self.ledger.warn_once("dates", text).await
    }

    /// The order is not honoured.
    ///
    /// # Errors
    /// [`Closed`] if stdout is gone.
    pub(crate) async fn warn_sort(&self) -> Result<(), Closed> {
        let text = "the store does not sort as documented; it is read with one request at a time, and later syncs look at more rows than they need.";
        self.ledger.warn_once("sort", text).await
    }

    /// Rows without a date are there where none are expected.
    ///
    /// # Errors
    /// [`Closed`] if stdout is gone.
    pub(crate) async fn warn_undated(&self) -> Result<(), Closed> {
        let text = "the store has rows without `updated_at`; this sync brings them, but a later incremental sync sees a change of them only if it gives them a date. Run a full refresh from time to time.";
        self.ledger.warn_once("undated", text).await
    }

    /// Notes that `total_count` is wrong.
    ///
    /// # Errors
    /// [`Closed`] if stdout is gone.
    pub(crate) async fn miscounted(&self) -> Result<(), Closed> {
        if !self.ends.contradicted() {
            return Ok(());
        }
        let text = "the store's `total_count` is smaller than the number of rows it lists; it is not used, and each list is read until a request lists nothing.";
        self.ledger.warn_once("count", text).await
    }

    /// The date filter hides rows.
    ///
    /// # Errors
    /// [`Closed`] if stdout is gone.
    pub(crate) async fn warn_hidden(&self, hours: i64) -> Result<(), Closed> {
        let text = format!(
            "the store's filter on `updated_at` hides rows that it should list, as a store does that confuses time zones; rows are requested from {hours} hours earlier and compared here."
        );
        self.ledger.warn_once("hidden", &text).await
    }

    /// The cursor is ahead of the store's clock.
    ///
    /// # Errors
    /// [`Closed`] if stdout is gone.
    pub(crate) async fn warn_ahead(
        &self,
        cursor: Timestamp,
        date: Timestamp,
        back: Option<Timestamp>,
    ) -> Result<(), Closed> {
        let text = match back {
            Some(back) => format!(
                "the state's `updated_at` ({cursor}) is ahead of the store's clock ({date}), which must have been ahead; changes are read from the cursor before it, {back}."
            ),
            None => format!(
                "the state's `updated_at` ({cursor}) is ahead of the store's clock ({date}), and no earlier cursor is known; changes are read from {date} on, earlier ones may be missing. To read them, set `updated_at` in the stream's state to a date before them, or remove the stream from the state."
            ),
        };
        self.ledger.warn_once("ahead", &text).await
    }

    /// The key walk is not honoured; the clause says in what.
    ///
    /// # Errors
    /// [`Closed`] if stdout is gone.
    pub(crate) async fn warn_keys(&self, why: &str) -> Result<(), Closed> {
        let text = format!(
            "the store does not answer a read by key as documented ({why}); it is read page by page instead, which is slower."
        );
        self.ledger.warn_once("keys", &text).await
    }
}

impl Reader {
    async fn retries(&self, attempt: u32, error: &cart::Error, delay: Duration, how: &str) -> Result<(), Closed> {
        self.ledger.emitter().log(Level::Debug, &error.to_string()).await?;
        self.ledger.retries(attempt, &in_short(error), delay, how).await
    }
}

impl Watch for Reader {
    async fn notice(&self, notice: Notice<'_>) {
        // A closed stdout is noticed where records are sent.
        let _told = match notice {
            Notice::Waiting(moment) => self.ledger.rate_limited(millis(moment)).await,
            Notice::Retrying { attempt, error, delay } => self.retries(attempt, error, delay, "").await,
            Notice::Probing { attempt, error } => {
                let how = " with one row, to see whether the page is the cause";
                self.retries(attempt, error, Duration::ZERO, how).await
            }
            Notice::Shrinking { attempt, error, count } => {
                let how = format!(" with a page of {count}");
                self.retries(attempt, error, Duration::ZERO, &how).await
            }
            Notice::Sending => {
                self.ledger.sends();
                Ok(())
            }
            Notice::Done(exchange) => {
                let text = format!("{}: {exchange}.", self.ledger.name());
                self.ledger.emitter().log(Level::Debug, &text).await
            }
        };
    }
}
