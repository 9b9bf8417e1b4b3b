//! Parses a JSON body that arrives in chunks: what is the same for every API.

use super::page::ElementSink;
use crate::json::{NotJson, Scanner};
use crate::record::NotARecord;

/// The reason why a body cannot be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// The body is not JSON: truncated, or a web page.
    NotJson {
        /// Offset of the first invalid byte.
        at: usize,
        /// Length of the body.
        length: usize,
        /// True if it does not begin like a response of the API, but like a web page.
        page: bool,
    },
    /// The body begins like JSON and contains a byte that is not UTF-8.
    NotUtf8 {
        /// Offset of that byte.
        at: usize,
    },
    /// Arrays and objects are nested too deeply.
    TooDeep,
    /// An element of the list is not an object.
    NotAnObject,
}

/// Parses the parts of a body, one after the other.
pub trait BodyParts {
    /// Parses the next part of the body; returns false at the end. Changes nothing if it fails. `last` is true if the
    /// scanner has the end of the body.
    ///
    /// # Errors
    /// [`NotARecord`] if the part is not JSON, or not what the API sends.
    fn step(&mut self, scanner: &mut Scanner<'_>, last: bool, sink: &mut dyn ElementSink) -> Result<bool, NotARecord>;

    /// Returns true before the first part.
    fn is_at_start(&self) -> bool;

    /// Returns true if a body of the API may begin with this byte; `None` if it begins with white space only.
    fn may_begin_with(first: Option<u8>) -> bool;
}

/// Parses `chunk`, which begins at the first byte that the last call did not parse: that with the number `consumed`.
/// `last` is true if it is the end of the body. Returns the number of parsed bytes, and adds it to `consumed`.
///
/// # Errors
/// [`BodyError`]. The sink may have received elements before.
pub fn feed(
    parts: &mut impl BodyParts,
    consumed: &mut usize,
    (chunk, last): (&[u8], bool),
    sink: &mut dyn ElementSink,
) -> Result<usize, BodyError> {
    let length = *consumed + chunk.len();
    let text = match std::str::from_utf8(chunk) {
        Ok(_) => chunk,
        Err(cut) if !last && cut.error_len().is_none() => &chunk[..cut.valid_up_to()],
        Err(fault) => {
            let before = &chunk[..fault.valid_up_to()];
            let error = not_utf8(parts, *consumed, before, length);
            // The count may be before the byte. With it, the next response cannot hide rows by a lower one.
            let mut scanner = Scanner::new(before);
            while matches!(parts.step(&mut scanner, false, sink), Ok(true)) {}
            return Err(error);
        }
    };
    let mut scanner = Scanner::new(text);
    let mut done = 0;
    loop {
        match parts.step(&mut scanner, last, sink) {
            Ok(more) => {
                done = scanner.position();
                if !more {
                    break;
                }
            }
            Err(NotARecord::NotAnObject) => return Err(BodyError::NotAnObject),
            Err(NotARecord::Json(_)) if scanner.is_too_deep() => return Err(BodyError::TooDeep),
            // The JSON may only be incomplete: it is parsed again when more of the body has arrived.
            Err(NotARecord::Json(_)) if !last => break,
            Err(NotARecord::Json(NotJson(at))) => {
                let page = parts.is_at_start() && !text.iter().all(u8::is_ascii_whitespace);
                return Err(BodyError::NotJson { at: *consumed + at, length, page });
            }
        }
    }
    *consumed += done;
    Ok(done)
}

/// Returns the error for a byte after `before` that is not UTF-8. `length` bytes of the body have arrived.
fn not_utf8<P: BodyParts>(parts: &P, consumed: usize, before: &[u8], length: usize) -> BodyError {
    let blank = before.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    if !parts.is_at_start() || P::may_begin_with(before.get(blank).copied()) {
        BodyError::NotUtf8 { at: consumed + before.len() }
    } else {
        BodyError::NotJson { at: consumed + blank, length, page: true }
    }
}
