//! Generated keys of other rows, nested arrays, and the order statuses of every new store.

use std::fmt::Write as _;

use super::rows::{Make, Spot, quoted};

/// Returns the generator with this name. Keys are in the proportions of `Data::sample`.
pub(super) fn find(name: &str) -> Option<Make> {
    let make: Make = match name {
        "availability" => |s, o| match s.other(3) {
            0 => o.push_str("[]"),
            _ => {
                let _ = write!(
                    o,
                    "[{{\"id\":{},\"payment_method_id\":{},\"store_payment_method_id\":null,\"status\":\"Enabled\",\"customer_id\":{}}}]",
                    s.below(1000),
                    s.other(9),
                    s.id
                );
            }
        },
        "item_variants" => |s, o| match s.other(3) {
            0 => o.push_str("null"),
            _ => {
                let _ = write!(
                    o,
                    "[{{\"id\":{},\"description\":\"Color: Blue\",\"variant_group_id\":2}},{{\"id\":{},\"description\":null,\"variant_group_id\":3}}]",
                    s.below(99),
                    s.other(99)
                );
            }
        },
        "personalizations" => |s, o| match s.other(4) {
            0 => {
                let _ = write!(o, "[{{\"id\":{},\"answer\":\"To \\\"Zoë\\\"\"}}]", s.below(99));
            }
            _ => o.push_str("null"),
        },
        "selections" => |s, o| {
            o.push_str(s.one(&[
            "[]", "null",
            "[{\"classification_code\":\"tx\",\"shipping_provider\":\"FedEx\",\"shipping_method\":\"FEDEX_EXPRESS_SAVER\"}]",
        ]));
        },
        "texts" => |s, o| o.push_str(s.one(&["[]", "[\"77702\",\"77703\"]", "[\"TX\"]"])),
        // Keys of other resources, in the proportions of `Data::sample`.
        "parent_customer" => |s, o| {
            let _ = write!(o, "{}", 1 + s.nth(1).saturating_mul(2) / 3);
        },
        "order_customer" => |s, o| {
            let _ = write!(o, "{}", 1 + s.nth(100_000) / 2);
        },
        "order_ship_address" => |s, o| {
            if s.other(20) == 0 {
                o.push_str("null");
            } else {
                let _ = write!(o, "{}", s.nth(100_000).saturating_mul(2).saturating_add(1));
            }
        },
        "order_bill_address" => |s, o| {
            let _ = write!(o, "{}", 2 + s.nth(100_000).saturating_mul(2).min(i64::MAX - 2));
        },
        "item_order" => |s, o| {
            let _ = write!(o, "{}", 100_000_i64.saturating_add(s.nth(1) / 2));
        },
        "item_parent" => |s, o| {
            if s.id % 10 == 0 {
                let _ = write!(o, "{}", s.id - 1);
            } else {
                o.push_str("null");
            }
        },
        "payment_order" => |s, o| {
            let _ = write!(o, "{}", 100_000_i64.saturating_add(s.nth(1)));
        },
        "payment_customer" => |s, o| {
            let _ = write!(o, "{}", 1 + s.nth(1) / 2);
        },
        "status_id" => |s, o| {
            let _ = write!(o, "{}", 1 + s.below(9));
        },
        // The statuses of every new store.
        "st_name" => |s, o| match STATUSES.get((s.id as usize).wrapping_sub(1)) {
            Some((name, _)) => quoted!(o, "{name}"),
            None => quoted!(o, "Own Status {}", s.id),
        },
        "st_open" => |s, o| status_flag(s, o, 'o'),
        "st_declined" => |s, o| status_flag(s, o, 'd'),
        "st_cancelled" => |s, o| status_flag(s, o, 'c'),
        "st_shipped" => |s, o| status_flag(s, o, 's'),
        "st_quote" => |s, o| status_flag(s, o, 'q'),
        "st_template" => |s, o| {
            o.push_str(match s.id {
                3 => "3",
                4 => "2",
                5 => "4",
                7 => "21",
                _ => "null",
            });
        },
        _ => return None,
    };
    Some(make)
}

/// The initial order statuses: name, and the flags that are set.
const STATUSES: &[(&str, &str)] = &[
    ("Pending Processing", "o"),
    ("Approved, Pending Shipping", "o"),
    ("Shipped", "s"),
    ("Credit Declined", "d"),
    ("Cancel Order", "c"),
    ("Awaiting Payment", "o"),
    ("Quote - Open", "oq"),
    ("Quote - Accepted", "sq"),
    ("Quote - Declined", "sq"),
];

fn status_flag(s: &Spot<'_>, out: &mut String, flag: char) {
    let set = STATUSES.get((s.id as usize).wrapping_sub(1)).is_some_and(|(_, flags)| flags.contains(flag));
    out.push_str(if set { "true" } else { "false" });
}
