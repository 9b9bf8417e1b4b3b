//! `init` in a real terminal: its questions, its output, and the file that it writes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rexpect::process::WaitStatus;
use rexpect::session::{PtySession, spawn_command};
use serde_json::{Value, json};

use crate::fake_store::{Data, Options, Token};
use crate::harness::command::{Command, with_usual_signals};
use crate::harness::files::{ROUTER_SECRET, TOKEN};
use crate::harness::setup::{SignIn, start};

/// Maximum time for a question in milliseconds, before the process counts as hanging.
const LIMIT: u64 = 60_000;

/// A user in a terminal, and the output so far.
pub(crate) struct Person {
    session: PtySession,
    seen: String,
}

impl Person {
    /// Types a line in a folder, in a terminal that echoes. Stdout is redirected to `out.jsonl`.
    pub(crate) fn types(folder: &Path, line: &str) -> Person {
        let binary = Path::new(env!("CARGO_BIN_EXE_source-cart")).parent().unwrap();
        let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
        let mut shell = with_usual_signals("sh");
        shell.args([
            "-c",
            &format!("stty echo; {line} > out.jsonl; code=$?; stty -a | grep -ow -e '-*echo'; exit $code"),
        ]);
        // No request may leave this machine, for any host name.
        shell.current_dir(folder).env_clear().env("PATH", path).env("HTTPS_PROXY", "http://127.0.0.1:9");
        Person { session: spawn_command(shell, Some(LIMIT)).unwrap(), seen: String::new() }
    }

    pub(crate) fn is_asked(&mut self, question: &str) -> &mut Person {
        let before = self.session.exp_string(question).unwrap_or_else(|error| panic!("{error}\nseen: {}", self.seen));
        self.seen.push_str(&before);
        self.seen.push_str(question);
        self
    }

    pub(crate) fn answers(&mut self, answer: &str) -> &mut Person {
        self.session.send_line(answer).unwrap();
        self
    }

    /// Returns the exit code and the full output; the terminal must echo again.
    pub(crate) fn ends(mut self) -> (i32, String) {
        self.seen.push_str(&self.session.exp_eof().unwrap());
        let WaitStatus::Exited(_, code) = self.session.process().wait().unwrap() else { panic!("{}", self.seen) };
        let lines: Vec<&str> = self.seen.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        assert_eq!(lines.last(), Some(&"echo"), "{}", self.seen);
        (code, self.seen)
    }
}

/// Returns a written config, which only its owner may read.
pub(crate) fn written(file: &Path) -> Value {
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

/// Returns the names of the files in a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_wrong_token_is_reported_and_the_right_one_is_written() {
    let options = || Options { tokens: vec![Token::new(TOKEN, &["read_orders"])], ..Options::default() };
    let store = start(SignIn::Token, options(), Data::sample(1, 3));
    let folder = tempfile::tempdir().unwrap();
    let mut person = Person::types(folder.path(), "source-cart init");
    person
        .is_asked("Sign-in? [1]: ")
        .answers("3")
        .is_asked("Answer with 1 or 2.")
        .is_asked("Sign-in? [1]: ")
        .answers("");
    person.is_asked("mystore.americommerce.com: ").answers("my store");
    person.is_asked("contains a space").is_asked("mystore.americommerce.com: ").answers(&store.url());
    person.is_asked("Access token (not shown): ").answers("");
    person.is_asked("`access_token` is empty").is_asked("(not shown): ").answers("wrong-token-0123");
    person.is_asked("[2000-01-01T00:00:00Z]: ").answers("yesterday");
    person.is_asked("is not a date and time").is_asked("[2000-01-01T00:00:00Z]: ").answers("2021-01-01T00:00:00Z");
    person.is_asked("Report rows that the store deletes").is_asked("[y/N]: ").answers("y");
    person.is_asked("rejected the credentials (HTTP 401)").is_asked("[a]: ").answers("a");
    // Only the token is asked again.
    person.is_asked("(not shown): ").answers(TOKEN);
    person.is_asked("It works, but: The token lacks");
    let (code, seen) = person.ends();
    assert_eq!(code, 0, "{seen}");
    assert_eq!(
        (seen.matches("[2021-01-01T00:00:00Z]").count(), seen.matches("Store host name").count()),
        (0, 2),
        "{seen}"
    );
    assert!(seen.contains("Wrote config.json, which only you can read."), "{seen}");
    for secret in ["wrong-token-0123", TOKEN] {
        assert!(!seen.contains(secret), "{seen}");
    }

    assert_eq!(files(folder.path()), ["config.json", "out.jsonl"]);
    assert_eq!(fs::read_to_string(folder.path().join("out.jsonl")).unwrap(), "");
    let config = written(&folder.path().join("config.json"));
    assert_eq!(
        config,
        json!({
            "credentials": {
                "auth_type": "SINGLE_STORE_ACCESS_TOKEN", "access_token": TOKEN, "store_name": store.url()
            },
            "start_date": "2021-01-01T00:00:00Z",
            "detect_deletions": ["all"]
        })
    );
    let run = Command::new("read").config(&config).arg("--streams").arg("orders").run();
    assert_eq!(run.code, Some(0));
}

