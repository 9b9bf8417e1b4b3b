//! Runs one request until it succeeds or fails permanently: reserves a slot and memory, waits for the rate limiter,
//! retries, and requests shorter pages if the server cannot send the full page. The client defines requests and
//! sends them.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::BoxFuture;
use super::error::Error;
use super::error_mapping;
use super::exchange::Exchange;
use super::memory::{MemoryBudget, MemoryPermit};
use super::page::{Discard, ElementSink, Envelope};
use super::request::{Divisibility, Request};
use super::retry::{self, RetryPolicy};
use super::run_health::RunHealth;
use super::sizes::PageSizes;
use super::throttle::{CallLimit, Throttle, Usage};

/// An event in the life of a request.
#[derive(Clone, Debug)]
pub enum RequestEvent<'a> {
    /// The call limit is reached, or the store has refused a request. Requests continue at this time.
    Waiting(SystemTime),
    /// An attempt failed and will be repeated.
    Retrying {
        /// Number of the failed attempt, counted from 1.
        attempt: u32,
        /// The error of the attempt.
        error: &'a Error,
        /// The wait before the next attempt.
        delay: Duration,
    },
    /// An attempt failed, and a request for a single row checks if the resource is readable at all.
    Probing {
        /// Number of the failed attempt, counted from 1.
        attempt: u32,
        /// The error of the attempt.
        error: &'a Error,
    },
    /// An attempt failed, and a shorter page is requested immediately.
    Shrinking {
        /// Number of the failed attempt, counted from 1.
        attempt: u32,
        /// The error of the attempt.
        error: &'a Error,
        /// Number of rows of the shorter page.
        count: usize,
    },
    /// A request is sent now. This event occurs for every attempt, after its wait.
    Sending,
    /// A request is finished.
    Done(Exchange),
}

/// Receives the events of requests, such as waits and retries.
pub trait RequestObserver: Sync {
    /// Handles an event. It is called before a wait begins and before a request is sent.
    fn on_event<'a>(&'a self, event: RequestEvent<'a>) -> BoxFuture<'a, ()>;
}

impl RequestEvent<'_> {
    /// Returns the event of a wait until `until`.
    pub fn waiting(until: Instant) -> Self {
        Self::Waiting(SystemTime::now() + until.saturating_duration_since(Instant::now()))
    }
}

/// A page with the slot and the memory that it uses. Drop it after the page has been processed.
#[derive(Debug)]
pub struct PageResponse<T> {
    /// The parsed page.
    pub page: T,
    /// Number of rows in the last request. The page always begins with the first requested row. If the number is
    /// smaller than requested, the store could not send the full page.
    pub count: usize,
    /// Total number of rows of the resource, if a request for a single row was sent on the way and reported it.
    pub counted: Option<u64>,
    /// The largest count of rows in a response to this request that was not accepted.
    pub rejected_count: Option<u64>,
    /// The slot of the request among the requests in flight.
    pub slot: OwnedSemaphorePermit,
    /// The time of the store's clock in the response, if reported.
    pub date: Option<SystemTime>,
    /// The memory reserved for the page; keep it until the page has been processed. `None` if it was moved elsewhere.
    pub memory: Option<MemoryPermit>,
}

/// Data about a response: status, size, call count, `Retry-After` and date.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ResponseMeta {
    /// The calls made and allowed.
    pub(super) limit: Option<CallLimit>,
    /// The wait that the store requests before the next request (`Retry-After`).
    pub(super) retry_after: Option<Duration>,
    /// The time of the store's clock.
    pub(super) date: Option<SystemTime>,
    /// The HTTP status.
    pub(super) status: Option<u16>,
    /// Number of body bytes that were read, after decompression.
    pub(super) bytes: usize,
}

/// Sends a request once, without retries.
pub(super) trait SendOnce: Sync {
    /// The type of the requests.
    type Request: Request;

