//! Contradictions: each does what its option says, and changes nothing else.

use super::*;

fn shape(store: &FakeStore, query: &str) -> (Value, usize, bool) {
    let json = get(store, &format!("/api/v1/addresses?{query}")).json();
    let rows = json["addresses"].as_array().map_or(0, Vec::len);
    (json["total_count"].clone(), rows, json.get("next_page").is_some())
}

#[test]
fn the_count_says_what_it_is_told_to() {
    let store = store_of(30, Options::default());
    for (total, first, last) in [
        (Total::Right, 30, 30),
        (Total::OfPage, 20, 10),
        (Total::AtMost(15), 15, 15),
        (Total::AtMost(900), 30, 30),
        (Total::Always(900), 900, 900),
    ] {
        store.options(|o| o.quirks.total = total);
        assert_eq!(shape(&store, "count=20"), (first.into(), 20, true), "{total:?}");
        assert_eq!(shape(&store, "count=20&page=2"), (last.into(), 10, false), "{total:?}");
    }
    store.options(|o| o.next_page = NextPage::Absent);
    assert!(!shape(&store, "count=20").2);
}

#[test]
fn an_answer_is_spoilt_when_the_hook_says_so() {
    let store = store_of(30, Options::default());
    let spoil = |spoil| store.options(|o| o.quirks.spoil = Some(Box::new(move |_, rows| (rows > 0).then_some(spoil))));
    spoil(Spoil::Emptied);
    assert_eq!(shape(&store, "count=20"), (30.into(), 0, true));
    spoil(Spoil::Halved);
    assert_eq!(shape(&store, "count=20"), (10.into(), 10, false));
    assert_eq!(shape(&store, "count=20&page=2"), (25.into(), 5, false));
    spoil(Spoil::OtherName);
    assert_eq!(get(&store, "/api/v1/addresses").text(), "{\"something_else\":[]}");
    spoil(Spoil::NotFound);
    assert_eq!(get(&store, "/api/v1/addresses").status, 404);
    // A second hook does not replace the first.
    store.options(|o| {
        o.quirks.spoil = None;
        let mut number = 0;
        o.quirks.spoil_also(move |_, _| {
            number += 1;
            (number == 1).then_some(Spoil::Emptied)
        });
        let mut number = 0;
        o.quirks.spoil_also(move |_, _| {
            number += 1;
            (number == 2).then_some(Spoil::NotFound)
        });
    });
    assert_eq!(shape(&store, "count=20").1, 0);
    assert_eq!(get(&store, "/api/v1/addresses").status, 404);
    assert_eq!(shape(&store, "count=20").1, 20);
}

#[test]
fn a_list_without_rows_can_be_a_404() {
    let store = store_of(3, Options::default());
    let statuses = |form| {
        store.options(|o| o.quirks.empty_list = form);
        ["addresses", "addresses?id=gt:2", "addresses?id=gt:3", "orders?count=5", "orders?id=gt:3"]
            .map(|target| get(&store, &format!("/api/v1/{target}")).status)
    };
    assert_eq!(statuses(EmptyList::Documented), [200; 5]);
    assert_eq!(statuses(EmptyList::FilteredIs404), [200, 200, 404, 200, 404]);
    assert_eq!(statuses(EmptyList::Is404), [200, 200, 404, 404, 404]);
}

#[test]
fn a_row_without_a_key_is_counted_and_found_by_no_key() {
    let store = store_of(3, Options::default());
    for form in [NoKey::Null, NoKey::Absent] {
        store.options(|o| o.quirks.keyless.extend([(("addresses".to_owned(), 2), form)]));
        let rows = |query: &str| {
            let json = get(&store, &format!("/api/v1/addresses?{query}")).json();
            let ids: Vec<Value> = json["addresses"].as_array().unwrap().iter().map(|row| row["id"].clone()).collect();
            (json["total_count"].clone(), ids)
        };
        assert_eq!(rows("sort=id"), (3.into(), vec![Value::Null, 1.into(), 3.into()]));
        assert_eq!(rows("sort=-id"), (3.into(), vec![3.into(), 1.into(), Value::Null]));
        assert_eq!(rows("sort=updated_at"), (3.into(), vec![1.into(), Value::Null, 3.into()]));
        assert_eq!(rows("id=gt:0"), (2.into(), vec![1.into(), 3.into()]));
        assert_eq!(rows("id=2").0, 0);
        assert_eq!(get(&store, "/api/v1/addresses/2").status, 404);
        let text = get(&store, "/api/v1/addresses?sort=id").text();
        assert_eq!(text.contains("\"id\":null"), form == NoKey::Null, "{text}");
        store.options(|o| o.nulls_last = true);
        assert_eq!(rows("sort=id").1, vec![1.into(), 3.into(), Value::Null]);
        store.options(|o| o.nulls_last = false);
    }
}

#[test]
fn an_unreadable_row_fails_every_answer_that_would_hold_it() {
    let store = store_of(5, Options::default());
    store.options(|o| o.quirks.unreadable.extend([("addresses".to_owned(), 3)]));
    let status = |target: &str| get(&store, &format!("/api/v1/addresses{target}")).status;
    assert_eq!([status(""), status("?id=gt:2"), status("?count=3"), status("/3")], [500; 4]);
    assert_eq!([status("?count=2"), status("?id=gt:3"), status("?count=1&page=4"), status("/4")], [200; 4]);
}

#[test]
fn a_row_can_hold_a_byte_that_is_not_utf8() {
    let store = store_of(3, Options::default());
    store.options(|o| o.quirks.not_utf8.extend([("addresses".to_owned(), 2)]));
    let reply = get(&store, "/api/v1/addresses");
    assert!(std::str::from_utf8(&reply.body).is_err());
    let json: Value = serde_json::from_str(&reply.text().replace('\u{fffd}', "")).unwrap();
    assert_eq!(json["addresses"].as_array().unwrap().len(), 3);
    assert!(std::str::from_utf8(&get(&store, "/api/v1/addresses?id=gt:2").body).is_ok());
}

#[test]
fn the_end_of_a_date_filter_can_be_cut_to_its_day() {
    let mut data = Data::empty();
    for (id, at) in [(1, "2024-01-09T12:00:00Z"), (2, "2024-01-10T06:00:00Z"), (3, "2024-01-10T12:00:00Z")] {
        data.insert("addresses", row(id, at));
    }
    let store = FakeStore::start(Options::default(), data);
    let ids = |condition: &str| get(&store, &format!("/api/v1/addresses?updated_at={condition}")).ids();
    assert_eq!(ids("lte:2024-01-10T13:00:00Z"), [1, 2, 3]);
    store.options(|o| o.quirks.lte_cuts_to_day = true);
    // Midnight in Chicago.
    assert_eq!(ids("lte:2024-01-10T13:00:00Z"), [1, 2]);
    assert_eq!(ids("gte:2024-01-10T06:00:00Z"), [2, 3]);
    assert_eq!(ids("lt:2024-01-10T13:00:00Z"), [1, 2, 3]);
}
