//! Parses the body of a list response: finds the list, passes each element to a sink, and returns the other data.
//!
//! The body (API documentation, common usage) is an object with `total_count`, `next_page` if there is a further page,
//! and one array. For some resources, the array's name differs from the path, and the vendor's descriptions contradict
//! each other. So the only array of the body is used, unless it has the name of another resource's list. A response
//! that contradicts itself or belongs to another request is an error.

use crate::http::body::{self, BodyError, BodyParts};
use crate::http::{ElementSink, Envelope, PageMeta};
use crate::json::{Kind, NotJson, Scanner};
use crate::record::NotARecord;
use crate::sync::query::Query;

/// The reason why a body is not a list response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageError {
    /// The body cannot be parsed.
    Body(BodyError),
    /// The body is JSON without a list; contains the names of its fields.
    NoList(Vec<String>),
    /// The body contains the list twice, so it is unclear which one is right.
    TwoLists,
    /// The body contains the list of another resource; contains the list's name.
    ForeignList(String),
    /// `next_page` leads to another resource; contains the resource's name.
    ForeignNext(String),
    /// The first page lists no rows, although `total_count` is this number.
    CountWithoutRows(u64),
    /// The page lists no rows, although there is a further page.
    NextPageWithoutRows,
}

/// The names of lists in responses.
#[derive(Clone, Debug, Default)]
pub struct ListNames<'n> {
    /// Names of the requested list.
    pub own: Vec<&'n str>,
    /// Names of other resources' lists. A name that is also in `own` counts as one of `own`.
    pub foreign: &'n [&'n str],
}

/// Maximum number of field names that are kept for the error of a response without a list. A response can have
/// millions.
const NAMES_KEPT: usize = 10;
/// Maximum length of such a name in characters, so that ten fit into an error message.
const NAME_LENGTH: usize = 100;

/// Parses a body while it arrives. Complete elements are passed on immediately, so that neither the body nor its rows
/// are in memory twice.
#[derive(Debug)]
pub struct PageParser<'n> {
    names: ListNames<'n>,
    /// The request, if it is known.
    query: Option<&'n Query>,
    state: ParserState,
    envelope: Envelope,
    /// True if `next_page` leads to a later page.
    has_next: bool,
    /// The other resource that `next_page` leads to, if any.
    foreign_next: Option<String>,
    /// The name of another resource's list in the body, if any.
    foreign: Option<String>,
    /// Number of elements passed on.
    rows: u64,
    seen: Vec<String>,
    found: bool,
    /// True if the body contains the list twice.
    has_list_twice: bool,
    /// The last array with another name, and the number of such arrays.
    other: Option<Vec<u8>>,
    others: usize,
    /// Number of bytes parsed.
    consumed: usize,
}

/// The part of the body that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ParserState {
    Start,
    Field { first: bool },
    Element { first: bool },
    End,
}

impl<'n> PageParser<'n> {
    /// Returns a parser for a list with one of these names.
    pub fn new(own: &[&'n str]) -> Self {
        Self {
            names: ListNames { own: own.to_vec(), foreign: &[] },
            query: None,
            state: ParserState::Start,
            envelope: Envelope::default(),
            has_next: false,
            foreign_next: None,
            foreign: None,
            rows: 0,
            seen: Vec::new(),
            found: false,
            has_list_twice: false,
            other: None,
            others: 0,
            consumed: 0,
        }
    }

    /// Returns a parser for the response to this request.
    pub fn answering(query: &'n Query, names: ListNames<'n>) -> Self {
        Self { names, query: Some(query), ..Self::new(&[]) }
    }

    /// Parses `chunk`, which begins at the first byte that the last call did not parse. `last` is true if it is the end
    /// of the body. Returns the number of parsed bytes.
    ///
    /// # Errors
    /// [`PageError`]. The sink may have received elements before.
    pub fn feed(&mut self, chunk: &[u8], last: bool, sink: &mut dyn ElementSink) -> Result<usize, PageError> {
        let mut consumed = self.consumed;
        let done = body::feed(self, &mut consumed, (chunk, last), sink).map_err(PageError::Body)?;
        self.consumed = consumed;
        Ok(done)
    }

    /// Ends the body and returns the data other than the rows.
    ///
    /// # Errors
    /// [`PageError`] if there was no list.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn finish(self, sink: &mut dyn ElementSink) -> Result<Envelope, PageError> {
        self.finish_with_meta(sink).map(|meta| meta.envelope)
    }

