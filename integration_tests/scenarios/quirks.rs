//! Scenarios with stores that do not answer as documented, each still and living.

use serde_json::json;

use crate::fake_store::{NextPage, Options};
use crate::harness::files::configured;
use crate::scenarios::run::{Outcome, Scenario, Setup};
use crate::scenarios::stores::{churn, scattered, some_rows};
use crate::scenarios::table::scenarios;
use crate::setup::{SignIn, config_with, minutes, no_state, read, start};

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
}

#[test]
fn one_row_gone_and_one_come_between_two_pages_are_noticed() {
    // A store that neither sorts nor filters by key: pages are all there is, and the count stays 100.
    let mut request = 0;
    let quirks = |options: &mut Options| {
        options.ignore_sort = true;
        options.ignore_id_filter = true;
    };
    let options = Setup::still(minutes("orders", 1, 100)).with(quirks).changing(move |data, _| {
        request += 1;
        if request == 5 {
            data.delete("orders", 1);
            data.add("orders");
        }
    });
    let Setup { data, mut options, live } = options;
    options.live = live;
    let store = start(SignIn::Token, options, data);
    let catalog = configured(&[("orders", "incremental")]);
    let run = read(&config_with(&store, &json!({"max_requests_in_flight": 1})), &catalog, &no_state());
    let came = run.ids("orders");
    assert!((2..=100).all(|id| came.contains(&id)), "{}", run.transcript());
    assert_eq!(run.code, Some(0));
}

scenarios! {
    clamped_to_7: Whole, true, ORDERS, "`count` is cut to 7, while rows change.", |seed| living(seed, |options| options.max_count = Some(7));
    clamped_to_1: Whole, true, ORDERS, "`count` is cut to 1, while rows change.", |seed| living(seed, |options| options.max_count = Some(1));
    no_total: Whole, false, ORDERS, "`total_count` is left out, while rows change.", |seed| living(seed, |options| options.total_count = false);
    next_page_null: Whole, true, ORDERS, "`next_page` is null instead of absent, while rows change.", |seed| living(seed, |options| options.next_page = NextPage::Null);
    next_page_relative: Whole, true, ORDERS, "`next_page` is relative, while rows change.", |seed| living(seed, |options| options.next_page = NextPage::Relative);
    next_page_other_host: Whole, true, ORDERS, "`next_page` names another host, while rows change.",
        |seed| living(seed, |options| options.next_page = NextPage::OtherHost("other.example".to_owned()));
    next_page_for_ever: Whole, true, ORDERS, "`next_page` is always there and always the same, while rows change.",
        |seed| living(seed, |options| options.next_page = NextPage::SameForEver);
    ignores_sort: WholeWithWarning, false, ORDERS, "`sort` is ignored.", |seed| still(seed, |options| options.ignore_sort = true);
    ignores_sort_living: WholeOrIncomplete, false, ORDERS, "`sort` is ignored, while rows change.", |seed| living(seed, |options| options.ignore_sort = true);
    ignores_keys: WholeWithWarning, false, ORDERS, "`id=gt:` is ignored.", |seed| still(seed, |options| options.ignore_id_filter = true);
    ignores_keys_living: WholeOrIncomplete, false, ORDERS, "`id=gt:` is ignored, while rows change.", |seed| living(seed, |options| options.ignore_id_filter = true);
    ignores_dates: WholeWithWarning, false, ORDERS, "The date filter is ignored.", |seed| still(seed, |options| options.ignore_date_filter = true);
    ignores_dates_living: WholeWithWarning, false, ORDERS, "The date filter is ignored, while rows change.", |seed| living(seed, |options| options.ignore_date_filter = true);
    ignores_all: WholeOrIncomplete, false, ORDERS, "Sort, keys and dates are ignored, while rows change.", |seed| living(seed, |options| {
        options.ignore_sort = true;
        options.ignore_id_filter = true;
        options.ignore_date_filter = true;
    });
    hides_rows: Incomplete, false, ORDERS, "The store counts a row that it never lists.", |seed| {
        let data = scattered("orders", some_rows(seed), seed);
        let ids = data.ids("orders");
        let hidden = ids[usize::try_from(seed * 31).unwrap() % ids.len()];
        Setup::still(data).with(|options| { options.hidden.insert(("orders".to_owned(), hidden)); })
    };
}
