//! Two things at once: a response that ends too early, and changes that make the counts fit anyway. No row is
//! lost.

use crate::cases::inconsistent_store::cursor::real_time;
use crate::cases::inconsistent_store::reading::at_answers;
use crate::cases::inconsistent_store::sent_rows_ties::{sync_with_a_cut_list, tied};
use crate::cases::inconsistent_store::sim::{HOUR, MINUTE, STREAM, Sim, Sync, add_rows};
use crate::fake_store::{Data, DateReading, NoKey, Options, Spoil, Stamp, utc_ms};
use crate::harness::setup::{minutes, some_of};

const NOW: &str = "2024-06-05T10:00:30Z";

/// Rows of a store, more than three pages.
const ROWS: i64 = 75;

/// Rows that change or are deleted: as many as a halved response leaves out.
const FIRST: &[i64] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

/// A change to a row.
#[derive(Clone, Copy, Debug)]
enum Change {
    Touched,
    Deleted,
}

/// Returns a store with pages of 20 rows, whose clock moves with each request.
fn store(in_flight: u32) -> Sim {
    let mut data = Data::empty();
    data.now_ms = utc_ms(NOW);
    add_rows(&mut data, STREAM, ROWS, HOUR, utc_ms(NOW) - HOUR);
    let mut sim = Sim::new(STREAM, Options { max_count: Some(20), ..Options::default() }, data);
    sim.configure("max_requests_in_flight", in_flight.into());
    sim
}

/// Halves one response of the next sync; between it and the next request, rows change.
fn halve(sim: &Sim, number: usize, change: Change) {
    halve_after(sim, number, number, (change, FIRST));
}

