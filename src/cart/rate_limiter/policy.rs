//! Decides when a request may be sent. Pure: it gets the time as an argument, and neither waits nor reads a clock.
//!
//! If no other application calls, it uses most of the limit at the start of each window, and the last tenth one call at
//! a time until the window ends: these calls show early whether other applications call, and when the next window
//! starts. If others call, it spreads its share evenly over the window, so that it always knows the count, and sends
//! only while the limit has space for the calls that others are expected to make.
//! `docs/reference/call-limit.md` describes the rules, and the simulation that the constants come from.

use std::time::Duration;

use super::CallLimit;
use super::calls::{Counting, OwnCalls};
use super::others::OtherUsage;
use super::window::{Moment, RateWindow};
use crate::http::Usage;

/// Calls per window of the smallest plan (API documentation, API limits), the minimum of an inferred limit.
const SMALLEST_PLAN: u32 = 5;
/// Maximum count in calculations: far above any plan, and sums of it do not overflow.
const LARGEST_COUNT: u32 = 10_000_000;
/// Percent of the limit in reserve while no other application calls. With a tenth, each plan has a call late in the
/// window, and nine of ten requests do not wait.
const RESERVE_PERCENT: u32 = 10;
/// The reserve until the first complete window. With less, a sync that starts while another application uses 30 % of
/// the calls costs it a call in up to one of five starts (limit 10).
const FIRST_RESERVE_PERCENT: u32 = 50;
/// The limit divided by this number is used even if others use it up: an eighth, and at least two calls, the first and
/// the last of a window. With fewer, the smaller of two copies never sees the calls that the larger one leaves.
const MIN_SHARE_DIVISOR: u32 = 8;
/// Part of the limit, at least one call, that the larger of two applications leaves free for the smaller one.
const HEADROOM: f64 = 0.05;
/// Part of the expected calls of others that is left free in addition to them. Without it, an application that calls
/// regularly loses a call in about one of three hours.
const SAFETY_MARGIN: f64 = 0.05;
/// Maximum part of the limit in the first windows while others call, and the number of these windows: as many as are
/// remembered of others.
const FIRST_SHARE: f64 = 0.6;
const FIRST_WINDOWS: u64 = 6;
/// If we use less than others, a window counts as complete once this part of it was observed.
const MIN_OBSERVED_PART: f64 = 0.75;
/// Factor on our share when the limit is reached. Of two copies, the larger one loses more calls.
const DECREASE_FACTOR: f64 = 0.85;
/// Increase of our share when the limit is not reached, as a part of the limit: forty windows to the full limit.
const INCREASE_STEP: f64 = 0.025;
/// Minimum increase in calls: with a small limit, the share grows by a call in two windows.
const MIN_INCREASE: f64 = 0.5;
/// The increase if we use less than others. Three times as much, so that two copies converge to equal shares.
const INCREASE_STEP_WHEN_SMALLER: f64 = 0.075;
/// Windows after a refusal in which half of the share is used: one to recover, and one to observe.
const COOLDOWN_WINDOWS: u32 = 2;
/// Decisions per window on whether a call fits: every half second of ten.
const STEPS: u32 = 20;
/// Time that a call counts in a sliding count, in percent of a window. The extra 5 % leave a call free at times, so that
/// calls of another application are noticed.
const SLIDING_RETENTION_PERCENT: u32 = 105;

/// A request that was allowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallRecord {
    sent: Moment,
    number: u64,
    window: u64,
    /// Highest count of its window known when it was sent.
    top: u32,
}

/// The wait of a request that may not be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blocked {
    /// Until a time, or until a response.
    Until {
        /// When to try again.
        again: Moment,
        /// When a call is certainly free: the end of the window.
        reset: Moment,
    },
    /// Until another request has a response.
    UntilResponse,
}

