//! `check`: tests the configuration with one small request per permission. In a terminal it also prints the permissions
//! of the credentials, the call limit, and the number of rows.

use std::io::Write as _;
use std::time::Duration;

use super::{CommandResult, client, config_input, warn};
use crate::airbyte::message::{CheckStatus, ConnectionStatus, Message};
use crate::airbyte::{Closed, Emitter, Level};
use crate::cli::{CheckArguments, Overrides};
use crate::connector::{CheckTerms, Connector};
use crate::http::{BoxFuture, Discard, Error, RequestEvent, RequestObserver, RetryPolicy};
use crate::output::progress;
use crate::output::spinner::Spinner;
use crate::output::table::{aligned, cut, grouped};
use crate::stream::{Scope, Stream};
use crate::sync::query::Query;
use crate::sync::shop::Shop;
use crate::user_error::UserError;

/// Minimum call limit for counting rows: all requests of a check, one for each permission and each suggested stream, fit in
/// one window. Rows are also counted if the store does not report its limit.
const CALLS: u32 = 20;

/// Maximum time for counting rows: a person waits for one window of the call limit.
const COUNTING: Duration = Duration::from_secs(10);

/// Tests the configuration and prints the result. With `--fail` a failed connection is a failure of the command.
/// `in_terminal` prints the details on stderr.
pub(crate) async fn run(
    arguments: &CheckArguments,
    in_terminal: bool,
    connector: &'static Connector,
    emitter: &Emitter,
) -> CommandResult {
    emitter.log(Level::Debug, connector.version).await?;
    let config = config_input::config(arguments.with.config.as_deref(), &Overrides::default(), connector);
    emitter.hide(config.as_ref().map(|config| config.shop.store.secrets()).unwrap_or_default());
    warn(config.as_ref().map(|config| config.warnings.as_slice()).unwrap_or_default(), emitter).await?;
    let client = config.and_then(|config| client(&config, RetryPolicy::CHECK));
    let result = match client {
        Ok(client) => {
            let spinner = Spinner::new(in_terminal, &format!("Checking {}", client.host()));
            let (result, tried) = try_each(&*client, connector, emitter).await?;
            if in_terminal && tried.worked {
                let rows = tried.rows(&*client, &spinner, emitter).await;
                drop(spinner);
                // The result follows, even if stderr is closed.
                let _ignored = std::io::stderr().write_all(shown(&tried, &rows, &*client).as_bytes());
            }
            result
        }
        Err(user_error) => Err(user_error),
    };
    if let Ok(Some(note)) = &result {
        emitter.log(Level::Warn, note).await?;
    }
    let (status, message) = match &result {
        Ok(note) => (CheckStatus::Succeeded, note.as_deref()),
        Err(user_error) => (CheckStatus::Failed, Some(user_error.message.as_str())),
    };
    let message = message.map(|text| emitter.masked(text));
    let connection_status = ConnectionStatus { status, message };
    emitter.message(Message::ConnectionStatus { connection_status }).await?;
    Ok(result.is_ok() || !arguments.fail)
}

/// Returns the note for a store that accepts the credentials, but answered too slowly to test all permissions.
fn unfinished(host: &str, bound: Duration, terms: &CheckTerms) -> String {
    let (seconds, CheckTerms { permission, later, .. }) = (bound.as_secs(), terms);
    format!(
        "{host} accepts the credentials, but is so slow that not every {permission} could be tested within {seconds} seconds. Run `check` again later {later}."
    )
}

/// Tests all permissions, within the time of the client's retry policy. Succeeds if at least one works, with a note if not
/// all do.
pub(super) async fn try_all(
    client: &dyn Shop,
    connector: &'static Connector,
    emitter: &Emitter,
) -> Result<Result<Option<String>, Refusal>, Closed> {
    let (result, tried) = try_each(client, connector, emitter).await?;
    Ok(result.map_err(|user_error| Refusal { message: user_error.message, suspect: tried.suspect() }))
}

/// The reason why a configuration does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The error for the user.
    pub message: String,
    /// The part that may be wrong, if it is known.
    pub suspect: Option<Suspect>,
}

/// The part of a configuration that may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suspect {
    /// The credentials.
    SignIn,
    /// The host.
    Host,
}

/// The result of a check: a note if not all permissions work, an error if none does.
type CheckResult = Result<Option<String>, UserError>;

/// Tests all permissions, and returns the result of each as well.
async fn try_each(
    client: &dyn Shop,
    connector: &'static Connector,
    emitter: &Emitter,
) -> Result<(CheckResult, Tried), Closed> {
    let (bound, mut tried) = (client.retry_policy().total, Tried::new(connector));
    let result = match tokio::time::timeout(bound, try_each_permission(client, emitter, &mut tried)).await {
        Ok(result) => result?,
        Err(_) if tried.worked => Ok(Some(unfinished(&client.host(), bound, &connector.terms.check))),
        // The first error says more than the lack of time.
        Err(_) => {
            Err(tried.first.clone().unwrap_or_else(|| UserError::check_timed_out(&client.host(), bound, connector)))
        }
    };
    Ok((result, tried))
}

