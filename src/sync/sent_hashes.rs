//! Compact memory of the rows that were emitted, so that a later sync does not emit them again.
//!
//! A row is identified by a hash of its key, date and content. For at most [`MOST_EXACT`] rows each hash is kept. For
//! more, only ranges of ids are kept, with their number of rows and a sum, which still show where rows have changed.
//! This module computes no hash of a row and sends no request.

mod ranges;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

pub(super) use ranges::RangeCheck;
use ranges::Ranges;

/// Maximum number of rows that are remembered one by one. Every state contains them, and platforms keep a state in a
/// row of a database: 4,000 rows take 32,000 characters.
const MOST_EXACT: usize = 4_000;

/// Bytes kept of a hash. By chance a new row has the same six bytes as one of 4,000 once in 70,000 million times, and
/// would not be emitted; with four bytes, once in a million.
const HASH_BYTES: usize = 6;

/// Characters of a hash in Base64.
const HASH_CHARACTERS: usize = 8;

/// Mask of the bits of a hash that are kept.
const HASH_MASK: u64 = (1 << (8 * HASH_BYTES)) - 1;

/// Rows that were emitted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SentHashes {
    form: Form,
}

#[derive(Clone, Debug, PartialEq)]
enum Form {
    /// Each row by its hash, with its id unless it was read from a state.
    Exact(BTreeMap<u64, Option<i64>>),
    /// Ranges of ids.
    Ranges(Ranges),
}

impl Default for SentHashes {
    fn default() -> Self {
        Self { form: Form::Exact(BTreeMap::new()) }
    }
}

impl SentHashes {
    /// Remembers a row. Call it once per row, since ranges count.
    pub(super) fn add(&mut self, id: i64, hash: u64) {
        let hash = hash & HASH_MASK;
        match &mut self.form {
            Form::Ranges(ranges) => ranges.add(id, hash),
            Form::Exact(rows) => {
                rows.insert(hash, Some(id));
                if rows.len() <= MOST_EXACT {
                    return;
                }
                // Rows of an earlier state have no id and cannot be added to a range; they may be emitted again.
                rows.retain(|_, id| id.is_some());
                if rows.len() > MOST_EXACT {
                    let rows = rows.iter().filter_map(|(&hash, id)| Some(((*id)?, hash)));
                    self.form = Form::Ranges(rows.collect());
                }
            }
        }
    }

    /// Returns true if this version of a row was emitted. Always false if only ranges are kept.
    pub(super) fn contains(&self, hash: u64) -> bool {
        matches!(&self.form, Form::Exact(rows) if rows.contains_key(&(hash & HASH_MASK)))
    }

    /// Returns true if rows are remembered one by one; otherwise use [`SentHashes::check`].
    pub(super) fn is_exact(&self) -> bool {
        matches!(self.form, Form::Exact(_))
    }

    /// Returns the number of rows remembered.
    pub(super) fn len(&self) -> u64 {
        match &self.form {
            Form::Exact(rows) => rows.len() as u64,
            Form::Ranges(ranges) => ranges.rows(),
        }
    }

    /// Returns true if no row is remembered.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Also remembers the rows of `other`, if all of them can be remembered one by one; otherwise changes nothing and
    /// returns false.
    pub(super) fn extend(&mut self, other: &Self) -> bool {
        let (Form::Exact(rows), Form::Exact(others)) = (&mut self.form, &other.form) else { return false };
        let new = others.keys().filter(|hash| !rows.contains_key(hash)).count();
        if rows.len() + new > MOST_EXACT {
            return false;
        }
        for (&hash, &id) in others {
            let known = rows.entry(hash).or_insert(id);
            *known = known.or(id);
        }
        true
    }

    /// Starts a comparison of rows with the ranges; without ranges, every row counts as changed.
    pub(super) fn check(&self) -> RangeCheck {
        match &self.form {
            Form::Exact(_) => RangeCheck::default(),
            Form::Ranges(ranges) => ranges.check(),
        }
    }

    /// Returns the hashes in Base64, ascending and without separators, or `{"ranges": [[first, last, rows, "sum"],
    /// …]}`; `None` if empty.
    pub(super) fn to_json(&self) -> Option<Value> {
        match &self.form {
            _ if self.is_empty() => None,
            Form::Exact(rows) => {
                let skipped = size_of::<u64>() - HASH_BYTES;
                let bytes: Vec<u8> =
                    rows.keys().flat_map(|hash| hash.to_be_bytes().into_iter().skip(skipped)).collect();
                Some(Value::String(BASE64_STANDARD.encode(bytes)))
            }
            Form::Ranges(ranges) => Some(json!({ "ranges": ranges.to_json() })),
        }
    }

    /// Parses the output of [`SentHashes::to_json`]; returns `None` if it is damaged, which can only cause rows to be
    /// emitted again.
    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let form = match value {
            Value::String(text) => Form::Exact(exact(text)?),
            other => Form::Ranges(Ranges::from_json(other.get("ranges")?)?),
        };
        Some(Self { form })
    }
}

/// Parses the hashes in a Base64 string; returns `None` if they are invalid.
fn exact(text: &str) -> Option<BTreeMap<u64, Option<i64>>> {
    if text.is_empty() || !text.len().is_multiple_of(HASH_CHARACTERS) || text.len() > HASH_CHARACTERS * MOST_EXACT {
        return None;
    }
    let bytes = BASE64_STANDARD.decode(text).ok()?;
    let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
    let number = |hash: &[u8; HASH_BYTES]| hash.iter().fold(0, |number, &byte| (number << 8) | u64::from(byte));
    let is_sound = rest.is_empty() && hashes.is_sorted_by(|one, next| one < next);
    is_sound.then(|| hashes.iter().map(|hash| (number(hash), None)).collect())
}

#[cfg(test)]
mod tests;
