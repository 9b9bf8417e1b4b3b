//! Faults, slow and weak hosts, the `Date` header, the request log.

use std::time::Instant;

use super::*;

fn with(store: &FakeCsCart, fault: Fault) -> (Vec<u8>, std::io::Result<usize>) {
    store.options(|options| options.fault = Some(Box::new(move |_| Some(fault.clone()))));
    raw(store, "/api/2.0/orders", &[("authorization", &basic(EMAIL, KEY))])
}

#[test]
fn connections_break_in_their_way() {
    let store = sample(Options::default());
    let (all, _) = with(&store, Fault::CutBody { after: 10 });
    let cut = split(&all);
    assert_eq!(cut.body.len(), 10);
    assert!(cut.header("content-length").unwrap().parse::<usize>().unwrap() > 1000);
    let (all, end) = with(&store, Fault::ResetBeforeHeaders);
    assert!(all.is_empty() && end.is_err());
    let (all, end) = with(&store, Fault::ResetAfterHeaders);
    assert!(end.is_err() && (all.is_empty() || split(&all).body.is_empty()));
    let start = Instant::now();
    let (all, _) = with(&store, Fault::Slow(Duration::from_millis(120)));
    assert!(split(&all).status == 200 && start.elapsed() >= Duration::from_millis(120));
    let size = split(&all).body.len() as u32;
    let start = Instant::now();
    let (all, _) = with(&store, Fault::Trickle { bytes_per_second: size * 4 });
    assert!(start.elapsed() >= Duration::from_millis(150) && split(&all).body.len() as u32 == size);
}

#[test]
fn a_request_may_hang_until_someone_ends_it() {
    let store = sample(Options { fault: Some(Box::new(|_| Some(Fault::Hang))), ..Options::default() });
    let mut tcp = TcpStream::connect(store.address()).unwrap();
    tcp.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    tcp.write_all(b"GET /api/2.0/orders HTTP/1.1\r\n\r\n").unwrap();
    assert!(tcp.read(&mut [0; 10]).is_err());
    // The store ends without waiting for the client.
    drop(store);
}

#[test]
fn answers_of_others_and_broken_bodies() {
    let store = sample(Options::default());
    let firewall = split(&with(&store, Fault::html(403)).0);
    assert!(firewall.status == 403 && firewall.text().starts_with("<!DOCTYPE html>"));
    assert!(firewall.header("content-type").unwrap().starts_with("text/html"));
    let limited = split(&with(&store, Fault::retry_after(429, "7")).0);
    assert_eq!((limited.status, limited.header("retry-after").unwrap()), (429, "7".to_owned()));
    for status in [500, 502, 504, 508] {
        assert_eq!(split(&with(&store, Fault::html(status)).0).status, status);
    }
    let refused = split(&with(&store, Fault::error(403, "Access denied")).0);
    assert_eq!(refused.json(), serde_json::json!({"message": "Forbidden: Access denied", "status": 403}));
    let empty = split(&with(&store, Fault::Empty).0);
    assert!(empty.status == 200 && empty.body.is_empty());
    let warned = split(&with(&store, Fault::Warning).0);
    assert!(warned.status == 200 && warned.text().starts_with("<br />\n<b>Warning</b>"));
    assert!(serde_json::from_slice::<Value>(&warned.body[WARNING.len()..]).is_ok());
    let changed = split(&with(&store, Fault::Changed(|body| body[..body.len() - 1].to_vec())).0);
    assert!(serde_json::from_slice::<Value>(&changed.body).is_err());
    store.options(|options| {
        options.fault = None;
        options.warning = Some(WARNING.to_owned());
    });
    assert!(get(&store, "taxes").text().starts_with("<br />"));
}

#[test]
fn a_fault_is_chosen_for_a_request() {
    let store = sample(Options::default());
    store.options(|options| {
        options.fault = Some(Box::new(|seen| (seen.object == "carts" && seen.n == 2).then(|| Fault::html(502))));
    });
    assert_eq!([0; 3].map(|_| get(&store, "carts").status), [200, 502, 200]);
}

