//! What the config asks of the records beyond plain rows: nested collections filled, sensitive fields
//! emptied. One place decides it for `discover` (the schema), for the requests (the parameter) and for
//! the copying of records (the shape).

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use crate::config::raw::{FieldError, RawConfig, kind};
use crate::record::RecordSchema;
use crate::streams::{self, CURSOR, Collection, DELETED, STREAMS, Stream};
use crate::suggest::suggestions;

const EXPAND: &str = "expand";
const REDACT: &str = "redact_sensitive_fields";

/// The one thing that `expand` can name of a stream whose collections the API fills all at once.
const LOOKUPS: &str = "lookups";

/// Longest list of fields that is asked for, in bytes. Windows web servers, which the API runs on, refuse
/// query strings above 2048 bytes by default; the filters take up to 400 of them, and a comma takes three. A longer list
/// means that nearly everything is wanted, and the rest is dropped here.
const LONGEST_FIELDS: usize = 1200;

/// How deep collections inside collections that nobody requested are looked through for sensitive fields: the API
/// documents two levels (the payment method of a subscription, and its fields).
const DEPTH: usize = 4;

/// What is asked of the records. The default is what the API sends by itself, untouched.
#[derive(Clone, Debug, Default)]
pub struct RecordOptions {
    /// Names of streams, each with one of its collections.
    expand: Vec<(&'static str, &'static Collection)>,
    redact: bool,
}

impl RecordOptions {
    /// Whether a field of a config is about records.
    #[must_use]
    pub(crate) fn reads(field: &str) -> bool {
        [EXPAND, REDACT].contains(&field)
    }

    /// Reads the part of a config that is about records.
    ///
    /// # Errors
    /// Each fault.
    pub(crate) fn parse(config: &RawConfig) -> Result<Self, Vec<FieldError>> {
        let mut record_options = Self::default();
        let mut faults = Vec::new();
        match config.get(EXPAND) {
            None | Some(Value::Null) => {}
            Some(Value::Array(entries)) => {
                for (place, entry) in entries.iter().enumerate() {
                    match chosen(entry, |text| config.shown(&format!("{EXPAND}[{place}]"), text)) {
                        Ok(collections) => record_options.expand.extend(collections),
                        Err(problem) => faults.push(FieldError::new(EXPAND, problem)),
                    }
                }
            }
            Some(other) => {
                let problem = format!("must be a list of strings such as `[\"orders.items\"]`, not {}.", kind(other));
                faults.push(FieldError::new(EXPAND, problem));
            }
        }
        match config.get(REDACT) {
            None | Some(Value::Null) => {}
            Some(Value::Bool(redact)) => record_options.redact = *redact,
            Some(other) => faults.push(FieldError::new(REDACT, format!("must be true or false, not {}.", kind(other)))),
        }
        let faults = config.all_faults(faults, Self::reads);
        if faults.is_empty() { Ok(record_options) } else { Err(faults) }
    }

