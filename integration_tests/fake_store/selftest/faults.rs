//! Faults, the live hook, times, generated rows.

use super::*;

#[test]
fn times_follow_the_zone_and_the_fraction() {
    let clock = Clock::new;
    let chicago = clock(chrono_tz::America::Chicago, Fraction::Documented);
    for (utc, printed) in [
        ("2024-03-10T07:59:59.997Z", "2024-03-10T01:59:59.997-06:00"),
        ("2024-03-10T08:00:00Z", "2024-03-10T03:00:00-05:00"),
        ("2023-11-05T06:30:00.07Z", "2023-11-05T01:30:00.07-05:00"),
        ("2023-11-05T07:30:00.5Z", "2023-11-05T01:30:00.5-06:00"),
    ] {
        assert_eq!(chicago.text(utc_ms(utc)), printed);
        assert_eq!(chicago.parse(printed), Some(utc_ms(utc) * 10_000));
        assert_eq!(chicago.parse(utc), Some(utc_ms(utc) * 10_000));
    }
    let naive = chicago.parse("2024-07-01T00:00:00.1234567");
    assert_eq!(naive, Some(utc_ms("2024-07-01T05:00:00Z") * 10_000 + 1_234_567));
    assert_eq!(chicago.parse("2024-07-01T00:00:00.12345678Z"), None);
    let karachi = clock(chrono_tz::Asia::Karachi, Fraction::Ticks);
    let text = karachi.text(utc_ms("2024-01-01T00:00:00.003Z"));
    assert!(text.starts_with("2024-01-01T05:00:00.003") && text.ends_with("+05:00") && text.len() == 33, "{text}");
    assert_eq!(karachi.parse(&text), Some(karachi.ticks(utc_ms("2024-01-01T00:00:00.003Z"))));
    let rounded: Vec<i64> = (0..=10).map(sql_round).collect();
    assert_eq!(rounded, [0, 0, 3, 3, 3, 7, 7, 7, 7, 10, 10]);
    assert_eq!([0, 1, 3, 7, 9].map(next_tick), [3, 3, 7, 10, 10]);
}

#[test]
fn the_live_hook_changes_the_store_before_each_list() {
    let store = store_of(3, Options::default());
    store.options(|o| {
        o.live = Some(Box::new(|data, seen| {
            assert_eq!(seen.resource, "addresses");
            let first = data.ids("addresses")[0];
            if seen.n == 2 {
                data.touch("addresses", first);
                data.add("addresses");
                assert!(data.delete("addresses", first + 1));
            }
        }));
    });
    let before = store.json("addresses", 1);
    assert_eq!(get(&store, "/api/v1/addresses?sort=updated_at").ids(), [1, 2, 3]);
    assert_eq!(get(&store, "/api/v1/addresses?sort=updated_at,id").ids(), [3, 1, 4]);
    assert_ne!(store.json("addresses", 1), before);
    let log = store.requests();
    assert_eq!(log.iter().map(|s| (s.n, s.status, s.rows)).collect::<Vec<_>>(), [(1, 200, 3), (2, 200, 3)]);
    assert_eq!(log[1].param("sort"), Some("updated_at,id"));
    store.clear_requests();
    assert!(store.requests().is_empty());
}

#[test]
fn faults_break_the_connection_in_their_way() {
    let store = store_of(20, Options::default());
    let with = |fault: Fault| {
        store.options(|o| o.fault = Some(Box::new(move |_| Some(fault.clone()))));
        raw(&store, "/api/v1/addresses", &[TOKEN, NO_CACHE])
    };
    let (all, _) = with(Fault::CutBody { after: 10 });
    let cut = split(&all);
    assert_eq!(cut.body.len(), 10);
    assert!(cut.header("content-length").unwrap().parse::<usize>().unwrap() > 1000);
    let (all, end) = with(Fault::ResetBeforeHeaders);
    assert!(all.is_empty() && end.is_err());
    let (all, end) = with(Fault::ResetAfterHeaders);
    assert!(end.is_err());
    assert!(split(&all).body.is_empty());
    let (all, _) = with(Fault::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort".to_vec()));
    assert!(all.ends_with(b"\r\n\r\nshort"));
    let (all, _) = with(Fault::html(503));
    assert!(split(&all).status == 503 && split(&all).text().starts_with("<html>"));
    let (all, _) = with(Fault::server_error());
    assert!(split(&all).json()["details"].as_str().unwrap().contains("StoredProcedure"));
    let (all, _) = with(Fault::CutGzip);
    let mut text = String::new();
    let body = split(&all).body;
    assert!(flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut text).is_err());
    let begun = Instant::now();
    store.data(|d| {
        d.ids("addresses").into_iter().skip(1).for_each(|id| assert!(d.delete("addresses", id)));
    });
    let (all, _) = with(Fault::Trickle { bytes_per_second: 2000 });
    assert_eq!(split(&all).ids(), [1]);
    assert!(begun.elapsed() > Duration::from_millis(150), "{:?}", begun.elapsed());
    store.options(|o| o.fault = None);
    let zipped = get_with(&store, "/api/v1/addresses", &[TOKEN, NO_CACHE, ("accept-encoding", "gzip")]);
    assert_eq!(zipped.header("content-encoding").as_deref(), Some("gzip"));
    let statuses: Vec<u16> = store.requests().iter().map(|s| s.status).collect();
    assert_eq!(statuses, [200, 0, 200, 200, 503, 500, 200, 200, 200]);
    store.options(|o| o.redirect_to = Some("https://elsewhere.example/".to_owned()));
    let moved = get(&store, "/api/v1/addresses");
    assert_eq!((moved.status, moved.header("location").as_deref()), (301, Some("https://elsewhere.example/")));
}

