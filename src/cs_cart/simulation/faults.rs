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

/// Returns a setup with a small store, after changes of its data.
fn damaged(options: Options, change: impl FnOnce(&mut fake_cs_cart::Data)) -> Setup {
    let setup = Setup::new(options, &Sample { ties: 60, ..Sample::new(4, 120) });
    setup.store.data(change);
    setup
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_with_broken_text_costs_itself_and_is_named() {
    let setup = damaged(Options::default(), |data| {
        data.broken.extend([("users", 9), ("categories", 3), ("shipments", 7), ("products", 11)]);
        data.broken_inside.extend([33, 34]);
    });
    let streams = ["orders", "order_items", "users", "categories", "shipments", "products"];
    let start = setup.store.moment();
    let output = setup.read_full(&streams).await;
    let keys: [&[&[i64]]; 6] = [&[&[33], &[34]], &[], &[&[9]], &[&[3]], &[&[7]], &[&[11]]];
    for (stream, keys) in streams.into_iter().zip(keys) {
        let mut judge = fake_cs_cart::Judge::full(stream).unreadable(keys);
        let verdict = judge.sync(&setup.store.history(), start, output.records(stream));
        let lines_of_orders = verdict.missing.iter().all(|key| stream == "order_items" && [33, 34].contains(&key[0]));
        assert!(verdict.is_right() || lines_of_orders, "{stream}: {verdict}");
        let failure = output.failures.get(stream).map_or("", String::as_str);
        assert!(failure.contains("RowsSkipped"), "{stream}: {failure}");
        assert!(failure.contains("not_utf8: true"), "{stream}: {failure}");
    }
    assert!(
        output.failures["orders"].contains("unread: [(Some(32), Some(33)), (Some(33), Some(34))]"),
        "{}",
        output.failures["orders"]
    );
    assert!(output.failures["products"].contains("unread: [(Some(10), Some(11))]"), "{}", output.failures["products"]);
    assert!(output.failures["users"].contains("unread: [(Some(8), Some(9))]"), "{}", output.failures["users"]);
    assert!(
        output.failures["shipments"].contains(r#"between: [(Some("6"), Some("8"))]"#),
        "{}",
        output.failures["shipments"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_was_repaired_is_read_by_the_next_sync() {
    let setup = damaged(Options::default(), |data| {
        data.broken_inside.extend([33]);
    });
    let streams = ["orders", "order_items"];
    let first = setup.read(&streams, SyncMode::Incremental, &BTreeMap::new()).await;
    assert_eq!(first.failures.len(), 2);
    let again = setup.read(&streams, SyncMode::Incremental, &first.states).await;
    assert_eq!((again.failures.len(), again.records.len()), (2, 0));
    setup.store.data(|data| data.broken_inside.clear());
    let second = setup.read(&streams, SyncMode::Incremental, &again.states).await;
    assert_eq!(second.failures, BTreeMap::new());
    assert_eq!(second.records("orders").len(), 1);
    assert_eq!(second.records("orders")[0]["order_id"], 33);
    assert!(second.records("order_items").iter().all(|item| item["order_id"] == 33));
    let third = setup.read(&streams, SyncMode::Incremental, &second.states).await;
    assert_eq!((third.failures, third.records), (BTreeMap::new(), BTreeMap::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_deleted_between_two_statements_are_no_end() {
    for seed in 0..4 {
        let mut random = fake_cs_cart::Random::new(seed);
        let between = move |data: &mut fake_cs_cart::Data, _: &fake_cs_cart::RecordedRequest| {
            for _ in 0..random.below(4) {
                if let Some(&id) = random.pick(&data.orders.keys()) {
                    data.delete("orders", id);
                }
            }
        };
        let options = Options { between: Some(Box::new(between)), ..Options::default() };
        let setup = Setup::new(options, &Sample { ties: 60, ..Sample::new(seed, 200) });
        let start = setup.store.moment();
        let output = setup.read_full(&["orders"]).await;
        assert_eq!(output.failures, BTreeMap::new());
        let verdict = fake_cs_cart::Judge::full("orders").sync(&setup.store.history(), start, output.records("orders"));
        assert!(verdict.is_right(), "{seed}: {verdict}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weak_host_is_read_with_smaller_pages() {
    for status in [500, 502, 504, 508] {
        let weak = Some(fake_cs_cart::WeakHost { rows: 4, only_complete: false, status });
        let setup = damaged(Options { weak, ..Options::default() }, |_| {});
        let streams = ["orders", "users", "shipments", "products", "categories"];
        let start = setup.store.moment();
        let output = setup.read_full(&streams).await;
        assert_eq!(output.failures, BTreeMap::new(), "{status}");
        for stream in streams {
            let mut judge = fake_cs_cart::Judge::full(stream);
            let verdict = judge.sync(&setup.store.history(), start, output.records(stream));
            assert!(verdict.is_right(), "{stream} {status}: {verdict}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transient_faults_are_retried() {
    use fake_cs_cart::Fault;
    let faults = [
        Fault::html(403),
        Fault::html(503),
        Fault::retry_after(429, "1"),
        Fault::Empty,
        Fault::Warning,
        Fault::CutBody { after: 40 },
        Fault::ResetBeforeHeaders,
    ];
    for fault in faults {
        let (mut left, shown) = (1, format!("{fault:?}"));
        let hook = move |request: &fake_cs_cart::RecordedRequest| {
            let is_hit = request.n == 3 && left > 0;
            left -= usize::from(is_hit);
            is_hit.then(|| fault.clone())
        };
        let setup = damaged(Options { fault: Some(Box::new(hook)), ..Options::default() }, |_| {});
        let start = setup.store.moment();
        let output = setup.read_full(&["orders"]).await;
        assert_eq!(output.failures, BTreeMap::new(), "{shown}");
        let verdict = fake_cs_cart::Judge::full("orders").sync(&setup.store.history(), start, output.records("orders"));
        assert!(verdict.is_right(), "{shown}: {verdict}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_firewall_and_messages_of_php_are_told_from_other_faults() {
    use fake_cs_cart::Fault;
    for (fault, expected) in [
        (Fault::html(403), "Blocked"),
        (Fault::Warning, "is not valid JSON"),
        (Fault::Empty, "Empty"),
        (Fault::error(403, "x"), "Status { resource: \"orders\", status: 403"),
    ] {
        let hook = move |_: &fake_cs_cart::RecordedRequest| Some(fault.clone());
        let setup = damaged(Options { fault: Some(Box::new(hook)), ..Options::default() }, |_| {});
        let output = setup.read_full(&["orders"]).await;
        let failure = output.failures.get("orders").map_or("", String::as_str);
        assert!(failure.contains(expected), "{expected}: {failure}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_a_folder_without_rewriting_is_read() {
    let options = Options { folder: "/shop/de".to_owned(), rewrite: false, ..Options::default() };
    let mut setup = damaged(options, |_| {});
    setup.settings.rewrite = false;
    let output = setup.read_full(&["orders", "users", "usergroups"]).await;
    assert_eq!(output.failures, BTreeMap::new());
    assert!(!output.records("orders").is_empty() && !output.records("usergroups").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_not_followed() {
    let options = Options { redirect_to: Some("http://127.0.0.1:9".to_owned()), ..Options::default() };
    let setup = damaged(options, |_| {});
    let output = setup.read_full(&["orders"]).await;
    assert!(output.failures["orders"].contains("Redirect"), "{:?}", output.failures);
    assert_eq!(setup.store.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rows_near_the_cursor_are_emitted_once() {
    // More than a state remembers one by one.
    let mut setup = Setup::new(Options::default(), &Sample::new(1, 2500));
    setup.settings.rows_per_request = 250;
    setup.store.data(|data| {
        for id in data.orders.keys() {
            data.set_status(id, 'P');
        }
    });
    let streams = ["orders", "order_items"];
    let first = setup.read(&streams, SyncMode::Incremental, &BTreeMap::new()).await;
    assert_eq!(first.failures, BTreeMap::new());
    assert!(first.states["order_items"].contains("ranges"));
    let second = setup.read(&streams, SyncMode::Incremental, &first.states).await;
    assert_eq!((second.failures, second.records), (BTreeMap::new(), BTreeMap::new()));
    setup.store.data(|data| {
        data.tick(5);
        data.set_status(77, 'C');
    });
    let third = setup.read(&streams, SyncMode::Incremental, &second.states).await;
    assert!(third.records("orders").iter().any(|order| order["order_id"] == 77));
    assert!(third.records("order_items").len() < 100, "{}", third.records("order_items").len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repaired_row_among_many_near_the_cursor_is_emitted_once() {
    let mut setup = Setup::new(Options::default(), &Sample::new(1, 2500));
    setup.settings.rows_per_request = 250;
    setup.store.data(|data| {
        for id in data.orders.keys() {
            data.set_status(id, 'P');
        }
        data.broken_inside.insert(700);
    });
    let streams = ["orders", "order_items"];
    let first = setup.read(&streams, SyncMode::Incremental, &BTreeMap::new()).await;
    assert!(first.failures.len() == 2 && first.states["order_items"].contains("ranges"));
    setup.store.data(|data| data.broken_inside.clear());
    let second = setup.read(&streams, SyncMode::Incremental, &first.states).await;
    assert_eq!(second.failures, BTreeMap::new());
    for stream in streams {
        let records = second.records(stream);
        assert!(!records.is_empty() && records.iter().all(|row| row["order_id"] == 700), "{stream}: {}", records.len());
        let different: std::collections::BTreeSet<String> = records.iter().map(ToString::to_string).collect();
        assert_eq!(different.len(), records.len(), "{stream}");
    }
    let third = setup.read(&streams, SyncMode::Incremental, &second.states).await;
    assert_eq!((third.failures, third.records), (BTreeMap::new(), BTreeMap::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_never_leave_is_in_no_line_of_the_output() {
    for redact in [false, true] {
        let mut setup = damaged(Options::default(), |_| {});
        setup.redact = redact;
        let output = setup.read_full(&["orders", "order_items", "users", "products"]).await;
        assert_eq!(output.failures, BTreeMap::new());
        assert!(!output.text.contains("PRIVATE-"));
        for record in output.records("users") {
            assert_eq!(record["email"].is_null(), redact);
        }
    }
}
