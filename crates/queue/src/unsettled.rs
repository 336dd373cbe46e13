//! Whether entries are still in the queue, for whoever waits for their end.

use webhook::Family;

use crate::error::QueueError;
use crate::reader::QueueReader;
use crate::scripts;

/// Entries asked for in one step: each is read whole inside Redis.
const IDS_PER_STEP: usize = 16;

/// As the script answers: the entry's id, failed attempts, last error.
type Waiting = (String, Option<u32>, Option<Vec<u8>>);

/// An entry that is waiting, running or delayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsettled {
    pub entry_id: String,
    pub failed_attempts: u32,
    /// Reason and text of the last attempt that failed.
    pub last_error: Option<String>,
}

impl QueueReader {
    /// Those of the entries that are not settled yet. The others are done or given up.
    pub async fn unsettled(
        &self,
        family: Family,
        entry_ids: &[String],
    ) -> Result<Vec<Unsettled>, QueueError> {
        let mut unsettled = Vec::new();
        for ids in entry_ids.chunks(IDS_PER_STEP) {
            let mut script = scripts::UNSETTLED.prepare_invoke();
            script.key(self.keys.events(family)).key(self.keys.attempts(family)).arg(ids);
            let waiting: Vec<Waiting> = self.invoke("look for entries", &script).await?;
            unsettled.extend(waiting.into_iter().map(|(entry_id, attempts, error)| Unsettled {
                entry_id,
                failed_attempts: attempts.unwrap_or(0),
                last_error: error.map(|text| String::from_utf8_lossy(&text).into_owned()),
            }));
        }
        Ok(unsettled)
    }
}
