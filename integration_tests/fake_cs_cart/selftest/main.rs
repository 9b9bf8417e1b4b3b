//! Tests of the fake store itself, over the network, with a minimal client.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failing test may panic")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use serde_json::Value;

use fake_cs_cart::*;

mod access;
mod carts;
mod faults;
mod lists;
mod live;
mod orders;
mod paging;
mod rows;
mod verdicts;
mod walks;

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

    /// Returns the rows of a list, which is the first field.
    fn rows(&self, list: &str) -> Vec<Value> {
        match &self.json()[list] {
            Value::Array(rows) => rows.clone(),
            Value::Object(rows) => rows.values().cloned().collect(),
            other => panic!("{list} is {other}"),
        }
    }

    /// Returns a column of all rows of a list as numbers.
    fn column(&self, list: &str, name: &str) -> Vec<i64> {
        self.rows(list).iter().map(|row| number(&row[name])).collect()
    }

    fn total(&self) -> i64 {
        number(&self.json()["params"]["total_items"])
    }
}

/// Returns a number that may be a string.
fn number(value: &Value) -> i64 {
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("{value} is not a number"))
}

/// Returns all bytes that the server sends for one request, until it closes the connection.
fn raw(store: &FakeCsCart, target: &str, headers: &[(&str, &str)]) -> (Vec<u8>, std::io::Result<usize>) {
    let mut tcp = TcpStream::connect(store.address()).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut text = format!("GET {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", store.address());
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
    let status = headers[9..12].parse().unwrap();
    Reply { status, headers, body: all[at + 4..].to_vec() }
}

fn get_with(store: &FakeCsCart, target: &str, headers: &[(&str, &str)]) -> Reply {
    let (all, end) = raw(store, target, headers);
    end.unwrap();
    split(&all)
}

fn basic(email: &str, key: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{email}:{key}")))
}

/// Requests a path of the API 2.0 as the administrator.
fn get(store: &FakeCsCart, path: &str) -> Reply {
    get_path(store, &format!("/api/2.0/{path}"))
}

fn get_path(store: &FakeCsCart, path: &str) -> Reply {
    get_with(store, path, &[("Authorization", &basic(EMAIL, KEY))])
}

fn sample(options: Options) -> FakeCsCart {
    FakeCsCart::sample(options, &Sample::new(1, 60))
}

fn of_version(version: Version) -> FakeCsCart {
    sample(Options { version, ..Options::default() })
}

fn multi_vendor() -> FakeCsCart {
    sample(Options { edition: Edition::MultiVendor, ..Options::default() })
}
