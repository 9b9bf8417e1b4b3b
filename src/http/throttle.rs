//! The interface of a rate limiter, which decides when requests may be sent. It is the same for every API.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use super::pending_request::RequestObserver;

/// The call count that a server reports: calls made in the current time window, and the maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimit {
    /// Calls made in the window, by all applications that share it.
    pub used: u32,
    /// Calls allowed in the window.
    pub allowed: u32,
}

/// Statistics of the calls of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Calls of this process, refused ones included.
    pub made: u64,
    /// Calls of this process that were refused (429).
    pub refused: u64,
    /// Calls of other applications, as seen in the server's call count.
    pub foreign: u64,
    /// Calls per window that the server allows, if known.
    pub allowed: Option<u32>,
    /// Calls per window that this process may make at present.
    pub in_use: Option<u32>,
    /// Calls of other applications in this window, or in the one before.
    pub others: u32,
}

/// Decides when requests are sent.
pub trait Throttle: fmt::Debug + Send + Sync {
    /// The permit to send one request. It is dropped if no response arrives.
    type Permit<'t>: Send
    where
        Self: 't;

    /// Waits for the permit to send a request. Each end of a window that it waits for is reported to `observer` once;
    /// the permit may be available earlier.
    fn acquire(&self, observer: &dyn RequestObserver) -> impl Future<Output = Self::Permit<'_>> + Send;

    /// Records a response, and the call count that it reported, if any.
    fn answered(&self, permit: Self::Permit<'_>, limit: Option<CallLimit>);

    /// Records a refusal (429), after its response was recorded: no request is sent for `wait`.
    fn refused(&self, wait: Duration);

    /// Records that another response than a refusal requires a wait (`Retry-After`), after the response was recorded.
    /// Returns true if no request is sent for `wait`; otherwise only the failed request waits.
    fn holds(&self, wait: Duration) -> bool {
        let _ = wait;
        false
    }

    /// Returns the statistics of the calls so far.
    fn usage(&self) -> Usage;
}
