//! The request log.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// One request, as it arrived, and how it was answered.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// The number of the request, from 1, counted anew after `clear_requests`.
    pub n: usize,
    /// The HTTP method.
    pub method: String,
    /// Path and query exactly as received.
    pub target: String,
    /// The resource that the path names, or `""`.
    pub resource: String,
    /// The query, decoded, in the order sent.
    pub query: Vec<(String, String)>,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The number of the connection that it came over, counted from 1 in the order of acceptance.
    pub connection: usize,
    /// The number of the earlier request whose answer was sent instead, if that is what happened.
    pub answered_as: Option<usize>,
    /// The status of the answer; 0 as long as none was sent.
    pub status: u16,
    /// How many rows the answer listed.
    pub rows: usize,
    /// When it arrived.
    pub at: Instant,
}

impl RecordedRequest {
    /// Reads a request. The number is given when it is logged.
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

    /// The same request to another resource.
    pub(super) fn of_resource(&self, resource: &str) -> RecordedRequest {
        let rest = self.target.split_once('?').map_or(String::new(), |(_, query)| format!("?{query}"));
        RecordedRequest { target: format!("/api/v1/{resource}{rest}"), resource: resource.to_owned(), ..self.clone() }
    }

    /// A query parameter, decoded.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// A header, its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The path without the query.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }
}

/// Where a request is in the log: the log's age and the place in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    cleared: usize,
    index: usize,
}

/// The log.
#[derive(Default)]
pub(super) struct Log {
    inner: Mutex<(usize, Vec<RecordedRequest>)>,
}

impl Log {
    /// Notes a request and gives it its number.
    pub(super) fn arrived(&self, seen: &mut RecordedRequest) -> Place {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        seen.n = inner.1.len() + 1;
        inner.1.push(seen.clone());
        Place { cleared: inner.0, index: inner.1.len() - 1 }
    }

    /// Notes how it was answered, unless the log was cleared in between.
    pub(super) fn answered(&self, place: Place, status: u16, rows: usize) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.0 == place.cleared {
            inner.1[place.index].status = status;
            inner.1[place.index].rows = rows;
        }
    }

    /// Notes that it got the answer to an earlier request.
    pub(super) fn answered_as(&self, place: Place, earlier: usize) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.0 == place.cleared {
            inner.1[place.index].answered_as = Some(earlier);
        }
    }

    /// A copy of the log.
    pub(super) fn all(&self) -> Vec<RecordedRequest> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    /// Empties the log.
    pub(super) fn clear(&self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.0 += 1;
        inner.1.clear();
    }
}
