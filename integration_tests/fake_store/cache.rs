//! The server's cache of GET responses.
//!
//! Subject: "API limits" and "Common usage": most GETs are cached and carry `Last-Modified`, `Expires` and
//! `Cache-Control`; a request with `Cache-Control: no-cache` gets fresh data. How long is not documented.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use super::answer::Answer;
use super::seen::RecordedRequest;

/// Maximum number of cached bodies: far more than the tests request at a time.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// Recent responses by credentials and URL.
#[derive(Default)]
pub(super) struct Cache {
    kept: HashMap<String, (Instant, Answer)>,
    bytes: usize,
}

fn key(seen: &RecordedRequest) -> String {
    let who = seen.header("x-ac-auth-token").or(seen.header("x-ac-pub-site-id")).unwrap_or("");
    format!("{who} {}", seen.target)
}

impl Cache {
    /// Returns the cached response to this URL, if it is recent enough and the client allows it.
    pub(super) fn get(&self, seen: &RecordedRequest, seconds: u64) -> Option<Answer> {
        if seconds == 0 || seen.header("cache-control").is_some_and(|v| v.contains("no-cache")) {
            return None;
        }
        let (at, answer) = self.kept.get(&key(seen))?;
        (at.elapsed() < Duration::from_secs(seconds)).then(|| answer.clone())
    }

    /// Adds the headers of a cached response, and caches it.
    pub(super) fn put(&mut self, seen: &RecordedRequest, answer: Answer, seconds: u64, wall: SystemTime) -> Answer {
        if seconds == 0 || answer.status != 200 {
            return answer;
        }
        let answer = answer
            .with("last-modified", httpdate::fmt_http_date(wall))
            .with("expires", httpdate::fmt_http_date(wall + Duration::from_secs(seconds)))
            .with("cache-control", format!("private, max-age={seconds}"));
        let bytes = answer.body.len();
        if self.bytes + bytes > MAX_BYTES {
            self.kept.clear();
            self.bytes = 0;
        }
        if let Some((_, old)) = self.kept.insert(key(seen), (Instant::now(), answer.clone())) {
            self.bytes -= old.body.len();
        }
        self.bytes += bytes;
        answer
    }
}
