//! Requests over HTTP, without a shop: connections, certificates, proxies, compressed bodies; when a failed request
//! is sent again, and with how many rows; the memory for pages in flight. Nothing here names a shop, its parameters
//! or its headers.
//!
//! In reading order: `request` (what the retries need to know of a request), `page` (what they need to know of a
//! response), `client` (sends a request and reads the response), `pending_request` (one request until it succeeds), `retry` (when it is sent again), `sizes` (how many
//! rows a page may have), `throttle`, `memory`, `run_health`, `connection`, `proxy`, `tls`, `error` and `error_mapping`.

mod client;
mod connection;
pub mod error;
pub(crate) mod error_mapping;
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
pub use page::{Discard, ElementSink, Envelope, PageMeta, ReadPage};
pub use pending_request::{PageResponse, RequestEvent, RequestObserver};
pub use request::{Request, Slice};
pub use retry::RetryPolicy;
pub use throttle::{CallLimit, Throttle, Usage};

/// A future on the heap: what a `dyn` trait can return.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
