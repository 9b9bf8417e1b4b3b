//! The key walk: a resource read in the order of its keys, in several ranges at once.
//!
//! Page numbers move under a store that changes, and dates tie; keys do neither. Deleting or changing
//! a row moves nothing here, so nothing is skipped and nothing read twice. Every answer is checked
//! against what was asked, since the API ignores parameters it does not know.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::judge::{Judge, Verdict, id_of};
use super::ledger::When;
use super::reader::{Reader, Stop};
use super::recent::Recent;
use super::rows::{Row, Rows};
use super::saved::{Interrupted, Range, Saved};
use crate::cart::Query;
use crate::cart::query::{PAGE_SIZE, Window};
use crate::record::{Key, Updated};
use crate::streams::CURSOR;
use crate::timestamp::Timestamp;

/// Pages whose keys are kept for the page walk, should the store turn out not to honour the key walk.
/// Whether it does shows on the first pages of the first ranges.
const PAGES_ON_PROBATION: usize = 16;

/// What is to be walked.
#[derive(Debug)]
pub(super) struct Plan {
    /// The date filter that the store is asked for; the default for none.
    pub filter: Window,
    /// What is delivered.
    pub judge: Judge,
    /// The state before this walk, which each checkpoint carries on.
    pub base: Saved,
    /// The walk as it stands; `left` says what to read.
    pub walk: Interrupted,
    /// The rows of the greatest keys, in descending order, if an answer just before has brought them.
    pub page: Option<Rows>,
    /// Only look, deliver nothing.
    pub silent: bool,
}

/// Keys that were delivered by a walk that had to be given up.
pub(super) type Delivered = Vec<(Key, Updated)>;

/// A walk under way.
#[derive(Debug)]
struct Walk {
    reader: Arc<Reader>,
    filter: Window,
    judge: Judge,
    base: Saved,
    silent: bool,
    progress: Mutex<Progress>,
    ranges_added: mpsc::UnboundedSender<usize>,
}

#[derive(Debug)]
struct Progress {
    /// What is left, by the number of its range.
    ranges: BTreeMap<usize, Range>,
    next_range: usize,
    walk: Interrupted,
    delivered: Delivered,
    pages: usize,
}

/// Walks everything that is left, and gives back the walk with nothing left.
///
/// # Errors
/// [`Stop`], with the keys delivered so far if the store does not honour the walk.
pub(super) async fn run(reader: &Arc<Reader>, plan: Plan) -> Result<Interrupted, (Stop, Delivered)> {
    let (ranges_added, mut added) = mpsc::unbounded_channel();
    let ranges: BTreeMap<usize, Range> = plan.walk.left.iter().copied().enumerate().collect();
    let first: Vec<usize> = ranges.keys().copied().collect();
    let progress = Progress { next_range: ranges.len(), ranges, walk: plan.walk, delivered: Vec::new(), pages: 0 };
    let walk = Arc::new(Walk {
        reader: Arc::clone(reader),
        filter: plan.filter,
        judge: plan.judge,
        base: plan.base,
        silent: plan.silent,
        progress: Mutex::new(progress),
        ranges_added,
    });
    if let Some(page) = plan.page {
        walk.begin(page).await.map_err(|stop| (stop, Vec::new()))?;
    }
    let mut workers = JoinSet::new();
    for range in first {
        workers.spawn(Arc::clone(&walk).read(range));
    }
    loop {
        // A range is announced by a worker that is still running, so an empty set means the end.
        while let Ok(range) = added.try_recv() {
            workers.spawn(Arc::clone(&walk).read(range));
        }
        let done = tokio::select! {
            Some(range) = added.recv() => {
                workers.spawn(Arc::clone(&walk).read(range));
                continue;
            }
            done = workers.join_next() => done,
        };
        let stop = match done {
            None if added.is_empty() => break,
            None | Some(Ok(Ok(()))) => continue,
            Some(Ok(Err(stop))) => stop,
            Some(Err(panic)) => {
                workers.shutdown().await;
                std::panic::resume_unwind(panic.into_panic());
            }
        };
        workers.shutdown().await;
        if let Err(stop) = walk.checkpoint(&stop).await {
            return Err((stop, Vec::new()));
        }
        let delivered = std::mem::take(&mut walk.progress().delivered);
        return Err((stop, delivered));
    }
    let walk = walk.progress().walk.clone();
    Ok(Interrupted { left: Vec::new(), ..walk })
}

