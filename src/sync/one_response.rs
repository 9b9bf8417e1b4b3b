//! Reads a stream in one response, which shows one moment: no row moves while it is read.
//!
//! If the store cannot send all rows at once, the stream is read by page numbers (`paged`), which proves with the
//! store's count and a second pass that no row moved.

use super::context::StreamError;
use super::paged;
use super::query::{DateRange, Query};
use super::row_filter::RowFilter;
use super::sent_rows::{Retention, SentRows};
use super::strategy::FullRead;

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
async fn by_pages(read: &FullRead<'_>) -> Result<(), StreamError> {
    let filter = DateRange::default();
    let row_filter = RowFilter {
        date_range: filter,
        later_than: None,
        include_missing_dates: true,
        known: SentRows::of(Retention::Nothing),
    };
    let plan = paged::PagedPlan { filter, row_filter, until: None, delivered: Vec::new(), counted: None, base: None };
    paged::run(read.context, plan).await.map(|_| ())
}
