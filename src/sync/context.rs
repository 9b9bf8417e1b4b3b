//! One stream being read: what all ways of reading it share, and how it can stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, watch};

use super::checkpoint::Range;
use super::list_end::EndDetector;
use super::query::Query;
use super::rows::{ExpectedKeys, RowSink, Rows};
use super::shop::{Capabilities, Shop};
use super::stream::Stream;
use super::stream_output::StreamOutput;
use crate::airbyte::message::{millis, record_prefix};
use crate::airbyte::{Closed, Level};
use crate::http::{BoxFuture, Error, RequestEvent, RequestObserver};
use crate::record::{RecordSchema, RecordWriter};
use crate::timestamp::Timestamp;

/// Why a stream stopped before it was complete.
#[derive(Debug)]
pub enum StreamError {
    /// Stdout is gone.
    Closed,
    /// The process was asked to end.
    Interrupted,
    /// A request failed for good.
    Request(Error),
    /// The store does not answer the key walk as documented; the clause says in what. Caught, and
    /// answered by the page walk.
    UnexpectedResponse(&'static str),
    /// The store counts more rows than it lists.
    CountMismatch {
        /// Rows the store counts.
        counted: u64,
        /// Rows it listed.
        listed: u64,
    },
    /// Counts that had ruled out rows without a date turned out to be wrong, and there are such rows.
    WrongCount,
    /// The rows moved for as long as the page walk was willing to follow them.
    Unstable,
    /// Rows were left out; all others were delivered, and the state says which are missing.
    RowsSkipped {
        /// Ranges of keys whose rows the store could not send: greater than the first, at most the second.
        unread: Vec<(Option<i64>, Option<i64>)>,
        /// Rows that the store could not send, by the keys before and after them.
        between: Vec<Between>,
        /// Rows without a key.
        rows_without_key: u64,
        /// Whether an answer with one of the rows is not UTF-8 text.
        not_utf8: bool,
    },
}

/// The keys of the rows before and after one, where there are such rows.
pub(crate) type Between = (Option<String>, Option<String>);

impl From<Closed> for StreamError {
    fn from(Closed: Closed) -> Self {
        Self::Closed
    }
}

/// One stream being read.
#[derive(Debug)]
pub(super) struct StreamContext {
    /// The row of the table.
    pub stream: &'static Stream,
    /// The store.
    pub client: Arc<dyn Shop>,
    /// What its API can do.
    pub capabilities: Capabilities,
    /// Where everything goes out.
    pub output: Arc<StreamOutput>,
    /// The first instant of change that is read.
    pub start: Timestamp,
    /// The first that is not.
    pub end: Option<Timestamp>,
    record_schema: Arc<RecordSchema>,
    /// The nested collections that are requested, if any.
    nested: Option<String>,
    /// The fields that are requested, if not all.
    fields: Option<String>,
    shutdown: watch::Receiver<bool>,
    prefix_length: usize,
    /// What was learned about the ends of this stream's lists.
    pub end_detector: EndDetector,
    /// The most rows without a key that one answer held.
    rows_without_key: AtomicU64,
    /// Whether the store answers 404 where a list is empty.
    is_empty_missing: AtomicBool,
    /// Whether any answer of this run listed a row.
    has_listed: AtomicBool,
    /// Rows that answers without conditions counted: the most of this run, until a second answer said fewer.
    counted: AtomicU64,
    /// Whether a row could not be had because its text is not UTF-8.
    not_utf8: AtomicBool,
}

/// An answer of the store, read.
#[derive(Debug)]
pub(super) struct FetchedPage {
    /// Its rows.
    pub page: Rows,
    /// Its place among the requests in flight, until the rows were passed on.
    pub slot: Option<OwnedSemaphorePermit>,
    /// The store's clock when it answered, if it told.
    pub date: Option<Timestamp>,
    /// Whether the store answered that there is no such list, which counts as an empty one.
    pub is_missing: bool,
    /// Whether an answer to the same question just before counted more rows.
    pub was_counted_higher: bool,
}

impl FetchedPage {
    /// Returns true if the answer looks like one that was cut.
    fn looks_incomplete(&self) -> bool {
        self.was_counted_higher || (self.page.listed() == 0 && self.page.envelope.total.is_none())
    }
}

impl StreamContext {
    /// A reader of one stream, which stops when `shutdown` turns true.
    pub(super) fn new(
        stream: &'static Stream,
        client: Arc<dyn Shop>,
        output: Arc<StreamOutput>,
        (start, end): (Timestamp, Option<Timestamp>),
        record_schema: RecordSchema,
        (nested, fields): (Option<String>, Option<String>),
        shutdown: watch::Receiver<bool>,
    ) -> Self {
        let prefix_length = record_prefix(output.name()).len();
        let capabilities = client.capabilities();
        Self {
            stream,
            client,
            capabilities,
            output,
            start,
            end,
            record_schema: Arc::new(record_schema),
            nested,
            fields,
            shutdown,
            prefix_length,
            end_detector: EndDetector::new(capabilities.default_page_size),
            rows_without_key: AtomicU64::new(0),
            is_empty_missing: AtomicBool::new(false),
            has_listed: AtomicBool::new(false),
            counted: AtomicU64::new(0),
            not_utf8: AtomicBool::new(false),
        }
    }

