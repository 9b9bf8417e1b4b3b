//! Estimates the calls of other applications: the store's count minus our own calls.

/// Number of past windows to remember. A minute covers applications that send bursts a few seconds apart, and is short
/// enough to use the calls that become free when an application stops.
const REMEMBERED: usize = 6;

/// Estimated calls of other applications.
#[derive(Debug, Default)]
pub(super) struct OtherUsage {
    /// In each past window, at its end.
    before: [u32; REMEMBERED],
    next: usize,
    /// In this window so far.
    now: u32,
    /// A count that may include calls without a response yet.
    open: Option<Open>,
    /// Our calls that are certainly in this window.
    own: u32,
    /// Our calls that are in this window or in the previous one.
    unclear: u32,
    /// In all past windows together.
    total: u64,
    /// Share of this window that had passed when the count was last reported, from 0 to 1.
    pub(super) seen: f64,
}

#[derive(Debug)]
struct Open {
    used: u32,
    own: u32,
    /// Number of the first call that it cannot include.
    before: u64,
}

impl OtherUsage {
    /// Returns the maximum per window, of this one and the remembered ones.
    pub(super) fn most(&self) -> u32 {
        self.before.iter().copied().max().unwrap_or_default().max(self.now)
    }

    /// Returns the maximum of this window and the previous two.
    pub(super) fn lately(&self) -> u32 {
        let before = |back: usize| self.before[(self.next + REMEMBERED - back) % REMEMBERED];
        self.now.max(before(1)).max(before(2))
    }

    /// Returns the maximum of this window and the previous one.
    pub(super) fn recent(&self) -> u32 {
        let last = self.before[(self.next + REMEMBERED - 1) % REMEMBERED];
        self.now.max(last)
    }

    /// Returns the calls of all windows.
    pub(super) fn total(&self) -> u64 {
        self.total + u64::from(self.now)
    }

    /// Returns the calls of this window so far.
    pub(super) fn now(&self) -> u32 {
        self.now
    }

    /// Starts a window. `unclear` of our calls are in flight: they count in this window or in the previous one.
    pub(super) fn begin(&mut self, unclear: u32) {
        self.before[self.next] = self.now;
        self.next = (self.next + 1) % REMEMBERED;
        self.total += u64::from(self.now);
        self.now = 0;
        self.open = None;
        self.own = 0;
        self.unclear = unclear;
        self.seen = 0.0;
    }

    /// Records one of our calls in this window and its count; `top` is the highest count. `first_open` is the number of
    /// the oldest call without a response, `next` that of the next call.
    pub(super) fn counted(&mut self, used: u32, top: u32, was_unclear: bool, first_open: u64, next: u64) {
        self.own += 1;
        if was_unclear {
            self.unclear = self.unclear.saturating_sub(1);
        }
        match &mut self.open {
            Some(open) if used <= open.used => open.own += 1,
            Some(_) => {}
            None => self.open = Some(Open { used: top, own: self.own, before: next }),
        }
        if let Some(open) = self.open.take_if(|open| first_open >= open.before) {
            self.now = self.now.max(open.used.saturating_sub(open.own + self.unclear));
        }
    }

    /// Records one of our calls that may be in this window and whose count is unknown.
    pub(super) fn uncounted(&mut self) {
        self.unclear += 1;
    }

    /// Raises the calls of others in this window to at least `calls`.
    pub(super) fn at_least(&mut self, calls: u32) {
        self.now = self.now.max(calls);
    }

    /// Lowers the calls of others in this window to at most `calls`.
    pub(super) fn at_most(&mut self, calls: u32) {
        self.now = self.now.min(calls);
    }

    /// Raises the calls of others in the previous window to at least `calls`.
    pub(super) fn before_at_least(&mut self, calls: u32) {
        let before = &mut self.before[(self.next + REMEMBERED - 1) % REMEMBERED];
        self.total += u64::from(calls.saturating_sub(*before));
        *before = calls.max(*before);
    }

    /// Clears all estimates, because the store counts in another way than assumed.
    pub(super) fn forget(&mut self) {
        self.before = [0; REMEMBERED];
        self.now = 0;
        self.open = None;
    }
}
