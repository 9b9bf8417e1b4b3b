//! States of every shape that was ever written keep working: `states/` holds one file for each. A
//! file is never changed or taken away; a new shape adds one.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::fake_store::{Data, Options, Stamp, utc_ms};
use crate::harness::command::{Command, Signal};
use crate::harness::files::{START, configured, discovered};
use crate::harness::order::assert_read_is_well_formed;
use crate::harness::run::Run;
use crate::harness::setup::{SignIn, config, config_with, minutes, read, start};

/// Rows 1 to 100 a minute apart; row 11 is of 10:30, row 100 of 11:59.
fn store() -> crate::fake_store::FakeStore {
    let data = minutes("orders", 1, 100);
    assert_eq!(data.row("orders", 100).unwrap().updated_at.ms(), Some(data.now_ms - 60_000));
    start(SignIn::Token, Options { max_count: Some(20), ..Options::default() }, data)
}

/// The ids that must come, and those that may.
fn expected(file: &str) -> (BTreeSet<i64>, BTreeSet<i64>) {
    let all = || (1..=100).collect();
    match file {
        "full_refresh_finished" | "full_refresh_finished_with_a_cursor" => (all(), all()),
        "full_refresh_finished_by_this_job" => (BTreeSet::new(), BTreeSet::new()),
        // From the cursor's two minutes of overlap on; what is remembered does not come again.
        "finished_with_recent_rows" => ((12..=100).collect(), [9].into_iter().chain(12..=100).collect()),
        // The ranges that are left, and what is newer than the walk.
        "first_walk_interrupted" | "full_refresh_interrupted" | "full_refresh_interrupted_beside_a_state" => {
            ((11..=50).chain(61..=100).collect(), (11..=50).chain(61..=100).collect())
        }
        "later_walk_interrupted" => {
            ((12..=50).chain([98, 100]).collect(), [9, 10].into_iter().chain(12..=50).chain([98, 100]).collect())
        }
        _ => ((9..=100).collect(), (9..=100).collect()),
    }
}

#[test]
fn every_shape_ever_written_is_still_understood() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/integration_tests/fixtures/states");
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let state = fs::read_to_string(&path).unwrap();
        let mode = if file.starts_with("full_refresh") { "full_refresh" } else { "incremental" };
        let store = store();
        let mut catalog = configured(&[("orders", mode)]);
        catalog["streams"][0]["sync_id"] = json!(1);
        let run = read(&config(SignIn::Token, &store), &catalog, &state);
        assert_eq!(run.code, Some(0), "{file}: {}", run.transcript());
        assert_read_is_well_formed(&run, &catalog);
        let came: BTreeSet<i64> = run.ids("orders").into_iter().collect();
        let (must, may) = expected(&file);
        assert!(must.is_subset(&came) && came.is_subset(&may), "{file}: {came:?}");
        files += 1;
    }
    assert!(files >= 10, "{files} files");
}

fn state(at: &str) -> String {
    json!([{"type": "STREAM", "stream": {"stream_descriptor": {"name": "orders"}, "stream_state": {"updated_at": at}}}])
        .to_string()
}

#[test]
fn a_state_in_the_far_future_is_set_back_to_the_stores_clock() {
    let store = store();
    let catalog = configured(&[("orders", "incremental")]);
    let run = read(&config(SignIn::Token, &store), &catalog, &state("2051-01-01T00:00:00Z"));
    assert_read_is_well_formed(&run, &catalog);
    assert_eq!((run.code, run.records("orders").len()), (Some(0), 0), "all rows are older than the store's clock");
    let cursor = run.last_state("orders").unwrap()["updated_at"].as_str().unwrap().to_owned();
    assert!(cursor.as_str() < "2051", "{cursor}");
    let warnings = run.warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("ahead of the store's clock"), "{warnings:?}");
}

