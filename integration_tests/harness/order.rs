//! The rules for the output of a complete `read`, for any streams.
//!
//! The platform reports few violations as an error. Most violations would lose records or hide a failure.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use chrono::{NaiveDate, NaiveTime};
use serde_json::Value;

use super::message::Message;
use super::run::Run;
use super::shop::Shop;

/// Panics if a run that was not interrupted violates a rule.
pub(crate) fn assert_read_is_well_formed(run: &Run, catalog: &Value) {
    ReadCheck::new(run, catalog).assert();
}

/// Checks a run against the rules, with the exceptions that a test allows.
pub(crate) struct ReadCheck<'a> {
    shop: Shop,
    run: &'a Run,
    catalog: &'a Value,
    cut: bool,
    misfits: BTreeSet<(String, String)>,
}

/// One stream of the configured catalog with its messages, in order.
struct Stream<'a> {
    name: &'a str,
    definition: &'a Value,
    messages: Vec<&'a Message>,
}

impl<'a> ReadCheck<'a> {
    /// Returns a check of all rules, for a run of `source-cart` with this configured catalog.
    pub(crate) fn new(run: &'a Run, catalog: &'a Value) -> ReadCheck<'a> {
        ReadCheck::for_shop(Shop::Cart, run, catalog)
    }

    /// Returns a check of all rules, for a run of the executable for a shop.
    pub(crate) fn for_shop(shop: Shop, run: &'a Run, catalog: &'a Value) -> ReadCheck<'a> {
        // The keys of the fake store's microstores are strings and not numbers; they are emitted unchanged.
        let misfits = BTreeSet::from([("microstores".to_owned(), "id".to_owned())]);
        ReadCheck { shop, run, catalog, cut: false, misfits }
    }

    /// For an interrupted run: ignores the rules about the end of a stream and the exit code.
    pub(crate) fn cut(mut self) -> Self {
        self.cut = true;
        self
    }

    /// Allows values of this field that do not match its schema.
    pub(crate) fn misfit(mut self, stream: &str, field: &str) -> Self {
        self.misfits.insert((stream.to_owned(), field.to_owned()));
        self
    }

    /// Panics with all violations, if there are any.
    pub(crate) fn assert(&self) {
        const SHOWN: usize = 30;
        let violations = self.violations();
        if violations.is_empty() {
            return;
        }
        let shown = &violations[..violations.len().min(SHOWN)];
        panic!("{} violations:\n- {}\n{}", violations.len(), shown.join("\n- "), self.run.transcript());
    }

    /// Returns a sentence for each violation.
    pub(crate) fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        let streams = self.streams();
        self.strangers(&streams, &mut found);
        for stream in &streams {
            let mut of_stream = Vec::new();
            self.statuses(stream, &mut of_stream);
            states(stream, &mut of_stream);
            self.records(stream, &mut of_stream);
            found.extend(of_stream.into_iter().map(|text| format!("{}: {text}", stream.name)));
        }
        if !self.cut {
            self.ending(&streams, &mut found);
        }
        found
    }

    fn streams(&self) -> Vec<Stream<'a>> {
        let configured = self.catalog["streams"].as_array().unwrap();
        configured
            .iter()
            .map(|entry| {
                let definition = &entry["stream"];
                let name = definition["name"].as_str().unwrap();
                let messages = self.run.messages.iter();
                Stream { name, definition, messages: messages.filter(|m| m.stream() == Some(name)).collect() }
            })
            .collect()
    }

    /// Rule: there are only messages of `read`, and only about streams of the catalog.
    fn strangers(&self, streams: &[Stream<'_>], found: &mut Vec<String>) {
        for message in &self.run.messages {
            if !["RECORD", "STATE", "LOG", "TRACE"].contains(&message.kind()) {
                found.push(format!("a {} does not belong into a read", message.kind()));
            }
            if let Some(name) = message.stream()
                && streams.iter().all(|stream| stream.name != name)
            {
                found.push(format!("{name} is not in the catalog: {}", message.line));
            }
        }
    }

    fn statuses(&self, stream: &Stream<'_>, found: &mut Vec<String>) {
        let (mut started, mut running, mut limited, mut terminal) = (0, false, false, None);
        let mut state_is_last = false;
        let mut uncovered = 0;
        for message in &stream.messages {
            if let Some(status) = terminal
                && message.trace_kind() != Some("ERROR")
            {
                found.push(format!("a message after {status}: {}", message.line));
            }
            let status = message.status();
            let is_error = message.trace_kind() == Some("ERROR");
            if started == 0 && status != Some("STARTED") && !is_error {
                found.push(format!("a message before STARTED: {}", message.line));
            }
            match message.kind() {
                "RECORD" => {
                    if !running {
                        found.push("a RECORD before RUNNING".to_owned());
                        running = true;
                    }
                    uncovered += 1;
                }
                "STATE" => {
                    state_is_last = true;
                    uncovered = 0;
                }
                _ => {}
            }
            match status {
                Some("STARTED") => started += 1,
                Some("RUNNING") => {
                    if running && !limited {
                        found.push("RUNNING twice without RATE_LIMITED between".to_owned());
                    }
                    (running, limited, state_is_last) = (true, false, false);
                }
                Some("RATE_LIMITED") => (limited, state_is_last) = (true, false),
                Some("COMPLETE") => {
                    if !state_is_last {
                        found.push("no STATE between the last change of status and COMPLETE".to_owned());
                    }
                    if uncovered > 0 {
                        found.push(format!("COMPLETE with {uncovered} RECORDs after the last STATE"));
                    }
                    terminal = Some("COMPLETE");
                }
                Some("INCOMPLETE") => terminal = Some("INCOMPLETE"),
                _ => {}
            }
        }
        let failed = stream.messages.iter().any(|message| message.trace_kind() == Some("ERROR"));
        match terminal {
            Some("INCOMPLETE") if !failed && !self.cut => {
                found.push("INCOMPLETE without a TRACE error of the stream".to_owned());
            }
            Some("COMPLETE") if failed => {
                found.push("COMPLETE with a TRACE error of the stream".to_owned());
            }
            _ => {}
        }
        if started > 1 || (started == 0 && !self.cut) {
            found.push(format!("{started} times STARTED"));
        }
    }

    fn records(&self, stream: &Stream<'_>, found: &mut Vec<String>) {
        let records = stream.messages.iter().filter(|m| m.kind() == "RECORD");
        let mut records = records.peekable();
        if records.peek().is_none() {
            return;
        }
        let own = &stream.definition["json_schema"];
        let schema = if own.get("properties").is_some() {
            own
        } else if let Some(discovered) = self.shop.discovered_stream(stream.name) {
            &discovered["json_schema"]
        } else {
            found.push("a stream without a schema has RECORDs".to_owned());
            return;
        };
        let checker = RecordCheck::of(schema, &stream.definition["source_defined_primary_key"]);
        let mut undeclared = BTreeSet::new();
        for message in records.filter(|message| !checker.is_known(message)) {
            let data = message.data_value();
            let problems = checker.problems(&data);
            let names = data.as_object().into_iter().flat_map(|data| data.keys());
            let others: Vec<String> = names.filter(|name| !checker.declares(name)).cloned().collect();
            if problems.is_empty() && others.is_empty() {
                checker.remember(message);
            }
            undeclared.extend(others);
            for (field, text) in problems {
                let key = (stream.name.to_owned(), field);
                if !self.misfits.contains(&key) {
                    found.push(format!("{text} in {}", message.line));
                }
            }
        }
        let warnings = self.run.warnings();
        for name in undeclared {
            if !warnings.iter().any(|text| text.contains(name.as_str())) {
                found.push(format!("undeclared field {name} without a WARN that names it"));
            }
        }
    }

    /// Rule: each stream has one final status, and the exit code matches the statuses.
    fn ending(&self, streams: &[Stream<'_>], found: &mut Vec<String>) {
        let mut all_complete = true;
        for stream in streams {
            let statuses = stream.messages.iter().filter_map(|m| m.status());
            let terminal: Vec<&str> = statuses.filter(|s| s.ends_with("COMPLETE")).collect();
            if terminal.len() != 1 {
                found.push(format!("{}: terminal statuses {terminal:?}", stream.name));
            }
            all_complete &= terminal == ["COMPLETE"];
        }
        if (self.run.code == Some(0)) != all_complete {
            found.push(format!(
                "exit code {:?} (signal {:?}), and all streams COMPLETE is {all_complete}",
                self.run.code, self.run.signal
            ));
        }
        let reported = self.run.code_of_errors();
        if matches!(self.run.code, Some(1 | 75)) && self.run.code != reported && reported != Some(0) {
            found.push(format!("exit code {:?}, and its errors say {reported:?}", self.run.code));
        }
        if self.run.code != Some(0) && self.run.errors().is_empty() {
            found.push("a failure without a TRACE error".to_owned());
        }
    }
}

/// Rule: a stream that did not fail has at least one STATE; all its STATEs differ; each has the number of its RECORDs.
fn states(stream: &Stream<'_>, found: &mut Vec<String>) {
    let mut seen: Vec<&Value> = Vec::new();
    let mut records = 0_u32;
    let mut complete = false;
    for message in &stream.messages {
        match message.kind() {
            "RECORD" => records += 1,
            "STATE" => {
                let count = &message.value["state"]["sourceStats"]["recordCount"];
                if count.as_f64() != Some(f64::from(records)) {
                    found.push(format!("recordCount {count} after {records} RECORDs"));
                }
                if !count.is_f64() {
                    found.push(format!("recordCount {count} is not printed as a float"));
                }
                records = 0;
                if let Some(state) = message.stream_state() {
                    if seen.contains(&state) {
                        found.push(format!("the STATE {state} twice"));
                    }
                    seen.push(state);
                }
            }
            _ => complete |= message.status() == Some("COMPLETE"),
        }
    }
    if complete && seen.is_empty() {
        found.push("no STATE".to_owned());
    }
}

/// Checks the records of one stream against its schema. The tests read the same rows thousands of times: a check is made
/// once for a schema, and remembers the records without a fault.
struct RecordCheck {
    validator: jsonschema::Validator,
    declared: BTreeSet<String>,
    instants: Vec<String>,
    dates: Vec<String>,
    keys: Vec<String>,
    /// Hashes of the data of records without a fault.
    right: Mutex<HashSet<u64>>,
}

impl RecordCheck {
    /// Returns the check for a schema and a key.
    fn of(schema: &Value, key: &Value) -> Arc<RecordCheck> {
        static CHECKS: LazyLock<Mutex<HashMap<u64, Arc<RecordCheck>>>> = LazyLock::new(Mutex::default);
        let mut checks = CHECKS.lock().unwrap_or_else(PoisonError::into_inner);
        let check = checks.entry(hash(&(schema, key))).or_insert_with(|| Arc::new(RecordCheck::new(schema, key)));
        Arc::clone(check)
    }

    fn new(schema: &Value, key: &Value) -> RecordCheck {
        let validator = jsonschema::draft7::options().should_validate_formats(false).build(schema).unwrap();
        let properties = schema["properties"].as_object().unwrap();
        let with_format = |format: &str| {
            let fields = properties.iter();
            fields.filter(|(_, field)| field["format"] == format).map(|(name, _)| name.clone()).collect()
        };
        RecordCheck {
            validator,
            declared: properties.keys().cloned().collect(),
            instants: with_format("date-time"),
            dates: with_format("date"),
            keys: key
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|path| Some(path.get(0)?.as_str()?.to_owned()))
                .collect(),
            right: Mutex::default(),
        }
    }

    /// Returns true if this record was found without a fault before.
    fn is_known(&self, record: &Message) -> bool {
        self.right.lock().unwrap_or_else(PoisonError::into_inner).contains(&hash(&record.data()))
    }

    /// Remembers a record without a fault.
    fn remember(&self, record: &Message) {
        self.right.lock().unwrap_or_else(PoisonError::into_inner).insert(hash(&record.data()));
    }

    fn declares(&self, field: &str) -> bool {
        self.declared.contains(field)
    }

    /// Returns the faults of a record: the top-level field, if it is one of a field, and a sentence.
    fn problems(&self, data: &Value) -> Vec<(String, String)> {
        let mut found = Vec::new();
        // Listing the faults takes far longer than finding out that there are none.
        let faults = (!self.validator.is_valid(data)).then(|| self.validator.iter_errors(data));
        for error in faults.into_iter().flatten() {
            let path = error.instance_path().to_string();
            let field = path.split('/').nth(1).unwrap_or_default().to_owned();
            found.push((field, format!("{error} at {path}")));
        }
        let mut strings = |fields: &[String], fits: fn(&str) -> bool, format: &str| {
            for field in fields {
                if let Some(text) = data[field].as_str()
                    && !fits(text)
                {
                    found.push((field.clone(), format!("{field} {text:?} is no {format}")));
                }
            }
        };
        strings(&self.instants, is_utc_instant, "date-time");
        strings(&self.dates, is_date, "date");
        for key in self.keys.iter().filter(|key| data[key.as_str()].is_null()) {
            found.push((key.clone(), format!("the key field {key} is null")));
        }
        found
    }
}

