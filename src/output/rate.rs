//! Rows per second. Reads no clock.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The time over which the rate is computed: three windows of the call limit, since all calls of a window may be made
/// at its start.
const SPAN: Duration = Duration::from_secs(30);
/// Rows that arrive within this time are one entry, so that a fast read keeps few.
const STEP: Duration = Duration::from_millis(500);

/// The rows of the last seconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Rate {
    arrived: VecDeque<(Instant, u64)>,
}

impl Rate {
    /// Notes rows that arrive now.
    pub(super) fn add(&mut self, now: Instant, rows: u64) {
        match self.arrived.back_mut() {
            Some((at, before)) if now.saturating_duration_since(*at) < STEP => *before += rows,
            _ => self.arrived.push_back((now, rows)),
        }
        while self.arrived.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > SPAN) {
            self.arrived.pop_front();
        }
    }

    /// Returns rows per second over the last seconds of a read that began at `began`. It is 0 when nothing has
    /// arrived in that time.
    pub(super) fn per_second(&self, began: Instant, now: Instant) -> f64 {
        let is_recent = |(at, _): &&(Instant, u64)| now.saturating_duration_since(*at) <= SPAN;
        let rows: u64 = self.arrived.iter().filter(is_recent).map(|(_, rows)| rows).sum();
        // In the first second a rate means little.
        let time = now.saturating_duration_since(began).clamp(Duration::from_secs(1), SPAN);
        rows as f64 / time.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_falls_to_zero_while_nothing_arrives() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut rate = Rate::default();
        assert_eq!(rate.per_second(began, at(5)), 0.0);
        rate.add(at(1), 1000);
        rate.add(at(2), 1000);
        let seen: Vec<f64> =
            [2, 10, 20, 31, 32, 33].map(|seconds| rate.per_second(began, at(seconds)).round()).to_vec();
        assert_eq!(seen, [1000.0, 200.0, 100.0, 67.0, 33.0, 0.0]);
        rate.add(at(100), 300);
        assert_eq!((rate.per_second(began, at(100)), rate.arrived.len()), (10.0, 1));
    }

    #[test]
    fn a_fast_read_keeps_few_entries() {
        let began = Instant::now();
        let mut rate = Rate::default();
        for millis in 0..10_000 {
            rate.add(began + Duration::from_millis(millis), 1);
        }
        assert!(rate.arrived.len() <= 21, "{}", rate.arrived.len());
        assert_eq!(rate.per_second(began, began + Duration::from_secs(10)), 1000.0);
    }
}
