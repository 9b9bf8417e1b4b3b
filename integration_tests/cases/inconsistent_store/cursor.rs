//! The cursor is never ahead of the store: a clock that is a year ahead, a state of 2099, a start date in the future,
//! a `Date` header that is late or missing.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::cases::inconsistent_store::sim::{DAY, HOUR, MINUTE, SECOND, STREAM, Sim, add_rows, month};
use crate::fake_store::{Data, Options, Stamp, utc_ms};

const NOW: &str = "2024-06-05T10:00:30Z";
const YEAR: i64 = 365 * DAY;

fn at(offset: i64) -> i64 {
    utc_ms(NOW) + offset
}

/// Changes rows, one every ten seconds until a time. Returns their ids.
fn change(sim: &Sim, ids: &[i64], last: i64) {
    sim.store.data(|data| {
        for (row, id) in (0..).zip(ids.iter().rev()) {
            data.now_ms = last - row * 10 * SECOND - 10;
            data.touch(STREAM, *id);
        }
        data.now_ms = last;
    });
}

/// Checks the requests of a documented store from here on: nothing changed, then one row.
fn assert_as_usual(sim: &mut Sim, context: &str) {
    sim.assert_unchanged(context);
    let now = sim.now() + HOUR;
    sim.set_now(now);
    change(sim, &[700], now);
    let sync = sim.sync();
    assert_eq!((sync.ids.as_slice(), sync.warnings().len()), (&[700][..], 0), "{context}\n{}", sync.asked());
    assert_eq!(sync.requests.len(), 1, "{context}\n{}", sync.asked());
}

#[test]
fn a_clock_one_year_ahead_during_one_sync_costs_no_row() {
    // With many pages, with one, and with syncs that are killed.
    for (page, killed) in [(1000, false), (50, false), (50, true)] {
        let context = format!("{page} a page, killed: {killed}");
        let options = Options { max_count: Some(page), ..Options::default() };
        let mut sim = Sim::new(STREAM, options, month(STREAM, at(0)));
        sim.sync();
        change(&sim, &[1, 2, 3], at(HOUR - 20 * SECOND));
        // The clock is a year ahead, a row changes, the sync runs.
        sim.set_now(at(HOUR + YEAR - 5 * SECOND));
        sim.store.data(|data| data.touch(STREAM, 4));
        sim.set_now(at(HOUR + YEAR));
        let ahead = sim.sync();
        assert_eq!(ahead.ids, [1, 2, 3, 4], "{context}\n{}", ahead.asked());
        // The clock is right again. Changes from now on have dates before the cursor.
        let early: Vec<i64> = (100..300).collect();
        change(&sim, &early, at(2 * HOUR));
        if killed {
            sim.killed(20_000);
        }
        let right = sim.sync();
        let lost = sim.lost();
        assert!(lost.is_empty(), "{context}: {} of 200 changes lost\n{}", lost.len(), right.asked());
        let warnings = right.warnings();
        assert!(killed || warnings.iter().filter(|text| text.contains(STREAM)).count() == 1, "{context}: {warnings:?}");
        assert!(sim.cursor().is_some_and(|cursor| cursor <= at(2 * HOUR)), "{context}: {}", sim.stream_state());
        for hour in 3..6 {
            change(&sim, &[300 + hour, 400 + hour], at(hour * HOUR));
            let sync = sim.sync();
            let changed: Vec<i64> = sync.ids.iter().copied().filter(|id| *id != 4).collect();
            assert_eq!(changed, [300 + hour, 400 + hour], "{context} hour {hour}\n{}", sync.asked());
            assert_eq!(sync.warnings(), Vec::<&str>::new(), "{context} hour {hour}");
        }
        assert!(sim.times[&4] <= 3, "{context}: the row of next year came {} times", sim.times[&4]);
        assert_eq!(sim.sync().ids, [0_i64; 0], "{context}");
        // A row with a future date is remembered, and costs no request.
        sim.store.data(|data| data.set_updated_at(STREAM, 4, Stamp::At(at(HOUR))));
    }
}

