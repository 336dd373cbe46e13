//! Whether an entry about an object is in the queue. Entries are not indexed by object, so the whole stream is read.

use webhook::Family;

use crate::admin::QueueAdmin;
use crate::error::QueueError;
use crate::scripts::{self, STEP_BYTES_MAX};

impl QueueAdmin {
    /// The objects among these that an unfinished entry of the family is about. The cost grows with the backlog.
    pub async fn queued_objects(&self, family: Family, ids: &[String]) -> Result<Vec<String>, QueueError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        // With its quotes, so that an id is not found within a longer one.
        let quoted: Vec<String> =
            ids.iter().map(|id| serde_json::Value::from(id.as_str()).to_string()).collect();
        let mut queued = Vec::new();
        let mut from = "-".to_owned();
        // Ends with the stream: workers and the limit of its length bound it.
        while !from.is_empty() {
            let mut script = scripts::FIND_IN_BODIES.prepare_invoke();
            script.key(self.keys.events(family)).arg(from).arg(STEP_BYTES_MAX).arg(&quoted);
            let (go_on, numbers): (String, Vec<usize>) =
                self.invoke("look for queued objects", &script).await?;
            for id in numbers.into_iter().filter_map(|number| ids.get(number - 1)) {
                if !queued.contains(id) {
                    queued.push(id.clone());
                }
            }
            from = go_on;
        }
        Ok(queued)
    }
}
