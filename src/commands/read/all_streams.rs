//! Reads all streams of a catalog concurrently. Each ends COMPLETE or INCOMPLETE, whatever the others do.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{report_panic, trace_error};
use crate::airbyte::state::StoredState;
use crate::airbyte::{Closed, ConfiguredCatalog, ConfiguredStream, Emitter, StreamStatus};
use crate::connector::Connector;
use crate::output::progress::Calls;
use crate::sync::shop::Shop;
use crate::sync::{self, SyncContext};

/// Reads all streams. Returns true if every one is complete.
pub(super) async fn run(
    context: SyncContext,
    catalog: ConfiguredCatalog,
    states: Vec<StoredState>,
    connector: &'static Connector,
    emitter: &Emitter,
) -> Result<bool, Closed> {
    let (context, states) = (Arc::new(context), Arc::new(states));
    context.progress.plan(catalog.streams.iter().map(|configured| configured.stream.name.as_str()));
    let count = |client: &Arc<dyn Shop>| {
        let client = Arc::clone(client);
        move || calls(&*client)
    };
    context.summary.plan(&catalog, count(&context.client));
    context.progress.count_calls(count(&context.client));
    let mut streams = JoinSet::new();
    for configured in catalog.streams {
        let (context, states, emitter) = (Arc::clone(&context), Arc::clone(&states), emitter.clone());
        streams.spawn(async move {
            let name = &configured.stream.name;
            context.progress.begin(name);
            context.summary.begin(name);
            let complete = read_stream(&context, &configured, &states, connector, &emitter).await;
            context.progress.end(name, complete == Ok(true));
            context.summary.end(name, complete);
            complete
        });
    }
    let mut complete = true;
    while let Some(done) = streams.join_next().await {
        match done {
            Ok(stream_complete) => complete &= stream_complete?,
            Err(_) => {
                complete = false;
                report_panic(emitter).await?;
            }
        }
    }
    Ok(complete)
}

/// Reads a stream and emits its last status, with an error if it is not complete.
async fn read_stream(
    context: &SyncContext,
    configured: &ConfiguredStream,
    states: &[StoredState],
    connector: &'static Connector,
    emitter: &Emitter,
) -> Result<bool, Closed> {
    let name = &configured.stream.name;
    match sync::read(context, configured, states, emitter).await? {
        Ok(()) => {
            emitter.status(name, StreamStatus::Complete, None).await?;
            Ok(true)
        }
        Err(failure) => {
            emitter.status(name, StreamStatus::Incomplete, None).await?;
            emitter.error(trace_error(name, &failure, &context.client.requests().host(), connector)).await?;
            Ok(false)
        }
    }
}

/// Returns the current use of the call limit.
fn calls(client: &dyn Shop) -> Calls {
    let usage = client.requests().usage();
    Calls {
        made: usage.made,
        refused: usage.refused,
        foreign: usage.foreign,
        allowed: usage.allowed,
        in_use: usage.in_use,
        others: usage.others,
        window: client.requests().retry_policy().backoff.window,
    }
}
