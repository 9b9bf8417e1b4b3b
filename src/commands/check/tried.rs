//! The results of a check: the message about them, and the tables that a terminal shows.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::connector::{CheckTerms, Connector};
use crate::http::ElementSink;
use crate::json::Scanner;
use crate::output::progress;
use crate::output::table::{aligned, cut, grouped};
use crate::record::NotARecord;
use crate::stream::{Scope, Stream};
use crate::sync::shop::Shop;
use crate::user_error::UserError;

use super::{CheckResult, Suspect};

/// The results of the permissions.
pub(super) struct Tried {
    pub connector: &'static Connector,
    /// True if a stream is readable.
    pub worked: bool,
    /// True if the store rejects the credentials before any stream is requested.
    pub is_rejected: bool,
    /// Readable streams, with the store's count of the rows.
    pub readable: Vec<(&'static Stream, Option<u64>)>,
    /// The first error other than a refusal.
    pub first: Option<UserError>,
    /// True if an error is one of the host, not of a resource.
    pub is_host: bool,
    /// Streams that the credentials may not read.
    pub refused: Vec<&'static Stream>,
    /// Streams that the store does not know.
    pub unknown: Vec<&'static Stream>,
    /// Streams with another error.
    pub failed: Vec<(&'static Stream, String)>,
    /// Streams whose rows have the date of their last change, where not every store sends it.
    dated: Vec<&'static Stream>,
    /// Streams whose rows lack it.
    undated: Vec<&'static Stream>,
}

/// Returns the streams to request: the smallest of each permission.
pub(super) fn probes(connector: &'static Connector) -> impl Iterator<Item = &'static Stream> {
    connector.streams.iter().filter(|stream| stream.is_scope_probe)
}

impl Tried {
    /// Returns the results before the first request.
    pub(super) fn new(connector: &'static Connector) -> Self {
        Self {
            connector,
            worked: false,
            is_rejected: false,
            readable: Vec::new(),
            first: None,
            is_host: false,
            refused: Vec::new(),
            unknown: Vec::new(),
            failed: Vec::new(),
            dated: Vec::new(),
            undated: Vec::new(),
        }
    }

    /// Adds a readable stream, with the store's count of the rows and the first row.
    pub(super) fn add_readable(&mut self, stream: &'static Stream, rows: Option<u64>, row: &FirstRow) {
        self.worked = true;
        self.readable.push((stream, rows));
        let may_be_undated = stream.has_updated_at && self.connector.terms.check.undated.is_some();
        match row.has(stream.cursor_field).filter(|_| may_be_undated) {
            Some(true) => self.dated.push(stream),
            Some(false) => self.undated.push(stream),
            None => {}
        }
    }

    /// Returns the result of the check.
    pub(super) fn result(&self, host: &str) -> CheckResult {
        let terms = &self.connector.terms.check;
        if !self.worked {
            return Err(match &self.first {
                Some(first) => first.clone(),
                None if self.refused.is_empty() => UserError::check_found_nothing(host, self.connector),
                None => {
                    let mut permissions: Vec<&str> = probes(self.connector).map(|stream| stream.scope.name()).collect();
                    permissions.dedup();
                    UserError::check_rejected(host, &permissions, self.connector)
                }
            });
        }
        let mut notes = Vec::new();
        if !self.refused.is_empty() {
            let mut scopes: Vec<Scope> = self.refused.iter().map(|probe| probe.scope).collect();
            scopes.dedup();
            let lacking: Vec<String> = scopes.into_iter().map(|scope| lacking(scope, self.connector.streams)).collect();
            let (before, after) = terms.lacking;
            notes.push(format!("{before} {}, {after}", lacking.join("; ")));
        }
        if !self.unknown.is_empty() {
            let names: Vec<&str> = self.unknown.iter().map(|stream| stream.name).collect();
            notes.push(format!("{host} does not have {} (HTTP 404). Leave them out of the sync.", names.join(", ")));
        }
        if !self.failed.is_empty() {
            let named =
                |(stream, how): &(&Stream, String)| format!("`{}` ({how} on `{}`)", stream.scope.name(), stream.name);
            let failed: Vec<String> = self.failed.iter().map(named).collect();
            notes.push(format!(
                "{} {}. Run `check` again later; until then, their streams may fail.",
                terms.untested,
                failed.join(", ")
            ));
        }
        notes.extend(self.undated.iter().map(|stream| self.without_dates(stream)));
        Ok((!notes.is_empty()).then(|| notes.join(" ")))
    }

    /// Returns the note for a stream whose rows lack the date of their last change.
    fn without_dates(&self, stream: &'static Stream) -> String {
        let is_affected = |other: &&'static Stream| other.has_updated_at && other.requested().name == stream.name;
        let affected: Vec<&str> =
            self.connector.streams.iter().filter(is_affected).map(|affected| affected.name).collect();
        format!(
            "This store sends no `{}` of `{}` ({}), so each sync reads {} completely.",
            stream.cursor_field,
            stream.name,
            self.connector.terms.check.undated.unwrap_or_default(),
            affected.join(" and ")
        )
    }

    /// Returns the part of the configuration that may be wrong if nothing works.
    pub(super) fn suspect(&self) -> Option<Suspect> {
        match self {
            Self { is_host: true, .. } => Some(Suspect::Host),
            Self { is_rejected: true, .. } => Some(Suspect::SignIn),
            Self { refused, .. } if !refused.is_empty() => Some(Suspect::SignIn),
            Self { unknown, failed, .. } if !unknown.is_empty() && failed.is_empty() => Some(Suspect::Host),
            _ => None,
        }
    }

    /// Returns the access to a permission for the table, with what to do if it is missing.
    fn access(&self, stream: &Stream) -> String {
        let is = |other: &&Stream| other.name == stream.name;
        let scope = stream.scope.name();
        if self.readable.iter().any(|(readable, _)| is(readable)) {
            "yes".to_owned()
        } else if self.refused.iter().any(is) {
            format!("no: {} {scope}", self.connector.terms.check.missing)
        } else if self.unknown.iter().any(is) {
            "no: not available in this store".to_owned()
        } else {
            let how = self.failed.iter().find(|(failed, _)| is(failed)).map(|(_, how)| how.as_str());
            format!("not tested: {}", how.unwrap_or("no time was left"))
        }
    }
}

/// Returns the details for a terminal, cut to its width.
pub(super) fn shown(tried: &Tried, rows: &[(&str, u64)], client: &dyn Shop) -> String {
    let cells = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
    let mut scopes = vec![cells([tried.connector.terms.check.permission, "readable"])];
    scopes
        .extend(probes(tried.connector).map(|stream| cells([&label(stream, tried.connector), &tried.access(stream)])));
    let mut text = aligned(&scopes, &[]);
    if !rows.is_empty() {
        let mut counts = vec![cells(["stream", "rows"])];
        counts.extend(rows.iter().map(|(stream, rows)| cells([stream, &grouped(*rows)])));
        text.push('\n');
        text.push_str(&aligned(&counts, &[1]));
    }
    let window = client.requests().retry_policy().backoff.window.as_secs().max(1);
    if let Some(allowed) = client.requests().usage().allowed {
        text.push_str(&format!("\ncall limit: {allowed} calls per {window} s, for all applications of the store\n"));
    }
    if !tried.dated.is_empty() {
        let names: Vec<&str> = tried.dated.iter().map(|stream| stream.name).collect();
        text.push_str(&format!("\nincremental syncs: {}\n", names.join(", ")));
    }
    let (width, _) = progress::terminal();
    text.lines().map(|line| cut(line, width) + "\n").collect()
}

/// Returns the name of a permission, with the stream if several of the same permission are tested.
fn label(stream: &Stream, connector: &'static Connector) -> String {
    match probes(connector).filter(|probe| probe.scope == stream.scope).count() {
        0 | 1 => stream.scope.name().to_owned(),
        _ => format!("{} ({})", stream.scope.name(), stream.name),
    }
}

/// Returns a permission with its first streams; the documentation lists them all.
fn lacking(scope: Scope, table: &[Stream]) -> String {
    const SHOWN: usize = 3;
    let names: Vec<&str> = table.iter().filter(|stream| stream.scope == scope).map(|stream| stream.name).collect();
    let rest = names.len().saturating_sub(SHOWN);
    let more = if rest == 0 { String::new() } else { format!(" and {rest} more") };
    format!("`{}` ({}{more})", scope.name(), names[..names.len() - rest].join(", "))
}

/// Returns the note for a store that accepts the credentials, but answered too slowly to test all permissions.
pub(super) fn unfinished(host: &str, bound: Duration, terms: &CheckTerms) -> String {
    let (seconds, CheckTerms { permission, later, .. }) = (bound.as_secs(), terms);
    format!(
        "{host} accepts the credentials, but is so slow that not every {permission} could be tested within {seconds} seconds. Run `check` again later {later}."
    )
}

/// Reads the names of the fields of the first row, and nothing else.
#[derive(Default)]
pub(super) struct FirstRow(Option<Vec<String>>);

impl ElementSink for FirstRow {
    fn restart(&mut self) {
        self.0 = None;
    }

    fn element(&mut self, scanner: &mut Scanner<'_>) -> Result<(), NotARecord> {
        scanner.skip_space();
        let from = scanner.position();
        scanner.value()?;
        if self.0.is_none() {
            let fields = serde_json::from_slice::<HashMap<String, &RawValue>>(scanner.since(from));
            self.0 = fields.ok().map(|fields| fields.into_keys().collect());
        }
        Ok(())
    }
}

impl FirstRow {
    /// Returns true if the row has a field; `None` if there was no row.
    fn has(&self, name: &str) -> Option<bool> {
        self.0.as_ref().map(|names| names.iter().any(|known| known == name))
    }
}
