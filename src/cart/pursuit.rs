//! One request until it is answered: its place and its room, its turn, what is tried again and when, and
//! shorter pages where the whole one cannot be had. What a request is, and how it is sent, is for the client.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::budget::{Budget, CallLimit, Usage};
use super::diagnosis;
use super::error::Error;
use super::outlook::Outlook;
use super::page::{Discard, Envelope, Intake, ListNames};
use super::query::Query;
use super::retry::{self, Patience};
use super::room::{Room, Rooms};
use super::sizes::Sizes;

/// Something that happens while a request is under way.
#[derive(Clone, Debug)]
pub enum Notice<'a> {
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
    Done(Exchange<'a>),
}

/// A request that came to its end, answered or not.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// The request.
    pub query: &'a Query,
    /// The HTTP status, if an answer came.
    pub status: Option<u16>,
    /// Bytes of the answer that were read, after decompression.
    pub bytes: usize,
    /// Time from sending it to the end of the answer.
    pub took: Duration,
    /// The call count that the answer reported.
    pub limit: Option<CallLimit>,
}

impl fmt::Display for Exchange<'_> {
    /// One line without any content of the answer: what was requested, status, size, time, call count.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GET {}: ", self.query)?;
        match self.status {
            Some(status) => write!(f, "HTTP {status}, {} bytes", self.bytes)?,
            None => f.write_str("no answer")?,
        }
        write!(f, ", {} ms", self.took.as_millis())?;
        self.limit.map_or(Ok(()), |CallLimit { made, allowed }| write!(f, ", call limit {made}/{allowed}"))
    }
}

/// Is told of waits, requests and retries.
pub trait Watch: Sync {
    /// Called when it happens; before a wait begins, and before a request is sent.
    fn notice(&self, notice: Notice<'_>) -> impl Future<Output = ()> + Send;
}

/// A page, and what it takes: drop it when the page has been passed on.
#[derive(Debug)]
pub struct Answer<T> {
    /// What was read of the page.
    pub page: T,
    /// How many rows were asked for in the end. The answer begins with the row with which the page that was
    /// asked for begins; where this is less than was asked for, the store could not give the whole page.
    pub count: usize,
    /// Rows of the resource that the store counted on the way, when it was asked for any one row of it.
    pub counted: Option<u64>,
    /// Its place among the requests in flight.
    pub place: OwnedSemaphorePermit,
    /// The store's clock when it answered, if it told.
    pub date: Option<SystemTime>,
    /// The room in memory it takes, unless something else holds it: to be kept until the page was passed on.
    pub room: Option<Room>,
}

/// What the headers of an answer said about calls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heard {
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
pub(super) trait Ask: Sync {
    /// Sends the request once and reads the answer as far as there is room: the envelope of a page, or what went
    /// wrong; and what the headers said, if any came.
    fn ask(
        &self,
        query: &Query,
        names: ListNames<'_>,
        room: &mut Room,
        intake: &mut impl Intake,
    ) -> impl Future<Output = (Result<Envelope, Error>, Option<Heard>)> + Send;
}

/// What all requests to one store share.
#[derive(Debug)]
pub(super) struct Desk {
    budget: Budget,
    places: Arc<Semaphore>,
    rooms: Rooms,
    /// What is known of the pages.
    pub(super) sizes: Sizes,
    outlook: Outlook,
    /// How long a request may be retried.
    pub(super) patience: Patience,
}

/// A place among the requests in flight, and room in memory.
type Seat = (OwnedSemaphorePermit, Room);

impl Desk {
    /// For at most `in_flight` pages in memory.
    pub(super) fn new(budget: Budget, in_flight: usize, patience: Patience) -> Self {
        Self {
            budget,
            places: Arc::new(Semaphore::new(in_flight)),
            rooms: Rooms::new(),
            sizes: Sizes::default(),
            outlook: Outlook::default(),
            patience,
        }
    }

    /// Returns what was used of the call limit so far.
    pub(super) fn usage(&self) -> Usage {
        self.budget.usage()
    }

    /// Places for further requests like this one side by side.
    pub(super) fn free_places(&self, query: &Query) -> usize {
        // What cannot be had is found in one sequence of requests; the others would read its short pages.
        if self.sizes.is_on_trial(query) {
            return 0;
        }
        self.places.available_permits().min(self.rooms.places(self.bytes_of(query)))
    }

