//! Where the output goes and in which form: the sink between the writer's thread and stdout, files,
//! the file of states, and the words for people on stderr.
//!
//! Without a flag that asks for something else, and without a terminal, none of this is in the way:
//! stdout gets every byte as it is. What lives here: `bare` and `csv` (records without messages),
//! `folder` (files of records), `state_file`, `words` (messages for people), `board` with `progress`, `rate`,
//! `waits` and `summary` (what is seen of a read in a terminal), `table`, `spinner`.
//! Nothing here asks the store or decides what is read.

mod bare;
pub mod board;
mod csv;
mod folder;
mod progress;
mod rate;
pub(crate) mod spinner;
mod state_file;
mod summary;
pub(crate) mod table;
pub mod waits;
mod words;

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use clap::{Args, ValueEnum};

use crate::airbyte::heard::Heard;
use crate::airbyte::message::{Message, closing_state};
use crate::airbyte::state::StreamState;
use crate::airbyte::{ConfiguredCatalog, Plain, Sink, StreamStatus, Unwritten};
use crate::failure::Failure;
use crate::json::NotJson;
use crate::streams;
use crate::view::View;
use crate::{Terminals, commands};
use bare::Rows;
use board::Board;
pub(crate) use csv::Columns;
use folder::{Folder, Unusable};
use state_file::StateFile;
use words::{Kept, Telling, Words};

/// The form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Messages of the Airbyte protocol
    #[default]
    Airbyte,
    /// Records alone, a JSON object a line
    Jsonl,
    /// Records alone, comma-separated, with a header
    Csv,
}

impl Format {
    /// Behind the dot in the names of files.
    fn extension(self) -> &'static str {
        match self {
            Self::Airbyte => "airbyte",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
        }
    }
}

/// Where the output of `read` goes.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Route {
    /// Keep the state here, for `--state` of the next read; it may be the same file
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub state_out: Option<PathBuf>,
    /// The form of the output
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "airbyte")]
    pub format: Format,
    /// Write a file for each stream here, instead of stdout; for `--format jsonl` or `csv`
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub output: Option<PathBuf>,
    /// Print only warnings and errors on stderr
    #[arg(long)]
    pub quiet: bool,
}

impl Route {
    /// The text of the state file that is handed in. It need not be there yet if it is the one that is
    /// kept.
    ///
    /// # Errors
    /// [`Failure`] that names the file and what is wrong with it.
    pub(crate) fn given_state(&self, path: &Path) -> Result<Vec<u8>, Failure> {
        let same = |out: &PathBuf| std::path::absolute(out).ok() == std::path::absolute(path).ok();
        let absent = matches!(path.try_exists(), Ok(false));
        if absent && self.state_out.as_ref().is_some_and(same) {
            return Ok(Vec::new());
        }
        commands::file("state", path)
    }
}

/// What the output needs of a read that is about to begin.
#[derive(Debug, Default)]
struct Destination {
    columns: HashMap<String, Columns>,
    folder: Option<Folder>,
    states: Option<StateFile>,
}

/// Hands the destination over to the sink, which was there first: whatever is wrong with the files that
/// a read is given goes through it too.
#[derive(Clone, Debug, Default)]
pub(crate) struct Opening(Arc<Mutex<Option<Destination>>>);

