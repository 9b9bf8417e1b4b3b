//! What can go wrong between this process and the store. What to tell the user is decided in `failure`.

use std::time::Duration;

/// A request that failed for good. No variant holds a URL with its query, a body or a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store answered with a status that is not 200.
    #[error("HTTP {status} on {resource}{}", if message.is_empty() { String::new() } else { format!(": {message}") })]
    Status {
        /// The resource asked for, as in its path.
        resource: String,
        /// The HTTP status.
        status: u16,
        /// The `message` of the vendor's error body, cut to 200 characters.
        message: String,
    },
    /// The store redirects. It is not followed: the token must not travel to another host.
    #[error("HTTP {status} redirect on {resource} to {}", host.as_deref().unwrap_or("the same host"))]
    Redirect {
        /// The resource asked for.
        resource: String,
        /// The HTTP status.
        status: u16,
        /// The other host (and port, if not the usual one), or `None` for the same host.
        host: Option<String>,
    },
    /// No answer arrived, or not the whole of it.
    #[error("{resource}: {kind:?}: {detail}")]
    Transport {
        /// The resource asked for.
        resource: String,
        /// What kind of fault.
        kind: Transport,
        /// The chain of causes, without URLs.
        detail: String,
    },
    /// The body is not what the API sends.
    #[error("{resource}: {problem}")]
    Body {
        /// The resource asked for.
        resource: String,
        /// What is wrong with it, one clause.
        problem: String,
        /// Whether asking again may help: text that is no JSON, as opposed to JSON of another shape.
        passing: bool,
    },
    /// The body is larger than allowed.
    #[error("{resource}: the answer exceeds {limit} bytes")]
    TooLarge {
        /// The resource asked for.
        resource: String,
        /// The limit in bytes, after decompression.
        limit: usize,
    },
    /// Every retry within the patience failed; the last fault is inside.
    #[error("gave up after {attempts} attempts in {} s: {last}", elapsed.as_secs())]
    Exhausted {
        /// How many requests were sent.
        attempts: u32,
        /// How long it took.
        elapsed: Duration,
        /// The last fault.
        last: Box<Error>,
    },
}

/// Kinds of transport faults that call for different advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// The host name has no address.
    Name,
    /// No connection could be made.
    Connect,
    /// The server's certificate was refused.
    Certificate,
    /// TLS failed in another way.
    Tls,
    /// No answer within the time allowed.
    Timeout,
    /// The connection broke, or the answer was cut.
    Broken,
}

impl Error {
    /// The fault itself, without the account of the retries.
    #[must_use]
    pub fn root(&self) -> &Error {
        match self {
            Self::Exhausted { last, .. } => last.root(),
            other => other,
        }
    }

    /// The HTTP status of the last answer, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self.root() {
            Self::Status { status, .. } | Self::Redirect { status, .. } => Some(*status),
            _ => None,
        }
    }
}
