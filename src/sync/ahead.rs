//! Requests for further rows of a stream while earlier ones are processed. The responses come in the order of the
//! requests.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::context::{FetchedPage, StreamContext, StreamError};
use super::query::Query;
use crate::record::RecordWriter;

/// Maximum number of requests ahead, running or answered: their responses are in memory until they are processed. The
/// largest setting of a shop whose streams use this.
const MOST_AHEAD: usize = 4;

/// A request and its response.
pub(super) type Fetched = Result<FetchedPage, StreamError>;

/// Requests that were sent ahead, each with what it is for, the oldest first.
#[derive(Debug)]
pub(super) struct RequestsAhead<T>(VecDeque<(T, Running)>);

/// A running request. Dropping it ends the request.
#[derive(Debug)]
struct Running(JoinHandle<Fetched>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> RequestsAhead<T> {
    pub(super) fn new() -> Self {
        Self(VecDeque::new())
    }

    /// Sends requests while there are free slots. Without a second slot nothing is sent: a request ahead would only delay
    /// those of other streams.
    fn send(&mut self, context: &Arc<StreamContext>, mut following: impl FnMut() -> Option<(T, Query)>) {
        let free = context.client.requests().free_slots(&context.query(1));
        if free < 2 && self.0.is_empty() {
            return;
        }
        for _ in 0..free.min(MOST_AHEAD.saturating_sub(self.0.len())) {
            let Some((purpose, query)) = following() else { return };
            self.0.push_back((purpose, Running(tokio::spawn(fetch(Arc::clone(context), query)))));
        }
    }

    /// Returns the next response and what it is for; `None` at the end. `following` returns what the next request is for,
    /// and the request. If none was sent ahead, the response has its slot and its memory.
    pub(super) async fn next(
        &mut self,
        context: &Arc<StreamContext>,
        writer: &mut RecordWriter,
        mut following: impl FnMut() -> Option<(T, Query)>,
    ) -> Option<(T, Fetched)> {
        self.send(context, &mut following);
        let Some((purpose, mut running)) = self.0.pop_front() else {
            let (purpose, query) = following()?;
            return Some((purpose, context.fetch(&query, writer).await));
        };
        match (&mut running.0).await {
            Ok(fetched) => Some((purpose, fetched)),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // Only dropping it ends a request.
            Err(_) => Some((purpose, Err(StreamError::Interrupted))),
        }
    }
}

/// Sends a request. Its slot and memory are free when the response has arrived: the response may have to wait for
/// another one, which needs them.
async fn fetch(context: Arc<StreamContext>, query: Query) -> Fetched {
    let mut answer = context.fetch(&query, &mut context.writer()).await?;
    answer.slot = None;
    answer.page.lines.attach_guard(());
    if let Some(nested) = &mut answer.page.nested {
        nested.rows.lines.attach_guard(());
    }
    Ok(answer)
}
