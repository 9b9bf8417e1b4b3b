//! The only integration test binary: runs the real executable against the fake store.
//!
//! `harness` runs the executable and checks its output, `fake_store` is the store, `cases` has the tests by
//! subject, `scenarios` changes the store and kills reads, `faults` makes responses faulty.

#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

// So that `crate::fake_store` and `crate::fake_cs_cart` name them.
extern crate fake_cs_cart;
extern crate fake_store;

#[path = "../release/assets.rs"]
mod assets;
mod cases;
mod faults;
mod harness;
mod scenarios;
