//! The command line: every command that `--help` shows works, and usage errors are reported to
//! people on stderr and to programs on stdout.

use std::fs;
use std::path::Path;

use crate::fake_store::{Data, Options};
use crate::harness::command::Command;
use crate::harness::setup::{SignIn, config, only_error, start};

/// Returns the commands that `--help` lists.
fn commands() -> Vec<String> {
    let listed = help(&[]);
    let (_, listed) = listed.split_once("Commands:\n").unwrap();
    let (listed, _) = listed.split_once("\n\n").unwrap();
    let names = listed.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    names.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).filter(|name| name != "help").collect()
}

fn help(command: &[&str]) -> String {
    let all: Vec<&str> = command.iter().copied().chain(["--help"]).collect();
    let command = all[1..].iter().fold(Command::new(all[0]), |command, word| command.arg(word));
    let output = command.output();
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the command lines in a help text.
fn examples(help: &str) -> Vec<String> {
    let joined = help.replace("\\\n", " ");
    let lines = joined.lines().map(|line| line.trim_start().to_owned());
    lines.filter(|line| line.starts_with("source-cart ") || line.starts_with("grep ")).collect()
}

/// Runs a line as a user in this folder would.
pub(crate) fn type_in(folder: &Path, line: &str, variables: &[(&str, &str)]) -> std::process::Output {
    let binary = Path::new(env!("CARGO_BIN_EXE_source-cart")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let mut shell = std::process::Command::new("sh");
    shell.args(["-ec", line]).current_dir(folder).env_clear().env("PATH", path).envs(variables.iter().copied());
    shell.stdin(std::process::Stdio::null()).output().unwrap()
}

#[test]
fn every_command_line_in_the_help_works() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 3));
    let folder = tempfile::tempdir().unwrap();
    let mut typed = 0;
    let mut pages = vec![help(&[])];
    pages.extend(commands().iter().map(|command| help(&[command])));
    for page in &pages {
        let examples = examples(page);
        assert!(!examples.is_empty(), "no example in:\n{page}");
        // `init` asks questions, so it is tested in a terminal, in `init.rs`.
        for line in examples.iter().filter(|line| !line.starts_with("source-cart init")) {
            fs::write(folder.path().join("config.json"), config(SignIn::Token, &store).to_string()).unwrap();
            let output = type_in(folder.path(), line, &[]);
            let reported = String::from_utf8_lossy(&output.stderr);
            assert_eq!((output.status.code(), reported.as_ref()), (Some(0), ""), "{line}");
            assert!(!String::from_utf8_lossy(&output.stdout).contains("FAILED"), "{line}");
            typed += 1;
        }
    }
    assert!(typed >= 15, "{typed}");
    let rows = |file: &str| {
        let text = fs::read_to_string(folder.path().join(file)).unwrap();
        text.lines().filter(|line| line.starts_with(r#"{"type":"RECORD""#)).count()
    };
    assert!(rows("first.jsonl") > 0 && rows("all.jsonl") > rows("first.jsonl") && rows("products.jsonl") > 0);
}

#[test]
fn the_command_line_of_the_page_on_output_works_repeatedly() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 3));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), config(SignIn::Token, &store).to_string()).unwrap();
    let lines = examples(include_str!("../../docs/reference/output.md"));
    assert_eq!(lines.len(), 1, "{lines:?}");
    for _ in 0..2 {
        let output = type_in(folder.path(), &lines[0], &[]);
        assert_eq!((output.status.code(), output.stdout.len(), output.stderr.len()), (Some(0), 0, 0));
    }
    let rows = fs::read_to_string(folder.path().join("rows/orders.jsonl")).unwrap();
    assert_eq!((rows.lines().count(), folder.path().join("rows/orders.run0002.jsonl").exists()), (3, false));
}

#[test]
fn help_fits_a_terminal_and_explains_each_option() {
    for command in commands() {
        for line in help(&[&command]).lines() {
            assert!(line.chars().count() <= 80, "{command}: {line}");
        }
    }
    for command in ["spec", "check", "discover", "read", "streams", "catalog", "init", "completions"] {
        assert!(commands().contains(&command.to_owned()), "{command}");
    }
}

