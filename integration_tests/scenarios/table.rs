//! The table of scenarios: changes in a store that works as documented. Quirks of stores are in
//! `quirks`; both together make `docs/development/scenarios.md`.

use serde_json::json;

use crate::fake_store::{Data, Fraction, Stamp, utc_ms};
use crate::harness::destination::Destination;
use crate::harness::files::configured;
use crate::harness::setup::{Chance, SignIn, config_with, minutes, no_state, read, start};
use crate::scenarios::run::{Outcome, Scenario, Setup, at};
use crate::scenarios::stores::{churn, import, newest, scattered, some_rows};

macro_rules! scenarios {
    ($($name:ident: $outcome:ident, $bounded:literal, $streams:expr, $what:literal, $setup:expr;)*) => {
        /// The scenarios of this file.
        pub(crate) static SCENARIOS: &[Scenario] = &[$(Scenario {
            name: stringify!($name), what: $what, streams: $streams, setup: $setup, outcome: Outcome::$outcome, bounded: $bounded,
        },)*];
        $(#[test]
        fn $name() {
            SCENARIOS.iter().find(|scenario| scenario.name == stringify!($name)).unwrap().prove();
        })*
    };
}
pub(crate) use scenarios;

const ORDERS: &[&str] = &["orders"];

scenarios! {
    still: Complete, true, ORDERS, "Nothing changes.", |seed| Setup::still(scattered("orders", some_rows(seed), seed));
    changing: Complete, true, ORDERS, "Rows are updated, inserted and deleted before every request.",
        |seed| Setup::still(scattered("orders", some_rows(seed), seed)).changing(churn("orders", seed));
    several_streams_changing: Complete, true, &["orders", "order_items", "addresses"], "Three streams change before every request to any of them.", |seed| {
        let mut data = scattered("orders", some_rows(seed), seed);
        for stream in ["order_items", "addresses"] {
            let other = scattered(stream, some_rows(seed) * 2, seed + 1);
            for row in other.rows(stream) {
                data.insert(stream, row.clone());
            }
        }
        let mut changes: Vec<_> = ["orders", "order_items", "addresses"].map(|stream| churn(stream, seed)).into();
        Setup::still(data).changing(move |data, seen| changes.iter_mut().for_each(|change| change(data, seen)))
    };
    minutes_between_requests: Complete, true, ORDERS, "Rows change, and minutes pass before every request: the walk takes longer than the overlap.", |seed| {
        let mut changes = churn("orders", seed);
        Setup::still(scattered("orders", some_rows(seed), seed)).changing(move |data, seen| {
            data.tick(240_000);
            changes(data, seen);
        })
    };
    one_hot_row: Complete, true, ORDERS, "One row is updated before every request.", |seed| {
        let data = scattered("orders", some_rows(seed), seed);
        let ids = data.ids("orders");
        let hot = Chance::new(seed).pick(&ids).unwrap();
        Setup::still(data).changing(move |data, _| { data.tick(400); data.touch("orders", hot); })
    };
    newest_row_deleted: Complete, true, ORDERS, "The newest row is deleted during the walk, twice.", |seed| {
        let mut request = 0;
        Setup::still(scattered("orders", some_rows(seed), seed)).changing(move |data, _| {
            request += 1;
            if request == 2 || request == 4 {
                let date = newest(data, "orders");
                let gone: Vec<i64> = data.rows("orders").iter().filter(|row| row.updated_at == Stamp::At(date)).map(|row| row.id).collect();
                for id in gone { data.delete("orders", id); }
            }
        })
    };
    import_after: Complete, false, ORDERS, "During the walk, an import sets one date on all rows, newer than all dates before.", |seed| {
        let mut request = 0;
        Setup::still(scattered("orders", some_rows(seed), seed)).changing(move |data, _| {
            request += 1;
            if request == 2 + seed % 4 {
                data.tick(1000);
                let now = data.now_ms;
                import(data, "orders", now);
            }
        })
    };
    import_before: Complete, false, ORDERS, "During the walk, an import sets one date on all rows, up to a minute before the newest.", |seed| {
        let mut request = 0;
        Setup::still(scattered("orders", some_rows(seed), seed)).changing(move |data, _| {
            request += 1;
            if request == 2 + seed % 4 {
                let date = newest(data, "orders") - i64::try_from(seed * 7_919 % 60_000).unwrap();
                import(data, "orders", date);
            }
        })
    };
    tied: Complete, true, ORDERS, "95 % of the rows share one date, and their order changes at each request.", |seed| {
        let mut data = scattered("orders", some_rows(seed), seed);
        let date = data.now_ms - 3_600_000;
        for id in data.ids("orders").into_iter().filter(|id| id % 20 != 0) {
            data.set_updated_at("orders", id, at(date));
        }
        Setup::still(data)
    };
    tied_at_the_end_changing: Complete, false, ORDERS, "The same at the newest date, while rows change.", |seed| {
        let mut data = scattered("orders", some_rows(seed), seed);
        let date = data.now_ms;
        for id in data.ids("orders").into_iter().filter(|id| id % 20 != 0) {
            data.set_updated_at("orders", id, at(date));
        }
        Setup::still(data).changing(churn("orders", seed))
    };
    tied_beyond_memory: Complete, false, ORDERS, "More rows share the newest date than a state can list, while some change.", |seed| {
        let mut data = Data::empty();
        let date = data.now_ms - 30_000;
        for row in 0..1_000 {
            data.insert_lean("orders", row * 2 + 1, at(date), at(date));
        }
        let mut chance = Chance::new(seed);
        let changing = seed % 2 == 0;
        Setup::still(data).with(|options| options.max_count = Some(200)).changing(move |data, _| {
            if changing && let Some(id) = chance.pick(&data.ids("orders")) {
                data.touch("orders", id);
            }
        })
    };
    visible_late: Complete, false, ORDERS, "Before every request, a row appears with a date up to a minute before rows already returned.", |seed| {
        let mut chance = Chance::new(seed);
        Setup::still(scattered("orders", some_rows(seed), seed)).changing(move |data, _| {
            data.tick(500);
            data.add("orders");
            let date = newest(data, "orders") - i64::try_from(chance.below(60_000)).unwrap();
            let late = if chance.below(2) == 0 { data.add("orders") } else { chance.pick(&data.ids("orders")).unwrap() };
            let known = data.row("orders", late).and_then(|row| row.updated_at.ms()).unwrap_or(0);
            if known <= date || late + 1 == data.next_id("orders") {
                data.touch("orders", late);
                data.set_updated_at("orders", late, at(date));
            }
        })
    };
    late_after_the_walk: Complete, false, ORDERS, "A row becomes visible among ids already read, while another row is deleted: the count does not change, and one row was not read.", |seed| {
        let mut request = 0;
        Setup::still(minutes("orders", 11, 90 + i64::try_from(seed).unwrap())).changing(move |data, _| {
            request += 1;
            // The first page of the walk is the third request; the last page is never sent before the fourth.
            if request == 4 {
                let ids = data.ids("orders");
                data.delete("orders", ids[ids.len() - 2]);
                let date = at(newest(data, "orders") - 30_000);
                data.insert_lean("orders", 5, date, date);
            }
        })
    };
    odd_dates: Complete, false, &["products", "order_statuses"], "Null, empty and 1900 dates among the rows, while rows change.", |seed| {
        let mut data = scattered("products", some_rows(seed), seed);
        for row in Data::sample(1, 5).rows("order_statuses") {
            data.insert("order_statuses", row.clone());
        }
        let ids = data.ids("products");
        for (place, id) in ids.iter().enumerate() {
            match place % 9 {
                0 => data.set_updated_at("products", *id, Stamp::Null),
                1 => data.set_updated_at("products", *id, Stamp::Empty),
                2 => data.set_updated_at("products", *id, at(utc_ms("1900-06-01T06:00:00Z"))),
                _ => {}
            }
        }
        let mut chance = Chance::new(seed);
        Setup::still(data).changing(move |data, _| {
            data.tick(300);
            let dated: Vec<i64> = data.rows("products").iter().filter(|row| row.updated_at.ms().is_some()).map(|row| row.id).collect();
            if let Some(id) = chance.pick(&dated) {
                data.touch("products", id);
            }
        })
    };
    undated_anywhere: CompleteWithWarning, true, ORDERS, "A few rows without `updated_at` in a stream where none are expected, while rows change.", |seed| {
        let mut data = scattered("orders", some_rows(seed), seed);
        let ids = data.ids("orders");
        let mut chance = Chance::new(seed);
        let undated: Vec<i64> = (0..=seed % 3).filter_map(|_| chance.pick(&ids)).collect();
        for id in &undated {
            data.set_updated_at("orders", *id, Stamp::Null);
        }
        let mut changes = churn("orders", seed);
        // The changes to these rows would give them a date.
        let before: Vec<_> = undated.iter().filter_map(|id| data.row("orders", *id).cloned()).collect();
        Setup::still(data)
            .with(|options| options.nulls_last = seed % 2 == 0)
            .changing(move |data, seen| {
                changes(data, seen);
                for row in &before {
                    data.insert("orders", row.clone());
                }
            })
    };
    no_rows: Complete, true, ORDERS, "A stream without rows.", |_| Setup::still(Data::empty());
    one_row: Complete, true, ORDERS, "A stream of one row.", |seed| Setup::still(scattered("orders", 1, seed));
    exactly_a_page: Complete, true, ORDERS, "Exactly one page, one row more, exactly two pages.",
        |seed| Setup::still(scattered("orders", [20, 21, 40][usize::try_from(seed % 3).unwrap()], seed));
    wide_gaps: Complete, true, ORDERS, "Ids with gaps of billions.", |seed| {
        let mut data = Data::empty();
        let mut chance = Chance::new(seed);
        let mut id = 1;
        for row in 0..some_rows(seed) {
            id += 1 + if row % 10 == 0 { i64::try_from(chance.below(1 << 40)).unwrap() } else { 0 };
            let date = data.now_ms - i64::try_from(row * 1000).unwrap();
            data.insert_lean("orders", id, at(date), at(date));
        }
        Setup::still(data).changing(churn("orders", seed))
    };
    huge_ids: Complete, true, ORDERS, "Ids around 2^53 and up to 2^63 - 1.", |seed| {
        let mut data = Data::empty();
        for row in 0..i64::try_from(some_rows(seed)).unwrap() {
            let id = if row % 2 == 0 { (1 << 53) - 20 + row } else { i64::MAX - row };
            let date = data.now_ms - row * 1000;
            data.insert_lean("orders", id, at(date), at(date));
        }
        Setup::still(data)
    };
    clock_changes: Complete, true, ORDERS, "Rows around both daylight saving changes, in time zones west and east of Greenwich.", |seed| {
        let mut data = Data::empty();
        let zone = [chrono_tz::America::Chicago, chrono_tz::Europe::Berlin, chrono_tz::Asia::Karachi][usize::try_from(seed % 3).unwrap()];
        data.zone = zone;
        let changes = ["2024-03-10T08:00:00Z", "2024-11-03T07:00:00Z", "2024-03-31T01:00:00Z", "2024-10-27T01:00:00Z"].map(utc_ms);
        for row in 0..i64::try_from(some_rows(seed)).unwrap() {
            let date = changes[usize::try_from(row % 4).unwrap()] + (row - 60) * 97_003;
            data.insert_lean("orders", row + 1, at(date), at(date));
        }
        data.now_ms = utc_ms("2024-11-03T09:59:00Z");
        Setup::still(data).with(|options| options.zone = zone).changing(churn("orders", seed))
    };
    fractions: Complete, true, ORDERS, "Dates with seven fraction digits, or with none although the store compares them.", |seed| {
        let fraction = if seed % 2 == 0 { Fraction::Ticks } else { Fraction::None };
        Setup::still(scattered("orders", some_rows(seed), seed)).with(|options| options.fraction = fraction)
    };
}

