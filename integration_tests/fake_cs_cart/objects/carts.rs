//! Carts: one row for all lines of a user, in CS-Cart of a user and company.

use crate::context::Context;
use crate::json::Writer;
use crate::options::Version;
use crate::page::{Item, RowKey, SortValue, Sorting};
use crate::query::Query;
use crate::random::mix;
use crate::rows::{Cart, CartLine};

use super::users;

/// Returns the carts that pass the filters.
pub(crate) fn select<'a>(context: &Context<'a>, sorting: &Sorting) -> Vec<Item<'a>> {
    let range = crate::period::range(context.query, "", context.data.now, context.options.day_first);
    let filter = Filter::new(context);
    let carts = context.data.carts.iter();
    let carts = carts.filter(|(_, cart)| filter.accepts(context, cart));
    carts
        .filter(|(_, cart)| cart.lines.iter().any(|line| is_line_in(context, range, line)))
        .map(|(key, cart)| {
            let value = match sorting.name {
                "customer" => customer(context, cart),
                "company_id" => SortValue::Number(cart.company_id),
                _ => SortValue::Number(some_line(context, cart).map_or(0, |line| line.timestamp)),
            };
            Item { key: *key, value }
        })
        .collect()
}

fn customer<'a>(context: &Context<'a>, cart: &'a Cart) -> SortValue<'a> {
    let (first, last, _) = names(context, cart).unwrap_or(("", "", ""));
    SortValue::Texts(last, first)
}

/// Returns first name, last name and e-mail of the owner, if they are known.
fn names<'a>(context: &Context<'a>, cart: &'a Cart) -> Option<(&'a str, &'a str, &'a str)> {
    if cart.is_registered {
        let user = context.data.users.get(cart.user_id)?;
        return Some((&user.firstname, &user.lastname, &user.email));
    }
    let (first, last, email) = cart.contact.as_ref()?;
    Some((first, last, email))
}

fn storefronts(context: &Context<'_>) -> Option<Vec<i64>> {
    context.query.numbers("storefront_id").filter(|_| context.is_at_least(Version::V4_11))
}

fn is_line_in(context: &Context<'_>, range: Option<(i64, i64)>, line: &CartLine) -> bool {
    range.is_none_or(|(from, to)| (from..=to).contains(&line.timestamp))
        && storefronts(context).is_none_or(|all| all.contains(&line.storefront_id))
}

/// Returns the line whose columns the row shows: an arbitrary one of those that pass the filters.
fn some_line<'a>(context: &Context<'_>, cart: &'a Cart) -> Option<&'a CartLine> {
    let range = crate::period::range(context.query, "", context.data.now, context.options.day_first);
    let lines: Vec<&CartLine> = cart.lines.iter().filter(|line| is_line_in(context, range, line)).collect();
    let at = mix(context.n ^ mix(cart.user_id as u64)) % (lines.len().max(1) as u64);
    lines.get(at as usize).copied()
}

/// Filters that concern the cart and not a line.
struct Filter<'a> {
    user_id: Option<i64>,
    name: Option<String>,
    email: Option<&'a str>,
    users_type: Option<&'a str>,
    with_info_only: bool,
    total: (Option<i64>, Option<i64>),
    products: Option<Vec<i64>>,
}

impl<'a> Filter<'a> {
    fn new(context: &'a Context<'_>) -> Filter<'a> {
        let query: &Query = context.query;
        Filter {
            user_id: query.number("user_id"),
            name: query.filled("cname").map(str::to_lowercase),
            email: query.filled("email"),
            users_type: query.filled("users_type").filter(|code| ["R", "G"].contains(code)),
            with_info_only: query.is_on("with_info_only") && query.get("with_info_only") != Some("false"),
            total: (query.money("total_from"), query.money("total_to")),
            products: query.numbers("p_ids"),
        }
    }

    fn accepts(&self, context: &Context<'_>, cart: &Cart) -> bool {
        let names = names(context, cart);
        let (first, last, email) = names.unwrap_or(("", "", ""));
        let is_named = |part: &String| [first, last].iter().any(|name| name.to_lowercase().contains(part.as_str()));
        // `company_id` is overwritten with the store of the request.
        context.company.is_none_or(|company| is_in(context, cart, company))
            && self.user_id.is_none_or(|id| id == cart.user_id)
            && self.name.as_ref().is_none_or(is_named)
            && self.email.is_none_or(|part| email.contains(part))
            && self.users_type.is_none_or(|code| (code == "R") == cart.is_registered)
            && (!self.with_info_only || names.is_some())
            && self.total.0.is_none_or(|from| cart.total() >= from)
            && self.total.1.is_none_or(|to| cart.total() <= to)
            && self.products.as_ref().is_none_or(|ids| cart.lines.iter().any(|line| ids.contains(&line.product_id)))
    }
}

