//! Signals that ask a read to end: SIGTERM, Ctrl-C (SIGINT) and SIGHUP.
//!
//! They are waited for in a thread of its own, which lives until the process ends: it also ends a read that cannot
//! end by itself, because nobody reads its stdout.

use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::watch;

use crate::FAILURE;

/// The time after the first signal in which a read may end by itself: what it has is written, and its streams say
/// that they are not complete. Less than the 10 s after which `docker stop` kills, the shortest that is usual.
const GRACE: Duration = Duration::from_secs(8);

/// Returns what turns true at the first signal. When this returns, signals are waited for.
///
/// A second signal ends the process at once, and so does the end of the grace.
pub(crate) fn requested() -> watch::Receiver<bool> {
    let (stop, stopping) = watch::channel(false);
    let (ready, is_ready) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        // Where signals cannot be caught they end the process as they always do.
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
            std::process::exit(i32::from(FAILURE));
        }
        drop(ready);
        // A receiver whose sender is gone would count as told.
        loop {
            std::thread::park();
        }
    });
    let _caught = is_ready.recv();
    stopping
}

/// The signals that are caught.
#[cfg(unix)]
struct Signals(Vec<tokio::signal::unix::Signal>);

#[cfg(unix)]
impl Signals {
    /// Catches those that were not ignored when the process began: `nohup` ignores SIGHUP, and a shell without job
    /// control ignores Ctrl-C in what it starts in the background.
    fn catch() -> Option<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let ignored = ignored();
        let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
        let is_caught = |kind: &SignalKind| ignored >> (kind.as_raw_value() - 1) & 1 == 0;
        let signals: Result<Vec<_>, _> = kinds.into_iter().filter(is_caught).map(signal).collect();
        signals.ok().map(Self)
    }

    /// Waits for the next of them.
    async fn next(&mut self) {
        std::future::poll_fn(|context| match self.0.iter_mut().any(|signal| signal.poll_recv(context).is_ready()) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        })
        .await;
    }
}

/// Returns the signals that the process ignores, a bit each, the lowest for signal 1. Where the system does not
/// tell it in a file, as Linux does, none.
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
