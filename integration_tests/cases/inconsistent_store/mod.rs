//! Stores that contradict themselves: no decision depends on one number, so no row is lost with exit code 0.
//!
//! `ends` and `not_found`: the end of the data. `final_count`: the count at the end. `pages`: pages that are too large
//! for the store; `unreadable`: rows that cannot be read at all; `skipped_rows`: how these are tried again. `memory`:
//! pages that fill the memory for all of them. `date_filter` and `date_bounds`: the meaning of dates; `cursor`: the
//! position of the cursor; `sent_rows` and `sent_rows_ties`: which rows were sent; `no_date`: placeholder dates;
//! `undated`: rows without `updated_at`. `failing`: streams that fail while others work; `answers` and `right_answers`:
//! which responses are accepted. `reading`, `sim` and `response_case` are helpers of these tests. Each rule has tests
//! with the stores that break it, and one with the documented store, which needs no more requests than stated there.

mod answer_quirks;
mod answers;
mod cursor;
mod date_bounds;
mod date_filter;
mod ends;
mod failing;
mod final_count;
mod hidden_by_changes;
mod memory;
mod no_date;
mod not_found;
mod pages;
mod quirks;
pub(crate) mod reading;
mod response_case;
mod right_answers;
mod sent_rows;
mod sent_rows_ties;
mod sim;
mod skipped_rows;
mod undated;
mod unreadable;
