//! The parameters of a request to a CS-Cart store, and their exact bytes as they are sent.
//!
//! Names: CS-Cart REST API, overview and the page of each entity. Several filters are not documented; a store that does
//! not know one lists more rows, never fewer. The sync checks the dates and keys of each row, and `page` whether the rows
//! have storefronts where these are selected.

use url::form_urlencoded::byte_serialize;

use super::settings::Settings;
use super::streams::{ChangedSince, Parameters, parameters};
use crate::http::Request as _;
use crate::sync::query::{Order, Query};

/// Version in the path. `2` without its decimal is not known to stores, although the documentation writes it.
const VERSION: &str = "2.0";

/// Seconds added to the time back to a change, as much as the sync looks back before its cursor.
const MARGIN: i64 = 120;
const SECONDS_PER_HOUR: i64 = 3600;

/// The storefront of a row: the name of the field, and of the parameter that selects rows by it.
const STOREFRONT: &str = "storefront_id";

/// The parts of a request that are the same for all requests to a store.
#[derive(Clone, Debug)]
pub(super) struct Settled {
    rewrite: bool,
    include_incomplete_orders: bool,
    storefront_ids: Vec<u64>,
    language: String,
}

impl Settled {
    pub(super) fn of(settings: &Settings) -> Self {
        Self {
            rewrite: settings.rewrite,
            include_incomplete_orders: settings.include_incomplete_orders,
            storefront_ids: settings.storefront_ids.clone(),
            language: settings.language.clone(),
        }
    }

    /// Returns the URL of a request below the address of the store. `now` is the present in UNIX seconds: the later
    /// one of this machine's clock and the store's.
    pub(super) fn target(&self, query: &Query, now: i64) -> String {
        let names = parameters(query.stream);
        let mut path = query.stream.path.to_owned();
        if let Some(parent) = query.parent {
            path.push_str(&format!("/{}", parent.key));
            if let Some(owner) = parent.owner {
                path.insert_str(0, &format!("stores/{owner}/"));
            }
        }
        if let Some(owner) = query.part.as_deref().and_then(owner_of) {
            path.insert_str(0, &format!("stores/{owner}/"));
        }
        let mut target = match self.rewrite {
            true => format!("api/{VERSION}/{path}?"),
            false => format!("api.php?_d={VERSION}/{path}&"),
        };
        let mut is_first = true;
        for (name, value) in self.parameters(query, &names, now) {
            if !std::mem::take(&mut is_first) {
                target.push('&');
            }
            target.extend(byte_serialize(name.as_bytes()));
            target.push('=');
            target.extend(byte_serialize(value.as_bytes()));
        }
        if is_first {
            target.pop();
        }
        target
    }