    /// Returns true if an answer of this resource failed a moment ago for one of its rows, as it seems.
    pub(super) fn is_on_trial(&self, query: &Query) -> bool {
        self.sizes.is_any_on_trial(query)
    }

    /// What the page of a query will take in memory, as far as it is known.
    fn bytes_of(&self, query: &Query) -> usize {
        self.sizes.row(query).saturating_mul(query.count())
    }

    async fn seat(&self, query: &Query) -> Result<Seat, Error> {
        let closed = |_| diagnosis::closing(query);
        let room = self.rooms.claim(self.bytes_of(query)).await.map_err(closed)?;
        Ok((Arc::clone(&self.places).acquire_owned().await.map_err(closed)?, room))
    }

    /// Sends a request in its turn, once; says when, too.
    async fn attempt(
        &self,
        ask: &impl Ask,
        (query, names, room): (&Query, ListNames<'_>, &mut Room),
        watch: &impl Watch,
        intake: &mut impl Intake,
    ) -> (Result<Envelope, Error>, Heard, Instant) {
        let ticket = self.budget.acquire(|moment| watch.notice(Notice::Waiting(clock(moment)))).await;
        watch.notice(Notice::Sending).await;
        let sent = Instant::now();
        intake.restart();
        let (outcome, heard) = ask.ask(query, names, room, intake).await;
        let took = sent.elapsed();
        // A request that got no answer may have been counted or not; its ticket is not given back
        // to the window, and its place is.
        let is_refused = matches!(&outcome, Err(error) if error.status() == Some(429));
        match &heard {
            // A refusal that counts calls left contradicts itself: its count says nothing about the window.
            Some(heard) => {
                let limit = heard.limit.filter(|limit| !is_refused || limit.made >= limit.allowed);
                self.budget.answered(ticket, limit);
            }
            None => drop(ticket),
        }
        match &outcome {
            Ok(_) => self.outlook.worked(),
            Err(error) => {
                // What came of it takes no memory while the next attempt is waited for.
                intake.restart();
                if retry::is_passing(error) {
                    self.outlook.failed(error);
                }
            }
        }
        let heard = heard.unwrap_or_default();
        let Heard { status, bytes, limit, .. } = heard;
        watch.notice(Notice::Done(Exchange { query, status, bytes, took, limit })).await;
        (outcome, heard, sent)
    }

    /// Asks for any one row of the resource. Gives back how many it counts, if one can be had.
    async fn probe(
        &self,
        ask: &impl Ask,
        (pursuit, names, room): (&Pursuit<'_>, ListNames<'_>, &mut Room),
        watch: &impl Watch,
    ) -> Option<Option<u64>> {
        for probe in pursuit.probes() {
            match self.attempt(ask, (&probe, names, &mut *room), watch, &mut Discard).await {
                (Ok(page), ..) => return Some(page.total),
                // The API documents 404 for pages out of bounds: the resource holds one row.
                (Err(error), ..) if error.status() == Some(404) && probe.page_number() > 1 => return Some(None),
                (Err(error), ..) if !retry::may_be_row(&error) => return None,
                _ => {}
            }
        }
        None
    }

    /// Asks until there is an answer, and gives its rows to `intake`, which is told to start again when an
    /// attempt fails.
    ///
    /// # Errors
    /// [`Error`] when the fault does not pass, or not within the patience.
    pub(super) async fn get(
        &self,
        ask: &impl Ask,
        (query, names): (&Query, ListNames<'_>),
        watch: &impl Watch,
        intake: &mut impl Intake,
    ) -> Result<Answer<Envelope>, Error> {
        let mut pursuit = Pursuit::new(self, query);
        loop {
            let (place, mut room) = pursuit.seat().await?;
            let (error, heard) = loop {
                let request = (&pursuit.query, names, &mut room);
                let (outcome, heard, sent) = self.attempt(ask, request, watch, intake).await;
                let error = match outcome {
                    Ok(page) => return Ok(pursuit.answer(page, heard, (place, room))),
                    Err(error) => error,
                };
                pursuit.failed(&error, sent);
                let mut next = pursuit.next(&error);
                if next == Next::Prove {
                    watch.notice(Notice::Probing { attempt: pursuit.attempt, error: &error }).await;
                    let passed = self.probe(ask, (&pursuit, names, &mut room), watch).await;
                    pursuit.proved(passed);
                    next = if passed.is_some() { pursuit.next(&error) } else { Next::Wait };
                }
                match next {
                    Next::Prove | Next::Wait => break (error, heard),
                    Next::Unreadable => {
                        self.sizes.restore(query);
                        return Err(Error::Unreadable { resource: query.resource().to_owned(), last: Box::new(error) });
                    }
                    Next::Shrink if pursuit.is_over(&error, Duration::ZERO) => return Err(pursuit.exhausted(error)),
                    Next::Shrink => {
                        pursuit.shrink(&error);
                        let (attempt, count) = (pursuit.attempt, pursuit.query.count());
                        watch.notice(Notice::Shrinking { attempt, error: &error, count }).await;
                        pursuit.last = Some(error);
                    }
                }
            };
            // Whoever works is not to wait for whoever does not.
            drop((place, room));
            let delay = pursuit.delay(&error, heard)?;
            watch.notice(Notice::Retrying { attempt: pursuit.attempt, error: &error, delay }).await;
            let calls_left = heard.limit.is_some_and(|limit| limit.made < limit.allowed);
            if error.status() == Some(429) && !calls_left {
                self.budget.refused(delay);
            } else {
                tokio::time::sleep(delay).await;
            }
            pursuit.last = Some(error);
        }
    }
}

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The same again after a wait, or the end.
    Wait,
    /// A request for one row, whatever row it is, tells whether the resource can be had at all.
    Prove,
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
struct Pursuit<'d> {
    desk: &'d Desk,
    /// As it was asked for.
    asked: &'d Query,
    /// As it is sent now.
    query: Query,
    /// When it was asked for, and when it was first sent.
    called: Instant,
    began: Option<Instant>,
    /// How long it waited for a place since it was sent.
    queued: Duration,
    attempt: u32,
    schedule: backon::ExponentialBackoff,
    /// How the attempt before failed.
    last: Option<Error>,
    /// Failures in a row that were the same, of one size.
    equal: u32,
    /// If it was made shorter because of its own failures.
    shrunk: Option<Shrunk>,
    /// Whether the last request for one row, if one was made for this request, was answered.
    proof: Option<bool>,
    /// Rows of the resource that it counted.
    counted: Option<u64>,
}

impl<'d> Pursuit<'d> {
    fn new(desk: &'d Desk, asked: &'d Query) -> Self {
        Self {
            desk,
            asked,
            query: desk.sizes.fitted(asked),
            called: Instant::now(),
            began: None,
            queued: Duration::ZERO,
            attempt: 0,
            schedule: desk.patience.waits.schedule(),
            last: None,
            equal: 0,
            shrunk: None,
            proof: None,
            counted: None,
        }
    }

