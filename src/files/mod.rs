//! Writes files: `--state-out`, `--summary`, `init`, `state`. A file is replaced completely or not at all, and links
//! are followed. Devices and pipes are written to directly; other targets are refused before the first request.
//!
//! Not `tempfile`: a temporary file that a killed process left is found again by its name and removed, and a name with
//! random characters could be that of a user's file.
//!
//! ```text
//! files::check_writable(path)?             before the first request; says why not in a clause
//!     .write_atomically(bytes)?            as often as needed
//! ```

pub(crate) mod input;

use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

/// Time to wait for the reader of a pipe, the same as for pipes that are read: a program that is started together with
/// this one takes a moment, and one that is never started would be waited for without end.
const PIPE_TIMEOUT: Duration = Duration::from_secs(30);

/// Links that are followed one after the other; what Linux follows.
const MAX_LINKS: usize = 40;

/// Temporary files of one name and process that may be there at once. More than a few are the work of kills on a
/// file system without locks.
const MAX_TEMPORARY: usize = 1000;

/// Suffix of the names of temporary files.
const TEMPORARY: &str = ".tmp";

/// A file that can be written.
#[derive(Debug)]
pub(crate) struct WritableFile {
    /// Path with links followed.
    path: PathBuf,
    /// The open device or pipe, if it is one.
    special: Option<File>,
}

/// Reason why a lock cannot be acquired.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another process holds it.
    Busy,
    /// The lock file cannot be opened or locked.
    Failed(io::Error),
}

/// Finds the file that a path names and tries whether it can be replaced; a file that is there is replaced by a
/// copy of itself. A device or a pipe is opened.
///
/// # Errors
/// A clause that follows the file's name: "is a directory".
pub(crate) fn check_writable(path: &Path) -> Result<WritableFile, String> {
    let target = WritableFile::find(path)?;
    target.probe()?;
    Ok(target)
}

/// Takes a lock that the operating system gives back when the process ends, however it ends. The file of the lock
/// stays. A file system without locks gives every process the lock: that only one runs is left to the user.
pub(crate) fn lock(path: &Path) -> Result<File, LockError> {
    if let Ok(found) = fs::metadata(path)
        && !found.is_file()
    {
        return Err(LockError::Failed(io::Error::other("its lock file is not a regular file")));
    }
    let file = File::options().create(true).append(true).open(path).map_err(LockError::Failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LockError::Busy),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(error)) => Err(LockError::Failed(error)),
    }
}

/// Returns true if both paths name one file, through links as well. A file that is not there yet is the same as
/// one that would be made in its place.
pub(crate) fn are_same(one: &Path, other: &Path) -> bool {
    if let (Some(one), Some(other)) = (identity_of(one), identity_of(other)) {
        return one == other;
    }
    matches!((resolved(one), resolved(other)), (Ok(one), Ok(other)) if one == other)
}

/// Returns the identity of the file at a path, links followed; `None` if there is no file.
pub(crate) fn identity_of(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().and_then(|found| identity(&found))
}

/// Returns device and inode, which no other file has while this one exists.
#[cfg(unix)]
pub(crate) fn identity(found: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    Some((found.dev(), found.ino()))
}

/// Returns `None`: files have no inode on this platform.
#[cfg(not(unix))]
pub(crate) fn identity(_: &Metadata) -> Option<(u64, u64)> {
    None
}

impl WritableFile {
    /// Finds the file that a path names, and opens it if it is a device or a pipe.
    ///
    /// # Errors
    /// A clause that follows the file's name.
    pub(crate) fn find(path: &Path) -> Result<Self, String> {
        let found = match fs::metadata(path) {
            Ok(found) => Some(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.to_string()),
        };
        let ends_as_folder = path.as_os_str().as_encoded_bytes().last().is_none_or(|&byte| byte == b'/');
        match found {
            Some(found) if found.is_dir() => Err("is a directory".to_owned()),
            Some(found) if !found.is_file() => {
                if let Some(clause) = refusal_for(&found) {
                    return Err(clause.to_owned());
                }
                let special = Some(open_within(path, PIPE_TIMEOUT)?);
                Ok(Self { path: path.to_owned(), special })
            }
            None if ends_as_folder => Err("is the name of a directory".to_owned()),
            _ => {
                let path = resolved(path).map_err(|error| match error.kind() {
                    io::ErrorKind::NotFound => "its folder does not exist".to_owned(),
                    _ => error.to_string(),
                })?;
                Ok(Self { path, special: None })
            }
        }
    }

