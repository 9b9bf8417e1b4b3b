//! Messages about responses of a merchant's own server: a firewall in front of it, text that it cannot encode, and
//! settings that it is too old for.

use super::UserError;
use crate::airbyte::FailureType::{self, ConfigError, SystemError};
use crate::sync::HiddenRows;
use crate::timestamp::Timestamp;

/// Returns the error of a store that does not answer as a walk needs it; the clause describes the difference.
pub(super) fn unexpected(name: &str, what: &str, support: &str) -> UserError {
    let message = format!(
        "The store does not answer requests for `{name}` as documented: {what}. Report it to {support} and to this connector's project."
    );
    UserError::new(SystemError, message)
}

/// Maximum number of dates in a message, so that it fits on a screen.
const NAMED_DATES: usize = 5;

/// Returns the message for rows that the store cannot send and whose keys are not known, by the dates of their creation.
pub(super) fn undated(name: &str, dates: &[Timestamp]) -> String {
    if dates.is_empty() {
        return String::new();
    }
    let shown: Vec<String> = dates.iter().take(NAMED_DATES).map(Timestamp::to_string).collect();
    let more = if dates.len() > NAMED_DATES { " and at other times" } else { "" };
    format!(
        "The store cannot send all rows of `{name}` created at {}{more}; all other rows were read. Look for damaged text in these rows; the next sync reads them again.",
        shown.join(", ")
    )
}

/// Returns the message for rows that the store counts and does not list.
pub(super) fn hidden(name: &str, hidden: &[HiddenRows], support: &str) -> String {
    if hidden.is_empty() {
        return String::new();
    }
    let dates = hidden.iter().filter_map(|rows| rows.date).take(NAMED_DATES);
    let shown: Vec<String> = dates.map(|date| date.to_string()).collect();
    let dated = if shown.is_empty() { String::new() } else { format!(" (dated {})", shown.join(", ")) };
    let counts = format!("The store counts rows of `{name}` that it does not list{dated}");
    if hidden.iter().any(|rows| rows.is_owner_refused) {
        return format!(
            "{counts}: those of one user in several stores. Give the administrator the privilege `view_stores`, so that the stores are read one by one."
        );
    }
    format!(
        "{counts}; all other rows were read. Run the sync again, and if it happens again, report these dates to {support}: the store's count or its list is wrong."
    )
}

/// Returns the message for a firewall that refuses requests with a web page.
pub(super) fn blocked(status: u16, host: &str, on: &str) -> (FailureType, String) {
    let message = format!(
        "A firewall in front of {host} refused the request (HTTP {status} with a web page{on}), also after retries. Allow this machine in the firewall, such as Cloudflare or mod_security, then run the sync again."
    );
    (ConfigError, message)
}

/// Returns the message for a setting that selects rows and that the store does not know; the clause describes the sign
/// of it.
pub(super) fn unsupported(setting: &str, problem: &str, host: &str, on: &str) -> (FailureType, String) {
    let message = format!(
        "{host} cannot select rows by the setting `{setting}`{on}: {problem}. Remove the setting, or update the store."
    );
    (ConfigError, message)
}

/// Returns the message for an empty response that is not caused by one row.
pub(super) fn empty(host: &str, on: &str) -> (FailureType, String) {
    let message = format!(
        "{host} sent an empty response{on}, also after retries. A row with damaged text can be the cause, or an error of PHP: check the store's error log, then run the sync again."
    );
    (SystemError, message)
}
