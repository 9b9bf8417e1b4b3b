//! Reads a stream in one response, which shows one moment: no row moves while it is read.
//!
//! If the store cannot send all rows at once, the stream is read by page numbers. Rows can move between the pages, also
//! because the order is not complete. So the pages are read again until as many different rows were listed as the store
//! counts, and a further pass lists no new one; without a count, until several passes list no new one.

use std::collections::HashSet;

use super::context::{FetchedPage, StreamError};
use super::query::Query;
use super::row_filter::id_of;
use super::strategy::FullRead;
use crate::record::{Key, RecordWriter};

/// Maximum number of passes over the pages. With rows of the same rank in a random order, each pass misses about a third
/// of the rows that are left: 10,000 rows take some ten passes.
const MOST_PASSES: u32 = 20;

/// Maximum number of rows that the store cannot send. Where more fail there is another fault than damaged rows.
const MOST_UNREADABLE: usize = 5;

/// Number of consecutive pages without a new row after which a pass ends, if the store does not count the rows. In a
/// random order, a page in the middle may have only rows that the pass has listed before.
const PAGES_WITHOUT_NEW: u32 = 3;

/// Number of passes without a new row after which the rows that are still missing count as those that the store cannot
/// send: in a random order, a row that can be sent is missing from so many passes once in 3,000 times. If the store does
/// not count the rows, the read is complete after so many.
const PASSES_WITHOUT_NEW: u32 = 8;

/// Reads all rows of the stream.
pub(super) async fn run(read: &mut FullRead<'_>) -> Result<(), StreamError> {
    let context = read.context;
    let answer = match context.fetch(&Query::all(context.stream), &mut context.writer()).await {
        Ok(answer) => answer,
        Err(StreamError::Request(error)) if error.is_unreadable() => {
            context.note_unreadable(&error);
            return by_pages(read).await;
        }
        Err(stream_error) => return Err(stream_error),
    };
    let rows = &answer.page;
    // A store that limits the rows all the same counts more than it lists.
    if rows.envelope.total.is_some_and(|total| total > rows.element_count()) || !rows.keys_differ() {
        drop(answer);
        return by_pages(read).await;
    }
    context.output.count(rows.len() as u64).await?;
    read.emit_all(answer.page).await
}

/// Reads the stream by page numbers.
async fn by_pages(read: &mut FullRead<'_>) -> Result<(), StreamError> {
    let context = read.context;
    let (mut writer, mut keys) = (context.writer(), HashSet::new());
    let (mut is_counted_out, mut without_new) = (false, 0);
    for _ in 0..MOST_PASSES {
        let before = keys.len();
        let pass = Pass::default().run(read, &mut writer, &mut keys).await?;
        let listed = (keys.len() + pass.unreadable.len()) as u64;
        let was_counted_out = std::mem::replace(
            &mut is_counted_out,
            !pass.is_recounted && pass.total.is_none_or(|total| listed >= total),
        );
        without_new = if keys.len() == before && !pass.is_recounted { without_new + 1 } else { 0 };
        if is_counted_out && was_counted_out && without_new >= pass.passes_without_new() {
            for (before, after) in pass.unreadable {
                read.add_between(before, after);
            }
            return Ok(());
        }
        let missing = pass.total.map_or(0, |total| total.saturating_sub(keys.len() as u64));
        if context.is_not_utf8() && without_new >= PASSES_WITHOUT_NEW && (1..=MOST_UNREADABLE as u64).contains(&missing)
        {
            // They move between the pages, so that their neighbours say nothing.
            read.add_between(None, None);
            return Ok(());
        }
    }
    Err(StreamError::Unstable)
}

/// A pass over all pages.
#[derive(Default)]
struct Pass {
    /// The store's count of the rows.
    total: Option<u64>,
    /// True if the count changed.
    is_recounted: bool,
    /// True if a page had more rows than requested: the store ignores the sizes of pages.
    is_oversized: bool,
    /// Hashes of the keys that this pass has listed.
    listed: HashSet<Key>,
    /// Number of the last pages on which it has listed no new key.
    pages_without_new: u32,
    /// Rows that the store cannot send, by the keys before and after them.
    unreadable: Vec<(Option<i64>, Option<i64>)>,
}

impl Pass {
    async fn run(
        mut self,
        read: &mut FullRead<'_>,
        writer: &mut RecordWriter,
        keys: &mut HashSet<Key>,
    ) -> Result<Self, StreamError> {
        let context = read.context;
        let (mut offset, mut last) = (0_u64, None);
        loop {
            // A page must begin with the next row, so its size divides the number of rows before it.
            let fits = |size: &usize| offset.is_multiple_of(*size as u64);
            let size = (1..=context.page_size()).rev().find(fits).unwrap_or(1);
            let query = context.query(size).page(offset / size as u64 + 1);
            let answer = match context.fetch(&query, writer).await {
                Ok(answer) => answer,
                Err(StreamError::Request(error)) if error.is_unreadable() => {
                    if self.unreadable.len() == MOST_UNREADABLE {
                        return Err(StreamError::Request(error));
                    }
                    let is_beyond = self.total.is_some_and(|total| offset >= total);
                    // Beyond the end, a store may send the last page again.
                    if !is_beyond || self.unreadable.is_empty() {
                        self.unreadable.push((last, None));
                    }
                    offset += 1;
                    if self.total.is_some_and(|total| offset >= total) {
                        return Ok(self);
                    }
                    continue;
                }
                Err(stream_error) => return Err(stream_error),
            };
            self.note_count(&answer);
            if let Some(between) = self.unreadable.last_mut().filter(|between| between.1.is_none()) {
                between.1 = answer.page.rows.first().and_then(|row| id_of(row.key));
            }
            last = answer.page.rows.last().and_then(|row| id_of(row.key)).or(last);
            offset += answer.page.asked as u64;
            let is_end = self.is_end(&answer, offset);
            read.emit_new(answer, keys).await?;
            if is_end {
                return Ok(self);
            }
        }
    }

    fn note_count(&mut self, answer: &FetchedPage) {
        let total = answer.page.envelope.total;
        self.is_recounted |= self.total.is_some() && self.total != total;
        self.total = total;
    }

    /// Returns true if a page is the last one. `offset` is the number of rows up to its end.
    fn is_end(&mut self, answer: &FetchedPage, offset: u64) -> bool {
        let (elements, asked) = (answer.page.element_count(), answer.page.asked as u64);
        self.is_oversized |= elements > asked;
        let before = self.listed.len();
        self.listed.extend(answer.page.rows.iter().map(|row| row.key));
        self.pages_without_new = if self.listed.len() == before { self.pages_without_new + 1 } else { 0 };
        let is_counted_out = self.total.is_none_or(|total| offset >= total);
        // A full page may have another one after it, also if the count says that it has none. Beyond the end, a store
        // may send the last page again.
        elements == 0 || (is_counted_out && (elements < asked || self.is_repeating()))
    }

    /// Returns true if the store counts the rows, and not fewer than it lists.
    fn is_counted(&self) -> bool {
        self.total.is_some_and(|total| total >= self.listed.len() as u64)
    }

    /// Returns true if the pages only have rows that this pass has listed before.
    fn is_repeating(&self) -> bool {
        let is_in_order = self.is_counted() || self.is_oversized;
        self.pages_without_new >= if is_in_order { 1 } else { PAGES_WITHOUT_NEW }
    }

    /// Returns the number of passes without a new row after which the read is complete.
    fn passes_without_new(&self) -> u32 {
        if self.is_counted() || self.is_oversized { 1 } else { PASSES_WITHOUT_NEW }
    }
}
