//! How this run goes as a whole: whether anything has worked, and for how long nothing has since.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::error::Error;

/// What all requests of a run know of each other.
#[derive(Debug, Default)]
pub(super) struct Outlook(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    worked: bool,
    /// The failures since the last request that worked.
    failing: Option<Failing>,
}

#[derive(Debug)]
struct Failing {
    first: Instant,
    last: Instant,
    error: Error,
}

impl Outlook {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change to it is complete when the lock is given back.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request was answered.
    pub(super) fn worked(&self) {
        *self.lock() = State { worked: true, failing: None };
    }

    /// A request failed in a way that can pass.
    pub(super) fn failed(&self, error: &Error) {
        let (now, error) = (Instant::now(), error.clone());
        let failing = &mut self.lock().failing;
        let first = failing.as_ref().map_or(now, |failing| failing.first);
        *failing = Some(Failing { first, last: now, error });
    }

    /// Whether any request has worked.
    pub(super) fn has_worked(&self) -> bool {
        self.lock().worked
    }

    /// For how long requests have failed, and none worked, since `called`; and how the last one failed. As
    /// long as nobody asks, nothing fails: up to the last failure, and not up to now.
    pub(super) fn failing(&self, called: Instant) -> Option<(Duration, Error)> {
        let state = self.lock();
        let failing = state.failing.as_ref()?;
        Some((failing.last.saturating_duration_since(failing.first.max(called)), failing.error.clone()))
    }
}
