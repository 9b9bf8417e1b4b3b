//! Reads lists of keys: rows that the store could not send in an earlier sync, and new rows that no request for changes
//! lists.

use super::DatedRead;
use crate::sync::context::StreamError;
use crate::sync::id_set::IdSet;
use crate::sync::key_lists::{KeyList, check_list, list_query};
use crate::sync::query::Order;
use crate::sync::row_filter::id_of;

/// Maximum number of lists of keys that are requested without looking which of the keys have rows. Between two syncs
/// few keys are left that the walk has not read; more are a gap, such as after a merchant set the next order id.
const MOST_LISTS: usize = 2;

/// Rows of a page that has only short ones: a store sends them with one query, and 250 are about 100 kB.
const SHORT_ROWS: usize = 250;

impl DatedRead {
    /// Requests the rows again that the store could not send in an earlier sync.
    pub(super) async fn retry_unread(&mut self) -> Result<(), StreamError> {
        let mut keys: Vec<i64> = self.lanes.iter().flat_map(super::Lane::keys_to_retry).collect();
        keys.sort_unstable();
        keys.dedup();
        if keys.is_empty() {
            return Ok(());
        }
        for lane in &mut self.lanes {
            lane.begin_retry();
        }
        let read = self.read_keys(keys.into_iter(), KeyList::of_skipped).await;
        for lane in &mut self.lanes {
            lane.end_retry();
        }
        // The walk may list them again.
        self.walked = IdSet::default();
        read
    }

    /// Reads the rows with keys above the greatest one before the last sync that neither its walk nor this one has read.
    pub(super) async fn read_backdated(&mut self) -> Result<(), StreamError> {
        if !self.requests.client.has_backdated_rows(self.requests.stream) {
            return Ok(());
        }
        let before = self.lanes.iter().filter_map(super::Lane::greatest_before).min();
        let greatest = self.lanes.iter().filter_map(|lane| lane.greatest).max();
        let (Some(before), Some(greatest)) = (before, greatest) else { return Ok(()) };
        let walked = self.walked_by_all();
        let is_unread = |key: &i64| !walked.contains(*key);
        let keys = || (before.saturating_add(1)..=greatest).filter(is_unread);
        // One more than those that are requested without looking which of them have rows.
        let most = self.requests.page_size().saturating_mul(MOST_LISTS);
        let mut listed = None;
        if keys().take(most.saturating_add(1)).count() > most {
            for size in [SHORT_ROWS, self.requests.page_size().min(SHORT_ROWS)] {
                listed = if listed.is_none() { self.listed_above(before, size).await? } else { listed };
            }
        }
        for lane in &mut self.lanes {
            lane.begin_backdated();
        }
        match listed {
            Some(listed) => {
                let keys = listed.iter().filter(|key| *key <= greatest).filter(is_unread);
                self.read_keys(keys, KeyList::new).await?;
            }
            None => self.read_keys(keys(), KeyList::new).await?,
        }
        for lane in &mut self.lanes {
            lane.end_backdated();
        }
        Ok(())
    }

    /// Returns the keys that all streams of the read have read in this walk or the last one.
    fn walked_by_all(&self) -> IdSet {
        let Some((first, others)) = self.lanes.split_first() else { return IdSet::default() };
        first.walked().filter(|&key| others.iter().all(|lane| lane.has_walked(key))).collect()
    }

    /// Returns the keys above `before` that have rows, from short rows; `None` if these cannot be read or counted. The
    /// pages are requested from the last one down to the first one with `before` or a smaller key: a row that is deleted
    /// meanwhile moves others to a page that is still to be read, and new rows follow after the last page.
    async fn listed_above(&mut self, before: i64, size: usize) -> Result<Option<IdSet>, StreamError> {
        let mut keys = IdSet::default();
        let Some((newest, total)) = self.short_page(Order::KeyDescending, (1, size)).await? else { return Ok(None) };
        let listed = newest.len();
        keys.extend(newest.iter().copied().filter(|&key| key > before));
        let is_complete = newest.iter().any(|&key| key <= before);
        let Some(total) = total else { return Ok(is_complete.then_some(keys)) };
        if is_complete || listed < size {
            // A page that is not full and counts more rows was cut.
            return Ok((is_complete || total <= listed as u64).then_some(keys));
        }
        let mut greatest = None;
        for page in (1..=total.div_ceil(size.max(1) as u64)).rev() {
            let Some((page, _)) = self.short_page(Order::Key, (page, size)).await? else { return Ok(None) };
            greatest = greatest.max(page.iter().copied().max());
            keys.extend(page.iter().copied().filter(|&key| key > before));
            if page.iter().any(|&key| key <= before) {
                break;
            }
        }
        // Below the first page that was requested, none may be left out: the count can be wrong.
        Ok((greatest >= newest.iter().copied().min()).then_some(keys))
    }

    /// Requests a page of short rows by key. Returns the keys and the number of all rows, if the store counts them;
    /// `None` if it cannot be read.
    async fn short_page(
        &mut self,
        order: Order,
        (page, size): (u64, usize),
    ) -> Result<Option<(Vec<i64>, Option<u64>)>, StreamError> {
        let query = self.requests.query(size).sort(order).page(page).short().indivisible();
        match self.requests.fetch(&query, &mut self.writer).await {
            Ok(answer) => {
                let keys = answer.page.rows.iter().filter_map(|row| id_of(row.key)).collect();
                Ok(Some((keys, answer.page.envelope.total)))
            }
            Err(StreamError::Request(error)) if error.is_unreadable() => Ok(None),
            Err(stream_error) => Err(stream_error),
        }
    }

    /// Reads and emits the rows with these keys, in ascending order. `list` makes a list of the keys of a request.
    async fn read_keys(
        &mut self,
        mut keys: impl Iterator<Item = i64> + Send,
        list: fn(Vec<i64>) -> KeyList,
    ) -> Result<(), StreamError> {
        loop {
            let size = usize::try_from(self.list_size.keys()).unwrap_or(1);
            let keys: Vec<i64> = keys.by_ref().take(size).collect();
            if keys.is_empty() {
                return Ok(());
            }
            let mut lists = list(keys);
            while let Some(keys) = lists.next() {
                let query = list_query(&self.requests, &keys);
                match self.requests.fetch(&query, &mut self.writer).await {
                    Ok(answer) => {
                        check_list(&answer, &keys)?;
                        let is_new = vec![true; answer.page.rows.len() + answer.page.skipped.len()];
                        self.emit(answer, &is_new, None).await?;
                        lists.was_read();
                    }
                    Err(StreamError::Request(error)) if error.is_unreadable() => {
                        if let Some(key) = lists.halve(&keys, &error)? {
                            let range = (key.checked_sub(1), Some(key));
                            for lane in &mut self.lanes {
                                lane.context.note_unreadable(&error);
                                lane.unread.push(range);
                            }
                        }
                    }
                    Err(stream_error) => return Err(stream_error),
                }
            }
            self.list_size.note(&lists);
        }
    }
}
