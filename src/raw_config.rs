//! Parses the config as JSON and replaces `${NAME}` in its strings by environment variables, so that no secret has to
//! be in a file. `config` and `record_options` know the settings, and a connector has their names.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use serde_json::{Map, Value};

use crate::secret::Secret;

/// The settings of a connector by name, and what messages about a config say.
#[derive(Debug)]
pub(crate) struct SettingNames {
    /// Name of the executable, whose commands list the settings and the streams.
    pub executable: &'static str,
    /// The settings.
    pub top: &'static [&'static str],
    /// Settings that are objects, each with the settings inside it.
    pub nested: &'static [(&'static str, &'static [&'static str])],
    /// Paths of the settings that are never shown, such as `credentials.access_token`.
    pub secrets: &'static [&'static str],
    /// A short config.
    pub example: &'static str,
    /// Name of an environment variable that a setting may refer to.
    pub variable: &'static str,
}

/// Shortest secret that is masked: replacing a shorter one would leave no word readable.
const SHORTEST_SECRET: usize = 4;

/// A fault of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldError {
    /// Path of the field, such as `credentials.store_name`; empty for the config itself.
    pub field: String,
    /// The fault and how to fix it, as the rest of a sentence that begins with the field.
    problem: String,
}

impl FieldError {
    /// Returns a fault of this field.
    pub(crate) fn new(field: &str, problem: impl Into<String>) -> Self {
        Self { field: field.to_owned(), problem: problem.into() }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => f.write_str(&self.problem),
            // The name of a field that is not a setting may be any string. `credentials` says nothing to a user: the
            // form of a platform does not show it.
            field => write!(f, "`{}` {}", shown(field.strip_prefix("credentials.").unwrap_or(field)), self.problem),
        }
    }
}

/// A config with environment variables filled in.
#[derive(Debug)]
pub(crate) struct RawConfig {
    /// Names of the settings.
    pub names: &'static SettingNames,
    filled: Map<String, Value>,
    /// Strings with `${NAME}` as they were written, by the path of their field. A value from the environment may be a
    /// secret meant for another field, and is never shown.
    written: BTreeMap<String, String>,
    unfilled: Vec<FieldError>,
}

impl RawConfig {
    /// Parses a config and fills in environment variables.
    pub(crate) fn parse(text: &[u8], names: &'static SettingNames) -> Result<Self, FieldError> {
        Self::parse_with(text, names, &|name| std::env::var_os(name))
    }

    fn parse_with(
        text: &[u8],
        names: &'static SettingNames,
        environment: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, FieldError> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let value: Value = serde_json::from_slice(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let place = format!("(line {line}, column {column})");
            FieldError::new("", format!("The config is not valid JSON {place}. It must be one JSON object."))
        })?;
        let Value::Object(mut filled) = value else {
            let problem = format!("The config must be one JSON object, such as {}.", names.example);
            return Err(FieldError::new("", problem));
        };
        let mut fields = Self { names, filled: Map::new(), written: BTreeMap::new(), unfilled: Vec::new() };
        for (name, value) in &mut filled {
            fields.fill(name, value, environment);
        }
        Ok(Self { filled, ..fields })
    }

    fn fill(&mut self, path: &str, value: &mut Value, environment: &dyn Fn(&str) -> Option<OsString>) {
        match value {
            Value::String(text) if text.contains("${") => match filled(text, self.names.variable, environment) {
                Ok(filled) => {
                    self.written.insert(path.to_owned(), std::mem::replace(text, filled));
                }
                Err(error) => self.unfilled.push(FieldError::new(path, error.to_string())),
            },
            Value::Array(items) => {
                for (place, item) in items.iter_mut().enumerate() {
                    self.fill(&format!("{path}[{place}]"), item, environment);
                }
            }
            Value::Object(object) => {
                for (name, item) in object {
                    self.fill(&format!("{path}.{name}"), item, environment);
                }
            }
            _ => {}
        }
    }

    /// Returns a top-level field.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.filled.get(name)
    }

    /// Returns the field at a path such as `credentials.store_name`.
    fn at(&self, path: &str) -> Option<&Value> {
        let mut names = path.split('.');
        let first = self.get(names.next()?)?;
        names.try_fold(first, |object, name| object.get(name))
    }

    /// Returns a top-level field if it is a setting of the connector.
    pub(crate) fn setting(&self, name: &str) -> Option<&Value> {
        self.get(name).filter(|_| self.names.top.contains(&name))
    }

    /// Returns the names of the top-level fields.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.filled.keys().map(String::as_str)
    }

    /// Returns true if a field is null or absent.
    pub(crate) fn lacks(&self, name: &str) -> bool {
        matches!(self.get(name), None | Some(Value::Null))
    }

    /// Returns a string of the field at `path` as it may be shown: short, on one line, as it was written, and without
    /// the secrets of the config, which may have been pasted twice.
    pub(crate) fn shown(&self, path: &str, text: &str) -> String {
        let text = self.written.get(path).map_or(text, String::as_str);
        let secrets = self.names.secrets.iter().filter_map(|path| self.at(path)?.as_str()).map(str::trim);
        let masked = secrets
            .filter(|secret| secret.len() >= SHORTEST_SECRET)
            .fold(text.to_owned(), |text, secret| Secret::new(secret.to_owned()).masked(&text));
        shown(&masked)
    }

    /// Returns all faults of the fields that `of` selects: variables that could not be filled in, then those in
    /// `found`.
    pub(crate) fn all_faults(&self, found: Vec<FieldError>, of: impl Fn(&str) -> bool) -> Vec<FieldError> {
        let unfilled = || self.unfilled.iter().filter(|fault| of(field_of(&fault.field)));
        // Other faults of a string that is not filled in do not matter.
        let is_new = |fault: &FieldError| !unfilled().any(|known| field_of(&known.field) == field_of(&fault.field));
        unfilled().cloned().chain(found.into_iter().filter(is_new)).collect()
    }
}

