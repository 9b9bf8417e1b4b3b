//! The folder that `--output` names: a file a stream and run, whole when it bears its name.
//!
//! ```text
//! orders.jsonl                   the first run that brought records
//! orders.run0002.jsonl           the next; a finished file is never touched again
//! orders.run0003.jsonl.partial   being written, or left by a run that was killed
//! .source-cart.lock              held while a run writes here
//! ```
//!
//! What a killed run left is finished by the next one in the same folder: the half row at its end is
//! cut off, and it gets its name, since a state may cover its rows. Nothing here knows formats or states.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Format;
use crate::airbyte::WriteError;
use crate::files::{self, LockError, sync_folder};
use crate::streams;

/// Behind the name of a file that is not whole yet.
const PARTIAL: &str = ".partial";

/// Held by the one run that writes to the folder.
const LOCK: &str = ".source-cart.lock";

/// Bytes of a file that are looked at in one go.
const CHUNK: usize = 64 * 1024;

/// Why a folder cannot be used.
#[derive(Debug)]
pub(crate) enum OutputDirError {
    /// Another run writes to it.
    Busy,
    /// This file or folder failed.
    Failed(PathBuf, io::Error),
}

/// The folder of one run.
#[derive(Debug)]
pub(crate) struct OutputDir {
    path: PathBuf,
    format: Format,
    /// The files that are being written, by stream.
    files: HashMap<String, PartialFile>,
    /// Given back when the process ends, however it ends.
    _lock: File,
}

/// A file that is being written.
#[derive(Debug)]
struct PartialFile {
    file: Arc<File>,
    path: PathBuf,
}

impl OutputDir {
    /// Takes the folder for this run, makes it if it is not there, and finishes what a killed run left.
    ///
    /// # Errors
    /// [`OutputDirError`]
    pub(crate) fn open(path: &Path, format: Format) -> Result<Self, OutputDirError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| OutputDirError::Failed(path, error)
        };
        if path.exists() && !path.is_dir() {
            return Err(failed(path)(io::ErrorKind::NotADirectory.into()));
        }
        fs::create_dir_all(path).map_err(failed(path))?;
        let lock_path = path.join(LOCK);
        let lock = files::lock(&lock_path).map_err(|fault| match fault {
            LockError::Busy => OutputDirError::Busy,
            LockError::Failed(error) => OutputDirError::Failed(lock_path, error),
        })?;
        for name in names(path).map_err(failed(path))? {
            if let Some((stream, format)) = name.strip_suffix(PARTIAL).and_then(owner) {
                let left = path.join(&name);
                // A run makes nothing but files there. What else bears the name is none of its own.
                if !fs::symlink_metadata(&left).is_ok_and(|found| found.is_file()) {
                    continue;
                }
                finish_left(path, &left, stream, format).map_err(failed(&left))?;
            }
        }
        Ok(Self { path: path.to_owned(), format, files: HashMap::new(), _lock: lock })
    }

    /// Appends whole rows of a stream; `header` is what its file begins with.
    ///
    /// # Errors
    /// [`WriteError`]
    pub(crate) fn append(&mut self, stream: &str, header: &[u8], rows: &[u8]) -> Result<(), WriteError> {
        if !self.files.contains_key(stream) {
            let name = free_name(&self.path, stream, self.format).map_err(|error| unwritten(&self.path, error))?;
            let path = self.path.join(name + PARTIAL);
            let made = File::create_new(&path).and_then(|file| {
                (&file).write_all(header)?;
                // A state may soon claim its rows, so that its name must be there after a crash.
                sync_folder(&path)?;
                Ok(file)
            });
            let file = Arc::new(made.map_err(|error| unwritten(&path, error))?);
            self.files.insert(stream.to_owned(), PartialFile { file, path });
        }
        let Some(partial) = self.files.get(stream) else { return Ok(()) };
        let written = (&*partial.file).write_all(rows).map_err(|error| unwritten(&partial.path, error));
        if written.is_err() {
            // It may end in half a row: it stays partial, and the next run finishes it.
            self.files.remove(stream);
        }
        written
    }

    /// The file that a stream's rows go to, if it is open.
    #[must_use]
    pub(crate) fn file(&self, stream: &str) -> Option<&Arc<File>> {
        self.files.get(stream).map(|partial| &partial.file)
    }

    /// Gives the file of a stream its name, when its rows are on the disk.
    ///
    /// # Errors
    /// [`WriteError`]
    pub(crate) fn finish(&mut self, stream: &str) -> Result<(), WriteError> {
        let Some(partial) = self.files.remove(stream) else { return Ok(()) };
        let name = partial.path.with_extension("");
        let named = partial.file.sync_all().and_then(|()| fs::rename(&partial.path, &name));
        named.and_then(|()| sync_folder(&name)).map_err(|error| unwritten(&name, error))
    }

    /// Finishes every file that is still open: their streams ended without a word, but rows are rows.
    ///
    /// # Errors
    /// [`WriteError`]
    pub(crate) fn finish_all(&mut self) -> Result<(), WriteError> {
        let streams: Vec<String> = self.files.keys().cloned().collect();
        streams.iter().try_for_each(|stream| self.finish(stream))
    }
}

