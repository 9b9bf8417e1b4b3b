//! Reads a stream by windows of time (`date_windows`), and the rows inside its rows with one request for each row.
//!
//! A row can be in several windows, and is emitted once. The rows inside it are requested when it is listed for the
//! first time.

use std::collections::HashSet;
use std::sync::Arc;

use super::ahead::{Fetched, RequestsAhead};
use super::context::{FetchedPage, HiddenRows, StreamContext, StreamError, is_not_found};
use super::date_windows::{Answer, Cause, DateWindows, Gap, Limits, Part, Step};
use super::position::{Position, WindowsPosition};
use super::query::{ParentRow, Query};
use super::row_filter::id_of;
use super::rows::Rows;
use super::strategy::FullRead;
use crate::json::member;
use crate::record::{self, RecordWriter};
use crate::timestamp::Timestamp;

/// Reads all rows of all parts.
pub(super) async fn run(read: &mut FullRead<'_>, parts: &[Option<String>]) -> Result<(), StreamError> {
    let stream = read.context.stream;
    let requests = match stream.nested_in {
        Some(_) => read.context.of_parent(),
        None => Some(read.context.requesting()),
    };
    let Some(requests) = requests.map(Arc::new) else {
        return Err(StreamError::UnexpectedResponse("it has no such list"));
    };
    let has_parts = parts.iter().any(Option::is_some);
    let (owners, is_owner_refused) = if has_parts { (Vec::new(), false) } else { owners(&requests).await? };
    // The rows inside a row are requested for all parts together.
    let is_split = has_parts && stream.nested_in.is_none();
    let writer = requests.writer();
    let mut walk = WindowWalk { requests, owners, is_owner_refused, is_split, writer, seen: HashSet::new() };
    let (mut first, mut reached) = (0, None);
    if let Some(Position::Windows(position)) = read.position()
        && let Some(place) = parts.iter().position(|part| *part == position.part)
    {
        (first, reached) = (place, Some(position.reached));
    }
    for part in parts.iter().skip(first) {
        walk.read_part(read, part.as_deref(), reached.take()).await?;
    }
    Ok(())
}

/// Returns the keys of the owners of rows, none if they are not known, and true if the store refused to list them.
async fn owners(requests: &StreamContext) -> Result<(Vec<i64>, bool), StreamError> {
    let Some(stream) = requests.client.owners(requests.stream) else { return Ok((Vec::new(), false)) };
    let owners = requests.of_other(stream);
    match owners.fetch(&Query::all(stream), &mut owners.writer()).await {
        Ok(answer) => Ok((answer.page.rows.iter().filter_map(|row| id_of(row.key)).collect(), false)),
        // A missing privilege, or an edition without such owners.
        Err(StreamError::Request(error)) if matches!(error.status(), Some(403 | 404)) => {
            Ok((Vec::new(), error.status() == Some(403)))
        }
        // Shorter windows separate the rows of most owners as well.
        Err(StreamError::Request(error)) if error.is_unreadable() => Ok((Vec::new(), false)),
        Err(stream_error) => Err(stream_error),
    }
}

struct WindowWalk {
    requests: Arc<StreamContext>,
    owners: Vec<i64>,
    /// True if the store refused to list the owners.
    is_owner_refused: bool,
    /// True if the parts of the stream are read one by one.
    is_split: bool,
    writer: RecordWriter,
    /// Hashes of the identities of the rows that were emitted.
    seen: HashSet<u64>,
}

/// A row whose nested rows are to be read.
#[derive(Clone, Copy, Debug)]
struct Parent {
    key: i64,
    /// The key of its owner, 0 if it has none.
    owner: i64,
}

