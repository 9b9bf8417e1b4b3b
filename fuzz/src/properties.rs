//! Properties that are true for every input: one function for each fuzz target, which panics if the property is broken.
//!
//! The inputs are parsed a second time here with `serde_json` and `chrono`, in the simplest
//! way, and the results are compared. The connector's implementation is not used for the expected result.

#[path = "known_ids.rs"]
mod known_ids;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use chrono::DateTime;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use source_cart::airbyte::message::{record_prefix, state_line};
use source_cart::airbyte::{catalog, state};
use source_cart::cart::PageError;
use source_cart::cart::rate_limiter::CallLimit;
use source_cart::http::body::BodyError;
use source_cart::http::retry::retry_after as wait_of;
use source_cart::record::{CursorValue, Key, RecordSchema};
use source_cart::streams::{CURSOR, STREAMS, Stream};
use source_cart::sync::fuzzing;
use source_cart::timestamp::{Timestamp, Unreadable};

pub use known_ids::known_ids;

/// Panics unless the text is short and has no control characters, as a message needs.
fn assert_printable(text: &str) {
    assert!(!text.chars().any(char::is_control), "control characters in {text:?}");
    // The longest lists all streams that have nested collections.
    assert!(text.chars().count() <= 1000, "too long: {text:?}");
}

/// A config file: any text gives a configuration, or messages without the secrets in it.
pub fn config(input: &[u8]) {
    let outcome = fuzzing::config(input);
    let value: Option<Value> =
        std::str::from_utf8(input).ok().and_then(|text| serde_json::from_str(text.trim_start_matches('\u{feff}')).ok());
    match outcome {
        Ok(secrets) => {
            let value = value.expect("a config that is used is JSON");
            let written = ["access_token", "user_secret"].map(|name| value["credentials"][name].to_string());
            // Values from the environment are not in the text.
            let filled = written.iter().any(|text| text.contains("${"));
            for secret in secrets {
                let secret = secret.expose();
                assert!(!secret.trim().is_empty(), "{secret:?}");
                // A token is sent in a header; the router's secret may have any characters.
                let is_sent = value["credentials"]["auth_type"] == "SINGLE_STORE_ACCESS_TOKEN";
                assert!(!is_sent || !secret.contains(|c: char| c.is_control()), "{secret:?}");
                let text = json!(secret).to_string();
                // Without its quotes: white space around a token is trimmed.
                let text = &text[1..text.len() - 1];
                assert!(filled || written.iter().any(|written| written.contains(text)), "{secret:?}");
            }
        }
        Err(sentences) => {
            assert!(!sentences.is_empty(), "a config is refused without a word");
            sentences.iter().for_each(|sentence| assert_printable(sentence));
            let Some(value) = value else { return };
            for name in ["access_token", "user_secret"] {
                let Some(secret) = value["credentials"][name].as_str() else { continue };
                // Without its quotes, and the white space that is trimmed.
                let secret = secret.trim();
                let text = json!(secret).to_string();
                // A secret that is also the name of a field is not secret, a short one may be part of a word, and one
                // with a backtick may end in that of the message.
                let named = value.to_string().contains(&format!("{}\":", &text[..text.len() - 1]));
                let odd = named || secret.contains("${") || secret.contains('`');
                if secret.len() >= 8 && !odd && !KNOWN.contains(secret) {
                    assert!(!sentences.iter().any(|sentence| sentence.contains(secret)), "{secret:?} is shown");
                }
            }
        }
    }
}

/// Words that the messages about a config contain, so that a secret made of them reveals nothing.
const KNOWN: &str = "credentials access_token store_name user_name user_secret site_id auth_type start_date end_date \
    SINGLE_STORE_ACCESS_TOKEN CENTRAL_API_ROUTER mystore.americommerce.com characters HTTP header provisioning";

