//! The output of one run of the executable.
//!
//! A `Run` can only be created if every complete line is a valid message and the output contains no secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use memchr::memmem;
use serde_json::Value;

use super::message::Message;

/// The unchecked output of a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Output {
    /// The exit code, unless a signal ended the process.
    pub(crate) code: Option<i32>,
    /// The signal that ended the process.
    pub(crate) signal: Option<i32>,
    /// The bytes read from stdout.
    pub(crate) stdout: Vec<u8>,
    /// The text read from stderr.
    pub(crate) stderr: String,
    /// True if the harness killed the process, sent it a signal, or closed its stdout. The last line may then be
    /// incomplete.
    pub(crate) interrupted: bool,
    /// Peak memory of the process in KiB.
    pub(crate) peak_kib: u64,
}

/// One run, parsed and checked.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// The exit code, unless a signal ended the process.
    pub(crate) code: Option<i32>,
    /// The signal that ended the process.
    pub(crate) signal: Option<i32>,
    /// The bytes read from stdout.
    pub(crate) stdout: Vec<u8>,
    /// The text read from stderr.
    pub(crate) stderr: String,
    /// True if the harness interrupted the process before it ended by itself.
    pub(crate) interrupted: bool,
    /// Peak memory of the process in KiB.
    pub(crate) peak_kib: u64,
    /// The complete lines of stdout, in order.
    pub(crate) messages: Vec<Message>,
}

/// A TRACE of type ERROR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ErrorTrace {
    /// The message for the user.
    pub(crate) message: String,
    /// The technical details.
    pub(crate) internal_message: String,
    /// `system_error`, `config_error`, or `transient_error`.
    pub(crate) failure_type: String,
    /// The stream that failed, if the error is one of a stream.
    pub(crate) stream: Option<String>,
}

impl Run {
    /// Checks an output; the error describes the first fault.
    pub(crate) fn new(output: Output, secrets: &[String]) -> Result<Run, String> {
        for secret in secrets.iter().flat_map(|secret| forms(secret)) {
            for (place, content) in [("stdout", output.stdout.as_slice()), ("stderr", output.stderr.as_bytes())] {
                if let Some(at) = memmem::find(content, secret.as_bytes()) {
                    let end = memchr::memchr(b'\n', &content[at..]).map_or(content.len(), |length| at + length);
                    let begin = memchr::memrchr(b'\n', &content[..at]).map_or(0, |before| before + 1);
                    let line = String::from_utf8_lossy(&content[begin..end]);
                    return Err(format!("a secret ({secret}) is on {place}: {line}"));
                }
            }
        }
        let (lines, tail) = whole_lines(&output.stdout);
        if !tail.is_empty() && !output.interrupted {
            let tail = String::from_utf8_lossy(tail);
            return Err(format!("the last line has no end: {tail}"));
        }
        let messages = lines
            .into_iter()
            .map(|line| {
                let line =
                    std::str::from_utf8(line).map_err(|_| format!("not UTF-8: {}", String::from_utf8_lossy(line)))?;
                Message::parse(line)
            })
            .collect::<Result<_, _>>()?;
        Ok(Run {
            code: output.code,
            signal: output.signal,
            stdout: output.stdout,
            stderr: output.stderr,
            interrupted: output.interrupted,
            peak_kib: output.peak_kib,
            messages,
        })
    }

    /// Returns the RECORDs of a stream.
    pub(crate) fn records(&self, stream: &str) -> Vec<&Message> {
        self.of("RECORD", stream)
    }

    /// Returns `data` of a stream's RECORDs, as it was written.
    pub(crate) fn data(&self, stream: &str) -> Vec<&str> {
        let records = self.records(stream).into_iter();
        records.filter_map(Message::data).collect()
    }

    /// Returns the ids of a stream's RECORDs, in the order of the output.
    pub(crate) fn ids(&self, stream: &str) -> Vec<i64> {
        let records = self.records(stream).into_iter();
        records.filter_map(Message::id).collect()
    }

    /// Returns the STATEs of a stream.
    pub(crate) fn states(&self, stream: &str) -> Vec<&Message> {
        self.of("STATE", stream)
    }

    /// Returns the `stream_state` of a stream's last STATE.
    pub(crate) fn last_state(&self, stream: &str) -> Option<&Value> {
        self.states(stream).last()?.stream_state()
    }

    /// Returns the last STATE of every stream, as the content of a state file.
    pub(crate) fn last_state_list(&self) -> String {
        let mut last: Vec<(&str, &str)> = Vec::new();
        for message in self.messages.iter().filter(|m| m.kind() == "STATE") {
            let (Some(stream), Some(text)) = (message.stream(), message.state_text()) else {
                continue;
            };
            last.retain(|(name, _)| *name != stream);
            last.push((stream, text));
        }
        let texts: Vec<&str> = last.into_iter().map(|(_, text)| text).collect();
        format!("[{}]", texts.join(","))
    }