#[test]
fn connections_are_kept_and_faults_end_with_their_request() {
    let store = store_of(1, Options::default());
    let mut tcp = TcpStream::connect(store.addr()).unwrap();
    for _ in 0..3 {
        let head = format!("GET /api/v1/addresses/1 HTTP/1.1\r\nHost: x\r\n{}: {}\r\n\r\n", TOKEN.0, TOKEN.1);
        tcp.write_all(head.as_bytes()).unwrap();
        let mut seen = Vec::new();
        let mut buf = [0; 4096];
        while !seen.ends_with(b"}") {
            let n = tcp.read(&mut buf).unwrap();
            assert_ne!(n, 0);
            seen.extend_from_slice(&buf[..n]);
        }
        assert_eq!(split(&seen).status, 200);
    }
    assert_eq!(store.requests().len(), 3);
}

#[test]
fn lean_rows_look_like_made_rows() {
    let mut data = Data::empty();
    let full = data.make("orders", 100_007);
    data.insert("orders", full.clone());
    let clock = Clock::new(data.zone, Fraction::Documented);
    let before = data.json("orders", 100_007, &clock);
    data.insert_lean("orders", 100_007, full.updated_at, full.created_at);
    assert_eq!(data.json("orders", 100_007, &clock), before);
    let ordered: Vec<String> = full.fields.into_iter().map(|(name, _)| name).collect();
    assert_eq!(ordered.len() + 3, resource("orders").unwrap().fields.len());
}

#[test]
fn every_resource_makes_valid_rows_for_any_key() {
    let mut data = Data::empty();
    let clock = Clock::new(data.zone, Fraction::Documented);
    for of in resources() {
        for id in (1..60).chain([i64::MAX - 1, i64::MAX]) {
            let row = data.make(of.path, id);
            data.insert(of.path, row);
            let json = data.json(of.path, id, &clock).unwrap();
            let row: Value = serde_json::from_str(&json).unwrap_or_else(|e| panic!("{} {id}: {e}: {json}", of.path));
            assert_eq!(row.as_object().unwrap().len(), of.fields.len());
        }
        data.touch(of.path, 7);
    }
}

#[test]
fn true_answers_are_changed_in_their_way() {
    let store = store_of(20, Options::default());
    let with = |fault: Fault| {
        store.options(|o| o.fault = Some(Box::new(move |_| Some(fault.clone()))));
        raw(&store, "/api/v1/addresses", &[TOKEN, NO_CACHE, ("Accept-Encoding", "gzip")]).0
    };
    let headers = vec![("Content-Type".to_owned(), "text/plain".to_owned())];
    let changed = split(&with(Fault::Changed { headers, change: |body| [b"!", body.as_slice()].concat() }));
    assert_eq!(changed.header("content-type").as_deref(), Some("text/plain"));
    assert!(changed.text().starts_with("!{"));
    for by in [-9, 9] {
        let wrong = split(&with(Fault::WrongLength(by)));
        let length: i64 = wrong.header("content-length").unwrap().parse().unwrap();
        assert_eq!(length, i64::try_from(wrong.body.len()).unwrap() + by);
    }
}

#[test]
fn connections_are_struck_by_number_and_absences_end() {
    let connection_fault = |number: usize| match number {
        1 => Some(ConnectionFault::Closed),
        2 => Some(ConnectionFault::Reset),
        3 => Some(ConnectionFault::Noise),
        _ => None,
    };
    let mut pauses = 3;
    let options = Options {
        connection_fault: Some(Box::new(connection_fault)),
        keep_alive: false,
        address: std::net::Ipv4Addr::new(127, 83, 255, 1),
        absence: Some(Box::new(move |accepted| {
            let due = accepted == 4 && pauses > 0;
            pauses -= usize::from(due);
            due.then_some(Duration::from_millis(1))
        })),
        ..Options::default()
    };
    let store = store_of(3, options);
    let ask = || {
        let mut tcp = TcpStream::connect(store.addr()).unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let head = format!("GET /api/v1/addresses HTTP/1.1\r\nHost: x\r\n{}: {}\r\n\r\n", TOKEN.0, TOKEN.1);
        let mut all = Vec::new();
        // A closed connection cannot be written to either.
        let end = tcp.write_all(head.as_bytes()).and_then(|()| tcp.read_to_end(&mut all));
        (all, end)
    };
    assert!(ask().0.is_empty(), "closed");
    assert!(ask().1.is_err(), "reset");
    assert!(ask().0.starts_with(b"\x00\x01"), "noise");
    assert_eq!(split(&ask().0).header("connection").as_deref(), Some("close"));
    while TcpStream::connect(store.addr()).is_err() {}
    assert_eq!(split(&ask().0).status, 200);
}

