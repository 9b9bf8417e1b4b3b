//! Scenarios from seeds with reads that are killed at any byte of their output, until one completes.

use serde_json::{Value, json};

use super::store::AHEAD;
use super::syncs::Syncs;
use crate::fake_cs_cart::{Judge, Options, Sample, Schedule};
use crate::harness::command::Signal;
use crate::harness::setup::Chance;
use crate::scenarios::run::seeds;

/// Number of attempts that are killed in each sync.
const KILLS: usize = 5;

/// Reads with kills while the store changes, again without changes, and once more: then it is silent.
fn prove(name: &str, streams: &[(&str, &str)], table: &str, settings: &Value, judged: fn(Judge) -> Judge) {
    for seed in seeds() {
        for changes in [true, false] {
            let context = format!("{name}, kills, seed {seed}, changes {changes}");
            let sizes = Sample { users: 220, now: AHEAD, from: AHEAD - 86_400, ..Sample::new(seed, 60) };
            let mut syncs = Syncs::of(&context, (Options::default(), &sizes), streams, settings);
            syncs = syncs.judged(judged).keeping_uncovered(seed.is_multiple_of(2));
            let live = Schedule { retypes: false, ..super::changing::schedule(seed, table) };
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
            syncs.store.data(|data| Schedule::of(seed ^ 9, table).play(data, 1));
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
}

#[test]
fn shipments_and_messages_are_killed_at_any_byte() {
    let settings = json!({ "rows_per_request": 4 });
    prove("shipments", &[("shipments", "full_refresh")], "shipments", &settings, |judge| judge);
    prove("reviews", &[("product_reviews", "full_refresh")], "messages", &settings, |judge| judge);
}

#[test]
fn carts_are_killed_at_any_byte() {
    let settings = json!({ "rows_per_request": 5 });
    prove("carts", &[("carts", "full_refresh")], "carts", &settings, |judge| judge);
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
