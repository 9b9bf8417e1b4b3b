//! The commands, a file each, and what they share: the client and messages about the configuration.
//!
//! In reading order: `config_input` and `state_input` (the files that the user names), `spec`, `check`, `discover`,
//! `catalog`, [`read`], `streams`, `state`, `init`, `completions`.

pub(crate) mod catalog;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod config_input;
pub(crate) mod discover;
pub(crate) mod init;
pub(crate) mod read;
pub(crate) mod spec;
pub(crate) mod state;
mod state_input;
pub(crate) mod streams;

use std::sync::Arc;

use serde_json::value::RawValue;

use crate::airbyte::{Closed, Emitter, Level};
use crate::config::Config;
use crate::http::RetryPolicy;
use crate::json;
use crate::sync::shop::Shop;
use crate::user_error::UserError;

/// The reason why a command ended early.
#[derive(Debug)]
pub(crate) enum CommandError {
    /// The output is closed.
    Closed,
    /// An error that was not reported yet.
    User(UserError),
}

impl From<Closed> for CommandError {
    fn from(Closed: Closed) -> Self {
        Self::Closed
    }
}

impl From<UserError> for CommandError {
    fn from(error: UserError) -> Self {
        Self::User(error)
    }
}

/// The result of a command: true if it succeeded, false if it failed and has reported why.
pub(crate) type CommandResult = Result<bool, CommandError>;

/// Logs a warning for each doubtful setting of the configuration.
async fn warn(warnings: &[String], emitter: &Emitter) -> Result<(), Closed> {
    for warning in warnings {
        emitter.log(Level::Warn, warning).await?;
    }
    Ok(())
}

/// Returns a client for the configured store.
fn client(config: &Config, retry_policy: RetryPolicy) -> Result<Arc<dyn Shop>, UserError> {
    let retry_policy = retry_policy.at_most(config.test_settings.retry, config.test_settings.timeout);
    config.shop.store.client(retry_policy).map_err(|error| UserError::setup(&error))
}

/// Returns a JSON text without white space between its tokens.
fn compact(text: &str) -> Option<Box<RawValue>> {
    let mut out = Vec::with_capacity(text.len());
    json::write_compact(text.as_bytes(), &mut out);
    RawValue::from_string(String::from_utf8(out).ok()?).ok()
}
