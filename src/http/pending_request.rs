//! One request until it succeeds: its slot and its memory, its turn, what is sent again and when, and shorter pages
//! if the full page cannot be had. The client decides what a request is and how it is sent.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::BoxFuture;
use super::error::Error;
use super::error_mapping;
use super::memory::{MemoryBudget, MemoryPermit};
use super::page::{Discard, ElementSink, Envelope};
use super::request::Request;
use super::retry::{self, RetryPolicy};
use super::run_health::RunHealth;
use super::sizes::PageSizes;
use super::throttle::{CallLimit, Throttle, Usage};

/// Something that happens while a request is under way.
#[derive(Clone, Debug)]
pub enum RequestEvent<'a> {
    /// The call budget is used up, or the store has refused; it goes on at this moment.
    Waiting(SystemTime),
    /// An attempt failed and will be repeated.
    Retrying {
        /// Which attempt failed, counted from 1.
        attempt: u32,
        /// Why.
        error: &'a Error,
        /// The wait before the next.
        delay: Duration,
    },
    /// An attempt failed, and it is found out whether one row of the resource can be had.
    Probing {
        /// Which attempt failed, counted from 1.
        attempt: u32,
        /// Why.
        error: &'a Error,
    },
    /// An attempt failed, and a shorter page is asked for at once.
    Shrinking {
        /// Which attempt failed, counted from 1.
        attempt: u32,
        /// Why.
        error: &'a Error,
        /// Rows of the shorter page.
        count: usize,
    },
    /// A request is sent now, an attempt after another one too: its wait is over.
    Sending,
    /// A request came to its end.
    Done(Exchange),
}

/// A request that came to its end, answered or not.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The request, as it is logged.
    pub request: String,
    /// The HTTP status, if an answer came.
    pub status: Option<u16>,
    /// Bytes of the answer that were read, after decompression.
    pub bytes: usize,
    /// Time from sending it to the end of the answer.
    pub took: Duration,
    /// The call count that the answer reported.
    pub limit: Option<CallLimit>,
}

impl fmt::Display for Exchange {
    /// One line without any content of the answer: what was requested, status, size, time, call count.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GET {}: ", self.request)?;
        match self.status {
            Some(status) => write!(f, "HTTP {status}, {} bytes", self.bytes)?,
            None => f.write_str("no answer")?,
        }
        write!(f, ", {} ms", self.took.as_millis())?;
        self.limit.map_or(Ok(()), |CallLimit { used, allowed }| write!(f, ", call limit {used}/{allowed}"))
    }
}

/// Is told of waits, requests and retries.
pub trait RequestObserver: Sync {
    /// Called when it happens; before a wait begins, and before a request is sent.
    fn on_event<'a>(&'a self, event: RequestEvent<'a>) -> BoxFuture<'a, ()>;
}

impl RequestEvent<'_> {
    /// A wait until this moment.
    pub fn waiting(until: Instant) -> Self {
        Self::Waiting(SystemTime::now() + until.saturating_duration_since(Instant::now()))
    }
}

/// A page, and what it takes: drop it when the page has been passed on.
#[derive(Debug)]
pub struct PageResponse<T> {
    /// What was read of the page.
    pub page: T,
    /// How many rows were asked for in the end. The answer begins with the row with which the page that was
    /// asked for begins; where this is less than was asked for, the store could not give the whole page.
    pub count: usize,
    /// Rows of the resource that the store counted on the way, when it was asked for any one row of it.
    pub counted: Option<u64>,
    /// Its place among the requests in flight.
    pub slot: OwnedSemaphorePermit,
    /// The store's clock when it answered, if it told.
    pub date: Option<SystemTime>,
    /// The room in memory it takes, unless something else holds it: to be kept until the page was passed on.
    pub memory: Option<MemoryPermit>,
}

/// What the headers of an answer said about calls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ResponseMeta {
    /// Calls made and allowed.
    pub(super) limit: Option<CallLimit>,
    /// How long the store wants to be left alone.
    pub(super) retry_after: Option<Duration>,
    /// The store's clock.
    pub(super) date: Option<SystemTime>,
    /// The HTTP status.
    pub(super) status: Option<u16>,
    /// Bytes of the body that were read, after decompression.
    pub(super) bytes: usize,
}

/// Makes one attempt.
pub(super) trait SendOnce: Sync {
    /// The requests that it sends.
    type Request: Request;

    /// Sends the request once and reads the answer as far as there is room: the envelope of a page, or what went
    /// wrong; and what the headers said, if any came.
    fn send_once(
        &self,
        query: &Self::Request,
        memory: &mut MemoryPermit,
        sink: &mut dyn ElementSink,
    ) -> impl Future<Output = (Result<Envelope, Error>, Option<ResponseMeta>)> + Send;
}

/// What all requests to one store share.
#[derive(Debug)]
pub(super) struct Dispatcher<T> {
    throttle: T,
    slots: Arc<Semaphore>,
    memory_budget: MemoryBudget,
    /// What is known of the pages.
    pub(super) sizes: PageSizes,
    run_health: RunHealth,
    /// How long a request may be retried.
    pub(super) retry_policy: RetryPolicy,
}

