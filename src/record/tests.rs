//! The rules of fitting, one test each.

use serde_json::json;

use super::*;

fn record_schema() -> Arc<RecordSchema> {
    let schema = json!({"type": "object", "properties": {
        "id": {"type": "integer"},
        "name": {"type": ["null", "string"]},
        "total": {"type": ["null", "number"]},
        "count": {"type": ["null", "integer"]},
        "open": {"type": ["null", "boolean"]},
        "due": {"type": ["null", "string"], "format": "date-time"},
        "updated_at": {"type": ["null", "string"], "format": "date-time"},
        "items": {"type": ["null", "array"]},
        "loose": {"type": ["null", "integer", "string"]},
        "never_null": {"type": "string", "format": "date-time"},
    }});
    Arc::new(RecordSchema::new(&schema, "id", Some("updated_at")))
}

fn copy(text: &str) -> (String, RecordMeta, Vec<FieldIssue>) {
    let mut writer = RecordWriter::new(record_schema());
    let mut out = Vec::new();
    let mut scanner = Scanner::new(text.as_bytes());
    let meta = writer.copy(&mut scanner, &mut out).unwrap();
    assert_eq!(scanner.position(), text.len());
    (String::from_utf8(out).unwrap(), meta, writer.take_issues())
}

#[test]
fn what_fits_leaves_as_it_came() {
    let text = r#"{"id":7,"name":"\"a\" \n é","total":1886.0000,"count":25,"open":true,"due":null,"items":[{"x":1e400}],"loose":"00"}"#;
    let (out, meta, issues) = copy(text);
    assert_eq!(out, text);
    assert_eq!(meta, RecordMeta { key: Key::Number(7), updated: CursorValue::Missing, offset: None, created: None });
    assert_eq!(issues, []);
}

