//! Requests that the store, or something in front of it, refuses: each error says what to do.

use serde_json::json;

use super::store::{catalog, config, config_with, full, limited, read, read_full, sample, streams_of, told};
use crate::fake_cs_cart::{Account, Edition, FakeCsCart, Fault, Options, RecordedRequest, Rights};
use crate::harness::order::ReadCheck;
use crate::harness::run::Run;
use crate::harness::setup::only_error;
use crate::harness::shop::Shop;

/// Checks that a stream failed with one error, and returns its message.
fn failed(run: &Run, stream: &str, failure_type: &str) -> String {
    ReadCheck::for_shop(Shop::CsCart, run, &full(stream)).assert();
    assert_eq!(run.statuses(stream).last(), Some(&"INCOMPLETE"), "{}", run.transcript());
    assert_eq!(run.code, Some(if failure_type == "transient_error" { 75 } else { 1 }), "{}", run.transcript());
    assert!(run.records(stream).is_empty());
    let error = only_error(run);
    assert_eq!(run.errors()[0].failure_type, failure_type, "{error}");
    error
}

fn refusing(fault: impl Fn() -> Fault + Send + 'static) -> FakeCsCart {
    sample(Options { fault: Some(Box::new(move |_: &RecordedRequest| Some(fault()))), ..Options::default() })
}

#[test]
fn a_wrong_key_is_reported_once_and_never_retried() {
    let store = sample(Options::default());
    let mut wrong = config(&store);
    wrong["api_key"] = json!("wrong-key-0123456789");
    let error = failed(&read(&wrong, &full("orders"), "[]"), "orders", "config_error");
    assert!(error.contains("401") && error.contains("`email`") && error.contains("`api_key`"), "{error}");
    assert_eq!(store.requests().len(), 1);
    let disabled = Account { rights: Rights::Disabled, ..Account::root() };
    let store = sample(Options { accounts: vec![disabled], ..Options::default() });
    let error = failed(&read_full(&store, "products"), "products", "config_error");
    assert!(error.contains("401") && error.contains("Authorization"), "a server may not pass it on: {error}");
}

#[test]
fn a_missing_privilege_is_named_and_the_other_streams_are_read() {
    let store = limited(&["view_catalog"]);
    let needed = [
        ("orders", "view_orders"),
        ("order_items", "view_orders"),
        ("shipments", "view_orders"),
        ("users", "view_users"),
        ("carts", "view_users"),
        ("cart_items", "view_users"),
        ("statuses", "manage_order_statuses"),
        ("stores", "view_stores"),
        ("taxes", "view_taxes"),
        ("shippings", "view_shipping"),
        ("languages", "view_languages"),
        ("usergroups", "view_usergroups"),
        ("call_requests", "view_call_requests"),
        ("product_reviews", "view_product_reviews"),
    ];
    for (stream, privilege) in needed {
        store.clear_requests();
        let error = failed(&read_full(&store, stream), stream, "config_error");
        assert!(error.contains("403") && error.contains(privilege), "{stream}: {error}");
        // Carts are read store by store, so the stores are requested before them.
        let most = if stream.starts_with("cart") { 2 } else { 1 };
        assert!(store.requests().len() <= most, "{stream} is not requested again: {}", told(&store));
    }
    let run = read(&config(&store), &catalog(&[("orders", "incremental"), ("products", "incremental")]), "[]");
    assert_eq!((run.code, run.statuses("products").last()), (Some(1), Some(&"COMPLETE")), "{}", run.transcript());
    assert!(!run.records("products").is_empty());
}

#[test]
fn an_add_on_that_is_not_installed_is_named() {
    let absent = ["call_requests", "product_reviews"].map(str::to_owned).into();
    let store = sample(Options { absent, ..Options::default() });
    for (stream, add_on) in [("call_requests", "Call requests"), ("product_reviews", "Product reviews")] {
        let error = failed(&read_full(&store, stream), stream, "config_error");
        assert!(error.contains("404") && error.contains(add_on) && error.contains("add-on"), "{stream}: {error}");
    }
}

#[test]
fn a_stream_of_the_other_edition_is_named() {
    for (edition, stream, other) in
        [(Edition::Ultimate, "vendors", "Multi-Vendor"), (Edition::MultiVendor, "stores", "CS-Cart")]
    {
        let store = sample(Options { edition, ..Options::default() });
        let error = failed(&read_full(&store, stream), stream, "config_error");
        assert!(error.contains("404") && error.contains(other), "{stream}: {error}");
        // The others are read.
        assert!(!streams_of(edition).contains(&stream));
    }
}

