//! Timestamps: parses those of the API, compares them, and writes them in UTC.
//!
//! No other file knows the format of dates. chrono provides the calendar. A clock or a time zone database is not
//! needed: every timestamp of a record contains its UTC offset (API documentation, dates of the resource samples).

use std::fmt;

use chrono::{Datelike as _, NaiveDate};

/// Number of ticks per second. A tick is 100 ns: the API's dates have up to seven fraction digits, like .NET's.
const TICKS_PER_SECOND: i64 = 10_000_000;
const TICKS_PER_MILLI: i64 = 10_000;
const SECONDS_PER_DAY: i64 = 86_400;
/// 0000-01-01T00:00:00Z, in ticks. Before it, and from [`YEAR_10000`] on, a year does not have four digits, so that a
/// written date could not be parsed again.
const YEAR_0: i64 = -621_672_192_000_000_000;
/// 0001-01-01T00:00:00Z, in ticks: the first instant that a .NET server, such as the API's, accepts.
const YEAR_1: i64 = -621_355_968_000_000_000;
/// 0002-01-01T00:00:00Z, in ticks.
const YEAR_2: i64 = YEAR_1 + 365 * SECONDS_PER_DAY * TICKS_PER_SECOND;
/// 10000-01-01T00:00:00Z, in ticks.
const YEAR_10000: i64 = 2_534_023_008_000_000_000;

/// An instant, in ticks of 100 ns since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The reason why a string is not a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is not `YYYY-MM-DDTHH:MM:SS` with an optional fraction and offset.
    Form,
    /// It is a date and time without a zone.
    NoOffset,
}

impl Timestamp {
    /// The start of the year 1 in UTC: the earliest instant that a request or a state can contain.
    pub const EARLIEST: Self = Self(YEAR_1);

    /// Parses `YYYY-MM-DDTHH:MM:SS[.fffffff](Z|±HH:MM|±HHMM)`; a space is allowed in place of the `T`.
    ///
    /// # Errors
    /// [`Unreadable`] if the string has another form, a day that does not exist, no offset, or more than seven fraction
    /// digits, or is outside the years 0 to 9999 in UTC.
    #[inline]
    pub fn parse(text: &[u8]) -> Result<Self, Unreadable> {
        Self::parse_shown(text).map(|(instant, _)| instant)
    }

    /// Parses like [`Timestamp::parse`]. Also returns the UTC offset of the string, in minutes.
    ///
    /// # Errors
    /// [`Unreadable`], like [`Timestamp::parse`].
    pub fn parse_shown(text: &[u8]) -> Result<(Self, i16), Unreadable> {
        let (ticks, offset) = parse_ticks(text)?;
        Ok((Self::writable(ticks)?, offset))
    }

    /// Returns true for a date and time with an offset that is outside the years 0 to 9999 in UTC.
    pub fn is_beyond(text: &[u8]) -> bool {
        parse_ticks(text).is_ok_and(|(ticks, _)| Self::writable(ticks).is_err())
    }

    /// Returns true if the timestamp is after the year 1 in UTC.
    #[inline]
    pub fn is_after_year_1(self) -> bool {
        self.0 >= YEAR_2
    }

    /// Parses like [`Timestamp::parse`]. A string without an offset means the earliest possible instant (UTC+14), so
    /// that with a cursor in an unknown zone, rows may be read twice but are never missed.
    ///
    /// # Errors
    /// [`Unreadable::Form`] if the string is not a date and time.
    pub fn parse_earliest(text: &[u8]) -> Result<Self, Unreadable> {
        match Self::parse(text) {
            Err(Unreadable::NoOffset) => {
                let (local, _) = parse_local(text)?;
                Self::writable(local - 14 * 3600 * TICKS_PER_SECOND)
            }
            other => other,
        }
    }

    fn writable(ticks: i64) -> Result<Self, Unreadable> {
        if (YEAR_0..YEAR_10000).contains(&ticks) { Ok(Self(ticks)) } else { Err(Unreadable::Form) }
    }

    /// Returns the timestamp `seconds` earlier, but never one before the year 1, which the store would reject in a
    /// request.
    pub fn minus_seconds(self, seconds: i64) -> Self {
        let earlier = self.0.saturating_sub(seconds.saturating_mul(TICKS_PER_SECOND));
        Self(earlier.max(YEAR_1.min(self.0)))
    }

