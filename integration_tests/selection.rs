//! Columns that a user has selected: the configured catalog declares fewer fields, and only those are
//! asked for, always with the key and the cursor.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::fake_store::Options;
use crate::harness::files::configured;
use crate::harness::order::assert_read_is_well_formed;
use crate::setup::{SignIn, config, minutes, no_state, read, start};

/// A catalog of one stream of which only these fields are wanted.
fn selecting(stream: &str, keep: impl Fn(&str) -> bool) -> Value {
    let mut catalog = configured(&[(stream, "incremental")]);
    let properties = catalog["streams"][0]["stream"]["json_schema"]["properties"].as_object_mut().unwrap();
    properties.retain(|name, _| keep(name));
    catalog
}

#[test]
fn only_what_is_wanted_is_asked_for_and_the_state_is_the_same() {
    let options = || Options { max_count: Some(20), ..Options::default() };
    let store = start(SignIn::Token, options(), minutes("orders", 1, 50));
    let config = config(SignIn::Token, &store);
    let whole = read(&config, &configured(&[("orders", "incremental")]), &no_state());
    assert!(store.requests().iter().all(|seen| seen.param("fields").is_none()));
    store.clear_requests();

    let catalog = selecting("orders", |name| ["grand_total", "email"].contains(&name));
    let run = read(&config, &catalog, &no_state());
    assert_eq!(run.code, Some(0), "{}", run.transcript());
    assert!(store.requests().iter().all(|seen| {
        let fields: BTreeSet<&str> = seen.param("fields").unwrap_or_default().split(',').collect();
        fields == BTreeSet::from(["grand_total", "id", "updated_at"])
    }));
    let fields: BTreeSet<String> =
        run.records("orders").iter().flat_map(|record| record.fields()).map(|(name, _)| name).collect();
    assert_eq!(fields, ["grand_total", "id", "updated_at"].map(str::to_owned).into());
    // What was sent is remembered by content, which other columns change; all else is the same.
    let state = |run: &crate::harness::run::Run| {
        let mut state = run.last_state("orders").unwrap().clone();
        state["sent"] = json!(null);
        state
    };
    assert_eq!((run.records("orders").len(), state(&run)), (50, state(&whole)));
    assert!(run.stdout.len() * 5 < whole.stdout.len(), "{} of {} bytes", run.stdout.len(), whole.stdout.len());
    let again = read(&config, &catalog, &run.last_state_list());
    assert_eq!(again.records("orders").len(), 0);
}

#[test]
fn all_fields_none_and_nearly_all_ask_for_everything() {
    let store = start(SignIn::Token, Options::default(), minutes("products", 1, 5));
    let config = config(SignIn::Token, &store);
    let mut bare = configured(&[("products", "incremental")]);
    bare["streams"][0]["stream"]["json_schema"] = json!({});
    // So long a list would not fit into a query string; what was not wanted comes with the rest.
    let nearly_all = selecting("products", |name| name != "gtin");
    for catalog in [configured(&[("products", "incremental")]), bare, nearly_all] {
        let run = read(&config, &catalog, &no_state());
        assert_eq!((run.code, run.records("products").len()), (Some(0), 5));
    }
    assert!(store.requests().iter().all(|seen| seen.param("fields").is_none()));
}

#[test]
fn the_older_catalog_of_the_python_connector_is_a_selection() {
    let store = start(SignIn::Token, Options::default(), minutes("orders", 1, 5));
    // It declares a field that no order has, and lacks `location_id`.
    let mut catalog = selecting("orders", |name| name != "location_id");
    catalog["streams"][0]["stream"]["json_schema"]["properties"]["weigh_unit"] = json!({"type": ["null", "string"]});
    let run = read(&config(SignIn::Token, &store), &catalog, &no_state());
    assert_read_is_well_formed(&run, &catalog);
    assert_eq!((run.code, run.records("orders").len()), (Some(0), 5));
    let asked = store.requests()[0].param("fields").unwrap_or_default().to_owned();
    assert!(
        asked.contains("grand_total") && !asked.contains("location_id") && !asked.contains("weigh_unit"),
        "{asked}"
    );
}
