//! The file of `--state-out`. It is always complete, and contains no state whose rows are not on the disk.
//!
//! A thread of its own writes it, so that a slow disk delays no rows. When there are newer states, the thread first
//! syncs the rows that they cover to the disk, then replaces the file in one step. States that arrive in the meantime
//! are written with the next file. A pipe or a device gets only the last states, once. Only one process uses a file at
//! a time: it locks `FILE.lock`, which is not removed.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::airbyte::WriteError;
use crate::airbyte::state::StoredState;
use crate::files::{LockError, UnwritableFile, WritableFile};

/// Minimum time between two files. A sync that reads a hundred pages a second produces as many states; four files a
/// second cost almost nothing, and after a kill a quarter of a second is read again.
const PAUSE: Duration = Duration::from_millis(250);

/// A state file that is locked by this process.
#[derive(Debug)]
pub(crate) struct LockedStateFile {
    target: WritableFile,
    /// The operating system releases it when the process ends.
    lock: Option<File>,
}

/// Why a state file cannot be locked.
#[derive(Debug)]
pub(crate) enum ClaimError {
    /// Another process uses it.
    Busy,
    /// It cannot be written.
    Unwritable(UnwritableFile),
}

/// A state file with a thread that keeps it up to date.
#[derive(Debug)]
pub(crate) struct StateFile {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
    _lock: Option<File>,
}

#[derive(Debug, Default)]
struct Shared {
    states: Mutex<PendingStates>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct PendingStates {
    /// Names and states, in the order in which the names first occurred.
    list: Vec<(String, Arc<str>)>,
    /// Files with rows that the states cover and that may not be on the disk yet.
    rows: Vec<Arc<File>>,
    /// True if `list` is newer than the file.
    is_newer: bool,
    ended: bool,
    fault: Option<WriteError>,
}

impl LockedStateFile {
    /// Locks a file and checks that it can be written.
    pub(crate) fn new(path: &Path) -> Result<Self, ClaimError> {
        let target = WritableFile::find(path).map_err(ClaimError::Unwritable)?;
        let lock = target.lock().map_err(|fault| match fault {
            LockError::Busy => ClaimError::Busy,
            LockError::Failed(error) => ClaimError::Unwritable(error.into()),
        })?;
        target.probe().map_err(ClaimError::Unwritable)?;
        Ok(Self { target, lock })
    }

    /// Returns the file's path after links.
    pub(crate) fn path(&self) -> &Path {
        self.target.path()
    }

    /// Returns true if the file exists, with states of earlier runs.
    pub(crate) fn is_there(&self) -> bool {
        self.target.is_regular() && self.path().exists()
    }

    /// Replaces the content of the file with these states.
    pub(crate) fn write(&self, states: &[StoredState]) -> io::Result<()> {
        self.target.write_atomically(&text(states.iter().map(|state| (state.name.as_str(), &*state.state))))
    }
}

impl StateFile {
    /// Starts with these states. The file is not changed before there is a newer one.
    pub(crate) fn start(locked: LockedStateFile, states: impl IntoIterator<Item = StoredState>) -> io::Result<Self> {
        let LockedStateFile { target, lock } = locked;
        let path = target.path().to_owned();
        let list = states.into_iter().map(|state| (state.name, state.state)).collect();
        let is_newer = target.is_regular() && !path.exists();
        let shared = Arc::new(Shared {
            states: Mutex::new(PendingStates { list, is_newer, ..PendingStates::default() }),
            changed: Condvar::new(),
        });
        let thread = std::thread::Builder::new().name("state-file".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.keep(&target)
        })?;
        Ok(Self { shared, thread: Some(thread), path, _lock: lock })
    }

    /// Replaces the state of a stream. `rows` is the file with the rows that it covers.
    ///
    /// # Errors
    /// [`WriteError`] if an earlier state could not be written.
    pub(crate) fn update(&self, stream: &str, state: &str, rows: Option<&Arc<File>>) -> Result<(), WriteError> {
        let mut states = self.shared.lock();
        if let Some(fault) = states.fault.take() {
            return Err(fault);
        }
        match states.list.iter_mut().find(|(known, _)| known == stream) {
            Some((_, known)) => *known = state.into(),
            None => states.list.push((stream.to_owned(), state.into())),
        }
        if let Some(rows) = rows
            && !states.rows.iter().any(|known| Arc::ptr_eq(known, rows))
        {
            states.rows.push(Arc::clone(rows));
        }
        states.is_newer = true;
        drop(states);
        self.shared.changed.notify_one();
        Ok(())
    }

    /// Waits until the last states are on the disk.
    pub(crate) fn finish(&mut self) -> Result<(), WriteError> {
        self.shared.lock().ended = true;
        self.shared.changed.notify_one();
        let ended = self.thread.take().is_none_or(|thread| thread.join().is_ok());
        match self.shared.lock().fault.take() {
            Some(fault) => Err(fault),
            None if ended => Ok(()),
            None => Err(self.unwritten(io::Error::other("its writer panicked"))),
        }
    }

    fn unwritten(&self, error: io::Error) -> WriteError {
        unwritten(&self.path, error)
    }
}

