//! Scenarios from seeds with reads that are killed at any byte of their output, until one completes.

use serde_json::{Value, json};

use super::store::{AHEAD, column};
use super::syncs::Syncs;
use crate::fake_cs_cart::{Edition, FakeCsCart, Fault, Judge, Options, RecordedRequest, Sample, Schedule, Version};
use crate::harness::command::Signal;
use crate::harness::run::Run;
use crate::harness::setup::Chance;
use crate::scenarios::run::seeds;

/// Number of attempts that are killed in each sync.
const KILLS: usize = 5;

/// Reads with kills while the store changes, again without changes, and once more: then it is silent. Each seed has both
/// editions, and destinations that keep records after the last state and that do not.
fn prove(name: &str, streams: &[(&str, &str)], table: &str, settings: &Value, judged: fn(Judge) -> Judge) {
    prove_of(Version::default(), (name, streams, table), settings, judged);
}

/// The same with a store of this version.
fn prove_of(
    version: Version,
    (name, streams, table): (&str, &[(&str, &str)], &str),
    settings: &Value,
    judged: fn(Judge) -> Judge,
) {
    for seed in seeds() {
        let is_even = seed.is_multiple_of(2);
        let unchanged = if is_even { Edition::MultiVendor } else { Edition::Ultimate };
        for (edition, changes) in [(Edition::Ultimate, true), (Edition::MultiVendor, true), (unchanged, false)] {
            let keeps = (edition == Edition::Ultimate) != is_even;
            let context = format!("{name}, kills, seed {seed}, {edition:?}, changes {changes}, keeps {keeps}");
            let sizes = Sample { users: 220, now: AHEAD, from: AHEAD - 86_400, ..Sample::new(seed, 60) };
            let options = Options { edition, version, ..Options::default() };
            let mut syncs = Syncs::of(&context, (options, &sizes), streams, settings);
            syncs = syncs.judged(judged).keeping_uncovered(keeps);
            let live = Schedule { retypes: false, ..super::changing::schedule_of(edition, seed, table) };
            if changes {
                syncs.store.options(|options| options.live = Some(live.clone().live()));
            }
            let mut chance = Chance::new(seed);
            // A complete read tells how long an output is.
            let bytes = super::store::read(&syncs.config, &super::store::catalog(streams), "[]").stdout.len() as u64;
            syncs.sync_with_kills(&mut chance, (KILLS, bytes));
            if changes {
                syncs.store.data(|data| Schedule { seed: seed ^ 5, ..live }.play(data, 30));
            }
            syncs.sync_with_kills(&mut chance, (KILLS, bytes / 3));
            syncs.still();
            let last = Schedule { seed: seed ^ 9, ..super::changing::schedule_of(edition, seed, table) };
            syncs.store.data(|data| last.play(data, 1));
            syncs.sync_with_kills(&mut chance, (KILLS, bytes / 6));
            syncs.sync_unchanged();
        }
    }
}

#[test]
fn orders_are_killed_at_any_byte() {
    let settings = json!({ "rows_per_request": 5 });
    let streams = [("orders", "incremental"), ("order_items", "incremental")];
    prove("orders", &streams, "orders", &settings, |judge| judge);
    let streams = [("orders", "full_refresh"), ("order_items", "full_refresh")];
    prove("all orders", &streams, "orders", &settings, |judge| judge);
}

#[test]
fn orders_that_are_requested_one_by_one_are_killed_at_any_byte() {
    let settings = json!({ "rows_per_request": 20, "max_requests_in_flight": 4 });
    let streams = [("orders", "full_refresh"), ("order_items", "full_refresh")];
    prove_of(Version::V4_3_9, ("orders one by one", &streams, "orders"), &settings, |judge| judge);
}

/// Returns a store of a version without complete orders in lists. No two orders share a second.
fn store_of_single_orders(options: Options) -> FakeCsCart {
    let sizes = Sample { ties: 0, incomplete: 0, ..Sample::new(1, 60) };
    FakeCsCart::sample(Options { version: Version::V4_3_9, ..options }, &sizes)
}

/// Continues after a run, and checks that the two have all orders and their lines.
fn assert_rest_is_read(store: &FakeCsCart, config: &Value, catalog: &Value, first: &Run) {
    let rest = super::store::read(config, catalog, &first.last_state_list());
    assert_eq!(rest.code, Some(0), "{}", rest.transcript());
    let history = store.history();
    for stream in ["orders", "order_items"] {
        let (mut all, rest) = (super::store::records(first, stream), super::store::records(&rest, stream));
        assert!(!all.is_empty() && !rest.is_empty(), "{stream}: {} and {}", all.len(), rest.len());
        all.retain(|record| !rest.contains(record));
        all.extend(rest);
        let verdict = Judge::full(stream).sync(&history, store.moment(), &all);
        assert!(verdict.is_right(), "{stream}: {verdict}\n{}", first.transcript());
    }
}

#[test]
fn a_signal_between_orders_that_are_requested_one_by_one_loses_none() {
    let latency = std::time::Duration::from_millis(10);
    let catalog = super::store::catalog(&[("orders", "full_refresh"), ("order_items", "full_refresh")]);
    for number in [8, 30] {
        let store = store_of_single_orders(Options { latency, ..Options::default() });
        let config = super::store::config_with(&store, &json!({ "rows_per_request": 20 }));
        let command = super::store::reading(&config, &catalog, "[]");
        let run = command.signal_when(Signal::Term, || store.counters().requests > number).run();
        assert_eq!(run.code, Some(75), "{}", run.transcript());
        assert_rest_is_read(&store, &config, &catalog, &run);
    }
}

