//! The log: versions, requests, retries, and the last line of each stream.

use serde_json::json;

use crate::fake_store::{Data, FakeStore, Fault, Options, RecordedRequest};
use crate::harness::command::{Command, Signal};
use crate::harness::files::{TOKEN, configured};
use crate::harness::run::Run;
use crate::harness::setup::{SignIn, config, config_with, minutes, no_state, start};

fn read_orders<'a>(store: &FakeStore, state: &str) -> Command<'a> {
    let config = config_with(store, &json!({"max_requests_in_flight": 1}));
    Command::new("read").config(&config).catalog(&configured(&[("orders", "incremental")])).state(state)
}

/// Returns the last LOG of the stream, its summary.
fn account(run: &Run) -> String {
    let logs = run.logs();
    let last = logs.iter().rev().find(|(_, text)| has_count(text));
    last.unwrap_or_else(|| panic!("{}", run.transcript())).1.to_string()
}

/// Returns true for the summary of `orders`.
fn has_count(text: &str) -> bool {
    text.starts_with("orders: ") && [" rows read", " row read"].iter().any(|words| text.contains(words))
}

/// Returns the number before a word, which may be singular; 0 if the word is missing.
fn number(text: &str, word: &str) -> u64 {
    let text = text.replace(" row ", " rows ");
    let Some((before, _)) = text.split_once(word) else { return 0 };
    before.trim_end().rsplit(|letter: char| !letter.is_ascii_digit()).next().unwrap().parse().unwrap()
}

#[test]
fn the_first_line_has_the_version() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 3));
    let run = read_orders(&store, &no_state()).run();
    assert_eq!(run.messages[0].kind(), "LOG");
    assert_eq!(run.logs()[0].1, format!("source-cart {}", env!("CARGO_PKG_VERSION")));
    let check = Command::new("check").config(&config(SignIn::Token, &store)).arg("--debug").run();
    assert_eq!(check.logs()[0].1, format!("source-cart {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_summary_of_one_row_is_in_the_singular() {
    let store = start(SignIn::Token, Options::default(), minutes("orders", 1, 20));
    let first = read_orders(&store, &no_state()).run();
    store.data(|data| data.touch("orders", 9));
    let second = read_orders(&store, &first.last_state_list()).run();
    assert_eq!(second.ids("orders"), [9], "{}", second.transcript());
    assert!(account(&second).starts_with("orders: 1 row read"), "{}", second.transcript());
}

#[test]
fn with_debug_each_request_is_a_line() {
    let fault = |seen: &RecordedRequest| {
        (seen.n == 2).then_some(Fault::Answer { status: 503, headers: Vec::new(), body: Vec::new() })
    };
    let options =
        Options { fault: Some(Box::new(fault)), limit: Some(crate::fake_store::Limit::new(50)), ..Options::default() };
    let store = start(SignIn::Token, options, minutes("orders", 1, 2500));
    let run = read_orders(&store, &no_state()).arg("--debug").run();
    assert_eq!(run.code, Some(0), "{}", run.transcript());
    let logs = run.logs();
    let lines: Vec<&str> = logs.iter().map(|(_, text)| &**text).filter(|text| text.contains("GET ")).collect();
    assert_eq!(lines.len(), store.requests().len(), "{lines:#?}");
    for (line, seen) in lines.iter().zip(store.requests()) {
        assert!(line.starts_with("orders: GET orders, ") && line.contains(" ms"), "{line}");
        assert!(line.contains(&format!("HTTP {}", seen.status)), "{line}");
        // The response that failed had no header.
        assert!((line.contains(", call limit ") && line.ends_with("/50.")) || seen.status == 503, "{line}");
        assert!(!line.contains(TOKEN) && !line.contains("http://") && !line.contains("{\""), "{line}");
    }
    assert!(lines[1].contains("HTTP 503, 0 bytes"), "{}", lines[1]);
    assert!(lines.iter().any(|line| line.contains("id > ") && number(line, " bytes") > 1000), "{lines:#?}");
    // A check shows its requests as well, and both do so only with `--debug`.
    let check = || Command::new("check").config(&config(SignIn::Token, &store));
    assert_eq!(check().arg("--debug").run().logs().iter().filter(|(_, text)| text.starts_with("GET ")).count(), 8);
    assert_eq!(check().run().logs().len(), 0);
    let plain = read_orders(&store, &no_state()).run();
    assert!(plain.logs().iter().all(|(_, text)| !text.contains("GET ")), "{}", plain.transcript());
}

#[test]
fn an_outage_is_a_warning_from_the_second_failure_on() {
    let fault = |seen: &RecordedRequest| {
        let failing = [2, 4, 5, 6].contains(&seen.n);
        failing.then_some(Fault::Answer { status: 503, headers: Vec::new(), body: Vec::new() })
    };
    let store = start(
        SignIn::Token,
        Options { fault: Some(Box::new(fault)), ..Options::default() },
        minutes("orders", 1, 2500),
    );
    let run = read_orders(&store, &no_state()).run();
    assert_eq!(run.code, Some(0), "{}", run.transcript());
    let logs = run.logs();
    let retries: Vec<(&str, &str)> =
        logs.iter().filter(|(_, text)| text.contains("; retrying ")).map(|(level, text)| (&**level, &**text)).collect();
    let levels: Vec<&str> = retries.iter().map(|(level, _)| *level).collect();
    assert_eq!(levels, ["INFO", "INFO", "WARN", "WARN"], "{retries:#?}");
    assert!(
        retries[0].1.starts_with("orders: HTTP 503; retrying in ") && retries[0].1.ends_with(" (attempt 2)."),
        "{retries:#?}"
    );
    // All sent requests are counted, also the failed ones.
    assert_eq!(number(&account(&run), " requests"), store.requests().len() as u64, "{}", account(&run));
}

#[test]
fn the_summary_line_of_a_resumed_read_adds_up() {
    for changed in [0, 5] {
        let options = Options { max_count: Some(100), ..Options::default() };
        let store = start(SignIn::Token, options, minutes("orders", 1, 3000));
        store.options(|options| options.latency = std::time::Duration::from_millis(5));
        let first = read_orders(&store, &no_state()).signal_when(Signal::Term, || store.requests().len() > 14).run();
        assert_eq!(first.code, Some(75), "{}", first.transcript());
        store.options(|options| options.latency = std::time::Duration::ZERO);
        let read = first.ids("orders").len() as u64;
        assert!(read > 0 && read < 3000, "{read}");
        store.data(|data| {
            for id in 1..=changed {
                data.touch("orders", id);
            }
        });
        let before = store.requests().len();
        let state =
            json!([first.messages.iter().rev().find(|message| message.kind() == "STATE").unwrap().value["state"]]);
        let second = read_orders(&store, &state.to_string()).run();
        assert_eq!(second.code, Some(0), "{}", second.transcript());
        let text = account(&second);
        let (left, since) = (number(&text, " left"), number(&text, " in the next pass"));
        assert!(text.starts_with("orders: resumed; ") && left >= 3000 - read, "{text}");
        let came = number(&text, " rows read")
            + number(&text, " unchanged rows skipped")
            + number(&text, " left to the next pass");
        assert_eq!(left + since, came, "{text}");
        assert_eq!(number(&text, " rows read"), second.ids("orders").len() as u64, "{text}");
        assert_eq!(number(&text, " requests"), (store.requests().len() - before) as u64, "{text}");
    }
}
