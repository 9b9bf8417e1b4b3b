//! Airbyte source connectors for shops: `source-cart` for Cart.com (formerly AmeriCommerce).
//!
//! The modules, in reading order. There are no circular dependencies between them.
//!
//! - `app`: runs a command: command line, output, exit code
//! - `connector`: what an executable for one shop consists of; a shop defines one
//! - `cli`: arguments, help, `--streams`
//! - `commands`: the commands, a file each
//! - `raw_config`, `config`, `record_options`, `deletion_options`: the configuration
//! - `sync`: how a stream is read, and what its state contains; names no shop
//! - `http`: requests over HTTP: connections, proxies, TLS, retries, memory; names no shop
//! - `cart`: Cart.com: its connector, sign-in, parameters, responses, call limit, and the table of streams
//! - `cs_cart`: CS-Cart and Multi-Vendor: sign-in, parameters, responses, pauses, and the table of streams
//! - `stream`, `stream_fields`: a row of a shop's table of streams; the fields of a stream, from its schema file
//! - `airbyte`: the protocol side: messages, catalogs, states, the writer; names nothing of HTTP
//! - `output`: where messages go: stdout, files, the state file, text for people
//! - `user_error`: the messages of errors for users
//! - `record`, `json`, `timestamp`: one record, JSON text, dates; pure
//! - `files`: bounded reads, atomic writes
//! - `shutdown`: signals
//! - `panic_hook`, `secret`, `suggest`, `buffer_pool`: small helpers
//!
//! No other module than `cart` names a shop. Only the thread of `airbyte::emit` writes to stdout, through a sink of `output`. Adding a stream takes one schema
//! file and one row of the table.

// Without the feature, `pub` in these modules reaches no further than the crate, and needs no docs.
#![cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub, unused_imports, unfulfilled_lint_expectations))]

mod app;
mod buffer_pool;
mod cli;
mod commands;
mod config;
mod connector;
mod deletion_options;
mod files;
mod panic_hook;
mod raw_config;
mod record_options;
mod secret;
mod shutdown;
mod suggest;
mod user_error;

// Fuzz targets, benchmarks and tests use these.
#[cfg(feature = "fuzzing")]
pub mod airbyte;
#[cfg(feature = "fuzzing")]
pub mod cart;
#[cfg(feature = "fuzzing")]
pub mod cs_cart;
#[cfg(feature = "fuzzing")]
pub mod http;
#[cfg(feature = "fuzzing")]
pub mod json;
#[cfg(feature = "fuzzing")]
pub mod output;
#[cfg(feature = "fuzzing")]
pub mod record;
#[cfg(feature = "fuzzing")]
pub mod stream;
#[cfg(feature = "fuzzing")]
pub mod stream_fields;
#[cfg(feature = "fuzzing")]
pub mod sync;
#[cfg(feature = "fuzzing")]
pub mod timestamp;

#[cfg(not(feature = "fuzzing"))]
mod airbyte;
#[cfg(not(feature = "fuzzing"))]
mod cart;
#[cfg(not(feature = "fuzzing"))]
mod cs_cart;
#[cfg(not(feature = "fuzzing"))]
mod http;
#[cfg(not(feature = "fuzzing"))]
mod json;
#[cfg(not(feature = "fuzzing"))]
mod output;
#[cfg(not(feature = "fuzzing"))]
mod record;
#[cfg(not(feature = "fuzzing"))]
mod stream;
#[cfg(not(feature = "fuzzing"))]
mod stream_fields;
#[cfg(not(feature = "fuzzing"))]
mod sync;
#[cfg(not(feature = "fuzzing"))]
mod timestamp;

pub use app::run;
pub use cart::CART;
#[cfg(feature = "fuzzing")]
pub use cart::streams;
pub use cli::command_line;
pub use commands::completions::script as completion_script;
pub use connector::Connector;
pub use cs_cart::CS_CART;
