//! Writes files: `--state-out`, `--summary`, `init`, `state`. A file is replaced completely or not at all, and links
//! are followed. Devices and pipes are written to directly; other targets are refused before the first request.
//!
//! Not `tempfile`: a temporary file that a killed process left is found again by its name and removed, and a name with
//! random characters could be that of a user's file.
//!
//! ```text
//! files::check_writable(path)?             before the first request
//!     .write_atomically(bytes)?            as often as needed
//! ```

pub(crate) mod input;

use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

/// Time to wait until a program opens a pipe for reading; the same as for pipes that are read. A program started
/// together with this one takes a moment, and one that never starts must not block the command.
const PIPE_TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum number of links that are followed in a row: the limit of Linux.
const MAX_LINKS: usize = 40;

/// Maximum number of temporary files of one name and process. On a file system without locks, those of killed
/// processes are not removed, so there may be some.
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

/// The reason why a file cannot be written. Its message is a clause that follows the file's name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnwritableFile {
    #[error("is a directory")]
    Directory,
    #[error("is the name of a directory")]
    DirectoryName,
    #[error("its folder does not exist")]
    NoFolder(#[source] io::Error),
    #[cfg(unix)]
    #[error("is a socket")]
    Socket,
    #[cfg(unix)]
    #[error("is a disk, which would be overwritten")]
    Disk,
    #[error("it is not a regular file")]
    NotRegular,
    #[error("it was created in the meantime")]
    CreatedMeanwhile(#[source] io::Error),
    /// Contains the time limit.
    #[error("is a pipe or device that no program opened for reading within {} seconds", .0.as_secs())]
    NoReader(Duration),
    /// Contains the folder.
    #[error("the file itself is mounted, so it cannot be replaced; mount its folder `{}` instead", .0.display())]
    Mounted(PathBuf, #[source] io::Error),
    /// Contains the folder.
    #[error("no file can be created in its folder `{}`: {}; if the file itself is mounted, mount its folder instead", .0.display(), .1)]
    FolderReadOnly(PathBuf, #[source] io::Error),
    #[error(transparent)]
    Failed(#[from] io::Error),
}

/// Finds the file that a path names and tests whether it can be written: an existing file is replaced by a copy of
/// itself, a device or a pipe is opened.
pub(crate) fn check_writable(path: &Path) -> Result<WritableFile, UnwritableFile> {
    let target = WritableFile::find(path)?;
    target.probe()?;
    Ok(target)
}

/// Locks a file. The operating system releases the lock when the process ends for any reason. The lock file is not
/// removed. On a file system without locks this always succeeds: the user must then run only one process.
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

/// Returns true if both paths name the same file, also through links. The file need not exist.
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
    pub(crate) fn find(path: &Path) -> Result<Self, UnwritableFile> {
        let found = match fs::metadata(path) {
            Ok(found) => Some(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let ends_as_folder = path.as_os_str().as_encoded_bytes().last().is_none_or(|&byte| byte == b'/');
        match found {
            Some(found) if found.is_dir() => Err(UnwritableFile::Directory),
            Some(found) if !found.is_file() => {
                if let Some(refusal) = refusal_for(&found) {
                    return Err(refusal);
                }
                let special = Some(open_within(path, PIPE_TIMEOUT)?);
                Ok(Self { path: path.to_owned(), special })
            }
            None if ends_as_folder => Err(UnwritableFile::DirectoryName),
            _ => {
                let path = resolved(path).map_err(|error| match error.kind() {
                    io::ErrorKind::NotFound => UnwritableFile::NoFolder(error),
                    _ => UnwritableFile::Failed(error),
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

    /// Locks the file `FILE.lock`. Returns `None` for a device or a pipe.
    pub(crate) fn lock(&self) -> Result<Option<File>, LockError> {
        if !self.is_regular() {
            return Ok(None);
        }
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        lock(&self.path.with_file_name(name)).map(Some)
    }

    /// Tests whether the file can be replaced, and removes the temporary files that killed processes left.
    pub(crate) fn probe(&self) -> Result<(), UnwritableFile> {
        if !self.is_regular() {
            return Ok(());
        }
        self.sweep();
        let tried = match fs::metadata(&self.path) {
            Ok(old) => self.replace_file(&old, |file| {
                io::copy(&mut File::open(&self.path)?, file)?;
                // The test must not change the file.
                old.modified().map_or(Ok(()), |modified| file.set_modified(modified))
            }),
            Err(_) => self.temporary(false).and_then(|(_, temporary_path)| fs::remove_file(temporary_path)),
        };
        tried.map_err(|error| self.unwritable(error))
    }

    /// Replaces the file in one step: creates a new file in the same folder, syncs it to the disk and renames it. A
    /// crash at any moment leaves the old file or the new one. Owner and mode stay. A device or a pipe is written to
    /// directly.
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

    /// Writes a file that only its owner can read. An existing file is replaced only if `replaces` is true.
    ///
    /// # Errors
    /// [`UnwritableFile::CreatedMeanwhile`] if the file exists and must not be replaced.
    pub(crate) fn write_private(&self, bytes: &[u8], replaces: bool) -> Result<(), UnwritableFile> {
        self.put(true, replaces, |file| file.write_all(bytes)).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => UnwritableFile::CreatedMeanwhile(error),
            _ => UnwritableFile::Failed(error),
        })
    }

    /// Replaces a file by a new one with the same owner and mode.
    fn replace_file(&self, old: &Metadata, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
        self.put(true, true, |file| {
            keep_owner(file, old);
            file.set_permissions(old.permissions())?;
            write(file)
        })
    }

    /// Writes a temporary file and renames it to the file.
    fn put(&self, is_private: bool, replaces: bool, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
        let (mut file, temporary_path) = self.temporary(is_private)?;
        let written =
            write(&mut file).and_then(|()| file.sync_all()).and_then(|()| self.name(&temporary_path, replaces));
        if written.is_err() {
            // The first error is reported, not one of this removal.
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
            // A file system without links: only a check before the rename is possible.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists && self.path.symlink_metadata().is_err() => {
                fs::rename(temporary_path, &self.path)
            }
            Err(error) => Err(error),
        }
    }

    /// Creates an empty file in the same folder: a rename is one step only within a file system. It is locked while
    /// it is written, so that [`Self::sweep`] of another process does not remove it.
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
                    // Without locks, the file of a killed process is not removed; nothing else changes.
                    let _locked = file.try_lock();
                    return Ok((file, temporary_path));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => failed = error,
                Err(error) => return Err(error),
            }
        }
        Err(failed)
    }

    /// Removes the temporary files of this file that no process writes any more. Errors are ignored: such a file
    /// does no harm.
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

    /// Returns the reason for an error of replacing the file. For a mounted file it contains the folder to mount.
    fn unwritable(&self, error: io::Error) -> UnwritableFile {
        use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
        let folder = || folder_of(&self.path).to_owned();
        match error.kind() {
            ResourceBusy => UnwritableFile::Mounted(folder(), error),
            PermissionDenied | ReadOnlyFilesystem if self.path.exists() => {
                UnwritableFile::FolderReadOnly(folder(), error)
            }
            _ => UnwritableFile::Failed(error),
        }
    }
}

/// Syncs the folder of a file to the disk, so that a new name survives a crash. Does nothing on Windows, where
/// folders cannot be opened.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder_of(path))?.sync_all() } else { Ok(()) }
}

/// Returns the folder of a file.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Follows the links of a path, to an existing file or to the place where the file would be created.
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

/// Returns why something other than a file or a folder is not written to; `None` if it can be written to.
#[cfg(unix)]
fn refusal_for(found: &Metadata) -> Option<UnwritableFile> {
    use std::os::unix::fs::FileTypeExt as _;
    let kind = found.file_type();
    if kind.is_socket() {
        return Some(UnwritableFile::Socket);
    }
    kind.is_block_device().then_some(UnwritableFile::Disk)
}

/// Refuses everything that is not a regular file: other kinds cannot be distinguished on this platform.
#[cfg(not(unix))]
fn refusal_for(_: &Metadata) -> Option<UnwritableFile> {
    Some(UnwritableFile::NotRegular)
}

/// Opens a device or a pipe, within a time limit. In a thread, because opening a pipe waits for a reader, and this
/// wait cannot be cancelled.
fn open_within(path: &Path, timeout: Duration) -> Result<File, UnwritableFile> {
    let (done, outcome) = mpsc::channel();
    let owned = path.to_owned();
    std::thread::spawn(move || done.send(File::options().write(true).open(owned)));
    match outcome.recv_timeout(timeout) {
        Ok(opened) => Ok(opened?),
        Err(_) => Err(UnwritableFile::NoReader(timeout)),
    }
}

/// Gives a new file the owner of the old one, if this user is allowed to.
#[cfg(unix)]
fn keep_owner(file: &File, old: &Metadata) {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    if file.metadata().is_ok_and(|new| (new.uid(), new.gid()) != (old.uid(), old.gid())) {
        let _kept = fchown(file, Some(old.uid()), Some(old.gid()));
    }
}

/// Does nothing: a file's owner cannot be set on this platform.
#[cfg(not(unix))]
fn keep_owner(_: &File, _: &Metadata) {}

#[cfg(test)]
mod tests;
