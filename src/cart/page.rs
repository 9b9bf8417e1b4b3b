//! The body of a list answer: finds the list, hands each element on, and says what the envelope says.
//!
//! Envelope (API documentation, common usage): an object with `total_count`, `next_page` if there is
//! a further page, and one array. The array's name differs from the resource's path for some
//! resources, and the vendor's descriptions contradict each other, so the only array there is will do.

use crate::json::{Kind, NotJson, Scanner};
use crate::record::NotARecord;

/// What the envelope says besides the records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// `total_count`: how many rows match, on all pages.
    pub total: Option<u64>,
    /// Whether `next_page` is there and not null: there is a further page.
    pub more: bool,
}

/// Why a body is no list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageFault {
    /// The body is not JSON (or not UTF-8): cut short, an HTML page, empty.
    NotJson {
        /// Offset of the first byte that cannot be.
        at: usize,
        /// Length of the body.
        length: usize,
    },
    /// JSON, but no list; the names of the fields seen.
    NoList(Vec<String>),
    /// The list is there twice: it cannot be told which one counts.
    TwoLists,
    /// Arrays and objects nest deeper than is read.
    TooDeep,
    /// The list holds something that is no object.
    NotAnObject,
}

/// Names of fields that are kept for the error of an answer without a list; an answer can have millions.
const NAMES_KEPT: usize = 10;
/// Characters of such a name.
const NAME_LENGTH: usize = 100;

/// Takes the elements of a list, one after the other.
pub trait Intake: Send {
    /// Forgets what was taken: the page is read again from its start.
    fn restart(&mut self);

    /// Takes the element that comes next. When it fails, nothing of the element may be left: the same
    /// element is offered again once more of the body is there.
    ///
    /// # Errors
    /// [`NotARecord`] if no record comes next.
    fn element(&mut self, scanner: &mut Scanner<'_>) -> Result<(), NotARecord>;

    /// Bytes of memory that what was taken fills.
    fn kept(&self) -> usize {
        0
    }
}

/// An intake that only looks whether the elements are JSON.
#[derive(Debug)]
pub struct Discard;

impl Intake for Discard {
    fn restart(&mut self) {}

    fn element(&mut self, scanner: &mut Scanner<'_>) -> Result<(), NotARecord> {
        Ok(scanner.value().map(|_| ())?)
    }
}

/// A body being read while it arrives. What is complete is handed on at once, so that neither the body
/// nor its rows are ever in memory twice.
#[derive(Debug)]
pub struct Reading<'n> {
    names: &'n [&'n str],
    place: Place,
    envelope: Envelope,
    seen: Vec<String>,
    found: bool,
    /// Whether it is there a second time.
    twice: bool,
    /// An array under another name, and how many there were.
    other: Option<Vec<u8>>,
    others: usize,
    /// Bytes that were handed on.
    passed: usize,
}

/// Where in the body the reading stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Start,
    Field { first: bool },
    Element { first: bool },
    End,
}

