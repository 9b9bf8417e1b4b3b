//! The end of a list: the count, the link to a next page and the size of the page must agree; otherwise a request after
//! the last key decides.

use std::collections::BTreeSet;

use super::reading::{
    DATED, PAGE, ROWS, WAYS, Way, asked, at_answers, by_key, dated, for_good_from_every_answer, killed,
    once_at_every_answer, resumable, ways,
};
use super::sim::{STREAM, Sim};
use crate::fake_store::{Envelope, FakeStore, NextPage, Options, Spoil, Total};
use crate::harness::setup::{minutes, some_of};
use crate::scenarios::kills::{Kill, read_until_complete};

/// More bytes than a page of orders and its state, fewer than the stream.
const SOME_BYTES: usize = 90_000;

/// Returns wrong counts, for pages of this many rows.
fn wrong_counts(page: usize) -> [Total; 4] {
    [Total::OfPage, Total::AtMost(page), Total::AtMost(page / 10), Total::Always(page * 9 / 10)]
}

fn uncounted(options: &mut Options) {
    options.total_count = false;
}

fn without_any_sign(options: &mut Options) {
    options.total_count = false;
    options.next_page = NextPage::Absent;
}

/// Reads with kills until a read completes, then once more, which emits nothing.
fn assert_complete_with_kills(way: Way, rows: i64, quirk: impl Fn(&mut Options), context: &str) {
    let store = way.store(rows, quirk);
    let (config, catalog) = (way.config(&store), way.catalog());
    let mut destination = way.destination();
    read_until_complete(&store, &config, &catalog, &mut destination, || Kill::Bytes(SOME_BYTES));
    way.assert_arrived(&destination, &store, &format!("{context}, with kills"));
    if way.mode == "incremental" {
        let again = way.read(&store, &destination.state_list());
        assert_eq!((again.code, again.records(way.stream).len()), (Some(0), 0), "{way:?} {context}, unchanged");
    }
}

#[test]
fn a_count_that_is_too_low_ends_no_walk() {
    for way in dated() {
        for total in wrong_counts(1000) {
            let store = way.store(3_500, |options| {
                options.max_count = None;
                options.quirks.total = total;
            });
            let context = format!("{total:?}");
            way.assert_all_read(&way.first_read(&store), &store, &context);
            // After the last page, another request may be necessary.
            way.assert_few_requests(&store, 4, &context);
        }
    }
}

#[test]
fn a_count_that_is_too_low_ends_no_walk_in_any_stream() {
    for way in ways() {
        for total in wrong_counts(PAGE) {
            for rows in [ROWS, 4 * i64::try_from(PAGE).unwrap()] {
                let store = way.store(rows, |options| options.quirks.total = total);
                let run = way.first_read(&store);
                way.assert_all_read(&run, &store, &format!("{total:?}, {rows} rows"));
            }
        }
    }
}

#[test]
fn a_count_that_is_too_low_ends_no_walk_with_kills() {
    for way in resumable() {
        for total in wrong_counts(PAGE) {
            assert_complete_with_kills(way, 2 * ROWS, |options| options.quirks.total = total, &format!("{total:?}"));
        }
    }
}

#[test]
fn a_count_that_is_always_too_high_never_gives_complete_with_loss() {
    // The store may count rows that it does not list.
    for way in ways() {
        let store = way.store(ROWS, |options| options.quirks.total = Total::Always(900));
        let run = way.first_read(&store);
        way.assert_contract(&mut way.destination(), &run, &store, "900 for ever");
    }
}

#[test]
fn full_pages_without_count_and_link_are_followed_by_another_request() {
    for way in dated() {
        for page in [None, Some(100)] {
            let store = way.store(2_500, |options| {
                without_any_sign(options);
                options.max_count = page;
            });
            let context = format!("pages of {page:?}");
            way.assert_all_read(&way.first_read(&store), &store, &context);
            // At most one after the last key.
            way.assert_few_requests(&store, 4, &context);
        }
    }
}

#[test]
fn full_pages_without_count_and_link_are_followed_by_another_request_in_any_stream() {
    for way in ways() {
        for rows in [ROWS, 4 * i64::try_from(PAGE).unwrap()] {
            let store = way.store(rows, without_any_sign);
            way.assert_all_read(&way.first_read(&store), &store, &format!("{rows} rows"));
        }
    }
}

