//! Streams for the tests of the sync.

use super::*;

/// A stream of a made-up shop.
pub(in crate::sync) static ROWS: Stream = USUAL;

/// The same without dates.
pub(in crate::sync) static UNDATED: Stream = Stream { has_updated_at: false, ..USUAL };

const USUAL: Stream = Stream {
    name: "rows",
    aliases: &[],
    list: "rows",
    key: "id",
    has_updated_at: true,
    cursor_field: "changed",
    may_lack_updated_at: false,
    is_large: false,
    scope: Scope("read"),
    is_scope_probe: false,
    collections: &[],
    uses_lookups: false,
    sensitive: &[],
    schema: r#"{"properties": {"id": {"type": "integer"}, "changed": {"type": ["null", "string"], "format": "date-time"}}}"#,
};
