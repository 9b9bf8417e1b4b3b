//! The errors of a request. `user_error` decides what the user is told.

use std::time::{Duration, SystemTime};

/// A request that failed for good. No variant holds a URL with its query, a body or a secret.
#[derive(Clone, Debug, thiserror::Error)]
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
        /// Whether a 404 says that no resource matches the URL, as opposed to a list that is not there now.
        is_unknown_resource: bool,
        /// Whether the body is a web page, which the API never sends.
        page: bool,
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
        kind: TransportErrorKind,
        /// The chain of causes, without URLs.
        detail: String,
    },
    /// The proxy that the environment names opened no connection to the store.
    #[error("{resource}: {failure_kind:?} at the proxy {proxy}: {detail}")]
    Proxy {
        /// The resource asked for.
        resource: String,
        /// Host and port of the proxy.
        proxy: String,
        /// The environment variable that names it.
        variable: &'static str,
        /// What kind of fault.
        failure_kind: ProxyFailure,
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
        transient: bool,
        /// Whether it is a web page, or another text that does not even begin as an answer of the API does.
        page: bool,
    },
    /// The body is not UTF-8.
    #[error("{resource}: the response is not UTF-8 text (from byte {at})")]
    NotUtf8 {
        /// The resource asked for.
        resource: String,
        /// Offset of the first byte that cannot be.
        at: usize,
    },
    /// The body is larger than allowed.
    #[error("{resource}: the response exceeds {limit} bytes")]
    TooLarge {
        /// The resource asked for.
        resource: String,
        /// The limit in bytes, after decompression.
        limit: usize,
    },
    /// One row cannot be had, while another row of the resource can: a request for one row fails.
    #[error("{resource}: one row cannot be read: {last}")]
    Unreadable {
        /// The resource asked for.
        resource: String,
        /// How the request for the row failed.
        last: Box<Error>,
    },
    /// The store wants to be asked again later than the patience allows.
    #[error("{resource}: the store asks to retry in {} s: {last}", wait.as_secs())]
    Deferred {
        /// The resource asked for.
        resource: String,
        /// How long the store wants to be left alone.
        wait: Duration,
        /// Until when that is.
        until: SystemTime,
        /// What it answered.
        last: Box<Error>,
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

/// The client cannot be set up with what the environment says.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The certificates of `SSL_CERT_FILE` cannot be used.
    #[error("SSL_CERT_FILE: {0}")]
    Certificates(#[from] super::tls::BadCertificates),
    /// The proxy cannot be used.
    #[error(transparent)]
    Proxy(#[from] super::proxy::BadProxy),
}

/// What can be wrong with a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyFailure {
    /// It could not be reached.
    Unreachable,
    /// Its certificate was refused.
    Certificate,
    /// It wants a sign-in, or another one (HTTP 407).
    SignIn,
    /// It refuses to connect to the store, or cannot.
    Refused,
}

/// Kinds of transport faults that call for different advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportErrorKind {
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
    pub fn root(&self) -> &Error {
        match self {
            Self::Exhausted { last, .. } => last.root(),
            other => other,
        }
    }

    /// Whether the store says that it has no such resource at all.
    pub fn is_unknown_resource(&self) -> bool {
        matches!(self.root(), Self::Status { is_unknown_resource: true, .. })
    }

    /// Returns true if the store cannot send one row, while it can send others.
    pub fn is_unreadable(&self) -> bool {
        matches!(self.root(), Self::Unreadable { .. })
    }

    /// Returns true if an answer is not UTF-8 text.
    pub fn is_not_utf8(&self) -> bool {
        match self.root() {
            Self::NotUtf8 { .. } => true,
            Self::Unreadable { last, .. } => last.is_not_utf8(),
            _ => false,
        }
    }

    /// The HTTP status of the last answer, if there was one.
    pub fn status(&self) -> Option<u16> {
        match self.root() {
            Self::Status { status, .. } | Self::Redirect { status, .. } => Some(*status),
            Self::Unreadable { last, .. } | Self::Deferred { last, .. } => last.status(),
            _ => None,
        }
    }

    /// Returns how the request failed, in a few words.
    pub fn short_reason(&self) -> String {
        match (self.status(), self.root()) {
            (Some(status), _) => format!("HTTP {status}"),
            (None, Self::Transport { kind: TransportErrorKind::Name, .. }) => "host not found".to_owned(),
            (None, Self::Transport { kind: TransportErrorKind::Connect, .. }) => "no connection".to_owned(),
            (None, Self::Transport { kind: TransportErrorKind::Timeout, .. }) => "no response in time".to_owned(),
            (None, Self::Transport { .. }) => "the connection broke".to_owned(),
            (None, Self::Proxy { .. }) => "no connection through the proxy".to_owned(),
            (None, Self::TooLarge { .. }) => "a response that is too large".to_owned(),
            _ => "an unexpected response".to_owned(),
        }
    }
}
