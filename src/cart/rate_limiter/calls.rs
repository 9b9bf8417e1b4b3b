//! The recent calls of this process. Their counts show whether the store counts in windows or in a sliding interval,
//! where each call counts for the length of a window.

use std::collections::VecDeque;
use std::time::Duration;

use super::window::Moment;

/// Minimum number of our calls in a count for it to be evidence of a sliding count. Fewer may be calls of others.
const MIN_CALLS_AS_EVIDENCE: u32 = 2;
/// Evidence, without proof of the contrary, after which a store that counted in windows is treated as sliding.
/// Several windows in a row can look like that while another copy of the connector runs.
const EVIDENCE_NEEDED: u32 = 6;

/// The counting method of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counting {
    /// Not known yet.
    Unknown,
    /// From 0 in each window.
    Windows,
    /// Each call counts for the length of a window.
    Sliding,
}

/// The counted calls of this process.
#[derive(Debug)]
pub(super) struct OwnCalls {
    /// When each call was sent and answered, in the order of the responses.
    log: VecDeque<(Moment, Moment)>,
    pub(super) counting: Counting,
    evidence: u32,
    /// `counting` and `evidence` before the latest call.
    before: (Counting, u32),
}

impl OwnCalls {
    pub(super) fn new() -> Self {
        Self { log: VecDeque::new(), counting: Counting::Unknown, evidence: 0, before: (Counting::Unknown, 0) }
    }

    /// Records a call and its count. `is_first` is true for the first response of a new window. Returns true if
    /// `counting` changed.
    pub(super) fn counted(
        &mut self,
        sent: Moment,
        received: Moment,
        used: u32,
        is_first: bool,
        length: Duration,
    ) -> bool {
        while self.log.front().is_some_and(|&(_, answered)| answered + length * 2 < received) {
            self.log.pop_front();
        }
        let before = self.counting;
        self.before = (before, self.evidence);
        // Calls that were counted before this one, less than a window ago.
        let inside = count(self.log.iter().filter(|&&(s, r)| r <= sent && s + length > received));
        if used <= inside {
            self.counting = Counting::Windows;
            self.evidence = 0;
        } else if is_first && inside >= MIN_CALLS_AS_EVIDENCE {
            self.evidence += 1;
            if before == Counting::Unknown || self.evidence >= EVIDENCE_NEEDED {
                self.counting = Counting::Sliding;
            }
        }
        self.log.push_back((sent, received));
        before != self.counting
    }

    /// Removes the latest call, which was refused.
    pub(super) fn refused(&mut self) {
        self.log.pop_back();
        (self.counting, self.evidence) = self.before;
    }

    /// Returns the number of calls that a sliding count may include at `now`, and when the oldest of them no longer
    /// counts. Each is assumed to count for `stay`.
    pub(super) fn counted_at(&self, now: Moment, stay: Duration) -> (u32, Option<Moment>) {
        let mut counted = self.log.iter().filter(|&&(_, r)| r + stay > now);
        let first = counted.next().map(|&(_, r)| r + stay);
        (count(counted) + u32::from(first.is_some()), first)
    }

    /// Returns the maximum number of these calls in the window before `sent`.
    pub(super) fn at_most(&self, sent: Moment, length: Duration) -> u32 {
        count(self.log.iter().filter(|&&(s, r)| s <= sent && r + length > sent))
    }
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}
