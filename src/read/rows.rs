//! The rows of one answer: read into finished RECORD lines, then judged one by one.
//!
//! Reading decides nothing and judging reads nothing. Nothing here sends.

use std::collections::HashSet;

use crate::airbyte::Lines;
use crate::airbyte::message::RECORD_SUFFIX;
use crate::cart::query::Window;
use crate::cart::{Envelope, Intake};
use crate::json::Scanner;
use crate::record::{self, Copier, Key, NotARecord, Updated};
use crate::timestamp::Timestamp;

/// An answer of a list, as lines.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// RECORD lines, one after the other.
    pub lines: Lines,
    /// One entry a line.
    pub rows: Vec<Row>,
    /// What the envelope said.
    pub envelope: Envelope,
}

/// One row and where its line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Its key.
    pub key: Key,
    /// Its `updated_at`.
    pub updated: Updated,
    /// The block its line lies in.
    block: usize,
    /// End of its line in the block.
    end: usize,
}

impl Row {
    /// Whether its date lies in the window.
    #[must_use]
    pub(super) fn is_within(&self, window: &Window) -> bool {
        matches!(self.updated, Updated::At(instant) if window.contains(instant))
    }
}

/// Takes the rows of one answer while it arrives.
pub(super) struct Taking<'c> {
    lines: Lines,
    rows: Vec<Row>,
    prefix: &'c [u8],
    copier: &'c mut Copier,
}

impl<'c> Taking<'c> {
    /// Takes into `lines`. `prefix` stands before the data of each line.
    #[must_use]
    pub(super) fn new(lines: Lines, prefix: &'c [u8], copier: &'c mut Copier) -> Self {
        Self { lines, rows: Vec::new(), prefix, copier }
    }

    /// The rows of the whole answer.
    #[must_use]
    pub(super) fn into_rows(self, envelope: Envelope) -> Rows {
        Rows { lines: self.lines, rows: self.rows, envelope }
    }
}

impl Intake for Taking<'_> {
    fn restart(&mut self) {
        self.lines.clear();
        self.rows.clear();
    }

    fn element(&mut self, scanner: &mut Scanner<'_>) -> Result<(), NotARecord> {
        let (block, lines) = self.lines.begin_line();
        let start = lines.len();
        lines.extend_from_slice(self.prefix);
        let facts = match self.copier.copy(scanner, lines) {
            Ok(facts) => facts,
            Err(reason) => {
                lines.truncate(start);
                return Err(reason);
            }
        };
        // A row without a key is its own: it is told from others by all that it holds.
        let data = lines.get(start + self.prefix.len()..).unwrap_or_default();
        let key = if facts.key == Key::Missing { Key::Other(record::hash(data)) } else { facts.key };
        lines.extend_from_slice(RECORD_SUFFIX);
        self.rows.push(Row { key, updated: facts.updated, block, end: lines.len() });
        Ok(())
    }

    fn kept(&self) -> usize {
        self.lines.len()
    }
}

#[cfg(test)]
impl Rows {
    /// The rows of a body that is there as a whole, for tests.
    pub(super) fn of(body: &str, prefix: &[u8], copier: &mut Copier) -> Self {
        let mut taking = Taking::new(Vec::new().into(), prefix, copier);
        let envelope = crate::cart::page::read(body.as_bytes(), &["orders"], &mut taking);
        taking.into_rows(envelope.unwrap_or_default())
    }
}

impl Rows {
    /// How many rows came.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether the answer says that it holds all that matches: the count is reached, or, where no
    /// count is given, there is no further page. Never because fewer rows came than were asked for:
    /// a server may cut `count` down (design of the API: `total_count` counts all matches).
    #[must_use]
    pub(super) fn is_end(&self) -> bool {
        match self.envelope.total {
            Some(total) => self.rows.is_empty() || self.rows.len() as u64 >= total,
            None => self.rows.is_empty() || !self.envelope.more,
        }
    }

    /// Whether the answer holds all that matches, each row once. An answer that counts rows and lists
    /// none, or names a further page and lists none, is an end and not the whole.
    #[must_use]
    pub(super) fn is_whole(&self) -> bool {
        let complete = match self.envelope.total {
            Some(total) => self.rows.len() as u64 >= total,
            None => !self.envelope.more,
        };
        complete && self.keys_differ()
    }

    /// Whether no two rows have the same key.
    #[must_use]
    fn keys_differ(&self) -> bool {
        let mut seen = HashSet::with_capacity(self.rows.len());
        self.rows.iter().all(|row| seen.insert(row.key))
    }

    /// Whether the dated rows run from new to old.
    #[must_use]
    pub(super) fn is_newest_first(&self) -> bool {
        let dates = self.dates();
        dates.is_sorted_by(|newer, older| newer >= older)
    }

    /// Whether the dated rows run from old to new.
    #[must_use]
    pub(super) fn is_oldest_first(&self) -> bool {
        self.dates().is_sorted()
    }

    /// Whether a row has no date.
    #[must_use]
    pub(super) fn has_undated(&self) -> bool {
        self.rows.iter().any(|row| row.updated == Updated::Undated)
    }

    /// The oldest and the newest date, if any row has one.
    #[must_use]
    pub(super) fn ends(&self) -> Option<(Timestamp, Timestamp)> {
        let dates = self.dates();
        Some((dates.iter().copied().min()?, dates.into_iter().max()?))
    }

