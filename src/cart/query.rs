//! One list request: resource, parameters, and their exact bytes on the wire.
//!
//! Syntax: API documentation, query syntax. Values are form-encoded (space as `+`, `:` as `%3A`),
//! because the router's signature covers the bytes as they are sent.

use std::fmt;

use url::form_urlencoded::byte_serialize;

use crate::timestamp::Timestamp;

/// Records asked for per page. 1000 is known to be accepted in production; larger values are not
/// (the documentation names no maximum, only the default of 100).
pub const PAGE_SIZE: usize = 1000;

/// Records asked for per page when nested collections are filled: such a record is several times
/// larger, and takes the store several queries.
const NESTED_PAGE_SIZE: usize = 250;

/// The parameter with the number of the page.
const PAGE: &str = "page";

/// The date filter of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DateRange {
    /// First instant in the window.
    pub from: Option<Timestamp>,
    /// Last instant before the window; used in place of `from`.
    pub after: Option<Timestamp>,
    /// First instant behind the window.
    pub before: Option<Timestamp>,
    /// Last instant in the window; used in place of `before` when both are given and this is earlier.
    pub until: Option<Timestamp>,
}

impl DateRange {
    /// Whether an instant lies in the window.
    #[must_use]
    pub fn contains(&self, instant: Timestamp) -> bool {
        self.from.is_none_or(|from| instant >= from)
            && self.after.is_none_or(|after| instant > after)
            && self.before.is_none_or(|before| instant < before)
            && self.until.is_none_or(|until| instant <= until)
    }

    /// Whether nothing can lie in the window.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.from.is_some_and(|from| {
            self.before.is_some_and(|before| from >= before) || self.until.is_some_and(|until| from > until)
        })
    }

    fn filter(&self) -> Option<String> {
        let lower = match (self.after, self.from) {
            (Some(after), _) => Some(format!("gt:{after}")),
            (None, from) => from.map(|from| format!("gte:{from}")),
        };
        let upper = match (self.until, self.before) {
            (Some(until), Some(before)) if before <= until => Some(format!("lt:{before}")),
            (Some(until), _) => Some(format!("lte:{until}")),
            (None, Some(before)) => Some(format!("lt:{before}")),
            (None, None) => None,
        };
        match (lower, upper) {
            (Some(lower), Some(upper)) => Some(format!("{lower} AND {upper}")),
            (lower, upper) => lower.or(upper),
        }
    }
}

/// A list request under construction. Parameters go out in the order they were added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    resource: String,
    count: usize,
    page: u64,
    parameters: Vec<(&'static str, String)>,
    ignores_count: bool,
    no_retry: bool,
    range: Option<usize>,
}

impl Query {
    /// The first `count` rows of a resource.
    #[must_use]
    pub fn new(resource: &str, count: usize) -> Self {
        Self {
            resource: resource.to_owned(),
            count,
            page: 1,
            parameters: Vec::new(),
            ignores_count: false,
            no_retry: false,
            range: None,
        }
    }

    /// The resource's path below `/api/v1/`.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// How many rows are asked for.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Asks for page `number`, counted from 1. Page 1 is what an absent parameter means.
    #[must_use]
    pub fn page(mut self, number: u64) -> Self {
        self.page = number.max(1);
        if number > 1 {
            self.parameters.push((PAGE, number.to_string()));
        }
        self
    }

    /// The number of the page, counted from 1.
    #[must_use]
    pub fn page_number(&self) -> u64 {
        self.page
    }

    /// The same for a store whose `total_count` was found to be wrong: an answer that counts rows and lists
    /// none is believed.
    #[must_use]
    pub fn ignore_count(mut self) -> Self {
        self.ignores_count = true;
        self
    }

    /// Whether `total_count` is believed.
    #[must_use]
    pub fn uses_count(&self) -> bool {
        !self.ignores_count
    }

    /// The same, to be sent one time only, whatever comes of it.
    #[must_use]
    pub fn no_retry(mut self) -> Self {
        self.no_retry = true;
        self
    }

    /// Marks it as one of the requests that read a range of keys, by the number of the range.
    #[must_use]
    pub fn in_range(mut self, number: usize) -> Self {
        self.range = Some(number);
        self
    }

    /// Names the requests that read on where the one before ended: those of one range, or of one order.
    #[must_use]
    pub fn sequence(&self) -> String {
        match self.range {
            Some(number) => number.to_string(),
            None => self.parameters.iter().filter(|(name, _)| *name == "sort").map(|(_, keys)| keys.as_str()).collect(),
        }
    }

    /// Whether it is sent one time only.
    #[must_use]
    pub fn is_no_retry(&self) -> bool {
        self.no_retry
    }

    /// The same for the first rows of its page: at most `count` of them, and as many as pages of one size
    /// allow that begin where its page begins.
    #[must_use]
    pub fn shortened(&self, count: usize) -> Self {
        let before = (self.page - 1).saturating_mul(self.count as u64);
        let fits = |size: &usize| before.is_multiple_of(*size as u64);
        let count = (1..=count.clamp(1, self.count.max(1))).rev().find(fits).unwrap_or(1);
        let mut query = Self { count, page: before / count as u64 + 1, ..self.clone() };
        for (name, value) in &mut query.parameters {
            if *name == PAGE {
                *value = query.page.to_string();
            }
        }
        query
    }

