//! `source-cart`: an Airbyte source connector for Cart.com (formerly AmeriCommerce).
//!
//! The map of this tree, in reading order:
//!
//! - `cli`, `help`, `selection`, `given`, `fields`, `config`, `spec.json`: what the user gives
//! - [`streams`]: the table, one row a stream, with `schemas/*.json`
//! - [`cart`]: the API side, everything over HTTP; names nothing of Airbyte
//! - [`airbyte`]: the protocol side, everything on stdout and in the given files; names nothing of HTTP
//! - `timestamp`, [`json`], [`record`]: instants, JSON text, one record; pure
//! - `output`: what becomes of the messages: stdout, files of records, the file of states, words for people
//! - `view`: what the config asks of the records: nested collections, sensitive fields
//! - `init`: the config, asked for on a terminal
//! - `commands`, [`mod@read`], `failure`, `nearest`: where both sides meet, and what is said to the user
//! - `spare`: buffers of both sides that are used again
//! - `panics`: what a fault of this program leaves behind; `signals`: what asks a read to end
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
mod given;
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
mod signals;
mod spare;
pub mod streams;
pub mod timestamp;
pub mod view;

use std::fs::File;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use clap::FromArgMatches as _;

use airbyte::{Closed, ConfiguredCatalog, Emitter, Level, Message, emit};
use cart::Patience;
use cli::{CheckArguments, Cli, Command, Overrides, ReadArguments, Which};
use failure::Failure;
use init::Ended;
use output::Opening;
use output::board::Board;

/// Exit code when all went well.
const SUCCESS: u8 = 0;
/// Exit code when something failed and was told as a TRACE error.
const FAILURE: u8 = 1;
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
/// `out_file` is `out` once more if that is a file, so that its content can be brought to the disk.
pub fn run(
    arguments: impl IntoIterator<Item = std::ffi::OsString>,
    out: impl Write + Send + 'static,
    out_file: Option<File>,
    err: &mut impl Write,
    terminals: Terminals,
) -> u8 {
    let cli = match parsed(arguments, terminals) {
        Ok(cli) => cli,
        Err(usage) => return say_usage(&usage, out, err, terminals),
    };
    let level = match std::env::var("LOG_LEVEL") {
        Ok(level) if level.eq_ignore_ascii_case("debug") || level.eq_ignore_ascii_case("trace") => Level::Debug,
        _ if cli.command.debug() => Level::Debug,
        _ => Level::Info,
    };
    // Where nobody is asked, neither threads nor sockets are needed.
    let asks_nobody = matches!(
        cli.command,
        Command::Spec { .. }
            | Command::Discover(_)
            | Command::Streams { .. }
            | Command::Catalog(_)
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
    let (sink, opening, board) = output::outlet(out, out_file, cli.command.route(), terminals);
    let (emitter, writer) = emit::start(sink, level, || {
        let failure = Failure::panic(&panics::place());
        Message::failure(failure.kind, &failure.message, failure.internal.as_deref()).line()
    });
    let last_word = emitter.clone();
    // Nothing of what panicked is used again but the emitter, which hands over whole lines or none.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(dispatch(cli.command, emitter, terminals, &opening, &board))
    }));
    let outcome = outcome.unwrap_or_else(|_| runtime.block_on(tell(&last_word, &Failure::panic(&panics::place()))));
    drop(last_word);
    // Requests that are still under way are given up; their lines were never handed over.
    runtime.shutdown_background();
    let written = writer.finish();
    let table = board.close();
    if matches!(&written, Err(fault) if fault.is_closed_stdout()) {
        // Whoever closed stdout, such as `head`, has what it wanted.
        return STDOUT_GONE;
    }
    if let Some(table) = table {
        let _told = write!(err, "{table}");
    }
    match (outcome, written) {
        (Ok(code), Ok(())) => code,
        (_, Err(error)) => {
            let _told = writeln!(err, "source-cart: {error}");
            STDOUT_GONE
        }
        (Err(Closed), Ok(())) => STDOUT_GONE,
    }
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
    board: &Arc<Board>,
) -> Result<u8, Closed> {
    panics::rehearse("main");
    match command {
        Command::Spec { .. } => commands::spec(&emitter).await.map(|()| SUCCESS),
        Command::Discover(with) => match commands::view(with.config.as_deref()) {
            Ok(view) => commands::discover(&view, &emitter).await.map(|()| SUCCESS),
            Err(failure) => tell(&emitter, &failure).await,
        },
        Command::Streams { json } => commands::list(json, terminals.stdout, &emitter).await.map(|()| SUCCESS),
        Command::Check(CheckArguments { with, fail }) => {
            emitter.log(Level::Debug, VERSION).await?;
            let config = commands::config(with.config.as_deref(), &Overrides::default());
            let emitter = emitter.hiding(config.as_ref().map(config::Config::secrets).unwrap_or_default());
            let works = commands::check(config, terminals.stderr, &emitter).await?;
            Ok(if fail && !works { FAILURE } else { SUCCESS })
        }
        Command::Init { output } => match init::run(&output, terminals, &emitter).await {
            Ok(Ended::Written) => Ok(SUCCESS),
            Ok(Ended::GivenUp) => Ok(FAILURE),
            Err(failure) => tell(&emitter, &failure).await,
        },
        Command::Completions { shell } => commands::completions(shell, &emitter).await.map(|()| SUCCESS),
        Command::Read(arguments) => read(arguments, emitter, opening, board).await,
        Command::Catalog(arguments) => match commands::view(arguments.config.as_deref()) {
            Ok(view) => {
                let streams = selection::merged(&arguments.streams);
                commands::catalog(&streams, arguments.full_refresh, &view, &emitter).await.map(|()| SUCCESS)
            }
            Err(failure) => tell(&emitter, &failure).await,
        },
    }
}

