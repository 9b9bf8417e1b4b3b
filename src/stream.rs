//! A stream's entry in the stream table of a shop. The tables are in the folders of the shops.

use crate::stream_fields::StreamFields;

/// A stream: a list of the API and how to read it.
#[derive(Debug)]
pub struct Stream {
    /// Name of the stream.
    pub name: &'static str,
    /// Further names that configured catalogs and states may use for it.
    pub aliases: &'static [&'static str],
    /// Name of the list in a response.
    pub list: &'static str,
    /// Path of the resource below the API's root.
    pub path: &'static str,
    /// The fields that identify a row. The first one is the key: the field that a walk by keys sorts and filters by.
    pub primary_key: &'static [&'static str],
    /// Strategy with which the rows are read.
    pub strategy: Strategy,
    /// True if the API sorts the rows by the date of their last change.
    pub sorts_by_change: bool,
    /// True if an edit can move the date of a row's creation.
    pub created_may_change: bool,
    /// Name of the field with the date of a row's creation, by which a walk from date to date requests rows.
    pub created_field: Option<&'static str>,
    /// Field that only complete rows have. Where a list leaves it out, the rows are requested one by one.
    pub complete_field: Option<&'static str>,
    /// Field of the primary key that identifies a row only where the parts of the stream are read one by one. In other
    /// responses its value is arbitrary.
    pub part_field: Option<&'static str>,
    /// The stream whose rows contain the rows of this one, if the API has no list of them.
    pub nested_in: Option<Nested>,
    /// True if the API sends values as text: dates are UNIX seconds (0 for never), numbers may be strings, and an empty
    /// array stands for an absent object.
    pub has_text_values: bool,
    /// Fields that are never emitted. A name stands for a field of the record, `**.name` for members of this name at
    /// any depth, and `name=text` for values of a field that are strings.
    pub never_sent: &'static [&'static str],
    /// Name of the add-on that the store needs for this stream.
    pub add_on: Option<&'static str>,
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

/// Strategies to read the rows of a stream. `sync` has a file for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// By ranges of keys, or by page numbers if the API has no ranges.
    Keyset,
    /// By lists of consecutive keys.
    KeyLists,
    /// By page numbers in the order of the keys, from the last page to the first.
    LastPageFirst,
    /// All rows in one response.
    OneResponse,
    /// From one date of creation to the next.
    DateWalk,
    /// By windows of time, each in one response.
    DateWindows,
}

/// Rows inside the rows of another stream.
#[derive(Debug)]
pub struct Nested {
    /// Name of the stream whose rows contain them.
    pub parent: &'static str,
    /// Field of the parent with the rows: an array, or an object with a row in each member.
    pub field: &'static str,
    /// Fields of the parent that each row repeats.
    pub inherited: &'static [&'static str],
    /// True if a list of parents leaves the field out, and only a request for one parent includes it.
    pub one_by_one: bool,
}

/// Field that marks a row as deleted in the store; destinations act upon it (Airbyte's change data capture).
pub const DELETED: &str = "_ab_cdc_deleted_at";

/// Returns the stream with this name or alias.
pub fn find(table: &'static [Stream], name: &str) -> Option<&'static Stream> {
    table.iter().find(|stream| stream.name == name || stream.aliases.contains(&name))
}

impl Stream {
    /// Returns a row in which every field that a row may set has its most common value: one response has all rows, and
    /// no other ability or exception applies.
    pub(crate) const fn new(
        name: &'static str,
        scope: Scope,
        table: fn() -> &'static [Stream],
        fields: fn() -> &'static StreamFields,
    ) -> Self {
        Self {
            name,
            aliases: &[],
            list: name,
            path: name,
            primary_key: &[],
            strategy: Strategy::OneResponse,
            sorts_by_change: false,
            created_may_change: false,
            created_field: None,
            part_field: None,
            complete_field: None,
            nested_in: None,
            has_text_values: false,
            never_sent: &[],
            add_on: None,
            has_updated_at: false,
            cursor_field: "",
            may_lack_updated_at: false,
            is_large: false,
            scope,
            is_scope_probe: false,
            uses_lookups: false,
            table,
            fields,
        }
    }

    /// Returns the key field: the first one of the primary key.
    pub fn key(&self) -> &'static str {
        self.primary_key.first().copied().unwrap_or_default()
    }

    /// Returns the stream that requests name: the one whose rows contain the rows of this stream, or the stream itself.
    pub fn requested(&'static self) -> &'static Self {
        let parent = self.nested_in.as_ref().and_then(|nested| find((self.table)(), nested.parent));
        parent.unwrap_or(self)
    }

    /// Returns another stream whose list has the same name in responses: only the fields tell such responses apart.
    pub fn look_alike(&'static self) -> Option<&'static Self> {
        (self.table)().iter().find(|other| other.list == self.list && other.path != self.path)
    }

    /// Returns true if an interrupted full refresh continues where it stopped.
    pub fn is_resumable(&self) -> bool {
        match self.strategy {
            Strategy::Keyset => self.has_updated_at,
            Strategy::OneResponse => false,
            Strategy::KeyLists | Strategy::LastPageFirst | Strategy::DateWalk | Strategy::DateWindows => true,
        }
    }
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
