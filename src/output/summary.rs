//! The table after a read: one row per stream, the total, and the use of the call limit.

use std::time::Duration;

use super::progress::{Calls, StreamSummary};
use super::table::{aligned, cut, grouped, width};

/// Maximum streams that are all listed: with more, the table would be longer than a terminal of 24 lines.
const MANY: usize = 18;

/// The longest name that is shown in full: the longest of the table has 31 letters.
const LONGEST_NAME: usize = 31;

/// A stream that has ended.
#[derive(Clone, Debug)]
pub(super) struct EndedStream {
    /// Its figures.
    pub summary: StreamSummary,
    /// The time from its first request to its end.
    pub lasted: Duration,
    /// False if it ended INCOMPLETE.
    pub complete: bool,
}

/// The figures of a read.
#[derive(Clone, Debug, Default)]
pub(super) struct Total {
    /// Its duration.
    pub lasted: Duration,
    /// The time in which all requests waited.
    pub waited: Duration,
    /// The use of the call limit.
    pub calls: Option<Calls>,
}

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Stream,
    Rows,
    Pages,
    Requests,
    Waited,
    Took,
    /// The cursor before and after.
    Cursors,
    /// The cursor after.
    Cursor,
    Outcome,
}

/// The heads of the columns, in the order of [`Column`].
const HEADS: &str = "stream rows pages requests waited took cursor cursor outcome";

use Column::{Cursor, Cursors, Outcome, Pages, Requests, Rows, Stream, Took, Waited};

/// The columns of each form of the table, from the widest to the narrowest; the first that fits is used.
const FORMS: [&[Column]; 4] = [
    &[Stream, Rows, Pages, Requests, Waited, Took, Cursors, Outcome],
    &[Stream, Rows, Pages, Requests, Waited, Took, Cursor, Outcome],
    &[Stream, Rows, Requests, Waited, Took, Outcome],
    &[Stream, Rows, Requests, Outcome],
];

impl Column {
    fn is_number(self) -> bool {
        matches!(self, Rows | Pages | Requests | Waited | Took)
    }

    fn head(self) -> String {
        HEADS.split(' ').nth(self as usize).unwrap_or_default().to_owned()
    }

    fn cell(self, EndedStream { summary, lasted, complete }: &EndedStream) -> String {
        match self {
            Stream => cut(&summary.stream, LONGEST_NAME),
            Rows => grouped(summary.rows),
            Pages => grouped(summary.pages),
            Requests => grouped(summary.requests),
            Waited => seconds(summary.waited.min(*lasted)),
            Took => seconds(*lasted),
            Cursors => match &summary.cursor {
                (Some(from), Some(to)) if from == to => format!("{to} (unchanged)"),
                (Some(from), Some(to)) => format!("{from} -> {to}"),
                (None, Some(to)) => format!("-> {to}"),
                _ => "-".to_owned(),
            },
            Cursor => summary.cursor.1.clone().unwrap_or_else(|| "-".to_owned()),
            Outcome => outcome(*complete),
        }
    }
}

/// Returns a time in seconds, with tenths if it is short.
fn seconds(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 100.0 => format!("{seconds:.1}s"),
        seconds => format!("{seconds:.0}s"),
    }
}

fn outcome(complete: bool) -> String {
    if complete { "complete" } else { "INCOMPLETE" }.to_owned()
}

