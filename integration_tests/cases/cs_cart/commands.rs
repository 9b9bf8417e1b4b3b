//! `spec`, `discover`, `catalog`, `streams`, `state` and `init`, and the streams that a command line selects.

use serde_json::{Value, json};

use super::store::{AHEAD, catalog, config, config_with, sample, streams_of, told};
use crate::cases::init::{Person, written};
use crate::fake_cs_cart::{EMAIL, Edition, FakeCsCart, KEY, Options, Sample};
use crate::harness::command::Command;
use crate::harness::files::Files;
use crate::harness::run::Output;
use crate::harness::shop::Shop;

/// Returns the output of a command line without a config.
fn output(arguments: &[&str]) -> Output {
    let command = Command::of(Shop::CsCart, arguments[0]);
    arguments[1..].iter().fold(command, |command, argument| command.arg(argument)).output()
}

/// Returns what a successful command line prints.
fn said(arguments: &[&str]) -> String {
    let output = output(arguments);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn spec_describes_the_settings_and_accepts_what_the_documentation_shows() {
    let run = Command::of(Shop::CsCart, "spec").run();
    assert_eq!((run.code, run.messages.len(), run.stderr.as_str()), (Some(0), 1, ""));
    let specification = &run.spec()["connectionSpecification"];
    let properties = specification["properties"].as_object().unwrap();
    let expected = [
        "api_key",
        "email",
        "include_incomplete_orders",
        "language",
        "max_requests_in_flight",
        "redact_sensitive_fields",
        "rewrite",
        "rows_per_request",
        "start_date",
        "store_url",
        "storefront_ids",
        "user_types",
    ];
    let mut names: Vec<&str> = properties.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, expected);
    assert_eq!(properties["api_key"]["airbyte_secret"], true);
    assert!(properties["api_key"].get("pattern").is_none());
    assert_eq!(specification["required"], json!(["store_url", "email", "api_key"]));
    let schema = jsonschema::validator_for(specification).unwrap();
    let mut config = json!({ "store_url": "https://shop.example.com/store", "email": EMAIL, "api_key": KEY });
    assert!(schema.is_valid(&config));
    config["storefront_ids"] = json!([1, 2]);
    config["user_types"] = json!(["C", "V"]);
    config["rows_per_request"] = json!(25);
    config["start_date"] = json!("2021-01-01T00:00:00Z");
    assert!(schema.is_valid(&config));
    for (name, wrong) in
        [("start_date", json!("yesterday")), ("rows_per_request", json!(0)), ("user_types", json!(["X"]))]
    {
        let mut config = config.clone();
        config[name] = wrong;
        assert!(!schema.is_valid(&config), "{name}");
    }
}

#[test]
fn discover_is_as_in_the_snapshot_with_and_without_a_config() {
    let with = Command::of(Shop::CsCart, "discover")
        .config(&json!({ "store_url": "http://127.0.0.1:9", "email": EMAIL, "api_key": KEY }))
        .run();
    let without = Command::of(Shop::CsCart, "discover").run();
    assert_eq!((with.code, without.code), (Some(0), Some(0)));
    assert_eq!(with.stdout, without.stdout);
    let mut catalog = Shop::CsCart.discovered().clone();
    for stream in catalog["streams"].as_array_mut().unwrap() {
        let fields = stream["json_schema"]["properties"].as_object().unwrap().len();
        stream["json_schema"] = format!("{fields} fields").into();
    }
    insta::assert_json_snapshot!(catalog);
}

#[test]
fn keys_and_cursors_are_in_the_schemas_and_keys_are_never_null() {
    for stream in Shop::CsCart.discovered()["streams"].as_array().unwrap() {
        let name = stream["name"].as_str().unwrap();
        let properties = stream["json_schema"]["properties"].as_object().unwrap();
        let key: Vec<&str> = stream["source_defined_primary_key"]
            .as_array()
            .unwrap()
            .iter()
            .map(|path| path[0].as_str().unwrap())
            .collect();
        assert!(!key.is_empty(), "{name}");
        for field in &key {
            assert!(properties[*field]["type"].is_string(), "{name}.{field} must not be nullable");
        }
        let is_incremental = stream["supported_sync_modes"].as_array().unwrap().contains(&json!("incremental"));
        let cursor = stream["default_cursor_field"][0].as_str();
        let expected = match name {
            "orders" | "order_items" => Some("updated_at"),
            "products" => Some("updated_timestamp"),
            _ => None,
        };
        assert_eq!((is_incremental, cursor), (expected.is_some(), expected), "{name}");
        for (field, property) in properties {
            let text = property["description"].as_str().unwrap_or_default();
            assert!(text.len() > 11, "{name}.{field} has no description");
            assert!(key.contains(&field.as_str()) || property["type"].as_array().is_some(), "{name}.{field}");
            if property["format"] == "date-time" {
                assert_eq!(property["airbyte_type"], "timestamp_with_timezone", "{name}.{field}");
            }
        }
    }
}

