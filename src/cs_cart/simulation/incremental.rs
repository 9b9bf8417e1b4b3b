//! Incremental syncs of orders, their lines and products.

use fake_cs_cart::{Judge, Options, Sample, Schedule};

use super::*;

const STREAMS: &[&str] = &["orders", "order_items", "products"];

#[tokio::test(flavor = "multi_thread")]
async fn a_rerun_on_an_unchanged_store_emits_nothing() {
    let setup = Setup::new(Options::default(), &Sample { ties: 60, ..Sample::new(1, 200) });
    let start = setup.store.moment();
    let first = setup.read(STREAMS, SyncMode::Incremental, &BTreeMap::new()).await;
    assert_eq!(first.failures, BTreeMap::new());
    for stream in STREAMS {
        let verdict = Judge::incremental(stream).sync(&setup.store.history(), start, first.records(stream));
        assert!(verdict.is_right() && verdict.records > 0, "{stream}: {verdict}");
    }
    setup.store.clear_requests();
    let second = setup.read(STREAMS, SyncMode::Incremental, &first.states).await;
    assert_eq!(second.failures, BTreeMap::new());
    assert_eq!(second.records, BTreeMap::new());
    let requests: Vec<String> = setup.store.requests().iter().map(|request| request.target.clone()).collect();
    assert!(requests.len() <= 6, "{requests:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_emitted_and_none_is_lost_while_the_store_changes() {
    for seed in 0..12 {
        let live = Schedule { weights: [6, 4, 0, 0, 1, 0], ..Schedule::new(seed) }.live();
        let options = Options { live: Some(live), seconds_per_request: 1, ..Options::default() };
        let setup = Setup::new(options, &Sample { ties: 50, upgraded: 20, ..Sample::new(seed, 100) });
        let mut judges: Vec<Judge> = STREAMS.iter().map(|stream| Judge::incremental(stream)).collect();
        let mut states = BTreeMap::new();
        for sync in 0..4 {
            let start = setup.store.moment();
            let output = setup.read(STREAMS, SyncMode::Incremental, &states).await;
            assert_eq!(output.failures, BTreeMap::new(), "{seed} {sync}");
            for (judge, stream) in judges.iter_mut().zip(STREAMS) {
                let verdict = judge.sync(&setup.store.history(), start, output.records(stream));
                assert!(verdict.is_right(), "{stream}, seed {seed}, sync {sync}: {verdict}");
            }
            states = output.states;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn incomplete_orders_are_read_where_they_are_wanted() {
    for seed in 0..8 {
        let live = Schedule::of(seed, "orders").live();
        let options = Options { live: Some(live), seconds_per_request: 1, ..Options::default() };
        let mut setup = Setup::new(options, &Sample { incomplete: 20, ..Sample::new(seed, 80) });
        setup.settings.include_incomplete_orders = true;
        let mut judges = ["orders", "order_items"].map(|stream| (stream, Judge::incremental(stream).with_incomplete()));
        let mut states = BTreeMap::new();
        for sync in 0..4 {
            let start = setup.store.moment();
            let output = setup.read(&["orders", "order_items"], SyncMode::Incremental, &states).await;
            assert_eq!(output.failures, BTreeMap::new());
            for (stream, judge) in &mut judges {
                let verdict = judge.sync(&setup.store.history(), start, output.records(stream));
                assert!(verdict.is_right(), "{stream}, seed {seed}, sync {sync}: {verdict}");
            }
            states = output.states;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_byte_loses_nothing() {
    for seed in 0..6 {
        let live = Schedule { weights: [6, 4, 0, 0, 1, 0], changes: 1, ..Schedule::new(seed) }.live();
        let options = Options { live: Some(live), seconds_per_request: 1, ..Options::default() };
        let setup = Setup::new(options, &Sample { ties: 50, ..Sample::new(seed, 400) });
        let mut judges: Vec<Judge> = STREAMS.iter().map(|stream| Judge::incremental(stream)).collect();
        let (mut states, start) = (BTreeMap::new(), setup.store.moment());
        let mut records: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for attempt in 0..40 {
            let bytes =
                if attempt < 8 { 120_000 + (seed as usize * 7919 + attempt * 104_729) % 300_000 } else { usize::MAX };
            let output = setup.read_up_to(STREAMS, SyncMode::Incremental, &states, bytes).await;
            for &stream in STREAMS {
                let is_complete = output.failures.is_empty();
                let came = if is_complete { output.records(stream) } else { output.covered(stream) };
                records.entry(stream).or_default().extend(came.to_vec());
            }
            states.extend(output.states);
            if output.failures.is_empty() {
                break;
            }
        }
        for (judge, stream) in judges.iter_mut().zip(STREAMS) {
            let verdict = judge.sync(&setup.store.history(), start, &records[stream]);
            assert!(verdict.missing.is_empty() && verdict.stale.is_empty(), "{stream}, seed {seed}: {verdict}");
        }
    }
}
