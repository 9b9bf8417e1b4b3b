//! Starts the executable in an empty environment, and interrupts it at a given point if a test needs that.
//!
//! A time limit makes a process that hangs fail its test instead of blocking all tests. It measures nothing.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::files::{Files, ROUTER_SECRET, TOKEN};
use super::run::{Output, Run};
use super::shop::Shop;

/// Maximum time of a run. A longer one counts as hanging; the slowest takes a fraction of it.
const LIMIT: Duration = Duration::from_secs(120);
/// Interval between two checks for the end of the process and for the condition of an interruption: short, so that an
/// interruption comes when its test expects it.
const TICK: Duration = Duration::from_millis(2);

/// A signal to send to the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGKILL: the process ends at once.
    Kill,
    /// SIGTERM: a container runtime sends it first.
    Term,
    /// SIGINT: Ctrl-C sends it.
    Int,
}

/// The point at which a run is interrupted.
enum When<'a> {
    Never,
    Bytes(usize),
    True(Box<dyn Fn() -> bool + 'a>),
}

/// The kind of interruption.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Signal(Signal),
    CloseStdout,
}

/// Reads stdout, up to a limit and at a pace.
#[derive(Clone, Copy)]
struct Reading {
    limit: Option<usize>,
    how: How,
    pace: Option<(usize, Duration)>,
}

/// A command to run.
pub(crate) struct Command<'a> {
    program: String,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    secrets: Vec<String>,
    files: Files,
    stdin: Vec<u8>,
    when: When<'a>,
    how: How,
    pace: Option<(usize, Duration)>,
}

