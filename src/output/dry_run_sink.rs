//! The sink of `read --dry-run`: stdout gets the report and nothing else; messages are said in words on stderr.

use std::io::Write;

use super::console::Console;
use crate::airbyte::parsed_message::ParsedMessage;
use crate::airbyte::{Sink, WriteError};

/// What messages begin with; a report begins otherwise.
const MESSAGE: &[u8] = b"{\"type\":";

/// Writes reports to `out`.
pub(super) struct DryRunSink<W> {
    pub(super) out: W,
    pub(super) console: Console,
}

impl<W: Write + Send> Sink for DryRunSink<W> {
    fn take(&mut self, lines: &[u8]) -> Result<(), WriteError> {
        if !lines.starts_with(MESSAGE) {
            return self.out.write_all(lines).map_err(WriteError::stdout);
        }
        if let Some(parsed_message) = ParsedMessage::parse(lines) {
            self.console.print(&parsed_message);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        self.out.flush().map_err(WriteError::stdout)
    }
}
