//! Where the output goes and in which form: the sink between the writer's thread and stdout, files,
//! the file of states, and the words for people on stderr.
//!
//! Without a flag that asks for something else, and without a terminal, none of this is in the way:
//! stdout gets every byte as it is. What lives here: `bare` and `csv` (records without messages),
//! `folder` (files of records), `state_file`, `stdout` (what that is), `words` (messages for people), `board` with
//! `progress`, `rate`, `waits` and `summary` (what is seen of a read in a terminal), `table`, `spinner`, `run_summary`
//! (the document for programs that watch runs), `forecast` and `report` (what a read would take).
//! Nothing here asks the store or decides what is read.

mod bare;
pub mod board;
mod csv;
mod folder;
pub(crate) mod forecast;
mod progress;
mod rate;
mod report;
pub mod run_summary;
pub(crate) mod spinner;
pub(crate) mod state_file;
pub mod stdout;
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
use crate::airbyte::state::{States, StreamState};
use crate::airbyte::{ConfiguredCatalog, ConfiguredStream, Plain, Sink, StreamStatus, Unwritten};
use crate::failure::Failure;
use crate::json::NotJson;
use crate::view::View;
use crate::{Terminals, files, given_states, streams};
use bare::Rows;
use board::Board;
pub(crate) use csv::Columns;
use folder::{Folder, Unusable};
use report::Report;
use state_file::{Claimed, StateFile, Unclaimed};
use stdout::Stdout;
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
    /// Write what the run did here, as one JSON document, when it ends
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub summary: Option<PathBuf>,
    /// Print only warnings and errors on stderr
    #[arg(long)]
    pub quiet: bool,
    /// Print what this read would take, in rows, calls and time, and read nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print it as one JSON document
    #[arg(long, requires = "dry_run")]
    pub json: bool,
}