/// A catalog file: any text gives its streams, in order, or an error.
pub fn catalog(input: &[u8]) {
    let text = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    match catalog::parse(input) {
        Ok(catalog) => {
            // A file that is not UTF-8 is refused before.
            let Ok(valid) = std::str::from_utf8(text) else { return };
            let mut raw = serde_json::Deserializer::from_str(valid).into_iter::<&RawValue>();
            assert!(raw.all(|document| document.is_ok()), "a catalog that is used is JSON");
            // Parts that are not parsed may have half of a surrogate pair, which a full parser refuses.
            let documents = serde_json::Deserializer::from_slice(text).into_iter::<Value>();
            let Ok(documents) = documents.collect::<Result<Vec<Value>, _>>() else { return };
            let [one] = documents.as_slice() else { return };
            let listed = one.pointer("/catalog/streams").or(one.get("streams"));
            // Serde accepts a list of the values in their order for an object.
            let Some(listed) = listed.and_then(Value::as_array) else { return };
            assert_eq!(listed.len(), catalog.streams.len());
            for (entry, stream) in listed.iter().zip(&catalog.streams).filter(|(entry, _)| entry.is_object()) {
                // A key that occurs twice is refused, so the last one is the only one.
                let name = entry.pointer("/stream/name").or(entry.get("name")).and_then(Value::as_str);
                assert!(name.is_none_or(|name| name == stream.stream.name), "{entry}");
            }
        }
        Err(error) => assert_printable(&error.to_string()),
    }
}

/// A state file: any text gives states that mean the same after they are written and read again.
pub fn state(input: &[u8]) {
    let states = match state::parse(input.to_vec()) {
        Ok(states) => states.list,
        Err(error) => return assert_printable(&error.to_string()),
    };
    let mut names: Vec<&str> = states.iter().map(|state| state.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), states.len(), "a stream has two states");
    for given in &states {
        // Text that no other JSON parser accepts, such as half a surrogate pair, may pass in a part that is not parsed.
        let Ok(value) = serde_json::from_str(&given.state) else { continue };
        let out = match fuzzing::state(&value) {
            Ok(out) => out,
            Err(fault) => {
                assert_printable(&fault);
                continue;
            }
        };
        assert_eq!(fuzzing::state(&out).as_ref(), Ok(&out), "from {}", given.state);
        let raw = RawValue::from_string(out.to_string()).expect("a state is JSON");
        let line = state_line(&given.name, &raw, 7);
        assert!(line.ends_with(b"\n") && !line[..line.len() - 1].contains(&b'\n'));
        let back = state::parse(line).expect("a STATE line is a state file").list;
        assert_eq!(back.len(), 1);
        assert_eq!((&back[0].name, &*back[0].state), (&given.name, raw.get()));
    }
}

/// A `Retry-After`, and on a second line a `Date`: at most a minute, and for a date, the difference.
pub fn retry_after(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (value, date) = text.split_once('\n').map_or((text, None), |(value, date)| (value, Some(date)));
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    let wait = wait_of(value, date, now);
    // A hundred years, in seconds, and never more.
    let most = 3_162_240_000;
    assert!(wait.is_none_or(|wait| wait <= Duration::from_secs(most)), "{wait:?}");
    if let Ok(seconds) = value.trim().parse::<u64>() {
        assert_eq!(wait, Some(Duration::from_secs(seconds.min(most))));
    }
    let moment = |text: &str| {
        let time = DateTime::parse_from_rfc2822(text).ok().filter(|_| text.is_ascii() && text.ends_with(" GMT"))?;
        // Both parsers agree on the one form that a server should send.
        let canonical = time.format("%a, %d %b %Y %H:%M:%S GMT").to_string() == text && !text.contains(":60 ");
        canonical.then(|| time.timestamp()).filter(|seconds| *seconds >= 0)
    };
    let now = date.map_or(Some(1_600_000_000), |date| moment(date.trim()));
    if let (Some(until), Some(now)) = (moment(value.trim()), now) {
        let expected = u64::try_from(until - now).unwrap_or(0).min(most);
        assert_eq!(wait, Some(Duration::from_secs(expected)), "{value} after {date:?}");
    }
}

