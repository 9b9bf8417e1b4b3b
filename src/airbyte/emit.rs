//! The only owner of the output: a thread that passes what it receives to a [`Sink`], in order. The sink is stdout
//! itself ([`Passthrough`]) unless the command line selects another one.
//!
//! The queue holds typed values: a batch of records of one stream with the state that covers them, a message, or
//! plain text. It is short and senders wait for it, so a slow reader of stdout slows the requests down instead of
//! filling memory. After the sink has failed nothing more is accepted, and every sender gets [`Closed`].

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use super::line_batch::{BLOCK, LineBatch};
use super::message::{
    Descriptor, Estimate, Level, Log, Message, RateLimited, Reason, StateMessage, StreamStatus, StreamStatusBody,
    Trace, TraceError, now,
};
use crate::buffer_pool::BufferPool;
use crate::secret::Secret;

/// Maximum number of entries that wait for the writer: with one, the writer is always busy.
const QUEUE: usize = 1;

/// RECORD lines of one stream, and the state that covers them.
#[derive(Debug)]
pub struct RecordBatch {
    /// The stream.
    pub stream: Arc<str>,
    /// The length of a line before its data; see [`record_prefix`](super::message::record_prefix).
    pub prefix_length: usize,
    /// The lines.
    pub lines: LineBatch,
    /// The state after the last record.
    pub state: Option<StateMessage>,
}

impl RecordBatch {
    /// Adds the line of the state to the lines, so that both are written at once.
    pub fn append_state_line(&mut self) {
        if let Some(state) = &self.state {
            self.lines.append(state.line());
        }
    }
}

/// An entry of the queue.
#[derive(Debug)]
enum Entry {
    Records(RecordBatch),
    Message(Message),
    Text(String),
}

/// Receives everything that is emitted, in order.
pub trait Sink: Send {
    /// Writes records, then their state.
    ///
    /// # Errors
    /// [`WriteError`]; the sink gets nothing more after it.
    fn records(&mut self, batch: RecordBatch) -> Result<(), WriteError>;

    /// Writes a message.
    ///
    /// # Errors
    /// [`WriteError`]; the sink gets nothing more after it.
    fn message(&mut self, message: &Message) -> Result<(), WriteError>;

    /// Writes text that is not a message, such as a table.
    ///
    /// # Errors
    /// [`WriteError`]; the sink gets nothing more after it.
    fn text(&mut self, text: &str) -> Result<(), WriteError>;

    /// Flushes what was written. Called when the queue is empty.
    fn flush(&mut self) -> Result<(), WriteError>;

    /// Ends the output. Called once, after the last entry, also if that failed.
    fn finish(&mut self) -> Result<(), WriteError> {
        self.flush()
    }
}

/// Writes every line to stdout unchanged.
#[derive(Debug)]
pub struct Passthrough<W>(pub W);

impl<W: Write + Send> Sink for Passthrough<W> {
    fn records(&mut self, mut batch: RecordBatch) -> Result<(), WriteError> {
        batch.append_state_line();
        batch.lines.for_each_block(|lines| self.0.write_all(lines)).map_err(WriteError::stdout)
    }

    fn message(&mut self, message: &Message) -> Result<(), WriteError> {
        self.0.write_all(&message.line()).map_err(WriteError::stdout)
    }

    fn text(&mut self, text: &str) -> Result<(), WriteError> {
        self.0.write_all(text.as_bytes()).map_err(WriteError::stdout)
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        self.0.flush().map_err(WriteError::stdout)
    }
}

/// Output that could not be written, or not completely.
#[derive(Debug, thiserror::Error)]
#[error("{what} cannot be written: {error}")]
pub struct WriteError {
    /// `stdout`, or a file with its path.
    pub what: String,
    /// The cause.
    pub error: std::io::Error,
}

impl WriteError {
    /// `what` of an error of stdout.
    pub const STDOUT: &str = "stdout";

    /// Returns an error of stdout.
    pub fn stdout(error: std::io::Error) -> Self {
        Self { what: Self::STDOUT.to_owned(), error }
    }

    /// Returns true if it is an error of stdout, not of a file.
    pub fn is_stdout(&self) -> bool {
        self.what == Self::STDOUT
    }

    /// Returns true if the reader of stdout has closed it.
    pub fn is_closed_stdout(&self) -> bool {
        self.is_stdout() && self.error.kind() == std::io::ErrorKind::BrokenPipe
    }
}

/// The output is closed or full. What was emitted last may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stdout is closed")]
pub struct Closed;

