//! Checks the Central API Router's signature.
//!
//! Subject: "Central API Router" as its one known client uses it: Base64 of HMAC-SHA256 over the method, `&`, path and
//! query exactly as sent, `&`, and the user; the key is the user's secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::options::Router;
use super::seen::RecordedRequest;

/// Returns the signature of a request.
pub fn signature(method: &str, target: &str, user: &str, secret: &str) -> String {
    let mut mac = match Hmac::<Sha256>::new_from_slice(secret.as_bytes()) {
        Ok(mac) => mac,
        Err(e) => panic!("HMAC takes keys of any length: {e}"),
    };
    mac.update(format!("{method}&{target}&{user}").as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Returns true if the three headers are right for this request.
pub(super) fn accepted(seen: &RecordedRequest, router: &Router) -> bool {
    let expected = signature(&seen.method.to_uppercase(), &seen.target, &router.user, &router.secret);
    seen.header("x-ac-pub-site-id") == Some(&router.site_id)
        && seen.header("x-ac-pub-user") == Some(&router.user)
        && seen.header("x-ac-pub-auth-signature") == Some(&expected)
}
