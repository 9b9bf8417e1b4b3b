//! The interface of a shop: it lists the rows of its streams and describes the abilities of its API.

use std::fmt;

use super::query::Query;
use crate::http::{
    self, Api, BoxFuture, ElementSink, Envelope, Error, PageResponse, RequestObserver, RetryPolicy, Usage,
};
use crate::stream::{self, Stream};

/// Abilities and limits of a shop's API.
#[derive(Clone, Copy, Debug)]
pub struct Capabilities {
    /// True if it lists the rows of a range of keys in the order of the keys. If false, lists are read by page
    /// numbers.
    pub key_ranges: bool,
    /// True if it lists further pages by their numbers. If this and `key_ranges` are false, one response is the
    /// complete list.
    pub page_numbers: bool,
    /// True if it answers 404 for a list without rows. If false, 404 means that there is no such resource.
    pub lists_may_be_missing: bool,
    /// True if it counts the rows of a range of keys, and lists the rows of several keys at once
    /// (`Query::one_of`): then deleted rows can be found.
    pub key_counts: bool,
    /// Name of the field with the number of rows that match a request, if there is one.
    pub total_field: Option<&'static str>,
    /// Rows to request per page.
    pub page_size: usize,
    /// Rows to request per page when collections are nested in the rows.
    pub nested_page_size: usize,
    /// Rows per page if the server ignores the requested number. A page of this size may have been cut.
    pub default_page_size: u64,
}

impl Capabilities {
    /// Returns true if one response is the complete list.
    pub fn is_one_response(&self) -> bool {
        !self.key_ranges && !self.page_numbers
    }
}

/// Sends the requests for lists of one store.
pub trait ListRequests: fmt::Debug + Send + Sync {
    /// Requests one page and passes its rows to `sink`, which starts again each time an attempt fails. If the server
    /// cannot send a page of the requested size, the page has fewer rows: [`PageResponse::count`].
    ///
    /// # Errors
    /// [`Error`] if the fault is permanent, or lasts longer than the retry policy allows.
    fn list<'a>(
        &'a self,
        query: &'a Query,
        observer: &'a dyn RequestObserver,
        sink: &'a mut dyn ElementSink,
    ) -> BoxFuture<'a, Result<PageResponse<Envelope>, Error>>;

    /// Returns the number of further requests like this one that can run at the same time.
    fn free_slots(&self, query: &Query) -> usize;

    /// Returns true while one row of this stream seems to break every response that contains it. Short requests are
    /// then cheapest.
    fn is_bisecting(&self, query: &Query) -> bool;

    /// Returns the host name, for messages.
    fn host(&self) -> String;

    /// Returns the limits on retries of a request.
    fn retry_policy(&self) -> RetryPolicy;

    /// Returns the API calls used so far.
    fn usage(&self) -> Usage;
}

impl<A: Api<Request = Query>> ListRequests for http::Client<A> {
    fn list<'a>(
        &'a self,
        query: &'a Query,
        observer: &'a dyn RequestObserver,
        sink: &'a mut dyn ElementSink,
    ) -> BoxFuture<'a, Result<PageResponse<Envelope>, Error>> {
        Box::pin(self.get(query, observer, sink))
    }

    fn free_slots(&self, query: &Query) -> usize {
        self.free_slots(query)
    }

    fn is_bisecting(&self, query: &Query) -> bool {
        self.is_bisecting(query)
    }

    fn host(&self) -> String {
        self.host()
    }

    fn retry_policy(&self) -> RetryPolicy {
        self.retry_policy()
    }

    fn usage(&self) -> Usage {
        self.usage()
    }
}

/// One store of a shop.
pub trait Shop: fmt::Debug + Send + Sync {
    /// Returns the streams, in the order of the catalog.
    fn streams(&self) -> &'static [Stream];

    /// Returns the abilities of the API.
    fn capabilities(&self) -> Capabilities;

    /// Returns the sender of requests for lists.
    fn requests(&self) -> &dyn ListRequests;

    /// Returns a string that is different for another store or another sign-in, and contains no secret.
    fn identity(&self) -> String {
        self.requests().host()
    }

    /// Returns the parts in which a stream is requested, such as types of users or stores. Empty if one request covers
    /// the complete stream.
    fn parts(&self, stream: &Stream) -> Vec<String> {
        let _ = stream;
        Vec::new()
    }

    /// Returns the stream whose rows own the rows of this one, if a list of a stream leaves out rows that differ only
    /// in their owner. The rows of one owner are requested with [`Shop::part_of_owner`].
    fn owners(&self, stream: &Stream) -> Option<&'static Stream> {
        let _ = stream;
        None
    }

    /// Returns the kinds of rows that can be requested one by one, if there are some.
    fn kinds(&self, stream: &Stream) -> &'static [&'static str] {
        let _ = stream;
        &[]
    }

    /// Returns true if a new row may show a change date before its creation, so that requests for changes miss it.
    fn has_backdated_rows(&self, stream: &Stream) -> bool {
        let _ = stream;
        false
    }

    /// Returns the settings that select the rows of a stream or the language of their values, as one string; `None` if
    /// there are none.
    fn selection(&self, stream: &'static Stream) -> Option<String> {
        let _ = stream;
        None
    }

    /// Returns the part of a stream that belongs to the owner with this key.
    fn part_of_owner(&self, key: i64) -> String {
        key.to_string()
    }

    /// Returns the stream with this name or alias.
    fn find(&self, name: &str) -> Option<&'static Stream> {
        stream::find(self.streams(), name)
    }
}

#[cfg(test)]
mod tests;