#[test]
fn a_clock_one_year_ahead_during_the_first_sync_costs_no_later_change() {
    let mut sim = Sim::new(STREAM, Options::default(), month(STREAM, at(0)));
    sim.set_now(at(YEAR - 5 * SECOND));
    sim.store.data(|data| data.touch(STREAM, 4));
    sim.set_now(at(YEAR));
    assert_eq!(sim.sync().ids.len(), 1_440);
    for hour in 1..4 {
        change(&sim, &[100 + hour], at(hour * HOUR));
        let sync = sim.sync();
        assert!(sync.ids.contains(&(100 + hour)), "hour {hour}\n{}", sync.asked());
        assert_eq!(sync.warnings().len(), usize::from(hour == 1), "hour {hour}: {:?}", sync.warnings());
    }
}

#[test]
fn changes_after_a_clock_ahead_during_the_first_syncs_are_read_whenever_it_is_corrected() {
    for syncs in 1..=2 {
        let mut sim = Sim::new(STREAM, Options::default(), month(STREAM, at(0)));
        for sync in 0..syncs {
            change(&sim, &[4], at(YEAR + i64::from(sync) * HOUR));
            sim.set_now(sim.now() + 5 * SECOND);
            sim.sync();
        }
        // Long before the next sync.
        change(&sim, &[100], at(HOUR));
        sim.set_now(at(3 * HOUR));
        let sync = sim.sync();
        assert!(sync.ids.contains(&100), "{syncs} syncs\n{}", sync.asked());
        assert_eq!(sync.warnings().len(), 1, "{syncs} syncs: {:?}", sync.warnings());
        assert!(sync.warnings()[0].contains("from the start date"), "{:?}", sync.warnings());
        assert_as_usual(&mut sim, "after it");
    }
}

/// Returns the real time in milliseconds, which the connector compares with the store's clock.
pub(crate) fn real_time() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// Reads a store whose clock is this much ahead of the real time, twice.
fn synced_with_clock(ahead: i64) -> Sim {
    let mut sim = Sim::new(STREAM, Options::default(), month(STREAM, real_time() + ahead));
    sim.sync();
    let before = sim.stream_state();
    sim.assert_unchanged("the same clock");
    assert_eq!(sim.stream_state()["clock_ahead"], before["clock_ahead"]);
    sim
}

#[test]
fn a_clock_that_is_set_back_by_less_than_the_time_between_two_syncs_costs_no_row() {
    for (ahead, now) in [(30 * MINUTE, 0), (0, -30 * MINUTE), (2 * HOUR, 10 * MINUTE)] {
        let mut sim = synced_with_clock(ahead);
        let saved = sim.stream_state()["clock_ahead"].as_i64();
        assert_eq!(saved.is_some(), ahead > 0, "{saved:?}");
        // As if the last sync was longer ago: the newest change is earlier than the clock is now.
        let newest = sim.cursor().unwrap();
        let to = newest - (ahead - now) * 2 / 3;
        sim.store.data(|data| {
            data.now_ms = to;
            data.touch(STREAM, 5);
            data.now_ms = real_time() + now;
        });
        let sync = sim.sync();
        assert!(sync.ids.contains(&5), "{ahead} {now}\n{}", sync.asked());
        assert_eq!(sync.warnings().len(), 1, "{ahead} {now}\n{}", sync.asked());
        sim.assert_nothing_lost("after the clock was set back");
        sim.assert_unchanged("after the clock was set back");
    }
}

