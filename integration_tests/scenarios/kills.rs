//! Reads that are killed repeatedly until one completes; signals; a full disk.

use std::fs::OpenOptions;
use std::process::{Command as Process, Stdio};

use serde_json::Value;

use crate::fake_store::{FakeStore, Fault, RecordedRequest, utc_ms};
use crate::harness::command::{Command, Signal};
use crate::harness::destination::Destination;
use crate::harness::files::{Files, START, configured};
use crate::harness::order::ReadCheck;
use crate::harness::run::Run;
use crate::harness::setup::{Chance, SignIn, config, read};
use crate::scenarios::run::{Setup, at, seeds};
use crate::scenarios::stores::{churn, scattered, some_rows};

/// When a read is killed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kill {
    /// After this many bytes of output.
    Bytes(usize),
    /// After this many requests.
    Requests(usize),
}

/// A read with a kill.
fn killed(store: &FakeStore, config: &Value, catalog: &Value, state: &str, kill: Kill) -> Run {
    store.clear_requests();
    let command = Command::new("read").config(config).catalog(catalog).state(state);
    match kill {
        Kill::Bytes(bytes) => command.kill_after_bytes(bytes).run(),
        Kill::Requests(requests) => command.kill_when(|| store.requests().len() >= requests).run(),
    }
}

/// Reads with kills until one read completes; the destination gets the output of each.
pub(crate) fn read_until_complete(
    store: &FakeStore,
    config: &Value,
    catalog: &Value,
    destination: &mut Destination,
    mut kill: impl FnMut() -> Kill,
) {
    let mut last = String::new();
    for attempt in 0..400 {
        if attempt == 50 {
            // More may change between two kills than can be read between them, so the changes must stop at some time.
            store.options(|options| options.live = None);
        }
        let run = killed(store, config, catalog, &destination.state_list(), kill());
        let check = ReadCheck::new(&run, catalog);
        if run.interrupted {
            check.cut().assert();
        } else {
            check.assert();
        }
        destination.take(&run);
        if attempt > 396 {
            let asked: Vec<String> =
                store.requests().iter().map(|seen| format!("{} {}", seen.target, seen.rows)).collect();
            last = format!("{}\n{:#?}", run.transcript(), asked);
        }
        if !run.interrupted {
            assert_eq!(run.code, Some(0), "{}", run.transcript());
            return;
        }
    }
    panic!("400 reads, and none got through; the last:\n{last}");
}

fn prove(mode: &str, seed: u64, changing: bool, kill: impl Fn(&mut Chance) -> Kill) {
    let setup = Setup::still(scattered("orders", some_rows(seed) * 2, seed));
    if changing {
        prove_with(mode, seed, setup.changing(churn("orders", seed)), kill);
    } else {
        prove_with(mode, seed, setup, kill);
    }
}

fn prove_with(mode: &str, seed: u64, setup: Setup, kill: impl Fn(&mut Chance) -> Kill) {
    let changing = setup.live.is_some();
    let sign_in = if seed.is_multiple_of(2) { SignIn::Router } else { SignIn::Token };
    let store = setup.start(sign_in);
    let mut config = config(sign_in, &store);
    config["max_requests_in_flight"] = (1 + seed % 3).into();
    let catalog = configured(&[("orders", mode)]);
    let mut destination = Destination::with_catalog(seed.is_multiple_of(5), &catalog);
    let mut chance = Chance::new(seed);
    read_until_complete(&store, &config, &catalog, &mut destination, || kill(&mut chance));
    store.options(|options| options.live = None);
    if mode == "incremental" {
        let last = read(&config, &catalog, &destination.state_list());
        assert_eq!(last.code, Some(0), "{}", last.transcript());
        destination.take(&last);
    }
    if mode == "incremental" || !changing {
        let comparison = store.data(|data| destination.compare(data, "orders", "orders", Some(utc_ms(START)), None));
        comparison.assert_clean_with_missing_dates(&format!("seed {seed} {mode}"));
    }
}

#[test]
fn killed_after_bytes_until_it_completes() {
    for seed in seeds() {
        for mode in ["incremental", "full_refresh"] {
            prove(mode, seed, true, |chance| Kill::Bytes(90_000 + usize::try_from(chance.below(60_000)).unwrap()));
        }
    }
}

