//! Streams of a made-up shop, for tests.

use std::sync::LazyLock;

use super::*;

/// A stream of a fictional shop.
pub(crate) static ROWS: Stream = USUAL;

/// The same stream without dates.
pub(crate) static UNDATED: Stream = Stream { has_updated_at: false, ..USUAL };

const USUAL: Stream = Stream {
    name: "rows",
    aliases: &[],
    list: "rows",
    path: "rows",
    primary_key: &["id"],
    strategy: Strategy::Keyset,
    sorts_by_change: true,
    created_may_change: false,
    created_field: None,
    part_field: None,
    complete_field: None,
    nested_in: None,
    has_text_values: false,
    never_sent: &[],
    add_on: None,
    has_updated_at: true,
    cursor_field: "changed",
    may_lack_updated_at: false,
    is_large: false,
    scope: Scope("read"),
    is_scope_probe: false,
    uses_lookups: false,
    table: || &[],
    fields: || {
        static FIELDS: LazyLock<StreamFields> = LazyLock::new(|| {
            let schema = r#"{"properties": {"id": {"type": "integer"}, "changed": {"type": ["null", "string"], "format": "date-time"}}}"#;
            StreamFields::parse(schema).unwrap()
        });
        &FIELDS
    },
};
