//! The test harness: runs the real executable and judges what it said.
//!
//! - [`message`]: one line of the output, checked against `protocol.schema.json`.
//! - [`run`]: the whole output of one run, and accessors for it.
//! - [`command`]: starts the executable, and interrupts it when asked.
//! - [`files`]: configs, catalogs, and the temporary files that hold them.
//! - [`order`]: the rules a whole `read` must keep.
//! - [`json`]: comparison of raw JSON values, digit by digit.
//! - [`setup`]: what most tests begin with.
//! - [`destination`]: what a platform would hold after any number of runs, compared with the store.

pub(crate) mod command;
pub(crate) mod destination;
pub(crate) mod files;
pub(crate) mod json;
pub(crate) mod message;
pub(crate) mod order;
pub(crate) mod run;
pub(crate) mod setup;

#[cfg(test)]
mod selftest;
