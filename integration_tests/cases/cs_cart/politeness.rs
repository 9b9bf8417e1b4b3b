//! The load on the merchant's own server: one request at a time, pauses after slow answers, fewer rows after failures,
//! and the waits that a server asks for.

use std::time::Duration;

use serde_json::{Value, json};

use super::store::{catalog, column, config_with, everything, full, read, read_full, requests, sample, told};
use super::syncs::Syncs;
use crate::fake_cs_cart::{Cart, Edition, FakeCsCart, Fault, Options, RecordedRequest, Sample, Version, WeakHost};

/// Returns the times between the arrival of a request and the next one.
fn gaps(store: &FakeCsCart) -> Vec<Duration> {
    let at: Vec<_> = store.requests().iter().map(|seen| seen.at).collect();
    at.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// Returns the number of rows in each request for an object, in order.
fn asked(store: &FakeCsCart, object: &str) -> Vec<usize> {
    requests(store, object).iter().filter_map(|seen| seen.param("items_per_page")?.parse().ok()).collect()
}

#[test]
fn requests_come_one_at_a_time_on_one_connection() {
    let options = Options { latency: Duration::from_millis(3), ..Options::default() };
    let store = FakeCsCart::sample(options, &Sample::new(1, 80));
    let config = config_with(&store, &json!({ "rows_per_request": 10 }));
    let run = read(&config, &everything(Edition::Ultimate), "[]");
    assert_eq!(run.code, Some(0), "{}", run.transcript());
    let counters = store.counters();
    assert_eq!((counters.most_at_once, counters.connections), (1, 1), "{counters:?}");
    for seen in store.requests() {
        let agent = seen.header("user-agent").unwrap_or_default();
        assert!(agent.contains("source-cs-cart"), "the merchant sees who asks: {agent:?}");
        assert!(seen.header("accept-encoding").is_some_and(|value| value.contains("gzip")), "{:?}", seen.headers);
    }
}

#[test]
fn requests_of_one_stream_overlap_where_several_are_allowed() {
    for (stream, version) in [("users", Version::V4_20), ("cart_items", Version::V4_20), ("orders", Version::V4_3_9)] {
        let sizes = Sample { users: 1_200, carts: 40, incomplete: 0, ..Sample::new(1, 60) };
        for in_flight in [1, 4] {
            let options = Options { version, latency: Duration::from_millis(20), ..Options::default() };
            let settings = json!({ "max_requests_in_flight": in_flight });
            let context = format!("{stream}, {in_flight} in flight");
            let mut syncs = Syncs::of(&context, (options, &sizes), &[(stream, "full_refresh")], &settings);
            let run = syncs.sync();
            let counters = syncs.store.counters();
            assert_eq!(counters.most_at_once, in_flight, "{context}: {}", told(&syncs.store));
            if stream == "users" {
                // Customers begin with the id 3.
                let lists: Vec<i64> = column(&run, "users", "user_id").iter().map(|id| (id - 3) / 100).collect();
                assert!(lists.is_sorted(), "in the order of the lists: {lists:?}");
            }
        }
    }
}

#[test]
fn streams_that_send_requests_ahead_do_not_wait_for_each_other() {
    for in_flight in [2, 3, 4] {
        let options = Options { latency: Duration::from_millis(2), ..Options::default() };
        let mut data = Sample { users: 1_200, carts: 60, ..Sample::new(1, 60) }.data(options.edition);
        // Each list of users is divided, and each second cart is requested through its store: both need further requests
        // while others are sent ahead.
        let broken: Vec<[i64; 1]> = (50..1_200).step_by(100).map(|id| [id]).collect();
        data.broken.extend(broken.iter().map(|id| ("users", id[0])));
        let carts: Vec<Cart> = data.carts.iter().map(|(_, cart)| cart.clone()).collect();
        for mut cart in carts {
            cart.company_id = 3 - cart.company_id;
            cart.lines.iter_mut().for_each(|line| line.storefront_id = cart.company_id);
            data.carts.seed((cart.user_id, cart.company_id), cart);
        }
        let streams = ["users", "cart_items", "carts", "shipments"].map(|name| (name, "full_refresh"));
        let settings = json!({ "max_requests_in_flight": in_flight, "rows_per_request": 10 });
        let context = format!("{in_flight} in flight");
        let mut syncs = Syncs::with(&context, (options, data), &streams, &settings)
            .judged(|judge| judge.unreadable(&broken.iter().map(<[i64; 1]>::as_slice).collect::<Vec<_>>()));
        syncs.is_complete = false;
        let run = syncs.sync();
        assert_eq!(run.statuses("users").last(), Some(&"INCOMPLETE"), "{context}: {}", run.transcript());
    }
}

#[test]
fn a_slow_answer_is_followed_by_a_pause() {
    let slow = |seen: &RecordedRequest| (seen.n <= 2).then_some(Fault::Slow(Duration::from_millis(1_800)));
    let store = sample(Options { fault: Some(Box::new(slow)), ..Options::default() });
    let config = config_with(&store, &json!({ "rows_per_request": 20 }));
    let run = read(&config, &full("orders"), "[]");
    assert_eq!(run.code, Some(0), "{}", run.transcript());
    // A quarter of the 0.8 seconds above one second.
    let gaps = gaps(&store);
    assert!(gaps[..2].iter().all(|gap| *gap >= Duration::from_millis(2_000)), "{gaps:?}");
    assert!(gaps[..2].iter().all(|gap| *gap < Duration::from_millis(3_500)), "{gaps:?}");
    assert!(gaps[2..].iter().all(|gap| *gap < Duration::from_millis(1_500)), "no pause after a quick answer: {gaps:?}");
}

#[test]
fn quick_answers_are_followed_by_no_pause() {
    let store = FakeCsCart::sample(Options::default(), &Sample::new(1, 200));
    let config = config_with(&store, &json!({ "rows_per_request": 5 }));
    let run = read(&config, &full("orders"), "[]");
    assert_eq!(run.code, Some(0));
    let gaps = gaps(&store);
    assert!(gaps.len() >= 40 && gaps.iter().sum::<Duration>() < Duration::from_secs(8), "{gaps:?}");
}

#[test]
fn a_page_that_is_too_large_is_halved() {
    for status in [500, 502, 504, 508] {
        let weak = Some(WeakHost { rows: 7, only_complete: true, status });
        let store = sample(Options { weak, ..Options::default() });
        let config = config_with(&store, &json!({ "rows_per_request": 40, "_retry_seconds": 5 }));
        let run = read(&config, &full("orders"), "[]");
        assert_eq!(run.code, Some(0), "{status}: {}", run.transcript());
        let asked = asked(&store, "orders");
        assert!(asked.contains(&5), "{asked:?}");
        let large = asked.iter().filter(|rows| **rows > 7).count();
        // After five good pages a longer one is tried again.
        let most = 12 + asked.len() / 5;
        assert!(large <= most && store.counters().by_status[&status] <= most, "it learns the size: {asked:?}");
        assert_eq!(
            column(&run, "orders", "order_id").len(),
            store.data(|data| { data.orders.iter().filter(|(_, order)| order.status != 'N').count() })
        );
    }
}

#[test]
fn a_page_that_takes_too_long_is_halved() {
    let hang = |seen: &RecordedRequest| {
        let rows: usize = seen.param("items_per_page").and_then(|rows| rows.parse().ok()).unwrap_or(0);
        (seen.object == "orders" && rows > 20).then_some(Fault::Hang)
    };
    let store = sample(Options { fault: Some(Box::new(hang)), ..Options::default() });
    let settings = json!({ "rows_per_request": 40, "_timeout_seconds": 1, "_retry_seconds": 20 });
    let run = read(&config_with(&store, &settings), &full("orders"), "[]");
    assert_eq!(run.code, Some(0), "{}\n{}", run.transcript(), told(&store));
    let asked = asked(&store, "orders");
    assert!(asked.iter().filter(|rows| **rows > 20).count() <= 4 && asked.contains(&20), "{asked:?}");
}

#[test]
fn a_wait_that_the_server_asks_for_is_kept() {
    for status in [429, 503] {
        let refuse = move |seen: &RecordedRequest| (seen.n == 2).then(|| Fault::retry_after(status, "1"));
        let store = sample(Options { fault: Some(Box::new(refuse)), ..Options::default() });
        let mut config = config_with(&store, &json!({ "rows_per_request": 20 }));
        config.as_object_mut().unwrap().remove("_retry_seconds");
        let run = read(&config, &full("orders"), "[]");
        assert_eq!(run.code, Some(0), "{status}: {}", run.transcript());
        let gaps = gaps(&store);
        assert!(gaps[1] >= Duration::from_millis(990), "{status}: {gaps:?}");
        assert_eq!(store.counters().by_status[&status], 1);
    }
}

/// Returns a config with the waits that a store asks for.
fn patient(store: &FakeCsCart, more: &Value) -> Value {
    let mut config = config_with(store, more);
    config.as_object_mut().unwrap().remove("_retry_seconds");
    config
}

#[test]
fn a_wait_is_kept_before_a_probe_and_a_shorter_page_too() {
    let refuse = |seen: &RecordedRequest| {
        let rows: usize = seen.param("items_per_page").and_then(|rows| rows.parse().ok()).unwrap_or(0);
        (rows > 10).then(|| Fault::retry_after(502, "1"))
    };
    let store = sample(Options { fault: Some(Box::new(refuse)), ..Options::default() });
    let run = read(&patient(&store, &json!({ "rows_per_request": 40 })), &full("orders"), "[]");
    assert_eq!(run.code, Some(0), "{}", run.transcript());
    let (gaps, seen) = (gaps(&store), store.requests());
    let after_refusals: Vec<_> = gaps.iter().zip(&seen).filter(|(_, seen)| seen.status == 502).collect();
    assert!(after_refusals.len() >= 3, "a page, the same page, and half of it: {}", told(&store));
    for (gap, _) in after_refusals {
        assert!(*gap >= Duration::from_millis(990), "{gaps:?} {}", told(&store));
    }
}

#[test]
fn a_wait_that_the_server_asks_for_holds_all_streams() {
    for (status, requests_at_once) in [(503, 1), (500, 2), (429, 1)] {
        let refuse = move |seen: &RecordedRequest| (seen.n == 1).then(|| Fault::retry_after(status, "2"));
        let store = sample(Options { fault: Some(Box::new(refuse)), ..Options::default() });
        let streams = catalog(&["orders", "users", "shipments"].map(|name| (name, "full_refresh")));
        let settings = json!({ "max_requests_in_flight": requests_at_once });
        let run = read(&patient(&store, &settings), &streams, "[]");
        assert_eq!(run.code, Some(0), "{status}: {}", run.transcript());
        let gaps = gaps(&store);
        // With two requests at once, others may have been sent and answered before the refusal arrives.
        let held = if requests_at_once == 1 { &gaps[..1] } else { &gaps };
        assert!(held.iter().any(|gap| *gap >= Duration::from_millis(1_900)), "{status}: {gaps:?} {}", told(&store));
    }
}

#[test]
fn a_request_that_was_abandoned_is_followed_by_a_pause() {
    let hang = |seen: &RecordedRequest| {
        let rows: usize = seen.param("items_per_page").and_then(|rows| rows.parse().ok()).unwrap_or(0);
        (rows > 20).then_some(Fault::Hang)
    };
    let store = sample(Options { fault: Some(Box::new(hang)), ..Options::default() });
    let settings = json!({ "rows_per_request": 40, "_timeout_seconds": 3, "_retry_seconds": 30 });
    let run = read(&config_with(&store, &settings), &full("orders"), "[]");
    assert_eq!(run.code, Some(0), "{}\n{}", run.transcript(), told(&store));
    // PHP may still work on it: a quarter of the two seconds above one second.
    let (gaps, seen) = (gaps(&store), store.requests());
    let is_long = |seen: &RecordedRequest| seen.param("items_per_page") == Some("40");
    let after: Vec<_> = gaps.iter().zip(&seen).filter(|(_, seen)| is_long(seen)).map(|(gap, _)| *gap).collect();
    assert!(after.len() == 2 && after.iter().all(|gap| *gap >= Duration::from_millis(3_450)), "{gaps:?}");
}

#[test]
fn a_wait_longer_than_a_read_may_take_ends_the_stream() {
    let refuse = |_: &RecordedRequest| Some(Fault::retry_after(503, "3600"));
    let store = sample(Options { fault: Some(Box::new(refuse)), ..Options::default() });
    let run = read_full(&store, "categories");
    assert_eq!((run.code, run.statuses("categories").last()), (Some(75), Some(&"INCOMPLETE")), "{}", run.transcript());
    assert!(store.requests().len() < 20, "{}", told(&store));
}

#[test]
fn lists_that_one_answer_has_completely_are_requested_once() {
    let store = sample(Options::default());
    for stream in ["categories", "statuses", "features", "options", "taxes", "shippings", "languages", "usergroups"] {
        store.clear_requests();
        assert_eq!(read_full(&store, stream).code, Some(0), "{stream}");
        let all = store.requests();
        assert!(all.len() == 1 && all[0].param("items_per_page") == Some("0"), "{stream}: {}", told(&store));
    }
}

#[test]
fn a_dry_run_asks_little() {
    let store = sample(Options::default());
    let command = super::store::reading(&config_with(&store, &json!({})), &full("orders"), "[]");
    let output = command.arg("--dry-run").output();
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.code == Some(0) && table.contains("orders") && !table.contains("RECORD"),
        "{table}{}",
        output.stderr
    );
    assert!(store.requests().len() <= 3, "{}", told(&store));
}

