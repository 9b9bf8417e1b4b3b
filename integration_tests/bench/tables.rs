//! The tables of the benchmark store: every row is rendered once at the start, in one buffer per table, so that a page
//! slice.
//!
//! Keys and `updated_at` rise together, so a page of the walk by key and a page of a walk by date are both slices. The
//! compressed form is one continuous deflate stream over the same buffer, flushed every few rows: a page is its first
//! rows, compressed again until the window of 32 KiB is in the page, then a slice of that stream.

use std::ops::Range;

use flate2::{Compress, Compression, Crc, FlushCompress};

use fake_store::{Clock, Data, Fraction, Stamp, resource, sql_round, utc_ms};

/// Rows between two flushes of the compressed form.
const FLUSH_ROWS: usize = 4;
/// Window of deflate in bytes.
const LOOK_BACK: usize = 32 * 1024;
/// The usual compression level of web servers.
const LEVEL: u32 = 5;

/// A table that can be listed page by page.
pub(crate) trait Listed {
    /// Returns the number of rows.
    fn rows(&self) -> usize;
    /// Returns the rows with a key above `after` and up to `end`.
    fn by_key(&self, after: Option<i64>, end: Option<i64>) -> Range<usize>;
    /// Returns the rows changed at `from` or later and before `before`; none if the rows have no date.
    fn by_date(&self, from: i64, before: i64) -> Range<usize>;
    /// Returns the body of a response, or `None` after the last page. `link` makes the address of the next page.
    fn body(&self, wanted: &Wanted, gzip: bool, link: &dyn Fn(usize) -> String) -> Option<Vec<Part<'_>>>;
}

/// One table.
pub(crate) struct Table {
    /// The path below `/api/v1/`.
    pub(crate) path: &'static str,
    list: &'static str,
    ids: Vec<i64>,
    /// Times of change in milliseconds, ascending; empty if the rows have none.
    changed: Vec<i64>,
    /// The rows, with a comma after each.
    text: Vec<u8>,
    /// The start of each row, and of one after the last.
    starts: Vec<usize>,
    packed: Option<Packed>,
}

struct Packed {
    stream: Vec<u8>,
    /// The start of the block of each `FLUSH_ROWS` rows.
    starts: Vec<usize>,
}

/// One part of a body.
pub(crate) enum Part<'t> {
    /// Prepared bytes.
    Slice(&'t [u8]),
    /// Bytes made for this response.
    Made(Vec<u8>),
}

impl Part<'_> {
    /// Returns its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Part::Slice(bytes) => bytes,
            Part::Made(bytes) => bytes,
        }
    }
}

/// The rows of a response.
pub(crate) struct Wanted {
    /// Matching rows, by index.
    pub(crate) matching: Range<usize>,
    /// True for the largest keys first.
    pub(crate) descending: bool,
    /// Rows per page.
    pub(crate) count: usize,
    /// Page number, from 1.
    pub(crate) page: usize,
}

impl Table {
    /// Renders a table of this many rows, distributed over three years.
    pub(crate) fn render(path: &'static str, rows: usize) -> Table {
        let of = resource(path).unwrap_or_else(|| panic!("no resource {path}"));
        let clock = Clock::new(chrono_tz::America::Chicago, Fraction::Documented);
        let (first, last) = (utc_ms("2021-06-01T00:00:00Z"), utc_ms("2024-06-01T00:00:00Z"));
        let step = (last - first) / i64::try_from(rows.max(1)).unwrap_or(1);
        let dated = path != "order_statuses";
        let mut data = Data::empty();
        let mut table = Table {
            path,
            list: of.key,
            ids: Vec::with_capacity(rows),
            changed: Vec::new(),
            text: Vec::new(),
            starts: Vec::with_capacity(rows + 1),
            packed: None,
        };
        let mut id = of.first_id();
        for n in 0..rows {
            let moment = sql_round(first + step * n as i64);
            let stamp = if dated { Stamp::At(moment) } else { Stamp::Null };
            data.insert_lean(path, id, stamp, stamp);
            table.starts.push(table.text.len());
            table.text.extend_from_slice(data.json(path, id, &clock).unwrap_or_default().as_bytes());
            table.text.push(b',');
            data.delete(path, id);
            table.ids.push(id);
            if dated {
                table.changed.push(moment);
            }
            // Deleted rows leave gaps: about one key in five is missing, in runs of up to six.
            let spread = (id as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
            id += 1 + if spread.is_multiple_of(14) { (spread / 14 % 6 + 1) as i64 } else { 0 };
        }
        table.starts.push(table.text.len());
        table
    }

    /// Returns their size as JSON.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Makes the compressed form.
    pub(crate) fn pack(&mut self) {
        if self.packed.is_some() {
            return;
        }
        let mut deflate = Compress::new(Compression::new(LEVEL), false);
        let mut packed = Packed { stream: Vec::with_capacity(self.text.len() / 4), starts: Vec::new() };
        for from in (0..self.rows()).step_by(FLUSH_ROWS) {
            packed.starts.push(packed.stream.len());
            let to = (from + FLUSH_ROWS).min(self.rows());
            let text = &self.text[self.starts[from]..self.starts[to]];
            compress(&mut deflate, text, FlushCompress::Sync, &mut packed.stream);
        }
        packed.starts.push(packed.stream.len());
        self.packed = Some(packed);
    }

    fn packed_body<'t>(&'t self, packed: &'t Packed, mut head: Vec<u8>, rows: Range<usize>) -> Vec<Part<'t>> {
        let end = self.starts[rows.end] - usize::from(!rows.is_empty());
        let start = self.starts[rows.start];
        // The first block whose window is completely in this page.
        let reach = self.starts.partition_point(|&at| at < start + LOOK_BACK);
        let (first, last) = (reach.div_ceil(FLUSH_ROWS), rows.end.saturating_sub(1) / FLUSH_ROWS);
        if first >= last {
            head.extend_from_slice(&self.text[start..end]);
            head.extend_from_slice(b"]}");
            return whole(&head);
        }
        let (from, to) = (self.starts[first * FLUSH_ROWS], self.starts[last * FLUSH_ROWS]);
        head.extend_from_slice(&self.text[start..from]);
        let mut tail = self.text[to..end].to_vec();
        tail.extend_from_slice(b"]}");
        let mut crc = Crc::new();
        crc.update(&head);
        crc.update(&self.text[from..to]);
        crc.update(&tail);
        let mut opening = GZIP_HEADER.to_vec();
        compress(&mut Compress::new(Compression::new(LEVEL), false), &head, FlushCompress::Sync, &mut opening);
        let mut closing = Vec::new();
        compress(&mut Compress::new(Compression::new(LEVEL), false), &tail, FlushCompress::Finish, &mut closing);
        closing.extend_from_slice(&crc.sum().to_le_bytes());
        closing.extend_from_slice(&crc.amount().to_le_bytes());
        let slice = &packed.stream[packed.starts[first]..packed.starts[last]];
        vec![Part::Made(opening), Part::Slice(slice), Part::Made(closing)]
    }
}

impl Listed for Table {
    fn rows(&self) -> usize {
        self.ids.len()
    }

