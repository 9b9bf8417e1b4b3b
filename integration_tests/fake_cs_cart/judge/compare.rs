//! Compares a row as the API shows it with a record, whatever types the record has.

use serde_json::{Map, Value};

/// Returns true if a record has the values of a row in every field that both have.
pub(crate) fn is_same(row: &Value, record: &Value, ignored: &[&str]) -> bool {
    match (row, record) {
        (Value::Object(row), Value::Object(record)) => is_same_object(row, record, ignored),
        _ => is_same_value(row, record),
    }
}

fn is_same_object(row: &Map<String, Value>, record: &Map<String, Value>, ignored: &[&str]) -> bool {
    let values = row.iter().filter(|(name, _)| !ignored.contains(&name.as_str()));
    values.filter_map(|(name, value)| Some((value, record.get(name)?))).all(|(one, other)| is_same_value(one, other))
}

/// Returns true if two values mean the same: numbers and dates may be strings, and empty values null.
fn is_same_value(row: &Value, record: &Value) -> bool {
    match (row, record) {
        (Value::Object(one), Value::Object(other)) => is_same_object(one, other, &[]),
        (Value::Object(one), Value::Array(other)) => {
            one.len() == other.len() && one.values().zip(other).all(|(one, other)| is_same_value(one, other))
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same_value(one, other))
        }
        _ if row == record => true,
        _ if is_empty(row) && is_empty(record) => true,
        _ => match (number(row), number(record)) {
            (Some(one), Some(other)) => one == other,
            (Some(one), None) => seconds(record).map_or(one == 0.0 && record.is_null(), |time| time as f64 == one),
            _ => false,
        },
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => text.parse().ok(),
        _ => None,
    }
}

fn seconds(value: &Value) -> Option<i64> {
    let time = chrono::DateTime::parse_from_rfc3339(value.as_str()?).ok()?;
    Some(time.timestamp())
}

/// Returns a number of a row or record that may be a string.
pub(crate) fn integer(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}
