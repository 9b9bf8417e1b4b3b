//! The command line: the protocol's four commands as the Python CDK has them, and what people who type
//! them need besides. No file is read here; of the values only the names of streams are judged.

pub(crate) mod help;
pub(crate) mod streams_arg;

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueHint};

use crate::cli::streams_arg::StreamsArg;
use crate::config;
use crate::output::OutputArgs;
use crate::timestamp::Unreadable;
use crate::user_error::UserError;

/// Airbyte source connector for Cart.com (formerly AmeriCommerce).
#[derive(Debug, Parser)]
#[command(name = "source-cart", version, arg_required_else_help = true, after_help = help::FIRST_STEPS)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The four commands of the protocol, and those for people.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the specification of the configuration
    ///
    /// Prints one SPEC message: the fields of a configuration, as a JSON schema.
    #[command(after_help = help::SPEC)]
    Spec {
        /// Enable debug logging
        #[arg(long)]
        debug: bool,
    },
    /// Test the configuration against the store
    ///
    /// Requests one row of one stream per scope and prints one `CONNECTION_STATUS` message: SUCCEEDED, or FAILED
    /// with what to fix. Exits 0 even if the connection fails; read `status` in the output, or use `--fail`.
    /// In a terminal it also prints the scopes of the token, the call limit, and the number of rows.
    #[command(after_help = help::CHECK)]
    Check(CheckArguments),
    /// Print the catalog of streams
    ///
    /// Prints one CATALOG message: every stream with the schema of its records, its sync modes, its key and its
    /// cursor. Sends no request. Of the configuration, only `expand` is used.
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
    /// Prints a table of all streams: their sync modes, their key, and the scope that a token needs. Sends no
    /// request.
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
        /// What to do with it.
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

/// What `state` does.
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

/// The configuration and the log: what the commands of the protocol share.
#[derive(Debug, Args)]
pub(crate) struct WithConfig {
    /// The configuration; `-` reads it from standard input. Default: the file that `SOURCE_CART_CONFIG` names, or
    /// else config.json in this folder
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Enable debug logging
    #[arg(long)]
    pub debug: bool,
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

/// The arguments of `read`.
#[derive(Debug, Args)]
pub(crate) struct ReadArguments {
    /// The configuration.
    #[command(flatten)]
    pub with: WithConfig,
    /// What replaces it for this run.
    #[command(flatten)]
    pub overrides: Overrides,
    /// Which streams.
    #[command(flatten)]
    pub source: StreamSource,
    /// Read all rows of the streams, whatever the catalog or the state says
    #[arg(long)]
    pub full_refresh: bool,
    /// The state of an earlier read: its STATE messages, or any form that platforms store
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub state: Option<PathBuf>,
    /// Where the output goes.
    #[command(flatten)]
    pub to: OutputArgs,
}

impl ReadArguments {
    /// Checks that no file is overwritten that is read as well.
    ///
    /// # Errors
    /// [`UserError`] that names both options.
    pub(crate) fn check_paths(&self) -> Result<(), UserError> {
        self.to.check_paths(&[
            ("`--config`", self.with.config.as_deref()),
            ("`--catalog`", self.source.catalog.as_deref()),
            ("`--state`", self.state.as_deref()),
        ])
    }
}

/// Values of the configuration that the command line replaces.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Overrides {
    /// Read only rows updated on or after this date, such as 2021-01-01; replaces `start_date`
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub start_date: Option<String>,
    /// Read only rows updated before this date; replaces `end_date`
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub end_date: Option<String>,
    /// Use at most this share of the store's call limit, 10 to 100; replaces `call_limit_percent`
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u64).range(10..=100))]
    pub call_limit_percent: Option<u64>,
}

/// Which streams `read` reads: one of the two ways to say so.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct StreamSource {
    /// The streams and their sync modes: a configured catalog, or the output of `discover`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub catalog: Option<PathBuf>,
    /// Names of streams: `orders,order_items`, 'order*', or `all`; incremental if the stream supports it
    #[arg(long, value_name = "NAMES")]
    pub streams: Vec<StreamsArg>,
}

/// The arguments of `catalog`.
#[derive(Debug, Args)]
pub(crate) struct CatalogArguments {
    /// Names of streams: `orders,order_items`, 'order*', or `all`
    #[arg(long, value_name = "NAMES", default_value = "all", hide_default_value = true)]
    pub streams: Vec<StreamsArg>,
    /// Use full refresh for all streams
    #[arg(long)]
    pub full_refresh: bool,
    /// The configuration, as for `read`; only `expand` is used, which adds fields to the schemas
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
}

/// Checks a date of the command line; the text is kept, since it takes the place of one in the configuration.
fn date(text: &str) -> Result<String, &'static str> {
    match config::instant(text.trim()) {
        Ok(_) => Ok(text.trim().to_owned()),
        Err(Unreadable::NoOffset) => Err("it has no time zone; add `Z` for UTC, such as 2021-01-01T00:00:00Z"),
        Err(Unreadable::Form) => Err("write it like 2021-01-01 or 2021-01-01T00:00:00Z"),
    }
}

/// The whole command line, for what is made from it: completions, manual pages, tests.
#[must_use]
pub fn command_line() -> clap::Command {
    Cli::command()
}

impl Command {
    /// Whether `--debug` was given.
    #[must_use]
    pub(crate) fn debug(&self) -> bool {
        match self {
            Self::Spec { debug } => *debug,
            Self::Discover(with) => with.debug,
            Self::Check(arguments) => arguments.with.debug,
            Self::Read(arguments) => arguments.with.debug,
            Self::Catalog(_)
            | Self::Streams { .. }
            | Self::Init { .. }
            | Self::State { .. }
            | Self::Completions { .. } => false,
        }
    }

    /// Returns true if it does nothing but write to stdout.
    #[must_use]
    pub(crate) fn needs_stdout(&self) -> bool {
        match self {
            Self::Read(arguments) => arguments.to.output.is_none(),
            Self::State { action } => matches!(action, StateAction::Show { .. }),
            Self::Check(_) | Self::Init { .. } => false,
            Self::Spec { .. }
            | Self::Discover(_)
            | Self::Streams { .. }
            | Self::Catalog(_)
            | Self::Completions { .. } => true,
        }
    }

    /// Puts a configuration where none is named, and returns false if a command that needs one has none.
    pub(crate) fn use_config(&mut self, usual: Option<PathBuf>) -> bool {
        let (config, is_needed) = match self {
            Self::Check(arguments) => (&mut arguments.with.config, true),
            Self::Read(arguments) => (&mut arguments.with.config, true),
            Self::Discover(with) => (&mut with.config, false),
            Self::Catalog(arguments) => (&mut arguments.config, false),
            Self::Spec { .. }
            | Self::Streams { .. }
            | Self::Init { .. }
            | Self::State { .. }
            | Self::Completions { .. } => return true,
        };
        if config.is_none() {
            *config = usual;
        }
        config.is_some() || !is_needed
    }

    /// Where the output of a read goes; nothing for the other commands.
    #[must_use]
    pub(crate) fn output_args(&self) -> Option<&OutputArgs> {
        match self {
            Self::Read(arguments) => Some(&arguments.to),
            _ => None,
        }
    }
}