#[test]
fn the_catalog_has_the_selected_streams() {
    let names = |arguments: &[&str]| -> Vec<String> {
        let printed: Value = serde_json::from_str(&said(arguments)).unwrap();
        let streams = printed["streams"].as_array().unwrap();
        streams.iter().map(|entry| entry["stream"]["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&["catalog", "--streams", "orders,carts"]), ["orders", "carts"]);
    assert_eq!(names(&["catalog", "--streams", "all"]).len(), 19);
    let wrong = output(&["catalog", "--streams", "order"]);
    let told = format!("{}{}", wrong.stderr, String::from_utf8_lossy(&wrong.stdout));
    assert!(wrong.code != Some(0) && told.contains("orders"), "{told}");
}

#[test]
fn streams_lists_names_modes_keys_and_privileges() {
    let list = said(&["streams"]);
    for name in streams_of(Edition::Ultimate).into_iter().chain(["vendors"]) {
        assert!(list.lines().any(|line| line.split_whitespace().next() == Some(name)), "{name}: {list}");
    }
    let line = |name: &str| list.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap();
    assert!(line("orders").contains("view_orders") && line("orders").contains("order_id"), "{list}");
    assert!(line("cart_items").contains("user_id") && line("cart_items").contains("item_id"), "{list}");
}

#[test]
fn a_selection_on_the_command_line_reads_only_those_streams() {
    let store = sample(Options::default());
    let reading = |streams: &str| {
        store.clear_requests();
        let command = Command::of(Shop::CsCart, "read").config(&config(&store)).arg("--streams").arg(streams);
        let run = command.run();
        assert_eq!(run.code, Some(0), "{streams}: {}", run.transcript());
        let mut objects: Vec<String> = store.requests().into_iter().map(|seen| seen.object).collect();
        objects.sort_unstable();
        objects.dedup();
        objects
    };
    assert_eq!(reading("products"), ["products"]);
    assert_eq!(reading("order_items"), ["orders"]);
    assert_eq!(reading("statuses,taxes"), ["statuses", "taxes"]);
    assert_eq!(reading("ship*"), ["shipments", "shippings"], "{}", told(&store));
}

#[test]
fn options_of_the_command_line_replace_settings() {
    let store = sample(Options::default());
    let command = Command::of(Shop::CsCart, "read").config(&config(&store)).arg("--streams").arg("orders");
    let run = command.arg("--start-date").arg("2024-06-01").run();
    assert_eq!(run.code, Some(0), "{}", run.transcript());
    let dates: Vec<Value> =
        super::store::records(&run, "orders").iter().map(|order| order["updated_at"].clone()).collect();
    assert!(!dates.is_empty() && dates.iter().all(|date| date.as_str().unwrap() >= "2024-06-01"), "{dates:?}");
}

#[test]
fn a_state_is_shown_set_and_reset_and_the_next_read_follows() {
    let sizes = Sample { incomplete: 0, now: AHEAD, from: AHEAD - 86_400, ..Sample::new(1, 30) };
    let store = FakeCsCart::sample(Options::default(), &sizes);
    let files = Files::new();
    let path = files.path("state.json").display().to_string();
    let read = || {
        let command = Command::of(Shop::CsCart, "read").config(&config(&store)).arg("--streams").arg("orders,users");
        let run = command.arg("--state").arg(&path).arg("--state-out").arg(&path).run();
        assert_eq!(run.code, Some(0), "{}", run.transcript());
        run.records("orders").len()
    };
    assert_eq!((read(), read()), (30, 0));
    let shown = said(&["state", "show", &path]);
    assert!(shown.lines().any(|line| line.starts_with("orders") && line.contains("2033-05-1")), "{shown}");
    said(&["state", "reset", &path, "orders"]);
    assert_eq!(read(), 30);
    said(&["state", "set", &path, "orders", "2033-05-17T23:00:00Z"]);
    let since = store.data(|data| data.orders.iter().filter(|(_, order)| order.updated_at >= AHEAD - 16_400).count());
    let read = read();
    assert!(read >= since && read <= 30, "{read} of at least {since}");
    let refused = output(&["state", "set", &path, "users", "2033-05-17T23:00:00Z"]);
    assert_ne!(refused.code, Some(0), "users have no cursor");
}

#[test]
fn an_unusable_state_ends_its_stream_only() {
    let store = sample(Options::default());
    for state in [json!({ "updated_at": 5 }), json!({ "position": { "dates": { "from": "soon" } } })] {
        let list = json!([{
            "type": "STREAM",
            "stream": { "stream_descriptor": { "name": "orders" }, "stream_state": state },
        }]);
        let catalog = catalog(&[("orders", "incremental"), ("taxes", "full_refresh")]);
        let run = super::store::read(&config(&store), &catalog, &list.to_string());
        assert_eq!(run.statuses("taxes").last(), Some(&"COMPLETE"), "{}", run.transcript());
        let is_complete = run.statuses("orders").last() == Some(&"COMPLETE");
        assert!(is_complete || !run.errors().is_empty(), "{}", run.transcript());
    }
}

#[test]
fn a_state_of_the_future_continues_from_the_clock_of_the_store() {
    let store = sample(Options::default());
    let future = json!({ "updated_at": "2121-01-01T00:00:00Z" });
    let list = json!([{
        "type": "STREAM",
        "stream": { "stream_descriptor": { "name": "orders" }, "stream_state": future },
    }]);
    let catalog = catalog(&[("orders", "incremental")]);
    let run = super::store::read(&config(&store), &catalog, &list.to_string());
    assert_eq!((run.code, run.records("orders").len()), (Some(0), 0), "{}", run.transcript());
    let warnings = run.warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("2121") && warnings[0].contains("clock"), "{warnings:?}");
    assert_eq!(run.last_state("orders").unwrap()["updated_at"], "2024-11-18T12:00:00Z");
}

#[test]
fn init_asks_tries_and_writes_the_config() {
    let store = sample(Options::default());
    let folder = tempfile::tempdir().unwrap();
    let mut person = Person::types(folder.path(), "source-cs-cart init");
    person.is_asked("Address of the store").answers(&store.url());
    person.is_asked("mail").answers(EMAIL);
    person.is_asked("(not shown): ").answers("wrong-key-0123456789");
    person.is_asked(": ").answers("");
    person.is_asked("HTTP 401").is_asked("[a]: ").answers("a");
    person.is_asked("mail").answers("");
    person.is_asked("(not shown): ").answers(KEY);
    let (code, seen) = person.ends();
    assert_eq!(code, 0, "{seen}");
    assert!(!seen.contains(KEY) && !seen.contains("wrong-key"), "{seen}");
    let config = written(&folder.path().join("config.json"));
    assert_eq!(
        (&config["store_url"], &config["email"], &config["api_key"]),
        (&json!(store.url()), &json!(EMAIL), &json!(KEY))
    );
    let run = Command::of(Shop::CsCart, "check").config(&config).run();
    assert_eq!(run.connection_status().0, "SUCCEEDED");
}

#[test]
fn the_version_the_help_and_the_variable_have_the_name_of_the_executable() {
    let version = said(&["--version"]);
    assert!(version.starts_with("source-cs-cart "), "{version}");
    let help = said(&["--help"]);
    assert!(help.contains("CS-Cart") && !help.contains("Cart.com") && !help.contains("source-cart "), "{help}");
    let store = sample(Options::default());
    let files = Files::new();
    let path = files.write("config.json", &config_with(&store, &json!({})).to_string());
    let command = Command::of(Shop::CsCart, "check").env("SOURCE_CS_CART_CONFIG", &path.display().to_string());
    assert_eq!(command.run().connection_status().0, "SUCCEEDED");
    let help = said(&["read", "--help"]);
    assert!(help.contains("--start-date") && !help.contains("call-limit"), "{help}");
}

#[test]
fn a_secret_of_the_environment_is_inserted() {
    let store = sample(Options::default());
    let config = config_with(&store, &json!({ "api_key": "${CS_CART_KEY}" }));
    let command = Command::of(Shop::CsCart, "check").config(&config).env("CS_CART_KEY", KEY).secret(KEY);
    assert_eq!(command.run().connection_status().0, "SUCCEEDED");
}
