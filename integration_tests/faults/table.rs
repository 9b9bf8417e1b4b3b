//! The table of faults, which generates `docs/development/faults.md`.

use std::io::Write as _;

use super::row::FaultLocation::{Absence, Answer, Connection, Flood, Name, Secured, SecuredAnswer};
use super::row::Outcome::{Harmless, NotRetried, Retried, RetriedAFewTimes, RetriedOnce};
use super::row::{Outcome, Row, Stay};
use super::run;
use crate::fake_store::{ConnectionFault, Fault, RecordedRequest, Tls};

const TRANSIENT: Outcome = Retried("transient_error");
const SHAPE: Outcome = RetriedAFewTimes("system_error");
const SIZE: Outcome = RetriedOnce("system_error");
const DEFERRED: Outcome = NotRetried("transient_error");
const SYSTEM: Outcome = NotRetried("system_error");
const CONFIG: Outcome = NotRetried("config_error");

macro_rules! faults {
    ($($name:ident: $outcome:expr, $what:literal, $place:expr;)*) => {
        static FAULTS: &[Row] = &[$(Row { name: stringify!($name), what: $what, place: $place, outcome: $outcome },)*];
        $(#[test]
        fn $name() {
            run::prove(FAULTS.iter().find(|row| row.name == stringify!($name)).unwrap());
        })*
    };
}

fn error(status: u16) -> Fault {
    Fault::error(status, "That went wrong.", "")
}

fn refusal(retry_after: Option<&str>) -> Fault {
    let headers = retry_after.map(|value| ("Retry-After".to_owned(), value.to_owned())).into_iter().collect();
    let body = br#"{"status_code":429,"message":"Too Many Requests","details":""}"#.to_vec();
    Fault::Answer { status: 429, headers, body }
}

fn json(body: &str) -> Fault {
    let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    Fault::Answer { status: 200, headers, body: body.as_bytes().to_vec() }
}

fn changed(headers: &[(&str, &str)], change: fn(Vec<u8>) -> Vec<u8>) -> Fault {
    let headers = headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Fault::Changed { headers, change }
}

fn redirect(location: &str) -> Fault {
    Fault::Answer { status: 302, headers: vec![("Location".to_owned(), location.to_owned())], body: Vec::new() }
}

fn host(seen: &RecordedRequest) -> &str {
    seen.header("host").unwrap_or_default()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(body).unwrap();
    out.finish().unwrap()
}

/// Cuts a body at a third, which is inside a string.
fn cut_in_a_string(mut body: Vec<u8>) -> Vec<u8> {
    let third = body.len() / 3;
    let quote = body.iter().skip(third).position(|&byte| byte == b':').unwrap_or(0);
    body.truncate(third + quote + 3);
    body
}

