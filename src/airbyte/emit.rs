//! The one owner of the output: a thread that hands whole lines, in the order they were handed to it, to
//! a [`Sink`], which is stdout as it is unless the command line asks for something else.
//!
//! The queue is short and senders wait on it, so a slow reader of stdout slows the requests instead of
//! filling memory. Once the sink has failed nothing more is accepted and everybody is told.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use super::line_batch::{BLOCK, LineBatch};
use super::message::{
    Descriptor, Estimate, FailureType, Level, Log, Message, RateLimited, Reason, StreamStatus, StreamStatusBody, Trace,
    TraceError, now,
};
use crate::buffer_pool::BufferPool;
use crate::secret::Secret;

/// Batches that may wait for the writer: one ready behind the one being written keeps it busy.
const QUEUE: usize = 1;

/// Where whole lines go, in the order in which they were handed over.
pub trait Sink: Send {
    /// Takes whole lines: RECORD lines of one stream with or without a STATE behind them, or one message.
    /// A STATE is always the last line.
    ///
    /// # Errors
    /// [`WriteError`]; nothing is handed over after it.
    fn take(&mut self, lines: &[u8]) -> Result<(), WriteError>;

    /// Passes on what was taken, since nothing more is waiting at the moment.
    ///
    /// # Errors
    /// [`WriteError`]
    fn flush(&mut self) -> Result<(), WriteError>;

    /// Called once, after the last batch, also if that failed.
    ///
    /// # Errors
    /// [`WriteError`]
    fn finish(&mut self) -> Result<(), WriteError> {
        self.flush()
    }
}

impl<S: Sink + ?Sized> Sink for Box<S> {
    fn take(&mut self, lines: &[u8]) -> Result<(), WriteError> {
        (**self).take(lines)
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        (**self).flush()
    }

    fn finish(&mut self) -> Result<(), WriteError> {
        (**self).finish()
    }
}

/// Stdout as it is: every byte that is handed over, and nothing else.
#[derive(Debug)]
pub struct Passthrough<W>(pub W);

impl<W: Write + Send> Sink for Passthrough<W> {
    fn take(&mut self, lines: &[u8]) -> Result<(), WriteError> {
        self.0.write_all(lines).map_err(WriteError::stdout)
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        self.0.flush().map_err(WriteError::stdout)
    }
}

/// Something that was to be written is not, or not whole.
#[derive(Debug, thiserror::Error)]
#[error("{what} cannot be written: {error}")]
pub struct WriteError {
    /// What: `stdout`, or a file by its path.
    pub what: String,
    /// Why.
    pub error: std::io::Error,
}

impl WriteError {
    /// What cannot be written if it is stdout.
    pub const STDOUT: &str = "stdout";

    /// It was stdout.
    #[must_use]
    pub fn stdout(error: std::io::Error) -> Self {
        Self { what: Self::STDOUT.to_owned(), error }
    }

    /// Returns true if whoever read stdout has closed it.
    #[must_use]
    pub fn is_closed_stdout(&self) -> bool {
        self.what == "stdout" && self.error.kind() == std::io::ErrorKind::BrokenPipe
    }
}

/// The output is closed, or full: whatever was handed over since may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stdout is closed")]
pub struct Closed;

/// A TRACE error that was emitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmittedError {
    /// The stream it ended, if it was one.
    pub stream: Option<String>,
    /// Who can fix it.
    pub failure_type: FailureType,
    /// The sentence, without secrets.
    pub message: String,
}

/// Hands lines to the writer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Emitter {
    queue: mpsc::Sender<LineBatch>,
    level: Level,
    secrets: Arc<[Secret]>,
    pool: BufferPool<BLOCK>,
    /// All clones share it.
    errors: Arc<Mutex<Vec<EmittedError>>>,
}

/// The writer's thread.
#[derive(Debug)]
pub struct Writer(JoinHandle<Result<(), WriteError>>);

/// Starts the writer on `sink`. Logs below `level` are left out. Should the writer panic, the line that
/// `on_panic` makes is its last.
pub fn start(
    mut sink: impl Sink + 'static,
    level: Level,
    on_panic: impl FnOnce() -> Vec<u8> + Send + 'static,
) -> (Emitter, Writer) {
    let (queue, lines) = mpsc::channel::<LineBatch>(QUEUE);
    let thread = std::thread::spawn(move || {
        let mut at_line_end = true;
        // Of what panicked, only the sink is used again, and only between two batches.
        let written = catch_unwind(AssertUnwindSafe(|| write(&mut sink, lines, &mut at_line_end)));
        let Ok(written) = written else {
            if at_line_end {
                sink.take(&on_panic())?;
                sink.flush()?;
            }
            return Err(WriteError::stdout(std::io::Error::other("the connector failed through a fault of its own")));
        };
        // The first fault says more than what follows from it.
        let finished = sink.finish();
        written.and(finished)
    });
    let emitter = Emitter { queue, level, secrets: Arc::new([]), pool: BufferPool::default(), errors: Arc::default() };
    (emitter, Writer(thread))
}

/// Hands over until every [`Emitter`] is gone. The queue is closed when this returns. `at_line_end` is false
/// while the output may end in the middle of a line.
fn write(sink: &mut impl Sink, mut lines: mpsc::Receiver<LineBatch>, at_line_end: &mut bool) -> Result<(), WriteError> {
    while let Some(batch) = lines.blocking_recv() {
        *at_line_end = false;
        batch.for_each_block(|lines| sink.take(lines))?;
        *at_line_end = true;
        if lines.is_empty() {
            sink.flush()?;
        }
        crate::panic_hook::failpoint("writer");
    }
    Ok(())
}

