//! Reads a stream by lists of consecutive keys, such as 1 to 100, from the least key to the greatest one.
//!
//! A list has no page number, so a row that is added, deleted or changed elsewhere moves no row. A list that the store
//! cannot send is halved until one key is left: the row that cannot be sent.

use super::ahead::{Fetched, RequestsAhead};
use super::context::{FetchedPage, StreamContext, StreamError};
use super::id_set::IdSet;
use super::keyset::MOST_UNREADABLE;
use super::last_page_first;
use super::position::{KeysPosition, Position};
use super::probes::{self, if_readable};
use super::query::{Order, Query};
use super::row_filter::id_of;
use super::strategy::FullRead;
use crate::http::Error;
use crate::record::RecordWriter;

/// Keys of a list: with their names, about 2.4 kB of a URL, of which servers accept 8 kB.
const KEYS: i64 = 100;

/// Maximum number of rows that are requested in one response: a few megabytes. Where the keys have large gaps, most
/// lists of keys would be empty.
const MOST_AT_ONCE: u64 = 5_000;

/// Minimum number of keys for each row from which gaps count as large: twenty lists of keys for each list of rows.
const WIDE: u64 = 20;

/// Reads all rows of all parts.
pub(super) async fn run(read: &mut FullRead<'_>, parts: &[Option<String>]) -> Result<(), StreamError> {
    let mut walk = KeyWalk {
        writer: read.context.writer(),
        seen: IdSet::default(),
        most_listed: 1,
        size: ListSize::new(KEYS),
        greatest: i64::MAX,
        found_above: 0,
    };
    let (mut first, mut after) = (0, None);
    if let Some(Position::Keys(position)) = read.position()
        && let Some(place) = parts.iter().position(|part| *part == position.part)
    {
        // A part that is complete has no key after which it continues.
        first = if position.after.is_some() { place } else { place + 1 };
        after = position.after;
    }
    for part in parts.iter().skip(first) {
        walk.read_part(read, part.as_deref(), after.take()).await?;
    }
    Ok(())
}

struct KeyWalk {
    writer: RecordWriter,
    /// Keys of the rows that were emitted. A row that moves to another part while it is read comes twice.
    seen: IdSet,
    /// Maximum number of elements in a response so far: a store that limits its responses lists no more.
    most_listed: u64,
    /// Number of keys of the next list.
    size: ListSize,
    /// Greatest key of the part among the rows that the store can send.
    greatest: i64,
    /// Number of greater keys in lists that have a row, or a row that the store cannot send.
    found_above: u64,
}

impl KeyWalk {
    /// Reads a part of the stream, from the key after `after` on.
    async fn read_part(
        &mut self,
        read: &mut FullRead<'_>,
        part: Option<&str>,
        after: Option<i64>,
    ) -> Result<(), StreamError> {
        let context = read.context;
        let query = |count: usize, order: Order| context.query(count).sort(order).part(part);
        let first = self.fetch(context, &query(context.page_size(), Order::Key)).await;
        let (least, total) = match first {
            Ok(answer) => {
                let rows = &answer.page;
                let total = rows.envelope.total;
                if let Some(total) = total.filter(|_| after.is_none()) {
                    context.output.count(total).await?;
                }
                if rows.is_only_page() {
                    return self.emit(read, answer, part, None).await;
                }
                (rows.rows.first().and_then(|row| id_of(row.key)), total)
            }
            // Its first row cannot be sent: the keys begin at 1.
            Err(StreamError::Request(error)) if error.is_unreadable() => (Some(1), None),
            Err(stream_error) => return Err(stream_error),
        };
        let (greatest, unreadable) = greatest_readable(context, &mut self.writer, part).await?;
        let (Some(least), Some(greatest)) = (least, greatest) else {
            return Err(StreamError::UnexpectedResponse("it sends keys that are not whole numbers"));
        };
        if let Some(total) = total.filter(|&total| after.is_none() && is_sparse(total, least.abs_diff(greatest)))
            && unreadable == 0
            && self.read_all(read, part, total).await?
        {
            return Ok(());
        }
        let first = after.map_or(least, |after| after.saturating_add(1).max(least));
        self.read_lists(read, part, (first, greatest), unreadable).await
    }

    /// Reads all rows of a part in one response. Returns false if the store cannot send them, or does not send all.
    async fn read_all(&mut self, read: &mut FullRead<'_>, part: Option<&str>, total: u64) -> Result<bool, StreamError> {
        let context = read.context;
        let all = Query::all(context.stream).sort(Order::Key).part(part);
        let Some(mut answer) = if_readable(self.fetch(context, &all).await)? else { return Ok(false) };
        let listed = answer.page.element_count();
        if listed < total {
            // Rows may have been deleted since they were counted. The next request may need the memory and the slot.
            answer.page.lines.attach_guard(());
            answer.slot = None;
            let counted = probes::count(context, context.query(1).sort(Order::Key).part(part)).await?;
            if counted.is_none_or(|counted| listed < counted) {
                // A store that limits its responses.
                return Ok(false);
            }
        }
        self.emit(read, answer, part, None).await?;
        Ok(true)
    }

