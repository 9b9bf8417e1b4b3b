//! The lines that are shown while streams are read, as a pure function of the figures, the time and the size of the
//! terminal.

use std::time::{Duration, Instant};

use super::progress::Calls;
use super::rate::Rate;
use super::table::{cut, grouped};

/// Maximum length of a name that is shown in full: the longest of the table has 31 letters.
const LONGEST_NAME: usize = 31;
/// Minimum width for a bar next to the longest name and its numbers.
const WIDE: usize = 110;
/// Length of a bar in characters: each stands for 5 %.
const BAR: usize = 20;
/// Lines of the terminal that do not show streams: two for the totals, one for the number of hidden streams, one for
/// the cursor.
const OTHER_LINES: usize = 4;
/// Rows per page that are assumed before the first page has arrived: as many as are requested.
const USUAL_PAGE: u64 = 1000;

/// The stage of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has not begun.
    #[default]
    Planned,
    /// It is being read.
    UnderWay,
    /// It has ended.
    Ended,
}

/// The reason of a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// A wait for the call limit, until this time.
    CallLimit(Instant),
    /// A wait before another attempt at this time, after this error.
    Attempt(Instant, String),
}

/// The figures of a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamLine {
    pub(super) stream: String,
    pub(super) stage: Stage,
    pub(super) rows: u64,
    /// Rows that the store counted.
    pub(super) expected: Option<u64>,
    /// Requests that were sent.
    pub(super) requests: u64,
    pub(super) wait: Option<Wait>,
    pub(super) rate: Rate,
    pub(super) began: Option<Instant>,
}

impl StreamLine {
    fn has_news(&self) -> bool {
        self.stage == Stage::UnderWay && (self.requests > 0 || self.wait.is_some())
    }

    /// Returns the remaining rows, if the store has counted them.
    fn left(&self) -> Option<u64> {
        match self.stage {
            Stage::Ended => Some(0),
            // More rows than counted: the count is wrong.
            _ => self.expected.and_then(|expected| expected.checked_sub(self.rows)),
        }
    }

    /// Returns the calls that `rows` more rows take.
    fn calls(&self, rows: u64) -> u64 {
        let page = if self.rows == 0 { USUAL_PAGE } else { (self.rows / self.requests.max(1)).max(1) };
        rows.div_ceil(page)
    }

    fn numbers(&self) -> String {
        match self.expected.filter(|&expected| expected >= self.rows) {
            Some(expected) => format!("{}/{}", grouped(self.rows), grouped(expected)),
            None => grouped(self.rows),
        }
    }

    fn bar(&self) -> Option<String> {
        let expected = self.expected.filter(|&expected| expected > 0)?;
        let done = usize::try_from(self.rows.min(expected) * BAR as u64 / expected).unwrap_or(BAR);
        Some(format!("[{}{}]", "=".repeat(done), " ".repeat(BAR - done)))
    }

    /// Returns the reason of the wait, or the rate.
    fn state(&self, now: Instant) -> String {
        let seconds = |until: Instant| until.saturating_duration_since(now).as_secs_f64().ceil();
        match &self.wait {
            Some(Wait::CallLimit(until)) => format!("call limit: waits {:.0} s", seconds(*until)),
            Some(Wait::Attempt(until, why)) if *until > now => format!("retries in {:.0} s: {why}", seconds(*until)),
            Some(Wait::Attempt(_, why)) => format!("retries: {why}"),
            None => per_second(self.rate.per_second(self.began.unwrap_or(now), now)),
        }
    }
}

fn per_second(rate: f64) -> String {
    format!("{} rows/s", grouped(rate.round() as u64))
}

/// Returns a time as hours, minutes and seconds.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds / 3600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

/// All streams of a read, in the order of the selection.
#[derive(Clone, Debug, Default)]
pub(super) struct ProgressLines {
    pub(super) lines: Vec<StreamLine>,
    pub(super) rate: Rate,
    pub(super) began: Option<Instant>,
}