    /// Returns the file's path, links followed.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns true if it is a regular file, or will be one.
    pub(crate) fn is_regular(&self) -> bool {
        self.special.is_none()
    }

    /// Takes the lock `FILE.lock`. A device or a pipe has none.
    pub(crate) fn lock(&self) -> Result<Option<File>, LockError> {
        if !self.is_regular() {
            return Ok(None);
        }
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        lock(&self.path.with_file_name(name)).map(Some)
    }

    /// Tries whether the file can be replaced, and removes the temporary files that killed processes left.
    ///
    /// # Errors
    /// A clause that follows the file's name.
    pub(crate) fn probe(&self) -> Result<(), String> {
        if !self.is_regular() {
            return Ok(());
        }
        self.sweep();
        let tried = match fs::metadata(&self.path) {
            Ok(old) => self.replace_file(&old, |file| {
                io::copy(&mut File::open(&self.path)?, file)?;
                // So that nobody can tell the copy from what it is one of.
                old.modified().map_or(Ok(()), |modified| file.set_modified(modified))
            }),
            Err(_) => self.temporary(false).and_then(|(_, temporary_path)| fs::remove_file(temporary_path)),
        };
        tried.map_err(|error| self.clause(&error))
    }

    /// Replaces the file: a new one is made beside it, brought to the disk and given its name, so that a crash at
    /// any moment leaves the old one or the new one. Owner and mode stay. A device or a pipe is written to as it is.
    pub(crate) fn write_atomically(&self, bytes: &[u8]) -> io::Result<()> {
        if let Some(mut special) = self.special.as_ref() {
            return special.write_all(bytes);
        }
        let write = |file: &mut File| file.write_all(bytes);
        match fs::metadata(&self.path) {
            Ok(old) => self.replace_file(&old, write),
            Err(_) => self.put(false, true, write),
        }
    }

    /// Writes a file that only its owner can read. With `replaces` it may take the place of one that is there.
    ///
    /// # Errors
    /// Why it cannot be written; `AlreadyExists` if a file is there that must not be replaced.
    pub(crate) fn write_private(&self, bytes: &[u8], replaces: bool) -> io::Result<()> {
        self.put(true, replaces, |file| file.write_all(bytes))
    }

    /// Replaces a file by a new one with the same owner and mode.
    fn replace_file(&self, old: &Metadata, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
        self.put(true, true, |file| {
            keep_owner(file, old);
            file.set_permissions(old.permissions())?;
            write(file)
        })
    }

    /// Makes a new file and gives it the name.
    fn put(&self, is_private: bool, replaces: bool, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
        let (mut file, temporary_path) = self.temporary(is_private)?;
        let written =
            write(&mut file).and_then(|()| file.sync_all()).and_then(|()| self.name(&temporary_path, replaces));
        if written.is_err() {
            // What it fails with is not what is to be reported.
            let _removed = fs::remove_file(&temporary_path);
            return written;
        }
        sync_folder(&self.path)
    }

