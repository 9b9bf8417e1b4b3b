//! Two streams that are read from the same requests: a stream, and the one inside its rows.
//!
//! Each stream is read in a task of its own. The one inside hands its context and its state over and waits for the
//! result; the other one reads both. If their states differ, each is read alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::context::StreamError;
use super::dated::{self, DatedStream};
use super::shop::Shop;
use super::stream_sync::FinishedSync;
use crate::airbyte::ConfiguredCatalog;
use crate::stream::{Strategy, Stream};

/// A stream that is handed over, and the receiver of its result: `None` if it has to be read alone.
#[derive(Debug)]
pub(super) struct Handover {
    stream: DatedStream,
    result: oneshot::Sender<Option<Result<FinishedSync, StreamError>>>,
}

/// The link of a stream to the stream that is read with it.
#[derive(Debug)]
pub(super) enum Partner {
    /// This stream is inside the rows of the other one.
    Outer(oneshot::Sender<Handover>),
    /// The rows of this stream contain those of the other one.
    Inner(oneshot::Receiver<Handover>),
}

/// The streams of a read that are read from the same requests.
#[derive(Debug, Default)]
pub struct JointReads(Mutex<HashMap<&'static str, Partner>>);

impl JointReads {
    /// Returns the pairs in a catalog: both streams are configured, in the same mode.
    pub(crate) fn of(client: &dyn Shop, catalog: &ConfiguredCatalog) -> Self {
        let mut partners = HashMap::new();
        let mode = |name: &str| {
            let configured = catalog
                .streams
                .iter()
                .find(|configured| client.find(&configured.stream.name).is_some_and(|stream| stream.name == name));
            configured.map(|configured| configured.sync_mode)
        };
        for stream in client.streams() {
            let Some(nested) = stream.nested_in.as_ref().filter(|nested| !nested.one_by_one) else { continue };
            let is_pair = mode(stream.name).is_some() && mode(stream.name) == mode(nested.parent);
            if is_pair && stream.strategy == Strategy::DateWalk {
                let (sender, receiver) = oneshot::channel();
                partners.insert(stream.name, Partner::Outer(sender));
                partners.insert(nested.parent, Partner::Inner(receiver));
            }
        }
        Self(Mutex::new(partners))
    }

    /// Returns the link of a stream, once.
    pub(super) fn partner(&self, stream: &Stream) -> Option<Partner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(stream.name)
    }
}

/// Reads a stream from date to date, together with its partner if their states agree.
pub(super) async fn run(stream: DatedStream, partner: Option<Partner>) -> Result<FinishedSync, StreamError> {
    match partner {
        None => alone(stream).await,
        Some(Partner::Outer(outer)) => hand_over(stream, outer).await,
        Some(Partner::Inner(inner)) => match inner.await {
            Ok(Handover { stream: other, result }) if is_alike(&stream, &other) => both(stream, other, result).await,
            Ok(Handover { result, .. }) => {
                // Without a receiver, the other stream has ended.
                let _sent = result.send(None);
                alone(stream).await
            }
            // The other stream is not read.
            Err(_) => alone(stream).await,
        },
    }
}

async fn alone(stream: DatedStream) -> Result<FinishedSync, StreamError> {
    let finished = dated::run(vec![stream]).await?;
    finished.into_iter().next().ok_or(StreamError::UnexpectedResponse("it has no such list"))
}

/// Hands a stream over, and waits for its result.
async fn hand_over(stream: DatedStream, outer: oneshot::Sender<Handover>) -> Result<FinishedSync, StreamError> {
    let (result, received) = oneshot::channel();
    let own = DatedStream { context: Arc::clone(&stream.context), checkpoint: stream.checkpoint.clone(), ..stream };
    if outer.send(Handover { stream, result }).is_err() {
        return alone(own).await;
    }
    match received.await {
        Ok(Some(finished)) => finished,
        Ok(None) => alone(own).await,
        // The task that reads both panicked, and has recorded where.
        Err(_) => std::panic::resume_unwind(Box::new("the other stream panicked")),
    }
}

fn is_alike(one: &DatedStream, other: &DatedStream) -> bool {
    one.full_refresh == other.full_refresh && dated::are_together(&one.checkpoint, &other.checkpoint)
}

/// Reads two streams from the same requests.
async fn both(
    outer: DatedStream,
    inner: DatedStream,
    result: oneshot::Sender<Option<Result<FinishedSync, StreamError>>>,
) -> Result<FinishedSync, StreamError> {
    let (own, other) = match dated::run(vec![outer, inner]).await {
        Ok(finished) => {
            let mut finished = finished.into_iter();
            let missing = || Err(StreamError::UnexpectedResponse("it has no such list"));
            (finished.next().map_or_else(missing, Ok), finished.next().map_or_else(missing, Ok))
        }
        Err(stream_error) => (Err(stream_error.clone()), Err(stream_error)),
    };
    // Without a receiver, the other stream has ended.
    let _sent = result.send(Some(other));
    own
}
