//! `--format` and `--output`: only records, as JSON lines and CSV, on stdout and in files.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cases::state_file::changed;
use crate::fake_store::{Data, FakeStore, Options, Token, utc_ms};
use crate::harness::command::{Command, Signal};
use crate::harness::destination::Destination;
use crate::harness::files::{Files, START, TOKEN, configured, discovered_stream};
use crate::harness::json;
use crate::harness::run::Output;
use crate::harness::setup::{Chance, SignIn, config, config_with, no_state, nobody, only_error, read, start};
use crate::scenarios::run::Setup;
use crate::scenarios::stores::{churn, removing, scattered};

/// Runs a read of records without messages. Its output has no secret.
fn bare(command: &Command<'_>) -> Output {
    let output = command.output();
    assert!(!output.stderr.contains(TOKEN));
    assert!(!output.stderr.contains("{\"type\""), "words, no messages: {}", output.stderr);
    output
}

fn reading<'a>(store: &FakeStore, streams: &[(&str, &str)], format: &str) -> Command<'a> {
    let command = Command::new("read").config(&config(SignIn::Token, store)).catalog(&configured(streams));
    command.arg("--format").arg(format)
}

/// Parses CSV; `None` is an empty cell without quotes. Written from RFC 4180.
fn parsed(text: &str) -> Vec<Vec<Option<String>>> {
    let mut rows = vec![vec![]];
    let mut letters = text.chars().peekable();
    while letters.peek().is_some() {
        let mut cell = None;
        if letters.next_if_eq(&'"').is_some() {
            let mut inside = String::new();
            loop {
                match letters.next().unwrap() {
                    '"' if letters.next_if_eq(&'"').is_some() => inside.push('"'),
                    '"' => break,
                    letter => inside.push(letter),
                }
            }
            cell = Some(inside);
        } else {
            while let Some(letter) = letters.next_if(|&letter| letter != ',' && letter != '\n') {
                cell.get_or_insert_with(String::new).push(letter);
            }
        }
        rows.last_mut().unwrap().push(cell);
        match letters.next() {
            Some(',') => {}
            Some('\n') => rows.push(vec![]),
            other => panic!("{other:?} after a cell"),
        }
    }
    assert_eq!(rows.pop(), Some(vec![]), "the last row is ended");
    rows
}

/// Returns true if a CSV cell has the same value as the JSON: the types of the schema tell a number from a
/// string of digits.
fn same(raw: &str, cell: Option<&String>) -> bool {
    match (raw, cell) {
        ("null", cell) => cell.is_none(),
        (raw, Some(cell)) if raw.starts_with('"') => json::string(raw).as_ref() == Some(cell),
        (raw, Some(cell)) => raw == cell,
        (_, None) => false,
    }
}

/// Returns the files of a folder by name, except the lock.
fn content(folder: &Path) -> BTreeMap<String, String> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let text = |path: PathBuf| (name(&path), fs::read_to_string(&path).unwrap());
    files.map(text).filter(|(name, _)| name != ".source-cart.lock").collect()
}

fn names(folder: &Path) -> Vec<String> {
    content(folder).into_keys().collect()
}

#[test]
fn json_lines_are_the_data_of_the_records_and_nothing_else() {
    let store = start(SignIn::Token, Options::default(), Data::sample(2, 60));
    let selection = [("orders", "full_refresh"), ("order_statuses", "full_refresh")];
    let output = bare(&reading(&store, &selection, "jsonl"));
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let run = read(&config(SignIn::Token, &store), &configured(&selection), &no_state());
    let mut expected: Vec<&str> = run.data("orders");
    expected.extend(run.data("order_statuses"));
    expected.sort_unstable();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, expected);
    for reported in ["orders: started.", "orders: 60 rows read (the store counted 60)", "orders: complete."] {
        assert!(output.stderr.contains(reported), "{}", output.stderr);
    }
    let quiet = bare(&reading(&store, &selection, "jsonl").arg("--quiet"));
    assert_eq!((quiet.code, quiet.stderr.as_str()), (Some(0), ""));
}

