//! The folder of `--output`: one file per stream and run, complete once it has its final name.
//!
//! ```text
//! orders.jsonl                   the first run with records
//! orders.run0002.jsonl           the next; a finished file is never touched again
//! orders.run0003.jsonl.partial   being written, or left by a killed run
//! .source-cart.lock              locked while a run writes here
//! ```
//!
//! The next run in the same folder finishes the files of a killed run: it cuts off an incomplete row at the end and
//! gives the file its final name, since a state may cover its rows.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::options::{Format, OutputError};
use crate::airbyte::WriteError;
use crate::files::{self, LockError, sync_folder};

/// Suffix of the name of an incomplete file.
const PARTIAL: &str = ".partial";

/// Name of the lock file of the folder.
const LOCK: &str = ".source-cart.lock";

/// Number of bytes of a file that are read at once: the usual size for sequential reads.
const CHUNK: usize = 64 * 1024;

/// The folder, locked for one run.
#[derive(Debug)]
pub(crate) struct OutputDir {
    path: PathBuf,
    format: Format,
    /// Incomplete files, by stream.
    files: HashMap<String, PartialFile>,
    /// The operating system releases it when the process ends.
    _lock: File,
}

/// An incomplete file.
#[derive(Debug)]
struct PartialFile {
    file: Arc<File>,
    path: PathBuf,
}

impl OutputDir {
    /// Locks the folder, creates it if it does not exist, and finishes the files of a killed run. `is_stream` returns
    /// true for the name of a stream.
    pub(crate) fn open(path: &Path, format: Format, is_stream: impl Fn(&str) -> bool) -> Result<Self, OutputError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| OutputError::Folder(path, error)
        };
        if path.exists() && !path.is_dir() {
            return Err(failed(path)(io::ErrorKind::NotADirectory.into()));
        }
        fs::create_dir_all(path).map_err(failed(path))?;
        let lock_path = path.join(LOCK);
        let lock = files::lock(&lock_path).map_err(|fault| match fault {
            LockError::Busy => OutputError::FolderBusy(path.to_owned()),
            LockError::Failed(error) => OutputError::Folder(lock_path, error),
        })?;
        for name in names(path).map_err(failed(path))? {
            let owner = name.strip_suffix(PARTIAL).and_then(owner).filter(|(stream, _)| is_stream(stream));
            if let Some((stream, format)) = owner {
                let left = path.join(&name);
                // A run creates only regular files. Anything else with such a name was not created by a run.
                if !fs::symlink_metadata(&left).is_ok_and(|found| found.is_file()) {
                    continue;
                }
                finish_left(path, &left, stream, format).map_err(failed(&left))?;
            }
        }
        Ok(Self { path: path.to_owned(), format, files: HashMap::new(), _lock: lock })
    }

    /// Appends complete rows of a stream.
    pub(crate) fn append(&mut self, stream: &str, rows: &[u8]) -> Result<(), WriteError> {
        if !self.files.contains_key(stream) {
            let name = free_name(&self.path, stream, self.format).map_err(|error| unwritten(&self.path, error))?;
            let path = self.path.join(name + PARTIAL);
            let made = File::create_new(&path).and_then(|file| {
                // A state may soon cover its rows, so its name must survive a crash.
                sync_folder(&path)?;
                Ok(file)
            });
            let file = Arc::new(made.map_err(|error| unwritten(&path, error))?);
            self.files.insert(stream.to_owned(), PartialFile { file, path });
        }
        let Some(partial) = self.files.get(stream) else { return Ok(()) };
        let written = (&*partial.file).write_all(rows).map_err(|error| unwritten(&partial.path, error));
        if written.is_err() {
            // It may end with an incomplete row: it stays partial, and the next run finishes it.
            self.files.remove(stream);
        }
        written
    }

    /// Returns the incomplete file of a stream, if there is one.
    pub(crate) fn file(&self, stream: &str) -> Option<&Arc<File>> {
        self.files.get(stream).map(|partial| &partial.file)
    }

    /// Syncs the rows of a stream to the disk and gives its file the final name.
    pub(crate) fn finish(&mut self, stream: &str) -> Result<(), WriteError> {
        let Some(partial) = self.files.remove(stream) else { return Ok(()) };
        let name = partial.path.with_extension("");
        let named = partial.file.sync_all().and_then(|()| fs::rename(&partial.path, &name));
        named.and_then(|()| sync_folder(&name)).map_err(|error| unwritten(&name, error))
    }

    /// Finishes the files of streams that ended without a status.
    pub(crate) fn finish_all(&mut self) -> Result<(), WriteError> {
        let streams: Vec<String> = self.files.keys().cloned().collect();
        streams.iter().try_for_each(|stream| self.finish(stream))
    }
}

