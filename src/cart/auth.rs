//! Sign-in: creates the headers that authenticate a request. Sends nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};

use crate::secret::Secret;

const TOKEN: HeaderName = HeaderName::from_static("x-ac-auth-token");
const SITE: HeaderName = HeaderName::from_static("x-ac-pub-site-id");
const USER: HeaderName = HeaderName::from_static("x-ac-pub-user");
const SIGNATURE: HeaderName = HeaderName::from_static("x-ac-pub-auth-signature");

/// The credentials of a store, in one of two forms.
#[derive(Clone, Debug)]
pub enum Auth {
    /// The access token of one store (API documentation, authentication).
    Token(Secret),
    /// Credentials of the Central API Router. Each request is signed, as in the published Python connector.
    Router {
        /// Provisioning user name.
        user: String,
        /// The user's secret: the key of the signature.
        secret: Secret,
        /// Site id of the store.
        site_id: String,
    },
}

impl Auth {
    /// Returns true if a value can be sent in a header: visible ASCII and spaces only.
    pub fn is_sendable(text: &str) -> bool {
        !text.is_empty() && HeaderValue::from_str(text).is_ok() && text.is_ascii()
    }

    /// Returns a hash that differs from that of any other token, or of another user or site of the router.
    pub fn identity(&self) -> String {
        let text = match self {
            Self::Token(token) => format!("token {}", token.expose()),
            // A new secret of the same user shows the same rows.
            Self::Router { user, site_id, .. } => format!("router {site_id} {user}"),
        };
        Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Returns the headers for a GET request. `path_and_query` must have exactly the bytes that are sent, since they
    /// are signed.
    pub fn headers(&self, path_and_query: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut put = |name: HeaderName, value: &str| {
            // The config rejects values that cannot be sent. Should one occur, the store responds with 401.
            if let Ok(mut value) = HeaderValue::from_str(value) {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
        };
        match self {
            Self::Token(token) => put(TOKEN, token.expose()),
            Self::Router { user, secret, site_id } => {
                put(SITE, site_id);
                put(USER, user);
                put(SIGNATURE, &signature(secret, user, path_and_query));
            }
        }
        headers
    }
}

/// Returns the signature of a request: the HMAC-SHA256 of `GET&{path and query}&{user}` with the user's secret as key,
/// in Base64.
fn signature(secret: &Secret, user: &str, path_and_query: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else {
        // Cannot occur: HMAC accepts keys of any length. The store would respond to an empty signature with 401.
        return String::new();
    };
    mac.update(format!("GET&{path_and_query}&{user}").as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_router_signature_matches_the_known_vectors() {
        let secret = Secret::new("mySecret".to_owned());
        for (target, expected) in [
            (
                "/api/v1/customers?count=1000&sort=updated_at&updated_at=gt%3A2021-01-01T00%3A00%3A00Z",
                "RiqFeX9QxsQ4HS4DBUeXnHWWEAy5ALPxJdWI2+YsBVo=",
            ),
            (
                "/api/v1/orders?count=1000&page=2&sort=updated_at&updated_at=gt%3A2021-07-01T08%3A59%3A28.457-05%3A00+AND+lt%3A2021-08-01T00%3A00%3A00Z",
                "a/0AIWKfsKZNXxrEaNMkJOgPqbIE04wsm0wUwpe2frc=",
            ),
            ("/api/v1/order_statuses?count=1000", "uTiUQ2eiRHEIAaqE0P5zCRjB0BdhDoxIFpNL2+mFZqU="),
        ] {
            assert_eq!(signature(&secret, "myUser", target), expected);
        }
    }

    #[test]
    fn headers_never_show_their_values() {
        let auth = Auth::Token(Secret::new("abcdef".to_owned()));
        assert!(!format!("{auth:?} {:?}", auth.headers("/api/v1/orders")).contains("abcdef"));
    }

    #[test]
    fn the_identity_differs_by_account_and_shows_no_secret() {
        let token = |text: &str| Auth::Token(Secret::new(text.to_owned())).identity();
        let router = |user: &str, secret: &str, site_id: &str| {
            Auth::Router { user: user.into(), secret: Secret::new(secret.into()), site_id: site_id.into() }.identity()
        };
        assert!(token("abcdef") != token("abcdeg") && !token("abcdef").contains("abcdef"));
        assert_eq!(router("u", "one", "1"), router("u", "two", "1"));
        assert!(router("u", "s", "1") != router("u", "s", "2") && router("u", "s", "1") != router("v", "s", "1"));
    }

    #[test]
    fn what_cannot_be_sent_is_known_beforehand() {
        assert!(Auth::is_sendable("0123abc"));
        for bad in ["", "a\r\nX-Injected: 1", "a\0", "tök"] {
            assert!(!Auth::is_sendable(bad), "{bad:?}");
        }
    }
}
