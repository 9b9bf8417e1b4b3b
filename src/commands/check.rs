//! `check`: tries the configuration with one cheap request per scope. A person in a terminal also sees which scopes
//! the token has, the call limit, and how many rows there are.

use std::io::Write as _;
use std::time::Duration;

use super::{client, warn};
use crate::airbyte::message::{ConnectionStatus, Message};
use crate::airbyte::{Closed, Emitter, Level};
use crate::cart::{Client, Error, ListNames, Query, RequestEvent, RequestObserver, RetryPolicy, page};
use crate::config::Config;
use crate::output::progress;
use crate::output::spinner::Spinner;
use crate::output::table::{aligned, cut, grouped};
use crate::streams::{self, LIST_NAMES, STREAMS, SUGGESTED, Scope, Stream};
use crate::user_error::{UserError, short_reason};

/// Streams are only counted where the call limit lets all requests of a check pass in one window: one for each scope
/// and each suggested stream. Where the store tells no limit, nothing is known to be in the way.
const CALLS: u32 = 20;

/// The time for counting: a person waits for no more than a window of the call limit.
const COUNTING: Duration = Duration::from_secs(10);

/// Tries the configuration: one cheap request per scope. Returns true if the connection works. `in_terminal` shows
/// the details on stderr.
///
/// # Errors
/// [`Closed`] if stdout is gone.
pub(crate) async fn check(
    config: Result<Config, UserError>,
    in_terminal: bool,
    emitter: &Emitter,
) -> Result<bool, Closed> {
    warn(config.as_ref().map(|config| config.warnings.as_slice()).unwrap_or_default(), emitter).await?;
    let client = config.and_then(|config| client(&config, RetryPolicy::CHECK));
    let result = match client {
        Ok(client) => {
            let spinner = Spinner::new(in_terminal, &format!("Checking {}", client.host()));
            let (result, tried) = try_each(&client, emitter).await?;
            if in_terminal && tried.worked {
                let rows = tried.rows(&client, &spinner, emitter).await;
                drop(spinner);
                // The verdict follows, whether or not anybody can be told of this.
                let _ignored = std::io::stderr().write_all(shown(&tried, &rows, &client).as_bytes());
            }
            result
        }
        Err(user_error) => Err(user_error.message),
    };
    if let Ok(Some(note)) = &result {
        emitter.log(Level::Warn, note).await?;
    }
    let (status, message) = match &result {
        Ok(note) => ("SUCCEEDED", note.as_deref()),
        Err(message) => ("FAILED", Some(message.as_str())),
    };
    let message = message.map(|text| emitter.masked(text));
    let connection_status = ConnectionStatus { status, message: message.as_deref() };
    emitter.message(&Message::ConnectionStatus { connection_status }).await?;
    Ok(result.is_ok())
}

/// The note of a check that found the sign-in good and ran out of time.
fn unfinished(host: &str, bound: Duration) -> String {
    format!(
        "{host} accepts the credentials, but is so slow that not every scope could be tested within {} seconds. Run `check` again later to see whether the token lacks a scope.",
        bound.as_secs()
    )
}

/// Whether at least one scope works; a note if not all do, or why none does. Takes no longer than the
/// client's patience in all.
///
/// # Errors
/// [`Closed`] if stdout is gone.
pub(crate) async fn try_scopes(client: &Client, emitter: &Emitter) -> Result<Result<Option<String>, Refusal>, Closed> {
    let (result, tried) = try_each(client, emitter).await?;
    Ok(result.map_err(|message| Refusal { message, suspect: tried.suspect() }))
}

/// Why a configuration does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// For the user.
    pub message: String,
    /// What may be wrong.
    pub suspect: Option<Suspect>,
}

/// The part of a configuration that may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suspect {
    /// The token, or the user of the router.
    SignIn,
    /// The host.
    Host,
}

/// The same, and what came of each scope.
async fn try_each(client: &Client, emitter: &Emitter) -> Result<(Result<Option<String>, String>, Tried), Closed> {
    let (bound, mut tried) = (client.retry_policy().total, Tried::default());
    let result = match tokio::time::timeout(bound, try_each_scope(client, emitter, &mut tried)).await {
        Ok(result) => result?,
        Err(_) if tried.worked => Ok(Some(unfinished(&client.host(), bound))),
        // What was wrong at first says more than that there is no time left.
        Err(_) => Err(tried.first.clone().unwrap_or_else(|| UserError::check_timed_out(&client.host(), bound).message)),
    };
    Ok((result, tried))
}