    /// Returns the statuses of a stream in order. For a RUNNING with a reason it returns the reason (`RATE_LIMITED`).
    pub(crate) fn statuses(&self, stream: &str) -> Vec<&str> {
        let traces = self.of("TRACE", stream).into_iter();
        traces.filter_map(Message::status).collect()
    }

    /// Returns level and text of the LOGs.
    pub(crate) fn logs(&self) -> Vec<(&str, &str)> {
        self.messages
            .iter()
            .filter_map(|message| message.value.get("log"))
            .filter_map(|log| Some((log["level"].as_str()?, log["message"].as_str()?)))
            .collect()
    }

    /// Returns the texts of the LOGs of level WARN.
    pub(crate) fn warnings(&self) -> Vec<&str> {
        let logs = self.logs().into_iter();
        logs.filter(|(level, _)| *level == "WARN").map(|(_, text)| text).collect()
    }

    /// Returns all TRACEs.
    pub(crate) fn traces(&self) -> Vec<&Message> {
        self.messages.iter().filter(|m| m.kind() == "TRACE").collect()
    }

    /// Returns the TRACEs of type ERROR, in order.
    pub(crate) fn errors(&self) -> Vec<ErrorTrace> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.traces()
            .into_iter()
            .filter_map(|message| {
                let error = message.value.pointer("/trace/error")?;
                Some(ErrorTrace {
                    message: text(&error["message"]),
                    internal_message: text(&error["internal_message"]),
                    failure_type: text(&error["failure_type"]),
                    stream: message.stream().map(str::to_owned),
                })
            })
            .collect()
    }

    /// Returns the exit code for the errors: 0 if there are none, 75 if all are temporary, otherwise 1.
    pub(crate) fn code_of_errors(&self) -> Option<i32> {
        let errors = self.errors();
        let may_pass = errors.iter().all(|error| error.failure_type == "transient_error");
        Some(match () {
            () if errors.is_empty() => 0,
            () if may_pass => 75,
            () => 1,
        })
    }

    /// Returns the number of rows in the last ESTIMATE of a stream.
    pub(crate) fn estimate(&self, stream: &str) -> Option<u64> {
        let traces = self.of("TRACE", stream).into_iter().rev();
        traces.filter_map(|message| message.value.pointer("/trace/estimate/row_estimate")).find_map(Value::as_u64)
    }

    /// Returns status and text of the only `CONNECTION_STATUS`.
    pub(crate) fn connection_status(&self) -> (&str, &str) {
        let body = self.only("CONNECTION_STATUS", "connectionStatus");
        let text = |key: &str| body[key].as_str().unwrap_or_default();
        (text("status"), text("message"))
    }

    /// Returns the body of the only SPEC.
    pub(crate) fn spec(&self) -> &Value {
        self.only("SPEC", "spec")
    }

    /// Returns the body of the only CATALOG.
    pub(crate) fn catalog(&self) -> &Value {
        self.only("CATALOG", "catalog")
    }

    /// Returns the output, for the message of a failing assertion.
    pub(crate) fn transcript(&self) -> String {
        const LINES: usize = 60;
        let mut lines: Vec<String> = self
            .messages
            .iter()
            .filter(|message| message.kind() != "RECORD")
            .map(|message| message.line.chars().take(400).collect())
            .collect();
        if lines.len() > LINES {
            let left_out = format!("... {} lines ...", lines.len() - LINES);
            lines.splice(LINES / 2..lines.len() - LINES / 2, [left_out]);
        }
        format!(
            "exit code {:?}, signal {:?}\nstderr: {}\nstdout without records:\n{}",
            self.code,
            self.signal,
            self.stderr,
            lines.join("\n")
        )
    }

    fn of(&self, kind: &str, stream: &str) -> Vec<&Message> {
        self.messages.iter().filter(|message| message.kind() == kind && message.stream() == Some(stream)).collect()
    }

    fn only(&self, kind: &str, key: &str) -> &Value {
        let found: Vec<&Value> =
            self.messages.iter().filter(|message| message.kind() == kind).map(|message| &message.value[key]).collect();
        assert_eq!(found.len(), 1, "messages of type {kind}\n{}", self.transcript());
        found[0]
    }
}

/// Returns a secret, and the forms it has in a URL, in Base64, in hexadecimal digits and in a host name.
pub(crate) fn forms(secret: &str) -> Vec<String> {
    let mut base64 = STANDARD_NO_PAD.encode(secret);
    // The last digit depends on the text after the secret.
    base64.pop();
    let in_url: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let hexadecimal: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    vec![
        secret.to_owned(),
        in_url,
        base64.replace('+', "-").replace('/', "_"),
        base64,
        hexadecimal,
        secret.to_lowercase(),
    ]
}

/// Splits an output into its complete lines and the incomplete last one, if any.
pub(crate) fn whole_lines(stdout: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let mut lines: Vec<&[u8]> = stdout.split(|byte| *byte == b'\n').collect();
    let tail = lines.pop().unwrap_or_default();
    (lines, tail)
}
