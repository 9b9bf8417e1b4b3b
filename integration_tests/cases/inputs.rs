//! Input files of the commands: an unusable file is reported in one message, and nothing is read.

use serde_json::json;

use crate::fake_store::{Data, Options};
use crate::harness::command::Command;
use crate::harness::files::configured;
use crate::harness::setup::{SignIn, config, minutes, nobody, only_error, start};

/// Returns the error of a `read` that must not send a request.
fn refused(command: Command<'_>) -> String {
    let run = command.run();
    assert_eq!(run.code, Some(1), "{}", run.transcript());
    assert_eq!(run.errors()[0].failure_type, "config_error");
    assert_eq!(run.messages.len(), 1);
    only_error(&run)
}

#[test]
fn a_config_that_cannot_be_used_is_an_error_of_read() {
    let catalog = configured(&[("orders", "incremental")]);
    let with = |text: &str| refused(Command::new("read").file("config", text).catalog(&catalog));
    assert!(with("{").contains("not valid JSON (line 1, column"), "{}", with("{"));
    assert!(with("[]").contains("must be one JSON object"));
    assert!(with("").contains("not valid JSON"));
    let both = with(r#"{"start_date": "x", "end_date": 5}"#);
    assert!(
        both.contains("`credentials` are missing") && both.contains("`start_date`") && both.contains("`end_date`"),
        "{both}"
    );
}

#[test]
fn missing_and_unusable_files_are_named() {
    let missing = refused(Command::new("read").config(&nobody()).arg("--catalog").arg("/no/such/catalog.json"));
    assert_eq!(
        missing,
        "The catalog file `/no/such/catalog.json` does not exist. Set `--catalog` to a readable JSON file."
    );
    let directory = refused(Command::new("read").config(&nobody()).arg("--catalog").arg("/"));
    assert_eq!(directory, "The catalog file `/` is a directory. Set `--catalog` to a readable JSON file.");
    let catalog = configured(&[("orders", "incremental")]);
    let state =
        refused(Command::new("read").config(&nobody()).catalog(&catalog).arg("--state").arg("/no/such/state.json"));
    assert!(state.starts_with("The state file `/no/such/state.json` does not exist"), "{state}");
}

#[test]
fn the_config_can_come_from_standard_input() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 10));
    let text = config(SignIn::Token, &store).to_string();
    let run = Command::new("check").arg("--config").arg("-").stdin(text.as_str()).run();
    assert_eq!((run.code, run.connection_status().0), (Some(0), "SUCCEEDED"));
    let read = || Command::new("read").arg("--config").arg("-").catalog(&configured(&[("orders", "incremental")]));
    let run = read().stdin(text.as_str()).run();
    assert_eq!((run.code, run.records("orders").len()), (Some(0), 10));

    let mut wide = nobody();
    wide["expand"] = serde_json::json!(["orders.items"]);
    let wide = Command::new("discover").arg("--config").arg("-").stdin(wide.to_string()).run();
    let orders = wide.catalog()["streams"].as_array().unwrap().iter().find(|stream| stream["name"] == "orders");
    assert!(orders.unwrap()["json_schema"]["properties"]["items"].is_object());

    assert!(refused(read().stdin("")).contains("not valid JSON"));
    assert_eq!(
        refused(read().stdin([0xff])),
        "The config on standard input is not UTF-8 text. Send one JSON object there, or set `--config` to a file."
    );
}

#[test]
fn an_invalid_catalog_is_an_error() {
    let with = |text: &str| refused(Command::new("read").config(&nobody()).file("catalog", text));
    assert!(with("{}").contains("it has no `streams`"));
    let invalid = with(
        r#"{"streams":[{"stream":{"name":"orders","json_schema":{}},"sync_mode":"INVALID","destination_sync_mode":"append"}]}"#,
    );
    insta::assert_snapshot!(invalid);
}

#[test]
fn an_unreadable_state_is_an_error() {
    let catalog = configured(&[("orders", "incremental")]);
    let with = |text: &str| refused(Command::new("read").config(&nobody()).catalog(&catalog).state(text));
    insta::assert_snapshot!([with("5"), with("{\"orders\": 5}"), with("{")].join("\n"));
}