#[test]
fn a_date_header_one_year_ahead_during_one_sync_changes_nothing() {
    let mut sim = Sim::new(STREAM, Options::default(), month(STREAM, at(0)));
    sim.sync();
    sim.store.options(|options| options.date_ahead_seconds = YEAR / SECOND);
    change(&sim, &[5, 6], at(HOUR));
    assert_eq!(sim.sync().ids, [5, 6]);
    sim.store.options(|options| options.date_ahead_seconds = 0);
    change(&sim, &[7, 8], at(2 * HOUR));
    let sync = sim.sync();
    assert_eq!((sync.ids.as_slice(), sync.warnings()), (&[7, 8][..], Vec::new()), "{}", sync.asked());
    assert_as_usual(&mut sim, "after it");
}

#[test]
fn a_state_of_2099_is_read_from_the_stores_date_with_a_warning() {
    for cursor in ["2099-01-01T00:00:00Z", "2099-01-01T00:00:00.000-05:00"] {
        let mut sim = Sim::new(STREAM, Options::default(), month(STREAM, at(0)));
        sim.set_cursor(cursor);
        change(&sim, &[21, 22, 23], at(-20 * SECOND));
        sim.set_now(at(0));
        let sync = sim.sync();
        assert_eq!(sync.ids, [21, 22, 23], "{cursor}\n{}", sync.asked());
        let warnings = sync.warnings();
        let said = |text: &&&str| text.contains(STREAM) && text.contains("2099-01-01") && text.contains("state");
        assert_eq!(warnings.iter().filter(said).count(), 1, "it names the stream and the way back: {warnings:?}");
        assert!(sync.requests.len() <= 3, "{cursor}\n{}", sync.asked());
        assert!(sim.cursor().is_some_and(|at| at <= sim.now()), "{cursor}: {}", sim.stream_state());
        // After that, as usual.
        change(&sim, &[24], at(HOUR));
        let next = sim.sync();
        assert_eq!((next.ids.as_slice(), next.warnings()), (&[24][..], Vec::new()), "{cursor}\n{}", next.asked());
        assert_as_usual(&mut sim, cursor);
    }
}

#[test]
fn a_state_of_2099_is_replaced_even_if_nothing_changes() {
    let mut sim = Sim::new(STREAM, Options::default(), month(STREAM, at(0)));
    sim.set_cursor("2099-01-01T00:00:00Z");
    let sync = sim.sync();
    assert_eq!(sync.warnings().iter().filter(|text| text.contains(STREAM)).count(), 1, "{:?}", sync.warnings());
    assert!(sim.cursor().is_none_or(|cursor| cursor <= sim.now()), "{}", sim.stream_state());
    change(&sim, &[24], at(HOUR));
    let next = sim.sync();
    assert!(next.ids.contains(&24), "{}", next.asked());
}

#[test]
fn a_start_date_in_the_future_leaves_no_cursor() {
    // More than a page of rows, and few.
    for (rows, page, mode) in [
        (1_500, 1000, "incremental"),
        (1_500, 1000, "full_refresh"),
        (30, 1000, "incremental"),
        (120, 20, "incremental"),
    ] {
        let context = format!("{rows} rows {page} a page {mode}");
        let mut data = Data::empty();
        data.now_ms = at(0);
        add_rows(&mut data, STREAM, rows, MINUTE, at(0));
        let mut sim = Sim::in_mode(mode, STREAM, Options { max_count: Some(page), ..Options::default() }, data);
        sim.configure("start_date", json!("2024-07-05T00:00:00Z"));
        let early = sim.sync();
        assert_eq!(early.ids, [0_i64; 0], "{context}\n{}", early.asked());
        assert_eq!(early.run.last_state(STREAM), Some(&json!({})), "{context}");
        assert!(early.requests.len() <= 3, "{context}\n{}", early.asked());
        // The row that changes in between is read later.
        change(&sim, &[5], at(HOUR));
        sim.sync();
        sim.configure("start_date", json!("2000-01-01T00:00:00Z"));
        let corrected = sim.sync();
        assert_eq!(corrected.ids.len(), usize::try_from(rows).unwrap(), "{context}\n{}", corrected.asked());
        assert_eq!(corrected.warnings(), Vec::<&str>::new(), "{context}");
        corrected.assert_few_requests(page, &context);
    }
}