#[test]
fn full_pages_without_count_and_link_are_followed_by_another_request_with_kills() {
    for way in resumable() {
        assert_complete_with_kills(way, 2 * ROWS, without_any_sign, "no sign");
    }
}

#[test]
fn a_response_with_a_next_page_and_no_rows_is_requested_again() {
    for way in ways() {
        once_at_every_answer(way, ROWS, Spoil::Emptied, 1, uncounted);
    }
}

#[test]
fn one_empty_response_of_a_large_store_without_counts_is_requested_again() {
    let [way, ..] = DATED;
    once_at_every_answer(way, 2_500, Spoil::Emptied, 1, |options| {
        uncounted(options);
        options.max_count = None;
    });
}

#[test]
fn a_response_that_counts_rows_but_lists_none_is_requested_again() {
    for way in ways() {
        once_at_every_answer(way, ROWS, Spoil::Emptied, 1, |_| {});
    }
}

#[test]
fn one_response_of_a_large_store_that_counts_rows_but_lists_none_is_requested_again() {
    for way in [DATED[0], DATED[2]] {
        once_at_every_answer(way, 3_500, Spoil::Emptied, 1, |options| options.max_count = None);
    }
}

#[test]
fn responses_that_always_count_rows_but_list_none_are_an_error() {
    for way in WAYS.into_iter().filter(|way| way.in_flight == 1) {
        for_good_from_every_answer(way, ROWS, Spoil::Emptied, |_| {});
    }
}

#[test]
fn the_run_after_a_kill_accepts_no_empty_response_either() {
    for way in resumable() {
        for counted in [true, false] {
            let quirk = |options: &mut Options| options.total_count = counted;
            let sound = way.store(2 * ROWS, quirk);
            let state = killed(way, &sound, SOME_BYTES).state_list();
            assert_eq!(way.read(&sound, &state).code, Some(0));
            let answers = sound.requests().iter().filter(|seen| seen.rows > 0).count();
            for number in some_of(1..=answers) {
                let store = way.store(2 * ROWS, quirk);
                let mut destination = killed(way, &store, SOME_BYTES);
                let hook = at_answers(Spoil::Emptied, move |n| n == number);
                store.options(|options| options.quirks.spoil = Some(hook));
                let run = way.read(&store, &destination.state_list());
                let context = format!("counted: {counted}, answer {number} after the kill\n{}", run.transcript());
                assert_eq!(run.code, Some(0), "{way:?} {context}");
                destination.take(&run);
                way.assert_arrived(&destination, &store, &format!("{context}\n{:#?}", asked(&store)));
            }
        }
    }
}

#[test]
fn a_response_cut_in_half_with_its_count_is_checked_against_the_first() {
    // Until then only the first response is known, so it is not among them.
    for way in ways() {
        once_at_every_answer(way, ROWS, Spoil::Halved, 2, |_| {});
    }
}

#[test]
fn a_response_cut_in_half_is_checked_if_no_other_figure_is_right() {
    let quirks: [fn(&mut Options); 2] =
        [|options| options.ignore_sort = true, |options| options.quirks.total = Total::OfPage];
    for way in DATED.into_iter().filter(|way| way.in_flight == 1) {
        for quirk in quirks {
            once_at_every_answer(way, ROWS, Spoil::Halved, 2, quirk);
        }
    }
}

#[test]
fn an_empty_response_ends_no_list_after_a_wrong_count() {
    for way in DATED.into_iter().filter(|way| way.in_flight == 1) {
        once_at_every_answer(way, ROWS, Spoil::Emptied, 1, |options| options.quirks.total = Total::AtMost(10));
    }
}

#[test]
fn the_response_with_the_largest_keys_is_checked_against_the_first() {
    for way in dated() {
        let store = way.store(6_000, |options| {
            options.max_count = None;
            let mut halved = false;
            options.quirks.spoil = Some(Box::new(move |seen, _| {
                let is_it = seen.param("sort") == Some("-id") && !std::mem::replace(&mut halved, true);
                is_it.then_some(Spoil::Halved)
            }));
        });
        way.assert_all_read(&way.first_read(&store), &store, "the greatest keys");
    }
}

