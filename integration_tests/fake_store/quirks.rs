//! Contradictions: what a store may say about the end of its data, its keys, its pages, against its own documentation.
//!
//! Each of them contradicts "Query syntax" or "Common usage" in one point and keeps to them in all others.

use std::collections::{BTreeMap, BTreeSet};

use super::resources::{Resource, Role, Type};
use super::seen::RecordedRequest;

/// What `total_count` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Total {
    /// All matches, as documented.
    #[default]
    Right,
    /// The number of rows that this answer lists.
    OfPage,
    /// All matches, but never more than this: a cap, or a number that was right once.
    AtMost(usize),
    /// This number, whatever matches.
    Always(usize),
}

impl Total {
    /// The number that is printed, of all matches and of the rows that the answer lists.
    pub(super) fn printed(self, all: usize, listed: usize) -> usize {
        match self {
            Total::Right => all,
            Total::OfPage => listed,
            Total::AtMost(most) => all.min(most),
            Total::Always(number) => number,
        }
    }
}

/// How a list without any row is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmptyList {
    /// 200 with a count of 0, as seen in working clients.
    #[default]
    Documented,
    /// 404 "No resource found" where a condition was given, else as documented.
    FilteredIs404,
    /// 404 "No resource found".
    Is404,
}

/// How a row without a key shows that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoKey {
    /// The key is `null`.
    Null,
    /// The key field is left out.
    Absent,
}

/// What goes wrong with one list answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoil {
    /// It lists no row; count and links are the true ones.
    Emptied,
    /// It lists the first half of its rows; the count fits what is listed, and no next page is named.
    Halved,
    /// It is `{"something_else": []}`.
    OtherName,
    /// It is 404 "No resource found".
    NotFound,
}

/// A hook that decides whether a list answer is spoilt; the number is that of the rows that it truly lists.
pub type SpoilHook = Box<dyn FnMut(&RecordedRequest, usize) -> Option<Spoil> + Send>;

/// The contradictions of one store; the default has none.
#[derive(Default)]
pub struct Quirks {
    /// What `total_count` says.
    pub total: Total,
    /// How a list without any row is answered.
    pub empty_list: EmptyList,
    /// Called for every list answer.
    pub spoil: Option<SpoilHook>,
    /// Rows without a key. They are counted, and listed where no condition on the key is given.
    pub keyless: BTreeMap<(String, i64), NoKey>,
    /// Rows that make every answer which would hold them a 500.
    pub unreadable: BTreeSet<(String, i64)>,
    /// Rows with a byte in a text that is not UTF-8.
    pub not_utf8: BTreeSet<(String, i64)>,
    /// `lte:` on a date compares with the start of the day, as a column without a time would.
    pub lte_cuts_to_day: bool,
}

impl Quirks {
    /// Adds a hook behind those there are; the first that spoils an answer counts.
    pub fn spoil_also(&mut self, mut hook: impl FnMut(&RecordedRequest, usize) -> Option<Spoil> + Send + 'static) {
        let mut before = self.spoil.take();
        self.spoil = Some(Box::new(move |seen, rows| {
            // Both are asked, so that both count the same requests.
            let (first, second) = (before.as_mut().and_then(|before| before(seen, rows)), hook(seen, rows));
            first.or(second)
        }));
    }

    /// The rows of a resource that have no key.
    pub(super) fn keyless_of(&self, of: &Resource) -> BTreeSet<i64> {
        self.keyless.keys().filter(|(path, _)| path == of.path).map(|(_, id)| *id).collect()
    }

    /// Whether an answer cannot be made because it would hold this row.
    pub(super) fn is_unreadable(&self, of: &Resource, id: i64) -> bool {
        !self.unreadable.is_empty() && self.unreadable.contains(&(of.path.to_owned(), id))
    }

    /// Changes the text of a row that was written from `start` on.
    pub(super) fn rewrite(&self, of: &Resource, id: i64, start: usize, text: &mut String) {
        if self.keyless.is_empty() && self.not_utf8.is_empty() {
            return;
        }
        let row = (of.path.to_owned(), id);
        if let Some(form) = self.keyless.get(&row) {
            let key = format!("\"{}\":{}", of.pk, of.key_json(id));
            let new = if *form == NoKey::Null { format!("\"{}\":null", of.pk) } else { String::new() };
            let old = if *form == NoKey::Null { key } else { format!("{key},") };
            if let Some(at) = text[start..].find(&old) {
                text.replace_range(start + at..start + at + old.len(), &new);
            }
        }
        if self.not_utf8.contains(&row) {
            let texts = of.fields.iter().filter(|f| f.role == Role::Plain && f.ty == Type::Text);
            let place = |name: &str| {
                let opening = format!("\"{name}\":\"");
                text[start..].find(&opening).map(|at| start + at + opening.len())
            };
            let at = texts.filter_map(|field| place(field.name)).next().expect("a row with a text");
            text.insert(at, STAND_IN);
        }
    }
}

/// Stands in a row's text for a byte that is not UTF-8, until the body is bytes.
const STAND_IN: char = '\u{f8ff}';

/// The body with `0xE9` (é in Latin-1) for every stand-in.
pub(super) fn with_raw_bytes(body: &[u8]) -> Vec<u8> {
    let mut buffer = [0; 4];
    let mark = STAND_IN.encode_utf8(&mut buffer).as_bytes();
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.windows(mark.len()).position(|window| window == mark) {
        out.extend_from_slice(&rest[..at]);
        out.push(0xe9);
        rest = &rest[at + mark.len()..];
    }
    out.extend_from_slice(rest);
    out
}
