//! A request for rows of a stream, in a form that does not depend on the API of a shop. Pure.

use std::fmt;

use super::checkpoint::Range;
use crate::http::{Divisibility, Request, Slice};
use crate::stream::Stream;
use crate::timestamp::Timestamp;

/// A range of dates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DateRange {
    /// First instant in the range.
    pub from: Option<Timestamp>,
    /// Exclusive first bound; used instead of `from`.
    pub after: Option<Timestamp>,
    /// Exclusive last bound: the first instant after the range.
    pub before: Option<Timestamp>,
    /// Inclusive last bound; used instead of `before` if both are given and this is earlier.
    pub until: Option<Timestamp>,
}

/// The first bound of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lower {
    /// This instant and later ones.
    From(Timestamp),
    /// Later instants only.
    After(Timestamp),
}

/// The last bound of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upper {
    /// Earlier instants only.
    Before(Timestamp),
    /// This instant and earlier ones.
    Until(Timestamp),
}

impl DateRange {
    /// Returns true if an instant is in the range.
    pub fn contains(&self, instant: Timestamp) -> bool {
        self.from.is_none_or(|from| instant >= from)
            && self.after.is_none_or(|after| instant > after)
            && self.before.is_none_or(|before| instant < before)
            && self.until.is_none_or(|until| instant <= until)
    }

    /// Returns true if no instant can be in the range.
    pub fn is_empty(&self) -> bool {
        self.from.is_some_and(|from| {
            self.before.is_some_and(|before| from >= before) || self.until.is_some_and(|until| from > until)
        })
    }

    /// Returns the first bound, if there is one.
    pub fn lower(&self) -> Option<Lower> {
        self.after.map(Lower::After).or(self.from.map(Lower::From))
    }

    /// Returns the last bound, if there is one.
    pub fn upper(&self) -> Option<Upper> {
        match (self.until, self.before) {
            (Some(until), Some(before)) if before <= until => Some(Upper::Before(before)),
            (Some(until), _) => Some(Upper::Until(until)),
            (None, before) => before.map(Upper::Before),
        }
    }
}

impl fmt::Display for DateRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lower = self.lower().map(|lower| match lower {
            Lower::From(from) => format!(">= {from}"),
            Lower::After(after) => format!("> {after}"),
        });
        let upper = self.upper().map(|upper| match upper {
            Upper::Before(before) => format!("< {before}"),
            Upper::Until(until) => format!("<= {until}"),
        });
        f.write_str(&lower.into_iter().chain(upper).collect::<Vec<_>>().join(" and "))
    }
}

/// The order of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Ascending keys.
    Key,
    /// Descending keys.
    KeyDescending,
    /// Ascending dates.
    Date,
    /// Descending dates.
    DateDescending,
    /// Ascending dates, and within one date ascending keys, so that rows of one date stay on their page.
    DateThenKey,
    /// Ascending dates of creation.
    Created,
    /// Descending dates of creation.
    CreatedDescending,
}

/// A request for rows of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The stream.
    pub stream: &'static Stream,
    /// Order of the rows, if any is requested.
    pub order: Option<Order>,
    /// Range of keys: greater than the first, at most the second.
    pub keys: Range,
    /// Keys of the rows, if only these are requested.
    pub one_of: Vec<i64>,
    /// Date range of the rows.
    pub dates: DateRange,
    /// Range of the dates of creation, in UNIX seconds, both ends included.
    pub created: Option<(i64, i64)>,
    /// Part of the stream that is requested, for streams with parts ([`Shop::parts`](super::shop::Shop::parts)).
    pub part: Option<String>,
    /// Kind of the rows, for streams with kinds ([`Shop::kinds`](super::shop::Shop::kinds)).
    pub kind: Option<&'static str>,
    /// The one row whose nested rows are requested.
    pub parent: Option<ParentRow>,
    /// True if rows with only some of their fields are enough, such as the key and the date of creation.
    pub is_short: bool,
    /// Nested collections to request, separated by commas.
    pub nested: Option<String>,
    /// Fields to request, separated by commas; all if absent.
    pub fields: Option<String>,
    slice: Slice,
    ignores_count: bool,
    no_retry: bool,
    divisibility: Divisibility,
    is_narrowed: bool,
    range: Option<usize>,
}

/// A row whose nested rows are requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParentRow {
    /// Its key.
    pub key: i64,
    /// The store that it belongs to, if the key alone does not identify it.
    pub owner: Option<i64>,
}

impl Query {
    /// Returns a request for the first `count` rows of a stream.
    pub fn new(stream: &'static Stream, count: usize) -> Self {
        Self {
            stream,
            order: None,
            keys: (None, None),
            one_of: Vec::new(),
            dates: DateRange::default(),
            created: None,
            part: None,
            kind: None,
            parent: None,
            is_short: false,
            nested: None,
            fields: None,
            slice: Slice { count, page: 1 },
            ignores_count: false,
            no_retry: false,
            divisibility: Divisibility::Always,
            is_narrowed: false,
            range: None,
        }
    }

