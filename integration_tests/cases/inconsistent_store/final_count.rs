//! The final count: delivered rows are compared with counts that do not use the walk's filters and that survive an
//! interruption.

use std::collections::BTreeSet;
use std::time::Duration;

use super::reading::{DATED, PAGE, ROWS, WAYS, Way, asked, dated, end_faults, killed, resumable, ways};
use crate::fake_store::{FakeStore, NoKey, Options};
use crate::harness::command::Signal;
use crate::harness::order::ReadCheck;
use crate::harness::setup::{no_state, some_of};

/// More bytes than two pages of orders and their states, fewer than the stream.
const SOME_BYTES: usize = 120_000;

/// Removes a row's key.
fn without_key(options: &mut Options, way: Way, id: i64, form: NoKey) {
    options.quirks.keyless.extend([((way.stream.to_owned(), id), form)]);
}

/// Returns all keys except one.
fn all_but(way: Way, store: &FakeStore, id: i64) -> BTreeSet<i64> {
    let mut all = way.all(store);
    assert!(all.remove(&id));
    all
}

/// Reads a store in which one row has no key; all others must be emitted, and the error must report it.
fn assert_keyless(way: Way, rows: i64, id: i64, quirk: impl FnOnce(&mut Options), context: &str) {
    let store = way.store(rows, quirk);
    let first = way.first_read(&store);
    let reported = |store: &FakeStore| format!("{context}\n{:#?}\n{}", asked(store), first.transcript());
    let error = way.assert_incomplete(&first, &reported(&store));
    assert!(error.message.contains("key"), "{way:?} {context}: {}", error.message);
    assert_eq!(way.keys(&first), all_but(way, &store, id), "{way:?} {}", reported(&store));

    // It is reported at every sync, and no change is lost because of it.
    let mut destination = way.destination();
    destination.take(&first);
    let changed = way.first() + rows / 2 + 1;
    store.data(|data| {
        data.tick(3_600_000);
        data.touch(way.stream, changed);
    });
    let second = way.read(&store, &destination.state_list());
    let error = way.assert_incomplete(&second, context);
    assert!(error.message.contains("key"), "{way:?} {context}: {}", error.message);
    assert!(way.keys(&second).contains(&changed), "{way:?} {context}: the change\n{}", second.transcript());
    destination.take(&second);
    way.assert_contract(&mut destination, &second, &store, context);
}

#[test]
fn a_row_without_a_key_is_reported_and_all_others_are_emitted() {
    for way in dated() {
        for form in [NoKey::Null, NoKey::Absent] {
            let id = way.first() + 700;
            let quirk = |options: &mut Options| {
                options.max_count = None;
                without_key(options, way, id, form);
            };
            assert_keyless(way, 1_501, id, quirk, &format!("{form:?}"));
        }
    }
}

#[test]
fn a_row_without_a_key_is_reported_at_every_position() {
    for way in WAYS.into_iter().filter(|way| way.in_flight == 1) {
        // In a stream of one response and of several; the first row, one in the middle, the newest.
        for (rows, nth) in [(10, 0), (10, 5), (10, 9), (ROWS, 0), (ROWS, 37), (ROWS, ROWS - 1)] {
            for nulls_last in [false, true] {
                let id = way.first() + nth;
                let quirk = |options: &mut Options| {
                    options.nulls_last = nulls_last;
                    without_key(options, way, id, NoKey::Null);
                };
                assert_keyless(way, rows, id, quirk, &format!("row {nth} of {rows}, nulls last: {nulls_last}"));
            }
        }
    }
}

