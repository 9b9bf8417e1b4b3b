//! The command line: the four commands of the protocol as in the Python CDK, and commands for people.
//!
//! `read_args` has the arguments of `read`, `streams_arg` the value of `--streams`, `help` the examples in the help.

mod help;
mod read_args;
pub(crate) mod streams_arg;

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueHint};

use crate::connector::Connector;
use crate::output::OutputOptions;
pub(crate) use read_args::{Overrides, ReadArguments, StreamSource};
use streams_arg::{StreamsArg, no_streams};

/// The command line.
#[derive(Debug, Parser)]
#[command(version, about = "{about}", arg_required_else_help = true, after_help = help::FIRST_STEPS)]
pub(crate) struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the specification of the configuration
    ///
    /// Prints one SPEC message: the fields of a configuration, as a JSON schema.
    #[command(after_help = help::SPEC)]
    Spec(LogArguments),
    /// Test the configuration against the store
    ///
    /// {check}
    #[command(after_help = help::CHECK)]
    Check(CheckArguments),
    /// Print the catalog of streams
    ///
    /// Prints one CATALOG message: every stream with the schema of its records, its sync modes, its key and its
    /// cursor. Sends no request. {discover}
    #[command(after_help = help::DISCOVER)]
    Discover(WithConfig),
    /// Read streams
    ///
    /// Prints the rows of the streams as RECORD messages, one per line, with STATE messages in between. To read only
    /// later changes in the next run, pass the last STATE of each stream to `--state`. Exits 0 if every stream is
    /// complete; 75 if every error may pass by itself, such as an outage or SIGTERM; 1 if something has to be fixed;
    /// 74 if the output could not be written.
    #[command(after_help = help::READ)]
    Read(ReadArguments),
    /// List the streams
    ///
    /// Prints a table of all streams: {streams}. Sends no request.
    #[command(after_help = help::STREAMS)]
    Streams {
        /// Print a JSON list for programs
        #[arg(long)]
        json: bool,
    },
    /// Print a configured catalog
    ///
    /// Prints which streams to read, and in which sync mode, as one JSON document that `read --catalog` and Airbyte
    /// accept: incremental if the stream supports it, or else full refresh. Each stream is on its own line, so that
    /// you can remove it in an editor. Sends no request.
    #[command(after_help = help::CATALOG)]
    Catalog(CatalogArguments),
    /// Ask for the configuration and write it to a file
    ///
    /// Asks in the terminal for the required settings, tests them like `check`, and writes them to a file that only
    /// you can read. Secrets are not shown while you type. An answer may be `${NAME}`: the environment variable of
    /// that name is then read whenever the file is used.
    #[command(after_help = help::INIT)]
    Init {
        /// The file to write; asks before it replaces an existing file
        #[arg(long, value_name = "FILE", default_value = "config.json", value_hint = ValueHint::FilePath)]
        output: PathBuf,
    },
    /// Show or change a state file
    ///
    /// Prints a state file, or changes where the next read starts. The file is replaced in one step. Fails while a
    /// read uses the file.
    #[command(after_help = help::STATE)]
    State {
        /// The subcommand.
        #[command(subcommand)]
        action: StateAction,
    },
    /// Print completions for a shell
    ///
    /// Prints a script with which the shell completes commands, options and names of streams.
    #[command(after_help = help::COMPLETIONS)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// The subcommands of `state`.
#[derive(Debug, Subcommand)]
pub(crate) enum StateAction {
    /// Print a table: stream, cursor, rows that an interrupted read did not read yet, size
    Show {
        /// The state file
        file: PathBuf,
    },
    /// Remove the states of streams: the next read starts from the start date
    Reset {
        /// The state file
        file: PathBuf,
        /// Streams of the file
        #[arg(required = true, value_name = "STREAM")]
        streams: Vec<String>,
    },
    /// Set the date from which the next read of a stream continues
    Set {
        /// The state file; created if it does not exist
        file: PathBuf,
        /// The stream
        stream: String,
        /// The date, such as `2024-06-01` or `2024-06-01T08:00:00Z`
        date: String,
    },
}