impl ProgressLines {
    /// Returns the lines, at most `columns` characters wide and as many as `height` lines hold.
    pub(super) fn shown(&self, now: Instant, calls: Option<&Calls>, (columns, height): (usize, usize)) -> Vec<String> {
        let news: Vec<&StreamLine> = self.lines.iter().filter(|line| line.has_news()).collect();
        let listed = news.len().min(height.saturating_sub(OTHER_LINES).max(1));
        let (news, hidden) = news.split_at(listed);
        // Of all streams, so that the columns do not move.
        let name = self.lines.iter().map(|line| line.stream.chars().count()).max().unwrap_or(0).min(LONGEST_NAME);
        let numbers: Vec<String> = news.iter().map(|line| line.numbers()).collect();
        let width = numbers.iter().map(String::len).max().unwrap_or(0);
        let has_bars = columns >= WIDE && news.iter().any(|line| line.bar().is_some());
        let mut shown = Vec::new();
        for (line, numbers) in news.iter().zip(numbers) {
            let bar = match line.bar() {
                _ if !has_bars => String::new(),
                Some(bar) => bar + " ",
                None => " ".repeat(BAR + "[] ".len()),
            };
            let stream = cut(&line.stream, LONGEST_NAME);
            shown.push(format!("{stream:name$}  {bar}{numbers:width$}  {}", line.state(now)));
        }
        if !hidden.is_empty() {
            shown.push(format!("and {} more streams", hidden.len()));
        }
        shown.push(self.in_all(now, calls));
        shown.extend(calls.and_then(Calls::in_use).map(|calls| format!("call limit: {calls}")));
        shown.iter().map(|line| cut(line, columns)).collect()
    }

    fn in_all(&self, now: Instant, calls: Option<&Calls>) -> String {
        let ended = self.lines.iter().filter(|line| line.stage == Stage::Ended).count();
        let rows: u64 = self.lines.iter().map(|line| line.rows).sum();
        let left = self.lines.iter().map(StreamLine::left).try_fold(0, |sum: u64, left| Some(sum + left?));
        let began = self.began.unwrap_or(now);
        let rate = self.rate.per_second(began, now);
        let rows = match left {
            Some(left) if left > 0 => format!("{}/{} rows", grouped(rows), grouped(rows + left)),
            _ => format!("{} rows", grouped(rows)),
        };
        let time = self.time_left(rate, left, calls).map_or_else(String::new, |left| format!(", {} left", clock(left)));
        format!(
            "{ended} of {} streams, {rows}, {}, {}{time}",
            self.lines.len(),
            per_second(rate),
            clock(now.saturating_duration_since(began))
        )
    }

