//! Carts by windows of time: no row is lost where the list has no order, where one cart hides another, and
//! where carts change all the time.

use serde_json::{Value, json};

use super::store::{AHEAD, config, full, read, records, requests, told};
use super::syncs::Syncs;
use crate::fake_cs_cart::{
    Account, Cart, CartLine, Data, Edition, Excuse, FakeCsCart, Fault, Judge, Options, Random, RecordedRequest, Sample,
    Schedule, Table,
};
use crate::scenarios::run::seeds;

/// Returns a store with carts only: of each, the user, the company and the times of its lines.
fn store_of(carts: &[(i64, i64, &[i64])]) -> Data {
    let mut data = Sample { now: AHEAD, from: AHEAD - 86_400, ..Sample::new(1, 10) }.data(Edition::Ultimate);
    data.carts = Table::default();
    for (number, (user_id, company_id, times)) in carts.iter().enumerate() {
        let line = |(place, timestamp): (usize, &i64)| CartLine {
            item_id: u32::try_from(number * 100 + place + 1).unwrap(),
            product_id: 3,
            amount: 1,
            price: 500,
            timestamp: *timestamp,
            storefront_id: *company_id,
        };
        let lines = times.iter().enumerate().map(line).collect();
        let is_registered = *user_id < 1_000;
        let cart =
            Cart { user_id: *user_id, company_id: *company_id, is_registered, order_id: None, contact: None, lines };
        data.carts.seed((*user_id, *company_id), cart);
    }
    data
}

fn carts(context: &str, options: Options, data: Data, settings: &Value) -> Syncs {
    Syncs::with(context, (options, data), &[("carts", "full_refresh")], settings)
}

#[test]
fn both_carts_of_a_user_with_carts_in_two_stores_are_read() {
    let seconds: [&[(i64, i64, &[i64])]; 3] = [
        // In different seconds, in the same one, and among others.
        &[(9, 1, &[AHEAD - 500]), (9, 2, &[AHEAD - 200])],
        &[(9, 1, &[AHEAD - 500]), (9, 2, &[AHEAD - 500])],
        &[(8, 1, &[AHEAD - 500]), (9, 1, &[AHEAD - 500]), (9, 2, &[AHEAD - 500, AHEAD - 10]), (10, 2, &[AHEAD - 10])],
    ];
    for list in seconds {
        for stream in ["carts", "cart_items"] {
            let context = format!("{stream} of {list:?}");
            let streams = [(stream, "full_refresh")];
            let mut syncs = Syncs::with(&context, (Options::default(), store_of(list)), &streams, &json!({}));
            let run = syncs.sync();
            assert!(run.records(stream).len() >= list.len(), "{context}: {}", told(&syncs.store));
            let is_split = |stores: &[i64]| {
                stores.iter().all(|id| requests(&syncs.store, "carts").iter().any(|seen| seen.company_id == Some(*id)))
            };
            assert!(is_split(&[1, 2]), "each store by itself: {}", told(&syncs.store));
        }
    }
}

#[test]
fn without_the_right_to_list_stores_windows_are_halved() {
    let options = || Options { accounts: vec![Account::limited(&["view_users"])], ..Options::default() };
    // In different seconds: both are found.
    let data = store_of(&[(9, 1, &[AHEAD - 500]), (9, 2, &[AHEAD - 200]), (8, 2, &[AHEAD - 300])]);
    let mut syncs = carts("different seconds", options(), data, &json!({}));
    let run = syncs.sync();
    assert_eq!(run.records("carts").len(), 3, "{}", told(&syncs.store));

    // In the same second: one remains hidden, and the run says so.
    let data = store_of(&[(9, 1, &[AHEAD - 500]), (9, 2, &[AHEAD - 500]), (8, 2, &[AHEAD - 300])]);
    let store = FakeCsCart::start(options(), data);
    let start = store.moment();
    let run = read(&config(&store), &full("carts"), "[]");
    let verdict = Judge::full("carts").without_view_stores().sync(&store.history(), start, &records(&run, "carts"));
    assert!(verdict.is_right(), "{verdict}\n{}", told(&store));
    assert!(verdict.excused.iter().all(|(_, excuse)| *excuse == Excuse::HiddenByStore), "{verdict}");
    let transcript = run.transcript();
    assert!(verdict.excused.is_empty() || transcript.contains("view_stores"), "it is said: {transcript}");
    assert!(store.requests().len() < 100, "{}", told(&store));
}

