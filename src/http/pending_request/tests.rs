//! Tests of requests to a fake store, with a simulated clock.

use std::sync::Mutex;

use super::super::error::TransportErrorKind;
use super::super::request::Slice;
use super::super::request::tests::KeysAfter;
use super::*;

/// The result of an attempt.
struct Reply {
    takes: Duration,
    outcome: Result<Envelope, Error>,
    meta: Option<ResponseMeta>,
}

/// A fake store that logs the resource and the number of rows of each request.
struct Store<F> {
    reply: F,
    log: Mutex<Vec<(String, usize)>>,
}

impl<F: Fn(&KeysAfter, usize) -> Reply + Sync> Store<F> {
    fn new(reply: F) -> Self {
        Self { reply, log: Mutex::default() }
    }

    /// Returns the number of rows of each request since the last call.
    fn counts(&self) -> Vec<usize> {
        std::mem::take(&mut *self.log.lock().unwrap()).into_iter().map(|(_, count)| count).collect()
    }
}

impl<F: Fn(&KeysAfter, usize) -> Reply + Sync> SendOnce for Store<F> {
    type Request = KeysAfter;

    async fn send_once(
        &self,
        query: &KeysAfter,
        _: &mut MemoryPermit,
        _: &mut dyn ElementSink,
    ) -> (Result<Envelope, Error>, Option<ResponseMeta>) {
        let number = {
            let mut log = self.log.lock().unwrap();
            log.push((query.resource().to_owned(), query.count()));
            log.len()
        };
        let reply = (self.reply)(query, number);
        tokio::time::sleep(reply.takes).await;
        (reply.outcome, reply.meta)
    }
}

fn good() -> Reply {
    Reply { takes: Duration::ZERO, outcome: Ok(Envelope::default()), meta: Some(ResponseMeta::default()) }
}

fn bad(error: Error) -> Reply {
    Reply { outcome: Err(error), ..good() }
}

fn status(status: u16) -> Error {
    let (resource, message) = ("orders".to_owned(), String::new());
    Error::Status { resource, status, message, is_unknown_resource: false, page: false }
}

fn timeout() -> Error {
    Error::Transport { resource: "orders".to_owned(), kind: TransportErrorKind::Timeout, detail: String::new() }
}

/// Ignores all events.
pub(crate) struct IgnoreEvents;

impl RequestObserver for IgnoreEvents {
    fn on_event<'a>(&'a self, _: RequestEvent<'a>) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}

/// Sends requests immediately, unless a refusal requires a wait.
#[derive(Debug)]
struct UntilRefused(Mutex<Instant>);

impl Throttle for UntilRefused {
    type Permit<'t> = ();

    async fn acquire(&self, _: &dyn RequestObserver) {
        let until = *self.0.lock().unwrap();
        tokio::time::sleep_until(until).await;
    }

    fn answered(&self, (): (), _: Option<CallLimit>) {}

