//! `read --dry-run`: prints an estimate of a read, from one request per stream.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{report_panic, trace_error};
use crate::airbyte::state::StoredState;
use crate::airbyte::{Closed, ConfiguredCatalog, ConfiguredStream, Emitter};
use crate::connector::Connector;
use crate::output::forecast::{CallLimit, Forecast, StreamForecast};
use crate::sync::{self, SyncContext};

/// Prints the estimate, as JSON or as a table. Returns true if it is known for every stream.
pub(super) async fn run(
    context: SyncContext,
    catalog: ConfiguredCatalog,
    states: Vec<StoredState>,
    as_json: bool,
    connector: &'static Connector,
    emitter: &Emitter,
) -> Result<bool, Closed> {
    let (context, states) = (Arc::new(context), Arc::new(states));
    let mut forecasts: Vec<Option<StreamForecast>> = vec![None; catalog.streams.len()];
    let mut streams = JoinSet::new();
    for (index, configured) in catalog.streams.into_iter().enumerate() {
        let (context, states, emitter) = (Arc::clone(&context), Arc::clone(&states), emitter.clone());
        streams.spawn(async move { (index, forecast(&context, &configured, &states, connector, &emitter).await) });
    }
    let mut is_known = true;
    while let Some(done) = streams.join_next().await {
        let Ok((index, forecast)) = done else {
            is_known = false;
            report_panic(emitter).await?;
            continue;
        };
        let forecast = forecast?;
        is_known &= forecast.error.is_none();
        if let Some(slot) = forecasts.get_mut(index) {
            *slot = Some(forecast);
        }
    }
    let usage = context.client.requests().usage();
    let forecast = Forecast {
        streams: forecasts.into_iter().flatten().collect(),
        limit: CallLimit {
            allowed: usage.allowed,
            in_use: usage.in_use,
            window: context.client.requests().retry_policy().backoff.window,
        },
    };
    emitter.text(if as_json { forecast.json() } else { forecast.table() }).await?;
    Ok(is_known)
}

/// Returns the estimate for a stream. An error is emitted and is in the estimate.
async fn forecast(
    context: &SyncContext,
    configured: &ConfiguredStream,
    states: &[StoredState],
    connector: &'static Connector,
    emitter: &Emitter,
) -> Result<StreamForecast, Closed> {
    let name = &configured.stream.name;
    match sync::dry_run(context, configured, states, emitter).await {
        Ok(forecast) => Ok(forecast),
        Err(failure) => {
            let error = trace_error(name, &failure, &context.client.requests().host(), connector);
            let shown = emitter.masked(&error.message);
            emitter.error(error).await?;
            Ok(StreamForecast { error: Some(shown), ..StreamForecast::unknown(name, configured.sync_mode) })
        }
    }
}