impl<'n> Reading<'n> {
    /// Begins a body. `names` are the names the list may have.
    #[must_use]
    pub fn new(names: &'n [&'n str]) -> Self {
        Self {
            names,
            place: Place::Start,
            envelope: Envelope::default(),
            seen: Vec::new(),
            found: false,
            twice: false,
            other: None,
            others: 0,
            passed: 0,
        }
    }

    /// Reads on in `window`, which begins where the last call left off; `last` says that nothing
    /// follows it. Gives how many bytes are done with.
    ///
    /// # Errors
    /// [`PageFault`]; elements may have been handed on before it was noticed.
    pub fn feed(&mut self, window: &[u8], last: bool, intake: &mut impl Intake) -> Result<usize, PageFault> {
        let length = self.passed + window.len();
        let text = match std::str::from_utf8(window) {
            Ok(_) => window,
            Err(cut) if !last && cut.error_len().is_none() => &window[..cut.valid_up_to()],
            Err(fault) => return Err(PageFault::NotJson { at: self.passed + fault.valid_up_to(), length }),
        };
        let mut scanner = Scanner::new(text);
        let mut done = 0;
        loop {
            match self.step(&mut scanner, last, intake) {
                Ok(more) => {
                    done = scanner.position();
                    if !more {
                        break;
                    }
                }
                Err(NotARecord::NotAnObject) => return Err(PageFault::NotAnObject),
                Err(NotARecord::Json(_)) if scanner.is_too_deep() => return Err(PageFault::TooDeep),
                // What looks wrong may only be cut short here: it is looked at again with more behind it.
                Err(NotARecord::Json(_)) if !last => break,
                Err(NotARecord::Json(NotJson(at))) => {
                    return Err(PageFault::NotJson { at: self.passed + at, length });
                }
            }
        }
        self.passed += done;
        Ok(done)
    }

    /// What the envelope said, at the end of the body.
    ///
    /// # Errors
    /// [`PageFault`] if there was no list.
    pub fn finish(mut self, intake: &mut impl Intake) -> Result<Envelope, PageFault> {
        if self.twice {
            return Err(PageFault::TwoLists);
        }
        if self.found {
            return Ok(self.envelope);
        }
        match self.other.take() {
            Some(text) if self.others == 1 => {
                let mut scanner = Scanner::new(&text);
                scanner.take(b'[');
                scanner.skip_space();
                self.place = if scanner.take(b']') { Place::End } else { Place::Element { first: true } };
                while matches!(self.place, Place::Element { .. }) {
                    self.step(&mut scanner, true, intake).map_err(|reason| match reason {
                        NotARecord::Json(NotJson(at)) => PageFault::NotJson { at, length: text.len() },
                        NotARecord::NotAnObject => PageFault::NotAnObject,
                    })?;
                }
                Ok(self.envelope)
            }
            None if self.others == 0 && self.envelope.total == Some(0) => Ok(self.envelope),
            _ => Err(PageFault::NoList(self.seen)),
        }
    }

    /// Takes what comes next; false at the end. Changes nothing when it fails.
    fn step(&mut self, scanner: &mut Scanner<'_>, last: bool, intake: &mut impl Intake) -> Result<bool, NotARecord> {
        match self.place {
            Place::Start => {
                scanner.take_all(b"\xef\xbb\xbf");
                scanner.skip_space();
                if scanner.peek() == Some(b'{') {
                    scanner.take(b'{');
                    self.place = Place::Field { first: true };
                } else {
                    scanner.value()?;
                    if !last {
                        return Err(scanner.fault().into());
                    }
                    self.place = Place::End;
                }
            }
            Place::Field { first } => {
                scanner.skip_space();
                if scanner.take(b'}') {
                    self.place = Place::End;
                    return Ok(true);
                }
                if !first {
                    scanner.require(b',')?;
                    scanner.skip_space();
                }
                self.field(scanner)?;
            }
            Place::Element { first } => {
                scanner.skip_space();
                if !first {
                    if scanner.take(b']') {
                        self.place = Place::Field { first: false };
                        return Ok(true);
                    }
                    scanner.require(b',')?;
                    scanner.skip_space();
                }
                intake.element(scanner)?;
                self.place = Place::Element { first: false };
            }
            Place::End => {
                scanner.skip_space();
                return if scanner.peek().is_some() { Err(scanner.fault().into()) } else { Ok(false) };
            }
        }
        Ok(true)
    }

    /// Takes a field of the envelope, or its name if it is the list.
    fn field(&mut self, scanner: &mut Scanner<'_>) -> Result<(), NotJson> {
        let name = String::from_utf8_lossy(scanner.text()?).into_owned();
        scanner.skip_space();
        scanner.require(b':')?;
        scanner.skip_space();
        if scanner.peek() == Some(b'[') && !self.found && self.names.contains(&name.as_str()) {
            scanner.take(b'[');
            scanner.skip_space();
            if scanner.peek().is_none() {
                return Err(scanner.fault());
            }
            let empty = scanner.take(b']');
            self.place = if empty { Place::Field { first: false } } else { Place::Element { first: true } };
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
                ("next_page", Kind::Text) => self.envelope.more = true,
                (_, Kind::Array) => {
                    self.twice |= self.found && self.names.contains(&name.as_str());
                    self.others += 1;
                    self.other = (!self.found && self.others == 1).then(|| value.to_vec());
                }
                _ => {}
            }
            self.place = Place::Field { first: false };
        }
        if self.seen.len() < NAMES_KEPT {
            self.seen.push(name.chars().take(NAME_LENGTH).collect());
        }
        Ok(())
    }
}