impl Walk {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        // Every change to it is complete when the lock is given back.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads one range to its end.
    async fn read(self: Arc<Self>, number: usize) -> Result<(), Stop> {
        let key = self.reader.stream.key;
        let mut copier = self.reader.copier();
        loop {
            let Some((after, end)) = self.progress().ranges.get(&number).copied() else { return Ok(()) };
            let query = Query::new(self.reader.stream.name, PAGE_SIZE)
                .sort(key)
                .keys(key, after, end)
                .window(CURSOR, &self.filter);
            let answer = self.reader.fetch(&query, &mut copier).await?;
            let rows = answer.page;
            let last = check(&rows, after, end)?;
            let (came, total, ended) = (rows.len() as u64, rows.envelope.total, rows.is_end());
            let rest = if ended { None } else { last.map(|last| (Some(last), end)) };
            self.commit(number, rows, rest).await?;
            // Before this request's own place is given back, so that what is free is free for others.
            if let (false, Some(last), Some(end), Some(total)) = (ended, last, end, total) {
                self.split(&query, number, last, end, total - came, came);
            }
            drop(answer.place);
            if ended {
                return Ok(());
            }
        }
    }

    /// Takes the page of the greatest keys. What is left of the first range lies below them, and above
    /// them where a greater key was seen before.
    async fn begin(&self, rows: Rows) -> Result<(), Stop> {
        let key = |row: Option<&Row>| row.and_then(|row| id_of(row.key));
        let (greatest, lowest) = (key(rows.rows.first()), key(rows.rows.last()));
        let below = lowest.and_then(|lowest| lowest.checked_sub(1)).filter(|_| !rows.is_end());
        {
            let mut progress = self.progress();
            let top = progress.walk.top;
            if top > greatest {
                let range = progress.next_range;
                progress.next_range += 1;
                progress.ranges.insert(range, (greatest, top));
                // The receiver lives as long as the walk.
                let _sent = self.ranges_added.send(range);
            }
        }
        self.commit(0, rows, below.map(|below| (None, Some(below)))).await
    }

    /// Sends what is to be delivered of a page and enters it, both at once. `rest` is what is left of
    /// the range, `None` if it is at its end.
    async fn commit(&self, number: usize, mut rows: Rows, rest: Option<Range>) -> Result<(), Stop> {
        let verdicts: Vec<Verdict> = rows.rows.iter().map(|row| self.judge.judge(row)).collect();
        if self.filter != Window::default() && verdicts.contains(&Verdict::Outside) {
            self.reader.warn_dates().await?;
        }
        let records = if self.silent {
            rows.retain(|_, _| false)
        } else {
            rows.retain(|index, _| verdicts[index] == Verdict::Deliver)
        };
        let mut posting = self.reader.ledger.post(records).await?;
        let mut progress = self.progress();
        match rest {
            Some(rest) => drop(progress.ranges.insert(number, rest)),
            None => drop(progress.ranges.remove(&number)),
        }
        progress.walk.read += rows.len() as u64;
        let on_probation = progress.pages < PAGES_ON_PROBATION;
        progress.pages += 1;
        posting.entries.tally.judged(&verdicts);
        for (row, verdict) in rows.rows.iter().zip(&verdicts) {
            if *verdict == Verdict::Deliver && on_probation && !self.silent {
                progress.delivered.push((row.key, row.updated));
            }
            if let (Verdict::Deliver | Verdict::Known, Updated::At(instant), Some(id)) =
                (verdict, row.updated, id_of(row.key))
            {
                progress.walk.recent.add(id, instant);
            }
        }
        if !self.silent {
            posting.send_with(rows.lines, records, When::Due, || self.state(&progress));
        }
        Ok(())
    }

    /// Sends the state of what went out, so that a stream that stops loses no ground.
    async fn checkpoint(&self, stop: &Stop) -> Result<(), Stop> {
        if self.silent || matches!(stop, Stop::Closed | Stop::Distrust(_)) {
            return Ok(());
        }
        let posting = self.reader.ledger.post(0).await?;
        let progress = self.progress();
        if posting.entries.is_uncovered() {
            posting.send_with(Vec::new().into(), 0, When::Now, || self.state(&progress));
        }
        Ok(())
    }

