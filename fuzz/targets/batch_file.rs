//! The reader of batch files: the lines do not depend on the chunks, and every line is read or rejected without a panic.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use openai_client::{BatchLine, LineSplitter};

/// Small, so that some lines exceed it.
const LINE_BYTES_MAX: usize = 200;

fuzz_target!(|input: (Vec<u8>, Vec<u8>)| {
    let (content, cuts) = input;
    let whole = lines(&content, std::iter::empty());
    assert_eq!(lines(&content, cuts.into_iter()), whole);
    for line in whole.into_iter().flatten() {
        assert!(!line.contains(&b'\n') && line.len() <= LINE_BYTES_MAX);
        if let Ok(read) = BatchLine::parse(&line) {
            let parts = [read.body, read.error];
            assert!(parts.into_iter().flatten().all(|part| part.get().len() <= line.len()));
        }
    }
});

/// All lines of the content, read in chunks of these sizes; `None` for a line that is too long.
fn lines(content: &[u8], cuts: impl Iterator<Item = u8>) -> Vec<Option<Vec<u8>>> {
    let mut splitter = LineSplitter::with_bytes_max(LINE_BYTES_MAX);
    let mut found = Vec::new();
    let mut rest = content;
    for cut in cuts.map(usize::from).chain([usize::MAX]) {
        let (chunk, after) = rest.split_at(cut.min(rest.len()));
        rest = after;
        splitter.push(Bytes::copy_from_slice(chunk));
        while let Some(line) = splitter.next_line().transpose() {
            found.push(line.ok().map(|line| line.to_vec()));
        }
    }
    while let Some(line) = splitter.finish().transpose() {
        found.push(line.ok().map(|line| line.to_vec()));
    }
    found
}
