//! The table of streams, one row each. `discover`, the sync, `check`, the tables of the docs and the tests are made
//! from it, and the catalog has its order.

use std::sync::LazyLock;

pub use crate::sync::stream::{Collection, Scope, Stream};

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

/// The field with the date of the last change, in every resource that has one.
pub const CURSOR: &str = "updated_at";

/// The field that marks a row which was deleted in the store; destinations act upon it (Airbyte's change data capture).
pub const DELETED: &str = "_ab_cdc_deleted_at";

/// What most rows have in common.
const fn usual(name: &'static str, scope: Scope, schema: &'static str) -> Stream {
    Stream {
        name,
        aliases: &[],
        list: name,
        key: "id",
        has_updated_at: true,
        cursor_field: CURSOR,
        may_lack_updated_at: false,
        is_large: false,
        scope,
        is_scope_probe: false,
        collections: &[],
        uses_lookups: false,
        sensitive: &[],
        schema,
    }
}

/// A row: name, scope, and what differs from the usual.
macro_rules! stream {
    ($name:literal, $scope:ident $(, $field:ident: $value:expr)* $(,)?) => {
        Stream {
            $($field: $value,)*
            ..usual($name, Scope::$scope, include_str!(concat!("../../schemas/", $name, ".json")))
        }
    };
}

/// The values of a row's custom fields, wherever they are nested.
const CUSTOM_FIELDS: Collection = ("custom_fields", "name:string value:string");