#[test]
fn an_order_that_is_refused_in_the_middle_of_a_page_loses_none_of_the_page() {
    let catalog = super::store::catalog(&[("orders", "full_refresh"), ("order_items", "full_refresh")]);
    for id in ["7", "27"] {
        let fault = move |seen: &RecordedRequest| (seen.id == id).then(|| Fault::error(403, "denied"));
        let store = store_of_single_orders(Options { fault: Some(Box::new(fault)), ..Options::default() });
        let config = super::store::config_with(&store, &json!({ "rows_per_request": 20 }));
        let run = super::store::read(&config, &catalog, "[]");
        assert_eq!(run.statuses("orders").last(), Some(&"INCOMPLETE"), "{}", run.transcript());
        store.options(|options| options.fault = None);
        assert_rest_is_read(&store, &config, &catalog, &run);
    }
}

#[test]
fn incomplete_orders_are_killed_at_any_byte() {
    let settings = json!({ "rows_per_request": 5, "include_incomplete_orders": true });
    prove("incomplete", &[("orders", "incremental")], "orders", &settings, Judge::with_incomplete);
}

#[test]
fn products_are_killed_at_any_byte() {
    let settings = json!({ "rows_per_request": 3 });
    prove("products", &[("products", "incremental")], "products", &settings, |judge| judge);
    prove("all products", &[("products", "full_refresh")], "products", &settings, |judge| judge);
}

#[test]
fn users_are_killed_at_any_byte() {
    let settings = json!({ "rows_per_request": 20, "user_types": ["C", "A"] });
    prove("users", &[("users", "full_refresh")], "users", &settings, |judge| judge.user_types("CA"));
    let settings = json!({ "rows_per_request": 20, "user_types": ["C", "A"], "max_requests_in_flight": 4 });
    prove("users ahead", &[("users", "full_refresh")], "users", &settings, |judge| judge.user_types("CA"));
}

#[test]
fn shipments_and_messages_are_killed_at_any_byte() {
    let settings = json!({ "rows_per_request": 4 });
    prove("shipments", &[("shipments", "full_refresh")], "shipments", &settings, |judge| judge);
    prove("reviews", &[("product_reviews", "full_refresh")], "messages", &settings, |judge| judge);
}

#[test]
fn a_walk_from_the_last_page_repeats_no_row_if_others_are_deleted_before_it_continues() {
    // The deletions move rows that were sent to the pages that are left.
    let sizes = Sample { shipments: 60, ..Sample::new(7, 40) };
    let latency = std::time::Duration::from_millis(10);
    let store = FakeCsCart::sample(Options { latency, ..Options::default() }, &sizes);
    let config = super::store::config_with(&store, &json!({ "rows_per_request": 6 }));
    let catalog = super::store::catalog(&[("shipments", "full_refresh")]);
    let ids = |run: &Run| column(run, "shipments", "shipment_id");
    let first = super::store::reading(&config, &catalog, "[]")
        .signal_when(Signal::Term, || store.counters().requests > 5)
        .run();
    store.data(|data| (1..=10).for_each(|id| _ = data.delete_shipment(id)));
    let rest = super::store::read(&config, &catalog, &first.last_state_list());
    assert_eq!(rest.code, Some(0), "{}", rest.transcript());
    let mut all = [ids(&first), ids(&rest)].concat();
    assert!(!ids(&first).is_empty() && ids(&rest).len() > 6, "{}", first.transcript());
    all.sort_unstable();
    assert_eq!(all, (11..=60).collect::<Vec<_>>(), "{}", rest.transcript());
}

#[test]
fn carts_are_killed_at_any_byte() {
    let settings = json!({ "rows_per_request": 5 });
    prove("carts", &[("carts", "full_refresh")], "carts", &settings, |judge| judge);
    let settings = json!({ "rows_per_request": 5, "max_requests_in_flight": 4 });
    prove("cart items", &[("cart_items", "full_refresh")], "carts", &settings, |judge| judge);
}

#[test]
fn a_signal_ends_with_states_incomplete_and_an_error() {
    for (signal, stream) in [(Signal::Term, "orders"), (Signal::Int, "shipments")] {
        let sizes = Sample { shipments: 300, ..Sample::new(1, 300) };
        let options = Options { latency: std::time::Duration::from_millis(10), ..Options::default() };
        let store = crate::fake_cs_cart::FakeCsCart::sample(options, &sizes);
        let mut config = super::store::config(&store);
        config["rows_per_request"] = json!(5);
        let catalog = super::store::full(stream);
        let command = super::store::reading(&config, &catalog, "[]");
        let run = command.signal_when(signal, || store.counters().requests > 12).run();
        assert_eq!(run.code, Some(75), "{}", run.transcript());
        assert_eq!(run.statuses(stream).last(), Some(&"INCOMPLETE"));
        let covered: f64 = run
            .states(stream)
            .iter()
            .map(|state| state.value["state"]["sourceStats"]["recordCount"].as_f64().unwrap())
            .sum();
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        let records = run.records(stream).len() as f64;
        assert!(records > 0.0 && (covered - records).abs() < 0.5, "{covered} of {records} are covered");
        // The next attempt continues there.
        let rest = super::store::read(&config, &catalog, &run.last_state_list());
        assert_eq!(rest.code, Some(0), "{}", rest.transcript());
        let repeated = run.records(stream).len() + rest.records(stream).len();
        assert!((285..=301).contains(&repeated), "{stream}: {repeated} of 300");
    }
}