#[test]
fn a_row_without_a_key_is_reported_after_a_kill() {
    for way in resumable() {
        // Where nulls sort last, no response of the second run lists the row: only the counts show it.
        for (nth, nulls_last) in [(3, false), (70, false), (148, false), (3, true), (70, true)] {
            let id = way.first() + nth;
            let store = way.store(2 * ROWS, |options| {
                options.nulls_last = nulls_last;
                without_key(options, way, id, NoKey::Null);
            });
            let mut destination = killed(way, &store, SOME_BYTES);
            let run = way.read(&store, &destination.state_list());
            let context = format!("row {nth}, nulls last: {nulls_last}, after the kill");
            let error = way.assert_incomplete(&run, &context);
            assert!(error.message.contains("key"), "{way:?} {context}: {}", error.message);
            way.assert_contract(&mut destination, &run, &store, &context);
        }
    }
}

/// Reads a store that counts a row and never lists it: once until the signal, then to the end.
fn assert_missing_row_is_noticed(way: Way, store: &FakeStore, signal: Signal, requests: usize, context: &str) {
    let command = way.command(store, &no_state());
    let first = command.signal_when(signal, || store.requests().len() >= requests).run();
    ReadCheck::new(&first, &way.catalog()).cut().assert();
    assert!(first.code != Some(0), "{way:?} {context}: interrupted, or rows are missing\n{}", first.transcript());
    let mut destination = way.destination();
    destination.take(&first);
    if signal == Signal::Term {
        assert_eq!(first.code, first.code_of_errors(), "{way:?} {context}\n{}", first.transcript());
    }
    let second = way.read(store, &destination.state_list());
    let error = way.assert_incomplete(&second, &format!("{context}, run again"));
    assert!(error.message.contains("missing"), "{way:?} {context}: {}", error.message);
    destination.take(&second);
    // After it is healed, the next sync emits the row.
    end_faults(store);
    store.options(|options| options.latency = Duration::ZERO);
    let third = way.read(store, &destination.state_list());
    assert_eq!(third.code, Some(0), "{way:?} {context}\n{}", third.transcript());
    destination.take(&third);
    way.assert_arrived(&destination, store, context);
}

#[test]
fn a_counted_row_that_is_never_listed_is_noticed_after_a_signal() {
    let way = Way { stream: "products", mode: "incremental", in_flight: 1 };
    let store = way.store(9_000, |options| {
        options.max_count = None;
        options.latency = Duration::from_millis(100);
        options.hidden.extend([("products".to_owned(), way.first() + 4_500)]);
    });
    assert_missing_row_is_noticed(way, &store, Signal::Term, 6, "9000 products");
}

#[test]
fn a_counted_row_that_is_never_listed_is_noticed_after_any_interruption() {
    for way in resumable().filter(|way| way.in_flight == 1 || way.stream == "products") {
        for signal in [Signal::Term, Signal::Kill] {
            for (nth, requests) in [(5, 8), (5, 12), (145, 5), (100, 10)] {
                let store = way.store(2 * ROWS, |options| {
                    options.latency = Duration::from_millis(20);
                    options.hidden.extend([(way.stream.to_owned(), way.first() + nth)]);
                });
                let context = format!("row {nth}, {signal:?} at request {requests}");
                assert_missing_row_is_noticed(way, &store, signal, requests, &context);
            }
        }
    }
}

#[test]
fn a_counted_row_that_is_never_listed_is_noticed_without_a_signal() {
    for way in ways() {
        for (rows, nth) in [(10, 4), (ROWS, 4), (ROWS, 40), (ROWS, ROWS - 1)] {
            let store = way.store(rows, |options| {
                options.hidden.extend([(way.stream.to_owned(), way.first() + nth)]);
            });
            let run = way.first_read(&store);
            let context = format!("row {nth} of {rows}");
            let error = way.assert_incomplete(&run, &context);
            assert!(error.message.contains("missing"), "{way:?} {context}: {}", error.message);
            way.assert_contract(&mut way.destination(), &run, &store, &context);
        }
    }
}

/// Makes the store omit a row from all lists with a condition on a date.
fn omit(options: &mut Options, way: Way, id: i64) {
    options.quirks.not_in_dates.extend([(way.stream.to_owned(), id)]);
}

