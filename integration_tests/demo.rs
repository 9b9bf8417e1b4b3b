//! The demo: the real executable against a sample store, from `check` to a second incremental read.
//!
//! ```text
//! cargo run --release --example demo [-- --serve] [-- --orders 500]
//! ```
//!
//! The messages of the runs go to standard output, a summary for people to standard error. The folder `demo-out` is
//! left with a config, a configured catalog and a state, to continue from. With `--serve` the store keeps running until
//! Ctrl-C, and a line `change` on standard input changes rows again. The records are compared with the store: the exit
//! code is 0 only if every stream was complete and the second read returned exactly the changes.

#[path = "fake_store/mod.rs"]
mod fake_store;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use serde_json::{Value, json};

use fake_store::{Data, FakeStore, Options, resource};

/// Folder of the files, below the current directory.
const FOLDER: &str = "demo-out";

/// Minimum number of orders: with fewer, there is nothing to change.
const FEWEST_ORDERS: usize = 20;

fn main() -> ExitCode {
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
    let Wanted { serve, orders } = arguments()?;
    say("Building source-cart (quick if it is built already, a few minutes if not) ...");
    let source = Source { executable: build()? };
    let store = FakeStore::start(Options::default(), Data::sample(1, orders));
    let files = Files::create(&store)?;

    say(&format!("A sample store runs at {}. Its messages follow on standard output.\n\ncheck ...", store.url()));
    source.check(&files)?;
    say("discover ...");
    let streams = source.discover(&files)?;

    say("read, for the first time ...");
    let everything = everything(&store, &streams)?;
    let first = source.run(&files.read(false))?;
    first.verify("the first read", &streams, &everything)?;
    let mut states = first.states.clone();
    files.write_state(&states)?;

    let changes = store.data(change);
    say("Some rows were changed, added and deleted in the store.\nread, from the saved state ...");
    let second = source.run(&files.read(true))?;
    second.verify("the second read", &streams, &changes.expected(&store, &streams)?)?;
    second.verify_form(&store, &streams, &changes)?;
    states.extend(second.states.clone());
    files.write_state(&states)?;

    say(&account(&streams, &first, &second, &changes));
    say(&next_steps(&source, &files, &store, serve));
    if serve { go_on(&store) } else { Ok(()) }
}

struct Wanted {
    serve: bool,
    orders: usize,
}

fn arguments() -> Result<Wanted, String> {
    let mut wanted = Wanted { serve: false, orders: 200 };
    let mut arguments = env::args().skip(1);
    while let Some(name) = arguments.next() {
        match name.as_str() {
            "--serve" => wanted.serve = true,
            "--orders" => {
                let orders = arguments.next().and_then(|value| value.parse().ok());
                wanted.orders = orders
                    .filter(|orders| *orders >= FEWEST_ORDERS)
                    .ok_or_else(|| format!("--orders needs a number from {FEWEST_ORDERS} up."))?;
            }
            _ => return Err(format!("`{name}` is unknown; known are --serve and --orders N.")),
        }
    }
    Ok(wanted)
}