#[test]
fn completions_and_manual_pages_know_every_command_and_option() {
    let folder = tempfile::tempdir().unwrap();
    crate::assets::write(folder.path(), &source_cart::CART).unwrap();
    let text = |path: &str| fs::read_to_string(folder.path().join(path)).unwrap();
    let shells = ["completions/source-cart.bash", "completions/_source-cart", "completions/source-cart.fish"].map(text);
    // Roff writes a hyphen as `\-`.
    let overview = text("man/source-cart.1").replace('\\', "");
    let line = source_cart::command_line(&source_cart::CART);
    assert_eq!(line.get_subcommands().count(), commands().len());
    for command in line.get_subcommands() {
        let name = command.get_name();
        assert!(overview.contains(&format!("source-cart-{name}(1)")), "{name}");
        let page = text(&format!("man/source-cart-{name}.1")).replace('\\', "");
        assert!(page.contains("Examples:"), "{name}");
        for shell in &shells {
            assert!(shell.contains(name), "{name}");
        }
        for option in command.get_arguments().filter_map(|argument| argument.get_long()) {
            assert!(page.contains(&format!("--{option}")), "{name} --{option}");
            assert!(shells[0].contains(&format!("--{option}")), "{name} --{option}");
            assert!(shells[1].contains(&format!("--{option}")), "{name} --{option}");
            assert!(shells[2].contains(&format!("-l {option}")), "{name} --{option}");
        }
    }
    // The output of the executable is what is shipped.
    let printed = Command::new("completions").arg("bash").output();
    assert_eq!((printed.code, printed.stdout == shells[0].as_bytes()), (Some(0), true));
    let unknown = Command::new("completions").arg("csh").run();
    assert_eq!(unknown.code, Some(2));
}

#[test]
fn usage_errors_exit_with_2_and_are_reported_on_stdout_and_stderr() {
    let mut reported = Vec::new();
    for arguments in [
        vec!["frobnicate"],
        vec!["read"],
        vec!["read", "--config", "c.json"],
        vec!["read", "--config", "c.json", "--catalog", "x.json", "--streams", "orders"],
        vec!["read", "--config", "c.json", "--streams", "ordres,product"],
        vec!["read", "--streams", "orders"],
        vec!["read", "--config", "c.json", "--streams", "ordr*"],
        vec!["read", "--config", "c.json", "--streams", "orders", "--start-date", "2021-01-01T00:00:00"],
        vec!["read", "--config", "c.json", "--streams", "orders", "--end-date", "tomorrow"],
        vec!["read", "--config", "c.json", "--streams", "orders", "--call-limit-percent", "0"],
        vec!["check"],
        vec!["spec", "--nonsense"],
        vec!["discover", "--config"],
        vec!["catalog", "--streams", "zzz"],
    ] {
        let command = arguments[1..].iter().fold(Command::new(arguments[0]), |command, argument| command.arg(argument));
        let run = command.run();
        assert_eq!((run.code, run.messages.len()), (Some(2), 1), "{arguments:?}");
        assert_eq!(run.errors()[0].failure_type, "config_error");
        assert!(run.errors()[0].internal_message.contains("--help"), "{arguments:?}");
        assert!(run.stderr.contains("--help"), "{arguments:?}: {}", run.stderr);
        reported.push(only_error(&run));
    }
    insta::assert_snapshot!(reported.join("\n"));
}

#[test]
fn in_a_terminal_a_usage_error_is_text_only() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_source-cart"));
    command.arg("read").env_clear();
    let mut session = rexpect::session::spawn_command(command, Some(60_000)).unwrap();
    let seen = session.exp_eof().unwrap();
    assert!(seen.contains("--streams <NAMES>") && !seen.contains("TRACE"), "{seen}");
}

