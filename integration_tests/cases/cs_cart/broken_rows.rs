//! Rows that the store cannot send: their text is not UTF-8, so each answer with one is empty. The stream names them,
//! has all others, and ends INCOMPLETE.

use serde_json::json;

use super::store::told;
use super::syncs::Syncs;
use crate::fake_cs_cart::{
    Data, Edition, Fault, Judge, Options, Random, RecordedRequest, Sample, User, Version, WeakHost,
};
use crate::harness::run::Run;

/// Reads streams of a store with broken rows: those are excused, and all others are there.
fn read_broken(context: &str, data: Data, streams: &[(&str, &str)], keys: &[&[i64]], rows: usize) -> (Run, Syncs) {
    let settings = json!({ "rows_per_request": rows });
    let mut syncs = Syncs::with(context, (Options::default(), data), streams, &settings);
    syncs = syncs.judged(|judge| judge.unreadable(keys));
    syncs.is_complete = false;
    let run = syncs.sync();
    (run, syncs)
}

/// Checks that a stream is INCOMPLETE and that its error names these rows.
fn assert_names(run: &Run, stream: &str, ids: &[i64], syncs: &Syncs) {
    let context = format!("{}\n{}", run.transcript(), told(&syncs.store));
    assert_eq!((run.code, run.statuses(stream).last()), (Some(1), Some(&"INCOMPLETE")), "{stream}: {context}");
    let errors = run.errors();
    let error = errors.iter().find(|error| error.stream.as_deref() == Some(stream)).unwrap();
    for id in ids {
        // Where rows are read by page numbers, the keys before and after the row are known.
        let is_between = names(&error.message, *id - 1) || names(&error.message, *id + 1);
        // A list without an order has no rows before and after it.
        let is_unplaced = error.message.contains("at an unknown place");
        assert!(names(&error.message, *id) || is_between || is_unplaced, "{stream} {id}: {}", error.message);
    }
    assert!(error.message.contains("UTF-8") || error.message.contains("character"), "{}", error.message);
}

/// Returns true if a string has this number, not as a part of a longer one.
fn names(text: &str, number: i64) -> bool {
    text.split(|letter: char| !letter.is_ascii_digit()).any(|word| word == number.to_string())
}

fn sizes() -> Sample {
    Sample { incomplete: 0, ties: 0, ..Sample::new(9, 60) }
}

#[test]
fn one_broken_row_of_each_stream_is_named_and_the_others_are_read() {
    for (stream, object, id) in [
        ("orders", "orders", 23),
        ("products", "products", 12),
        ("users", "users", 14),
        ("shipments", "shipments", 17),
        ("call_requests", "call_requests", 5),
        ("product_reviews", "product_reviews", 5),
        ("categories", "categories", 7),
        ("features", "features", 3),
        ("stores", "stores", 2),
    ] {
        for rows in [4, 50] {
            let mut data = sizes().data(Edition::Ultimate);
            data.broken.insert((object, id));
            let context = format!("{stream} by {rows}");
            let (run, syncs) = read_broken(&context, data, &[(stream, "full_refresh")], &[&[id]], rows);
            assert_names(&run, stream, &[id], &syncs);
            assert!(syncs.store.requests().len() < 300, "{context}: {}", told(&syncs.store));
        }
    }
}

#[test]
fn broken_orders_are_named_in_both_modes_and_wherever_they_are() {
    for (what, ids) in [
        ("the first", vec![1]),
        ("the last", vec![60]),
        ("two neighbours", vec![30, 31]),
        ("several", vec![2, 20, 40, 59]),
    ] {
        for inside in [false, true] {
            for mode in ["full_refresh", "incremental"] {
                let mut data = sizes().data(Edition::Ultimate);
                for id in &ids {
                    if inside {
                        data.broken_inside.insert(*id)
                    } else {
                        data.broken.insert(("orders", *id))
                    };
                }
                let context = format!("{what}, only complete rows {inside}, {mode}");
                let keys: Vec<[i64; 1]> = ids.iter().map(|id| [*id]).collect();
                let keys: Vec<&[i64]> = keys.iter().map(<[i64; 1]>::as_slice).collect();
                let (run, mut syncs) = read_broken(&context, data, &[("orders", mode)], &keys, 10);
                assert_names(&run, "orders", &ids, &syncs);
                // Repaired, they come with the next sync, and then the store is silent.
                syncs.store.data(|data| (data.broken.clear(), data.broken_inside.clear()));
                syncs = syncs.judged(|judge| judge.unreadable(&[]));
                syncs.is_complete = true;
                let run = syncs.sync();
                for id in &ids {
                    let came = super::store::column(&run, "orders", "order_id");
                    assert!(came.contains(id), "{context}: {id} in {came:?}\n{}", told(&syncs.store));
                }
                syncs.sync_unchanged();
            }
        }
    }
}

