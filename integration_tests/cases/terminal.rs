//! The output of `check` and `read` in a terminal: progress, waits, a table, errors as text. All
//! of it is on stderr; stdout does not change.

use std::fs;
use std::path::Path;

use rexpect::session::{PtySession, spawn_command};

use crate::fake_store::{Data, Fault, Limit, Options, RecordedRequest, Token};
use crate::harness::command::with_usual_signals;
use crate::harness::files::{Files, TOKEN};
use crate::harness::message::Message;
use crate::harness::setup::{SignIn, config, nobody, start};

/// Maximum time for a command in milliseconds, before it counts as hanging.
const LIMIT: u64 = 60_000;

/// Columns of a wide terminal; 80 is the usual default.
const WIDE: usize = 120;

/// Starts a shell that runs a command in a folder, in a terminal of this width, and prints its exit code.
fn shell(folder: &Path, columns: usize, line: &str, variables: &[(&str, &str)]) -> PtySession {
    let binary = Path::new(env!("CARGO_BIN_EXE_source-cart")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let mut shell = with_usual_signals("bash");
    shell.args(["-c", &format!("trap : INT; stty cols {columns} rows 40; {line}; echo exit code ${{PIPESTATUS[0]}}")]);
    shell.current_dir(folder).env_clear().env("PATH", path).env("TERM", "xterm").envs(variables.iter().copied());
    spawn_command(shell, Some(LIMIT)).unwrap()
}

/// Returns the output of a command in a terminal of this width.
fn seen_at(folder: &Path, columns: usize, line: &str, variables: &[(&str, &str)]) -> String {
    let seen = text(&shell(folder, columns, line, variables).exp_eof().unwrap());
    assert!(!seen.contains(TOKEN), "{seen}");
    seen
}

/// Decodes the output: the terminal's library returns a character for each byte.
fn text(seen: &str) -> String {
    String::from_utf8(seen.chars().map(|byte| u8::try_from(u32::from(byte)).unwrap()).collect()).unwrap()
}

/// Returns the output of a command in a terminal, in a folder.
fn seen(folder: &Path, line: &str, variables: &[(&str, &str)]) -> String {
    seen_at(folder, WIDE, line, variables)
}

/// Returns the printed lines without colours and cursor movements. Lines of progress are padded with
/// spaces, so that several of them may be in one.
fn drawn(seen: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut parts = seen.split('\u{1b}');
    plain.push_str(parts.next().unwrap());
    for part in parts {
        // A sequence is `[`, numbers, and a letter; cursor movements start a line.
        let end = part.find(|letter: char| letter.is_ascii_alphabetic()).unwrap();
        let (sequence, rest) = part.split_at(end + 1);
        assert!(sequence.starts_with('['), "{sequence:?}");
        if !sequence.ends_with('m') {
            plain.push('\n');
        }
        plain.push_str(rest);
    }
    plain.split(['\n', '\r']).map(str::trim_end).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Returns the lines, with each line of progress separate.
fn split(lines: &[String], columns: usize) -> Vec<String> {
    let mut apart = Vec::new();
    for line in lines {
        let letters: Vec<char> = line.chars().collect();
        apart.extend(letters.chunks(columns).map(|line| line.iter().collect::<String>().trim_end().to_owned()));
    }
    apart.retain(|line| !line.is_empty());
    apart
}

/// Returns the number of records in `out.jsonl`; every line is a message.
fn records(folder: &Path) -> usize {
    let text = fs::read_to_string(folder.join("out.jsonl")).unwrap();
    let messages = text.lines().map(|line| Message::parse(line).unwrap());
    messages.filter(|message| message.kind() == "RECORD").count()
}

#[test]
fn a_read_shows_its_progress_its_waits_and_a_table_at_the_end() {
    let mut data = Data::sample(1, 1500);
    data.set_field("orders", data.ids("orders")[0], "grand_total", "\"ten\"");
    let mut asked = 0;
    let fault = move |seen: &RecordedRequest| {
        asked += usize::from(seen.resource == "orders");
        let body = br#"{"status_code":429,"message":"Too Many Requests","details":""}"#.to_vec();
        let headers = vec![("Retry-After".to_owned(), "2".to_owned())];
        (asked == 3 && seen.resource == "orders").then_some(Fault::Answer { status: 429, headers, body })
    };
    let options = Options { fault: Some(Box::new(fault)), ..Options::default() };
    let store = start(SignIn::Token, options, data);
    let files = Files::new();
    files.write("config.json", &config(SignIn::Token, &store).to_string());
    let folder = files.path("");
    let line = "source-cart read --config config.json --streams orders,order_statuses > out.jsonl";
    let shown = seen(&folder, line, &[]);
    assert!(shown.contains(" of 2 streams, ") && shown.contains("/1,500"), "{shown}");
    assert!(shown.contains("call limit: waits "), "{shown}");
    assert!(shown.contains("warning\u{1b}[0m: orders: `grand_total` is declared as number"), "{shown}");
    let (_, table) = shown.rsplit_once("stream ").unwrap();
    let row = |stream: &str| {
        let line = table.lines().find(|line| line.starts_with(stream)).unwrap_or_else(|| panic!("{table}"));
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let orders = row("orders ");
    assert_eq!((orders[1].as_str(), orders.last().unwrap().as_str()), ("1,500", "complete"), "{table}");
    assert_ne!(orders[2], orders[3], "a request that was refused brought no page: {table}");
    assert_ne!(orders[4], "0.0s", "it waited: {table}");
    assert_eq!(row("order_statuses ")[1], "9", "{table}");
    let total = row("total ");
    assert_eq!(total[1], "1,509", "{table}");
    let seconds = |row: &[String], at: usize| row[at].trim_end_matches('s').parse::<f64>().unwrap();
    for row in [&orders, &total] {
        assert!(seconds(row, 4) <= seconds(row, 5), "it waited for longer than it took: {table}");
    }
    let sent = store.requests().len();
    assert!(table.contains(&format!("\ncalls: {sent} made, 1 refused; others made 0")), "{sent}: {table}");
    assert!(table.trim_end().ends_with("exit code 0"), "{table}");
    assert_eq!(records(&folder), 1509);
    // The summary has it too.
    let out = fs::read_to_string(folder.join("out.jsonl")).unwrap();
    assert!(out.contains("; waited "), "{out}");

    // With less output: no line at all, or no colours.
    let shown = seen(&folder, &line.replace("read", "read --quiet"), &[]);
    assert_eq!(shown.trim(), "exit code 0");
    let shown = seen(&folder, &line.replace("config.json", "none.json"), &[("NO_COLOR", "1")]);
    assert_eq!(
        shown.replace('\r', ""),
        "error: The config file `none.json` does not exist.\n  Set `--config` to a readable JSON file.\nexit code 1\n"
    );
}

#[test]
fn records_in_a_terminal_are_not_mixed_with_progress() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 30));
    let files = Files::new();
    files.write("config.json", &config(SignIn::Token, &store).to_string());
    let shown =
        seen(&files.path(""), "source-cart read --config config.json --streams order_statuses --format jsonl", &[]);
    let lines = shown.lines().filter(|line| line.contains("{\"id\":") && line.trim_end().ends_with('}'));
    assert_eq!(lines.count(), 9, "{shown}");
    assert!(shown.contains("complete") && !shown.contains("STREAM_STATUS"), "{shown}");
}

