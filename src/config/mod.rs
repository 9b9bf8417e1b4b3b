//! Parses and checks the configuration. No HTTP, no messages.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};
use url::{Host, Url};

use crate::cart::Auth;
use crate::cart::streams::STREAMS;
use crate::json::value_kind;
use crate::raw_config::{FieldError, RawConfig};
use crate::record_options::RecordOptions;
use crate::secret::Secret;
use crate::suggest::suggestions;
use crate::timestamp::{Timestamp, Unreadable};

/// Base URL of the Central API Router, from the published Python connector.
const ROUTER: &str = "https://public.americommerce.com/api/v1/";

/// Default of `call_limit_percent`: the complete call limit. The store's count shows the calls of other applications,
/// and a sync does not use those.
const DEFAULT_LIMIT_PERCENT: u64 = 100;

/// Default of `max_requests_in_flight`. At 150 ms a response this reads eight pages in the time of one; measured, more
/// gains nothing under the call limit of any plan, and each costs the memory of a page.
const DEFAULT_IN_FLIGHT: u64 = 8;

/// Default of `max_deleted_percent`: a shop rarely deletes more rows between two syncs, and a partial response is
/// usually far shorter.
const DEFAULT_DELETED_PERCENT: u64 = 5;

/// A checked configuration.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Sign-in.
    pub auth: Auth,
    /// `https://host/api/v1/`.
    pub base: Url,
    /// Rows updated on or after this are read.
    pub start: Timestamp,
    /// Rows updated before this are read.
    pub end: Option<Timestamp>,
    /// Maximum share of the call limit (percent).
    pub limit_percent: u32,
    /// Maximum concurrent requests.
    pub in_flight: usize,
    /// Settings about records.
    pub record_options: RecordOptions,
    /// Maximum share of a stream's rows that may be deleted between two syncs (percent).
    pub max_deleted_percent: u32,
    /// Settings that only tests have.
    pub test_settings: TestSettings,
    /// A sentence for each setting that is allowed but looks like a mistake.
    pub warnings: Vec<String>,
}

impl Config {
    /// Returns its secrets, to be masked in all output.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        match &self.auth {
            Auth::Token(secret) | Auth::Router { secret, .. } => vec![secret.clone()],
        }
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    /// All faults, each with the field and a right example.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Vec<FieldError>> {
        let fields = RawConfig::parse(text).map_err(|fault| vec![fault])?;
        let mut faults = FieldErrors::default();
        let sign_in = sign_in(&fields, &mut faults);
        let start = date(&fields, "start_date", "2021-01-01T00:00:00Z", &mut faults);
        if start.is_none() && fields.lacks("start_date") {
            faults.add(
                "start_date",
                "is missing. Enter the date from which to read changes, such as `2021-01-01T00:00:00Z`.",
            );
        }
        let end = date(&fields, "end_date", "2022-01-01T00:00:00Z", &mut faults);
        if let (Some(start), Some(end)) = (start, end)
            && end <= start
        {
            faults.add("end_date", format!(
                "({end}) is not after `start_date` ({start}). Enter a later date, or leave `end_date` out to read up to now."
            ));
        }
        let limit_percent = integer_setting(&fields, "call_limit_percent", 10, 100, DEFAULT_LIMIT_PERCENT, &mut faults);
        let in_flight = integer_setting(&fields, "max_requests_in_flight", 1, 32, DEFAULT_IN_FLIGHT, &mut faults);
        let deleted_percent =
            integer_setting(&fields, "max_deleted_percent", 1, 100, DEFAULT_DELETED_PERCENT, &mut faults);
        let mut warnings = unknown(&fields);
        warnings
            .extend(start.filter(|start| Timestamp::from_system(SystemTime::now()).is_some_and(|now| *start > now)).map(
            |start| {
                format!(
                    "`start_date` ({start}) is in the future. Until then, only rows without an update date are read."
                )
            },
        ));
        warnings.extend(edge_space(&fields).map(str::to_owned));
        let faults = fields.all_faults(faults.0, |field| !RecordOptions::reads(field));
        match (RecordOptions::parse(&fields, STREAMS), sign_in, start) {
            (Ok(record_options), Some((auth, base)), Some(start)) if faults.is_empty() => Ok(Self {
                auth,
                base,
                start,
                end,
                limit_percent: u32::try_from(limit_percent).unwrap_or(100),
                in_flight: usize::try_from(in_flight).unwrap_or(1),
                record_options,
                max_deleted_percent: u32::try_from(deleted_percent).unwrap_or(1),
                test_settings: TestSettings::of(&fields),
                warnings,
            }),
            (record_options, ..) => Err(faults.into_iter().chain(record_options.err().into_iter().flatten()).collect()),
        }
    }
}

