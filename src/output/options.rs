//! Options of the output, and how they can be wrong.

use std::io;
use std::path::PathBuf;

use super::output_dir;
use crate::airbyte::ConfiguredCatalog;
use crate::files::UnwritableFile;

/// The format of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// Messages of the Airbyte protocol.
    #[default]
    Airbyte,
    /// Records, one JSON object per line.
    Jsonl,
    /// Records, as comma-separated values.
    Csv,
}

impl Format {
    /// Returns the extension of file names.
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Airbyte => "airbyte",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
        }
    }
}

/// Where the output of a read goes.
#[derive(Clone, Debug, Default)]
pub(crate) struct OutputOptions {
    /// The file for the state.
    pub state_out: Option<PathBuf>,
    /// The format.
    pub format: Format,
    /// The folder for files of records.
    pub folder: Option<PathBuf>,
    /// The file for the summary of the run.
    pub summary: Option<PathBuf>,
    /// True if only warnings and errors are printed on stderr.
    pub quiet: bool,
    /// True if an estimate is printed and no row is read.
    pub dry_run: bool,
}

impl OutputOptions {
    /// Checks that format and folder fit together and fit the selected streams.
    pub(crate) fn check(&self, catalog: &ConfiguredCatalog) -> Result<(), OutputError> {
        match (self.format, &self.folder) {
            (Format::Airbyte, Some(_)) => Err(OutputError::FolderNeedsRecordFormat),
            (Format::Csv, None) if catalog.streams.len() > 1 => {
                Err(OutputError::CsvNeedsOneStream { selected: catalog.streams.len() })
            }
            (format, Some(path)) if output_dir::is_named_as_file(path) && !path.exists() => {
                let stream = catalog.streams.first().map_or("STREAM", |configured| configured.stream.name.as_str());
                let stream = stream.to_owned();
                Err(OutputError::FolderNamedAsFile { path: path.clone(), stream, extension: format.extension() })
            }
            _ => Ok(()),
        }
    }
}

/// Why the output cannot be used, found before anything is read.
#[derive(Debug)]
pub(crate) enum OutputError {
    /// Two options name the same file.
    SameFile {
        /// The option that would overwrite it.
        option: &'static str,
        /// The other option, or standard output.
        other: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A folder can only hold records.
    FolderNeedsRecordFormat,
    /// CSV of several streams to one stdout.
    CsvNeedsOneStream {
        /// The number of selected streams.
        selected: usize,
    },
    /// The folder does not exist and has the name of a file.
    FolderNamedAsFile {
        /// The folder.
        path: PathBuf,
        /// A selected stream, for an example.
        stream: String,
        /// The extension of the stream's file.
        extension: &'static str,
    },
    /// Another run writes to the folder.
    FolderBusy(PathBuf),
    /// The folder, or a file in it, failed.
    Folder(PathBuf, io::Error),
    /// Another process uses the state file.
    StateFileBusy(PathBuf),
    /// The state file cannot be written.
    StateFile(PathBuf, UnwritableFile),
    /// The summary cannot be written.
    Summary(PathBuf, UnwritableFile),
}
