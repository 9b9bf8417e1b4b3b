//! The meaning of a date in a filter is verified with rows of the last sync: no row is lost on a store that keeps
//! local time, ignores offsets, or applies today's offset to all dates. Hourly syncs across both daylight saving
//! changes, with a new row every seven seconds.

use chrono_tz::Tz;
use chrono_tz::{America, Europe, Pacific};

use crate::cases::inconsistent_store::sim::{HOUR, MINUTE, SECOND, STREAM, Sim, add_rows, month};
use crate::fake_store::{DateReading, Options, Stamp, utc_ms};
use crate::harness::setup::is_every_case_wanted;

/// Seconds after the hour at which the syncs of a campaign run.
const SYNCS_AT: [i64; 3] = [30, 30 * 60 + 30, 59 * 60 + 30];
/// Number of syncs after the first one.
const SYNCS: i64 = 12;

/// A clock, and the hour in which it changes.
#[derive(Clone, Copy)]
struct Change {
    zone: Tz,
    at: &'static str,
}

const CHICAGO: [Change; 2] = [
    Change { zone: America::Chicago, at: "2024-11-03T07:00:00Z" },
    Change { zone: America::Chicago, at: "2024-03-10T08:00:00Z" },
];

/// Hourly syncs of one store, from a few hours before the clock changes.
struct Campaign {
    sim: Sim,
    context: String,
    /// Rows were added until then.
    filled: i64,
    first: i64,
    warned: usize,
}

impl Campaign {
    fn new(dates: DateReading, change: Change, after_the_hour: i64) -> Campaign {
        let first = utc_ms(change.at) - 4 * HOUR + after_the_hour * SECOND;
        let options = Options { zone: change.zone, dates, ..Options::default() };
        let context = format!("{dates:?} {} {} :{:02}:30", change.zone, change.at, after_the_hour / 60);
        let sim = Sim::new(STREAM, options, month(STREAM, first));
        Campaign { sim, context, filled: first - HOUR, first, warned: 0 }
    }

    /// Moves the clock to a sync, and adds the orders until then.
    fn move_to(&mut self, sync: i64) {
        let now = self.first + sync * HOUR;
        let mut filled = self.filled;
        self.sim.store.data(|data| {
            data.now_ms = now;
            while filled + 7 * SECOND <= now {
                filled += 7 * SECOND;
                let id = data.next_id(STREAM);
                data.insert_lean(STREAM, id, Stamp::At(filled), Stamp::At(filled));
            }
        });
        self.filled = filled;
    }

    /// Runs all syncs. No row may be missing after any of them.
    fn run(&mut self) {
        for sync in 0..=SYNCS {
            self.move_to(sync);
            let done = self.sim.sync();
            self.check(sync, &done.warnings());
        }
        self.settle();
    }

    fn check(&mut self, sync: i64, warnings: &[&str]) {
        assert!(warnings.len() <= 1, "{}: one warning a sync: {warnings:?}", self.context);
        assert!(warnings.iter().all(|text| text.contains(STREAM)), "{}: {warnings:?}", self.context);
        self.warned += warnings.len();
        self.sim.assert_nothing_lost(&format!("{} after sync {sync}", self.context));
    }

    /// Checks that nothing is emitted when nothing changes any more.
    #[expect(clippy::print_stderr, reason = "records a row are a figure to look at, not to hold")]
    fn settle(&mut self) {
        self.sim.sync();
        let last = self.sim.sync();
        assert_eq!(last.ids.len(), 0, "{}: records of an unchanged store\n{}", self.context, last.asked());
        eprintln!("{}: {:.3} records a row, {} warnings", self.context, self.sim.records_per_row(), self.warned);
    }
}

/// Returns a campaign for each change and each time of a sync; only for one of the times, another one for each change,
/// unless every case is wanted.
fn campaigns(dates: DateReading, changes: &[Change]) -> Vec<Campaign> {
    let of_change = |(number, change): (usize, &Change)| {
        let times = SYNCS_AT.into_iter().enumerate();
        let wanted = times.filter(move |(place, _)| is_every_case_wanted() || *place == number % SYNCS_AT.len());
        let change = *change;
        wanted.map(move |(_, at)| Campaign::new(dates, change, at)).collect::<Vec<_>>()
    };
    changes.iter().enumerate().flat_map(of_change).collect()
}

