//! Periods: the time filters of a list.

use chrono::{Datelike as _, Days, Months, NaiveDate, NaiveDateTime};

use super::query::Query;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Returns the first and the last second that the period of a query includes, or `None` without a period.
///
/// The names of the parameters begin with `prefix`.
pub(crate) fn range(query: &Query, prefix: &str, now: i64, day_first: bool) -> Option<(i64, i64)> {
    let name = |name: &str| format!("{prefix}{name}");
    let code = query.filled(&name("period")).filter(|code| *code != "A")?;
    let today = date(now);
    let monday = today - Days::new(u64::from(today.weekday().num_days_from_monday()));
    let month = today.with_day(1).unwrap_or(today);
    let year = month.with_month(1).unwrap_or(month);
    let range = match code {
        "D" => (start(today), now),
        "LD" => (start(today) - DAY, start(today) - 1),
        "W" => (start(monday), now),
        "LW" => (start(monday) - 7 * DAY, start(monday) - 1),
        "M" => (start(month), now),
        "LM" => (start(month - Months::new(1)), start(month) - 1),
        "Y" => (start(year), now),
        "LY" => (start(year - Months::new(12)), start(year) - 1),
        "HH" => (now - DAY, now),
        "HW" => (now - 7 * DAY, now),
        "HM" => (now - 30 * DAY, now),
        "HC" => (now - query.number("last_days").unwrap_or(0) * DAY, now),
        _ => {
            let read = |end: &str| query.filled(&name(end)).map(|text| read(text, now, day_first));
            (read("time_from").unwrap_or(0), read("time_to").unwrap_or(now))
        }
    };
    Some(range)
}

/// Reads a time as the store does: seconds, or a date in the store's form, and anything else is now.
fn read(text: &str, now: i64, day_first: bool) -> i64 {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().unwrap_or(now);
    }
    let form = if day_first { "%d/%m/%Y" } else { "%m/%d/%Y" };
    NaiveDate::parse_from_str(text, form).map_or(now, start)
}

fn date(seconds: i64) -> NaiveDate {
    chrono::DateTime::from_timestamp(seconds, 0).map_or(NaiveDate::MIN, |time| time.date_naive())
}

fn start(day: NaiveDate) -> i64 {
    NaiveDateTime::from(day).and_utc().timestamp()
}