    /// Returns the number of rows that the part of the body so far reports.
    pub(super) fn total(&self) -> Option<u64> {
        self.envelope.total
    }

    /// Ends the body and returns the data other than the rows, and if the list has a known name.
    ///
    /// # Errors
    /// [`PageError`] if there was no list, or the response does not belong to the request.
    pub fn finish_with_meta(mut self, sink: &mut dyn ElementSink) -> Result<PageMeta, PageError> {
        if self.has_list_twice {
            return Err(PageError::TwoLists);
        }
        if let Some(resource) = self.foreign_next.take() {
            return Err(PageError::ForeignNext(resource));
        }
        if !self.found {
            match (self.foreign.take(), self.other.take()) {
                (Some(name), _) => return Err(PageError::ForeignList(name)),
                (None, Some(text)) if self.others == 1 => self.unnamed(&text, sink)?,
                (None, None) if self.others == 0 && self.envelope.total == Some(0) => {}
                _ => return Err(PageError::NoList(self.seen)),
            }
        }
        match (self.query, self.envelope.total) {
            (Some(_), _) if self.rows == 0 && self.has_next => Err(PageError::NextPageWithoutRows),
            (Some(query), Some(total @ 1..)) if self.rows == 0 && query.page_number() == 1 && query.uses_count() => {
                Err(PageError::CountWithoutRows(total))
            }
            _ => Ok(PageMeta { envelope: self.envelope, list_name_known: self.found }),
        }
    }

    /// Uses the only array of the body as the list. `text` is the array, whose name is unknown.
    fn unnamed(&mut self, text: &[u8], sink: &mut dyn ElementSink) -> Result<(), PageError> {
        let mut scanner = Scanner::new(text);
        scanner.take(b'[');
        scanner.skip_space();
        if scanner.take(b']') {
            // An empty array may be any field: it does not show that the list is empty.
            let believed = self.query.is_none() || self.envelope.total == Some(0);
            return if believed { Ok(()) } else { Err(PageError::NoList(std::mem::take(&mut self.seen))) };
        }
        self.state = ParserState::Element { first: true };
        while matches!(self.state, ParserState::Element { .. }) {
            self.step(&mut scanner, true, sink).map_err(|reason| match reason {
                NotARecord::Json(NotJson(at)) => {
                    PageError::Body(BodyError::NotJson { at, length: text.len(), page: false })
                }
                NotARecord::NotAnObject => PageError::Body(BodyError::NotAnObject),
            })?;
        }
        Ok(())
    }

    /// Reads the value of `next_page`: a link to a page.
    fn follow(&mut self, value: &[u8]) {
        let Ok(next) = serde_json::from_slice::<String>(value) else { return };
        self.envelope.more = !next.is_empty();
        let page = page_of(&next);
        self.has_next =
            self.envelope.more && self.query.is_none_or(|query| page.is_none_or(|page| page > query.page_number()));
        let resource = self.query.map(|query| query.stream.name);
        self.foreign_next = resource_of(&next)
            .filter(|named| resource.is_some_and(|resource| !named.eq_ignore_ascii_case(resource)))
            .map(|named| named.chars().take(NAME_LENGTH).collect());
    }

    fn is_foreign(&self, name: &str) -> bool {
        !self.names.own.contains(&name) && self.names.foreign.contains(&name)
    }