#[test]
fn killed_after_requests_until_it_completes() {
    for seed in seeds() {
        for mode in ["incremental", "full_refresh"] {
            prove(mode, seed, true, |chance| Kill::Requests(16 + usize::try_from(chance.below(5)).unwrap()));
        }
    }
}

#[test]
fn killed_with_an_unchanging_store_nothing_is_missing_in_either_mode() {
    for seed in seeds() {
        for mode in ["incremental", "full_refresh"] {
            prove(mode, seed, false, |chance| Kill::Bytes(90_000 + usize::try_from(chance.below(60_000)).unwrap()));
        }
    }
}

#[test]
fn killed_while_it_is_read_by_date_until_it_completes() {
    for seed in seeds() {
        let setup = Setup::still(scattered("orders", some_rows(seed) * 2, seed));
        let setup = setup.with(|options| options.ignore_id_filter = true);
        prove_with("incremental", seed, setup, |chance| {
            Kill::Bytes(90_000 + usize::try_from(chance.below(60_000)).unwrap())
        });
    }
}

#[test]
fn a_signal_ends_with_states_incomplete_and_an_error() {
    for (signal, seed) in [(Signal::Term, 1), (Signal::Int, 2), (Signal::Term, 3), (Signal::Int, 4)] {
        // All rows near the cursor: a state that lists them is too long to follow every page.
        let mut data = scattered("orders", 400, seed);
        for id in data.ids("orders") {
            data.set_updated_at("orders", id, at(data.now_ms - id * 7_919 % 100_000));
        }
        // Ten pages are answered, several times the bytes before the signal, and no more: so the read cannot end before
        // the signal arrives, however long that takes.
        let hang = |seen: &RecordedRequest| (seen.n > 12).then_some(Fault::Hang);
        let setup = Setup::still(data).with(|options| options.fault = Some(Box::new(hang)));
        let store = setup.start(SignIn::Token);
        let mut config = config(SignIn::Token, &store);
        config["max_requests_in_flight"] = seed.into();
        let catalog = configured(&[("orders", "incremental")]);
        let command = Command::new("read").config(&config).catalog(&catalog);
        let run = command.signal_after_bytes(signal, 100_000).run();
        assert_eq!(run.code, Some(75), "{}", run.transcript());
        assert_eq!(run.statuses("orders").last(), Some(&"INCOMPLETE"));
        ReadCheck::new(&run, &catalog).cut().assert();
        assert_eq!(run.errors()[0].failure_type, "transient_error");
        let covered: f64 = run
            .states("orders")
            .iter()
            .map(|state| state.value["state"]["sourceStats"]["recordCount"].as_f64().unwrap())
            .sum();
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        let records = run.records("orders").len() as f64;
        assert!(
            records > 0.0 && (covered - records).abs() < 0.5,
            "every emitted record is covered: {covered} of {records}"
        );

        let mut destination = Destination::with_catalog(false, &catalog);
        destination.take(&run);
        store.options(|options| options.fault = None);
        let rest = read(&config, &catalog, &destination.state_list());
        assert_eq!(rest.code, Some(0));
        assert!(rest.records("orders").len() < 400, "it goes on where it was");
        destination.take(&rest);
        store.data(|data| destination.compare(data, "orders", "orders", None, None)).assert_clean("after the signal");
    }
}

#[test]
fn stdout_on_a_full_disk_is_an_error() {
    let store = Setup::still(scattered("orders", 50, 1)).start(SignIn::Token);
    let files = Files::new();
    let config = files.write("config.json", &config(SignIn::Token, &store).to_string());
    let catalog = files.write("catalog.json", &configured(&[("orders", "incremental")]).to_string());
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = Process::new(env!("CARGO_BIN_EXE_source-cart"))
        .args(["read", "--config"])
        .arg(config)
        .arg("--catalog")
        .arg(catalog)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(full)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(74));
    let reported = String::from_utf8(output.stderr).unwrap();
    assert!(reported.lines().count() == 1 && reported.contains("stdout cannot be written"), "{reported}");
}
