//! The settings that only Cart.com has: the two ways to sign in, the call limit, and the number of requests.

use std::sync::Arc;

use serde_json::{Map, Value};
use url::Url;

use super::auth::Auth;
use super::client::Client;
use super::rate_limiter::RateLimiter;
use super::streams::STREAMS;
use crate::config::readers::{FieldErrors, end_date, integer, required_text, start_date, without_line_end};
use crate::config::store_address::AddressSetting;
use crate::config::{ConfigDefinition, ShopConfig, Store};
use crate::http::RetryPolicy;
use crate::http::error::SetupError;
use crate::json::value_kind;
use crate::raw_config::{RawConfig, SettingNames};
use crate::secret::Secret;
use crate::sync::shop::Shop;

/// Base URL of the Central API Router, from the published Python connector.
const ROUTER: &str = "https://public.americommerce.com/api/v1/";

/// Default of `call_limit_percent`: the complete call limit. The store's count shows the calls of other applications,
/// and a sync does not use those.
const DEFAULT_LIMIT_PERCENT: u32 = 100;

/// Default of `max_requests_in_flight`. At 150 ms a response this reads eight pages in the time of one; measured, more
/// gains nothing under the call limit of any plan, and each costs the memory of a page.
const DEFAULT_IN_FLIGHT: u32 = 8;

/// Default of `max_deleted_percent`: a shop rarely deletes more rows between two syncs, and a partial response is
/// usually far shorter.
const DEFAULT_DELETED_PERCENT: u32 = 5;

/// The value of `auth_type` for the token of one store.
pub(super) const TOKEN_TYPE: &str = "SINGLE_STORE_ACCESS_TOKEN";
/// The value of `auth_type` for the Central API Router.
pub(super) const ROUTER_TYPE: &str = "CENTRAL_API_ROUTER";

const AUTH_TYPE: &str = "credentials.auth_type";

/// The router's secret. It may have any characters, since it is never sent.
const USER_SECRET: &str = "user_secret";

/// The settings.
pub(super) static DEFINITION: ConfigDefinition = ConfigDefinition { names: &NAMES, streams: STREAMS, read };

/// The settings, as in `spec.json`. Those in `credentials` are of both ways to sign in: a platform's form may keep
/// values of the one that is not used.
static NAMES: SettingNames = SettingNames {
    executable: super::connector::EXECUTABLE,
    top: &[
        "credentials",
        "start_date",
        "end_date",
        "call_limit_percent",
        "max_requests_in_flight",
        "expand",
        "redact_sensitive_fields",
        "detect_deletions",
        "max_deleted_percent",
    ],
    nested: &[("credentials", &["auth_type", "access_token", "store_name", USER_SECRET, "user_name", "site_id"])],
    secrets: &["credentials.access_token", "credentials.user_secret"],
    example: r#"{"credentials": {…}, "start_date": "2021-01-01T00:00:00Z"}"#,
    variable: "CART_TOKEN",
};

/// The address of a store.
static STORE_NAME: AddressSetting = AddressSetting {
    field: "credentials.store_name",
    instruction: "Enter only the host name, such as `mystore.americommerce.com`",
    domain: "americommerce.com",
    secret: "the token",
};

/// A store of Cart.com.
#[derive(Debug)]
struct CartStore {
    auth: Auth,
    /// `https://host/api/v1/`.
    base: Url,
    /// Maximum share of the call limit (percent).
    limit_percent: u32,
    /// Maximum concurrent requests.
    in_flight: usize,
}

impl Store for CartStore {
    fn secrets(&self) -> Vec<Secret> {
        match &self.auth {
            Auth::Token(secret) | Auth::Router { secret, .. } => vec![secret.clone()],
        }
    }

    fn client(&self, retry_policy: RetryPolicy) -> Result<Arc<dyn Shop>, SetupError> {
        let rate_limiter = RateLimiter::new(self.limit_percent, retry_policy.backoff.window);
        let client = Client::new(self.base.clone(), self.auth.clone(), rate_limiter, self.in_flight, retry_policy)?;
        Ok(Arc::new(client))
    }
}

