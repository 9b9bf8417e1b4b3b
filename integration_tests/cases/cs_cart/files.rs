//! Records in files: JSON lines and CSV, with composite keys, nested rows, and a state beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

use super::store::{AHEAD, catalog, config_with, read_full, reading, sample};
use crate::fake_cs_cart::{FakeCsCart, Judge, Options, Sample};
use crate::harness::command::Command;
use crate::harness::files::Files;
use crate::harness::shop::Shop;

/// Returns the files of a folder by name, except hidden ones.
fn content(folder: &Path) -> BTreeMap<String, String> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let named = files.map(|path| (name(&path), path)).filter(|(name, _)| !name.starts_with('.'));
    named.map(|(name, path)| (name, std::fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn json_lines_are_the_data_of_the_records() {
    let store = sample(Options::default());
    for stream in ["orders", "order_items", "carts", "users"] {
        let output = reading(&config_with(&store, &json!({})), &super::store::full(stream), "[]");
        let output = output.arg("--format").arg("jsonl").output();
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: BTreeSet<&str> = text.lines().collect();
        let run = read_full(&store, stream);
        // `date` of a cart is the time of an arbitrary line.
        let is_same = stream == "carts" || run.data(stream).into_iter().collect::<BTreeSet<&str>>() == lines;
        assert!(is_same && lines.len() == run.records(stream).len(), "{stream}");
    }
}

#[test]
fn each_run_writes_its_own_files_and_the_state_continues() {
    let sizes = Sample { incomplete: 0, now: AHEAD, from: AHEAD - 86_400, ..Sample::new(1, 30) };
    let store = FakeCsCart::sample(Options::default(), &sizes);
    let files = Files::new();
    let (folder, state) = (files.path("out"), files.path("state.json").display().to_string());
    let catalog = catalog(&[("orders", "incremental"), ("order_items", "incremental"), ("users", "full_refresh")]);
    let run = || {
        let command = Command::of(Shop::CsCart, "read");
        let command = command.config(&config_with(&store, &json!({}))).catalog(&catalog).arg("--format").arg("jsonl");
        let command = command.arg("--output").arg(&folder.display().to_string());
        let output = command.arg("--state").arg(&state).arg("--state-out").arg(&state).output();
        assert_eq!((output.code, output.stdout.len()), (Some(0), 0), "{}", output.stderr);
    };
    let start = store.moment();
    run();
    let first = content(&folder);
    assert_eq!(first.keys().collect::<Vec<_>>(), ["order_items.jsonl", "orders.jsonl", "users.jsonl"]);
    for (name, text) in &first {
        let stream = name.strip_suffix(".jsonl").unwrap();
        let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let verdict = Judge::full(stream).sync(&store.history(), start, &rows);
        assert!(verdict.is_right() && verdict.required > 0, "{stream}: {verdict}");
    }
    store.data(|data| {
        data.tick(1_000);
        data.set_status(7, 'C');
    });
    run();
    let second = content(&folder);
    assert_eq!(second["orders.run0002.jsonl"].lines().count(), 1);
    assert!(second["orders.run0002.jsonl"].contains("\"order_id\":7,"), "{}", second["orders.run0002.jsonl"]);
    assert!(second.contains_key("order_items.run0002.jsonl") && second["orders.jsonl"] == first["orders.jsonl"]);
}

#[test]
fn csv_has_the_columns_of_the_schema() {
    let store = sample(Options::default());
    for (stream, key) in [
        ("order_items", "order_id,item_id,"),
        ("carts", "user_id,company_id,storefront_id,"),
        ("cart_items", "user_id,company_id,storefront_id,item_id,"),
        ("products", "product_id,"),
    ] {
        let command = reading(&config_with(&store, &json!({})), &super::store::full(stream), "[]");
        let output = command.arg("--format").arg("csv").output();
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with(key), "{stream}: {}", text.lines().next().unwrap());
        assert!(text.lines().next().unwrap().ends_with(",_extra"), "{stream}");
        assert!(text.lines().count() > read_full(&store, stream).records(stream).len(), "{stream}");
    }
}

#[test]
fn the_summary_counts_the_rows_of_each_stream() {
    let store = sample(Options::default());
    let files = Files::new();
    let command = reading(&config_with(&store, &json!({})), &super::store::full("orders"), "[]");
    let output = command.arg("--format").arg("jsonl").arg("--output").arg(&files.path("out").display().to_string());
    let output = output.output();
    let orders = store.data(|data| data.orders.iter().filter(|(_, order)| order.status != 'N').count());
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let told = output.stderr;
    assert!(told.contains(&format!("orders: {orders} rows read")) && told.contains("orders: complete."), "{told}");
}
