//! Pauses: after a 429 every worker leaves that project's family alone until OpenAI wants to be asked again.

use std::time::Duration;

use webhook::{Family, Reason};

use crate::admin::QueueAdmin;
use crate::consumer::Consumer;
use crate::delivery::Delivery;
use crate::error::QueueError;
use crate::scripts::{self, ConsumerSession, millis};

/// A pause that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    pub project: String,
    pub family: Family,
    pub left: Duration,
    /// Why, by a [`Reason`]'s name; what an operator wrote by hand is shown as it is.
    pub reason: String,
}

impl Consumer {
    /// How long to take nothing: `None` unless all of these projects are paused.
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
    /// How long its project's family is paused, if it is.
    pub async fn paused_for(&self) -> Result<Option<Duration>, QueueError> {
        let Ok(entry) = &self.content else { return Ok(None) };
        pause_left(&self.session, &entry.project).await
    }

    /// Pauses its project's family for every worker; a longer pause stays. Returns how long it is paused now.
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
    /// The pauses in force, in the order they end.
    pub async fn pauses(&self) -> Result<Vec<Pause>, QueueError> {
        let mut list = redis::cmd("ZRANGE");
        list.arg(self.keys.pauses()).arg(0).arg(-1);
        let mut pauses = Vec::new();
        for name in self.query::<Vec<String>>("read pauses", &list).await? {
            let Some((project, family)) = name.rsplit_once(':') else { continue };
            // A newer version's family is not ours to show.
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

/// `PTTL` is -2 without the key. One that somebody set by hand without an end (-1) is looked at again after a while.
async fn pause_left(session: &ConsumerSession, project: &str) -> Result<Option<Duration>, QueueError> {
    let key = session.all_keys.pause(project, session.family);
    let reply: Result<i64, _> = session.connection.query(redis::cmd("PTTL").arg(key)).await;
    match reply.map_err(QueueError::while_doing("look for a pause"))? {
        -1 => Ok(Some(Duration::from_secs(60))),
        ms => Ok(u64::try_from(ms).ok().map(Duration::from_millis)),
    }
}