/// Sends output to the writer. Clones share the queue, the secrets and the list of errors.
#[derive(Clone, Debug)]
pub struct Emitter {
    queue: mpsc::Sender<Entry>,
    /// Less severe LOG messages are not emitted.
    level: Level,
    secrets: Arc<RwLock<Vec<Secret>>>,
    pool: BufferPool<BLOCK>,
    errors: Arc<Mutex<Vec<TraceError>>>,
}

/// The writer's thread.
#[derive(Debug)]
pub struct Writer(JoinHandle<Result<(), WriteError>>);

/// Starts the writer on `sink`. LOG messages below `level` are not emitted. If the writer panics, it ends with the
/// message that `on_panic` returns.
pub fn start(
    mut sink: Box<dyn Sink>,
    level: Level,
    on_panic: impl FnOnce() -> Message + Send + 'static,
) -> (Emitter, Writer) {
    let (queue, entries) = mpsc::channel(QUEUE);
    let thread = std::thread::spawn(move || {
        let mut at_line_end = true;
        // After a panic only the sink is used again, and only between two entries.
        let written = catch_unwind(AssertUnwindSafe(|| write(&mut *sink, entries, &mut at_line_end)));
        let Ok(written) = written else {
            if at_line_end {
                sink.message(&on_panic())?;
                sink.flush()?;
            }
            return Err(WriteError::stdout(std::io::Error::other("the connector failed because of a bug")));
        };
        // The first error explains those that follow from it.
        let finished = sink.finish();
        written.and(finished)
    });
    let emitter =
        Emitter { queue, level, secrets: Arc::default(), pool: BufferPool::default(), errors: Arc::default() };
    (emitter, Writer(thread))
}

/// Writes until every [`Emitter`] is dropped. The queue is closed when this returns. `at_line_end` is false while the
/// output may end in the middle of a line.
fn write(sink: &mut dyn Sink, mut entries: mpsc::Receiver<Entry>, at_line_end: &mut bool) -> Result<(), WriteError> {
    while let Some(entry) = entries.blocking_recv() {
        *at_line_end = false;
        match entry {
            Entry::Records(batch) => sink.records(batch)?,
            Entry::Message(message) => sink.message(&message)?,
            Entry::Text(text) => sink.text(&text)?,
        }
        *at_line_end = true;
        if entries.is_empty() {
            sink.flush()?;
        }
        crate::panic_hook::failpoint("writer");
    }
    Ok(())
}

/// A free slot in the queue.
#[derive(Debug)]
pub struct SendPermit<'e>(mpsc::Permit<'e, Entry>);

impl SendPermit<'_> {
    /// Sends records and their state. Does nothing if there is neither.
    pub fn send(self, batch: RecordBatch) {
        if !batch.lines.is_empty() || batch.state.is_some() {
            self.0.send(Entry::Records(batch));
        }
    }
}

impl Writer {
    /// Waits until everything is written. Blocks as long as there is an [`Emitter`].
    ///
    /// # Errors
    /// The first write that failed.
    pub fn finish(self) -> Result<(), WriteError> {
        self.0.join().unwrap_or_else(|_| Err(WriteError::stdout(std::io::Error::other("the writer panicked"))))
    }
}

/// Methods that send return [`Closed`] if the output is closed.
impl Emitter {
    /// Replaces these secrets in all messages from now on.
    pub fn hide(&self, secrets: Vec<Secret>) {
        // Each change is complete when the lock is released.
        self.secrets.write().unwrap_or_else(PoisonError::into_inner).extend(secrets);
    }

    /// Returns an empty batch, in memory that is reused.
    pub fn lines(&self) -> LineBatch {
        LineBatch::new(&self.pool)
    }

