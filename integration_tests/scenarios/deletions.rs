//! Scenarios with `detect_deletions`: rows are inserted, updated, deleted and restored, and keys are used again, before
//! every request, and reads are killed. After the last quiet sync, a destination that acts upon the marks of deleted
//! rows equals the store, row for row.

use serde_json::json;

use crate::cases::deletions::declaring_deletions;
use crate::fake_store::{Data, Fault, RecordedRequest, Row};
use crate::harness::destination::Destination;
use crate::harness::files::configured;
use crate::harness::order::ReadCheck;
use crate::harness::setup::{Chance, SignIn, config, read};
use crate::scenarios::kills::{Kill, read_until_complete};
use crate::scenarios::run::{Setup, seeds};
use crate::scenarios::stores::{scattered, some_rows, touch_some};

/// Changes rows before a request. Restored rows and keys that are used again have the date of that moment, as any
/// other change.
fn changes(resource: &'static str, seed: u64) -> impl FnMut(&mut Data, &RecordedRequest) + Send + 'static {
    let mut chance = Chance::new(seed ^ 0xde1e7e);
    let mut gone: Vec<Row> = Vec::new();
    move |data, _| {
        touch_some(data, resource, &mut chance, 2);
        if chance.below(2) == 0 {
            data.add(resource);
        }
        for _ in 0..chance.below(3) {
            if let Some(id) = chance.pick(&data.ids(resource)) {
                gone.extend(data.row(resource, id).cloned());
                data.delete(resource, id);
            }
        }
        if chance.below(3) == 0 && !gone.is_empty() {
            let at = usize::try_from(chance.below(gone.len() as u64)).unwrap();
            let row = gone.swap_remove(at);
            let id = row.id;
            let row = if chance.below(2) == 0 { row } else { data.make(resource, id) };
            data.insert(resource, row);
            data.touch(resource, id);
        }
    }
}

/// Makes a third of the counts one too small.
fn lies(seed: u64) -> impl FnMut(&RecordedRequest) -> Option<Fault> + Send + 'static {
    let mut chance = Chance::new(seed ^ 0x11e5);
    move |seen| {
        let is_count = seen.param("count") == Some("1") && seen.param("id").is_some_and(|id| id.starts_with("lte:"));
        (is_count && chance.below(3) == 0).then(|| Fault::Changed {
            headers: Vec::new(),
            change: |body| {
                let text = String::from_utf8(body).unwrap();
                let (before, rest) = text.split_once("\"total_count\":").unwrap();
                let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap();
                let count: u64 = rest[..digits].parse().unwrap();
                format!("{before}\"total_count\":{}{}", count - u64::from(count > 1), &rest[digits..]).into_bytes()
            },
        })
    }
}

fn prove(seed: u64, kill: impl Fn(&mut Chance) -> Kill) {
    let setup = Setup::still(scattered("orders", some_rows(seed) * 2, seed)).changing(changes("orders", seed));
    let sign_in = if seed.is_multiple_of(2) { SignIn::Router } else { SignIn::Token };
    let store = setup.start(sign_in);
    store.options(|options| options.fault = Some(Box::new(lies(seed))));
    let mut config = config(sign_in, &store);
    config["max_requests_in_flight"] = (1 + seed % 3).into();
    config["detect_deletions"] = json!(["orders"]);
    config["max_deleted_percent"] = 100.into();
    let catalog = declaring_deletions(configured(&[("orders", "incremental")]));
    let keeps_uncovered = seed.is_multiple_of(5);
    let mut destination = Destination::with_catalog(keeps_uncovered, &catalog);
    let mut chance = Chance::new(seed);
    for _ in 0..3 {
        read_until_complete(&store, &config, &catalog, &mut destination, || kill(&mut chance));
    }
    // Nothing changes any more, and the store counts as it should.
    store.options(|options| (options.live, options.fault) = (None, None));
    for _ in 0..2 {
        let run = read(&config, &catalog, &destination.state_list());
        ReadCheck::new(&run, &catalog).assert();
        assert_eq!(run.code, Some(0), "{}", run.transcript());
        destination.take(&run);
    }
    let comparison = store.data(|data| destination.compare(data, "orders", "orders", None, None));
    if keeps_uncovered {
        // A row that was emitted after the last state of a killed read, and then deleted, is in no state.
        assert_eq!(comparison.problems(), Vec::<String>::new(), "seed {seed}");
    } else {
        comparison.assert_equal(&format!("seed {seed}"));
    }
    store.clear_requests();
    let quiet = read(&config, &catalog, &destination.state_list());
    assert!(quiet.records("orders").is_empty(), "seed {seed}\n{}", quiet.transcript());
}

#[test]
fn deleted_rows_leave_the_destination_while_rows_change() {
    for seed in seeds() {
        prove(seed, |_| Kill::Bytes(usize::MAX));
    }
}

#[test]
fn deleted_rows_leave_the_destination_although_reads_are_killed() {
    for seed in seeds() {
        prove(seed, |chance| match chance.below(3) {
            0 => Kill::Bytes(usize::MAX),
            1 => Kill::Bytes(60_000 + usize::try_from(chance.below(200_000)).unwrap()),
            _ => Kill::Requests(8 + usize::try_from(chance.below(30)).unwrap()),
        });
    }
}

#[test]
fn with_the_guard_tripped_nothing_is_deleted() {
    for seed in seeds() {
        let store = Setup::still(scattered("orders", some_rows(seed), seed)).start(SignIn::Token);
        let mut config = config(SignIn::Token, &store);
        config["detect_deletions"] = json!(["orders"]);
        let catalog = declaring_deletions(configured(&[("orders", "incremental")]));
        let mut destination = Destination::with_catalog(false, &catalog);
        destination.take(&read(&config, &catalog, &destination.state_list()));
        let before = destination.len("orders");
        let mut chance = Chance::new(seed);
        store.data(|data| {
            while data.ids("orders").len() >= before.div_ceil(2) {
                let id = chance.pick(&data.ids("orders")).unwrap();
                data.delete("orders", id);
            }
        });
        for _ in 0..2 {
            let run = read(&config, &catalog, &destination.state_list());
            assert_eq!((run.code, run.records("orders").len()), (Some(0), 0), "seed {seed}\n{}", run.transcript());
            destination.take(&run);
        }
        assert_eq!(destination.len("orders"), before);
    }
}
