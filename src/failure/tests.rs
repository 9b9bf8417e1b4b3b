//! Each sentence, and whom it blames.

use super::*;

#[test]
fn each_failure_says_what_where_and_what_to_do() {
    let Some(stream) = crate::streams::find("orders") else { unreachable!("orders is in the table") };
    let resource = || "orders".to_owned();
    let status = |status| Error::Status {
        resource: resource(),
        status,
        message: "Unauthorized".into(),
        knows_no_resource: false,
        page: false,
    };
    let moved =
        |host: Option<&str>| Error::Redirect { resource: resource(), status: 301, host: host.map(str::to_owned) };
    let broken = |kind| Error::Transport { resource: resource(), kind, detail: "os error".into() };
    let proxy = |obstacle| Error::Proxy {
        resource: resource(),
        proxy: "proxy.example.com:3128".to_owned(),
        variable: "HTTPS_PROXY",
        obstacle,
        detail: "os error".to_owned(),
    };
    let exhausted = |error| Error::Exhausted { attempts: 3, elapsed: Duration::from_secs(5), last: Box::new(error) };
    let body = |passing| Error::Body {
        resource: resource(),
        problem: "the answer holds no list; its fields are: a, b".into(),
        passing,
        page: false,
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
        exhausted(broken(Transport::Name)),
        exhausted(broken(Transport::Connect)),
        broken(Transport::Certificate),
        exhausted(broken(Transport::Tls)),
        exhausted(broken(Transport::Timeout)),
        exhausted(broken(Transport::Broken)),
        proxy(Obstacle::SignIn),
        proxy(Obstacle::Certificate),
        exhausted(proxy(Obstacle::Refused)),
        exhausted(proxy(Obstacle::Unreachable)),
        exhausted(body(true)),
        body(false),
        Error::TooLarge { resource: resource(), limit: 64 << 20 },
        exhausted(Error::NotText { resource: resource(), at: 12 }),
        Error::Unreadable { resource: resource(), last: Box::new(broken(Transport::Timeout)) },
        Error::Deferred {
            resource: resource(),
            wait: Duration::from_secs(3600),
            until: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
            last: Box::new(status(429)),
        },
    ];
    let mut told: Vec<Failure> = errors
        .into_iter()
        .map(|error| Failure::stopped("orders", stream, &Stop::Request(error), "shop.example.com"))
        .collect();
    for stop in
        [Stop::Interrupted, Stop::Lost { counted: 5, listed: 4 }, Stop::Restless, Stop::Miscounted, Stop::Distrust("x")]
    {
        let failure = Failure::stopped("orders", stream, &stop, "shop.example.com");
        assert_eq!(is_interruption(&failure.message), matches!(stop, Stop::Interrupted));
        told.push(failure);
    }
    told.extend([
        Failure::unknown_stream("ordres"),
        Failure::file("config", "c.json", "does not exist"),
        Failure::standard_input("is not UTF-8 text"),
        Failure::usage("error: unexpected argument '--x' found\n\nUsage: source-cart"),
        Failure::no_terminal(None),
        Failure::unwritable("c.json", "its folder does not exist"),
        Failure::catalog("x"),
        Failure::states("x"),
        Failure::bad_state("orders", "`updated_at` is not a text"),
        Failure::setup("x"),
        Failure::slow_check("shop.example.com", Duration::from_secs(30)),
        Failure::panic("x"),
    ]);
    let text: Vec<String> = told.iter().map(|failure| format!("{:?}: {}", failure.kind, failure.message)).collect();
    insta::assert_snapshot!(text.join("\n"));
}
