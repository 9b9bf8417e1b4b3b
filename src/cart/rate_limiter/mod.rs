//! The call budget that all requests of this process share.
//!
//! The store counts calls in windows of 10 seconds and reports `made/allowed` in `X-AC-Call-Limit` on every answer
//! (API documentation, API limits). Other applications of the merchant draw on the same count; what they use is
//! seen in it, and left to them. This file holds the lock and the waiting; `policy` decides, `window` knows when
//! windows begin, `others` what others use, `calls` whether the store counts in windows at all. Knows nothing of
//! statuses, bodies or retries.

mod calls;
mod others;
mod policy;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod simulation;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests;
mod window;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

pub use crate::http::CallLimit;
use crate::http::{RequestEvent, RequestObserver, Throttle, Usage};
use policy::{Blocked, CallRecord, LimitPolicy};

/// The shared budget.
#[derive(Debug)]
pub struct RateLimiter {
    policy: Mutex<LimitPolicy>,
    /// What the limiter's moments count from.
    epoch: Instant,
    changed: Notify,
}

/// The right to send one request. Give it back with [`Throttle::answered`] or by dropping it.
#[derive(Debug)]
#[must_use]
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
    /// A budget of at most `percent` percent of what the store allows in each `window`.
    #[must_use]
    pub fn new(percent: u32, window: Duration) -> Self {
        Self { policy: Mutex::new(LimitPolicy::new(percent, window)), epoch: Instant::now(), changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, LimitPolicy> {
        // The state is plain numbers: it stays usable whatever happened to another thread.
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
                    // An answer may show that there is room earlier than was believed.
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
    /// Reads the header `X-AC-Call-Limit`, `made/allowed`; `None` for any other text, or a limit of 0.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let (used, allowed) = value.split_once('/')?;
        let limit = Self { used: used.trim().parse().ok()?, allowed: allowed.trim().parse().ok()? };
        // A million is far beyond any plan, and keeps the arithmetic of the limiter from overflowing.
        (1..=1_000_000).contains(&limit.allowed).then_some(limit)
    }
}
