//! The known ids of a stream, as its state keeps them: the keys of all rows that its date filter lists. Pure.
//!
//! ```text
//! {"scope": "…", "ids": "…", "unsent": "…", "all": true, "newest": T, "refused": [counted, percent]}
//! {"scope": "…", "too_large": true}
//! ```
//!
//! `docs/reference/deletions.md` describes each part. Invalid known ids count as absent.

use serde_json::{Map, Value, json};

use super::checkpoint_fields::CheckpointFields;
use super::id_set::{IdSet, LARGEST_ENCODED};
use crate::timestamp::Timestamp;

/// Name of the known ids in a state.
pub(super) const FIELD: &str = "known";

/// Maximum size of the known ids in a state in bytes. Both sets and the few short members fit.
const LARGEST: usize = 2 * LARGEST_ENCODED + 1_024;

/// Fewest deleted rows that are refused at once if they are not half of all: small streams may lose a few rows.
const FEWEST_REFUSED: u64 = 50;

/// The known ids of a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct KnownIds {
    /// Identifies the store, the sign-in and the dates for which they were collected.
    pub scope: String,
    /// True if they include rows of any date; false if they are those of the date filter of a first sync.
    pub is_unfiltered: bool,
    /// The keys.
    ids: IdSet,
    /// Those of rows that were not delivered: they are outside the dates of the config.
    unsent: IdSet,
    /// Newest date that was delivered.
    pub newest: Option<Timestamp>,
    /// The count at which a mass deletion was refused, and the limit (percent) that refused it.
    pub refused: Option<(u64, u32)>,
    /// True if the keys do not fit in a state. Then there are none.
    pub is_too_large: bool,
}

impl KnownIds {
    /// Returns known ids without a key.
    pub(super) fn new(scope: &str) -> Self {
        Self { scope: scope.to_owned(), ..Self::default() }
    }

    /// Returns all keys.
    pub(super) fn ids(&self) -> &IdSet {
        &self.ids
    }

    /// Adds a row that the store lists. A row that was delivered once stays delivered.
    pub(super) fn add(&mut self, id: i64, is_delivered: bool) {
        if self.is_too_large {
            return;
        }
        let is_new = self.ids.insert(id);
        if is_delivered {
            self.unsent.remove(id);
        } else if is_new {
            self.unsent.insert(id);
        }
    }

    /// Returns true if a row was delivered.
    pub(super) fn is_delivered(&self, id: i64) -> bool {
        self.ids.contains(id) && !self.unsent.contains(id)
    }

    /// Removes a row. Returns true if it had been delivered.
    pub(super) fn remove(&mut self, id: i64) -> bool {
        let was_unsent = self.unsent.remove(id);
        self.ids.remove(id) && !was_unsent
    }

    /// Returns the length of the keys in a state (bytes). More than [`LARGEST_ENCODED`] are not kept.
    pub(super) fn encoded_len(&mut self) -> usize {
        self.ids.optimize();
        self.unsent.optimize();
        self.ids.encoded_len() + self.unsent.encoded_len()
    }

    /// Forgets the keys, because they do not fit in a state.
    pub(super) fn give_up(&mut self) {
        *self = Self { is_too_large: true, ..Self::new(&self.scope) };
    }

    /// Parses the member [`FIELD`] of a state; `None` if there is none or it is invalid.
    pub(super) fn parse(state: &str) -> Option<Self> {
        const NAMES: [&str; 7] = ["scope", "all", "ids", "unsent", "newest", "refused", "too_large"];
        let text = CheckpointFields::of(state, &[FIELD]).text(FIELD).filter(|text| text.len() <= LARGEST)?;
        let parts = CheckpointFields::of(text, &NAMES);
        let set = |name: &str| match parts.text(name) {
            None => Some(IdSet::default()),
            // Base64 has no escapes.
            Some(text) => IdSet::decode(text.strip_prefix('"')?.strip_suffix('"')?),
        };
        let refused = parts
            .value("refused")
            .and_then(|refused| Some((refused.get(0)?.as_u64()?, u32::try_from(refused.get(1)?.as_u64()?).ok()?)));
        Some(Self {
            scope: parts.value("scope")?.as_str()?.to_owned(),
            is_unfiltered: parts.is_true("all"),
            ids: set("ids")?,
            unsent: set("unsent")?,
            newest: parts.date("newest"),
            refused,
            is_too_large: parts.is_true("too_large"),
        })
    }

    /// Compresses the ids and returns the member [`FIELD`] of a state.
    pub(super) fn compressed(&mut self) -> Value {
        let mut known = Map::new();
        known.insert("scope".to_owned(), json!(self.scope));
        for (name, set) in [("ids", &mut self.ids), ("unsent", &mut self.unsent)] {
            if !set.is_empty() {
                set.optimize();
                known.insert(name.to_owned(), json!(set.encode()));
            }
        }
        for (name, is_so) in [("all", self.is_unfiltered), ("too_large", self.is_too_large)] {
            if is_so {
                known.insert(name.to_owned(), json!(true));
            }
        }
        if let Some(newest) = self.newest {
            known.insert("newest".to_owned(), json!(newest.to_string()));
        }
        if let Some(refused) = self.refused {
            known.insert("refused".to_owned(), json!(refused));
        }
        Value::Object(known)
    }
}

/// Returns the largest number of rows among `known` that may be deleted at once, for a limit of `percent`: the larger
/// of that share and 50 rows, but not more than half of the rows unless the share itself is more.
pub(super) fn most_deleted(known: u64, percent: u32) -> u64 {
    let share = u128::from(known) * u128::from(percent.min(100)) / 100;
    u64::try_from(share).unwrap_or(known).max(FEWEST_REFUSED.min(known / 2))
}

#[cfg(test)]
mod tests;
