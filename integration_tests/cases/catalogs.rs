//! The ways to select streams: a configured catalog, the output of `discover`, and names; and the
//! `catalog` command, which prints a configured catalog.

use serde_json::{Value, json};

use crate::fake_store::{Data, Options};
use crate::harness::command::Command;
use crate::harness::files::{configured, configured_all, discovered};
use crate::harness::order::assert_read_is_well_formed;
use crate::harness::run::Run;
use crate::harness::setup::{SignIn, config, minutes, nobody, only_error, start};

/// Returns the output of `catalog`.
fn printed(command: &Command<'_>) -> Value {
    let output = command.output();
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Returns a configured catalog without the parts that only a platform sets.
fn plain(mut catalog: Value) -> Value {
    for stream in catalog["streams"].as_array_mut().unwrap() {
        let stream = stream.as_object_mut().unwrap();
        stream.retain(|key, _| !["generation_id", "minimum_generation_id", "sync_id"].contains(&key.as_str()));
    }
    catalog
}

#[test]
fn the_printed_catalog_is_the_one_a_platform_makes() {
    assert_eq!(printed(&Command::new("catalog")), plain(configured_all("incremental")));
    assert_eq!(printed(&Command::new("catalog").arg("--full-refresh")), plain(configured_all("full_refresh")));
    let some = printed(&Command::new("catalog").arg("--streams").arg("products,stores,customers_cart"));
    let same =
        configured(&[("products", "incremental"), ("stores", "full_refresh"), ("customers_cart", "incremental")]);
    assert_eq!(some, plain(same));
}

#[test]
fn the_printed_catalog_has_the_collections_of_the_config() {
    let mut config = nobody();
    config["expand"] = json!(["orders.items"]);
    let with = printed(&Command::new("catalog").arg("--streams").arg("orders").config(&config));
    let without = printed(&Command::new("catalog").arg("--streams").arg("orders"));
    let items = |catalog: &Value| catalog.pointer("/streams/0/stream/json_schema/properties/items").cloned();
    assert_eq!(items(&with).unwrap()["type"], json!(["null", "array"]));
    assert_eq!(items(&without), None);
    // A line for each stream, so that an editor can remove one.
    let output = Command::new("catalog").output();
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), with_lines());
}

/// Returns the number of lines: one for each stream, and two for the brackets.
fn with_lines() -> usize {
    discovered()["streams"].as_array().unwrap().len() + 2
}

#[test]
fn every_way_to_select_the_streams_reads_the_same() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 10));
    let config = config(SignIn::Token, &store);
    let names = "orders,stores";
    let expected = configured(&[("orders", "incremental"), ("stores", "full_refresh")]);
    let read = |command: Command<'_>| {
        let run = command.run();
        assert_eq!(run.code, Some(0), "{}", run.transcript());
        assert_read_is_well_formed(&run, &expected);
        assert!(!run.records("orders").is_empty() && !run.records("stores").is_empty());
        run
    };
    let shown = |run: &Run| {
        let mut rows = [run.data("orders"), run.data("stores")].concat();
        rows.sort_unstable();
        (rows.join("\n"), run.last_state("orders").cloned())
    };
    let usual = read(Command::new("read").config(&config).catalog(&expected));

    let by_name = read(Command::new("read").config(&config).arg("--streams").arg(names));
    assert!(shown(&by_name) == shown(&usual));
    let repeated = Command::new("read").config(&config).arg("--streams").arg("orders").arg("--streams").arg("stores");
    assert!(shown(&read(repeated)) == shown(&usual));

    let catalog = Command::new("catalog").arg("--streams").arg(names).output();
    let catalog = String::from_utf8(catalog.stdout).unwrap();
    let by_catalog = read(Command::new("read").config(&config).file("catalog", &catalog));
    assert!(shown(&by_catalog) == shown(&usual));

    // The output of `discover`, reduced to the two; then with log lines around it; then without the message.
    let mut message = json!({"type": "CATALOG", "catalog": discovered()});
    let streams = message["catalog"]["streams"].as_array_mut().unwrap();
    streams.retain(|stream| names.split(',').any(|name| stream["name"] == name));
    let log = r#"{"type":"LOG","log":{"level":"INFO","message":"x"}}"#;
    for text in [message.to_string(), format!("{log}\n{message}\n{log}\n"), message["catalog"].to_string()] {
        let run = read(Command::new("read").config(&config).file("catalog", &text));
        assert!(shown(&run) == shown(&usual));
    }
}