/// Builds the executable as a user would. Returns its path.
fn build() -> Result<PathBuf, String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(&cargo);
    command.args(["build", "--release", "--quiet", "--bin", "source-cart"]);
    command.args(["--message-format", "json-render-diagnostics"]);
    command.args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
    // With the variables that `cargo run` set for this package, the other cargo would rebuild the dependencies.
    for (name, _) in env::vars_os() {
        if is_of_package(&name) {
            command.env_remove(name);
        }
    }
    let built = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).output();
    let built = built.map_err(|e| format!("`{}` cannot be started ({e}).", cargo.display()))?;
    if !built.status.success() {
        return Err("source-cart could not be built; what cargo says stands above.".to_owned());
    }
    let executable = built.stdout.split(|byte| *byte == b'\n').find_map(|line| {
        let message: Value = serde_json::from_slice(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    executable.ok_or_else(|| "cargo did not say where it put source-cart.".to_owned())
}

fn is_of_package(name: &OsStr) -> bool {
    const NAMES: [&str; 7] = [
        "CARGO_MANIFEST_DIR",
        "CARGO_MANIFEST_PATH",
        "CARGO_MANIFEST_LINKS",
        "CARGO_CRATE_NAME",
        "CARGO_BIN_NAME",
        "CARGO_PRIMARY_PACKAGE",
        "OUT_DIR",
    ];
    name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || NAMES.contains(&name))
}

/// The files that are left.
struct Files {
    config: PathBuf,
    catalog: PathBuf,
    state: PathBuf,
}

impl Files {
    fn create(store: &FakeStore) -> Result<Self, String> {
        let folder = Path::new(FOLDER);
        fs::create_dir_all(folder).map_err(|e| format!("the folder {FOLDER} cannot be made ({e})."))?;
        let [config, catalog, state] =
            ["config.json", "configured_catalog.json", "state.json"].map(|name| folder.join(name));
        let token = store.options(|options| options.tokens.first().map(|token| token.value.clone()));
        let files = Self { config, catalog, state };
        write(
            &files.config,
            &json!({
                "credentials": {
                    "auth_type": "SINGLE_STORE_ACCESS_TOKEN",
                    "access_token": token,
                    "store_name": store.url(),
                },
                "start_date": "2013-01-01T00:00:00Z",
            }),
        )?;
        Ok(files)
    }

    /// Returns the arguments of a read.
    fn read(&self, with_state: bool) -> Vec<&OsStr> {
        let mut arguments: Vec<&OsStr> = vec!["read".as_ref(), "--config".as_ref(), self.config.as_ref()];
        arguments.extend::<[&OsStr; 2]>(["--catalog".as_ref(), self.catalog.as_ref()]);
        if with_state {
            arguments.extend::<[&OsStr; 2]>(["--state".as_ref(), self.state.as_ref()]);
        }
        arguments
    }

    /// Writes the states as a platform passes them: a list with one for each stream.
    fn write_state(&self, states: &BTreeMap<String, Value>) -> Result<(), String> {
        write(&self.state, &states.values().cloned().collect())
    }
}

fn write(path: &Path, value: &Value) -> Result<(), String> {
    let result = serde_json::to_vec_pretty(value).map_err(io::Error::from).and_then(|text| fs::write(path, text));
    result.map_err(|e| format!("{} cannot be written ({e}).", path.display()))
}

/// A stream of the configured catalog.
struct Stream {
    name: String,
    key: String,
    incremental: bool,
}

/// The executable.
struct Source {
    executable: PathBuf,
}

impl Source {
    fn check(&self, files: &Files) -> Result<(), String> {
        let status = self.run(&["check".as_ref(), "--config".as_ref(), files.config.as_ref()])?.status;
        match status.as_ref().and_then(|status| status["status"].as_str()) {
            Some("SUCCEEDED") => Ok(()),
            _ => Err(format!("check should say SUCCEEDED, but said {}.", status.unwrap_or_default())),
        }
    }

    /// Requests the catalog, and writes one in which every stream is configured as a platform would.
    fn discover(&self, files: &Files) -> Result<Vec<Stream>, String> {
        let catalog = self.run(&["discover".as_ref()])?.catalog;
        let found = catalog.as_ref().and_then(|catalog| catalog["streams"].as_array());
        let mut streams = Vec::new();
        let mut configured = Vec::new();
        for stream in found.into_iter().flatten() {
            let modes = stream["supported_sync_modes"].as_array();
            let incremental = modes.is_some_and(|modes| modes.iter().any(|mode| mode == "incremental"));
            let primary_key = &stream["source_defined_primary_key"];
            let (Some(name), Some(key)) = (stream["name"].as_str(), primary_key[0][0].as_str()) else {
                return Err(format!("discover should name each stream and its key, but gave {stream}."));
            };
            configured.push(if incremental {
                json!({
                    "stream": stream, "sync_mode": "incremental", "destination_sync_mode": "append_dedup",
                    "cursor_field": stream["default_cursor_field"], "primary_key": primary_key,
                })
            } else {
                json!({ "stream": stream, "sync_mode": "full_refresh", "destination_sync_mode": "overwrite" })
            });
            streams.push(Stream { name: name.to_owned(), key: key.to_owned(), incremental });
        }
        if streams.is_empty() {
            return Err("discover should give a catalog with streams, but gave none.".to_owned());
        }
        write(&files.catalog, &json!({ "streams": configured }))?;
        Ok(streams)
    }

    /// Runs one command, forwards its messages, and collects their content.
    fn run(&self, arguments: &[&OsStr]) -> Result<Outcome, String> {
        let what = arguments.first().map(|name| name.display().to_string()).unwrap_or_default();
        let mut command = Command::new(&self.executable);
        let child = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|e| format!("{} cannot be started ({e}).", self.executable.display()))?;
        let mut outcome = Outcome::default();
        let mut problem = None;
        #[expect(clippy::disallowed_methods, reason = "the one place that passes the messages on")]
        let mut out = io::stdout().lock();
        for line in child.stdout.take().map(BufReader::new).into_iter().flat_map(BufReader::lines) {
            let reported = line.map_err(|e| format!("the messages of {what} cannot be read ({e}).")).and_then(|line| {
                pass_on(&mut out, &line)?;
                outcome.take(&line).ok_or_else(|| format!("{what} printed a line that is not a message: {line}"))
            });
            // All output is read, so that the exit code is that of the command.
            problem = problem.or(reported.err());
        }
        let ended = child.wait().map_err(|e| format!("the end of {what} cannot be awaited ({e})."))?;
        match problem.or_else(|| outcome.errors.first().map(|error| format!("{what} reported an error: {error}"))) {
            Some(sentence) => Err(sentence),
            None if ended.success() => Ok(outcome),
            None => Err(format!("{what} ended with {ended}, though it should have ended well.")),
        }
    }
}