/// Returns the table, at most `columns` characters wide. Of many streams it lists those with rows and those that
/// failed, and sums up the others in one row.
pub(super) fn written(ended: &[EndedStream], total: &Total, columns: usize) -> String {
    let is_listed = |ended: &&EndedStream| !ended.complete || ended.summary.rows > 0;
    let (listed, others): (Vec<&EndedStream>, Vec<&EndedStream>) =
        if ended.len() > MANY { ended.iter().partition(is_listed) } else { (ended.iter().collect(), Vec::new()) };
    let mut text = String::new();
    for form in FORMS {
        let mut rows = vec![form.iter().map(|column| column.head()).collect()];
        rows.extend(listed.iter().map(|ended| form.iter().map(|column| column.cell(ended)).collect()));
        if !others.is_empty() {
            let name = format!("{} others", others.len());
            rows.push(summed(form, &name, &others, None));
        }
        if ended.len() > 1 {
            rows.push(summed(form, "total", &ended.iter().collect::<Vec<_>>(), Some(total)));
        }
        let numbers: Vec<usize> = (0..form.len()).filter(|&at| form[at].is_number()).collect();
        text = aligned(&rows, &numbers);
        if width(&text) <= columns {
            break;
        }
    }
    if let Some(calls) = total.calls.as_ref().filter(|calls| calls.made > 0) {
        text.push_str(&cut(&calls.in_all(), columns));
        text.push('\n');
    }
    text
}

/// Returns one row for several streams. Their waits overlap, so only the total of a read has a wait.
fn summed(form: &[Column], name: &str, ended: &[&EndedStream], total: Option<&Total>) -> Vec<String> {
    let sum = |of: fn(&StreamSummary) -> u64| grouped(ended.iter().map(|ended| of(&ended.summary)).sum());
    let cell = |column: &Column| match column {
        Stream => name.to_owned(),
        Rows => sum(|summary| summary.rows),
        Pages => sum(|summary| summary.pages),
        Requests => sum(|summary| summary.requests),
        Waited => total.map_or_else(String::new, |total| seconds(total.waited.min(total.lasted))),
        Took => total.map_or_else(String::new, |total| seconds(total.lasted)),
        Cursors | Cursor => String::new(),
        Outcome => outcome(ended.iter().all(|ended| ended.complete)),
    };
    form.iter().map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "2021-07-01T13:59:28Z";
    const AFTER: &str = "2021-07-02T00:00:00.120Z";

    fn ended(stream: &str, rows: u64, cursor: (Option<&str>, Option<&str>), complete: bool) -> EndedStream {
        let cursor = (cursor.0.map(str::to_owned), cursor.1.map(str::to_owned));
        let waited = Duration::from_millis(8_300);
        let summary = StreamSummary { stream: stream.to_owned(), rows, pages: 13, requests: 15, waited, cursor };
        EndedStream { summary, lasted: Duration::from_millis(12_040), complete }
    }

    fn total() -> Total {
        let calls = Calls {
            made: 61,
            refused: 1,
            foreign: 14,
            allowed: Some(20),
            in_use: Some(17),
            others: 3,
            window: Duration::from_secs(10),
        };
        Total { lasted: Duration::from_millis(12_900), waited: Duration::from_millis(9_100), calls: Some(calls) }
    }

    fn four() -> [EndedStream; 4] {
        [
            ended("orders", 12_345_678, (Some(BEFORE), Some(AFTER)), true),
            ended("a_stream_whose_name_has_31_char", 0, (None, None), false),
            ended("pages", 7, (None, Some(AFTER)), true),
            ended("links", 0, (Some(AFTER), Some(AFTER)), true),
        ]
    }

    #[test]
    fn the_table_shows_the_run_and_fits_the_terminal() {
        let texts = [200, 120, 80].map(|columns| {
            let text = written(&four(), &total(), columns);
            assert!(width(&text) <= columns, "{text}");
            text
        });
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn of_many_streams_those_that_did_something_are_listed() {
        let quiet = (0..30).map(|number| ended(&format!("quiet_{number}"), 0, (None, Some(AFTER)), true));
        let all: Vec<EndedStream> = four().into_iter().take(3).chain(quiet).collect();
        let text = written(&all, &total(), 80);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn one_stream_needs_no_total_and_never_waits_longer_than_it_lasted() {
        let mut one = ended("orders", 5, (None, None), true);
        one.lasted = Duration::from_secs(2);
        assert_eq!(
            written(&[one], &Total::default(), 80),
            "stream  rows  pages  requests  waited  took  cursor  outcome\norders     5     13        15    2.0s  2.0s  -       complete\n"
        );
    }
}
