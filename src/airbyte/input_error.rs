//! What is wrong with a file that was given, in words that name no parser. Pure.

use serde_json::Value;

/// A clause that says where a text stops being JSON.
#[must_use]
pub(super) fn not_json(error: &serde_json::Error) -> String {
    match error.line() {
        0 => "it is not valid JSON".to_owned(),
        line => format!("it is not valid JSON at line {line}, column {}", error.column()),
    }
}

/// What a value is, with its article.
#[must_use]
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
