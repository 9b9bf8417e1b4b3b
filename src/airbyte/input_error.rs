//! Descriptions of faults in input files, without the words of a parser.

/// Returns a clause that says where a text stops being JSON.
pub(super) fn not_json(error: &serde_json::Error) -> String {
    match error.line() {
        0 => "it is not valid JSON".to_owned(),
        line => format!("it is not valid JSON at line {line}, column {}", error.column()),
    }
}
