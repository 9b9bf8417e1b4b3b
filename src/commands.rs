//! `spec`, `check`, `discover` and `catalog`, and the files that the commands are given. Both sides meet here.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::airbyte::catalog::{self, Written};
use crate::airbyte::message::{Catalog, ConnectionStatus, Message, Stream as CatalogStream};
use crate::airbyte::{Closed, Emitter, Level};
use crate::cart::{Budget, Client, Error, ListNames, Notice, Patience, Query, Watch, page};
use crate::cli;
use crate::config::{self, Config};
use crate::failure::{Failure, in_short};
use crate::fields::Fields;
use crate::given;
use crate::json;
use crate::selection::Chosen;
use crate::spec;
use crate::streams::{CURSOR, LIST_NAMES, STREAMS, Scope, Stream};
use crate::view::View;

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
/// [`Failure`] that names each fault in what is asked.
pub(crate) fn view(config: Option<&Path>) -> Result<(View, Vec<String>), Failure> {
    let Some(path) = config else { return Ok((View::default(), Vec::new())) };
    let fields = Fields::parse(&config_text(path)?).map_err(|fault| Failure::config(&[fault]))?;
    let view = View::parse(&fields).map_err(|faults| Failure::config(&faults))?;
    Ok((view, config::unknown(&fields)))
}

/// Logs a warning for each doubt about what the user gave.
///
/// # Errors
/// [`Closed`] if stdout is gone.
pub(crate) async fn warn(doubts: &[String], emitter: &Emitter) -> Result<(), Closed> {
    for doubt in doubts {
        emitter.log(Level::Warn, doubt).await?;
    }
    Ok(())
}

/// Prints the catalog.
///
/// # Errors
/// [`Closed`] if stdout is gone.
pub(crate) async fn discover(view: &View, emitter: &Emitter) -> Result<(), Closed> {
    let streams = STREAMS.iter().filter_map(|stream| described(stream, view)).collect();
    emitter.message(&Message::Catalog { catalog: Catalog { streams } }).await
}

/// Prints the completions of a shell.
///
/// # Errors
/// [`Closed`] if stdout is gone.
pub(crate) async fn completions(shell: clap_complete::Shell, emitter: &Emitter) -> Result<(), Closed> {
    let mut script = Vec::new();
    let mut command = cli::command_line();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut script);
    emitter.send(script).await
}

/// Prints a configured catalog of these streams.
///
/// # Errors
/// [`Closed`] if stdout is gone.
pub(crate) async fn catalog(
    streams: &[Chosen],
    full_refresh: bool,
    view: &View,
    emitter: &Emitter,
) -> Result<(), Closed> {
    let written = streams.iter().filter_map(|chosen| {
        let described = CatalogStream { name: chosen.name, ..described(chosen.stream, view)? };
        Some(Written::new(described, chosen.mode(full_refresh)))
    });
    emitter.send(catalog::written(&written.collect::<Vec<_>>())).await
}

