//! Rows that were sent, remembered compactly, so that a later sync does not send them again.
//!
//! A row is told by a hash of its key, date and content. Up to [`MOST_EXACT`] rows each hash is kept;
//! beyond, only ranges of ids with the number of rows and a sum, which still show where something has
//! changed. Nothing here computes a row's hash or asks the store.

mod ranges;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

pub(super) use ranges::RangeCheck;
use ranges::Ranges;

/// Rows that are remembered one by one. A state goes out with every checkpoint, and platforms keep it in
/// a row of a database: 4,000 rows take 32,000 characters.
const MOST_EXACT: usize = 4_000;

/// Bytes kept of a hash. By chance a new row has the same six bytes as one of 4,000 once in 70,000 million
/// times, and would be held back; of four bytes, once in a million.
const HASH_BYTES: usize = 6;

/// Characters of Base64 that a hash takes.
const HASH_CHARACTERS: usize = 8;

/// The bits of a hash that are kept.
const HASH_MASK: u64 = (1 << (8 * HASH_BYTES)) - 1;

/// Rows that were sent.
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
    /// Remembers a row; each row must be told once, since ranges count.
    pub(super) fn add(&mut self, id: i64, hash: u64) {
        let hash = hash & HASH_MASK;
        match &mut self.form {
            Form::Ranges(ranges) => ranges.add(id, hash),
            Form::Exact(rows) => {
                rows.insert(hash, Some(id));
                if rows.len() <= MOST_EXACT {
                    return;
                }
                // Rows of an earlier state have no id, so no range can take them; they may come again.
                rows.retain(|_, id| id.is_some());
                if rows.len() > MOST_EXACT {
                    let rows = rows.iter().filter_map(|(&hash, id)| Some(((*id)?, hash)));
                    self.form = Form::Ranges(rows.collect());
                }
            }
        }
    }

    /// Whether this very state of a row was sent. Always false once only ranges are kept.
    pub(super) fn contains(&self, hash: u64) -> bool {
        matches!(&self.form, Form::Exact(rows) if rows.contains_key(&(hash & HASH_MASK)))
    }

    /// Whether each row can be told; otherwise only [`SentHashes::check`] helps.
    pub(super) fn is_exact(&self) -> bool {
        matches!(self.form, Form::Exact(_))
    }

    /// How many rows are remembered.
    pub(super) fn len(&self) -> u64 {
        match &self.form {
            Form::Exact(rows) => rows.len() as u64,
            Form::Ranges(ranges) => ranges.rows(),
        }
    }

    /// Whether no row is remembered.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Remembers the rows of `other`, too, if all of them can be told one by one; otherwise nothing changes.
    pub(super) fn extend(&mut self, other: &Self) {
        let (Form::Exact(rows), Form::Exact(others)) = (&mut self.form, &other.form) else { return };
        let new = others.keys().filter(|hash| !rows.contains_key(hash)).count();
        if rows.len() + new <= MOST_EXACT {
            for (&hash, &id) in others {
                let known = rows.entry(hash).or_insert(id);
                *known = known.or(id);
            }
        }
    }

    /// Begins to compare rows with the ranges; without ranges, every row is a change.
    pub(super) fn check(&self) -> RangeCheck {
        match &self.form {
            Form::Exact(_) => RangeCheck::default(),
            Form::Ranges(ranges) => ranges.check(),
        }
    }

    /// The hashes in Base64, ascending and without a gap, or
    /// `{"ranges": [[first, last, rows, "sum"], …]}`; nothing if empty.
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

    /// Reads what [`SentHashes::to_json`] wrote; nothing if it is damaged, which can only make rows be
    /// sent again.
    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let form = match value {
            Value::String(text) => Form::Exact(exact(text)?),
            other => Form::Ranges(Ranges::from_json(other.get("ranges")?)?),
        };
        Some(Self { form })
    }
}

/// The hashes in a text.
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
