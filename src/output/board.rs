//! What a person at a terminal sees of a read: a line for each stream under way, and a table at the end.
//! All of it on stderr, and nothing where stderr is no terminal. Nothing here knows where facts come from.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::words::moment;

/// How often the lines are drawn anew while nothing happens, so that the time is seen to pass.
const TICK: Duration = Duration::from_millis(250);

/// A stream whose rows the store has counted.
const COUNTED: &str = "{prefix} {bar:20} {human_pos}/{human_len} rows, {rate} {wide_msg}";
/// One whose rows it has not.
const UNCOUNTED: &str = "{prefix} {human_pos} rows, {rate} {wide_msg}";
/// All of them.
const ALL: &str = "{prefix}, {human_pos} rows, {rate}, {elapsed}";

/// The lines; or none, which is the default.
#[derive(Debug, Default)]
pub struct Board(Option<Lines>);

#[derive(Debug)]
struct Lines {
    area: MultiProgress,
    all: ProgressBar,
    streams: Mutex<Streams>,
}

#[derive(Debug, Default)]
struct Streams {
    /// How many are to be read.
    planned: usize,
    /// The width of the longest name.
    width: usize,
    under_way: HashMap<String, Line>,
    ended: Vec<Ended>,
}

#[derive(Debug)]
struct Line {
    receipt: Receipt,
    /// Not drawn before there is something to say of the stream.
    bar: Option<ProgressBar>,
    since: Instant,
}

#[derive(Debug)]
struct Ended {
    receipt: Receipt,
    lasted: Duration,
    complete: bool,
}

/// What is to be said of a stream at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The stream.
    pub stream: String,
    /// Rows delivered.
    pub rows: u64,
    /// Answers that came whole.
    pub pages: u64,
    /// Requests sent, those that were repeated too.
    pub requests: u64,
    /// How long it waited for the call limit or for another attempt.
    pub waited: Duration,
    /// Where the cursor was, and where it is now.
    pub cursor: (Option<String>, Option<String>),
}

impl Board {
    /// Lines on stderr.
    #[must_use]
    pub fn on_stderr() -> Self {
        let area = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let all = area.add(ProgressBar::no_length().with_style(style(ALL)));
        Self(Some(Lines { area, all, streams: Mutex::default() }))
    }

    /// Whether there is anything to see.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        self.0.is_some()
    }

    /// Runs what writes to the terminal itself, so that it does not write into the lines.
    pub fn beside<T>(&self, writes: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some(lines) => lines.area.suspend(writes),
            None => writes(),
        }
    }

    /// Streams of these names are to be read.
    pub fn plan<'n>(&self, names: impl Iterator<Item = &'n str>) {
        let Some(lines) = &self.0 else { return };
        let mut streams = lines.streams();
        for name in names {
            streams.planned += 1;
            streams.width = streams.width.max(name.len());
        }
        lines.all.enable_steady_tick(TICK);
        lines.count(&streams);
    }

    /// A stream begins.
    pub fn begin(&self, stream: &str) {
        let Some(lines) = &self.0 else { return };
        let receipt = Receipt { stream: stream.to_owned(), ..Receipt::default() };
        let line = Line { receipt, bar: None, since: Instant::now() };
        lines.streams().under_way.insert(stream.to_owned(), line);
    }

    /// The store has counted its rows.
    pub fn expect(&self, stream: &str, rows: u64) {
        self.change(stream, |bar| {
            bar.set_length(rows);
            bar.set_style(style(COUNTED));
        });
    }

    /// An answer came, and rows of it went out.
    pub fn deliver(&self, stream: &str, rows: u64) {
        self.change(stream, |bar| {
            bar.inc(rows);
            // It waits no longer.
            bar.set_message("");
        });
        if let Some(lines) = &self.0 {
            lines.all.inc(rows);
        }
    }

    /// It waits for the call limit until this moment, in milliseconds since the epoch.
    pub fn wait(&self, stream: &str, until: u64) {
        self.change(stream, |bar| {
            bar.set_message(format!("waits for the call limit until {}", moment(until)));
            bar.force_draw();
        });
    }

    /// An attempt failed, and another follows.
    pub fn retry(&self, stream: &str, why: &str, delay: Duration) {
        self.change(stream, |bar| {
            bar.set_message(format!("tries again in {:.1} s: {why}", delay.as_secs_f64()));
            bar.force_draw();
        });
    }

    /// What is to be said of a stream in the table.
    pub fn account(&self, receipt: Receipt) {
        let Some(lines) = &self.0 else { return };
        if let Some(line) = lines.streams().under_way.get_mut(&receipt.stream) {
            line.receipt = receipt;
        }
    }

    /// A stream is at its end.
    pub fn end(&self, stream: &str, complete: bool) {
        let Some(lines) = &self.0 else { return };
        let mut streams = lines.streams();
        let Some(Line { receipt, bar, since }) = streams.under_way.remove(stream) else { return };
        if let Some(bar) = bar {
            bar.finish_and_clear();
            lines.area.remove(&bar);
        }
        streams.ended.push(Ended { receipt, lasted: since.elapsed(), complete });
        lines.count(&streams);
    }

    /// Takes the lines off the terminal, and gives the table, if a stream was read.
    #[must_use]
    pub fn close(&self) -> Option<String> {
        let lines = self.0.as_ref()?;
        lines.all.disable_steady_tick();
        let streams = lines.streams();
        for line in streams.under_way.values() {
            if let Some(bar) = &line.bar {
                bar.finish_and_clear();
            }
        }
        lines.all.finish_and_clear();
        (!streams.ended.is_empty()).then(|| table(&streams.ended))
    }

    /// Changes the line of a stream, which is drawn now if it was not before.
    fn change(&self, stream: &str, change: impl FnOnce(&ProgressBar)) {
        let Some(lines) = &self.0 else { return };
        let mut streams = lines.streams();
        let width = streams.width;
        let Some(line) = streams.under_way.get_mut(stream) else { return };
        let bar = line.bar.get_or_insert_with(|| {
            let bar = ProgressBar::no_length().with_style(style(UNCOUNTED)).with_prefix(format!("{stream:width$}"));
            lines.area.insert_before(&lines.all, bar)
        });
        change(bar);
    }
}