/// What came of the scopes that were tried.
#[derive(Default)]
struct Tried {
    worked: bool,
    /// They work; with the rows that the store counts.
    readable: Vec<(&'static Stream, Option<u64>)>,
    /// The first sentence about a fault that is no refusal.
    first: Option<String>,
    /// A fault came from the host as such, not from what was requested.
    is_host: bool,
    /// The token lacks them.
    refused: Vec<&'static Stream>,
    /// The store does not know them.
    unknown: Vec<&'static Stream>,
    /// They failed otherwise: in what way.
    failed: Vec<(&'static Stream, String)>,
}

/// The streams that are tried: the smallest of each scope.
fn probes() -> impl Iterator<Item = &'static Stream> {
    STREAMS.iter().filter(|stream| stream.is_scope_probe)
}

/// Requests one row of a stream. Returns how many rows the store counts, if it says so.
async fn probe(client: &Client, stream: &Stream, query: Query, emitter: &Emitter) -> Result<Option<u64>, Error> {
    let own = [stream.list, stream.name];
    let names = ListNames { own: &own, foreign: &LIST_NAMES };
    let answer = client.get(&query, names, &Requests(emitter), &mut page::Discard).await?;
    Ok(answer.page.total)
}

/// The same without a bound.
async fn try_each_scope(
    client: &Client,
    emitter: &Emitter,
    tried: &mut Tried,
) -> Result<Result<Option<String>, String>, Closed> {
    for stream in probes() {
        let query = Query::new(stream.name, 1);
        // Where the first that was asked for with patience failed, the others are soon told.
        let query = if tried.first.is_some() && !tried.worked { query.no_retry() } else { query };
        let error = match probe(client, stream, query, emitter).await {
            Ok(rows) => {
                tried.worked = true;
                tried.readable.push((stream, rows));
                continue;
            }
            Err(error) => error,
        };
        let user_error = UserError::request(&error, Some((stream.name, stream)), &client.host());
        if let Some(internal) = &user_error.internal {
            emitter.log(Level::Debug, internal).await?;
        }
        match error.status() {
            Some(401 | 403) => tried.refused.push(stream),
            Some(404) => tried.unknown.push(stream),
            // This would meet every request.
            _ if is_of_the_host(&error) && !tried.worked => {
                tried.is_host = true;
                return Ok(Err(user_error.message));
            }
            _ => {
                tried.is_host |= matches!(error.root(), Error::Body { .. });
                tried.failed.push((stream, short_reason(&error)));
                tried.first.get_or_insert(user_error.message);
            }
        }
    }
    Ok(tried.result(&client.host()))
}

/// Whether a fault has nothing to do with what was asked for.
fn is_of_the_host(error: &Error) -> bool {
    use crate::cart::error::TransportErrorKind::{Broken, Timeout};
    match error.root() {
        Error::Redirect { .. } | Error::Deferred { .. } | Error::Proxy { .. } => true,
        Error::Transport { kind, .. } => !matches!(kind, Broken | Timeout),
        _ => false,
    }
}

impl Tried {
    /// A note if not all scopes work, or why none does.
    fn result(&self, host: &str) -> Result<Option<String>, String> {
        if !self.worked {
            return Err(match &self.first {
                Some(first) => first.clone(),
                None if self.refused.is_empty() => format!(
                    "{host} has none of the API's resources (HTTP 404). Check that `store_name` is the host of your Cart.com store."
                ),
                None => {
                    let probes = STREAMS.iter().filter(|stream| stream.is_scope_probe);
                    let scopes: Vec<&str> = probes.map(|stream| stream.scope.name()).collect();
                    format!(
                        "{host} rejected the credentials (HTTP 401) on every tested resource. Check that the token is complete, was not revoked and belongs to this store, or check the router credentials. A token needs at least one of the scopes {}.",
                        scopes.join(", ")
                    )
                }
            });
        }
        let mut note = Vec::new();
        if !self.refused.is_empty() {
            let lacking: Vec<String> = self.refused.iter().map(|probe| lacking(probe.scope)).collect();
            note.push(format!(
                "The token lacks {}, so their streams cannot be read. Leave these streams out of the sync, or create a new token with the missing scopes.",
                lacking.join("; ")
            ));
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
                "Could not test whether the token has {}. Run `check` again later; until then, their streams may fail.",
                failed.join(", ")
            ));
        }
        Ok((!note.is_empty()).then(|| note.join(" ")))
    }
    /// Returns what may be wrong where nothing works.
    fn suspect(&self) -> Option<Suspect> {
        match self {
            Self { is_host: true, .. } => Some(Suspect::Host),
            Self { refused, .. } if !refused.is_empty() => Some(Suspect::SignIn),
            Self { unknown, failed, .. } if !unknown.is_empty() && failed.is_empty() => Some(Suspect::Host),
            _ => None,
        }
    }

    /// Returns what a person sees of a scope: whether it can be read, and what to do if not.
    fn access(&self, stream: &Stream) -> String {
        let is = |other: &&Stream| other.name == stream.name;
        let scope = stream.scope.name();
        if self.readable.iter().any(|(readable, _)| is(readable)) {
            "yes".to_owned()
        } else if self.refused.iter().any(is) {
            format!("no: create a token with {scope}")
        } else if self.unknown.iter().any(is) {
            "no: not available in this store".to_owned()
        } else {
            let how = self.failed.iter().find(|(failed, _)| is(failed)).map(|(_, how)| how.as_str());
            format!("not tested: {}", how.unwrap_or("no time was left"))
        }
    }

    /// Returns the rows of the suggested streams that the token can read and the store counts. They cost a request
    /// each, so nothing is requested where the call limit is low, and none is tried twice.
    async fn rows(&self, client: &Client, spinner: &Spinner, emitter: &Emitter) -> Vec<(&'static str, u64)> {
        let mut rows = Vec::new();
        if client.usage().allowed.is_some_and(|allowed| allowed < CALLS) {
            return rows;
        }
        let deadline = tokio::time::Instant::now() + COUNTING;
        let is_readable = |scope: Scope| self.readable.iter().any(|(stream, _)| stream.scope == scope);
        let streams = SUGGESTED.iter().filter_map(|name| streams::find(name));
        for stream in streams.filter(|stream| is_readable(stream.scope)) {
            spinner.say(&format!("Counting {}", stream.name));
            let known = self.readable.iter().find(|(probe, _)| probe.name == stream.name).map(|(_, rows)| *rows);
            let counted = match known {
                Some(rows) => rows,
                None => {
                    let asked = probe(client, stream, Query::new(stream.name, 1).no_retry(), emitter);
                    tokio::time::timeout_at(deadline, asked).await.ok().and_then(Result::ok).flatten()
                }
            };
            rows.extend(counted.map(|counted| (stream.name, counted)));
        }
        rows
    }
}

