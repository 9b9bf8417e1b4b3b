//! No field that the vendor documents is missing in a schema.

use std::collections::BTreeMap;

use source_cart::streams::STREAMS;

use crate::harness::files::discovered_stream;

/// The documented fields by resource.
fn documented() -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut fields: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut resource = "";
    for line in include_str!("openapi_fields.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let names = match line.split_once(':') {
            Some((name, names)) => {
                assert!(!fields.contains_key(name), "{name} twice");
                resource = name;
                names
            }
            None => line,
        };
        fields.entry(resource).or_default().extend(names.split_whitespace());
    }
    fields
}

#[test]
fn no_documented_field_is_missing() {
    let documented = documented();
    for stream in STREAMS {
        let schema = &discovered_stream(stream.name).unwrap()["json_schema"];
        // The description of today knows no webhooks; their page names the fields.
        let Some(fields) = documented.get(stream.name) else {
            assert_eq!(stream.name, "webhooks");
            continue;
        };
        for field in fields {
            let nested = stream.collections.iter().any(|(name, _)| name == field);
            assert!(nested || schema["properties"].get(field).is_some(), "{}.{field}", stream.name);
        }
    }
    assert!(documented.keys().all(|name| STREAMS.iter().any(|stream| stream.name == *name)));
}
