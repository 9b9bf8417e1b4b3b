//! Messages as text for people, on stderr.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::progress::Progress;
use crate::airbyte::message::{
    CheckStatus, ConnectionStatus, Descriptor, Level, Log, Message, RateLimited, Reason, StreamStatus,
    StreamStatusBody, Trace,
};
use crate::timestamp::Timestamp;

/// Which messages are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verbosity {
    /// Errors and a failed `check`, one line each: cron sends them by mail.
    OneLineErrors,
    /// Errors, and the result of `check`.
    Errors,
    /// The same, and warnings.
    Warnings,
    /// Every message of a log.
    Everything,
}

/// Prints messages as text on stderr.
#[derive(Debug)]
pub(super) struct Console {
    verbosity: Verbosity,
    use_colour: bool,
    progress: Arc<Progress>,
    state_location: StateLocation,
    /// True after the interruption was printed.
    interrupted: bool,
}

/// Where the state of a read is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StateLocation {
    /// In this file.
    File(PathBuf),
    /// In the output.
    Output,
    /// Nowhere.
    Nowhere,
}

impl StateLocation {
    /// Returns the text for an interrupted read, with the way to continue it.
    fn interruption(&self) -> String {
        let how = match self {
            // A new file is not written before the first state.
            Self::File(path) if path.exists() => {
                format!("To continue, run it again with `--state {}`.", path.display())
            }
            Self::Output => "To continue, pass the last STATE messages of the output to `--state`.".to_owned(),
            Self::File(_) | Self::Nowhere => "No state was saved; the next run starts from the beginning.".to_owned(),
        };
        format!("Interrupted. {how}\n")
    }
}

impl Console {
    /// Returns a console. It uses colours in a terminal unless the environment forbids it (no-color.org).
    pub(super) fn new(
        verbosity: Verbosity,
        on_terminal: bool,
        progress: Arc<Progress>,
        state_location: StateLocation,
    ) -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let plain = is_set("NO_COLOR") || std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        Self { verbosity, use_colour: on_terminal && !plain, progress, state_location, interrupted: false }
    }

    /// Prints a message, if its kind is printed.
    pub(super) fn print(&mut self, message: &Message) {
        let text = match message {
            // Each stream reports the interruption; one line is enough.
            Message::Trace { trace: Trace::Error { error, .. } } if error.is_interruption => {
                (!std::mem::replace(&mut self.interrupted, true)).then(|| self.state_location.interruption())
            }
            _ => render(message, self.verbosity, self.use_colour),
        };
        let Some(text) = text else { return };
        // If stderr is closed, the text is dropped.
        let _ignored = self.progress.suspend(|| std::io::stderr().write_all(text.as_bytes()));
    }
}

/// The text of a failed check without a message.
const UNREADABLE: &str = "the store cannot be read.";

/// Returns the text of a message with its line feed, if its kind is printed.
fn render(message: &Message, verbosity: Verbosity, use_colour: bool) -> Option<String> {
    const RED: u8 = 31;
    const GREEN: u8 = 32;
    const YELLOW: u8 = 33;
    let paint = |text: &str, colour: u8| match use_colour {
        true => format!("\x1b[1;{colour}m{text}\x1b[0m"),
        false => text.to_owned(),
    };
    let on_one_line = verbosity == Verbosity::OneLineErrors;
    match message {
        Message::Log { log: Log { level, message } } => match level {
            Level::Warn if verbosity >= Verbosity::Warnings => {
                Some(format!("{}: {message}\n", paint("warning", YELLOW)))
            }
            Level::Info if verbosity == Verbosity::Everything => Some(format!("{message}\n")),
            Level::Debug if verbosity == Verbosity::Everything => Some(format!("debug: {message}\n")),
            _ => None,
        },
        Message::Trace { trace: Trace::Error { error, .. } } => {
            let of = error.stream().map_or_else(String::new, |stream| format!("{stream}: "));
            let (sentence, remedy) =
                if on_one_line { (error.message.clone(), String::new()) } else { split_remedy(&error.message) };
            let mut text = format!("{}: {of}{sentence}\n", paint("error", RED));
            if let Some(cause) = error.internal_message.as_ref().filter(|_| !on_one_line) {
                text.push_str(&format!("  cause: {cause}\n"));
            }
            text.push_str(&indented(&remedy));
            Some(text)
        }
        Message::ConnectionStatus { connection_status: ConnectionStatus { status, message } } => match status {
            CheckStatus::Succeeded if on_one_line => None,
            CheckStatus::Succeeded => {
                let note = indented(message.as_deref().unwrap_or_default());
                Some(format!("{}: connected; the credentials work.\n{note}", paint("ok", GREEN)))
            }
            CheckStatus::Failed => {
                let message = message.as_deref().unwrap_or(UNREADABLE);
                if on_one_line {
                    return Some(format!("{}: {message}\n", paint("error", RED)));
                }
                let (sentence, remedy) = split_remedy(message);
                Some(format!("{}: {sentence}\n{}", paint("failed", RED), indented(&remedy)))
            }
        },
        Message::Trace { trace: Trace::StreamStatus { stream_status, .. } } if verbosity == Verbosity::Everything => {
            let StreamStatusBody { stream_descriptor: Descriptor { name }, status, reasons } = stream_status;
            match (status, reasons) {
                (_, Some([Reason::RateLimited { rate_limited: RateLimited { quota_reset } }])) => {
                    Some(format!("{name}: waiting for the store's call limit until {}.\n", moment(*quota_reset)))
                }
                (StreamStatus::Started, None) => Some(format!("{name}: started.\n")),
                (StreamStatus::Running, None) => None,
                (StreamStatus::Complete, None) => Some(format!("{name}: complete.\n")),
                (StreamStatus::Incomplete, None) => Some(format!("{name}: incomplete.\n")),
            }
        }
        Message::Trace { .. } | Message::Spec { .. } | Message::Catalog { .. } => None,
    }
}

