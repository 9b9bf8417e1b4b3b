//! Credentials, limits, cache, TLS.

use super::*;

#[test]
fn tokens_and_scopes_are_checked_after_the_path() {
    let store = store_of(1, Options::default());
    store.options(|o| o.tokens.push(Token::new("narrow", &["read_orders"])));
    let unauthorized = r#"{"status_code":401,"message":"Unauthorized","details":"Invalid or missing access token."}"#;
    let none = get_with(&store, "/api/v1/addresses", &[]);
    assert_eq!((none.status, none.text().as_str()), (401, unauthorized));
    assert_eq!(get_with(&store, "/api/v1/addresses", &[("authorization", "Bearer good-token")]).status, 401);
    let narrow = [("x-ac-auth-token", "narrow")];
    assert_eq!(get_with(&store, "/api/v1/addresses", &narrow).text(), unauthorized);
    assert_eq!(get_with(&store, "/api/v1/orders", &narrow).status, 200);
    let unknown = get_with(&store, "/api/v1/no_such", &[]);
    assert_eq!(
        unknown.text(),
        r#"{"status_code":404,"message":"NotFound","details":"No resource matches the URL specified."}"#
    );
    assert_eq!(get(&store, "/api/v1/inventory").status, 400);
    assert!(get_with(&store, "/store/sitemonitor.aspx", &[]).text().contains("&PSID=12345&"));
}

#[test]
fn router_signatures_are_those_of_the_known_client() {
    let vectors = [
        (
            "/api/v1/customers?count=1000&sort=updated_at&updated_at=gt%3A2021-01-01T00%3A00%3A00Z",
            "RiqFeX9QxsQ4HS4DBUeXnHWWEAy5ALPxJdWI2+YsBVo=",
        ),
        (
            "/api/v1/orders?count=1000&page=2&sort=updated_at&updated_at=gt%3A2021-07-01T08%3A59%3A28.457-05%3A00\
             +AND+lt%3A2021-08-01T00%3A00%3A00Z",
            "a/0AIWKfsKZNXxrEaNMkJOgPqbIE04wsm0wUwpe2frc=",
        ),
        ("/api/v1/order_statuses?count=1000", "uTiUQ2eiRHEIAaqE0P5zCRjB0BdhDoxIFpNL2+mFZqU="),
    ];
    let router = Router { site_id: "77".to_owned(), user: "myUser".to_owned(), secret: "mySecret".to_owned() };
    let options = Options { router: Some(router), default_count: 1, ..Options::default() };
    let store = FakeStore::start(options, Data::sample(1, 10));
    for (target, expected) in vectors {
        assert_eq!(signature("GET", target, "myUser", "mySecret"), expected);
        let headers = [("x-ac-pub-site-id", "77"), ("x-ac-pub-user", "myUser"), ("x-ac-pub-auth-signature", expected)];
        // The second requests a page that does not exist: the signature was valid.
        assert_ne!(get_with(&store, target, &headers).status, 401);
        assert_eq!(get_with(&store, &target.replace("count", "%63ount"), &headers).status, 401);
        assert_eq!(get_with(&store, target, &headers[1..]).status, 401);
    }
    assert_eq!(get(&store, "/api/v1/orders").status, 401);
    store.options(|o| o.router = None);
    let headers = [("x-ac-pub-site-id", "77"), ("x-ac-pub-user", "myUser"), ("x-ac-pub-auth-signature", vectors[2].1)];
    assert_eq!(get_with(&store, vectors[2].0, &headers).status, 401);
}

