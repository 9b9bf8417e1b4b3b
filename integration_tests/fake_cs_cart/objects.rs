//! Objects of the API.

use super::context::Context;
use super::json::Writer;
use super::page::{Item, RowKey, Sort, Sorting, Ties};

pub(crate) mod carts;
pub(crate) mod orders;
pub(crate) mod products;
pub(crate) mod shipments;
pub(crate) mod small;
pub(crate) mod users;

/// One object of the API.
pub(crate) struct Object {
    /// Name in the path.
    pub(crate) name: &'static str,
    /// Name of the list.
    pub(crate) list_key: &'static str,
    /// Privilege that it needs.
    pub(crate) privilege: &'static str,
    /// True if a vendor's user may read it.
    pub(crate) is_for_vendors: bool,
    /// Names for `sort_by`, the default first.
    pub(crate) sorts: &'static [Sort],
    /// True if it sorts descending by default.
    pub(crate) is_descending: bool,
    /// True if its pages are cut in PHP: past the end they are always empty.
    pub(crate) is_cut_in_php: bool,
    /// True if version 1.0 of the API answers all rows as an array without envelope.
    pub(crate) is_bare_in_first_version: bool,
    /// Returns the rows that pass the filters.
    pub(crate) select: for<'a> fn(&Context<'a>, &Sorting) -> Vec<Item<'a>>,
    /// Writes a row of the list. Returns false if there is none.
    pub(crate) write: fn(&Context<'_>, RowKey, &mut Writer) -> bool,
    /// Writes one object. Returns false if there is none.
    pub(crate) write_one: fn(&Context<'_>, i64, &mut Writer) -> bool,
}

const fn random(name: &'static str) -> Sort {
    Sort { name, ties: Ties::Random }
}

const fn total(name: &'static str) -> Sort {
    Sort { name, ties: Ties::ById }
}

const fn ascending(name: &'static str) -> Sort {
    Sort { name, ties: Ties::ByIdAscending }
}

static LARGE: [Object; 5] = [
    Object {
        name: "carts",
        list_key: "carts",
        privilege: "view_users",
        is_for_vendors: false,
        sorts: &[random("date"), random("customer"), random("company_id")],
        is_descending: true,
        is_cut_in_php: false,
        is_bare_in_first_version: false,
        select: carts::select,
        write: carts::write,
        write_one: carts::write_one,
    },
    Object {
        name: "orders",
        list_key: "orders",
        privilege: "view_orders",
        is_for_vendors: false,
        sorts: &[
            total("date"),
            total("order_id"),
            random("status"),
            random("customer"),
            random("email"),
            random("total"),
        ],
        is_descending: true,
        is_cut_in_php: false,
        is_bare_in_first_version: true,
        select: orders::select,
        write: orders::write,
        write_one: orders::write_one,
    },
    Object {
        name: "products",
        list_key: "products",
        privilege: "view_catalog",
        is_for_vendors: true,
        sorts: &[
            ascending("timestamp"),
            ascending("updated_timestamp"),
            ascending("code"),
            ascending("status"),
            ascending("product"),
            ascending("price"),
            ascending("list_price"),
            ascending("weight"),
            ascending("amount"),
            ascending("popularity"),
            ascending("position"),
            ascending("company"),
            random("null"),
        ],
        is_descending: false,
        is_cut_in_php: false,
        is_bare_in_first_version: false,
        select: products::select,
        write: products::write,
        write_one: products::write_one,
    },
    Object {
        name: "users",
        list_key: "users",
        privilege: "view_users",
        is_for_vendors: false,
        sorts: &[
            random("name"),
            total("id"),
            random("username"),
            random("email"),
            random("date"),
            random("type"),
            random("status"),
            random("phone"),
            random("last_login"),
            random("company"),
        ],
        is_descending: false,
        is_cut_in_php: false,
        is_bare_in_first_version: true,
        select: users::select,
        write: users::write,
        write_one: users::write_one,
    },
    Object {
        name: "shipments",
        list_key: "shipments",
        privilege: "view_orders",
        is_for_vendors: false,
        sorts: &[
            total("id"),
            random("status"),
            random("order_id"),
            random("shipment_date"),
            random("order_date"),
            random("customer"),
        ],
        is_descending: true,
        is_cut_in_php: false,
        is_bare_in_first_version: true,
        select: shipments::select,
        write: shipments::write,
        write_one: shipments::write_one,
    },
];

/// Returns the object of a name.
pub(crate) fn object(name: &str) -> Option<&'static Object> {
    LARGE.iter().chain(&small::SMALL).find(|object| object.name == name)
}