/// Arguments for the log.
#[derive(Debug, Args)]
pub(crate) struct LogArguments {
    /// Enable debug logging
    #[arg(long)]
    pub debug: bool,
}

/// The configuration and the log.
#[derive(Debug, Args)]
pub(crate) struct WithConfig {
    /// The configuration; `-` reads it from standard input. Default: the file that `{variable}` names, or
    /// else config.json in this folder
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// The log.
    #[command(flatten)]
    pub log: LogArguments,
}

/// The arguments of `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// The configuration.
    #[command(flatten)]
    pub with: WithConfig,
    /// Exit 1 if the connection fails
    #[arg(long)]
    pub fail: bool,
}

/// The arguments of `catalog`.
#[derive(Debug, Args)]
pub(crate) struct CatalogArguments {
    /// Names of streams: `orders,order_items`, 'order*', or `all`
    #[arg(long, value_name = "NAMES", default_value = "all", hide_default_value = true, value_parser = no_streams)]
    pub streams: Vec<StreamsArg>,
    /// Use full refresh for all streams
    #[arg(long)]
    pub full_refresh: bool,
    /// The configuration, as for `read`; {catalog}
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
}

/// Returns the definition of a connector's command line, for completions, manual pages and tests.
pub fn command_line(connector: &'static Connector) -> clap::Command {
    let line = Cli::command()
        .name(connector.executable)
        .mut_subcommands(|command| streams_arg::with_names_of(command, connector))
        .mut_subcommands(|command| read_args::with_overrides(command, connector.overrides));
    help::worded(line, connector)
}

impl Command {
    /// Returns true for `--debug`.
    pub(crate) fn debug(&self) -> bool {
        match self {
            Self::Spec(log) => log.debug,
            Self::Discover(with) => with.log.debug,
            Self::Check(arguments) => arguments.with.log.debug,
            Self::Read(arguments) => arguments.with.log.debug,
            Self::Catalog(_)
            | Self::Streams { .. }
            | Self::Init { .. }
            | Self::State { .. }
            | Self::Completions { .. } => false,
        }
    }

    /// Returns true if the command sends no requests.
    pub(crate) fn is_offline(&self) -> bool {
        !matches!(self, Self::Check(_) | Self::Read(_) | Self::Init { .. })
    }

    /// Returns true if the command does nothing except writing to stdout.
    pub(crate) fn needs_stdout(&self) -> bool {
        match self {
            Self::Read(arguments) => arguments.to.output.is_none(),
            Self::State { action } => matches!(action, StateAction::Show { .. }),
            Self::Check(_) | Self::Init { .. } => false,
            Self::Spec(_) | Self::Discover(_) | Self::Streams { .. } | Self::Catalog(_) | Self::Completions { .. } => {
                true
            }
        }
    }

    /// Uses `default` if the command line names no configuration. Returns false if the command needs one and has none.
    pub(crate) fn use_config(&mut self, default: Option<PathBuf>) -> bool {
        let (config, is_needed) = match self {
            Self::Check(arguments) => (&mut arguments.with.config, true),
            Self::Read(arguments) => (&mut arguments.with.config, true),
            Self::Discover(with) => (&mut with.config, false),
            Self::Catalog(arguments) => (&mut arguments.config, false),
            Self::Spec(_)
            | Self::Streams { .. }
            | Self::Init { .. }
            | Self::State { .. }
            | Self::Completions { .. } => return true,
        };
        if config.is_none() {
            *config = default;
        }
        config.is_some() || !is_needed
    }

    /// Returns the output options of `read`; `None` for other commands.
    pub(crate) fn output_options(&self) -> Option<OutputOptions> {
        match self {
            Self::Read(arguments) => Some(arguments.to.options()),
            _ => None,
        }
    }
}