    /// Returns a request for all rows of a stream in one response.
    pub fn all(stream: &'static Stream) -> Self {
        Self::new(stream, 0).indivisible()
    }

    /// Returns true if all rows are requested in one response.
    pub fn is_all(&self) -> bool {
        self.slice.count == 0
    }

    /// Marks the request as one that the caller divides if the store cannot answer it.
    pub fn indivisible(mut self) -> Self {
        self.divisibility = Divisibility::Never;
        self
    }

    /// Marks the request as one that the caller divides if the text of a row cannot be read.
    pub fn divided_by_size(mut self) -> Self {
        self.divisibility = Divisibility::UnlessText;
        self
    }

    /// Marks the request as a part of one that failed.
    pub(super) fn narrowed(mut self, is_narrowed: bool) -> Self {
        self.is_narrowed = is_narrowed;
        self
    }

    /// Requests only rows created between two UNIX seconds, both included.
    pub fn created(mut self, first: i64, last: i64) -> Self {
        self.created = Some((first, last));
        self
    }

    /// Requests only rows of a part of the stream.
    pub fn part(mut self, part: Option<&str>) -> Self {
        self.part = part.map(str::to_owned);
        self
    }

    /// Requests only rows of a kind.
    pub fn kind(mut self, kind: Option<&'static str>) -> Self {
        self.kind = kind;
        self
    }

    /// Requests one row with its nested rows.
    pub fn parent(mut self, parent: ParentRow) -> Self {
        self.parent = Some(parent);
        self
    }

    /// Requests rows with only some of their fields. They are not emitted: only their keys and dates are kept.
    pub fn short(mut self) -> Self {
        self.is_short = true;
        self
    }

    /// Requests page `number`, counted from 1.
    pub fn page(mut self, number: u64) -> Self {
        self.slice.page = number.max(1);
        self
    }

    /// Returns the number of the page, counted from 1.
    pub fn page_number(&self) -> u64 {
        self.slice.page
    }

    /// Requests this order.
    pub fn sort(mut self, order: Order) -> Self {
        self.order = Some(order);
        self
    }

    /// Requests only rows with a key greater than `after` and at most `end`.
    pub fn keys(mut self, after: Option<i64>, end: Option<i64>) -> Self {
        self.keys = (after, end);
        self
    }

    /// Requests only rows with one of these keys.
    pub fn one_of(mut self, ids: &[i64]) -> Self {
        self.one_of = ids.to_vec();
        self
    }

    /// Requests only rows with a date in the range.
    pub fn date_range(mut self, dates: &DateRange) -> Self {
        self.dates = *dates;
        self
    }

    /// Requests nested collections, with at most `most` rows per page.
    pub(crate) fn nested(mut self, names: &str, most: usize) -> Self {
        self.slice.count = self.slice.count.min(most);
        self.nested = Some(names.to_owned());
        self
    }

    /// Requests only these fields.
    pub(crate) fn fields(mut self, names: &str) -> Self {
        self.fields = Some(names.to_owned());
        self
    }

    /// Accepts a response whose count is wrong: one that counts rows and lists none.
    pub(crate) fn ignore_count(mut self) -> Self {
        self.ignores_count = true;
        self
    }

    /// Returns true if the count of a response is trusted.
    pub fn uses_count(&self) -> bool {
        !self.ignores_count
    }

    /// Marks the request as sent once only, whatever the response.
    pub fn no_retry(mut self) -> Self {
        self.no_retry = true;
        self
    }

    /// Marks the request as one of those that read a range of keys, with the number of the range.
    pub(super) fn in_range(mut self, number: usize) -> Self {
        self.range = Some(number);
        self
    }

    /// Returns true if the request has conditions that rows must meet.
    pub(super) fn is_filtered(&self) -> bool {
        self.keys != (None, None)
            || !self.one_of.is_empty()
            || self.dates != DateRange::default()
            || self.created.is_some()
            || self.part.is_some()
            || self.kind.is_some()
            || self.parent.is_some()
    }

    /// Returns the order, in words for the log.
    fn order_name(&self) -> String {
        let (key, cursor) = (self.stream.key(), self.stream.cursor_field);
        let created = self.stream.created_field.unwrap_or_default();
        match self.order {
            None => String::new(),
            Some(Order::Key) => key.to_owned(),
            Some(Order::KeyDescending) => format!("-{key}"),
            Some(Order::Date) => cursor.to_owned(),
            Some(Order::DateDescending) => format!("-{cursor}"),
            Some(Order::DateThenKey) => format!("{cursor},{key}"),
            Some(Order::Created) => created.to_owned(),
            Some(Order::CreatedDescending) => format!("-{created}"),
        }
    }
}

impl Request for Query {
    fn resource(&self) -> &str {
        self.stream.name
    }

    fn slice(&self) -> Slice {
        self.slice
    }

    fn with_slice(&self, slice: Slice) -> Self {
        Self { slice, ..self.clone() }
    }

