//! Dates: how each variant shows, filters and sorts them; the `Date` header; keys in any order.

use super::*;

/// Addresses by id, changed at these times.
fn store_at(reading: DateReading, now: &str, moments: &[(i64, &str)]) -> FakeStore {
    let mut data = Data::empty();
    data.now_ms = utc_ms(now);
    for (id, at) in moments {
        data.insert_lean("addresses", *id, Stamp::At(utc_ms(at)), Stamp::Null);
    }
    FakeStore::start(Options { dates: reading, date_from_store: true, ..Options::default() }, data)
}

/// Returns `updated_at` of every row, in the order of `sort`.
fn shown(store: &FakeStore, query: &str) -> Vec<String> {
    let json = get(store, &format!("/api/v1/addresses?{query}")).json();
    let rows = json["addresses"].as_array().unwrap().iter();
    rows.map(|row| row["updated_at"].as_str().unwrap_or("null").to_owned()).collect()
}

const AUTUMN: [(i64, &str); 3] =
    [(1, "2024-11-03T06:30:00Z"), (2, "2024-11-03T07:10:00Z"), (3, "2024-11-03T08:00:00Z")];

#[test]
fn local_digits_do_not_tell_the_passes_of_the_doubled_hour() {
    let store = store_at(DateReading::LocalDigits, "2024-11-03T09:00:00Z", &AUTUMN);
    let all = ["2024-11-03T01:10:00-06:00", "2024-11-03T01:30:00-05:00", "2024-11-03T02:00:00-06:00"];
    assert_eq!(shown(&store, "sort=updated_at"), all);
    assert_eq!(get(&store, "/api/v1/addresses?updated_at=gte:2024-11-03T06:28:00Z").ids(), [1, 3]);
    assert_eq!(get(&store, "/api/v1/addresses?updated_at=gte:2024-11-03T07:28:00Z").ids(), [1, 3]);
    store.options(|options| options.dates = DateReading::LocalDigitsStandard);
    let standard = ["2024-11-03T01:10:00-06:00", "2024-11-03T01:30:00-06:00", "2024-11-03T02:00:00-06:00"];
    assert_eq!(shown(&store, "sort=updated_at"), standard);
    store.options(|options| options.dates = DateReading::Documented);
    assert_eq!(get(&store, "/api/v1/addresses?updated_at=gte:2024-11-03T06:28:00Z").ids(), [1, 2, 3]);
    assert_eq!(get(&store, "/api/v1/addresses?sort=-updated_at").ids(), [3, 2, 1]);
}

#[test]
fn the_offset_of_a_filter_is_ignored() {
    let store = store_at(DateReading::OffsetIgnored, "2024-11-03T09:00:00Z", &AUTUMN);
    assert_eq!(get(&store, "/api/v1/addresses?updated_at=gte:2024-11-03T02:00:00Z").ids(), [3]);
    assert_eq!(get(&store, "/api/v1/addresses?updated_at=gte:2024-11-03T02:00:00-06:00").ids(), [3]);
    assert_eq!(get(&store, "/api/v1/addresses?updated_at=gte:2024-11-03T08:00:00Z").ids(), [0_i64; 0]);
    assert_eq!(shown(&store, "sort=id")[2], "2024-11-03T02:00:00-06:00");
    store.options(|options| options.zone = chrono_tz::Europe::Berlin);
    assert_eq!(get(&store, "/api/v1/addresses?updated_at=gte:2024-11-03T08:00:00Z").ids(), [2, 3]);
}

#[test]
fn todays_offset_is_applied_to_all_dates() {
    let spring = [(1, "2024-03-10T07:30:00Z"), (2, "2024-03-10T07:50:00Z"), (3, "2024-03-10T08:10:00Z")];
    let store = store_at(DateReading::TodaysOffset, "2024-03-10T07:55:00Z", &spring[..2]);
    assert_eq!(shown(&store, "sort=id"), ["2024-03-10T01:30:00-06:00", "2024-03-10T01:50:00-06:00"]);
    assert_eq!(get(&store, "/api/v1/addresses?updated_at=gte:2024-03-10T07:30:00Z").ids(), [1, 2]);
    store.data(|data| {
        data.now_ms = utc_ms("2024-03-10T08:30:00Z");
        data.insert_lean("addresses", 3, Stamp::At(utc_ms(spring[2].1)), Stamp::Null);
    });
    let later = ["2024-03-10T01:30:00-05:00", "2024-03-10T01:50:00-05:00", "2024-03-10T03:10:00-05:00"];
    assert_eq!(shown(&store, "sort=id"), later);
    assert_eq!(get(&store, "/api/v1/addresses?updated_at=gte:2024-03-10T07:30:00Z").ids(), [3]);
}

#[test]
fn the_date_header_is_the_stores_shifted_or_absent() {
    let store = store_at(DateReading::Documented, "2024-11-03T09:00:00Z", &AUTUMN);
    let date = || get(&store, "/api/v1/addresses").header("date");
    assert_eq!(date().as_deref(), Some("Sun, 03 Nov 2024 09:00:00 GMT"));
    store.options(|options| options.date_ahead_seconds = -3600);
    assert_eq!(date().as_deref(), Some("Sun, 03 Nov 2024 08:00:00 GMT"));
    store.options(|options| options.date_header = false);
    let headers = get(&store, "/api/v1/addresses").headers;
    // The server itself would add one.
    assert!(!headers.to_lowercase().contains("\ndate:"), "{headers}");
}

#[test]
fn odd_dates_are_shown_as_they_are() {
    let store = store_at(DateReading::Documented, "2024-11-03T09:00:00Z", &AUTUMN);
    store.data(|data| {
        let odd = ["-", "0000-00-00T00:00:00", "0001-01-01T00:00:00", "9999-12-31T23:59:59-06:00"];
        for (id, text) in (4..).zip(odd) {
            data.insert_lean("addresses", id, Stamp::Odd(text), Stamp::Null);
        }
    });
    assert_eq!(shown(&store, "id=gt:3")[..2], ["-", "0000-00-00T00:00:00"]);
    assert_eq!(get(&store, "/api/v1/addresses?updated_at=gte:2000-01-01T00:00:00Z").ids(), [1, 2, 3, 7]);
    assert_eq!(get(&store, "/api/v1/addresses?updated_at=lt:2000-01-01T00:00:00Z").ids(), [6]);
}

#[test]
fn shuffled_keys_change_no_value() {
    let store = FakeStore::start(Options::default(), Data::sample(3, 40));
    let plain = get(&store, "/api/v1/orders?expand=items,payments").body;
    store.options(|options| options.shuffled_keys = Some(7));
    let once = get(&store, "/api/v1/orders?expand=items,payments").body;
    let again = get(&store, "/api/v1/orders?expand=items,payments").body;
    assert!(once != plain && again != plain && once != again);
    let value = |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap();
    assert_eq!((value(&once), value(&again)), (value(&plain), value(&plain)));
    let text = |body: Vec<u8>| {
        let mut bytes = body;
        bytes.sort_unstable();
        bytes
    };
    assert_eq!(text(once), text(plain), "the digits of numbers as well");
}
