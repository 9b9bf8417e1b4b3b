//! The key walk: a resource read in the order of its keys, in several ranges at once.
//!
//! Page numbers move while a store changes, and many rows share one timestamp; keys do neither. Deleting or changing
//! a row moves nothing here, so nothing is skipped and nothing read twice. Every answer is checked
//! against what was asked, since the API ignores parameters it does not know.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::ends::End;
use super::judge::{Judge, Verdict, id_of};
use super::ledger::When;
use super::reader::{Reader, Stop, is_not_found};
use super::recent::{Recent, Span};
use super::rows::{Row, Rows, check_keys};
use super::saved::{Interrupted, Range, Saved};
use super::sent_rows::RangeCheck;
use crate::cart::Query;
use crate::cart::query::{PAGE_SIZE, Window};
use crate::record::{Copier, Updated};
use crate::streams::CURSOR;
use crate::timestamp::Timestamp;

/// Pages whose keys are kept for the page walk, should the store turn out not to honour the key walk.
/// Whether it does shows on the first pages of the first ranges.
const PAGES_ON_PROBATION: usize = 16;

/// Rows in a row that are passed over because the store cannot send them. A few damaged rows lie together at
/// most; where more fail, something else is wrong.
pub(super) const MOST_UNREADABLE: u64 = 5;

/// How far after the last key that was read a row is looked for that the store cannot send: three requests find one
/// within a few keys, and name at most five.
const NARROWING: [i64; 3] = [1, 3, 8];

/// Pages of a part of a range at least. With one, a third of all requests would bring pages that are not full; with
/// more, requests that could run at the same time wait at the end of a stream.
const FEWEST_PAGES: u64 = 2;

/// The part of a page that is left empty for rows that lie more densely than the average: a tenth. Of 1,000 rows with
/// a fifth of the keys deleted in runs of up to six, it is about four times the standard deviation.
const SLACK: u64 = 10;

/// Ends of ranges that are looked at again when rows are missing: as many as a walk has ranges, and more.
const MOST_TAILS: usize = 1000;

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
    pub page: Option<TopPage>,
    /// Only compare with what is remembered by ranges, deliver nothing.
    pub check: Option<RangeCheck>,
}

/// The page of the greatest keys.
#[derive(Debug)]
pub(super) struct TopPage {
    /// Its rows, in descending order.
    pub rows: Rows,
    /// Whether it holds all there is.
    pub is_all: bool,
}

/// Rows that were delivered by a walk that had to be given up, with the hash of their content.
pub(super) type Delivered = Vec<(Row, u64)>;

/// A walk that is finished.
#[derive(Debug)]
pub(super) struct Walked {
    /// The walk, with nothing left.
    pub walk: Interrupted,
    /// What was not read of each range because the store said that it ends before.
    pub tails: Vec<Range>,
    /// What was compared.
    pub check: Option<RangeCheck>,
    /// The first rows that were delivered.
    pub delivered: Delivered,
    /// The newest date within the requested dates.
    pub newest: Option<Timestamp>,
}

/// A walk under way.
#[derive(Debug)]
struct Walk {
    reader: Arc<Reader>,
    filter: Window,
    judge: Judge,
    base: Saved,
    silent: bool,
    /// The earliest date of a row whose content is compared or remembered.
    floor: Option<Timestamp>,
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
    tails: Vec<Range>,
    check: Option<RangeCheck>,
    newest: Option<Timestamp>,
    pages: usize,
}