/// The limiter.
#[derive(Debug)]
pub(super) struct LimitPolicy {
    /// Maximum share of the limit for our calls, in percent.
    percent: u32,
    /// Calls allowed per window, once reported, or inferred from a refusal if there is no header.
    allowed: Option<u32>,
    /// True if `allowed` was inferred from a refusal, because the store does not report it.
    inferred: bool,
    /// Accepted calls in this window, to infer the limit.
    accepted: u32,
    /// True once a response has arrived. Until then, requests are sent one at a time.
    explored: bool,
    window: RateWindow,
    others: OtherUsage,
    calls: OwnCalls,
    /// Highest count reported in this window.
    top: u32,
    /// When the last call that is certainly in this window was sent.
    last_sent: Moment,
    /// Responses with a count in this window.
    answers: u32,
    /// Our calls in this window, with or without a response, and those in the previous window.
    own: u32,
    own_before: u32,
    /// Highest count of the previous window.
    top_before: u32,
    /// Our share of the calls per window while others call; 0 while none do.
    share: f64,
    /// When the latest request was sent.
    last_call: Moment,
    /// Numbers of the requests without a response yet, in order.
    open: Vec<u64>,
    next: u64,
    paused_until: Option<Moment>,
    /// Remaining windows with half of the calls, and that half.
    cooldown_windows: u32,
    half: u32,
    made: u64,
    refused: u64,
}

impl LimitPolicy {
    pub(super) fn new(percent: u32, length: Duration) -> Self {
        Self {
            percent: percent.clamp(1, 100),
            allowed: None,
            inferred: false,
            accepted: 0,
            explored: false,
            window: RateWindow::new(length),
            others: OtherUsage::default(),
            calls: OwnCalls::new(),
            top: 0,
            last_sent: Moment::ZERO,
            answers: 0,
            own: 0,
            own_before: 0,
            top_before: 0,
            share: 0.0,
            last_call: Moment::ZERO,
            open: Vec::new(),
            next: 0,
            paused_until: None,
            cooldown_windows: 0,
            half: 0,
            made: 0,
            refused: 0,
        }
    }

    /// Returns a record of the call if a request may be sent now.
    pub(super) fn try_acquire(&mut self, now: Moment) -> Result<CallRecord, Blocked> {
        if let Some(paused_until) = self.paused_until {
            if now < paused_until {
                return Err(Blocked::Until { again: paused_until, reset: paused_until });
            }
            self.paused_until = None;
            // The store reported when its count restarts.
            self.window.restart(now);
            self.start_window();
        }
        if self.window.advance(now) {
            self.start_window();
        }
        if !self.explored {
            if !self.open.is_empty() {
                return Err(Blocked::UntilResponse);
            }
        } else if let Some(allowed) = self.allowed {
            self.check_fits(now, allowed)?;
        }
        let permit = CallRecord { sent: now, number: self.next, window: self.window.index, top: self.top };
        self.open.push(self.next);
        self.next += 1;
        self.last_call = now;
        self.own += 1;
        self.made += 1;
        Ok(permit)
    }

    /// Fails if one more call does not fit.
    fn check_fits(&self, now: Moment, allowed: u32) -> Result<(), Blocked> {
        let open = self.in_flight_calls();
        if self.inferred {
            return if self.own < self.cap(allowed) { Ok(()) } else { Err(self.next_window()) };
        }
        if self.calls.counting == Counting::Sliding {
            return self.check_sliding(now, allowed);
        }
        // The first response of the second window shows how the store counts.
        if self.calls.counting == Counting::Unknown && self.window.index > 0 && self.answers == 0 && open > 0 {
            return Err(Blocked::UntilResponse);
        }
        if self.window.end().is_none() && open == 0 {
            // Only a call can show the state of this window.
            return Ok(());
        }
        if self.own >= self.cap(allowed) || self.top + open >= allowed {
            return Err(self.next_window());
        }
        if self.others.most() == 0 { self.check_alone(now, allowed) } else { self.check_with_others(now, allowed) }
    }

