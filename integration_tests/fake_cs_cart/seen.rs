//! Request log and its counters.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// One request as it arrived, and its response.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// Number of the request, from 1, and from 1 again after `clear_requests`.
    pub n: usize,
    /// HTTP method.
    pub method: String,
    /// Path and query exactly as received.
    pub target: String,
    /// API version in the path, or `""`.
    pub version: String,
    /// Object that is requested: the last one of a nested path, or `""`.
    pub object: String,
    /// Id after the object, or `""`.
    pub id: String,
    /// Store or vendor that a nested path names.
    pub company_id: Option<i64>,
    /// Query, decoded, in the order sent, without `_d`.
    pub query: Vec<(String, String)>,
    /// Headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// Number of its connection, from 1, in the order of acceptance.
    pub connection: usize,
    /// Status of the response; 0 until one is sent.
    pub status: u16,
    /// Number of rows in the response.
    pub rows: usize,
    /// Number of bytes in the body before compression.
    pub bytes: usize,
    /// Time of arrival.
    pub at: Instant,
}

impl RecordedRequest {
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

/// Sums over all requests since the last `clear_requests`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Number of requests.
    pub requests: usize,
    /// Number of requests for each object.
    pub by_object: BTreeMap<String, usize>,
    /// Number of responses with each status.
    pub by_status: BTreeMap<u16, usize>,
    /// Number of rows in all responses.
    pub rows: usize,
    /// Number of bytes in all bodies before compression.
    pub bytes: usize,
    /// Maximum number of requests that were answered at the same time.
    pub most_at_once: usize,
    /// Number of connections.
    pub connections: usize,
}

#[derive(Default)]
struct Inner {
    cleared: usize,
    requests: Vec<RecordedRequest>,
    now: usize,
    most_at_once: usize,
}

/// Position of a request in the log: the age of the log and the index in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    cleared: usize,
    index: usize,
}

/// Request log.
#[derive(Default)]
pub(crate) struct Log {
    inner: Mutex<Inner>,
}

impl Log {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs a request and gives it its number.
    pub(crate) fn arrived(&self, seen: &mut RecordedRequest) -> Place {
        let mut inner = self.inner();
        seen.n = inner.requests.len() + 1;
        inner.requests.push(seen.clone());
        inner.now += 1;
        inner.most_at_once = inner.most_at_once.max(inner.now);
        Place { cleared: inner.cleared, index: inner.requests.len() - 1 }
    }

    /// Records its response, unless the log was cleared meanwhile.
    pub(crate) fn answered(&self, place: Place, status: u16, rows: usize, bytes: usize) {
        let mut inner = self.inner();
        if inner.cleared == place.cleared {
            let request = &mut inner.requests[place.index];
            (request.status, request.rows, request.bytes) = (status, rows, bytes);
        }
    }

    /// Records that nothing more is sent for a request.
    pub(crate) fn done(&self) {
        let mut inner = self.inner();
        inner.now = inner.now.saturating_sub(1);
    }

    /// Returns a copy of the log.
    pub(crate) fn all(&self) -> Vec<RecordedRequest> {
        self.inner().requests.clone()
    }

    /// Returns the sums.
    pub(crate) fn counters(&self) -> Counters {
        let inner = self.inner();
        let mut counters = Counters { most_at_once: inner.most_at_once, ..Counters::default() };
        let mut connections: Vec<usize> = Vec::new();
        for request in &inner.requests {
            counters.requests += 1;
            *counters.by_object.entry(request.object.clone()).or_default() += 1;
            *counters.by_status.entry(request.status).or_default() += 1;
            counters.rows += request.rows;
            counters.bytes += request.bytes;
            connections.push(request.connection);
        }
        connections.sort_unstable();
        connections.dedup();
        counters.connections = connections.len();
        counters
    }

    /// Clears the log.
    pub(crate) fn clear(&self) {
        let mut inner = self.inner();
        inner.cleared += 1;
        inner.requests.clear();
        inner.most_at_once = inner.now;
    }
}
