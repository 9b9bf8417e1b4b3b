//! Decides when a request may be sent. Pure: it is given the time, and neither waits nor reads a clock.
//!
//! Alone, it spends the limit at the start of each window and holds a tenth of it back, which it spends one call
//! after the other until the window ends: these calls show other applications while there is room for them, and
//! when the next window begins. Beside others, it spreads its share evenly over the window, so that it always
//! knows the count, and sends only while there is room for what others are expected to send.
//! `docs/reference/call-limit.md` has the rule in words, and the figures of the simulation that its constants come from.

use std::time::Duration;

use super::CallLimit;
use super::calls::{Counting, OwnCalls};
use super::others::OtherUsage;
use super::window::{Moment, RateWindow};
use crate::http::Usage;

/// Calls per window of the smallest plan (API documentation, API limits): no guess goes below it.
const SMALLEST_PLAN: u32 = 5;
/// The largest count that is calculated with: far beyond any plan, and sums of it do not overflow.
const LARGEST_COUNT: u32 = 10_000_000;
/// Percent of the limit that is held back while nobody else calls. With a tenth, each plan has a call late in the
/// window, and nine of ten requests do not wait.
const RESERVE_PERCENT: u32 = 10;
/// The same until a complete window was seen. With less, a sync that starts beside an application with 30 % of the
/// calls costs it a call in up to one of five starts (limit 10).
const FIRST_RESERVE_PERCENT: u32 = 50;
/// Part of the limit that is used whatever others do: an eighth, and at least two calls, the first and the last of
/// a window. With fewer, the smaller of two copies never sees what the larger leaves.
const MIN_SHARE_DIVISOR: u32 = 8;
/// Part of the limit, at least one call, below which the larger of two applications stays. The smaller may use it.
const HEADROOM: f64 = 0.05;
/// Part of what others use that is left free beyond what they are expected to use. Without it, an application that
/// calls regularly loses a call in about one of three hours.
const SAFETY_MARGIN: f64 = 0.05;
/// The part of the limit that is used at most beside others in the first windows, and how many these are: as many
/// as are remembered of others.
const FIRST_SHARE: f64 = 0.6;
const FIRST_WINDOWS: u64 = 6;
/// If we have less than others, a window of which this part was seen counts as seen to its end.
const MIN_OBSERVED_PART: f64 = 0.75;
/// What becomes of our share when the limit is met. Of two copies, the larger loses more calls than the smaller.
const DECREASE_FACTOR: f64 = 0.85;
/// What is added to our share when the limit is not met, as a part of the limit.
const INCREASE_STEP: f64 = 0.025;
/// The least that is added, in calls: a share of a small limit grows by a call in two windows.
const MIN_INCREASE: f64 = 0.5;
/// The same part if we have less than others. Three times as much, so that two copies come to equal shares.
const INCREASE_STEP_WHEN_SMALLER: f64 = 0.075;
/// Windows after a refusal in which half is used.
const COOLDOWN_WINDOWS: u32 = 2;
/// How often in a window it is decided anew whether a call fits.
const STEPS: u32 = 20;
/// How long a call is counted where counts slide, in percent of a window. The rest leaves a slot free at times, so
/// that a call of another application is seen.
const SLIDING_RETENTION_PERCENT: u32 = 105;

/// The right to send one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallRecord {
    sent: Moment,
    number: u64,
    window: u64,
    /// The highest count known in its window when it was sent.
    top: u32,
}

/// Why a request has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blocked {
    /// Ask again at `again`, or after an answer. `reset` is when the window ends.
    Until {
        /// When to ask again.
        again: Moment,
        /// When there is room for certain.
        reset: Moment,
    },
    /// Until another request is answered.
    UntilResponse,
}