/// Returns true if a path has the extension of a file with rows.
pub(crate) fn is_named_as_file(path: &Path) -> bool {
    const ENDINGS: [&str; 9] = ["csv", "tsv", "jsonl", "ndjson", "json", "txt", "parquet", "gz", "zst"];
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

fn unwritten(path: &Path, error: io::Error) -> WriteError {
    WriteError { what: format!("`{}`", path.display()), error }
}

/// Returns the file names in a folder that are UTF-8. This program creates no others.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let name = |entry: io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name().into_string().ok()).transpose();
    fs::read_dir(folder)?.filter_map(name).collect()
}

/// Returns the stream and the format in the name of a complete file, if it has the form of this program.
fn owner(name: &str) -> Option<(&str, Format)> {
    let (name, format) = [Format::Jsonl, Format::Csv]
        .into_iter()
        .find_map(|format| Some((name.strip_suffix(format.extension())?.strip_suffix('.')?, format)))?;
    Some((name.split_once(".run").map_or(name, |(stream, _)| stream), format))
}

/// Returns the name for the next file of a stream. It sorts after all existing ones, so that later rows are in later
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

/// Finishes a file of a killed run: cuts off an incomplete row at its end and renames it. Removes a file without rows.
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
        // A file of this name was created in the meantime.
        name = folder.join(free_name(folder, stream, format)?);
    }
    fs::rename(left, &name)?;
    sync_folder(&name)
}

/// Returns the length and the number of the complete lines of a file. In CSV a line feed inside quotes does not end a
/// line.
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
mod tests {
    use super::*;

    fn is_stream(name: &str) -> bool {
        name == "orders"
    }

    /// Returns the files of a folder with their content, except the lock.
    fn content(folder: &Path) -> Vec<(String, String)> {
        let mut names = names(folder).unwrap();
        names.retain(|name| name != LOCK);
        names.sort();
        names.into_iter().map(|name| (name.clone(), fs::read_to_string(folder.join(name)).unwrap())).collect()
    }

    fn files(content: &[(&str, &str)]) -> Vec<(String, String)> {
        content.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect()
    }

    /// Writes these rows like a run that is killed before it ends.
    fn killed(path: &Path, format: Format, rows: &[u8]) {
        let mut folder = OutputDir::open(path, format, is_stream).unwrap();
        folder.append("orders", rows).unwrap();
    }

    #[test]
    fn each_run_has_its_own_file_and_no_earlier_one_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/folder");
        for run in 1..=3 {
            let mut folder = OutputDir::open(&path, Format::Jsonl, is_stream).unwrap();
            folder.append("orders", format!("{{\"run\":{run}}}\n").as_bytes()).unwrap();
            folder.append("orders", b"{}\n").unwrap();
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
        drop(OutputDir::open(dir.path(), Format::Jsonl, is_stream).unwrap());
        assert_eq!(content(dir.path())[1], ("orders.csv".to_owned(), "id,note\n1,\"a\nb\"\n".to_owned()));
    }

    #[test]
    fn a_file_without_a_row_goes_away_and_no_finished_one_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        killed(dir.path(), Format::Csv, b"id,note\n1,\"x");
        killed(dir.path(), Format::Jsonl, b"{\"a\"");
        drop(OutputDir::open(dir.path(), Format::Csv, is_stream).unwrap());
        assert_eq!(content(dir.path()), []);
        killed(dir.path(), Format::Jsonl, b"{}\n");
        fs::write(dir.path().join("orders.jsonl"), "mine").unwrap();
        drop(OutputDir::open(dir.path(), Format::Csv, is_stream).unwrap());
        assert_eq!(content(dir.path()), files(&[("orders.jsonl", "mine"), ("orders.run0002.jsonl", "{}\n")]));
    }

    #[test]
    fn two_runs_never_write_to_one_folder() {
        let dir = tempfile::tempdir().unwrap();
        let first = OutputDir::open(dir.path(), Format::Csv, is_stream).unwrap();
        assert!(matches!(OutputDir::open(dir.path(), Format::Jsonl, is_stream), Err(OutputError::FolderBusy(_))));
        drop(first);
        OutputDir::open(dir.path(), Format::Jsonl, is_stream).unwrap();
    }
}