impl Opening {
    /// Opens what the command line names, before the store is asked for anything.
    ///
    /// # Errors
    /// [`Failure`] that says what cannot be used.
    pub(crate) fn open(
        &self,
        route: &Route,
        catalog: &ConfiguredCatalog,
        view: &View,
        given: &[StreamState],
    ) -> Result<(), Failure> {
        let mut destination = Destination::default();
        match (route.format, &route.output) {
            (Format::Airbyte, Some(_)) => return Err(Failure::no_bare_format()),
            (Format::Csv, None) if catalog.streams.len() > 1 => return Err(Failure::one_csv(catalog.streams.len())),
            (format, Some(path)) => {
                let folder = Folder::open(path, format).map_err(|fault| match fault {
                    Unusable::Busy => Failure::busy_folder(&path.display().to_string()),
                    Unusable::Failed(at, error) => Failure::unusable_folder(&at.display().to_string(), &error),
                });
                destination.folder = Some(folder?);
            }
            (_, None) => {}
        }
        if route.format == Format::Csv {
            for configured in &catalog.streams {
                let name = &configured.stream.name;
                let columns = streams::find(name).and_then(|stream| view.columns(stream)).map(Columns::new);
                destination.columns.extend(columns.map(|columns| (name.clone(), columns)));
            }
        }
        if let Some(path) = &route.state_out {
            let states = StateFile::open(path, given);
            destination.states =
                Some(states.map_err(|error| Failure::state_out(&path.display().to_string(), &error.to_string()))?);
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(destination);
        Ok(())
    }

    fn take(&self) -> Option<Destination> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The sink for `out`, how to tell it where a read goes, and the board that shows how far it is. Without a
/// route it is no read.
///
/// `stdout_file` is stdout once more, if it is a file: its rows are brought to the disk before a state that
/// covers them.
pub(crate) fn outlet(
    out: impl Write + Send + 'static,
    stdout_file: Option<File>,
    route: Option<&Route>,
    terminals: Terminals,
) -> (Box<dyn Sink>, Opening, Arc<Board>) {
    let opening = Opening::default();
    let no_read = Route { quiet: true, ..Route::default() };
    let route = route.unwrap_or(&no_read);
    let quiet = route.quiet;
    let board = Arc::new(if terminals.stderr && !quiet { Board::on_stderr() } else { Board::default() });
    let is_watched = terminals.stdout || terminals.stderr;
    // Whoever looks at stderr does not see what the file says. Where both are one file, it would not hold messages
    // alone.
    let is_file = stdout_file.is_some() && !terminals.one_file;
    if route.format == Format::Airbyte && route.state_out.is_none() && !is_watched && !is_file {
        return (Box::new(Plain(out)), opening, board);
    }
    let telling = match (route.format, terminals) {
        (Format::Airbyte, _) if !is_watched => is_file.then_some(Telling::Failures),
        // Warnings stand on the terminal already, as messages.
        (Format::Airbyte, Terminals { stdout: true, .. }) => Some(Telling::Errors),
        (Format::Airbyte, _) if quiet => Some(Telling::Errors),
        (Format::Airbyte, _) => Some(Telling::Warnings),
        (Format::Jsonl | Format::Csv, _) if quiet || board.is_shown() => Some(Telling::Warnings),
        (Format::Jsonl | Format::Csv, _) => Some(Telling::Everything),
    };
    let kept = match (&route.state_out, route.format) {
        (Some(path), _) => Kept::File(path.clone()),
        (None, Format::Airbyte) if !terminals.stdout => Kept::Output,
        (None, _) => Kept::Nowhere,
    };
    let words = telling.map(|telling| Words::new(telling, terminals.stderr, Arc::clone(&board), kept));
    let rows = match route.format {
        Format::Airbyte => None,
        format => Some(Rows::new(format)),
    };
    let shared = (terminals.stdout && board.is_shown()).then(|| Arc::clone(&board));
    let outlet = Outlet {
        out,
        stdout_file: stdout_file.map(Arc::new),
        opening: opening.clone(),
        rows,
        destination: Destination::default(),
        words,
        shared,
    };
    (Box::new(outlet), opening, board)
}

/// The sink where something was asked for.
struct Outlet<W> {
    out: W,
    stdout_file: Option<Arc<File>>,
    opening: Opening,
    /// Makes bare records, where these are wanted.
    rows: Option<Rows>,
    destination: Destination,
    words: Option<Words>,
    /// The board, if it shares a terminal with stdout.
    shared: Option<Arc<Board>>,
}

impl<W: Write + Send> Outlet<W> {
    /// Writes to stdout, beside the lines of the board.
    fn print(&mut self, lines: &[u8]) -> Result<(), Unwritten> {
        let out = &mut self.out;
        match &self.shared {
            Some(board) => board.beside(|| out.write_all(lines).and_then(|()| out.flush())),
            None => out.write_all(lines),
        }
        .map_err(Unwritten::stdout)
    }

    fn records(&mut self, lines: &[u8]) -> Result<(), Unwritten> {
        if let Some(destination) = self.opening.take() {
            self.destination = destination;
        }
        match &mut self.rows {
            None => self.print(lines)?,
            Some(rows) => {
                let batch = rows.of(lines, &mut self.destination.columns);
                let broken = |fault: NotJson| Unwritten {
                    what: "a record".to_owned(),
                    error: std::io::Error::other(format!("it is no JSON at byte {}", fault.0)),
                };
                match (batch.map_err(broken)?, &mut self.destination.folder) {
                    (None, _) => {}
                    (Some(batch), Some(folder)) => folder.append(&batch.stream, batch.header, batch.rows)?,
                    (Some(batch), None) => {
                        let lines = [batch.header, batch.rows].concat();
                        self.print(&lines)?;
                    }
                }
            }
        }
        let (Some(states), Some(line)) = (&self.destination.states, closing_state(lines)) else { return Ok(()) };
        let folder = self.destination.folder.as_ref();
        if folder.is_none() {
            self.out.flush().map_err(Unwritten::stdout)?;
        }
        states.note(line, |stream| match folder {
            Some(folder) => folder.file(stream),
            None => self.stdout_file.as_ref(),
        })
    }

    fn message(&mut self, line: &[u8]) -> Result<(), Unwritten> {
        if self.rows.is_none() {
            self.print(line)?;
        }
        let needed = self.words.is_some() || self.rows.is_some();
        let Some(heard) = needed.then(|| Heard::parse(line)).flatten() else { return Ok(()) };
        if let Heard::Status { stream, status: StreamStatus::Complete | StreamStatus::Incomplete, .. } = &heard {
            self.end(stream)?;
        }
        if let Some(words) = &mut self.words {
            words.tell(&heard);
        }
        Ok(())
    }

    /// Brings what was written of a stream to its end.
    fn end(&mut self, stream: &str) -> Result<(), Unwritten> {
        match &mut self.destination.folder {
            Some(folder) => folder.finish(stream),
            None => {
                // A table without rows has a header all the same.
                let header = self.rows.as_mut().and_then(|rows| rows.header(stream, &mut self.destination.columns));
                header.map_or(Ok(()), |header| self.print(&header))
            }
        }
    }

    /// Says on stdout too that the sync cannot go on, where a program reads messages there.
    fn told(&mut self, written: Result<(), Unwritten>) -> Result<(), Unwritten> {
        if let (Err(fault), None) = (&written, &self.rows)
            && fault.what != "stdout"
        {
            let failure = Failure::unwritten(fault);
            let line = Message::failure(failure.kind, &failure.message, failure.internal.as_deref()).line();
            // Stdout may be gone as well; stderr is told in any case.
            let _told = self.out.write_all(&line);
        }
        written
    }
}

impl<W: Write + Send> Sink for Outlet<W> {
    fn take(&mut self, lines: &[u8]) -> Result<(), Unwritten> {
        let written = if Heard::is_message(lines) { self.message(lines) } else { self.records(lines) };
        self.told(written)
    }

    fn flush(&mut self) -> Result<(), Unwritten> {
        self.out.flush().map_err(Unwritten::stdout)
    }

    fn finish(&mut self) -> Result<(), Unwritten> {
        if let Some(destination) = self.opening.take() {
            self.destination = destination;
        }
        let Destination { folder, states, .. } = &mut self.destination;
        let files = folder.as_mut().map_or(Ok(()), Folder::finish_all);
        // Written to the end also where a file failed: the states it has cover rows that are on the disk.
        let states = states.as_mut().map_or(Ok(()), StateFile::finish);
        let written = self.told(files.and(states));
        self.flush().and(written)
    }
}