    /// Sends the request once and reads the response within its memory limit. Returns the envelope of the page or the
    /// error, and the data of the response headers, if any arrived.
    fn send_once(
        &self,
        query: &Self::Request,
        memory: &mut MemoryPermit,
        sink: &mut dyn ElementSink,
    ) -> impl Future<Output = (Result<Envelope, Error>, Option<ResponseMeta>)> + Send;
}

/// The state that all requests to one store share.
#[derive(Debug)]
pub(super) struct Dispatcher<T> {
    throttle: T,
    slots: Arc<Semaphore>,
    memory_budget: MemoryBudget,
    /// The known sizes of pages.
    pub(super) sizes: PageSizes,
    run_health: RunHealth,
    /// The policy for retries.
    pub(super) retry_policy: RetryPolicy,
}

/// A slot among the requests in flight, and reserved memory.
type Admission = (OwnedSemaphorePermit, MemoryPermit);

impl<T: Throttle> Dispatcher<T> {
    /// Creates a dispatcher that has at most `in_flight` pages in memory.
    pub(super) fn new(throttle: T, in_flight: usize, retry_policy: RetryPolicy) -> Self {
        Self {
            throttle,
            slots: Arc::new(Semaphore::new(in_flight)),
            memory_budget: MemoryBudget::new(),
            sizes: PageSizes::default(),
            run_health: RunHealth::default(),
            retry_policy,
        }
    }

    /// Returns the number of calls used so far.
    pub(super) fn usage(&self) -> Usage {
        self.throttle.usage()
    }

    /// Returns the number of further concurrent requests like this one that can start now.
    pub(super) fn free_slots(&self, query: &impl Request) -> usize {
        // Only one request at a time searches for an unreadable row; concurrent requests would get short pages too.
        if self.sizes.is_bisecting(query) {
            return 0;
        }
        self.slots.available_permits().min(self.memory_budget.slots(self.bytes_of(query)))
    }

    /// Returns true while a row of this resource may be unreadable and is being searched for.
    pub(super) fn is_bisecting(&self, query: &impl Request) -> bool {
        self.sizes.is_any_bisecting(query)
    }

    /// Returns the expected memory of the page of a query, in bytes.
    fn bytes_of(&self, query: &impl Request) -> usize {
        self.sizes.row(query).saturating_mul(query.count())
    }

    async fn admission(&self, query: &impl Request) -> Result<Admission, Error> {
        let closed = |_| error_mapping::closing(query.resource());
        let memory = self.memory_budget.reserve(self.bytes_of(query)).await.map_err(closed)?;
        Ok((Arc::clone(&self.slots).acquire_owned().await.map_err(closed)?, memory))
    }

    /// Waits for the rate limiter and sends a request once. Also returns the time at which it was sent.
    async fn attempt<S: SendOnce>(
        &self,
        sender: &S,
        (query, memory): (&S::Request, &mut MemoryPermit),
        observer: &dyn RequestObserver,
        sink: &mut dyn ElementSink,
    ) -> (Result<Envelope, Error>, ResponseMeta, Instant) {
        let call_permit = self.throttle.acquire(observer).await;
        observer.on_event(RequestEvent::Sending).await;
        let sent = Instant::now();
        sink.restart();
        let (outcome, meta) = sender.send_once(query, memory, sink).await;
        let took = sent.elapsed();
        // The store may have counted a request without a response. The dropped permit therefore still counts as a call
        // in the window, but no longer as a running request.
        let is_refused = matches!(&outcome, Err(error) if error.status() == Some(429));
        match &meta {
            // A refusal (429) that reports remaining calls contradicts itself, so its call count is ignored.
            Some(meta) => {
                let limit = meta.limit.filter(|limit| !is_refused || limit.used >= limit.allowed);
                self.throttle.answered(call_permit, limit);
            }
            None => drop(call_permit),
        }
        match &outcome {
            Ok(_) => self.run_health.record_success(),
            Err(error) => {
                // Release the memory of the failed attempt before the wait for the next one.
                sink.restart();
                if retry::is_transient(error) {
                    self.run_health.record_failure(error);
                }
            }
        }
        let meta = meta.unwrap_or_default();
        let ResponseMeta { status, bytes, limit, .. } = meta;
        let exchange = Exchange { request: query.to_string(), status, bytes, took, limit };
        observer.on_event(RequestEvent::Done(exchange)).await;
        (outcome, meta, sent)
    }