impl WindowWalk {
    /// Reads a part of the stream, from a date on.
    async fn read_part(
        &mut self,
        read: &mut FullRead<'_>,
        part: Option<&str>,
        reached: Option<i64>,
    ) -> Result<(), StreamError> {
        let kinds = self.requests.client.kinds(self.requests.stream);
        let limits = Limits { rows: self.requests.page_size(), parts: self.owners.len(), kinds: kinds.len() };
        let started = self.begin(read, part, reached.is_none()).await?;
        let mut windows = DateWindows::new(reached, started, limits);
        let mut is_narrowed = false;
        loop {
            let (query, rows) = match windows.next() {
                Step::Done => return Ok(()),
                Step::Rows { window, rows, part: of, page } => {
                    let query = self.requests.query(rows).page(page).created(window.from, window.until);
                    let query = self.of_part(query, of, part, kinds).divided_by_size();
                    // One row, or all rows of a second, are not given up after one failure.
                    let is_final = rows == 1 || (page == 1 && window.from == window.until);
                    (query.narrowed(is_narrowed && !is_final), rows)
                }
            };
            let answer = match self.requests.fetch(&query, &mut self.writer).await {
                Ok(answer) => answer,
                Err(StreamError::Request(error)) if error.is_unreadable() => {
                    read.context.note_unreadable(&error);
                    let gap = windows.answered(Answer::Unreadable, None).map_err(unexpected)?;
                    is_narrowed = gap.is_none();
                    self.note_gap(read, gap);
                    continue;
                }
                Err(stream_error) => return Err(stream_error),
            };
            let elements = answer.page.elements();
            let dates: Vec<Option<i64>> = elements.iter().map(|element| element.and_then(|row| row.created)).collect();
            let identities = self.identities(&answer.page);
            let keys: Vec<u64> = identities.iter().map(|(identity, _)| *identity).collect();
            let listed = Answer::Rows {
                dates: &dates,
                keys: &keys,
                total: answer.page.envelope.total,
                requested: answer.page.asked.min(rows),
            };
            let date = answer.date.map(Timestamp::unix_seconds);
            let gap = windows.answered(listed, date).map_err(unexpected)?;
            self.note_gap(read, gap);
            let position = WindowsPosition { part: part.map(str::to_owned), reached: windows.position() };
            self.emit(read, answer, identities, Position::Windows(position)).await?;
        }
    }

    /// Requests one row, which shows the number of rows and the time of the store.
    async fn begin(&mut self, read: &mut FullRead<'_>, part: Option<&str>, is_first: bool) -> Result<i64, StreamError> {
        let query = self.requests.query(1).part(part);
        let answer = match self.requests.fetch(&query, &mut self.writer).await {
            Ok(answer) => Some(answer),
            Err(StreamError::Request(error)) if error.is_unreadable() => None,
            Err(stream_error) => return Err(stream_error),
        };
        let total = answer.as_ref().and_then(|answer| answer.page.envelope.total);
        if let Some(total) = total.filter(|_| is_first && read.context.stream == self.requests.stream) {
            read.context.output.count(total).await?;
        }
        let date = answer.and_then(|answer| answer.date);
        // Without the store's time, that of this machine decides only which windows have an end.
        let date = date.or_else(|| Timestamp::from_system(std::time::SystemTime::now()));
        Ok(date.map_or(0, Timestamp::unix_seconds))
    }

