//! What a connection keeps: its number, and the answer that it sent last.
//!
//! HTTP/1.1 has no number in an answer that says to which request it belongs: a proxy that gets out of step sends an
//! answer that is right in itself and belongs to the request before.

use std::sync::{Mutex, PoisonError};

use super::answer::Answer;
use super::rows::mix;
use super::seen::RecordedRequest;

/// Which answers are those to the request before, on the same connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Late {
    /// Chooses the requests, with their numbers.
    pub seed: u64,
    /// One request in so many.
    pub one_in: u64,
    /// Once it has happened, each further answer on this connection is late, too: the right one comes to the request
    /// after. Otherwise the earlier answer is sent twice, and the right one never.
    pub out_of_step: bool,
}

impl Late {
    fn strikes(&self, seen: &RecordedRequest) -> bool {
        mix(self.seed ^ mix(seen.n as u64)).is_multiple_of(self.one_in.max(1))
    }
}

/// One connection.
pub(super) struct Connection {
    /// Its number, counted from 1.
    pub(super) number: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// The last answer and the number of its request.
    last: Option<(usize, Answer)>,
    behind: bool,
}

impl Connection {
    /// A new connection.
    pub(super) fn new(number: usize) -> Connection {
        Connection { number, kept: Mutex::default() }
    }

    /// What is sent for a request whose right answer is known; with the number of an earlier request if it is the
    /// answer to that.
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
        let strikes = kept.behind || late.strikes(seen);
        match kept.last.take() {
            Some((earlier, before)) if strikes => {
                kept.behind = late.out_of_step;
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
