//! The configuration file, parsed into what the rest of the program works with: nothing behind this
//! file sees a text that was not checked. No HTTP, no messages.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};
use url::{Host, Url};

use crate::cart::Auth;
use crate::raw_config::{FieldError, RawConfig, kind};
use crate::record_options::RecordOptions;
use crate::secret::Secret;
use crate::suggest::suggestions;
use crate::timestamp::{Timestamp, Unreadable};

/// Base URL of the Central API Router, from the published Python connector.
const ROUTER: &str = "https://public.americommerce.com/api/v1/";

/// The most of the call limit that is used when nothing is configured, in percent: all of it, since what the
/// merchant's other applications use is seen in the store's count and left to them.
const DEFAULT_LIMIT_PERCENT: u64 = 100;

/// Requests side by side when none are configured. At 150 ms an answer this reads eight pages in the
/// time of one; measured, more gains nothing under the limits of any plan and costs a page of memory each.
const DEFAULT_IN_FLIGHT: u64 = 8;

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// How to sign in.
    pub auth: Auth,
    /// `https://host/api/v1/`.
    pub base: Url,
    /// First instant of change that is read.
    pub start: Timestamp,
    /// First instant of change that is no longer read.
    pub end: Option<Timestamp>,
    /// Percent of the call limit.
    pub limit_percent: u32,
    /// Requests side by side.
    pub in_flight: usize,
    /// What is asked of the records.
    pub record_options: RecordOptions,
    /// Settings that only tests have.
    pub test_settings: TestSettings,
    /// What is allowed and looks like a mistake, a sentence each.
    pub warnings: Vec<String>,
}

impl Config {
    /// The secrets in it, to be kept out of every text.
    #[must_use]
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        match &self.auth {
            Auth::Token(secret) | Auth::Router { secret, .. } => vec![secret.clone()],
        }
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    /// Each fault: the field, what is wrong with it, a right example.
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
        match (RecordOptions::parse(&fields), sign_in, start) {
            (Ok(record_options), Some((auth, base)), Some(start)) if faults.is_empty() => Ok(Self {
                auth,
                base,
                start,
                end,
                limit_percent: u32::try_from(limit_percent).unwrap_or(100),
                in_flight: usize::try_from(in_flight).unwrap_or(1),
                record_options,
                test_settings: TestSettings::of(&fields),
                warnings,
            }),
            (record_options, ..) => Err(faults.into_iter().chain(record_options.err().into_iter().flatten()).collect()),
        }
    }
}

/// The fields of a config.
const FIELDS: [&str; 7] = [
    "credentials",
    "start_date",
    "end_date",
    "call_limit_percent",
    "max_requests_in_flight",
    "expand",
    "redact_sensitive_fields",
];

/// The fields of `credentials`, of both ways to sign in: a form keeps those of the other one.
const CREDENTIALS: [&str; 6] = ["auth_type", "access_token", "store_name", USER_SECRET, "user_name", "site_id"];

/// The secret of the router, which may hold any characters: it never travels.
const USER_SECRET: &str = "user_secret";

/// Returns a sentence for each field that means nothing, with the nearest one that does. A name that begins with `_` is
/// a note of the user's or the platform's.
#[must_use]
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

/// Says that a secret begins or ends with a space, which may have been copied along with it.
fn edge_space(fields: &RawConfig) -> Option<&'static str> {
    let secret = fields.get("credentials")?.get(USER_SECRET)?.as_str()?;
    let is_router = fields.get("credentials")?.get("auth_type")?.as_str()? == ROUTER_TYPE;
    let secret = secret.trim_end_matches(LINE_ENDS);
    (is_router && secret.trim() != secret).then_some(
        "`credentials.user_secret` begins or ends with a space, which counts as part of the secret. Remove it if it was copied by mistake.",
    )
}

