//! The API side: everything that goes over HTTP to a Cart.com store (formerly AmeriCommerce).
//!
//! Facts come from the vendor's public documentation of the Online Store API v1 (subjects: common
//! usage, query syntax, authentication, API limits) and, for the Central API Router, from the
//! published Python connector. Nothing in this folder names Airbyte, the streams or the read.

pub mod auth;
pub mod budget;
pub mod client;
mod diagnosis;
pub mod error;
mod http;
mod outlook;
pub mod page;
mod proxy;
mod pursuit;
pub mod query;
pub mod retry;
mod room;
mod sizes;
pub mod tls;

pub use auth::Auth;
pub use budget::Budget;
pub use client::Client;
pub use error::Error;
pub use page::{AnswerFacts, Envelope, Intake, ListNames, PageFault};
pub use pursuit::{Answer, Exchange, Notice, Watch};
pub use query::Query;
pub use retry::Patience;
pub use room::Room;
