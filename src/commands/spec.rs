//! The specification that `spec` prints: `spec.json`, with what stands elsewhere filled in.

use crate::record_options;

/// The specification.
const SPEC: &str = include_str!("../cart/spec.json");

/// Stands in it for the collections that `expand` can name, which come from the table.
const CHOICES: &str = "\"filled in from the table of streams\"";

/// The line of it with the address of the documentation.
const DOCUMENTATION: &str = "\"documentationUrl\": \"filled in from Cargo.toml\",";

/// Returns the specification as JSON. It names the project's public address, `repository` in Cargo.toml, and no
/// address as long as there is none.
#[must_use]
pub(crate) fn text() -> String {
    let choices: Vec<String> = record_options::choices().map(|choice| format!("\"{choice}\"")).collect();
    SPEC.replace(CHOICES, &choices.join(",")).replace(DOCUMENTATION, &documentation(env!("CARGO_PKG_REPOSITORY")))
}

/// The line with an address; nothing without one.
fn documentation(address: &str) -> String {
    if address.is_empty() { String::new() } else { format!("\"documentationUrl\": \"{address}\",") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_the_documentation_is_there_when_there_is_one() {
        let address = "https://example.com/source-cart";
        for (address, expected) in [(address, Some(address)), ("", None)] {
            let text = SPEC.replace(DOCUMENTATION, &documentation(address));
            let spec: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            assert!(spec["connectionSpecification"].is_object(), "{text}");
            assert_eq!(spec["documentationUrl"].as_str(), expected);
        }
    }
}
