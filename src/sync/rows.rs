//! The rows of one response: parsed into finished RECORD lines, then filtered one by one.
//!
//! The parser does not filter, and the filter does not parse. This module emits no records.

use std::collections::HashSet;

use super::checkpoint::Range;
use super::nested_rows::{NestedRows, NestedSink};
use super::query::DateRange;
use crate::airbyte::LineBatch;
use crate::airbyte::message::RECORD_SUFFIX;
use crate::http::{ElementSink, Envelope, PageMeta, ResponseMismatch};
use crate::json::{Scanner, member};
use crate::record::{self, CursorValue, Key, NotARecord, RecordMeta, RecordWriter};
use crate::stream::Stream;
use crate::timestamp::Timestamp;

/// A response of a list, as RECORD lines.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// RECORD lines, one after another.
    pub lines: LineBatch,
    /// One entry per line.
    pub rows: Vec<Row>,
    /// The fields of the envelope.
    pub envelope: Envelope,
    /// Number of rows without a key. They are not in `rows`: a state cannot list them, and a destination cannot
    /// distinguish them.
    pub rows_without_key: usize,
    /// The elements of the list that are not in `rows`: the number of rows before each.
    pub skipped: Vec<usize>,
    /// True if the first row lacks the field that complete rows have.
    pub is_short: bool,
    /// The rows inside these rows, if they were requested.
    pub nested: Option<Box<NestedRows>>,
    /// Number of rows requested.
    pub asked: usize,
}

/// One row and the end of its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Its key.
    pub key: Key,
    /// Its `updated_at`.
    pub updated: CursorValue,
    /// The UTC offset that `updated_at` was shown with, in minutes.
    pub offset: Option<i16>,
    /// The date of its creation in UNIX seconds, 0 for never.
    pub created: Option<i64>,
    /// Index of the block with its line.
    pub(super) block: usize,
    /// End of its line in the block.
    pub(super) end: usize,
}

impl Row {
    /// Returns true if its date is within the range.
    pub(super) fn is_within(&self, date_range: &DateRange) -> bool {
        matches!(self.updated, CursorValue::At(instant) if date_range.contains(instant))
    }
}

impl Row {
    /// Returns true if it has a date outside the range.
    pub(super) fn is_outside(&self, date_range: &DateRange) -> bool {
        matches!(self.updated, CursorValue::At(instant) if !date_range.contains(instant))
    }
}

/// Collects the rows of one response while it arrives.
pub(super) struct RowSink<'c> {
    lines: LineBatch,
    rows: Vec<Row>,
    /// Rows without a key.
    rows_without_key: usize,
    skipped: Vec<usize>,
    /// Field that complete rows have.
    complete_field: Option<&'static str>,
    /// True if the rows are not emitted: their lines are not kept.
    has_only_keys: bool,
    is_short: bool,
    nested: Option<NestedSink<'c>>,
    prefix: &'c [u8],
    writer: &'c mut RecordWriter,
    expected: ExpectedKeys,
    /// A stream whose responses only differ in the fields of their rows.
    look_alike: Option<&'static Stream>,
    /// True if a response was rejected because of its keys or fields. A response to another request is received once;
    /// a store that answers differently sends one each time, and is not rejected again.
    has_complained: bool,
    /// Number of undeclared fields known before this response.
    undeclared: usize,
}

impl<'c> RowSink<'c> {
    /// Returns a sink that writes to `lines`. `prefix` is written before the data of each line.
    pub(super) fn new(lines: LineBatch, prefix: &'c [u8], writer: &'c mut RecordWriter) -> Self {
        let undeclared = writer.undeclared();
        let (rows, expected) = (Vec::new(), ExpectedKeys::Any);
        Self {
            lines,
            rows,
            rows_without_key: 0,
            skipped: Vec::new(),
            complete_field: None,
            has_only_keys: false,
            is_short: false,
            nested: None,
            prefix,
            writer,
            expected,
            look_alike: None,
            has_complained: false,
            undeclared,
        }
    }

    /// Notes if the rows lack the field that complete rows have.
    pub(super) fn with_complete_field(self, complete_field: Option<&'static str>) -> Self {
        Self { complete_field, ..self }
    }

    /// Keeps only the keys and dates of the rows, which need little memory, if `has_only_keys` is true.
    pub(super) fn with_only_keys(self, has_only_keys: bool) -> Self {
        Self { has_only_keys, ..self }
    }

    /// Also collects the rows inside each row.
    pub(super) fn with_nested(self, nested: Option<NestedSink<'c>>) -> Self {
        Self { nested, ..self }
    }

    /// Accepts a response only if its keys are the expected ones.
    pub(super) fn expecting(self, expected: ExpectedKeys) -> Self {
        Self { expected, ..self }
    }

