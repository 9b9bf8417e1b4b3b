//! `--state-out`: the file has the states for `--state`, is complete at any time, and never covers rows
//! that were not emitted.

use std::cell::Cell;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::fake_store::{Data, FakeStore, Options, Token, utc_ms};
use crate::harness::command::{Command, Signal};
use crate::harness::destination::Destination;
use crate::harness::files::{Files, START, TOKEN, configured};
use crate::harness::order::{ReadCheck, assert_read_is_well_formed};
use crate::harness::run::Run;
use crate::harness::setup::{Chance, SignIn, config, config_with, minutes, only_error, read, start};
use crate::scenarios::run::Setup;
use crate::scenarios::stores::{churn, removing, scattered};

/// Returns a read that takes its state from a file and writes it back there.
fn keeping<'a>(config: &Value, catalog: &Value, state: &Path) -> Command<'a> {
    let path = state.display().to_string();
    Command::new("read").config(config).catalog(catalog).arg("--state").arg(&path).arg("--state-out").arg(&path)
}

/// Returns the states in a file, by stream.
fn states(path: &Path) -> Vec<(String, Value)> {
    let list: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let state = |entry: &Value| {
        assert_eq!(entry["type"], "STREAM");
        let name = entry["stream"]["stream_descriptor"]["name"].as_str().unwrap().to_owned();
        (name, entry["stream"]["stream_state"].clone())
    };
    list.as_array().unwrap().iter().map(state).collect()
}

fn state(path: &Path, stream: &str) -> Option<Value> {
    states(path).into_iter().find(|(name, _)| name == stream).map(|(_, state)| state)
}

#[test]
fn a_rerun_is_the_same_command_line() {
    let store = start(SignIn::Token, Options::default(), Data::sample(3, 400));
    let (config, catalog) =
        (config(SignIn::Token, &store), configured(&[("orders", "incremental"), ("customers", "incremental")]));
    let files = Files::new();
    let path = files.path("state.json");

    let first = keeping(&config, &catalog, &path).run();
    assert_eq!(first.code, Some(0), "{}", first.transcript());
    assert_read_is_well_formed(&first, &catalog);
    assert_eq!(first.records("orders").len(), 400);
    assert_eq!(state(&path, "orders").as_ref(), first.last_state("orders"));
    assert_eq!(state(&path, "customers").as_ref(), first.last_state("customers"));

    let second = keeping(&config, &catalog, &path).run();
    assert_eq!((second.code, second.records("orders").len()), (Some(0), 0));
    let changed = store.data(|data| {
        data.tick(60_000);
        let id = data.ids("orders")[7];
        data.touch("orders", id);
        id
    });
    let third = keeping(&config, &catalog, &path).run();
    assert_eq!((third.code, third.ids("orders")), (Some(0), vec![changed]));
    // Only the file and its lock are in its folder.
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 2);
}

#[test]
fn stdout_is_the_same_with_and_without_it() {
    let store = start(SignIn::Token, Options::default(), minutes("orders", 1, 50));
    let (config, catalog) = (config(SignIn::Token, &store), configured(&[("orders", "incremental")]));
    let lines = |run: &Run| {
        let clock = |message: &crate::harness::message::Message| {
            let mut value = message.value.clone();
            for place in ["/record/emitted_at", "/trace/emitted_at"] {
                if let Some(moment) = value.pointer_mut(place) {
                    *moment = json!(0);
                }
            }
            value.to_string()
        };
        run.messages.iter().map(clock).collect::<Vec<_>>()
    };
    let plain = read(&config, &catalog, "");
    let kept = keeping(&config, &catalog, &Files::new().path("state.json")).run();
    assert_eq!((kept.code, kept.stderr.as_str()), (Some(0), ""));
    assert_eq!(lines(&kept), lines(&plain));
}

#[test]
fn states_of_streams_that_were_not_read_are_kept() {
    let store = start(SignIn::Token, Options::default(), minutes("orders", 1, 5));
    let (config, catalog) = (config(SignIn::Token, &store), configured(&[("orders", "incremental")]));
    let files = Files::new();
    let given =
        r#"{"pages": {"updated_at": "2021-01-01T00:00:00Z"}, "orders": {"updated_at": "2001-01-01T00:00:00Z"}}"#;
    let path = files.write("state.json", given);
    let run = keeping(&config, &catalog, &path).run();
    assert_eq!(run.code, Some(0));
    assert_eq!(state(&path, "pages"), Some(json!({"updated_at": "2021-01-01T00:00:00Z"})));
    assert_eq!(state(&path, "orders").as_ref(), run.last_state("orders"));
    // Written to another file, the input file stays unchanged.
    let other = files.path("other.json");
    fs::write(&path, given).unwrap();
    let command =
        Command::new("read").config(&config).catalog(&catalog).arg("--state").arg(&path.display().to_string());
    let run = command.arg("--state-out").arg(&other.display().to_string()).run();
    assert_eq!((run.code, fs::read_to_string(&path).unwrap().as_str()), (Some(0), given));
    assert_eq!(states(&other).len(), 2);
}

