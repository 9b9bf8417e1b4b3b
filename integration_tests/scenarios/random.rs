//! Random stores, changes, kills and page sizes, with the contract as the property: nothing missing,
//! stale, changed or doubled in a run, and no state ahead of its records.
//!
//! `PROPTEST_CASES` sets how many (8 by default). Failing seeds are kept in `random.proptest` beside
//! this file and run first.

use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence};

use crate::fake_store::{Data, Fraction, utc_ms};
use crate::harness::destination::Destination;
use crate::harness::files::{START, configured};
use crate::scenarios::kills::{Kill, get_through};
use crate::scenarios::run::{Setup, at};
use crate::scenarios::stores::churn;
use crate::setup::{Chance, SignIn, config, read, start};

/// A case.
#[derive(Clone, Debug)]
struct Case {
    seed: u64,
    rows: u64,
    gap: u64,
    /// How many different dates the rows share, over two hours.
    dates: u64,
    page: usize,
    in_flight: u32,
    living: bool,
    ticks: bool,
    incremental: bool,
    kill_bytes: Option<usize>,
}

fn case() -> impl Strategy<Value = Case> {
    let store = (any::<u64>(), 0u64..250, 1u64..50, 1u64..200, 5usize..60);
    let reading = (1u32..9, any::<bool>(), any::<bool>(), any::<bool>(), prop::option::of(0usize..100_000));
    (store, reading).prop_map(|((seed, rows, gap, dates, page), (in_flight, living, ticks, incremental, kill))| Case {
        seed,
        rows,
        gap,
        dates,
        page,
        in_flight,
        living,
        ticks,
        incremental,
        // More than two pages with their states, so that each attempt can gain ground.
        kill_bytes: kill.map(|extra| page * 8_000 + 60_000 + extra),
    })
}

fn store_of(case: &Case) -> Data {
    let mut data = Data::empty();
    let mut chance = Chance::new(case.seed);
    let mut id = 0;
    for _ in 0..case.rows {
        id += 1 + i64::try_from(chance.below(case.gap)).unwrap();
        let date = data.now_ms - i64::try_from(chance.below(case.dates) * 7_200_000 / case.dates).unwrap();
        data.insert_lean("orders", id, at(date), at(date));
    }
    data
}

proptest! {
    #![proptest_config(Config {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(8),
        max_shrink_iters: 64,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("integration_tests/scenarios/random.proptest"))),
        ..Config::default()
    })]

    #[test]
    fn nothing_is_lost_whatever_happens(case in case()) {
        let mut options = Setup::still(Data::empty()).options;
        options.max_count = Some(case.page);
        options.unstable_ties = Some(case.seed);
        if case.ticks {
            options.fraction = Fraction::Ticks;
        }
        if case.living {
            options.live = Some(Box::new(churn("orders", case.seed)));
        }
        let store = start(SignIn::Token, options, store_of(&case));
        let mut config = config(SignIn::Token, &store);
        config["max_requests_in_flight"] = case.in_flight.into();
        let catalog = configured(&[("orders", if case.incremental { "incremental" } else { "full_refresh" })]);
        let mut destination = Destination::with_catalog(false, &catalog);
        let kill = Kill::Bytes(case.kill_bytes.unwrap_or(usize::MAX));
        get_through(&store, &config, &catalog, &mut destination, || kill);
        store.options(|options| options.live = None);
        let last = read(&config, &catalog, &destination.state_list());
        prop_assert_eq!(last.code, Some(0));
        destination.take(&last);
        let verdict = store.data(|data| destination.compare(data, "orders", "orders", Some(utc_ms(START)), None));
        prop_assert!(verdict.problems().is_empty(), "{:?}", verdict.problems());
        if case.incremental {
            let unchanged = read(&config, &catalog, &destination.state_list());
            prop_assert_eq!(unchanged.records("orders").len(), 0);
        }
    }
}
