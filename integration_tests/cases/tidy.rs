//! Rules of the source tree: which part may name which, names that were replaced, the length of files, and what the
//! table of streams and the docs must contain.

use std::collections::{BTreeMap, BTreeSet};
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
fn only_the_folder_of_a_shop_names_it() {
    let parts =
        ["airbyte", "output", "commands", "cli", "config", "user_error", "files"].map(|part| format!("src/{part}/"));
    let shops = ["cart::", "cs_cart", "cart.com", "cs-cart", "americommerce", "source-cart "];
    let mut checked = 0;
    for (path, text) in rust_files("src") {
        let place = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        let is_part = parts.iter().any(|part| place.starts_with(part));
        // What lies beside the folders: the connector, the configuration, the command, the errors.
        let is_root = place.matches('/').count() == 1 && !["src/lib.rs", "src/main.rs"].contains(&place.as_str());
        if !is_part && !is_root || place.ends_with("tests.rs") {
            continue;
        }
        checked += 1;
        let text = text.split("#[cfg(test)]").next().unwrap().to_lowercase();
        for shop in shops {
            assert!(!text.contains(shop), "{place} names `{shop}`");
        }
    }
    assert!(checked > 50, "{checked} files");
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
                .map(|name| format!("{} defines `{name}`", path.display())),
        );
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    let code =
        "pub(crate) struct Ledger<'a> {\n    pub(in crate::sync) async fn tell(&self) {}\nmod board;\nlet judge = 1;";
    assert_eq!(defined_names(code), ["Ledger", "tell", "board"]);
}

#[test]
fn the_output_names_nothing_of_the_shop() {
    may_not_name(
        "src/output",
        &["crate::cart", "crate::streams", "crate::config", "crate::record", "crate::sync", "crate::user_error"],
    );
}

#[test]
fn the_root_of_the_crate_is_a_map() {
    let map = code(&fs::read_to_string(root().join("src/lib.rs")).unwrap());
    let starts = ["mod ", "pub mod ", "pub use ", "#[cfg(", "#![cfg_attr("];
    let is_entry = |line: &str| starts.iter().any(|start| line.starts_with(start));
    let others: Vec<&str> = map.lines().filter(|line| !line.is_empty() && !is_entry(line)).collect();
    assert!(others.is_empty(), "src/lib.rs has more than modules: {others:?}");
}

#[test]
fn the_fake_store_names_nothing_of_the_connector() {
    may_not_name("integration_tests/fake_store", &["source_cart", "harness::"]);
    may_not_name("integration_tests/fake_cs_cart", &["source_cart", "harness::"]);
}

