//! The protocol side: the part of the Airbyte protocol (release 0.18) that a source speaks.
//!
//! Outbound messages are written only, inbound files are read only. Nothing in this folder names
//! HTTP, the store's API or a stream.

pub mod catalog;
pub mod emit;
mod input_error;
mod line_batch;
pub mod message;
pub mod parsed_message;
pub mod state;

pub use catalog::{ConfiguredCatalog, ConfiguredStream, SyncMode};
pub use emit::{Closed, EmittedError, Emitter, Passthrough, Sink, WriteError};
pub use line_batch::LineBatch;
pub use message::{FailureType, Level, Message, StreamStatus};
