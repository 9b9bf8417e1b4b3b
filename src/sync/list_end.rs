//! Whether an answer is the last of its list.
//!
//! The end of a list is never believed from one figure (`docs/reference/how-it-reads.md`, the end of a list): a store may
//! count the rows of the page instead of all matches, count up to a limit, or leave the count out. The end needs
//! a count that is reached and nothing that says more, or a request beyond the last key that lists nothing.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::rows::Rows;

/// What an answer says about the rows after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All signs agree that there are none.
    Reached,
    /// There are more.
    More,
    /// The signs disagree or are missing: a further request has to tell.
    Unclear,
}

/// What was learned in a run about how a store ends the lists of one stream.
#[derive(Debug)]
pub(super) struct EndDetector {
    /// Rows of a page if the server ignores how many are requested.
    default_page: u64,
    /// More rows came than the count had promised.
    count_is_wrong: AtomicBool,
    /// Rows on the largest page that had another one after it: the size to which the server cuts pages.
    largest_page: AtomicUsize,
}

impl EndDetector {
    /// For a server that sends pages of `default_page` rows if it ignores how many are requested.
    pub(super) fn new(default_page: u64) -> Self {
        Self { default_page, count_is_wrong: AtomicBool::new(false), largest_page: AtomicUsize::new(0) }
    }

    /// Returns true if the count was proven wrong in this run.
    pub(super) fn is_count_wrong(&self) -> bool {
        self.count_is_wrong.load(Ordering::Relaxed)
    }

    /// Notes that a page was followed by another one.
    pub(super) fn followed(&self, rows: &Rows) {
        self.largest_page.fetch_max(rows.len(), Ordering::Relaxed);
    }

    /// Notes that rows came after an answer whose count had been reached. Returns true the first time.
    pub(super) fn mark_count_wrong(&self) -> bool {
        !self.count_is_wrong.swap(true, Ordering::Relaxed)
    }

    /// What an answer says about the rows after it.
    pub(super) fn of(&self, rows: &Rows) -> End {
        let listed = rows.listed();
        if listed == 0 {
            // The client takes no answer that counts rows, or names a further page, and lists none.
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
