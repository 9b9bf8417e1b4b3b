//! Errors as users see them: each error becomes a message (what failed, where, what to do) and the protocol's
//! `failure_type`. No other module phrases errors for users.

mod output;
mod skipped_rows;

use std::time::{Duration, SystemTime};

use crate::airbyte::{FailureType, WriteError};
use crate::cart::streams::{STREAMS, Stream};
use crate::http::Error;
use crate::http::error::{ProxyFailure, TransportErrorKind};
use crate::raw_config::FieldError;
use crate::suggest::suggestions;
use crate::sync::StreamError;
use crate::timestamp::Timestamp;

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

    /// Reports a file that cannot be used; `what` is `config`, `catalog` or `state`.
    pub(crate) fn file(what: &str, path: &str, problem: &str) -> Self {
        let message = format!("The {what} file `{path}` {problem}. Set `--{what}` to a readable JSON file.");
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports standard input, in place of the config file, that cannot be used.
    pub(crate) fn standard_input(problem: &str) -> Self {
        let message =
            format!("The config on standard input {problem}. Send one JSON object there, or set `--config` to a file.");
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports that `init` runs without a terminal.
    pub(crate) fn no_terminal(error: Option<&std::io::Error>) -> Self {
        let message = "`init` needs an interactive terminal. Run it in one, or write the config file by hand: `source-cart spec` prints its fields.";
        let internal = error.map(ToString::to_string);
        Self { internal, ..Self::new(FailureType::ConfigError, message.to_owned()) }
    }

    /// Reports a config file that cannot be written.
    pub(crate) fn unwritable(path: &str, problem: &str) -> Self {
        let message = format!("The config file `{path}` cannot be written: {problem}. Set `--output` to another file.");
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports a catalog that cannot be used.
    pub(crate) fn catalog(fault: &str) -> Self {
        let message = format!(
            "The catalog cannot be used: {fault}. The catalog must be a JSON object with a `streams` list; each stream needs `stream.name` and `sync_mode` (`full_refresh` or `incremental`)."
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
    pub(crate) fn states(fault: &str) -> Self {
        let message = format!(
            "The state file is not valid ({fault}). Set `--state` to a file of STATE messages, or leave it out to read from the start date."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports a state of one stream that cannot be used.
    pub(crate) fn bad_state(stream: &str, fault: &str) -> Self {
        let message = format!(
            "The state of stream `{stream}` cannot be used: {fault}. Set it to a date such as `2021-07-01T13:59:28Z`, or remove the stream's state to read from the start date."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports a stream of the catalog that does not exist.
    pub(crate) fn unknown_stream(name: &str) -> Self {
        let message =
            format!("{} Remove it from the catalog; `discover` lists all streams.", unknown_stream_text(name));
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports a usage error; `usage` is the full text of the argument parser.
    pub(crate) fn usage(usage: &str) -> Self {
        let what = usage.split("\n\n").next().unwrap_or_default();
        let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
        // Without a command, the parser returns its help.
        let what = what.strip_prefix("error: ").unwrap_or("no command given");
        let end = if what.ends_with(['.', '?']) { "" } else { "." };
        let message = format!("{}{end} Run `source-cart --help`, or `--help` after a command.", capitalised(what));
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
    pub(crate) fn state_out(path: &str, error: &str) -> Self {
        let message = format!(
            "The state file `{path}` cannot be written ({error}). Set `--state-out` to a file in an existing folder that this user may write to."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports, before anything is read, that the file of `--summary` cannot be written.
    pub(crate) fn summary_file(path: &str, problem: &str) -> Self {
        let message = format!(
            "The summary `{path}` cannot be written ({problem}). Set `--summary` to a file in an existing folder that this user may write to."
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
    pub(crate) fn unchanged_state(path: &str, problem: &str) -> Self {
        let message = format!(
            "The state file `{path}` cannot be written ({problem}). Use a file in an existing folder that this user may write to."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// Reports a state file without a state of this stream.
    pub(crate) fn no_such_state(stream: &str, names: &[&str]) -> Self {
        let meant = suggestions(&stream.to_lowercase(), names.iter().copied());
        let meant = meant.first().map_or(String::new(), |suggestion| format!(" Did you mean `{suggestion}`?"));
        let message = format!(
            "The file has no state of `{stream}`. Nothing was changed.{meant} Run `source-cart state show FILE` to list its streams."
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
    pub(crate) fn setup(problem: &str) -> Self {
        Self::new(FailureType::ConfigError, format!("The connection cannot be set up: {problem}."))
    }

    /// Reports that `check` could test no scope in time.
    pub(crate) fn check_timed_out(host: &str, bound: Duration) -> Self {
        let seconds = bound.as_secs();
        let message =
            format!("{host} did not answer within {seconds} seconds. Check `store_name`, or try again later.");
        Self::new(FailureType::TransientError, message)
    }

    /// Reports a bug of the connector, with its details.
    pub(crate) fn panic(detail: &str) -> Self {
        let message = "The connector failed because of a bug. Rows covered by a saved state are safe: run it again, and report the bug with this log.";
        Self { internal: Some(detail.to_owned()), ..Self::new(FailureType::SystemError, message.to_owned()) }
    }

    /// Reports why the sync of a stream ended.
    pub(crate) fn stopped(name: &str, stream: &Stream, stream_error: &StreamError, host: &str) -> Self {
        match stream_error {
            StreamError::Request(error) => Self::request(error, Some((name, stream)), host),
            StreamError::Closed => Self::new(
                FailureType::TransientError,
                "Stdout was closed while records were written. Check the program that reads it.".to_owned(),
            ),
            StreamError::Interrupted => Self::new(
                FailureType::TransientError,
                format!("The sync of `{name}` was interrupted. Run it again to continue from the last saved state."),
            ),
            StreamError::UnexpectedResponse(what) => Self::new(
                FailureType::SystemError,
                format!(
                    "The store does not answer requests for `{name}` as documented: {what}. Report it to Cart.com support and to this connector's project."
                ),
            ),
            StreamError::CountMismatch { counted, listed } => Self::new(
                FailureType::SystemError,
                format!(
                    "The store counted {counted} rows of `{name}` in the range but listed only {listed}, so rows are missing. The stream's state was not changed: run the sync again, and if it happens again, report it to Cart.com support."
                ),
            ),
            StreamError::RowsSkipped { unread, between, rows_without_key, not_utf8 } => {
                let text = skipped_rows::by_key(name, stream.key, unread, *rows_without_key, *not_utf8);
                Self::new(
                    FailureType::SystemError,
                    text + &skipped_rows::between_rows(name, stream.key, between, *not_utf8),
                )
            }
            StreamError::WrongCount => Self::new(
                FailureType::SystemError,
                format!(
                    "The store's `total_count` of `{name}` was wrong, so rows without `updated_at` may be missing. Run the sync again: it reads all rows again and does not use the count."
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

    /// Reports a request that failed permanently; `stream` is its stream, if it has one.
    pub(crate) fn request(error: &Error, stream: Option<(&str, &Stream)>, host: &str) -> Self {
        use FailureType::{ConfigError, SystemError, TransientError};
        let on = stream.map_or_else(String::new, |(name, _)| format!(" on `{name}`"));
        let scope =
            stream.map_or_else(|| "that it needs".to_owned(), |(_, stream)| format!("`{}`", stream.scope.name()));
        let (kind, message) = match error.root() {
            Error::Status { status: 401, .. } => (
                ConfigError,
                format!(
                    "{host} rejected the credentials (HTTP 401{on}). Check the token or the router credentials. If other streams work, create a new token with the scope {scope}."
                ),
            ),
            Error::Status { status: 403, .. } => (
                ConfigError,
                format!(
                    "{host} denied the request (HTTP 403{on}). Create a new token with the scope {scope}, and check that no firewall blocks this machine."
                ),
            ),
            Error::Status { status: 404, .. } => (
                SystemError,
                format!(
                    "{host} does not have this resource (HTTP 404{on}). Check `store_name`; if it is right, remove the stream from the catalog."
                ),
            ),
            Error::Status { status: 429, .. } => (
                TransientError,
                format!(
                    "{host} kept refusing requests because its call limit was used up (HTTP 429{on}). Run the sync again later, or lower `call_limit_percent`."
                ),
            ),
            Error::Status { status: status @ (204 | 206 | 408 | 425 | 500..=599), .. } => (
                TransientError,
                format!("{host} failed to answer (HTTP {status}{on}), also after retries. Run the sync again later."),
            ),
            Error::Status { status, .. } => (
                SystemError,
                format!(
                    "{host} rejected the request (HTTP {status}{on}). Report it to this connector's project with this log."
                ),
            ),
            Error::Redirect { host: Some(other), status, .. } => (
                ConfigError,
                format!(
                    "{host} redirects to {other} (HTTP {status}{on}). The token was not sent there. If {other} is your store, set `store_name` to it."
                ),
            ),
            Error::Redirect { host: None, status, .. } => (
                ConfigError,
                format!(
                    "{host} redirects the API to another address on the same host (HTTP {status}{on}). Set `store_name` to the store's SSL host name."
                ),
            ),
            Error::Transport { kind, .. } => transport(*kind, host, &on),
            Error::Proxy { proxy, variable, failure_kind, .. } => {
                through_proxy(*failure_kind, proxy, variable, host, &on)
            }
            Error::Body { transient: true, .. } => (
                TransientError,
                format!(
                    "{host} sent a response that is not JSON{on}, also after retries. Check `store_name`, or run the sync again later."
                ),
            ),
            Error::NotUtf8 { at, .. } => (
                TransientError,
                format!(
                    "{host} sent a response{on} that is not UTF-8 text (from byte {at}), also after retries. Run the sync again later; if it happens again, report it to Cart.com support."
                ),
            ),
            Error::Body { problem, transient: false, .. } => (
                SystemError,
                format!(
                    "{host} sent an unexpected response{on}: {problem}. Report it to this connector's project with this log."
                ),
            ),
            Error::TooLarge { limit, .. } => (
                SystemError,
                format!(
                    "{host} sent a response over the limit of {} MiB{on}. Report it to this connector's project with this log.",
                    limit >> 20
                ),
            ),
            Error::Unreadable { last, .. } => (
                SystemError,
                format!(
                    "{host} cannot send one of the rows{on} ({}), but sends others. Report it to Cart.com support.",
                    last.short_reason()
                ),
            ),
            Error::Deferred { until, last, .. } => (
                TransientError,
                format!(
                    "{host} asked to wait until {} ({}{on}), longer than a sync waits. Run the sync again after that time.",
                    utc_time(*until),
                    last.short_reason()
                ),
            ),
            Error::Exhausted { .. } => {
                (TransientError, format!("{host} could not be read{on}. Run the sync again later."))
            }
        };
        Self { internal: Some(error.to_string()), ..Self::new(kind, message) }
    }
}

/// Returns the message for an unknown stream name, with suggestions.
pub(crate) fn unknown_stream_text(name: &str) -> String {
    let near = suggestions(name, STREAMS.iter().map(|stream| stream.name));
    let shown: String = name.chars().filter(|character| !character.is_control()).take(60).collect();
    let hint = if near.is_empty() { String::new() } else { format!(" Did you mean {}?", near.join(" or ")) };
    format!("There is no stream `{shown}`.{hint}")
}

/// Returns the sentence with its first letter in upper case.
fn capitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Returns a time in UTC, rounded down to the second.
fn utc_time(at: SystemTime) -> String {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let at = Timestamp::from_system(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    at.map_or_else(|| "later".to_owned(), |at| at.to_string())
}

fn transport(kind: TransportErrorKind, host: &str, on: &str) -> (FailureType, String) {
    use FailureType::{ConfigError, TransientError};
    match kind {
        TransportErrorKind::Name => (
            TransientError,
            format!("Host {host} was not found. Check `store_name` for typos, and the DNS of this machine."),
        ),
        TransportErrorKind::Connect => (
            TransientError,
            format!("Cannot connect to {host}. Check `store_name`, and that no firewall or proxy blocks this machine."),
        ),
        TransportErrorKind::Certificate => (
            ConfigError,
            format!(
                "The certificate of {host} is not trusted. Check `store_name`; if your company inspects TLS, set the environment variable SSL_CERT_FILE to its CA file."
            ),
        ),
        TransportErrorKind::Tls => (
            TransientError,
            format!(
                "Cannot make a secure connection to {host}. Check that `store_name` is a host that supports HTTPS."
            ),
        ),
        TransportErrorKind::Timeout => (
            TransientError,
            format!("{host} did not answer in time{on}, also after retries. Run the sync again later."),
        ),
        TransportErrorKind::Broken => (
            TransientError,
            format!(
                "The connection to {host} broke before the response was complete{on}, also after retries. Run the sync again later."
            ),
        ),
    }
}

fn through_proxy(
    failure_kind: ProxyFailure,
    proxy: &str,
    variable: &str,
    host: &str,
    on: &str,
) -> (FailureType, String) {
    use FailureType::{ConfigError, TransientError};
    match failure_kind {
        ProxyFailure::SignIn => (
            ConfigError,
            format!(
                "The proxy {proxy} rejected the credentials (HTTP 407{on}). Set {variable} to an address with a user name and password, like `http://user:password@proxy.example.com:3128`."
            ),
        ),
        ProxyFailure::Certificate => (
            ConfigError,
            format!(
                "The certificate of the proxy {proxy} is not trusted{on}. Check {variable}; if your company issues its own certificates, set the environment variable SSL_CERT_FILE to its CA file."
            ),
        ),
        ProxyFailure::Refused => (
            TransientError,
            format!(
                "The proxy {proxy} did not connect to {host}{on}. Check that it allows this host, or add the host to NO_PROXY to connect without {variable}."
            ),
        ),
        ProxyFailure::Unreachable => (
            TransientError,
            format!(
                "The proxy {proxy} could not be reached{on}. Check {variable}, and that the proxy is running and accepts connections from this machine."
            ),
        ),
    }
}

#[cfg(test)]
mod tests;
