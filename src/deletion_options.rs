//! The setting `detect_deletions`: the streams whose deleted rows are reported.

use serde_json::{Value, json};

use crate::json::value_kind;
use crate::raw_config::{FieldError, RawConfig};
use crate::stream::{self, Stream};
use crate::suggest::suggestions;

/// Name of the setting.
pub(crate) const DETECT: &str = "detect_deletions";

/// The entry for all streams that it is possible for.
pub(crate) const ALL: &str = "all";

/// The streams whose deleted rows are reported. The default is none.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeletionOptions(Vec<&'static str>);

impl DeletionOptions {
    /// Reads the setting. Returns all faults.
    pub(crate) fn parse(config: &RawConfig, table: &'static [Stream]) -> (Self, Vec<FieldError>) {
        let (mut options, mut faults) = (Self::default(), Vec::new());
        let mut fault = |problem: String| faults.push(FieldError::new(DETECT, problem));
        match config.setting(DETECT) {
            None | Some(Value::Null) => {}
            Some(Value::Array(entries)) => {
                for (place, entry) in entries.iter().enumerate() {
                    let shown = |text: &str| config.shown(&format!("{DETECT}[{place}]"), text);
                    match chosen(entry, table, config.names.executable, shown) {
                        Ok(names) => options.0.extend(names),
                        Err(problem) => fault(problem),
                    }
                }
            }
            Some(other) => fault(format!(
                "must be a list of streams such as `[\"orders\"]`, or `[\"{ALL}\"]`, not {}.",
                value_kind(other)
            )),
        }
        (options, faults)
    }

    /// Returns true if deleted rows of this stream are to be reported.
    pub(crate) fn detects(&self, stream: &Stream) -> bool {
        self.0.contains(&stream.name)
    }
}

/// Returns true if the deleted rows of a stream can be found where a connector finds them: its keys are whole numbers.
pub(crate) fn is_detectable(stream: &Stream) -> bool {
    let declared = &(stream.fields)().schema["properties"][stream.key()]["type"];
    match declared {
        Value::Array(types) => types.contains(&json!("integer")),
        one => one == "integer",
    }
}

/// Returns the streams that an entry names.
fn chosen(
    entry: &Value,
    table: &'static [Stream],
    executable: &str,
    shown: impl Fn(&str) -> String,
) -> Result<Vec<&'static str>, String> {
    let Value::String(text) = entry else {
        return Err(format!("must be a list of strings such as `[\"orders\"]`, not of {}.", value_kind(entry)));
    };
    let name = text.trim();
    if name == ALL {
        return Ok(table.iter().filter(|stream| is_detectable(stream)).map(|stream| stream.name).collect());
    }
    match stream::find(table, name) {
        Some(stream) if is_detectable(stream) => Ok(vec![stream.name]),
        Some(_) => Err(format!("contains `{}`, whose keys are not whole numbers. Remove it.", shown(text))),
        None => {
            let near = suggestions(name, table.iter().map(|stream| stream.name));
            let hint = match near.first() {
                Some(near) => format!("Did you mean `{near}`?"),
                None => format!("Run `{executable} streams` to list all streams."),
            };
            Err(format!("contains `{}`, which is not a stream. {hint}", shown(text)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cart::CART;
    use crate::cart::streams::STREAMS;

    fn parse(value: &Value) -> Result<DeletionOptions, String> {
        let config = RawConfig::parse(json!({ DETECT: value }).to_string().as_bytes(), CART.settings.names).unwrap();
        let (options, faults) = DeletionOptions::parse(&config, STREAMS);
        match faults.is_empty() {
            true => Ok(options),
            false => Err(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
        }
    }

    #[test]
    fn streams_are_chosen_by_name_or_all_at_once() {
        let names = |value: Value| parse(&value).unwrap().0;
        assert!(names(json!(null)).is_empty() && names(json!([])).is_empty());
        assert_eq!(names(json!(["orders", " customers_cart "])), ["orders", "customers"]);
        let all = names(json!(["all"]));
        assert!(all.len() > 50 && all.contains(&"orders"), "{}", all.len());
        let without: Vec<&str> = STREAMS.iter().map(|stream| stream.name).filter(|name| !all.contains(name)).collect();
        for name in without {
            let stream = stream::find(STREAMS, name).unwrap();
            assert!(!is_detectable(stream));
            assert!(parse(&json!([name])).unwrap_err().contains("not whole numbers"), "{name}");
        }
    }

    #[test]
    fn each_fault_names_what_is_right() {
        let faults = |value: Value| parse(&value).unwrap_err();
        let text = [faults(json!("all")), faults(json!([5])), faults(json!(["order", "zzzzzzzz"]))];
        insta::assert_snapshot!(text.join("\n"), @r#"
        `detect_deletions` must be a list of streams such as `["orders"]`, or `["all"]`, not a string.
        `detect_deletions` must be a list of strings such as `["orders"]`, not of a number.
        `detect_deletions` contains `order`, which is not a stream. Did you mean `orders`?
        `detect_deletions` contains `zzzzzzzz`, which is not a stream. Run `source-cart streams` to list all streams.
        "#);
    }
}
