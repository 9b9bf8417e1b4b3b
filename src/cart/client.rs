//! The client: sends one list request, waits its turn, retries what can pass, and gives back the
//! whole page, read. What a page means is for the caller.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use hyper::header::{DATE, HeaderMap, LOCATION, RETRY_AFTER};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use url::Url;

use super::auth::Auth;
use super::budget::{Budget, CallLimit};
use super::error::{Error, Transport};
use super::http::{self, Http, Limits};
use super::page::{Envelope, Intake, PageFault, Reading};
use super::query::Query;
use super::retry::{self, Waits};
use crate::secret::Secret;
use crate::spare::Spare;

/// One attempt as a whole, so that an answer that trickles ends as well.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(300);
/// Largest body after decompression. A page of 1000 products is about 5 MB; a compressed bomb ends here.
const BODY_LIMIT: usize = 64 * 1024 * 1024;
/// Largest size of the lines that are made of a body: a little more than the body, unless its rows are tiny
/// and many more than were asked for.
const LINES_LIMIT: usize = 2 * BODY_LIMIT;
/// Bytes of a body that are waited for before they are read: some rows at least, and few enough to stay
/// in the processor's cache.
const WINDOW: usize = 64 * 1024;
/// Room for a window and the piece that makes it full. A value larger than this makes it grow.
const WINDOW_SIZE: usize = WINDOW + http::READ;
/// Room for pages in memory, in KiB. Two of the largest pages that are usual (1000 products) fit, which
/// keeps two processors busy, and all requests side by side where pages are of middling size.
const ROOM: u32 = 8300;
/// What a row takes until one was seen.
const ROW_AT_FIRST: usize = 1024;

/// How long a request may be retried.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Time from the first attempt after which no further one begins.
    pub total: Duration,
    /// Number of attempts.
    pub attempts: u32,
    /// The most that one attempt may take, and any silence in it.
    pub timeout: Duration,
    /// The waits between attempts.
    pub waits: Waits,
}

impl Patience {
    /// For `read`: ten minutes outlast a restart of the store.
    pub const READ: Self =
        Self { total: Duration::from_secs(600), attempts: u32::MAX, timeout: ATTEMPT_TIMEOUT, waits: Waits::USUAL };
    /// For `check`: a person is waiting. Three attempts that are never answered end within the total, and
    /// then what is said is what was wrong.
    pub const CHECK: Self =
        Self { total: Duration::from_secs(30), attempts: 3, timeout: Duration::from_secs(9), ..Self::READ };

    /// The same, shortened: the waits shrink with the total.
    #[must_use]
    pub fn at_most(self, total: Option<Duration>, timeout: Option<Duration>) -> Self {
        let timeout = timeout.map_or(self.timeout, |timeout| timeout.min(self.timeout));
        let Some(total) = total.filter(|&total| total < self.total) else { return Self { timeout, ..self } };
        let waits = self.waits.scaled(total.as_secs_f64() / self.total.as_secs_f64());
        Self { total, timeout, waits, ..self }
    }
}

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
}