/// Returns a hash that is the same for the same value during a run of the tests.
fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Returns true for `YYYY-MM-DDTHH:MM:SS[.fff]Z` with a valid day and time. The fraction has seven digits if three are
/// not exact.
pub(crate) fn is_utc_instant(text: &str) -> bool {
    let plain = "0000-00-00T00:00:00Z";
    let with_fraction = "0000-00-00T00:00:00.000Z";
    let with_ticks = "0000-00-00T00:00:00.0000000Z";
    (has_shape(text, plain) || has_shape(text, with_fraction) || has_shape(text, with_ticks))
        && is_date(&text[..10])
        && NaiveTime::from_hms_opt(number(&text[11..13]), number(&text[14..16]), number(&text[17..19])).is_some()
}

/// Returns the number of a few digits.
fn number(digits: &str) -> u32 {
    digits.parse().unwrap()
}

/// Returns true for `YYYY-MM-DD` with a valid day.
fn is_date(text: &str) -> bool {
    has_shape(text, "0000-00-00")
        && NaiveDate::from_ymd_opt(text[..4].parse().unwrap(), number(&text[5..7]), number(&text[8..])).is_some()
}

/// Returns true if a string has a digit where the shape has `0`, and otherwise the same characters as the shape.
fn has_shape(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text.bytes().zip(shape.bytes()).all(|(byte, sign)| match sign {
            b'0' => byte.is_ascii_digit(),
            other => byte == other,
        })
}
