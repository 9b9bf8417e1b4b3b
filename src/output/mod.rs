//! Where the output goes and in which form: the sink between the writer's thread and stdout, files,
//! the file of states, and the words for people on stderr.
//!
//! Without a flag that asks for something else, and without a terminal, none of this is in the way:
//! stdout gets every byte as it is. What lives here: `record_encoder` and `csv` (records without messages),
//! `folder` (files of records), `state_file`, `stdout` (what that is), `console` (messages for people), `progress` with
//! `progress_lines`, `rate`, `waits` and `summary` (what is seen of a read in a terminal), `table`, `spinner`, `run_summary`
//! (the document for programs that watch runs), `forecast` and `dry_run_sink` (what a read would take).
//! Nothing here asks the store or decides what is read.

mod console;
mod csv;
mod dry_run_sink;
pub(crate) mod forecast;
mod output_dir;
pub mod progress;
mod progress_lines;
mod rate;
mod record_encoder;
pub mod run_summary;
pub(crate) mod spinner;
pub(crate) mod state_file;
pub mod stdout;
mod summary;
pub(crate) mod table;
pub mod wait_time;

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use clap::{Args, ValueEnum};

use crate::airbyte::message::{Message, closing_state};
use crate::airbyte::parsed_message::ParsedMessage;
use crate::airbyte::state::{States, StoredState};
use crate::airbyte::{ConfiguredCatalog, ConfiguredStream, Passthrough, Sink, StreamStatus, WriteError};
use crate::json::NotJson;
use crate::record_options::RecordOptions;
use crate::user_error::UserError;
use crate::{Terminals, files, state_input, streams};
use console::{Console, StateLocation, Verbosity};
pub(crate) use csv::Columns;
use dry_run_sink::DryRunSink;
use output_dir::{OutputDir, OutputDirError};
use progress::Progress;
use record_encoder::RecordEncoder;
use state_file::{ClaimError, LockedStateFile, StateFile};
use stdout::Stdout;

/// The form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Messages of the Airbyte protocol
    #[default]
    Airbyte,
    /// Only records, one JSON object per line
    Jsonl,
    /// Only records, comma-separated, with a header
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
pub(crate) struct OutputArgs {
    /// Write the state to this file, for `--state` of the next read; both may name the same file
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub state_out: Option<PathBuf>,
    /// The format of the output
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "airbyte")]
    pub format: Format,
    /// Write one file per stream to this folder, instead of stdout; requires `--format jsonl` or `csv`
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub output: Option<PathBuf>,
    /// Write a summary of the run to this file when it ends, as one JSON document
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub summary: Option<PathBuf>,
    /// Print only warnings and errors on stderr
    #[arg(long)]
    pub quiet: bool,
    /// Print an estimate of this read (rows, calls and time) without reading rows
    #[arg(long)]
    pub dry_run: bool,
    /// Print the estimate as one JSON document
    #[arg(long, requires = "dry_run")]
    pub json: bool,
}

impl OutputArgs {
    /// Checks that no file is written that is read as well, or written twice. `given` are the options that name
    /// files to read. A state is read and written in one place on purpose.
    ///
    /// # Errors
    /// [`UserError`] that names both options.
    pub(crate) fn check_paths(&self, given: &[(&'static str, Option<&Path>)]) -> Result<(), UserError> {
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
                return Err(UserError::same_file(option, other, &path.display().to_string()));
            }
            others.push((option, path));
        }
        Ok(())
    }

    /// Checks that the form of the output and its place go together.
    ///
    /// # Errors
    /// [`UserError`] that says what does not.
    fn check(&self, catalog: &ConfiguredCatalog) -> Result<(), UserError> {
        match (self.format, &self.output) {
            (Format::Airbyte, Some(_)) => Err(UserError::output_needs_record_format()),
            (Format::Csv, None) if catalog.streams.len() > 1 => {
                Err(UserError::csv_needs_one_stream(catalog.streams.len()))
            }
            (format, Some(path)) if output_dir::is_named_as_file(path) && !path.exists() => {
                let stream = catalog.streams.first().map_or("STREAM", |configured| configured.stream.name.as_str());
                Err(UserError::output_must_be_directory(&path.display().to_string(), stream, format.extension()))
            }
            _ => Ok(()),
        }
    }
}

