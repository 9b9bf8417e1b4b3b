//! Reads complete rows one by one, where the store's lists have only some of their fields.

use std::sync::Arc;

use super::DatedRead;
use crate::sync::ahead::RequestsAhead;
use crate::sync::context::{FetchedPage, StreamError, is_not_found};
use crate::sync::query::ParentRow;
use crate::sync::row_filter::id_of;
use crate::sync::rows::Row;

impl DatedRead {
    /// Returns true if the rows of a response are not complete, although complete rows were requested.
    pub(super) fn is_short(&mut self, answer: &FetchedPage) -> bool {
        self.is_short |= answer.page.is_short;
        self.is_short
    }

    /// Requests the new rows of a response one by one, and emits them. `reached` is the date that the walk has reached
    /// with the last of them; a state after one of the others says that only the rows before that one were read.
    pub(super) async fn emit_complete(
        &mut self,
        answer: FetchedPage,
        is_new: &[bool],
        reached: Option<i64>,
    ) -> Result<(), StreamError> {
        let elements = answer.page.elements().into_iter().zip(is_new);
        // Such a store keeps no dates of changes, so the date of its creation decides whether a row is emitted.
        let is_wanted = |row: &Row| self.lanes.iter().any(|lane| !lane.is_outside(row));
        let new = elements.filter_map(|(element, &is_new)| element.filter(|row| is_new && is_wanted(row)));
        let rows: Vec<(i64, Option<i64>)> = new.filter_map(|row| Some((id_of(row.key)?, row.created))).collect();
        // Its memory and its slot are free before the next request.
        drop(answer);
        let before = self.lanes.first().and_then(super::Lane::reached);
        let requests = Arc::clone(&self.requests);
        let query = |key| requests.query(1).parent(ParentRow { key, owner: None }).indivisible();
        let (mut rows, mut ahead) = (rows.into_iter(), RequestsAhead::new());
        loop {
            let following = || rows.next().map(|row| (row, query(row.0)));
            let next = ahead.next(&requests, &mut self.writer, following).await;
            let Some(((key, created), fetched)) = next else { break };
            // The rows are in the order of their dates.
            let own = before.max(created).min(reached);
            match fetched {
                Ok(answer) => self.emit(answer, &[true], own).await?,
                // It was deleted.
                Err(StreamError::Request(error)) if is_not_found(&error) => {}
                Err(StreamError::Request(error)) if error.is_unreadable() => {
                    for lane in &mut self.lanes {
                        lane.context.note_unreadable(&error);
                        lane.unread.push((key.checked_sub(1), Some(key)));
                    }
                }
                Err(stream_error) => return Err(stream_error),
            }
        }
        for lane in &mut self.lanes {
            lane.pass(reached).await?;
        }
        Ok(())
    }
}
