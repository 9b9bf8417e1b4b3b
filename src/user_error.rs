//! Errors as users see them: each error becomes a message (what failed, where, what to do) and the protocol's
//! `failure_type`. No other module phrases errors for users.

mod output;
mod request;
mod skipped_rows;
mod store;

use std::time::Duration;

use crate::airbyte::catalog::CatalogError;
use crate::airbyte::state::StateError;
use crate::airbyte::{FailureType, WriteError};
use crate::connector::{Connector, Terms};
use crate::files::UnwritableFile;
use crate::files::input::ReadError;
use crate::http::error::SetupError;
use crate::raw_config::FieldError;
use crate::stream::Stream;
use crate::suggest::suggestions;
use crate::sync::{CheckpointError, StreamError};
use skipped_rows::SkippedRows;

/// An error to report to the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserError {
    /// Who can fix it.
    pub kind: FailureType,
    /// The message for the user.
    pub message: String,
    /// Technical details, for `internal_message`.
    pub internal: Option<String>,
}

impl UserError {
    fn new(kind: FailureType, message: String) -> Self {
        Self { kind, message, internal: None }
    }

    /// Reports all faults of the config.
    pub(crate) fn config(faults: &[FieldError]) -> Self {
        let faults: Vec<String> = faults.iter().map(FieldError::to_string).collect();
        Self::new(FailureType::ConfigError, faults.join(" "))
    }

    /// Reports that no config was found.
    pub(crate) fn no_config(message: &str) -> Self {
        Self::new(FailureType::ConfigError, message.to_owned())
    }

