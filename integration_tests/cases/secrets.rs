//! Secrets are in no output and are sent to no other host and over no unencrypted connection; and rows are only in
//! RECORDs.
//!
//! Every other test checks its output too: the harness searches it for the token and the user's secret.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fake_store::{Data, Fault, NextPage, Options, RecordedRequest, Tls};
use crate::harness::command::Command;
use crate::harness::files::{Files, TOKEN, configured};
use crate::harness::run::Run;
use crate::harness::setup::{SignIn, assert_no_signature, config, config_with, minutes, no_state, start};

const SIGN_INS: [SignIn; 2] = [SignIn::Token, SignIn::Router];

/// Another server, which must receive nothing.
struct Stranger(TcpListener);

impl Stranger {
    fn new() -> Stranger {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Stranger(listener)
    }

    fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }

    fn assert_heard_nothing(&self, what: &str) {
        assert!(self.0.accept().is_err(), "{what}: somebody else was connected to");
    }
}

fn read(config: &Value, environment: &[(&str, &str)]) -> Run {
    let catalog = configured(&[("orders", "incremental")]);
    let command = Command::new("read").config(config).catalog(&catalog).state(&no_state()).arg("--debug");
    environment.iter().fold(command, |command, (key, value)| command.env(key, value)).run()
}

/// Returns a response with this body.
fn page(body: &str) -> Fault {
    Fault::Answer { status: 200, headers: Vec::new(), body: body.as_bytes().to_vec() }
}

#[test]
fn a_response_that_repeats_the_secret_does_not_reveal_it() {
    // The token, the signature, and their forms in a URL and in Base64, in every place of a response with text.
    let repeated = |seen: &RecordedRequest| {
        let of = |name: &str| seen.header(name).unwrap_or_default().to_owned();
        let secret = of("x-ac-auth-token") + &of("x-ac-pub-auth-signature");
        crate::harness::run::forms(&secret)[..4].join(" ")
    };
    type Answer = fn(&str) -> Fault;
    let answers: [Answer; 7] = [
        |secret| Fault::error(401, &format!("Invalid credentials: {secret}"), secret),
        |secret| Fault::error(500, secret, secret),
        |secret| Fault::error(404, secret, "No resource matches the URL specified."),
        |secret| page(&format!("<html>{secret}")),
        |secret| page(&format!("{{\"{secret}\":1}}")),
        |secret| {
            let host = secret.split(' ').next().unwrap_or_default();
            let location = format!("https://{}.example.com/{secret}", host.replace(['/', '+', '='], "-"));
            Fault::Answer { status: 302, headers: vec![("Location".to_owned(), location)], body: Vec::new() }
        },
        |secret| {
            let limit =
                vec![("X-AC-Call-Limit".to_owned(), secret.to_owned()), ("Retry-After".to_owned(), secret.to_owned())];
            Fault::Answer { status: 429, headers: limit, body: secret.as_bytes().to_vec() }
        },
    ];
    for sign_in in SIGN_INS {
        for answer in answers {
            let fault = move |seen: &RecordedRequest| Some(answer(&repeated(seen)));
            let store = start(sign_in, Options { fault: Some(Box::new(fault)), ..Options::default() }, Data::empty());
            let mut config = config(sign_in, &store);
            config["_retry_seconds"] = json!(1);
            let run = read(&config, &[("LOG_LEVEL", "trace")]);
            assert!(run.code == run.code_of_errors() && run.code != Some(0), "{}", run.transcript());
            assert_no_signature(&run, &store);
            let check = Command::new("check").config(&config).arg("--debug").run();
            assert_eq!(check.connection_status().0, "FAILED");
            assert_no_signature(&check, &store);
        }
    }
}

#[test]
fn no_other_host_in_a_response_is_requested() {
    for sign_in in SIGN_INS {
        let stranger = Stranger::new();
        let next_page = NextPage::OtherHost(stranger.url());
        let options = Options { next_page, max_count: Some(10), ..Options::default() };
        let store = start(sign_in, options, minutes("orders", 1, 35));
        let run = read(&config(sign_in, &store), &[]);
        assert_eq!((run.code, run.records("orders").len()), (Some(0), 35), "{}", run.transcript());
        stranger.assert_heard_nothing("next_page");

        store.options(|options| options.redirect_to = Some(format!("{}/api/v1/orders", stranger.url())));
        let run = read(&config(sign_in, &store), &[]);
        assert_eq!(run.errors()[0].failure_type, "config_error");
        stranger.assert_heard_nothing("redirect");
    }
}