    fn by_key(&self, after: Option<i64>, end: Option<i64>) -> Range<usize> {
        let from = after.map_or(0, |after| self.ids.partition_point(|&id| id <= after));
        let to = end.map_or(self.rows(), |end| self.ids.partition_point(|&id| id <= end));
        from..to.max(from)
    }

    fn by_date(&self, from: i64, before: i64) -> Range<usize> {
        let start = self.changed.partition_point(|&moment| moment < from);
        start..self.changed.partition_point(|&moment| moment < before).max(start)
    }

    fn body(&self, wanted: &Wanted, gzip: bool, link: &dyn Fn(usize) -> String) -> Option<Vec<Part<'_>>> {
        let total = wanted.matching.len();
        let skipped = (wanted.page - 1) * wanted.count;
        if skipped > 0 && skipped >= total {
            return None;
        }
        let rows = wanted.count.min(total - skipped);
        let mut head = format!("{{\"total_count\":{total},");
        if skipped + rows < total {
            head.push_str(&format!("\"next_page\":\"{}\",", link(wanted.page + 1)));
        }
        head.push_str(&format!("\"{}\":[", self.list));
        if wanted.descending {
            let mut body = head.into_bytes();
            for row in (0..wanted.matching.end - skipped).rev().take(rows) {
                body.extend_from_slice(&self.text[self.starts[row]..self.starts[row + 1]]);
            }
            if rows > 0 {
                body.pop();
            }
            body.extend_from_slice(b"]}");
            return Some(if gzip { whole(&body) } else { vec![Part::Made(body)] });
        }
        let from = wanted.matching.start + skipped;
        Some(match &self.packed {
            Some(packed) if gzip => self.packed_body(packed, head.into_bytes(), from..from + rows),
            _ => {
                let end = self.starts[from + rows] - usize::from(rows > 0);
                vec![Part::Made(head.into_bytes()), Part::Slice(&self.text[self.starts[from]..end]), Part::Slice(b"]}")]
            }
        })
    }
}

const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

fn whole(body: &[u8]) -> Vec<Part<'static>> {
    let mut out = GZIP_HEADER.to_vec();
    compress(&mut Compress::new(Compression::new(LEVEL), false), body, FlushCompress::Finish, &mut out);
    let mut crc = Crc::new();
    crc.update(body);
    out.extend_from_slice(&crc.sum().to_le_bytes());
    out.extend_from_slice(&crc.amount().to_le_bytes());
    vec![Part::Made(out)]
}

fn compress(deflate: &mut Compress, text: &[u8], flush: FlushCompress, out: &mut Vec<u8>) {
    let before = deflate.total_in();
    loop {
        // A flush is complete when it leaves space in the output.
        out.reserve(text.len() / 2 + 1024);
        let taken = usize::try_from(deflate.total_in() - before).unwrap_or(usize::MAX);
        let done = deflate.compress_vec(&text[taken..], out, flush);
        assert!(done.is_ok(), "deflate refuses");
        let taken = usize::try_from(deflate.total_in() - before).unwrap_or(usize::MAX);
        if taken == text.len() && out.len() < out.capacity() {
            return;
        }
    }
}
