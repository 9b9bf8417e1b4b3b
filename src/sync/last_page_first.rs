//! Reads a stream by page numbers in the order of its keys, from the last page to the first.
//!
//! New rows have greater keys and come after the last page. A deleted row moves the rows after it to earlier positions:
//! rows that are still to be read have smaller keys, so they move only if a row before them is deleted, and then to a
//! page that is still to be read. So no row is missed, and rows that come twice are those with a key that was read
//! already. In the other direction, each deleted row would hide another one.

use super::context::{FetchedPage, StreamContext, StreamError};
use super::keyset::MOST_UNREADABLE;
use super::position::{PagesPosition, Position};
use super::query::Order;
use super::row_filter::id_of;
use super::rows::{Rows, check_keys};
use super::strategy::FullRead;
use crate::http::Error;
use crate::record::RecordWriter;

/// Number of pages of one size after which longer ones are tried, as for all requests (`http::sizes`). Doubled each time
/// the store cannot send these: a page that it cuts is of no use here.
const GOOD_PAGES: u32 = 5;

/// Reads all rows of the stream, or of a part of it.
pub(super) async fn run(read: &mut FullRead<'_>, part: Option<&str>) -> Result<(), StreamError> {
    let context = read.context;
    let mut walk =
        PagesWalk { part, writer: context.writer(), page_size: context.page_size(), total: None, bound: None };
    let begun = match read.position() {
        Some(Position::Pages(position)) if position.part.as_deref() == part => position.clone(),
        _ => match walk.first_page(read).await? {
            Some(position) => position,
            None => return Ok(()),
        },
    };
    let position = walk.down(read, begun).await?;
    walk.added(read, position).await
}

struct PagesWalk<'w> {
    part: Option<&'w str>,
    writer: RecordWriter,
    /// Rows per page, unless the store can send only shorter ones.
    page_size: usize,
    /// The store's count in the last response.
    total: Option<u64>,
    /// Number of rows before the last one that the store could not send.
    bound: Option<u64>,
}

