//! Whether a failed request is sent again, when, and for how long. Pure: it neither sleeps nor looks at a clock.

use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

use super::error::{Error, ProxyFailure, TransportErrorKind};

/// A `Retry-After` that asks for more is taken for this long: beyond every patience, and a date in a hundred
/// years can still be calculated with.
const LONGEST_WAIT: Duration = Duration::from_secs(100 * 366 * 24 * 3600);
/// One attempt as a whole, so that an answer that trickles ends as well.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(300);

/// How long a request may be retried.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Time from the first attempt after which no further one begins.
    pub total: Duration,
    /// The same for a host that is not found, or that is none of the API, while nothing has worked.
    pub total_before_success: Duration,
    /// Number of attempts.
    pub attempts: u32,
    /// The most that one attempt may take, and any silence in it.
    pub timeout: Duration,
    /// The waits between attempts.
    pub backoff: Backoff,
}

impl RetryPolicy {
    /// For `read`: ten minutes outlast a restart of the store. A name server that is just starting, or a
    /// front end that says so with a page, needs seconds; a mistyped host is told within a minute.
    pub const READ: Self = Self {
        total: Duration::from_secs(600),
        total_before_success: Duration::from_secs(60),
        attempts: u32::MAX,
        timeout: ATTEMPT_TIMEOUT,
        backoff: Backoff::USUAL,
    };
    /// For `check`: a person is waiting. Three attempts that are never answered end within the total, and
    /// then what is said is what was wrong.
    pub const CHECK: Self =
        Self { total: Duration::from_secs(30), attempts: 3, timeout: Duration::from_secs(9), ..Self::READ };

    /// The same, shortened: the waits shrink with the total.
    pub fn at_most(self, total: Option<Duration>, timeout: Option<Duration>) -> Self {
        let timeout = timeout.map_or(self.timeout, |timeout| timeout.min(self.timeout));
        let Some(total) = total.filter(|&total| total < self.total) else { return Self { timeout, ..self } };
        let factor = total.as_secs_f64() / self.total.as_secs_f64();
        Self {
            total,
            timeout,
            total_before_success: scaled(self.total_before_success, factor),
            backoff: self.backoff.scaled(factor),
            ..self
        }
    }

    /// How long a request that fails so may be retried; `has_succeeded` says whether anything has in this run.
    pub fn limit_for(&self, error: &Error, has_succeeded: bool) -> Duration {
        let hopeless = match error {
            Error::Transport { kind, .. } => *kind == TransportErrorKind::Name,
            Error::Proxy { failure_kind, .. } => *failure_kind == ProxyFailure::Unreachable,
            Error::Body { page, .. } => *page,
            // What stands in front of a store that is down sends these, and a page with them.
            Error::Status { status: 429 | 502..=504, .. } => false,
            Error::Status { page, .. } => *page,
            _ => false,
        };
        if hopeless && !has_succeeded { self.total_before_success.min(self.total) } else { self.total }
    }
}

fn scaled(wait: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(wait.as_secs_f64() * factor).unwrap_or(wait)
}

/// The waits between attempts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// First delay of the schedule.
    pub first: Duration,
    /// Last delay of the schedule.
    pub last: Duration,
    /// The wait after a 429 that does not say how long: a window of the call limit.
    pub window: Duration,
    /// The share of a wait that an answer asks for which is kept: less than all of it in tests only.
    pub retry_after_scale: f64,
}

impl Backoff {
    /// The first delay is long enough for a front end to recover from a hiccup, and short enough not to
    /// be felt; the last asks a store that is down twice a minute; the documented window is 10 s.
    pub const USUAL: Self = Self {
        first: Duration::from_millis(500),
        last: Duration::from_secs(30),
        window: Duration::from_secs(10),
        retry_after_scale: 1.0,
    };