    /// Requests any single row of the resource.
    async fn probe<S: SendOnce>(
        &self,
        sender: &S,
        (pending_request, memory): (&mut PendingRequest<'_, T, S::Request>, &mut MemoryPermit),
        observer: &dyn RequestObserver,
    ) -> Probed {
        while let Some(probe) = pending_request.next_probe() {
            let (outcome, meta, _) = self.attempt(sender, (&probe, &mut *memory), observer, &mut Discard).await;
            match outcome {
                Ok(page) => return Probed::Readable(page.total),
                // The API documents 404 for pages out of bounds: the resource has only one row.
                Err(error) if error.status() == Some(404) && probe.slice().page > 1 => return Probed::Readable(None),
                Err(_) if meta.retry_after.is_some() => return Probed::Later(meta),
                Err(error) if !retry::may_be_row(&error) => return Probed::Unreadable,
                Err(_) => {}
            }
        }
        Probed::Unreadable
    }

    /// Sends a request, with retries, until a response arrives, and passes its rows to `sink`. Before each attempt,
    /// `sink` is reset.
    ///
    /// # Errors
    /// [`Error`] if the failure is permanent, or lasts longer than the retry policy allows.
    pub(super) async fn get<S: SendOnce>(
        &self,
        sender: &S,
        query: &S::Request,
        observer: &dyn RequestObserver,
        sink: &mut dyn ElementSink,
    ) -> Result<PageResponse<Envelope>, Error> {
        let mut pending_request = PendingRequest::new(self, query);
        loop {
            let (slot, mut memory) = pending_request.admission().await?;
            let admitted = (&mut pending_request, &mut memory);
            let (error, meta) = match self.until_wait(sender, admitted, observer, sink).await? {
                Sent::Answer(page, meta) => return Ok(pending_request.answer(page, meta, (slot, memory))),
                Sent::Wait(error, meta) => (error, meta),
            };
            let delay = pending_request.delay(&error, meta)?;
            let calls_left = meta.limit.is_some_and(|limit| limit.used < limit.allowed);
            let is_held = if error.status() == Some(429) && !calls_left {
                self.throttle.refused(delay);
                true
            } else {
                meta.retry_after.is_some() && self.throttle.holds(delay)
            };
            // Release the slot and the memory during the wait, so that other requests can continue.
            drop((slot, memory));
            observer.on_event(RequestEvent::Retrying { attempt: pending_request.attempt, error: &error, delay }).await;
            if !is_held {
                tokio::time::sleep(delay).await;
            }
            pending_request.last = Some(error);
        }
    }

    /// Sends a request, and shorter ones, until a response arrives or a wait is due.
    async fn until_wait<S: SendOnce>(
        &self,
        sender: &S,
        (pending_request, memory): (&mut PendingRequest<'_, T, S::Request>, &mut MemoryPermit),
        observer: &dyn RequestObserver,
        sink: &mut dyn ElementSink,
    ) -> Result<Sent, Error> {
        loop {
            let (error, meta) = match pending_request.waited.take() {
                Some(error) => (error, ResponseMeta::default()),
                None => {
                    let request = (&pending_request.query, &mut *memory);
                    let (outcome, meta, sent) = self.attempt(sender, request, observer, sink).await;
                    match outcome {
                        Ok(page) => return Ok(Sent::Answer(page, meta)),
                        Err(error) => {
                            pending_request.failed(&error, sent);
                            (error, meta)
                        }
                    }
                }
            };
            let mut next = pending_request.next(&error);
            if meta.retry_after.is_some() && matches!(next, NextStep::ProbeOneRow | NextStep::Shrink) {
                return Ok(pending_request.wait_first(error, meta));
            }
            if next == NextStep::ProbeOneRow {
                observer.on_event(RequestEvent::Probing { attempt: pending_request.attempt, error: &error }).await;
                let passed = match self.probe(sender, (&mut *pending_request, &mut *memory), observer).await {
                    Probed::Later(meta) => return Ok(pending_request.wait_first(error, meta)),
                    Probed::Readable(counted) => Some(counted),
                    Probed::Unreadable => None,
                };
                pending_request.record_probe(passed);
                next = if passed.is_some() { pending_request.next(&error) } else { NextStep::Retry };
            }
            match next {
                NextStep::ProbeOneRow | NextStep::Retry => return Ok(Sent::Wait(error, meta)),
                NextStep::Unreadable => {
                    let requested = pending_request.requested;
                    self.sizes.restore(requested);
                    let resource = requested.resource().to_owned();
                    return Err(Error::Unreadable { resource, last: Box::new(error) });
                }
                NextStep::Shrink if pending_request.is_over(&error, Duration::ZERO) => {
                    return Err(pending_request.exhausted(error));
                }
                NextStep::Shrink => {
                    pending_request.shrink(&error);
                    let (attempt, count) = (pending_request.attempt, pending_request.query.count());
                    observer.on_event(RequestEvent::Shrinking { attempt, error: &error, count }).await;
                    pending_request.last = Some(error);
                }
            }
        }
    }
}

/// The end of a sequence of requests without a wait.
enum Sent {
    /// A response arrived.
    Answer(Envelope, ResponseMeta),
    /// A request failed, and the next one must wait.
    Wait(Error, ResponseMeta),
}

/// The result of requests for any single row.
enum Probed {
    /// The store can send one. Contains the number of rows of the resource, if the response reports it.
    Readable(Option<u64>),
    /// The store cannot send one.
    Unreadable,
    /// The store asks for a wait before the next request.
    Later(ResponseMeta),
}

/// The action after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NextStep {
    /// Send the same request again after a wait, or fail.
    Retry,
    /// Request any single row, to check if the resource is readable at all.
    ProbeOneRow,
    /// Request a shorter page immediately.
    Shrink,
    /// Fail: the one requested row is unreadable, and other rows are readable.
    Unreadable,
}

/// The reason why a request was made shorter.
#[derive(Clone, Copy, Debug)]
struct Shrunk {
    /// Number of rows of the last page that failed.
    failed: usize,
    /// True if a single row may be the cause.
    may_be_row: bool,
}

/// The state of one request over its attempts.
struct PendingRequest<'d, T, R> {
    dispatcher: &'d Dispatcher<T>,
    /// The request from the caller.
    requested: &'d R,
    /// The request as it is sent now, possibly for fewer rows.
    query: R,
    /// The time at which the request was created; `first_sent` is the time at which it was first sent.
    requested_at: Instant,
    first_sent: Option<Instant>,
    /// Time spent waiting for a slot and memory since the request was first sent.
    time_queued: Duration,
    attempt: u32,
    schedule: backon::ExponentialBackoff,
    /// The error of the previous attempt.
    last: Option<Error>,
    /// Number of consecutive failures of the same kind with the same page size.
    same_failures: u32,
    /// The reason for a shorter page, if this request's own failures caused it.
    shrunk: Option<Shrunk>,
    /// The failure after which another request than the same one is due, once the wait that the store asks for is over.
    waited: Option<Error>,
    /// Number of requests for a single row that were sent since the last one that succeeded or was given up.
    probes_sent: usize,
    /// True if the last request for a single row succeeded; `None` if this request has sent none.
    probe_passed: Option<bool>,
    /// Total number of rows of the resource that the request for a single row reported.
    counted: Option<u64>,
    /// The largest count of rows in a response that was not accepted.
    rejected_count: Option<u64>,
}

