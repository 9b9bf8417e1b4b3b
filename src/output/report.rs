//! The sink of `read --dry-run`: stdout gets the report and nothing else; messages are said in words on stderr.

use std::io::Write;

use super::words::Words;
use crate::airbyte::heard::Heard;
use crate::airbyte::{Sink, Unwritten};

/// What messages begin with; a report begins otherwise.
const MESSAGE: &[u8] = b"{\"type\":";

/// Writes reports to `out`.
pub(super) struct Report<W> {
    pub(super) out: W,
    pub(super) words: Words,
}

impl<W: Write + Send> Sink for Report<W> {
    fn take(&mut self, lines: &[u8]) -> Result<(), Unwritten> {
        if !lines.starts_with(MESSAGE) {
            return self.out.write_all(lines).map_err(Unwritten::stdout);
        }
        if let Some(heard) = Heard::parse(lines) {
            self.words.tell(&heard);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Unwritten> {
        self.out.flush().map_err(Unwritten::stdout)
    }
}
