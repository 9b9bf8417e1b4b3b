//! A stream's entry in the stream table of a shop. The tables are in the folders of the shops.

use crate::stream_fields::StreamFields;

/// A stream: a list of the API and how to read it.
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
    /// True if the rows have a date of their last change. Without it, each sync reads the complete stream.
    pub has_updated_at: bool,
    /// Name of the field with that date.
    pub cursor_field: &'static str,
    /// True if rows without that date are common. They match no date filter, so a first sync uses none; in other
    /// streams it looks for such rows first.
    pub may_lack_updated_at: bool,
    /// True if the stream has far more rows than others, most of them of little interest.
    #[cfg_attr(not(feature = "fuzzing"), expect(dead_code, reason = "only the page of streams shows it"))]
    pub is_large: bool,
    /// Permission that the credentials need.
    pub scope: Scope,
    /// True if `check` tries this stream: the smallest one of its scope.
    pub is_scope_probe: bool,
    /// True if all nested collections are requested together, each with one object.
    pub uses_lookups: bool,
    /// Returns the table that the stream is in.
    pub table: fn() -> &'static [Stream],
    /// Returns the fields of the records, read from the schema file once.
    pub fields: fn() -> &'static StreamFields,
}

/// Field that marks a row as deleted in the store; destinations act upon it (Airbyte's change data capture).
pub const DELETED: &str = "_ab_cdc_deleted_at";

/// Returns the stream with this name or alias.
pub fn find(table: &'static [Stream], name: &str) -> Option<&'static Stream> {
    table.iter().find(|stream| stream.name == name || stream.aliases.contains(&name))
}

impl PartialEq for Stream {
    /// Compares by name: names are unique in a table.
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// A permission of the credentials, by the name that the shop uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope(pub(crate) &'static str);

impl Scope {
    /// Returns the name of the permission.
    pub fn name(self) -> &'static str {
        self.0
    }
}

#[cfg(test)]
pub(crate) mod tests;
