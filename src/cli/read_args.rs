//! The arguments of `read`.

use std::path::{Path, PathBuf};

use clap::builder::{TypedValueParser as _, ValueParser};
use clap::{Arg, ArgMatches, Args, FromArgMatches, ValueEnum, ValueHint, value_parser};
use serde_json::Value;

use super::WithConfig;
use super::streams_arg::{StreamsArg, no_streams};
use crate::config;
use crate::connector::{Override, OverrideValue};
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
    #[command(flatten, next_display_order = AFTER_OVERRIDES)]
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

/// Values of the configuration that the command line replaces, by the names of their settings, which are also the ids
/// of the options.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides(pub Vec<(String, OverridingValue)>);

/// A value that replaces one of the configuration. No other option has values of this type.
#[derive(Clone, Debug)]
pub(crate) struct OverridingValue(pub Value);

/// Position in the help of the first option that replaces a setting: after those of [`WithConfig`].
const OVERRIDES: usize = 2;

/// Position in the help of the options after them; a connector has fewer.
const AFTER_OVERRIDES: usize = 20;

impl Args for Overrides {
    /// Adds nothing: [`with_overrides`] does, since the options are those of the connector.
    fn augment_args(command: clap::Command) -> clap::Command {
        command
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        command
    }
}

impl FromArgMatches for Overrides {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |id: &clap::Id| {
            let value = matches.try_get_one::<OverridingValue>(id.as_str()).ok()??;
            Some((id.to_string(), value.clone()))
        };
        Ok(Self(matches.ids().filter_map(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Returns a value of the command line as one of the configuration.
fn overriding(value: impl Into<Value>) -> OverridingValue {
    OverridingValue(value.into())
}

/// Adds the options that replace settings to a command if it is `read`.
pub(super) fn with_overrides(command: clap::Command, overrides: &'static [Override]) -> clap::Command {
    if command.get_name() != "read" {
        return command;
    }
    let option = |(place, replacing): (usize, &'static Override)| {
        let (name, parser): (&str, ValueParser) = match replacing.value {
            OverrideValue::Date => ("DATE", ValueParser::new(|text: &str| date(text).map(overriding))),
            OverrideValue::Integer { name, range: (least, most) } => {
                let range = u64::from(least)..=u64::from(most);
                (name, value_parser!(u64).range(range).map(overriding).into())
            }
        };
        Arg::new(replacing.setting)
            .long(replacing.option)
            .value_name(name)
            .help(replacing.help)
            .value_parser(parser)
            .display_order(OVERRIDES + place)
    };
    command.args(overrides.iter().enumerate().map(option))
}

/// The streams to read: a catalog or names.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct StreamSource {
    /// The streams and their sync modes: a configured catalog, or the output of `discover`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub catalog: Option<PathBuf>,
    /// Names of streams: `orders,order_items`, 'order*', or `all`; incremental if the stream supports it
    #[arg(long, value_name = "NAMES", value_parser = no_streams)]
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
