//! Acts like a platform with a destination: collects the records and states of any number of runs, complete or
//! interrupted, and compares them with the store.
//!
//! A destination keeps the records that a STATE covers, and the STATE. It may keep or lose records after the last STATE
//! of a run, so tests try both.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::LazyLock;

use serde_json::Value;

use super::json::{self, Declared};
use super::message::Message;
use super::row::Row;
use super::run::{Run, whole_lines};
use crate::fake_store::{Clock, Data, Fraction};

/// The field that marks a deleted row.
pub(crate) const DELETED: &str = "_ab_cdc_deleted_at";

/// The tables and states of a destination.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    /// True if records after the last STATE of a run are kept.
    pub(crate) keep_uncovered: bool,
    /// Resolution of timestamps in milliseconds: 1000 for a store that sends no fraction.
    pub(crate) resolution_ms: i64,
    streams: BTreeMap<String, Table>,
    definitions: BTreeMap<String, Definition>,
}

/// The entry of a stream in the catalog.
#[derive(Clone, Debug)]
struct Definition {
    /// The fields of the key.
    key: Vec<String>,
    fields: BTreeMap<String, Declared>,
}

/// The table of one stream.
#[derive(Clone, Debug, Default)]
struct Table {
    records: HashMap<String, Row>,
    /// The last STATE as it was sent.
    state: Option<String>,
    /// The cursor of the last STATE of a finished sync.
    finished: Option<i64>,
    /// The cursor before the run, to which a stream returns if rows are missing.
    returns_to: Option<i64>,
    doubled: Vec<String>,
    backwards: Vec<String>,
}

impl Destination {
    /// Returns an empty destination without schemas: `id` is the key of every stream, and every conversion of a value
    /// is allowed.
    pub(crate) fn new(keep_uncovered: bool) -> Destination {
        Destination { keep_uncovered, resolution_ms: 1, streams: BTreeMap::new(), definitions: BTreeMap::new() }
    }

    /// Returns an empty destination with the keys and types of a catalog, configured or not.
    pub(crate) fn with_catalog(keep_uncovered: bool, catalog: &Value) -> Destination {
        let mut destination = Destination::new(keep_uncovered);
        for entry in catalog["streams"].as_array().unwrap() {
            let stream = entry.get("stream").unwrap_or(entry);
            let name = stream["name"].as_str().unwrap().to_owned();
            destination.definitions.insert(name, Definition::new(stream));
        }
        destination
    }

    /// Adds the output of one run.
    pub(crate) fn take(&mut self, run: &Run) {
        self.take_messages(&run.messages);
    }

    /// Adds the stdout of one run. Only complete lines count, since the run may have been interrupted.
    pub(crate) fn take_bytes(&mut self, stdout: &[u8]) {
        let (lines, _) = whole_lines(stdout);
        let parse = |line: &[u8]| Message::parse(std::str::from_utf8(line).unwrap()).unwrap();
        self.take_messages(&lines.into_iter().map(parse).collect::<Vec<_>>());
    }

    fn take_messages(&mut self, messages: &[Message]) {
        let mut pending: BTreeMap<String, Vec<(String, Row)>> = BTreeMap::new();
        let mut seen: HashSet<(String, String, String)> = HashSet::new();
        for (stream, table) in &mut self.streams {
            let is_of_stream = |message: &&Message| message.stream() == Some(stream.as_str());
            let last = messages.iter().filter(is_of_stream).filter_map(Message::status).next_back();
            table.returns_to = table.finished.filter(|_| last == Some("INCOMPLETE"));
        }
        for message in messages {
            let Some(stream) = message.stream().map(str::to_owned) else {
                continue;
            };
            match message.kind() {
                "RECORD" => {
                    let fields = message.data().and_then(Row::parse).unwrap_or_default();
                    let key = self.key(&stream, &fields);
                    let stamp = fields.get("updated_at").unwrap_or_default().to_owned();
                    if !seen.insert((stream.clone(), key.clone(), stamp.clone())) {
                        self.table(&stream).doubled.push(format!("{key} at {stamp}"));
                    }
                    pending.entry(stream).or_default().push((key, fields));
                }
                "STATE" => {
                    let table = self.table(&stream);
                    table.apply(pending.remove(&stream).unwrap_or_default());
                    table.commit(message);
                }
                _ => {}
            }
        }
        if self.keep_uncovered {
            for (stream, records) in pending {
                self.table(&stream).apply(records);
            }
        }
    }

    /// Empties the table of a stream and removes its state, as before a full refresh that overwrites.
    pub(crate) fn truncate(&mut self, stream: &str) {
        self.streams.remove(stream);
    }

    /// Returns the committed STATEs as a list, for `--state` of the next run.
    pub(crate) fn state_list(&self) -> String {
        let tables = self.streams.values();
        let states: Vec<&str> = tables.filter_map(|table| table.state.as_deref()).collect();
        format!("[{}]", states.join(","))
    }

