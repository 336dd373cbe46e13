//! Log lines that are written together: a line costs its program a copy instead of a system call. What is lost when the
//! program is killed is what was logged in the last [`LogBuffer::DELAY`]; nothing is lost when it stops, fails or panics,
//! and nothing when stderr is slow: then whoever logs waits for it.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// More than this does not wait for its time.
const PENDING_BYTES_MANY: usize = 256 * 1024;
/// More than this makes whoever logs wait: stderr is slower than the program.
const PENDING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Memory that is kept when it is empty.
const KEPT_BYTES: usize = PENDING_BYTES_MANY;

/// Writes what it holds when its last clone but the log's own is dropped.
#[derive(Clone)]
pub struct LogBuffer(Arc<Shared>);

struct Shared {
    pending: Mutex<Pending>,
    /// Told when there is something to write.
    filled: Condvar,
    out: Mutex<Box<dyn Write + Send>>,
}

#[derive(Default)]
struct Pending {
    lines: Vec<u8>,
    /// The writing thread sleeps until it is told.
    asleep: bool,
}

impl Pending {
    fn are_many(&self) -> bool {
        self.lines.len() > PENDING_BYTES_MANY
    }
}

impl LogBuffer {
    /// How long a line may wait.
    pub const DELAY: Duration = Duration::from_millis(20);

    pub(crate) fn start(out: impl Write + Send + 'static) -> Self {
        let shared = Arc::new(Shared {
            pending: Mutex::default(),
            filled: Condvar::new(),
            out: Mutex::new(Box::new(out)),
        });
        let writing = shared.clone();
        let thread = std::thread::Builder::new().name("log".to_owned()).stack_size(64 * 1024);
        thread.spawn(move || writing.write_on()).expect("the system has a thread for the log");
        Self(shared)
    }

    /// Writes all that waits.
    pub fn flush(&self) {
        self.0.flush();
    }
}

impl Drop for LogBuffer {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Shared {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().expect("nothing panics while it holds the lock")
    }

    fn push(&self, line: &[u8]) {
        let mut pending = self.pending();
        let before = pending.lines.len();
        pending.lines.extend_from_slice(line);
        let full = pending.lines.len() > PENDING_BYTES_MAX;
        let many = before <= PENDING_BYTES_MANY && pending.are_many();
        if std::mem::take(&mut pending.asleep) || many {
            self.filled.notify_one();
        }
        drop(pending);
        if full {
            self.flush();
        }
    }

    fn flush(&self) {
        // Taken first, so that lines are written in their order.
        let mut out = self.out.lock().expect("nothing panics while it holds the lock");
        let mut lines = std::mem::take(&mut self.pending().lines);
        if lines.is_empty() {
            return;
        }
        // Nobody could be told that the log cannot be written.
        out.write_all(&lines).and_then(|()| out.flush()).ok();
        lines.clear();
        lines.shrink_to(KEPT_BYTES);
        let mut pending = self.pending();
        if pending.lines.is_empty() {
            pending.lines = lines;
        }
    }

    fn write_on(&self) {
        loop {
            let mut pending = self.pending();
            while pending.lines.is_empty() {
                pending.asleep = true;
                pending = self.filled.wait(pending).expect("nothing panics while it holds the lock");
            }
            let collecting =
                self.filled.wait_timeout_while(pending, LogBuffer::DELAY, |pending| !pending.are_many());
            drop(collecting.expect("nothing panics while it holds the lock"));
            self.flush();
        }
    }
}

/// One line on its way into the buffer.
pub struct Line<'b> {
    shared: &'b Shared,
    at_once: bool,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.shared.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if self.at_once {
            self.shared.flush();
        }
    }
}

impl<'b> MakeWriter<'b> for LogBuffer {
    type Writer = Line<'b>;

    fn make_writer(&'b self) -> Line<'b> {
        Line { shared: &self.0, at_once: true }
    }

    fn make_writer_for(&'b self, line: &Metadata<'_>) -> Line<'b> {
        Line { shared: &self.0, at_once: *line.level() == Level::ERROR }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Out(Arc<(Mutex<Vec<u8>>, Condvar)>);

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.0.lock().unwrap().extend_from_slice(bytes);
            self.0.1.notify_all();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Out {
        fn text(&self) -> String {
            String::from_utf8(self.0.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn lines_come_by_themselves_and_in_their_order() {
        let out = Out::default();
        let buffer = LogBuffer::start(out.clone());
        let expected: String = (0..1000).map(|number| format!("{number}\n")).collect();
        for number in 0..1000 {
            Line { shared: &buffer.0, at_once: number == 500 }
                .write_all(format!("{number}\n").as_bytes())
                .unwrap();
        }
        let (lines, written) = &*out.0;
        let long = Duration::from_secs(60);
        let unfinished = |lines: &mut Vec<u8>| lines.len() < expected.len();
        drop(written.wait_timeout_while(lines.lock().unwrap(), long, unfinished).unwrap());
        assert_eq!(out.text(), expected);
    }

    #[test]
    fn many_lines_are_written_by_the_logs_own_thread() {
        struct Writer(std::sync::mpsc::Sender<Option<String>>);
        impl Write for Writer {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let thread = std::thread::current().name().map(str::to_owned);
                self.0.send(thread).map_err(io::Error::other)?;
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (sender, written_by) = std::sync::mpsc::channel();
        let buffer = LogBuffer::start(Writer(sender));
        buffer.0.push(&vec![b'x'; PENDING_BYTES_MANY + 1]);
        assert_eq!(written_by.recv().unwrap().as_deref(), Some("log"));
        // Far more: whoever logs has to help.
        buffer.0.push(&vec![b'x'; PENDING_BYTES_MAX + 1]);
        assert!(written_by.recv().unwrap().is_some());
        assert!(buffer.0.pending().lines.is_empty());
    }

    #[test]
    fn an_error_and_the_end_wait_for_nothing() {
        let out = Out::default();
        let buffer = LogBuffer::start(out.clone());
        Line { shared: &buffer.0, at_once: false }.write_all(b"first\n").unwrap();
        Line { shared: &buffer.0, at_once: true }.write_all(b"error\n").unwrap();
        assert_eq!(out.text(), "first\nerror\n");
        Line { shared: &buffer.0, at_once: false }.write_all(b"last\n").unwrap();
        drop(buffer);
        assert_eq!(out.text(), "first\nerror\nlast\n");
    }
}
