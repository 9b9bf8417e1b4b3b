//! The rules of the walks. Each has a store here that would break a connector without the rule.

use serde_json::{Value, json};

use super::store::{AHEAD, column, requests, told};
use super::syncs::{Syncs, before};
use crate::fake_cs_cart::{Data, Edition, Note, Options, RecordedRequest, Sample, Schedule, WeakHost};
use crate::harness::setup::Chance;
use crate::scenarios::run::seeds;

const FULL: [(&str, &str); 2] = [("orders", "full_refresh"), ("order_items", "full_refresh")];

fn sizes(seed: u64, orders: usize) -> Sample {
    Sample { now: AHEAD, from: AHEAD - 100 * 86_400, ..Sample::new(seed, orders) }
}

/// Returns the requests for pages of complete orders in one second.
fn pages_of_a_second(seen: &[RecordedRequest]) -> Vec<&RecordedRequest> {
    let is_second =
        |seen: &&RecordedRequest| seen.param("time_from").is_some() && seen.param("time_from") == seen.param("time_to");
    let is_page = |seen: &&RecordedRequest| seen.param("page").is_some_and(|page| page != "1");
    seen.iter().filter(is_second).filter(is_page).collect()
}

#[test]
fn a_second_that_fills_a_page_is_read_in_one_answer() {
    // Without the rule: pages inside the second. An order is deleted on the page before.
    for seed in seeds() {
        let mut data = Sample { ties: 0, incomplete: 0, ..sizes(seed, 50) }.data(Edition::Ultimate);
        let second = data.orders.get(20).unwrap().timestamp;
        for id in 15..=45 {
            data.change_order(id, Note::Silent, |order| order.timestamp = second);
        }
        for number in 2..=7 {
            let settings = json!({ "rows_per_request": 10 });
            let context = format!("one second, seed {seed}, deletions before request {number}");
            let mut syncs = Syncs::with(&context, (Options::default(), data.clone()), &FULL, &settings);
            let live = before("orders", number, |data| {
                for id in [16, 17, 18, 26, 27] {
                    data.delete("orders", id);
                }
            });
            syncs.store.options(|options| options.live = Some(live));
            syncs.sync();
            let all = requests(&syncs.store, "orders");
            assert!(pages_of_a_second(&all).is_empty(), "{context}: {}", told(&syncs.store));
            let is_short = |seen: &RecordedRequest| {
                seen.param("items_per_page") == Some("0") && seen.param("get_orders_data").is_none()
            };
            assert!(all.iter().any(is_short), "{context}: {}", told(&syncs.store));
        }
    }
}

#[test]
fn an_order_that_joins_the_filter_in_a_full_second_moves_no_other() {
    let mut data = Sample { ties: 0, incomplete: 0, ..sizes(3, 50) }.data(Edition::Ultimate);
    let second = data.orders.get(20).unwrap().timestamp;
    for id in 10..=45 {
        data.change_order(id, Note::Silent, |order| order.timestamp = second);
    }
    let settings = json!({ "rows_per_request": 5 });
    let streams = [("orders", "incremental")];
    for number in 1..=12 {
        let context = format!("before request {number}");
        let mut syncs = Syncs::with(&context, (Options::default(), data.clone()), &streams, &settings);
        syncs.sync();
        // Half of the second changes; while it is read, orders with smaller ids join.
        syncs.store.data(|data| {
            data.tick(1_000);
            (24..=45).for_each(|id| _ = data.set_status(id, 'C'));
        });
        let live = before("orders", number, |data| {
            data.tick(5);
            (11..=20).for_each(|id| _ = data.set_status(id, 'P'));
        });
        syncs.sync_during(live);
    }
}

