//! The file of states that `--state-out` names: always whole, and never ahead of the rows.
//!
//! A thread of its own writes it, so that a slow disk slows no row: whenever states are newer than the
//! file, it first brings to the disk what they cover, then puts a whole new file in the place of the old
//! one. What comes meanwhile goes out together with the next. A pipe or a device gets the last states, once.
//! One process has a file at a time: `FILE.lock` is for that and stays. Nothing here knows what a state means.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::airbyte::WriteError;
use crate::airbyte::state::StoredState;
use crate::files::{LockError, WritableFile};

/// The shortest time between two files. A sync that reads a hundred pages a second makes as many states;
/// four files a second cost next to nothing, and a kill costs a quarter of a second of reading again.
const PAUSE: Duration = Duration::from_millis(250);

/// A state file that this process has to itself.
#[derive(Debug)]
pub(crate) struct LockedStateFile {
    target: WritableFile,
    /// Given back when the process ends, however it ends.
    lock: Option<File>,
}

/// Why a state file cannot be had.
#[derive(Debug)]
pub(crate) enum ClaimError {
    /// Another process has it.
    Busy,
    /// A clause that says why it cannot be written.
    Unwritable(String),
}

/// The file, kept up to date.
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
    /// Names and states, in the order in which the names first came.
    list: Vec<(String, Arc<str>)>,
    /// Files that hold rows which the states cover, not known to be on the disk.
    rows: Vec<Arc<File>>,
    /// Whether the file is older than `list`.
    is_newer: bool,
    ended: bool,
    fault: Option<WriteError>,
}

/// What a STATE line holds.
#[derive(Deserialize)]
struct StateLine<'a> {
    #[serde(borrow)]
    state: Body<'a>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    stream: Stream<'a>,
}

#[derive(Deserialize)]
struct Stream<'a> {
    stream_descriptor: Name,
    #[serde(borrow)]
    stream_state: &'a RawValue,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

impl LockedStateFile {
    /// Takes a file for this process, and tries whether it can be written.
    ///
    /// # Errors
    /// [`ClaimError`]
    pub(crate) fn new(path: &Path) -> Result<Self, ClaimError> {
        let target = WritableFile::find(path).map_err(ClaimError::Unwritable)?;
        let lock = target.lock().map_err(|fault| match fault {
            LockError::Busy => ClaimError::Busy,
            LockError::Failed(error) => ClaimError::Unwritable(error.to_string()),
        })?;
        target.probe().map_err(ClaimError::Unwritable)?;
        Ok(Self { target, lock })
    }

    /// Returns the file's path, links followed.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        self.target.path()
    }

    /// Returns true if there is a file with states of earlier runs.
    #[must_use]
    pub(crate) fn is_there(&self) -> bool {
        self.target.is_regular() && self.path().exists()
    }

    /// Replaces the file by these states.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub(crate) fn write(&self, states: &[StoredState]) -> io::Result<()> {
        self.target.write_atomically(&text(states.iter().map(|state| (state.name.as_str(), &*state.state))))
    }
}

impl StateFile {
    /// Keeps a file, beginning with these states. It is not touched before a state is newer.
    ///
    /// # Errors
    /// Why not.
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

    /// Takes note of a STATE line whose rows were written; `rows` gives the file that holds a stream's.
    ///
    /// # Errors
    /// [`WriteError`] if an earlier state could not be written.
    pub(crate) fn note<'f>(
        &self,
        line: &[u8],
        rows: impl FnOnce(&str) -> Option<&'f Arc<File>>,
    ) -> Result<(), WriteError> {
        let parsed = serde_json::from_slice::<StateLine<'_>>(line);
        let Ok(StateLine { state: Body { stream: Stream { stream_descriptor: Name { name }, stream_state } } }) =
            parsed
        else {
            return Err(self.unwritten(io::Error::other("a state that cannot be read")));
        };
        let rows = rows(&name);
        let mut states = self.shared.lock();
        if let Some(fault) = states.fault.take() {
            return Err(fault);
        }
        match states.list.iter_mut().find(|(known, _)| *known == name) {
            Some((_, state)) => *state = stream_state.get().into(),
            None => states.list.push((name, stream_state.get().into())),
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
    ///
    /// # Errors
    /// [`WriteError`]
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
        // Every change to it is complete when the lock is given back.
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes until the end, or until it cannot.
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

/// The list as `--state` takes it, a stream a line; each state is JSON without a line break.
fn text<'s>(states: impl Iterator<Item = (&'s str, &'s str)> + Clone) -> Vec<u8> {
    /// What a line has beside the name and the state, and a little more.
    const AROUND: usize = 100;
    // Room for all of it at once: a buffer that grows would hold a large state twice.
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
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use std::fs;

    use super::*;
    use crate::airbyte::message::state_line;
    use crate::airbyte::state;

    fn line(name: &str, state: &str) -> Vec<u8> {
        state_line(name, &RawValue::from_string(state.to_owned()).unwrap(), 1)
    }

    fn open(path: &Path, given: &[(&str, &str)]) -> StateFile {
        let state = |&(name, state): &(&str, &str)| StoredState { name: name.to_owned(), state: state.into() };
        StateFile::start(LockedStateFile::new(path).unwrap(), given.iter().map(state)).unwrap()
    }

    #[test]
    fn the_last_state_of_each_stream_is_kept_with_those_that_were_handed_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let mut file = open(&path, &[("orders", r#"{"updated_at":"2021-01-01T00:00:00Z"}"#), ("pages", r#"{"x":1}"#)]);
        file.note(&line("orders", r#"{"updated_at":"2022-01-01T00:00:00Z"}"#), |_| None).unwrap();
        file.note(&line("customers", r#"{"n":123456789012345678901234567890}"#), |_| None).unwrap();
        file.note(&line("orders", r#"{"updated_at":"2023-01-01T00:00:00Z"}"#), |_| None).unwrap();
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
        // Wait for the first one, which the folder still takes, so that the next meets no folder.
        while !inside.join("state.json").exists() {
            std::thread::yield_now();
        }
        fs::remove_dir_all(&inside).unwrap();
        file.note(&line("orders", "{}"), |_| None).unwrap();
        let reported = file.finish().unwrap_err().to_string();
        assert!(
            reported.starts_with("the state file `") && reported.contains("state.json` cannot be written"),
            "{reported}"
        );
    }
}