#[test]
fn a_walk_by_date_or_by_number_requests_an_empty_page_again() {
    for way in DATED.into_iter().filter(|way| way.in_flight == 1) {
        for counted in [true, false] {
            once_at_every_answer(way, ROWS, Spoil::Emptied, 1, |options| {
                options.ignore_id_filter = true;
                options.total_count = counted;
            });
        }
        once_at_every_answer(way, ROWS, Spoil::Emptied, 1, |options| {
            options.ignore_id_filter = true;
            options.ignore_sort = true;
        });
        for_good_from_every_answer(way, ROWS, Spoil::Emptied, |options| options.ignore_id_filter = true);
    }
}

#[test]
fn a_walk_by_date_of_a_large_store_requests_an_empty_page_again() {
    let [way, ..] = DATED;
    once_at_every_answer(way, 2_500, Spoil::Emptied, 1, |options| {
        options.ignore_id_filter = true;
        options.max_count = None;
    });
}

#[test]
fn an_empty_array_with_another_name_proves_nothing() {
    for way in ways() {
        once_at_every_answer(way, ROWS, Spoil::OtherName, 1, |_| {});
        once_at_every_answer(way, 15, Spoil::OtherName, 1, |_| {});
        if way.in_flight == 1 {
            for_good_from_every_answer(way, ROWS, Spoil::OtherName, |_| {});
        }
    }
}

#[test]
fn the_first_of_300_rows_with_another_name_is_requested_again() {
    for way in dated() {
        once_at_every_answer(way, 300, Spoil::OtherName, 1, |options| options.max_count = None);
    }
}

#[test]
fn an_empty_list_under_either_of_its_names_is_empty() {
    // Working clients and the vendor's newest description disagree on these names.
    let streams = ["order_items", "order_payments", "product_variants", "blog_posts", "custom_field_values"];
    for stream in streams.into_iter().chain(["gift_certificate_transactions", "price_calculators"]) {
        for envelope in [Envelope::Short, Envelope::Path] {
            for counted in [true, false] {
                let way = Way { stream, mode: "incremental", in_flight: 1 };
                let store = way.store(0, |options| {
                    options.envelope = envelope;
                    options.total_count = counted;
                });
                way.assert_all_read(&way.first_read(&store), &store, &format!("{envelope:?}, counted: {counted}"));
            }
        }
    }
}

/// Returns a store of which 50 rows changed after a read, the state, and the rows that changed.
fn changed_since(way: Way, quirk: impl FnOnce(&mut Options)) -> (FakeStore, String, BTreeSet<i64>) {
    let store = way.store(2 * ROWS, |_| {});
    let first = way.first_read(&store);
    way.assert_all_read(&first, &store, "at first");
    let changed = (0..50).map(|nth| way.first() + nth * 3).collect();
    store.data(|data| {
        data.tick(3_600_000);
        for &id in &changed {
            data.tick(10_000);
            data.touch(way.stream, id);
        }
    });
    store.options(quirk);
    (store, first.last_state_list(), changed)
}

#[test]
fn a_later_sync_accepts_no_wrong_count_either() {
    for way in WAYS.into_iter().filter(|way| way.mode == "incremental") {
        for total in wrong_counts(PAGE) {
            let (store, state, changed) = changed_since(way, |options| options.quirks.total = total);
            let run = way.read(&store, &state);
            way.assert_complete(&run, &changed, &format!("{total:?}\n{:#?}", asked(&store)));
        }
        let (store, state, changed) = changed_since(way, without_any_sign);
        let run = way.read(&store, &state);
        way.assert_complete(&run, &changed, &format!("no sign\n{:#?}", asked(&store)));
    }
}

