//! When requests may be sent, as far as it is the same for every API: what a limiter of calls is told and tells.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use super::pending_request::RequestObserver;

/// Calls that a server counted in the current window of time, and how many it allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimit {
    /// Calls made in the window, by all applications that share it.
    pub used: u32,
    /// Calls allowed in the window.
    pub allowed: u32,
}

/// Calls made, allowed and refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Calls of this process, refused ones included.
    pub made: u64,
    /// Calls of this process that were refused (429).
    pub refused: u64,
    /// Calls of other applications that were seen in the server's count.
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
    /// The right to send one request. It is dropped if no response came.
    type Permit<'t>: Send
    where
        Self: 't;

    /// Waits for the right to send. `observer` is told each moment at which the window waited for ends, once; the
    /// right may come earlier.
    fn acquire(&self, observer: &dyn RequestObserver) -> impl Future<Output = Self::Permit<'_>> + Send;

    /// Notes a response, and the calls that it counted, if any.
    fn answered(&self, permit: Self::Permit<'_>, limit: Option<CallLimit>);

    /// Notes a refusal (429) after its response: no request is sent for `wait`.
    fn refused(&self, wait: Duration);

    /// Calls made, allowed, refused and seen of others so far.
    fn usage(&self) -> Usage;
}
