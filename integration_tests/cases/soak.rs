//! Soak test: hours of trouble in seconds. One response in five fails, the store changes before every request,
//! reads are killed; both modes and both sign-ins run concurrently. No row may be missing, and memory stays constant.
//!
//! Waits are a hundredth of the usual ones, so that [`seconds`] of 36 correspond to an hour of a real sync's
//! retries. `SOAK_SECONDS=600 cargo test soak` runs longer.

use std::time::{Duration, Instant};

use crate::fake_store::{Fault, RecordedRequest, utc_ms};
use crate::harness::command::Command;
use crate::harness::destination::Destination;
use crate::harness::files::{START, configured};
use crate::harness::order::ReadCheck;
use crate::harness::setup::{Chance, SignIn, config, no_state, start};
use crate::scenarios::kills::{Kill, read_until_complete};
use crate::scenarios::run::Setup;
use crate::scenarios::stores::{churn, scattered};

/// Time limit of a request with its retries. The usual one is 600 s; all waits are shorter in proportion.
const PATIENCE_SECONDS: u64 = 6;
/// Minimum number of rounds of each kind, also on a slow machine: the first and last thirds are compared.
const LEAST_ROUNDS: usize = 6;
/// Reads that are killed per round before one completes.
const KILLS: usize = 3;
/// Maximum increase from the early to the late reads of a run, in percent and in KiB: reads of the same store differ by
/// that much without a leak.
const MARGIN: (u64, u64) = (20, 2048);

fn seconds() -> u64 {
    std::env::var("SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

/// Returns a transient fault.
fn fault(chance: &mut Chance) -> Fault {
    let limited = |retry_after: &str| Fault::Answer {
        status: 429,
        headers: vec![("Retry-After".to_owned(), retry_after.to_owned())],
        body: br#"{"status_code":429,"message":"Too Many Requests","details":""}"#.to_vec(),
    };
    // Waiting for a response that never comes takes a second, so it is rare.
    if chance.below(60) == 0 {
        return Fault::Hang;
    }
    match chance.below(13) {
        0 => Fault::ResetBeforeHeaders,
        1 => Fault::ResetAfterHeaders,
        2 => Fault::CutBody { after: usize::try_from(chance.below(3000)).unwrap() },
        3 => Fault::CutGzip,
        4 => Fault::html(200),
        5 => Fault::html(502),
        6 => Fault::html(503),
        7 => Fault::server_error(),
        8 => Fault::error(408, "Request Timeout", ""),
        9 => Fault::error(425, "Too Early", ""),
        10 => limited("0.05"),
        11 => limited("soon"),
        _ => Fault::Answer { status: 200, headers: Vec::new(), body: Vec::new() },
    }
}

/// Runs rounds of trouble until the time is over. Returns the peak memory of the last read of each round in KiB.
fn soak(mode: &str, sign_in: SignIn, seed: u64, until: Instant) -> Vec<u64> {
    let Setup { data, mut options, .. } = Setup::still(scattered("orders", 160, seed));
    let mut struck = Chance::new(seed ^ 0x50a4);
    options.fault = Some(Box::new(move |_: &RecordedRequest| (struck.below(5) == 0).then(|| fault(&mut struck))));
    let store = start(sign_in, options, data);
    let mut config = config(sign_in, &store);
    config["_retry_seconds"] = PATIENCE_SECONDS.into();
    config["_timeout_seconds"] = 1.into();
    let catalog = configured(&[("orders", mode)]);
    let mut destination = Destination::with_catalog(seed.is_multiple_of(2), &catalog);
    let mut chance = Chance::new(seed);
    let mut peaks = Vec::new();
    while Instant::now() < until || peaks.len() < LEAST_ROUNDS {
        let round = peaks.len() as u64;
        let context = format!("round {round}, {mode}, {sign_in:?}, seed {seed}");
        store.options(|options| options.live = Some(Box::new(churn("orders", seed + round))));
        let mut kills = 0;
        read_until_complete(&store, &config, &catalog, &mut destination, || {
            kills += 1;
            match chance.below(2) {
                _ if kills > KILLS => Kill::Requests(usize::MAX),
                0 => Kill::Bytes(usize::try_from(chance.below(150_000)).unwrap()),
                _ => Kill::Requests(1 + usize::try_from(chance.below(30)).unwrap()),
            }
        });
        store.options(|options| options.live = None);
        if mode == "full_refresh" {
            destination.truncate("orders");
        }
        let state = if mode == "full_refresh" { no_state() } else { destination.state_list() };
        let last = Command::new("read").config(&config).catalog(&catalog).state(&state).run();
        ReadCheck::new(&last, &catalog).assert();
        assert_eq!(last.code, Some(0), "{context}\n{}", last.transcript());
        destination.take(&last);
        let comparison = store.data(|data| destination.compare(data, "orders", "orders", Some(utc_ms(START)), None));
        comparison.assert_clean_with_missing_dates(&context);
        if mode == "full_refresh" {
            destination.truncate("orders");
        }
        peaks.push(last.peak_kib);
        store.clear_requests();
    }
    peaks
}

fn median(peaks: &[u64]) -> u64 {
    let mut sorted = peaks.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

#[test]
fn hours_of_trouble_lose_no_row_and_use_no_more_memory() {
    let until = Instant::now() + Duration::from_secs(seconds());
    let ways = [
        ("incremental", SignIn::Token, 1),
        ("incremental", SignIn::Router, 2),
        ("full_refresh", SignIn::Router, 3),
        ("full_refresh", SignIn::Token, 4),
    ];
    std::thread::scope(|scope| {
        let running = ways.map(|(mode, sign_in, seed)| {
            (format!("{mode} {sign_in:?}"), scope.spawn(move || soak(mode, sign_in, seed, until)))
        });
        for (way, running) in running {
            let peaks = running.join().unwrap();
            let third = peaks.len() / 3;
            let (early, late) = (median(&peaks[..third]), median(&peaks[peaks.len() - third..]));
            assert!(early > 0, "{way}: memory was not measured");
            let most = early + early * MARGIN.0 / 100 + MARGIN.1;
            assert!(late <= most, "{way}: {early} KiB in the early rounds, {late} KiB in the late ones: {peaks:?}");
        }
    });
}
