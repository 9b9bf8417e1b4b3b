//! Whether a failed request is sent again, and when. Pure: it neither sleeps nor looks at a clock.

use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

use super::error::{Error, Transport};

/// The longest wait that a `Retry-After` can ask for. The documented window is 10 s (API limits);
/// a minute leaves room for front ends with windows of their own, and bounds an absurd value.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The waits between attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// First delay of the schedule.
    pub first: Duration,
    /// Last delay of the schedule.
    pub last: Duration,
    /// The wait after a 429 that does not say how long: a window of the call limit.
    pub window: Duration,
    /// The longest wait that an answer can ask for.
    pub longest: Duration,
}

impl Waits {
    /// The first delay is long enough for a front end to recover from a hiccup, and short enough not to
    /// be felt; the last asks a store that is down twice a minute; the documented window is 10 s.
    pub const USUAL: Self = Self {
        first: Duration::from_millis(500),
        last: Duration::from_secs(30),
        window: Duration::from_secs(10),
        longest: LONGEST_WAIT,
    };

    /// All of them, longer or shorter by one factor.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        let scale = |wait: Duration| Duration::try_from_secs_f64(wait.as_secs_f64() * factor).unwrap_or(wait);
        Self {
            first: scale(self.first),
            last: scale(self.last),
            window: scale(self.window),
            longest: scale(self.longest),
        }
    }

    /// The delays between attempts: doubling, with jitter so that streams do not retry in step.
    #[must_use]
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
    #[must_use]
    pub fn delay(&self, asked: Option<Duration>, scheduled: Duration) -> Duration {
        // Retrying at the very moment that was named has run into server errors on live stores, so the
        // schedule's delay, which grows with each attempt, is added.
        asked.map_or(scheduled, |asked| asked.min(self.longest) + scheduled.min(self.window))
    }
}

/// Attempts at an answer that is JSON of another form: a store that sends its error pages with 200
/// recovers within them, and one that has changed for good is told of within seconds.
pub const FEW_ATTEMPTS: u32 = 4;

/// Whether sending the same request a few times more may help.
#[must_use]
pub fn is_doubtful(error: &Error) -> bool {
    matches!(error, Error::Body { passing: false, .. })
}

/// Whether sending the same request again can help.
#[must_use]
pub fn is_passing(error: &Error) -> bool {
    match error {
        Error::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500..=599),
        Error::Transport { kind, .. } => !matches!(kind, Transport::Certificate),
        Error::Body { passing, .. } => *passing,
        Error::Redirect { .. } | Error::TooLarge { .. } | Error::Exhausted { .. } => false,
    }
}

/// The wait that a `Retry-After` header asks for: seconds, decimals of seconds, or an HTTP date,
/// which is compared with the answer's own `Date` so that this machine's clock does not matter.
/// Nothing for a text of another form; zero for a moment in the past.
#[must_use]
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
        assert_eq!(wait("315360000", None), Some(60_000));
        assert_eq!(wait("1e300", None), Some(60_000));
        assert_eq!(wait("Mon, 13 Sep 2032 10:00:08 GMT", noon), Some(60_000));
        for text in ["", "soon", "NaN", "inf", "2022-09-13T10:00:00Z"] {
            assert_eq!(wait(text, noon), None, "{text}");
        }
    }

    #[test]
    fn only_what_can_pass_is_retried() {
        let status = |status| Error::Status { resource: "orders".into(), status, message: String::new() };
        for code in [408, 425, 429, 500, 502, 503, 504, 599] {
            assert!(is_passing(&status(code)), "{code}");
        }
        for code in [400, 401, 403, 404, 409, 418] {
            assert!(!is_passing(&status(code)), "{code}");
        }
    }

    #[test]
    fn a_wait_is_never_shorter_than_what_was_asked() {
        let usual = Waits::USUAL;
        assert!(usual.delay(Some(Duration::from_secs(3)), usual.first) > Duration::from_secs(3));
        assert_eq!(usual.delay(None, usual.first), usual.first);
        assert!(usual.delay(Some(Duration::from_secs(10_000)), usual.first) < Duration::from_secs(75));
    }

    #[test]
    fn waits_keep_their_proportions() {
        let short = Waits::USUAL.scaled(0.01);
        assert_eq!((short.first, short.longest), (Duration::from_millis(5), Duration::from_millis(600)));
        assert_eq!(short.delay(Some(Duration::from_secs(10_000)), short.first), Duration::from_millis(605));
    }
}