    /// Returns the remaining time, if the store has counted the rows of each stream: at the rate of the last seconds,
    /// and at least as long as the call limit requires.
    fn time_left(&self, rate: f64, left: Option<u64>, calls: Option<&Calls>) -> Option<Duration> {
        let left = left.filter(|&left| left > 0)?;
        let by_rate = (rate > 0.0).then(|| left as f64 / rate);
        let needed: u64 = self.lines.iter().filter_map(|line| Some(line.calls(line.left()?))).sum();
        let by_limit = calls.and_then(|calls| {
            let windows = needed as f64 / f64::from(calls.in_use.filter(|&in_use| in_use > 0)?);
            Some(windows * calls.window.as_secs_f64())
        });
        let seconds = by_rate.into_iter().chain(by_limit).reduce(f64::max)?;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(in_use: u32, others: u32) -> Calls {
        Calls { in_use: Some(in_use), allowed: Some(20), others, window: Duration::from_secs(10), ..Calls::default() }
    }

    fn line(stream: &str, rows: u64, expected: Option<u64>, began: Instant) -> StreamLine {
        let mut line = StreamLine {
            stream: stream.to_owned(),
            stage: Stage::UnderWay,
            rows,
            expected,
            requests: rows / 1000 + 1,
            began: Some(began),
            ..StreamLine::default()
        };
        line.rate.add(began, rows);
        line
    }

    /// Four streams, one of which has the longest name of the table and the largest numbers.
    fn four(began: Instant) -> ProgressLines {
        let mut waits = line("a_stream_whose_name_has_31_char", 9_234_567, Some(12_345_678), began);
        waits.wait = Some(Wait::CallLimit(began + Duration::from_secs(48)));
        let mut fails = line("orders", 2_000, Some(30_000), began);
        fails.wait = Some(Wait::Attempt(began + Duration::from_secs(43), "HTTP 503 from a store".to_owned()));
        let done = StreamLine { stage: Stage::Ended, expected: None, ..line("links", 7, None, began) };
        let mut progress_lines = ProgressLines { began: Some(began), ..ProgressLines::default() };
        progress_lines.lines = vec![waits, fails, done, line("pages", 1_500, Some(3_000), began)];
        progress_lines.rate.add(began, 9_238_074);
        progress_lines
    }

    #[test]
    fn the_lines_fit_the_terminal_and_follow_the_order_of_the_selection() {
        let began = Instant::now();
        let now = began + Duration::from_secs(40);
        let texts = [(120, 40), (80, 24)].map(|size| {
            let shown = four(began).shown(now, Some(&calls(18, 3)), size);
            assert!(shown.iter().all(|line| line.chars().count() <= size.0), "{shown:#?}");
            shown.join("\n")
        });
        insta::assert_snapshot!(texts.join("\n\n"));
    }

    #[test]
    fn a_low_terminal_shows_some_streams_and_says_how_many_more() {
        let began = Instant::now();
        let mut progress_lines = ProgressLines { began: Some(began), ..ProgressLines::default() };
        progress_lines.lines = (0..30).map(|number| line(&format!("stream_{number}"), 10, None, began)).collect();
        let shown = progress_lines.shown(began, None, (80, 10));
        assert_eq!(shown.len(), 8, "{shown:#?}");
        assert!(shown[0].starts_with("stream_0 ") && shown[5].starts_with("stream_5 "), "{shown:#?}");
        assert_eq!(shown[6], "and 24 more streams");
        // Also with bars, the numbers are aligned, whether or not the store has counted the rows.
        progress_lines.lines[0].expected = Some(20);
        let shown = progress_lines.shown(began, None, (120, 10));
        let column = |line: &str| line.find("10").unwrap();
        assert_eq!(column(&shown[0]), column(&shown[1]), "{shown:#?}");
    }

    #[test]
    fn a_stream_without_a_request_is_not_shown() {
        let mut progress_lines = ProgressLines::default();
        progress_lines.lines.push(StreamLine {
            stream: "orders".into(),
            stage: Stage::UnderWay,
            ..StreamLine::default()
        });
        assert_eq!(progress_lines.shown(Instant::now(), None, (80, 24)), ["0 of 1 streams, 0 rows, 0 rows/s, 0:00"]);
    }

    /// Returns the time left for a stream of 100,000 rows, of which 10,000 were read in 10 calls.
    fn left(rate: f64, calls: Option<&Calls>) -> Option<u64> {
        let mut progress_lines = ProgressLines::default();
        let mut line = line("orders", 10_000, Some(100_000), Instant::now());
        line.requests = 10;
        progress_lines.lines.push(line);
        progress_lines.time_left(rate, Some(90_000), calls).map(|left| left.as_secs())
    }

    #[test]
    fn the_time_remaining_follows_from_the_call_limit_in_use() {
        // 90 calls in windows of 10 s.
        assert_eq!(left(0.0, Some(&calls(18, 3))), Some(50));
        assert_eq!(left(0.0, Some(&calls(9, 12))), Some(100));
        // At the start of a window, only the call limit matters, not the rate of the store.
        assert_eq!(left(10_000.0, Some(&calls(18, 3))), Some(50));
        // With a slow store, the call limit is not reached.
        assert_eq!(left(900.0, Some(&calls(18, 3))), Some(100));
        assert_eq!(left(900.0, None), Some(100));
        assert_eq!(left(0.0, None), None);
    }

    #[test]
    fn without_a_count_nothing_is_said_of_the_rest() {
        let began = Instant::now();
        let mut progress_lines = four(began);
        progress_lines.lines.push(line("uncounted", 5, None, began));
        let shown = progress_lines.shown(began, Some(&calls(18, 3)), (80, 24));
        let total = shown.iter().find(|line| line.starts_with("1 of 5")).unwrap();
        assert!(!total.contains("left") && !total.contains('/'.to_string().repeat(2).as_str()), "{total}");
        assert!(!total.contains("/12"), "{total}");
    }
}
