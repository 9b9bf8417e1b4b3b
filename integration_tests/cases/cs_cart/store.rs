//! Configs, runs and requests that many tests need.

use serde_json::{Value, json};

use crate::fake_cs_cart::{Account, EMAIL, Edition, FakeCsCart, KEY, Options, RecordedRequest, Sample, Version};
use crate::harness::command::Command;
use crate::harness::message::Message;
use crate::harness::run::Run;
use crate::harness::shop::Shop;

/// Length limit of the target of a request, as common web servers have it, in bytes.
const LONGEST_TARGET: usize = 8_190;

/// Start of the clock of stores whose clock must be ahead of this machine's: 2033-05-18.
pub(super) const AHEAD: i64 = 2_000_000_000;

/// Every edition with every version that differs.
pub(super) const KINDS: [(Edition, Version); 8] = [
    (Edition::Ultimate, Version::V4_3_9),
    (Edition::Ultimate, Version::V4_11),
    (Edition::Ultimate, Version::V4_13),
    (Edition::Ultimate, Version::V4_20),
    (Edition::MultiVendor, Version::V4_3_9),
    (Edition::MultiVendor, Version::V4_11),
    (Edition::MultiVendor, Version::V4_13),
    (Edition::MultiVendor, Version::V4_20),
];

/// Returns a config for a store. Retries end soon.
pub(super) fn config(store: &FakeCsCart) -> Value {
    json!({ "store_url": store.url(), "email": EMAIL, "api_key": KEY, "_retry_seconds": 2 })
}

/// Returns a config with more settings.
pub(super) fn config_with(store: &FakeCsCart, more: &Value) -> Value {
    let mut config = config(store);
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

/// Returns a small store: 60 orders and the other tables in proportion.
pub(super) fn sample(options: Options) -> FakeCsCart {
    FakeCsCart::sample(options, &Sample::new(1, 60))
}

/// Returns a store whose administrator has these privileges.
pub(super) fn limited(privileges: &[&str]) -> FakeCsCart {
    sample(Options { accounts: vec![Account::limited(privileges)], ..Options::default() })
}

/// Returns a configured catalog of these streams.
pub(super) fn catalog(streams: &[(&str, &str)]) -> Value {
    Shop::CsCart.configured(streams)
}

/// Returns a configured catalog of one stream, which is read completely.
pub(super) fn full(stream: &str) -> Value {
    catalog(&[(stream, "full_refresh")])
}

/// Returns the names of the streams that an edition has.
pub(super) fn streams_of(edition: Edition) -> Vec<&'static str> {
    let absent = if edition == Edition::Ultimate { "vendors" } else { "stores" };
    let streams = Shop::CsCart.discovered()["streams"].as_array().unwrap();
    streams.iter().filter_map(|stream| stream["name"].as_str()).filter(|name| *name != absent).collect()
}

/// Returns a configured catalog of all streams that an edition has, each read completely.
pub(super) fn everything(edition: Edition) -> Value {
    let streams: Vec<(&str, &str)> = streams_of(edition).into_iter().map(|name| (name, "full_refresh")).collect();
    catalog(&streams)
}

/// Runs `read`.
pub(super) fn read(config: &Value, catalog: &Value, state: &str) -> Run {
    reading(config, catalog, state).run()
}

/// Returns the command `read`.
pub(super) fn reading<'a>(config: &Value, catalog: &Value, state: &str) -> Command<'a> {
    Command::of(Shop::CsCart, "read").config(config).catalog(catalog).state(state)
}

/// Runs a full refresh of one stream.
pub(super) fn read_full(store: &FakeCsCart, stream: &str) -> Run {
    read(&config(store), &full(stream), "[]")
}

/// Returns the data of a stream's records.
pub(super) fn records(run: &Run, stream: &str) -> Vec<Value> {
    run.records(stream).into_iter().map(Message::data_value).collect()
}

/// Returns a column of a stream's records as numbers, in the order of the output.
pub(super) fn column(run: &Run, stream: &str, name: &str) -> Vec<i64> {
    records(run, stream).iter().map(|record| record[name].as_i64().unwrap()).collect()
}

/// Returns a column of a stream's records as numbers, in ascending order.
pub(super) fn sorted(run: &Run, stream: &str, name: &str) -> Vec<i64> {
    let mut values = column(run, stream, name);
    values.sort_unstable();
    values
}

/// Returns the requests for an object.
pub(super) fn requests(store: &FakeCsCart, object: &str) -> Vec<RecordedRequest> {
    store.requests().into_iter().filter(|seen| seen.object == object).collect()
}

/// Returns the requests of a store, for the message of a failing assertion.
pub(super) fn told(store: &FakeCsCart) -> String {
    const SHOWN: usize = 60;
    let requests = store.requests();
    let lines: Vec<String> =
        requests.iter().map(|seen| format!("{} {} {} rows", seen.target, seen.status, seen.rows)).collect();
    let left_out = lines.len().saturating_sub(SHOWN);
    format!("{} requests, the last of them:\n{}", lines.len(), lines[left_out..].join("\n"))
}

/// Panics if a request breaks a rule that holds for all requests.
pub(super) fn assert_requests_are_sound(store: &FakeCsCart) {
    for seen in store.requests() {
        let target = &seen.target;
        assert_eq!((seen.method.as_str(), seen.version.as_str()), ("GET", "2.0"), "{target}");
        assert!(target.len() <= LONGEST_TARGET, "{} bytes: {target}", target.len());
        assert!(seen.header("authorization").is_some_and(|value| value.starts_with("Basic ")), "{target}");
        if seen.object == "version" || !seen.id.is_empty() {
            continue;
        }
        assert!(seen.param("items_per_page").is_some(), "the default is a setting of the store: {target}");
        let is_timed = ["time_from", "time_to"].map(|name| seen.param(name).is_some());
        let is_counted = seen.param("period") == Some("C");
        assert!(is_timed == [is_counted; 2], "times need a period, and the end is now without an end: {target}");
        if seen.object == "users" {
            assert!(seen.param("user_type").is_some(), "{target}");
        }
    }
}
