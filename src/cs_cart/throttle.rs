//! Pauses between requests: the store runs on the merchant's own server, which has no call limit to go by.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::http::{CallLimit, RequestEvent, RequestObserver, Throttle, Usage};

/// Time that a response may take without a pause after it. Usual pages take a few hundred milliseconds; above a second,
/// customers of the store may notice the load.
const FREE: Duration = Duration::from_secs(1);

/// Part (1/4) of the further time of a response for which no request is sent after it. The server then works on
/// requests of this program at most four fifths of the time.
const PART: u32 = 4;

/// Decides when requests are sent.
#[derive(Debug, Default)]
pub(super) struct Pauses(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// End of the pause after a slow response.
    paused_until: Option<Instant>,
    /// End of the wait that the store requested.
    refused_until: Option<Instant>,
    made: u64,
    refused: u64,
}

/// Permission to send one request. The pause after it begins when it is dropped: with the response, or without one
/// after a time-out, when the server may still work on the request.
#[derive(Debug)]
pub(super) struct PausePermit<'p> {
    pauses: &'p Pauses,
    /// The time at which it was given.
    given: Instant,
}

impl Drop for PausePermit<'_> {
    fn drop(&mut self) {
        let pause = self.given.elapsed().saturating_sub(FREE) / PART;
        if !pause.is_zero() {
            let mut state = self.pauses.lock();
            state.paused_until = state.paused_until.max(Some(Instant::now() + pause));
        }
    }
}

impl State {
    fn hold(&mut self, wait: Duration) {
        self.refused_until = self.refused_until.max(Some(Instant::now() + wait));
    }
}

impl Pauses {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is only numbers, so it is usable even if another thread panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Throttle for Pauses {
    type Permit<'t> = PausePermit<'t>;

    async fn acquire(&self, observer: &dyn RequestObserver) -> PausePermit<'_> {
        let mut reported = None;
        loop {
            let (paused, refused) = {
                let state = self.lock();
                (state.paused_until, state.refused_until)
            };
            let now = Instant::now();
            let Some(until) = paused.max(refused).filter(|&until| until > now) else { break };
            if refused > Some(now) && refused != reported {
                reported = refused;
                observer.on_event(RequestEvent::waiting(until)).await;
            }
            tokio::time::sleep_until(until).await;
        }
        self.lock().made += 1;
        PausePermit { pauses: self, given: Instant::now() }
    }

    fn answered(&self, permit: PausePermit<'_>, _: Option<CallLimit>) {
        drop(permit);
    }

    fn refused(&self, wait: Duration) {
        let mut state = self.lock();
        state.refused += 1;
        state.hold(wait);
    }

    fn holds(&self, wait: Duration) -> bool {
        self.lock().hold(wait);
        true
    }

    fn usage(&self) -> Usage {
        let state = self.lock();
        Usage { made: state.made, refused: state.refused, ..Usage::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::IgnoreEvents;

    #[tokio::test(start_paused = true)]
    async fn after_a_slow_response_there_is_a_pause_of_a_quarter_of_the_time_above_a_second() {
        let pauses = Pauses::default();
        for (took, pause) in [(0, 0), (900, 0), (1000, 0), (3000, 500), (61_000, 15_000)] {
            let permit = pauses.acquire(&IgnoreEvents).await;
            tokio::time::sleep(Duration::from_millis(took)).await;
            // Without a response, the pause is the same.
            if took % 2_000 == 1_000 {
                drop(permit);
            } else {
                pauses.answered(permit, None);
            }
            let from = Instant::now();
            let _permit = pauses.acquire(&IgnoreEvents).await;
            assert_eq!(from.elapsed(), Duration::from_millis(pause), "{took}");
        }
        pauses.refused(Duration::from_secs(7));
        let from = Instant::now();
        let _permit = pauses.acquire(&IgnoreEvents).await;
        assert_eq!(from.elapsed(), Duration::from_secs(7));
        assert!(pauses.holds(Duration::from_secs(8)));
        let from = Instant::now();
        let _permit = pauses.acquire(&IgnoreEvents).await;
        assert_eq!(from.elapsed(), Duration::from_secs(8));
        assert_eq!((pauses.usage().made, pauses.usage().refused), (12, 1));
    }
}