#[test]
fn without_tls_only_this_machine_is_requested() {
    // A proxy would get the token unencrypted.
    let proxy = Stranger::new();
    let store = start(SignIn::Token, Options::default(), minutes("orders", 1, 3));
    let proxies = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"].map(|name| (name, proxy.url()));
    let environment: Vec<(&str, &str)> = proxies.iter().map(|(name, url)| (*name, url.as_str())).collect();
    let run = read(&config(SignIn::Token, &store), &environment);
    assert_eq!((run.code, run.records("orders").len()), (Some(0), 3), "{}", run.transcript());
    proxy.assert_heard_nothing("proxy");
}

#[test]
fn nothing_is_sent_to_a_server_with_an_untrusted_certificate() {
    for tls in [
        Tls { expired: true, ..Tls::default() },
        Tls { host_names: vec!["other.example.com".to_owned()], ..Tls::default() },
    ] {
        let store = start(SignIn::Token, Options { tls: Some(tls), ..Options::default() }, minutes("orders", 1, 3));
        let ca = store.ca_file().unwrap().to_str().unwrap().to_owned();
        let run = read(&config(SignIn::Token, &store), &[("SSL_CERT_FILE", &ca)]);
        assert_eq!(run.errors()[0].failure_type, "config_error");
        assert_eq!(store.requests().len(), 0);
    }
}

