//! How this run goes as a whole: whether anything has worked, and for how long nothing has since.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::error::Error;

/// What all requests of a run know of each other.
#[derive(Debug, Default)]
pub(super) struct RunHealth(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    has_succeeded: bool,
    /// The failures since the last request that worked.
    failing: Option<Failing>,
}

#[derive(Debug)]
struct Failing {
    first: Instant,
    last: Instant,
    error: Error,
}

impl RunHealth {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change to it is complete when the lock is given back.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request was answered.
    pub(super) fn record_success(&self) {
        *self.lock() = State { has_succeeded: true, failing: None };
    }

    /// A request failed in a way that can pass.
    pub(super) fn record_failure(&self, error: &Error) {
        let (now, error) = (Instant::now(), error.clone());
        let failing = &mut self.lock().failing;
        let first = failing.as_ref().map_or(now, |failing| failing.first);
        *failing = Some(Failing { first, last: now, error });
    }

    /// Whether any request has worked.
    pub(super) fn has_succeeded(&self) -> bool {
        self.lock().has_succeeded
    }

    /// For how long requests have failed, and none worked, since `since`; and how the last one failed. As
    /// long as nobody asks, nothing fails: up to the last failure, and not up to now.
    pub(super) fn failing(&self, since: Instant) -> Option<(Duration, Error)> {
        let state = self.lock();
        let failing = state.failing.as_ref()?;
        Some((failing.last.saturating_duration_since(failing.first.max(since)), failing.error.clone()))
    }
}
