//! The parts of a list request that retries need: the resource and the requested rows.

use std::fmt;

/// The rows of one page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Number of rows per page.
    pub count: usize,
    /// Number of the page, counted from 1.
    pub page: u64,
}

impl Slice {
    /// Returns a shorter page that begins with the same row. It has the largest size of at most `count` rows for which
    /// a page begins exactly at this row.
    pub fn shortened(self, count: usize) -> Self {
        let before = (self.page - 1).saturating_mul(self.count as u64);
        let fits = |size: &usize| before.is_multiple_of(*size as u64);
        let count = (1..=count.clamp(1, self.count.max(1))).rev().find(fits).unwrap_or(1);
        Self { count, page: before / count as u64 + 1 }
    }
}

/// The failures after which a page is requested with fewer rows. After others, the caller divides the request: the
/// error is [`Error::Unreadable`](super::Error::Unreadable).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divisibility {
    /// After all that a smaller page may avoid.
    Always,
    /// After all but a response whose text cannot be read: one row is the cause, and a smaller page may have it first.
    UnlessText,
    /// Never.
    Never,
}

/// A request for rows of a list. Its `Display` output is for the log and contains no secrets.
pub trait Request: Clone + fmt::Display + Send + Sync {
    /// Returns the name of the resource.
    fn resource(&self) -> &str;

    /// Returns the requested rows.
    fn slice(&self) -> Slice;

    /// Returns the same request for other rows.
    fn with_slice(&self, slice: Slice) -> Self;

    /// Returns a request for one row of the resource, without filters: the row at position `place`, counted from 1.
    fn any_row(&self, place: u64) -> Self;

    /// Returns true if the server sees both requests as the same.
    fn is_same(&self, other: &Self) -> bool;

    /// Returns an identifier that is the same for all requests that read one range of keys, or one sort order, in turn.
    fn sequence(&self) -> String;

    /// Returns true if the request must be sent only once, whatever the response.
    fn is_no_retry(&self) -> bool;

    /// Returns when a page that the server cannot send is requested with fewer rows.
    fn divisibility(&self) -> Divisibility {
        Divisibility::Always
    }

    /// Returns true if a larger request with these rows failed, because of text that cannot be read. One more failure
    /// is then enough.
    fn is_narrowed(&self) -> bool {
        false
    }

    /// Returns the number of requested rows; 0 for all rows.
    fn count(&self) -> usize {
        self.slice().count
    }

    /// Returns the same request for at most the first `count` rows of its page.
    fn shortened(&self, count: usize) -> Self {
        self.with_slice(self.slice().shortened(count))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A request to a fake API: rows with a key greater than `after`.
    #[derive(Clone, Debug, PartialEq)]
    pub(in crate::http) struct KeysAfter {
        pub(in crate::http) resource: &'static str,
        pub(in crate::http) slice: Slice,
        pub(in crate::http) after: Option<u64>,
        pub(in crate::http) sequence: &'static str,
        pub(in crate::http) no_retry: bool,
    }

    impl KeysAfter {
        pub(in crate::http) fn new(resource: &'static str, count: usize) -> Self {
            Self { resource, slice: Slice { count, page: 1 }, after: None, sequence: "", no_retry: false }
        }
    }

    impl fmt::Display for KeysAfter {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{}, {} rows", self.resource, self.slice.count)
        }
    }

    impl Request for KeysAfter {
        fn resource(&self) -> &str {
            self.resource
        }

        fn slice(&self) -> Slice {
            self.slice
        }

        fn with_slice(&self, slice: Slice) -> Self {
            Self { slice, ..self.clone() }
        }

        fn any_row(&self, place: u64) -> Self {
            Self { slice: Slice { count: 1, page: place }, ..Self::new(self.resource, 1) }
        }

        fn is_same(&self, other: &Self) -> bool {
            self == other
        }

        fn sequence(&self) -> String {
            self.sequence.to_owned()
        }

        fn is_no_retry(&self) -> bool {
            self.no_retry
        }
    }

    #[test]
    fn a_shorter_page_begins_where_the_page_begins() {
        let first = Slice { count: 1000, page: 1 };
        assert_eq!(first.shortened(500), Slice { count: 500, page: 1 });
        assert_eq!(first.shortened(62).shortened(31), Slice { count: 31, page: 1 });
        let third = Slice { count: 1000, page: 3 };
        for (most, (count, page)) in [(500, (500, 5)), (250, (250, 9)), (62, (50, 41)), (3, (2, 1001)), (1, (1, 2001))]
        {
            assert_eq!(third.shortened(most), Slice { count, page });
        }
    }
}