    fn state(&self, progress: &Progress) -> Value {
        let mut left: Vec<Range> = progress.ranges.values().copied().collect();
        left.sort_unstable();
        Saved { walk: Some(Interrupted { left, ..progress.walk.clone() }), ..self.base.clone() }.to_json()
    }

    /// Gives parts of the rest of a range to others, if there is room for more requests side by side
    /// and more than a page left for each part.
    fn split(&self, query: &Query, number: usize, last: i64, end: i64, rows_left: u64, page: u64) {
        let free = self.reader.client.free_places(query) as u64;
        let parts = (free + 1).min(rows_left.div_ceil(page.max(1)));
        let span = last.abs_diff(end);
        if parts < 2 || span < parts {
            return;
        }
        let mut progress = self.progress();
        let mut bounds: Vec<i64> = (1..parts).map(|part| last.wrapping_add_unsigned(span / parts * part)).collect();
        bounds.push(end);
        if let Some(range) = progress.ranges.get_mut(&number) {
            range.1 = bounds.first().copied();
        }
        for pair in bounds.windows(2) {
            let range = progress.next_range;
            progress.next_range += 1;
            progress.ranges.insert(range, (Some(pair[0]), Some(pair[1])));
            // The receiver lives as long as any worker.
            let _sent = self.ranges_added.send(range);
        }
    }
}

/// Checks an answer against what was asked, and gives its last key.
fn check(rows: &Rows, after: Option<i64>, end: Option<i64>) -> Result<Option<i64>, Stop> {
    let mut last = after;
    for row in &rows.rows {
        let Key::Number(id) = row.key else {
            return Err(Stop::Distrust("it sends keys that are not whole numbers"));
        };
        if after.is_some_and(|after| id <= after) || end.is_some_and(|end| id > end) {
            return Err(Stop::Distrust("it does not filter by key"));
        }
        if last.is_some_and(|last| id <= last) {
            return Err(Stop::Distrust("it does not sort by key"));
        }
        last = Some(id);
    }
    Ok(last)
}

/// A walk that begins: from the first key to the greatest there is, or on and on if that is not known.
#[must_use]
pub(super) fn from_the_start(top: Option<i64>, from: Timestamp, until: Timestamp, counted: Option<u64>) -> Interrupted {
    let left = vec![(None, top)];
    let recent = Recent::before(Some(until));
    Interrupted { from, before: None, until, left, top, recent, counted, read: 0, undated: false }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::record::{Copier, Shape};

    #[test]
    fn every_answer_is_held_against_what_was_asked() {
        let shape = Arc::new(Shape::new(&json!({"properties": {"id": {"type": "integer"}}}), "id", None));
        let checked = |ids: &str, after, end| {
            let rows: Vec<String> = ids.split_whitespace().map(|id| format!("{{\"id\":{id}}}")).collect();
            let body = format!("{{\"orders\":[{}]}}", rows.join(","));
            let rows = Rows::of(&body, b"", &mut Copier::new(Arc::clone(&shape)));
            match check(&rows, after, end) {
                Ok(last) => Ok(last),
                Err(Stop::Distrust(what)) => Err(what),
                Err(stop) => panic!("{stop:?}"),
            }
        };
        assert_eq!(checked("6 8 9", Some(5), Some(9)), Ok(Some(9)));
        assert_eq!(checked("-3 7", None, None), Ok(Some(7)));
        assert_eq!(checked("", Some(5), Some(9)), Ok(Some(5)), "an empty answer reaches no further");
        let no_filter = Err("it does not filter by key");
        assert_eq!(checked("5 8", Some(5), Some(9)), no_filter, "a key that was read already");
        assert_eq!(checked("6 10", Some(5), Some(9)), no_filter, "a key of another range");
        let no_order = Err("it does not sort by key");
        assert_eq!(checked("6 9 8", Some(5), Some(9)), no_order);
        assert_eq!(checked("6 6", Some(5), Some(9)), no_order, "a key twice");
        assert_eq!(checked("6 7.5", Some(5), None), Err("it sends keys that are not whole numbers"));
    }
}
