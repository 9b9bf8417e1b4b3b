//! What to say and whom to blame: the one table from what happened to a sentence for the user (what,
//! where, what to do) and the protocol's `failure_type`. Nothing else phrases failures for users.

mod output;
mod skipped_rows;

use std::time::{Duration, SystemTime};

use crate::airbyte::{FailureType, WriteError};
use crate::cart::Error;
use crate::cart::error::{ProxyFailure, TransportErrorKind};
use crate::raw_config::FieldError;
use crate::streams::{STREAMS, Stream};
use crate::suggest::suggestions;
use crate::sync::StreamError;
use crate::timestamp::Timestamp;

/// A failure as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserError {
    /// Who can mend it.
    pub kind: FailureType,
    /// For the user.
    pub message: String,
    /// For whoever looks closer.
    pub internal: Option<String>,
}

impl UserError {
    fn new(kind: FailureType, message: String) -> Self {
        Self { kind, message, internal: None }
    }

    /// The config cannot be used.
    #[must_use]
    pub(crate) fn config(faults: &[FieldError]) -> Self {
        let faults: Vec<String> = faults.iter().map(FieldError::to_string).collect();
        Self::new(FailureType::ConfigError, faults.join(" "))
    }

    /// There is no config.
    #[must_use]
    pub(crate) fn no_config(message: &str) -> Self {
        Self::new(FailureType::ConfigError, message.to_owned())
    }

    /// A file cannot be used; `what` is `config`, `catalog` or `state`.
    #[must_use]
    pub(crate) fn file(what: &str, path: &str, problem: &str) -> Self {
        let message = format!("The {what} file `{path}` {problem}; give `--{what}` a readable JSON file.");
        Self::new(FailureType::ConfigError, message)
    }

    /// What standard input holds in place of the config file cannot be used.
    #[must_use]
    pub(crate) fn standard_input(problem: &str) -> Self {
        let message =
            format!("The config on standard input {problem}; give `--config -` one JSON object there, or name a file.");
        Self::new(FailureType::ConfigError, message)
    }

    /// `init` has nobody to ask.
    #[must_use]
    pub(crate) fn no_terminal(error: Option<&std::io::Error>) -> Self {
        let message = "`init` needs an interactive terminal. Run it in one, or write the config file by hand: `source-cart spec` prints its fields.";
        let internal = error.map(ToString::to_string);
        Self { internal, ..Self::new(FailureType::ConfigError, message.to_owned()) }
    }

    /// A new config cannot be written.
    #[must_use]
    pub(crate) fn unwritable(path: &str, problem: &str) -> Self {
        let message =
            format!("The config file `{path}` cannot be written: {problem}; name another one with `--output`.");
        Self::new(FailureType::ConfigError, message)
    }

