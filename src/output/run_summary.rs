//! The document of `read --summary`: the result of a run, for programs that monitor it.
//!
//! It is written once, when the run ends for any reason. Figures are collected while streams are read; unknown ones
//! are null. `docs/reference/summary.schema.json` describes the document.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::options::OutputError;
use super::progress::{self, Count};
use crate::airbyte::message::now;
use crate::airbyte::{Closed, ConfiguredCatalog, FailureType, SyncMode, TraceError, WriteError};
use crate::files::{self, WritableFile};
use crate::timestamp::Timestamp;

/// Version of the document. New fields do not change it; a changed meaning of a field does.
const FORMAT: u32 = 1;

/// Figures of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamFigures {
    /// Rows delivered.
    pub rows: u64,
    /// Rows reported as deleted; `None` if they are not detected.
    pub deleted: Option<u64>,
    /// Requests sent, including repeated and failed ones.
    pub requests: u64,
    /// Failed attempts that were repeated.
    pub retries: u64,
    /// Time spent waiting for the call limit or before another attempt.
    pub waited: Duration,
    /// The cursor of the last state.
    pub cursor: Option<String>,
}

/// The status of a stream at the end of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// The run ended before the stream began.
    #[default]
    NotStarted,
    /// It was not read completely.
    Incomplete,
    /// It was read completely.
    Complete,
}

/// The entry of a stream.
#[derive(Default)]
struct Stream {
    name: String,
    sync_mode: Option<SyncMode>,
    status: Status,
    cursor_before: Option<String>,
    figures: Option<StreamFigures>,
    /// Returns the figures while the stream is read.
    follow: Option<Box<dyn Fn() -> Option<StreamFigures> + Send>>,
}

impl Stream {
    /// Stores the last figures.
    fn freeze(&mut self) {
        if let Some(follow) = self.follow.take() {
            self.figures = follow();
        }
    }
}

#[derive(Default)]
struct RunState {
    streams: Vec<Stream>,
    calls: Option<Count>,
}

/// Collects the figures of a run, if there is a file for them.
pub struct RunSummary {
    path: Option<PathBuf>,
    began: u64,
    /// The file, after [`try_file`](Self::try_file).
    target: OnceLock<WritableFile>,
    run_state: Mutex<RunState>,
}

impl fmt::Debug for RunSummary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Summary").field("path", &self.path).finish_non_exhaustive()
    }
}

impl RunSummary {
    /// Returns the summary of a run that starts now. Without a path it collects nothing.
    pub fn new(path: Option<&Path>) -> Self {
        Self { path: path.map(Path::to_owned), began: now(), target: OnceLock::new(), run_state: Mutex::default() }
    }

    /// Checks that the file can be written.
    pub(crate) fn try_file(&self) -> Result<(), OutputError> {
        let Some(path) = &self.path else { return Ok(()) };
        let target = files::check_writable(path);
        let target = target.map_err(|problem| OutputError::Summary(path.clone(), problem))?;
        // It is checked once per run.
        let _first = self.target.set(target);
        Ok(())
    }

