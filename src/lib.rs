//! `source-cart`: an Airbyte source connector for Cart.com (formerly AmeriCommerce).
//!
//! The map of this tree, in reading order:
//!
//! - `cli`, `help`, `selection`, `given`, `state_input`, `fields`, `config`, `spec`: what the user gives
//! - [`streams`]: the table, one row a stream, with `schemas/*.json`
//! - [`cart`]: the API side, everything over HTTP; names nothing of Airbyte
//! - [`airbyte`]: the protocol side, everything on stdout and in the given files; names nothing of HTTP
//! - `timestamp`, [`json`], [`record`]: instants, JSON text, one record; pure
//! - `output`: what becomes of the messages: stdout, files of records, the file of states, words for people
//! - `record_options`: what the config asks of the records: nested collections, sensitive fields
//! - `init`: the config, asked for on a terminal
//! - `commands`, [`sync`], `user_error`, `nearest`: where both sides meet, and what is said to the user
//! - `state_command`: shows and changes a state file
//! - `files`: files that are written, each as a whole
//! - `buffer_pool`: buffers of both sides that are used again
//! - `panic_hook`: what a fault of this program leaves behind; `signals`: what asks a read to end
//!
//! Two rules hold it together: `cart` and `airbyte` do not name each other, and nothing but the
//! one thread of `airbyte::emit` writes to stdout, through a sink of `output`. Adding a stream is one schema
//! file and one row of the table.

pub mod airbyte;
mod buffer_pool;
pub mod cart;
mod cli;
mod commands;
mod config;
mod files;
pub mod json;
pub mod output;
pub mod panic_hook;
pub mod record;
pub mod record_options;
pub mod secret;
mod shutdown;
mod state_input;
pub mod streams;
mod suggest;
pub mod sync;
pub mod timestamp;
mod user_error;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use clap::FromArgMatches as _;

use airbyte::state::States;
use airbyte::{Closed, ConfiguredCatalog, EmittedError, Emitter, FailureType, Level, Message, emit};
use cart::RetryPolicy;
use cli::{CheckArguments, Cli, Command, Overrides, ReadArguments, StreamSource};
use commands::init::InitOutcome;
use output::PendingDestination;
use output::progress::Progress;
use output::run_summary::RunSummary;
use output::stdout::Stdout;
use user_error::UserError;

/// Exit code when all went well.
const SUCCESS: u8 = 0;
/// Exit code when something failed and was told as a TRACE error.
const FAILURE: u8 = 1;
/// Exit code when everything that failed may pass by itself (`EX_TEMPFAIL` of sysexits.h): run it again later.
const TEMPORARY_FAILURE: u8 = 75;
/// Exit code when the command line cannot be understood, as the Python CDK has it.
const USAGE: u8 = 2;
/// Exit code when stdout is gone: what was not written is lost, so this is never success.
const STDOUT_GONE: u8 = 74;

/// What runs, for the first line of the log.
const VERSION: &str = concat!("source-cart ", env!("CARGO_PKG_VERSION"));

pub use cli::command_line;
pub use commands::script as completion_script;

