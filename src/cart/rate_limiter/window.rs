//! Estimates when the windows of the store's call count start.
//!
//! The store does not report it. A count that is lower than one known before the request was sent shows that a new
//! window started in between; every other response shows that none did. Both narrow the range in which windows start.
//! Limits and other applications are not considered here.

use std::time::Duration;

/// A time, as the duration since the limiter was created.
pub(super) type Moment = Duration;

/// A range of possible starts that is wider than this part of a window (a twentieth) is worth narrowing.
const NARROW_PART: u32 = 20;

/// The current window.
#[derive(Debug)]
pub(super) struct RateWindow {
    /// Length of a window.
    pub(super) length: Duration,
    /// Number of this window, from 0.
    pub(super) index: u64,
    /// The earliest time at which the next window can start.
    next_earliest: Moment,
    /// The latest time at which this window can have started. Unknown until its first response, unless the windows are
    /// `steady`.
    latest: Option<Moment>,
    /// True once the windows are known to follow each other without a gap. Until then, a window may also start with
    /// its first call.
    steady: bool,
    /// True once a window started later than the previous one ended.
    gaps: bool,
    /// When the first call that is certainly in this window was sent.
    first_sent: Option<Moment>,
    /// The longest recent response time.
    latency: Duration,
}

impl RateWindow {
    pub(super) fn new(length: Duration) -> Self {
        Self {
            length: length.max(Duration::from_nanos(1)),
            index: 0,
            next_earliest: Moment::ZERO,
            latest: None,
            steady: false,
            gaps: false,
            first_sent: None,
            latency: Duration::ZERO,
        }
    }

    /// Returns the time at which this window is certainly over, if known.
    pub(super) fn end(&self) -> Option<Moment> {
        self.latest.map(|latest| latest + self.length)
    }

    /// Returns the minimum share of this window that has passed, from 0 to 1.
    pub(super) fn passed(&self, at: Moment) -> f64 {
        let Some(latest) = self.latest else { return 0.0 };
        (at.saturating_sub(latest).as_secs_f64() / self.length.as_secs_f64()).min(1.0)
    }

    /// Moves to the next window if this one is certainly over. Returns true if it moved.
    pub(super) fn advance(&mut self, now: Moment) -> bool {
        let Some(end) = self.end().filter(|&end| end <= now) else { return false };
        let more = now.saturating_sub(end).as_nanos() / self.length.as_nanos();
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let idle = self.length.checked_mul(more).unwrap_or_default();
        self.latest = self.steady.then_some(end + idle);
        self.next_earliest = (self.next_earliest.min(end) + self.length + idle).max(now);
        self.index += 1;
        self.first_sent = None;
        true
    }

    /// Assumes that the window has started by now, if nothing else is known.
    pub(super) fn assume_started(&mut self, now: Moment) {
        self.latest.get_or_insert(now);
    }

    /// Records a call that was counted in this window.
    pub(super) fn counted(&mut self, sent: Moment, received: Moment) {
        self.note_latency(received.saturating_sub(sent));
        self.latest.get_or_insert(received);
        self.first_sent = Some(self.first_sent.map_or(sent, |first| first.min(sent)));
        self.next_earliest = self.next_earliest.max(sent);
    }

    /// Records the first call of a new count. `last_sent` is when the last call of the previous window was sent.
    pub(super) fn note_reset(&mut self, last_sent: Moment, sent: Moment, received: Moment) {
        self.note_latency(received.saturating_sub(sent));
        // A window that starts with its first call lasts at least a full length from there.
        if self.first_sent.is_some_and(|first| received < first + self.length) {
            self.steady = !self.gaps;
        }
        let earliest = self.next_earliest.max(last_sent);
        let earliest = if earliest <= received { earliest } else { last_sent };
        let latest = self.end().filter(|_| self.steady).map_or(received, |end| end.min(received));
        self.latest = Some(latest.max(earliest));
        self.next_earliest = (earliest + self.length).max(sent);
        self.index += 1;
        self.first_sent = Some(sent);
    }

    /// Records that the previous window lasted longer than expected.
    pub(super) fn note_gap(&mut self) {
        self.gaps = true;
        self.steady = false;
        self.latest = None;
    }

    /// Starts a new window without known times: a refusal shows that the estimated starts may be wrong.
    pub(super) fn restart(&mut self, now: Moment) {
        self.steady = false;
        self.latest = None;
        self.first_sent = None;
        self.next_earliest = now;
        self.index += 1;
    }

    /// Returns the best time for the last call of this window: as late as it is certainly counted in this window, or
    /// the middle of the range in which the next one starts, if that range is wide. Its response halves the range.
    pub(super) fn last_call(&self) -> Option<Moment> {
        let end = self.end()?;
        let from = self.next_earliest.min(end);
        let width = end - from;
        Some(if width > (self.length / NARROW_PART).max(self.latency * 3 / 2) {
            from + width / 2
        } else {
            from.saturating_sub(self.latency)
        })
    }

    /// Returns the time for a call that observes others: late in this window, or the middle of the range in which the
    /// next one starts, if that range is wide.
    pub(super) fn watch_call(&self) -> Option<Moment> {
        let end = self.end()?;
        if end - self.next_earliest.min(end) > (self.length / NARROW_PART).max(self.latency * 3 / 2) {
            self.last_call()
        } else {
            self.late_call()
        }
    }

    /// Returns the latest time at which this window can have started.
    pub(super) fn start(&self) -> Option<Moment> {
        self.latest
    }

    /// Returns the best time for a call that counts most of this window and leaves time to send more.
    pub(super) fn late_call(&self) -> Option<Moment> {
        let end = self.end()?;
        let from = self.next_earliest.min(end);
        let last = if end - from > (self.length / NARROW_PART).max(self.latency * 3 / 2) { end } else { from };
        // It varies between windows: of two copies, one that always calls last would never be seen by the other.
        let part = (self.index.wrapping_mul(0x9e37_79b9) >> 16) as u32 % 64;
        Some(last.saturating_sub(self.length / 20 + self.length * part / 640 + self.latency / 2))
    }

    fn note_latency(&mut self, latency: Duration) {
        // A slow response has an effect on about twenty more.
        self.latency = latency.max(self.latency * 19 / 20);
    }
}
