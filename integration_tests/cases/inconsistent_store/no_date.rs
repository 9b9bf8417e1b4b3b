//! Placeholder dates: such a row is emitted once, is remembered like rows without `updated_at`, and is
//! never the cursor. The field itself becomes null.

use serde_json::json;

use crate::cases::inconsistent_store::sim::{HOUR, MINUTE, Sim, Sync, add_rows};
use crate::fake_store::{Data, Options, Stamp, utc_ms};

const NOW: &str = "2024-06-05T10:00:30Z";

/// Values that are null in every date field.
const NULL: [&str; 12] = [
    "-",
    "N/A",
    "0000-00-00T00:00:00",
    "0000-00-00T00:00:00Z",
    "0000-01-01T00:00:00-06:00",
    "0001-01-01T00:00:00",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00-06:00",
    "0001-01-01T00:00:00+06:00",
    "0001-12-31T23:59:59.997-06:00",
    "9999-12-31T23:59:59-06:00",
    "9999-12-31T23:59:59.9999999-00:01",
];

/// Values that can be real dates, and their emitted form. None of them is a cursor.
const REAL: [(&str, &str); 4] = [
    ("1753-01-01T00:00:00-06:00", "1753-01-01T06:00:00Z"),
    ("1753-01-01T00:00:00Z", "1753-01-01T00:00:00Z"),
    ("1900-01-01T00:00:00-06:00", "1900-01-01T06:00:00Z"),
    ("1900-01-01T00:00:00Z", "1900-01-01T00:00:00Z"),
];

fn values() -> impl Iterator<Item = &'static str> {
    NULL.into_iter().chain(REAL.into_iter().map(|(text, _)| text))
}

/// Returns the value of a date field in a record, for a value of the store.
fn sent(value: &str) -> serde_json::Value {
    REAL.iter().find(|(text, _)| *text == value).map_or(json!(null), |(_, sent)| json!(sent))
}