    /// The collections that are filled in this stream.
    fn collections(&self, stream: &Stream) -> impl Iterator<Item = &'static Collection> {
        STREAMS
            .iter()
            .filter(|row| row.name == stream.name)
            .flat_map(|row| row.collections)
            .filter(|(name, _)| self.expand.iter().any(|(of, chosen)| *of == stream.name && chosen.0 == *name))
    }

    /// Returns the fields of a stream that are sent, in the order of the table's schema, nested collections last;
    /// `None` if that is all of them. A configured catalog that declares no fields at all selects all: some
    /// launchers send that. The key, the cursor and the mark of a deleted row are sent in any case.
    fn selected(&self, stream: &Stream, configured: &Value) -> Option<Vec<String>> {
        let wanted = wanted(configured)?;
        let own = own_names(stream)?;
        // A catalog from before `expand` was set lacks the collections, and selects all the same.
        if own.iter().all(|name| wanted.contains_key(name)) {
            return None;
        }
        let is_kept = |name: &String| {
            let name = name.as_str();
            wanted.contains_key(name)
                || name == stream.key
                || (stream.has_updated_at && name == CURSOR)
                || name == DELETED
        };
        let names = with_collections(own, &self.requested(stream, configured));
        Some(names.into_iter().filter(is_kept).collect())
    }

    /// The collections that are filled in this stream, of those that the configured catalog selects.
    fn requested(&self, stream: &Stream, configured: &Value) -> Vec<&'static Collection> {
        let wanted = wanted(configured);
        self.collections(stream).filter(|(name, _)| wanted.is_none_or(|wanted| wanted.contains_key(*name))).collect()
    }

    /// The entries of `expand` for this stream that the configured catalog does not select.
    #[must_use]
    pub(crate) fn unselected(&self, stream: &Stream, configured: &Value) -> Vec<String> {
        let requested = self.requested(stream, configured);
        let is_requested = |name: &str| requested.iter().any(|(known, _)| *known == name);
        let mut entries: Vec<String> = self
            .collections(stream)
            .filter(|(name, _)| !is_requested(name))
            .map(|(name, _)| entry(stream, name))
            .collect();
        entries.dedup();
        entries
    }

    /// The parameter that requests nested collections from the API, if the configured catalog selects any (API
    /// documentation, query syntax; for `includelookups`, the page of subscriptions).
    #[must_use]
    pub(crate) fn parameter(&self, stream: &Stream, configured: &Value) -> Option<(&'static str, String)> {
        let names: Vec<&str> = self.requested(stream, configured).iter().map(|(name, _)| *name).collect();
        match (names.is_empty(), stream.uses_lookups) {
            (true, _) => None,
            (false, true) => Some(("includelookups", "1".to_owned())),
            (false, false) => Some(("expand", names.join(","))),
        }
    }

    /// The schema of the records. `None` if the one in the table is no JSON, which a test rules out.
    #[must_use]
    pub(crate) fn schema(&self, stream: &Stream) -> Option<Value> {
        let mut schema: Value = serde_json::from_str(stream.schema).ok()?;
        for (name, element) in self.collections(stream) {
            schema["properties"][name] = match Element::parse(element, stream.uses_lookups)? {
                Element { schema, list: false, .. } => schema,
                Element { schema, list: true, .. } => json!({
                    "type": ["null", "array"],
                    "description": "Included with `expand`. In incremental syncs it refreshes only when the row changes.",
                    "items": schema,
                }),
            };
        }
        Some(schema)
    }

    /// The names of the declared fields that the configured catalog selects, in the order of the table's schema,
    /// nested collections last. `None` as for [`RecordOptions::schema`].
    #[must_use]
    pub(crate) fn columns(&self, stream: &Stream, configured: &Value) -> Option<Vec<String>> {
        match self.selected(stream, configured) {
            Some(selected) => Some(selected),
            None => Some(with_collections(own_names(stream)?, &self.requested(stream, configured))),
        }
    }

    /// Whether this stream's schema is other than the one in the table.
    #[must_use]
    pub(crate) fn changes_schema(&self, stream: &Stream) -> bool {
        self.collections(stream).next().is_some()
    }

    /// The fields to request from the API, where the configured catalog selects only some of the stream's (API
    /// documentation, query syntax: `fields`). `None` means all: what is not selected is dropped here.
    #[must_use]
    pub(crate) fn fields(&self, stream: &Stream, configured: &Value) -> Option<String> {
        let mut names = self.selected(stream, configured)?;
        names.sort_unstable();
        Some(names.join(",")).filter(|names| names.len() <= LONGEST_FIELDS)
    }

    /// How records are copied. `None` as for [`RecordOptions::schema`].
    #[must_use]
    pub(crate) fn record_schema(&self, stream: &Stream, configured: &Value) -> Option<RecordSchema> {
        let mut record_schema =
            RecordSchema::new(&self.schema(stream)?, stream.key, stream.has_updated_at.then_some(CURSOR));
        if self.redact {
            record_schema.redact(stream.sensitive);
            redact_inside(&mut record_schema, stream.collections, DEPTH);
        }
        for (name, element) in self.requested(stream, configured) {
            let element = Element::parse(element, stream.uses_lookups)?;
            let mut inside = RecordSchema::new(&element.schema, "", None);
            if self.redact {
                inside.redact(&element.sensitive);
                for of in &element.streams {
                    redact_inside(&mut inside, of.collections, DEPTH);
                }
            }
            record_schema.nest(name, inside, entry(stream, name));
        }
        if let Some(selected) = self.selected(stream, configured) {
            // A field that the catalog names is selected, also if no schema of ours declares it.
            let further = wanted(configured).into_iter().flatten().map(|(name, _)| name.as_str());
            record_schema.select(selected.iter().map(String::as_str).chain(further).chain([DELETED]));
        }
        Some(record_schema)
    }
}

/// The fields that a configured catalog selects; `None` if it does not select among them.
fn wanted(configured: &Value) -> Option<&Map<String, Value>> {
    configured.get("properties")?.as_object().filter(|wanted| !wanted.is_empty())
}

/// The names of the fields in the table's schema, in its order. `None` as for [`RecordOptions::schema`].
fn own_names(stream: &Stream) -> Option<Vec<String>> {
    let Ordered { properties: Names(names) } = serde_json::from_str(stream.schema).ok()?;
    Some(names)
}

