//! The output of a batch of any size, generated line by line while it is sent. All lines have the same length, so that
//! any range can be generated on its own.

use std::sync::{Arc, LazyLock};

use bytes::{Bytes, BytesMut};

/// Default length of a line, including the newline: about that of a short answer.
pub const LINE_BYTES_DEFAULT: usize = 1024;

/// Tokens that each line reports; the batch's usage is their sum.
pub(crate) const INPUT_TOKENS: u64 = 120;
pub(crate) const OUTPUT_TOKENS: u64 = 80;

const WORDS: &str = "a about after answer batch between both can clear could customer delivery each first for from had has \
    invoice is it latency made many model most negative neutral not of on one only order other our positive question \
    refund request result sentiment shipment since small so summary that the their then there these this time to token \
    two under value was well were when which will with word would year you your";
/// The text repeats after this many bytes, which exceeds the window of common compressors.
const TEXT_BYTES: usize = 256 << 10;

/// Random words, so that answers compress about as well as real ones. Identical at every start.
static TEXT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut random = fastrand::Rng::with_seed(1);
    let mut text = Vec::with_capacity(TEXT_BYTES + 16);
    while text.len() < TEXT_BYTES {
        text.extend_from_slice(words[random.usize(..words.len())].as_bytes());
        text.extend_from_slice(if random.u8(..12) == 0 { b". " } else { b" " });
    }
    text
});

/// The lines of one output file.
#[derive(Debug, Clone)]
pub(crate) struct GeneratedLines {
    batch_id: Arc<str>,
    lines: u64,
    line_bytes: usize,
}

impl GeneratedLines {
    /// A `line_bytes` that is too small is raised to the shortest possible line.
    pub(crate) fn new(batch_id: &str, lines: u64, line_bytes: usize) -> Self {
        let mut generated = Self { batch_id: batch_id.into(), lines, line_bytes: 0 };
        let shortest = generated.line(0).len();
        generated.line_bytes = line_bytes.max(shortest);
        generated
    }

    pub(crate) fn len_bytes(&self) -> u64 {
        self.lines * self.line_bytes as u64
    }

    /// Identifies the content, for the ETag.
    pub(crate) fn identity(&self) -> impl std::hash::Hash + use<'_> {
        (&*self.batch_id, self.lines, self.line_bytes)
    }

    /// Up to `max` bytes, starting at `offset`.
    pub(crate) fn read(&self, offset: u64, max: usize) -> Bytes {
        let end = self.len_bytes().min(offset.saturating_add(max as u64));
        let mut bytes = BytesMut::with_capacity(max + self.line_bytes);
        let width = self.line_bytes as u64;
        let mut at = offset;
        while at < end {
            let line = self.line(at / width);
            let from = usize::try_from(at % width).expect("less than a line");
            let until = line.len().min(from + usize::try_from(end - at).unwrap_or(usize::MAX));
            bytes.extend_from_slice(&line[from..until]);
            at += (until - from) as u64;
        }
        bytes.freeze()
    }

    /// Line `index`, from 0. Output is not in the order of the input: the last request comes first.
    fn line(&self, index: u64) -> Vec<u8> {
        let request = self.lines.saturating_sub(index);
        let total_tokens = INPUT_TOKENS + OUTPUT_TOKENS;
        let head = format!(
            r#"{{"id":"batch_req_{request:032x}","custom_id":"request-{request:010}","response":{{"status_code":200,"request_id":"req_{request:032x}","body":{{"id":"resp_{request:048x}","object":"response","created_at":1795305700,"completed_at":1795305702,"status":"completed","background":false,"error":null,"incomplete_details":null,"instructions":null,"metadata":{{}},"model":"gpt-5.4-mini-2026-03-17","parallel_tool_calls":true,"temperature":1.0,"tool_choice":"auto","tools":[],"top_p":1.0,"usage":{{"input_tokens":{INPUT_TOKENS},"input_tokens_details":{{"cached_tokens":0,"cache_write_tokens":0}},"output_tokens":{OUTPUT_TOKENS},"output_tokens_details":{{"reasoning_tokens":0}},"total_tokens":{total_tokens}}},"output":[{{"id":"msg_{request:048x}","type":"message","status":"completed","role":"assistant","content":[{{"type":"output_text","annotations":[],"logprobs":[],"text":"Answer {request:010}: "#
        );
        let tail = "\"}]}]}},\"error\":null}\n";
        let filler = self.line_bytes.saturating_sub(head.len() + tail.len());
        let mut line = head.into_bytes();
        let text_end = line.len() + filler;
        let mut start = usize::try_from(request % TEXT_BYTES as u64).unwrap_or(0) * 7919 % TEXT_BYTES;
        while line.len() < text_end {
            let piece = &TEXT[start..];
            line.extend_from_slice(&piece[..piece.len().min(text_end - line.len())]);
            start = 0;
        }
        line.extend_from_slice(tail.as_bytes());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(generated: &GeneratedLines, step: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < generated.len_bytes() {
            bytes.extend_from_slice(&generated.read(bytes.len() as u64, step));
        }
        bytes
    }

    #[test]
    fn a_file_has_its_lines_and_size_for_every_read_size() {
        let generated = GeneratedLines::new("batch_1", 37, 1500);
        let bytes = whole(&generated, 64 * 1024);
        assert_eq!((bytes.len() as u64, bytes.len()), (generated.len_bytes(), 37 * 1500));
        for step in [1, 999, 1500, 4096] {
            assert!(whole(&generated, step) == bytes, "read {step} bytes at a time");
        }
        let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        assert_eq!(lines.len(), 37);
        let mut ids = std::collections::BTreeSet::new();
        for line in lines {
            let line: serde_json::Value = serde_json::from_slice(line).unwrap();
            ids.insert(line["custom_id"].as_str().unwrap().to_owned());
        }
        assert_eq!(ids.len(), 37);
    }

    #[test]
    fn a_line_length_that_is_too_short_is_raised() {
        let generated = GeneratedLines::new("batch_1", 3, 1);
        let bytes = whole(&generated, 100);
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 3);
        assert!(bytes.len() > 3 * 500);
    }

    #[test]
    fn zero_lines_make_an_empty_file() {
        let generated = GeneratedLines::new("batch_1", 0, 1024);
        assert_eq!(generated.len_bytes(), 0);
        assert!(generated.read(0, 100).is_empty());
    }
}
