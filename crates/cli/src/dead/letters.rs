//! Selection and display of dead letters.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use queue::{DeadLetter, QueueAdmin};
use serde::Serialize;
use webhook::{Event, Family, Reason, ReasonClass};

use crate::exit::CliError;

/// Letters read at a time, with their bodies.
const PAGE: usize = 100;

/// Selects dead letters.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Filter {
    /// Only this family: response, batch, fine_tuning, eval, realtime, agent, safety, other
    #[arg(long)]
    pub(super) family: Option<Family>,
    /// Only this reason, such as gave_up, rejected or crashed
    #[arg(long)]
    pub(super) reason: Option<Reason>,
}

impl Filter {
    fn families(&self) -> Vec<Family> {
        self.family.map_or_else(|| Family::ALL.to_vec(), |family| vec![family])
    }
}

/// A dead letter and its family.
pub(super) struct Letter {
    pub(super) family: Family,
    pub(super) letter: DeadLetter,
}

/// One line of `--json`.
#[derive(Serialize)]
pub(super) struct Line<'a> {
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
    pub(super) fn webhook_id(&self) -> Option<&str> {
        self.letter.content.as_ref().ok().map(|entry| entry.webhook_id.as_str())
    }

    pub(super) fn event_type(&self) -> Option<&str> {
        self.letter.content.as_ref().ok().map(|entry| entry.event_type.as_str())
    }

    pub(super) fn object_id(&self) -> Option<String> {
        let entry = self.letter.content.as_ref().ok()?;
        Event::parse(&entry.body).ok()?.object_id().map(|id| id.to_string())
    }

    pub(super) fn died_at(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(self.letter.died_ms)
    }

    pub(super) fn file_expires_at(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(self.letter.file_expires_ms?)
    }

    pub(super) fn received_at(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(self.letter.content.as_ref().ok()?.received_ms)
    }

    /// Whether this is the id of the letter, of its entry, or of its webhook.
    pub(super) fn is(&self, id: &str) -> bool {
        self.letter.id == id || self.letter.entry_id == id || self.webhook_id() == Some(id)
    }

    pub(super) fn line(&self) -> Line<'_> {
        let letter = &self.letter;
        Line {
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

/// Reads the letters that exist at the start, page by page. Later ones are left out, so that an event that fails again
/// after its redrive is not redriven forever.
pub(super) struct Pages<'a> {
    reader: &'a QueueAdmin,
    filter: Filter,
    /// Families still to be read.
    families: Vec<Family>,
    last: HashMap<Family, String>,
    after: Option<String>,
}

impl<'a> Pages<'a> {
    pub(super) async fn begin(reader: &'a QueueAdmin, filter: Filter) -> Result<Self, CliError> {
        let mut last = HashMap::new();
        for family in filter.families() {
            let newest = reader.dead_letters(family, 1).await?;
            last.extend(newest.into_iter().map(|letter| (family, letter.id)));
        }
        let mut pages = Self { reader, filter, families: Vec::new(), last, after: None };
        pages.rewind();
        Ok(pages)
    }

    /// Goes back to the first page; later letters are still left out.
    pub(super) fn rewind(&mut self) {
        let families = self.filter.families().into_iter();
        self.families = families.filter(|family| self.last.contains_key(family)).collect();
        self.after = None;
    }

    /// The matching letters of the next page, possibly none; `None` after the last page.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Letter>>, CliError> {
        let Some(&family) = self.families.first() else { return Ok(None) };
        let mut page = self.reader.dead_letters_after(family, self.after.as_deref(), PAGE).await?;
        let past_end = |letter: &DeadLetter| parse_id(&letter.id) > parse_id(&self.last[&family]);
        let end = page.iter().position(past_end);
        if end.is_some() || page.len() < PAGE {
            self.families.remove(0);
            self.after = None;
        } else {
            self.after = page.last().map(|letter| letter.id.clone());
        }
        page.truncate(end.unwrap_or(page.len()));
        let wanted =
            |letter: &DeadLetter| self.filter.reason.is_none() || letter.reason == self.filter.reason;
        Ok(Some(page.into_iter().filter(wanted).map(|letter| Letter { family, letter }).collect()))
    }
}

/// A stream id as milliseconds and sequence number, which sort in stream order.
fn parse_id(id: &str) -> (u64, u64) {
    let (ms, number) = id.split_once('-').unwrap_or((id, "0"));
    (ms.parse().unwrap_or(u64::MAX), number.parse().unwrap_or(u64::MAX))
}

/// The letters with this id, usually one.
pub(super) async fn find(reader: &QueueAdmin, filter: Filter, id: &str) -> Result<Vec<Letter>, CliError> {
    let mut found = Vec::new();
    let mut pages = Pages::begin(reader, filter).await?;
    while let Some(page) = pages.next().await? {
        found.extend(page.into_iter().filter(|letter| letter.is(id)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ordered_as_numbers() {
        assert!(parse_id("1795470486874-9") < parse_id("1795470486874-10"));
        assert!(parse_id("999-1") < parse_id("1000-0"));
    }
}
