//! What a read would take: a table for people, or one JSON document. Pure.

use serde::Serialize;

use crate::airbyte::SyncMode;

/// Seconds of a window of the call limit (API documentation, API limits).
const WINDOW_SECONDS: u64 = 10;

/// The heads of the columns.
const HEAD: &str = "stream mode rows pages calls time";

/// Stands in the table for what is not known.
const UNKNOWN: &str = "-";

/// What one stream would take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct StreamForecast {
    /// Its name.
    pub stream: String,
    /// How it is read.
    pub sync_mode: SyncMode,
    /// Rows that would be delivered.
    pub rows: Option<u64>,
    /// Pages that hold them.
    pub pages: Option<u64>,
    /// Calls that it takes to read them.
    pub calls: Option<u64>,
    /// Why nothing is known of it.
    pub error: Option<String>,
}

/// The call limit as the answers showed it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct CallLimit {
    /// Calls that the store allows in 10 seconds.
    pub allowed: Option<u32>,
    /// Those that a read may use at present.
    pub in_use: Option<u32>,
}

impl CallLimit {
    /// Returns the seconds that so many calls take, rounded up, if the store reports its limit.
    fn seconds(self, calls: u64) -> Option<u64> {
        self.allowed?;
        let in_use = u64::from(self.in_use?.max(1));
        Some((calls * WINDOW_SECONDS).div_ceil(in_use))
    }
}

/// What a read would take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Forecast {
    /// In the order of the catalog.
    pub streams: Vec<StreamForecast>,
    /// At the end of the requests.
    pub limit: CallLimit,
}

#[derive(Serialize)]
struct Document<'a> {
    streams: Vec<StreamBody<'a>>,
    total: Total,
    call_limit: CallLimit,
}

#[derive(Serialize)]
struct StreamBody<'a> {
    #[serde(flatten)]
    forecast: &'a StreamForecast,
    seconds: Option<u64>,
}

/// The sums; nothing where one of the streams is not known.
#[derive(Serialize)]
struct Total {
    rows: Option<u64>,
    pages: Option<u64>,
    calls: Option<u64>,
    seconds: Option<u64>,
}

impl Forecast {
    fn total(&self) -> Total {
        let sum = |of: fn(&StreamForecast) -> Option<u64>| self.streams.iter().map(of).sum::<Option<u64>>();
        let calls = sum(|stream| stream.calls);
        Total {
            rows: sum(|stream| stream.rows),
            pages: sum(|stream| stream.pages),
            calls,
            seconds: calls.and_then(|calls| self.limit.seconds(calls)),
        }
    }

    /// Returns one JSON document, in one line.
    #[must_use]
    pub(crate) fn json<'s>(&'s self) -> String {
        let seconds = |calls| self.limit.seconds(calls);
        let body = |forecast: &'s StreamForecast| StreamBody { forecast, seconds: forecast.calls.and_then(seconds) };
        let document =
            Document { streams: self.streams.iter().map(body).collect(), total: self.total(), call_limit: self.limit };
        let mut text = serde_json::to_string(&document).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Returns the table, and a line about the call limit. It fits 80 columns.
    #[must_use]
    pub(crate) fn table(&self) -> String {
        let number = |number: Option<u64>| number.map_or_else(|| UNKNOWN.to_owned(), |number| number.to_string());
        let time = |seconds: Option<u64>| seconds.map_or_else(|| UNKNOWN.to_owned(), duration);
        let mut heads = HEAD.split(' ').map(str::to_owned);
        let head = std::array::from_fn(|_| heads.next().unwrap_or_default());
        let row = |stream: &StreamForecast| {
            let mode = match stream.sync_mode {
                SyncMode::FullRefresh => "full",
                SyncMode::Incremental => "incremental",
            };
            let seconds = stream.calls.and_then(|calls| self.limit.seconds(calls));
            let numbers = [stream.rows, stream.pages, stream.calls].map(number);
            let [rows, pages, calls] = numbers;
            [stream.stream.clone(), mode.to_owned(), rows, pages, calls, time(seconds)]
        };
        let mut rows: Vec<[String; 6]> = std::iter::once(head).chain(self.streams.iter().map(row)).collect();
        let total = self.total();
        let [all_rows, pages, calls] = [total.rows, total.pages, total.calls].map(number);
        rows.push(["total".to_owned(), String::new(), all_rows, pages, calls, time(total.seconds)]);
        let widths: [usize; 6] =
            std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
        let mut text = String::new();
        for row in &rows {
            let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
                // Names and modes on the left, numbers on the right.
                if column < 2 { format!("{cell:width$}") } else { format!("{cell:>width$}") }
            });
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text.push_str(&match self.limit {
            CallLimit { allowed: Some(allowed), in_use: Some(in_use) } => {
                format!("Call limit: {allowed} per {WINDOW_SECONDS} s, of which {in_use} may be used.\n")
            }
            _ => "The store does not report its call limit, so the time cannot be estimated.\n".to_owned(),
        });
        text
    }
}

/// Seconds as people read them: `45 s`, `3 min`, `2.5 h`.
fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{}.{} h", seconds / 3600, seconds % 3600 / 360),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forecast() -> Forecast {
        let stream = |stream: &str, sync_mode, numbers: Option<(u64, u64, u64)>| StreamForecast {
            stream: stream.to_owned(),
            sync_mode,
            rows: numbers.map(|numbers| numbers.0),
            pages: numbers.map(|numbers| numbers.1),
            calls: numbers.map(|numbers| numbers.2),
            error: None,
        };
        Forecast {
            streams: vec![
                stream(
                    "a_name_of_31_letters_at_the_most",
                    SyncMode::Incremental,
                    Some((123_456_789, 123_457, 123_460)),
                ),
                stream("stores", SyncMode::FullRefresh, Some((3, 1, 1))),
            ],
            limit: CallLimit { allowed: Some(50), in_use: Some(40) },
        }
    }

    #[test]
    fn the_table_fits_80_columns_and_adds_up() {
        let mut forecast = forecast();
        insta::assert_snapshot!(forecast.table());
        assert!(forecast.table().lines().all(|line| line.len() <= 80));
        // What is not known is not added up to less.
        forecast.streams[1].rows = None;
        forecast.limit = CallLimit::default();
        insta::assert_snapshot!(forecast.table());
    }

    #[test]
    fn time_is_what_the_calls_take_at_the_limit() {
        let limit = CallLimit { allowed: Some(20), in_use: Some(20) };
        assert_eq!([1, 20, 21, 140].map(|calls| limit.seconds(calls)), [Some(1), Some(10), Some(11), Some(70)]);
        assert_eq!(CallLimit { allowed: None, in_use: Some(5) }.seconds(1), None);
        assert_eq!(
            [0, 119, 120, 121, 7199, 7200, 9000].map(duration),
            ["0 s", "119 s", "2 min", "3 min", "120 min", "2.0 h", "2.5 h"]
        );
    }
}
