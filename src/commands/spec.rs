//! `spec`: prints the specification of the configuration with values from other places.

use super::{CommandResult, compact};
use crate::airbyte::{Emitter, Message};
use crate::connector::Connector;
use crate::record_options;

/// The placeholder for the collections of `expand`, which are in the table.
const CHOICES: &str = "\"filled in from the table of streams\"";

/// The placeholder for the address of the documentation.
const DOCUMENTATION: &str = "\"documentationUrl\": \"filled in from Cargo.toml\",";

/// Prints the specification.
pub(crate) async fn run(connector: &Connector, emitter: &Emitter) -> CommandResult {
    if let Some(spec) = compact(&text(connector)) {
        emitter.message(Message::Spec { spec }).await?;
    }
    Ok(true)
}

/// Returns the specification as JSON. The address of the documentation is `repository` in Cargo.toml, if it is set.
fn text(connector: &Connector) -> String {
    let choices: Vec<String> =
        record_options::choices(connector.streams).map(|choice| format!("\"{choice}\"")).collect();
    let documentation = documentation(env!("CARGO_PKG_REPOSITORY"));
    connector.spec.replace(CHOICES, &choices.join(",")).replace(DOCUMENTATION, &documentation)
}

/// Returns the line with an address, or an empty string without one.
fn documentation(address: &str) -> String {
    if address.is_empty() { String::new() } else { format!("\"documentationUrl\": \"{address}\",") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cart::CART;

    #[test]
    fn the_address_of_the_documentation_is_there_when_there_is_one() {
        let address = "https://example.com/source-cart";
        for (address, expected) in [(address, Some(address)), ("", None)] {
            let text = CART.spec.replace(DOCUMENTATION, &documentation(address));
            let spec: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            assert!(spec["connectionSpecification"].is_object(), "{text}");
            assert_eq!(spec["documentationUrl"].as_str(), expected);
        }
    }
}