impl PagesWalk<'_> {
    /// Requests a page of `size` rows.
    async fn fetch(&mut self, context: &StreamContext, page: u64, size: usize) -> Result<FetchedPage, StreamError> {
        let query = context.query(size).sort(Order::Key).page(page).part(self.part);
        let answer = context.fetch(&query, &mut self.writer).await?;
        check_keys(&answer.page.rows, (None, None)).map_err(StreamError::UnexpectedResponse)?;
        self.total = answer.page.envelope.total.or(self.total);
        Ok(answer)
    }

    /// Requests the first page, which counts the rows. Returns the beginning of the walk; `None` if the page has all
    /// rows, which are then emitted.
    async fn first_page(&mut self, read: &mut FullRead<'_>) -> Result<Option<PagesPosition>, StreamError> {
        let context = read.context;
        let counted = match self.fetch(context, 1, self.page_size).await {
            Ok(answer) => {
                let (counted, elements) = (counted(&answer.page)?, answer.page.element_count());
                context.output.count(counted).await?;
                if answer.page.is_only_page() {
                    read.emit_all(answer.page).await?;
                    return Ok(None);
                }
                if counted > elements && elements < answer.page.asked as u64 {
                    // The store limits its pages.
                    self.page_size = usize::try_from(elements).unwrap_or(self.page_size).max(1);
                }
                if counted <= elements {
                    // The rows after them, if there are any, count as added ones.
                    let mut position = PagesPosition { size: answer.page.asked.max(1), ..self.begin(0) };
                    self.emit_below(read, answer, &mut position).await?;
                    return Ok(Some(position));
                }
                counted
            }
            Err(StreamError::Request(error)) if error.is_unreadable() => self.counted_below(context, error).await?,
            Err(stream_error) => return Err(stream_error),
        };
        Ok(Some(self.begin(counted)))
    }

    /// Returns the store's count of the rows from a page of one row after those at the beginning that it cannot send.
    async fn counted_below(&mut self, context: &StreamContext, mut error: Error) -> Result<u64, StreamError> {
        for page in 2..=1 + MOST_UNREADABLE {
            match self.fetch(context, page, 1).await {
                Ok(answer) => return counted(&answer.page),
                Err(StreamError::Request(last)) if last.is_unreadable() => error = last,
                Err(stream_error) => return Err(stream_error),
            }
        }
        Err(StreamError::Request(error))
    }

    /// Returns the position before the walk, with so many rows left.
    fn begin(&self, left: u64) -> PagesPosition {
        let (part, size) = (self.part.map(str::to_owned), self.page_size);
        PagesPosition { part, left, size, least: i64::MAX, greatest: i64::MIN }
    }

    /// Reads all rows from the last one to the first.
    async fn down(
        &mut self,
        read: &mut FullRead<'_>,
        mut position: PagesPosition,
    ) -> Result<PagesPosition, StreamError> {
        let context = read.context;
        let (mut unreadable, mut good_pages, mut most_good_pages) = (0, 0, GOOD_PAGES);
        while position.left > 0 {
            let (page, size) = self.next_page(&position);
            let answer = match self.fetch(context, page, size).await {
                Ok(answer) => answer,
                Err(StreamError::Request(error)) if error.is_unreadable() => {
                    context.note_unreadable(&error);
                    // Shorter pages begin with the same row. If it is the first one that cannot be sent, those after it
                    // come one by one.
                    good_pages = 0;
                    if size > 1 {
                        position.size = 1;
                        continue;
                    }
                    unreadable += 1;
                    if unreadable > MOST_UNREADABLE {
                        return Err(StreamError::Request(error));
                    }
                    self.skip(read, &mut position).await?;
                    continue;
                }
                Err(stream_error) => return Err(stream_error),
            };
            if answer.page.asked < size {
                // The store could send only the beginning of the page, but the walk needs its end first.
                position.size = answer.page.asked.max(1);
                (good_pages, most_good_pages) = (0, most_good_pages.saturating_mul(2));
                continue;
            }
            unreadable = 0;
            // Beyond the end, a store sends the last page.
            let shown = shown_page(&answer.page, page);
            let elements = answer.page.element_count();
            let has_others_after_it = position.least < i64::MAX && self.counts_beyond(page, size);
            if has_others_after_it && (1..size as u64).contains(&elements) {
                // The store limits its pages.
                position.size = usize::try_from(elements).unwrap_or(size);
                self.page_size = position.size;
                continue;
            }
            position.left = (shown - 1).saturating_mul(size as u64);
            good_pages += 1;
            if good_pages >= most_good_pages && position.size < self.page_size {
                // The store may have recovered.
                (position.size, good_pages) = ((2 * position.size).min(self.page_size), 0);
            }
            self.emit_below(read, answer, &mut position).await?;
        }
        Ok(position)
    }

    /// Returns the number and the size of the page with the last rows that are still to be read. It may end beyond
    /// them, but not beyond a row that the store cannot send.
    fn next_page(&self, position: &PagesPosition) -> (u64, usize) {
        let page = position.left.div_ceil(position.size as u64);
        if self.bound.is_none_or(|bound| page.saturating_mul(position.size as u64) <= bound) {
            return (page, position.size);
        }
        let fits = |size: &usize| position.left.is_multiple_of(*size as u64);
        let size = (1..=position.size).rev().find(fits).unwrap_or(1);
        (position.left / size as u64, size)
    }

    /// Skips the last row that is still to be read, and continues with pages of the usual size.
    async fn skip(&mut self, read: &mut FullRead<'_>, position: &mut PagesPosition) -> Result<(), StreamError> {
        let above = (position.least < i64::MAX).then_some(position.least);
        position.left -= 1;
        self.bound = Some(position.left);
        let before = match position.left {
            0 => None,
            left => match self.fetch(read.context, left, 1).await {
                Ok(answer) => answer.page.rows.last().and_then(|row| id_of(row.key)),
                Err(StreamError::Request(error)) if error.is_unreadable() => None,
                Err(stream_error) => return Err(stream_error),
            },
        };
        read.add_between(before, above);
        position.size = self.page_size;
        Ok(())
    }

    /// Emits the rows of a page with keys below all that were read before.
    async fn emit_below(
        &self,
        read: &mut FullRead<'_>,
        answer: FetchedPage,
        position: &mut PagesPosition,
    ) -> Result<(), StreamError> {
        let keys = answer.page.rows.iter().filter_map(|row| id_of(row.key));
        let (least, greatest) =
            keys.fold((i64::MAX, i64::MIN), |(least, greatest), key| (least.min(key), greatest.max(key)));
        let before = position.least;
        position.least = before.min(least);
        position.greatest = position.greatest.max(greatest);
        let is_below = move |row: &super::rows::Row| id_of(row.key).is_some_and(|key| key < before);
        read.emit(answer, |_, row| is_below(row), Position::Pages(position.clone())).await
    }

    /// Returns true if the store counts more rows than those on the pages up to this one.
    fn counts_beyond(&self, page: u64, size: usize) -> bool {
        self.total.is_some_and(|total| total > page.saturating_mul(size as u64))
    }

    /// Emits the rows with keys above all that were read: those that were added during the walk, and those that the
    /// store did not count.
    async fn added(&mut self, read: &mut FullRead<'_>, mut position: PagesPosition) -> Result<(), StreamError> {
        let greatest = position.greatest;
        let mut least = i64::MAX;
        let Some((mut page, answer)) = self.beyond(read, &mut position).await? else { return Ok(()) };
        let mut fetched = Some(answer);
        while page > 0 {
            let answer = match fetched.take() {
                Some(answer) => answer,
                None => match self.fetch_added(read, page, &position).await? {
                    Some(answer) => answer,
                    None => return Ok(()),
                },
            };
            if answer.page.asked < position.size {
                page = shorten(&mut position, page, answer.page.asked);
                continue;
            }
            let first = answer.page.rows.first().and_then(|row| id_of(row.key));
            let before = least;
            least = first.map_or(before, |first| before.min(first));
            page = shown_page(&answer.page, page) - 1;
            let is_added = move |key: i64| key > greatest && key < before;
            let done = Position::Pages(position.clone());
            read.emit(answer, |_, row| id_of(row.key).is_some_and(is_added), done).await?;
            if least <= greatest {
                break;
            }
        }
        Ok(())
    }

    /// Requests the page after the last one that the store counts, and later ones while they are full of other rows: the
    /// count may be too small. Returns the last response and its page; `None` if it cannot be read.
    async fn beyond(
        &mut self,
        read: &mut FullRead<'_>,
        position: &mut PagesPosition,
    ) -> Result<Option<(u64, FetchedPage)>, StreamError> {
        let after_counted = |total: Option<u64>, size: usize| total.map_or(0, |total| total.div_ceil(size as u64)) + 1;
        let mut page = after_counted(self.total, position.size);
        loop {
            let Some(answer) = self.fetch_added(read, page, position).await? else { return Ok(None) };
            if answer.page.asked < position.size {
                page = shorten(position, page, answer.page.asked);
                continue;
            }
            let is_own = shown_page(&answer.page, page) == page;
            let newest = answer.page.rows.last().and_then(|row| id_of(row.key));
            let is_full = answer.page.element_count() >= position.size as u64 && newest > Some(position.greatest);
            if is_own && self.counts_beyond(page, position.size) {
                page = after_counted(self.total, position.size);
            } else if is_own && is_full {
                page = page.saturating_mul(2);
            } else {
                return Ok(Some((page, answer)));
            }
        }
    }

    /// Requests a page of added rows. Returns `None` if it cannot be read.
    async fn fetch_added(
        &mut self,
        read: &mut FullRead<'_>,
        page: u64,
        position: &PagesPosition,
    ) -> Result<Option<FetchedPage>, StreamError> {
        match self.fetch(read.context, page, position.size).await {
            Ok(answer) => Ok(Some(answer)),
            Err(StreamError::Request(error)) if error.is_unreadable() => {
                // Otherwise the walk has reported it: a store repeats the last page.
                if self.bound.is_none() {
                    read.context.note_unreadable(&error);
                    read.add_between((position.greatest > i64::MIN).then_some(position.greatest), None);
                }
                Ok(None)
            }
            Err(stream_error) => Err(stream_error),
        }
    }
}

/// Continues with pages of `size` rows, since the store can send only the beginning of the requested page. Returns the
/// page with the last of its rows.
fn shorten(position: &mut PagesPosition, page: u64, size: usize) -> u64 {
    let rows = page.saturating_mul(position.size as u64);
    position.size = size.max(1);
    rows.div_ceil(position.size as u64)
}

/// Returns the number of the page that a response shows: beyond the end, a store sends the last page.
fn shown_page(rows: &Rows, requested: u64) -> u64 {
    rows.envelope.page.filter(|&shown| shown > 0).unwrap_or(requested).min(requested)
}

/// Returns the store's count of the rows.
fn counted(rows: &Rows) -> Result<u64, StreamError> {
    rows.envelope.total.ok_or(StreamError::UnexpectedResponse("it does not count the rows of the list"))
}