    /// Rejects a response whose rows have fields of this stream.
    pub(super) fn with_look_alike(self, look_alike: Option<&'static Stream>) -> Self {
        Self { look_alike, ..self }
    }

    /// Returns true if the rows have a new field that only the look-alike declares.
    fn is_of_look_alike(&self) -> bool {
        self.look_alike.is_some_and(|other| {
            let declared = &(other.fields)().names;
            self.writer.undeclared_from(self.undeclared).any(|name| declared.iter().any(|known| known == name))
        })
    }

    /// Returns the rows of the complete response to a request for `asked` rows.
    pub(super) fn into_rows(mut self, envelope: Envelope, asked: usize) -> Rows {
        let nested = self.nested.take().map(|nested| Box::new(nested.into_rows(asked)));
        let Self { lines, rows, rows_without_key, skipped, is_short, .. } = self;
        Rows { lines, rows, envelope, rows_without_key, skipped, is_short, nested, asked }
    }
}

/// Keys that a response must have to match its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExpectedKeys {
    /// Any keys.
    Any,
    /// Ascending keys, greater than the first, at most the second.
    Keys(Range),
}

/// Checks that keys are integers that ascend within a range; returns the last one, or `after`.
///
/// # Errors
/// A clause that describes how the response differs from the request.
pub(super) fn check_keys(rows: &[Row], (after, end): Range) -> Result<Option<i64>, &'static str> {
    let mut last = after;
    for row in rows {
        let Key::Number(id) = row.key else { return Err("it sends keys that are not whole numbers") };
        if after.is_some_and(|after| id <= after) || end.is_some_and(|end| id > end) {
            return Err("it does not filter by key");
        }
        if last.is_some_and(|last| id <= last) {
            return Err("it does not sort by key");
        }
        last = Some(id);
    }
    Ok(last)
}

impl ElementSink for RowSink<'_> {
    fn restart(&mut self) {
        self.lines.clear();
        self.rows.clear();
        self.rows_without_key = 0;
        self.skipped.clear();
        self.writer.forget(self.undeclared);
        if let Some(nested) = &mut self.nested {
            nested.restart();
        }
    }

    fn skip(&mut self) {
        self.skipped.push(self.rows.len());
    }

    fn element(&mut self, scanner: &mut Scanner<'_>) -> Result<(), NotARecord> {
        let from = scanner.position();
        let (block, lines) = self.lines.begin_line();
        let start = lines.len();
        lines.extend_from_slice(self.prefix);
        let meta = match self.writer.copy(scanner, lines) {
            Ok(meta) => meta,
            Err(reason) => {
                lines.truncate(start);
                return Err(reason);
            }
        };
        if meta.key == Key::Missing {
            lines.truncate(start);
            self.rows_without_key += 1;
            self.skipped.push(self.rows.len());
            return Ok(());
        }
        match self.has_only_keys {
            true => lines.truncate(start),
            false => lines.extend_from_slice(RECORD_SUFFIX),
        }
        let end = lines.len();
        if let Some(field) = self.complete_field.filter(|_| self.rows.is_empty()) {
            self.is_short = member(scanner.since(from), field).is_none();
        }
        if let Some(nested) = &mut self.nested {
            nested.add(scanner.since(from), self.rows.len(), meta.created);
        }
        let RecordMeta { key, updated, offset, created } = meta;
        self.rows.push(Row { key, updated, offset, created, block, end });
        Ok(())
    }

    fn verify(&mut self, answer: &PageMeta) -> Result<(), ResponseMismatch> {
        if !answer.list_name_known && self.rows_without_key > 0 {
            return Err(ResponseMismatch::NoKey);
        }
        if !answer.list_name_known && self.writer.looks_foreign() {
            return Err(ResponseMismatch::OtherFields);
        }
        if !self.has_complained && self.is_of_look_alike() {
            self.has_complained = true;
            return Err(ResponseMismatch::OtherFields);
        }
        // The walk handles a store that ignores the key range.
        if let ExpectedKeys::Keys(range) = self.expected
            && !self.has_complained
            && self.rows.iter().all(|row| matches!(row.key, Key::Number(_)))
            && let Err(what) = check_keys(&self.rows, range)
        {
            self.has_complained = true;
            return Err(ResponseMismatch::OtherKeys(what));
        }
        Ok(())
    }

    fn memory_used(&self) -> usize {
        self.lines.len() + self.nested.as_ref().map_or(0, NestedSink::memory_used)
    }
}

