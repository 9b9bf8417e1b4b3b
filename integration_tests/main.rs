//! The one integration test binary: runs the real executable against the fake store.
//!
//! `harness` runs and judges, `fake_store` is the store; every other module is a theme.

#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

mod acceptance;
mod assets;
mod catalogs;
mod check;
mod commands;
mod completions;
mod corpora;
mod docs;
mod dry_run;
mod environment;
mod evidence;
mod expand;
mod fake_store;
mod faults;
mod fields;
mod harness;
mod init;
mod inputs;
mod limits;
mod log;
mod metadata;
mod operations;
mod output;
mod pages;
mod panics;
mod proxy;
mod read;
mod redact;
mod resources;
mod scenarios;
mod scopes;
mod secrets;
mod selection;
mod setup;
mod signals;
mod soak;
mod state_command;
mod state_file;
mod states;
mod summary;
mod terminal;
mod tidy;
mod usage;
mod written;