    /// Returns the field that the rows of a response must have, since a filter of the request is about it: stores before
    /// 4.10 know no storefronts and list all rows.
    pub(super) fn required_field(&self, query: &Query) -> Option<&'static str> {
        let names = parameters(query.stream);
        let is_part =
            names.part == Some(STOREFRONT) && query.part.as_deref().is_some_and(|part| owner_of(part).is_none());
        let is_complete = query.parent.is_none() && !query.is_short;
        let is_filtered = names.has_storefronts && !self.storefront_ids.is_empty();
        (is_complete && (is_filtered || is_part)).then_some(STOREFRONT)
    }

    fn parameters(&self, query: &Query, names: &Parameters, now: i64) -> Vec<(String, String)> {
        let mut list: Vec<(String, String)> = Vec::new();
        let mut put = |name: &str, value: String| list.push((name.to_owned(), value));
        if query.parent.is_none() {
            put("items_per_page", query.count().to_string());
            put("page", query.page_number().to_string());
        }
        if let Some((sort, order)) = sort(query) {
            put("sort_by", sort.to_owned());
            put("sort_order", order.to_owned());
        }
        if let Some((first, last)) = query.created {
            // Without a period the times are ignored, and without an end the present is the end.
            put("period", "C".to_owned());
            put("time_from", first.to_string());
            put("time_to", last.to_string());
        }
        match (names.changed_since, query.dates.from) {
            (Some(ChangedSince::Seconds(name)), Some(from)) => put(name, from.unix_seconds().max(1).to_string()),
            (Some(ChangedSince::Hours(name)), Some(from)) => put(name, hours(from.unix_seconds(), now).to_string()),
            _ => {}
        }
        match names.keys.map(|name| (name, name.ends_with("[]"))) {
            Some((name, true)) => query.one_of.iter().for_each(|key| put(name, key.to_string())),
            Some((name, false)) if !query.one_of.is_empty() => {
                let keys: Vec<String> = query.one_of.iter().map(i64::to_string).collect();
                put(name, keys.join(","));
            }
            _ => {}
        }
        if let (Some(name), Some(part)) = (names.part, query.part.as_deref().filter(|part| owner_of(part).is_none())) {
            put(name, part.to_owned());
        }
        if let Some(kind) = query.kind {
            put("users_type", kind.to_owned());
        }
        if names.has_incomplete && self.include_incomplete_orders {
            put("include_incompleted", "1".to_owned());
        }
        if names.has_storefronts {
            self.storefront_ids.iter().for_each(|id| put("storefront_id[]", id.to_string()));
        }
        if names.has_language && !self.language.is_empty() {
            put("lang_code", self.language.clone());
        }
        let complete = if query.is_short { &[] } else { names.complete };
        names.always.iter().chain(complete).for_each(|(name, value)| put(name, (*value).to_owned()));
        list
    }
}

/// Returns the values of `sort_by` and `sort_order`.
pub(super) fn sort(query: &Query) -> Option<(&'static str, &'static str)> {
    let names = parameters(query.stream);
    let (name, order) = match query.order? {
        Order::Key => (names.sort_key, "asc"),
        Order::KeyDescending => (names.sort_key, "desc"),
        Order::Date | Order::DateThenKey => (names.sort_changed, "asc"),
        Order::DateDescending => (names.sort_changed, "desc"),
        Order::Created => (names.sort_created, "asc"),
        Order::CreatedDescending => (names.sort_created, "desc"),
    };
    Some((name?, order))
}

/// Returns the hours back to a change at `from`. The margin covers the seconds between the clock and the request, and
/// one more hour the difference of two clocks.
fn hours(from: i64, now: i64) -> i64 {
    let seconds = now.saturating_sub(from).max(0) + MARGIN;
    seconds.saturating_add(SECONDS_PER_HOUR - 1) / SECONDS_PER_HOUR + 1
}

/// Prefix of a part that is a store, given by its id.
const OWNER: &str = "store ";

/// Returns the part of a stream that belongs to a store.
pub(super) fn part_of_owner(id: i64) -> String {
    format!("{OWNER}{id}")
}