    /// Waits for a free slot for one batch. What happens between this and [`SendPermit::send`] cannot be separated
    /// from its records by a cancellation.
    pub async fn reserve(&self) -> Result<SendPermit<'_>, Closed> {
        self.queue.reserve().await.map(SendPermit).map_err(|_| Closed)
    }

    async fn send(&self, entry: Entry) -> Result<(), Closed> {
        self.queue.send(entry).await.map_err(|_| Closed)
    }

    /// Emits text that is not a message, such as a table.
    pub async fn text(&self, text: String) -> Result<(), Closed> {
        self.send(Entry::Text(text)).await
    }

    /// Emits a message as it is.
    pub async fn message(&self, message: Message) -> Result<(), Closed> {
        self.send(Entry::Message(message)).await
    }

    /// Emits a LOG message.
    pub async fn log(&self, level: Level, text: &str) -> Result<(), Closed> {
        if level < self.level {
            return Ok(());
        }
        self.message(Message::Log { log: Log { level, message: self.masked(text) } }).await
    }

    /// Emits a TRACE error.
    pub async fn error(&self, mut error: TraceError) -> Result<(), Closed> {
        error.message = self.masked(&error.message);
        error.internal_message = error.internal_message.map(|text| self.masked(&text));
        // Also if stdout is closed: the summary of the run reports the error.
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).push(error.clone());
        self.message(Message::error(error)).await
    }

    /// Returns all TRACE errors so far, in order.
    pub fn errors(&self) -> Vec<TraceError> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Emits a change of status; with `quota_reset` (milliseconds since the epoch), RATE_LIMITED.
    pub async fn status(&self, stream: &str, status: StreamStatus, quota_reset: Option<u64>) -> Result<(), Closed> {
        let reasons =
            quota_reset.map(|quota_reset| [Reason::RateLimited { rate_limited: RateLimited { quota_reset } }]);
        let stream_descriptor = Descriptor { name: stream.to_owned() };
        let stream_status = StreamStatusBody { stream_descriptor, status, reasons };
        self.message(Message::Trace { trace: Trace::StreamStatus { emitted_at: now(), stream_status } }).await
    }

    /// Emits an estimate of the rows of a stream.
    pub async fn estimate(&self, stream: &str, rows: u64) -> Result<(), Closed> {
        let estimate = Estimate { name: stream.to_owned(), kind: "STREAM", row_estimate: rows };
        self.message(Message::Trace { trace: Trace::Estimate { emitted_at: now(), estimate } }).await
    }

    /// Returns the text with every secret replaced.
    pub fn masked(&self, text: &str) -> String {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        secrets.iter().fold(text.to_owned(), |text, secret| secret.masked(&text))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::airbyte::FailureType;
    use crate::airbyte::message::{RECORD_SUFFIX, record_prefix, state_line};

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

    fn error(message: &str) -> TraceError {
        TraceError {
            message: message.to_owned(),
            internal_message: Some(message.to_owned()),
            failure_type: FailureType::ConfigError,
            stream_descriptor: None,
            is_interruption: false,
        }
    }

    fn on(sink: impl Sink + 'static) -> (Emitter, Writer) {
        start(Box::new(sink), Level::Info, || Message::error(error("panicked")))
    }

    #[tokio::test]
    async fn secrets_are_replaced_in_texts_for_people() {
        let kept = Kept::default();
        let (emitter, writer) = on(Passthrough(kept.clone()));
        let earlier = emitter.clone();
        emitter.hide(vec![Secret::new("hunter22".into())]);
        earlier.log(Level::Warn, "token hunter22 refused").await.unwrap();
        emitter.log(Level::Debug, "left out").await.unwrap();
        emitter.error(error("m hunter22")).await.unwrap();
        assert!(!emitter.errors()[0].message.contains("hunter22"));
        drop((emitter, earlier));
        writer.finish().unwrap();
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(!text.contains("hunter22") && text.contains("token **** refused"), "{text}");
    }

    #[tokio::test]
    async fn records_come_before_their_state_and_nothing_is_sent_for_neither() {
        let kept = Kept::default();
        let (emitter, writer) = on(Passthrough(kept.clone()));
        let record = [record_prefix("orders"), b"{}".to_vec(), RECORD_SUFFIX.to_vec()].concat();
        let state = || RawValue::from_string(r#"{"x":1}"#.to_owned()).unwrap();
        for (rows, has_state) in [(1, true), (0, false), (0, true)] {
            let mut lines = emitter.lines();
            for _ in 0..rows {
                lines.begin_line().1.extend_from_slice(&record);
            }
            let state = has_state.then(|| StateMessage { stream: "orders".into(), state: state(), records: rows });
            let prefix_length = record_prefix("orders").len();
            let batch = RecordBatch { stream: "orders".into(), prefix_length, lines, state };
            emitter.reserve().await.unwrap().send(batch);
        }
        drop(emitter);
        writer.finish().unwrap();
        let expected = [record.clone(), state_line("orders", &state(), 1), state_line("orders", &state(), 0)].concat();
        assert_eq!(String::from_utf8(kept.0.lock().unwrap().clone()), String::from_utf8(expected));
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
        let (emitter, writer) = on(Passthrough(Broken));
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
