//! The error of an input file that is not JSON, without the words of a parser.

/// The position of the first error in a file that is not JSON. Its message is a clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", match line {
    0 => "it is not valid JSON".to_owned(),
    _ => format!("it is not valid JSON at line {line}, column {column}"),
})]
pub struct NotJson {
    /// The line, from 1; 0 if it is unknown.
    line: usize,
    /// The column in bytes, from 1.
    column: usize,
}

impl From<serde_json::Error> for NotJson {
    fn from(error: serde_json::Error) -> Self {
        Self { line: error.line(), column: error.column() }
    }
}