#[test]
fn a_busy_store_is_read_to_its_end() {
    // Before each request the clock moves and carts are saved: the last window never has as few carts as were counted.
    for rows in [3, 5, 50] {
        let sizes = Sample { carts: 60, companies: 1, now: AHEAD, from: AHEAD - 86_400, ..Sample::new(3, 20) };
        let mut syncs = Syncs::of(
            &format!("busy, {rows} rows"),
            (Options::default(), &sizes),
            &[("carts", "full_refresh")],
            &json!({ "rows_per_request": rows }),
        );
        let mut random = Random::new(5);
        syncs.store.options(|options| {
            options.live = Some(Box::new(move |data, _| {
                data.tick(2);
                for _ in 0..4 {
                    data.new_guest(1, &mut random);
                }
                let keys = data.carts.keys();
                for key in keys.iter().step_by(7) {
                    data.save_cart(*key, false);
                }
            }));
        });
        syncs.sync();
        assert!(syncs.store.requests().len() < 200, "{rows} rows: {}", told(&syncs.store));
    }
}

#[test]
fn a_cart_that_changes_while_it_is_read_moves_to_a_later_window() {
    for seed in seeds() {
        for edition in [Edition::Ultimate, Edition::MultiVendor] {
            let cart_companies = if edition == Edition::Ultimate { vec![1, 2] } else { vec![0] };
            let live =
                Schedule { changes: 6, merges: false, cart_companies, ..super::changing::schedule(seed, "carts") };
            let options = Options { edition, live: Some(live.live()), ..Options::default() };
            let sizes = Sample { carts: 60, ties: 60, now: AHEAD, from: AHEAD - 86_400, ..Sample::new(seed, 20) };
            let context = format!("{edition:?} seed {seed}");
            let settings = json!({ "rows_per_request": 6 });
            let mut syncs = Syncs::of(&context, (options, &sizes), &[("carts", "full_refresh")], &settings);
            syncs.sync();
        }
    }
}

#[test]
fn one_second_with_more_carts_than_fit_is_read() {
    let list: Vec<(i64, i64, &[i64])> = (1..=40).map(|user| (user, 1, [AHEAD - 500].as_slice())).collect();
    let mut syncs = carts("one second", Options::default(), store_of(&list), &json!({ "rows_per_request": 5 }));
    let run = syncs.sync();
    assert_eq!(run.records("carts").len(), 40, "{}", told(&syncs.store));
    // Windows are halved down to the second, from both sides of it.
    assert!(syncs.store.requests().len() < 100, "{}", told(&syncs.store));
}

#[test]
fn carts_of_all_times_are_read() {
    // Lines of guests of an old import, and of a clock that was ahead.
    let list: [(i64, i64, &[i64]); 4] =
        [(3, 1, &[0]), (4, 1, &[1]), (5, 2, &[AHEAD + 5_000]), (3_000_000_007, 2, &[1, AHEAD - 5])];
    for rows in [1, 2, 50] {
        let settings = json!({ "rows_per_request": rows });
        let context = format!("all times, {rows} rows");
        let mut syncs = carts(&context, Options::default(), store_of(&list), &settings);
        assert_eq!(syncs.sync().records("carts").len(), 4, "{}", told(&syncs.store));
    }
}

