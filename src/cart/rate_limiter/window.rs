//! When a window of the store's call count begins.
//!
//! The store does not say it. A count that is lower than one known before the request left shows that a new
//! window has begun in between; every other answer shows that it has not. Both narrow the range in which the
//! windows begin. Nothing here knows limits or other applications.

use std::time::Duration;

/// A point in time, as the time since the limiter was made.
pub(super) type Moment = Duration;

/// A range of windows' beginnings that is wider than this part of a window is worth narrowing.
const NARROW_PART: u32 = 20;

/// The current window.
#[derive(Debug)]
pub(super) struct RateWindow {
    /// Length of a window.
    pub(super) length: Duration,
    /// Which window this is, counted from 0.
    pub(super) index: u64,
    /// The earliest moment at which the next window can begin.
    next_earliest: Moment,
    /// The latest moment at which this window can have begun. Unknown until its first answer, unless the windows
    /// are `steady`.
    latest: Option<Moment>,
    /// Returns true once the windows are known to follow each other without a gap. Until then a window may also
    /// begin with its first call.
    steady: bool,
    /// Returns true once a window was seen to begin later than the one before ended.
    gaps: bool,
    /// When the first call that is known to be in this window was sent.
    first_sent: Option<Moment>,
    /// The longest of the recent times between a request and its answer.
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

    /// The moment at which this window is over for certain, if that is known.
    pub(super) fn end(&self) -> Option<Moment> {
        self.latest.map(|latest| latest + self.length)
    }

    /// The part of this window that has passed at least, from 0 to 1.
    pub(super) fn passed(&self, at: Moment) -> f64 {
        let Some(latest) = self.latest else { return 0.0 };
        (at.saturating_sub(latest).as_secs_f64() / self.length.as_secs_f64()).min(1.0)
    }

    /// Goes on to the next window if this one is over for certain. Returns true if it did.
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

    /// Takes a window to have begun by now if nothing else is known of it.
    pub(super) fn assume_started(&mut self, now: Moment) {
        self.latest.get_or_insert(now);
    }

    /// Takes note of a call that was counted in this window.
    pub(super) fn counted(&mut self, sent: Moment, received: Moment) {
        self.took(received.saturating_sub(sent));
        self.latest.get_or_insert(received);
        self.first_sent = Some(self.first_sent.map_or(sent, |first| first.min(sent)));
        self.next_earliest = self.next_earliest.max(sent);
    }

    /// Takes note of the first call whose count has begun anew. `last_sent` is when the last call was sent that is
    /// known to be in the window before.
    pub(super) fn note_reset(&mut self, last_sent: Moment, sent: Moment, received: Moment) {
        self.took(received.saturating_sub(sent));
        // A window that begins with its first call lasts at least a full length from there.
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

    /// Takes note that a window was still the one before when it was believed to be over.
    pub(super) fn note_gap(&mut self) {
        self.gaps = true;
        self.steady = false;
        self.latest = None;
    }

    /// Begins a new window of which nothing is known: after a refusal, what was believed of the windows'
    /// beginnings may be wrong.
    pub(super) fn restart(&mut self, now: Moment) {
        self.steady = false;
        self.latest = None;
        self.first_sent = None;
        self.next_earliest = now;
        self.index += 1;
    }

    /// When the last call of this window is best sent: as late as it is counted in this window for certain, or in
    /// the middle of the range in which the next one begins while that range is wide. Its answer halves the range.
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

    /// When a call is due that watches others: late in this window, or, while it is not well known when the next one
    /// begins, in the middle of the range.
    pub(super) fn watch_call(&self) -> Option<Moment> {
        let end = self.end()?;
        if end - self.next_earliest.min(end) > (self.length / NARROW_PART).max(self.latency * 3 / 2) {
            self.last_call()
        } else {
            self.late_call()
        }
    }

    /// The latest moment at which this window can have begun.
    pub(super) fn start(&self) -> Option<Moment> {
        self.latest
    }

    /// When a call is best sent that shows most of this window and leaves time to send more.
    pub(super) fn late_call(&self) -> Option<Moment> {
        let end = self.end()?;
        let from = self.next_earliest.min(end);
        let last = if end - from > (self.length / NARROW_PART).max(self.latency * 3 / 2) { end } else { from };
        // Not at the same part of each window, or the one that always calls last is never seen by the other.
        let part = (self.index.wrapping_mul(0x9e37_79b9) >> 16) as u32 % 64;
        Some(last.saturating_sub(self.length / 20 + self.length * part / 640 + self.latency / 2))
    }

    fn took(&mut self, latency: Duration) {
        // A slow answer is remembered for about twenty more.
        self.latency = latency.max(self.latency * 19 / 20);
    }
}
