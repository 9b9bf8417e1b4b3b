//! Streams of fictional shops whose APIs differ in their abilities.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tokio::sync::{Semaphore, watch};

use super::super::checkpoint::Checkpoint;
use super::super::context::StreamContext;
use super::super::query::Order;
use super::super::stream_output::StreamOutput;
use super::super::stream_sync;
use super::*;
use crate::airbyte::Level;
use crate::airbyte::emit::{self, Passthrough};
use crate::http::{PageMeta, Request as _, Slice};
use crate::json::Scanner;
use crate::output::progress::Progress;
use crate::record::RecordSchema;
use crate::stream::tests::{ROWS, UNDATED};
use crate::timestamp::Timestamp;

const ALL: i64 = 25;
const USUAL: Capabilities = Capabilities {
    key_ranges: true,
    page_numbers: true,
    lists_may_be_missing: true,
    key_counts: true,
    total_field: Some("total"),
    page_size: 10,
    nested_page_size: 10,
    default_page_size: 10,
};

#[derive(Debug)]
struct MadeUp {
    capabilities: Capabilities,
    slots: Arc<Semaphore>,
    requests: Mutex<Vec<Query>>,
}

fn date(id: i64) -> Timestamp {
    Timestamp::from_millis(1_600_000_000_000 + id * 1000)
}

impl Shop for MadeUp {
    fn streams(&self) -> &'static [Stream] {
        std::slice::from_ref(&ROWS)
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn requests(&self) -> &dyn ListRequests {
        self
    }
}

impl ListRequests for MadeUp {
    fn list<'a>(
        &'a self,
        query: &'a Query,
        _: &'a dyn RequestObserver,
        sink: &'a mut dyn ElementSink,
    ) -> BoxFuture<'a, Result<PageResponse<Envelope>, Error>> {
        Box::pin(async move {
            self.requests.lock().unwrap().push(query.clone());
            let (after, end) = query.keys;
            let is_listed = |id: &i64| {
                after.is_none_or(|after| *id > after)
                    && end.is_none_or(|end| *id <= end)
                    && query.dates.contains(date(*id))
            };
            let mut ids: Vec<i64> = (1..=ALL).filter(is_listed).collect();
            if matches!(query.order, Some(Order::KeyDescending | Order::DateDescending)) {
                ids.reverse();
            }
            let Slice { count, page } = query.slice();
            let from = usize::try_from(page - 1).unwrap() * count;
            sink.restart();
            for id in ids.iter().skip(from).take(count) {
                let row = format!(r#"{{"id":{id},"changed":"{}"}}"#, date(*id));
                sink.element(&mut Scanner::new(row.as_bytes())).unwrap();
            }
            let total = self.capabilities.total_field.map(|_| ids.len() as u64);
            let page = Envelope { total, more: from + count < ids.len(), page: None };
            sink.verify(&PageMeta { envelope: page.clone(), list_name_known: true }).unwrap();
            let slot = Arc::clone(&self.slots).acquire_owned().await.unwrap();
            Ok(PageResponse { page, count, counted: None, rejected_count: None, slot, date: None, memory: None })
        })
    }

    fn free_slots(&self, _: &Query) -> usize {
        self.slots.available_permits()
    }

    fn is_bisecting(&self, _: &Query) -> bool {
        false
    }

    fn host(&self) -> String {
        "shop.example.com".to_owned()
    }

    fn retry_policy(&self) -> RetryPolicy {
        RetryPolicy::READ
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Reads a stream once. Returns the keys of the records in ascending order, and the requests.
async fn read(stream: &'static Stream, capabilities: Capabilities) -> (Vec<i64>, Vec<Query>) {
    let shop = Arc::new(MadeUp { capabilities, slots: Arc::new(Semaphore::new(4)), requests: Mutex::default() });
    let kept = Kept::default();
    let (emitter, writer) =
        emit::start(Box::new(Passthrough(kept.clone())), Level::Info, || unreachable!("nothing panics"));
    let output = StreamOutput::new(stream.name, emitter, Arc::new(Progress::default()));
    let cursor = stream.has_updated_at.then_some(stream.cursor_field);
    let (_running, shutdown) = watch::channel(false);
    let client = Arc::clone(&shop) as Arc<dyn Shop>;
    let record_schema = RecordSchema::new(&(stream.fields)().schema, stream.key(), cursor);
    let dates = (Timestamp::EARLIEST, None);
    let context = StreamContext::new(stream, client, output, dates, Arc::new(record_schema), (None, None), shutdown);
    let context = Arc::new(context);
    let finished = Box::pin(stream_sync::run(&context, Checkpoint::default(), false, None)).await.unwrap();
    assert!(finished.skipped_rows.is_none());
    // The writer ends when the last sender is gone.
    drop(context);
    writer.finish().unwrap();
    let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    let messages = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let mut keys: Vec<i64> = messages.filter_map(|message| message["record"]["data"]["id"].as_i64()).collect();
    keys.sort_unstable();
    let requests = shop.requests.lock().unwrap().clone();
    (keys, requests)
}

#[tokio::test]
async fn each_api_is_read_with_what_it_can_do() {
    for stream in [&ROWS, &UNDATED] {
        for capabilities in [
            USUAL,
            Capabilities { page_numbers: false, ..USUAL },
            Capabilities { key_ranges: false, ..USUAL },
            Capabilities { key_ranges: false, total_field: None, ..USUAL },
            Capabilities { key_ranges: false, page_numbers: false, page_size: 1000, ..USUAL },
            Capabilities { key_ranges: false, page_numbers: false, page_size: 1000, total_field: None, ..USUAL },
        ] {
            let (keys, requests) = Box::pin(read(stream, capabilities)).await;
            assert_eq!(keys, (1..=ALL).collect::<Vec<_>>(), "{capabilities:?}: {requests:#?}");
            let is_allowed = |query: &Query| {
                (capabilities.key_ranges || query.keys == (None, None))
                    && (capabilities.page_numbers || query.page_number() == 1)
            };
            assert!(requests.iter().all(is_allowed), "{capabilities:?}: {requests:#?}");
            if capabilities.is_one_response() {
                assert_eq!(requests.len(), 1, "{capabilities:?}");
            }
        }
    }
}
