//! A proxy between connector and store: a tunnel for each connection, without access to its content.

use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::fake_store::{FakeStore, Options, Secured, Tls};
use crate::harness::command::Command;
use crate::harness::files::{TOKEN, configured};
use crate::harness::run::Run;
use crate::harness::setup::{SignIn, config_with, minutes, start};

/// A proxy on loopback, and the head of each request that it received.
struct Proxy {
    address: String,
    received: Arc<Mutex<Vec<String>>>,
    secured: Option<Arc<Secured>>,
    _runtime: Runtime,
}

impl Proxy {
    /// Starts a proxy that opens tunnels, or responds with `refusal`.
    fn new(secured: bool, refusal: Option<&'static str>) -> Proxy {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let secured = secured.then(|| Arc::new(Secured::new(&Tls::default())));
        let received = Arc::default();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (kept, acceptor) = (Arc::clone(&received), secured.clone());
        runtime.spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (received, acceptor) = (Arc::clone(&kept), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(tcp, &received, refusal).await,
                        Some(secured) => match secured.acceptor.accept(tcp).await {
                            Ok(stream) => serve(stream, &received, refusal).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        Proxy { address, received, secured, _runtime: runtime }
    }

    fn received(&self) -> Vec<String> {
        self.received.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    received: &Mutex<Vec<String>>,
    refusal: Option<&str>,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.split(' ').nth(1)?.to_owned();
    received.lock().unwrap().push(head);
    if let Some(refusal) = refusal {
        return stream.write_all(format!("HTTP/1.1 {refusal}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await.ok();
    }
    let mut store = TcpStream::connect(target).await.ok()?;
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.ok()?;
    copy_bidirectional(&mut stream, &mut store).await.ok().map(drop)
}

fn store() -> FakeStore {
    let options = Options { tls: Some(Tls::default()), ..Options::default() };
    start(SignIn::Token, options, minutes("orders", 1, 35))
}

/// Reads the store's orders with these variables; `proxy` is trusted if it uses TLS.
fn read(store: &FakeStore, proxy: Option<&Proxy>, environment: &[(&str, &str)]) -> Run {
    let mut trusted = std::fs::read_to_string(store.ca_file().unwrap()).unwrap();
    if let Some(secured) = proxy.and_then(|proxy| proxy.secured.as_ref()) {
        trusted += &std::fs::read_to_string(secured.ca_file()).unwrap();
    }
    let ca = tempfile::NamedTempFile::with_suffix(".pem").unwrap();
    std::fs::write(ca.path(), trusted).unwrap();
    let command = Command::new("read")
        .config(&config_with(store, &json!({"_retry_seconds": 1})))
        .catalog(&configured(&[("orders", "incremental")]))
        .arg("--debug")
        .secret("p@ss")
        .env("SSL_CERT_FILE", ca.path().to_str().unwrap());
    environment.iter().fold(command, |command, (key, value)| command.env(key, value)).run()
}

#[test]
fn all_requests_go_through_tunnels_that_see_no_content() {
    let store = store();
    for (secured, variable, scheme) in
        [(false, "HTTPS_PROXY", "http"), (false, "ALL_PROXY", "http"), (true, "https_proxy", "https")]
    {
        let proxy = Proxy::new(secured, None);
        let url = format!("{scheme}://user:p%40ss@{}", proxy.address);
        let run = read(&store, Some(&proxy), &[(variable, &url)]);
        assert_eq!((run.code, run.records("orders").len()), (Some(0), 35), "{variable}: {}", run.transcript());
        let received = proxy.received();
        assert!(!received.is_empty(), "{variable}");
        for head in received {
            let lower = head.to_ascii_lowercase();
            assert!(head.starts_with(&format!("CONNECT localhost:{} HTTP/1.1\r\n", store.addr().port())), "{head}");
            assert!(lower.contains("\r\nuser-agent: source-cart/"), "{head}");
            // user:p@ss
            assert!(head.contains("Basic dXNlcjpwQHNz\r\n") && lower.contains("\r\nproxy-authorization: "), "{head}");
            assert!(!head.contains(TOKEN) && !lower.contains("x-ac-"), "{head}");
        }
    }
    let outside = store.requests().iter().filter(|seen| seen.header("proxy-authorization").is_some()).count();
    assert_eq!(outside, 0, "the store hears nothing of the proxy's password");
}

#[test]
fn the_proxy_resolves_the_host_name() {
    let proxy = Proxy::new(false, Some("502 Bad Gateway"));
    let mut config = config_with(&store(), &json!({"_retry_seconds": 1}));
    config["credentials"]["store_name"] = json!("shop.example.com");
    let run = Command::new("check").config(&config).env("HTTPS_PROXY", &format!("http://{}", proxy.address)).run();
    assert_eq!(run.connection_status().0, "FAILED", "{}", run.transcript());
    let received = proxy.received();
    assert!(
        !received.is_empty() && received.iter().all(|head| head.starts_with("CONNECT shop.example.com:443 ")),
        "{received:?}"
    );
}

#[test]
fn a_host_without_a_proxy_is_reached_directly() {
    let (store, proxy) = (store(), Proxy::new(false, None));
    let url = format!("http://{}", proxy.address);
    let run = read(&store, None, &[("HTTPS_PROXY", &url), ("NO_PROXY", "example.com,localhost")]);
    assert_eq!((run.code, run.records("orders").len()), (Some(0), 35), "{}", run.transcript());
    assert_eq!(proxy.received(), Vec::<String>::new());
}

#[test]
fn proxy_addresses_are_accepted_in_usual_forms() {
    let store = store();
    let proxy = Proxy::new(false, None);
    let address = &proxy.address;
    for url in [
        format!(" http://user:p%40ss@{address} \n"),
        format!("\"http://user:p@ss@{address}/\""),
        format!("'user:p@ss@{address}'"),
        format!("HTTP://user:p@ss@{address}"),
    ] {
        let before = proxy.received().len();
        let run = read(&store, None, &[("HTTPS_PROXY", &url), ("NO_PROXY", "localhost:9, *.example.com")]);
        assert_eq!((run.code, run.records("orders").len()), (Some(0), 35), "{url}: {}", run.transcript());
        let received = proxy.received();
        assert!(received.len() > before, "{url}");
        assert!(received.iter().all(|head| head.contains("Basic dXNlcjpwQHNz\r\n")), "{received:?}");
    }
}

#[test]
fn an_invalid_address_is_an_error_and_not_a_direct_connection() {
    let store = store();
    for (variable, url) in [
        ("HTTPS_PROXY", "socks5://user:p@ss@127.0.0.1:9"),
        ("https_proxy", "ftp://127.0.0.1:9"),
        ("ALL_PROXY", "http://"),
        ("HTTPS_PROXY", "http://127.0.0.1: 9"),
        ("HTTPS_PROXY", "http://user:p@ss\n@127.0.0.1:9"),
        ("all_proxy", "3128"),
        ("HTTPS_PROXY", "nonsense:port"),
    ] {
        let run = read(&store, None, &[(variable, url)]);
        assert_eq!((run.code, run.messages.len()), (Some(1), 1), "{url}: {}", run.transcript());
        let error = &run.errors()[0];
        assert_eq!(error.failure_type, "config_error", "{url}");
        assert!(error.message.contains(&format!("environment variable {variable} ")), "{}", error.message);
        let ca = store.ca_file().unwrap().to_str().unwrap().to_owned();
        let check = Command::new("check")
            .config(&config_with(&store, &json!({})))
            .secret("p@ss")
            .env("SSL_CERT_FILE", &ca)
            .env(variable, url)
            .run();
        assert_eq!(check.connection_status(), ("FAILED", error.message.as_str()));
    }
    assert_eq!(store.requests().len(), 0);
    // Without TLS no proxy is used, so its address is not checked.
    let open = start(SignIn::Token, Options::default(), minutes("orders", 1, 3));
    let check = Command::new("check").config(&config_with(&open, &json!({}))).env("HTTPS_PROXY", "nonsense:port").run();
    assert_eq!(check.connection_status().0, "SUCCEEDED");
}

#[test]
fn no_proxy_accepts_hosts_with_a_port_or_a_star() {
    let (store, proxy) = (store(), Proxy::new(false, None));
    let url = format!("http://{}", proxy.address);
    let port = store.addr().port();
    for list in [format!("localhost:{port}"), format!("example.com, *.localhost:{port}"), "*".to_owned()] {
        let run = read(&store, None, &[("HTTPS_PROXY", &url), ("NO_PROXY", &list)]);
        assert_eq!((run.code, run.records("orders").len()), (Some(0), 35), "{list}: {}", run.transcript());
        assert_eq!(proxy.received(), Vec::<String>::new(), "{list}");
    }
}

#[test]
fn a_proxy_that_refuses_is_named_and_not_bypassed() {
    let store = store();
    let refusals = ["407 Proxy Authentication Required", "403 Forbidden", "500 Oops"];
    let proxies: Vec<Proxy> = refusals.into_iter().map(|refusal| Proxy::new(false, Some(refusal))).collect();
    let stranger = Proxy::new(true, None);
    let mut cases: Vec<(String, String, &str)> = Vec::new();
    for (proxy, (kind, words)) in proxies.iter().zip([
        (
            "config_error",
            "rejected the credentials (HTTP 407 on `orders`). Set HTTPS_PROXY to an address with a user name and password",
        ),
        ("transient_error", "did not connect to localhost"),
        ("transient_error", "did not connect to localhost"),
    ]) {
        cases.push((
            format!("http://user:p%40ss@{}", proxy.address),
            format!("The proxy {} {words}", proxy.address),
            kind,
        ));
    }
    // No server listens; or the proxy's certificate has an unknown authority.
    cases.push((
        "http://127.0.0.1:9".to_owned(),
        "The proxy 127.0.0.1:9 could not be reached on `orders`. Check HTTPS_PROXY".to_owned(),
        "transient_error",
    ));
    cases.push((
        format!("https://{}", stranger.address),
        format!("The certificate of the proxy {} is not trusted", stranger.address),
        "config_error",
    ));
    for (url, sentence, kind) in cases {
        let run = read(&store, None, &[("HTTPS_PROXY", &url)]);
        assert_eq!((run.code, run.records("orders").len()), (run.code_of_errors(), 0), "{url}: {}", run.transcript());
        assert_eq!(run.statuses("orders"), ["STARTED", "INCOMPLETE"], "{url}");
        let error = &run.errors()[0];
        assert!(error.message.starts_with(&sentence), "{url}: {}", error.message);
        assert_eq!(error.failure_type, kind, "{url}");
        assert!(!error.message.contains("store_name"), "{url}: {}", error.message);
        assert_eq!(store.requests().len(), 0, "{url}");
    }
    assert!(proxies.iter().all(|proxy| !proxy.received().is_empty()));
    assert_eq!(proxies[0].received().len(), 1, "a sign-in that is refused is not tried again");
}
