//! Reads all rows of a filter: in the order of their keys, or by page numbers if the store does not list them by key.

use std::sync::Arc;

use super::checkpoint::{Checkpoint, WalkCheckpoint};
use super::context::{StreamContext, StreamError};
use super::count_check::CountCheck;
use super::keyset::{self, MaxKeyPage};
use super::list_end::End;
use super::paged;
use super::probes::{self, MaxKey, SAMPLE};
use super::query::DateRange;
use super::row_filter::RowFilter;
use super::rows::Rows;
use crate::timestamp::Timestamp;

/// The rows of a filter to read, and the progress so far.
#[derive(Debug)]
pub(super) struct ReadPlan<'r> {
    /// The state before the walk.
    pub base: &'r Checkpoint,
    pub filter: DateRange,
    pub row_filter: RowFilter,
    /// The progress of the walk.
    pub walk: WalkCheckpoint,
    /// The page of the greatest keys, if they are known.
    pub page: Option<MaxKeyPage>,
    /// Rows that a response counted without a filter.
    pub all: Option<u64>,
    /// Rows that a response counted under this filter.
    pub counted: Option<u64>,
    /// The state whose cursor checkpoints advance while pages are read by number; `None` if they may not.
    pub advancing: Option<Checkpoint>,
}

/// The start of a walk.
#[derive(Debug)]
pub(super) struct FirstOfWalk {
    /// The page of the greatest keys, if they are known.
    pub page: Option<MaxKeyPage>,
    /// True if the store does not sort by key.
    pub is_unsorted: bool,
}

/// Returns the greatest key and the page that shows it, if the store sorts.
pub(super) async fn max_key(
    context: &Arc<StreamContext>,
    sorted: bool,
    rows: usize,
    filter: &DateRange,
    seen: &[i64],
) -> Result<Option<(MaxKey, Rows)>, StreamError> {
    match sorted && context.capabilities.key_ranges {
        true => probes::max_key(context, rows, filter, seen).await,
        false => Ok(Some((MaxKey::Unknown, Rows::default()))),
    }
}

/// Adds the keys above the greatest one of an interrupted walk to its ranges: rows without `updated_at` added since then
/// match no date filter of the next pass.
pub(super) async fn add_new_keys(
    context: &Arc<StreamContext>,
    walk: &mut WalkCheckpoint,
    filter: &DateRange,
) -> Result<(), StreamError> {
    let Some(old) = walk.max_key else { return Ok(()) };
    let max_key = probes::max_key(context, SAMPLE, filter, &[]).await?;
    walk.max_key = max_key.and_then(|(max_key, _)| max_key.known()).map(|new| new.max(old));
    if walk.max_key != Some(old) {
        walk.left.push((Some(old), walk.max_key));
    }
    Ok(())
}

/// Returns the greatest key if it is known, the page that shows it, and the larger of two counts.
pub(super) fn first_of_walk(
    context: &Arc<StreamContext>,
    max_key: Option<(MaxKey, Rows)>,
    seen: &[i64],
    counted: Option<u64>,
) -> (Option<i64>, FirstOfWalk, Option<u64>) {
    // Rows were listed a moment ago. If there are none now, the walk and the count after it show whether they were
    // deleted.
    let (max_key, rows) = max_key.unwrap_or((MaxKey::Gone, Rows::default()));
    let is_all = is_all(context, &rows, seen, counted);
    let counted = if rows.rows.is_empty() { counted } else { counted.max(rows.envelope.total) };
    let page = max_key.known().is_some().then_some(MaxKeyPage { rows, is_all });
    (max_key.known(), FirstOfWalk { page, is_unsorted: max_key == MaxKey::Unknown }, counted)
}

/// Returns true if the page of the greatest keys has all rows: at least as many as were listed and counted before.
fn is_all(context: &Arc<StreamContext>, page: &Rows, seen: &[i64], counted: Option<u64>) -> bool {
    context.end_detector.of(page) == End::Reached
        && page.rows.len() >= seen.len()
        && counted.is_none_or(|counted| page.listed() >= counted)
}

/// Reads all rows in the order of their keys, or by page numbers if the store does not list them by key. Returns the
/// walk, and its newest date if no row can change into the requested dates any more.
pub(super) async fn read(
    context: &Arc<StreamContext>,
    read: ReadPlan<'_>,
) -> Result<(WalkCheckpoint, Option<Timestamp>), StreamError> {
    let ReadPlan { base, filter, row_filter, walk, page, all, counted, advancing } = read;
    let (from, until) = (walk.from, walk.until);
    let mut delivered = Vec::new();
    let check = CountCheck { context, filter, row_filter: row_filter.clone(), base, all, resumed: None };
    if context.capabilities.key_ranges {
        let plan =
            keyset::KeysetPlan { filter, row_filter: row_filter.clone(), base: base.clone(), walk, page, check: None };
        let stream_error = match keyset::run(context, plan).await {
            Ok(mut walked) => {
                delivered = std::mem::take(&mut walked.delivered);
                // If the newest rows are all after the end date, no row can change into the dates any more.
                let newest = walked.newest.filter(|_| context.end.is_some());
                match check.verify(walked).await {
                    Ok(walk) => return Ok((walk, newest)),
                    Err(stream_error) => stream_error,
                }
            }
            Err((stream_error, before)) => {
                delivered = before;
                stream_error
            }
        };
        let StreamError::UnexpectedResponse(what) = stream_error else { return Err(stream_error) };
        context.warn_keys(what).await?;
    }
    let plan = paged::PagedPlan { filter, row_filter: row_filter.clone(), until, delivered, counted, base: advancing };
    let (mut sent_rows, read) = paged::run(context, plan).await?;
    let walk = keyset::from_the_start(None, from, until, None);
    let all = check.counted_in_full(&WalkCheckpoint { read, ..walk.clone() }).await?;
    if all.is_some() && check.omits_rows(read).await? {
        // The date filter omits rows that it should list. Rows may be emitted twice.
        let (filter, delivered) = (DateRange::default(), Vec::new());
        let plan = paged::PagedPlan { filter, row_filter, until, delivered, counted: all, base: None };
        (sent_rows, _) = paged::run(context, plan).await?;
    }
    Ok((WalkCheckpoint { sent_rows, ..walk }, None))
}
