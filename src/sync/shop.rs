//! What a shop implements: it lists rows of its streams, and says what its API can do.

use std::fmt;

use super::query::Query;
use super::stream::Stream;
use crate::http::{BoxFuture, ElementSink, Envelope, Error, PageResponse, RequestObserver, RetryPolicy, Usage};

/// What the API of a shop can do, and its limits.
#[derive(Clone, Copy, Debug)]
pub struct Capabilities {
    /// It lists the rows of a range of keys in the order of the keys. If not, lists are read by page numbers.
    pub key_ranges: bool,
    /// It lists further pages by their numbers. If it does neither this nor ranges, one response is the whole list.
    pub page_numbers: bool,
    /// Name of the field with the number of rows that match a request, if there is one.
    pub total_field: Option<&'static str>,
    /// Rows to request of a page.
    pub page_size: usize,
    /// The same with nested collections.
    pub nested_page_size: usize,
    /// Rows of a page if the server ignores how many are requested: a page of this size may have been cut there.
    pub default_page_size: u64,
}

impl Capabilities {
    /// Returns true if one response is the whole list.
    pub fn is_one_response(&self) -> bool {
        !self.key_ranges && !self.page_numbers
    }
}

/// One store of a shop.
pub trait Shop: fmt::Debug + Send + Sync {
    /// The streams, in the order of the catalog.
    fn streams(&self) -> &'static [Stream];

    /// What the API can do.
    fn capabilities(&self) -> Capabilities;

    /// Requests one page and passes its rows to `sink`, which is told to start again when an attempt fails. If the
    /// page cannot be had with as many rows as requested, it has fewer: [`PageResponse::count`].
    ///
    /// # Errors
    /// [`Error`] if the fault is permanent, or lasts longer than the retry policy allows.
    fn list<'a>(
        &'a self,
        query: &'a Query,
        observer: &'a dyn RequestObserver,
        sink: &'a mut dyn ElementSink,
    ) -> BoxFuture<'a, Result<PageResponse<Envelope>, Error>>;

    /// How many further requests like this one can run at the same time.
    fn free_slots(&self, query: &Query) -> usize;

    /// Returns true while one row of this stream seems to break every response that contains it: short requests then
    /// cost least.
    fn is_bisecting(&self, query: &Query) -> bool;

    /// The host, for messages.
    fn host(&self) -> String;

    /// How long a request may be retried.
    fn retry_policy(&self) -> RetryPolicy;

    /// The calls used so far.
    fn usage(&self) -> Usage;

    /// The stream of this name or alias.
    fn find(&self, name: &str) -> Option<&'static Stream> {
        self.streams().iter().find(|stream| stream.name == name || stream.aliases.contains(&name))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests;
