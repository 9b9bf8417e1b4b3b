//! The state of one stream and its JSON format.
//!
//! ```text
//! {}                                                              nothing read yet, or a full refresh
//! {"updated_at": T, "previous": T, "at_cursor": […], "sent": …}   finished
//! {"updated_at": T, …, "whole": true}                             finished, a small table; some rows lack `updated_at`
//! {"updated_at": T, …, "unread": [[after, end], …]}               finished, some rows could not be read
//! {"updated_at": T, …, "walk": {"from": T, "until": T, "left": [[after, end], …], …}}    interrupted
//! {"full": true, …, "walk": {…}, "kept": {…}}                     an interrupted full refresh, and the state before it
//! {…, "walk": {…}, "columns": "…"}                                an interrupted walk of some of the columns
//! {…, "position": {…}, "rows": "…"}                               an interrupted walk of the rows that settings select
//! {…, "generation_id": 1, "sync_id": 7}                           finished, by a full refresh of that job
//! {…, "position": {…}}                                            interrupted, a walk of another kind (`position`)
//! {…, "top": 9, "above": "…"}                                     new rows may show earlier dates
//! {…, "clock_ahead": 90}                                          the store's clock differs from this machine's
//! ```
//!
//! `docs/reference/state.md` describes each part. An invalid part counts as absent, which can only cause rows to be
//! read again; an invalid cursor is an error.

use serde_json::{Map, Value, json};

use super::checkpoint_fields::{CheckpointFields, Ranges};
use super::columns::Selected;
use super::id_set::IdSet;
use super::known_ids;
use super::position::Position;
use super::sent_rows::{OVERLAP_SECONDS, Retention, SentRows};
use crate::timestamp::Timestamp;

pub(super) use super::checkpoint_fields::Range;

/// Name of the state's field with its cursor. It is the same for all shops, so that the format of a state does not
/// change.
pub(super) const CURSOR_FIELD: &str = "updated_at";

/// Joins ranges that overlap: a later sync may fail on the same row again.
pub(super) fn joined(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_unstable();
    let mut joined: Vec<Range> = Vec::new();
    for (after, end) in ranges {
        match joined.last_mut() {
            Some(last) if last.1.is_none_or(|last| after.is_none_or(|after| after < last)) => {
                last.1 = last.1.zip(end).map(|(one, other)| one.max(other));
            }
            _ => joined.push((after, end)),
        }
    }
    joined
}

/// The state of a stream.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Checkpoint {
    /// Every change before or at this instant was emitted, except commits that became visible late.
    pub cursor: Option<Timestamp>,
    /// The previous cursor: the sync returns to it if the store's clock was ahead.
    pub previous: Option<Timestamp>,
    /// Rows at and shortly before the cursor, as emitted.
    pub sent_rows: SentRows,
    /// True if each sync reads all rows of the stream, without a date filter: they fit into one response, and some
    /// lack `updated_at`.
    pub reads_all_rows: bool,
    /// Hours before the cursor from which rows are requested, because the store's date filter hides some that it
    /// should list.
    pub look_back_hours: i64,
    /// Ranges of keys whose rows the store could not send.
    pub unread: Vec<Range>,
    /// Number of rows without a key, which cannot be emitted.
    pub rows_without_key: u64,
    /// True if the store's count was found to be wrong.
    pub has_wrong_count: bool,
    /// An unfinished walk.
    pub walk: Option<WalkCheckpoint>,
    /// The position of an unfinished walk of another kind.
    pub position: Option<Position>,
    /// Greatest key before the last walk, in streams whose new rows may show earlier dates.
    pub greatest: Option<i64>,
    /// Keys above it that the last walk read.
    pub above: IdSet,
    /// True if this is the checkpoint of a full refresh, which continues only from its own checkpoints.
    pub full: bool,
    /// The state that an interrupted full refresh began with, for an incremental sync.
    pub kept: Option<Box<Checkpoint>>,
    /// The columns and rows that the walk reads.
    pub selected: Selected,
    /// The job whose full refresh finished with this state.
    pub job: Option<Job>,
    /// Seconds by which the store's clock was ahead of this machine's, if it differed.
    pub clock_ahead: Option<i64>,
}

