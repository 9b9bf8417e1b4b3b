//! Docs, messages and doc comments are in plain English: they have none of the listed phrases that readers could not
//! follow, and no broken links.
//!
//! `TEXTS` lists the checked pages, `SOURCES` the checked code: its messages and doc comments. To check more, add a
//! path; to refuse another phrase, add it to `PHRASES` or `SENTENCES`. Code blocks and words in backticks are not
//! checked.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::docs::sentences;

/// Pages, and folders with all files in them, that are checked.
const TEXTS: &[&str] = &[
    "README.md",
    "docs",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "metadata.yaml",
    "connectors",
    "schemas",
    "src/cart/spec.json",
    "examples",
];

/// Folders of code whose messages (string literals) and doc comments are checked.
const SOURCES: &[&str] = &["src", "integration_tests", "fuzz/src"];

/// First words of a doc comment that make it a riddle, with what to write instead.
const RIDDLES: [(&str, &str); 3] = [
    ("Whether", "\"Returns true if …\" or \"True if …\""),
    ("What", "the thing itself"),
    ("How", "the value and its unit"),
];

/// The page that quotes the program's messages: in lines that start with `>` and in the first cell of tables.
const QUOTING: &str = "docs/troubleshooting.md";

/// Phrases that readers could not follow, each with its replacement and with longer phrases in which it is right.
const PHRASES: &[(&str, &str, &[&str])] = &[
    ("told", "reported", &[]),
    ("tells of", "reports", &[]),
    ("tell of", "report", &[]),
    ("mend", "fix", &[]),
    ("mends", "fixes", &[]),
    ("mended", "fixed", &[]),
    ("behind", "after", &[]),
    ("stands in", "is in", &[]),
    ("stand in", "are in", &[]),
    ("stands behind", "follows", &[]),
    ("comes with", "includes", &[]),
    ("come with", "include", &[]),
    ("goes out", "is emitted", &[]),
    ("go out", "are emitted", &[]),
    ("went out", "was emitted", &[]),
    ("goes on", "continues", &[]),
    ("go on", "continue", &[]),
    ("brings", "returns", &[]),
    ("brought", "returned", &[]),
    ("whole", "complete, full, entire", &["whole number", "whole numbers", "whole one"]),
    ("is no", "is not a", &["there is no", "is no longer"]),
    ("are no", "are not", &["there are no", "are no longer"]),
    ("takes none", "accepts none", &[]),
    ("held to", "checked, tested against", &[]),
    ("held against", "compared with", &[]),
    ("hold to", "check, test against", &[]),
    ("asked for", "requested", &[]),
    ("what is asked", "the request", &[]),
    ("a text", "a string", &["a text file"]),
    ("rows without a date", "rows without `updated_at`", &[]),
    ("undated", "without `updated_at`", &[]),
    ("up to not including", "before (exclusive)", &[]),
    ("at a terminal", "in a terminal", &[]),
    ("on a terminal", "in a terminal", &[]),
    ("side by side", "concurrent", &[]),
    ("how many percent", "maximum share (percent)", &[]),
    ("anew", "again", &[]),
    ("all the same", "anyway", &[]),
    ("for good", "permanently", &[]),
    ("for ever", "always", &[]),
    ("patience", "time limit", &[]),
    ("ledger", "account, output", &[]),
    ("picture of one moment", "snapshot", &[]),
];

