//! Ways in which a store may handle dates. The property tests combine two of them.
//!
//! With `whole_seconds` a destination must compare seconds (`resolution_ms`).

use crate::cases::inconsistent_store::sim::{HOUR, Sim};
use crate::fake_store::{DateReading, Fraction, Options};
use crate::scenarios::stores::scattered;

/// A name, and the function that sets the options.
pub(crate) type Quirk = (&'static str, fn(&mut Options));

/// The quirks of dates.
pub(crate) const QUIRKS: &[Quirk] = &[
    ("local_digits", |options| options.dates = DateReading::LocalDigits),
    ("local_digits_standard", |options| options.dates = DateReading::LocalDigitsStandard),
    ("offset_ignored", |options| options.dates = DateReading::OffsetIgnored),
    ("offset_ignored_east", |options| {
        options.dates = DateReading::OffsetIgnored;
        options.zone = chrono_tz::Europe::Berlin;
    }),
    ("todays_offset", |options| options.dates = DateReading::TodaysOffset),
    ("whole_seconds", |options| options.fraction = Fraction::None),
    ("no_date_header", |options| options.date_header = false),
    ("date_header_one_hour_late", |options| {
        options.date_from_store = true;
        options.date_ahead_seconds = -3600;
    }),
    ("date_a_year_ahead", |options| {
        options.date_from_store = true;
        options.date_ahead_seconds = 365 * 24 * 3600;
    }),
    ("shuffled_keys", |options| options.shuffled_keys = Some(5)),
];

#[test]
fn each_quirk_alone_loses_nothing_and_sends_nothing_twice() {
    for (name, quirk) in QUIRKS {
        for page in [1000, 20] {
            let context = format!("{name}, {page} a page");
            let mut options = Options { max_count: Some(page), ..Options::default() };
            quirk(&mut options);
            let mut sim = Sim::new("orders", options, scattered("orders", 120, 3));
            sim.sync();
            sim.assert_nothing_lost(&context);
            for _ in 0..2 {
                let now = sim.now() + HOUR;
                sim.set_now(now);
                let changed = sim.store.data(|data| {
                    let id = data.ids("orders")[17];
                    data.touch("orders", id);
                    id
                });
                let sync = sim.sync();
                assert!(sync.ids.contains(&changed), "{context}\n{}", sync.asked());
                sim.assert_nothing_lost(&context);
            }
            let again = sim.sync();
            assert_eq!(again.ids, [0_i64; 0], "{context}\n{}", again.asked());
        }
    }
}
