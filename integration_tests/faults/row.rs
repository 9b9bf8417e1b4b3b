//! A fault of the table: where it strikes, and what must come of it.

use crate::fake_store::{ConnectionFault, Fault, RecordedRequest};

/// Where a fault strikes.
#[derive(Clone, Copy)]
pub(crate) enum FaultLocation {
    /// The answer to a request of one stream.
    Answer(fn(&RecordedRequest) -> Fault),
    /// The same, where it takes long until it shows.
    Flood(fn(&RecordedRequest) -> Fault),
    /// A connection, before anything is asked over it.
    Connection(fn() -> ConnectionFault),
    /// The same, with TLS.
    Secured(fn() -> ConnectionFault),
    /// The answer, with TLS.
    SecuredAnswer(fn(&RecordedRequest) -> Fault),
    /// Nobody listens.
    Absence,
    /// The host has no address: from the start, and for good.
    Name,
}

/// What must come of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing: the rows are read as they are.
    Harmless,
    /// It is asked again: nothing is lost when the fault passes, and one that stays ends the stream
    /// INCOMPLETE with this failure type.
    AskedAgain(&'static str),
    /// It is asked a few times more, and then told with this failure type.
    AskedAFewTimes(&'static str),
    /// It is asked twice, and then, unless a smaller page passes, told with this failure type.
    AskedTwice(&'static str),
    /// It is not asked again: the stream ends INCOMPLETE with this failure type at once, and the next
    /// sync brings what is left.
    Told(&'static str),
}

/// A fault of the table.
pub(crate) struct Row {
    /// Its name: the test's.
    pub(crate) name: &'static str,
    /// What happens, for the table.
    pub(crate) what: &'static str,
    /// Where.
    pub(crate) place: FaultLocation,
    /// What must come of it.
    pub(crate) outcome: Outcome,
}

/// How long a fault stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stay {
    /// One time.
    Once,
    /// Three times in a row.
    Thrice,
    /// One time in five.
    AtRandom,
    /// For good.
    ForGood,
}

impl Stay {
    /// All, in the order of the table's columns.
    pub(crate) const ALL: [Self; 4] = [Self::Once, Self::Thrice, Self::AtRandom, Self::ForGood];
}

impl Row {
    /// The failure types that may end the stream, and whether it may be complete.
    pub(crate) fn expected(&self, stay: Stay) -> (Option<&'static str>, bool) {
        match (self.outcome, stay) {
            (Outcome::Harmless, _) => (None, true),
            (Outcome::AskedAgain(kind) | Outcome::AskedAFewTimes(kind), Stay::ForGood) => (Some(kind), false),
            (Outcome::AskedAFewTimes(kind) | Outcome::AskedTwice(kind), Stay::AtRandom) => (Some(kind), true),
            (Outcome::AskedTwice(kind), Stay::Thrice | Stay::ForGood) => (Some(kind), false),
            (Outcome::AskedTwice(_), Stay::Once) => (None, true),
            (Outcome::AskedAgain(_) | Outcome::AskedAFewTimes(_), _) => (None, true),
            (Outcome::Told(kind), stay) => (Some(kind), stay == Stay::AtRandom),
        }
    }

    /// The cell of the table.
    pub(crate) fn cell(&self, stay: Stay) -> String {
        match (self.expected(stay), stay) {
            _ if matches!(self.place, FaultLocation::Name) && stay != Stay::ForGood => "–".to_owned(),
            _ if matches!(self.place, FaultLocation::Flood(_)) && !matches!(stay, Stay::Once | Stay::ForGood) => {
                "–".to_owned()
            }
            ((None, _), _) => "complete".to_owned(),
            ((Some(kind), true), _) => format!("complete, or {kind}"),
            ((Some(kind), false), _) => kind.to_owned(),
        }
    }
}