#[test]
fn a_state_older_than_the_start_date_reads_from_the_start_date() {
    let store = store();
    let catalog = configured(&[("orders", "incremental")]);
    let config = config_with(&store, &json!({"start_date": "2024-11-18T11:00:00Z"}));
    let run = read(&config, &catalog, &state("2011-01-01T00:00:00Z"));
    let mut came = run.ids("orders");
    came.sort_unstable();
    assert_eq!(came, (41..=100).collect::<Vec<i64>>());
}

#[test]
fn the_python_connectors_name_of_a_stream_serves_its_new_name() {
    let data = minutes("customers", 1, 100);
    let store = start(SignIn::Token, Options::default(), data);
    let state = state("2024-11-18T11:30:00Z").replace("orders", "customers_cart");
    let run = read(&config(SignIn::Token, &store), &configured(&[("customers", "incremental")]), &state);
    let mut came = run.ids("customers");
    came.sort_unstable();
    assert_eq!(came, (69..=100).collect::<Vec<i64>>());
}

#[test]
fn a_walk_that_was_interrupted_under_other_dates_begins_anew() {
    let store = store();
    let catalog = configured(&[("orders", "incremental")]);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/integration_tests/fixtures/states/first_walk_interrupted.json");
    let state = fs::read_to_string(path).unwrap();
    let config = config_with(&store, &json!({"start_date": "1999-01-01T00:00:00Z"}));
    let run = read(&config, &catalog, &state);
    assert_eq!(run.records("orders").len(), 100, "an earlier start date may want what was left out");
}

/// The state of a walk to row 100 that was interrupted behind row 50.
fn interrupted(stream: &str, more: &Value) -> String {
    let mut walk = json!({"from": START, "until": "2024-11-18T11:59:00Z", "left": [[50, 100]], "top": 100, "read": 50});
    walk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let stream = json!({"stream_descriptor": {"name": stream}, "stream_state": {"walk": walk}});
    json!([{"type": "STREAM", "stream": stream}]).to_string()
}

#[test]
fn rows_without_a_date_added_since_a_walk_was_interrupted_are_read() {
    let mut data = minutes("products", 1, 100);
    data.insert_lean("products", 101, Stamp::Null, Stamp::Null);
    let store = start(SignIn::Token, Options { max_count: Some(20), ..Options::default() }, data);
    let catalog = configured(&[("products", "incremental")]);
    let run = read(&config(SignIn::Token, &store), &catalog, &interrupted("products", &json!({"undated": true})));
    let came: BTreeSet<i64> = run.ids("products").into_iter().collect();
    assert!((51..=101).all(|id| came.contains(&id)), "no date filter would ever bring 101: {came:?}");
}

#[test]
fn an_import_since_a_walk_was_interrupted_comes_once() {
    // More rows than a state can name, all of one date behind the walk's.
    let mut data = Data::empty();
    let date = Stamp::At(data.now_ms);
    (26..=1_500).for_each(|row| data.insert_lean("orders", row * 2, date, date));
    let store = start(SignIn::Token, Options::default(), data);
    let catalog = configured(&[("orders", "incremental")]);
    let run = read(
        &config(SignIn::Token, &store),
        &catalog,
        &interrupted("orders", &json!({"left": [[50, 3000]], "top": 3000})),
    );
    assert_eq!((run.code, run.records("orders").len()), (Some(0), 1_475), "each once");
}

#[test]
fn a_full_refresh_goes_on_from_its_own_checkpoints_only() {
    let store = store();
    let catalog = configured(&[("orders", "full_refresh")]);
    for file in ["finished", "first_walk_interrupted", "later_walk_interrupted"] {
        let path = format!("{}/integration_tests/fixtures/states/{file}.json", env!("CARGO_MANIFEST_DIR"));
        let run = read(&config(SignIn::Token, &store), &catalog, &fs::read_to_string(path).unwrap());
        assert_eq!(run.records("orders").len(), 100, "{file}");
        assert!(run.last_state("orders").unwrap().get("full").is_none(), "{file}");
    }
}

