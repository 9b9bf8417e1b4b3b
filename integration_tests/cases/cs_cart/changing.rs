//! Scenarios from seeds: full refreshes and incremental syncs of a store that changes before each request.
//!
//! Each ends with nothing missing, stale or doubled. `SCENARIO_SEEDS` and `SCENARIO_SEED` choose the seeds, as for the
//! other scenarios.

use serde_json::{Value, json};

use super::store::AHEAD;
use super::syncs::Syncs;
use crate::fake_cs_cart::{Edition, Judge, Options, Sample, Schedule, Version};
use crate::scenarios::run::seeds;

/// Number of requests after which a store stops changing: far more than a read of a small store needs.
const LAST: usize = 150;

/// Returns a schedule that changes one table until a read has long ended.
pub(super) fn schedule(seed: u64, table: &str) -> Schedule {
    Schedule { last: Some(LAST), ..Schedule::of(seed, table) }
}

/// Returns a schedule that changes one table of a store of this edition until a read has long ended.
pub(super) fn schedule_of(edition: Edition, seed: u64, table: &str) -> Schedule {
    let cart_companies = if edition == Edition::Ultimate { vec![1, 2] } else { vec![0] };
    Schedule { cart_companies, ..schedule(seed, table) }
}

/// A scenario: streams, the table that changes, and settings.
struct Scenario<'s> {
    name: &'s str,
    streams: &'s [(&'s str, &'s str)],
    table: &'s str,
    settings: Value,
    sizes: fn(u64) -> Sample,
    judged: fn(Judge) -> Judge,
    version: Version,
}

impl Default for Scenario<'_> {
    fn default() -> Self {
        Scenario {
            name: "",
            streams: &[],
            table: "",
            settings: json!({ "rows_per_request": 7 }),
            sizes: |seed| Sample { now: AHEAD, from: AHEAD - 300 * 86_400, ..Sample::new(seed, 40) },
            judged: |judge| judge,
            version: Version::V4_20,
        }
    }
}

impl Scenario<'_> {
    /// Reads while the store changes, changes it again, and reads until it is silent; in both editions, from every seed.
    fn prove(&self) {
        for seed in seeds() {
            self.prove_in(Edition::Ultimate, seed);
            self.prove_in(Edition::MultiVendor, seed);
        }
    }

    fn prove_in(&self, edition: Edition, seed: u64) {
        let live = schedule_of(edition, seed, self.table);
        let options = Options { edition, version: self.version, ..Options::default() };
        let context = format!("{} {edition:?} seed {seed}", self.name);
        let mut syncs = Syncs::of(&context, (options, &(self.sizes)(seed)), self.streams, &self.settings);
        syncs = syncs.judged(self.judged);
        syncs.store.options(|options| options.live = Some(live.clone().live()));
        syncs.sync();
        // Between two syncs, and during the second one.
        syncs.store.data(|data| Schedule { seed: seed ^ 7, ..live.clone() }.play(data, 25));
        syncs.store.options(|options| options.live = Some(Schedule { seed: seed ^ 77, ..live.clone() }.live()));
        syncs.sync();
        syncs.still();
        // The last change of the schedule may be open: an order gets its status with the next one.
        syncs.store.data(|data| Schedule { seed: seed ^ 777, ..live }.play(data, 1));
        syncs.sync();
        syncs.sync_unchanged();
    }
}

const ORDERS: &[(&str, &str)] = &[("orders", "incremental"), ("order_items", "incremental")];
const ALL_ORDERS: &[(&str, &str)] = &[("orders", "full_refresh"), ("order_items", "full_refresh")];

#[test]
fn orders_incrementally() {
    Scenario { name: "orders", streams: ORDERS, table: "orders", ..Scenario::default() }.prove();
}

#[test]
fn orders_completely() {
    Scenario { name: "all orders", streams: ALL_ORDERS, table: "orders", ..Scenario::default() }.prove();
}

#[test]
fn orders_with_incomplete_ones() {
    for streams in [ORDERS, ALL_ORDERS] {
        Scenario {
            name: "incomplete orders",
            streams,
            table: "orders",
            settings: json!({ "rows_per_request": 7, "include_incomplete_orders": true }),
            judged: Judge::with_incomplete,
            ..Scenario::default()
        }
        .prove();
    }
}

#[test]
fn orders_that_share_their_seconds() {
    for streams in [ORDERS, ALL_ORDERS] {
        Scenario {
            name: "95 % share a second",
            streams,
            table: "orders",
            sizes: |seed| Sample { ties: 95, now: AHEAD, from: AHEAD - 86_400, ..Sample::new(seed, 60) },
            ..Scenario::default()
        }
        .prove();
    }
}