    fn refused(&self, wait: Duration) {
        *self.0.lock().unwrap() = Instant::now() + wait;
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }
}

fn dispatcher(in_flight: usize) -> Dispatcher<UntilRefused> {
    Dispatcher::new(UntilRefused(Mutex::new(Instant::now())), in_flight, RetryPolicy::READ)
}

async fn get(
    dispatcher: &Dispatcher<UntilRefused>,
    store: &impl SendOnce<Request = KeysAfter>,
    query: &KeysAfter,
) -> Result<usize, Error> {
    dispatcher.get(store, query, &IgnoreEvents, &mut Discard).await.map(|answer| answer.count)
}

/// Rows of `orders` in the order of their keys.
fn orders() -> KeysAfter {
    KeysAfter { after: Some(0), ..KeysAfter::new("orders", 1000) }
}

fn is_exhausted(outcome: &Result<usize, Error>) -> bool {
    matches!(outcome, Err(Error::Exhausted { .. }))
}

#[tokio::test(start_paused = true)]
async fn a_page_that_cannot_be_had_is_halved_and_grows_again() {
    let too_large = Error::TooLarge { resource: "orders".to_owned(), limit: 1 };
    let garbled = Error::NotUtf8 { resource: "orders".to_owned(), at: 1, counted: None };
    for (error, first) in [
        (status(504), &[1000, 1000, 1, 500, 250][..]),
        (status(500), &[1000, 1000, 1, 500, 250]),
        (status(400), &[1000, 1000, 1, 500, 250]),
        (timeout(), &[1000, 1000, 1, 500, 250]),
        (garbled, &[1000, 1000, 1, 500, 250]),
        (too_large, &[1000, 1, 500, 250]),
    ] {
        let store =
            Store::new(move |query: &KeysAfter, _| if query.count() > 250 { bad(error.clone()) } else { good() });
        let (dispatcher, began) = (dispatcher(1), Instant::now());
        assert_eq!(get(&dispatcher, &store, &orders()).await.unwrap(), 250);
        assert_eq!(store.counts(), first);
        assert!(began.elapsed() < Duration::from_secs(2), "one wait, before the second attempt");
        for _ in 0..4 {
            assert_eq!(get(&dispatcher, &store, &orders()).await.unwrap(), 250);
        }
        assert_eq!(get(&dispatcher, &store, &orders()).await.unwrap(), 250);
        assert_eq!(
            store.counts(),
            [250, 250, 250, 250, 500, 250],
            "the double is tried after five, and proven is proven"
        );
        assert_eq!(get(&dispatcher, &store, &orders().with_slice(Slice { count: 1000, page: 2 })).await.unwrap(), 250);
        assert_eq!(get(&dispatcher, &store, &KeysAfter::new("orders", 4)).await.unwrap(), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn all_smaller_pages_of_a_request_share_its_time_limit() {
    // Seven failures come before a page of seven rows, which succeeds. Ten minutes are enough for five of 120 s each.
    for (seconds, expected) in [(60, None), (120, Some(&[1000, 1000, 1, 500, 250, 125][..]))] {
        let store = Store::new(move |query: &KeysAfter, _| match query.count() > 10 {
            true => Reply { takes: Duration::from_secs(seconds), ..bad(timeout()) },
            false => good(),
        });
        let (began, outcome) = (Instant::now(), get(&dispatcher(1), &store, &orders()).await);
        let elapsed = began.elapsed();
        match expected {
            None => assert_eq!(outcome.unwrap(), 7, "{elapsed:?}"),
            Some(counts) => {
                assert!(is_exhausted(&outcome), "{outcome:?} after {elapsed:?}");
                assert_eq!(store.counts(), counts);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_busy_or_down_is_asked_for_full_pages() {
    for code in [429, 502, 503] {
        let store = Store::new(move |_: &KeysAfter, number| if number < 6 { bad(status(code)) } else { good() });
        assert_eq!(get(&dispatcher(1), &store, &orders()).await.unwrap(), 1000);
        assert_eq!(store.counts(), [1000; 6]);
    }
    // If the store cannot send even one row, the page size is not the cause.
    let store = Store::new(|_: &KeysAfter, number| if number < 11 { bad(status(500)) } else { good() });
    assert_eq!(get(&dispatcher(1), &store, &orders()).await.unwrap(), 1000);
    assert_eq!(store.counts(), [1000, 1000, 1, 1, 1, 1000, 1000, 1, 1, 1, 1000]);
    // The same applies after the page size was the cause before.
    let down = std::sync::atomic::AtomicBool::new(false);
    let is_down = || down.load(std::sync::atomic::Ordering::Relaxed);
    let store = Store::new(|query: &KeysAfter, number| match query.count() > 250 || (is_down() && number < 40) {
        true => bad(status(500)),
        false => good(),
    });
    let dispatcher = dispatcher(1);
    assert_eq!(get(&dispatcher, &store, &orders()).await.unwrap(), 250);
    store.counts();
    down.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(get(&dispatcher, &store, &orders()).await.unwrap() >= 125, "the last proof may be of the store's return");
    let counts = store.counts();
    assert_eq!(counts[..14], [250, 125, 62, 31, 15, 7, 3, 1, 1, 1, 1, 1, 250, 1], "then by fours: {counts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_rejected_is_no_row_at_fault() {
    // The probe passes; the query fails whatever its size.
    let store = Store::new(|query: &KeysAfter, _| if query.after.is_some() { bad(status(400)) } else { good() });
    let outcome = get(&dispatcher(1), &store, &orders()).await;
    assert!(matches!(outcome, Err(Error::Status { status: 400, .. })), "{outcome:?}");
    assert_eq!(store.counts(), [1000, 1000, 1, 500, 250, 125, 62, 31, 15, 7, 3, 1]);
    let store = Store::new(|_: &KeysAfter, _| bad(status(400)));
    let outcome = get(&dispatcher(1), &store, &orders()).await;
    assert!(matches!(outcome, Err(Error::Status { status: 400, .. })), "{outcome:?}");
    assert_eq!(store.counts(), [1000, 1000, 1]);
    assert!(get(&dispatcher(1), &store, &orders().shortened(1)).await.is_err());
    assert_eq!(store.counts(), [1]);
}

#[tokio::test(start_paused = true)]
async fn one_bad_row_is_found_in_few_requests_and_the_others_are_had() {
    const ROWS: u64 = 3000;
    for bad_row in [1, 2, 63, 126, 234, 500, 501, 777, 876, 938, 999, 1000, 1001, 2222, 3000] {
        let store = Store::new(move |query: &KeysAfter, _| {
            let holds = query.after.is_some_and(|after| (after + 1..=after + query.count() as u64).contains(&bad_row));
            if holds { bad(status(500)) } else { good() }
        });
        let (dispatcher, mut reached, mut unreadable) = (dispatcher(1), 0, Vec::new());
        let (mut isolating, mut last_full) = (0, 0);
        while reached < ROWS {
            let query = KeysAfter { after: Some(reached), ..orders() };
            let outcome = get(&dispatcher, &store, &query).await;
            let asked = store.counts().len();
            isolating +=
                if unreadable.is_empty() && (outcome.is_err() || asked > 1 || isolating > 0) { asked } else { 0 };
            match outcome {
                Ok(count) => {
                    reached += count as u64;
                    last_full = count;
                }
                Err(Error::Unreadable { .. }) => {
                    reached += 1;
                    unreadable.push(reached);
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(unreadable, [bad_row]);
        // 2 · log2(1000) + 4
        assert!(isolating <= 23, "{isolating} requests for row {bad_row}");
        assert!(bad_row == ROWS || last_full == 1000, "pages are as long as before: {last_full}");
    }
}

#[tokio::test(start_paused = true)]
async fn failing_requests_release_slot_and_memory() {
    let store = Store::new(|query: &KeysAfter, _| if query.resource() == "orders" { bad(status(503)) } else { good() });
    let dispatcher = dispatcher(1);
    dispatcher.sizes.learn(&KeysAfter::new("orders", 1), 10_000);
    dispatcher.sizes.learn(&KeysAfter::new("products", 1), 10_000);
    let (began, orders, products) = (Instant::now(), orders(), KeysAfter::new("products", 1000));
    let others = async {
        for _ in 0..60 {
            get(&dispatcher, &store, &products).await.unwrap();
        }
        began.elapsed()
    };
    let (failed, others) = tokio::join!(get(&dispatcher, &store, &orders), others);
    assert!(is_exhausted(&failed));
    assert!(others < Duration::from_secs(1) && began.elapsed() > Duration::from_secs(500), "{others:?}");
}

fn refusal(made: u32) -> Reply {
    let limit = Some(CallLimit { used: made, allowed: 5000 });
    let meta = ResponseMeta { limit, retry_after: Some(Duration::from_secs(5)), ..ResponseMeta::default() };
    Reply { meta: Some(meta), ..bad(status(429)) }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_with_calls_left_holds_nobody_else() {
    for (made, held) in [(30, false), (5000, true)] {
        let store = Store::new(move |query: &KeysAfter, number| match query.resource() {
            "orders" if number < 30 => refusal(made),
            _ => Reply { takes: Duration::from_millis(200), ..good() },
        });
        let (dispatcher, began) = (dispatcher(8), Instant::now());
        let (orders, products) = (orders(), KeysAfter::new("products", 1000));
        let others = async {
            for _ in 0..20 {
                get(&dispatcher, &store, &products).await.unwrap();
            }
            began.elapsed()
        };
        let (refused, others) = tokio::join!(get(&dispatcher, &store, &orders), others);
        refused.unwrap();
        assert_eq!(others > Duration::from_secs(5), held, "{made}: {others:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_beyond_the_policy_ends_at_once_and_a_shorter_one_is_honoured() {
    let asks = |seconds| Reply {
        meta: Some(ResponseMeta { retry_after: Some(Duration::from_secs(seconds)), ..ResponseMeta::default() }),
        ..bad(status(503))
    };
    let store = Store::new(move |_: &KeysAfter, _| asks(3600));
    let (began, outcome) = (Instant::now(), get(&dispatcher(1), &store, &orders()).await);
    let Err(Error::Deferred { wait, .. }) = outcome else { panic!("{outcome:?}") };
    assert_eq!((wait.as_secs(), began.elapsed(), store.counts().len()), (3600, Duration::ZERO, 1));
    let store = Store::new(move |_: &KeysAfter, number| if number == 1 { asks(300) } else { good() });
    assert!(get(&dispatcher(1), &store, &orders()).await.is_ok());
    assert!(began.elapsed() > Duration::from_secs(300));
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_is_honoured_before_a_probe_and_a_shorter_page_and_holds_nobody_else() {
    let asks = || ResponseMeta { retry_after: Some(Duration::from_secs(7)), ..ResponseMeta::default() };
    // The first row cannot be sent either, so that two probes are needed.
    let store = Store::new(move |query: &KeysAfter, _| match (query.resource(), query.count()) {
        ("orders", 251..) => Reply { meta: Some(asks()), ..bad(status(500)) },
        ("orders", 1) if query.slice().page == 1 => Reply { meta: Some(asks()), ..bad(status(500)) },
        _ => good(),
    });
    let (dispatcher, began) = (dispatcher(1), Instant::now());
    let (orders, products) = (orders(), KeysAfter::new("products", 1000));
    let others = async {
        for _ in 0..20 {
            get(&dispatcher, &store, &products).await.unwrap();
        }
        began.elapsed()
    };
    let (orders, others) = tokio::join!(get(&dispatcher, &store, &orders), others);
    assert_eq!(orders.unwrap(), 250);
    let log = std::mem::take(&mut *store.log.lock().unwrap());
    let counts: Vec<usize> = log.iter().filter(|(name, _)| name == "orders").map(|(_, count)| *count).collect();
    assert_eq!(counts, [1000, 1000, 1, 1, 500, 250]);
    // Before the second page, both probes, and the last page. The 500 rows follow a probe that succeeded.
    assert!(began.elapsed() >= Duration::from_secs(4 * 7), "{:?}", began.elapsed());
    assert!(others < Duration::from_secs(1), "{others:?}");
    // A wait longer than the time limit ends the request.
    let store = Store::new(move |_: &KeysAfter, number| {
        let wait = Duration::from_secs(if number == 1 { 1 } else { 3600 });
        let meta = ResponseMeta { retry_after: Some(wait), ..ResponseMeta::default() };
        Reply { meta: Some(meta), ..bad(status(500)) }
    });
    let outcome = get(&self::dispatcher(1), &store, &self::orders()).await;
    assert!(matches!(outcome, Err(Error::Deferred { .. })), "{outcome:?}");
    assert_eq!(store.counts(), [1000, 1000]);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_does_not_exist_is_reported_within_a_minute() {
    let name = |_: &KeysAfter, number| {
        let kind = TransportErrorKind::Name;
        let error = Error::Transport { resource: "orders".to_owned(), kind, detail: String::new() };
        if number == 1 { good() } else { bad(error) }
    };
    let (store, began) = (Store::new(name), Instant::now());
    store.log.lock().unwrap().push((String::new(), 0));
    assert!(is_exhausted(&get(&dispatcher(1), &store, &orders()).await));
    assert!((15..60).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    let (store, began, dispatcher) = (Store::new(name), Instant::now(), dispatcher(1));
    assert!(get(&dispatcher, &store, &orders()).await.is_ok());
    assert!(is_exhausted(&get(&dispatcher, &store, &orders()).await));
    assert!(began.elapsed().as_secs() > 500, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn all_requests_to_a_store_that_is_down_end_together() {
    let store = Store::new(|_: &KeysAfter, _| Reply { takes: Duration::from_secs(60), ..bad(timeout()) });
    let (dispatcher, began) = (Arc::new(dispatcher(8)), Instant::now());
    let store = Arc::new(store);
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..300 {
        let (dispatcher, store) = (Arc::clone(&dispatcher), Arc::clone(&store));
        running.spawn(async move { get(&dispatcher, &*store, &orders()).await });
    }
    while let Some(outcome) = running.join_next().await {
        assert!(is_exhausted(&outcome.unwrap()));
    }
    assert!((600..=780).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_no_retry_request_is_sent_once() {
    let store = Store::new(|_: &KeysAfter, _| bad(status(500)));
    let outcome = get(&dispatcher(1), &store, &KeysAfter { no_retry: true, ..orders() }).await;
    assert!(matches!(outcome, Err(Error::Status { status: 500, .. })), "{outcome:?}");
    assert_eq!(store.counts(), [1000]);
}
