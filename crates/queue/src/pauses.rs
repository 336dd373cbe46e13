//! Pauses: after a 429, every worker stops taking that project's family until OpenAI accepts requests again.

use std::time::Duration;

use webhook::{Family, Reason};

use crate::admin::QueueAdmin;
use crate::consumer::Consumer;
use crate::delivery::Delivery;
use crate::error::QueueError;
use crate::scripts::{self, ConsumerSession, millis};

/// A pause in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    pub project: String,
    pub family: Family,
    pub left: Duration,
    /// The name of a [`Reason`], or the text an operator wrote.
    pub reason: String,
}

impl Consumer {
    /// How long to receive nothing: `None` unless all of these projects are paused.
    pub async fn paused_for(&self, projects: &[&str]) -> Result<Option<Duration>, QueueError> {
        let mut shortest = None;
        for project in projects {
            match pause_left(&self.session, project).await? {
                Some(left) => shortest = Some(shortest.map_or(left, |other: Duration| other.min(left))),
                None => return Ok(None),
            }
        }
        Ok(shortest)
    }
}

impl Delivery {
    /// The remaining pause of its project's family, if any.
    pub async fn paused_for(&self) -> Result<Option<Duration>, QueueError> {
        let Ok(entry) = &self.content else { return Ok(None) };
        pause_left(&self.session, &entry.project).await
    }

    /// Pauses its project's family for every worker; never shortens a pause. Returns the remaining pause.
    pub async fn pause(&self, wanted: Duration, reason: Reason) -> Result<Duration, QueueError> {
        let Ok(entry) = &self.content else { return Ok(Duration::ZERO) };
        let (ConsumerSession { all_keys, family, .. }, project) = (&*self.session, &entry.project);
        let mut script = scripts::PAUSE.prepare_invoke();
        script.key(all_keys.pause(project, *family)).key(all_keys.pauses());
        script.arg(millis(wanted).max(1)).arg(reason.as_str()).arg(format!("{project}:{family}"));
        self.session.invoke("pause a family", &script).await.map(Duration::from_millis)
    }
}

impl QueueAdmin {
    /// The pauses in effect, in the order they end.
    pub async fn pauses(&self) -> Result<Vec<Pause>, QueueError> {
        let mut list = redis::cmd("ZRANGE");
        list.arg(self.keys.pauses()).arg(0).arg(-1);
        let mut pauses = Vec::new();
        for name in self.query::<Vec<String>>("read pauses", &list).await? {
            let Some((project, family)) = name.rsplit_once(':') else { continue };
            // Families of newer versions are skipped.
            let Ok(family) = family.parse() else { continue };
            let key = self.keys.pause(project, family);
            let mut ask = redis::pipe();
            ask.pttl(&key).get(&key);
            let (left_ms, reason): (i64, Option<String>) = self.query_all("read pauses", &ask).await?;
            if let (Ok(left_ms), Some(reason)) = (u64::try_from(left_ms), reason) {
                let left = Duration::from_millis(left_ms);
                pauses.push(Pause { project: project.to_owned(), family, left, reason });
            }
        }
        Ok(pauses)
    }
}

/// `PTTL` is -2 when the key does not exist, and -1 when an operator set it without a TTL; it is then checked again
/// after a minute.
async fn pause_left(session: &ConsumerSession, project: &str) -> Result<Option<Duration>, QueueError> {
    let key = session.all_keys.pause(project, session.family);
    let reply: Result<i64, _> = session.connection.query(redis::cmd("PTTL").arg(key)).await;
    match reply.map_err(QueueError::while_doing("look for a pause"))? {
        -1 => Ok(Some(Duration::from_secs(60))),
        ms => Ok(u64::try_from(ms).ok().map(Duration::from_millis)),
    }
}
