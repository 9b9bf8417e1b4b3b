//! The table of streams: one row each, with the fields in `schemas/cart/`. `discover`, the sync, `check`, the tables
//! of the docs and the tests are made from it, and the catalog has its order.

use std::sync::LazyLock;

use crate::stream::Strategy;
pub use crate::stream::{Scope, Stream};
use crate::stream_fields::StreamFields;

/// The rights that a token can have (API documentation, scopes). The last four have no form that only reads.
#[expect(non_upper_case_globals, reason = "a row names its scope as it would name a variant")]
impl Scope {
    /// Customers and all that belongs to them, and the store's staff.
    pub const People: Self = Self("read_people");
    /// Orders and all that belongs to them.
    pub const Orders: Self = Self("read_orders");
    /// Products and all that belongs to them.
    pub const Catalog: Self = Self("read_catalog");
    /// Blogs, pages and links.
    pub const Content: Self = Self("read_content");
    /// Discounts, gift certificates and mailings.
    pub const Marketing: Self = Self("read_marketing");
    /// Definitions of custom fields.
    pub const CustomFields: Self = Self("custom_fields");
    /// Values of custom fields. The list of scopes does not contain it; the resource's own page demands it.
    pub const Tools: Self = Self("tools");
    /// Payment, shipping and tax settings.
    pub const Settings: Self = Self("settings");
    /// Stores and visits.
    pub const System: Self = Self("system");
}

/// Field with the time of a row's last change, the same in all resources that have one.
pub const CURSOR: &str = "updated_at";

/// Returns a row with the defaults.
const fn usual(name: &'static str, scope: Scope, fields: fn() -> &'static StreamFields) -> Stream {
    Stream {
        primary_key: &["id"],
        strategy: Strategy::Keyset,
        sorts_by_change: true,
        has_updated_at: true,
        cursor_field: CURSOR,
        ..Stream::new(name, scope, || STREAMS, fields)
    }
}

/// A row: name, scope, and all that differs from the defaults.
macro_rules! stream {
    ($name:literal, $scope:ident $(, $field:ident: $value:expr)* $(,)?) => {
        Stream {
            $($field: $value,)*
            ..usual($name, Scope::$scope, || {
                static FIELDS: LazyLock<StreamFields> = LazyLock::new(|| {
                    // A test reads each file.
                    StreamFields::parse(include_str!(concat!("../../schemas/cart/", $name, ".json"))).unwrap_or_default()
                });
                &FIELDS
            })
        }
    };
}

