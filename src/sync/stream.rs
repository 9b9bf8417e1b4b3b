//! One row of a shop's table of streams. The tables are in the folders of the shops.

use crate::stream_fields::StreamFields;

/// One stream: a list of the API, and how it is read.
#[derive(Debug)]
pub struct Stream {
    /// Name of the stream; also the resource's path below the API's root.
    pub name: &'static str,
    /// Further names that configured catalogs and states may use for it.
    pub aliases: &'static [&'static str],
    /// Name of the list in a response.
    pub list: &'static str,
    /// The key field.
    pub key: &'static str,
    /// Whether the rows have a date of their last change: without it a stream is read in full each time.
    pub has_updated_at: bool,
    /// The field with that date.
    pub cursor_field: &'static str,
    /// Whether rows without that date are usual. They match no date filter, so a first sync uses none; in other
    /// streams it looks for such rows first.
    pub may_lack_updated_at: bool,
    /// Whether the stream has far more rows than others, mostly of no interest.
    #[cfg_attr(not(feature = "fuzzing"), expect(dead_code, reason = "only the page of streams shows it"))]
    pub is_large: bool,
    /// The right that the sign-in needs.
    pub scope: Scope,
    /// Whether `check` tries this stream: the smallest of its scope.
    pub is_scope_probe: bool,
    /// True if all nested collections are requested together, each with one object.
    pub uses_lookups: bool,
    /// Returns the fields of the records, read from the schema file once.
    pub fields: fn() -> &'static StreamFields,
}

impl PartialEq for Stream {
    /// Compares by name: a table lists each once.
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// A right that a sign-in can have, by the name that the shop gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope(pub(crate) &'static str);

impl Scope {
    /// The name of the right.
    pub fn name(self) -> &'static str {
        self.0
    }
}

#[cfg(test)]
pub(super) mod tests;