    /// Reports a file that cannot be read; `what` is `config`, `catalog` or `state`.
    pub(crate) fn file(what: &str, path: &str, error: &ReadError) -> Self {
        let message = format!("The {what} file `{path}` {error}. Set `--{what}` to a readable JSON file.");
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports standard input, in place of the config file, that cannot be read.
    pub(crate) fn standard_input(error: &ReadError) -> Self {
        let message =
            format!("The config on standard input {error}. Send one JSON object there, or set `--config` to a file.");
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports that `init` runs without a terminal.
    pub(crate) fn no_terminal(error: Option<&std::io::Error>, executable: &str) -> Self {
        let message = format!(
            "`init` needs an interactive terminal. Run it in one, or write the config file by hand: `{executable} spec` prints its fields."
        );
        let internal = error.map(ToString::to_string);
        Self { internal, ..Self::new(FailureType::ConfigError, message) }
    }

    /// Reports a config file that cannot be written.
    pub(crate) fn unwritable(path: &str, reason: &UnwritableFile) -> Self {
        let message = format!("The config file `{path}` cannot be written: {reason}. Set `--output` to another file.");
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports a catalog that cannot be used.
    pub(crate) fn catalog(error: &CatalogError) -> Self {
        let message = format!(
            "The catalog cannot be used: {error}. The catalog must be a JSON object with a `streams` list; each stream needs `stream.name` and `sync_mode` (`full_refresh` or `incremental`)."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports a stream that the catalog lists twice with different settings.
    pub(crate) fn duplicate_stream(one: &str, other: &str) -> Self {
        let message = if one == other {
            format!("The catalog lists stream `{one}` twice, with different settings. Keep one of the two entries.")
        } else {
            format!("The catalog lists one stream under two names, `{one}` and `{other}`. Keep one of the two entries.")
        };
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports a state file that cannot be used.
    pub(crate) fn states(error: &StateError) -> Self {
        let message = format!(
            "The state file is not valid ({error}). Set `--state` to a file of STATE messages, or leave it out to read from the start date."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports a state of one stream that cannot be used.
    pub(crate) fn bad_state(stream: &str, fault: &CheckpointError) -> Self {
        let message = format!(
            "The state of stream `{stream}` cannot be used: {fault}. Set it to a date such as `2021-07-01T13:59:28Z`, or remove the stream's state to read from the start date."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports a stream of the catalog that does not exist.
    pub(crate) fn unknown_stream(name: &str, table: &'static [Stream]) -> Self {
        let message =
            format!("{} Remove it from the catalog; `discover` lists all streams.", unknown_stream_text(name, table));
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports a usage error; `usage` is the full text of the argument parser.
    pub(crate) fn usage(usage: &str, executable: &str) -> Self {
        let what = usage.split("\n\n").next().unwrap_or_default();
        let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
        // Without a command, the parser returns its help.
        let what = what.strip_prefix("error: ").unwrap_or("no command given");
        let end = if what.ends_with(['.', '?']) { "" } else { "." };
        // If the configuration is missing, the command line is right, and the message names the command to run.
        let message = if what.contains(&format!("Run `{executable} init`")) {
            format!("{}{end}", capitalised(what))
        } else {
            format!("{}{end} Run `{executable} --help`, or `--help` after a command.", capitalised(what))
        };
        Self { internal: Some(usage.to_owned()), ..Self::new(FailureType::ConfigError, message) }
    }

    /// Reports `--output` without a `--format` that writes files.
    pub(crate) fn output_needs_record_format() -> Self {
        let message = "`--output` writes only records. Set `--format jsonl` or `--format csv` as well, or leave `--output` out to write messages to stdout.";
        Self::new(FailureType::ConfigError, message.to_owned())
    }

    /// Reports CSV of several streams to stdout.
    pub(crate) fn csv_needs_one_stream(streams: usize) -> Self {
        let message = format!(
            "CSV to stdout supports one stream; you selected {streams}. Use `--output DIR` for one file per stream."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports that another run writes to the folder of `--output`.
    pub(crate) fn busy_folder(path: &str) -> Self {
        let message = format!(
            "Another sync is writing to the folder `{path}`. Wait until it ends, or set `--output` to another folder."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports that the folder of `--output`, or a file in it, cannot be used.
    pub(crate) fn unusable_folder(path: &str, error: &std::io::Error) -> Self {
        let message = format!(
            "`{path}` cannot be used as the output folder ({error}). Set `--output` to a folder that this user may write to."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports, before anything is read, that the file of `--state-out` cannot be written.
    pub(crate) fn state_out(path: &str, reason: &UnwritableFile) -> Self {
        let message = format!(
            "The state file `{path}` cannot be written ({reason}). Set `--state-out` to a file in an existing folder that this user may write to."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports, before anything is read, that the file of `--summary` cannot be written.
    pub(crate) fn summary_file(path: &str, reason: &UnwritableFile) -> Self {
        let message = format!(
            "The summary `{path}` cannot be written ({reason}). Set `--summary` to a file in an existing folder that this user may write to."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports that another process uses the state file.
    pub(crate) fn busy_state(path: &str) -> Self {
        let message =
            format!("Another sync is using the state file `{path}`. Wait until it ends, or use another file.");
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports a state file that cannot be changed.
    pub(crate) fn unchanged_state(path: &str, reason: &UnwritableFile) -> Self {
        let message = format!(
            "The state file `{path}` cannot be written ({reason}). Use a file in an existing folder that this user may write to."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports a state file without a state of this stream.
    pub(crate) fn no_such_state(stream: &str, names: &[&str], executable: &str) -> Self {
        let meant = suggestions(&stream.to_lowercase(), names.iter().copied());
        let meant = meant.first().map_or(String::new(), |suggestion| format!(" Did you mean `{suggestion}`?"));
        let message = format!(
            "The file has no state of `{stream}`. Nothing was changed.{meant} Run `{executable} state show FILE` to list its streams."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports a stream whose state cannot be set.
    pub(crate) fn no_set_stream(problem: &str) -> Self {
        Self::new(FailureType::ConfigError, format!("{problem} Nothing was changed."))
    }

    /// Reports a date for `state set` that is not valid.
    pub(crate) fn no_set_date(date: &str) -> Self {
        let message = format!(
            "`{date}` is not a date. Enter a day, such as `2024-06-01`, or a time with its zone, such as `2024-06-01T08:00:00Z`."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports that the file at `--state-out` is not a state file.
    pub(crate) fn no_state_file(path: &str) -> Self {
        let message = format!(
            "`{path}` exists and is not a state file, so it was not changed. Use another file, or move this one away."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports two options that name the same file.
    pub(crate) fn same_file(option: &str, other: &str, path: &str) -> Self {
        let message =
            format!("{option} and {other} are both `{path}`, which would be overwritten. Use two different files.");
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports that `--output` names a file.
    pub(crate) fn output_must_be_directory(path: &str, example: &str) -> Self {
        let message = format!(
            "`--output` needs a folder, but `{path}` looks like a file. Try `--output rows`, which writes `rows/{example}`; for a single stream, leave `--output` out and add `> {path}`."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports a file that could not be written during a read.
    pub(crate) fn unwritten(fault: &WriteError) -> Self {
        let message = if fault.what == WriteError::STDOUT {
            format!(
                "{fault}. Check the program that reads stdout, and the free disk space. Then run the sync again: it continues from the last written state."
            )
        } else {
            format!(
                "{fault}. Free disk space or fix the folder's permissions. Then run the sync again: it continues from the last written state."
            )
        };
        Self::new(FailureType::SystemError, capitalised(&message))
    }

    /// Reports that the HTTP client cannot be set up.
    pub(crate) fn setup(error: &SetupError) -> Self {
        Self::new(FailureType::ConfigError, format!("The connection cannot be set up: {error}."))
    }

    /// Reports that `check` could test no permission in time.
    pub(crate) fn check_timed_out(host: &str, bound: Duration, connector: &Connector) -> Self {
        let (seconds, address) = (bound.as_secs(), connector.terms.address);
        let message = format!("{host} did not answer within {seconds} seconds. Check {address}, or try again later.");
        Self::new(FailureType::TransientError, message)
    }

    /// Reports that `check` found none of the tested resources.
    pub(crate) fn check_found_nothing(host: &str, connector: &Connector) -> Self {
        let message =
            format!("{host} has none of the API's resources (HTTP 404). {}", connector.terms.check.nothing_found);
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports that `check` may read none of the tested resources; `permissions` are those of the resources.
    pub(crate) fn check_rejected(host: &str, permissions: &[&str], connector: &Connector) -> Self {
        let message = format!("{host} {} {}.", connector.terms.check.all_rejected, permissions.join(", "));
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports a bug of the connector, with its details.
    pub(crate) fn panic(detail: &str) -> Self {
        let message = "The connector failed because of a bug. Rows covered by a saved state are safe: run it again, and report the bug with this log.";
        Self { internal: Some(detail.to_owned()), ..Self::new(FailureType::SystemError, message.to_owned()) }
    }

    /// Reports why the sync of a stream ended.
    pub(crate) fn stopped(
        name: &str,
        stream: &Stream,
        stream_error: &StreamError,
        host: &str,
        connector: &Connector,
    ) -> Self {
        let Terms { support, total, .. } = connector.terms;
        match stream_error {
            StreamError::Request(error) => Self::request(error, Some((name, stream)), host, connector),
            StreamError::Closed => Self::new(
                FailureType::TransientError,
                "Stdout was closed while records were written. Check the program that reads it.".to_owned(),
            ),
            StreamError::Interrupted => Self::new(
                FailureType::TransientError,
                format!("The sync of `{name}` was interrupted. Run it again to continue from the last saved state."),
            ),
            StreamError::UnexpectedResponse(what) => store::unexpected(name, what, support),
            StreamError::UnexpectedList(what) => store::unexpected(name, what, support),
            StreamError::CountMismatch { counted, listed } => Self::new(
                FailureType::SystemError,
                format!(
                    "The store counted {counted} rows of `{name}` in the range but listed only {listed}, so rows are missing. The stream's state was not changed: run the sync again, and if it happens again, report it to {support}."
                ),
            ),
            StreamError::RowsSkipped { unread, between, dates, hidden, rows_without_key, not_utf8 } => {
                let skipped = SkippedRows { name, key: stream.key(), not_utf8: *not_utf8, support };
                let text = skipped.by_key(unread, *rows_without_key) + &skipped.between(between);
                let text = text + &store::undated(name, dates) + &store::hidden(name, hidden, support);
                Self::new(FailureType::SystemError, text)
            }
            StreamError::WrongCount => Self::new(
                FailureType::SystemError,
                format!(
                    "The store's {total} of `{name}` was wrong, so rows without `updated_at` may be missing. Run the sync again: it reads all rows again and does not use the count."
                ),
            ),
            StreamError::Unstable => Self::new(
                FailureType::TransientError,
                format!(
                    "The rows of `{name}` changed their order while they were read page by page, so some may be missing. The stream's state does not cover them: run the sync again when the store has less traffic."
                ),
            ),
        }
    }
}

/// Returns the message for an unknown stream name, with suggestions.
pub(crate) fn unknown_stream_text(name: &str, table: &'static [Stream]) -> String {
    let near = suggestions(name, table.iter().map(|stream| stream.name));
    let shown: String = name.chars().filter(|character| !character.is_control()).take(60).collect();
    let hint = if near.is_empty() { String::new() } else { format!(" Did you mean {}?", near.join(" or ")) };
    format!("There is no stream `{shown}`.{hint}")
}

/// Returns the sentence with its first letter in upper case.
fn capitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests;
