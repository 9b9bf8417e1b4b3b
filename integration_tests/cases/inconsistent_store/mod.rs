//! Stores that contradict themselves: nothing is decided on one figure, so that no row is lost with exit code 0.
//!
//! `ends` and `not_found`: where the data ends. `receipt`: what was delivered against what the store counts. `pages`:
//! answers that cannot be had in one piece; `unreadable`: rows that cannot be had at all. `date_filter` and
//! `date_bounds`: what a date means; `cursor`: where the cursor stands; `sent_rows` and `sent_rows_ties`: which rows
//! were sent; `no_date`: dates that are none; `undated`: rows without one. `failing`: streams that fail beside others;
//! `answers` and `right_answers`: which answers are taken. `reading`, `sim` and `response_case` are what their tests
//! share. Each rule has tests of the stores that break it, and one of the documented store, which pays no more requests
//! than is said there.

mod answer_quirks;
mod answers;
mod cursor;
mod date_bounds;
mod date_filter;
mod ends;
mod failing;
mod no_date;
mod not_found;
mod pages;
mod quirks;
pub(crate) mod reading;
mod receipt;
mod response_case;
mod right_answers;
mod sent_rows;
mod sent_rows_ties;
mod sim;
mod undated;
mod unreadable;
