//! Carts by windows of time, and their lines.

use fake_cs_cart::{Account, Edition, Judge, Options, Sample, Schedule};

use super::*;

/// Returns a store with many carts.
fn setup(options: Options, seed: u64) -> Setup {
    Setup::new(options, &Sample { carts: 90, ties: 30, ..Sample::new(seed, 40) })
}

#[tokio::test(flavor = "multi_thread")]
async fn carts_of_a_quiet_store_are_read_completely() {
    for edition in [Edition::Ultimate, Edition::MultiVendor] {
        let setup = setup(Options { edition, ..Options::default() }, 1);
        let start = setup.store.moment();
        let output = setup.read_full(&["carts", "cart_items"]).await;
        assert_eq!(output.failures, BTreeMap::new());
        for stream in ["carts", "cart_items"] {
            let verdict = Judge::full(stream).sync(&setup.store.history(), start, output.records(stream));
            assert!(verdict.is_right() && verdict.records > 0, "{stream}: {verdict}");
        }
        assert!(!output.text.contains("PRIVATE-"));
        let is_keyed = |record: &Value| record["company_id"].is_i64() && record["storefront_id"].is_i64();
        assert!(output.records("carts").iter().all(is_keyed));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn carts_are_neither_lost_nor_doubled_while_the_store_changes() {
    for seed in 0..2 {
        for edition in [Edition::Ultimate, Edition::MultiVendor] {
            let cart_companies = if edition == Edition::Ultimate { vec![1, 2] } else { vec![0] };
            let live = Schedule { cart_companies, ..Schedule::of(seed, "carts") }.live();
            let options = Options { edition, live: Some(live), seconds_per_request: 1, ..Options::default() };
            let setup = setup(options, seed);
            for stream in ["carts", "cart_items"] {
                let start = setup.store.moment();
                let output = setup.read_full(&[stream]).await;
                assert_eq!(output.failures, BTreeMap::new(), "{stream} {seed}");
                let verdict = Judge::full(stream).sync(&setup.store.history(), start, output.records(stream));
                assert!(verdict.is_right(), "{stream} {seed} {edition:?}: {verdict}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_stores_only_carts_of_the_same_second_are_hidden() {
    for seed in 0..4 {
        let options = Options { accounts: vec![Account::limited(&["view_users"])], ..Options::default() };
        let setup = setup(options, seed);
        let start = setup.store.moment();
        let output = setup.read_full(&["carts"]).await;
        let mut judge = Judge::full("carts").without_view_stores();
        let verdict = judge.sync(&setup.store.history(), start, output.records("carts"));
        assert!(verdict.is_right(), "{seed}: {verdict}");
        let is_reported =
            output.failures.get("carts").is_some_and(|failure| failure.contains("hidden: [HiddenRows { date: Some("));
        assert!(verdict.excused.is_empty() || is_reported, "{:?}", output.failures);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn carts_of_chosen_storefronts_are_read() {
    let mut setup = setup(Options { edition: Edition::MultiVendor, ..Options::default() }, 5);
    setup.settings.storefront_ids = vec![1, 2];
    let start = setup.store.moment();
    let output = setup.read_full(&["carts"]).await;
    assert_eq!(output.failures, BTreeMap::new());
    let mut judge = Judge::full("carts").storefronts(&[1, 2]);
    let verdict = judge.sync(&setup.store.history(), start, output.records("carts"));
    assert!(verdict.is_right() && verdict.records > 0, "{verdict}");
}
