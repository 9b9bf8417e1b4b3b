//! Sign-in and privileges.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::answer::{Answer, error};
use super::objects::Object;
use super::options::{Account, Options, Rights};
use super::seen::RecordedRequest;

/// Finds the account of a request.
///
/// # Errors
///
/// The answer to a request without a valid sign-in.
pub(crate) fn signed_in<'o>(seen: &RecordedRequest, options: &'o Options) -> Result<&'o Account, Answer> {
    let credentials = seen.header("authorization").and_then(basic);
    let account = credentials.and_then(|(email, key)| {
        options.accounts.iter().find(|account| account.email == email && account.key == key && !key.is_empty())
    });
    match account {
        Some(account) if account.rights != Rights::Disabled => Ok(account),
        _ => Err(error(401, "").with("www-authenticate", "Basic realm=\"REST API\"")),
    }
}

fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    let decoded = STANDARD.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let (email, key) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((email.to_owned(), key.to_owned()))
}

/// Checks if an account may read an object.
///
/// # Errors
///
/// The answer that refuses it.
pub(crate) fn allowed(account: &Account, object: &Object) -> Result<(), Answer> {
    let is_allowed = match &account.rights {
        Rights::Root => true,
        Rights::Limited(privileges) => privileges.contains(object.privilege),
        Rights::Vendor(_) => object.is_for_vendors,
        Rights::Disabled => false,
    };
    if is_allowed { Ok(()) } else { Err(error(403, "Access denied")) }
}

/// Checks the `Accept` header.
pub(crate) fn accepts_json(seen: &RecordedRequest) -> bool {
    let is_json = |range: &str| {
        let range = range.split(';').next().unwrap_or_default().trim();
        ["application/json", "text/plain", "*/*", "application/*", "text/*"].contains(&range)
    };
    seen.header("accept").is_none_or(|accept| accept.split(',').any(is_json))
}
