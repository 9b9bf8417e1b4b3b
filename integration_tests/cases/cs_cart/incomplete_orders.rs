//! Incomplete orders, which can have any date: what finds them, and what a sync remembers of them.

use serde_json::json;

use super::store::{AHEAD, column, read, sorted, told};
use super::syncs::{Syncs, before};
use crate::fake_cs_cart::{Data, Fault, Judge, Note, Options, Random, RecordedRequest, Sample};

/// Returns the syncs of a store whose clock is ahead of this machine's. No two orders share a second.
fn orders(context: &str, streams: &[(&str, &str)]) -> Syncs {
    let sizes = Sample { ties: 0, incomplete: 0, now: AHEAD, from: AHEAD - 100 * 86_400, ..Sample::new(11, 40) };
    let settings = json!({ "rows_per_request": 10, "include_incomplete_orders": true });
    Syncs::of(context, (Options::default(), &sizes), streams, &settings).judged(Judge::with_incomplete)
}

const ORDERS: &[(&str, &str)] = &[("orders", "incremental")];
const BOTH: &[(&str, &str)] = &[("orders", "incremental"), ("order_items", "incremental")];

/// Adds an incomplete order with this id and a date of the past.
fn import_with_id(data: &mut Data, id: i64) {
    let mut order = data.orders.get(20).unwrap().clone();
    (order.order_id, order.status) = (id, 'N');
    (order.timestamp, order.updated_at) = (data.now - 50 * 86_400, data.now - 50 * 86_400);
    let moment = data.next_step();
    data.orders.put(id, order, moment, Note::Stamped);
}

#[test]
fn one_that_appears_ahead_of_the_walk_comes_once() {
    for streams in [ORDERS, BOTH] {
        // Before the search of the newest change, the request for the greatest id, and each page.
        for number in 1..=9 {
            let mut syncs = orders(&format!("ahead of the walk, request {number}"), streams);
            // Its date is long before the newest change.
            syncs.store.data(|data| {
                data.tick(1_000);
                data.set_status(40, 'C');
            });
            let live = before("orders", number, |data| {
                let time = data.now - 86_400;
                data.import_incomplete_order(&mut Random::new(4), time);
            });
            syncs.store.options(|options| options.live = Some(live));
            syncs.sync();
            syncs.still();
            syncs.sync_unchanged();
        }
    }
}

#[test]
fn those_of_an_interrupted_walk_come_once() {
    for streams in [ORDERS, BOTH] {
        let mut syncs = orders("interrupted", streams);
        syncs.sync();
        let state = json!([
            { "stream_descriptor": { "name": "orders" }, "stream_state": syncs.state("orders") },
            { "stream_descriptor": { "name": "order_items" }, "stream_state": syncs.state("order_items") },
        ]);
        let ids: Vec<i64> = syncs.store.data(|data| {
            let place = |data: &mut Data| {
                data.tick(1_000);
                data.place_order(&mut Random::new(4))
            };
            (0..30).map(|_| place(data)).collect()
        });
        // The third page of the walk is refused.
        let mut pages = 0;
        syncs.store.options(|options| {
            options.fault = Some(Box::new(move |seen: &RecordedRequest| {
                pages += usize::from(seen.param("sort_order") == Some("asc"));
                (pages == 3).then(|| Fault::error(403, "denied"))
            }));
        });
        let catalog = super::store::catalog(streams);
        let first = read(&syncs.config, &catalog, &state.to_string());
        assert_eq!(first.statuses("orders").last(), Some(&"INCOMPLETE"), "{}", first.transcript());
        syncs.store.options(|options| options.fault = None);
        let rest = read(&syncs.config, &catalog, &first.last_state_list());
        assert_eq!(rest.code, Some(0), "{}", rest.transcript());
        let mut came = [column(&first, "orders", "order_id"), column(&rest, "orders", "order_id")].concat();
        came.sort_unstable();
        assert!(!first.records("orders").is_empty() && came == ids, "{came:?}\n{}", told(&syncs.store));
    }
}

#[test]
fn a_gap_between_two_ids_costs_few_requests() {
    let mut syncs = orders("a gap", BOTH);
    syncs.sync();
    syncs.store.data(|data| {
        data.tick(5_000);
        import_with_id(data, 10_000_000);
    });
    assert_eq!(sorted(&syncs.sync(), "orders", "order_id"), [10_000_000], "{}", told(&syncs.store));
    assert!(syncs.store.requests().len() < 10, "{}", told(&syncs.store));
    syncs.sync_unchanged();
    // More than a page, with gaps of any size between them, and a part of them deleted meanwhile.
    for deleted in [0, 40] {
        let first = 11_000_000 + 2_000_000 * deleted;
        let ids: Vec<i64> = (0..700).map(|n| first + n * 1_000 + n % 7).collect();
        syncs.store.data(|data| ids.iter().for_each(|&id| import_with_id(data, id)));
        let (mut next, gone) = (ids.clone().into_iter().rev().step_by(3), deleted);
        syncs.store.options(|options| {
            options.live = Some(Box::new(move |data, _| {
                for id in next.by_ref().take(usize::try_from(gone).unwrap()) {
                    data.delete("orders", id);
                }
            }));
        });
        let run = syncs.sync();
        assert!(run.records("orders").len() > 400, "{}", told(&syncs.store));
        assert!(syncs.store.requests().len() < 90, "{}", told(&syncs.store));
        syncs.still();
        syncs.sync_unchanged();
    }
}
