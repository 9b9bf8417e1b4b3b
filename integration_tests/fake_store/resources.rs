//! The table of all documented list resources.
//!
//! Subject: "Resources" and "Scopes" of the public documentation. The names of the arrays come from
//! vendor samples and working clients (short names); the newest `OpenAPI` has the path names instead.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::main_fields::MAIN;
use super::other_fields::OTHER;
use super::rows::{self, Gen};

/// One line for each resource: path, name of the array, key field, scopes (one of them is enough), nested
/// collections. `a>b.c` means that the collection `a` has the rows of `b` whose `c` is the parent's key; the
/// others are generated. A line that starts with a space continues the previous line.
const TABLE: &str = "
addresses | addresses | id | read_people people |
customers | customers | id | read_people people |
  additional_emails addresses>addresses.customer_id custom_fields customer_store_locations reward_points
customer_association | customer_association | customer_association_id | read_people people |
customer_types | customer_types | id | read_people people | customer_type_payment_methods_availability
customer_payment_methods | customer_payment_methods | id | read_people people | fields
profiles | profiles | id | read_people people |
users | users | id | read_people people |
carts | carts | id | read_orders orders | items>cart_items.cart_id
cart_items | cart_items | id | read_orders orders | child_items>cart_items.parent_cart_item_id
credit_cards | credit_cards | id | read_orders orders |
orders | orders | id | read_orders orders |
  custom_fields items>order_items.order_id payments>order_payments.order_id shipments>order_shipments.order_id
order_addresses | addresses | id | read_orders orders |
order_items | items | id | read_orders orders |
order_payments | payments | id | read_orders orders | fields
order_shipments | shipments | id | read_orders orders | items
order_statuses | order_statuses | id | read_orders orders |
quotes | quotes | id | read_orders orders | custom_fields items>order_items.order_id
subscriptions | subscriptions | id | read_orders orders |
wishlists | wishlists | id | read_orders orders | items
attributes | attributes | id | read_catalog catalog |
attribute_groups | attribute_groups | id | read_catalog catalog |
categories | categories | id | read_catalog catalog | custom_fields products>products.primary_category_id
manufacturers | manufacturers | id | read_catalog catalog |
notifications | notifications | notification_id | read_catalog catalog |
price_calculators | price_calculation | id | read_catalog catalog | rules>price_calculator_rules.price_calculator_id
price_calculator_rules | price_calculator_rules | id | read_catalog catalog |
  modifiers>price_calculator_rule_modifiers.price_calculator_rule_id
price_calculator_rule_modifiers | price_calculator_rule_modifiers | id | read_catalog catalog |
products | products | id | read_catalog catalog |
  attributes categories child_products custom_fields personalizations pictures>product_pictures.product_id
  pricing>product_pricing.product_id related reviews>product_reviews.product_id
  shipping_rate_adjustments>shipping_rate_adjustments.product_id variant_inventory>variant_inventory.product_id
  variants>product_variants.product_id
product_inactive_in_store | product_inactive_in_store | id | read_catalog catalog |
product_lists | product_lists | id | read_catalog catalog | items
product_pictures | pictures | id | read_catalog catalog |
product_pricing | product_pricing | id | read_catalog catalog |
product_reviews | product_reviews | id | read_catalog catalog | ratings
product_statuses | product_statuses | id | read_catalog catalog |
product_variants | variants | id | read_catalog catalog |
shipping_rate_adjustments | shipping_rate_adjustments | id | read_catalog catalog |
variant_groups | variant_groups | id | read_catalog catalog | variants>product_variants.variant_group_id
variant_inventory | variant_inventory | id | read_catalog catalog |
  pricing>product_pricing.variant_inventory_id variants
blogs | blogs | id | read_content content | categories>blog_categories.blog_id posts>blog_posts.blog_id
blog_categories | blog_categories | id | read_content content | posts
blog_posts | blog_posts | id | read_content content | categories
links | links | id | read_content content | child_links>links.parent_link_id
pages | pages | id | read_content content |
adcodes | adcodes | id | read_marketing marketing |
coupon_codes | coupon_codes | id | read_marketing marketing |
discount_actions | discount_actions | id | read_marketing marketing | rules>discount_rules.discount_action_id
discount_methods | discount_methods | id | read_marketing marketing |
  actions>discount_actions.discount_method_id rules>discount_rules.discount_method_id