#[test]
fn a_dry_run_counts_each_type_of_users_and_the_requests_of_lines() {
    let store = sample(Options::default());
    let config = config_with(&store, &json!({"user_types": ["C", "A"], "rows_per_request": 20}));
    let run = |stream: &str| {
        let command = super::store::reading(&config, &full(stream), "[]").arg("--dry-run").arg("--json");
        let output = command.output();
        assert_eq!(output.code, Some(0), "{stream}: {}", output.stderr);
        assert!(!output.stderr.contains("not in the schema"), "{stream}: {}", output.stderr);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        told["streams"][0].clone()
    };
    let number = |forecast: &Value, name: &str| forecast[name].as_u64().unwrap();
    assert!(number(&run("users"), "rows") > 0);
    let types: Vec<_> =
        requests(&store, "users").iter().map(|seen| seen.param("user_type").unwrap().to_owned()).collect();
    assert_eq!(types, ["C", "A"]);
    let (orders, lines) = (run("orders"), run("order_items"));
    assert_eq!((&lines["rows"], &lines["pages"]), (&Value::Null, &orders["pages"]));
    let (carts, lines) = (run("carts"), run("cart_items"));
    assert!(number(&lines, "calls") >= number(&carts, "rows") + number(&carts, "pages"), "{lines}");
}
