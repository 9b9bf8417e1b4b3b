//! Faults of a single request.

use std::time::Duration;

use super::answer::Answer;

/// Fault of one request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Exactly this response.
    Answer {
        /// Status code.
        status: u16,
        /// Headers; `Date` and `Content-Length` are added.
        headers: Vec<(String, String)>,
        /// Body.
        body: Vec<u8>,
    },
    /// Correct response after a delay.
    Slow(Duration),
    /// Correct headers with the full `Content-Length`; the connection ends after some bytes of the body.
    CutBody {
        /// Number of bytes that are sent.
        after: usize,
    },
    /// A reset of the connection instead of a response.
    ResetBeforeHeaders,
    /// A reset of the connection after the correct headers.
    ResetAfterHeaders,
    /// There is never a response, and the connection stays open.
    Hang,
    /// Correct response with a slow body.
    Trickle {
        /// Speed of the body.
        bytes_per_second: u32,
    },
    /// Correct response with an empty body and status 200.
    Empty,
    /// Correct response after a PHP warning in HTML.
    Warning,
    /// Correct response with a changed body.
    Changed(fn(Vec<u8>) -> Vec<u8>),
}

/// A warning as PHP prints it before the body.
pub const WARNING: &str = "<br />\n<b>Warning</b>:  Undefined array key \"storefront_id\" in \
                           <b>/var/www/html/app/addons/example/func.php</b> on line <b>42</b><br />\n";

impl Fault {
    /// Creates an error page in HTML, as a firewall, a proxy or the web server sends.
    pub fn html(status: u16) -> Fault {
        Fault::from_answer(Answer::html(status, super::answer::status_text(status)))
    }

    /// Creates an error page in HTML with a `Retry-After` header.
    pub fn retry_after(status: u16, value: &str) -> Fault {
        let answer = Answer::html(status, super::answer::status_text(status));
        Fault::from_answer(answer.with("retry-after", value))
    }

    /// Creates an error in the form of the API.
    pub fn error(status: u16, details: &str) -> Fault {
        Fault::from_answer(super::answer::error(status, details))
    }

    fn from_answer(answer: Answer) -> Fault {
        Fault::Answer { status: answer.status, headers: answer.headers, body: answer.body }
    }
}