#[test]
fn one_streams_unusable_state_ends_that_stream_only() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 10));
    let catalog = configured(&[("orders", "incremental"), ("order_items", "incremental")]);
    let run = Command::new("read")
        .config(&config(SignIn::Token, &store))
        .catalog(&catalog)
        .state(r#"{"orders": {"updated_at": "yesterday"}, "order_items": {}}"#)
        .run();
    assert_eq!(run.code, Some(1));
    assert_eq!(run.statuses("orders"), ["STARTED", "INCOMPLETE"]);
    assert_eq!(run.statuses("order_items"), ["STARTED", "RUNNING", "COMPLETE"]);
    insta::assert_snapshot!(only_error(&run));
}

#[test]
fn an_unknown_stream_ends_incomplete_and_the_others_are_read() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 10));
    let mut catalog = configured(&[("orders", "incremental"), ("order_items", "incremental")]);
    catalog["streams"][0]["stream"]["name"] = "ordres".into();
    let run = Command::new("read").config(&config(SignIn::Token, &store)).catalog(&catalog).run();
    assert_eq!(run.code, Some(1));
    assert_eq!(run.statuses("ordres"), ["STARTED", "INCOMPLETE"]);
    assert_eq!(run.statuses("order_items").last(), Some(&"COMPLETE"));
    insta::assert_snapshot!(only_error(&run));
}

#[test]
fn the_minimum_that_launchers_send_is_enough() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 10));
    let catalog = r#"{"streams":[{"stream":{"name":"orders","json_schema":{}},"sync_mode":"incremental","x":1}]}"#;
    for state in ["", "null", "{}", "[]"] {
        let run =
            Command::new("read").config(&config(SignIn::Token, &store)).file("catalog", catalog).state(state).run();
        assert_eq!((run.code, run.records("orders").len()), (Some(0), 10), "{state}");
    }
    let none = Command::new("read").config(&config(SignIn::Token, &store)).file("catalog", r#"{"streams":[]}"#).run();
    assert_eq!((none.code, none.traces().len(), none.states("orders").len()), (Some(0), 0, 0));
    assert_eq!(none.warnings(), ["The catalog selects no streams, so nothing is read."]);
}

/// The path of a file with these bytes, or of another kind of file.
struct Given {
    files: tempfile::TempDir,
}

impl Given {
    fn new() -> Given {
        Given { files: tempfile::tempdir().unwrap() }
    }

