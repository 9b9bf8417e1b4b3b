//! Field values of generated rows: a fixed function of resource, id and field name.
//!
//! Subject: the samples of the public "Resources" pages. Numbers keep the scale they have in the database
//! (`1886.0000`, `0.0`, `25`), missing strings are `""`, missing keys are 0 or null, some flags are 0 and 1.

use std::fmt::Write as _;

use super::zone::Clock;
use super::{keys, numbers, texts};

/// The row and field that a value is made for.
pub(super) struct Spot<'a> {
    /// The row's key.
    pub(super) id: i64,
    /// A number that differs for each resource, id and field.
    pub(super) hash: u64,
    /// The zone and form of times.
    pub(super) clock: &'a Clock,
    /// The field's name.
    pub(super) name: &'static str,
}

/// The source of a value.
#[derive(Clone, Copy)]
pub(super) enum Gen {
    /// The same JSON in every row.
    Fixed(&'static str),
    /// Written by a function.
    With(Make),
}

/// Writes the JSON of one value.
pub(super) type Make = fn(&Spot<'_>, &mut String);

/// Distributes a number over all bits.
pub(super) fn mix(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Returns a number for a string.
pub(super) fn hash_text(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01B3))
}

impl Spot<'_> {
    pub(super) fn below(&self, n: u64) -> u64 {
        self.hash % n
    }

    /// Returns a second number, independent of the first.
    pub(super) fn other(&self, n: u64) -> u64 {
        mix(self.hash) % n
    }

    pub(super) fn one<'t>(&self, of: &[&'t str]) -> &'t str {
        of[self.below(of.len() as u64) as usize]
    }

    /// Returns a number that is the same for all fields of the row.
    pub(super) fn row(&self, n: u64) -> u64 {
        mix(self.id as u64) % n
    }

    pub(super) fn nth(&self, from: i64) -> i64 {
        self.id.saturating_sub(from).max(0)
    }
}

/// Writes a string as JSON.
pub(super) fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\r' => out.push_str("\\r"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Writes a JSON string of parts that need no escaping.
macro_rules! quoted {
    ($out:expr, $($arg:tt)*) => {{
        $out.push('"');
        let _ = ::std::fmt::Write::write_fmt($out, format_args!($($arg)*));
        $out.push('"');
    }};
}
pub(super) use quoted;

fn generator(name: &str) -> Make {
    let found = texts::find(name).or_else(|| numbers::find(name)).or_else(|| keys::find(name));
    found.unwrap_or_else(|| panic!("no generator {name}"))
}

/// Selects how the values of a field are made: as the table says, or by type and name.
pub(super) fn choose(name: &str, letter: &str, value: Option<&'static str>) -> Gen {
    if let Some(value) = value {
        return match value.strip_prefix('@') {
            Some(known) => Gen::With(generator(known)),
            None => Gen::Fixed(value),
        };
    }
    let ends = |ends: &[&str]| ends.iter().any(|e| name.ends_with(e));
    let known = match letter {
        "b" => "flag",
        "d" if ends(&["activation_date", "expiration_date"]) => "sentinel_date",
        "d" => "date_null",
        "n" => "money_null",
        "a" if ends(&["variants"]) => "item_variants",
        "a" if ends(&["personalizations"]) => "personalizations",
        "a" => "texts",
        "o" => return Gen::Fixed("null"),
        "i" if name == "is_abandoned" => "bit",
        "i" if name == "store_id" => return Gen::Fixed("1"),
        "i" if ends(&["_id"]) => "related",
        "i" if ends(&["total", "amount", "price", "discount", "_fees", "value"]) => "zero_money",
        "i" if ends(&["rate", "adjustment"]) => "zero_money",
        "i" => "small",
        _ if name == "id" => return Gen::Fixed("null"),
        _ if ends(&["email", "email_address", "entered_by"]) => "email",
        _ if ends(&["first_name"]) => "first",
        _ if ends(&["last_name"]) => "last",
        _ if ends(&["cardholder_name", "real_name", "display_name", "recipient_name"]) => "full_name",
        _ if ends(&["username"]) => "username",
        _ if ends(&["phone", "fax"]) => "phone",
        _ if ends(&["company", "company_name"]) => "company",
        _ if ends(&["address_line_1", "address_1"]) => "street",
        _ if ends(&["address_line_2", "address_2"]) => "street_2",
        _ if ends(&["city"]) => "city",
        _ if ends(&["state"]) => "state",
        _ if name == "postal_code" => "postal",
        _ if ends(&["country"]) => return Gen::Fixed("\"United States\""),
        _ if ends(&["ip_address"]) => "ip",
        _ if ends(&["url", "_file", "path", "image", "referer"]) => "url_empty",
        _ if ends(&["last_four"]) => "four",
        _ if ends(&["markup_amount", "commission", "surcharge", "shipping_cost"]) => "dims",
        _ if ends(&["html", "content", "body"]) => "html",
        _ if ends(&["name", "title"]) => "product_name",
        _ if ends(&["number", "code", "extension", "gtin"]) => "code_empty",
        _ => "comment",
    };
    if known == "related" {
        // The first rows of the sample's tables.
        return Gen::With(|s, o| match s.other(6) {
            0 => o.push('0'),
            1 => o.push_str("null"),
            _ if s.name.ends_with("order_id") => {
                let _ = write!(o, "{}", 100_000 + s.below(50));
            }
            _ => {
                let _ = write!(o, "{}", 1 + s.below(10));
            }
        });
    }
    Gen::With(generator(known))
}
