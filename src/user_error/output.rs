//! Errors of the output, and user errors as TRACE messages.

use super::UserError;
use crate::airbyte::TraceError;
use crate::airbyte::message::Descriptor;
use crate::output::OutputError;

impl From<OutputError> for UserError {
    fn from(error: OutputError) -> Self {
        match error {
            OutputError::SameFile { option, other, path } => {
                Self::same_file(option, other, &path.display().to_string())
            }
            OutputError::FolderNeedsRecordFormat => Self::output_needs_record_format(),
            OutputError::CsvNeedsOneStream { selected } => Self::csv_needs_one_stream(selected),
            OutputError::FolderNamedAsFile { path, stream, extension } => {
                Self::output_must_be_directory(&path.display().to_string(), &format!("{stream}.{extension}"))
            }
            OutputError::FolderBusy(path) => Self::busy_folder(&path.display().to_string()),
            OutputError::Folder(path, error) => Self::unusable_folder(&path.display().to_string(), &error),
            OutputError::StateFileBusy(path) => Self::busy_state(&path.display().to_string()),
            OutputError::StateFile(path, reason) => Self::state_out(&path.display().to_string(), &reason),
            OutputError::Summary(path, reason) => Self::summary_file(&path.display().to_string(), &reason),
        }
    }
}

impl UserError {
    /// Returns the content of a TRACE error; `stream` is the stream that it ended.
    pub(crate) fn into_trace(self, stream: Option<&str>) -> TraceError {
        TraceError {
            message: self.message,
            internal_message: self.internal,
            failure_type: self.kind,
            stream_descriptor: stream.map(|name| Descriptor { name: name.to_owned() }),
            is_interruption: false,
        }
    }
}
