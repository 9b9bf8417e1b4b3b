//! What stdout is, as far as it matters to what is written there.

use std::fs::File;

use crate::files;

/// What stdout is.
#[derive(Debug, Default)]
pub struct Stdout {
    /// Stdout once more, if it is a file, so that its content can be brought to the disk.
    pub file: Option<File>,
    /// Device and number, if it is a file or a pipe.
    pub identity: Option<(u64, u64)>,
    /// Whether it was closed when the process began.
    pub is_closed: bool,
}

impl Stdout {
    /// Looks at stdout.
    #[cfg(unix)]
    #[must_use]
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
    #[must_use]
    pub fn is_also(&self, err: &std::io::Stderr) -> bool {
        use std::os::fd::AsFd as _;
        let found = err.as_fd().try_clone_to_owned().and_then(|err| File::from(err).metadata());
        self.identity.is_some() && found.ok().and_then(|found| files::identity(&found)) == self.identity
    }

    /// What stderr is cannot be found out here.
    #[cfg(not(unix))]
    #[must_use]
    pub fn is_also(&self, _: &std::io::Stderr) -> bool {
        false
    }

    /// What stdout is cannot be found out here.
    #[cfg(not(unix))]
    #[must_use]
    pub fn of(_: &std::io::Stdout) -> Self {
        Self::default()
    }
}

/// Returns true if stdout is what Rust's runtime puts in the place of a closed one: the null device, opened to be
/// read as well. A shell opens it for `> /dev/null` to be written only.
#[cfg(unix)]
fn is_closed(mut out: &File, found: &std::fs::Metadata) -> bool {
    use std::io::Read as _;
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
    let null = std::fs::metadata("/dev/null");
    let is_null = null.is_ok_and(|null| null.file_type().is_char_device() && null.rdev() == found.rdev());
    found.file_type().is_char_device() && is_null && out.read(&mut [0]).is_ok()
}
