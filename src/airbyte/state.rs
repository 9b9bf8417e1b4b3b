//! State files: every form that platforms, launchers and people write becomes a list of streams and their states. A
//! state is kept as text, so that a large one takes no more than twice its size in memory. `sync` interprets it.

use std::fmt;
use std::sync::Arc;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::input_error::NotJson;
use crate::json;

/// Maximum nesting of lists and messages. A state file has one level, and some launchers add another.
const MAX_NESTING: usize = 8;

/// Maximum members of an object, and streams of a file: a store has 70 streams.
const MAX_MEMBERS: usize = 10_000;

/// The state of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredState {
    /// The stream.
    pub name: String,
    /// A JSON object on one line.
    pub state: Arc<str>,
}

/// The content of a state file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct States {
    /// The last state of each stream.
    pub list: Vec<StoredState>,
    /// True if there are messages other than STATE, such as records.
    pub has_other_messages: bool,
}

/// The reason why a file is not a state file. Its message is a clause. It shows no values of the file, which may be
/// another file, with a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// It is not JSON.
    #[error(transparent)]
    NotJson(#[from] NotJson),
    /// Lists or messages are nested more than 8 levels deep.
    #[error("it is nested too deeply")]
    TooDeep,
    /// A value other than an object or a list; contains its type.
    #[error("expected states, found {0}")]
    NotStates(&'static str),
    /// `data` is not an object; contains its type.
    #[error("expected an object at `data`, found {0}")]
    DataNotAnObject(&'static str),
    /// A state has a type, but no content.
    #[error("a state with a `type`, but without `stream`, `global` or `data`")]
    NoContent,
    /// A state of a stream without the stream's name.
    #[error("a state without `stream_descriptor.name`")]
    NoName,
    /// The state of a stream is not an object.
    #[error("expected the state of `{stream}` to be an object, found {found}")]
    NotAnObject {
        /// The stream's name, cut to one short line.
        stream: String,
        /// The type of its state.
        found: &'static str,
    },
    /// There are too many streams.
    #[error("more than {} streams", MAX_MEMBERS)]
    TooManyStreams,
    /// An object has too many members, or a name that is not a valid string.
    #[error("an object with a name that is not valid, or more than {}", MAX_MEMBERS)]
    BadMembers,
}

/// Parses a state file. If a stream has several states, the last one is used. A file without a state gives an empty
/// list.
///
/// Accepted: an empty file, `null`, `{}`, `[]`; a list of STREAM or GLOBAL states, with or without `type`
/// and with any further keys; a LEGACY state; `{"orders": {…}}`; `{stream_descriptor,
/// stream_state}`; one message; a file of messages, one per line. A superfluous comma, as it remains when a line is
/// deleted, is ignored.
///
/// # Errors
/// [`StateError`] if the file is none of these.
pub fn parse(mut text: Vec<u8>) -> Result<States, StateError> {
    blank_stray_commas(&mut text);
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    let mut states = States::default();
    for document in serde_json::Deserializer::from_slice(text).into_iter::<&RawValue>() {
        collect(document.map_err(NotJson::from)?, MAX_NESTING, &mut states)?;
    }
    Ok(states)
}

/// Replaces superfluous commas with spaces: before a closing bracket, after an opening one or another
/// comma, and between documents.
fn blank_stray_commas(text: &mut [u8]) {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    // The last byte that was not white space, and its index.
    let mut last = (b' ', 0);
    for at in 0..text.len() {
        let Some(&byte) = text.get(at) else { return };
        if in_string {
            (in_string, escaped) = (escaped || byte != b'"', !escaped && byte == b'\\');
            continue;
        }
        let stray = match byte {
            b' ' | b'\t' | b'\r' | b'\n' => continue,
            b',' if depth == 0 || matches!(last.0, b',' | b'[' | b'{') => Some(at),
            b']' | b'}' if last.0 == b',' => Some(last.1),
            _ => None,
        };
        if let Some(slot) = stray.and_then(|stray| text.get_mut(stray)) {
            *slot = b' ';
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if stray != Some(at) {
            last = (byte, at);
        }
    }
}

fn collect(document: &RawValue, depth: usize, states: &mut States) -> Result<(), StateError> {
    match document.get().as_bytes().first() {
        Some(b'n') => Ok(()),
        Some(b'[') if depth == 0 => Err(StateError::TooDeep),
        Some(b'[') => each(document, |item| collect(item, depth - 1, states)),
        Some(b'{') => from_object(document, depth, states),
        _ => Err(StateError::NotStates(json_type_of(document.get()))),
    }
}

fn from_object(object: &RawValue, depth: usize, states: &mut States) -> Result<(), StateError> {
    let members = Members::of(object)?;
    let kind = members.text("type");
    match kind.as_deref() {
        // A message as it was on stdout; it contains the state.
        Some("STATE") if depth == 0 => return Err(StateError::TooDeep),
        Some("STATE") => return members.get("state").map_or(Ok(()), |state| collect(state, depth - 1, states)),
        Some("RECORD" | "LOG" | "TRACE" | "CATALOG" | "SPEC" | "CONNECTION_STATUS" | "CONTROL") => {
            states.has_other_messages = true;
            return Ok(());
        }
        _ => {}
    }
    if members.get("stream_descriptor").is_some() {
        return from_stream(&members, states);
    }
    if let Some(stream) = members.get("stream").filter(|stream| is_object(stream)) {
        return from_stream(&Members::of(stream)?, states);
    }
    if let Some(global) = members.get("global").filter(|global| is_object(global)) {
        let list = Members::of(global)?.get("stream_states");
        return match list {
            Some(_) if depth == 0 => Err(StateError::TooDeep),
            Some(list) => collect(list, depth - 1, states),
            None => Ok(()),
        };
    }
    match members.get("data") {
        Some(data) if is_object(data) => return from_map(&Members::of(data)?, states),
        Some(other) if other.get() != "null" => {
            return Err(StateError::DataNotAnObject(json_type_of(other.get())));
        }
        _ => {}
    }
    if kind.is_some() {
        return Err(StateError::NoContent);
    }
    from_map(&members, states)
}

fn from_stream(stream: &Members<'_>, states: &mut States) -> Result<(), StateError> {
    let descriptor = stream.get("stream_descriptor").filter(|descriptor| is_object(descriptor));
    let name = descriptor.map(Members::of).transpose()?.and_then(|descriptor| descriptor.text("name"));
    let Some(name) = name else {
        return Err(StateError::NoName);
    };
    put(states, name, stream.get("stream_state"))
}

/// Reads the old form: stream names as keys, states as values.
fn from_map(map: &Members<'_>, states: &mut States) -> Result<(), StateError> {
    // If there is a member `data` here, it is null.
    let streams = map.0.iter().filter(|(name, state)| name != "data" || state.get() != "null");
    streams.into_iter().try_for_each(|(name, state)| put(states, name.clone(), Some(state)))
}

fn put(states: &mut States, name: String, state: Option<&RawValue>) -> Result<(), StateError> {
    let state = state.map(RawValue::get).filter(|&state| state != "null");
    if let Some(state) = state
        && !state.starts_with('{')
    {
        return Err(StateError::NotAnObject { stream: printable(&name), found: json_type_of(state) });
    }
    states.list.retain(|known| known.name != name);
    if states.list.len() >= MAX_MEMBERS {
        return Err(StateError::TooManyStreams);
    }
    if let Some(state) = state {
        states.list.push(StoredState { name, state: on_one_line(state) });
    }
    Ok(())
}

/// Returns a JSON text without line breaks.
fn on_one_line(text: &str) -> Arc<str> {
    if !text.contains(['\n', '\r']) {
        return text.into();
    }
    let mut compact = Vec::with_capacity(text.len());
    json::write_compact(text.as_bytes(), &mut compact);
    String::from_utf8(compact).map_or_else(|_| text.into(), Into::into)
}

fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}

/// Returns the type of a JSON text with its article. Its value is not shown: it may be the wrong file, with a secret.
fn json_type_of(text: &str) -> &'static str {
    match text.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// Returns a string of the file cut to one short line, for a message.
fn printable(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(40).collect()
}

/// The members of an object as text. If a name occurs twice, the last one is used.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    fn of(object: &'a RawValue) -> Result<Self, StateError> {
        let mut reader = serde_json::Deserializer::from_str(object.get());
        reader.deserialize_map(MembersVisitor).map_err(|_| StateError::BadMembers)
    }

    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rfind(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// Returns a member that is a string.
    fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry::<String, &RawValue>()? {
            if members.len() >= MAX_MEMBERS {
                return Err(A::Error::custom("too many"));
            }
            members.push(member);
        }
        Ok(Members(members))
    }
}

