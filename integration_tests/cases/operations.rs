//! `docs/operations.md`: its script for several stores fails if one store fails, and its alerts have the reason.
//! `pages` tests that every command of the page works.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::cases::summary::document;
use crate::cases::usage::type_in;
use crate::fake_store::{Data, Fault, Options, RecordedRequest};
use crate::harness::setup::{SignIn, config, config_with, start};

const PAGE: &str = include_str!("../../docs/operations.md");

/// Returns the content of a file that the page shows.
fn script(name: &str) -> &'static str {
    let (_, from) = PAGE.split_once(&format!("cat > {name} <<'END'\n")).unwrap();
    from.split_once("\nEND\n").unwrap().0
}

/// Returns the block of commands of the page that contains these words.
fn block(words: &str) -> &'static str {
    let blocks = PAGE.split("```sh\n").skip(1).map(|block| block.split_once("\n```").unwrap().0);
    blocks.into_iter().find(|block| block.contains(words)).unwrap_or_else(|| panic!("no command with {words}"))
}

fn put(folder: &Path, store: &str, config: &Value) {
    let folder = folder.join("stores").join(store);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

/// Runs the script. Returns its exit code and output.
fn read_all(folder: &Path) -> (Option<i32>, String) {
    let output = type_in(folder, "sh read-all-stores", &[]);
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn the_loop_over_stores_reads_all_and_fails_if_one_fails() {
    let good = start(SignIn::Token, Options::default(), Data::sample(1, 3));
    let fault = |_: &RecordedRequest| Some(Fault::html(503));
    let options = Options { fault: Some(Box::new(fault)), ..Options::default() };
    let down = start(SignIn::Token, options, Data::sample(1, 3));
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Two of the 70 streams are enough.
    let text = script("read-all-stores").replace("--streams all", "--streams orders,order_statuses");
    fs::write(folder.join("read-all-stores"), text).unwrap();
    for store in ["a", "c"] {
        put(folder, store, &config(SignIn::Token, &good));
    }
    assert_eq!(read_all(folder), (Some(0), String::new()));

    put(folder, "b", &config_with(&down, &json!({"_retry_seconds": 1})));
    let (code, reported) = read_all(folder);
    assert!(code == Some(75) && reported.contains("stores/b: exit code 75"), "{reported}");

    let mut wrong = config(SignIn::Token, &good);
    wrong["start_date"] = json!("yesterday");
    put(folder, "a", &wrong);
    let (code, reported) = read_all(folder);
    assert_eq!(code, Some(1), "what has to be fixed counts more than an outage, in either order: {reported}");
    assert!(reported.contains("stores/a: exit code 1") && reported.contains("stores/b: exit code 75"), "{reported}");
    let code_of = |store: &str| document(&folder.join("stores").join(store).join("summary.json"))["exit_code"].clone();
    assert_eq!((code_of("a"), code_of("b"), code_of("c")), (json!(1), json!(75), json!(0)), "the others are read");

    let glance = type_in(folder, block("input_filename"), &[]);
    let glance = String::from_utf8(glance.stdout).unwrap();
    assert!(glance.contains("stores/b/summary.json\t75\torders,order_statuses\n"), "{glance}");
    // The alert has the messages of the run and of its streams.
    let alert = |store: &str| {
        let output = type_in(&folder.join("stores").join(store), block(".error | select"), &[]);
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(alert("a").starts_with("config_error: `start_date`"), "{}", alert("a"));
    assert!(alert("b").starts_with("orders: transient_error: ") && alert("b").lines().count() == 2, "{}", alert("b"));
    assert_eq!(alert("c"), "");
}

#[test]
fn the_page_shows_a_summary_and_a_table_as_they_are() {
    let example = PAGE.split("```text\n").map(|block| block.split("\n```").next().unwrap());
    let example = example.into_iter().find(|block| block.starts_with("{\n")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("summary.json");
    fs::write(&path, example.replace("\"0.1.0\"", &format!("\"{}\"", env!("CARGO_PKG_VERSION")))).unwrap();
    document(&path);
    for code in ["75", "74", "2", "1"] {
        assert!(PAGE.contains(&format!("exit code {code}")) || PAGE.contains(&format!("\n| {code} ")), "{code}");
    }
}
