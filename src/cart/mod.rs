//! The API side: everything that goes over HTTP to a Cart.com store (formerly AmeriCommerce).
//!
//! Facts come from the vendor's public documentation of the Online Store API v1 (subjects: common
//! usage, query syntax, authentication, API limits) and, for the Central API Router, from the
//! published Python connector. Nothing in this folder names Airbyte, the streams or the read.

pub mod auth;
pub mod client;
pub mod error;
mod error_mapping;
mod http;
mod memory;
pub mod page;
mod pending_request;
mod proxy;
pub mod query;
pub mod rate_limiter;
pub mod retry;
mod run_health;
mod sizes;
pub mod tls;

pub use auth::Auth;
pub use client::Client;
pub use error::Error;
pub use memory::MemoryPermit;
pub use page::{ElementSink, Envelope, ListNames, PageError, PageMeta};
pub use pending_request::{Exchange, PageResponse, RequestEvent, RequestObserver};
pub use query::Query;
pub use rate_limiter::RateLimiter;
pub use retry::RetryPolicy;
