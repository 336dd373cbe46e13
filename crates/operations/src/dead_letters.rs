//! Dead letters: which ones match, and how one is shown to programs.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Utc};
use queue::{DeadLetter, QueueAdmin, QueueError};
use serde::{Deserialize, Serialize};
use webhook::{Event, Family, Reason, ReasonClass};

/// Letters read at a time, with their bodies.
const PAGE: usize = 100;

/// Selects dead letters.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct DeadLetterFilter {
    pub family: Option<Family>,
    pub reason: Option<Reason>,
}

impl DeadLetterFilter {
    pub(crate) fn families(&self) -> Vec<Family> {
        self.family.map_or_else(|| Family::ALL.to_vec(), |family| vec![family])
    }
}

/// A dead letter and its family.
pub struct Letter {
    pub family: Family,
    pub letter: DeadLetter,
}

/// A dead letter as JSON: for `landfall dead list --json` and for the HTTP API.
#[derive(Debug, Serialize)]
pub struct LetterLine<'a> {
    id: &'a str,
    entry_id: &'a str,
    family: Family,
    project: Option<&'a str>,
    webhook_id: Option<&'a str>,
    r#type: Option<&'a str>,
    object_id: Option<String>,
    /// `null` for a reason that this version does not know.
    reason: Option<Reason>,
    cause: Option<ReasonClass>,
    attempts: u32,
    crashes: u32,
    first_error: Option<&'a str>,
    last_error: Option<&'a str>,
    received_at: Option<DateTime<Utc>>,
    died_at: Option<DateTime<Utc>>,
    file_expires_at: Option<DateTime<Utc>>,
}

impl Letter {
    pub fn webhook_id(&self) -> Option<&str> {
        self.letter.content.as_ref().ok().map(|entry| entry.webhook_id.as_str())
    }

    pub fn event_type(&self) -> Option<&str> {
        self.letter.content.as_ref().ok().map(|entry| entry.event_type.as_str())
    }

    pub fn object_id(&self) -> Option<String> {
        let entry = self.letter.content.as_ref().ok()?;
        Event::parse(&entry.body).ok()?.object_id().map(|id| id.to_string())
    }

    pub fn died_at(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(self.letter.died_ms)
    }

    pub fn file_expires_at(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(self.letter.file_expires_ms?)
    }

    pub fn received_at(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(self.letter.content.as_ref().ok()?.received_ms)
    }

    /// Whether this is the id of the letter, of its entry, or of its webhook.
    pub fn is(&self, id: &str) -> bool {
        self.letter.id == id || self.letter.entry_id == id || self.webhook_id() == Some(id)
    }

    /// What programs see of it: everything but its body.
    pub fn line(&self) -> LetterLine<'_> {
        let letter = &self.letter;
        LetterLine {
            id: &letter.id,
            entry_id: &letter.entry_id,
            family: self.family,
            project: letter.content.as_ref().ok().map(|entry| entry.project.as_str()),
            webhook_id: self.webhook_id(),
            r#type: self.event_type(),
            object_id: self.object_id(),
            reason: letter.reason,
            cause: letter.class(),
            attempts: letter.attempts,
            crashes: letter.crashes,
            first_error: letter.first_error.as_deref(),
            last_error: letter.last_error.as_deref(),
            received_at: self.received_at(),
            died_at: self.died_at(),
            file_expires_at: self.file_expires_at(),
        }
    }
}

/// The dead letters that matched a filter at one moment. Later ones are left out, so that an event that fails again after
/// its redrive is not redriven forever, and an operator discards only what was counted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeadLetterSelection {
    filter: DeadLetterFilter,
    /// The newest of each family that has any.
    newest: BTreeMap<Family, String>,
}