    fn any_row(&self, place: u64) -> Self {
        Self::new(self.stream, 1).page(place).part(self.part.as_deref())
    }

    fn is_same(&self, other: &Self) -> bool {
        let Self { ignores_count, no_retry, divisibility, is_narrowed, range, .. } = *self;
        *self == Self { ignores_count, no_retry, divisibility, is_narrowed, range, ..other.clone() }
    }

    fn sequence(&self) -> String {
        self.range.map_or_else(|| self.order_name(), |number| number.to_string())
    }

    fn is_no_retry(&self) -> bool {
        self.no_retry
    }

    fn divisibility(&self) -> Divisibility {
        self.divisibility
    }

    fn is_narrowed(&self) -> bool {
        self.is_narrowed
    }
}

impl fmt::Display for Query {
    /// Formats the request for the log: `orders, 1000 rows, sort id, id > 5 and <= 90`. Fields and nested collections
    /// are left out, since they are long and the same in each request of a stream.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.slice.count {
            0 => write!(f, "{}, all rows", self.stream.name)?,
            count => write!(f, "{}, {count} rows", self.stream.name)?,
        }
        if let Some(part) = &self.part {
            write!(f, " of {part}")?;
        }
        if let Some(kind) = self.kind {
            write!(f, " of kind {kind}")?;
        }
        if self.is_short {
            f.write_str(", short")?;
        }
        if self.order.is_some() {
            write!(f, ", sort {}", self.order_name())?;
        }
        if self.slice.page > 1 {
            write!(f, ", page {}", self.slice.page)?;
        }
        match self.keys {
            (Some(after), Some(end)) => write!(f, ", {} > {after} and <= {end}", self.stream.key())?,
            (Some(after), None) => write!(f, ", {} > {after}", self.stream.key())?,
            (None, Some(end)) => write!(f, ", {} <= {end}", self.stream.key())?,
            (None, None) => {}
        }
        if !self.one_of.is_empty() {
            write!(f, ", {} one of {}", self.stream.key(), self.one_of.len())?;
        }
        if self.dates != DateRange::default() {
            write!(f, ", {} {}", self.stream.cursor_field, self.dates)?;
        }
        if let Some((first, last)) = self.created {
            write!(f, ", {} {first} to {last}", self.stream.created_field.unwrap_or("created"))?;
        }
        if let Some(parent) = self.parent {
            write!(f, ", of {} {}", self.stream.key(), parent.key)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::tests::ROWS;

    fn at(text: &str) -> Option<Timestamp> {
        Some(Timestamp::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn a_request_is_logged_with_its_page_and_range() {
        let range = Query::new(&ROWS, 1000).sort(Order::Key).keys(Some(5), Some(90)).fields("id,changed");
        assert_eq!(range.to_string(), "rows, 1000 rows, sort id, id > 5 and <= 90");
        assert_eq!(Query::new(&ROWS, 100).page(3).to_string(), "rows, 100 rows, page 3");
        assert_eq!(Query::new(&ROWS, 2).one_of(&[5, 7]).to_string(), "rows, 2 rows, id one of 2");
        let since =
            DateRange { after: at("2021-01-01T00:00:00Z"), before: at("2021-02-01T00:00:00Z"), ..DateRange::default() };
        assert_eq!(
            Query::new(&ROWS, 1).sort(Order::DateDescending).date_range(&since).to_string(),
            "rows, 1 rows, sort -changed, changed > 2021-01-01T00:00:00Z and < 2021-02-01T00:00:00Z"
        );
    }

    #[test]
    fn what_the_server_does_not_see_makes_no_other_request() {
        let row = Query::new(&ROWS, 1);
        assert!(row.clone().no_retry().ignore_count().in_range(3).is_same(&row.any_row(1)));
        assert!(!row.is_same(&row.any_row(2)) && !row.clone().sort(Order::Key).is_same(&row));
        assert_eq!((row.clone().in_range(3).sequence(), row.sort(Order::Key).sequence()), ("3".into(), "id".into()));
    }

    #[test]
    fn a_date_range_contains_its_start_and_not_its_end() {
        let date_range =
            DateRange { from: at("2021-01-01T00:00:00Z"), before: at("2021-02-01T00:00:00Z"), ..DateRange::default() };
        assert!(date_range.contains(at("2021-01-01T00:00:00Z").unwrap()));
        assert!(!date_range.contains(at("2021-02-01T00:00:00Z").unwrap()));
        assert!(!date_range.is_empty());
        assert!(DateRange { before: date_range.from, ..date_range }.is_empty());
        let closed = DateRange { until: at("2021-01-15T00:00:00Z"), ..date_range };
        assert!(closed.contains(at("2021-01-15T00:00:00Z").unwrap()));
        assert!(!closed.contains(at("2021-01-15T00:00:00.001Z").unwrap()));
        assert_eq!(closed.upper(), closed.until.map(Upper::Until));
        assert_eq!(DateRange { before: date_range.from, ..closed }.upper(), date_range.from.map(Upper::Before));
    }
}