#[test]
fn a_later_sync_distinguishes_rows_that_enter_its_dates_from_lost_ones() {
    // Rows of the date range are deleted before the walk reaches them, and older ones change after it: the
    // store counts more than was read, with less and with more than a page of changes, and nothing is lost.
    for changes in [2, 8] {
        let mut data = minutes("orders", 1, 300);
        data.tick(3_600_000);
        let store = start(SignIn::Token, Setup::still(Data::empty()).options, data);
        let config = config_with(&store, &json!({"max_requests_in_flight": 1}));
        let catalog = configured(&[("orders", "incremental")]);
        let mut destination = Destination::with_catalog(false, &catalog);
        destination.take(&read(&config, &catalog, &no_state()));
        store.data(|data| (241..=300).for_each(|id| data.touch("orders", id)));
        let (mut request, mut old) = (0, 1..);
        store.options(|options| {
            options.live = Some(Box::new(move |data, _| {
                request += 1;
                // The first page of the walk was the third request.
                if request > 3 {
                    data.tick(500);
                    old.by_ref().take(changes).for_each(|id| data.touch("orders", id));
                    let ids = data.ids("orders");
                    data.delete("orders", ids[ids.len() - 2]);
                }
            }));
        });
        let second = read(&config, &catalog, &destination.state_list());
        assert_eq!(second.code, Some(0), "{changes} changes\n{}", second.transcript());
        destination.take(&second);
        store.options(|options| options.live = None);
        destination.take(&read(&config, &catalog, &destination.state_list()));
        store.data(|data| destination.compare(data, "orders", "orders", None, None)).assert_clean("the third sync");
    }
}