#[test]
fn no_secret_is_in_the_arguments_or_the_title_of_the_process() {
    let store = start(SignIn::Token, Options { latency: Duration::from_secs(30), ..Options::default() }, Data::empty());
    let files = Files::new();
    let path = files.write("config.json", &config(SignIn::Token, &store).to_string());
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_source-cart"))
        .args(["check", "--config", path.to_str().unwrap()])
        .env_clear()
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // When it sends a request, it has read its secrets.
    while store.requests().is_empty() {
        std::thread::sleep(Duration::from_millis(2));
    }
    for file in ["cmdline", "comm", "environ", "status"] {
        let text = std::fs::read(format!("/proc/{}/{file}", child.id())).unwrap();
        assert!(!String::from_utf8_lossy(&text).contains(TOKEN), "{file}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn the_content_of_rows_is_in_records_only() {
    const MARKER: &str = "Erika-Mustermann-7";
    let row = format!(
        r#"{{"id":1,"updated_at":"{MARKER}","created_at":"{MARKER}","subtotal":"{MARKER}","customer_id":"{MARKER}",
            "is_gift":"{MARKER}","comments":{{"{MARKER}":1}},"unheard_of":"{MARKER}","ip_address":["{MARKER}"]}}"#
    );
    type Answer = fn(&str) -> Fault;
    let answers: [(Answer, i32); 6] = [
        (|row| page(&format!(r#"{{"total_count":1,"orders":[{row}]}}"#)), 0),
        // Cut in the middle, in another form, not a record, an error with a row in its details.
        (|row| page(&format!(r#"{{"total_count":1,"orders":[{row}"#)), 1),
        (|row| page(&format!(r#"{{"order":{row}}}"#)), 1),
        (|row| page(&format!(r#"{{"orders":[{row},"{MARKER}"]}}"#)), 1),
        (|row| Fault::error(500, "Internal Server Error", row), 1),
        (|_| Fault::error(400, "Bad Request", MARKER), 1),
    ];
    for (number, (answer, code)) in answers.into_iter().enumerate() {
        let row = row.clone();
        let fault = move |_: &RecordedRequest| Some(answer(&row));
        let store = start(SignIn::Token, Options { fault: Some(Box::new(fault)), ..Options::default() }, Data::empty());
        let config = config_with(&store, &json!({"_retry_seconds": 1}));
        let run = read(&config, &[("LOG_LEVEL", "trace")]);
        let expected = (code == 0, run.code_of_errors());
        assert_eq!((run.code == Some(0), run.code), expected, "answer {number}\n{}", run.transcript());
        assert!(!run.stderr.contains(MARKER), "answer {number}: {}", run.stderr);
        let reported = run.messages.iter().filter(|message| message.kind() != "RECORD");
        for message in reported {
            assert!(!message.line.contains(MARKER), "answer {number}: {}", message.line);
        }
        assert_eq!(run.records("orders").len(), usize::from(code == 0));
    }
}

/// A token in the usual form.
const LONG_TOKEN: &str = "Q7w8e9R1t2y3U4i5o6P7a8s9D1f2g3H4";

#[test]
fn a_token_that_was_pasted_as_the_store_name_is_not_shown() {
    for (token, pasted) in [
        (TOKEN, LONG_TOKEN),
        (TOKEN, "q7w8e9r1t2y3"),
        (TOKEN, "Q7w8e9R1t2y3U4i5"),
        (TOKEN, "shpat_abcdefghijkl"),
        (LONG_TOKEN, LONG_TOKEN),
        ("onlylettersonly", "onlylettersonly"),
    ] {
        for (before, after) in
            [("", ""), (" ", "\n"), ("https://", "/"), ("http://", ""), ("my ", ""), ("ftp://", ""), ("https://x@", "")]
        {
            let mut config =
                crate::harness::files::store_config(&format!("{before}{pasted}{after}"), token, "2021-01-01");
            config["_retry_seconds"] = json!(1);
            let command = Command::new("check").config(&config).secret(pasted).arg("--debug");
            // In upper or lower case.
            let run = command.secret(&pasted.to_uppercase()).run();
            let (status, message) = run.connection_status();
            assert_eq!(status, "FAILED");
            assert!(message.contains("`store_name`"), "{pasted}: {message}");
        }
    }
    let host_name = format!("{LONG_TOKEN}.americommerce.com");
    let config = crate::harness::files::store_config(&host_name, TOKEN, "2021-01-01");
    let run = Command::new("check").config(&config).secret(LONG_TOKEN).run();
    assert!(run.connection_status().1.contains("looks like a token"), "{}", run.transcript());
    // A value that does not look like a token is shown, since that helps.
    for name in ["mystore", "my-very-own-store", "store2023"] {
        let config = crate::harness::files::store_config(name, TOKEN, "2021-01-01");
        let run = Command::new("check").config(&config).run();
        assert!(run.connection_status().1.contains(&format!("(`{name}`)")), "{}", run.transcript());
    }
}

#[test]
fn a_secret_that_a_response_repeats_in_capitals_or_in_part_is_masked() {
    type Form = fn(&str) -> String;
    let forms: [Form; 5] = [
        |token| token.to_uppercase(),
        |token| token[..24].to_owned(),
        |token| token[..24].to_uppercase(),
        |token| token[..30].to_lowercase(),
        |token| format!("{}...", &token[..20]),
    ];
    for form in forms {
        let fault = move |seen: &RecordedRequest| {
            let token = form(seen.header("x-ac-auth-token").unwrap_or_default());
            Some(Fault::error(401, &format!("Invalid token {token}"), &token))
        };
        let mut data = Options { fault: Some(Box::new(fault)), ..Options::default() };
        data.tokens = vec![crate::fake_store::Token::full(LONG_TOKEN)];
        let store = start(SignIn::Token, data, Data::empty());
        let config = crate::harness::files::store_config(&store.url(), LONG_TOKEN, "2021-01-01");
        let run = read(&config, &[("LOG_LEVEL", "trace")]);
        assert_eq!(run.code, Some(1));
        let output = String::from_utf8_lossy(&run.stdout).to_lowercase();
        assert!(output.contains("****"), "{}", run.transcript());
        assert!(!output.contains(&LONG_TOKEN[..16].to_lowercase()), "{}", run.transcript());
    }
}

#[test]
fn the_secret_of_the_router_may_have_any_characters() {
    for (secret, warnings) in [
        ("schl\u{fc}ssel-\u{e4}\u{f6}-0123456789", 0),
        (" secret-with-spaces-0123 ", 1),
        ("tab\tinside-0123456789", 0),
        ("\u{1f511}\u{1f511}\u{1f511}", 0),
    ] {
        let router = crate::fake_store::Router {
            site_id: "12345".to_owned(),
            user: "myUser".to_owned(),
            secret: secret.to_owned(),
        };
        let options = Options { router: Some(router), ..Options::default() };
        let store = crate::fake_store::FakeStore::start(options, minutes("orders", 1, 3));
        let config = |secret: &str| {
            crate::harness::files::router_config(&store.router_base(), "myUser", secret, "12345", "2021-01-01")
        };
        let run = read(&config(secret), &[]);
        assert_eq!((run.code, run.records("orders").len()), (Some(0), 3), "{secret:?}: {}", run.transcript());
        assert_eq!(run.warnings().len(), warnings, "{secret:?}");
        assert!(run.warnings().iter().all(|text| text.contains("begins or ends with a space")), "{secret:?}");
        // A newline that an editor adds at the end of a file is not part of it.
        let check = Command::new("check").config(&config(&format!("{secret}\r\n"))).run();
        assert_eq!(check.connection_status().0, "SUCCEEDED", "{secret:?}");
        let wrong = Command::new("check").config(&config(&format!("{secret}x"))).run();
        assert_eq!(wrong.connection_status().0, "FAILED");
    }
    let config = crate::harness::files::router_config("http://127.0.0.1:9/", "myUser", " \t ", "12345", "2021-01-01");
    let empty = Command::new("check").config(&config).run();
    assert!(empty.connection_status().1.contains("`user_secret` is empty"), "{}", empty.transcript());
}