#[test]
fn a_store_without_url_rewriting_or_in_a_folder_is_named() {
    let cases = [
        Options { rewrite: false, ..Options::default() },
        Options { folder: "/shop".to_owned(), ..Options::default() },
    ];
    for options in cases {
        let folder = options.folder.clone();
        let store = sample(options);
        let address = store.url().strip_suffix(&folder).unwrap().to_owned();
        let config = config_with(&store, &json!({ "store_url": address }));
        let error = failed(&read(&config, &full("orders"), "[]"), "orders", "config_error");
        assert!(error.contains("404") && error.contains("`rewrite`") && error.contains("`store_url`"), "{error}");
    }
}

#[test]
fn a_firewall_is_tried_again_and_then_named() {
    for status in [403, 429] {
        let store = refusing(move || Fault::html(status));
        let run = read(&config_with(&store, &json!({ "_retry_seconds": 1 })), &full("orders"), "[]");
        let errors = run.errors();
        assert_eq!((errors.len(), run.statuses("orders").last()), (1, Some(&"INCOMPLETE")), "{}", run.transcript());
        let error = &errors[0].message;
        assert!(error.contains(&status.to_string()) && error.contains("firewall"), "{error}");
        assert!(store.requests().len() > 1, "{status} with a web page is retried: {}", told(&store));
        // A firewall that lets the second request pass.
        let mut refused = false;
        let store = sample(Options {
            fault: Some(Box::new(move |_| (!std::mem::replace(&mut refused, true)).then(|| Fault::html(status)))),
            ..Options::default()
        });
        let run = read_full(&store, "orders");
        assert_eq!(run.code, Some(0), "{status}: {}", run.transcript());
    }
}

#[test]
fn a_refusal_of_the_api_itself_is_not_retried() {
    let store = refusing(|| Fault::error(403, "Access denied"));
    let error = failed(&read_full(&store, "orders"), "orders", "config_error");
    assert!(error.contains("view_orders"), "{error}");
    assert_eq!(store.requests().len(), 1);
}

#[test]
fn a_store_that_refuses_plain_http_is_named() {
    let store = sample(Options { https_only: true, ..Options::default() });
    let error = failed(&read_full(&store, "orders"), "orders", "config_error");
    let told = error + &read_full(&store, "orders").errors()[0].internal_message;
    assert!(told.contains("403") && told.contains("HTTPS"), "the store's own words: {told}");
}

#[test]
fn a_redirect_is_not_followed_and_the_address_is_named() {
    let other = sample(Options::default());
    let redirect_to = Some(other.url());
    let store = sample(Options { redirect_to, ..Options::default() });
    for stream in ["orders", "users", "categories"] {
        let error = failed(&read_full(&store, stream), stream, "config_error");
        let address = other.address().to_string();
        assert!(error.contains(&address) && error.contains("`store_url`"), "{error}");
    }
    assert!(other.requests().is_empty(), "the key must not travel");
    assert_eq!(store.requests().len(), 3, "{}", told(&store));
}

#[test]
fn a_store_that_does_not_answer_is_a_temporary_error() {
    let faults: [fn() -> Fault; 3] =
        [|| Fault::ResetBeforeHeaders, || Fault::html(502), || Fault::error(500, "Internal Server Error")];
    for fault in faults {
        let store = refusing(fault);
        let run = read(&config_with(&store, &json!({ "_retry_seconds": 1 })), &full("users"), "[]");
        let error = failed(&run, "users", "transient_error");
        assert!(!error.is_empty() && store.requests().len() > 2, "{error}\n{}", told(&store));
    }
    let config = json!({ "store_url": "http://127.0.0.1:9", "email": "a@example.com", "api_key": "0123456789", "_retry_seconds": 1 });
    let error = failed(&read(&config, &full("users"), "[]"), "users", "transient_error");
    assert!(error.contains("127.0.0.1"), "{error}");
}

#[test]
fn a_vendors_account_is_refused_where_it_has_no_rights() {
    let vendor = Account { rights: Rights::Vendor(1), user_id: 3, ..Account::root() };
    let options = Options { edition: Edition::MultiVendor, accounts: vec![vendor], ..Options::default() };
    let store = FakeCsCart::start(options, crate::fake_cs_cart::Sample::new(1, 40).data(Edition::MultiVendor));
    assert_eq!(read_full(&store, "products").code, Some(0));
    let error = failed(&read_full(&store, "orders"), "orders", "config_error");
    assert!(error.contains("403") && error.contains("view_orders"), "{error}");
}

#[test]
fn an_error_repeats_no_secret_and_no_control_character() {
    let store = refusing(|| Fault::error(403, "\u{1b}[31m0123456789abcdefghijklmnopqrstuv\u{7} denied"));
    // The harness looks for the key in the output.
    let error = failed(&read_full(&store, "orders"), "orders", "config_error");
    assert!(!error.contains('\u{1b}') && !error.contains('\u{7}'), "{error:?}");
}
