//! Converts the bytes of a batch's file to rows, and logs lines that are not results.

use bytes::Bytes;
use openai_client::{BatchLine, BodyReservation, LINE_BYTES_MAX, LineSplitter, LineTooLong};
use service::excerpt;
use store::BatchResult;

use crate::handlers::download::RemoteFile;
use crate::watchdog::Progress;

/// Maximum rows and approximate bytes per transaction: large enough to be fast, small enough for memory and for other
/// writers.
const CHUNK_ROWS_MAX: usize = 1000;
const CHUNK_BYTES_MAX: usize = 2 << 20;
/// Number of quarantined lines in the log; the table has all of them.
const EXAMPLES_MAX: usize = 5;

/// Push bytes, then take rows until there are none.
pub(super) struct BatchLines {
    splitter: LineSplitter,
    /// Earlier lines are counted, but not parsed.
    first_line: i64,
    /// The last line taken, from 1.
    line: i64,
    /// Lines that are not blank.
    pub(super) with_text: i64,
    /// Parsed lines that are results.
    pub(super) readable: i64,
    quarantined: u64,
    examples: Vec<String>,
}

impl BatchLines {
    pub(super) fn from(first_line: i64) -> Self {
        Self {
            splitter: LineSplitter::new(),
            first_line,
            line: 0,
            with_text: 0,
            readable: 0,
            quarantined: 0,
            examples: Vec::new(),
        }
    }

    /// Waits until the reservation covers the longest line of these bytes. The bytes themselves are no measure: a fast
    /// connection delivers more at once than a small body may have, and each reservation makes [`super::batch_file`]
    /// wait until every chunk in flight is stored.
    pub(super) async fn push_within(
        &mut self,
        reservation: &mut BodyReservation,
        bytes: Bytes,
        progress: &Progress,
    ) {
        let held = self.splitter.longest_line_with(&bytes).min(LINE_BYTES_MAX);
        progress.waiting(reservation.cover(held, LINE_BYTES_MAX)).await;
        self.splitter.push(bytes);
    }

    /// The next row; `None` when more bytes are needed.
    pub(super) fn next_row(&mut self) -> Option<BatchResult> {
        self.row_of(LineSplitter::next_line)
    }

    /// The next row after all bytes were pushed; `None` after the last one.
    pub(super) fn rest_row(&mut self) -> Option<BatchResult> {
        self.row_of(LineSplitter::finish)
    }

    fn row_of(
        &mut self,
        next: fn(&mut LineSplitter) -> Result<Option<Bytes>, LineTooLong>,
    ) -> Option<BatchResult> {
        while let Some(line) = next(&mut self.splitter).transpose() {
            let row = self.row(line);
            if row.is_some() {
                return row;
            }
        }
        None
    }

    fn row(&mut self, line: Result<Bytes, LineTooLong>) -> Option<BatchResult> {
        self.line += 1;
        let blank = |line: &Bytes| line.iter().all(u8::is_ascii_whitespace);
        if line.as_ref().is_ok_and(blank) {
            return None;
        }
        self.with_text += 1;
        if self.line < self.first_line {
            return None;
        }
        let line = match line {
            Ok(line) => line,
            // The raw file has its bytes; they are too many for a row.
            Err(too_long) => return Some(self.quarantined(None, &too_long)),
        };
        Some(match BatchLine::parse(&line) {
            Ok(parsed) => {
                self.readable += 1;
                BatchResult {
                    line: self.line,
                    custom_id: parsed.custom_id,
                    status_code: parsed.status_code,
                    request_id: parsed.request_id,
                    body: parsed.body.map(|body| body.get().as_bytes().to_vec()),
                    error: parsed.error.map(|error| error.get().to_owned()),
                    input_tokens: parsed.tokens.input,
                    output_tokens: parsed.tokens.output,
                    cached_tokens: parsed.tokens.cached,
                    cache_write_tokens: parsed.tokens.cache_write,
                    reasoning_tokens: parsed.tokens.reasoning,
                    quarantined: false,
                }
            }
            Err(error) => self.quarantined(Some(line.to_vec()), &error),
        })
    }

