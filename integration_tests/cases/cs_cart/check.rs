//! `check`: exactly one result, exit code 0, and a message that says what to do.

use serde_json::{Value, json};

use super::store::{config, config_with, limited, sample, told};
use crate::fake_cs_cart::{Account, Data, Edition, FakeCsCart, Fault, Options, RecordedRequest, Rights, Version};
use crate::harness::command::Command;
use crate::harness::run::Run;
use crate::harness::shop::Shop;

fn check(config: &Value) -> Run {
    let run = Command::of(Shop::CsCart, "check").config(config).run();
    assert_eq!(run.code, Some(0), "{}", run.transcript());
    run
}

fn result(store: &FakeCsCart) -> (String, String) {
    let run = check(&config(store));
    let (status, message) = run.connection_status();
    (status.to_owned(), message.to_owned())
}

fn fails(config: &Value) -> String {
    let run = check(config);
    let (status, message) = run.connection_status();
    assert_eq!(status, "FAILED", "{message}");
    message.to_owned()
}

fn of(edition: Edition, version: Version) -> Options {
    Options { edition, version, ..Options::default() }
}

#[test]
fn the_main_administrator_succeeds_with_one_row_of_each_object() {
    for edition in [Edition::Ultimate, Edition::MultiVendor] {
        for version in [Version::V4_13, Version::V4_20] {
            let store = sample(of(edition, version));
            assert_eq!(result(&store), ("SUCCEEDED".to_owned(), String::new()), "{edition:?} {version:?}");
            let requests = store.requests();
            assert!(requests.len() <= 6, "{}", told(&store));
            let lists: Vec<&RecordedRequest> = requests.iter().filter(|seen| seen.object != "version").collect();
            assert!(lists.iter().all(|seen| seen.param("items_per_page") == Some("1")), "{}", told(&store));
            for object in ["orders", "products", "users"] {
                assert_eq!(lists.iter().filter(|seen| seen.object == object).count(), 1, "{}", told(&store));
            }
            assert_eq!(store.counters().most_at_once, 1);
        }
    }
}

#[test]
fn a_store_without_the_change_date_of_orders_succeeds_and_says_so() {
    for version in [Version::V4_3_9, Version::V4_11] {
        let store = sample(of(Edition::Ultimate, version));
        let (status, message) = result(&store);
        assert_eq!(status, "SUCCEEDED", "{message}");
        assert!(message.contains("`updated_at`") && message.contains("4.13"), "{version:?}: {message}");
        assert!(message.contains("`orders`"), "{message}");
    }
}

#[test]
fn a_missing_privilege_is_named_and_the_rest_works() {
    let cases: [(&[&str], &[&str]); 3] = [
        (&["view_orders"], &["view_catalog", "view_users"]),
        (&["view_catalog", "view_users"], &["view_orders"]),
        (&["view_orders", "view_catalog"], &["view_users"]),
    ];
    for (privileges, missing) in cases {
        let store = limited(privileges);
        let (status, message) = result(&store);
        assert_eq!(status, "SUCCEEDED", "{message}");
        for name in missing {
            assert!(message.contains(name), "{name}: {message}");
        }
        for name in privileges {
            assert!(!message.contains(name), "{name}: {message}");
        }
    }
}

#[test]
fn an_administrator_without_any_privilege_fails() {
    let store = limited(&["view_pages"]);
    let message = fails(&config(&store));
    assert!(["view_orders", "view_catalog", "view_users"].iter().all(|name| message.contains(name)), "{message}");
}

#[test]
fn a_wrong_key_an_unknown_address_and_a_disabled_account_fail() {
    let store = sample(Options::default());
    for (field, value) in [("api_key", "wrong-key-0123456789"), ("email", "nobody@example.com")] {
        let mut config = config(&store);
        config[field] = json!(value);
        let message = fails(&config);
        assert!(message.contains("401") && message.contains("`api_key`") && message.contains("`email`"), "{message}");
    }
    let disabled = Account { rights: Rights::Disabled, ..Account::root() };
    let message = fails(&config(&sample(Options { accounts: vec![disabled], ..Options::default() })));
    assert!(message.contains("401"), "{message}");
}

#[test]
fn a_vendors_account_is_told_which_privileges_it_lacks() {
    let vendor = Account { rights: Rights::Vendor(1), user_id: 3, ..Account::root() };
    let store = sample(Options { accounts: vec![vendor], ..of(Edition::MultiVendor, Version::V4_20) });
    let (status, message) = result(&store);
    assert_eq!(status, "SUCCEEDED", "{message}");
    assert!(message.contains("view_orders") && message.contains("view_users"), "{message}");
}