#[test]
fn rows_dated_ahead_of_the_clock_are_read() {
    let streams = [("orders", "full_refresh"), ("order_items", "full_refresh"), ("products", "full_refresh")];
    let incremental = streams.map(|(name, _)| (name, "incremental"));
    for streams in [streams, incremental] {
        let sizes = Sample { ahead: 14, products: 40, incomplete: 0, ..sizes(2, 50) };
        let mut syncs = Syncs::of("ahead", (Options::default(), &sizes), &streams, &json!({ "rows_per_request": 5 }));
        let run = syncs.sync();
        assert!(column(&run, "orders", "order_id").contains(&50), "{}", told(&syncs.store));
        for object in ["orders", "products"] {
            let is_walk = |seen: &&RecordedRequest| seen.param("sort_order") == Some("asc");
            let all = requests(&syncs.store, object);
            let first = all.iter().find(is_walk).unwrap();
            assert_eq!(first.param("period"), None, "the first request has rows of all dates: {}", first.target);
            let ends: Vec<&str> = all.iter().filter_map(|seen| seen.param("time_to")).collect();
            assert!(ends.contains(&"4102444800"), "{object}: {ends:?}");
        }
    }
}

#[test]
fn products_whose_dates_move_behind_the_walk_are_sent_once() {
    for seed in seeds() {
        for number in 1..=8 {
            let sizes = Sample { products: 40, ..sizes(seed, 10) };
            let mut data = sizes.data(Edition::Ultimate);
            // No product is hidden for having no category.
            for id in 1..=40 {
                data.change_product(id, Note::Silent, |product| product.category_ids = vec![1]);
            }
            let settings = json!({ "rows_per_request": 5 });
            let streams = [("products", "full_refresh")];
            let context = format!("seed {seed}, before request {number}");
            let mut syncs = Syncs::with(&context, (Options::default(), data), &streams, &settings);
            let live = before("products", number, |data| {
                // Late ones become old, and old ones late.
                let (first, last) = (data.products.get(2).unwrap().timestamp, data.now);
                (30..=40).for_each(|id| _ = data.move_product(id, first + id));
                (1..=6).for_each(|id| _ = data.move_product(id, last - id));
            });
            syncs.store.options(|options| options.live = Some(live));
            let run = syncs.sync();
            assert_eq!(run.records("products").len(), 40, "{context}: {}", told(&syncs.store));
        }
    }
}

#[test]
fn users_are_read_in_blocks_whose_address_is_short_enough() {
    let sizes = Sample { users: 400, ..sizes(4, 10) };
    let settings = json!({ "rows_per_request": 50, "user_types": ["C", "A"] });
    let mut syncs = Syncs::of("users", (Options::default(), &sizes), &[("users", "full_refresh")], &settings)
        .judged(|judge| judge.user_types("CA"));
    // Before each request, users of small ids go away.
    syncs.store.options(|options| {
        let mut id = 3;
        options.live = Some(Box::new(move |data, _| {
            id += 7;
            data.delete("users", id);
            data.add_user('C');
        }));
    });
    syncs.sync();
    let all = requests(&syncs.store, "users");
    assert!(all.len() <= 2 * (2 + 5), "{}", told(&syncs.store));
    let blocks: Vec<usize> =
        all.iter().map(|seen| seen.query.iter().filter(|(name, _)| name == "user_ids[]").count()).collect();
    assert!(blocks.iter().all(|keys| *keys <= 100), "{blocks:?}");
    assert!(all.iter().all(|seen| seen.target.len() < 4_000), "{}", told(&syncs.store));
}

#[test]
fn users_of_another_type_meanwhile_hide_no_others() {
    for seed in seeds() {
        let sizes = Sample { users: 230, ..sizes(seed, 10) };
        let settings = json!({ "rows_per_request": 20, "user_types": ["C", "A"] });
        let live = Schedule { changes: 6, ..super::changing::schedule(seed, "users") };
        let options = Options { live: Some(live.live()), ..Options::default() };
        let context = format!("types change, seed {seed}");
        let mut syncs = Syncs::of(&context, (options, &sizes), &[("users", "full_refresh")], &settings)
            .judged(|judge| judge.user_types("CA"));
        syncs.sync();
        assert!(syncs.store.requests().len() <= 20, "{}", told(&syncs.store));
    }
}

/// Returns a store of users, three of them with ids far from the others.
fn distant_users() -> Syncs {
    let mut data = Sample { users: 40, ..sizes(5, 10) }.data(Edition::Ultimate);
    let user = data.users.get(20).unwrap().clone();
    for id in [90_000, 3_000_000, 3_000_001] {
        data.users.seed(id, crate::fake_cs_cart::User { user_id: id, ..user.clone() });
    }
    let settings = json!({ "rows_per_request": 10 });
    Syncs::with("gaps", (Options::default(), data), &[("users", "full_refresh")], &settings)
}

