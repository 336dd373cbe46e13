//! A mark that lives as long as the queue's state: when it is gone or another, everything else is gone too.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::QueueError;
use crate::stats::QueueReader;

impl QueueReader {
    /// The mark, which is set when there is none. It never changes while Redis keeps what it was given: another one than
    /// before says that everything was lost in between (`FLUSHALL`, a Redis without its data).
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn born(&self) -> Result<String, QueueError> {
        let failed = |source| QueueError::Redis { operation: "read the queue's mark", source };
        let mut connection = self.connection().await?;
        let key = self.keys.born();
        let read: Result<Option<String>, _> = redis::cmd("GET").arg(&key).query_async(&mut connection).await;
        if let Some(mark) = read.map_err(failed)? {
            return Ok(mark);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mark = format!("{}-{:08x}", now.as_millis(), fastrand::u32(..));
        let mut set = redis::cmd("SET");
        set.arg(&key).arg(&mark).arg("NX").arg("GET");
        let older: Option<String> = set.query_async(&mut connection).await.map_err(failed)?;
        Ok(older.unwrap_or(mark))
    }
}
