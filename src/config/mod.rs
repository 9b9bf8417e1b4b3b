//! Parses and checks the configuration: what all connectors have, with the readers of a connector for its own settings.
//! No HTTP, no messages.
//!
//! `readers` reads values of a type, `store_address` the address of a store.

pub(crate) mod readers;
pub(crate) mod store_address;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::http::RetryPolicy;
use crate::http::error::SetupError;
use crate::raw_config::{FieldError, RawConfig, SettingNames};
use crate::record_options::RecordOptions;
use crate::secret::Secret;
use crate::stream::Stream;
use crate::suggest::suggestions;
use crate::sync::shop::Shop;
use crate::timestamp::Timestamp;
pub(crate) use readers::{FieldErrors, instant};

/// The settings of a connector, and how those that only it has are read.
#[derive(Debug)]
pub(crate) struct ConfigDefinition {
    /// Names of the settings.
    pub names: &'static SettingNames,
    /// The table of streams, for settings that name streams.
    pub streams: &'static [Stream],
    /// Reads all settings except those about records. Returns `None` if it has added a fault.
    pub read: fn(&RawConfig, &mut FieldErrors) -> Option<ShopConfig>,
}

/// The settings that a connector reads itself.
#[derive(Debug)]
pub(crate) struct ShopConfig {
    /// The store and the sign-in.
    pub store: Box<dyn Store>,
    /// Rows updated on or after this are read.
    pub start: Timestamp,
    /// Rows updated before this are read.
    pub end: Option<Timestamp>,
    /// Maximum share of a stream's rows that may be deleted between two syncs (percent).
    pub max_deleted_percent: u32,
    /// A sentence for each setting that is allowed but looks like a mistake.
    pub warnings: Vec<String>,
}

/// A store, as the configuration describes it.
pub(crate) trait Store: fmt::Debug + Send + Sync {
    /// Returns its secrets, to be masked in all output.
    fn secrets(&self) -> Vec<Secret>;

    /// Returns a client.
    ///
    /// # Errors
    /// [`SetupError`] if the certificates or the proxy of the environment cannot be used.
    fn client(&self, retry_policy: RetryPolicy) -> Result<Arc<dyn Shop>, SetupError>;
}

/// A checked configuration.
#[derive(Debug)]
pub(crate) struct Config {
    /// The settings that the connector read itself.
    pub shop: ShopConfig,
    /// Settings about records.
    pub record_options: RecordOptions,
    /// Settings that only tests have.
    pub test_settings: TestSettings,
    /// A sentence for each setting that is allowed but looks like a mistake.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// All faults, each with the field and a right example.
    pub(crate) fn parse(text: &[u8], definition: &ConfigDefinition) -> Result<Self, Vec<FieldError>> {
        let fields = RawConfig::parse(text, definition.names).map_err(|fault| vec![fault])?;
        let mut faults = FieldErrors::default();
        let shop = (definition.read)(&fields, &mut faults);
        let faults = fields.all_faults(faults.into_list(), |field| !RecordOptions::reads(field));
        match (RecordOptions::parse(&fields, definition.streams), shop) {
            (Ok(record_options), Some(mut shop)) if faults.is_empty() => {
                let mut warnings = unknown(&fields);
                warnings.extend(future_start(shop.start));
                warnings.append(&mut shop.warnings);
                Ok(Self { shop, record_options, test_settings: TestSettings::of(&fields), warnings })
            }
            (record_options, _) => Err(faults.into_iter().chain(record_options.err().into_iter().flatten()).collect()),
        }
    }
}

/// Returns a warning if the start date is after the present.
fn future_start(start: Timestamp) -> Option<String> {
    let is_future = Timestamp::from_system(SystemTime::now()).is_some_and(|now| start > now);
    is_future.then(|| {
        format!("`start_date` ({start}) is in the future. Until then, only rows without an update date are read.")
    })
}

/// Returns a sentence for each field that is not a setting, with a similar setting as a suggestion. Names that begin
/// with `_` are ignored: users and platforms may add notes under them.
pub(crate) fn unknown(fields: &RawConfig) -> Vec<String> {
    let names = fields.names;
    let top = fields.names().map(|name| (String::new(), name, names.top));
    let inside = names.nested.iter().flat_map(|(object, known)| {
        let inside = fields.get(object).and_then(Value::as_object).into_iter().flatten();
        inside.map(move |(name, _)| (format!("{object}."), name.as_str(), *known))
    });
    let is_unknown = |(_, name, known): &(String, &str, &[&str])| !name.starts_with('_') && !known.contains(name);
    top.chain(inside)
        .filter(is_unknown)
        .map(|(path, name, known)| {
            let hint = match suggestions(name, known.iter().copied()).first() {
                Some(near) => format!("Did you mean `{path}{near}`?"),
                None => format!("Run `{} spec` to list the settings.", names.executable),
            };
            let name = fields.shown("", name);
            format!("The config contains `{path}{name}`, which is not a setting and has no effect. {hint}")
        })
        .collect()
}

/// Settings that only tests have; builds without the feature `failpoints` read none.
#[derive(Clone, Debug, Default)]
pub(crate) struct TestSettings {
    /// Time for which a request is retried; `None` for the default.
    pub retry: Option<Duration>,
    /// Time limit of one attempt; `None` for the default.
    pub timeout: Option<Duration>,
}

impl TestSettings {
    #[cfg(feature = "failpoints")]
    fn of(fields: &RawConfig) -> Self {
        let seconds = |name| fields.get(name).and_then(Value::as_u64).map(Duration::from_secs);
        Self { retry: seconds("_retry_seconds"), timeout: seconds("_timeout_seconds") }
    }

    #[cfg(not(feature = "failpoints"))]
    fn of(_: &RawConfig) -> Self {
        Self::default()
    }
}
