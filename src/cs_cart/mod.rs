//! The shop CS-Cart / Multi-Vendor: its sign-in, requests, responses, and the table of its streams.
//!
//! Facts come from the vendor's public documentation of the REST API (CS-Cart REST API: overview, and the page of each
//! entity), and from the answers of stores. Nothing in this folder names Airbyte or the output.

pub mod auth;
pub mod client;
mod error_mapping;
pub mod page;
mod privileges;
mod query;
pub mod settings;
#[cfg(test)]
mod simulation;
pub mod streams;
mod throttle;

pub use client::Client;
pub use settings::Settings;
