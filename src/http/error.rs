//! The errors of a request. `user_error` turns them into messages for the user.

use std::time::{Duration, SystemTime};

/// The final error of a request. No variant contains a URL with its query, a body or a secret.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The server responded with a status other than 200.
    #[error("HTTP {status} on {resource}{}", if message.is_empty() { String::new() } else { format!(": {message}") })]
    Status {
        /// The requested resource, as in its path.
        resource: String,
        /// The HTTP status.
        status: u16,
        /// The `message` of the vendor's error body, cut to 200 characters.
        message: String,
        /// True if a 404 means that the API has no resource at this URL. False if the list is only missing now.
        is_unknown_resource: bool,
        /// True if the body is a web page, which the API never sends.
        page: bool,
    },
    /// The server redirected the request. Redirects are not followed: the token must not be sent to another host.
    #[error("HTTP {status} redirect on {resource} to {}", host.as_deref().unwrap_or("the same host"))]
    Redirect {
        /// The requested resource.
        resource: String,
        /// The HTTP status.
        status: u16,
        /// The other host (and its port, if not the default port), or `None` for the same host.
        host: Option<String>,
    },
    /// No response, or only a part of it, arrived.
    #[error("{resource}: {kind:?}: {detail}")]
    Transport {
        /// The requested resource.
        resource: String,
        /// The kind of failure.
        kind: TransportErrorKind,
        /// The chain of causes, without URLs.
        detail: String,
    },
    /// The proxy from the environment did not open a connection to the store.
    #[error("{resource}: {failure_kind:?} at the proxy {proxy}: {detail}")]
    Proxy {
        /// The requested resource.
        resource: String,
        /// Host and port of the proxy.
        proxy: String,
        /// The environment variable that sets the proxy.
        variable: &'static str,
        /// The kind of failure.
        failure_kind: ProxyFailure,
        /// The chain of causes, without URLs.
        detail: String,
    },
    /// The body does not have the format of the API.
    #[error("{resource}: {problem}")]
    Body {
        /// The requested resource.
        resource: String,
        /// The problem, as one clause.
        problem: String,
        /// True if a retry may help: the body is not JSON. False if it is JSON of an unexpected structure.
        transient: bool,
        /// True if the body is a web page, or otherwise does not start like a response of the API.
        page: bool,
        /// Number of rows that match the request, if the body has a count.
        counted: Option<u64>,
    },
    /// The server answered another request than the one that was sent, and says so. The same request gets the same
    /// response.
    #[error("{resource}: {problem}")]
    Ignored {
        /// The requested resource.
        resource: String,
        /// The difference, as one clause.
        problem: String,
    },
    /// The server does not know a parameter with which the request selects rows. The same request gets the same
    /// response.
    #[error("{resource}: `{setting}`: {problem}")]
    Unsupported {
        /// The requested resource.
        resource: String,
        /// The setting of the configuration that the parameter is for.
        setting: &'static str,
        /// The sign of it, as one clause.
        problem: String,
    },
    /// The body is not UTF-8.
    #[error("{resource}: the response is not UTF-8 text (from byte {at})")]
    NotUtf8 {
        /// The requested resource.
        resource: String,
        /// Offset of the first invalid byte.
        at: usize,
        /// Number of rows that match the request, if the body has a count before that byte.
        counted: Option<u64>,
    },
    /// The response has no body, although its status is that of a success.
    #[error("{resource}: the response is empty")]
    Empty {
        /// The requested resource.
        resource: String,
    },
    /// A firewall in front of the server refused the request with a web page.
    #[error("HTTP {status} on {resource} from a firewall")]
    Blocked {
        /// The requested resource.
        resource: String,
        /// The HTTP status.
        status: u16,
    },
    /// The body is larger than allowed.
    #[error("{resource}: the response exceeds {limit} bytes")]
    TooLarge {
        /// The requested resource.
        resource: String,
        /// The limit in bytes, after decompression.
        limit: usize,
    },
    /// The server cannot send one row, although it can send another row of the resource.
    #[error("{resource}: one row cannot be read: {last}")]
    Unreadable {
        /// The requested resource.
        resource: String,
        /// The error of the request for this row.
        last: Box<Error>,
    },
    /// The server requested a wait (`Retry-After`) that is longer than the retry policy allows.
    #[error("{resource}: the store asks to retry in {} s: {last}", wait.as_secs())]
    Deferred {
        /// The requested resource.
        resource: String,
        /// The wait that the server requested.
        wait: Duration,
        /// The time at which the wait ends.
        until: SystemTime,
        /// The error of the response with that request.
        last: Box<Error>,
    },
    /// Every attempt within the time limit failed.
    #[error("gave up after {attempts} attempts in {} s: {last}", elapsed.as_secs())]
    Exhausted {
        /// Number of attempts.
        attempts: u32,
        /// Time from the first attempt to the last failure.
        elapsed: Duration,
        /// The error of the last attempt.
        last: Box<Error>,
    },
}

