//! JSON with its keys in another order: objects are unordered, so a store may list keys in any order.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::value::RawValue;

use super::rows::{hash_text, mix, quote};

/// Writes JSON with the keys of all objects in an order that depends on the seed. Scalars keep their
/// digits.
pub(super) fn keys(raw: &str, seed: u64, out: &mut String) {
    match raw.trim_start().as_bytes().first() {
        Some(b'{') => {
            let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(raw).expect("an object of the store");
            let mut fields: Vec<_> = fields.into_iter().collect();
            fields.sort_unstable_by_key(|(name, _)| mix(seed ^ hash_text(name)));
            out.push('{');
            for (at, (name, value)) in fields.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                quote(name, out);
                out.push(':');
                keys(value.get(), mix(seed), out);
            }
            out.push('}');
        }
        Some(b'[') => {
            let items: Vec<Box<RawValue>> = serde_json::from_str(raw).expect("an array of the store");
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                keys(item.get(), mix(seed), out);
            }
            out.push(']');
        }
        _ => {
            let _ = write!(out, "{raw}");
        }
    }
}
