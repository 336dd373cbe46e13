//! Where log lines go: a bounded buffer, which a thread of its own writes to stderr. A reader of the log that is slow or
//! stands still costs lines, which are counted, and never a webhook or an orderly end.

use std::io::{self, BufWriter, Write};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

/// Lines that may wait: some megabytes.
const WAITING_LINES_MAX: usize = 16 * 1024;
/// Bytes that are written together when many lines wait.
const WRITE_BYTES: usize = 64 * 1024;
/// The appender gives up waiting for its thread after 1.1 s, and then prints that. A print may block for ever, as the
/// lines did.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// As global as the log itself.
static WRITING: Mutex<Option<WorkerGuard>> = Mutex::new(None);
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// Keeps the log being written. Keep it until the end of `main`: what waits is written when it is dropped.
#[must_use]
pub struct LogGuard(());

impl Drop for LogGuard {
    fn drop(&mut self) {
        flush();
    }
}

/// A writer for log lines that never waits.
pub(crate) fn start() -> (NonBlocking, LogGuard) {
    let output = Output { out: BufWriter::with_capacity(WRITE_BYTES, io::stderr()), reported: 0 };
    let builder = NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES_MAX).lossy(true);
    let (lines, writing) = builder.thread_name("log").finish(output);
    DROPPED.set(lines.error_counter()).ok();
    *WRITING.lock().unwrap_or_else(PoisonError::into_inner) = Some(writing);
    (lines, LogGuard(()))
}

/// Ends the log: writes what waits, unless the reader of stderr stands still. Before the process exits without returning
/// from `main`.
pub(crate) fn flush() {
    let Some(writing) = WRITING.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
    let (done, written) = mpsc::channel();
    std::thread::spawn(move || {
        drop(writing);
        done.send(()).ok();
    });
    written.recv_timeout(FLUSH_MAX).ok();
}

/// Ends the log with a last line on stderr, which is not waited for where the reader stands still.
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

/// Lines that found the buffer full.
pub(crate) fn dropped_lines() -> u64 {
    DROPPED.get().map_or(0, |dropped| dropped.dropped_lines() as u64)
}

/// Stderr. Once all that waited is written, it says how many lines are missing since the program started.
struct Output<W: Write> {
    out: BufWriter<W>,
    reported: u64,
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    /// Called whenever no line waits any more.
    fn flush(&mut self) -> io::Result<()> {
        // Read first: while this writes, the buffer may fill again, and would have no room for the warning.
        let dropped = dropped_lines();
        self.out.flush()?;
        if dropped > self.reported {
            let lines = dropped - self.reported;
            tracing::warn!(
                log.lines_dropped = lines,
                "log lines were dropped: the reader of the log was too slow"
            );
            if dropped_lines() == dropped {
                self.reported = dropped;
            }
        }
        Ok(())
    }
}
