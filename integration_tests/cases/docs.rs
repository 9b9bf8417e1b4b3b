//! The tables of the documentation are made from the table of streams, and the examples that it shows from their files.
//!
//! `UPDATE_DOCS=1 cargo test docs` writes them anew.

mod sentences;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use source_cart::streams::{CURSOR, STREAMS, Scope, Stream};

pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Compares a file with what it should be, or writes it.
pub(crate) fn hold(name: &str, expected: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::create_dir_all(path(name).parent().unwrap()).unwrap();
        fs::write(path(name), expected).unwrap();
    }
    let found = fs::read_to_string(path(name)).unwrap_or_default();
    assert!(found == expected, "{name} differs from its source; run `UPDATE_DOCS=1 cargo test docs`");
}

fn code(names: impl IntoIterator<Item = &'static str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn modes(stream: &Stream) -> &'static str {
    if stream.has_updated_at { "full refresh, incremental" } else { "full refresh" }
}

fn cursor(stream: &Stream) -> String {
    if stream.has_updated_at { format!("`{CURSOR}`") } else { "–".to_owned() }
}

/// The heading under which a scope's streams stand.
fn group(scope: Scope) -> &'static str {
    match scope {
        Scope::People => "People",
        Scope::Orders => "Orders",
        Scope::Catalog => "Catalog",
        Scope::Content => "Content",
        Scope::Marketing => "Marketing",
        Scope::CustomFields | Scope::Tools => "Tools",
        Scope::Settings => "Settings",
        Scope::System => "System",
        other => panic!("{other:?} has no heading"),
    }
}

/// What is worth knowing before a stream is switched on.
fn notes(stream: &'static Stream) -> String {
    let mut notes = Vec::new();
    if stream.is_large {
        notes.push("**many rows**".to_owned());
    }
    if !sensitive(stream).is_empty() {
        notes.push("[sensitive](sensitive.md)".to_owned());
    }
    if stream.may_lack_updated_at {
        notes.push(format!("rows without `{CURSOR}`"));
    }
    if !stream.aliases.is_empty() {
        notes.push(format!("also known as {}", code(stream.aliases.iter().copied())));
    }
    notes.join("; ")
}

/// The sensitive fields of a stream, and those of its collections that are no streams of their own.
fn sensitive(stream: &'static Stream) -> Vec<String> {
    let nested = stream.collections.iter().flat_map(|(collection, element)| {
        let words = element.split_whitespace().filter(|word| word.ends_with('!'));
        words.filter_map(move |word| Some(format!("`{collection}.{}`", word.split_once(':')?.0)))
    });
    stream.sensitive.iter().map(|field| format!("`{field}`")).chain(nested).collect()
}

fn streams_page() -> String {
    let mut page = format!(
        "# Streams\n\n\
         For people who select streams and create a token for them. After this page you know the {} streams, the scope\n\
         that each needs, its key and cursor, and which nested collections it can include.\n\n\
         - **Stream**: a list of the Cart.com API with the same name.\n\
         - **Scope**: what the token needs. The scope without `read_` works too.\n\
         - **Cursor**: streams without a cursor are read completely in each sync.\n\
         - **Many rows**: visitors' carts and visits, which the store keeps for years. Select them only if you need them.\n\
         - **Rows without `{CURSOR}`**: some rows of the stream have no date, so no date filter finds them.\n  \
         [state.md](state.md#what-cannot-be-promised) says when they are read.\n\
         - **Nested collections**: included only if `expand` in the config names them, such as `orders.items`. Most of\n  \
         them are also streams, which are faster to read. In incremental syncs, nested data refreshes only when its\n  \
         parent row changes. `subscriptions.lookups` includes {} together.\n\n\
         Generated from the table in `src/cart/streams.rs` (`UPDATE_DOCS=1 cargo test docs`).\n",
        STREAMS.len(),
        code(
            STREAMS
                .iter()
                .filter(|stream| stream.uses_lookups)
                .flat_map(|stream| stream.collections)
                .map(|(name, _)| *name)
        ),
    );
    let mut heading = "";
    for stream in STREAMS {
        if group(stream.scope) != heading {
            heading = group(stream.scope);
            let _ = write!(
                page,
                "\n## {heading}\n\n| stream | modes | key | cursor | scope | nested collections | notes |\n|---|---|---|---|---|---|---|\n"
            );
        }
        let nested = if stream.uses_lookups {
            code(["lookups"])
        } else {
            code(stream.collections.iter().map(|(name, _)| *name))
        };
        let _ = writeln!(
            page,
            "| `{}` | {} | `{}` | {} | `{}` | {nested} | {} |",
            stream.name,
            modes(stream),
            stream.key,
            cursor(stream),
            stream.scope.name(),
            notes(stream)
        );
    }
    page
}