    /// Waits for a place and room. Neither that nor the wait for the first turn is trouble of this request, so
    /// it costs no patience, unless nothing else works meanwhile.
    async fn seat(&mut self) -> Result<Seat, Error> {
        let from = Instant::now();
        let seat = self.desk.seat(&self.query).await?;
        if self.began.is_some() {
            self.queued += from.elapsed();
        }
        if let Some((elapsed, error)) = self.desk.outlook.failing(self.called)
            && elapsed > self.limit(&error)
        {
            let last = Box::new(self.last.take().unwrap_or(error));
            return Err(Error::Exhausted { attempts: self.attempt, elapsed, last });
        }
        Ok(seat)
    }

    fn answer(self, page: Envelope, heard: Heard, (place, room): Seat) -> Answer<Envelope> {
        if let Some(Shrunk { failed, may_be_row }) = self.shrunk {
            self.desk.sizes.shrink(&self.query, failed, may_be_row);
        } else {
            self.desk.sizes.keep(&self.query, self.asked);
        }
        let (count, counted) = (self.query.count(), self.counted);
        Answer { page, count, counted, place, date: heard.date, room: Some(room) }
    }

    fn failed(&mut self, error: &Error, sent: Instant) {
        self.attempt += 1;
        self.began.get_or_insert(sent);
        let same = self.last.as_ref().is_some_and(|last| retry::is_same(last, error));
        self.equal = if same { self.equal + 1 } else { 1 };
    }