/// Settings, as in `spec.json`.
const FIELDS: [&str; 9] = [
    "credentials",
    "start_date",
    "end_date",
    "call_limit_percent",
    "max_requests_in_flight",
    "expand",
    "redact_sensitive_fields",
    "detect_deletions",
    "max_deleted_percent",
];

/// Settings in `credentials`, of both ways to sign in: a platform's form may keep values of the one that is not used.
const CREDENTIALS: [&str; 6] = ["auth_type", "access_token", "store_name", USER_SECRET, "user_name", "site_id"];

/// The router's secret. It may have any characters, since it is never sent.
const USER_SECRET: &str = "user_secret";

/// Returns a sentence for each field that is not a setting, with a similar setting as a suggestion. Names that begin
/// with `_` are ignored: users and platforms may add notes under them.
pub(crate) fn unknown(fields: &RawConfig) -> Vec<String> {
    let inside = fields.get("credentials").and_then(Value::as_object).into_iter().flatten();
    let top = fields.names().map(|name| ("", name, &FIELDS[..]));
    let inside = inside.map(|(name, _)| ("credentials.", name.as_str(), &CREDENTIALS[..]));
    let is_unknown = |(_, name, known): &(&str, &str, &[&str])| !name.starts_with('_') && !known.contains(name);
    top.chain(inside)
        .filter(is_unknown)
        .map(|(path, name, known)| {
            let hint = match suggestions(name, known.iter().copied()).first() {
                Some(near) => format!("Did you mean `{path}{near}`?"),
                None => "Run `source-cart spec` to list the settings.".to_owned(),
            };
            let name = fields.shown("", name);
            format!("The config contains `{path}{name}`, which is not a setting and has no effect. {hint}")
        })
        .collect()
}

/// Returns a warning if the secret begins or ends with a space, which may have been copied by mistake.
fn edge_space(fields: &RawConfig) -> Option<&'static str> {
    let secret = fields.get("credentials")?.get(USER_SECRET)?.as_str()?;
    let is_router = fields.get("credentials")?.get("auth_type")?.as_str()? == ROUTER_TYPE;
    let secret = secret.trim_end_matches(LINE_ENDS);
    (is_router && secret.trim() != secret).then_some(
        "`credentials.user_secret` begins or ends with a space, which counts as part of the secret. Remove it if it was copied by mistake.",
    )
}

/// Characters that editors and shells add after a secret. No secret ends with them.
const LINE_ENDS: [char; 2] = ['\r', '\n'];

#[derive(Default)]
struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    fn add(&mut self, field: &str, problem: impl Into<String>) {
        self.0.push(FieldError::new(field, problem));
    }
}

/// Reads a date of the config; a day alone means its midnight in UTC.
///
/// # Errors
/// [`Unreadable`] if it is not a date.
pub(crate) fn instant(text: &str) -> Result<Timestamp, Unreadable> {
    match Timestamp::parse(text.as_bytes()) {
        Err(Unreadable::Form) => Timestamp::parse(format!("{text}T00:00:00Z").as_bytes()),
        other => other,
    }
}

/// Reads a setting that is a date.
fn date(fields: &RawConfig, name: &str, example: &str, faults: &mut FieldErrors) -> Option<Timestamp> {
    let text = match fields.get(name) {
        None | Some(Value::Null) => return None,
        // Platforms send an empty string for an empty field of a form.
        Some(Value::String(text)) if text.trim().is_empty() && name != "start_date" => return None,
        Some(Value::String(text)) => text.trim(),
        Some(other) => {
            faults.add(name, format!("must be a string such as `{example}`, not {}.", value_kind(other)));
            return None;
        }
    };
    match instant(text) {
        Ok(instant) => Some(instant),
        Err(Unreadable::NoOffset) => {
            faults.add(
                name,
                format!("(`{}`) has no time zone. Add `Z` for UTC, such as `{example}`.", fields.shown(name, text)),
            );
            None
        }
        Err(Unreadable::Form) => {
            let shown = fields.shown(name, text);
            faults.add(name, format!("(`{shown}`) is not a date and time. Write it like `{example}`."));
            None
        }
    }
}

