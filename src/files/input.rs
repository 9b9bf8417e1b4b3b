//! Reads files that the command line or the environment names, with limits on size and time. Does not parse them.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;
use std::str::Utf8Error;
use std::sync::mpsc;
use std::time::Duration;

/// Time to wait for a pipe or device. A command that writes to a pipe, such as one that fetches a secret, takes
/// seconds; a pipe without a writer never ends.
const PIPE_TIMEOUT: Duration = Duration::from_secs(30);

/// The reason why a file cannot be read. Its message is a clause that follows the file's name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("is a directory")]
    Directory,
    /// Contains the limit in bytes.
    #[error("is larger than {} MiB", .0 >> 20)]
    TooLarge(u64),
    /// Contains the time limit.
    #[error("is a pipe or device that did not end within {} seconds", .0.as_secs())]
    Endless(Duration),
    #[error("is not UTF-8 text")]
    NotUtf8(#[from] Utf8Error),
    #[error("does not exist")]
    Missing(#[source] io::Error),
    #[error("may not be read by this user")]
    NotPermitted(#[source] io::Error),
    #[error("cannot be read ({0})")]
    Failed(#[source] io::Error),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::Missing(error),
            ErrorKind::PermissionDenied => Self::NotPermitted(error),
            _ => Self::Failed(error),
        }
    }
}

/// Reads a file of at most `most` bytes. A pipe or a device is read until it ends, for 30 seconds at most.
pub(crate) fn read(path: &Path, most: u64) -> Result<Vec<u8>, ReadError> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(ReadError::Directory);
    }
    if metadata.len() > most {
        return Err(ReadError::TooLarge(most));
    }
    if metadata.is_file() {
        return bounded(path, most);
    }
    // In a thread, because opening a pipe waits for a writer, and this wait cannot be cancelled.
    let (done, outcome) = mpsc::channel();
    let owned = path.to_owned();
    std::thread::spawn(move || done.send(bounded(&owned, most)));
    outcome.recv_timeout(PIPE_TIMEOUT).unwrap_or(Err(ReadError::Endless(PIPE_TIMEOUT)))
}

fn bounded(path: &Path, most: u64) -> Result<Vec<u8>, ReadError> {
    let file = File::open(path)?;
    // Allocated at once: while a buffer grows, a large file is in memory twice.
    let size = file.metadata().map_or(0, |metadata| metadata.len().min(most));
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0).saturating_add(1));
    // The size may be unknown, or may have changed since.
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(ReadError::TooLarge(most)) } else { Ok(bytes) }
}
