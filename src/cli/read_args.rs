//! The arguments of `read`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum, ValueHint};

use super::WithConfig;
use super::streams_arg::StreamsArg;
use crate::config;
use crate::files;
use crate::output::{self, OutputOptions};
use crate::timestamp::Unreadable;
use crate::user_error::UserError;

/// The arguments of `read`.
#[derive(Debug, Args)]
pub(crate) struct ReadArguments {
    /// The configuration.
    #[command(flatten)]
    pub with: WithConfig,
    /// Values that replace those of the configuration.
    #[command(flatten)]
    pub overrides: Overrides,
    /// The streams.
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
    /// Checks that no file is both read and written, or written twice. Only the state may be read and written in one
    /// file.
    pub(crate) fn check_paths(&self) -> Result<(), UserError> {
        let read = [
            ("`--config`", self.with.config.as_deref()),
            ("`--catalog`", self.source.catalog.as_deref()),
            ("`--state`", self.state.as_deref()),
        ];
        // `-` is standard input.
        let read = read.into_iter().map(|(option, path)| (option, path.filter(|path| *path != Path::new("-"))));
        let mut others: Vec<(&str, &Path)> = read.filter_map(|(option, path)| Some((option, path?))).collect();
        for (option, path) in [
            ("`--state-out`", self.to.state_out.as_deref()),
            ("`--output`", self.to.output.as_deref()),
            ("`--summary`", self.to.summary.as_deref()),
        ] {
            let Some(path) = path else { continue };
            let is_state = |other: &str| (option, other) == ("`--state-out`", "`--state`");
            let clash = others.iter().find(|(other, at)| !is_state(other) && files::are_same(at, path));
            if let Some((other, _)) = clash {
                return Err(UserError::same_file(option, other, &path.display().to_string()));
            }
            others.push((option, path));
        }
        Ok(())
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

/// The streams to read: a catalog or names.
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

/// The value of `--format`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Messages of the Airbyte protocol
    Airbyte,
    /// Only records, one JSON object per line
    Jsonl,
    /// Only records, comma-separated, with a header
    Csv,
}

/// Where the output of `read` goes.
#[derive(Clone, Debug, Args)]
pub(crate) struct OutputArgs {
    /// Write the state to this file, for `--state` of the next read; both may name the same file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    state_out: Option<PathBuf>,
    /// The format of the output
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "airbyte")]
    format: Format,
    /// Write one file per stream to this folder, instead of stdout; requires `--format jsonl` or `csv`
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub output: Option<PathBuf>,
    /// Write a summary of the run to this file when it ends, as one JSON document
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    summary: Option<PathBuf>,
    /// Print only warnings and errors on stderr
    #[arg(long)]
    quiet: bool,
    /// Print an estimate of this read (rows, calls and time) without reading rows
    #[arg(long)]
    dry_run: bool,
    /// Print the estimate as one JSON document
    #[arg(long, requires = "dry_run")]
    pub json: bool,
}

impl OutputArgs {
    /// Returns the options of the output.
    pub(crate) fn options(&self) -> OutputOptions {
        OutputOptions {
            state_out: self.state_out.clone(),
            format: match self.format {
                Format::Airbyte => output::Format::Airbyte,
                Format::Jsonl => output::Format::Jsonl,
                Format::Csv => output::Format::Csv,
            },
            folder: self.output.clone(),
            summary: self.summary.clone(),
            quiet: self.quiet,
            dry_run: self.dry_run,
        }
    }
}

/// Checks a date and returns its text, which replaces a value of the configuration.
fn date(text: &str) -> Result<String, &'static str> {
    match config::instant(text.trim()) {
        Ok(_) => Ok(text.trim().to_owned()),
        Err(Unreadable::NoOffset) => Err("it has no time zone; add `Z` for UTC, such as 2021-01-01T00:00:00Z"),
        Err(Unreadable::Form) => Err("write it like 2021-01-01 or 2021-01-01T00:00:00Z"),
    }
}