/// The limiter.
#[derive(Debug)]
pub(super) struct LimitPolicy {
    /// The most of the limit that our own calls may take, in percent.
    percent: u32,
    /// Calls allowed per window, once reported (or, without the header, inferred from a refusal).
    allowed: Option<u32>,
    /// True if `allowed` was inferred from a refusal, because the store does not report it.
    inferred: bool,
    /// Answers in this window, for that inference.
    accepted: u32,
    /// True once an answer has arrived: until then one request at a time explores the limit.
    explored: bool,
    window: RateWindow,
    others: OtherUsage,
    calls: OwnCalls,
    /// The highest count reported in this window.
    top: u32,
    /// When the last call that is known to be in this window was sent.
    last_sent: Moment,
    /// Answers with a count in this window.
    answers: u32,
    /// Our own calls in this window, answered or not, and those of the window before.
    own: u32,
    own_before: u32,
    /// The highest count of the window before.
    top_before: u32,
    /// Calls of a window that are ours while others call too; 0 while nobody else does.
    share: f64,
    /// When the latest request was sent.
    last_call: Moment,
    /// The numbers of the requests that have no answer yet, in order.
    open: Vec<u64>,
    next: u64,
    paused_until: Option<Moment>,
    /// Windows in which half is used, and how much that is.
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

    /// Asks for the right to send a request now.
    pub(super) fn try_acquire(&mut self, now: Moment) -> Result<CallRecord, Blocked> {
        if let Some(paused_until) = self.paused_until {
            if now < paused_until {
                return Err(Blocked::Until { again: paused_until, reset: paused_until });
            }
            self.paused_until = None;
            // The store named the moment at which its count begins anew.
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
            self.check_room(now, allowed)?;
        }
        let permit = CallRecord { sent: now, number: self.next, window: self.window.index, top: self.top };
        self.open.push(self.next);
        self.next += 1;
        self.last_call = now;
        self.own += 1;
        self.made += 1;
        Ok(permit)
    }

    /// Says whether one more call may be made.
    fn check_room(&self, now: Moment, allowed: u32) -> Result<(), Blocked> {
        let open = self.in_flight_calls();
        if self.inferred {
            return if self.own < self.cap(allowed) { Ok(()) } else { Err(self.next_window()) };
        }
        if self.calls.counting == Counting::Sliding {
            return self.check_sliding(now, allowed);
        }
        // The first answer of a second window shows the way of counting.
        if self.calls.counting == Counting::Unknown && self.window.index > 0 && self.answers == 0 && open > 0 {
            return Err(Blocked::UntilResponse);
        }
        if self.window.end().is_none() && open == 0 {
            // Nothing is known of this window, and only a call can show it.
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
        let (open, quota, least) = (self.in_flight_calls(), self.quota(), least(allowed));
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
        // If we have less than others, we count on what they made last, and so take what they have given up.
        let (expected, surprise) =
            if self.own_before > most { (most, SAFETY_MARGIN) } else { (self.others.recent(), 0.0) };
        let unseen = ceil_calls(f64::from(expected) * (1.0 + surprise - self.others.seen)).max(1);
        // A call is kept that sees most of the window.
        let late = self.window.watch_call().is_none_or(|late| now >= late);
        let fits = self.top + open + 1 + unseen + u32::from(!late) <= allowed;
        // These are made whatever others use, evenly over the window.
        let is_due = now >= self.slot(self.own, least) && (late || self.own + 1 < least);
        if fits || (self.own < least && open == 0 && is_due) { Ok(()) } else { Err(self.next_step(now)) }
    }

    /// Says the same where the store counts the calls of the last ten seconds: a leaky bucket.
    fn check_sliding(&self, now: Moment, allowed: u32) -> Result<(), Blocked> {
        let open = self.in_flight_calls();
        let (counted, leaves) = self.calls.counted_at(now, self.window.length * SLIDING_RETENTION_PERCENT / 100);
        let own = counted + open;
        let others = self.others.lately();
        let (quota, reserve) = if others > 0 { (self.quota(), others + 1) } else { (allowed, 0) };
        let fits = own < self.cap(allowed).min(quota) && own + 1 + reserve <= allowed;
        let is_least = own < least(allowed) && open == 0;
        if !fits && !is_least {
            let later = now + self.window.length / STEPS;
            return Err(match leaves {
                Some(reset) => Blocked::Until { again: reset.min(later), reset },
                None if open > 0 => Blocked::UntilResponse,
                None => Blocked::Until { again: later, reset: later },
            });
        }
        // At some distance from each other, so that the order of the counts is that of the calls.
        let next = self.last_call + self.window.length * 4 / 5 / quota;
        if now < next { Err(Blocked::Until { again: next, reset: next }) } else { Ok(()) }
    }

    /// Calls of a window that are ours while others call too. Two show a window's beginning and end.
    fn quota(&self) -> u32 {
        (self.share.round() as u32).max(2)
    }

    /// When the call after `own` calls is due, evenly over the window.
    fn slot(&self, own: u32, calls: u32) -> Moment {
        let (Some(start), Some(end)) = (self.window.start(), self.window.late_call()) else { return Moment::ZERO };
        start + end.saturating_sub(start) * own / (calls - 1).max(1)
    }

    /// Adapts our share to what the window has shown.
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
        let least = f64::from(least(allowed));
        self.share = self.share.clamp(least, limit.max(least));
    }