#[test]
fn csv_has_the_columns_of_the_schema_and_the_digits_of_the_store() {
    let mut data = Data::sample(4, 40);
    let first = data.ids("orders")[0];
    let digits = "123456789012345678901234567890.1000";
    for (field, raw) in [
        ("grand_total", digits),
        ("special_instructions", r#""say \"hi\",\r\ntwice""#),
        ("public_comments", "\"\""),
        ("due_date", "null"),
        ("brand_new", r#"{"a":[1.50]}"#),
    ] {
        data.set_field("orders", first, field, raw);
    }
    let store = start(SignIn::Token, Options::default(), data);
    let output = bare(&reading(&store, &[("orders", "full_refresh")], "csv"));
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let run = read(&config(SignIn::Token, &store), &configured(&[("orders", "full_refresh")]), &no_state());
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = parsed(&text);
    let header: Vec<&str> = rows[0].iter().map(|name| name.as_deref().unwrap()).collect();
    let schema = include_str!("../../schemas/cart/orders.json");
    let places: Vec<usize> =
        header[..header.len() - 1].iter().map(|name| schema.find(&format!("\"{name}\": {{")).unwrap()).collect();
    assert!(places.is_sorted() && header[0] == "id" && header.last() == Some(&"_extra"), "{header:?}");
    let declared = discovered_stream("orders").unwrap()["json_schema"]["properties"].as_object().unwrap();
    assert_eq!(header.len(), declared.len() + 1);

    assert_eq!(rows.len(), 41);
    let records: BTreeMap<String, json::Fields> =
        run.records("orders").iter().map(|record| (record.field("id").unwrap(), record.fields())).collect();
    for row in &rows[1..] {
        let mut record = records[row[0].as_ref().unwrap()].clone();
        for (name, cell) in header.iter().zip(row) {
            if *name != "_extra" {
                let raw = record.remove(*name).unwrap_or_else(|| "null".to_owned());
                assert!(same(&raw, cell.as_ref()), "{name}: {raw} became {cell:?}");
            }
        }
        let extra = row.last().unwrap().as_ref().map_or_else(json::Fields::new, |text| json::object(text).unwrap());
        assert_eq!(record, extra, "what no column holds is in the last");
    }
    assert!(text.contains(digits) && text.contains(",\"\","), "an empty text is not null");
    assert!(text.contains(r#""{""brand_new"":{""a"":[1.50]}}""#));
}

#[test]
fn csv_without_rows_is_a_header() {
    let store = start(SignIn::Token, Options::default(), Data::empty());
    let output = bare(&reading(&store, &[("orders", "full_refresh")], "csv"));
    assert_eq!((output.code, output.stdout.iter().filter(|&&byte| byte == b'\n').count()), (Some(0), 1));
    assert!(output.stdout.starts_with(b"id,"));
}

#[test]
fn conflicting_options_are_refused_in_one_sentence() {
    let refused = |arguments: &[&str]| {
        let catalog = configured(&[("orders", "incremental"), ("pages", "incremental")]);
        let command = Command::new("read").config(&nobody()).catalog(&catalog);
        arguments.iter().fold(command, |command, argument| command.arg(argument))
    };
    let run = refused(&["--output", "x"]).run();
    assert_eq!((run.code, run.messages.len()), (Some(1), 1));
    let messages = only_error(&run);
    let files = Files::new();
    let file = files.write("file", "").display().to_string();
    let words = |arguments: &[&str]| {
        let output = bare(&refused(arguments));
        assert_eq!((output.code, output.stdout.len()), (Some(1), 0));
        output.stderr.replace(&file, "FILE")
    };
    let csv = words(&["--format", "csv"]);
    let no_folder = words(&["--format", "csv", "--output", &file]);
    insta::assert_snapshot!([messages, csv, no_folder].join("\n"));
    let config_fault =
        bare(&Command::new("read").file("config", "{").arg("--streams").arg("orders").arg("--format").arg("jsonl"));
    assert_eq!((config_fault.code, config_fault.stdout.len()), (Some(1), 0));
    assert!(config_fault.stderr.starts_with("error: The config is not valid JSON"), "{}", config_fault.stderr);
}

#[test]
fn each_run_writes_its_own_files_and_changes_no_earlier_one() {
    let store = start(SignIn::Token, Options::default(), Data::sample(3, 50));
    let files = Files::new();
    let (folder, state) = (files.path("out"), files.path("state.json").display().to_string());
    let run = || {
        let selection = [("orders", "incremental"), ("order_statuses", "incremental")];
        let command = reading(&store, &selection, "jsonl").arg("--output").arg(&folder.display().to_string());
        let output = bare(&command.arg("--state").arg(&state).arg("--state-out").arg(&state));
        assert_eq!((output.code, output.stdout.len()), (Some(0), 0), "{}", output.stderr);
    };
    run();
    assert_eq!(names(&folder), ["order_statuses.jsonl", "orders.jsonl"]);
    let first = content(&folder);
    assert_eq!(first["orders.jsonl"].lines().count(), 50);

    run();
    assert_eq!(content(&folder), first, "no record, no file");

    let changed = store.data(|data| {
        data.tick(60_000);
        let id = data.ids("orders")[3];
        data.touch("orders", id);
        id
    });
    run();
    assert_eq!(names(&folder), ["order_statuses.jsonl", "orders.jsonl", "orders.run0002.jsonl"]);
    let third = content(&folder);
    assert_eq!(
        (&third["orders.jsonl"], &third["order_statuses.jsonl"]),
        (&first["orders.jsonl"], &first["order_statuses.jsonl"])
    );
    assert_eq!(third["orders.run0002.jsonl"].lines().count(), 1);
    assert!(third["orders.run0002.jsonl"].contains(&format!("\"id\":{changed},")));
}

#[test]
fn a_stream_that_fails_keeps_its_rows_and_the_others_their_files() {
    let options = Options { tokens: vec![Token::new(TOKEN, &["read_orders"])], ..Options::default() };
    let store = start(SignIn::Token, options, Data::sample(1, 20));
    let files = Files::new();
    let command = reading(&store, &[("orders", "incremental"), ("products", "incremental")], "csv");
    let output = bare(&command.arg("--output").arg(&files.path("out").display().to_string()));
    assert_eq!(output.code, Some(1));
    assert_eq!(names(&files.path("out")), ["orders.csv"]);
    assert!(output.stderr.contains("error: products: ") && output.stderr.contains("products: incomplete."));

    let setup = Setup::still(scattered("orders", 600, 5));
    let store = setup.start(SignIn::Token);
    store.options(|options| options.latency = std::time::Duration::from_millis(10));
    let folder = files.path("signal");
    let state = files.path("state.json").display().to_string();
    let command =
        reading(&store, &[("orders", "incremental")], "jsonl").arg("--output").arg(&folder.display().to_string());
    let command = command.arg("--state-out").arg(&state);
    let output = bare(&command.signal_when(Signal::Term, || store.requests().len() > 15));
    assert_eq!(output.code, Some(75), "{}", output.stderr);
    assert_eq!(names(&folder), ["orders.jsonl"], "what was read is there, and the state knows of it");
    let came = content(&folder)["orders.jsonl"].lines().count();
    let rest = reading(&store, &[("orders", "incremental")], "jsonl").arg("--state").arg(&state);
    let rest = bare(&rest).stdout.iter().filter(|&&byte| byte == b'\n').count();
    assert!(came > 0 && came + rest == 600, "{came} and {rest}");
}

#[test]
fn a_folder_in_use_is_not_written_to_by_a_second_sync() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 20));
    let files = Files::new();
    let folder = files.path("out");
    fs::create_dir(&folder).unwrap();
    let lock = fs::File::create(folder.join(".source-cart.lock")).unwrap();
    lock.lock().unwrap();
    fs::write(folder.join("orders.jsonl.partial"), "{\"id\":1}\n{").unwrap();
    let command =
        || reading(&store, &[("orders", "full_refresh")], "jsonl").arg("--output").arg(&folder.display().to_string());
    let refused = bare(&command());
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.starts_with("error: Another sync is writing to the folder"), "{}", refused.stderr);
    assert_eq!(names(&folder), ["orders.jsonl.partial"]);
    drop(lock);
    assert_eq!(bare(&command()).code, Some(0));
    assert_eq!(names(&folder), ["orders.jsonl", "orders.run0002.jsonl"]);
    assert_eq!(content(&folder)["orders.jsonl"], "{\"id\":1}\n");
}