impl<'d, T: Throttle, R: Request> PendingRequest<'d, T, R> {
    fn new(dispatcher: &'d Dispatcher<T>, requested: &'d R) -> Self {
        Self {
            dispatcher,
            requested,
            query: dispatcher.sizes.fit_count(requested),
            requested_at: Instant::now(),
            first_sent: None,
            time_queued: Duration::ZERO,
            attempt: 0,
            schedule: dispatcher.retry_policy.backoff.schedule(),
            last: None,
            same_failures: 0,
            shrunk: None,
            waited: None,
            probes_sent: 0,
            probe_passed: None,
            counted: None,
            rejected_count: None,
        }
    }

    /// Waits for a slot and memory. This wait, and the first wait for the rate limiter, do not count towards the time
    /// limit of the request, unless all other requests fail in the meantime.
    async fn admission(&mut self) -> Result<Admission, Error> {
        let from = Instant::now();
        let admission = self.dispatcher.admission(&self.query).await?;
        if self.first_sent.is_some() {
            self.time_queued += from.elapsed();
        }
        if let Some((elapsed, error)) = self.dispatcher.run_health.failing(self.requested_at)
            && elapsed > self.limit(&error)
        {
            let last = Box::new(self.last.take().unwrap_or(error));
            return Err(Error::Exhausted { attempts: self.attempt, elapsed, last });
        }
        Ok(admission)
    }

