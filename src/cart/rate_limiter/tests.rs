//! Tests of the limiter step by step, and of waiting with a paused clock.

use std::time::Duration;

use tokio::time::Instant;

use super::policy::{Blocked, CallRecord, LimitPolicy};
use super::{CallLimit, RateLimiter};
use crate::http::retry::Backoff;
use crate::http::{BoxFuture, RequestEvent, RequestObserver, Throttle as _};

const WINDOW: Duration = Backoff::USUAL.window;

fn limit(made: u32, allowed: u32) -> Option<CallLimit> {
    Some(CallLimit { used: made, allowed })
}

fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Returns all permits available at `now`, without a response.
fn permits_at(policy: &mut LimitPolicy, now: Duration) -> Vec<CallRecord> {
    let mut permits = Vec::new();
    while permits.len() < 100
        && let Ok(permit) = policy.try_acquire(now)
    {
        permits.push(permit);
    }
    permits
}

/// A store that counts in windows and responds immediately. Its first window starts at `phase`.
struct Store {
    phase: u64,
    allowed: u32,
    began: u64,
    made: u32,
}

impl Store {
    fn new(phase: u64, allowed: u32) -> Self {
        Self { phase, allowed, began: 0, made: 0 }
    }

    fn call(&mut self, milliseconds: u64) -> Option<CallLimit> {
        let began = (milliseconds + 10_000 - self.phase) / 10_000;
        if began != self.began {
            (self.began, self.made) = (began, 0);
        }
        self.made += 1;
        assert!(self.made <= self.allowed, "refused at {milliseconds} ms");
        limit(self.made, self.allowed)
    }
}

/// Sends as many calls as allowed, every 10 ms, and returns their times in milliseconds.
fn send_all(policy: &mut LimitPolicy, store: &mut Store, from: u64, to: u64) -> Vec<u64> {
    let mut moments = Vec::new();
    for now in (from..to).step_by(10) {
        while let Ok(permit) = policy.try_acquire(at(now)) {
            policy.answered(at(now), permit, store.call(now));
            moments.push(now);
        }
    }
    moments
}

#[test]
fn the_header_is_read_or_ignored() {
    assert_eq!(CallLimit::parse("7/50"), limit(7, 50));
    assert_eq!(CallLimit::parse(" 7 / 50 "), limit(7, 50));
    for text in ["", "7", "7/0", "a/b", "-1/50", "1/99999999999"] {
        assert_eq!(CallLimit::parse(text), None, "{text}");
    }
}

#[test]
fn the_first_request_is_sent_alone_and_half_of_the_limit_follows() {
    let mut policy = LimitPolicy::new(100, WINDOW);
    let first = permits_at(&mut policy, at(0));
    assert_eq!(first.len(), 1);
    policy.answered(at(0), first[0], limit(1, 20));
    assert_eq!(permits_at(&mut policy, at(0)).len(), 9);
}

#[test]
fn without_others_each_window_is_used_up_mostly_at_its_start() {
    let (mut policy, mut store) = (LimitPolicy::new(100, WINDOW), Store::new(3000, 20));
    send_all(&mut policy, &mut store, 0, 3000);
    for window in 0..5 {
        let start = 3000 + window * 10_000;
        let moments = send_all(&mut policy, &mut store, start, start + 10_000);
        assert!(window == 0 || moments.len() == 20, "{moments:?}");
        assert!(window < 2 || moments.iter().filter(|&&at| at < start + 1000).count() >= 18, "{moments:?}");
        assert!(window == 0 || moments[19] > start + 5000, "the last call observes: {moments:?}");
    }
}

#[test]
fn call_limit_percent_is_never_exceeded() {
    let (mut policy, mut store) = (LimitPolicy::new(20, WINDOW), Store::new(0, 20));
    for window in 0..4 {
        assert_eq!(send_all(&mut policy, &mut store, window * 10_000, (window + 1) * 10_000).len(), 4);
    }
    let (mut policy, mut store) = (LimitPolicy::new(10, WINDOW), Store::new(0, 5));
    assert_eq!(send_all(&mut policy, &mut store, 0, 10_000).len(), 1, "at least one, or the sync would stall");
}

#[test]
fn calls_of_other_applications_reduce_our_share() {
    let mut policy = LimitPolicy::new(100, WINDOW);
    let first = permits_at(&mut policy, at(0));
    policy.answered(at(0), first[0], limit(45, 50));
    assert!(permits_at(&mut policy, at(0)).len() <= 1);
    assert_eq!(policy.usage().others, 44);
}

#[test]
fn a_restarted_count_frees_the_limit_immediately() {
    let (mut policy, mut store) = (LimitPolicy::new(100, WINDOW), Store::new(5000, 10));
    let before = send_all(&mut policy, &mut store, 0, 5000);
    let after = send_all(&mut policy, &mut store, 5000, 6000);
    // One of the calls in reserve finds the new count.
    assert!(before.len() >= 8 && after.len() >= 8, "{before:?} {after:?}");
}

#[test]
fn responses_out_of_order_are_not_a_new_count_or_calls_of_others() {
    let mut policy = LimitPolicy::new(100, WINDOW);
    let first = permits_at(&mut policy, at(0));
    policy.answered(at(0), first[0], limit(1, 10));
    let permits = permits_at(&mut policy, at(0));
    for (permit, made) in permits.iter().zip([5, 2, 4, 3]) {
        policy.answered(at(100), *permit, limit(made, 10));
    }
    assert_eq!((policy.usage().others, permits_at(&mut policy, at(100)).len()), (0, 0));
}