fn described(stream: &'static Stream, view: &View) -> Option<CatalogStream<'static>> {
    let modes: &[&str] = if stream.dated { &["full_refresh", "incremental"] } else { &["full_refresh"] };
    // The table's own text keeps its order of fields.
    let json_schema =
        if view.widens(stream) { compact(&view.schema(stream)?.to_string())? } else { compact(stream.schema)? };
    Some(CatalogStream {
        name: stream.name,
        json_schema,
        supported_sync_modes: modes,
        source_defined_cursor: stream.dated.then_some(true),
        default_cursor_field: stream.dated.then_some([CURSOR]),
        source_defined_primary_key: [[stream.key]],
        is_resumable: stream.dated.then_some(true),
    })
}

fn compact(text: &str) -> Option<Box<RawValue>> {
    let mut out = Vec::with_capacity(text.len());
    json::write_compact(text.as_bytes(), &mut out);
    RawValue::from_string(String::from_utf8(out).ok()?).ok()
}

/// Tries the configuration: one cheap request per scope.
///
/// # Errors
/// [`Closed`] if stdout is gone.
pub(crate) async fn check(config: Result<Config, Failure>, emitter: &Emitter) -> Result<(), Closed> {
    warn(config.as_ref().map(|config| config.doubts.as_slice()).unwrap_or_default(), emitter).await?;
    let client = config.and_then(|config| client(&config, Patience::CHECK));
    let verdict = match client {
        Ok(client) => try_scopes(&client, emitter).await?,
        Err(failure) => Err(failure.message),
    };
    if let Ok(Some(note)) = &verdict {
        emitter.log(Level::Warn, note).await?;
    }
    let (status, message) = match &verdict {
        Ok(note) => ("SUCCEEDED", note.as_deref()),
        Err(message) => ("FAILED", Some(message.as_str())),
    };
    let message = message.map(|text| emitter.masked(text));
    let connection_status = ConnectionStatus { status, message: message.as_deref() };
    emitter.message(&Message::ConnectionStatus { connection_status }).await
}

/// The note of a check that found the sign-in good and ran out of time.
fn unfinished(host: &str, bound: Duration) -> String {
    format!(
        "{host} accepts the sign-in, but answers so slowly that not every scope could be tried within {} seconds. A sync may take long; check again later to see whether the token lacks a scope.",
        bound.as_secs()
    )
}

/// Whether at least one scope works; a note if not all do, or why none does. Takes no longer than the
/// client's patience in all.
///
/// # Errors
/// [`Closed`] if stdout is gone.
pub(crate) async fn try_scopes(client: &Client, emitter: &Emitter) -> Result<Result<Option<String>, String>, Closed> {
    let (bound, mut tried) = (client.patience().total, Tried::default());
    match tokio::time::timeout(bound, try_each_scope(client, emitter, &mut tried)).await {
        Ok(verdict) => verdict,
        Err(_) if tried.worked => Ok(Ok(Some(unfinished(&client.host(), bound)))),
        // What was wrong at first says more than that there is no time left.
        Err(_) => Ok(Err(tried.first.unwrap_or_else(|| Failure::slow_check(&client.host(), bound).message))),
    }
}

/// What came of the scopes that were tried.
#[derive(Default)]
struct Tried {
    worked: bool,
    /// The first sentence about a fault that is no refusal.
    first: Option<String>,
    /// The token lacks them.
    refused: Vec<&'static Stream>,
    /// The store does not know them.
    unknown: Vec<&'static Stream>,
    /// They failed otherwise: in what way.
    failed: Vec<(&'static Stream, String)>,
}

/// The same without a bound.
async fn try_each_scope(
    client: &Client,
    emitter: &Emitter,
    tried: &mut Tried,
) -> Result<Result<Option<String>, String>, Closed> {
    let probes = || STREAMS.iter().filter(|stream| stream.probe);
    for stream in probes() {
        let own = [stream.list, stream.name];
        let names = ListNames { own: &own, foreign: &LIST_NAMES };
        let query = Query::new(stream.name, 1);
        // Where the first that was asked for with patience failed, the others are soon told.
        let query = if tried.first.is_some() && !tried.worked { query.once() } else { query };
        let answer = client.get(&query, names, &Quiet, &mut page::Discard).await;
        let Err(error) = answer else {
            tried.worked = true;
            continue;
        };
        let failure = Failure::request(&error, Some((stream.name, stream)), &client.host());
        if let Some(internal) = &failure.internal {
            emitter.log(Level::Debug, internal).await?;
        }
        match error.status() {
            Some(401 | 403) => tried.refused.push(stream),
            Some(404) => tried.unknown.push(stream),
            // This would meet every request.
            _ if is_of_the_host(&error) && !tried.worked => return Ok(Err(failure.message)),
            _ => {
                tried.failed.push((stream, in_short(&error)));
                tried.first.get_or_insert(failure.message);
            }
        }
    }
    Ok(tried.verdict(&client.host()))
}

/// Whether a fault has nothing to do with what was asked for.
fn is_of_the_host(error: &Error) -> bool {
    use crate::cart::error::Transport::{Broken, Timeout};
    match error.root() {
        Error::Redirect { .. } | Error::Deferred { .. } | Error::Proxy { .. } => true,
        Error::Transport { kind, .. } => !matches!(kind, Broken | Timeout),
        _ => false,
    }
}

impl Tried {
    /// A note if not all scopes work, or why none does.
    fn verdict(&self, host: &str) -> Result<Option<String>, String> {
        if !self.worked {
            return Err(match &self.first {
                Some(first) => first.clone(),
                None if self.refused.is_empty() => format!(
                    "{host} does not know the API's resources (HTTP 404). Check that `store_name` is the host of your Cart.com store."
                ),
                None => {
                    let probes = STREAMS.iter().filter(|stream| stream.probe);
                    let scopes: Vec<&str> = probes.map(|stream| stream.scope.name()).collect();
                    format!(
                        "{host} refused the sign-in (HTTP 401) on every resource that was tried. Check that the token is copied whole, was not revoked and belongs to this store, or check the router credentials; a token needs at least one of the scopes {}.",
                        scopes.join(", ")
                    )
                }
            });
        }
        let mut note = Vec::new();
        if !self.refused.is_empty() {
            let lacking: Vec<String> = self.refused.iter().map(|probe| lacking(probe.scope)).collect();
            note.push(format!(
                "The token lacks {}, so their streams cannot be read with it. Leave these streams out of the sync, or make a new token that has what is missing.",
                lacking.join("; ")
            ));
        }
        if !self.unknown.is_empty() {
            let names: Vec<&str> = self.unknown.iter().map(|stream| stream.name).collect();
            note.push(format!("{host} does not know {} (HTTP 404). Leave them out of the sync.", names.join(", ")));
        }
        if !self.failed.is_empty() {
            let named =
                |(stream, how): &(&Stream, String)| format!("`{}` ({how} on `{}`)", stream.scope.name(), stream.name);
            let failed: Vec<String> = self.failed.iter().map(named).collect();
            note.push(format!(
                "It could not be found out whether the token has {}. Check again later; until then their streams may fail.",
                failed.join(", ")
            ));
        }
        Ok((!note.is_empty()).then(|| note.join(" ")))
    }
}

/// A scope, with the first of its streams; the documentation lists them all.
fn lacking(scope: Scope) -> String {
    const SHOWN: usize = 3;
    let names: Vec<&str> = STREAMS.iter().filter(|stream| stream.scope == scope).map(|stream| stream.name).collect();
    let rest = names.len().saturating_sub(SHOWN);
    let more = if rest == 0 { String::new() } else { format!(" and {rest} more") };
    format!("`{}` ({}{more})", scope.name(), names[..names.len() - rest].join(", "))
}

/// Nobody is told of waits in `check`: it ends within its patience, and says then.
struct Quiet;

impl Watch for Quiet {
    async fn notice(&self, _: Notice<'_>) {}
}

/// A client for the configured store.
///
/// # Errors
/// [`Failure`] if TLS cannot be set up.
pub(crate) fn client(config: &Config, patience: Patience) -> Result<Arc<Client>, Failure> {
    let patience = patience.at_most(config.retry, config.timeout);
    let budget = Budget::new(config.share, patience.waits.window);
    Client::new(config.base.clone(), config.auth.clone(), budget, config.in_flight, patience)
        .map(Arc::new)
        .map_err(|problem| Failure::setup(&problem))
}

/// Reads a file that the command line names; `what` is `config`, `catalog` or `state`.
///
/// # Errors
/// [`Failure`] that names the file and what is wrong with it.
pub(crate) fn file(what: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    let failure = |problem: &str| Failure::file(what, &path.display().to_string(), problem);
    let most = if what == "config" { LARGEST_CONFIG } else { LARGEST_FILE };
    let text = given::read(path, most).map_err(|problem| failure(&problem))?;
    match std::str::from_utf8(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err(failure("is not UTF-8 text")),
    }
}

/// Reads the configuration's text, from standard input if the path is `-`.
fn config_text(path: &Path) -> Result<Vec<u8>, Failure> {
    if path != Path::new("-") {
        return file("config", path);
    }
    let mut text = Vec::new();
    let read = std::io::stdin().lock().take(LARGEST_CONFIG + 1).read_to_end(&mut text);
    let size = read.map_err(|error| Failure::standard_input(&format!("cannot be read ({error})")))?;
    if size as u64 > LARGEST_CONFIG {
        return Err(Failure::standard_input(&format!("is larger than {} MiB", LARGEST_CONFIG >> 20)));
    }
    match std::str::from_utf8(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err(Failure::standard_input("is not UTF-8 text")),
    }
}

/// Reads and parses the configuration.
///
/// # Errors
/// [`Failure`] that names each fault.
pub(crate) fn config(path: &Path) -> Result<Config, Failure> {
    Config::parse(&config_text(path)?).map_err(|faults| Failure::config(&faults))
}
