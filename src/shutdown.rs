//! Signals that end a read or a question: SIGTERM, Ctrl-C (SIGINT) and SIGHUP.
//!
//! A separate thread waits for those of a read until the process ends. It also ends a read that cannot end by itself
//! because nobody reads its stdout.

use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::watch;

/// Exit code of a process that a signal ended: that of a failure.
const EXIT_CODE: i32 = 1;

/// Time after the first signal for a read to end by itself: it writes what it has and reports its streams as
/// incomplete. Less than the 10 s after which `docker stop` kills, the shortest usual time.
const GRACE: Duration = Duration::from_secs(8);

/// Returns a receiver that becomes true at the first signal. Signals are caught when this returns. A second signal, or
/// the end of the grace period, ends the process.
pub(crate) fn requested() -> watch::Receiver<bool> {
    let (stop, stopping) = watch::channel(false);
    let (ready, is_ready) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        // Signals that cannot be caught end the process as usual.
        let caught = runtime.ok().and_then(|runtime| {
            let mut signals = runtime.block_on(async { Signals::catch() })?;
            let _waiting = ready.send(());
            runtime.block_on(signals.next());
            // The receivers live as long as the read.
            let _sent = stop.send(true);
            runtime.block_on(async {
                tokio::select! {
                    () = signals.next() => {}
                    () = tokio::time::sleep(GRACE) => {}
                }
            });
            Some(())
        });
        if caught.is_some() {
            std::process::exit(EXIT_CODE);
        }
        drop(ready);
        // Without its sender the receiver would count as signalled.
        loop {
            std::thread::park();
        }
    });
    let _caught = is_ready.recv();
    stopping
}

/// Ends the process on Ctrl-C if `exits` returns true.
pub(crate) fn exit_on_ctrl_c(exits: impl Fn() -> bool + Send + 'static) {
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if exits() {
                std::process::exit(EXIT_CODE);
            }
        }
    });
}

/// The caught signals.
#[cfg(unix)]
struct Signals(Vec<tokio::signal::unix::Signal>);

#[cfg(unix)]
impl Signals {
    /// Catches the signals that were not ignored when the process started: `nohup` ignores SIGHUP, and a shell without
    /// job control ignores Ctrl-C for background processes.
    fn catch() -> Option<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let ignored = ignored();
        let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
        let is_caught = |kind: &SignalKind| ignored >> (kind.as_raw_value() - 1) & 1 == 0;
        let signals: Result<Vec<_>, _> = kinds.into_iter().filter(is_caught).map(signal).collect();
        signals.ok().map(Self)
    }

    /// Waits for the next signal.
    async fn next(&mut self) {
        std::future::poll_fn(|context| match self.0.iter_mut().any(|signal| signal.poll_recv(context).is_ready()) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        })
        .await;
    }
}

/// Returns the ignored signals, one bit each, the lowest for signal 1. Linux reports them in a file; elsewhere none are
/// known.
#[cfg(unix)]
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

/// Ctrl-C alone.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn catch() -> Option<Self> {
        Some(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