/// Reads a body that is there as a whole.
///
/// # Errors
/// [`PageFault`]; elements may have been handed on before it was noticed.
pub fn read(body: &[u8], names: &[&str], intake: &mut impl Intake) -> Result<Envelope, PageFault> {
    let mut reading = Reading::new(names);
    reading.feed(body, true, intake)?;
    reading.finish(intake)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(body: &str, names: &[&str]) -> Result<(Envelope, Vec<String>), PageFault> {
        let mut whole = Elements::default();
        let expected = read(body.as_bytes(), names, &mut whole).map(|envelope| (envelope, whole.0));
        // Cut anywhere, it is read the same.
        for size in [1, 2, 3, 7] {
            let mut parts = Elements::default();
            let read = in_parts(body.as_bytes(), size, names, &mut parts).map(|envelope| (envelope, parts.0));
            assert_eq!(read, expected, "{body} in parts of {size}");
        }
        expected
    }

    #[derive(Default)]
    struct Elements(Vec<String>);

    impl Intake for Elements {
        fn restart(&mut self) {
            self.0.clear();
        }

        fn element(&mut self, scanner: &mut Scanner<'_>) -> Result<(), NotARecord> {
            let from = scanner.position();
            let (kind, _) = scanner.value()?;
            if kind != Kind::Object {
                return Err(NotARecord::NotAnObject);
            }
            self.0.push(String::from_utf8_lossy(scanner.since(from)).into_owned());
            Ok(())
        }
    }

    fn in_parts(body: &[u8], size: usize, names: &[&str], intake: &mut impl Intake) -> Result<Envelope, PageFault> {
        let (mut reading, mut window) = (Reading::new(names), Vec::new());
        for part in body.chunks(size) {
            window.extend_from_slice(part);
            let done = reading.feed(&window, false, intake)?;
            window.drain(..done);
        }
        reading.feed(&window, true, intake)?;
        reading.finish(intake)
    }

    fn ok(total: Option<u64>, more: bool, elements: &[&str]) -> Result<(Envelope, Vec<String>), PageFault> {
        Ok((Envelope { total, more }, elements.iter().map(|&text| text.to_owned()).collect()))
    }

    #[test]
    fn the_list_is_found_under_either_name_or_alone() {
        let expected = ok(Some(2), true, &["{\"id\":1}", "{\"id\":2}"]);
        for name in ["items", "order_items", "lines"] {
            let body = format!(r#" {{"total_count":2, "next_page":"https://x/", "{name}":[{{"id":1}}, {{"id":2}}]}} "#);
            assert_eq!(read_all(&body, &["items", "order_items"]), expected, "{name}");
            let reversed = format!(r#"{{"{name}":[{{"id":1}},{{"id":2}}],"next_page":"u","total_count":"2"}}"#);
            assert_eq!(read_all(&reversed, &["items", "order_items"]), expected, "{name}");
        }
    }

    #[test]
    fn the_end_is_an_absent_or_null_next_page() {
        assert_eq!(read_all(r#"{"total_count":0,"orders":[]}"#, &["orders"]), ok(Some(0), false, &[]));
        assert_eq!(read_all(r#"{"next_page":null,"orders":[]}"#, &["orders"]), ok(None, false, &[]));
        assert_eq!(read_all("\u{feff}{\"total_count\":0}", &["orders"]), ok(Some(0), false, &[]));
    }

    #[test]
    fn the_count_has_an_older_name() {
        let body = r#"{"total":7,"mailing_lists":[]}"#;
        assert_eq!(read_all(body, &["mailing_lists"]), ok(Some(7), false, &[]));
        for body in [r#"{"total_count":2,"total":7,"x":[]}"#, r#"{"total":7,"total_count":2,"x":[]}"#] {
            assert_eq!(read_all(body, &["x"]), ok(Some(2), false, &[]));
        }
    }

    #[test]
    fn a_missing_list_names_the_fields_seen() {
        let body = r#"{"total_count":3,"data":{},"a":[],"b":[]}"#;
        let seen = ["total_count", "data", "a", "b"].map(str::to_owned).to_vec();
        assert_eq!(read_all(body, &["orders"]), Err(PageFault::NoList(seen)));
        assert_eq!(read_all(r#"{"total_count":3}"#, &["orders"]), Err(PageFault::NoList(vec!["total_count".into()])));
        assert_eq!(read_all("[]", &["orders"]), Err(PageFault::NoList(vec![])));
    }

    #[test]
    fn a_list_that_is_there_twice_is_neither() {
        for body in
            [r#"{"orders":[{"id":1}],"orders":[{"id":2}]}"#, r#"{"orders":[],"total_count":0,"orders":[{"id":2}]}"#]
        {
            assert_eq!(read_all(body, &["orders"]), Err(PageFault::TwoLists), "{body}");
        }
        let body = r#"{"items":[],"order_items":[{"id":2}]}"#;
        assert_eq!(read_all(body, &["items", "order_items"]), Err(PageFault::TwoLists));
        assert_eq!(read_all(r#"{"orders":[{"id":1}],"errors":[]}"#, &["orders"]), ok(None, false, &["{\"id\":1}"]));
    }

    #[test]
    fn what_nests_too_deep_is_told_apart() {
        let deep = |levels: usize| format!("{{\"orders\":[{{\"x\":{}{}}}]}}", "[".repeat(levels), "]".repeat(levels));
        assert!(read_all(&deep(100), &["orders"]).is_ok());
        assert_eq!(read_all(&deep(1000), &["orders"]), Err(PageFault::TooDeep));
    }

    #[test]
    fn of_countless_names_a_few_are_kept() {
        let many: Vec<String> = (0..1000).map(|number| format!("\"{number}\":1")).collect();
        let Err(PageFault::NoList(seen)) = read_all(&format!("{{{}}}", many.join(",")), &["orders"]) else {
            unreachable!("there is no list")
        };
        assert_eq!(seen.len(), NAMES_KEPT);
        let long = format!("{{\"{}\":1}}", "é".repeat(1000));
        let Err(PageFault::NoList(seen)) = read(long.as_bytes(), &["orders"], &mut Discard) else {
            unreachable!("there is no list")
        };
        assert_eq!(seen[0].chars().count(), NAME_LENGTH);
    }

    #[test]
    fn what_is_no_json_is_told_apart() {
        for body in ["", "<html>", r#"{"orders":[{"id":1}"#, r#"{"orders":[{"id":1},]}"#, r#"{"orders":[]} x"#, "[] x"]
        {
            assert!(matches!(read_all(body, &["orders"]), Err(PageFault::NotJson { .. })), "{body}");
        }
        assert!(matches!(
            read(b"{\"orders\":[\"\xff\"]}", &["orders"], &mut Discard),
            Err(PageFault::NotJson { at: 12, .. })
        ));
        assert_eq!(read_all(r#"{"orders":[1]}"#, &["orders"]), Err(PageFault::NotAnObject));
    }
}