#[test]
fn users_with_distant_ids_take_few_requests() {
    let mut syncs = distant_users();
    syncs.sync();
    assert!(syncs.store.requests().len() <= 8, "{}", told(&syncs.store));
}

#[test]
fn a_user_that_is_deleted_before_distant_ids_are_read_costs_one_request() {
    let mut syncs = distant_users();
    syncs.store.options(|options| options.live = Some(before("users", 3, |data| _ = data.delete("users", 20))));
    syncs.sync();
    assert!(syncs.store.requests().len() <= 8, "{}", told(&syncs.store));
}

/// Deletes rows of an object with small and middle keys before each request.
fn deleting(object: &'static str) -> super::syncs::Change {
    let mut chance = Chance::new(5);
    Box::new(move |data, seen| {
        if seen.object == object && seen.n < 25 {
            for _ in 0..3 {
                let id = 1 + i64::try_from(chance.below(60)).unwrap();
                data.delete(object, id);
            }
        }
    })
}

#[test]
fn deletions_move_no_row_of_a_list_that_is_read_from_its_end() {
    for (stream, weak) in
        [("shipments", false), ("shipments", true), ("call_requests", true), ("product_reviews", false)]
    {
        let sizes = Sample { shipments: 80, messages: 80, ..sizes(6, 40) };
        let limit = WeakHost { rows: 3, only_complete: false, status: 500 };
        let options = Options { weak: weak.then_some(limit), live: Some(deleting(stream)), ..Options::default() };
        let settings = json!({ "rows_per_request": 7, "_retry_seconds": 5 });
        let context = format!("{stream}, weak host {weak}");
        let mut syncs = Syncs::of(&context, (options, &sizes), &[(stream, "full_refresh")], &settings);
        syncs.sync();
        let pages: Vec<u64> =
            requests(&syncs.store, stream).iter().map(|seen| seen.param("page").unwrap().parse().unwrap()).collect();
        assert!(pages.windows(2).filter(|pair| pair[0] < pair[1]).count() <= 6, "{context}: {pages:?}");
    }
}

#[test]
fn shipments_of_many_at_once_deleted_do_not_repeat_or_hide_rows() {
    // Half of the list goes away, and the page that comes is another one than requested.
    for number in 2..=6 {
        let sizes = Sample { shipments: 60, ..sizes(7, 40) };
        let live = before("shipments", number, |data| {
            (1..=40).for_each(|id| _ = data.delete("shipments", id));
        });
        let options = Options { live: Some(live), ..Options::default() };
        let context = format!("before request {number}");
        let settings = json!({ "rows_per_request": 6 });
        Syncs::of(&context, (options, &sizes), &[("shipments", "full_refresh")], &settings).sync();
    }
}

#[test]
fn shipments_added_during_the_read_are_sent() {
    let sizes = Sample { shipments: 30, ..sizes(8, 40) };
    let live = before("shipments", 3, |data| (1..=9).for_each(|id| _ = data.ship_order(id)));
    let options = Options { live: Some(live), ..Options::default() };
    let settings = json!({ "rows_per_request": 6 });
    let mut syncs = Syncs::of("added", (options, &sizes), &[("shipments", "full_refresh")], &settings);
    let run = syncs.sync();
    assert_eq!(run.records("shipments").len(), 39, "the last page is read once more: {}", told(&syncs.store));
}

