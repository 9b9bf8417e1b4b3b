//! The context of one stream in a read: data that all ways of reading it share, and the errors that stop it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, watch};

use super::checkpoint::Range;
use super::list_end::EndDetector;
use super::nested_rows::NestedSink;
use super::query::Query;
use super::rows::{ExpectedKeys, RowSink, Rows};
use super::shop::{Capabilities, Shop};
use super::stream_output::StreamOutput;
use crate::airbyte::message::{millis, record_prefix};
use crate::airbyte::{Closed, Level};
use crate::http::{BoxFuture, Error, RequestEvent, RequestObserver};
use crate::record::{RecordSchema, RecordWriter};
use crate::stream::{Nested, Stream};
use crate::timestamp::Timestamp;

/// The reason why a stream stopped before it was complete.
#[derive(Clone, Debug)]
pub enum StreamError {
    /// Stdout is closed.
    Closed,
    /// The process received a signal to end.
    Interrupted,
    /// A request failed permanently.
    Request(Error),
    /// The store does not answer requests for ranges of keys as documented; the clause describes the difference. It
    /// is caught, and the stream is read by page numbers.
    UnexpectedResponse(&'static str),
    /// The store lists other rows than requested, or in another order; the clause describes the difference.
    UnexpectedList(String),
    /// The store counts more rows than it lists.
    CountMismatch {
        /// Rows the store counts.
        counted: u64,
        /// Rows it listed.
        listed: u64,
    },
    /// Counts that had ruled out rows without `updated_at` were wrong: there are such rows.
    WrongCount,
    /// Rows kept moving between pages until the page walk reached its limit of passes.
    Unstable,
    /// Rows were skipped. All others were emitted, and the state has the missing ones.
    RowsSkipped {
        /// Ranges of keys whose rows the store could not send: greater than the first, at most the second.
        unread: Vec<(Option<i64>, Option<i64>)>,
        /// Rows that the store could not send, by the keys before and after them.
        between: Vec<Between>,
        /// Dates of creation of rows that the store could not send and whose keys are not known.
        dates: Vec<Timestamp>,
        /// Rows that the store counted and did not list.
        hidden: Vec<HiddenRows>,
        /// Rows without a key.
        rows_without_key: u64,
        /// True if a response with one of the rows is not valid UTF-8.
        not_utf8: bool,
    },
}

/// Rows that the store counted and did not list.
#[derive(Clone, Copy, Debug)]
pub struct HiddenRows {
    /// Their date of creation, if it is known.
    pub date: Option<Timestamp>,
    /// True if they were not requested by their owners because the store refused that (403).
    pub is_owner_refused: bool,
}

/// Keys of the rows before and after a skipped row, if there are such rows.
pub(crate) type Between = (Option<String>, Option<String>);

impl From<Closed> for StreamError {
    fn from(Closed: Closed) -> Self {
        Self::Closed
    }
}

/// Context of one stream in a read.
#[derive(Debug)]
pub(super) struct StreamContext {
    /// The stream's entry in the table.
    pub stream: &'static Stream,
    /// The store.
    pub client: Arc<dyn Shop>,
    /// Abilities of its API.
    pub capabilities: Capabilities,
    /// Output of the stream.
    pub output: Arc<StreamOutput>,
    /// First instant of the requested dates.
    pub start: Timestamp,
    /// First instant after the requested dates.
    pub end: Option<Timestamp>,
    record_schema: Arc<RecordSchema>,
    /// The stream whose rows are inside the rows of this one, if they are read with them.
    inner: Option<InnerStream>,
    /// The schema of the rows that contain the rows of this stream.
    parent_schema: Option<Arc<RecordSchema>>,
    /// True if the rows of responses may be emitted: then values that do not fit their schema are reported.
    emits_rows: bool,
    /// Nested collections to request, if any.
    nested: Option<String>,
    /// Fields to request; `None` for all.
    fields: Option<String>,
    shutdown: watch::Receiver<bool>,
    prefix_length: usize,
    /// Facts learned about the ends of this stream's lists.
    pub end_detector: EndDetector,
    /// Maximum number of rows without a key in one response. The contexts for requests of the stream have the same one.
    rows_without_key: Arc<AtomicU64>,
    /// True if the store answers an empty list with 404.
    is_empty_missing: AtomicBool,
    /// True if any response of this run listed a row.
    has_listed: AtomicBool,
    /// Rows counted by responses to requests without conditions: the maximum of this run, until a second response has
    /// a lower count.
    counted: AtomicU64,
    /// True if a row could not be read because its text is not valid UTF-8.
    not_utf8: AtomicBool,
}

/// A stream whose rows are inside the rows of another one.
#[derive(Debug)]
pub(super) struct InnerStream {
    /// Its place in the rows.
    pub nested: &'static Nested,
    /// Its output.
    pub output: Arc<StreamOutput>,
    /// The schema of its records.
    pub record_schema: Arc<RecordSchema>,
    /// Maximum number of its rows without a key in one response.
    rows_without_key: Arc<AtomicU64>,
}

/// A response of the store, parsed.
#[derive(Debug)]
pub(super) struct FetchedPage {
    /// Its rows.
    pub page: Rows,
    /// Its slot among the concurrent requests, kept until the rows were processed.
    pub slot: Option<OwnedSemaphorePermit>,
    /// The store's clock at the response, if it sent a date.
    pub date: Option<Timestamp>,
    /// True if the store answered that there is no such list, which counts as an empty list.
    pub is_missing: bool,
    /// True if an earlier response to the same request counted more rows.
    pub was_counted_higher: bool,
}

impl FetchedPage {
    /// Returns true if the response may have been cut.
    fn looks_incomplete(&self) -> bool {
        self.was_counted_higher || (self.page.listed() == 0 && self.page.envelope.total != Some(0))
    }
}

impl StreamContext {
    /// Returns the context of one stream. It stops when `shutdown` turns true.
    pub(super) fn new(
        stream: &'static Stream,
        client: Arc<dyn Shop>,
        output: Arc<StreamOutput>,
        (start, end): (Timestamp, Option<Timestamp>),
        record_schema: Arc<RecordSchema>,
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
            record_schema,
            inner: None,
            parent_schema: None,
            emits_rows: true,
            nested,
            fields,
            shutdown,
            prefix_length,
            end_detector: EndDetector::new(capabilities.default_page_size),
            rows_without_key: Arc::default(),
            is_empty_missing: AtomicBool::new(false),
            has_listed: AtomicBool::new(false),
            counted: AtomicU64::new(0),
            not_utf8: AtomicBool::new(false),
        }
    }

