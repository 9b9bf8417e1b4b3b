//! A list request, as far as the retries need to know it: the resource, and which rows of the list.

use std::fmt;

/// Rows of a list: page `page`, counted from 1, of pages of `count` rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Rows of a page.
    pub count: usize,
    /// Number of the page.
    pub page: u64,
}

impl Slice {
    /// The first rows of this page: at most `count` of them, and as many as pages of one size allow that begin
    /// where this page begins.
    pub fn shortened(self, count: usize) -> Self {
        let before = (self.page - 1).saturating_mul(self.count as u64);
        let fits = |size: &usize| before.is_multiple_of(*size as u64);
        let count = (1..=count.clamp(1, self.count.max(1))).rev().find(fits).unwrap_or(1);
        Self { count, page: before / count as u64 + 1 }
    }
}

/// A request for rows of a list. Its text, for the log, contains no secret.
pub trait Request: Clone + fmt::Display + Send + Sync {
    /// Name of the resource.
    fn resource(&self) -> &str;

    /// The rows that are requested.
    fn slice(&self) -> Slice;

    /// The same request for other rows.
    fn with_slice(&self, slice: Slice) -> Self;

    /// A request for one row of the resource without any condition: the row at this place, counted from 1.
    fn any_row(&self, place: u64) -> Self;

    /// Returns true if both requests are the same for the server.
    fn is_same(&self, other: &Self) -> bool;

    /// Names the requests that continue each other: those of one range of keys, or of one order.
    fn sequence(&self) -> String;

    /// Returns true if it is sent one time only, whatever the response.
    fn is_no_retry(&self) -> bool;

    /// How many rows are requested.
    fn count(&self) -> usize {
        self.slice().count
    }

    /// The same request for at most the first `count` rows of its page.
    fn shortened(&self, count: usize) -> Self {
        self.with_slice(self.slice().shortened(count))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A request of a made-up API: rows with a key greater than `after`.
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