    fn answer(self, page: Envelope, meta: ResponseMeta, (slot, memory): Admission) -> PageResponse<Envelope> {
        if let Some(Shrunk { failed, may_be_row }) = self.shrunk {
            self.dispatcher.sizes.shrink(&self.query, failed, may_be_row);
        } else {
            self.dispatcher.sizes.keep(&self.query, self.requested);
        }
        let (count, counted, rejected_count) = (self.query.count(), self.counted, self.rejected_count);
        PageResponse { page, count, counted, rejected_count, slot, date: meta.date, memory: Some(memory) }
    }

    fn failed(&mut self, error: &Error, sent: Instant) {
        self.attempt += 1;
        self.first_sent.get_or_insert(sent);
        if let Error::Body { counted, .. } | Error::NotUtf8 { counted, .. } = error {
            self.rejected_count = self.rejected_count.max(*counted);
        }
        let same = self.last.as_ref().is_some_and(|last| retry::is_same(last, error));
        self.same_failures = if same { self.same_failures + 1 } else { 1 };
    }

    fn next(&self, error: &Error) -> NextStep {
        if !self.dispatcher.retry_policy.may_be_size(error) || self.requested.is_no_retry() {
            return NextStep::Retry;
        }
        let at_once = matches!(error, Error::TooLarge { .. });
        let is_divisible = match self.query.divisibility() {
            Divisibility::Always => true,
            Divisibility::UnlessText => !error.is_not_utf8(),
            Divisibility::Never => false,
        };
        let last_resort = self.query.count() == 1 || !is_divisible;
        let (ripe, is_row_readable) = if last_resort {
            // A row is reported as unreadable only if this request has just read another row, and never if the server
            // rejects the request (400). If the request is itself the request for any single row, only errors that a
            // single row can cause count.
            let is_probe = self.query.is_same(&self.requested.any_row(1));
            let row = error.status() != Some(400) && (!is_probe || retry::may_be_row(error));
            // A failure that was expected needs no further proof.
            let is_expected = self.requested.is_narrowed() && error.is_not_utf8();
            let is_row_readable = is_expected && self.dispatcher.sizes.is_any_row_readable(self.requested);
            let is_ripe = at_once || self.same_failures >= 2 || is_expected;
            (row && is_ripe, is_row_readable || self.probe_passed == Some(true))
        } else {
            // For a page that is already shorter, one failure is enough to shrink it again. The same applies while an
            // unreadable row of the resource is searched for.
            let short =
                self.query.count() < self.requested.count() || self.dispatcher.sizes.is_any_bisecting(self.requested);
            let is_row_readable =
                self.probe_passed.unwrap_or_else(|| self.dispatcher.sizes.is_any_row_readable(self.requested));
            (at_once || short || self.same_failures >= 2, is_row_readable)
        };
        match (ripe, is_row_readable) {
            (false, _) => NextStep::Retry,
            (true, false) => NextStep::ProbeOneRow,
            (true, true) if last_resort => NextStep::Unreadable,
            (true, true) => NextStep::Shrink,
        }
    }

