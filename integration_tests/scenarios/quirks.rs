//! Scenarios with stores that do not work as documented, each unchanging and changing.

use serde_json::json;

use crate::fake_store::{Data, Fault, NextPage, Options, RecordedRequest, Stamp};
use crate::harness::files::configured;
use crate::harness::order::assert_read_is_well_formed;
use crate::harness::run::Run;
use crate::harness::setup::{Chance, SignIn, config, config_with, minutes, no_state, read, start};
use crate::scenarios::run::{Outcome, Scenario, Setup, at};
use crate::scenarios::stores::{churn, scattered, some_rows};
use crate::scenarios::table::scenarios;

const ORDERS: &[&str] = &["orders"];

fn still(seed: u64, quirk: impl FnOnce(&mut Options)) -> Setup {
    Setup::still(scattered("orders", some_rows(seed), seed)).with(quirk)
}

fn changing(seed: u64, quirk: impl FnOnce(&mut Options)) -> Setup {
    still(seed, quirk).changing(churn("orders", seed))
}

#[test]
fn one_concurrent_request_is_enough_for_every_probe() {
    // The newest rows are after the end date and the store lists them anyway, so the newest
    // change within the dates takes its own request, while the only slot is in use.
    let store =
        start(SignIn::Token, still(1, |options| options.ignore_date_filter = true).options, minutes("orders", 1, 100));
    let end = store.data(|data| data.row("orders", 50).unwrap().updated_at.ms().unwrap());
    let end = chrono::DateTime::from_timestamp_millis(end).unwrap().to_rfc3339();
    let config = config_with(&store, &json!({"max_requests_in_flight": 1, "end_date": end}));
    let run = read(&config, &configured(&[("orders", "incremental")]), &no_state());
    assert_eq!((run.code, run.records("orders").len()), (Some(0), 49), "{}", run.transcript());
    // No date after the end date became the cursor.
    let open =
        read(&config_with(&store, &json!({})), &configured(&[("orders", "incremental")]), &run.last_state_list());
    let came = open.ids("orders");
    assert!((50..=100).all(|id| came.contains(&id)), "{}", open.transcript());
}

fn hiding(seed: u64, quirk: impl FnOnce(&mut Options)) -> Setup {
    let data = scattered("orders", some_rows(seed), seed);
    let ids = data.ids("orders");
    let hidden = ids[usize::try_from(seed * 31).unwrap() % ids.len()];
    let setup = Setup::still(data).with(quirk);
    setup.with(|options| options.hidden.extend([("orders".to_owned(), hidden)]))
}

/// Returns rows 1 to 100, the first one the newest.
fn falling() -> Data {
    let mut data = minutes("orders", 1, 100);
    for id in 1..=100 {
        data.set_updated_at("orders", id, at(data.now_ms - id * 60_000));
    }
    data
}

/// Reads a store that neither sorts nor filters by key, with dates that fall as keys rise, so its order
/// is not that of dates: it can only be read page by page. `change` runs before the second page is sent.
fn read_page_by_page(change: impl Fn(&mut Data) + Send + 'static) -> Run {
    let data = falling();
    let quirks = |options: &mut Options| {
        options.ignore_sort = true;
        options.ignore_id_filter = true;
    };
    let mut changed = false;
    let setup = Setup::still(data).with(quirks).changing(move |data, seen| {
        if seen.param("page") == Some("2") && !std::mem::replace(&mut changed, true) {
            change(data);
        }
    });
    let store = start(SignIn::Token, Options { live: setup.live, ..setup.options }, setup.data);
    let catalog = configured(&[("orders", "incremental")]);
    let run = read(&config_with(&store, &json!({"max_requests_in_flight": 1})), &catalog, &no_state());
    assert_eq!(run.code, Some(0), "{}", run.transcript());
    run
}

#[test]
fn a_deleted_and_an_added_row_between_two_pages_are_noticed() {
    // The count stays 100.
    let run = read_page_by_page(|data| {
        data.delete("orders", 1);
        data.add("orders");
    });
    let came = run.ids("orders");
    assert!((2..=100).all(|id| came.contains(&id)), "{}", run.transcript());
}

#[test]
fn pages_that_disappear_while_they_are_read_are_not_an_error() {
    let run =
        read_page_by_page(|data| data.ids("orders").iter().skip(60).for_each(|&id| assert!(data.delete("orders", id))));
    let came = run.ids("orders");
    assert!((1..=60).all(|id| came.contains(&id)), "{}", run.transcript());
}

