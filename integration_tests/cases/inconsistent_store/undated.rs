//! Rows without `updated_at` in a stream where they are not expected: two equal counts exclude them without a request.
//! If the counts cannot be trusted, the connector looks for such rows.

use super::reading::{DATED, PAGE, ROWS, Way, asked, dated};
use crate::fake_store::{Data, FakeStore, Options, Stamp, Total};
use crate::harness::setup::{SignIn, start};

/// Returns rows of which one has no date, among the smallest keys, where no response to the newest rows shows it.
fn with_one_undated(way: Way, rows: i64) -> (Data, i64) {
    let mut data = way.data(rows);
    let id = way.first() + 3;
    data.set_updated_at(way.stream, id, Stamp::Null);
    (data, id)
}

fn store_of(data: Data, quirk: impl FnOnce(&mut Options)) -> FakeStore {
    let mut options = Options { max_count: Some(PAGE), ..Options::default() };
    quirk(&mut options);
    start(SignIn::Token, options, data)
}

#[test]
fn a_first_sync_takes_one_request_more_than_its_pages() {
    for way in DATED.into_iter().filter(|way| way.in_flight == 1) {
        for (rows, most) in [(PAGE - 1, 1), (PAGE + 1, 3), (4 * PAGE - 1, 5)] {
            let store = way.store(i64::try_from(rows).unwrap(), |_| {});
            let run = way.first_read(&store);
            way.assert_all_read(&run, &store, "documented");
            assert!(store.requests().len() <= most, "{way:?}, {rows} rows: {:#?}", asked(&store));
        }
    }
}

#[test]
fn a_row_without_a_date_is_found() {
    for way in dated() {
        let (data, _) = with_one_undated(way, ROWS);
        let store = store_of(data, |_| {});
        way.assert_all_read(&way.first_read(&store), &store, "one without a date");
    }
}

#[test]
fn a_row_without_a_date_is_found_although_a_new_row_makes_the_counts_equal() {
    for way in dated() {
        // After the count of all rows and before that of rows with a date; newer than all others, or not.
        for (after, is_newer) in [(1, true), (2, true), (1, false)] {
            let (data, undated) = with_one_undated(way, ROWS);
            let store = store_of(data, |options| {
                let mut asked = 0;
                options.live = Some(Box::new(move |data, _| {
                    asked += 1;
                    if asked == after + 1 {
                        let newest = data.now_ms - 60_000;
                        data.tick(1_000);
                        let at = Stamp::At(if is_newer { data.now_ms } else { newest });
                        data.insert_lean(way.stream, way.first() + ROWS, at, at);
                    }
                }));
            });
            let run = way.first_read(&store);
            assert_eq!(run.code, Some(0), "{}", run.transcript());
            assert!(
                way.keys(&run).contains(&undated),
                "{way:?}, after request {after}, newer {is_newer}: {:#?}",
                asked(&store)
            );
        }
    }
}

#[test]
fn a_row_without_a_date_arrives_although_the_count_that_excluded_it_was_wrong() {
    for way in dated() {
        // More than a page, and fewer than there are.
        let (data, undated) = with_one_undated(way, 4 * ROWS);
        let store = store_of(data, |options| options.quirks.total = Total::Always(2 * PAGE));
        let mut destination = way.destination();
        let first = way.first_read(&store);
        destination.take(&first);
        if first.code != Some(0) {
            let error = way.assert_incomplete(&first, "first");
            assert!(error.message.contains("total_count"), "{}", error.message);
            let second = way.read(&store, &destination.state_list());
            assert_eq!(second.code, Some(0), "{way:?}\n{}", second.transcript());
            assert!(way.keys(&second).contains(&undated), "{way:?}: {:#?}", asked(&store));
            destination.take(&second);
        }
        way.assert_arrived(&destination, &store, "the count was wrong");
    }
}