    /// All of them, longer or shorter by one factor.
    pub fn scaled(self, factor: f64) -> Self {
        Self {
            first: scaled(self.first, factor),
            last: scaled(self.last, factor),
            window: scaled(self.window, factor),
            retry_after_scale: self.retry_after_scale * factor,
        }
    }

    /// The delays between attempts: doubling, with jitter so that streams do not retry in step.
    pub fn schedule(&self) -> ExponentialBackoff {
        ExponentialBuilder::default()
            .with_min_delay(self.first)
            .with_max_delay(self.last)
            .with_factor(2.0)
            .with_jitter()
            .without_max_times()
            .build()
    }

    /// How long to wait before the next attempt: what the store asked for, but at least the schedule's delay.
    pub fn delay(&self, asked: Option<Duration>, scheduled: Duration) -> Duration {
        // Retrying at the very moment that was named has run into server errors on live stores, so the
        // schedule's delay, which grows with each attempt, is added.
        asked.map_or(scheduled, |asked| asked + scheduled.min(self.window))
    }

    /// How much of the wait that an answer asks for is kept.
    pub fn scale_retry_after(&self, asked: Duration) -> Duration {
        scaled(asked, self.retry_after_scale)
    }
}

/// Attempts at an answer that is JSON of another form: a store that sends its error pages with 200
/// recovers within them, and one that has changed for good is told of within seconds.
pub const RECOVERY_ATTEMPTS: u32 = 4;

/// Whether sending the same request a few times more may help.
pub fn may_recover(error: &Error) -> bool {
    matches!(error, Error::Body { transient: false, .. })
}

/// Whether a smaller page may be had where this one fails so: the store or a front end gives up on it, or one
/// row of it breaks the answer. Never for what says that the store is busy or down.
pub fn may_be_size(error: &Error) -> bool {
    match error {
        Error::Status { status, .. } => matches!(status, 400 | 500 | 504),
        Error::Transport { kind, .. } => *kind == TransportErrorKind::Timeout,
        Error::NotUtf8 { .. } | Error::TooLarge { .. } => true,
        _ => false,
    }
}

/// Whether one row may break every answer that fails so. Time-outs and refusals are a matter of the size.
pub fn may_be_row(error: &Error) -> bool {
    may_be_size(error) && matches!(error, Error::Status { status: 500, .. } | Error::NotUtf8 { .. })
}

/// Whether two requests failed in the same way.
pub fn is_same(one: &Error, other: &Error) -> bool {
    match (one, other) {
        (Error::Transport { kind: one, .. }, Error::Transport { kind: other, .. }) => one == other,
        (Error::Status { status: one, .. }, Error::Status { status: other, .. }) => one == other,
        _ => std::mem::discriminant(one) == std::mem::discriminant(other),
    }
}

/// Whether sending the same request again can help.
pub fn is_transient(error: &Error) -> bool {
    match error {
        Error::Status { status, .. } => matches!(status, 204 | 206 | 408 | 425 | 429 | 500..=599),
        Error::Transport { kind, .. } => !matches!(kind, TransportErrorKind::Certificate),
        Error::Proxy { failure_kind, .. } => matches!(failure_kind, ProxyFailure::Unreachable | ProxyFailure::Refused),
        Error::Body { transient, .. } => *transient,
        Error::NotUtf8 { .. } => true,
        Error::Redirect { .. }
        | Error::TooLarge { .. }
        | Error::Unreadable { .. }
        | Error::Deferred { .. }
        | Error::Exhausted { .. } => false,
    }
}

