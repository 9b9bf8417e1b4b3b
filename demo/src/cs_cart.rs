//! The demo of the connector for CS-Cart: check, discover, a first read, changes, and a second read.

use std::fmt::Write as _;
use std::io::{self, BufRead as _};

use fake_cs_cart::{EMAIL, FakeCsCart, Judge, KEY, Options, Sample, Schedule};
use serde_json::json;

use crate::account;
use crate::files::{FOLDER, Files};
use crate::outcome::Outcome;
use crate::say;
use crate::source::{Source, Stream};

/// The first argument with which the demo is the connector.
pub(crate) const CONNECTOR: &str = "source-cs-cart";

/// Enough changes that some rows change, are added and are deleted in the larger streams.
const CHANGES: usize = 20;

/// The sample store is of the edition with stores; vendors are in the other one.
const OTHER_EDITION: &str = "vendors";

/// Runs the demo, and compares every read with the store.
///
/// # Errors
/// A sentence that says what failed.
pub(crate) fn run(source: &Source, orders: usize, serve: bool, out: &mut impl io::Write) -> Result<(), String> {
    let store = FakeCsCart::sample(Options::default(), &Sample::new(1, orders));
    let files = Files::create(&json!({
        "store_url": store.url(), "email": EMAIL, "api_key": KEY, "start_date": "2000-01-01T00:00:00Z",
    }))?;
    say(&account::opening(&store.url(), source.shows_messages));
    say("check     Does the store answer, and does it accept the API key?");
    source.check(&files, out)?;
    say("discover  Which streams are there?");
    let streams = source.discover(&files, &[OTHER_EDITION], out)?;
    let judge = |stream: &Stream| match stream.incremental {
        true => Judge::incremental(&stream.name),
        false => Judge::full(&stream.name),
    };
    let mut judges: Vec<Judge> = streams.iter().map(judge).collect();

    say("read      The first time: every row of every stream.");
    let first = read(source, (&store, &streams, &mut judges), &files, false, out)?;
    let mut states = first.states.clone();
    files.write_state(&states)?;

    store.data(|data| Schedule::new(1).play(data, CHANGES));
    say("          Meanwhile rows of the store change, are added and are deleted.");
    say(
        "read      From the saved state: orders, their items and products that changed,\n          and all rows of the other streams.",
    );
    let second = read(source, (&store, &streams, &mut judges), &files, true, out)?;
    states.extend(second.states.clone());
    files.write_state(&states)?;

    say(&table(&streams, &first, &second));
    say(&next_steps(&files, &store, serve));
    if serve { keep(&store) } else { Ok(()) }
}

/// Reads all streams, and compares the rows with the store.
fn read(
    source: &Source,
    (store, streams, judges): (&FakeCsCart, &[Stream], &mut [Judge]),
    files: &Files,
    with_state: bool,
    out: &mut impl io::Write,
) -> Result<Outcome, String> {
    let start = store.moment();
    let outcome = source.run(&files.read(with_state), out)?;
    for (Stream { name, .. }, judge) in streams.iter().zip(judges) {
        if !outcome.complete.contains(name) {
            return Err(format!("the read did not end {name} with COMPLETE."));
        }
        let records = outcome.records.get(name).map(Vec::as_slice).unwrap_or_default();
        let verdict = judge.sync(&store.history(), start, records);
        if !verdict.is_right() {
            return Err(format!("the rows of {name} differ from the store: {verdict}."));
        }
    }
    Ok(outcome)
}

/// Returns the table of rows for people.
fn table(streams: &[Stream], first: &Outcome, second: &Outcome) -> String {
    let mut text = format!("\n{:<20} {:>10} {:>11}", "rows", "first read", "second read");
    for Stream { name, incremental, .. } in streams {
        let note = if *incremental { "changes only" } else { "" };
        let line = format!("{name:<20} {:>10} {:>11}   {note}", first.count(name), second.count(name));
        let _ = write!(text, "\n{}", line.trim_end());
    }
    text.push_str("\n\nEvery stream is complete, and its rows are those of the store.");
    text
}

/// Names the files and the commands to try next.
fn next_steps(files: &Files, store: &FakeCsCart, serve: bool) -> String {
    let [config, state] = [&files.config, &files.state].map(|path| path.display());
    let connector = "cargo run --bin source-cs-cart --";
    let check = format!("{connector} check --config {config}");
    let read = format!("{connector} read --config {config} \\\n    --streams orders");
    let (steps, commands) = if serve {
        let steps = format!(
            "The store stays at {} until Ctrl-C.\nIts e-mail is {EMAIL}, its API key {KEY}\nType `change` and Enter here \
             to change some rows.\nThree commands to try next, in a second terminal:",
            store.url()
        );
        (steps, [check, read.clone(), format!("{read} \\\n    --state {state}")])
    } else {
        let steps = "The store stops now. Three commands to try next; the first starts the store\nagain and keeps it, for \
                     the others in a second terminal:";
        (
            steps.to_owned(),
            ["cargo run -p demo -- --shop cs-cart --serve".to_owned(), check, format!("{connector} streams")],
        )
    };
    format!(
        "\nThe folder {FOLDER} has a config, a catalog of the streams, and the state.\n{steps}\n\n  {}",
        commands.join("\n  ")
    )
}

/// Keeps the store running, and changes rows when asked. Ctrl-C ends the program.
fn keep(store: &FakeCsCart) -> Result<(), String> {
    for (number, line) in (2..).zip(io::stdin().lock().lines()) {
        match line.as_deref().map(str::trim) {
            Ok("change") => {
                store.data(|data| Schedule::new(number).play(data, CHANGES));
                say("          Some rows have changed.");
            }
            Ok("") => {}
            Ok(other) => say(&format!("`{other}` is unknown. Type `change`.")),
            Err(_) => break,
        }
    }
    // Without a terminal there is no input, and the store continues to serve.
    loop {
        std::thread::park();
    }
}
