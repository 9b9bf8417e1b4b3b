//! The parts of a list response that are the same for every API: the envelope, and the receiver of the rows.

use crate::json::Scanner;
use crate::record::NotARecord;

/// The data of a response other than its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Number of rows that match the request, on all pages.
    pub total: Option<u64>,
    /// True if the response names a further page.
    pub more: bool,
    /// Number of the page that the response contains, if it says so. A server may send the last page in place of one
    /// beyond the end.
    pub page: Option<u64>,
}

/// The result of parsing a complete response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageMeta {
    /// The data of the response other than its rows.
    pub envelope: Envelope,
    /// True if the list has one of the names that the API uses for the requested list. If false, it was the only array
    /// in the response.
    pub list_name_known: bool,
}

/// Receives the elements of a list, one by one.
pub trait ElementSink: Send {
    /// Discards all elements: the page is read again from its start.
    fn restart(&mut self);

    /// Reads the next element. On an error, no part of the element may be kept: the same element is offered again when
    /// more of the body has arrived.
    ///
    /// # Errors
    /// [`NotARecord`] if the next element is not a record.
    fn element(&mut self, scanner: &mut Scanner<'_>) -> Result<(), NotARecord>;

    /// Counts an element that is not a record, such as `false` in place of a row that was deleted during the request.
    fn skip(&mut self) {}

    /// Checks the elements of a complete response.
    ///
    /// # Errors
    /// [`ResponseMismatch`] if this cannot be the response to the request. The request is then sent again.
    fn verify(&mut self, answer: &PageMeta) -> Result<(), ResponseMismatch> {
        let _ = answer;
        Ok(())
    }

    /// Returns the memory that the elements use, in bytes.
    fn memory_used(&self) -> usize {
        0
    }
}

/// The reason why a complete response cannot be the one to the request. Its message is a clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseMismatch {
    /// The list has an unknown name, and a row lacks the key.
    #[error("the response's list has an unknown name, and its rows lack the key of this stream")]
    NoKey,
    /// The list has an unknown name, and its rows do not have the declared fields.
    #[error("the response's list has an unknown name, and its rows have fields of another stream")]
    OtherFields,
    /// The rows have keys that were not requested; contains a clause that says how they differ.
    #[error("the response belongs to another request: {0}")]
    OtherKeys(&'static str),
}

/// A sink that checks that the elements are JSON, and discards them.
#[derive(Debug)]
pub struct Discard;

impl ElementSink for Discard {
    fn restart(&mut self) {}

    fn element(&mut self, scanner: &mut Scanner<'_>) -> Result<(), NotARecord> {
        Ok(scanner.value().map(|_| ())?)
    }
}

/// Parses the body of a response while it arrives.
pub trait ReadPage: Send {
    /// Parses `chunk`, which begins at the first byte that the last call did not parse. `last` is true if it is the end
    /// of the body. Returns the number of parsed bytes.
    ///
    /// # Errors
    /// [`Error`](super::Error) if the body is invalid. `sink` may have received elements before.
    fn feed(&mut self, chunk: &[u8], last: bool, sink: &mut dyn ElementSink) -> Result<usize, super::Error>;

    /// Ends the body and returns the data of the response other than its rows.
    ///
    /// # Errors
    /// [`Error`](super::Error) if the response contains no list or belongs to another request.
    fn finish(self, sink: &mut dyn ElementSink) -> Result<PageMeta, super::Error>;
}