/// Prints a message. The reader may close the pipe (`| head`).
fn pass_on(out: &mut impl io::Write, line: &str) -> Result<(), String> {
    match writeln!(out, "{line}") {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(format!("the messages cannot be printed ({e}).")),
        _ => Ok(()),
    }
}

/// The content of the messages of one run.
#[derive(Default)]
struct Outcome {
    status: Option<Value>,
    catalog: Option<Value>,
    records: BTreeMap<String, Vec<Value>>,
    states: BTreeMap<String, Value>,
    complete: BTreeSet<String>,
    errors: Vec<String>,
}

impl Outcome {
    fn take(&mut self, line: &str) -> Option<()> {
        let mut message: Value = serde_json::from_str(line).ok()?;
        match message["type"].as_str()? {
            "CONNECTION_STATUS" => self.status = Some(message["connectionStatus"].take()),
            "CATALOG" => self.catalog = Some(message["catalog"].take()),
            "RECORD" => {
                let stream = message["record"]["stream"].as_str()?.to_owned();
                self.records.entry(stream).or_default().push(message["record"]["data"].take());
            }
            "STATE" => {
                let stream = message["state"]["stream"]["stream_descriptor"]["name"].as_str()?.to_owned();
                let mut state = message["state"].take();
                state.as_object_mut()?.remove("sourceStats");
                self.states.insert(stream, state);
            }
            "TRACE" => match message["trace"]["type"].as_str()? {
                "ERROR" => self.errors.push(message["trace"]["error"]["message"].as_str()?.to_owned()),
                "STREAM_STATUS" => {
                    let status = &message["trace"]["stream_status"];
                    if status["status"] == "COMPLETE" {
                        self.complete.insert(status["stream_descriptor"]["name"].as_str()?.to_owned());
                    }
                }
                _ => {}
            },
            _ => {}
        }
        Some(())
    }

    fn count(&self, stream: &str) -> usize {
        self.records.get(stream).map_or(0, Vec::len)
    }

