//! `start_date` and `end_date` on stores that interpret dates differently: the read returns exactly the rows whose
//! date is in the range.

use chrono::DateTime;
use chrono_tz::Tz;
use chrono_tz::{America, Europe, Pacific};
use serde_json::json;

use crate::cases::inconsistent_store::sim::{HOUR, MINUTE, STREAM, Sim, add_rows};
use crate::fake_store::{Data, DateReading, Options, utc_ms};

/// Returns a row every ten minutes of the three days around a time, with the clock a day later.
fn around(moment: &str) -> Data {
    let mut data = Data::empty();
    data.now_ms = utc_ms(moment) + 60 * HOUR;
    add_rows(&mut data, STREAM, 432, 10 * MINUTE, utc_ms(moment) + 36 * HOUR);
    data
}

fn text(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).unwrap().format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A change of the clock, and the distances of the bounds before and after it, in minutes.
struct Bounds {
    zone: Tz,
    change: &'static str,
    before: i64,
    after: i64,
}

const BOUNDS: [Bounds; 5] = [
    Bounds { zone: America::Chicago, change: "2024-11-03T07:00:00Z", before: 15 * 60, after: 15 * 60 },
    // Both are in the repeated hour, or in the skipped hour.
    Bounds { zone: America::Chicago, change: "2024-11-03T07:00:00Z", before: 30, after: 30 },
    Bounds { zone: America::Chicago, change: "2024-03-10T08:00:00Z", before: 20 * 60, after: 30 },
    Bounds { zone: Europe::Berlin, change: "2024-10-27T01:00:00Z", before: 15 * 60, after: 15 * 60 },
    Bounds { zone: Pacific::Auckland, change: "2024-04-06T14:00:00Z", before: 16 * 60, after: 30 },
];

/// Reads with each of the bounds, in both modes, in one page and in many.
fn prove(dates: DateReading) {
    for (case, bounds) in BOUNDS.iter().enumerate() {
        let (from, end) =
            (utc_ms(bounds.change) - bounds.before * MINUTE, utc_ms(bounds.change) + bounds.after * MINUTE);
        for (mode, page) in [("incremental", 1000), ("incremental", 50), ("full_refresh", 1000), ("full_refresh", 50)] {
            if dates == DateReading::OffsetIgnored && page < 1000 {
                // Such a store does not show the newest rows before the end date on a page of later ones: the
                // cursor stays further back, and rows are sent again.
                continue;
            }
            let context = format!("{dates:?} {} case {case} {mode} {page} a page", bounds.zone);
            let options = Options { zone: bounds.zone, dates, max_count: Some(page), ..Options::default() };
            let mut sim = Sim::in_mode(mode, STREAM, options, around(bounds.change));
            sim.configure("start_date", json!(text(from)));
            sim.configure("end_date", json!(text(end)));
            let expected: Vec<i64> = sim
                .store
                .data(|data| data.ids(STREAM))
                .into_iter()
                .filter(|id| sim.shown(*id).is_some_and(|at| (from..end).contains(&at)))
                .collect();
            assert!(expected.len() > 3, "{context}: the test itself");
            let sync = sim.sync();
            assert_eq!(sync.ids, expected, "{context}\n{}", sync.asked());
            sync.assert_few_requests(page, &context);
            if dates == DateReading::Documented {
                assert_eq!(sync.warnings(), Vec::<&str>::new(), "{context}");
            }
            if mode == "incremental" {
                assert!(sim.cursor().is_some_and(|cursor| cursor < end), "{context}: {}", sim.stream_state());
                let again = sim.sync();
                assert_eq!(again.ids, [0_i64; 0], "{context}\n{}", again.asked());
                // Rows after the end date are read when the end date is removed.
                sim.configure("end_date", json!(null));
                sim.sync();
                let wanted = sim.store.data(|data| data.ids(STREAM));
                let wanted = wanted.into_iter().filter(|id| sim.shown(*id).is_some_and(|at| at >= from));
                let missing: Vec<i64> = wanted.filter(|id| !sim.times.contains_key(id)).collect();
                assert_eq!(missing, [0_i64; 0], "{context}");
            }
        }
    }
}

#[test]
fn the_bounds_of_a_documented_store_are_exact() {
    prove(DateReading::Documented);
}

#[test]
fn the_bounds_are_exact_if_local_digits_are_stored() {
    prove(DateReading::LocalDigits);
}

#[test]
fn the_bounds_are_exact_if_both_passes_have_the_standard_offset() {
    prove(DateReading::LocalDigitsStandard);
}

#[test]
fn the_bounds_are_exact_if_the_zone_of_a_filter_is_ignored() {
    prove(DateReading::OffsetIgnored);
}

#[test]
fn the_bounds_are_exact_if_todays_offset_is_applied_to_all_dates() {
    prove(DateReading::TodaysOffset);
}

#[test]
fn rows_after_the_end_date_arrive_later_in_a_stream_that_is_read_completely() {
    let mut data = Data::empty();
    data.now_ms = utc_ms("2024-06-05T10:00:30Z");
    add_rows(&mut data, "order_statuses", 40, HOUR, utc_ms("2024-06-05T09:00:00Z"));
    let mut sim = Sim::new("order_statuses", Options::default(), data);
    sim.configure("end_date", json!("2024-06-05T00:00:00Z"));
    assert_eq!(sim.sync().ids.len(), 30);
    assert_eq!(sim.sync().ids, [0_i64; 0]);
    sim.configure("end_date", json!(null));
    let last = sim.sync();
    assert_eq!(last.ids.len(), 10, "{}", last.asked());
    sim.assert_nothing_lost("without the end date");
}

#[test]
fn a_row_at_the_cursor_that_changes_after_the_end_date_does_not_accuse_the_filter() {
    let mut data = Data::empty();
    data.now_ms = utc_ms("2024-06-05T10:00:30Z");
    add_rows(&mut data, STREAM, 1_440, 30 * MINUTE, utc_ms("2024-06-05T09:00:00Z"));
    let mut sim = Sim::new(STREAM, Options::default(), data);
    sim.configure("end_date", json!("2024-06-01T00:00:00Z"));
    sim.sync();
    let mut newest = sim.store.data(|data| data.ids(STREAM)).into_iter();
    let newest = newest.rfind(|id| sim.shown(*id).is_some_and(|at| at < utc_ms("2024-06-01T00:00:00Z"))).unwrap();
    sim.store.data(|data| {
        data.touch(STREAM, newest);
        data.tick(MINUTE);
    });
    for _ in 0..2 {
        let sync = sim.sync();
        assert_eq!((sync.ids.len(), sync.warnings()), (0, Vec::new()), "{}", sync.asked());
        assert!(sync.requests.len() <= 3, "{}", sync.asked());
    }
    // A row that the filter must list is still looked for.
    sim.configure("end_date", json!(null));
    sim.sync();
    sim.assert_nothing_lost("without the end date");
}