/// An `X-AC-Call-Limit`: two numbers that are safe for arithmetic, or nothing.
pub fn call_limit(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let read = CallLimit::parse(text);
    let mut parts = text.split('/').map(|part| part.trim().parse::<u32>().ok());
    let plain = match (parts.next(), parts.next(), parts.next()) {
        (Some(Some(made)), Some(Some(allowed)), None) => Some((made, allowed)),
        _ => None,
    };
    match (read, plain) {
        (Some(read), Some(plain)) => assert_eq!((read.used, read.allowed), plain),
        (None, Some((_, allowed))) => assert!(allowed == 0 || allowed > 1_000_000, "{text:?} is refused"),
        (Some(_), None) => panic!("{text:?} is no pair of numbers"),
        (None, None) => {}
    }
    if let Some(read) = read {
        assert!(read.allowed > 0);
    }
}

/// A date: parsed to the same time as by `chrono`, and equal after writing and parsing again.
pub fn timestamp(input: &[u8]) {
    let read = Timestamp::parse(input);
    let peer = std::str::from_utf8(input).ok().filter(|text| text.is_ascii()).and_then(peer_instant);
    match (read, peer) {
        (Ok(read), Some(peer)) => assert_eq!(i128::from(read.ticks()), peer, "{}", String::from_utf8_lossy(input)),
        (Ok(_), None) => panic!("{:?} is not a date", String::from_utf8_lossy(input)),
        (Err(fault), Some(peer)) => {
            assert!(!is_writable(peer), "{:?} is refused: {fault:?}", String::from_utf8_lossy(input));
        }
        (Err(_), None) => {}
    }
    if let Ok(read) = read {
        let text = read.to_string();
        assert_eq!(Timestamp::parse(text.as_bytes()), Ok(read), "{text}");
        assert_eq!(Timestamp::parse_earliest(input), Ok(read));
        let earlier = read.minus_seconds(120);
        assert!((0..=1_200_000_000).contains(&(read.ticks() - earlier.ticks())), "{text}");
        assert_eq!(Timestamp::parse(earlier.to_string().as_bytes()), Ok(earlier), "{earlier}");
    }
    if read == Err(Unreadable::NoOffset)
        && let Ok(earliest) = Timestamp::parse_earliest(input)
    {
        let text = earliest.to_string();
        assert_eq!(Timestamp::parse(text.as_bytes()), Ok(earliest), "{text}");
    }
}

/// Returns the ticks of 100 ns since 1970 according to `chrono`, which ignores leap seconds and smaller units.
fn peer_instant(text: &str) -> Option<i128> {
    // `+0530` is not RFC 3339, and is accepted anyway.
    let bytes = text.as_bytes();
    let text = match bytes.len().checked_sub(5).map(|at| bytes[at]) {
        Some(b'+' | b'-') if !text[text.len() - 5..].contains(':') && text.contains(':') => {
            format!("{}:{}", &text[..text.len() - 2], &text[text.len() - 2..])
        }
        _ => text.to_owned(),
    };
    let fraction = text.split('.').nth(1).unwrap_or_default();
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    if text.get(17..19) == Some("60") || fraction[..digits].bytes().skip(7).any(|digit| digit != b'0') {
        return None;
    }
    let time = DateTime::parse_from_rfc3339(&text).ok()?;
    Some(i128::from(time.timestamp()) * 10_000_000 + i128::from(time.timestamp_subsec_nanos() / 100))
}

/// Returns true if a time has a year of four digits in UTC.
fn is_writable(ticks: i128) -> bool {
    // 0000-01-01T00:00:00Z and 10000-01-01T00:00:00Z.
    (-621_672_192_000_000_000..2_534_023_008_000_000_000).contains(&ticks)
}

