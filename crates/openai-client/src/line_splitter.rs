//! Splits a stream of chunks into lines, holding at most one line and the chunks not yet scanned.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// A line contains one response, and several are in memory at a time: half the limit for a single response.
pub const LINE_BYTES_MAX: usize = 32 << 20;

/// Push chunks, then take lines until there are none. A line ends with `\n`; a preceding `\r` is removed.
#[derive(Debug)]
pub struct LineSplitter {
    bytes_max: usize,
    chunks: VecDeque<Bytes>,
    /// The beginning of an incomplete line.
    partial: BytesMut,
    /// The current line is too long: the rest of it is discarded.
    skipping: bool,
    lines: i64,
}

/// A line exceeds the limit. Later lines can still be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is longer than {bytes_max} bytes")]
pub struct LineTooLong {
    /// Starts at 1.
    pub line: i64,
    pub bytes_max: usize,
}

impl LineSplitter {
    /// A splitter with lines of at most [`LINE_BYTES_MAX`].
    #[expect(clippy::new_without_default, reason = "a limit should be explicit")]
    pub fn new() -> Self {
        Self::with_bytes_max(LINE_BYTES_MAX)
    }

    /// A splitter with lines of at most `bytes_max`, including a `\r`.
    pub fn with_bytes_max(bytes_max: usize) -> Self {
        Self { bytes_max, chunks: VecDeque::new(), partial: BytesMut::new(), skipping: false, lines: 0 }
    }

    /// Pushes the next bytes of the stream.
    pub fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.chunks.push_back(chunk);
        }
    }

    /// The next complete line, without its line end. `None` if more bytes are needed.
    ///
    /// # Errors
    /// [`LineTooLong`] once, instead of that line.
    pub fn next_line(&mut self) -> Result<Option<Bytes>, LineTooLong> {
        while let Some(mut chunk) = self.chunks.pop_front() {
            let Some(end) = memchr::memchr(b'\n', &chunk) else {
                self.begin_line(&chunk);
                continue;
            };
            let mut line = chunk.split_to(end + 1);
            line.truncate(end);
            self.push_front(chunk);
            return self.end_line(line).map(Some);
        }
        Ok(None)
    }

    /// The last line, if the stream ended without a `\n`. Call it until it returns `None`.
    ///
    /// # Errors
    /// [`LineTooLong`] once, instead of that line.
    pub fn finish(&mut self) -> Result<Option<Bytes>, LineTooLong> {
        if let Some(line) = self.next_line()? {
            return Ok(Some(line));
        }
        if self.partial.is_empty() && !self.skipping {
            return Ok(None);
        }
        self.end_line(Bytes::new()).map(Some)
    }

    /// The length of the longest line that `chunk`, the next to be pushed, completes, contains or begins. All lines of
    /// earlier chunks must have been taken.
    pub fn longest_line_with(&self, chunk: &[u8]) -> usize {
        let (mut longest, mut begin) = (0, 0);
        let mut before_chunk = self.partial.len();
        for end in memchr::memchr_iter(b'\n', chunk) {
            longest = longest.max(before_chunk + end - begin);
            (before_chunk, begin) = (0, end + 1);
        }
        longest.max(before_chunk + chunk.len() - begin)
    }

    /// The number of the last line returned, starting at 1; lines that are too long count.
    pub fn line_number(&self) -> i64 {
        self.lines
    }

    fn push_front(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.chunks.push_front(chunk);
        }
    }

    fn begin_line(&mut self, start: &[u8]) {
        self.skipping |= self.partial.len() + start.len() > self.bytes_max;
        if self.skipping {
            self.partial = BytesMut::new();
        } else {
            self.partial.extend_from_slice(start);
        }
    }

    fn end_line(&mut self, end: Bytes) -> Result<Bytes, LineTooLong> {
        self.lines += 1;
        let too_long = self.skipping || self.partial.len() + end.len() > self.bytes_max;
        self.skipping = false;
        let mut start = std::mem::take(&mut self.partial);
        if too_long {
            return Err(LineTooLong { line: self.lines, bytes_max: self.bytes_max });
        }
        let mut line = if start.is_empty() {
            end
        } else {
            start.extend_from_slice(&end);
            start.freeze()
        };
        if line.ends_with(b"\r") {
            line.truncate(line.len() - 1);
        }
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(splitter: &mut LineSplitter) -> Vec<Result<Bytes, LineTooLong>> {
        std::iter::from_fn(|| splitter.next_line().transpose()).collect()
    }

    #[test]
    fn lines_may_span_chunks() {
        let mut splitter = LineSplitter::new();
        splitter.push("one\r\ntw".into());
        assert_eq!(drain(&mut splitter), [Ok("one".into())]);
        splitter.push("o".into());
        assert_eq!(drain(&mut splitter), []);
        splitter.push("\n\nfo".into());
        splitter.push("ur\r".into());
        assert_eq!(drain(&mut splitter), [Ok("two".into()), Ok("".into())]);
        assert_eq!(splitter.line_number(), 3);
        assert_eq!(splitter.finish(), Ok(Some("four".into())));
        assert_eq!((splitter.finish(), splitter.line_number()), (Ok(None), 4));
    }

    #[test]
    fn a_stream_that_ends_with_a_line_end_has_no_last_line() {
        let mut splitter = LineSplitter::new();
        splitter.push("a\n".into());
        assert_eq!(splitter.finish(), Ok(Some("a".into())));
        assert_eq!(splitter.finish(), Ok(None));
        assert_eq!(LineSplitter::new().finish(), Ok(None));
    }

    #[test]
    fn a_line_within_one_chunk_is_not_copied() {
        let chunk = Bytes::from("abc\ndef\n".to_owned());
        let mut splitter = LineSplitter::new();
        splitter.push(chunk.clone());
        let line = splitter.next_line().unwrap().unwrap();
        assert_eq!(line.as_ptr(), chunk.as_ptr());
    }

    #[test]
    fn the_longest_line_is_measured_before_it_is_pushed() {
        let mut splitter = LineSplitter::new();
        assert_eq!(splitter.longest_line_with(b""), 0);
        assert_eq!(splitter.longest_line_with(b"ab\nabcd\nabc"), 4, "within the chunk");
        assert_eq!(splitter.longest_line_with(b"ab\n\nabc"), 3, "begun by the chunk");
        splitter.push("ab".into());
        assert_eq!(drain(&mut splitter), []);
        assert_eq!(splitter.longest_line_with(b"cd"), 4, "continued");
        assert_eq!(splitter.longest_line_with(b"c\nab\na"), 3, "completed");
    }

    #[test]
    fn lines_that_are_too_long_are_reported_once_and_later_ones_returned() {
        let mut splitter = LineSplitter::with_bytes_max(4);
        let too_long = |line| Err(LineTooLong { line, bytes_max: 4 });
        splitter.push("abcd\nabcde\nab".into());
        assert_eq!(drain(&mut splitter), [Ok("abcd".into()), too_long(2)]);
        for _ in 0..3 {
            splitter.push("xyz".into());
            assert!(drain(&mut splitter).is_empty() && splitter.partial.len() <= 4);
        }
        splitter.push("\nef\nghijk".into());
        assert_eq!(drain(&mut splitter), [too_long(3), Ok("ef".into())]);
        assert_eq!((splitter.finish(), splitter.finish()), (too_long(5).map(Some), Ok(None)));
    }
}
