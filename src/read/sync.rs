//! The sync of one stream: which walks, in which order, and what the state says afterwards.
//!
//! 1. What an interrupted walk left is read first, and what the store could not send before is tried again.
//! 2. Then one request asks for the newest changes; on a first sync and in a full refresh for the newest
//!    rows whatever their date. If it holds all there is, that was the sync.
//! 3. If not, it has shown the newest change; the key walk reads everything, and the cursor becomes
//!    that change. What changes behind the walk is newer, so the next sync brings it.
//!
//! A store that does not answer as documented is read by the page walk instead.

use std::sync::Arc;

use super::ends::End;
use super::filter::{self, Checked};
use super::judge::{Judge, Verdict, id_of};
use super::key_walk::{self, TopPage};
use super::ledger::When;
use super::left_out;
use super::page_walk;
use super::questions::{self, SAMPLE, Top};
use super::reader::{Fetched, Reader, Stop, is_not_found};
use super::receipt::Receipt;
use super::recent::{OVERLAP_SECONDS, Recent, Span};
use super::rows::{Row, Rows};
use super::saved::{Interrupted, Job, Range, Saved, joined};
use super::whole;
use crate::cart::Query;
use crate::cart::query::{PAGE_SIZE, Window};
use crate::streams::CURSOR;
use crate::timestamp::Timestamp;

/// A sync that came to its end.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The state after it.
    pub saved: Saved,
    /// What it had to leave out.
    pub left_out: Option<Stop>,
}

/// Reads one stream to its end and gives back its final state; `job` is what a full refresh is done for.
///
/// # Errors
/// [`Stop`]
pub(crate) async fn run(
    reader: &Arc<Reader>,
    saved: Saved,
    full_refresh: bool,
    job: Option<Job>,
) -> Result<Finished, Stop> {
    let sync = Sync { reader, full_refresh };
    let mut saved = if !reader.stream.dated {
        Saved { unread: sync.without_dates().await?, ..Saved::default() }
    } else {
        if saved.miscounts {
            reader.ends.contradicted();
        }
        let saved = left_out::retry(reader, sync.window(reader.start), saved).await?;
        match Box::pin(sync.resume(saved)).await? {
            (base, true) => base,
            (base, false) => Box::pin(sync.changes(base)).await?,
        }
    };
    saved.keyless = saved.keyless.max(reader.keyless());
    saved.miscounts = reader.ends.is_count_wrong();
    let left_out = (!saved.unread.is_empty() || saved.keyless > 0).then(|| Stop::LeftOut {
        unread: saved.unread.clone(),
        between: Vec::new(),
        keyless: saved.keyless,
        not_text: reader.is_not_text(),
    });
    let saved = match reader.stream.dated {
        true if full_refresh => saved.refreshed(job, left_out.is_none()),
        true => saved,
        false => Saved::default(),
    };
    Ok(Finished { saved, left_out })
}

struct Sync<'r> {
    reader: &'r Arc<Reader>,
    full_refresh: bool,
}

