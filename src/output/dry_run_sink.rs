//! The sink of `read --dry-run`: stdout gets the estimate and nothing else; messages are text on stderr.

use std::io::Write;

use super::console::Console;
use crate::airbyte::{Message, RecordBatch, Sink, WriteError};

/// Writes text to `out` and messages to the console.
pub(super) struct DryRunSink<W> {
    pub(super) out: W,
    pub(super) console: Console,
}

impl<W: Write + Send> Sink for DryRunSink<W> {
    fn records(&mut self, _: RecordBatch) -> Result<(), WriteError> {
        Ok(())
    }

    fn message(&mut self, message: &Message) -> Result<(), WriteError> {
        self.console.print(message);
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), WriteError> {
        self.out.write_all(text.as_bytes()).map_err(WriteError::stdout)
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        self.out.flush().map_err(WriteError::stdout)
    }
}
