//! What the demo tells people. No line is longer than 80 columns.

use std::fmt::Write as _;

use fake_store::FakeStore;

use crate::changes::Changes;
use crate::files::{FOLDER, Files};
use crate::outcome::Outcome;
use crate::source::Stream;

/// Says what is about to happen.
pub(crate) fn opening(url: &str, shows_messages: bool) -> String {
    let messages = if shows_messages {
        "The messages of the connector are on standard output."
    } else {
        "To see the messages of the connector, redirect standard output to a file."
    };
    format!("A sample store runs at {url}.\n{messages}\n")
}

/// Says what the two reads returned: a line for each stream in which something changed, and one for the others.
pub(crate) fn table(streams: &[Stream], first: &Outcome, second: &Outcome, changes: &Changes) -> String {
    let changed = changes.streams();
    let (shown, others): (Vec<&Stream>, Vec<&Stream>) =
        streams.iter().partition(|stream| changed.contains(stream.name.as_str()));
    let mut text = format!("\n{:<20} {:>10} {:>11}   in between", "rows", "first read", "second read");
    let mut line = |name: &str, before: usize, after: usize, note: &str| {
        let line = format!("{name:<20} {before:>10} {after:>11}   {note}");
        let _ = write!(text, "\n{}", line.trim_end());
    };
    let mut sum = (0, 0);
    for Stream { name, .. } in shown {
        line(name, first.count(name), second.count(name), &changes.text(name));
    }
    for Stream { name, .. } in &others {
        sum = (sum.0 + first.count(name), sum.1 + second.count(name));
    }
    let full = others.iter().filter(|stream| !stream.incremental).count();
    line(&format!("{} other streams", others.len()), sum.0, sum.1, &format!("{full} are read in full each time"));
    text.push_str(
        "\n\nEvery stream is complete, and the second read returned exactly the rows that\n\
         changed or were added, and a mark for the row that was deleted: with it, a\n\
         destination removes the row.",
    );
    text
}

/// Names the files and the three commands to try next.
pub(crate) fn next_steps(files: &Files, store: &FakeStore, serve: bool) -> String {
    let [config, state] = [&files.config, &files.state].map(|path| path.display());
    let check = format!("cargo run -- check --config {config}");
    let read = format!("cargo run -- read --config {config} --streams orders");
    let (steps, commands) = if serve {
        let again = format!("{read} \\\n    --state {state}");
        (
            format!(
                "The store stays at {} until Ctrl-C.\nType `change` and Enter here to change some rows.\nThree \
                 commands to try next, in a second terminal:",
                store.url()
            ),
            [check, read, again],
        )
    } else {
        (
            "The store stops now. Three commands to try next; the first starts the store\nagain and keeps it, for the \
             others in a second terminal:"
                .to_owned(),
            ["cargo run -p demo -- --serve".to_owned(), check, read],
        )
    };
    format!(
        "\nThe folder {FOLDER} has a config, a catalog of all streams, and the state.\n{steps}\n\n  {}",
        commands.join("\n  ")
    )
}