    fn check_alone(&self, now: Moment, allowed: u32) -> Result<(), Blocked> {
        let percent = if self.window.index == 0 { FIRST_RESERVE_PERCENT } else { RESERVE_PERCENT };
        let reserved_calls = self.reserved_calls(now, (allowed * percent).div_ceil(100));
        if self.top + self.in_flight_calls() + 1 + reserved_calls <= allowed {
            Ok(())
        } else {
            Err(self.next_step(now))
        }
    }

    fn check_with_others(&self, now: Moment, allowed: u32) -> Result<(), Blocked> {
        let (open, quota, least) = (self.in_flight_calls(), self.quota(), min_share(allowed));
        if self.own >= quota {
            return Err(self.next_window());
        }
        if self.window.start().is_none() {
            return Err(Blocked::UntilResponse);
        }
        let slot = self.slot(self.own, quota);
        if now < slot {
            return Err(self.until(slot));
        }
        let most = self.others.most();
        // If we use less than others, expect as many calls as they made last, and so take those they no longer make.
        let (expected, margin) =
            if self.own_before > most { (most, SAFETY_MARGIN) } else { (self.others.recent(), 0.0) };
        let unseen = ceil_calls(f64::from(expected) * (1.0 + margin - self.others.seen)).max(1);
        // One call is kept to observe most of the window.
        let late = self.window.watch_call().is_none_or(|late| now >= late);
        let fits = self.top + open + 1 + unseen + u32::from(!late) <= allowed;
        // The minimum share is sent even if others use the limit up, evenly over the window.
        let is_due = now >= self.slot(self.own, least) && (late || self.own + 1 < least);
        if fits || (self.own < least && open == 0 && is_due) { Ok(()) } else { Err(self.next_step(now)) }
    }

    /// Fails if one more call does not fit in a sliding count of the last ten seconds.
    fn check_sliding(&self, now: Moment, allowed: u32) -> Result<(), Blocked> {
        let open = self.in_flight_calls();
        let (counted, leaves) = self.calls.counted_at(now, self.window.length * SLIDING_RETENTION_PERCENT / 100);
        let own = counted + open;
        let others = self.others.lately();
        let (quota, reserve) = if others > 0 { (self.quota(), others + 1) } else { (allowed, 0) };
        let fits = own < self.cap(allowed).min(quota) && own + 1 + reserve <= allowed;
        let is_least = own < min_share(allowed) && open == 0;
        if !fits && !is_least {
            let later = now + self.window.length / STEPS;
            return Err(match leaves {
                Some(reset) => Blocked::Until { again: reset.min(later), reset },
                None if open > 0 => Blocked::UntilResponse,
                None => Blocked::Until { again: later, reset: later },
            });
        }
        // Spaced out, so that the counts arrive in the order of the calls.
        let next = self.last_call + self.window.length * 4 / 5 / quota;
        if now < next { Err(Blocked::Until { again: next, reset: next }) } else { Ok(()) }
    }

    /// Returns our calls per window while others call. Two are needed to observe a window's start and end.
    fn quota(&self) -> u32 {
        (self.share.round() as u32).max(2)
    }

    /// Returns the time of the next call after `own` calls, if `calls` are spread evenly over the window.
    fn slot(&self, own: u32, calls: u32) -> Moment {
        let (Some(start), Some(end)) = (self.window.start(), self.window.late_call()) else { return Moment::ZERO };
        start + end.saturating_sub(start) * own / (calls - 1).max(1)
    }

    /// Adapts our share to the calls observed in the window.
    fn adapt(&mut self, allowed: u32) {
        let most = self.others.most();
        if most == 0 {
            self.share = 0.0;
            return;
        }
        let own = self.own.saturating_sub(self.in_flight_calls());
        let limit = f64::from(allowed);
        let headroom = (limit * HEADROOM).max(1.0);
        if self.share == 0.0 {
            let largest = if self.window.index < FIRST_WINDOWS { limit * FIRST_SHARE } else { limit };
            self.share = (limit - f64::from(most) - headroom).clamp(limit / 2.0, largest);
            return;
        }
        let is_smaller = own < most;
        let (headroom, end) = if is_smaller { (0.0, MIN_OBSERVED_PART) } else { (headroom, 1.0) };
        let unseen = f64::from(most) * (end - self.others.seen).max(0.0);
        if f64::from(own + self.others.now()) + unseen >= limit - headroom {
            self.share *= DECREASE_FACTOR;
        } else if is_smaller {
            self.share += limit * INCREASE_STEP_WHEN_SMALLER;
        } else {
            self.share += (limit * INCREASE_STEP).max(MIN_INCREASE);
        }
        let least = f64::from(min_share(allowed));
        self.share = self.share.clamp(least, limit.max(least));
    }

