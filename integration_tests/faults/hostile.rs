//! Answers of a store that is broken in its core, or means harm: what is trusted has bounds, and a stream
//! that says COMPLETE has all its rows.

use std::io::Write as _;

use serde_json::json;

use crate::fake_store::{Fault, Options, RecordedRequest};
use crate::harness::command::Command;
use crate::harness::files::configured;
use crate::harness::run::Run;
use crate::harness::setup::{SignIn, config_with, minutes, no_state, start};

/// Memory that a read with one request in flight may take: an answer of 64 MiB, as it came and as lines,
/// each with room to grow.
const MOST_MEMORY_KIB: u64 = 400 * 1024;

/// Reads a stream of 70 rows, of which some answers are replaced; says also how many requests it took.
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

/// The one error, which must not be a success in disguise.
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

/// A small answer that becomes 128 MiB: `piece`, again and again, between `head` and `tail`.
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
fn a_bomb_ends_in_an_error_and_not_in_memory() {
    for (what, head, piece, tail) in [
        ("a long text", r#"{"total_count":1,"orders":[{"id":1,"comments":""#, "a", r#""}]}"#),
        ("countless rows", r#"{"total_count":1,"orders":[{}"#, ",{}", "]}"),
        ("countless fields of a row", r#"{"total_count":1,"orders":[{"id":1"#, r#","x":1"#, "}]}"),
    ] {
        let fault = bomb(head, piece, tail);
        let (run, _) = read_with(Options::default(), move |_| Some(fault.clone()));
        let (kind, message) = error(&run);
        assert_eq!(kind, "system_error", "{what}: {message}");
        assert!(message.contains(" MiB on `orders`, which is refused"), "{what}: {message}");
        assert!(run.peak_kib < MOST_MEMORY_KIB, "{what}: {} KiB", run.peak_kib);
        assert!(run.records("orders").is_empty());
    }
}

#[test]
fn nesting_is_bounded() {
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
fn many_undeclared_fields_are_neither_slow_nor_reported_one_by_one() {
    let fields: String = (0..200_000).map(|number| format!(r#","x{number}":1"#)).collect();
    let body = format!(r#"{{"total_count":1,"orders":[{{"id":1{fields}}}]}}"#);
    let (run, _) = read_with(Options::default(), always(body.as_bytes()));
    assert_eq!((run.code, run.ids("orders")), (Some(0), vec![1]));
    // Those of its bound, and one that counts the others.
    assert!(run.warnings().len() <= 201, "{}", run.warnings().len());
}

#[test]
fn a_count_that_is_never_reached_does_not_read_for_ever() {
    let at = "2024-11-18T05:00:00-06:00";
    let body = format!(
        r#"{{"total_count":1000000000,"next_page":"x","orders":[{{"id":1,"updated_at":"{at}"}},{{"id":2,"updated_at":"{at}"}}]}}"#
    );
    let (run, requests) = read_with(Options::default(), always(body.as_bytes()));
    assert_eq!(error(&run).0, "system_error");
    assert!(requests < 200, "{requests} requests");
}

/// Whether a run that says COMPLETE has everything.
fn assert_nothing_hidden(run: &Run, what: &str) {
    let mut came = run.ids("orders");
    came.sort_unstable();
    came.dedup();
    let complete = run.statuses("orders").last() == Some(&"COMPLETE");
    assert_eq!((run.code == Some(0), run.code), (complete, run.code_of_errors()), "{what}\n{}", run.transcript());
    assert!(!complete || came == (1..=70).collect::<Vec<i64>>(), "{what}: {} rows\n{}", came.len(), run.transcript());
}

#[test]
fn an_answer_without_rows_hides_none() {
    // How a store might say that there is nothing, while it counts 70 rows in other answers.
    let bodies = [
        (r#"{"total_count":70,"orders":[]}"#, 1),
        // From the first answer on, or in all of them, these say what an empty store says, some of which
        // name a next page in every answer.
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
fn a_page_that_is_announced_and_not_found_hides_none() {
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
fn whatever_the_keys_are_every_row_arrives_once() {
    // A store of strange keys, which knows pages and nothing else.
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
fn a_record_stays_one_line_that_every_reader_can_read() {
    let body = "{\"total_count\":2,\r\n\"orders\" : [\n{\n\t\"id\"\r\n:\n1 , \"comments\":\"\\u0000 \\ud800 \\n \u{2028} \u{85}\" ,\
                \"custom_fields\":[\n 1,\n\n{ \"a\\udc00\" : \"\\ud83d\\ude00\" } ] }\n,{\"id\":7,\"id\":2,\"comments\":\"a\",\"comments\":\"b\"} ] }\n";
    let (run, _) = read_with(Options::default(), always(body.as_bytes()));
    assert_eq!((run.code, run.ids("orders")), (Some(0), vec![1, 2]), "{}", run.transcript());
    let first = run.data("orders")[0];
    let expected = "{\"id\":1,\"comments\":\"\\u0000 \\ufffd \\n \u{2028} \u{85}\",\"custom_fields\":[1,{\"a\\ufffd\":\"\\ud83d\\ude00\"}]}";
    assert_eq!(first, expected);
    assert_eq!(run.records("orders")[1].value["record"]["data"], json!({"id": 2, "comments": "b"}));
}

#[test]
fn what_is_no_record_ends_the_stream() {
    for element in ["null", "5", "[]", r#""x""#, "true"] {
        let body = format!(r#"{{"total_count":2,"orders":[{{"id":1}},{element}]}}"#);
        let (run, _) = read_with(Options::default(), always(body.as_bytes()));
        assert_eq!(error(&run).0, "system_error", "{element}");
        assert!(run.records("orders").is_empty(), "nothing of such a page goes out");
    }
}

#[test]
fn a_list_that_is_there_twice_ends_the_stream() {
    let body = br#"{"total_count":1,"orders":[{"id":1}],"orders":[{"id":2}]}"#;
    let (run, _) = read_with(Options::default(), always(body));
    let (kind, message) = error(&run);
    assert_eq!(kind, "system_error");
    assert!(message.contains("its list twice"), "{message}");
}
