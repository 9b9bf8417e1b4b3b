//! Rows that the store cannot send, weak hosts, firewalls and missing privileges.

use fake_cs_cart::{Account, Options, Sample, Version};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_privilege_and_an_absent_add_on_are_not_retried() {
    let options = Options {
        accounts: vec![Account::limited(&["view_catalog"])],
        absent: ["call_requests".to_owned()].into(),
        ..Options::default()
    };
    let setup = Setup::new(options, &Sample::new(1, 30));
    let output = setup.read_full(&["orders", "categories", "call_requests"]).await;
    assert_eq!(output.failures.keys().collect::<Vec<_>>(), ["call_requests", "orders"]);
    assert!(output.failures["orders"].contains("status: 403"), "{}", output.failures["orders"]);
    assert!(output.failures["call_requests"].contains("status: 40"), "{}", output.failures["call_requests"]);
    assert_eq!(setup.store.requests().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_dates_of_changes_is_read_completely_each_time() {
    let options = Options { version: Version::V4_11, ..Options::default() };
    let setup = Setup::new(options, &Sample::new(1, 60));
    let mut states = BTreeMap::new();
    let mut counts = Vec::new();
    for _ in 0..2 {
        let output = setup.read(&["orders", "order_items"], SyncMode::Incremental, &states).await;
        assert_eq!(output.failures, BTreeMap::new());
        assert!(output.text.contains("too old for incremental syncs"));
        counts.push((output.records("orders").len(), output.records("order_items").len()));
        states = output.states;
    }
    assert!(counts[0].0 > 0 && counts[0].1 > 0 && counts[0] == counts[1], "{counts:?}");
}
