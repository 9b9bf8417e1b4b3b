//! `docs/troubleshooting.md` lists the messages of the code.
//!
//! Every string in the code with enough words for a message must be on the page, and every message that the page quotes
//! must be in the code. The page has `…` in place of the parts that vary, and the words of the connector in place of
//! those that differ between connectors.

use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/troubleshooting.md";

/// Minimum number of words of a message. Shorter strings are mostly names and units.
pub(crate) const MIN_WORDS: usize = 3;

/// Files whose strings are not error messages: descriptions of fields, help, queries, simulations (tests), shell
/// scripts, and the progress in a terminal, which docs/reference/output.md explains.
const OTHER_FILES: [&str; 9] = [
    "streams.rs",
    "help.rs",
    "query.rs",
    "simulation.rs",
    "table.rs",
    "completions.rs",
    "progress.rs",
    "progress_lines.rs",
    "summary.rs",
];

/// Strings that are not messages by themselves.
const OTHER_TEXTS: [&str; 9] = [
    // `Debug` of a buffer.
    "… bytes of lines",
    // A panic that passes on another one, whose place was recorded.
    "the other stream panicked",
    // Placeholders in the specification.
    "\"filled in from the table of streams\"",
    "\"documentationUrl\": \"filled in from Cargo.toml\",",
    // Parts of lists and of messages on the page.
    "and … more",
    "that it needs",
    // A phrase in the store's responses.
    "no resource matches",
    // Descriptions in a schema.
    "When the connector found that the store has deleted the row; null for all others.",
    "Included with `expand`. In incremental syncs it refreshes only when the row changes.",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn source_files() -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![root().join("src")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                // Tests, like `simulation.rs`.
                if name != "simulation" {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") && name != "tests.rs" && !OTHER_FILES.contains(&name) {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Returns the string literals of a source file as the compiler reads them, without comments, tests and reasons of
/// lints.
pub(crate) fn texts(source: &str) -> Vec<String> {
    let source = source.split("\nmod tests").next().unwrap();
    let (mut texts, mut rest) = (Vec::new(), source);
    while let Some(at) = rest.find(['"', '\'', '/']) {
        let (before, from) = rest.split_at(at);
        if from.starts_with("//") {
            rest = from.find('\n').map_or("", |end| &from[end..]);
        } else if let Some(quote) = from.strip_prefix('\'') {
            // A character such as `'"'`, or a lifetime.
            let escaped = usize::from(quote.starts_with('\\'));
            let end = quote.char_indices().nth(1 + escaped).map_or(quote.len(), |(end, _)| end);
            rest = quote[end..].strip_prefix('\'').unwrap_or(quote);
        } else if let Some(inside) = from.strip_prefix('"') {
            let hashes = before.len() - before.trim_end_matches('#').len();
            let raw = before.trim_end_matches('#').ends_with('r') && before.len() - hashes > 0;
            let (text, end) = if raw { raw_text(inside, hashes) } else { escaped_text(inside) };
            let line = before.rsplit('\n').next().unwrap();
            if !line.contains("reason = ") {
                texts.push(text);
            }
            rest = &inside[end..];
        } else {
            rest = &from[1..];
        }
    }
    texts
}

/// Returns a raw string up to its closing quote with `hashes` times `#`, and its length with the quote.
fn raw_text(inside: &str, hashes: usize) -> (String, usize) {
    let close = format!("\"{}", "#".repeat(hashes));
    let end = inside.find(&close).unwrap();
    (inside[..end].to_owned(), end + close.len())
}

fn escaped_text(inside: &str) -> (String, usize) {
    let mut text = String::new();
    let mut characters = inside.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (text, at + 1),
            // `\` at the end of a line joins it to the next; white space is collapsed later.
            '\\' => match characters.next().unwrap().1 {
                'n' | 't' | '\n' => text.push(' '),
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
    panic!("a string without an end: {inside}");
}

/// Returns a format string with `…` for each placeholder, `{` for `{{`, and single spaces.
pub(crate) fn said(text: &str) -> String {
    let text = text.replace("{{", "\u{1}").replace("}}", "\u{2}");
    let (mut said, mut rest) = (String::new(), text.as_str());
    while let Some(at) = rest.find('{') {
        let inside = &rest[at + 1..];
        let end = inside.find('}').filter(|&end| !inside[..end].contains([' ', '"', '{']));
        // `${NAME}` is an environment variable in a config, not a placeholder.
        if let (Some(end), false) = (end, rest[..at].ends_with('$')) {
            said.push_str(&rest[..at]);
            said.push('…');
            rest = &inside[end + 1..];
        } else {
            said.push_str(&rest[..=at]);
            rest = inside;
        }
    }
    let said = said + rest;
    said.replace('\u{1}', "{").replace('\u{2}', "}").split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(crate) fn words(text: &str) -> usize {
    text.split(|character: char| !character.is_ascii_alphabetic()).filter(|word| !word.is_empty()).count()
}

/// Returns the messages of the code with at least `least` words, each with its file.
fn sentences(least: usize) -> Vec<(String, String)> {
    let mut sentences = Vec::new();
    for path in source_files() {
        let file = path.strip_prefix(root()).unwrap().display().to_string();
        let source = fs::read_to_string(&path).unwrap();
        sentences.extend(texts(&source).iter().map(|text| (file.clone(), said(text))));
    }
    sentences.retain(|(_, text)| words(text) >= least && !OTHER_TEXTS.contains(&text.as_str()));
    assert!(sentences.len() > 100, "only {} sentences were found", sentences.len());
    sentences
}

/// Maximum length of the words that a connector puts into a message, in bytes.
const LONGEST_TERM: usize = 60;

/// Returns true if a page contains a message of the code, with any words in the place of each `…`.
fn contains(text: &str, message: &str) -> bool {
    fn continues(text: &str, parts: &[&str]) -> bool {
        let [part, others @ ..] = parts else { return true };
        let near = text.match_indices(part).take_while(|(at, _)| *at <= LONGEST_TERM);
        near.into_iter().any(|(at, _)| continues(&text[at + part.len()..], others))
    }
    let parts: Vec<&str> =
        message.trim_matches(['…', ' ', '.']).split('…').filter(|part| !part.trim().is_empty()).collect();
    let Some((first, others)) = parts.split_first() else { return true };
    text.match_indices(first).any(|(at, _)| continues(&text[at + first.len()..], others))
}

fn page() -> String {
    fs::read_to_string(root().join(PAGE)).unwrap()
}

#[test]
fn every_message_of_the_code_is_on_the_page() {
    let page = page().lines().map(|line| line.trim_start_matches("> ")).collect::<Vec<_>>().join(" ");
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    let missing: Vec<String> = sentences(MIN_WORDS)
        .into_iter()
        .filter(|(_, sentence)| sentence.contains(' ') && !contains(&page, sentence))
        .map(|(file, sentence)| format!("{file}: {sentence}"))
        .collect();
    assert!(missing.is_empty(), "{PAGE} lacks these messages; explain each and what to do:\n{}", missing.join("\n"));
}

#[test]
fn every_quoted_message_is_in_the_code() {
    let sentences = sentences(2);
    for quote in page().lines().filter_map(|line| line.strip_prefix("> ")) {
        let known = sentences.iter().any(|(_, sentence)| contains(quote, sentence));
        assert!(known, "{PAGE} quotes a message that is not in the code: {quote}");
    }
}

#[test]
fn messages_are_found_with_the_words_of_a_connector() {
    let message = "…. Report … to … support.";
    assert!(contains("Host … failed. Report this to Cart.com support.", message));
    assert!(!contains("Host … failed. Report this to nobody.", message));
    assert!(!contains(&format!("Host … failed. Report {} to Cart.com support.", "x".repeat(100)), message));
}

#[test]
fn strings_are_found_as_the_compiler_reads_them() {
    let source = r##"
        // "a comment is not a string"
        const A: &'static str = "one \"two\" {three:?} {{four}} \
            five"; let c = '"'; let d = '\''; let raw = r#"six "seven" {}"#;
        #[expect(x, reason = "not this one")]
    "##;
    let found: Vec<String> = texts(source).iter().map(|text| said(text)).collect();
    assert_eq!(found, ["one \"two\" … {four} five", "six \"seven\" …"]);
    assert_eq!(said("`${NAME}` and {\"a\": {…}, b}"), "`${NAME}` and {\"a\": …, b}");
}
