//! More rows share a date than a state can list: ranges of ids are remembered, so a change emits its range again.

use crate::cases::inconsistent_store::sim::{MINUTE, STREAM, Sim, Sync};
use crate::fake_store::{Data, Options, Spoil, Stamp, utc_ms};

const NOW: &str = "2024-06-05T10:00:30Z";

/// Returns rows with one date, and with gaps between their ids.
pub(crate) fn tied(rows: i64) -> Sim {
    let mut data = Data::empty();
    data.now_ms = utc_ms(NOW);
    let at = Stamp::At(data.now_ms - MINUTE);
    (0..rows).for_each(|row| data.insert_lean(STREAM, row * 3 + 1, at, at));
    Sim::new(STREAM, Options { latency: std::time::Duration::ZERO, ..Options::default() }, data)
}

/// Runs a sync in which the first list of this many rows, in the order of their ids, is cut in half.
pub(crate) fn sync_with_a_cut_list(sim: &mut Sim, rows: usize) -> Sync {
    let mut cut = false;
    sim.store.options(|options| {
        options.quirks.spoil = Some(Box::new(move |seen, listed| {
            let is_it = seen.param("sort") == Some("id") && listed == rows && !cut;
            cut |= is_it;
            is_it.then_some(Spoil::Halved)
        }));
    });
    let sync = sim.sync();
    assert!(sync.requests.iter().any(|seen| seen.rows == rows / 2), "the test itself: {}", sync.asked());
    sync
}

/// Checks that an unchanged store sends nothing, and that a row that changes, is added or deleted sends its range at
/// most.
fn prove(rows: i64, range: usize) {
    let mut sim = tied(rows);
    let first = sim.sync();
    assert_eq!(first.ids.len(), usize::try_from(rows).unwrap());
    first.assert_few_requests(1000, "first");
    let unchanged = |sim: &mut Sim, context: &str| {
        let sync = sim.sync();
        assert_eq!((sync.ids.len(), sync.warnings()), (0, Vec::new()), "{context}\n{}", sync.asked());
        sync.assert_few_requests(1000, context);
        assert!(sim.state.len() < 36 * 1024, "{context}: a state of {} bytes", sim.state.len());
    };
    unchanged(&mut sim, "nothing changed");
    unchanged(&mut sim, "nothing changed, again");
    let middle = rows / 2 * 3 + 1;
    for (context, id) in [("content", middle), ("date", middle + 3), ("new row", middle + 4), ("gone", middle + 6)] {
        sim.store.data(|data| match context {
            "content" => data.set_field(STREAM, id, "name", "\"Renamed\""),
            "date" => data.touch(STREAM, id),
            "new row" => {
                let at = Stamp::At(utc_ms(NOW) - MINUTE);
                data.insert_lean(STREAM, id, at, at);
            }
            _ => assert!(data.delete(STREAM, id)),
        });
        let sync = sim.sync();
        assert!(context == "gone" || sync.ids.contains(&id), "{context}\n{}", sync.asked());
        assert!(sync.ids.len() <= range, "{context}: {} records, at most {range}", sync.ids.len());
        unchanged(&mut sim, context);
    }
    sim.assert_nothing_lost("ties");
}

#[test]
fn one_change_among_12000_rows_with_one_date_sends_its_range() {
    prove(12_000, 300);
}

#[test]
fn few_rows_with_one_date_are_listed_one_by_one() {
    prove(3_900, 1);
}

#[test]
fn one_change_among_a_million_rows_with_one_date_sends_its_range() {
    // Run it manually in a release build: it takes minutes.
    if std::env::var_os("MILLION_ROWS").is_some() {
        prove(1_000_000, 8_000);
    }
}

#[test]
fn new_rows_arrive_although_a_page_of_the_comparison_is_cut_in_half() {
    let mut sim = tied(4_700);
    sim.configure("max_requests_in_flight", 1.into());
    sim.sync();
    sim.store.data(|data| {
        data.tick(MINUTE);
        for _ in 0..200 {
            data.add(STREAM);
        }
    });
    // The last page of the comparison has 700 known rows and then the new ones.
    let sync = sync_with_a_cut_list(&mut sim, 900);
    sim.assert_nothing_lost(&sync.asked());
}

#[test]
fn more_rows_without_a_date_than_a_state_can_list_are_sent_once() {
    let mut data = Data::empty();
    data.now_ms = utc_ms(NOW);
    (1..=4_500).for_each(|id| data.insert_lean(STREAM, id, Stamp::Null, Stamp::Null));
    let mut sim = Sim::new(STREAM, Options::default(), data);
    assert_eq!(sim.sync().ids.len(), 4_500);
    let sync = sim.sync();
    assert_eq!(sync.ids.len(), 0, "{}", sync.asked());
    sim.store.data(|data| data.set_field(STREAM, 3_000, "name", "\"Renamed\""));
    let sync = sim.sync();
    assert!(sync.ids.contains(&3_000) && sync.ids.len() < 100, "{} {}", sync.ids.len(), sync.asked());
    assert_eq!(sim.sync().ids.len(), 0);
}
