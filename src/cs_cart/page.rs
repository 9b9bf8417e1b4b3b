//! Parses the body of a list response: finds the list, passes each element to a sink, and reads the parameters that the
//! store understood.
//!
//! The body (CS-Cart REST API, overview) is an object with the list, and `params` (or `search`) with the page, the
//! order and the number of rows. The list is an array, or an object with a row in each member; an empty object is sent
//! as an empty array. Some answers are the list itself, and a single row is sent without an envelope. Numbers may be
//! strings.

use serde_json::Value;

use super::query;
use crate::http::body::{self, BodyError, BodyParts};
use crate::http::{ElementSink, Envelope, PageMeta};
use crate::json::{self, Kind, NotJson, Scanner};
use crate::record::NotARecord;
use crate::sync::query::Query;

/// The reason why a body is not a list response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageError {
    /// The body is empty: PHP writes nothing if a string is not UTF-8.
    Empty,
    /// The body cannot be parsed. A message of PHP before the JSON is one reason.
    Body(BodyError),
    /// The body is JSON without the list; contains the names of its fields.
    NoList(Vec<String>),
    /// The first row lacks this field, which a filter of the request needs.
    NoField(&'static str),
    /// The rows have another order than the requested one; contains the store's name of it.
    OtherOrder(String),
}

/// Maximum number of field names that are kept for the error of a response without a list.
const NAMES_KEPT: usize = 10;
/// Maximum length of such a name in characters, so that ten fit into an error message.
const NAME_LENGTH: usize = 100;

/// Parses a body while it arrives. Complete elements are passed on immediately, so that neither the body nor its rows
/// are in memory twice.
#[derive(Debug)]
pub struct PageParser<'n> {
    query: &'n Query,
    state: ParserState,
    /// Name of the list; empty if the body is the list.
    list: &'static str,
    found: bool,
    seen: Vec<String>,
    params: Value,
    /// Field that the next row must have.
    required: Option<&'static str>,
    /// Field that a row lacks.
    lacking: Option<&'static str>,
    /// Number of bytes parsed.
    consumed: usize,
}

/// The part of the body that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ParserState {
    Start,
    Field { first: bool },
    Element { first: bool, is_keyed: bool },
    End,
}

impl<'n> PageParser<'n> {
    /// Returns a parser for the response to this request.
    pub fn answering(query: &'n Query) -> Self {
        Self {
            query,
            state: ParserState::Start,
            list: query.stream.list,
            found: false,
            seen: Vec::new(),
            params: Value::Null,
            required: None,
            lacking: None,
            consumed: 0,
        }
    }

    /// Accepts rows only if the first one has this field.
    pub fn requiring(self, required: Option<&'static str>) -> Self {
        Self { required, ..self }
    }

    /// Parses `chunk`, which begins at the first byte that the last call did not parse. `last` is true if it is the end
    /// of the body. Returns the number of parsed bytes.
    ///
    /// # Errors
    /// [`PageError`]. The sink may have received elements before.
    pub fn feed(&mut self, chunk: &[u8], last: bool, sink: &mut dyn ElementSink) -> Result<usize, PageError> {
        if last && self.consumed == 0 && chunk.iter().all(u8::is_ascii_whitespace) {
            return Err(PageError::Empty);
        }
        let mut consumed = self.consumed;
        let done = body::feed(self, &mut consumed, (chunk, last), sink).map_err(PageError::Body)?;
        self.consumed = consumed;
        Ok(done)
    }

