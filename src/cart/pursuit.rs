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
use super::error::{Error, Transport};
use super::outlook::Outlook;
use super::page::{Discard, Envelope, Intake, ListNames};
use super::query::Query;
use super::retry::{self, Patience};
use super::sizes::Sizes;

/// Room for pages in memory, in KiB. Two of the largest pages that are usual (1000 products) fit, which
/// keeps two processors busy, and all requests side by side where pages are of middling size.
const ROOM: u32 = 8300;

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
    /// Its place among the requests in flight.
    pub place: OwnedSemaphorePermit,
    /// The store's clock when it answered, if it told.
    pub date: Option<SystemTime>,
    /// The room in memory it takes, unless something else holds it: to be kept until the page was passed on.
    pub room: Option<OwnedSemaphorePermit>,
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
    /// Sends the request once and reads the answer: the envelope of a page, or what went wrong; and what the
    /// headers said, if any came.
    fn ask(
        &self,
        query: &Query,
        names: ListNames<'_>,
        intake: &mut impl Intake,
    ) -> impl Future<Output = (Result<Envelope, Error>, Option<Heard>)> + Send;
}

/// What all requests to one store share.
#[derive(Debug)]
pub(super) struct Desk {
    budget: Budget,
    places: Arc<Semaphore>,
    room: Arc<Semaphore>,
    /// What is known of the pages.
    pub(super) sizes: Sizes,
    outlook: Outlook,
    /// How long a request may be retried.
    pub(super) patience: Patience,
}

/// A place among the requests in flight, and room in memory.
type Seat = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl Desk {
    /// For at most `in_flight` pages in memory.
    pub(super) fn new(budget: Budget, in_flight: usize, patience: Patience) -> Self {
        Self {
            budget,
            places: Arc::new(Semaphore::new(in_flight)),
            room: Arc::new(Semaphore::new(ROOM as usize)),
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
        let room = self.room.available_permits() / self.room_for(query).max(1) as usize;
        self.places.available_permits().min(room)
    }

    /// The room that the page of a query will take, in KiB, as far as it is known.
    fn room_for(&self, query: &Query) -> u32 {
        // Lines are a little longer than the rows they hold.
        let kib = self.sizes.row(query).saturating_mul(query.count()) / 1024;
        // A handful of rows never waits, so that a question about a page can be asked while it is held.
        if kib < 64 { 0 } else { u32::try_from(kib + kib / 16).unwrap_or(ROOM).min(ROOM) }
    }

    async fn seat(&self, query: &Query) -> Result<Seat, Error> {
        let closed = |_| diagnosis::broken(query, Transport::Broken, "shutting down".to_owned());
        let room = Arc::clone(&self.room).acquire_many_owned(self.room_for(query)).await.map_err(closed)?;
        Ok((Arc::clone(&self.places).acquire_owned().await.map_err(closed)?, room))
    }

    /// Sends a request in its turn, once; says when, too.
    async fn attempt(
        &self,
        ask: &impl Ask,
        (query, names): (&Query, ListNames<'_>),
        watch: &impl Watch,
        intake: &mut impl Intake,
    ) -> (Result<Envelope, Error>, Heard, Instant) {
        let ticket = self.budget.acquire(|moment| watch.notice(Notice::Waiting(clock(moment)))).await;
        watch.notice(Notice::Sending).await;
        let sent = Instant::now();
        intake.restart();
        let (outcome, heard) = ask.ask(query, names, intake).await;
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
            let seat = pursuit.seat().await?;
            let (error, heard) = loop {
                let (outcome, heard, sent) = self.attempt(ask, (&pursuit.query, names), watch, intake).await;
                let error = match outcome {
                    Ok(page) => return Ok(pursuit.answer(page, heard, seat)),
                    Err(error) => error,
                };
                pursuit.failed(&error, sent);
                let mut next = pursuit.next(&error);
                if next == Next::Prove {
                    watch.notice(Notice::Probing { attempt: pursuit.attempt, error: &error }).await;
                    let probe = pursuit.probe();
                    let (outcome, ..) = self.attempt(ask, (&probe, names), watch, &mut Discard).await;
                    pursuit.proved(outcome.is_ok());
                    next = if outcome.is_ok() { pursuit.next(&error) } else { Next::Wait };
                }
                match next {
                    Next::Prove | Next::Wait => break (error, heard),
                    Next::Unreadable => {
                        self.sizes.restore(query);
                        return Err(Error::Unreadable { resource: query.resource().to_owned(), last: Box::new(error) });
                    }
                    Next::Shrink if pursuit.is_over(&error, Duration::ZERO) => return Err(pursuit.exhausted(error)),
                    Next::Shrink => {
                        pursuit.shrink();
                        let (attempt, count) = (pursuit.attempt, pursuit.query.count());
                        watch.notice(Notice::Shrinking { attempt, error: &error, count }).await;
                        pursuit.last = Some(error);
                    }
                }
            };
            // Whoever works is not to wait for whoever does not.
            drop(seat);
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
    /// Whether it was made shorter because of its own failures.
    shrunk: bool,
    /// Whether the last request for one row, if one was made for this request, was answered.
    proof: Option<bool>,
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
            shrunk: false,
            proof: None,
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
        if self.shrunk {
            self.desk.sizes.shrink(&self.query);
        } else {
            self.desk.sizes.keep(&self.query, self.asked);
        }
        Answer { page, count: self.query.count(), place, date: heard.date, room: Some(room) }
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
            let row = error.status() != Some(400) && self.query.target() != self.probe().target();
            (row && (at_once || self.equal >= 2), self.proof == Some(true))
        } else {
            // Among shorter pages one failure is enough: the next is shorter still, and soon tells more.
            let short = self.query.count() < self.asked.count();
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

    /// A request for any one row.
    fn probe(&self) -> Query {
        Query::new(self.asked.resource(), 1)
    }

    fn proved(&mut self, passed: bool) {
        self.proof = Some(passed);
        if passed {
            self.desk.sizes.prove(self.asked);
        } else {
            // Neither the size nor a row is at fault.
            self.query = self.desk.sizes.fitted(self.asked);
            (self.equal, self.shrunk) = (0, false);
        }
    }

    fn shrink(&mut self) {
        self.query = self.query.shortened(self.query.count() / 2);
        (self.equal, self.shrunk) = (0, true);
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
