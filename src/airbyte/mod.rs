//! The protocol side: the part of the Airbyte protocol (release 0.18) that a source needs.
//!
//! In reading order: [`message`] (the messages), [`emit`] (the thread that writes them) with `line_batch` (its memory),
//! [`catalog`] and [`state`] (the input files). Nothing in this folder names HTTP, the store's API or a stream.

pub mod catalog;
pub mod emit;
mod input_error;
mod line_batch;
pub mod message;
pub mod state;

pub use catalog::{ConfiguredCatalog, ConfiguredStream, SyncMode};
pub use emit::{Closed, Emitter, Passthrough, RecordBatch, Sink, WriteError};
pub use line_batch::LineBatch;
pub use message::{FailureType, Level, Message, StateMessage, StreamStatus, TraceError};