    /// Checks that every stream is complete, with a state, and with exactly the expected keys, each once.
    fn verify(&self, what: &str, streams: &[Stream], expected: &BTreeMap<String, Vec<String>>) -> Result<(), String> {
        for Stream { name, key, .. } in streams {
            if !self.complete.contains(name) {
                return Err(format!("{what} did not end {name} with COMPLETE."));
            }
            if !self.states.contains_key(name) {
                return Err(format!("{what} gave no STATE for {name}."));
            }
            let mut came: BTreeMap<String, usize> = BTreeMap::new();
            for record in self.records.get(name).into_iter().flatten() {
                *came.entry(record[key].to_string()).or_default() += 1;
            }
            let wanted: BTreeSet<&String> = expected.get(name).into_iter().flatten().collect();
            let missing = some(wanted.iter().filter(|key| !came.contains_key(**key)).map(|key| key.as_str()));
            let surplus = some(came.keys().filter(|key| !wanted.contains(key)).map(String::as_str));
            let doubled = some(came.iter().filter(|(_, times)| **times > 1).map(|(key, _)| key.as_str()));
            for (fault, keys) in
                [("did not bring", missing), ("should not have brought", surplus), ("doubled", doubled)]
            {
                if let Some(keys) = keys {
                    return Err(format!("{what} {fault} these rows of {name}: {keys}."));
                }
            }
        }
        Ok(())
    }

    /// Checks that the changed rows were emitted in their new version.
    fn verify_form(&self, store: &FakeStore, streams: &[Stream], changes: &Changes) -> Result<(), String> {
        for Stream { name, key, .. } in streams {
            let Some(of) = resource(name) else { continue };
            for id in changes.touched.get(name.as_str()).into_iter().flatten() {
                let row: Value =
                    store.json(name, *id).and_then(|row| serde_json::from_str(&row).ok()).unwrap_or_default();
                let record = self.records.get(name).into_iter().flatten().find(|record| record[key] == row[key]);
                if record.is_none_or(|record| record[of.touch_field] != row[of.touch_field]) {
                    return Err(format!("the second read did not bring {name} {id} in its new form."));
                }
            }
        }
        Ok(())
    }
}

/// Returns the first of some keys, for a message.
fn some<'k>(keys: impl Iterator<Item = &'k str>) -> Option<String> {
    const SHOWN: usize = 5;
    let keys: Vec<&str> = keys.collect();
    let more = keys.len().saturating_sub(SHOWN);
    let shown = keys.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match (keys.is_empty(), more) {
        (true, _) => None,
        (_, 0) => Some(shown),
        _ => Some(format!("{shown} and {more} more")),
    }
}

/// Returns the keys of all rows of a stream, as in records.
fn keys(store: &FakeStore, stream: &str) -> Result<Vec<String>, String> {
    let of = resource(stream).ok_or_else(|| format!("the sample store has no {stream}."))?;
    Ok(store.data(|data| data.ids(stream)).into_iter().map(|id| of.key_json(id)).collect())
}

fn everything(store: &FakeStore, streams: &[Stream]) -> Result<BTreeMap<String, Vec<String>>, String> {
    streams.iter().map(|stream| Ok((stream.name.clone(), keys(store, &stream.name)?))).collect()
}

/// Changes to the store between the two reads, by resource.
#[derive(Default)]
struct Changes {
    touched: BTreeMap<&'static str, Vec<i64>>,
    added: BTreeMap<&'static str, Vec<i64>>,
    deleted: BTreeMap<&'static str, Vec<i64>>,
}

impl Changes {
    /// Returns the expected keys of the next read: the changed rows, and all rows of a stream that is read in full each
    /// time.
    fn expected(&self, store: &FakeStore, streams: &[Stream]) -> Result<BTreeMap<String, Vec<String>>, String> {
        let mut expected = BTreeMap::new();
        for Stream { name, incremental, .. } in streams {
            let all = keys(store, name)?;
            let Some(of) = resource(name).filter(|_| *incremental) else {
                expected.insert(name.clone(), all);
                continue;
            };
            let changed = [&self.touched, &self.added].into_iter().filter_map(|rows| rows.get(name.as_str())).flatten();
            expected.insert(name.clone(), changed.map(|id| of.key_json(*id)).collect());
        }
        Ok(expected)
    }

    /// Describes the changes to one stream.
    fn text(&self, stream: &str) -> String {
        let kinds = [("changed", &self.touched), ("added", &self.added), ("deleted", &self.deleted)];
        let parts = kinds.into_iter().filter_map(|(what, rows)| {
            let ids: Vec<String> = rows.get(stream)?.iter().map(i64::to_string).collect();
            Some(format!("{what} {}", ids.join(", ")))
        });
        parts.collect::<Vec<_>>().join("; ")
    }
}