fn unwritten(path: &Path, error: io::Error) -> WriteError {
    WriteError { what: format!("the state file `{}`", path.display()), error }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, PendingStates> {
        // Each change is complete when the lock is released.
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the file until the end, or until an error.
    fn keep(&self, target: &WritableFile) {
        loop {
            let mut states = self.lock();
            while !states.ended && (!states.is_newer || !target.is_regular()) {
                states = self.changed.wait(states).unwrap_or_else(PoisonError::into_inner);
            }
            if !states.is_newer {
                return;
            }
            states.is_newer = false;
            let text = text(states.list.iter().map(|(name, state)| (name.as_str(), &**state)));
            let rows = std::mem::take(&mut states.rows);
            drop(states);
            let written =
                rows.iter().try_for_each(|rows| rows.sync_data()).and_then(|()| target.write_atomically(&text));
            let mut states = self.lock();
            if let Err(error) = written {
                states.fault = Some(unwritten(target.path(), error));
                return;
            }
            let pause = self.changed.wait_timeout_while(states, PAUSE, |states| !states.ended);
            drop(pause.unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// Returns the states as a list that `--state` accepts, one stream per line. Each state is JSON without a line break.
fn text<'s>(states: impl Iterator<Item = (&'s str, &'s str)> + Clone) -> Vec<u8> {
    /// The length of a line without name and state, and a little more.
    const AROUND: usize = 100;
    // Allocated at once: a growing buffer would hold a large state twice.
    let size = states.clone().map(|(name, state)| name.len() + state.len() + AROUND).sum();
    let mut text = Vec::with_capacity(size);
    text.push(b'[');
    for (index, (name, state)) in states.enumerate() {
        text.extend_from_slice(if index == 0 { b"\n" } else { b",\n" });
        text.extend_from_slice(br#"{"type":"STREAM","stream":{"stream_descriptor":{"name":"#);
        text.extend_from_slice(&serde_json::to_vec(name).unwrap_or_default());
        text.extend_from_slice(br#"},"stream_state":"#);
        text.extend_from_slice(state.as_bytes());
        text.extend_from_slice(b"}}");
    }
    text.extend_from_slice(b"\n]\n");
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::airbyte::state;

    fn open(path: &Path, given: &[(&str, &str)]) -> StateFile {
        let state = |&(name, state): &(&str, &str)| StoredState { name: name.to_owned(), state: state.into() };
        StateFile::start(LockedStateFile::new(path).unwrap(), given.iter().map(state)).unwrap()
    }

    #[test]
    fn the_last_state_of_each_stream_is_kept_with_those_that_were_handed_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let mut file = open(&path, &[("orders", r#"{"updated_at":"2021-01-01T00:00:00Z"}"#), ("pages", r#"{"x":1}"#)]);
        file.update("orders", r#"{"updated_at":"2022-01-01T00:00:00Z"}"#, None).unwrap();
        file.update("customers", r#"{"n":123456789012345678901234567890}"#, None).unwrap();
        file.update("orders", r#"{"updated_at":"2023-01-01T00:00:00Z"}"#, None).unwrap();
        file.finish().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "[\n\
             {\"type\":\"STREAM\",\"stream\":{\"stream_descriptor\":{\"name\":\"orders\"},\"stream_state\":{\"updated_at\":\"2023-01-01T00:00:00Z\"}}},\n\
             {\"type\":\"STREAM\",\"stream\":{\"stream_descriptor\":{\"name\":\"pages\"},\"stream_state\":{\"x\":1}}},\n\
             {\"type\":\"STREAM\",\"stream\":{\"stream_descriptor\":{\"name\":\"customers\"},\"stream_state\":{\"n\":123456789012345678901234567890}}}\n\
             ]\n"
        );
        assert_eq!(state::parse(text.into_bytes()).unwrap().list.len(), 3, "it is what `--state` takes");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left but its lock");
    }

    #[test]
    fn no_state_leaves_the_file_as_it_is_and_none_makes_an_empty_list() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        fs::write(&path, "[ ]").unwrap();
        open(&path, &[]).finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "[ ]");
        let path = folder.path().join("new.json");
        open(&path, &[]).finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "[\n]\n");
    }

    #[test]
    fn one_process_has_a_state_file_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let mut file = open(&path, &[]);
        assert!(matches!(LockedStateFile::new(&path), Err(ClaimError::Busy)));
        file.finish().unwrap();
        drop(file);
        assert!(LockedStateFile::new(&path).unwrap().is_there());
    }

    #[test]
    fn a_file_that_cannot_be_written_is_reported_at_once_or_with_the_next_state() {
        let folder = tempfile::tempdir().unwrap();
        assert!(LockedStateFile::new(&folder.path().join("none/state.json")).is_err());
        assert!(LockedStateFile::new(folder.path()).is_err());
        let inside = folder.path().join("inside");
        fs::create_dir(&inside).unwrap();
        let mut file = open(&inside.join("state.json"), &[]);
        // Wait until the first file is written, so that only the next one fails for lack of the folder.
        while !inside.join("state.json").exists() {
            std::thread::yield_now();
        }
        fs::remove_dir_all(&inside).unwrap();
        file.update("orders", "{}", None).unwrap();
        let reported = file.finish().unwrap_err().to_string();
        assert!(
            reported.starts_with("the state file `") && reported.contains("state.json` cannot be written"),
            "{reported}"
        );
    }
}
