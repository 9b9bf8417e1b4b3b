//! Reports panics, which are bugs: one sentence on stderr, and the source location for the TRACE error. The panic's own
//! message is not shown, since it may contain a record or a secret.

use std::io::Write as _;
use std::panic::Location;
use std::sync::{Mutex, PoisonError};

/// Source location of the last panic.
static LAST_LOCATION: Mutex<Option<String>> = Mutex::new(None);

/// Replaces the standard library's hook, which prints the panic's message and a backtrace. The sentence begins with the
/// name of the executable.
pub(crate) fn install_hook(executable: &'static str) {
    std::panic::set_hook(Box::new(move |panic| {
        let location_text = panic.location().map_or_else(|| "at an unknown place".to_owned(), named);
        // A stderr that is closed changes nothing.
        let _ignored = writeln!(
            std::io::stderr(),
            "{executable}: the connector failed because of a bug, {location_text}; report it with this line."
        );
        *LAST_LOCATION.lock().unwrap_or_else(PoisonError::into_inner) = Some(location_text);
    }));
}

/// Returns the source location of the last panic.
pub(crate) fn last_location() -> String {
    let location_text = LAST_LOCATION.lock().unwrap_or_else(PoisonError::into_inner);
    location_text.clone().unwrap_or_else(|| "at an unknown place".to_owned())
}

/// Formats a location without the folders of the machine that built the executable: crate, folder and file are enough.
fn named(location: &Location<'_>) -> String {
    let parts: Vec<&str> = location.file().split(['/', '\\']).collect();
    let last = parts.get(parts.len().saturating_sub(3)..).unwrap_or_default();
    format!("at {}:{}", last.join("/"), location.line())
}

/// Names where to panic and with which message, as `orders: message`.
#[cfg(feature = "failpoints")]
const FAILPOINT_VARIABLE: &str = "SOURCE_CART_TEST_PANIC";

/// Panics if a test has named this point in [`FAILPOINT_VARIABLE`].
#[cfg(feature = "failpoints")]
pub(crate) fn failpoint(name: &str) {
    let wanted = std::env::var(FAILPOINT_VARIABLE).unwrap_or_default();
    if let Some(message) = wanted.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")) {
        #[expect(clippy::panic, reason = "the test asked for it")]
        {
            panic!("{message}");
        }
    }
}

/// Does nothing: this build has no failpoints.
#[cfg(not(feature = "failpoints"))]
pub(crate) fn failpoint(_: &str) {}
