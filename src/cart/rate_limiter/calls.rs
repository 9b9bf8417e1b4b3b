//! Our own calls of the last while, and what their counts say of the way in which the store counts: in windows, or
//! each call for the length of a window after it (a sliding window).

use std::collections::VecDeque;
use std::time::Duration;

use super::window::Moment;

/// Calls that must be in a sliding count before a count that holds them all is a sign of one. Fewer may be calls
/// of others.
const MIN_CALLS_AS_EVIDENCE: u32 = 2;
/// Signs without a proof of the contrary, before a store that was seen to count in windows is believed not to. Beside
/// another copy some windows in a row look like it.
const EVIDENCE_NEEDED: u32 = 6;

/// The way in which the store counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counting {
    /// Not known yet.
    Unknown,
    /// From nothing in each window.
    Windows,
    /// Each call for the length of a window.
    Sliding,
}

/// Our own calls that were counted.
#[derive(Debug)]
pub(super) struct OwnCalls {
    /// When each was sent and answered, in the order of the answers.
    log: VecDeque<(Moment, Moment)>,
    pub(super) counting: Counting,
    signs: u32,
    /// Both as they were before the latest call.
    before: (Counting, u32),
}

impl OwnCalls {
    pub(super) fn new() -> Self {
        Self { log: VecDeque::new(), counting: Counting::Unknown, signs: 0, before: (Counting::Unknown, 0) }
    }

    /// Takes note of a call and its count. `is_first` is true for the first answer of what is believed to be a
    /// new window. Returns true if the way of counting is now seen differently.
    pub(super) fn counted(
        &mut self,
        sent: Moment,
        received: Moment,
        made: u32,
        is_first: bool,
        length: Duration,
    ) -> bool {
        while self.log.front().is_some_and(|&(_, answered)| answered + length * 2 < received) {
            self.log.pop_front();
        }
        let before = self.counting;
        self.before = (before, self.signs);
        // These were counted before this call, and less than a window ago.
        let inside = count(self.log.iter().filter(|&&(s, r)| r <= sent && s + length > received));
        if made <= inside {
            self.counting = Counting::Windows;
            self.signs = 0;
        } else if is_first && inside >= MIN_CALLS_AS_EVIDENCE {
            self.signs += 1;
            if before == Counting::Unknown || self.signs >= EVIDENCE_NEEDED {
                self.counting = Counting::Sliding;
            }
        }
        self.log.push_back((sent, received));
        before != self.counting
    }

    /// Takes back the latest call: it was refused.
    pub(super) fn refused(&mut self) {
        self.log.pop_back();
        (self.counting, self.signs) = self.before;
    }

    /// Calls that a sliding count may still hold at `now`, and when the oldest of them has left it for certain.
    /// Each is taken to stay for `stay`.
    pub(super) fn counted_at(&self, now: Moment, stay: Duration) -> (u32, Option<Moment>) {
        let mut counted = self.log.iter().filter(|&&(_, r)| r + stay > now);
        let first = counted.next().map(|&(_, r)| r + stay);
        (count(counted) + u32::from(first.is_some()), first)
    }

    /// The most of these calls that a count of the last window can hold, for a call sent at `sent`.
    pub(super) fn at_most(&self, sent: Moment, length: Duration) -> u32 {
        count(self.log.iter().filter(|&&(s, r)| s <= sent && r + length > sent))
    }
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}
