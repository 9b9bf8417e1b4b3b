//! Decides if and when a failed request is sent again, and for how long. It does not sleep or read a clock.

use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

use super::error::{Error, ProxyFailure, TransportErrorKind};

/// Maximum accepted `Retry-After`: 100 years. Longer values are cut to it. It exceeds every time limit, and dates
/// that far ahead can still be calculated.
const LONGEST_WAIT: Duration = Duration::from_secs(100 * 366 * 24 * 3600);
/// Time limit for one attempt including its complete response, so that a very slow response ends too.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(300);

/// The limits for retries of a request.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Time from the first attempt after which no further attempt begins.
    pub total: Duration,
    /// The same limit while no request has succeeded yet, for a host that is not found or does not serve the API.
    pub total_before_success: Duration,
    /// Maximum number of attempts.
    pub attempts: u32,
    /// Time limit for one attempt, and for receiving no data during it.
    pub timeout: Duration,
    /// The waits between attempts.
    pub backoff: Backoff,
    /// The statuses after which a smaller page may succeed.
    pub size_statuses: &'static [u16],
}

impl RetryPolicy {
    /// The policy of `read`. Ten minutes are enough for a restart of the store. A name server or load balancer that is
    /// starting needs only seconds, so a mistyped host is reported within one minute.
    pub const READ: Self = Self {
        total: Duration::from_secs(600),
        total_before_success: Duration::from_secs(60),
        attempts: u32::MAX,
        timeout: ATTEMPT_TIMEOUT,
        backoff: Backoff::USUAL,
        // A request that is too large is rejected (400), fails (500) or takes too long (504).
        size_statuses: &[400, 500, 504],
    };
    /// The policy of `check`, during which a person is waiting. Three attempts without a response end within the total,
    /// so the user sees the error of the attempts.
    pub const CHECK: Self =
        Self { total: Duration::from_secs(30), attempts: 3, timeout: Duration::from_secs(9), ..Self::READ };

    /// Returns the policy with shorter limits. The waits shrink in proportion to the total.
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

    /// Returns the time limit for retries after this error. `has_succeeded` is true if any request of this run has
    /// succeeded.
    pub fn limit_for(&self, error: &Error, has_succeeded: bool) -> Duration {
        let hopeless = match error {
            Error::Transport { kind, .. } => *kind == TransportErrorKind::Name,
            Error::Proxy { failure_kind, .. } => *failure_kind == ProxyFailure::Unreachable,
            Error::Body { page, .. } => *page,
            // A firewall may refuse this machine for ever.
            Error::Blocked { status, .. } => *status != 429,
            // A load balancer in front of a store that is down sends these, with a web page.
            Error::Status { status: 429 | 502..=504, .. } => false,
            Error::Status { page, .. } => *page,
            _ => false,
        };
        if hopeless && !has_succeeded { self.total_before_success.min(self.total) } else { self.total }
    }

    /// Returns true if a smaller page may succeed after this error: the page takes too long or is too large, or one row
    /// makes it fail. Returns false if the error means that the store is busy or down.
    pub fn may_be_size(&self, error: &Error) -> bool {
        match error {
            Error::Status { status, .. } => self.size_statuses.contains(status),
            Error::Transport { kind, .. } => *kind == TransportErrorKind::Timeout,
            Error::NotUtf8 { .. } | Error::Empty { .. } | Error::TooLarge { .. } => true,
            _ => false,
        }
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
    /// The wait after a 429 without `Retry-After`: one window of the call limit.
    pub window: Duration,
    /// Factor for the wait that a response requests. It is less than 1 only in tests.
    pub retry_after_scale: f64,
}

impl Backoff {
    /// The default waits. The first gives a load balancer time to recover and is hardly noticed. The last means two
    /// attempts per minute while a store is down. The documented window is 10 s.
    pub const USUAL: Self = Self {
        first: Duration::from_millis(500),
        last: Duration::from_secs(30),
        window: Duration::from_secs(10),
        retry_after_scale: 1.0,
    };

