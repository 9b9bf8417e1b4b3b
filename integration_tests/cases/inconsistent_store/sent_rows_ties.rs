//! More rows share a date than a state can list: ranges of ids are remembered, so a change emits its range again.

use crate::cases::inconsistent_store::sim::{MINUTE, STREAM, Sim};
use crate::fake_store::{Data, Options, Stamp, utc_ms};

const NOW: &str = "2024-06-05T10:00:30Z";

/// Rows of one date, with gaps between their ids.
fn tied(rows: i64) -> Sim {
    let mut data = Data::empty();
    data.now_ms = utc_ms(NOW);
    let at = Stamp::At(data.now_ms - MINUTE);
    (0..rows).for_each(|row| data.insert_lean(STREAM, row * 3 + 1, at, at));
    Sim::new(STREAM, Options { latency: std::time::Duration::ZERO, ..Options::default() }, data)
}

/// An unchanged store sends nothing; a row that changes, comes or goes costs its range at most.
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
fn of_12000_tied_rows_one_change_costs_its_range() {
    prove(12_000, 300);
}

#[test]
fn tied_rows_are_named_one_by_one() {
    prove(3_900, 1);
}

#[test]
fn of_a_million_tied_rows_one_change_costs_its_range() {
    // By hand, in a release build: takes minutes.
    if std::env::var_os("EVIDENCE_MILLION").is_some() {
        prove(1_000_000, 8_000);
    }
}