/// The streams. Keys, dates and lists: API documentation, the page of each resource.
pub static STREAMS: &[Stream] = &[
    // People
    stream!("customers", People, aliases: &["customers_cart"], may_lack_updated_at: true),
    stream!("addresses", People),
    stream!("customer_association", People, primary_key: &["customer_association_id"], has_updated_at: false),
    // A store begins with types of its own, as it begins with order statuses whose dates are null.
    stream!("customer_types", People, is_scope_probe: true, may_lack_updated_at: true),
    stream!("customer_payment_methods", People),
    stream!("profiles", People),
    stream!("users", People),
    // Orders
    stream!("orders", Orders),
    stream!("order_items", Orders, list: "items"),
    stream!("order_payments", Orders, list: "payments"),
    stream!("order_shipments", Orders, list: "shipments"),
    stream!("order_addresses", Orders, list: "addresses"),
    stream!("order_statuses", Orders, is_scope_probe: true, may_lack_updated_at: true),
    stream!("quotes", Orders),
    stream!("carts", Orders, is_large: true),
    stream!("cart_items", Orders, is_large: true),
    stream!("wishlists", Orders),
    stream!("subscriptions", Orders, uses_lookups: true),
    stream!("credit_cards", Orders),
    // Catalog
    stream!("products", Catalog, may_lack_updated_at: true),
    stream!("product_variants", Catalog, list: "variants", may_lack_updated_at: true),
    stream!("variant_groups", Catalog),
    stream!("variant_inventory", Catalog, may_lack_updated_at: true),
    stream!("product_pricing", Catalog, may_lack_updated_at: true),
    stream!("product_pictures", Catalog, list: "pictures"),
    stream!("product_reviews", Catalog),
    stream!("product_lists", Catalog, has_updated_at: false),
    stream!("product_statuses", Catalog, is_scope_probe: true, may_lack_updated_at: true),
    stream!("product_inactive_in_store", Catalog),
    stream!("categories", Catalog, may_lack_updated_at: true),
    stream!("manufacturers", Catalog),
    stream!("attributes", Catalog),
    stream!("attribute_groups", Catalog),
    stream!("price_calculators", Catalog, list: "price_calculation"),
    stream!("price_calculator_rules", Catalog),
    stream!("price_calculator_rule_modifiers", Catalog),
    stream!("shipping_rate_adjustments", Catalog),
    stream!("notifications", Catalog, primary_key: &["notification_id"], has_updated_at: false),
    // Content
    stream!("blogs", Content, is_scope_probe: true),
    stream!("blog_categories", Content),
    // Working clients and the vendor's descriptions disagree on this list's name, and on two below.
    stream!("blog_posts", Content, list: "posts"),
    stream!("pages", Content),
    stream!("links", Content),
    // Marketing
    stream!("adcodes", Marketing),
    stream!("coupon_codes", Marketing, has_updated_at: false),
    stream!("discount_methods", Marketing),
    stream!("discount_actions", Marketing, has_updated_at: false),
    stream!("discount_rules", Marketing),
    stream!("gift_certificates", Marketing),
    stream!("gift_certificate_transactions", Marketing, list: "transactions"),
    stream!("mailing_lists", Marketing, is_scope_probe: true, may_lack_updated_at: true),
    stream!("drips", Marketing, has_updated_at: false),
    stream!("email_templates", Marketing, has_updated_at: false),
    // Tools
    stream!("custom_fields", CustomFields, is_scope_probe: true),
    stream!("custom_field_values", Tools, list: "values"),
    // Settings
    stream!("payment_methods", Settings, may_lack_updated_at: true),
    stream!("shipping_providers", Settings, may_lack_updated_at: true),
    stream!("shipping_provider_services", Settings, list: "services", may_lack_updated_at: true),
    stream!("custom_shipping_methods", Settings),
    stream!("tax_rates", Settings),
    stream!("regions", Settings),
    stream!("warehouses", Settings, is_scope_probe: true),
    stream!("store_locations", Settings, has_updated_at: false),
    stream!("url_redirects", Settings),
    stream!("external_image_whitelist", Settings, primary_key: &["external_image_whitelist_sites_id"]),
    stream!("blacklisted_ips", Settings, has_updated_at: false),
    // System
    stream!("stores", System, is_scope_probe: true, has_updated_at: false),
    stream!("microstores", System, has_updated_at: false),
    stream!("sessions", System, has_updated_at: false, is_large: true),
    stream!("webhooks", System, has_updated_at: false),
];

/// Streams that most users read first. `metadata.yaml` suggests them to a platform.
pub const SUGGESTED: &[&str] = &[
    "customers",
    "addresses",
    "orders",
    "order_items",
    "order_payments",
    "order_shipments",
    "order_statuses",
    "products",
    "product_variants",
    "categories",
];

/// Names of the lists of all streams in responses, each once.
pub static LIST_NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let mut names: Vec<&str> = STREAMS.iter().flat_map(|stream| [stream.list, stream.name]).collect();
    names.sort_unstable();
    names.dedup();
    names
});

/// Returns the stream with this name or alias, for tests.
#[cfg(any(test, feature = "fuzzing"))]
pub fn find(name: &str) -> Option<&'static Stream> {
    crate::stream::find(STREAMS, name)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_schema_file_is_read_and_names_streams_that_exist() {
        for stream in STREAMS {
            let fields = (stream.fields)();
            assert!(fields.names.iter().any(|name| name == stream.key()), "{}", stream.name);
            assert_eq!(fields.names.iter().any(|name| name == CURSOR), stream.has_updated_at, "{}", stream.name);
            for collection in &fields.collections {
                assert!(
                    collection.stream.as_deref().is_none_or(|name| find(name).is_some()),
                    "{}.{}",
                    stream.name,
                    collection.name
                );
            }
        }
    }

    #[test]
    fn sensitive_fields_are_those_whose_descriptions_say_so() {
        for stream in STREAMS {
            let fields = (stream.fields)();
            let is_described = |(_, property): &(&String, &Value)| {
                property["description"].as_str().is_some_and(|text| text.contains("Sensitive:"))
            };
            let properties = fields.schema["properties"].as_object().unwrap();
            let described: Vec<&String> = properties.iter().filter(is_described).map(|(name, _)| name).collect();
            assert_eq!(fields.sensitive.iter().collect::<Vec<_>>(), described, "{}", stream.name);
            assert!(!fields.sensitive.iter().any(|name| name == stream.key() || name == CURSOR), "{}", stream.name);
        }
    }
}
