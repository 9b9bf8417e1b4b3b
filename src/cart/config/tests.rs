//! Settings as they are pasted and mistyped, and the specification, which has the same ones.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::config::Config;
use crate::raw_config::FieldError;

fn token(store: &str) -> Value {
    json!({"credentials": {"auth_type": TOKEN_TYPE, "access_token": "abc123", "store_name": store}, "start_date": "2021-01-01T00:00:00Z"})
}

fn parse(config: &Value) -> Result<Config, Vec<FieldError>> {
    Config::parse(config.to_string().as_bytes(), &DEFINITION)
}

/// Returns the sign-in and the base URL.
fn signed_in(config: &Value) -> (Auth, Url) {
    let fields = RawConfig::parse(config.to_string().as_bytes(), &NAMES).unwrap();
    sign_in(&fields, &mut FieldErrors::default()).unwrap()
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
        assert_eq!(signed_in(&token(store)).1.as_str(), "https://mystore.americommerce.com/api/v1/", "{store}");
    }
    for (store, base) in [
        ("shop.example.com:8443", "https://shop.example.com:8443/api/v1/"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/api/v1/"),
        ("http://[::1]:8080/", "http://[::1]:8080/api/v1/"),
        ("localhost:8080", "https://localhost:8080/api/v1/"),
    ] {
        assert_eq!(signed_in(&token(store)).1.as_str(), base, "{store}");
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
    snapshot.push(reported(&Config::parse(b"{\"a\":", &DEFINITION).unwrap_err()));
    insta::assert_snapshot!(snapshot.join("\n"));
}

#[test]
fn dates_may_have_any_offset_or_be_a_day() {
    let mut config = token("mystore.americommerce.com");
    config["start_date"] = json!("2021-01-01T00:00:00-06:00");
    config["end_date"] = json!("2021-02-01");
    let config = parse(&config).unwrap().shop;
    assert_eq!(config.start.to_string(), "2021-01-01T06:00:00Z");
    assert_eq!(config.end.unwrap().to_string(), "2021-02-01T00:00:00Z");
}

#[test]
fn the_python_connectors_config_works_unchanged() {
    let config = json!({
        "credentials": {"auth_type": ROUTER_TYPE, "user_name": "u", "user_secret": "s", "site_id": 12345},
        "start_date": "2021-01-01T00:00:00Z", "_limit": 10, "unknown": {"key": 1}
    });
    let (auth, base) = signed_in(&config);
    assert_eq!(base.as_str(), ROUTER);
    assert!(matches!(auth, Auth::Router { site_id, .. } if site_id == "12345"));
    let parsed = format!("{:?}", parse(&config).unwrap());
    assert!(parsed.contains("limit_percent: 100, in_flight: 8"), "{parsed}");
}

#[test]
fn the_specification_has_the_same_settings_types_bounds_and_defaults() {
    let spec: Value = serde_json::from_str(include_str!("../spec.json")).unwrap();
    let schema = &spec["connectionSpecification"];
    let keys = |object: &Value| object.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let known = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(keys(&schema["properties"]), known(NAMES.top));
    let variants = schema["properties"]["credentials"]["oneOf"].as_array().unwrap();
    let of_variants: BTreeSet<String> = variants.iter().flat_map(|variant| keys(&variant["properties"])).collect();
    assert_eq!(of_variants, known(NAMES.nested[0].1));
    for (variant, auth_type) in variants.iter().zip([TOKEN_TYPE, ROUTER_TYPE]) {
        assert_eq!(variant["properties"]["auth_type"]["const"], auth_type);
        let required: Vec<&str> = variant["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
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