    /// The catalog cannot be used.
    #[must_use]
    pub(crate) fn catalog(fault: &str) -> Self {
        let message = format!(
            "The catalog cannot be used: {fault}. The catalog must be a JSON object with a `streams` list; each stream needs `stream.name` and `sync_mode` (`full_refresh` or `incremental`)."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// The catalog holds a stream twice, and not in the same way.
    #[must_use]
    pub(crate) fn duplicate_stream(one: &str, other: &str) -> Self {
        let what = if one == other {
            format!("The catalog lists stream `{one}` twice, with different settings. Keep one of the two entries.")
        } else {
            format!("The catalog lists one stream under two names, `{one}` and `{other}`. Keep one of the two entries.")
        };
        Self::new(FailureType::ConfigError, what)
    }

    /// The state file cannot be used.
    #[must_use]
    pub(crate) fn states(fault: &str) -> Self {
        let message = format!(
            "The state cannot be understood ({fault}); give `--state` the STATE messages of an earlier read, or leave it out to read from the start date."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// One stream's state cannot be used.
    #[must_use]
    pub(crate) fn bad_state(stream: &str, fault: &str) -> Self {
        let message = format!(
            "The state of stream `{stream}` cannot be used: {fault}. Correct it, such as `2021-07-01T13:59:28Z`, or remove the stream's state to read from the start date."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// The catalog names a stream that does not exist.
    #[must_use]
    pub(crate) fn unknown_stream(name: &str) -> Self {
        let message =
            format!("{} Remove it from the catalog; `discover` lists all streams.", unknown_stream_text(name));
        Self::new(FailureType::ConfigError, message)
    }

    /// The command line cannot be understood; `usage` is what the parser says of it, in full.
    #[must_use]
    pub(crate) fn usage(usage: &str) -> Self {
        let what = usage.split("\n\n").next().unwrap_or_default();
        let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
        // With nothing to go by, the parser answers with its help.
        let what = what.strip_prefix("error: ").unwrap_or("no command given");
        let end = if what.ends_with(['.', '?']) { "" } else { "." };
        let message = format!("{}{end} Run `source-cart --help`, or `--help` after a command.", capitalised(what));
        Self { internal: Some(usage.to_owned()), ..Self::new(FailureType::ConfigError, message) }
    }

    /// `--output` without a form that has files.
    #[must_use]
    pub(crate) fn output_needs_record_format() -> Self {
        let message = "`--output` writes records alone, so it needs `--format jsonl` or `--format csv`; leave it out to get messages on stdout.";
        Self::new(FailureType::ConfigError, message.to_owned())
    }

    /// Csv of several streams to one stdout.
    #[must_use]
    pub(crate) fn csv_needs_one_stream(streams: usize) -> Self {
        let message = format!(
            "CSV to stdout supports one stream; you selected {streams}. Use `--output DIR` for one file per stream."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// Another run writes to the folder of `--output`.
    #[must_use]
    pub(crate) fn busy_folder(path: &str) -> Self {
        let message = format!(
            "Another sync is writing to the folder `{path}`. Wait until it has ended, or give `--output` another folder."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// The folder of `--output`, or a file in it, cannot be used.
    #[must_use]
    pub(crate) fn unusable_folder(path: &str, error: &std::io::Error) -> Self {
        let message = format!(
            "`{path}` cannot be used for the records ({error}). Give `--output` a folder that this user may write to."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// The file of `--state-out` cannot be written, as was found before anything was read.
    #[must_use]
    pub(crate) fn state_out(path: &str, error: &str) -> Self {
        let message = format!(
            "The state file `{path}` cannot be written ({error}). Give `--state-out` a file in a folder that is there and that this user may write to."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// The file of `--summary` cannot be written, as was found before anything was read.
    #[must_use]
    pub(crate) fn summary_file(path: &str, problem: &str) -> Self {
        let message = format!(
            "The summary `{path}` cannot be written ({problem}). Set `--summary` to a file in a folder that exists and that this user may write to."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// Another process has the state file.
    #[must_use]
    pub(crate) fn busy_state(path: &str) -> Self {
        let message = format!(
            "Another sync is using the state file `{path}`. Wait until it has ended, or name another file for this one."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// A state file cannot be changed.
    #[must_use]
    pub(crate) fn unchanged_state(path: &str, problem: &str) -> Self {
        let message = format!(
            "The state file `{path}` cannot be written ({problem}). Name a file in a folder that is there and that this user may write to."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// A state file has no state of this stream.
    #[must_use]
    pub(crate) fn no_such_state(stream: &str, names: &[&str]) -> Self {
        let meant = suggestions(&stream.to_lowercase(), names.iter().copied());
        let meant = meant.first().map_or(String::new(), |suggestion| format!(" Did you mean `{suggestion}`?"));
        let message = format!(
            "The file holds no state of `{stream}`, and nothing was changed.{meant} `source-cart state show FILE` lists what it holds."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// No state of this stream can be set.
    #[must_use]
    pub(crate) fn no_set_stream(problem: &str) -> Self {
        Self::new(FailureType::ConfigError, format!("{problem} Nothing was changed."))
    }

    /// The date to set is none.
    #[must_use]
    pub(crate) fn no_set_date(date: &str) -> Self {
        let message = format!(
            "`{date}` is not a date. Give a day, such as `2024-06-01`, or a moment with its zone, such as `2024-06-01T08:00:00Z`."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// What lies at `--state-out` is something else.
    #[must_use]
    pub(crate) fn no_state_file(path: &str) -> Self {
        let message = format!(
            "`{path}` is there and is not a state file: it holds something else, which would be lost. Name another file, or move this one away."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// Two options name one file.
    #[must_use]
    pub(crate) fn same_file(option: &str, other: &str, path: &str) -> Self {
        let message = format!("{option} and {other} are both `{path}`, which would be overwritten. Name another one.");
        Self::new(FailureType::ConfigError, message)
    }

    /// `--output` names a file.
    #[must_use]
    pub(crate) fn output_must_be_directory(path: &str, stream: &str, extension: &str) -> Self {
        let message = format!(
            "`--output` takes a folder, and `{path}` is the name of a file. Try `--output rows`, which makes `rows/{stream}.{extension}`, or for a single stream leave `--output` out and add `> {path}`."
        );
        Self::new(FailureType::ConfigError, message)
    }

    /// A file could not be written while rows were read.
    #[must_use]
    pub(crate) fn unwritten(fault: &WriteError) -> Self {
        let message = if fault.what == WriteError::STDOUT {
            format!(
                "{fault}. Check the program that reads it, or make room on the disk, and run the sync again; it continues from the last state that was written."
            )
        } else {
            format!(
                "{fault}. Make room on the disk or fix the folder's permissions, and run the sync again; it continues from the last state that was written."
            )
        };
        Self::new(FailureType::SystemError, capitalised(&message))
    }

    /// The HTTP client cannot be set up.
    #[must_use]
    pub(crate) fn setup(problem: &str) -> Self {
        Self::new(FailureType::ConfigError, format!("The connection cannot be set up: {problem}."))
    }

    /// No scope could be tried within the time that `check` has.
    #[must_use]
    pub(crate) fn check_timed_out(host: &str, bound: Duration) -> Self {
        let seconds = bound.as_secs();
        let message =
            format!("{host} did not answer within {seconds} seconds. Check `store_name`, and try again later.");
        Self::new(FailureType::TransientError, message)
    }

    /// A part of this program failed.
    #[must_use]
    pub(crate) fn panic(detail: &str) -> Self {
        let message = "The connector failed through a fault of its own; rows already covered by a state are safe. Run it again, and report the fault with this log.";
        Self { internal: Some(detail.to_owned()), ..Self::new(FailureType::SystemError, message.to_owned()) }
    }

    /// A stream stopped.
    #[must_use]
    pub(crate) fn stopped(name: &str, stream: &Stream, stream_error: &StreamError, host: &str) -> Self {
        match stream_error {
            StreamError::Request(error) => Self::request(error, Some((name, stream)), host),
            StreamError::Closed => {
                Self::new(FailureType::TransientError, "Stdout was closed while records were written.".to_owned())
            }
            StreamError::Interrupted => Self::new(
                FailureType::TransientError,
                format!(
                    "The sync of `{name}` was interrupted. Run it again; it continues from the last state, if one was kept."
                ),
            ),
            StreamError::UnexpectedResponse(what) => Self::new(
                FailureType::SystemError,
                format!(
                    "The store does not answer requests for `{name}` as documented: {what}. Report it to Cart.com support, and to this connector's project."
                ),
            ),
            StreamError::CountMismatch { counted, listed } => Self::new(
                FailureType::SystemError,
                format!(
                    "The store counts {counted} rows of `{name}` in the range but lists only {listed}, so rows are missing; the stream's state was left where it was. Run the sync again, and if it stays so, report it to Cart.com support."
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
                    "The store's `total_count` of `{name}` turned out to be wrong, and rows without `updated_at` may be missing because of it. Run the sync again: it reads all rows once more and does not use the count."
                ),
            ),
            StreamError::Unstable => Self::new(
                FailureType::TransientError,
                format!(
                    "The rows of `{name}` kept moving while they were read page by page, so some may have been missed; the stream's state claims none of them. Run the sync again when the store is quieter."
                ),
            ),
        }
    }

    /// A request failed for good; `stream` is the stream it was for, if it was for one.
    #[must_use]
    pub(crate) fn request(error: &Error, stream: Option<(&str, &Stream)>, host: &str) -> Self {
        use FailureType::{ConfigError, SystemError, TransientError};
        let on = stream.map_or_else(String::new, |(name, _)| format!(" on `{name}`"));
        let scope = stream.map_or("that it needs", |(_, stream)| stream.scope.name());
        let (kind, message) = match error.root() {
            Error::Status { status: 401, .. } => (
                ConfigError,
                format!(
                    "{host} refused the sign-in (HTTP 401{on}). Check the token or the router credentials; if other streams work, the token lacks the scope `{scope}`: make a new token that has it."
                ),
            ),
            Error::Status { status: 403, .. } => (
                ConfigError,
                format!(
                    "{host} forbids the request (HTTP 403{on}). Make a new token with the scope `{scope}`, and check that no firewall keeps this machine out."
                ),
            ),
            Error::Status { status: 404, .. } => (
                SystemError,
                format!(
                    "{host} knows no such resource (HTTP 404{on}). Check that `store_name` is the store's own host; if it is, remove the stream from the catalog."
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
                format!(
                    "{host} failed to answer (HTTP {status}{on}), also when asked again. Run the sync again later."
                ),
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
                    "{host} redirects to {other} (HTTP {status}{on}), where the token is not sent. If {other} is your store, put it in `store_name`."
                ),
            ),
            Error::Redirect { host: None, status, .. } => (
                ConfigError,
                format!(
                    "{host} redirects the API to another address of its own (HTTP {status}{on}). Put the store's own SSL host name in `store_name`."
                ),
            ),
            Error::Transport { kind, .. } => transport(*kind, host, &on),
            Error::Proxy { proxy, variable, failure_kind, .. } => {
                through_proxy(*failure_kind, proxy, variable, host, &on)
            }
            Error::Body { transient: true, .. } => (
                TransientError,
                format!(
                    "{host} answered with something that is not JSON{on}, also when asked again. Check that `store_name` is the store's own host, and run the sync again later."
                ),
            ),
            Error::NotUtf8 { at, .. } => (
                TransientError,
                format!(
                    "{host} sent an answer{on} that is not UTF-8 text from byte {at} on, also when asked again. Run the sync again later, and if it stays so, report it to Cart.com support."
                ),
            ),
            Error::Body { problem, transient: false, .. } => (
                SystemError,
                format!(
                    "{host} answered in an unexpected form{on}: {problem}. Report it to this connector's project with this log."
                ),
            ),
            Error::TooLarge { limit, .. } => (
                SystemError,
                format!(
                    "{host} sent an answer of more than {} MiB{on}, which is refused. Report it to this connector's project with this log.",
                    limit >> 20
                ),
            ),
            Error::Unreadable { last, .. } => (
                SystemError,
                format!(
                    "{host} cannot give one of the rows{on} ({}), while it gives others. Report it to Cart.com support.",
                    last.short_reason()
                ),
            ),
            Error::Deferred { until, last, .. } => (
                TransientError,
                format!(
                    "{host} asks to be left alone until {} ({}{on}), which is longer than a sync waits. Run the sync again after that.",
                    moment(*until),
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

/// That no stream bears this name, and which may have been meant.
#[must_use]
pub(crate) fn unknown_stream_text(name: &str) -> String {
    let near = suggestions(name, STREAMS.iter().map(|stream| stream.name));
    let shown: String = name.chars().filter(|character| !character.is_control()).take(60).collect();
    let hint = if near.is_empty() { String::new() } else { format!(" Did you mean {}?", near.join(" or ")) };
    format!("There is no stream `{shown}`.{hint}")
}

/// Returns the sentence with a capital letter at its beginning.
fn capitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A moment in UTC, to the second.
fn moment(at: SystemTime) -> String {
    let whole = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let at = Timestamp::from_system(SystemTime::UNIX_EPOCH + Duration::from_secs(whole));
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
            format!(
                "No connection to {host} could be made. Check `store_name`, and that a firewall or proxy lets this machine through."
            ),
        ),
        TransportErrorKind::Certificate => (
            ConfigError,
            format!(
                "The certificate of {host} is not trusted. Check `store_name`; if your company inspects TLS, name its CA file in the environment variable SSL_CERT_FILE."
            ),
        ),
        TransportErrorKind::Tls => (
            TransientError,
            format!(
                "No secure connection to {host} could be made. Check that `store_name` names a host that speaks HTTPS on this port."
            ),
        ),
        TransportErrorKind::Timeout => (
            TransientError,
            format!("{host} did not answer in time{on}, also when asked again. Run the sync again later."),
        ),
        TransportErrorKind::Broken => (
            TransientError,
            format!(
                "The connection to {host} broke before an answer was whole{on}, also when tried again. Run the sync again later."
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
                "The proxy {proxy} refused the sign-in (HTTP 407{on}). Write its user name and password into {variable}, like `http://user:password@proxy.example.com:3128`."
            ),
        ),
        ProxyFailure::Certificate => (
            ConfigError,
            format!(
                "The certificate of the proxy {proxy} is not trusted{on}. Check {variable}; if your company issues its own certificates, name its CA file in the environment variable SSL_CERT_FILE."
            ),
        ),
        ProxyFailure::Refused => (
            TransientError,
            format!(
                "The proxy {proxy} did not connect to {host}{on}. Check that it allows this host, or name the host in NO_PROXY to connect without {variable}."
            ),
        ),
        ProxyFailure::Unreachable => (
            TransientError,
            format!(
                "The proxy {proxy} could not be reached{on}. Check {variable}, and that the proxy is running and lets this machine through."
            ),
        ),
    }
}

#[cfg(test)]
mod tests;
