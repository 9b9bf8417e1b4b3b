//! Orders: short rows, and complete rows where a list is requested with them.

use std::sync::Arc;

use crate::context::Context;
use crate::json::Writer;
use crate::options::Version;
use crate::page::{Item, RowKey, SortValue, Sorting};
use crate::rows::{Order, OrderLine};

use super::users::write_address;

/// Returns the orders that pass the filters; a parent order never does.
pub(crate) fn select<'a>(context: &Context<'a>, sorting: &Sorting) -> Vec<Item<'a>> {
    let filter = Filter::new(context);
    if let Some(ids) = &filter.ids {
        let mut ids = ids.clone();
        ids.dedup();
        let orders = ids.iter().filter_map(|id| context.data.orders.get(*id));
        return orders.filter(|order| filter.accepts(context, order)).map(|order| item(sorting.name, order)).collect();
    }
    let orders = context.data.orders.iter().filter(|(_, order)| filter.accepts(context, order));
    orders.map(|(_, order)| item(sorting.name, order)).collect()
}

struct Filter<'a> {
    ids: Option<Vec<i64>>,
    incomplete: bool,
    statuses: Option<Vec<&'a str>>,
    range: Option<(i64, i64)>,
    updated: (Option<i64>, Option<i64>),
    user_id: Option<i64>,
    storefronts: Option<Vec<i64>>,
    parent: Option<i64>,
    email: Option<&'a str>,
    name: Option<String>,
    total: (Option<i64>, Option<i64>),
    products: Option<Vec<i64>>,
    has_company_filter: bool,
}

impl<'a> Filter<'a> {
    fn new(context: &'a Context<'_>) -> Filter<'a> {
        let query = context.query;
        let has_changes = context.is_at_least(Version::V4_13);
        Filter {
            ids: query.numbers("order_id"),
            incomplete: query.is_on("include_incompleted"),
            statuses: query.list("status"),
            range: crate::period::range(query, "", context.data.now, context.options.day_first),
            updated: (
                query.number("updated_at_from").filter(|_| has_changes),
                query.number("updated_at_to").filter(|_| has_changes),
            ),
            user_id: query.number("user_id"),
            storefronts: query.numbers("storefront_id").filter(|_| context.is_at_least(Version::V4_11)),
            parent: query.number("parent_order_id"),
            email: query.filled("email"),
            name: query.filled("cname").map(str::to_lowercase),
            total: (query.money("total_from"), query.money("total_to")),
            products: query.numbers("p_ids"),
            has_company_filter: context.company.is_some()
                || query.filled("company_id").is_some()
                || query.list("company_ids").is_some(),
        }
    }

    fn accepts(&self, context: &Context<'_>, order: &Order) -> bool {
        (order.status != 'N' || self.incomplete)
            && !order.is_parent
            && self.updated.0.is_none_or(|from| order.updated_at >= from)
            && self.updated.1.is_none_or(|to| order.updated_at <= to)
            && self.range.is_none_or(|(from, to)| (from..=to).contains(&order.timestamp))
            && (!self.has_company_filter || context.is_in_company(order.company_id, true))
            && self.statuses.as_ref().is_none_or(|all| all.contains(&order.status.to_string().as_str()))
            && self.user_id.is_none_or(|id| id == order.user_id)
            && self.storefronts.as_ref().is_none_or(|all| all.contains(&order.storefront_id))
            && self.parent.is_none_or(|id| id == order.parent_order_id)
            && self.email.is_none_or(|part| order.email.contains(part))
            && self.total.0.is_none_or(|from| order.total() >= from)
            && self.total.1.is_none_or(|to| order.total() <= to)
            && self.name.as_ref().is_none_or(|part| {
                [&order.firstname, &order.lastname].iter().any(|name| name.to_lowercase().contains(part.as_str()))
            })
            && self.products.as_ref().is_none_or(|all| order.lines.iter().any(|line| all.contains(&line.product_id)))
    }
}

fn item<'a>(sort: &str, order: &'a Order) -> Item<'a> {
    let value = match sort {
        "order_id" => SortValue::Number(order.order_id),
        "status" => SortValue::Number(i64::from(u32::from(order.status))),
        "customer" => SortValue::Texts(&order.lastname, &order.firstname),
        "email" => SortValue::Text(&order.email),
        "total" => SortValue::Number(order.total()),
        _ => SortValue::Number(order.timestamp),
    };
    Item { key: (order.order_id, 0), value }
}

/// Returns true if complete rows are requested and the version has them.
pub(crate) fn is_complete(context: &Context<'_>) -> bool {
    context.query.is_on("get_orders_data") && context.is_at_least(Version::V4_11)
}

/// Writes a row of the list. A complete row of an order that was deleted meanwhile is `false`.
pub(crate) fn write(context: &Context<'_>, key: RowKey, out: &mut Writer) -> bool {
    let is_complete = is_complete(context);
    match row(context, key.0, is_complete) {
        Some(row) => out.element(&row),
        None if is_complete => out.element("false"),
        None => return false,
    };
    true
}

/// Writes one order.
pub(crate) fn write_one(context: &Context<'_>, id: i64, out: &mut Writer) -> bool {
    row(context, id, true).map(|row| out.element(&row)).is_some()
}

fn row(context: &Context<'_>, id: i64, is_complete: bool) -> Option<Arc<str>> {
    let order = context.data.orders.get(id)?;
    let revision = context.data.orders.revision(id);
    let known = context.cache.borrow().get(&(is_complete, id)).filter(|(of, _)| *of == revision).cloned();
    if let Some((_, row)) = known {
        return Some(row);
    }
    let mut out = context.writer();
    out.open('{');
    write_short(context, order, &mut out);
    if is_complete {
        write_rest(context, order, &mut out);
    }
    out.close('}');
    let row: Arc<str> = out.text.into();
    context.cache.borrow_mut().insert((is_complete, id), (revision, Arc::clone(&row)));
    Some(row)
}

