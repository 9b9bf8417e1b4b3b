//! Tests of the fake store itself, over the network, with a minimal client.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failing test may panic")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use fake_store::*;

mod access;
mod dates;
mod faults;
mod lists;
mod quirks;

const NO_CACHE: (&str, &str) = ("cache-control", "no-cache");
const TOKEN: (&str, &str) = ("x-ac-auth-token", "good-token");

/// One response as it arrived.
struct Reply {
    status: u16,
    headers: String,
    body: Vec<u8>,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> Option<String> {
        self.headers.lines().find_map(|line| {
            let (n, v) = line.split_once(": ")?;
            n.eq_ignore_ascii_case(name).then(|| v.to_owned())
        })
    }

    fn ids(&self) -> Vec<i64> {
        let json = self.json();
        let array = json.as_object().unwrap().values().find_map(Value::as_array).expect("an array");
        array.iter().map(|row| row["id"].as_i64().unwrap()).collect()
    }
}

/// Returns all bytes that the server sends for one request, until it closes the connection.
fn raw(store: &FakeStore, target: &str, headers: &[(&str, &str)]) -> (Vec<u8>, std::io::Result<usize>) {
    let mut tcp = TcpStream::connect(store.addr()).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut text = format!("GET {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", store.addr());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    tcp.write_all(text.as_bytes()).unwrap();
    let mut all = Vec::new();
    let end = tcp.read_to_end(&mut all);
    (all, end)
}

fn split(all: &[u8]) -> Reply {
    let at = all.windows(4).position(|w| w == b"\r\n\r\n").expect("headers");
    let headers = String::from_utf8_lossy(&all[..at]).into_owned();
    let status = headers.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Reply { status, headers, body: all[at + 4..].to_vec() }
}

fn get_with(store: &FakeStore, target: &str, headers: &[(&str, &str)]) -> Reply {
    let (all, end) = raw(store, target, headers);
    end.unwrap();
    split(&all)
}

fn get(store: &FakeStore, target: &str) -> Reply {
    get_with(store, target, &[TOKEN, NO_CACHE])
}

fn row(id: i64, updated_at: &str) -> Row {
    let at = Stamp::At(utc_ms(updated_at));
    Row { id, updated_at: at, created_at: at, fields: vec![("comments".to_owned(), "\"x\"".to_owned())] }
}

/// Addresses 1 to `rows`, changed one second after the other.
fn store_of(rows: i64, options: Options) -> FakeStore {
    let mut data = Data::empty();
    for id in 1..=rows {
        let mut row = data.make("addresses", id);
        row.updated_at = Stamp::At(utc_ms("2024-01-01T00:00:00Z") + id * 1000);
        data.insert("addresses", row);
    }
    FakeStore::start(options, data)
}