    /// Returns the committed `stream_state` of a stream.
    pub(crate) fn state(&self, stream: &str) -> Option<Value> {
        let state = self.streams.get(stream)?.state.as_deref()?;
        let state: Value = serde_json::from_str(state).unwrap();
        state.pointer("/stream/stream_state").cloned()
    }

    /// Returns the number of records in the table of a stream.
    pub(crate) fn len(&self, stream: &str) -> usize {
        let table = self.streams.get(stream);
        table.map_or(0, |table| table.records.len())
    }

    /// Compares a table with the current rows of a resource.
    ///
    /// Rows changed from `from_ms` (inclusive) to `end_ms` (exclusive) are expected. Rows without `updated_at` are
    /// listed separately.
    pub(crate) fn compare(
        &self,
        store: &Data,
        stream: &str,
        resource: &str,
        from_ms: Option<i64>,
        end_ms: Option<i64>,
    ) -> Comparison {
        let in_range =
            |instant: i64| from_ms.is_none_or(|from| instant >= from) && end_ms.is_none_or(|end| instant < end);
        let nothing = Table::default();
        let table = self.streams.get(stream).unwrap_or(&nothing);
        let mut comparison = Comparison {
            stream: stream.to_owned(),
            doubled: table.doubled.clone(),
            backwards: table.backwards.clone(),
            ..Comparison::default()
        };
        let clock = Clock::new(store.zone, Fraction::Documented);
        let mut known: HashSet<String> = HashSet::new();
        for id in store.ids(resource) {
            let listed = store.json(resource, id, &clock).unwrap();
            let row = Row::parse(&listed).unwrap();
            let key = self.key(stream, &row);
            let record = table.records.get(&key);
            known.insert(key);
            match (updated_at(&row), record) {
                (Some(instant), None) if in_range(instant) => comparison.missing.push(id),
                (Some(_), None) => {}
                (None, None) => comparison.missing_undated.push(id),
                (Some(instant), Some(record)) if !in_range(instant) => {
                    // An earlier version of the row may have been in range.
                    let then = updated_at(record);
                    if then.is_none_or(|then| then == instant || !in_range(then)) {
                        comparison.extra.push(id);
                    }
                }
                (_, Some(record)) => self.compare_rows(stream, (id, &row), record, &mut comparison),
            }
        }
        let keys = table.records.keys();
        comparison.gone = keys.filter(|key| !known.contains(*key)).cloned().collect();
        comparison.gone.sort_unstable();
        comparison
    }

    /// Compares a record with its row, as the store lists the row.
    fn compare_rows(&self, stream: &str, (id, row): (i64, &Row), record: &Row, comparison: &mut Comparison) {
        let coarse = |instant: i64| instant.div_euclid(self.resolution_ms);
        let instant = |raw: &str| json::instant(&json::string(raw)?).map(coarse);
        if let Some(now) = updated_at(row) {
            let then = updated_at(record);
            if then.map(coarse) != Some(coarse(now)) {
                comparison.stale.push(format!("{id}: {then:?}, now {now}"));
                return;
            }
        }
        let key = self.key_fields(stream);
        for (name, stored) in row.iter() {
            let sent = record.get(name);
            let fits = sent.is_some_and(|sent| match name {
                _ if sent == stored => true,
                "updated_at" | "created_at" if instant(stored).is_some() => instant(sent) == instant(stored),
                "updated_at" | "created_at" => json::arrived(stored, sent, Declared::Instant),
                name if key.iter().any(|field| field == name) && canonical(stored) == canonical(sent) => true,
                _ => json::arrived(stored, sent, self.declared(stream, name)),
            });
            if !fits {
                let text = format!("{id}: {name} is {stored}, arrived as {sent:?}");
                comparison.changed.push(text);
            }
        }
        for (name, _) in record.iter().filter(|(name, _)| row.get(name).is_none() && *name != DELETED) {
            let text = format!("{id}: {name} is not in the store");
            comparison.changed.push(text);
        }
    }

    fn table(&mut self, stream: &str) -> &mut Table {
        self.streams.entry(stream.to_owned()).or_default()
    }

    /// Returns the key of a record as it was sent; for a record without a key, the full record.
    fn key(&self, stream: &str, record: &Row) -> String {
        let key = self.key_fields(stream);
        let values = key.iter().map(|field| record.get(field).map(canonical));
        match values.collect::<Option<Vec<&str>>>() {
            Some(values) => values.join(" "),
            None => format!("{record:?}"),
        }
    }

    /// Returns the fields of a stream's key: without a schema, `id`.
    fn key_fields(&self, stream: &str) -> &[String] {
        static ID: LazyLock<[String; 1]> = LazyLock::new(|| ["id".to_owned()]);
        self.definitions.get(stream).map_or(&*ID, |definition| &definition.key)
    }

    fn declared(&self, stream: &str, field: &str) -> Declared {
        match self.definitions.get(stream) {
            None => Declared::Unknown,
            Some(definition) => {
                let declared = definition.fields.get(field).copied();
                declared.unwrap_or(Declared::Other)
            }
        }
    }
}