/// Is told of waits and retries.
pub trait Watch: Sync {
    /// Called before the wait begins.
    fn notice(&self, notice: Notice<'_>) -> impl Future<Output = ()> + Send;
}

/// A page, and what it takes: drop it when the page has been passed on.
#[derive(Debug)]
pub struct Answer<T> {
    /// What was read of the page.
    pub page: T,
    /// Its place among the requests in flight.
    pub place: OwnedSemaphorePermit,
    /// The store's clock when it answered, if it told.
    pub date: Option<SystemTime>,
    /// The room in memory it takes, unless something else holds it: to be kept until the page was passed on.
    pub room: Option<OwnedSemaphorePermit>,
}

/// A client of one store.
#[derive(Debug)]
pub struct Client {
    http: Http,
    base: Url,
    auth: Auth,
    budget: Budget,
    places: Arc<Semaphore>,
    room: Arc<Semaphore>,
    /// The largest size of a row seen so far, as it came or as it is kept, by resource, as the mean of a page.
    row_sizes: Mutex<HashMap<String, usize>>,
    windows: Spare<WINDOW_SIZE>,
    patience: Patience,
}

impl Client {
    /// A client for `base` (`https://host/api/v1/`), with at most `in_flight` pages in memory.
    ///
    /// # Errors
    /// A sentence, if the TLS settings cannot be used.
    pub fn new(base: Url, auth: Auth, budget: Budget, in_flight: usize, patience: Patience) -> Result<Self, String> {
        let extra = std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty());
        let tls = super::tls::config(extra.as_ref().map(std::path::Path::new))
            .map_err(|error| format!("SSL_CERT_FILE: {error}"))?;
        let http = Http::new(tls, base.scheme() == "https", in_flight, Limits::within(patience.timeout));
        Ok(Self {
            http,
            base,
            auth,
            budget,
            places: Arc::new(Semaphore::new(in_flight)),
            room: Arc::new(Semaphore::new(ROOM as usize)),
            row_sizes: Mutex::default(),
            windows: Spare::default(),
            patience,
        })
    }

    /// The store's host and, if it is not the usual one, port.
    #[must_use]
    pub fn host(&self) -> String {
        host_of(&self.base)
    }

    /// How long a request may be retried.
    #[must_use]
    pub fn patience(&self) -> Patience {
        self.patience
    }

    /// Places for further requests like this one side by side.
    #[must_use]
    pub fn free_places(&self, query: &Query) -> usize {
        let room = self.room.available_permits() / self.room_for(query).max(1) as usize;
        self.places.available_permits().min(room)
    }

    fn row_sizes(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        // Every change to it is complete when the lock is given back.
        self.row_sizes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The room that the page of a query will take, in KiB, as far as it is known.
    fn room_for(&self, query: &Query) -> u32 {
        let row = self.row_sizes().get(query.resource()).copied().unwrap_or(ROW_AT_FIRST);
        // Lines are a little longer than the rows they hold.
        let kib = row.saturating_mul(query.count()) / 1024;
        // A handful of rows never waits, so that a question about a page can be asked while it is held.
        if kib < 64 { 0 } else { u32::try_from(kib + kib / 16).unwrap_or(ROOM).min(ROOM) }
    }

    async fn place(&self, query: &Query) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let room = Arc::clone(&self.room).acquire_many_owned(self.room_for(query)).await.ok()?;
        Some((Arc::clone(&self.places).acquire_owned().await.ok()?, room))
    }

