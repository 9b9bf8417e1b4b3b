//! Incremental reads of orders and products: the cursor, what moves it, and what a state promises. Each rule of the
//! walks that concerns the cursor has a store here that would break a connector without the rule.

use serde_json::{Value, json};

use super::store::{AHEAD, column, config, read, requests, told};
use super::syncs::{Syncs, before};
use crate::fake_cs_cart::{Data, DateHeader, Edition, Judge, Note, Options, Random, Sample, Version};
use crate::harness::order::ReadCheck;
use crate::harness::shop::Shop;

const ORDERS: [(&str, &str); 2] = [("orders", "incremental"), ("order_items", "incremental")];

/// Returns a store whose clock is ahead of this machine's. No two orders share a second.
fn sizes(orders: usize) -> Sample {
    Sample { ties: 0, incomplete: 0, now: AHEAD, from: AHEAD - 100 * 86_400, ..Sample::new(11, orders) }
}

fn orders(context: &str, options: Options, settings: &Value) -> Syncs {
    Syncs::of(context, (options, &sizes(40)), &ORDERS, settings)
}

#[test]
fn only_changed_orders_come_with_few_requests() {
    let mut syncs = orders("changed", Options::default(), &json!({ "rows_per_request": 10 }));
    syncs.sync();
    syncs.sync_unchanged();
    assert!(syncs.store.requests().len() <= 3, "{}", told(&syncs.store));
    syncs.store.data(|data| {
        data.tick(1_000);
        data.set_status(7, 'C');
        data.edit_order(21, &mut Random::new(3));
    });
    let run = syncs.sync();
    assert_eq!(super::store::sorted(&run, "orders", "order_id"), [7, 21]);
    assert!(syncs.store.requests().len() <= 4, "{}", told(&syncs.store));
    syncs.sync_unchanged();
}

#[test]
fn an_order_that_is_completed_in_the_second_of_its_creation_comes_again() {
    for incomplete in [true, false] {
        let settings = json!({ "include_incomplete_orders": incomplete });
        let mut syncs = orders("the same second", Options::default(), &settings);
        if incomplete {
            syncs = syncs.judged(Judge::with_incomplete);
        }
        let id = syncs.store.data(|data| {
            data.tick(500);
            data.place_order(&mut Random::new(1))
        });
        let run = syncs.sync();
        assert_eq!(column(&run, "orders", "order_id").contains(&id), incomplete);
        // The clock has not moved: the date of change is the same.
        syncs.store.data(|data| data.set_status(id, 'O'));
        let run = syncs.sync();
        assert_eq!(column(&run, "orders", "order_id"), [id], "{}", told(&syncs.store));
        syncs.sync_unchanged();
    }
}

#[test]
fn an_order_that_is_completed_in_one_second_while_it_is_read_comes_in_its_last_version() {
    let settings = json!({ "rows_per_request": 10, "include_incomplete_orders": true });
    let mut syncs = orders("completed meanwhile", Options::default(), &settings).judged(Judge::with_incomplete);
    syncs.store.options(|options| {
        let mut placed = None;
        options.live = Some(Box::new(move |data, seen| {
            if seen.object == "orders" {
                match placed.take() {
                    Some(id) => _ = data.set_status(id, 'O'),
                    None => placed = Some(data.place_order(&mut Random::new(1))),
                }
            }
        }));
    });
    syncs.sync();
    syncs.still();
    syncs.sync();
    syncs.sync_unchanged();
}

#[test]
fn an_order_changed_ahead_of_the_clock_hides_no_later_change() {
    for date in [DateHeader::Store, DateHeader::Cached(3_600), DateHeader::Late(600)] {
        let mut syncs = orders("ahead of the clock", Options { date, ..Options::default() }, &json!({}));
        syncs.store.data(|data| {
            let ahead = data.now + 86_400;
            data.change_order(5, Note::Silent, |order| order.updated_at = ahead);
        });
        syncs.sync();
        syncs.store.data(|data| {
            data.tick(700);
            data.set_status(9, 'C');
        });
        let run = syncs.sync();
        assert!(column(&run, "orders", "order_id").contains(&9), "{date:?}: {}", told(&syncs.store));
        syncs.sync_unchanged();
    }
}