    /// Reads the rows with keys from `next` on. `greatest` is the greatest key of the rows that the store can send, and
    /// `unreadable` the number of rows with greater keys.
    async fn read_lists(
        &mut self,
        read: &mut FullRead<'_>,
        part: Option<&str>,
        (mut next, greatest): (i64, i64),
        unreadable: u64,
    ) -> Result<(), StreamError> {
        (self.greatest, self.found_above) = (greatest, 0);
        // The keys of the others are probably among the next ones.
        let end = if unreadable == 0 { greatest } else { greatest.saturating_add(KEYS) };
        let mut ahead = RequestsAhead::new();
        loop {
            let size = self.size.keys();
            let following = || {
                let last = next.saturating_add(size - 1).min(end);
                let keys: Vec<i64> = (next..=last).collect();
                next = last.saturating_add(1);
                let query = list_query(read.context, &keys).part(part);
                (!keys.is_empty()).then_some((keys, query))
            };
            let Some((keys, fetched)) = ahead.next(read.context, &mut self.writer, following).await else { break };
            match self.read_list(read, part, keys, fetched).await {
                Err(StreamError::UnexpectedResponse(why)) => {
                    drop(ahead);
                    read.context.warn_keys(why).await?;
                    return last_page_first::run(read, part).await;
                }
                other => other?,
            }
        }
        if self.found_above < unreadable {
            read.add_between(Some(greatest), None);
        }
        self.end_part(read, part).await
    }

    async fn fetch(&mut self, context: &StreamContext, query: &Query) -> Result<FetchedPage, StreamError> {
        let answer = context.fetch(query, &mut self.writer).await?;
        self.most_listed = self.most_listed.max(answer.page.element_count());
        Ok(answer)
    }

    /// Returns true if a response to a list of keys may lack rows because the store limits its responses. The next
    /// lists are then so short that it can send them completely.
    fn is_cut(&mut self, answer: &FetchedPage, keys: &[i64]) -> bool {
        let is_counted_higher = answer.page.envelope.total.is_some_and(|total| total > answer.page.element_count());
        if !is_counted_higher || keys.len() as u64 <= self.most_listed {
            return false;
        }
        self.size.limit(i64::try_from(self.most_listed).unwrap_or(KEYS));
        true
    }

    /// Reads the rows with these keys. `fetched` is the response to the request for all of them.
    async fn read_list(
        &mut self,
        read: &mut FullRead<'_>,
        part: Option<&str>,
        keys: Vec<i64>,
        fetched: Fetched,
    ) -> Result<(), StreamError> {
        let mut fetched = Some(fetched);
        let mut lists = KeyList::new(keys);
        while let Some(keys) = lists.next() {
            let fetched = match fetched.take() {
                Some(fetched) => fetched,
                None => read.context.fetch(&list_query(read.context, &keys).part(part), &mut self.writer).await,
            };
            match fetched {
                Ok(answer) => {
                    self.most_listed = self.most_listed.max(answer.page.element_count());
                    check_list(&answer, &keys)?;
                    if self.is_cut(&answer, &keys) {
                        lists.divide(&keys, self.size.keys());
                        continue;
                    }
                    let is_above = |key: &i64| *key > self.greatest;
                    let above = answer.page.rows.iter().filter_map(|row| id_of(row.key)).filter(is_above).count();
                    self.found_above += above as u64;
                    let reached = keys.last().copied();
                    self.emit(read, answer, part, reached).await?;
                    lists.was_read();
                }
                Err(StreamError::Request(error)) if error.is_unreadable() => {
                    read.context.note_unreadable(&error);
                    if let Some(key) = lists.halve(&keys, &error)? {
                        self.found_above += u64::from(key > self.greatest);
                        read.add_unread((key.checked_sub(1), Some(key)));
                    }
                }
                Err(stream_error) => return Err(stream_error),
            }
        }
        self.size.note(&lists);
        Ok(())
    }

    /// Emits the rows of a response that are new. `after` is the greatest key that was read; `None` at the end of the
    /// part.
    async fn emit(
        &mut self,
        read: &mut FullRead<'_>,
        answer: FetchedPage,
        part: Option<&str>,
        after: Option<i64>,
    ) -> Result<(), StreamError> {
        let seen = &mut self.seen;
        let position = Position::Keys(KeysPosition { part: part.map(str::to_owned), after });
        read.emit(answer, |_, row| id_of(row.key).is_none_or(|key| seen.insert(key)), position).await
    }