#[test]
fn a_documented_store_sends_each_row_once_across_both_changes_of_the_clock() {
    for mut campaign in campaigns(DateReading::Documented, &CHICAGO) {
        for sync in 0..=SYNCS {
            campaign.move_to(sync);
            let done = campaign.sim.sync();
            assert_eq!(done.warnings(), Vec::<&str>::new(), "{}", campaign.context);
            done.assert_few_requests(1000, &campaign.context);
            campaign.sim.assert_nothing_lost(&campaign.context);
        }
        campaign.sim.assert_unchanged(&campaign.context);
        let twice = campaign.sim.times.iter().filter(|(_, times)| **times != 1).count();
        assert_eq!(twice, 0, "{}: rows that came more than once", campaign.context);
    }
}

#[test]
fn a_store_that_keeps_local_digits_loses_no_row() {
    let berlin = Change { zone: Europe::Berlin, at: "2024-10-27T01:00:00Z" };
    let mut campaigns = campaigns(DateReading::LocalDigits, &CHICAGO);
    campaigns.push(Campaign::new(DateReading::LocalDigits, berlin, SYNCS_AT[0]));
    campaigns.iter_mut().for_each(Campaign::run);
}

#[test]
fn a_store_that_shows_both_passes_with_the_standard_offset_loses_no_row() {
    campaigns(DateReading::LocalDigitsStandard, &CHICAGO).iter_mut().for_each(Campaign::run);
}

#[test]
fn a_store_that_applies_todays_offset_to_all_dates_loses_no_row() {
    campaigns(DateReading::TodaysOffset, &CHICAGO).iter_mut().for_each(Campaign::run);
}

#[test]
fn a_store_west_of_utc_that_ignores_the_zone_of_a_filter_loses_no_row() {
    let far = Change { zone: Pacific::Pago_Pago, at: "2024-11-03T07:00:00Z" };
    let mut campaigns = campaigns(DateReading::OffsetIgnored, &CHICAGO[..1]);
    campaigns.push(Campaign::new(DateReading::OffsetIgnored, CHICAGO[1], SYNCS_AT[0]));
    campaigns.push(Campaign::new(DateReading::OffsetIgnored, far, SYNCS_AT[1]));
    for campaign in &mut campaigns {
        campaign.run();
        assert!(campaign.warned > 0, "{}: a user has to know", campaign.context);
    }
}

#[test]
fn a_store_east_of_utc_that_ignores_the_zone_of_a_filter_loses_no_row() {
    let berlin = Change { zone: Europe::Berlin, at: "2024-10-27T01:00:00Z" };
    let auckland = Change { zone: Pacific::Auckland, at: "2024-04-06T14:00:00Z" };
    for (change, at) in [(berlin, SYNCS_AT[0]), (berlin, SYNCS_AT[2]), (auckland, SYNCS_AT[1])] {
        Campaign::new(DateReading::OffsetIgnored, change, at).run();
    }
}

#[test]
fn rows_hidden_in_the_repeated_hour_arrive_even_if_syncs_are_killed() {
    for dates in [DateReading::LocalDigits, DateReading::LocalDigitsStandard, DateReading::TodaysOffset] {
        let change = CHICAGO[usize::from(dates == DateReading::TodaysOffset)];
        let mut campaign = Campaign::new(dates, change, SYNCS_AT[1]);
        // If more than a page changed, the newest page does not show the other offset (docs/reference/state.md, what
        // cannot be promised), so the changes of an hour fit in one page.
        campaign.sim.store.options(|options| options.max_count = None);
        for sync in 0..=8 {
            campaign.move_to(sync);
            if sync > 0 {
                campaign.sim.killed(60_000);
            }
            campaign.sim.sync();
            campaign.sim.assert_nothing_lost(&format!("{} after sync {sync}", campaign.context));
        }
    }
}

