//! `source-cart`: an Airbyte source connector for Cart.com (formerly AmeriCommerce).
//!
//! The map of this tree, in reading order:
//!
//! - `cli`, `help`, `selection`, `given`, `given_states`, `fields`, `config`, `spec`: what the user gives
//! - [`streams`]: the table, one row a stream, with `schemas/*.json`
//! - [`cart`]: the API side, everything over HTTP; names nothing of Airbyte
//! - [`airbyte`]: the protocol side, everything on stdout and in the given files; names nothing of HTTP
//! - `timestamp`, [`json`], [`record`]: instants, JSON text, one record; pure
//! - `output`: what becomes of the messages: stdout, files of records, the file of states, words for people
//! - `view`: what the config asks of the records: nested collections, sensitive fields
//! - `init`: the config, asked for on a terminal
//! - `commands`, [`mod@read`], `failure`, `nearest`: where both sides meet, and what is said to the user
//! - `state_command`: shows and changes a state file
//! - `files`: files that are written, each as a whole
//! - `spare`: buffers of both sides that are used again
//! - `panics`: what a fault of this program leaves behind
//!
//! Two rules hold it together: `cart` and `airbyte` do not name each other, and nothing but the
//! one thread of `airbyte::emit` writes to stdout, through a sink of `output`. Adding a stream is one schema
//! file and one row of the table.

pub mod airbyte;
pub mod cart;
mod cli;
mod commands;
mod config;
mod failure;
mod fields;
mod files;
mod given;
mod given_states;
mod help;
mod init;
pub mod json;
mod nearest;
pub mod output;
pub mod panics;
pub mod read;
pub mod record;
pub mod secret;
mod selection;
mod spare;
mod spec;
mod state_command;
pub mod streams;
pub mod timestamp;
pub mod view;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use clap::Parser as _;
use tokio::sync::watch;

use airbyte::state::States;
use airbyte::{Closed, ConfiguredCatalog, EmittedError, Emitter, FailureType, Level, Message, emit};
use cart::Patience;
use cli::{Cli, Command, ReadArguments, Which};
use failure::Failure;
use init::Ended;
use output::Opening;
use output::board::Board;
use output::run_summary::Summary;
use output::stdout::Stdout;

/// Exit code when all went well.
const SUCCESS: u8 = 0;
/// Exit code when something failed and was told as a TRACE error.
const FAILURE: u8 = 1;
/// Exit code when everything that failed may pass by itself (`EX_TEMPFAIL` of sysexits.h): run it again later.
const OUTAGE: u8 = 75;
/// Exit code when the command line cannot be understood, as the Python CDK has it.
const USAGE: u8 = 2;
/// Exit code when stdout is gone: what was not written is lost, so this is never success.
const STDOUT_GONE: u8 = 74;

pub use cli::command_line;

/// Which of the process's standard streams a person sits at.
#[derive(Clone, Copy, Debug)]
pub struct Terminals {
    /// Whether standard input is a terminal.
    pub stdin: bool,
    /// Whether standard output is one.
    pub stdout: bool,
    /// Whether standard error is one.
    pub stderr: bool,
}