/// Which of the process's standard streams a person sits at.
#[derive(Clone, Copy, Debug)]
pub struct Terminals {
    /// Whether standard input is a terminal.
    pub stdin: bool,
    /// Whether standard output is one.
    pub stdout: bool,
    /// Whether standard error is one.
    pub stderr: bool,
    /// Whether standard output and standard error are one file: words for people have no place in it.
    pub one_file: bool,
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
    let cli = match parsed(arguments, terminals) {
        Ok(cli) => cli,
        Err(usage) => return say_usage(&usage, out, err, terminals),
    };
    if stdout.is_closed && cli.command.needs_stdout() {
        let _ignored = writeln!(
            err,
            "source-cart: standard output is closed, so nothing was done. Redirect it to a file or a pipe, or set `--output` of `read` to a folder."
        );
        return STDOUT_GONE;
    }
    let level = match std::env::var("LOG_LEVEL") {
        Ok(level) if level.eq_ignore_ascii_case("debug") || level.eq_ignore_ascii_case("trace") => Level::Debug,
        _ if cli.command.debug() => Level::Debug,
        _ => Level::Info,
    };
    // Commands that make no requests use a single-threaded runtime.
    let is_offline = matches!(
        cli.command,
        Command::Spec { .. }
            | Command::Discover(_)
            | Command::Streams { .. }
            | Command::Catalog(_)
            | Command::State { .. }
            | Command::Completions { .. }
    );
    let runtime = if is_offline {
        tokio::runtime::Builder::new_current_thread().build()
    } else {
        tokio::runtime::Builder::new_multi_thread().enable_all().build()
    };
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ignored = writeln!(err, "source-cart: the runtime cannot be started: {error}");
            return FAILURE;
        }
    };
    let (sink, pending, progress) = output::build_sink(out, stdout, cli.command.output_args(), terminals);
    let (emitter, writer) = emit::start(sink, level, || {
        let user_error = UserError::panic(&panic_hook::last_location());
        Message::user_error(user_error.kind, &user_error.message, user_error.internal.as_deref()).line()
    });
    let error_emitter = emitter.clone();
    let summary =
        Arc::new(RunSummary::new(cli.command.output_args().and_then(|output_args| output_args.summary.as_deref())));
    // Nothing of what panicked is used again but the emitter, which hands over whole lines or none.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(dispatch(cli.command, emitter, terminals, &pending, (&progress, &summary)))
    }));
    let outcome = outcome
        .unwrap_or_else(|_| runtime.block_on(tell(&error_emitter, &UserError::panic(&panic_hook::last_location()))));
    let errors = error_emitter.errors();
    drop(error_emitter);
    summary.freeze();
    // Requests that are still under way are given up; their lines were never handed over.
    runtime.shutdown_background();
    let written = writer.finish();
    // Whoever closed stdout, such as `head`, has what it wanted.
    let is_wanted = !matches!(&written, Err(fault) if fault.is_closed_stdout());
    if let Some(table) = progress.close().filter(|_| is_wanted) {
        let _ignored = write!(err, "{table}");
    }
    let code = match (outcome, &written) {
        (Ok(FAILURE), Ok(())) if is_temporary(&errors) => TEMPORARY_FAILURE,
        (Ok(code), Ok(())) => code,
        (_, Err(error)) => {
            if is_wanted {
                let _ignored = writeln!(err, "source-cart: {error}");
            }
            STDOUT_GONE
        }
        (Err(Closed), Ok(())) => STDOUT_GONE,
    };
    match summary.write(code, &errors, written.as_ref().err()) {
        Ok(()) => code,
        Err(error) => {
            let _ignored = writeln!(err, "source-cart: {error}");
            if code == SUCCESS { STDOUT_GONE } else { code }
        }
    }
}

/// Returns true if there are errors and each of them may pass by itself.
fn is_temporary(errors: &[EmittedError]) -> bool {
    !errors.is_empty() && errors.iter().all(|error| error.failure_type == FailureType::TransientError)
}

/// Reads the command line, with the configuration of the environment or the folder where it names none.
fn parsed(arguments: impl IntoIterator<Item = std::ffi::OsString>, terminals: Terminals) -> Result<Cli, clap::Error> {
    let mut line = command_line();
    let in_terminal = terminals.stdin || terminals.stdout || terminals.stderr;
    if !in_terminal && std::env::var_os("COLUMNS").is_none() {
        line = line.term_width(output::table::USUAL_WIDTH);
    }
    let mut cli = Cli::from_arg_matches(&line.try_get_matches_from_mut(arguments)?)?;
    if cli.command.use_config(commands::usual_config()) {
        return Ok(cli);
    }
    Err(line.error(clap::error::ErrorKind::MissingRequiredArgument, commands::no_config()))
}