/// What the output needs of a read that is about to begin.
#[derive(Debug, Default)]
struct Destination {
    columns: HashMap<String, Columns>,
    folder: Option<OutputDir>,
    states: Option<StateFile>,
}

/// Hands the destination over to the sink, which was there first: whatever is wrong with the files that
/// a read is given goes through it too.
#[derive(Clone, Debug, Default)]
pub(crate) struct PendingDestination {
    destination: Arc<Mutex<Option<Destination>>>,
    /// What stdout is, if it is a file or a pipe.
    stdout: Option<(u64, u64)>,
}

impl PendingDestination {
    /// Opens what the command line names, before the store is asked for anything. Gives back the states that are
    /// handed in.
    ///
    /// # Errors
    /// [`UserError`] that says what cannot be used.
    pub(crate) fn open(
        &self,
        output_args: &OutputArgs,
        catalog: &ConfiguredCatalog,
        record_options: &RecordOptions,
        state: Option<&Path>,
    ) -> Result<States, UserError> {
        output_args.check(catalog)?;
        let mut destination = Destination::default();
        // The file is taken before it is read: nobody may change it in between.
        let locked = output_args.state_out.as_deref().map(|path| self.lock_state_file(path)).transpose()?;
        let is_one = |locked: &LockedStateFile| state.is_some_and(|state| files::are_same(state, locked.path()));
        let given = match state {
            // It need not be there yet if it is the one that is kept.
            Some(path) if matches!(path.try_exists(), Ok(false)) && locked.as_ref().is_some_and(is_one) => {
                States::default()
            }
            Some(path) => state_input::read(path)?,
            None => States::default(),
        };
        if let Some(locked) = locked {
            let is_read = |name: &str| {
                let read = |configured: &ConfiguredStream| state_input::are_one(&configured.stream.name, name);
                catalog.streams.iter().any(read)
            };
            let path = locked.path().display().to_string();
            let old = match locked.is_there() {
                true if is_one(&locked) => States { has_other_messages: given.has_other_messages, ..States::default() },
                true => state_input::read(locked.path()).map_err(|_| UserError::no_state_file(&path))?,
                false => States::default(),
            };
            if state_input::is_something_else(&old) {
                return Err(UserError::no_state_file(&path));
            }
            let is_kept = |old: &StoredState| {
                !is_read(&old.name) && !given.list.iter().any(|state| state_input::are_one(&state.name, &old.name))
            };
            let kept = old.list.into_iter().filter(is_kept);
            let states = StateFile::start(locked, given.list.iter().cloned().chain(kept));
            destination.states = Some(states.map_err(|error| UserError::state_out(&path, &error.to_string()))?);
        }
        if let Some(path) = &output_args.output {
            let folder = OutputDir::open(path, output_args.format).map_err(|fault| match fault {
                OutputDirError::Busy => UserError::busy_folder(&path.display().to_string()),
                OutputDirError::Failed(at, error) => UserError::unusable_folder(&at.display().to_string(), &error),
            });
            destination.folder = Some(folder?);
        }
        if output_args.format == Format::Csv {
            for configured in &catalog.streams {
                let name = &configured.stream.name;
                let selection = &configured.stream.json_schema;
                let columns =
                    streams::find(name).and_then(|stream| record_options.columns(stream, selection)).map(Columns::new);
                destination.columns.extend(columns.map(|columns| (name.clone(), columns)));
            }
        }
        *self.destination.lock().unwrap_or_else(PoisonError::into_inner) = Some(destination);
        Ok(given)
    }