/// Runs the command line and gives the exit code. Protocol messages go to `out`, usage to `err`.
///
/// `stdout` is what `out` is.
pub fn run(
    arguments: impl IntoIterator<Item = std::ffi::OsString>,
    out: impl Write + Send + 'static,
    stdout: Stdout,
    err: &mut impl Write,
    terminals: Terminals,
) -> u8 {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(usage) => return say_usage(&usage, out, err, terminals),
    };
    if stdout.is_closed && cli.command.is_lost_without_stdout() {
        let _told = writeln!(
            err,
            "source-cart: standard output is closed, so everything would be lost, and nothing was done. Redirect it to a file or a pipe, or give `read` a folder with `--output`."
        );
        return STDOUT_GONE;
    }
    let level = match std::env::var("LOG_LEVEL") {
        Ok(level) if level.eq_ignore_ascii_case("debug") || level.eq_ignore_ascii_case("trace") => Level::Debug,
        _ if cli.command.debug() => Level::Debug,
        _ => Level::Info,
    };
    // Commands that make no requests use a single-threaded runtime.
    let asks_nobody = matches!(
        cli.command,
        Command::Spec { .. }
            | Command::Discover { .. }
            | Command::Catalog(_)
            | Command::State { .. }
            | Command::Completions { .. }
    );
    let runtime = if asks_nobody {
        tokio::runtime::Builder::new_current_thread().build()
    } else {
        tokio::runtime::Builder::new_multi_thread().enable_all().build()
    };
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _told = writeln!(err, "source-cart: the runtime cannot be started: {error}");
            return FAILURE;
        }
    };
    let (sink, opening, board) = output::outlet(out, stdout, cli.command.route(), terminals);
    let (emitter, writer) = emit::start(sink, level, || {
        let failure = Failure::panic(&panics::place());
        Message::failure(failure.kind, &failure.message, failure.internal.as_deref()).line()
    });
    let last_word = emitter.clone();
    let summary = Arc::new(Summary::new(cli.command.route().and_then(|route| route.summary.as_deref())));
    // Nothing of what panicked is used again but the emitter, which hands over whole lines or none.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(dispatch(cli.command, emitter, terminals, &opening, (&board, &summary)))
    }));
    let outcome = outcome.unwrap_or_else(|_| runtime.block_on(tell(&last_word, &Failure::panic(&panics::place()))));
    let errors = last_word.errors();
    drop(last_word);
    summary.settle();
    // Requests that are still under way are given up; their lines were never handed over.
    runtime.shutdown_background();
    let written = writer.finish();
    if let Some(table) = board.close() {
        let _told = write!(err, "{table}");
    }
    let code = match (outcome, &written) {
        (Ok(FAILURE), Ok(())) if may_pass(&errors) => OUTAGE,
        (Ok(code), Ok(())) => code,
        (_, Err(error)) => {
            let _told = writeln!(err, "source-cart: {error}");
            STDOUT_GONE
        }
        (Err(Closed), Ok(())) => STDOUT_GONE,
    };
    match summary.write(code, &errors, written.as_ref().err()) {
        Ok(()) => code,
        Err(error) => {
            let _told = writeln!(err, "source-cart: {error}");
            if code == SUCCESS { STDOUT_GONE } else { code }
        }
    }
}

/// Returns true if there are errors and each of them may pass by itself.
fn may_pass(errors: &[EmittedError]) -> bool {
    !errors.is_empty() && errors.iter().all(|error| error.failure_type == FailureType::TransientError)
}

/// Help and version go to stdout, since they were asked for; usage errors to stderr, and as a TRACE error
/// to a stdout that a program reads.
fn say_usage(usage: &clap::Error, mut out: impl Write, err: &mut impl Write, terminals: Terminals) -> u8 {
    let text = usage.render();
    if usage.use_stderr() {
        let _told = write!(err, "{text}");
        if !terminals.stdout {
            let failure = Failure::usage(&text.to_string());
            let line = Message::failure(failure.kind, &failure.message, failure.internal.as_deref()).line();
            // Whoever closed stdout is told on stderr.
            let _told = out.write_all(&line).and_then(|()| out.flush());
        }
        return USAGE;
    }
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => SUCCESS,
        Err(_) => STDOUT_GONE,
    }
}

async fn dispatch(
    command: Command,
    emitter: Emitter,
    terminals: Terminals,
    opening: &Opening,
    (board, summary): (&Arc<Board>, &Arc<Summary>),
) -> Result<u8, Closed> {
    panics::rehearse("main");
    match command {
        Command::Spec { .. } => commands::spec(&emitter).await.map(|()| SUCCESS),
        Command::Discover { config, .. } => match commands::view(config.as_deref()) {
            Ok((view, doubts)) => {
                commands::warn(&doubts, &emitter).await?;
                commands::discover(&view, &emitter).await.map(|()| SUCCESS)
            }
            Err(failure) => tell(&emitter, &failure).await,
        },
        Command::Check(with) => {
            let config = commands::config(&with.config);
            let emitter = emitter.hiding(config.as_ref().map(config::Config::secrets).unwrap_or_default());
            commands::check(config, &emitter).await.map(|()| SUCCESS)
        }
        Command::Init { output } => match init::run(&output, terminals, &emitter).await {
            Ok(Ended::Written) => Ok(SUCCESS),
            Ok(Ended::GivenUp) => Ok(FAILURE),
            Err(failure) => tell(&emitter, &failure).await,
        },
        Command::State { action } => match state_command::run(&action) {
            Ok(text) => emitter.send(text.into_bytes()).await.map(|()| SUCCESS),
            Err(failure) => tell(&emitter, &failure).await,
        },
        Command::Completions { shell } => commands::completions(shell, &emitter).await.map(|()| SUCCESS),
        Command::Read(arguments) => read(arguments, emitter, opening, (board, summary)).await,
        Command::Catalog(arguments) => match commands::view(arguments.config.as_deref()) {
            Ok((view, doubts)) => {
                // Stdout holds the catalog alone.
                for doubt in doubts {
                    let _told = writeln!(std::io::stderr(), "source-cart: {doubt}");
                }
                let streams = selection::merged(&arguments.streams);
                commands::catalog(&streams, arguments.full_refresh, &view, &emitter).await.map(|()| SUCCESS)
            }
            Err(failure) => tell(&emitter, &failure).await,
        },
    }
}

