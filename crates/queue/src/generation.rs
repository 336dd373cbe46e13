//! The queue generation: an id that lives as long as the queue's state. When it is missing or different, all other
//! state is gone too.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::admin::QueueAdmin;
use crate::error::QueueError;

impl QueueAdmin {
    /// Returns the queue generation, and sets it when there is none. It never changes while Redis keeps its data: a
    /// different value means that all state was lost in between (`FLUSHALL`, or a Redis without its data).
    pub async fn queue_generation(&self) -> Result<String, QueueError> {
        const OPERATION: &str = "read the queue generation";
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