    /// Returns the next request for any single row: the first may be the unreadable one, and its neighbours may have the
    /// same fault. The failed request itself is left out.
    fn next_probe(&mut self) -> Option<R> {
        let probes = [1, 2, 50].into_iter().map(|place| self.requested.any_row(place));
        let probe = probes.filter(|probe| !probe.is_same(&self.query)).nth(self.probes_sent);
        self.probes_sent += 1;
        probe
    }

    /// Remembers the failure until the wait that the store asks for is over.
    fn wait_first(&mut self, error: Error, meta: ResponseMeta) -> Sent {
        self.waited = Some(error.clone());
        Sent::Wait(error, meta)
    }

    fn record_probe(&mut self, passed: Option<Option<u64>>) {
        self.probe_passed = Some(passed.is_some());
        self.probes_sent = 0;
        if let Some(counted) = passed {
            self.counted = counted;
            self.dispatcher.sizes.prove(self.requested, counted);
        } else {
            // Neither the page size nor a row is the cause.
            self.query = self.dispatcher.sizes.fit_count(self.requested);
            (self.same_failures, self.shrunk) = (0, None);
        }
    }

    fn shrink(&mut self, error: &Error) {
        let failed = self.dispatcher.sizes.max_rows(&self.query);
        self.query = self.query.shortened((failed / 2).max(1));
        (self.same_failures, self.shrunk) = (0, Some(Shrunk { failed, may_be_row: retry::may_be_row(error) }));
    }

    /// Returns the time limit for retries after this error.
    fn limit(&self, error: &Error) -> Duration {
        self.dispatcher.retry_policy.limit_for(error, self.dispatcher.run_health.has_succeeded())
    }

    /// Returns true if an attempt after this wait would exceed the time limit.
    fn is_over(&self, error: &Error, wait: Duration) -> bool {
        let own =
            self.first_sent.map_or(Duration::ZERO, |first_sent| first_sent.elapsed().saturating_sub(self.time_queued));
        let all = self.dispatcher.run_health.failing(self.requested_at).map_or(Duration::ZERO, |(elapsed, _)| elapsed);
        own.max(all) + wait > self.limit(error)
    }

    fn exhausted(&self, error: Error) -> Error {
        let elapsed = self.first_sent.map_or(Duration::ZERO, |first_sent| first_sent.elapsed());
        Error::Exhausted { attempts: self.attempt, elapsed, last: Box::new(error) }
    }

    /// Returns the wait before the next attempt, or an error if the request must not be sent again.
    fn delay(&mut self, error: &Error, meta: ResponseMeta) -> Result<Duration, Error> {
        let retry_policy = &self.dispatcher.retry_policy;
        let backoff = &retry_policy.backoff;
        let scheduled = self.schedule.next().unwrap_or(backoff.window);
        let requested = meta.retry_after.map(|requested| backoff.scale_retry_after(requested));
        let refused = error.status() == Some(429);
        let delay = backoff.delay(if refused { requested.or(Some(backoff.window)) } else { requested }, scheduled);
        let few = retry::may_recover(error) && self.same_failures < retry::RECOVERY_ATTEMPTS;
        // The server may have rejected the page size. A second failure of the same kind confirms that it was not a
        // temporary problem.
        let size = retry_policy.may_be_size(error)
            && self.same_failures == 1
            && self.query.count() > 1
            && self.probe_passed.is_none();
        if self.requested.is_no_retry() || !(retry::is_transient(error) || few || size || self.waited.is_some()) {
            return Err(error.clone());
        }
        if self.attempt < retry_policy.attempts && !self.is_over(error, delay) {
            return Ok(delay);
        }
        match (meta.retry_after, requested) {
            (Some(wait), Some(requested)) if requested > backoff.window && self.is_over(error, requested) => {
                Err(Error::Deferred {
                    resource: self.requested.resource().to_owned(),
                    wait,
                    until: SystemTime::now() + wait,
                    last: Box::new(error.clone()),
                })
            }
            _ => Err(self.exhausted(error.clone())),
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
