//! Messages in words, for people: on stderr, one after the other, beside the lines of the board.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::progress::Progress;
use crate::airbyte::parsed_message::ParsedMessage;
use crate::airbyte::{Level, StreamStatus};
use crate::timestamp::Timestamp;
use crate::user_error;

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verbosity {
    /// Errors and a `check` that failed, a line each: what cron sends by mail.
    OneLineErrors,
    /// Errors, and the verdict of `check`.
    Errors,
    /// These, and warnings.
    Warnings,
    /// All that a log would hold.
    Everything,
}

/// Tells people.
#[derive(Debug)]
pub(super) struct Console {
    verbosity: Verbosity,
    /// Whether colours may be used.
    use_colour: bool,
    progress: Arc<Progress>,
    state_location: StateLocation,
    /// True once it was said that the read was interrupted.
    interrupted: bool,
}

/// Where a state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StateLocation {
    /// In this file.
    File(PathBuf),
    /// In the output, which is a file or a program's.
    Output,
    /// Nowhere.
    Nowhere,
}

impl StateLocation {
    /// Says that a read was interrupted, and how it can be continued.
    fn interruption(&self) -> String {
        let how = match self {
            // A file that was not there is not written before the first state.
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
    /// Tells as much as `verbosity` says. Colours are for a terminal, where nobody objects (no-color.org).
    #[must_use]
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

    /// Tells what was heard, if it is to be told.
    pub(super) fn print(&mut self, parsed_message: &ParsedMessage) {
        let text = match parsed_message {
            // Each stream says so; a person asked once.
            ParsedMessage::Error { message, .. } if user_error::is_interruption(message) => {
                (!std::mem::replace(&mut self.interrupted, true)).then(|| self.state_location.interruption())
            }
            _ => render(parsed_message, self.verbosity, self.use_colour),
        };
        let Some(text) = text else { return };
        // Who has closed stderr does not want to hear it.
        let _ignored = self.progress.suspend(|| std::io::stderr().write_all(text.as_bytes()));
    }
}

/// What is said of a check that failed without a word.
const UNREADABLE: &str = "the store cannot be read.";

/// What is said of a message, with its line feed.
fn render(parsed_message: &ParsedMessage, verbosity: Verbosity, use_colour: bool) -> Option<String> {
    let paint = |text: &str, colour: u8| match use_colour {
        true => format!("\x1b[1;{colour}m{text}\x1b[0m"),
        false => text.to_owned(),
    };
    const RED: u8 = 31;
    const GREEN: u8 = 32;
    const YELLOW: u8 = 33;
    let everything = verbosity == Verbosity::Everything;
    match parsed_message {
        ParsedMessage::Error { stream, message, .. } if verbosity == Verbosity::OneLineErrors => {
            let of = stream.as_ref().map_or_else(String::new, |stream| format!("{stream}: "));
            Some(format!("{}: {of}{message}\n", paint("error", RED)))
        }
        ParsedMessage::ConnectionStatus { succeeded: true, .. } if verbosity == Verbosity::OneLineErrors => None,
        ParsedMessage::ConnectionStatus { succeeded: false, message } if verbosity == Verbosity::OneLineErrors => {
            let message = message.as_deref().unwrap_or(UNREADABLE);
            Some(format!("{}: {message}\n", paint("error", RED)))
        }
        ParsedMessage::Log { level: Level::Error | Level::Fatal, text } => {
            Some(format!("{}: {text}\n", paint("error", RED)))
        }
        ParsedMessage::Log { level: Level::Warn, text } if verbosity >= Verbosity::Warnings => {
            Some(format!("{}: {text}\n", paint("warning", YELLOW)))
        }
        ParsedMessage::Log { level: Level::Debug, text } if everything => Some(format!("debug: {text}\n")),
        ParsedMessage::Log { level: Level::Info, text } if everything => Some(format!("{text}\n")),
        ParsedMessage::Log { .. } => None,
        ParsedMessage::Error { stream, message, cause } => {
            let (sentence, remedy) = split_remedy(message);
            let of = stream.as_ref().map_or_else(String::new, |stream| format!("{stream}: "));
            let mut text = format!("{}: {of}{sentence}\n", paint("error", RED));
            if let Some(cause) = cause {
                text.push_str(&format!("  cause: {cause}\n"));
            }
            if !remedy.is_empty() {
                text.push_str(&format!("  {remedy}\n"));
            }
            Some(text)
        }
        ParsedMessage::ConnectionStatus { succeeded: true, message } => {
            let note = message.as_ref().map_or_else(String::new, |note| format!("  {note}\n"));
            Some(format!("{}: connected; the credentials work.\n{note}", paint("ok", GREEN)))
        }
        ParsedMessage::ConnectionStatus { succeeded: false, message } => {
            let (sentence, remedy) = split_remedy(message.as_deref().unwrap_or(UNREADABLE));
            let rest = if remedy.is_empty() { String::new() } else { format!("  {remedy}\n") };
            Some(format!("{}: {sentence}\n{rest}", paint("failed", RED)))
        }
        ParsedMessage::Status { stream, status, waits_until } if everything => match (status, waits_until) {
            (_, Some(until)) => {
                Some(format!("{stream}: waiting for the store's call limit until {}.\n", moment(*until)))
            }
            (StreamStatus::Started, None) => Some(format!("{stream}: started.\n")),
            (StreamStatus::Running, None) => None,
            (StreamStatus::Complete, None) => Some(format!("{stream}: complete.\n")),
            (StreamStatus::Incomplete, None) => Some(format!("{stream}: incomplete.\n")),
        },
        ParsedMessage::Status { .. } => None,
    }
}

/// The sentence that says what is wrong, and the rest, which says what to do.
fn split_remedy(message: &str) -> (String, String) {
    let end = [". ", "; "].into_iter().filter_map(|end| message.find(end)).min();
    let Some((sentence, rest)) = end.and_then(|end| message.split_at_checked(end)) else {
        return (message.to_owned(), String::new());
    };
    let mut letters = rest.trim_start_matches([' ', '.', ';']).chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string());
    (format!("{sentence}."), format!("{}{}", first.unwrap_or_default(), letters.as_str()))
}

/// A moment in milliseconds since the epoch, in UTC, to the second.
pub(super) fn moment(millis: u64) -> String {
    let seconds = i64::try_from(millis.div_ceil(1000)).unwrap_or(i64::MAX / 1000);
    Timestamp::from_millis(seconds * 1000).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_a_sentence_its_cause_and_what_to_do() {
        let error = ParsedMessage::Error {
            stream: Some("orders".into()),
            message:
                "shop.example.com rejected the credentials (HTTP 401 on `orders`). Check the token; it may be old."
                    .into(),
            cause: Some("orders: HTTP 401".into()),
        };
        insta::assert_snapshot!(render(&error, Verbosity::Errors, false).unwrap_or_default());
        let file = ParsedMessage::Error {
            stream: None,
            message: "The config file `x` does not exist. Set `--config` to a readable JSON file.".into(),
            cause: None,
        };
        assert_eq!(
            render(&file, Verbosity::Errors, true).unwrap_or_default(),
            "\x1b[1;31merror\x1b[0m: The config file `x` does not exist.\n  Set `--config` to a readable JSON file.\n"
        );
    }

    #[test]
    fn with_one_line_errors_each_failure_is_one_line() {
        let error = |stream: Option<&str>| ParsedMessage::Error {
            stream: stream.map(str::to_owned),
            message: "The store failed. Try again.".into(),
            cause: Some("HTTP 503".into()),
        };
        let check_result =
            |succeeded| ParsedMessage::ConnectionStatus { succeeded, message: Some("It cannot be. Do this.".into()) };
        let all = [error(None), error(Some("orders")), check_result(true), check_result(false)];
        let reported: String =
            all.iter().filter_map(|parsed_message| render(parsed_message, Verbosity::OneLineErrors, false)).collect();
        assert_eq!(
            reported,
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
        let log = |level| ParsedMessage::Log { level, text: "x".into() };
        let status = |status, waits_until| ParsedMessage::Status { stream: "orders".into(), status, waits_until };
        let all = [
            log(Level::Debug),
            log(Level::Info),
            log(Level::Warn),
            status(StreamStatus::Started, None),
            status(StreamStatus::Running, Some(1_600_000_000_001)),
            status(StreamStatus::Complete, None),
            status(StreamStatus::Incomplete, None),
            ParsedMessage::ConnectionStatus { succeeded: true, message: Some("The token lacks `read_people`.".into()) },
            ParsedMessage::ConnectionStatus { succeeded: false, message: Some("It cannot be. Do this.".into()) },
        ];
        let reported = |verbosity| {
            all.iter().filter_map(|parsed_message| render(parsed_message, verbosity, false)).collect::<String>()
        };
        let check_results = "ok: connected; the credentials work.\n  The token lacks `read_people`.\nfailed: It cannot be.\n  Do this.\n";
        assert_eq!(reported(Verbosity::Errors), check_results);
        assert_eq!(reported(Verbosity::Warnings), format!("warning: x\n{check_results}"));
        assert_eq!(
            reported(Verbosity::Everything),
            format!(
                "debug: x\nx\nwarning: x\norders: started.\norders: waiting for the store's call limit until 2020-09-13T12:26:41Z.\norders: complete.\norders: incomplete.\n{check_results}"
            )
        );
    }
}