#[test]
fn rows_that_cannot_be_written_end_the_sync_with_an_error_and_no_state() {
    let files = Files::new();
    let (folder, state) = (files.path("out"), files.path("state.json"));
    let setup = Setup::still(scattered("orders", 3000, 1)).changing(removing(folder.clone(), 1));
    let store = setup.start(SignIn::Token);
    let command =
        reading(&store, &[("orders", "incremental")], "jsonl").arg("--output").arg(&folder.display().to_string());
    let output = bare(&command.arg("--state-out").arg(&state.display().to_string()));
    assert_eq!((output.code, output.stdout.len()), (Some(74), 0), "{}", output.stderr);
    assert!(
        output.stderr.contains("out` cannot be written") && output.stderr.contains("source-cart: "),
        "{}",
        output.stderr
    );
    let kept = fs::read_to_string(&state).unwrap();
    assert!(!kept.contains("orders"), "{kept}");
    // A full stdout has the same effect.
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let config = files.write("config.json", &config(SignIn::Token, &store).to_string());
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_source-cart"));
    command.args(["read", "--streams", "orders", "--format", "csv", "--quiet", "--config"]).arg(config);
    let output = command.arg("--state-out").arg(&state).env_clear().stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(74));
    let reported = String::from_utf8(output.stderr).unwrap();
    assert!(reported.contains("stdout cannot be written"), "{reported}");
    assert!(!fs::read_to_string(&state).unwrap().contains("orders"));
}