async fn read(
    arguments: ReadArguments,
    emitter: Emitter,
    opening: &Opening,
    (board, summary): (&Arc<Board>, &Arc<Summary>),
) -> Result<u8, Closed> {
    if let Err(failure) = arguments.check_paths().and_then(|()| summary.try_file()) {
        return tell(&emitter, &failure).await;
    }
    let config = match commands::config(&arguments.with.config) {
        Ok(config) => config,
        Err(failure) => return tell(&emitter, &failure).await,
    };
    let emitter = emitter.hiding(config.secrets());
    commands::warn(&config.doubts, &emitter).await?;
    let dry_run = arguments.to.dry_run;
    let given = catalog(&arguments.which).and_then(|catalog| {
        let catalog = if arguments.full_refresh { catalog.in_full() } else { catalog };
        if dry_run {
            // The state that a first read will make is not there yet.
            let kept = arguments.to.state_out.as_deref();
            let is_there = |path: &&Path| path.exists() || !kept.is_some_and(|kept| files::are_same(kept, path));
            let state = arguments.state.as_deref().filter(is_there);
            let states = state.map_or_else(|| Ok(States::default()), given_states::read)?;
            return Ok((catalog, states, commands::client(&config, Patience::CHECK)?));
        }
        let states = opening.open(&arguments.to, &catalog, &config.view, arguments.state.as_deref())?;
        Ok((catalog, states, commands::client(&config, Patience::READ)?))
    });
    let (catalog, states, client) = match given {
        Ok(given) => given,
        Err(failure) => return tell(&emitter, &failure).await,
    };
    for warning in given_states::warnings(&states) {
        emitter.log(Level::Warn, &warning).await?;
    }
    if catalog.streams.is_empty() {
        emitter.log(Level::Warn, "The catalog selects no streams, so nothing is read.").await?;
    }
    let (start, end, view) = (config.start, config.end, config.view);
    let (board, summary) = (Arc::clone(board), Arc::clone(summary));
    let setting = read::Setting { client, start, end, view, board, summary, stopping: stopping() };
    let complete = if dry_run {
        read::dry_run(setting, catalog, states.list, arguments.to.json, &emitter).await?
    } else {
        read::run(setting, catalog, states.list, &emitter).await?
    };
    Ok(if complete { SUCCESS } else { FAILURE })
}

/// The streams to read, from the file or from the names.
fn catalog(which: &Which) -> Result<ConfiguredCatalog, Failure> {
    let Some(path) = &which.catalog else { return Ok(selection::catalog(&which.streams)) };
    let text = commands::file("catalog", path)?;
    let catalog = airbyte::catalog::parse(&text).map_err(|fault| Failure::catalog(&fault))?;
    selection::once(catalog)
}

async fn tell(emitter: &Emitter, failure: &Failure) -> Result<u8, Closed> {
    emitter.error(None, failure.kind, &failure.message, failure.internal.as_deref()).await?;
    Ok(FAILURE)
}

/// Turns true at the first SIGTERM or Ctrl-C.
fn stopping() -> watch::Receiver<bool> {
    let (stop, stopping) = watch::channel(false);
    tokio::spawn(async move {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let terminated = signal(SignalKind::terminate());
            let interrupted = signal(SignalKind::interrupt());
            // Where signals cannot be caught they end the process as they always do.
            let (Ok(mut terminated), Ok(mut interrupted)) = (terminated, interrupted) else {
                return std::future::pending().await;
            };
            tokio::select! {
                _ = terminated.recv() => {}
                _ = interrupted.recv() => {}
            }
            // The receivers live as long as the read.
            let _sent = stop.send(true);
            // Whoever asks a second time does not want to wait for a stdout that nobody reads.
            tokio::select! {
                _ = terminated.recv() => {}
                _ = interrupted.recv() => {}
            }
            std::process::exit(i32::from(FAILURE));
        }
        #[cfg(not(unix))]
        {
            if tokio::signal::ctrl_c().await.is_ok() {
                // The receivers live as long as the read.
                let _sent = stop.send(true);
            }
            std::future::pending::<()>().await;
        }
    });
    stopping
}
