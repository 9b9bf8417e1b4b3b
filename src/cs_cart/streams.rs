//! The table of streams: one row each, with the fields in `schemas/cs-cart/`, and the names that requests for a stream
//! use. The catalog has its order.

use std::sync::LazyLock;

use super::privileges::of::{
    CallRequests, Catalog, Languages, Orders, ProductReviews, Shippings, Statuses, Stores, Taxes, UserGroups, Users,
    Vendors,
};
use crate::stream::{self, Nested, Scope, Strategy, Stream};
use crate::stream_fields::StreamFields;

/// Returns the fields that no record may contain: those given, then credentials, sessions, card data, and places on the
/// store's disk at any depth.
macro_rules! never {
    ($($field:literal),*) => {
        &[
            $($field,)*
            "**.password",
            "**.salt",
            "**.last_passwords",
            "**.api_key",
            "**.session_id",
            "**.absolute_path",
            "**.relative_path",
            "**.processor_params",
            "**.validation_code",
            "**.payment_info",
            "**.product_groups",
            // The settings of a carrier may contain passwords.
            "**.service_params",
        ]
    };
}

/// Returns a row with the defaults.
const fn usual(name: &'static str, scope: Scope, fields: fn() -> &'static StreamFields) -> Stream {
    Stream { has_text_values: true, never_sent: never!(), ..Stream::new(name, scope, || STREAMS, fields) }
}

/// A row: name, privilege, and all that differs from the defaults.
macro_rules! stream {
    ($name:literal, $scope:expr $(, $field:ident: $value:expr)* $(,)?) => {
        Stream {
            $($field: $value,)*
            ..usual($name, $scope, || {
                static FIELDS: LazyLock<StreamFields> = LazyLock::new(|| {
                    // A test reads each file.
                    StreamFields::parse(include_str!(concat!("../../schemas/cs-cart/", $name, ".json")))
                        .unwrap_or_default()
                });
                &FIELDS
            })
        }
    };
}

/// The key of a cart: a user can have one in each store or storefront.
const CART_KEY: &[&str] = &["user_id", "company_id", "storefront_id"];

/// The streams. Keys and lists: CS-Cart REST API, the page of each entity.
pub static STREAMS: &[Stream] = &[
    stream!("orders", Orders, primary_key: &["order_id"], strategy: Strategy::DateWalk, created_field: Some("timestamp"),
        complete_field: Some("products"), has_updated_at: true, cursor_field: "updated_at", is_scope_probe: true),
    stream!("order_items", Orders, primary_key: &["order_id", "item_id"], path: "orders", list: "orders",
    strategy: Strategy::DateWalk, has_updated_at: true, cursor_field: "updated_at",
    nested_in: Some(Nested {
        parent: "orders", field: "products", inherited: &["order_id", "updated_at"], one_by_one: false,
    })),
    stream!("products", Catalog, primary_key: &["product_id"], strategy: Strategy::DateWalk,
        created_field: Some("timestamp"), has_updated_at: true, cursor_field: "updated_timestamp",
        sorts_by_change: true, created_may_change: true, is_scope_probe: true),
    stream!("categories", Catalog, primary_key: &["category_id"]),
    stream!("features", Catalog, primary_key: &["feature_id"]),
    stream!("options", Catalog, primary_key: &["option_id"], list: "product_options"),
    stream!("product_reviews", ProductReviews, primary_key: &["product_review_id"], strategy: Strategy::LastPageFirst,
        add_on: Some("Product reviews")),
    stream!("users", Users, primary_key: &["user_id"], strategy: Strategy::KeyLists, is_scope_probe: true),
    stream!("usergroups", UserGroups, primary_key: &["usergroup_id"], list: ""),
    // A serialized line of the cart, with all of the above in it.
    stream!("carts", Users, primary_key: CART_KEY, strategy: Strategy::DateWindows, created_field: Some("date"),
        part_field: Some("storefront_id"), is_large: true, never_sent: never!("extra"), is_scope_probe: true),
    // Some versions send `extra` of a line serialized as well.
    stream!("cart_items", Users, primary_key: &["user_id", "company_id", "storefront_id", "item_id"], path: "carts",
        list: "carts", strategy: Strategy::DateWindows, is_large: true, never_sent: never!("extra=text"),
        nested_in: Some(Nested { parent: "carts", field: "products", inherited: CART_KEY, one_by_one: true })),
    stream!("shipments", Orders, primary_key: &["shipment_id"], strategy: Strategy::LastPageFirst),
    stream!("call_requests", CallRequests, primary_key: &["request_id"], strategy: Strategy::LastPageFirst,
        add_on: Some("Call requests")),
    stream!("statuses", Statuses, primary_key: &["status_id"]),
    stream!("taxes", Taxes, primary_key: &["tax_id"]),
    stream!("shippings", Shippings, primary_key: &["shipping_id"]),
    stream!("languages", Languages, primary_key: &["lang_id"]),
    stream!("stores", Stores, primary_key: &["company_id"], strategy: Strategy::LastPageFirst),
    stream!("vendors", Vendors, primary_key: &["company_id"], strategy: Strategy::LastPageFirst),
];