    /// Asks for one page and gives its rows to `intake`, which is told to start again when an attempt
    /// fails. `names` are the names that the list may have.
    ///
    /// # Errors
    /// [`Error`] when the fault does not pass, or not within the patience.
    pub async fn get(
        &self,
        query: &Query,
        names: &[&str],
        watch: &impl Watch,
        intake: &mut impl Intake,
    ) -> Result<Answer<Envelope>, Error> {
        let Some((place, room)) = self.place(query).await else {
            // The semaphores are never closed.
            return Err(broken(query, Transport::Broken, "shutting down".to_owned()));
        };
        let mut began = None;
        let waits = self.patience.waits;
        let mut schedule = waits.schedule();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let ticket = self.budget.acquire(|moment| watch.notice(Notice::Waiting(clock(moment)))).await;
            // Waiting for the first turn is no trouble of this request, so it costs no patience.
            let began = *began.get_or_insert_with(Instant::now);
            intake.restart();
            let (outcome, heard) = self.attempt(query, names, intake).await;
            // A request that got no answer may have been counted or not; its ticket is not given back
            // to the window, and its place is.
            match &heard {
                Some(heard) => self.budget.answered(ticket, heard.limit),
                None => drop(ticket),
            }
            let error = match outcome {
                Ok(page) => {
                    let date = heard.and_then(|heard| heard.date);
                    return Ok(Answer { page, place, date, room: Some(room) });
                }
                Err(error) => error,
            };
            let asked = heard.and_then(|heard| heard.retry_after);
            let scheduled = schedule.next().unwrap_or(waits.window);
            let refused = error.status() == Some(429);
            let delay = waits.delay(if refused { asked.or(Some(waits.window)) } else { asked }, scheduled);
            let doubtful = retry::is_doubtful(&error) && attempt < retry::FEW_ATTEMPTS;
            if !retry::is_passing(&error) && !doubtful {
                return Err(error);
            }
            if attempt >= self.patience.attempts || began.elapsed() + delay > self.patience.total {
                return Err(Error::Exhausted { attempts: attempt, elapsed: began.elapsed(), last: Box::new(error) });
            }
            watch.notice(Notice::Retrying { attempt, error: &error, delay }).await;
            if refused {
                self.budget.refused(delay);
            } else {
                tokio::time::sleep(delay).await;
            }
        }
    }

    /// One attempt: the envelope of a 200, or what went wrong; and what the headers said, if any came.
    async fn attempt(
        &self,
        query: &Query,
        names: &[&str],
        intake: &mut impl Intake,
    ) -> (Result<Envelope, Error>, Option<Heard>) {
        let url = match self.base.join(&query.target()) {
            Ok(url) => url,
            Err(error) => return (Err(broken(query, Transport::Connect, error.to_string())), None),
        };
        let path_and_query = url.query().map_or_else(|| url.path().to_owned(), |rest| format!("{}?{rest}", url.path()));
        let signed = self.auth.headers(&path_and_query);
        let mut answer = match self.http.get(&url, signed.clone()).await {
            Ok(answer) => answer,
            Err(fault) => return (Err(transport(query, &fault)), None),
        };
        let heard = Heard::of(&answer.headers);
        let status = answer.status;
        if status.is_redirection() {
            let location = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
            let target = location.and_then(|location| self.base.join(location).ok());
            let host = target.map(|target| host_of(&target)).filter(|host| *host != self.host());
            let resource = query.resource().to_owned();
            return (Err(Error::Redirect { resource, status: status.as_u16(), host }), Some(heard));
        }
        if status != StatusCode::OK {
            let mut body = Vec::new();
            // The sentence of an error is short; what follows it is of no interest.
            while body.len() <= WINDOW && answer.read(&mut body).await.is_ok_and(|read| read > 0) {}
            let error = Error::Status {
                resource: query.resource().to_owned(),
                status: status.as_u16(),
                message: without(&signed, vendor_message(&body)),
            };
            return (Err(error), Some(heard));
        }
        (self.page(query, names, answer, intake).await, Some(heard))
    }

    /// Reads a page while it arrives.
    async fn page(
        &self,
        query: &Query,
        names: &[&str],
        mut answer: http::Answer,
        intake: &mut impl Intake,
    ) -> Result<Envelope, Error> {
        let mut reading = Reading::new(names);
        let mut window = self.windows.take();
        let (mut due, mut length) = (WINDOW, 0);
        let fault = |fault| body_error(query, fault);
        loop {
            let read = answer.read(&mut window).await.map_err(|fault| transport(query, &fault))?;
            if read == 0 {
                break;
            }
            length += read;
            if length > BODY_LIMIT {
                return Err(Error::TooLarge { resource: query.resource().to_owned(), limit: BODY_LIMIT });
            }
            if window.len() >= due {
                let done = reading.feed(&window, false, intake).map_err(fault)?;
                window.drain(..done);
                // Millions of tiny rows take far more room as lines than in the body.
                if intake.kept() > LINES_LIMIT {
                    return Err(Error::TooLarge { resource: query.resource().to_owned(), limit: LINES_LIMIT });
                }
                // A value larger than the window is not looked at again with every piece.
                due = WINDOW.max(2 * window.len());
            }
        }
        reading.feed(&window, true, intake).map_err(fault)?;
        self.windows.give_back(window);
        let envelope = reading.finish(intake).map_err(fault)?;
        let row = length.max(intake.kept()) / query.count().max(1);
        let mut sizes = self.row_sizes();
        match sizes.get_mut(query.resource()) {
            Some(largest) => *largest = row.max(*largest),
            None => drop(sizes.insert(query.resource().to_owned(), row)),
        }
        Ok(envelope)
    }
}