/// Parts of sentences that users could not follow, which were rewritten once.
const SENTENCES: &[&str] = &[
    "is empty. Give `mystore",
    "could not be found on `",
    "trying again in",
    "known from the sync before",
    "The command line cannot be understood",
    "shows how it is written",
    "asks its questions on",
    "holds one stream, and",
    "their columns differ",
    "is not a configured catalog",
    "Requests side by side",
    "Rows changed before this moment",
    "those are read all the same",
    "They make the reads of that stream slower",
    "as fresh as the row",
    "as fresh as its row",
    "gives 0 with either verdict",
    "cuts off the half row",
    "a state may cover their rows",
    "So do not delete them",
    "The state of the next read is the last STATE",
    "later ones are simply added",
    "Log more",
    "Tell nothing but",
    " was meant?",
    "good / not good",
    "What holds",
    "For those who",
    "Dates tie",
    "a test looks at them as well",
    "Whether nothing is read of",
    "Where nobody is asked",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the files at and below a path of the project, in order.
fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let mut found: Vec<_> = fs::read_dir(path).unwrap().flat_map(|entry| files(&entry.unwrap().path())).collect();
    found.sort();
    found
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// Returns the text with each part between two `mark`s replaced by a space.
fn without_parts(text: &str, mark: &str) -> String {
    let mut parts = text.split(mark);
    let mut kept = parts.next().unwrap_or_default().to_owned();
    while let (Some(_), Some(after)) = (parts.next(), parts.next()) {
        kept.push(' ');
        kept.push_str(after);
    }
    kept
}

/// Returns the prose of each line of a Markdown page: no blocks of code, no words in backticks, no quoted messages.
fn prose(page: &str, quotes: bool) -> Vec<String> {
    let mut is_code = false;
    page.lines()
        .map(|line| {
            if line.starts_with("```") {
                is_code = !is_code;
            }
            if is_code || line.starts_with("```") || line.starts_with("<!--") || (quotes && line.starts_with('>')) {
                return String::new();
            }
            let line = match line.strip_prefix("| ").filter(|_| quotes) {
                Some(cells) => cells.split_once(" | ").map_or("", |(_, after)| after),
                None => line,
            };
            without_parts(&without_parts(line, "``"), "`")
        })
        .collect()
}

/// Returns the words in lower case, with one space around each; punctuation is dropped.
fn words(text: &str) -> String {
    let is_part = |character: char| character.is_alphanumeric() || "'-_".contains(character);
    let words = text.split(|character| !is_part(character)).filter(|word| !word.is_empty());
    words.fold(" ".to_owned(), |mut joined, word| {
        let _ = write!(joined, "{} ", word.to_lowercase());
        joined
    })
}

/// Returns the refused phrases of a line, each with what to write instead.
fn refused(line: &str) -> Vec<String> {
    let mut found: Vec<String> =
        SENTENCES.iter().filter(|part| line.contains(**part)).map(|part| format!("\"{part}\" was rewritten")).collect();
    let all = words(line);
    for (phrase, instead, right) in PHRASES {
        let rest = right.iter().fold(all.clone(), |rest, right| rest.replace(&format!(" {right} "), " "));
        if rest.contains(&format!(" {phrase} ")) {
            found.push(format!("\"{phrase}\"; write: {instead}"));
        }
    }
    found
}

/// Returns every refused phrase of some lines, with its line number.
fn faults(place: &str, lines: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<String> {
    let lines = lines.into_iter().zip(1..);
    lines
        .flat_map(|(line, number)| refused(line.as_ref()).into_iter().map(move |fault| (number, fault)))
        .map(|(number, fault)| format!("{place}:{number}: {fault}"))
        .collect()
}

/// Returns the help of a command and of all commands below it.
fn help(command: &mut clap::Command, path: &str, pages: &mut Vec<(String, String)>) {
    pages.push((format!("help of `{path}`"), command.render_long_help().to_string()));
    for inner in command.get_subcommands_mut() {
        let path = format!("{path} {}", inner.get_name());
        help(inner, &path, pages);
    }
}

#[test]
fn docs_and_help_have_no_phrase_that_readers_could_not_follow() {
    let mut found = Vec::new();
    let mut checked = 0;
    for path in TEXTS.iter().flat_map(|path| files(&root().join(path))) {
        let place = name(&path);
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if place.ends_with(".svg") {
            continue;
        }
        checked += 1;
        found.extend(match path.extension().is_some_and(|extension| extension == "md") {
            true => faults(&place, prose(&text, place == QUOTING)),
            false => faults(&place, text.lines().map(|line| without_parts(line, "`"))),
        });
    }
    let mut pages = Vec::new();
    help(&mut source_cart::command_line(&source_cart::CART), "source-cart", &mut pages);
    for (place, text) in &pages {
        found.extend(faults(place, text.lines()));
    }
    assert!(checked > 90 && pages.len() > 10, "{checked} files, {} pages of help", pages.len());
    assert!(found.is_empty(), "{} phrases:\n{}", found.len(), found.join("\n"));
}

/// Returns the faults of the doc comments of a file: refused phrases, and riddles in a first line.
fn doc_comment_faults(place: &str, source: &str) -> Vec<String> {
    let mut is_code = false;
    let comment = |line: &str| {
        let line = line.trim_start();
        let text = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))?;
        let is_fence = text.trim_start().starts_with("```");
        is_code ^= is_fence;
        Some(if is_code || is_fence { String::new() } else { without_parts(text, "`") })
    };
    let comments: Vec<Option<String>> = source.lines().map(comment).collect();
    let mut found = faults(place, comments.iter().map(|comment| comment.as_deref().unwrap_or_default()));
    for (index, text) in comments.iter().enumerate() {
        let is_first = index == 0 || comments[index - 1].is_none();
        let first_word = text.as_deref().and_then(|text| text.split_whitespace().next()).filter(|_| is_first);
        let riddle = RIDDLES.iter().find(|(word, _)| Some(*word) == first_word);
        found.extend(
            riddle.map(|(word, instead)| format!("{place}:{}: starts with \"{word}\"; write: {instead}", index + 1)),
        );
    }
    found
}

