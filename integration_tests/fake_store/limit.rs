//! The call limit.
//!
//! Subject: "API limits": fixed windows of 10 seconds, `X-AC-Call-Limit: used/allowed` on every response, 429 with
//! `Retry-After` above. The documentation does not say when `Retry-After` is a date and when a number, so a switch
//! selects.

use std::time::{Duration, Instant, SystemTime};

use super::answer::{Answer, SERVER_FAULT, error};

/// The form of `Retry-After`.
#[derive(Clone, Debug, PartialEq)]
pub enum RetryAfter {
    /// The date of the window's end, rounded up to a second.
    HttpDate,
    /// The same, rounded down: a client that waits exactly until then is too early.
    HttpDateEarly,
    /// Full seconds until the window's end, rounded up.
    Seconds,
    /// Seconds with three decimals.
    Decimals,
    /// No header.
    Absent,
    /// A date one minute ago.
    PastDate,
    /// A date, with a server clock that is wrong by this many seconds: `Date` and `Retry-After` are both shifted.
    SkewedClock(i64),
    /// Any string.
    Text(String),
}

/// The call limit and its switches.
#[derive(Clone, Debug)]
pub struct Limit {
    /// Calls per window.
    pub allowed: u32,
    /// Length of a window. Windows follow each other from the start of the server.
    pub window: Duration,
    /// The form of `Retry-After`.
    pub retry_after: RetryAfter,
    /// True if responses have `X-AC-Call-Limit`.
    pub header: bool,
    /// After this many refused calls in one window, 500 for the length of one window.
    pub punish_after: Option<u32>,
    /// True if refused calls count too: those of a window then shorten the next one, down to one call.
    pub count_refused: bool,
}

impl Limit {
    /// Creates a limit of this many calls in 10 seconds, with the date of the window's end and the header.
    pub fn new(allowed: u32) -> Limit {
        Limit {
            allowed,
            window: Duration::from_secs(10),
            retry_after: RetryAfter::HttpDate,
            header: true,
            punish_after: None,
            count_refused: false,
        }
    }
}

/// Counts calls.
pub(super) struct Meter {
    start: Instant,
    window: u128,
    made: u32,
    refused: u32,
    broken_until: Option<Instant>,
}

/// The result for one call.
pub(super) enum LimitDecision {
    /// Answer the request.
    Pass,
    /// Send this response instead.
    Refuse(Answer),
}

impl Meter {
    /// Creates a meter whose first window starts now.
    pub(super) fn new() -> Meter {
        Meter { start: Instant::now(), window: 0, made: 0, refused: 0, broken_until: None }
    }

    /// Counts a call without a limit.
    pub(super) fn count(&mut self, now: Instant) {
        self.enter(Duration::from_secs(10), false, 50, now);
        self.made += 1;
    }

    /// Returns the value of `X-AC-Call-Limit`.
    pub(super) fn text(&self, allowed: u32) -> String {
        format!("{}/{allowed}", self.made)
    }

    /// Counts a call under a limit. `wall` is the time of the `Date` header.
    pub(super) fn check(&mut self, limit: &Limit, now: Instant, wall: SystemTime) -> LimitDecision {
        let left = self.enter(limit.window, limit.count_refused, limit.allowed, now);
        if self.broken_until.is_some_and(|until| now < until) {
            return LimitDecision::Refuse(error(500, "Internal Server Error", SERVER_FAULT));
        }
        if self.made < limit.allowed {
            self.made += 1;
            return LimitDecision::Pass;
        }
        self.refused += 1;
        if limit.punish_after.is_some_and(|after| self.refused > after) {
            self.broken_until = Some(now + limit.window);
            return LimitDecision::Refuse(error(500, "Internal Server Error", SERVER_FAULT));
        }
        let answer = error(429, "Too Many Requests", "The API call limit has been reached.");
        LimitDecision::Refuse(match retry_after(&limit.retry_after, left, wall) {
            Some(text) => answer.with("retry-after", text),
            None => answer,
        })
    }

    /// Moves to the current window. Returns the time that is left of it.
    fn enter(&mut self, length: Duration, count_refused: bool, allowed: u32, now: Instant) -> Duration {
        let length = length.as_nanos().max(1);
        let passed = now.saturating_duration_since(self.start).as_nanos();
        let window = passed / length;
        if window != self.window {
            let carried = if count_refused && window == self.window + 1 { self.refused } else { 0 };
            self.made = carried.min(allowed.saturating_sub(1));
            self.refused = 0;
            self.window = window;
        }
        Duration::from_nanos(u64::try_from(length - passed % length).unwrap_or(u64::MAX))
    }
}

fn retry_after(form: &RetryAfter, left: Duration, wall: SystemTime) -> Option<String> {
    let end = wall + left;
    let up = |at: SystemTime| at + Duration::from_nanos(999_999_999);
    Some(match form {
        RetryAfter::HttpDate | RetryAfter::SkewedClock(_) => httpdate::fmt_http_date(up(end)),
        RetryAfter::HttpDateEarly => httpdate::fmt_http_date(end),
        RetryAfter::Seconds => left.as_nanos().div_ceil(1_000_000_000).to_string(),
        RetryAfter::Decimals => format!("{:.3}", left.as_secs_f64()),
        RetryAfter::Absent => return None,
        RetryAfter::PastDate => httpdate::fmt_http_date(wall - Duration::from_secs(60)),
        RetryAfter::Text(text) => text.clone(),
    })
}

/// Returns how far the server's clock is off.
pub(super) fn skew(limit: Option<&Limit>) -> i64 {
    match limit.map(|l| &l.retry_after) {
        Some(RetryAfter::SkewedClock(seconds)) => *seconds,
        _ => 0,
    }
}