#[test]
fn a_read_of_all_streams_fits_the_terminal() {
    let mut data = Data::sample(1, 1200);
    // Their keys are strings, and a warning says so.
    for id in data.ids("microstores") {
        data.delete("microstores", id);
    }
    let store = start(SignIn::Token, Options::default(), data);
    let files = Files::new();
    files.write("config.json", &config(SignIn::Token, &store).to_string());
    let catalog = crate::harness::files::discovered();
    let names = catalog["streams"].as_array().unwrap().iter().map(|stream| stream["name"].as_str().unwrap().to_owned());
    let others = ["stream", "total", "call", "calls:", "and", "exit"].map(str::to_owned);
    let begins: Vec<String> = names.chain(others).collect();
    for columns in [80, WIDE] {
        let line = "source-cart read --streams all > out.jsonl";
        let lines = split(&drawn(&seen_at(&files.path(""), columns, line, &[])), columns);
        for line in &lines {
            let word = line.split_whitespace().next().unwrap();
            let is_begin = word.parse::<u32>().is_ok() || begins.iter().any(|begin| word == begin);
            assert!(is_begin && line.chars().count() <= columns, "a line was too long: {line}");
        }
        assert!(lines.iter().any(|line| line.contains(" of 70 streams, ")), "{lines:#?}");
        // The longest name is shown in full.
        assert!(lines.iter().any(|line| line.starts_with("price_calculator_rule_modifiers  ")), "{lines:#?}");
        let table = lines.iter().position(|line| line.starts_with("stream ")).unwrap();
        let streams: Vec<&str> = lines[table + 1..].iter().filter_map(|line| line.split_whitespace().next()).collect();
        let discovered: Vec<&str> = streams.iter().copied().take_while(|stream| *stream != "total").collect();
        assert_eq!(discovered[0], "customers", "in the order of the selection: {discovered:?}");
        assert_eq!(lines.last().unwrap(), "exit code 0");
    }
    // In a second run nothing changed: the table is short, and one line replaces the other streams.
    let line = "source-cart read --streams all --state out.jsonl > second.jsonl";
    let lines = split(&drawn(&seen_at(&files.path(""), 80, line, &[])), 80);
    let table = lines.iter().position(|line| line.starts_with("stream ")).unwrap();
    let rest = &lines[table..];
    assert!(rest.iter().any(|line| line.contains(" others ") && line.ends_with("complete")), "{rest:#?}");
    assert!(rest.len() < 24, "{rest:#?}");
}

