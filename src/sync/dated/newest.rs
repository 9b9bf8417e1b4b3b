//! Determines the cursor after a walk, before the walk begins.

use super::{DatedRead, changed_since};
use crate::record::CursorValue;
use crate::sync::climb::{Answer, Climb, Step};
use crate::sync::context::StreamError;
use crate::sync::key_lists::newest_key;
use crate::sync::query::Order;
use crate::sync::rows::Row;
use crate::timestamp::Timestamp;

/// The newest change of a stream, and the store's clock: the latest date of the responses that showed the change. A
/// cache can only have set an earlier one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub newest: Newest,
    pub clock: Option<Timestamp>,
}

impl Found {
    fn at(newest: Option<Timestamp>, clock: Option<Timestamp>) -> Self {
        Self { newest: Newest::At(newest), clock }
    }
}

/// The newest change of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Newest {
    /// Its date, but no later than the store's clock; `None` if no row has changed.
    At(Option<Timestamp>),
    /// The rows have no date of a change.
    Unsupported,
}

impl DatedRead {
    /// Returns the newest change. `cursor` is the one of the last sync.
    pub(super) async fn newest(&mut self, cursor: Option<Timestamp>) -> Result<Found, StreamError> {
        if self.requests.stream.sorts_by_change { self.newest_sorted().await } else { self.climb(cursor).await }
    }

    /// Requests the row that changed last.
    async fn newest_sorted(&mut self) -> Result<Found, StreamError> {
        for page in 1..=1 + super::super::keyset::MOST_UNREADABLE {
            let query = self.requests.query(1).sort(Order::DateDescending).page(page);
            let answer = match self.requests.fetch(&query, &mut self.writer).await {
                Ok(answer) => answer,
                // An older date is safe as well.
                Err(StreamError::Request(error)) if error.is_unreadable() => continue,
                Err(stream_error) => return Err(stream_error),
            };
            let date = answer.page.rows.first().and_then(changed);
            // Rows that change later have later dates than the store's clock shows now, but not than a date ahead of it.
            let clock = answer.date.map(|date| Timestamp::from_unix_seconds(date.unix_seconds()));
            return Ok(Found::at(date.map(|date| clock.map_or(date, |clock| date.min(clock))), clock));
        }
        Ok(Found::at(None, None))
    }

    /// Returns the date of the row that was created last, but no later than the store's clock: later changes have later
    /// dates. `None` if there is no row, or if the clock is not known.
    pub(super) async fn newest_creation(&mut self, clock: Option<Timestamp>) -> Result<Option<Timestamp>, StreamError> {
        let query = self.requests.query(1).sort(Order::CreatedDescending);
        match self.requests.fetch(&query, &mut self.writer).await {
            Ok(answer) => {
                let created = answer.page.rows.first().and_then(|row| row.created).map(Timestamp::from_unix_seconds);
                Ok(created.zip(clock).map(|(created, clock)| created.min(clock)))
            }
            Err(StreamError::Request(error)) if error.is_unreadable() => Ok(None),
            Err(stream_error) => Err(stream_error),
        }
    }

    /// Finds the newest change where the store does not sort by it.
    async fn climb(&mut self, cursor: Option<Timestamp>) -> Result<Found, StreamError> {
        let mut climb = Climb::new(cursor.map(Timestamp::unix_seconds));
        let (mut is_narrowed, mut clock) = (false, None);
        loop {
            let (from, rows) = match climb.next() {
                Step::Request { from, rows } => (from, rows),
                Step::Done(newest) => return Ok(Found::at(newest.map(Timestamp::from_unix_seconds), clock)),
            };
            let query = self.requests.query(rows).sort(Order::CreatedDescending).date_range(&changed_since(Some(from)));
            let query = query.divided_by_size().narrowed(is_narrowed);
            let outcome = match self.requests.fetch(&query, &mut self.writer).await {
                Ok(answer) => {
                    clock = clock.max(answer.date);
                    // The filter lists no row without a date of its change, if the store knows the filter.
                    if answer.page.rows.iter().any(|row| row.updated == CursorValue::Missing) {
                        return Ok(Found { newest: Newest::Unsupported, clock });
                    }
                    let elements = answer.page.elements();
                    let changes: Vec<Option<i64>> =
                        elements.iter().map(|element| element.and_then(changed).map(Timestamp::unix_seconds)).collect();
                    climb.answered(Answer::Rows(&changes), answer.date.map(Timestamp::unix_seconds))
                }
                Err(StreamError::Request(error)) if error.is_unreadable() => {
                    // The date of the row is looked for with many more requests. A wrong one is at most the store's time.
                    is_narrowed = true;
                    climb.answered(Answer::Unreadable, None)
                }
                Err(stream_error) => return Err(stream_error),
            };
            outcome.map_err(|error| StreamError::UnexpectedList(error.to_string()))?;
        }
    }

    /// Returns the greatest key of the stream.
    pub(super) async fn greatest_key(&mut self) -> Result<Option<i64>, StreamError> {
        newest_key(&self.requests, &mut self.writer).await
    }
}

/// Returns the date of a row's last change.
fn changed(row: &Row) -> Option<Timestamp> {
    match row.updated {
        CursorValue::At(date) => Some(date),
        CursorValue::Missing | CursorValue::Invalid => None,
    }
}