    /// Parses a field of the object; of the list, only the name.
    fn field(&mut self, scanner: &mut Scanner<'_>) -> Result<(), NotJson> {
        let name = String::from_utf8_lossy(scanner.text()?).into_owned();
        scanner.skip_space();
        scanner.require(b':')?;
        scanner.skip_space();
        if scanner.peek() == Some(b'[') && !self.found && self.names.own.contains(&name.as_str()) {
            scanner.take(b'[');
            scanner.skip_space();
            if scanner.peek().is_none() {
                return Err(scanner.fault());
            }
            let empty = scanner.take(b']');
            self.state = if empty { ParserState::Field { first: false } } else { ParserState::Element { first: true } };
            self.found = true;
            self.other = None;
        } else {
            let from = scanner.position();
            let (kind, _) = scanner.value()?;
            let value = scanner.since(from);
            if scanner.peek().is_none() {
                // The number may continue in the next chunk.
                return Err(scanner.fault());
            }
            match (name.as_str(), kind) {
                // An older description calls it `total` (resources, mailing lists).
                ("total_count" | "total", Kind::Integer | Kind::Text) => {
                    let total = String::from_utf8_lossy(value).trim_matches('"').parse().ok();
                    let known = self.envelope.total;
                    self.envelope.total = if name == "total" { known.or(total) } else { total };
                }
                ("next_page", Kind::Text) => self.follow(value),
                (name, Kind::Array) if self.is_foreign(name) => self.foreign = Some(name.to_owned()),
                (_, Kind::Array) => {
                    self.has_list_twice |= self.found && self.names.own.contains(&name.as_str());
                    self.others += 1;
                    self.other = (!self.found && self.others == 1).then(|| value.to_vec());
                }
                _ => {}
            }
            self.state = ParserState::Field { first: false };
        }
        if self.seen.len() < NAMES_KEPT {
            self.seen.push(name.chars().take(NAME_LENGTH).collect());
        }
        Ok(())
    }
}

impl BodyParts for PageParser<'_> {
    fn step(&mut self, scanner: &mut Scanner<'_>, last: bool, sink: &mut dyn ElementSink) -> Result<bool, NotARecord> {
        match self.state {
            ParserState::Start => {
                scanner.take_all(b"\xef\xbb\xbf");
                scanner.skip_space();
                if scanner.peek() == Some(b'{') {
                    scanner.take(b'{');
                    self.state = ParserState::Field { first: true };
                } else {
                    scanner.value()?;
                    if !last {
                        return Err(scanner.fault().into());
                    }
                    self.state = ParserState::End;
                }
            }
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
            ParserState::Element { first } => {
                scanner.skip_space();
                if !first {
                    if scanner.take(b']') {
                        self.state = ParserState::Field { first: false };
                        return Ok(true);
                    }
                    scanner.require(b',')?;
                    scanner.skip_space();
                }
                sink.element(scanner)?;
                self.rows += 1;
                self.state = ParserState::Element { first: false };
            }
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
        first.is_none_or(|byte| matches!(byte, b'{' | 0xef))
    }
}

/// Returns the resource in a link to another page: the last part of its path, if the path is one of the API.
fn resource_of(link: &str) -> Option<&str> {
    const ROOT: &str = "api/v1/";
    let path = link.split(['?', '#']).next()?;
    let (before, below) = path.split_at(path.to_ascii_lowercase().rfind(ROOT)?);
    let last = below.get(ROOT.len()..)?.trim_end_matches('/').rsplit('/').next()?;
    let name = last.strip_suffix(".json").unwrap_or(last);
    ((before.is_empty() || before.ends_with('/')) && !name.is_empty()).then_some(name)
}

/// Returns the page number in a link.
fn page_of(link: &str) -> Option<u64> {
    let query = link.split('#').next()?.split_once('?')?.1;
    query.split('&').find_map(|part| part.strip_prefix("page="))?.parse().ok()
}

/// Parses a complete body.
///
/// # Errors
/// [`PageError`]. The sink may have received elements before.
#[cfg(any(test, feature = "fuzzing"))]
pub fn read(body: &[u8], names: &[&str], sink: &mut dyn ElementSink) -> Result<Envelope, PageError> {
    let mut parser = PageParser::new(names);
    parser.feed(body, true, sink)?;
    parser.finish(sink)
}

#[cfg(test)]
mod tests;
