//! Time spent waiting for the call limit and before another attempt. Reads no clock.

use std::time::{Duration, Instant};

/// A sum of waits. Overlapping waits of concurrent requests count once, so the sum is never more than the time that has
/// passed.
#[derive(Clone, Copy, Debug, Default)]
pub struct WaitTime {
    /// The sum up to `until`, which may be in the future.
    announced: Duration,
    /// The time up to which waits are counted.
    until: Option<Instant>,
}

impl WaitTime {
    /// Notes that a wait begins and is to end at `until`.
    pub fn begin(&mut self, now: Instant, until: Instant) {
        let from = self.until.map_or(now, |counted| counted.max(now));
        self.announced += until.saturating_duration_since(from);
        self.until = Some(from.max(until));
    }

    /// Notes that a request is sent, which ends the announced wait early.
    pub fn sent(&mut self, now: Instant) {
        self.announced = self.total(now);
        self.until = self.until.map(|until| until.min(now));
    }

    /// Returns the time spent waiting until now.
    pub fn total(&self, now: Instant) -> Duration {
        let ahead = self.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        self.announced.saturating_sub(ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_count_once_and_only_as_far_as_they_were_waited() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut waits = WaitTime::default();
        waits.begin(at(0), at(10));
        waits.begin(at(1), at(10));
        assert_eq!(waits.total(at(4)), Duration::from_secs(4), "the rest lies ahead");
        waits.sent(at(5));
        assert_eq!(waits.total(at(60)), Duration::from_secs(5), "the right to send came earlier than announced");
        waits.begin(at(7), at(17));
        waits.begin(at(9), at(20));
        assert_eq!(waits.total(at(30)), Duration::from_secs(18));
        waits.begin(at(30), at(4_000));
        assert_eq!(waits.total(at(31)), Duration::from_secs(19), "a run that ends while it waits has not waited more");
        assert!(waits.total(at(31)) <= Duration::from_secs(31));
    }
}
