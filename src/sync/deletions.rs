//! Finds the rows that the store deleted since the last sync, and reports them (`docs/reference/deletions.md`).
//!
//! After a finished incremental pass, one request counts the rows up to the greatest known key. If the number differs
//! from that of the known ids, `bisection` finds where, and each row that is missing there is requested once more by
//! its key. A row that the store does not list then is deleted: a tombstone is emitted, and then a state that does not
//! know the row any more. Rows that are listed and were not known are emitted.

use std::sync::Arc;

use super::bisection::{Bisection, Step};
use super::checkpoint::{Checkpoint, Range};
use super::context::{FetchedPage, StreamContext, StreamError};
use super::deletion_tracker::DeletionTracker;
use super::id_set::IdSet;
use super::known_ids::{KnownIds, most_deleted};
use super::list_end::End;
use super::query::{DateRange, Order};
use super::row_filter::{Decision, RowFilter, id_of};
use super::rows::{Row, check_keys};
use super::sent_rows::{Retention, SentRows};
use super::stream_output::StatePolicy;
use crate::airbyte::message::{RECORD_SUFFIX, record_prefix};
use crate::airbyte::{Level, LineBatch};
use crate::record::{CursorValue, Key};
use crate::stream::DELETED;
use crate::timestamp::Timestamp;

/// Maximum number of rows in one request by key, without the row that must be listed.
const MOST_KEYS: usize = 100;

/// Maximum length of the keys in a request, with the characters around each: Windows web servers refuse query strings
/// above 2,048 bytes by default, and the other parameters take less than 200.
const LONGEST_KEYS: usize = 1_850;

/// Characters around a key in a request.
const AROUND_KEY: usize = 9;

/// Tombstones in one batch: as many as the rows of a page.
const BATCH: usize = 1_000;

/// The reason why a stream with too many ids is read without them.
const TOO_MANY: &str = "the ids of its rows do not fit in the state (1 MiB per stream, 32 MiB for all)";

/// The difference between the known ids and the store.
#[derive(Debug, Default)]
struct Differences {
    /// Known rows that are not listed.
    missing: Vec<i64>,
    /// Listed rows that are not known.
    unknown: Vec<i64>,
    /// The greatest known row that is listed: the last one of a list of rows by their keys.
    alive: Option<i64>,
}

/// Rows that the store lists, the number that it counts, and its time.
type FoundRows = (Vec<Row>, Option<u64>, Option<Timestamp>);

/// Rows that were requested by key.
#[derive(Debug, Default)]
struct Proof {
    /// Rows that the store does not list.
    deleted: Vec<i64>,
    /// Rows that exist, but are outside the date filter.
    outside: Vec<i64>,
    /// The store's time of the last response.
    found_at: Option<Timestamp>,
}

/// Looks for deleted rows after a finished pass. `checkpoint` is the state after the pass.
///
/// # Errors
/// [`StreamError`] if a request fails permanently. The rows of the pass are covered by a state then.
pub(super) async fn report(context: &Arc<StreamContext>, checkpoint: &mut Checkpoint) -> Result<(), StreamError> {
    let Some(tracker) = context.output.deletions().filter(|tracker| tracker.detects) else { return Ok(()) };
    let search = DeletionSearch { context, keys: context.for_keys(), tracker };
    let found = match search.run(checkpoint).await {
        Err(StreamError::UnexpectedResponse(what)) => {
            let text = format!(
                "deleted rows are not detected, because the store does not list rows by key as documented ({what})."
            );
            context.output.warn_once("deletions", &text).await?;
            Ok(())
        }
        Err(StreamError::Request(error)) if error.is_unreadable() => {
            let text = "deleted rows are not detected in this sync, because the store cannot send a list of ids.";
            context.output.warn_once("deletions", text).await?;
            Ok(())
        }
        found => found,
    };
    if found.is_err() && !matches!(found, Err(StreamError::Closed)) {
        let state = checkpoint.to_json();
        context.output.begin_batch(0).await?.send_state(StatePolicy::Now, || state);
    }
    found
}

/// A search for deleted rows.
struct DeletionSearch<'r> {
    context: &'r Arc<StreamContext>,
    /// For requests that list keys.
    keys: StreamContext,
    tracker: &'r DeletionTracker,
}

