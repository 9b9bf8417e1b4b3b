//! Messages read back from their lines, for those who tell them to people. Records and states are not
//! read here.

use serde::Deserialize;

use super::message::{Level, StreamStatus};

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParsedMessage {
    /// A line of the log.
    Log {
        /// How important it is.
        level: Level,
        /// The text.
        text: String,
    },
    /// A failure.
    Error {
        /// The stream it ended, if it was one.
        stream: Option<String>,
        /// What failed, where, and what to do.
        message: String,
        /// What lies behind it.
        cause: Option<String>,
    },
    /// Where a stream stands.
    Status {
        /// The stream.
        stream: String,
        /// Its status.
        status: StreamStatus,
        /// Milliseconds since the epoch, until which it waits for the call limit.
        waits_until: Option<u64>,
    },
    /// The outcome of `check`.
    ConnectionStatus {
        /// Whether the configuration can be used.
        succeeded: bool,
        /// What to do, or what to know.
        message: Option<String>,
    },
}

#[derive(Deserialize)]
struct MessageLine {
    log: Option<LogBody>,
    trace: Option<TraceBody>,
    #[serde(rename = "connectionStatus")]
    connection_status: Option<ConnectionStatusBody>,
}

#[derive(Deserialize)]
struct LogBody {
    level: Level,
    message: String,
}

#[derive(Deserialize)]
struct TraceBody {
    error: Option<ErrorBody>,
    stream_status: Option<StatusBody>,
}

#[derive(Deserialize)]
struct ErrorBody {
    message: String,
    internal_message: Option<String>,
    stream_descriptor: Option<Name>,
}

#[derive(Deserialize)]
struct StatusBody {
    stream_descriptor: Name,
    status: StreamStatus,
    reasons: Option<Vec<Reason>>,
}

#[derive(Deserialize)]
struct Reason {
    rate_limited: RateLimited,
}

#[derive(Deserialize)]
struct RateLimited {
    quota_reset: u64,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

#[derive(Deserialize)]
struct ConnectionStatusBody {
    status: String,
    message: Option<String>,
}

impl ParsedMessage {
    /// Whether these lines are one message that is neither a record nor a state.
    #[must_use]
    pub fn is_message(lines: &[u8]) -> bool {
        !lines.starts_with(br#"{"type":"RECORD""#) && !lines.starts_with(br#"{"type":"STATE""#)
    }

    /// Reads a line back; `None` for messages of which there is nothing to say.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Self> {
        let prefixes = [br#"{"type":"LOG""#.as_slice(), br#"{"type":"TRACE""#, br#"{"type":"CONNECTION_STATUS""#];
        // A catalog is long, and nobody is told of it.
        if !prefixes.iter().any(|opening| line.starts_with(opening)) {
            return None;
        }
        let MessageLine { log, trace, connection_status } = serde_json::from_slice(line).ok()?;
        if let Some(LogBody { level, message }) = log {
            return Some(Self::Log { level, text: message });
        }
        if let Some(ConnectionStatusBody { status, message }) = connection_status {
            return Some(Self::ConnectionStatus { succeeded: status == "SUCCEEDED", message });
        }
        let TraceBody { error, stream_status } = trace?;
        if let Some(ErrorBody { message, internal_message, stream_descriptor }) = error {
            let stream = stream_descriptor.map(|descriptor| descriptor.name);
            return Some(Self::Error { stream, message, cause: internal_message });
        }
        let StatusBody { stream_descriptor, status, reasons } = stream_status?;
        let waits_until = reasons.and_then(|reasons| Some(reasons.first()?.rate_limited.quota_reset));
        Some(Self::Status { stream: stream_descriptor.name, status, waits_until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::airbyte::message::{
        ConnectionStatus, Descriptor, Estimate, FailureType, Log, Message, RateLimited as Limited, Reason as Why,
        StreamStatusBody, Trace, TraceError, now,
    };

    fn parsed_message(message: &Message<'_>) -> Option<ParsedMessage> {
        ParsedMessage::parse(&message.line())
    }

    #[test]
    fn written_messages_are_parsed_back() {
        let log = Message::Log { log: Log { level: Level::Warn, message: "a \"b\"" } };
        assert_eq!(parsed_message(&log), Some(ParsedMessage::Log { level: Level::Warn, text: "a \"b\"".into() }));
        let error = TraceError {
            message: "m",
            internal_message: Some("i"),
            failure_type: FailureType::ConfigError,
            stream_descriptor: Some(Descriptor { name: "orders" }),
        };
        let error = Message::Trace { trace: Trace::Error { emitted_at: now(), error } };
        let expected =
            ParsedMessage::Error { stream: Some("orders".into()), message: "m".into(), cause: Some("i".into()) };
        assert_eq!(parsed_message(&error), Some(expected));
        let reasons = Some([Why::RateLimited { rate_limited: Limited { quota_reset: 7 } }]);
        for (reasons, waits_until) in [(None, None), (reasons, Some(7))] {
            let status = StreamStatus::Running;
            let stream_status = StreamStatusBody { stream_descriptor: Descriptor { name: "orders" }, status, reasons };
            let message = Message::Trace { trace: Trace::StreamStatus { emitted_at: now(), stream_status } };
            assert_eq!(
                parsed_message(&message),
                Some(ParsedMessage::Status { stream: "orders".into(), status, waits_until })
            );
        }
        for (status, succeeded) in [("SUCCEEDED", true), ("FAILED", false)] {
            let message = Message::ConnectionStatus { connection_status: ConnectionStatus { status, message: None } };
            assert_eq!(parsed_message(&message), Some(ParsedMessage::ConnectionStatus { succeeded, message: None }));
        }
    }

    #[test]
    fn records_states_and_estimates_are_not_parsed() {
        let estimate = Estimate { name: "orders", kind: "STREAM", row_estimate: 1 };
        let estimate = Message::Trace { trace: Trace::Estimate { emitted_at: now(), estimate } };
        assert_eq!(parsed_message(&estimate), None);
        assert!(ParsedMessage::is_message(&estimate.line()));
        for line in [br#"{"type":"RECORD","record":{}}"#.as_slice(), br#"{"type":"STATE","state":{}}"#] {
            assert!(!ParsedMessage::is_message(line));
            assert_eq!(ParsedMessage::parse(line), None);
        }
    }
}
