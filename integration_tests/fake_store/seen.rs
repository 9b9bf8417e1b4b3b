//! The request log.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// One request as it arrived, and its response.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// Number of the request, from 1, and from 1 again after `clear_requests`.
    pub n: usize,
    /// The HTTP method.
    pub method: String,
    /// Path and query exactly as received.
    pub target: String,
    /// The resource that the path names, or `""`.
    pub resource: String,
    /// The query, decoded, in the order sent.
    pub query: Vec<(String, String)>,
    /// The headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// Number of its connection, from 1, in the order of acceptance.
    pub connection: usize,
    /// Number of the earlier request whose response was sent instead, if so.
    pub answered_as: Option<usize>,
    /// Status of the response; 0 until one is sent.
    pub status: u16,
    /// Number of rows in the response.
    pub rows: usize,
    /// When it arrived.
    pub at: Instant,
}

impl RecordedRequest {
    /// Parses a request. It gets its number when it is logged.
    pub(super) fn new(
        method: &str,
        target: &str,
        headers: Vec<(String, String)>,
        connection: usize,
    ) -> RecordedRequest {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let first = path.strip_prefix("/api/v1/").and_then(|rest| rest.split('/').next()).unwrap_or("");
        RecordedRequest {
            n: 0,
            method: method.to_owned(),
            target: target.to_owned(),
            resource: first.strip_suffix(".json").unwrap_or(first).to_owned(),
            query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            headers,
            connection,
            answered_as: None,
            status: 0,
            rows: 0,
            at: Instant::now(),
        }
    }

    /// Returns the same request for another resource.
    pub(super) fn of_resource(&self, resource: &str) -> RecordedRequest {
        let rest = self.target.split_once('?').map_or(String::new(), |(_, query)| format!("?{query}"));
        RecordedRequest { target: format!("/api/v1/{resource}{rest}"), resource: resource.to_owned(), ..self.clone() }
    }

    /// Returns a query parameter, decoded.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Returns a header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Returns the path without the query.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }
}

/// The position of a request in the log: the age of the log and the index in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    cleared: usize,
    index: usize,
}

/// The request log.
#[derive(Default)]
pub(super) struct Log {
    inner: Mutex<(usize, Vec<RecordedRequest>)>,
}

impl Log {
    /// Logs a request and gives it its number.
    pub(super) fn arrived(&self, seen: &mut RecordedRequest) -> Place {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        seen.n = inner.1.len() + 1;
        inner.1.push(seen.clone());
        Place { cleared: inner.0, index: inner.1.len() - 1 }
    }

    /// Records its response, unless the log was cleared meanwhile.
    pub(super) fn answered(&self, place: Place, status: u16, rows: usize) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.0 == place.cleared {
            inner.1[place.index].status = status;
            inner.1[place.index].rows = rows;
        }
    }

    /// Records that it got the response to an earlier request.
    pub(super) fn answered_as(&self, place: Place, earlier: usize) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.0 == place.cleared {
            inner.1[place.index].answered_as = Some(earlier);
        }
    }

    /// Returns a copy of the log.
    pub(super) fn all(&self) -> Vec<RecordedRequest> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    /// Clears the log.
    pub(super) fn clear(&self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.0 += 1;
        inner.1.clear();
    }
}