impl DeletionSearch<'_> {
    async fn run(&self, checkpoint: &mut Checkpoint) -> Result<(), StreamError> {
        // Measures the keys, and forgets them if there are too many.
        self.tracker.size();
        let known = self.tracker.known();
        if let Some(why) = self.obstacle(&known) {
            return self.warn(why).await;
        }
        // An end date before the cursor hides rows that are not deleted.
        let is_set_back = self.context.end.is_some_and(|end| Some(end) <= checkpoint.cursor);
        if known.is_too_large || is_set_back {
            return Ok(());
        }
        let (differences, counted) = match self.tracker.take_listed() {
            Some(listed) => (compare(&known, &listed), listed.len()),
            None if !self.tracker.is_built() => return self.list_all(checkpoint).await,
            None => match self.differences(&known).await? {
                Some(found) => found,
                None => return Ok(()),
            },
        };
        if self.is_refused(&known, differences.missing.len() as u64, counted).await? {
            return Ok(());
        }
        self.tracker.set_refused(None);
        let proof = self.prove(&differences).await?;
        self.emit_unknown(&differences.unknown, checkpoint).await?;
        self.emit_tombstones(proof, checkpoint).await
    }

    /// Returns the reason why deleted rows cannot be found, as a clause, if there is one.
    fn obstacle(&self, known: &KnownIds) -> Option<&'static str> {
        let capabilities = &self.context.capabilities;
        if !capabilities.key_counts || !capabilities.key_ranges || capabilities.total_field.is_none() {
            return Some("the API does not count rows by their ids");
        }
        if self.context.end_detector.is_count_wrong() {
            return Some("the store's count is wrong");
        }
        if self.tracker.has_other_keys() {
            return Some("the ids of this stream are not whole numbers");
        }
        (known.is_too_large && self.tracker.gave_up()).then_some(TOO_MANY)
    }

    /// Warns that deleted rows are not detected; the clause says why.
    async fn warn(&self, why: &str) -> Result<(), StreamError> {
        let text = format!("deleted rows are not detected, because {why}.");
        Ok(self.context.output.warn_once("deletions", &text).await?)
    }

    /// Compares the count of the rows with the known ids; if it differs, lists the ranges that differ. Returns `None`
    /// if there is nothing more to do.
    async fn differences(&self, known: &KnownIds) -> Result<Option<(Differences, u64)>, StreamError> {
        let Some(greatest) = known.ids().max() else { return Ok(None) };
        let counted = self.count((None, Some(greatest))).await?;
        if counted == known.ids().len() {
            self.tracker.set_refused(None);
            return Ok(None);
        }
        // An answer that was refused is not looked into again until it changes.
        let gone = known.ids().len().saturating_sub(counted);
        let was_refused = known.refused == Some((counted, self.tracker.percent));
        if self.is_refused(known, if was_refused { u64::MAX } else { gone }, counted).await? {
            return Ok(None);
        }
        let mut found = Differences::default();
        let page = self.context.page_size() as u64;
        let mut search = Bisection::new(known.ids(), counted, page);
        while let Some(step) = search.next() {
            match step {
                Step::Count(range) => {
                    let counted = self.count(range).await?;
                    if search.counted(counted).is_err() {
                        // Rows were added meanwhile: the next sync counts again.
                        let text = format!(
                            "{}: rows were added while deleted ones were searched; the next sync searches again.",
                            self.context.output.name()
                        );
                        self.context.output.emitter().log(Level::Info, &text).await?;
                        return Ok(None);
                    }
                }
                Step::List((after, end)) => {
                    let Some(end) = end else { continue };
                    let listed = self.list((after, Some(end))).await?;
                    found.missing.extend(known.ids().missing_from(&listed, after, end));
                    found.unknown.extend(listed.missing_from(known.ids(), after, end));
                    found.alive = found.alive.max(listed.iter().filter(|&id| known.ids().contains(id)).last());
                }
            }
        }
        if found.alive.is_none() {
            let missing: IdSet = found.missing.iter().copied().collect();
            found.alive = known.ids().missing_from(&missing, None, greatest).pop();
        }
        Ok(Some((found, counted)))
    }

    /// Returns the number of rows of a range of keys.
    async fn count(&self, range: Range) -> Result<u64, StreamError> {
        let query = self.keys.query(1).keys(range.0, range.1).date_range(&self.tracker.filter());
        let answer = self.keys.fetch_range(&query, range, &mut self.keys.writer()).await?;
        check_keys(&answer.page.rows, range).map_err(StreamError::UnexpectedResponse)?;
        match answer.page.envelope.total {
            Some(total) => Ok(total),
            None if answer.is_missing => Ok(0),
            None => Err(StreamError::UnexpectedResponse("a response has no count")),
        }
    }

    /// Returns the keys of a range.
    async fn list(&self, range: Range) -> Result<IdSet, StreamError> {
        let mut listed = IdSet::default();
        self.list_rows(range, self.tracker.filter(), |_, id| {
            listed.insert(id);
        })
        .await?;
        Ok(listed)
    }

    /// Lists the rows of a range in the order of their keys.
    async fn list_rows(
        &self,
        mut range: Range,
        filter: DateRange,
        mut take: impl FnMut(&Row, i64),
    ) -> Result<(), StreamError> {
        let mut writer = self.keys.writer();
        loop {
            let query = self.keys.page_query().sort(Order::Key).keys(range.0, range.1).date_range(&filter);
            let FetchedPage { page, .. } = self.keys.fetch_range(&query, range, &mut writer).await?;
            let last = check_keys(&page.rows, range).map_err(StreamError::UnexpectedResponse)?;
            for row in &page.rows {
                if let Key::Number(id) = row.key {
                    take(row, id);
                }
            }
            // Each row that is missing here is requested once more, so the end needs no further sign.
            let is_counted_out = page.envelope.total.is_some_and(|total| total <= page.listed()) && range.1.is_some();
            let is_end = page.rows.is_empty() || last == range.1 || self.keys.end_detector.of(&page) == End::Reached;
            if is_end || is_counted_out {
                return Ok(());
            }
            range.0 = last;
        }
    }

    /// Lists the ids of all rows, when detection begins for a stream that was read before.
    async fn list_all(&self, checkpoint: &Checkpoint) -> Result<(), StreamError> {
        let context = self.context;
        let mut known = KnownIds::new(&self.tracker.known().scope);
        known.is_unfiltered = context.stream.may_lack_updated_at || checkpoint.reads_all_rows;
        let filter = if known.is_unfiltered { DateRange::default() } else { self.tracker.filter() };
        let wanted = DateRange { from: Some(context.start), before: context.end, ..DateRange::default() };
        let mut newest = checkpoint.cursor;
        self.list_rows((None, None), filter, |row, id| {
            let is_delivered = !row.is_outside(&wanted);
            known.add(id, is_delivered);
            if let CursorValue::At(date) = row.updated
                && is_delivered
            {
                newest = newest.max(Some(date));
            }
        })
        .await?;
        known.newest = newest;
        let text = format!(
            "{}: the ids of {} rows were listed; deleted rows are reported from the next sync on.",
            context.output.name(),
            known.ids().len()
        );
        self.tracker.build(known);
        self.tracker.size();
        if self.tracker.gave_up() {
            return self.warn(TOO_MANY).await;
        }
        Ok(context.output.emitter().log(Level::Info, &text).await?)
    }

    /// Refuses a mass deletion, with a warning. `gone` is the number of rows that seem to be deleted.
    async fn is_refused(&self, known: &KnownIds, gone: u64, counted: u64) -> Result<bool, StreamError> {
        let all = known.ids().len();
        let most = most_deleted(all, self.tracker.percent);
        if gone <= most {
            return Ok(false);
        }
        self.tracker.set_refused(Some(counted));
        let text = format!(
            "the store counts {counted} of {all} known rows; more than {most} deleted rows at once are not believed, and none is reported. If they were deleted, set `max_deleted_percent` (now {}) higher.",
            self.tracker.percent
        );
        self.context.output.warn_once("mass deletion", &text).await?;
        Ok(true)
    }

    /// Requests the missing rows once more, by their keys. In each request one row that exists must be listed, to
    /// show that the store answers such requests.
    async fn prove(&self, differences: &Differences) -> Result<Proof, StreamError> {
        let mut proof = Proof::default();
        for ids in lists(&differences.missing) {
            let requested = ids.iter().copied().chain(differences.alive).collect();
            let (rows, counted, found_at) = self.rows_of(requested).await?;
            let found = |id: i64| rows.iter().find(|row| row.key == Key::Number(id));
            // A row that is counted exists, although it is not listed.
            let is_short = counted.is_some_and(|counted| counted != rows.len() as u64);
            if is_short || differences.alive.is_some_and(|alive| found(alive).is_none()) {
                let text = format!(
                    "{}: deleted rows could not be confirmed by their ids; the next sync searches again.",
                    self.context.output.name()
                );
                self.context.output.emitter().log(Level::Info, &text).await?;
                continue;
            }
            proof.found_at = proof.found_at.max(found_at);
            let filter = self.tracker.filter();
            for &id in ids {
                match found(id) {
                    None => proof.deleted.push(id),
                    Some(row) if filter != DateRange::default() && !row.is_within(&filter) => proof.outside.push(id),
                    // The list was wrong, or the row was restored.
                    Some(_) => {}
                }
            }
        }
        Ok(proof)
    }

    /// Requests rows by their keys, in as many pages as the store needs. Returns those that it lists, the number that
    /// it counts, and its time.
    async fn rows_of(&self, mut requested: Vec<i64>) -> Result<FoundRows, StreamError> {
        let (mut rows, mut counted, mut date) = (Vec::new(), None, None);
        let mut writer = self.keys.writer();
        while !requested.is_empty() {
            let query = self.keys.query(requested.len()).sort(Order::Key).one_of(&requested);
            let answer = self.keys.fetch(&query, &mut writer).await?;
            date = answer.date.or(date);
            counted = counted.or(answer.page.envelope.total);
            requested = rest(&answer, requested)?;
            rows.extend(answer.page.rows);
        }
        Ok((rows, counted, date))
    }

    /// Reads and emits rows that the store lists and that were not known.
    async fn emit_unknown(&self, unknown: &[i64], checkpoint: &mut Checkpoint) -> Result<(), StreamError> {
        let context = self.context;
        let date_range = DateRange { from: Some(context.start), before: context.end, ..DateRange::default() };
        let date_range = if context.stream.has_updated_at { date_range } else { DateRange::default() };
        let known = SentRows::of(Retention::Nothing);
        let row_filter = RowFilter { date_range, later_than: None, include_missing_dates: true, known };
        let mut lists: Vec<Vec<i64>> = lists(unknown).into_iter().rev().map(<[i64]>::to_vec).collect();
        while let Some(ids) = lists.pop() {
            let query = context.query(ids.len()).sort(Order::Key).one_of(&ids);
            let answer = context.fetch(&query, &mut context.writer()).await?;
            let further = rest(&answer, ids)?;
            if !further.is_empty() {
                lists.push(further);
            }
            let FetchedPage { page: mut rows, slot, .. } = answer;
            let floor = checkpoint.sent_rows.floor();
            let (hashes, decisions) = row_filter.decide_rows(&rows, floor, context.prefix_length());
            let records = rows.retain(|index, _| decisions[index] == Decision::Emit);
            let batch = context.output.begin_batch(records).await?;
            for ((row, decision), &hash) in rows.rows.iter().zip(&decisions).zip(&hashes) {
                if let (Decision::Emit, Some(id)) = (decision, id_of(row.key)) {
                    checkpoint.sent_rows.add(id, row, hash);
                }
            }
            batch.note(&rows.rows, &decisions);
            self.tracker.add_listed(&rows.rows);
            batch.send(rows.lines, records);
            drop(slot);
        }
        Ok(())
    }

    /// Emits the tombstones, and a state without these rows in the same batch.
    async fn emit_tombstones(&self, proof: Proof, checkpoint: &Checkpoint) -> Result<(), StreamError> {
        self.tracker.remove(&proof.outside);
        let known = self.tracker.known();
        // The destination keeps the version with the latest date, so no row that was sent may have a later one.
        let latest = proof.found_at.into_iter().chain(checkpoint.cursor).chain(known.newest).max();
        let latest = latest.unwrap_or(self.context.start);
        let found_at = proof.found_at.unwrap_or(latest);
        let prefix = record_prefix(self.context.output.name());
        let batches = proof.deleted.chunks(BATCH);
        let last = batches.len();
        for (number, ids) in batches.enumerate() {
            let mut lines: LineBatch = self.context.output.emitter().lines();
            let mut records = 0;
            for &id in ids.iter().filter(|&&id| known.is_delivered(id)) {
                let (_, line) = lines.begin_line();
                line.extend_from_slice(&prefix);
                line.extend_from_slice(self.tombstone(id, found_at, latest).as_bytes());
                line.extend_from_slice(RECORD_SUFFIX);
                records += 1;
            }
            let mut batch = self.context.output.begin_batch(records).await?;
            self.tracker.remove(ids);
            batch.inner.stats.deleted += records as u64;
            // The last ones are covered by the final state, which follows at once.
            if number + 1 < last {
                batch.send_with_state(lines, records, StatePolicy::WhenDue, || checkpoint.to_json());
            } else {
                batch.send(lines, records);
            }
        }
        Ok(())
    }

    /// Returns the record of a deleted row.
    fn tombstone(&self, id: i64, found_at: Timestamp, latest: Timestamp) -> String {
        let stream = self.context.stream;
        let updated = match stream.has_updated_at {
            true => format!(",\"{}\":\"{latest}\"", stream.cursor_field),
            false => String::new(),
        };
        format!("{{\"{}\":{id}{updated},\"{DELETED}\":\"{found_at}\"{}}}", stream.key(), self.tracker.nulls)
    }
}