impl Lines {
    fn streams(&self) -> MutexGuard<'_, Streams> {
        // Only what is drawn depends on it.
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, streams: &Streams) {
        self.all.set_prefix(format!("{} of {} streams done", streams.ended.len(), streams.planned));
    }
}

/// Lines of this form. They have no colours.
fn style(form: &str) -> ProgressStyle {
    let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        // What cannot be drawn is drawn the next time.
        let _drawn = write!(out, "{:.0} rows/s", state.per_sec());
    };
    // The forms are constants, and a test draws each; a line without a form is better than none.
    ProgressStyle::with_template(form)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("rate", rate)
        .progress_chars("=> ")
}

/// The account of the streams that were read, in the order in which they ended.
fn table(ended: &[Ended]) -> String {
    const HEAD: &str = "stream rows pages requests waited seconds cursor outcome";
    /// Columns of numbers, which stand on the right.
    const NUMBERS: std::ops::Range<usize> = 1..6;
    let row = |Ended { receipt, lasted, complete }: &Ended| {
        let cursor = match &receipt.cursor {
            (Some(from), Some(to)) if from == to => format!("{to} (unchanged)"),
            (Some(from), Some(to)) => format!("{from} -> {to}"),
            (None, Some(to)) => format!("-> {to}"),
            _ => "-".to_owned(),
        };
        vec![
            receipt.stream.clone(),
            receipt.rows.to_string(),
            receipt.pages.to_string(),
            receipt.requests.to_string(),
            format!("{:.1}", receipt.waited.as_secs_f64()),
            format!("{:.1}", lasted.as_secs_f64()),
            cursor,
            if *complete { "complete" } else { "NOT COMPLETE" }.to_owned(),
        ]
    };
    let head = HEAD.split(' ').map(str::to_owned).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(ended.iter().map(row)).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = width(column);
            line.push_str(&if NUMBERS.contains(&column) {
                format!("{cell:>width$}")
            } else {
                format!("{cell:width$}")
            });
            line.push_str("  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_the_lines_are_forms() {
        for form in [COUNTED, UNCOUNTED, ALL] {
            ProgressStyle::with_template(form).unwrap();
        }
    }

    #[test]
    fn the_table_holds_what_was_done() {
        let (before, after) = ("2021-07-01T13:59:28Z".to_owned(), "2021-07-02T00:00:00Z".to_owned());
        let ended = [
            ("orders", 12_345, (Some(before), Some(after.clone())), true),
            ("order_items", 0, (None, None), false),
            ("pages", 7, (None, Some(after.clone())), true),
            ("links", 0, (Some(after.clone()), Some(after)), true),
        ]
        .map(|(stream, rows, cursor, complete)| {
            let waited = Duration::from_millis(8_300);
            let receipt = Receipt { stream: stream.to_owned(), rows, pages: 13, requests: 15, waited, cursor };
            Ended { receipt, lasted: Duration::from_millis(12_040), complete }
        });
        insta::assert_snapshot!(table(&ended));
    }

    #[test]
    fn a_board_that_is_not_shown_does_nothing() {
        let board = Board::default();
        board.plan(["orders"].into_iter());
        board.begin("orders");
        board.deliver("orders", 5);
        board.account(Receipt::default());
        board.end("orders", true);
        assert_eq!((board.is_shown(), board.close()), (false, None));
        assert_eq!(board.beside(|| 7), 7);
    }
}
