//! The shop Cart.com (formerly AmeriCommerce): its connector and settings, its sign-in, call limit, requests, responses,
//! and the table of its streams.
//!
//! Facts come from the vendor's public documentation of the Online Store API v1 (subjects: common
//! usage, query syntax, authentication, API limits) and, for the Central API Router, from the
//! published Python connector. Nothing in this folder uses the protocol or the output.

pub mod auth;
pub mod client;
mod config;
mod connector;
mod error_mapping;
mod help;
pub mod page;
mod query;
pub mod rate_limiter;
pub mod streams;

pub use auth::Auth;
pub use client::Client;
pub use connector::CART;
pub use page::{ListNames, PageError};
pub use rate_limiter::RateLimiter;
