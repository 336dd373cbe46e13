//! Dead letters at a glance: how many there are of each reason, and the newest.

use std::collections::BTreeMap;

use queue::{QueueAdmin, QueueError};
use webhook::{Reason, ReasonClass};

use crate::dead_letters::{DeadLetterFilter, Letter};

/// Letters read at a time, with their bodies.
const PAGE: usize = 100;

/// How much is read.
#[derive(Debug, Clone, Copy)]
pub struct OverviewLimits {
    /// The newest of each family are counted, up to this many.
    pub counted: usize,
    /// Letters that are kept.
    pub newest: usize,
}

/// Dead letters with the same reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// Who can fix the cause; `None` if that is not known.
    pub class: Option<ReasonClass>,
    /// `None` for a reason that this version does not know.
    pub reason: Option<Reason>,
    pub count: u64,
}

/// Dead letters at a glance.
pub struct Overview {
    /// Of all reasons, whichever one the filter names. By class, then the largest first.
    pub groups: Vec<Group>,
    /// Those that match the filter, the newest first.
    pub newest: Vec<Letter>,
    /// Whether there are more of a family than were counted.
    pub is_cut: bool,
}

/// The dead letters that match a filter.
///
/// # Errors
/// When Redis cannot be read.
pub async fn overview(
    queue: &QueueAdmin,
    filter: DeadLetterFilter,
    limits: OverviewLimits,
) -> Result<Overview, QueueError> {
    let (mut counts, mut newest, mut is_cut) = (BTreeMap::new(), Vec::new(), false);
    for family in filter.families() {
        let (mut read, mut before) = (0, None::<String>);
        loop {
            let page = queue.dead_letters_before(family, before.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            before = page.last().map(|letter| letter.id.clone());
            read += page.len();
            for letter in page {
                *counts.entry((letter.class(), letter.reason)).or_insert(0) += 1;
                if filter.reason.is_none() || letter.reason == filter.reason {
                    newest.push(Letter { family, letter });
                }
            }
            // Bodies of the others are not kept in memory.
            newest.sort_by_key(|letter| std::cmp::Reverse(letter.letter.died_ms));
            newest.truncate(limits.newest);
            is_cut |= !is_last && read >= limits.counted;
            if is_last || read >= limits.counted {
                break;
            }
        }
    }
    let mut groups: Vec<Group> =
        counts.into_iter().map(|((class, reason), count)| Group { class, reason, count }).collect();
    groups.sort_by_key(|group| (group.class.is_none(), group.class, std::cmp::Reverse(group.count)));
    Ok(Overview { groups, newest, is_cut })
}
