//! Ranges of ids of emitted rows, each with the number of rows and the sum of their hashes.
//!
//! They are built while rows arrive, in any order and from several ranges of ids at once, without keeping the ids.
//! Single rows are not kept.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::sync::checkpoint::Range as KeyRange;

/// Maximum number of ranges in a state: about 45 characters each for usual ids, 70 at most, so that a state with them
/// is not longer than one with single rows.
const MOST_RANGES: usize = 250;

/// Maximum number of ranges while they are built; then neighbours are joined to half as many. It is several times the
/// number in a state, so that a range that grew faster than others still has at most its share of the rows.
const MOST_BUILT: usize = 1_000;

/// One in this many gaps between neighbours stays open when they are joined: the widest ones, since rows in them may
/// arrive later and cannot be removed from a joined range.
const WALLS: usize = 4;

/// Characters of a sum in hexadecimal digits.
const SUM_DIGITS: usize = 16;

/// Rows with neighbouring ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: i64,
    last: i64,
    rows: u64,
    sum: u64,
}

impl Range {
    fn of(id: i64, hash: u64) -> Self {
        Self { first: id, last: id, rows: 1, sum: mix(id, hash) }
    }

    fn join(&mut self, next: &Self) {
        self.last = next.last;
        self.rows = self.rows.saturating_add(next.rows);
        self.sum = self.sum.wrapping_add(next.sum);
    }
}

/// Ranges that do not overlap.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ranges {
    /// The ranges, by their first id.
    built: BTreeMap<i64, Range>,
    /// Maximum rows of a range that grows by the next id.
    share: u64,
}

impl FromIterator<(i64, u64)> for Ranges {
    fn from_iter<I: IntoIterator<Item = (i64, u64)>>(rows: I) -> Self {
        let mut ranges = Self { built: BTreeMap::new(), share: 1 };
        for (id, hash) in rows {
            ranges.add(id, hash);
        }
        ranges
    }
}

impl Ranges {
    /// Adds a row.
    pub(super) fn add(&mut self, id: i64, hash: u64) {
        if let Some((_, before)) = self.built.range_mut(..=id).next_back() {
            let is_next = before.last.checked_add(1) == Some(id) && before.rows < self.share;
            if id <= before.last || is_next {
                let last = before.last.max(id);
                before.join(&Range { last, ..Range::of(id, hash) });
                return;
            }
        }
        self.built.insert(id, Range::of(id, hash));
        if self.built.len() > MOST_BUILT {
            let ranges: Vec<Range> = self.built.values().copied().collect();
            let (ranges, share) = joined(ranges, MOST_BUILT / 2, self.share);
            self.built = ranges.into_iter().map(|range| (range.first, range)).collect();
            self.share = share;
        }
    }

    /// Returns the number of rows.
    pub(super) fn rows(&self) -> u64 {
        self.built.values().fold(0, |rows, range| rows.saturating_add(range.rows))
    }

    /// Returns the ranges of a state.
    fn compacted(&self) -> Vec<Range> {
        joined(self.built.values().copied().collect(), MOST_RANGES, 1).0
    }

    pub(super) fn check(&self) -> RangeCheck {
        let ranges = self.compacted();
        RangeCheck { between: vec![0; ranges.len() + 1], seen: vec![(0, 0); ranges.len()], ranges }
    }

    pub(super) fn to_json(&self) -> Value {
        let range = |range: &Range| json!([range.first, range.last, range.rows, format!("{:016x}", range.sum)]);
        Value::Array(self.compacted().iter().map(range).collect())
    }

    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let range = |parts: &Value| match parts.as_array()?.as_slice() {
            [first, last, rows, sum] => {
                let digits = sum.as_str().filter(|digits| digits.len() == SUM_DIGITS)?;
                let sum = u64::from_str_radix(digits, 16).ok()?;
                let range = Range { first: first.as_i64()?, last: last.as_i64()?, rows: rows.as_u64()?, sum };
                (range.first <= range.last && range.rows > 0).then_some(range)
            }
            _ => None,
        };
        let texts = value.as_array().filter(|texts| (1..=MOST_RANGES).contains(&texts.len()))?;
        let ranges: Vec<Range> = texts.iter().map(range).collect::<Option<_>>()?;
        let are_apart = ranges.is_sorted_by(|one, next| one.last < next.first);
        are_apart.then(|| Self { built: ranges.into_iter().map(|range| (range.first, range)).collect(), share: 1 })
    }
}

