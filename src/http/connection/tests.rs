//! Tests of the HTTP connection against servers that respond in unusual ways.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

const AGENT: HeaderValue = HeaderValue::from_static("test/1");
const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(3600);

/// Sends a request to a server that sends only `says` and then keeps the connection open. Returns the error.
async fn asked(says: &'static [u8], encrypted: bool, timeouts: Timeouts) -> HttpError {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let scheme = if encrypted { "https" } else { "http" };
    let url = Url::parse(&format!("{scheme}://{}/", listener.local_addr().unwrap())).unwrap();
    let server = std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept().unwrap();
        // The server must read the request before it responds.
        let _ = tcp.read(&mut [0; 1024]).unwrap();
        tcp.write_all(says).unwrap();
        // Wait until the client closes the connection.
        let _ = tcp.read_to_end(&mut Vec::new());
    });
    let http = Http::new(super::super::tls::config(None).unwrap(), None, AGENT, 1, timeouts);
    let asking = async {
        match http.get(&url, HeaderMap::new()).await {
            Err(http_error) => http_error,
            Ok(mut answer) => {
                let mut body = Vec::new();
                loop {
                    if let Err(http_error) = answer.read(&mut body).await {
                        break http_error;
                    }
                }
            }
        }
    };
    let http_error = timeout(Duration::from_secs(60), asking).await.unwrap();
    drop(http);
    server.join().unwrap();
    http_error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_limit_ends_what_it_is_for() {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{";
    let usual = Timeouts { connect: LONG, idle: LONG, whole: LONG };
    for (what, says, encrypted, timeouts) in [
        ("connect", &b""[..], true, Timeouts { connect: SHORT, ..usual }),
        ("idle, before the head", &b""[..], false, Timeouts { idle: SHORT, ..usual }),
        ("idle, in the body", HEAD, false, Timeouts { idle: SHORT, ..usual }),
        ("whole, before the head", &b""[..], false, Timeouts { whole: SHORT, ..usual }),
        ("whole, in the body", HEAD, false, Timeouts { whole: SHORT, ..usual }),
    ] {
        assert!(asked(says, encrypted, timeouts).await.is_timeout(), "{what}");
    }
}

/// Decompresses a body that arrives in chunks of `size` bytes. Returns `None` on an error.
fn unpacked(body: &[u8], size: usize) -> Option<Vec<u8>> {
    let (mut body_decoder, mut out) = (GzipBody::default(), Vec::new());
    for chunk in body.chunks(size) {
        if body_decoder.over {
            break;
        }
        body_decoder.compressed = Bytes::copy_from_slice(chunk);
        while !body_decoder.compressed.is_empty() {
            body_decoder.decompress(&mut out).ok()?;
        }
    }
    body_decoder.finish(&mut out).ok()?;
    Some(out)
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut compressed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    compressed.write_all(text).unwrap();
    compressed.finish().unwrap()
}

#[test]
fn trailing_bytes_after_gzip_are_ignored() {
    let (one, two, empty) = (gzip(b"one"), gzip(b"two"), gzip(b""));
    let whole = one.len();
    let mut wrong_sum = one.clone();
    wrong_sum[whole - 6] ^= 0xff;
    for (body, expected) in [
        (one.clone(), Some("one")),
        ([&one[..], &two].concat(), Some("onetwo")),
        ([&one[..], &empty, &two].concat(), Some("onetwo")),
        ([&one[..], b"more"].concat(), Some("one")),
        ([&one[..], b"\0\0\0\0", &two].concat(), Some("one")),
        ([&one[..], b"\x1f"].concat(), Some("one")),
        ([&one[..], b"\x1f\x8b\x08\0"].concat(), Some("one")),
        (one[..whole - 3].to_vec(), None),
        (wrong_sum, None),
        (b"none".to_vec(), None),
    ] {
        for size in [1, 2, 7, 1000] {
            let read = unpacked(&body, size);
            assert_eq!(read.as_deref(), expected.map(str::as_bytes), "{body:?} in pieces of {size}");
        }
    }
}

async fn body(answer: &mut Response) -> Result<String, HttpError> {
    let mut body = Vec::new();
    while answer.read(&mut body).await? > 0 {}
    Ok(String::from_utf8(body).unwrap())
}

const USUAL: Timeouts = Timeouts { connect: LONG, idle: LONG, whole: LONG };

/// Answers each request with the number of its connection.
async fn count_connections(listener: tokio::net::TcpListener) {
    for number in 1.. {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            while tcp.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}");
                tcp.write_all(answer.as_bytes()).await.unwrap();
            }
        });
    }
}

#[tokio::test]
async fn a_poisoned_connection_carries_no_further_request() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(count_connections(listener));
    let http = Http::new(super::super::tls::config(None).unwrap(), None, AGENT, 8, USUAL);
    let mut seen = String::new();
    for request in 0..6 {
        let mut answer = http.get(&url, HeaderMap::new()).await.unwrap();
        seen += &body(&mut answer).await.unwrap();
        if request % 2 == 1 {
            answer.poison();
        }
    }
    assert_eq!(seen, "112233");
}

#[tokio::test]
async fn tls_that_ends_without_close_notify_ends_a_body_without_a_length() {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(issued.cert.der().clone()).unwrap();
    let provider = || Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let client = client.with_root_certificates(roots).with_no_client_auth();
    let server = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![issued.cert.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    for (head, whole) in [("", true), ("Content-Length: 9\r\n", false), ("Transfer-Encoding: chunked\r\n", false)] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("https://localhost:{}/", listener.local_addr().unwrap().port())).unwrap();
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut tls = acceptor.accept(tcp).await.unwrap();
            let _ = tls.read(&mut [0; 1024]).await.unwrap();
            let chunk = if head.contains("chunked") { "5\r\nwhole\r\n" } else { "whole" };
            tls.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n{chunk}").as_bytes()).await.unwrap();
            tls.flush().await.unwrap();
            // The TCP connection is closed without a TLS `close_notify`.
            tls.get_mut().0.shutdown().await.unwrap();
        });
        let http = Http::new(client.clone(), None, AGENT, 1, USUAL);
        let mut answer = http.get(&url, HeaderMap::new()).await.unwrap();
        assert_eq!(body(&mut answer).await.ok().as_deref(), whole.then_some("whole"), "{head}");
    }
}