#[cfg(test)]
impl Rows {
    /// Returns the rows of a complete body, for tests.
    pub(super) fn of(body: &str, prefix: &[u8], writer: &mut RecordWriter) -> Self {
        let mut sink = RowSink::new(LineBatch::default(), prefix, writer);
        let envelope = crate::cart::page::read(body.as_bytes(), &["orders"], &mut sink);
        sink.into_rows(envelope.unwrap_or_default(), 1000)
    }
}

impl Rows {
    /// Returns the number of rows with a key.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns the number of rows that the response lists, including those without a key.
    pub(super) fn listed(&self) -> u64 {
        (self.rows.len() + self.rows_without_key) as u64
    }

    /// Returns the number of elements of the list, including those that are not rows.
    pub(super) fn element_count(&self) -> u64 {
        (self.rows.len() + self.skipped.len()) as u64
    }

    /// Returns true if the first page of a list has all of its rows. The count is not enough: a store may count the
    /// rows of the page. A page with fewer elements than requested has no other one after it.
    pub(super) fn is_only_page(&self) -> bool {
        let elements = self.element_count();
        self.envelope.total == Some(elements) && elements < self.asked as u64
    }

    /// Returns the elements of the list in their order; `None` for one that is not a row with a key.
    pub(super) fn elements(&self) -> Vec<Option<&Row>> {
        let mut elements = Vec::with_capacity(self.rows.len() + self.skipped.len());
        let mut skipped = self.skipped.iter().peekable();
        for index in 0..=self.rows.len() {
            while skipped.next_if(|&&place| place == index).is_some() {
                elements.push(None);
            }
            elements.extend(self.rows.get(index).map(Some));
        }
        elements
    }

    /// Returns the hash of the content of a row.
    pub(super) fn hash(&self, index: usize, prefix: usize) -> u64 {
        record::content_hash(self.data(index, prefix))
    }

    /// Returns true if the response counts no more rows than it lists.
    pub(super) fn is_counted_out(&self) -> bool {
        self.envelope.total.is_some_and(|total| total <= self.listed())
    }

    /// Returns true if no two rows have the same key.
    pub(super) fn keys_differ(&self) -> bool {
        let mut seen = HashSet::with_capacity(self.rows.len());
        self.rows.iter().all(|row| seen.insert(row.key))
    }

    /// Returns true if the rows with a date are sorted from new to old, as instants or by the local time shown.
    pub(super) fn is_newest_first(&self) -> bool {
        self.dates().is_sorted_by(|newer, older| newer >= older)
            || self.local_dates().is_sorted_by(|newer, older| newer >= older)
    }

    /// Returns true if the rows with a date are sorted from old to new, as instants or by the local time shown.
    pub(super) fn is_oldest_first(&self) -> bool {
        self.dates().is_sorted() || self.local_dates().is_sorted()
    }

    /// Returns the dates as shown, without the UTC offset: a store that keeps local time sorts by them, even when its
    /// clock was set back.
    fn local_dates(&self) -> Vec<Option<Timestamp>> {
        let rows = self.rows.iter().filter(|row| matches!(row.updated, CursorValue::At(_)));
        rows.map(|row| match (row.updated, row.offset) {
            (CursorValue::At(date), Some(offset)) => date.plus_seconds(i64::from(offset) * 60),
            _ => None,
        })
        .collect()
    }

    /// Returns true if a row lacks `updated_at`, or has one that cannot be read: no date filter lists it for certain.
    pub(super) fn has_missing_dates(&self) -> bool {
        self.rows.iter().any(|row| !matches!(row.updated, CursorValue::At(_)))
    }

    /// Returns the oldest and the newest date, if any row has one.
    pub(super) fn date_span(&self) -> Option<(Timestamp, Timestamp)> {
        let dates = self.dates();
        Some((dates.iter().copied().min()?, dates.into_iter().max()?))
    }

    fn dates(&self) -> Vec<Timestamp> {
        let date = |row: &Row| match row.updated {
            CursorValue::At(instant) => Some(instant),
            CursorValue::Missing | CursorValue::Invalid => None,
        };
        self.rows.iter().filter_map(date).collect()
    }

    /// Returns the data of a row's record, as emitted; nothing if only the keys were kept.
    pub(super) fn data(&self, index: usize, prefix: usize) -> &[u8] {
        let Some(row) = self.rows.get(index) else { return &[] };
        let before = index.checked_sub(1).and_then(|before| self.rows.get(before));
        let start = before.filter(|before| before.block == row.block).map_or(0, |before| before.end);
        self.lines.block(row.block).get(start + prefix..row.end.saturating_sub(RECORD_SUFFIX.len())).unwrap_or_default()
    }

