//! Strings in date fields: an instant, a date that means "never", or neither.
//!
//! Databases use some dates as "never". Those that can mean nothing else are emitted as null. Those that may be real
//! dates in other fields are emitted unchanged, and count as missing only in the cursor.

use crate::timestamp::Timestamp;

/// A string in a date field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Date {
    /// An instant, and the UTC offset that it was written with, in minutes.
    At(Timestamp, i16),
    /// A date that means "never" in any field.
    Never,
    /// Not a date and time with an offset.
    Unreadable,
}

impl Date {
    /// Parses a string.
    pub(super) fn read(text: &[u8]) -> Self {
        match Timestamp::parse_shown(text) {
            Ok((instant, offset)) if instant.is_after_year_1() && !shows_year_0_or_1(text) => Self::At(instant, offset),
            Ok(_) => Self::Never,
            Err(_) if is_no_date(text) => Self::Never,
            Err(_) => Self::Unreadable,
        }
    }
}

fn is_no_date(text: &[u8]) -> bool {
    text == b"-" || text.eq_ignore_ascii_case(b"N/A") || shows_year_0_or_1(text) || Timestamp::is_beyond(text)
}

/// Returns true for a date in the year 0 or 1, with or without a time, even if there is no such day.
fn shows_year_0_or_1(text: &[u8]) -> bool {
    // The first byte rules out nearly all strings.
    text.starts_with(b"0") && day_of(text).is_some_and(|(day, _)| matches!(&day[..4], b"0000" | b"0001"))
}

/// Returns true for a date that cannot be the time of a change: the first day of the dates of a database, with any UTC
/// offset.
pub(super) fn is_placeholder(text: &[u8]) -> bool {
    if !text.starts_with(b"1") {
        return false;
    }
    let Some((day, time)) = day_of(text) else { return false };
    day == b"1753-01-01" || (day == b"1900-01-01" && is_midnight(time))
}

/// Splits a string that looks like a date into the day and the time with its zone, which may be empty.
fn day_of(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (day, rest) = text.split_at_checked(10)?;
    let is_digit = |at: usize| day[at].is_ascii_digit();
    let is_day = day[4] == b'-' && day[7] == b'-' && [0, 1, 2, 3, 5, 6, 8, 9].into_iter().all(is_digit);
    let time = match rest {
        [] => rest,
        [b'T' | b't' | b' ', time @ ..] => time,
        _ => return None,
    };
    let is_time = |byte: &u8| matches!(byte, b'0'..=b'9' | b':' | b'.' | b'+' | b'-' | b'Z' | b'z');
    (is_day && time.iter().all(is_time)).then_some((day, time))
}

fn is_midnight(time: &[u8]) -> bool {
    let clock = time.split(|byte| matches!(byte, b'+' | b'-' | b'Z' | b'z')).next().unwrap_or_default();
    clock.iter().all(|byte| matches!(byte, b'0' | b':' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZONES: [&str; 6] = ["", "Z", "z", "+00:00", "-06:00", "+1400"];
    const FRACTIONS: [&str; 4] = ["", ".0", ".000", ".0000000"];

    /// Returns a date with every kind of fraction and zone.
    fn in_every_form(text: &str) -> impl Iterator<Item = String> {
        FRACTIONS.into_iter().flat_map(move |fraction| ZONES.map(|zone| format!("{text}{fraction}{zone}")))
    }

    #[test]
    fn what_means_never_is_no_date_in_any_form() {
        let days = ["0000-00-00T00:00:00", "0000-00-00 00:00:00", "0001-01-01T00:00:00", "0001-12-31T23:59:59"];
        let days = days.into_iter().chain(["0000-07-01T12:00:00", "0001-02-30T25:00:00"]).flat_map(in_every_form);
        let others = ["-", "N/A", "n/a", "0000-00-00", "0001-01-01", "0002-01-01T00:00:00+05:00"];
        let beyond = ["9999-12-31T23:59:59.997-00:01", "9999-12-31T20:00:00-0600", "0000-01-01T00:00:00+14:00"];
        for text in days.chain(others.into_iter().chain(beyond).map(str::to_owned)) {
            assert_eq!(Date::read(text.as_bytes()), Date::Never, "{text}");
        }
    }

    #[test]
    fn what_may_be_meant_is_none_only_as_the_moment_of_a_change() {
        for text in in_every_form("1900-01-01T00:00:00").chain(in_every_form("1753-01-01T13:14:15")) {
            let has_zone = text.ends_with(['Z', 'z']) || text.contains('+') || text.matches('-').count() > 2;
            assert!(is_placeholder(text.as_bytes()), "{text}");
            assert_eq!(matches!(Date::read(text.as_bytes()), Date::At(..)), has_zone, "{text}");
        }
        assert!(is_placeholder(b"1753-01-01") && is_placeholder(b"1900-01-01 00:00:00.000"));
        for text in [
            "1900-01-01T00:00:01Z",
            "1900-01-01T10:00:00Z",
            "1900-01-01T00:00:00.001Z",
            "1900-01-02T00:00:00Z",
            "1901-01-01T00:00:00Z",
            "1753-01-02T00:00:00Z",
            "1753-01-010",
            "1753-01-01 of old",
            "2014-01-01T00:00:00Z",
        ] {
            assert!(!is_placeholder(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn other_texts_are_instants_or_invalid() {
        for text in ["0002-01-02T00:00:00Z", "9999-12-31T23:59:59.9999999Z", "1970-01-01T00:00:00Z"] {
            assert!(matches!(Date::read(text.as_bytes()), Date::At(..)), "{text}");
        }
        for text in [
            "",
            "--",
            "N/A ",
            "NA",
            "0000",
            "0001-01",
            "0001-1-01T00:00:00",
            "0001-01-01x",
            "0001-01-01 at noon",
            "2014-01-01",
            "2014-02-30T00:00:00Z",
            "9999-12-31T23:59:59",
            "9999-12-32T23:59:59-06:00",
            "7/7/2021 3:23:11 PM",
        ] {
            assert_eq!(Date::read(text.as_bytes()), Date::Unreadable, "{text}");
        }
    }
}
