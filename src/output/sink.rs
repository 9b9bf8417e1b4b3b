//! The sink of a command: writes each message to stdout, to files or to stderr.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use super::console::{Console, StateLocation, Verbosity};
use super::destination::{Destination, PendingDestination};
use super::dry_run_sink::DryRunSink;
use super::options::{Format, OutputOptions};
use super::output_dir::OutputDir;
use super::progress::Progress;
use super::record_encoder;
use super::run_summary::RunSummary;
use super::state_file::StateFile;
use super::stdout::{Stdout, Terminals};
use crate::airbyte::message::{Message, Trace};
use crate::airbyte::{LineBatch, Passthrough, RecordBatch, Sink, StreamStatus, TraceError, WriteError};

/// Output of a read other than its messages: files, progress and the summary.
#[derive(Clone, Debug)]
pub(crate) struct ReadOutput {
    /// Receives the files of the read.
    pub destination: PendingDestination,
    /// Shows the progress of the read.
    pub progress: Arc<Progress>,
    /// Collects what `--summary` reports.
    pub summary: Arc<RunSummary>,
}

/// Returns the sink that writes to `out`. `stdout` and `terminals` describe `out` and stderr. `options` is `None` for
/// commands other than `read`. `describe` phrases an error of a file for a program that reads stdout.
pub(crate) fn open(
    out: impl Write + Send + 'static,
    stdout: Stdout,
    options: Option<OutputOptions>,
    terminals: Terminals,
    describe: fn(&WriteError) -> TraceError,
) -> (Box<dyn Sink>, ReadOutput) {
    let options = options.unwrap_or_else(|| OutputOptions { quiet: true, ..OutputOptions::default() });
    let is_shown = terminals.stderr && !options.quiet && !options.dry_run;
    let progress = Arc::new(if is_shown { Progress::on_stderr() } else { Progress::default() });
    let read_output = ReadOutput {
        destination: PendingDestination::new(stdout.identity),
        progress: Arc::clone(&progress),
        summary: Arc::new(RunSummary::new(options.summary.as_deref())),
    };
    if options.dry_run {
        let console = Console::new(Verbosity::Warnings, terminals.stderr, progress, StateLocation::Nowhere);
        return (Box::new(DryRunSink { out, console }), read_output);
    }
    let is_watched = terminals.stdout || terminals.stderr;
    // If stdout is a file, the user does not see errors in it, so they are also printed on stderr. If stderr is the
    // same file, they would be mixed with the messages.
    let is_file = stdout.file.is_some() && !terminals.one_file;
    if options.format == Format::Airbyte && options.state_out.is_none() && !is_watched && !is_file {
        return (Box::new(Passthrough(out)), read_output);
    }
    let verbosity = match (options.format, terminals) {
        (Format::Airbyte, _) if !is_watched => is_file.then_some(Verbosity::OneLineErrors),
        // Warnings are on the terminal already, as messages.
        (Format::Airbyte, Terminals { stdout: true, .. }) => Some(Verbosity::Errors),
        (Format::Airbyte, _) if options.quiet => Some(Verbosity::Errors),
        (Format::Airbyte, _) => Some(Verbosity::Warnings),
        (Format::Jsonl | Format::Csv, _) if options.quiet || progress.is_shown() => Some(Verbosity::Warnings),
        (Format::Jsonl | Format::Csv, _) => Some(Verbosity::Everything),
    };
    let state_location = match (options.state_out, options.format) {
        (Some(path), _) => StateLocation::File(path),
        (None, Format::Airbyte) if !terminals.stdout => StateLocation::Output,
        (None, _) => StateLocation::Nowhere,
    };
    let console =
        verbosity.map(|verbosity| Console::new(verbosity, terminals.stderr, Arc::clone(&progress), state_location));
    let sink = OutputSink {
        out,
        stdout_file: stdout.file.map(Arc::new),
        pending: read_output.destination.clone(),
        records_only: options.format != Format::Airbyte,
        encoded: Vec::new(),
        destination: Destination::default(),
        console,
        progress: (terminals.stdout && progress.is_shown()).then_some(progress),
        describe,
    };
    (Box::new(sink), read_output)
}

/// The sink for everything except messages to a program and `--dry-run`.
struct OutputSink<W> {
    out: W,
    /// Stdout, if it is a file.
    stdout_file: Option<Arc<File>>,
    pending: PendingDestination,
    destination: Destination,
    /// True if only records are written, not messages.
    records_only: bool,
    /// The records of a block, encoded.
    encoded: Vec<u8>,
    console: Option<Console>,
    /// The lines of the progress, if they share a terminal with stdout.
    progress: Option<Arc<Progress>>,
    describe: fn(&WriteError) -> TraceError,
}