/// Streams that most users read first. `metadata.yaml` suggests them to a platform. `carts` and `cart_items` are not
/// among them: they take many requests. `stores` and `vendors` exist only in one edition each.
pub const SUGGESTED: &[&str] = &["orders", "order_items", "products", "categories", "users", "shipments", "statuses"];

/// The version of the API, which any administrator may read. It is not in the table: `check` requests it first.
pub(super) static VERSION: Stream = Stream {
    list: "",
    ..usual("version", Scope(""), || {
        static NONE: LazyLock<StreamFields> = LazyLock::new(StreamFields::default);
        &NONE
    })
};

/// The stream whose rows own the rows of a stream that is read owner by owner.
pub(super) const OWNERS: &str = "stores";

/// Returns the stream with this name or alias.
pub fn find(name: &str) -> Option<&'static Stream> {
    stream::find(STREAMS, name)
}

/// The names that requests for a stream use.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Parameters {
    /// Value of `sort_by` for the order of the keys.
    pub sort_key: Option<&'static str>,
    /// Value of `sort_by` for the order of creation.
    pub sort_created: Option<&'static str>,
    /// Value of `sort_by` for the order of changes.
    pub sort_changed: Option<&'static str>,
    /// Parameter with a list of keys. One that ends with `[]` is repeated for each key.
    pub keys: Option<&'static str>,
    /// Parameter that selects rows by their change date.
    pub changed_since: Option<ChangedSince>,
    /// Parameters of each request.
    pub always: &'static [(&'static str, &'static str)],
    /// Parameters of each request for complete rows.
    pub complete: &'static [(&'static str, &'static str)],
    /// True if the rows have names in the store's languages.
    pub has_language: bool,
    /// True if orders that were not finished can be included.
    pub has_incomplete: bool,
    /// True if rows can be selected by their storefronts.
    pub has_storefronts: bool,
    /// Parameter that selects the part of a stream.
    pub part: Option<&'static str>,
    /// Values of `users_type`, if rows can be selected by it.
    pub kinds: &'static [&'static str],
}

