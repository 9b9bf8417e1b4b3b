//! The connector for CS-Cart and Multi-Vendor: the executable `source-cs-cart`.

use std::num::NonZeroUsize;

use super::config::DEFINITION;
use super::help::{HELP, OVERRIDES};
use super::privileges::of::{Stores, Vendors};
use super::streams::{STREAMS, SUGGESTED, VERSION};
use crate::connector::{CheckTerms, Connector, Interview, Question, Refusal, SignIn, Terms};

/// Name of the executable.
pub(super) const EXECUTABLE: &str = "source-cs-cart";

/// The connector for CS-Cart and Multi-Vendor.
pub static CS_CART: Connector = Connector {
    executable: EXECUTABLE,
    version: concat!("source-cs-cart ", env!("CARGO_PKG_VERSION")),
    config_variable: "SOURCE_CS_CART_CONFIG",
    // By default there is one request at a time. Measured with 20,000 orders: 0.75 times the time of two threads.
    worker_threads: Some(NonZeroUsize::MIN),
    streams: STREAMS,
    suggested: SUGGESTED,
    spec: include_str!("spec.json"),
    settings: &DEFINITION,
    overrides: OVERRIDES,
    help: HELP,
    interview: INTERVIEW,
    // Any administrator may read it, so it tells a wrong key from a missing privilege.
    first_probe: Some(&VERSION),
    terms: TERMS,
};

const INTERVIEW: Interview = Interview {
    sign_in: SignIn {
        auth_type: None,
        questions: &[
            Question::new(
                "store_url",
                "Address of the store, with its folder if it is in one, for example https://shop.example.com",
            ),
            Question::new("email", "E-mail address of the administrator"),
            Question { hidden: true, ..Question::new("api_key", "API key (not shown)") },
        ],
        credentials: &["email", "api_key"],
        address: &["store_url"],
    },
    other_sign_in: None,
    start: Question {
        // Before the first version of CS-Cart: all rows.
        usual: "2000-01-01T00:00:00Z",
        ..Question::new("start_date", "Start date: only orders and products updated on or after it are read")
    },
};

const TERMS: Terms = Terms {
    address: "`store_url`",
    secret: "The API key",
    support: "the administrator of the store",
    other_address: "the address that a browser shows for the store",
    total: "`total_items`",
    objects_are_optional: true,
    advice,
    check: CheckTerms {
        permission: "privilege",
        later: "to see whether a privilege is missing",
        lacking: (
            "The administrator lacks",
            "so their streams cannot be read. Leave these streams out of the sync, or add the privileges to a user group of the administrator.",
        ),
        untested: "Could not test whether the administrator has",
        missing: "add the privilege",
        nothing_found: "Check `store_url`, with the folder that the store is in; if its web server has no URL rewriting, set `rewrite` to false.",
        all_rejected: "denied every tested object (HTTP 403). Use the account of an administrator, since a vendor's account does not work, and add at least one of the privileges",
        undated: Some("CS-Cart has it since about version 4.13"),
    },
};

/// Returns what to do about a status.
fn advice(refusal: &Refusal<'_>) -> String {
    let scope = refusal.stream.map(|stream| stream.scope);
    match refusal.status {
        401 => "Check `email` and `api_key`, and that this administrator may use the API (Customers or Users > Administrators, tab API access). If all are right, the web server may not pass the header `Authorization` on to PHP: ask its host.".to_owned(),
        403 => match scope {
            Some(scope) => format!(
                "Add the privilege `{}` to a user group of the administrator. A vendor's account does not work.",
                scope.name()
            ),
            None => "Use the account of an administrator, since a vendor's account does not work, and an address with `https://`.".to_owned(),
        },
        429 => "Run the sync again later, or ask the host of the store to allow more requests.".to_owned(),
        _ => match refusal.stream.and_then(|stream| stream.add_on) {
            Some(add_on) => format!(
                "The store may lack the add-on `{add_on}`: install it, or leave the stream out of the sync."
            ),
            None if scope == Some(Vendors) => "Only Multi-Vendor has it: leave the stream out of the sync.".to_owned(),
            None if scope == Some(Stores) => "Only CS-Cart has it, not Multi-Vendor: leave the stream out of the sync.".to_owned(),
            None => "Check `store_url` and `rewrite`. If other streams work, the version of the store is too old for this one: leave it out of the sync.".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn every_required_setting_is_asked_and_no_other() {
        let spec: Value = serde_json::from_str(CS_CART.spec).unwrap();
        let schema = &spec["connectionSpecification"];
        let asked: Vec<&str> = INTERVIEW.sign_in.questions.iter().map(|question| question.field).collect();
        assert_eq!(schema["required"], json!(asked));
        for question in INTERVIEW.sign_in.questions {
            assert_eq!(question.hidden, schema["properties"][question.field]["airbyte_secret"] == true);
        }
    }

    #[test]
    fn each_status_has_an_advice() {
        let advice = |status: u16, name: &str| super::advice(&Refusal { status, stream: CS_CART.find(name) });
        let mut all = vec![advice(401, ""), advice(403, ""), advice(403, "shipments"), advice(429, "")];
        all.extend(["", "users", "vendors", "stores", "call_requests"].map(|name| advice(404, name)));
        insta::assert_snapshot!(all.join("\n"));
    }
}