/// Reads a store of `2 * ROWS` rows, one of which no condition on a date lists, until a kill and then to the end. All
/// rows arrive; rows that were read are emitted again.
fn assert_omitted_row_arrives_after_a_kill(way: Way, nth: i64, bytes: usize) {
    let store = way.store(2 * ROWS, |options| omit(options, way, way.first() + nth));
    let mut destination = killed(way, &store, bytes);
    let run = way.read(&store, &destination.state_list());
    destination.take(&run);
    let context = format!("{way:?}, row {nth}, killed after {bytes} bytes\n{:#?}\n{}", asked(&store), run.transcript());
    assert_eq!(run.code, Some(0), "{context}");
    assert_eq!(destination.len(way.stream), 2 * usize::try_from(ROWS).unwrap(), "{context}");
}

/// Reads a store once; all rows are emitted, once or twice.
fn assert_all_emitted(way: Way, store: &FakeStore, context: &str) {
    let run = way.first_read(store);
    let context = format!("{way:?}, {context}\n{:#?}\n{}", asked(store), run.transcript());
    assert_eq!(run.code, Some(0), "{context}");
    let keys: BTreeSet<i64> = run.ids(way.stream).into_iter().collect();
    assert_eq!(keys, way.all(store), "{context}");
}

#[test]
fn a_row_that_the_date_filter_never_lists_is_read_without_it() {
    for way in dated() {
        for nth in [0, 30, ROWS - 1] {
            let store = way.store(ROWS, |options| omit(options, way, way.first() + nth));
            assert_all_emitted(way, &store, &format!("row {nth}"));
        }
    }
}

#[test]
fn a_row_that_the_date_filter_never_lists_is_read_by_page_numbers_too() {
    for way in dated() {
        let store = way.store(ROWS, |options| {
            options.ignore_id_filter = true;
            omit(options, way, way.first() + 30);
        });
        assert_all_emitted(way, &store, "by page numbers");
    }
}

#[test]
fn a_row_that_the_date_filter_never_lists_is_read_after_a_kill() {
    for way in resumable() {
        for nth in [3, 70, 148] {
            assert_omitted_row_arrives_after_a_kill(way, nth, SOME_BYTES);
        }
    }
}

#[test]
fn a_row_that_the_date_filter_never_lists_is_read_after_a_kill_while_it_is_looked_for() {
    for way in resumable() {
        for part in some_of(4..=8) {
            assert_omitted_row_arrives_after_a_kill(way, 140, part * SOME_BYTES);
        }
    }
}

#[test]
fn a_row_without_a_key_that_the_date_filter_never_lists_is_reported() {
    for way in dated() {
        let id = way.first() + 30;
        let store = way.store(ROWS, |options| {
            omit(options, way, id);
            without_key(options, way, id, NoKey::Null);
        });
        let run = way.first_read(&store);
        let error = way.assert_incomplete(&run, &format!("{:#?}\n{}", asked(&store), run.transcript()));
        assert!(error.message.contains("key") || error.message.contains("`id`"), "{way:?}: {}", error.message);
    }
}

#[test]
fn a_row_that_is_deleted_while_rows_without_a_key_are_counted_is_not_one() {
    for way in dated().filter(|way| way.in_flight == 1) {
        let id = way.first() + 140;
        let store = way.store(2 * ROWS, |options| {
            options.live = Some(Box::new(move |data, seen| {
                // After the count of all rows and before the one of those with a key.
                if seen.param("id").is_some_and(|id| id.starts_with("gt:-")) {
                    data.delete(way.stream, id);
                }
            }));
        });
        let mut destination = killed(way, &store, SOME_BYTES);
        store.data(|data| {
            data.tick(60_000);
            data.add(way.stream);
        });
        let run = way.read(&store, &destination.state_list());
        destination.take(&run);
        assert_eq!(run.code, Some(0), "{way:?}\n{:#?}\n{}", asked(&store), run.transcript());
    }
}