#[test]
fn the_router_can_be_selected_and_an_untested_config_can_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut person = Person::types(folder.path(), "source-cart init --output mystore.json");
    person.is_asked("Sign-in? [1]: ").answers("2");
    person.is_asked("User name from Cart.com support: ").answers("myUser");
    person.is_asked("User secret (not shown): ").answers(ROUTER_SECRET);
    person.is_asked("sitemonitor.aspx: ").answers("12345");
    person.is_asked("[2000-01-01T00:00:00Z]: ").answers("");
    person.is_asked("Report rows that the store deletes").is_asked("[y/N]: ").answers("");
    person.is_asked("The proxy 127.0.0.1:9 could not be reached").is_asked("[a]: ").answers("W");
    let (code, seen) = person.ends();
    assert_eq!((code, seen.contains(ROUTER_SECRET)), (0, false), "{seen}");
    let config = written(&folder.path().join("mystore.json"));
    assert_eq!(
        config,
        json!({
            "credentials": {
                "auth_type": "CENTRAL_API_ROUTER", "user_name": "myUser", "user_secret": ROUTER_SECRET, "site_id": "12345"
            },
            "start_date": "2000-01-01T00:00:00Z"
        })
    );
}

#[test]
fn after_a_wrong_host_only_the_host_is_asked_again() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 3));
    let folder = tempfile::tempdir().unwrap();
    let mut person = Person::types(folder.path(), "source-cart init");
    person.is_asked("Sign-in? [1]: ").answers("1");
    person.is_asked("mystore.americommerce.com: ").answers("http://127.0.0.1:9");
    person.is_asked("(not shown): ").answers(TOKEN);
    person.is_asked("[2000-01-01T00:00:00Z]: ").answers("");
    person.is_asked("Report rows that the store deletes").is_asked("[y/N]: ").answers("");
    person.is_asked("Cannot connect to 127.0.0.1:9").is_asked("[a]: ").answers("a");
    person.is_asked("[http://127.0.0.1:9]: ").answers(&store.url());
    person.is_asked("It works.");
    let (code, seen) = person.ends();
    assert_eq!((code, seen.matches("(not shown)").count()), (0, 1), "{seen}");
    let config = written(&folder.path().join("config.json"));
    assert_eq!(
        (&config["credentials"]["store_name"], &config["credentials"]["access_token"]),
        (&json!(store.url()), &json!(TOKEN))
    );
}

#[test]
fn a_variable_is_tested_with_its_value_and_written_as_it_was_entered() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 3));
    let folder = tempfile::tempdir().unwrap();
    let mut person = Person::types(folder.path(), &format!("CART_TOKEN={TOKEN} source-cart init"));
    person.is_asked("Sign-in? [1]: ").answers("1");
    person.is_asked("mystore.americommerce.com: ").answers(&store.url());
    person.is_asked("(not shown): ").answers("${CART_TOCEN}");
    person.is_asked("uses the environment variable `CART_TOCEN`, which is not set");
    person.is_asked("(not shown): ").answers("${CART_TOKEN}");
    person.is_asked("[2000-01-01T00:00:00Z]: ").answers("");
    person.is_asked("Report rows that the store deletes").is_asked("[y/N]: ").answers("");
    person.is_asked("It works.");
    assert_eq!(person.ends().0, 0);
    let config = written(&folder.path().join("config.json"));
    assert_eq!(config["credentials"]["access_token"], "${CART_TOKEN}");
}

