//! Rows near the cursor that were already delivered, so that the overlap of the next sync does not
//! deliver them again.
//!
//! Up to [`LIMIT`] bytes of text every row is remembered by id and `updated_at`; beyond (a bulk import
//! can tie a million rows) only their number and a sum over all of them, which still shows that
//! nothing has changed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::timestamp::Timestamp;

/// How far before its cursor a later sync looks for changes that became visible late. Commits have
/// been allowed for that are a minute late; this is twice that.
pub const OVERLAP_SECONDS: i64 = 120;

/// Bound on the text of the remembered rows, in bytes. A state is sent with every checkpoint and kept
/// by platforms in a database row; 32 KiB hold about a thousand single rows, or any number of rows of
/// neighbouring ids that share a date.
pub(super) const LIMIT: usize = 32 * 1024;

/// Text that one date takes: its 24 to 28 characters, quotes, colon, brackets and comma.
const DATE_COST: usize = 34;
/// Text that one id or range of ids takes at most: two numbers of up to 20 characters and brackets.
const RANGE_COST: usize = 45;

/// Delivered rows whose `updated_at` is not before a floor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recent {
    floor: Option<Timestamp>,
    rows: u64,
    sum: u64,
    exact: Option<Exact>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Exact {
    /// Closed ranges of ids, ascending and apart, by `updated_at`.
    ids: BTreeMap<Timestamp, Vec<(i64, i64)>>,
    cost: usize,
}

impl Recent {
    /// No row yet; rows before `cursor` less the overlap will not be remembered.
    #[must_use]
    pub(super) fn before(cursor: Option<Timestamp>) -> Self {
        let floor = cursor.map(|cursor| cursor.minus_seconds(OVERLAP_SECONDS));
        Self { floor, rows: 0, sum: 0, exact: Some(Exact::default()) }
    }

    /// Remembers a row; each row must be told once.
    pub(super) fn add(&mut self, id: i64, updated: Timestamp) {
        if self.floor.is_none_or(|floor| updated < floor) {
            return;
        }
        if let Some(exact) = &mut self.exact {
            if !exact.add(id, updated) {
                return;
            }
            if exact.cost > LIMIT {
                self.exact = None;
            }
        }
        self.rows += 1;
        self.sum = self.sum.wrapping_add(mix(id, updated));
    }

    /// Whether this very state of the row was delivered. Always false when only the sum is known.
    #[must_use]
    pub(super) fn knows(&self, id: i64, updated: Timestamp) -> bool {
        self.exact.as_ref().is_some_and(|exact| exact.contains(id, updated))
    }

    /// Whether each row can be told; otherwise only [`Recent::agrees`] helps.
    #[must_use]
    pub(super) fn is_exact(&self) -> bool {
        self.exact.is_some()
    }

    /// How many rows are remembered.
    #[must_use]
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether both hold the same rows, as far as number and sum show.
    #[must_use]
    pub(super) fn agrees(&self, other: &Self) -> bool {
        (self.rows, self.sum) == (other.rows, other.sum)
    }

    /// `{"2021-07-01T13:59:28Z": [1, [5, 9]]}`, or `{"rows": 1000000, "sum": "…"}`; nothing if empty.
    #[must_use]
    pub(super) fn to_json(&self) -> Option<Value> {
        match &self.exact {
            _ if self.rows == 0 => None,
            None => Some(json!({"rows": self.rows, "sum": format!("{:016x}", self.sum)})),
            Some(exact) => {
                let by_date = exact.ids.iter().map(|(date, ranges)| {
                    let ids = ranges
                        .iter()
                        .map(|&(first, last)| if first == last { json!(first) } else { json!([first, last]) });
                    (date.to_string(), ids.collect())
                });
                Some(Value::Object(by_date.collect()))
            }
        }
    }

    /// Reads what [`Recent::to_json`] wrote for a state with this cursor. Anything else is no memory,
    /// which can only make a row be delivered again.
    #[must_use]
    pub(super) fn from_json(value: Option<&Value>, cursor: Option<Timestamp>) -> Self {
        let mut recent = Self::before(cursor);
        let Some(Value::Object(map)) = value else { return recent };
        if let (Some(rows), Some(sum)) =
            (map.get("rows").and_then(Value::as_u64), map.get("sum").and_then(Value::as_str))
        {
            if let Ok(sum) = u64::from_str_radix(sum, 16) {
                (recent.rows, recent.sum, recent.exact) = (rows, sum, None);
            }
            return recent;
        }
        for (date, ids) in map {
            let (Ok(date), Some(ids)) = (Timestamp::parse(date.as_bytes()), ids.as_array()) else { continue };
            for range in ids {
                let (first, last) = match range {
                    Value::Array(pair) => (pair.first().and_then(Value::as_i64), pair.get(1).and_then(Value::as_i64)),
                    id => (id.as_i64(), id.as_i64()),
                };
                let (Some(first), Some(last)) = (first, last) else { continue };
                // A range is taken as it is: counting through a damaged one could take for ever.
                if let Some(exact) = &mut recent.exact
                    && first <= last
                {
                    exact.ids.entry(date).or_default().push((first, last));
                    recent.rows = recent.rows.saturating_add(last.abs_diff(first)).saturating_add(1);
                }
            }
        }
        if let Some(exact) = &mut recent.exact {
            exact.normalise();
        }
        recent
    }
}

