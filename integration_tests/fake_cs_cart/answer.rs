//! Responses before they are sent.

use super::json::quoted;

/// One response.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// Status code.
    pub(crate) status: u16,
    /// Headers other than `Date` and `Content-Length`.
    pub(crate) headers: Vec<(String, String)>,
    /// Body.
    pub(crate) body: Vec<u8>,
    /// Number of rows in the body.
    pub(crate) rows: usize,
}

impl Answer {
    /// Creates a JSON response.
    pub(crate) fn json(status: u16, body: String) -> Answer {
        Answer { status, body: body.into_bytes(), ..Answer::default() }.with("content-type", "application/json")
    }

    /// Creates an HTML response, as the servers in front of the shop send.
    pub(crate) fn html(status: u16, title: &str) -> Answer {
        let body = format!(
            "<!DOCTYPE html>\n<html><head><title>{status} {title}</title></head>\n<body><h1>{title}</h1></body></html>\n"
        );
        Answer { status, body: body.into_bytes(), ..Answer::default() }.with("content-type", "text/html; charset=UTF-8")
    }

    /// Adds a header.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Answer {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the number of rows.
    pub(crate) fn of_rows(mut self, rows: usize) -> Answer {
        self.rows = rows;
        self
    }
}

/// Returns the standard text of a status.
pub(crate) fn status_text(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        414 => "URI Too Long",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        508 => "Loop Detected",
        _ => "Unknown",
    }
}

/// Creates an error response in the form of the API.
pub(crate) fn error(status: u16, details: &str) -> Answer {
    let text = status_text(status);
    let message = if details.is_empty() { text.to_owned() } else { format!("{text}: {details}") };
    Answer::json(status, format!("{{\"message\":{},\"status\":{status}}}", quoted(&message)))
}