    /// Returns the timestamp `seconds` later; `None` if it is after the year 9999.
    pub fn plus_seconds(self, seconds: i64) -> Option<Self> {
        Self::writable(self.0.checked_add(seconds.checked_mul(TICKS_PER_SECOND)?)?).ok()
    }

    /// Returns the ticks of 100 ns since 1970-01-01T00:00:00Z, for hashes and tests.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn ticks(self) -> i64 {
        self.0
    }

    /// Returns the seconds since 1970-01-01T00:00:00Z, rounded down.
    pub fn unix_seconds(self) -> i64 {
        self.0.div_euclid(TICKS_PER_SECOND)
    }

    /// Returns the timestamp for seconds since the epoch.
    pub fn from_unix_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(TICKS_PER_SECOND))
    }

    /// Returns the timestamp for milliseconds since the epoch.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(TICKS_PER_MILLI))
    }

    /// Returns the timestamp for a time of the system clock; `None` outside the years 0 to 9999.
    pub fn from_system(moment: std::time::SystemTime) -> Option<Self> {
        let since = moment.duration_since(std::time::UNIX_EPOCH).ok()?;
        i64::try_from(since.as_millis()).ok()?.checked_mul(TICKS_PER_MILLI).map(Self)
    }

    /// Appends `YYYY-MM-DDTHH:MM:SS[.fff]Z`. The fraction has seven digits if three are not exact, and is left out if
    /// it is zero.
    pub fn write_to(self, out: &mut Vec<u8>) {
        let seconds = self.0.div_euclid(TICKS_PER_SECOND);
        let ticks = self.0.rem_euclid(TICKS_PER_SECOND);
        // Cannot fail: 64-bit ticks cover 30,000 years before and after the epoch, chrono's dates 262,000.
        let date = NaiveDate::from_epoch_days(seconds.div_euclid(SECONDS_PER_DAY) as i32).unwrap_or_default();
        let second = seconds.rem_euclid(SECONDS_PER_DAY);
        let mut text = *b"0000-00-00T00:00:00.0000000Z";
        let has_four_digits = (0..=9999).contains(&date.year());
        if has_four_digits {
            put(&mut text[..4], i64::from(date.year()));
            put(&mut text[5..7], i64::from(date.month()));
            put(&mut text[8..10], i64::from(date.day()));
        } else {
            // ISO 8601 requires a sign if the year does not have four digits; chrono writes it.
            out.extend_from_slice(date.to_string().as_bytes());
        }
        put(&mut text[11..13], second / 3600);
        put(&mut text[14..16], second / 60 % 60);
        put(&mut text[17..19], second % 60);
        let end = if ticks == 0 {
            19
        } else if ticks % TICKS_PER_MILLI == 0 {
            put(&mut text[20..23], ticks / TICKS_PER_MILLI);
            23
        } else {
            put(&mut text[20..27], ticks);
            27
        };
        text[end] = b'Z';
        let start = if has_four_digits { 0 } else { 10 };
        out.extend_from_slice(&text[start..=end]);
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(28);
        self.write_to(&mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

/// Returns the ticks since the epoch, and the UTC offset of the string in minutes.
#[inline]
fn parse_ticks(text: &[u8]) -> Result<(i64, i16), Unreadable> {
    let (local, rest) = parse_local(text)?;
    let minutes = match rest {
        b"Z" | b"z" => 0,
        b"" => return Err(Unreadable::NoOffset),
        _ => parse_offset(rest)?,
    };
    Ok((local - i64::from(minutes) * 60 * TICKS_PER_SECOND, minutes))
}

/// Returns the ticks of the local time, and the rest of the string after the seconds and their fraction.
fn parse_local(text: &[u8]) -> Result<(i64, &[u8]), Unreadable> {
    let Some((head, mut rest)) = text.split_at_checked(19) else { return Err(Unreadable::Form) };
    let separators = (head[4], head[7], head[13], head[16]);
    if separators != (b'-', b'-', b':', b':') || !matches!(head[10], b'T' | b't' | b' ') {
        return Err(Unreadable::Form);
    }
    let (year, month, day) = (number(&head[..4])?, number(&head[5..7])?, number(&head[8..10])?);
    let date = NaiveDate::from_ymd_opt(year as i32, month, day).ok_or(Unreadable::Form)?;
    let (hour, minute, second) = (number(&head[11..13])?, number(&head[14..16])?, number(&head[17..19])?);
    if hour > 23 || minute > 59 || second > 59 {
        return Err(Unreadable::Form);
    }
    let mut ticks = 0i64;
    if let Some(after_dot) = rest.strip_prefix(b".") {
        let digits = after_dot.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (fraction, tail) = after_dot.split_at(digits);
        let (kept, beyond) = fraction.split_at(digits.min(7));
        if digits == 0 || beyond.iter().any(|&digit| digit != b'0') {
            return Err(Unreadable::Form);
        }
        for &digit in kept {
            ticks = ticks * 10 + i64::from(digit - b'0');
        }
        for _ in kept.len()..7 {
            ticks *= 10;
        }
        rest = tail;
    }
    let seconds = i64::from(date.to_epoch_days()) * SECONDS_PER_DAY
        + i64::from(hour) * 3600
        + i64::from(minute) * 60
        + i64::from(second);
    Ok((seconds * TICKS_PER_SECOND + ticks, rest))
}

/// Fills `digits` with the last digits of a non-negative number.
fn put(digits: &mut [u8], mut number: i64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Parses a UTC offset, `±HH:MM` or `±HHMM`, into minutes.
fn parse_offset(text: &[u8]) -> Result<i16, Unreadable> {
    let (sign, hours, minutes) = match text {
        [sign, h1, h2, b':', m1, m2] | [sign, h1, h2, m1, m2] => (*sign, [*h1, *h2], [*m1, *m2]),
        _ => return Err(Unreadable::Form),
    };
    let (hours, minutes) = (number(&hours)?, number(&minutes)?);
    if hours > 23 || minutes > 59 {
        return Err(Unreadable::Form);
    }
    let east = (hours * 60 + minutes) as i16;
    match sign {
        b'+' => Ok(east),
        b'-' => Ok(-east),
        _ => Err(Unreadable::Form),
    }
}

fn number(digits: &[u8]) -> Result<u32, Unreadable> {
    digits.iter().try_fold(0u32, |value, &digit| {
        if digit.is_ascii_digit() { Ok(value * 10 + u32::from(digit - b'0')) } else { Err(Unreadable::Form) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> String {
        Timestamp::parse(text.as_bytes()).unwrap().to_string()
    }

    #[test]
    fn every_form_of_the_api_becomes_utc() {
        for (text, expected) in [
            ("2014-03-19T13:31:47.923-05:00", "2014-03-19T18:31:47.923Z"),
            ("2013-11-29T17:12:00-06:00", "2013-11-29T23:12:00Z"),
            ("2013-11-04T09:36:05.7-06:00", "2013-11-04T15:36:05.700Z"),
            ("2013-11-29T17:12:08.16-06:00", "2013-11-29T23:12:08.160Z"),
            ("2021-10-05T20:42:06.1923052-05:00", "2021-10-06T01:42:06.1923052Z"),
            ("2021-10-05T20:42:06.1920000-05:00", "2021-10-06T01:42:06.192Z"),
            ("2014-05-12T00:00:00.0Z", "2014-05-12T00:00:00Z"),
            ("2014-05-12 00:00:00.000000000+0530", "2014-05-11T18:30:00Z"),
            ("1900-01-01T00:00:00-06:00", "1900-01-01T06:00:00Z"),
            ("9999-12-31T23:59:59.997Z", "9999-12-31T23:59:59.997Z"),
            ("2020-02-29T23:59:59+05:00", "2020-02-29T18:59:59Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ] {
            assert_eq!(utc(text), expected, "{text}");
        }
    }

    #[test]
    fn the_offset_is_that_of_the_text() {
        for (text, minutes) in [
            ("2014-03-19T13:31:47.923-05:00", -300),
            ("2014-03-19T13:31:47Z", 0),
            ("2014-03-19T13:31:47-00:30", -30),
            ("2014-03-19 13:31:47.1z", 0),
            ("2014-03-19T13:31:47+0545", 345),
            ("2014-03-19T13:31:47+23:59", 1439),
            ("2014-03-19T13:31:47-23:59", -1439),
        ] {
            let (instant, shown) = Timestamp::parse_shown(text.as_bytes()).unwrap();
            assert_eq!((Ok(instant), shown), (Timestamp::parse(text.as_bytes()), minutes), "{text}");
        }
        assert_eq!(Timestamp::parse_shown(b"2014-03-19T13:31:47"), Err(Unreadable::NoOffset));
    }

    #[test]
    fn years_are_those_of_utc() {
        let is_after = |text: &str| Timestamp::parse(text.as_bytes()).unwrap().is_after_year_1();
        assert!(is_after("0002-01-01T00:00:00Z") && !is_after("0001-12-31T23:59:59.9999999Z"));
        assert!(is_after("0001-12-31T23:00:00-01:00") && !is_after("0002-01-01T00:00:00+00:01"));
        for (text, expected) in [
            ("9999-12-31T23:59:59-00:01", true),
            ("9999-12-31T23:59:59Z", false),
            ("0000-01-01T00:00:00+00:01", true),
            ("0000-01-01T00:00:00", false),
            ("9999-12-32T23:59:59-00:01", false),
        ] {
            assert_eq!(Timestamp::is_beyond(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn instants_order_across_a_clock_change() {
        // The autumn change of 2021 in US Central: 01:30 occurs twice.
        let summer = Timestamp::parse(b"2021-11-07T01:30:00-05:00").unwrap();
        let winter = Timestamp::parse(b"2021-11-07T01:10:00-06:00").unwrap();
        assert!(summer < winter);
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for text in [
            "",
            "null",
            "2014",
            "2014-02-30T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2014-00-01T00:00:00Z",
            "2014-13-01T00:00:00Z",
            "2014-01-00T00:00:00Z",
            "2014-01-01T24:00:00Z",
            "2014-01-01T00:00:00.Z",
            "2014-01-01T00:00:00.12345678Z",
            "2014-01-01T00:00:00+5",
            "2014-01-01T00:00:00 Z",
            "20I4-01-01T00:00:00Z",
        ] {
            assert_eq!(Timestamp::parse(text.as_bytes()), Err(Unreadable::Form), "{text}");
        }
        assert_eq!(Timestamp::parse(b"2014-01-01T00:00:00"), Err(Unreadable::NoOffset));
    }

    #[test]
    fn what_is_read_can_be_written_and_asked_for() {
        for text in ["9999-12-31T23:59:59.9999999-06:00", "0000-01-01T00:00:00+00:01"] {
            assert_eq!(Timestamp::parse(text.as_bytes()), Err(Unreadable::Form), "{text}");
        }
        let first = Timestamp::parse(b"0001-01-01T00:01:00Z").unwrap();
        assert_eq!(first.minus_seconds(120).to_string(), "0001-01-01T00:00:00Z");
        let before = Timestamp::parse(b"0000-07-01T00:00:00Z").unwrap();
        assert_eq!(before.minus_seconds(120), before);
    }

    #[test]
    fn a_text_without_offset_is_read_as_early_as_it_can_be_meant() {
        let early = Timestamp::parse_earliest(b"2014-01-02T00:00:00").unwrap();
        assert_eq!(early.to_string(), "2014-01-01T10:00:00Z");
    }

    #[test]
    fn every_instant_can_be_written() {
        use chrono::{DateTime, SecondsFormat};

        for ticks in [i64::MIN, -1, 0, 1, 9_999_999, -62_167_219_200 * TICKS_PER_SECOND - 1, i64::MAX]
            .into_iter()
            .chain((-30_000..30_000).map(|number| number * 307_445_734_561_825))
        {
            let (seconds, rest) = (ticks.div_euclid(TICKS_PER_SECOND), ticks.rem_euclid(TICKS_PER_SECOND));
            let moment = DateTime::from_timestamp(seconds, u32::try_from(rest).unwrap() * 100).unwrap();
            let reported = Timestamp(ticks).to_string();
            assert_eq!(
                DateTime::parse_from_rfc3339(&reported).map_or(moment, |read| read.to_utc()),
                moment,
                "{reported}"
            );
            let whole = moment.to_rfc3339_opts(SecondsFormat::Secs, true);
            assert_eq!(reported.split(['.', 'Z']).next(), whole.split('Z').next(), "{reported}");
        }
    }
}