#[test]
fn a_file_is_replaced_only_after_yes() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 3));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    fs::write(&file, "mine").unwrap();
    for no in ["", "n", "what"] {
        let mut person = Person::types(folder.path(), "source-cart init");
        person.is_asked("config.json exists. Replace it? [y/N]: ").answers(no);
        let (code, seen) = person.ends();
        assert_eq!((code, seen.contains("Nothing was written.")), (1, true), "{seen}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    }
    let answers = |person: &mut Person| {
        person.is_asked("Sign-in? [1]: ").answers("");
        person.is_asked("mystore.americommerce.com: ").answers(&store.url());
        person.is_asked("(not shown): ").answers(TOKEN);
    };
    let mut person = Person::types(folder.path(), "source-cart init");
    person.is_asked("[y/N]: ").answers("y");
    answers(&mut person);
    person.is_asked("[2000-01-01T00:00:00Z]: ").answers("");
    person.is_asked("Report rows that the store deletes").is_asked("[y/N]: ").answers("");
    assert_eq!(person.ends().0, 0);
    assert_eq!(written(&file)["credentials"]["store_name"], store.url());

    // A file that is created during the questions is not replaced either.
    fs::remove_file(&file).unwrap();
    let mut person = Person::types(folder.path(), "source-cart init");
    answers(&mut person);
    person.is_asked("[2000-01-01T00:00:00Z]: ");
    fs::write(&file, "mine").unwrap();
    person.answers("").is_asked("[y/N]: ").answers("");
    assert_eq!(person.ends().0, 1);
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    let reported = fs::read_to_string(folder.path().join("out.jsonl")).unwrap();
    assert!(reported.contains("`config.json` cannot be written: it was created in the meantime"), "{reported}");
    assert_eq!(files(folder.path()), ["config.json", "out.jsonl"]);
}

#[test]
fn ctrl_c_and_ctrl_d_cancel_and_the_terminal_echoes_again() {
    for key in ['c', 'd'] {
        for hidden in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let mut person = Person::types(folder.path(), "trap : INT; source-cart init");
            person.is_asked("Sign-in? [1]: ");
            if hidden {
                person.answers("").is_asked("mystore.americommerce.com: ").answers("mystore.americommerce.com");
                person.is_asked("(not shown): ");
            }
            person.session.send_control(key).unwrap();
            let (code, seen) = person.ends();
            assert_eq!((code, seen.contains("Nothing was written.")), (1, true), "Ctrl-{key}: {seen}");
            assert_eq!(files(folder.path()), ["out.jsonl"]);
        }
    }
}

#[test]
fn without_a_terminal_nothing_is_asked() {
    let run = Command::new("init").arg("--output").arg("/nonexistent/config.json").stdin("1\nx\n").run();
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), ""));
    assert!(run.errors()[0].message.starts_with("`init` needs an interactive terminal."));
    assert_eq!(run.errors()[0].failure_type, "config_error");
}