/// The results of the permissions.
struct Tried {
    connector: &'static Connector,
    worked: bool,
    /// Readable streams, with the store's count of the rows.
    readable: Vec<(&'static Stream, Option<u64>)>,
    /// The first error other than a refusal.
    first: Option<UserError>,
    /// True if an error is one of the host, not of a resource.
    is_host: bool,
    /// Streams that the credentials may not read.
    refused: Vec<&'static Stream>,
    /// Streams that the store does not know.
    unknown: Vec<&'static Stream>,
    /// Streams with another error.
    failed: Vec<(&'static Stream, String)>,
}

/// Returns the streams to request: the smallest of each permission.
fn probes(connector: &'static Connector) -> impl Iterator<Item = &'static Stream> {
    connector.streams.iter().filter(|stream| stream.is_scope_probe)
}

/// Requests one row of a stream. Returns the store's count of the rows, if the response has it.
async fn probe(client: &dyn Shop, query: Query, emitter: &Emitter) -> Result<Option<u64>, Error> {
    let answer = client.list(&query, &Requests(emitter), &mut Discard).await?;
    Ok(answer.page.total)
}

/// Tests all permissions without a time limit.
async fn try_each_permission(client: &dyn Shop, emitter: &Emitter, tried: &mut Tried) -> Result<CheckResult, Closed> {
    for stream in probes(tried.connector) {
        let query = Query::new(stream, 1);
        // The first failed after all retries, so the others are not retried.
        let query = if tried.first.is_some() && !tried.worked { query.no_retry() } else { query };
        let error = match probe(client, query, emitter).await {
            Ok(rows) => {
                tried.worked = true;
                tried.readable.push((stream, rows));
                continue;
            }
            Err(error) => error,
        };
        let user_error = UserError::request(&error, Some((stream.name, stream)), &client.host(), tried.connector);
        if let Some(internal) = &user_error.internal {
            emitter.log(Level::Debug, internal).await?;
        }
        match error.status() {
            Some(401 | 403) => tried.refused.push(stream),
            Some(404) => tried.unknown.push(stream),
            // All requests would fail in the same way.
            _ if is_of_the_host(&error) && !tried.worked => {
                tried.is_host = true;
                return Ok(Err(user_error));
            }
            _ => {
                tried.is_host |= matches!(error.root(), Error::Body { .. });
                tried.failed.push((stream, error.short_reason()));
                tried.first.get_or_insert(user_error);
            }
        }
    }
    Ok(tried.result(&client.host()))
}

/// Returns true if an error does not depend on the requested resource.
fn is_of_the_host(error: &Error) -> bool {
    use crate::http::error::TransportErrorKind::{Broken, Timeout};
    match error.root() {
        Error::Redirect { .. } | Error::Deferred { .. } | Error::Proxy { .. } => true,
        Error::Transport { kind, .. } => !matches!(kind, Broken | Timeout),
        _ => false,
    }
}

impl Tried {
    fn new(connector: &'static Connector) -> Self {
        Self {
            connector,
            worked: false,
            readable: Vec::new(),
            first: None,
            is_host: false,
            refused: Vec::new(),
            unknown: Vec::new(),
            failed: Vec::new(),
        }
    }

    /// Returns the result of the check.
    fn result(&self, host: &str) -> CheckResult {
        let terms = &self.connector.terms.check;
        if !self.worked {
            return Err(match &self.first {
                Some(first) => first.clone(),
                None if self.refused.is_empty() => UserError::check_found_nothing(host, self.connector),
                None => {
                    let permissions: Vec<&str> = probes(self.connector).map(|stream| stream.scope.name()).collect();
                    UserError::check_rejected(host, &permissions, self.connector)
                }
            });
        }
        let mut note = Vec::new();
        if !self.refused.is_empty() {
            let lacking: Vec<String> =
                self.refused.iter().map(|probe| lacking(probe.scope, self.connector.streams)).collect();
            let (before, after) = terms.lacking;
            note.push(format!("{before} {}, {after}", lacking.join("; ")));
        }
        if !self.unknown.is_empty() {
            let names: Vec<&str> = self.unknown.iter().map(|stream| stream.name).collect();
            note.push(format!("{host} does not have {} (HTTP 404). Leave them out of the sync.", names.join(", ")));
        }
        if !self.failed.is_empty() {
            let named =
                |(stream, how): &(&Stream, String)| format!("`{}` ({how} on `{}`)", stream.scope.name(), stream.name);
            let failed: Vec<String> = self.failed.iter().map(named).collect();
            note.push(format!(
                "{} {}. Run `check` again later; until then, their streams may fail.",
                terms.untested,
                failed.join(", ")
            ));
        }
        Ok((!note.is_empty()).then(|| note.join(" ")))
    }

    /// Returns the part of the configuration that may be wrong if nothing works.
    fn suspect(&self) -> Option<Suspect> {
        match self {
            Self { is_host: true, .. } => Some(Suspect::Host),
            Self { refused, .. } if !refused.is_empty() => Some(Suspect::SignIn),
            Self { unknown, failed, .. } if !unknown.is_empty() && failed.is_empty() => Some(Suspect::Host),
            _ => None,
        }
    }

    /// Returns the access to a permission for the table, with what to do if it is missing.
    fn access(&self, stream: &Stream) -> String {
        let is = |other: &&Stream| other.name == stream.name;
        let scope = stream.scope.name();
        if self.readable.iter().any(|(readable, _)| is(readable)) {
            "yes".to_owned()
        } else if self.refused.iter().any(is) {
            format!("no: {} {scope}", self.connector.terms.check.missing)
        } else if self.unknown.iter().any(is) {
            "no: not available in this store".to_owned()
        } else {
            let how = self.failed.iter().find(|(failed, _)| is(failed)).map(|(_, how)| how.as_str());
            format!("not tested: {}", how.unwrap_or("no time was left"))
        }
    }

    /// Returns the store's count of the rows of the suggested streams that can be read. Each takes a request, so
    /// nothing is requested if the call limit is low, and no request is retried.
    async fn rows(&self, client: &dyn Shop, spinner: &Spinner, emitter: &Emitter) -> Vec<(&'static str, u64)> {
        let mut rows = Vec::new();
        if client.usage().allowed.is_some_and(|allowed| allowed < CALLS) {
            return rows;
        }
        let deadline = tokio::time::Instant::now() + COUNTING;
        let is_readable = |scope: Scope| self.readable.iter().any(|(stream, _)| stream.scope == scope);
        let streams = self.connector.suggested.iter().filter_map(|name| self.connector.find(name));
        for stream in streams.filter(|stream| is_readable(stream.scope)) {
            spinner.say(&format!("Counting {}", stream.name));
            let known = self.readable.iter().find(|(probe, _)| probe.name == stream.name).map(|(_, rows)| *rows);
            let counted = match known {
                Some(rows) => rows,
                None => {
                    let asked = probe(client, Query::new(stream, 1).no_retry(), emitter);
                    tokio::time::timeout_at(deadline, asked).await.ok().and_then(Result::ok).flatten()
                }
            };
            rows.extend(counted.map(|counted| (stream.name, counted)));
        }
        rows
    }
}

/// Returns the details for a terminal, cut to its width.
fn shown(tried: &Tried, rows: &[(&str, u64)], client: &dyn Shop) -> String {
    let cells = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
    let mut scopes = vec![cells([tried.connector.terms.check.permission, "readable"])];
    scopes.extend(probes(tried.connector).map(|stream| cells([stream.scope.name(), &tried.access(stream)])));
    let mut text = aligned(&scopes, &[]);
    if !rows.is_empty() {
        let mut counts = vec![cells(["stream", "rows"])];
        counts.extend(rows.iter().map(|(stream, rows)| cells([stream, &grouped(*rows)])));
        text.push('\n');
        text.push_str(&aligned(&counts, &[1]));
    }
    let window = client.retry_policy().backoff.window.as_secs().max(1);
    if let Some(allowed) = client.usage().allowed {
        text.push_str(&format!("\ncall limit: {allowed} calls per {window} s, for all applications of the store\n"));
    }
    let (width, _) = progress::terminal();
    text.lines().map(|line| cut(line, width) + "\n").collect()
}

/// Returns a permission with its first streams; the documentation lists them all.
fn lacking(scope: Scope, table: &[Stream]) -> String {
    const SHOWN: usize = 3;
    let names: Vec<&str> = table.iter().filter(|stream| stream.scope == scope).map(|stream| stream.name).collect();
    let rest = names.len().saturating_sub(SHOWN);
    let more = if rest == 0 { String::new() } else { format!(" and {rest} more") };
    format!("`{}` ({}{more})", scope.name(), names[..names.len() - rest].join(", "))
}

/// Logs each request. Waits are not logged: `check` ends within the time of its retry policy.
struct Requests<'e>(&'e Emitter);

impl RequestObserver for Requests<'_> {
    fn on_event<'a>(&'a self, event: RequestEvent<'a>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let RequestEvent::Done(exchange) = event {
                // A closed stdout is reported when the result is written.
                let _ignored = self.0.log(Level::Debug, &format!("{exchange}.")).await;
            }
        })
    }
}