/// Returns an indented line; nothing for empty text.
fn indented(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("  {text}\n") }
}

/// Splits a message into the sentence that says what failed and the rest, which says what to do.
fn split_remedy(message: &str) -> (String, String) {
    let end = [". ", "; "].into_iter().filter_map(|end| message.find(end)).min();
    let Some((sentence, rest)) = end.and_then(|end| message.split_at_checked(end)) else {
        return (message.to_owned(), String::new());
    };
    let mut letters = rest.trim_start_matches([' ', '.', ';']).chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string());
    (format!("{sentence}."), format!("{}{}", first.unwrap_or_default(), letters.as_str()))
}

/// Returns a time in milliseconds since the epoch as UTC, rounded up to a second.
fn moment(millis: u64) -> String {
    let seconds = i64::try_from(millis.div_ceil(1000)).unwrap_or(i64::MAX / 1000);
    Timestamp::from_millis(seconds * 1000).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::airbyte::{FailureType, TraceError};

    fn error(stream: Option<&str>, message: &str, cause: Option<&str>) -> Message {
        Message::error(TraceError {
            message: message.to_owned(),
            internal_message: cause.map(str::to_owned),
            failure_type: FailureType::ConfigError,
            stream_descriptor: stream.map(|name| Descriptor { name: name.to_owned() }),
            is_interruption: false,
        })
    }

    fn check_result(status: CheckStatus, message: &str) -> Message {
        Message::ConnectionStatus { connection_status: ConnectionStatus { status, message: Some(message.to_owned()) } }
    }

    #[test]
    fn an_error_is_a_sentence_its_cause_and_what_to_do() {
        let refused = error(
            Some("orders"),
            "shop.example.com rejected the credentials (HTTP 401 on `orders`). Check the token; it may be old.",
            Some("orders: HTTP 401"),
        );
        insta::assert_snapshot!(render(&refused, Verbosity::Errors, false).unwrap_or_default());
        let file = error(None, "The config file `x` does not exist. Set `--config` to a readable JSON file.", None);
        assert_eq!(
            render(&file, Verbosity::Errors, true).unwrap_or_default(),
            "\x1b[1;31merror\x1b[0m: The config file `x` does not exist.\n  Set `--config` to a readable JSON file.\n"
        );
    }

    #[test]
    fn with_one_line_errors_each_failure_is_one_line() {
        let message = "The store failed. Try again.";
        let all = [
            error(None, message, Some("HTTP 503")),
            error(Some("orders"), message, Some("HTTP 503")),
            check_result(CheckStatus::Succeeded, "It cannot be. Do this."),
            check_result(CheckStatus::Failed, "It cannot be. Do this."),
        ];
        let printed: String =
            all.iter().filter_map(|message| render(message, Verbosity::OneLineErrors, false)).collect();
        assert_eq!(
            printed,
            "error: The store failed. Try again.\nerror: orders: The store failed. Try again.\nerror: It cannot be. Do this.\n"
        );
    }

    #[test]
    fn an_interruption_promises_a_state_only_where_one_was_kept() {
        let folder = std::env::temp_dir();
        let render = |state_location: StateLocation| state_location.interruption();
        assert!(render(StateLocation::File(folder.clone())).contains(&format!("--state {}`", folder.display())));
        for state_location in [StateLocation::Nowhere, StateLocation::File(folder.join("no such file"))] {
            assert_eq!(
                render(state_location),
                "Interrupted. No state was saved; the next run starts from the beginning.\n"
            );
        }
        assert!(render(StateLocation::Output).contains("STATE"));
    }

    #[test]
    fn verbosity_selects_what_is_printed() {
        let log = |level| Message::Log { log: Log { level, message: "x".to_owned() } };
        let status = |status, quota_reset: Option<u64>| {
            let stream_descriptor = Descriptor { name: "orders".to_owned() };
            let reasons =
                quota_reset.map(|quota_reset| [Reason::RateLimited { rate_limited: RateLimited { quota_reset } }]);
            let stream_status = StreamStatusBody { stream_descriptor, status, reasons };
            Message::Trace { trace: Trace::StreamStatus { emitted_at: 0, stream_status } }
        };
        let all = [
            log(Level::Debug),
            log(Level::Info),
            log(Level::Warn),
            status(StreamStatus::Started, None),
            status(StreamStatus::Running, Some(1_600_000_000_001)),
            status(StreamStatus::Complete, None),
            status(StreamStatus::Incomplete, None),
            check_result(CheckStatus::Succeeded, "The token lacks `read_people`."),
            check_result(CheckStatus::Failed, "It cannot be. Do this."),
        ];
        let printed =
            |verbosity| all.iter().filter_map(|message| render(message, verbosity, false)).collect::<String>();
        let check_results = "ok: connected; the credentials work.\n  The token lacks `read_people`.\nfailed: It cannot be.\n  Do this.\n";
        assert_eq!(printed(Verbosity::Errors), check_results);
        assert_eq!(printed(Verbosity::Warnings), format!("warning: x\n{check_results}"));
        assert_eq!(
            printed(Verbosity::Everything),
            format!(
                "debug: x\nx\nwarning: x\norders: started.\norders: waiting for the store's call limit until 2020-09-13T12:26:41Z.\norders: complete.\norders: incomplete.\n{check_results}"
            )
        );
    }
}
