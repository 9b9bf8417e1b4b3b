//! The call budget that all requests of this process share.
//!
//! The store counts calls in windows of 10 seconds and tells `made/allowed` in `X-AC-Call-Limit` on
//! every answer (API documentation, API limits). Other applications of the merchant draw on the same
//! count, so only a share of it is used. When a window begins is not told: it is taken to begin, at
//! the latest, when the first answer of a new count arrives, so a window is never believed to be over
//! too early. Knows nothing of statuses, bodies or retries.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::retry::Waits;

/// Calls per window of the smallest plan (API documentation, API limits): no guess goes below it.
const SMALLEST_PLAN: u32 = 5;

/// The shared budget.
#[derive(Debug)]
pub struct Budget {
    /// Percent of the allowed calls that may be used, 1 to 100.
    share: u32,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// How long a window is.
    window: Duration,
    /// Calls allowed per window, once told (or, without the header, inferred from a refusal).
    allowed: Option<u32>,
    /// Whether any answer has arrived: until then one request at a time explores the limit.
    explored: bool,
    exploring: bool,
    /// Calls of this window: the larger of what was told and what was sent.
    made: u32,
    /// The highest count told in this window.
    told: u32,
    /// Requests sent and not yet answered.
    outstanding: u32,
    /// The latest moment at which the window ends; unknown until its first answer.
    ends: Option<Instant>,
    /// No request before this moment.
    paused: Option<Instant>,
    /// Which window this is, counted from 0.
    number: u64,
    /// Whether `allowed` was inferred from a refusal, because the store does not tell it.
    inferred: bool,
    /// Answers in this window, for that inference.
    accepted: u32,
}

impl Default for State {
    fn default() -> Self {
        Self::of_windows(Waits::USUAL.window)
    }
}

/// The right to send one request. Give it back with [`Budget::answered`] or by dropping it.
#[derive(Debug)]
#[must_use]
pub struct Ticket<'b> {
    budget: &'b Budget,
    window: u64,
    told: u32,
    settled: bool,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if !self.settled {
            let mut state = self.budget.lock();
            state.outstanding = state.outstanding.saturating_sub(1);
            state.exploring = false;
            // The window must end even if none of its requests is ever answered.
            let window = state.window;
            state.ends.get_or_insert_with(|| Instant::now() + window);
            drop(state);
            self.budget.changed.notify_waiters();
        }
    }
}

/// Why a request has to wait.
enum Blocked {
    /// Until this moment.
    Until(Instant),
    /// Until another request is answered.
    Answer,
}

