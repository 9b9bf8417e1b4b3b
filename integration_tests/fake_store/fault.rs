//! Faulty responses: the kinds of faults, and the connection that executes them.
//!
//! hyper only writes correct responses, so it writes to a [`FaultIo`], which forwards everything unless a plan for the
//! current response tells it to cut, reset or replace the bytes.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::options::Tls;

/// The fault of one request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Exactly this response. Without a content type unless given.
    Answer {
        /// Status code.
        status: u16,
        /// Headers; `Date` and `Content-Length` are added.
        headers: Vec<(String, String)>,
        /// Body.
        body: Vec<u8>,
    },
    /// The correct headers with the full `Content-Length`; the connection ends after some bytes of the body.
    CutBody {
        /// Number of bytes that are sent.
        after: usize,
    },
    /// The connection is reset instead of a response.
    ResetBeforeHeaders,
    /// The connection is reset after the correct headers.
    ResetAfterHeaders,
    /// There is never a response, and the connection stays open.
    Hang,
    /// The correct response with a slow body.
    Trickle {
        /// The speed.
        bytes_per_second: u32,
    },
    /// The correct response, with its gzip stream cut in the middle and correct lengths.
    CutGzip,
    /// These bytes as the full HTTP response; then the connection ends.
    Raw(Vec<u8>),
    /// The correct response without compression, with a changed body and other headers.
    Changed {
        /// Headers to add or replace.
        headers: Vec<(String, String)>,
        /// Changes the body.
        change: fn(Vec<u8>) -> Vec<u8>,
    },
    /// The correct response without compression, with a `Content-Length` that is wrong by some bytes; then the
    /// connection ends.
    WrongLength(i64),
    /// The correct response to the same request to another resource: its rows, its links, and the name of its array or
    /// this one.
    AnswerOf {
        /// The other resource.
        resource: &'static str,
        /// Another name for the array.
        list: Option<&'static str>,
    },
    /// The correct response, with links to pages of another resource.
    NextPageOf(&'static str),
    /// The correct response with another status; without a body if it is 204.
    Status(u16),
    /// The correct response, compressed in several gzip members, with these bytes after the last one.
    Gzip {
        /// Number of members.
        members: usize,
        /// Bytes after the members.
        tail: &'static [u8],
    },
    /// The correct response without compression or length, and without some bytes at its end; then the socket is
    /// closed.
    /// With TLS, without a `close_notify`.
    Unclosed {
        /// Number of bytes that are not sent.
        missing: usize,
    },
    /// The correct response without its last byte and without a length, followed by endless spaces.
    Endless {
        /// One piece per second instead of as fast as possible.
        slowly: bool,
    },
}

/// The fault of a connection before its first request.
#[derive(Clone, Debug)]
pub enum ConnectionFault {
    /// It is reset.
    Reset,
    /// It is closed.
    Closed,
    /// It is accepted, and nothing is sent.
    Silent,
    /// The reply is neither TLS nor HTTP.
    Noise,
    /// Another certificate of the same authority (with TLS only).
    Certificate(Tls),
    /// A certificate of an unknown authority (with TLS only).
    Stranger,
}

impl Fault {
    /// Creates an error response in the documented form.
    pub fn error(status: u16, message: &str, details: &str) -> Fault {
        Fault::Answer {
            status,
            headers: vec![("content-type".to_owned(), "application/json; charset=utf-8".to_owned())],
            body: super::answer::error_body(status, message, details).into_bytes(),
        }
    }

    /// Creates a server error with names of .NET classes in its details.
    pub fn server_error() -> Fault {
        Fault::error(500, "Internal Server Error", super::answer::SERVER_FAULT)
    }

    /// Creates an HTML page of the servers in front of the API.
    pub fn html(status: u16) -> Fault {
        Fault::Answer {
            status,
            headers: vec![("content-type".to_owned(), "text/html".to_owned())],
            body: format!(
                "<html><head><title>{status} Service Unavailable</title></head><body><h1>The service is \
                 unavailable.</h1></body></html>\r\n"
            )
            .into_bytes(),
        }
    }
}

/// The action of a connection for the bytes of the current response.
#[derive(Debug, Default)]
pub(super) enum ConnectionPlan {
    /// Forwards them.
    #[default]
    Pass,
    /// Forwards the headers and some bytes of the body, then ends the connection.
    Cut {
        /// Number of bytes of the body.
        after: usize,
        /// True for a reset instead of a clean end.
        reset: bool,
    },
    /// Resets immediately.
    Reset,
    /// Writes these bytes instead and ends the connection.
    Raw {
        /// Bytes to write.
        bytes: Vec<u8>,
        /// True if the end is announced with `close_notify` (with TLS).
        announced: bool,
    },
}

/// The plan of a connection.
pub(super) type ConnectionPlanCell = Arc<Mutex<ConnectionPlan>>;

/// A socket that can be reset.
pub(super) trait Resettable {
    /// Returns the TCP socket below.
    fn tcp(&self) -> &TcpStream;
}

impl Resettable for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

#[cfg(feature = "tls")]
impl Resettable for tokio_rustls::server::TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// A connection that follows a plan.
pub(super) struct FaultIo<S> {
    inner: S,
    plan: ConnectionPlanCell,
    /// Matched bytes of "\r\n\r\n".
    matched: usize,
    /// Bytes of a raw response already written.
    written: usize,
    dead: bool,
}