#[test]
fn without_a_command_the_help_is_shown_as_a_usage_error() {
    let nothing = std::process::Command::new(env!("CARGO_BIN_EXE_source-cart")).output().unwrap();
    assert_eq!(nothing.status.code(), Some(2));
    assert!(String::from_utf8(nothing.stderr).unwrap().contains("First steps:"));
    let line = String::from_utf8(nothing.stdout).unwrap();
    assert!(
        line.starts_with(r#"{"type":"TRACE""#) && line.contains("No command given. Run `source-cart --help`"),
        "{line}"
    );
    assert_eq!(line.lines().count(), 1);
}

#[test]
fn the_configuration_comes_from_the_command_line_else_the_environment_else_the_folder() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 3));
    let folder = tempfile::tempdir().unwrap();
    let good = config(SignIn::Token, &store).to_string();
    let code = |line: &str, variables: &[(&str, &str)]| {
        let output = type_in(folder.path(), line, variables);
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    for command in ["check", "read --streams orders"] {
        let (code, reported) = code(&format!("source-cart {command}"), &[]);
        assert_eq!(code, 2, "{reported}");
        for way in ["`--config`", "SOURCE_CART_CONFIG", "config.json"] {
            assert!(reported.contains(way), "{reported}");
        }
    }
    // Commands that need no configuration still need none.
    assert_eq!((code("source-cart discover", &[]).0, code("source-cart catalog", &[]).0), (0, 0));

    fs::write(folder.path().join("mine.json"), &good).unwrap();
    let named = [("SOURCE_CART_CONFIG", "mine.json")];
    assert!(code("source-cart check", &named).1.contains("SUCCEEDED"));
    fs::write(folder.path().join("config.json"), "{}").unwrap();
    assert!(code("source-cart check", &named).1.contains("SUCCEEDED"), "the environment goes before the folder");
    assert!(code("source-cart check", &[("SOURCE_CART_CONFIG", "")]).1.contains("FAILED"), "an empty name is none");
    assert!(
        code("source-cart check --config mine.json", &[("SOURCE_CART_CONFIG", "config.json")]).1.contains("SUCCEEDED")
    );
    assert!(code("source-cart check", &[("SOURCE_CART_CONFIG", "gone.json")]).1.contains("`gone.json` does not exist"));
    fs::rename(folder.path().join("mine.json"), folder.path().join("config.json")).unwrap();
    assert!(code("source-cart check", &[]).1.contains("SUCCEEDED"));
    assert_eq!(code("source-cart read --streams orders", &[]).0, 0);

    // The schema is larger if the configuration nests rows.
    let nested = good.replacen('{', "{\"expand\": [\"orders.items\"], ", 1);
    let plain = code("source-cart catalog --streams orders", &[]).1;
    fs::write(folder.path().join("config.json"), nested).unwrap();
    assert!(code("source-cart catalog --streams orders", &[]).1.len() > plain.len());
}

#[test]
fn the_command_line_overrides_the_configuration() {
    let store = start(SignIn::Token, Options::default(), crate::harness::setup::minutes("orders", 1, 100));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), config(SignIn::Token, &store).to_string()).unwrap();
    let rows = |more: &str| {
        let output = type_in(folder.path(), &format!("source-cart read --streams orders {more}"), &[]);
        assert_eq!(output.status.code(), Some(0), "{more}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().filter(|line| line.starts_with(r#"{"type":"RECORD""#)).count()
    };
    let (begin, end) = (store.data(|data| data.now_ms) - 60 * 60_000, store.data(|data| data.now_ms) - 30 * 60_000);
    let at = |millis: i64| chrono::DateTime::from_timestamp_millis(millis).unwrap().to_rfc3339();
    assert_eq!(rows(""), 100);
    assert_eq!(rows(&format!("--start-date {}", at(begin))), 60);
    assert_eq!(rows(&format!("--end-date {}", at(end))), 70);
    assert_eq!(rows(&format!("--start-date {} --end-date {} --call-limit-percent 50", at(begin), at(end))), 30);
    let output = type_in(folder.path(), "source-cart read --streams orders --end-date 1990-01-01 || true", &[]);
    assert!(String::from_utf8(output.stdout).unwrap().contains("`end_date`"), "the two do not fit");
}

#[test]
fn the_streams_are_listed_for_people_and_for_programs() {
    let listed = Command::new("streams").output();
    let text = String::from_utf8(listed.stdout).unwrap();
    let discovered = crate::harness::files::discovered();
    let streams = discovered["streams"].as_array().unwrap();
    assert_eq!((listed.code, text.lines().count()), (Some(0), streams.len() + 1));
    assert!(text.lines().any(|line| line.split_whitespace().eq([
        "orders",
        "full,",
        "incremental",
        "yes",
        "read_orders",
        "id"
    ])));
    let json = Command::new("streams").arg("--json").output();
    let json: Vec<serde_json::Value> = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json.len(), streams.len());
    for (listed, stream) in json.iter().zip(streams) {
        let name = stream["name"].as_str().unwrap();
        assert_eq!(listed["name"], name);
        assert_eq!(listed["sync_modes"], stream["supported_sync_modes"], "{name}");
        assert_eq!(listed["primary_key"], stream["source_defined_primary_key"][0][0], "{name}");
        assert_eq!(listed["cursor_field"], stream["default_cursor_field"][0], "{name}");
        assert!(text.contains(listed["scope"].as_str().unwrap()), "{name}");
    }
}
