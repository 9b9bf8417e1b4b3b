//! The address of a store, as it is pasted: with or without a scheme, a path, or a secret in the wrong field.

use url::{Host, Url};

use crate::raw_config::RawConfig;

/// Shortest word without a dot that may be a token in the wrong field, and is not shown: tokens have 32 characters,
/// names of stores seldom more than 20.
const TOKEN_LENGTH: usize = 24;

/// Shortest such word that mixes letters and digits.
const MIXED_TOKEN_LENGTH: usize = 12;

/// Beginnings of tokens of shops and services.
const TOKEN_PREFIXES: [&str; 12] = [
    "shpat_",
    "shpca_",
    "shppa_",
    "shpss_",
    "sk_live_",
    "sk_test_",
    "rk_live_",
    "ghp_",
    "github_pat_",
    "xoxb-",
    "xoxp-",
    "eyj",
];

/// A setting with the address of a store, and what messages about it say.
#[derive(Debug)]
pub(crate) struct AddressSetting {
    /// Path of the setting.
    pub field: &'static str,
    /// The instruction, such as "Enter only the host name, such as `shop.example.com`".
    pub instruction: &'static str,
    /// The domain that an incomplete host may lack.
    pub domain: &'static str,
    /// The secret that would be sent, such as "the token".
    pub secret: &'static str,
}

/// The reason why an address is not valid. Its message is the rest of a sentence that begins with the field.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AddressError {
    /// It may be a token, so it is not shown.
    #[error("is not a host name and looks like a token. {0}.")]
    LikeToken(&'static str),
    #[error("contains a user name or password. {0}.")]
    SignIn(&'static str),
    /// The host has no domain, such as `mystore`.
    #[error("(`{store}`) is not a full host name. Enter it in full, such as `{host}.{domain}`.")]
    NotFull { store: String, host: String, domain: &'static str },
    #[error("(`{store}`) {problem}. {instruction}.")]
    Invalid { store: String, problem: String, instruction: &'static str },
}

impl AddressSetting {
    /// Returns the URL of a store, from an address that was entered with or without scheme, port, slash or path. It has
    /// `https`, or `http` on this machine. `secret` is the secret of the same configuration.
    ///
    /// # Errors
    /// [`AddressError`] if it is not the address of a store.
    pub(crate) fn url(&self, store: &str, secret: Option<&str>, fields: &RawConfig) -> Result<Url, AddressError> {
        let is_token = |word: &str| is_token(word, secret);
        let shown = |text: &str| Some(fields.shown(self.field, text)).filter(|shown| !words(shown).any(is_token));
        let bad = |problem: &str| match shown(store) {
            Some(store) => AddressError::Invalid { store, problem: problem.to_owned(), instruction: self.instruction },
            None => AddressError::LikeToken(self.instruction),
        };
        if store.contains(char::is_whitespace) {
            return Err(bad("contains a space"));
        }
        let with_scheme = if store.contains("://") { store.to_owned() } else { format!("https://{store}") };
        let url = Url::parse(&with_scheme).map_err(|_| bad("is not a host name"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AddressError::SignIn(self.instruction));
        }
        let Some(host) = url.host() else { return Err(bad("is not a host name")) };
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&host) => {}
            "http" => {
                return Err(bad(&format!("begins with `http://`, which would send {} unencrypted", self.secret)));
            }
            _ => return Err(bad("begins with a scheme that is not `https://`")),
        }
        if let Host::Domain(name) = &host
            && !is_loopback(&host)
        {
            if is_token(name) {
                return Err(AddressError::LikeToken(self.instruction));
            }
            if !name.contains('.') {
                return Err(match (shown(store), shown(name)) {
                    (Some(store), Some(host)) => AddressError::NotFull { store, host, domain: self.domain },
                    _ => AddressError::LikeToken(self.instruction),
                });
            }
        }
        Ok(url)
    }
}

/// Returns the words of what was pasted as an address.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| {
        character.is_whitespace() || character.is_control() || "/:@?#&=,;\"'`<>".contains(character)
    })
}

/// Returns true if a word may be a token rather than a host, or is the secret of the same configuration.
fn is_token(word: &str, secret: Option<&str>) -> bool {
    // A short token may occur in a host name by chance.
    let is_own =
        |word: &str| word.len() >= MIXED_TOKEN_LENGTH && secret.is_some_and(|secret| word.eq_ignore_ascii_case(secret));
    is_like_token(word) || is_own(word) || word.split('.').any(is_own)
}

/// Returns true if a word may be a token rather than a host.
fn is_like_token(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    if TOKEN_PREFIXES.iter().any(|prefix| lower.starts_with(prefix)) {
        return true;
    }
    let has = |is: fn(&u8) -> bool| word.as_bytes().iter().any(is);
    let mixes = has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
    if word.contains('.') {
        // A host name is one, unless a label of it looks like a token.
        return word
            .split('.')
            .any(|label| label.len() >= TOKEN_LENGTH && label != word && is_like_token(label) && mixes);
    }
    word.len() >= TOKEN_LENGTH || (word.len() >= MIXED_TOKEN_LENGTH && mixes)
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}