/// Halves one response of the next sync; after this request, rows change.
fn halve_after(sim: &Sim, request: usize, number: usize, (change, rows): (Change, &'static [i64])) {
    let mut is_left = true;
    sim.store.clear_requests();
    sim.store.options(|options| {
        options.quirks.spoil = Some(at_answers(Spoil::Halved, move |answer| answer == number));
        options.live = Some(Box::new(move |data, seen| {
            data.tick(1_000);
            if seen.n > request && std::mem::take(&mut is_left) {
                for &id in rows {
                    match change {
                        Change::Touched => data.touch(STREAM, id),
                        Change::Deleted => assert!(data.delete(STREAM, id)),
                    }
                }
            }
        }));
    });
}

/// Ends all faults and changes.
fn calm(sim: &Sim) {
    sim.store.options(|options| {
        options.quirks.spoil = None;
        options.live = None;
    });
}

/// Panics if a sync that ended COMPLETE, or the one after it, leaves a row out.
fn assert_nothing_lost(sim: &mut Sim, sync: &Sync, context: &str) {
    calm(sim);
    let next = sim.tried();
    let context = format!("{context}\n{}\nthen\n{}", sync.asked(), next.asked());
    assert_eq!(next.run.code, Some(0), "{context}");
    sim.assert_nothing_lost(&context);
}

#[test]
fn changes_after_a_halved_response_of_a_first_sync_cost_no_row() {
    for change in [Change::Touched, Change::Deleted] {
        for in_flight in [1, 3] {
            for number in some_of(2..=8) {
                let mut sim = store(in_flight);
                halve(&sim, number, change);
                let sync = sim.tried();
                assert_nothing_lost(&mut sim, &sync, &format!("{change:?}, answer {number}, {in_flight} in flight"));
            }
        }
    }
}

#[test]
fn older_rows_that_change_during_a_later_sync_hide_no_halved_response() {
    for in_flight in [1, 3] {
        for number in some_of(3..=6) {
            let mut sim = store(in_flight);
            sim.sync();
            sim.store.data(|data| {
                data.tick(HOUR);
                let ids = data.ids(STREAM);
                for id in ids.into_iter().filter(|id| !FIRST.contains(id)) {
                    data.tick(MINUTE);
                    data.touch(STREAM, id);
                }
            });
            // As many rows as the last page of the range loses, before the first page.
            halve_after(&sim, 2, number, (Change::Touched, &FIRST[..6]));
            let sync = sim.tried();
            assert_nothing_lost(&mut sim, &sync, &format!("answer {number}, {in_flight} in flight"));
        }
    }
}

#[test]
fn changes_while_a_killed_sync_waits_hide_no_halved_response() {
    for change in [Change::Touched, Change::Deleted] {
        for number in some_of(2..=6) {
            let mut sim = store(1);
            halve(&sim, number, change);
            // After the last page but one.
            let bytes = 17_000;
            let killed = sim.killed(bytes);
            calm(&sim);
            // More than a page of the rows that were read changes.
            sim.store.data(|data| {
                data.tick(HOUR);
                let ids = data.ids(STREAM);
                ids.iter().step_by(2).take(25).for_each(|&id| data.touch(STREAM, id));
            });
            assert_nothing_lost(&mut sim, &killed, &format!("{change:?}, answer {number}"));
        }
    }
}

/// Returns 4,700 rows of one date, read once, and new ones some time later.
fn tied_with_new_rows(new: i64, later: i64) -> Sim {
    let mut sim = tied(4_700);
    sim.configure("max_requests_in_flight", 1.into());
    sim.sync();
    sim.store.data(|data| {
        data.tick(later);
        (0..new).for_each(|_| {
            data.add(STREAM);
        });
    });
    sim
}

/// Panics if a sync of the unchanged store emits a row.
fn assert_quiet(sim: &mut Sim) {
    let sync = sim.sync();
    assert_eq!(sync.ids.len(), 0, "{}", sync.asked());
}

#[test]
fn rows_read_after_a_comparison_are_counted_too() {
    // With the old rows in the overlap of the new cursor, and without them.
    for later in [MINUTE, 5 * MINUTE] {
        let mut sim = tied_with_new_rows(300, later);
        let sync = sync_with_a_cut_list(&mut sim, 300);
        sim.assert_nothing_lost(&sync.asked());
        assert_quiet(&mut sim);
    }
}

#[test]
fn a_kill_after_a_comparison_stops_no_later_sync() {
    for bytes in some_of(1..=4).map(|part| part * 150_000) {
        let mut sim = tied_with_new_rows(3_000, MINUTE);
        let killed = sim.killed(bytes);
        assert!(killed.run.interrupted, "the test itself: {}", killed.asked());
        let sync = sim.sync();
        let context = format!("killed after {bytes} bytes\n{}\nthen\n{}", killed.asked(), sync.asked());
        sim.assert_nothing_lost(&context);
        assert_quiet(&mut sim);
    }
}

#[test]
fn a_row_that_becomes_visible_late_in_a_full_range_does_not_make_its_count_wrong() {
    let mut sim = Sim::new(STREAM, Options::default(), minutes(STREAM, 1, 2_101));
    sim.configure("max_requests_in_flight", 1.into());
    sim.sync();
    sim.store.data(|data| {
        data.tick(HOUR);
        assert!(data.delete(STREAM, 1_101));
        let ids = data.ids(STREAM);
        ids.into_iter().for_each(|id| data.touch(STREAM, id));
    });
    let newest = sim.now();
    // The page before had 1,000 rows and counted them; the row appears before the request for those after it.
    sim.store.options(|options| {
        options.live = Some(Box::new(move |data, seen| {
            if seen.param("id") == Some("gt:1100 AND lte:1101") && data.row(STREAM, 1_101).is_none() {
                let at = Stamp::At(newest - 30_000);
                data.insert_lean(STREAM, 1_101, at, at);
            }
        }));
    });
    let sync = sim.sync();
    assert_eq!(sync.warnings(), Vec::<&str>::new(), "{}", sync.asked());
    assert!(sim.store.data(|data| data.row(STREAM, 1_101).is_some()), "the test itself: {}", sync.asked());
    assert_eq!(sim.stream_state()["miscounts"], serde_json::Value::Null);
    sim.assert_nothing_lost(&sync.asked());
}

#[test]
fn a_store_that_ignores_ids_and_the_zone_of_dates_loses_no_row_by_a_kill() {
    for bytes in some_of(2..=9).map(|part| part * 4_000) {
        let mut sim = store(1);
        sim.store.options(|options| {
            options.ignore_id_filter = true;
            options.dates = DateReading::OffsetIgnored;
        });
        let killed = sim.killed(bytes);
        assert_nothing_lost(&mut sim, &killed, &format!("killed after {bytes} bytes"));
    }
}

#[test]
fn a_row_without_a_key_is_remembered_by_a_state_on_the_way_through_the_dates() {
    for bytes in some_of(3..=9).map(|part| part * 4_000) {
        let mut sim = store(1);
        let id = sim.store.data(|data| data.ids(STREAM)[22]);
        sim.store.options(|options| {
            options.ignore_id_filter = true;
            options.quirks.keyless.extend([((STREAM.to_owned(), id), NoKey::Null)]);
        });
        let killed = sim.killed(bytes);
        // The row has its key again.
        sim.store.options(|options| {
            options.quirks.keyless.clear();
            options.ignore_id_filter = false;
        });
        assert_nothing_lost(&mut sim, &killed, &format!("killed after {bytes} bytes"));
    }
}

#[test]
fn a_clock_that_is_set_back_hides_no_row_beside_many_of_one_date() {
    let mut data = Data::empty();
    data.now_ms = real_time();
    let bulk = Stamp::At(data.now_ms - MINUTE);
    let before = Stamp::At(data.now_ms - 2 * HOUR);
    (1..=4_700).for_each(|id| data.insert_lean(STREAM, id, if id == 9 { before } else { bulk }, before));
    let mut sim = Sim::new(STREAM, Options::default(), data);
    sim.sync();
    sim.store.data(|data| {
        data.now_ms = real_time() - 30 * MINUTE;
        data.touch(STREAM, 9);
    });
    let sync = sim.sync();
    assert!(sync.ids.contains(&9), "{}", sync.asked());
    assert!(sync.warnings()[0].contains("set back"), "{:?}", sync.warnings());
}
