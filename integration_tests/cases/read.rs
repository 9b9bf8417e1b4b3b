//! `read` in everyday use: first reads, later reads, both sign-ins, and the Python connector's files.

use serde_json::json;

use crate::fake_store::{Data, Envelope, Options, Stamp, Token, utc_ms};
use crate::harness::command::Command;
use crate::harness::destination::Destination;
use crate::harness::files::{TOKEN, configured, configured_all};
use crate::harness::order::assert_read_is_well_formed;
use crate::harness::setup::{Chance, DATED, SignIn, config, config_with, minutes, no_state, only_error, read, start};

/// Returns the line without its time.
fn without_clock(line: &str) -> String {
    const NAME: &str = "\"emitted_at\":";
    let Some((before, after)) = line.split_once(NAME) else { return line.to_owned() };
    format!("{before}{NAME}0{}", after.trim_start_matches(|character: char| character.is_ascii_digit()))
}

#[test]
fn a_small_read_is_as_in_the_snapshot() {
    let mut data = Data::empty();
    for (id, at) in [(1, "2024-03-10T07:59:59.997Z"), (2, "2024-03-10T08:00:00Z"), (3, "2024-11-03T06:30:00.16Z")] {
        data.insert_lean("addresses", id, Stamp::At(utc_ms(at)), Stamp::At(utc_ms("2014-04-07T16:55:56.297Z")));
    }
    let store = start(SignIn::Token, Options::default(), data);
    let catalog = configured(&[("addresses", "incremental")]);
    let run = read(&config(SignIn::Token, &store), &catalog, &no_state());
    assert_read_is_well_formed(&run, &catalog);
    let lines: Vec<String> = run.messages.iter().map(|message| without_clock(&message.line)).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn every_stream_is_read_completely_with_both_sign_ins_and_modes() {
    for sign_in in [SignIn::Token, SignIn::Router] {
        for mode in ["full_refresh", "incremental"] {
            let store = start(sign_in, Options::default(), Data::sample(7, 400));
            let catalog = configured_all(mode);
            let run = read(&config(sign_in, &store), &catalog, &no_state());
            assert_eq!(run.code, Some(0), "{}", run.transcript());
            assert_read_is_well_formed(&run, &catalog);
            let mut destination = Destination::with_catalog(false, &catalog);
            destination.take(&run);
            for stream in DATED {
                let comparison = store.data(|data| destination.compare(data, stream, stream, None, None));
                comparison.assert_clean_with_missing_dates(&format!("{stream} {mode} {sign_in:?}"));
            }
        }
    }
}

#[test]
fn two_reads_of_a_changing_store_return_every_row_in_its_last_version_and_a_third_nothing() {
    for sign_in in [SignIn::Token, SignIn::Router] {
        let mut chance = Chance::new(11);
        let options = Options {
            max_count: Some(50),
            live: Some(Box::new(move |data, _| {
                data.tick(700);
                for stream in DATED {
                    let ids = data.ids(stream);
                    if let Some(id) = chance.pick(&ids) {
                        data.touch(stream, id);
                    }
                    match chance.below(6) {
                        0 => drop(data.add(stream)),
                        1 => drop(chance.pick(&ids).map(|id| data.delete(stream, id))),
                        _ => {}
                    }
                }
            })),
            ..Options::default()
        };
        let store = start(sign_in, options, Data::sample(3, 300));
        let (config, catalog) = (config(sign_in, &store), configured_all("incremental"));
        let mut destination = Destination::with_catalog(false, &catalog);

        let first = read(&config, &catalog, &destination.state_list());
        assert_eq!(first.code, Some(0), "{}", first.transcript());
        destination.take(&first);
        store.options(|options| options.live = None);
        let second = read(&config, &catalog, &destination.state_list());
        assert_eq!(second.code, Some(0), "{}", second.transcript());
        destination.take(&second);
        for stream in DATED {
            let comparison = store.data(|data| destination.compare(data, stream, stream, None, None));
            comparison.assert_clean_with_missing_dates(&format!("{stream} {sign_in:?}"));
        }

        store.clear_requests();
        let third = read(&config, &catalog, &destination.state_list());
        assert_eq!(third.code, Some(0), "{}", third.transcript());
        assert_read_is_well_formed(&third, &catalog);
        for stream in DATED {
            assert_eq!(third.records(stream).len(), 0, "{stream}");
            assert_eq!(third.states(stream).len(), 1, "{stream}");
            assert_eq!(third.statuses(stream), ["STARTED", "COMPLETE"], "{stream}");
            assert_eq!(third.last_state(stream).cloned(), destination.state(stream), "{stream}");
        }
    }
}

#[test]
fn a_read_of_an_unchanged_store_sends_one_request_per_stream() {
    let store = start(SignIn::Token, Options::default(), Data::sample(3, 2500));
    let (config, catalog) = (config(SignIn::Token, &store), configured(&DATED.map(|name| (name, "incremental"))));
    let first = read(&config, &catalog, &no_state());
    assert!(store.requests().iter().all(|seen| seen.header("cache-control") == Some("no-cache")));
    store.clear_requests();
    let second = read(&config, &catalog, &first.last_state_list());
    assert_eq!(second.messages.iter().filter(|message| message.kind() == "RECORD").count(), 0);
    let mut asked: Vec<String> = store.requests().into_iter().map(|seen| seen.resource).collect();
    asked.sort();
    let mut expected = DATED.map(str::to_owned);
    expected.sort();
    assert_eq!(asked, expected);
}

#[test]
fn the_python_connectors_config_catalog_and_state_work_unchanged() {
    let store = start(SignIn::Token, Options::default(), Data::sample(5, 200));
    let cut = store.data(|data| {
        let mut dates: Vec<i64> = data.rows("customers").iter().filter_map(|row| row.updated_at.ms()).collect();
        dates.sort_unstable();
        dates[dates.len() / 2]
    });
    let catalog = configured(&[("customers_cart", "incremental"), ("order_statuses", "full_refresh")]);
    let at = chrono::DateTime::from_timestamp_millis(cut).unwrap();
    let local = at.with_timezone(&chrono_tz::America::Chicago).format("%Y-%m-%dT%H:%M:%S%.3f%:z");
    for state in [
        format!(
            r#"[{{"type":"STREAM","stream":{{"stream_descriptor":{{"name":"customers_cart"}},"stream_state":{{"updated_at":"{local}"}}}}}}]"#
        ),
        format!(r#"{{"customers_cart":{{"updated_at":"{local}"}}}}"#),
        format!(r#"{{"customers":{{"updated_at":"{local}"}}}}"#),
    ] {
        let run = read(&config(SignIn::Token, &store), &catalog, &state);
        assert_eq!(run.code, Some(0), "{}", run.transcript());
        assert_read_is_well_formed(&run, &catalog);
        assert_eq!(run.records("customers").len(), 0);
        let expected: Vec<i64> = store.data(|data| {
            let late = |id: &i64| {
                data.row("customers", *id).and_then(|row| row.updated_at.ms()).is_some_and(|ms| ms >= cut - 120_000)
            };
            data.ids("customers").into_iter().filter(late).collect()
        });
        let mut came = run.ids("customers_cart");
        came.sort_unstable();
        assert_eq!(came, expected, "{state}");
        assert_eq!(run.records("order_statuses").len(), 9);
    }
}

#[test]
fn the_dates_of_the_config_limit_the_rows() {
    let store = start(SignIn::Token, Options::default(), minutes("orders", 1, 100));
    let date = |row: i64| store.data(|data| data.row("orders", row).unwrap().updated_at.ms().unwrap());
    let text = |ms: i64| chrono::DateTime::from_timestamp_millis(ms).unwrap().to_rfc3339();
    let catalog = configured(&[("orders", "incremental")]);
    // Both are the date of a row: the start is included, the end is not.
    let bounded = config_with(&store, &json!({"start_date": text(date(10)), "end_date": text(date(20))}));
    let run = read(&bounded, &catalog, &no_state());
    assert_read_is_well_formed(&run, &catalog);
    let mut came = run.ids("orders");
    came.sort_unstable();
    assert_eq!(came, (10..20).collect::<Vec<i64>>());
    // Without the end, the next read continues from there.
    let open = config_with(&store, &json!({"start_date": text(date(10))}));
    let mut came = read(&open, &catalog, &run.last_state_list()).ids("orders");
    came.sort_unstable();
    assert_eq!(came, (20..=100).collect::<Vec<i64>>());
}

#[test]
fn a_token_without_a_scope_ends_that_stream_and_names_the_scope() {
    let options = Options { tokens: vec![Token::new(TOKEN, &["read_orders"])], ..Options::default() };
    let store = start(SignIn::Token, options, Data::sample(1, 20));
    let catalog = configured(&[("orders", "incremental"), ("products", "incremental")]);
    let run = read(&config(SignIn::Token, &store), &catalog, &no_state());
    assert_eq!(run.code, Some(1));
    assert_read_is_well_formed(&run, &catalog);
    assert_eq!(run.statuses("orders").last(), Some(&"COMPLETE"));
    assert_eq!(run.statuses("products").last(), Some(&"INCOMPLETE"));
    assert_eq!(run.errors()[0].failure_type, "config_error");
    let port = store.addr().port().to_string();
    insta::assert_snapshot!(only_error(&run).replace(&port, "PORT"));
    assert_eq!(store.requests().iter().filter(|seen| seen.resource == "products").count(), 1, "a 401 is not retried");
}

#[test]
fn lists_are_found_under_the_name_of_their_path() {
    let options = Options { envelope: Envelope::Path, ..Options::default() };
    let store = start(SignIn::Token, options, Data::sample(1, 20));
    let catalog = configured(&[("order_items", "full_refresh"), ("order_payments", "full_refresh")]);
    let run = read(&config(SignIn::Token, &store), &catalog, &no_state());
    assert_read_is_well_formed(&run, &catalog);
    assert!(run.records("order_items").len() > 20 && run.records("order_payments").len() >= 20);
}

#[test]
fn numbers_keep_their_digits() {
    let mut data = minutes("orders", 1, 3);
    for (id, raw) in
        [(1, "1886.0000"), (2, "0.1000000000000000055511151231257827"), (3, "123456789012345678901234567890.10")]
    {
        data.set_field("orders", id, "grand_total", raw);
    }
    let store = start(SignIn::Token, Options::default(), data);
    let catalog = configured(&[("orders", "full_refresh")]);
    let run = read(&config(SignIn::Token, &store), &catalog, &no_state());
    let mut digits: Vec<String> =
        run.records("orders").iter().map(|record| record.field("grand_total").unwrap()).collect();
    digits.sort();
    assert_eq!(digits, ["0.1000000000000000055511151231257827", "123456789012345678901234567890.10", "1886.0000"]);
}

#[test]
fn values_of_the_wrong_type_are_emitted_and_reported_once() {
    let mut data = minutes("orders", 1, 40);
    for id in 1..=40 {
        data.set_field("orders", id, "grand_total", "\"ten\"");
        data.set_field("orders", id, "due_date", "\"\"");
        data.set_field("orders", id, "tax_total", "\"1.50\"");
    }
    let store = start(SignIn::Token, Options { max_count: Some(10), ..Options::default() }, data);
    let catalog = configured(&[("orders", "full_refresh")]);
    let run = read(&config(SignIn::Token, &store), &catalog, &no_state());
    assert_eq!(run.records("orders").len(), 40);
    for record in run.records("orders") {
        assert_eq!(record.field("grand_total").as_deref(), Some("\"ten\""));
        assert_eq!(record.field("due_date").as_deref(), Some("null"));
        assert_eq!(record.field("tax_total").as_deref(), Some("1.50"));
    }
    let reported: Vec<&str> = run.warnings().into_iter().filter(|text| text.contains("grand_total")).collect();
    assert_eq!(reported.len(), 1, "{:?}", run.warnings());
    assert!(run.warnings().iter().all(|text| !text.contains("due_date") && !text.contains("tax_total")));
}

#[test]
fn a_closed_stdout_ends_the_process_with_an_error() {
    let store = start(SignIn::Token, Options::default(), Data::sample(1, 3000));
    let catalog = configured_all("incremental");
    let command = Command::new("read").config(&config(SignIn::Token, &store)).catalog(&catalog);
    let run = command.close_stdout_after_bytes(2000).run();
    assert_eq!(run.code, Some(74));
    assert!(run.stderr.lines().count() <= 1, "{}", run.stderr);
}