/// Walks everything that is left, and gives back the walk with nothing left.
///
/// # Errors
/// [`Stop`], with the rows delivered so far if the store does not honour the walk.
pub(super) async fn run(reader: &Arc<Reader>, plan: Plan) -> Result<Walked, (Stop, Delivered)> {
    let (ranges_added, mut added) = mpsc::unbounded_channel();
    let ranges: BTreeMap<usize, Range> = plan.walk.left.iter().copied().enumerate().collect();
    let first: Vec<usize> = ranges.keys().copied().collect();
    let floors = [plan.judge.known.floor(), plan.walk.recent.floor()];
    let silent = plan.check.is_some();
    let progress = Progress {
        next_range: ranges.len(),
        ranges,
        walk: plan.walk,
        delivered: Vec::new(),
        tails: Vec::new(),
        check: plan.check,
        newest: None,
        pages: 0,
    };
    let walk = Arc::new(Walk {
        reader: Arc::clone(reader),
        filter: plan.filter,
        judge: plan.judge,
        base: plan.base,
        silent,
        floor: floors.into_iter().flatten().min(),
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
    let mut progress = walk.progress();
    let (tails, check) = (std::mem::take(&mut progress.tails), progress.check.take());
    let delivered = std::mem::take(&mut progress.delivered);
    let newest = progress.newest;
    Ok(Walked { walk: Interrupted { left: Vec::new(), ..progress.walk.clone() }, tails, check, delivered, newest })
}

impl Walk {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        // Every change to it is complete when the lock is given back.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn query(&self, count: usize, (after, end): Range) -> Query {
        let key = self.reader.stream.key;
        Query::new(self.reader.stream.name, count).sort(key).keys(key, after, end).window(CURSOR, &self.filter)
    }

    /// Reads one range to its end.
    async fn read(self: Arc<Self>, number: usize) -> Result<(), Stop> {
        let mut copier = self.reader.copier();
        // Whether the answer before counted all rows as listed, while another sign said that there are more.
        let mut was_counted_out = false;
        loop {
            let Some(range) = self.progress().ranges.get(&number).copied() else { return Ok(()) };
            let query = self.query(PAGE_SIZE, range).in_range(number);
            let answer = match self.reader.fetch_range(&query, range, &mut copier).await {
                Err(Stop::Request(error)) if error.is_unreadable() => {
                    self.reader.note_unreadable(&error);
                    self.skip(number, range, Stop::Request(error), &mut copier).await?;
                    continue;
                }
                answer => answer?,
            };
            let rows = answer.page;
            let last = check_keys(&rows.rows, range).map_err(Stop::Distrust)?;
            let ends = &self.reader.ends;
            if was_counted_out && !rows.rows.is_empty() {
                self.reader.miscounted().await?;
            }
            let end = match ends.of(&rows) {
                // Behind its last key a range holds nothing.
                _ if rows.rows.is_empty() || last.is_some() && last == range.1 => End::Reached,
                end => end,
            };
            if end == End::More {
                ends.followed(&rows);
            }
            was_counted_out = rows.envelope.total.is_some_and(|total| total <= rows.listed());
            let (came, total, ended) = (rows.listed(), rows.envelope.total, end == End::Reached);
            let rest = if ended { None } else { last.map(|last| (Some(last), range.1)) };
            if ended && (last.is_none() || last != range.1) {
                let mut progress = self.progress();
                if progress.tails.len() < MOST_TAILS {
                    progress.tails.push((last, range.1));
                }
            }
            self.commit(number, rows, rest).await?;
            // Before this request's own place is given back, so that what is free is free for others.
            if let (false, Some(last), Some(end), Some(total)) = (ended, last, range.1, total)
                && total > came
            {
                self.split(&query, number, last, end, total - came, came);
            }
            drop(answer.place);
            if ended {
                return Ok(());
            }
        }
    }

    /// Passes over the first row of a range, which the store cannot send: the row after it is requested by its
    /// place, and tells between which keys the missing one lies.
    async fn skip(&self, number: usize, range: Range, stop: Stop, copier: &mut Copier) -> Result<(), Stop> {
        for page in 2..=1 + MOST_UNREADABLE {
            let query = self.query(1, range).page(page);
            let answer = match self.reader.fetch(&query, copier).await {
                Ok(answer) => answer.page,
                Err(Stop::Request(error)) if error.is_unreadable() => continue,
                // The missing row is the last.
                Err(Stop::Request(error)) if is_not_found(&error) => Rows::default(),
                Err(stop) => return Err(stop),
            };
            check_keys(&answer.rows, range).map_err(Stop::Distrust)?;
            let next = answer.rows.first().and_then(|row| id_of(row.key)).and_then(|id| id.checked_sub(1));
            if next.is_some() && next == range.0 {
                return Err(Stop::Distrust("it counts pages in another order than that of the keys"));
            }
            let unread = match (range.0, next.or(range.1)) {
                (Some(after), None) if page == 2 => self.narrow(after, copier).await?,
                unread => unread,
            };
            let mut progress = self.progress();
            progress.walk.unread.push(unread);
            // As many rows as were passed over by their place.
            progress.walk.read += page - 1;
            match next {
                Some(next) => drop(progress.ranges.insert(number, (Some(next), range.1))),
                None => drop(progress.ranges.remove(&number)),
            }
            return Ok(());
        }
        Err(stop)
    }

    /// Looks for the key of a row that the store cannot send, and that has none after it. Keys that follow each other
    /// closely are found.
    async fn narrow(&self, after: i64, copier: &mut Copier) -> Result<Range, Stop> {
        let mut below = after;
        for step in NARROWING {
            let Some(end) = after.checked_add(step) else { break };
            match self.reader.fetch(&self.query(1, (Some(below), Some(end))), copier).await {
                Ok(answer) if answer.page.rows.is_empty() => below = end,
                Err(Stop::Request(error)) if is_not_found(&error) => below = end,
                Err(Stop::Request(error)) if error.is_unreadable() => return Ok((Some(below), Some(end))),
                // It came meanwhile, or another one did.
                Ok(_) | Err(Stop::Request(_)) => break,
                Err(stop) => return Err(stop),
            }
        }
        Ok((Some(after), None))
    }

    /// Takes the page of the greatest keys. What is left of the first range lies below them, and above
    /// them where a greater key was seen before.
    async fn begin(&self, TopPage { rows, is_all }: TopPage) -> Result<(), Stop> {
        let key = |row: Option<&Row>| row.and_then(|row| id_of(row.key));
        let (greatest, lowest) = (key(rows.rows.first()), key(rows.rows.last()));
        let below = lowest.and_then(|lowest| lowest.checked_sub(1)).filter(|_| !is_all);
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
            if is_all && let Some(lowest) = lowest {
                progress.tails.push((None, Some(lowest - 1)));
            }
        }
        self.commit(0, rows, below.map(|below| (None, Some(below)))).await
    }

    /// Sends what is to be delivered of a page and enters it, both at once. `rest` is what is left of
    /// the range, `None` if it is at its end.
    async fn commit(&self, number: usize, mut rows: Rows, rest: Option<Range>) -> Result<(), Stop> {
        let hashes = rows.hashes(self.floor, self.reader.prefix_length());
        let verdicts: Vec<Verdict> =
            rows.rows.iter().zip(&hashes).map(|(row, &hash)| self.judge.judge(row, hash)).collect();
        if self.filter != Window::default() && rows.rows.iter().any(|row| row.is_outside(&self.filter)) {
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
        if !self.silent {
            posting.entries.tally.judged(&verdicts);
        }
        for ((row, verdict), &hash) in rows.rows.iter().zip(&verdicts).zip(&hashes) {
            if *verdict == Verdict::Deliver && on_probation && !self.silent {
                progress.delivered.push((*row, hash));
            }
            let Some(id) = id_of(row.key) else { continue };
            if let (Some(check), Updated::At(instant)) = (&mut progress.check, row.updated)
                && self.judge.known.floor().is_some_and(|floor| instant >= floor)
            {
                check.add(id, hash);
            }
            if matches!(verdict, Verdict::Deliver | Verdict::Known) {
                if let Updated::At(instant) = row.updated {
                    progress.newest = progress.newest.max(Some(instant));
                }
                progress.walk.recent.add(id, row, hash);
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
        let walk = Some(Interrupted { left, ..progress.walk.clone() });
        Saved { walk, miscounts: self.reader.ends.is_count_wrong(), ..self.base.clone() }.to_json()
    }

    /// Splits the rest of a range into parts for the requests that may run at the same time.
    fn split(&self, query: &Query, number: usize, last: i64, end: i64, rows_left: u64, page: u64) {
        let free = self.reader.client.free_places(query) as u64;
        let mut bounds = part_bounds((last, end), rows_left, page, free + 1);
        if bounds.is_empty() {
            return;
        }
        bounds.push(end);
        let mut progress = self.progress();
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

/// Returns the last key of each part but the last, for a range of keys `(after, end]` that holds `rows` rows and is
/// to be read in at most `most` parts, with pages of `page` rows.
///
/// Each part ends with a page that is not full, which costs a request. So a part has a few pages at least, and is
/// expected to fill its pages almost: keys are deleted here and there, and rows beyond the last page would need one
/// more request.
fn part_bounds((after, end): (i64, i64), rows: u64, page: u64, most: u64) -> Vec<i64> {
    let (span, page) = (after.abs_diff(end), page.max(1));
    let parts = most.min(rows.div_ceil(page.saturating_mul(FEWEST_PAGES)));
    if parts < 2 || span < parts {
        return Vec::new();
    }
    let slack = if span == rows { 0 } else { page / SLACK };
    let rows_of_part = rows.div_ceil(page).div_ceil(parts).saturating_mul(page) - slack;
    let keys = u128::from(span) * u128::from(rows_of_part) / u128::from(rows);
    // At least one key, and never more than the span, so that it fits.
    let keys = u64::try_from(keys).unwrap_or(span).max(1);
    (1..parts)
        .map_while(|part| keys.checked_mul(part).filter(|&keys| keys < span))
        .map(|keys| after.wrapping_add_unsigned(keys))
        .collect()
}

/// A walk that begins: from the first key to the greatest there is, or on and on if that is not known.
#[must_use]
pub(super) fn from_the_start(
    top: Option<i64>,
    from: Timestamp,
    until: Option<Timestamp>,
    counted: Option<u64>,
) -> Interrupted {
    // Where no row has a date, all of them are remembered: nothing else tells them from new ones.
    let recent = Recent::of(until.map_or(Span::Everything(None), Span::Overlap));
    let left = vec![(None, top)];
    Interrupted {
        from,
        asked_from: None,
        before: None,
        until,
        left,
        top,
        recent,
        counted,
        read: 0,
        undated: false,
        unread: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::part_bounds;

    #[test]
    fn parts_of_keys_without_gaps_are_whole_pages() {
        assert_eq!(part_bounds((0, 10_000), 10_000, 1000, 5), [2000, 4000, 6000, 8000]);
        assert_eq!(part_bounds((100, 7_100), 7_000, 1000, 3), [3100, 6100]);
        // Two, two and one page.
        assert_eq!(part_bounds((0, 4_100), 4_100, 1000, 3), [2000, 4000]);
    }

    #[test]
    fn parts_of_keys_with_gaps_leave_room_in_their_last_page() {
        // Two keys a row: 1,900 rows in two pages.
        assert_eq!(part_bounds((0, 8_000), 4_000, 1000, 2), [3800]);
    }

    #[test]
    fn what_is_too_small_is_not_split() {
        assert!(part_bounds((0, 2_000), 2_000, 1000, 8).is_empty());
        assert!(part_bounds((0, 1), 5_000, 1000, 8).is_empty());
        assert!(part_bounds((0, 9_000), 9_000, 1000, 1).is_empty());
        assert!(part_bounds((5, 5), 0, 0, 8).is_empty());
    }

    #[test]
    fn bounds_lie_within_the_range_whatever_is_counted() {
        for (after, end) in [(i64::MIN, i64::MAX), (-5, 3), (0, i64::MAX), (i64::MAX - 9, i64::MAX)] {
            for rows in [1, 9, 1_000, 123_456, u64::MAX] {
                for page in [1, 7, 1_000, u64::MAX] {
                    let bounds = part_bounds((after, end), rows, page, 8);
                    assert!(bounds.len() < 8);
                    assert!(bounds.is_sorted() && bounds.iter().all(|&bound| after < bound && bound < end));
                }
            }
        }
    }
}
