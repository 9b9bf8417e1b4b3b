//! Reads files that the command line or the environment names, up to a size and within a time. What is in them is for
//! others.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// Time to wait for a pipe or device. A command that writes to a pipe, such as one that fetches a secret, takes
/// seconds; a pipe that nothing writes to never ends.
const PIPE_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads a file of at most `most` bytes.
///
/// # Errors
/// A clause that follows the file's name.
pub(crate) fn read(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let metadata = std::fs::metadata(path).map_err(|error| clause(&error))?;
    if metadata.is_dir() {
        return Err("is a directory".to_owned());
    }
    if metadata.len() > most {
        return Err(too_large(most));
    }
    if metadata.is_file() {
        return bounded(path, most);
    }
    // Opening a pipe waits for its other side, and nothing but the end of the process ends that wait.
    let (done, outcome) = mpsc::channel();
    let owned = path.to_owned();
    std::thread::spawn(move || done.send(bounded(&owned, most)));
    outcome.recv_timeout(PIPE_TIMEOUT).unwrap_or_else(|_| {
        Err(format!("is a pipe or device that did not end within {} seconds", PIPE_TIMEOUT.as_secs()))
    })
}

fn bounded(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|error| clause(&error))?;
    // Room for all of it at once: a buffer that grows would hold a large file twice.
    let size = file.metadata().map_or(0, |metadata| metadata.len().min(most));
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0).saturating_add(1));
    // The size may not be known beforehand, or be another by now.
    file.take(most + 1).read_to_end(&mut bytes).map_err(|error| clause(&error))?;
    if bytes.len() as u64 > most { Err(too_large(most)) } else { Ok(bytes) }
}

fn too_large(most: u64) -> String {
    format!("is larger than {} MiB", most >> 20)
}

fn clause(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "does not exist".to_owned(),
        ErrorKind::PermissionDenied => "may not be read by this user".to_owned(),
        _ => format!("cannot be read ({error})"),
    }
}