/// Identifies a generation of a stream's rows and the job that reads it, by the platform's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Job {
    /// The platform's `generation_id`.
    pub generation: i64,
    /// The platform's `sync_id`.
    pub sync: i64,
}

/// The date from which changes are read if the cursor of a state is ahead of the store's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EarlierCursor {
    /// The cursor of the sync before.
    Previous(Timestamp),
    /// This one: the clock was set back between the two syncs.
    SetBack(Timestamp),
    /// The store's clock: another program wrote the state.
    Clock,
    /// The start date of the config.
    Start,
}

/// An issue of a state that is reported to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StateNote {
    /// It has no known field.
    Unusable,
    /// Ranges of keys overlapped.
    Overlapping,
    /// There were too many ranges of keys, and they were joined.
    Joined,
    /// The walk read other columns.
    OtherColumns,
    /// The walk read rows that other settings select.
    OtherRows,
}

impl StateNote {
    /// Returns the sentence for the user.
    pub(super) fn about(self, stream: &str) -> String {
        match self {
            Self::Unusable => format!(
                "The state of `{stream}` has no field that this connector knows, so the stream is read from the start date. Check that the state was written by this connector."
            ),
            Self::Overlapping => format!(
                "The state of `{stream}` contains overlapping ranges of ids; each id is read once. Check whether the state was edited by hand."
            ),
            Self::Joined => format!(
                "The state of `{stream}` contains too many ranges of ids; they were merged, so some rows are read again. Check whether the state was edited by hand."
            ),
            Self::OtherColumns => format!(
                "The columns of `{stream}` changed after its last sync was interrupted. The sync starts over, so that all rows have the new columns."
            ),
            Self::OtherRows => format!(
                "The settings that select the rows of `{stream}` changed after its last sync was interrupted. The sync starts over, so that no row is missing."
            ),
        }
    }
}

/// The progress of an unfinished walk.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct WalkCheckpoint {
    /// First instant to read.
    pub from: Timestamp,
    /// First instant of its requests, if it differs from `from`.
    pub requested_from: Option<Timestamp>,
    /// First instant after the dates to read: the `end_date` of the config.
    pub before: Option<Timestamp>,
    /// The cursor after the walk; `None` if no row has a date.
    pub until: Option<Timestamp>,
    /// Ranges of keys still to be read.
    pub left: Vec<Range>,
    /// Greatest key at the start, if the store reports it.
    pub max_key: Option<i64>,
    /// Rows that are remembered after the walk.
    pub sent_rows: SentRows,
    /// Rows the store counted at the start.
    pub counted: Option<u64>,
    /// Rows read so far, including rows that were skipped because the store could not send them.
    pub read: u64,
    /// True if it reads without a date filter, so that rows without `updated_at` are included.
    pub include_missing_dates: bool,
    /// Ranges of keys whose rows the store could not send.
    pub unread: Vec<Range>,
    /// Unread ends of the ranges that were read: the store reported that their rows end before them.
    pub ends: Vec<Range>,
    /// True if it reads again only the ranges in which a comparison found changes. `counted` has their rows.
    pub is_part: bool,
}

impl Default for Checkpoint {
    fn default() -> Self {
        Self {
            cursor: None,
            previous: None,
            sent_rows: SentRows::before(None),
            reads_all_rows: false,
            look_back_hours: 0,
            unread: Vec::new(),
            rows_without_key: 0,
            has_wrong_count: false,
            walk: None,
            position: None,
            greatest: None,
            above: IdSet::default(),
            full: false,
            kept: None,
            selected: Selected::default(),
            job: None,
            clock_ahead: None,
        }
    }
}