/// Returns what a person sees in a terminal, within its width.
fn shown(tried: &Tried, rows: &[(&str, u64)], client: &Client) -> String {
    let cells = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
    let mut scopes = vec![cells(["scope", "readable"])];
    scopes.extend(probes().map(|stream| cells([stream.scope.name(), &tried.access(stream)])));
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

/// A scope, with the first of its streams; the documentation lists them all.
fn lacking(scope: Scope) -> String {
    const SHOWN: usize = 3;
    let names: Vec<&str> = STREAMS.iter().filter(|stream| stream.scope == scope).map(|stream| stream.name).collect();
    let rest = names.len().saturating_sub(SHOWN);
    let more = if rest == 0 { String::new() } else { format!(" and {rest} more") };
    format!("`{}` ({}{more})", scope.name(), names[..names.len() - rest].join(", "))
}

/// Logs each request. Nobody is told of waits in `check`: it ends within its patience, and says then.
struct Requests<'e>(&'e Emitter);

impl RequestObserver for Requests<'_> {
    async fn on_event(&self, event: RequestEvent<'_>) {
        if let RequestEvent::Done(exchange) = event {
            // A closed stdout is noticed where the verdict is written.
            let _ignored = self.0.log(Level::Debug, &format!("{exchange}.")).await;
        }
    }
}
