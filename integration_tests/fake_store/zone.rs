//! Times: how the store prints them, how it rounds them, and what it reads in a filter.
//!
//! Subject: "Dates and times" of the public documentation: ISO 8601 in the store's local time with a numeric offset
//! that follows daylight saving, a fraction of no to three digits without trailing zeros. The last digit is 0, 3 or 7
//! in the samples, as SQL Server's `datetime` (1/300 s) rounds. Filters take `Z`, an offset, or none (store time).

use std::fmt::Write as _;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;

/// How many digits a fraction of a second has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fraction {
    /// None to three digits, trailing zeros dropped.
    Documented,
    /// Seven digits (.NET ticks). The four beyond the millisecond are not zero, grow with the time, and count in
    /// filters.
    Ticks,
    /// No fraction is printed. The store still knows and compares the milliseconds.
    None,
}

/// Everything that turns a moment into the text of one store.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The zone of the printed offset.
    pub zone: Tz,
    /// The form of the fraction.
    pub fraction: Fraction,
}

/// A unit of 100 ns, in which moments are compared.
pub const TICKS_PER_MS: i64 = 10_000;

impl Clock {
    /// The moment in ticks since the epoch, as filters and sorting see it.
    pub fn ticks(&self, ms: i64) -> i64 {
        ms * TICKS_PER_MS + self.beyond_ms(ms)
    }

    fn beyond_ms(&self, ms: i64) -> i64 {
        // Any fixed function of the millisecond keeps the order of the rows.
        if self.fraction == Fraction::Ticks { ms.wrapping_mul(7919).rem_euclid(TICKS_PER_MS) } else { 0 }
    }

    /// Writes the moment as the store prints it, without quotes.
    pub fn write(&self, ms: i64, out: &mut String) {
        let utc = DateTime::<Utc>::from_timestamp_millis(ms).unwrap_or_default();
        let local = utc.with_timezone(&self.zone);
        let _ = write!(out, "{}", local.format("%Y-%m-%dT%H:%M:%S"));
        let thousandths = ms.rem_euclid(1000);
        match self.fraction {
            Fraction::Documented if thousandths != 0 => {
                let digits = format!("{thousandths:03}");
                let _ = write!(out, ".{}", digits.trim_end_matches('0'));
            }
            Fraction::Ticks => {
                let _ = write!(out, ".{thousandths:03}{:04}", self.beyond_ms(ms));
            }
            _ => {}
        }
        let minutes = local.offset().fix().local_minus_utc() / 60;
        let sign = if minutes < 0 { '-' } else { '+' };
        let _ = write!(out, "{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60);
    }

    /// The moment as the store prints it.
    pub fn text(&self, ms: i64) -> String {
        let mut out = String::with_capacity(32);
        self.write(ms, &mut out);
        out
    }

    /// Reads a filter value: ticks since the epoch.
    pub fn parse(&self, text: &str) -> Option<i64> {
        let text = text.trim();
        if text.len() == 10 {
            let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
            return self.local(day.and_hms_opt(0, 0, 0)?);
        }
        let (date_time, rest) = text.split_at_checked(19)?;
        let naive = NaiveDateTime::parse_from_str(date_time, "%Y-%m-%dT%H:%M:%S").ok()?;
        let (fraction, zone) = match rest.strip_prefix('.') {
            Some(rest) => {
                let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                if end == 0 || end > 7 {
                    return None;
                }
                (format!("{:0<7}", &rest[..end]).parse::<i64>().ok()?, &rest[end..])
            }
            None => (0, rest),
        };
        let ticks = match zone {
            "" => self.local(naive)?,
            "Z" | "z" => naive.and_utc().timestamp() * 1000 * TICKS_PER_MS,
            _ => (naive.and_utc().timestamp() - offset_seconds(zone)?) * 1000 * TICKS_PER_MS,
        };
        Some(ticks + fraction)
    }

    /// A local time without offset is the store's. The earlier of two, and an hour later in the gap.
    fn local(&self, naive: NaiveDateTime) -> Option<i64> {
        let found = self.zone.from_local_datetime(&naive);
        let seconds = match found.earliest() {
            Some(at) => at.timestamp(),
            None => self.zone.from_local_datetime(&(naive - chrono::Duration::hours(1))).earliest()?.timestamp() + 3600,
        };
        Some(seconds * 1000 * TICKS_PER_MS)
    }
}

fn offset_seconds(text: &str) -> Option<i64> {
    let sign = match text.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let (hours, minutes) = text[1..].split_once(':')?;
    let number = |t: &str| (t.len() == 2).then(|| t.parse::<i64>().ok()).flatten();
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours <= 14 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Rounds to 0, 3 or 7 thousandths, as the `datetime` type does.
pub fn sql_round(ms: i64) -> i64 {
    let digit = ms.rem_euclid(10);
    let rounded = match digit {
        0 | 1 => 0,
        2..=4 => 3,
        5..=8 => 7,
        _ => 10,
    };
    ms - digit + rounded
}

/// The next moment that the `datetime` type can hold.
pub fn next_tick(ms: i64) -> i64 {
    let at = sql_round(ms);
    let next = at + if at.rem_euclid(10) == 3 { 4 } else { 3 };
    if at > ms { at } else { next }
}

/// Epoch milliseconds of a UTC text such as `2024-03-10T07:59:59.997Z`; for sample data and tests.
pub fn utc_ms(text: &str) -> i64 {
    DateTime::parse_from_rfc3339(text).map_or_else(|e| panic!("{text}: {e}"), |at| at.timestamp_millis())
}