    /// Notes that a part is complete.
    async fn end_part(&mut self, read: &mut FullRead<'_>, part: Option<&str>) -> Result<(), StreamError> {
        let position = Position::Keys(KeysPosition { part: part.map(str::to_owned), after: None });
        read.pass(position).await
    }
}

/// Returns the greatest key of a stream among the rows that the store can send.
pub(super) async fn newest_key(context: &StreamContext, writer: &mut RecordWriter) -> Result<Option<i64>, StreamError> {
    Ok(greatest_readable(context, writer, None).await?.0)
}

/// Returns the greatest key of a part of a stream among the rows that the store can send, and the number of rows with
/// greater keys.
async fn greatest_readable(
    context: &StreamContext,
    writer: &mut RecordWriter,
    part: Option<&str>,
) -> Result<(Option<i64>, u64), StreamError> {
    for page in 1..=1 + MOST_UNREADABLE {
        let query = context.query(1).sort(Order::KeyDescending).page(page).part(part).short();
        match context.fetch(&query, writer).await {
            Ok(answer) => return Ok((answer.page.rows.first().and_then(|row| id_of(row.key)), page - 1)),
            Err(StreamError::Request(error)) if error.is_unreadable() => context.note_unreadable(&error),
            Err(stream_error) => return Err(stream_error),
        }
    }
    Err(StreamError::UnexpectedResponse("it cannot send the rows with the greatest keys"))
}

/// Returns true if so few of the keys have rows that one response with all rows is cheaper than lists of keys.
fn is_sparse(rows: u64, keys: u64) -> bool {
    rows <= MOST_AT_ONCE && keys / WIDE > rows
}

/// Returns a request for the rows with these keys.
pub(super) fn list_query(context: &StreamContext, keys: &[i64]) -> Query {
    context.query(keys.len()).one_of(keys).indivisible()
}

/// Returns an error if a response has other keys than requested.
pub(super) fn check_list(answer: &FetchedPage, keys: &[i64]) -> Result<(), StreamError> {
    let is_requested = |key: i64| keys.binary_search(&key).is_ok();
    match answer.page.rows.iter().all(|row| id_of(row.key).is_some_and(is_requested)) {
        true => Ok(()),
        false => Err(StreamError::UnexpectedResponse("it lists other keys than requested")),
    }
}

/// A list of keys, and the parts into which it is divided because the store cannot send all of its rows.
#[derive(Debug)]
pub(super) struct KeyList {
    /// The next part is the last one.
    parts: Vec<Vec<i64>>,
    /// Number of consecutive rows that the store cannot send.
    unreadable: u64,
    /// Maximum of this number; if it is exceeded, the rows are not the cause.
    most_unreadable: u64,
    /// Number of keys of the shortest part that was too long for the store.
    too_long: Option<usize>,
    /// True if a row cannot be sent.
    has_unreadable: bool,
}

impl KeyList {
    /// Returns a list of ascending keys.
    pub(super) fn new(keys: Vec<i64>) -> Self {
        let parts = if keys.is_empty() { Vec::new() } else { vec![keys] };
        Self { parts, unreadable: 0, most_unreadable: MOST_UNREADABLE, too_long: None, has_unreadable: false }
    }

    /// Returns a list of ascending keys whose rows the store could not send before, so that none of them may be readable.
    pub(super) fn of_skipped(keys: Vec<i64>) -> Self {
        Self { most_unreadable: u64::MAX, ..Self::new(keys) }
    }

    /// Returns the keys to request next.
    pub(super) fn next(&mut self) -> Option<Vec<i64>> {
        self.parts.pop()
    }

    /// Records that the rows of the last keys were read.
    pub(super) fn was_read(&mut self) {
        self.unreadable = 0;
    }

    /// Divides keys into lists of at most `size` keys.
    fn divide(&mut self, keys: &[i64], size: i64) {
        let size = usize::try_from(size).unwrap_or(1).max(1);
        self.parts.extend(keys.chunks(size).rev().map(<[i64]>::to_vec));
    }

    /// Divides keys that cannot be read. Returns the key if it is only one.
    ///
    /// # Errors
    /// `error`, the one of the request, if several consecutive rows cannot be read: they are not the cause.
    pub(super) fn halve(&mut self, keys: &[i64], error: &Error) -> Result<Option<i64>, StreamError> {
        if let [key] = *keys {
            self.unreadable += 1;
            self.has_unreadable = true;
            let is_other_fault = self.unreadable > self.most_unreadable;
            return if is_other_fault { Err(StreamError::Request(error.clone())) } else { Ok(Some(key)) };
        }
        if !error.is_not_utf8() {
            self.too_long = Some(self.too_long.map_or(keys.len(), |shortest| shortest.min(keys.len())));
        }
        let (first, second) = keys.split_at(keys.len() / 2);
        self.parts.extend([second.to_vec(), first.to_vec()]);
        Ok(None)
    }
}