    /// Ends the body and returns the data other than the rows.
    ///
    /// # Errors
    /// [`PageError`] if there was no list, the rows lack a field, or the store replaced the requested order by another
    /// one.
    pub fn finish(self) -> Result<PageMeta, PageError> {
        if let Some(field) = self.lacking {
            return Err(PageError::NoField(field));
        }
        if !self.found {
            return Err(PageError::NoList(self.seen));
        }
        let text = |name: &str| match &self.params[name] {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let number = |name: &str| text(name).and_then(|text| text.trim().parse().ok());
        if let (Some((sort, order)), Some(echoed)) = (query::sort(self.query), text("sort_by")) {
            let direction = text("sort_order").unwrap_or_else(|| order.to_owned());
            if echoed != sort || !direction.eq_ignore_ascii_case(order) {
                let shown = format!("{echoed} {direction}").chars().take(NAME_LENGTH).collect();
                return Err(PageError::OtherOrder(shown));
            }
        }
        let envelope = Envelope { total: number("total_items"), more: false, page: number("page") };
        Ok(PageMeta { envelope, list_name_known: true })
    }

    /// Parses the beginning of the body, and all of it if it is a single row.
    fn start(&mut self, scanner: &mut Scanner<'_>, last: bool, sink: &mut dyn ElementSink) -> Result<(), NotJson> {
        scanner.take_all(b"\xef\xbb\xbf");
        scanner.skip_space();
        if self.query.parent.is_some() {
            if !last {
                // A row is parsed when it is complete: the body has nothing else.
                return Err(scanner.fault());
            }
            if scanner.peek() != Some(b'{') {
                return Err(scanner.fault());
            }
            put(scanner, sink)?;
            (self.found, self.state) = (true, ParserState::End);
        } else if self.list.is_empty() && matches!(scanner.peek(), Some(b'{' | b'[')) {
            let is_keyed = scanner.take(b'{');
            if !is_keyed {
                scanner.require(b'[')?;
            }
            // An object without a row is something else, such as an error message or the version of the API, which has
            // no key.
            self.found = !is_keyed || self.query.stream.primary_key.is_empty();
            self.state = ParserState::Element { first: true, is_keyed };
        } else {
            scanner.require(b'{')?;
            self.state = ParserState::Field { first: true };
        }
        Ok(())
    }

    /// Parses an element of the list, or its end.
    fn element(
        &mut self,
        scanner: &mut Scanner<'_>,
        (first, is_keyed): (bool, bool),
        sink: &mut dyn ElementSink,
    ) -> Result<(), NotJson> {
        scanner.skip_space();
        if scanner.take(if is_keyed { b'}' } else { b']' }) {
            self.found |= first;
            self.state = if self.list.is_empty() { ParserState::End } else { ParserState::Field { first: false } };
            return Ok(());
        }
        if !first {
            scanner.require(b',')?;
            scanner.skip_space();
        }
        let mut name = None;
        if is_keyed {
            name = Some(scanner.text()?);
            scanner.skip_space();
            scanner.require(b':')?;
            scanner.skip_space();
        }
        let (from, is_row) = (scanner.position(), scanner.peek() == Some(b'{'));
        put(scanner, sink)?;
        self.found |= is_row;
        if let Some(name) = name.filter(|_| !self.found) {
            self.note(name);
        }
        if let Some(field) = self.required.take_if(|_| is_row) {
            self.lacking = json::member(scanner.since(from), field).is_none().then_some(field);
        }
        self.state = ParserState::Element { first: false, is_keyed };
        Ok(())
    }

    /// Parses a field of the object; of the list, only the name.
    fn field(&mut self, scanner: &mut Scanner<'_>) -> Result<(), NotJson> {
        let name = scanner.text()?;
        scanner.skip_space();
        scanner.require(b':')?;
        scanner.skip_space();
        if name == self.list.as_bytes() && !self.found && matches!(scanner.peek(), Some(b'[' | b'{')) {
            let is_keyed = scanner.take(b'{');
            scanner.take(b'[');
            (self.found, self.state) = (true, ParserState::Element { first: true, is_keyed });
        } else {
            let from = scanner.position();
            let (kind, _) = scanner.value()?;
            if scanner.peek().is_none() {
                // The number may continue in the next chunk.
                return Err(scanner.fault());
            }
            if matches!(name, b"params" | b"search") && kind == Kind::Object {
                self.params = serde_json::from_slice(scanner.since(from)).unwrap_or_default();
            }
            self.state = ParserState::Field { first: false };
        }
        self.note(name);
        Ok(())
    }

    /// Keeps the name of a field for the error of a response without a list.
    fn note(&mut self, name: &[u8]) {
        if self.seen.len() < NAMES_KEPT {
            self.seen.push(String::from_utf8_lossy(name).chars().take(NAME_LENGTH).collect());
        }
    }
}

impl BodyParts for PageParser<'_> {
    fn step(&mut self, scanner: &mut Scanner<'_>, last: bool, sink: &mut dyn ElementSink) -> Result<bool, NotARecord> {
        match self.state {
            ParserState::Start => self.start(scanner, last, sink)?,
            ParserState::Field { first } => {
                scanner.skip_space();
                if scanner.take(b'}') {
                    self.state = ParserState::End;
                    return Ok(true);
                }
                if !first {
                    scanner.require(b',')?;
                    scanner.skip_space();
                }
                self.field(scanner)?;
            }
            ParserState::Element { first, is_keyed } => self.element(scanner, (first, is_keyed), sink)?,
            ParserState::End => {
                scanner.skip_space();
                return if scanner.peek().is_some() { Err(scanner.fault().into()) } else { Ok(false) };
            }
        }
        Ok(true)
    }

    fn is_at_start(&self) -> bool {
        self.state == ParserState::Start
    }

    fn may_begin_with(first: Option<u8>) -> bool {
        matches!(first, Some(b'{' | b'['))
    }
}

/// Passes an element to the sink. Anything but an object is counted: `false` stands for a row that was deleted between
/// two statements of the store.
fn put(scanner: &mut Scanner<'_>, sink: &mut dyn ElementSink) -> Result<(), NotJson> {
    if scanner.peek() != Some(b'{') {
        scanner.value()?;
        if scanner.peek().is_none() {
            // The number or word may continue in the next chunk.
            return Err(scanner.fault());
        }
        sink.skip();
        return Ok(());
    }
    match sink.element(scanner) {
        Ok(()) => Ok(()),
        Err(NotARecord::Json(fault)) => Err(fault),
        Err(NotARecord::NotAnObject) => Err(scanner.fault()),
    }
}

#[cfg(test)]
mod tests;
