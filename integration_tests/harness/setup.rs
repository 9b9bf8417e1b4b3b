//! Stores, configs and random numbers that many tests need.

use std::ops::RangeInclusive;

use serde_json::{Value, json};

use crate::fake_store::{Data, FakeStore, Options, Router, Stamp};
use crate::harness::command::Command;
use crate::harness::files::{ROUTER_SECRET, START, TOKEN, router_config, store_config};
use crate::harness::run::{Run, forms};

/// The streams that most users read. Their rows have `updated_at`.
pub(crate) const DATED: [&str; 7] =
    ["customers", "addresses", "orders", "order_items", "order_payments", "order_statuses", "products"];

/// Returns true if a test that tries one thing in many ways is to try all of them (`EVERY_CASE=1`, as the gate does).
/// Otherwise it tries some, so that all tests end within minutes.
pub(crate) fn is_every_case_wanted() -> bool {
    std::env::var_os("EVERY_CASE").is_some()
}

/// Returns all of the numbers if every case is wanted; otherwise the first two, one in the middle, and the last one.
pub(crate) fn some_of(numbers: RangeInclusive<usize>) -> impl Iterator<Item = usize> {
    let (first, last) = (*numbers.start(), *numbers.end());
    let few = [first, first + 1, first.midpoint(last), last];
    numbers.filter(move |number| is_every_case_wanted() || few.contains(number))
}

/// The way in which the connector signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignIn {
    Token,
    Router,
}

/// Starts a store that accepts this way of signing in.
pub(crate) fn start(sign_in: SignIn, mut options: Options, data: Data) -> FakeStore {
    if sign_in == SignIn::Router {
        options.router =
            Some(Router { site_id: "12345".to_owned(), user: "myUser".to_owned(), secret: ROUTER_SECRET.to_owned() });
    }
    FakeStore::start(options, data)
}

/// Returns a config for this store.
pub(crate) fn config(sign_in: SignIn, store: &FakeStore) -> Value {
    match sign_in {
        SignIn::Token => store_config(&store.url(), TOKEN, START),
        SignIn::Router => router_config(&store.router_base(), "myUser", ROUTER_SECRET, "12345", START),
    }
}

/// Returns a config for this store with a token, and with more settings.
pub(crate) fn config_with(store: &FakeStore, more: &Value) -> Value {
    let mut config = config(SignIn::Token, store);
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

/// Runs `read`.
pub(crate) fn read(config: &Value, catalog: &Value, state: &str) -> Run {
    Command::new("read").config(config).catalog(catalog).state(state).run()
}

/// Returns the data of a store with `rows` small rows of one resource. Ids begin at `first`; `updated_at` increases by
/// a minute per row.
pub(crate) fn minutes(resource: &str, first: i64, rows: i64) -> Data {
    let mut data = Data::empty();
    let begin = data.now_ms - rows * 60_000;
    for row in 0..rows {
        let at = Stamp::At(begin + row * 60_000);
        data.insert_lean(resource, first + row, at, at);
    }
    data
}

/// Panics if the output contains a signature that was sent to the store, in any form.
pub(crate) fn assert_no_signature(run: &Run, store: &FakeStore) {
    let output = format!("{}{}", String::from_utf8_lossy(&run.stdout), run.stderr);
    for seen in store.requests() {
        for form in seen.header("x-ac-pub-auth-signature").into_iter().flat_map(forms) {
            assert!(!output.contains(&form), "the signature of {} is told", seen.target);
        }
    }
}

/// Returns the message of the only TRACE error.
pub(crate) fn only_error(run: &Run) -> String {
    let errors = run.errors();
    assert_eq!(errors.len(), 1, "{}", run.transcript());
    errors[0].message.clone()
}

/// A small random number generator (xorshift64*). The same seed gives the same numbers on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Returns a number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound.max(1)
    }

    /// Returns one of the ids, if there are any.
    pub(crate) fn pick(&mut self, ids: &[i64]) -> Option<i64> {
        let at = usize::try_from(self.below(ids.len() as u64)).unwrap();
        ids.get(at).copied()
    }
}

/// Returns a config with a host where no server listens.
pub(crate) fn nobody() -> Value {
    store_config("http://127.0.0.1:9", TOKEN, START)
}

/// Returns an empty state.
pub(crate) fn no_state() -> String {
    json!([]).to_string()
}
