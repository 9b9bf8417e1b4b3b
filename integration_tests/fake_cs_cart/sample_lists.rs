//! Sample data of the small lists.

use super::data::Data;
use super::rows::{Cell, SmallRow};
use super::sample::Sample;

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

/// Makes the small lists.
pub(crate) fn fill(sample: &Sample, data: &mut Data) {
    let mut put = |object: &'static str, id: i64, cells: Vec<(&'static str, Cell)>| {
        data.small(object).seed(id, SmallRow { id, cells });
    };
    for id in 1..=sample.companies as i64 {
        put("companies", id, company(id, sample.from));
    }
    for id in 1..=12 {
        put("categories", id, category(id, sample.from));
    }
    for (id, (status, kind, name)) in (1..).zip(STATUSES) {
        let cells = vec![
            ("status", text(status)),
            ("type", text(kind)),
            ("is_default", text("Y")),
            ("description", text(name)),
            ("email_subj", text("")),
            ("lang_code", text("en")),
            ("position", Cell::Int(id)),
            ("params", Cell::Json("{\"color\":\"#000000\",\"notify\":\"Y\"}".to_owned())),
        ];
        put("statuses", id, cells);
    }
    for id in 1..=6 {
        put("features", id, feature(id, sample.from));
        put("options", id, option(id));
    }
    for id in 1..=3 {
        let tax = vec![
            ("tax", Cell::Text(format!("VAT {id}"))),
            ("address_type", text("S")),
            ("status", text("A")),
            ("price_includes_tax", text("Y")),
            ("priority", Cell::Int(id)),
            ("regnumber", text("")),
        ];
        put("taxes", id, tax);
        let shipping = vec![
            ("shipping", Cell::Text(format!("Shipping {id}"))),
            ("delivery_time", text("1-3 days")),
            ("company_id", Cell::Int(1)),
            ("status", text("A")),
            ("usergroup_ids", text("0")),
            ("position", Cell::Int(id)),
            // The vendor's page shows it in the details of a method; that a list has it is inferred.
            ("service_params", Cell::Json("{\"password\":\"PRIVATE-carrier\",\"user\":\"PRIVATE-user\"}".to_owned())),
        ];
        put("shippings", id, shipping);
        let payment = vec![
            ("payment", Cell::Text(format!("Payment {id}"))),
            ("status", text("A")),
            ("position", Cell::Int(id)),
            ("processor_params", Cell::Json("{\"secret_key\":\"PRIVATE-processor\"}".to_owned())),
        ];
        put("payments", id, payment);
        let group = vec![("type", text("C")), ("status", text("A")), ("usergroup", Cell::Text(format!("Group {id}")))];
        put("usergroups", id, group);
    }
    for (id, (code, name)) in (1..).zip([("en", "English"), ("de", "Deutsch")]) {
        let cells =
            vec![("lang_code", text(code)), ("name", text(name)), ("status", text("A")), ("country_code", text("US"))];
        put("languages", id, cells);
    }
}

/// Statuses: code, type and name.
const STATUSES: [(&str, &str, &str); 6] = [
    ("P", "O", "Processed"),
    ("C", "O", "Complete"),
    ("O", "O", "Open"),
    ("I", "O", "Canceled"),
    ("N", "O", "Incomplete"),
    ("S", "S", "Shipped"),
];

fn company(id: i64, created: i64) -> Vec<(&'static str, Cell)> {
    vec![
        ("lang_code", text("en")),
        ("email", Cell::Text(format!("company{id}@example.com"))),
        ("timestamp", Cell::Int(created + id)),
        ("status", text("A")),
        ("company", Cell::Text(format!("Company {id}"))),
        ("storefront", Cell::Text(format!("store{id}.example.com"))),
    ]
}

fn category(id: i64, created: i64) -> Vec<(&'static str, Cell)> {
    vec![
        ("parent_id", Cell::Int(if id > 6 { id - 6 } else { 0 })),
        ("id_path", Cell::Text(if id > 6 { format!("{}/{id}", id - 6) } else { id.to_string() })),
        ("category", Cell::Text(format!("Category {id}"))),
        // Categories share positions, so that their order is not total.
        ("position", Cell::Int(id % 3 * 10)),
        ("status", text("A")),
        ("company_id", Cell::Int(1)),
        ("storefront_id", Cell::Int(1)),
        ("product_count", Cell::Int(id * 2)),
        ("timestamp", Cell::Int(created + id)),
        ("description", text("")),
    ]
}

fn feature(id: i64, created: i64) -> Vec<(&'static str, Cell)> {
    vec![
        ("company_id", Cell::Int(1)),
        ("feature_type", text(if id == 1 { "G" } else { "S" })),
        ("parent_id", Cell::Int(i64::from(id > 1))),
        ("display_on_product", text("Y")),
        ("description", Cell::Text(format!("Feature {id}"))),
        ("status", text("A")),
        ("position", Cell::Int(id)),
        ("updated_timestamp", Cell::Int(created + id * 86_400)),
    ]
}

fn option(id: i64) -> Vec<(&'static str, Cell)> {
    vec![
        ("product_id", Cell::Int(0)),
        ("option_name", Cell::Text(format!("Option {id}"))),
        ("option_type", text("S")),
        ("company_id", Cell::Int(1)),
        ("required", text("N")),
        ("status", text("A")),
        ("position", Cell::Int(id)),
        ("variants", Cell::Json("[]".to_owned())),
    ]
}
