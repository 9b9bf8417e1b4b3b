//! Output paths: an existing file is replaced completely, written in place, or refused before the
//! first request. No test uses a device of the machine: each creates its own.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use serde_json::Value;

use crate::fake_store::{FakeStore, Options};
use crate::harness::command::Command;
use crate::harness::files::{Files, configured};
use crate::harness::run::Run;
use crate::harness::setup::{SignIn, config, minutes, nobody, only_error, start};

fn store() -> FakeStore {
    start(SignIn::Token, Options::default(), minutes("orders", 1, 5))
}

/// Returns a read that writes its state there.
fn keeping(store: &FakeStore, out: &Path) -> Run {
    let command = Command::new("read").config(&config(SignIn::Token, store)).arg("--streams").arg("orders");
    command.arg("--state-out").arg(&out.display().to_string()).run()
}

/// Runs a program of the system. Returns true if it succeeded.
fn does(program: &str, arguments: &[&str]) -> bool {
    let mut command = std::process::Command::new(program);
    command.args(arguments).stderr(std::process::Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Prints why a part of this theme cannot be tested on this machine.
fn skipped(why: &str) {
    let _ignored = writeln!(std::io::stderr(), "skipped: {why}");
}

/// Runs a shell with the executable's folder first in its path.
fn shell(folder: &Path, line: &str) -> std::process::Output {
    crate::cases::usage::type_in(folder, line, &[])
}

/// Returns the files in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_pipe_gets_the_last_states_and_stays_a_pipe_also_through_a_link() {
    let store = store();
    let files = Files::new();
    let (pipe, link) = (files.path("pipe"), files.path("link"));
    assert!(does("mkfifo", &[pipe.to_str().unwrap()]));
    symlink("pipe", &link).unwrap();
    for path in [&pipe, &link] {
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read_to_string(pipe).unwrap()
        });
        let run = keeping(&store, path);
        assert_eq!(run.code, Some(0), "{}", run.transcript());
        let list: Value = serde_json::from_str(&reader.join().unwrap()).unwrap();
        assert_eq!(Some(&list[0]["stream"]["stream_state"]), run.last_state("orders"));
        assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
    assert_eq!(names(&files.path("")), ["link", "pipe"], "neither a lock nor a temporary file");
}

