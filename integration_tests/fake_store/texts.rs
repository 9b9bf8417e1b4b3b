//! Generated strings, some of them difficult: quotes, braces, escapes, line separators, other scripts.
//!
//! Subject: the samples of the public "Resources" pages. The constants are already escaped for JSON.

use std::fmt::Write as _;

use super::rows::{Make, Spot, mix, quoted};

const FIRST: &[&str] = &["Chris", "Ana", "Zoë", "Søren", "Maria", "John", "Wei", "D'Arcy", "Noor", "Pat"];
const LAST: &[&str] = &["Allen", "Nguyễn", "O'Brien", "Müller", "Smith", "García", "Lee", "van den Berg", "Ito", "Doe"];
const CITY: &[&str] = &["Beaumont", "Austin", "Chicago", "São Paulo", "Köln", "Dallas", "Boise", "Winona"];
const STATE: &[&str] = &["Texas", "Illinois", "California", "", "Minnesota", "New York"];
const PRODUCT: &[&str] = &[
    "Natalie Dining Table Set",
    "Golf Balls - Titliest",
    "19\\\" Rack \\\\ Shelf",
    "Crème Brûlée Torch",
    "T-Shirt (XL) {blue}",
    "Lamp \\u2028 with a line separator",
    "Stuhl \\\"Ludwig\\\", Buche",
    "Kit: brush, roller & tray ],",
];
const COMMENT: &[&str] = &[
    "",
    "",
    "",
    "",
    "Please ring twice.",
    "gift wrap\\r\\nno invoice in the box",
    "He said: \\\"}],\\\" and left \\\\ ",
    "naïve café – 日本語 🎁",
    "a, b; c | d & e = f % g + h",
    "\\u0001control \\u00e9\\ud83d\\ude00",
];
const COMPANY: &[&str] = &["AmeriCommerce", "", "", "Froggy & Sons", "Łódź Trading", "ACME \\\"Best\\\" Inc."];

fn guid(s: &Spot<'_>, out: &mut String) {
    let (a, b) = (mix(s.hash), mix(s.hash ^ 1));
    quoted!(
        out,
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        a >> 32,
        a & 0xffff,
        (a >> 16) & 0xffff,
        b >> 48,
        b & 0xffff_ffff_ffff
    );
}

fn code(s: &Spot<'_>, out: &mut String) {
    quoted!(out, "{}-{:04}", s.one(&["glfblls", "SKU", "ÄX", "T/9"]), s.other(10_000));
}

/// Returns the generator with this name.
pub(super) fn find(name: &str) -> Option<Make> {
    let make: Make = match name {
        "first" => |s, o| quoted!(o, "{}", s.one(FIRST)),
        "last" => |s, o| quoted!(o, "{}", s.one(LAST)),
        "full_name" => |s, o| {
            quoted!(o, "{} {}", s.one(FIRST), LAST[s.row(LAST.len() as u64) as usize]);
        },
        "username" => |s, o| quoted!(o, "user{}", s.id),
        "email" => |s, o| {
            quoted!(o, "user{}@{}", s.id, s.one(&["example.com", "mail.example.org", "xn--bcher-kva.example"]));
        },
        "phone" => |s, o| quoted!(o, "555-{:03}-{:04}", s.below(1000), s.other(10_000)),
        "company" => |s, o| quoted!(o, "{}", s.one(COMPANY)),
        "street" => |s, o| {
            quoted!(o, "{} {}", 1 + s.below(9999), s.one(&["AmeriCommerce Blvd", "Main St", "Straße des 17. Juni"]));
        },
        "street_2" => |s, o| quoted!(o, "{}", s.one(&["", "", "Suite 1", "c/o \\\"Desk\\\""])),
        "city" => |s, o| quoted!(o, "{}", s.one(CITY)),
        "state" => |s, o| quoted!(o, "{}", s.one(STATE)),
        "postal" => |s, o| quoted!(o, "{:05}", s.below(99_999)),
        // One page shows a number, the others a string.
        "postal_mixed" => |s, o| {
            let number = 10_000 + s.below(89_999);
            if s.other(8) == 0 {
                let _ = write!(o, "{number}");
            } else {
                quoted!(o, "{number}");
            }
        },
        "address_type" => |s, o| quoted!(o, "{}", s.one(&["Default", "Residential", "Business"])),
        "comment" => |s, o| quoted!(o, "{}", s.one(COMMENT)),
        "gift" => |s, o| quoted!(o, "{}", s.one(&["", "", "", "Happy birthday 🎂"])),
        "source" => |s, o| quoted!(o, "{}", s.one(&["", "[none]", "google.com"])),
        "code" => code,
        "code_empty" => |s, o| {
            if s.other(4) != 0 {
                o.push_str("\"\"");
            } else {
                code(s, o);
            }
        },
        "gtin_empty" => |s, o| {
            if s.other(2) == 0 {
                o.push_str("\"\"");
            } else {
                quoted!(o, "{:013}", s.below(10_000_000_000_000));
            }
        },
        "guid" => guid,
        "guid_empty" => |s, o| {
            if s.other(2) == 0 {
                o.push_str("\"\"");
            } else {
                guid(s, o);
            }
        },
        "ip" => |s, o| quoted!(o, "10.{}.{}.{}", s.below(256), s.other(256), s.row(256)),
        "url_empty" => |s, o| {
            if s.other(2) == 0 {
                o.push_str("\"\"");
            } else {
                quoted!(o, "https://store.example/p/{}?a=1&b=%20", s.below(9999));
            }
        },
        "color" => |s, o| quoted!(o, "#{:06X}", s.below(0x100_0000)),
        "four" => |s, o| {
            if s.other(3) == 0 {
                o.push_str("\"\"");
            } else {
                quoted!(o, "{:04}", s.below(10_000));
            }
        },
        "html" => |s, o| {
            quoted!(
                o,
                "<ul>\\r\\n<li>\\r\\n<div class=\\\"d{}\\\">{}</div>\\r\\n</li>\\r\\n</ul>",
                s.below(9),
                s.one(COMMENT)
            );
        },
        "product_name" => |s, o| quoted!(o, "{}", s.one(PRODUCT)),
        "ship_name" => |s, o| {
            quoted!(o, "{}", s.one(&["FedEx Express Saver", "UPS Ground", "", "DHL / Päckchen"]));
        },
        "ship_code" => |s, o| quoted!(o, "{}", s.one(&["FEDEX_EXPRESS_SAVER", "UPS_GROUND", ""])),
        "channel" => |s, o| {
            quoted!(o, "{}", s.one(&["Online", "InStore", "Chat", "Phone", "Email"]));
        },
        "entered_by" => |s, o| quoted!(o, "{}", s.one(&["Customer", "Admin"])),
        "pay_type" => |s, o| quoted!(o, "{}", s.one(&["CreditCard", "Custom"])),
        "pay_name" => |s, o| {
            quoted!(o, "{}", s.one(&["Credit Card", "PayPalExpress", "Purchase Orders"]));
        },
        "transaction" => |s, o| quoted!(o, "{}", s.one(&["None", "Auth"])),
        "card_null" => |s, o| o.push_str(s.one(&["\"Visa\"", "\"MasterCard\"", "null", "\"\""])),
        "pay_names" => |s, o| {
            o.push_str(s.one(&["[]", "[\"Purchase Orders\",\"Check\"]", "[\"Credit Card\"]"]));
        },
        _ => return None,
    };
    Some(make)
}