#[test]
fn url_rewriting_that_is_off_is_named_and_the_setting_helps() {
    let store = sample(Options { rewrite: false, ..Options::default() });
    let message = fails(&config(&store));
    assert!(message.contains("`rewrite`") && message.contains("404"), "{message}");
    let run = check(&config_with(&store, &json!({ "rewrite": false })));
    assert_eq!(run.connection_status(), ("SUCCEEDED", ""));
    // The script also works where the server rewrites URLs.
    let store = sample(Options::default());
    let run = check(&config_with(&store, &json!({ "rewrite": false })));
    assert_eq!(run.connection_status(), ("SUCCEEDED", ""));
}

#[test]
fn a_store_in_a_folder_is_checked_there() {
    let store = sample(Options { folder: "/shop".to_owned(), ..Options::default() });
    assert_eq!(result(&store).0, "SUCCEEDED");
    let without = store.url().replace("/shop", "");
    let message = fails(&config_with(&store, &json!({ "store_url": without })));
    assert!(message.contains("`store_url`"), "{message}");
    for end in ["/", "/api", "/api/2.0/", "/index.php"] {
        // What people copy from their browser or the documentation.
        let config = config_with(&store, &json!({ "store_url": format!("{}{end}", store.url()) }));
        let run = check(&config);
        let (status, message) = run.connection_status();
        assert!(status == "SUCCEEDED" || message.contains("`store_url`"), "{end}: {message}");
        assert!(end != "/" || status == "SUCCEEDED", "{message}");
    }
}

#[test]
fn plain_http_is_refused_by_the_store_and_by_the_config() {
    let store = sample(Options { https_only: true, ..Options::default() });
    let message = fails(&config(&store));
    assert!(message.contains("403"), "{message}");
    let message =
        fails(&json!({ "store_url": "http://shop.example.com", "email": "a@example.com", "api_key": "0123456789" }));
    assert!(message.contains("`store_url`") && message.contains("https"), "{message}");
}

#[test]
fn a_redirect_is_not_followed_and_the_address_is_named() {
    let other = sample(Options::default());
    let store = sample(Options { redirect_to: Some(other.url()), ..Options::default() });
    let message = fails(&config(&store));
    assert!(message.contains(&other.address().to_string()) && message.contains("`store_url`"), "{message}");
    assert!(other.requests().is_empty(), "the key must not travel");
}

#[test]
fn a_web_page_a_firewall_and_a_store_that_is_down_fail() {
    type Make = fn() -> Fault;
    let cases: [(Make, &str); 4] = [
        (|| Fault::html(200), "not JSON"),
        (|| Fault::html(403), "firewall"),
        (|| Fault::html(429), "firewall"),
        (|| Fault::html(503), "503"),
    ];
    for (fault, named) in cases {
        let fault = move |_: &RecordedRequest| Some(fault());
        let store = sample(Options { fault: Some(Box::new(fault)), ..Options::default() });
        let message = fails(&config_with(&store, &json!({ "_retry_seconds": 1 })));
        assert!(message.contains(named), "{named}: {message}");
        assert!(store.requests().len() < 40, "{}", told(&store));
    }
    let nobody = json!({ "store_url": "http://127.0.0.1:9", "email": "a@example.com", "api_key": "0123456789", "_retry_seconds": 1 });
    assert!(fails(&nobody).contains("127.0.0.1"));
}

#[test]
fn an_empty_store_succeeds() {
    let store = FakeCsCart::start(Options::default(), Data::empty());
    let (status, message) = result(&store);
    assert_eq!(status, "SUCCEEDED", "{message}");
    assert!(!message.contains("updated_at"), "without an order nothing is known: {message}");
}

#[test]
fn each_fault_of_a_config_is_named() {
    let faulty = json!({
        "store_url": "not a url", "email": "", "start_date": "yesterday", "user_types": ["X"],
        "include_incomplete_orders": "perhaps", "storefront_ids": ["one"], "rows_per_request": 0,
        "max_requests_in_flight": 9, "rewrite": 3,
    });
    let message = fails(&faulty);
    for (name, _) in faulty.as_object().unwrap() {
        assert!(message.contains(&format!("`{name}`")), "{name}: {message}");
    }
    let message = fails(&json!({}));
    for name in ["store_url", "email", "api_key"] {
        assert!(message.contains(&format!("`{name}`")), "{name}: {message}");
    }
}

#[test]
fn with_fail_the_exit_code_says_whether_the_connection_works() {
    let store = sample(Options::default());
    let code = |config: &Value| Command::of(Shop::CsCart, "check").config(config).arg("--fail").run().code;
    assert_eq!(code(&config(&store)), Some(0));
    assert_eq!(code(&config_with(&store, &json!({ "api_key": "wrong-key-0123456789" }))), Some(1));
}