#[test]
fn a_product_changed_ahead_of_the_clock_hides_no_later_change() {
    let sizes = Sample { products: 40, ..sizes(40) };
    let streams = [("products", "incremental")];
    let mut syncs = Syncs::of("ahead of the clock", (Options::default(), &sizes), &streams, &json!({}));
    syncs.store.data(|data| {
        let ahead = data.now + 86_400;
        data.change_product(5, Note::Silent, |product| product.updated_timestamp = ahead);
    });
    syncs.sync();
    syncs.store.data(|data| {
        data.tick(700);
        data.edit_product(9);
    });
    let run = syncs.sync();
    assert!(column(&run, "products", "product_id").contains(&9), "{}", told(&syncs.store));
    syncs.sync_unchanged();
}

#[test]
fn a_clock_that_was_ahead_and_set_back_hides_no_later_change() {
    type Edit = fn(&mut Data, i64);
    let orders: Edit = |data, id| _ = data.set_status(id, 'C');
    let products: Edit = |data, id| _ = data.edit_product(id);
    for (stream, key, edit) in [("orders", "order_id", orders), ("products", "product_id", products)] {
        for has_earlier_sync in [true, false] {
            let context = format!("{stream}, set back, an earlier sync: {has_earlier_sync}");
            let sizes = Sample { products: 40, ..sizes(40) };
            let mut syncs = Syncs::of(&context, (Options::default(), &sizes), &[(stream, "incremental")], &json!({}));
            if has_earlier_sync {
                syncs.sync();
            }
            syncs.store.data(|data| {
                data.tick(86_400);
                edit(data, 5);
            });
            syncs.sync();
            syncs.store.data(|data| {
                data.tick(700 - 86_400);
                edit(data, 9);
            });
            let run = syncs.sync();
            assert!(column(&run, stream, key).contains(&9), "{context}: {}", told(&syncs.store));
            let warnings = run.warnings();
            assert!(warnings.len() == 1 && warnings[0].contains("clock"), "{context}: {warnings:?}");
            syncs.sync_unchanged();
            syncs.store.data(|data| {
                data.tick(86_400);
                edit(data, 11);
            });
            assert_eq!(column(&syncs.sync(), stream, key), [11], "{context}: {}", told(&syncs.store));
        }
    }
}

#[test]
fn the_clock_of_this_machine_is_not_needed() {
    for date in [DateHeader::Absent, DateHeader::Real, DateHeader::Cached(86_400)] {
        let mut syncs = orders("other clocks", Options { date, ..Options::default() }, &json!({}));
        syncs.sync();
        for id in [4, 5, 6] {
            syncs.store.data(|data| {
                data.tick(150);
                data.set_status(id, 'C');
            });
            let run = syncs.sync();
            assert!(column(&run, "orders", "order_id").contains(&id), "{date:?}: {}", told(&syncs.store));
        }
        syncs.sync_unchanged();
    }
}

#[test]
fn a_change_behind_the_walk_comes_with_the_next_sync() {
    // The first order changes when the walk has passed it, and nothing changes afterwards.
    for number in 2..=6 {
        let mut syncs = orders("behind the walk", Options::default(), &json!({ "rows_per_request": 10 }));
        let live = before("orders", number, |data| {
            data.tick(1);
            data.set_status(1, 'C');
        });
        syncs.sync_during(live);
    }
}

#[test]
fn the_first_sync_has_orders_from_before_the_change_date_existed() {
    let sizes = Sample { upgraded: 60, ..sizes(60) };
    for mode in ["incremental", "full_refresh"] {
        for start in [None, Some(sizes.from + 30 * 86_400), Some(sizes.from + 90 * 86_400)] {
            let mut settings = json!({ "rows_per_request": 10 });
            if let Some(start) = start {
                let date = chrono::DateTime::from_timestamp(start, 0).unwrap();
                settings["start_date"] = date.format("%Y-%m-%dT%H:%M:%SZ").to_string().into();
            }
            let context = format!("upgraded, {mode}, from {start:?}");
            let streams = [("orders", mode), ("order_items", mode)];
            let mut syncs = Syncs::of(&context, (Options::default(), &sizes), &streams, &settings);
            syncs = syncs.judged(|judge| match start {
                Some(start) => judge.start_date(start),
                None => judge,
            });
            let run = syncs.sync();
            let undated =
                super::store::records(&run, "orders").iter().filter(|row| row["updated_at"].is_null()).count();
            assert_eq!(undated > 0, start.is_none_or(|start| start < sizes.from + 50 * 86_400), "{context}: {undated}");
            syncs.sync_unchanged();
        }
    }
}

