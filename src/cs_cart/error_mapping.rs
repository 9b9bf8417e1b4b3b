//! Converts the statuses and bodies of failed requests into an [`Error`]. Pure.

use hyper::StatusCode;
use hyper::header::HeaderMap;

use super::page::PageError;
use crate::http::error_mapping::{plain, refused, unparsed};
use crate::http::{Error, Request as _};
use crate::secret::Secret;
use crate::sync::query::Query;

/// Returns the error of a response with status 200 whose body is not a page.
pub(super) fn body(query: &Query, fault: PageError) -> Error {
    let resource = query.resource().to_owned();
    let problem = match fault {
        PageError::Empty => return Error::Empty { resource },
        PageError::Body(error) => return unparsed(query.resource(), error, None),
        PageError::NoList(seen) if seen.is_empty() => "the response has no list, and no fields".to_owned(),
        PageError::NoList(seen) => {
            let names: Vec<String> = seen.iter().map(|name| plain(name, 40)).collect();
            format!("the response has no list; its fields are: {}", names.join(", "))
        }
        PageError::NoField(field) => {
            let problem = format!("its rows have no `{field}`, as before CS-Cart 4.10");
            return Error::Unsupported { resource, setting: "storefront_ids", problem };
        }
        PageError::OtherOrder(order) => {
            let problem = format!("the store sorts the rows by `{}` instead of the requested order", plain(&order, 40));
            return Error::Ignored { resource, problem };
        }
    };
    refused(query.resource(), problem)
}

/// Returns the error of a status other than 200, with the message of the body. `signed` are the headers that
/// authenticated the request.
pub(super) fn status(query: &Query, status: StatusCode, body: &[u8], signed: &HeaderMap) -> Error {
    let resource = query.resource().to_owned();
    let begins = body.iter().find(|byte| !byte.is_ascii_whitespace());
    let is_page = begins.is_some_and(|&byte| byte != b'{');
    // The API itself answers with JSON. A firewall in front of the store refuses with a web page.
    if is_page && matches!(status, StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS) {
        return Error::Blocked { resource, status: status.as_u16() };
    }
    let vendor = serde_json::from_slice::<Vendor>(body).unwrap_or_default();
    let sent = signed.values().filter(|value| value.is_sensitive()).filter_map(|value| value.to_str().ok());
    let message = sent.fold(plain(&vendor.message, 200), |text, value| {
        let credentials = value.strip_prefix("Basic ").unwrap_or(value);
        Secret::new(credentials.to_owned()).masked(&text)
    });
    Error::Status {
        resource,
        status: status.as_u16(),
        message,
        is_unknown_resource: status == StatusCode::NOT_FOUND && query.parent.is_none(),
        page: is_page,
    }
}

/// The body of an error (CS-Cart REST API, overview).
#[derive(Default, serde::Deserialize)]
struct Vendor {
    #[serde(default)]
    message: String,
}

#[cfg(test)]
mod tests {
    use super::super::streams::find;
    use super::*;

    fn of(code: u16, body: &str) -> Error {
        let query = Query::new(find("orders").unwrap(), 1);
        status(&query, StatusCode::from_u16(code).unwrap(), body.as_bytes(), &HeaderMap::new())
    }

    #[test]
    fn a_firewall_differs_from_a_missing_privilege() {
        for code in [403, 429] {
            assert!(matches!(of(code, "<html>"), Error::Blocked { status, .. } if status == code));
        }
        let denied = of(403, r#"{"message":"Forbidden: \u0007Access denied","status":403}"#);
        assert!(matches!(denied, Error::Status { status: 403, message, .. } if message == "Forbidden: Access denied"));
        assert!(matches!(of(403, ""), Error::Status { status: 403, page: false, .. }));
        assert!(matches!(of(404, "<html>"), Error::Status { is_unknown_resource: true, page: true, .. }));
        assert!(matches!(of(500, "Fatal error"), Error::Status { status: 500, page: true, .. }));
    }
}
