//! A table of any length that is not in memory: each row is made for the response that lists it.
//!
//! Keys run from 1 without a gap, and each row was changed a second after the one before.

use crate::tables::{Listed, Part, Wanted};

/// Date of the first change: 2021-06-01T00:00:00Z, in milliseconds.
const FIRST: i64 = 1_622_505_600_000;

/// Content of each row besides its key and date: about a KiB, as rows of the API commonly have.
const TEXT: &str = "A row of the middling kind, long enough that a page of a thousand of them is about a megabyte. ";

/// A table of any number of rows.
pub(crate) struct Long {
    rows: usize,
    rest: String,
}

impl Long {
    /// The resource that it serves.
    pub(crate) const PATH: &str = "addresses";

    /// Creates a table of this many rows.
    pub(crate) fn new(rows: usize) -> Long {
        Long { rows, rest: format!("\"address_line_1\":\"{}\"}}", TEXT.repeat(10)) }
    }

    /// Returns the approximate size of all rows in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.rows * (self.rest.len() + 60)
    }

    fn row(&self, index: usize, body: &mut String) {
        let moment = chrono::DateTime::from_timestamp_millis(FIRST + 1000 * index as i64).unwrap_or_default();
        body.push_str(&format!(
            "{{\"id\":{},\"updated_at\":\"{}\",",
            index + 1,
            moment.format("%Y-%m-%dT%H:%M:%S+00:00")
        ));
        body.push_str(&self.rest);
    }
}

impl Listed for Long {
    fn rows(&self) -> usize {
        self.rows
    }

    fn by_key(&self, after: Option<i64>, end: Option<i64>) -> std::ops::Range<usize> {
        // The row with key n has the index n - 1.
        let index = |key: i64| usize::try_from(key).unwrap_or_default().min(self.rows);
        let from = after.map_or(0, index);
        from..end.map_or(self.rows, index).max(from)
    }

    fn by_date(&self, from: i64, before: i64) -> std::ops::Range<usize> {
        let index = |moment: i64| {
            let seconds = moment.saturating_sub(FIRST).max(0) as u64;
            usize::try_from(seconds.div_ceil(1000)).unwrap_or(usize::MAX).min(self.rows)
        };
        index(from)..index(before).max(index(from))
    }

    fn body(&self, wanted: &Wanted, _gzip: bool, link: &dyn Fn(usize) -> String) -> Option<Vec<Part<'_>>> {
        let total = wanted.matching.len();
        let skipped = (wanted.page - 1) * wanted.count;
        if skipped > 0 && skipped >= total {
            return None;
        }
        let rows = wanted.count.min(total - skipped);
        let mut body = format!("{{\"total_count\":{total},");
        if skipped + rows < total {
            body.push_str(&format!("\"next_page\":\"{}\",", link(wanted.page + 1)));
        }
        body.push_str(&format!("\"{}\":[", Self::PATH));
        for number in skipped..skipped + rows {
            if number > skipped {
                body.push(',');
            }
            let index =
                if wanted.descending { wanted.matching.end - 1 - number } else { wanted.matching.start + number };
            self.row(index, &mut body);
        }
        body.push_str("]}");
        Some(vec![Part::Made(body.into_bytes())])
    }
}
