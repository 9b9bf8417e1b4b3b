//! The body of a list answer: finds the list, hands each element on, and says what the envelope says.
//!
//! Envelope (API documentation, common usage): an object with `total_count`, `next_page` if there is
//! a further page, and one array. The array's name differs from the resource's path for some
//! resources, and the vendor's descriptions contradict each other, so the only array there is will do, unless
//! its name is that of another resource's list. An answer that contradicts itself, or is the answer to another
//! request, is none.

use crate::http::{ElementSink, Envelope, PageMeta};
use crate::json::{Kind, NotJson, Scanner};
use crate::record::NotARecord;
use crate::sync::query::Query;

/// Why a body is no list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageError {
    /// The body is not JSON: cut short, an HTML page, empty.
    NotJson {
        /// Offset of the first byte that cannot be.
        at: usize,
        /// Length of the body.
        length: usize,
        /// Whether it begins as no answer of the API does: a web page.
        page: bool,
    },
    /// It begins like JSON and holds a byte that is not UTF-8.
    NotUtf8 {
        /// Offset of that byte.
        at: usize,
    },
    /// JSON, but no list; the names of the fields seen.
    NoList(Vec<String>),
    /// The list is there twice: it cannot be told which one counts.
    TwoLists,
    /// Arrays and objects nest deeper than is read.
    TooDeep,
    /// The list holds something that is no object.
    NotAnObject,
    /// It holds the list of another resource; the list's name.
    ForeignList(String),
    /// Its `next_page` leads to another resource; the name of that.
    ForeignNext(String),
    /// It counts so many rows, and lists none on the first page.
    CountWithoutRows(u64),
    /// It names a further page, and lists no row.
    NextPageWithoutRows,
}

/// The names that lists have in answers.
#[derive(Clone, Debug, Default)]
pub struct ListNames<'n> {
    /// Those that the list asked for may have.
    pub own: Vec<&'n str>,
    /// Those of other resources' lists. One that is among the own ones counts as own.
    pub foreign: &'n [&'n str],
}

/// Names of fields that are kept for the error of an answer without a list; an answer can have millions.
const NAMES_KEPT: usize = 10;
/// Characters of such a name.
const NAME_LENGTH: usize = 100;

/// A body being read while it arrives. What is complete is handed on at once, so that neither the body
/// nor its rows are ever in memory twice.
#[derive(Debug)]
pub struct PageParser<'n> {
    names: ListNames<'n>,
    /// The request, if what it asked for is known.
    query: Option<&'n Query>,
    state: ParserState,
    envelope: Envelope,
    /// Whether `next_page` leads further than this page.
    has_next: bool,
    /// The other resource that it leads to.
    foreign_next: Option<String>,
    /// The name of another resource's list.
    foreign: Option<String>,
    /// Elements that were handed on.
    rows: u64,
    seen: Vec<String>,
    found: bool,
    /// Whether it is there a second time.
    has_list_twice: bool,
    /// An array under another name, and how many there were.
    other: Option<Vec<u8>>,
    others: usize,
    /// Bytes that were handed on.
    consumed: usize,
}

/// Where in the body the reading stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ParserState {
    Start,
    Field { first: bool },
    Element { first: bool },
    End,
}

impl<'n> PageParser<'n> {
    /// Begins a body of which no more is known than the names that its list may have.
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

    /// Begins the body of an answer to this request.
    pub fn answering(query: &'n Query, names: ListNames<'n>) -> Self {
        Self { names, query: Some(query), ..Self::new(&[]) }
    }

    /// Reads on in `chunk`, which begins where the last call left off; `last` says that nothing
    /// follows it. Gives how many bytes are done with.
    ///
    /// # Errors
    /// [`PageError`]; elements may have been handed on before it was noticed.
    pub fn feed(&mut self, chunk: &[u8], last: bool, sink: &mut dyn ElementSink) -> Result<usize, PageError> {
        let length = self.consumed + chunk.len();
        let text = match std::str::from_utf8(chunk) {
            Ok(_) => chunk,
            Err(cut) if !last && cut.error_len().is_none() => &chunk[..cut.valid_up_to()],
            Err(fault) => return Err(self.not_utf8(&chunk[..fault.valid_up_to()], length)),
        };
        let mut scanner = Scanner::new(text);
        let mut done = 0;
        loop {
            match self.step(&mut scanner, last, sink) {
                Ok(more) => {
                    done = scanner.position();
                    if !more {
                        break;
                    }
                }
                Err(NotARecord::NotAnObject) => return Err(PageError::NotAnObject),
                Err(NotARecord::Json(_)) if scanner.is_too_deep() => return Err(PageError::TooDeep),
                // What looks wrong may only be cut short here: it is looked at again with more behind it.
                Err(NotARecord::Json(_)) if !last => break,
                Err(NotARecord::Json(NotJson(at))) => {
                    let page = self.state == ParserState::Start && !is_blank(text);
                    return Err(PageError::NotJson { at: self.consumed + at, length, page });
                }
            }
        }
        self.consumed += done;
        Ok(done)
    }