/// Returns the path of a field without the position in a list.
fn field_of(path: &str) -> &str {
    path.split('[').next().unwrap_or_default()
}

/// The reason why a string with `${` cannot be filled in. Its message is the rest of a sentence that begins with the
/// field.
#[derive(Debug, thiserror::Error)]
enum VariableError {
    #[error(
        "contains `${{` without the name of an environment variable and `}}`. Write `${{{example}}}`, or `$${{` for a literal `${{`."
    )]
    NoName { example: &'static str },
    #[error("uses the environment variable `{0}`, which is not set. Set it, or write `$${{` for a literal `${{`.")]
    NotSet(String),
    #[error(
        "uses the environment variable `{0}`, which is not UTF-8 text. Set it, or write `$${{` for a literal `${{`."
    )]
    NotUtf8(String),
}

/// Returns the string with each `${NAME}` replaced by the variable of that name, and each `$${` by `${`. `example` is a
/// name for messages.
fn filled(
    text: &str,
    example: &'static str,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<String, VariableError> {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            filled.push_str(before);
            filled.push_str("${");
            rest = after;
            continue;
        }
        let named = after.split_once('}').filter(|(name, _)| is_name(name));
        let (name, after) = named.ok_or(VariableError::NoName { example })?;
        let value = environment(name).ok_or_else(|| VariableError::NotSet(name.to_owned()))?;
        filled.push_str(before);
        filled.push_str(value.to_str().ok_or_else(|| VariableError::NotUtf8(name.to_owned()))?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// Returns true for a valid name of a shell variable.
fn is_name(name: &str) -> bool {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    name.chars().all(is_part) && !name.is_empty() && !name.starts_with(|first: char| first.is_ascii_digit())
}

/// Returns a string as it may be shown: short, on one line.
fn shown(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(60).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn environment(name: &str) -> Option<OsString> {
        match name {
            "TOKEN" => Some("to$ken".into()),
            "EMPTY" => Some("".into()),
            "NESTED" => Some("${TOKEN}".into()),
            _ => None,
        }
    }

    static NAMES: SettingNames = SettingNames {
        executable: "source-shop",
        top: &["credentials"],
        nested: &[],
        secrets: &["credentials.access_token"],
        example: "{}",
        variable: "CART_TOKEN",
    };

    fn fields(config: &Value) -> RawConfig {
        RawConfig::parse_with(config.to_string().as_bytes(), &NAMES, &environment).unwrap()
    }

    #[test]
    fn variables_are_filled_in_wherever_a_text_stands() {
        let given = fields(&json!({
            "a": "${TOKEN}", "b": {"c": ["x", "<${TOKEN}|${EMPTY}>"]}, "${TOKEN}": 1, "n": 5, "once": "${NESTED}",
        }));
        let filled = json!({
            "a": "to$ken", "b": {"c": ["x", "<to$ken|>"]}, "${TOKEN}": 1, "n": 5, "once": "${TOKEN}",
        });
        assert_eq!(Value::Object(given.filled.clone()), filled);
        assert_eq!(given.shown("b.c[1]", "<to$ken|>"), "<${TOKEN}|${EMPTY}>");
        assert_eq!(given.shown("b.c[0]", "x\n"), "x");
        let text = br#"{"credentials": {"access_token": " 0123456789 "}}"#;
        let given = RawConfig::parse(text, &NAMES).unwrap();
        assert_eq!(given.shown("start_date", "on 0123456789"), "on ****", "a secret that was pasted twice");
    }

    #[test]
    fn a_dollar_without_a_brace_is_nothing_special_and_two_are_the_way_out() {
        for (text, meaning) in [
            ("pa$$word", "pa$$word"),
            ("$TOKEN", "$TOKEN"),
            ("$", "$"),
            ("${TOKEN}$", "to$ken$"),
            ("$${TOKEN}", "${TOKEN}"),
            ("$$${TOKEN}", "$${TOKEN}"),
            ("a$${b", "a${b"),
            ("{TOKEN}", "{TOKEN}"),
        ] {
            assert_eq!(fields(&json!({ "a": text })).get("a").unwrap(), meaning, "{text}");
        }
    }

    #[test]
    fn missing_variables_are_reported_with_the_field() {
        let given = fields(&json!({"a": {"b": "${MISSING}"}, "c": ["x", "${1}"], "d": "${", "e": "${TOKEN"}));
        let found =
            vec![FieldError::new("a.b", "is no host."), FieldError::new("c", "x"), FieldError::new("f", "is missing.")];
        let faults: Vec<String> = given.all_faults(found, |_| true).iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(faults.join("\n"));
        assert_eq!(given.all_faults(Vec::new(), |field| field == "c").len(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_not_utf8_is_reported() {
        use std::os::unix::ffi::OsStringExt as _;
        let fault = filled("${X}", "NAME", &|_| Some(OsString::from_vec(vec![0xff]))).unwrap_err().to_string();
        assert!(fault.starts_with("uses the environment variable `X`, which is not UTF-8 text."), "{fault}");
    }
}
