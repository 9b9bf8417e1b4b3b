//! Tests of the JSON scanner.

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

/// Returns a value without the members with some names; `None` if it has none.
fn without(text: &str, names: &[&str]) -> Option<String> {
    let mut wanted = MemberNames::default();
    names.iter().for_each(|name| wanted.add(name.as_bytes()));
    // In a record, other fields are before the value, and members of another value were found.
    let (before, mut found, mut out) = ("12,", vec![0..1, 1..2], b"kept,".to_vec());
    let text = format!("{before}{text}");
    let mut scanner = Scanner::new(text.as_bytes());
    scanner.pass(before.len());
    let (_, spaced) = scanner.value_with(&wanted, &mut found).unwrap();
    assert_eq!(scanner.position(), text.len());
    let is_there = !found.is_empty();
    write_without(scanner.since(before.len()), before.len(), spaced, &wanted, &mut found, &mut out);
    is_there.then(|| String::from_utf8(out.split_off(5)).unwrap())
}

#[test]
fn members_are_dropped_at_any_depth_whatever_their_spelling() {
    let names = ["secret", "key"];
    for (text, expected) in [
        (r#"{"secret":1,"a":2}"#, r#"{"a":2}"#),
        (r#"{"a":2,"secret":1}"#, r#"{"a":2}"#),
        (r#"{"a":2,"secret":1,"key":{"key":[],"x":1},"b":3}"#, r#"{"a":2,"b":3}"#),
        (r#"{"secret":1,"key":2}"#, "{}"),
        (r#"{"secret":1,"key":2,"secret":3,"b":[{"key":4},{"b":5,"key":6}]}"#, r#"{"b":[{},{"b":5}]}"#),
        (r#"{ "a" : [ 1, {"key": {"b": 1}} , {"c":"secret"} ] , "key" : [] }"#, r#"{"a":[1,{},{"c":"secret"}]}"#),
        (r#"[{"a":1,"s\u0065cret":"x"},[]]"#, r#"[{"a":1},[]]"#),
        (r#"{"key":1,"a":"\ud800"}"#, r#"{"a":"\ufffd"}"#),
    ] {
        assert_eq!(without(text, &names).as_deref(), Some(expected), "{text}");
    }
    for text in [r#"{"a":"secret"}"#, r#"["key",1]"#, r#"{"secrets":{"a\"key":1}}"#, "1"] {
        assert_eq!(without(text, &names), None, "{text}");
    }
    let long = "n".repeat(70);
    assert_eq!(without(&format!(r#"{{"{long}":1,"{long}n":2}}"#), &[&long]), Some(format!(r#"{{"{long}n":2}}"#)));
}

/// Removes members from a value that was parsed.
fn remove(value: &mut serde_json::Value, names: &[&str]) {
    match value {
        serde_json::Value::Object(members) => {
            members.retain(|name, _| !names.contains(&name.as_str()));
            members.values_mut().for_each(|value| remove(value, names));
        }
        serde_json::Value::Array(elements) => elements.iter_mut().for_each(|value| remove(value, names)),
        _ => {}
    }
}

fn accepts(text: &[u8]) -> bool {
    let mut scanner = Scanner::new(text);
    scanner.skip_space();
    scanner.value().is_ok() && {
        scanner.skip_space();
        scanner.position() == text.len()
    }
}

#[test]
fn agrees_with_serde_json_on_what_is_json() {
    for text in [
        "0",
        "-0",
        "01",
        "-",
        "1.",
        "1.0",
        ".5",
        "1e5",
        "1E+5",
        "1e",
        "--1",
        "1.5e-3",
        "\"\"",
        "\"a\\u00e9\"",
        "\"\\u00e\"",
        "\"\\x\"",
        "\"tab\there\"",
        "\"open",
        "null",
        "nul",
        "true",
        "false",
        "[]",
        "[1,]",
        "[1 2]",
        "{}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":1,\"b\":[{}]}",
        "{a:1}",
        " [ 1 , { \"b\" : null } ] ",
        "[",
        "]",
        "",
        "1 1",
        "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\\\"bbbbbbbbbbbbbbbb\"",
        "\"\u{7f}\u{80}é漢🙂 and a longer run of text\"",
    ] {
        let peer = serde_json::from_str::<&RawValue>(text).is_ok();
        assert_eq!(accepts(text.as_bytes()), peer, "{text}");
    }
}

#[test]
fn stops_at_a_depth() {
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    assert!(accepts(deep(MAX_DEPTH).as_bytes()));
    assert!(!accepts(deep(MAX_DEPTH + 1).as_bytes()));
    assert!(!accepts(deep(1_000_000).as_bytes()));
}

#[test]
fn compacting_keeps_the_texts_and_digits() {
    let mut out = Vec::new();
    write_compact(b"{ \"a b\" :\n [ 1.50 ,\t\"x \\\" y\\n\" ] }", &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), r#"{"a b":[1.50,"x \" y\n"]}"#);
}

#[test]
fn common_beginnings_are_counted_to_the_byte() {
    let text: Vec<u8> = (0..40).collect();
    for length in 0..text.len() {
        assert_eq!(common(&text, &text[..length]), length);
        assert_eq!(common(&text[..length], &text), length);
        for at in 0..length {
            let mut other = text[..length].to_vec();
            other[at] = 99;
            assert_eq!(common(&text, &other), at);
        }
    }
}

#[test]
fn halves_of_surrogate_pairs_are_replaced_and_pairs_kept() {
    for (text, mended) in [
        (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
        (r#""\uD83D\uDE00 \u00e9""#, r#""\uD83D\uDE00 \u00e9""#),
        (r#""a\ud800b""#, r#""a\ufffdb""#),
        (r#""\udc00\ud800""#, r#""\ufffd\ufffd""#),
        (r#""\ud800\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
        (r#""\ud800\n\u0041""#, r#""\ufffd\n\u0041""#),
        (r#""\ud800\udc""#, ""),
        (r#"{"\udfff":["\udbff"]}"#, r#"{"\ufffd":["\ufffd"]}"#),
    ] {
        let mut scanner = Scanner::new(text.as_bytes());
        let Ok((_, unfit)) = scanner.value() else {
            assert_eq!(mended, "", "{text}");
            continue;
        };
        assert_eq!(unfit, text != mended, "{text}");
        let mut out = Vec::new();
        write_compact(text.as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), mended);
        serde_json::from_str::<serde_json::Value>(mended).unwrap();
    }
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "\\PC{0,40}".prop_map(Into::into),
        "[\\x00-\\xff]{0,20}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::btree_map(prop_oneof!["[a-d]", "\\PC{0,8}"], inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_serde_json_writes_is_accepted_and_compacts_to_itself(value in any_json()) {
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        prop_assert!(accepts(pretty.as_bytes()));
        let mut out = Vec::new();
        write_compact(pretty.as_bytes(), &mut out);
        prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&value).unwrap());
    }

    #[test]
    fn no_member_is_left_and_the_others_stay(value in any_json(), first in "[a-c]", second in "[a-c]", is_spaced in any::<bool>()) {
        let names = [first.as_str(), second.as_str()];
        let text = if is_spaced { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let mut expected = value.clone();
        remove(&mut expected, &names);
        match without(&text, &names) {
            Some(text) => prop_assert_eq!(text, serde_json::to_string(&expected).unwrap()),
            None => prop_assert_eq!(value, expected),
        }
    }

    #[test]
    fn a_damaged_text_is_accepted_or_rejected_as_by_serde_json(value in any_json(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut text = serde_json::to_vec(&value).unwrap();
        let place = at.index(text.len());
        text[place] = byte;
        if let Ok(valid) = std::str::from_utf8(&text) {
            prop_assert_eq!(accepts(&text), serde_json::from_str::<&RawValue>(valid).is_ok(), "{}", valid);
        }
    }
}
