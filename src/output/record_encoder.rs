//! Records without the messages around them: what a batch of lines holds, as JSON lines or as csv.
//! Nothing here knows where they go.

use std::collections::{HashMap, HashSet};

use super::Format;
use super::csv::Columns;
use crate::airbyte::message::record_parts;
use crate::json::NotJson;

/// The records of one batch of lines.
#[derive(Debug)]
pub(super) struct EncodedRecords<'r> {
    /// Their stream.
    pub stream: String,
    /// What stands before the first record of the stream, once.
    pub header: &'r [u8],
    /// The records.
    pub rows: &'r [u8],
}

/// Makes bare records.
#[derive(Debug)]
pub(super) struct RecordEncoder {
    format: Format,
    encoded: Vec<u8>,
    header: Vec<u8>,
    /// Streams whose header was made.
    headed: HashSet<String>,
}

impl RecordEncoder {
    /// Nothing yet.
    #[must_use]
    pub(super) fn new(format: Format) -> Self {
        Self { format, encoded: Vec::new(), header: Vec::new(), headed: HashSet::new() }
    }

    /// The stream of a batch of lines, what stands before its first record, and the records. `None` if
    /// the batch holds no record.
    ///
    /// # Errors
    /// [`NotJson`] if a record is none, which cannot be: it was copied as JSON.
    pub(super) fn encode(
        &mut self,
        lines: &[u8],
        columns: &mut HashMap<String, Columns>,
    ) -> Result<Option<EncodedRecords<'_>>, NotJson> {
        self.encoded.clear();
        let mut stream = None;
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            let Some((name, data)) = record_parts(line) else { continue };
            let name: &String = stream.get_or_insert_with(|| String::from_utf8_lossy(name).into_owned());
            match columns.get_mut(name).filter(|_| self.format == Format::Csv) {
                Some(columns) => columns.row(data, &mut self.encoded)?,
                None => {
                    self.encoded.extend_from_slice(data);
                    self.encoded.push(b'\n');
                }
            }
        }
        let Some(stream) = stream else { return Ok(None) };
        self.header = self.header(&stream, columns).unwrap_or_default();
        Ok(Some(EncodedRecords { stream, header: &self.header, rows: &self.encoded }))
    }

    /// What stands before the first record of a stream, if it was not asked for before.
    pub(super) fn header(&mut self, stream: &str, columns: &mut HashMap<String, Columns>) -> Option<Vec<u8>> {
        let columns = columns.get(stream)?;
        self.headed.insert(stream.to_owned()).then(|| {
            let mut header = Vec::new();
            columns.header(&mut header);
            header
        })
    }
}
