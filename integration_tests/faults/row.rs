//! A row of the table of faults: where the fault occurs, and the expected result.

use crate::fake_store::{ConnectionFault, Fault, RecordedRequest};

/// Where a fault occurs.
#[derive(Clone, Copy)]
pub(crate) enum FaultLocation {
    /// In the response to a request of one stream.
    Answer(fn(&RecordedRequest) -> Fault),
    /// The same, if it takes long until it shows.
    Flood(fn(&RecordedRequest) -> Fault),
    /// In a connection, before its first request.
    Connection(fn() -> ConnectionFault),
    /// The same, with TLS.
    Secured(fn() -> ConnectionFault),
    /// In the response, with TLS.
    SecuredAnswer(fn(&RecordedRequest) -> Fault),
    /// No server listens.
    Absence,
    /// The host has no address, from the start and permanently.
    Name,
}

/// The expected result of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// None: the rows are read as usual.
    Harmless,
    /// It is retried: no row is lost if the fault ends, and a permanent fault ends the stream
    /// INCOMPLETE with this failure type.
    Retried(&'static str),
    /// It is retried a few times, and then reported with this failure type.
    RetriedAFewTimes(&'static str),
    /// It is retried once and then, unless a smaller page works, reported with this failure type.
    RetriedOnce(&'static str),
    /// It is not retried: the stream ends INCOMPLETE with this failure type, and the next
    /// sync returns the rest.
    NotRetried(&'static str),
}

/// A fault of the table.
pub(crate) struct Row {
    /// Name of the test.
    pub(crate) name: &'static str,
    /// Description for the table.
    pub(crate) what: &'static str,
    /// Where it occurs.
    pub(crate) place: FaultLocation,
    /// The expected result.
    pub(crate) outcome: Outcome,
}

/// Duration of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stay {
    /// One time.
    Once,
    /// Three times in a row.
    Thrice,
    /// One time in five.
    AtRandom,
    /// Permanently.
    Permanent,
}

impl Stay {
    /// All, in the order of the table's columns.
    pub(crate) const ALL: [Self; 4] = [Self::Once, Self::Thrice, Self::AtRandom, Self::Permanent];
}

impl Row {
    /// Returns the failure types that may end the stream, and true if it may be complete.
    pub(crate) fn expected(&self, stay: Stay) -> (Option<&'static str>, bool) {
        match (self.outcome, stay) {
            (Outcome::Harmless, _) => (None, true),
            (Outcome::Retried(kind) | Outcome::RetriedAFewTimes(kind), Stay::Permanent) => (Some(kind), false),
            (Outcome::RetriedAFewTimes(kind) | Outcome::RetriedOnce(kind), Stay::AtRandom) => (Some(kind), true),
            (Outcome::RetriedOnce(kind), Stay::Thrice | Stay::Permanent) => (Some(kind), false),
            (Outcome::RetriedOnce(_), Stay::Once) => (None, true),
            (Outcome::Retried(_) | Outcome::RetriedAFewTimes(_), _) => (None, true),
            (Outcome::NotRetried(kind), stay) => (Some(kind), stay == Stay::AtRandom),
        }
    }

    /// Returns the cell of the table.
    pub(crate) fn cell(&self, stay: Stay) -> String {
        match (self.expected(stay), stay) {
            _ if matches!(self.place, FaultLocation::Name) && stay != Stay::Permanent => "–".to_owned(),
            _ if matches!(self.place, FaultLocation::Flood(_)) && !matches!(stay, Stay::Once | Stay::Permanent) => {
                "–".to_owned()
            }
            ((None, _), _) => "complete".to_owned(),
            ((Some(kind), true), _) => format!("complete, or {kind}"),
            ((Some(kind), false), _) => kind.to_owned(),
        }
    }
}