/// A place among the requests in flight, and room in memory.
type Admission = (OwnedSemaphorePermit, MemoryPermit);

impl<T: Throttle> Dispatcher<T> {
    /// For at most `in_flight` pages in memory.
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

    /// Returns what was used of the call limit so far.
    pub(super) fn usage(&self) -> Usage {
        self.throttle.usage()
    }

    /// Places for further requests like this one side by side.
    pub(super) fn free_slots(&self, query: &impl Request) -> usize {
        // What cannot be had is found in one sequence of requests; the others would read its short pages.
        if self.sizes.is_bisecting(query) {
            return 0;
        }
        self.slots.available_permits().min(self.memory_budget.slots(self.bytes_of(query)))
    }

    /// Returns true if an answer of this resource failed a moment ago for one of its rows, as it seems.
    pub(super) fn is_bisecting(&self, query: &impl Request) -> bool {
        self.sizes.is_any_bisecting(query)
    }

    /// What the page of a query will take in memory, as far as it is known.
    fn bytes_of(&self, query: &impl Request) -> usize {
        self.sizes.row(query).saturating_mul(query.count())
    }

    async fn admission(&self, query: &impl Request) -> Result<Admission, Error> {
        let closed = |_| error_mapping::closing(query.resource());
        let memory = self.memory_budget.reserve(self.bytes_of(query)).await.map_err(closed)?;
        Ok((Arc::clone(&self.slots).acquire_owned().await.map_err(closed)?, memory))
    }

    /// Sends a request in its turn, once; says when, too.
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
        // A request that got no answer may have been counted or not; its ticket is not given back
        // to the window, and its place is.
        let is_refused = matches!(&outcome, Err(error) if error.status() == Some(429));
        match &meta {
            // A refusal that counts calls left contradicts itself: its count says nothing about the window.
            Some(meta) => {
                let limit = meta.limit.filter(|limit| !is_refused || limit.used >= limit.allowed);
                self.throttle.answered(call_permit, limit);
            }
            None => drop(call_permit),
        }
        match &outcome {
            Ok(_) => self.run_health.record_success(),
            Err(error) => {
                // What came of it takes no memory while the next attempt is waited for.
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

    /// Asks for any one row of the resource. Gives back how many it counts, if one can be had.
    async fn probe<S: SendOnce>(
        &self,
        sender: &S,
        (pending_request, memory): (&PendingRequest<'_, T, S::Request>, &mut MemoryPermit),
        observer: &dyn RequestObserver,
    ) -> Option<Option<u64>> {
        for probe in pending_request.probes() {
            match self.attempt(sender, (&probe, &mut *memory), observer, &mut Discard).await {
                (Ok(page), ..) => return Some(page.total),
                // The API documents 404 for pages out of bounds: the resource holds one row.
                (Err(error), ..) if error.status() == Some(404) && probe.slice().page > 1 => return Some(None),
                (Err(error), ..) if !retry::may_be_row(&error) => return None,
                _ => {}
            }
        }
        None
    }

    /// Asks until there is an answer, and gives its rows to `sink`, which is told to start again when an
    /// attempt fails.
    ///
    /// # Errors
    /// [`Error`] when the fault does not pass, or not within the patience.
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
            let (error, meta) = loop {
                let request = (&pending_request.query, &mut memory);
                let (outcome, meta, sent) = self.attempt(sender, request, observer, sink).await;
                let error = match outcome {
                    Ok(page) => return Ok(pending_request.answer(page, meta, (slot, memory))),
                    Err(error) => error,
                };
                pending_request.failed(&error, sent);
                let mut next = pending_request.next(&error);
                if next == NextStep::ProbeOneRow {
                    observer.on_event(RequestEvent::Probing { attempt: pending_request.attempt, error: &error }).await;
                    let passed = self.probe(sender, (&pending_request, &mut memory), observer).await;
                    pending_request.record_probe(passed);
                    next = if passed.is_some() { pending_request.next(&error) } else { NextStep::Retry };
                }
                match next {
                    NextStep::ProbeOneRow | NextStep::Retry => break (error, meta),
                    NextStep::Unreadable => {
                        self.sizes.restore(query);
                        return Err(Error::Unreadable { resource: query.resource().to_owned(), last: Box::new(error) });
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
            };
            // Whoever works is not to wait for whoever does not.
            drop((slot, memory));
            let delay = pending_request.delay(&error, meta)?;
            observer.on_event(RequestEvent::Retrying { attempt: pending_request.attempt, error: &error, delay }).await;
            let calls_left = meta.limit.is_some_and(|limit| limit.used < limit.allowed);
            if error.status() == Some(429) && !calls_left {
                self.throttle.refused(delay);
            } else {
                tokio::time::sleep(delay).await;
            }
            pending_request.last = Some(error);
        }
    }
}

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NextStep {
    /// The same again after a wait, or the end.
    Retry,
    /// A request for one row, whatever row it is, tells whether the resource can be had at all.
    ProbeOneRow,
    /// A shorter page, at once.
    Shrink,
    /// The one row that was asked for cannot be had, and others can.
    Unreadable,
}

/// A request that was made shorter.
#[derive(Clone, Copy, Debug)]
struct Shrunk {
    /// Rows of the last page that failed.
    failed: usize,
    /// Whether one of its rows may be at fault.
    may_be_row: bool,
}

/// One request on its way.
struct PendingRequest<'d, T, R> {
    dispatcher: &'d Dispatcher<T>,
    /// As it was asked for.
    requested: &'d R,
    /// As it is sent now.
    query: R,
    /// When it was asked for, and when it was first sent.
    requested_at: Instant,
    first_sent: Option<Instant>,
    /// How long it waited for a place since it was sent.
    time_queued: Duration,
    attempt: u32,
    schedule: backon::ExponentialBackoff,
    /// How the attempt before failed.
    last: Option<Error>,
    /// Failures in a row that were the same, of one size.
    same_failures: u32,
    /// If it was made shorter because of its own failures.
    shrunk: Option<Shrunk>,
    /// Whether the last request for one row, if one was made for this request, was answered.
    probe_passed: Option<bool>,
    /// Rows of the resource that it counted.
    counted: Option<u64>,
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
            probe_passed: None,
            counted: None,
        }
    }