#[test]
fn a_killed_sync_leaves_an_unchanged_store_silent() {
    // Without the rows sent since shortly before the cursor in its checkpoints, they would come again.
    for seed in seeds() {
        for stream in ["orders", "products"] {
            let streams = [(stream, "incremental")];
            let sizes = Sample { products: 60, ..sizes(seed, 60) };
            let settings = json!({ "rows_per_request": 4 });
            let context = format!("{stream}, seed {seed}");
            let mut syncs = Syncs::of(&context, (Options::default(), &sizes), &streams, &settings);
            let bytes = syncs.sync().stdout.len() as u64;
            // Many change within the overlap, and some while they are read.
            syncs.store.data(|data| {
                data.tick(1_000);
                for id in 1..=50 {
                    if id % 3 == 0 {
                        data.tick(1);
                    }
                    match stream {
                        "orders" => _ = data.set_status(id, 'C'),
                        _ => _ = data.edit_product(id),
                    }
                }
            });
            let live = Schedule { seconds: 2, last: Some(40), ..Schedule::of(seed, stream) };
            syncs.store.options(|options| options.live = Some(live.live()));
            let mut chance = Chance::new(seed);
            let attempts = syncs.sync_with_kills(&mut chance, (6, bytes / 3));
            assert!(attempts > 1, "{context}: it was not killed");
            syncs.still();
            syncs.store.data(|data| Schedule::of(seed, stream).play(data, 0));
            syncs.sync();
            syncs.sync_unchanged();
        }
    }
}

#[test]
fn a_page_that_cannot_be_read_is_halved_in_time() {
    for stream in ["orders", "products"] {
        for ties in [0, 50, 95] {
            let mut data = Sample { ties, incomplete: 0, products: 60, ..sizes(9, 60) }.data(Edition::Ultimate);
            for id in [8, 9, 40] {
                data.broken.insert((stream, id));
            }
            let settings: Value = json!({ "rows_per_request": 12 });
            let context = format!("{stream}, {ties} % share a second");
            let streams = [(stream, "full_refresh")];
            let mut syncs = Syncs::with(&context, (Options::default(), data), &streams, &settings)
                .judged(|judge| judge.unreadable(&[&[8], &[9], &[40]]));
            syncs.is_complete = false;
            let run = syncs.sync();
            assert_eq!(run.statuses(stream).last(), Some(&"INCOMPLETE"), "{context}");
            assert!(syncs.store.requests().len() < 400, "{context}: {}", told(&syncs.store));
            // An empty body is requested once more before the page is halved.
            let empty: Vec<RecordedRequest> =
                requests(&syncs.store, stream).into_iter().filter(|seen| seen.bytes == 0).collect();
            assert_eq!(empty[0].target, empty[1].target, "{context}: {}", told(&syncs.store));
        }
    }
}

#[test]
fn an_empty_body_once_is_only_a_fault() {
    for stream in ["orders", "products", "users", "shipments", "categories", "carts"] {
        let mut syncs = Syncs::of(
            stream,
            (Options::default(), &sizes(1, 40)),
            &[(stream, "full_refresh")],
            &json!({ "rows_per_request": 10 }),
        );
        syncs.store.options(|options| {
            let mut was_empty = false;
            options.fault = Some(Box::new(move |seen| {
                (seen.n == 2 && !std::mem::replace(&mut was_empty, true)).then_some(crate::fake_cs_cart::Fault::Empty)
            }));
        });
        let run = syncs.sync();
        assert!(run.warnings().is_empty(), "{stream}: {:?}", run.warnings());
    }
}

#[test]
fn a_product_that_is_saved_late_behind_the_walk_is_read() {
    // Its date of change is before the newest one, within the two minutes in which a save may become visible late.
    for number in 2..=6 {
        let mut data = Sample { ties: 0, products: 40, ..sizes(5, 20) }.data(Edition::Ultimate);
        data.tick(100);
        data.edit_product(3);
        let until = data.now;
        // A product in no category is not listed.
        let listed = |data: &Data| -> Vec<i64> {
            data.products.iter().filter(|(_, product)| !product.category_ids.is_empty()).map(|(id, _)| *id).collect()
        };
        let all = listed(&data);
        let (first, last) = (data.products.get(1).unwrap().timestamp, *all.last().unwrap());
        let settings = json!({ "rows_per_request": 10 });
        let context = format!("saved late before request {number}");
        let streams = [("products", "full_refresh")];
        let mut syncs = Syncs::with(&context, (Options::default(), data), &streams, &settings);
        let live = before("products", number, move |data| {
            data.change_product(last, Note::Silent, |product| {
                (product.timestamp, product.updated_timestamp) = (first, until - 10);
            });
        });
        syncs.store.options(|options| options.live = Some(live));
        let run = syncs.sync();
        assert_eq!(super::store::sorted(&run, "products", "product_id"), all, "{context}: {}", told(&syncs.store));
    }
}