#[test]
fn a_cart_that_is_gone_before_its_lines_are_read_is_skipped() {
    let list: Vec<(i64, i64, &[i64])> = (1..=12).map(|user| (user, 1, [AHEAD - 500].as_slice())).collect();
    let streams = [("cart_items", "full_refresh")];
    let mut syncs = Syncs::with("bought", (Options::default(), store_of(&list)), &streams, &json!({}));
    syncs.store.options(|options| {
        let mut is_gone = false;
        options.live = Some(Box::new(move |data, seen| {
            if !is_gone && !seen.id.is_empty() && seen.object == "carts" {
                is_gone = true;
                // One that is not requested yet: the first request is of another one.
                data.empty_cart((if seen.id == "7" { 8 } else { 7 }, 1));
            }
        }));
    });
    let run = syncs.sync();
    assert_eq!(run.records("cart_items").len(), 11, "{}", told(&syncs.store));
    assert!(run.warnings().is_empty(), "{:?}", run.warnings());
}

#[test]
fn storefronts_that_the_config_names_are_read_alone() {
    let list: [(i64, i64, &[i64]); 4] =
        [(3, 1, &[AHEAD - 9]), (3, 2, &[AHEAD - 9]), (4, 2, &[AHEAD - 7]), (5, 1, &[AHEAD - 5])];
    for stream in ["carts", "cart_items"] {
        let settings = json!({ "storefront_ids": [2] });
        let streams = [(stream, "full_refresh")];
        let mut syncs = Syncs::with(stream, (Options::default(), store_of(&list)), &streams, &settings)
            .judged(|judge| judge.storefronts(&[2]));
        let run = syncs.sync();
        assert_eq!(super::store::sorted(&run, stream, "user_id"), [3, 4], "{}", told(&syncs.store));
    }
}

#[test]
fn a_broken_store_hides_no_cart() {
    // In different seconds, so that shorter windows separate the two carts of a user.
    let list: [(i64, i64, &[i64]); 4] =
        [(9, 1, &[AHEAD - 500]), (9, 2, &[AHEAD - 200]), (8, 2, &[AHEAD - 300]), (3_000_000_007, 1, &[AHEAD - 9])];
    for stream in ["carts", "cart_items"] {
        let mut data = store_of(&list);
        data.broken.insert(("stores", 2));
        let streams = [(stream, "full_refresh")];
        let mut syncs = Syncs::with(stream, (Options::default(), data), &streams, &json!({}));
        let run = syncs.sync();
        assert_eq!(run.records(stream).len(), 4, "{stream}: {}", told(&syncs.store));
        assert!(syncs.store.requests().len() < 60, "{stream}: {}", told(&syncs.store));
    }
}

#[test]
fn a_broken_cart_hides_no_line_of_the_same_user_in_another_store() {
    let list: [(i64, i64, &[i64]); 3] = [(9, 1, &[AHEAD - 500]), (9, 2, &[AHEAD - 200]), (8, 2, &[AHEAD - 300])];
    // Without a store in the path, the first cart of the user is requested.
    for is_first_cart_broken in [true, false] {
        let fault = move |seen: &RecordedRequest| {
            let is_broken = seen.company_id.is_none() || (is_first_cart_broken && seen.company_id == Some(1));
            (seen.object == "carts" && seen.id == "9" && is_broken).then_some(Fault::Empty)
        };
        let options = Options { fault: Some(Box::new(fault)), ..Options::default() };
        let store = FakeCsCart::start(options, store_of(&list));
        let run = read(&config(&store), &full("cart_items"), "[]");
        let lines = records(&run, "cart_items");
        let of = |key: (i64, i64)| {
            lines.iter().filter(|line| line["user_id"] == key.0 && line["company_id"] == key.1).count()
        };
        let context = format!("{}\n{}", run.transcript(), told(&store));
        assert_eq!((of((9, 2)), of((8, 2))), (1, 1), "{context}");
        assert_eq!(of((9, 1)), usize::from(!is_first_cart_broken), "{context}");
        let status = if is_first_cart_broken { "INCOMPLETE" } else { "COMPLETE" };
        assert_eq!(run.statuses("cart_items").last(), Some(&status), "{context}");
    }
}