#[test]
fn help_fits_the_terminal() {
    let files = Files::new();
    for columns in [80, WIDE] {
        for line in ["source-cart --help", "source-cart read --help", "source-cart check -h", "source-cart streams"] {
            for line in drawn(&seen_at(&files.path(""), columns, line, &[])) {
                assert!(line.chars().count() <= columns, "{line}");
            }
        }
    }
    let narrow = seen_at(&files.path(""), 80, "source-cart read --help", &[]);
    let wide = seen_at(&files.path(""), WIDE, "source-cart read --help", &[]);
    assert!(narrow.lines().count() > wide.lines().count(), "it is wrapped to the width");
}

#[test]
fn ctrl_c_prints_one_line_and_then_the_table() {
    // The store sends some pages, and then nothing.
    let fault =
        |seen: &RecordedRequest| (seen.param("id").is_some_and(|range| range.contains("gt:"))).then_some(Fault::Hang);
    let options = || Options { fault: Some(Box::new(fault)), max_count: Some(50), ..Options::default() };
    for (more, said) in [
        ("> out.jsonl", "Interrupted. To continue, pass the last STATE messages of the output to `--state`."),
        ("--state-out s.json > out.jsonl", "Interrupted. To continue, run it again with `--state s.json`."),
        ("--format jsonl > out.jsonl", "Interrupted. No state was saved; the next run starts from the beginning."),
    ] {
        let store = start(SignIn::Token, options(), Data::sample(1, 300));
        let files = Files::new();
        files.write("config.json", &config(SignIn::Token, &store).to_string());
        let line = format!("source-cart read --streams orders,products,stores {more}");
        let mut session = shell(&files.path(""), WIDE, &line, &[("NO_COLOR", "1")]);
        session.exp_string("of 3 streams, ").unwrap();
        let began = std::time::Instant::now();
        while !store.requests().iter().any(|seen| fault(seen).is_some()) {
            assert!(began.elapsed().as_millis() < u128::from(LIMIT), "it does not get so far");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        session.send_control('c').unwrap();
        let lines = split(&drawn(&text(&session.exp_eof().unwrap())), WIDE);
        let at = lines.iter().position(|line| line == said).unwrap_or_else(|| panic!("{more}: {lines:#?}"));
        let (after, words) = (&lines[at + 1..], |word: &str| lines.iter().filter(|line| line.contains(word)).count());
        assert_eq!((words("Interrupted"), words("error")), (1, 0), "{lines:#?}");
        let table = after.iter().position(|line| line.starts_with("stream ")).unwrap();
        assert!(after[table..].iter().any(|line| line.ends_with("INCOMPLETE")), "{lines:#?}");
        assert_eq!(lines.last().unwrap(), "exit code 75", "{lines:#?}");
    }
}

#[test]
fn a_closed_pipe_causes_no_output() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 1500));
    let files = Files::new();
    files.write("config.json", &config(SignIn::Token, &store).to_string());
    let folder = files.path("");
    for format in ["airbyte", "jsonl"] {
        let line = format!(
            "source-cart read --streams orders --format {format} --state-out {format}.json | head -n 1 > out.jsonl"
        );
        let lines = split(&drawn(&seen(&folder, &line, &[])), WIDE);
        let words: Vec<&String> =
            lines.iter().filter(|line| !line.contains("rows/s") && !line.contains("call limit")).collect();
        assert_eq!(words, ["exit code 74"], "{lines:#?}");
        // 1,500 rows are more than a pipe holds: no state claims that all were written.
        let state = fs::read_to_string(folder.join(format!("{format}.json"))).unwrap_or_default();
        assert!(!state.contains("orders") || state.contains("walk"), "{state}");
    }
    let lines = drawn(&seen(&folder, "source-cart catalog | head -c 1 > out.jsonl", &[]));
    assert_eq!(lines, ["exit code 74"]);
}