#[test]
fn broken_orders_of_one_full_second_are_named() {
    for inside in [false, true] {
        let mut data = Sample { ties: 100, ..sizes() }.data(Edition::Ultimate);
        if inside {
            data.broken_inside.insert(33)
        } else {
            data.broken.insert(("orders", 33))
        };
        let context = format!("one second, only complete rows {inside}");
        let (run, syncs) = read_broken(&context, data, &[("orders", "full_refresh")], &[&[33]], 10);
        assert_names(&run, "orders", &[33], &syncs);
        assert!(syncs.store.requests().len() < 150, "{}", told(&syncs.store));
    }
}

#[test]
fn broken_products_of_one_full_second_are_named() {
    let mut data = Sample { ties: 100, products: 40, ..sizes() }.data(Edition::Ultimate);
    data.broken.insert(("products", 22));
    let (run, syncs) = read_broken("products, one second", data, &[("products", "full_refresh")], &[&[22]], 10);
    assert_names(&run, "products", &[22], &syncs);
}

#[test]
fn a_broken_row_while_rows_go_away_hides_no_other() {
    for seed in crate::scenarios::run::seeds() {
        for stream in ["orders", "shipments", "users"] {
            let mut data = sizes().data(Edition::Ultimate);
            data.broken.insert((stream, 19));
            let live = crate::fake_cs_cart::Schedule {
                retypes: false,
                last: Some(60),
                ..super::changing::schedule(seed, stream)
            };
            let options = Options { live: Some(live.live()), ..Options::default() };
            let settings = json!({ "rows_per_request": 7 });
            let streams = [(stream, "full_refresh")];
            let mut syncs = Syncs::with(&format!("{stream}, seed {seed}"), (options, data), &streams, &settings);
            syncs = syncs.judged(|judge| judge.unreadable(&[&[19]]));
            syncs.is_complete = false;
            syncs.sync();
        }
    }
}

#[test]
fn a_broken_newest_order_does_not_stop_the_climb() {
    let mut data = sizes().data(Edition::Ultimate);
    let now = data.now;
    data.tick(500);
    data.set_status(60, 'C');
    data.broken_inside.insert(60);
    assert!(data.now > now);
    let (run, mut syncs) = read_broken("climb", data, &[("orders", "incremental")], &[&[60]], 10);
    assert_names(&run, "orders", &[60], &syncs);
    assert!(syncs.store.requests().len() <= 200, "{}", told(&syncs.store));
    syncs.store.data(|data| {
        data.tick(1_000);
        data.set_status(9, 'P');
    });
    let run = syncs.sync();
    assert!(super::store::column(&run, "orders", "order_id").contains(&9), "{}", run.transcript());
}

#[test]
fn any_number_of_broken_rows_leaves_the_next_sync_its_changes() {
    for (stream, key, edit) in [
        ("orders", "order_id", (|data, id| _ = data.set_status(id, 'P')) as fn(&mut Data, i64)),
        ("products", "product_id", |data, id| _ = data.edit_product(id)),
    ] {
        let mut data = Sample { products: 60, ..sizes() }.data(Edition::Ultimate);
        let ids: Vec<i64> = (5..=55).step_by(5).collect();
        data.broken.extend(ids.iter().map(|id| (stream, *id)));
        let keys: Vec<[i64; 1]> = ids.iter().map(|id| [*id]).collect();
        let keys: Vec<&[i64]> = keys.iter().map(<[i64; 1]>::as_slice).collect();
        let (run, mut syncs) = read_broken(stream, data, &[(stream, "incremental")], &keys, 10);
        assert_names(&run, stream, &ids[..3], &syncs);
        for id in [12, 13] {
            syncs.store.data(|data| {
                data.tick(1_000);
                edit(data, id);
            });
            let run = syncs.sync();
            assert_names(&run, stream, &ids[..3], &syncs);
            assert_eq!(super::store::column(&run, stream, key), [id], "{}", run.transcript());
        }
        // Repaired by an edit, each comes once.
        syncs.store.data(|data| {
            data.tick(1_000);
            data.broken.clear();
            ids.iter().for_each(|id| edit(data, *id));
        });
        syncs = syncs.judged(|judge| judge.unreadable(&[]));
        syncs.is_complete = true;
        assert_eq!(super::store::sorted(&syncs.sync(), stream, key), ids);
        syncs.sync_unchanged();
    }
}

#[test]
fn broken_rows_at_the_beginning_of_the_list_are_named() {
    // In the order of the list they come first: the newest orders and shipments.
    for (stream, mode, rows) in
        [("orders", "full_refresh", 10), ("orders", "incremental", 10), ("shipments", "full_refresh", 4)]
    {
        let sizes = Sample { shipments: 60, ..sizes() };
        let mut data = sizes.data(Edition::Ultimate);
        data.broken.extend([(stream, 60), (stream, 59)]);
        let context = format!("{stream}, {mode}");
        let (run, syncs) = read_broken(&context, data, &[(stream, mode)], &[&[60], &[59]], rows);
        assert_names(&run, stream, &[], &syncs);
        assert!(syncs.store.requests().len() < 200, "{context}: {}", told(&syncs.store));
    }
}

