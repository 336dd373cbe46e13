//! The content of a file, held in memory or generated while it is sent, with a strong ETag.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use bytes::Bytes;
use futures_util::stream::{self, Stream};

use crate::generated_lines::GeneratedLines;

/// Size of the chunks that a stream yields.
const CHUNK_BYTES: usize = 64 * 1024;

#[derive(Debug, Clone)]
pub(crate) enum FileContent {
    InMemory(Bytes),
    Generated(GeneratedLines),
}

impl FileContent {
    pub(crate) fn len_bytes(&self) -> u64 {
        match self {
            Self::InMemory(bytes) => bytes.len() as u64,
            Self::Generated(lines) => lines.len_bytes(),
        }
    }

    /// A strong ETag: it differs when the bytes differ.
    pub(crate) fn etag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        match self {
            Self::InMemory(bytes) => bytes.hash(&mut hasher),
            Self::Generated(lines) => lines.identity().hash(&mut hasher),
        }
        format!("\"{:016x}\"", hasher.finish())
    }

    /// The bytes from `first` up to but excluding `end`, produced while they are sent.
    pub(crate) fn stream(
        self,
        first: u64,
        end: u64,
    ) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> {
        stream::unfold((self, first), move |(content, at)| async move {
            let rest = usize::try_from(end - at).unwrap_or(usize::MAX);
            let chunk = content.read(at, CHUNK_BYTES.min(rest));
            let next = at + chunk.len() as u64;
            (!chunk.is_empty()).then_some((Ok(chunk), (content, next)))
        })
    }

    /// The whole content, for tests that compare it.
    pub(crate) fn to_bytes(&self) -> Bytes {
        self.read(0, usize::try_from(self.len_bytes()).unwrap_or(usize::MAX))
    }

    fn read(&self, offset: u64, max: usize) -> Bytes {
        match self {
            Self::InMemory(bytes) => {
                let from = usize::try_from(offset).map_or(bytes.len(), |offset| offset.min(bytes.len()));
                bytes.slice(from..bytes.len().min(from.saturating_add(max)))
            }
            Self::Generated(lines) => lines.read(offset, max),
        }
    }
}