impl Checkpoint {
    /// Parses a state, a JSON object. Also returns the issues to report.
    ///
    /// # Errors
    /// [`CheckpointError`] if its `updated_at` is not a date.
    pub(super) fn parse(state: &str) -> Result<(Self, Vec<StateNote>), CheckpointError> {
        let mut notes = Vec::new();
        let checkpoint = Self::read(state, true, &mut notes)?;
        // Values that other sources and platforms write if there is no cursor.
        const EMPTY: [&str; 4] =
            [CURSOR_FIELD, known_ids::FIELD, "__ab_full_refresh_sync_complete", "__ab_no_cursor_state_message"];
        let says_nothing = CheckpointFields::of(state, &EMPTY).is_any() || CheckpointFields::is_empty_object(state);
        if checkpoint.to_json().as_object().is_some_and(Map::is_empty) && !says_nothing {
            notes.push(StateNote::Unusable);
        }
        Ok((checkpoint, notes))
    }

    fn read(state: &str, is_outer: bool, notes: &mut Vec<StateNote>) -> Result<Self, CheckpointError> {
        const NAMES: [&str; 22] = [
            CURSOR_FIELD,
            "previous",
            "at_cursor",
            "sent",
            "recent",
            "whole",
            "undated",
            "look_back",
            "unread",
            "keyless",
            "miscounts",
            "walk",
            "position",
            "top",
            "above",
            "full",
            "kept",
            "columns",
            "rows",
            "generation_id",
            "sync_id",
            "clock_ahead",
        ];
        let parts = CheckpointFields::of(state, &NAMES);
        let cursor = cursor(parts.value(CURSOR_FIELD).as_ref())?;
        // Earlier builds stored the rows without `updated_at` under `include_missing_dates`.
        let reads_all_rows = parts.is_true("whole") || parts.text("undated").is_some_and(|text| text.starts_with('{'));
        let retention = match cursor {
            _ if reads_all_rows => Retention::Everything(cursor),
            Some(cursor) => Retention::Overlap(cursor),
            None if parts.text("sent").is_some() => Retention::Everything(None),
            None => Retention::Nothing,
        };
        let kept = parts.text("kept").filter(|text| is_outer && text.starts_with('{'));
        let id = |name: &str| parts.value(name).and_then(|id| id.as_i64());
        let hash = |name: &str| parts.value(name).and_then(|hash| hash.as_str().map(str::to_owned));
        Ok(Self {
            cursor,
            previous: parts.date("previous"),
            sent_rows: SentRows::parse(&parts.memory(), retention),
            reads_all_rows,
            look_back_hours: id("look_back").filter(|hours| (0..=26).contains(hours)).unwrap_or(0),
            unread: ranges(&parts, "unread", notes).map(|(ranges, _)| ranges).unwrap_or_default(),
            rows_without_key: parts.number("keyless").unwrap_or(0),
            has_wrong_count: parts.is_true("miscounts"),
            walk: parts.text("walk").and_then(|walk| WalkCheckpoint::parse(walk, notes)),
            position: parts.text("position").and_then(Position::parse),
            greatest: id("top"),
            above: parts.value("above").as_ref().and_then(IdSet::from_json).unwrap_or_default(),
            full: parts.is_true("full"),
            // An invalid one counts as absent: the incremental sync starts over.
            kept: kept.and_then(|kept| Self::read(kept, false, notes).ok()).map(Box::new),
            selected: Selected { columns: hash("columns"), rows: hash("rows") },
            job: id("generation_id").zip(id("sync_id")).map(|(generation, sync)| Job { generation, sync }),
            clock_ahead: id("clock_ahead"),
        })
    }