#[test]
fn states_of_other_streams_in_the_file_are_kept_unless_the_input_state_has_them() {
    let store = start(SignIn::Token, Options::default(), minutes("orders", 1, 5));
    let config = config(SignIn::Token, &store);
    let files = Files::new();
    let kept = r#"[{"orders": {"updated_at": "2001-01-01T00:00:00Z"}, "pages": {"updated_at": "2002-01-01T00:00:00Z"},
        "products": {"updated_at": "2003-01-01T00:00:00Z"}},]"#;
    let path = files.write("kept.json", kept);
    let given = files.write("given.json", r#"{"pages": {"updated_at": "2020-01-01T00:00:00Z"}}"#);
    let reading = || Command::new("read").config(&config).arg("--streams").arg("orders");
    let to = path.display().to_string();

    // Without `--state` the stream is read from the start; the state of the others is kept.
    let run = reading().arg("--state-out").arg(&to).run();
    assert_eq!((run.code, run.records("orders").len()), (Some(0), 5), "{}", run.transcript());
    assert_eq!(states(&path).len(), 3);
    assert_eq!(state(&path, "orders").as_ref(), run.last_state("orders"));
    for (stream, date) in [("pages", "2002-01-01T00:00:00Z"), ("products", "2003-01-01T00:00:00Z")] {
        assert_eq!(state(&path, stream), Some(json!({"updated_at": date})));
    }
    // The state of a stream in `--state` replaces that of the file.
    let run = reading().arg("--state").arg(&given.display().to_string()).arg("--state-out").arg(&to).run();
    assert_eq!(run.code, Some(0));
    for (stream, date) in [("pages", "2020-01-01T00:00:00Z"), ("products", "2003-01-01T00:00:00Z")] {
        assert_eq!(state(&path, stream), Some(json!({"updated_at": date})));
    }
}