fn integer_setting(
    fields: &RawConfig,
    name: &str,
    least: u64,
    most: u64,
    default: u64,
    faults: &mut FieldErrors,
) -> u64 {
    match fields.get(name) {
        None | Some(Value::Null) => default,
        Some(value) => match as_integer(value).filter(|number| (least..=most).contains(number)) {
            Some(number) => number,
            None => {
                faults.add(name, format!("must be a whole number from {least} to {most}, such as {default}."));
                default
            }
        },
    }
}

/// Returns the value of an integer. `80.0` counts as one, as in JSON Schema.
fn as_integer(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let text = value.as_number()?.to_string();
        let (number, fraction) = text.split_once('.')?;
        fraction.bytes().all(|byte| byte == b'0').then(|| number.parse().ok())?
    })
}

/// Settings that only tests have; builds without the feature `failpoints` read none.
#[derive(Clone, Debug, Default)]
pub(crate) struct TestSettings {
    /// Time for which a request is retried; `None` for the default.
    pub retry: Option<Duration>,
    /// Time limit of one attempt; `None` for the default.
    pub timeout: Option<Duration>,
    /// Base URL of the Central API Router; `None` for the public one.
    router: Option<Url>,
}

impl TestSettings {
    #[cfg(feature = "failpoints")]
    fn of(fields: &RawConfig) -> Self {
        let seconds = |name| fields.get(name).and_then(Value::as_u64).map(Duration::from_secs);
        let router = fields.get("_router_url").and_then(Value::as_str);
        Self {
            retry: seconds("_retry_seconds"),
            timeout: seconds("_timeout_seconds"),
            router: router.and_then(|text| Url::parse(text).ok()),
        }
    }

    #[cfg(not(feature = "failpoints"))]
    fn of(_: &RawConfig) -> Self {
        Self::default()
    }
}

pub(crate) const TOKEN_TYPE: &str = "SINGLE_STORE_ACCESS_TOKEN";
pub(crate) const ROUTER_TYPE: &str = "CENTRAL_API_ROUTER";

const AUTH_TYPE: &str = "credentials.auth_type";
const STORE: &str = "credentials.store_name";

fn sign_in(fields: &RawConfig, faults: &mut FieldErrors) -> Option<(Auth, Url)> {
    let credentials = match fields.get("credentials") {
        Some(Value::Object(credentials)) => credentials,
        None | Some(Value::Null) => {
            faults.add("credentials", format!(
                "are missing. Enter an object with `auth_type` `{TOKEN_TYPE}`, `access_token` and `store_name`, or with `auth_type` `{ROUTER_TYPE}`, `user_name`, `user_secret` and `site_id`."
            ));
            return None;
        }
        Some(other) => {
            faults.add("credentials", format!("must be an object with an `auth_type`, not {}.", value_kind(other)));
            return None;
        }
    };
    match credentials.get("auth_type").and_then(Value::as_str) {
        Some(TOKEN_TYPE) => {
            let token = text(credentials, "access_token", "the token from your store's admin console", faults);
            let store = text(
                credentials,
                "store_name",
                "your store's host name, for example `mystore.americommerce.com`",
                faults,
            );
            let base = store.and_then(|store| {
                // A short token may occur in a host name by chance.
                let is_own = |word: &str| {
                    word.len() >= MIXED_TOKEN_LENGTH
                        && token.as_deref().is_some_and(|token| word.eq_ignore_ascii_case(token))
                };
                let is_token = |word: &str| is_like_token(word) || is_own(word) || word.split('.').any(is_own);
                let shown = |text: &str| Some(fields.shown(STORE, text)).filter(|shown| !words(shown).any(&is_token));
                store_base(&store, shown, is_token).map_err(|error| faults.add(STORE, error.to_string())).ok()
            });
            Some((Auth::Token(Secret::new(token?)), base?))
        }
        Some(ROUTER_TYPE) => {
            let user = text(credentials, "user_name", "the provisioning user name from Cart.com support", faults);
            let secret = text(credentials, USER_SECRET, "the secret that goes with `user_name`", faults);
            let site_id = text(credentials, "site_id", "`12345`, the PSID of `/store/sitemonitor.aspx`", faults);
            let base = TestSettings::of(fields).router.or_else(|| Url::parse(ROUTER).ok());
            Some((Auth::Router { user: user?, secret: Secret::new(secret?), site_id: site_id? }, base?))
        }
        Some(other) => {
            let shown = fields.shown(AUTH_TYPE, other);
            faults.add(AUTH_TYPE, format!("(`{shown}`) is unknown. Use `{TOKEN_TYPE}` or `{ROUTER_TYPE}`."));
            None
        }
        None => {
            faults.add(AUTH_TYPE, format!("is missing. Use `{TOKEN_TYPE}` or `{ROUTER_TYPE}`."));
            None
        }
    }
}