/// Room for one batch of whole lines.
#[derive(Debug)]
pub struct SendPermit<'e>(mpsc::Permit<'e, LineBatch>);

impl SendPermit<'_> {
    /// Hands over whole lines. No lines leave no trace.
    pub fn send(self, lines: LineBatch) {
        if !lines.is_empty() {
            self.0.send(lines);
        }
    }
}

impl Writer {
    /// Waits until everything is written. Every [`Emitter`] must be gone.
    ///
    /// # Errors
    /// The first write that failed.
    pub fn finish(self) -> Result<(), WriteError> {
        self.0.join().unwrap_or_else(|_| Err(WriteError::stdout(std::io::Error::other("the writer panicked"))))
    }
}

impl Emitter {
    /// The same emitter, which also replaces these secrets in every text for people.
    #[must_use]
    pub fn with_secrets(self, secrets: Vec<Secret>) -> Self {
        Self { secrets: secrets.into(), ..self }
    }

    /// No lines yet, in memory that is used again.
    #[must_use]
    pub fn lines(&self) -> LineBatch {
        LineBatch::new(&self.pool)
    }

    /// Hands over whole lines.
    ///
    /// # Errors
    /// [`Closed`] if stdout is gone.
    pub async fn send(&self, lines: Vec<u8>) -> Result<(), Closed> {
        self.queue.send(lines.into()).await.map_err(|_| Closed)
    }

    /// Waits for room for one batch. What is decided between this and [`SendPermit::send`] cannot be torn
    /// from its lines by a cancellation.
    ///
    /// # Errors
    /// [`Closed`] if stdout is gone.
    pub async fn reserve(&self) -> Result<SendPermit<'_>, Closed> {
        self.queue.reserve().await.map(SendPermit).map_err(|_| Closed)
    }

    /// Writes one message.
    ///
    /// # Errors
    /// [`Closed`] if stdout is gone.
    pub async fn message(&self, message: &Message<'_>) -> Result<(), Closed> {
        self.send(message.line()).await
    }

    /// Writes a LOG.
    ///
    /// # Errors
    /// [`Closed`] if stdout is gone.
    pub async fn log(&self, level: Level, text: &str) -> Result<(), Closed> {
        if level < self.level {
            return Ok(());
        }
        let text = self.masked(text);
        self.message(&Message::Log { log: Log { level, message: &text } }).await
    }

    /// Writes a TRACE error; `stream` is the stream it ended.
    ///
    /// # Errors
    /// [`Closed`] if stdout is gone.
    pub async fn error(
        &self,
        stream: Option<&str>,
        failure_type: FailureType,
        message: &str,
        internal: Option<&str>,
    ) -> Result<(), Closed> {
        let (message, internal) = (self.masked(message), internal.map(|text| self.masked(text)));
        // Noted also where stdout is gone: whoever reads no stdout reads the summary.
        let noted = EmittedError { stream: stream.map(str::to_owned), failure_type, message: message.clone() };
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).push(noted);
        let error = TraceError {
            message: &message,
            internal_message: internal.as_deref(),
            failure_type,
            stream_descriptor: stream.map(|name| Descriptor { name }),
        };
        self.message(&Message::Trace { trace: Trace::Error { emitted_at: now(), error } }).await
    }

    /// Returns the TRACE errors of this process so far, in order.
    #[must_use]
    pub fn errors(&self) -> Vec<EmittedError> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes a change of status; with `quota_reset` (milliseconds since the epoch), RATE_LIMITED.
    ///
    /// # Errors
    /// [`Closed`] if stdout is gone.
    pub async fn status(&self, stream: &str, status: StreamStatus, quota_reset: Option<u64>) -> Result<(), Closed> {
        let reasons =
            quota_reset.map(|quota_reset| [Reason::RateLimited { rate_limited: RateLimited { quota_reset } }]);
        let stream_status = StreamStatusBody { stream_descriptor: Descriptor { name: stream }, status, reasons };
        self.message(&Message::Trace { trace: Trace::StreamStatus { emitted_at: now(), stream_status } }).await
    }

    /// Writes an estimate of the rows of a stream.
    ///
    /// # Errors
    /// [`Closed`] if stdout is gone.
    pub async fn estimate(&self, stream: &str, rows: u64) -> Result<(), Closed> {
        let estimate = Estimate { name: stream, kind: "STREAM", row_estimate: rows };
        self.message(&Message::Trace { trace: Trace::Estimate { emitted_at: now(), estimate } }).await
    }

    /// The text with every secret replaced.
    #[must_use]
    pub fn masked(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| secret.masked(&text))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use super::*;

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

    #[tokio::test]
    async fn secrets_are_replaced_in_texts_for_people() {
        let kept = Kept::default();
        let (emitter, writer) = start(Passthrough(kept.clone()), Level::Info, Vec::new);
        let emitter = emitter.with_secrets(vec![Secret::new("hunter22".into())]);
        emitter.log(Level::Warn, "token hunter22 refused").await.unwrap();
        emitter.log(Level::Debug, "left out").await.unwrap();
        emitter.error(Some("orders"), FailureType::ConfigError, "m hunter22", Some("i hunter22")).await.unwrap();
        drop(emitter);
        writer.finish().unwrap();
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(!text.contains("hunter22") && text.contains("token **** refused"), "{text}");
    }

    #[tokio::test]
    async fn a_closed_stdout_is_reported() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let (emitter, writer) = start(Passthrough(Broken), Level::Info, Vec::new);
        let mut closed = false;
        for _ in 0..100 {
            closed |= emitter.log(Level::Info, "x").await == Err(Closed);
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        assert!(closed);
        drop(emitter);
        assert_eq!(writer.finish().unwrap_err().error.kind(), std::io::ErrorKind::BrokenPipe);
    }
}