/// Parameters that select rows by their change date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChangedSince {
    /// First second, in UNIX seconds.
    Seconds(&'static str),
    /// Number of hours before the present.
    Hours(&'static str),
}

/// Returns the names that requests for a stream use.
pub(super) fn parameters(stream: &Stream) -> Parameters {
    let found = PARAMETERS.iter().find(|(name, _)| *name == stream.name);
    found.map(|(_, parameters)| *parameters).unwrap_or_default()
}

const NONE: Parameters = Parameters {
    sort_key: None,
    sort_created: None,
    sort_changed: None,
    keys: None,
    changed_since: None,
    always: &[],
    complete: &[],
    has_language: false,
    has_incomplete: false,
    has_storefronts: false,
    part: None,
    kinds: &[],
};
const BY_ID: Parameters = Parameters { sort_key: Some("id"), ..NONE };
const NAMED: Parameters = Parameters { has_language: true, ..NONE };

/// The names, by stream. Streams that are not listed need none.
static PARAMETERS: &[(&str, Parameters)] = &[
    (
        "orders",
        Parameters {
            sort_key: Some("order_id"),
            sort_created: Some("date"),
            keys: Some("order_id"),
            changed_since: Some(ChangedSince::Seconds("updated_at_from")),
            complete: &[("get_orders_data", "1")],
            has_incomplete: true,
            has_storefronts: true,
            ..NONE
        },
    ),
    (
        "products",
        Parameters {
            sort_created: Some("timestamp"),
            sort_changed: Some("updated_timestamp"),
            keys: Some("pid"),
            changed_since: Some(ChangedSince::Hours("updated_in_hours")),
            // What the schema does not declare would cost the store several queries for each row.
            always: &[("get_features", "0"), ("get_additional", "0"), ("get_icon", "0"), ("get_detailed", "0")],
            has_language: true,
            ..NONE
        },
    ),
    ("users", Parameters { sort_key: Some("id"), keys: Some("user_ids[]"), part: Some("user_type"), ..NONE }),
    ("carts", Parameters { sort_created: Some("date"), part: Some("storefront_id"), kinds: &["R", "G"], ..NONE }),
    ("shipments", BY_ID),
    ("call_requests", BY_ID),
    ("stores", BY_ID),
    ("vendors", BY_ID),
    ("product_reviews", Parameters { sort_key: Some("product_review_id"), ..NONE }),
    ("categories", NAMED),
    ("features", NAMED),
    ("options", NAMED),
    ("statuses", NAMED),
    ("taxes", NAMED),
    ("shippings", NAMED),
    ("usergroups", NAMED),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_file_is_read_and_has_the_fields_of_its_row() {
        for stream in STREAMS {
            let names = &(stream.fields)().names;
            let has = |name: &str| names.iter().any(|known| known == name);
            assert!(
                !stream.primary_key.is_empty() && stream.primary_key.iter().all(|name| has(name)),
                "{}",
                stream.name
            );
            assert!(!stream.has_updated_at || has(stream.cursor_field), "{}", stream.name);
            assert!(stream.created_field.is_none_or(has), "{}", stream.name);
            let is_hidden = |path: &&&str| has(path.trim_start_matches("**."));
            assert_eq!(stream.never_sent.iter().find(is_hidden), None, "{}", stream.name);
            if let Some(nested) = &stream.nested_in {
                assert_eq!(stream.requested().name, nested.parent);
                assert!(nested.inherited.iter().all(|name| has(name)), "{}", stream.name);
            }
        }
    }

    #[test]
    fn the_names_of_requests_belong_to_streams_that_need_them() {
        for (name, _) in PARAMETERS {
            assert!(find(name).is_some_and(|stream| stream.nested_in.is_none()), "{name}");
        }
        for stream in STREAMS.iter().map(Stream::requested) {
            let parameters = parameters(stream);
            let is_complete = match stream.strategy {
                Strategy::KeyLists => parameters.keys.is_some() && parameters.sort_key.is_some(),
                Strategy::LastPageFirst => parameters.sort_key.is_some(),
                Strategy::DateWalk => parameters.keys.is_some() && parameters.sort_created.is_some(),
                Strategy::DateWindows => parameters.sort_created.is_some(),
                Strategy::OneResponse | Strategy::Keyset => true,
            };
            assert!(is_complete, "{}", stream.name);
        }
        for name in SUGGESTED {
            assert!(find(name).is_some_and(|stream| !stream.is_large), "{name}");
        }
    }

    #[test]
    fn sensitive_fields_are_those_whose_descriptions_say_so() {
        for stream in STREAMS {
            let fields = (stream.fields)();
            let properties = fields.schema["properties"].as_object().unwrap();
            let is_described = |name: &&String| {
                properties[*name]["description"].as_str().is_some_and(|text| text.contains("Sensitive:"))
            };
            let described: Vec<&String> = properties.keys().filter(is_described).collect();
            assert_eq!(fields.sensitive.iter().collect::<Vec<_>>(), described, "{}", stream.name);
        }
    }
}