/// These names, and those of collections that are not among them.
fn with_collections(mut names: Vec<String>, collections: &[&Collection]) -> Vec<String> {
    for (name, _) in collections {
        if !names.iter().any(|known| known == name) {
            names.push((*name).to_owned());
        }
    }
    names
}

/// The entry of `expand` that requests a collection.
fn entry(stream: &Stream, collection: &str) -> String {
    format!("{}.{}", stream.name, if stream.uses_lookups { LOOKUPS } else { collection })
}

/// Empties the sensitive fields inside these collections, should the store send one that was not requested.
fn redact_inside(record_schema: &mut RecordSchema, collections: &'static [Collection], depth: usize) {
    for (name, element) in collections {
        if let Some(inside) = redaction_schema(element, depth) {
            record_schema.redact_inside(name, inside);
        }
    }
}

/// Records of a collection of which only the sensitive fields matter; `None` if it has none.
fn redaction_schema(element: &'static str, depth: usize) -> Option<RecordSchema> {
    let element = Element::parse(element, false)?;
    let names: Map<String, Value> = element.sensitive.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
    let mut record_schema = RecordSchema::new(&json!({ "properties": names }), "", None);
    record_schema.redact(&element.sensitive);
    if let Some(depth) = depth.checked_sub(1) {
        for of in &element.streams {
            redact_inside(&mut record_schema, of.collections, depth);
        }
    }
    (!record_schema.is_plain()).then_some(record_schema)
}

/// A schema, of which only the names are of interest.
#[derive(Deserialize)]
struct Ordered {
    properties: Names,
}

/// The keys of a JSON object in their order, which a map of `serde_json` does not keep.
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Names;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some((name, IgnoredAny)) = map.next_entry()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// What one element of a collection looks like.
struct Element {
    schema: Value,
    sensitive: Vec<&'static str>,
    /// The streams whose fields it has.
    streams: Vec<&'static Stream>,
    list: bool,
}

impl Element {
    /// Reads the notation of [`Collection`].
    fn parse(text: &'static str, lookups: bool) -> Option<Self> {
        let mut properties = Map::new();
        let (mut sensitive, mut of) = (Vec::new(), Vec::new());
        for word in text.split_whitespace() {
            let Some((name, kind)) = word.split_once(':') else {
                let stream = streams::find(word)?;
                let schema: Value = serde_json::from_str(stream.schema).ok()?;
                properties.extend(schema.get("properties")?.as_object()?.clone());
                sensitive.extend(stream.sensitive);
                of.push(stream);
                continue;
            };
            let plain = kind.trim_end_matches('!');
            if plain != kind {
                sensitive.push(name);
            }
            let property = match plain {
                "date-time" => {
                    json!({"type": ["null", "string"], "format": plain, "airbyte_type": "timestamp_with_timezone"})
                }
                _ => json!({"type": ["null", plain]}),
            };
            properties.insert(name.to_owned(), property);
        }
        let schema = json!({"type": ["null", "object"], "additionalProperties": true, "properties": properties});
        Some(Self { schema, sensitive, streams: of, list: !lookups })
    }
}

