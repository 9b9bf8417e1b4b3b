//! The files that a read writes to, opened by the command and used by the sink.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::csv::Columns;
use super::options::{Format, OutputError, OutputOptions};
use super::output_dir::OutputDir;
use super::state_file::{ClaimError, LockedStateFile, StateFile};
use crate::files;

/// The files of a read.
#[derive(Debug, Default)]
pub(super) struct Destination {
    /// The columns of each stream; empty unless the format is CSV.
    pub columns: HashMap<String, Columns>,
    /// The folder for records.
    pub folder: Option<OutputDir>,
    /// The file for states.
    pub states: Option<StateFile>,
}

/// Passes the destination to the sink. The sink exists first, because errors of these files are reported through it.
#[derive(Clone, Debug, Default)]
pub(crate) struct PendingDestination {
    destination: Arc<Mutex<Option<Destination>>>,
    /// The identity of stdout, if it is a file or a pipe.
    stdout: Option<(u64, u64)>,
}

impl PendingDestination {
    pub(super) fn new(stdout: Option<(u64, u64)>) -> Self {
        Self { stdout, ..Self::default() }
    }

    /// Opens the folder for records and passes it to the sink, with the columns for CSV and the state file.
    /// `is_stream` returns true for the name of a stream.
    pub(crate) fn open(
        &self,
        options: &OutputOptions,
        columns: HashMap<String, Columns>,
        states: Option<StateFile>,
        is_stream: impl Fn(&str) -> bool,
    ) -> Result<(), OutputError> {
        let folder = match &options.folder {
            Some(path) => Some(OutputDir::open(path, options.format, is_stream)?),
            None => None,
        };
        let columns = if options.format == Format::Csv { columns } else { HashMap::new() };
        *self.destination.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Destination { columns, folder, states });
        Ok(())
    }

    /// Checks that the summary is not written to stdout's file or to the folder for records.
    pub(crate) fn check_summary(&self, options: &OutputOptions) -> Result<(), OutputError> {
        let Some(path) = options.summary.as_deref() else { return Ok(()) };
        self.check_not_stdout("`--summary`", path)?;
        let parent = path.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
        let folders = (parent.and_then(files::identity_of), options.folder.as_deref().and_then(files::identity_of));
        match folders {
            (Some(one), Some(other)) if one == other => {
                Err(OutputError::SameFile { option: "`--summary`", other: "`--output`", path: path.to_owned() })
            }
            _ => Ok(()),
        }
    }

    fn check_not_stdout(&self, option: &'static str, path: &Path) -> Result<(), OutputError> {
        match files::identity_of(path) {
            Some(found) if Some(found) == self.stdout => {
                Err(OutputError::SameFile { option, other: "standard output", path: path.to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// Locks the file of `--state-out`.
    pub(crate) fn lock_state_file(&self, path: &Path) -> Result<LockedStateFile, OutputError> {
        self.check_not_stdout("`--state-out`", path)?;
        LockedStateFile::new(path).map_err(|error| match error {
            ClaimError::Busy => OutputError::StateFileBusy(path.to_owned()),
            ClaimError::Unwritable(reason) => OutputError::StateFile(path.to_owned(), reason),
        })
    }

    pub(super) fn take(&self) -> Option<Destination> {
        self.destination.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