#[test]
fn a_repaired_row_of_a_store_without_dates_of_changes_is_forgotten() {
    let options = Options { version: Version::V4_11, ..Options::default() };
    let mut data = sizes().data(Edition::Ultimate);
    data.broken.insert(("orders", 33));
    let settings = json!({ "rows_per_request": 10 });
    let mut syncs = Syncs::with("4.11", (options, data), &[("orders", "incremental")], &settings);
    syncs = syncs.judged(|judge| judge.unreadable(&[&[33]]));
    syncs.is_complete = false;
    let run = syncs.sync();
    assert_names(&run, "orders", &[33], &syncs);
    syncs.store.data(|data| data.broken.clear());
    syncs = syncs.judged(|judge| judge.unreadable(&[]));
    syncs.is_complete = true;
    syncs.sync();
}

#[test]
fn a_broken_newest_order_hides_no_later_incomplete_one() {
    let settings = json!({ "rows_per_request": 10, "include_incomplete_orders": true });
    let mut data = sizes().data(Edition::Ultimate);
    data.broken.insert(("orders", 60));
    let mut syncs = Syncs::with("top", (Options::default(), data), &[("orders", "incremental")], &settings);
    syncs = syncs.judged(|judge| judge.with_incomplete().unreadable(&[&[60]]));
    syncs.is_complete = false;
    syncs.sync();
    syncs.store.data(|data| {
        data.broken.clear();
        data.tick(5_000);
        let time = data.now - 50 * 86_400;
        data.import_incomplete_order(&mut Random::new(2), time);
    });
    syncs = syncs.judged(|judge| judge.unreadable(&[]));
    syncs.is_complete = true;
    assert_eq!(super::store::sorted(&syncs.sync(), "orders", "order_id"), [60, 61]);
    syncs.sync_unchanged();
}

#[test]
fn a_store_that_was_slow_for_a_while_gets_long_pages_again() {
    let mut left = 2;
    let fault = move |seen: &RecordedRequest| {
        let is_hit = seen.param("page").is_some_and(|page| page != "1") && left > 0;
        left -= i32::from(is_hit);
        is_hit.then(|| Fault::error(504, "slow"))
    };
    let sizes = Sample { shipments: 400, ..sizes() };
    let options = Options { fault: Some(Box::new(fault)), ..Options::default() };
    let settings = json!({ "rows_per_request": 8, "_retry_seconds": 5 });
    let mut syncs = Syncs::of("slow", (options, &sizes), &[("shipments", "full_refresh")], &settings);
    syncs.sync();
    assert!(syncs.store.requests().len() < 75, "{}", told(&syncs.store));
}

#[test]
fn broken_carts_of_one_second_are_separated() {
    // Ten carts of one second; one belongs to a guest whose name is broken.
    let sizes = Sample { carts: 10, ties: 100, companies: 1, ..sizes() };
    let mut data = sizes.data(Edition::Ultimate);
    let (user, _) = data.carts.keys()[4];
    data.broken.insert(("carts", user));
    let keys: &[&[i64]] = &[&[user, 1]];
    let (run, syncs) = read_broken("carts", data, &[("carts", "full_refresh")], keys, 50);
    assert_eq!(run.statuses("carts").last(), Some(&"INCOMPLETE"), "{}\n{}", run.transcript(), told(&syncs.store));
    assert!(syncs.store.requests().len() < 120, "{}", told(&syncs.store));
}

#[test]
fn a_weak_host_gets_fewer_rows() {
    for (edition, status) in [(Edition::Ultimate, 500), (Edition::MultiVendor, 504), (Edition::Ultimate, 502)] {
        for only_complete in [true, false] {
            let weak = Some(WeakHost { rows: 6, only_complete, status });
            let options = Options { edition, weak, ..Options::default() };
            let streams = ["orders", "order_items", "products", "users", "shipments", "call_requests", "categories"];
            let streams = streams.map(|name| (name, "full_refresh"));
            let sizes = Sample { ties: 60, ..sizes() };
            let context = format!("{edition:?}, {status}, only complete rows {only_complete}");
            let mut syncs = Syncs::of(&context, (options, &sizes), &streams, &json!({ "_retry_seconds": 5 }));
            syncs.sync();
            let counters = syncs.store.counters();
            assert!(counters.by_status[&status] < 80, "{context}: {:?}", counters.by_status);
        }
    }
}