#[test]
fn a_later_sync_accepts_no_faulty_response_either() {
    for way in WAYS.into_iter().filter(|way| way.mode == "incremental") {
        for (spoil, from) in [(Spoil::Emptied, 1), (Spoil::Halved, 2), (Spoil::OtherName, 1)] {
            for ignores_keys in [false, true] {
                let quirk = |options: &mut Options| options.ignore_id_filter = ignores_keys;
                let (sound, state, changed) = changed_since(way, quirk);
                way.assert_complete(&way.read(&sound, &state), &changed, "nothing spoilt");
                let answers = sound.requests().iter().filter(|seen| seen.rows > 0).count();
                for number in some_of(from..=answers) {
                    let (store, state, changed) = changed_since(way, |options| {
                        quirk(options);
                        options.quirks.spoil = Some(at_answers(spoil, move |n| n == number));
                    });
                    let run = way.read(&store, &state);
                    let context = format!("{spoil:?} answer {number}, keys ignored: {ignores_keys}");
                    way.assert_complete(&run, &changed, &format!("{context}\n{:#?}", asked(&store)));
                }
            }
        }
    }
}

#[test]
fn a_documented_store_needs_no_more_requests_than_stated() {
    for way in by_key() {
        for (rows, page) in [(0, PAGE), (1, PAGE), (20, PAGE), (21, PAGE), (80, PAGE), (ROWS, PAGE), (300, PAGE)] {
            let store = way.store(rows, |options| options.max_count = Some(page));
            let first = way.first_read(&store);
            let context = format!("{rows} rows");
            way.assert_all_read(&first, &store, &context);
            way.assert_few_requests(&store, 3, &context);
            if way.mode == "incremental" {
                let again = way.read(&store, &first.last_state_list());
                assert_eq!((again.code, again.records(way.stream).len()), (Some(0), 0), "{way:?} {context}");
                assert!(store.requests().len() == 1, "{way:?} {context}, unchanged: {:#?}", asked(&store));
            }
        }
    }
    for way in dated() {
        let store = way.store(3_500, |options| options.max_count = None);
        let first = way.first_read(&store);
        way.assert_all_read(&first, &store, "3500 rows");
        way.assert_few_requests(&store, 3, "3500 rows");
        assert_eq!(first.warnings(), Vec::<&str>::new());
        if way.mode == "incremental" {
            let again = way.read(&store, &first.last_state_list());
            assert_eq!((again.records(way.stream).len(), store.requests().len()), (0, 1), "{:#?}", asked(&store));
        }
    }
}

/// Reads a store in which a row is added or changed just before a request, and checks that no count is called wrong.
fn assert_counts_are_trusted(mut sim: Sim, is_due: impl Fn(&str, &str) -> bool + Send + 'static, id: i64) {
    let mut is_open = true;
    sim.store.options(|options| {
        options.live = Some(Box::new(move |data, seen| {
            if is_open && is_due(seen.param("page").unwrap_or("1"), seen.param("id").unwrap_or_default()) {
                is_open = false;
                if data.row(STREAM, id).is_none() {
                    let row = data.make(STREAM, id);
                    data.insert(STREAM, row);
                }
                data.tick(1_000);
                data.touch(STREAM, id);
            }
        }));
    });
    let sync = sim.sync();
    assert_eq!(sync.warnings(), Vec::<&str>::new(), "{}", sync.asked());
    assert!(sim.store.data(|data| data.row(STREAM, id).is_some()), "the test itself: {}", sync.asked());
    assert_eq!(sim.stream_state().get("miscounts"), None, "{}", sync.asked());
    sim.sync();
    sim.assert_nothing_lost("one more sync");
}

#[test]
fn a_row_added_after_a_full_page_does_not_make_its_count_wrong() {
    let sim = Sim::new(STREAM, Options::default(), minutes(STREAM, 1, 1_000));
    assert_counts_are_trusted(sim, |page, _| page == "2", 1_001);
}

#[test]
fn a_row_that_changes_after_the_last_page_of_a_range_does_not_make_its_count_wrong() {
    let mut sim = Sim::new(STREAM, Options::default(), minutes(STREAM, 1, 2_101));
    sim.configure("max_requests_in_flight", 1.into());
    sim.sync();
    // All rows but one have changed. The range below the 1,000 greatest keys ends with a page of the default size.
    sim.store.data(|data| {
        data.tick(3_600_000);
        (1..=2_101).filter(|id| *id != 1_101).for_each(|id| data.touch(STREAM, id));
    });
    assert_counts_are_trusted(sim, |_, id| id == "gt:1100 AND lte:1101", 1_101);
}
