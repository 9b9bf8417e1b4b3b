//! The test harness: runs the real executable and checks its output.
//!
//! - [`message`]: one line of the output, checked against `protocol.schema.json`.
//! - [`run`]: the complete output of one run, and accessors for it.
//! - [`command`]: starts the executable, and interrupts it.
//! - [`files`]: configs, catalogs, and the temporary files that hold them.
//! - [`order`]: the rules for the messages of a complete `read`.
//! - [`json`]: compares JSON values digit by digit.
//! - [`row`]: a row or record as it is written.
//! - [`shop`]: the executables, and the catalog of each.
//! - [`setup`]: stores, configs and random numbers for many tests.
//! - [`destination`]: acts like a platform, and compares its rows with the store's.

pub(crate) mod command;
pub(crate) mod destination;
pub(crate) mod files;
pub(crate) mod json;
pub(crate) mod message;
pub(crate) mod order;
pub(crate) mod row;
pub(crate) mod run;
pub(crate) mod setup;
pub(crate) mod shop;

#[cfg(test)]
mod selftest;
