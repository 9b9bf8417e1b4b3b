//! What a person at a terminal sees of `check` and `read`: progress, waits, a table, errors in words. All
//! of it on stderr; stdout stays what it is.

use std::fs;
use std::path::Path;

use rexpect::session::spawn_command;

use crate::fake_store::{Data, Fault, Options, Seen};
use crate::harness::files::{Files, TOKEN};
use crate::harness::message::Message;
use crate::setup::{SignIn, config, nobody, start};

/// How long a command may take, in milliseconds, before it counts as hanging.
const LIMIT: u64 = 60_000;

/// What is seen of a command line on a terminal, in a folder.
fn seen(folder: &Path, line: &str, variables: &[(&str, &str)]) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_source-cart")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &format!("stty cols 120 rows 40; {line}; echo exit code $?")]);
    shell.current_dir(folder).env_clear().env("PATH", path).env("TERM", "xterm").envs(variables.iter().copied());
    let mut session = spawn_command(shell, Some(LIMIT)).unwrap();
    let seen = session.exp_eof().unwrap();
    assert!(!seen.contains(TOKEN), "{seen}");
    seen
}

/// Records in `out.jsonl`; every line is a message.
fn records(folder: &Path) -> usize {
    let text = fs::read_to_string(folder.join("out.jsonl")).unwrap();
    let messages = text.lines().map(|line| Message::parse(line).unwrap());
    messages.filter(|message| message.kind() == "RECORD").count()
}

#[test]
fn a_read_shows_how_far_it_is_why_it_waits_and_a_table_at_its_end() {
    let mut data = Data::sample(1, 1500);
    data.set_field("orders", data.ids("orders")[0], "grand_total", "\"ten\"");
    let mut asked = 0;
    let fault = move |seen: &Seen| {
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
    assert!(shown.contains("of 2 streams done, ") && shown.contains("/1,500 rows, "), "{shown}");
    assert!(shown.contains("waits for the call limit until 20"), "{shown}");
    assert!(shown.contains("warning\u{1b}[0m: orders: `grand_total` is declared as number"), "{shown}");
    let (_, table) = shown.rsplit_once("stream ").unwrap();
    let row = |stream: &str| {
        let line = table.lines().find(|line| line.starts_with(stream)).unwrap_or_else(|| panic!("{table}"));
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let orders = row("orders ");
    assert_eq!((orders[1].as_str(), orders.last().unwrap().as_str()), ("1500", "complete"), "{table}");
    assert_ne!(orders[2], orders[3], "a request that was refused brought no page: {table}");
    assert_ne!(orders[4], "0.0", "it waited: {table}");
    assert_eq!(row("order_statuses ")[1], "9", "{table}");
    assert!(table.trim_end().ends_with("exit code 0"), "{table}");
    assert_eq!(records(&folder), 1509);
    // The receipt says it too.
    let out = fs::read_to_string(folder.join("out.jsonl")).unwrap();
    assert!(out.contains("; waited "), "{out}");

    // With less to be seen: no line at all, or no colours.
    let shown = seen(&folder, &line.replace("read", "read --quiet"), &[]);
    assert_eq!(shown.trim(), "exit code 0");
    let shown = seen(&folder, &line.replace("config.json", "none.json"), &[("NO_COLOR", "1")]);
    assert_eq!(
        shown.replace('\r', ""),
        "error: The config file `none.json` does not exist.\n  Give `--config` a readable JSON file.\nexit code 1\n"
    );
}

#[test]
fn bare_records_on_a_terminal_are_not_mixed_with_progress() {
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
fn check_says_its_verdict_in_words_behind_the_message() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 3));
    let files = Files::new();
    files.write("config.json", &config(SignIn::Token, &store).to_string());
    let plain = [("NO_COLOR", "1")];
    let good = seen(&files.path(""), "source-cart check --config config.json", &plain);
    assert_eq!(
        good.replace('\r', ""),
        "{\"type\":\"CONNECTION_STATUS\",\"connectionStatus\":{\"status\":\"SUCCEEDED\"}}\n\
         good: the store answers, and the sign-in works.\nexit code 0\n"
    );
    files.write("config.json", &nobody().to_string());
    let bad = seen(&files.path(""), "source-cart check --config config.json", &plain);
    assert!(
        bad.contains("\"FAILED\"") && bad.contains("not good: No connection to 127.0.0.1:9 could be made"),
        "{bad}"
    );
    assert!(bad.contains("\n  Check `store_name`"), "{bad}");
    // Programs get the message alone.
    let file = seen(&files.path(""), "source-cart check --config config.json > out.jsonl 2> err.txt", &[]);
    assert_eq!(file.trim(), "exit code 0");
    assert_eq!(fs::read_to_string(files.path("err.txt")).unwrap(), "");
}