discount_rules | discount_rules | id | read_marketing marketing |
drips | drips | id | read_marketing marketing | events members
email_templates | email_templates | id | read_marketing marketing |
gift_certificates | gift_certificates | id | read_marketing marketing |
  transactions>gift_certificate_transactions.gift_certificate_id
gift_certificate_transactions | gift_certificate_transactions | id | read_marketing marketing |
mailing_lists | mailing_lists | id | read_marketing marketing | members
custom_fields | custom_fields | id | custom_fields | list_items stores values>custom_field_values.custom_field_id
custom_field_values | custom_field_values | id | tools |
blacklisted_ips | blacklisted_ips | id | settings |
custom_shipping_methods | custom_shipping_methods | id | settings | rules
external_image_whitelist | external_image_whitelist | external_image_whitelist_sites_id | settings |
payment_methods | payment_methods | id | settings | fields stores
regions | regions | id | settings |
shipping_providers | shipping_providers | id | settings | services>shipping_provider_services.shipping_provider_id
shipping_provider_services | services | id | settings |
store_locations | store_locations | id | settings |
tax_rates | tax_rates | id | settings |
url_redirects | url_redirects | id | settings |
warehouses | warehouses | id | settings |
sessions | sessions | id | system |
stores | stores | id | system |
microstores | microstores | id | system |
webhooks | webhooks | id | system orders |
";

/// The type of a column, for comparing and sorting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Integers up to 2^63-1.
    Integer,
    /// Decimal numbers.
    Number,
    /// Strings, compared without case.
    Text,
    /// `true` and `false`.
    Boolean,
    /// A point in time, printed as local time with its offset.
    Date,
    /// An array or object: no filter, no sort.
    Nested,
}

/// The source of a field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The key: `Row::id`.
    Key,
    /// `Row::updated_at`.
    Updated,
    /// `Row::created_at`.
    Created,
    /// `Row::fields`.
    Plain,
}

/// One field of a resource.
pub struct Field {
    /// The name in the JSON object.
    pub name: &'static str,
    /// The column type.
    pub ty: Type,
    /// The part of the row that it shows.
    pub role: Role,
    /// Creates a value for a new row.
    pub(super) gen_value: Gen,
}

/// A nested collection of a resource.
pub struct Nested {
    /// Its name in `expand` and in the nested path.
    pub name: &'static str,
    /// The resource and its field with the parent's key, if the rows are those of another resource.
    pub child: Option<(&'static str, &'static str)>,
}

/// One list resource of the API.
pub struct Resource {
    /// The path below `/api/v1/`.
    pub path: &'static str,
    /// The name of the array in a list.
    pub key: &'static str,
    /// The name of the key field.
    pub pk: &'static str,
    /// The scopes, one of which a token needs.
    pub scopes: Vec<&'static str>,
    /// All fields in documented order, including the key and the time stamps.
    pub fields: Vec<Field>,
    /// The collections that `expand` fills.
    pub nested: Vec<Nested>,
    /// True if rows have `updated_at` (and then, always, `created_at`).
    pub has_updated_at: bool,
    /// True if the key is a string in the JSON (microstores).
    pub text_key: bool,
    /// The field that `Data::touch` changes.
    pub touch_field: &'static str,
    by_name: HashMap<&'static str, usize>,
}

impl Resource {
    /// Returns the field with this name.
    pub fn field(&self, name: &str) -> Option<(usize, &Field)> {
        let at = *self.by_name.get(name)?;
        Some((at, &self.fields[at]))
    }

    /// Returns the first key of a new table: order numbers start at 100000.
    pub fn first_id(&self) -> i64 {
        if matches!(self.path, "orders" | "quotes") { 100_000 } else { 1 }
    }

    /// Returns the key as JSON.
    pub fn key_json(&self, id: i64) -> String {
        if self.text_key { format!("\"ms{id:06}\"") } else { id.to_string() }
    }

    /// Returns the key of a path segment or a filter.
    pub fn parse_key(&self, text: &str) -> Option<i64> {
        if self.text_key { text.strip_prefix("ms")?.parse().ok() } else { text.parse().ok() }
    }
}

static RESOURCES: LazyLock<Vec<Resource>> = LazyLock::new(build);

