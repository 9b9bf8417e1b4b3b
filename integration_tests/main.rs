//! The one integration test binary: runs the real executable against the fake store.
//!
//! `harness` runs the executable and checks what it wrote, `fake_store` is the store, `cases` holds the tests by
//! subject, `scenarios` changes and kills while reading, `faults` breaks answers.

#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

mod assets;
mod cases;
mod fake_store;
mod faults;
mod harness;
mod scenarios;
