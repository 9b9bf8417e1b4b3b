//! Warnings about a store that does not behave as documented. Each is logged once per run and stream.

use super::checkpoint::EarlierCursor;
use super::context::StreamContext;
use crate::airbyte::Closed;
use crate::timestamp::Timestamp;

impl StreamContext {
    /// Warns that the store ignores the date filter.
    pub(super) async fn warn_dates(&self) -> Result<(), Closed> {
        let text = format!(
            "the store does not filter by `{}` as documented; rows outside the requested dates are dropped by the connector, which is slower.",
            self.stream.cursor_field
        );
        self.output.warn_once("dates", &text).await
    }

    /// Warns that the store ignores the order.
    pub(super) async fn warn_sort(&self) -> Result<(), Closed> {
        let text = "the store does not sort as documented; it is read with one request at a time, and later syncs read more rows than necessary.";
        self.output.warn_once("sort", text).await
    }

    /// Warns of rows without `updated_at` in a stream that should have none.
    pub(super) async fn warn_missing_dates(&self) -> Result<(), Closed> {
        let text = format!(
            "the store has rows without `{}`; this sync includes them, but an incremental sync misses their changes until they have a date. Run a full refresh from time to time.",
            self.stream.cursor_field
        );
        self.output.warn_once("undated", &text).await
    }

    /// Records that the count of a response is wrong.
    pub(super) async fn warn_wrong_count(&self) -> Result<(), Closed> {
        if !self.end_detector.mark_count_wrong() {
            return Ok(());
        }
        let text = format!(
            "the store's `{}` is smaller than the number of rows it lists; the count is ignored, and each list is read until a page is empty.",
            self.capabilities.total_field.unwrap_or("count")
        );
        self.output.warn_once("count", &text).await
    }

    /// Warns that the date filter hides rows.
    pub(super) async fn warn_hidden(&self, hours: i64) -> Result<(), Closed> {
        let text = format!(
            "the store's filter on `{}` omits rows that it should list, as if it confused time zones; rows are requested from {hours} hours earlier and filtered by the connector.",
            self.stream.cursor_field
        );
        self.output.warn_once("hidden", &text).await
    }

    /// Warns that the cursor is later than the store's clock.
    pub(super) async fn warn_ahead(
        &self,
        cursor: Timestamp,
        date: Timestamp,
        earlier: EarlierCursor,
    ) -> Result<(), Closed> {
        let field = self.stream.cursor_field;
        let text = match earlier {
            EarlierCursor::Previous(back) => format!(
                "the state's `{field}` ({cursor}) is later than the store's clock ({date}), so the clock was ahead in an earlier sync; changes are read from the previous cursor, {back}."
            ),
            EarlierCursor::SetBack(back) => format!(
                "the store's clock was set back since the last sync (it is {date} now); changes are read from {back} on, and some rows may be emitted again."
            ),
            EarlierCursor::Start => format!(
                "the state's `{field}` ({cursor}) is later than the store's clock ({date}), so the clock was ahead in an earlier sync, and no cursor from before is saved; the stream is read from the start date again, so that no change is missing."
            ),
            EarlierCursor::Clock => format!(
                "the state's `{field}` ({cursor}) is later than the store's clock ({date}), and no earlier cursor is saved; changes are read from {date} on, and earlier ones may be missing. Set `{field}` in the stream's state to an earlier date to read them, or remove the stream from the state."
            ),
        };
        self.output.warn_once("ahead", &text).await
    }

    /// Warns that the store ignores ranges of keys; the clause describes the difference.
    pub(super) async fn warn_keys(&self, why: &str) -> Result<(), Closed> {
        let text = format!(
            "the store does not list rows by key as documented ({why}); the stream is read page by page, which is slower."
        );
        self.output.warn_once("keys", &text).await
    }
}