/// The code of a file without its tests.
fn code_without_tests(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let code = line.trim_start();
        if code == "#[cfg(test)]" {
            let end = format!("{}}}", &line[..line.len() - code.len()]);
            let item = lines.find(|line| !line.trim_start().starts_with("#["));
            if item.is_some_and(|item| item.ends_with('{')) {
                lines.find(|line| *line == end);
            }
        } else if !code.starts_with("//") {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// The module of a file below `src`, as its path from the crate's root.
fn module(path: &Path) -> Vec<String> {
    let path = path.strip_prefix(root().join("src")).unwrap().with_extension("");
    let parts = path.iter().map(|part| part.to_str().unwrap().to_owned());
    parts.filter(|part| part != "mod").collect()
}

/// The top-level modules that code in `module` names with `crate::` or `super::`.
fn named_modules(module: &[String], code: &str) -> BTreeSet<String> {
    let name = |text: &str| -> String {
        text.trim_start().chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
    };
    // As many `super::` as the module is deep lead to the root.
    let to_root = ["crate::".to_owned(), "super::".repeat(module.len())];
    let mut named = BTreeSet::new();
    for root in &to_root {
        for (at, _) in code.match_indices(root.as_str()) {
            let before = &code[..at];
            let is_part = before.ends_with("super::") || before.ends_with(|letter: char| letter.is_alphanumeric());
            let rest = &code[at + root.len()..];
            if is_part || rest.starts_with("super::") {
                continue;
            }
            let Some(list) = rest.strip_prefix('{') else {
                named.insert(name(rest));
                continue;
            };
            // The items of the list, not those of lists inside it.
            let (mut depth, mut is_start) = (1, true);
            for (at, letter) in list.char_indices() {
                match letter {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 1 => is_start = true,
                    letter if is_start && !letter.is_whitespace() => {
                        named.insert(name(&list[at..]));
                        is_start = false;
                    }
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
        }
    }
    named
}

/// A cycle in a graph, if it has one: names, the first of which follows the last.
fn cycle(graph: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn visit(
        name: &str,
        graph: &BTreeMap<String, BTreeSet<String>>,
        path: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> Option<Vec<String>> {
        if let Some(at) = path.iter().position(|known| known == name) {
            return Some(path[at..].to_vec());
        }
        if !done.insert(name.to_owned()) {
            return None;
        }
        path.push(name.to_owned());
        let found = graph[name].iter().find_map(|next| visit(next, graph, path, done));
        path.pop();
        found
    }
    let mut done = BTreeSet::new();
    graph.keys().find_map(|name| visit(name, graph, &mut Vec::new(), &mut done))
}

#[test]
fn no_modules_depend_on_each_other() {
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in rust_files("src") {
        let module = module(&path);
        let top = module[0].clone();
        // The root of the crate, the program around it, and what only tests and fuzz targets have.
        let is_for_tests = path.ends_with("tests.rs") || path.ends_with("sync/fuzzing.rs");
        if top != "lib" && top != "main" && !is_for_tests {
            graph.entry(top).or_default().extend(named_modules(&module, &code_without_tests(&text)));
        }
    }
    let modules: BTreeSet<String> = graph.keys().cloned().collect();
    for (name, uses) in &mut graph {
        let unknown: Vec<&String> = uses.difference(&modules).collect();
        assert!(unknown.is_empty(), "{name} names {unknown:?} of the crate's root: name the module it lives in");
        uses.remove(name);
    }
    if let Some(cycle) = cycle(&graph) {
        panic!("these modules depend on each other: {} -> {}", cycle.join(" -> "), cycle[0]);
    }
}

#[test]
fn modules_that_depend_on_each_other_are_found() {
    let strings = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let text = "use crate::{\n    a,\n    b::{c, d},\n};\npub(crate) fn f() { crate::e::g(); super::super::h::i(); super::j(); }\n#[cfg(test)]\nmod tests {\n    use crate::k;\n}\n// crate::l\n";
    let named = named_modules(&strings(&["x", "y"]), &code_without_tests(text));
    assert_eq!(Vec::from_iter(named), ["a", "b", "e", "h"]);
    let graph = |edges: &[(&str, &[&str])]| {
        edges.iter().map(|(name, uses)| ((*name).to_owned(), strings(uses).into_iter().collect())).collect()
    };
    assert_eq!(cycle(&graph(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])])), None);
    let found = cycle(&graph(&[("a", &["b"]), ("b", &["c", "d"]), ("c", &[]), ("d", &["b"])]));
    assert_eq!(found, Some(strings(&["b", "d"])));
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

/// Maximum length of a function in lines, with its signature and without its comments: about a screen.
const LONGEST_FUNCTION: usize = 60;

/// Returns the functions of a formatted file with their lengths in lines.
fn function_lengths(code: &str) -> Vec<(&str, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let mut functions = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some((before, after)) = line.split_once("fn ") else { continue };
        let is_word = |word: &str| ["async", "const", "unsafe"].contains(&word) || word.starts_with("pub");
        let name = after.split(['(', '<']).next().unwrap_or_default();
        if line.ends_with(['}', ';']) || !before.split_whitespace().all(is_word) {
            continue;
        }
        // The formatter puts the last line of a function in the column of its first.
        let indent = &line[..line.len() - line.trim_start().len()];
        let is_end = |line: &&str| line.strip_prefix(indent).is_some_and(|rest| rest == "}" || rest.ends_with(';'));
        let rest = &lines[start + 1..];
        let is_inside = |line: &&str| line.strip_prefix(indent).is_none_or(|rest| rest.starts_with(' '));
        let length = rest.iter().take_while(|line| line.is_empty() || is_inside(line) || !is_end(line)).count();
        functions.push((name, length + 2));
    }
    functions
}

#[test]
fn every_function_is_short_enough_to_read() {
    let mut found = Vec::new();
    for (path, text) in rust_files("src") {
        if path.ends_with("tests.rs") {
            continue;
        }
        let code = code_without_tests(&text);
        let long = function_lengths(&code).into_iter().filter(|(_, length)| *length > LONGEST_FUNCTION);
        found.extend(long.map(|(name, length)| format!("{}: `{name}` has {length} lines", path.display())));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    let code = "pub(crate) fn one(\n    a: u8,\n) {\n    a();\n}\nimpl A {\n    fn two(&self);\n    async fn three() {\n\n        b(|| {\n        });\n    }\n}\n";
    assert_eq!(function_lengths(code), [("one", 5), ("three", 5)]);
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
    let mut files: Vec<String> = fs::read_dir(root().join("schemas/cart"))
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
        let is_test = path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "simulation");
        if path.ends_with("streams.rs") || path.ends_with("simulation.rs") || is_test {
            continue;
        }
        let code = code(text.split("#[cfg(test)]").next().unwrap());
        for stream in discovered()["streams"].as_array().unwrap() {
            let stream = stream["name"].as_str().unwrap();
            assert!(!code.contains(&format!("\"{stream}\"")), "{} names the stream {stream}", path.display());
        }
    }
}
