//! Converts the failure of one attempt to an [`Error`]. No I/O.

use super::body::BodyError;
use super::connection::HttpError;
use super::error::{Error, TransportErrorKind};

/// Returns the error of a failed connection.
pub(super) fn broken(resource: &str, kind: TransportErrorKind, detail: String) -> Error {
    Error::Transport { resource: resource.to_owned(), kind, detail }
}

/// Returns the error of a request that the end of the process interrupts.
pub(super) fn closing(resource: &str) -> Error {
    broken(resource, TransportErrorKind::Broken, "shutting down".to_owned())
}

/// Returns the error of a response that has an unexpected structure or belongs to another request.
pub(crate) fn refused(resource: &str, problem: String) -> Error {
    Error::Body { resource: resource.to_owned(), problem, transient: false, page: false, counted: None }
}

/// Returns the error of a body that cannot be parsed. `counted` is the number of rows that the body reports.
pub(crate) fn unparsed(resource: &str, error: BodyError, counted: Option<u64>) -> Error {
    let resource = resource.to_owned();
    let problem = match error {
        BodyError::NotUtf8 { at } => return Error::NotUtf8 { resource, at, counted },
        BodyError::NotJson { at, length, page } => {
            let problem = format!("the response of {length} bytes is not valid JSON (from byte {at})");
            return Error::Body { resource, problem, transient: true, page, counted };
        }
        BodyError::TooDeep => "the response is nested too deeply",
        BodyError::NotAnObject => "the list contains an element that is not an object",
    };
    refused(&resource, problem.to_owned())
}

/// Returns the text without control characters, cut to `length` characters.
pub(crate) fn plain(text: &str, length: usize) -> String {
    text.chars().filter(|character| !character.is_control()).take(length).collect()
}

/// Returns the error of a request to which no complete response arrived.
pub(super) fn transport(resource: &str, fault: &HttpError) -> Error {
    let detail = chain(fault);
    if let Some(proxy) = fault.tunnel_error() {
        let (resource, variable, failure_kind) = (resource.to_owned(), proxy.variable, proxy.failure_kind);
        return Error::Proxy { resource, proxy: proxy.address.clone(), variable, failure_kind, detail };
    }
    let kind = if fault.is_timeout() {
        TransportErrorKind::Timeout
    } else if fault.is_certificate() {
        TransportErrorKind::Certificate
    } else if fault.is_name() {
        TransportErrorKind::Name
    } else if fault.is_tls() {
        TransportErrorKind::Tls
    } else if fault.is_connect() {
        TransportErrorKind::Connect
    } else {
        TransportErrorKind::Broken
    };
    broken(resource, kind, detail)
}

/// Returns the error and its causes in one line.
fn chain(fault: &HttpError) -> String {
    let mut parts: Vec<String> = fault.causes().map(ToString::to_string).collect();
    parts.dedup();
    plain(&parts.join(": "), 400)
}