impl<S: Resettable> FaultIo<S> {
    /// Wraps a connection.
    pub(super) fn new(inner: S, plan: ConnectionPlanCell) -> FaultIo<S> {
        FaultIo { inner, plan, matched: 0, written: 0, dead: false }
    }

    fn gone(&mut self, reset: bool) -> io::Error {
        if reset && !self.dead {
            let _ = self.inner.tcp().set_zero_linger();
        }
        self.dead = true;
        io::Error::from(io::ErrorKind::BrokenPipe)
    }

    /// Returns the number of these bytes that may be sent before the cut.
    fn allowed(&self, buf: &[u8], after: usize) -> usize {
        let mut matched = self.matched;
        for (at, byte) in buf.iter().enumerate() {
            if matched == 4 {
                return buf.len().min(at + after);
            }
            matched = match_end(matched, *byte);
        }
        buf.len()
    }
}

/// Takes one step in the search for the end of the headers.
fn match_end(matched: usize, byte: u8) -> usize {
    match (matched, byte) {
        (4, _) => 4,
        (n, b'\r') if n % 2 == 0 => n + 1,
        (n, b'\n') if n % 2 == 1 => n + 1,
        (_, b'\r') => 1,
        _ => 0,
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FaultIo<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Resettable + Unpin> AsyncWrite for FaultIo<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.dead {
            return Poll::Ready(Err(this.gone(false)));
        }
        let cell = Arc::clone(&this.plan);
        let mut plan = cell.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *plan {
            ConnectionPlan::Pass => {
                this.matched = 0;
                Pin::new(&mut this.inner).poll_write(cx, buf)
            }
            ConnectionPlan::Reset => Poll::Ready(Err(this.gone(true))),
            ConnectionPlan::Raw { bytes, announced } => {
                while this.written < bytes.len() {
                    this.written += ready!(Pin::new(&mut this.inner).poll_write(cx, &bytes[this.written..]))?;
                }
                ready!(Pin::new(&mut this.inner).poll_flush(cx))?;
                if *announced {
                    ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
                }
                Poll::Ready(Err(this.gone(false)))
            }
            ConnectionPlan::Cut { after, reset } => {
                let allowed = this.allowed(buf, *after);
                if allowed == 0 {
                    ready!(Pin::new(&mut this.inner).poll_flush(cx))?;
                    if !*reset {
                        ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
                    }
                    return Poll::Ready(Err(this.gone(*reset)));
                }
                let n = ready!(Pin::new(&mut this.inner).poll_write(cx, &buf[..allowed]))?;
                for byte in &buf[..n] {
                    if this.matched == 4 {
                        *after -= 1;
                    }
                    this.matched = match_end(this.matched, *byte);
                }
                Poll::Ready(Ok(n))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.dead {
            return Poll::Ready(Err(self.gone(false)));
        }
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        // All allowed bytes are sent, and there may be nothing more to write: end it here.
        let cut = match &*self.plan.lock().unwrap_or_else(PoisonError::into_inner) {
            ConnectionPlan::Cut { after: 0, reset } if self.matched == 4 => Some(*reset),
            _ => None,
        };
        match cut {
            Some(reset) => {
                if !reset {
                    ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
                }
                Poll::Ready(Err(self.gone(reset)))
            }
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.dead {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// Creates a body of known length, sent at once or slowly.
pub(super) struct FakeBody {
    rest: Bytes,
    endless: bool,
    pace: Option<(usize, Duration)>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl FakeBody {
    /// Creates a body that is sent at once.
    pub(super) fn at_once(bytes: Vec<u8>) -> FakeBody {
        FakeBody { rest: bytes.into(), endless: false, pace: None, sleep: None }
    }

    /// Creates a body that is sent in pieces.
    pub(super) fn slow(bytes: Vec<u8>, per_second: u32) -> FakeBody {
        let per_second = per_second.max(1);
        let pace = if per_second >= 20 {
            (per_second as usize / 20, Duration::from_millis(50))
        } else {
            (1, Duration::from_secs(1) / per_second)
        };
        FakeBody { rest: bytes.into(), endless: false, pace: Some(pace), sleep: None }
    }

    /// Creates a body that continues with spaces forever.
    pub(super) fn endless(bytes: Vec<u8>, slowly: bool) -> FakeBody {
        let pace = slowly.then_some((bytes.len() + 1, Duration::from_secs(1)));
        FakeBody { rest: bytes.into(), endless: true, pace, sleep: None }
    }
}

impl Body for FakeBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.rest.is_empty() && !self.endless {
            return Poll::Ready(None);
        }
        if self.rest.is_empty() {
            let spaces = if self.pace.is_some() { 1 } else { 64 * 1024 };
            self.rest = vec![b' '; spaces].into();
        }
        let Some((piece, pause)) = self.pace else {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.rest)))));
        };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
        ready!(sleep.as_mut().poll(cx));
        self.sleep = None;
        let piece = piece.min(self.rest.len());
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && !self.endless
    }

    fn size_hint(&self) -> SizeHint {
        if self.endless { SizeHint::default() } else { SizeHint::with_exact(self.rest.len() as u64) }
    }
}
