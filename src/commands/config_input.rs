//! The files that the command line names, and the configuration among them.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::Overrides;
use crate::config::{self, Config};
use crate::connector::Connector;
use crate::files::input::{self, ReadError};
use crate::raw_config::RawConfig;
use crate::record_options::RecordOptions;
use crate::user_error::UserError;

/// Maximum size of a file in bytes: 70 states of maximum size take 5 MB, a catalog less.
const LARGEST_FILE: u64 = 64 * 1024 * 1024;

/// Maximum size of a configuration in bytes: usual ones have a few hundred.
const LARGEST_CONFIG: u64 = 1024 * 1024;

/// The configuration in the current folder, used if nothing else is named: the file that `init` writes.
const CONFIG_FILE: &str = "config.json";

/// Reads a file that the command line names; `what` is `config`, `catalog` or `state`.
pub(super) fn file(what: &str, path: &Path) -> Result<Vec<u8>, UserError> {
    let most = if what == "config" { LARGEST_CONFIG } else { LARGEST_FILE };
    let text = input::read(path, most).and_then(utf8);
    text.map_err(|error| UserError::file(what, &path.display().to_string(), &error))
}

/// Returns the text if it is UTF-8.
fn utf8(text: Vec<u8>) -> Result<Vec<u8>, ReadError> {
    std::str::from_utf8(&text)?;
    Ok(text)
}

/// Reads the text of the configuration, from standard input if the path is `-`.
fn config_text(path: &Path) -> Result<Vec<u8>, UserError> {
    if path != Path::new("-") {
        return file("config", path);
    }
    standard_input().and_then(utf8).map_err(|error| UserError::standard_input(&error))
}

/// Reads a configuration from standard input.
fn standard_input() -> Result<Vec<u8>, ReadError> {
    let mut text = Vec::new();
    let read = std::io::stdin().lock().take(LARGEST_CONFIG + 1).read_to_end(&mut text);
    let size = read.map_err(ReadError::Failed)?;
    if size as u64 > LARGEST_CONFIG { Err(ReadError::TooLarge(LARGEST_CONFIG)) } else { Ok(text) }
}

/// Returns the configuration that is used if the command line names none.
pub(crate) fn default_config(connector: &Connector) -> Option<PathBuf> {
    let named = std::env::var_os(connector.config_variable).filter(|name| !name.is_empty()).map(PathBuf::from);
    named.or_else(|| Some(PathBuf::from(CONFIG_FILE)).filter(|file| file.exists()))
}

/// Returns the message for a command that needs a configuration and has none.
pub(crate) fn no_config(connector: &Connector) -> String {
    let Connector { executable, config_variable, .. } = connector;
    format!(
        "No configuration found. Set `--config` or {config_variable} to a file, or put {CONFIG_FILE} in this folder. Run `{executable} init` to write one."
    )
}

/// Reads and parses the configuration; `overrides` replace its values.
pub(super) fn config(path: Option<&Path>, overrides: &Overrides, connector: &Connector) -> Result<Config, UserError> {
    let path = path.ok_or_else(|| UserError::no_config(&no_config(connector)))?;
    let text = overridden(config_text(path)?, overrides);
    Config::parse(&text, connector.settings).map_err(|faults| UserError::config(&faults))
}

/// Returns the record options of the configuration, and a warning for each unknown setting. `discover` and `catalog`
/// use no other settings, so the configuration may be absent or without credentials. A file that is named must be a
/// JSON object, since it may contain record options.
pub(super) fn record_options(
    config: Option<&Path>,
    connector: &Connector,
) -> Result<(RecordOptions, Vec<String>), UserError> {
    let Some(path) = config else { return Ok((RecordOptions::default(), Vec::new())) };
    let fields =
        RawConfig::parse(&config_text(path)?, connector.settings.names).map_err(|fault| UserError::config(&[fault]))?;
    let record_options =
        RecordOptions::parse(&fields, connector.streams).map_err(|faults| UserError::config(&faults))?;
    Ok((record_options, config::unknown(&fields)))
}

/// Returns the text of a configuration with the overrides applied. Returns the text unchanged if it is not a JSON
/// object: the parser rejects it later.
fn overridden(text: Vec<u8>, overrides: &Overrides) -> Vec<u8> {
    let json = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(json) else { return text };
    if overrides.0.is_empty() {
        return text;
    }
    fields.extend(overrides.0.iter().map(|(setting, value)| (setting.clone(), value.0.clone())));
    Value::Object(fields).to_string().into_bytes()
}