#[test]
fn a_weak_host_fails_with_many_rows() {
    let weak = WeakHost { rows: 10, only_complete: true, status: 504 };
    let store = sample(Options { weak: Some(weak), ..Options::default() });
    let status = |path: &str| get(&store, path).status;
    assert_eq!(status("orders?items_per_page=20"), 200);
    assert_eq!(status("orders?items_per_page=20&get_orders_data=1"), 504);
    assert_eq!(status("orders?items_per_page=10&get_orders_data=1"), 200);
    store.options(|options| options.weak = Some(WeakHost { only_complete: false, status: 500, ..weak }));
    assert_eq!(status("products?items_per_page=15"), 500);
    store.options(|options| (options.weak, options.latency_per_row) = (None, Duration::from_millis(10)));
    let start = Instant::now();
    assert_eq!(status("products?items_per_page=15"), 200);
    assert!(start.elapsed() >= Duration::from_millis(150));
}

#[test]
fn a_request_that_is_too_long_is_refused() {
    let store = sample(Options::default());
    let long = format!("orders?order_id={}", vec!["100000"; 1200].join(","));
    let reply = get(&store, &long);
    assert!(reply.status == 414 && reply.text().starts_with("<!DOCTYPE"));
}

#[test]
fn the_date_may_be_late_cached_or_absent() {
    let store = sample(Options::default());
    store.data(|data| data.tick(47));
    let date = |form: DateHeader| {
        store.options(|options| options.date = form);
        let date = get(&store, "version").header("date")?;
        Some(httpdate::parse_http_date(&date).unwrap().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64)
    };
    assert_eq!(date(DateHeader::Store), Some(START + 47));
    assert_eq!(date(DateHeader::Late(7)), Some(START + 40));
    assert_eq!(date(DateHeader::Cached(60)), Some(START));
    assert_eq!(date(DateHeader::Absent), None);
    assert!(date(DateHeader::Real).unwrap() > START);
}

#[test]
fn long_bodies_are_compressed_for_those_who_accept_it() {
    let store = sample(Options::default());
    let authorization = basic(EMAIL, KEY);
    let ask = |path: &str| get_with(&store, path, &[("accept-encoding", "gzip"), ("authorization", &authorization)]);
    let reply = ask("/api/2.0/orders?sort_by=order_id");
    assert_eq!(reply.header("content-encoding").unwrap(), "gzip");
    let mut text = String::new();
    flate2::read::GzDecoder::new(reply.body.as_slice()).read_to_string(&mut text).unwrap();
    assert_eq!(text, get(&store, "orders?sort_by=order_id").text());
    assert_eq!(ask("/api/2.0/version").header("content-encoding"), None);
    store.options(|options| options.gzip = false);
    assert_eq!(ask("/api/2.0/orders").header("content-encoding"), None);
}

#[test]
fn requests_are_logged_and_counted() {
    let store = sample(Options::default());
    get(&store, "orders?items_per_page=3&cname=a%20b");
    get(&store, "carts/12345");
    get_with(&store, "/api/2.0/taxes", &[]);
    let log = store.requests();
    let lines: Vec<_> = log.iter().map(|seen| (seen.n, seen.object.as_str(), seen.status, seen.rows)).collect();
    assert_eq!(lines[1..], [(2, "carts", 404, 0), (3, "taxes", 401, 0)]);
    assert_eq!((log[0].method.as_str(), log[0].path(), log[0].version.as_str()), ("GET", "/api/2.0/orders", "2.0"));
    assert_eq!((log[0].param("cname"), log[1].id.as_str()), (Some("a b"), "12345"));
    assert!(log[0].header("authorization").is_some() && log[2].header("authorization").is_none());
    let counters = store.counters();
    assert_eq!((counters.requests, counters.by_status[&401], counters.by_object["orders"]), (3, 1, 1));
    assert_eq!((counters.connections, counters.most_at_once), (3, 1));
    assert!(counters.bytes > 0);
    store.clear_requests();
    assert!(store.requests().is_empty() && store.counters() == Counters::default());
}

#[test]
fn a_connection_is_used_again() {
    let store = sample(Options::default());
    let mut tcp = TcpStream::connect(store.address()).unwrap();
    let request = format!("GET /api/2.0/version HTTP/1.1\r\nauthorization: {}\r\n\r\n", basic(EMAIL, KEY));
    for _ in 0..3 {
        tcp.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            let mut byte = [0];
            tcp.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        assert_eq!(split(&answer).json()["Version"], "2.0");
    }
    assert_eq!((store.counters().requests, store.counters().connections), (3, 1));
}
