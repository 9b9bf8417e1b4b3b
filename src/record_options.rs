//! The settings about records: nested collections and sensitive fields. They decide the schema that `discover` prints,
//! the parameters of requests, and how records are copied.

use serde_json::{Map, Value, json};

use crate::deletion_options::{DETECT, DeletionOptions};
use crate::json::value_kind;
use crate::raw_config::{FieldError, RawConfig};
use crate::record::RecordSchema;
use crate::stream::{self, DELETED, Stream};
use crate::stream_fields::Collection;
use crate::suggest::suggestions;

const EXPAND: &str = "expand";
const REDACT: &str = "redact_sensitive_fields";

/// The choice of `expand` for a stream whose collections the API only fills together.
const LOOKUPS: &str = "lookups";

/// Maximum length of the list of fields in a request, in bytes. The API runs on Windows web servers, which reject query
/// strings above 2048 bytes by default. The filters take up to 400 of them, and each comma takes three. If the list is
/// longer, nearly all fields are selected: then all are requested, and the others are dropped here.
const LONGEST_FIELDS: usize = 1200;

/// Maximum nesting of collections in which sensitive fields are set to null, also in collections that were not
/// requested. The API documents two levels (the payment method of a subscription, and its fields); the rest is reserve.
const DEPTH: usize = 5;

/// Settings about records. The default emits what the API sends without parameters.
#[derive(Clone, Debug, Default)]
pub struct RecordOptions {
    /// Names of streams, each with a collection of it to include.
    expand: Vec<(&'static str, &'static Collection)>,
    redact: bool,
    deletions: DeletionOptions,
}

impl RecordOptions {
    /// Returns true if a field of the config is about records.
    pub(crate) fn reads(field: &str) -> bool {
        [EXPAND, REDACT, DETECT].contains(&field)
    }

    /// Reads the part of a config that is about records: those of the settings that the connector has. Returns all
    /// faults.
    pub(crate) fn parse(config: &RawConfig, table: &'static [Stream]) -> Result<Self, Vec<FieldError>> {
        let mut record_options = Self::default();
        let mut faults = Vec::new();
        match config.setting(EXPAND) {
            None | Some(Value::Null) => {}
            Some(Value::Array(entries)) => {
                for (place, entry) in entries.iter().enumerate() {
                    match chosen(entry, table, |text| config.shown(&format!("{EXPAND}[{place}]"), text)) {
                        Ok(collections) => record_options.expand.extend(collections),
                        Err(error) => faults.push(FieldError::new(EXPAND, error.to_string())),
                    }
                }
            }
            Some(other) => {
                let problem =
                    format!("must be a list of strings such as `[\"orders.items\"]`, not {}.", value_kind(other));
                faults.push(FieldError::new(EXPAND, problem));
            }
        }
        match config.setting(REDACT) {
            None | Some(Value::Null) => {}
            Some(Value::Bool(redact)) => record_options.redact = *redact,
            Some(other) => {
                faults.push(FieldError::new(REDACT, format!("must be true or false, not {}.", value_kind(other))));
            }
        }
        let (deletions, of_deletions) = DeletionOptions::parse(config, table);
        record_options.deletions = deletions;
        faults.extend(of_deletions);
        let faults = config.all_faults(faults, Self::reads);
        if faults.is_empty() { Ok(record_options) } else { Err(faults) }
    }

    /// Returns true if deleted rows of this stream are to be reported.
    pub(crate) fn detects_deletions(&self, stream: &Stream) -> bool {
        self.deletions.detects(stream)
    }

    /// Returns true if deleted rows of this stream are to be reported and the configured catalog declares their mark.
    /// A catalog that declares no fields declares all.
    pub(crate) fn reports_deletions(&self, stream: &Stream, configured: &Value) -> bool {
        self.detects_deletions(stream) && wanted(configured).is_none_or(|wanted| wanted.contains_key(DELETED))
    }

