//! Values as the database compares them: by column type, with null separate.
//!
//! Subject: "Query syntax". Numbers are exact, integers up to 2^63-1; strings are compared without case;
//! products' `length`, `height` and `width` are strings and compared as such ("Known issues").

use std::borrow::Cow;
use std::cmp::Ordering;

use super::resources::Type;
use super::zone::Clock;

/// One value of a column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    /// Sorts first, matches nothing.
    Null,
    /// A number with ten decimals, as a scaled integer.
    Number(i128),
    /// Ticks since the epoch.
    Date(i64),
    /// A flag.
    Boolean(bool),
    /// A string in lower case.
    Text(String),
}

const SCALE: i128 = 10_000_000_000;

impl Value {
    /// Returns an integer value.
    pub(super) fn integer(value: i64) -> Value {
        Value::Number(i128::from(value) * SCALE)
    }

    /// Returns the value as a plain number, if it is one: the number itself, or ticks.
    pub(super) fn whole(&self) -> Option<i64> {
        match self {
            Value::Number(n) if n % SCALE == 0 => i64::try_from(n / SCALE).ok(),
            Value::Date(ticks) => Some(*ticks),
            _ => None,
        }
    }

    /// Parses the operand of a condition. `None` if it is not of that type.
    pub(super) fn parse(ty: Type, text: &str, clock: &Clock) -> Option<Value> {
        match ty {
            Type::Integer | Type::Number => number(text).map(Value::Number),
            Type::Date => clock.parse(text).map(Value::Date),
            Type::Boolean => match text.to_ascii_lowercase().as_str() {
                "true" | "1" => Some(Value::Boolean(true)),
                "false" | "0" => Some(Value::Boolean(false)),
                _ => None,
            },
            Type::Text => Some(Value::Text(text.to_lowercase())),
            Type::Nested => None,
        }
    }

    /// Parses the JSON of a field.
    pub(super) fn of_json(ty: Type, raw: &str, clock: &Clock) -> Value {
        if raw == "null" {
            return Value::Null;
        }
        let text = plain(raw);
        match ty {
            Type::Date if text.is_empty() => Value::Null,
            _ => Value::parse(ty, &text, clock).unwrap_or(Value::Null),
        }
    }

    /// Compares two values of one type.
    pub(super) fn compare(&self, other: &Value) -> Option<Ordering> {
        match (self, other) {
            (Value::Null, _) | (_, Value::Null) => None,
            _ => Some(self.cmp(other)),
        }
    }
}

/// Returns the content of a JSON scalar, without quotes and escapes.
pub(super) fn plain(raw: &str) -> Cow<'_, str> {
    if !raw.starts_with('"') {
        return Cow::Borrowed(raw);
    }
    if !raw.contains('\\') {
        return Cow::Borrowed(raw.trim_matches('"'));
    }
    serde_json::from_str(raw).map_or(Cow::Borrowed(raw), Cow::Owned)
}

fn number(text: &str) -> Option<i128> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 25 || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let fraction = format!("{:0<10}", &fraction[..fraction.len().min(10)]);
    let value = whole.parse::<i128>().ok()? * SCALE + fraction.parse::<i128>().ok()?;
    Some(if negative { -value } else { value })
}