    fn file(&self, bytes: &[u8]) -> String {
        let path = self.files.path().join(format!("{}.json", bytes.len()));
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Creates a file of a size that uses no space on the disk.
    fn sparse(&self, mebibytes: u64) -> String {
        let path = self.files.path().join(format!("{mebibytes} MiB"));
        std::fs::File::create(&path).unwrap().set_len(mebibytes << 20).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn pipe(&self) -> String {
        let path = self.files.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        path.to_str().unwrap().to_owned()
    }
}

#[test]
fn a_path_to_an_unusable_file_is_reported_in_one_message() {
    let given = Given::new();
    let (config, catalog) = (nobody().to_string(), configured(&[("orders", "incremental")]).to_string());
    let good = |option: &str| match option {
        "config" => given.file(config.as_bytes()),
        "catalog" => given.file(catalog.as_bytes()),
        _ => given.file(b"[]"),
    };
    let paths = [
        ("/no/such/file".to_owned(), "does not exist"),
        ("/dev/null/file".to_owned(), "cannot be read"),
        ("/".to_owned(), "is a directory"),
        ("/proc/self/mem".to_owned(), "cannot be read"),
        ("/dev/zero".to_owned(), "is larger than"),
        (given.sparse(65), "is larger than"),
        (given.file(b"{\"a\": \"\xe9\"}"), "is not UTF-8 text"),
        (given.file(&[0xff, 0xfe, b'{', 0, b'}', 0]), "is not UTF-8 text"),
    ];
    for struck in ["config", "catalog", "state"] {
        for (path, problem) in &paths {
            let command = ["config", "catalog", "state"].into_iter().fold(Command::new("read"), |command, option| {
                let path = if option == struck { path.clone() } else { good(option) };
                command.arg(&format!("--{option}")).arg(&path)
            });
            let sentence = refused(command);
            let begin = format!("The {struck} file `{path}` {problem}");
            let end = format!(". Set `--{struck}` to a readable JSON file.");
            assert!(sentence.starts_with(&begin) && sentence.ends_with(&end), "{sentence}");
        }
    }
    // A config is small, so its limit is lower.
    assert!(refused(Command::new("read").arg("--config").arg(&given.sparse(2)).catalog(&json!({}))).contains("1 MiB"));
    for (path, problem) in &paths {
        let check = Command::new("check").arg("--config").arg(path).run();
        assert_eq!((check.code, check.messages.len()), (Some(0), 1), "{}", check.transcript());
        let (status, message) = check.connection_status();
        assert!(status == "FAILED" && message.contains(problem), "{message}");
        assert!(refused(Command::new("discover").arg("--config").arg(path)).contains(problem));
    }
}

#[test]
fn a_device_without_end_uses_no_memory_beyond_the_limit() {
    let run =
        Command::new("read").config(&nobody()).catalog(&json!({"streams": []})).arg("--state").arg("/dev/zero").run();
    assert_eq!(run.code, Some(1));
    assert!(run.peak_kib < 300 * 1024, "{} KiB", run.peak_kib);
}

#[test]
fn a_pipe_is_read_and_one_without_a_writer_times_out() {
    let given = Given::new();
    let path = given.pipe();
    let writer = {
        let (path, config) = (path.clone(), nobody().to_string());
        std::thread::spawn(move || std::fs::write(path, config))
    };
    let run = Command::new("read").arg("--config").arg(&path).catalog(&json!({"streams": []})).run();
    assert_eq!(run.code, Some(0), "{}", run.transcript());
    writer.join().unwrap().unwrap();
    let sentence = refused(Command::new("read").arg("--config").arg(&path).catalog(&json!({"streams": []})));
    assert!(sentence.contains("is a pipe or device that did not end within 30 seconds"), "{sentence}");
    let store = start(
        SignIn::Token,
        Options { tls: Some(crate::fake_store::Tls::default()), ..Options::default() },
        Data::empty(),
    );
    for (path, problem) in
        [("/dev/zero", "is larger than 16 MiB"), ("/", "is a directory"), ("/no/such", "does not exist")]
    {
        let check = Command::new("check").config(&config(SignIn::Token, &store)).env("SSL_CERT_FILE", path).run();
        let (status, message) = check.connection_status();
        assert!(status == "FAILED" && message.contains(problem), "{message}");
    }
}

/// Panics if a message has words of a parser, which users cannot understand.
fn assert_no_parser_words(sentence: &str) {
    for words in [
        "expected",
        "EOF",
        "struct",
        "invalid length",
        "invalid type",
        "invalid value",
        "missing field",
        "trailing",
        "variant",
        "recursion limit",
        "Document",
        "Entry",
        "map",
        "sequence",
        "key must",
    ] {
        let is_ours = words == "expected" && sentence.contains("expected states, found");
        let is_ours = is_ours || words == "expected" && sentence.contains("expected the state of");
        assert!(is_ours || !sentence.contains(words), "{words}: {sentence}");
    }
}

#[test]
fn a_config_that_is_not_an_object_is_an_error_of_discover_and_catalog() {
    let plain = Command::new("discover").run();
    for command in ["discover", "catalog"] {
        for (text, problem) in [
            ("[]", "must be one JSON object"),
            ("null", "must be one JSON object"),
            ("\"x\"", "must be one JSON object"),
            ("{", "is not valid JSON (line 1, column 1)"),
            ("", "is not valid JSON"),
        ] {
            let sentence = refused(Command::new(command).file("config", text));
            assert!(sentence.contains(problem), "{command} {text}: {sentence}");
            assert_no_parser_words(&sentence);
        }
    }
    for text in ["{}", r#"{"credentials": 5}"#, r#"{"expand": []}"#] {
        let run = Command::new("discover").file("config", text).run();
        assert_eq!((run.code, run.stdout == plain.stdout), (Some(0), true), "{text}");
    }
}

#[test]
fn unknown_settings_are_warned_about_with_suggestions() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 10));
    let mut config = config(SignIn::Token, &store);
    for (name, value) in [
        ("call_limit_percnt", json!(50)),
        ("expands", json!(["orders.items"])),
        ("zzz", json!(null)),
        ("_note", json!("mine")),
        ("_limit", json!(10)),
        ("end_date", json!(null)),
        ("call_limit_percent", json!(80.0)),
    ] {
        config[name] = value;
    }
    config["credentials"]["acess_token"] = json!("x");
    // A form keeps the values of the other sign-in.
    config["credentials"]["site_id"] = json!("12345");
    let expected = [
        "The config contains `call_limit_percnt`, which is not a setting and has no effect. Did you mean `call_limit_percent`?",
        "The config contains `expands`, which is not a setting and has no effect. Did you mean `expand`?",
        "The config contains `zzz`, which is not a setting and has no effect. Run `source-cart spec` to list the settings.",
        "The config contains `credentials.acess_token`, which is not a setting and has no effect. Did you mean `credentials.access_token`?",
    ];
    let read = Command::new("read").config(&config).catalog(&configured(&[("orders", "incremental")])).run();
    assert_eq!((read.code, read.warnings()), (Some(0), expected.to_vec()));
    let check = Command::new("check").config(&config).run();
    assert_eq!((check.connection_status().0, check.warnings()), ("SUCCEEDED", expected.to_vec()));
    let discover = Command::new("discover").config(&config).run();
    assert_eq!((discover.code, discover.warnings()), (Some(0), expected.to_vec()));
    // Its stdout is only the catalog.
    let catalog = Command::new("catalog").config(&config).output();
    assert!(serde_json::from_slice::<serde_json::Value>(&catalog.stdout).is_ok());
    assert_eq!(catalog.stderr.lines().count(), expected.len(), "{}", catalog.stderr);
    assert!(expected.iter().all(|text| catalog.stderr.contains(text)), "{}", catalog.stderr);
}

