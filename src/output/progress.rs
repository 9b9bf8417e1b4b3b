//! The progress of a read in a terminal, on stderr: lines while it runs (`progress_lines`), and a table at the end
//! (`summary`).

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::progress_lines::{ProgressLines, Stage, StreamLine, Wait};
use super::summary::{self, EndedStream, Total};
use super::table::{USUAL_WIDTH, grouped};
use super::wait_time::WaitTime;

/// Time between two drawings if nothing changes, so that the clock runs visibly.
const TICK: Duration = Duration::from_millis(250);

/// The height of a terminal that does not report it: most open with this height.
const USUAL_HEIGHT: usize = 24;

/// Returns the columns and lines of the terminal that stderr is.
pub(crate) fn terminal() -> (usize, usize) {
    let size = terminal_size::terminal_size_of(std::io::stderr());
    match size.map(|(width, height)| (usize::from(width.0), usize::from(height.0))) {
        // Some terminals report that they have no size.
        Some((width, height)) if width > 0 && height > 0 => (width, height),
        _ => (USUAL_WIDTH, USUAL_HEIGHT),
    }
}

/// The use of the call limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Calls that this process made.
    pub made: u64,
    /// Calls that the store refused (429).
    pub refused: u64,
    /// Calls of other applications.
    pub foreign: u64,
    /// Calls that the store allows in a window, if it reports it.
    pub allowed: Option<u32>,
    /// Calls per window that this process may make now.
    pub in_use: Option<u32>,
    /// Current calls of other applications per window.
    pub others: u32,
    /// The length of a window.
    pub window: Duration,
}

impl Calls {
    /// Returns the limit in use, like `18 of 20 per 10 s, others 3`, if the store reports its limit.
    pub(super) fn in_use(&self) -> Option<String> {
        let (in_use, allowed) = (self.in_use?, self.allowed?);
        Some(format!("{in_use} of {allowed} per {} s, others {}", self.window.as_secs().max(1), self.others))
    }

    /// Returns the calls of a run, like `calls: 61 made, 1 refused; others made 14; 20 allowed per 10 s`.
    pub(super) fn in_all(&self) -> String {
        let Self { made, refused, foreign, allowed, window, .. } = self;
        let limit = allowed.map_or_else(String::new, |allowed| {
            format!("; {} allowed per {} s", grouped(allowed.into()), window.as_secs().max(1))
        });
        format!(
            "calls: {} made, {} refused; others made {}{limit}",
            grouped(*made),
            grouped(*refused),
            grouped(*foreign)
        )
    }
}

/// Returns the current use of the call limit.
pub(super) type Count = Box<dyn Fn() -> Calls + Send + Sync>;

/// The progress of a read. The default shows nothing.
#[derive(Debug, Default)]
pub struct Progress(Option<Shown>);

#[derive(Debug)]
struct Shown {
    bar: ProgressBar,
    display_state: Arc<Mutex<DisplayState>>,
}

/// Everything that is shown.
#[derive(Default)]
struct DisplayState {
    progress_lines: ProgressLines,
    waits: WaitTime,
    calls: Option<Count>,
    ended: Vec<EndedStream>,
    /// Summaries of streams that are about to end.
    summaries: Vec<StreamSummary>,
}

impl fmt::Debug for DisplayState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DisplayState").field("progress", &self.progress_lines).finish_non_exhaustive()
    }
}

/// A stream in the table at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamSummary {
    /// The stream.
    pub stream: String,
    /// Rows delivered.
    pub rows: u64,
    /// Complete responses.
    pub pages: u64,
    /// Requests sent, including repeated ones.
    pub requests: u64,
    /// Time spent waiting for the call limit or before another attempt.
    pub waited: Duration,
    /// The cursor before and after.
    pub cursor: (Option<String>, Option<String>),
}