/// Joins neighbours until there are at most `most` ranges, each with at most the returned number of rows, which is at
/// least `share`.
fn joined(ranges: Vec<Range>, most: usize, share: u64) -> (Vec<Range>, u64) {
    if ranges.len() <= most {
        return (ranges, share);
    }
    let gap = |pair: &[Range]| pair[0].last.abs_diff(pair[1].first);
    let mut gaps: Vec<u64> = ranges.windows(2).map(gap).collect();
    let walls = most / WALLS;
    // At most this many gaps are wider than `narrow`.
    let at = gaps.len() - 1 - walls;
    let narrow = *gaps.select_nth_unstable(at).1;
    let rows = ranges.iter().fold(0u64, |rows, range| rows.saturating_add(range.rows));
    let mut share = share.max(rows / most as u64);
    loop {
        let mut fewer: Vec<Range> = Vec::with_capacity(most);
        for range in &ranges {
            match fewer.last_mut() {
                Some(last)
                    if last.rows.saturating_add(range.rows) <= share && last.last.abs_diff(range.first) <= narrow =>
                {
                    last.join(range);
                }
                _ => fewer.push(*range),
            }
        }
        if fewer.len() <= most {
            return (fewer, share);
        }
        share = share.saturating_add(share / 4).saturating_add(1);
    }
}

/// A comparison of current rows with ranges of rows that were emitted.
#[derive(Clone, Debug, Default)]
pub(in crate::sync) struct RangeCheck {
    ranges: Vec<Range>,
    /// Number of rows and sum of the current rows in each range.
    seen: Vec<(u64, u64)>,
    /// Number of current rows in each gap: before each range, and after the last.
    between: Vec<u64>,
}

impl RangeCheck {
    /// Adds a current row. Call it once per row.
    pub(in crate::sync) fn add(&mut self, id: i64, hash: u64) {
        let at = self.ranges.partition_point(|range| range.last < id);
        if self.ranges.get(at).is_some_and(|range| range.first <= id) {
            let (rows, sum) = &mut self.seen[at];
            *rows = rows.saturating_add(1);
            *sum = sum.wrapping_add(mix(id, hash & super::HASH_MASK));
            return;
        }
        // Without any range, the list of gaps is still empty.
        self.between.resize(self.ranges.len() + 1, 0);
        self.between[at] = self.between[at].saturating_add(1);
    }

    /// Returns the ranges of ids to read and emit again: greater than the first, at most the second, `None` for no
    /// bound. Empty if all rows are unchanged. Also returns the number of their current rows.
    pub(in crate::sync) fn changed(self) -> (Vec<KeyRange>, u64) {
        let mut changed: Vec<KeyRange> = Vec::new();
        let mut rows = 0u64;
        let mut put = |after: Option<i64>, end: Option<i64>| match changed.last_mut() {
            Some((_, last)) if last.is_some() && *last == after => *last = end,
            _ => changed.push((after, end)),
        };
        let mut after = None;
        for (index, range) in self.ranges.iter().enumerate() {
            let before = range.first.checked_sub(1);
            if self.between[index] > 0 {
                put(after, before);
                rows = rows.saturating_add(self.between[index]);
            }
            if self.seen[index] != (range.rows, range.sum) {
                put(before, Some(range.last));
                rows = rows.saturating_add(self.seen[index].0);
            }
            after = Some(range.last);
        }
        if let Some(&beyond) = self.between.last().filter(|&&beyond| beyond > 0) {
            put(after, None);
            rows = rows.saturating_add(beyond);
        }
        (changed, rows)
    }
}

/// Spreads a row over 64 bits (the finalizer of SplitMix64), so that sums of different sets differ.
fn mix(id: i64, hash: u64) -> u64 {
    let mut z = id.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ hash.rotate_left(32);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
