//! `spec`, `check` and `discover`, and the files that the commands are given. Both sides meet here.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::airbyte::message::{Catalog, ConnectionStatus, Message, Stream as CatalogStream};
use crate::airbyte::{Closed, Emitter, Level};
use crate::cart::{Budget, Client, Notice, Patience, Query, Watch, page};
use crate::config::Config;
use crate::failure::Failure;
use crate::json;
use crate::streams::{CURSOR, STREAMS, Scope, Stream};

/// The specification, as `spec` prints it.
const SPEC: &str = include_str!("spec.json");

/// The largest file that is read: a state of 70 streams at its bound takes 5 MB, a catalog less.
const LARGEST_FILE: u64 = 64 * 1024 * 1024;

/// Prints the specification.
///
/// # Errors
/// [`Closed`] if stdout is gone.
pub(crate) async fn spec(emitter: &Emitter) -> Result<(), Closed> {
    let Some(spec) = compact(SPEC) else { return Ok(()) };
    emitter.message(&Message::Spec { spec: &spec }).await
}

/// Prints the catalog.
///
/// # Errors
/// [`Closed`] if stdout is gone.
pub(crate) async fn discover(emitter: &Emitter) -> Result<(), Closed> {
    let streams = STREAMS.iter().filter_map(described).collect();
    emitter.message(&Message::Catalog { catalog: Catalog { streams } }).await
}

fn described(stream: &'static Stream) -> Option<CatalogStream<'static>> {
    let modes: &[&str] = if stream.dated { &["full_refresh", "incremental"] } else { &["full_refresh"] };
    Some(CatalogStream {
        name: stream.name,
        json_schema: compact(stream.schema)?,
        supported_sync_modes: modes,
        source_defined_cursor: stream.dated.then_some(true),
        default_cursor_field: stream.dated.then_some([CURSOR]),
        source_defined_primary_key: [[stream.key]],
        is_resumable: stream.dated,
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
    let client = config.and_then(|config| client(&config, Patience::CHECK));
    let verdict = match client {
        Ok(client) => try_scopes(&client, emitter).await?,
        Err(failure) => Err(failure.message),
    };
    let (status, message) = match &verdict {
        Ok(note) => ("SUCCEEDED", note.as_deref()),
        Err(message) => ("FAILED", Some(message.as_str())),
    };
    emitter.message(&Message::ConnectionStatus { connection_status: ConnectionStatus { status, message } }).await
}

/// The smallest stream of each scope, so that the request is cheap for the store as well.
const PROBES: [(Scope, &str); 3] =
    [(Scope::Orders, "order_statuses"), (Scope::People, "customers"), (Scope::Catalog, "products")];

/// Whether at least one scope works; a note if not all do, or why none does.
async fn try_scopes(client: &Client, emitter: &Emitter) -> Result<Result<Option<String>, String>, Closed> {
    let mut refused = BTreeMap::new();
    let mut works = false;
    for (scope, name) in PROBES {
        let Some(stream) = crate::streams::find(name) else { continue };
        let names = [stream.list, stream.name];
        let query = Query::new(stream.name, 1);
        let answer = client
            .get(&query, &Quiet, |body| page::read(body, &names, |scanner| Ok(scanner.value().map(|_| ())?)))
            .await;
        match answer {
            Ok(_) => works = true,
            Err(error) => {
                let failure = Failure::request(&error, Some((name, stream)), &client.host());
                if let Some(internal) = &failure.internal {
                    emitter.log(Level::Debug, internal).await?;
                }
                // Only a refusal is about this scope; any other fault would meet the next request too.
                if !matches!(error.status(), Some(401 | 403 | 404)) {
                    return Ok(Err(failure.message));
                }
                refused.insert(scope, (error.status(), failure.message));
            }
        }
    }
    if !works {
        let missing = refused.values().all(|(status, _)| *status == Some(404));
        let host = client.host();
        return Ok(Err(if missing {
            format!(
                "{host} does not know the API's resources (HTTP 404). Check that `store_name` is the host of your Cart.com store."
            )
        } else {
            format!(
                "{host} refused the sign-in (HTTP 401) on customers, orders and products alike. Check that the token is copied whole, was not revoked and belongs to this store, or check the router credentials; a token needs at least one of the scopes {}.",
                PROBES.map(|(scope, _)| scope.name()).join(", ")
            )
        }));
    }
    if refused.is_empty() {
        return Ok(Ok(None));
    }
    let scopes: Vec<&str> = refused.keys().map(|scope| scope.name()).collect();
    let unread: Vec<&str> =
        STREAMS.iter().filter(|stream| refused.contains_key(&stream.scope)).map(|stream| stream.name).collect();
    let note = format!(
        "The token lacks {} {}, so these streams cannot be read with it: {}. Leave them out of the sync, or make a new token that has what is missing.",
        if scopes.len() == 1 { "the scope" } else { "the scopes" },
        scopes.join(" and "),
        unread.join(", ")
    );
    emitter.log(Level::Warn, &note).await?;
    Ok(Ok(Some(note)))
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
    let budget = Budget::new(config.share);
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
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => failure("does not exist"),
        _ => failure(&format!("cannot be read ({error})")),
    })?;
    if metadata.is_dir() {
        return Err(failure("is a directory"));
    }
    if metadata.len() > LARGEST_FILE {
        return Err(failure(&format!("is larger than {} MiB", LARGEST_FILE >> 20)));
    }
    let text = std::fs::read(path).map_err(|error| failure(&format!("cannot be read ({error})")))?;
    match std::str::from_utf8(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err(failure("is not UTF-8 text")),
    }
}

/// Reads and parses the configuration.
///
/// # Errors
/// [`Failure`] that names each fault.
pub(crate) fn config(path: &Path) -> Result<Config, Failure> {
    Config::parse(&file("config", path)?).map_err(|faults| Failure::config(&faults))
}