    /// Rows to request of a page.
    pub(super) fn page_size(&self) -> usize {
        self.capabilities.page_size
    }

    /// Requests the first `count` rows of the stream.
    pub(super) fn query(&self, count: usize) -> Query {
        Query::new(self.stream, count)
    }

    /// Requests the first page of the stream.
    pub(super) fn page_query(&self) -> Query {
        self.query(self.page_size())
    }

    /// A copier for one sequence of requests.
    pub(super) fn writer(&self) -> RecordWriter {
        RecordWriter::new(Arc::clone(&self.record_schema))
    }

    /// The length of what stands before the data in each line.
    pub(super) fn prefix_length(&self) -> usize {
        self.prefix_length
    }

    /// The most rows without a key that one answer held.
    pub(super) fn rows_without_key(&self) -> u64 {
        self.rows_without_key.load(Ordering::Relaxed)
    }

    /// Returns true if a row could not be had because its text is not UTF-8.
    pub(super) fn is_not_utf8(&self) -> bool {
        self.not_utf8.load(Ordering::Relaxed)
    }

    /// Notes why a row could not be had.
    pub(super) fn note_unreadable(&self, error: &Error) {
        if error.is_not_utf8() {
            self.not_utf8.store(true, Ordering::Relaxed);
        }
    }

    /// Notes that the store has rows without a key.
    pub(super) fn note_rows_without_key(&self, rows: u64) {
        self.rows_without_key.fetch_max(rows, Ordering::Relaxed);
    }

    /// Requests one page and reads it. A list that is not found counts as empty where the resource itself is
    /// found: the API documents 404 for pages out of bounds, and a store may answer so where nothing matches.
    ///
    /// # Errors
    /// [`StreamError`] if the request failed for good, or the process is to end.
    pub(super) async fn fetch(&self, query: &Query, writer: &mut RecordWriter) -> Result<FetchedPage, StreamError> {
        self.fetch_expecting(query, ExpectedKeys::Any, writer).await
    }

    /// The same, for rows in the order of their keys, within a range.
    ///
    /// # Errors
    /// [`StreamError`]; [`StreamError::UnexpectedResponse`] if the keys are others, in a second answer as well.
    pub(super) async fn fetch_range(
        &self,
        query: &Query,
        range: Range,
        writer: &mut RecordWriter,
    ) -> Result<FetchedPage, StreamError> {
        self.fetch_expecting(query, ExpectedKeys::Keys(range), writer).await
    }

    async fn fetch_expecting(
        &self,
        query: &Query,
        expected: ExpectedKeys,
        writer: &mut RecordWriter,
    ) -> Result<FetchedPage, StreamError> {
        match self.send(query, expected, writer).await {
            // A list that is empty and not counted looks like one that was cut, and so does one that counts fewer
            // rows than an answer before: it is believed the second time.
            Ok(answer) if answer.looks_incomplete() => {
                drop(answer);
                let again = self.send(query, expected, writer).await?;
                if let (false, Some(total)) = (query.is_filtered(), again.page.envelope.total) {
                    self.counted.store(total, Ordering::Relaxed);
                }
                Ok(again)
            }
            Err(StreamError::Request(error)) if is_not_found(&error) && query.page_number() == 1 => {
                self.confirm_empty(query, expected, error, writer).await
            }
            other => other,
        }
    }

