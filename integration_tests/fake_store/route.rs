//! Finds the correct response to a request: paths, credentials, limit, cache.
//!
//! Subject: "Authentication", "Scopes", "API limits", "Common usage" (errors). An unknown path is 404 before the
//! credentials are checked; a token without the scope is 401, not 403.

use std::time::{Duration, Instant, SystemTime};

use super::answer::{Answer, SERVER_FAULT, error};
use super::cache::Cache;
use super::data::Data;
use super::limit::{self, LimitDecision, Meter};
use super::options::{Envelope, Options};
use super::resources::{Resource, resource};
use super::seen::RecordedRequest;
use super::{list, nested, sign};

/// State that changes while the server answers.
pub(super) struct State {
    /// Data of the store.
    pub(super) data: Data,
    /// Switches.
    pub(super) options: Options,
    /// Call counter.
    pub(super) meter: Meter,
    /// Cached bodies.
    pub(super) cache: Cache,
}

impl State {
    /// Returns the time of the `Date` header.
    pub(super) fn wall(&self) -> SystemTime {
        let now = if self.options.date_from_store {
            SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(self.data.now_ms).unwrap_or(0))
        } else {
            SystemTime::now()
        };
        let skew = limit::skew(self.options.limit.as_ref()) + self.options.date_ahead_seconds;
        let shift = Duration::from_secs(skew.unsigned_abs());
        if skew < 0 { now - shift } else { now + shift }
    }

    /// Responds to a request.
    pub(super) fn answer(&mut self, seen: &RecordedRequest, base: &str) -> Answer {
        let wall = self.wall();
        let mut answer = if let Some(location) = &self.options.redirect_to {
            Answer { status: 301, ..Answer::default() }.with("location", location.clone())
        } else {
            self.limited(seen, base, wall)
        };
        if self.options.latin1 {
            answer.body = latin1(&answer.body);
        }
        self.dated(answer)
    }

    /// Adds the `Date` header, unless it is switched off.
    pub(super) fn dated(&self, answer: Answer) -> Answer {
        if self.options.date_header { answer.with("date", httpdate::fmt_http_date(self.wall())) } else { answer }
    }

    /// Responds to a request as if it were for another resource, without checking its credentials.
    pub(super) fn answer_of(
        &mut self,
        resource: &'static str,
        list: Option<&'static str>,
        seen: &RecordedRequest,
        base: &str,
    ) -> Answer {
        let envelope = self.options.envelope;
        if let Some(list) = list {
            self.options.envelope = Envelope::Named(list);
        }
        let of = super::resource(resource).unwrap_or_else(|| panic!("no resource {resource}"));
        let answer = self.read(of, &[], &seen.of_resource(resource), base);
        self.options.envelope = envelope;
        answer.with("date", httpdate::fmt_http_date(self.wall()))
    }

    fn limited(&mut self, seen: &RecordedRequest, base: &str, wall: SystemTime) -> Answer {
        if !seen.path().starts_with("/api/") {
            return self.beside(seen);
        }
        let now = Instant::now();
        let (decision, header) = match &self.options.limit {
            Some(limit) => {
                let decision = self.meter.check(limit, now, wall);
                (decision, limit.header.then_some(limit.allowed))
            }
            None => {
                self.meter.count(now);
                (LimitDecision::Pass, self.options.call_limit_header.then_some(50))
            }
        };
        let calls = header.map(|allowed| self.meter.text(allowed));
        let answer = match decision {
            LimitDecision::Refuse(answer) => answer,
            LimitDecision::Pass => self.route(seen, base, wall),
        };
        match calls {
            Some(calls) => answer.with("x-ac-call-limit", calls),
            None => answer,
        }
    }

    /// Paths outside the API.
    fn beside(&self, seen: &RecordedRequest) -> Answer {
        if seen.path() == "/store/sitemonitor.aspx" && self.options.router.is_none() {
            let text = format!("Status=OK&PSID={}&Code Version=2024.11.1&DB=OK", self.options.site_id);
            return Answer::typed(200, "text/html; charset=utf-8", text);
        }
        Answer::typed(404, "text/html; charset=utf-8", "<html><body><h1>404 Not Found</h1></body></html>".to_owned())
    }

    fn route(&mut self, seen: &RecordedRequest, base: &str, wall: SystemTime) -> Answer {
        let unknown = || error(404, "NotFound", "No resource matches the URL specified.");
        let Some(path) = seen.path().strip_prefix("/api/v1/") else {
            return unknown();
        };
        let path = path.strip_suffix(".json").unwrap_or(path);
        let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
        let Some((first, rest)) = parts.split_first() else {
            return unknown();
        };
        let of = resource(first);
        let scopes: &[&str] = match of {
            Some(of) => &of.scopes,
            None if *first == "inventory" => &["read_catalog", "catalog"],
            None => return unknown(),
        };
        if !self.allowed(seen, scopes) {
            return error(401, "Unauthorized", "Invalid or missing access token.");
        }
        if seen.method != "GET" {
            return error(405, "Method Not Allowed", "The requested resource does not support this HTTP method.");
        }
        let Some(of) = of else {
            return self.inventory(seen);
        };
        let seconds = self.options.cache_seconds;
        if let Some(cached) = self.cache.get(seen, seconds) {
            return cached;
        }
        let answer = self.read(of, rest, seen, base);
        self.cache.put(seen, answer, seconds, wall)
    }

    fn read(&mut self, of: &'static Resource, rest: &[&str], seen: &RecordedRequest, base: &str) -> Answer {
        if let Some(id) = rest.first().and_then(|key| of.parse_key(key)) {
            let quirks = &self.options.quirks;
            if quirks.is_unreadable(of, id) {
                return error(500, "Internal Server Error", SERVER_FAULT);
            }
            if quirks.keyless_of(of).contains(&id) {
                return error(404, "Not Found", "No resource found");
            }
        }
        if !rest.is_empty() {
            return nested::below(of, rest, seen, &self.options, &self.data);
        }
        if let Some(live) = &mut self.options.live {
            live(&mut self.data, seen);
        }
        let answer = list::answer(of, seen, &self.options, &self.data, (base, None));
        let spoil = self.options.quirks.spoil.as_mut().and_then(|spoil| spoil(seen, answer.rows));
        match spoil {
            None => answer,
            spoil => list::answer(of, seen, &self.options, &self.data, (base, spoil)),
        }
    }

    fn allowed(&self, seen: &RecordedRequest, scopes: &[&str]) -> bool {
        if let Some(router) = &self.options.router {
            return sign::accepted(seen, router);
        }
        let Some(value) = seen.header("x-ac-auth-token") else {
            return false;
        };
        let token = self.options.tokens.iter().find(|t| t.value == value);
        token.is_some_and(|t| t.scopes.iter().any(|s| scopes.contains(&s.as_str())))
    }

    /// Responds with one stock record, whose id is required.
    fn inventory(&self, seen: &RecordedRequest) -> Answer {
        let names = ["product_id", "variant_inventory_id", "item_number", "gtin", "item_name"];
        if !names.iter().any(|n| seen.param(n).is_some()) {
            return error(400, "Bad Request", "A product has to be specified.");
        }
        let product = seen.param("product_id").and_then(|id| id.parse().ok());
        match product.and_then(|id| self.data.row("products", id)) {
            Some(row) => {
                let body = format!(
                    "{{\"product_id\":{},\"variant_inventory_id\":null,\"item_number\":\"\",\"item_name\":\"\",\
                     \"gtin\":\"\",\"quantity\":7}}",
                    row.id
                );
                Answer::json(200, body)
            }
            None => error(404, "Not Found", "No resource found"),
        }
    }
}

/// Returns the body with one byte in place of each U+F8FF.
fn latin1(body: &[u8]) -> Vec<u8> {
    replace(body, "\u{f8ff}".as_bytes(), b"\xe9")
}

/// Returns the body with other bytes in place of `old`, which is not empty. The body may contain text that is not UTF-8.
pub(super) fn replace(body: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.windows(old.len()).position(|bytes| bytes == old) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(new);
        rest = &rest[at + old.len()..];
    }
    out.extend_from_slice(rest);
    out
}
