//! The settings of a CS-Cart store: its address, the administrator who reads it, and the rows to read.

use std::sync::Arc;

use serde_json::Value;
use url::Url;

use super::auth::Auth;
use super::client::Client;
use super::settings::Settings;
use super::streams::STREAMS;
use crate::config::readers::{FieldErrors, boolean, integer, list, optional_start_date, required_text};
use crate::config::store_address::AddressSetting;
use crate::config::{ConfigDefinition, ShopConfig, Store};
use crate::http::RetryPolicy;
use crate::http::error::SetupError;
use crate::json::value_kind;
use crate::raw_config::{RawConfig, SettingNames};
use crate::secret::Secret;
use crate::sync::shop::Shop;
use crate::timestamp::Timestamp;

/// Default and bounds of `rows_per_request`: a store runs many queries for each complete order. 250 ids are about as
/// many as fit into a URL.
pub(super) const ROWS_PER_REQUEST: (u32, (u32, u32)) = (50, (1, 250));

/// Default and bounds of `max_requests_in_flight`: the web server of the store also serves its visitors.
const IN_FLIGHT: (u32, (u32, u32)) = (1, (1, 4));

/// Types of users (CS-Cart REST API: users): customers, administrators, and the staff of vendors.
const USER_TYPES: [&str; 3] = ["C", "A", "V"];

/// Maximum length of the code of a language, such as `en`.
const LONGEST_LANGUAGE: usize = 8;

/// The settings.
pub(super) static DEFINITION: ConfigDefinition = ConfigDefinition { names: &NAMES, streams: STREAMS, read };

/// The settings, as in `spec.json`.
static NAMES: SettingNames = SettingNames {
    executable: super::connector::EXECUTABLE,
    top: &[
        "store_url",
        "email",
        API_KEY,
        "start_date",
        "user_types",
        "include_incomplete_orders",
        "storefront_ids",
        "language",
        "redact_sensitive_fields",
        "rows_per_request",
        "max_requests_in_flight",
        "rewrite",
    ],
    nested: &[],
    secrets: &[API_KEY],
    example: r#"{"store_url": "https://shop.example.com", "email": "admin@example.com", "api_key": "…"}"#,
    variable: "CS_CART_KEY",
};

const API_KEY: &str = "api_key";

/// The address of a store.
static STORE_URL: AddressSetting = AddressSetting {
    field: "store_url",
    instruction: "Enter the address of the store, such as `https://shop.example.com`",
    domain: "example.com",
    secret: "the API key",
};

impl Store for Settings {
    fn secrets(&self) -> Vec<Secret> {
        vec![self.api_key.clone(), Auth::new(self.email.clone(), self.api_key.clone()).credentials()]
    }

    fn client(&self, retry_policy: RetryPolicy) -> Result<Arc<dyn Shop>, SetupError> {
        Ok(Arc::new(Client::new(self.clone(), retry_policy)?))
    }
}

/// Reads the settings.
fn read(fields: &RawConfig, faults: &mut FieldErrors) -> Option<ShopConfig> {
    let api_key = api_key(fields, faults);
    let base = base(fields, api_key.as_deref(), faults);
    let email = email(fields, faults);
    let start = optional_start_date(fields, faults);
    let user_types = user_types(fields, faults);
    let include_incomplete_orders = boolean(fields, "include_incomplete_orders", false, faults);
    let storefront_ids = storefront_ids(fields, faults);
    let language = language(fields, faults);
    let (usual, bounds) = ROWS_PER_REQUEST;
    let rows_per_request = integer(fields, "rows_per_request", bounds, usual, faults);
    let (usual, bounds) = IN_FLIGHT;
    let concurrency = integer(fields, "max_requests_in_flight", bounds, usual, faults);
    let rewrite = boolean(fields, "rewrite", true, faults);
    let size = |number: u32| usize::try_from(number).unwrap_or(1);
    let settings = Settings {
        base: base?,
        email: email?,
        api_key: Secret::new(api_key?),
        rewrite,
        user_types,
        include_incomplete_orders,
        storefront_ids,
        language,
        rows_per_request: size(rows_per_request),
        concurrency: size(concurrency),
    };
    Some(ShopConfig {
        store: Box::new(settings),
        // No store is older than UNIX time, in which it counts.
        start: start.unwrap_or(Timestamp::from_unix_seconds(0)),
        end: None,
        // Deleted rows are not looked for.
        max_deleted_percent: 100,
        warnings: Vec::new(),
    })
}