/// Reads orders in a mode, as this job.
fn job(store: &crate::fake_store::FakeStore, mode: &str, ids: Option<(i64, i64)>, state: &str) -> Run {
    let mut catalog = configured(&[("orders", mode)]);
    let configured = catalog["streams"][0].as_object_mut().unwrap();
    for (key, id) in [("generation_id", ids.map(|ids| ids.0)), ("sync_id", ids.map(|ids| ids.1))] {
        configured.insert(key.to_owned(), json!(id));
    }
    let run = read(&config(SignIn::Token, store), &catalog, state);
    assert_eq!(run.code, Some(0), "{}", run.transcript());
    assert_read_is_well_formed(&run, &catalog);
    run
}

#[test]
fn a_finished_full_refresh_leaves_the_state_of_an_incremental_sync() {
    // In one answer, and in a walk.
    for count in [1_000, 20] {
        let store = store();
        store.options(|options| options.max_count = Some(count));
        let incremental = job(&store, "incremental", None, "");
        let refresh = job(&store, "full_refresh", None, &incremental.last_state_list());
        assert_eq!(refresh.records("orders").len(), 100);
        assert_eq!(refresh.last_state("orders"), incremental.last_state("orders"));
        // An incremental run goes on from there, another full refresh from nothing.
        assert_eq!(job(&store, "incremental", None, &refresh.last_state_list()).records("orders").len(), 0);
        assert_eq!(job(&store, "full_refresh", None, &refresh.last_state_list()).records("orders").len(), 100);
    }
}

#[test]
fn a_further_attempt_of_the_job_that_finished_a_full_refresh_reads_nothing() {
    // The streams that a platform gives their states back, and the protocol's rule for them.
    for stream in discovered()["streams"].as_array().unwrap() {
        let is_dated = stream.get("default_cursor_field").is_some();
        for key in ["is_resumable", "source_defined_cursor"] {
            assert_eq!(stream[key] == true, is_dated, "{key} of {}", stream["name"]);
        }
    }
    let store = store();
    let first = job(&store, "full_refresh", Some((3, 7)), "");
    let state = first.last_state("orders").unwrap();
    assert_eq!((&state["generation_id"], &state["sync_id"]), (&json!(3), &json!(7)));
    store.clear_requests();
    let again = job(&store, "full_refresh", Some((3, 7)), &first.last_state_list());
    assert_eq!((store.requests().len(), again.records("orders").len()), (0, 0));
    assert_eq!((again.last_state("orders"), again.statuses("orders").last()), (Some(state), Some(&"COMPLETE")));
    // Another job, another generation, a launcher that numbers nothing, and one that always says 0.
    for ids in [Some((3, 8)), Some((4, 7)), None] {
        assert_eq!(job(&store, "full_refresh", ids, &first.last_state_list()).records("orders").len(), 100, "{ids:?}");
    }
    let zero = job(&store, "full_refresh", Some((0, 0)), "");
    assert_eq!(job(&store, "full_refresh", Some((0, 0)), &zero.last_state_list()).records("orders").len(), 100);
    // The cursor is that of an incremental sync.
    assert_eq!(job(&store, "incremental", Some((3, 7)), &first.last_state_list()).records("orders").len(), 0);
}

#[test]
fn an_interrupted_full_refresh_keeps_the_incremental_state_with_its_checkpoint() {
    let store = store();
    store.options(|options| options.latency = std::time::Duration::from_millis(10));
    let before = job(&store, "incremental", None, "");
    let config = config_with(&store, &json!({"max_requests_in_flight": 1}));
    let command = Command::new("read").config(&config).catalog(&configured(&[("orders", "full_refresh")]));
    let stopped = command.state(&before.last_state_list()).signal_after_bytes(Signal::Term, 12_000).run();
    let state = stopped.last_state("orders").unwrap();
    assert!(state["full"] == true && state["walk"]["left"].is_array(), "{}", stopped.transcript());
    assert_eq!(Some(&state["kept"]), before.last_state("orders"));
    // The incremental sync goes on from where it was; the refresh from its checkpoint.
    assert_eq!(job(&store, "incremental", None, &stopped.last_state_list()).records("orders").len(), 0);
    let rest = job(&store, "full_refresh", None, &stopped.last_state_list());
    assert_eq!(stopped.records("orders").len() + rest.records("orders").len(), 100);
    assert_eq!(rest.last_state("orders").unwrap()["updated_at"], before.last_state("orders").unwrap()["updated_at"]);
}

