//! Decides whether a response is the last of its list.
//!
//! One figure never proves the end of a list (`docs/reference/how-it-reads.md`, the end of a list): a store may count
//! the rows of the page instead of all matches, count up to a limit, or leave the count out. The end needs a count
//! that is reached and no sign of more rows, or an empty response to a request beyond the last key.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::rows::Rows;

/// The rows after a response: none, some or unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All signs agree that there are none.
    Reached,
    /// There are more.
    More,
    /// The signs disagree or are missing: a further request is needed.
    Unclear,
}

/// Facts learned in a run about the ends of a stream's lists.
#[derive(Debug)]
pub(super) struct EndDetector {
    /// Rows per page if the server ignores the requested number.
    default_page: u64,
    /// True if there were more rows than the count.
    count_is_wrong: AtomicBool,
    /// Rows on the largest page that had another one after it: the size to which the server cuts pages.
    largest_page: AtomicUsize,
}

impl EndDetector {
    /// Returns a detector for a server that sends pages of `default_page` rows if it ignores the requested number.
    pub(super) fn new(default_page: u64) -> Self {
        Self { default_page, count_is_wrong: AtomicBool::new(false), largest_page: AtomicUsize::new(0) }
    }

    /// Returns true if the count was proven wrong in this run.
    pub(super) fn is_count_wrong(&self) -> bool {
        self.count_is_wrong.load(Ordering::Relaxed)
    }

    /// Records that a page was followed by another one.
    pub(super) fn followed(&self, rows: &Rows) {
        self.largest_page.fetch_max(rows.len(), Ordering::Relaxed);
    }

    /// Records that there were rows after a response whose count had been reached. Returns true the first time.
    pub(super) fn mark_count_wrong(&self) -> bool {
        !self.count_is_wrong.swap(true, Ordering::Relaxed)
    }

    /// Returns the conclusion from all signs in a response: the end is reached, there are more rows, or unclear.
    pub(super) fn of(&self, rows: &Rows) -> End {
        let listed = rows.listed();
        if listed == 0 {
            // The client rejects a response that counts rows, or has a next page, and lists none.
            return End::Reached;
        }
        let Some(total) = rows.envelope.total.filter(|_| !self.is_count_wrong()) else { return End::Unclear };
        if total > listed {
            return End::More;
        }
        let largest = self.largest_page.load(Ordering::Relaxed) as u64;
        let is_full = listed >= rows.asked as u64 || listed == self.default_page || listed == largest;
        let is_clear = total == listed && !rows.envelope.more && !is_full;
        if is_clear { End::Reached } else { End::Unclear }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::record::{RecordSchema, RecordWriter};

    fn read(text: &str) -> Rows {
        let record_schema =
            Arc::new(RecordSchema::new(&json!({"properties": {"id": {"type": "integer"}}}), "id", None));
        Rows::of(text, b"", &mut RecordWriter::new(record_schema))
    }

    #[test]
    fn the_end_needs_signs_that_agree() {
        let end = |text: &str| EndDetector::new(100).of(&read(text));
        assert_eq!(end(r#"{"total_count":1,"orders":[{"id":1}]}"#), End::Reached);
        assert_eq!(end(r#"{"total_count":0,"orders":[]}"#), End::Reached);
        assert_eq!(end(r#"{"orders":[]}"#), End::Reached, "a request beyond the last key");
        assert_eq!(end(r#"{"total_count":2,"orders":[{"id":1}]}"#), End::More, "a short page is no end");
        assert_eq!(end(r#"{"total_count":1,"next_page":"x","orders":[{"id":1}]}"#), End::Unclear);
        assert_eq!(end(r#"{"orders":[{"id":1}]}"#), End::Unclear, "nothing says that the end is reached");
        assert_eq!(end(r#"{"total_count":1,"orders":[{"id":1},{"id":2}]}"#), End::Unclear, "a count of fewer rows");
        assert_eq!(end(r#"{"total_count":2,"orders":[{"id":1},{"id":null}]}"#), End::Reached);
    }

    #[test]
    fn a_full_page_that_is_counted_as_all_there_is_does_not_end_a_list() {
        let page = |rows: i64| {
            let rows: Vec<String> = (1..=rows).map(|id| format!("{{\"id\":{id}}}")).collect();
            read(&format!(r#"{{"total_count":{},"orders":[{}]}}"#, rows.len(), rows.join(",")))
        };
        let ends = EndDetector::new(100);
        assert_eq!(
            (ends.of(&page(1000)), ends.of(&page(100)), ends.of(&page(999))),
            (End::Unclear, End::Unclear, End::Reached)
        );
        ends.followed(&page(20));
        assert_eq!((ends.of(&page(20)), ends.of(&page(19))), (End::Unclear, End::Reached));
        assert!(ends.mark_count_wrong() && !ends.mark_count_wrong());
        assert_eq!(ends.of(&page(19)), End::Unclear, "after a wrong count none is believed");
    }
}