#[test]
fn a_second_that_is_too_full_for_a_weak_host_is_read() {
    let weak = Some(WeakHost { rows: 10, only_complete: false, status: 500 });
    let options = Options { weak, ..Options::default() };
    let sizes = Sample { ties: 100, products: 60, carts: 40, ..sizes() };
    let streams = [("orders", "full_refresh"), ("products", "full_refresh")];
    let mut syncs = Syncs::of("a full second", (options, &sizes), &streams, &json!({ "_retry_seconds": 5 }));
    syncs.sync();
}

#[test]
fn a_weak_host_learns_the_size_of_lists_of_one_second() {
    let weak = Some(WeakHost { rows: 6, only_complete: true, status: 500 });
    let sizes = Sample { ties: 100, ..Sample::new(9, 400) };
    let settings = json!({ "_retry_seconds": 5 });
    let streams = [("orders", "full_refresh")];
    let mut syncs =
        Syncs::of("lists of a second", (Options { weak, ..Options::default() }, &sizes), &streams, &settings);
    syncs.sync();
    let counters = syncs.store.counters();
    assert!(counters.by_status[&500] < 60, "{:?}", counters.by_status);
}

#[test]
fn a_weak_host_learns_the_size_of_lists_of_ids() {
    let weak = Some(WeakHost { rows: 6, only_complete: false, status: 500 });
    let sizes = Sample { users: 400, ..sizes() };
    let settings = json!({ "_retry_seconds": 5 });
    let streams = [("users", "full_refresh")];
    let mut syncs = Syncs::of("lists of ids", (Options { weak, ..Options::default() }, &sizes), &streams, &settings);
    syncs.sync();
    let counters = syncs.store.counters();
    assert!(counters.by_status[&500] < 60, "{:?}\n{}", counters.by_status, told(&syncs.store));
}

#[test]
fn a_row_that_fails_does_not_shorten_the_lists_of_ids() {
    let fault = |seen: &RecordedRequest| {
        let is_listed = seen.query.iter().any(|(name, value)| name == "user_ids[]" && value == "50");
        (is_listed || seen.id == "50").then(|| Fault::error(500, "damaged"))
    };
    let sizes = Sample { users: 1_000, ..sizes() };
    let options = Options { fault: Some(Box::new(fault)), ..Options::default() };
    let settings = json!({ "_retry_seconds": 5, "rows_per_request": 10 });
    let mut syncs = Syncs::of("one row", (options, &sizes), &[("users", "full_refresh")], &settings)
        .judged(|judge| judge.unreadable(&[&[50]]));
    syncs.is_complete = false;
    let run = syncs.sync();
    assert_eq!(run.statuses("users").last(), Some(&"INCOMPLETE"), "{}", run.transcript());
    assert!(syncs.store.requests().len() < 60, "{}", told(&syncs.store));
}

#[test]
fn a_broken_newest_user_after_a_gap_is_reported() {
    for rows in [10, 50] {
        let mut data = Sample { users: 38, ..sizes() }.data(Edition::Ultimate);
        let user = data.users.get(40).unwrap().clone();
        data.users.seed(500, User { user_id: 500, ..user });
        data.broken.insert(("users", 500));
        let context = format!("a gap, {rows} rows");
        let (run, syncs) = read_broken(&context, data, &[("users", "full_refresh")], &[&[500]], rows);
        assert_names(&run, "users", &[], &syncs);
        assert!(run.errors()[0].message.contains("40"), "the id before it: {}", run.errors()[0].message);
        assert!(syncs.store.requests().len() < 40, "{}", told(&syncs.store));
    }
}

#[test]
fn two_broken_rows_at_the_start_of_a_list_hide_no_other() {
    for stream in ["shipments", "call_requests", "product_reviews", "stores"] {
        for rows in [4, 50] {
            let sizes = Sample { shipments: 20, messages: 20, companies: 20, ..sizes() };
            let mut data = sizes.data(Edition::Ultimate);
            data.broken.extend([(stream, 1), (stream, 2)]);
            let context = format!("{stream}, {rows} rows");
            let (run, syncs) = read_broken(&context, data, &[(stream, "full_refresh")], &[&[1], &[2]], rows);
            assert_names(&run, stream, &[2], &syncs);
            assert!(syncs.store.requests().len() < 100, "{context}: {}", told(&syncs.store));
        }
    }
}

#[test]
fn a_judge_knows_the_broken_rows() {
    // The comparison itself would find a row that is missing and was not reported.
    let data = sizes().data(Edition::Ultimate);
    let syncs = Syncs::with("judge", (Options::default(), data), &[("orders", "full_refresh")], &json!({}));
    let start = syncs.store.moment();
    let verdict = Judge::full("orders").unreadable(&[&[3]]).sync(&syncs.store.history(), start, &[]);
    assert_eq!((verdict.excused.len(), verdict.missing.len()), (1, 59));
}