/// Returns true if a path looks like that of a file with rows in it.
#[must_use]
pub(crate) fn is_named_as_file(path: &Path) -> bool {
    const ENDINGS: [&str; 9] = ["csv", "tsv", "jsonl", "ndjson", "json", "txt", "parquet", "gz", "zst"];
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

fn unwritten(path: &Path, error: io::Error) -> WriteError {
    WriteError { what: format!("`{}`", path.display()), error }
}

/// The names in a folder that are text; a file of another name is none of ours.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let name = |entry: io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name().into_string().ok()).transpose();
    fs::read_dir(folder)?.filter_map(name).collect()
}

/// Stream and format of a finished file's name, if it is one of ours.
fn owner(name: &str) -> Option<(&str, Format)> {
    let (name, format) = [Format::Jsonl, Format::Csv]
        .into_iter()
        .find_map(|format| Some((name.strip_suffix(format.extension())?.strip_suffix('.')?, format)))?;
    let stream = name.split_once(".run").map_or(name, |(stream, _)| stream);
    streams::find(stream).map(|_| (stream, format))
}

/// The name for the next file of a stream: behind all that are there, so that later rows stand in later
/// files.
fn free_name(folder: &Path, stream: &str, format: Format) -> io::Result<String> {
    let extension = format.extension();
    let mut last = 0;
    for name in names(folder)? {
        let name = name.strip_suffix(PARTIAL).unwrap_or(&name);
        let number = name.strip_prefix(stream).and_then(|rest| {
            let rest = rest.strip_suffix(extension)?.strip_suffix('.')?;
            if rest.is_empty() { Some(1) } else { rest.strip_prefix(".run")?.parse().ok() }
        });
        last = last.max(number.unwrap_or(0));
    }
    Ok(if last == 0 { format!("{stream}.{extension}") } else { format!("{stream}.run{:04}.{extension}", last + 1) })
}

/// Cuts the half row off the end of a file that a killed run left, and gives it its name. A file without
/// a row goes away.
fn finish_left(folder: &Path, left: &Path, stream: &str, format: Format) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(left)?;
    let (length, lines) = whole_lines(&file, format)?;
    if lines <= u64::from(format == Format::Csv) {
        return fs::remove_file(left);
    }
    file.set_len(length)?;
    file.sync_all()?;
    let mut name = left.with_extension("");
    if name.exists() {
        // Somebody has put a file of this name there meanwhile.
        name = folder.join(free_name(folder, stream, format)?);
    }
    fs::rename(left, &name)?;
    sync_folder(&name)
}