/// What the headers of an answer said about calls.
struct Heard {
    limit: Option<CallLimit>,
    retry_after: Option<Duration>,
    date: Option<SystemTime>,
}

impl Heard {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let date = text(DATE.as_str());
        Self {
            limit: text("x-ac-call-limit").and_then(CallLimit::parse),
            retry_after: text(RETRY_AFTER.as_str())
                .and_then(|value| retry::retry_after(value, date, SystemTime::now())),
            date: date.and_then(|date| httpdate::parse_http_date(date.trim()).ok()),
        }
    }
}

fn clock(moment: Instant) -> SystemTime {
    SystemTime::now() + moment.saturating_duration_since(Instant::now())
}

fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn broken(query: &Query, kind: Transport, detail: String) -> Error {
    Error::Transport { resource: query.resource().to_owned(), kind, detail }
}

fn body_error(query: &Query, fault: PageFault) -> Error {
    let resource = query.resource().to_owned();
    match fault {
        PageFault::NotJson { at, length } => Error::Body {
            resource,
            problem: format!("the answer of {length} bytes is not JSON from byte {at} on"),
            passing: true,
        },
        PageFault::NoList(seen) => Error::Body {
            resource,
            problem: format!("the answer holds no list; its fields are: {}", names(&seen)),
            passing: false,
        },
        PageFault::TwoLists => {
            Error::Body { resource, problem: "the answer holds its list twice".to_owned(), passing: false }
        }
        PageFault::TooDeep => {
            Error::Body { resource, problem: "the answer nests arrays and objects too deep".to_owned(), passing: false }
        }
        PageFault::NotAnObject => {
            Error::Body { resource, problem: "the list holds something that is no record".to_owned(), passing: false }
        }
    }
}

/// At most ten names, each cut and without control characters: they come from outside.
fn names(seen: &[String]) -> String {
    if seen.is_empty() {
        return "none".to_owned();
    }
    seen.iter().take(10).map(|name| plain(name, 40)).collect::<Vec<_>>().join(", ")
}

/// The text without control characters, cut to `length` characters.
fn plain(text: &str, length: usize) -> String {
    text.chars().filter(|character| !character.is_control()).take(length).collect()
}

/// The `message` of `{"status_code":…,"message":…,"details":…}` (API documentation, errors).
/// The details may hold names of procedures and classes and are left out.
fn vendor_message(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Vendor {
        message: String,
    }
    serde_json::from_slice::<Vendor>(body).map(|vendor| plain(&vendor.message, 200)).unwrap_or_default()
}

/// The text without what was sent to sign in, should the answer repeat it.
fn without(signed: &HeaderMap, text: String) -> String {
    let sent = signed.values().filter(|value| value.is_sensitive()).filter_map(|value| value.to_str().ok());
    sent.fold(text, |text, value| Secret::new(value.to_owned()).masked(&text))
}

fn transport(query: &Query, fault: &http::Fault) -> Error {
    let detail = chain(fault);
    let lower = detail.to_ascii_lowercase();
    let kind = if fault.is_timeout() {
        Transport::Timeout
    } else if lower.contains("certificate") {
        Transport::Certificate
    } else if lower.contains("dns error") || lower.contains("lookup address") {
        Transport::Name
    } else if lower.contains("tls") || lower.contains("handshake") {
        Transport::Tls
    } else if fault.is_connect() {
        Transport::Connect
    } else {
        Transport::Broken
    };
    broken(query, kind, detail)
}

/// The fault and its causes in one line.
fn chain(fault: &http::Fault) -> String {
    let mut parts: Vec<String> = fault.causes().map(ToString::to_string).collect();
    parts.dedup();
    plain(&parts.join(": "), 400)
}