/// Simulates a minute of business: some rows change, some are added, one is deleted.
fn change(data: &mut Data) -> Changes {
    let mut changes = Changes::default();
    data.tick(60_000);
    for (resource, rows) in
        [("customers", 2), ("orders", 3), ("order_items", 2), ("order_statuses", 1), ("products", 1)]
    {
        let ids = data.ids(resource);
        // Distributed over the table: each is the first of an equal part.
        let chosen: Vec<i64> = (0..rows).filter_map(|n| ids.get(n * ids.len() / rows).copied()).collect();
        for id in &chosen {
            data.touch(resource, *id);
        }
        changes.touched.insert(resource, chosen);
    }
    for resource in ["customers", "addresses", "orders", "order_items", "order_payments"] {
        let added = vec![data.add(resource)];
        changes.added.insert(resource, added);
    }
    if let Some(id) = data.ids("order_payments").first().copied() {
        data.delete("order_payments", id);
        changes.deleted.insert("order_payments", vec![id]);
    }
    changes
}

fn account(streams: &[Stream], first: &Outcome, second: &Outcome, changes: &Changes) -> String {
    let mut text = format!("\n{:<16} {:>10} {:>11}   in between", "stream", "first read", "second read");
    for Stream { name, .. } in streams {
        let (before, after) = (first.count(name), second.count(name));
        let line = format!("{name:<16} {before:>10} {after:>11}   {}", changes.text(name));
        let _ = write!(text, "\n{}", line.trim_end());
    }
    text.push_str(
        "\n\nEvery stream was complete, and the second read brought exactly the rows that were changed or added.",
    );
    text.push_str("\nDeleted rows do not come: the store's API does not tell of them.");
    text
}

/// Describes where the files are, and the next commands.
fn next_steps(source: &Source, files: &Files, store: &FakeStore, serve: bool) -> String {
    let here = env::current_dir().unwrap_or_default();
    let program = shell(source.executable.strip_prefix(&here).unwrap_or(&source.executable));
    let [config, catalog, state] = [&files.config, &files.catalog, &files.state].map(|path| shell(path));
    let mut text = format!(
        "\nThe files to go on with, in {}:\n  {config}   which store, and from when\n  {catalog}   which streams, and how\n  \
         {state}   where the second read ended: a read from here brings only what changes from now on\n\n",
        shell(&here.join(FOLDER)),
    );
    if serve {
        let _ = write!(
            text,
            "The store stays at {} until Ctrl-C. Type `change` and Enter here to change rows again.\nIn another \
             terminal, in {}:\n",
            store.url(),
            shell(&here)
        );
    } else {
        text.push_str(
            "What to type next (`check` and `read` need the store, which stops now; `cargo run --release --example\n",
        );
        text.push_str("demo -- --serve` does all this again and keeps it running):\n");
    }
    let _ = write!(
        text,
        "  {program} spec\n  {program} check --config {config}\n  {program} discover\n  \
         {program} read --config {config} --catalog {catalog}\n  \
         {program} read --config {config} --catalog {catalog} --state {state}"
    );
    text
}

/// Quotes a path for a shell.
fn shell(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:\\".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Keeps the store running until Ctrl-C.
fn go_on(store: &FakeStore) -> Result<(), String> {
    for line in io::stdin().lock().lines() {
        match line.as_deref().map(str::trim) {
            Ok("change") => {
                let changes = store.data(change);
                let touched: BTreeSet<&str> = changes.touched.keys().chain(changes.added.keys()).copied().collect();
                let lines = touched.into_iter().map(|stream| format!("  {stream:<16} {}", changes.text(stream)));
                say(&lines.collect::<Vec<_>>().join("\n"));
            }
            Ok("") => {}
            Ok(other) => say(&format!("`{other}` is unknown; known is `change`.")),
            Err(_) => break,
        }
    }
    // Without a terminal there is no input, and the store keeps running.
    loop {
        std::thread::park();
    }
}

/// Prints text for people.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