/// Reads the settings.
fn read(fields: &RawConfig, faults: &mut FieldErrors) -> Option<ShopConfig> {
    let sign_in = sign_in(fields, faults);
    let start = start_date(fields, faults);
    let end = end_date(fields, start, faults);
    let limit_percent = integer(fields, "call_limit_percent", (10, 100), DEFAULT_LIMIT_PERCENT, faults);
    let in_flight = integer(fields, "max_requests_in_flight", (1, 32), DEFAULT_IN_FLIGHT, faults);
    let max_deleted_percent = integer(fields, "max_deleted_percent", (1, 100), DEFAULT_DELETED_PERCENT, faults);
    let (auth, base) = sign_in?;
    let in_flight = usize::try_from(in_flight).unwrap_or(1);
    Some(ShopConfig {
        store: Box::new(CartStore { auth, base, limit_percent, in_flight }),
        start: start?,
        end,
        max_deleted_percent,
        warnings: edge_space(fields).map(str::to_owned).into_iter().collect(),
    })
}

/// Returns a warning if the secret begins or ends with a space, which may have been copied by mistake.
fn edge_space(fields: &RawConfig) -> Option<&'static str> {
    let secret = fields.get("credentials")?.get(USER_SECRET)?.as_str()?;
    let is_router = fields.get("credentials")?.get("auth_type")?.as_str()? == ROUTER_TYPE;
    let secret = without_line_end(secret);
    (is_router && secret.trim() != secret).then_some(
        "`credentials.user_secret` begins or ends with a space, which counts as part of the secret. Remove it if it was copied by mistake.",
    )
}

/// Reads the credentials. Returns them with the base URL that they are for.
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
            let example = "your store's host name, for example `mystore.americommerce.com`";
            let store = text(credentials, "store_name", example, faults);
            let base = store.and_then(|store| base(&store, token.as_deref(), fields, faults));
            Some((Auth::Token(Secret::new(token?)), base?))
        }
        Some(ROUTER_TYPE) => {
            let user = text(credentials, "user_name", "the provisioning user name from Cart.com support", faults);
            let secret = text(credentials, USER_SECRET, "the secret that goes with `user_name`", faults);
            let site_id = text(credentials, "site_id", "`12345`, the PSID of `/store/sitemonitor.aspx`", faults);
            let base = test_router(fields).or_else(|| Url::parse(ROUTER).ok());
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

/// Returns the base URL of a store.
fn base(store: &str, token: Option<&str>, fields: &RawConfig, faults: &mut FieldErrors) -> Option<Url> {
    match STORE_NAME.url(store, token, fields) {
        Ok(url) => {
            let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
            Url::parse(&format!("{}://{}{port}/api/v1/", url.scheme(), url.host_str()?)).ok()
        }
        Err(error) => {
            faults.add(STORE_NAME.field, error.to_string());
            None
        }
    }
}

/// Returns the router that a test names.
#[cfg(feature = "failpoints")]
fn test_router(fields: &RawConfig) -> Option<Url> {
    fields.get("_router_url").and_then(Value::as_str).and_then(|text| Url::parse(text).ok())
}

/// Returns nothing: this build reads no settings of tests.
#[cfg(not(feature = "failpoints"))]
fn test_router(_: &RawConfig) -> Option<Url> {
    None
}

/// Reads a string of the credentials. All except the router's secret are sent in a header, so they must be valid there.
fn text(credentials: &Map<String, Value>, name: &str, example: &str, faults: &mut FieldErrors) -> Option<String> {
    let field = &format!("credentials.{name}");
    let is_user_secret = name == USER_SECRET;
    // Spaces may be part of the secret.
    let trim = if is_user_secret { without_line_end } else { str::trim };
    let value = required_text(credentials.get(name), field, example, trim, faults)?;
    if !is_user_secret && !Auth::is_sendable(&value) {
        faults.add(
            field,
            format!("contains characters that cannot be sent in an HTTP header. Copy it again: {example}."),
        );
        return None;
    }
    Some(value)
}

#[cfg(test)]
mod tests;