    /// Returns how many of `calls` are still in reserve.
    fn reserved_calls(&self, now: Moment, calls: u32) -> u32 {
        let (Some(start), Some(end)) = (self.window.start(), self.window.last_call()) else { return calls };
        if now >= end {
            return 0;
        }
        let passed = now.saturating_sub(start).as_secs_f64() / end.saturating_sub(start).as_secs_f64();
        calls - ((f64::from(calls) * passed.clamp(0.0, 1.0)) as u32).min(calls - 1)
    }

    /// Returns a wait until the next decision.
    fn next_step(&self, now: Moment) -> Blocked {
        let Some(start) = self.window.start() else { return Blocked::UntilResponse };
        // Timers have a resolution of a millisecond.
        let step = (self.window.length / STEPS).max(Duration::from_millis(1));
        let steps = now.saturating_sub(start).as_nanos() / step.as_nanos() + 1;
        let next = start + step * u32::try_from(steps).unwrap_or(u32::MAX);
        let watch = if self.others.most() == 0 { self.window.last_call() } else { self.window.watch_call() };
        self.until(watch.filter(|&watch| watch > now).map_or(next, |watch| watch.min(next)))
    }

    fn until(&self, again: Moment) -> Blocked {
        self.window.end().map_or(Blocked::UntilResponse, |reset| Blocked::Until { again: again.min(reset), reset })
    }

    fn next_window(&self) -> Blocked {
        self.window.end().map_or(Blocked::UntilResponse, |reset| Blocked::Until { again: reset, reset })
    }

    /// Returns the maximum number of our calls per window.
    fn cap(&self, allowed: u32) -> u32 {
        let cap = (allowed * self.percent / 100).max(1);
        if self.cooldown_windows > 0 { cap.min(self.half) } else { cap }
    }

    fn in_flight_calls(&self) -> u32 {
        u32::try_from(self.open.len()).unwrap_or(u32::MAX)
    }

    fn close(&mut self, permit: &CallRecord) {
        self.open.retain(|&number| number != permit.number);
    }

    /// Starts a new window.
    fn start_window(&mut self) {
        self.top_before = self.top;
        if let Some(allowed) = self.allowed {
            self.adapt(allowed);
        }
        self.own_before = self.own;
        self.own = self.in_flight_calls();
        self.others.begin(self.own);
        self.top = 0;
        self.answers = 0;
        self.accepted = 0;
        self.cooldown_windows = self.cooldown_windows.saturating_sub(1);
        if self.inferred {
            // The refusal may have had another cause: raise the limit until the next one.
            self.allowed = self.allowed.map(|allowed| allowed.saturating_add(allowed / 2).min(1_000_000));
        }
    }

