//! What other applications use of the call limit: the store's count minus our own calls.

/// Windows that are remembered. A minute covers applications that work in bursts a few seconds apart, and is
/// short enough to use what one that has stopped leaves free.
const REMEMBERED: usize = 6;

/// The calls of other applications.
#[derive(Debug, Default)]
pub(super) struct OtherUsage {
    /// Of the windows before, at their end.
    before: [u32; REMEMBERED],
    next: usize,
    /// Of this window, so far.
    now: u32,
    /// A count that waits for the answers to calls that it may include.
    open: Option<Open>,
    /// Calls of ours known in this window.
    own: u32,
    /// Calls that may be in this window or in the one before.
    unclear: u32,
    /// Calls of the windows before.
    total: u64,
    /// The part of this window that had passed when the count was last reported.
    pub(super) seen: f64,
}

#[derive(Debug)]
struct Open {
    made: u32,
    own: u32,
    /// The number of the first call that it cannot include.
    before: u64,
}

impl OtherUsage {
    /// The most that others made in this window or one of those remembered.
    pub(super) fn most(&self) -> u32 {
        self.before.iter().copied().max().unwrap_or_default().max(self.now)
    }

    /// The most of this window and the two before.
    pub(super) fn lately(&self) -> u32 {
        let before = |back: usize| self.before[(self.next + REMEMBERED - back) % REMEMBERED];
        self.now.max(before(1)).max(before(2))
    }

    /// Those of this window, or of the last while this one has just begun.
    pub(super) fn recent(&self) -> u32 {
        let last = self.before[(self.next + REMEMBERED - 1) % REMEMBERED];
        self.now.max(last)
    }

    /// All that were seen.
    pub(super) fn total(&self) -> u64 {
        self.total + u64::from(self.now)
    }

    /// Those of this window so far.
    pub(super) fn now(&self) -> u32 {
        self.now
    }

    /// Begins a window. `unclear` calls are on their way and may be counted in it or before.
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

    /// Takes note of a call of ours that is in this window, and of its count; `top` is the highest. `first_open` is the number of the
    /// oldest call without an answer, `next` that of the next call.
    pub(super) fn counted(&mut self, made: u32, top: u32, was_unclear: bool, first_open: u64, next: u64) {
        self.own += 1;
        if was_unclear {
            self.unclear = self.unclear.saturating_sub(1);
        }
        match &mut self.open {
            Some(open) if made <= open.made => open.own += 1,
            Some(_) => {}
            None => self.open = Some(Open { made: top, own: self.own, before: next }),
        }
        if let Some(open) = self.open.take_if(|open| first_open >= open.before) {
            self.now = self.now.max(open.made.saturating_sub(open.own + self.unclear));
        }
    }

    /// Takes note of a call of ours that may be in this window, and whose count is not known.
    pub(super) fn uncounted(&mut self) {
        self.unclear += 1;
    }

    /// Takes note that at least so many calls of others are in this window.
    pub(super) fn at_least(&mut self, calls: u32) {
        self.now = self.now.max(calls);
    }

    /// Takes note that no more calls of others are certain in this window.
    pub(super) fn at_most(&mut self, calls: u32) {
        self.now = self.now.min(calls);
    }

    /// The same as `at_least` for the window before.
    pub(super) fn before_at_least(&mut self, calls: u32) {
        let before = &mut self.before[(self.next + REMEMBERED - 1) % REMEMBERED];
        self.total += u64::from(calls.saturating_sub(*before));
        *before = calls.max(*before);
    }

    /// Forgets what this window has shown: it was counted in another way.
    pub(super) fn forget(&mut self) {
        self.before = [0; REMEMBERED];
        self.now = 0;
        self.open = None;
    }
}