#[test]
fn one_terminal_stream_alone_is_not_a_terminal() {
    for line in ["source-cart init < /dev/null", "source-cart init 2> errors.txt"] {
        let folder = tempfile::tempdir().unwrap();
        let (code, seen) = Person::types(folder.path(), line).ends();
        // If stderr is a terminal, it has the error as text as well; nothing was asked.
        assert_eq!(
            (code, seen.trim().ends_with("echo"), seen.contains("store_name")),
            (1, true, false),
            "{line}: {seen}"
        );
        let reported = fs::read_to_string(folder.path().join("out.jsonl")).unwrap();
        assert!(reported.contains("`init` needs an interactive terminal."), "{reported}");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_reported_before_any_question() {
    for (file, problem) in [("no/such/config.json", "its folder does not exist"), (".", "is a directory")] {
        let folder = tempfile::tempdir().unwrap();
        let person = Person::types(folder.path(), &format!("source-cart init --output {file}"));
        assert_eq!(person.ends().0, 1);
        let reported = fs::read_to_string(folder.path().join("out.jsonl")).unwrap();
        assert!(reported.contains(problem), "{reported}");
    }
}

#[test]
fn a_link_stays_a_link_and_a_pipe_gets_no_secret() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 3));
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("config.json");
    std::os::unix::fs::symlink("real.json", &link).unwrap();
    // At first the link is broken, then it points to the file.
    for replaces in [false, true] {
        let mut person = Person::types(folder.path(), "source-cart init");
        if replaces {
            person.is_asked("config.json exists. Replace it? [y/N]: ").answers("y");
        }
        person.is_asked("Sign-in? [1]: ").answers("");
        person.is_asked("mystore.americommerce.com: ").answers(&store.url());
        person.is_asked("(not shown): ").answers(TOKEN);
        person.is_asked("[2000-01-01T00:00:00Z]: ").answers("");
        person.is_asked("Report rows that the store deletes").is_asked("[y/N]: ").answers("");
        assert_eq!(person.ends().0, 0);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(written(&folder.path().join("real.json"))["credentials"]["access_token"], TOKEN);
    }
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert_eq!(Person::types(folder.path(), "source-cart init --output pipe").ends().0, 1);
    let reported = fs::read_to_string(folder.path().join("out.jsonl")).unwrap();
    assert!(reported.contains("`pipe` cannot be written: it is not a regular file"), "{reported}");
    assert_eq!(files(folder.path()), ["config.json", "out.jsonl", "pipe", "real.json"]);
}

/// Panics if a config does not match the specification.
fn assert_valid(config: &Value) {
    let run = Command::new("spec").run();
    let schema = jsonschema::draft7::new(&run.spec()["connectionSpecification"]).unwrap();
    let faults: Vec<String> = schema.iter_errors(config).map(|fault| fault.to_string()).collect();
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn the_written_config_matches_the_specification() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 3));
    for (typed, written_date) in [
        ("2024-01-01", "2024-01-01T00:00:00Z"),
        (" 2024-01-01T00:00:00.5-06:00 ", "2024-01-01T06:00:00.500Z"),
        ("", "2000-01-01T00:00:00Z"),
        ("${SINCE}", "${SINCE}"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut person = Person::types(folder.path(), "SINCE=2024-01-01 source-cart init");
        person.is_asked("Sign-in? [1]: ").answers("");
        person.is_asked("mystore.americommerce.com: ").answers(&store.url());
        person.is_asked("(not shown): ").answers(TOKEN);
        person.is_asked("[2000-01-01T00:00:00Z]: ").answers(typed);
        person.is_asked("Report rows that the store deletes").is_asked("[y/N]: ").answers("");
        person.is_asked("It works.");
        assert_eq!(person.ends().0, 0);
        let config = written(&folder.path().join("config.json"));
        assert_eq!(config["start_date"], written_date, "{typed}");
        // A variable is replaced only when the config is read.
        if !typed.contains('$') {
            assert_valid(&config);
        }
    }
}

#[test]
fn the_specification_accepts_the_examples_of_the_docs() {
    for date in ["2021-01-01", "2021-01-01T00:00:00Z", "2021-01-01T00:00:00-05:00", "2021-01-01T00:00:00.123Z"] {
        let mut config = crate::harness::files::store_config("mystore.americommerce.com", TOKEN, date);
        config["end_date"] = json!(date.replace("2021", "2022"));
        config["call_limit_percent"] = json!(80.0);
        assert_valid(&config);
        // The connector accepts them too.
        let run = Command::new("read").config(&config).catalog(&json!({"streams": []})).run();
        assert_eq!(run.code, Some(0), "{date}: {}", run.transcript());
    }
}
