//! The connector for Cart.com: the executable `source-cart`.

use super::config::{DEFINITION, ROUTER_TYPE, TOKEN_TYPE};
use super::help::{HELP, OVERRIDES};
use super::streams::{STREAMS, SUGGESTED};
use crate::connector::{CheckTerms, Connector, Interview, Question, Refusal, SignIn, Terms};

/// Name of the executable.
pub(super) const EXECUTABLE: &str = "source-cart";

/// The connector for Cart.com.
pub static CART: Connector = Connector {
    executable: EXECUTABLE,
    version: concat!("source-cart ", env!("CARGO_PKG_VERSION")),
    config_variable: "SOURCE_CART_CONFIG",
    worker_threads: None,
    streams: STREAMS,
    suggested: SUGGESTED,
    spec: include_str!("spec.json"),
    settings: &DEFINITION,
    overrides: OVERRIDES,
    help: HELP,
    interview: INTERVIEW,
    first_probe: None,
    terms: TERMS,
};

const INTERVIEW: Interview = Interview {
    sign_in: SignIn {
        auth_type: Some(TOKEN_TYPE),
        questions: &[
            Question::new("credentials.store_name", "Store host name, for example mystore.americommerce.com"),
            Question { hidden: true, ..Question::new("credentials.access_token", "Access token (not shown)") },
        ],
        credentials: &["credentials.access_token"],
        address: &["credentials.store_name"],
    },
    other_sign_in: Some((
        "How do you sign in: with a token of one store (1), or through the Central API Router (2)?",
        SignIn {
            auth_type: Some(ROUTER_TYPE),
            questions: &[
                Question::new("credentials.user_name", "User name from Cart.com support"),
                Question {
                    hidden: true,
                    keeps_spaces: true,
                    ..Question::new("credentials.user_secret", "User secret (not shown)")
                },
                Question::new(
                    "credentials.site_id",
                    "Site ID, the number after PSID on https://{your store}/store/sitemonitor.aspx",
                ),
            ],
            credentials: &["credentials.user_name", "credentials.user_secret", "credentials.site_id"],
            // The router's address is fixed.
            address: &[],
        },
    )),
    start: Question {
        // Before the first store of this platform: all rows.
        usual: "2000-01-01T00:00:00Z",
        ..Question::new("start_date", "Start date: only rows updated on or after it are read")
    },
};

const TERMS: Terms = Terms {
    address: "`store_name`",
    secret: "The token",
    support: "Cart.com support",
    other_address: "the store's SSL host name",
    total: "`total_count`",
    objects_are_optional: false,
    advice,
    check: CheckTerms {
        permission: "scope",
        later: "to see whether the token lacks a scope",
        lacking: (
            "The token lacks",
            "so their streams cannot be read. Leave these streams out of the sync, or create a new token with the missing scopes.",
        ),
        untested: "Could not test whether the token has",
        missing: "create a token with",
        nothing_found: "Check that `store_name` is the host of your Cart.com store.",
        all_rejected: "rejected the credentials (HTTP 401) on every tested resource. Check that the token is complete, was not revoked and belongs to this store, or check the router credentials. A token needs at least one of the scopes",
        undated: None,
    },
};

/// Returns what to do about a status.
fn advice(refusal: &Refusal<'_>) -> String {
    let scope =
        refusal.stream.map_or_else(|| "that it needs".to_owned(), |stream| format!("`{}`", stream.scope.name()));
    match refusal.status {
        401 => format!(
            "Check the token or the router credentials. If other streams work, create a new token with the scope {scope}."
        ),
        403 => format!("Create a new token with the scope {scope}, and check that no firewall blocks this machine."),
        429 => "Run the sync again later, or lower `call_limit_percent`.".to_owned(),
        _ => "Check `store_name`; if it is right, remove the stream from the catalog.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn every_required_setting_is_asked_and_no_other() {
        let spec: Value = serde_json::from_str(CART.spec).unwrap();
        let schema = &spec["connectionSpecification"];
        let other = INTERVIEW.other_sign_in.map(|(_, sign_in)| sign_in);
        for (variant, sign_in) in [Some(INTERVIEW.sign_in), other].into_iter().flatten().enumerate() {
            let variant = &schema["properties"]["credentials"]["oneOf"][variant];
            let required = variant["required"].as_array().unwrap().iter().filter_map(Value::as_str);
            let mut required: Vec<String> = required.map(|name| format!("credentials.{name}")).collect();
            required.retain(|field| field != "credentials.auth_type");
            let mut asked: Vec<&str> = sign_in.questions.iter().map(|question| question.field).collect();
            asked.sort_unstable();
            required.sort_unstable();
            assert_eq!(asked, required);
            assert_eq!(variant["properties"]["auth_type"]["const"], json!(sign_in.auth_type));
            for question in sign_in.questions {
                let field = &variant["properties"][question.field.trim_start_matches("credentials.")];
                assert_eq!(question.hidden, field["airbyte_secret"] == true, "{}", question.field);
            }
        }
        assert_eq!(schema["required"], json!(["credentials", INTERVIEW.start.field]));
    }
}