impl<W: Write + Send> OutputSink<W> {
    fn receive_destination(&mut self) {
        if let Some(destination) = self.pending.take() {
            self.destination = destination;
        }
    }

    fn print(&mut self, text: &[u8]) -> Result<(), WriteError> {
        print(&mut self.out, self.progress.as_deref(), text)
    }

    fn write_records(&mut self, stream: &str, prefix_length: usize, lines: LineBatch) -> Result<(), WriteError> {
        let Destination { columns, folder, .. } = &mut self.destination;
        let mut columns = columns.get_mut(stream);
        lines.for_each_block(|lines| {
            self.encoded.clear();
            record_encoder::encode(lines, prefix_length, columns.as_deref_mut(), &mut self.encoded)?;
            match folder {
                Some(folder) => folder.append(stream, &self.encoded),
                None => print(&mut self.out, self.progress.as_deref(), &self.encoded),
            }
        })
    }

    fn write_batch(&mut self, mut batch: RecordBatch) -> Result<(), WriteError> {
        self.receive_destination();
        if !self.records_only {
            batch.append_state_line();
        }
        let RecordBatch { stream, prefix_length, lines, state, .. } = batch;
        if self.records_only {
            self.write_records(&stream, prefix_length, lines)?;
        } else {
            lines.for_each_block(|lines| print(&mut self.out, self.progress.as_deref(), lines))?;
        }
        let (Some(states), Some(state)) = (&self.destination.states, state) else { return Ok(()) };
        let rows = match &self.destination.folder {
            Some(folder) => folder.file(&stream),
            None => {
                self.out.flush().map_err(WriteError::stdout)?;
                self.stdout_file.as_ref()
            }
        };
        states.update(&stream, state.state.get(), rows)
    }

    fn write_message(&mut self, message: &Message) -> Result<(), WriteError> {
        if !self.records_only {
            self.print(&message.line())?;
        }
        if let Message::Trace { trace: Trace::StreamStatus { stream_status, .. } } = message
            && matches!(stream_status.status, StreamStatus::Complete | StreamStatus::Incomplete)
        {
            self.end_stream(&stream_status.stream_descriptor.name)?;
        }
        if let Some(console) = &mut self.console {
            console.print(message);
        }
        Ok(())
    }

    fn end_stream(&mut self, stream: &str) -> Result<(), WriteError> {
        if let Some(folder) = &mut self.destination.folder {
            return folder.finish(stream);
        }
        // CSV without rows has a header too.
        let mut header = Vec::new();
        if let Some(columns) = self.destination.columns.get_mut(stream) {
            columns.header_once(&mut header);
        }
        if header.is_empty() { Ok(()) } else { self.print(&header) }
    }

    /// Emits an error of a file as a message too, if a program reads messages on stdout.
    fn report_write_error(&mut self, written: Result<(), WriteError>) -> Result<(), WriteError> {
        if let Err(error) = &written
            && !self.records_only
            && !error.is_stdout()
        {
            // Stdout may be closed too; the error is always printed on stderr.
            let _ignored = self.out.write_all(&Message::error((self.describe)(error)).line());
        }
        written
    }
}

/// Writes to stdout, without disturbing the lines of the progress if they are on the same terminal.
fn print(out: &mut impl Write, progress: Option<&Progress>, text: &[u8]) -> Result<(), WriteError> {
    match progress {
        Some(progress) => progress.suspend(|| out.write_all(text).and_then(|()| out.flush())),
        None => out.write_all(text),
    }
    .map_err(WriteError::stdout)
}

impl<W: Write + Send> Sink for OutputSink<W> {
    fn records(&mut self, batch: RecordBatch) -> Result<(), WriteError> {
        let written = self.write_batch(batch);
        self.report_write_error(written)
    }

    fn message(&mut self, message: &Message) -> Result<(), WriteError> {
        let written = self.write_message(message);
        self.report_write_error(written)
    }

    fn text(&mut self, text: &str) -> Result<(), WriteError> {
        self.print(text.as_bytes())
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        self.out.flush().map_err(WriteError::stdout)
    }

    fn finish(&mut self) -> Result<(), WriteError> {
        self.receive_destination();
        let Destination { folder, states, .. } = &mut self.destination;
        let files = folder.as_mut().map_or(Ok(()), OutputDir::finish_all);
        // Also if a file failed: the states cover only rows that are on the disk.
        let states = states.as_mut().map_or(Ok(()), StateFile::finish);
        let written = self.report_write_error(files.and(states));
        self.flush().and(written)
    }
}