#[test]
fn an_incremental_sync_starts_over_from_the_checkpoint_of_a_full_refresh() {
    let store = store();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/integration_tests/fixtures/states/full_refresh_interrupted.json");
    let run = job(&store, "incremental", None, &fs::read_to_string(path).unwrap());
    assert_eq!(run.records("orders").len(), 100, "what the refresh had read is not known to be kept");
}

#[test]
fn a_walk_with_other_columns_starts_over_with_a_warning() {
    let store = store();
    let config = config_with(&store, &json!({"max_requests_in_flight": 1}));
    for mode in ["incremental", "full_refresh"] {
        let all = configured(&[("orders", mode)]);
        let mut fewer = all.clone();
        let columns = fewer.pointer_mut("/streams/0/stream/json_schema/properties").unwrap();
        columns.as_object_mut().unwrap().remove("source");
        store.options(|options| options.latency = std::time::Duration::from_millis(10));
        let stopped =
            Command::new("read").config(&config).catalog(&fewer).signal_after_bytes(Signal::Term, 12_000).run();
        let came = stopped.records("orders").len();
        assert!(stopped.last_state("orders").unwrap()["walk"].is_object() && came > 0, "{}", stopped.transcript());
        store.options(|options| options.latency = std::time::Duration::ZERO);
        let same = read(&config, &fewer, &stopped.last_state_list());
        assert_eq!((came + same.records("orders").len(), same.warnings().len()), (100, 0), "{mode}");
        let other = read(&config, &all, &stopped.last_state_list());
        assert_eq!(other.records("orders").len(), 100, "{mode}");
        let warnings = other.warnings();
        assert!(warnings.len() == 1 && warnings[0].starts_with("The columns of `orders` have changed"), "{warnings:?}");
        assert!(same.last_state("orders").unwrap().get("columns").is_none(), "finished");
    }
}

#[test]
fn ranges_that_overlap_are_read_once_and_warned_of() {
    let store = store();
    let catalog = configured(&[("orders", "incremental")]);
    let state = interrupted("orders", &json!({"left": [[60, 100], [20, 70], [50, 65]], "top": 100, "read": 20}));
    let run = read(&config(SignIn::Token, &store), &catalog, &state);
    let mut came = run.ids("orders");
    came.sort_unstable();
    assert_eq!(came, (21..=100).collect::<Vec<i64>>());
    let warnings = run.warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("ranges of ids that overlap"), "{warnings:?}");
}

#[test]
fn a_state_that_nothing_uses_is_warned_of() {
    let store = store();
    let catalog = configured(&[("orders", "incremental")]);
    let cursor = json!({"updated_at": "2024-11-18T11:30:00Z"});
    for (state, reported) in [
        (json!({"ordrs": cursor}), "`ordrs`, which is not a stream, so nothing uses it. Did you mean `orders`?"),
        (json!({"Orders": cursor}), "`Orders`, which is not a stream, so nothing uses it. Did you mean `orders`?"),
        (json!({"orders": {"cursor": "2024-11-18T11:30:00Z"}}), "The state of `orders` holds nothing that this"),
        (json!({"type": "LOG", "log": {}}), "contains messages but no STATE"),
    ] {
        let run = read(&config(SignIn::Token, &store), &catalog, &state.to_string());
        assert_eq!((run.code, run.records("orders").len()), (Some(0), 100));
        let warnings = run.warnings();
        assert!(warnings.len() == 1 && warnings[0].contains(reported), "{state}: {warnings:?}");
    }
    // States of streams that are not read now, and those that say "nothing yet".
    for state in ["", "[]", r#"{"pages": {"updated_at": "2024-11-18T11:30:00Z"}, "orders": {}}"#] {
        assert_eq!(read(&config(SignIn::Token, &store), &catalog, state).warnings(), Vec::<&str>::new(), "{state}");
    }
}