    /// A line that cannot be parsed is stored whole and counted, never skipped.
    fn quarantined(&mut self, body: Option<Vec<u8>>, why: &dyn std::error::Error) -> BatchResult {
        self.quarantined += 1;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(format!("line {}: {why}", self.line));
        }
        BatchResult {
            line: self.line,
            custom_id: None,
            status_code: None,
            request_id: None,
            body,
            error: None,
            input_tokens: None,
            output_tokens: None,
            cached_tokens: None,
            cache_write_tokens: None,
            reasoning_tokens: None,
            quarantined: true,
        }
    }

    /// Logs one line per file, however many of its lines are not results.
    pub(super) fn log_quarantine(&self, file: RemoteFile<'_>) {
        if self.quarantined > 0 {
            tracing::warn!(
                object.id = excerpt(file.object_id).as_ref(),
                file.id = excerpt(file.file_id).as_ref(),
                lines = self.quarantined,
                examples = self.examples.join("; "),
                "lines of the batch's file are quarantined"
            );
        }
    }
}

/// Rows for one transaction.
#[derive(Default)]
pub(super) struct RowChunk {
    rows: Vec<BatchResult>,
    bytes: usize,
}

impl RowChunk {
    /// Returns whether the chunk is full.
    pub(super) fn push(&mut self, row: BatchResult) -> bool {
        self.bytes += row.body.as_ref().map_or(0, Vec::len) + row.error.as_ref().map_or(0, String::len);
        self.rows.push(row);
        self.rows.len() >= CHUNK_ROWS_MAX || self.bytes >= CHUNK_BYTES_MAX
    }

    pub(super) fn take(&mut self) -> Vec<BatchResult> {
        self.bytes = 0;
        std::mem::take(&mut self.rows)
    }
}

#[cfg(test)]
mod tests {
    use openai_client::BodyMemory;

    use super::*;

    #[test]
    fn lines_become_rows_by_number_and_lines_that_are_not_results_are_counted() {
        let mut lines = BatchLines::from(3);
        lines
            .splitter
            .push("{\"custom_id\":\"a\"}\n\n{\"custom_id\":\"c\"}\n<html>\n{\"error\":{}}\n{\"resp".into());
        let mut rows: Vec<BatchResult> = std::iter::from_fn(|| lines.next_row()).collect();
        lines.splitter.push("onse\":{}}".into());
        rows.extend(std::iter::from_fn(|| lines.next_row().or_else(|| lines.rest_row())));
        let seen: Vec<(i64, bool)> = rows.iter().map(|row| (row.line, row.quarantined)).collect();
        assert_eq!(seen, [(3, false), (4, true), (5, true), (6, false)]);
        assert_eq!((lines.with_text, lines.readable, lines.quarantined), (5, 2, 2));
        assert!(
            lines.examples[0].starts_with("line 4: ") && lines.examples.len() == 2,
            "{:?}",
            lines.examples
        );
    }

    #[tokio::test]
    async fn only_a_large_line_reserves_memory() {
        let mut reservation = BodyMemory::of(64 << 20).reservation();
        let (mut lines, progress) = (BatchLines::from(1), Progress::default());
        let small = "{\"custom_id\":\"a\"}\n".repeat(40_000);
        assert!(small.len() > 512 << 10, "more than a network connection delivers at once");
        lines.push_within(&mut reservation, small.into(), &progress).await;
        assert!(!reservation.is_held());
        assert_eq!(std::iter::from_fn(|| lines.next_row()).count(), 40_000);
        let piece = Bytes::from("x".repeat(200 << 10));
        for is_large in [false, true] {
            lines.push_within(&mut reservation, piece.clone(), &progress).await;
            assert!(lines.next_row().is_none(), "the line has no end yet");
            assert_eq!(reservation.is_held(), is_large);
        }
    }

    #[test]
    fn many_lines_in_quarantine_are_few_examples() {
        let mut lines = BatchLines::from(1);
        lines.splitter.push("garbage\n".repeat(100_000).into());
        assert_eq!(std::iter::from_fn(|| lines.next_row()).count(), 100_000);
        assert_eq!((lines.quarantined, lines.examples.len()), (100_000, EXAMPLES_MAX));
    }

    #[test]
    fn a_chunk_is_full_by_rows_or_by_bytes() {
        let row = |bytes: usize| {
            let mut lines = BatchLines::from(1);
            lines.splitter.push(format!("{{\"response\":{{\"body\":\"{}\"}}}}\n", "x".repeat(bytes)).into());
            lines.next_row().unwrap()
        };
        let mut chunk = RowChunk::default();
        assert_eq!((1..).find(|_| chunk.push(row(1))), Some(CHUNK_ROWS_MAX));
        assert_eq!(chunk.take().len(), CHUNK_ROWS_MAX);
        assert!(!chunk.push(row(CHUNK_BYTES_MAX / 2)) && chunk.push(row(CHUNK_BYTES_MAX / 2)));
    }
}