/// Number of lists of one size after which longer ones are tried, as for all requests (`http::sizes`). Doubled each time:
/// a store that cannot send longer ones refuses few of them.
const GOOD_LISTS: u32 = 5;

/// The number of keys of a list, for stores that cannot send as many rows as the longest list has.
#[derive(Debug)]
pub(super) struct ListSize {
    keys: i64,
    most_keys: i64,
    /// Number of lists of this size that were read.
    good_lists: u32,
    /// Number of these after which the size is doubled.
    most_good_lists: u32,
}

impl ListSize {
    /// Returns the size of the longest list.
    pub(super) fn new(most_keys: i64) -> Self {
        let most_keys = most_keys.max(1);
        Self { keys: most_keys, most_keys, good_lists: 0, most_good_lists: GOOD_LISTS }
    }

    /// Returns the number of keys of the next list.
    pub(super) fn keys(&self) -> i64 {
        self.keys
    }

    /// Sets the maximum.
    fn limit(&mut self, most_keys: i64) {
        self.most_keys = most_keys.clamp(1, self.most_keys);
        self.keys = self.keys.min(self.most_keys);
    }

    /// Records that a list was read.
    pub(super) fn note(&mut self, list: &KeyList) {
        match list.too_long {
            // All of its rows were read in shorter lists, so its length was the cause.
            Some(length) if !list.has_unreadable => {
                self.keys = i64::try_from(length.div_ceil(2)).unwrap_or(self.keys).clamp(1, self.most_keys);
                self.good_lists = 0;
            }
            _ => self.good_lists += 1,
        }
        if self.good_lists >= self.most_good_lists && self.keys < self.most_keys {
            // The store may have recovered.
            self.keys = self.keys.saturating_mul(2).min(self.most_keys);
            (self.good_lists, self.most_good_lists) = (0, self.most_good_lists.saturating_mul(2));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error() -> Error {
        Error::Empty { resource: "rows".to_owned() }
    }

    #[test]
    fn a_list_is_halved_until_the_row_is_found() {
        let (mut lists, mut read, mut unread) = (KeyList::new((1..=100).collect()), Vec::new(), Vec::new());
        let mut requests = 0;
        while let Some(keys) = lists.next() {
            requests += 1;
            if keys.contains(&37) || keys.contains(&100) {
                unread.extend(lists.halve(&keys, &error()).unwrap());
            } else {
                read.extend(keys);
                lists.was_read();
            }
        }
        assert_eq!(unread, [37, 100]);
        assert_eq!(read, (1..=99).filter(|&key| key != 37).collect::<Vec<_>>());
        assert!(requests < 30, "{requests}");
    }

    #[test]
    fn many_rows_in_a_row_are_another_fault() {
        let mut lists = KeyList::new((1..=8).collect());
        let mut outcome = Ok(None);
        while let (Some(keys), true) = (lists.next(), outcome.is_ok()) {
            outcome = lists.halve(&keys, &error());
        }
        assert!(outcome.is_err());
    }

    #[test]
    fn a_list_that_is_too_long_is_followed_by_shorter_ones_until_the_store_recovers() {
        let weak = Error::TooLarge { resource: "rows".to_owned(), limit: 1 };
        /// Reads a list from a store that can send so many rows, one of which may be damaged.
        fn read(size: &mut ListSize, most: usize, damaged: Option<i64>, error: &Error) {
            let mut lists = KeyList::new((1..=size.keys()).collect());
            while let Some(keys) = lists.next() {
                if keys.len() > most || damaged.is_some_and(|key| keys.contains(&key)) {
                    lists.halve(&keys, error).unwrap();
                } else {
                    lists.was_read();
                }
            }
            size.note(&lists);
        }
        let mut size = ListSize::new(100);
        read(&mut size, 100, Some(7), &weak);
        assert_eq!(size.keys(), 100, "a row is the cause");
        read(&mut size, 6, None, &error());
        assert_eq!(size.keys(), 100, "text that is not UTF-8 is the cause");
        let mut sizes = Vec::new();
        for _ in 0..8 {
            read(&mut size, 6, None, &weak);
            sizes.push(size.keys());
        }
        assert_eq!(sizes, [4, 4, 4, 4, 4, 8, 4, 4]);
        for _ in 0..400 {
            read(&mut size, 100, None, &weak);
        }
        assert_eq!(size.keys(), 100);
        size.limit(30);
        assert_eq!(size.keys(), 30);
    }

    #[test]
    fn few_rows_with_distant_keys_come_at_once() {
        assert!(is_sparse(5, 1_000_000) && is_sparse(5_000, 200_000));
        assert!(!is_sparse(5_001, 10_000_000) && !is_sparse(500, 9_000));
    }
}
