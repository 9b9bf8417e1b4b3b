//! `source-cart`: an Airbyte source connector for Cart.com (formerly AmeriCommerce).
//!
//! The modules, in reading order. No two of them depend on each other, directly or through others.
//!
//! - `app`: runs a command: command line, output, exit code
//! - `cli`: arguments, help, `--streams`
//! - `commands`: the commands, a file each
//! - `raw_config`, `config`, [`record_options`]: the configuration
//! - [`sync`]: how a stream is read, and what its state contains
//! - [`streams`]: the table of streams, with `schemas/*.json`
//! - [`cart`]: the API side, everything over HTTP; names nothing of Airbyte
//! - [`airbyte`]: the protocol side: messages, catalogs, states, the writer; names nothing of HTTP
//! - [`output`]: where messages go: stdout, files, the state file, text for people
//! - `user_error`: the messages of errors for users
//! - [`record`], [`json`], [`timestamp`]: one record, JSON text, dates; pure
//! - `files`: bounded reads, atomic writes
//! - `shutdown`: signals
//! - [`panic_hook`], [`secret`], `suggest`, `buffer_pool`: small helpers
//!
//! Only the thread of `airbyte::emit` writes to stdout, through a sink of `output`. Adding a stream takes one schema
//! file and one row of the table.

pub mod airbyte;
mod app;
mod buffer_pool;
pub mod cart;
mod cli;
mod commands;
mod config;
mod files;
pub mod http;
pub mod json;
pub mod output;
pub mod panic_hook;
mod raw_config;
pub mod record;
pub mod record_options;
pub mod secret;
mod shutdown;
mod suggest;
pub mod sync;
pub mod timestamp;
mod user_error;

pub use app::run;
pub use cart::streams;
pub use cli::command_line;
pub use commands::completions::script as completion_script;
