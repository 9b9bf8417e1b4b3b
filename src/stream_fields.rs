//! The fields of a stream's records: its JSON schema and two keywords of this program's own in it.
//!
//! - `"x-sensitive": true` in a field: `redact_sensitive_fields` sets it to null.
//! - `x-expand`, beside `properties`: the collections that `expand` can nest in a record, each the name of the stream
//!   whose fields an element has, or an object with `properties` of its own, `stream`, or both.
//!
//! Nothing here names a stream.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// Prefix of the names of this program's own keywords.
const OWN_KEYWORD: &str = "x-";

/// The fields of a stream's records, from its schema file.
#[derive(Debug, Default)]
pub struct StreamFields {
    /// JSON schema of a record, without this program's own keywords.
    pub schema: Value,
    /// The same on one line, its keys in the order of the file.
    pub schema_text: Box<RawValue>,
    /// Names of the fields, in the order of the file.
    pub names: Vec<String>,
    /// Fields that contain secrets, card data, login names or network addresses.
    pub sensitive: Vec<String>,
    /// Collections that the API nests in a record on request.
    pub collections: Vec<Collection>,
}

/// A collection that the API nests in a record on request.
#[derive(Debug)]
pub struct Collection {
    /// Name of the field that has it.
    pub name: String,
    /// Name of the stream whose fields an element has.
    pub stream: Option<String>,
    /// Schemas of an element's further fields.
    pub properties: Map<String, Value>,
    /// Those of the further fields that are sensitive.
    pub sensitive: Vec<String>,
}

/// A schema file, as far as the order of its keys matters.
#[derive(Deserialize)]
struct SchemaFile<'s> {
    #[serde(borrow)]
    properties: Ordered<&'s RawValue>,
    #[serde(rename = "x-expand", default)]
    expand: Ordered<Element>,
}

/// An element of a collection, as a schema file describes it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Element {
    OfStream(String),
    Described { stream: Option<String>, properties: Map<String, Value> },
}

impl StreamFields {
    /// Reads a schema file.
    ///
    /// # Errors
    /// Syntax errors and keywords of the wrong type. The files are part of the program and tested, so no user sees one.
    pub fn parse(file: &str) -> serde_json::Result<Self> {
        let SchemaFile { properties, expand } = serde_json::from_str(file)?;
        let mut schema_text = String::new();
        write_without_own_keywords(file, &mut schema_text)?;
        let collections = expand.0.into_iter().map(|(name, element)| {
            let (stream, mut properties) = match element {
                Element::OfStream(stream) => (Some(stream), Map::new()),
                Element::Described { stream, properties } => (stream, properties),
            };
            let sensitive = sensitive(&properties);
            for property in properties.values_mut().filter_map(Value::as_object_mut) {
                property.retain(|keyword, _| !keyword.starts_with(OWN_KEYWORD));
            }
            Collection { name, stream, properties, sensitive }
        });
        let collections = collections.collect();
        let file: Value = serde_json::from_str(file)?;
        Ok(Self {
            schema: serde_json::from_str(&schema_text)?,
            schema_text: RawValue::from_string(schema_text)?,
            sensitive: file["properties"].as_object().map(sensitive).unwrap_or_default(),
            names: properties.0.into_iter().map(|(name, _)| name).collect(),
            collections,
        })
    }
}

/// Returns the names of the properties that are marked as sensitive.
fn sensitive(properties: &Map<String, Value>) -> Vec<String> {
    let is_marked = |(_, property): &(&String, &Value)| property["x-sensitive"] == json!(true);
    properties.iter().filter(is_marked).map(|(name, _)| name.clone()).collect()
}

/// Appends a JSON value on one line, without the keys of objects that are this program's own.
fn write_without_own_keywords(json: &str, out: &mut String) -> serde_json::Result<()> {
    let Ok(Ordered(members)) = serde_json::from_str::<Ordered<&RawValue>>(json) else {
        out.push_str(&serde_json::from_str::<Value>(json)?.to_string());
        return Ok(());
    };
    out.push('{');
    let mut separator = "";
    for (name, value) in members.iter().filter(|(name, _)| !name.starts_with(OWN_KEYWORD)) {
        out.push_str(separator);
        out.push_str(&Value::from(name.as_str()).to_string());
        out.push(':');
        write_without_own_keywords(value.get(), out)?;
        separator = ",";
    }
    out.push('}');
    Ok(())
}

/// The members of a JSON object in their order, which a map of `serde_json` does not keep.
struct Ordered<T>(Vec<(String, T)>);

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Ordered<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered<T>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Ordered(members))
            }
        }
        deserializer.deserialize_map(Members(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{
        "type": "object",
        "properties": {
            "id": { "type": "integer" },
            "code": { "type": ["null", "string"], "x-sensitive": true, "description": "Sensitive: \"é\"." }
        },
        "x-expand": {
            "items": "order_items",
            "fields": { "stream": "pages", "properties": { "value": { "x-sensitive": true, "type": "string" }, "a": {} } }
        }
    }"#;

    #[test]
    fn own_keywords_are_read_and_removed() {
        let fields = StreamFields::parse(FILE).unwrap();
        let expected = r#"{"type":"object","properties":{"id":{"type":"integer"},"code":{"type":["null","string"],"description":"Sensitive: \"é\"."}}}"#;
        assert_eq!(fields.schema_text.get(), expected);
        assert_eq!(fields.schema.to_string().len(), expected.len());
        assert_eq!(
            (fields.names, fields.sensitive),
            (vec!["id".to_owned(), "code".to_owned()], vec!["code".to_owned()])
        );
        let [items, described] = &fields.collections[..] else { panic!("two collections") };
        assert_eq!((items.name.as_str(), items.stream.as_deref()), ("items", Some("order_items")));
        assert!(items.properties.is_empty() && items.sensitive.is_empty());
        assert_eq!((described.name.as_str(), described.stream.as_deref()), ("fields", Some("pages")));
        assert_eq!(Value::from(described.properties.clone()), json!({"value": {"type": "string"}, "a": {}}));
        assert_eq!(described.sensitive, ["value"]);
    }

    #[test]
    fn a_keyword_of_the_wrong_type_is_refused() {
        for file in ["", "[]", "{}", r#"{"properties": []}"#, r#"{"properties": {}, "x-expand": {"items": 1}}"#] {
            assert!(StreamFields::parse(file).is_err(), "{file}");
        }
    }
}
