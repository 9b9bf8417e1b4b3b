//! Readers of settings by type: strings, dates, whole numbers.

use serde_json::Value;

use crate::json::value_kind;
use crate::raw_config::{FieldError, RawConfig};
use crate::timestamp::{Timestamp, Unreadable};

/// The faults of a configuration.
#[derive(Debug, Default)]
pub(crate) struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// Adds a fault of a field; `problem` is the rest of a sentence that begins with the field.
    pub(crate) fn add(&mut self, field: &str, problem: impl Into<String>) {
        self.0.push(FieldError::new(field, problem));
    }

    /// Returns the faults, in the order in which they were added.
    pub(crate) fn into_list(self) -> Vec<FieldError> {
        self.0
    }
}

/// Returns a secret without the line end that editors and shells add. No secret ends with one.
pub(crate) fn without_line_end(secret: &str) -> &str {
    secret.trim_end_matches(['\r', '\n'])
}

/// Reads a string that has to be there; `example` is what to enter. `trim` removes what does not belong to the value.
pub(crate) fn required_text(
    value: Option<&Value>,
    field: &str,
    example: &str,
    trim: fn(&str) -> &str,
    faults: &mut FieldErrors,
) -> Option<String> {
    let text = match value {
        Some(Value::String(text)) => trim(text).to_owned(),
        // An id may be written as a number.
        Some(Value::Number(number)) if number.is_u64() => number.to_string(),
        None | Some(Value::Null) => {
            faults.add(field, format!("is missing. Enter {example}."));
            return None;
        }
        Some(other) => {
            faults.add(field, format!("must be a string, not {}. Enter {example}.", value_kind(other)));
            return None;
        }
    };
    if text.trim().is_empty() {
        faults.add(field, format!("is empty. Enter {example}."));
        return None;
    }
    Some(text)
}

/// Reads a date of the config; a day alone means its midnight in UTC.
///
/// # Errors
/// [`Unreadable`] if it is not a date.
pub(crate) fn instant(text: &str) -> Result<Timestamp, Unreadable> {
    match Timestamp::parse(text.as_bytes()) {
        Err(Unreadable::Form) => Timestamp::parse(format!("{text}T00:00:00Z").as_bytes()),
        other => other,
    }
}

/// Name of the setting with the date from which rows are read.
const START_DATE: &str = "start_date";

/// A right value of it.
const START_EXAMPLE: &str = "2021-01-01T00:00:00Z";

/// Reads the date from which rows are read, which has to be there.
pub(crate) fn start_date(fields: &RawConfig, faults: &mut FieldErrors) -> Option<Timestamp> {
    let start = date(fields, START_DATE, START_EXAMPLE, faults);
    if start.is_none() && fields.lacks(START_DATE) {
        let problem = format!("is missing. Enter the date from which to read changes, such as `{START_EXAMPLE}`.");
        faults.add(START_DATE, problem);
    }
    start
}

/// Reads the date from which rows are read, if there is one.
pub(crate) fn optional_start_date(fields: &RawConfig, faults: &mut FieldErrors) -> Option<Timestamp> {
    let is_blank = |value: &Value| value.as_str().is_some_and(|text| text.trim().is_empty());
    if fields.get(START_DATE).is_some_and(is_blank) { None } else { date(fields, START_DATE, START_EXAMPLE, faults) }
}

/// Reads the date before which rows are read, which has to be after the start.
pub(crate) fn end_date(fields: &RawConfig, start: Option<Timestamp>, faults: &mut FieldErrors) -> Option<Timestamp> {
    let end = date(fields, "end_date", "2022-01-01T00:00:00Z", faults);
    if let (Some(start), Some(end)) = (start, end)
        && end <= start
    {
        faults.add("end_date", format!(
            "({end}) is not after `start_date` ({start}). Enter a later date, or leave `end_date` out to read up to now."
        ));
    }
    end
}

/// Reads a setting that is a date.
fn date(fields: &RawConfig, name: &str, example: &str, faults: &mut FieldErrors) -> Option<Timestamp> {
    let text = match fields.get(name) {
        None | Some(Value::Null) => return None,
        // Platforms send an empty string for an empty field of a form.
        Some(Value::String(text)) if text.trim().is_empty() && name != START_DATE => return None,
        Some(Value::String(text)) => text.trim(),
        Some(other) => {
            faults.add(name, format!("must be a string such as `{example}`, not {}.", value_kind(other)));
            return None;
        }
    };
    match instant(text) {
        Ok(instant) => Some(instant),
        Err(Unreadable::NoOffset) => {
            faults.add(
                name,
                format!("(`{}`) has no time zone. Add `Z` for UTC, such as `{example}`.", fields.shown(name, text)),
            );
            None
        }
        Err(Unreadable::Form) => {
            let shown = fields.shown(name, text);
            faults.add(name, format!("(`{shown}`) is not a date and time. Write it like `{example}`."));
            None
        }
    }
}

/// Reads a whole number within bounds. Returns the default if it is absent or has a fault.
pub(crate) fn integer(
    fields: &RawConfig,
    name: &str,
    (least, most): (u32, u32),
    default: u32,
    faults: &mut FieldErrors,
) -> u32 {
    match fields.get(name) {
        None | Some(Value::Null) => default,
        Some(value) => match as_integer(value).filter(|number| (least..=most).contains(number)) {
            Some(number) => number,
            None => {
                faults.add(name, format!("must be a whole number from {least} to {most}, such as {default}."));
                default
            }
        },
    }
}

/// Returns the value of an integer. `80.0` counts as one, as in JSON Schema.
fn as_integer(value: &Value) -> Option<u32> {
    let text = value.as_number()?.to_string();
    let (number, fraction) = text.split_once('.').unwrap_or((&text, ""));
    fraction.bytes().all(|byte| byte == b'0').then(|| number.parse().ok())?
}

/// Reads a setting that is true or false. Returns the default if it is absent or has a fault.
pub(crate) fn boolean(fields: &RawConfig, name: &str, default: bool, faults: &mut FieldErrors) -> bool {
    match fields.get(name) {
        None | Some(Value::Null) => default,
        Some(Value::Bool(value)) => *value,
        Some(other) => {
            faults.add(name, format!("must be true or false, not {}.", value_kind(other)));
            default
        }
    }
}

/// Reads a setting that is a list; `None` if it is absent or has a fault.
pub(crate) fn list<'c>(
    fields: &'c RawConfig,
    name: &str,
    example: &str,
    faults: &mut FieldErrors,
) -> Option<&'c [Value]> {
    match fields.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::Array(entries)) => Some(entries),
        Some(other) => {
            faults.add(name, format!("must be a list such as {example}, not {}.", value_kind(other)));
            None
        }
    }
}