fn owner_of(part: &str) -> Option<&str> {
    part.strip_prefix(OWNER)
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::super::streams::find;
    use super::*;
    use crate::secret::Secret;
    use crate::sync::query::DateRange;
    use crate::timestamp::Timestamp;

    fn settings() -> Settings {
        Settings {
            base: Url::parse("https://shop.example.com/store/").unwrap(),
            email: "admin@example.com".to_owned(),
            api_key: Secret::new("0123456789abcdef".to_owned()),
            rewrite: true,
            user_types: vec!["C".to_owned()],
            include_incomplete_orders: false,
            storefront_ids: Vec::new(),
            language: "en".to_owned(),
            rows_per_request: 50,
            concurrency: 1,
        }
    }

    fn target(query: &Query) -> String {
        Settled::of(&settings()).target(query, 1_700_000_000)
    }

    fn since(seconds: i64) -> DateRange {
        DateRange { from: Some(Timestamp::from_unix_seconds(seconds)), ..DateRange::default() }
    }

    #[test]
    fn the_requests_of_orders_on_the_wire() {
        let orders = find("orders").unwrap();
        let first = Query::new(orders, 50).sort(Order::Created);
        assert_eq!(
            target(&first),
            "api/2.0/orders?items_per_page=50&page=1&sort_by=date&sort_order=asc&get_orders_data=1"
        );
        assert_eq!(
            target(&first.created(1_600_000_000, 4_102_444_800).date_range(&since(1_600_000_100))),
            "api/2.0/orders?items_per_page=50&page=1&sort_by=date&sort_order=asc&period=C&time_from=1600000000\
             &time_to=4102444800&updated_at_from=1600000100&get_orders_data=1"
        );
        let second = Query::all(orders).short().created(7, 7);
        assert_eq!(target(&second), "api/2.0/orders?items_per_page=0&page=1&period=C&time_from=7&time_to=7");
        let keys = Query::new(orders, 2).one_of(&[5, 7]);
        assert_eq!(target(&keys), "api/2.0/orders?items_per_page=2&page=1&order_id=5%2C7&get_orders_data=1");
        let given =
            Settings { rewrite: false, include_incomplete_orders: true, storefront_ids: vec![1, 3], ..settings() };
        assert_eq!(
            Settled::of(&given).target(&Query::new(orders, 1).short(), 0),
            "api.php?_d=2.0/orders&items_per_page=1&page=1&include_incompleted=1&storefront_id%5B%5D=1\
             &storefront_id%5B%5D=3"
        );
    }

    #[test]
    fn other_streams_name_their_own_parameters() {
        let query = |name: &str| Query::new(find(name).unwrap(), 2);
        assert_eq!(
            target(&query("users").sort(Order::KeyDescending).one_of(&[5, 7]).part(Some("C"))),
            "api/2.0/users?items_per_page=2&page=1&sort_by=id&sort_order=desc&user_ids%5B%5D=5&user_ids%5B%5D=7\
             &user_type=C"
        );
        assert_eq!(
            target(&query("shipments").sort(Order::Key).page(3)),
            "api/2.0/shipments?items_per_page=2&page=3&sort_by=id&sort_order=asc"
        );
        assert_eq!(
            target(&Query::all(find("categories").unwrap())),
            "api/2.0/categories?items_per_page=0&page=1&lang_code=en"
        );
    }

    #[test]
    fn carts_are_requested_in_all_stores_or_in_one() {
        let carts = |part: Option<&str>| Query::new(find("carts").unwrap(), 9).part(part);
        assert_eq!(target(&carts(None)), "api/2.0/carts?items_per_page=9&page=1");
        assert_eq!(target(&carts(Some("3"))), "api/2.0/carts?items_per_page=9&page=1&storefront_id=3");
        let store = part_of_owner(2);
        assert_eq!(target(&carts(Some(store.as_str()))), "api/2.0/stores/2/carts?items_per_page=9&page=1");
        let of = |owner| carts(None).parent(crate::sync::query::ParentRow { key: 3_810_267_128, owner });
        assert_eq!(target(&of(None)), "api/2.0/carts/3810267128");
        assert_eq!(target(&of(Some(2))), "api/2.0/stores/2/carts/3810267128");
    }

    #[test]
    fn hours_reach_back_to_the_cursor_whatever_the_pause_since_it() {
        let products = Query::new(find("products").unwrap(), 1).date_range(&since(1_700_000_000 - 3_550));
        assert!(target(&products).contains("&updated_in_hours=3&lang_code=en&get_features=0"), "{}", target(&products));
        for (pause, expected) in [(0, 2), (3_480, 2), (3_481, 3), (3_600, 3), (7_080, 3), (7_081, 4), (-50, 2)] {
            assert_eq!(hours(1_000_000, 1_000_000 + pause), expected, "{pause}");
        }
    }
}