    /// Checks that the file of `--summary` is not the one that stdout is, nor one of the folder of records.
    ///
    /// # Errors
    /// [`UserError`] that names both.
    pub(crate) fn check_summary(&self, output_args: &OutputArgs) -> Result<(), UserError> {
        let Some(path) = output_args.summary.as_deref() else { return Ok(()) };
        self.check_stdout("`--summary`", path)?;
        let parent = path.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
        let folders = (parent.and_then(files::identity_of), output_args.output.as_deref().and_then(files::identity_of));
        match folders {
            (Some(one), Some(other)) if one == other => {
                Err(UserError::same_file("`--summary`", "`--output`", &path.display().to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Checks that the file of an option is not the one that stdout is.
    fn check_stdout(&self, option: &str, path: &Path) -> Result<(), UserError> {
        match files::identity_of(path) {
            Some(found) if Some(found) == self.stdout => {
                Err(UserError::same_file(option, "standard output", &path.display().to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Takes the file of `--state-out`.
    fn lock_state_file(&self, path: &Path) -> Result<LockedStateFile, UserError> {
        let name = path.display().to_string();
        self.check_stdout("`--state-out`", path)?;
        LockedStateFile::new(path).map_err(|fault| match fault {
            ClaimError::Busy => UserError::busy_state(&name),
            ClaimError::Unwritable(clause) => UserError::state_out(&name, &clause),
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
pub(crate) fn build_sink(
    out: impl Write + Send + 'static,
    stdout: Stdout,
    output_args: Option<&OutputArgs>,
    terminals: Terminals,
) -> (Box<dyn Sink>, PendingDestination, Arc<Progress>) {
    let pending = PendingDestination { stdout: stdout.identity, ..PendingDestination::default() };
    let no_read = OutputArgs { quiet: true, ..OutputArgs::default() };
    let output_args = output_args.unwrap_or(&no_read);
    let quiet = output_args.quiet;
    let progress = Arc::new(if terminals.stderr && !quiet { Progress::on_stderr() } else { Progress::default() });
    if output_args.dry_run {
        let progress = Arc::new(Progress::default());
        let console =
            Console::new(Verbosity::Warnings, terminals.stderr, Arc::clone(&progress), StateLocation::Nowhere);
        return (Box::new(DryRunSink { out, console }), pending, progress);
    }
    let is_watched = terminals.stdout || terminals.stderr;
    // Whoever looks at stderr does not see what the file says. Where both are one file, it would not hold messages
    // alone.
    let is_file = stdout.file.is_some() && !terminals.one_file;
    if output_args.format == Format::Airbyte && output_args.state_out.is_none() && !is_watched && !is_file {
        return (Box::new(Passthrough(out)), pending, progress);
    }
    let verbosity = match (output_args.format, terminals) {
        (Format::Airbyte, _) if !is_watched => is_file.then_some(Verbosity::OneLineErrors),
        // Warnings stand on the terminal already, as messages.
        (Format::Airbyte, Terminals { stdout: true, .. }) => Some(Verbosity::Errors),
        (Format::Airbyte, _) if quiet => Some(Verbosity::Errors),
        (Format::Airbyte, _) => Some(Verbosity::Warnings),
        (Format::Jsonl | Format::Csv, _) if quiet || progress.is_shown() => Some(Verbosity::Warnings),
        (Format::Jsonl | Format::Csv, _) => Some(Verbosity::Everything),
    };
    let state_location = match (&output_args.state_out, output_args.format) {
        (Some(path), _) => StateLocation::File(path.clone()),
        (None, Format::Airbyte) if !terminals.stdout => StateLocation::Output,
        (None, _) => StateLocation::Nowhere,
    };
    let console =
        verbosity.map(|verbosity| Console::new(verbosity, terminals.stderr, Arc::clone(&progress), state_location));
    let encoder = match output_args.format {
        Format::Airbyte => None,
        format => Some(RecordEncoder::new(format)),
    };
    let shared = (terminals.stdout && progress.is_shown()).then(|| Arc::clone(&progress));
    let sink = OutputSink {
        out,
        stdout_file: stdout.file.map(Arc::new),
        pending: pending.clone(),
        encoder,
        destination: Destination::default(),
        console,
        shared,
    };
    (Box::new(sink), pending, progress)
}

/// The sink where something was asked for.
struct OutputSink<W> {
    out: W,
    stdout_file: Option<Arc<File>>,
    pending: PendingDestination,
    /// Makes bare records, where these are wanted.
    encoder: Option<RecordEncoder>,
    destination: Destination,
    console: Option<Console>,
    /// The board, if it shares a terminal with stdout.
    shared: Option<Arc<Progress>>,
}

impl<W: Write + Send> OutputSink<W> {
    /// Writes to stdout, beside the lines of the board.
    fn print(&mut self, lines: &[u8]) -> Result<(), WriteError> {
        let out = &mut self.out;
        match &self.shared {
            Some(progress) => progress.suspend(|| out.write_all(lines).and_then(|()| out.flush())),
            None => out.write_all(lines),
        }
        .map_err(WriteError::stdout)
    }

    fn records(&mut self, lines: &[u8]) -> Result<(), WriteError> {
        if let Some(destination) = self.pending.take() {
            self.destination = destination;
        }
        match &mut self.encoder {
            None => self.print(lines)?,
            Some(encoder) => {
                let batch = encoder.encode(lines, &mut self.destination.columns);
                let broken = |fault: NotJson| WriteError {
                    what: "a record".to_owned(),
                    error: std::io::Error::other(format!("it is not valid JSON at byte {}", fault.0)),
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
            self.out.flush().map_err(WriteError::stdout)?;
        }
        states.note(line, |stream| match folder {
            Some(folder) => folder.file(stream),
            None => self.stdout_file.as_ref(),
        })
    }

    fn message(&mut self, line: &[u8]) -> Result<(), WriteError> {
        if self.encoder.is_none() {
            self.print(line)?;
        }
        let needed = self.console.is_some() || self.encoder.is_some();
        let Some(parsed_message) = needed.then(|| ParsedMessage::parse(line)).flatten() else { return Ok(()) };
        if let ParsedMessage::Status { stream, status: StreamStatus::Complete | StreamStatus::Incomplete, .. } =
            &parsed_message
        {
            self.end(stream)?;
        }
        if let Some(console) = &mut self.console {
            console.print(&parsed_message);
        }
        Ok(())
    }

    /// Brings what was written of a stream to its end.
    fn end(&mut self, stream: &str) -> Result<(), WriteError> {
        match &mut self.destination.folder {
            Some(folder) => folder.finish(stream),
            None => {
                // A table without rows has a header all the same.
                let header =
                    self.encoder.as_mut().and_then(|encoder| encoder.header(stream, &mut self.destination.columns));
                header.map_or(Ok(()), |header| self.print(&header))
            }
        }
    }

    /// Says on stdout too that the sync cannot go on, where a program reads messages there.
    fn report_write_error(&mut self, written: Result<(), WriteError>) -> Result<(), WriteError> {
        if let (Err(fault), None) = (&written, &self.encoder)
            && fault.what != "stdout"
        {
            let user_error = UserError::unwritten(fault);
            let line = Message::user_error(user_error.kind, &user_error.message, user_error.internal.as_deref()).line();
            // Stdout may be gone as well; stderr is told in any case.
            let _ignored = self.out.write_all(&line);
        }
        written
    }
}

impl<W: Write + Send> Sink for OutputSink<W> {
    fn take(&mut self, lines: &[u8]) -> Result<(), WriteError> {
        let written = if ParsedMessage::is_message(lines) { self.message(lines) } else { self.records(lines) };
        self.report_write_error(written)
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        self.out.flush().map_err(WriteError::stdout)
    }

    fn finish(&mut self) -> Result<(), WriteError> {
        if let Some(destination) = self.pending.take() {
            self.destination = destination;
        }
        let Destination { folder, states, .. } = &mut self.destination;
        let files = folder.as_mut().map_or(Ok(()), OutputDir::finish_all);
        // Written to the end also where a file failed: the states it has cover rows that are on the disk.
        let states = states.as_mut().map_or(Ok(()), StateFile::finish);
        let written = self.report_write_error(files.and(states));
        self.flush().and(written)
    }
}