#[test]
fn integers_of_the_config_may_have_a_fraction_of_zeros() {
    let mut config = nobody();
    let none = json!({"streams": []});
    for (percent, is_right) in [(json!(80.0), true), (json!(100.00), true), (json!(80.5), false), (json!(1e2), true)] {
        config["call_limit_percent"] = percent.clone();
        let run = Command::new("read").config(&config).catalog(&none).run();
        assert_eq!(run.code == Some(0), is_right, "{percent}");
    }
}

#[test]
fn likely_mistakes_are_warned_about() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 10));
    let mut config = config(SignIn::Token, &store);
    let catalog = configured(&[("orders", "incremental"), ("stores", "full_refresh")]);
    let mut wants_dates = catalog.clone();
    wants_dates["streams"][1]["sync_mode"] = json!("incremental");
    let run = |config: &serde_json::Value, catalog: &serde_json::Value| {
        let run = Command::new("read").config(config).catalog(catalog).run();
        assert_eq!(run.code, Some(0), "{}", run.transcript());
        run
    };
    let info = ("INFO", "stores: the rows have no update date, so every sync reads all of them.");
    let usual = run(&config, &catalog);
    assert!(!usual.logs().contains(&info) && usual.warnings().is_empty());
    let wanted = run(&config, &wants_dates);
    assert!(wanted.logs().contains(&info) && wanted.warnings().is_empty());
    config["start_date"] = json!("2999-01-01T00:00:00Z");
    let future =
        "`start_date` (2999-01-01T00:00:00Z) is in the future. Until then, only rows without an update date are read.";
    assert_eq!(run(&config, &catalog).warnings(), [future]);
    let check = Command::new("check").config(&config).run();
    assert_eq!((check.connection_status().0, check.warnings()), ("SUCCEEDED", vec![future]));
}

