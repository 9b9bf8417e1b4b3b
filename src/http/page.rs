//! One response of a list, as far as it is the same for every API: what stands around the rows, and where the rows go.

use crate::json::Scanner;
use crate::record::NotARecord;

/// What a response says besides its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// How many rows match, on all pages.
    pub total: Option<u64>,
    /// True if the response names a further page.
    pub more: bool,
}

/// What is known of a response that was read to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageMeta {
    /// What it says besides its rows.
    pub envelope: Envelope,
    /// True if its list has a name that the requested list may have. If not, it was the only array in the response.
    pub list_name_known: bool,
}

/// Receives the elements of a list, one after the other.
pub trait ElementSink: Send {
    /// Forgets all elements: the page is read again from its start.
    fn restart(&mut self);

    /// Reads the next element. If it fails, nothing of the element may be left: the same element is offered again
    /// when more of the body has arrived.
    ///
    /// # Errors
    /// [`NotARecord`] if the next element is no record.
    fn element(&mut self, scanner: &mut Scanner<'_>) -> Result<(), NotARecord>;

    /// Judges the elements of a response that was read to its end.
    ///
    /// # Errors
    /// A clause that says why it is not the response to the request; the request is then sent again.
    fn verify(&mut self, answer: &PageMeta) -> Result<(), String> {
        let _ = answer;
        Ok(())
    }

    /// Bytes of memory that the elements take.
    fn memory_used(&self) -> usize {
        0
    }
}

/// A sink that only checks that the elements are JSON.
#[derive(Debug)]
pub struct Discard;

impl ElementSink for Discard {
    fn restart(&mut self) {}

    fn element(&mut self, scanner: &mut Scanner<'_>) -> Result<(), NotARecord> {
        Ok(scanner.value().map(|_| ())?)
    }
}

/// Reads the body of a response while it arrives.
pub trait ReadPage: Send {
    /// Reads on in `chunk`, which begins where the last call stopped; with `last`, nothing follows it. Returns how
    /// many bytes are done.
    ///
    /// # Errors
    /// [`Error`](super::Error); elements may have been passed on before.
    fn feed(&mut self, chunk: &[u8], last: bool, sink: &mut dyn ElementSink) -> Result<usize, super::Error>;

    /// Ends the body, and returns what is known of the response.
    ///
    /// # Errors
    /// [`Error`](super::Error) if there was no list, or the response belongs to another request.
    fn finish(self, sink: &mut dyn ElementSink) -> Result<PageMeta, super::Error>;
}