#[test]
fn a_device_stays_a_device_also_through_a_link() {
    let files = Files::new();
    let (device, link) = (files.path("null"), files.path("link"));
    // The same numbers as the null device, but another node.
    if !does("mknod", &[device.to_str().unwrap(), "c", "1", "3"]) || fs::write(&device, "x").is_err() {
        skipped("this user may not make or use device nodes here");
        return;
    }
    symlink(&device, &link).unwrap();
    let number = fs::metadata(&device).unwrap().rdev();
    for path in [&device, &link] {
        let run = keeping(&store(), path);
        assert_eq!(run.code, Some(0), "{}", run.transcript());
        let found = fs::symlink_metadata(&device).unwrap();
        assert!(found.file_type().is_char_device() && found.rdev() == number, "it was replaced");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
    assert_eq!(names(&files.path("")), ["link", "null"]);
}

#[test]
fn sockets_and_folders_are_refused_and_links_are_followed() {
    let store = store();
    let files = Files::new();
    let _listener = UnixListener::bind(files.path("socket")).unwrap();
    fs::create_dir(files.path("folder")).unwrap();
    for (link, to) in [("to socket", "socket"), ("to folder", "folder"), ("lost", "none/state.json"), ("loop", "loop")]
    {
        symlink(to, files.path(link)).unwrap();
    }
    for (name, clause) in [
        ("socket", "is a socket"),
        ("to socket", "is a socket"),
        ("folder", "is a directory"),
        ("to folder", "is a directory"),
        ("new/", "is the name of a directory"),
        ("lost", "its folder does not exist"),
        ("loop", ""),
    ] {
        let run = keeping(&store, &files.path(name));
        assert_eq!((run.code, run.messages.len()), (Some(1), 1), "{name}: {}", run.transcript());
        let reported = only_error(&run);
        assert!(reported.starts_with("The state file `") && reported.contains(clause), "{name}: {reported}");
    }
    assert_eq!(store.requests().len(), 0);
    assert!(fs::symlink_metadata(files.path("socket")).unwrap().file_type().is_socket());

    symlink("state.json", files.path("dangling")).unwrap();
    for _ in 0..2 {
        assert_eq!(keeping(&store, &files.path("dangling")).code, Some(0));
        assert!(fs::symlink_metadata(files.path("dangling")).unwrap().is_symlink());
        assert!(fs::symlink_metadata(files.path("state.json")).unwrap().is_file());
    }
}

#[test]
fn a_mounted_file_is_refused_with_the_folder_to_mount() {
    let store = store();
    let files = Files::new();
    files.write("config.json", &config(SignIn::Token, &store).to_string());
    files.write("state.json", "[]");
    let mount = "mount --bind state.json state.json";
    if !does("unshare", &["-rm", "true"]) || !shell(&files.path(""), &format!("unshare -rm {mount}")).status.success() {
        skipped("this user may not mount anything here");
        return;
    }
    let read = "source-cart read --config config.json --streams orders --state-out state.json";
    let output = shell(&files.path(""), &format!("unshare -rm sh -c '{mount} && exec {read}'"));
    let reported = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{reported}");
    let folder = fs::canonicalize(files.path("")).unwrap();
    assert!(reported.contains(&format!("mount its folder `{}` instead", folder.display())), "{reported}");
    assert_eq!(store.requests().len(), 0);
    assert_eq!(names(&files.path("")), ["config.json", "state.json", "state.json.lock"]);
}

#[test]
fn with_a_stdout_closed_at_the_start_nothing_is_read() {
    let store = store();
    let files = Files::new();
    files.write("config.json", &config(SignIn::Token, &store).to_string());
    let read = "source-cart read --config config.json --streams orders --state-out state.json";
    for line in [read, "source-cart discover", "source-cart completions bash"] {
        let output = shell(&files.path(""), &format!("{line} >&-"));
        let reported = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(74), "{line}: {reported}");
        assert!(reported.contains("standard output is closed") && reported.contains("--output"), "{reported}");
    }
    assert_eq!((store.requests().len(), names(&files.path("")).len()), (0, 1));
    // Rows that are discarded on purpose, and rows in files.
    for rest in ["> /dev/null", "--format jsonl --output rows --quiet >&-"] {
        let output = shell(&files.path(""), &format!("{read} {rest}"));
        assert_eq!(output.status.code(), Some(0), "{rest}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(files.path("rows/orders.jsonl").exists());
}

#[test]
fn no_file_is_written_that_is_also_read_or_written_twice() {
    let store = store();
    let files = Files::new();
    let folder = files.path("");
    files.write("config.json", &config(SignIn::Token, &store).to_string());
    files.write("catalog.json", &configured(&[("orders", "incremental")]).to_string());
    files.write("state.json", "[]");
    symlink("config.json", files.path("link.json")).unwrap();
    fs::hard_link(files.path("catalog.json"), files.path("same.json")).unwrap();
    let before: Vec<String> =
        ["config.json", "catalog.json"].map(|name| fs::read_to_string(files.path(name)).unwrap()).into();
    let rows = "--format jsonl --output";
    for (options, both) in [
        ("--state-out config.json".to_owned(), "`--state-out` and `--config`"),
        ("--state-out link.json".to_owned(), "`--state-out` and `--config`"),
        ("--state-out ./catalog.json".to_owned(), "`--state-out` and `--catalog`"),
        ("--state-out same.json".to_owned(), "`--state-out` and `--catalog`"),
        (format!("--state-out new {rows} new"), "`--output` and `--state-out`"),
        (format!("{rows} config.json"), "`--output` and `--config`"),
        (format!("--state state.json {rows} state.json"), "`--output` and `--state`"),
        ("--state-out out.jsonl > out.jsonl".to_owned(), "`--state-out` and standard output"),
        ("--state-out /dev/stdout | cat".to_owned(), "`--state-out` and standard output"),
        ("--summary out.jsonl > out.jsonl".to_owned(), "`--summary` and standard output"),
        ("--summary /dev/stdout > out.jsonl".to_owned(), "`--summary` and standard output"),
    ] {
        let line = format!("source-cart read --config config.json --catalog catalog.json {options}");
        let output = shell(&folder, &line);
        let file = fs::read_to_string(files.path("out.jsonl")).unwrap_or_default();
        let reported =
            format!("{}{}{file}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(
            reported.contains(both) && reported.contains("config_error")
                || reported.contains(&format!("error: {both}")),
            "{line}: {reported}"
        );
    }
    for (name, text) in ["config.json", "catalog.json"].iter().zip(before) {
        assert_eq!(fs::read_to_string(files.path(name)).unwrap(), text, "{name}");
    }
    assert_eq!(store.requests().len(), 0);
    // The same file for the state that is read and the one that is written is allowed.
    let line = "source-cart read --config - --streams orders --state state.json --state-out state.json < config.json";
    assert!(shell(&folder, line).status.success());
}

#[test]
fn paths_that_are_neither_directory_nor_file_are_refused_for_records() {
    let store = store();
    let files = Files::new();
    let _listener = UnixListener::bind(files.path("socket")).unwrap();
    assert!(does("mkfifo", &[files.path("pipe").to_str().unwrap()]));
    symlink("nowhere", files.path("dangling")).unwrap();
    let into = |folder: &Path| {
        let command = Command::new("read").config(&config(SignIn::Token, &store)).arg("--streams").arg("orders");
        command.arg("--format").arg("jsonl").arg("--output").arg(&folder.display().to_string()).output()
    };
    for name in ["socket", "pipe", "dangling"] {
        let output = into(&files.path(name));
        assert_eq!((output.code, store.requests().len()), (Some(1), 0), "{name}: {}", output.stderr);
        assert!(output.stderr.contains("cannot be used as the output folder"), "{}", output.stderr);
    }
    assert!(fs::symlink_metadata(files.path("pipe")).unwrap().file_type().is_fifo());

    // An entry with the name of a file left by a kill that is not a file is neither waited for nor cut.
    let rows = files.path("rows");
    fs::create_dir(&rows).unwrap();
    assert!(does("mkfifo", &[rows.join("orders.jsonl.partial").to_str().unwrap()]));
    let victim = files.write("victim", "half a row");
    symlink(&victim, rows.join("pages.jsonl.partial")).unwrap();
    let output = into(&rows);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert!(fs::symlink_metadata(rows.join("orders.jsonl.partial")).unwrap().file_type().is_fifo());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "half a row");
    assert_eq!(fs::read_to_string(rows.join("orders.run0002.jsonl")).unwrap().lines().count(), 5);
    // The same for the lock.
    let locked = files.path("locked");
    fs::create_dir(&locked).unwrap();
    assert!(does("mkfifo", &[locked.join(".source-cart.lock").to_str().unwrap()]));
    assert_eq!(into(&locked).code, Some(1));
}

#[test]
fn the_name_of_a_file_is_not_a_folder_for_records() {
    let files = Files::new();
    for (name, format) in [("orders.csv", "csv"), ("orders.jsonl", "jsonl"), ("all.JSON", "jsonl")] {
        let path = files.path(name).display().to_string();
        let command = Command::new("read").config(&nobody()).arg("--streams").arg("orders,pages");
        let output = command.arg("--format").arg(format).arg("--output").arg(&path).output();
        assert_eq!(output.code, Some(1));
        let reported = output.stderr;
        assert!(
            reported.contains("needs a folder") && reported.contains(&format!("`rows/orders.{format}`")),
            "{reported}"
        );
        assert!(reported.contains(&format!("> {path}")) && !files.path(name).exists(), "{reported}");
    }
    // An existing folder, or a name with a dot inside, is accepted.
    fs::create_dir(files.path("old.csv")).unwrap();
    let store = store();
    for name in ["old.csv", "rows.2024"] {
        let command = Command::new("read").config(&config(SignIn::Token, &store)).arg("--streams").arg("orders");
        let command = command.arg("--format").arg("csv").arg("--output").arg(&files.path(name).display().to_string());
        assert_eq!(command.output().code, Some(0), "{name}");
        assert!(files.path(name).join("orders.csv").exists());
    }
}