/// What editors and shells put behind a secret, and no secret ends with.
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
/// [`Unreadable`] if it is none.
pub(crate) fn instant(text: &str) -> Result<Timestamp, Unreadable> {
    match Timestamp::parse(text.as_bytes()) {
        Err(Unreadable::Form) => Timestamp::parse(format!("{text}T00:00:00Z").as_bytes()),
        other => other,
    }
}

/// A date of the config. A day alone means its midnight in UTC.
fn date(fields: &RawConfig, name: &str, example: &str, faults: &mut FieldErrors) -> Option<Timestamp> {
    let text = match fields.get(name) {
        None | Some(Value::Null) => return None,
        // A form left empty on a platform arrives as an empty text.
        Some(Value::String(text)) if text.trim().is_empty() && name != "start_date" => return None,
        Some(Value::String(text)) => text.trim(),
        Some(other) => {
            faults.add(name, format!("must be a string such as `{example}`, not {}.", kind(other)));
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

/// A whole number; `80.0` is one, as JSON schemas have it.
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
    /// How long a request is retried, if not as long as usual.
    pub retry: Option<Duration>,
    /// How long one attempt may take, if not as long as usual.
    pub timeout: Option<Duration>,
    /// Base URL of the Central API Router, if not the public one.
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
            faults.add("credentials", format!("must be an object with an `auth_type`, not {}.", kind(other)));
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
                // A short one may be a part of many a name.
                let is_own = |word: &str| {
                    word.len() >= MIXED_TOKEN_LENGTH
                        && token.as_deref().is_some_and(|token| word.eq_ignore_ascii_case(token))
                };
                let is_token = |word: &str| is_like_token(word) || is_own(word) || word.split('.').any(is_own);
                let shown = |text: &str| Some(fields.shown(STORE, text)).filter(|shown| !words(shown).any(&is_token));
                store_base(&store, shown, is_token).map_err(|problem| faults.add(STORE, problem)).ok()
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

/// A text of the credentials, which must be able to travel in a header, but for the secret of the router.
fn text(credentials: &Map<String, Value>, name: &str, example: &str, faults: &mut FieldErrors) -> Option<String> {
    let field = &format!("credentials.{name}");
    let value = match credentials.get(name) {
        // It is a key, of which each character counts.
        Some(Value::String(text)) if name == USER_SECRET => text.trim_end_matches(LINE_ENDS).to_owned(),
        Some(Value::String(text)) => text.trim().to_owned(),
        // A site id written as a number is still clear.
        Some(Value::Number(number)) if number.is_u64() => number.to_string(),
        None | Some(Value::Null) => {
            faults.add(field, format!("is missing. Enter {example}."));
            return None;
        }
        Some(other) => {
            faults.add(field, format!("must be a string, not {}. Enter {example}.", kind(other)));
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

/// From this length on, a word without a dot may be a token in the wrong field, and is not shown: tokens have 32
/// characters, the names of stores seldom more than 20.
const TOKEN_LENGTH: usize = 24;

/// From this length on it may be one if letters and digits mix in it.
const MIXED_TOKEN_LENGTH: usize = 12;

/// How tokens of shops and services begin.
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

/// The words of what was pasted as the store's name.
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
        // Of a whole host only a label that no store would choose.
        return word
            .split('.')
            .any(|label| label.len() >= TOKEN_LENGTH && label != word && is_like_token(label) && mixes);
    }
    word.len() >= TOKEN_LENGTH || (word.len() >= MIXED_TOKEN_LENGTH && mixes)
}

/// The base URL of a store, from what a person pastes: a host, with or without scheme, port, slash or path.
/// `shown` gives a text as it may be shown, if it may be; `is_token` says whether a word may be a token.
fn store_base(
    store: &str,
    shown: impl Fn(&str) -> Option<String>,
    is_token: impl Fn(&str) -> bool,
) -> Result<Url, String> {
    const EXAMPLE: &str = "Enter only the host name, such as `mystore.americommerce.com`";
    let token = || format!("is not a host name and looks like a token. {EXAMPLE}.");
    let bad = |what: &str| shown(store).map_or_else(token, |shown| format!("(`{shown}`) {what}. {EXAMPLE}."));
    if store.contains(char::is_whitespace) {
        return Err(bad("contains a space"));
    }
    let with_scheme = if store.contains("://") { store.to_owned() } else { format!("https://{store}") };
    let url = Url::parse(&with_scheme).map_err(|_| bad("is not a host name"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("contains a user name or password. {EXAMPLE}."));
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
            return Err(token());
        }
        if !name.contains('.') {
            return Err(match (shown(store), shown(name)) {
                (Some(store), Some(name)) => {
                    format!(
                        "(`{store}`) is not a full host name. Enter it in full, such as `{name}.americommerce.com`."
                    )
                }
                _ => token(),
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
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn token(store: &str) -> Value {
        json!({"credentials": {"auth_type": TOKEN_TYPE, "access_token": "abc123", "store_name": store}, "start_date": "2021-01-01T00:00:00Z"})
    }

    fn parse(config: &Value) -> Result<Config, Vec<FieldError>> {
        Config::parse(config.to_string().as_bytes())
    }

    fn reported(faults: &[FieldError]) -> String {
        faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    fn faults(config: &Value) -> String {
        reported(&parse(config).unwrap_err())
    }

    #[test]
    fn a_store_is_found_in_whatever_is_pasted() {
        for store in [
            "mystore.americommerce.com",
            " https://MyStore.AmeriCommerce.com/ ",
            "mystore.americommerce.com/store/admin?x=1",
            "HTTPS://mystore.americommerce.com/api/v1/",
        ] {
            assert_eq!(
                parse(&token(store)).unwrap().base.as_str(),
                "https://mystore.americommerce.com/api/v1/",
                "{store}"
            );
        }
        for (store, base) in [
            ("shop.example.com:8443", "https://shop.example.com:8443/api/v1/"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/api/v1/"),
            ("http://[::1]:8080/", "http://[::1]:8080/api/v1/"),
            ("localhost:8080", "https://localhost:8080/api/v1/"),
        ] {
            assert_eq!(parse(&token(store)).unwrap().base.as_str(), base, "{store}");
        }
    }

    #[test]
    fn each_fault_is_one_sentence_with_the_field_and_an_example() {
        let mut config = token("mystore.americommerce.com");
        config["start_date"] = json!("01/02/2021");
        let mut snapshot = vec![faults(&config)];
        for (path, value) in [
            ("/start_date", json!(null)),
            ("/start_date", json!("2021-01-01T00:00:00")),
            ("/start_date", json!(20210101)),
            ("/start_date", json!("")),
            ("/credentials/access_token", json!("")),
            ("/credentials/access_token", json!("a\r\nX-Evil: 1")),
            ("/credentials/access_token", json!(null)),
            ("/credentials/auth_type", json!("OAUTH")),
            ("/credentials/auth_type", json!(null)),
            ("/credentials", json!(null)),
            ("/credentials", json!("token")),
            ("/credentials/store_name", json!("my store.com")),
            ("/credentials/store_name", json!("user:pw@mystore.com")),
            ("/credentials/store_name", json!("http://mystore.com")),
            ("/credentials/store_name", json!("ftp://mystore.com")),
            ("/credentials/store_name", json!("mystore")),
            ("/credentials/store_name", json!("https://")),
            ("/credentials/store_name", json!("0123456789abcdef0123456789abcdef")),
        ] {
            let mut config = token("mystore.americommerce.com");
            *config.pointer_mut(path).unwrap() = value;
            snapshot.push(faults(&config));
        }
        for (name, value) in [
            ("end_date", json!("2020-01-01T00:00:00Z")),
            ("end_date", json!("soon")),
            ("call_limit_percent", json!(5)),
            ("max_requests_in_flight", json!("many")),
        ] {
            let mut config = token("mystore.americommerce.com");
            config[name] = value;
            snapshot.push(faults(&config));
        }
        snapshot.push(faults(&json!({"credentials": {"auth_type": ROUTER_TYPE}})));
        snapshot.push(faults(&json!([])));
        snapshot.push(reported(&Config::parse(b"{\"a\":").unwrap_err()));
        insta::assert_snapshot!(snapshot.join("\n"));
    }

    #[test]
    fn dates_may_have_any_offset_or_be_a_day() {
        let mut config = token("mystore.americommerce.com");
        config["start_date"] = json!("2021-01-01T00:00:00-06:00");
        config["end_date"] = json!("2021-02-01");
        let config = parse(&config).unwrap();
        assert_eq!(config.start.to_string(), "2021-01-01T06:00:00Z");
        assert_eq!(config.end.unwrap().to_string(), "2021-02-01T00:00:00Z");
    }

    #[test]
    fn the_python_connectors_config_works_unchanged() {
        let config = json!({
            "credentials": {"auth_type": ROUTER_TYPE, "user_name": "u", "user_secret": "s", "site_id": 12345},
            "start_date": "2021-01-01T00:00:00Z", "_limit": 10, "unknown": {"key": 1}
        });
        let config = parse(&config).unwrap();
        assert_eq!(config.base.as_str(), ROUTER);
        assert!(matches!(config.auth, Auth::Router { site_id, .. } if site_id == "12345"));
        assert_eq!((config.limit_percent, config.in_flight), (100, 8));
    }

    #[test]
    fn the_specification_has_the_same_settings_types_bounds_and_defaults() {
        let spec: Value = serde_json::from_str(include_str!("../cart/spec.json")).unwrap();
        let schema = &spec["connectionSpecification"];
        let keys = |object: &Value| object.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(keys(&schema["properties"]), FIELDS.map(str::to_owned).into());
        let variants = schema["properties"]["credentials"]["oneOf"].as_array().unwrap();
        let of_variants: BTreeSet<String> = variants.iter().flat_map(|variant| keys(&variant["properties"])).collect();
        assert_eq!(of_variants, CREDENTIALS.map(str::to_owned).into());
        for (variant, auth_type) in variants.iter().zip([TOKEN_TYPE, ROUTER_TYPE]) {
            assert_eq!(variant["properties"]["auth_type"]["const"], auth_type);
            let required: Vec<&str> =
                variant["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            let mut config = token("mystore.americommerce.com");
            config["credentials"] = required.iter().map(|name| ((*name).to_owned(), json!("a.b"))).collect();
            config["credentials"]["auth_type"] = json!(auth_type);
            parse(&config).unwrap();
            for name in required {
                let mut config = config.clone();
                config["credentials"].as_object_mut().unwrap().remove(name);
                assert!(faults(&config).contains(name), "{name}");
            }
        }
        let with = |name: &str, value: &Value| {
            let mut config = token("mystore.americommerce.com");
            config[name] = value.clone();
            config
        };
        let usual = format!("{:?}", parse(&token("mystore.americommerce.com")).unwrap());
        for (name, property) in schema["properties"].as_object().unwrap() {
            let wrong = if property["type"] == "object" { json!(1) } else { json!({}) };
            assert!(faults(&with(name, &wrong)).contains(name.as_str()), "{name} has a type");
            let is_required = schema["required"].as_array().unwrap().contains(&json!(name));
            assert_eq!(parse(&with(name, &Value::Null)).is_err(), is_required, "{name}");
            if let Some(default) = property.get("default") {
                assert_eq!(format!("{:?}", parse(&with(name, default)).unwrap()), usual, "{name} has this default");
            }
            if let (Some(least), Some(most)) = (property["minimum"].as_u64(), property["maximum"].as_u64()) {
                for (value, is_allowed) in [(least - 1, false), (least, true), (most, true), (most + 1, false)] {
                    assert_eq!(parse(&with(name, &json!(value))).is_ok(), is_allowed, "{name} {value}");
                }
            }
        }
    }

    #[test]
    fn no_secret_is_shown_in_a_debug_dump() {
        let config = parse(&token("mystore.americommerce.com")).unwrap();
        assert!(!format!("{config:?}").contains("abc123"));
    }
}
