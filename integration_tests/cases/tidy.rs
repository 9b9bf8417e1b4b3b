//! The rules of the tree, as tests: who may name whom, what every file says, what the docs repeat and leave out.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::files::discovered;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                files.push((path, text));
            }
        }
    }
    assert!(!files.is_empty());
    files
}

/// The code of a file, without comments.
fn code(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn may_not_name(folder: &str, words: &[&str]) {
    for (path, text) in rust_files(folder) {
        for word in words {
            assert!(!code(&text).contains(word), "{} names `{word}`", path.display());
        }
    }
}

#[test]
fn a_shop_names_nothing_of_the_protocol_and_the_output() {
    may_not_name("src/cart", &["airbyte::", "crate::output", "crate::user_error", "RECORD", "STATE"]);
}

#[test]
fn the_sync_and_http_name_no_shop() {
    let words = ["cart", "x-ac-", "updated_at=", "total_count", "includelookups", "crate::streams", "lte:", "gte:"];
    for (path, text) in rust_files("src/sync").into_iter().chain(rust_files("src/http")) {
        // Tests may read the pages of a shop. Comments count: nobody should need to know a shop.
        let text = text.split("#[cfg(test)]").next().unwrap().to_lowercase();
        for word in words.iter().filter(|_| !path.ends_with("fuzzing.rs")) {
            assert!(!text.contains(word), "{} names `{word}`", path.display());
        }
    }
    may_not_name("src/http", &["crate::sync", "crate::airbyte", "crate::output", "crate::cart"]);
}

#[test]
fn the_protocol_side_names_nothing_of_the_api() {
    may_not_name("src/airbyte", &["hyper", "crate::cart", "crate::streams", "crate::sync", "crate::config"]);
}

#[test]
fn the_fake_store_names_nothing_of_the_connector() {
    may_not_name("integration_tests/fake_store", &["source_cart", "harness::"]);
}

#[test]
fn every_file_says_what_lives_there_and_is_short_enough_to_read() {
    for (path, text) in rust_files("src").into_iter().chain(rust_files("integration_tests")) {
        assert!(text.starts_with("//!"), "{} does not open with //!", path.display());
        let lines = text.lines().count();
        let table = path.ends_with("streams.rs") || path.ends_with("selftest.rs");
        assert!(lines <= 600 || table, "{} has {lines} lines", path.display());
    }
}

#[test]
fn the_architecture_page_names_every_part_of_the_source() {
    let page = fs::read_to_string(root().join("docs/development/architecture.md")).unwrap();
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        // Expected output of unit tests is not a part of the program, and the folder of a file belongs to the file.
        if name == "snapshots" || (path.is_dir() && path.with_extension("rs").exists()) {
            continue;
        }
        let named = if path.is_dir() { format!("`src/{name}/`") } else { format!("`src/{name}`") };
        assert!(page.contains(&named), "the architecture page does not name {named}");
    }
}

#[test]
fn every_schema_has_a_row_and_every_row_a_schema() {
    let mut files: Vec<String> = fs::read_dir(root().join("schemas"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    let mut rows: Vec<String> = discovered()["streams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stream| stream["name"].as_str().unwrap().to_owned())
        .collect();
    rows.sort();
    assert_eq!(files, rows);
    assert!(rows.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_')));
}

#[test]
fn a_schema_is_valid_json_schema() {
    for stream in discovered()["streams"].as_array().unwrap() {
        jsonschema::draft7::new(&stream["json_schema"]).unwrap();
    }
}

#[test]
fn a_stream_is_known_by_its_row_alone() {
    // What adding a stream takes: a schema file and a row. A name that stood anywhere else in the
    // code would be a second place to edit.
    for (path, text) in rust_files("src") {
        if path.ends_with("streams.rs") || path.ends_with("tests.rs") {
            continue;
        }
        let code = code(text.split("#[cfg(test)]").next().unwrap());
        for stream in discovered()["streams"].as_array().unwrap() {
            let stream = stream["name"].as_str().unwrap();
            assert!(!code.contains(&format!("\"{stream}\"")), "{} names the stream {stream}", path.display());
        }
    }
}