#[test]
fn the_full_output_of_discover_and_all_read_every_stream() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 3));
    let config = config(SignIn::Token, &store);
    let output = Command::new("discover").output();
    let text = String::from_utf8(output.stdout).unwrap();
    let expected = configured_all("incremental");
    for command in [
        Command::new("read").config(&config).file("catalog", &text),
        Command::new("read").config(&config).arg("--streams").arg("all"),
    ] {
        let run = command.run();
        assert_eq!(run.code, Some(0), "{}", run.transcript());
        assert_read_is_well_formed(&run, &expected);
    }
}

#[test]
fn full_refresh_reads_rows_that_the_state_covers() {
    let store = start(SignIn::Token, Options::default(), minutes("orders", 1, 10));
    let config = config(SignIn::Token, &store);
    let read = || Command::new("read").config(&config).arg("--streams").arg("orders");
    let first = read().run();
    let state = first.last_state_list();
    assert_eq!(read().state(&state).run().records("orders").len(), 0);
    let complete = read().arg("--full-refresh").state(&state).run();
    assert_eq!((complete.code, complete.records("orders").len()), (Some(0), 10));
    let catalog = configured(&[("orders", "incremental")]);
    let complete = Command::new("read").config(&config).catalog(&catalog).arg("--full-refresh").state(&state).run();
    assert_eq!((complete.code, complete.records("orders").len()), (Some(0), 10));
}

#[test]
fn an_alias_is_read_under_the_name_that_was_entered() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 10));
    let run = Command::new("read").config(&config(SignIn::Token, &store)).arg("--streams").arg("customers_cart").run();
    assert_eq!((run.code, run.records("customers_cart").is_empty()), (Some(0), false));
}

#[test]
fn a_stream_that_is_listed_twice_is_read_once_or_refused() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 10));
    let config = config(SignIn::Token, &store);
    let read = |catalog: &Value| Command::new("read").config(&config).catalog(catalog).run();
    let entry = |name: &str, mode: &str| configured(&[(name, mode)])["streams"][0].clone();
    let orders = entry("orders", "incremental");
    let stores = entry("stores", "full_refresh");
    let run = read(&json!({"streams": [orders, stores, orders]}));
    assert_read_is_well_formed(&run, &json!({"streams": [orders, stores]}));
    assert_eq!((run.code, run.ids("orders").len()), (Some(0), 10));

    let mut fewer = orders.clone();
    fewer["stream"]["json_schema"]["properties"].as_object_mut().unwrap().remove("grand_total").unwrap();
    for (one, other, names) in [
        (&orders, &entry("orders", "full_refresh"), "stream `orders` twice"),
        (&orders, &fewer, "stream `orders` twice"),
        (
            &entry("customers", "incremental"),
            &entry("customers_cart", "incremental"),
            "one stream under two names, `customers` and `customers_cart`",
        ),
    ] {
        store.clear_requests();
        let run = read(&json!({"streams": [one, stores, other]}));
        assert_eq!((run.code, run.messages.len()), (Some(1), 1), "{}", run.transcript());
        assert_eq!(run.errors()[0].failure_type, "config_error");
        assert!(only_error(&run).contains(names), "{}", only_error(&run));
        assert_eq!(store.requests().len(), 0);
    }
}