/// Help and version go to stdout, since they were asked for; usage errors to stderr, and as a TRACE error
/// to a stdout that a program reads.
fn say_usage(usage: &clap::Error, mut out: impl Write, err: &mut impl Write, terminals: Terminals) -> u8 {
    let text = usage.render();
    if usage.use_stderr() {
        let _ignored = write!(err, "{text}");
        if !terminals.stdout {
            let user_error = UserError::usage(&text.to_string());
            let line = Message::user_error(user_error.kind, &user_error.message, user_error.internal.as_deref()).line();
            // Whoever closed stdout is told on stderr.
            let _ignored = out.write_all(&line).and_then(|()| out.flush());
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
    pending: &PendingDestination,
    (progress, summary): (&Arc<Progress>, &Arc<RunSummary>),
) -> Result<u8, Closed> {
    panic_hook::failpoint("main");
    match command {
        Command::Spec { .. } => commands::spec(&emitter).await.map(|()| SUCCESS),
        Command::Discover(with) => match commands::record_options(with.config.as_deref()) {
            Ok((record_options, warnings)) => {
                commands::warn(&warnings, &emitter).await?;
                commands::discover(&record_options, &emitter).await.map(|()| SUCCESS)
            }
            Err(user_error) => tell(&emitter, &user_error).await,
        },
        Command::Streams { json } => commands::list(json, terminals.stdout, &emitter).await.map(|()| SUCCESS),
        Command::Check(CheckArguments { with, fail }) => {
            emitter.log(Level::Debug, VERSION).await?;
            let config = commands::config(with.config.as_deref(), &Overrides::default());
            let emitter = emitter.with_secrets(config.as_ref().map(config::Config::secrets).unwrap_or_default());
            let works = commands::check(config, terminals.stderr, &emitter).await?;
            Ok(if fail && !works { FAILURE } else { SUCCESS })
        }
        Command::Init { output } => match commands::init::run(&output, terminals, &emitter).await {
            Ok(InitOutcome::Written) => Ok(SUCCESS),
            Ok(InitOutcome::Cancelled) => Ok(FAILURE),
            Err(user_error) => tell(&emitter, &user_error).await,
        },
        Command::State { action } => match commands::state::run(&action) {
            Ok(text) => emitter.send(text.into_bytes()).await.map(|()| SUCCESS),
            Err(user_error) => tell(&emitter, &user_error).await,
        },
        Command::Completions { shell } => commands::completions(shell, &emitter).await.map(|()| SUCCESS),
        Command::Read(arguments) => read(arguments, emitter, pending, (progress, summary)).await,
        Command::Catalog(arguments) => match commands::record_options(arguments.config.as_deref()) {
            Ok((record_options, warnings)) => {
                // Stdout holds the catalog alone.
                for warning in warnings {
                    let _ignored = writeln!(std::io::stderr(), "source-cart: {warning}");
                }
                let streams = cli::streams_arg::merged(&arguments.streams);
                commands::catalog(&streams, arguments.full_refresh, &record_options, &emitter).await.map(|()| SUCCESS)
            }
            Err(user_error) => tell(&emitter, &user_error).await,
        },
    }
}

async fn read(
    arguments: ReadArguments,
    emitter: Emitter,
    pending: &PendingDestination,
    (progress, summary): (&Arc<Progress>, &Arc<RunSummary>),
) -> Result<u8, Closed> {
    // Before a file is tried, which replaces it by a copy of itself.
    let checked = arguments.check_paths().and_then(|()| pending.check_summary(&arguments.to));
    if let Err(user_error) = checked.and_then(|()| summary.try_file()) {
        return tell(&emitter, &user_error).await;
    }
    let config = match commands::config(arguments.with.config.as_deref(), &arguments.overrides) {
        Ok(config) => config,
        Err(user_error) => return tell(&emitter, &user_error).await,
    };
    let emitter = emitter.with_secrets(config.secrets());
    let dry_run = arguments.to.dry_run;
    let given = catalog(&arguments.source).and_then(|catalog| {
        let catalog = if arguments.full_refresh { catalog.as_full_refresh() } else { catalog };
        if dry_run {
            // The state that a first read will make is not there yet.
            let kept = arguments.to.state_out.as_deref();
            let is_there = |path: &&Path| path.exists() || !kept.is_some_and(|kept| files::are_same(kept, path));
            let state = arguments.state.as_deref().filter(is_there);
            let states = state.map_or_else(|| Ok(States::default()), state_input::read)?;
            return Ok((catalog, states, commands::client(&config, RetryPolicy::CHECK)?));
        }
        let states = pending.open(&arguments.to, &catalog, &config.record_options, arguments.state.as_deref())?;
        Ok((catalog, states, commands::client(&config, RetryPolicy::READ)?))
    });
    let (catalog, states, client) = match given {
        Ok(given) => given,
        Err(user_error) => return tell(&emitter, &user_error).await,
    };
    // The first line of the log, once there is something to log.
    emitter.log(Level::Info, VERSION).await?;
    commands::warn(&config.warnings, &emitter).await?;
    for warning in state_input::warnings(&states) {
        emitter.log(Level::Warn, &warning).await?;
    }
    if catalog.streams.is_empty() {
        emitter.log(Level::Warn, "The catalog selects no streams, so nothing is read.").await?;
    }
    let (start, end, record_options) = (config.start, config.end, config.record_options);
    let (progress, summary) = (Arc::clone(progress), Arc::clone(summary));
    let context =
        sync::SyncContext { client, start, end, record_options, progress, summary, shutdown: shutdown::requested() };
    let complete = if dry_run {
        sync::dry_run(context, catalog, states.list, arguments.to.json, &emitter).await?
    } else {
        sync::run(context, catalog, states.list, &emitter).await?
    };
    Ok(if complete { SUCCESS } else { FAILURE })
}

/// The streams to read, from the file or from the names.
fn catalog(source: &StreamSource) -> Result<ConfiguredCatalog, UserError> {
    let Some(path) = &source.catalog else { return Ok(cli::streams_arg::catalog(&source.streams)) };
    let text = commands::file("catalog", path)?;
    let catalog = airbyte::catalog::parse(&text).map_err(|fault| UserError::catalog(&fault))?;
    cli::streams_arg::once(catalog)
}

async fn tell(emitter: &Emitter, user_error: &UserError) -> Result<u8, Closed> {
    emitter.error(None, user_error.kind, &user_error.message, user_error.internal.as_deref()).await?;
    Ok(FAILURE)
}