fn utf16(body: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8(body).unwrap();
    "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

fn latin1(body: Vec<u8>) -> Vec<u8> {
    // The first string of the first row starts with a letter that is one byte in Latin-1.
    let text = String::from_utf8(body).unwrap();
    let place = text.find(r#"":""#).map_or(1, |at| at + 4);
    let mut bytes = text.into_bytes();
    bytes.insert(place.min(bytes.len() - 1), 0xe9);
    bytes
}

fn two_members(body: &[u8]) -> Vec<u8> {
    let (first, second) = body.split_at(body.len() / 2);
    [gzip(first), gzip(second)].concat()
}

fn bad_checksum(body: &[u8]) -> Vec<u8> {
    let mut packed = gzip(body);
    let sum = packed.len() - 6;
    packed[sum] ^= 0xff;
    packed
}

fn other_host() -> Tls {
    Tls { host_names: vec!["shop.example.com".to_owned()], ..Tls::default() }
}

fn expired() -> Tls {
    Tls { expired: true, ..Tls::default() }
}

faults! {
    http_400: SIZE, "400", Answer(|_| error(400));
    http_401: CONFIG, "401", Answer(|_| error(401));
    http_403: CONFIG, "403", Answer(|_| error(403));
    http_403_html: CONFIG, "403, an HTML page of a firewall", Answer(|_| Fault::html(403));
    http_404: SYSTEM, "404", Answer(|_| Fault::error(404, "NotFound", "No resource matches the URL specified."));
    http_408: TRANSIENT, "408", Answer(|_| error(408));
    http_409: SYSTEM, "409", Answer(|_| error(409));
    http_418: SYSTEM, "418", Answer(|_| error(418));
    http_425: TRANSIENT, "425", Answer(|_| error(425));
    http_429: TRANSIENT, "429 without `Retry-After`", Answer(|_| refusal(None));
    http_429_seconds: TRANSIENT, "429, `Retry-After: 1`", Answer(|_| refusal(Some("1")));
    http_429_decimals: TRANSIENT, "429, `Retry-After: 0.5`", Answer(|_| refusal(Some("0.5")));
    http_429_zero: TRANSIENT, "429, `Retry-After: 0`", Answer(|_| refusal(Some("0")));
    http_429_negative: TRANSIENT, "429, `Retry-After: -30`", Answer(|_| refusal(Some("-30")));
    http_429_ten_years: DEFERRED, "429, `Retry-After: 315360000` (ten years)", Answer(|_| refusal(Some("315360000")));
    http_429_past_date: TRANSIENT, "429, `Retry-After` with a date in the past", Answer(|_| refusal(Some("Tue, 13 Sep 2022 10:00:00 GMT")));
    http_429_future_date: DEFERRED, "429, `Retry-After` with a date in ten years", Answer(|_| refusal(Some("Thu, 13 Sep 2035 10:00:00 GMT")));
    http_429_text: TRANSIENT, "429, `Retry-After: soon`", Answer(|_| refusal(Some("soon")));
    http_429_not_a_number: TRANSIENT, "429, `Retry-After: NaN`", Answer(|_| refusal(Some("NaN")));
    http_500_dotnet: TRANSIENT, "500 with names of .NET classes", Answer(|_| Fault::server_error());
    http_502: TRANSIENT, "502, an HTML page", Answer(|_| Fault::html(502));
    http_503: TRANSIENT, "503, an HTML page", Answer(|_| Fault::html(503));
    http_504: TRANSIENT, "504, an HTML page", Answer(|_| Fault::html(504));
    http_204: TRANSIENT, "204", Answer(|_| Fault::Answer { status: 204, headers: Vec::new(), body: Vec::new() });
    http_206: TRANSIENT, "206", Answer(|_| Fault::Answer { status: 206, headers: Vec::new(), body: br#"{"total_count":1,"#.to_vec() });
    html: TRANSIENT, "200, an HTML page", Answer(|_| Fault::html(200));
    empty_body: TRANSIENT, "200, an empty body", Answer(|_| json(""));
    cut_body: TRANSIENT, "The connection is closed in the middle of the body", Answer(|_| Fault::CutBody { after: 700 });
    cut_json: TRANSIENT, "JSON cut inside a string, with the correct `Content-Length`", Answer(|_| changed(&[], cut_in_a_string));
    error_as_200: SHAPE, "200 with the JSON of an error", Answer(|_| json(r#"{"status_code":500,"message":"An error has occurred.","details":""}"#));
    json_array: SHAPE, "200 with a JSON array", Answer(|_| json("[]"));
    json_null: SHAPE, "200 with `null`", Answer(|_| json("null"));
    json_list_of_strings: SHAPE, "200 with a list that holds no objects", Answer(|_| json(r#"{"total_count":70,"orders":["a"],"microstores":["a"]}"#));
    list_of_another: SHAPE, "200 with the list of another resource", Answer(|_| json(r#"{"total_count":1,"customers":[{"id":1}]}"#));
    next_page_of_another: SHAPE, "200 with a next page of another resource", Answer(|_| json(r#"{"total_count":1,"orders":[{"id":1}],"next_page":"/api/v1/customers?page=2"}"#));
    next_page_of_nothing: SHAPE, "200 without rows, and with a next page", Answer(|_| json(r#"{"orders":[],"next_page":"/api/v1/orders?page=9"}"#));
    empty_list_of_no_name: SHAPE, "200 with an empty list of an unknown name", Answer(|_| json(r#"{"something_else":[]}"#));
    rows_of_no_name: SHAPE, "200 with rows without a key under an unknown name", Answer(|_| json(r#"{"something_else":[{"name":"x"}]}"#));
    wrong_type: Harmless, "The correct response as `text/plain`", Answer(|_| changed(&[("content-type", "text/plain")], |body| body));
    wrong_charset: Harmless, "The correct response, declared as `iso-8859-1`", Answer(|_| changed(&[("content-type", "application/json; charset=iso-8859-1")], |body| body));
    utf_16: TRANSIENT, "The correct response in UTF-16", Answer(|_| changed(&[], utf16));
    latin_1: TRANSIENT, "A letter in Latin-1", Answer(|_| changed(&[], latin1));
    byte_order_mark: Harmless, "The correct response after a byte order mark", Answer(|_| changed(&[], |body| [b"\xef\xbb\xbf", body.as_slice()].concat()));
    gzip_cut: TRANSIENT, "gzip cut in the middle", Answer(|_| Fault::CutGzip);
    gzip_declared_only: TRANSIENT, "Declared as gzip, but not compressed", Answer(|_| changed(&[("content-encoding", "gzip")], |body| body));
    gzip_unannounced: TRANSIENT, "gzip without `Content-Encoding`", Answer(|_| changed(&[], |body| gzip(&body)));
    gzip_wrong_sum: TRANSIENT, "gzip with a wrong checksum", Answer(|_| changed(&[("content-encoding", "gzip")], |body| bad_checksum(&body)));
    gzip_in_two: Harmless, "gzip in two members", Answer(|_| changed(&[("content-encoding", "GZIP")], |body| two_members(&body)));
    gzip_and_more: Harmless, "gzip followed by other bytes", Answer(|_| changed(&[("content-encoding", "x-gzip")], |body| [gzip(&body), b"more".to_vec()].concat()));
    unknown_encoding: TRANSIENT, "A compression that was not requested", Answer(|_| changed(&[("content-encoding", "br")], |body| gzip(&body)));
    length_too_long: TRANSIENT, "`Content-Length` larger than the body", Answer(|_| Fault::WrongLength(100));
    length_too_short: TRANSIENT, "`Content-Length` smaller than the body", Answer(|_| Fault::WrongLength(-100));
    chunks_without_end: SHAPE, "Endless chunks, as fast as they are read", Flood(|_| Fault::Endless { slowly: false });
    chunks_without_end_slowly: TRANSIENT, "Endless chunks, one per second", Answer(|_| Fault::Endless { slowly: true });
    no_http: TRANSIENT, "A response that is not HTTP", Answer(|_| Fault::Raw(b"220 mail.example.com ESMTP\r\n".to_vec()));
    header_too_large: TRANSIENT, "A header of one megabyte", Answer(|_| Fault::Raw(format!("HTTP/1.1 200 OK\r\nX-Large: {}\r\n\r\n", "x".repeat(1 << 20)).into_bytes()));
    refused: TRANSIENT, "Connection refused", Absence;
    closed_at_once: TRANSIENT, "The connection is closed before any byte", Connection(|| ConnectionFault::Closed);
    reset_at_once: TRANSIENT, "The connection is reset before any byte", Connection(|| ConnectionFault::Reset);
    reset_before_headers: TRANSIENT, "The connection is reset instead of a response", Answer(|_| Fault::ResetBeforeHeaders);
    reset_after_headers: TRANSIENT, "The connection is reset after the headers", Answer(|_| Fault::ResetAfterHeaders);
    handshake_closed: TRANSIENT, "The connection is closed in the TLS handshake", Secured(|| ConnectionFault::Closed);
    handshake_noise: TRANSIENT, "The server does not use TLS", Secured(|| ConnectionFault::Noise);
    handshake_silent: TRANSIENT, "The TLS handshake never ends", Secured(|| ConnectionFault::Silent);
    certificate_expired: CONFIG, "The certificate has expired", Secured(|| ConnectionFault::Certificate(expired()));
    certificate_of_another: CONFIG, "The certificate is for another host", Secured(|| ConnectionFault::Certificate(other_host()));
    certificate_unknown: CONFIG, "The certificate was issued by an unknown authority", Secured(|| ConnectionFault::Stranger);
    no_such_host: TRANSIENT, "The host name has no address", Name;
    trickle: TRANSIENT, "The response arrives at one byte per second", Answer(|_| Fault::Trickle { bytes_per_second: 1 });
    never: TRANSIENT, "The response never arrives", Answer(|_| Fault::Hang);
    redirect_same_host: CONFIG, "A redirect to the same host", Answer(|_| redirect("/somewhere/else"));
    redirect_loop: CONFIG, "A redirect to itself", Answer(|seen| redirect(&seen.target));
    redirect_other_host: CONFIG, "A redirect to another host", Answer(|_| redirect("https://other.example.com/api/v1/orders"));
    redirect_to_http: CONFIG, "A redirect from `https` to `http`", SecuredAnswer(|seen| redirect(&format!("http://{}{}", host(seen), seen.target)));
    redirect_nowhere: CONFIG, "A redirect without `Location`", Answer(|_| Fault::Answer { status: 302, headers: Vec::new(), body: Vec::new() });
}

#[test]
fn the_page_of_faults_is_current() {
    let cells: usize = FAULTS.iter().map(run::count).sum();
    let mut page = format!(
        "# Faults\n\n\
         For developers who change how requests, responses or retries are handled. After this page you know which faults the tests inject, \
         and what a read must do after each. Generated by the tests (`UPDATE_DOCS=1 cargo test faults`), which assert each outcome.\n\n\
         Each fault hits one stream while another stream is read concurrently. It occurs once, three times in a row, in one of five \
         requests at random, or always. It starts on the first request, in the middle, or on the last one. The stream is read by \
         key, or page by page. That makes {cells} reads of {} faults, and one more read after each that ended INCOMPLETE. In all of them, \
         rows lost: 0, rows changed: 0, hangs: 0, secrets printed: 0. \
         `cargo test faults` tries a third of them, `EVERY_CASE=1 cargo test faults` all. The other stream was COMPLETE unless the fault affected the host itself.\n\n\
         ## Outcomes\n\n\
         - **complete**: the stream is COMPLETE, the exit code is 0, and every row was emitted.\n\
         - **transient_error**, **system_error**, **config_error**: the stream is INCOMPLETE with an error of this type. The exit code is \
         75 if every error is a transient_error, and 1 otherwise. The state covers only rows that were emitted, and the next read \
         returns the rest. A platform retries by itself after the first two types.\n\n\
         [how-it-reads.md](../reference/how-it-reads.md#requests-that-fail) describes what is retried and for how long. One attempt takes \
         at most five minutes, and at most one minute without a byte.\n\n\
         ## Limits\n\n\
         | input | limit |\n|---|---|\n\
         | a response | 64 MiB after decompression, 128 MiB as lines |\n\
         | nested arrays and objects | 120 levels |\n\
         | names of undeclared fields, for each stream | 200 |\n\
         | the config | 1 MiB |\n\
         | a catalog or a state | 64 MiB |\n\
         | a file of certificates | 16 MiB |\n\
         | a pipe that is read | 30 seconds until its end |\n\
         | pages of a stream read by key | the keys must rise |\n\
         | pages of a stream read page by page | ten pages without a new row end a pass; six passes end the read |\n\n\
         `integration_tests/faults/hostile.rs` and `integration_tests/cases/inputs.rs` test these limits.\n\n\
         A 404 after the first page of a stream that is read page by page counts as the end of its pages, as documented. Then the \
         counts show whether it was the end; if not, the pages are read again.\n\n\
         ## The table\n\n\
         The outcome is the same wherever the fault starts.\n\n\
         | fault | once | three in a row | one in five | always |\n|---|---|---|---|---|\n",
        FAULTS.len()
    );
    for row in FAULTS {
        let cells: Vec<String> = Stay::ALL.iter().map(|&stay| row.cell(stay)).collect();
        page.push_str(&format!("| {} | {} |\n", row.what, cells.join(" | ")));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/development/faults.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), page, "run UPDATE_DOCS=1 cargo test faults");
}
