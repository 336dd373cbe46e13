//! The output of log lines: a bounded buffer, which a separate thread writes to stderr. When the reader of stderr is
//! slow or stalled, lines are dropped and counted; webhooks and shutdown are never blocked.

use std::io::{self, BufWriter, Write};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

/// Maximum number of buffered lines: a few megabytes.
const WAITING_LINES_MAX: usize = 16 * 1024;
/// Buffer size for writing many lines together.
const WRITE_BYTES: usize = 64 * 1024;
/// The appender stops waiting for its thread after 1.1 s and then prints a message. That print may block forever, like
/// the lines.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// Global, like the log itself.
static WRITING: Mutex<Option<WorkerGuard>> = Mutex::new(None);
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// Keeps the log thread running. Hold it until the end of `main`: dropping it flushes the buffer.
#[must_use]
pub struct LogGuard(());

impl Drop for LogGuard {
    fn drop(&mut self) {
        flush();
    }
}

/// Returns a non-blocking writer for log lines.
pub(crate) fn start() -> (NonBlocking, LogGuard) {
    let output = Output { out: BufWriter::with_capacity(WRITE_BYTES, io::stderr()), reported: 0 };
    let builder = NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES_MAX).lossy(true);
    let (lines, writing) = builder.thread_name("log").finish(output);
    DROPPED.set(lines.error_counter()).ok();
    *WRITING.lock().unwrap_or_else(PoisonError::into_inner) = Some(writing);
    (lines, LogGuard(()))
}

/// Stops the log and flushes the buffer, unless the reader of stderr is stalled. Must be called before the process
/// exits without returning from `main`.
pub(crate) fn flush() {
    let Some(writing) = WRITING.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
    let (done, written) = mpsc::channel();
    std::thread::spawn(move || {
        drop(writing);
        done.send(()).ok();
    });
    written.recv_timeout(FLUSH_MAX).ok();
}

/// Stops the log and writes a last line to stderr, without waiting for a stalled reader.
pub(crate) fn print(line: String) {
    flush();
    let (done, written) = mpsc::channel();
    std::thread::spawn(move || {
        // A failure to write to stderr cannot be reported anywhere.
        io::stderr().write_all(line.as_bytes()).ok();
        done.send(()).ok();
    });
    written.recv_timeout(FLUSH_MAX).ok();
}

/// The number of lines dropped because the buffer was full.
pub(crate) fn dropped_lines() -> u64 {
    DROPPED.get().map_or(0, |dropped| dropped.dropped_lines() as u64)
}

/// Stderr. After flushing, it logs how many lines were dropped.
struct Output<W: Write> {
    out: BufWriter<W>,
    reported: u64,
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    /// Called whenever the buffer is empty.
    fn flush(&mut self) -> io::Result<()> {
        // Read the counter first: during the flush the buffer may fill up again and drop the warning.
        let dropped = dropped_lines();
        self.out.flush()?;
        if dropped > self.reported {
            let lines = dropped - self.reported;
            tracing::warn!(log.lines_dropped = lines, "dropped log lines: the reader of stderr was too slow");
            if dropped_lines() == dropped {
                self.reported = dropped;
            }
        }
        Ok(())
    }
}
