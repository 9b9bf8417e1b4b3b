//! The estimate of `read --dry-run`: a table for people, or one JSON document.

use std::time::Duration;

use serde::Serialize;

use super::table::aligned;
use crate::airbyte::SyncMode;

/// The heads of the columns.
const HEAD: &str = "stream mode rows pages calls time";

/// An unknown figure in the table.
const UNKNOWN: &str = "-";

/// The estimate for a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct StreamForecast {
    /// Its name.
    pub stream: String,
    /// Its sync mode.
    pub sync_mode: SyncMode,
    /// Rows that a read would emit.
    pub rows: Option<u64>,
    /// Pages with these rows.
    pub pages: Option<u64>,
    /// Calls for these pages.
    pub calls: Option<u64>,
    /// Why there is no estimate.
    pub error: Option<String>,
}

impl StreamForecast {
    /// Returns a forecast without figures.
    pub(crate) fn unknown(stream: &str, sync_mode: SyncMode) -> Self {
        Self { stream: stream.to_owned(), sync_mode, rows: None, pages: None, calls: None, error: None }
    }
}

/// The call limit as the responses reported it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct CallLimit {
    /// Calls that the store allows in a window.
    pub allowed: Option<u32>,
    /// Those that a read may use.
    pub in_use: Option<u32>,
    /// The length of a window.
    #[serde(skip)]
    pub window: Duration,
}

impl CallLimit {
    /// Returns the seconds that these calls take, rounded up, if the store reports its limit.
    fn seconds(self, calls: u64) -> Option<u64> {
        self.allowed?;
        let in_use = u128::from(self.in_use?.max(1));
        u64::try_from((u128::from(calls) * self.window.as_millis()).div_ceil(in_use * 1000)).ok()
    }
}

/// The estimate for a read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Forecast {
    /// In the order of the catalog.
    pub streams: Vec<StreamForecast>,
    /// After the last request.
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

/// The sums; null if a stream is unknown.
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

    /// Returns a JSON document on one line.
    pub(crate) fn json<'s>(&'s self) -> String {
        let seconds = |calls| self.limit.seconds(calls);
        let body = |forecast: &'s StreamForecast| StreamBody { forecast, seconds: forecast.calls.and_then(seconds) };
        let document =
            Document { streams: self.streams.iter().map(body).collect(), total: self.total(), call_limit: self.limit };
        let mut text = serde_json::to_string(&document).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Returns the table, with a line about the call limit. It fits 80 columns.
    pub(crate) fn table(&self) -> String {
        let number = |number: Option<u64>| number.map_or_else(|| UNKNOWN.to_owned(), |number| number.to_string());
        let time = |seconds: Option<u64>| seconds.map_or_else(|| UNKNOWN.to_owned(), duration);
        let row = |stream: &StreamForecast| {
            let mode = match stream.sync_mode {
                SyncMode::FullRefresh => "full",
                SyncMode::Incremental => "incremental",
            };
            let seconds = stream.calls.and_then(|calls| self.limit.seconds(calls));
            let [rows, pages, calls] = [stream.rows, stream.pages, stream.calls].map(number);
            vec![stream.stream.clone(), mode.to_owned(), rows, pages, calls, time(seconds)]
        };
        let head = HEAD.split(' ').map(str::to_owned).collect();
        let mut rows: Vec<Vec<String>> = std::iter::once(head).chain(self.streams.iter().map(row)).collect();
        let total = self.total();
        let [all_rows, pages, calls] = [total.rows, total.pages, total.calls].map(number);
        rows.push(vec!["total".to_owned(), String::new(), all_rows, pages, calls, time(total.seconds)]);
        // Names and modes to the left, numbers to the right.
        let mut text = aligned(&rows, &[2, 3, 4, 5]);
        text.push_str(&match self.limit {
            CallLimit { allowed: Some(allowed), in_use: Some(in_use), window } => {
                let window = window.as_secs().max(1);
                format!("Call limit: {allowed} per {window} s, of which {in_use} may be used.\n")
            }
            _ => "The store reports no call limit, so the time depends only on how fast it answers.\n".to_owned(),
        });
        text
    }
}

/// Returns seconds like `45 s`, `3 min` or `2.5 h`.
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
            limit: CallLimit { allowed: Some(50), in_use: Some(40), window: Duration::from_secs(10) },
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
        let limit = CallLimit { allowed: Some(20), in_use: Some(20), window: Duration::from_secs(10) };
        assert_eq!([1, 20, 21, 140].map(|calls| limit.seconds(calls)), [Some(1), Some(10), Some(11), Some(70)]);
        let longer = CallLimit { window: Duration::from_millis(60_500), ..limit };
        assert_eq!([1, 20, 21].map(|calls| longer.seconds(calls)), [Some(4), Some(61), Some(64)]);
        assert_eq!(CallLimit { allowed: None, ..limit }.seconds(1), None);
        assert_eq!(
            [0, 119, 120, 121, 7199, 7200, 9000].map(duration),
            ["0 s", "119 s", "2 min", "3 min", "120 min", "2.0 h", "2.5 h"]
        );
    }
}