impl Exact {
    /// False if the row is known already.
    fn add(&mut self, id: i64, updated: Timestamp) -> bool {
        let mut added = 0;
        let ranges = self.ids.entry(updated).or_insert_with(|| {
            added = DATE_COST;
            Vec::new()
        });
        let at = ranges.partition_point(|&(_, last)| last < id);
        if ranges.get(at).is_some_and(|&(first, _)| first <= id) {
            return false;
        }
        let joins_left = at > 0 && ranges[at - 1].1.checked_add(1) == Some(id);
        let joins_right = ranges.get(at).is_some_and(|&(first, _)| id.checked_add(1) == Some(first));
        match (joins_left, joins_right) {
            (true, true) => {
                ranges[at - 1].1 = ranges[at].1;
                ranges.remove(at);
                self.cost -= RANGE_COST;
            }
            (true, false) => ranges[at - 1].1 = id,
            (false, true) => ranges[at].0 = id,
            (false, false) => {
                ranges.insert(at, (id, id));
                added += RANGE_COST;
            }
        }
        self.cost += added;
        true
    }

    fn contains(&self, id: i64, updated: Timestamp) -> bool {
        self.ids.get(&updated).is_some_and(|ranges| {
            let at = ranges.partition_point(|&(_, last)| last < id);
            ranges.get(at).is_some_and(|&(first, _)| first <= id)
        })
    }

    fn normalise(&mut self) {
        self.cost = 0;
        for ranges in self.ids.values_mut() {
            ranges.sort_unstable();
            self.cost += DATE_COST + RANGE_COST * ranges.len();
        }
    }
}

/// Spreads a row over 64 bits (the finaliser of SplitMix64), so that sums of different sets differ.
fn mix(id: i64, updated: Timestamp) -> u64 {
    let mut z =
        id.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ updated.ticks().cast_unsigned().rotate_left(32);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn rows_before_the_overlap_are_not_kept() {
        let mut recent = Recent::before(Some(at(1000)));
        recent.add(1, at(1000 - OVERLAP_SECONDS - 1));
        recent.add(2, at(1000 - OVERLAP_SECONDS));
        assert_eq!((recent.rows(), recent.knows(1, at(879)), recent.knows(2, at(880))), (1, false, true));
    }

    #[test]
    fn neighbours_that_share_a_date_take_one_range() {
        let mut recent = Recent::before(Some(at(0)));
        for id in [5, 1, 3, 2, 9, 4, 5] {
            recent.add(id, at(0));
        }
        assert_eq!(recent.to_json().unwrap(), json!({"1970-01-01T00:00:00Z": [[1, 5], 9]}));
        assert_eq!(recent.rows(), 6);
    }

    #[test]
    fn a_million_tied_rows_stay_within_the_limit() {
        let mut dense = Recent::before(Some(at(0)));
        let mut sparse = Recent::before(Some(at(0)));
        for id in 0..1_000_000 {
            dense.add(id, at(0));
            sparse.add(id * 2, at(0));
        }
        assert!(dense.is_exact() && !sparse.is_exact());
        for recent in [&dense, &sparse] {
            assert!(recent.to_json().unwrap().to_string().len() <= LIMIT);
        }
        let back = Recent::from_json(sparse.to_json().as_ref(), Some(at(0)));
        assert!(back.agrees(&sparse) && !back.is_exact() && !back.knows(2, at(0)));
    }

    #[test]
    fn a_damaged_memory_is_no_memory() {
        for value in [
            json!(5),
            json!({"x": 1}),
            json!({"rows": 1, "sum": "zz"}),
            json!({"2021-01-01T00:00:00Z": ["a", [5, 1], [1]]}),
        ] {
            assert_eq!(Recent::from_json(Some(&value), Some(at(0))).rows(), 0, "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_rows_round_trip(rows in prop::collection::btree_set((any::<i64>(), 0i64..5), 0..200), shuffle in any::<u64>()) {
            let mut order: Vec<_> = rows.iter().copied().collect();
            order.sort_by_key(|row| mix(row.0, at(row.1 + i64::try_from(shuffle % 1000).unwrap())));
            let mut recent = Recent::before(Some(at(0)));
            for &(id, second) in &order {
                recent.add(id, at(second));
            }
            prop_assert_eq!(recent.rows(), rows.len() as u64);
            let back = Recent::from_json(recent.to_json().as_ref(), Some(at(0)));
            for &(id, second) in &order {
                prop_assert!(back.knows(id, at(second)));
                prop_assert_eq!(back.knows(id, at(second + 10)), false);
            }
            prop_assert!(recent.to_json().is_none_or(|json| json.to_string().len() <= LIMIT));
        }
    }
}
