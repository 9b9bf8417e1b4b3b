//! Streams of a made-up shop, for tests.

use std::sync::LazyLock;

use super::*;

/// A stream of a fictional shop.
pub(crate) static ROWS: Stream = USUAL;

/// The same stream without dates.
pub(crate) static UNDATED: Stream = Stream { has_updated_at: false, ..USUAL };

const USUAL: Stream = Stream {
    primary_key: &["id"],
    strategy: Strategy::Keyset,
    sorts_by_change: true,
    has_updated_at: true,
    cursor_field: "changed",
    ..Stream::new(
        "rows",
        Scope("read"),
        || &[],
        || {
            static FIELDS: LazyLock<StreamFields> = LazyLock::new(|| {
                let schema = r#"{"properties": {"id": {"type": "integer"}, "changed": {"type": ["null", "string"], "format": "date-time"}}}"#;
                StreamFields::parse(schema).unwrap()
            });
            &FIELDS
        },
    )
};