#[test]
fn answers_can_be_those_to_another_request() {
    let store = store_of(3, Options { max_count: Some(2), ..Options::default() });
    store.data(|d| {
        d.add("orders");
    });
    let with = |fault: Fault| {
        store.options(|o| o.fault = Some(Box::new(move |_| Some(fault.clone()))));
        get(&store, "/api/v1/orders?count=1")
    };
    let other = with(Fault::AnswerOf { resource: "addresses", list: None }).json();
    assert_eq!((other["total_count"].as_i64(), other["addresses"].as_array().map(Vec::len)), (Some(3), Some(1)));
    assert!(other["next_page"].as_str().unwrap().contains("/api/v1/addresses?count=1&page=2"));
    let renamed = with(Fault::AnswerOf { resource: "addresses", list: Some("data") }).json();
    assert!(renamed["data"].is_array() && renamed["addresses"].is_null());
    store.data(|d| {
        d.add("orders");
    });
    let linked = with(Fault::NextPageOf("addresses")).json();
    assert!(linked["next_page"].as_str().unwrap().contains("/api/v1/addresses?count=1"), "{linked}");
    assert!(linked["orders"].is_array());
    let log = store.requests();
    assert!(log.iter().all(|seen| seen.resource == "orders" && seen.connection == seen.n));
}

#[test]
fn a_connection_can_get_out_of_step() {
    for (out_of_step, expected) in [(false, [1, 1, 1, 1]), (true, [1, 1, 2, 3])] {
        let late = Some(Late { seed: 1, one_in: 1, out_of_step });
        let store = store_of(4, Options { late, ..Options::default() });
        let mut tcp = TcpStream::connect(store.addr()).unwrap();
        for (number, expected) in (1..).zip(expected) {
            let head =
                format!("GET /api/v1/addresses?id=eq:{number} HTTP/1.1\r\nHost: x\r\n{}: {}\r\n\r\n", TOKEN.0, TOKEN.1);
            tcp.write_all(head.as_bytes()).unwrap();
            let mut seen = Vec::new();
            let mut buf = [0; 4096];
            while !seen.ends_with(b"]}") {
                let n = tcp.read(&mut buf).unwrap();
                assert_ne!(n, 0);
                seen.extend_from_slice(&buf[..n]);
            }
            assert_eq!(split(&seen).ids(), [expected], "request {number}, out of step: {out_of_step}");
        }
        let log = store.requests();
        assert!(log.iter().all(|seen| seen.connection == 1));
        assert_eq!(log.iter().map(|seen| seen.answered_as.is_some()).collect::<Vec<_>>(), [false, true, true, true]);
    }
}

#[test]
fn right_answers_can_be_sent_in_odd_ways() {
    let store = store_of(3, Options::default());
    let with = |fault: Fault| {
        store.options(|o| o.fault = Some(Box::new(move |_| Some(fault.clone()))));
        get_with(&store, "/api/v1/addresses", &[TOKEN, NO_CACHE, ("accept-encoding", "gzip")])
    };
    let packed = with(Fault::Gzip { members: 2, tail: b"tail" }).body;
    assert!(packed.ends_with(b"tail"));
    let mut text = String::new();
    let members = &packed[..packed.len() - 4];
    flate2::read::MultiGzDecoder::new(members).read_to_string(&mut text).unwrap();
    assert!(text.ends_with("]}"));
    let open = with(Fault::Unclosed { missing: 1 });
    assert!(open.header("content-length").is_none() && open.text() == text[..text.len() - 1]);
    let none = with(Fault::Status(204));
    assert!(none.status == 204 && none.body.is_empty());
    assert_eq!(with(Fault::Status(206)).status, 206);
    store.options(|o| {
        o.fault = None;
        o.latin1 = true;
        o.decimal_keys = true;
    });
    store.data(|d| d.set_field("addresses", 2, "city", "\"Montr\u{f8ff}al\""));
    let body = get(&store, "/api/v1/addresses").body;
    assert!(body.windows(8).any(|bytes| bytes == b"Montr\xe9al"));
    let odd = [get(&store, "/api/v1/addresses").body, get(&store, "/api/v1/addresses").body];
    assert_ne!(odd[0], odd[1]);
    assert!(odd.iter().any(|body| String::from_utf8_lossy(body).contains(r#"{"id":1.0,"#)));
}
