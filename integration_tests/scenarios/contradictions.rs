//! The quirks of which random stores have two: to add one, add a row.
//!
//! A quirk sets switches and hooks of the fake store; rows in quirks are those of [`VICTIMS`], which every such store
//! has. Two quirks that remove the same evidence leave nothing to detect the fault by, and are not combined.

use crate::fake_store::{EmptyList, Fault, NextPage, NoKey, Options, RecordedRequest, Spoil, Total};

/// The stream of these stores.
pub(crate) const STREAM: &str = "orders";

/// Keys that every store of the property has; quirks affect these.
pub(crate) const VICTIMS: [i64; 4] = [7, 23, 61, 89];

/// The evidence that a quirk removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// None that another quirk could need.
    Nothing,
    /// `total_count` is too low or missing.
    Count,
    /// `next_page` is missing.
    Link,
    /// A row is only in the count.
    Row,
    /// A response looks like that of an empty list in all but its count.
    Page,
    /// The first response has no count.
    FirstCount,
    /// A response lists half of its rows and counts only those: only an earlier count contradicts it.
    Half,
}

/// A quirk: its name, the evidence that it removes, and the function that sets it.
pub(crate) struct Quirk {
    pub(crate) name: &'static str,
    pub(crate) takes: Takes,
    pub(crate) set: fn(&mut Options),
}

/// Returns true if two quirks leave evidence of the number of rows.
pub(crate) fn leave_evidence(one: &Quirk, other: &Quirk) -> bool {
    let takes = |what: Takes| one.takes == what || other.takes == what;
    if takes(Takes::FirstCount) && takes(Takes::Half) {
        return false;
    }
    // Only the count shows a row that is not listed, and a response that looks like the end. Without counts and
    // links, requests continue after the last key; but short pages whose counts fit them each look like the end.
    let both_are_absent = one.name == "no_count" || other.name == "no_count";
    !takes(Takes::Count) || !(takes(Takes::Row) || takes(Takes::Page) || (takes(Takes::Link) && !both_are_absent))
}

macro_rules! quirks {
    ($($name:ident: $takes:ident, $set:expr;)*) => {
        /// All quirks.
        pub(crate) static QUIRKS: &[Quirk] = &[$(Quirk {
            name: stringify!($name), takes: Takes::$takes, set: $set,
        },)*];
    };
}

quirks! {
    count_of_the_page: Count, |options| options.quirks.total = Total::OfPage;
    count_capped_at_10: Count, |options| options.quirks.total = Total::AtMost(10);
    count_stale_and_low: Count, |options| options.quirks.total = Total::Always(15);
    count_stale_and_high: Nothing, |options| options.quirks.total = Total::Always(900);
    no_count: Count, |options| options.total_count = false;
    no_link: Link, |options| options.next_page = NextPage::Absent;
    link_null: Nothing, |options| options.next_page = NextPage::Null;
    link_for_ever: Nothing, |options| options.next_page = NextPage::SameForEver;
    first_answer_emptied: Page, |options| spoil(options, Spoil::Emptied, |number| number == 1);
    third_answer_emptied: Nothing, |options| spoil(options, Spoil::Emptied, |number| number == 3);
    every_fourth_answer_emptied: Nothing, |options| spoil(options, Spoil::Emptied, |number| number.is_multiple_of(4));
    all_answers_emptied_from_the_third: Page, |options| spoil(options, Spoil::Emptied, |number| number >= 3);
    second_answer_halved: Half, |options| spoil(options, Spoil::Halved, |number| number == 2);
    fifth_answer_halved: Nothing, |options| spoil(options, Spoil::Halved, |number| number == 5);
    first_answer_under_another_name: FirstCount, |options| spoil(options, Spoil::OtherName, |number| number == 1);
    fourth_answer_under_another_name: Nothing, |options| spoil(options, Spoil::OtherName, |number| number == 4);
    first_answer_not_found: FirstCount, |options| spoil(options, Spoil::NotFound, |number| number == 1);
    fourth_answer_not_found: Page, |options| spoil(options, Spoil::NotFound, |number| number == 4);
    empty_filter_not_found: Nothing, |options| options.quirks.empty_list = EmptyList::FilteredIs404;
    empty_list_not_found: Nothing, |options| options.quirks.empty_list = EmptyList::Is404;
    key_null: Row, |options| options.quirks.keyless.extend([(victim(0), NoKey::Null)]);
    key_absent: Row, |options| options.quirks.keyless.extend([(victim(1), NoKey::Absent)]);
    nulls_last: Nothing, |options| options.nulls_last = true;
    hidden_row: Row, |options| options.hidden.extend([victim(2)]);
    row_in_no_date_filter: Row, |options| options.quirks.not_in_dates.extend([victim(3)]);
    unreadable_row: Nothing, |options| options.quirks.unreadable.extend([victim(1)]);
    row_not_utf8: Nothing, |options| options.quirks.not_utf8.extend([victim(2)]);
    day_of_the_filter: Nothing, |options| options.quirks.lte_cuts_to_day = true;
    more_than_8_refused: Nothing, |options| above(options, 8, || Fault::error(400, "Bad Request", ""));
    more_than_8_time_out: Nothing, |options| above(options, 8, || Fault::html(504));
    more_than_100_fail: Nothing, |options| above(options, 100, Fault::server_error);
    ignores_sort: Nothing, |options| options.ignore_sort = true;
    ignores_keys: Nothing, |options| options.ignore_id_filter = true;
    ignores_dates: Nothing, |options| options.ignore_date_filter = true;
}

fn victim(nth: usize) -> (String, i64) {
    (STREAM.to_owned(), VICTIMS[nth])
}

/// Makes responses with these numbers faulty, counted from 1 among those that list rows.
fn spoil(options: &mut Options, spoil: Spoil, numbers: fn(usize) -> bool) {
    let mut number = 0;
    options.quirks.spoil_also(move |_, rows| {
        number += usize::from(rows > 0);
        (rows > 0 && numbers(number)).then_some(spoil)
    });
}

/// Fails requests for more than `most` rows, unless another fault comes first.
fn above(options: &mut Options, most: usize, fault: fn() -> Fault) {
    let mut before = options.fault.take();
    options.fault = Some(Box::new(move |seen: &RecordedRequest| {
        let count = seen.param("count").and_then(|text| text.parse::<usize>().ok()).unwrap_or(100);
        before.as_mut().and_then(|before| before(seen)).or_else(|| (count > most).then(fault))
    }));
}