fn is_in(context: &Context<'_>, cart: &Cart, company: i64) -> bool {
    let owner = |line: &CartLine| context.data.products.get(line.product_id).map(|product| product.company_id);
    match context.is_ultimate() {
        true => cart.company_id == company,
        false => cart.lines.iter().any(|line| owner(line) == Some(company)),
    }
}

/// Writes a row of the list.
pub(crate) fn write(context: &Context<'_>, key: RowKey, out: &mut Writer) -> bool {
    let Some(cart) = context.data.carts.get(key) else {
        return false;
    };
    out.open('{');
    write_columns(context, cart, out);
    out.close('}');
    true
}

fn write_columns(context: &Context<'_>, cart: &Cart, out: &mut Writer) {
    let line = some_line(context, cart).or_else(|| cart.lines.first());
    let names = names(context, cart);
    out.int("user_id", cart.user_id);
    match names {
        Some((first, last, _)) => out.text("firstname", first).text("lastname", last),
        None => out.raw("firstname", "null").raw("lastname", "null"),
    };
    out.int("date", line.map_or(0, |line| line.timestamp));
    out.text("ip_address", &format!("203.0.113.{}", cart.user_id.rem_euclid(250) + 1));
    if context.is_at_least(Version::V4_13) {
        let owner = cart.user_id;
        out.text("extra", &format!("a:2:{{s:10:\"PRIVATE-cart-{owner}\";s:2:\"ip\";s:9:\"127.0.0.1\";}}"));
    }
    if context.is_at_least(Version::V4_11) {
        out.int("storefront_id", line.map_or(0, |line| line.storefront_id));
    }
    if context.is_ultimate() {
        out.int("company_id", cart.company_id);
    }
    // In Multi-Vendor the sums are those of all storefronts.
    out.int("cart_products", cart.lines.iter().map(|line| line.amount).sum());
    out.money("total", cart.total());
    out.int_or_null("order_id", cart.order_id);
    match context.data.users.get(cart.user_id).filter(|_| cart.is_registered) {
        Some(user) => {
            out.text("phone", &user.phone);
            users::write_user_data(user, out);
        }
        None => {
            out.raw("phone", "null");
            if let Some((_, _, email)) = names {
                out.text("email", email);
            }
            out.raw("user_data", "[]");
        }
    }
}

/// Writes one cart with its lines. In CS-Cart it is the one of the first company, unless the path names a store.
pub(crate) fn write_one(context: &Context<'_>, user_id: i64, out: &mut Writer) -> bool {
    let companies = (user_id, i64::MIN)..=(user_id, i64::MAX);
    let mut carts = context.data.carts.iter().filter(|(key, _)| companies.contains(*key)).map(|(_, cart)| cart);
    let Some(cart) = carts.find(|cart| context.company.is_none_or(|company| is_in(context, cart, company))) else {
        return false;
    };
    out.open('{');
    write_columns(context, cart, out);
    out.open_in("products", '[');
    for line in &cart.lines {
        write_line(context, cart, line, out);
    }
    out.close(']').close('}');
    true
}

fn write_line(context: &Context<'_>, cart: &Cart, line: &CartLine, out: &mut Writer) {
    let product = context.data.products.get(line.product_id);
    let name = product.map_or("", |product| product.name.as_str());
    out.open('{');
    out.text("item_id", &line.item_id.to_string()).text("item_type", "P");
    out.int("product_id", line.product_id).int("amount", line.amount).money("price", line.price);
    out.open_in("extra", '{');
    out.int("user_id", cart.user_id).int("timestamp", line.timestamp).text("type", "C");
    out.text("user_type", if cart.is_registered { "R" } else { "G" });
    out.text("item_id", &line.item_id.to_string());
    out.raw("product_id", &line.product_id.to_string()).raw("amount", &line.amount.to_string());
    out.computed("price", line.price);
    out.text("session_id", &format!("PRIVATE-session-{}-1-C", cart.user_id)).text("ip_address", "7f000001");
    out.text("product_code", product.map_or("", |product| product.code.as_str())).text("product", name);
    out.open_in("product_options", '{').text("3", "12").text("4", "17").close('}');
    out.open_in("main_pair", '{').text("pair_id", "808");
    write_image("detailed", line.product_id, out);
    out.close('}').raw("promotions", "[]").raw("discount", "0").computed("base_price", line.price);
    out.close('}').text("product", name).close('}');
}

/// Writes an image with the paths of the server's disk, which must not leave the connector.
pub(crate) fn write_image(name: &str, id: i64, out: &mut Writer) {
    out.open_in(name, '{').text("image_path", &format!("http://localhost/images/detailed/0/{id}.jpg"));
    out.text("alt", "").text("image_x", "500").text("image_y", "500");
    out.text("http_image_path", &format!("http://localhost/images/detailed/0/{id}.jpg"));
    out.text("https_image_path", &format!("https://localhost/images/detailed/0/{id}.jpg"));
    out.text("absolute_path", &format!("/var/www/PRIVATE-path/images/detailed/0/{id}.jpg"));
    out.text("relative_path", &format!("PRIVATE-relative/0/{id}.jpg")).close('}');
}