#[test]
fn remembered_rows_that_change_or_are_deleted_are_no_contradiction() {
    let now = utc_ms("2024-06-05T10:00:30Z");
    let mut data = month(STREAM, now);
    add_rows(&mut data, STREAM, 40, 7 * SECOND, now);
    let mut sim = Sim::new(STREAM, Options::default(), data);
    sim.sync();
    let ids = sim.store.data(|data| data.ids(STREAM));
    let newest = &ids[ids.len() - 8..];
    // The newest rows change, then they are deleted, then some of them change and others are deleted.
    for round in 0..3 {
        sim.set_now(now + (round + 1) * HOUR);
        sim.store.data(|data| {
            for (at, id) in newest.iter().enumerate() {
                match round {
                    0 => data.touch(STREAM, *id),
                    1 if at < 4 => assert!(data.delete(STREAM, *id)),
                    2 if at == 4 => assert!(data.delete(STREAM, *id)),
                    2 if at > 4 => data.touch(STREAM, *id),
                    _ => {}
                }
            }
        });
        let done = sim.sync();
        assert_eq!(done.warnings(), Vec::<&str>::new(), "round {round}\n{}", done.asked());
        let expected: Vec<i64> = match round {
            0 => newest.to_vec(),
            1 => Vec::new(),
            _ => newest[5..].to_vec(),
        };
        assert_eq!(done.ids, expected, "round {round}\n{}", done.asked());
        assert!(done.requests.len() <= 2, "round {round}: one more for an oracle at most\n{}", done.asked());
        sim.assert_nothing_lost(&format!("round {round}"));
    }
    // No row newer than the cursor is left.
    sim.store.data(|data| data.ids(STREAM).split_off(1_400).iter().for_each(|id| assert!(data.delete(STREAM, *id))));
    let done = sim.sync();
    assert_eq!((done.ids.len(), done.warnings()), (0, Vec::new()), "{}", done.asked());
    assert!(done.requests.len() <= 6, "{}", done.asked());
    sim.set_now(now + 5 * HOUR);
    sim.store.data(|data| data.touch(STREAM, 3));
    assert_eq!(sim.sync().ids, [3]);
}

#[test]
fn the_first_sync_after_an_upgrade_is_verified_too() {
    let cursor = "2024-06-05T10:00:30Z";
    for (dates, zone) in [
        (DateReading::Documented, America::Chicago),
        (DateReading::OffsetIgnored, America::Chicago),
        (DateReading::OffsetIgnored, Europe::Berlin),
    ] {
        let context = format!("{dates:?} {zone}");
        let mut data = month(STREAM, utc_ms(cursor));
        let known = data.ids(STREAM);
        add_rows(&mut data, STREAM, 200, MINUTE, utc_ms(cursor) + 3 * HOUR);
        data.now_ms = utc_ms(cursor) + 3 * HOUR;
        let new: Vec<i64> = data.ids(STREAM).split_off(known.len());
        let changed: Vec<i64> = new[20..].to_vec();
        let mut sim = Sim::new(STREAM, Options { dates, zone, ..Options::default() }, data);
        sim.set_cursor(cursor);
        let first = sim.sync();
        let missing: Vec<&i64> = changed.iter().filter(|id| first.ids.binary_search(id).is_err()).collect();
        assert!(missing.is_empty(), "{context}: {} rows missing\n{}", missing.len(), first.asked());
        if dates == DateReading::Documented {
            first.assert_few_requests(1000, &context);
            assert_eq!(first.warnings(), Vec::<&str>::new(), "{context}");
            sim.assert_unchanged(&context);
        } else {
            assert_eq!(sim.sync().ids, [0_i64; 0], "{context}");
        }
        // An unchanged store with an old state: one request, and one to verify the filter.
        let mut data = month(STREAM, utc_ms(cursor));
        add_rows(&mut data, STREAM, 1, MINUTE, utc_ms(cursor) - HOUR);
        let mut sim = Sim::new(STREAM, Options { dates, zone, ..Options::default() }, data);
        sim.set_cursor(cursor);
        let quiet = sim.sync();
        if dates == DateReading::Documented {
            assert!(quiet.ids.is_empty() && quiet.requests.len() <= 2, "{context}\n{}", quiet.asked());
            assert_eq!(quiet.warnings(), Vec::<&str>::new(), "{context}");
        }
    }
}
