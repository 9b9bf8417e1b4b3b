//! The kind of file that stdout is, and which standard streams are terminals.

use std::fs::File;
use std::io::IsTerminal as _;

use crate::files;

/// The kind of file that stdout is.
#[derive(Debug, Default)]
pub struct Stdout {
    /// A second handle of stdout, if it is a file, to sync its content to the disk.
    pub file: Option<File>,
    /// Device and inode, if it is a file or a pipe.
    pub identity: Option<(u64, u64)>,
    /// True if it was closed when the process started.
    pub is_closed: bool,
}

impl Stdout {
    /// Examines stdout.
    #[cfg(unix)]
    pub fn of(out: &std::io::Stdout) -> Self {
        use std::os::fd::AsFd as _;
        use std::os::unix::fs::FileTypeExt as _;
        let Some(file) = out.as_fd().try_clone_to_owned().ok().map(File::from) else { return Self::default() };
        let Ok(found) = file.metadata() else { return Self::default() };
        let kind = found.file_type();
        Self {
            identity: files::identity(&found).filter(|_| kind.is_file() || kind.is_fifo()),
            is_closed: is_closed(&file, &found),
            file: kind.is_file().then_some(file),
        }
    }

    /// Returns true if stderr is the same file or pipe.
    #[cfg(unix)]
    fn is_also(&self, err: &std::io::Stderr) -> bool {
        use std::os::fd::AsFd as _;
        let found = err.as_fd().try_clone_to_owned().and_then(|err| File::from(err).metadata());
        self.identity.is_some() && found.ok().and_then(|found| files::identity(&found)) == self.identity
    }

    /// Returns false: it is unknown on this platform.
    #[cfg(not(unix))]
    fn is_also(&self, _: &std::io::Stderr) -> bool {
        false
    }

    /// Returns `None`: it is unknown on this platform.
    #[cfg(not(unix))]
    pub fn of(_: &std::io::Stdout) -> Self {
        Self::default()
    }
}

/// Which of the standard streams are terminals.
#[derive(Clone, Copy, Debug)]
pub struct Terminals {
    /// True if standard input is a terminal.
    pub stdin: bool,
    /// True if standard output is a terminal.
    pub stdout: bool,
    /// True if standard error is a terminal.
    pub stderr: bool,
    /// True if standard output and standard error are the same file, which must contain only messages.
    pub one_file: bool,
}

impl Terminals {
    /// Examines the standard streams; `stdout` is the kind of file that `out` is.
    pub fn of(stdout: &Stdout, out: &std::io::Stdout, err: &std::io::Stderr) -> Self {
        Self {
            stdin: std::io::stdin().is_terminal(),
            stdout: out.is_terminal(),
            stderr: err.is_terminal(),
            one_file: stdout.file.is_some() && stdout.is_also(err),
        }
    }

    /// Returns true if at least one of them is a terminal.
    pub(crate) fn any(self) -> bool {
        self.stdin || self.stdout || self.stderr
    }
}

/// Returns true if stdout is the file that Rust's runtime opens in the place of a closed one: the null device, open for
/// reading too. For `> /dev/null` a shell opens it for writing only.
#[cfg(unix)]
fn is_closed(mut out: &File, found: &std::fs::Metadata) -> bool {
    use std::io::Read as _;
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
    let null = std::fs::metadata("/dev/null");
    let is_null = null.is_ok_and(|null| null.file_type().is_char_device() && null.rdev() == found.rdev());
    found.file_type().is_char_device() && is_null && out.read(&mut [0]).is_ok()
}