    /// Returns all waits multiplied by `factor`.
    pub fn scaled(self, factor: f64) -> Self {
        Self {
            first: scaled(self.first, factor),
            last: scaled(self.last, factor),
            window: scaled(self.window, factor),
            retry_after_scale: self.retry_after_scale * factor,
        }
    }

    /// Returns the delays between attempts. They double, with jitter so that streams do not retry at the same time.
    pub fn schedule(&self) -> ExponentialBackoff {
        ExponentialBuilder::default()
            .with_min_delay(self.first)
            .with_max_delay(self.last)
            .with_factor(2.0)
            .with_jitter()
            .without_max_times()
            .build()
    }

    /// Returns the wait before the next attempt: the requested wait, if any, plus the delay of the schedule.
    pub fn delay(&self, asked: Option<Duration>, scheduled: Duration) -> Duration {
        // On live stores, retrying exactly at the requested time has led to server errors. So the delay of the
        // schedule, which grows with each attempt, is added.
        asked.map_or(scheduled, |asked| asked + scheduled.min(self.window))
    }

    /// Returns the wait that a response requests, multiplied by `retry_after_scale`.
    pub fn scale_retry_after(&self, asked: Duration) -> Duration {
        scaled(asked, self.retry_after_scale)
    }
}

/// Maximum number of attempts if the response is JSON of an unexpected structure. They are enough for a store that
/// sends error pages with status 200 to recover; a permanent change of the API is reported within seconds.
pub const RECOVERY_ATTEMPTS: u32 = 4;

/// Returns true if sending the same request a few more times may help.
pub fn may_recover(error: &Error) -> bool {
    matches!(error, Error::Body { transient: false, .. })
}

/// Returns true if a single row can cause this error. Timeouts and rejected requests depend on the page size.
pub fn may_be_row(error: &Error) -> bool {
    matches!(error, Error::Status { status: 500, .. } | Error::NotUtf8 { .. } | Error::Empty { .. })
}

/// Returns true if two requests failed in the same way.
pub fn is_same(one: &Error, other: &Error) -> bool {
    match (one, other) {
        (Error::Transport { kind: one, .. }, Error::Transport { kind: other, .. }) => one == other,
        (Error::Status { status: one, .. }, Error::Status { status: other, .. }) => one == other,
        _ => std::mem::discriminant(one) == std::mem::discriminant(other),
    }
}

/// Returns true if sending the same request again can help.
pub fn is_transient(error: &Error) -> bool {
    match error {
        Error::Status { status, .. } => matches!(status, 204 | 206 | 408 | 425 | 429 | 500..=599),
        Error::Transport { kind, .. } => !matches!(kind, TransportErrorKind::Certificate),
        Error::Proxy { failure_kind, .. } => matches!(failure_kind, ProxyFailure::Unreachable | ProxyFailure::Refused),
        Error::Body { transient, .. } => *transient,
        Error::NotUtf8 { .. } | Error::Empty { .. } | Error::Blocked { .. } => true,
        Error::Redirect { .. }
        | Error::TooLarge { .. }
        | Error::Ignored { .. }
        | Error::Unsupported { .. }
        | Error::Unreadable { .. }
        | Error::Deferred { .. }
        | Error::Exhausted { .. } => false,
    }
}

/// Returns the wait that a `Retry-After` header requests: seconds, with or without decimals, or an HTTP date. A date
/// is compared with the `Date` header of the response, so that the local clock does not matter. Returns `None` for
/// any other format, and zero for a time in the past.
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
        let page =
            Error::Body { resource: resource(), problem: String::new(), transient: true, page: true, counted: None };
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
            assert!(RetryPolicy::READ.may_be_size(&status(code)), "{code}");
        }
        for code in [401, 404, 429, 502, 503] {
            assert!(!RetryPolicy::READ.may_be_size(&status(code)), "{code}");
        }
        assert!(is_same(&status(500), &status(500)) && !is_same(&status(500), &status(504)));
    }
}