impl Budget {
    /// A budget of `share` percent of what the store allows in each `window`.
    #[must_use]
    pub fn new(share: u32, window: Duration) -> Self {
        let state = Mutex::new(State::of_windows(window));
        Self { share: share.clamp(1, 100), state, changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is plain numbers: it stays usable whatever happened to another thread.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the right to send. `waiting` is told each moment that is waited for, once.
    pub async fn acquire<W, F>(&self, mut waiting: W) -> Ticket<'_>
    where
        W: FnMut(Instant) -> F + Send,
        F: Future<Output = ()> + Send,
    {
        let mut told = None;
        loop {
            let changed = self.changed.notified();
            let blocked = {
                let mut state = self.lock();
                match state.admit(Instant::now(), self.share) {
                    Ok(()) => {
                        return Ticket { budget: self, window: state.number, told: state.told, settled: false };
                    }
                    Err(blocked) => blocked,
                }
            };
            match blocked {
                Blocked::Until(moment) => {
                    if told != Some(moment) {
                        told = Some(moment);
                        waiting(moment).await;
                    }
                    // An answer may show that a new window has begun earlier than was believed.
                    tokio::select! {
                        () = tokio::time::sleep_until(moment) => {}
                        () = changed => {}
                    }
                }
                Blocked::Answer => changed.await,
            }
        }
    }

    /// Takes note of an answer and of the call count it told, if any.
    pub fn answered(&self, mut ticket: Ticket<'_>, limit: Option<CallLimit>) {
        ticket.settled = true;
        self.lock().settle(Instant::now(), ticket.window, ticket.told, limit);
        self.changed.notify_waiters();
    }

    /// Takes note of a refusal (429): nobody sends for `wait`.
    pub fn refused(&self, wait: Duration) {
        let mut state = self.lock();
        let until = Instant::now() + wait;
        state.paused = Some(state.paused.map_or(until, |paused| paused.max(until)));
        if state.allowed.is_none() || state.inferred {
            state.allowed = Some(state.accepted.max(SMALLEST_PLAN));
            state.inferred = true;
        }
        state.accepted = 0;
        state.ends = state.paused;
        drop(state);
        self.changed.notify_waiters();
    }
}

impl State {
    fn of_windows(window: Duration) -> Self {
        Self {
            window,
            allowed: None,
            explored: false,
            exploring: false,
            made: 0,
            told: 0,
            outstanding: 0,
            ends: None,
            paused: None,
            number: 0,
            inferred: false,
            accepted: 0,
        }
    }

    fn admit(&mut self, now: Instant, share: u32) -> Result<(), Blocked> {
        if let Some(paused) = self.paused {
            if now < paused {
                return Err(Blocked::Until(paused));
            }
            self.paused = None;
        }
        if self.ends.is_some_and(|ends| now >= ends) {
            self.ends = None;
            self.made = self.outstanding;
            self.told = 0;
            self.number += 1;
            if self.inferred {
                // One refusal may have had another cause: the guess rises until the next one.
                self.allowed = self.allowed.map(|allowed| allowed.saturating_add(allowed / 2).min(1_000_000));
            }
            self.accepted = 0;
        }
        if !self.explored {
            if self.exploring {
                return Err(Blocked::Answer);
            }
            self.exploring = true;
        } else if let Some(allowed) = self.allowed {
            // At least one call per window, or nothing would ever move.
            let usable = (allowed * share / 100).max(1);
            if self.made >= usable {
                return Err(self.ends.map_or(Blocked::Answer, Blocked::Until));
            }
        }
        self.made += 1;
        self.outstanding += 1;
        Ok(())
    }

    fn settle(&mut self, now: Instant, window: u64, told_before: u32, limit: Option<CallLimit>) {
        self.outstanding = self.outstanding.saturating_sub(1);
        self.explored = true;
        self.exploring = false;
        self.accepted = self.accepted.saturating_add(1);
        let Some(limit) = limit else {
            // Without the header a window still passes, so that an inferred limit recovers.
            if self.allowed.is_some() {
                self.ends.get_or_insert(now + self.window);
            }
            return;
        };
        self.allowed = Some(limit.allowed);
        self.inferred = false;
        if window != self.number {
            return;
        }
        // A count that is not above one that was known before this request left has begun anew.
        let began_anew = told_before > 0 && limit.made <= told_before;
        if began_anew {
            self.number += 1;
            self.told = limit.made;
            self.made = limit.made.max(self.outstanding);
            self.ends = Some(now + self.window);
        } else {
            self.told = self.told.max(limit.made);
            self.made = self.made.max(limit.made);
            self.ends.get_or_insert(now + self.window);
        }
    }
}

/// The content of `X-AC-Call-Limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimit {
    /// Calls made in the window, by all applications that share it.
    pub made: u32,
    /// Calls allowed in the window.
    pub allowed: u32,
}

impl CallLimit {
    /// Reads `made/allowed`; nothing for any other text, or a limit of none.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let (made, allowed) = value.split_once('/')?;
        let limit = Self { made: made.trim().parse().ok()?, allowed: allowed.trim().parse().ok()? };
        // A million is far beyond any plan, and keeps the arithmetic above from overflowing.
        (1..=1_000_000).contains(&limit.allowed).then_some(limit)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use super::*;

    const WINDOW: Duration = Waits::USUAL.window;

    impl Budget {
        fn try_admit(&self) -> Ticket<'_> {
            let mut state = self.lock();
            assert!(state.admit(Instant::now(), self.share).is_ok());
            Ticket { budget: self, window: state.number, told: state.told, settled: false }
        }
    }

    fn limit(made: u32, allowed: u32) -> Option<CallLimit> {
        Some(CallLimit { made, allowed })
    }

    /// Sends as many requests as are admitted at `now`, without an answer.
    fn admitted(state: &mut State, now: Instant, share: u32) -> u32 {
        (0..100).take_while(|_| state.admit(now, share).is_ok()).count().try_into().unwrap()
    }

