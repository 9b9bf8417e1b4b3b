//! States handed in with `--state`: every shape that platforms, launchers and people write becomes a
//! list of streams and their states. What a stream's state means is for the read.

use serde_json::{Map, Value};

use super::fault::not_json;

/// A stream's name and the state it left.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamState {
    /// The stream.
    pub name: String,
    /// What it left; never null.
    pub state: Value,
}

/// Reads a state file. The last state of a stream wins. No state at all is an empty list.
///
/// Accepted: nothing, `null`, `{}`, `[]`; a list of STREAM or GLOBAL states, with or without `type`
/// and with any further keys; a LEGACY state; a bare `{"orders": {…}}`; `{stream_descriptor,
/// stream_state}`; one message; a file of messages, one a line.
///
/// # Errors
/// A clause that says what cannot be understood.
pub fn parse(text: &[u8]) -> Result<Vec<StreamState>, String> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut states = Vec::new();
    for document in serde_json::Deserializer::from_slice(text).into_iter::<Value>() {
        let document = document.map_err(|error| not_json(&error))?;
        collect(document, &mut states)?;
    }
    Ok(states)
}

fn collect(document: Value, states: &mut Vec<StreamState>) -> Result<(), String> {
    match document {
        Value::Null => Ok(()),
        Value::Array(items) => items.into_iter().try_for_each(|item| collect(item, states)),
        Value::Object(object) => from_object(object, states),
        other => Err(format!("expected states, found `{}`", short(&other))),
    }
}

fn from_object(mut object: Map<String, Value>, states: &mut Vec<StreamState>) -> Result<(), String> {
    match object.get("type").and_then(Value::as_str) {
        // A message as it stood on stdout, and its state inside.
        Some("STATE") => return object.remove("state").map_or(Ok(()), |state| collect(state, states)),
        Some("RECORD" | "LOG" | "TRACE" | "CATALOG" | "SPEC" | "CONNECTION_STATUS" | "CONTROL") => return Ok(()),
        _ => {}
    }
    if object.contains_key("stream_descriptor") {
        return from_stream(&mut object, states);
    }
    if let Some(Value::Object(mut stream)) = object.remove("stream") {
        return from_stream(&mut stream, states);
    }
    if let Some(Value::Object(mut global)) = object.remove("global") {
        return global.remove("stream_states").map_or(Ok(()), |list| collect(list, states));
    }
    match object.remove("data") {
        Some(Value::Object(data)) => return from_map(data, states),
        Some(Value::Null) | None => {}
        Some(other) => return Err(format!("expected an object at `data`, found `{}`", short(&other))),
    }
    if object.get("type").is_some_and(Value::is_string) {
        return Err("a state of a type, but without `stream`, `global` or `data`".to_owned());
    }
    from_map(object, states)
}

fn from_stream(stream: &mut Map<String, Value>, states: &mut Vec<StreamState>) -> Result<(), String> {
    let name = stream.get("stream_descriptor").and_then(|descriptor| descriptor.get("name")).and_then(Value::as_str);
    let Some(name) = name.map(str::to_owned) else {
        return Err("a state without `stream_descriptor.name`".to_owned());
    };
    put(states, name, stream.remove("stream_state").unwrap_or_default())
}

/// The old form: stream names as keys, states as values.
fn from_map(map: Map<String, Value>, states: &mut Vec<StreamState>) -> Result<(), String> {
    map.into_iter().try_for_each(|(name, state)| put(states, name, state))
}

fn put(states: &mut Vec<StreamState>, name: String, state: Value) -> Result<(), String> {
    if !state.is_object() && !state.is_null() {
        let (name, found) = (plain(&name), short(&state));
        return Err(format!("expected the state of `{name}` to be an object, found `{found}`"));
    }
    states.retain(|known| known.name != name);
    if state.is_object() {
        states.push(StreamState { name, state });
    }
    Ok(())
}

