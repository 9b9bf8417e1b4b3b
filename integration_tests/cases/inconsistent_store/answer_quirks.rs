//! Responses that are wrong, or correct in an unusual way, drawn at random. One or two of them may make a read
//! INCOMPLETE, but never COMPLETE with a row missing.

use crate::cases::inconsistent_store::response_case::{End, Trial, add_fault, rows_of, small_pages};
use crate::fake_store::{Envelope, FakeStore, Fault, Late, RecordedRequest};
use crate::harness::setup::Chance;
use crate::scenarios::run::seeds;

/// A quirk.
pub(crate) struct AnswerQuirk {
    /// Its name.
    pub(crate) name: &'static str,
    /// Sets it, from a seed. The store has rows of [`STREAM`] and [`OTHER`].
    pub(crate) set: fn(&FakeStore, u64),
}

/// The stream with the quirks.
const STREAM: &str = "order_items";
/// A stream with similar rows.
const OTHER: &str = "order_payments";

/// One request in this many gets a quirk.
const SOME: u64 = 7;

/// Adds a fault to some requests to the stream.
fn some(store: &FakeStore, seed: u64, fault: Fault) {
    let mut chance = Chance::new(seed);
    let hook =
        move |seen: &RecordedRequest| (seen.resource == STREAM && chance.below(SOME) == 0).then(|| fault.clone());
    store.options(|options| add_fault(options, hook));
}

/// Adds a fault to all requests.
fn all(store: &FakeStore, fault: Fault) {
    store.options(|options| add_fault(options, move |_| Some(fault.clone())));
}

fn late(store: &FakeStore, seed: u64, out_of_step: bool) {
    store.options(|options| options.late = Some(Late { seed, one_in: 10, out_of_step }));
}

fn refusal(calls: &str) -> Fault {
    let headers = [("Retry-After", "1"), ("X-AC-Call-Limit", calls)];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Fault::Answer { status: 429, headers, body: Vec::new() }
}

macro_rules! quirks {
    ($($name:ident: $set:expr;)*) => {
        /// All quirks.
        pub(crate) const ANSWER_QUIRKS: &[AnswerQuirk] = &[$(AnswerQuirk { name: stringify!($name), set: $set },)*];
    };
}

quirks! {
    rows_of_another_stream: |store, seed| some(store, seed, Fault::AnswerOf { resource: OTHER, list: None });
    rows_of_another_stream_at_first: |store, _| {
        let mut left = 1;
        store.options(|options| add_fault(options, move |seen| {
            let strikes = seen.resource == STREAM && left > 0;
            left -= usize::from(strikes);
            strikes.then_some(Fault::AnswerOf { resource: OTHER, list: None })
        }));
    };
    rows_of_another_stream_under_an_unknown_name:
        |store, seed| some(store, seed, Fault::AnswerOf { resource: OTHER, list: Some("data") });
    links_to_another_resource: |store, seed| some(store, seed, Fault::NextPageOf(OTHER));
    unknown_name: |store, _| store.options(|options| options.envelope = Envelope::Named("data"));
    answers_sent_twice: |store, seed| late(store, seed, false);
    answers_out_of_step: |store, seed| late(store, seed, true);
    status_203: |store, _| all(store, Fault::Status(203));
    status_204: |store, seed| some(store, seed, Fault::Status(204));
    status_206: |store, seed| some(store, seed, Fault::Status(206));
    bytes_behind_gzip: |store, _| all(store, Fault::Gzip { members: 1, tail: &[0; 16] });
    gzip_members: |store, _| all(store, Fault::Gzip { members: 3, tail: b"" });
    no_length: |store, _| all(store, Fault::Unclosed { missing: 0 });
    no_length_and_cut: |store, seed| some(store, seed, Fault::Unclosed { missing: 300 });
    decimal_keys: |store, _| store.options(|options| options.decimal_keys = true);
    a_row_not_utf_8: |store, seed| {
        store.data(|data| {
            let ids = data.ids(STREAM);
            if let Some(id) = Chance::new(seed).pick(&ids) {
                data.set_field(STREAM, id, "configuration", "\"caf\u{f8ff}\"");
            }
        });
        store.options(|options| options.latin1 = true);
    };
    unavailable: |store, seed| some(store, seed, Fault::html(503));
    a_web_page: |store, seed| some(store, seed, Fault::html(200));
    refused_with_calls_left: |store, seed| some(store, seed, refusal("30/5000"));
    refused: |store, seed| some(store, seed, refusal("50/50"));
}

/// Reads a store with quirks, with a kill, and then without quirks.
fn prove(quirks: &[&AnswerQuirk], seed: u64) {
    let mode = if seed.is_multiple_of(2) { "incremental" } else { "full_refresh" };
    let in_flight = if seed.is_multiple_of(3) { 1 } else { 8 };
    let data = rows_of(&[(STREAM, 110), (OTHER, 70)]);
    let names: Vec<&str> = quirks.iter().map(|quirk| quirk.name).collect();
    let trial = Trial::new(small_pages(), data, &[STREAM, OTHER], mode, in_flight)
        .called(&format!("{names:?}, seed {seed}"))
        .with_repeats()
        .retrying(20);
    for (place, quirk) in quirks.iter().enumerate() {
        (quirk.set)(&trial.store, seed + place as u64);
    }
    let mut destination = trial.destination();
    if seed.is_multiple_of(2) {
        trial.read_killed(&mut destination, 4 + usize::try_from(seed % 5).unwrap());
    }
    trial.read(&mut destination, End::Either);
    trial.end_faults();
    trial.read(&mut destination, End::Complete);
}

#[test]
fn each_quirk_alone_hides_no_row() {
    for seed in seeds() {
        for quirk in ANSWER_QUIRKS {
            prove(&[quirk], seed);
        }
    }
}

#[test]
fn two_quirks_together_hide_no_row() {
    for seed in seeds() {
        let mut chance = Chance::new(seed);
        for _ in 0..8 {
            let mut draw = || &ANSWER_QUIRKS[usize::try_from(chance.below(ANSWER_QUIRKS.len() as u64)).unwrap()];
            prove(&[draw(), draw()], seed);
        }
    }
}