impl<'a> Command<'a> {
    /// Returns a command of `source-cart`, such as `check` or `read`.
    pub(crate) fn new(command: &str) -> Command<'a> {
        Command::of(Shop::Cart, command)
    }

    /// Returns a command of the executable for a shop.
    pub(crate) fn of(shop: Shop, command: &str) -> Command<'a> {
        Command::of_program(shop.program()).arg(command)
    }

    /// Returns a run of any program. The harness tests itself with a shell.
    pub(super) fn of_program(program: &str) -> Command<'a> {
        Command {
            program: program.to_owned(),
            arguments: Vec::new(),
            variables: Vec::new(),
            secrets: vec![TOKEN.to_owned(), ROUTER_SECRET.to_owned()],
            files: Files::new(),
            stdin: Vec::new(),
            when: When::Never,
            how: How::Signal(Signal::Kill),
            pace: None,
        }
    }

    /// Adds an argument.
    pub(crate) fn arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Adds `--config`; the secrets in it must not appear in the output.
    pub(crate) fn config(mut self, config: &Value) -> Self {
        let credentials = &config["credentials"];
        for secret in [&credentials["access_token"], &credentials["user_secret"], &config["api_key"]] {
            let secret = secret.as_str().unwrap_or_default();
            // A shorter secret may be part of an ordinary word.
            if secret.len() >= 6 {
                self.secrets.push(secret.to_owned());
            }
        }
        self.file("config", &config.to_string())
    }

    /// Adds `--catalog`.
    pub(crate) fn catalog(self, catalog: &Value) -> Self {
        self.file("catalog", &catalog.to_string())
    }

    /// Adds `--state` with a file of this content.
    pub(crate) fn state(self, text: &str) -> Self {
        self.file("state", text)
    }

    /// Adds `--{option}` with a file of this content, which need not be valid.
    pub(crate) fn file(mut self, option: &str, text: &str) -> Self {
        let path = self.files.write(&format!("{option}.json"), text);
        self.arguments.push(format!("--{option}"));
        self.arguments.push(path.display().to_string());
        self
    }

    /// Sets the content of standard input, which is empty by default.
    pub(crate) fn stdin(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.stdin = text.into();
        self
    }

    /// Sets an environment variable. By default only `PATH` is set.
    pub(crate) fn env(mut self, key: &str, value: &str) -> Self {
        self.variables.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Adds a string that must not appear in the output.
    pub(crate) fn secret(mut self, secret: &str) -> Self {
        self.secrets.push(secret.to_owned());
        self
    }

    /// Sends SIGKILL after this many bytes of stdout; the run's stdout ends there.
    pub(crate) fn kill_after_bytes(self, bytes: usize) -> Self {
        self.signal_after_bytes(Signal::Kill, bytes)
    }

    /// Sends SIGKILL when the condition becomes true, for example after a number of requests to the store.
    pub(crate) fn kill_when(self, condition: impl Fn() -> bool + 'a) -> Self {
        self.signal_when(Signal::Kill, condition)
    }

    /// Sends a signal after this many bytes of stdout.
    pub(crate) fn signal_after_bytes(mut self, signal: Signal, bytes: usize) -> Self {
        self.when = When::Bytes(bytes);
        self.how = How::Signal(signal);
        self
    }

    /// Sends a signal when the condition becomes true.
    pub(crate) fn signal_when(mut self, signal: Signal, condition: impl Fn() -> bool + 'a) -> Self {
        self.when = When::True(Box::new(condition));
        self.how = How::Signal(signal);
        self
    }

    /// Closes the reading end of stdout after this many bytes.
    pub(crate) fn close_stdout_after_bytes(mut self, bytes: usize) -> Self {
        self.when = When::Bytes(bytes);
        self.how = How::CloseStdout;
        self
    }

    /// Reads stdout in parts of at most this many bytes, with a pause before each.
    pub(crate) fn read_slowly(mut self, bytes: usize, pause: Duration) -> Self {
        self.pace = Some((bytes, pause));
        self
    }

    /// Runs the program; panics if a line is not a valid message, a secret appears, or the process hangs.
    pub(crate) fn run(self) -> Run {
        let output = self.output();
        let reported = output.stderr.clone();
        Run::new(output, &self.secrets).unwrap_or_else(|error| panic!("{error}\nstderr: {reported}"))
    }

    /// Runs the program and checks nothing.
    pub(crate) fn output(&self) -> Output {
        let mut process = with_usual_signals(&self.program);
        process
            .args(&self.arguments)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(self.variables.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = process.spawn().unwrap();
        let (stdin, given) = (child.stdin.take().unwrap(), self.stdin.as_slice());
        let stdout = child.stdout.take().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (reached, news) = channel();
        let (hold, released) = channel();
        let reading = Reading {
            limit: match self.when {
                When::Bytes(bytes) => Some(bytes),
                When::Never | When::True(_) => None,
            },
            how: self.how,
            pace: self.pace,
        };
        thread::scope(|scope| {
            // Fails with a broken pipe if the program does not read everything.
            scope.spawn(move || { stdin }.write_all(given));
            let stdout = scope.spawn(move || reading.read(stdout, &reached, &released));
            let stderr = scope.spawn(|| read_stderr(stderr));
            let (status, interrupted, peak_kib) = self.watch(&mut child, &news);
            // The reader that stopped at its limit has kept the pipe open until now.
            drop(hold);
            let (stdout, closed) = stdout.join().unwrap();
            let stderr = stderr.join().unwrap();
            let Some(status) = status else {
                let reported = String::from_utf8_lossy(&stdout);
                let end: String = reported.chars().rev().take(2000).collect();
                let end: String = end.chars().rev().collect();
                panic!("still running after {LIMIT:?}\nstderr: {stderr}\nend of stdout: {end}");
            };
            Output {
                code: status.code(),
                signal: status.signal(),
                stdout,
                stderr,
                interrupted: interrupted || closed,
                peak_kib,
            }
        })
    }

    /// Waits for the end of the process, and interrupts it if needed. Returns its status, or `None` if it hangs; true
    /// if it was interrupted; and its peak memory in KiB.
    fn watch(&self, child: &mut Child, news: &Receiver<()>) -> (Option<std::process::ExitStatus>, bool, u64) {
        let start = Instant::now();
        let mut peak_kib = 0;
        let mut interrupted = false;
        loop {
            let bytes_reached = match news.recv_timeout(TICK) {
                Ok(()) => true,
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => {
                    thread::sleep(TICK);
                    false
                }
            };
            if let Some(status) = child.try_wait().unwrap() {
                return (Some(status), interrupted || bytes_reached, peak_kib);
            }
            peak_kib = peak_kib.max(resident_peak(child.id()));
            let due = match &self.when {
                When::True(condition) => !interrupted && condition(),
                When::Never | When::Bytes(_) => bytes_reached,
            };
            if let (true, How::Signal(signal)) = (due, self.how) {
                interrupted = true;
                send(signal, child);
            }
            if start.elapsed() > LIMIT {
                child.kill().unwrap();
                child.wait().unwrap();
                return (None, interrupted, peak_kib);
            }
        }
    }
}

impl Reading {
    /// Reads stdout to its end or to the limit. Returns the bytes, and true if it stopped at the limit.
    ///
    /// Waits for `released` before it closes the pipe: a process that will be killed must not see a closed pipe first.
    fn read(self, mut pipe: ChildStdout, reached: &Sender<()>, released: &Receiver<()>) -> (Vec<u8>, bool) {
        let mut limit = self.limit;
        let mut read = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let mut size = buffer.len();
            if let Some((bytes, pause)) = self.pace {
                thread::sleep(pause);
                size = size.min(bytes);
            }
            if let Some(limit) = limit {
                size = size.min(limit - read.len());
            }
            if size > 0 {
                let count = pipe.read(&mut buffer[..size]).unwrap();
                if count == 0 {
                    return (read, false);
                }
                read.extend_from_slice(&buffer[..count]);
            }
            if limit == Some(read.len()) {
                limit = None;
                match self.how {
                    How::CloseStdout => return (read, true),
                    How::Signal(signal) => {
                        reached.send(()).unwrap();
                        if signal == Signal::Kill {
                            // Returns when the sender is dropped, after the end of the process.
                            let _ = released.recv();
                            // True also if the process ended before it could be killed: the rest of the pipe was
                            // not read.
                            return (read, true);
                        }
                    }
                }
            }
        }
    }
}

/// Returns a command that starts a program with the default signal handling. `nohup`, and a shell that runs these tests
/// in the background, ignore SIGHUP or SIGINT. A program inherits this, and the connector then ignores them as well.
pub(crate) fn with_usual_signals(program: &str) -> std::process::Command {
    /// The bits of SIGHUP (signal 1) and SIGINT (signal 2) in the signal mask.
    const HUP_AND_INT: u64 = 0b11;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    if ignored & HUP_AND_INT == 0 {
        return std::process::Command::new(program);
    }
    // The shell replaces itself with the program, so that signals reach the program.
    let mut process = std::process::Command::new("env");
    process.args(["--default-signal=HUP,INT", program]);
    process
}

/// Returns the peak memory of a process so far in KiB; 0 if it is unknown.
fn resident_peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Sends a signal. All but SIGKILL are sent with the program `kill`, so that no unsafe code is needed.
fn send(signal: Signal, child: &mut Child) {
    let name = match signal {
        Signal::Kill => return child.kill().unwrap(),
        Signal::Term => "-TERM",
        Signal::Int => "-INT",
    };
    let status = std::process::Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success(), "kill {name} failed");
}

fn read_stderr(mut pipe: ChildStderr) -> String {
    let mut bytes = Vec::new();
    pipe.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}
