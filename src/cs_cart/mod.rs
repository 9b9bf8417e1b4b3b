//! The shop CS-Cart / Multi-Vendor: its connector and settings, its sign-in, requests, responses, and the table of its
//! streams.
//!
//! Facts come from the vendor's public documentation of the REST API (CS-Cart REST API: overview, and the page of each
//! entity), and from the answers of stores. Nothing in this folder uses the protocol or the output.

pub mod auth;
pub mod client;
mod config;
mod connector;
mod error_mapping;
mod help;
pub mod page;
mod privileges;
mod query;
pub mod settings;
#[cfg(test)]
mod simulation;
pub mod streams;
mod throttle;

pub use client::Client;
pub use connector::CS_CART;
pub use settings::Settings;
