//! A text that must not be printed: tokens, keys, signatures.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use url::form_urlencoded::byte_serialize;

/// A secret. `Debug` shows `(secret)`; there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// A text with this secret replaced, in whatever form it stands there. A defence behind the first one,
    /// which is that no text is made from a secret. A very short one is left: replacing every "a" of a
    /// sentence would make it unreadable.
    #[must_use]
    pub fn masked(&self, text: &str) -> String {
        if self.0.len() < 4 {
            return text.to_owned();
        }
        self.forms().iter().fold(text.to_owned(), |text, form| text.replace(form.as_str(), "****"))
    }

    /// The secret, and what it becomes in a URL, in Base64, in JSON and in a host name.
    fn forms(&self) -> Vec<String> {
        let plain = self.0.as_str();
        let encoded: String = byte_serialize(plain.as_bytes()).collect();
        let json = serde_json::Value::from(plain).to_string();
        let mut forms = vec![
            plain.to_owned(),
            encoded.replace('+', "%20"),
            encoded,
            json.trim_matches('"').to_owned(),
            STANDARD_NO_PAD.encode(plain),
            URL_SAFE_NO_PAD.encode(plain),
            plain.bytes().map(|byte| format!("{byte:02x}")).collect(),
            plain.to_ascii_lowercase(),
        ];
        // What follows the secret in an encoded text changes the last digit.
        let beginnings = [STANDARD_NO_PAD.encode(plain), URL_SAFE_NO_PAD.encode(plain)];
        forms.extend(beginnings.map(|mut form| {
            form.pop();
            form
        }));
        // The longest first, so that none is cut short by another.
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        forms.dedup();
        forms
    }

    /// The text itself, for the one place that puts it on the wire.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_replaced_in_every_form() {
        let secret = Secret::new("To/ken+ \"9\"=".to_owned());
        for form in [
            "To/ken+ \"9\"=",
            "to/ken+ \"9\"=",
            "To%2Fken%2B+%229%22%3D",
            "To%2Fken%2B%20%229%22%3D",
            "To/ken+ \\\"9\\\"=",
            "VG8va2VuKyAiOSI9",
        ] {
            assert_eq!(secret.masked(&format!("<{form}>")), "<****>", "{form}");
        }
        assert_eq!(Secret::new("a".to_owned()).masked("a man"), "a man");
    }
}