    fn next(&self, error: &Error) -> Next {
        if !retry::may_be_size(error) || self.asked.is_once() {
            return Next::Wait;
        }
        let at_once = matches!(error, Error::TooLarge { .. });
        let last_resort = self.query.count() == 1;
        let (ripe, proven) = if last_resort {
            // That one row is at fault is said on fresh evidence only, and never of a request that is rejected.
            // Where nothing was asked for but one row of the resource, only what a row can cause counts.
            let is_probe = self.query.target() == Query::new(self.asked.resource(), 1).target();
            let row = error.status() != Some(400) && (!is_probe || retry::may_be_row(error));
            (row && (at_once || self.equal >= 2), self.proof == Some(true))
        } else {
            // Among shorter pages one failure is enough: the next is shorter still, and soon tells more. So it is
            // where a row of the resource was met a moment ago that breaks answers.
            let short = self.query.count() < self.asked.count() || self.desk.sizes.is_any_on_trial(self.asked);
            let proven = self.proof.unwrap_or_else(|| self.desk.sizes.is_proven(self.asked));
            (at_once || short || self.equal >= 2, proven)
        };
        match (ripe, proven) {
            (false, _) => Next::Wait,
            (true, false) => Next::Prove,
            (true, true) if last_resort => Next::Unreadable,
            (true, true) => Next::Shrink,
        }
    }

    /// Requests for any one row: the first, and the second, since the first may be the one that breaks every
    /// answer. Never the request that failed.
    fn probes(&self) -> impl Iterator<Item = Query> {
        let probe = |page| Query::new(self.asked.resource(), 1).page(page);
        let failed = self.query.target();
        [1, 2].into_iter().map(probe).filter(move |probe| probe.target() != failed)
    }

    fn proved(&mut self, passed: Option<Option<u64>>) {
        self.proof = Some(passed.is_some());
        if let Some(counted) = passed {
            self.counted = counted;
            self.desk.sizes.prove(self.asked, counted);
        } else {
            // Neither the size nor a row is at fault.
            self.query = self.desk.sizes.fitted(self.asked);
            (self.equal, self.shrunk) = (0, None);
        }
    }

    fn shrink(&mut self, error: &Error) {
        let failed = self.desk.sizes.rows_of(&self.query);
        self.query = self.query.shortened((failed / 2).max(1));
        (self.equal, self.shrunk) = (0, Some(Shrunk { failed, may_be_row: retry::may_be_row(error) }));
    }

    /// How long it may be retried, if it fails so.
    fn limit(&self, error: &Error) -> Duration {
        self.desk.patience.with(error, self.desk.outlook.has_worked())
    }

    /// Whether an attempt after this wait would be beyond the patience.
    fn is_over(&self, error: &Error, wait: Duration) -> bool {
        let own = self.began.map_or(Duration::ZERO, |began| began.elapsed().saturating_sub(self.queued));
        let all = self.desk.outlook.failing(self.called).map_or(Duration::ZERO, |(elapsed, _)| elapsed);
        own.max(all) + wait > self.limit(error)
    }

    fn exhausted(&self, error: Error) -> Error {
        let elapsed = self.began.map_or(Duration::ZERO, |began| began.elapsed());
        Error::Exhausted { attempts: self.attempt, elapsed, last: Box::new(error) }
    }

    /// How long to wait before the next attempt; an error if there is to be none.
    fn delay(&mut self, error: &Error, heard: Heard) -> Result<Duration, Error> {
        let patience = &self.desk.patience;
        let waits = &patience.waits;
        let scheduled = self.schedule.next().unwrap_or(waits.window);
        let asked = heard.retry_after.map(|asked| waits.asked(asked));
        let refused = error.status() == Some(429);
        let delay = waits.delay(if refused { asked.or(Some(waits.window)) } else { asked }, scheduled);
        let few = retry::is_doubtful(error) && self.attempt < retry::FEW_ATTEMPTS;
        // What is rejected may be the size of the page, which a second refusal tells from a hiccup.
        let size = retry::may_be_size(error) && self.equal == 1 && self.query.count() > 1 && self.proof.is_none();
        if self.asked.is_once() || !(retry::is_passing(error) || few || size) {
            return Err(error.clone());
        }
        if self.attempt < patience.attempts && !self.is_over(error, delay) {
            return Ok(delay);
        }
        match (heard.retry_after, asked) {
            (Some(wait), Some(asked)) if asked > waits.window && self.is_over(error, asked) => Err(Error::Deferred {
                resource: self.asked.resource().to_owned(),
                wait,
                until: SystemTime::now() + wait,
                last: Box::new(error.clone()),
            }),
            _ => Err(self.exhausted(error.clone())),
        }
    }
}

fn clock(moment: Instant) -> SystemTime {
    SystemTime::now() + moment.saturating_duration_since(Instant::now())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests;
