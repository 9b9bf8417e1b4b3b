//! A hash of a JSON value that does not depend on the order of its keys or on white space.
//!
//! Hashes are part of the state, so a value must have the same hash on every machine and in every version. If the hash
//! changed, all remembered rows would be emitted once more.

use crate::json::{Kind, MAX_DEPTH, NotJson, Scanner};

/// Start of the hash of a string, number or word. This and the next two constants are digits of pi: any numbers that
/// differ would do.
const SCALAR: u64 = 0x243f_6a88_85a3_08d3;
/// Start of the hash of an array.
const ARRAY: u64 = 0x1319_8a2e_0370_7344;
/// Start of the hash of an object.
const OBJECT: u64 = 0xa409_3822_299f_31d0;
/// Factor of each step: the golden ratio in 64 bits, as in other hash functions. Odd, and its bits have no pattern.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Returns a hash of a JSON value. It does not depend on the order of the keys of objects, at any depth, nor on white
/// space between tokens. It depends on the order of arrays, and on strings and numbers as they are written, except that
/// `1.0` equals `1`. If an object has a key twice, it depends on both values, but not on their order. The hash of
/// anything that is not a JSON value depends on all its bytes.
pub fn content_hash(json: &[u8]) -> u64 {
    let mut scanner = Scanner::new(json);
    scanner.skip_space();
    let hash = value(&mut scanner, 0);
    scanner.skip_space();
    match hash {
        Ok(hash) if scanner.rest().is_empty() => hash,
        _ => super::hash(json),
    }
}

fn value(scanner: &mut Scanner<'_>, depth: usize) -> Result<u64, NotJson> {
    let from = scanner.position();
    let is_object = match scanner.peek() {
        Some(b'{') => true,
        Some(b'[') => false,
        _ => {
            let (kind, _) = scanner.value()?;
            let text = scanner.since(from);
            return Ok(scalar(if kind == Kind::Decimal { whole(text) } else { text }));
        }
    };
    if depth == MAX_DEPTH {
        return Err(scanner.fault());
    }
    let (close, mut hash) = if is_object { (b'}', OBJECT) } else { (b']', ARRAY) };
    scanner.pass(1);
    scanner.skip_space();
    if scanner.take(close) {
        return Ok(fold(hash));
    }
    loop {
        if is_object {
            let name = scalar(scanner.text()?);
            scanner.skip_space();
            scanner.require(b':')?;
            scanner.skip_space();
            // A sum does not depend on the order. Each part is mixed first, so that a name belongs to its value.
            hash = hash.wrapping_add(fold(fold(name ^ OBJECT) ^ value(scanner, depth + 1)?));
        } else {
            hash = fold(hash ^ value(scanner, depth + 1)?);
        }
        scanner.skip_space();
        if scanner.take(close) {
            return Ok(fold(hash));
        }
        scanner.require(b',')?;
        scanner.skip_space();
    }
}

/// Returns a whole number without a fraction of zeros: a store may write the same id as `1` and as `1.0`.
fn whole(number: &[u8]) -> &[u8] {
    match number.iter().position(|&byte| byte == b'.') {
        Some(point) if number[point + 1..].iter().all(|&byte| byte == b'0') => &number[..point],
        _ => number,
    }
}

/// Returns a hash of bytes, eight at a time.
fn scalar(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let start = fold(SCALAR ^ bytes.len() as u64);
    let hash = words.iter().fold(start, |hash, word| fold(hash ^ u64::from_le_bytes(*word)));
    fold(hash ^ u64::from_le_bytes(last))
}

