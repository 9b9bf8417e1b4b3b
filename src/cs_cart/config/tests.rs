//! Settings as they are pasted and mistyped, and the specification, which has the same ones.

use serde_json::json;

use super::*;
use crate::config::Config;
use crate::raw_config::FieldError;

fn usual() -> Value {
    json!({"store_url": "https://shop.example.com", "email": "admin@example.com", "api_key": "abc123abc123abc123abc123abc123ab"})
}

fn with(name: &str, value: &Value) -> Value {
    let mut config = usual();
    config[name] = value.clone();
    config
}

fn parse(config: &Value) -> Result<Config, Vec<FieldError>> {
    Config::parse(config.to_string().as_bytes(), &DEFINITION)
}

fn faults(config: &Value) -> String {
    parse(config).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Returns a dump of the parsed settings.
fn dump(config: &Value) -> String {
    format!("{:?}", parse(config).unwrap())
}

fn base_of(store: &str) -> String {
    let fields = RawConfig::parse(with("store_url", &json!(store)).to_string().as_bytes(), &NAMES).unwrap();
    base(&fields, None, &mut FieldErrors::default()).unwrap().to_string()
}

#[test]
fn the_folder_of_a_store_is_found_in_whatever_is_pasted() {
    for (store, expected) in [
        ("shop.example.com", "https://shop.example.com/"),
        (" HTTPS://Shop.Example.com/ ", "https://shop.example.com/"),
        ("https://www.example.com/shop", "https://www.example.com/shop/"),
        ("https://www.example.com/a/b/index.php?dispatch=x#y", "https://www.example.com/a/b/"),
        ("https://shop.example.com/admin.php?dispatch=profiles.manage", "https://shop.example.com/"),
        ("https://shop.example.com/store/api/2.0/orders", "https://shop.example.com/store/"),
        ("shop.example.com:8443/shop//", "https://shop.example.com:8443/shop/"),
        ("http://127.0.0.1:8080/shop", "http://127.0.0.1:8080/shop/"),
        ("http://localhost", "http://localhost/"),
    ] {
        assert_eq!(base_of(store), expected, "{store}");
    }
}

#[test]
fn each_fault_is_one_sentence_with_the_field_and_an_example() {
    let mut snapshot = Vec::new();
    for (name, value) in [
        ("store_url", json!(null)),
        ("store_url", json!("")),
        ("store_url", json!([])),
        ("store_url", json!("http://shop.example.com")),
        ("store_url", json!("ftp://shop.example.com")),
        ("store_url", json!("https://admin:pw@shop.example.com")),
        ("store_url", json!("my shop.com")),
        ("store_url", json!("myshop")),
        ("store_url", json!("abc123abc123abc123abc123abc123ab")),
        ("email", json!(null)),
        ("email", json!("abc123abc123abc123abc123abc123ab")),
        ("email", json!("a:b@example.com")),
        ("api_key", json!(null)),
        ("api_key", json!("abc 123")),
        ("start_date", json!("01/31/2021")),
        ("start_date", json!("2021-01-31T00:00:00")),
        ("user_types", json!("C")),
        ("user_types", json!(["customers"])),
        ("user_types", json!([])),
        ("include_incomplete_orders", json!("no")),
        ("storefront_ids", json!(1)),
        ("storefront_ids", json!([0])),
        ("language", json!("English please")),
        ("language", json!(1)),
        ("rows_per_request", json!(0)),
        ("max_requests_in_flight", json!(5)),
        ("rewrite", json!("true")),
        ("redact_sensitive_fields", json!(1)),
        ("language", json!("${")),
    ] {
        snapshot.push(faults(&with(name, &value)));
    }
    snapshot.push(faults(&json!({})));
    snapshot.push(faults(&json!([])));
    insta::assert_snapshot!(snapshot.join("\n"));
}

#[test]
fn settings_are_read_in_the_forms_in_which_people_write_them() {
    let shown = dump(&json!({
        "store_url": "shop.example.com", "email": " admin@example.com ", "api_key": " abcdef ",
        "start_date": "2021-01-01", "user_types": ["c", "V", "C"], "storefront_ids": [2, "1", 2], "language": " de ",
        "rewrite": false, "include_incomplete_orders": true, "rows_per_request": 25.0, "max_requests_in_flight": 4,
    }));
    for part in [
        "email: \"admin@example.com\"",
        "rewrite: false",
        "user_types: [\"C\", \"V\"]",
        "include_incomplete_orders: true",
        "storefront_ids: [2, 1]",
        "language: \"de\"",
        "rows_per_request: 25",
        "concurrency: 4",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert_eq!(
        parse(&with("start_date", &json!("2021-01-01"))).unwrap().shop.start.to_string(),
        "2021-01-01T00:00:00Z"
    );
    for absent in [json!(null), json!(" ")] {
        let start = parse(&with("start_date", &absent)).unwrap().shop.start;
        assert_eq!(start.to_string(), "1970-01-01T00:00:00Z");
    }
}

#[test]
fn settings_of_another_connector_have_no_effect() {
    let other = json!({"detect_deletions": 5, "expand": ["orders.items"], "end_date": "soon", "credentials": {}});
    let mut config = usual();
    config.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
    let warnings = parse(&config).unwrap().warnings;
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    assert!(warnings.iter().all(|warning| warning.contains("source-cs-cart spec") || warning.contains("Did you mean")));
}

#[test]
fn the_specification_has_the_same_settings_types_bounds_and_defaults() {
    let spec: Value = serde_json::from_str(include_str!("../spec.json")).unwrap();
    let schema = &spec["connectionSpecification"];
    let properties = schema["properties"].as_object().unwrap();
    let mut names: Vec<(&String, &Value)> = properties.iter().collect();
    names.sort_by_key(|(_, property)| property["order"].as_u64());
    assert_eq!(names.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), NAMES.top);
    let shown = dump(&usual());
    for (name, property) in properties {
        assert!(faults(&with(name, &json!({}))).contains(name.as_str()), "{name} has a type");
        let is_required = schema["required"].as_array().unwrap().contains(&json!(name));
        assert_eq!(parse(&with(name, &Value::Null)).is_err(), is_required, "{name}");
        if let Some(default) = property.get("default") {
            assert_eq!(dump(&with(name, default)), shown, "{name} has this default");
        }
        if let (Some(least), Some(most)) = (property["minimum"].as_u64(), property["maximum"].as_u64()) {
            for (value, is_allowed) in [(least - 1, false), (least, true), (most, true), (most + 1, false)] {
                assert_eq!(parse(&with(name, &json!(value))).is_ok(), is_allowed, "{name} {value}");
            }
        }
    }
}

#[test]
fn no_secret_is_shown_in_a_debug_dump_and_each_form_of_it_is_masked() {
    assert!(!dump(&usual()).contains("abc123"));
    let secrets = parse(&usual()).unwrap().shop.store.secrets();
    let sent = "Basic YWRtaW5AZXhhbXBsZS5jb206YWJjMTIzYWJjMTIzYWJjMTIzYWJjMTIzYWJjMTIzYWI=";
    let masked = secrets.iter().fold(sent.to_owned(), |text, secret| secret.masked(&text));
    assert!(!masked.contains("YWRtaW5"), "{masked}");
}
