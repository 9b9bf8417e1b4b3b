//! Messages in words, for people: on stderr, one after the other, beside the lines of the board.

use std::io::Write as _;
use std::sync::Arc;

use super::board::Board;
use crate::airbyte::heard::Heard;
use crate::airbyte::{Level, StreamStatus};
use crate::timestamp::Timestamp;

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Telling {
    /// Errors, and the verdict of `check`.
    Errors,
    /// These, and warnings.
    Warnings,
    /// All that a log would hold.
    Everything,
}

/// Tells people.
#[derive(Debug)]
pub(super) struct Words {
    telling: Telling,
    /// Whether colours may be used.
    coloured: bool,
    board: Arc<Board>,
}

impl Words {
    /// Tells as much as `telling` says. Colours are for a terminal, where nobody objects (no-color.org).
    #[must_use]
    pub(super) fn new(telling: Telling, on_terminal: bool, board: Arc<Board>) -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let plain = is_set("NO_COLOR") || std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        Self { telling, coloured: on_terminal && !plain, board }
    }

    /// Tells what was heard, if it is to be told.
    pub(super) fn tell(&self, heard: &Heard) {
        let Some(text) = said(heard, self.telling, self.coloured) else { return };
        // Who has closed stderr does not want to hear it.
        let _told = self.board.beside(|| std::io::stderr().write_all(text.as_bytes()));
    }
}

/// What is said of a message, with its line feed.
fn said(heard: &Heard, telling: Telling, coloured: bool) -> Option<String> {
    let paint = |text: &str, colour: u8| match coloured {
        true => format!("\x1b[1;{colour}m{text}\x1b[0m"),
        false => text.to_owned(),
    };
    const RED: u8 = 31;
    const GREEN: u8 = 32;
    const YELLOW: u8 = 33;
    let everything = telling == Telling::Everything;
    match heard {
        Heard::Log { level: Level::Error | Level::Fatal, text } => Some(format!("{}: {text}\n", paint("error", RED))),
        Heard::Log { level: Level::Warn, text } if telling >= Telling::Warnings => {
            Some(format!("{}: {text}\n", paint("warning", YELLOW)))
        }
        Heard::Log { level: Level::Debug, text } if everything => Some(format!("debug: {text}\n")),
        Heard::Log { level: Level::Info, text } if everything => Some(format!("{text}\n")),
        Heard::Log { .. } => None,
        Heard::Error { stream, message, cause } => {
            let (sentence, remedy) = parted(message);
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
        Heard::Verdict { good: true, message } => {
            let note = message.as_ref().map_or_else(String::new, |note| format!("  {note}\n"));
            Some(format!("{}: the store answers, and the sign-in works.\n{note}", paint("good", GREEN)))
        }
        Heard::Verdict { good: false, message } => {
            let (sentence, remedy) = parted(message.as_deref().unwrap_or("the store cannot be read."));
            let rest = if remedy.is_empty() { String::new() } else { format!("  {remedy}\n") };
            Some(format!("{}: {sentence}\n{rest}", paint("not good", RED)))
        }
        Heard::Status { stream, status, waits_until } if everything => match (status, waits_until) {
            (_, Some(until)) => Some(format!("{stream}: waits for the store's call limit until {}.\n", moment(*until))),
            (StreamStatus::Started, None) => Some(format!("{stream}: started.\n")),
            (StreamStatus::Running, None) => None,
            (StreamStatus::Complete, None) => Some(format!("{stream}: complete.\n")),
            (StreamStatus::Incomplete, None) => Some(format!("{stream}: not complete.\n")),
        },
        Heard::Status { .. } => None,
    }
}

/// The sentence that says what is wrong, and the rest, which says what to do.
fn parted(message: &str) -> (String, String) {
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
        let error = Heard::Error {
            stream: Some("orders".into()),
            message: "shop.example.com refused the sign-in (HTTP 401 on `orders`). Check the token; it may be old."
                .into(),
            cause: Some("orders: HTTP 401".into()),
        };
        insta::assert_snapshot!(said(&error, Telling::Errors, false).unwrap_or_default());
        let file = Heard::Error {
            stream: None,
            message: "The config file `x` does not exist; give `--config` a readable JSON file.".into(),
            cause: None,
        };
        assert_eq!(
            said(&file, Telling::Errors, true).unwrap_or_default(),
            "\x1b[1;31merror\x1b[0m: The config file `x` does not exist.\n  Give `--config` a readable JSON file.\n"
        );
    }

    #[test]
    fn as_much_is_told_as_is_wanted() {
        let log = |level| Heard::Log { level, text: "x".into() };
        let status = |status, waits_until| Heard::Status { stream: "orders".into(), status, waits_until };
        let all = [
            log(Level::Debug),
            log(Level::Info),
            log(Level::Warn),
            status(StreamStatus::Started, None),
            status(StreamStatus::Running, Some(1_600_000_000_001)),
            status(StreamStatus::Complete, None),
            status(StreamStatus::Incomplete, None),
            Heard::Verdict { good: true, message: Some("The token lacks `read_people`.".into()) },
            Heard::Verdict { good: false, message: Some("It cannot be. Do this.".into()) },
        ];
        let told = |telling| all.iter().filter_map(|heard| said(heard, telling, false)).collect::<String>();
        let verdicts = "good: the store answers, and the sign-in works.\n  The token lacks `read_people`.\nnot good: It cannot be.\n  Do this.\n";
        assert_eq!(told(Telling::Errors), verdicts);
        assert_eq!(told(Telling::Warnings), format!("warning: x\n{verdicts}"));
        assert_eq!(
            told(Telling::Everything),
            format!(
                "debug: x\nx\nwarning: x\norders: started.\norders: waits for the store's call limit until 2020-09-13T12:26:41Z.\norders: complete.\norders: not complete.\n{verdicts}"
            )
        );
    }
}
