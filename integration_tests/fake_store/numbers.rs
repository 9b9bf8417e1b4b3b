//! Generated numbers, flags and dates.
//!
//! Subject: "Known issues" and the samples of the public "Resources" pages: the number of decimals is that of the
//! database and differs from row to row, some measures are strings, a missing date is null or `""`.

use std::fmt::Write as _;

use super::rows::{Make, Spot, quoted};
use super::zone::sql_round;

fn money(s: &Spot<'_>, out: &mut String) {
    let (whole, cents) = (s.below(3000), s.other(100));
    let _ = match s.other(7) {
        0 => write!(out, "{whole}"),
        1 => write!(out, "{whole}.{}", cents / 10),
        2 => write!(out, "{whole}.{cents:02}"),
        3 => write!(out, "{whole}.0000"),
        4 => write!(out, "-{}.{cents:02}", whole % 50),
        _ => write!(out, "{whole}.{cents:02}00"),
    };
}

fn date(s: &Spot<'_>, out: &mut String) {
    // 2013-01-01 and the following twelve years.
    let second = 1_356_998_400 + s.below(12 * 365 * 86_400) as i64;
    let thousandths = if s.other(5) == 0 { 0 } else { sql_round(s.other(990) as i64) };
    out.push('"');
    s.clock.write(second * 1000 + thousandths, out);
    out.push('"');
}

/// Returns the generator with this name.
pub(super) fn find(name: &str) -> Option<Make> {
    let make: Make = match name {
        "date" => date,
        "date_null" => |s, o| {
            if s.other(4) == 0 {
                o.push_str("null");
            } else {
                date(s, o);
            }
        },
        "null_date" => |s, o| {
            if s.other(5) != 0 {
                o.push_str("null");
            } else {
                date(s, o);
            }
        },
        "date_empty" => |s, o| {
            if s.other(3) != 0 {
                o.push_str("\"\"");
            } else {
                date(s, o);
            }
        },
        "sentinel_date" => |s, o| {
            if s.other(2) == 0 {
                quoted!(o, "1900-01-01T00:00:00-06:00");
            } else {
                date(s, o);
            }
        },
        "money" => money,
        "money_null" => |s, o| {
            if s.other(5) == 0 {
                o.push_str("null");
            } else {
                money(s, o);
            }
        },
        "null_money" => |s, o| {
            if s.other(4) != 0 {
                o.push_str("null");
            } else {
                money(s, o);
            }
        },
        "zero_money" => |s, o| {
            if s.other(6) == 0 {
                money(s, o);
            } else {
                o.push_str(s.one(&["0", "0.0", "0.0000", "0.00"]));
            }
        },
        "rate_null" => |s, o| o.push_str(s.one(&["null", "2", "8.2500", "0.0000", "0.0825"])),
        "weight" => |s, o| o.push_str(s.one(&["1", "25", "0.5000", "0.0", "12.2500", "0"])),
        "count_scale" => |s, o| o.push_str(s.one(&["0", "0", "1", "0.0000", "2.5000"])),
        "dims" => |s, o| o.push_str(s.one(&["\"\"", "\"\"", "\"9.5\"", "\"12.5000\"", "\"100\""])),
        "small" => |s, o| {
            let _ = write!(o, "{}", 1 + s.below(10));
        },
        "big" => |s, o| {
            let _ = write!(o, "{}", s.below(4_000_000_000));
        },
        "small_null" => |s, o| {
            if s.other(4) == 0 {
                o.push_str("null");
            } else {
                let _ = write!(o, "{}", 1 + s.below(5));
            }
        },
        "null_small" => |s, o| {
            if s.other(4) != 0 {
                o.push_str("null");
            } else {
                let _ = write!(o, "{}", 1 + s.below(20));
            }
        },
        "zero_null" => |s, o| o.push_str(s.one(&["0", "0", "0", "null", "3"])),
        "text_or_small" => |s, o| o.push_str(s.one(&["null", "7", "\"FEDEX_7\"", "\"\""])),
        "null_text_or_small" => |s, o| o.push_str(s.one(&["null", "null", "null", "4", "\"4\""])),
        "flag" => |s, o| o.push_str(if s.below(3) == 0 { "true" } else { "false" }),
        "rare" => |s, o| o.push_str(if s.below(16) == 0 { "true" } else { "false" }),
        "often" => |s, o| o.push_str(if s.below(5) == 0 { "false" } else { "true" }),
        "bit" => |s, o| o.push_str(if s.below(3) == 0 { "1" } else { "0" }),
        "month" => |s, o| {
            let _ = write!(o, "{}", 1 + s.below(12));
        },
        "year" => |s, o| {
            let _ = write!(o, "{}", 2014 + s.below(15));
        },
        _ => return None,
    };
    Some(make)
}