#[test]
fn a_store_in_which_no_order_has_changed_since_an_upgrade_is_silent() {
    let sizes = Sample { upgraded: 100, ..sizes(60) };
    // The clock in the header can be wrong, also ahead of the dates of changes.
    for date in [DateHeader::Store, DateHeader::Late(-600), DateHeader::Cached(3_600)] {
        let options = Options { date, ..Options::default() };
        let mut syncs = Syncs::of(&format!("all upgraded, {date:?}"), (options, &sizes), &ORDERS, &json!({}));
        syncs.store.data(|data| {
            for id in data.orders.keys() {
                data.change_order(id, Note::Silent, |order| order.updated_at = 0);
            }
        });
        let all = syncs.store.data(|data| data.orders.keys().len());
        assert_eq!(syncs.sync().records("orders").len(), all);
        syncs.sync_unchanged();
        syncs.store.data(|data| {
            data.tick(30);
            data.set_status(9, 'C');
        });
        assert_eq!(column(&syncs.sync(), "orders", "order_id"), [9], "{date:?}");
        syncs.sync_unchanged();
    }
}

#[test]
fn incomplete_orders_with_dates_of_the_past_are_found() {
    let settings = json!({ "rows_per_request": 10, "include_incomplete_orders": true });
    let mut syncs = orders("backdated", Options::default(), &settings).judged(Judge::with_incomplete);
    syncs.sync();
    let import = |syncs: &Syncs| {
        syncs.store.data(|data| {
            data.tick(5_000);
            let time = data.now - 50 * 86_400;
            data.import_incomplete_order(&mut Random::new(2), time)
        })
    };
    let first = import(&syncs);
    let second = import(&syncs);
    let run = syncs.sync();
    assert_eq!(super::store::sorted(&run, "orders", "order_id"), [first, second], "{}", told(&syncs.store));
    syncs.sync_unchanged();
    // One is imported while the store is read, behind the walk.
    for number in 1..=4 {
        let live = before("orders", number, |data| {
            let time = data.now - 60 * 86_400;
            data.import_incomplete_order(&mut Random::new(4), time);
        });
        syncs.sync_during(live);
    }
}

#[test]
fn imported_orders_with_dates_of_the_past_are_found() {
    let mut syncs = orders("imported", Options::default(), &json!({ "rows_per_request": 10 }));
    syncs.sync();
    let id = syncs.store.data(|data| {
        data.tick(5_000);
        let time = data.now - 90 * 86_400;
        data.import_order(&mut Random::new(2), time)
    });
    assert_eq!(column(&syncs.sync(), "orders", "order_id"), [id]);
    syncs.sync_unchanged();
}

#[test]
fn all_lines_of_a_changed_order_come_again() {
    let mut syncs = orders("lines", Options::default(), &json!({}));
    syncs.sync();
    let lines = syncs.store.data(|data| {
        data.tick(1_000);
        data.set_status(12, 'C');
        data.orders.get(12).unwrap().lines.len()
    });
    let run = syncs.sync();
    assert_eq!(column(&run, "order_items", "order_id"), vec![12; lines]);
}

#[test]
fn products_come_whatever_the_pause_between_two_syncs() {
    let sizes = Sample { products: 30, ..sizes(10) };
    let mut syncs = Syncs::of("pauses", (Options::default(), &sizes), &[("products", "incremental")], &json!({}));
    syncs.sync();
    for pause in [3_471, 3_481, 3_530, 3_550, 3_570, 3_599, 3_600, 7_170, 30, 119, 121, 86_399] {
        // A change right after the sync, and another one much later.
        let id = 1 + pause % 16;
        syncs.store.data(|data| {
            data.tick(1);
            data.edit_product(id);
            data.tick(pause);
        });
        let run = syncs.sync();
        assert_eq!(column(&run, "products", "product_id"), [id], "{pause}: {}", told(&syncs.store));
    }
    syncs.sync_unchanged();
}

