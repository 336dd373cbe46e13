//! The running programs, as they report themselves in Redis: who is alive, in which version, and which targets each
//! knows. The only place that reads or writes them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::admin::{QueueAdmin, unix_ms};
use crate::error::QueueError;
use crate::scripts;

/// Between two reports of a program.
pub(crate) const BEAT_EVERY: Duration = Duration::from_secs(10);
/// A program that was silent for longer is taken for dead.
const ALIVE_FOR: Duration = Duration::from_secs(30);
/// A dead program is forgotten after this.
const RETENTION: Duration = Duration::from_secs(24 * 3600);

/// What a program says of itself: the value of its field, as JSON, without the times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceInfo {
    /// `ingest` or `worker`.
    pub program: String,
    pub version: String,
    pub host: String,
    /// The targets it sends to; a program that sends none has no such field.
    #[serde(flatten)]
    pub targets: Option<KnownTargets>,
}

/// Which targets a worker knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownTargets {
    #[serde(rename = "targets")]
    pub names: Vec<String>,
    /// A fingerprint of all that `landfall.toml` says of them, without secrets.
    #[serde(rename = "targets_sha256")]
    pub sha256: String,
}

/// The whole value of a field.
#[derive(Deserialize)]
struct Record {
    #[serde(flatten)]
    info: InstanceInfo,
    /// In unix milliseconds, by the clock of Redis.
    since: i64,
    heartbeat: i64,
}

/// A program that runs, or ran until lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    pub id: String,
    pub info: InstanceInfo,
    /// How long ago it started.
    pub up: Duration,
    /// How long ago it last reported.
    pub silent: Duration,
}

impl Instance {
    pub fn is_alive(&self) -> bool {
        self.silent <= ALIVE_FOR
    }
}

impl QueueAdmin {
    /// All programs that reported within a day, the newest report first. What a newer version may have written is left
    /// out.
    pub async fn instances(&self) -> Result<Vec<Instance>, QueueError> {
        let (now, fields) = self.instance_fields().await?;
        let ago = |at: i64| Duration::from_millis(u64::try_from(now - at).unwrap_or(0));
        let instance = |(id, value): (String, String)| {
            let Record { info, since, heartbeat } = serde_json::from_str(&value).ok()?;
            Some(Instance { id, info, up: ago(since), silent: ago(heartbeat) })
        };
        let mut instances: Vec<Instance> = fields.into_iter().filter_map(instance).collect();
        instances.retain(|instance| instance.silent <= RETENTION);
        instances.sort_by_key(|instance| instance.silent);
        Ok(instances)
    }

    /// Reports a program that has run for `up`. The times are by the clock of Redis.
    pub(crate) async fn beat(&self, id: &str, info: &InstanceInfo, up: Duration) -> Result<(), QueueError> {
        let info = serde_json::to_string(info).expect("it is plain JSON");
        let mut script = scripts::BEAT_INSTANCE.prepare_invoke();
        script.key(self.keys.instances()).arg(id).arg(info).arg(up.as_millis() as u64);
        self.invoke("report this program", &script).await
    }

    /// Takes a program's report back: it stopped, or was gone for a day.
    pub(crate) async fn deregister_instance(&self, id: &str) -> Result<(), QueueError> {
        let mut delete = redis::cmd("HDEL");
        delete.arg(self.keys.instances()).arg(id);
        self.query("take this program's report back", &delete).await
    }

    /// Takes back the reports of programs that were killed, a day later.
    pub(crate) async fn prune_instances(&self) -> Result<(), QueueError> {
        let (now, fields) = self.instance_fields().await?;
        let oldest = now - RETENTION.as_millis() as i64;
        for (id, value) in fields {
            // A value that is not understood is a newer version's, which takes it back itself.
            if serde_json::from_str(&value).is_ok_and(|record: Record| record.heartbeat < oldest) {
                self.deregister_instance(&id).await?;
            }
        }
        Ok(())
    }

    /// The time in unix milliseconds by the clock of Redis, and each program's id and value.
    async fn instance_fields(&self) -> Result<(i64, Vec<(String, String)>), QueueError> {
        let mut ask = redis::pipe();
        ask.cmd("TIME").hgetall(self.keys.instances());
        let (time, fields) = self.query_all("read the instances", &ask).await?;
        Ok((unix_ms(time), fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_documented_and_fields_of_newer_versions_are_ignored() {
        let info = InstanceInfo {
            program: "worker".to_owned(),
            version: "0.1.0".to_owned(),
            host: "box".to_owned(),
            targets: Some(KnownTargets { names: vec!["app".to_owned()], sha256: "ab".to_owned() }),
        };
        let documented = r#"{"program":"worker","version":"0.1.0","host":"box","targets":["app"],"targets_sha256":"ab","since":1,"heartbeat":2}"#;
        let read = |text: &str| serde_json::from_str::<Record>(text).unwrap();
        assert_eq!((read(documented).info, read(documented).since), (info.clone(), 1));
        assert!(documented.starts_with(serde_json::to_string(&info).unwrap().trim_end_matches('}')));
        assert_eq!(read(&documented.replace("\"since\"", "\"colour\":[1],\"since\"")).info, info);
        let ingest = r#"{"program":"ingest","version":"0.1.0","host":"box","since":1,"heartbeat":2}"#;
        assert_eq!(read(ingest).info.targets, None);
    }
}