#[test]
fn rows_with_names_of_fields_as_data_do_not_flood_the_log() {
    // With one sequence of requests, and with several concurrent ones.
    for (stream, max_count) in [("stores", 1000), ("orders", 100)] {
        let mut data = minutes(stream, 1, 3000);
        for id in data.ids(stream) {
            data.set_field(stream, id, &format!("field_{id}"), "1");
        }
        let store = start(SignIn::Token, Options { max_count: Some(max_count), ..Options::default() }, data);
        let catalog = configured(&[(stream, "full_refresh")]);
        let run = Command::new("read").config(&config(SignIn::Token, &store)).catalog(&catalog).run();
        assert_eq!((run.code, run.records(stream).len()), (Some(0), 3000));
        let reported = run.warnings();
        assert_eq!(reported.len(), 201, "{}", run.transcript());
        assert!(reported[..200].iter().all(|text| text.contains("which is not in the schema")));
        assert_eq!(reported[200], format!("{stream}: 2800 more warnings about fields are not shown."));
    }
}

#[test]
fn an_unusable_file_is_described_in_one_message() {
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let config = nobody();
    let with = |pointer: &str, value: serde_json::Value| {
        let mut config = config.clone();
        *config.pointer_mut(pointer).unwrap() = value;
        config.to_string()
    };
    for (text, problem) in [
        ("\u{feff}".to_owned(), "not valid JSON"),
        (" ".to_owned(), "not valid JSON"),
        ("null".to_owned(), "must be one JSON object"),
        (deep(100_000), "not valid JSON"),
        (format!("{{\"credentials\":{}}}", deep(100)), "must be an object"),
        (with("/credentials", json!(5)), "must be an object"),
        (with("/credentials/access_token", json!({"a": 1})), "must be a string"),
        (with("/credentials/access_token", json!("to\u{0}ken-0123")), "cannot be sent in an HTTP header"),
        (with("/credentials/access_token", json!("token-0123\r\nX-Evil: 1")), "cannot be sent in an HTTP header"),
        (with("/credentials/store_name", json!("shop.example.com\r\nHost: evil")), "cannot be sent in an HTTP header"),
        (with("/credentials/store_name", json!("shop.example.com\u{1}")), "cannot be sent in an HTTP header"),
        (with("/credentials/store_name", json!(["a"])), "must be a string"),
        (with("/start_date", json!("2021-01-01T00:00:00Z\n2")), "is not a date and time"),
        (with("/start_date", json!({})), "must be a string"),
    ] {
        let sentence = refused(Command::new("read").file("config", &text).catalog(&json!({"streams": []})));
        assert!(sentence.contains(problem), "{sentence}");
        assert!(!sentence.contains(|character: char| character.is_control()), "{sentence:?}");
        assert_no_parser_words(&sentence);
    }
    for text in ["", "null", "[]", "5", r#"{"streams":{}}"#, &deep(100_000)] {
        let sentence = refused(Command::new("read").config(&config).file("catalog", text));
        assert!(sentence.starts_with("The catalog cannot be used: it"), "{sentence}");
        assert_no_parser_words(&sentence);
    }
    let catalog = configured(&[("orders", "incremental")]);
    for text in ["5", r#""x""#, "[5]", r#"{"orders":5}"#, "{", &deep(100_000)] {
        let sentence = refused(Command::new("read").config(&config).catalog(&catalog).state(text));
        assert!(sentence.starts_with("The state file is not valid"), "{sentence}");
        assert_no_parser_words(&sentence);
    }
    // Unknown fields and a byte order mark are allowed.
    let mut more = config.clone();
    more["unheard_of"] = json!({"a": [1]});
    more["credentials"]["unheard_of"] = json!(null);
    let bom = format!("\u{feff}{more}");
    let run = Command::new("read")
        .file("config", &bom)
        .file("catalog", "\u{feff}{\"streams\":[],\"x\":1}")
        .state("\u{feff}[]")
        .run();
    assert_eq!(run.code, Some(0), "{}", run.transcript());
}
