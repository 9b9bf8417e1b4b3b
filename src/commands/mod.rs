//! `spec`, `discover` and `catalog`, and the files that the commands are given. Both sides meet here. `check`,
//! `streams` and `completions` have files of their own.

mod check;
mod completions;
pub(crate) mod init;
pub(crate) mod spec;
pub(crate) mod state;
mod streams;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::airbyte::catalog::{self, CatalogEntry};
use crate::airbyte::message::{Catalog, Message, Stream as CatalogStream};
use crate::airbyte::{Closed, Emitter, Level};
use crate::cart::{Client, RateLimiter, RetryPolicy};
use crate::cli::Overrides;
use crate::cli::streams_arg::SelectedStream;
use crate::config::raw::RawConfig;
use crate::config::{self, Config};
use crate::files::input;
use crate::json;
use crate::user_error::UserError;

use crate::record_options::RecordOptions;
use crate::streams::{CURSOR, STREAMS, Stream};
pub(crate) use check::{Refusal, Suspect, check, try_scopes};
pub(crate) use completions::completions;
pub use completions::script;
pub(crate) use streams::list;

/// The largest file that is read: a state of 70 streams at its bound takes 5 MB, a catalog less.
const LARGEST_FILE: u64 = 64 * 1024 * 1024;

/// The largest config: its texts are a few hundred bytes.
const LARGEST_CONFIG: u64 = 1024 * 1024;

/// Prints the specification.
///
/// # Errors
/// [`Closed`] if stdout is gone.
pub(crate) async fn spec(emitter: &Emitter) -> Result<(), Closed> {
    let Some(spec) = compact(&spec::text()) else { return Ok(()) };
    emitter.message(&Message::Spec { spec: &spec }).await
}

/// What the config, if one is given, asks of the records, and a sentence for each setting that does not exist.
/// Nothing else in it matters to `discover`, which asks nobody: a config without a sign-in, or no config at all,
/// gives the catalog as well. A config that is named and cannot be read, or is not a JSON object, is an error: it may
/// have asked for something.
///
/// # Errors
/// [`UserError`] that names each fault in what is asked.
pub(crate) fn record_options(config: Option<&Path>) -> Result<(RecordOptions, Vec<String>), UserError> {
    let Some(path) = config else { return Ok((RecordOptions::default(), Vec::new())) };
    let fields = RawConfig::parse(&config_text(path)?).map_err(|fault| UserError::config(&[fault]))?;
    let record_options = RecordOptions::parse(&fields).map_err(|faults| UserError::config(&faults))?;
    Ok((record_options, config::unknown(&fields)))
}

/// Logs a warning for each doubt about what the user gave.
///
/// # Errors
/// [`Closed`] if stdout is gone.
pub(crate) async fn warn(warnings: &[String], emitter: &Emitter) -> Result<(), Closed> {
    for warning in warnings {
        emitter.log(Level::Warn, warning).await?;
    }
    Ok(())
}

/// Prints the catalog.
///
/// # Errors
/// [`Closed`] if stdout is gone.
pub(crate) async fn discover(record_options: &RecordOptions, emitter: &Emitter) -> Result<(), Closed> {
    let streams = STREAMS.iter().filter_map(|stream| described(stream, record_options)).collect();
    emitter.message(&Message::Catalog { catalog: Catalog { streams } }).await
}

/// Prints a configured catalog of these streams.
///
/// # Errors
/// [`Closed`] if stdout is gone.
pub(crate) async fn catalog(
    streams: &[SelectedStream],
    full_refresh: bool,
    record_options: &RecordOptions,
    emitter: &Emitter,
) -> Result<(), Closed> {
    let entries = streams.iter().filter_map(|selected| {
        let described = CatalogStream { name: selected.name, ..described(selected.stream, record_options)? };
        Some(CatalogEntry::new(described, selected.mode(full_refresh)))
    });
    emitter.send(catalog::to_json(&entries.collect::<Vec<_>>())).await
}

