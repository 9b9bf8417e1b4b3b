//! `redact_sensitive_fields`: marked fields are emitted as null, and nothing else changes.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use source_cart::streams::STREAMS;

use crate::fake_store::{Data, Fault, Options, RecordedRequest};
use crate::harness::files::configured_all;
use crate::harness::json::Fields;
use crate::harness::order::assert_read_is_well_formed;
use crate::harness::run::Run;
use crate::harness::setup::{SignIn, config_with, no_state, read, start};

/// Collects every value with this name, at any depth.
fn values<'v>(value: &'v Value, name: &str, found: &mut Vec<&'v Value>) {
    match value {
        Value::Array(elements) => elements.iter().for_each(|element| values(element, name, found)),
        Value::Object(fields) => {
            for (field, value) in fields {
                if field == name {
                    found.push(value);
                }
                values(value, name, found);
            }
        }
        _ => {}
    }
}

/// Returns a catalog of all streams that selects everything, including nested collections.
fn selecting_all() -> Value {
    let mut catalog = configured_all("full_refresh");
    for entry in catalog["streams"].as_array_mut().unwrap() {
        entry["stream"]["json_schema"] = json!({});
    }
    catalog
}

#[test]
fn sensitive_fields_are_null_and_all_others_unchanged() {
    let mut data = Data::sample(3, 30);
    for stream in STREAMS {
        for id in data.ids(stream.name) {
            for field in &(stream.fields)().sensitive {
                data.set_field(stream.name, id, field, "\"kept secret\"");
            }
        }
    }
    let store = start(SignIn::Token, Options::default(), data);
    let catalog = configured_all("full_refresh");
    let plain = read(&config_with(&store, &json!({})), &catalog, &no_state());
    let redacted = read(&config_with(&store, &json!({"redact_sensitive_fields": true})), &catalog, &no_state());
    assert_eq!((plain.code, redacted.code), (Some(0), Some(0)));
    assert!(plain.data("users").iter().any(|record| record.contains("kept secret")), "off by default");
    assert_read_is_well_formed(&redacted, &catalog);
    let text = String::from_utf8_lossy(&redacted.stdout).into_owned();
    assert!(!text.contains("kept secret"));
    for stream in STREAMS {
        let by_key = |run: &Run| -> BTreeMap<String, Fields> {
            let records = run.records(stream.name).into_iter();
            records.map(|record| (record.field(stream.key()).unwrap(), record.fields())).collect()
        };
        let mut expected = by_key(&plain);
        for record in expected.values_mut() {
            record.extend((stream.fields)().sensitive.iter().map(|field| (field.clone(), "null".to_owned())));
        }
        assert_eq!(by_key(&redacted), expected, "{}", stream.name);
    }
}