#[test]
fn a_file_with_other_content_is_not_overwritten() {
    let store = start(SignIn::Token, Options::default(), minutes("orders", 1, 5));
    let config = config(SignIn::Token, &store);
    let files = Files::new();
    let record = r#"{"type":"RECORD","record":{"stream":"orders","data":{},"emitted_at":1}}"#;
    for text in ["notes", "{\"start_date\": \"2021-01-01\"}", record] {
        let path = files.write("state.json", text).display().to_string();
        for given in [vec![], vec!["--state", path.as_str()]] {
            let command = Command::new("read").config(&config).arg("--streams").arg("orders");
            let run = given.iter().fold(command, |command, word| command.arg(word)).arg("--state-out").arg(&path).run();
            assert_eq!((run.code, run.messages.len()), (Some(1), 1), "{text}: {}", run.transcript());
            let reported = only_error(&run);
            assert!(given.len() == 2 || reported.contains("is not a state file"), "{reported}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
    assert_eq!(store.requests().len(), 0);
}

#[test]
fn a_second_run_on_one_file_is_refused_immediately() {
    let store = start(SignIn::Token, Options::default(), minutes("orders", 1, 5));
    let files = Files::new();
    let (path, link) = (files.path("state.json"), files.path("link.json"));
    std::os::unix::fs::symlink("state.json", &link).unwrap();
    let lock = fs::File::create(files.path("state.json.lock")).unwrap();
    lock.lock().unwrap();
    let read = |path: &Path| {
        let command = Command::new("read").config(&config(SignIn::Token, &store)).arg("--streams").arg("orders");
        command.arg("--state-out").arg(&path.display().to_string()).run()
    };
    for path in [&path, &link] {
        let run = read(path);
        assert_eq!((run.code, run.messages.len()), (Some(1), 1), "{}", run.transcript());
        assert!(only_error(&run).starts_with("Another sync is using the state file `"), "{}", only_error(&run));
    }
    assert_eq!((store.requests().len(), path.exists()), (0, false));
    drop(lock);
    assert_eq!(read(&path).code, Some(0));
}

#[test]
fn files_left_by_a_kill_are_removed_by_the_next_run() {
    let store = start(SignIn::Token, Options::default(), minutes("orders", 1, 5));
    let (config, catalog) = (config(SignIn::Token, &store), configured(&[("orders", "incremental")]));
    let files = Files::new();
    for name in [".state.json.4194304.tmp", ".state.json.4194304-1.tmp", ".other.json.1.tmp"] {
        files.write(name, "[");
    }
    assert_eq!(keeping(&config, &catalog, &files.path("state.json")).run().code, Some(0));
    let mut names: Vec<_> = fs::read_dir(files.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [".other.json.1.tmp", "state.json", "state.json.lock"]);
}

#[test]
fn a_large_state_uses_at_most_twice_its_size_in_memory() {
    const MIB: u64 = 1 << 20;
    let store = start(SignIn::Token, Options::default(), minutes("orders", 1, 5));
    let (config, catalog) = (config(SignIn::Token, &store), configured(&[("orders", "incremental")]));
    let files = Files::new();
    // Ranges: the smallest text with the largest effect on memory.
    let ranges: Vec<String> = (1_000_000..2_300_000).map(|id| format!("[{},{}]", id * 2, id * 2 + 1)).collect();
    let walk = format!(
        r#"{{"from":"2020-01-01T00:00:00Z","until":"2020-01-02T00:00:00Z","top":9,"read":1,"left":[{}]}}"#,
        ranges.join(",")
    );
    // Once of a stream that is read, and once of another.
    for stream in ["orders", "pages"] {
        let peak = |walk: &str| {
            let path = files.write("state.json", &format!(r#"{{"{stream}":{{"walk":{walk}}}}}"#));
            let output = keeping(&config, &catalog, &path).output();
            assert_eq!(output.code, Some(0), "{}", output.stderr);
            output.peak_kib / 1024
        };
        let (small, large, size) = (peak("{}"), peak(&walk), walk.len() as u64 / MIB);
        assert!(size >= 20, "{size} MiB");
        assert!(large <= small + 2 * size + 4, "{stream}: {small} MiB, and {large} MiB with a state of {size} MiB");
    }
}

#[test]
fn unusable_paths_are_reported_before_anything_is_read() {
    let store = start(SignIn::Token, Options::default(), minutes("orders", 1, 5));
    let (config, catalog) = (config(SignIn::Token, &store), configured(&[("orders", "incremental")]));
    let files = Files::new();
    let with = |state: &str, out: &str| {
        let command = Command::new("read").config(&config).catalog(&catalog).arg("--state").arg(state);
        let run = command.arg("--state-out").arg(out).run();
        assert_eq!((run.code, run.messages.len()), (Some(1), 1), "{}", run.transcript());
        assert_eq!(run.errors()[0].failure_type, "config_error");
        only_error(&run)
    };
    let absent = files.path("absent.json").display().to_string();
    let other = files.path("other.json").display().to_string();
    assert_eq!(
        with(&absent, &other),
        format!("The state file `{absent}` does not exist. Set `--state` to a readable JSON file.")
    );
    let reported = with("/no/such/state.json", "/no/such/state.json");
    assert!(
        reported.starts_with("The state file `/no/such/state.json` cannot be written (its folder does not exist)"),
        "{reported}"
    );
    let folder = files.path("").display().to_string();
    let reported = with(&files.write("state.json", "[]").display().to_string(), &folder);
    assert!(reported.contains("cannot be written (is a directory)"), "{reported}");
    assert_eq!(store.requests().len(), 0);
}

#[test]
fn a_file_that_becomes_unwritable_ends_the_sync_with_an_error() {
    let files = Files::new();
    let folder = files.path("states");
    fs::create_dir(&folder).unwrap();
    let setup = Setup::still(scattered("orders", 3000, 1)).changing(removing(folder.clone(), 20));
    let store = setup.start(SignIn::Token);
    // The 130 requests that follow take longer than the pause between two files: the next one fails during the sync.
    store.options(|options| options.latency = std::time::Duration::from_millis(20));
    let config = config_with(&store, &json!({"max_requests_in_flight": 1}));
    let catalog = configured(&[("orders", "incremental")]);
    let run = keeping(&config, &catalog, &folder.join("state.json")).run();
    assert_eq!(run.code, Some(74), "{}", run.transcript());
    assert!(!run.statuses("orders").contains(&"COMPLETE"), "it ends there: {}", run.transcript());
    let reported = only_error(&run);
    assert!(
        reported.starts_with("The state file `") && reported.contains("cannot be written: No such file"),
        "{reported}"
    );
    assert!(reported.contains("run the sync again"), "{reported}");
    assert!(run.stderr.contains("state.json` cannot be written"), "{}", run.stderr);
}

#[test]
fn after_a_signal_and_after_an_error_the_file_has_the_last_states() {
    let setup = Setup::still(scattered("orders", 600, 5));
    let store = setup.start(SignIn::Token);
    store.options(|options| options.latency = std::time::Duration::from_millis(10));
    let files = Files::new();
    let path = files.path("state.json");
    let (config, catalog) = (config(SignIn::Token, &store), configured(&[("orders", "incremental")]));
    let run = keeping(&config, &catalog, &path).signal_after_bytes(Signal::Term, 100_000).run();
    assert_eq!(run.code, Some(75), "{}", run.transcript());
    assert!(run.last_state("orders").unwrap().get("walk").is_some());
    assert_eq!(state(&path, "orders").as_ref(), run.last_state("orders"));

    let options = Options { tokens: vec![Token::new(TOKEN, &["read_orders"])], ..Options::default() };
    let store = start(SignIn::Token, options, minutes("orders", 1, 20));
    let catalog = configured(&[("orders", "incremental"), ("products", "incremental")]);
    let path = files.path("other.json");
    let run = keeping(&crate::harness::setup::config(SignIn::Token, &store), &catalog, &path).run();
    assert_eq!(run.code, Some(1));
    for stream in ["orders", "products"] {
        assert_eq!(state(&path, stream).as_ref(), run.last_state(stream), "{stream}");
    }
}

/// Returns a condition that is true once a file has changed this many times.
pub(crate) fn changed(path: &Path, times: u64) -> impl Fn() -> bool + use<'_> {
    let (last, changes) = (Cell::new(fs::read(path).unwrap_or_default()), Cell::new(0));
    move || {
        let now = fs::read(path).unwrap_or_default();
        if last.replace(now.clone()) != now {
            changes.set(changes.get() + 1);
        }
        changes.get() >= times
    }
}

/// Kills a run after a number of requests, or once the file has changed a number of times.
fn killed<'a>(command: Command<'a>, store: &'a FakeStore, path: &'a Path, chance: &mut Chance) -> Command<'a> {
    store.clear_requests();
    if chance.below(2) == 0 {
        let most = 2 + usize::try_from(chance.below(15)).unwrap();
        return command.kill_when(move || store.requests().len() >= most);
    }
    command.kill_when(changed(path, 1 + chance.below(3)))
}

#[test]
fn after_a_kill_at_any_time_the_file_is_complete_and_no_row_is_missing() {
    let mut kills = 0;
    for seed in 1..=3 {
        let setup = Setup::still(scattered("orders", 800, seed)).changing(churn("orders", seed));
        let store = setup.with(|options| options.latency = std::time::Duration::from_millis(2)).start(SignIn::Token);
        let config = config_with(&store, &json!({"max_requests_in_flight": 1 + seed % 3}));
        let catalog = configured(&[("orders", "incremental")]);
        let files = Files::new();
        let path = files.path("state.json");
        // The output of a killed run is read to its end; only the file has the position.
        let mut destination = Destination::with_catalog(true, &catalog);
        let mut chance = Chance::new(seed);
        let mut said: Vec<Value> = Vec::new();
        for _ in 0..8 {
            let run = killed(keeping(&config, &catalog, &path), &store, &path, &mut chance).run();
            let check = ReadCheck::new(&run, &catalog);
            if run.interrupted {
                check.cut().assert();
            } else {
                check.assert();
            }
            kills += usize::from(run.interrupted);
            destination.take(&run);
            said.extend(run.states("orders").into_iter().filter_map(|message| message.stream_state().cloned()));
            // Complete, and never ahead of the output: it is one of the emitted states, of this run or an earlier one.
            if path.exists()
                && let Some(kept) = state(&path, "orders")
            {
                assert!(said.contains(&kept), "{kept}");
            }
        }
        store.options(|options| options.live = None);
        let last = keeping(&config, &catalog, &path).run();
        assert_eq!(last.code, Some(0), "{}", last.transcript());
        destination.take(&last);
        let comparison = store.data(|data| destination.compare(data, "orders", "orders", Some(utc_ms(START)), None));
        comparison.assert_clean_with_missing_dates(&format!("seed {seed}"));
    }
    assert!(kills > 5, "{kills} kills");
}