#[test]
fn without_the_header_there_is_no_limit_until_a_refusal() {
    let mut policy = LimitPolicy::new(80, WINDOW);
    let first = permits_at(&mut policy, at(0));
    policy.answered(at(0), first[0], None);
    assert_eq!(permits_at(&mut policy, at(0)).len(), 100);
}

#[test]
fn a_limit_inferred_from_a_refusal_recovers() {
    let mut policy = LimitPolicy::new(100, WINDOW);
    for _ in 0..8 {
        let permit = policy.try_acquire(at(0)).unwrap();
        policy.answered(at(0), permit, None);
    }
    policy.refused(at(0), WINDOW);
    let mut windows = Vec::new();
    for window in 1..4 {
        let now = at(window * 20_000);
        let permits = permits_at(&mut policy, now);
        windows.push(permits.len());
        for permit in permits {
            policy.answered(now, permit, None);
        }
    }
    assert_eq!(windows, [12, 18, 27]);
    assert_eq!(policy.usage().allowed, None, "an inferred limit is not reported");
}

#[test]
fn a_refusal_halves_our_calls_in_the_next_two_windows() {
    let (mut policy, mut store) = (LimitPolicy::new(100, WINDOW), Store::new(0, 20));
    for window in 0..3 {
        send_all(&mut policy, &mut store, window * 10_000, (window + 1) * 10_000);
    }
    let permit = policy.try_acquire(at(30_010)).unwrap();
    policy.answered(at(30_010), permit, limit(20, 20));
    policy.refused(at(30_010), at(10_000));
    assert!(matches!(policy.try_acquire(at(40_000)), Err(Blocked::Until { reset, .. }) if reset == at(40_010)));
    for window in 4..6 {
        let from = window * 10_000 + 10;
        let moments = send_all(&mut policy, &mut store, from, from + 9980);
        assert!((8..=10).contains(&moments.len()), "{moments:?}");
    }
    assert_eq!(policy.usage().refused, 1);
}

#[test]
fn no_count_and_no_order_of_events_stalls_it() {
    let mut policy = LimitPolicy::new(100, WINDOW);
    let mut seed = 1u64;
    let mut draw = |bound: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % bound
    };
    let (mut now, mut open): (Duration, Vec<CallRecord>) = (at(0), Vec::new());
    for _ in 0..20_000 {
        let longest = if draw(50) == 0 { 100_000 } else { 500 };
        now += at(draw(longest));
        match draw(8) {
            0..=2 => {
                if open.len() < 8
                    && let Ok(permit) = policy.try_acquire(now)
                {
                    open.push(permit);
                }
            }
            3 => policy.refused(now, at(draw(30_000))),
            4 if !open.is_empty() => {
                let at = draw(open.len() as u64) as usize;
                policy.lost(now, open.remove(at));
            }
            _ if !open.is_empty() => {
                let at = draw(open.len() as u64) as usize;
                let permit = open.remove(at);
                let made = if draw(20) == 0 { u32::MAX } else { draw(60) as u32 };
                let allowed = [1, 2, 5, 50, 1_000_000][draw(5) as usize];
                policy.answered(now, permit, (draw(10) > 0).then_some(CallLimit { used: made, allowed }));
            }
            _ => {}
        }
        policy.usage();
    }
    // After all of this, it still allows calls.
    for permit in open {
        policy.lost(now, permit);
    }
    assert!((0..100).any(|second| policy.try_acquire(now + at(second * 1000)).is_ok()));
}

/// Records the length of each reported wait, measured from the moment of the report.
#[derive(Default)]
struct Waits(std::sync::Mutex<Vec<Duration>>);

impl RequestObserver for Waits {
    fn on_event<'a>(&'a self, event: RequestEvent<'a>) -> BoxFuture<'a, ()> {
        if let RequestEvent::Waiting(until) = event {
            let wait = until.duration_since(std::time::SystemTime::now()).unwrap();
            self.0.lock().unwrap().push(wait);
        }
        Box::pin(async {})
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_pauses_everyone_and_is_reported_once() {
    let (rate_limiter, waits) = (RateLimiter::new(80, WINDOW), Waits::default());
    let call_permit = rate_limiter.acquire(&waits).await;
    rate_limiter.answered(call_permit, limit(1, 20));
    rate_limiter.refused(Duration::from_secs(7));
    let began = Instant::now();
    let call_permit = rate_limiter.acquire(&waits).await;
    let reported = waits.0.into_inner().unwrap();
    assert!(matches!(reported[..], [wait] if (6..=7).contains(&wait.as_secs())), "{reported:?}");
    assert!(Instant::now() >= began + Duration::from_secs(7));
    drop(call_permit);
}

#[tokio::test(start_paused = true)]
async fn sixty_calls_at_twenty_per_window_take_three_windows() {
    let rate_limiter = RateLimiter::new(100, WINDOW);
    let store = std::sync::Mutex::new(Store::new(4000, 20));
    let began = Instant::now();
    let worker = async || {
        for _ in 0..15 {
            let call_permit = rate_limiter.acquire(&Waits::default()).await;
            tokio::time::sleep(at(100)).await;
            let counted = store.lock().unwrap().call(u64::try_from(began.elapsed().as_millis()).unwrap());
            tokio::time::sleep(at(100)).await;
            rate_limiter.answered(call_permit, counted);
        }
    };
    tokio::join!(worker(), worker(), worker(), worker());
    assert!(began.elapsed() < at(30_000), "{:?}", began.elapsed());
    let usage = rate_limiter.usage();
    assert_eq!((usage.made, usage.refused, usage.foreign, usage.allowed), (60, 0, 0, Some(20)));
}
