//! Dead letters, and the operator's actions on them: redrive and discard. Each action leaves a record (`{…}:records`).

use webhook::{Family, Reason, ReasonClass};

use crate::admin::QueueAdmin;
use crate::entry::{ENTRIES_PER_READ, Entry, EntryError, Fields, RawEntry};
use crate::error::QueueError;
use crate::scripts;

/// Approximate number of action records kept; the newest stay.
const RECORDS_MAX: usize = 100_000;

/// An event that was given up. Its fields in Redis are the entry's own, followed by fields that begin with `_`.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Redis's id in the dead-letter stream.
    pub id: String,
    /// The entry's id in the queue.
    pub entry_id: String,
    /// The original entry, even when it cannot be decoded.
    pub content: Result<Entry, EntryError>,
    /// `None` for a reason added by a newer version.
    pub reason: Option<Reason>,
    /// Attempts, including the last one.
    pub attempts: u32,
    /// Expired leases.
    pub crashes: u32,
    /// Reason and text of the first failed attempt.
    pub first_error: Option<String>,
    /// Reason and text of the final failure.
    pub last_error: Option<String>,
    /// Unix milliseconds of Redis's clock.
    pub died_ms: i64,
    /// When OpenAI deletes the event's file, if known, in unix milliseconds; a redrive after that is too late.
    pub file_expires_ms: Option<i64>,
}

impl DeadLetter {
    pub(crate) fn decode(id: String, flat: &[Vec<u8>]) -> Self {
        let fields = Fields(flat);
        let text = |name| fields.optional_text(name).ok().flatten();
        Self {
            id,
            entry_id: text("_entry_id").unwrap_or_default(),
            content: Entry::decode(flat),
            reason: text("_reason").and_then(|reason| reason.parse().ok()),
            attempts: fields.number("_attempts").unwrap_or(0),
            crashes: fields.number("_crashes").unwrap_or(0),
            first_error: text("_first_error"),
            last_error: text("_last_error"),
            died_ms: fields.number("_died_ms").unwrap_or(0),
            file_expires_ms: fields.number("_file_expires_ms").ok(),
        }
    }

    /// Who can fix the cause. For an event that was retried until the time limit, by its first error.
    pub fn class(&self) -> Option<ReasonClass> {
        match self.reason? {
            Reason::GaveUp => {
                let first = self.first_error.as_deref()?.split(':').next()?;
                first.parse().ok().map(Reason::class)
            }
            reason => Some(reason.class()),
        }
    }
}

impl QueueAdmin {
    /// A family's dead letters, newest first.
    pub async fn dead_letters(&self, family: Family, limit: usize) -> Result<Vec<DeadLetter>, QueueError> {
        self.read_letters(family, ("XREVRANGE", "+", "-"), None, limit).await
    }

    /// The next older ones: a family's dead letters, newest first, before the letter `before`.
    pub async fn dead_letters_before(
        &self,
        family: Family,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        self.read_letters(family, ("XREVRANGE", "+", "-"), before, limit).await
    }

    /// The dead letter with this id.
    pub async fn dead_letter(&self, family: Family, id: &str) -> Result<Option<DeadLetter>, QueueError> {
        let mut read = redis::cmd("XRANGE");
        read.arg(self.keys.dead(family)).arg(id).arg(id);
        let found: Vec<RawEntry> = self.query("read a dead letter", &read).await?;
        Ok(found.into_iter().next().map(|(id, flat)| DeadLetter::decode(id, &flat)))
    }

    /// A family's dead letters, oldest first, after the letter `after`.
    pub async fn dead_letters_after(
        &self,
        family: Family,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        self.read_letters(family, ("XRANGE", "-", "+"), after, limit).await
    }

    async fn read_letters(
        &self,
        family: Family,
        (command, start, end): (&str, &str, &str),
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        let mut from = after.map_or_else(|| start.to_owned(), |id| format!("({id}"));
        let mut letters = Vec::new();
        while letters.len() < limit {
            let count = ENTRIES_PER_READ.min(limit - letters.len());
            let mut read = redis::cmd(command);
            read.arg(self.keys.dead(family)).arg(&from).arg(end).arg("COUNT").arg(count);
            let page: Vec<RawEntry> = self.query("read dead letters", &read).await?;
            let found = page.len();
            letters.extend(page.into_iter().map(|(id, flat)| DeadLetter::decode(id, &flat)));
            match letters.last() {
                Some(last) if found == count => from = format!("({}", last.id),
                _ => break,
            }
        }
        Ok(letters)
    }

    /// Enqueues a dead letter again, as if it had been received now, and removes it from the dead letters. Returns the
    /// new entry's id, or `None` when there is no such letter, for example because another operator was faster.
    ///
    /// When Redis cannot be reached or refuses. Nothing has changed then, or everything has when only the reply was
    /// lost.
    pub async fn redrive(&self, family: Family, dead_id: &str) -> Result<Option<String>, QueueError> {
        let mut script = scripts::REDRIVE.prepare_invoke();
        script.key(self.keys.dead(family)).key(self.keys.events(family)).key(self.keys.records());
        script.arg(dead_id).arg(family.as_str()).arg(RECORDS_MAX);
        self.invoke("redrive a dead letter", &script).await
    }

    /// Deletes a dead letter permanently. `false` when there is no such letter.
    pub async fn discard(&self, family: Family, dead_id: &str) -> Result<bool, QueueError> {
        let mut script = scripts::DISCARD.prepare_invoke();
        script.key(self.keys.dead(family)).key(self.keys.records());
        script.arg(dead_id).arg(family.as_str()).arg(RECORDS_MAX);
        self.invoke("discard a dead letter", &script).await
    }
}