    /// Requests a part of the rows of a window.
    fn of_part(&self, query: Query, of: Part, part: Option<&str>, kinds: &'static [&'static str]) -> Query {
        let owner = of.part.and_then(|place| self.owners.get(place));
        let owner = owner.map(|owner| self.requests.client.part_of_owner(*owner));
        let kind = of.kind.and_then(|place| kinds.get(place)).copied();
        query.part(owner.as_deref().or(part)).kind(kind)
    }

    /// Emits the rows of a response that are new, or the rows inside them.
    async fn emit(
        &mut self,
        read: &mut FullRead<'_>,
        answer: FetchedPage,
        identities: Vec<(u64, Parent)>,
        position: Position,
    ) -> Result<(), StreamError> {
        let seen = &mut self.seen;
        let is_new: Vec<bool> = identities.iter().map(|(identity, _)| seen.insert(*identity)).collect();
        if read.context.stream == self.requests.stream {
            return read.emit(answer, |index, _| is_new[index], position).await;
        }
        let parents: Vec<Parent> =
            identities.into_iter().zip(is_new).filter_map(|((_, parent), is_new)| is_new.then_some(parent)).collect();
        // Its memory and its slot are free before the next request.
        drop(answer);
        let (mut parents, mut ahead) = (parents.into_iter(), RequestsAhead::new());
        let requests = Arc::clone(&self.requests);
        loop {
            let following = || parents.next().map(|parent| (parent, nested_query(&requests, parent, None)));
            let Some((parent, fetched)) = ahead.next(&requests, &mut self.writer, following).await else { break };
            self.read_nested(read, parent, fetched).await?;
        }
        read.pass(position).await
    }

    /// Returns the identity of each row, and what a request for it needs.
    fn identities(&self, rows: &Rows) -> Vec<(u64, Parent)> {
        let stream = self.requests.stream;
        let fields = stream.primary_key.iter().filter(|name| self.is_split || Some(**name) != stream.part_field);
        let fields: Vec<&str> = fields.copied().collect();
        let prefix_length = self.requests.prefix_length();
        let identity = |index: usize| {
            let data = rows.data(index, prefix_length);
            let values: Vec<&[u8]> = fields.iter().map(|name| member(data, name).unwrap_or(b"0")).collect();
            let number = |place: usize| {
                let text = std::str::from_utf8(values.get(place)?).ok()?;
                text.trim_matches('"').parse::<i64>().ok()
            };
            let parent = Parent { key: number(0).unwrap_or(0), owner: number(1).unwrap_or(0) };
            (record::hash(&values.join(&b'/')), parent)
        };
        (0..rows.rows.len()).map(identity).collect()
    }

    /// Records rows that are missing.
    fn note_gap(&self, read: &mut FullRead<'_>, gap: Option<Gap>) {
        let Some(Gap { window, cause, .. }) = gap else { return };
        let date = Timestamp::from_unix_seconds(window.from);
        match cause {
            Cause::Hidden => {
                read.add_hidden(HiddenRows { date: Some(date), is_owner_refused: self.is_owner_refused });
            }
            Cause::Unreadable | Cause::TooMany => read.add_unread_date(date),
        }
    }

    /// Emits the rows inside a row. `fetched` is the response to the request without its owner.
    async fn read_nested(
        &mut self,
        read: &mut FullRead<'_>,
        parent: Parent,
        fetched: Fetched,
    ) -> Result<(), StreamError> {
        let mut fetched = Some(fetched);
        let own = (parent.owner != 0).then_some(parent.owner);
        let mut is_other_unreadable = false;
        for owner in [None, own] {
            let fetched = match fetched.take() {
                Some(fetched) => fetched,
                None => self.requests.fetch(&nested_query(&self.requests, parent, owner), &mut self.writer).await,
            };
            let mut answer = match fetched {
                Ok(answer) => answer,
                Err(StreamError::Request(error)) if error.is_unreadable() && owner.is_none() && own.is_some() => {
                    // The damaged row may be the one of another owner.
                    read.context.note_unreadable(&error);
                    is_other_unreadable = true;
                    continue;
                }
                Err(StreamError::Request(error))
                    if error.is_unreadable() || (is_other_unreadable && error.status() == Some(403)) =>
                {
                    read.context.note_unreadable(&error);
                    read.add_unread((parent.key.checked_sub(1), Some(parent.key)));
                    return Ok(());
                }
                // It was deleted, or the request through its owner needs another privilege.
                Err(StreamError::Request(error)) if is_not_found(&error) => return Ok(()),
                Err(StreamError::Request(error)) if owner.is_some() && error.status() == Some(403) => {
                    read.add_hidden(HiddenRows { date: None, is_owner_refused: true });
                    return Ok(());
                }
                Err(stream_error) => return Err(stream_error),
            };
            let shown = self.identities(&answer.page).into_iter().next().map(|(_, shown)| shown.owner);
            // Without its owner, a store shows the row of any of them.
            if owner.is_none() && parent.owner != 0 && shown != Some(parent.owner) {
                continue;
            }
            if let Some(nested) = answer.page.nested.take() {
                read.emit_all(nested.rows).await?;
            }
            return Ok(());
        }
        Ok(())
    }
}

/// Returns the request for the rows inside a row, through its owner if there is one.
fn nested_query(requests: &StreamContext, parent: Parent, owner: Option<i64>) -> Query {
    requests.query(1).parent(ParentRow { key: parent.key, owner }).indivisible()
}

fn unexpected(error: super::date_windows::Unexpected) -> StreamError {
    StreamError::UnexpectedList(error.to_string())
}