#[test]
fn the_limit_refuses_and_says_when_to_come_back() {
    let limit = |retry_after| Limit { window: Duration::from_secs(3600), retry_after, ..Limit::new(1) };
    for form in [
        RetryAfter::HttpDate,
        RetryAfter::HttpDateEarly,
        RetryAfter::Seconds,
        RetryAfter::Decimals,
        RetryAfter::Absent,
        RetryAfter::PastDate,
        RetryAfter::SkewedClock(-7200),
        RetryAfter::Text("soon".to_owned()),
    ] {
        let store = store_of(1, Options { limit: Some(limit(form.clone())), ..Options::default() });
        assert_eq!(get(&store, "/api/v1/addresses").header("x-ac-call-limit").as_deref(), Some("1/1"));
        let refused = get(&store, "/api/v1/addresses");
        assert_eq!((refused.status, refused.json()["status_code"].as_i64()), (429, Some(429)));
        let text = refused.header("retry-after");
        let date = httpdate::parse_http_date(&refused.header("date").unwrap()).unwrap();
        let text = text.unwrap_or_default();
        let ahead = httpdate::parse_http_date(&text).map(|at| at.duration_since(date).map(|d| d.as_secs()));
        match form {
            RetryAfter::HttpDate | RetryAfter::HttpDateEarly => {
                assert!(ahead.unwrap().unwrap() > 3500);
            }
            RetryAfter::SkewedClock(_) => {
                assert!(ahead.unwrap().unwrap() > 3500);
                assert!(date < std::time::SystemTime::now() - Duration::from_secs(7000));
            }
            RetryAfter::PastDate => assert!(ahead.unwrap().is_err()),
            RetryAfter::Seconds => assert!(text.parse::<u32>().unwrap() > 3500),
            RetryAfter::Decimals => {
                assert!(text.contains('.') && text.parse::<f64>().unwrap() > 3500.0);
            }
            RetryAfter::Absent => assert_eq!(text, ""),
            RetryAfter::Text(_) => assert_eq!(text, "soon"),
        }
    }
}

#[test]
fn a_window_ends_and_requests_during_a_pause_are_refused() {
    let mut limit = Limit { window: Duration::from_millis(400), ..Limit::new(2) };
    let store = store_of(1, Options { limit: Some(limit.clone()), ..Options::default() });
    let status = || get(&store, "/api/v1/addresses").status;
    let until_refused = || (0..200).map(|_| status()).find(|s| *s != 200);
    assert_eq!(until_refused(), Some(429));
    std::thread::sleep(Duration::from_millis(450));
    assert_eq!(status(), 200);
    limit.punish_after = Some(1);
    limit.window = Duration::from_secs(3600);
    store.options(|o| o.limit = Some(limit));
    store.reset_limits();
    assert_eq!([status(), status(), status(), status(), status()], [200, 200, 429, 500, 500]);
}

#[test]
fn only_no_cache_gets_fresh_data() {
    let store = store_of(1, Options::default());
    let first = get(&store, "/api/v1/addresses");
    assert!(first.header("last-modified").is_some() && first.header("expires").is_some());
    store.data(|d| d.add("addresses"));
    assert_eq!(get_with(&store, "/api/v1/addresses", &[TOKEN]).ids(), [1]);
    assert_eq!(get(&store, "/api/v1/addresses").ids(), [1, 2]);
    assert_eq!(get_with(&store, "/api/v1/addresses", &[TOKEN]).ids(), [1, 2]);
    store.data(|d| d.add("addresses"));
    store.options(|o| o.cache_seconds = 0);
    assert_eq!(get_with(&store, "/api/v1/addresses", &[TOKEN]).ids(), [1, 2, 3]);
}

/// Returns the response that a client trusting this authority gets from this server.
fn over_tls(store: &FakeStore, ca: &Path, host: &str) -> std::io::Result<Vec<u8>> {
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
    use tokio_rustls::rustls::{self, ClientConfig, ClientConnection, RootCertStore, StreamOwned};

    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(client, TcpStream::connect(store.addr()).unwrap());
    write!(stream, "GET /store/sitemonitor.aspx HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut all = Vec::new();
    stream.read_to_end(&mut all).map(|_| all)
}

#[test]
fn tls_has_an_authority_of_its_own() {
    let start = |expired| {
        let tls = Tls { expired, ..Tls::default() };
        FakeStore::start(Options { tls: Some(tls), ..Options::default() }, Data::empty())
    };
    let (store, other) = (start(false), start(true));
    assert!(store.url().starts_with("https://localhost:"));
    let ca = store.ca_file().unwrap();
    assert!(split(&over_tls(&store, ca, "localhost").unwrap()).text().contains("PSID"));
    assert!(over_tls(&store, other.ca_file().unwrap(), "localhost").is_err(), "another authority");
    assert!(over_tls(&store, ca, "elsewhere.example").is_err(), "another name");
    assert!(over_tls(&other, other.ca_file().unwrap(), "localhost").is_err(), "expired");
    store.options(|o| o.fault = Some(Box::new(|_| Some(Fault::CutBody { after: 3 }))));
    let cut = over_tls(&store, ca, "localhost").unwrap();
    assert_eq!(split(&cut).body.len(), 3);
    store.options(|o| o.fault = Some(Box::new(|_| Some(Fault::ResetBeforeHeaders))));
    assert!(over_tls(&store, ca, "localhost").is_err());
}
