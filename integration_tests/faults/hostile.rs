//! Responses of a broken or malicious store: all inputs are limited, and a stream
//! that is COMPLETE has all its rows.

use std::io::Write as _;

use serde_json::json;

use crate::fake_store::{Fault, Options, RecordedRequest};
use crate::harness::command::Command;
use crate::harness::files::configured;
use crate::harness::run::Run;
use crate::harness::setup::{SignIn, config_with, minutes, no_state, start};

/// Maximum memory of a read with one request in flight: a response of 64 MiB, as received and as lines,
/// each with space to grow.
const MOST_MEMORY_KIB: u64 = 400 * 1024;

/// Reads a stream of 70 rows, of which some responses are replaced. Returns the number of requests as well.
fn read_with(options: Options, fault: impl FnMut(&RecordedRequest) -> Option<Fault> + Send + 'static) -> (Run, usize) {
    let options = Options { max_count: Some(10), fault: Some(Box::new(fault)), ..options };
    let store = start(SignIn::Token, options, minutes("orders", 1, 70));
    let config = config_with(&store, &json!({"max_requests_in_flight": 1, "_retry_seconds": 2}));
    let catalog = configured(&[("orders", "incremental")]);
    let run = Command::new("read").config(&config).catalog(&catalog).state(&no_state()).run();
    (run, store.requests().len())
}

fn always(body: &[u8]) -> impl FnMut(&RecordedRequest) -> Option<Fault> + Send + use<> {
    let body = body.to_vec();
    move |_| Some(Fault::Answer { status: 200, headers: Vec::new(), body: body.clone() })
}

/// Returns the only error.
fn error(run: &Run) -> (String, String) {
    assert_eq!(
        (run.code, run.statuses("orders").last()),
        (run.code_of_errors(), Some(&"INCOMPLETE")),
        "{}",
        run.transcript()
    );
    let errors = run.errors();
    assert_eq!(errors.len(), 1, "{}", run.transcript());
    (errors[0].failure_type.clone(), errors[0].message.clone())
}

/// Returns a small response that expands to 128 MiB: `piece`, repeated between `head` and `tail`.
fn bomb(head: &str, piece: &str, tail: &str) -> Fault {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(head.as_bytes()).unwrap();
    let block = piece.repeat((1 << 20) / piece.len());
    (0..128).for_each(|_| packed.write_all(block.as_bytes()).unwrap());
    packed.write_all(tail.as_bytes()).unwrap();
    let headers = vec![("Content-Encoding".to_owned(), "gzip".to_owned())];
    Fault::Answer { status: 200, headers, body: packed.finish().unwrap() }
}