/// Returns the records of a finished file, as messages of a run.
fn as_messages(name: &str, text: &str, catalog: &Value) -> Vec<u8> {
    let mut messages = Vec::new();
    let mut say = |data: &str| {
        writeln!(messages, r#"{{"type":"RECORD","record":{{"stream":"orders","emitted_at":1,"data":{data}}}}}"#)
            .unwrap();
    };
    if name.ends_with(".jsonl") {
        text.lines().for_each(say);
        return messages;
    }
    let rows = parsed(text);
    let declared = &catalog["streams"][0]["stream"]["json_schema"]["properties"];
    for row in &rows[1..] {
        let fields = rows[0].iter().zip(row).filter_map(|(name, cell)| {
            let name = name.as_ref().unwrap();
            let types = declared.get(name)?["type"].to_string();
            Some(match cell {
                None => format!("{name:?}:null"),
                Some(text) if types.contains("string") => format!("{name:?}:{}", json!(text)),
                Some(raw) => format!("{name:?}:{raw}"),
            })
        });
        say(&format!("{{{}}}", fields.collect::<Vec<_>>().join(",")));
    }
    messages
}

#[test]
fn after_a_kill_at_any_time_no_row_of_a_written_state_is_missing_in_the_files() {
    let mut kills = 0;
    for seed in 1..=3 {
        for format in ["jsonl", "csv"] {
            let setup = Setup::still(scattered("orders", 600, seed)).changing(churn("orders", seed));
            let store =
                setup.with(|options| options.latency = std::time::Duration::from_millis(2)).start(SignIn::Token);
            let config = config_with(&store, &json!({"max_requests_in_flight": 1 + seed % 3}));
            let catalog = configured(&[("orders", "incremental")]);
            let files = Files::new();
            let (folder, state) = (files.path("out"), files.path("state.json").display().to_string());
            // After this many requests, or, if none, as soon as a state is written.
            let run = |kill: Option<usize>| {
                let command = Command::new("read").config(&config).catalog(&catalog).arg("--format").arg(format);
                let command = command.arg("--output").arg(&folder.display().to_string());
                let command = command.arg("--state").arg(&state).arg("--state-out").arg(&state);
                store.clear_requests();
                let output = match kill {
                    Some(0) => command.kill_when(changed(Path::new(&state), 1)).output(),
                    Some(requests) => command.kill_when(|| store.requests().len() >= requests).output(),
                    None => command.output(),
                };
                assert!(output.interrupted || output.code == Some(0), "{}", output.stderr);
                output.interrupted
            };
            let mut chance = Chance::new(seed);
            for attempt in 0..12 {
                let requests = (attempt % 2) * (2 + usize::try_from(chance.below(40)).unwrap());
                if !run(Some(requests)) && attempt > 3 {
                    break;
                }
                kills += 1;
            }
            store.options(|options| options.live = None);
            run(None);
            run(None);
            let content = content(&folder);
            assert!(content.keys().all(|name| !name.contains("partial")), "{:?}", content.keys());
            // A file belongs to one run: no row is in it twice, and later files have later versions.
            let mut destination = Destination::with_catalog(true, &catalog);
            let first = content.get_key_value(&format!("orders.{format}"));
            for (name, text) in first.into_iter().chain(content.iter().filter(|(name, _)| name.contains(".run"))) {
                destination.take_bytes(&as_messages(name, text, &catalog));
            }
            let comparison =
                store.data(|data| destination.compare(data, "orders", "orders", Some(utc_ms(START)), None));
            comparison.assert_clean_with_missing_dates(&format!("seed {seed} {format}: {:?}", content.keys()));
        }
    }
    assert!(kills > 10, "{kills} kills");
}