#[test]
fn pages_that_bring_nothing_are_claimed_too() {
    // A store that ignores dates lists 20 pages of rows outside them; a kill must not cost all of these.
    let store = start(
        SignIn::Token,
        Options { max_count: Some(20), ignore_date_filter: true, ..Options::default() },
        minutes("orders", 1, 400),
    );
    let catalog = configured(&[("orders", "incremental")]);
    let run = read(&config(SignIn::Token, &store), &catalog, &state("2024-11-18T11:59:30Z"));
    let came: BTreeSet<i64> = run.ids("orders").into_iter().collect();
    assert_eq!(came, BTreeSet::from([399, 400]));
    let left = run.states("orders")[0].stream_state().unwrap()["walk"]["left"].clone();
    assert!(left.as_array().is_some_and(|left| !left.is_empty()), "a state on the way: {left}");
}

#[test]
fn a_cursor_never_goes_back() {
    // The row that gave the cursor is gone; more than a page of rows lies shortly before it.
    let mut data = Data::empty();
    let date = Stamp::At(utc_ms("2024-11-18T11:29:30Z"));
    (1..=50).for_each(|id| data.insert_lean("orders", id, date, date));
    let store = start(SignIn::Token, Options { max_count: Some(20), ..Options::default() }, data);
    let catalog = configured(&[("orders", "incremental")]);
    let run = read(&config(SignIn::Token, &store), &catalog, &state("2024-11-18T11:30:00Z"));
    assert_eq!(run.records("orders").len(), 50);
    assert_eq!(run.last_state("orders").unwrap()["updated_at"], "2024-11-18T11:30:00Z");
}

#[test]
fn rows_without_a_date_of_a_small_table_are_sent_again_when_they_change() {
    // In a stream where such rows are expected, and in one where they are not.
    for (stream, field) in [("order_statuses", "name"), ("orders", "source")] {
        let mut data = minutes(stream, 1, 3);
        data.set_updated_at(stream, 2, Stamp::Null);
        let store = start(SignIn::Token, Options::default(), data);
        let (config, catalog) = (config(SignIn::Token, &store), configured(&[(stream, "incremental")]));
        let first = read(&config, &catalog, "");
        let second = read(&config, &catalog, &first.last_state_list());
        assert_eq!((first.records(stream).len(), second.records(stream).len()), (3, 0));
        store.data(|data| data.set_field(stream, 2, field, "\"Renamed\""));
        let third = read(&config, &catalog, &second.last_state_list());
        assert_eq!(third.ids(stream), [2]);
    }
}

#[test]
fn rows_from_before_the_dates_asked_for_cost_no_row_of_them() {
    // The greatest keys belong to rows before `start_date`, which the first question shows as well.
    let mut data = minutes("orders", 1, 60);
    for id in 100..200 {
        let date = Stamp::At(utc_ms("2023-01-01T00:00:00Z") + id);
        data.insert_lean("orders", id, date, date);
    }
    let store = start(SignIn::Token, Options { max_count: Some(80), ..Options::default() }, data);
    let config = config_with(&store, &json!({"start_date": "2024-01-01T00:00:00Z"}));
    for mode in ["incremental", "full_refresh"] {
        let run = read(&config, &configured(&[("orders", mode)]), "");
        let mut came = run.ids("orders");
        came.sort_unstable();
        assert_eq!(came, (1..=60).collect::<Vec<i64>>(), "{mode}");
        assert_eq!((run.code, run.warnings(), run.estimate("orders")), (Some(0), Vec::new(), Some(60)), "{mode}");
    }
    assert_eq!(
        store.requests().len(),
        2 * 4,
        "the new end, the old end, one page from the top, and a count of the rest"
    );
}

