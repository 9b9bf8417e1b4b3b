//! Descriptions of faults in input files, without the words of a parser.

use serde_json::Value;

/// Returns a clause that says where a text stops being JSON.
pub(super) fn not_json(error: &serde_json::Error) -> String {
    match error.line() {
        0 => "it is not valid JSON".to_owned(),
        line => format!("it is not valid JSON at line {line}, column {}", error.column()),
    }
}

/// Returns the type of a value with its article.
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