/// Returns the files of tests in `inconsistent_store/`: name, header, and number of tests.
fn inconsistent_store_files() -> Vec<(String, String, usize)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/integration_tests/cases/inconsistent_store");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut rows: Vec<_> = files
        .filter_map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let tests = text.matches("#[test]").count();
            let lines = text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
            let what: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (tests > 0).then(|| (name, what.join(" "), tests))
        })
        .collect();
    rows.sort();
    rows
}

#[test]
fn the_table_of_the_docs_is_current() {
    let mut text = String::from(
        "# Scenarios\n\nFor developers who change how rows are read or what a state contains. After this page you know which events and stores \
         the tests use to try to lose a row. Generated by the tests (`UPDATE_DOCS=1 cargo test`), which assert each outcome.\n\n\
         Each scenario runs with several seeds, incrementally and as a full refresh, with both sign-ins, with one request at a time \
         and with eight. It reads twice, and a third time after the store stopped changing. No row may be missing, outdated, changed, or \
         emitted twice in a run, and the third read must emit nothing. `SCENARIO_SEEDS=200 cargo test scenarios` runs them with 200 \
         seeds. The scenarios of `source-cs-cart` are in `integration_tests/cases/cs_cart/`, and `SCENARIO_SEEDS=200 cargo test cs_cart` \
         runs them with 200 seeds. `.ci/seeds 2 200` runs both.\n\n| scenario | what happens | outcome |\n|---|---|---|\n",
    );
    for scenario in SCENARIOS.iter().chain(super::quirks::SCENARIOS) {
        let outcome = match scenario.outcome {
            Outcome::Complete => "nothing lost",
            Outcome::CompleteWithWarning => "nothing lost; a warning describes the store",
            Outcome::CompleteOrIncomplete => {
                "nothing lost; while rows change, a read may end INCOMPLETE, but never COMPLETE with a row missing"
            }
            Outcome::Incomplete => "INCOMPLETE with an error; the state does not change",
        };
        text.push_str(&format!("| `{}` | {} | {outcome} |\n", scenario.name, scenario.what));
    }
    text.push_str(
        "\n## Stores that contradict themselves, and clocks that jump\n\nEach is tested in both modes, with one request at a time and with \
         eight, and with kills (`cargo test evidence`). One more test reads a store that works as documented: it must not need more requests. \
         No row may be missing with exit code 0.\n\n\
         | `integration_tests/cases/inconsistent_store/` | what is tested | tests |\n|---|---|---|\n",
    );
    for (name, what, tests) in inconsistent_store_files() {
        text.push_str(&format!("| `{name}` | {what} | {tests} |\n"));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/development/scenarios.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), text, "run UPDATE_DOCS=1 cargo test");
}
