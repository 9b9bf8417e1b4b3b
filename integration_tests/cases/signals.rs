//! Signals: a read ends within a limited time, also if no program reads its stdout, and ignores the signals that it was
//! started to ignore.

use std::io::{Read as _, Write as _, pipe};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::fake_store::{Data, FakeStore, Fault, Options, RecordedRequest};
use crate::harness::command::with_usual_signals;
use crate::harness::files::Files;
use crate::harness::setup::{SignIn, config, start};

/// Maximum time for a read to end before it counts as hanging: far more than the 8 s that it has.
const LIMIT: Duration = Duration::from_secs(90);

fn signal(name: &str, child: &Child) {
    let sent = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Waits for the end; panics if it does not come in time.
fn end(child: &mut Child) -> ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if began.elapsed() > LIMIT {
            child.kill().unwrap();
            panic!("still running");
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until a condition is true.
fn until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < LIMIT, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Reads orders from a shell that runs `first` before, with this stdout.
fn read(store: &FakeStore, files: &Files, first: &str, stdout: Stdio) -> Child {
    let config = files.write("config.json", &config(SignIn::Token, store).to_string());
    let read = format!(
        "{first} exec {} read --config {} --streams orders",
        env!("CARGO_BIN_EXE_source-cart"),
        config.display()
    );
    with_usual_signals("sh")
        .args(["-c", &read])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_read_whose_stdout_is_not_read_ends() {
    for name in ["TERM", "HUP", "INT"] {
        let store = start(SignIn::Token, Options::default(), Data::sample(1, 300));
        let files = Files::new();
        let (reader, writer) = pipe().unwrap();
        let mut child = read(&store, &files, "", writer.try_clone().unwrap().into());
        // The rest of the pipe is filled, independent of its size.
        let written = Arc::new(AtomicUsize::new(0));
        let filled = Arc::clone(&written);
        let filler = thread::spawn(move || {
            let mut writer = writer;
            while writer.write_all(b"\n").is_ok() {
                filled.fetch_add(1, Ordering::Relaxed);
            }
        });
        until("the store is asked", || !store.requests().is_empty());
        let before = AtomicUsize::new(usize::MAX);
        until("the pipe is full", || {
            thread::sleep(Duration::from_millis(200));
            let now = written.load(Ordering::Relaxed);
            before.swap(now, Ordering::Relaxed) == now
        });
        assert!(child.try_wait().unwrap().is_none(), "it waits for its reader");
        signal(name, &child);
        assert_eq!(end(&mut child).code(), Some(1), "SIG{name}");
        drop(reader);
        filler.join().unwrap();
    }
}

/// Returns a store that responds to one request and then to none.
fn silent() -> FakeStore {
    let fault = |seen: &RecordedRequest| (seen.n > 1).then_some(Fault::Hang);
    let options = Options { fault: Some(Box::new(fault)), max_count: Some(10), ..Options::default() };
    start(SignIn::Token, options, Data::sample(1, 300))
}

#[test]
fn closing_the_terminal_ends_a_read_like_a_termination_signal() {
    let store = silent();
    let files = Files::new();
    let mut child = read(&store, &files, "", Stdio::piped());
    until("the second request", || store.requests().len() > 1);
    signal("HUP", &child);
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!(end(&mut child).code(), Some(75));
    assert!(out.contains("was interrupted") && out.contains("INCOMPLETE"), "{out}");
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let store = silent();
    let files = Files::new();
    // As with `nohup`, and in the background of a shell.
    let mut child = read(&store, &files, "trap '' HUP INT;", Stdio::piped());
    until("the second request", || store.requests().len() > 1);
    for name in ["HUP", "INT"] {
        signal(name, &child);
    }
    // Signals arrive in any order. The termination signal is awaited; the others came before it.
    thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "it was started to ignore them");
    signal("TERM", &child);
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!(end(&mut child).code(), Some(75));
    assert!(out.contains("was interrupted"), "{out}");
}
