//! The response to the request for the newest rows: what it says about the rows of the stream. Pure.

use super::probes;
use super::query::DateRange;
use super::row_filter::id_of;
use super::rows::{Row, Rows};
use crate::timestamp::Timestamp;

/// The response to the request for the newest rows.
#[derive(Debug)]
pub(super) struct NewestRows {
    rows: Vec<Row>,
    pub counted: Option<u64>,
    /// True if the rows come in the requested order.
    pub sorted: bool,
    /// The newest date that may become the cursor.
    pub in_range: Option<Timestamp>,
    /// The oldest and the newest date.
    pub date_span: Option<(Timestamp, Timestamp)>,
    pub has_missing_dates: bool,
    /// True if a row is dated within the requested dates.
    pub is_dated: bool,
    /// True if all rows of the stream are older than the requested dates.
    pub is_before: bool,
}

impl NewestRows {
    /// Frees the memory of the lines: there may be no other for the next request.
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

    /// The keys of the rows, of those within a filter if one is given.
    pub(super) fn keys(&self, filter: Option<&DateRange>) -> Vec<i64> {
        let rows = self.rows.iter().filter(|row| filter.is_none_or(|filter| row.is_within(filter)));
        rows.filter_map(|row| id_of(row.key)).collect()
    }
}

/// What is known of rows without a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MissingDates {
    /// Nothing.
    Unknown,
    /// There are some, or nothing rules them out.
    Present,
    /// There are none.
    Absent,
    /// Two counts will tell.
    CountsTell,
}