/// Mixes the bits of a word: multiplies it, and combines the two halves of the 128-bit product.
#[inline]
fn fold(word: u64) -> u64 {
    let product = u128::from(word) * u128::from(FACTOR);
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn of(text: &str) -> u64 {
        content_hash(text.as_bytes())
    }

    #[test]
    fn hashes_are_these_for_ever() {
        for (text, expected) in [
            ("null", 0xd8fd_6725_d53d_1601),
            ("{}", 0x1bdf_449e_4086_e343),
            ("[]", 0x18af_319d_32f3_9dca),
            ("12.50", 0xc2c4_0ebf_ad1c_3759),
            (
                r#"{"id":7,"name":"a text of some length","items":[{"id":1},{"id":2}],"note":null}"#,
                0xf1b6_08f0_2e1f_94b5,
            ),
        ] {
            assert_eq!(of(text), expected, "{text} {:#018x}", of(text));
        }
    }

    #[test]
    fn neither_the_order_of_keys_nor_space_counts() {
        let one = of(r#"{"a":1,"b":{"c":[1,{"d":2,"e":"x y"}],"f":null}}"#);
        assert_eq!(one, of("\n{ \"b\" : {\"f\":null,\"c\":[ 1,\t{\"e\":\"x y\",\"d\":2} ]} , \"a\":1 }\r\n"));
    }

    #[test]
    fn all_else_counts() {
        let texts = [
            r#"{"a":1,"b":2}"#,
            r#"{"a":2,"b":1}"#,
            r#"{"a":{"b":1}}"#,
            r#"{"a":{},"b":1}"#,
            r#"{"a":1}"#,
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":1.5}"#,
            r#"{"a":"1"}"#,
            r#"{"a":[1]}"#,
            r#"{"a":[]}"#,
            r#"{"a":{}}"#,
            r#"{"a":null}"#,
            r#"{"a":"null"}"#,
            r#"{"a":"é"}"#,
            r#"{"a":"\u00e9"}"#,
            r#"{"a":" "}"#,
            r#"{"a":"  "}"#,
            r#"{"a":[1,2]}"#,
            r#"{"a":[2,1]}"#,
            r#"{"a":[[1],2]}"#,
            r#"{"a":[[1,2]]}"#,
            r#"{"a":[{},{}]}"#,
            r#"{"a":[{}]}"#,
            r#"{"a":[{"b":1},{"c":1}]}"#,
            r#"{"a":[{"b":1,"c":1}]}"#,
            r#"{"a":[{"b":1,"c":1},{}]}"#,
            r#"{"":1}"#,
            r#"{"a\u0000":1}"#,
            "{}",
            "[]",
            "[{}]",
            "1",
            "1.5",
            "\"1\"",
            "",
            "{",
            r#"{"a":1,"b":2"#,
            r#"{"b":2,"a":1"#,
            r#"{"a":1}x"#,
        ];
        let hashes: std::collections::HashSet<u64> = texts.iter().map(|text| of(text)).collect();
        assert_eq!(hashes.len(), texts.len());
        assert_eq!(of(r#"{"a":1.0}"#), of(r#"{"a":1}"#), "one number, written in two ways");
        // The only difference that a parser can see and the hash ignores.
        assert_eq!(of(r#"{"a":1,"a":2}"#), of(r#"{"a":2,"a":1}"#));
    }

    #[test]
    fn invalid_json_is_hashed_by_its_bytes() {
        let deep = [vec![b'['; MAX_DEPTH + 1], vec![b']'; MAX_DEPTH + 1]].concat();
        let texts: [&[u8]; 7] = [b"", b" ", b"{\"a\":01}", b"1 2", b"{\"a\" 1}", b"[1,]", &deep];
        for text in texts {
            assert_eq!(content_hash(text), super::super::hash(text), "{}", String::from_utf8_lossy(text));
        }
        assert_ne!(content_hash(&deep[1..deep.len() - 1]), super::super::hash(&deep[1..deep.len() - 1]));
    }

    /// Generates values of few and small parts, so that two of them are sometimes equal.
    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(json!(null)), (0..3).prop_map(|n| json!(n)), "[ab]{0,9}".prop_map(|t| json!(t))];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::btree_map("[a-d]{1,2}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// Writes a value with its keys in another order and with white space; `numbers` decide where.
    fn written(value: &Value, numbers: &mut impl Iterator<Item = u8>, out: &mut String) {
        let mut space =
            |out: &mut String| out.push_str(["", "", " ", "\n\t"][usize::from(numbers.next().unwrap_or(0) % 4)]);
        space(out);
        match value {
            Value::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    written(item, numbers, out);
                }
                out.push(']');
            }
            Value::Object(map) => {
                let mut pairs: Vec<(&String, &Value)> = map.iter().collect();
                for index in (1..pairs.len()).rev() {
                    pairs.swap(index, usize::from(numbers.next().unwrap_or(0)) % (index + 1));
                }
                out.push('{');
                for (index, (name, value)) in pairs.into_iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    out.push_str(&format!("\"{name}\":"));
                    written(value, numbers, out);
                }
                out.push('}');
            }
            scalar => out.push_str(&scalar.to_string()),
        }
        out.push_str(if numbers.next().unwrap_or(0).is_multiple_of(2) { "" } else { "  " });
    }

    proptest! {
        #[test]
        fn a_value_written_in_any_way_has_one_hash(value in tree(), numbers in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut text = String::new();
            written(&value, &mut numbers.into_iter(), &mut text);
            prop_assert_eq!(serde_json::from_str::<Value>(&text).ok(), Some(value.clone()));
            prop_assert_eq!(of(&text), of(&value.to_string()), "{}", text);
        }

        #[test]
        fn two_values_have_two_hashes(one in tree(), other in tree()) {
            prop_assert_eq!(of(&one.to_string()) == of(&other.to_string()), one == other);
        }

        #[test]
        fn bytes_are_json_or_not(bytes in prop::collection::vec(prop::sample::select(&b"{}[]\":,\\ue01-. n"[..]), 0..40)) {
            let is_json = serde_json::from_slice::<&serde_json::value::RawValue>(&bytes).is_ok();
            prop_assert_eq!(content_hash(&bytes) != super::super::hash(&bytes), is_json);
        }
    }
}