/// Returns a key in the form in which databases compare it: `1.0` equals `1`.
fn canonical(key: &str) -> &str {
    key.strip_suffix(".0").unwrap_or(key)
}

impl Definition {
    fn new(stream: &Value) -> Definition {
        let paths = stream["source_defined_primary_key"].as_array().into_iter().flatten();
        let mut key: Vec<String> = paths.filter_map(|path| Some(path.get(0)?.as_str()?.to_owned())).collect();
        if key.is_empty() {
            key.push("id".to_owned());
        }
        let properties = stream["json_schema"]["properties"].as_object();
        let fields = properties.into_iter().flatten().map(|(name, schema)| {
            let types: Vec<&str> = match &schema["type"] {
                Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
                other => other.as_str().into_iter().collect(),
            };
            let number = types.contains(&"number") || types.contains(&"integer");
            let declared = if schema["format"] == "date-time" {
                Declared::Instant
            } else if number && !types.contains(&"string") {
                Declared::Number
            } else if types.contains(&"string") && !number {
                Declared::Text
            } else {
                Declared::Other
            };
            (name.clone(), declared)
        });
        Definition { key, fields: fields.collect() }
    }
}

impl Table {
    /// Adds records; one that marks a deleted row removes it, as Airbyte's destinations do in append + dedup.
    fn apply(&mut self, records: Vec<(String, Row)>) {
        for (key, fields) in records {
            if fields.get(DELETED).is_some_and(|mark| mark != "null") {
                self.records.remove(&key);
            } else {
                self.records.insert(key, fields);
            }
        }
    }

    fn commit(&mut self, message: &Message) {
        self.state = message.state_text().map(str::to_owned);
        let Some(state) = message.stream_state() else {
            return;
        };
        if state.get("walk").is_some() {
            return;
        }
        let cursor = state.get("updated_at").and_then(Value::as_str);
        let Some(cursor) = cursor.and_then(json::instant) else {
            // A stream whose rows are missing returns to its old state, and starts over.
            self.finished = None;
            return;
        };
        if let Some(before) = self.finished
            && cursor < before
            && self.returns_to != Some(cursor)
        {
            self.backwards.push(format!("{before} to {cursor}"));
        }
        self.finished = Some(cursor);
    }
}

/// Returns `updated_at` of a record or a row, in milliseconds.
fn updated_at(record: &Row) -> Option<i64> {
    json::instant(&json::string(record.get("updated_at")?)?)
}

/// The differences between a table and the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// The stream that was compared.
    pub(crate) stream: String,
    /// Rows in range that have no record.
    pub(crate) missing: Vec<i64>,
    /// Rows without `updated_at` that have no record. `assert_clean` ignores them.
    pub(crate) missing_undated: Vec<i64>,
    /// Rows whose record has another `updated_at`.
    pub(crate) stale: Vec<String>,
    /// Fields whose value differs, although the record has the same `updated_at`.
    pub(crate) changed: Vec<String>,
    /// Rows outside the range that have a record.
    pub(crate) extra: Vec<i64>,
    /// Keys of records whose row is no longer in the store; this is not an error.
    pub(crate) gone: Vec<String>,
    /// Records that were emitted twice in one run, with the same key and `updated_at`.
    pub(crate) doubled: Vec<String>,
    /// Cursors of finished syncs that are older than the previous one.
    pub(crate) backwards: Vec<String>,
}

impl Comparison {
    /// Returns a sentence for each list that should be empty and is not.
    pub(crate) fn problems(&self) -> Vec<String> {
        fn list<T: std::fmt::Debug>(what: &str, items: &[T]) -> Option<String> {
            const SHOWN: usize = 10;
            let shown = &items[..items.len().min(SHOWN)];
            (!items.is_empty()).then(|| format!("{} {what}: {shown:?}", items.len()))
        }
        [
            list("missing", &self.missing),
            list("stale", &self.stale),
            list("changed", &self.changed),
            list("extra", &self.extra),
            list("doubled", &self.doubled),
            list("states backwards", &self.backwards),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Panics unless the table has the rows of the store and no others.
    pub(crate) fn assert_equal(&self, context: &str) {
        self.assert_clean_with_missing_dates(context);
        assert!(self.gone.is_empty(), "{context}: {} still has deleted rows: {:?}", self.stream, self.gone);
    }

    /// Panics if the table differs from the store. Rows without `updated_at` may be missing.
    pub(crate) fn assert_clean(&self, context: &str) {
        let problems = self.problems();
        assert!(problems.is_empty(), "{context}: {}\n- {}", self.stream, problems.join("\n- "));
    }

    /// Panics if the table differs from the store, also in rows without `updated_at`.
    pub(crate) fn assert_clean_with_missing_dates(&self, context: &str) {
        self.assert_clean(context);
        assert!(
            self.missing_undated.is_empty(),
            "{context}: {} rows without a time of change are missing in {}: {:?}",
            self.missing_undated.len(),
            self.stream,
            self.missing_undated
        );
    }
}