    /// Returns a context for lists of keys: its requests name only the key and the cursor, and no nested collections.
    pub(super) fn for_keys(&self) -> Self {
        let cursor = self.stream.has_updated_at.then_some(self.stream.cursor_field);
        let fields: Vec<&str> = std::iter::once(self.stream.key()).chain(cursor).collect();
        let is_empty_missing = self.is_empty_missing.load(Ordering::Relaxed);
        Self {
            is_empty_missing: AtomicBool::new(is_empty_missing),
            has_listed: AtomicBool::new(true),
            ..Self::new(
                self.stream,
                Arc::clone(&self.client),
                Arc::clone(&self.output),
                (self.start, self.end),
                Arc::clone(&self.record_schema),
                (None, Some(fields.join(","))),
                self.shutdown.clone(),
            )
        }
    }

    /// Sets the schema of the rows that contain the rows of this stream.
    pub(super) fn with_parent_schema(self, schema: RecordSchema) -> Self {
        Self { parent_schema: Some(Arc::new(schema)), ..self }
    }

    /// Returns a context for the requests of this stream and of one whose rows are inside its rows.
    pub(super) fn with_inner(&self, inner: InnerStream) -> Self {
        Self { inner: Some(inner), ..self.for_requests(self.stream, Arc::clone(&self.record_schema)) }
    }

    /// Returns a context for the requests of a stream whose rows are inside the rows of another one, which is requested
    /// and not emitted. `None` if it is not such a stream.
    pub(super) fn of_parent(&self) -> Option<Self> {
        let (nested, schema) = (self.stream.nested_in.as_ref()?, self.parent_schema.as_ref()?);
        let inner = self.inner_at(nested);
        let requests = self.for_requests(self.stream.requested(), Arc::clone(schema));
        Some(Self { inner: Some(inner), emits_rows: false, ..requests })
    }

