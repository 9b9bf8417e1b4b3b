//! Runs a command: parses the command line, opens the output, and returns the exit code.

use std::ffi::OsString;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::FromArgMatches as _;
use tokio::runtime::{self, Runtime};

use crate::airbyte::{Closed, Emitter, FailureType, Level, Message, TraceError, emit};
use crate::cli::{self, Cli, Command};
use crate::commands::{
    CommandError, CommandResult, catalog, check, completions, config_input, discover, init, read, spec, state, streams,
};
use crate::connector::Connector;
use crate::output::stdout::{Stdout, Terminals};
use crate::output::table::USUAL_WIDTH;
use crate::output::{self, ReadOutput};
use crate::panic_hook;
use crate::user_error::UserError;

/// Exit code of a success.
const SUCCESS: u8 = 0;
/// Exit code of a failure, which is reported as a TRACE error.
const FAILURE: u8 = 1;
/// Exit code if every error may pass by itself (`EX_TEMPFAIL` of sysexits.h): run it again later.
const TEMPORARY_FAILURE: u8 = 75;
/// Exit code of a wrong command line, as in the Python CDK.
const USAGE: u8 = 2;
/// Exit code if the output could not be written (`EX_IOERR` of sysexits.h).
const STDOUT_GONE: u8 = 74;

/// Does what the executable of a connector does: runs a command line on the standard streams of this process.
pub fn run(connector: &'static Connector, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    panic_hook::install_hook(connector.executable);
    #[expect(clippy::disallowed_methods, reason = "passed on to its only owner, the writer's thread")]
    let out = std::io::stdout();
    let mut err = std::io::stderr();
    let stdout = Stdout::of(&out);
    let terminals = Terminals::of(&stdout, &out, &err);
    ExitCode::from(run_on(connector, arguments, out, stdout, &mut err, terminals))
}

/// Runs a command line and returns the exit code. Messages go to `out`, text for people to `err`. `stdout` and
/// `terminals` describe the standard streams.
fn run_on(
    connector: &'static Connector,
    arguments: impl IntoIterator<Item = OsString>,
    out: impl Write + Send + 'static,
    stdout: Stdout,
    err: &mut impl Write,
    terminals: Terminals,
) -> u8 {
    let executable = connector.executable;
    let cli = match parse(connector, arguments, terminals) {
        Ok(cli) => cli,
        Err(usage) => return print_usage(&usage, connector, out, err, terminals),
    };
    if stdout.is_closed && cli.command.needs_stdout() {
        let _ignored = writeln!(
            err,
            "{executable}: standard output is closed, so nothing was done. Redirect it to a file or a pipe, or set `--output` of `read` to a folder."
        );
        return STDOUT_GONE;
    }
    let runtime = match runtime(&cli.command, connector) {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ignored = writeln!(err, "{executable}: the runtime cannot be started: {error}");
            return FAILURE;
        }
    };
    let (sink, read_output) = output::open(out, stdout, cli.command.output_options(), terminals, describe_write_error);
    let (emitter, writer) = emit::start(sink, log_level(&cli.command), || Message::error(panic_error()));
    let outcome = execute(&runtime, cli.command, connector, &read_output, terminals, &emitter);
    let errors = emitter.errors();
    drop(emitter);
    read_output.summary.freeze();
    // Requests that still run are dropped; their rows were not emitted.
    runtime.shutdown_background();
    let written = writer.finish();
    // A reader that closes stdout, such as `head`, has read all it needs: nothing is printed then.
    let is_closed = matches!(&written, Err(error) if error.is_closed_stdout());
    if let Some(table) = read_output.progress.close().filter(|_| !is_closed) {
        let _ignored = write!(err, "{table}");
    }
    if let (Err(error), false) = (&written, is_closed) {
        let _ignored = writeln!(err, "{executable}: {error}");
    }
    let code = match (outcome, &written) {
        (Ok(FAILURE), Ok(())) if is_temporary(&errors) => TEMPORARY_FAILURE,
        (Ok(code), Ok(())) => code,
        (Err(Closed), Ok(())) | (_, Err(_)) => STDOUT_GONE,
    };
    match read_output.summary.write(code, &errors, written.as_ref().err().map(describe_write_error)) {
        Ok(()) => code,
        Err(error) => {
            let _ignored = writeln!(err, "{executable}: {error}");
            if code == SUCCESS { STDOUT_GONE } else { code }
        }
    }
}

/// Returns the runtime for a command. One that makes no requests needs no threads and no sockets.
fn runtime(command: &Command, connector: &Connector) -> std::io::Result<Runtime> {
    if command.is_offline() {
        return runtime::Builder::new_current_thread().build();
    }
    let mut builder = runtime::Builder::new_multi_thread();
    if let Some(threads) = connector.worker_threads {
        builder.worker_threads(threads.get());
    }
    builder.enable_all().build()
}

