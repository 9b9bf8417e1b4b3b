//! A rate limiter for the store's call limit, shared by all requests of this process.
//!
//! The store counts calls in windows of 10 seconds and reports `used/allowed` in `X-AC-Call-Limit` on every response
//! (API documentation, API limits). Other applications of the merchant share the limit: their calls are derived from
//! the count, and left to them. This file has the lock and the waiting; `policy` decides, `window` estimates when
//! windows start, `others` estimates the calls of others, and `calls` detects whether the store counts in windows or
//! in a sliding interval. Statuses, bodies and retries are not its concern.

mod calls;
mod others;
mod policy;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
mod window;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

pub use crate::http::CallLimit;
use crate::http::{RequestEvent, RequestObserver, Throttle, Usage};
use policy::{Blocked, CallRecord, LimitPolicy};

/// Limits the requests of this process to its part of the store's call limit.
#[derive(Debug)]
pub struct RateLimiter {
    policy: Mutex<LimitPolicy>,
    /// Start of the clock of `policy`.
    epoch: Instant,
    changed: Notify,
}

/// Permission to send one request. Return it with [`Throttle::answered`], or drop it if there is no response.
#[derive(Debug)]
pub struct CallPermit<'b> {
    rate_limiter: &'b RateLimiter,
    permit: Option<CallRecord>,
}

impl Drop for CallPermit<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.rate_limiter.lock().lost(self.rate_limiter.now(), permit);
            self.rate_limiter.changed.notify_waiters();
        }
    }
}

impl RateLimiter {
    /// Creates a limiter that uses at most `percent` percent of the calls that the store allows in each `window`.
    pub fn new(percent: u32, window: Duration) -> Self {
        Self { policy: Mutex::new(LimitPolicy::new(percent, window)), epoch: Instant::now(), changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, LimitPolicy> {
        // The state is only numbers, so it is usable even if another thread panicked.
        self.policy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }
}

impl Throttle for RateLimiter {
    type Permit<'t> = CallPermit<'t>;

    async fn acquire(&self, observer: &dyn RequestObserver) -> CallPermit<'_> {
        let mut reported = None;
        loop {
            let changed = self.changed.notified();
            let decision = self.lock().try_acquire(self.now());
            match decision {
                Ok(permit) => return CallPermit { rate_limiter: self, permit: Some(permit) },
                Err(Blocked::Until { again, reset }) => {
                    if reported != Some(reset) {
                        reported = Some(reset);
                        observer.on_event(RequestEvent::waiting(self.epoch + reset)).await;
                    }
                    // A response may show that a call is free earlier than expected.
                    tokio::select! {
                        () = tokio::time::sleep_until(self.epoch + again) => {}
                        () = changed => {}
                    }
                }
                Err(Blocked::UntilResponse) => changed.await,
            }
        }
    }

    fn answered(&self, mut call_permit: CallPermit<'_>, limit: Option<CallLimit>) {
        if let Some(permit) = call_permit.permit.take() {
            self.lock().answered(self.now(), permit, limit);
            self.changed.notify_waiters();
        }
    }

    fn refused(&self, wait: Duration) {
        self.lock().refused(self.now(), wait);
        self.changed.notify_waiters();
    }

    fn usage(&self) -> Usage {
        self.lock().usage()
    }
}

impl CallLimit {
    /// Parses the header `X-AC-Call-Limit`, `used/allowed`. Returns `None` for any other text, and for a limit of 0.
    pub fn parse(value: &str) -> Option<Self> {
        let (used, allowed) = value.split_once('/')?;
        let limit = Self { used: used.trim().parse().ok()?, allowed: allowed.trim().parse().ok()? };
        // A million is far above any plan, and small enough that the arithmetic cannot overflow.
        (1..=1_000_000).contains(&limit.allowed).then_some(limit)
    }
}
