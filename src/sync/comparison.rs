//! Compares the rows of the overlap with those that were emitted, if so many were emitted that only ranges of keys are
//! remembered. Emits no rows.

use std::sync::Arc;

use super::checkpoint::{Checkpoint, WalkCheckpoint};
use super::context::{StreamContext, StreamError};
use super::keyset::{self, EmittedRows, FinishedWalk, KeysetPlan};
use super::probes;
use super::query::DateRange;
use super::row_filter::RowFilter;
use super::sent_hashes::RangeCheck;

/// Compares the rows of the walk `begun`. Returns the rest of the walk, which reads the ranges with changes, or `None`
/// if the store ignores ranges of keys.
///
/// # Errors
/// [`StreamError`]; [`StreamError::CountMismatch`] if the store counts more rows than it lists.
pub(super) async fn run(
    context: &Arc<StreamContext>,
    base: &Checkpoint,
    row_filter: &RowFilter,
    filter: DateRange,
    begun: WalkCheckpoint,
) -> Result<Option<WalkCheckpoint>, StreamError> {
    let comparison = Comparison { context, base, row_filter, filter };
    let walked = match comparison.all_rows(begun).await {
        Ok(walked) => walked,
        Err((StreamError::UnexpectedResponse(_), _)) => return Ok(None),
        Err((stream_error, _)) => return Err(stream_error),
    };
    let (left, counted) = walked.check.map(RangeCheck::changed).unwrap_or_default();
    let read = walked.walk.read;
    if left.is_empty() {
        context.output.inner().await.stats.known += read;
    }
    let sent_rows = walked.walk.sent_rows.clone().complete();
    Ok(Some(WalkCheckpoint { left, counted: Some(counted), read: 0, sent_rows, is_part: true, ..walked.walk }))
}

struct Comparison<'r> {
    context: &'r Arc<StreamContext>,
    base: &'r Checkpoint,
    row_filter: &'r RowFilter,
    filter: DateRange,
}

impl Comparison<'_> {
    /// Compares all rows that the store counts.
    async fn all_rows(&self, begun: WalkCheckpoint) -> Result<FinishedWalk, (StreamError, EmittedRows)> {
        let (until, counted) = (begun.until, begun.counted);
        let is_short = |walked: &FinishedWalk| {
            let is_known_wrong = self.context.end_detector.is_count_wrong();
            !is_known_wrong && counted.is_some_and(|counted| walked.walk.read < counted)
        };
        let walked = self.ranges(begun, self.base.sent_rows.sent().check()).await?;
        if !is_short(&walked) {
            return Ok(walked);
        }
        // A response may have ended too early, without a sign of it.
        let FinishedWalk { walk, ends, check, .. } = walked;
        let walked = self.ranges(WalkCheckpoint { left: ends, ..walk }, check.unwrap_or_default()).await?;
        if is_short(&walked) {
            let (max_key, listed) = (walked.walk.max_key, walked.walk.read);
            let now = probes::still_counted(self.context, &self.filter, until, max_key, None).await;
            // Deleted rows may explain it.
            if let Some(counted) = now.map_err(|error| (error, Vec::new()))?.filter(|&now| now > listed) {
                return Err((StreamError::CountMismatch { counted, listed }, Vec::new()));
            }
        }
        Ok(walked)
    }

    /// Compares the rows of the ranges that a walk has left.
    async fn ranges(
        &self,
        walk: WalkCheckpoint,
        check: RangeCheck,
    ) -> Result<FinishedWalk, (StreamError, EmittedRows)> {
        let plan = KeysetPlan {
            filter: self.filter,
            row_filter: self.row_filter.clone(),
            base: self.base.clone(),
            walk,
            page: None,
            check: Some(check),
        };
        keyset::run(self.context, plan).await
    }
}
