//! Private values of the store are in no output, in no mode. The fake store marks it: `PRIVATE-…`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::store::{KINDS, config_with, everything, reading, sample, streams_of};
use crate::cases::docs::path;
use crate::fake_cs_cart::{EMAIL, Edition, FakeCsCart, Fault, KEY, Options, RecordedRequest, Sample};
use crate::harness::command::Command;
use crate::harness::run::Output;
use crate::harness::shop::Shop;

/// Returns the sign-in as a request has it.
fn basic() -> String {
    STANDARD.encode(format!("{EMAIL}:{KEY}"))
}

/// Returns the first text after a mark, with what is around it.
fn found(output: &Output, mark: &str) -> Option<String> {
    for (place, text) in
        [("stdout", String::from_utf8_lossy(&output.stdout)), ("stderr", output.stderr.as_str().into())]
    {
        if let Some(at) = text.find(mark) {
            let start = text[..at].char_indices().rev().take(150).last().map_or(at, |(place, _)| place);
            return Some(format!("{place}: {}", text[start..].chars().take(300).collect::<String>()));
        }
    }
    None
}

fn assert_private(context: &str, output: &Output, marks: &[&str]) {
    for mark in marks {
        assert_eq!(found(output, mark), None, "{context}: {mark}");
    }
}

/// Returns a store in which every order has what it can have of payment data.
fn store(options: Options) -> FakeCsCart {
    FakeCsCart::sample(options, &Sample { incomplete: 20, ..Sample::new(2, 40) })
}

#[test]
fn private_data_is_in_no_output_of_any_stream() {
    for (edition, version) in KINDS {
        for redact in [false, true] {
            let store = store(Options { edition, version, ..Options::default() });
            let settings = json!({
                "redact_sensitive_fields": redact, "include_incomplete_orders": true, "user_types": ["C", "A", "V"],
            });
            let config = config_with(&store, &settings);
            let output = reading(&config, &everything(edition), "[]").arg("--debug").output();
            let context = format!("{edition:?} {version:?}, redacted {redact}");
            assert_eq!(output.code, Some(0), "{context}: {}", output.stderr);
            assert!(output.stdout.len() > 100_000, "{context}");
            assert_private(&context, &output, &["PRIVATE-", "/var/www", KEY, &basic()]);
            let names = ["payment_info", "product_groups", "processor_params", "validation_code", "session_id"];
            for name in names.into_iter().chain(["service_params"]) {
                assert_private(&context, &output, &[&format!("\"{name}\"")]);
            }
        }
    }
}

#[test]
fn private_data_is_in_no_file_and_in_no_format() {
    let store = store(Options::default());
    for format in ["jsonl", "csv"] {
        let command = reading(&config_with(&store, &json!({})), &everything(Edition::Ultimate), "[]");
        let files = crate::harness::files::Files::new();
        let folder = files.path("out");
        let output = command.arg("--format").arg(format).arg("--output").arg(&folder.display().to_string()).output();
        assert_eq!(output.code, Some(0), "{format}: {}", output.stderr);
        let mut written = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(!text.contains("PRIVATE-"), "{}", path.display());
            written += text.len();
        }
        assert!(written > 20_000, "{format}: {written}");
    }
}

#[test]
fn redacted_fields_are_null_and_their_values_nowhere() {
    for edition in [Edition::Ultimate, Edition::MultiVendor] {
        let store = store(Options { edition, ..Options::default() });
        let config = config_with(&store, &json!({ "redact_sensitive_fields": true }));
        let output = reading(&config, &everything(edition), "[]").arg("--debug").output();
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        // E-mail addresses of customers, guests, users and companies; telephone numbers; network addresses.
        let marks = [
            "customer1@example.com",
            "guest0@example.com",
            "user5@example.com",
            "company1@example.com",
            "+1 555",
            "203.0.113.",
        ];
        assert_private(&format!("{edition:?}"), &output, &marks);
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let message: Value = serde_json::from_str(line).unwrap();
            let (stream, data) = (&message["record"]["stream"], &message["record"]["data"]);
            for stream in [Shop::CsCart.discovered_stream(stream.as_str().unwrap_or_default())].into_iter().flatten() {
                let properties = stream["json_schema"]["properties"].as_object().unwrap();
                let is_sensitive = |property: &Value| property["description"].as_str().unwrap().contains("Sensitive:");
                for (name, _) in properties.iter().filter(|(_, property)| is_sensitive(property)) {
                    assert!(data[name].is_null(), "{}: {name} is {}", stream["name"], data[name]);
                }
            }
        }
    }
}