/// A stream, and the options of its records.
struct Setting {
    stream: &'static Stream,
    properties: Value,
    record_schema: Arc<RecordSchema>,
    redacted: bool,
    expanded: bool,
}

/// The streams that differ in their rows: wide ones, rows without dates, a key of another
/// name, collections in lists and single ones.
const NAMES: [&str; 5] = ["orders", "products", "order_statuses", "customer_association", "subscriptions"];

fn settings() -> &'static [Setting] {
    static SETTINGS: OnceLock<Vec<Setting>> = OnceLock::new();
    SETTINGS.get_or_init(|| {
        let mut settings = Vec::new();
        for (redacted, expanded) in [(false, false), (true, false), (false, true), (true, true)] {
            for name in NAMES {
                let stream = STREAMS.iter().find(|stream| stream.name == name).expect("a stream of the table");
                let collections = (stream.fields)().collections.iter().map(|collection| &collection.name);
                let expand: Vec<String> = match (expanded, stream.uses_lookups) {
                    (false, _) => Vec::new(),
                    (true, true) => vec![format!("{name}.lookups")],
                    (true, false) => collections.map(|collection| format!("{name}.{collection}")).collect(),
                };
                let config = json!({"expand": expand, "redact_sensitive_fields": redacted});
                let record_options = fuzzing::record_options(&config);
                let (schema, record_schema) = fuzzing::records(&record_options, stream);
                let properties = schema["properties"].clone();
                settings.push(Setting {
                    stream,
                    properties,
                    record_schema: Arc::new(record_schema),
                    redacted,
                    expanded,
                });
            }
        }
        settings
    })
}

/// A response of the store, after a byte for the setting and one for the size of its parts:
/// with any parts it is parsed the same, and each record becomes one line with the same meaning.
pub fn page(input: &[u8]) {
    let [setting, size, body @ ..] = input else { return };
    let setting = &settings()[usize::from(setting.wrapping_sub(b'0')) % settings().len()];
    let size = usize::from(size.wrapping_sub(b'0')) % 75 + 1;
    let names = [setting.stream.list, setting.stream.name];
    let prefix = record_prefix(setting.stream.name);
    let complete = fuzzing::page(std::iter::once(body), &names, &prefix, &setting.record_schema);
    let parts = fuzzing::page(body.chunks(size), &names, &prefix, &setting.record_schema);
    match (&complete, &parts) {
        (Ok(complete), Ok(parts)) => assert_eq!(complete, parts, "in parts of {size}"),
        // Which of several errors is found first may differ.
        (Err(_), Err(_)) => {}
        _ => panic!("in one part {complete:?}, in parts of {size} {parts:?}"),
    }
    let records = match (found(body, &names), &complete) {
        (Found::NotJson, complete) => return assert!(complete.is_err(), "not JSON, and read: {complete:?}"),
        (Found::Deep, _) => return,
        (Found::NoList, complete) => return assert!(matches!(complete, Err(PageError::NoList(_))), "{complete:?}"),
        (Found::Empty, complete) => {
            let rows = complete.as_ref().map(|page| page.rows.len());
            return assert!(matches!(rows, Ok(0) | Err(PageError::NoList(_))), "{complete:?}");
        }
        (Found::Lists, complete) => {
            return assert!(
                matches!(complete, Err(PageError::TwoLists | PageError::Body(BodyError::NotAnObject))),
                "{complete:?}"
            );
        }
        (Found::List(records), complete) if records.iter().any(|record| !record.get().starts_with('{')) => {
            return assert_eq!(complete, &Err(PageError::Body(BodyError::NotAnObject)));
        }
        (Found::List(records), _) => records,
    };
    let page = complete.expect("a list of objects is read");
    // A row without a key is left out, since it could not be distinguished from another.
    let has_key = |record: &&RawValue| {
        let stored = pairs(record.get()).expect("an object");
        stored
            .iter()
            .rev()
            .find(|(name, _)| is_name(name, setting.stream.key()))
            .is_some_and(|(_, value)| value.get() != "null")
    };
    let records: Vec<&RawValue> = records.into_iter().filter(has_key).collect();
    assert_eq!(page.rows.len(), records.len());
    assert!(page.lines.is_empty() || page.lines.ends_with(b"\n"));
    let text = std::str::from_utf8(&page.lines).expect("lines are UTF-8");
    assert_eq!(text.lines().count(), records.len());
    for ((line, record), (key, updated)) in text.split_terminator('\n').zip(&records).zip(&page.rows) {
        serde_json::from_str::<&RawValue>(line).expect("a line is JSON");
        let data = line.as_bytes().strip_prefix(prefix.as_slice()).and_then(|rest| rest.strip_suffix(b"}}"));
        let data = std::str::from_utf8(data.expect("a line is a RECORD")).expect("UTF-8");
        let stored = pairs(record.get()).expect("an object");
        assert_record(&stored, data, &setting.properties, setting, false);
        assert_record_meta(&stored, *key, *updated, setting.stream);
    }
}

