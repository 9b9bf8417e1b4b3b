//! One stream being read: what all ways of reading it share, and how it can stop.

use std::sync::Arc;

use tokio::sync::watch;

use super::ledger::Ledger;
use super::rows::{Rows, Taking};
use crate::airbyte::Closed;
use crate::airbyte::message::{millis, record_prefix};
use crate::cart::{self, Answer, Client, Notice, Query, Watch};
use crate::record::{Copier, Shape};
use crate::streams::Stream;
use crate::timestamp::Timestamp;

/// Why a stream stopped before it was complete.
#[derive(Debug)]
pub enum Stop {
    /// Stdout is gone.
    Closed,
    /// The process was asked to end.
    Interrupted,
    /// A request failed for good.
    Request(cart::Error),
    /// The store does not answer the key walk as documented; the clause says in what. Caught, and
    /// answered by the page walk.
    Distrust(&'static str),
    /// The store counts more rows than it lists.
    Lost {
        /// Rows the store counts.
        counted: u64,
        /// Rows it listed.
        listed: u64,
    },
    /// The rows moved for as long as the page walk was willing to follow them.
    Restless,
}

impl From<Closed> for Stop {
    fn from(Closed: Closed) -> Self {
        Self::Closed
    }
}

/// One stream being read.
#[derive(Debug)]
pub(super) struct Reader {
    /// The row of the table.
    pub stream: &'static Stream,
    /// The store.
    pub client: Arc<Client>,
    /// Where everything goes out.
    pub ledger: Arc<Ledger>,
    /// The first instant of change that is read.
    pub start: Timestamp,
    /// The first that is not.
    pub end: Option<Timestamp>,
    shape: Arc<Shape>,
    /// The parameter that asks for nested collections, if any are wanted.
    nested: Option<(&'static str, String)>,
    /// The fields that are asked for, if not all are wanted.
    fields: Option<String>,
    stopping: watch::Receiver<bool>,
    prefix_length: usize,
}

impl Reader {
    /// A reader of one stream, which stops when `stopping` turns true.
    #[must_use]
    pub(super) fn new(
        stream: &'static Stream,
        client: Arc<Client>,
        ledger: Arc<Ledger>,
        (start, end): (Timestamp, Option<Timestamp>),
        shape: Shape,
        (nested, fields): (Option<(&'static str, String)>, Option<String>),
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let prefix_length = record_prefix(ledger.name()).len();
        Self { stream, client, ledger, start, end, shape: Arc::new(shape), nested, fields, stopping, prefix_length }
    }

    /// A copier for one sequence of requests.
    #[must_use]
    pub(super) fn copier(&self) -> Copier {
        Copier::new(Arc::clone(&self.shape))
    }

    /// The length of what stands before the data in each line.
    #[must_use]
    pub(super) fn prefix_length(&self) -> usize {
        self.prefix_length
    }

    /// Asks for one answer and reads it.
    ///
    /// # Errors
    /// [`Stop`] if the request failed for good, or the process is to end.
    pub(super) async fn fetch(&self, query: &Query, copier: &mut Copier) -> Result<Answer<Rows>, Stop> {
        let mut query = query.clone();
        if let Some((parameter, names)) = &self.nested {
            query = query.nested(parameter, names);
        }
        if let Some(names) = &self.fields {
            query = query.fields(names);
        }
        let names = [self.stream.list, self.stream.name];
        let prefix = record_prefix(self.ledger.name());
        let mut stopping = self.stopping.clone();
        let answer = {
            let mut taking = Taking::new(self.ledger.emitter().lines(), &prefix, copier);
            let mut answer = tokio::select! {
                answer = self.client.get(&query, &names, self, &mut taking) => answer.map_err(Stop::Request)?,
                _ = stopping.wait_for(|stop| *stop) => return Err(Stop::Interrupted),
            };
            let mut page = taking.into_rows(answer.page);
            page.lines.hold(answer.room.take());
            Answer { page, place: answer.place, date: answer.date, room: None }
        };
        self.ledger.entries().await.tally.requests += 1;
        let findings = copier.take_findings();
        if !findings.is_empty() {
            self.ledger.report(findings).await?;
        }
        Ok(answer)
    }
}

/// Warnings about the store's ways, each once per run and stream.
impl Reader {
    /// The date filter is not honoured.
    ///
    /// # Errors
    /// [`Closed`] if stdout is gone.
    pub(crate) async fn warn_dates(&self) -> Result<(), Closed> {
        let text = "the store does not filter by `updated_at` as documented; rows outside the dates asked for are dropped here, which costs time.";
        self.ledger.warn_once("dates", text).await
    }

    /// The order is not honoured.
    ///
    /// # Errors
    /// [`Closed`] if stdout is gone.
    pub(crate) async fn warn_sort(&self) -> Result<(), Closed> {
        let text = "the store does not sort as documented; it is read with one request at a time, and later syncs look at more rows than they need.";
        self.ledger.warn_once("sort", text).await
    }

    /// Rows without a date are there where none are expected.
    ///
    /// # Errors
    /// [`Closed`] if stdout is gone.
    pub(crate) async fn warn_undated(&self) -> Result<(), Closed> {
        let text = "the store has rows without `updated_at`; this sync brings them, but a later incremental sync sees a change of them only if it gives them a date. Run a full refresh from time to time.";
        self.ledger.warn_once("undated", text).await
    }

    /// The key walk is not honoured; the clause says in what.
    ///
    /// # Errors
    /// [`Closed`] if stdout is gone.
    pub(crate) async fn warn_keys(&self, why: &str) -> Result<(), Closed> {
        let text = format!(
            "the store does not answer a read by key as documented ({why}); it is read page by page instead, which is slower."
        );
        self.ledger.warn_once("keys", &text).await
    }
}

impl Watch for Reader {
    async fn notice(&self, notice: Notice<'_>) {
        // A closed stdout is noticed where records are sent.
        let _told = match notice {
            Notice::Waiting(moment) => self.ledger.rate_limited(millis(moment)).await,
            Notice::Retrying { attempt, error, delay } => self.ledger.retries(attempt, &error.to_string(), delay).await,
        };
    }
}