#[test]
fn products_that_change_in_the_second_of_the_cursor_are_found() {
    let sizes = Sample { products: 30, ..sizes(10) };
    let mut syncs = Syncs::of("one second", (Options::default(), &sizes), &[("products", "incremental")], &json!({}));
    syncs.store.data(|data| {
        data.tick(100);
        data.edit_product(3);
    });
    syncs.sync();
    for id in [4, 3, 5] {
        syncs.store.data(|data| data.edit_product(id));
        assert_eq!(column(&syncs.sync(), "products", "product_id"), [id], "{}", told(&syncs.store));
    }
    // The clock of the store was set back by a minute.
    syncs.store.data(|data| {
        data.tick(-60);
        data.edit_product(6);
    });
    assert_eq!(column(&syncs.sync(), "products", "product_id"), [6], "{}", told(&syncs.store));
    syncs.sync_unchanged();
}

#[test]
fn a_store_without_the_change_date_is_read_completely_each_time_and_says_so() {
    for version in [Version::V4_3_9, Version::V4_11] {
        let store = crate::fake_cs_cart::FakeCsCart::sample(Options { version, ..Options::default() }, &sizes(20));
        let catalog = super::store::catalog(&[("orders", "incremental")]);
        let mut state = "[]".to_owned();
        for sync in 0..2 {
            let start = store.moment();
            let run = read(&config(&store), &catalog, &state);
            ReadCheck::for_shop(Shop::CsCart, &run, &catalog).assert();
            assert_eq!(run.code, Some(0), "{version:?}: {}", run.transcript());
            let verdict = Judge::full("orders").sync(&store.history(), start, &super::store::records(&run, "orders"));
            assert!(verdict.is_right() && verdict.required == 20, "{version:?}, sync {sync}: {verdict}");
            let told = run.warnings().iter().any(|text| text.contains("updated_at"));
            assert!(told, "{version:?}, sync {sync}: {}", run.transcript());
            state = run.last_state_list();
        }
        assert!(
            requests(&store, "orders").iter().all(|seen| seen.param("updated_at_from").is_none_or(|from| from != "0"))
        );
    }
}

#[test]
fn the_climb_takes_few_requests_where_the_oldest_orders_changed_last() {
    let mut data = sizes(600).data(Edition::Ultimate);
    for id in 1..=600 {
        let time = AHEAD - id * 60;
        data.change_order(id, Note::Silent, |order| order.updated_at = time);
    }
    let settings = json!({ "rows_per_request": 250 });
    let mut syncs = Syncs::with("climb", (Options::default(), data), &[("orders", "incremental")], &settings);
    syncs.sync();
    let walk = 600 / 250 + 2;
    assert!(syncs.store.requests().len() <= walk + 8 + 31, "{}", told(&syncs.store));
    syncs.store.data(|data| {
        data.tick(60);
        data.set_status(599, 'C');
    });
    assert_eq!(column(&syncs.sync(), "orders", "order_id"), [599]);
    syncs.sync_unchanged();
}

#[test]
fn a_state_has_the_cursor_and_a_later_sync_asks_from_it() {
    let mut syncs = orders("state", Options::default(), &json!({}));
    syncs.sync();
    let newest = syncs.store.data(|data| data.orders.iter().map(|(_, order)| order.updated_at).max().unwrap());
    let cursor = syncs.state("orders")["updated_at"].as_str().unwrap().to_owned();
    let cursor = chrono::DateTime::parse_from_rfc3339(&cursor).unwrap().timestamp();
    assert!(cursor <= newest, "{}", syncs.state("orders"));
    assert!(newest - cursor <= 1, "{newest} and {}", syncs.state("orders"));
    syncs.sync();
    let asked: Vec<String> = requests(&syncs.store, "orders")
        .iter()
        .filter_map(|seen| seen.param("updated_at_from").map(str::to_owned))
        .collect();
    assert!(asked.contains(&(cursor - 120).to_string()), "the overlap is 120 s: {asked:?}");
}