    /// Returns a hash of the content of each row that may be compared with a remembered one: rows without
    /// `updated_at`, and those dated at or after `floor`. 0 for the others.
    pub(super) fn hashes(&self, floor: Option<Timestamp>, prefix: usize) -> Vec<u64> {
        let is_near = |row: &Row| match row.updated {
            CursorValue::At(instant) => floor.is_some_and(|floor| instant >= floor),
            CursorValue::Missing | CursorValue::Invalid => floor.is_some(),
        };
        let rows = self.rows.iter().enumerate();
        rows.map(|(index, row)| if is_near(row) { record::content_hash(self.data(index, prefix)) } else { 0 }).collect()
    }

    /// Keeps the lines of the rows for which `keep` returns true, in order; returns the number of rows kept.
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
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::record::RecordSchema;

    fn read(body: &str) -> Rows {
        let schema = json!({"properties": {"id": {"type": "integer"}, "updated_at": {"type": ["null", "string"], "format": "date-time"}}});
        let mut writer = RecordWriter::new(Arc::new(RecordSchema::new(&schema, "id", Some("updated_at"))));
        Rows::of(body, b"<", &mut writer)
    }

    #[test]
    fn lines_are_kept_or_dropped_completely() {
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
    fn lines_that_fill_many_blocks_are_separated() {
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
    fn rows_of_which_only_the_keys_are_needed_take_no_lines() {
        let schema = json!({"properties": {"id": {"type": "integer"}, "at": {"type": "integer"}}});
        let schema = RecordSchema::new(&schema, "id", None);
        let mut writer = RecordWriter::new(Arc::new(schema));
        let mut sink = RowSink::new(LineBatch::default(), b"<", &mut writer).with_only_keys(true);
        let row = format!("{{\"id\":7,\"note\":\"{}\"}}", "x".repeat(1000));
        for _ in 0..100 {
            sink.element(&mut Scanner::new(row.as_bytes())).unwrap();
        }
        assert_eq!(sink.memory_used(), 0);
        let mut rows = sink.into_rows(Envelope::default(), 100);
        assert!(rows.len() == 100 && rows.rows.iter().all(|row| row.key == Key::Number(7)));
        assert!(rows.data(0, 1).is_empty() && rows.data(99, 1).is_empty());
        assert_eq!((rows.retain(|_, _| false), rows.lines.to_vec().len()), (0, 0));
    }

    #[test]
    fn every_answer_is_checked_against_its_request() {
        let checked = |ids: &str, after, end| {
            let rows: Vec<String> = ids.split_whitespace().map(|id| format!("{{\"id\":{id}}}")).collect();
            check_keys(&read(&format!("{{\"orders\":[{}]}}", rows.join(","))).rows, (after, end))
        };
        assert_eq!(checked("6 8 9", Some(5), Some(9)), Ok(Some(9)));
        assert_eq!(checked("-3 7", None, None), Ok(Some(7)));
        assert_eq!(checked("", Some(5), Some(9)), Ok(Some(5)), "an empty answer reaches no further");
        let no_filter = Err("it does not filter by key");
        assert_eq!(checked("5 8", Some(5), Some(9)), no_filter, "a key that was read already");
        assert_eq!(checked("6 10", Some(5), Some(9)), no_filter, "a key of another range");
        let no_order = Err("it does not sort by key");
        assert_eq!(checked("6 9 8", Some(5), Some(9)), no_order);
        assert_eq!(checked("6 6", Some(5), Some(9)), no_order, "a key twice");
        assert_eq!(checked("6 7.5", Some(5), None), Err("it sends keys that are not whole numbers"));
    }

    #[test]
    fn rows_without_a_key_are_counted_and_left_out() {
        let rows = read(r#"{"total_count":4,"orders":[{"id":1},{"id":null},{"name":"x"},{"id":4}]}"#);
        assert_eq!((rows.len(), rows.rows_without_key, rows.listed()), (2, 2, 4));
        assert!(!String::from_utf8(rows.lines.to_vec()).unwrap().contains("null"));
    }

    #[test]
    fn order_is_decided_by_instants_and_rows_without_a_date_have_none() {
        let rows = read(
            r#"{"orders":[{"id":1,"updated_at":"2021-11-07T01:30:00-05:00"},{"id":2,"updated_at":null},{"id":2,"updated_at":"2021-11-07T01:10:00-06:00"}]}"#,
        );
        // They ascend as instants; as the local time shown, they descend in the repeated hour.
        assert!(rows.is_oldest_first() && rows.is_newest_first() && !rows.keys_differ());
        let rows = read(
            r#"{"orders":[{"id":1,"updated_at":"2021-11-07T03:30:00-06:00"},{"id":2,"updated_at":"2021-11-07T04:10:00-06:00"}]}"#,
        );
        assert!(rows.is_oldest_first() && !rows.is_newest_first());
    }
}