fn write_short(context: &Context<'_>, order: &Order, out: &mut Writer) {
    out.int("order_id", order.order_id).int_or_null("issuer_id", order.issuer_id).int("user_id", order.user_id);
    out.text("is_parent_order", "N").int("parent_order_id", order.parent_order_id);
    out.int("company_id", order.company_id).text("company", "").int("timestamp", order.timestamp);
    out.text("firstname", &order.firstname).text("lastname", &order.lastname).text("email", &order.email);
    out.text("phone", "+1 555 0100").text("status", &order.status.to_string()).money("total", order.total());
    if context.is_at_least(Version::V4_11) {
        out.int("storefront_id", order.storefront_id);
    }
    let issuer = order.issuer_id.map(|id| (format!("Manager {id}"), format!("manager{id}@example.com")));
    match issuer {
        Some((name, email)) => out.text("issuer_name", &name).text("issuer_email", &email),
        None => out.raw("issuer_name", "null").raw("issuer_email", "null"),
    };
    out.raw("invoice_id", "null").raw("credit_memo_id", "null");
}

fn write_rest(context: &Context<'_>, order: &Order, out: &mut Writer) {
    out.money("subtotal", order.subtotal()).computed("discount", 0).money("subtotal_discount", 0);
    out.money("payment_surcharge", 0).text("shipping_ids", "1").money("shipping_cost", order.shipping_cost);
    out.text("notes", &order.notes).text("details", &order.details);
    let has_promotion = order.order_id % 5 == 0;
    let bonuses = "{\"1\":{\"bonuses\":[{\"bonus\":\"order_discount\",\"value\":\"5\"}]}}";
    out.raw("promotions", if has_promotion { bonuses } else { "[]" });
    for prefix in ["b_", "s_"] {
        write_address(prefix, &order.firstname, &order.lastname, out);
    }
    out.text("fax", "").text("url", "").int("payment_id", 1).text("tax_exempt", "N").text("lang_code", "en");
    out.text("ip_address", "203.0.113.7").text("repaid", "0");
    out.text("validation_code", &format!("PRIVATE-validation-{}", order.order_id)).int("profile_id", 2);
    if context.is_at_least(Version::V4_13) {
        out.int("updated_at", order.updated_at);
    }
    out.open_in("products", if order.lines.is_empty() { '[' } else { '{' });
    for line in &order.lines {
        out.open_in(&line.item_id.to_string(), '{');
        write_line(order, line, out);
        out.close('}');
    }
    out.close(if order.lines.is_empty() { ']' } else { '}' });
    let is_taxed = order.order_id % 3 != 0;
    let tax =
        "{\"6\":{\"rate_type\":\"P\",\"rate_value\":\"10.000\",\"price_includes_tax\":\"Y\",\"tax_subtotal\":1.5}}";
    out.raw("taxes", if is_taxed { tax } else { "[]" }).raw("tax_subtotal", if is_taxed { "1.5" } else { "0" });
    out.open_in("shipping", '[').open('{').text("shipping_id", "1").text("shipping", "Ground").raw("rate", "5");
    // An entry is a chosen method, which may have the settings of its carrier: inferred.
    out.open_in("service_params", '{').text("account_number", "PRIVATE-carrier").close('}');
    out.raw("group_key", "0").close('}').close(']');
    let shipments: Vec<String> = order.shipment_ids.iter().map(|id| format!("\"{id}\"")).collect();
    out.raw("shipment_ids", &format!("[{}]", shipments.join(",")));
    out.open_in("payment_method", '{').text("payment_id", "1").text("payment", "Credit card");
    out.open_in("processor_params", '{').text("secret_key", "PRIVATE-processor").close('}').close('}');
    match order.order_id % 2 {
        0 => out.raw("payment_info", "[]"),
        _ => out.open_in("payment_info", '{').text("card_number", "PRIVATE-card").close('}'),
    };
    out.raw("fields", "[]").raw("doc_ids", "[]").raw("user_data", "[]");
    out.open_in("product_groups", '[').open('{').text("name", "PRIVATE-group").close('}').close(']');
    out.raw("need_shipping", "true").raw("need_shipment", if shipments.is_empty() { "true" } else { "false" });
}

fn write_line(order: &Order, line: &OrderLine, out: &mut Writer) {
    out.text("item_id", &line.item_id.to_string()).int("order_id", order.order_id);
    out.int("product_id", line.product_id).text("product_code", &format!("P{:06}", line.product_id));
    out.money("price", line.price).int("amount", line.amount).text("product", &format!("Product {}", line.product_id));
    out.text("product_status", "A").text("deleted_product", "N").computed("discount", 0);
    out.computed("base_price", line.price).computed("original_price", line.price);
    out.computed("subtotal", line.amount * line.price).computed("display_subtotal", line.amount * line.price);
    out.raw("tax_value", "0").raw("shipped_amount", "0").raw("shipment_amount", &line.amount.to_string());
    out.int("company_id", order.company_id);
    out.open_in("extra", '{').raw("product_options", "[]").text("unlimited_download", "N");
    out.text("session_id", "PRIVATE-session-order").close('}');
    out.text("product_url", &format!("http://localhost/index.php?product_id={}", line.product_id));
    out.raw("is_accessible", "true");
}