    fn name(&self, temporary_path: &Path, replaces: bool) -> io::Result<()> {
        if replaces {
            return fs::rename(temporary_path, &self.path);
        }
        match fs::hard_link(temporary_path, &self.path) {
            Ok(()) => fs::remove_file(temporary_path),
            // Some file systems know no links; then a look must do.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists && self.path.symlink_metadata().is_err() => {
                fs::rename(temporary_path, &self.path)
            }
            Err(error) => Err(error),
        }
    }

    /// Makes an empty file in the same folder, since only within one file system is a change of name one step. It
    /// is locked while it is written, by which [`Self::sweep`] knows that it is not left over.
    fn temporary(&self, is_private: bool) -> io::Result<(File, PathBuf)> {
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        if is_private {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        let (name, process) = (self.path.file_name().unwrap_or_default().to_string_lossy(), std::process::id());
        let mut failed = io::ErrorKind::AlreadyExists.into();
        for number in 0..MAX_TEMPORARY {
            let temporary_path = self.path.with_file_name(format!(".{name}.{process}-{number}{TEMPORARY}"));
            match options.open(&temporary_path) {
                Ok(file) => {
                    // Without locks a file that a kill leaves stays, and nothing else is lost.
                    let _locked = file.try_lock();
                    return Ok((file, temporary_path));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => failed = error,
                Err(error) => return Err(error),
            }
        }
        Err(failed)
    }

    /// Removes the temporary files of this file that no process writes any more. What cannot be removed stays: it
    /// is in nobody's way.
    fn sweep(&self) {
        let start = format!(".{}.", self.path.file_name().unwrap_or_default().to_string_lossy());
        let is_left = |name: &str| {
            let middle = name.strip_prefix(&start).and_then(|rest| rest.strip_suffix(TEMPORARY));
            middle.is_some_and(|middle| {
                !middle.is_empty() && middle.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
            })
        };
        for entry in fs::read_dir(folder_of(&self.path)).into_iter().flatten().flatten() {
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            if is_file
                && is_left(&entry.file_name().to_string_lossy())
                && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok())
            {
                let _removed = fs::remove_file(entry.path());
            }
        }
    }

    /// Says why the file cannot be replaced, and what to do where that is not plain.
    fn clause(&self, error: &io::Error) -> String {
        use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
        let folder = folder_of(&self.path).display();
        match error.kind() {
            ResourceBusy => {
                format!("the file itself is mounted, so it cannot be replaced; mount its folder `{folder}` instead")
            }
            PermissionDenied | ReadOnlyFilesystem if self.path.exists() => format!(
                "no file can be created in its folder `{folder}`: {error}; if the file itself is mounted, mount its folder instead"
            ),
            _ => error.to_string(),
        }
    }
}

/// Brings the name of a file to the disk.
///
/// # Errors
/// Why not. Where folders cannot be opened, as on Windows, there is nothing to do.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder_of(path))?.sync_all() } else { Ok(()) }
}

/// Returns the folder that a file is in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Follows the links of a path to a file that is there, or to where it would be made.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => path = folder_of(&path).join(fs::read_link(&path)?),
            Ok(_) => return fs::canonicalize(&path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let name = path.file_name().ok_or(error)?;
                return Ok(fs::canonicalize(folder_of(&path))?.join(name));
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many links"))
}

/// Says why something that is neither a file nor a folder is not written to, if it is not.
#[cfg(unix)]
fn refusal_for(found: &Metadata) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt as _;
    let kind = found.file_type();
    if kind.is_socket() {
        return Some("is a socket");
    }
    kind.is_block_device().then_some("is a disk, which would be overwritten")
}

/// Refuses everything that is not a regular file: other kinds are not known on this platform.
#[cfg(not(unix))]
fn refusal_for(_: &Metadata) -> Option<&'static str> {
    Some("is not a regular file")
}

/// Opens a device or a pipe. That of a pipe waits for its other side, and nothing but the end of the process ends
/// that wait.
fn open_within(path: &Path, timeout: Duration) -> Result<File, String> {
    let (done, outcome) = mpsc::channel();
    let owned = path.to_owned();
    std::thread::spawn(move || done.send(File::options().write(true).open(owned)));
    match outcome.recv_timeout(timeout) {
        Ok(opened) => opened.map_err(|error| error.to_string()),
        Err(_) => {
            Err(format!("is a pipe or device that no program opened for reading within {} seconds", timeout.as_secs()))
        }
    }
}

/// Gives a new file the owner of the old one, where this user may.
#[cfg(unix)]
fn keep_owner(file: &File, old: &Metadata) {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    if file.metadata().is_ok_and(|new| (new.uid(), new.gid()) != (old.uid(), old.gid())) {
        let _kept = fchown(file, Some(old.uid()), Some(old.gid()));
    }
}

/// Files have no owner that could be kept here.
#[cfg(not(unix))]
fn keep_owner(_: &File, _: &Metadata) {}

#[cfg(test)]
mod tests;