#[test]
fn orders_of_an_upgraded_store_dated_ahead() {
    for streams in [ORDERS, ALL_ORDERS] {
        Scenario {
            name: "upgraded and ahead",
            streams,
            table: "orders",
            sizes: |seed| Sample { upgraded: 40, ahead: 4, now: AHEAD, from: AHEAD - 86_400, ..Sample::new(seed, 40) },
            ..Scenario::default()
        }
        .prove();
    }
}

#[test]
fn orders_of_older_versions_completely() {
    for (name, version) in [("4.3.9", Version::V4_3_9), ("4.11", Version::V4_11)] {
        Scenario { name, version, streams: ALL_ORDERS, table: "orders", ..Scenario::default() }.prove();
    }
}

#[test]
fn products_incrementally() {
    let streams = &[("products", "incremental")];
    Scenario { name: "products", streams, table: "products", ..Scenario::default() }.prove();
}

#[test]
fn products_completely_while_their_dates_move() {
    Scenario {
        name: "all products",
        streams: &[("products", "full_refresh")],
        table: "products",
        settings: json!({ "rows_per_request": 4 }),
        ..Scenario::default()
    }
    .prove();
}

#[test]
fn products_that_share_their_seconds() {
    for mode in ["incremental", "full_refresh"] {
        Scenario {
            name: "products of an import",
            streams: &[("products", mode)],
            table: "products",
            sizes: |seed| Sample {
                ties: 95,
                products: 50,
                ahead: 2,
                now: AHEAD,
                from: AHEAD - 86_400,
                ..Sample::new(seed, 20)
            },
            ..Scenario::default()
        }
        .prove();
    }
}

#[test]
fn carts_by_windows() {
    let streams = &[("carts", "full_refresh")];
    Scenario { name: "carts", streams, table: "carts", ..Scenario::default() }.prove();
}

#[test]
fn cart_items_by_windows() {
    let streams = &[("cart_items", "full_refresh")];
    Scenario {
        name: "cart items",
        streams,
        table: "carts",
        sizes: |seed| Sample { carts: 15, now: AHEAD, from: AHEAD - 86_400, ..Sample::new(seed, 20) },
        ..Scenario::default()
    }
    .prove();
}

#[test]
fn users_by_blocks_of_ids() {
    Scenario {
        name: "users",
        streams: &[("users", "full_refresh")],
        table: "users",
        settings: json!({ "rows_per_request": 20, "user_types": ["C", "A", "V"] }),
        sizes: |seed| Sample { users: 250, now: AHEAD, from: AHEAD - 86_400, ..Sample::new(seed, 20) },
        judged: |judge| judge.user_types("CAV"),
        ..Scenario::default()
    }
    .prove();
}

#[test]
fn shipments_from_the_last_page() {
    Scenario {
        name: "shipments",
        streams: &[("shipments", "full_refresh")],
        table: "shipments",
        settings: json!({ "rows_per_request": 4 }),
        ..Scenario::default()
    }
    .prove();
}

#[test]
fn messages_from_the_last_page() {
    Scenario {
        name: "messages",
        streams: &[("call_requests", "full_refresh"), ("product_reviews", "full_refresh")],
        table: "messages",
        settings: json!({ "rows_per_request": 3 }),
        sizes: |seed| Sample { messages: 30, now: AHEAD, from: AHEAD - 86_400, ..Sample::new(seed, 20) },
        ..Scenario::default()
    }
    .prove();
}

#[test]
fn a_weak_host_that_changes() {
    for streams in [ORDERS, &[("shipments", "full_refresh")], &[("users", "full_refresh")]] {
        for seed in seeds() {
            let table = if streams.len() == 2 { "orders" } else { streams[0].0 };
            let weak = crate::fake_cs_cart::WeakHost { rows: 5, only_complete: false, status: 500 };
            let live = Schedule { retypes: false, ..schedule(seed, table) };
            let options = Options { weak: Some(weak), live: Some(live.live()), ..Options::default() };
            let settings = json!({ "rows_per_request": 16, "_retry_seconds": 60 });
            let context = format!("a weak host, {table}, seed {seed}");
            let sizes = Sample { ties: 50, ..Sample::new(seed, 50) };
            let mut syncs = Syncs::of(&context, (options, &sizes), streams, &settings);
            syncs.sync();
            syncs.still();
            syncs.sync();
        }
    }
}