    /// Waits for a place and room. Neither that nor the wait for the first turn is trouble of this request, so
    /// it costs no patience, unless nothing else works meanwhile.
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
        let (count, counted) = (self.query.count(), self.counted);
        PageResponse { page, count, counted, slot, date: meta.date, memory: Some(memory) }
    }

    fn failed(&mut self, error: &Error, sent: Instant) {
        self.attempt += 1;
        self.first_sent.get_or_insert(sent);
        let same = self.last.as_ref().is_some_and(|last| retry::is_same(last, error));
        self.same_failures = if same { self.same_failures + 1 } else { 1 };
    }

    fn next(&self, error: &Error) -> NextStep {
        if !retry::may_be_size(error) || self.requested.is_no_retry() {
            return NextStep::Retry;
        }
        let at_once = matches!(error, Error::TooLarge { .. });
        let last_resort = self.query.count() == 1;
        let (ripe, is_row_readable) = if last_resort {
            // That one row is at fault is said on fresh evidence only, and never of a request that is rejected.
            // Where nothing was asked for but one row of the resource, only what a row can cause counts.
            let is_probe = self.query.is_same(&self.requested.any_row(1));
            let row = error.status() != Some(400) && (!is_probe || retry::may_be_row(error));
            (row && (at_once || self.same_failures >= 2), self.probe_passed == Some(true))
        } else {
            // Among shorter pages one failure is enough: the next is shorter still, and soon tells more. So it is
            // where a row of the resource was met a moment ago that breaks answers.
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

    /// Requests for any one row: the first, and the second, since the first may be the one that breaks every
    /// answer. Never the request that failed.
    fn probes(&self) -> impl Iterator<Item = R> {
        [1, 2].into_iter().map(|place| self.requested.any_row(place)).filter(|probe| !probe.is_same(&self.query))
    }

    fn record_probe(&mut self, passed: Option<Option<u64>>) {
        self.probe_passed = Some(passed.is_some());
        if let Some(counted) = passed {
            self.counted = counted;
            self.dispatcher.sizes.prove(self.requested, counted);
        } else {
            // Neither the size nor a row is at fault.
            self.query = self.dispatcher.sizes.fit_count(self.requested);
            (self.same_failures, self.shrunk) = (0, None);
        }
    }

    fn shrink(&mut self, error: &Error) {
        let failed = self.dispatcher.sizes.max_rows(&self.query);
        self.query = self.query.shortened((failed / 2).max(1));
        (self.same_failures, self.shrunk) = (0, Some(Shrunk { failed, may_be_row: retry::may_be_row(error) }));
    }

    /// How long it may be retried, if it fails so.
    fn limit(&self, error: &Error) -> Duration {
        self.dispatcher.retry_policy.limit_for(error, self.dispatcher.run_health.has_succeeded())
    }

    /// Whether an attempt after this wait would be beyond the patience.
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

    /// How long to wait before the next attempt; an error if there is to be none.
    fn delay(&mut self, error: &Error, meta: ResponseMeta) -> Result<Duration, Error> {
        let retry_policy = &self.dispatcher.retry_policy;
        let backoff = &retry_policy.backoff;
        let scheduled = self.schedule.next().unwrap_or(backoff.window);
        let requested = meta.retry_after.map(|requested| backoff.scale_retry_after(requested));
        let refused = error.status() == Some(429);
        let delay = backoff.delay(if refused { requested.or(Some(backoff.window)) } else { requested }, scheduled);
        let few = retry::may_recover(error) && self.attempt < retry::RECOVERY_ATTEMPTS;
        // What is rejected may be the size of the page, which a second refusal tells from a hiccup.
        let size = retry::may_be_size(error)
            && self.same_failures == 1
            && self.query.count() > 1
            && self.probe_passed.is_none();
        if self.requested.is_no_retry() || !(retry::is_transient(error) || few || size) {
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
mod tests;