    /// The fault of a byte that is not UTF-8 behind this text, in a body of which `length` bytes are there.
    fn not_utf8(&self, before: &[u8], length: usize) -> PageError {
        let blank = before.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let begun =
            self.state != ParserState::Start || before.get(blank).is_none_or(|&byte| matches!(byte, b'{' | 0xef));
        if begun {
            PageError::NotUtf8 { at: self.consumed + before.len() }
        } else {
            PageError::NotJson { at: self.consumed + blank, length, page: true }
        }
    }

    /// What the envelope said, at the end of the body.
    ///
    /// # Errors
    /// [`PageError`] if there was no list.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn finish(self, sink: &mut dyn ElementSink) -> Result<Envelope, PageError> {
        self.finish_with_meta(sink).map(|meta| meta.envelope)
    }

    /// What is known of the answer, at the end of the body.
    ///
    /// # Errors
    /// [`PageError`] if there was no list, or the answer is not one to the request.
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

    /// Takes the only array there is, whose name is not known.
    fn unnamed(&mut self, text: &[u8], sink: &mut dyn ElementSink) -> Result<(), PageError> {
        let mut scanner = Scanner::new(text);
        scanner.take(b'[');
        scanner.skip_space();
        if scanner.take(b']') {
            // An empty array of any name says nothing of this list.
            let believed = self.query.is_none() || self.envelope.total == Some(0);
            return if believed { Ok(()) } else { Err(PageError::NoList(std::mem::take(&mut self.seen))) };
        }
        self.state = ParserState::Element { first: true };
        while matches!(self.state, ParserState::Element { .. }) {
            self.step(&mut scanner, true, sink).map_err(|reason| match reason {
                NotARecord::Json(NotJson(at)) => PageError::NotJson { at, length: text.len(), page: false },
                NotARecord::NotAnObject => PageError::NotAnObject,
            })?;
        }
        Ok(())
    }

    /// Looks where `next_page`, which is `value`, leads.
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

    /// Takes what comes next; false at the end. Changes nothing when it fails.
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

    fn is_foreign(&self, name: &str) -> bool {
        !self.names.own.contains(&name) && self.names.foreign.contains(&name)
    }

    /// Takes a field of the envelope, or its name if it is the list.
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
                // A number may go on.
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

/// The resource that a link to another page leads to: the last part of its path, if that is one of the API.
fn resource_of(link: &str) -> Option<&str> {
    const ROOT: &str = "api/v1/";
    let path = link.split(['?', '#']).next()?;
    let (before, below) = path.split_at(path.to_ascii_lowercase().rfind(ROOT)?);
    let last = below.get(ROOT.len()..)?.trim_end_matches('/').rsplit('/').next()?;
    let name = last.strip_suffix(".json").unwrap_or(last);
    ((before.is_empty() || before.ends_with('/')) && !name.is_empty()).then_some(name)
}

/// The number of the page that a link leads to.
fn page_of(link: &str) -> Option<u64> {
    let query = link.split('#').next()?.split_once('?')?.1;
    query.split('&').find_map(|part| part.strip_prefix("page="))?.parse().ok()
}

fn is_blank(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_whitespace)
}

/// Reads a body that is there as a whole.
///
/// # Errors
/// [`PageError`]; elements may have been handed on before it was noticed.
#[cfg(any(test, feature = "fuzzing"))]
pub fn read(body: &[u8], names: &[&str], sink: &mut dyn ElementSink) -> Result<Envelope, PageError> {
    let mut parser = PageParser::new(names);
    parser.feed(body, true, sink)?;
    parser.finish(sink)
}

#[cfg(test)]
mod tests;