impl Progress {
    /// Returns a progress that is shown on stderr.
    pub fn on_stderr() -> Self {
        let display_state: Arc<Mutex<DisplayState>> = Arc::default();
        let seen = Arc::clone(&display_state);
        let lines = move |_: &ProgressState, out: &mut dyn fmt::Write| {
            // A failed drawing is repeated at the next tick.
            let _drawn = out.write_str(&locked(&seen).lines(Instant::now(), terminal()).join("\n"));
        };
        // A test checks the template.
        let style = ProgressStyle::with_template("{lines}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(style.with_key("lines", lines));
        Self(Some(Shown { bar, display_state }))
    }

    /// Returns true if it is shown.
    pub fn is_shown(&self) -> bool {
        self.0.is_some()
    }

    /// Runs a function that writes to the terminal, with the lines hidden.
    pub fn suspend<T>(&self, writes: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some(shown) if locked(&shown.display_state).progress_lines.began.is_some() => shown.bar.suspend(writes),
            // Suspending draws the lines again, and there are none yet.
            _ => writes(),
        }
    }

    /// Starts the progress of a read of these streams.
    pub fn plan<'n>(&self, names: impl Iterator<Item = &'n str>) {
        let Some(shown) = &self.0 else { return };
        let line = |name: &str| StreamLine { stream: name.to_owned(), ..StreamLine::default() };
        {
            let mut display_state = locked(&shown.display_state);
            display_state.progress_lines.lines = names.map(line).collect();
            display_state.progress_lines.began = Some(Instant::now());
        }
        shown.bar.enable_steady_tick(TICK);
    }

    /// Shows the use of the call limit that `count` returns.
    pub fn count_calls(&self, count: impl Fn() -> Calls + Send + Sync + 'static) {
        self.note(|display_state, _| display_state.calls = Some(Box::new(count)));
    }

    /// Records that a stream begins.
    pub fn begin(&self, stream: &str) {
        self.change(stream, |line, now| (line.stage, line.began) = (Stage::UnderWay, Some(now)));
    }

    /// Records the store's count of the rows of a stream.
    pub fn expect(&self, stream: &str, rows: u64) {
        self.change(stream, |line, _| line.expected = Some(rows));
    }

    /// Records emitted rows.
    pub fn deliver(&self, stream: &str, rows: u64) {
        self.change(stream, |line, now| {
            line.rows += rows;
            line.rate.add(now, rows);
        });
        self.note(|display_state, now| display_state.progress_lines.rate.add(now, rows));
    }

    /// Records that a stream waits for the call limit until this time.
    pub fn wait(&self, stream: &str, until: SystemTime) {
        self.change(stream, |line, now| line.wait = Some(Wait::CallLimit(after(now, until))));
        self.note(|display_state, now| display_state.waits.begin(now, after(now, until)));
    }

    /// Records that an attempt failed and another one follows.
    pub fn retry(&self, stream: &str, why: &str, delay: Duration) {
        self.change(stream, |line, now| line.wait = Some(Wait::Attempt(now + delay, why.to_owned())));
        self.note(|display_state, now| display_state.waits.begin(now, now + delay));
    }

    /// Records that a stream sends a request.
    pub fn send(&self, stream: &str) {
        self.change(stream, |line, _| {
            line.requests += 1;
            line.wait = None;
        });
        self.note(|display_state, now| display_state.waits.sent(now));
    }

    /// Adds the summary of a stream that is about to end.
    pub fn add_summary(&self, summary: StreamSummary) {
        self.note(|display_state, _| display_state.summaries.push(summary));
    }

    /// Records that a stream has ended.
    pub fn end(&self, stream: &str, complete: bool) {
        self.change(stream, |line, _| line.stage = Stage::Ended);
        self.note(|display_state, now| {
            let found = display_state.summaries.iter().position(|summary| summary.stream == stream);
            let summary = found.map(|at| display_state.summaries.swap_remove(at));
            let summary =
                summary.unwrap_or_else(|| StreamSummary { stream: stream.to_owned(), ..StreamSummary::default() });
            let line = display_state.progress_lines.lines.iter().find(|line| line.stream == stream);
            let began = line.and_then(|line| line.began).unwrap_or(now);
            display_state.ended.push(EndedStream { summary, lasted: now.saturating_duration_since(began), complete });
        });
    }

    /// Removes the lines, and returns the table, if a stream was read.
    pub fn close(&self) -> Option<String> {
        let shown = self.0.as_ref()?;
        shown.bar.disable_steady_tick();
        shown.bar.finish_and_clear();
        let mut display_state = locked(&shown.display_state);
        let now = Instant::now();
        let began = display_state.progress_lines.began?;
        let order: Vec<String> = display_state.progress_lines.lines.iter().map(|line| line.stream.clone()).collect();
        display_state.ended.sort_by_key(|ended| order.iter().position(|stream| *stream == ended.summary.stream));
        let total = Total {
            lasted: now.saturating_duration_since(began),
            waited: display_state.waits.total(now),
            calls: display_state.calls.as_ref().map(|count| count()),
        };
        (!display_state.ended.is_empty()).then(|| summary::written(&display_state.ended, &total, terminal().0))
    }

    fn note(&self, note: impl FnOnce(&mut DisplayState, Instant)) {
        if let Some(shown) = &self.0 {
            note(&mut locked(&shown.display_state), Instant::now());
        }
    }

    fn change(&self, stream: &str, change: impl FnOnce(&mut StreamLine, Instant)) {
        self.note(|display_state, now| {
            if let Some(line) = display_state.progress_lines.lines.iter_mut().find(|line| line.stream == stream) {
                change(line, now);
            }
        });
    }
}