/// The result of a simple parser for a body.
enum Found<'b> {
    NotJson,
    /// JSON, but nested so deeply that it may be refused.
    Deep,
    NoList,
    /// No list and no array at all, but a count.
    Empty,
    /// Several lists, so the right one is uncertain.
    Lists,
    List(Vec<&'b RawValue>),
}

fn found<'b>(body: &'b [u8], names: &[&str]) -> Found<'b> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let Ok(text) = std::str::from_utf8(body) else { return Found::NotJson };
    if serde_json::from_str::<&RawValue>(text).is_err() {
        return Found::NotJson;
    }
    if depth(text) > 100 {
        return Found::Deep;
    }
    let Some(fields) = pairs(text) else { return Found::NoList };
    let arrays: Vec<&(&str, &RawValue)> = fields.iter().filter(|(_, value)| value.get().starts_with('[')).collect();
    if arrays.iter().filter(|(name, _)| names.contains(name)).count() > 1 {
        return Found::Lists;
    }
    let list = match (arrays.iter().find(|(name, _)| names.contains(name)), arrays.as_slice()) {
        (Some((_, list)), _) | (None, [(_, list)]) => list,
        (None, []) if fields.iter().any(|(name, _)| name.starts_with("total")) => return Found::Empty,
        _ => return Found::NoList,
    };
    Found::List(serde_json::from_str(list.get()).expect("an array"))
}

/// Returns the nesting depth of arrays and objects in JSON.
fn depth(text: &str) -> usize {
    let (mut depth, mut most, mut quoted, mut escaped) = (0usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                most = most.max(depth);
            }
            b']' | b'}' if !quoted => depth -= 1,
            _ => {}
        }
    }
    most
}

/// Returns JSON without the white space outside its strings.
fn compact(text: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    let keep = |character: &char| {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ' ' | '\t' | '\r' | '\n' if !quoted => return false,
            _ => {}
        }
        true
    };
    text.chars().filter(keep).collect()
}

/// Returns true if an escaped name is this name.
fn is_name(written: &str, name: &str) -> bool {
    serde_json::from_str::<String>(&format!("\"{written}\"")).is_ok_and(|written| written == name)
}

/// Returns the fields of an object in order, also repeated ones: escaped names and raw values.
fn pairs(text: &str) -> Option<Vec<(&str, &RawValue)>> {
    struct Pairs<'t>(Vec<(&'t str, &'t RawValue)>);
    struct Collect;
    impl<'t> Visitor<'t> for Collect {
        type Value = Pairs<'t>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<M: MapAccess<'t>>(self, mut map: M) -> Result<Pairs<'t>, M::Error> {
            let mut pairs = Vec::new();
            while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                let name = name.get();
                pairs.push((&name[1..name.len() - 1], value));
            }
            Ok(Pairs(pairs))
        }
    }
    impl<'t> Deserialize<'t> for Pairs<'t> {
        fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_map(Collect)
        }
    }
    serde_json::from_str::<Pairs<'_>>(text).ok().map(|pairs| pairs.0)
}

