//! Contradictions of a store to its own documentation: about the end of its data, its keys, and its pages.
//!
//! Each contradicts "Query syntax" or "Common usage" in one point, and follows them in all others.

use std::collections::{BTreeMap, BTreeSet};

use super::resources::{Resource, Role, Type};
use super::seen::RecordedRequest;

/// The value of `total_count`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Total {
    /// All matches, as documented.
    #[default]
    Right,
    /// The number of rows in this response.
    OfPage,
    /// All matches, but never more than this: a maximum, or a number that is out of date.
    AtMost(usize),
    /// Always this number.
    Always(usize),
}

impl Total {
    /// Returns the number to print, from the number of all matches and of the rows in the response.
    pub(super) fn printed(self, all: usize, listed: usize) -> usize {
        match self {
            Total::Right => all,
            Total::OfPage => listed,
            Total::AtMost(most) => all.min(most),
            Total::Always(number) => number,
        }
    }
}

/// The response for a list without rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmptyList {
    /// 200 with a count of 0, as seen in working clients.
    #[default]
    Documented,
    /// 404 "No resource found" if there was a condition, otherwise as documented.
    FilteredIs404,
    /// 404 "No resource found".
    Is404,
}

/// The form of a row without a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoKey {
    /// The key is `null`.
    Null,
    /// The key field is left out.
    Absent,
}

/// The fault of one list response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoil {
    /// It has no rows; count and links are correct.
    Emptied,
    /// It has the first half of its rows; the count is that of these rows, and there is no next page.
    Halved,
    /// It is `{"something_else": []}`.
    OtherName,
    /// It is 404 "No resource found".
    NotFound,
}

/// A hook that decides whether a list response gets a fault; the number is that of its rows.
pub type SpoilHook = Box<dyn FnMut(&RecordedRequest, usize) -> Option<Spoil> + Send>;

/// The contradictions of one store; the default has none.
#[derive(Default)]
pub struct Quirks {
    /// The value of `total_count`.
    pub total: Total,
    /// The response for a list without rows.
    pub empty_list: EmptyList,
    /// Called for every list response.
    pub spoil: Option<SpoilHook>,
    /// Rows without a key. They are counted, and listed if there is no condition on the key.
    pub keyless: BTreeMap<(String, i64), NoKey>,
    /// Rows that no condition on a date lists, as if its index lacked them. They are counted and listed without one.
    pub not_in_dates: BTreeSet<(String, i64)>,
    /// Rows that turn every response that would have them into a 500.
    pub unreadable: BTreeSet<(String, i64)>,
    /// Rows with a byte in a string that is not UTF-8.
    pub not_utf8: BTreeSet<(String, i64)>,
    /// True if `lte:` on a date compares with the start of the day, as a column without a time would.
    pub lte_cuts_to_day: bool,
}

impl Quirks {
    /// Adds a hook after the existing ones; the first one that returns a fault is used.
    pub fn spoil_also(&mut self, mut hook: impl FnMut(&RecordedRequest, usize) -> Option<Spoil> + Send + 'static) {
        let mut before = self.spoil.take();
        self.spoil = Some(Box::new(move |seen, rows| {
            // Both are called, so that both count the same requests.
            let (first, second) = (before.as_mut().and_then(|before| before(seen, rows)), hook(seen, rows));
            first.or(second)
        }));
    }

    /// Returns the rows of a resource without a key.
    pub(super) fn keyless_of(&self, of: &Resource) -> BTreeSet<i64> {
        self.keyless.keys().filter(|(path, _)| path == of.path).map(|(_, id)| *id).collect()
    }

    /// Returns the rows of a resource that no condition on a date lists.
    pub(super) fn not_in_dates_of(&self, of: &Resource) -> BTreeSet<i64> {
        self.not_in_dates.iter().filter(|(path, _)| path == of.path).map(|(_, id)| *id).collect()
    }

    /// Returns true if a response fails because it would have this row.
    pub(super) fn is_unreadable(&self, of: &Resource, id: i64) -> bool {
        !self.unreadable.is_empty() && self.unreadable.contains(&(of.path.to_owned(), id))
    }

    /// Changes the JSON of a row, which starts at `start`.
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

/// Placeholder in the JSON of a row for a byte that is not UTF-8, until the body is bytes.
const STAND_IN: char = '\u{f8ff}';

/// Returns the body with `0xE9` (é in Latin-1) for every placeholder.
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