async fn read(arguments: ReadArguments, emitter: Emitter, opening: &Opening, board: &Arc<Board>) -> Result<u8, Closed> {
    let config = match commands::config(arguments.with.config.as_deref(), &arguments.overrides) {
        Ok(config) => config,
        Err(failure) => return tell(&emitter, &failure).await,
    };
    let emitter = emitter.hiding(config.secrets());
    let given = catalog(&arguments.which).and_then(|catalog| {
        let catalog = if arguments.full_refresh { catalog.in_full() } else { catalog };
        let text = arguments.state.map_or_else(|| Ok(Vec::new()), |path| arguments.to.given_state(&path))?;
        let states = airbyte::state::parse(&text).map_err(|fault| Failure::states(&fault))?;
        opening.open(&arguments.to, &catalog, &config.view, &states)?;
        Ok((catalog, states, commands::client(&config, Patience::READ)?))
    });
    let (catalog, states, client) = match given {
        Ok(given) => given,
        Err(failure) => return tell(&emitter, &failure).await,
    };
    // The first line of the log, once there is something to log.
    emitter.log(Level::Info, VERSION).await?;
    let (start, end, view) = (config.start, config.end, config.view);
    let board = Arc::clone(board);
    let setting = read::Setting { client, start, end, view, board, stopping: signals::stopping() };
    let complete = read::run(setting, catalog, states, &emitter).await?;
    Ok(if complete { SUCCESS } else { FAILURE })
}

/// The streams to read, from the file or from the names.
fn catalog(which: &Which) -> Result<ConfiguredCatalog, Failure> {
    let Some(path) = &which.catalog else { return Ok(selection::catalog(&which.streams)) };
    let text = commands::file("catalog", path)?;
    airbyte::catalog::parse(&text).map_err(|fault| Failure::catalog(&fault))
}

async fn tell(emitter: &Emitter, failure: &Failure) -> Result<u8, Closed> {
    emitter.error(None, failure.kind, &failure.message, failure.internal.as_deref()).await?;
    Ok(FAILURE)
}
