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
    /// The list holds something that is no object.
    NotAnObject,
}

/// Reads `body`; `element` is called with the scanner at each element of the list and must take it.
/// `names` are the names the list may have, in order of preference.
///
/// # Errors
/// [`PageFault`]; elements may have been handed on before it was noticed.
pub fn read<'a>(
    body: &'a [u8],
    names: &[&str],
    mut element: impl FnMut(&mut Scanner<'a>) -> Result<(), NotARecord>,
) -> Result<Envelope, PageFault> {
    let not_json = |at| PageFault::NotJson { at, length: body.len() };
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if let Err(error) = std::str::from_utf8(text) {
        return Err(not_json(error.valid_up_to()));
    }
    let mut scanner = Scanner::new(text);
    let fault = |reason: NotARecord| match reason {
        NotARecord::Json(NotJson(at)) => not_json(at),
        NotARecord::NotAnObject => PageFault::NotAnObject,
    };
    let json = |NotJson(at)| not_json(at);

    scanner.skip_space();
    if scanner.peek() != Some(b'{') {
        scanner.value().map_err(json)?;
        scanner.skip_space();
        return Err(if scanner.peek().is_some() { json(scanner.fault()) } else { PageFault::NoList(Vec::new()) });
    }
    let mut envelope = Envelope::default();
    let mut seen = Vec::new();
    let mut found = false;
    let mut other_arrays = Vec::new();

    scanner.take(b'{');
    scanner.skip_space();
    let mut first = true;
    while !scanner.take(b'}') {
        if !std::mem::take(&mut first) {
            scanner.require(b',').map_err(json)?;
            scanner.skip_space();
        }
        let name = String::from_utf8_lossy(scanner.text().map_err(json)?).into_owned();
        scanner.skip_space();
        scanner.require(b':').map_err(json)?;
        scanner.skip_space();
        if scanner.peek() == Some(b'[') && !found && names.contains(&name.as_str()) {
            found = true;
            list(&mut scanner, &mut element).map_err(fault)?;
        } else {
            let from = scanner.position();
            let before = scanner;
            let (kind, _) = scanner.value().map_err(json)?;
            match (name.as_str(), kind) {
                // An older description calls it `total` (resources, mailing lists).
                ("total_count" | "total", Kind::Integer | Kind::Text) => {
                    let digits = String::from_utf8_lossy(scanner.since(from)).into_owned();
                    let total = digits.trim_matches('"').parse().ok();
                    envelope.total = if name == "total" { envelope.total.or(total) } else { total };
                }
                ("next_page", Kind::Text) => envelope.more = true,
                (_, Kind::Array) => other_arrays.push(before),
                _ => {}
            }
        }
        seen.push(name);
        scanner.skip_space();
    }
    scanner.skip_space();
    if scanner.peek().is_some() {
        return Err(json(scanner.fault()));
    }
    if !found {
        match other_arrays.as_mut_slice() {
            [only] => list(only, &mut element).map_err(fault)?,
            [] if envelope.total == Some(0) => {}
            _ => return Err(PageFault::NoList(seen)),
        }
    }
    Ok(envelope)
}

fn list<'a>(
    scanner: &mut Scanner<'a>,
    element: &mut impl FnMut(&mut Scanner<'a>) -> Result<(), NotARecord>,
) -> Result<(), NotARecord> {
    scanner.require(b'[')?;
    scanner.skip_space();
    if scanner.take(b']') {
        return Ok(());
    }
    loop {
        element(scanner)?;
        scanner.skip_space();
        if scanner.take(b']') {
            return Ok(());
        }
        scanner.require(b',')?;
        scanner.skip_space();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(body: &str, names: &[&str]) -> Result<(Envelope, Vec<String>), PageFault> {
        let mut elements = Vec::new();
        let envelope = read(body.as_bytes(), names, |scanner| {
            let from = scanner.position();
            let (kind, _) = scanner.value()?;
            if kind != Kind::Object {
                return Err(NotARecord::NotAnObject);
            }
            elements.push(String::from_utf8_lossy(scanner.since(from)).into_owned());
            Ok(())
        })?;
        Ok((envelope, elements))
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
    fn what_is_no_json_is_told_apart() {
        for body in ["", "<html>", r#"{"orders":[{"id":1}"#, r#"{"orders":[{"id":1},]}"#, r#"{"orders":[]} x"#, "[] x"]
        {
            assert!(matches!(read_all(body, &["orders"]), Err(PageFault::NotJson { .. })), "{body}");
        }
        assert!(matches!(
            read(b"{\"orders\":[\"\xff\"]}", &["orders"], |_| Ok(())),
            Err(PageFault::NotJson { at: 12, .. })
        ));
        assert_eq!(read_all(r#"{"orders":[1]}"#, &["orders"]), Err(PageFault::NotAnObject));
    }
}
