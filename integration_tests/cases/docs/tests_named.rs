//! `docs/development/mutations.md` names tests that exist.

use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/development/mutations.md";

/// Returns all source files and test files with their text.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut files, mut folders) = (Vec::new(), vec![root.join("src"), root.join("integration_tests")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                files.push((path.strip_prefix(root).unwrap().with_extension(""), text));
            }
        }
    }
    files
}

/// Returns the names of tests in the last column of the tables.
fn named(page: &str) -> Vec<&str> {
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let cells = rows.filter_map(|row| row.trim_end_matches(" |").rsplit_once(" | ").map(|(_, cell)| cell));
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).filter(|name| name.contains("::")).collect()
}

/// Returns true if a word of the text is the name.
fn has_word(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
        !text[..at].ends_with(is_part) && !text[at + name.len()..].starts_with(is_part)
    })
}

#[test]
fn every_test_on_the_page_of_mutations_exists() {
    let page = fs::read_to_string(super::path(PAGE)).unwrap();
    let files = sources();
    let exists = |name: &&str| {
        let mut modules: Vec<&str> = name.split("::").filter(|module| *module != "tests").collect();
        let test = modules.pop().unwrap();
        // A macro makes some of the tests, from a list of their names.
        files.iter().any(|(path, text)| {
            let parts: Vec<&str> = path.iter().map(|part| part.to_str().unwrap()).collect();
            modules.iter().all(|module| parts.contains(module)) && has_word(text, test)
        })
    };
    let names = named(&page);
    assert!(names.len() > 300, "{}", names.len());
    let missing: Vec<&str> = names.into_iter().filter(|name| !exists(name)).collect();
    assert!(missing.is_empty(), "{PAGE} names tests that do not exist: {missing:#?}");
}
