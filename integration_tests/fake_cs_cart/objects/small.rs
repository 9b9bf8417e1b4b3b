//! Small lists, whose rows are plain columns.

use crate::context::Context;
use crate::json::Writer;
use crate::page::{Item, RowKey, Sort, SortValue, Sorting};
use crate::rows::SmallRow;

use super::{Object, random, total};

const fn of(name: &'static str, privilege: &'static str, sorts: &'static [Sort]) -> Object {
    Object {
        name,
        list_key: name,
        privilege,
        is_for_vendors: false,
        sorts,
        is_descending: false,
        is_cut_in_php: false,
        is_bare_in_first_version: false,
        select,
        write,
        write_one,
    }
}

/// Creates a list that the server reads completely and cuts in PHP.
const fn cut_in_php(name: &'static str, privilege: &'static str, is_bare_in_first_version: bool) -> Object {
    Object { is_cut_in_php: true, is_bare_in_first_version, ..of(name, privilege, BY_POSITION) }
}

static BY_POSITION: &[Sort] = &[total("position")];

static COMPANIES: &[Sort] = &[random("company"), total("id"), random("email"), random("date"), random("status")];

/// Small objects.
pub(crate) static SMALL: [Object; 13] = [
    Object {
        is_for_vendors: true,
        is_bare_in_first_version: true,
        ..of(
            "categories",
            "view_catalog",
            &[random("position"), random("timestamp"), random("name"), random("product_count"), random("status")],
        )
    },
    Object { is_bare_in_first_version: true, ..of("vendors", "view_vendors", COMPANIES) },
    Object { is_bare_in_first_version: true, ..of("stores", "view_stores", COMPANIES) },
    cut_in_php("statuses", "manage_order_statuses", true),
    of("features", "view_catalog", &[total("position")]),
    Object { list_key: "product_options", is_for_vendors: true, ..of("options", "view_catalog", BY_POSITION) },
    cut_in_php("taxes", "view_taxes", true),
    cut_in_php("shippings", "view_shipping", true),
    cut_in_php("languages", "view_languages", true),
    cut_in_php("payments", "view_payments", true),
    of("usergroups", "view_usergroups", BY_POSITION),
    Object {
        is_descending: true,
        ..of(
            "call_requests",
            "view_call_requests",
            &[random("date"), total("id"), random("status"), random("name"), random("phone"), random("user_id")],
        )
    },
    Object {
        is_descending: true,
        is_for_vendors: true,
        ..of(
            "product_reviews",
            "view_product_reviews",
            &[
                random("product_review_timestamp"),
                total("product_review_id"),
                random("helpfulness"),
                random("rating_value"),
            ],
        )
    },
];

/// Returns the name of the table that an object reads.
pub(crate) fn table(object: &'static str) -> &'static str {
    if object == "vendors" || object == "stores" { "companies" } else { object }
}

/// Returns the name of the key of an object.
pub(crate) fn key_of(object: &str) -> &'static str {
    if object == "vendors" || object == "stores" { "company_id" } else { key_column(object) }
}

/// Returns the name of the key of a table.
pub(crate) fn key_column(table: &str) -> &'static str {
    match table {
        "categories" => "category_id",
        "companies" => "company_id",
        "statuses" => "status_id",
        "features" => "feature_id",
        "options" => "option_id",
        "taxes" => "tax_id",
        "shippings" => "shipping_id",
        "usergroups" => "usergroup_id",
        "languages" => "lang_id",
        "payments" => "payment_id",
        "call_requests" => "request_id",
        _ => "product_review_id",
    }
}

/// Returns the key that a row has in a keyed list.
pub(crate) fn list_index(context: &Context<'_>, id: i64) -> String {
    match row(context, id).map(|row| row.text("lang_code")) {
        Some(code) if context.object == "languages" => code.to_owned(),
        _ => id.to_string(),
    }
}

fn row<'a>(context: &Context<'a>, id: i64) -> Option<&'a SmallRow> {
    context.data.small.get(table(context.object))?.get(id)
}

fn select<'a>(context: &Context<'a>, sorting: &Sorting) -> Vec<Item<'a>> {
    let query = context.query;
    let statuses_of = query.filled("type").unwrap_or("O");
    let range = crate::period::range(query, "", context.data.now, context.options.day_first);
    let days = query.number("updated_in_days").map(|days| context.data.now - days * 86_400);
    let product = query.number("product_id").unwrap_or(0);
    let is_listed = |row: &SmallRow| match context.object {
        "statuses" => row.text("type") == statuses_of,
        "features" => {
            days.is_none_or(|from| row.number("updated_timestamp") >= from)
                && !(query.is_on("exclude_group") && row.text("feature_type") == "G")
        }
        "options" => row.number("product_id") == product,
        "categories" => {
            range.is_none_or(|(from, to)| (from..=to).contains(&row.number("timestamp")))
                && context.is_in_company(row.number("company_id"), true)
        }
        "product_reviews" => {
            range.is_none_or(|(from, to)| (from..=to).contains(&row.number("product_review_timestamp")))
        }
        "vendors" | "stores" => context.company.is_none_or(|company| company == row.id),
        // `company_id` is overwritten with the store of the request.
        "call_requests" => context.company.is_none_or(|company| company == row.number("company_id")),
        _ => true,
    };
    let Some(table) = context.data.small.get(table(context.object)) else {
        return Vec::new();
    };
    let rows = table.iter().filter(|(_, row)| is_listed(row));
    rows.map(|(id, row)| Item { key: (*id, 0), value: value(context.object, sorting.name, row) }).collect()
}

fn value<'a>(object: &str, sort: &str, row: &'a SmallRow) -> SortValue<'a> {
    match (object, sort) {
        (_, "id" | "product_review_id") => SortValue::Number(row.id),
        (_, "date") => SortValue::Number(row.number("timestamp")),
        ("categories", "name") => SortValue::Text(row.text("category")),
        ("categories", "position") => SortValue::Number(row.number("position")),
        ("vendors" | "stores", "company") => SortValue::Text(row.text("company")),
        (_, "email" | "status" | "name" | "phone") => SortValue::Text(row.text(sort)),
        _ => SortValue::Number(row.number(sort)),
    }
}

fn write(context: &Context<'_>, key: RowKey, out: &mut Writer) -> bool {
    write_columns(context, key.0, true, out)
}

fn write_one(context: &Context<'_>, id: i64, out: &mut Writer) -> bool {
    write_columns(context, id, false, out)
}

fn write_columns(context: &Context<'_>, id: i64, is_list: bool, out: &mut Writer) -> bool {
    let Some(row) = row(context, id) else {
        return false;
    };
    out.open('{').int(key_column(table(context.object)), id);
    let mut except: Vec<&str> = Vec::new();
    if context.object == "categories" && is_list {
        except.extend(["timestamp", "description"]);
    }
    if context.object == "vendors" {
        except.push("storefront");
    }
    let name = if context.object == "categories" { "category" } else { "" };
    let language = context.query.filled("lang_code").filter(|code| *code != "en");
    if let Some(language) = language.filter(|_| !name.is_empty()) {
        out.text(name, &format!("{} ({language})", row.text(name)));
        except.push(name);
    }
    row.write(out, &except);
    out.close('}');
    true
}
