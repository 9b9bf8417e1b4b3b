//! What the messages of one run say, compared with the store.

use std::collections::{BTreeMap, BTreeSet};

use fake_store::{FakeStore, resource};
use serde_json::Value;

use crate::changes::Changes;
use crate::source::Stream;

/// What the messages of one run say.
#[derive(Default)]
pub(crate) struct Outcome {
    /// The status of the connection.
    pub(crate) status: Option<Value>,
    /// The catalog.
    pub(crate) catalog: Option<Value>,
    /// The rows, by stream.
    pub(crate) records: BTreeMap<String, Vec<Value>>,
    /// The last state of each stream.
    pub(crate) states: BTreeMap<String, Value>,
    /// The streams that are complete.
    pub(crate) complete: BTreeSet<String>,
    /// The errors.
    pub(crate) errors: Vec<String>,
}

impl Outcome {
    /// Adds one message, if it is one.
    pub(crate) fn take(&mut self, line: &str) -> Option<()> {
        let mut message: Value = serde_json::from_str(line).ok()?;
        match message["type"].as_str()? {
            "CONNECTION_STATUS" => self.status = Some(message["connectionStatus"].take()),
            "CATALOG" => self.catalog = Some(message["catalog"].take()),
            "RECORD" => {
                let stream = message["record"]["stream"].as_str()?.to_owned();
                self.records.entry(stream).or_default().push(message["record"]["data"].take());
            }
            "STATE" => {
                let stream = message["state"]["stream"]["stream_descriptor"]["name"].as_str()?.to_owned();
                let mut state = message["state"].take();
                state.as_object_mut()?.remove("sourceStats");
                self.states.insert(stream, state);
            }
            "TRACE" => match message["trace"]["type"].as_str()? {
                "ERROR" => self.errors.push(message["trace"]["error"]["message"].as_str()?.to_owned()),
                "STREAM_STATUS" => {
                    let status = &message["trace"]["stream_status"];
                    if status["status"] == "COMPLETE" {
                        self.complete.insert(status["stream_descriptor"]["name"].as_str()?.to_owned());
                    }
                }
                _ => {}
            },
            _ => {}
        }
        Some(())
    }

    /// Returns how many rows of a stream there are.
    pub(crate) fn count(&self, stream: &str) -> usize {
        self.records.get(stream).map_or(0, Vec::len)
    }

    /// Checks that every stream is complete, with a state, and with exactly the expected keys, each once.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub(crate) fn verify(
        &self,
        what: &str,
        streams: &[Stream],
        expected: &BTreeMap<String, Vec<String>>,
    ) -> Result<(), String> {
        for Stream { name, key, .. } in streams {
            if !self.complete.contains(name) {
                return Err(format!("{what} did not end {name} with COMPLETE."));
            }
            if !self.states.contains_key(name) {
                return Err(format!("{what} emitted no STATE for {name}."));
            }
            let mut found: BTreeMap<String, usize> = BTreeMap::new();
            for record in self.records.get(name).into_iter().flatten() {
                *found.entry(record[key].to_string()).or_default() += 1;
            }
            let wanted: BTreeSet<&String> = expected.get(name).into_iter().flatten().collect();
            let missing = some(wanted.iter().filter(|key| !found.contains_key(**key)).map(|key| key.as_str()));
            let surplus = some(found.keys().filter(|key| !wanted.contains(key)).map(String::as_str));
            let doubled = some(found.iter().filter(|(_, times)| **times > 1).map(|(key, _)| key.as_str()));
            for (fault, keys) in [
                ("did not return", missing),
                ("should not have returned", surplus),
                ("returned more than once", doubled),
            ] {
                if let Some(keys) = keys {
                    return Err(format!("{what} {fault} these rows of {name}: {keys}."));
                }
            }
        }
        Ok(())
    }

    /// Checks that the changed rows have their new form.
    ///
    /// # Errors
    /// A sentence that names a row that has not.
    pub(crate) fn verify_form(&self, store: &FakeStore, streams: &[Stream], changes: &Changes) -> Result<(), String> {
        for Stream { name, key, .. } in streams {
            let Some(of) = resource(name) else { continue };
            for id in changes.touched.get(name.as_str()).into_iter().flatten() {
                let row: Value =
                    store.json(name, *id).and_then(|row| serde_json::from_str(&row).ok()).unwrap_or_default();
                let record = self.records.get(name).into_iter().flatten().find(|record| record[key] == row[key]);
                if record.is_none_or(|record| record[of.touch_field] != row[of.touch_field]) {
                    return Err(format!("the second read did not return {name} {id} in its new form."));
                }
            }
        }
        Ok(())
    }

    /// Checks that exactly the deleted rows are marked, so that a destination removes them.
    ///
    /// # Errors
    /// A sentence that names a stream in which other rows are marked.
    pub(crate) fn verify_deleted(&self, streams: &[Stream], changes: &Changes) -> Result<(), String> {
        for Stream { name, key, .. } in streams {
            let deleted = changes.deleted.get(name.as_str()).into_iter().flatten();
            let expected: BTreeSet<i64> = deleted.copied().collect();
            let marked = self.records.get(name).into_iter().flatten().filter(|record| record[DELETED].is_string());
            let found: BTreeSet<i64> = marked.filter_map(|record| record[key].as_i64()).collect();
            if found != expected {
                return Err(format!("the second read marked {found:?} of {name} as deleted, and not {expected:?}."));
            }
        }
        Ok(())
    }
}

/// The field that marks a deleted row.
const DELETED: &str = "_ab_cdc_deleted_at";

/// The first of some keys, for a sentence.
fn some<'k>(keys: impl Iterator<Item = &'k str>) -> Option<String> {
    // As many as one looks up by hand.
    const SHOWN: usize = 5;
    let keys: Vec<&str> = keys.collect();
    let more = keys.len().saturating_sub(SHOWN);
    let shown = keys.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match (keys.is_empty(), more) {
        (true, _) => None,
        (_, 0) => Some(shown),
        _ => Some(format!("{shown} and {more} more")),
    }
}