fn sensitive_page() -> String {
    let mut page = "# Sensitive fields\n\n\
        For people who decide which data may leave the store. After this page you know which fields contain secrets, card\n\
        data, login names or network addresses, and how to hide them.\n\n\
        By default these fields are emitted like all others. Set `redact_sensitive_fields` in the config to emit null\n\
        instead, also inside nested collections. The option does not hide names, addresses and e-mail addresses of\n\
        customers, because they are the content of their streams. To leave them out, deselect the field or the stream.\n\n\
        Generated from the table in `src/cart/streams.rs` (`UPDATE_DOCS=1 cargo test docs`).\n\n\
        | stream | fields |\n|---|---|\n"
        .to_owned();
    for stream in STREAMS {
        let fields = sensitive(stream);
        if !fields.is_empty() {
            let _ = writeln!(page, "| `{}` | {} |", stream.name, fields.join(", "));
        }
    }
    page
}

#[test]
fn the_page_of_streams_is_the_table() {
    hold("docs/reference/streams.md", &streams_page());
}

#[test]
fn the_page_of_sensitive_fields_is_the_table() {
    hold("docs/reference/sensitive.md", &sensitive_page());
}

#[test]
fn the_readme_has_the_table() {
    const MARKS: [&str; 2] = ["<!-- streams -->\n", "<!-- /streams -->"];
    let Ok(readme) = fs::read_to_string(path("README.md")) else { return };
    let Some((before, rest)) = readme.split_once(MARKS[0]) else { return };
    let (_, after) = rest.split_once(MARKS[1]).unwrap();
    let mut table = "| stream | modes | key | cursor | scope |\n|---|---|---|---|---|\n".to_owned();
    for stream in STREAMS {
        let cursor = if stream.has_updated_at { CURSOR } else { "–" };
        let cells = [stream.name, modes(stream), stream.key, cursor, stream.scope.name()];
        let _ = writeln!(table, "| {} |", cells.join(" | "));
    }
    hold("README.md", &format!("{before}{}{table}{}{after}", MARKS[0], MARKS[1]));
}

/// The files of `examples/` as they stand in the pages, and what a fence calls their language.
fn with_examples(page: &str) -> String {
    let mut made = String::new();
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        let _ = writeln!(made, "{line}");
        let Some(name) = line.strip_prefix("<!-- examples/").and_then(|rest| rest.strip_suffix(" -->")) else {
            continue;
        };
        if lines.peek().is_some_and(|line| line.starts_with("```")) {
            let _ = lines.by_ref().skip(1).find(|line| *line == "```");
        }
        let text = fs::read_to_string(path("examples").join(name)).unwrap_or_else(|e| panic!("examples/{name}: {e}"));
        let language = match Path::new(name).extension().and_then(|extension| extension.to_str()) {
            Some("py") => "python",
            Some(extension) => extension,
            None => "text",
        };
        let _ = writeln!(made, "```{language}\n{}\n```", text.trim_end());
    }
    made
}

#[test]
fn the_pages_show_the_examples_as_they_are_run() {
    let page = fs::read_to_string(path("docs/clients.md")).unwrap();
    hold("docs/clients.md", &with_examples(&page));
    // Every file that a user copies is shown; requirements are named in the text.
    for folder in fs::read_dir(path("examples")).unwrap() {
        for file in fs::read_dir(folder.unwrap().path()).unwrap() {
            let file = file.unwrap().path();
            let name = file.strip_prefix(path("")).unwrap().display().to_string();
            assert!(
                name.ends_with("requirements.txt") || page.contains(&format!("<!-- {name} -->")),
                "docs/clients.md does not show {name}"
            );
        }
    }
}
