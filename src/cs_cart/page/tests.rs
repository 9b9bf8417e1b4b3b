//! Tests of the parser of list responses.

use super::super::streams::find;
use super::*;
use crate::sync::query::{Order, ParentRow};

/// Collects elements as strings.
#[derive(Default)]
struct Collected {
    rows: Vec<String>,
    skipped: usize,
}

impl ElementSink for Collected {
    fn restart(&mut self) {}

    fn element(&mut self, scanner: &mut Scanner<'_>) -> Result<(), NotARecord> {
        let from = scanner.position();
        scanner.value()?;
        self.rows.push(String::from_utf8_lossy(scanner.since(from)).into_owned());
        Ok(())
    }

    fn skip(&mut self) {
        self.skipped += 1;
    }
}

/// Parses a body in pieces of `size` bytes.
fn read_in(query: &Query, body: &[u8], size: usize) -> Result<(Vec<String>, usize, Envelope), PageError> {
    let (mut parser, mut sink) = (PageParser::answering(query), Collected::default());
    let mut buffer = Vec::new();
    for piece in body.chunks(size) {
        buffer.extend_from_slice(piece);
        let done = parser.feed(&buffer, false, &mut sink)?;
        buffer.drain(..done);
    }
    parser.feed(&buffer, true, &mut sink)?;
    let meta = parser.finish()?;
    Ok((sink.rows, sink.skipped, meta.envelope))
}

/// Parses a body at once and in small pieces, which must not make a difference.
fn read(query: &Query, body: &str) -> Result<(Vec<String>, usize, Envelope), PageError> {
    let outcome = read_in(query, body.as_bytes(), body.len().max(1));
    for size in [1, 2, 3, 7] {
        let again = read_in(query, body.as_bytes(), size);
        assert_eq!(again.is_ok(), outcome.is_ok(), "{body}");
        if outcome.is_ok() {
            assert_eq!(again, outcome, "{body}");
        }
    }
    outcome
}

fn query(name: &str) -> Query {
    Query::new(find(name).unwrap(), 10)
}

#[test]
fn lists_are_arrays_or_objects_with_numbers_as_text_or_not() {
    let envelope = Envelope { total: Some(2), more: false, page: Some(1) };
    let rows = vec![r#"{"id":1}"#.to_owned(), r#"{"id":2}"#.to_owned()];
    for body in [
        r#"{"categories":[{"id":1},{"id":2}],"params":{"page":1,"total_items":"2"}}"#,
        r#"{"params":{"page":"1","total_items":2},"categories":{"7":{"id":1},"9":{"id":2}}}"#,
        r#" {"other":[3],"categories":[ {"id":1} , {"id":2} ] , "search" : {"page":1,"total_items":"2"} } "#,
    ] {
        assert_eq!(read(&query("categories"), body).unwrap(), (rows.clone(), 0, envelope.clone()), "{body}");
    }
    let (none, _, envelope) = read(&query("categories"), r#"{"categories":[],"params":[]}"#).unwrap();
    assert_eq!((none.len(), envelope), (0, Envelope::default()));
}

#[test]
fn the_list_itself_and_a_single_row_have_no_envelope() {
    for body in [r#"{"3":{"usergroup_id":"3"}}"#, r#"[{"usergroup_id":"3"}]"#] {
        assert_eq!(read(&query("usergroups"), body).unwrap().0, [r#"{"usergroup_id":"3"}"#]);
    }
    assert_eq!(read(&query("usergroups"), "[]").unwrap().0.len(), 0);
    assert_eq!(read(&query("usergroups"), "{}").unwrap().0.len(), 0);
    let version = Query::new(&super::super::streams::VERSION, 1);
    assert_eq!(read(&version, r#"{"Version":"2.0"}"#).unwrap().0.len(), 0);
    let error = read(&query("usergroups"), r#"{"message":"Not found","status":404}"#);
    assert_eq!(error, Err(PageError::NoList(vec!["message".to_owned(), "status".to_owned()])));
    let one = query("carts").parent(ParentRow { key: 3, owner: None });
    let body = r#"{"user_id":"3","products":[{"item_id":"5"}]}"#;
    assert_eq!(read(&one, body).unwrap().0, [body]);
    assert!(matches!(read(&one, "[]"), Err(PageError::Body(BodyError::NotJson { .. }))));
}

#[test]
fn an_element_that_is_no_object_counts_and_is_no_row() {
    let body = r#"{"orders":[{"order_id":"1"},false,{"order_id":"3"},null],"params":{"total_items":"4"}}"#;
    let (rows, skipped, _) = read(&query("orders"), body).unwrap();
    assert_eq!((rows.len(), skipped), (2, 2));
}

#[test]
fn an_order_that_the_store_replaced_is_an_error() {
    let sorted = query("users").sort(Order::Key);
    let body = |sort: &str, order: &str| {
        format!(r#"{{"users":[],"params":{{"sort_by":"{sort}","sort_order":"{order}","total_items":"0"}}}}"#)
    };
    assert!(read(&sorted, &body("id", "asc")).is_ok());
    for (sort, order) in [("name", "asc"), ("id", "desc")] {
        assert_eq!(read(&sorted, &body(sort, order)), Err(PageError::OtherOrder(format!("{sort} {order}"))));
    }
    assert!(read(&query("users"), &body("name", "desc")).is_ok(), "no order was requested");
    assert!(read(&sorted, r#"{"users":[],"params":{"total_items":"0"}}"#).is_ok(), "the store does not say");
}

#[test]
fn bodies_that_are_no_lists_are_told_apart() {
    let orders = query("orders");
    assert_eq!(read(&orders, ""), Err(PageError::Empty));
    assert_eq!(read(&orders, " \n"), Err(PageError::Empty));
    let warning = "<br />\n<b>Warning</b>: Undefined index in /var/www on line 1<br />\n{\"orders\":[]}";
    assert!(matches!(read(&orders, warning), Err(PageError::Body(BodyError::NotJson { page: true, .. }))));
    assert!(matches!(
        read(&orders, r#"{"orders":[{"order_id":1}"#),
        Err(PageError::Body(BodyError::NotJson { page: false, .. }))
    ));
    assert!(matches!(read(&orders, r#"{"orders":[]}{"#), Err(PageError::Body(BodyError::NotJson { page: false, .. }))));
    let error = r#"{"message":"Not found","status":404}"#;
    assert_eq!(read(&orders, error), Err(PageError::NoList(vec!["message".to_owned(), "status".to_owned()])));
    assert!(matches!(
        read_in(&orders, b"{\"orders\":[{\"a\":\"\xe9\"}]}", 100),
        Err(PageError::Body(BodyError::NotUtf8 { at: 17 }))
    ));
}

#[test]
fn a_field_that_a_filter_needs_must_be_in_the_first_row() {
    let query = Query::new(find("orders").unwrap(), 2);
    let read = |body: &str| {
        let (mut parser, mut sink) = (PageParser::answering(&query).requiring(Some("shop")), Collected::default());
        parser.feed(body.as_bytes(), true, &mut sink)?;
        parser.finish().map(|_| sink.rows.len())
    };
    assert_eq!(read(r#"{"orders":[{"order_id":1,"shop":"2"},{"order_id":2}]}"#), Ok(2));
    assert_eq!(read(r#"{"orders":[]}"#), Ok(0));
    assert_eq!(read(r#"{"orders":[false,{"order_id":1},{"order_id":2,"shop":"2"}]}"#), Err(PageError::NoField("shop")));
}
