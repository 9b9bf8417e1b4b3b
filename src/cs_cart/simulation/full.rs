//! Full refreshes of streams without dates of changes.

use fake_cs_cart::{Edition, Judge, Options, Sample, Schedule};

use super::*;

/// Streams that are read in one response, and those that are read by keys and pages.
const STREAMS: &[&str] = &[
    "categories",
    "features",
    "options",
    "statuses",
    "taxes",
    "shippings",
    "languages",
    "usergroups",
    "users",
    "shipments",
    "call_requests",
    "product_reviews",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_store_is_read_completely() {
    let setup = Setup::new(Options::default(), &Sample::new(1, 120));
    let start = setup.store.moment();
    let streams: Vec<&str> = [STREAMS, &["stores", "orders", "order_items", "products"]].concat();
    let output = setup.read_full(&streams).await;
    assert_eq!(output.failures, BTreeMap::new());
    for stream in streams {
        let verdict = Judge::full(stream).sync(&setup.store.history(), start, output.records(stream));
        assert!(verdict.is_right() && verdict.records > 0, "{stream}: {verdict}");
    }
    let warnings: Vec<&str> = output.text.lines().filter(|line| line.contains("\"WARN\"")).collect();
    assert!(warnings.is_empty(), "{warnings:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_neither_lost_nor_doubled_while_the_store_changes() {
    for seed in 0..6 {
        for (stream, table) in [
            ("users", "users"),
            ("shipments", "shipments"),
            ("call_requests", "messages"),
            ("product_reviews", "messages"),
            ("products", "products"),
            ("orders", "orders"),
            ("order_items", "orders"),
        ] {
            let live = Schedule { imports: false, ..Schedule::of(seed, table) }.live();
            let options = Options { live: Some(live), seconds_per_request: 1, ..Options::default() };
            let setup = Setup::new(options, &Sample { ties: 40, ..Sample::new(seed, 150) });
            let start = setup.store.moment();
            let output = setup.read_full(&[stream]).await;
            assert_eq!(output.failures, BTreeMap::new(), "{stream} {seed}");
            let verdict = Judge::full(stream).sync(&setup.store.history(), start, output.records(stream));
            assert!(verdict.is_right(), "{stream} {seed}: {verdict}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_all_types_and_vendors_are_read() {
    let options = Options { edition: Edition::MultiVendor, ..Options::default() };
    let mut setup = Setup::new(options, &Sample::new(3, 90));
    setup.settings.user_types = ["C", "A", "V"].map(str::to_owned).to_vec();
    let start = setup.store.moment();
    let output = setup.read_full(&["users", "vendors"]).await;
    assert_eq!(output.failures, BTreeMap::new());
    for (stream, types) in [("users", "CAV"), ("vendors", "C")] {
        let mut judge = Judge::full(stream).user_types(types);
        let verdict = judge.sync(&setup.store.history(), start, output.records(stream));
        assert!(verdict.is_right() && verdict.records > 0, "{stream}: {verdict}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_full_refresh_continues() {
    for stream in ["users", "shipments", "orders", "products"] {
        let setup = Setup::new(Options::default(), &Sample { shipments: 1500, ..Sample::new(2, 1500) });
        let start = setup.store.moment();
        let whole = setup.read_full(&[stream]).await;
        let (mut states, mut records, mut attempts) = (BTreeMap::new(), Vec::new(), 0);
        let requests = setup.store.requests().len();
        setup.store.clear_requests();
        loop {
            attempts += 1;
            let cut = whole.text.len() * 45 / 100;
            let output = setup.read_up_to(&[stream], SyncMode::FullRefresh, &states, cut).await;
            if output.failures.is_empty() {
                records.extend(output.records(stream).to_vec());
                break;
            }
            records.extend(output.covered(stream).to_vec());
            assert!(states != output.states && attempts < 10, "{stream}: no progress");
            states = output.states;
        }
        let verdict = Judge::full(stream).sync(&setup.store.history(), start, &records);
        assert!(verdict.is_right(), "{stream}: {verdict}");
        // Each attempt requests the ends of the keys or the number of pages again.
        let most = requests * 3 / 2 + 4 * attempts;
        assert!(attempts > 1 && setup.store.requests().len() <= most, "{stream}: {attempts}");
    }
}