/// Reads a string of the credentials. All except the router's secret are sent in a header, so they must be valid there.
fn text(credentials: &Map<String, Value>, name: &str, example: &str, faults: &mut FieldErrors) -> Option<String> {
    let field = &format!("credentials.{name}");
    let value = match credentials.get(name) {
        // Spaces may be part of the secret.
        Some(Value::String(text)) if name == USER_SECRET => text.trim_end_matches(LINE_ENDS).to_owned(),
        Some(Value::String(text)) => text.trim().to_owned(),
        // A site id may be written as a number.
        Some(Value::Number(number)) if number.is_u64() => number.to_string(),
        None | Some(Value::Null) => {
            faults.add(field, format!("is missing. Enter {example}."));
            return None;
        }
        Some(other) => {
            faults.add(field, format!("must be a string, not {}. Enter {example}.", value_kind(other)));
            return None;
        }
    };
    if value.trim().is_empty() {
        faults.add(field, format!("is empty. Enter {example}."));
        return None;
    }
    if name != USER_SECRET && !Auth::is_sendable(&value) {
        faults.add(
            field,
            format!("contains characters that cannot be sent in an HTTP header. Copy it again: {example}."),
        );
        return None;
    }
    Some(value)
}

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

/// Returns the words of what was pasted as the store's name.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| {
        character.is_whitespace() || character.is_control() || "/:@?#&=,;\"'`<>".contains(character)
    })
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

/// The instruction in messages about the name of a store.
const STORE_EXAMPLE: &str = "Enter only the host name, such as `mystore.americommerce.com`";

/// The reason why a store's name is not valid. Its message is the rest of a sentence that begins with the field.
#[derive(Debug, thiserror::Error)]
enum StoreNameError {
    /// It may be a token, so it is not shown.
    #[error("is not a host name and looks like a token. {}.", STORE_EXAMPLE)]
    LikeToken,
    #[error("contains a user name or password. {}.", STORE_EXAMPLE)]
    SignIn,
    /// The host has no domain, such as `mystore`.
    #[error("(`{store}`) is not a full host name. Enter it in full, such as `{host}.americommerce.com`.")]
    NotFull { store: String, host: String },
    #[error("(`{store}`) {problem}. {}.", STORE_EXAMPLE)]
    Invalid { store: String, problem: &'static str },
}

/// Returns the base URL of a store, from a host that was entered with or without scheme, port, slash or path. `shown`
/// returns a string in the form for messages, or `None` if it may be a secret. `is_token` returns true for a word that
/// may be a token.
fn store_base(
    store: &str,
    shown: impl Fn(&str) -> Option<String>,
    is_token: impl Fn(&str) -> bool,
) -> Result<Url, StoreNameError> {
    let bad =
        |problem| shown(store).map_or(StoreNameError::LikeToken, |store| StoreNameError::Invalid { store, problem });
    if store.contains(char::is_whitespace) {
        return Err(bad("contains a space"));
    }
    let with_scheme = if store.contains("://") { store.to_owned() } else { format!("https://{store}") };
    let url = Url::parse(&with_scheme).map_err(|_| bad("is not a host name"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(StoreNameError::SignIn);
    }
    let Some(host) = url.host() else { return Err(bad("is not a host name")) };
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&host) => {}
        "http" => return Err(bad("begins with `http://`, which would send the token unencrypted")),
        _ => return Err(bad("begins with a scheme that is not `https://`")),
    }
    if let Host::Domain(name) = &host
        && !is_loopback(&host)
    {
        if is_token(name) {
            return Err(StoreNameError::LikeToken);
        }
        if !name.contains('.') {
            return Err(match (shown(store), shown(name)) {
                (Some(store), Some(host)) => StoreNameError::NotFull { store, host },
                _ => StoreNameError::LikeToken,
            });
        }
    }
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    Url::parse(&format!("{}://{host}{port}/api/v1/", url.scheme())).map_err(|_| bad("is not a host name"))
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

#[cfg(test)]
mod tests;
