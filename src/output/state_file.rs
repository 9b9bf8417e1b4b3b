//! The file of states that `--state-out` names: always whole, and never ahead of the rows.
//!
//! A thread of its own writes it, so that a slow disk slows no row: whenever states are newer than the
//! file, it first brings to the disk what they cover, then puts a whole new file in the place of the old
//! one. What comes meanwhile goes out together with the next. Nothing here knows what a state means.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::airbyte::Unwritten;
use crate::airbyte::message::{Descriptor, StreamState};
use crate::airbyte::state;
use crate::files;

/// The shortest time between two files. A sync that reads a hundred pages a second makes as many states;
/// four files a second cost next to nothing, and a kill costs a quarter of a second of reading again.
const PAUSE: Duration = Duration::from_millis(250);

/// The file, kept up to date.
#[derive(Debug)]
pub(crate) struct StateFile {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
}

#[derive(Debug, Default)]
struct Shared {
    states: Mutex<States>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct States {
    /// Names and states, in the order in which the names first came.
    list: Vec<(String, Box<RawValue>)>,
    /// Files that hold rows which the states cover, not known to be on the disk.
    rows: Vec<Arc<File>>,
    /// Whether the file is older than `list`.
    is_newer: bool,
    ended: bool,
    fault: Option<Unwritten>,
}

/// What a STATE line holds.
#[derive(Deserialize)]
struct Line<'a> {
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

impl StateFile {
    /// Begins with the states that were handed in. The file is not touched before a state is newer, but
    /// that it can be written is tried.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub(crate) fn open(path: &Path, given: &[state::StreamState]) -> Result<Self, String> {
        let target = files::check_writable(path)?;
        let path = target.path().to_owned();
        // Nothing is newer than what was handed in, if that is what lies there.
        let mut states = States { is_newer: !path.exists(), ..States::default() };
        for state in given {
            states.list.push((
                state.name.clone(),
                serde_json::value::to_raw_value(&state.state).map_err(|error| error.to_string())?,
            ));
        }
        let shared = Arc::new(Shared { states: Mutex::new(states), changed: Condvar::new() });
        let thread = std::thread::Builder::new().name("state-file".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.keep(&target)
        });
        let thread = thread.map_err(|error| error.to_string())?;
        Ok(Self { shared, thread: Some(thread), path })
    }

    /// Takes note of a STATE line whose rows were written; `rows` gives the file that holds a stream's.
    ///
    /// # Errors
    /// [`Unwritten`] if an earlier state could not be written.
    pub(crate) fn note<'f>(
        &self,
        line: &[u8],
        rows: impl FnOnce(&str) -> Option<&'f Arc<File>>,
    ) -> Result<(), Unwritten> {
        let parsed = serde_json::from_slice::<Line<'_>>(line);
        let Ok(Line { state: Body { stream: Stream { stream_descriptor: Name { name }, stream_state } } }) = parsed
        else {
            return Err(self.unwritten(io::Error::other("a state that cannot be read")));
        };
        let rows = rows(&name);
        let mut states = self.shared.lock();
        if let Some(fault) = states.fault.take() {
            return Err(fault);
        }
        match states.list.iter_mut().find(|(known, _)| *known == name) {
            Some((_, state)) => *state = stream_state.to_owned(),
            None => states.list.push((name, stream_state.to_owned())),
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
    /// [`Unwritten`]
    pub(crate) fn finish(&mut self) -> Result<(), Unwritten> {
        self.shared.lock().ended = true;
        self.shared.changed.notify_one();
        let ended = self.thread.take().is_none_or(|thread| thread.join().is_ok());
        match self.shared.lock().fault.take() {
            Some(fault) => Err(fault),
            None if ended => Ok(()),
            None => Err(self.unwritten(io::Error::other("its writer panicked"))),
        }
    }

    fn unwritten(&self, error: io::Error) -> Unwritten {
        unwritten(&self.path, error)
    }
}

fn unwritten(path: &Path, error: io::Error) -> Unwritten {
    Unwritten { what: format!("the state file `{}`", path.display()), error }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, States> {
        // Every change to it is complete when the lock is given back.
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes until the end, or until it cannot.
    fn keep(&self, target: &files::Target) {
        loop {
            let mut states = self.lock();
            while !states.is_newer && !states.ended {
                states = self.changed.wait(states).unwrap_or_else(PoisonError::into_inner);
            }
            if !states.is_newer {
                return;
            }
            states.is_newer = false;
            let text = text(&states.list);
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

/// The list as `--state` takes it, a stream a line.
fn text(list: &[(String, Box<RawValue>)]) -> Vec<u8> {
    let mut text = b"[".to_vec();
    for (index, (name, state)) in list.iter().enumerate() {
        let stream = StreamState { stream_descriptor: Descriptor { name }, stream_state: state };
        text.extend_from_slice(if index == 0 { b"\n" } else { b",\n" });
        text.extend_from_slice(br#"{"type":"STREAM","stream":"#);
        text.extend_from_slice(&serde_json::to_vec(&stream).unwrap_or_default());
        text.push(b'}');
    }
    text.extend_from_slice(b"\n]\n");
    text
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::airbyte::message::state_line;

    fn line(name: &str, state: &str) -> Vec<u8> {
        state_line(name, &RawValue::from_string(state.to_owned()).unwrap(), 1)
    }

    #[test]
    fn the_last_state_of_each_stream_is_kept_with_those_that_were_handed_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let given = [("orders", json!({"updated_at": "2021-01-01T00:00:00Z"})), ("pages", json!({"x": 1}))]
            .map(|(name, state)| state::StreamState { name: name.to_owned(), state });
        let mut file = StateFile::open(&path, &given).unwrap();
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
        assert_eq!(state::parse(text.as_bytes()).unwrap().len(), 3, "it is what `--state` takes");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn no_state_leaves_the_file_as_it_is_and_none_makes_an_empty_list() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        fs::write(&path, "[ ]").unwrap();
        StateFile::open(&path, &[]).unwrap().finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "[ ]");
        let path = folder.path().join("new.json");
        StateFile::open(&path, &[]).unwrap().finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "[\n]\n");
    }

    #[test]
    fn a_link_stays_one_and_the_mode_of_the_file_stays_too() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.json"), folder.path().join("link.json"));
        fs::write(&real, "[]").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let mut file = StateFile::open(&link, &[]).unwrap();
        file.note(&line("orders", "{}"), |_| None).unwrap();
        file.finish().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read_to_string(&real).unwrap().contains("orders"));
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_told_at_once_or_with_the_next_state() {
        let folder = tempfile::tempdir().unwrap();
        assert!(StateFile::open(&folder.path().join("none/state.json"), &[]).is_err());
        assert!(StateFile::open(folder.path(), &[]).is_err());
        let inside = folder.path().join("inside");
        fs::create_dir(&inside).unwrap();
        let mut file = StateFile::open(&inside.join("state.json"), &[]).unwrap();
        // Wait for the first one, which the folder still takes, so that the next meets no folder.
        while !inside.join("state.json").exists() {
            std::thread::yield_now();
        }
        fs::remove_dir_all(&inside).unwrap();
        file.note(&line("orders", "{}"), |_| None).unwrap();
        let told = file.finish().unwrap_err().to_string();
        assert!(told.starts_with("the state file `") && told.contains("state.json` cannot be written"), "{told}");
    }
}