/// Reads the API key.
fn api_key(fields: &RawConfig, faults: &mut FieldErrors) -> Option<String> {
    let example = "the key from the tab API access of the administrator";
    let key = required_text(fields.get(API_KEY), API_KEY, example, str::trim, faults)?;
    if key.contains(|character: char| character.is_whitespace() || character.is_control()) {
        faults.add(API_KEY, format!("contains a space. Copy it again: {example}."));
        return None;
    }
    Some(key)
}

/// Reads the e-mail address. It is not shown in messages, since it may be a secret in the wrong field.
fn email(fields: &RawConfig, faults: &mut FieldErrors) -> Option<String> {
    let example = "the e-mail address of the administrator, for example `admin@example.com`";
    let email = required_text(fields.get("email"), "email", example, str::trim, faults)?;
    // Basic authentication ends the name at the first colon.
    let is_part = |character: char| !character.is_whitespace() && !character.is_control() && character != ':';
    if !email.contains('@') || !email.chars().all(is_part) {
        faults.add("email", format!("is not an e-mail address. Enter {example}."));
        return None;
    }
    Some(email)
}

/// Reads the address of the store.
fn base(fields: &RawConfig, api_key: Option<&str>, faults: &mut FieldErrors) -> Option<Url> {
    let example = "the address of the store, for example `https://shop.example.com`";
    let store = required_text(fields.get(STORE_URL.field), STORE_URL.field, example, str::trim, faults)?;
    match STORE_URL.url(&store, api_key, fields) {
        Ok(url) => Some(store_folder(url)),
        Err(error) => {
            faults.add(STORE_URL.field, error.to_string());
            None
        }
    }
}

/// Returns the address of the folder that a store is in, from the address of any page of the store or of its API.
fn store_folder(mut url: Url) -> Url {
    let is_folder =
        |part: &&str| !part.is_empty() && *part != "api" && !part.ends_with(".php") && !part.ends_with(".html");
    let folders: Vec<&str> = url.path_segments().into_iter().flatten().take_while(is_folder).collect();
    let path = if folders.is_empty() { "/".to_owned() } else { format!("/{}/", folders.join("/")) };
    url.set_path(&path);
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// Reads the types of the users to read, each once.
fn user_types(fields: &RawConfig, faults: &mut FieldErrors) -> Vec<String> {
    let name = "user_types";
    let Some(entries) = list(fields, name, "`[\"C\"]`", faults) else { return vec!["C".to_owned()] };
    let mut types: Vec<String> = Vec::new();
    for entry in entries {
        let chosen = entry.as_str().map(|text| text.trim().to_ascii_uppercase());
        match chosen.filter(|chosen| USER_TYPES.contains(&chosen.as_str())) {
            Some(chosen) if types.contains(&chosen) => {}
            Some(chosen) => types.push(chosen),
            None => {
                let problem = "must be a list of `C` (customers), `A` (administrators) and `V` (staff of vendors), such as `[\"C\"]`.";
                faults.add(name, problem);
                return types;
            }
        }
    }
    if types.is_empty() {
        faults.add(name, "is empty. Enter at least one type, such as `[\"C\"]`.");
    }
    types
}

/// Reads the numbers of the storefronts to read, each once.
fn storefront_ids(fields: &RawConfig, faults: &mut FieldErrors) -> Vec<u64> {
    let name = "storefront_ids";
    let mut ids: Vec<u64> = Vec::new();
    for entry in list(fields, name, "`[1, 2]`", faults).into_iter().flatten() {
        // An id may be written as a string: responses of the store do so.
        let id = entry.as_u64().or_else(|| entry.as_str().and_then(|text| text.trim().parse().ok()));
        match id.filter(|id| *id > 0) {
            Some(id) if ids.contains(&id) => {}
            Some(id) => ids.push(id),
            None => {
                faults.add(name, "must be a list of whole numbers above 0, such as `[1, 2]`.");
                return ids;
            }
        }
    }
    ids
}

/// Reads the code of the language; empty for the store's default language.
fn language(fields: &RawConfig, faults: &mut FieldErrors) -> String {
    let name = "language";
    let is_part = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
    match fields.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) if text.trim().len() <= LONGEST_LANGUAGE && text.trim().chars().all(is_part) => {
            text.trim().to_owned()
        }
        Some(Value::String(text)) => {
            faults.add(name, format!("(`{}`) is not the code of a language, such as `en`.", fields.shown(name, text)));
            String::new()
        }
        Some(other) => {
            faults.add(name, format!("must be a string such as `en`, not {}.", value_kind(other)));
            String::new()
        }
    }
}

#[cfg(test)]
mod tests;
