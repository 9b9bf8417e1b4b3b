//! Sign-in: creates the header that authenticates a request. Sends nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use sha2::{Digest as _, Sha256};

use crate::secret::Secret;

/// The credentials of an administrator (CS-Cart REST API: authentication).
#[derive(Clone, Debug)]
pub struct Auth {
    email: String,
    api_key: Secret,
}

impl Auth {
    /// Returns the credentials of this administrator.
    pub fn new(email: String, api_key: Secret) -> Self {
        Self { email, api_key }
    }

    /// Returns a hash that differs from that of another administrator.
    pub fn identity(&self) -> String {
        // A new key of the same administrator shows the same rows.
        let hash = Sha256::digest(format!("administrator {}", self.email).as_bytes());
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Returns the credentials as they are sent.
    pub fn credentials(&self) -> Secret {
        Secret::new(STANDARD.encode(format!("{}:{}", self.email, self.api_key.expose())))
    }

    /// Returns the headers of a request: Basic authentication with the e-mail address and the API key.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        // Base64 can always be sent.
        if let Ok(mut value) = HeaderValue::from_str(&format!("Basic {}", self.credentials().expose())) {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_the_address_and_the_key_and_never_shows_them() {
        let auth = Auth::new("admin@example.com".to_owned(), Secret::new("abcdefgh".to_owned()));
        let headers = auth.headers();
        assert_eq!(headers[AUTHORIZATION].to_str().unwrap(), "Basic YWRtaW5AZXhhbXBsZS5jb206YWJjZGVmZ2g=");
        let shown = format!("{auth:?} {headers:?} {}", auth.identity());
        assert!(!shown.contains("abcdefgh") && !shown.contains("YWRtaW5"));
    }
}