/// The wait that a `Retry-After` header asks for: seconds, decimals of seconds, or an HTTP date,
/// which is compared with the answer's own `Date` so that this machine's clock does not matter.
/// Nothing for a text of another form; zero for a moment in the past.
pub fn retry_after(value: &str, date: Option<&str>, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        if !seconds.is_finite() {
            return None;
        }
        return Some(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let now = date.and_then(|date| httpdate::parse_http_date(date.trim()).ok()).unwrap_or(now);
    Some(until.duration_since(now).unwrap_or_default().min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(value: &str, date: Option<&str>) -> Option<u64> {
        retry_after(value, date, SystemTime::UNIX_EPOCH).map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
    }

    #[test]
    fn every_form_of_retry_after_is_understood() {
        let noon = Some("Tue, 13 Sep 2022 10:00:00 GMT");
        assert_eq!(wait("7", None), Some(7000));
        assert_eq!(wait(" 2.5 ", None), Some(2500));
        assert_eq!(wait("Tue, 13 Sep 2022 10:00:08 GMT", noon), Some(8000));
        assert_eq!(wait("Tue, 13 Sep 2022 09:59:00 GMT", noon), Some(0));
        assert_eq!(wait("-3", None), Some(0));
        assert_eq!(wait("3600", None), Some(3_600_000));
        assert_eq!(wait("1e300", None), Some(3_162_240_000_000));
        assert_eq!(wait("Tue, 13 Sep 2022 11:00:08 GMT", noon), Some(3_608_000));
        for text in ["", "soon", "NaN", "inf", "2022-09-13T10:00:00Z"] {
            assert_eq!(wait(text, noon), None, "{text}");
        }
    }

    fn status(status: u16) -> Error {
        let (resource, message) = ("orders".to_owned(), String::new());
        Error::Status { resource, status, message, is_unknown_resource: false, page: true }
    }

    #[test]
    fn only_what_can_pass_is_retried() {
        for code in [204, 206, 408, 425, 429, 500, 502, 503, 504, 599] {
            assert!(is_transient(&status(code)), "{code}");
        }
        for code in [400, 401, 403, 404, 409, 418] {
            assert!(!is_transient(&status(code)), "{code}");
        }
    }

    #[test]
    fn a_wait_is_never_shorter_than_what_was_asked() {
        let usual = Backoff::USUAL;
        assert!(usual.delay(Some(Duration::from_secs(3)), usual.first) > Duration::from_secs(3));
        assert_eq!(usual.delay(None, usual.first), usual.first);
        assert!(usual.delay(Some(Duration::from_secs(590)), usual.first) > Duration::from_secs(590));
    }

    #[test]
    fn waits_keep_their_proportions() {
        let short = Backoff::USUAL.scaled(0.01);
        assert_eq!((short.first, short.window), (Duration::from_millis(5), Duration::from_millis(100)));
        assert_eq!(short.scale_retry_after(Duration::from_secs(60)), Duration::from_millis(600));
        let short = RetryPolicy::READ.at_most(Some(Duration::from_secs(6)), None);
        assert_eq!((short.total, short.total_before_success), (Duration::from_secs(6), Duration::from_millis(600)));
    }

    #[test]
    fn what_may_never_pass_gets_little_time_until_something_has_worked() {
        let (usual, long) = (RetryPolicy::READ, RetryPolicy::READ.total);
        let resource = || "orders".to_owned();
        let name = Error::Transport { resource: resource(), kind: TransportErrorKind::Name, detail: String::new() };
        let page = Error::Body { resource: resource(), problem: String::new(), transient: true, page: true };
        for error in [name, page, status(500), status(408)] {
            assert_eq!(
                (usual.limit_for(&error, false), usual.limit_for(&error, true)),
                (usual.total_before_success, long),
                "{error}"
            );
        }
        let down = Error::Transport { resource: resource(), kind: TransportErrorKind::Connect, detail: String::new() };
        for error in [down, status(429), status(502), status(503), status(504)] {
            assert_eq!(usual.limit_for(&error, false), long, "{error}");
        }
    }

    #[test]
    fn a_smaller_page_is_no_cure_for_a_store_that_is_busy() {
        for code in [400, 500, 504] {
            assert!(may_be_size(&status(code)), "{code}");
        }
        for code in [401, 404, 429, 502, 503] {
            assert!(!may_be_size(&status(code)), "{code}");
        }
        assert!(is_same(&status(500), &status(500)) && !is_same(&status(500), &status(504)));
    }
}
