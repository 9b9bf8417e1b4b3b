//! Emitted rows are remembered by content: an unchanged store emits nothing, and a change emits its row once.

use serde_json::json;

use crate::cases::inconsistent_store::sim::{DAY, HOUR, MINUTE, SECOND, STREAM, Sim, add_rows, month};
use crate::fake_store::{Data, Fault, Fraction, Options, Stamp, utc_ms};

const NOW: &str = "2024-06-05T10:00:30Z";
/// Maximum size of a finished state: 32 KiB for the sent rows, and the rest.
const STATE_BOUND: usize = 36 * 1024;

fn now() -> i64 {
    utc_ms(NOW)
}

/// Returns rows in the last two minutes, each with its own date, after a month of others or alone.
fn busy(stream: &'static str, rows: i64, alone: bool) -> Data {
    let mut data = if alone { Data::empty() } else { month(stream, now()) };
    data.now_ms = now();
    add_rows(&mut data, stream, rows, 118_000 / rows, now());
    data
}

#[test]
fn an_unchanged_store_sends_nothing_with_any_number_of_new_rows() {
    for (stream, rows, alone) in [
        (STREAM, 415, true),
        (STREAM, 415, false),
        ("orders", 415, false),
        (STREAM, 1_000, true),
        (STREAM, 1_000, false),
        (STREAM, 5_000, true),
        (STREAM, 5_000, false),
    ] {
        let context = format!("{stream}, {rows} rows in two minutes, alone: {alone}");
        let mut sim = Sim::new(stream, Options::default(), busy(stream, rows, alone));
        let first = sim.sync();
        assert_eq!(first.ids.len(), sim.rows(), "{context}");
        first.assert_few_requests(1000, &context);
        assert!(sim.state.len() < STATE_BOUND, "{context}: a state of {} bytes", sim.state.len());
        for _ in 0..2 {
            if rows <= 1_000 {
                sim.assert_unchanged(&context);
            } else {
                let again = sim.sync();
                assert_eq!((again.ids.len(), again.warnings()), (0, Vec::new()), "{context}\n{}", again.asked());
                again.assert_few_requests(1000, &context);
            }
        }
        let changed = sim.rows() as i64 + if stream == "orders" { 100_000 } else { 1 } - rows / 2;
        sim.store.data(|data| data.touch(stream, changed));
        let sync = sim.sync();
        assert!(sync.ids.contains(&changed), "{context}\n{}", sync.asked());
        // 4,000 rows are listed one by one.
        let bound = if rows <= 4_000 { 1 } else { 300 };
        assert!(sync.ids.len() <= bound, "{context}: {} records for a change", sync.ids.len());
        assert_eq!(sim.sync().ids.len(), 0, "{context}");
    }
}

#[test]
fn four_changes_a_second_and_a_sync_a_minute_send_each_change_once() {
    const SYNCS: i64 = 12;
    let mut sim = Sim::new(STREAM, Options::default(), {
        let mut data = Data::empty();
        data.now_ms = now();
        add_rows(&mut data, STREAM, 3_000, MINUTE, now() - HOUR);
        data
    });
    sim.sync();
    let before: usize = sim.times.values().sum();
    let mut changed = 0;
    for sync in 0..SYNCS {
        sim.store.data(|data| {
            for change in 0..240 {
                data.now_ms = now() + sync * MINUTE + change * 250 + 10;
                changed += 1;
                data.touch(STREAM, changed);
            }
            data.now_ms = now() + (sync + 1) * MINUTE;
        });
        let done = sim.sync();
        done.assert_few_requests(1000, "a sync a minute");
        sim.assert_nothing_lost(&format!("sync {sync}"));
    }
    let records = sim.times.values().sum::<usize>() - before;
    let bound = usize::try_from(changed).unwrap() * 105 / 100;
    assert!(records <= bound, "{records} records for {changed} changes, at most {bound}");
}