/// Checks a record: each field is in its position, with its name, and with its value unchanged or
/// converted to the schema in one of the documented ways.
fn assert_record(stored: &[(&str, &RawValue)], sent: &str, properties: &Value, setting: &Setting, inside: bool) {
    let sent = pairs(sent).unwrap_or_else(|| panic!("no object: {sent}"));
    assert_eq!(stored.len(), sent.len(), "{stored:?} and {sent:?}");
    for ((name, stored), (sent_name, sent)) in stored.iter().zip(&sent) {
        assert_eq!(repaired(name), *sent_name);
        let (stored, sent, name) = (stored.get(), sent.get(), plain(name));
        let property = &properties[&name];
        let fields = (setting.stream.fields)();
        let sensitive = fields.sensitive.contains(&name);
        // Which fields inside a collection are sensitive is not told here, only that they may be emptied.
        if setting.redacted && sent == "null" && (inside || sensitive) {
            continue;
        }
        assert!(inside || !setting.redacted || !sensitive, "{name} is sensitive and goes out as {sent}");
        let collection =
            !inside && setting.expanded && fields.collections.iter().any(|collection| collection.name == name);
        if collection && stored.starts_with(['[', '{']) {
            let inner = property.get("items").unwrap_or(property);
            assert_collection(stored, sent, &inner["properties"], setting);
        } else {
            assert_value(stored, sent, property);
        }
    }
}

fn assert_collection(stored: &str, sent: &str, properties: &Value, setting: &Setting) {
    if let Some(fields) = pairs(stored) {
        return assert_record(&fields, sent, properties, setting, true);
    }
    let list = |text| serde_json::from_str::<Vec<&RawValue>>(text).expect("an array");
    let (stored, sent) = (list(stored), list(sent));
    assert_eq!(stored.len(), sent.len());
    for (stored, sent) in stored.iter().zip(sent) {
        match pairs(stored.get()) {
            Some(fields) => assert_record(&fields, sent.get(), properties, setting, true),
            None => assert_eq!(repaired(&compact(stored.get())), sent.get()),
        }
    }
}

