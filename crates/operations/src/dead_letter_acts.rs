//! Redrives and discards dead letters: one, or those of a selection that was previewed.

use queue::{QueueAdmin, QueueError};
use webhook::{Family, closed_set};

use crate::dead_letters::{DeadLetterSelection, Letter};

closed_set! {
    /// What to do with dead letters.
    pub enum LetterAct {
        /// Put them back into the queue as new entries.
        Redrive => "redrive",
        /// Delete them for good.
        Discard => "discard",
    }
}

/// What an act would change.
pub struct LetterPreview {
    pub count: u64,
    /// Some of them.
    pub sample: Vec<Letter>,
}

/// What an act changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Acted {
    pub done: u64,
    /// Letters that another operator was faster with.
    pub gone: u64,
    /// Whether it stopped at its limit. Those that it changed are no longer dead letters, so the same selection continues.
    pub has_more: bool,
}

impl LetterAct {
    /// Returns whether the letter was still there.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn apply(self, queue: &QueueAdmin, family: Family, id: &str) -> Result<bool, QueueError> {
        match self {
            Self::Redrive => Ok(queue.redrive(family, id).await?.is_some()),
            Self::Discard => queue.discard(family, id).await,
        }
    }

    /// Acts on at most `max` letters of the selection.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses; letters before that have been changed.
    pub async fn run(
        self,
        queue: &QueueAdmin,
        selection: &DeadLetterSelection,
        max: u64,
    ) -> Result<Acted, QueueError> {
        let (mut acted, mut pages) = (Acted::default(), selection.pages(queue));
        while let Some(page) = pages.next().await? {
            for Letter { family, letter } in page {
                if acted.done == max {
                    return Ok(Acted { has_more: true, ..acted });
                }
                match self.apply(queue, family, &letter.id).await? {
                    true => acted.done += 1,
                    false => acted.gone += 1,
                }
            }
        }
        Ok(acted)
    }

    /// As the log names it.
    pub const fn outcome(self) -> &'static str {
        match self {
            Self::Redrive => "redriven",
            Self::Discard => "discarded",
        }
    }
}

/// Counts the letters of a selection that are still there, and shows the first of them.
///
/// # Errors
/// When Redis cannot be read.
pub async fn preview(
    queue: &QueueAdmin,
    selection: &DeadLetterSelection,
    sample_max: usize,
) -> Result<LetterPreview, QueueError> {
    let (mut count, mut sample, mut pages) = (0, Vec::new(), selection.pages(queue));
    while let Some(page) = pages.next().await? {
        count += page.len() as u64;
        sample.extend(page.into_iter().take(sample_max - sample.len()));
    }
    Ok(LetterPreview { count, sample })
}
