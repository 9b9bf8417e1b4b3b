//! Tests the parser with valid and invalid bodies, complete and in parts.

use super::*;
use crate::http::Discard;

fn read_all(body: &str, names: &[&str]) -> Result<(Envelope, Vec<String>), PageError> {
    let mut whole = Elements::default();
    let expected = read(body.as_bytes(), names, &mut whole).map(|envelope| (envelope, whole.0));
    // The result is the same for parts of any size.
    for size in [1, 2, 3, 7] {
        let mut parts = Elements::default();
        let read = in_parts(body.as_bytes(), size, names, &mut parts).map(|envelope| (envelope, parts.0));
        assert_eq!(read, expected, "{body} in parts of {size}");
    }
    expected
}

#[derive(Default)]
struct Elements(Vec<String>);

impl ElementSink for Elements {
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

fn in_parts(body: &[u8], size: usize, names: &[&str], sink: &mut dyn ElementSink) -> Result<Envelope, PageError> {
    let (mut parser, mut window) = (PageParser::new(names), Vec::new());
    for part in body.chunks(size) {
        window.extend_from_slice(part);
        let done = parser.feed(&window, false, sink)?;
        window.drain(..done);
    }
    parser.feed(&window, true, sink)?;
    parser.finish(sink)
}

fn ok(total: Option<u64>, more: bool, elements: &[&str]) -> Result<(Envelope, Vec<String>), PageError> {
    Ok((Envelope { total, more, page: None }, elements.iter().map(|&text| text.to_owned()).collect()))
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
    assert_eq!(read_all(body, &["orders"]), Err(PageError::NoList(seen)));
    assert_eq!(read_all(r#"{"total_count":3}"#, &["orders"]), Err(PageError::NoList(vec!["total_count".into()])));
    assert_eq!(read_all("[]", &["orders"]), Err(PageError::NoList(vec![])));
}

#[test]
fn a_list_that_is_there_twice_is_an_error() {
    for body in [r#"{"orders":[{"id":1}],"orders":[{"id":2}]}"#, r#"{"orders":[],"total_count":0,"orders":[{"id":2}]}"#]
    {
        assert_eq!(read_all(body, &["orders"]), Err(PageError::TwoLists), "{body}");
    }
    let body = r#"{"items":[],"order_items":[{"id":2}]}"#;
    assert_eq!(read_all(body, &["items", "order_items"]), Err(PageError::TwoLists));
    assert_eq!(read_all(r#"{"orders":[{"id":1}],"errors":[]}"#, &["orders"]), ok(None, false, &["{\"id\":1}"]));
}

#[test]
fn nesting_too_deep_is_its_own_error() {
    let deep = |levels: usize| format!("{{\"orders\":[{{\"x\":{}{}}}]}}", "[".repeat(levels), "]".repeat(levels));
    assert!(read_all(&deep(100), &["orders"]).is_ok());
    assert_eq!(read_all(&deep(1000), &["orders"]), Err(PageError::Body(BodyError::TooDeep)));
}

#[test]
fn of_countless_names_a_few_are_kept() {
    let many: Vec<String> = (0..1000).map(|number| format!("\"{number}\":1")).collect();
    let Err(PageError::NoList(seen)) = read_all(&format!("{{{}}}", many.join(",")), &["orders"]) else {
        unreachable!("there is no list")
    };
    assert_eq!(seen.len(), NAMES_KEPT);
    let long = format!("{{\"{}\":1}}", "é".repeat(1000));
    let Err(PageError::NoList(seen)) = read(long.as_bytes(), &["orders"], &mut Discard) else {
        unreachable!("there is no list")
    };
    assert_eq!(seen[0].chars().count(), NAME_LENGTH);
}

#[test]
fn invalid_json_is_its_own_error() {
    for body in ["", "<html>", r#"{"orders":[{"id":1}"#, r#"{"orders":[{"id":1},]}"#, r#"{"orders":[]} x"#, "[] x"] {
        assert!(matches!(read_all(body, &["orders"]), Err(PageError::Body(BodyError::NotJson { .. }))), "{body}");
    }
    assert_eq!(read_all(r#"{"orders":[1]}"#, &["orders"]), Err(PageError::Body(BodyError::NotAnObject)));
}

fn answer(query: &Query, body: &str) -> Result<PageMeta, PageError> {
    let names = ListNames { own: vec!["items", "order_items"], foreign: &["orders", "items", "customers"] };
    let mut parser = PageParser::answering(query, names);
    parser.feed(body.as_bytes(), true, &mut Discard)?;
    parser.finish_with_meta(&mut Discard)
}

fn query() -> Query {
    Query::new(crate::cart::streams::find("order_items").unwrap(), 1000)
}

#[test]
fn a_response_that_contradicts_itself_is_rejected() {
    let nothing = r#"{"total_count":3,"items":[]}"#;
    assert_eq!(answer(&query(), nothing), Err(PageError::CountWithoutRows(3)));
    assert!(answer(&query().page(2), nothing).is_ok(), "a page behind the last one");
    assert!(answer(&query().ignore_count(), nothing).is_ok());
    let unfinished = r#"{"next_page":"https://x/api/v1/order_items?page=3","items":[]}"#;
    for query in [query(), query().page(2), query().ignore_count()] {
        assert_eq!(answer(&query, unfinished), Err(PageError::NextPageWithoutRows));
    }
    assert!(answer(&query().page(3), unfinished).is_ok(), "it leads to itself, and no further");
    for body in [r#"{"total_count":0,"items":[]}"#, r#"{"items":[]}"#, r#"{"next_page":"","items":[]}"#] {
        assert!(answer(&query(), body).is_ok(), "{body}");
    }
}

#[test]
fn an_empty_array_of_another_name_proves_nothing() {
    for body in [r#"{"something_else":[]}"#, r#"{"something_else":[],"total_count":5}"#] {
        assert!(matches!(answer(&query(), body), Err(PageError::NoList(_))), "{body}");
    }
    let meta = answer(&query(), r#"{"something_else":[],"total_count":0}"#);
    assert!(meta.is_ok_and(|meta| !meta.list_name_known));
    assert!(answer(&query(), r#"{"rows":[{"id":1}]}"#).is_ok_and(|meta| !meta.list_name_known));
    assert!(answer(&query(), r#"{"order_items":[{"id":1}]}"#).is_ok_and(|meta| meta.list_name_known));
}

#[test]
fn the_list_of_another_resource_is_never_this_one() {
    for body in [r#"{"orders":[{"id":1}]}"#, r#"{"orders":[],"total_count":0}"#, r#"{"orders":[],"rows":[{"id":1}]}"#] {
        assert_eq!(answer(&query(), body), Err(PageError::ForeignList("orders".to_owned())), "{body}");
    }
    assert!(answer(&query(), r#"{"items":[{"id":1}]}"#).is_ok(), "a name that this list may have, too");
    assert!(answer(&query(), r#"{"items":[{"id":1}],"orders":[]}"#).is_ok());
}

#[test]
fn a_next_page_leads_to_the_same_resource() {
    let of = |link: &str| answer(&query(), &format!(r#"{{"items":[{{"id":1}}],"next_page":"{link}"}}"#));
    for link in [
        "https://other.example/api/v1/order_items?page=2&id=gt:5/7",
        "/api/v1/order_items.json?page=2",
        "https:\\/\\/x\\/api\\/v1\\/Order_Items\\/?page=2",
        "api/v1/stores/3/order_items",
        "https://x/",
        "x",
        "order_items?page=2",
        "https://x/api/v1/",
    ] {
        assert!(of(link).is_ok(), "{link}");
    }
    for link in ["https://x/api/v1/orders?page=2", "/api/v1/orders", "api/v1/order_items/5/orders.json#order_items"] {
        assert_eq!(of(link), Err(PageError::ForeignNext("orders".to_owned())), "{link}");
    }
}

#[test]
fn invalid_utf_8_is_its_own_error() {
    let read = |body: &[u8]| read(body, &["orders"], &mut Discard);
    assert_eq!(read(b"{\"orders\":[\"\xff\"]}"), Err(PageError::Body(BodyError::NotUtf8 { at: 12 })));
    assert_eq!(read(b"\xff\xfe{\0"), Err(PageError::Body(BodyError::NotUtf8 { at: 0 })));
    assert_eq!(read(b" <p>\xe9</p>"), Err(PageError::Body(BodyError::NotJson { at: 1, length: 9, page: true })));
    assert_eq!(read(b"\x1f\x8b\x08"), Err(PageError::Body(BodyError::NotJson { at: 0, length: 3, page: true })));
}

#[test]
fn a_web_page_is_distinguished_from_a_truncated_response() {
    let is_page = |body: &str| match read(body.as_bytes(), &["orders"], &mut Discard) {
        Err(PageError::Body(BodyError::NotJson { page, .. })) => page,
        other => unreachable!("{other:?}"),
    };
    assert!(is_page("<html>") && is_page("\n<!DOCTYPE html>") && is_page("Not here"));
    assert!(!is_page("") && !is_page(" \n") && !is_page("{") && !is_page(r#"{"orders":[{"id":"#));
}