/// True for the sample store, whose keys are as documented.
static NUMBER_KEYS: AtomicBool = AtomicBool::new(false);

/// Gives all rows integers as keys, as documented. The tests read a stream with string keys (microstores) as a variant
/// that is not documented. Call it before anything else of the store.
pub fn number_all_keys() {
    NUMBER_KEYS.store(true, Ordering::Relaxed);
}

/// Returns all documented list resources, in the order of the documentation.
pub fn resources() -> &'static [Resource] {
    &RESOURCES
}

/// Returns the resource with this path.
pub fn resource(path: &str) -> Option<&'static Resource> {
    static BY_PATH: LazyLock<HashMap<&'static str, &'static Resource>> =
        LazyLock::new(|| RESOURCES.iter().map(|r| (r.path, r)).collect());
    BY_PATH.get(path).copied()
}

/// Returns all scopes that a read can need.
pub fn all_scopes() -> Vec<String> {
    let mut all: Vec<String> = resources().iter().flat_map(|r| r.scopes.iter().map(|s| (*s).to_owned())).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn build() -> Vec<Resource> {
    let fields: HashMap<&str, &'static str> = sections(MAIN).chain(sections(OTHER)).collect();
    let mut lines: Vec<String> = Vec::new();
    for line in TABLE.lines().filter(|l| !l.is_empty()) {
        match lines.last_mut() {
            Some(last) if line.starts_with(' ') => last.push_str(line),
            _ => lines.push(line.to_owned()),
        }
    }
    // Leaked once for the complete run, so that every name can be a plain `&'static str`.
    lines.into_iter().map(|line| parse(Box::leak(line.into_boxed_str()), &fields)).collect()
}

fn sections(text: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    text.split("\n[").filter_map(|part| part.split_once("]\n"))
}

fn parse(line: &'static str, fields: &HashMap<&str, &'static str>) -> Resource {
    let mut cells = line.split('|').map(str::trim);
    let mut cell = || cells.next().unwrap_or("");
    let (path, key, pk, scopes, nested) = (cell(), cell(), cell(), cell(), cell());
    let list = fields.get(path).unwrap_or_else(|| panic!("no fields for {path}"));
    let fields: Vec<Field> =
        list.split(';').map(str::trim).filter(|f| !f.is_empty()).map(|f| parse_field(path, pk, f)).collect();
    let nested = nested
        .split_whitespace()
        .map(|n| match n.split_once('>') {
            Some((name, child)) => Nested { name, child: child.split_once('.') },
            None => Nested { name: n, child: None },
        })
        .collect();
    let touch_field = ["admin_comments", "comments", "payment_note", "color", "page_title"]
        .into_iter()
        .find(|n| fields.iter().any(|f| f.name == *n))
        .or_else(|| fields.iter().find(|f| f.role == Role::Plain && f.ty == Type::Text).map(|f| f.name))
        .or_else(|| fields.iter().rev().find(|f| f.role == Role::Plain).map(|f| f.name))
        .unwrap_or("name");
    Resource {
        path,
        key,
        pk,
        scopes: scopes.split_whitespace().collect(),
        by_name: fields.iter().enumerate().map(|(at, f)| (f.name, at)).collect(),
        has_updated_at: fields.iter().any(|f| f.role == Role::Updated),
        text_key: fields[0].ty == Type::Text && !NUMBER_KEYS.load(Ordering::Relaxed),
        touch_field,
        fields,
        nested,
    }
}

fn parse_field(path: &'static str, pk: &str, text: &'static str) -> Field {
    let (name, rest) = text.split_once(':').unwrap_or_else(|| panic!("{path}: {text}"));
    let (letter, value) = match rest.split_once('=') {
        Some((letter, value)) => (letter, Some(value)),
        None => (rest, None),
    };
    let ty = match letter {
        "i" => Type::Integer,
        "n" => Type::Number,
        "b" => Type::Boolean,
        "d" => Type::Date,
        "a" | "o" => Type::Nested,
        _ => Type::Text,
    };
    let role = match name {
        _ if name == pk => Role::Key,
        "updated_at" => Role::Updated,
        "created_at" => Role::Created,
        _ => Role::Plain,
    };
    Field { name, ty, role, gen_value: rows::choose(name, letter, value) }
}
