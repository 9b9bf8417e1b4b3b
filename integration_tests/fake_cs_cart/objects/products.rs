//! Products.

use crate::context::Context;
use crate::json::Writer;
use crate::page::{Item, RowKey, SortValue, Sorting};
use crate::random::mix;
use crate::rows::Product;

use super::carts::write_image;

/// Returns the products that pass the filters; one in no category never does.
pub(crate) fn select<'a>(context: &Context<'a>, sorting: &Sorting) -> Vec<Item<'a>> {
    let filter = Filter::new(context);
    let products = context.data.products.iter().filter(|(_, product)| filter.accepts(context, product));
    products.map(|(id, product)| Item { key: (*id, 0), value: value(sorting.name, product) }).collect()
}

struct Filter<'a> {
    range: Option<(i64, i64)>,
    updated_from: Option<f64>,
    ids: Option<Vec<i64>>,
    statuses: Option<Vec<&'a str>>,
    categories: Option<Vec<i64>>,
    code: Option<&'a str>,
    price: (Option<i64>, Option<i64>),
    amount: (Option<i64>, Option<i64>),
}

impl<'a> Filter<'a> {
    fn new(context: &'a Context<'_>) -> Filter<'a> {
        let query = context.query;
        let hours: Option<f64> = query.filled("updated_in_hours").and_then(|text| text.parse().ok());
        let hours = hours.map(|hours| if context.options.whole_hours { hours.trunc() } else { hours });
        Filter {
            range: crate::period::range(query, "", context.data.now, context.options.day_first),
            updated_from: hours.filter(|hours| *hours > 0.0).map(|hours| context.data.now as f64 - hours * 3600.0),
            ids: query.numbers("pid").or_else(|| query.numbers("item_ids")),
            statuses: query.list("status"),
            categories: query.numbers("cid"),
            code: query.filled("pcode"),
            price: (query.money("price_from"), query.money("price_to")),
            amount: (query.number("amount_from"), query.number("amount_to")),
        }
    }

    fn accepts(&self, context: &Context<'_>, product: &Product) -> bool {
        let has = |ids: &Vec<i64>| product.category_ids.iter().any(|id| ids.contains(id));
        !product.category_ids.is_empty()
            && context.is_in_company(product.company_id, true)
            && self.range.is_none_or(|(from, to)| (from..=to).contains(&product.timestamp))
            && self.updated_from.is_none_or(|from| product.updated_timestamp as f64 >= from)
            && self.ids.as_ref().is_none_or(|ids| ids.binary_search(&product.product_id).is_ok())
            && self.statuses.as_ref().is_none_or(|all| all.contains(&product.status.to_string().as_str()))
            && self.categories.as_ref().is_none_or(has)
            && self.code.is_none_or(|part| product.code.contains(part))
            && self.price.0.is_none_or(|from| product.price >= from)
            && self.price.1.is_none_or(|to| product.price <= to)
            && self.amount.0.is_none_or(|from| product.amount >= from)
            && self.amount.1.is_none_or(|to| product.amount <= to)
    }
}

fn value<'a>(sort: &str, product: &'a Product) -> SortValue<'a> {
    match sort {
        "timestamp" => SortValue::Number(product.timestamp),
        "updated_timestamp" => SortValue::Number(product.updated_timestamp),
        "code" => SortValue::Text(&product.code),
        "product" => SortValue::Text(&product.name),
        "status" => SortValue::Number(i64::from(u32::from(product.status))),
        "price" | "list_price" => SortValue::Number(product.price),
        "weight" => SortValue::Number(product.weight),
        "amount" => SortValue::Number(product.amount),
        "popularity" => SortValue::Number((mix(product.product_id as u64) % 1000) as i64),
        "company" => SortValue::Number(product.company_id),
        _ => SortValue::Number(0),
    }
}

/// Writes a row of the list.
pub(crate) fn write(context: &Context<'_>, key: RowKey, out: &mut Writer) -> bool {
    let Some(product) = context.data.products.get(key.0) else {
        return false;
    };
    out.open('{');
    write_columns(context, product, out);
    let is_off = |name: &str| context.query.get(name) == Some("0");
    if !is_off("get_icon") && !is_off("get_detailed") {
        out.open_in("main_pair", '{').text("pair_id", &product.product_id.to_string());
        write_image("detailed", product.product_id, out);
        out.close('}').raw("image_pairs", "[]");
    }
    if !is_off("get_features") {
        out.raw("product_features", "[]");
    }
    out.close('}');
    true
}

fn write_columns(context: &Context<'_>, product: &Product, out: &mut Writer) {
    let language = context.query.filled("lang_code").unwrap_or("en");
    let name = match language {
        "en" => product.name.clone(),
        other => format!("{} ({other})", product.name),
    };
    out.int("product_id", product.product_id).text("product", &name).text("product_code", &product.code);
    out.text("product_type", "P").text("status", &product.status.to_string());
    out.int("company_id", product.company_id).money("list_price", product.price + 500);
    out.int("amount", product.amount).weight("weight", product.weight);
    out.int("length", 0).int("width", 0).int("height", 0).money("shipping_freight", 0).int("low_avail_limit", 0);
    out.int("timestamp", product.timestamp).int("updated_timestamp", product.updated_timestamp);
    out.text("usergroup_ids", "0").text("is_edp", "N").text("edp_shipping", "N").text("unlimited_download", "N");
    out.text("tracking", "B").text("free_shipping", "N").text("zero_price_action", "R").text("is_pbp", "N");
    out.int("min_qty", 0).int("max_qty", 0).int("qty_step", 0).int("list_qty_count", 0).text("tax_ids", "6");
    out.text("options_type", "P").text("exceptions_type", "F").text("out_of_stock_actions", "N");
    out.money("price", product.price);
    out.open_in("category_ids", '[');
    for id in &product.category_ids {
        out.element(&id.to_string());
    }
    out.close(']').raw("main_category", &product.category_ids.first().copied().unwrap_or(0).to_string());
}

/// Writes one product.
pub(crate) fn write_one(context: &Context<'_>, id: i64, out: &mut Writer) -> bool {
    write(context, (id, 0), out)
}
