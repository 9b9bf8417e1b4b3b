//! The health of a run: records if any request has succeeded, and for how long all requests have failed since.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::error::Error;

/// The successes and failures of all requests of a run.
#[derive(Debug, Default)]
pub(super) struct RunHealth(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    has_succeeded: bool,
    /// The failures since the last successful request.
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
        // Each change is complete before the lock is released, so the data is valid even after a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a successful request.
    pub(super) fn record_success(&self) {
        *self.lock() = State { has_succeeded: true, failing: None };
    }

    /// Records a failure that is temporary.
    pub(super) fn record_failure(&self, error: &Error) {
        let (now, error) = (Instant::now(), error.clone());
        let failing = &mut self.lock().failing;
        let first = failing.as_ref().map_or(now, |failing| failing.first);
        *failing = Some(Failing { first, last: now, error });
    }

    /// Returns true if any request has succeeded.
    pub(super) fn has_succeeded(&self) -> bool {
        self.lock().has_succeeded
    }

    /// Returns the time for which all requests have failed since `since`, and the last error. Returns `None` if no
    /// request has failed since the last success. The time ends with the last failure: idle time is not counted.
    pub(super) fn failing(&self, since: Instant) -> Option<(Duration, Error)> {
        let state = self.lock();
        let failing = state.failing.as_ref()?;
        Some((failing.last.saturating_duration_since(failing.first.max(since)), failing.error.clone()))
    }
}
