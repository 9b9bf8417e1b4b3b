//! Information about a stream's rows from the response to the request for the newest rows. Pure.

use super::probes;
use super::query::DateRange;
use super::row_filter::id_of;
use super::rows::{Row, Rows};
use crate::timestamp::Timestamp;

/// The newest rows of a stream and the facts derived from them.
#[derive(Debug)]
pub(super) struct NewestRows {
    rows: Vec<Row>,
    pub counted: Option<u64>,
    /// True if the rows are in the requested order.
    pub sorted: bool,
    /// Newest date that may become the cursor.
    pub in_range: Option<Timestamp>,
    /// Oldest and newest date.
    pub date_span: Option<(Timestamp, Timestamp)>,
    pub has_missing_dates: bool,
    /// True if the date of a row is within the requested dates.
    pub is_dated: bool,
    /// True if all rows of the stream are older than the requested dates.
    pub is_before: bool,
}

impl NewestRows {
    /// Keeps the keys and dates of the rows and frees the lines' memory: the next request may need it.
    pub(super) fn new(rows: Rows, from: Timestamp, date_range: &DateRange, past: &DateRange) -> Self {
        let (sorted, date_span) = (rows.is_newest_first(), rows.date_span());
        Self {
            counted: rows.envelope.total,
            sorted,
            in_range: probes::newest_within(&rows, past),
            date_span,
            has_missing_dates: rows.has_missing_dates(),
            is_dated: probes::newest_within(&rows, date_range).is_some(),
            is_before: sorted && date_span.is_some_and(|(_, newest)| newest < from),
            rows: rows.rows,
        }
    }

    /// Returns the keys of the rows; with a filter, only those of rows within it.
    pub(super) fn keys(&self, filter: Option<&DateRange>) -> Vec<i64> {
        let rows = self.rows.iter().filter(|row| filter.is_none_or(|filter| row.is_within(filter)));
        rows.filter_map(|row| id_of(row.key)).collect()
    }
}

/// Knowledge about rows without `updated_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MissingDates {
    /// Not known yet.
    Unknown,
    /// There are some, or they cannot be ruled out.
    Present,
    /// There are none.
    Absent,
    /// Two counts can show it.
    CountsTell,
}