/// Checks that a value is unchanged or converted.
fn assert_value(stored: &str, sent: &str, property: &Value) {
    let kinds: Vec<&str> = match &property["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    let declares = |kind: &str| kinds.contains(&kind);
    let is_date = property["format"] == "date-time";
    let number = declares("number") || declares("integer");
    if !stored.starts_with('"') || kinds.is_empty() || (declares("string") && !is_date) {
        return assert_eq!(repaired(&compact(stored)), sent);
    }
    let text = &stored[1..stored.len() - 1];
    if text.is_empty() && declares("null") && (is_date || number) {
        return assert_eq!(sent, "null");
    }
    if is_date {
        if stands_for_none(text) && declares("null") {
            return assert_eq!(sent, "null");
        }
        // The target `timestamp` checks that the time is right.
        let expected = Timestamp::parse(text.as_bytes()).map(|instant| format!("\"{instant}\""));
        return assert_eq!(expected.unwrap_or_else(|_| repaired(stored)), sent);
    }
    let is_number = text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && serde_json::from_str::<&RawValue>(text).is_ok_and(|raw| raw.get() == text);
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    let is_whole = !text.contains(['e', 'E']) && fraction.bytes().all(|digit| digit == b'0');
    let fitted = number && is_number && (declares("number") || is_whole);
    assert_eq!(if fitted { text.to_owned() } else { repaired(stored) }, sent);
}

/// Returns true if a string is a placeholder date in every date field.
fn stands_for_none(text: &str) -> bool {
    let is_early = text.starts_with("0000-") || text.starts_with("0001-");
    let years_2_to_9999 = -621_040_608_000_000_000..2_534_023_008_000_000_000;
    let peer = Some(text).filter(|text| text.is_ascii()).and_then(peer_instant);
    let is_outside = peer.is_some_and(|ticks| !years_2_to_9999.contains(&ticks));
    text == "-" || text.eq_ignore_ascii_case("n/a") || (is_early && looks_like_a_date(text)) || is_outside
}

/// Returns true if a string is a placeholder for the time of a change.
fn is_no_change(text: &str) -> bool {
    let clock = text.get(11..).unwrap_or_default();
    let clock = clock.split_once(['+', '-', 'Z', 'z']).map_or(clock, |(clock, _)| clock);
    let is_first = text.starts_with("1753-01-01")
        || (text.starts_with("1900-01-01") && !clock.contains(|digit: char| ('1'..='9').contains(&digit)));
    stands_for_none(text) || (is_first && looks_like_a_date(text))
}

fn looks_like_a_date(text: &str) -> bool {
    let day: String = text.chars().take(10).map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    let mut rest = text.chars().skip(10);
    let is_parted = matches!(rest.next(), None | Some('T' | 't' | ' '));
    day == "9999-99-99" && is_parted && rest.all(|c| c.is_ascii_digit() || ":.+-Zz".contains(c))
}

/// Returns a field's name without its escapes.
fn plain(name: &str) -> String {
    serde_json::from_str(&format!("\"{name}\"")).unwrap_or_else(|_| name.to_owned())
}

/// Returns JSON with U+FFFD in place of each escape that is half of a surrogate pair.
fn repaired(text: &str) -> String {
    let code = |at: usize| {
        let escape = text.get(at..at + 6).filter(|escape| escape.starts_with("\\u"))?;
        u32::from_str_radix(&escape[2..], 16).ok()
    };
    let (mut repaired, mut at) = (String::new(), 0);
    while let Some(character) = text[at..].chars().next() {
        let length = match (character, code(at), code(at + 6)) {
            ('\\', Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => 12,
            ('\\', Some(0xd800..0xe000), _) => {
                repaired.push_str("\\ufffd");
                at += 6;
                continue;
            }
            ('\\', Some(_), _) => 6,
            ('\\', None, _) => 2,
            _ => character.len_utf8(),
        };
        repaired.push_str(&text[at..at + length]);
        at += length;
    }
    repaired
}

/// Checks that the key and the date are those of the record; of a repeated field, the last one.
fn assert_record_meta(stored: &[(&str, &RawValue)], key: Key, updated: CursorValue, stream: &Stream) {
    let last = |name: &str| stored.iter().rev().find(|(field, _)| plain(field) == name).map(|(_, value)| value.get());
    match last(stream.key()) {
        // Such a row is distinguished by its content.
        None | Some("null") => assert!(matches!(key, Key::Other(_)), "{key:?}"),
        // `1.00` is `1`, written in another way.
        Some(text) => {
            match serde_json::from_str::<i64>(text.split_once(".0").map_or(text, |(complete, zeros)| {
                if zeros.bytes().all(|digit| digit == b'0') { complete } else { text }
            })) {
                Ok(number) => assert_eq!(key, Key::Number(number)),
                Err(_) => assert_ne!(key, Key::Missing),
            }
        }
    }
    let expected = match last(CURSOR).filter(|_| stream.has_updated_at) {
        None | Some("null" | "\"\"") => CursorValue::Missing,
        Some(text) if text.starts_with('"') && is_no_change(&text[1..text.len() - 1]) => CursorValue::Missing,
        Some(text) if text.starts_with('"') => {
            Timestamp::parse(&text.as_bytes()[1..text.len() - 1]).map_or(CursorValue::Invalid, CursorValue::At)
        }
        Some(_) => CursorValue::Invalid,
    };
    assert_eq!(updated, expected);
}
