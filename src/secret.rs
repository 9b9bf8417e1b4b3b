//! Secrets, which must not be printed: tokens, keys, signatures.
//!
//! Not `secrecy`: this module removes a secret from other strings, and `secrecy` would wrap this type without replacing
//! it. Erasing memory on drop would not help either, since the parsed config and request headers contain copies.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use url::form_urlencoded::byte_serialize;

/// Minimum length of the beginning of a secret that is masked like the secret: a store that repeats a token of 32
/// characters and cuts it shows at least half of it.
const SHORTEST_CUT: usize = 16;
/// Maximum length of such a beginning. If a longer part of a secret is repeated, its first 128 characters are masked.
const LONGEST_CUT: usize = 128;

/// A secret. `Debug` prints `(secret)`; there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a string.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Returns `text` with this secret replaced, in every form. This is the second defence; the first is that no
    /// message is made from a secret. A very short secret stays: replacing every "a" of a sentence would make it
    /// unreadable.
    pub fn masked(&self, text: &str) -> String {
        if self.0.trim().len() < 4 {
            return text.to_owned();
        }
        self.forms().iter().fold(text.to_owned(), |text, form| text.replace(form.as_str(), "****"))
    }

    /// Returns the secret as it is, in a URL, in Base64, in JSON, in hexadecimal, in other cases, and cut off.
    fn forms(&self) -> Vec<String> {
        // A key may begin or end with a space, which is missing if the store repeats it without.
        let plain = self.0.trim();
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
            plain.to_ascii_uppercase(),
        ];
        let cuts = plain.char_indices().map(|(at, _)| at).filter(|at| (SHORTEST_CUT..=LONGEST_CUT).contains(at));
        for beginning in cuts.filter_map(|at| plain.get(..at)) {
            forms.extend([beginning.to_owned(), beginning.to_ascii_lowercase(), beginning.to_ascii_uppercase()]);
        }
        // The last digit depends on the text after the secret.
        let beginnings = [STANDARD_NO_PAD.encode(plain), URL_SAFE_NO_PAD.encode(plain)];
        forms.extend(beginnings.map(|mut form| {
            form.pop();
            form
        }));
        // The longest first: a shorter one may be a part of it.
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        forms.dedup();
        forms
    }

    /// Returns the secret itself, for signing in.
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
        assert_eq!(Secret::new("  a ".to_owned()).masked("a man"), "a man");
        assert_eq!(Secret::new(" secret ".to_owned()).masked("<secret>"), "<****>");
    }

    #[test]
    fn a_secret_is_replaced_in_other_cases_and_where_it_is_cut_off() {
        let secret = Secret::new("Abcdefghijklmnopqrstuvwxyz012345".to_owned());
        for form in [
            "Abcdefghijklmnopqrstuvwxyz012345",
            "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345",
            "abcdefghijklmnopqrstuvwxyz012345",
            "Abcdefghijklmnopqrstuvwx",
            "ABCDEFGHIJKLMNOPQRSTUVWX",
            "abcdefghijklmnopqrstuvwxyz01234",
            "Abcdefghijklmnop",
        ] {
            assert_eq!(secret.masked(&format!("<{form}>")), "<****>", "{form}");
        }
        assert_eq!(secret.masked("<Abcdefghijklmno>"), "<Abcdefghijklmno>");
        assert!(!Secret::new("é".repeat(40)).masked(&"é".repeat(12)).contains('é'));
    }
}