impl DeadLetterSelection {
    /// Those that match now.
    ///
    /// # Errors
    /// When Redis cannot be read.
    pub async fn now(queue: &QueueAdmin, filter: DeadLetterFilter) -> Result<Self, QueueError> {
        let mut newest = BTreeMap::new();
        for family in filter.families() {
            let last = queue.dead_letters(family, 1).await?;
            newest.extend(last.into_iter().map(|letter| (family, letter.id)));
        }
        Ok(Self { filter, newest })
    }

    pub fn filter(&self) -> DeadLetterFilter {
        self.filter
    }

    /// Reads those that are still there, page by page.
    pub fn pages<'a>(&'a self, queue: &'a QueueAdmin) -> Pages<'a> {
        Pages { queue, selection: self, families: self.newest.keys().copied().collect(), after: None }
    }
}

/// Reads a selection.
pub struct Pages<'a> {
    queue: &'a QueueAdmin,
    selection: &'a DeadLetterSelection,
    /// Families still to be read.
    families: VecDeque<Family>,
    after: Option<String>,
}

impl Pages<'_> {
    /// The matching letters of the next page, possibly none; `None` after the last page.
    ///
    /// # Errors
    /// When Redis cannot be read.
    pub async fn next(&mut self) -> Result<Option<Vec<Letter>>, QueueError> {
        let Some(&family) = self.families.front() else { return Ok(None) };
        let DeadLetterSelection { filter, newest } = self.selection;
        let mut page = self.queue.dead_letters_after(family, self.after.as_deref(), PAGE).await?;
        let past_end = |letter: &DeadLetter| parse_id(&letter.id) > parse_id(&newest[&family]);
        let end = page.iter().position(past_end);
        if end.is_some() || page.len() < PAGE {
            self.families.pop_front();
            self.after = None;
        } else {
            self.after = page.last().map(|letter| letter.id.clone());
        }
        page.truncate(end.unwrap_or(page.len()));
        let wanted = |letter: &DeadLetter| filter.reason.is_none() || letter.reason == filter.reason;
        Ok(Some(page.into_iter().filter(wanted).map(|letter| Letter { family, letter }).collect()))
    }
}

/// A stream id as milliseconds and sequence number, which sort in stream order.
fn parse_id(id: &str) -> (u64, u64) {
    let (ms, number) = id.split_once('-').unwrap_or((id, "0"));
    (ms.parse().unwrap_or(u64::MAX), number.parse().unwrap_or(u64::MAX))
}

/// Whether this may be the id of a dead letter.
pub fn is_letter_id(id: &str) -> bool {
    let is_number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u64>().is_ok();
    id.split_once('-').is_some_and(|(ms, number)| is_number(ms) && is_number(number))
}

/// The letter with this id in a family.
///
/// # Errors
/// When Redis cannot be read.
pub async fn letter(queue: &QueueAdmin, family: Family, id: &str) -> Result<Option<Letter>, QueueError> {
    if !is_letter_id(id) {
        return Ok(None);
    }
    Ok(queue.dead_letter(family, id).await?.map(|letter| Letter { family, letter }))
}

/// The letters with this id, usually one.
///
/// # Errors
/// When Redis cannot be read.
pub async fn find(queue: &QueueAdmin, filter: DeadLetterFilter, id: &str) -> Result<Vec<Letter>, QueueError> {
    let selection = DeadLetterSelection::now(queue, filter).await?;
    let (mut found, mut pages) = (Vec::new(), selection.pages(queue));
    while let Some(page) = pages.next().await? {
        found.extend(page.into_iter().filter(|letter| letter.is(id)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_stream_ids_are_ids_of_letters() {
        assert!(is_letter_id("1795470486874-0"));
        for wrong in ["", "-", "1", "1-", "+1-0", "-1", "1-0-0", "x-1", "18446744073709551616-0"] {
            assert!(!is_letter_id(wrong), "{wrong}");
        }
    }

    #[test]
    fn ids_are_ordered_as_numbers() {
        assert!(parse_id("1795470486874-9") < parse_id("1795470486874-10"));
        assert!(parse_id("999-1") < parse_id("1000-0"));
    }
}
