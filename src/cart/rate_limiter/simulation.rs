//! Simulates a store and its applications in virtual time: how much of the call limit the limiter uses, and how many
//! calls of others are refused because of it.

mod table;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::CallLimit;
use super::policy::{Blocked, CallRecord, LimitPolicy};
use crate::http::Usage;

/// Length of a window of the store in microseconds, as all times here.
const WINDOW: u64 = 10_000_000;
const SECOND: u64 = 1_000_000;
const HOUR: u64 = 3600 * SECOND;

/// The counting method of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counts {
    /// In windows that follow each other.
    Windows,
    /// In windows that start with their first call.
    FromFirstCall,
    /// The calls of the last ten seconds.
    Sliding,
}

/// The calls of other applications. They do not wait after a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traffic {
    None,
    /// Regular calls, as a percentage of the limit, each up to a fifth of the interval early or late.
    Steady(u32),
    /// Calls at random times, as a percentage of the limit.
    Random(u32),
    /// A percentage of the limit at once, at random times, every 30 seconds on average.
    Bursts(u32),
    /// As many calls as the store accepts, as early as possible.
    Fills,
}

/// One simulated case.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) counts: Counts,
    pub(super) limit: u32,
    /// Mean response time in milliseconds.
    pub(super) latency: u64,
    pub(super) traffic: Traffic,
    /// Copies of this connector, each with its own limiter.
    pub(super) copies: usize,
    pub(super) percent: u32,
    pub(super) hours: u64,
    pub(super) seed: u64,
}

impl Case {
    pub(super) fn new(counts: Counts, limit: u32, latency: u64, traffic: Traffic) -> Self {
        Self { counts, limit, latency, traffic, copies: 1, percent: 100, hours: 1, seed: 1 }
    }
}

/// The result of a case.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// Accepted and refused calls of each copy.
    pub(super) accepted: Vec<u64>,
    pub(super) refused: Vec<u64>,
    /// Calls of others: accepted, refused, and refused because of us.
    pub(super) others: u64,
    pub(super) others_refused: u64,
    pub(super) because_of_us: u64,
    /// Hours in which a call of others was refused because of us.
    pub(super) bad_hours: u64,
    /// Calls that a limiter with complete knowledge could have made.
    pub(super) optimum: f64,
    /// Calls that the limit allows in the time.
    pub(super) limit: f64,
    pub(super) usage: Usage,
    /// When each of our calls got its response.
    pub(super) answers: Vec<u64>,
}

impl Outcome {
    /// Adds the result of another run of the same case.
    fn add(&mut self, other: &Self) {
        let pairs = [(&mut self.accepted, &other.accepted), (&mut self.refused, &other.refused)];
        for (mine, theirs) in pairs {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
        }
        self.others += other.others;
        self.others_refused += other.others_refused;
        self.because_of_us += other.because_of_us;
        self.bad_hours += other.bad_hours;
        self.optimum += other.optimum;
        self.limit += other.limit;
        self.usage = other.usage;
    }
}

/// A reproducible random number generator (xorshift64*).
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        let mut chance = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            chance.unit();
        }
        chance
    }

    /// Returns a number from 0 to 1.
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f64 / (1u64 << 24) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }
}

/// The store's call counter.
struct Meter {
    counts: Counts,
    limit: u32,
    phase: u64,
    began: u64,
    made: u32,
    log: VecDeque<u64>,
}

impl Meter {
    fn new(counts: Counts, limit: u32, phase: u64) -> Self {
        Self { counts, limit, phase, began: 0, made: 0, log: VecDeque::new() }
    }

    /// Counts a call. Returns true if it is accepted, the reported count, and when the count becomes lower.
    fn call(&mut self, at: u64) -> (bool, u32, u64) {
        match self.counts {
            Counts::Windows => {
                let began = at - (at + self.phase) % WINDOW;
                if began != self.began {
                    (self.began, self.made) = (began, 0);
                }
            }
            Counts::FromFirstCall => {
                if self.began == 0 || at >= self.began + WINDOW {
                    (self.began, self.made) = (at, 0);
                }
            }
            Counts::Sliding => {
                while self.log.front().is_some_and(|&call| call + WINDOW <= at) {
                    self.log.pop_front();
                }
                self.made = u32::try_from(self.log.len()).unwrap();
                self.began = self.log.front().copied().unwrap_or(at);
            }
        }
        let accepted = self.made < self.limit;
        if accepted {
            self.made += 1;
            if self.counts == Counts::Sliding {
                self.log.push_back(at);
            }
        }
        (accepted, self.made, self.began + WINDOW)
    }
}

