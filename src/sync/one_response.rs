//! Reads a stream in one response, which shows one moment: no row moves while it is read.
//!
//! If the store cannot send all rows at once, the stream is read by page numbers. Rows can move between the pages, also
//! because the order is not complete. So the pages are read again until as many different rows were listed as the store
//! counts, and a further pass lists no new one.

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

/// Number of passes without a new row after which the rows that are still missing count as those that the store cannot
/// send: in a random order, a row that can be sent is missing from so many passes once in 3,000 times.
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
    let listed = (rows.rows.len() + rows.skipped.len()) as u64;
    // A store that limits the rows all the same counts more than it lists.
    if rows.envelope.total.is_some_and(|total| total > listed) || !rows.keys_differ() {
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
        let pass = Pass { total: None, is_recounted: false, unreadable: Vec::new() };
        let pass = pass.run(read, &mut writer, &mut keys).await?;
        let listed = (keys.len() + pass.unreadable.len()) as u64;
        let was_counted_out = std::mem::replace(
            &mut is_counted_out,
            !pass.is_recounted && pass.total.is_none_or(|total| listed >= total),
        );
        without_new = if keys.len() == before && !pass.is_recounted { without_new + 1 } else { 0 };
        if is_counted_out && was_counted_out && without_new > 0 {
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
struct Pass {
    /// The store's count of the rows.
    total: Option<u64>,
    /// True if the count changed.
    is_recounted: bool,
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
        let (mut offset, mut last) = (0, None);
        while self.total.is_none_or(|total| offset < total) {
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
                    self.unreadable.push((last, None));
                    offset += 1;
                    continue;
                }
                Err(stream_error) => return Err(stream_error),
            };
            self.note_count(&answer);
            let listed = answer.page.rows.len() + answer.page.skipped.len();
            if let Some(between) = self.unreadable.last_mut().filter(|between| between.1.is_none()) {
                between.1 = answer.page.rows.first().and_then(|row| id_of(row.key));
            }
            last = answer.page.rows.last().and_then(|row| id_of(row.key)).or(last);
            // Without a count, a page that is not full is the last one.
            let is_end = listed == 0 || (self.total.is_none() && listed < answer.page.asked);
            offset += answer.page.asked as u64;
            read.emit_new(answer, keys).await?;
            if is_end {
                break;
            }
        }
        Ok(self)
    }

    fn note_count(&mut self, answer: &FetchedPage) {
        let total = answer.page.envelope.total;
        self.is_recounted |= self.total.is_some() && self.total != total;
        self.total = total;
    }
}