    /// Finds out whether a list that was not found is an empty one.
    async fn confirm_empty(
        &self,
        query: &Query,
        expected: ExpectedKeys,
        error: Error,
        writer: &mut RecordWriter,
    ) -> Result<FetchedPage, StreamError> {
        let empty = |date| {
            Ok(FetchedPage { page: Rows::default(), slot: None, date, is_missing: true, was_counted_higher: false })
        };
        if !query.is_filtered() {
            // A host that is no store answers 404 as well, but says that no resource matches.
            if error.is_unknown_resource() {
                return Err(StreamError::Request(error));
            }
            match self.send(query, expected, writer).await {
                Err(StreamError::Request(again)) if is_not_found(&again) && !again.is_unknown_resource() => {}
                other => return other,
            }
            // A stream that listed rows a moment ago is not empty.
            if self.has_listed.load(Ordering::Relaxed) {
                return Err(StreamError::Request(error));
            }
            let text = "the store answered HTTP 404 twice; the stream is treated as empty.";
            self.output.warn_once("empty", text).await?;
            return empty(None);
        }
        let mut date = None;
        if !self.is_empty_missing.load(Ordering::Relaxed) {
            match self.send(&self.query(1), ExpectedKeys::Any, writer).await {
                Ok(answer) => date = answer.date,
                Err(StreamError::Request(_)) => return Err(StreamError::Request(error)),
                Err(stream_error) => return Err(stream_error),
            }
            self.is_empty_missing.store(true, Ordering::Relaxed);
        }
        if expected == ExpectedKeys::Any {
            return empty(date);
        }
        // The rest of a walk hangs on it: asked twice.
        match self.send(query, expected, writer).await {
            Err(StreamError::Request(again)) if is_not_found(&again) => empty(date),
            other => other,
        }
    }

    async fn send(
        &self,
        query: &Query,
        expected: ExpectedKeys,
        writer: &mut RecordWriter,
    ) -> Result<FetchedPage, StreamError> {
        let mut query = query.clone();
        if let Some(names) = &self.nested {
            query = query.nested(names, self.capabilities.nested_page_size);
        }
        if let Some(names) = &self.fields {
            query = query.fields(names);
        }
        if self.end_detector.is_count_wrong() {
            query = query.ignore_count();
        }
        let prefix = record_prefix(self.output.name());
        let mut shutdown = self.shutdown.clone();
        let (page, slot, date, probed) = {
            let mut sink = RowSink::new(self.output.emitter().lines(), &prefix, writer).expecting(expected);
            let mut answer = tokio::select! {
                answer = self.client.list(&query, self, &mut sink) => answer.map_err(StreamError::Request)?,
                _ = shutdown.wait_for(|requested| *requested) => return Err(StreamError::Interrupted),
            };
            let mut page = sink.into_rows(answer.page, answer.count);
            page.lines.attach_guard(answer.memory.take());
            (page, answer.slot, answer.date, answer.counted)
        };
        self.note_rows_without_key(page.rows_without_key as u64);
        if page.listed() > 0 {
            self.has_listed.store(true, Ordering::Relaxed);
        }
        self.output.inner().await.stats.requests += 1;
        let issues = writer.take_issues();
        if !issues.is_empty() {
            self.output.report(issues).await?;
        }
        // Only an answer that looks like the whole list can hide rows by its count.
        let was_counted_higher = match page.envelope.total {
            Some(total) if !query.is_filtered() && query.uses_count() => {
                let most = total.max(probed.unwrap_or(0));
                let before = self.counted.fetch_max(most, Ordering::Relaxed).max(most);
                total < before && page.listed() >= total
            }
            _ => false,
        };
        let date = date.and_then(Timestamp::from_system);
        Ok(FetchedPage { page, slot: Some(slot), date, is_missing: false, was_counted_higher })
    }
}

/// Returns true if the store answered 404.
pub(super) fn is_not_found(error: &Error) -> bool {
    error.status() == Some(404)
}

/// Warnings about the store's ways, each once per run and stream.
impl StreamContext {
    /// The date filter is not honoured.
    pub(crate) async fn warn_dates(&self) -> Result<(), Closed> {
        let text = format!(
            "the store does not filter by `{}` as documented; rows outside the requested dates are dropped by the connector, which is slower.",
            self.stream.cursor_field
        );
        self.output.warn_once("dates", &text).await
    }

