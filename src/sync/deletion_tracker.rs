//! The known ids of a stream while it is read: which rows were listed, and what of it is in each state.
//!
//! Changed only while a batch is prepared, and written with the state of that batch: so no state knows more or fewer
//! rows than were emitted before it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::checkpoint_fields::CheckpointFields;
use super::id_set::{IdSet, LARGEST_ENCODED};
use super::known_ids::{FIELD, KnownIds};
use super::query::DateRange;
use super::row_filter::Decision;
use super::rows::Row;
use crate::record::{CursorValue, Key};
use crate::timestamp::Timestamp;

/// Maximum size of the known ids of all streams of a run in bytes of Base64: half of the largest state file that is
/// read.
const LARGEST_TOTAL: usize = 32 << 20;

/// Bytes of the hash that identifies a store, a sign-in and dates: enough that two do not collide by chance.
const SCOPE_BYTES: usize = 8;

/// The size of the known ids of all streams of a run.
#[derive(Debug, Default)]
pub struct KnownBytes(AtomicUsize);

impl KnownBytes {
    /// Replaces the size of a stream. Returns true if all together exceed the limit.
    fn replace(&self, before: usize, now: usize) -> bool {
        let added = self.0.fetch_add(now, Ordering::Relaxed) + now;
        self.0.fetch_sub(before, Ordering::Relaxed);
        added - before > LARGEST_TOTAL && now > before
    }
}