#[test]
fn rows_deleted_between_two_counts_do_not_stop_a_sync_with_one_request_at_a_time() {
    for way in DATED.into_iter().filter(|way| way.in_flight == 1) {
        let (last, mut counts) = (way.first() + ROWS - 1, 0);
        let store = way.store(ROWS, |options| {
            options.hidden.extend([(way.stream.to_owned(), way.first() + 4)]);
            options.live = Some(Box::new(move |data, seen| {
                let is_count = seen.param("sort") == Some("-updated_at") && seen.param("id").is_none();
                if is_count && seen.param("updated_at").is_some() {
                    data.delete(way.stream, last - counts);
                    counts += 1;
                }
            }));
        });
        let run = way.first_read(&store);
        assert!(run.code.is_some_and(|code| code <= 1), "{way:?}\n{}", run.transcript());
        assert!(store.data(|data| data.ids(way.stream).len()) < usize::try_from(ROWS).unwrap(), "nothing was deleted");
        let requests: Vec<_> = store.requests().iter().map(|seen| seen.target.clone()).collect();
        assert!(requests.windows(2).any(|pair| pair[0] == pair[1]), "no count was repeated: {requests:#?}");
    }
}

/// Resumes a walk of a store that compares `lte:` with the start of the day. It may end INCOMPLETE once, since then
/// the next sync does not use that filter; no row is missing when a sync exits with 0.
fn assert_nothing_is_filtered_out(way: Way, rows: i64, page: Option<usize>, bytes: usize) {
    let store = way.store(rows, |options| {
        options.max_count = page;
        options.quirks.lte_cuts_to_day = true;
    });
    let mut destination = killed(way, &store, bytes);
    let context = format!("{rows} rows, killed after {bytes} bytes");
    for attempt in 1.. {
        let run = way.read(&store, &destination.state_list());
        destination.take(&run);
        if run.code == Some(0) {
            let context = format!("{context}, attempt {attempt}\n{:#?}\n{}", asked(&store), run.transcript());
            return way.assert_arrived(&destination, &store, &context);
        }
        way.assert_incomplete(&run, &context);
        assert!(attempt < 2, "{way:?} {context}: INCOMPLETE twice\n{}", run.transcript());
    }
}

#[test]
fn rows_that_the_filter_of_a_resumed_walk_omits_are_counted_without_it() {
    for way in dated() {
        assert_nothing_is_filtered_out(way, 3_500, None, 3_000_000);
        for bytes in [SOME_BYTES, 2 * SOME_BYTES] {
            assert_nothing_is_filtered_out(way, 4 * ROWS, Some(PAGE), bytes);
        }
    }
    for way in resumable() {
        assert_nothing_is_filtered_out(way, 2 * ROWS, Some(PAGE), SOME_BYTES);
    }
}

#[test]
fn a_documented_store_needs_no_more_requests_for_the_count_check() {
    for way in resumable() {
        let store = way.store(2 * ROWS, |_| {});
        let mut destination = killed(way, &store, SOME_BYTES);
        assert!(destination.len(way.stream) > 0, "{way:?}: no state before the kill");
        let held = destination.len(way.stream);
        let run = way.read(&store, &destination.state_list());
        assert_eq!(run.code, Some(0), "{way:?}\n{}", run.transcript());
        destination.take(&run);
        way.assert_arrived(&destination, &store, "after the kill");
        // The rest, the changes since, and three.
        let left = usize::try_from(2 * ROWS).unwrap() - held;
        let ranges: BTreeSet<String> =
            store.requests().iter().filter_map(|s| Some(s.param("id")?.to_owned())).collect();
        let bound = left.div_ceil(PAGE) + ranges.len() + 1 + 3;
        assert!(store.requests().len() <= bound, "{way:?}: more than {bound}: {:#?}", asked(&store));
    }
}