/// Length and number of the whole lines that a file begins with. In csv a line feed inside quotes ends
/// no line.
fn whole_lines(mut file: &File, format: Format) -> io::Result<(u64, u64)> {
    let (mut at, mut quoted, mut length, mut lines) = (0, false, 0, 0);
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = file.read(&mut chunk)?;
        if count == 0 {
            return Ok((length, lines));
        }
        for (index, byte) in chunk[..count].iter().enumerate() {
            match byte {
                b'"' if format == Format::Csv => quoted = !quoted,
                b'\n' if !quoted => {
                    length = at + index as u64 + 1;
                    lines += 1;
                }
                _ => {}
            }
        }
        at += count as u64;
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use super::*;

    /// The files of a folder with their content, but for the lock.
    fn content(folder: &Path) -> Vec<(String, String)> {
        let mut names = names(folder).unwrap();
        names.retain(|name| name != LOCK);
        names.sort();
        names.into_iter().map(|name| (name.clone(), fs::read_to_string(folder.join(name)).unwrap())).collect()
    }

    fn files(content: &[(&str, &str)]) -> Vec<(String, String)> {
        content.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect()
    }

    /// A run that is killed behind these rows.
    fn killed(path: &Path, format: Format, rows: &[u8]) {
        let mut folder = OutputDir::open(path, format).unwrap();
        folder.append("orders", b"", rows).unwrap();
    }

    #[test]
    fn each_run_has_its_own_file_and_no_earlier_one_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/folder");
        for run in 1..=3 {
            let mut folder = OutputDir::open(&path, Format::Jsonl).unwrap();
            folder.append("orders", b"", format!("{{\"run\":{run}}}\n").as_bytes()).unwrap();
            folder.append("orders", b"", b"{}\n").unwrap();
            folder.finish("orders").unwrap();
            folder.finish("pages").unwrap();
        }
        let expected = [
            ("orders.jsonl", "{\"run\":1}\n{}\n"),
            ("orders.run0002.jsonl", "{\"run\":2}\n{}\n"),
            ("orders.run0003.jsonl", "{\"run\":3}\n{}\n"),
        ];
        assert_eq!(content(&path), files(&expected));
        fs::remove_file(path.join("orders.run0002.jsonl")).unwrap();
        assert_eq!(
            free_name(&path, "orders", Format::Jsonl).unwrap(),
            "orders.run0004.jsonl",
            "later rows, later file"
        );
        assert_eq!(free_name(&path, "orders", Format::Csv).unwrap(), "orders.csv");
        assert_eq!(free_name(&path, "order_items", Format::Jsonl).unwrap(), "order_items.jsonl");
    }

    #[test]
    fn files_left_by_a_killed_run_are_cut_to_complete_rows_and_renamed() {
        let dir = tempfile::tempdir().unwrap();
        killed(dir.path(), Format::Jsonl, b"{\"a\":\"\\\"\"}\n{\"b\":2}\n{\"c");
        assert_eq!(content(dir.path())[0].0, "orders.jsonl.partial");
        fs::write(dir.path().join("mine.jsonl.partial"), "x").unwrap();
        killed(dir.path(), Format::Csv, b"id,note\n1,\"a\nb\"\n2,\"c\nd");
        assert_eq!(
            content(dir.path()),
            files(&[
                ("mine.jsonl.partial", "x"),
                ("orders.csv.partial", "id,note\n1,\"a\nb\"\n2,\"c\nd"),
                ("orders.jsonl", "{\"a\":\"\\\"\"}\n{\"b\":2}\n"),
            ])
        );
        drop(OutputDir::open(dir.path(), Format::Jsonl).unwrap());
        assert_eq!(content(dir.path())[1], ("orders.csv".to_owned(), "id,note\n1,\"a\nb\"\n".to_owned()));
    }

    #[test]
    fn a_file_without_a_row_goes_away_and_no_finished_one_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        killed(dir.path(), Format::Csv, b"id,note\n1,\"x");
        killed(dir.path(), Format::Jsonl, b"{\"a\"");
        drop(OutputDir::open(dir.path(), Format::Csv).unwrap());
        assert_eq!(content(dir.path()), []);
        killed(dir.path(), Format::Jsonl, b"{}\n");
        fs::write(dir.path().join("orders.jsonl"), "mine").unwrap();
        drop(OutputDir::open(dir.path(), Format::Csv).unwrap());
        assert_eq!(content(dir.path()), files(&[("orders.jsonl", "mine"), ("orders.run0002.jsonl", "{}\n")]));
    }

    #[test]
    fn two_runs_never_write_to_one_folder() {
        let dir = tempfile::tempdir().unwrap();
        let first = OutputDir::open(dir.path(), Format::Csv).unwrap();
        assert!(matches!(OutputDir::open(dir.path(), Format::Jsonl), Err(OutputDirError::Busy)));
        drop(first);
        OutputDir::open(dir.path(), Format::Jsonl).unwrap();
    }
}
