//! Checks each message and its `failure_type`.

use std::path::Path;
use std::time::SystemTime;

use super::*;
use crate::cart::CART;
use crate::http::Error;
use crate::http::error::{ProxyFailure, TransportErrorKind};

#[test]
fn each_error_says_what_failed_where_and_what_to_do() {
    let Some(stream) = CART.find("orders") else { unreachable!("orders is in the table") };
    let resource = || "orders".to_owned();
    let status = |status| Error::Status {
        resource: resource(),
        status,
        message: "Unauthorized".into(),
        is_unknown_resource: false,
        page: false,
    };
    let moved =
        |host: Option<&str>| Error::Redirect { resource: resource(), status: 301, host: host.map(str::to_owned) };
    let broken = |kind| Error::Transport { resource: resource(), kind, detail: "os error".into() };
    let proxy = |failure_kind| Error::Proxy {
        resource: resource(),
        proxy: "proxy.example.com:3128".to_owned(),
        variable: "HTTPS_PROXY",
        failure_kind,
        detail: "os error".to_owned(),
    };
    let exhausted = |error| Error::Exhausted { attempts: 3, elapsed: Duration::from_secs(5), last: Box::new(error) };
    let body = |transient| Error::Body {
        resource: resource(),
        problem: "the response has no list; its fields are: a, b".into(),
        transient,
        page: false,
        counted: None,
    };
    let errors = [
        status(400),
        status(401),
        status(403),
        status(404),
        exhausted(status(429)),
        exhausted(status(503)),
        moved(Some("other.example.com")),
        moved(None),
        exhausted(broken(TransportErrorKind::Name)),
        exhausted(broken(TransportErrorKind::Connect)),
        broken(TransportErrorKind::Certificate),
        exhausted(broken(TransportErrorKind::Tls)),
        exhausted(broken(TransportErrorKind::Timeout)),
        exhausted(broken(TransportErrorKind::Broken)),
        proxy(ProxyFailure::SignIn),
        proxy(ProxyFailure::Certificate),
        exhausted(proxy(ProxyFailure::Refused)),
        exhausted(proxy(ProxyFailure::Unreachable)),
        exhausted(body(true)),
        body(false),
        Error::TooLarge { resource: resource(), limit: 64 << 20 },
        exhausted(Error::NotUtf8 { resource: resource(), at: 12, counted: None }),
        Error::Unreadable { resource: resource(), last: Box::new(broken(TransportErrorKind::Timeout)) },
        Error::Deferred {
            resource: resource(),
            wait: Duration::from_secs(3600),
            until: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
            last: Box::new(status(429)),
        },
    ];
    let mut reported: Vec<UserError> = errors
        .into_iter()
        .map(|error| UserError::stopped("orders", stream, &StreamError::Request(error), "shop.example.com", &CART))
        .collect();
    for stream_error in [
        StreamError::Interrupted,
        StreamError::CountMismatch { counted: 5, listed: 4 },
        StreamError::Unstable,
        StreamError::WrongCount,
        StreamError::UnexpectedResponse("x"),
    ] {
        let user_error = UserError::stopped("orders", stream, &stream_error, "shop.example.com", &CART);
        reported.push(user_error);
    }
    reported.extend([
        UserError::unknown_stream("ordres", CART.streams),
        UserError::file("config", "c.json", &ReadError::Missing(std::io::ErrorKind::NotFound.into())),
        UserError::standard_input(&ReadError::TooLarge(1 << 20)),
        UserError::usage("error: unexpected argument '--x' found\n\nUsage: source-cart", "source-cart"),
        UserError::no_terminal(None, "source-cart"),
        UserError::unwritable("c.json", &UnwritableFile::NoFolder(std::io::ErrorKind::NotFound.into())),
        UserError::catalog(&CatalogError::NoStreams),
        UserError::states(&StateError::NoContent),
        UserError::bad_state("orders", &CheckpointError::NotAString),
        UserError::setup(&crate::http::tls::config(Some(Path::new("none.pem"))).unwrap_err().into()),
        UserError::check_timed_out("shop.example.com", Duration::from_secs(30), &CART),
        UserError::panic("x"),
    ]);
    let text: Vec<String> =
        reported.iter().map(|user_error| format!("{:?}: {}", user_error.kind, user_error.message)).collect();
    insta::assert_snapshot!(text.join("\n"));
}
