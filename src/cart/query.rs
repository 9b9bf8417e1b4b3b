//! The parameters of a request to a Cart.com store, and their exact bytes as they are sent.
//!
//! Syntax: API documentation, query syntax. Values are form-encoded (space as `+`, `:` as `%3A`),
//! because the router's signature covers the bytes as they are sent.

use url::form_urlencoded::byte_serialize;

use crate::http::Request as _;
use crate::sync::query::{Lower, Order, Query, Upper};

/// Rows of a page. 1000 is known to be accepted in production; larger values are not
/// (the documentation names no maximum, only the default).
pub(super) const PAGE_SIZE: usize = 1000;

/// Rows of a page with nested collections: such a row is several times larger, and takes the store several queries.
pub(super) const NESTED_PAGE_SIZE: usize = 250;

/// Rows of a page if a request names no `count`.
pub(super) const DEFAULT_PAGE_SIZE: u64 = 100;

/// Returns `resource?name=value&…`, encoded as it is signed and sent.
pub(super) fn target(query: &Query) -> String {
    let mut target = format!("{}?count={}", query.resource(), query.count());
    for (name, value) in parameters(query) {
        target.push('&');
        target.push_str(name);
        target.push('=');
        target.extend(byte_serialize(value.as_bytes()));
    }
    target
}

/// The parameters after `count`.
fn parameters(query: &Query) -> impl Iterator<Item = (&'static str, String)> {
    let (key, cursor, page) = (query.stream.key(), query.stream.cursor_field, query.page_number());
    let sort = query.order.map(|order| match order {
        Order::Key => key.to_owned(),
        Order::KeyDescending => format!("-{key}"),
        Order::Date => cursor.to_owned(),
        Order::DateDescending => format!("-{cursor}"),
        Order::DateThenKey => format!("{cursor},{key}"),
        // The streams have no field of their creation by which rows are requested.
        Order::Created | Order::CreatedDescending => String::new(),
    });
    let keys = between(query.keys.0.map(|after| format!("gt:{after}")), query.keys.1.map(|end| format!("lte:{end}")));
    let keys = keys.or_else(|| one_of(&query.one_of));
    let lower = query.dates.lower().map(|lower| match lower {
        Lower::From(from) => format!("gte:{from}"),
        Lower::After(after) => format!("gt:{after}"),
    });
    let upper = query.dates.upper().map(|upper| match upper {
        Upper::Before(before) => format!("lt:{before}"),
        Upper::Until(until) => format!("lte:{until}"),
    });
    let nested = query.nested.clone().map(|names| match query.stream.uses_lookups {
        // It fills all of them.
        true => ("includelookups", "1".to_owned()),
        false => ("expand", names),
    });
    [
        sort.map(|sort| ("sort", sort)),
        (page > 1).then(|| ("page", page.to_string())),
        keys.map(|keys| (key, keys)),
        between(lower, upper).map(|dates| (cursor, dates)),
        nested,
        query.fields.clone().map(|fields| ("fields", fields)),
    ]
    .into_iter()
    .flatten()
}

/// A filter for one of these values; none if there are none.
fn one_of(ids: &[i64]) -> Option<String> {
    let conditions: Vec<String> = ids.iter().map(|id| format!("eq:{id}")).collect();
    (!ids.is_empty()).then(|| conditions.join(" OR "))
}

/// A filter with one bound or two.
fn between(lower: Option<String>, upper: Option<String>) -> Option<String> {
    match (lower, upper) {
        (Some(lower), Some(upper)) => Some(format!("{lower} AND {upper}")),
        (lower, upper) => lower.or(upper),
    }
}

#[cfg(test)]
mod tests {
    use super::super::streams::{Stream, find};
    use super::*;
    use crate::sync::query::DateRange;
    use crate::timestamp::Timestamp;

    fn at(text: &str) -> Option<Timestamp> {
        Some(Timestamp::parse(text.as_bytes()).unwrap())
    }

    fn stream(name: &str) -> &'static Stream {
        find(name).unwrap()
    }

    #[test]
    fn the_keyset_query_on_the_wire() {
        let date_range = DateRange {
            from: at("2021-07-01T08:59:28.457-05:00"),
            before: at("2021-08-01T00:00:00Z"),
            ..DateRange::default()
        };
        let query = Query::new(stream("orders"), PAGE_SIZE).sort(Order::Key).keys(Some(5), Some(90));
        assert_eq!(
            target(&query.date_range(&date_range)),
            "orders?count=1000&sort=id&id=gt%3A5+AND+lte%3A90\
             &updated_at=gte%3A2021-07-01T13%3A59%3A28.457Z+AND+lt%3A2021-08-01T00%3A00%3A00Z"
        );
    }

    #[test]
    fn an_offset_never_puts_a_plus_sign_on_the_wire() {
        let date_range = DateRange { from: at("2021-07-01T08:59:28+05:00"), ..DateRange::default() };
        let query = Query::new(stream("orders"), 1).sort(Order::DateThenKey).page(1).page(2);
        assert_eq!(
            target(&query.date_range(&date_range)),
            "orders?count=1&sort=updated_at%2Cid&page=2&updated_at=gte%3A2021-07-01T03%3A59%3A28Z"
        );
    }

    #[test]
    fn nested_collections_come_on_smaller_pages() {
        let target = |name, count| {
            let query = Query::new(stream(name), count).sort(Order::Key).nested("items,payments", NESTED_PAGE_SIZE);
            target(&query.fields("id"))
        };
        assert_eq!(target("orders", PAGE_SIZE), "orders?count=250&sort=id&expand=items%2Cpayments&fields=id");
        assert_eq!(target("subscriptions", 1), "subscriptions?count=1&sort=id&includelookups=1&fields=id");
    }

    #[test]
    fn a_shorter_page_keeps_its_conditions() {
        let query = Query::new(stream("orders"), 1000).sort(Order::Key).page(3);
        assert_eq!(target(&query.shortened(62)), "orders?count=50&sort=id&page=41");
    }
}
