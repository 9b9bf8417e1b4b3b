//! The command line, as the Python CDK has it. No file is read here and no value judged.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Airbyte source connector for Cart.com (formerly AmeriCommerce).
#[derive(Debug, Parser)]
#[command(name = "source-cart", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The four commands of the protocol.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the specification of the configuration.
    Spec {
        /// Log more.
        #[arg(long)]
        debug: bool,
    },
    /// Try the configuration against the store.
    Check(WithConfig),
    /// Print the catalog of streams.
    Discover {
        /// The configuration file; not needed.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Log more.
        #[arg(long)]
        debug: bool,
    },
    /// Read the configured streams.
    Read {
        /// The configuration.
        #[command(flatten)]
        with: WithConfig,
        /// The configured catalog: which streams, and how.
        #[arg(long, value_name = "FILE")]
        catalog: PathBuf,
        /// The state of an earlier read.
        #[arg(long, value_name = "FILE")]
        state: Option<PathBuf>,
    },
}

/// What `check` and `read` share.
#[derive(Debug, Args)]
pub(crate) struct WithConfig {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Log more.
    #[arg(long)]
    pub debug: bool,
}

impl Command {
    /// Whether `--debug` was given.
    #[must_use]
    pub(crate) fn debug(&self) -> bool {
        match self {
            Self::Spec { debug } | Self::Discover { debug, .. } => *debug,
            Self::Check(with) | Self::Read { with, .. } => with.debug,
        }
    }
}
