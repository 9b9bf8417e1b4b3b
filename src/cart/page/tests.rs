//! Bodies of lists, right and wrong, whole and in parts.

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
    for body in [r#"{"orders":[{"id":1}],"orders":[{"id":2}]}"#, r#"{"orders":[],"total_count":0,"orders":[{"id":2}]}"#]
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
    for body in ["", "<html>", r#"{"orders":[{"id":1}"#, r#"{"orders":[{"id":1},]}"#, r#"{"orders":[]} x"#, "[] x"] {
        assert!(matches!(read_all(body, &["orders"]), Err(PageFault::NotJson { .. })), "{body}");
    }
    assert_eq!(read_all(r#"{"orders":[1]}"#, &["orders"]), Err(PageFault::NotAnObject));
}

fn answer(query: &Query, body: &str) -> Result<AnswerFacts, PageFault> {
    let names = ListNames { own: &["items", "order_items"], foreign: &["orders", "items", "customers"] };
    let mut reading = Reading::answering(query, names);
    reading.feed(body.as_bytes(), true, &mut Discard)?;
    reading.conclude(&mut Discard)
}

fn query() -> Query {
    Query::new("order_items", 1000)
}

#[test]
fn an_answer_that_contradicts_itself_is_none() {
    let nothing = r#"{"total_count":3,"items":[]}"#;
    assert_eq!(answer(&query(), nothing), Err(PageFault::CountOfNothing(3)));
    assert!(answer(&query().page(2), nothing).is_ok(), "a page behind the last one");
    assert!(answer(&query().distrust_count(), nothing).is_ok());
    let unfinished = r#"{"next_page":"https://x/api/v1/order_items?page=3","items":[]}"#;
    for query in [query(), query().page(2), query().distrust_count()] {
        assert_eq!(answer(&query, unfinished), Err(PageFault::NextOfNothing));
    }
    assert!(answer(&query().page(3), unfinished).is_ok(), "it leads to itself, and no further");
    for body in [r#"{"total_count":0,"items":[]}"#, r#"{"items":[]}"#, r#"{"next_page":"","items":[]}"#] {
        assert!(answer(&query(), body).is_ok(), "{body}");
    }
}

#[test]
fn an_empty_array_of_another_name_proves_nothing() {
    for body in [r#"{"something_else":[]}"#, r#"{"something_else":[],"total_count":5}"#] {
        assert!(matches!(answer(&query(), body), Err(PageFault::NoList(_))), "{body}");
    }
    let facts = answer(&query(), r#"{"something_else":[],"total_count":0}"#);
    assert!(facts.is_ok_and(|facts| !facts.list_name_known));
    assert!(answer(&query(), r#"{"rows":[{"id":1}]}"#).is_ok_and(|facts| !facts.list_name_known));
    assert!(answer(&query(), r#"{"order_items":[{"id":1}]}"#).is_ok_and(|facts| facts.list_name_known));
}

#[test]
fn the_list_of_another_resource_is_never_this_one() {
    for body in [r#"{"orders":[{"id":1}]}"#, r#"{"orders":[],"total_count":0}"#, r#"{"orders":[],"rows":[{"id":1}]}"#] {
        assert_eq!(answer(&query(), body), Err(PageFault::ForeignList("orders".to_owned())), "{body}");
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
        assert_eq!(of(link), Err(PageFault::ForeignNext("orders".to_owned())), "{link}");
    }
}

#[test]
fn what_is_not_utf_8_is_told_apart() {
    let read = |body: &[u8]| read(body, &["orders"], &mut Discard);
    assert_eq!(read(b"{\"orders\":[\"\xff\"]}"), Err(PageFault::NotText { at: 12 }));
    assert_eq!(read(b"\xff\xfe{\0"), Err(PageFault::NotText { at: 0 }));
    assert_eq!(read(b" <p>\xe9</p>"), Err(PageFault::NotJson { at: 1, length: 9, page: true }));
    assert_eq!(read(b"\x1f\x8b\x08"), Err(PageFault::NotJson { at: 0, length: 3, page: true }));
}

#[test]
fn a_web_page_is_told_apart_from_an_answer_that_was_cut() {
    let is_page = |body: &str| match read(body.as_bytes(), &["orders"], &mut Discard) {
        Err(PageFault::NotJson { page, .. }) => page,
        other => unreachable!("{other:?}"),
    };
    assert!(is_page("<html>") && is_page("\n<!DOCTYPE html>") && is_page("Not here"));
    assert!(!is_page("") && !is_page(" \n") && !is_page("{") && !is_page(r#"{"orders":[{"id":"#));
}