/// Returns a stream of rows with dates, and one row for each placeholder.
fn mixed(stream: &str, dated: i64) -> (Data, Vec<(i64, &'static str)>) {
    let mut data = Data::empty();
    data.now_ms = utc_ms(NOW);
    add_rows(&mut data, stream, dated, MINUTE, utc_ms(NOW) - HOUR);
    let ids = data.ids(stream);
    // Among the first, in the middle and at the end of the ids.
    let (rest, last) = ids.split_at(ids.len() - 8);
    let places = rest.iter().step_by(rest.len().div_ceil(8)).chain(last);
    let odd: Vec<(i64, &str)> = places.copied().zip(values()).collect();
    assert_eq!(odd.len(), NULL.len() + REAL.len(), "the test itself");
    odd.iter().for_each(|(id, value)| data.set_updated_at(stream, *id, Stamp::Odd(value)));
    (data, odd)
}

/// Checks that each row with a placeholder was emitted once, with the expected value.
fn assert_odd_rows(sync: &Sync, stream: &str, odd: &[(i64, &str)], context: &str) {
    for (id, value) in odd {
        let records = sync.run.records(stream);
        let of_row: Vec<_> = records.iter().filter(|record| record.id() == Some(*id)).collect();
        assert_eq!(of_row.len(), 1, "{context}: records of the row dated {value:?}\n{}", sync.asked());
        let date = &of_row[0].data_value()["updated_at"];
        assert_eq!(*date, sent(value), "{context}: {value:?}");
    }
}

/// Checks that the cursor is a date of the rows that have one.
fn assert_no_odd_cursor(sim: &Sim, context: &str) {
    let state = sim.stream_state();
    assert!(
        sim.cursor().is_some_and(|at| at <= sim.now() && at > utc_ms("2024-01-01T00:00:00Z")),
        "{context}: {state}"
    );
}

/// A stream where rows without `updated_at` are usual, and one where they are not.
const STREAMS: [&str; 2] = ["products", "orders"];

#[test]
fn in_a_small_stream_such_rows_are_emitted_once_and_again_when_they_change() {
    for stream in STREAMS {
        let (data, odd) = mixed(stream, 60);
        let mut sim = Sim::new(stream, Options::default(), data);
        sim.misfit = Some("updated_at");
        // As for every row, `start_date` applies to real dates only.
        let first = sim.sync();
        assert_eq!(first.ids.len(), 60, "{stream}\n{}", first.asked());
        assert_odd_rows(&first, stream, &odd, stream);
        assert_no_odd_cursor(&sim, stream);
        for _ in 0..2 {
            let again = sim.sync();
            assert_eq!(again.ids, [0_i64; 0], "{stream}: unchanged\n{}", again.asked());
            assert_eq!(again.requests.len(), 1, "{stream}\n{}", again.asked());
        }
        let field = if stream == "orders" { "source" } else { "item_name" };
        for (id, value) in &odd {
            sim.store.data(|data| data.set_field(stream, *id, field, &format!("\"Renamed {id}\"")));
            let changed = sim.sync();
            assert_eq!(changed.ids, [*id], "{stream}: the row dated {value:?} changed\n{}", changed.asked());
        }
        assert_no_odd_cursor(&sim, stream);
        // With a real date it is a normal row.
        sim.store.data(|data| data.touch(stream, odd[0].0));
        assert_eq!(sim.sync().ids, [odd[0].0], "{stream}");
        assert_eq!(sim.sync().ids, [0_i64; 0], "{stream}");
    }
}

#[test]
fn in_a_stream_of_several_pages_such_rows_are_emitted_once() {
    for stream in STREAMS {
        let (data, odd) = mixed(stream, 120);
        let mut sim = Sim::new(stream, Options { max_count: Some(20), ..Options::default() }, data);
        sim.misfit = Some("updated_at");
        let first = sim.sync();
        assert_eq!(first.ids.len(), 120, "{stream}\n{}", first.asked());
        assert_odd_rows(&first, stream, &odd, stream);
        assert_no_odd_cursor(&sim, stream);
        for _ in 0..2 {
            let again = sim.sync();
            assert_eq!(again.ids, [0_i64; 0], "{stream}: unchanged\n{}", again.asked());
        }
        sim.set_now(utc_ms(NOW) + HOUR);
        let dated = sim.store.data(|data| data.ids(stream))[3];
        sim.store.data(|data| data.touch(stream, dated));
        let changed = sim.sync();
        assert_eq!(changed.ids, [dated], "{stream}\n{}", changed.asked());
    }
}

#[test]
fn a_full_refresh_emits_such_rows() {
    for stream in STREAMS {
        for page in [1000, 20] {
            let (data, odd) = mixed(stream, 120);
            let options = Options { max_count: Some(page), ..Options::default() };
            let mut sim = Sim::in_mode("full_refresh", stream, options, data);
            sim.misfit = Some("updated_at");
            let context = format!("{stream}, {page} a page");
            let sync = sim.sync();
            assert_eq!(sync.ids.len(), 120, "{context}\n{}", sync.asked());
            assert_odd_rows(&sync, stream, &odd, &context);
            // An incremental sync continues from this state.
            let state = sync.run.last_state(stream).unwrap();
            assert!(state["updated_at"].is_string() && state.get("full").is_none(), "{context}: {state}");
        }
    }
}

#[test]
fn such_rows_alone_give_no_cursor() {
    for stream in STREAMS {
        for value in values() {
            for (rows, page) in [(5, 1000), (50, 20)] {
                let context = format!("{stream}, {rows} rows dated {value:?}");
                let mut data = Data::empty();
                data.now_ms = utc_ms(NOW);
                let first_id = data.next_id(stream);
                (0..rows).for_each(|row| data.insert_lean(stream, first_id + row, Stamp::Odd(value), Stamp::Null));
                let mut sim = Sim::new(stream, Options { max_count: Some(page), ..Options::default() }, data);
                sim.misfit = Some("updated_at");
                let first = sim.sync();
                assert_eq!(first.ids.len(), usize::try_from(rows).unwrap(), "{context}\n{}", first.asked());
                let state = sim.stream_state();
                assert!(state.get("updated_at").is_none(), "{context}: {state}");
                if rows < 20 {
                    let again = sim.sync();
                    assert_eq!(again.ids, [0_i64; 0], "{context}\n{}", again.asked());
                }
                let dated = sim.store.data(|data| data.add(stream));
                let next = sim.sync();
                assert!(next.ids.contains(&dated), "{context}\n{}", next.asked());
                assert_eq!(sim.cursor(), sim.shown(dated), "{context}");
            }
        }
    }
}

#[test]
fn placeholder_dates_are_warned_about_like_missing_dates() {
    for stream in STREAMS {
        for (rows, page) in [(60, 1000), (120, 20)] {
            // The same number of rows without any date.
            let (mut data, odd) = mixed(stream, rows);
            odd.iter().for_each(|(id, _)| data.set_updated_at(stream, *id, Stamp::Null));
            let options = || Options { max_count: Some(page), ..Options::default() };
            let mut null = Sim::new(stream, options(), data);
            let of_null: Vec<String> = null.sync().warnings().into_iter().map(str::to_owned).collect();
            let mut sim = Sim::new(stream, options(), mixed(stream, rows).0);
            sim.misfit = Some("updated_at");
            let first = sim.sync();
            let reported = first.warnings();
            for text in &of_null {
                assert!(reported.contains(&text.as_str()), "{stream} {rows}: {text:?} in {reported:?}");
            }
            // Another warning is about the value, which becomes null.
            assert_eq!(reported.len(), of_null.len() + 1, "{stream} {rows}: {reported:?}");
            let field =
                reported.iter().filter(|text| text.contains("`updated_at`") || text.contains("updated_at")).count();
            assert!(field >= 1, "{reported:?}");
        }
    }
}

#[test]
fn a_killed_walk_over_such_rows_loses_none() {
    for stream in STREAMS {
        for mode in ["incremental", "full_refresh"] {
            let (data, odd) = mixed(stream, 200);
            let mut sim = Sim::in_mode(mode, stream, Options { max_count: Some(20), ..Options::default() }, data);
            sim.misfit = Some("updated_at");
            for _ in 0..3 {
                sim.killed(150_000);
            }
            sim.sync();
            sim.assert_nothing_lost(&format!("{stream} {mode}"));
            let missing: Vec<_> = odd.iter().filter(|(id, _)| !sim.times.contains_key(id)).collect();
            assert!(missing.is_empty(), "{stream} {mode}: {missing:?}");
        }
    }
}

#[test]
fn in_every_date_field_such_values_become_null_with_one_warning_per_field() {
    let fields: [(&str, &[&str]); 2] = [
        ("orders", &["ordered_at", "created_at", "order_status_last_changed_at", "expires_at", "due_date"]),
        ("products", &["created_at", "eta_date"]),
    ];
    for (stream, fields) in fields {
        for (mode, page) in [("incremental", 1000), ("full_refresh", 20)] {
            let mut data = Data::empty();
            data.now_ms = utc_ms(NOW);
            add_rows(&mut data, stream, 60, MINUTE, utc_ms(NOW) - HOUR);
            let odd: Vec<(i64, &str)> = data.ids(stream).into_iter().zip(values()).collect();
            for (id, value) in &odd {
                for field in fields {
                    match *field {
                        "created_at" => data.set_created_at(stream, *id, Stamp::Odd(value)),
                        field => data.set_field(stream, *id, field, &format!("\"{value}\"")),
                    }
                }
            }
            let mut sim = Sim::in_mode(mode, stream, Options { max_count: Some(page), ..Options::default() }, data);
            let sync = sim.sync();
            assert_eq!(sync.ids.len(), 60, "{stream}\n{}", sync.asked());
            for record in sync.run.records(stream) {
                let data = record.data_value();
                let Some((_, value)) = odd.iter().find(|(id, _)| data["id"] == json!(id)) else { continue };
                for field in fields {
                    assert_eq!(data[*field], sent(value), "{stream} {mode}: {field} is {value:?}");
                }
            }
            let warnings = sync.warnings();
            for field in fields {
                let reported = warnings.iter().filter(|text| text.contains(field)).count();
                assert_eq!(reported, 1, "{stream} {mode}: {field} in {warnings:?}");
            }
            assert_eq!(warnings.len(), fields.len(), "{stream} {mode}: {warnings:?}");
            if mode == "incremental" {
                let again = sim.sync();
                assert_eq!((again.ids.len(), again.requests.len()), (0, 1), "{stream}\n{}", again.asked());
            }
        }
    }
}

#[test]
fn old_dates_are_emitted_unchanged_and_without_a_warning() {
    let mut data = Data::empty();
    data.now_ms = utc_ms(NOW);
    add_rows(&mut data, "orders", 20, MINUTE, utc_ms(NOW) - HOUR);
    let odd: Vec<(i64, (&str, &str))> = data.ids("orders").into_iter().zip(REAL).collect();
    for (id, (value, _)) in &odd {
        data.set_field("orders", *id, "expires_at", &format!("\"{value}\""));
    }
    let mut sim = Sim::new("orders", Options::default(), data);
    let sync = sim.sync();
    assert_eq!(sync.warnings(), Vec::<&str>::new());
    for (id, (_, sent)) in odd {
        let record = sync.run.records("orders").into_iter().find(|record| record.id() == Some(id)).unwrap();
        assert_eq!(record.data_value()["expires_at"], json!(sent));
    }
    sim.assert_unchanged("orders");
}

#[test]
fn a_date_that_cannot_be_read_hides_no_row_from_a_sync_of_several_pages() {
    for value in ["yesterday", "7/7/2021 3:23:11 PM"] {
        for nulls_last in [false, true] {
            let mut data = Data::empty();
            data.now_ms = utc_ms(NOW);
            add_rows(&mut data, "orders", 75, MINUTE, utc_ms(NOW) - HOUR);
            let id = data.ids("orders")[30];
            data.set_updated_at("orders", id, Stamp::Odd(value));
            let mut sim = Sim::new("orders", Options { max_count: Some(20), nulls_last, ..Options::default() }, data);
            sim.misfit = Some("updated_at");
            let sync = sim.sync();
            assert!(sync.ids.contains(&id), "{value}, nulls last: {nulls_last}\n{}", sync.asked());
            assert_eq!(sync.ids.len(), 75, "{value}, nulls last: {nulls_last}\n{}", sync.asked());
        }
    }
}

#[test]
fn a_row_whose_date_cannot_be_read_is_sent_once_in_a_stream_that_is_read_completely() {
    for stream in ["products", "orders"] {
        let mut data = Data::empty();
        data.now_ms = utc_ms(NOW);
        add_rows(&mut data, stream, 5, MINUTE, utc_ms(NOW) - HOUR);
        let id = data.ids(stream)[2];
        data.set_updated_at(stream, id, Stamp::Odd("yesterday"));
        let mut sim = Sim::new(stream, Options::default(), data);
        sim.misfit = Some("updated_at");
        assert_eq!(sim.sync().ids.len(), 5);
        for _ in 0..2 {
            let sync = sim.sync();
            assert_eq!(sync.ids.len(), 0, "{stream}\n{}", sync.asked());
        }
        sim.store.data(|data| {
            data.set_field(stream, id, if stream == "orders" { "comments" } else { "item_name" }, "\"New\"");
        });
        assert_eq!(sim.sync().ids, [id], "{stream}");
    }
}