#[test]
fn a_second_change_within_one_second_is_emitted_if_dates_are_full_seconds() {
    // The store prints seconds and compares milliseconds, or has only seconds.
    for known_ms in [true, false] {
        for (rows, page) in [(1_500, 1000), (20, 1000), (120, 20)] {
            let context = format!("{rows} rows, {page} a page, milliseconds known: {known_ms}");
            let mut data = Data::empty();
            data.now_ms = now();
            add_rows(&mut data, STREAM, rows, MINUTE, now() - HOUR);
            let fraction = if known_ms { Fraction::None } else { Fraction::Documented };
            let mut sim = Sim::new(STREAM, Options { fraction, max_count: Some(page), ..Options::default() }, data);
            sim.sync();
            for round in 1..=12 {
                let placed = now() + round * 7 * SECOND;
                let date = |after: i64| Stamp::At(placed + if known_ms { after } else { 0 });
                let id = sim.store.data(|data| {
                    data.now_ms = placed + 200;
                    let id = data.next_id(STREAM);
                    data.insert_lean(STREAM, id, date(100), date(100));
                    id
                });
                let first = sim.sync();
                assert_eq!(first.ids, [id], "{context}, round {round}\n{}", first.asked());
                sim.store.data(|data| {
                    data.now_ms = placed + 600;
                    data.set_field(STREAM, id, "name", "\"Paid\"");
                    data.set_updated_at(STREAM, id, date(500));
                });
                let second = sim.sync();
                assert_eq!(second.ids, [id], "{context}, round {round}: the second change\n{}", second.asked());
            }
            sim.assert_nothing_lost(&context);
            sim.assert_unchanged(&context);
        }
    }
}

#[test]
fn rows_without_a_date_are_sent_once_up_to_a_page() {
    for stream in ["order_statuses", "products"] {
        for rows in [10, 500, 501, 1_000] {
            let context = format!("{stream}, {rows} rows without a date");
            let mut data = Data::empty();
            data.now_ms = now();
            (1..=rows).for_each(|id| data.insert_lean(stream, id, Stamp::Null, Stamp::Null));
            let mut sim = Sim::new(stream, Options::default(), data);
            let first = sim.sync();
            assert_eq!(first.ids, (1..=rows).collect::<Vec<_>>(), "{context}");
            first.assert_few_requests(1000, &context);
            assert!(sim.state.len() < STATE_BOUND, "{context}: a state of {} bytes", sim.state.len());
            sim.assert_unchanged(&context);
            let field = if stream == "products" { "item_name" } else { "name" };
            sim.store.data(|data| data.set_field(stream, 7, field, "\"Renamed\""));
            let changed = sim.sync();
            assert_eq!(changed.ids, [7], "{context}\n{}", changed.asked());
            sim.assert_unchanged(&context);
        }
    }
}

#[test]
fn one_wrong_total_of_0_between_two_correct_responses_sends_no_row_again() {
    let undated = |stream: &'static str| {
        let mut data = Data::empty();
        data.now_ms = now();
        (1..=60).for_each(|id| data.insert_lean(stream, id, Stamp::Null, Stamp::Null));
        (stream, data)
    };
    let dated = |rows, alone| (STREAM, busy(STREAM, rows, alone));
    for (stream, data) in [undated("order_statuses"), undated("products"), dated(200, true), dated(200, false)] {
        for wrong_answers in [1, 100] {
            let context = format!("{stream}, {} rows, {wrong_answers} wrong answers", data.ids(stream).len());
            let mut copy = Data::empty();
            copy.now_ms = data.now_ms;
            data.rows(stream).into_iter().for_each(|row| copy.insert(stream, row.clone()));
            let mut sim = Sim::new(stream, Options::default(), copy);
            sim.sync();
            sim.assert_unchanged(&context);
            let mut left = wrong_answers;
            sim.store.options(|options| {
                options.fault = Some(Box::new(move |_| {
                    left -= 1;
                    let body = format!(r#"{{"total_count":0,"{stream}":[]}}"#).into_bytes();
                    let json = ("content-type".to_owned(), "application/json".to_owned());
                    (left >= 0).then(|| Fault::Answer { status: 200, headers: vec![json], body })
                }));
            });
            // After one wrong response a second one is requested; a store that stays empty may be doubted.
            let wrong = if wrong_answers == 1 { sim.sync() } else { sim.tried() };
            assert_eq!(wrong.ids, [0_i64; 0], "{context}\n{}", wrong.asked());
            sim.store.options(|options| options.fault = None);
            sim.assert_unchanged(&context);
        }
    }
}

