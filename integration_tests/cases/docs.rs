//! Generates the tables of the docs from the table of streams, and copies the examples into the pages that show them.
//!
//! `UPDATE_DOCS=1 cargo test docs` writes them again.

pub(crate) mod sentences;
mod tests_named;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use source_cart::streams::{CURSOR, STREAMS, Scope, Stream};

pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Compares a file with its expected content, or writes it.
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

/// Returns the heading of a scope's streams.
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

/// Returns the notes on a stream for those who decide whether to sync it.
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

/// Returns the sensitive fields of a stream, and of its collections that are not streams themselves.
fn sensitive(stream: &'static Stream) -> Vec<String> {
    let fields = (stream.fields)();
    let nested = fields
        .collections
        .iter()
        .flat_map(|collection| collection.sensitive.iter().map(move |field| format!("`{}.{field}`", collection.name)));
    fields.sensitive.iter().map(|field| format!("`{field}`")).chain(nested).collect()
}

fn streams_page() -> String {
    let mut page = format!(
        "# Streams\n\n\
         For people who select streams and create a token for them. After this page you know the {} streams, the scope\n\
         that each needs, its key and cursor, and which nested collections it can include.\n\n\
         - **Stream**: one list resource of the Cart.com API, such as `/orders`.\n\
         - **Scope**: the permission to tick when you create the token. The same scope without `read_` works too.\n\
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
                .flat_map(|stream| &(stream.fields)().collections)
                .map(|collection| collection.name.as_str())
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
            code((stream.fields)().collections.iter().map(|collection| collection.name.as_str()))
        };
        let _ = writeln!(
            page,
            "| `{}` | {} | `{}` | {} | `{}` | {nested} | {} |",
            stream.name,
            modes(stream),
            stream.key(),
            cursor(stream),
            stream.scope.name(),
            notes(stream)
        );
    }
    page
}

fn sensitive_page() -> String {
    let mut page = "# Sensitive fields\n\n\
        For people who decide which data of a Cart.com store may leave it. For CS-Cart, see [cs-cart.md](cs-cart.md#sensitive-fields).\n\
        After this page you know which fields contain secrets, card data, login names or network addresses, and how to\n\
        hide them.\n\n\
        By default these fields are emitted like all others. Set `redact_sensitive_fields` in the config to emit null\n\
        instead, also inside nested collections. Only the fields in the table are hidden. Other personal data, such as the\n\
        names, addresses and e-mail addresses of customers, is still emitted: deselect the field or the stream.\n\n\
        Generated from `schemas/cart/` (`UPDATE_DOCS=1 cargo test docs`).\n\n\
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

/// Inserts the files of `examples/` into the pages, each with the language of its fence.
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
fn the_pages_show_the_examples_as_they_are_tested() {
    let page = fs::read_to_string(path("docs/clients.md")).unwrap();
    hold("docs/clients.md", &with_examples(&page));
    // Every file that users copy is shown; requirements are only named.
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
