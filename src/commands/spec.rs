//! `spec`: prints `spec.json` with values from other places.

use super::{CommandResult, compact};
use crate::airbyte::{Emitter, Message};
use crate::cart::streams::STREAMS;
use crate::record_options;

/// The specification, with placeholders.
const SPEC: &str = include_str!("../cart/spec.json");

/// The placeholder for the collections of `expand`, which are in the table.
const CHOICES: &str = "\"filled in from the table of streams\"";

/// The placeholder for the address of the documentation.
const DOCUMENTATION: &str = "\"documentationUrl\": \"filled in from Cargo.toml\",";

/// Prints the specification.
pub(crate) async fn run(emitter: &Emitter) -> CommandResult {
    if let Some(spec) = compact(&text()) {
        emitter.message(Message::Spec { spec }).await?;
    }
    Ok(true)
}

/// Returns the specification as JSON. The address of the documentation is `repository` in Cargo.toml, if it is set.
fn text() -> String {
    let choices: Vec<String> = record_options::choices(STREAMS).map(|choice| format!("\"{choice}\"")).collect();
    SPEC.replace(CHOICES, &choices.join(",")).replace(DOCUMENTATION, &documentation(env!("CARGO_PKG_REPOSITORY")))
}

/// Returns the line with an address, or an empty string without one.
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