impl Sync<'_> {
    /// The first instant that a sync from this state delivers.
    fn from(&self, cursor: Option<Timestamp>) -> Timestamp {
        cursor.map_or(self.reader.start, |cursor| cursor.minus_seconds(OVERLAP_SECONDS).max(self.reader.start))
    }

    fn window(&self, from: Timestamp) -> Window {
        Window { from: Some(from), before: self.reader.end, ..Window::default() }
    }

    /// Finishes what an interrupted run left. The state that is given back has no walk; with `true`, the sync is
    /// finished with it.
    async fn resume(&self, saved: Saved) -> Result<(Saved, bool), Stop> {
        let mut base = Saved { full: self.full_refresh, walk: None, ..saved.clone() };
        let Some(mut walk) = saved.walk else { return Ok((base, false)) };
        // With other dates in the config, what was read may not be what is wanted now.
        if walk.from != self.from(saved.cursor) || walk.before != self.reader.end {
            return Ok((base, false));
        }
        self.reader.ledger.resume(walk.counted.map(|counted| counted.saturating_sub(walk.read))).await?;
        let until = walk.until;
        let unfiltered = walk.undated;
        let filter = match filter::widened(self.reader, walk.from, saved.look_back) {
            _ if unfiltered => Window::default(),
            usual => Window { from: walk.asked_from.or(usual.from), ..usual },
        };
        if unfiltered && let Some(old) = walk.top {
            // Rows without a date that came since are in no date filter of the pass that follows.
            let top = questions::top(self.reader, SAMPLE, &filter, &[]).await?;
            walk.top = top.and_then(|(top, _)| top.known()).map(|new| new.max(old));
            if walk.top != Some(old) {
                walk.left.push((Some(old), walk.top));
            }
        }
        let judge = Judge {
            window: self.window(walk.from),
            later_than: until,
            undated: unfiltered,
            known: base.recent.clone(),
        };
        let plan = key_walk::Plan { filter, judge: judge.clone(), base: base.clone(), walk, page: None, check: None };
        match key_walk::run(self.reader, plan).await {
            Ok(walked) => {
                // Said at once, so that a kill in the pass that follows does not undo it.
                let done = Saved { walk: Some(walked.walk.clone()), ..base.clone() }.to_json();
                self.reader.ledger.post(0).await?.send_with(Vec::new().into(), 0, When::Now, || done);
                let receipt = Receipt { reader: self.reader, filter, judge, base: &base, all: None, is_resumed: true };
                let walk = match receipt.settle(walked).await {
                    // What was read so far comes once more, with all that changed since.
                    Err(Stop::Distrust(what)) => {
                        self.reader.warn_keys(what).await?;
                        return Ok((base, false));
                    }
                    walk => walk?,
                };
                let is_wrong =
                    self.reader.ends.is_count_wrong() || walk.counted.is_some_and(|counted| walk.read > counted);
                if is_wrong && base.cursor.is_none() && !unfiltered && !self.reader.stream.undated_rows {
                    self.confirm_dated(&base).await?;
                }
                base = after(&base, until, walk);
                // Without any date there is nothing that a further pass could ask for.
                Ok((base, until.is_none()))
            }
            // The walk is not honoured any more: what follows reads everything from the old state.
            Err((Stop::Distrust(what), _)) => {
                self.reader.warn_keys(what).await?;
                Ok((base, false))
            }
            Err((stop, _)) => Err(stop),
        }
    }

    /// Asks for the newest rows, and checks what the store's clock and date filter mean. Nothing if no row can
    /// match.
    async fn open(&self, base: &mut Saved) -> Result<Option<Checked>, Stop> {
        // At first nothing is known of the rows, so the first question leaves none out: rows without a
        // date match no filter.
        let unfiltered = base.cursor.is_none() || base.whole;
        let mut from = self.from(base.cursor);
        if self.window(from).is_empty() {
            return Ok(None);
        }
        let filter =
            |from, hours| if unfiltered { Window::default() } else { filter::widened(self.reader, from, hours) };
        let mut asked = filter(from, base.look_back);
        let mut answer = filter::newest(self.reader, &asked).await?;
        let clock = answer.as_ref().and_then(|answer| answer.date);
        if let (Some(cursor), Some(clock)) = (base.cursor, clock)
            && cursor.minus_seconds(OVERLAP_SECONDS) > clock
        {
            let back = base.previous.filter(|&previous| previous <= clock);
            self.reader.warn_ahead(cursor, clock, back).await?;
            (base.cursor, base.previous) = (Some(back.unwrap_or(clock)), None);
            from = self.from(base.cursor);
            asked = filter(from, base.look_back);
            if !unfiltered {
                drop(answer.take());
                answer = filter::newest(self.reader, &asked).await?;
            }
        }
        let first = Checked { answer, asked, from, look_back: base.look_back };
        if unfiltered {
            return Ok(Some(self.confirm_empty(base, first).await?));
        }
        filter::check(self.reader, base, from, first).await.map(Some)
    }

    /// Asks once more where an unfiltered answer holds nothing, although rows were there before.
    async fn confirm_empty(&self, base: &Saved, first: Checked) -> Result<Checked, Stop> {
        let is_doubtful = |answer: &Fetched| answer.page.listed() == 0 && !base.recent.sent().is_empty();
        if !first.answer.as_ref().is_some_and(is_doubtful) {
            return Ok(first);
        }
        Ok(Checked { answer: filter::newest(self.reader, &first.asked).await?, ..first })
    }

    /// Brings what has changed since the state.
    async fn changes(&self, mut base: Saved) -> Result<Saved, Stop> {
        let Some(Checked { answer, asked, from, look_back }) = self.open(&mut base).await? else { return Ok(base) };
        base.look_back = look_back;
        let first = base.cursor.is_none();
        let unfiltered = asked == Window::default();
        let mut window = self.window(from);
        if base.whole && !base.is_old() {
            // What was sent is remembered row by row: a row with an older date is new all the same.
            window.from = Some(self.reader.start);
        }
        let undated = first || base.whole;
        let judge = Judge { window, later_than: None, undated, known: base.recent.clone() };
        let Some(Fetched { page: mut rows, date: clock, .. }) = answer else {
            return self.past_damaged(base, judge, asked).await;
        };
        // A row dated in the future must not become the cursor, or nothing would come until then.
        let past = Window { until: clock, ..window };
        if self.is_whole(&mut rows, &asked, &judge).await? {
            // Whether a row lies outside the dates does not hang on its content.
            let wanted = rows.rows.iter().filter(|row| judge.judge(row, 0) != Verdict::Outside);
            self.estimate(Some(wanted.count() as u64)).await?;
            return whole::deliver(self.reader, rows, base, &judge, (&asked, &past)).await;
        }
        let (counted, sorted) = (rows.envelope.total, rows.is_newest_first());
        let (in_hand, ends, has_undated) = (questions::newest_within(&rows, &past), rows.ends(), rows.has_undated());
        let is_dated = questions::newest_within(&rows, &window).is_some();
        // Its room is given back before the next question: there may be no other.
        let Rows { rows: seen, lines, .. } = rows;
        drop(lines);
        let is_before = sorted && ends.is_some_and(|(_, newest)| newest < from);
        // Unsorted, the newest of this page is a change from before the walk all the same: a cursor
        // that is too old, which only makes the next sync look at more.
        let until = match in_hand {
            // Only rows without a date came, or rows outside the window: one inside it is asked for.
            None if sorted && !is_before => {
                questions::newest_change(self.reader, &past, &filter::widened(self.reader, from, look_back)).await?
            }
            newest => newest,
        };
        // Where all rows are dated after the store's clock, the clock is as far as the cursor may go.
        let until = until.or(clock.filter(|_| is_dated));
        let mut is_unfiltered = unfiltered;
        let mut is_look_due = false;
        if first && !self.reader.stream.undated_rows && sorted {
            // Two counts that agree can show that there are no rows without a date. Not where the newest of all is
            // older than what is wanted.
            is_look_due = !has_undated && !is_before && counted.is_some() && until.is_some();
            if is_look_due {
                is_unfiltered = false;
            } else {
                is_unfiltered = has_undated || self.are_undated(ends).await?;
                if is_unfiltered && has_undated && !self.full_refresh {
                    self.reader.warn_undated().await?;
                }
                if is_before && !is_unfiltered {
                    // The newest row of all is older than what is wanted.
                    return Ok(base);
                }
            }
        }
        let filter = match asked {
            _ if is_unfiltered => asked,
            _ if unfiltered => filter::widened(self.reader, from, look_back),
            asked => asked,
        };
        let keys = |is_unfiltered: bool| -> Vec<i64> {
            let rows = seen.iter().filter(|row| is_unfiltered || row.is_within(&filter));
            rows.filter_map(|row| id_of(row.key)).collect()
        };
        let all = counted.filter(|_| unfiltered && !is_unfiltered);
        let mut walk = Walk {
            judge,
            filter,
            from,
            until,
            counted: counted.filter(|_| filter == asked),
            all,
            sorted,
            seen: keys(is_unfiltered),
            look: None,
        };
        if is_look_due {
            walk.look = Some(Look { ends, unfiltered: keys(true) });
        }
        self.walk(base, walk).await
    }

    /// Returns true if there are rows without a date, or nothing tells. `ends` are the oldest and the newest date of
    /// the newest rows.
    async fn are_undated(&self, ends: Option<(Timestamp, Timestamp)>) -> Result<bool, Stop> {
        let found = questions::are_undated(self.reader, ends).await?;
        if found == Some(true) && !self.full_refresh {
            self.reader.warn_undated().await?;
        }
        Ok(found != Some(false))
    }

    /// Reads on where the newest row cannot be had.
    async fn past_damaged(&self, base: Saved, judge: Judge, asked: Window) -> Result<Saved, Stop> {
        let newest = questions::newest_readable(self.reader, &judge.window).await?;
        let until = newest.map(|(newest, clock)| clock.map_or(newest, |clock| newest.min(clock)));
        let from = judge.window.from.unwrap_or(self.reader.start);
        let seen = Vec::new();
        self.walk(
            base,
            Walk { judge, filter: asked, from, until, counted: None, all: None, sorted: true, seen, look: None },
        )
        .await
    }

    /// Reads all rows of a filter in the order of their keys.
    async fn walk(&self, base: Saved, mut walk: Walk) -> Result<Saved, Stop> {
        let look = walk.look.take();
        let Walk { filter, until, all, sorted, .. } = walk;
        let seen = &walk.seen;
        // The answer that tells the greatest key is the first page of the walk, unless a look at the rows
        // that are remembered by ranges comes before it.
        let is_exact = base.recent.sent().is_exact();
        let mut top = match sorted {
            true => questions::top(self.reader, if is_exact { PAGE_SIZE } else { SAMPLE }, &filter, seen).await?,
            false => Some((Top::Unknown, Rows::default())),
        };
        let mut is_ruled_out = false;
        if let Some(look) = look {
            let page = top.as_ref().map(|(_, page)| page);
            is_ruled_out =
                page.is_some_and(|page| questions::counts_agree(self.reader, page, &look.unfiltered, until, all));
            if let Some((_, page)) = top.as_mut().filter(|_| !is_ruled_out) {
                // The question needs room, and there may be no other.
                page.lines.hold(());
            }
            if !is_ruled_out && self.are_undated(look.ends).await? {
                drop(top);
                let (filter, seen) = (Window::default(), look.unfiltered);
                let walk = Walk { filter, seen, counted: all, all: None, ..walk };
                return Box::pin(self.walk(base, walk)).await;
            }
        }
        let Walk { judge, from, mut counted, seen, .. } = walk;
        let is_unfiltered = filter == Window::default();
        // Rows were listed a moment ago; where none is any more, the walk and the count behind it tell
        // whether they are gone.
        let (top, page) = top.unwrap_or((Top::Gone, Rows::default()));
        if top == Top::Unknown {
            self.reader.warn_sort().await?;
        }
        let top = top.known();
        let is_all = self.is_all(&page, &seen, counted);
        // Of two counts the larger is compared with what comes.
        counted = if page.rows.is_empty() { counted } else { counted.max(page.envelope.total) };
        self.estimate(counted).await?;
        let begun = Interrupted {
            undated: is_unfiltered,
            before: self.reader.end,
            asked_from: filter.from.filter(|&asked| asked != from),
            ..key_walk::from_the_start(top, from, until, counted)
        };
        let receipt =
            Receipt { reader: self.reader, filter, judge: judge.clone(), base: &base, all, is_resumed: false };
        // Its room is free again before rows are compared.
        let page = (is_exact && top.is_some()).then_some(TopPage { rows: page, is_all });
        let begun = if is_exact {
            begun
        } else {
            match self.compare(&base, &judge, filter, begun.clone()).await? {
                Some(left) if left.left.is_empty() => return Ok(after(&base, until, left)),
                Some(left) => left,
                None => begun,
            }
        };
        let plan = key_walk::Plan { filter, judge: judge.clone(), base: base.clone(), walk: begun, page, check: None };
        let mut newest = None;
        let walked = match key_walk::run(self.reader, plan).await {
            Ok(mut walked) => {
                let delivered = std::mem::take(&mut walked.delivered);
                // Where the newest rows all lie after the end date, nothing can be changed into the dates any more.
                newest = walked.newest.filter(|_| self.reader.end.is_some());
                receipt.settle(walked).await.map_err(|stop| (stop, delivered))
            }
            Err(stopped) => Err(stopped),
        };
        let finished = match walked {
            Ok(walk) => walk,
            Err((Stop::Distrust(what), delivered)) => {
                self.reader.warn_keys(what).await?;
                let advancing = (!is_unfiltered && !self.full_refresh).then(|| base.clone());
                let plan = page_walk::Plan { filter, judge, until, delivered, counted, base: advancing };
                let recent = page_walk::run(self.reader, plan).await?;
                Interrupted { recent, ..key_walk::from_the_start(None, from, until, None) }
            }
            Err((stop, _)) => return Err(stop),
        };
        // More rows than there were are new ones, or the count was wrong.
        if is_ruled_out && (self.reader.ends.is_count_wrong() || Some(finished.read) > all) {
            self.confirm_dated(&base).await?;
        }
        Ok(after(&base, until.or(newest), finished))
    }

    /// Looks for rows without a date where counts had ruled them out that turned out to be wrong.
    async fn confirm_dated(&self, base: &Saved) -> Result<(), Stop> {
        if questions::are_undated(self.reader, None).await? != Some(true) {
            return Ok(());
        }
        // The next sync begins anew, and knows that the counts are wrong.
        let state = Saved { miscounts: true, ..base.clone() }.to_json();
        self.reader.ledger.post(0).await?.send_with(Vec::new().into(), 0, When::Now, || state);
        Err(Stop::Miscounted)
    }

    /// Returns true if an answer to the newest rows holds all there is.
    async fn is_whole(&self, rows: &mut Rows, asked: &Window, judge: &Judge) -> Result<bool, Stop> {
        let is_counted = rows.envelope.total.is_some_and(|total| total <= rows.listed()) && !rows.envelope.more;
        match self.reader.ends.of(rows) {
            _ if !rows.keys_differ() => Ok(false),
            End::Reached => Ok(true),
            End::More => {
                self.reader.ends.followed(rows);
                Ok(false)
            }
            End::Doubtful if !is_counted => {
                let is_wrong = rows.envelope.total.is_some_and(|total| total < rows.listed());
                if is_wrong {
                    self.reader.miscounted().await?;
                }
                Ok(false)
            }
            // What the answer counts and what the last sync sent agree.
            End::Doubtful if self.are_known(rows, judge) => Ok(true),
            // A full page that counts itself: a further page shows whether that is all.
            End::Doubtful => {
                // The room of a full page is given back first, since the question needs some.
                rows.lines.hold(());
                let query =
                    Query::new(self.reader.stream.name, PAGE_SIZE).sort("-updated_at").page(2).window(CURSOR, asked);
                match self.reader.fetch(&query, &mut self.reader.copier()).await {
                    Ok(answer) if answer.page.listed() > 0 => {
                        self.reader.miscounted().await?;
                        Ok(false)
                    }
                    Ok(_) => Ok(true),
                    Err(Stop::Request(error)) if is_not_found(&error) => Ok(true),
                    Err(stop) => Err(stop),
                }
            }
        }
    }

    /// Returns true if the page of the greatest keys holds all there is: no less than was seen and counted before.
    fn is_all(&self, page: &Rows, seen: &[i64], counted: Option<u64>) -> bool {
        self.reader.ends.of(page) == End::Reached
            && page.rows.len() >= seen.len()
            && counted.is_none_or(|counted| page.listed() >= counted)
    }

    /// Returns true if nothing of an answer would be delivered.
    fn are_known(&self, rows: &Rows, judge: &Judge) -> bool {
        let hashes = rows.hashes(judge.known.floor(), self.reader.prefix_length());
        let is_known = |(row, hash): (&Row, &u64)| matches!(judge.judge(row, *hash), Verdict::Known | Verdict::Outside);
        rows.rows.iter().zip(&hashes).all(is_known)
    }

    /// Enters the store's own count, and estimates.
    async fn estimate(&self, counted: Option<u64>) -> Result<(), Stop> {
        if let Some(counted) = counted {
            self.reader.ledger.count(counted).await?;
        }
        Ok(())
    }

    /// Compares the rows of the overlap with those that were delivered, where these are remembered by ranges of
    /// keys. Gives back the walk that is left, or nothing if the store does not honour the key walk.
    async fn compare(
        &self,
        base: &Saved,
        judge: &Judge,
        filter: Window,
        begun: Interrupted,
    ) -> Result<Option<Interrupted>, Stop> {
        let check = Some(base.recent.sent().check());
        let plan = key_walk::Plan { filter, judge: judge.clone(), base: base.clone(), walk: begun, page: None, check };
        match key_walk::run(self.reader, plan).await {
            Ok(walked) => {
                let left = walked.check.map(super::sent_rows::RangeCheck::changed).unwrap_or_default();
                let read = walked.walk.read;
                if left.is_empty() {
                    self.reader.ledger.entries().await.tally.known += read;
                }
                // What was compared was counted already; what is read again is only part of it.
                let recent = walked.walk.recent.clone().complete();
                Ok(Some(Interrupted { left, counted: None, read: 0, recent, ..walked.walk }))
            }
            Err((Stop::Distrust(_), _)) => Ok(None),
            Err((stop, _)) => Err(stop),
        }
    }

    /// A stream without dates: everything, each time. Gives back what the store could not send.
    async fn without_dates(&self) -> Result<Vec<Range>, Stop> {
        let key = self.reader.stream.key;
        let query = Query::new(self.reader.stream.name, PAGE_SIZE).sort(key);
        let filter = Window::default();
        let judge = Judge { window: filter, later_than: None, undated: true, known: Recent::of(Span::Nothing) };
        let answer = questions::if_readable(self.reader.fetch(&query, &mut self.reader.copier()).await)?;
        let (mut counted, mut seen) = (None, Vec::new());
        if let Some(Fetched { page: rows, place, .. }) = answer {
            let is_end = self.reader.ends.of(&rows) == End::Reached;
            self.estimate(rows.envelope.total.or_else(|| is_end.then_some(rows.len() as u64))).await?;
            if is_end && rows.keys_differ() {
                let records = rows.len();
                self.reader.ledger.post(records).await?.send(rows.lines, records);
                return Ok(Vec::new());
            }
            if rows.envelope.total.is_some_and(|total| total < rows.listed()) {
                self.reader.miscounted().await?;
            }
            (counted, seen) = (rows.envelope.total, questions::ids(&rows));
            drop(rows);
            drop(place);
        }
        let top = questions::top(self.reader, PAGE_SIZE, &filter, &seen).await?;
        let (top, page) = top.unwrap_or((Top::Gone, Rows::default()));
        let is_all = self.is_all(&page, &seen, counted);
        counted = if page.rows.is_empty() { counted } else { counted.max(page.envelope.total) };
        let page = top.known().is_some().then_some(TopPage { rows: page, is_all });
        let top = top.known();
        // No date is read of these rows, so that any will do.
        let never = Timestamp::from_millis(0);
        let begun = key_walk::from_the_start(top, never, None, counted);
        let walk = Interrupted { recent: Recent::of(Span::Nothing), ..begun };
        let base = Saved::default();
        let plan = key_walk::Plan { filter, judge: judge.clone(), base: base.clone(), walk, page, check: None };
        let walked = match key_walk::run(self.reader, plan).await {
            Ok(mut walked) => {
                let delivered = std::mem::take(&mut walked.delivered);
                let judge = judge.clone();
                let receipt = Receipt { reader: self.reader, filter, judge, base: &base, all: None, is_resumed: false };
                receipt.settle(walked).await.map_err(|stop| (stop, delivered))
            }
            Err(stopped) => Err(stopped),
        };
        match walked {
            Ok(walk) => Ok(walk.unread),
            Err((Stop::Distrust(what), delivered)) => {
                self.reader.warn_keys(what).await?;
                let plan = page_walk::Plan { filter, judge, until: None, delivered, counted, base: None };
                page_walk::run(self.reader, plan).await?;
                Ok(Vec::new())
            }
            Err((stop, _)) => Err(stop),
        }
    }
}