#[test]
fn a_start_date_in_the_future_is_respected() {
    let mut data = Data::empty();
    data.now_ms = at(0);
    add_rows(&mut data, STREAM, 50, MINUTE, at(0));
    let mut sim = Sim::new(STREAM, Options::default(), data);
    sim.configure("start_date", json!("2024-06-05T12:00:00Z"));
    assert_eq!(sim.sync().ids, [0_i64; 0]);
    change(&sim, &[1, 2], at(HOUR));
    assert_eq!(sim.sync().ids, [0_i64; 0]);
    change(&sim, &[3, 4], at(3 * HOUR));
    assert_eq!(sim.sync().ids, [3, 4]);
    change(&sim, &[5], at(4 * HOUR));
    assert_eq!(sim.sync().ids, [5]);
}

#[test]
fn a_date_header_one_hour_behind_sends_nothing_twice() {
    for rows in [30, 1_500, 6_000] {
        let mut data = Data::empty();
        data.now_ms = at(0);
        // All within 50 minutes, so that all are later than `Date`.
        add_rows(&mut data, STREAM, rows, 500, at(0));
        let options = Options { date_ahead_seconds: -3600, ..Options::default() };
        let mut sim = Sim::new(STREAM, options, data);
        let count = usize::try_from(rows).unwrap();
        assert_eq!(sim.sync().ids.len(), count);
        for _ in 0..3 {
            let again = sim.sync();
            assert_eq!(again.ids.len(), 0, "{rows} rows, unchanged\n{}", again.asked());
            again.assert_few_requests(1000, "unchanged");
        }
        change(&sim, &[7], at(30 * SECOND));
        let changed = sim.sync();
        assert!(changed.ids.contains(&7), "{rows} rows\n{}", changed.asked());
        // If more rows change than a state can list, a change emits its range again.
        let bound = if rows > 4_000 { 300 } else { 1 };
        assert!(changed.ids.len() <= bound, "{rows} rows: {} records for a change", changed.ids.len());
        for hour in 1..4 {
            change(&sim, &[20 + hour], at(hour * HOUR));
            let sync = sim.sync();
            assert!(sync.ids.contains(&(20 + hour)), "{rows} rows, hour {hour}\n{}", sync.asked());
        }
        sim.assert_nothing_lost(&format!("{rows} rows"));
        assert_eq!(sim.sync().ids.len(), 0);
    }
}

#[test]
fn responses_without_a_date_header_lose_nothing_and_send_nothing_twice() {
    let mut sim = Sim::new(STREAM, Options { date_header: false, ..Options::default() }, month(STREAM, at(0)));
    sim.sync();
    sim.assert_unchanged("no Date");
    for hour in 1..4 {
        change(&sim, &[20 + hour], at(hour * HOUR));
        let sync = sim.sync();
        assert_eq!((sync.ids.as_slice(), sync.warnings()), (&[20 + hour][..], Vec::new()), "{}", sync.asked());
    }
    assert_as_usual(&mut sim, "no Date");
}

#[test]
fn the_cursor_of_a_documented_store_costs_one_request() {
    for rows in [30, 1_440] {
        let mut data = Data::empty();
        data.now_ms = at(0);
        add_rows(&mut data, STREAM, rows, MINUTE, at(0));
        let mut sim = Sim::new(STREAM, Options::default(), data);
        let first = sim.sync();
        first.assert_few_requests(1000, "first");
        assert_eq!((first.ids.len(), first.warnings().len()), (usize::try_from(rows).unwrap(), 0));
        sim.assert_unchanged("unchanged");
        assert_eq!(sim.cursor(), Some(at(0)), "the newest row");
        sim.set_now(at(HOUR));
        sim.assert_unchanged("an hour later");
        change(&sim, &[7], at(2 * HOUR));
        let sync = sim.sync();
        assert_eq!((sync.ids.as_slice(), sync.requests.len()), (&[7][..], 1), "{}", sync.asked());
    }
}
