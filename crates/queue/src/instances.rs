//! The running programs, as registered in Redis: which are alive, their versions, and the targets each knows. All reads
//! and writes of the registry are here.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::admin::{QueueAdmin, unix_ms};
use crate::error::QueueError;
use crate::scripts;

/// Interval between two heartbeats of a program.
pub(crate) const BEAT_EVERY: Duration = Duration::from_secs(10);
/// A program without a heartbeat for this long is considered dead.
const ALIVE_FOR: Duration = Duration::from_secs(30);
/// A dead program is removed after this time.
const RETENTION: Duration = Duration::from_secs(24 * 3600);

/// A program's own description: the JSON value of its field, without the times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceInfo {
    /// `ingest`, `worker` or `console`.
    pub program: String,
    pub version: String,
    pub host: String,
    /// The targets it sends to; absent for a program that sends none.
    #[serde(flatten)]
    pub targets: Option<KnownTargets>,
}

/// The targets a worker knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownTargets {
    #[serde(rename = "targets")]
    pub names: Vec<String>,
    /// A digest of all target settings in `landfall.toml`, without secrets.
    #[serde(rename = "targets_sha256")]
    pub sha256: String,
}

/// The complete value of a field.
#[derive(Deserialize)]
struct Record {
    #[serde(flatten)]
    info: InstanceInfo,
    /// In unix milliseconds of Redis's clock.
    since: i64,
    heartbeat: i64,
}

/// A program that runs, or ran recently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    pub id: String,
    pub info: InstanceInfo,
    /// Time since it started.
    pub up: Duration,
    /// Time since its last heartbeat.
    pub silent: Duration,
}

impl Instance {
    pub fn is_alive(&self) -> bool {
        self.silent <= ALIVE_FOR
    }
}

impl QueueAdmin {
    /// All programs with a heartbeat in the last day, most recent first. Values that cannot be parsed, for example of a
    /// newer version, are omitted.
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

    /// Sends the heartbeat of a program that has run for `up`. Times are by Redis's clock.
    pub(crate) async fn beat(&self, id: &str, info: &InstanceInfo, up: Duration) -> Result<(), QueueError> {
        let info = serde_json::to_string(info).expect("it is plain JSON");
        let mut script = scripts::BEAT_INSTANCE.prepare_invoke();
        script.key(self.keys.instances()).arg(id).arg(info).arg(up.as_millis() as u64);
        self.invoke("send the heartbeat of this program", &script).await
    }

    /// Deregisters a program that stopped, or was dead for a day.
    pub(crate) async fn deregister_instance(&self, id: &str) -> Result<(), QueueError> {
        let mut delete = redis::cmd("HDEL");
        delete.arg(self.keys.instances()).arg(id);
        self.query("deregister this program", &delete).await
    }

    /// Removes programs that died without deregistering, one day later.
    pub(crate) async fn prune_instances(&self) -> Result<(), QueueError> {
        let (now, fields) = self.instance_fields().await?;
        let oldest = now - RETENTION.as_millis() as i64;
        for (id, value) in fields {
            // A value that cannot be parsed belongs to a newer version, which removes it itself.
            if serde_json::from_str(&value).is_ok_and(|record: Record| record.heartbeat < oldest) {
                self.deregister_instance(&id).await?;
            }
        }
        Ok(())
    }

    /// The time in unix milliseconds of Redis's clock, and each program's id and value.
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
    fn an_instance_is_read_as_documented_and_fields_of_newer_versions_are_ignored() {
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
