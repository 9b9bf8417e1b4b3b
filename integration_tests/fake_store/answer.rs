//! Responses: the envelope of a list, and the form of an error.
//!
//! Subject: "Query syntax" (list envelope) and "Common usage" (errors: `status_code`, `message`, `details`).

use std::fmt::Write as _;

use super::data::Row;
use super::options::{NextPage, Options};
use super::route::replace;
use super::rows::quote;

/// One HTTP response before compression.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    /// Status code.
    pub(super) status: u16,
    /// All headers except `Date`, `Content-Length` and `Content-Encoding`.
    pub(super) headers: Vec<(String, String)>,
    /// Body.
    pub(super) body: Vec<u8>,
    /// Number of rows in the list.
    pub(super) rows: usize,
}

impl Answer {
    /// Creates a JSON response.
    pub(super) fn json(status: u16, body: String) -> Answer {
        Answer::typed(status, "application/json; charset=utf-8", body)
    }

    /// Creates a response of a content type.
    pub(super) fn typed(status: u16, content_type: &str, body: String) -> Answer {
        Answer {
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: body.into_bytes(),
            rows: 0,
        }
    }

    /// Returns the response with links to pages of another resource.
    pub(super) fn with_links_of(mut self, resource: &str, other: &str) -> Answer {
        let [old, new] = [resource, other].map(|name| format!("/api/v1/{name}?").into_bytes());
        self.body = replace(&self.body, &old, &new);
        self
    }

    /// Returns the response with another status and the headers of that status.
    pub(super) fn with_status(mut self, status: u16) -> Answer {
        self.status = status;
        if status == 204 {
            self.body.clear();
            self.rows = 0;
            self.headers.retain(|(name, _)| name != "content-type");
        }
        if status == 206 {
            let length = self.body.len();
            self = self.with("content-range", format!("bytes 0-{}/{length}", length.saturating_sub(1)));
        }
        self
    }

    /// Returns the bytes of the HTTP response without a length, and without the last `missing` bytes of the body.
    pub(super) fn without_length(&self, missing: usize) -> Vec<u8> {
        let mut bytes = format!("HTTP/1.1 {} OK\r\n", self.status).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"connection: close\r\n\r\n");
        bytes.extend_from_slice(&self.body[..self.body.len().saturating_sub(missing)]);
        bytes
    }

    /// Adds a header.
    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Answer {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// Returns the body of an error.
pub fn error_body(status: u16, message: &str, details: &str) -> String {
    let mut body = format!("{{\"status_code\":{status},\"message\":");
    quote(message, &mut body);
    body.push_str(",\"details\":");
    quote(details, &mut body);
    body.push('}');
    body
}

/// Creates an error response.
pub(super) fn error(status: u16, message: &str, details: &str) -> Answer {
    Answer::json(status, error_body(status, message, details))
}

/// Returns the details of a server error: long, with names of classes and procedures.
pub const SERVER_FAULT: &str = "System.Data.SqlClient.SqlException (0x80131904): Execution Timeout Expired. The timeout \
    period elapsed prior to completion of the operation or the server is not responding.\r\n   at \
    AmeriCommerce.Data.StoredProcedure.Execute(String name) procedure 'ac_sp_Order_LoadByFilter'\r\n   at \
    AmeriCommerce.Api.Controllers.ResourceController`1.Get(HttpRequestMessage request)";

/// Builds the envelope of a list.
pub(super) struct Envelope {
    text: String,
}

impl Envelope {
    /// Creates an empty envelope.
    pub(super) fn new() -> Envelope {
        Envelope { text: String::from("{") }
    }

    fn name(&mut self, name: &str) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        let _ = write!(self.text, "\"{name}\":");
    }

    /// Adds an integer.
    pub(super) fn number(&mut self, name: &str, value: usize) {
        self.name(name);
        let _ = write!(self.text, "{value}");
    }

    /// Adds a string.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        quote(value, &mut self.text);
    }

    /// Adds a link to another page: absent or null if there is none.
    pub(super) fn link(&mut self, name: &str, value: Option<String>, options: &Options) {
        match value {
            Some(_) if options.next_page == NextPage::Absent => {}
            Some(value) => self.text(name, &value),
            None if options.next_page == NextPage::Null => {
                self.name(name);
                self.text.push_str("null");
            }
            None => {}
        }
    }

    /// Adds the array and ends the envelope.
    pub(super) fn array(mut self, name: &str, rows: &[&Row], write: impl Fn(&Row, &mut String)) -> Answer {
        self.name(name);
        self.text.push('[');
        for (at, row) in rows.iter().enumerate() {
            if at > 0 {
                self.text.push(',');
            }
            write(row, &mut self.text);
        }
        self.text.push_str("]}");
        Answer { rows: rows.len(), ..Answer::json(200, self.text) }
    }
}