enum Event {
    /// A call of a copy arrives; its response arrives at `answer`.
    Arrives { copy: usize, permit: CallRecord, answer: u64 },
    /// A response arrives.
    Answered { copy: usize, permit: CallRecord, made: u32, refused: Option<u64> },
    /// A copy tries again.
    Wake { copy: usize },
    /// Another application calls.
    Foreign,
}

/// Concurrent requests of a copy: the default of `max_requests_in_flight`.
const IN_FLIGHT: usize = 8;

struct Copy {
    policy: LimitPolicy,
    idle: usize,
    wake: u64,
    starts: u64,
}

fn moment(at: u64) -> Duration {
    Duration::from_micros(at)
}

/// The events to come. Those at the same time keep their order.
#[derive(Default)]
struct Events {
    queue: BTreeMap<(u64, u64), Event>,
    /// Number of events so far.
    order: u64,
}

impl Events {
    fn push(&mut self, at: u64, event: Event) {
        self.order += 1;
        self.queue.insert((at, self.order), event);
    }

    fn pop(&mut self) -> Option<(u64, Event)> {
        self.queue.pop_first().map(|((at, _), event)| (at, event))
    }
}

/// A running case.
struct Simulation {
    case: Case,
    chance: Chance,
    events: Events,
    store: Meter,
    /// The same store without us: a call refused there is not refused because of us.
    alone: Meter,
    copies: Vec<Copy>,
    outcome: Outcome,
    /// When the first copy starts. Calls of others begin before.
    start: u64,
    /// The last hour that counts as bad.
    bad_hour: u64,
    /// Calls of others that the store would have accepted without us.
    foreign_wanted: u64,
}

/// Runs a case.
pub(super) fn run(case: Case) -> Outcome {
    let mut simulation = Simulation::new(case);
    let end = simulation.start + case.hours * HOUR;
    while let Some((now, event)) = simulation.events.pop().filter(|&(now, _)| now < end) {
        if let Some(copy) = simulation.handle(now, &event) {
            simulation.call(now, copy);
        }
    }
    simulation.finish(end)
}

impl Simulation {
    fn new(case: Case) -> Self {
        let mut chance = Chance::new(case.seed);
        let phase = (chance.unit() * WINDOW as f64) as u64;
        // Long before the first call, so that a window can have started earlier.
        let start = 10 * WINDOW;
        let copies: Vec<Copy> = (0..case.copies)
            .map(|copy| Copy {
                policy: LimitPolicy::new(case.percent, Duration::from_micros(WINDOW)),
                idle: IN_FLIGHT,
                wake: u64::MAX,
                // The second copy starts a while after the first.
                starts: start + copy as u64 * 47 * SECOND,
            })
            .collect();
        let mut events = Events::default();
        for (copy, state) in copies.iter().enumerate() {
            events.push(state.starts, Event::Wake { copy });
        }
        if case.traffic != Traffic::None {
            events.push(start - 7 * WINDOW + phase, Event::Foreign);
        }
        let (store, alone) = (Meter::new(case.counts, case.limit, phase), Meter::new(case.counts, case.limit, phase));
        let zeros = vec![0; case.copies];
        let outcome = Outcome { accepted: zeros.clone(), refused: zeros, ..Outcome::default() };
        Self { case, chance, events, store, alone, copies, outcome, start, bad_hour: u64::MAX, foreign_wanted: 0 }
    }