    /// Returns the state from which a sync of these columns and rows begins. A full refresh continues only from its own
    /// checkpoints, an incremental sync only from other states.
    pub(super) fn begin(self, full_refresh: bool, selected: Selected, notes: &mut Vec<StateNote>) -> Self {
        let mut checkpoint = match (full_refresh, self.full) {
            (true, false) => Self { kept: (self != Self::default()).then(|| Box::new(self)), ..Self::default() },
            (false, true) => self.kept.map_or_else(Self::default, |kept| *kept),
            (true, true) => self,
            (false, false) => Self { kept: None, ..self },
        };
        let is_interrupted = checkpoint.walk.is_some() || checkpoint.position.is_some();
        if is_interrupted && checkpoint.selected != selected {
            let is_other = checkpoint.selected.columns != selected.columns;
            notes.push(if is_other { StateNote::OtherColumns } else { StateNote::OtherRows });
            (checkpoint.walk, checkpoint.position) = (None, None);
            if full_refresh {
                checkpoint = Self { kept: checkpoint.kept, ..Self::default() };
            }
        }
        Self { selected, job: None, ..checkpoint }
    }

    /// Returns to an earlier cursor if this one is ahead of the store's clock, or if that clock was set back by
    /// `set_back` seconds since: later changes would be earlier than the cursor. Returns the cursor that it leaves.
    pub(super) fn go_back(&mut self, clock: Timestamp, set_back: Option<i64>) -> Option<(Timestamp, EarlierCursor)> {
        let cursor = self.cursor?;
        let is_ahead = cursor.minus_seconds(OVERLAP_SECONDS) > clock;
        let before = set_back.filter(|_| !self.reads_all_rows).map(|seconds| cursor.minus_seconds(seconds));
        let before = before.filter(|before| before.minus_seconds(OVERLAP_SECONDS) <= clock);
        // The clock may have been corrected long ago: only rows of a stream that is read completely, and states of
        // other programs, need no earlier date.
        let is_own = !self.sent_rows.sent().is_empty() || !self.sent_rows.at_cursor().is_empty();
        let previous = if is_ahead { self.previous.take().filter(|&previous| previous <= clock) } else { None };
        let earlier = match (before, previous) {
            (Some(before), previous) if previous.is_none_or(|previous| before < previous) => {
                EarlierCursor::SetBack(before)
            }
            (_, Some(previous)) => EarlierCursor::Previous(previous),
            _ if !is_ahead => return None,
            _ if is_own && !self.reads_all_rows => EarlierCursor::Start,
            _ => EarlierCursor::Clock,
        };
        self.cursor = match earlier {
            EarlierCursor::Previous(date) | EarlierCursor::SetBack(date) => Some(date),
            EarlierCursor::Clock => Some(clock),
            EarlierCursor::Start => None,
        };
        if !self.sent_rows.sent().is_exact() {
            // A comparison with ranges of rows would leave out the rows before the old cursor.
            self.sent_rows = SentRows::before(self.cursor);
        }
        Some((cursor, earlier))
    }

    /// Returns true if a full refresh of this job finished with this state: another attempt then reads no rows.
    pub(super) fn is_finished_by(&self, job: Option<Job>) -> bool {
        job.is_some() && self.job == job && !self.full && self.walk.is_none() && self.position.is_none()
    }

    /// Returns the state after a finished full refresh: that of an incremental sync. If rows were skipped, it does
    /// not name the job, so that another attempt reads them.
    pub(super) fn refreshed(self, job: Option<Job>, is_complete: bool) -> Self {
        Self { full: false, kept: None, job: job.filter(|_| is_complete), ..self }
    }

    /// Returns true if an earlier build wrote the state. Those builds did not remember all rows of a stream that is
    /// read completely.
    pub(super) fn is_old(&self) -> bool {
        self.sent_rows.is_old() || (self.cursor.is_some() && self.sent_rows.sent().is_empty())
    }