#[test]
fn a_compression_bomb_ends_in_an_error_with_little_memory() {
    for (what, head, piece, tail) in [
        ("a long text", r#"{"total_count":1,"orders":[{"id":1,"comments":""#, "a", r#""}]}"#),
        ("countless rows", r#"{"total_count":1,"orders":[{}"#, ",{}", "]}"),
        ("countless fields of a row", r#"{"total_count":1,"orders":[{"id":1"#, r#","x":1"#, "}]}"),
    ] {
        let fault = bomb(head, piece, tail);
        let (run, _) = read_with(Options::default(), move |_| Some(fault.clone()));
        let (kind, message) = error(&run);
        assert_eq!(kind, "system_error", "{what}: {message}");
        assert!(message.contains("over the limit of") && message.contains(" MiB on `orders`"), "{what}: {message}");
        assert!(run.peak_kib < MOST_MEMORY_KIB, "{what}: {} KiB", run.peak_kib);
        assert!(run.records("orders").is_empty());
    }
}

#[test]
fn nesting_is_limited() {
    let body = |levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        format!(r#"{{"total_count":1,"orders":[{{"id":1,"custom_fields":{open}{close}}}]}}"#)
    };
    let (run, _) = read_with(Options::default(), always(body(100).as_bytes()));
    assert_eq!((run.code, run.ids("orders")), (Some(0), vec![1]), "{}", run.transcript());
    for levels in [200, 1_000_000] {
        let (run, _) = read_with(Options::default(), always(body(levels).as_bytes()));
        let (kind, message) = error(&run);
        assert_eq!(kind, "system_error");
        assert!(message.contains("too deep"), "{message}");
    }
}

#[test]
fn many_undeclared_fields_are_fast_and_summarised() {
    let fields: String = (0..200_000).map(|number| format!(r#","x{number}":1"#)).collect();
    let body = format!(r#"{{"total_count":1,"orders":[{{"id":1{fields}}}]}}"#);
    let (run, _) = read_with(Options::default(), always(body.as_bytes()));
    assert_eq!((run.code, run.ids("orders")), (Some(0), vec![1]));
    // The maximum number of warnings, and one that counts the rest.
    assert!(run.warnings().len() <= 201, "{}", run.warnings().len());
}

#[test]
fn a_count_that_is_never_reached_ends_the_read() {
    let at = "2024-11-18T05:00:00-06:00";
    let body = format!(
        r#"{{"total_count":1000000000,"next_page":"x","orders":[{{"id":1,"updated_at":"{at}"}},{{"id":2,"updated_at":"{at}"}}]}}"#
    );
    let (run, requests) = read_with(Options::default(), always(body.as_bytes()));
    assert_eq!(error(&run).0, "system_error");
    assert!(requests < 200, "{requests} requests");
}

/// Panics if a run that is COMPLETE lacks rows.
fn assert_nothing_hidden(run: &Run, what: &str) {
    let mut came = run.ids("orders");
    came.sort_unstable();
    came.dedup();
    let complete = run.statuses("orders").last() == Some(&"COMPLETE");
    assert_eq!((run.code == Some(0), run.code), (complete, run.code_of_errors()), "{what}\n{}", run.transcript());
    assert!(!complete || came == (1..=70).collect::<Vec<i64>>(), "{what}: {} rows\n{}", came.len(), run.transcript());
}

#[test]
fn a_response_without_rows_hides_none() {
    // Ways in which a store may say that a list is empty, although it counts 70 rows in other responses.
    let bodies = [
        (r#"{"total_count":70,"orders":[]}"#, 1),
        // From the first response on, or in all of them; some of them have a
        // next page in every response.
        (r#"{"orders":[],"next_page":"x"}"#, 2),
        (r#"{"orders":[]}"#, 2),
        (r#"{"total_count":0,"orders":[]}"#, 2),
        (r#"{"total_count":0}"#, 2),
    ];
    for (body, earliest) in bodies {
        for begin in earliest..=9 {
            for times in [1, usize::MAX] {
                if times > 1 && earliest > 1 {
                    continue;
                }
                let fault = move |seen: &RecordedRequest| {
                    let strikes = seen.n >= begin && seen.n - begin < times;
                    let body = body.as_bytes().to_vec();
                    strikes.then_some(Fault::Answer { status: 200, headers: Vec::new(), body })
                };
                let (run, _) = read_with(Options::default(), fault);
                assert_nothing_hidden(&run, &format!("{body} from request {begin}, {times} times"));
            }
        }
    }
}

#[test]
fn a_page_that_is_announced_but_not_found_hides_no_row() {
    for (total_count, times) in [(true, 1), (true, 100), (false, 1), (false, 100)] {
        for page in ["2", "4"] {
            let mut left = times;
            let fault = move |seen: &RecordedRequest| {
                let strikes = left > 0 && seen.param("page") == Some(page);
                left -= usize::from(strikes);
                strikes.then(|| Fault::error(404, "Not Found", ""))
            };
            let options = Options { total_count, ignore_sort: true, ignore_id_filter: true, ..Options::default() };
            let (run, _) = read_with(options, fault);
            assert_nothing_hidden(&run, &format!("total {total_count}, page {page}, {times} times"));
            assert_eq!(run.code == Some(0), times == 1, "{}", run.transcript());
        }
    }
}

#[test]
fn with_any_keys_every_row_arrives_once() {
    // A store with unusual keys, which supports only page numbers.
    let keys = [
        r#""5""#,
        "6.0",
        "6.5",
        "-7",
        "9223372036854775808",
        "-9223372036854775809",
        "1e3",
        "0",
        r#""0007""#,
        r#""""#,
        "true",
        r#"{"a":1}"#,
        "[1]",
        r#""ключ""#,
        "123456789012345678901234567890",
    ];
    let row = |(number, key): (usize, &&str)| format!(r#"{{"id":{key},"comments":"{number}"}}"#);
    let rows: Vec<String> = keys.iter().enumerate().map(row).collect();
    for per_page in [5, 100] {
        let (served, total) = (rows.clone(), rows.len());
        let fault = move |seen: &RecordedRequest| {
            let page: usize = seen.param("page").map_or(1, |page| page.parse().unwrap());
            let listed: Vec<&str> =
                served.iter().skip((page - 1) * per_page).take(per_page).map(String::as_str).collect();
            let body = format!(r#"{{"total_count":{total},"orders":[{}]}}"#, listed.join(","));
            Some(Fault::Answer { status: 200, headers: Vec::new(), body: body.into_bytes() })
        };
        let (run, _) = read_with(Options::default(), fault);
        assert_eq!(run.code, Some(0), "{}", run.transcript());
        let comments = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["comments"].to_string();
        let mut came: Vec<usize> =
            run.data("orders").into_iter().map(|data| comments(data).trim_matches('"').parse().unwrap()).collect();
        came.sort_unstable();
        assert_eq!(came, (0..total).collect::<Vec<usize>>(), "{per_page} a page");
    }
}

#[test]
fn a_record_is_one_line_that_every_parser_accepts() {
    let body = "{\"total_count\":2,\r\n\"orders\" : [\n{\n\t\"id\"\r\n:\n1 , \"comments\":\"\\u0000 \\ud800 \\n \u{2028} \u{85}\" ,\
                \"custom_fields\":[\n 1,\n\n{ \"a\\udc00\" : \"\\ud83d\\ude00\" } ] }\n,{\"id\":7,\"id\":2,\"comments\":\"a\",\"comments\":\"b\"} ] }\n";
    let (run, _) = read_with(Options::default(), always(body.as_bytes()));
    assert_eq!((run.code, run.ids("orders")), (Some(0), vec![1, 2]), "{}", run.transcript());
    let first = run.data("orders")[0];
    let expected = "{\"id\":1,\"comments\":\"\\u0000 \\ufffd \\n \u{2028} \u{85}\",\"custom_fields\":[1,{\"a\\ufffd\":\"\\ud83d\\ude00\"}]}";
    assert_eq!(first, expected);
    assert_eq!(run.records("orders")[1].data_value(), json!({"id": 2, "comments": "b"}));
}

#[test]
fn an_element_that_is_not_a_record_ends_the_stream() {
    for element in ["null", "5", "[]", r#""x""#, "true"] {
        let body = format!(r#"{{"total_count":2,"orders":[{{"id":1}},{element}]}}"#);
        let (run, _) = read_with(Options::default(), always(body.as_bytes()));
        assert_eq!(error(&run).0, "system_error", "{element}");
        assert!(run.records("orders").is_empty(), "no row of such a page is emitted");
    }
}

#[test]
fn a_list_that_occurs_twice_ends_the_stream() {
    let body = br#"{"total_count":1,"orders":[{"id":1}],"orders":[{"id":2}]}"#;
    let (run, _) = read_with(Options::default(), always(body));
    let (kind, message) = error(&run);
    assert_eq!(kind, "system_error");
    assert!(message.contains("its list twice"), "{message}");
}