#[test]
fn faulty_answers_are_not_repeated_in_messages() {
    type Change = fn(Vec<u8>) -> Vec<u8>;
    let changes: [Change; 5] = [
        // Cut off inside private data, not JSON, another object, too deep, a page of HTML with rows in it.
        |mut body| {
            let at = String::from_utf8_lossy(&body).find("PRIVATE-").unwrap_or(body.len() / 2);
            body.truncate(at + 11);
            body
        },
        |body| [b"{\"PRIVATE-name\": PRIVATE-value".as_slice(), &body].concat(),
        |body| [b"{\"other\":".as_slice(), &body, b"}"].concat(),
        |_| [b"{\"orders\":[{\"PRIVATE-a\":".as_slice(), &[b'['; 3_000]].concat(),
        |body| [b"<html>PRIVATE-page ".as_slice(), &body].concat(),
    ];
    for change in changes {
        for stream in ["orders", "carts", "users"] {
            let fault = move |_: &RecordedRequest| Some(Fault::Changed(change));
            let store = store(Options { fault: Some(Box::new(fault)), ..Options::default() });
            let config = config_with(&store, &json!({ "_retry_seconds": 1 }));
            let output = reading(&config, &super::store::full(stream), "[]").arg("--debug").output();
            assert_ne!(output.code, Some(0), "{stream}");
            assert_private(stream, &output, &["PRIVATE-value", "PRIVATE-page", "PRIVATE-card", "PRIVATE-cart", KEY]);
        }
    }
}

#[test]
fn a_store_that_repeats_the_sign_in_does_not_reveal_it() {
    type Answer = fn(&str) -> Fault;
    let answers: [Answer; 4] = [
        |secret| Fault::error(403, &format!("{secret} is not allowed")),
        |secret| Fault::error(500, secret),
        |secret| Fault::Answer { status: 200, headers: Vec::new(), body: format!("{{\"{secret}\":1}}").into_bytes() },
        |secret| Fault::Answer {
            status: 302,
            headers: vec![("location".to_owned(), format!("https://other.example.com/{secret}"))],
            body: Vec::new(),
        },
    ];
    for answer in answers {
        for secret in [KEY.to_owned(), basic()] {
            let fault = move |_: &RecordedRequest| Some(answer(&secret));
            let store = sample(Options { fault: Some(Box::new(fault)), ..Options::default() });
            let config = config_with(&store, &json!({ "_retry_seconds": 1 }));
            let run = reading(&config, &super::store::full("orders"), "[]").arg("--debug").secret(&basic()).run();
            assert_eq!(run.statuses("orders").last(), Some(&"INCOMPLETE"));
            let run = Command::of(Shop::CsCart, "check").config(&config).arg("--debug").secret(&basic()).run();
            assert_eq!(run.connection_status().0, "FAILED");
        }
    }
}

#[test]
fn what_is_never_sent_is_in_no_schema() {
    for stream in streams_of(Edition::Ultimate).into_iter().chain(["vendors"]) {
        let schema = Shop::CsCart.discovered_stream(stream).unwrap()["json_schema"].to_string();
        for name in ["payment_info", "processor_params", "product_groups", "validation_code", "last_passwords"] {
            assert!(!schema.contains(&format!("\"{name}\":")), "{stream}: {name}");
        }
    }
}

#[test]
fn the_page_names_the_fields_that_are_redacted() {
    let page = std::fs::read_to_string(path("docs/reference/cs-cart.md")).unwrap();
    let (_, table) = page.split_once("### What `redact_sensitive_fields` hides").unwrap();
    let is_sensitive = |property: &Value| property["description"].as_str().unwrap_or_default().contains("Sensitive:");
    let mut named = 0;
    for stream in streams_of(Edition::Ultimate).into_iter().chain(["vendors"]) {
        let schema = Shop::CsCart.discovered_stream(stream).unwrap();
        let properties = schema["json_schema"]["properties"].as_object().unwrap().iter();
        let mut fields: Vec<String> =
            properties.filter(|(_, property)| is_sensitive(property)).map(|(name, _)| format!("`{name}`")).collect();
        fields.sort_unstable();
        let row = table.lines().find_map(|line| line.strip_prefix(&format!("| `{stream}` | "))).unwrap_or(" |");
        assert_eq!(row, format!("{} |", fields.join(", ")), "{stream}");
        named += fields.len();
    }
    assert!(named > 15, "{named}");
}
