//! Scenarios with stores that do not answer as documented, each still and living.

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

fn living(seed: u64, quirk: impl FnOnce(&mut Options)) -> Setup {
    still(seed, quirk).changing(churn("orders", seed))
}

#[test]
fn one_request_at_a_time_is_enough_for_every_question() {
    // The newest rows lie behind the end date and the store lists them all the same, so the newest
    // change within the dates takes a question of its own, while the only place is taken.
    let store =
        start(SignIn::Token, still(1, |options| options.ignore_date_filter = true).options, minutes("orders", 1, 100));
    let end = store.data(|data| data.row("orders", 50).unwrap().updated_at.ms().unwrap());
    let end = chrono::DateTime::from_timestamp_millis(end).unwrap().to_rfc3339();
    let config = config_with(&store, &json!({"max_requests_in_flight": 1, "end_date": end}));
    let run = read(&config, &configured(&[("orders", "incremental")]), &no_state());
    assert_eq!((run.code, run.records("orders").len()), (Some(0), 49), "{}", run.transcript());
    // Nothing behind the end date became the cursor.
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

/// Rows 1 to 100, the first of them the newest.
fn falling() -> Data {
    let mut data = minutes("orders", 1, 100);
    for id in 1..=100 {
        data.set_updated_at("orders", id, at(data.now_ms - id * 60_000));
    }
    data
}

/// A store that neither sorts nor filters by key, with dates that fall as keys rise, so that its order
/// is none of dates: pages are all there is. `change` happens before the second page is answered.
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
fn one_row_gone_and_one_come_between_two_pages_are_noticed() {
    // The count stays 100.
    let run = read_page_by_page(|data| {
        data.delete("orders", 1);
        data.add("orders");
    });
    let came = run.ids("orders");
    assert!((2..=100).all(|id| came.contains(&id)), "{}", run.transcript());
}

#[test]
fn pages_that_vanish_while_they_are_read_are_no_failure() {
    let run =
        read_page_by_page(|data| data.ids("orders").iter().skip(60).for_each(|&id| assert!(data.delete("orders", id))));
    let came = run.ids("orders");
    assert!((1..=60).all(|id| came.contains(&id)), "{}", run.transcript());
}

#[test]
fn a_greatest_key_that_a_store_does_not_show_is_not_believed() {
    // In the order of keys the dates fall as well, or one row alone is in order: both look sorted.
    for count in [20, 1] {
        let setup = Setup::still(falling()).with(|options| {
            options.ignore_sort = true;
            options.max_count = Some(count);
        });
        let store = start(SignIn::Token, setup.options, setup.data);
        let run = read(&config(SignIn::Token, &store), &configured(&[("orders", "incremental")]), &no_state());
        assert_eq!((run.code, run.records("orders").len()), (Some(0), 100), "{count} a page\n{}", run.transcript());
    }
    // A sample in order that holds other keys than the greatest: much smaller ones than were just seen,
    // and the greatest but two.
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
fn rows_without_a_date_are_not_ruled_out_by_answers_in_no_order() {
    // In the order of keys the dates fall as well, or one row alone is in order: both look sorted.
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
fn rows_that_come_behind_an_unsorted_store_are_not_counted_as_lost() {
    // No greatest key is known there. One row is deleted before the walk reaches it, and rows come when
    // the walk is through, so that a count would tell of more than was read.
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
    clamped_to_7: Whole, true, ORDERS, "`count` is cut to 7, while rows change.", |seed| living(seed, |options| options.max_count = Some(7));
    clamped_to_1: Whole, true, ORDERS, "`count` is cut to 1, while rows change.", |seed| living(seed, |options| options.max_count = Some(1));
    no_total: Whole, false, ORDERS, "`total_count` is missing, while rows change.", |seed| living(seed, |options| options.total_count = false);
    next_page_null: Whole, true, ORDERS, "`next_page` is null instead of absent, while rows change.", |seed| living(seed, |options| options.next_page = NextPage::Null);
    next_page_relative: Whole, true, ORDERS, "`next_page` is relative, while rows change.", |seed| living(seed, |options| options.next_page = NextPage::Relative);
    next_page_other_host: Whole, true, ORDERS, "`next_page` names another host, while rows change.",
        |seed| living(seed, |options| options.next_page = NextPage::OtherHost("other.example".to_owned()));
    next_page_for_ever: Whole, false, ORDERS, "`next_page` is always there and always the same, while rows change.",
        |seed| living(seed, |options| options.next_page = NextPage::SameForEver);
    ignores_sort: WholeWithWarning, false, ORDERS, "`sort` is ignored.", |seed| still(seed, |options| options.ignore_sort = true);
    ignores_sort_living: WholeWithWarning, false, ORDERS, "`sort` is ignored, while rows change.", |seed| living(seed, |options| options.ignore_sort = true);
    ignores_keys: WholeWithWarning, false, ORDERS, "`id=gt:` is ignored.", |seed| still(seed, |options| options.ignore_id_filter = true);
    ignores_keys_living: WholeOrIncomplete, false, ORDERS, "`id=gt:` is ignored, while rows change.", |seed| living(seed, |options| options.ignore_id_filter = true);
    ignores_keys_tied: WholeWithWarning, false, ORDERS, "`id=gt:` is ignored, and 95 % of the rows share one date; their order changes at each request.", |seed| {
        let mut data = scattered("orders", some_rows(seed), seed);
        let date = data.now_ms - 3_600_000;
        for id in data.ids("orders").into_iter().filter(|id| id % 20 != 0) {
            data.set_updated_at("orders", id, at(date));
        }
        Setup::still(data).with(|options| options.ignore_id_filter = true)
    };
    ignores_keys_and_dates: WholeWithWarning, false, ORDERS, "`id=gt:` and the date filter are ignored.", |seed| still(seed, |options| {
        options.ignore_id_filter = true;
        options.ignore_date_filter = true;
    });
    ignores_dates: WholeWithWarning, false, ORDERS, "The date filter is ignored.", |seed| still(seed, |options| options.ignore_date_filter = true);
    ignores_dates_living: WholeWithWarning, false, ORDERS, "The date filter is ignored, while rows change.", |seed| living(seed, |options| options.ignore_date_filter = true);
    ignores_all: WholeOrIncomplete, false, ORDERS, "Sort, keys and dates are ignored, while rows change.", |seed| living(seed, |options| {
        options.ignore_sort = true;
        options.ignore_id_filter = true;
        options.ignore_date_filter = true;
    });
    hides_rows: Incomplete, false, ORDERS, "The store counts a row that it never lists.", |seed| hiding(seed, |_| {});
    hides_rows_by_page: Incomplete, false, ORDERS, "The same, and sort and `id=gt:` are ignored.", |seed| hiding(seed, |options| {
        options.ignore_sort = true;
        options.ignore_id_filter = true;
    });
    one_page_for_ever: WholeWithWarning, false, ORDERS, "Every page is the first and has a `next_page`, `total_count` is missing, sort and `id=gt:` are ignored.", |seed| {
        Setup::still(scattered("orders", 15, seed)).with(|options| {
            options.ignore_page = true;
            options.next_page = NextPage::SameForEver;
            options.total_count = false;
            options.ignore_sort = true;
            options.ignore_id_filter = true;
        })
    };
}
