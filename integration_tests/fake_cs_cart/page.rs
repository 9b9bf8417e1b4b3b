//! Sorts and cuts lists, and writes the echo of the parameters.

use super::context::Context;
use super::json::Writer;
use super::objects::Object;
use super::options::{Envelope, Version};
use super::random::mix;

/// Key of a row: its id, and the company of a cart.
pub(crate) type RowKey = (i64, i64);

/// Value that a list is sorted by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SortValue<'a> {
    /// A number.
    Number(i64),
    /// A string.
    Text(&'a str),
    /// Two strings.
    Texts(&'a str, &'a str),
}

/// A row that a list has to offer.
pub(crate) struct Item<'a> {
    /// Key.
    pub(crate) key: RowKey,
    /// Value of the sort.
    pub(crate) value: SortValue<'a>,
}

/// Order of rows whose values are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ties {
    /// By id, in the direction of the sort: the order is total.
    ById,
    /// By id, always ascending: the order is total.
    ByIdAscending,
    /// As the database finds them: another order in each answer.
    Random,
}

/// A name that `sort_by` may have.
pub(crate) struct Sort {
    /// Name.
    pub(crate) name: &'static str,
    /// Order of ties.
    pub(crate) ties: Ties,
}

/// Sort in effect.
pub(crate) struct Sorting {
    /// Name.
    pub(crate) name: &'static str,
    /// Order of ties.
    pub(crate) ties: Ties,
    /// True for descending.
    pub(crate) is_descending: bool,
}

/// Returns the sort that a request gets: the requested one if the list has it, its first one otherwise.
pub(crate) fn sorting(context: &Context<'_>, object: &Object) -> Sorting {
    let asked = context.query.filled("sort_by");
    let default = if object.name == "products" { context.options.products_sort } else { object.sorts[0].name };
    let find = |name: &str| object.sorts.iter().find(|sort| sort.name == name);
    let is_offered = |sort: &&Sort| sort.name != "company_id" || object.name != "carts" || context.is_ultimate();
    let sort = asked.and_then(find).filter(is_offered).or_else(|| find(default)).unwrap_or(&object.sorts[0]);
    let is_descending = match context.query.filled("sort_order").map(str::to_lowercase).as_deref() {
        Some("asc") => false,
        Some("desc") => true,
        _ => object.is_descending,
    };
    Sorting { name: sort.name, ties: sort.ties, is_descending }
}

/// A page of a list.
pub(crate) struct Page {
    /// Keys of its rows, in order.
    pub(crate) keys: Vec<RowKey>,
    /// Number of the page.
    number: usize,
    /// True if it is another page than the requested one.
    is_other: bool,
    /// Number of rows of a page; 0 for all.
    size: usize,
    /// Number of all rows.
    total: usize,
}

/// Cuts the requested page out of the rows of a list.
pub(crate) fn cut(context: &Context<'_>, object: &Object, sorting: &Sorting, mut items: Vec<Item<'_>>) -> Page {
    let total = items.len();
    let default = context.options.default_page;
    let is_number = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
    let asked = context.query.filled("items_per_page").filter(is_number).and_then(|text| text.parse().ok());
    let is_bare = context.api == "1.0" && object.is_bare_in_first_version;
    let mut size: usize = if is_bare { 0 } else { asked.unwrap_or(default) };
    let cap = context.options.page_cap.filter(|cap| if size == 0 { cap.is_for_all } else { cap.rows < size });
    size = cap.filter(|cap| !cap.counts_requested).map_or(size, |cap| cap.rows);
    let mut number = context.query.number("page").map_or(1, |page| usize::try_from(page).unwrap_or(1)).max(1);
    let last = if size == 0 { 1 } else { total.div_ceil(size).max(1) };
    let is_cut_in_php = object.name == "categories" && context.options.version == Version::V4_3_9;
    let repeats = context.options.repeats_last_page.contains(object.name) && !object.is_cut_in_php && !is_cut_in_php;
    let is_other = number > last && repeats;
    if is_other {
        number = last;
    }
    let (start, end) = match size {
        0 => (0, total),
        size => ((number - 1).saturating_mul(size).min(total), number.saturating_mul(size).min(total)),
    };
    let end = cap.map_or(end, |cap| end.min(start + cap.rows));
    if start < end {
        sort(context, sorting, &mut items);
    }
    let keys = items[start..end].iter().map(|item| item.key).collect();
    Page { keys, number, is_other, size, total }
}

fn sort(context: &Context<'_>, sorting: &Sorting, items: &mut [Item<'_>]) {
    let salt = if context.options.shuffle_ties { mix(context.n) } else { 0 };
    let tie = |key: RowKey| match sorting.ties {
        Ties::ById | Ties::ByIdAscending => key.0,
        Ties::Random => (mix(salt ^ mix(key.0 as u64) ^ (key.1 as u64) << 48) >> 1) as i64,
    };
    let descending = sorting.is_descending;
    items.sort_by(|one, other| {
        let values = one.value.cmp(&other.value);
        let values = if descending { values.reverse() } else { values };
        let ties = tie(one.key).cmp(&tie(other.key));
        values.then(if descending && sorting.ties == Ties::ById { ties.reverse() } else { ties })
    });
}

/// Writes the echo of the parameters.
pub(crate) fn write_echo(context: &Context<'_>, object: &Object, sorting: &Sorting, page: &Page, out: &mut Writer) {
    let name = if context.options.envelope == Envelope::Search { "search" } else { "params" };
    out.open_in(name, '{');
    let own = ["page", "items_per_page", "sort_by", "sort_order", "sort_order_rev", "total_items"];
    let is_timed = context.query.filled("period").is_some_and(|code| code != "A");
    let times = super::period::range(context.query, "", context.data.now, context.options.day_first);
    for (name, json) in context.query.echo() {
        let is_time = is_timed && (name == "time_from" || name == "time_to");
        if !own.contains(&name.as_str()) && !is_time {
            out.raw(&name, &json);
        }
    }
    // The server's own numbers are numbers, those of the request strings.
    match context.query.filled("page").filter(|_| !page.is_other && page.size > 0) {
        Some(sent) => out.text("page", sent),
        None => out.raw("page", &page.number.to_string()),
    };
    match context.query.filled("items_per_page").filter(|sent| sent.parse() == Ok(page.size)) {
        Some(sent) => out.text("items_per_page", sent),
        None => out.raw("items_per_page", &page.size.to_string()),
    };
    if let Some((from, to)) = times {
        out.raw("time_from", &from.to_string()).raw("time_to", &to.to_string());
    }
    let orders = if sorting.is_descending { ["desc", "asc"] } else { ["asc", "desc"] };
    out.text("sort_by", sorting.name).text("sort_order", orders[0]).text("sort_order_rev", orders[1]);
    if page.size > 0 {
        let mark = if context.options.numeric_total { "" } else { "\"" };
        out.raw("total_items", &format!("{mark}{}{mark}", page.total));
    }
    if object.name == "carts" && context.is_ultimate() {
        // The list is always read for the store of the request: 0 is all of them.
        out.text("company_id", &context.company.unwrap_or(0).to_string());
    }
    out.close('}');
}
