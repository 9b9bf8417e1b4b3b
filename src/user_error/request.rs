//! Errors of requests: responses that are not usable, and connections that failed.

use std::time::{Duration, SystemTime};

use super::{UserError, store};
use crate::airbyte::FailureType::{self, ConfigError, SystemError, TransientError};
use crate::connector::{Connector, Refusal, Terms};
use crate::http::Error;
use crate::http::error::{ProxyFailure, TransportErrorKind};
use crate::stream::Stream;
use crate::timestamp::Timestamp;

impl UserError {
    /// Reports a request that failed permanently; `stream` is its stream, if it has one.
    pub(crate) fn request(error: &Error, stream: Option<(&str, &Stream)>, host: &str, connector: &Connector) -> Self {
        let terms = &connector.terms;
        let Terms { support, .. } = *terms;
        let on = stream.map_or_else(String::new, |(name, _)| format!(" on `{name}`"));
        let (kind, message) = match error.root() {
            Error::Status { status, .. } => {
                let refusal = Refusal { status: *status, stream: stream.map(|(_, stream)| stream) };
                of_status(&refusal, host, &on, terms)
            }
            Error::Redirect { host: other, status, .. } => redirect(other.as_deref(), *status, host, &on, terms),
            Error::Transport { kind, .. } => transport(*kind, host, &on, terms.address),
            Error::Proxy { proxy, variable, failure_kind, .. } => {
                through_proxy(*failure_kind, proxy, variable, host, &on)
            }
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
            Error::Body { problem, transient, .. } => {
                of_body((!transient).then_some(problem), host, &on, terms.address)
            }
            Error::Ignored { problem, .. } => of_body(Some(problem), host, &on, terms.address),
            Error::Unsupported { setting, problem, .. } => store::unsupported(setting, problem, host, &on),
            Error::NotUtf8 { at, .. } => (
                TransientError,
                format!(
                    "{host} sent a response{on} that is not UTF-8 text (from byte {at}), also after retries. Run the sync again later; if it happens again, report it to {support}."
                ),
            ),
            Error::Empty { .. } => store::empty(host, &on),
            Error::Blocked { status, .. } => store::blocked(*status, host, &on),
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
                    "{host} cannot send one of the rows{on} ({}), but sends others. Report it to {support}.",
                    last.short_reason()
                ),
            ),
        };
        Self { internal: Some(error.to_string()), ..Self::new(kind, message) }
    }
}

/// Returns the message for an HTTP status.
fn of_status(refusal: &Refusal<'_>, host: &str, on: &str, terms: &Terms) -> (FailureType, String) {
    let (status, advice) = (refusal.status, || (terms.advice)(refusal));
    match status {
        401 => (ConfigError, format!("{host} rejected the credentials (HTTP 401{on}). {}", advice())),
        403 => (ConfigError, format!("{host} denied the request (HTTP 403{on}). {}", advice())),
        404 => (
            if terms.objects_are_optional { ConfigError } else { SystemError },
            format!("{host} does not have this resource (HTTP 404{on}). {}", advice()),
        ),
        429 => (
            TransientError,
            format!("{host} kept refusing requests because its call limit was used up (HTTP 429{on}). {}", advice()),
        ),
        204 | 206 | 408 | 425 | 500..=599 => (
            TransientError,
            format!("{host} failed to answer (HTTP {status}{on}), also after retries. Run the sync again later."),
        ),
        _ => (
            SystemError,
            format!(
                "{host} rejected the request (HTTP {status}{on}). Report it to this connector's project with this log."
            ),
        ),
    }
}

/// Returns the message for a redirect to another host, or to the same host if `other` is `None`.
fn redirect(other: Option<&str>, status: u16, host: &str, on: &str, terms: &Terms) -> (FailureType, String) {
    let Terms { address, secret, other_address, .. } = *terms;
    let message = match other {
        Some(other) => format!(
            "{host} redirects to {other} (HTTP {status}{on}). {secret} was not sent there. If {other} is your store, set {address} to it."
        ),
        None => format!(
            "{host} redirects the API to another address on the same host (HTTP {status}{on}). Set {address} to {other_address}."
        ),
    };
    (ConfigError, message)
}

/// Returns the message for a body with this problem, or for a body that is not JSON if `problem` is `None`.
fn of_body(problem: Option<&String>, host: &str, on: &str, address: &str) -> (FailureType, String) {
    match problem {
        None => (
            TransientError,
            format!(
                "{host} sent a response that is not JSON{on}, also after retries. Check {address}, or run the sync again later."
            ),
        ),
        Some(problem) => (
            SystemError,
            format!(
                "{host} sent an unexpected response{on}: {problem}. Report it to this connector's project with this log."
            ),
        ),
    }
}

/// Returns a time in UTC, rounded down to the second.
fn utc_time(at: SystemTime) -> String {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let at = Timestamp::from_system(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    at.map_or_else(|| "later".to_owned(), |at| at.to_string())
}

/// Returns the message for a connection that failed.
fn transport(kind: TransportErrorKind, host: &str, on: &str, address: &str) -> (FailureType, String) {
    match kind {
        TransportErrorKind::Name => (
            TransientError,
            format!("Host {host} was not found. Check {address} for typos, and the DNS of this machine."),
        ),
        TransportErrorKind::Connect => (
            TransientError,
            format!("Cannot connect to {host}. Check {address}, and that no firewall or proxy blocks this machine."),
        ),
        TransportErrorKind::Certificate => (
            ConfigError,
            format!(
                "The certificate of {host} is not trusted. Check {address}; if your company inspects TLS, set the environment variable SSL_CERT_FILE to its CA file."
            ),
        ),
        TransportErrorKind::Tls => (
            TransientError,
            format!("Cannot make a secure connection to {host}. Check that {address} is a host that supports HTTPS."),
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

/// Returns the message for a proxy that did not open a connection.
fn through_proxy(
    failure_kind: ProxyFailure,
    proxy: &str,
    variable: &str,
    host: &str,
    on: &str,
) -> (FailureType, String) {
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