    /// Records a response and the call count that it reported, if any.
    pub(super) fn answered(&mut self, now: Moment, permit: CallRecord, limit: Option<CallLimit>) {
        self.close(&permit);
        self.explored = true;
        self.accepted = self.accepted.saturating_add(1);
        let Some(limit) = limit else {
            // Windows pass without the header too, so that an inferred limit recovers.
            if self.allowed.is_some() {
                self.window.counted(permit.sent, now);
            }
            self.others.uncounted();
            return;
        };
        let made = limit.used.min(LARGEST_COUNT);
        self.allowed = Some(limit.allowed);
        self.inferred = false;
        let length = self.window.length;
        let is_first = self.answers == 0 && self.window.index > 0 && permit.window == self.window.index;
        let sent_before = self.open.iter().filter(|&&number| number < permit.number).count();
        let most_own = self.calls.at_most(permit.sent, length) + u32::try_from(sent_before).unwrap_or(u32::MAX) + 1;
        if self.calls.counted(permit.sent, now, made, is_first, length) && self.calls.counting == Counting::Sliding {
            self.others.forget();
        }
        if self.calls.counting == Counting::Sliding {
            self.window.counted(permit.sent, now);
            self.answers += 1;
            self.others.at_least(made.saturating_sub(most_own));
            self.others.seen = 1.0;
            return;
        }
        let current = permit.window == self.window.index;
        let is_reset = permit.top > 0 && made <= permit.top;
        if current && is_reset {
            self.window.note_reset(self.last_sent, permit.sent, now);
            self.start_window();
            self.own += 1;
        } else if !current && !is_reset && made > self.top + self.in_flight_calls() + self.others.most() + 1 {
            // A call of the previous window, perhaps its last.
            self.others.before_at_least(made.saturating_sub(self.own_before));
            return;
        } else {
            if is_first && self.top_before > 1 && made > self.top_before {
                // Still the previous window: it started with its first call, later than assumed.
                self.window.note_gap();
            }
            self.window.counted(permit.sent, now);
        }
        self.answers += 1;
        if made >= self.top {
            self.top = made;
            self.last_sent = permit.sent;
            self.others.seen = self.window.passed(permit.sent);
        }
        let first_open = self.open.first().copied().unwrap_or(self.next);
        self.others.counted(made, self.top, !current, first_open, self.next);
        if self.calls.counting == Counting::Unknown {
            // In a sliding count, these may be earlier calls of ours.
            self.others.at_most(made.saturating_sub(most_own));
        }
    }

    /// Records a request without a response. The store may have counted it.
    pub(super) fn lost(&mut self, now: Moment, permit: CallRecord) {
        self.close(&permit);
        self.others.uncounted();
        // The window must end even if none of its requests gets a response.
        self.window.assume_started(now);
    }

    /// Records a refusal (429), after its response: no request is sent for `wait`.
    pub(super) fn refused(&mut self, now: Moment, wait: Duration) {
        self.refused += 1;
        let until = now + wait;
        self.paused_until = Some(self.paused_until.map_or(until, |paused_until| paused_until.max(until)));
        if self.allowed.is_none() || self.inferred {
            self.allowed = Some(self.accepted.max(SMALLEST_PLAN));
            self.inferred = true;
            return;
        }
        let Some(allowed) = self.allowed else { return };
        self.calls.refused();
        self.own = self.own.saturating_sub(1);
        let own = self.calls.at_most(now, self.window.length) + self.in_flight_calls();
        self.others.at_least(allowed.saturating_sub(own));
        self.top = self.top.max(allowed);
        if self.cooldown_windows == 0 {
            self.half = (self.own.max(self.own_before) / 2).max(1);
        }
        self.cooldown_windows = COOLDOWN_WINDOWS + 1;
    }

    /// Returns the statistics so far.
    pub(super) fn usage(&self) -> Usage {
        let in_use = self.allowed.map(|allowed| {
            let alone = self.others.most() == 0 || self.inferred;
            self.cap(allowed).min(if alone { allowed } else { self.quota() })
        });
        Usage {
            made: self.made,
            refused: self.refused,
            foreign: self.others.total(),
            allowed: self.allowed.filter(|_| !self.inferred),
            in_use,
            others: self.others.recent(),
        }
    }
}

/// Rounds up to full calls; a rounding error is not a call.
fn ceil_calls(calls: f64) -> u32 {
    (calls - 1e-9).ceil() as u32
}

/// Returns the calls per window that are made even if others use the limit up, so that a sync never stalls.
fn min_share(allowed: u32) -> u32 {
    allowed.div_ceil(MIN_SHARE_DIVISOR).max(2)
}
