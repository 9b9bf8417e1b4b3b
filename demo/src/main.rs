//! The demo: the connector against a sample store, from `check` to a second incremental read.
//!
//! ```text
//! cargo run -p demo [-- --shop cs-cart] [--serve] [--orders 500]
//! ```
//!
//! The messages of the runs go to standard output, unless that is a terminal; an account for people to standard error.
//! The folder `demo-out` is left with a config, a configured catalog and a state to continue with. With `--serve` the
//! store stays up until Ctrl-C, and a line `change` on standard input changes rows again. What the runs return is
//! compared with the store: the exit code is 0 only if every stream was complete and the second read returned exactly
//! what had changed, with a mark on the row that was deleted.
//!
//! The runs are child processes of this program, which is also the connector if its first argument says so. A second
//! build of the connector would take as long as the first.

mod account;
mod changes;
mod cs_cart;
mod files;
mod outcome;
mod source;

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use fake_store::{Data, FakeStore, Options, resource};

use changes::change;
use files::Files;
use serde_json::json;
use source::{Source, Stream};

/// The first argument with which the demo is the connector.
const CONNECTOR: &str = "source-cart";

/// Fewer orders leave nothing to change.
const FEWEST_ORDERS: usize = 20;

/// Enough for streams of some hundred rows, and read in a few seconds.
const ORDERS: usize = 200;

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = env::args_os().collect();
    for connector in [&source_cart::CART, &source_cart::CS_CART] {
        if arguments.get(1).is_some_and(|first| first == connector.executable) {
            arguments.remove(1);
            return source_cart::run(connector, arguments);
        }
    }
    fake_store::number_all_keys();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            say(&format!("The demo failed: {sentence}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let Wanted { serve, orders, is_cs_cart } = arguments()?;
    #[expect(clippy::disallowed_methods, reason = "the one place that takes stdout, to pass the messages on")]
    let out = io::stdout();
    let source = Source {
        executable: env::current_exe().map_err(|e| format!("the demo does not find itself ({e})."))?,
        connector: if is_cs_cart { cs_cart::CONNECTOR } else { CONNECTOR },
        // In a terminal the messages would hide the account.
        shows_messages: !out.is_terminal(),
    };
    let mut out = out.lock();
    if is_cs_cart {
        return cs_cart::run(&source, orders, serve, &mut out);
    }
    let store = FakeStore::start(Options::default(), Data::sample(1, orders));
    let token = store.options(|options| options.tokens.first().map(|token| token.value.clone()));
    let files = Files::create(&json!({
        "credentials": {
            "auth_type": "SINGLE_STORE_ACCESS_TOKEN", "access_token": token, "store_name": store.url(),
        },
        "start_date": "2013-01-01T00:00:00Z",
        "detect_deletions": ["all"],
    }))?;

    say(&account::opening(&store.url(), source.shows_messages));
    say("check     Does the store answer, and does it accept the token?");
    source.check(&files, &mut out)?;
    say("discover  Which streams are there?");
    let streams = source.discover(&files, &[], &mut out)?;

    say("read      The first time: every row of every stream.");
    let first = source.run(&files.read(false), &mut out)?;
    first.verify("the first read", &streams, &all_keys(&store, &streams)?)?;
    let mut states = first.states.clone();
    files.write_state(&states)?;

    let changes = store.data(change);
    say("          Meanwhile rows of the store change, some are added, one is deleted.");
    say("read      From the saved state: only what changed, and the row that was deleted.");
    let second = source.run(&files.read(true), &mut out)?;
    second.verify("the second read", &streams, &changes.expected(&store, &streams)?)?;
    second.verify_form(&store, &streams, &changes)?;
    second.verify_deleted(&streams, &changes)?;
    states.extend(second.states.clone());
    files.write_state(&states)?;

    say(&account::table(&streams, &first, &second, &changes));
    say(&account::next_steps(&files, &store, serve));
    if serve { keep(&store) } else { Ok(()) }
}

struct Wanted {
    serve: bool,
    orders: usize,
    is_cs_cart: bool,
}

fn arguments() -> Result<Wanted, String> {
    let mut wanted = Wanted { serve: false, orders: ORDERS, is_cs_cart: false };
    let mut arguments = env::args().skip(1);
    while let Some(name) = arguments.next() {
        match name.as_str() {
            "--serve" => wanted.serve = true,
            "--shop" => {
                wanted.is_cs_cart = match arguments.next().as_deref() {
                    Some("cs-cart") => true,
                    Some("cart") => false,
                    _ => return Err("--shop needs a name: cart or cs-cart.".to_owned()),
                }
            }
            "--orders" => {
                let orders = arguments.next().and_then(|value| value.parse().ok());
                wanted.orders = orders
                    .filter(|orders| *orders >= FEWEST_ORDERS)
                    .ok_or_else(|| format!("--orders needs a number, {FEWEST_ORDERS} or more."))?;
            }
            _ => return Err(format!("`{name}` is unknown. Known are --shop NAME, --serve and --orders N.")),
        }
    }
    Ok(wanted)
}

/// Returns the keys of all rows of a stream, as they stand in records.
fn keys(store: &FakeStore, stream: &str) -> Result<Vec<String>, String> {
    let of = resource(stream).ok_or_else(|| format!("the sample store has no {stream}."))?;
    Ok(store.data(|data| data.ids(stream)).into_iter().map(|id| of.key_json(id)).collect())
}

fn all_keys(store: &FakeStore, streams: &[Stream]) -> Result<BTreeMap<String, Vec<String>>, String> {
    streams.iter().map(|stream| Ok((stream.name.clone(), keys(store, &stream.name)?))).collect()
}

/// Keeps the store running, and changes rows when asked. Ctrl-C ends the program.
fn keep(store: &FakeStore) -> Result<(), String> {
    for line in io::stdin().lock().lines() {
        match line.as_deref().map(str::trim) {
            Ok("change") => say(&store.data(change).lines()),
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

/// Speaks to people. There is nobody to tell that standard error is closed.
fn say(text: &str) {
    let _told = writeln!(io::stderr(), "{text}");
}