#[test]
fn rows_without_a_date_that_fit_one_answer_are_all_remembered() {
    let mut data = Data::empty();
    (1..=999).for_each(|id| data.insert_lean("products", id, Stamp::Null, Stamp::Null));
    let store = start(SignIn::Token, Options::default(), data);
    let (config, catalog) = (config(SignIn::Token, &store), configured(&[("products", "incremental")]));
    let first = read(&config, &catalog, "");
    let second = read(&config, &catalog, &first.last_state_list());
    assert_eq!((first.records("products").len(), second.records("products").len()), (999, 0));
    assert!(first.last_state_list().len() < 32 * 1024);
}

#[test]
fn states_stay_within_their_bound_however_many_rows_tie() {
    // 32 KiB for the rows of the overlap, twice while a walk is under way, and its ranges.
    const BOUND: usize = 2 * 32 * 1024 + 4 * 1024;
    let mut data = Data::empty();
    let at = Stamp::At(data.now_ms);
    for row in 0..6_000 {
        data.insert_lean("orders", row * 3 + 1, at, at);
    }
    let store = start(SignIn::Token, Options::default(), data);
    let catalog = configured(&[("orders", "incremental")]);
    let first = read(&config(SignIn::Token, &store), &catalog, "");
    let second = read(&config(SignIn::Token, &store), &catalog, &first.last_state_list());
    assert_eq!((first.records("orders").len(), second.records("orders").len()), (6_000, 0));
    for run in [&first, &second] {
        let longest = run.states("orders").iter().map(|state| state.line.len()).max().unwrap();
        assert!(longest < BOUND, "{longest} bytes");
    }
    let ranges = first.last_state("orders").unwrap()["sent"]["ranges"].as_array().unwrap().clone();
    let rows: i64 = ranges.iter().map(|range| range[2].as_i64().unwrap()).sum();
    assert!(ranges.len() <= 250 && rows == 6_000, "only ranges are kept: {ranges:?}");
    store.data(|data| data.touch("orders", 3_001));
    let third = read(&config(SignIn::Token, &store), &catalog, &second.last_state_list());
    let came = third.ids("orders");
    assert!(came.contains(&3_001) && came.len() < 200, "one change costs at most its range: {}", came.len());
}

#[test]
fn a_row_dated_in_the_future_does_not_become_the_cursor() {
    // Once with all rows in one answer, and once with a walk.
    for count in [200, 20] {
        let store = store();
        store.options(|options| options.max_count = Some(count));
        store.data(|data| {
            let far = Stamp::At(utc_ms("2140-01-01T00:00:00Z"));
            data.insert_lean("orders", 101, far, far);
        });
        let (config, catalog) = (config(SignIn::Token, &store), configured(&[("orders", "incremental")]));
        let first = read(&config, &catalog, "");
        assert_eq!(first.records("orders").len(), 101);
        store.data(|data| data.touch("orders", 5));
        let second = read(&config, &catalog, &first.last_state_list());
        assert_eq!(second.ids("orders"), [5], "{count} rows an answer\n{}", second.transcript());
        let third = read(&config, &catalog, &second.last_state_list());
        assert_eq!(third.records("orders").len(), 0);
    }
}

#[test]
fn an_end_date_that_was_lowered_under_a_walk_costs_no_row() {
    let store = store();
    let catalog = configured(&[("orders", "incremental")]);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/integration_tests/fixtures/states/first_walk_interrupted.json");
    let lowered = config_with(&store, &json!({"end_date": "2024-11-18T11:30:00Z"}));
    let first = read(&lowered, &catalog, &fs::read_to_string(path).unwrap());
    let second = read(&config(SignIn::Token, &store), &catalog, &first.last_state_list());
    let came: BTreeSet<i64> = first.ids("orders").into_iter().chain(second.ids("orders")).collect();
    // What the interrupted walk had read already may or may not come again.
    let missing: Vec<i64> = (11..=50).chain(61..=100).filter(|id| !came.contains(id)).collect();
    assert_eq!(missing, Vec::<i64>::new());
}