    fn dates(&self) -> Vec<Timestamp> {
        let date = |row: &Row| match row.updated {
            Updated::At(instant) => Some(instant),
            Updated::Undated | Updated::Unreadable => None,
        };
        self.rows.iter().filter_map(date).collect()
    }

    /// The data of a row's record, as it goes out.
    #[must_use]
    pub(super) fn data(&self, index: usize, prefix: usize) -> &[u8] {
        let Some(row) = self.rows.get(index) else { return &[] };
        let before = index.checked_sub(1).and_then(|before| self.rows.get(before));
        let start = before.filter(|before| before.block == row.block).map_or(0, |before| before.end);
        self.lines.block(row.block).get(start + prefix..row.end - RECORD_SUFFIX.len()).unwrap_or_default()
    }

    /// Keeps the lines of the rows for which `keep` holds, in order; gives how many are left.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(usize, &Row) -> bool) -> usize {
        let mut kept = 0;
        let mut index = 0;
        for rows in self.rows.chunk_by(|row, next| row.block == next.block) {
            let Some(lines) = rows.first().and_then(|row| self.lines.block_mut(row.block)) else { continue };
            let (mut write, mut start) = (0, 0);
            for row in rows {
                if keep(index, row) {
                    if write != start {
                        lines.copy_within(start..row.end, write);
                    }
                    write += row.end - start;
                    kept += 1;
                }
                start = row.end;
                index += 1;
            }
            lines.truncate(write);
        }
        kept
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::record::Shape;

    fn read(body: &str) -> Rows {
        let schema = json!({"properties": {"id": {"type": "integer"}, "updated_at": {"type": ["null", "string"], "format": "date-time"}}});
        let mut copier = Copier::new(Arc::new(Shape::new(&schema, "id", Some("updated_at"))));
        Rows::of(body, b"<", &mut copier)
    }

    #[test]
    fn lines_are_kept_or_dropped_whole() {
        for mask in 0..8u32 {
            let mut rows = read(r#"{"total_count":3,"orders":[{"id":1},{"id":22},{"id":333}]}"#);
            assert_eq!(rows.data(1, 1), br#"{"id":22}"#);
            let kept = rows.retain(|index, _| mask & (1 << index) != 0);
            let expected: String = [1, 22, 333]
                .iter()
                .enumerate()
                .filter(|(index, _)| mask & (1 << index) != 0)
                .map(|(_, id)| format!("<{{\"id\":{id}}}}}}}\n"))
                .collect();
            assert_eq!((kept, String::from_utf8(rows.lines.to_vec()).unwrap()), (mask.count_ones() as usize, expected));
        }
    }

    #[test]
    fn lines_that_fill_many_blocks_are_told_apart() {
        let row = |id: usize| format!("{{\"id\":{id},\"note\":\"{}\"}}", "x".repeat(id % 7 * 1000));
        let all: Vec<String> = (0..600).map(row).collect();
        for part in [1, 2, 3, 200, 1000] {
            let mut rows = read(&format!("{{\"total_count\":600,\"orders\":[{}]}}", all.join(",")));
            assert!(rows.rows.last().is_some_and(|row| row.block > 5));
            assert!(all.iter().enumerate().all(|(index, row)| rows.data(index, 1) == row.as_bytes()));
            let expected: String = all.iter().step_by(part).map(|row| format!("<{row}}}}}\n")).collect();
            let kept = rows.retain(|index, _| index % part == 0);
            assert_eq!(kept, 600usize.div_ceil(part));
            assert!(rows.lines.to_vec() == expected.as_bytes());
        }
    }

    #[test]
    fn the_end_is_what_the_answer_says() {
        let end = |text: &str| read(text).is_end();
        assert!(end(r#"{"total_count":1,"orders":[{"id":1}]}"#));
        assert!(
            !end(r#"{"total_count":2,"orders":[{"id":1}]}"#),
            "a count that is not reached, though no page is announced"
        );
        assert!(end(r#"{"total_count":1,"next_page":"x","orders":[{"id":1}]}"#));
        assert!(end(r#"{"orders":[{"id":1}]}"#));
        assert!(!end(r#"{"orders":[{"id":1}],"next_page":"x"}"#));
        assert!(end(r#"{"orders":[],"next_page":"x"}"#));
    }

    #[test]
    fn an_answer_that_contradicts_itself_is_not_the_whole() {
        let whole = |text: &str| read(text).is_whole();
        assert!(whole(r#"{"total_count":1,"orders":[{"id":1}]}"#));
        assert!(whole(r#"{"total_count":0,"orders":[]}"#) && whole(r#"{"orders":[]}"#));
        for text in [
            r#"{"total_count":2,"orders":[]}"#,
            r#"{"orders":[],"next_page":"x"}"#,
            r#"{"total_count":2,"orders":[{"id":1},{"id":1}]}"#,
            r#"{"orders":[{"id":null},{"id":null}]}"#,
        ] {
            assert!(!whole(text), "{text}");
        }
    }

    #[test]
    fn order_is_judged_by_instants_and_undated_rows_have_none() {
        let rows = read(
            r#"{"orders":[{"id":1,"updated_at":"2021-11-07T01:30:00-05:00"},{"id":2,"updated_at":null},{"id":2,"updated_at":"2021-11-07T01:10:00-06:00"}]}"#,
        );
        assert!(rows.is_oldest_first() && !rows.is_newest_first() && !rows.keys_differ());
    }
}