    /// Returns a context for requests about another stream, whose rows are not emitted.
    pub(super) fn of_other(&self, stream: &'static Stream) -> Self {
        let schema =
            RecordSchema::new(&(stream.fields)().schema, stream.key(), None).text_values(stream.has_text_values);
        let rows_without_key = Arc::default();
        let requests = self.for_requests(stream, Arc::new(schema));
        Self { nested: None, fields: None, emits_rows: false, rows_without_key, ..requests }
    }

    /// Returns a context for the requests of this stream.
    pub(super) fn requesting(&self) -> Self {
        self.for_requests(self.stream, Arc::clone(&self.record_schema))
    }

    /// Returns the place of this stream in the rows of another one, and its output.
    pub(super) fn as_inner(&self) -> Option<InnerStream> {
        Some(self.inner_at(self.stream.nested_in.as_ref()?))
    }

    fn inner_at(&self, nested: &'static Nested) -> InnerStream {
        let (output, record_schema) = (Arc::clone(&self.output), Arc::clone(&self.record_schema));
        InnerStream { nested, output, record_schema, rows_without_key: Arc::clone(&self.rows_without_key) }
    }

    fn for_requests(&self, stream: &'static Stream, record_schema: Arc<RecordSchema>) -> Self {
        let rows_without_key = Arc::clone(&self.rows_without_key);
        let (nested, fields) = (self.nested.clone(), self.fields.clone());
        Self { stream, record_schema, nested, fields, rows_without_key, ..self.for_keys() }
    }

    /// Returns the number of rows to request per page.
    pub(super) fn page_size(&self) -> usize {
        self.capabilities.page_size
    }

    /// Returns a request for the first `count` rows of the stream.
    pub(super) fn query(&self, count: usize) -> Query {
        Query::new(self.stream, count)
    }

    /// Returns a request for the first page of the stream.
    pub(super) fn page_query(&self) -> Query {
        self.query(self.page_size())
    }

    /// Returns a record writer for one sequence of requests.
    pub(super) fn writer(&self) -> RecordWriter {
        RecordWriter::new(Arc::clone(&self.record_schema))
    }

    /// Returns the length of the prefix before the data in each line.
    pub(super) fn prefix_length(&self) -> usize {
        self.prefix_length
    }

    /// Returns the maximum number of rows without a key in one response.
    pub(super) fn rows_without_key(&self) -> u64 {
        self.rows_without_key.load(Ordering::Relaxed)
    }

    /// Returns true if a row could not be read because its text is not valid UTF-8.
    pub(super) fn is_not_utf8(&self) -> bool {
        self.not_utf8.load(Ordering::Relaxed)
    }

    /// Records the reason why a row could not be read.
    pub(super) fn note_unreadable(&self, error: &Error) {
        if error.is_not_utf8() {
            self.not_utf8.store(true, Ordering::Relaxed);
        }
    }

    /// Records that the store has rows without a key.
    pub(super) fn note_rows_without_key(&self, rows: u64) {
        self.rows_without_key.fetch_max(rows, Ordering::Relaxed);
    }

    /// Requests one page and parses it. A list that is not found counts as empty if the resource itself exists: the
    /// API documents 404 for pages out of bounds, and a store may send it if nothing matches.
    ///
    /// # Errors
    /// [`StreamError`] if the request failed permanently, or the process is about to end.
    pub(super) async fn fetch(&self, query: &Query, writer: &mut RecordWriter) -> Result<FetchedPage, StreamError> {
        self.fetch_expecting(query, ExpectedKeys::Any, writer).await
    }