    /// Handles an event. Returns the copy that may call then, if any.
    fn handle(&mut self, now: u64, event: &Event) -> Option<usize> {
        match *event {
            Event::Foreign => {
                self.foreign_calls(now);
                None
            }
            Event::Arrives { copy, permit, answer } => {
                let (taken, made, reset) = self.store.call(now);
                if taken {
                    self.outcome.accepted[copy] += 1;
                } else {
                    self.outcome.refused[copy] += 1;
                }
                // Retry-After is in full seconds, and the client adds a random delay.
                let delay = (SECOND as f64 * self.chance.between(0.5, 1.0)) as u64;
                let refused = (!taken).then_some((reset - now).div_ceil(SECOND) * SECOND + delay);
                self.events.push(answer, Event::Answered { copy, permit, made, refused });
                None
            }
            Event::Answered { copy, permit, made, refused } => {
                let state = &mut self.copies[copy];
                state.idle += 1;
                state.policy.answered(moment(now), permit, Some(CallLimit { used: made, allowed: self.case.limit }));
                match refused {
                    Some(wait) => state.policy.refused(moment(now), moment(wait)),
                    None if copy == 0 => self.outcome.answers.push(now - self.start),
                    None => {}
                }
                Some(copy)
            }
            Event::Wake { copy } => {
                let state = &mut self.copies[copy];
                if state.wake <= now {
                    state.wake = u64::MAX;
                }
                Some(copy)
            }
        }
    }

    /// Makes the calls of other applications that are due, and plans the next ones.
    fn foreign_calls(&mut self, now: u64) {
        let limit = self.case.limit;
        let percent = |percent: u32| f64::from(limit * percent) / 100.0;
        let (calls, gap) = match self.case.traffic {
            Traffic::None => (0, HOUR as f64),
            Traffic::Steady(share) => (1, WINDOW as f64 / percent(share) * self.chance.between(0.8, 1.2)),
            Traffic::Random(share) => (1, -(WINDOW as f64) / percent(share) * (1.0 - self.chance.unit()).ln()),
            Traffic::Bursts(share) => {
                (percent(share).round() as u32, 3.0 * WINDOW as f64 * self.chance.between(0.33, 1.67))
            }
            Traffic::Fills => (1, 100_000.0 * self.chance.between(0.8, 1.2)),
        };
        for call in 0..calls {
            let at = now + u64::from(call);
            let (taken, ..) = self.store.call(at);
            let (would, ..) = self.alone.call(at);
            if now < self.start {
                continue;
            }
            self.foreign_wanted += u64::from(would);
            if taken {
                self.outcome.others += 1;
            } else {
                self.outcome.others_refused += 1;
            }
            if would && !taken {
                self.outcome.because_of_us += 1;
                let hour = (now - self.start) / HOUR;
                if hour != self.bad_hour {
                    self.bad_hour = hour;
                    self.outcome.bad_hours += 1;
                }
            }
        }
        self.events.push(now + gap as u64, Event::Foreign);
    }

    /// Makes the calls of a copy that its limiter allows now.
    fn call(&mut self, now: u64, copy: usize) {
        let (case, state) = (&self.case, &mut self.copies[copy]);
        while state.idle > 0 {
            match state.policy.try_acquire(moment(now)) {
                Ok(permit) => {
                    state.idle -= 1;
                    let takes = case.latency as f64 * 1000.0 * self.chance.between(0.7, 1.3);
                    let arrives = takes * self.chance.between(0.1, 0.5);
                    let answer = now + takes as u64;
                    self.events.push(now + arrives as u64, Event::Arrives { copy, permit, answer });
                }
                Err(Blocked::UntilResponse) => {
                    assert!(state.idle < IN_FLIGHT, "waits for a response although no request is in flight: {case:?}");
                    break;
                }
                Err(Blocked::Until { again, .. }) => {
                    let again = u64::try_from(again.as_nanos().div_ceil(1000)).unwrap();
                    assert!(again > now, "tries again without a wait: {case:?}");
                    // Timers are exact to a millisecond.
                    let again = again.div_ceil(1000) * 1000;
                    if again < state.wake {
                        state.wake = again;
                        self.events.push(again, Event::Wake { copy });
                    }
                    break;
                }
            }
        }
    }

    fn finish(mut self, end: u64) -> Outcome {
        let seconds = (end - self.start) as f64 / SECOND as f64;
        self.outcome.limit = f64::from(self.case.limit) * seconds / 10.0;
        let fastest = IN_FLIGHT as f64 * seconds * 1000.0 / self.case.latency as f64;
        self.outcome.optimum = (self.outcome.limit - self.foreign_wanted as f64).max(0.0).min(fastest);
        self.outcome.usage = self.copies[0].policy.usage();
        self.outcome
    }
}
