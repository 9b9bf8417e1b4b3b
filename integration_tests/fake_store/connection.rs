//! The state of a connection: its number, and the last response that was sent on it.
//!
//! An HTTP/1.1 response does not say to which request it belongs: a faulty proxy can send a response that is correct in
//! itself, but belongs to the previous request.

use std::sync::{Mutex, PoisonError};

use super::answer::Answer;
use super::rows::mix;
use super::seen::RecordedRequest;

/// Which requests get the response to the previous request of the same connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Late {
    /// Selects the requests, by number.
    pub seed: u64,
    /// One request in this many.
    pub one_in: u64,
    /// After the first time, every response on this connection is late: each request gets the previous response.
    /// Otherwise, the earlier response is sent twice and the right one never.
    pub out_of_step: bool,
}

impl Late {
    fn strikes(&self, seen: &RecordedRequest) -> bool {
        mix(self.seed ^ mix(seen.n as u64)).is_multiple_of(self.one_in.max(1))
    }
}

/// One connection.
pub(super) struct Connection {
    /// Number of the connection, from 1.
    pub(super) number: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// The last response, and the number of its request.
    last: Option<(usize, Answer)>,
    is_late: bool,
}

impl Connection {
    /// Creates a connection.
    pub(super) fn new(number: usize) -> Connection {
        Connection { number, kept: Mutex::default() }
    }

    /// Returns the response to send for a request, and the number of the earlier request that it belongs to, if it is a
    /// late response.
    pub(super) fn exchange(
        &self,
        answer: Answer,
        seen: &RecordedRequest,
        late: Option<&Late>,
    ) -> (Answer, Option<usize>) {
        let Some(late) = late else {
            return (answer, None);
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let strikes = kept.is_late || late.strikes(seen);
        match kept.last.take() {
            Some((earlier, before)) if strikes => {
                kept.is_late = late.out_of_step;
                let next = if late.out_of_step { (seen.n, answer) } else { (earlier, before.clone()) };
                kept.last = Some(next);
                (before, Some(earlier))
            }
            _ => {
                kept.last = Some((seen.n, answer.clone()));
                (answer, None)
            }
        }
    }
}
