//! A compressed set of keys. Pure.
//!
//! Keys without gaps take a few bytes for each 65,536 of them; keys with random gaps take at most two bytes each.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roaring::RoaringBitmap;
use serde_json::Value;

/// Maximum size of an encoded set in characters of Base64: 1 MiB.
pub(super) const LARGEST_ENCODED: usize = 1 << 20;

/// Bytes before the bitmaps in the encoded form: their number. Each has a key of [`KEY_BYTES`] before it.
const HEAD_BYTES: usize = 8;
const KEY_BYTES: usize = 4;

/// A set of keys: a bitmap for each value of the upper 32 bits.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct IdSet(BTreeMap<i32, RoaringBitmap>);

/// Splits a key into its upper and its lower half.
fn split(id: i64) -> (i32, u32) {
    // Both halves fit by construction; the order of keys is that of the pairs, also for negative ones.
    ((id >> 32) as i32, id as u32)
}

fn join(high: i32, low: u32) -> i64 {
    (i64::from(high) << 32) | i64::from(low)
}

impl IdSet {
    /// Adds a key. Returns true if it is new.
    pub(super) fn insert(&mut self, id: i64) -> bool {
        let (high, low) = split(id);
        self.0.entry(high).or_default().insert(low)
    }

    /// Adds keys.
    pub(super) fn extend(&mut self, ids: impl IntoIterator<Item = i64>) {
        ids.into_iter().for_each(|id| _ = self.insert(id));
    }

    /// Removes a key. Returns true if it was in the set.
    pub(super) fn remove(&mut self, id: i64) -> bool {
        let (high, low) = split(id);
        let Some(bitmap) = self.0.get_mut(&high) else { return false };
        let was_in = bitmap.remove(low);
        if bitmap.is_empty() {
            self.0.remove(&high);
        }
        was_in
    }

    /// Returns true if a key is in the set.
    pub(super) fn contains(&self, id: i64) -> bool {
        let (high, low) = split(id);
        self.0.get(&high).is_some_and(|bitmap| bitmap.contains(low))
    }

    /// Returns the number of keys.
    pub(super) fn len(&self) -> u64 {
        self.0.values().map(RoaringBitmap::len).fold(0, u64::saturating_add)
    }

    /// Returns true if there are no keys.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the greatest key.
    pub(super) fn max(&self) -> Option<i64> {
        let (&high, bitmap) = self.0.last_key_value()?;
        Some(join(high, bitmap.max()?))
    }

    /// Returns the number of keys that are at most `id`.
    pub(super) fn rank(&self, id: i64) -> u64 {
        let (high, low) = split(id);
        let below = self.0.range(..high).map(|(_, bitmap)| bitmap.len()).fold(0, u64::saturating_add);
        below.saturating_add(self.0.get(&high).map_or(0, |bitmap| bitmap.rank(low)))
    }

    /// Returns the key with `place` smaller ones.
    pub(super) fn select(&self, mut place: u64) -> Option<i64> {
        for (&high, bitmap) in &self.0 {
            match place.checked_sub(bitmap.len()) {
                Some(rest) => place = rest,
                None => return Some(join(high, bitmap.select(u32::try_from(place).ok()?)?)),
            }
        }
        None
    }

    /// Returns the keys in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = i64> + '_ {
        self.0.iter().flat_map(|(&high, bitmap)| bitmap.iter().map(move |low| join(high, low)))
    }

    /// Returns the keys greater than `after` and at most `end` that are not in another set.
    pub(super) fn missing_from(&self, other: &Self, after: Option<i64>, end: i64) -> Vec<i64> {
        let (first, last) = (after.map_or(i32::MIN, |after| split(after).0), split(end).0);
        let mut missing = Vec::new();
        for (&high, bitmap) in self.0.range(first..=last.max(first)) {
            let rest = other.0.get(&high).map_or_else(|| bitmap.clone(), |listed| bitmap - listed);
            let keys = rest.iter().map(|low| join(high, low));
            missing.extend(keys.filter(|&id| after.is_none_or(|after| id > after) && id <= end));
        }
        missing
    }

    /// Stores runs of keys as ranges where that is shorter.
    pub(super) fn optimize(&mut self) {
        for bitmap in self.0.values_mut() {
            bitmap.optimize();
        }
    }

    /// Returns the length of [`IdSet::encode`].
    pub(super) fn encoded_len(&self) -> usize {
        let bytes: usize = self.0.values().map(|bitmap| KEY_BYTES + bitmap.serialized_size()).sum();
        (HEAD_BYTES + bytes).div_ceil(3) * 4
    }

    /// Returns the set as Base64 of the portable format of 64-bit Roaring bitmaps: the number of bitmaps, then for
    /// each the upper half of its keys and the bitmap (github.com/RoaringBitmap/RoaringFormatSpec).
    pub(super) fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(self.encoded_len() / 4 * 3);
        bytes.extend_from_slice(&(self.0.len() as u64).to_le_bytes());
        for (&high, bitmap) in &self.0 {
            bytes.extend_from_slice(&high.to_le_bytes());
            // Writing to memory does not fail.
            let _written = bitmap.serialize_into(&mut bytes);
        }
        STANDARD.encode(bytes)
    }

    /// Returns the set as JSON; `None` if it is empty.
    pub(super) fn to_json(&self) -> Option<Value> {
        let mut set = self.clone();
        set.optimize();
        (!set.is_empty()).then(|| Value::String(set.encode()))
    }

    /// Parses the output of [`IdSet::to_json`]; `None` if it is invalid.
    pub(super) fn from_json(value: &Value) -> Option<Self> {
        Self::decode(value.as_str()?)
    }

    /// Parses the output of [`IdSet::encode`]; `None` if it is invalid or larger than [`LARGEST_ENCODED`].
    pub(super) fn decode(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(Some(text).filter(|text| text.len() <= LARGEST_ENCODED)?).ok()?;
        let (head, mut rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let mut set = Self::default();
        for _ in 0..u64::from_le_bytes(*head) {
            let (high, bitmap) = rest.split_first_chunk::<KEY_BYTES>()?;
            rest = bitmap;
            let bitmap = RoaringBitmap::deserialize_from(&mut rest).ok()?;
            if bitmap.is_empty() || set.0.insert(i32::from_le_bytes(*high), bitmap).is_some() {
                return None;
            }
        }
        rest.is_empty().then_some(set)
    }
}

impl FromIterator<i64> for IdSet {
    fn from_iter<T: IntoIterator<Item = i64>>(ids: T) -> Self {
        let mut set = Self::default();
        set.extend(ids);
        set
    }
}

#[cfg(test)]
mod tests;