impl DisplayState {
    fn lines(&self, now: Instant, size: (usize, usize)) -> Vec<String> {
        let calls = self.calls.as_ref().map(|count| count());
        self.progress_lines.shown(now, calls.as_ref(), size)
    }
}

/// Returns a system time as an instant, `now` if it has passed.
fn after(now: Instant, until: SystemTime) -> Instant {
    now + until.duration_since(SystemTime::now()).unwrap_or_default()
}

/// Locks the state. Only the drawing depends on it, so a panic elsewhere does no harm.
fn locked(display_state: &Mutex<DisplayState>) -> MutexGuard<'_, DisplayState> {
    display_state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_of_the_lines_is_valid() {
        ProgressStyle::with_template("{lines}").unwrap();
    }

    #[test]
    fn hidden_progress_does_nothing() {
        let progress = Progress::default();
        progress.plan(["orders"].into_iter());
        progress.begin("orders");
        progress.deliver("orders", 5);
        progress.add_summary(StreamSummary::default());
        progress.end("orders", true);
        assert_eq!((progress.is_shown(), progress.close()), (false, None));
        assert_eq!(progress.suspend(|| 7), 7);
    }

    #[test]
    fn the_table_follows_the_order_of_the_selection() {
        let progress = Progress(Some(Shown { bar: ProgressBar::hidden(), display_state: Arc::default() }));
        progress.plan(["orders", "pages", "links"].into_iter());
        for stream in ["links", "orders", "pages"] {
            progress.begin(stream);
            progress.send(stream);
            progress.deliver(stream, 5);
            progress.add_summary(StreamSummary { stream: stream.to_owned(), rows: 5, ..StreamSummary::default() });
            progress.end(stream, true);
        }
        let table = progress.close().unwrap();
        let first: Vec<&str> = table.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
        assert_eq!(first, ["stream", "orders", "pages", "links", "total"], "{table}");
    }

    #[test]
    fn the_use_of_the_call_limit_is_shown_where_it_is_known() {
        let mut calls = Calls { made: 1_061, refused: 1, foreign: 14, ..Calls::default() };
        assert_eq!(calls.in_use(), None);
        assert_eq!(calls.in_all(), "calls: 1,061 made, 1 refused; others made 14");
        (calls.in_use, calls.allowed, calls.others) = (Some(18), Some(20), 3);
        calls.window = Duration::from_secs(10);
        assert_eq!(calls.in_use().unwrap(), "18 of 20 per 10 s, others 3");
        assert_eq!(calls.in_all(), "calls: 1,061 made, 1 refused; others made 14; 20 allowed per 10 s");
    }
}