#[test]
fn errors_are_on_stderr_if_stdout_is_a_file() {
    let options = Options { tokens: vec![Token::new(TOKEN, &["read_orders"])], ..Options::default() };
    let store = start(SignIn::Token, options, Data::sample(1, 3));
    let files = Files::new();
    files.write("config.json", &config(SignIn::Token, &store).to_string());
    let folder = files.path("");
    let text = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
    let run = |line: &str| assert_eq!(drawn(&seen(&folder, line, &[])).len(), 1, "{line}: the exit code alone");
    run("source-cart read --streams orders,products > out.jsonl 2> err.txt");
    assert_eq!(records(&folder), 3);
    let said = text("err.txt");
    assert!(said.starts_with("error: products: 127.0.0.1:") && said.contains("`read_catalog`"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    run("source-cart read --config none.json --streams orders > out.jsonl 2> err.txt");
    assert_eq!(
        text("err.txt"),
        "error: The config file `none.json` does not exist. Set `--config` to a readable JSON file.\n"
    );
    run("source-cart check --config none.json > out.jsonl 2> err.txt");
    assert!(text("err.txt").starts_with("error: The config file `none.json` does not exist"), "{}", text("err.txt"));
    run("source-cart check > out.jsonl 2> err.txt");
    run("source-cart read --streams orders > out.jsonl 2>> err.txt");
    assert_eq!(text("err.txt"), "", "what works is not said");
    // One file for both has only messages, and the reader of a pipe finds the errors there.
    run("source-cart read --streams orders,products > out.jsonl 2>&1");
    assert_eq!(records(&folder), 3);
    run("source-cart read --streams orders,products 2> err.txt | cat > out.jsonl");
    assert_eq!((records(&folder), text("err.txt").as_str()), (3, ""));
}

#[test]
fn check_shows_scopes_the_call_limit_and_row_counts() {
    let tokens = || vec![Token::new(TOKEN, &["read_orders", "read_people"])];
    let plain = [("NO_COLOR", "1")];
    let check = |allowed: u32, columns: usize| {
        let options = Options { tokens: tokens(), limit: Some(Limit::new(allowed)), ..Options::default() };
        let store = start(SignIn::Token, options, Data::sample(1, 1200));
        let files = Files::new();
        files.write("config.json", &config(SignIn::Token, &store).to_string());
        let lines = drawn(&seen_at(&files.path(""), columns, "source-cart check > out.jsonl", &plain));
        assert_eq!(records(&files.path("")), 0);
        (lines, store.requests().len())
    };
    let (lines, sent) = check(50, 80);
    let at = |line: &str| lines.iter().position(|seen| seen == line).unwrap_or_else(|| panic!("{line}: {lines:#?}"));
    let order = [
        at("scope           readable"),
        at("read_people     yes"),
        at("read_orders     yes"),
        at("read_catalog    no: create a token with read_catalog"),
        at("stream            rows"),
        at("orders           1,200"),
        at("call limit: 50 calls per 10 s, for all applications of the store"),
    ];
    assert!(order.is_sorted(), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("Checking 127.0.0.1")), "a line moves while it waits: {lines:#?}");
    assert!(lines.iter().all(|line| !line.starts_with("products ")), "they cannot be read: {lines:#?}");
    assert_eq!(sent, 8 + 6, "one for each scope, and one for each suggested stream that can be read");
    assert!(lines.iter().any(|line| line.starts_with("ok: ")) && lines.last().unwrap() == "exit code 0", "{lines:#?}");

    // If the limit is low, rows are not counted.
    let (lines, sent) = check(10, 80);
    assert_eq!(sent, 8, "{lines:#?}");
    assert!(lines.iter().any(|line| line == "read_people     yes"), "{lines:#?}");
}

#[test]
fn check_prints_its_result_after_the_message() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 3));
    let files = Files::new();
    files.write("config.json", &config(SignIn::Token, &store).to_string());
    let plain = [("NO_COLOR", "1")];
    let good = drawn(&seen(&files.path(""), "source-cart check --config config.json", &plain));
    assert_eq!(
        good[good.len() - 3..],
        [
            "{\"type\":\"CONNECTION_STATUS\",\"connectionStatus\":{\"status\":\"SUCCEEDED\"}}",
            "ok: connected; the credentials work.",
            "exit code 0"
        ]
    );
    files.write("config.json", &nobody().to_string());
    let bad = seen(&files.path(""), "source-cart check --config config.json", &plain);
    assert!(bad.contains("\"FAILED\"") && bad.contains("failed: Cannot connect to 127.0.0.1:9"), "{bad}");
    assert!(bad.contains("\n  Check `store_name`"), "{bad}");
    // A program that reads a pipe gets only the message.
    let file = seen(&files.path(""), "source-cart check --config config.json 2> err.txt | cat > out.jsonl", &[]);
    assert_eq!(file.trim(), "exit code 0");
    assert_eq!(fs::read_to_string(files.path("err.txt")).unwrap(), "");
}

#[test]
fn the_recording_shows_the_end_of_the_run_first_if_not_animated() {
    let svg = include_str!("../../docs/development/recording.svg");
    let pictures: Vec<&str> = svg.lines().filter(|line| line.starts_with("<g class=\"f\"")).collect();
    let (last, others) = pictures.split_last().unwrap();
    assert!(others.iter().all(|picture| picture.contains(" visibility=\"hidden\">")));
    assert!(!last.contains("visibility") && last.contains("complete"), "the table of the last read");
    let first = |at: usize| {
        let line = svg.lines().find(|line| line.starts_with(&format!("@keyframes k{at}{{"))).unwrap();
        line.split_once("0%{visibility:").unwrap().1.starts_with("visible")
    };
    let begin: Vec<usize> = (0..pictures.len()).filter(|&at| first(at)).collect();
    assert_eq!(begin, [pictures.len() - 1], "what is shown when it begins");
    assert!(svg.contains("@media(prefers-reduced-motion){.f{animation:none}}"));
}
