//! Replays the corpora of the fuzz targets: inputs that reach new code, and inputs that once
//! failed.
//!
//! The properties are those of the fuzz targets; `.ci/fuzz` runs the targets themselves.

use std::fs;
use std::path::Path;

#[expect(unreachable_pub, clippy::expect_used, reason = "also a public module, in a crate of its own")]
#[path = "../../fuzz/src/properties.rs"]
mod properties;

/// Maximum number of files per corpus: each adds to every `cargo test`, and to every clone.
const MOST_FILES: usize = 40;
/// Maximum size of a file in bytes.
const LONGEST: usize = 8 * 1024;

fn replay(target: &str, property: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!((5..=MOST_FILES).contains(&files.len()), "{target}: {} files", files.len());
    for file in files {
        let input = fs::read(&file).unwrap();
        assert!(input.len() <= LONGEST, "{}: {} bytes", file.display(), input.len());
        // The failure is printed by then; the name of the file is missing.
        let held = std::panic::catch_unwind(|| property(&input));
        assert!(held.is_ok(), "the input is {}", file.display());
    }
}

macro_rules! replayed {
    ($($target:ident),*) => {$(
        #[test]
        fn $target() {
            replay(stringify!($target), properties::$target);
        }
    )*};
}

replayed!(page, state, catalog, config, retry_after, call_limit, timestamp, known_ids);

#[test]
fn every_target_has_a_corpus_and_is_replayed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let names = |folder: &str| {
        let entries = fs::read_dir(root.join(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let mut replayed = ["page", "state", "catalog", "config", "retry_after", "call_limit", "timestamp", "known_ids"];
    replayed.sort_unstable();
    assert_eq!(names("fuzz_targets"), replayed);
    assert_eq!(names("corpus"), replayed);
}