#[test]
fn new_rows_that_no_date_filter_finds_are_sent_if_the_stream_is_read_completely() {
    // In `orders` such rows are unusual; one of them is known, so the stream is read completely.
    for stream in ["order_statuses", "products", "orders"] {
        let mut data = Data::empty();
        data.now_ms = now();
        add_rows(&mut data, stream, 100, MINUTE, now() - HOUR);
        let known = data.next_id(stream);
        data.insert_lean(stream, known, Stamp::Null, Stamp::Null);
        let mut sim = Sim::new(stream, Options::default(), data);
        sim.configure("start_date", json!("2024-01-01T00:00:00Z"));
        assert_eq!(sim.sync().ids.len(), 101, "{stream}");
        sim.assert_unchanged(stream);
        let insert = |sim: &Sim, stamp: fn(i64) -> Stamp| {
            sim.store.data(|data| {
                let first = data.next_id(stream);
                (0..50).for_each(|row| data.insert_lean(stream, first + row, stamp(row), Stamp::Null));
                (first..first + 50).collect::<Vec<i64>>()
            })
        };
        let undated = insert(&sim, |_| Stamp::Null);
        let sync = sim.sync();
        assert_eq!(sync.ids, undated, "{stream}: rows without a date\n{}", sync.asked());
        assert_eq!(sync.requests.len(), 1, "{stream}\n{}", sync.asked());
        let old = insert(&sim, |row| Stamp::At(now() - 30 * DAY + row * MINUTE));
        let sync = sim.sync();
        assert_eq!(sync.ids, old, "{stream}: rows dated before the cursor\n{}", sync.asked());
        let too_old = insert(&sim, |row| Stamp::At(utc_ms("2023-06-01T00:00:00Z") + row));
        let sync = sim.sync();
        assert_eq!(sync.ids, [0_i64; 0], "{stream}: rows dated before start_date {too_old:?}\n{}", sync.asked());
        sim.assert_unchanged(stream);
    }
}

#[test]
fn another_order_of_keys_is_not_a_change() {
    for (stream, expand) in
        [("order_statuses", json!([])), ("orders", json!(["orders.items", "orders.payments"])), (STREAM, json!([]))]
    {
        let mut data = Data::empty();
        data.now_ms = now();
        let stamp = |row: i64| if stream == "order_statuses" { Stamp::Null } else { Stamp::At(now() - row * 500) };
        let first = data.next_id(stream);
        (0..100).for_each(|row| data.insert_lean(stream, first + row, stamp(row), Stamp::At(now())));
        for row in 0..100 {
            let mut item = data.make("order_items", row + 1);
            item.fields
                .iter_mut()
                .filter(|(name, _)| name == "order_id")
                .for_each(|(_, raw)| *raw = (first + row).to_string());
            data.insert("order_items", item);
        }
        let mut sim = Sim::new(stream, Options { shuffled_keys: Some(3), ..Options::default() }, data);
        sim.expand(&expand);
        assert_eq!(sim.sync().ids.len(), 100, "{stream}");
        sim.assert_unchanged(stream);
        sim.assert_unchanged(stream);
        let changed = first + 30;
        let field = if stream == "orders" { "source" } else { "name" };
        sim.store.data(|data| data.set_field(stream, changed, field, "\"Renamed\""));
        assert_eq!(sim.sync().ids, [changed], "{stream}: content counts, not the date alone");
        sim.assert_unchanged(stream);
    }
}

#[test]
fn rows_sent_by_a_killed_sync_are_remembered() {
    let mut data = busy(STREAM, 600, false);
    data.now_ms = now();
    let mut sim = Sim::new(STREAM, Options { max_count: Some(100), ..Options::default() }, data);
    // About a third of the records.
    sim.killed(200_000);
    sim.sync();
    sim.assert_nothing_lost("after a kill");
    let again = sim.sync();
    assert_eq!(again.ids.len(), 0, "{}", again.asked());
    sim.store.data(|data| data.touch(STREAM, 1_900));
    sim.killed(1);
    assert_eq!(sim.sync().ids, [1_900]);
    assert_eq!(sim.sync().ids.len(), 0);
}

#[test]
fn old_dates_in_a_stream_that_outgrew_one_page_arrive_although_the_walk_is_killed() {
    let stream = "order_statuses";
    let mut data = Data::empty();
    data.now_ms = utc_ms("2024-06-05T10:00:30Z");
    add_rows(&mut data, stream, 15, HOUR, utc_ms("2024-06-05T09:00:00Z"));
    let mut sim = Sim::new(stream, Options { max_count: Some(20), ..Options::default() }, data);
    sim.configure("max_requests_in_flight", 1.into());
    sim.sync();
    assert_eq!(sim.stream_state()["whole"], true);
    sim.store.data(|data| add_rows(data, stream, 300, MINUTE, utc_ms("2024-06-02T00:00:00Z")));
    assert!(sim.killed(60_000).run.interrupted);
    assert!(sim.stream_state().get("walk").is_some(), "the test itself: {}", sim.stream_state());
    sim.sync();
    sim.assert_nothing_lost("old dates, after a kill");
}