/// What `expand` can name of a stream.
fn choices_of(stream: &'static Stream) -> impl Iterator<Item = &'static str> {
    let one = stream.uses_lookups.then_some(LOOKUPS);
    one.into_iter().chain(stream.collections.iter().filter(|_| !stream.uses_lookups).map(|(name, _)| *name))
}

/// Everything that `expand` can name, as `stream.collection`.
pub(crate) fn choices() -> impl Iterator<Item = String> {
    STREAMS.iter().flat_map(|stream| choices_of(stream).map(|choice| format!("{}.{choice}", stream.name)))
}

/// What one entry of `expand` asks for.
fn chosen(entry: &Value, shown: impl Fn(&str) -> String) -> Result<Vec<(&'static str, &'static Collection)>, String> {
    let Value::String(text) = entry else {
        return Err(format!("must be a list of strings such as `[\"orders.items\"]`, not of {}.", kind(entry)));
    };
    let (name, choice) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let Some(stream) = streams::find(name).filter(|stream| !stream.collections.is_empty()) else {
        let able = || STREAMS.iter().filter(|stream| !stream.collections.is_empty()).map(|stream| stream.name);
        let near = suggestions(name, able());
        let hint = if near.is_empty() { able().collect() } else { near };
        return Err(format!(
            "contains `{}`, but stream `{}` has no nested collections. These streams do: {}.",
            shown(text),
            shown(name),
            hint.join(", ")
        ));
    };
    if !choices_of(stream).any(|known| known == choice) {
        let known: Vec<String> = choices_of(stream).map(|known| format!("`{}.{known}`", stream.name)).collect();
        return Err(format!("contains `{}`, which does not exist. Use {}.", shown(text), known.join(", ")));
    }
    let wanted = stream.collections.iter().filter(|(name, _)| stream.uses_lookups || *name == choice);
    Ok(wanted.map(|collection| (stream.name, collection)).collect())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::json::Scanner;
    use crate::record::RecordWriter;

    fn record_options(config: &Value) -> Result<RecordOptions, Vec<String>> {
        let fields = RawConfig::parse(config.to_string().as_bytes()).unwrap();
        RecordOptions::parse(&fields).map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    fn stream(name: &str) -> &'static Stream {
        streams::find(name).unwrap()
    }

    #[test]
    fn every_collection_of_the_table_can_be_asked_for() {
        let all: Vec<String> = choices().collect();
        assert!(all.len() > 50 && all.contains(&"orders.items".to_owned()));
        let record_options = record_options(&json!({"expand": all})).unwrap();
        for stream in STREAMS {
            assert_eq!(record_options.changes_schema(stream), !stream.collections.is_empty(), "{}", stream.name);
            let schema = record_options.schema(stream).unwrap();
            for (name, _) in stream.collections {
                let property = &schema["properties"][name];
                let element = if stream.uses_lookups { property } else { &property["items"] };
                assert_eq!(property["type"][0], "null", "{}.{name}", stream.name);
                assert!(!element["properties"].as_object().unwrap().is_empty(), "{}.{name}", stream.name);
            }
            assert!(record_options.record_schema(stream, &json!({})).is_some());
        }
    }

    #[test]
    fn only_the_stream_that_is_named_is_asked_for_more() {
        let record_options =
            record_options(&json!({"expand": ["customers_cart.addresses", "customers.custom_fields"]})).unwrap();
        let all = &json!({});
        assert_eq!(
            record_options.parameter(stream("customers"), all),
            Some(("expand", "addresses,custom_fields".to_owned()))
        );
        assert_eq!(record_options.parameter(stream("orders"), all), None);
        assert!(!record_options.changes_schema(stream("orders")));
    }

    /// A record of a stream as it is sent where the catalog selects these fields.
    fn sent(stream: &Stream, names: &[&str], record: &Value) -> Value {
        let properties: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
        let record_schema =
            RecordOptions::default().record_schema(stream, &json!({ "properties": properties })).unwrap();
        let (text, mut out) = (record.to_string(), Vec::new());
        RecordWriter::new(Arc::new(record_schema)).copy(&mut Scanner::new(text.as_bytes()), &mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn the_key_the_cursor_and_the_mark_of_a_deleted_row_are_always_sent() {
        for stream in STREAMS {
            let record = json!({
                stream.key: 7, CURSOR: "2021-01-01T00:00:00Z", DELETED: "2021-01-02T00:00:00Z", "unheard_of": 1, "mine": 2,
            });
            let mut expected = record.clone();
            assert_eq!(sent(stream, &[], &record), expected, "a catalog that declares nothing selects all");
            expected.as_object_mut().unwrap().retain(|name, _| {
                [stream.key, DELETED, "mine"].contains(&name.as_str()) || (stream.has_updated_at && name == CURSOR)
            });
            assert_eq!(sent(stream, &["mine"], &record), expected, "{}", stream.name);
        }
    }

    #[test]
    fn lookups_have_a_parameter_of_their_own() {
        let record_options = record_options(&json!({"expand": ["subscriptions.lookups"]})).unwrap();
        assert_eq!(
            record_options.parameter(stream("subscriptions"), &json!({})),
            Some(("includelookups", "1".to_owned()))
        );
        let schema = record_options.schema(stream("subscriptions")).unwrap();
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

    #[test]
    fn sensitive_fields_are_those_that_the_schemas_mark() {
        for stream in STREAMS {
            let schema: Value = serde_json::from_str(stream.schema).unwrap();
            let marked = |(_, property): &(&String, &Value)| {
                property["description"].as_str().is_some_and(|text| text.contains("Sensitive:"))
            };
            let mut expected: Vec<&str> = schema["properties"]
                .as_object()
                .unwrap()
                .iter()
                .filter(marked)
                .map(|(name, _)| name.as_str())
                .collect();
            expected.sort_unstable();
            let mut listed = stream.sensitive.to_vec();
            listed.sort_unstable();
            assert_eq!(listed, expected, "{}", stream.name);
            assert!(!listed.contains(&stream.key) && !listed.contains(&CURSOR), "{}", stream.name);
        }
    }
}
