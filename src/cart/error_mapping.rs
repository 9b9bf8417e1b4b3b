//! Converts the statuses and bodies of failed requests into an [`Error`]. Pure.

use hyper::StatusCode;
use hyper::header::HeaderMap;

use super::page::PageError;
use crate::http::error_mapping::{plain, unparsed};
use crate::http::{Error, Request as _};
use crate::secret::Secret;
use crate::sync::query::Query;

/// Returns the error of a response with status 200 whose body is not a page. `counted` is the number of rows that the
/// body reports.
pub(super) fn body(query: &Query, fault: PageError, counted: Option<u64>) -> Error {
    let resource = query.resource().to_owned();
    // A response of another resource counts its rows.
    let is_own = matches!(fault, PageError::CountWithoutRows(_) | PageError::NextPageWithoutRows);
    let problem = match fault {
        PageError::Body(error) => return unparsed(query.resource(), error, counted),
        PageError::NoList(seen) => format!("the response has no list; its fields are: {}", names(&seen)),
        PageError::TwoLists => "the response has its list twice".to_owned(),
        PageError::ForeignList(name) => {
            format!("the response has the list of another resource, `{}`", plain(&name, 40))
        }
        PageError::ForeignNext(name) => {
            format!("the next page in the response is of another resource, `{}`", plain(&name, 40))
        }
        PageError::CountWithoutRows(total) => format!("the response counts {total} rows but lists none"),
        PageError::NextPageWithoutRows => "the response has a next page but lists no rows".to_owned(),
    };
    Error::Body { resource, problem, transient: false, page: false, counted: counted.filter(|_| is_own) }
}

/// Returns the error of a status other than 200, with the message of the body. `signed` are the headers that
/// authenticated the request.
pub(super) fn status(query: &Query, status: StatusCode, body: &[u8], signed: &HeaderMap) -> Error {
    let vendor = serde_json::from_slice::<Vendor>(body).unwrap_or_default();
    let details = vendor.details.as_str().unwrap_or_default().to_ascii_lowercase();
    let begins = body.iter().find(|byte| !byte.is_ascii_whitespace());
    Error::Status {
        resource: query.resource().to_owned(),
        status: status.as_u16(),
        message: without(signed, plain(&vendor.message, 200)),
        is_unknown_resource: status == StatusCode::NOT_FOUND && details.contains("no resource matches"),
        page: begins.is_some_and(|&byte| byte != b'{'),
    }
}

/// The body of an error (API documentation, errors). Its details are never shown: they may contain names of procedures
/// and classes.
#[derive(Default, serde::Deserialize)]
struct Vendor {
    #[serde(default)]
    message: String,
    #[serde(default)]
    details: serde_json::Value,
}

/// Returns a list of at most ten field names, each cut to a maximum length and without control characters, since the
/// store chooses them.
fn names(seen: &[String]) -> String {
    if seen.is_empty() {
        return "none".to_owned();
    }
    seen.iter().take(10).map(|name| plain(name, 40)).collect::<Vec<_>>().join(", ")
}

/// Returns the text with the values of the authentication headers masked, in case the response repeats them.
fn without(signed: &HeaderMap, text: String) -> String {
    let sent = signed.values().filter(|value| value.is_sensitive()).filter_map(|value| value.to_str().ok());
    sent.fold(text, |text, value| Secret::new(value.to_owned()).masked(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(code: u16, body: &str) -> (String, bool, bool) {
        let code = StatusCode::from_u16(code).unwrap_or_default();
        match status(
            &Query::new(crate::cart::streams::find("orders").unwrap(), 1),
            code,
            body.as_bytes(),
            &HeaderMap::new(),
        ) {
            Error::Status { message, is_unknown_resource, page, .. } => (message, is_unknown_resource, page),
            other => unreachable!("{other}"),
        }
    }

    #[test]
    fn what_a_status_means_is_in_its_body() {
        let unknown = r#"{"status_code":404,"message":"NotFound","details":"NO Resource matches the URL specified."}"#;
        assert_eq!(reported(404, unknown), ("NotFound".to_owned(), true, false));
        assert_eq!(reported(500, unknown), ("NotFound".to_owned(), false, false));
        let gone = r#"{"message":"Not\u0007 Found","details":"No resource found"}"#;
        assert_eq!(reported(404, gone), ("Not Found".to_owned(), false, false));
        assert_eq!(reported(404, r#"{"message":"x","details":null}"#), ("x".to_owned(), false, false));
        assert_eq!(reported(404, "<html>"), (String::new(), false, true));
        assert_eq!(reported(500, ""), (String::new(), false, false));
    }
}
