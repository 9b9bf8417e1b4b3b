//! Ranges of ids with what was sent of each: how many rows, and the sum of their hashes.
//!
//! They are built while rows arrive, in any order and from several ranges of ids at once, without keeping
//! the ids. Nothing here knows single rows.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Ranges in a state: some 45 characters each for usual ids, 70 at most, so that a state with them is not
/// longer than one with single rows.
const MOST_RANGES: usize = 250;

/// Ranges that are built at once, before neighbours are joined to half as many. Several times those that
/// go out, so that a range that grew faster than others is still no more than a fair share.
const MOST_BUILT: usize = 1_000;

/// One in so many places between neighbours is not closed when they are joined: the widest, in which rows
/// may still arrive that nobody can take out of a joined range again.
const WALLS: usize = 4;

/// Characters of a sum in hexadecimal digits.
const SUM_DIGITS: usize = 16;

/// Rows of neighbouring ids.
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

/// Ranges, apart from each other.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ranges {
    /// By their first id.
    built: BTreeMap<i64, Range>,
    /// Rows up to which a range grows by the id behind it.
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

    /// How many rows there are.
    pub(super) fn rows(&self) -> u64 {
        self.built.values().fold(0, |rows, range| rows.saturating_add(range.rows))
    }

    /// The ranges that go out.
    fn compacted(&self) -> Vec<Range> {
        joined(self.built.values().copied().collect(), MOST_RANGES, 1).0
    }

    pub(super) fn check(&self) -> RangeCheck {
        let ranges = self.compacted();
        RangeCheck { between: vec![false; ranges.len() + 1], seen: vec![(0, 0); ranges.len()], ranges }
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

/// Joins neighbours until there are at most `most` ranges, none of them made larger than the share that is
/// given, too, and is `share` at least.
fn joined(ranges: Vec<Range>, most: usize, share: u64) -> (Vec<Range>, u64) {
    if ranges.len() <= most {
        return (ranges, share);
    }
    let gap = |pair: &[Range]| pair[0].last.abs_diff(pair[1].first);
    let mut gaps: Vec<u64> = ranges.windows(2).map(gap).collect();
    let walls = most / WALLS;
    // As many gaps at most are wider than this one.
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

/// A comparison of rows that are there with ranges of rows that were sent.
#[derive(Clone, Debug, Default)]
pub(in crate::sync) struct RangeCheck {
    ranges: Vec<Range>,
    /// Number of rows and sum met of each range.
    seen: Vec<(u64, u64)>,
    /// Whether a row was met before each range, and behind the last.
    between: Vec<bool>,
}

impl RangeCheck {
    /// Takes note of a row; each must be told once.
    pub(in crate::sync) fn add(&mut self, id: i64, hash: u64) {
        let at = self.ranges.partition_point(|range| range.last < id);
        if self.ranges.get(at).is_some_and(|range| range.first <= id) {
            let (rows, sum) = &mut self.seen[at];
            *rows = rows.saturating_add(1);
            *sum = sum.wrapping_add(mix(id, hash & super::HASH_MASK));
            return;
        }
        // Only the check of no ranges has no place for it yet.
        self.between.resize(self.ranges.len() + 1, false);
        self.between[at] = true;
    }

    /// The ranges of ids to read and send again: greater than the first, at most the second, `None` for
    /// no bound. Empty if nothing has changed.
    pub(in crate::sync) fn changed(self) -> Vec<(Option<i64>, Option<i64>)> {
        let mut changed: Vec<(Option<i64>, Option<i64>)> = Vec::new();
        let mut put = |after: Option<i64>, end: Option<i64>| match changed.last_mut() {
            Some((_, last)) if last.is_some() && *last == after => *last = end,
            _ => changed.push((after, end)),
        };
        let mut after = None;
        for (index, range) in self.ranges.iter().enumerate() {
            let before = range.first.checked_sub(1);
            if self.between[index] {
                put(after, before);
            }
            if self.seen[index] != (range.rows, range.sum) {
                put(before, Some(range.last));
            }
            after = Some(range.last);
        }
        if self.between.last() == Some(&true) {
            put(after, None);
        }
        changed
    }
}

/// Spreads a row over 64 bits (the finaliser of SplitMix64), so that sums of different sets differ.
fn mix(id: i64, hash: u64) -> u64 {
    let mut z = id.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ hash.rotate_left(32);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
