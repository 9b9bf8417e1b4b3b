//! A connector: what an executable for one shop consists of. Its names, streams and settings, the questions of `init`,
//! and what its messages call the shop's things. A shop defines one in its folder; no other module names a shop.

use std::num::NonZeroUsize;

use crate::config::ConfigDefinition;
use crate::stream::{self, Stream};

/// A connector for one shop.
#[derive(Debug)]
pub struct Connector {
    /// Name of the executable, such as `source-shop`.
    pub executable: &'static str,
    /// Name and version, for the first line of the log.
    pub version: &'static str,
    /// The environment variable that names the configuration if the command line does not.
    pub config_variable: &'static str,
    /// Number of threads that read responses; `None` for one per core. With few requests at a time, passing them from
    /// thread to thread takes longer than reading them.
    pub(crate) worker_threads: Option<NonZeroUsize>,
    /// The streams, in the order of the catalog.
    pub streams: &'static [Stream],
    /// Streams that most users read first.
    pub suggested: &'static [&'static str],
    /// The specification of the configuration, with placeholders that `spec` fills in.
    pub(crate) spec: &'static str,
    /// The settings.
    pub(crate) settings: &'static ConfigDefinition,
    /// Options of `read` that replace settings.
    pub(crate) overrides: &'static [Override],
    /// The parts of the help that differ between connectors.
    pub(crate) help: Help,
    /// The questions of `init`.
    pub(crate) interview: Interview,
    /// A stream outside the table that `check` requests first, if there is one that needs no permission.
    pub(crate) first_probe: Option<&'static Stream>,
    /// Words for messages.
    pub(crate) terms: Terms,
}

impl Connector {
    /// Returns the stream with this name or alias.
    pub fn find(&self, name: &str) -> Option<&'static Stream> {
        stream::find(self.streams, name)
    }

    /// Returns true if this is a setting.
    pub(crate) fn has_setting(&self, name: &str) -> bool {
        self.settings.names.top.contains(&name)
    }
}

/// An option of `read` that replaces a setting.
#[derive(Debug)]
pub(crate) struct Override {
    /// The option, without its hyphens.
    pub option: &'static str,
    /// The setting.
    pub setting: &'static str,
    /// The description in the help.
    pub help: &'static str,
    /// The values that it accepts.
    pub value: OverrideValue,
}

/// The values of an option that replaces a setting.
#[derive(Debug)]
pub(crate) enum OverrideValue {
    /// A date.
    Date,
    /// A whole number, at least the first and at most the second.
    Integer {
        /// Placeholder of the value in the help.
        name: &'static str,
        /// The bounds.
        range: (u32, u32),
    },
}

/// The parts of the help that differ between connectors.
#[derive(Debug)]
pub(crate) struct Help {
    /// The first line.
    pub about: &'static str,
    /// Requests and output of `check`.
    pub check: &'static str,
    /// The use that `discover` makes of the configuration.
    pub discover: &'static str,
    /// Columns of the table that `streams` prints.
    pub streams: &'static str,
    /// The use that `catalog` makes of the configuration.
    pub catalog: &'static str,
    /// An example of `read` with options that replace settings; `{executable}` is replaced by its name.
    pub read_example: &'static str,
    /// An example of `read` that reads all rows, with its title; `{executable}` is replaced by its name.
    pub read_all_example: &'static str,
}

/// The questions of `init`.
#[derive(Debug)]
pub(crate) struct Interview {
    /// The way to sign in, or the first of two.
    pub sign_in: SignIn,
    /// The second way to sign in, if there is one, with the question for 1 or 2.
    pub other_sign_in: Option<(&'static str, SignIn)>,
    /// The last question: the date from which rows are read.
    pub start: Question,
}

/// A way to sign in, with its questions.
#[derive(Debug)]
pub(crate) struct SignIn {
    /// The value of `credentials.auth_type`, if there are two ways.
    pub auth_type: Option<&'static str>,
    /// The questions.
    pub questions: &'static [Question],
    /// Settings that may be wrong if the store rejects the credentials.
    pub credentials: &'static [&'static str],
    /// Settings that may be wrong if the store is not found; none to ask for all settings again.
    pub address: &'static [&'static str],
}

/// A question for one setting.
#[derive(Debug)]
pub(crate) struct Question {
    /// Path of the setting, as in the errors of the configuration.
    pub field: &'static str,
    /// The question.
    pub text: &'static str,
    /// The value of an empty answer at first; later it is the previous answer.
    pub usual: &'static str,
    /// True for a secret.
    pub hidden: bool,
    /// True if spaces around the answer belong to it.
    pub keeps_spaces: bool,
}

impl Question {
    /// Returns a question for a setting without a usual value that is not secret.
    pub(crate) const fn new(field: &'static str, text: &'static str) -> Self {
        Self { field, text, usual: "", hidden: false, keeps_spaces: false }
    }
}

/// The words of messages about the shop's things.
#[derive(Debug)]
pub(crate) struct Terms {
    /// The setting with the store's address.
    pub address: &'static str,
    /// The secret that is sent, at the beginning of a sentence.
    pub secret: &'static str,
    /// Who can repair a store that does not work as documented.
    pub support: &'static str,
    /// The end of the sentence that a redirect on the same host begins: the address to enter.
    pub other_address: &'static str,
    /// The store's count of the rows of a stream.
    pub total: &'static str,
    /// True if an object that a store does not have can be switched on there, so that a user can fix it.
    pub objects_are_optional: bool,
    /// Returns what to do about a status.
    pub advice: fn(&Refusal<'_>) -> String,
    /// The words of `check`.
    pub check: CheckTerms,
}

/// A response with a status that the user can do something about: 401, 403, 404 or 429.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal<'a> {
    /// The status.
    pub status: u16,
    /// The stream that was read, if there was one.
    pub stream: Option<&'a Stream>,
}

/// The words of `check`.
#[derive(Debug)]
pub(crate) struct CheckTerms {
    /// The word for a permission of the credentials.
    pub permission: &'static str,
    /// The end of the sentence about a store that is too slow to test all permissions.
    pub later: &'static str,
    /// The sentence about credentials that lack permissions, before and after the list of them.
    pub lacking: (&'static str, &'static str),
    /// The beginning of the sentence about permissions that could not be tested.
    pub untested: &'static str,
    /// The advice about a missing permission, before its name.
    pub missing: &'static str,
    /// The advice if the store has none of the objects.
    pub nothing_found: &'static str,
    /// The sentences about credentials that the store rejects everywhere, after its name and before the list of
    /// permissions.
    pub all_rejected: &'static str,
    /// The reason why the rows of a store may lack the date of their last change, if they may.
    pub undated: Option<&'static str>,
}