    /// The order is not honoured.
    pub(crate) async fn warn_sort(&self) -> Result<(), Closed> {
        let text = "the store does not sort as documented; it is read with one request at a time, and later syncs read more rows than necessary.";
        self.output.warn_once("sort", text).await
    }

    /// Rows without a date are there where none are expected.
    pub(crate) async fn warn_missing_dates(&self) -> Result<(), Closed> {
        let text = format!(
            "the store has rows without `{}`; this sync includes them, but an incremental sync misses their changes until they have a date. Run a full refresh from time to time.",
            self.stream.cursor_field
        );
        self.output.warn_once("undated", &text).await
    }

    /// Notes that the count of a response is wrong.
    pub(crate) async fn warn_wrong_count(&self) -> Result<(), Closed> {
        if !self.end_detector.mark_count_wrong() {
            return Ok(());
        }
        let text = format!(
            "the store's `{}` is smaller than the number of rows it lists; the count is ignored, and each list is read until a page is empty.",
            self.capabilities.total_field.unwrap_or("count")
        );
        self.output.warn_once("count", &text).await
    }

    /// The date filter hides rows.
    pub(crate) async fn warn_hidden(&self, hours: i64) -> Result<(), Closed> {
        let text = format!(
            "the store's filter on `{}` omits rows that it should list, as if it confused time zones; rows are requested from {hours} hours earlier and filtered by the connector.",
            self.stream.cursor_field
        );
        self.output.warn_once("hidden", &text).await
    }

    /// The cursor is ahead of the store's clock.
    pub(crate) async fn warn_ahead(
        &self,
        cursor: Timestamp,
        date: Timestamp,
        back: Option<Timestamp>,
    ) -> Result<(), Closed> {
        let field = self.stream.cursor_field;
        let text = match back {
            Some(back) => format!(
                "the state's `{field}` ({cursor}) is later than the store's clock ({date}), so the clock was ahead in an earlier sync; changes are read from the previous cursor, {back}."
            ),
            None => format!(
                "the state's `{field}` ({cursor}) is later than the store's clock ({date}), and no earlier cursor is saved; changes are read from {date} on, and earlier ones may be missing. Set `{field}` in the stream's state to an earlier date to read them, or remove the stream from the state."
            ),
        };
        self.output.warn_once("ahead", &text).await
    }

    /// The key walk is not honoured; the clause says in what.
    pub(crate) async fn warn_keys(&self, why: &str) -> Result<(), Closed> {
        let text = format!(
            "the store does not list rows by key as documented ({why}); the stream is read page by page, which is slower."
        );
        self.output.warn_once("keys", &text).await
    }
}

impl StreamContext {
    async fn retries(&self, attempt: u32, error: &Error, delay: Duration, how: &str) -> Result<(), Closed> {
        self.output.emitter().log(Level::Debug, &error.to_string()).await?;
        self.output.retries(attempt, &error.short_reason(), delay, how).await
    }
}

impl RequestObserver for StreamContext {
    fn on_event<'a>(&'a self, event: RequestEvent<'a>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            // A closed stdout is noticed where records are sent.
            let _ignored = match event {
                RequestEvent::Waiting(moment) => self.output.rate_limited(millis(moment)).await,
                RequestEvent::Retrying { attempt, error, delay } => self.retries(attempt, error, delay, "").await,
                RequestEvent::Probing { attempt, error } => {
                    let how = " with one row, to find out whether the page is the cause";
                    self.retries(attempt, error, Duration::ZERO, how).await
                }
                RequestEvent::Shrinking { attempt, error, count } => {
                    let how = format!(" with a page of {count}");
                    self.retries(attempt, error, Duration::ZERO, &how).await
                }
                RequestEvent::Sending => {
                    self.output.sends();
                    Ok(())
                }
                RequestEvent::Done(exchange) => {
                    let text = format!("{}: {exchange}.", self.output.name());
                    self.output.emitter().log(Level::Debug, &text).await
                }
            };
        })
    }
}