    fn run_state(&self) -> MutexGuard<'_, RunState> {
        // Each change is complete when the lock is released.
        self.run_state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, stream: &str, change: impl FnOnce(&mut Stream)) {
        if let Some(stream) = self.run_state().streams.iter_mut().find(|known| known.name == stream) {
            change(stream);
        }
    }

    /// Adds the streams of a read; `count` returns the use of the call limit.
    pub fn plan(&self, catalog: &ConfiguredCatalog, count: impl Fn() -> progress::Calls + Send + Sync + 'static) {
        if self.path.is_none() {
            return;
        }
        let streams = catalog.streams.iter().map(|configured| Stream {
            name: configured.stream.name.clone(),
            sync_mode: Some(configured.sync_mode),
            ..Stream::default()
        });
        *self.run_state() = RunState { streams: streams.collect(), calls: Some(Box::new(count)) };
    }

    /// Records that a stream begins.
    pub fn begin(&self, stream: &str) {
        self.change(stream, |stream| stream.status = Status::Incomplete);
    }

    /// Records the cursor before a stream; `figures` returns its figures while it is read.
    pub fn follow(
        &self,
        stream: &str,
        cursor: Option<String>,
        figures: impl Fn() -> Option<StreamFigures> + Send + 'static,
    ) {
        self.change(stream, |stream| {
            stream.cursor_before = cursor;
            stream.follow = Some(Box::new(figures));
        });
    }

    /// Records that a stream has ended.
    pub fn end(&self, stream: &str, complete: Result<bool, Closed>) {
        self.change(stream, |stream| {
            stream.freeze();
            if complete == Ok(true) {
                stream.status = Status::Complete;
            }
        });
    }

    /// Stores the last figures of streams that did not end. Their sources are not used after this.
    pub fn freeze(&self) {
        self.run_state().streams.iter_mut().for_each(Stream::freeze);
    }

    /// Writes the document, with the emitted errors; `unwritten` is an error of the output.
    pub fn write(&self, exit_code: u8, errors: &[TraceError], unwritten: Option<TraceError>) -> Result<(), WriteError> {
        let Some(target) = self.target.get() else { return Ok(()) };
        self.freeze();
        let text = self.text(exit_code, errors, unwritten);
        let fault = |error| WriteError { what: format!("the summary `{}`", target.path().display()), error };
        target.write_atomically(text.as_bytes()).map_err(fault)
    }

    fn text(&self, exit_code: u8, errors: &[TraceError], unwritten: Option<TraceError>) -> String {
        let of = |name: Option<&str>| errors.iter().find(|error| error.stream() == name).cloned().map(ErrorBody::from);
        let run_state = self.run_state();
        let streams = run_state.streams.iter().map(|stream| StreamBody {
            stream: &stream.name,
            sync_mode: stream.sync_mode,
            status: stream.status,
            rows: stream.figures.as_ref().map(|figures| figures.rows),
            deleted: stream.figures.as_ref().and_then(|figures| figures.deleted),
            requests: stream.figures.as_ref().map(|figures| figures.requests),
            retries: stream.figures.as_ref().map(|figures| figures.retries),
            waited_seconds: stream.figures.as_ref().map(|figures| figures.waited.as_secs_f64()),
            cursor_before: stream.cursor_before.as_deref(),
            cursor_after: stream.figures.as_ref().and_then(|figures| figures.cursor.as_deref()),
            error: of(Some(&stream.name)),
        });
        let document = Document {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION"),
            started_at: moment(self.began),
            ended_at: moment(now()),
            exit_code,
            error: unwritten.map(ErrorBody::from).or_else(|| of(None)),
            calls: run_state.calls.as_ref().map(|count| {
                let progress::Calls { made, refused, foreign, allowed, in_use, .. } = count();
                Calls { made, refused, foreign, allowed, in_use }
            }),
            streams: streams.collect(),
        };
        let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// Returns a time in milliseconds since the epoch as UTC.
fn moment(millis: u64) -> String {
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(0)).to_string()
}

/// The written document.
#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    version: &'static str,
    started_at: String,
    ended_at: String,
    exit_code: u8,
    error: Option<ErrorBody>,
    calls: Option<Calls>,
    streams: Vec<StreamBody<'a>>,
}

#[derive(Serialize)]
struct ErrorBody {
    #[serde(rename = "type")]
    failure_type: FailureType,
    message: String,
}

impl From<TraceError> for ErrorBody {
    fn from(error: TraceError) -> Self {
        Self { failure_type: error.failure_type, message: error.message }
    }
}

/// Calls of the run, and the call limit per window at its end.
#[derive(Serialize)]
struct Calls {
    made: u64,
    refused: u64,
    foreign: u64,
    allowed: Option<u32>,
    in_use: Option<u32>,
}

#[derive(Serialize)]
struct StreamBody<'a> {
    stream: &'a str,
    sync_mode: Option<SyncMode>,
    status: Status,
    rows: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<u64>,
    requests: Option<u64>,
    retries: Option<u64>,
    waited_seconds: Option<f64>,
    cursor_before: Option<&'a str>,
    cursor_after: Option<&'a str>,
    error: Option<ErrorBody>,
}
