//! Times: how the store prints and rounds them, and how it parses them in a filter.
//!
//! Subject: "Dates and times" of the public documentation: ISO 8601 in the store's local time with a numeric offset
//! that follows daylight saving, a fraction of no to three digits without trailing zeros. The last digit is 0, 3 or 7
//! in the samples, as SQL Server's `datetime` (1/300 s) rounds. Filters take `Z`, an offset, or none (store time).
//! [`DateReading`] has the variants of a store.

use std::fmt::Write as _;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;

/// The number of digits of a fraction of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fraction {
    /// Up to three digits, without trailing zeros.
    Documented,
    /// Seven digits (.NET ticks). The four after the millisecond are not zero, grow with the time, and count in
    /// filters.
    Ticks,
    /// No fraction is printed. The store still has and compares the milliseconds.
    None,
}

/// The precision of stored times, and the meaning of a date in a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateReading {
    /// The exact time is stored, shown with the offset of its day, and compared.
    Documented,
    /// The digits of the local clock are stored. A filter is converted to local time, and digits are compared: in the
    /// autumn change, the two passes of the repeated hour cannot be distinguished. The printed offset is right.
    LocalDigits,
    /// The same, and both passes of the repeated hour have the standard offset: rows of the first pass
    /// appear an hour younger than they are.
    LocalDigitsStandard,
    /// The exact time is stored, but the digits of a filter are read as local time, ignoring its offset.
    OffsetIgnored,
    /// The digits of the local clock are stored, and today's offset is applied to all of them, in rows and filters:
    /// when the clock changes, all dates move by an hour.
    TodaysOffset,
}

/// All settings that turn a time into its printed form in one store.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The zone of the printed offset.
    pub zone: Tz,
    /// The form of the fraction.
    pub fraction: Fraction,
    /// Precision and comparison.
    pub reading: DateReading,
    /// Now in epoch milliseconds, for today's offset.
    pub now_ms: i64,
}

/// A unit of 100 ns, in which times are compared.
pub(super) const TICKS_PER_MS: i64 = 10_000;

impl Clock {
    /// Returns the clock of a store that stores and compares exact times.
    pub fn new(zone: Tz, fraction: Fraction) -> Clock {
        Clock { zone, fraction, reading: DateReading::Documented, now_ms: 0 }
    }

    /// Returns the time in ticks, as filters and sorting see it: since the epoch, or by the digits of the local clock.
    pub fn ticks(&self, ms: i64) -> i64 {
        let kept = match self.reading {
            DateReading::Documented | DateReading::OffsetIgnored => ms,
            _ => ms + self.offset_ms(ms),
        };
        kept * TICKS_PER_MS + self.beyond_ms(ms)
    }

    /// Returns how far the local clock is ahead of UTC at a time.
    fn offset_ms(&self, ms: i64) -> i64 {
        let utc = DateTime::<Utc>::from_timestamp_millis(ms).unwrap_or_default();
        i64::from(utc.with_timezone(&self.zone).offset().fix().local_minus_utc()) * 1000
    }

    /// Returns the printed offset of a time.
    fn shown_offset_ms(&self, ms: i64) -> i64 {
        match self.reading {
            DateReading::Documented | DateReading::LocalDigits | DateReading::OffsetIgnored => self.offset_ms(ms),
            DateReading::TodaysOffset => self.offset_ms(self.now_ms),
            DateReading::LocalDigitsStandard => {
                let digits = DateTime::<Utc>::from_timestamp_millis(ms + self.offset_ms(ms)).unwrap_or_default();
                let passes = self.zone.from_local_datetime(&digits.naive_utc());
                passes.latest().map_or(0, |at| i64::from(at.offset().fix().local_minus_utc()) * 1000)
            }
        }
    }

    fn beyond_ms(&self, ms: i64) -> i64 {
        // Any fixed function of the millisecond keeps the order of the rows.
        if self.fraction == Fraction::Ticks { ms.wrapping_mul(7919).rem_euclid(TICKS_PER_MS) } else { 0 }
    }

    /// Writes the time as the store prints it, without quotes.
    pub fn write(&self, ms: i64, out: &mut String) {
        let digits = DateTime::<Utc>::from_timestamp_millis(ms + self.offset_ms(ms)).unwrap_or_default();
        let _ = write!(out, "{}", digits.format("%Y-%m-%dT%H:%M:%S"));
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
        let minutes = self.shown_offset_ms(ms) / 60_000;
        let sign = if minutes < 0 { '-' } else { '+' };
        let _ = write!(out, "{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60);
    }

    /// Returns the time as the store prints it.
    pub fn text(&self, ms: i64) -> String {
        let mut out = String::with_capacity(32);
        self.write(ms, &mut out);
        out
    }

    /// Parses a filter value in ticks, as `ticks` counts them.
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
        let seconds = match zone {
            "Z" | "z" => Some(naive.and_utc().timestamp()),
            "" => None,
            _ => Some(naive.and_utc().timestamp() - offset_seconds(zone)?),
        };
        let ticks = match (self.reading, seconds) {
            (_, None) | (DateReading::OffsetIgnored, _) => self.local(naive)?,
            (DateReading::Documented, Some(seconds)) => seconds * 1000 * TICKS_PER_MS,
            (reading, Some(seconds)) => {
                let ms = seconds * 1000;
                let today = reading == DateReading::TodaysOffset;
                (ms + self.offset_ms(if today { self.now_ms } else { ms })) * TICKS_PER_MS
            }
        };
        Some(ticks + fraction)
    }

    /// Returns the start of the store's day of a time, in ticks.
    pub fn day_start(&self, ticks: i64) -> i64 {
        let utc = DateTime::<Utc>::from_timestamp_millis(ticks.div_euclid(TICKS_PER_MS)).unwrap_or_default();
        let day = utc.with_timezone(&self.zone).date_naive();
        day.and_hms_opt(0, 0, 0).and_then(|midnight| self.local(midnight)).unwrap_or(ticks)
    }

    /// A local time without an offset is the store's. Of two possible times the earlier one, and an hour later in the
    /// gap.
    fn local(&self, naive: NaiveDateTime) -> Option<i64> {
        if !matches!(self.reading, DateReading::Documented | DateReading::OffsetIgnored) {
            return Some(naive.and_utc().timestamp() * 1000 * TICKS_PER_MS);
        }
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

/// Returns the next time that the `datetime` type can store.
pub fn next_tick(ms: i64) -> i64 {
    let at = sql_round(ms);
    let next = at + if at.rem_euclid(10) == 3 { 4 } else { 3 };
    if at > ms { at } else { next }
}

/// Parses a UTC time such as `2024-03-10T07:59:59.997Z` into epoch milliseconds; for sample data and tests.
pub fn utc_ms(text: &str) -> i64 {
    DateTime::parse_from_rfc3339(text).map_or_else(|e| panic!("{text}: {e}"), |at| at.timestamp_millis())
}
