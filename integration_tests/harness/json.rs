//! Comparison of raw JSON texts in which no digit of a number may be lost, and of the few documented coercions.

use std::collections::BTreeMap;

use chrono::DateTime;
use serde_json::value::RawValue;

/// The fields of an object, each with its raw text.
pub(crate) type Fields = BTreeMap<String, String>;

/// Takes an object apart.
pub(crate) fn object(raw: &str) -> Option<Fields> {
    let fields: BTreeMap<String, Box<RawValue>> = parse(raw)?;
    let texts = fields.into_iter().map(|(name, raw)| (name, raw.get().to_owned()));
    Some(texts.collect())
}

/// Whether two texts are the same value: key order and white space do not count, the digits of numbers do.
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

/// What the schema of a field declares, as far as it decides about coercion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Declared {
    /// `format: date-time`.
    Instant,
    /// `number` or `integer`, and not `string`.
    Number,
    /// `string` alone.
    Text,
    /// Anything else: the value goes out as it came.
    Other,
    /// No schema is at hand: every coercion is allowed.
    Unknown,
}

/// Whether `sent` is what a field of the store should become on its way.
pub(crate) fn arrived(stored: &str, sent: &str, declared: Declared) -> bool {
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

/// The value of a JSON string.
pub(crate) fn string(raw: &str) -> Option<String> {
    parse(raw)
}

/// The milliseconds since the epoch of a timestamp with an offset; finer digits are cut.
pub(crate) fn instant(text: &str) -> Option<i64> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some(time.timestamp_millis())
}

/// A decimal number as sign, digits without leading or trailing zeros, and power of ten; zero has no digits.
///
/// `12.50`, `+012.5`, and `1.25e1` give the same; the text may carry white space around it.
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
