//! Messages about rows that a sync could not read.

/// Ranges of keys in one message; more would not fit on a screen.
const NAMED_RANGES: usize = 5;

/// The stream whose rows were skipped.
pub(super) struct SkippedRows<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its key field.
    pub key: &'a str,
    /// True if the rows are not UTF-8 text.
    pub not_utf8: bool,
    /// Who can repair the store.
    pub support: &'a str,
}

impl SkippedRows<'_> {
    /// Returns the message for skipped rows, by the ranges of their keys.
    pub(super) fn by_key(&self, unread: &[(Option<i64>, Option<i64>)], rows_without_key: u64) -> String {
        let Self { name, key, not_utf8, support } = *self;
        let mut text = String::new();
        if !unread.is_empty() {
            let range = |&(after, end): &(Option<i64>, Option<i64>)| match (
                after.and_then(|after| after.checked_add(1)),
                end,
            ) {
                (Some(first), Some(last)) if first == last => format!("{first}"),
                (Some(first), Some(last)) => format!("{first} to {last}"),
                (Some(first), None) => format!("{first} and above"),
                (None, Some(last)) => format!("up to {last}"),
                (None, None) => "any".to_owned(),
            };
            let more = unread.len().saturating_sub(NAMED_RANGES);
            let ranges: Vec<String> = unread.iter().take(NAMED_RANGES).map(range).collect();
            let why = if not_utf8 { " (not UTF-8 text)" } else { "" };
            let more = if more == 0 { String::new() } else { format!(" and {more} more ranges") };
            text = format!(
                "The store cannot send the rows of `{name}` with `{key}` {}{more}{why}; all other rows were read. Report these keys to {support}; each sync tries them again.",
                ranges.join(", ")
            );
        }
        if rows_without_key > 0 {
            let (rows, have) = if rows_without_key == 1 { ("row", "has") } else { ("rows", "have") };
            let space = if text.is_empty() { "" } else { " " };
            text.push_str(&format!(
            "{space}{rows_without_key} {rows} of `{name}` {have} no `{key}`, so they cannot be delivered; all other rows were read. Give them a key in the store, or report them to {support}."
        ));
        }
        text
    }

    /// Returns the message for skipped rows with unknown keys, by the rows before and after them.
    pub(super) fn between(&self, between: &[(Option<String>, Option<String>)]) -> String {
        let Self { name, key, not_utf8, support } = *self;
        if between.is_empty() {
            return String::new();
        }
        let place = |(after, before): &(Option<String>, Option<String>)| match (after, before) {
            (Some(after), Some(before)) => format!("between `{key}` {after} and {before}"),
            (Some(after), None) => format!("after `{key}` {after}"),
            (None, Some(before)) => format!("before `{key}` {before}"),
            (None, None) => "at an unknown place of the list".to_owned(),
        };
        let places: Vec<String> = between.iter().take(NAMED_RANGES).map(place).collect();
        let more = between.len().saturating_sub(NAMED_RANGES);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let why = if not_utf8 { " (not UTF-8 text)" } else { "" };
        let rows = if between.len() == 1 { "a row" } else { "rows" };
        format!(
            "The store cannot send {rows} of `{name}` {}{more}{why}; all other rows were read. Report this to {support}; the next sync reads the same rows again.",
            places.join(", ")
        )
    }
}