#[test]
fn a_largest_key_that_a_store_does_not_list_is_not_accepted() {
    // In the order of keys the dates fall as well, or only one row is in order: both look sorted.
    for count in [20, 1] {
        let setup = Setup::still(falling()).with(|options| {
            options.ignore_sort = true;
            options.max_count = Some(count);
        });
        let store = start(SignIn::Token, setup.options, setup.data);
        let run = read(&config(SignIn::Token, &store), &configured(&[("orders", "incremental")]), &no_state());
        assert_eq!((run.code, run.records("orders").len()), (Some(0), 100), "{count} a page\n{}", run.transcript());
    }
    // A sorted sample with other keys than the largest: much smaller ones than those just listed,
    // and the largest except two.
    for (newest, sample) in [(50, [3, 2, 1]), (81, [98, 97, 96])] {
        let mut data = minutes("orders", 1, 100);
        (newest..newest + 20).for_each(|id| data.touch("orders", id));
        let row = |id: &i64| format!(r#"{{"id":{id},"updated_at":"2024-11-18T05:00:00-06:00"}}"#);
        let rows = sample.iter().map(row).collect::<Vec<_>>().join(",");
        let body = format!(r#"{{"total_count":100,"orders":[{rows}]}}"#).into_bytes();
        let answer = Fault::Answer { status: 200, headers: Vec::new(), body };
        let setup = Setup::still(data).with(|options| {
            options.fault = Some(Box::new(move |seen| (seen.param("sort") == Some("-id")).then(|| answer.clone())));
        });
        let store = start(SignIn::Token, setup.options, setup.data);
        let run = read(&config(SignIn::Token, &store), &configured(&[("orders", "incremental")]), &no_state());
        assert_eq!((run.code, run.records("orders").len()), (Some(0), 100), "{sample:?}\n{}", run.transcript());
    }
}

#[test]
fn rows_without_a_date_are_not_excluded_by_unsorted_responses() {
    // In the order of keys the dates fall as well, or only one row is in order: both look sorted.
    for count in [20, 1] {
        let mut data = falling();
        data.set_updated_at("orders", 90, Stamp::Null);
        let options = Options { ignore_sort: true, max_count: Some(count), ..Options::default() };
        let store = start(SignIn::Token, options, data);
        let run = read(&config(SignIn::Token, &store), &configured(&[("orders", "incremental")]), &no_state());
        assert_eq!((run.code, run.records("orders").len()), (Some(0), 100), "{count} a page\n{}", run.transcript());
    }
}

#[test]
fn a_store_that_changes_faster_than_it_is_read_ends_incomplete() {
    let setup = Setup::still(minutes("orders", 1, 100)).with(|options| options.ignore_id_filter = true);
    let mut chance = Chance::new(1);
    let live = move |data: &mut Data, _: &RecordedRequest| {
        for _ in 0..40 {
            let id = chance.pick(&data.ids("orders")).unwrap();
            data.touch("orders", id);
        }
    };
    let store = start(SignIn::Token, Options { live: Some(Box::new(live)), ..setup.options }, setup.data);
    let catalog = configured(&[("orders", "incremental")]);
    let run = read(&config(SignIn::Token, &store), &catalog, &no_state());
    assert_read_is_well_formed(&run, &catalog);
    assert_eq!(run.statuses("orders").last(), Some(&"INCOMPLETE"));
}

#[test]
fn rows_added_after_the_end_of_an_unsorted_walk_are_not_counted_as_lost() {
    // No largest key is known there. One row is deleted before the walk reaches it, and rows are added after
    // the walk, so that a count would include more rows than were read.
    for stream in ["orders", "products"] {
        let setup = Setup::still(minutes(stream, 1, 100)).with(|options| options.ignore_sort = true);
        let live = move |data: &mut Data, seen: &RecordedRequest| {
            if seen.n == 4 {
                data.delete(stream, 90);
            } else if seen.n > 4 && seen.param("sort") != Some("id") {
                (0..5).for_each(|_| assert!(data.add(stream) > 100));
            }
        };
        let store = start(SignIn::Token, Options { live: Some(Box::new(live)), ..setup.options }, setup.data);
        let catalog = configured(&[(stream, "incremental")]);
        let run = read(&config(SignIn::Token, &store), &catalog, &no_state());
        assert_eq!(run.code, Some(0), "{}", run.transcript());
        assert_eq!(run.records(stream).len(), 99);
    }
}

scenarios! {
    clamped_to_7: Complete, true, ORDERS, "`count` is cut to 7, while rows change.", |seed| changing(seed, |options| options.max_count = Some(7));
    clamped_to_1: Complete, true, ORDERS, "`count` is cut to 1, while rows change.", |seed| changing(seed, |options| options.max_count = Some(1));
    no_total: Complete, false, ORDERS, "`total_count` is missing, while rows change.", |seed| changing(seed, |options| options.total_count = false);
    next_page_null: Complete, true, ORDERS, "`next_page` is null instead of absent, while rows change.", |seed| changing(seed, |options| options.next_page = NextPage::Null);
    next_page_relative: Complete, true, ORDERS, "`next_page` is relative, while rows change.", |seed| changing(seed, |options| options.next_page = NextPage::Relative);
    next_page_other_host: Complete, true, ORDERS, "`next_page` names another host, while rows change.",
        |seed| changing(seed, |options| options.next_page = NextPage::OtherHost("other.example".to_owned()));
    next_page_for_ever: Complete, false, ORDERS, "`next_page` is always there and always the same, while rows change.",
        |seed| changing(seed, |options| options.next_page = NextPage::SameForEver);
    ignores_sort: CompleteWithWarning, false, ORDERS, "`sort` is ignored.", |seed| still(seed, |options| options.ignore_sort = true);
    ignores_sort_changing: CompleteWithWarning, false, ORDERS, "`sort` is ignored, while rows change.", |seed| changing(seed, |options| options.ignore_sort = true);
    ignores_keys: CompleteWithWarning, false, ORDERS, "`id=gt:` is ignored.", |seed| still(seed, |options| options.ignore_id_filter = true);
    ignores_keys_changing: CompleteOrIncomplete, false, ORDERS, "`id=gt:` is ignored, while rows change.", |seed| changing(seed, |options| options.ignore_id_filter = true);
    ignores_keys_tied: CompleteWithWarning, false, ORDERS, "`id=gt:` is ignored, and 95 % of the rows share one date; their order changes at each request.", |seed| {
        let mut data = scattered("orders", some_rows(seed), seed);
        let date = data.now_ms - 3_600_000;
        for id in data.ids("orders").into_iter().filter(|id| id % 20 != 0) {
            data.set_updated_at("orders", id, at(date));
        }
        Setup::still(data).with(|options| options.ignore_id_filter = true)
    };
    ignores_keys_and_dates: CompleteWithWarning, false, ORDERS, "`id=gt:` and the date filter are ignored.", |seed| still(seed, |options| {
        options.ignore_id_filter = true;
        options.ignore_date_filter = true;
    });
    ignores_dates: CompleteWithWarning, false, ORDERS, "The date filter is ignored.", |seed| still(seed, |options| options.ignore_date_filter = true);
    ignores_dates_changing: CompleteWithWarning, false, ORDERS, "The date filter is ignored, while rows change.", |seed| changing(seed, |options| options.ignore_date_filter = true);
    ignores_all: CompleteOrIncomplete, false, ORDERS, "Sort, keys and dates are ignored, while rows change.", |seed| changing(seed, |options| {
        options.ignore_sort = true;
        options.ignore_id_filter = true;
        options.ignore_date_filter = true;
    });
    hides_rows: Incomplete, false, ORDERS, "The store counts a row that it never lists.", |seed| hiding(seed, |_| {});
    hides_rows_by_page: Incomplete, false, ORDERS, "The same, and sort and `id=gt:` are ignored.", |seed| hiding(seed, |options| {
        options.ignore_sort = true;
        options.ignore_id_filter = true;
    });
    one_page_for_ever: CompleteWithWarning, false, ORDERS, "Every page is the first and has a `next_page`, `total_count` is missing, sort and `id=gt:` are ignored.", |seed| {
        Setup::still(scattered("orders", 15, seed)).with(|options| {
            options.ignore_page = true;
            options.next_page = NextPage::SameForEver;
            options.total_count = false;
            options.ignore_sort = true;
            options.ignore_id_filter = true;
        })
    };
}