    #[test]
    fn the_header_is_read_or_ignored() {
        assert_eq!(CallLimit::parse("7/50"), limit(7, 50));
        assert_eq!(CallLimit::parse(" 7 / 50 "), limit(7, 50));
        for text in ["", "7", "7/0", "a/b", "-1/50", "1/99999999999"] {
            assert_eq!(CallLimit::parse(text), None, "{text}");
        }
    }

    #[test]
    fn one_request_explores_before_others_follow() {
        let (mut state, now) = (State::default(), Instant::now());
        assert_eq!(admitted(&mut state, now, 80), 1);
        state.settle(now, 0, 0, limit(1, 20));
        assert_eq!(admitted(&mut state, now, 80), 15); // 80 % of 20 are 16, one was spent exploring.
    }

    #[test]
    fn calls_of_other_applications_count() {
        let (mut state, now) = (State::default(), Instant::now());
        admitted(&mut state, now, 100);
        state.settle(now, 0, 0, limit(45, 50));
        assert_eq!(admitted(&mut state, now, 100), 5);
    }

    #[test]
    fn a_full_window_is_waited_out_from_its_first_answer() {
        let (mut state, now) = (State::default(), Instant::now());
        admitted(&mut state, now, 100);
        state.settle(now, 0, 0, limit(1, 5));
        assert_eq!(admitted(&mut state, now, 100), 4);
        let almost = now + WINDOW.checked_sub(Duration::from_millis(1)).unwrap();
        assert_eq!(admitted(&mut state, almost, 100), 0);
        for _ in 0..4 {
            state.settle(now, 0, 1, limit(5, 5));
        }
        assert_eq!(admitted(&mut state, now + WINDOW, 100), 5);
    }

    #[test]
    fn a_count_that_begins_anew_frees_the_budget_at_once() {
        let (mut state, now) = (State::default(), Instant::now());
        admitted(&mut state, now, 100);
        state.settle(now, 0, 0, limit(48, 50));
        assert_eq!(admitted(&mut state, now, 100), 2);
        state.settle(now, 0, 48, limit(49, 50));
        state.settle(now, 0, 48, limit(1, 50));
        assert_eq!(admitted(&mut state, now, 100), 49);
    }

    #[test]
    fn answers_out_of_order_are_no_new_count() {
        let (mut state, now) = (State::default(), Instant::now());
        admitted(&mut state, now, 100);
        state.settle(now, 0, 0, limit(1, 10));
        assert_eq!(admitted(&mut state, now, 100), 9);
        state.settle(now, 0, 1, limit(9, 10));
        state.settle(now, 0, 1, limit(3, 10));
        assert_eq!(admitted(&mut state, now, 100), 0);
    }

    #[test]
    fn without_the_header_there_is_no_limit_until_a_refusal() {
        let (mut state, now) = (State::default(), Instant::now());
        admitted(&mut state, now, 80);
        state.settle(now, 0, 0, None);
        assert_eq!(admitted(&mut state, now, 80), 100);
    }

    #[test]
    fn a_limit_guessed_from_a_refusal_recovers() {
        let budget = Budget::new(100, WINDOW);
        for _ in 0..8 {
            let ticket = budget.try_admit();
            budget.answered(ticket, None);
        }
        budget.refused(Duration::ZERO);
        let mut state = budget.lock();
        let now = Instant::now();
        let mut windows = Vec::new();
        for window in 1..4 {
            state.outstanding = 0;
            let later = now + WINDOW * 2 * window;
            windows.push(admitted(&mut state, later, 100));
            state.settle(later, 0, 0, None);
        }
        assert_eq!(windows, [12, 18, 27]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_holds_everyone_and_is_told_once() {
        let budget = Budget::new(80, WINDOW);
        let ticket = budget.acquire(|_| async {}).await;
        budget.answered(ticket, limit(1, 20));
        budget.refused(Duration::from_secs(7));
        let began = Instant::now();
        let mut told = Vec::new();
        let ticket = budget
            .acquire(|moment| {
                told.push(moment);
                async {}
            })
            .await;
        assert_eq!(told, [began + Duration::from_secs(7)]);
        assert!(Instant::now() >= began + Duration::from_secs(7));
        drop(ticket);
    }
}