fn described(stream: &'static Stream, record_options: &RecordOptions) -> Option<CatalogStream<'static>> {
    let modes: &[&str] = if stream.has_updated_at { &["full_refresh", "incremental"] } else { &["full_refresh"] };
    // The table's own text keeps its order of fields.
    let json_schema = if record_options.changes_schema(stream) {
        compact(&record_options.schema(stream)?.to_string())?
    } else {
        compact(stream.schema)?
    };
    Some(CatalogStream {
        name: stream.name,
        json_schema,
        supported_sync_modes: modes,
        source_defined_cursor: stream.has_updated_at.then_some(true),
        default_cursor_field: stream.has_updated_at.then_some([CURSOR]),
        source_defined_primary_key: [[stream.key]],
        is_resumable: stream.has_updated_at.then_some(true),
    })
}

fn compact(text: &str) -> Option<Box<RawValue>> {
    let mut out = Vec::with_capacity(text.len());
    json::write_compact(text.as_bytes(), &mut out);
    RawValue::from_string(String::from_utf8(out).ok()?).ok()
}

/// A client for the configured store.
///
/// # Errors
/// [`UserError`] if TLS cannot be set up.
pub(crate) fn client(config: &Config, retry_policy: RetryPolicy) -> Result<Arc<Client>, UserError> {
    let retry_policy = retry_policy.at_most(config.retry, config.timeout);
    let rate_limiter = RateLimiter::new(config.limit_percent, retry_policy.backoff.window);
    Client::new(config.base.clone(), config.auth.clone(), rate_limiter, config.in_flight, retry_policy)
        .map(Arc::new)
        .map_err(|problem| UserError::setup(&problem))
}

/// Reads a file that the command line names; `what` is `config`, `catalog` or `state`.
///
/// # Errors
/// [`UserError`] that names the file and what is wrong with it.
pub(crate) fn file(what: &str, path: &Path) -> Result<Vec<u8>, UserError> {
    let user_error = |problem: &str| UserError::file(what, &path.display().to_string(), problem);
    let most = if what == "config" { LARGEST_CONFIG } else { LARGEST_FILE };
    let text = input::read(path, most).map_err(|problem| user_error(&problem))?;
    match std::str::from_utf8(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err(user_error("is not UTF-8 text")),
    }
}

/// Reads the configuration's text, from standard input if the path is `-`.
fn config_text(path: &Path) -> Result<Vec<u8>, UserError> {
    if path != Path::new("-") {
        return file("config", path);
    }
    let mut text = Vec::new();
    let read = std::io::stdin().lock().take(LARGEST_CONFIG + 1).read_to_end(&mut text);
    let size = read.map_err(|error| UserError::standard_input(&format!("cannot be read ({error})")))?;
    if size as u64 > LARGEST_CONFIG {
        return Err(UserError::standard_input(&format!("is larger than {} MiB", LARGEST_CONFIG >> 20)));
    }
    match std::str::from_utf8(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err(UserError::standard_input("is not UTF-8 text")),
    }
}

/// The variable of the environment that names the configuration where the command line does not.
const CONFIG_VARIABLE: &str = "SOURCE_CART_CONFIG";

/// The configuration of the folder, where nothing else is named: the file that `init` writes.
const CONFIG_FILE: &str = "config.json";

/// Returns the configuration that is used where the command line names none.
#[must_use]
pub(crate) fn usual_config() -> Option<PathBuf> {
    let named = std::env::var_os(CONFIG_VARIABLE).filter(|name| !name.is_empty()).map(PathBuf::from);
    named.or_else(|| Some(PathBuf::from(CONFIG_FILE)).filter(|file| file.exists()))
}

/// Says what to do where a command has no configuration.
#[must_use]
pub(crate) fn no_config() -> String {
    format!(
        "No configuration found. Set `--config` or the environment variable {CONFIG_VARIABLE} to a file, or put {CONFIG_FILE} in this folder. `source-cart init` writes one."
    )
}

/// Reads and parses the configuration; `overrides` take the place of what it says.
///
/// # Errors
/// [`UserError`] that names each fault.
pub(crate) fn config(path: Option<&Path>, overrides: &Overrides) -> Result<Config, UserError> {
    let path = path.ok_or_else(|| UserError::no_config(&no_config()))?;
    Config::parse(&overridden(config_text(path)?, overrides)).map_err(|faults| UserError::config(&faults))
}

/// Puts the overrides into the text of a configuration. One that is not an object stays as it is, and is refused
/// when it is parsed.
fn overridden(text: Vec<u8>, overrides: &Overrides) -> Vec<u8> {
    let Overrides { start_date, end_date, call_limit_percent } = overrides;
    let values = [
        ("start_date", start_date.clone().map(Value::from)),
        ("end_date", end_date.clone().map(Value::from)),
        ("call_limit_percent", call_limit_percent.map(Value::from)),
    ];
    let json = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(json) else { return text };
    let given: Vec<(&str, Value)> = values.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    if given.is_empty() {
        return text;
    }
    fields.extend(given.into_iter().map(|(name, value)| (name.to_owned(), value)));
    Value::Object(fields).to_string().into_bytes()
}