#[test]
fn sensitive_fields_are_null_inside_nested_collections_too() {
    let mut data = Data::sample(3, 30);
    for id in data.ids("order_payments") {
        data.set_field("order_payments", id, "token", "\"tok_1\"");
    }
    let store = start(SignIn::Token, Options::default(), data);
    let expand = json!(["orders.payments", "order_payments.fields", "categories.products"]);
    let mut seen = 0;
    for redact in [false, true] {
        let config = config_with(&store, &json!({"redact_sensitive_fields": redact, "expand": expand}));
        let run = read(&config, &selecting_all(), &no_state());
        for (stream, inside, fields) in [
            ("orders", "payments", ["token", "cardholder_name"]),
            ("order_payments", "fields", ["value", "value"]),
            ("categories", "products", ["e_product_password", "e_product_generic_password"]),
        ] {
            for record in run.records(stream) {
                let record: Value = serde_json::from_str(record.data().unwrap()).unwrap();
                for field in fields {
                    let mut found = Vec::new();
                    values(&record[inside], field, &mut found);
                    seen += found.len();
                    assert_eq!(found.iter().all(|value| value.is_null()), redact || found.is_empty(), "{record}");
                }
            }
        }
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn sensitive_fields_are_null_however_deep_the_store_nests_them() {
    let fields = r#"[{"id":1,"value":"kept secret","at":"2021-01-01"}]"#;
    let payments = format!(r#"[{{"id":5,"token":"kept secret","fields":{fields}}}]"#);
    let orders = format!(r#"{{"id":1,"updated_at":"2021-01-01T00:00:00Z","payments":{payments}}}"#);
    let methods = format!(r#"{{"id":7,"fields":{fields}}}"#);
    let subscriptions =
        format!(r#"{{"id":2,"updated_at":"2021-01-01T00:00:00Z","customer_payment_method":{methods}}}"#);
    let answer = move |seen: &RecordedRequest| {
        let row = if seen.resource == "orders" { &orders } else { &subscriptions };
        let body = format!(r#"{{"total_count":1,"{}":[{row}]}}"#, seen.resource);
        Some(Fault::Answer { status: 200, headers: Vec::new(), body: body.into_bytes() })
    };
    let store = start(SignIn::Token, Options { fault: Some(Box::new(answer)), ..Options::default() }, Data::empty());
    let mut catalog = selecting_all();
    let is_read = |entry: &Value| ["orders", "subscriptions"].contains(&entry["stream"]["name"].as_str().unwrap());
    catalog["streams"].as_array_mut().unwrap().retain(is_read);
    // Requested, and sent although they were not requested.
    for expand in [json!(["orders.payments", "subscriptions.lookups"]), json!([])] {
        for redact in [false, true] {
            let config = config_with(&store, &json!({"redact_sensitive_fields": redact, "expand": expand}));
            let run = read(&config, &catalog, &no_state());
            assert_eq!(run.code, Some(0), "{}", run.transcript());
            let record =
                |stream: &str| -> Value { serde_json::from_str(run.records(stream)[0].data().unwrap()).unwrap() };
            let hidden = if redact { json!(null) } else { json!("kept secret") };
            let fields = json!([{"id": 1, "value": hidden, "at": "2021-01-01"}]);
            assert_eq!(record("orders")["payments"], json!([{"id": 5, "token": hidden, "fields": fields}]));
            assert_eq!(record("subscriptions")["customer_payment_method"], json!({"id": 7, "fields": fields}));
        }
    }
}

/// Parts of names that suggest a secret, card data, a login or a network address.
const SOUNDS_SENSITIVE: [&str; 39] = [
    "password",
    "passwd",
    "pwd",
    "secret",
    "token",
    "pin",
    "credential",
    "credentials",
    "signature",
    "hash",
    "auth",
    "authorization",
    "login",
    "username",
    "ip",
    "ips",
    "host",
    "agent",
    "mac",
    "card",
    "cardholder",
    "cvv",
    "cvc",
    "expiration",
    "expiry",
    "four",
    "iban",
    "routing",
    "account",
    "key",
    "keys",
    "cookie",
    "session",
    "serial",
    "encrypted",
    "masked",
    "gateway",
    "avs",
    "fingerprint",
];

/// Fields with such names that were checked and are not sensitive.
const LOOKED_AT: [&str; 34] = [
    // Numbers of rows in other streams, and flags.
    "carts.session_id",
    "orders.session_id",
    "quotes.session_id",
    "wishlists.session_id",
    "customer_payment_methods.card_id",
    "orders.sales_agent_user_id",
    "quotes.sales_agent_user_id",
    "carts.is_shipping_billed_to_account",
    "wishlists.is_shipping_billed_to_account",
    "customers.no_account",
    "microstores.set_cookie",
    "pages.is_login_required",
    "payment_methods.is_gateway",
    "customer_payment_methods.fields.is_encrypted",
    "customer_payment_methods.fields.is_value_masked",
    "order_payments.fields.is_encrypted",
    "order_payments.fields.is_masked",
    "payment_methods.fields.is_encrypted",
    "payment_methods.fields.is_masked",
    // Brands, names of companies, results of checks.
    "credit_cards.card_type",
    "order_payments.card_type",
    "payment_methods.gateway_name",
    "order_payments.avs_code",
    "order_payments.cvv_response_code",
    "order_payments.gateway_response_code",
    "order_payments.authorization_code",
    // Times.
    "microstores.cookie_expiration",
    "microstores.expiration_date",
    "products.e_product_verification_link_expiration",
    "users.last_login_at",
    "users.last_login_attempt_at",
    // The merchant's own accounts and files, and placeholders of mail templates.
    "warehouses.account_number",
    "products.e_product_serial_number_file_path",
    "drips.members.custom_merge_keys",
];

/// Returns the fields of a stream and of its collections, each with true if it is marked as sensitive.
fn fields() -> Vec<(String, bool)> {
    fn walk(path: &str, schema: &Value, is_marked: &dyn Fn(&str) -> bool, found: &mut Vec<(String, bool)>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            found.push((format!("{path}.{name}"), is_marked(name)));
            // Below a declared field nothing can be marked.
            walk(&format!("{path}.{name}"), property, &|_| false, found);
            walk(&format!("{path}.{name}"), &property["items"], &|_| false, found);
        }
    }
    let mut found = Vec::new();
    for stream in STREAMS {
        let fields = (stream.fields)();
        walk(stream.name, &fields.schema, &|name| fields.sensitive.iter().any(|field| field == name), &mut found);
        // The fields that an element has from a stream are looked at where they are.
        for collection in &fields.collections {
            for name in collection.properties.keys() {
                let path = format!("{}.{}.{name}", stream.name, collection.name);
                found.push((path, collection.sensitive.contains(name)));
            }
        }
    }
    found
}

#[test]
fn every_name_that_suggests_sensitive_data_was_checked() {
    let fields = fields();
    assert!(fields.len() > 1000, "{}", fields.len());
    let sounds = |path: &str| path.rsplit('.').next().unwrap().split('_').any(|part| SOUNDS_SENSITIVE.contains(&part));
    let open: Vec<&str> = fields
        .iter()
        .filter(|(path, is_marked)| sounds(path) && !is_marked && !LOOKED_AT.contains(&path.as_str()))
        .map(|(path, _)| path.as_str())
        .collect();
    assert!(open.is_empty(), "mark them as sensitive, or note that they were looked at: {open:#?}");
    for path in LOOKED_AT {
        let known = fields.iter().find(|(known, _)| known == path);
        assert!(known.is_some_and(|(_, is_marked)| !is_marked) && sounds(path), "{path} needs no note");
    }
}