    /// Returns the state as JSON, as emitted.
    pub(super) fn to_json(&self) -> Value {
        let mut state = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                state.insert(name.to_owned(), value);
            }
        };
        put(CURSOR_FIELD, self.cursor.map(|cursor| json!(cursor.to_string())));
        put("previous", self.previous.map(|previous| json!(previous.to_string())));
        put("whole", self.reads_all_rows.then_some(json!(true)));
        put("look_back", (self.look_back_hours > 0).then(|| json!(self.look_back_hours)));
        put("unread", (!self.unread.is_empty()).then(|| json!(self.unread)));
        put("keyless", (self.rows_without_key > 0).then(|| json!(self.rows_without_key)));
        put("miscounts", self.has_wrong_count.then_some(json!(true)));
        put("full", self.full.then_some(json!(true)));
        put("walk", self.walk.as_ref().map(WalkCheckpoint::to_json));
        put("position", self.position.as_ref().map(Position::to_json));
        put("top", self.greatest.map(|greatest| json!(greatest)));
        put("above", self.above.to_json());
        put("kept", self.kept.as_ref().map(|kept| kept.to_json()));
        let is_interrupted = self.walk.is_some() || self.position.is_some();
        let hash = |hash: &Option<String>| hash.as_ref().filter(|_| is_interrupted).map(|hash| json!(hash));
        put("columns", hash(&self.selected.columns));
        put("rows", hash(&self.selected.rows));
        put("generation_id", self.job.map(|job| json!(job.generation)));
        put("sync_id", self.job.map(|job| json!(job.sync)));
        put("clock_ahead", self.clock_ahead.map(|ahead| json!(ahead)));
        self.sent_rows.write(&mut state);
        Value::Object(state)
    }
}

/// The reason why a state cannot be used. Its message is a clause.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    /// The string, shortened.
    #[error("`updated_at` (`{0}`) is not a date and time")]
    NotADate(String),
    #[error("`updated_at` is not a string")]
    NotAString,
}

/// Returns the cursor of a state, in any form that other sources write.
fn cursor(value: Option<&Value>) -> Result<Option<Timestamp>, CheckpointError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Timestamp::parse_earliest(text.trim().as_bytes()).map(Some).map_err(|_| {
            let is_shown = |character: &char| !character.is_control();
            CheckpointError::NotADate(text.chars().filter(is_shown).take(40).collect())
        }),
        Some(_) => Err(CheckpointError::NotAString),
    }
}

/// Summary of a state, for the user.
#[derive(Debug)]
pub(crate) struct StateOverview {
    /// The cursor.
    pub cursor: Option<String>,
    /// Description of the rows that an interrupted sync has not read.
    pub left: String,
}

/// Summarizes the state of a stream.
///
/// # Errors
/// [`CheckpointError`] if a read would reject the state.
pub(crate) fn overview(state: &str) -> Result<StateOverview, CheckpointError> {
    let (checkpoint, _) = Checkpoint::parse(state)?;
    let mut left = match &checkpoint.walk {
        None if checkpoint.position.is_some() => "unknown".to_owned(),
        None => "-".to_owned(),
        Some(walk) => {
            walk.counted.map_or("unknown".to_owned(), |counted| counted.saturating_sub(walk.read).to_string())
        }
    };
    if checkpoint.full {
        left.push_str(" (full refresh)");
    }
    if !checkpoint.unread.is_empty() {
        left.push_str(&format!(" (and {} that the store could not send)", checkpoint.unread.len()));
    }
    let cursor = checkpoint.cursor.or(checkpoint.kept.and_then(|kept| kept.cursor));
    Ok(StateOverview { cursor: cursor.map(|cursor| cursor.to_string()), left })
}

/// Parses ranges of keys into ranges that do not overlap. Also returns true if they cover more than the input; `None`
/// if they are invalid.
fn ranges(parts: &CheckpointFields<'_>, name: &str, notes: &mut Vec<StateNote>) -> Option<(Vec<Range>, bool)> {
    let Ranges { list, overlapped, joined } = parts.ranges(name)?;
    for (is_so, note) in [(overlapped, StateNote::Overlapping), (joined, StateNote::Joined)] {
        if is_so && !notes.contains(&note) {
            notes.push(note);
        }
    }
    Some((list, joined))
}