/// Returns the refused phrases of the messages of a file.
fn message_faults(place: &str, source: &str) -> Vec<String> {
    let messages = sentences::texts(source).into_iter().map(|text| without_parts(&sentences::said(&text), "`"));
    let messages = messages.filter(|text| text.contains(' ') && sentences::words(text) >= sentences::MIN_WORDS);
    messages
        .flat_map(|text| refused(&text).into_iter().map(move |fault| format!("{text:?}: {fault}")))
        .map(|fault| format!("{place}: {fault}"))
        .collect()
}

#[test]
fn messages_and_doc_comments_have_no_phrase_that_readers_could_not_follow() {
    let mut found = Vec::new();
    let mut checked = 0;
    for path in SOURCES.iter().flat_map(|path| files(&root().join(path))) {
        let place = name(&path);
        if !place.ends_with(".rs") || place == file!() {
            continue;
        }
        checked += 1;
        let source = fs::read_to_string(&path).unwrap();
        found.extend(doc_comment_faults(&place, &source));
        if place.starts_with("src/") && !place.ends_with("tests.rs") {
            found.extend(message_faults(&place, &source));
        }
    }
    assert!(checked > 200, "{checked} files");
    assert!(found.is_empty(), "{} phrases:\n{}", found.len(), found.join("\n"));
}

#[test]
fn phrases_are_found_in_doc_comments_and_messages() {
    let source = "/// Whether it is `told`.\n/// What it is.\nfn a() {\n    // It was told.\n    b(\"the whole file is told\");\n}";
    assert_eq!(
        doc_comment_faults("a.rs", source),
        ["a.rs:1: starts with \"Whether\"; write: \"Returns true if …\" or \"True if …\""]
    );
    assert_eq!(message_faults("a.rs", source).len(), 2);
    assert_eq!(doc_comment_faults("a.rs", "//! It is told.").len(), 1);
    let block = "//! It is a list.\n//!\n//! ```text\n//! told\n//! ```\n//!\n//! It is told.";
    assert_eq!(doc_comment_faults("a.rs", block), ["a.rs:7: \"told\"; write: reported"]);
}

#[test]
fn phrases_are_found_in_prose_and_nowhere_else() {
    let page = "Rows go out.\n```sh\necho told\n```\nA `whole` state, a whole number, and a whole page.\n> He was told.\n| told | told |\n";
    let found = faults("page", prose(page, true));
    let expected = [
        "page:1: \"go out\"; write: are emitted",
        "page:5: \"whole\"; write: complete, full, entire",
        "page:7: \"told\"; write: reported",
    ];
    assert_eq!(found, expected);
    assert_eq!(refused("There is no table, but this is no table."), ["\"is no\"; write: is not a"]);
    assert_eq!(
        refused("The half is up to, not including, the end."),
        ["\"up to not including\"; write: before (exclusive)"]
    );
    assert_eq!(refused("They are as fresh as the row.").len(), 1);
}

/// Returns the anchors of a page's headings, as GitHub makes them.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut is_code = false;
    let mut anchors = BTreeSet::new();
    for line in page.lines() {
        is_code ^= line.starts_with("```");
        if let (false, Some(heading)) = (is_code, line.strip_prefix('#')) {
            let heading = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            anchors.insert(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
        }
    }
    anchors
}

/// Returns the targets of the links of a page.
fn links(page: &str) -> Vec<&str> {
    page.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target).collect()
}

#[test]
fn no_link_of_the_pages_is_broken() {
    let mut pages: Vec<PathBuf> =
        ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(|page| root().join(page)).into();
    pages.extend(files(&root().join("docs")).into_iter().filter(|path| path.extension().is_some_and(|e| e == "md")));
    let mut broken = Vec::new();
    for path in &pages {
        let page = fs::read_to_string(path).unwrap();
        for target in links(&page).into_iter().filter(|target| !target.contains("://")) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let to = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let is_there = to.exists()
                && (anchor.is_empty() || anchors(&fs::read_to_string(&to).unwrap_or_default()).contains(anchor));
            if !is_there {
                broken.push(format!("{}: {target}", name(path)));
            }
        }
    }
    assert!(pages.len() > 20);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
