//! Sends list requests over HTTP, for any API: connections, certificates, proxies, compressed bodies, retries, page
//! sizes, and the memory for pages in flight. Nothing here names a shop, its parameters or its headers.
//!
//! In reading order:
//! - `request`: the request data that retries need.
//! - `page`: the response data that is the same for every API; `body`: parses a body that arrives in chunks.
//! - `client`: sends a request and reads the response.
//! - `pending_request`: repeats a request until it succeeds or fails permanently.
//! - `exchange`: a finished request as it is logged.
//! - `retry`: decides if and when a request is sent again.
//! - `sizes`: the number of rows per page.
//! - `throttle`: the interface of a rate limiter.
//! - `memory`: the memory limit for pages in flight.
//! - `run_health`: the failures of all requests of a run.
//! - `connection`, `proxy`, `tls`: the HTTP connections.
//! - `error`, `error_mapping`: the errors.

pub mod body;
mod client;
mod connection;
pub mod error;
pub(crate) mod error_mapping;
mod exchange;
mod memory;
pub mod page;
mod pending_request;
mod proxy;
pub mod request;
pub mod retry;
mod run_health;
mod sizes;
mod throttle;
pub mod tls;

pub use client::{Api, Client};
pub use error::Error;
pub use page::{Discard, ElementSink, Envelope, PageMeta, ReadPage, ResponseMismatch};
#[cfg(test)]
pub(crate) use pending_request::tests::IgnoreEvents;
pub use pending_request::{PageResponse, RequestEvent, RequestObserver};
pub use request::{Divisibility, Request, Slice};
pub use retry::RetryPolicy;
pub use throttle::{CallLimit, Throttle, Usage};

/// A boxed future, which a method of a `dyn` trait can return.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