    /// How many of `calls` are still held back.
    fn reserved_calls(&self, now: Moment, calls: u32) -> u32 {
        let (Some(start), Some(end)) = (self.window.start(), self.window.last_call()) else { return calls };
        if now >= end {
            return 0;
        }
        let passed = now.saturating_sub(start).as_secs_f64() / end.saturating_sub(start).as_secs_f64();
        calls - ((f64::from(calls) * passed.clamp(0.0, 1.0)) as u32).min(calls - 1)
    }

    /// Waits until it is decided anew.
    fn next_step(&self, now: Moment) -> Blocked {
        let Some(start) = self.window.start() else { return Blocked::UntilResponse };
        // A timer is no finer than a millisecond.
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

    /// The most that our own calls may take of a window.
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

    /// Begins a new window.
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
            // One refusal may have had another cause: the guess rises until the next one.
            self.allowed = self.allowed.map(|allowed| allowed.saturating_add(allowed / 2).min(1_000_000));
        }
    }

    /// Takes note of an answer and of the call count it reported, if any.
    pub(super) fn answered(&mut self, now: Moment, permit: CallRecord, limit: Option<CallLimit>) {
        self.close(&permit);
        self.explored = true;
        self.accepted = self.accepted.saturating_add(1);
        let Some(limit) = limit else {
            // Without the header a window still passes, so that an inferred limit recovers.
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
            // Of the window before, and perhaps the last that is seen of it.
            self.others.before_at_least(made.saturating_sub(self.own_before));
            return;
        } else {
            if is_first && self.top_before > 1 && made > self.top_before {
                // Still the window before: it began with its first call, later than was believed.
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
            // In a sliding count these may be our own calls of before.
            self.others.at_most(made.saturating_sub(most_own));
        }
    }

    /// Takes note that a request got no answer. It may have been counted or not.
    pub(super) fn lost(&mut self, now: Moment, permit: CallRecord) {
        self.close(&permit);
        self.others.uncounted();
        // The window must end even if none of its requests is ever answered.
        self.window.assume_started(now);
    }

    /// Takes note of a refusal (429), after its answer: nobody sends for `wait`.
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

    /// What was used so far.
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

/// The number as a whole one, rounded up; a rounding error is no call.
fn ceil_calls(calls: f64) -> u32 {
    (calls - 1e-9).ceil() as u32
}

/// Calls of a window that are made whatever others do, or nothing would ever move.
fn least(allowed: u32) -> u32 {
    allowed.div_ceil(MIN_SHARE_DIVISOR).max(2)
}