/// Runs a command and emits its error, also that of a panic. Returns the exit code.
fn execute(
    runtime: &Runtime,
    command: Command,
    connector: &'static Connector,
    read_output: &ReadOutput,
    terminals: Terminals,
    emitter: &Emitter,
) -> Result<u8, Closed> {
    // After a panic only the emitter is used again, and it sends complete messages.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            match dispatch(command, connector, read_output, terminals, emitter).await {
                Ok(true) => Ok(SUCCESS),
                Ok(false) => Ok(FAILURE),
                Err(CommandError::Closed) => Err(Closed),
                Err(CommandError::User(error)) => emitter.error(error.into_trace(None)).await.map(|()| FAILURE),
            }
        })
    }));
    outcome.unwrap_or_else(|_| runtime.block_on(emitter.error(panic_error())).map(|()| FAILURE))
}

/// Returns the least severe level that is logged.
fn log_level(command: &Command) -> Level {
    let is_debug = |level: &String| level.eq_ignore_ascii_case("debug") || level.eq_ignore_ascii_case("trace");
    if command.debug() || std::env::var("LOG_LEVEL").ok().as_ref().is_some_and(is_debug) {
        Level::Debug
    } else {
        Level::Info
    }
}

fn panic_error() -> TraceError {
    UserError::panic(&panic_hook::last_location()).into_trace(None)
}

fn describe_write_error(error: &emit::WriteError) -> TraceError {
    UserError::unwritten(error).into_trace(None)
}

/// Returns true if there are errors and each of them may pass by itself.
fn is_temporary(errors: &[TraceError]) -> bool {
    !errors.is_empty() && errors.iter().all(|error| error.failure_type == FailureType::TransientError)
}

/// Parses the command line. If it names no configuration, uses the one of the environment or the current folder.
fn parse(
    connector: &'static Connector,
    arguments: impl IntoIterator<Item = OsString>,
    terminals: Terminals,
) -> Result<Cli, clap::Error> {
    let mut line = cli::command_line(connector);
    if !terminals.any() && std::env::var_os("COLUMNS").is_none() {
        line = line.term_width(USUAL_WIDTH);
    }
    let mut cli = Cli::from_arg_matches(&line.try_get_matches_from_mut(arguments)?)?;
    if cli.command.use_config(config_input::default_config(connector)) {
        return Ok(cli);
    }
    Err(line.error(clap::error::ErrorKind::MissingRequiredArgument, config_input::no_config(connector)))
}

/// Prints help and version to stdout. Prints usage errors to stderr, and as a TRACE error to stdout if a program
/// reads it.
fn print_usage(
    usage: &clap::Error,
    connector: &Connector,
    mut out: impl Write,
    err: &mut impl Write,
    terminals: Terminals,
) -> u8 {
    let text = usage.render();
    if usage.use_stderr() {
        let _ignored = write!(err, "{text}");
        if !terminals.stdout {
            let line =
                Message::error(UserError::usage(&text.to_string(), connector.executable).into_trace(None)).line();
            // If stdout is closed, stderr has the error.
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
    connector: &'static Connector,
    read_output: &ReadOutput,
    terminals: Terminals,
    emitter: &Emitter,
) -> CommandResult {
    panic_hook::failpoint("main");
    match command {
        Command::Spec(_) => spec::run(connector, emitter).await,
        Command::Check(arguments) => check::run(&arguments, terminals.stderr, connector, emitter).await,
        Command::Discover(arguments) => discover::run(arguments.config.as_deref(), connector, emitter).await,
        Command::Catalog(arguments) => catalog::run(&arguments, connector, emitter).await,
        Command::Read(arguments) => read::run(arguments, read_output, connector, emitter).await,
        Command::Streams { json } => streams::run(json, terminals.stdout, connector, emitter).await,
        Command::State { action } => state::run(&action, connector, emitter).await,
        Command::Init { output } => init::run(&output, terminals, connector, emitter).await,
        Command::Completions { shell } => completions::run(shell, connector, emitter).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cs_cart::CS_CART;

    #[test]
    fn a_connector_chooses_its_number_of_threads() {
        let terminals = Terminals { stdin: false, stdout: false, stderr: false, one_file: false };
        let line = ["source-cs-cart", "check", "--config", "config.json"].map(OsString::from);
        let command = parse(&CS_CART, line, terminals).unwrap().command;
        assert_eq!(runtime(&command, &CS_CART).unwrap().metrics().num_workers(), 1);
    }
}
