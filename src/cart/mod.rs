//! The API side: everything that goes over HTTP to a Cart.com store (formerly AmeriCommerce).
//!
//! Facts come from the vendor's public documentation of the Online Store API v1 (subjects: common
//! usage, query syntax, authentication, API limits) and, for the Central API Router, from the
//! published Python connector. Nothing in this folder names Airbyte, the streams or the read.

pub mod auth;
pub mod budget;
pub mod client;
pub mod error;
mod http;
pub mod page;
pub mod query;
pub mod retry;
pub mod tls;

pub use auth::Auth;
pub use budget::Budget;
pub use client::{Answer, Client, Notice, Patience, Watch};
pub use error::Error;
pub use page::{Envelope, Intake, PageFault};
pub use query::Query;