#[test]
fn dates_become_utc_and_empty_texts_null() {
    let (out, meta, issues) =
        copy(r#"{"id":1,"due":"","updated_at":"2014-03-19T13:31:47.923-05:00","total":"","count":"","name":""}"#);
    assert_eq!(
        out,
        r#"{"id":1,"due":null,"updated_at":"2014-03-19T18:31:47.923Z","total":null,"count":null,"name":""}"#
    );
    assert_eq!(meta.updated, CursorValue::At(Timestamp::parse(b"2014-03-19T18:31:47.923Z").unwrap()));
    assert_eq!(issues, []);
}

#[test]
fn a_placeholder_updated_at_counts_as_missing() {
    for (came, goes) in [
        ("null", "null"),
        (r#""""#, "null"),
        (r#""-""#, "null"),
        (r#""N/A""#, "null"),
        (r#""0000-00-00T00:00:00""#, "null"),
        (r#""0001-01-01T00:00:00""#, "null"),
        (r#""0001-01-01T00:00:00.0000000Z""#, "null"),
        (r#""9999-12-31T23:59:59-01:00""#, "null"),
        (r#""1753-01-01T12:00:00-06:00""#, r#""1753-01-01T18:00:00Z""#),
        (r#""1753-01-01T00:00:00""#, r#""1753-01-01T00:00:00""#),
        (r#""1900-01-01T00:00:00-06:00""#, r#""1900-01-01T06:00:00Z""#),
        (r#""1900-01-01T00:00:00""#, r#""1900-01-01T00:00:00""#),
    ] {
        // Of a field that occurs twice, the last counts.
        let (out, meta, _) = copy(&format!(r#"{{"updated_at":"2020-01-01T00:00:00-06:00","updated_at":{came}}}"#));
        assert_eq!(out, format!(r#"{{"updated_at":"2020-01-01T06:00:00Z","updated_at":{goes}}}"#));
        assert_eq!((meta.updated, meta.offset), (CursorValue::Missing, None), "{came}");
    }
    for (came, offset) in [
        ("2014-03-19T13:31:47.923-05:00", Some(-300)),
        ("1900-01-01T00:00:01+05:30", Some(330)),
        ("1753-01-02T00:00:00Z", Some(0)),
        ("soon", None),
        ("2014-03-19T13:31:47", None),
    ] {
        let (_, meta, _) = copy(&format!(r#"{{"updated_at":"{came}"}}"#));
        let updated = Timestamp::parse(came.as_bytes()).map_or(CursorValue::Invalid, CursorValue::At);
        assert_eq!((meta.updated, meta.offset), (updated, offset), "{came}");
    }
}

#[test]
fn placeholder_dates_are_reported_once_a_field() {
    let mut outer = Arc::into_inner(record_schema()).unwrap();
    outer.nest("items", Arc::into_inner(record_schema()).unwrap(), "orders.items".to_owned());
    let mut writer = RecordWriter::new(Arc::new(outer));
    let mut out = Vec::new();
    for _ in 0..2 {
        out.clear();
        let text =
            r#"{"due":"-","updated_at":"0001-01-01T00:00:00Z","due":"soon","items":[{"due":"N/A"},{"due":"-"}]}"#;
        writer.copy(&mut Scanner::new(text.as_bytes()), &mut out).unwrap();
        let expected = r#"{"due":null,"updated_at":null,"due":"soon","items":[{"due":null},{"due":null}]}"#;
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
    let reported: Vec<FieldIssue> = writer.take_issues();
    let dates: Vec<&FieldIssue> =
        reported.iter().filter(|issue| matches!(issue, FieldIssue::PlaceholderDate(_))).collect();
    let field = |name: &str| FieldIssue::PlaceholderDate(name.to_owned());
    assert_eq!(dates, [&field("due"), &field("updated_at"), &field("items.due")]);
    assert_eq!(reported.len(), 5, "the string that is not a date is reported, and that there are items: {reported:?}");
}

#[test]
fn numbers_in_quotes_become_numbers_with_their_digits() {
    let (out, _, issues) = copy(r#"{"id":"12","total":"10.00","count":"5","loose":"5"}"#);
    assert_eq!(out, r#"{"id":12,"total":10.00,"count":5,"loose":"5"}"#);
    assert_eq!(issues, []);
}

#[test]
fn numbers_become_strings_with_their_digits_where_a_string_is_declared() {
    let (out, meta, issues) = copy(r#"{"id":1,"name":5,"name" : -1.50 ,"name":1e400}"#);
    assert_eq!(out, r#"{"id":1,"name":"5","name":"-1.50","name":"1e400"}"#);
    assert_eq!((meta.key, issues), (Key::Number(1), vec![]));
}

#[test]
fn a_type_mismatch_is_emitted_as_it_is_and_reported_once() {
    let mut writer = RecordWriter::new(record_schema());
    let mut out = Vec::new();
    for _ in 0..2 {
        let text = r#"{"id":1,"total":"ten","count":2.5,"name":true,"due":"2014-01-01","open":0,"count":1.0}"#;
        writer.copy(&mut Scanner::new(text.as_bytes()), &mut out).unwrap();
        assert!(String::from_utf8_lossy(&out).ends_with(text));
    }
    let fields: Vec<String> = writer
        .take_issues()
        .into_iter()
        .map(|issue| match issue {
            FieldIssue::TypeMismatch(field, declared, came) => format!("{field}: {declared} / {came}"),
            FieldIssue::Undeclared(field) | FieldIssue::PlaceholderDate(field) => field,
            other => unreachable!("{other:?}"),
        })
        .collect();
    assert_eq!(
        fields,
        [
            "total: number / a string",
            "count: integer / a decimal number",
            "name: string / a boolean",
            "due: date-time / a string that is not a date and time with an offset",
            "open: boolean / an integer",
        ]
    );
}

#[test]
fn an_undeclared_field_goes_out_and_is_named_once() {
    let mut writer = RecordWriter::new(record_schema());
    let mut out = Vec::new();
    for id in 0..3 {
        let text = format!(r#"{{"sub":"x","id":{id},"n\u0065w":1}}"#);
        writer.copy(&mut Scanner::new(text.as_bytes()), &mut out).unwrap();
    }
    assert_eq!(writer.take_issues(), [FieldIssue::Undeclared("sub".into()), FieldIssue::Undeclared("new".into())]);
}

#[test]
fn a_record_stays_on_one_line() {
    let (out, meta, _) =
        copy("{\n  \"id\" : 3 ,\n  \"updated_at\" : \"2014-03-19T13:31:47Z\",\n  \"items\": [\n 1 ]\n}");
    assert_eq!(out, r#"{"id":3,"updated_at":"2014-03-19T13:31:47Z","items":[1]}"#);
    assert_eq!(meta.key, Key::Number(3));
}

#[test]
fn keys_that_are_not_whole_numbers_are_distinguished() {
    assert_eq!(copy(r#"{"id":9223372036854775807}"#).1.key, Key::Number(i64::MAX));
    assert!(matches!(copy(r#"{"id":9223372036854775808}"#).1.key, Key::Other(_)));
    for same in ["1", "1.0", "1.000", r#""1""#, r#""1.00""#] {
        let (out, meta, _) = copy(&format!(r#"{{"id":{same}}}"#));
        assert_eq!((meta.key, out), (Key::Number(1), format!(r#"{{"id":{}}}"#, same.trim_matches('"'))));
    }
    for other in ["1.50", "1e0", r#""1.""#, r#""1.x""#, r#"".0""#, "1.0e1", "true", "[1]"] {
        assert!(matches!(copy(&format!(r#"{{"id":{other}}}"#)).1.key, Key::Other(_)), "{other}");
    }
    assert!(matches!(copy(r#"{"id":1.5}"#).1.key, Key::Other(_)));
    assert!(matches!(copy(r#"{"id":"abc"}"#).1.key, Key::Other(_)));
    assert_eq!(copy(r#"{"id":null}"#).1.key, Key::Missing);
    assert_eq!(copy(r#"{"name":"x"}"#).1.key, Key::Missing);
}

#[test]
fn what_is_no_object_is_refused() {
    let mut writer = RecordWriter::new(record_schema());
    let mut out = Vec::new();
    assert_eq!(writer.copy(&mut Scanner::new(b"5"), &mut out), Err(NotARecord::NotAnObject));
    assert_eq!(writer.copy(&mut Scanner::new(b"{\"id\":1"), &mut out), Err(NotARecord::Json(NotJson(7))));
    assert!(writer.copy(&mut Scanner::new(b"{\"id\":01}"), &mut out).is_err());
}

#[test]
fn each_rule_of_fitting_and_what_it_leaves_alone() {
    // Field, what comes, what goes out, whether it is told.
    for (field, came, goes, reported) in [
        // Dates: any offset and 0 to 7 digits become UTC; `""` becomes null.
        ("due", r#""2021-10-05T20:42:06.1923052-05:00""#, r#""2021-10-06T01:42:06.1923052Z""#, false),
        ("due", r#""2021-03-14T01:59:59.997-06:00""#, r#""2021-03-14T07:59:59.997Z""#, false),
        // Dates that stand for none become null, but not those that can be real ones.
        ("due", r#""-""#, "null", true),
        ("due", r#""n/a""#, "null", true),
        ("due", r#""0000-00-00T00:00:00""#, "null", true),
        ("due", r#""0001-01-01T00:00:00""#, "null", true),
        ("due", r#""0001-01-01T00:00:00-06:00""#, "null", true),
        ("due", r#""9999-12-31T23:59:59-06:00""#, "null", true),
        ("due", r#""9999-12-31T23:59:59Z""#, r#""9999-12-31T23:59:59Z""#, false),
        ("due", r#""1753-01-01T00:00:00Z""#, r#""1753-01-01T00:00:00Z""#, false),
        ("due", r#""1753-01-01T00:00:00""#, r#""1753-01-01T00:00:00""#, true),
        ("due", r#""1900-01-01T00:00:00-06:00""#, r#""1900-01-01T06:00:00Z""#, false),
        ("name", r#""-""#, r#""-""#, false),
        ("total", r#""-""#, r#""-""#, true),
        ("never_null", r#""-""#, r#""-""#, true),
        ("due", r#""""#, "null", false),
        ("due", "null", "null", false),
        ("due", r#""2021-10-05T20:42:06""#, r#""2021-10-05T20:42:06""#, true),
        ("due", r#""7/7/2021 3:23:11 PM""#, r#""7/7/2021 3:23:11 PM""#, true),
        ("due", "5", "5", true),
        // Numbers: text becomes a number with its digits; `""` becomes null.
        ("total", r#""-0.50""#, "-0.50", false),
        ("total", r#""1e3""#, "1e3", false),
        ("total", r#""1,5""#, r#""1,5""#, true),
        ("total", r#"" 5""#, r#"" 5""#, true),
        ("total", r#""""#, "null", false),
        ("total", "12", "12", false),
        ("total", "true", "true", true),
        // Whole numbers: a fraction of zeros is the scale of the store's column.
        ("count", r#""00""#, r#""00""#, true),
        ("count", r#""7.000""#, "7.000", false),
        ("count", "25.0000", "25.0000", false),
        ("count", "25.5", "25.5", true),
        ("count", r#""""#, "null", false),
        ("count", "99999999999999999999", "99999999999999999999", false),
        // Flags and texts are not rewritten, and `""` is a text. A number becomes a text with its digits.
        ("open", "1", "1", true),
        ("open", r#""true""#, r#""true""#, true),
        ("open", r#""""#, r#""""#, true),
        ("name", r#""""#, r#""""#, false),
        ("name", "12.50", r#""12.50""#, false),
        ("name", "-1e400", r#""-1e400""#, false),
        ("name", "false", "false", true),
        ("due", "12.50", "12.50", true),
        // Where a text is declared besides a number, a text stays one.
        ("loose", r#""""#, r#""""#, false),
        ("loose", "5", "5", false),
        // Lists and objects go out as they are.
        ("items", "null", "null", false),
        ("items", r#"{"a":""}"#, r#"{"a":""}"#, true),
        ("items", "[ 1, 2 ]", "[1,2]", false),
        // What is never null may come so all the same.
        ("id", "null", "null", true),
        ("id", r#""""#, r#""""#, true),
    ] {
        let (out, _, issues) = copy(&format!(r#"{{"{field}":{came}}}"#));
        assert_eq!(out, format!(r#"{{"{field}":{goes}}}"#), "{field}: {came}");
        assert_eq!(!issues.is_empty(), reported, "{field}: {came} {issues:?}");
    }
}

#[test]
fn sensitive_fields_are_emptied_whatever_they_hold() {
    let mut record_schema = Arc::into_inner(record_schema()).unwrap();
    record_schema.redact(&["name", "items", "absent"]);
    let mut writer = RecordWriter::new(Arc::new(record_schema));
    let mut out = Vec::new();
    for value in [r#""secret""#, "[ {\"x\": 1} ]", "5", "null", "{\n}"] {
        let text = format!(r#"{{"id":1, "name": {value} ,"items":{value},"count":2}}"#);
        out.clear();
        writer.copy(&mut Scanner::new(text.as_bytes()), &mut out).unwrap();
        assert_eq!(String::from_utf8_lossy(&out), r#"{"id":1,"name":null,"items":null,"count":2}"#, "{value}");
    }
    assert_eq!(writer.take_issues(), []);
    assert!(writer.copy(&mut Scanner::new(b"{\"name\":tru}"), &mut out).is_err());
}

#[test]
fn records_inside_a_field_are_fitted_like_others() {
    let mut outer = Arc::into_inner(record_schema()).unwrap();
    let mut inner = Arc::into_inner(record_schema()).unwrap();
    inner.redact(&["name"]);
    outer.nest("items", inner, "orders.items".to_owned());
    let mut writer = RecordWriter::new(Arc::new(outer));
    for (came, goes) in [
        ("[]", "[]"),
        ("[ ]", "[]"),
        ("null", "null"),
        (r#"[{"id":"5","due":"2014-03-19T13:31:47-05:00"}]"#, r#"[{"id":5,"due":"2014-03-19T18:31:47Z"}]"#),
        (r#"[ {"total":""} , {"name":"x","new":1} , 7 , [ 1 ] ]"#, r#"[{"total":null},{"name":null,"new":1},7,[1]]"#),
        (r#"{ "count": "3" }"#, r#"{"count":3}"#),
    ] {
        let mut out = Vec::new();
        let text = format!(r#"{{"id":1,"items":{came},"total":"2"}}"#);
        let meta = writer.copy(&mut Scanner::new(text.as_bytes()), &mut out).unwrap();
        assert_eq!(String::from_utf8_lossy(&out), format!(r#"{{"id":1,"items":{goes},"total":2}}"#));
        assert_eq!(meta.key, Key::Number(1), "a nested key is not the record's");
    }
    let filled = [FieldIssue::Filled("orders.items".into())];
    assert_eq!(writer.take_issues(), filled, "nested fields that are not declared are not dropped by a platform");
    let mut out = Vec::new();
    writer.copy(&mut Scanner::new(br#"{"items":[{"open":1}]}"#), &mut out).unwrap();
    assert_eq!(writer.take_issues(), [FieldIssue::TypeMismatch("items.open".into(), "boolean".into(), "an integer")]);
    for broken in
        [r#"{"items":[{},]}"#, r#"{"items":[{}"#, r#"{"items":[,]}"#, r#"{"items":{"a"}}"#, r#"{"items":[{}{}]}"#]
    {
        assert!(writer.copy(&mut Scanner::new(broken.as_bytes()), &mut Vec::new()).is_err(), "{broken}");
    }
}

/// A record of a handful of fields, each of which has a few values, so that neighbours are alike.
fn alike() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;

    let choice = |values: &'static [&'static str]| prop::sample::select(values);
    let field = prop_oneof![
        choice(&["\"id\":1", "\"id\":12", "\"id\":null", "\"id\": 1", "\"id\":\"1\""]),
        choice(&[
            "\"name\":\"\"",
            "\n\"name\":\"\"",
            "\"name\":\"a\"",
            "\"name\":\"a,\\\"b\"",
            "\"name\":1",
            "\"name\":null"
        ]),
        choice(&["\"total\":1", " \"total\":1", "\"total\":1.0", "\"total\":\"\"", "\"total\":\"1\"", "\"total\":10"]),
        choice(&["\"count\":1", "\"count\":1 ", "\"count\" :1", "\"count\":11", "\"count\":1.5"]),
        choice(&["\"updated_at\":\"2020-01-01T00:00:00Z\"", "\"updated_at\":\"2020-01-01T00:00:00-06:00\""]),
        choice(&["\"updated_at\":\"1753-01-01T00:00:00Z\"", "\"updated_at\":\"N/A\"", "\"updated_at\":\"soon\""]),
        choice(&["\"due\":\"-\"", "\"due\":\"0000-00-00T00:00:00\"", "\"due\":\"1900-01-01T00:00:00Z\""]),
        choice(&["\"due\":\"\"", "\"due\":\"2020-01-01T00:00:00Z\"", "\"due\":\"soon\"", "\"due\":null"]),
        choice(&["\"items\":[]", "\"items\":[1]", "\"items\":[1,{\"a\":1}]", "\"items\":[ 1]", "\"items\":{}"]),
        choice(&["\"other\":1", "\"other\":[1,2]", "\n\"other\":1", "\"other\":true"]),
    ];
    prop::collection::vec(field, 0..9).prop_map(|fields| format!("{{{}}}", fields.join(",")))
}

#[test]
fn a_record_may_be_spaced_in_another_way_than_those_before() {
    let (dense, spaced) = (r#"{"id":1,"name":"","total":1}"#, "{\"id\":1,\"name\":\"\",\n \"total\":1}");
    for texts in [[dense, spaced, dense], [spaced, dense, spaced]] {
        let mut writer = RecordWriter::new(record_schema());
        for text in texts {
            let mut out = Vec::new();
            writer.copy(&mut Scanner::new(text.as_bytes()), &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), dense);
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(1000))]

    #[test]
    fn a_record_is_copied_as_if_it_were_the_first(
        pool in proptest::collection::vec(alike(), 1..5),
        picks in proptest::collection::vec(proptest::prelude::any::<(proptest::sample::Index, bool)>(), 1..120),
    ) {
        let mut writer = RecordWriter::new(record_schema());
        let mut issues = std::collections::BTreeSet::new();
        let mut expected_findings = std::collections::BTreeSet::new();
        for (pick, is_cut) in picks {
            let text = pick.get(&pool);
            // A record that is cut short is offered again; what was seen of it must not count.
            if is_cut {
                let cut = &text.as_bytes()[..text.len() - 1];
                writer.copy(&mut Scanner::new(cut), &mut Vec::new()).unwrap_err();
            }
            let (expected, meta, reported) = copy(text);
            let mut out = Vec::new();
            let mut scanner = Scanner::new(text.as_bytes());
            proptest::prop_assert_eq!(writer.copy(&mut scanner, &mut out), Ok(meta));
            proptest::prop_assert_eq!(scanner.position(), text.len());
            proptest::prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
            issues.extend(writer.take_issues());
            // Each field is told once, however many kinds of misfit it has.
            let named = |issue: FieldIssue| match issue {
                FieldIssue::TypeMismatch(name, ..) | FieldIssue::Undeclared(name) | FieldIssue::PlaceholderDate(name) => name,
                other => unreachable!("{other:?}"),
            };
            expected_findings.extend(reported.into_iter().map(named));
            let names: std::collections::BTreeSet<String> = issues.iter().cloned().map(named).collect();
            proptest::prop_assert_eq!(&names, &expected_findings);
        }
    }
}

#[test]
fn escaped_names_are_decoded_and_the_last_duplicate_counts() {
    for (text, key) in [
        (r#"{"id":1,"id":2}"#, Key::Number(2)),
        (r#"{"id":1,"\u0069d":3}"#, Key::Number(3)),
        (r#"{"\u0069d":4}"#, Key::Number(4)),
    ] {
        let mut writer = RecordWriter::new(record_schema());
        let mut out = Vec::new();
        // Twice, since a copier remembers the order of the fields.
        for _ in 0..2 {
            out.clear();
            let meta = writer.copy(&mut Scanner::new(text.as_bytes()), &mut out).unwrap();
            assert_eq!((meta.key, String::from_utf8_lossy(&out).as_ref()), (key, text));
            let seen: serde_json::Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(Some(key), seen["id"].as_i64().map(Key::Number), "as a reader of the record sees it");
        }
        assert_eq!(writer.take_issues(), []);
    }
    let mut record_schema = Arc::into_inner(record_schema()).unwrap();
    record_schema.redact(&["name"]);
    let mut out = Vec::new();
    let text = br#"{"n\u0061me":"secret","name":"secret"}"#;
    RecordWriter::new(Arc::new(record_schema)).copy(&mut Scanner::new(text), &mut out).unwrap();
    assert!(!String::from_utf8_lossy(&out).contains("secret"));
}

#[test]
fn halves_of_surrogate_pairs_go_out_as_replacement_characters() {
    let text = r#"{"id":1,"name":"a\ud800","due":"\udc00","x\udfff":{"y":["\ud800"]},"count":2}"#;
    let mut writer = RecordWriter::new(record_schema());
    let mut out = Vec::new();
    for _ in 0..2 {
        out.clear();
        writer.copy(&mut Scanner::new(text.as_bytes()), &mut out).unwrap();
        let mended = r#"{"id":1,"name":"a\ufffd","due":"\ufffd","x\ufffd":{"y":["\ufffd"]},"count":2}"#;
        assert_eq!(String::from_utf8_lossy(&out), mended);
    }
    let nul = r#"{"id":1,"name":"a\u0000b"}"#;
    out.clear();
    writer.copy(&mut Scanner::new(nul.as_bytes()), &mut out).unwrap();
    assert_eq!(String::from_utf8_lossy(&out), nul);
}

#[test]
fn of_many_undeclared_names_some_are_reported() {
    let fields: Vec<String> = (0..5_000).map(|number| format!("\"x{number}\":{number}")).collect();
    let text = format!("{{{}}}", fields.join(","));
    let mut writer = RecordWriter::new(record_schema());
    let mut out = Vec::new();
    for _ in 0..2 {
        out.clear();
        writer.copy(&mut Scanner::new(text.as_bytes()), &mut out).unwrap();
        assert_eq!(String::from_utf8_lossy(&out), text);
    }
    // The others are counted, each once.
    let (reported, further): (Vec<FieldIssue>, Vec<FieldIssue>) =
        writer.take_issues().into_iter().partition(|issue| matches!(issue, FieldIssue::Undeclared(_)));
    assert_eq!((reported.len(), further.len()), (MAX_UNDECLARED, 5_000 - MAX_UNDECLARED));
}

/// The shape of the other tests, of which only these fields are selected.
fn selecting(names: &[&str]) -> Arc<RecordSchema> {
    let mut record_schema = Arc::into_inner(record_schema()).unwrap();
    record_schema.select(names.iter().copied());
    Arc::new(record_schema)
}

/// A record without the fields that are not among these.
fn filtered(record: &str, names: &[&str]) -> String {
    let mut scanner = Scanner::new(record.as_bytes());
    let mut kept = Vec::new();
    scanner.require(b'{').unwrap();
    while !scanner.take(b'}') {
        let start = scanner.position();
        let name = String::from_utf8_lossy(scanner.text().unwrap()).into_owned();
        scanner.require(b':').unwrap();
        scanner.value().unwrap();
        if names.contains(&name.as_str()) {
            kept.push(String::from_utf8_lossy(scanner.since(start)).into_owned());
        }
        scanner.take(b',');
    }
    format!("{{{}}}", kept.join(","))
}

#[test]
fn fields_that_are_not_selected_are_dropped_wherever_they_are() {
    let mut writer = RecordWriter::new(selecting(&["id", "updated_at", "extra"]));
    for (text, expected) in [
        (r#"{"id":1,"name":"x","total":2}"#, r#"{"id":1}"#),
        (r#"{"name":"x","id":2,"total":{"a":[1,"}"]}}"#, r#"{"id":2}"#),
        (r#"{"name":"x","total":1}"#, "{}"),
        ("{ \"name\" : \"x\" , \"id\" : 3 , \"total\" : 1 }", r#"{"id":3}"#),
        ("{\"id\":4,\n \"name\" :\n\"x\"\n,\"extra\":[ 1 ]}", r#"{"id":4,"extra":[1]}"#),
        (r#"{"id":5,"n\u0061me":"x","\u0065xtra":1}"#, r#"{"id":5,"\u0065xtra":1}"#),
        (r#"{"id":6,"secret":"x","extra":{},"other":",}"}"#, r#"{"id":6,"extra":{}}"#),
        (r#"{}"#, "{}"),
        (r#"{"name":"\ud83d","id":7}"#, r#"{"id":7}"#),
        (r#"{"\ud83d":"x","id":8}"#, r#"{"id":8}"#),
    ] {
        // Twice, since a copier remembers the order of the fields.
        for _ in 0..2 {
            let mut out = b"prefix,".to_vec();
            writer.copy(&mut Scanner::new(text.as_bytes()), &mut out).unwrap();
            assert_eq!(String::from_utf8_lossy(&out), format!("prefix,{expected}"), "{text}");
        }
    }
    let issues = writer.take_issues();
    let names = ["secret", "other", "\\ud83d"].map(|name| FieldIssue::Dropped(name.to_owned()));
    assert!(names.iter().all(|name| issues.contains(name)), "{issues:?}");
    assert!(issues.contains(&FieldIssue::Undeclared("extra".to_owned())), "selected, and not declared");
    assert!(
        !issues.iter().any(|issue| matches!(issue, FieldIssue::TypeMismatch(..))),
        "of a dropped field: {issues:?}"
    );
}

#[test]
fn a_selection_holds_however_many_undeclared_fields_there_are() {
    let mut writer = RecordWriter::new(selecting(&["id", "last", "sure"]));
    let mut dropped: Vec<String> = (0..MAX_UNDECLARED + 5).map(|number| format!("\"x{number}\":1")).collect();
    dropped.insert(0, "\"sure\":0".to_owned());
    dropped.push("\"last\":2".to_owned());
    let text = format!("{{{},\"id\":1}}", dropped.join(","));
    for _ in 0..3 {
        let mut out = Vec::new();
        writer.copy(&mut Scanner::new(text.as_bytes()), &mut out).unwrap();
        assert_eq!(String::from_utf8_lossy(&out), r#"{"sure":0,"last":2,"id":1}"#);
    }
}

#[test]
fn sensitive_fields_inside_undeclared_collections_are_emptied() {
    let mut inside = RecordSchema::new(&json!({"properties": {"value": {}}}), "", None);
    inside.redact(&["value"]);
    let mut outer = RecordSchema::new(&json!({"properties": {"id": {"type": "integer"}}}), "id", None);
    outer.redact_inside("fields", inside);
    let mut writer = RecordWriter::new(Arc::new(outer));
    for _ in 0..2 {
        let mut out = Vec::new();
        let text = r#"{"id":1,"fields":[{"value":"x","date":"2020-01-01"},{"value":[1]}],"f\u0069elds":{"value":2}}"#;
        writer.copy(&mut Scanner::new(text.as_bytes()), &mut out).unwrap();
        let expected =
            r#"{"id":1,"fields":[{"value":null,"date":"2020-01-01"},{"value":null}],"f\u0069elds":{"value":null}}"#;
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
    assert_eq!(writer.take_issues(), [FieldIssue::Undeclared("fields".to_owned())]);
    writer.forget(0);
    let mut out = Vec::new();
    writer.copy(&mut Scanner::new(br#"{"a":{"value":1},"fields":{"value":1}}"#), &mut out).unwrap();
    assert_eq!(String::from_utf8_lossy(&out), r#"{"a":{"value":1},"fields":{"value":null}}"#);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(1000))]

    #[test]
    fn a_selection_is_the_record_without_the_other_fields(
        pool in proptest::collection::vec(alike(), 1..5),
        picks in proptest::collection::vec(proptest::prelude::any::<proptest::sample::Index>(), 1..120),
        selected in proptest::sample::subsequence(vec!["id", "name", "total", "count", "updated_at", "due", "items", "other"], 0..9),
    ) {
        let mut writer = RecordWriter::new(selecting(&selected));
        for pick in picks {
            let text = pick.get(&pool);
            let mut out = Vec::new();
            writer.copy(&mut Scanner::new(text.as_bytes()), &mut out).unwrap();
            proptest::prop_assert_eq!(String::from_utf8(out).unwrap(), filtered(&copy(text).0, &selected));
        }
    }
}
