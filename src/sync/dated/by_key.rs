//! Reads lists of keys: rows that the store could not send in an earlier sync, and new rows that no request for changes
//! lists.

use super::DatedRead;
use crate::sync::context::StreamError;
use crate::sync::key_lists::{KeyList, check_list, list_query};

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
        let read = self.read_keys(keys).await;
        for lane in &mut self.lanes {
            lane.end_retry();
        }
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
        let is_unread = |key: &i64| self.lanes.iter().any(|lane| !lane.has_walked(*key));
        let keys: Vec<i64> = (before.saturating_add(1)..=greatest).filter(is_unread).collect();
        for lane in &mut self.lanes {
            lane.begin_backdated();
        }
        self.read_keys(keys).await?;
        for lane in &mut self.lanes {
            lane.end_backdated();
        }
        Ok(())
    }

    /// Reads and emits the rows with these keys, in ascending order.
    async fn read_keys(&mut self, keys: Vec<i64>) -> Result<(), StreamError> {
        for keys in keys.chunks(self.requests.page_size()) {
            let mut lists = KeyList::new(keys.to_vec());
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
        }
        Ok(())
    }
}