/// Returns the scope of known ids: different for another store, sign-in or start date.
pub(super) fn scope(identity: &str, start: Timestamp) -> String {
    let hash = Sha256::digest(format!("{identity}\n{start}").as_bytes());
    hash.iter().take(SCOPE_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

/// Facts about the start of a sync that decide which known ids it has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begin<'s> {
    /// The state of the stream, as given.
    pub state: Option<&'s str>,
    /// True in a full refresh.
    pub full_refresh: bool,
    /// True if the state is the checkpoint of a full refresh.
    pub state_is_full: bool,
    /// True if the sync reads no rows, because this job finished before.
    pub is_finished: bool,
    /// True if the sync reads all rows of the stream, and continues no earlier walk.
    pub from_nothing: bool,
}

/// Known ids while a stream is read.
#[derive(Debug)]
pub(super) struct DeletionTracker {
    tracked: Mutex<Tracked>,
    /// The date filter of the known ids, unless they include rows of any date.
    filter: DateRange,
    /// True if deleted rows are looked for after the pass.
    pub detects: bool,
    /// Maximum share of the rows that may be deleted at once (percent).
    pub percent: u32,
    /// True if the state had known ids of another scope.
    pub was_other_scope: bool,
    /// The rest of a tombstone after its dates: the other columns, which are null.
    pub nulls: String,
    bytes: Arc<KnownBytes>,
}

#[derive(Debug, Default)]
struct Tracked {
    known: KnownIds,
    /// True if all rows that the filter lists are known when the pass is finished.
    is_built: bool,
    /// Keys of a complete list that this sync read.
    listed: Option<IdSet>,
    /// The known ids of the state before an interrupted full refresh.
    kept: Option<Value>,
    /// Those of the state that was given, if the sync began with others.
    given: Option<GivenIds>,
    /// True if they were in the state, so that rows may have been reported as deleted.
    is_continued: bool,
    /// True if the store sends keys that are not whole numbers.
    has_other_keys: bool,
    /// True if the keys became too many in this run.
    gave_up: bool,
    /// The last measured size.
    size: usize,
}

/// The known ids of a state: its own, and those of the state before an interrupted full refresh.
#[derive(Debug)]
struct GivenIds {
    known: Option<KnownIds>,
    kept: Option<Value>,
}

impl GivenIds {
    fn of(state: Option<&str>, kept: Option<&str>) -> Self {
        let kept = kept.and_then(KnownIds::parse).map(|mut known| known.compressed());
        Self { known: state.and_then(KnownIds::parse), kept }
    }
}

impl DeletionTracker {
    /// Returns the known ids at the start of a sync. `collects` is true if every sync reads the complete stream.
    pub(super) fn new(
        begin: Begin<'_>,
        scope: &str,
        filter: DateRange,
        collects: bool,
        (percent, nulls): (u32, String),
        bytes: Arc<KnownBytes>,
    ) -> Self {
        let Begin { state, full_refresh, state_is_full, is_finished, from_nothing } = begin;
        let kept = state.and_then(|state| CheckpointFields::of(state, &["kept"]).text("kept"));
        let source = match (full_refresh, state_is_full) {
            (true, true) => state,
            // A full refresh begins without known ids; those of the incremental syncs are kept for these.
            (true, false) => state.filter(|_| is_finished),
            (false, true) => kept,
            (false, false) => state,
        };
        let parsed = source.and_then(KnownIds::parse);
        let was_other_scope = parsed.as_ref().is_some_and(|known| known.scope != scope);
        let known = parsed.filter(|known| known.scope == scope && !(known.is_too_large && from_nothing));
        let before_refresh = match (full_refresh, state_is_full) {
            (true, true) => kept,
            (true, false) => state.filter(|_| !is_finished),
            (false, _) => None,
        };
        let is_continued = known.is_some();
        let is_built = is_continued || (from_nothing && !is_finished) || collects;
        let mut known = known.unwrap_or_else(|| KnownIds::new(scope));
        known.is_unfiltered |= collects;
        let tracked = Tracked {
            is_built,
            known,
            listed: collects.then(IdSet::default),
            kept: before_refresh.and_then(KnownIds::parse).map(|mut known| known.compressed()),
            given: (full_refresh != state_is_full && !is_finished).then(|| GivenIds::of(state, kept)),
            is_continued,
            ..Tracked::default()
        };
        let detects = !full_refresh;
        Self { tracked: Mutex::new(tracked), filter, detects, percent, was_other_scope, nulls, bytes }
    }

    fn tracked(&self) -> MutexGuard<'_, Tracked> {
        // Every change is complete when the lock is released.
        self.tracked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes whether the walk that begins now, over all rows, has no date filter.
    pub(super) fn begin_walk(&self, is_unfiltered: bool) {
        self.tracked().known.is_unfiltered = is_unfiltered;
    }

    /// Emits a row again that was sent with the same content and was reported as deleted since.
    pub(super) fn restore(&self, rows: &[Row], decisions: &mut [Decision]) {
        let tracked = self.tracked();
        if !tracked.is_continued || tracked.known.is_too_large {
            return;
        }
        for (row, decision) in rows.iter().zip(decisions) {
            if *decision == Decision::AlreadySent
                && let Key::Number(id) = row.key
                && !tracked.known.ids().contains(id)
                && self.is_in_filter(&tracked, row)
            {
                *decision = Decision::Emit;
            }
        }
    }

    /// Adds rows that are emitted or passed over now.
    pub(super) fn note(&self, rows: &[Row], decisions: &[Decision]) {
        let mut tracked = self.tracked();
        for (row, decision) in rows.iter().zip(decisions) {
            let Key::Number(id) = row.key else {
                tracked.has_other_keys = true;
                continue;
            };
            if let Some(listed) = &mut tracked.listed {
                listed.insert(id);
            }
            if !tracked.is_built || !self.is_in_filter(&tracked, row) {
                continue;
            }
            let is_delivered = matches!(decision, Decision::Emit | Decision::AlreadySent);
            // A row that came back after its deletion was reported, with an old date: the search finds and emits it.
            let is_passed_over =
                *decision == Decision::OutOfRange && tracked.is_continued && row.is_within(&self.filter);
            if is_passed_over && !tracked.known.ids().contains(id) {
                continue;
            }
            tracked.known.add(id, is_delivered);
            if let CursorValue::At(date) = row.updated
                && is_delivered
            {
                tracked.known.newest = tracked.known.newest.max(Some(date));
            }
        }
    }

    /// Adds the rows of a response that is the complete list of the stream, whatever their dates.
    pub(super) fn note_all(&self, rows: &[Row], decisions: &[Decision]) {
        {
            let mut tracked = self.tracked();
            tracked.known.is_unfiltered = true;
            tracked.listed = Some(IdSet::default());
            // What is not known yet is in this list.
            tracked.is_built = true;
        }
        self.note(rows, decisions);
    }

    fn is_in_filter(&self, tracked: &Tracked, row: &Row) -> bool {
        // A date that cannot be read cannot be compared.
        tracked.known.is_unfiltered || row.updated == CursorValue::Invalid || row.is_within(&self.filter)
    }

    /// Returns the length of what [`DeletionTracker::write`] adds to a state. Forgets the keys if they are too many.
    pub(super) fn size(&self) -> usize {
        let tracked = &mut *self.tracked();
        let kept = tracked.kept.as_ref().map_or(0, |kept| kept["ids"].as_str().map_or(0, str::len));
        if !tracked.is_built {
            return kept;
        }
        let now = tracked.known.encoded_len();
        let is_too_large = self.bytes.replace(tracked.size, now) || now > LARGEST_ENCODED;
        tracked.size = now;
        if is_too_large {
            self.bytes.replace(now, 0);
            tracked.size = 0;
            tracked.known.give_up();
            tracked.gave_up = true;
        }
        tracked.size + kept
    }

    /// Adds the known ids to a state.
    pub(super) fn write(&self, state: &mut Value) {
        let tracked = &mut *self.tracked();
        if tracked.is_built {
            state[FIELD] = tracked.known.compressed();
        }
        if let (Some(kept), Some(before)) = (&tracked.kept, state.get_mut("kept")) {
            before[FIELD] = kept.clone();
        }
    }

    /// Returns to the known ids of the state that was given, because the sync ends with that state.
    pub(super) fn give_back(&self) {
        let tracked = &mut *self.tracked();
        if let Some(GivenIds { known, kept }) = tracked.given.take() {
            tracked.is_built = known.is_some();
            tracked.known = known.unwrap_or_default();
            tracked.kept = kept;
        }
    }

    /// Adds rows that the store lists under the date filter, although their dates are outside of it: it reads the
    /// filter in another time zone, and counts them.
    pub(super) fn add_listed(&self, rows: &[Row]) {
        let known = &mut self.tracked().known;
        for row in rows {
            if let Key::Number(id) = row.key
                && !known.ids().contains(id)
            {
                known.add(id, false);
            }
        }
    }

    /// Returns a copy of the known ids.
    pub(super) fn known(&self) -> KnownIds {
        self.tracked().known.clone()
    }

    /// Returns true if all rows that the filter lists are known.
    pub(super) fn is_built(&self) -> bool {
        self.tracked().is_built
    }

    /// Replaces the known ids with those of a complete list.
    pub(super) fn build(&self, known: KnownIds) {
        let tracked = &mut *self.tracked();
        tracked.known = known;
        tracked.is_built = true;
    }

    /// Returns the keys of the complete list that this sync read, if it read one.
    pub(super) fn take_listed(&self) -> Option<IdSet> {
        self.tracked().listed.take()
    }

    /// Returns true if the store sends keys that are not whole numbers.
    pub(super) fn has_other_keys(&self) -> bool {
        self.tracked().has_other_keys
    }

    /// Returns true if the keys became too many in this run.
    pub(super) fn gave_up(&self) -> bool {
        self.tracked().gave_up
    }

    /// Returns the date filter of the known ids.
    pub(super) fn filter(&self) -> DateRange {
        if self.tracked().known.is_unfiltered { DateRange::default() } else { self.filter }
    }

    /// Removes rows that the store deleted, or that left the filter.
    pub(super) fn remove(&self, ids: &[i64]) {
        let mut tracked = self.tracked();
        for &id in ids {
            tracked.known.remove(id);
        }
    }

    /// Sets the count at which a mass deletion was refused.
    pub(super) fn set_refused(&self, counted: Option<u64>) {
        self.tracked().known.refused = counted.map(|counted| (counted, self.percent));
    }
}

#[cfg(test)]
mod tests;