/// Passes each item of a list to `item`, one at a time.
///
/// # Errors
/// The first error of `item`.
fn each(list: &RawValue, item: impl FnMut(&RawValue) -> Result<(), StateError>) -> Result<(), StateError> {
    let mut items = Items { item, fault: None };
    let read = (&mut items).deserialize(&mut serde_json::Deserializer::from_str(list.get()));
    match (items.fault, read) {
        (Some(fault), _) => Err(fault),
        (None, read) => Ok(read.map_err(NotJson::from)?),
    }
}

struct Items<F> {
    item: F,
    fault: Option<StateError>,
}

impl<'de, F: FnMut(&RawValue) -> Result<(), StateError>> DeserializeSeed<'de> for &mut Items<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(&RawValue) -> Result<(), StateError>> Visitor<'de> for &mut Items<F> {
    type Value = ();

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(item) = list.next_element::<&RawValue>()? {
            if let Err(fault) = (self.item)(item) {
                self.fault = Some(fault);
                return Err(A::Error::custom("an item"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
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
            let states = parse(text.into_bytes()).unwrap().list;
            assert_eq!(states.len(), 1, "{what}");
            assert_eq!((states[0].name.as_str(), &*states[0].state), ("orders", at), "{what}");
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
            assert_eq!(parse(text.into()).unwrap(), States::default(), "{text:?}");
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
            assert!(parse(text.into()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_comma_that_is_left_does_not_matter() {
        let line = |name: &str| {
            format!(r#"{{"stream":{{"stream_descriptor":{{"name":"{name}"}},"stream_state":{{"a":",]\\\",}}"}}}}}}"#)
        };
        let (one, two) = (line("orders"), line("pages"));
        let whole = parse(format!("[\n{one},\n{two}\n]\n").into_bytes()).unwrap();
        assert_eq!(whole.list.len(), 2);
        for text in [
            format!("[\n{one},\n{two},\n]\n"),
            format!("[\n,{one},\n,\n{two} ,, ]"),
            format!("{one},\n{two},\n"),
            format!("{{\"states\":1,}}\n[{one},{two}]").replace("{\"states\":1,}", "[,]"),
        ] {
            assert_eq!(parse(text.clone().into_bytes()).as_ref(), Ok(&whole), "{text}");
        }
        assert!(parse(format!("[{one} {two}]").into_bytes()).is_err(), "a comma that lacks is another matter");
    }

    #[test]
    fn other_messages_are_not_states_and_are_recognised() {
        let states = parse(br#"{"type":"RECORD","record":{}}{"type":"LOG","log":{}}"#.to_vec()).unwrap();
        assert_eq!(states, States { list: Vec::new(), has_other_messages: true });
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(parse(deep.into_bytes()).is_err());
        let states: Vec<String> = (0..=MAX_MEMBERS).map(|name| format!("{{\"{name}\":{{}}}}")).collect();
        assert!(parse(states.concat().into_bytes()).is_err());
    }

    #[test]
    fn a_state_of_several_lines_is_kept_on_one() {
        let states =
            parse(b"{\"orders\": {\n  \"updated_at\": \"x\\n y\",\r\n \"a\": [ 1, 2.50 ] }}".to_vec()).unwrap();
        assert_eq!(&*states.list[0].state, r#"{"updated_at":"x\n y","a":[1,2.50]}"#);
    }
}