/// A walk over all rows of a filter.
struct Walk {
    judge: Judge,
    filter: Window,
    from: Timestamp,
    until: Option<Timestamp>,
    /// Rows that an answer just before counted under this filter.
    counted: Option<u64>,
    /// Rows that it counted without a filter.
    all: Option<u64>,
    /// Whether answers come in the requested order.
    sorted: bool,
    /// Keys that an answer just before showed.
    seen: Vec<i64>,
    /// If it is not known yet whether there are rows without a date.
    look: Option<Look>,
}

/// What a look for rows without a date goes by.
struct Look {
    /// The oldest and the newest date of the newest rows.
    ends: Option<(Timestamp, Timestamp)>,
    /// Keys that an answer just before showed, whatever the dates.
    unfiltered: Vec<i64>,
}

/// The state after a finished walk.
fn after(base: &Saved, until: Option<Timestamp>, walk: Interrupted) -> Saved {
    let cursor = base.cursor.max(until);
    let mut recent = walk.recent;
    if cursor == base.cursor && walk.read == 0 {
        recent.keep(&base.recent);
    }
    let previous = if cursor == base.cursor { base.previous } else { base.cursor.or(base.previous) };
    let unread = joined(base.unread.iter().chain(&walk.unread).copied().collect());
    Saved { cursor, previous, recent, unread, whole: false, walk: None, ..base.clone() }
}