/// Returns the requested keys that a further page may list: those after the last one, if the store counts more rows.
///
/// # Errors
/// [`StreamError::UnexpectedResponse`] if other keys are listed, or in another order.
fn rest(answer: &FetchedPage, requested: Vec<i64>) -> Result<Vec<i64>, StreamError> {
    let listed = check_keys(&answer.page.rows, (None, None)).map_err(StreamError::UnexpectedResponse)?;
    if answer.page.rows.iter().any(|row| id_of(row.key).is_none_or(|id| !requested.contains(&id))) {
        return Err(StreamError::UnexpectedResponse("it does not filter by several keys"));
    }
    let is_short = answer.page.envelope.total.is_some_and(|total| total > answer.page.listed());
    let is_after = |id: &i64| listed.is_some_and(|last| *id > last);
    Ok(if is_short { requested.into_iter().filter(is_after).collect() } else { Vec::new() })
}

/// Compares the known ids with a complete list.
fn compare(known: &KnownIds, listed: &IdSet) -> Differences {
    let Some(greatest) = known.ids().max() else { return Differences::default() };
    Differences { missing: known.ids().missing_from(listed, None, greatest), unknown: Vec::new(), alive: listed.max() }
}

/// Splits keys into lists that fit in a request.
fn lists(ids: &[i64]) -> Vec<&[i64]> {
    let (mut lists, mut rest) = (Vec::new(), ids);
    while !rest.is_empty() {
        let mut length = 0;
        let fits = |id: &&i64| {
            length += AROUND_KEY + id.to_string().len();
            // Space for the row that must be listed.
            length + AROUND_KEY + 20 <= LONGEST_KEYS
        };
        let most = rest.iter().take(MOST_KEYS).take_while(fits).count().max(1);
        let (list, further) = rest.split_at(most);
        lists.push(list);
        rest = further;
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_keys_fit_in_a_query_string() {
        let short: Vec<i64> = (1_000_000..1_000_250).collect();
        assert_eq!(lists(&short).iter().map(|list| list.len()).collect::<Vec<_>>(), [100, 100, 50]);
        let long: Vec<i64> = (0..150).map(|n| i64::MIN + n).collect();
        let lists = lists(&long);
        assert!(lists.iter().all(|list| list.len() * 29 <= LONGEST_KEYS) && lists.concat() == long);
        assert!(super::lists(&[]).is_empty());
    }
}
