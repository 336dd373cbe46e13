//! A mark that lives as long as the queue's state: when it is gone or another, everything else is gone too.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::admin::QueueAdmin;
use crate::error::QueueError;

impl QueueAdmin {
    /// The mark, which is set when there is none. It never changes while Redis keeps what it was given: another one than
    /// before says that everything was lost in between (`FLUSHALL`, a Redis without its data).
    pub async fn queue_generation(&self) -> Result<String, QueueError> {
        const OPERATION: &str = "read the queue's mark";
        let key = self.keys.queue_generation();
        if let Some(generation) = self.query(OPERATION, redis::cmd("GET").arg(&key)).await? {
            return Ok(generation);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let generation = format!("{}-{:08x}", now.as_millis(), fastrand::u32(..));
        let mut set = redis::cmd("SET");
        set.arg(&key).arg(&generation).arg("NX").arg("GET");
        let older: Option<String> = self.query(OPERATION, &set).await?;
        Ok(older.unwrap_or(generation))
    }
}