impl WalkCheckpoint {
    fn parse(walk: &str, notes: &mut Vec<StateNote>) -> Option<Self> {
        const NAMES: [&str; 15] = [
            "from",
            "asked_from",
            "before",
            "until",
            "left",
            "top",
            "at_cursor",
            "sent",
            "recent",
            "counted",
            "read",
            "undated",
            "unread",
            "ends",
            "part",
        ];
        let parts = CheckpointFields::of(walk, &NAMES);
        let until = match parts.text("until")? {
            "null" => None,
            _ => Some(parts.date("until")?),
        };
        let (from, max_key) = (parts.date("from")?, parts.value("top")?);
        let max_key = match max_key {
            Value::Null => None,
            number => Some(number.as_i64()?),
        };
        let (left, is_more) = ranges(&parts, "left", notes)?;
        let is_part = parts.is_true("part");
        let sent_rows = SentRows::parse(&parts.memory(), until.map_or(Retention::Everything(None), Retention::Overlap));
        Some(Self {
            from,
            requested_from: parts.date("asked_from"),
            before: parts.date("before"),
            until,
            left,
            max_key,
            // The comparison has added all rows already.
            sent_rows: if is_part { sent_rows.complete() } else { sent_rows },
            // Rows read twice would hide a lower count of others in the comparison with the store's count.
            counted: parts.number("counted").filter(|_| !is_more),
            read: parts.number("read").unwrap_or(0),
            include_missing_dates: parts.is_true("undated"),
            unread: ranges(&parts, "unread", notes).map(|(ranges, _)| ranges).unwrap_or_default(),
            ends: ranges(&parts, "ends", notes).map(|(ranges, _)| ranges).unwrap_or_default(),
            is_part,
        })
    }

    /// Returns the ranges of keys that were read, up to the greatest key at the start.
    pub(super) fn finished(&self) -> Vec<Range> {
        let mut left = self.left.clone();
        left.sort_unstable();
        let (mut finished, mut after) = (Vec::new(), None);
        for (start, end) in left {
            if start > after {
                finished.push((after, start));
            }
            if end.is_none() {
                return finished;
            }
            after = after.max(end);
        }
        if self.max_key.is_none() || after < self.max_key {
            finished.push((after, self.max_key));
        }
        finished
    }

    fn to_json(&self) -> Value {
        let mut walk = Map::new();
        walk.insert("from".to_owned(), json!(self.from.to_string()));
        walk.insert("until".to_owned(), json!(self.until.map(|until| until.to_string())));
        walk.insert("left".to_owned(), json!(self.left));
        walk.insert("top".to_owned(), json!(self.max_key));
        walk.insert("read".to_owned(), json!(self.read));
        if let Some(asked) = self.requested_from {
            walk.insert("asked_from".to_owned(), json!(asked.to_string()));
        }
        if let Some(before) = self.before {
            walk.insert("before".to_owned(), json!(before.to_string()));
        }
        if self.include_missing_dates {
            walk.insert("undated".to_owned(), json!(true));
        }
        if let Some(counted) = self.counted {
            walk.insert("counted".to_owned(), json!(counted));
        }
        if !self.unread.is_empty() {
            walk.insert("unread".to_owned(), json!(self.unread));
        }
        if !self.ends.is_empty() {
            let mut ends = self.ends.clone();
            ends.sort_unstable();
            walk.insert("ends".to_owned(), json!(ends));
        }
        if self.is_part {
            walk.insert("part".to_owned(), json!(true));
        }
        self.sent_rows.write(&mut walk);
        Value::Object(walk)
    }
}

#[cfg(test)]
mod tests;