    /// Returns the collections to include in this stream.
    fn collections(&self, stream: &Stream) -> impl Iterator<Item = &'static Collection> {
        (stream.fields)().collections.iter().filter(|collection| {
            self.expand.iter().any(|(of, chosen)| *of == stream.name && chosen.name == collection.name)
        })
    }

    /// Returns the fields of a stream that are sent, in the order of the table's schema, nested collections last;
    /// `None` if that is all of them. A configured catalog without any fields selects all: some launchers send one. The
    /// key, the cursor and the mark of a deleted row are always sent.
    fn selected(&self, stream: &Stream, configured: &Value) -> Option<Vec<String>> {
        let wanted = wanted(configured)?;
        let own = &(stream.fields)().names;
        // A catalog from before `expand` was set has no collections, but selects all fields.
        if own.iter().all(|name| wanted.contains_key(name)) {
            return None;
        }
        let is_kept = |name: &String| {
            let name = name.as_str();
            wanted.contains_key(name)
                || stream.primary_key.contains(&name)
                || (stream.has_updated_at && name == stream.cursor_field)
                || name == DELETED
        };
        let names = with_collections(own.clone(), &self.requested(stream, configured));
        Some(names.into_iter().filter(is_kept).collect())
    }

    /// Returns the collections to include in this stream that the configured catalog selects.
    fn requested(&self, stream: &Stream, configured: &Value) -> Vec<&'static Collection> {
        let wanted = wanted(configured);
        let is_wanted = |collection: &&Collection| wanted.is_none_or(|wanted| wanted.contains_key(&collection.name));
        self.collections(stream).filter(is_wanted).collect()
    }

    /// Returns the entries of `expand` for this stream that the configured catalog does not select.
    pub(crate) fn unselected(&self, stream: &Stream, configured: &Value) -> Vec<String> {
        let requested = self.requested(stream, configured);
        let is_left_out = |collection: &&Collection| !requested.iter().any(|known| known.name == collection.name);
        let left_out = self.collections(stream).filter(is_left_out);
        let mut entries: Vec<String> = left_out.map(|collection| entry(stream, &collection.name)).collect();
        entries.dedup();
        entries
    }

    /// Returns the names of the nested collections to request, separated by commas; `None` if there are none.
    pub(crate) fn nested(&self, stream: &Stream, configured: &Value) -> Option<String> {
        let requested = self.requested(stream, configured);
        let names: Vec<&str> = requested.iter().map(|collection| collection.name.as_str()).collect();
        (!names.is_empty()).then(|| names.join(","))
    }

    /// Returns the schema of the records with the chosen collections.
    pub(crate) fn schema(&self, stream: &Stream) -> Value {
        let mut schema = (stream.fields)().schema.clone();
        for collection in self.collections(stream) {
            let element = element_schema(collection, (stream.table)());
            schema["properties"][&collection.name] = match stream.uses_lookups {
                true => element,
                false => json!({
                    "type": ["null", "array"],
                    "description": "Included with `expand`. In incremental syncs it refreshes only when the row changes.",
                    "items": element,
                }),
            };
        }
        if self.detects_deletions(stream) {
            schema["properties"][DELETED] = json!({
                "type": ["null", "string"],
                "format": "date-time",
                "description": "When the connector found that the store has deleted the row; null for all others.",
            });
        }
        schema
    }

    /// Returns the names of the declared fields that the configured catalog selects, in the order of the schema file,
    /// nested collections last.
    pub(crate) fn columns(&self, stream: &Stream, configured: &Value) -> Vec<String> {
        let selected = self.selected(stream, configured);
        let mut names = selected
            .unwrap_or_else(|| with_collections((stream.fields)().names.clone(), &self.requested(stream, configured)));
        if self.reports_deletions(stream, configured) {
            names.push(DELETED.to_owned());
        }
        names
    }

    /// Returns true if this stream's schema is not the one of the schema file.
    pub(crate) fn changes_schema(&self, stream: &Stream) -> bool {
        self.collections(stream).next().is_some() || self.detects_deletions(stream)
    }

    /// Returns the fields to request from the API, where the configured catalog selects only some of the stream's (API
    /// documentation, query syntax: `fields`). `None` means all: what is not selected is dropped here.
    pub(crate) fn fields(&self, stream: &Stream, configured: &Value) -> Option<String> {
        let mut names = self.selected(stream, configured)?;
        names.sort_unstable();
        Some(names.join(",")).filter(|names| names.len() <= LONGEST_FIELDS)
    }

    /// Returns the schema for copying records.
    pub(crate) fn record_schema(&self, stream: &Stream, configured: &Value) -> RecordSchema {
        let fields = (stream.fields)();
        let mut record_schema =
            RecordSchema::new(&self.schema(stream), stream.key(), stream.has_updated_at.then_some(stream.cursor_field))
                .further_keys(stream.primary_key.get(1..).unwrap_or_default())
                .created(stream.created_field)
                .text_values(stream.has_text_values)
                .never_send(stream.never_sent);
        let table = (stream.table)();
        if self.redact {
            record_schema.redact(&fields.sensitive);
            redact_inside(&mut record_schema, &fields.collections, table, DEPTH);
        }
        for collection in self.requested(stream, configured) {
            let mut inside = RecordSchema::new(&element_schema(collection, table), "", None);
            if self.redact {
                redact_element(&mut inside, collection, table, DEPTH);
            }
            record_schema.nest(&collection.name, inside, entry(stream, &collection.name));
        }
        if let Some(selected) = self.selected(stream, configured) {
            // A field that the catalog names is selected, even if the schema file does not declare it.
            let further = wanted(configured).into_iter().flatten().map(|(name, _)| name.as_str());
            record_schema.select(selected.iter().map(String::as_str).chain(further).chain([DELETED]));
        }
        record_schema
    }
}

