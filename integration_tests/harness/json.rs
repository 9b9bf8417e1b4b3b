//! Compares JSON values as they are written, digit by digit, and checks the documented conversions of values.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use chrono::DateTime;
use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The fields of an object, each with its value as it is written.
pub(crate) type Fields = BTreeMap<String, String>;

/// Returns the fields of an object.
pub(crate) fn object(raw: &str) -> Option<Fields> {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(raw).ok()?;
    let texts = fields.into_iter().map(|(name, raw)| (name, raw.get().to_owned()));
    Some(texts.collect())
}

/// Returns the value of one field of an object, as it is written.
pub(crate) fn field(raw: &str, name: &str) -> Option<String> {
    struct OneField<'n>(&'n str);
    impl<'de> Visitor<'de> for OneField<'_> {
        type Value = Option<String>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<String>, A::Error> {
            let mut found = None;
            while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                if key == self.0 {
                    found = Some(map.next_value::<&RawValue>()?.get().to_owned());
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(found)
        }
    }
    serde_json::Deserializer::from_str(raw).deserialize_map(OneField(name)).ok()?
}

/// Returns true if two JSON texts have the same value. The order of keys and white space are ignored, the digits of
/// numbers are not.
pub(crate) fn same(left: &str, right: &str) -> bool {
    type Object = BTreeMap<String, Box<RawValue>>;
    type Array = Vec<Box<RawValue>>;
    let (left, right) = (left.trim(), right.trim());
    if left == right {
        return true;
    }
    match (left.as_bytes().first(), right.as_bytes().first()) {
        (Some(b'{'), Some(b'{')) => match (parse::<Object>(left), parse::<Object>(right)) {
            (Some(left), Some(right)) => {
                left.len() == right.len()
                    && left
                        .iter()
                        .zip(&right)
                        .all(|((key, value), (other, raw))| key == other && same(value.get(), raw.get()))
            }
            _ => false,
        },
        (Some(b'['), Some(b'[')) => match (parse::<Array>(left), parse::<Array>(right)) {
            (Some(left), Some(right)) => {
                left.len() == right.len()
                    && left.iter().zip(&right).all(|(value, other)| same(value.get(), other.get()))
            }
            _ => false,
        },
        (Some(b'"'), Some(b'"')) => match (string(left), string(right)) {
            (Some(left), Some(right)) => left == right,
            _ => false,
        },
        _ => false,
    }
}

/// The declared type of a field, as far as it decides which conversions are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Declared {
    /// `format: date-time`.
    Instant,
    /// `number` or `integer`, and not `string`.
    Number,
    /// Only `string`.
    Text,
    /// Any other type: the value is emitted unchanged.
    Other,
    /// The schema is unknown: every conversion is allowed.
    Unknown,
}

/// Returns true if `sent` is the correct output for the value `stored` of the store.
pub(crate) fn arrived(stored: &str, sent: &str, declared: Declared) -> bool {
    // Most values are emitted unchanged.
    if stored == sent {
        return true;
    }
    let (instants, numbers) = match declared {
        Declared::Instant => (true, false),
        Declared::Number => (false, true),
        Declared::Text | Declared::Other => (false, false),
        Declared::Unknown => (true, true),
    };
    if let Some(text) = string(stored) {
        if text.is_empty() && sent == "null" {
            return instants || numbers;
        }
        if instants && let Some(instant) = instant(&text) {
            let sent = string(sent).and_then(|text| self::instant(&text));
            if sent.is_some() || declared == Declared::Instant {
                return sent == Some(instant);
            }
        }
        if numbers && string(sent).is_none() && decimal(sent).is_some() {
            return decimal(&text) == decimal(sent);
        }
    }
    // A number where a string is declared keeps its digits.
    let is_quoted = sent.strip_prefix('"').and_then(|sent| sent.strip_suffix('"')) == Some(stored);
    if is_quoted && matches!(declared, Declared::Text | Declared::Unknown) && decimal(stored).is_some() {
        return true;
    }
    same(stored, sent)
}

/// Returns the value of a JSON string.
pub(crate) fn string(raw: &str) -> Option<String> {
    parse(raw)
}

/// Returns the milliseconds since the epoch of a timestamp with an offset; further digits are cut.
pub(crate) fn instant(text: &str) -> Option<i64> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some(time.timestamp_millis())
}

/// Parses a decimal number into its sign, its digits without leading or trailing zeros, and a power of ten. Zero has no
/// digits.
///
/// `12.50`, `+012.5`, and `1.25e1` give the same result. White space around the number is allowed.
pub(crate) fn decimal(text: &str) -> Option<(bool, String, i64)> {
    let text = text.trim();
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_end_matches('0');
    let dropped = i64::try_from(digits.len() - significant.len()).ok()?;
    let power = exponent - i64::try_from(fraction.len()).ok()? + dropped;
    let significant = significant.trim_start_matches('0');
    if significant.is_empty() {
        return Some((false, String::new(), 0));
    }
    Some((negative, significant.to_owned(), power))
}

fn parse<T: serde::de::DeserializeOwned>(raw: &str) -> Option<T> {
    serde_json::from_str(raw).ok()
}
