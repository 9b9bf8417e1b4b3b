//! Rules of the source tree: which part may name which, names that were replaced, the length of files, and what the
//! table of streams and the docs must contain.

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

/// Private words for types, traits, modules and functions (in this order), which the field's terms replaced. No name in
/// `src` may return to them.
const REPLACED_NAMES: &str = "
    Board Budget Chosen Claimed Copier Deaf Desk Facts Failure Figures Folder Given Heard Intake Judge Ledger Limiter
    Misfit Obstacle Opening Outlet Outlook PageFault Patience Posting Pursuit Reading Receipt Recent Room Rooms Saved
    Seat Setting Shape Span Spare Stop Taking Tally Telling Ticket Undated Unlockable Unwritten Verdict VerdictBody
    View Watch Which Words
    board budget failure folder heard judge key_walk ledger left_out nearest outlet page_walk patience questions
    receipt rehearse spare told
    beside hiding is_doubtful is_passing tell tell_in_one_sentence tells
";

/// Definitions of such names that are not renamed yet. Remove an entry after its renaming.
const NOT_RENAMED: &[(&str, &str)] = &[("src/lib.rs", "tell")];

/// Returns the code of a file without its comments.
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
fn the_api_side_names_nothing_of_the_protocol() {
    may_not_name("src/cart", &["airbyte::", "crate::sync", "crate::streams", "crate::user_error", "RECORD", "STATE"]);
}

#[test]
fn the_protocol_side_names_nothing_of_the_api() {
    may_not_name("src/airbyte", &["hyper", "crate::cart", "crate::streams", "crate::sync", "crate::config"]);
}

/// Returns the names that a file defines: of types, traits, modules and functions.
fn defined_names(code: &str) -> Vec<&str> {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    code.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip_while(|word| {
                word.starts_with("pub") || ["in", "async", "const", "unsafe"].contains(word) || word.ends_with(')')
            });
            let keyword = words.next()?;
            let name = words.next().filter(|_| ["struct", "enum", "trait", "type", "mod", "fn"].contains(&keyword))?;
            name.split(|character| !is_part(character)).next()
        })
        .collect()
}

#[test]
fn no_name_in_the_source_is_one_that_was_replaced() {
    let mut found = Vec::new();
    for (path, text) in rust_files("src") {
        let code = code(&text);
        let names = defined_names(&code);
        found.extend(
            names
                .into_iter()
                .filter(|name| REPLACED_NAMES.split_whitespace().any(|replaced| replaced == *name))
                .filter(|name| !NOT_RENAMED.iter().any(|(file, known)| path.ends_with(file) && known == name))
                .map(|name| format!("{} defines `{name}`", path.display())),
        );
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    let code =
        "pub(crate) struct Ledger<'a> {\n    pub(in crate::sync) async fn tell(&self) {}\nmod board;\nlet judge = 1;";
    assert_eq!(defined_names(code), ["Ledger", "tell", "board"]);
}

#[test]
fn the_fake_store_names_nothing_of_the_connector() {
    may_not_name("integration_tests/fake_store", &["source_cart", "harness::"]);
}

#[test]
fn every_file_has_a_header_and_is_short_enough_to_read() {
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
        // Snapshots are not a part of the program, and the folder of a module belongs to its file.
        if name == "snapshots"
            || (path.is_dir() && (path.with_extension("rs").exists() || !path.join("mod.rs").exists()))
        {
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
fn a_stream_is_named_only_in_its_row() {
    // To add a stream, add a schema file and a row. A name anywhere else in the code would be another place to edit.
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