    /// Sorts: field names separated by commas, `-` before one for descending order.
    #[must_use]
    pub fn sort(mut self, keys: &str) -> Self {
        self.parameters.push(("sort", keys.to_owned()));
        self
    }

    /// Returns true if it names conditions that rows have to meet.
    #[must_use]
    pub fn is_filtered(&self) -> bool {
        let others = ["sort", "page", "fields", "expand", "includelookups"];
        self.parameters.iter().any(|(name, _)| !others.contains(name))
    }

    /// Only rows whose `key` is greater than `after` and at most `end`.
    #[must_use]
    pub fn keys(mut self, key: &'static str, after: Option<i64>, end: Option<i64>) -> Self {
        let filter = match (after, end) {
            (Some(after), Some(end)) => format!("gt:{after} AND lte:{end}"),
            (Some(after), None) => format!("gt:{after}"),
            (None, Some(end)) => format!("lte:{end}"),
            (None, None) => return self,
        };
        self.parameters.push((key, filter));
        self
    }

    /// Only rows whose `field` lies in the window.
    #[must_use]
    pub fn date_range(mut self, field: &'static str, date_range: &DateRange) -> Self {
        if let Some(filter) = date_range.filter() {
            self.parameters.push((field, filter));
        }
        self
    }

    /// Only these fields of each record.
    #[must_use]
    pub fn fields(mut self, names: &str) -> Self {
        self.parameters.push(("fields", names.to_owned()));
        self
    }

    /// Nested collections filled, on smaller pages.
    #[must_use]
    pub fn nested(mut self, parameter: &'static str, names: &str) -> Self {
        self.count = self.count.min(NESTED_PAGE_SIZE);
        self.parameters.push((parameter, names.to_owned()));
        self
    }

    /// `resource?name=value&…`, encoded as it is signed and sent.
    #[must_use]
    pub fn target(&self) -> String {
        let mut target = format!("{}?count={}", self.resource, self.count);
        for (name, value) in &self.parameters {
            target.push('&');
            target.push_str(name);
            target.push('=');
            target.extend(byte_serialize(value.as_bytes()));
        }
        target
    }
}

impl fmt::Display for Query {
    /// What is requested, for the log: `orders, 1000 rows, id gt:5 AND lte:90, sort id`. Lists of fields and
    /// collections are left out, since they are long and the same in each request of a stream.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} rows", self.resource, self.count)?;
        for (name, value) in &self.parameters {
            match *name {
                "fields" | "expand" | "includelookups" => {}
                _ => write!(f, ", {name} {value}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_logged_by_its_page_or_range() {
        let range = Query::new("orders", PAGE_SIZE).sort("id").keys("id", Some(5), Some(90)).fields("id,updated_at");
        assert_eq!(range.to_string(), "orders, 1000 rows, sort id, id gt:5 AND lte:90");
        assert_eq!(Query::new("stores", 100).page(3).to_string(), "stores, 100 rows, page 3");
    }

    fn at(text: &str) -> Option<Timestamp> {
        Some(Timestamp::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn the_keyset_query_on_the_wire() {
        let date_range = DateRange {
            from: at("2021-07-01T08:59:28.457-05:00"),
            before: at("2021-08-01T00:00:00Z"),
            ..DateRange::default()
        };
        let target = Query::new("orders", PAGE_SIZE)
            .sort("id")
            .keys("id", Some(5), Some(90))
            .date_range("updated_at", &date_range)
            .target();
        assert_eq!(
            target,
            "orders?count=1000&sort=id&id=gt%3A5+AND+lte%3A90\
             &updated_at=gte%3A2021-07-01T13%3A59%3A28.457Z+AND+lt%3A2021-08-01T00%3A00%3A00Z"
        );
    }

    #[test]
    fn an_offset_never_puts_a_plus_sign_on_the_wire() {
        let date_range = DateRange { from: at("2021-07-01T08:59:28+05:00"), ..DateRange::default() };
        let target = Query::new("orders", 1)
            .sort("-updated_at,id")
            .page(1)
            .page(2)
            .date_range("updated_at", &date_range)
            .target();
        assert_eq!(target, "orders?count=1&sort=-updated_at%2Cid&page=2&updated_at=gte%3A2021-07-01T03%3A59%3A28Z");
    }

    #[test]
    fn nested_collections_come_on_smaller_pages() {
        let target = |count| Query::new("orders", count).sort("id").nested("expand", "items,payments").target();
        assert_eq!(target(PAGE_SIZE), "orders?count=250&sort=id&expand=items%2Cpayments");
        assert_eq!(target(1), "orders?count=1&sort=id&expand=items%2Cpayments");
    }

    #[test]
    fn a_shorter_page_begins_where_the_page_begins() {
        let query = Query::new("orders", 1000).sort("id");
        assert_eq!(query.shortened(500).target(), "orders?count=500&sort=id");
        assert_eq!(query.shortened(62).shortened(31).target(), "orders?count=31&sort=id");
        let third = query.page(3);
        for (most, expected) in [(500, (500, 5)), (250, (250, 9)), (62, (50, 41)), (3, (2, 1001)), (1, (1, 2001))] {
            let short = third.shortened(most);
            assert_eq!((short.count(), short.page_number()), expected);
            assert_eq!(short.target(), format!("orders?count={}&sort=id&page={}", expected.0, expected.1));
        }
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
        assert!(closed.filter().unwrap().ends_with("lte:2021-01-15T00:00:00Z"));
    }
}
