//! Short hashes of the columns that a stream is read with, and of the settings that select its rows. A walk that was
//! interrupted with others is not continued.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::shop::Shop;
use crate::record_options::RecordOptions;
use crate::stream::{DELETED, Stream};

/// Bytes of a hash that are kept: enough that two selections do not collide by chance.
const HASH_BYTES: usize = 8;

/// The hashes of a read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selected {
    /// Hash of the columns; `None` for all columns.
    pub columns: Option<String>,
    /// Hash of the settings that select rows; `None` if there are none.
    pub rows: Option<String>,
}

impl Selected {
    /// Returns the hashes for a stream of a store.
    pub(super) fn of(
        client: &dyn Shop,
        record_options: &RecordOptions,
        stream: &'static Stream,
        configured: &Value,
    ) -> Self {
        let rows = client.selection(stream).map(|settings| short_hash(&settings));
        Self { columns: of(record_options, stream, configured), rows }
    }
}

/// Returns a string that differs if the columns do; `None` only if all columns of a stream are read.
fn of(record_options: &RecordOptions, stream: &Stream, configured: &Value) -> Option<String> {
    let schema = record_options.schema(stream);
    let declared = schema.get("properties")?.as_object()?;
    let wanted = configured.get("properties").and_then(Value::as_object).filter(|wanted| !wanted.is_empty());
    // The mark of a deleted row is not a column of the store.
    let is_left_out = |name: &&String| *name != DELETED && wanted.is_some_and(|wanted| !wanted.contains_key(*name));
    let mut text: String = declared.keys().filter(is_left_out).map(|name| format!("-{name}\n")).collect();
    if let Some(nested) = record_options.nested(stream, configured) {
        // Lookups are requested all together. States of earlier versions contain hashes with this `1`.
        let nested = if stream.uses_lookups { "1" } else { &nested };
        text.push_str(&format!("+{nested}\n"));
    }
    (!text.is_empty()).then(|| short_hash(&text))
}

fn short_hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cart::{CART, streams};
    use crate::raw_config::RawConfig;

    #[test]
    fn all_columns_are_none_and_each_selection_is_another() {
        let (stream, record_options) = (streams::find("orders").unwrap(), RecordOptions::default());
        let all = record_options.schema(stream);
        for schema in [json!(null), json!({}), json!({"properties": {}}), all.clone()] {
            assert_eq!(of(&record_options, stream, &schema), None);
        }
        let without = |names: &[&str]| {
            let mut schema = all.clone();
            names.iter().for_each(|name| drop(schema["properties"].as_object_mut().unwrap().remove(*name)));
            of(&record_options, stream, &schema).unwrap()
        };
        assert_eq!(without(&["source"]), without(&["source"]));
        assert_ne!(without(&["source"]), without(&["source", "due_date"]));
    }

    #[test]
    fn lookups_have_the_hash_of_earlier_versions() {
        let config = RawConfig::parse(br#"{"expand": ["subscriptions.lookups"]}"#, CART.settings.names).unwrap();
        let record_options = RecordOptions::parse(&config, streams::STREAMS).unwrap();
        let hash = of(&record_options, streams::find("subscriptions").unwrap(), &json!(null));
        assert_eq!(hash.as_deref(), Some("2be5b899a1b7fe4a"));
    }
}