fn short(value: &Value) -> String {
    plain(&value.to_string())
}

/// A text of the file as it may be shown: short, on one line.
fn plain(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(40).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use super::*;

    #[test]
    fn every_shape_in_the_wild_means_the_same() {
        let at = r#"{"updated_at":"2021-07-01T08:59:28.457-05:00"}"#;
        let descriptor = r#""stream_descriptor":{"name":"orders","namespace":null}"#;
        for (what, text) in [
            (
                "a platform's list",
                format!(
                    r#"[{{"type":"STREAM","stream":{{{descriptor},"stream_state":{at}}},"sourceStats":{{"recordCount":1.0}}}}]"#
                ),
            ),
            (
                "PyAirbyte's, with a doubled key",
                format!(
                    r#"[{{"type":"STREAM","stream":{{{descriptor},"stream_state":{at}}},"global_":null,"global_":null,"data":null}}]"#
                ),
            ),
            ("no type", format!(r#"[{{"stream":{{{descriptor},"stream_state":{at}}}}}]"#)),
            (
                "an empty namespace",
                format!(
                    r#"[{{"type":"STREAM","stream":{{"stream_descriptor":{{"name":"orders","namespace":""}},"stream_state":{at}}}}}]"#
                ),
            ),
            (
                "GLOBAL",
                format!(r#"[{{"type":"GLOBAL","global":{{"stream_states":[{{{descriptor},"stream_state":{at}}}]}}}}]"#),
            ),
            (
                "GLOBAL with a shared state",
                format!(
                    r#"{{"type":"GLOBAL","global":{{"shared_state":{{"x":1}},"stream_states":[{{{descriptor},"stream_state":{at}}}]}}}}"#
                ),
            ),
            ("LEGACY", format!(r#"[{{"type":"LEGACY","data":{{"orders":{at}}}}}]"#)),
            ("a bare map", format!(r#"{{"orders":{at}}}"#)),
            ("data alone", format!(r#"{{"data":{{"orders":{at}}}}}"#)),
            ("one state, no list", format!(r#"{{"type":"STREAM","stream":{{{descriptor},"stream_state":{at}}}}}"#)),
            ("descriptor and state alone", format!(r#"{{{descriptor},"stream_state":{at}}}"#)),
            (
                "a message",
                format!(
                    r#"{{"type":"STATE","state":{{"type":"STREAM","stream":{{{descriptor},"stream_state":{at}}}}}}}"#
                ),
            ),
            (
                "a file of messages",
                format!(
                    "{{\"type\":\"LOG\",\"log\":{{}}}}\n{{\"type\":\"STATE\",\"state\":{{\"type\":\"STREAM\",\"stream\":{{{descriptor},\"stream_state\":{{}}}}}}}}\n\
                     {{\"type\":\"RECORD\",\"record\":{{}}}}\n{{\"type\":\"STATE\",\"state\":{{\"type\":\"STREAM\",\"stream\":{{{descriptor},\"stream_state\":{at}}}}}}}\n"
                ),
            ),
        ] {
            let states = parse(text.as_bytes()).unwrap();
            assert_eq!(states.len(), 1, "{what}");
            assert_eq!((states[0].name.as_str(), states[0].state.to_string()), ("orders", at.to_owned()), "{what}");
        }
    }

    #[test]
    fn nothing_is_no_state() {
        for text in [
            "",
            "  \n",
            "null",
            "{}",
            "[]",
            "[null]",
            "\u{feff}[]",
            r#"[{"type":"STREAM","stream":{"stream_descriptor":{"name":"x"}}}]"#,
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap(), [], "{text:?}");
        }
    }

    #[test]
    fn what_has_no_meaning_is_refused() {
        for text in [
            "5",
            "[5]",
            "{\"orders\":5}",
            "{",
            "x",
            r#"{"type":"STREAM"}"#,
            r#"[{"stream":{"stream_state":{}}}]"#,
            r#"{"data":3}"#,
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