impl Route {
    /// Checks that no file is written that is read as well, or written twice. `given` are the options that name
    /// files to read. A state is read and written in one place on purpose.
    ///
    /// # Errors
    /// [`Failure`] that names both options.
    pub(crate) fn check_paths(&self, given: &[(&'static str, Option<&Path>)]) -> Result<(), Failure> {
        // `-` is standard input.
        let given =
            given.iter().filter_map(|&(option, path)| Some((option, path.filter(|path| *path != Path::new("-"))?)));
        let mut others: Vec<(&str, &Path)> = given.collect();
        for (option, path) in [
            ("`--state-out`", self.state_out.as_deref()),
            ("`--output`", self.output.as_deref()),
            ("`--summary`", self.summary.as_deref()),
        ] {
            let Some(path) = path else { continue };
            let is_own = |other: &str| (option, other) == ("`--state-out`", "`--state`");
            let clash = others.iter().find(|(other, at)| !is_own(other) && files::are_same(at, path));
            if let Some((other, _)) = clash {
                return Err(Failure::same_file(option, other, &path.display().to_string()));
            }
            others.push((option, path));
        }
        Ok(())
    }

    /// Checks that the form of the output and its place go together.
    ///
    /// # Errors
    /// [`Failure`] that says what does not.
    fn check(&self, catalog: &ConfiguredCatalog) -> Result<(), Failure> {
        match (self.format, &self.output) {
            (Format::Airbyte, Some(_)) => Err(Failure::no_bare_format()),
            (Format::Csv, None) if catalog.streams.len() > 1 => Err(Failure::one_csv(catalog.streams.len())),
            (format, Some(path)) if folder::is_named_as_file(path) && !path.exists() => {
                let stream = catalog.streams.first().map_or("STREAM", |configured| configured.stream.name.as_str());
                Err(Failure::output_is_folder(&path.display().to_string(), stream, format.extension()))
            }
            _ => Ok(()),
        }
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
pub(crate) struct Opening {
    destination: Arc<Mutex<Option<Destination>>>,
    /// What stdout is, if it is a file or a pipe.
    stdout: Option<(u64, u64)>,
}

impl Opening {
    /// Opens what the command line names, before the store is asked for anything. Gives back the states that are
    /// handed in.
    ///
    /// # Errors
    /// [`Failure`] that says what cannot be used.
    pub(crate) fn open(
        &self,
        route: &Route,
        catalog: &ConfiguredCatalog,
        view: &View,
        state: Option<&Path>,
    ) -> Result<States, Failure> {
        route.check(catalog)?;
        let mut destination = Destination::default();
        // The file is taken before it is read: nobody may change it in between.
        let claimed = route.state_out.as_deref().map(|path| self.claim(path)).transpose()?;
        let is_one = |claimed: &Claimed| state.is_some_and(|state| files::are_same(state, claimed.path()));
        let given = match state {
            // It need not be there yet if it is the one that is kept.
            Some(path) if matches!(path.try_exists(), Ok(false)) && claimed.as_ref().is_some_and(is_one) => {
                States::default()
            }
            Some(path) => given_states::read(path)?,
            None => States::default(),
        };
        if let Some(claimed) = claimed {
            let is_read = |name: &str| {
                let read = |configured: &ConfiguredStream| given_states::are_one(&configured.stream.name, name);
                catalog.streams.iter().any(read)
            };
            let path = claimed.path().display().to_string();
            let old = match claimed.is_there() {
                true if is_one(&claimed) => States { has_others: given.has_others, ..States::default() },
                true => given_states::read(claimed.path()).map_err(|_| Failure::no_state_file(&path))?,
                false => States::default(),
            };
            if given_states::is_something_else(&old) {
                return Err(Failure::no_state_file(&path));
            }
            let is_kept = |old: &StreamState| {
                !is_read(&old.name) && !given.list.iter().any(|state| given_states::are_one(&state.name, &old.name))
            };
            let kept = old.list.into_iter().filter(is_kept);
            let states = StateFile::start(claimed, given.list.iter().cloned().chain(kept));
            destination.states = Some(states.map_err(|error| Failure::state_out(&path, &error.to_string()))?);
        }
        if let Some(path) = &route.output {
            let folder = Folder::open(path, route.format).map_err(|fault| match fault {
                Unusable::Busy => Failure::busy_folder(&path.display().to_string()),
                Unusable::Failed(at, error) => Failure::unusable_folder(&at.display().to_string(), &error),
            });
            destination.folder = Some(folder?);
        }
        if route.format == Format::Csv {
            for configured in &catalog.streams {
                let name = &configured.stream.name;
                let selection = &configured.stream.json_schema;
                let columns = streams::find(name).and_then(|stream| view.columns(stream, selection)).map(Columns::new);
                destination.columns.extend(columns.map(|columns| (name.clone(), columns)));
            }
        }
        *self.destination.lock().unwrap_or_else(PoisonError::into_inner) = Some(destination);
        Ok(given)
    }

    /// Checks that the file of `--summary` is not the one that stdout is, nor one of the folder of records.
    ///
    /// # Errors
    /// [`Failure`] that names both.
    pub(crate) fn check_summary(&self, route: &Route) -> Result<(), Failure> {
        let Some(path) = route.summary.as_deref() else { return Ok(()) };
        self.check_stdout("`--summary`", path)?;
        let parent = path.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
        let folders = (parent.and_then(files::identity_of), route.output.as_deref().and_then(files::identity_of));
        match folders {
            (Some(one), Some(other)) if one == other => {
                Err(Failure::same_file("`--summary`", "`--output`", &path.display().to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Checks that the file of an option is not the one that stdout is.
    fn check_stdout(&self, option: &str, path: &Path) -> Result<(), Failure> {
        match files::identity_of(path) {
            Some(found) if Some(found) == self.stdout => {
                Err(Failure::same_file(option, "standard output", &path.display().to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Takes the file of `--state-out`.
    fn claim(&self, path: &Path) -> Result<Claimed, Failure> {
        let name = path.display().to_string();
        self.check_stdout("`--state-out`", path)?;
        Claimed::new(path).map_err(|fault| match fault {
            Unclaimed::Busy => Failure::busy_state(&name),
            Unclaimed::Unwritable(clause) => Failure::state_out(&name, &clause),
        })
    }

    fn take(&self) -> Option<Destination> {
        self.destination.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The sink for `out`, how to tell it where a read goes, and the board that shows how far it is. Without a
/// route it is no read.
///
/// `stdout` is what `out` is: rows in a file are brought to the disk before a state that covers them.
pub(crate) fn outlet(
    out: impl Write + Send + 'static,
    stdout: Stdout,
    route: Option<&Route>,
    terminals: Terminals,
) -> (Box<dyn Sink>, Opening, Arc<Board>) {
    let opening = Opening { stdout: stdout.identity, ..Opening::default() };
    let no_read = Route { quiet: true, ..Route::default() };
    let route = route.unwrap_or(&no_read);
    let quiet = route.quiet;
    let board = Arc::new(if terminals.stderr && !quiet { Board::on_stderr() } else { Board::default() });
    if route.dry_run {
        let board = Arc::new(Board::default());
        let words = Words::new(Telling::Warnings, terminals.stderr, Arc::clone(&board), Kept::Nowhere);
        return (Box::new(Report { out, words }), opening, board);
    }
    let is_watched = terminals.stdout || terminals.stderr;
    // Whoever looks at stderr does not see what the file says. Where both are one file, it would not hold messages
    // alone.
    let is_file = stdout.file.is_some() && !terminals.one_file;
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
        stdout_file: stdout.file.map(Arc::new),
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