/// The streams. Keys, dates, lists and collections: API documentation, the page of each resource.
pub static STREAMS: &[Stream] = &[
    // People
    stream!("customers", People,
        aliases: &["customers_cart"],
        may_lack_updated_at: true,
        collections: &[
            ("additional_emails", "customer_additional_email_id:integer customer_id:integer email:string"),
            ("addresses", "addresses"),
            CUSTOM_FIELDS,
            ("customer_store_locations", "id:integer store_location_id:integer customer_id:integer"),
            ("reward_points", "id:integer customer_id:integer transaction_type:string earned_at:date-time \
                points_earned:number points_remaining:number note:string order_id:integer created_at:date-time \
                updated_at:date-time status:string expires_at:date-time"),
        ],
        sensitive: &["username"]),
    stream!("addresses", People),
    stream!("customer_association", People, key: "customer_association_id", has_updated_at: false),
    // A store begins with types of its own, as it begins with order statuses whose dates are null.
    stream!("customer_types", People, is_scope_probe: true, may_lack_updated_at: true, collections: &[
        ("customer_type_payment_methods_availability",
            "id:integer payment_method_id:integer status:string customer_type_id:integer"),
    ]),
    stream!("customer_payment_methods", People, collections: &[
        ("fields", "id:integer customer_payment_method_id:integer type:string name:string value:string! \
            is_encrypted:boolean is_value_masked:boolean sort_order:integer updated_at:date-time created_at:date-time"),
    ]),
    stream!("profiles", People, sensitive: &["email", "username"]),
    stream!("users", People, sensitive: &["username", "email"]),
    // Orders
    stream!("orders", Orders,
        collections: &[
            CUSTOM_FIELDS,
            ("items", "order_items"),
            ("payments", "order_payments"),
            ("shipments", "order_shipments"),
        ],
        sensitive: &["ip_address"]),
    stream!("order_items", Orders, list: "items"),
    stream!("order_payments", Orders,
        list: "payments",
        collections: &[
            ("fields", "id:integer order_payment_id:integer name:string type:string value:string! \
                is_encrypted:boolean is_masked:boolean updated_at:date-time created_at:date-time"),
        ],
        sensitive: &["card_expiration_month", "card_expiration_year", "cardholder_name", "last_four", "token"]),
    stream!("order_shipments", Orders, list: "shipments", collections: &[
        ("items", "id:integer quantity_shipped:number product_id:integer item_name:string item_nr:string"),
    ]),
    stream!("order_addresses", Orders, list: "addresses"),
    stream!("order_statuses", Orders, is_scope_probe: true, may_lack_updated_at: true),
    stream!("quotes", Orders, collections: &[CUSTOM_FIELDS, ("items", "order_items")], sensitive: &["ip_address"]),
    stream!("carts", Orders, is_large: true, collections: &[("items", "cart_items")], sensitive: &["lookup_key"]),
    stream!("cart_items", Orders, is_large: true, collections: &[("child_items", "cart_items")]),
    stream!("wishlists", Orders, collections: &[("items", "cart_items")], sensitive: &["lookup_key"]),
    stream!("subscriptions", Orders, uses_lookups: true, collections: &[
        ("cart_info", "carts items:array"),
        ("customer", "customers"),
        ("shipping_address", "order_addresses"),
        ("customer_payment_method", "customer_payment_methods"),
    ]),
    stream!("credit_cards", Orders, sensitive: &[
        "expiration_month", "expiration_year", "cardholder_name", "phone", "address_line_1", "address_line_2", "city",
        "state", "postal_code", "country", "last_four",
    ]),
    // Catalog
    stream!("products", Catalog,
        may_lack_updated_at: true,
        collections: &[
            ("attributes", "attributes product_id:integer value:string"),
            ("categories", "id:integer is_primary:boolean name:string"),
            ("child_products", "products is_default_child:boolean bind_quantity_to_parent:boolean is_required:boolean \
                child_required_quantity:number"),
            CUSTOM_FIELDS,
            ("personalizations", "id:integer question:string is_required:boolean sort_order:integer \
                is_multi_line:boolean updated_at:date-time created_at:date-time display_type:string \
                max_length:integer markup_fee:number is_step:boolean step_group:integer"),
            ("pictures", "product_pictures"),
            ("pricing", "product_pricing"),
            ("related", "id:integer sort_order:integer is_hidden:boolean is_upsell:boolean \
                upsell_adjusted_price:number upsell_quantity:number"),
            ("reviews", "product_reviews"),
            ("shipping_rate_adjustments", "shipping_rate_adjustments"),
            ("variant_inventory", "variant_inventory"),
            ("variants", "product_variants"),
        ],
        sensitive: &["e_product_password", "e_product_generic_username", "e_product_generic_password"]),
    stream!("product_variants", Catalog, list: "variants", may_lack_updated_at: true),
    stream!("variant_groups", Catalog, collections: &[("variants", "product_variants")]),
    stream!("variant_inventory", Catalog, may_lack_updated_at: true, collections: &[
        ("pricing", "product_pricing"),
        ("variants", "product_variants variant_inventory_id:integer"),
    ]),
    stream!("product_pricing", Catalog, may_lack_updated_at: true),
    stream!("product_pictures", Catalog, list: "pictures"),
    stream!("product_reviews", Catalog, collections: &[("ratings", "name:string description:string rating:number")]),
    stream!("product_lists", Catalog, has_updated_at: false, collections: &[
        ("items", "id:integer product_list_id:integer product_id:integer sort_order:integer \
            variant_inventory_id:integer"),
    ]),
    stream!("product_statuses", Catalog, is_scope_probe: true, may_lack_updated_at: true),
    stream!("product_inactive_in_store", Catalog),
    stream!("categories", Catalog, may_lack_updated_at: true, collections: &[CUSTOM_FIELDS, ("products", "products")]),
    stream!("manufacturers", Catalog),
    stream!("attributes", Catalog),
    stream!("attribute_groups", Catalog),
    stream!("price_calculators", Catalog, list: "price_calculation", collections: &[("rules", "price_calculator_rules")]),
    stream!("price_calculator_rules", Catalog, collections: &[("modifiers", "price_calculator_rule_modifiers")]),
    stream!("price_calculator_rule_modifiers", Catalog),
    stream!("shipping_rate_adjustments", Catalog),
    stream!("notifications", Catalog, key: "notification_id", has_updated_at: false),
    // Content
    stream!("blogs", Content, is_scope_probe: true, collections: &[("categories", "blog_categories"), ("posts", "blog_posts")]),
    stream!("blog_categories", Content, collections: &[("posts", "blog_posts")]),
    // Working clients and the vendor's descriptions disagree on this list's name, and on two below.
    stream!("blog_posts", Content, list: "posts", collections: &[("categories", "blog_categories")]),
    stream!("pages", Content),
    stream!("links", Content, collections: &[("child_links", "links")]),
    // Marketing
    stream!("adcodes", Marketing),
    stream!("coupon_codes", Marketing, has_updated_at: false),
    stream!("discount_methods", Marketing, collections: &[("actions", "discount_actions"), ("rules", "discount_rules")]),
    stream!("discount_actions", Marketing, has_updated_at: false, collections: &[("rules", "discount_rules")]),
    stream!("discount_rules", Marketing),
    stream!("gift_certificates", Marketing,
        collections: &[("transactions", "gift_certificate_transactions")],
        sensitive: &["code"]),
    stream!("gift_certificate_transactions", Marketing, list: "transactions"),
    stream!("mailing_lists", Marketing, is_scope_probe: true, may_lack_updated_at: true, collections: &[
        ("members", "id:integer mailing_list_id:integer customer_id:integer is_subscribed:boolean \
            updated_at:date-time created_at:date-time"),
    ]),
    stream!("drips", Marketing, has_updated_at: false, collections: &[
        ("events", "id:integer drip_id:integer step_name:string action:string when_value:integer \
            when_interval:string when_event:string sort_order:integer"),
        ("members", "id:integer drip_id:integer customer_id:integer started_at:date-time completed_at:date-time \
            last_email_at:date-time email_count:integer subscription_id:integer order_id:integer \
            custom_merge_keys:string custom_merge_values:string"),
    ]),
    stream!("email_templates", Marketing, has_updated_at: false),
    // Tools
    stream!("custom_fields", CustomFields, is_scope_probe: true, collections: &[
        ("list_items", "id:integer custom_field_id:integer text:string value:string sort_order:integer"),
        ("stores", "id:integer name:string"),
        ("values", "custom_field_values"),
    ]),
    stream!("custom_field_values", Tools, list: "values"),
    // Settings
    stream!("payment_methods", Settings, may_lack_updated_at: true, collections: &[
        ("fields", "id:integer payment_method_id:integer name:string length:integer sort_order:integer type:string \
            is_required:boolean is_hidden:boolean is_encrypted:boolean is_masked:boolean updated_at:date-time \
            created_at:date-time"),
        ("stores", "id:integer store_id:integer payment_method_id:integer is_enabled:boolean updated_at:date-time \
            created_at:date-time"),
    ]),
    stream!("shipping_providers", Settings, may_lack_updated_at: true, collections: &[("services", "shipping_provider_services")]),
    stream!("shipping_provider_services", Settings, list: "services", may_lack_updated_at: true),
    stream!("custom_shipping_methods", Settings, collections: &[
        ("rules", "id:integer shipping_method_id:integer lower_bound:number upper_bound:number bound_type:string \
            amount:number amount_type:string modifier_operation:string modifier_amount:number modifier_type:string \
            region_id:integer warehouse_id:integer updated_at:date-time created_at:date-time lower_bound_2:number \
            upper_bound_2:number bound_type_2:string customer_type_id:integer match_values_below_lower_bound:boolean \
            match_values_above_upper_bound:boolean scope:string item_min_weight:number item_max_weight:number \
            item_min_length:number item_max_length:number item_girth_type:string item_max_girth:number"),
    ]),
    stream!("tax_rates", Settings),
    stream!("regions", Settings),
    stream!("warehouses", Settings, is_scope_probe: true),
    stream!("store_locations", Settings, has_updated_at: false),
    stream!("url_redirects", Settings),
    stream!("external_image_whitelist", Settings, key: "external_image_whitelist_sites_id"),
    stream!("blacklisted_ips", Settings, has_updated_at: false, sensitive: &["ip_address", "user_agent"]),
    // System
    stream!("stores", System, is_scope_probe: true, has_updated_at: false),
    stream!("microstores", System, has_updated_at: false),
    stream!("sessions", System, has_updated_at: false, is_large: true, sensitive: &["ip_address", "host_name", "user_agent"]),
    stream!("webhooks", System, has_updated_at: false, sensitive: &["url", "fallback_url"]),
];

/// The streams that most people read first, as `metadata.yaml` suggests them to a platform.
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

/// The names that the lists of all streams have in answers, each once.
pub static LIST_NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let mut names: Vec<&str> = STREAMS.iter().flat_map(|stream| [stream.list, stream.name]).collect();
    names.sort_unstable();
    names.dedup();
    names
});

/// The stream of this name or alias.
#[must_use]
pub fn find(name: &str) -> Option<&'static Stream> {
    STREAMS.iter().find(|stream| stream.name == name || stream.aliases.contains(&name))
}