/// Returns the fields that a configured catalog selects; `None` if it does not select among them.
fn wanted(configured: &Value) -> Option<&Map<String, Value>> {
    configured.get("properties")?.as_object().filter(|wanted| !wanted.is_empty())
}

/// Returns these names, and those of collections that are not among them.
fn with_collections(mut names: Vec<String>, collections: &[&Collection]) -> Vec<String> {
    for collection in collections {
        if !names.contains(&collection.name) {
            names.push(collection.name.clone());
        }
    }
    names
}

/// Returns the entry of `expand` that requests a collection.
fn entry(stream: &Stream, collection: &str) -> String {
    format!("{}.{}", stream.name, if stream.uses_lookups { LOOKUPS } else { collection })
}

/// Returns the stream whose fields an element of a collection has.
fn stream_of(collection: &Collection, table: &'static [Stream]) -> Option<&'static Stream> {
    collection.stream.as_deref().and_then(|name| stream::find(table, name))
}

/// Returns the schema of an element of a collection.
fn element_schema(collection: &Collection, table: &'static [Stream]) -> Value {
    let of_stream = stream_of(collection, table).and_then(|stream| (stream.fields)().schema["properties"].as_object());
    let mut properties = of_stream.cloned().unwrap_or_default();
    properties.extend(collection.properties.clone());
    json!({"type": ["null", "object"], "additionalProperties": true, "properties": properties})
}

/// Sets the sensitive fields in an element of a collection to null, and those in collections inside it.
fn redact_element(element: &mut RecordSchema, collection: &Collection, table: &'static [Stream], depth: usize) {
    element.redact(&collection.sensitive);
    if let Some(stream) = stream_of(collection, table) {
        element.redact(&(stream.fields)().sensitive);
        redact_inside(element, &(stream.fields)().collections, table, depth);
    }
}

/// Sets the sensitive fields inside these collections to null, should the store send one that was not requested.
fn redact_inside(record_schema: &mut RecordSchema, collections: &[Collection], table: &'static [Stream], depth: usize) {
    let Some(depth) = depth.checked_sub(1) else { return };
    for collection in collections {
        let own = stream_of(collection, table).map_or(&[][..], |stream| &(stream.fields)().sensitive);
        let names: Map<String, Value> =
            own.iter().chain(&collection.sensitive).map(|name| (name.clone(), json!({}))).collect();
        let mut element = RecordSchema::new(&json!({ "properties": names }), "", None);
        redact_element(&mut element, collection, table, depth);
        if !element.is_plain() {
            record_schema.redact_inside(&collection.name, element);
        }
    }
}

/// Returns the choices of `expand` for a stream.
fn choices_of(stream: &'static Stream) -> impl Iterator<Item = &'static str> {
    let one = stream.uses_lookups.then_some(LOOKUPS);
    let collections = (stream.fields)().collections.iter().filter(|_| !stream.uses_lookups);
    one.into_iter().chain(collections.map(|collection| collection.name.as_str()))
}

/// Returns all choices of `expand`, as `stream.collection`.
pub(crate) fn choices(table: &'static [Stream]) -> impl Iterator<Item = String> {
    table.iter().flat_map(|stream| choices_of(stream).map(|choice| format!("{}.{choice}", stream.name)))
}

/// The reason why an entry of `expand` is not valid. Its message is the rest of a sentence that begins with `expand`.
#[derive(Debug, thiserror::Error)]
enum ExpandError {
    /// Contains the type of the entry.
    #[error("must be a list of strings such as `[\"orders.items\"]`, not of {0}.")]
    NotAString(&'static str),
    #[error("contains `{entry}`, but stream `{name}` has no nested collections. These streams do: {}.", streams.join(", "))]
    NoCollections { entry: String, name: String, streams: Vec<&'static str> },
    #[error("contains `{entry}`, which does not exist. Use {}.", choices.join(", "))]
    UnknownCollection { entry: String, choices: Vec<String> },
}

/// Returns the collections that an entry of `expand` requests. `shown` returns a string of the entry as it may be
/// shown.
fn chosen(
    entry: &Value,
    table: &'static [Stream],
    shown: impl Fn(&str) -> String,
) -> Result<Vec<(&'static str, &'static Collection)>, ExpandError> {
    let Value::String(text) = entry else { return Err(ExpandError::NotAString(value_kind(entry))) };
    let (name, choice) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let has_collections = |stream: &&Stream| !(stream.fields)().collections.is_empty();
    let Some(stream) = stream::find(table, name).filter(has_collections) else {
        let able = || table.iter().filter(has_collections).map(|stream| stream.name);
        let near = suggestions(name, able());
        let streams = if near.is_empty() { able().collect() } else { near };
        return Err(ExpandError::NoCollections { entry: shown(text), name: shown(name), streams });
    };
    if !choices_of(stream).any(|known| known == choice) {
        let choices = choices_of(stream).map(|known| format!("`{}.{known}`", stream.name)).collect();
        return Err(ExpandError::UnknownCollection { entry: shown(text), choices });
    }
    let is_wanted = |collection: &&Collection| stream.uses_lookups || collection.name == choice;
    let wanted = (stream.fields)().collections.iter().filter(is_wanted);
    Ok(wanted.map(|collection| (stream.name, collection)).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cart::CART;
    use crate::cart::streams::{self, CURSOR, STREAMS};
    use crate::json::Scanner;
    use crate::record::RecordWriter;

    fn record_options(config: &Value) -> Result<RecordOptions, Vec<String>> {
        let fields = RawConfig::parse(config.to_string().as_bytes(), CART.settings.names).unwrap();
        RecordOptions::parse(&fields, STREAMS).map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    fn stream(name: &str) -> &'static Stream {
        streams::find(name).unwrap()
    }

    #[test]
    fn every_collection_of_the_table_can_be_asked_for() {
        let all: Vec<String> = choices(STREAMS).collect();
        assert!(all.len() > 50 && all.contains(&"orders.items".to_owned()));
        let record_options = record_options(&json!({"expand": all})).unwrap();
        for stream in STREAMS {
            assert_eq!(
                record_options.changes_schema(stream),
                !(stream.fields)().collections.is_empty(),
                "{}",
                stream.name
            );
            let schema = record_options.schema(stream);
            for Collection { name, .. } in &(stream.fields)().collections {
                let property = &schema["properties"][name];
                let element = if stream.uses_lookups { property } else { &property["items"] };
                assert_eq!(property["type"][0], "null", "{}.{name}", stream.name);
                assert!(!element["properties"].as_object().unwrap().is_empty(), "{}.{name}", stream.name);
            }
            assert!(!record_options.record_schema(stream, &json!({})).is_plain());
        }
    }

    #[test]
    fn only_the_stream_that_is_named_is_asked_for_more() {
        let record_options =
            record_options(&json!({"expand": ["customers_cart.addresses", "customers.custom_fields"]})).unwrap();
        let all = &json!({});
        assert_eq!(record_options.nested(stream("customers"), all).as_deref(), Some("addresses,custom_fields"));
        assert_eq!(record_options.nested(stream("orders"), all), None);
        assert!(!record_options.changes_schema(stream("orders")));
    }

    /// A record of a stream as it is sent where the catalog selects these fields.
    fn sent(stream: &Stream, names: &[&str], record: &Value) -> Value {
        let properties: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
        let record_schema = RecordOptions::default().record_schema(stream, &json!({ "properties": properties }));
        let (text, mut out) = (record.to_string(), Vec::new());
        RecordWriter::new(Arc::new(record_schema)).copy(&mut Scanner::new(text.as_bytes()), &mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn the_key_the_cursor_and_the_mark_of_a_deleted_row_are_always_sent() {
        for stream in STREAMS {
            let record = json!({
                stream.key(): 7, CURSOR: "2021-01-01T00:00:00Z", DELETED: "2021-01-02T00:00:00Z", "unheard_of": 1, "mine": 2,
            });
            let mut expected = record.clone();
            assert_eq!(sent(stream, &[], &record), expected, "a catalog that declares nothing selects all");
            expected.as_object_mut().unwrap().retain(|name, _| {
                [stream.key(), DELETED, "mine"].contains(&name.as_str()) || (stream.has_updated_at && name == CURSOR)
            });
            assert_eq!(sent(stream, &["mine"], &record), expected, "{}", stream.name);
        }
    }

    #[test]
    fn lookups_are_requested_and_declared_together() {
        let record_options = record_options(&json!({"expand": ["subscriptions.lookups"]})).unwrap();
        let names = record_options.nested(stream("subscriptions"), &json!({})).unwrap();
        assert_eq!(names.split(',').count(), (stream("subscriptions").fields)().collections.len());
        let schema = record_options.schema(stream("subscriptions"));
        assert_eq!(schema["properties"]["customer"]["properties"]["email"]["type"][1], "string");
    }

    #[test]
    fn each_fault_names_what_is_right() {
        let faults = |expand: Value| record_options(&json!({ "expand": expand })).unwrap_err().join("\n");
        let text = [
            faults(json!("orders.items")),
            faults(json!([["orders"]])),
            faults(json!(["orders.item", "order.items", "addresses.items", "zzz", "subscriptions.customer"])),
            record_options(&json!({"redact_sensitive_fields": "yes"})).unwrap_err().join("\n"),
        ];
        insta::assert_snapshot!(text.join("\n"));
    }
}