    /// Requests one page of rows in the order of their keys, within a range, and parses it.
    ///
    /// # Errors
    /// [`StreamError`]; [`StreamError::UnexpectedResponse`] if a second response also has other keys.
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
            // An empty list may have been cut if it has no count, or a count that is ignored because an earlier one was
            // wrong. So may a list with a lower count than an earlier response. It is accepted only if a second
            // response agrees.
            Ok(answer) if answer.looks_incomplete() => {
                drop(answer);
                let again = self.send(query, expected, writer).await?;
                if let (false, Some(total)) = (query.is_filtered(), again.page.envelope.total) {
                    self.counted.store(total, Ordering::Relaxed);
                }
                Ok(again)
            }
            Err(StreamError::Request(error))
                if is_not_found(&error) && query.page_number() == 1 && self.capabilities.lists_may_be_missing =>
            {
                self.confirm_empty(query, expected, error, writer).await
            }
            other => other,
        }
    }

    /// Returns an empty page if a list that was not found is an empty one; otherwise the error.
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
            // A host that is not a store answers 404 as well, but reports that no resource matches.
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
        // The rest of the walk depends on it, so it is requested twice.
        match self.send(query, expected, writer).await {
            Err(StreamError::Request(again)) if is_not_found(&again) => empty(date),
            other => other,
        }
    }

    /// Returns the request with the fields and nested collections that all requests of the stream have.
    fn completed(&self, query: &Query) -> Query {
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
        query
    }

    async fn send(
        &self,
        query: &Query,
        expected: ExpectedKeys,
        writer: &mut RecordWriter,
    ) -> Result<FetchedPage, StreamError> {
        let query = self.completed(query);
        let prefix = record_prefix(self.output.name());
        let mut shutdown = self.shutdown.clone();
        let inner = self.inner.as_ref();
        let mut inner_writer = inner.map(|inner| RecordWriter::new(Arc::clone(&inner.record_schema)));
        let inner_prefix = inner.map(|inner| record_prefix(inner.output.name())).unwrap_or_default();
        let (page, slot, date, probed, rejected) = {
            let nested = inner.zip(inner_writer.as_mut()).map(|(inner, writer)| {
                NestedSink::new(inner.nested, inner.output.emitter().lines(), &inner_prefix, writer)
            });
            let lines = self.output.emitter().lines();
            let mut sink = RowSink::new(lines, &prefix, writer).expecting(expected).with_nested(nested);
            sink = sink.with_complete_field(self.stream.complete_field.filter(|_| !query.is_short));
            sink = sink.with_only_keys(query.is_short);
            sink = sink.with_look_alike(self.stream.look_alike());
            let mut answer = tokio::select! {
                answer = self.client.requests().list(&query, self, &mut sink) => answer.map_err(StreamError::Request)?,
                _ = shutdown.wait_for(|requested| *requested) => return Err(StreamError::Interrupted),
            };
            let mut page = sink.into_rows(answer.page, answer.count);
            // Both streams write lines of the response.
            let memory = Arc::new(answer.memory.take());
            if let Some(nested) = &mut page.nested {
                nested.rows.lines.attach_guard(Arc::clone(&memory));
            }
            page.lines.attach_guard(memory);
            (page, answer.slot, answer.date, answer.counted, answer.rejected_count)
        };
        self.note_rows_without_key(page.rows_without_key as u64);
        if let (Some(inner), Some(nested)) = (inner, &page.nested) {
            // The rows inside a row without a key are not emitted either.
            let rows_without_key = (page.rows_without_key + nested.rows.rows_without_key) as u64;
            inner.rows_without_key.fetch_max(rows_without_key, Ordering::Relaxed);
        }
        self.has_listed.fetch_or(page.listed() > 0, Ordering::Relaxed);
        self.output.inner().await.stats.requests += 1;
        let issues = writer.take_issues();
        // Rows that only contain those of the stream are not emitted.
        if !issues.is_empty() && self.emits_rows {
            self.output.report(issues).await?;
        }
        if let (Some(inner), Some(mut writer)) = (inner, inner_writer) {
            inner.output.report(writer.take_issues()).await?;
        }
        // Only a response that looks like the complete list can hide rows by its count.
        let may_hide = |total: u64, before: u64| total < before && page.listed() >= total;
        let was_counted_higher = match page.envelope.total {
            // A response to the same request that could not be used may have counted more rows.
            Some(total) if query.uses_count() && rejected.is_some_and(|rejected| may_hide(total, rejected)) => true,
            Some(total) if !query.is_filtered() && query.uses_count() => {
                let most = total.max(probed.unwrap_or(0));
                let before = self.counted.fetch_max(most, Ordering::Relaxed).max(most);
                may_hide(total, before)
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

impl StreamContext {
    async fn retries(&self, attempt: u32, error: &Error, delay: Duration, how: &str) -> Result<(), Closed> {
        self.output.emitter().log(Level::Debug, &error.to_string()).await?;
        self.output.retries(attempt, &error.short_reason(), delay, how).await
    }
}

impl RequestObserver for StreamContext {
    fn on_event<'a>(&'a self, event: RequestEvent<'a>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            // A closed stdout is reported by the code that emits records.
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
