//! How much memory bodies may take up: each alone, and the large ones together. Without this, whoever opens many
//! connections and sends a large body over each decides how much memory we need, before any signature is verified.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// OpenAI's bodies are some hundred bytes. What is no larger than this never has to wait for others, and so much of each
/// larger one is not counted.
const SMALL_BYTES: usize = 16 * 1024;

/// The room for all bodies. Clones share it.
#[derive(Clone)]
pub(crate) struct Room {
    body_bytes_max: usize,
    large_bytes_max: usize,
    large_bytes: Arc<AtomicUsize>,
}

/// One body's part of the room, given back when it is dropped.
pub(crate) struct Part<'r> {
    room: &'r Room,
    counted_bytes: usize,
}

/// Why a body may not become so large.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// Not even alone.
    EverLarger { max_bytes: usize },
    /// Not now.
    BesideOthers,
}

impl Room {
    pub(crate) fn new(body_bytes_max: usize, large_bytes_max: usize) -> Self {
        let large_bytes_max = large_bytes_max.max(body_bytes_max);
        Self { body_bytes_max, large_bytes_max, large_bytes: Arc::default() }
    }

    pub(crate) fn part(&self) -> Part<'_> {
        Part { room: self, counted_bytes: 0 }
    }
}

impl Part<'_> {
    /// Whether a body may ever be so large.
    pub(crate) fn allows(&self, bytes: u64) -> Result<(), NoRoom> {
        let max_bytes = self.room.body_bytes_max;
        if bytes > max_bytes as u64 { Err(NoRoom::EverLarger { max_bytes }) } else { Ok(()) }
    }

    /// Makes room for a body that has become so large.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> Result<(), NoRoom> {
        self.allows(bytes as u64)?;
        let more = bytes.saturating_sub(SMALL_BYTES) - self.counted_bytes;
        if more > 0 {
            self.counted_bytes += more;
            let before = self.room.large_bytes.fetch_add(more, Ordering::Relaxed);
            if before + more > self.room.large_bytes_max {
                return Err(NoRoom::BesideOthers);
            }
        }
        Ok(())
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        if self.counted_bytes > 0 {
            self.room.large_bytes.fetch_sub(self.counted_bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_share_their_room_and_small_ones_need_none() {
        let room = Room::new(100_000, 150_000);
        let (mut first, mut second, mut small) = (room.part(), room.part(), room.part());
        assert_eq!(first.grow_to(100_001), Err(NoRoom::EverLarger { max_bytes: 100_000 }));
        for bytes in [10_000, 50_000, 100_000] {
            first.grow_to(bytes).unwrap();
        }
        second.grow_to(60_000).unwrap();
        assert_eq!(second.grow_to(100_000), Err(NoRoom::BesideOthers));
        small.grow_to(SMALL_BYTES).unwrap();
        drop(second);
        room.part().grow_to(80_000).unwrap();
        drop(first);
        assert_eq!(room.large_bytes.load(Ordering::Relaxed), 0);
    }
}