/// The error of a client that cannot be created with the settings from the environment.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The certificates of `SSL_CERT_FILE` cannot be used.
    #[error("SSL_CERT_FILE: {0}")]
    Certificates(#[from] super::tls::BadCertificates),
    /// The proxy cannot be used.
    #[error(transparent)]
    Proxy(#[from] super::proxy::BadProxy),
}

/// Kinds of proxy failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyFailure {
    /// The proxy could not be reached.
    Unreachable,
    /// The proxy's certificate was rejected.
    Certificate,
    /// The proxy requires credentials, or other ones (HTTP 407).
    SignIn,
    /// The proxy did not connect to the store.
    Refused,
}

/// Kinds of transport failures that need different advice to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportErrorKind {
    /// The host name has no address.
    Name,
    /// No connection could be opened.
    Connect,
    /// The server's certificate was rejected.
    Certificate,
    /// TLS failed in another way.
    Tls,
    /// No response arrived within the time limit.
    Timeout,
    /// The connection broke, or the response was cut.
    Broken,
}

impl Error {
    /// Returns the last error itself, without the details of the retries.
    pub fn root(&self) -> &Error {
        match self {
            Self::Exhausted { last, .. } => last.root(),
            other => other,
        }
    }

    /// Returns true if the server says that the resource does not exist in its API.
    pub fn is_unknown_resource(&self) -> bool {
        matches!(self.root(), Self::Status { is_unknown_resource: true, .. })
    }

    /// Returns true if the server cannot send one row, although it can send others.
    pub fn is_unreadable(&self) -> bool {
        matches!(self.root(), Self::Unreadable { .. })
    }

    /// Returns true if a response is not UTF-8 text, or empty: some servers cannot write text that is not UTF-8.
    pub fn is_not_utf8(&self) -> bool {
        match self.root() {
            Self::NotUtf8 { .. } | Self::Empty { .. } => true,
            Self::Unreadable { last, .. } => last.is_not_utf8(),
            _ => false,
        }
    }

    /// Returns the HTTP status of the last response, if there was one.
    pub fn status(&self) -> Option<u16> {
        match self.root() {
            Self::Status { status, .. } | Self::Redirect { status, .. } | Self::Blocked { status, .. } => Some(*status),
            Self::Unreadable { last, .. } | Self::Deferred { last, .. } => last.status(),
            _ => None,
        }
    }

    /// Returns a short description of the failure, for example "host not found".
    pub fn short_reason(&self) -> String {
        match (self.status(), self.root()) {
            (Some(status), _) => format!("HTTP {status}"),
            (None, Self::Transport { kind: TransportErrorKind::Name, .. }) => "host not found".to_owned(),
            (None, Self::Transport { kind: TransportErrorKind::Connect, .. }) => "no connection".to_owned(),
            (None, Self::Transport { kind: TransportErrorKind::Timeout, .. }) => "no response in time".to_owned(),
            (None, Self::Transport { .. }) => "the connection broke".to_owned(),
            (None, Self::Proxy { .. }) => "no connection through the proxy".to_owned(),
            (None, Self::Empty { .. }) => "an empty response".to_owned(),
            (None, Self::TooLarge { .. }) => "a response that is too large".to_owned(),
            _ => "an unexpected response".to_owned(),
        }
    }
}
