//! The command line: the protocol's four commands as the Python CDK has them, and what people who type
//! them need besides. No file is read here; of the values only the names of streams are judged.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::failure::Failure;
use crate::help;
use crate::output::Route;
use crate::selection::Selection;

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
    /// Prints one SPEC message: which fields a configuration has, as a JSON schema.
    #[command(verbatim_doc_comment, after_help = help::SPEC)]
    Spec {
        /// Log more
        #[arg(long)]
        debug: bool,
    },
    /// Try the configuration against the store
    ///
    /// Asks the store for a row of one stream per scope and prints one `CONNECTION_STATUS` message:
    /// SUCCEEDED, or FAILED with what to mend. The exit code is 0 with either verdict.
    #[command(verbatim_doc_comment, after_help = help::CHECK)]
    Check(WithConfig),
    /// Print the catalog of streams
    ///
    /// Prints one CATALOG message: every stream with the schema of its records, how it can be read,
    /// its key and its cursor. The store is not asked; a configuration matters only if it has `expand`.
    #[command(verbatim_doc_comment, after_help = help::DISCOVER)]
    Discover {
        /// The configuration; `-` reads it from standard input
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Log more
        #[arg(long)]
        debug: bool,
    },
    /// Read streams
    ///
    /// Prints the rows of the streams as RECORD messages, one a line, with STATE messages in between.
    /// The last STATE of each stream, given as `--state`, makes the next read bring only what has
    /// changed since. The exit code is 0 if every stream is complete, 1 if one is not.
    #[command(verbatim_doc_comment, after_help = help::READ)]
    Read(ReadArguments),
    /// Print a configured catalog
    ///
    /// Prints which streams to read, and how, as one JSON document in the form that `read --catalog`
    /// and Airbyte take: incremental where the stream can, else full refresh. A line holds a stream, so
    /// that an editor can take one out. The store is not asked.
    #[command(verbatim_doc_comment, after_help = help::CATALOG)]
    Catalog(CatalogArguments),
    /// Ask for the configuration and write it to a file
    ///
    /// Asks on the terminal for what a configuration needs, tries it against the store as `check` does,
    /// and writes it to a file that only you can read. Secrets are not shown while they are typed; an
    /// answer may be `${NAME}`, which is filled in from the environment whenever the file is used.
    #[command(verbatim_doc_comment, after_help = help::INIT)]
    Init {
        /// The file to write; asks before it replaces one
        #[arg(long, value_name = "FILE", default_value = "config.json")]
        output: PathBuf,
    },
    /// Show or change a state file
    ///
    /// Shows what a state file says, or changes where the next read begins. The file is replaced as a
    /// whole, and not while a read uses it.
    #[command(verbatim_doc_comment, after_help = help::STATE)]
    State {
        /// What to do with it.
        #[command(subcommand)]
        action: StateAction,
    },
    /// Print completions for a shell
    ///
    /// Prints a script that teaches the shell to complete the commands and options of source-cart.
    #[command(verbatim_doc_comment, after_help = help::COMPLETIONS)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// What `state` does.
#[derive(Debug, Subcommand)]
pub(crate) enum StateAction {
    /// Print a table: stream, cursor, rows left of an interrupted read, size
    Show {
        /// The state file
        file: PathBuf,
    },
    /// Remove the states of streams, so that the next read starts from the start date
    Reset {
        /// The state file
        file: PathBuf,
        /// Streams of the file
        #[arg(required = true, value_name = "STREAM")]
        streams: Vec<String>,
    },
    /// Set the date from which the next read of a stream continues
    Set {
        /// The state file; it is made if it is not there
        file: PathBuf,
        /// The stream
        stream: String,
        /// The date, such as `2024-06-01` or `2024-06-01T08:00:00Z`
        date: String,
    },
}

/// What `check` and `read` share.
#[derive(Debug, Args)]
pub(crate) struct WithConfig {
    /// The configuration; `-` reads it from standard input
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Log more
    #[arg(long)]
    pub debug: bool,
}

/// What `read` is given.
#[derive(Debug, Args)]
pub(crate) struct ReadArguments {
    /// The configuration.
    #[command(flatten)]
    pub with: WithConfig,
    /// Which streams.
    #[command(flatten)]
    pub which: Which,
    /// Read all of them whole, whatever the catalog or the state says
    #[arg(long)]
    pub full_refresh: bool,
    /// The state of an earlier read: its STATE messages, or any form that platforms keep
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Where the output goes.
    #[command(flatten)]
    pub to: Route,
}

impl ReadArguments {
    /// Checks that no file is overwritten that is read as well.
    ///
    /// # Errors
    /// [`Failure`] that names both options.
    pub(crate) fn check_paths(&self) -> Result<(), Failure> {
        self.to.check_paths(&[
            ("`--config`", Some(&self.with.config)),
            ("`--catalog`", self.which.catalog.as_deref()),
            ("`--state`", self.state.as_deref()),
        ])
    }
}

/// Which streams `read` reads: one of the two ways to say so.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// Which streams, and how: a configured catalog, or the output of `discover`
    #[arg(long, value_name = "FILE")]
    pub catalog: Option<PathBuf>,
    /// Which streams, by name: `orders,order_items`, or `all`; incremental where the stream can
    #[arg(long, value_name = "NAMES")]
    pub streams: Vec<Selection>,
}

/// What `catalog` is given.
#[derive(Debug, Args)]
pub(crate) struct CatalogArguments {
    /// Which streams: `orders,order_items`, or `all`
    #[arg(long, value_name = "NAMES", default_value = "all", hide_default_value = true)]
    pub streams: Vec<Selection>,
    /// Full refresh for all of them
    #[arg(long)]
    pub full_refresh: bool,
    /// The configuration, if it has `expand`: it makes the schemas wider; `-` reads it from standard input
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
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
            Self::Spec { debug } | Self::Discover { debug, .. } => *debug,
            Self::Check(with) => with.debug,
            Self::Read(arguments) => arguments.with.debug,
            Self::Catalog(_) | Self::Init { .. } | Self::State { .. } | Self::Completions { .. } => false,
        }
    }

    /// Returns true if it does nothing but write to stdout.
    #[must_use]
    pub(crate) fn is_lost_without_stdout(&self) -> bool {
        match self {
            Self::Read(arguments) => arguments.to.output.is_none(),
            Self::State { action } => matches!(action, StateAction::Show { .. }),
            Self::Check(_) | Self::Init { .. } => false,
            Self::Spec { .. } | Self::Discover { .. } | Self::Catalog(_) | Self::Completions { .. } => true,
        }
    }

    /// Where the output of a read goes; nothing for the other commands.
    #[must_use]
    pub(crate) fn route(&self) -> Option<&Route> {
        match self {
            Self::Read(arguments) => Some(&arguments.to),
            _ => None,
        }
    }
}
