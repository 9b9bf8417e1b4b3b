//! `check`: tests the configuration with one small request per permission. In a terminal it also prints the permissions
//! of the credentials, the call limit, and the number of rows.

mod tried;

use std::io::Write as _;
use std::time::Duration;

use super::{CommandResult, client, config_input, warn};
use crate::airbyte::message::{CheckStatus, ConnectionStatus, Message};
use crate::airbyte::{Closed, Emitter, Level};
use crate::cli::{CheckArguments, Overrides};
use crate::connector::Connector;
use crate::http::{BoxFuture, Error, RequestEvent, RequestObserver, RetryPolicy};
use crate::output::spinner::Spinner;
use crate::stream::{Scope, Stream};
use crate::sync::query::Query;
use crate::sync::shop::Shop;
use crate::user_error::UserError;
use tried::{FirstRow, Tried, probes, shown, unfinished};

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
            let spinner = Spinner::new(in_terminal, &format!("Checking {}", client.requests().host()));
            let (result, tried) = try_each(&*client, connector, emitter).await?;
            if in_terminal && tried.worked {
                let rows = count_rows(&tried, &*client, &spinner, emitter).await;
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
    let (bound, mut tried) = (client.requests().retry_policy().total, Tried::new(connector));
    let result = match tokio::time::timeout(bound, try_each_permission(client, emitter, &mut tried)).await {
        Ok(result) => result?,
        Err(_) if tried.worked => Ok(Some(unfinished(&client.requests().host(), bound, &connector.terms.check))),
        // The first error says more than the lack of time.
        Err(_) => Err(tried
            .first
            .clone()
            .unwrap_or_else(|| UserError::check_timed_out(&client.requests().host(), bound, connector))),
    };
    Ok((result, tried))
}

/// Returns a request for one row of a stream.
fn one_row(client: &dyn Shop, stream: &'static Stream) -> Query {
    Query::new(stream, 1).part(client.parts(stream).first().map(String::as_str))
}

/// Sends a request for one row. Returns the store's count of the rows, if the response has it.
async fn probe(client: &dyn Shop, query: &Query, row: &mut FirstRow, emitter: &Emitter) -> Result<Option<u64>, Error> {
    let answer = client.requests().list(query, &Requests(emitter), row).await?;
    Ok(answer.page.total)
}

/// Tests all permissions without a time limit.
async fn try_each_permission(client: &dyn Shop, emitter: &Emitter, tried: &mut Tried) -> Result<CheckResult, Closed> {
    if let Some(refusal) = try_first(client, emitter, tried).await? {
        return Ok(Err(refusal));
    }
    for stream in probes(tried.connector) {
        let query = one_row(client, stream);
        // The first failed after all retries, so the others are not retried.
        let query = if tried.first.is_some() && !tried.worked { query.no_retry() } else { query };
        let mut row = FirstRow::default();
        let error = match probe(client, &query, &mut row, emitter).await {
            Ok(rows) => {
                tried.add_readable(stream, rows, &row);
                continue;
            }
            Err(error) => error,
        };
        let user_error = reported(&error, Some(stream), client, tried.connector, emitter).await?;
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
    Ok(tried.result(&client.requests().host()))
}

/// Requests the stream that needs no permission, if the connector has one. Returns the error if no other request can
/// succeed.
async fn try_first(client: &dyn Shop, emitter: &Emitter, tried: &mut Tried) -> Result<Option<UserError>, Closed> {
    let Some(stream) = tried.connector.first_probe else { return Ok(None) };
    let Err(error) = probe(client, &Query::new(stream, 1), &mut FirstRow::default(), emitter).await else {
        return Ok(None);
    };
    let user_error = reported(&error, None, client, tried.connector, emitter).await?;
    tried.is_host = is_of_the_host(&error);
    tried.is_rejected = error.status() == Some(401);
    if tried.is_host || tried.is_rejected {
        return Ok(Some(user_error));
    }
    // A store that does not have it may have the others.
    if !matches!(error.status(), Some(403 | 404)) {
        tried.first = Some(user_error);
    }
    Ok(None)
}

/// Returns the error for the user, and logs its details.
async fn reported(
    error: &Error,
    stream: Option<&Stream>,
    client: &dyn Shop,
    connector: &Connector,
    emitter: &Emitter,
) -> Result<UserError, Closed> {
    let stream = stream.map(|stream| (stream.name, stream));
    let user_error = UserError::request(error, stream, &client.requests().host(), connector);
    if let Some(internal) = &user_error.internal {
        emitter.log(Level::Debug, internal).await?;
    }
    Ok(user_error)
}

/// Returns true if an error does not depend on the requested resource.
fn is_of_the_host(error: &Error) -> bool {
    use crate::http::error::TransportErrorKind::{Broken, Timeout};
    match error.root() {
        Error::Redirect { .. } | Error::Deferred { .. } | Error::Proxy { .. } | Error::Blocked { .. } => true,
        Error::Transport { kind, .. } => !matches!(kind, Broken | Timeout),
        _ => false,
    }
}

/// Returns the store's count of the rows of the suggested streams that can be read. Each takes a request, so
/// nothing is requested if the call limit is low, and no request is retried. Rows inside other rows are not counted.
async fn count_rows(
    tried: &Tried,
    client: &dyn Shop,
    spinner: &Spinner,
    emitter: &Emitter,
) -> Vec<(&'static str, u64)> {
    let mut rows = Vec::new();
    if client.requests().usage().allowed.is_some_and(|allowed| allowed < CALLS) {
        return rows;
    }
    let deadline = tokio::time::Instant::now() + COUNTING;
    let is_readable = |scope: Scope| tried.readable.iter().any(|(stream, _)| stream.scope == scope);
    let streams = tried.connector.suggested.iter().filter_map(|name| tried.connector.find(name));
    for stream in streams.filter(|stream| is_readable(stream.scope) && stream.nested_in.is_none()) {
        spinner.say(&format!("Counting {}", stream.name));
        let known = tried.readable.iter().find(|(probe, _)| probe.name == stream.name).map(|(_, rows)| *rows);
        let counted = match known {
            Some(rows) => rows,
            None => {
                let (query, mut row) = (one_row(client, stream).no_retry(), FirstRow::default());
                let asked = probe(client, &query, &mut row, emitter);
                tokio::time::timeout_at(deadline, asked).await.ok().and_then(Result::ok).flatten()
            }
        };
        rows.extend(counted.map(|counted| (stream.name, counted)));
    }
    rows
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
